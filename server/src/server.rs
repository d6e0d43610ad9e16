//! The composition root: it builds the server, starts its parts in order and stops them in order.

mod build;

use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use belay_proto::v1;
use belay_wire::auth::is_administration;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::App;
use crate::admin_port::{AdminPort, CONSOLE_PATH, WithConsole};
use crate::auth::Authentication;
use crate::bulk::{self, BulkSettings};
use crate::caller_limits::CallerSettings;
use crate::connect::{Connect, HttpSettings};
use crate::console;
use crate::db::pool::{CONNECTION_WAIT_DEFAULT, PoolSettings};
use crate::db::shares::Share;
use crate::drain::{Drain, Drained};
use crate::engine::{DATABASE_WAIT_MAX, EngineBounds};
use crate::feed::FeedSettings;
use crate::identity_keys::IdentityKeys;
use crate::page_gate::PageSettings;
use crate::port::{Doors, Port, PortSettings, Which};
use crate::profiles::Profiling;
use crate::projections;
use crate::reads::READ_QUEUE_MAX;
use crate::retention::RetentionSettings;
use crate::rpc;
use crate::rpc::edge::Methods;
use crate::secondaries::SecondarySettings;
use crate::simulation::SimulationSettings;
use crate::telemetry::Telemetry;
use crate::telemetry::calls::LOG_READS_DEFAULT;
use crate::telemetry::runtime;
use crate::telemetry::tls::TlsMetrics;
use crate::tls::config::TlsSettings;
use crate::tls::front::Front;
use crate::workers;
use crate::workers::settle_due_orders::IN_FLIGHT_MAX;
use crate::workers::watch_health::WatchHealth;

/// The default delay between telling NOT_SERVING and closing the port, so that balancers notice.
pub const STOP_NOTICE_DEFAULT: Duration = Duration::from_secs(3);
/// How long open calls may take once the doors are closed.
pub const DRAIN_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct ServerSettings {
    pub database_url: SecretString,
    /// Versions of migrations of newer releases that the database may have.
    pub newer_schema: BTreeSet<String>,
    /// Databases that may answer reads which may be old; none where every read is the primary's.
    pub secondaries: Option<SecondarySettings>,
    /// Connections to the database, held open; divided as [`crate::db::shares::Shares`] says.
    pub connections: usize,
    pub lanes: u16,
    /// Of the lanes.
    pub engine: EngineBounds,
    /// See [`READ_QUEUE_MAX`].
    pub read_queue: usize,
    /// See [`IN_FLIGHT_MAX`].
    pub settling_orders: usize,
    pub manual_clock: bool,
    /// How long somebody waits for a free connection.
    pub connection_wait_max: Duration,
    /// See [`DATABASE_WAIT_MAX`].
    pub database_wait_max: Duration,
    /// See [`PoolSettings::lock_wait_max`]; more only for tests.
    pub lock_wait_max: Duration,
    /// See [`PoolSettings::statement_wait_max`]; less only for tests.
    pub statement_wait_max: Duration,
    /// See [`LOOK_INTERVAL`](workers::evaluate_sellers::LOOK_INTERVAL); more only for tests.
    pub sellers_interval: Duration,
    /// How long a server that stops goes on serving after it has said that it does not.
    pub stop_notice: Duration,
    /// See [`DRAIN_MAX`].
    pub drain_max: Duration,
    pub authentication: Authentication,
    pub port: PortSettings,
    /// HTTP beside gRPC, at the port of all callers; none is gRPC alone.
    pub http: Option<HttpSettings>,
    /// None is a port in clear.
    pub tls: Option<TlsSettings>,
    /// Where the admin port is opened, if it is.
    pub admin_address: Option<SocketAddr>,
    /// Whether the admin port shows the console.
    pub console: bool,
    /// Whether the admin port gives out profiles.
    pub profiling: Profiling,
    /// Where administration is called, if not at the port of all callers.
    pub administration_address: Option<SocketAddr>,
    /// Whether the server tells anybody of its methods.
    pub reflection: bool,
    /// One of so many successful reads has a line in the log; 0 is none.
    pub log_reads: u32,
    pub pages: PageSettings,
    /// What each caller may ask for.
    pub callers: CallerSettings,
    pub feed: FeedSettings,
    pub bulk: BulkSettings,
    pub simulation: SimulationSettings,
    pub retention: RetentionSettings,
    /// Whether a policy version is activated by another person than its author.
    pub two_person_activation: bool,
    /// Whether a database is served of which several members take writes.
    pub several_primaries: bool,
    /// None where they are in the database.
    pub identity_keys: Option<IdentityKeys>,
    pub telemetry: Telemetry,
}

impl ServerSettings {
    /// Enough for a small machine: two lanes, and connections for reads beside them.
    pub fn new(database_url: SecretString, authentication: Authentication) -> Self {
        Self {
            database_url,
            newer_schema: BTreeSet::new(),
            secondaries: None,
            connections: 16,
            lanes: 2,
            engine: EngineBounds::default(),
            read_queue: READ_QUEUE_MAX,
            settling_orders: IN_FLIGHT_MAX,
            manual_clock: false,
            connection_wait_max: CONNECTION_WAIT_DEFAULT,
            database_wait_max: DATABASE_WAIT_MAX,
            lock_wait_max: PoolSettings::default().lock_wait_max,
            statement_wait_max: PoolSettings::default().statement_wait_max,
            sellers_interval: workers::evaluate_sellers::LOOK_INTERVAL,
            stop_notice: STOP_NOTICE_DEFAULT,
            drain_max: DRAIN_MAX,
            authentication,
            port: PortSettings::default(),
            http: None,
            tls: None,
            admin_address: None,
            console: false,
            profiling: Profiling::Off,
            administration_address: None,
            reflection: true,
            log_reads: LOG_READS_DEFAULT,
            pages: PageSettings::default(),
            callers: CallerSettings::default(),
            feed: FeedSettings::default(),
            bulk: BulkSettings::default(),
            simulation: SimulationSettings::default(),
            retention: RetentionSettings::default(),
            two_person_activation: false,
            several_primaries: false,
            identity_keys: None,
            telemetry: Telemetry::local(),
        }
    }
}

impl ServerSettings {
    /// On a machine of one's own there is nobody to keep the database's key from.
    fn tells_of_keys(&self) -> bool {
        !matches!(self.authentication, Authentication::Dev)
    }
}

/// A server that runs until it is stopped.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    health: HealthReporter,
    stop: CancellationToken,
    workers: TaskTracker,
    drain: Drain,
    port: Port,
    administration: Option<Port>,
    admin: Option<AdminPort>,
    stop_notice: Duration,
    drain_max: Duration,
}

impl Server {
    /// Refuses a database whose schema it does not know, then serves on `listener`.
    pub async fn start(settings: ServerSettings, listener: TcpListener) -> anyhow::Result<Self> {
        let tls = open_tls(&settings)?;
        let (health, health_service) = tonic_health::server::health_reporter();
        // Open before anything that may take long, and not ready until the first look is over.
        say_not_serving(&health).await;
        let admin = open_admin_port(&settings, &health).await?;
        let app = Arc::new(build::app(&settings).await?);
        app.telemetry.metrics.observe(&app);
        runtime::observe(&app.telemetry.metrics, &Handle::current());
        // What is first said of its health is true.
        let mut watch_health = WatchHealth::new(app.clone(), health.clone(), SERVICES);
        watch_health.look().await;
        let drain = Drain::new();

        let mut routes = rpc::routes(app.clone(), &settings.authentication, settings.callers)
            .add_service(health_service.accept_compressed(rpc::edge::COMPRESSION));
        if settings.reflection {
            routes = routes
                .add_service(reflection(settings.manual_clock).build_v1()?)
                // Older tools ask this one.
                .add_service(reflection(settings.manual_clock).build_v1alpha()?);
        }
        if let Some(admin) = admin.as_ref().filter(|_| settings.console) {
            let authentication = settings.authentication.clone();
            let console = console::router(app.clone(), authentication, routes.clone(), &drain)?;
            admin.serve_console(console);
            tracing::info!(address = %admin.address(), "the console is on, at {CONSOLE_PATH}/");
        }
        let (port, administration) =
            open_ports(&settings, listener, tls.as_ref(), &drain, routes, &app).await?;

        let stop = CancellationToken::new();
        let workers = start_workers(&app, watch_health, &settings, tls, &stop);
        let ServerSettings {
            stop_notice,
            drain_max,
            ..
        } = settings;
        Ok(Self {
            app,
            health,
            stop,
            workers,
            drain,
            port,
            administration,
            admin,
            stop_notice,
            drain_max,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where calls over HTTP are taken, if they are.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.port.http_address()
    }

    /// Of the port for administration, if it has one of its own.
    pub fn administration_address(&self) -> Option<SocketAddr> {
        self.administration.as_ref().map(Port::address)
    }

    /// Of the admin port, if it is open.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(AdminPort::address)
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Says that it does not serve, goes on serving for the notice, then lets open calls end,
    /// commits what was taken, and is gone. Calls that take longer than `drain_max` are cut; what
    /// they asked lands whole or not at all. Connections without a call, and streams of health and
    /// reflection, are closed and not waited for.
    pub async fn stop(self) -> Drained {
        self.stop.cancel();
        // Nothing says "serving" after this.
        self.workers.wait().await;
        say_not_serving(&self.health).await;
        self.app.telemetry.metrics.serving(false);
        if !self.stop_notice.is_zero() {
            tracing::info!(
                notice_ms = self.stop_notice.as_millis(),
                "not serving; the doors close after the notice"
            );
            tokio::time::sleep(self.stop_notice).await;
        }
        self.app.closing.cancel();
        self.app.feed.close();
        let closed = async {
            self.port.closed().await;
            if let Some(administration) = &self.administration {
                administration.closed().await;
            }
        };
        let drained = self.drain.finish(closed, self.drain_max).await;
        self.app.engine.stop().await;
        self.app.reads.stop().await;
        self.app.feed.stop().await;
        self.app.simulations.stop().await;
        // Last: until here somebody may want to see how the stop goes.
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
        tracing::info!("stopped");
        drained
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
    v1::event_service_server::SERVICE_NAME,
    v1::inventory_service_server::SERVICE_NAME,
    v1::seller_service_server::SERVICE_NAME,
    v1::bulk_service_server::SERVICE_NAME,
];

/// Of every service, and of the server as a whole.
pub(crate) async fn serving_everywhere(health: &HealthReporter) {
    for service in SERVICES.iter().copied().chain([""]) {
        health
            .set_service_status(service, tonic_health::ServingStatus::Serving)
            .await;
    }
}

/// Of every service, and of the server as a whole.
async fn say_not_serving(health: &HealthReporter) {
    for service in SERVICES.iter().copied().chain([""]) {
        health
            .set_service_status(service, tonic_health::ServingStatus::NotServing)
            .await;
    }
}

async fn open_admin_port(
    settings: &ServerSettings,
    health: &HealthReporter,
) -> anyhow::Result<Option<AdminPort>> {
    let Some(address) = settings.admin_address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("the admin port cannot listen on {address}"))?;
    let metrics = settings.telemetry.metrics.clone();
    let console = if settings.console {
        WithConsole::Yes
    } else {
        WithConsole::No
    };
    let admin = AdminPort::start(
        listener,
        health.clone(),
        metrics,
        console,
        settings.profiling,
    )?;
    tracing::info!(address = %admin.address(), "the admin port is open");
    Ok(Some(admin))
}

fn open_tls(settings: &ServerSettings) -> anyhow::Result<Option<Arc<Front>>> {
    let Some(tls) = &settings.tls else {
        return Ok(None);
    };
    let metrics = TlsMetrics::new(&settings.telemetry.metrics);
    let front = Front::open(tls.clone(), metrics).map_err(anyhow::Error::msg)?;
    Ok(Some(Arc::new(front)))
}

/// The port of all callers, and one for administration where it has an address.
async fn open_ports(
    settings: &ServerSettings,
    listener: TcpListener,
    tls: Option<&Arc<Front>>,
    drain: &Drain,
    routes: Routes,
    app: &App,
) -> anyhow::Result<(Port, Option<Port>)> {
    let metrics = &app.telemetry.metrics;
    let tls = || tls.cloned();
    let Some(address) = settings.administration_address else {
        let doors = open_doors(settings, listener, tls(), settings.port.which).await?;
        let port = Port::open(doors, settings.port, drain, routes, metrics)?;
        return Ok((port, None));
    };
    let own = TcpListener::bind(address)
        .await
        .with_context(|| format!("administration cannot listen on {address}"))?;
    let doors = Doors {
        grpc: own,
        tls: tls(),
        http: None,
    };
    let of_port = settings.port.of_administration();
    let administration = Port::open(doors, of_port, drain, routes.clone(), metrics)?;
    tracing::info!(address = %administration.address(), "administration has a port of its own");
    let of_port = settings.port.beside_administration();
    let doors = open_doors(settings, listener, tls(), of_port.which).await?;
    let port = Port::open(doors, of_port, drain, routes, metrics)?;
    Ok((port, Some(administration)))
}

/// The doors of the port of all callers.
async fn open_doors(
    settings: &ServerSettings,
    grpc: TcpListener,
    tls: Option<Arc<Front>>,
    which: Which,
) -> anyhow::Result<Doors> {
    let Some(http) = &settings.http else {
        return Ok(Doors {
            grpc,
            tls,
            http: None,
        });
    };
    let listener = TcpListener::bind(http.address)
        .await
        .with_context(|| format!("HTTP cannot listen on {}", http.address))?;
    tracing::info!(address = %listener.local_addr()?, "calls over HTTP are taken");
    let mut sets = vec![
        belay_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
    ];
    if settings.manual_clock {
        sets.push(belay_proto::testing::FILE_DESCRIPTOR_SET);
    }
    let has_administration = which.methods() == Methods::All;
    let is_served = |path: &str| has_administration || !is_administration(path);
    let connect = Connect::new(&sets, http.origins.clone(), settings.reflection, is_served)?;
    Ok(Doors {
        grpc,
        tls,
        http: Some((listener, connect)),
    })
}

pub(crate) fn reflection(manual_clock: bool) -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(belay_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    if manual_clock {
        builder.register_encoded_file_descriptor_set(belay_proto::testing::FILE_DESCRIPTOR_SET)
    } else {
        builder
    }
}

fn start_workers(
    app: &Arc<App>,
    watch_health: WatchHealth,
    settings: &ServerSettings,
    tls: Option<Arc<Front>>,
    stop: &CancellationToken,
) -> TaskTracker {
    let workers = TaskTracker::new();
    for share in Share::ALL {
        workers.spawn(until(stop.clone(), app.pools.of(share).reaper()));
    }
    workers.spawn(until(stop.clone(), app.stores.clone().keep_fresh()));
    let secondaries = app.secondaries.clone();
    let follow = secondaries.run(app.pools.upkeep.clone());
    workers.spawn(until(stop.clone(), follow));
    let settle = workers::settle_due_orders::run(app.clone(), settings.settling_orders);
    workers.spawn(until(stop.clone(), settle));
    let evaluate = workers::evaluate_sellers::run(app.clone(), settings.sellers_interval);
    workers.spawn(until(stop.clone(), evaluate));
    // It ends by itself: what it owns is to be given back.
    workers.spawn(bulk::run::run(app.clone(), stop.clone()));
    let project = projections::run(app.clone());
    workers.spawn(until(stop.clone(), project));
    workers.spawn(until(stop.clone(), watch_health.run()));
    let prune = workers::prune_old_rows::run(app.clone(), settings.retention);
    workers.spawn(until(stop.clone(), prune));
    let read_figures = workers::read_figures::run(app.clone());
    workers.spawn(until(stop.clone(), read_figures));
    let metrics = || app.telemetry.metrics.clone();
    if let Authentication::Credentials(credentials) = &settings.authentication {
        if let Some(key_file) = credentials.key_file.clone() {
            let reload = workers::reload_key_file::run(key_file, metrics());
            workers.spawn(until(stop.clone(), reload));
        }
        if let Some(jwt) = credentials.jwt.clone() {
            let metrics = metrics();
            let keep_fresh = async move { jwt.keep_fresh(&metrics).await };
            workers.spawn(until(stop.clone(), keep_fresh));
        }
    }
    if let Authentication::Proxy(proxy) = &settings.authentication {
        let reload = workers::reload_proxy_secret::run(proxy.clone(), metrics());
        workers.spawn(until(stop.clone(), reload));
    }
    if let Some(tls) = tls {
        let reload = workers::reload_tls::run(tls, metrics());
        workers.spawn(until(stop.clone(), reload));
    }
    workers.close();
    workers
}

/// Runs what has no end of its own until the server stops.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}
