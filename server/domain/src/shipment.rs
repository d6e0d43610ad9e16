//! Shipments: what one warehouse hands to one carrier, and where it stands on its way out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{CarrierId, ExternalId, WarehouseId};
use crate::money::Amounts;
use crate::names::named_enum;
use crate::units::UnitSet;

named_enum! {
    /// Where a shipment stands.
    pub enum Stage {
        /// The order is not paid, or a part of a cancellation waits.
        Unreleased = "UNRELEASED",
        /// With the warehouse, awaiting packaging.
        Planned = "PLANNED",
        /// Being packed.
        Preparing = "PREPARING",
        /// Packed, awaiting the carrier.
        Ready = "READY",
        InTransit = "IN_TRANSIT",
        Delivered = "DELIVERED",
        Cancelled = "CANCELLED",
        Lost = "LOST",
        Returning = "RETURNING",
        Returned = "RETURNED",
        Split = "SPLIT",
    }
}

impl Stage {
    /// Still in the building: nothing has left.
    pub fn is_before_dispatch(self) -> bool {
        match self {
            Stage::Unreleased | Stage::Planned | Stage::Preparing | Stage::Ready => true,
            Stage::InTransit
            | Stage::Delivered
            | Stage::Cancelled
            | Stage::Lost
            | Stage::Returning
            | Stage::Returned
            | Stage::Split => false,
        }
    }

    /// Has left the building at some time.
    pub fn is_dispatched(self) -> bool {
        match self {
            Stage::InTransit | Stage::Delivered | Stage::Lost | Stage::Returning | Stage::Returned => true,
            Stage::Unreleased | Stage::Planned | Stage::Preparing | Stage::Ready | Stage::Cancelled | Stage::Split => {
                false
            }
        }
    }
}

named_enum! {
    /// What a carrier reports. Facts are recorded, never refused.
    pub enum TrackingFact {
        PickedUp = "PICKED_UP",
        InTransit = "IN_TRANSIT",
        Delivered = "DELIVERED",
        Lost = "LOST",
        Returning = "RETURNING",
        Returned = "RETURNED",
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shipment {
    pub number: u32,
    pub warehouse: WarehouseId,
    pub carrier: CarrierId,
    pub stage: Stage,
    /// Grows whenever a stop, hold or cancellation on this shipment opens or ends; starts at 1.
    pub fence: u32,
    pub units: UnitSet,
    /// This shipment's part of the order's shipping charge and of its tax.
    pub shipping: i64,
    pub shipping_tax: i64,
    pub tracking_number: Option<ExternalId>,
    pub dispatch_time: Option<Timestamp>,
    pub deliver_time: Option<Timestamp>,
    pub update_time: Timestamp,
    /// The latest `occurred_time` of a tracking fact: an older one never moves the stage back.
    pub last_tracking_time: Option<Timestamp>,
    /// The carrier's event ids that were counted, so that none counts twice.
    pub carrier_event_ids: Vec<ExternalId>,
}

impl Shipment {
    pub fn shipping_amounts(&self) -> Amounts {
        Amounts { shipping: self.shipping, tax: self.shipping_tax, ..Amounts::ZERO }
    }
}
