//! Dead letters: events that a receiver refused, or that were sent as often as may be. They are
//! kept until somebody has them sent again, or drops them.

use belay_domain::ids::{ConsumerId, OrderKey};
use belay_proto::v1 as pb;
use belay_wire::cloud_events::{id, type_name};
use prost::Message as _;
use serde::Serialize;

use crate::db::delivery_partitions::DeliveryPartition;
use crate::db::held_events::{EventPlace, HeldEvent, HeldMark};
use crate::db::{Conn, DbError, clock, delivery_partitions, held_events, transaction};

/// Dead letters that one transaction changes, and that are read at once.
const BATCH: u16 = 100;
/// Dead letters that one command lists.
pub const LIST_MAX: u16 = 1_000;

/// A dead letter, as it is listed.
#[derive(Debug, Serialize)]
pub struct DeadLetter {
    pub id: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub store_id: String,
    pub order_id: String,
    /// When it was given up.
    pub time: String,
    pub attempts: u32,
    pub failure: String,
}

/// The dead letters that are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterSelection {
    All,
    Order(OrderKey),
    Events(Vec<EventPlace>),
}

/// The action on dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// They are sent again, in their order, before what comes behind them in the feed.
    Replay,
    Drop,
}

/// The reason why a command about dead letters fails.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("nothing was ever delivered under the name {0}")]
    Unknown(ConsumerId),
}

/// So many, in the order of partitions and positions.
pub async fn list(
    conn: &mut Conn,
    consumer: &ConsumerId,
    order: Option<OrderKey>,
    limit: u16,
) -> Result<Vec<DeadLetter>, DeadLetterError> {
    known(conn, consumer).await?;
    let mut listed = Vec::new();
    let mut after = None;
    while listed.len() < usize::from(limit) {
        let left = usize::from(limit) - listed.len();
        let batch = u16::try_from(left).unwrap_or(BATCH).min(BATCH);
        let found = held_events::dead_letters(conn, consumer, order, after, batch).await?;
        let Some(last) = found.last() else { break };
        after = Some(place(&last.mark));
        for event in &found {
            listed.push(shown(event)?);
        }
    }
    Ok(listed)
}

/// Says how many dead letters it has changed: what is none any more stays as it is.
pub async fn change(
    conn: &mut Conn,
    consumer: &ConsumerId,
    selection: &DeadLetterSelection,
    action: Action,
) -> Result<usize, DeadLetterError> {
    known(conn, consumer).await?;
    let mut changed = 0;
    match selection {
        DeadLetterSelection::Events(places) => {
            for (partition, position) in places {
                let before = (*partition, position.saturating_sub(1));
                let found = held_events::dead_letters(conn, consumer, None, Some(before), 1);
                let found = found.await?.into_iter().map(|event| place(&event.mark));
                let meant: Vec<EventPlace> = found
                    .filter(|place| *place == (*partition, *position))
                    .collect();
                changed += change_some(conn, consumer, &meant, action).await?;
            }
        }
        DeadLetterSelection::All | DeadLetterSelection::Order(_) => {
            let order = match selection {
                DeadLetterSelection::Order(order) => Some(*order),
                DeadLetterSelection::All | DeadLetterSelection::Events(_) => None,
            };
            let mut after = None;
            loop {
                let found = held_events::dead_letters(conn, consumer, order, after, BATCH).await?;
                let Some(last) = found.last() else { break };
                after = Some(place(&last.mark));
                let places: Vec<EventPlace> =
                    found.iter().map(|event| place(&event.mark)).collect();
                changed += change_some(conn, consumer, &places, action).await?;
            }
        }
    }
    Ok(changed)
}

async fn known(conn: &mut Conn, consumer: &ConsumerId) -> Result<(), DeadLetterError> {
    if delivery_partitions::all(conn, consumer).await?.is_empty() {
        return Err(DeadLetterError::Unknown(consumer.clone()));
    }
    Ok(())
}

/// One transaction. The instance that delivers a partition sees that somebody has changed it.
async fn change_some(
    conn: &mut Conn,
    consumer: &ConsumerId,
    places: &[EventPlace],
    action: Action,
) -> Result<usize, DbError> {
    let mut partitions: Vec<u16> = places.iter().map(|(partition, _)| *partition).collect();
    partitions.dedup();
    if partitions.is_empty() {
        return Ok(0);
    }
    transaction::begin_write(conn).await?;
    let written = async {
        let locked = delivery_partitions::lock(conn, consumer, &partitions).await?;
        let now = clock::now(conn).await?;
        let mut changed = 0;
        for place in places {
            // Somebody may have been faster.
            let was_dead = match action {
                Action::Replay => held_events::replay_dead(conn, consumer, *place, now).await?,
                Action::Drop => held_events::drop_dead(conn, consumer, *place).await?,
            };
            changed += usize::from(was_dead);
        }
        let touched = |row: DeliveryPartition| DeliveryPartition {
            changes: row.changes.wrapping_add(1),
            ..row
        };
        let touched: Vec<DeliveryPartition> = locked.into_iter().map(touched).collect();
        delivery_partitions::update(conn, consumer, &touched).await?;
        Ok(changed)
    }
    .await;
    match written {
        Ok(changed) => {
            transaction::commit(conn).await?;
            Ok(changed)
        }
        Err(error) => {
            transaction::rollback(conn).await?;
            Err(error)
        }
    }
}

fn place(mark: &HeldMark) -> EventPlace {
    (mark.partition, mark.position)
}

fn shown(held: &HeldEvent) -> Result<DeadLetter, DbError> {
    let event = pb::Event::decode(held.payload.as_slice())
        .map_err(|error| DbError::Corrupt(format!("an event that is held: {error}")))?;
    let mark = &held.mark;
    Ok(DeadLetter {
        id: id(&event),
        event_type: type_name(&event),
        store_id: event.store_id,
        order_id: event.order_id,
        time: mark.attempt_time.to_string(),
        attempts: mark.attempts,
        failure: mark.failure.clone(),
    })
}
