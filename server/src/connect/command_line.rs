//! The knobs of HTTP beside gRPC.

use std::net::SocketAddr;

use clap::Args;
use http::HeaderValue;
use url::Url;

use super::HttpSettings;
use crate::command_line::address::address;

/// Origins whose pages may call.
pub const ORIGINS_MAX: usize = 32;

/// The port of gRPC where nothing else is said.
const GRPC_PORT: u16 = 50_051;
/// The port of `dev` beside it.
const HTTP_PORT: u16 = 50_080;

/// HTTP beside gRPC.
#[derive(Debug, Clone, Args)]
pub struct HttpArguments {
    /// Where to listen for HTTP/1.1 and HTTP/2, for callers without gRPC: every method by POST, in
    /// JSON or protobuf, by the Connect protocol. With the TLS and the limits of the gRPC port,
    /// whose connections it shares. Off where it is not given; `dev` listens at 127.0.0.1:50080, or
    /// at any free port where its gRPC is not at its own.
    #[arg(long, env = "BELAY_HTTP_ADDRESS", value_name = "ADDRESS", value_parser = address)]
    http_address: Option<SocketAddr>,
    /// An origin whose pages may call over HTTP, as browsers write it: such as
    /// `https://shop.example.com`. Given several times, or with commas in between; at most 32.
    /// Without any, pages may not call.
    #[arg(
        long,
        env = "BELAY_HTTP_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    http_allow_origin: Vec<HeaderValue>,
}

/// The reason why flags of HTTP do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpArgumentsError {
    #[error("--http-allow-origin is of no use without --http-address, where its pages call")]
    NoAddress,
    #[error("--http-allow-origin may be given {ORIGINS_MAX} times at most")]
    TooManyOrigins,
}

impl HttpArguments {
    /// None is gRPC alone.
    ///
    /// # Errors
    /// Where they do not go together.
    pub fn settings(
        &self,
        default: Option<SocketAddr>,
    ) -> Result<Option<HttpSettings>, HttpArgumentsError> {
        if self.http_allow_origin.len() > ORIGINS_MAX {
            return Err(HttpArgumentsError::TooManyOrigins);
        }
        match self.http_address.or(default) {
            Some(address) => Ok(Some(HttpSettings {
                address,
                origins: self.http_allow_origin.clone(),
            })),
            None if self.http_allow_origin.is_empty() => Ok(None),
            None => Err(HttpArgumentsError::NoAddress),
        }
    }

    /// The address that is given.
    pub fn address(&self) -> Option<SocketAddr> {
        self.http_address
    }
}

/// Where `dev` takes calls over HTTP if nothing is said: beside its gRPC, or at any free port where
/// that is not at its own, as several may run.
pub fn dev_address(grpc: SocketAddr) -> SocketAddr {
    let port = if grpc.port() == GRPC_PORT {
        HTTP_PORT
    } else {
        0
    };
    SocketAddr::new(grpc.ip(), port)
}

/// Browsers compare it as text, so it is written as they write it.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let malformed = "must be an origin such as https://shop.example.com or http://localhost:5173: scheme, name \
        in lower case, a port that is not the scheme's own, and nothing behind it";
    let url = Url::parse(text).map_err(|_| malformed)?;
    let is_web = ["http", "https"].contains(&url.scheme());
    if !is_web || text.contains('*') || url.origin().ascii_serialization() != text {
        return Err(malformed.to_owned());
    }
    HeaderValue::from_str(text).map_err(|_| malformed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for good in [
            "https://shop.example.com",
            "http://localhost:5173",
            "http://[::1]:8080",
        ] {
            assert_eq!(origin(good).unwrap(), good);
        }
        for odd in [
            "",
            "*",
            "null",
            "shop.example.com",
            "https://",
            "https://shop.example.com/",
            "https://Shop.example.com",
            "https://shop.example.com:443",
            "https://*.example.com",
            "https://user@shop.example.com",
            "ftp://shop.example.com",
            "file:///",
        ] {
            assert!(origin(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn dev_has_its_own_port_beside_the_one_of_grpc_and_else_any() {
        let of = |grpc: &str| dev_address(grpc.parse().unwrap()).to_string();
        assert_eq!(of("127.0.0.1:50051"), "127.0.0.1:50080");
        assert_eq!(of("[::1]:50052"), "[::1]:0");
    }

    fn arguments(address: Option<&str>, origins: usize) -> HttpArguments {
        HttpArguments {
            http_address: address.map(|address| address.parse().unwrap()),
            http_allow_origin: vec![HeaderValue::from_static("http://a"); origins],
        }
    }

    #[test]
    fn origins_are_for_an_address_and_have_a_bound() {
        let settings = |address, origins| {
            arguments(address, origins)
                .settings(None)
                .map(|of| of.is_some())
        };
        let given = Some("127.0.0.1:1");
        assert_eq!(settings(None, 0), Ok(false));
        assert_eq!(settings(given, 0), Ok(true));
        assert_eq!(settings(None, 1), Err(HttpArgumentsError::NoAddress));
        assert_eq!(settings(given, ORIGINS_MAX), Ok(true));
        let beyond = Err(HttpArgumentsError::TooManyOrigins);
        assert_eq!(settings(given, ORIGINS_MAX + 1), beyond);
    }
}
