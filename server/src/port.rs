//! The port: where callers connect. Every connection has a place here or is shut out, says in time
//! that it speaks HTTP/2, and is served within bounds that it cannot move; what is asked on it is
//! the business of the services behind.
//!
//! Whoever reaches the port may open connections, known or not. So what it holds for one connection
//! is bounded, so is their number, and health answers when both are met.

mod accept;
pub mod command_line;
mod connection;
mod descriptors;
mod places;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tower::Layer as _;

use self::accept::Acceptor;
use self::connection::Served;
use self::places::{Limits, Places};
use crate::drain::Drain;
use crate::rpc;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::port::PortMetrics;
use crate::tls::front::Front;

pub use self::places::RESERVE;

/// Connections in all, where nothing else is said.
pub const CONNECTIONS_DEFAULT: usize = 4_096;
/// Connections from one address, where nothing else is said: a balancer in front is one address.
pub const ADDRESS_CONNECTIONS_DEFAULT: usize = 1_024;
/// Between the connection and the end of HTTP/2's preface.
const PREFACE_MAX: Duration = Duration::from_secs(5);

/// The bounds of one port.
#[derive(Debug, Clone, Copy)]
pub struct PortSettings {
    /// Connections in all; fewer, where the process may not have as many descriptors.
    pub connections: usize,
    /// Connections from one address, or from one /64 of IPv6.
    pub address_connections: usize,
    /// See [`PREFACE_MAX`]; less or more only for tests.
    pub preface_max: Duration,
}

impl Default for PortSettings {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_DEFAULT,
            address_connections: ADDRESS_CONNECTIONS_DEFAULT,
            preface_max: PREFACE_MAX,
        }
    }
}

/// A port that is open until its drain closes it.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    /// The acceptor and the connections.
    tasks: TaskTracker,
}

impl Port {
    /// Serves `routes` on `listener`, by TLS or in clear. Descriptors that are open by now count as used for ever.
    pub fn open(
        listener: TcpListener,
        settings: PortSettings,
        tls: Option<Arc<Front>>,
        drain: &Drain,
        routes: Routes,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let metrics = PortMetrics::new(metrics);
        let limits = Limits {
            all: descriptors::fit(settings.connections)?,
            address: settings.address_connections,
        };
        // What is no call, or too large, is refused before anything reads it; the drain is
        // outermost, to count what anybody else refuses too.
        let calls = drain
            .layer()
            .layer(rpc::edge::layer().layer(routes.prepare()));
        let served = Served {
            calls,
            tls,
            drain: drain.clone(),
            metrics: metrics.clone(),
            preface_max: settings.preface_max,
        };
        let places = Places::new(limits, metrics.clone());
        let tasks = TaskTracker::new();
        let acceptor = Acceptor::new(listener, places, served, metrics, tasks.clone());
        tasks.spawn(acceptor.run());
        tasks.close();
        Ok(Self { address, tasks })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends with the last connection.
    pub async fn closed(&self) {
        self.tasks.wait().await;
    }
}
