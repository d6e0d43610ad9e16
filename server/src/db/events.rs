//! The feed's log. `append` is the last thing that the engine does before it commits; `history` may run anywhere.

use std::collections::BTreeMap;

use belay_domain::event::EventType;
use belay_domain::ids::{OrderKey, StoreId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::events;
use super::statement::{self, insert_rows};
use super::{Conn, partition_heads};

#[derive(Debug, Clone)]
pub struct NewEvent {
    pub partition: u16,
    pub order_key: OrderKey,
    pub store: StoreId,
    /// The order's version that the event is of.
    pub order_version: u64,
    pub event_type: EventType,
    pub event_time: Timestamp,
    pub payload: Vec<u8>,
}

/// An event of an order's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    pub partition: u16,
    pub position: u64,
    pub order_version: u64,
    pub event_type: EventType,
    pub event_time: Timestamp,
    pub payload: Vec<u8>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
struct EventRow {
    shard_partition: u16,
    position: u64,
    order_key: Bytes<16>,
    store_id: String,
    order_version: u64,
    event_type: &'static str,
    event_time: At,
    payload: Vec<u8>,
}

impl statement::Row for EventRow {
    fn bytes(&self) -> usize {
        256 + self.payload.len()
    }
}

/// Appends events, each partition's in the order given, and returns the last position of each partition touched. Positions
/// are 1, 2, 3 … without gaps: they are taken under the lock of the partition's head, which is held until the commit.
pub async fn append(conn: &mut Conn, new: &[NewEvent]) -> Result<BTreeMap<u16, u64>, DbError> {
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    for event in new {
        *counts.entry(event.partition).or_default() += 1;
    }
    let heads = partition_heads::advance(conn, &counts).await?;
    let mut last = heads.clone();
    for (partition, head) in &mut last {
        *head -= counts.get(partition).unwrap_or(&0);
    }
    let mut rows = Vec::with_capacity(new.len());
    for event in new {
        let position = last.get_mut(&event.partition);
        let position =
            position.ok_or_else(|| DbError::Corrupt(format!("partition {} has no head", event.partition)))?;
        *position += 1;
        rows.push(EventRow {
            shard_partition: event.partition,
            position: *position,
            order_key: event.order_key.into(),
            store_id: event.store.to_string(),
            order_version: event.order_version,
            event_type: event.event_type.name(),
            event_time: At(event.event_time),
            payload: event.payload.clone(),
        });
    }
    insert_rows!(conn, events, rows.as_slice());
    Ok(heads)
}

/// What came to pass with an order, oldest first, after this position (0: from the beginning). All events of an order are in
/// one partition, so that their positions are in order.
pub async fn history(conn: &mut Conn, key: OrderKey, after: u64, limit: u16) -> Result<Vec<StoredEvent>, DbError> {
    type Found = (u16, u64, u64, Name<EventType>, At, Vec<u8>);
    let query = events::table.filter(events::order_key.eq(Bytes::from(key))).filter(events::position.gt(after));
    let rows: Vec<Found> = query
        .order((events::shard_partition, events::position))
        .limit(limit.into())
        .select((
            events::shard_partition,
            events::position,
            events::order_version,
            events::event_type,
            events::event_time,
            events::payload,
        ))
        .load(conn)
        .await?;
    let event = |(partition, position, order_version, event_type, event_time, payload): Found| StoredEvent {
        partition,
        position,
        order_version,
        event_type: event_type.0,
        event_time: event_time.0,
        payload,
    };
    Ok(rows.into_iter().map(event).collect())
}
