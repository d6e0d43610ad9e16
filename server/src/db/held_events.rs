//! Events that deliverers hold because their receivers have not taken them. What writes runs in a
//! transaction that has locked their partition's row; what reads may run anywhere.

use belay_domain::feed::HeldState;
use belay_domain::ids::{ConsumerId, OrderKey};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::held_events;
use super::statement::{self, upsert_rows};

/// The place of an event: partition and position.
pub type EventPlace = (u16, u64);

/// An event that is held, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldMark {
    pub partition: u16,
    pub position: u64,
    pub order: OrderKey,
    pub state: HeldState,
    /// How often it was sent.
    pub attempts: u32,
    /// When to send it again, or when it became a dead letter.
    pub attempt_time: Timestamp,
    /// What came of the last attempt.
    pub failure: String,
}

/// An event that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldEvent {
    pub mark: HeldMark,
    pub payload: Vec<u8>,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = held_events, check_for_backend(Mysql))]
struct MarkRow {
    shard_partition: u16,
    position: u64,
    order_key: Bytes<16>,
    state: Name<HeldState>,
    attempts: u32,
    attempt_time: At,
    failure: String,
}

impl From<MarkRow> for HeldMark {
    fn from(row: MarkRow) -> Self {
        Self {
            partition: row.shard_partition,
            position: row.position,
            order: row.order_key.into(),
            state: row.state.0,
            attempts: row.attempts,
            attempt_time: row.attempt_time.0,
            failure: row.failure,
        }
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = held_events)]
struct HeldRow {
    consumer_id: Name<ConsumerId>,
    shard_partition: u16,
    position: u64,
    order_key: Bytes<16>,
    state: Name<HeldState>,
    attempts: u32,
    attempt_time: At,
    failure: String,
    payload: Vec<u8>,
}

impl statement::Row for HeldRow {
    fn bytes(&self) -> usize {
        512 + self.failure.len() + self.payload.len()
    }
}

macro_rules! of_consumer {
    ($consumer:expr) => {
        held_events::table.filter(held_events::consumer_id.eq(Name($consumer.clone())))
    };
}

/// An event that is a dead letter.
macro_rules! dead {
    ($consumer:expr, $place:expr) => {
        of_consumer!($consumer)
            .filter(held_events::shard_partition.eq($place.0))
            .filter(held_events::position.eq($place.1))
            .filter(held_events::state.eq(Name(HeldState::Dead)))
    };
}

/// Holds events; one that is held already is held as it is now.
pub async fn put(
    conn: &mut Conn,
    consumer: &ConsumerId,
    events: &[HeldEvent],
) -> Result<(), DbError> {
    let row = |event: &HeldEvent| HeldRow {
        consumer_id: Name(consumer.clone()),
        shard_partition: event.mark.partition,
        position: event.mark.position,
        order_key: event.mark.order.into(),
        state: Name(event.mark.state),
        attempts: event.mark.attempts,
        attempt_time: At(event.mark.attempt_time),
        failure: event.mark.failure.clone(),
        payload: event.payload.clone(),
    };
    let rows: Vec<HeldRow> = events.iter().map(row).collect();
    upsert_rows!(
        conn,
        held_events,
        rows.as_slice(),
        [state, attempts, attempt_time, failure]
    );
    Ok(())
}

/// They are held no more.
pub async fn delete(
    conn: &mut Conn,
    consumer: &ConsumerId,
    partition: u16,
    positions: &[u64],
) -> Result<(), DbError> {
    let taken = of_consumer!(consumer)
        .filter(held_events::shard_partition.eq(partition))
        .filter(held_events::position.eq_any(positions.to_vec()));
    diesel::delete(taken).execute(conn).await?;
    Ok(())
}

/// Holds an event that is held already as this says.
pub async fn update(
    conn: &mut Conn,
    consumer: &ConsumerId,
    mark: &HeldMark,
) -> Result<(), DbError> {
    let it = of_consumer!(consumer)
        .filter(held_events::shard_partition.eq(mark.partition))
        .filter(held_events::position.eq(mark.position));
    diesel::update(it)
        .set((
            held_events::state.eq(Name(mark.state)),
            held_events::attempts.eq(mark.attempts),
            held_events::attempt_time.eq(At(mark.attempt_time)),
            held_events::failure.eq(mark.failure.clone()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Has a dead letter sent again, as if it had never been; what came of it last stays to be read.
/// Says whether it was a dead letter still.
pub async fn replay_dead(
    conn: &mut Conn,
    consumer: &ConsumerId,
    place: EventPlace,
    now: Timestamp,
) -> Result<bool, DbError> {
    let replayed = diesel::update(dead!(consumer, place))
        .set((
            held_events::state.eq(Name(HeldState::Waiting)),
            held_events::attempts.eq(0_u32),
            held_events::attempt_time.eq(At(now)),
        ))
        .execute(conn)
        .await?;
    Ok(replayed == 1)
}

/// A dead letter is held no more. Says whether it was a dead letter still.
pub async fn drop_dead(
    conn: &mut Conn,
    consumer: &ConsumerId,
    place: EventPlace,
) -> Result<bool, DbError> {
    let dropped = diesel::delete(dead!(consumer, place)).execute(conn).await?;
    Ok(dropped == 1)
}

/// What is held of a partition, in the order of the feed.
pub async fn marks(
    conn: &mut Conn,
    consumer: &ConsumerId,
    partition: u16,
) -> Result<Vec<HeldMark>, DbError> {
    let query = of_consumer!(consumer)
        .filter(held_events::shard_partition.eq(partition))
        .order(held_events::position)
        .select(MarkRow::as_select());
    let rows: Vec<MarkRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(HeldMark::from).collect())
}

/// What an event says; None where it is held no more.
pub async fn payload(
    conn: &mut Conn,
    consumer: &ConsumerId,
    (partition, position): EventPlace,
) -> Result<Option<Vec<u8>>, DbError> {
    let query = of_consumer!(consumer)
        .filter(held_events::shard_partition.eq(partition))
        .filter(held_events::position.eq(position))
        .select(held_events::payload);
    Ok(query.first(conn).await.optional()?)
}

/// So many dead letters behind a place, in the order of partitions and positions: of every order,
/// or of this one.
pub async fn dead_letters(
    conn: &mut Conn,
    consumer: &ConsumerId,
    order: Option<OrderKey>,
    after: Option<EventPlace>,
    limit: u16,
) -> Result<Vec<HeldEvent>, DbError> {
    let mut query = of_consumer!(consumer)
        .filter(held_events::state.eq(Name(HeldState::Dead)))
        .order((held_events::shard_partition, held_events::position))
        .limit(limit.into())
        .select((MarkRow::as_select(), held_events::payload))
        .into_boxed();
    if let Some(order) = order {
        query = query.filter(held_events::order_key.eq(Bytes::from(order)));
    }
    if let Some((partition, position)) = after {
        query = query.filter(
            held_events::shard_partition
                .gt(partition)
                .or(held_events::shard_partition
                    .eq(partition)
                    .and(held_events::position.gt(position))),
        );
    }
    let rows: Vec<(MarkRow, Vec<u8>)> = query.load(conn).await?;
    let event = |(mark, payload): (MarkRow, Vec<u8>)| HeldEvent {
        mark: mark.into(),
        payload,
    };
    Ok(rows.into_iter().map(event).collect())
}
