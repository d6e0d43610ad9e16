//! The source of the keys of an issuer: a file, or a URL.
//!
//! No redirect is followed and no proxy of the environment is used. Without TLS whoever is on the
//! way could say which keys count, so that is for loopback alone.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::Algorithms;
use super::keys::{KeySet, KeySetError, SET_BYTES_MAX};
use crate::auth::key_file::RELOAD_INTERVAL;
use crate::trusted_file;

/// For the whole of one request, the connection and the answer included.
pub(super) const FETCH_MAX: Duration = Duration::from_secs(10);
/// The longest that a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Of a URL, in bytes.
pub(super) const URL_BYTES_MAX: usize = 2_048;

/// The source of an issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    File(PathBuf),
    Url(Uri),
}

/// The reason why keys cannot be had from their source.
#[derive(Debug, thiserror::Error)]
#[error("the keys of JWTs cannot be had from {from}: {why}")]
pub struct KeySourceError {
    from: String,
    why: String,
}

impl FromStr for KeySource {
    type Err = String;

    /// A URL is what has a scheme, all else is a file.
    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Self::File(PathBuf::from(text)));
        }
        if text.len() > URL_BYTES_MAX {
            return Err(format!("must have at most {URL_BYTES_MAX} bytes"));
        }
        let malformed = "must be a file, or an https URL";
        let url: Uri = text.parse().map_err(|_| malformed)?;
        let authority = url.authority().ok_or(malformed)?;
        if authority.as_str().contains('@') {
            return Err("must have no user and password: keys are public".to_owned());
        }
        match url.scheme_str() {
            Some("https") => Ok(Self::Url(url)),
            Some("http") if is_loopback(authority.host()) => Ok(Self::Url(url)),
            Some("http") => Err(
                "must be https: without TLS whoever is on the way says which keys count".to_owned(),
            ),
            Some(_) | None => Err(malformed.to_owned()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

impl KeySource {
    /// Between two times that it is read: a file costs little.
    pub(super) fn interval(&self, refresh: Duration) -> Duration {
        match self {
            KeySource::File(_) => RELOAD_INTERVAL,
            KeySource::Url(_) => refresh,
        }
    }

    pub(super) async fn read(&self, algorithms: &Algorithms) -> Result<KeySet, KeySourceError> {
        let (from, json) = match self {
            KeySource::File(path) => {
                let opened = path.clone();
                // A file may be on a slow disk. Whoever writes it makes callers.
                let read = move || trusted_file::read(&opened, SET_BYTES_MAX);
                let read = tokio::task::spawn_blocking(read).await;
                let read = read.unwrap_or_else(|error| Err(error.to_string()));
                (path.display().to_string(), read.map(|file| file.bytes))
            }
            KeySource::Url(url) => {
                let fetched = tokio::time::timeout(FETCH_MAX, fetch(url)).await;
                let json = fetched.unwrap_or_else(|_| Err(format!("no answer in {FETCH_MAX:?}")));
                (url.to_string(), json)
            }
        };
        let keys = json.and_then(|json| {
            KeySet::parse(&json, algorithms).map_err(|error: KeySetError| error.to_string())
        });
        keys.map_err(|why| KeySourceError { from, why })
    }
}

fn too_large() -> String {
    format!("may have at most {SET_BYTES_MAX} bytes")
}

async fn fetch(url: &Uri) -> Result<Vec<u8>, String> {
    crate::tls::install_provider();
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_MAX));
    let https = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("the machine's roots cannot be read: {error}"))?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    // Every few minutes: a connection is not kept for it.
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(https);
    let request = Request::get(url.clone())
        .header(header::ACCEPT, "application/json")
        .header(
            header::USER_AGENT,
            concat!("belay/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let answer = client.request(request).await;
    let answer = answer.map_err(|error| causes(&error))?;
    if answer.status() != StatusCode::OK {
        return Err(format!("HTTP {}", answer.status().as_u16()));
    }
    let body = Limited::new(answer.into_body(), SET_BYTES_MAX)
        .collect()
        .await;
    match body {
        Ok(body) => Ok(body.to_bytes().to_vec()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(error) => Err(causes(error.as_ref())),
    }
}

/// An error with what it came from.
fn causes(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}
