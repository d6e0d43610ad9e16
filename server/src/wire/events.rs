//! Events as they are stored and read: messages `belay.v1.Event`, those of one command one after the other and each with its
//! length before it. Their positions are given when they are written, so they are not in the bytes but in the row.

use belay_domain::event::{Cause, Event, EventDetail, EventType};
use belay_domain::ids::ChildKind;
use belay_domain::order::Order;
use belay_proto::v1 as pb;
use belay_proto::v1::event::Detail;
use prost::Message;

use super::render::cancellation::{actor, close_reason, fault, party};
use super::render::order::subject_id;
use super::values::{count, money, time};
use super::{Wire, enums};

/// What brought a deadline's event about.
const CAUSE_DEADLINE: &str = "deadline";

/// Why stored events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Decode(#[from] prost::DecodeError),
    #[error("the row at position {last_position} holds {found} events and not {count}")]
    Count { last_position: u64, found: usize, count: u32 },
}

/// The stored bytes of a command's events. `order` is as it stands after the command, which is what the details show.
pub fn render(order: &Order, events: &[Event], partition: u16) -> Vec<u8> {
    let messages: Vec<pb::Event> = events.iter().map(|event| message(order, event, partition)).collect();
    messages.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

/// The stored events of a row, each with its place in the feed.
pub fn read(mut payload: &[u8], partition: u16, last_position: u64, count: u32) -> Result<Vec<pb::Event>, ReadError> {
    let mut events = Vec::new();
    while !payload.is_empty() {
        events.push(pb::Event::decode_length_delimited(&mut payload)?);
    }
    if u32::try_from(events.len()) != Ok(count) {
        return Err(ReadError::Count { last_position, found: events.len(), count });
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
    pb::Event {
        event_type: event_type(event.detail.event_type()).into(),
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
}

fn event_type(event_type: EventType) -> pb::EventType {
    match event_type {
        EventType::OrderCreated => pb::EventType::OrderCreated,
        EventType::PaymentRecorded => pb::EventType::PaymentRecorded,
        EventType::OrderPaid => pb::EventType::OrderPaid,
        EventType::OrderClosedUnpaid => pb::EventType::OrderClosedUnpaid,
        EventType::ShipmentStageChanged => pb::EventType::ShipmentStageChanged,
        EventType::CancellationRequested => pb::EventType::CancellationRequested,
        EventType::CancellationCompleted => pb::EventType::CancellationCompleted,
        EventType::CancellationRejected => pb::EventType::CancellationRejected,
        EventType::GateOpened => pb::EventType::GateOpened,
        EventType::GateClosed => pb::EventType::GateClosed,
        EventType::PartEnded => pb::EventType::PartEnded,
        EventType::RefundCreated => pb::EventType::RefundCreated,
        EventType::RefundStateChanged => pb::EventType::RefundStateChanged,
        EventType::IncidentOpened => pb::EventType::IncidentOpened,
        EventType::TrackingRecorded => pb::EventType::TrackingRecorded,
    }
}

fn detail(order: &Order, detail: &EventDetail) -> Option<Detail> {
    let shipment_id = |number: u32| ChildKind::Shipment.id(&order.id, number);
    let cancellation_id = |number: u32| ChildKind::Cancellation.id(&order.id, number);
    match detail {
        EventDetail::OrderCreated { total } => Some(Detail::OrderCreated(pb::OrderCreated {
            seller_id: order.seller.to_string(),
            total: Some(money(order.currency, total.total())),
            pay_by: Some(time(order.pay_by)),
        })),
        EventDetail::PaymentRecorded { payment, fact, amount, occurred_time } => {
            Some(Detail::PaymentRecorded(pb::PaymentRecorded {
                payment_id: ChildKind::Payment.id(&order.id, *payment),
                fact: fact.number(),
                amount: (*amount != 0).then(|| money(order.currency, *amount)),
                state: order.payment(*payment).map_or(0, |payment| payment.state.number()),
                occurred_time: occurred_time.map(time),
            }))
        }
        EventDetail::OrderPaid | EventDetail::OrderClosedUnpaid { .. } => None,
        EventDetail::ShipmentStageChanged { shipment, from, to, fence } => {
            Some(Detail::ShipmentStageChanged(pb::ShipmentStageChanged {
                shipment_id: shipment_id(*shipment),
                from_stage: from.number(),
                to_stage: to.number(),
                fence: i64::from(*fence),
            }))
        }
        EventDetail::TrackingRecorded { shipment, fact, occurred_time } => {
            Some(Detail::TrackingRecorded(pb::TrackingRecorded {
                shipment_id: shipment_id(*shipment),
                fact: fact.number(),
                occurred_time: Some(time(*occurred_time)),
            }))
        }
        EventDetail::CancellationRequested { cancellation, .. }
        | EventDetail::CancellationCompleted { cancellation, .. }
        | EventDetail::CancellationRejected { cancellation, .. } => cancellation_changed(order, *cancellation),
        EventDetail::GateOpened { cancellation, shipment, gate, respond_by } => {
            Some(Detail::GateChanged(pb::GateChanged {
                cancellation_id: cancellation_id(*cancellation),
                shipment_id: shipment_id(*shipment),
                kind: gate.number(),
                party: party(*gate).into(),
                state: pb::GateState::Open.into(),
                respond_by: respond_by.map(time),
            }))
        }
        EventDetail::GateClosed { cancellation, shipment, gate, state } => Some(Detail::GateChanged(pb::GateChanged {
            cancellation_id: cancellation_id(*cancellation),
            shipment_id: shipment_id(*shipment),
            kind: gate.number(),
            party: party(*gate).into(),
            state: state.number(),
            respond_by: None,
        })),
        EventDetail::PartEnded { cancellation, shipment, state, refused_reason } => {
            Some(Detail::PartEnded(pb::PartEnded {
                cancellation_id: cancellation_id(*cancellation),
                shipment_id: shipment_id(*shipment),
                state: state.number(),
                refused_reason: refused_reason.clone().unwrap_or_default(),
            }))
        }
        EventDetail::RefundCreated { refund, .. } => refund_changed(order, *refund, 0, None),
        EventDetail::RefundStateChanged { refund, from, to } => {
            refund_changed(order, *refund, from.number(), Some(to.number()))
        }
        EventDetail::IncidentOpened { incident, .. } => {
            let incident = order.incidents.iter().find(|known| known.number == *incident)?;
            Some(Detail::IncidentChanged(pb::IncidentChanged {
                incident_id: ChildKind::Incident.id(&order.id, incident.number),
                kind: incident.kind.number(),
                state: incident.state.number(),
                subject_id: subject_id(order, incident),
            }))
        }
    }
}

fn cancellation_changed(order: &Order, number: u32) -> Option<Detail> {
    let cancellation = order.cancellation(number)?;
    Some(Detail::CancellationChanged(pb::CancellationChanged {
        cancellation_id: ChildKind::Cancellation.id(&order.id, number),
        state: cancellation.state().number(),
        outcome: cancellation.outcome().map_or(0, Wire::number),
        reason: cancellation.reason.clone(),
        fault: fault(cancellation),
        close_reason: close_reason(cancellation).to_owned(),
        counted: cancellation.counted,
        effects: enums::numbers(&cancellation.effects),
    }))
}

/// `to_state` is `None` for a new refund, which stands where it was created.
fn refund_changed(order: &Order, number: u32, from_state: i32, to_state: Option<i32>) -> Option<Detail> {
    let refund = order.refund(number)?;
    Some(Detail::RefundChanged(pb::RefundChanged {
        refund_id: ChildKind::Refund.id(&order.id, number),
        kind: refund.kind.number(),
        from_state,
        to_state: to_state.unwrap_or(refund.state.number()),
        total: Some(money(order.currency, refund.amounts.total())),
        due_by: Some(time(refund.due_by)),
    }))
}
