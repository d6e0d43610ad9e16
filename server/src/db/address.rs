//! The address of a database, read from its URL: where the database is, who connects, and how the
//! connection is protected.
//!
//! A URL may name several places, `mysql://user@a:3306,b:3306,c:3306/belay`: members of a group, or
//! a primary and its replicas. Which of them is the primary is found out (`primary`), and found out
//! anew when it is another one.
//!
//! The driver's own parameters of TLS are not taken. They can say less than MySQL's, and one that
//! is left out counts as "check nothing". Those here are MySQL's own: `ssl-mode`, `ssl-ca`,
//! `ssl-cert` and `ssl-key`.

mod endpoint;
mod primary;
mod session;
mod tls;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use mysql_async::UrlError;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use self::endpoint::Endpoint;
pub(super) use self::primary::Primary;
pub(super) use self::session::SessionWaits;
pub use self::session::{PerMessage, ReplicationState};
use super::Conn;
use super::error::{DbError, ErrorKind};

/// Places that one URL may name. A group has nine members at most.
pub const PLACES_MAX: usize = 9;

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

/// The reason why a URL is no address of a database. Never holds the URL or its password.
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
    #[error("it names more than {PLACES_MAX} places")]
    TooMany,
    #[error("it names {0} twice")]
    SamePlace(String),
    #[error("a socket file is one place, and several are named")]
    SocketOfSeveral,
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

/// Whether a URL names a database in a way that is taken. Reads the files that it names, and asks
/// nobody.
///
/// # Errors
/// What is wrong with it.
pub fn check(url: &SecretString) -> Result<(), AddressError> {
    Address::parse(url).map(|_| ())
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

/// The address of a database: the places where it may be found. Clones share what is known of them.
#[derive(Debug, Clone)]
pub(super) struct Address {
    endpoints: Arc<[Endpoint]>,
    primary: Arc<Primary>,
    wanted: Wanted,
}

/// The place of an address that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The one that takes writes.
    Primary,
    /// The only one, whatever it is, for reads that may be old.
    Secondary,
}

impl Address {
    /// Reads a URL. What follows its hosts is said of each of them.
    pub(super) fn parse(url: &SecretString) -> Result<Self, AddressError> {
        let text = url.expose_secret();
        let rest = text.strip_prefix("mysql://").ok_or(AddressError::Scheme)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (account, hosts) = match authority.rsplit_once('@') {
            Some((account, hosts)) => (format!("{account}@"), hosts),
            None => (String::new(), authority),
        };
        let hosts: Vec<&str> = hosts.split(',').collect();
        if hosts.len() > PLACES_MAX {
            return Err(AddressError::TooMany);
        }
        let mut endpoints = Vec::with_capacity(hosts.len());
        for host in hosts {
            let endpoint = Endpoint::parse(&format!("mysql://{account}{host}{path}"))?;
            if endpoints
                .iter()
                .any(|other: &Endpoint| other.name == endpoint.name)
            {
                return Err(AddressError::SamePlace(endpoint.name));
            }
            endpoints.push(endpoint);
        }
        if endpoints.len() > 1 && endpoints.iter().any(Endpoint::is_socket) {
            return Err(AddressError::SocketOfSeveral);
        }
        Ok(Self {
            endpoints: endpoints.into(),
            primary: Arc::default(),
            wanted: Wanted::Primary,
        })
    }

    /// Reads a URL of secondaries: an address of each, with its host and port for people.
    pub(super) fn parse_secondaries(
        url: &SecretString,
    ) -> Result<Vec<(String, Self)>, AddressError> {
        let endpoints = Self::parse(url)?.endpoints;
        let secondary = |endpoint: &Endpoint| {
            let address = Self {
                endpoints: Arc::new([endpoint.clone()]),
                primary: Arc::default(),
                wanted: Wanted::Secondary,
            };
            (endpoint.name.clone(), address)
        };
        Ok(endpoints.iter().map(secondary).collect())
    }

    /// A session with the database; where several places are given, with the one that takes writes.
    pub(super) async fn connect(
        &self,
        waits: SessionWaits,
    ) -> Result<(Conn, ReplicationState), DbError> {
        match (self.wanted, &*self.endpoints) {
            (Wanted::Secondary, [only]) => session::begin_at_secondary(only, waits).await,
            _ => self.primary.connect(&self.endpoints, waits).await,
        }
    }

    /// What is known of where the primary is, and which connections are not to be used any more.
    pub(super) fn primary(&self) -> &Primary {
        &self.primary
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
