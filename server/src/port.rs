//! The port: where callers connect. Every connection has a place here or is shut out, says in time
//! what it speaks, and is served within bounds that it cannot move; what is asked on it is
//! the business of the services behind.
//!
//! A port has a door for gRPC, and may have one for HTTP beside it: an address and an acceptor of
//! its own, before the same places, the same bounds and the same services.
//!
//! Whoever reaches the port may open connections, known or not. So what it holds for one connection
//! is bounded, so is their number, and health answers when both are met.

mod accept;
pub mod command_line;
mod connection;
mod descriptors;
mod places;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tower::Layer as _;
use tower::util::BoxCloneSyncService;

use self::accept::Acceptor;
use self::connection::Served;
use self::places::{Limits, Places};
use crate::connect::Connect;
use crate::drain::Drain;
use crate::rpc::edge::{self, Methods};
use crate::rpc::{BoundSettings, PortBounds};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::port::PortMetrics;
use crate::tls::config::HttpVersions;
use crate::tls::front::Front;

pub use self::places::RESERVE;

/// Connections in all, where nothing else is said.
pub const CONNECTIONS_DEFAULT: usize = 4_096;
/// Connections from one address, where nothing else is said: a balancer in front is one address.
pub const ADDRESS_CONNECTIONS_DEFAULT: usize = 1_024;
/// Between the connection and the end of HTTP/2's preface.
pub const PREFACE_MAX: Duration = Duration::from_secs(5);
/// After so long a connection takes no more calls, and its caller makes another, where nothing else
/// is said.
pub const AGE_DEFAULT: Duration = Duration::from_secs(3_600);
/// How long calls that are open then may go on; a stream of events lives less.
pub const AGE_GRACE: Duration = Duration::from_secs(35 * 60);
/// How long a caller may take nothing of its answer. Longer than the feed waits for its watchers,
/// which has a reason to tell them.
pub const STALL_MAX: Duration = Duration::from_secs(40);

/// Connections to a port for administration alone, in all and from one address.
const ADMINISTRATION_CONNECTIONS: usize = 64;
/// What such a port holds of requests, and of answers.
const ADMINISTRATION_BYTES: usize = 32 * 1024 * 1024;

/// A port among those of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The only one: every method is called here.
    Only,
    /// Every method but administration is called here.
    Callers,
    /// Every method is called here, by those who run the server.
    Administration,
}

impl Which {
    /// What can be called there.
    pub fn methods(self) -> Methods {
        match self {
            Which::Only | Which::Administration => Methods::All,
            Which::Callers => Methods::WithoutAdministration,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Which::Only | Which::Callers => "callers",
            Which::Administration => "administration",
        }
    }
}

/// The bounds of one port.
#[derive(Debug, Clone, Copy)]
pub struct PortSettings {
    pub which: Which,
    /// Connections in all; fewer, where the process may not have as many descriptors.
    pub connections: usize,
    /// Connections from one address, or from one /64 of IPv6.
    pub address_connections: usize,
    /// Descriptors that are to be left for others, beside those that every port leaves.
    pub descriptors_beside: usize,
    /// See [`PREFACE_MAX`]; less or more only for tests.
    pub preface_max: Duration,
    /// See [`STALL_MAX`]; less or more only for tests.
    pub stall_max: Duration,
    /// How long a connection takes calls, a tenth more or less; `None`: for ever.
    pub age_max: Option<Duration>,
    /// See [`AGE_GRACE`]; less only for tests.
    pub age_grace: Duration,
    pub bounds: BoundSettings,
}

impl Default for PortSettings {
    fn default() -> Self {
        Self {
            which: Which::Only,
            connections: CONNECTIONS_DEFAULT,
            address_connections: ADDRESS_CONNECTIONS_DEFAULT,
            descriptors_beside: 0,
            preface_max: PREFACE_MAX,
            stall_max: STALL_MAX,
            age_max: Some(AGE_DEFAULT),
            age_grace: AGE_GRACE,
            bounds: BoundSettings::default(),
        }
    }
}

impl PortSettings {
    /// Of the port for administration beside this one.
    #[must_use]
    pub fn of_administration(mut self) -> Self {
        self.which = Which::Administration;
        self.connections = ADMINISTRATION_CONNECTIONS;
        self.address_connections = ADMINISTRATION_CONNECTIONS;
        self.bounds.request_bytes = ADMINISTRATION_BYTES;
        self.bounds.answer_bytes = ADMINISTRATION_BYTES;
        self
    }

    /// Of the port beside which there is one for administration.
    #[must_use]
    pub fn beside_administration(mut self) -> Self {
        self.which = Which::Callers;
        self.descriptors_beside += ADMINISTRATION_CONNECTIONS + descriptors::SPARE + RESERVE;
        self
    }
}

/// The listeners of a port.
#[derive(Debug)]
pub struct Doors {
    pub grpc: TcpListener,
    /// `None`: in clear.
    pub tls: Option<Arc<Front>>,
    /// With what makes calls of gRPC of those over HTTP.
    pub http: Option<(TcpListener, Connect)>,
}

/// A port that is open until its drain closes it.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    http_address: Option<SocketAddr>,
    /// The acceptor and the connections.
    tasks: TaskTracker,
}

impl Port {
    /// Serves `routes` at `doors`. Descriptors that are open by now count as used for ever.
    pub fn open(
        doors: Doors,
        settings: PortSettings,
        drain: &Drain,
        routes: Routes,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let address = doors.grpc.local_addr()?;
        let metrics = PortMetrics::new(metrics, settings.which.name());
        let of_http = doors.http.as_ref().map_or(0, |_| descriptors::SPARE);
        let beside = settings.descriptors_beside + of_http;
        let limits = Limits {
            all: descriptors::fit(settings.connections, beside)?,
            address: settings.address_connections,
        };
        // What is no call, or too large, is refused before anything reads it; the drain is
        // outermost, to count what anybody else refuses too.
        let services = edge::layer(settings.which.methods()).layer(routes.prepare());
        let calls = BoxCloneSyncService::new(drain.layer().layer(services.clone()));
        let bounds = PortBounds::new(settings.bounds);
        let observed = bounds.clone();
        metrics.observe_bytes(move || [observed.request_bytes(), observed.answer_bytes()]);
        let tasks = TaskTracker::new();
        let served = Served {
            calls,
            versions: HttpVersions::Two,
            tls: doors.tls,
            drain: drain.clone(),
            metrics: metrics.clone(),
            bounds,
            tasks: tasks.clone(),
            preface_max: settings.preface_max,
            stall_max: settings.stall_max,
            age_max: settings.age_max,
            age_grace: settings.age_grace,
        };
        let places = Places::new(limits, metrics.clone());
        let open = |listener, served| {
            let acceptor = Acceptor::new(
                listener,
                places.clone(),
                served,
                metrics.clone(),
                tasks.clone(),
            );
            tasks.spawn(acceptor.run());
        };
        let mut http_address = None;
        if let Some((listener, connect)) = doors.http {
            http_address = Some(listener.local_addr()?);
            // An endless stream ends as gRPC has it, which is then told in Connect's words.
            let connect = connect.before(drain.ending_layer().layer(services));
            let http = Served {
                calls: BoxCloneSyncService::new(drain.counting_layer().layer(connect)),
                versions: HttpVersions::OneAndTwo,
                ..served.clone()
            };
            open(listener, http);
        }
        open(doors.grpc, served);
        tasks.close();
        Ok(Self {
            address,
            http_address,
            tasks,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Of the door for HTTP, if it has one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Ends with the last connection.
    pub async fn closed(&self) {
        self.tasks.wait().await;
    }
}
