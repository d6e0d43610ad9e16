//! Delivery of events to those who have no gRPC: each is sent by POST, as a CloudEvent that is
//! signed, at least once and in the order of its order.
//!
//! Any number of instances run beside the servers on the same database. Under one name they share
//! the partitions of the feed (`leases`). What a partition may send next, and how far it is, is
//! plain data (`partition`); one loop reads, sends and stores (`courier`, `storing`). What the
//! receiver does not take is held in a row, and with it what comes behind it in its order; what it
//! never takes is a dead letter.

mod courier;
mod leases;
mod partition;
mod receiver;
mod retry;
mod signature;
mod storing;

pub mod command_line;
pub mod dead_letters;

use anyhow::Context as _;
use belay_domain::feed::Positions;
use belay_domain::scope::Scope;
use belay_proto::v1 as pb;
use belay_wire::cloud_events::CloudEvents;
use belay_wire::enums::numbers;
use belay_wire::events::Selector;
use belay_wire::parse::bounds::FILTER_IDS_MAX;
use belay_wire::resume::filter_hash;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::server::HealthReporter;

use self::command_line::{Deliver, Start};
use self::courier::{Bounds, Courier, Name, Parts};
use self::receiver::Receiver;
use self::signature::Secrets;
use crate::admin_port::{AdminPort, WithConsole};
use crate::db::pool::{Pool, PoolSettings};
use crate::db::{migrate, settings};
use crate::feed::{Feed, FeedSettings};
use crate::profiles::Profiling;
use crate::telemetry::Telemetry;
use crate::telemetry::deliveries::DeliveryMetrics;

/// Connections to the database: the loop needs one at a time, and one while it has another.
const CONNECTIONS: usize = 3;

/// Delivers until `stop` ends, and then gives back what it holds.
pub async fn run(
    asked: Deliver,
    telemetry: &Telemetry,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    asked.check()?;
    let secrets = Secrets::open(&asked.secret_file)?;
    let events = CloudEvents::new(belay_proto::FILE_DESCRIPTOR_SET, &asked.source)?;
    let sending_max = usize::from(asked.in_flight);
    let receiver = Receiver::new(asked.url.clone(), asked.timeout, sending_max)
        .context("the machine's root certificates cannot be read")?;
    let filter = filter(&asked)?;
    let (health, _service) = tonic_health::server::health_reporter();
    health
        .set_service_status("", tonic_health::ServingStatus::NotServing)
        .await;
    let admin = open_admin_port(&asked, &health, telemetry).await?;
    let pool_settings = PoolSettings {
        size: CONNECTIONS,
        ..PoolSettings::default()
    };
    let pool = Pool::told(&asked.database.url()?, pool_settings, telemetry.clone())
        .context("the database's address")?;
    let name = Name {
        consumer: asked.consumer.clone(),
        store: asked.store.clone(),
        selector: Selector::new(&filter, &Scope::EVERYTHING),
        filter: filter_hash(&filter),
    };
    let feed = begin(&pool, &asked, &name).await?;
    let courier = Courier::new(Parts {
        name,
        bounds: Bounds {
            sending_max,
            timeout: asked.timeout,
            lease: asked.lease,
            plan: asked.plan(),
            skips_pruned: asked.skip_pruned,
        },
        pool: pool.clone(),
        feed: feed.clone(),
        metrics: DeliveryMetrics::new(&telemetry.metrics),
        health,
        events,
        receiver,
        secret_file: asked.secret_file,
        secrets,
    });
    let host = asked.url.authority().map(ToString::to_string);
    tracing::info!(consumer = %asked.consumer, host, "delivering");
    let delivered = until_stopped(courier, &pool, stop).await;
    feed.stop().await;
    if let Some(admin) = admin {
        admin.stop().await;
    }
    delivered?;
    tracing::info!("stopped");
    Ok(())
}

async fn until_stopped(
    courier: Courier,
    pool: &Pool,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let stopping = CancellationToken::new();
    let (tasks, ended) = (TaskTracker::new(), CancellationToken::new());
    let (reaper, over) = (pool.reaper(), ended.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = reaper => {}
            () = over.cancelled() => {}
        }
    });
    tasks.close();
    let told = async {
        stop.await;
        tracing::info!("stopping");
        stopping.cancel();
        // It is the courier that ends.
        std::future::pending::<()>().await;
    };
    let delivered = tokio::select! {
        delivered = courier.run(&stopping) => delivered,
        () = told => Ok(()),
    };
    ended.cancel();
    tasks.wait().await;
    delivered
}

/// Refuses a database whose schema it does not know, and makes the name known there.
async fn begin(pool: &Pool, asked: &Deliver, name: &Name) -> anyhow::Result<Feed> {
    let mut conn = pool
        .checkout()
        .await
        .context("the database cannot be reached")?;
    migrate::check_allowing(&mut conn, &asked.schema.allowed()).await?;
    let database = settings::read(&mut conn).await?;
    let feed = Feed::start(
        pool.clone(),
        database.partitions.count.get(),
        FeedSettings::default(),
    );
    let ends = feed.ends().await?;
    let start = match asked.start {
        Start::Now => Positions::at_end(&ends),
        Start::Oldest => Positions::at_oldest(&ends),
    };
    let introduced = leases::introduce(&mut conn, name, &start, &ends).await;
    conn.finish_with(introduced)?;
    Ok(feed)
}

/// The filter of the arguments, written as a filter of the EventService is.
fn filter(asked: &Deliver) -> anyhow::Result<pb::EventFilter> {
    fn listed<T: AsRef<str>>(what: &str, ids: &[T]) -> anyhow::Result<Vec<String>> {
        let mut ids: Vec<String> = ids.iter().map(|id| id.as_ref().to_owned()).collect();
        ids.sort_unstable();
        ids.dedup();
        anyhow::ensure!(
            ids.len() <= FILTER_IDS_MAX,
            "--{what} may be given {FILTER_IDS_MAX} times at most"
        );
        Ok(ids)
    }
    let mut event_types = numbers(&asked.event_types);
    event_types.sort_unstable();
    event_types.dedup();
    Ok(pb::EventFilter {
        store_id: asked
            .store
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        order_id: String::new(),
        seller_ids: listed("seller", &asked.sellers)?,
        warehouse_ids: listed("warehouse", &asked.warehouses)?,
        carrier_ids: listed("carrier", &asked.carriers)?,
        event_types,
    })
}

async fn open_admin_port(
    asked: &Deliver,
    health: &HealthReporter,
    telemetry: &Telemetry,
) -> anyhow::Result<Option<AdminPort>> {
    let Some(address) = asked.admin_listen else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("the admin port cannot listen on {address}"))?;
    let admin = AdminPort::start(
        listener,
        health.clone(),
        telemetry.metrics.clone(),
        WithConsole::No,
        Profiling::Off,
    )?;
    tracing::info!(address = %admin.address(), "the admin port is open");
    Ok(Some(admin))
}
