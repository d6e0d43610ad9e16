//! `belay erase`: the personal data of a buyer leaves the database, and the books stay. An order at
//! a time and each in one transaction, while servers go on: it may be stopped, and done again.

use anyhow::Context as _;
use belay_domain::chain::{ChainKey, Link, digest};
use belay_domain::erasure::{ERASED, Unfinished, unfinished};
use belay_domain::ids::{BuyerId, OrderId, OrderKey, StoreId};
use belay_wire::events::{event_without_buyer, without_buyer};
use clap::Args;

use crate::command_line::database::DatabaseArguments;
use crate::db::erasures::{self, ErasableEvents, EventTable};
use crate::db::{Conn, DbError, migrate, pool, settings, transaction};
use crate::identity_keys::{IdentityArguments, IdentityKeys};

/// Orders whose keys are read at once.
const BATCH_ORDERS: u16 = 100;
/// Rows of events that are read at once.
const BATCH_ROWS: u16 = 100;

/// The arguments of `belay erase`.
#[derive(Debug, Args)]
pub struct Erase {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    identity: IdentityArguments,
    #[arg(long, value_parser = |text: &str| StoreId::parse(text).map_err(|error| error.to_string()))]
    store: StoreId,
    #[command(flatten)]
    whose: Whose,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Whose {
    /// All orders of this buyer in the store.
    #[arg(long, value_parser = |text: &str| BuyerId::parse(text).map_err(|error| error.to_string()))]
    buyer: Option<BuyerId>,
    /// The buyer of one order.
    #[arg(long, value_parser = |text: &str| OrderId::parse(text).map_err(|error| error.to_string()))]
    order: Option<OrderId>,
}

/// The result of an erasure for an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    Erased,
    /// Nothing was changed: its buyer is still needed.
    Unfinished(Unfinished),
    /// There is no such order.
    Absent,
}

impl Erase {
    /// # Errors
    /// Where an order is not at rest yet, or the database fails.
    pub async fn run(&self) -> anyhow::Result<()> {
        let mut conn = pool::connect(&self.database.url()?)
            .await
            .context("the database cannot be reached")?;
        migrate::check(&mut conn).await?;
        let stored = settings::read(&mut conn).await?.identity;
        let (keys, _) = IdentityKeys::of(&stored, self.identity.read()?)?;
        let key = keys.chain_key();
        let outcomes = match (&self.whose.buyer, &self.whose.order) {
            (Some(buyer), _) if buyer.as_str() == ERASED => {
                anyhow::bail!("{ERASED} is who was erased, and no buyer")
            }
            (Some(buyer), _) => of_buyer(&mut conn, &key, &self.store, buyer).await?,
            (None, Some(order)) => {
                let order = OrderKey::of(&self.store, order);
                vec![(order, erase(&mut conn, &key, order).await?)]
            }
            (None, None) => Vec::new(),
        };
        let mut left = 0;
        for (order, outcome) in &outcomes {
            match outcome {
                Erasure::Erased => {}
                Erasure::Unfinished(reason) => {
                    left += 1;
                    tracing::warn!(order.key = ?order, %reason, "the buyer of an order is not erased");
                }
                Erasure::Absent => anyhow::bail!("there is no such order"),
            }
        }
        tracing::info!(orders = outcomes.len() - left, "erased");
        anyhow::ensure!(
            left == 0,
            "{left} orders are not at rest: erase again once they are"
        );
        Ok(())
    }
}

/// Every order of a buyer, whatever comes of those before it.
pub async fn of_buyer(
    conn: &mut Conn,
    key: &ChainKey,
    store: &StoreId,
    buyer: &BuyerId,
) -> Result<Vec<(OrderKey, Erasure)>, DbError> {
    let mut outcomes: Vec<(OrderKey, Erasure)> = Vec::new();
    loop {
        let after = outcomes.last().map(|(order, _)| *order);
        let found = erasures::orders_of(conn, store, buyer, after, BATCH_ORDERS).await?;
        if found.is_empty() {
            return Ok(outcomes);
        }
        for order in found {
            outcomes.push((order, erase(conn, key, order).await?));
        }
    }
}

/// One order, in one transaction.
pub async fn erase(conn: &mut Conn, key: &ChainKey, order: OrderKey) -> Result<Erasure, DbError> {
    transaction::begin_write(conn).await?;
    match erase_locked(conn, key, order).await {
        Ok(Erasure::Erased) => {
            transaction::commit(conn).await?;
            Ok(Erasure::Erased)
        }
        Ok(other) => {
            transaction::rollback(conn).await?;
            Ok(other)
        }
        Err(error) => {
            if !error.kind().ends_connection() {
                transaction::rollback(conn).await?;
            }
            Err(error)
        }
    }
}

async fn erase_locked(
    conn: &mut Conn,
    key: &ChainKey,
    order_key: OrderKey,
) -> Result<Erasure, DbError> {
    let Some((order, now)) = erasures::lock(conn, order_key).await? else {
        return Ok(Erasure::Absent);
    };
    if let Some(reason) = unfinished(&order, now) {
        return Ok(Erasure::Unfinished(reason));
    }
    erasures::blank(conn, &order).await?;
    let mut partition = None;
    for place in [EventTable::History, EventTable::Feed] {
        let mut after = 0;
        loop {
            let rows = erasures::event_rows(conn, order_key, place, after, BATCH_ROWS).await?;
            let Some(last) = rows.last() else { break };
            (after, partition) = (last.last_position, Some(last.partition));
            for row in rows {
                erase_row(conn, key, order_key, row).await?;
            }
        }
    }
    if let Some(partition) = partition {
        for mut held in erasures::held(conn, partition, order_key).await? {
            if let Some(payload) = event_without_buyer(&held.payload).map_err(corrupt)? {
                held.payload = payload;
                erasures::replace_held(conn, &held).await?;
            }
        }
    }
    erasures::record(conn, (order_key, &order.store, &order.id), now).await?;
    Ok(Erasure::Erased)
}

/// The chain holds the digest of what was written, and the row says by a seal who replaced it.
async fn erase_row(
    conn: &mut Conn,
    key: &ChainKey,
    order_key: OrderKey,
    mut row: ErasableEvents,
) -> Result<(), DbError> {
    let Some(payload) = without_buyer(&row.payload).map_err(corrupt)? else {
        return Ok(());
    };
    let written = row.erased_digest.unwrap_or_else(|| digest(&row.payload));
    let link = Link {
        partition: row.partition,
        last_position: row.last_position,
        count: row.count,
        order_key,
        order_version: row.order_version,
        event_time: row.event_time,
        payload: written,
    };
    let seal = key.erasure_seal(&link, &digest(&payload));
    row.payload = payload;
    let seal = row.is_chained.then_some((written, seal));
    erasures::replace_payload(conn, order_key, &row, seal).await
}

fn corrupt(error: impl std::fmt::Display) -> DbError {
    DbError::Corrupt(format!("stored events cannot be read: {error}"))
}
