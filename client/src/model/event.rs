//! What came to pass with an order.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, EventDetail};
use crate::ids::{OrderId, StoreId};
use crate::wire::{FromWire, Malformed, Open, open_enum, read, read_if_set, text_if_set, time};

/// One thing that came to pass with an order. Events are written in the same transaction as what
/// they tell, and never change.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What came to pass.
    pub event_type: EventType,
    /// The partition of the feed that holds the order.
    pub partition: i32,
    /// The index in that partition: 1, 2, 3 and so on without gaps.
    pub position: i64,
    /// The store.
    pub store_id: StoreId,
    /// The order.
    pub order_id: OrderId,
    /// The order's version after the write that caused the event. Events of one write share it.
    pub order_version: i64,
    /// When it was decided. Never goes back within an order.
    pub event_time: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// For whom it was done. `None` for those who act for themselves.
    pub on_behalf_of: Option<Actor>,
    /// The version of the policy that decided. `None` where no policy was asked.
    pub policy_version: Option<i32>,
    /// The policy's rule that decided, by its name. `None` where no rule was asked.
    pub rule: Option<String>,
    /// What brought it about: the request id of a call, or `deadline`.
    pub cause: String,
    /// Whether the store's policy wants the buyer to be told of it.
    pub notify_buyer: bool,
    /// What there is to tell beyond the type. `None` for types without a detail, and for details
    /// that this version of the client does not know.
    pub detail: Option<EventDetail>,
}

open_enum! {
    /// What came to pass. New types may be added: pass over those you do not know.
    EventType {
        /// An order was created.
        OrderCreated,
        /// A fact about a payment was recorded.
        PaymentRecorded,
        /// The order became paid.
        OrderPaid,
        /// The order was not paid in time and closed by itself.
        OrderClosedUnpaid,
        /// A shipment moved to another stage.
        ShipmentStageChanged,
        /// A fact about a shipment was recorded, whether or not it moved the stage.
        TrackingRecorded,
        /// A cancellation was asked and accepted for decision.
        CancellationRequested,
        /// A cancellation closed, and units were cancelled.
        CancellationCompleted,
        /// A cancellation closed, and nothing was cancelled.
        CancellationRejected,
        /// A cancellation was taken back.
        CancellationWithdrawn,
        /// A gate opened: its party is asked now.
        GateOpened,
        /// A gate passed, was refused, or is no longer needed.
        GateClosed,
        /// A refund was created.
        RefundCreated,
        /// A refund moved to another state.
        RefundStateChanged,
        /// A fact contradicts what was decided.
        IncidentOpened,
        /// An incident was settled.
        IncidentResolved,
        /// A part of a cancellation ended: its units are cancelled, or stay as they were.
        PartEnded,
        /// The party of an open gate is to be reminded of it.
        GateReminder,
        /// Somebody keeps a shipment in of their own will.
        ShipmentHeld,
        /// Nobody holds the shipment any more: the hold was released, or its time is over.
        HoldEnded,
        /// A shipment was split into several.
        ShipmentSplit,
        /// The order to a carrier to bring a parcel back was given or moved on.
        InterceptChanged,
        /// Goods are back at the warehouse.
        ParcelReceived,
        /// The preparation of a shipment had not begun when it must have.
        PreparationOverdue,
        /// A refund was not settled in time.
        RefundOverdue,
        /// The verification of the payment is over: from now on the buyer may cancel as anybody
        /// may.
        PaymentVerified,
        /// The order was paid and is so no more: what has not left must stay.
        PaymentLapsed,
    }
}

impl FromWire for Event {
    type Message = pb::Event;

    fn from_wire(message: pb::Event) -> Result<Self, Malformed> {
        Ok(Self {
            event_type: EventType::from_wire(message.event_type),
            partition: message.partition,
            position: message.position,
            store_id: StoreId::unchecked(message.store_id),
            order_id: OrderId::unchecked(message.order_id),
            order_version: message.order_version,
            event_time: time(message.event_time, "event.event_time")?,
            actor: read(message.actor, "event.actor")?,
            on_behalf_of: read_if_set(message.on_behalf_of)?,
            policy_version: (message.policy_version != 0).then_some(message.policy_version),
            rule: text_if_set(message.rule),
            cause: message.cause,
            notify_buyer: message.notify_buyer,
            detail: read_if_set(message.detail)?,
        })
    }
}
