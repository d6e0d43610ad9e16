//! The events of an order.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, EventDetail};
use crate::ids::{CarrierId, OrderId, SellerId, StoreId, WarehouseId};
use crate::wire::{FromWire, Malformed, Open, open_enum, read, read_if_set, text_if_set, time};

/// An event of an order. It is written in the same transaction as the change that it reports, and
/// never changes.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Event {
    /// Its type.
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
    /// The time of the decision. It never goes back within an order.
    pub event_time: Timestamp,
    /// The actor.
    pub actor: Actor,
    /// The actor on whose behalf it was done. `None` if there is none.
    pub on_behalf_of: Option<Actor>,
    /// The version of the policy that decided. `None` if no policy was evaluated.
    pub policy_version: Option<i32>,
    /// The policy's rule that decided, by its id. `None` if no rule was evaluated.
    pub rule: Option<String>,
    /// The cause: the request id of a call, or `deadline`.
    pub cause: String,
    /// Whether the store's policy has the buyer notified of it.
    pub notify_buyer: bool,
    /// The seller of the order. `None` in events that were written before it was recorded.
    pub seller_id: Option<SellerId>,
    /// The warehouse of the shipment that it is about. `None` if it is about the order as a whole.
    pub warehouse_id: Option<WarehouseId>,
    /// The carrier of that shipment.
    pub carrier_id: Option<CarrierId>,
    /// The detail. `None` for types without one, and for details that this version of the client
    /// does not know.
    pub detail: Option<EventDetail>,
}

open_enum! {
    /// The type of an event. New types may be added: skip those you do not know.
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
        /// A cancellation was requested and accepted for decision.
        CancellationRequested,
        /// A cancellation closed, and units were cancelled.
        CancellationCompleted,
        /// A cancellation closed, and nothing was cancelled.
        CancellationRejected,
        /// A cancellation was withdrawn.
        CancellationWithdrawn,
        /// A gate opened: its party must act.
        GateOpened,
        /// A gate passed, was refused, or is no longer needed.
        GateClosed,
        /// A refund was created.
        RefundCreated,
        /// A refund moved to another state.
        RefundStateChanged,
        /// An incident opened: a fact contradicts a decision.
        IncidentOpened,
        /// An incident was resolved.
        IncidentResolved,
        /// A part of a cancellation ended: its units are cancelled, or stay as they were.
        PartEnded,
        /// The party of an open gate is to be reminded of it.
        GateReminder,
        /// A shipment was held.
        ShipmentHeld,
        /// A hold ended: it was released, or its time is over.
        HoldEnded,
        /// A shipment was split into several.
        ShipmentSplit,
        /// The order to a carrier to bring a parcel back was given or moved on.
        InterceptChanged,
        /// Goods are back at the warehouse.
        ParcelReceived,
        /// The preparation of a shipment had not begun in time.
        PreparationOverdue,
        /// A refund was not settled in time.
        RefundOverdue,
        /// The verification of the payment is over: from now on the buyer may cancel as anybody
        /// may.
        PaymentVerified,
        /// The order is no longer paid: shipments that have not left must stay.
        PaymentLapsed,
        /// A request was put to a policy and rejected: nothing changed. Told by
        /// [`list_order_history`](crate::Store::list_order_history) alone, where it is asked for.
        RequestRejected,
        /// What is kept with an order or a cancellation changed.
        MetadataChanged,
        /// A note was added.
        NoteAdded,
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
            seller_id: text_if_set(message.seller_id).map(SellerId::unchecked),
            warehouse_id: text_if_set(message.warehouse_id).map(WarehouseId::unchecked),
            carrier_id: text_if_set(message.carrier_id).map(CarrierId::unchecked),
            detail: read_if_set(message.detail)?,
        })
    }
}
