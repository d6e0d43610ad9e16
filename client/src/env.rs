//! The set-up of a client from the environment, so that a program is moved from one installation to
//! another without a change.

use std::ffi::OsString;
use std::fs;

use crate::belay::{Belay, BelayBuilder};
use crate::error::Error;

const ENDPOINT: &str = "BELAY_ENDPOINT";
const TOKEN_FILE: &str = "BELAY_TOKEN_FILE";
#[cfg(feature = "tls")]
const TLS_CA: &str = "BELAY_TLS_CA";
#[cfg(feature = "tls")]
const TLS_CERT: &str = "BELAY_TLS_CERT";
#[cfg(feature = "tls")]
const TLS_KEY: &str = "BELAY_TLS_KEY";
/// What a client without TLS must not pass over in silence.
#[cfg(not(feature = "tls"))]
const TLS: [&str; 3] = ["BELAY_TLS_CA", "BELAY_TLS_CERT", "BELAY_TLS_KEY"];

impl Belay {
    /// A client of the installation that the environment names:
    ///
    /// | Variable | Names |
    /// |---|---|
    /// | `BELAY_ENDPOINT` | the address, such as `http://127.0.0.1:50051`, or several separated by commas. Required |
    /// | `BELAY_TOKEN_FILE` | a file with the caller's token: see [`token_file`](BelayBuilder::token_file) |
    /// | `BELAY_TLS_CA` | a PEM file with the roots to trust, instead of those of the machine |
    /// | `BELAY_TLS_CERT`, `BELAY_TLS_KEY` | PEM files with the client's certificate and key; both or none |
    ///
    /// A variable that is empty counts as not set. Those of TLS need the feature `tls`, and an
    /// address with `https://`. Files are read again when they change.
    ///
    /// # Errors
    /// As [`BelayBuilder::build`], and [`Kind::Setup`](crate::Kind::Setup) for a variable that is
    /// missing and for a file that cannot be read.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), belay_client::Error> {
    /// use belay_client::Belay;
    ///
    /// let store = Belay::from_env()?.store("demo");
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        BelayBuilder::from_env()?.build()
    }
}

impl BelayBuilder {
    /// A builder of what [`Belay::from_env`] builds, for settings that the environment does not
    /// name.
    ///
    /// # Errors
    /// [`Kind::Setup`](crate::Kind::Setup) for a variable that is missing and for a file that
    /// cannot be read.
    pub fn from_env() -> Result<Self, Error> {
        // What is no text names no file that there is, and must not pass for a variable not set.
        let text = |value: OsString| value.to_string_lossy().into_owned();
        Self::from_variables(|name| std::env::var_os(name).map(text))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let endpoint = set(ENDPOINT).ok_or_else(|| {
            Error::setup(format!("{ENDPOINT} names no address in the environment"))
        })?;
        let mut addresses = endpoint.split(',').map(str::trim);
        let first = addresses.next().unwrap_or_default();
        let mut builder = addresses.fold(Belay::builder(first), BelayBuilder::address);
        if let Some(path) = set(TOKEN_FILE) {
            // What is wrong now is told now.
            file(TOKEN_FILE, &path)?;
            builder = builder.token_file(path);
        }
        tls(builder, set)
    }
}

#[cfg(feature = "tls")]
fn tls(
    mut builder: BelayBuilder,
    set: impl Fn(&str) -> Option<String>,
) -> Result<BelayBuilder, Error> {
    if let Some(path) = set(TLS_CA) {
        file(TLS_CA, &path)?;
        builder = builder.tls_roots_file(path);
    }
    match (set(TLS_CERT), set(TLS_KEY)) {
        (None, None) => Ok(builder),
        (Some(certificate), Some(key)) => {
            file(TLS_CERT, &certificate)?;
            file(TLS_KEY, &key)?;
            Ok(builder.tls_identity_files(certificate, key))
        }
        (Some(_), None) | (None, Some(_)) => Err(Error::setup(format!(
            "{TLS_CERT} and {TLS_KEY} belong together, and one is not set"
        ))),
    }
}

#[cfg(not(feature = "tls"))]
fn tls(builder: BelayBuilder, set: impl Fn(&str) -> Option<String>) -> Result<BelayBuilder, Error> {
    match TLS.into_iter().find(|name| set(name).is_some()) {
        None => Ok(builder),
        Some(name) => Err(Error::setup(format!(
            "{name} is set, and the client is built without the feature `tls`"
        ))),
    }
}

fn file(variable: &str, path: &str) -> Result<String, Error> {
    fs::read_to_string(path)
        .map_err(|error| Error::setup(format!("{variable}: {path} cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn built(variables: &[(&str, &str)]) -> Result<Belay, Error> {
        let of = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        BelayBuilder::from_variables(of)?.build()
    }

    #[tokio::test]
    async fn an_installation_is_named_by_variables_and_files() {
        let folder = std::env::temp_dir().join(format!("belay-client-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let token = folder.join("token");
        fs::write(&token, "hunter2hunter2\n").unwrap();
        let token = token.to_str().unwrap();
        let endpoint = (ENDPOINT, "http://127.0.0.1:50051");
        built(&[endpoint]).unwrap();
        built(&[endpoint, (TOKEN_FILE, token)]).unwrap();
        built(&[endpoint, (TOKEN_FILE, "")]).unwrap();

        let wrong: [(&[(&str, &str)], &str); 5] = [
            (&[], ENDPOINT),
            (&[(ENDPOINT, "")], ENDPOINT),
            (&[(ENDPOINT, "belay:50051")], "belay:50051"),
            (
                &[endpoint, (TOKEN_FILE, "/nowhere/token")],
                "/nowhere/token",
            ),
            (&[endpoint, ("BELAY_TLS_CERT", token)], "BELAY_TLS_CERT"),
        ];
        for (variables, named) in wrong {
            let error = built(variables).unwrap_err();
            assert_eq!(error.kind(), Kind::Setup, "{error}");
            assert!(error.message().contains(named), "{error}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
