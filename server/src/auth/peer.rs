//! The peer of a connection, as the port knows it: where it calls from, and what its certificate
//! proves.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// Of a name, in bytes; a SPIFFE id has no more.
pub const NAME_BYTES_MAX: usize = 2_048;

/// The peer of a connection. The port puts it on every request.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: SocketAddr,
    /// The names in the client certificate that the port has verified; empty where it has none.
    pub names: Arc<[PeerName]>,
}

impl Peer {
    /// A peer that brought no certificate.
    pub fn without_certificate(address: SocketAddr) -> Self {
        Self {
            address,
            names: Arc::new([]),
        }
    }
}

/// A name in a client certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerName {
    /// A SPIFFE id, such as `spiffe://example.org/warehouse`.
    Spiffe(String),
    /// A DNS name, in lower case.
    Dns(String),
}

const SPIFFE: &str = "spiffe://";
const DNS: &str = "dns:";

impl PeerName {
    /// Reads a name as a key file writes it: `spiffe://example.org/warehouse` or
    /// `dns:warehouse.example.org`. It is compared whole: there are no patterns.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > NAME_BYTES_MAX {
            return Err("must have at most 2048 bytes");
        }
        if let Some(rest) = text.strip_prefix(SPIFFE) {
            let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
            let is_domain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_');
            let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            let segments_hold = path
                .split('/')
                .all(|part| !matches!(part, "" | "." | "..") && part.chars().all(is_path));
            if domain.is_empty() || !domain.chars().all(is_domain) || !segments_hold {
                return Err("must be a SPIFFE id with a trust domain and a path");
            }
            return Ok(Self::Spiffe(text.to_owned()));
        }
        let name = text
            .strip_prefix(DNS)
            .ok_or("must begin with spiffe:// or dns:")?;
        let is_label = |label: &str| {
            let is_inside =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
            !label.is_empty() && label.len() <= 63 && label.chars().all(is_inside)
        };
        if name.len() > 253 || !name.split('.').all(is_label) {
            return Err("must be a DNS name in lower case, without wildcards");
        }
        Ok(Self::Dns(name.to_owned()))
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerName::Spiffe(id) => f.write_str(id),
            PeerName::Dns(name) => write!(f, "{DNS}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_whole() {
        for good in [
            "spiffe://example.org/warehouse",
            "spiffe://example.org/ns/shop/sa/web.1",
            "dns:warehouse.example.org",
            "dns:localhost",
        ] {
            assert_eq!(PeerName::parse(good).unwrap().to_string(), good);
        }
        let long = format!("spiffe://a/{}", "x".repeat(NAME_BYTES_MAX - 11));
        assert!(PeerName::parse(&long).is_ok());
        for odd in [
            "",
            "warehouse.example.org",
            "spiffe://",
            "spiffe://example.org",
            "spiffe://example.org/",
            "spiffe:///warehouse",
            "spiffe://example.org/a//b",
            "spiffe://example.org/../b",
            "spiffe://Example.org/a",
            "spiffe://example.org/a?b",
            "dns:",
            "dns:*.example.org",
            "dns:Example.org",
            "dns:a..b",
            "https://example.org",
            &format!("{long}x"),
        ] {
            assert!(PeerName::parse(odd).is_err(), "{odd}");
        }
    }
}
