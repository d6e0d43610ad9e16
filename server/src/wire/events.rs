//! Events as they are stored and read: the message `belay.v1.Event`. Its position is given when it is written, so it is not in
//! the bytes but in the row.

mod detail;

use belay_domain::event::{Cause, Event};
use belay_domain::order::Order;
use belay_proto::v1 as pb;
use prost::Message;

use self::detail::detail;
use super::Wire;
use super::render::cancellation::actor;
use super::values::{count, time};

/// What brought a deadline's event about.
const CAUSE_DEADLINE: &str = "deadline";

/// The stored bytes of an event. `order` is as it stands after the command, which is what the details show.
pub fn render(order: &Order, event: &Event, partition: u16) -> Vec<u8> {
    let cause = match event.cause {
        Cause::Request(id) => id.to_string(),
        Cause::Deadline(_) => CAUSE_DEADLINE.to_owned(),
    };
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
        detail: detail(order, &event.detail),
    }
    .encode_to_vec()
}

/// A stored event with its place in the feed.
pub fn read(payload: &[u8], partition: u16, position: u64) -> Result<pb::Event, prost::DecodeError> {
    let event = pb::Event::decode(payload)?;
    Ok(pb::Event { partition: partition.into(), position: i64::try_from(position).unwrap_or(i64::MAX), ..event })
}
