//! Shipments and their contents.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, NextAction};
use crate::freshness::{WritePosition, equal_but_for_position};
use crate::ids::{CarrierId, Etag, LineId, OrderId, RequestId, ShipmentId, WarehouseId};
use crate::wire::{
    FromWire, Malformed, Open, open_all, open_enum, read, read_all, read_if_set, text_if_set, time,
    time_if_set,
};

/// A shipment: units of an order that go together, from one warehouse, with one carrier.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Shipment {
    /// Its id.
    pub shipment_id: ShipmentId,
    /// The order it belongs to.
    pub order_id: OrderId,
    /// The warehouse that packs it.
    pub warehouse_id: WarehouseId,
    /// The carrier that transports it.
    pub carrier_id: CarrierId,
    /// Its stage.
    pub stage: ShipmentStage,
    /// The fencing token: it begins at 1 and grows whenever a stop, a hold or a cancellation on
    /// this shipment opens or ends. A warehouse reads it when it begins to pack and sends it when
    /// it dispatches.
    pub fence: i64,
    /// The carrier's tracking number. `None` until dispatch.
    pub tracking_number: Option<String>,
    /// The contents.
    pub contents: Vec<ShipmentContent>,
    /// When it was planned: with the order.
    pub create_time: Timestamp,
    /// When it left the warehouse.
    pub dispatch_time: Option<Timestamp>,
    /// When it was delivered, by the carrier's account.
    pub deliver_time: Option<Timestamp>,
    /// When it last changed.
    pub update_time: Timestamp,
    /// The etag of the order.
    pub order_etag: Etag,
    /// The preparation must have begun before this instant. `None` while the order is unpaid and
    /// where the policy sets no such time.
    pub prepare_by: Option<Timestamp>,
    /// Whether that instant passed and the preparation had not begun.
    pub preparation_overdue: bool,
    /// The hold. `None` if the shipment is not held.
    pub hold: Option<Hold>,
    /// The intercept. `None` if there never was one.
    pub intercept: Option<Intercept>,
    /// Set when the shipment crosses a border with more identical units than customs take for a
    /// private purchase.
    pub customs_flag: Option<CustomsFlag>,
    /// The shipment that this one was split from.
    pub split_from_id: Option<ShipmentId>,
    /// Whether every unit was cancelled before it left: then nothing of it may be handed to the
    /// carrier.
    pub do_not_hand_over: bool,
}

/// A hold: the shipment is not dispatched for a time, although the policy would allow it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Hold {
    /// The time at which it ends by itself.
    pub hold_until: Timestamp,
    /// Free text by the person who holds it.
    pub note: Option<String>,
    /// The actor that holds it.
    pub placed_by: Actor,
    /// The beginning of the hold.
    pub create_time: Timestamp,
}

/// An intercept: the order to a carrier to bring a parcel back.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Intercept {
    /// Its state.
    pub state: InterceptState,
    /// When the carrier was asked.
    pub request_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
}

/// A customs flag: the shipment has more identical units than customs take for a private purchase.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CustomsFlag {
    /// The SKU of which there are too many, over all lines of the shipment.
    pub sku: String,
    /// How many units of it there are.
    pub quantity: i32,
    /// How many customs would let pass.
    pub units_max: i32,
    /// The next actions, best first.
    pub remedies: Vec<NextAction>,
}

/// The response of [`split_shipment`](crate::Store::split_shipment).
#[non_exhaustive]
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SplitOff {
    /// The shipment that was split.
    pub shipment: Shipment,
    /// The shipments that its units are in now, in the order of the parcels.
    pub into_shipments: Vec<Shipment>,
    /// The request id that the write was sent with.
    pub request_id: RequestId,
    /// The position of the write, for lists that must show it: see
    /// [`read_after`](crate::calls::ListOrders::read_after). `None` from a server that tells none.
    /// No part of what is compared: the answer to a repetition is the same, and its position may be
    /// a later one.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub position: Option<WritePosition>,
}

equal_but_for_position!(SplitOff {
    shipment,
    into_shipments,
    request_id
});

/// The units of one line in one shipment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ShipmentContent {
    /// The line.
    pub line_id: LineId,
    /// The line's SKU.
    pub sku: String,
    /// How many units were planned into the shipment.
    pub quantity: i32,
    /// How many of them are cancelled. What is to be packed is `quantity - cancelled_quantity`.
    pub cancelled_quantity: i32,
    /// How many have left the warehouse.
    pub dispatched_quantity: i32,
    /// How many of those are home again.
    pub received_quantity: i32,
}

open_enum! {
    /// The stage of a shipment: the first six in this sequence, or one of the other ends.
    ShipmentStage {
        /// The warehouse may not begin: the order is not paid, or a waiting cancellation keeps it
        /// back.
        Unreleased,
        /// Released, awaiting packaging.
        Planned,
        /// The warehouse is packing.
        Preparing,
        /// Packed, ready to be handed to the carrier.
        Ready,
        /// Handed to the carrier.
        InTransit,
        /// Delivered to the buyer.
        Delivered,
        /// Every unit was cancelled before it left. It must not be handed to the carrier.
        Cancelled,
        /// The carrier lost it.
        Lost,
        /// On its way back.
        Returning,
        /// Back at the warehouse.
        Returned,
        /// Its units were moved to other shipments.
        Split,
    }
}

open_enum! {
    /// The state of an intercept.
    InterceptState {
        /// The carrier is asked.
        Requested,
        /// The carrier will bring it back.
        Confirmed,
        /// It is on its way back.
        Returning,
        /// It is back at the warehouse.
        Received,
        /// The carrier cannot bring it back, or did not.
        Failed,
    }
}

open_enum! {
    /// The condition of returned goods.
    GoodsCondition {
        /// As they were sent; they can be sold again.
        Unopened,
        /// The buyer has opened them.
        Opened,
        /// Damaged, by whomever.
        Damaged,
    }
}

open_enum! {
    /// A fact that a carrier or warehouse scanned. It is recorded at any stage.
    TrackingFact {
        /// Scanned out of the warehouse.
        PickedUp,
        /// Seen on its way.
        InTransit,
        /// Handed to the buyer.
        Delivered,
        /// Given up as lost.
        Lost,
        /// Turned round, on its way back.
        Returning,
        /// Arrived back at the warehouse.
        Returned,
    }
}

impl FromWire for Shipment {
    type Message = pb::Shipment;

    fn from_wire(message: pb::Shipment) -> Result<Self, Malformed> {
        Ok(Self {
            shipment_id: ShipmentId::unchecked(message.shipment_id),
            order_id: OrderId::unchecked(message.order_id),
            warehouse_id: WarehouseId::unchecked(message.warehouse_id),
            carrier_id: CarrierId::unchecked(message.carrier_id),
            stage: ShipmentStage::from_wire(message.stage),
            fence: message.fence,
            tracking_number: text_if_set(message.tracking_number),
            contents: read_all(message.contents)?,
            create_time: time(message.create_time, "shipment.create_time")?,
            dispatch_time: time_if_set(message.dispatch_time, "shipment.dispatch_time")?,
            deliver_time: time_if_set(message.deliver_time, "shipment.deliver_time")?,
            update_time: time(message.update_time, "shipment.update_time")?,
            order_etag: Etag::from(message.order_etag),
            prepare_by: time_if_set(message.prepare_by, "shipment.prepare_by")?,
            preparation_overdue: message.preparation_overdue,
            hold: read_if_set(message.hold)?,
            intercept: read_if_set(message.intercept)?,
            customs_flag: read_if_set(message.customs_flag)?,
            split_from_id: text_if_set(message.split_from_id).map(ShipmentId::unchecked),
            do_not_hand_over: message.do_not_hand_over,
        })
    }
}

impl FromWire for Hold {
    type Message = pb::Hold;

    fn from_wire(message: pb::Hold) -> Result<Self, Malformed> {
        Ok(Self {
            hold_until: time(message.hold_until, "hold.hold_until")?,
            note: text_if_set(message.note),
            placed_by: read(message.placed_by, "hold.placed_by")?,
            create_time: time(message.create_time, "hold.create_time")?,
        })
    }
}

impl FromWire for Intercept {
    type Message = pb::Intercept;

    fn from_wire(message: pb::Intercept) -> Result<Self, Malformed> {
        Ok(Self {
            state: InterceptState::from_wire(message.state),
            request_time: time(message.request_time, "intercept.request_time")?,
            update_time: time(message.update_time, "intercept.update_time")?,
        })
    }
}

impl FromWire for CustomsFlag {
    type Message = pb::CustomsFlag;

    fn from_wire(message: pb::CustomsFlag) -> Result<Self, Malformed> {
        Ok(Self {
            sku: message.sku,
            quantity: message.quantity,
            units_max: message.units_max,
            remedies: open_all(message.remedies),
        })
    }
}

impl FromWire for ShipmentContent {
    type Message = pb::ShipmentContent;

    fn from_wire(message: pb::ShipmentContent) -> Result<Self, Malformed> {
        Ok(Self {
            line_id: LineId::unchecked(message.line_id),
            sku: message.sku,
            quantity: message.quantity,
            cancelled_quantity: message.cancelled_quantity,
            dispatched_quantity: message.dispatched_quantity,
            received_quantity: message.received_quantity,
        })
    }
}
