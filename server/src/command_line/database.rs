//! The arguments that say where the database is, and how the connection to it is protected.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::db::address::TlsMode;

/// The longest file that is read as a URL.
const URL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The address of the database, and the protection of the connection to it.
#[derive(Debug, Args)]
pub struct DatabaseArguments {
    /// mysql://user:password@host:port/database. Everybody on the machine sees the arguments of a
    /// process: with a password in it, the environment or a file is the better place.
    #[arg(
        long,
        env = "BELAY_DATABASE_URL",
        hide_env_values = true,
        global = true,
        value_name = "URL"
    )]
    database_url: Option<SecretString>,
    /// A file that holds the URL.
    #[arg(
        long,
        env = "BELAY_DATABASE_URL_FILE",
        global = true,
        value_name = "FILE"
    )]
    database_url_file: Option<PathBuf>,
    /// How connections to the database are protected. Where nothing is said: verify-identity where
    /// a CA is given, disabled on this machine, and required beyond it.
    #[arg(long, env = "BELAY_DATABASE_TLS", value_enum, global = true)]
    database_tls: Option<TlsMode>,
    /// The certificates, in PEM, by which the database's is verified; the machine's roots where
    /// none are given.
    #[arg(
        long,
        env = "BELAY_DATABASE_TLS_CA",
        global = true,
        value_name = "FILE"
    )]
    database_tls_ca: Option<PathBuf>,
    /// The certificate, in PEM, that is shown to the database.
    #[arg(
        long,
        env = "BELAY_DATABASE_TLS_CERT",
        global = true,
        value_name = "FILE"
    )]
    database_tls_cert: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    #[arg(
        long,
        env = "BELAY_DATABASE_TLS_KEY",
        global = true,
        value_name = "FILE"
    )]
    database_tls_key: Option<PathBuf>,
}

impl DatabaseArguments {
    /// The files of certificates: those by which the database's is verified, and the one that is
    /// shown to it.
    pub(crate) fn certificates(&self) -> [Option<&Path>; 2] {
        [&self.database_tls_ca, &self.database_tls_cert].map(|file| file.as_deref())
    }

    /// The URL with what the other arguments say as its parameters.
    pub fn url(&self) -> anyhow::Result<SecretString> {
        let url = match (&self.database_url, &self.database_url_file) {
            (Some(url), None) => url.clone(),
            (None, Some(file)) => url_of(file)?,
            (None, None) => anyhow::bail!("--database-url or --database-url-file must be given"),
            (Some(_), Some(_)) => {
                anyhow::bail!("--database-url and --database-url-file name one database; give one")
            }
        };
        self.with_tls(&url)
    }

    /// A URL with what the arguments say of TLS as its parameters.
    pub(super) fn with_tls(&self, url: &SecretString) -> anyhow::Result<SecretString> {
        let mode = self.database_tls.map(|mode| PathBuf::from(mode.name()));
        let parameters = [
            ("ssl-mode", &mode),
            ("ssl-ca", &self.database_tls_ca),
            ("ssl-cert", &self.database_tls_cert),
            ("ssl-key", &self.database_tls_key),
        ];
        let mut said = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in parameters {
            let Some(value) = value else { continue };
            let text = value.to_str();
            said.append_pair(name, text.context("the name of a file must be Unicode")?);
        }
        let said = said.finish();
        if said.is_empty() {
            return Ok(url.clone());
        }
        let url = url.expose_secret();
        let join = if url.contains('?') { '&' } else { '?' };
        Ok(SecretString::from(format!("{url}{join}{said}")))
    }
}

pub(super) fn url_of(file: &Path) -> anyhow::Result<SecretString> {
    let shown = file.display();
    let metadata = std::fs::metadata(file).with_context(|| format!("{shown}"))?;
    anyhow::ensure!(
        metadata.len() <= URL_FILE_BYTES_MAX,
        "{shown} has more than {URL_FILE_BYTES_MAX} bytes and is no URL"
    );
    let text = std::fs::read_to_string(file).with_context(|| format!("{shown}"))?;
    Ok(SecretString::from(text.trim()))
}
