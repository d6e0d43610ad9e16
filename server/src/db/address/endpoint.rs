//! One place where a database may be: a host and its port, or a socket file.

use std::fmt;

use diesel_async::AsyncMysqlConnection;
use mysql_async::{DriverError, Opts, OptsBuilder};
use url::Url;

use super::tls::Tls;
use super::{AddressError, Parameters, refused};
use crate::db::Conn;
use crate::db::error::{self, DbError, ErrorKind};

/// One place where a database may be.
#[derive(Clone)]
pub(super) struct Endpoint {
    opts: Opts,
    pub(super) tls: Option<Tls>,
    /// Its host and port, for people.
    pub(super) name: String,
}

/// Without the password.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("host", &self.opts.ip_or_hostname())
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Reads a URL of one host.
    pub(super) fn parse(text: &str) -> Result<Self, AddressError> {
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
        let name = format!("{}:{}", opts.ip_or_hostname(), opts.tcp_port());
        Ok(Self { opts, tls, name })
    }

    #[cfg(test)]
    pub(super) fn opts(&self) -> &Opts {
        &self.opts
    }

    pub(super) fn is_socket(&self) -> bool {
        self.opts.socket().is_some()
    }

    /// Connects. The files of TLS are read each time, so that a certificate that was renewed is
    /// taken over; so is the host's name resolved each time.
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
        let conn = connected.map_err(refusal)?;
        Ok(AsyncMysqlConnection::try_from(conn).await?)
    }
}

fn refusal(error: mysql_async::Error) -> DbError {
    use mysql_async::{Error, IoError};
    let message = match error {
        Error::Server(error) => {
            let by_number = error::kind_of_number(error.code);
            return DbError::Connect {
                kind: by_number.unwrap_or_else(|| error::kind_of_text(&error.message)),
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

fn unreachable(message: String) -> DbError {
    DbError::Connect {
        kind: ErrorKind::Unavailable,
        message,
    }
}
