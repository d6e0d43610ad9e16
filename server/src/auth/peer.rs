//! The peer of a connection, as the port knows it: where it calls from, and what its certificate proves.

use std::net::SocketAddr;
use std::sync::Arc;

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
