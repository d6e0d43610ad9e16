//! The address of a database, read from its URL: where the database is, who connects, and how the
//! connection is protected.
//!
//! The driver's own parameters of TLS are not taken. They can say less than MySQL's, and one that
//! is left out counts as "check nothing". Those here are MySQL's own: `ssl-mode`, `ssl-ca`,
//! `ssl-cert` and `ssl-key`.

mod tls;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use diesel_async::AsyncMysqlConnection;
use mysql_async::{DriverError, Opts, OptsBuilder, UrlError};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use self::tls::Tls;
use super::Conn;
use super::error::{self, DbError, ErrorKind};

/// The way in which a connection to the database is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsMode {
    /// In clear.
    Disabled,
    /// Encrypted, with whoever answers.
    Required,
    /// Encrypted, and the server's certificate is of a CA that is trusted, whatever its name is.
    VerifyCa,
    /// Encrypted, and the server's certificate is of a CA that is trusted and for the host of the
    /// URL.
    VerifyIdentity,
}

impl TlsMode {
    const ALL: [TlsMode; 4] = [
        TlsMode::Disabled,
        TlsMode::Required,
        TlsMode::VerifyCa,
        TlsMode::VerifyIdentity,
    ];

    /// MySQL's word for it.
    pub fn name(self) -> &'static str {
        match self {
            TlsMode::Disabled => "DISABLED",
            TlsMode::Required => "REQUIRED",
            TlsMode::VerifyCa => "VERIFY_CA",
            TlsMode::VerifyIdentity => "VERIFY_IDENTITY",
        }
    }
}

/// Why a URL is no address of a database. Never holds the URL or its password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("it must look like mysql://user:password@host:port/database")]
    Scheme,
    #[error("{0}; in user and password, signs other than letters and digits are written as %XX")]
    Malformed(String),
    #[error("its parameter {0} is given twice")]
    Twice(String),
    #[error("its parameter {0} is not known")]
    Unknown(String),
    #[error("its parameter {parameter} must be {expected}")]
    Value {
        parameter: String,
        expected: &'static str,
    },
    #[error("its parameter {0} has a value that it cannot have")]
    Refused(String),
    #[error(
        "its parameter {0} is about a pool of the driver's that is not used; --database-connections is the size of Belay's"
    )]
    DriversPool(String),
    #[error("its parameter {0} is Belay's to set")]
    Own(String),
    #[error("its parameter {0} is not read: say ssl-mode, or --database-tls")]
    DriversTls(String),
    #[error(
        "ssl-mode=PREFERRED would go on in clear wherever the server offers no TLS; say REQUIRED or DISABLED"
    )]
    Preferred,
    #[error("a certificate and its key are given together")]
    HalfIdentity,
    #[error("ssl-mode={mode} does not use the {file} that is given", mode = .mode.name())]
    Unused { mode: TlsMode, file: &'static str },
    #[error("a socket file is not encrypted: ssl-mode must be DISABLED, or left out")]
    Socket,
    #[error("a password in clear (enable_cleartext_plugin) needs TLS")]
    ClearPassword,
}

impl From<AddressError> for DbError {
    fn from(error: AddressError) -> Self {
        DbError::Connect {
            kind: ErrorKind::Statement,
            message: format!("the URL of the database: {error}"),
        }
    }
}

/// Whether a URL names a database in a way that is taken. Reads the files that it names, and asks nobody.
///
/// # Errors
/// What is wrong with it.
pub fn check(url: &SecretString) -> Result<(), AddressError> {
    Address::parse(url).map(|_| ())
}

/// The address of a database.
#[derive(Clone)]
pub(super) struct Address {
    opts: Opts,
    tls: Option<Tls>,
}

/// Without the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("host", &self.opts.ip_or_hostname())
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Parameters that the driver reads and Belay leaves to it.
const DRIVERS: &[&str] = &[
    "socket",
    "tcp_keepalive",
    "tcp_nodelay",
    "max_allowed_packet",
    "compression",
    "enable_cleartext_plugin",
];
/// Of the driver's pool.
const DRIVERS_POOL: &[&str] = &[
    "pool_min",
    "pool_max",
    "inactive_connection_ttl",
    "ttl_check_interval",
    "conn_ttl",
    "abs_conn_ttl",
    "abs_conn_ttl_jitter",
    "reset_connection",
    "wait_timeout",
];
const DRIVERS_TLS: &[&str] = &[
    "require_ssl",
    "verify_ca",
    "verify_identity",
    "built_in_roots",
];
const OWN: &[&str] = &["stmt_cache_size", "client_found_rows", "secure_auth"];

/// The parameters of a URL, sorted by who reads them.
#[derive(Default)]
struct Parameters {
    /// As the driver takes them.
    drivers: Vec<(String, String)>,
    mode: Option<TlsMode>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Parameters {
    fn read(url: &Url) -> Result<Self, AddressError> {
        let mut read = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in url.query_pairs() {
            let (name, value) = (name.into_owned(), value.into_owned());
            if seen.contains(&name) {
                return Err(AddressError::Twice(name));
            }
            seen.push(name.clone());
            read.take(name, value)?;
        }
        Ok(read)
    }

    fn take(&mut self, name: String, value: String) -> Result<(), AddressError> {
        let file = |value: String| {
            if value.is_empty() {
                let (parameter, expected) = (name.clone(), "the path of a file");
                return Err(AddressError::Value {
                    parameter,
                    expected,
                });
            }
            Ok(Some(PathBuf::from(value)))
        };
        match name.as_str() {
            "ssl-mode" => self.mode = Some(mode(&value)?),
            "ssl-ca" => self.ca = file(value)?,
            "ssl-cert" => self.certificate = file(value)?,
            "ssl-key" => self.key = file(value)?,
            // The driver would else leave the address it was given and reconnect through the socket
            // file that the server names, past any proxy, or to the wrong server.
            "prefer_socket" if value == "false" => {}
            "prefer_socket" => return Err(AddressError::Own(name)),
            known if DRIVERS.contains(&known) => self.drivers.push((name, value)),
            known if DRIVERS_POOL.contains(&known) => return Err(AddressError::DriversPool(name)),
            known if DRIVERS_TLS.contains(&known) => return Err(AddressError::DriversTls(name)),
            known if OWN.contains(&known) => return Err(AddressError::Own(name)),
            _ => return Err(AddressError::Unknown(name)),
        }
        Ok(())
    }
}

/// MySQL's word, in any case, or that of the command line.
fn mode(text: &str) -> Result<TlsMode, AddressError> {
    let word = text.to_ascii_uppercase().replace('-', "_");
    if word == "PREFERRED" {
        return Err(AddressError::Preferred);
    }
    let known = TlsMode::ALL.into_iter().find(|mode| mode.name() == word);
    known.ok_or_else(|| AddressError::Value {
        parameter: "ssl-mode".to_owned(),
        expected: "DISABLED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY",
    })
}

impl Address {
    /// Reads a URL.
    pub(super) fn parse(url: &SecretString) -> Result<Self, AddressError> {
        let text = url.expose_secret();
        if !text.starts_with("mysql://") {
            return Err(AddressError::Scheme);
        }
        let malformed = |error: String| AddressError::Malformed(error);
        let mut url = Url::parse(text).map_err(|error| malformed(error.to_string()))?;
        if url.fragment().is_some() {
            return Err(malformed("it has a #".to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(AddressError::Scheme);
        }
        let parameters = Parameters::read(&url)?;
        url.query_pairs_mut()
            .clear()
            .extend_pairs(&parameters.drivers);
        let opts = Opts::from_url(url.as_str()).map_err(refused)?;
        let tls = Tls::choose(&opts, parameters)?;
        if opts.enable_cleartext_plugin() && tls.is_none() {
            return Err(AddressError::ClearPassword);
        }
        Ok(Self { opts, tls })
    }

    /// Connects. The files of TLS are read each time, so that a certificate that was renewed is
    /// taken over.
    pub(super) async fn connect(&self) -> Result<Conn, DbError> {
        let mut builder = OptsBuilder::from_opts(self.opts.clone())
            .prefer_socket(false)
            // diesel keeps the statements, and expects an UPDATE to count the rows that it matched.
            .stmt_cache_size(0)
            .client_found_rows(true);
        if let Some(tls) = self.tls.clone() {
            crate::tls::install_provider();
            let options = tokio::task::spawn_blocking(move || tls.options()).await;
            let options = options.map_err(|error| unreachable(error.to_string()))?;
            builder = builder.ssl_opts(options.map_err(unreachable)?);
        }
        let connected = mysql_async::Conn::new(builder).await;
        let conn = connected.map_err(|error| self.refusal(error))?;
        Ok(AsyncMysqlConnection::try_from(conn).await?)
    }

    fn refusal(&self, error: mysql_async::Error) -> DbError {
        use mysql_async::{Error, IoError};
        let message = match error {
            Error::Server(error) => {
                return DbError::Connect {
                    kind: error::kind_of_text(&error.message),
                    message: error.message,
                };
            }
            Error::Driver(DriverError::NoClientSslFlagFromServer) => {
                "the server offers no TLS, which is required".to_owned()
            }
            Error::Io(IoError::Tls(error)) => format!("TLS: {error}"),
            // rustls's errors come wrapped.
            Error::Io(IoError::Io(error)) => match error.get_ref() {
                Some(inner) if inner.is::<rustls::Error>() => format!("TLS: {inner}"),
                Some(_) | None => error.to_string(),
            },
            Error::Driver(error) => error.to_string(),
            Error::Other(error) => error.to_string(),
            Error::Url(error) => error.to_string(),
        };
        unreachable(message)
    }
}

fn unreachable(message: String) -> DbError {
    DbError::Connect {
        kind: ErrorKind::Unavailable,
        message,
    }
}

/// What the driver says of a URL.
fn refused(error: UrlError) -> AddressError {
    match error {
        UrlError::InvalidParamValue { param, .. } => AddressError::Refused(param),
        UrlError::UnknownParameter { param } => AddressError::Unknown(param),
        UrlError::Invalid | UrlError::UnsupportedScheme { .. } => AddressError::Scheme,
        UrlError::FeatureRequired { .. }
        | UrlError::InvalidPoolConstraints { .. }
        | UrlError::Parse(_) => AddressError::Malformed(error.to_string()),
    }
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => bare.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests;
