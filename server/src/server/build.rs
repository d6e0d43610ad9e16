//! The parts of a server, and the database below them.

use anyhow::Context as _;
use belay_domain::ids::Partitions;
use belay_wire::freshness::WritePositions;
use tokio_util::sync::CancellationToken;

use super::ServerSettings;
use crate::App;
use crate::db::address::ReplicationState;
use crate::db::clock::{self, Clock};
use crate::db::pool::PoolSettings;
use crate::db::pools::Pools;
use crate::db::shares::{Share, Shares};
use crate::db::{Conn, migrate, settings};
use crate::doctor;
use crate::engine::{Engine, EngineSettings};
use crate::feed::Feed;
use crate::figures::LastFigures;
use crate::identity_keys::{IdentityKeys, Whereabouts};
use crate::page_gate::PageGate;
use crate::projections::Lags;
use crate::reads::Reads;
use crate::retention::OldestRows;
use crate::secondaries::Secondaries;
use crate::simulation::Simulations;
use crate::store_cache::StoreCache;
use crate::telemetry::Telemetry;

/// What all calls share, over a database that it refuses where it does not know the schema.
pub(super) async fn app(settings: &ServerSettings) -> anyhow::Result<App> {
    let telemetry = settings.telemetry.clone().logging_reads(settings.log_reads);
    let shares = Shares::of(settings.connections, settings.lanes)?;
    let opened = open_database(settings, shares, &telemetry).await?;
    let Opened {
        pools,
        partitions,
        identity_keys,
        clock,
    } = opened;
    let secondaries = Secondaries::new(settings.secondaries.as_ref(), &telemetry)
        .context("the address of the secondaries")?;
    let stores = StoreCache::new(pools.upkeep.clone());
    let feed = Feed::start(pools.reads.clone(), partitions.count.get(), settings.feed);
    let engine = Engine::start(
        pools.writes.clone(),
        stores.clone(),
        feed.clone(),
        &EngineSettings {
            lanes: settings.lanes,
            partitions,
            clock,
            chain_key: identity_keys.chain_key(),
            database_wait_max: settings.database_wait_max,
            bounds: settings.engine,
        },
        &telemetry,
    );
    let reads = Reads::start(pools.reads.clone(), clock, settings.read_queue, &telemetry);
    let connections = shares.size(Share::Reads);
    let pages = PageGate::new(
        settings.pages,
        connections,
        engine.interactive_callers(),
        &telemetry,
    );
    Ok(App {
        engine,
        reads,
        pages,
        feed,
        lags: Lags::default(),
        simulations: Simulations::new(settings.simulation),
        oldest_rows: OldestRows::default(),
        retention: settings.retention,
        figures: LastFigures::begin(tokio::time::Instant::now()),
        stores,
        telemetry,
        pools,
        secondaries,
        positions: WritePositions::new(identity_keys.first(), identity_keys.former()),
        identity_key: *identity_keys.first(),
        identity_keys,
        partitions,
        clock,
        bulk: settings.bulk,
        two_person_activation: settings.two_person_activation,
        closing: CancellationToken::new(),
    })
}

/// The database, as a server has it.
struct Opened {
    pools: Pools,
    partitions: Partitions,
    identity_keys: IdentityKeys,
    clock: Clock,
}

async fn open_database(
    settings: &ServerSettings,
    shares: Shares,
    telemetry: &Telemetry,
) -> anyhow::Result<Opened> {
    let pool_settings = PoolSettings {
        wait_max: settings.connection_wait_max,
        lock_wait_max: settings.lock_wait_max,
        statement_wait_max: settings.statement_wait_max,
        ..PoolSettings::default()
    };
    let pools = Pools::new(&settings.database_url, shares, pool_settings, telemetry)
        .context("the database's address")?;
    let mut connection = pools
        .upkeep
        .checkout()
        .await
        .context("the database cannot be reached")?;
    check_writers(&mut connection, settings.several_primaries).await?;
    let newer = migrate::check_allowing(&mut connection, &settings.newer_schema).await?;
    if !newer.is_empty() {
        let migrations = newer.join(", ");
        tracing::warn!(
            migrations,
            "the schema is newer than this release, which was told to allow it"
        );
    }
    doctor::at_start(&mut connection).await?;
    let database = settings::read(&mut connection).await?;
    let (identity_keys, whereabouts) =
        IdentityKeys::of(&database.identity, settings.identity_keys.clone())?;
    if whereabouts == Whereabouts::InDatabase && settings.tells_of_keys() {
        tracing::warn!(
            "the identity key is in the database: whoever has a copy of it can find buyers by guesses of their e-mail \
             addresses, and write the chains of the feed anew; `belay identity-key` moves it out"
        );
    }
    let clock = if settings.manual_clock {
        clock::start_manual(&mut connection).await?;
        Clock::Manual
    } else {
        Clock::Database
    };
    connection.finish();
    pools
        .warm()
        .await
        .context("the database does not take as many connections as are configured")?;
    let connections = settings.connections;
    tracing::info!(connections, shares = %shares, "the connections to the database are divided");
    Ok(Opened {
        pools,
        partitions: database.partitions,
        identity_keys,
        clock,
    })
}

/// Refuses a database of which several members take writes: what two of them decide at the same
/// time of one order is found out at the commit alone, and what one was told the other may not have
/// read.
async fn check_writers(connection: &mut Conn, may_be_several: bool) -> anyhow::Result<()> {
    let Some(why) = ReplicationState::read(connection).await?.several_writers else {
        return Ok(());
    };
    anyhow::ensure!(
        may_be_several,
        "several members of the database take writes: {why}. Make it one; or see to it that all who write to \
         a store reach the same member, and say so with --several-primaries"
    );
    tracing::warn!(
        why,
        "several members of the database take writes; all writers of a store must reach one"
    );
    Ok(())
}
