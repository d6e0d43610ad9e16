//! Shipments on their way out.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::ids::{CarrierId, Etag, LineId, OrderId, ShipmentId, WarehouseId};
use crate::wire::{FromWire, Malformed, Open, open_enum, read_all, text_if_set, time, time_if_set};

/// Some units of an order that go together: from one warehouse, with one carrier.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipment {
    /// Its id.
    pub shipment_id: ShipmentId,
    /// The order it belongs to.
    pub order_id: OrderId,
    /// The warehouse that packs it.
    pub warehouse_id: WarehouseId,
    /// The carrier that transports it.
    pub carrier_id: CarrierId,
    /// Where it stands on its way out.
    pub stage: ShipmentStage,
    /// Begins at 1 and grows whenever a stop, a hold or a cancellation on this shipment opens or ends. A warehouse
    /// reads it when it begins to pack and names it when it dispatches.
    pub fence: i64,
    /// The carrier's tracking number. `None` until dispatch.
    pub tracking_number: Option<String>,
    /// What is in it.
    pub contents: Vec<ShipmentContent>,
    /// When it was planned: with the order.
    pub create_time: Timestamp,
    /// When it left the warehouse.
    pub dispatch_time: Option<Timestamp>,
    /// When it was delivered.
    pub deliver_time: Option<Timestamp>,
    /// When it last changed.
    pub update_time: Timestamp,
    /// The etag of the order as of this answer.
    pub order_etag: Etag,
}

/// The units of one line in one shipment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipmentContent {
    /// The line.
    pub line_id: LineId,
    /// The line's SKU.
    pub sku: String,
    /// How many units were planned into the shipment.
    pub quantity: i32,
    /// How many of them are cancelled. What is to be packed is `quantity - cancelled_quantity`.
    pub cancelled_quantity: i32,
}

open_enum! {
    /// Where a shipment stands: the first six in this sequence, or one of the other ends.
    ShipmentStage {
        /// The warehouse may not begin: the order is not paid, or a waiting cancellation keeps it back.
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
    /// What a carrier or warehouse scanned. Facts have happened already: they are recorded, never refused for the stage
    /// they meet.
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
        })
    }
}
