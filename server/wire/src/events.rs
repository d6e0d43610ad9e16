//! Events as they are stored and read: messages `belay.v1.Event`, those of one command one after
//! the other and each with its length before it. Their positions are given when they are written,
//! so they are not in the bytes but in the row.

mod detail;
mod encoded;
mod erasure;
mod outcomes;
mod quality;
mod selector;
mod stock;

use belay_domain::event::{Cause, Event};
use belay_domain::order::Order;
use belay_proto::v1 as pb;
use prost::Message;

use self::detail::{detail, text};
pub use self::encoded::{EncodedEvents, encode_behind, encode_one};
pub use self::erasure::{event_without_buyer, without_buyer};
pub use self::outcomes::{EndedPart, ended_parts};
pub use self::quality::seller_facts;
pub use self::selector::Selector;
pub use self::stock::{NewsError, order_news};
use super::Wire;
use super::render::cancellation::actor;
use super::values::{count, time};

/// What brought a deadline's event about.
const CAUSE_DEADLINE: &str = "deadline";

/// A reason why stored events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error(transparent)]
    Decode(#[from] prost::DecodeError),
    #[error("the row at position {last_position} breaks off")]
    CutOff { last_position: u64 },
    #[error("the row at position {last_position} holds {found} events and not {count}")]
    Count {
        last_position: u64,
        found: usize,
        count: u32,
    },
}

/// The stored bytes of a command's events. `order` is as it stands after the command, which is what
/// the details show.
pub fn render(order: &Order, events: &[Event], partition: u16) -> Vec<u8> {
    let messages: Vec<pb::Event> = events
        .iter()
        .map(|event| message(order, event, partition))
        .collect();
    messages
        .iter()
        .flat_map(Message::encode_length_delimited_to_vec)
        .collect()
}

/// The stored events of a row, each with its place in the feed.
pub fn read(
    mut payload: &[u8],
    partition: u16,
    last_position: u64,
    count: u32,
) -> Result<Vec<pb::Event>, EventError> {
    let mut events = Vec::new();
    while !payload.is_empty() {
        events.push(pb::Event::decode_length_delimited(&mut payload)?);
    }
    if u32::try_from(events.len()) != Ok(count) {
        return Err(EventError::Count {
            last_position,
            found: events.len(),
            count,
        });
    }
    let first = (last_position + 1).saturating_sub(count.into());
    for (event, position) in events.iter_mut().zip(first..) {
        event.partition = partition.into();
        event.position = i64::try_from(position).unwrap_or(i64::MAX);
    }
    Ok(events)
}

fn message(order: &Order, event: &Event, partition: u16) -> pb::Event {
    let cause = match event.cause {
        Cause::Request(id) => id.to_string(),
        Cause::Deadline(_) => CAUSE_DEADLINE.to_owned(),
    };
    let shipment = event.detail.shipment();
    let shipment = shipment.and_then(|number| order.shipment(number));
    pb::Event {
        event_type: event.detail.event_type().number(),
        partition: partition.into(),
        position: 0,
        store_id: order.store.to_string(),
        order_id: order.id.to_string(),
        order_version: i64::try_from(order.version).unwrap_or(i64::MAX),
        event_time: Some(time(event.time)),
        actor: Some(actor(&event.actor)),
        on_behalf_of: event.on_behalf_of.as_ref().map(actor),
        policy_version: count(event.policy_version),
        rule: event.rule.clone().unwrap_or_default(),
        cause,
        notify_buyer: event.notify_buyer,
        seller_id: order.seller.to_string(),
        warehouse_id: text(shipment.map(|shipment| &shipment.warehouse)),
        carrier_id: text(shipment.map(|shipment| &shipment.carrier)),
        detail: detail(order, &event.detail),
    }
}
