//! The feed's log. `append` is the last thing that the engine does before it commits; `history` may
//! run anywhere.
//!
//! A row holds all events of one command on one order, because a row costs the database far more
//! than its bytes do. Positions are still those of single events: the row stands at its last one
//! and says how many end there.

use std::collections::BTreeMap;

use belay_domain::ids::{OrderKey, StoreId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::columns::{At, Bytes};
use super::error::DbError;
use super::schema::events;
use super::statement::{self, insert_rows};
use super::{Conn, partition_heads};

/// The events of one command on one order.
#[derive(Debug, Clone)]
pub struct NewEvents {
    pub partition: u16,
    pub order_key: OrderKey,
    pub store: StoreId,
    /// The order's version that the events are of.
    pub order_version: u64,
    pub event_time: Timestamp,
    /// How many events the payload holds; never 0.
    pub count: u32,
    pub payload: Vec<u8>,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvents {
    pub partition: u16,
    /// Of the last one; the first is at `last_position + 1 - count`.
    pub last_position: u64,
    pub count: u32,
    pub payload: Vec<u8>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
struct EventsRow {
    shard_partition: u16,
    position: u64,
    event_count: u32,
    order_key: Bytes<16>,
    store_id: String,
    order_version: u64,
    event_time: At,
    payload: Vec<u8>,
}

impl statement::Row for EventsRow {
    fn bytes(&self) -> usize {
        256 + self.payload.len()
    }
}

/// Appends events, each partition's in the order given, and returns the position of the last event
/// of each. Positions are 1, 2, 3 … without gaps: they are taken under the lock of the partition's
/// head, which is held until the commit.
pub async fn append(conn: &mut Conn, new: &[NewEvents]) -> Result<Vec<u64>, DbError> {
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    for events in new {
        *counts.entry(events.partition).or_default() += u64::from(events.count);
    }
    let mut last = partition_heads::advance(conn, &counts).await?;
    for (partition, head) in &mut last {
        *head -= counts.get(partition).unwrap_or(&0);
    }
    let mut rows = Vec::with_capacity(new.len());
    for events in new {
        let position = last.get_mut(&events.partition);
        let position = position.ok_or_else(|| {
            DbError::Corrupt(format!("partition {} has no head", events.partition))
        })?;
        *position += u64::from(events.count);
        rows.push(EventsRow {
            shard_partition: events.partition,
            position: *position,
            event_count: events.count,
            order_key: events.order_key.into(),
            store_id: events.store.to_string(),
            order_version: events.order_version,
            event_time: At(events.event_time),
            payload: events.payload.clone(),
        });
    }
    insert_rows!(conn, events, rows.as_slice());
    Ok(rows.into_iter().map(|row| row.position).collect())
}

/// What came to pass with an order, oldest first: so many rows that hold events after this position
/// (0: from the beginning). The first may hold earlier ones too. All events of an order are in one
/// partition, so that their positions are in order.
pub async fn history(
    conn: &mut Conn,
    key: OrderKey,
    after: u64,
    limit: u16,
) -> Result<Vec<StoredEvents>, DbError> {
    let query = events::table
        .filter(events::order_key.eq(Bytes::from(key)))
        .filter(events::position.gt(after));
    let rows: Vec<(u16, u64, u32, Vec<u8>)> = query
        .order((events::shard_partition, events::position))
        .limit(limit.into())
        .select((
            events::shard_partition,
            events::position,
            events::event_count,
            events::payload,
        ))
        .load(conn)
        .await?;
    let stored = |(partition, last_position, count, payload)| StoredEvents {
        partition,
        last_position,
        count,
        payload,
    };
    Ok(rows.into_iter().map(stored).collect())
}
