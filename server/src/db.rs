//! The database: which table holds what, and nothing of what it means.
//!
//! There is one file per table. Each says in its first paragraph what may run where: what reads or
//! writes an order's rows for a command runs inside the engine's transaction, under the lock of the
//! order's own row; lists and administration run anywhere. `aggregate` puts whole orders together
//! from their tables and writes back what changed.
//!
//! Statements are diesel's typed ones. Where one is needed that diesel cannot say (a forced index,
//! an upsert), it is a fragment of its own in the file of its table, with typed parameters. What
//! commands write goes as text, of values that diesel has serialized: `writes`. This module knows
//! the domain and never the wire: events and stored answers are bytes here.

mod cancellation_parts;
mod columns;
mod gates;
mod literals;
pub mod order_lines;
mod pages;
mod payments;
mod schema;
mod scope;
mod spans;
mod statement;

pub mod address;
pub mod aged;
pub mod aggregate;
pub mod bulk_cancellations;
pub mod bulk_orders;
pub mod cancellations;
pub mod carriers;
pub mod chains;
pub mod checkup;
pub mod clock;
pub mod consumers;
pub mod decision_pages;
pub mod decisions;
pub mod delivery_instances;
pub mod delivery_partitions;
pub mod erasures;
pub mod error;
pub mod events;
pub mod feed;
pub mod figures;
pub mod heartbeats;
pub mod held_events;
pub mod incidents;
pub mod migrate;
pub mod order_history;
pub mod orders;
pub mod outlines;
pub mod partition_heads;
pub mod partition_tails;
pub mod policies;
pub mod pool;
pub mod pools;
pub mod probe;
pub mod projection_positions;
pub mod projections;
pub mod refunds;
pub mod requests;
pub mod seller_crossings;
pub mod seller_facts;
pub mod seller_standings;
pub mod settings;
pub mod shares;
pub mod shipments;
pub mod snapshot;
pub mod stock_balances;
pub mod stock_entries;
pub mod stock_holders;
pub mod stock_orders;
pub mod stock_tellings;
pub mod stores;
pub mod summaries;
pub mod transaction;
pub mod warehouses;
pub mod writable;
pub mod writes;

use std::future::Future;
use std::time::Duration;

use belay_domain::ids::StoreId;
use belay_domain::scope::IdFilter;
use belay_domain::store::Record;

pub use self::error::{DbError, ErrorKind};
pub use self::pages::{ListQuery, PageQuery, list};
pub use self::pool::{Checkout, Pool, PoolSettings};

/// Runs work on the database for at most [`ANSWER_MAX`]. Work that takes longer fails as if the
/// connection were lost, and a retry finds out what happened.
pub(crate) async fn in_time<T, E: From<DbError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(ANSWER_MAX, work).await {
        Ok(done) => done,
        Err(_) => Err(E::from(DbError::TimedOut {
            waited_ms: ANSWER_MAX.as_millis(),
        })),
    }
}

/// Drives work on a connection to its end, unless the connection is [gone](Checkout::gone) before.
pub(crate) async fn unless_gone<T>(
    gone: impl Future<Output = DbError>,
    work: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    tokio::select! {
        biased;
        done = work => done,
        error = gone => Err(error),
    }
}

/// How long those wait for the database who wait in the background.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// A connection to the database.
pub type Conn = diesel_async::AsyncMysqlConnection;

/// A record of a store that is kept in a table of its own, by store and id. May run anywhere; one
/// row at a time.
pub trait StoreRecord: Record + Send + Sync {
    type Id;

    fn store(&self) -> &StoreId;
    fn id(&self) -> &Self::Id;

    fn get(
        conn: &mut Conn,
        store: &StoreId,
        id: &Self::Id,
    ) -> impl Future<Output = Result<Option<Self>, DbError>> + Send;

    /// By id, after this one: those of the store that the filter lets through.
    fn list(
        conn: &mut Conn,
        of: (&StoreId, &IdFilter<Self::Id>),
        after: Option<&Self::Id>,
        limit: u16,
    ) -> impl Future<Output = Result<Vec<Self>, DbError>> + Send;

    /// Fails with kind `Duplicate` if the store has a record of this id.
    fn insert(&self, conn: &mut Conn) -> impl Future<Output = Result<(), DbError>> + Send;

    /// Writes it over the one that was loaded at this version, or fails with kind
    /// `VersionConflict`.
    fn update(
        &self,
        conn: &mut Conn,
        loaded_version: u64,
    ) -> impl Future<Output = Result<(), DbError>> + Send;
}
