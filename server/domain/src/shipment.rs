//! Shipments: what one warehouse hands to one carrier, and where it stands on its way out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::ids::{CarrierId, ExternalId, Sku, WarehouseId};
use crate::money::Amounts;
use crate::names::named_enum;
use crate::units::UnitSet;

named_enum! {
    /// The stage of a shipment.
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
            Stage::InTransit
            | Stage::Delivered
            | Stage::Lost
            | Stage::Returning
            | Stage::Returned => true,
            Stage::Unreleased
            | Stage::Planned
            | Stage::Preparing
            | Stage::Ready
            | Stage::Cancelled
            | Stage::Split => false,
        }
    }
}

named_enum! {
    /// A fact that a carrier reports. Facts are recorded, never refused.
    pub enum TrackingFact {
        PickedUp = "PICKED_UP",
        InTransit = "IN_TRANSIT",
        Delivered = "DELIVERED",
        Lost = "LOST",
        Returning = "RETURNING",
        Returned = "RETURNED",
    }
}

named_enum! {
    /// The state of an intercept.
    pub enum InterceptState {
        Requested = "REQUESTED",
        Confirmed = "CONFIRMED",
        Returning = "RETURNING",
        Received = "RECEIVED",
        Failed = "FAILED",
    }
}

/// The order to a carrier to bring a parcel back. A shipment has at most one at a time; a new one
/// takes the place of one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intercept {
    pub state: InterceptState,
    pub request_time: Timestamp,
    pub update_time: Timestamp,
}

/// A hold: a seller or support keeps the shipment in for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Then it ends by itself.
    pub until: Timestamp,
    pub note: Option<String>,
    pub placed_by: Actor,
    pub create_time: Timestamp,
}

/// More identical units than customs take for a private purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomsFlag {
    pub sku: Sku,
    pub quantity: u32,
    /// So many would have passed, by the policy that the order was placed under.
    pub units_max: u32,
}

/// A scan: a fact that a carrier reported about a shipment, and its time by the carrier's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    pub fact: TrackingFact,
    pub time: Timestamp,
}

/// The whereabouts of the units of a shipment that have left the warehouse: out, which is with the
/// carrier, with the buyer or lost, or home again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// The units that left: those that were not cancelled when the shipment left, or all of a
    /// shipment that left although it was cancelled. Empty until then, and never changed
    /// afterwards.
    pub left: UnitSet,
    /// Of those, the units that the warehouse has received. Grows only.
    pub home: UnitSet,
    /// The warehouse's ids of the receipts that were counted, so that none counts twice.
    pub receipt_ids: Vec<ExternalId>,
    /// The carrier's facts, as they were told. Where the shipment stands is folded from them in the
    /// order in which they happened. Empty, too, where they were not kept when they were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<Scan>,
    /// Nobody dispatched it: its scans alone say when it left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_unseen: bool,
    /// Units that came home too late and that support has left as they are. What comes after them
    /// is another matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Accepted>,
}

/// The units that are home and whose incident was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The cancellation that they came too late for; none where they came for none.
    pub cancellation: Option<u32>,
    pub units: UnitSet,
}

impl Whereabouts {
    /// What support has accepted of what came too late for this cancellation, or for none.
    pub fn accepted_of(&self, cancellation: Option<u32>) -> UnitSet {
        let accepted = self
            .accepted
            .iter()
            .filter(|accepted| accepted.cancellation == cancellation);
        accepted
            .flat_map(|accepted| accepted.units.ranges().iter().copied())
            .collect()
    }

    /// What has left and is not home.
    pub fn out(&self) -> UnitSet {
        self.left.minus(&self.home)
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
    pub whereabouts: Whereabouts,
    /// When it left, by whoever says so: the dispatch, or the first scan outside.
    pub dispatch_time: Option<Timestamp>,
    /// When it was delivered, by the carrier's account: never before it left, never in the future.
    pub deliver_time: Option<Timestamp>,
    pub update_time: Timestamp,
    /// The latest `occurred_time` of a tracking fact: what is known of the way where the facts
    /// themselves were not kept.
    pub last_tracking_time: Option<Timestamp>,
    /// The carrier's event ids that were counted, so that none counts twice.
    pub carrier_event_ids: Vec<ExternalId>,
    /// Preparation must have begun before this instant; known once the order is paid, where the
    /// policy says so.
    pub prepare_by: Option<Timestamp>,
    /// It had not.
    pub preparation_overdue: bool,
    pub hold: Option<Hold>,
    pub intercept: Option<Intercept>,
    pub customs_flag: Option<CustomsFlag>,
    /// The shipment that this one was split from.
    pub split_from: Option<u32>,
}

impl Shipment {
    pub fn hold_ends(&self) -> Option<Timestamp> {
        self.hold.as_ref().map(|hold| hold.until)
    }

    /// When its preparation becomes overdue that has not begun.
    pub fn overdue_from(&self) -> Option<Timestamp> {
        let awaits_preparation =
            matches!(self.stage, Stage::Unreleased | Stage::Planned) && !self.preparation_overdue;
        self.prepare_by.filter(|_| awaits_preparation)
    }

    pub fn shipping_amounts(&self) -> Amounts {
        Amounts {
            shipping: self.shipping,
            tax: self.shipping_tax,
            ..Amounts::ZERO
        }
    }
}
