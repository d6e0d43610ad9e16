//! The stock of warehouses.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, ShipmentStage};
use crate::ids::{CancellationId, OrderId, ShipmentId, StoreId, WarehouseId};
use crate::wire::{FromWire, Malformed, Open, open_enum, read_if_set, time, time_if_set};

/// The stock of a SKU in a warehouse.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Stock {
    /// The store.
    pub store_id: StoreId,
    /// The warehouse.
    pub warehouse_id: WarehouseId,
    /// The stock-keeping unit.
    pub sku: String,
    /// The units on the shelf: the last count, and what went and came since. Less than 0 if more
    /// left than was counted.
    pub on_hand_quantity: i64,
    /// Of those, units of shipments that are released and have not left.
    pub reserved_quantity: i64,
    /// The units that may be sold; 0 of an archived SKU. Less than 0 if more is promised than there
    /// is.
    pub available_quantity: i64,
    /// Whether the SKU is not sold from this warehouse any more.
    pub archived: bool,
    /// When it was last counted or archived. `None` if it never was.
    pub tell_time: Option<Timestamp>,
    /// When it last changed. `None` if nothing is known of the SKU.
    pub update_time: Option<Timestamp>,
}

open_enum! {
    /// The kind of an entry of the ledger.
    StockEntryKind {
        /// A shipment was released: its units are promised.
        Reserved,
        /// Units are promised no more.
        Released,
        /// Units left the warehouse.
        Shipped,
        /// Units were received as they were sent.
        PutBack,
        /// Units were received opened or damaged, or their receipt ended a return as opened. They
        /// do not return to the stock.
        SetAside,
        /// A cancellation said that there are none.
        Zeroed,
        /// The SKU was counted.
        Counted,
        /// The SKU was archived.
        Archived,
    }
}

/// An entry of the ledger of a SKU in a warehouse.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StockEntry {
    /// Its kind.
    pub kind: StockEntryKind,
    /// The number of units that it is about.
    pub quantity: i32,
    /// The change of what is on hand; 0 of `Counted` and `Zeroed`, which say how much it is.
    pub on_hand_change: i64,
    /// The change of what is reserved.
    pub reserved_change: i64,
    /// What was on hand before it. `None` unless it is `Counted` or `Zeroed`.
    pub previous_quantity: Option<i64>,
    /// When it happened.
    pub entry_time: Timestamp,
    /// The order whose event it is.
    pub order_id: Option<OrderId>,
    /// The shipment.
    pub shipment_id: Option<ShipmentId>,
    /// The cancellation that cancelled the units.
    pub cancellation_id: Option<CancellationId>,
    /// The actor who counted or archived.
    pub actor: Option<Actor>,
}

/// A shipment that waits for units of a SKU.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct StockHolder {
    /// The order.
    pub order_id: OrderId,
    /// The shipment, which has not left.
    pub shipment_id: ShipmentId,
    /// The stage of the shipment.
    pub stage: ShipmentStage,
    /// The number of its units of the SKU that are not cancelled.
    pub quantity: i32,
    /// The number of those that are reserved.
    pub reserved_quantity: i32,
}

impl FromWire for Stock {
    type Message = pb::Stock;

    fn from_wire(message: pb::Stock) -> Result<Self, Malformed> {
        Ok(Self {
            store_id: StoreId::unchecked(message.store_id),
            warehouse_id: WarehouseId::unchecked(message.warehouse_id),
            sku: message.sku,
            on_hand_quantity: message.on_hand_quantity,
            reserved_quantity: message.reserved_quantity,
            available_quantity: message.available_quantity,
            archived: message.archived,
            tell_time: time_if_set(message.tell_time, "stock.tell_time")?,
            update_time: time_if_set(message.update_time, "stock.update_time")?,
        })
    }
}

impl FromWire for StockEntry {
    type Message = pb::StockEntry;

    fn from_wire(message: pb::StockEntry) -> Result<Self, Malformed> {
        let kind = StockEntryKind::from_wire(message.kind);
        let says_how_much = matches!(kind, StockEntryKind::Counted | StockEntryKind::Zeroed);
        let set = |id: String| (!id.is_empty()).then_some(id);
        Ok(Self {
            kind,
            quantity: message.quantity,
            on_hand_change: message.on_hand_change,
            reserved_change: message.reserved_change,
            previous_quantity: says_how_much.then_some(message.previous_quantity),
            entry_time: time(message.entry_time, "stock_entry.entry_time")?,
            order_id: set(message.order_id).map(OrderId::unchecked),
            shipment_id: set(message.shipment_id).map(ShipmentId::unchecked),
            cancellation_id: set(message.cancellation_id).map(CancellationId::unchecked),
            actor: read_if_set(message.actor)?,
        })
    }
}

impl FromWire for StockHolder {
    type Message = pb::StockHolder;

    fn from_wire(message: pb::StockHolder) -> Result<Self, Malformed> {
        Ok(Self {
            order_id: OrderId::unchecked(message.order_id),
            shipment_id: ShipmentId::unchecked(message.shipment_id),
            stage: ShipmentStage::from_wire(message.stage),
            quantity: message.quantity,
            reserved_quantity: message.reserved_quantity,
        })
    }
}
