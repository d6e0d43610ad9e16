//! The composition root: what is built from what, in which order it starts and in which it stops.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use belay_proto::v1;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;

use crate::App;
use crate::db::pool::{Pool, PoolSettings};
use crate::db::{clock, migrate, settings};
use crate::engine::{DATABASE_WAIT_MAX, Engine, EngineSettings};
use crate::reads::Reads;
use crate::reference::Stores;
use crate::rpc::{self, auth::Authentication};
use crate::workers;

/// Streams that one connection may have open at once; tonic's own default is no limit at all.
const CONNECTION_STREAMS_MAX: u32 = 1024;
/// Metadata of one request, in bytes.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Resets that a client may have pending before its connection is cut.
const PENDING_RESETS_MAX: usize = 256;
/// Between "not serving" and the first closed door, for balancers to notice.
const DRAIN_NOTICE: Duration = Duration::from_millis(200);
/// How long open calls may take once the server stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);
#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub database_url: SecretString,
    /// Connections to the database, held open.
    pub connections: usize,
    pub lanes: u16,
    pub manual_clock: bool,
    /// See [`DATABASE_WAIT_MAX`]; less only for tests.
    pub database_wait_max: Duration,
    pub authentication: Authentication,
}

impl ServerSettings {
    /// Enough for a small machine: two lanes, and connections for reads beside them.
    pub fn new(database_url: SecretString, authentication: Authentication) -> Self {
        Self {
            database_url,
            connections: 16,
            lanes: 2,
            manual_clock: false,
            database_wait_max: DATABASE_WAIT_MAX,
            authentication,
        }
    }
}

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: Arc<App>,
    health: HealthReporter,
    stop: CancellationToken,
    close_doors: CancellationToken,
    tasks: TaskTracker,
}

impl Server {
    /// Refuses a database whose schema it does not know, then serves on `listener`.
    pub async fn start(settings: ServerSettings, listener: TcpListener) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let app = Arc::new(build_app(&settings).await?);
        let (health, health_service) = tonic_health::server::health_reporter();
        let (stop, close_doors) = (CancellationToken::new(), CancellationToken::new());
        let tasks = TaskTracker::new();

        let reflection = |builder: tonic_reflection::server::Builder<'static>| {
            let builder = builder
                .register_encoded_file_descriptor_set(belay_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
            match settings.manual_clock {
                true => builder.register_encoded_file_descriptor_set(belay_proto::testing::FILE_DESCRIPTOR_SET),
                false => builder,
            }
        };
        let routes = rpc::routes(app.clone(), &settings.authentication)
            .add_service(health_service.accept_compressed(rpc::edge::COMPRESSION))
            .add_service(reflection(tonic_reflection::server::Builder::configure()).build_v1()?)
            // Older tools ask this one.
            .add_service(reflection(tonic_reflection::server::Builder::configure()).build_v1alpha()?);
        let router = tonic::transport::Server::builder()
            .max_concurrent_streams(CONNECTION_STREAMS_MAX)
            .http2_max_header_list_size(HEADERS_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
            .http2_max_local_error_reset_streams(Some(PENDING_RESETS_MAX))
            // Outermost: what is no call, or too large, is refused before anything reads it.
            .layer(rpc::edge::layer())
            .add_routes(routes);

        // Nagle's algorithm would hold back small replies.
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tasks.spawn({
            let close_doors = close_doors.clone();
            async move {
                let served = router.serve_with_incoming_shutdown(incoming, close_doors.cancelled_owned()).await;
                if let Err(error) = served {
                    tracing::error!(%error, "the listener failed");
                }
            }
        });
        tasks.spawn(until(stop.clone(), app.pool.reaper()));
        tasks.spawn(app.stores.clone().keep_fresh(stop.clone()));
        tasks.spawn(workers::settle_due_orders::run(app.clone(), stop.clone()));
        tasks.spawn(workers::watch_health::run(app.clone(), health.clone(), SERVICES.to_vec(), stop.clone()));
        if let Authentication::CallersFile(callers) = &settings.authentication {
            tasks.spawn(workers::reread_callers::run(callers.clone(), stop.clone()));
        }
        tasks.close();
        Ok(Self { address, app, health, stop, close_doors, tasks })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Says that it stops, lets open calls end, commits what was taken, and is gone. Calls that take longer than
    /// `DRAIN_MAX` are cut; what they asked lands whole or not at all.
    pub async fn stop(self) {
        self.stop.cancel();
        for service in SERVICES.iter().copied().chain([""]) {
            self.health.set_service_status(service, tonic_health::ServingStatus::NotServing).await;
        }
        tokio::time::sleep(DRAIN_NOTICE).await;
        self.close_doors.cancel();
        if tokio::time::timeout(DRAIN_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("open calls did not end in time and are cut");
        }
        self.app.engine.stop().await;
        self.app.reads.stop().await;
        tracing::info!("stopped");
    }
}

/// Services that report their health.
const SERVICES: &[&str] = &[
    v1::order_service_server::SERVICE_NAME,
    v1::cancellation_service_server::SERVICE_NAME,
    v1::fulfillment_service_server::SERVICE_NAME,
    v1::refund_service_server::SERVICE_NAME,
    v1::store_service_server::SERVICE_NAME,
    v1::policy_service_server::SERVICE_NAME,
];

/// Runs what has no end of its own until the server stops.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

async fn build_app(settings: &ServerSettings) -> anyhow::Result<App> {
    let pool_settings = PoolSettings { size: settings.connections, ..PoolSettings::default() };
    let pool = Pool::new(&settings.database_url, pool_settings).context("the database's address")?;
    let mut connection = pool.checkout().await.context("the database cannot be reached")?;
    migrate::check(&mut connection).await?;
    let database = settings::read(&mut connection).await?;
    if settings.manual_clock {
        clock::start_manual(&mut connection).await?;
    }
    connection.finish();
    pool.warm().await.context("the database does not take as many connections as are configured")?;

    let stores = Stores::new(pool.clone());
    let engine = Engine::start(
        pool.clone(),
        stores.clone(),
        &EngineSettings {
            lanes: settings.lanes,
            partitions: database.partitions,
            manual_clock: settings.manual_clock,
            database_wait_max: settings.database_wait_max,
        },
    );
    let reads = Reads::start(pool.clone(), settings.manual_clock);
    Ok(App {
        engine,
        reads,
        stores,
        pool,
        identity_key: database.identity_key,
        partitions: database.partitions,
        manual_clock: settings.manual_clock,
    })
}
