//! The quality of sellers.

use belay_proto::v1 as pb;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::ids::{CancellationId, OrderId, SellerId, ShipmentId, StoreId};
use crate::wire::{FromWire, Malformed, read_all, time};

/// A seller's quality.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SellerQuality {
    /// The store.
    pub store_id: StoreId,
    /// The seller.
    pub seller_id: SellerId,
    /// The number of cancellations, or shipments with one, that count.
    pub numerator: i64,
    /// The number of orders or shipments that they are of.
    pub denominator: i64,
    /// Their ratio in hundredths of a percent, rounded down.
    pub rate_basis_points: i32,
    /// What the numerator counts: `COUNTED_CANCELLATIONS` or `COUNTED_SHIPMENTS`.
    pub numerator_name: String,
    /// What the denominator counts: `ORDERS_PLACED` or `SHIPMENTS_DUE`.
    pub denominator_name: String,
    /// The number of days of the window.
    pub window_days: i32,
    /// The number of days that the window ends before today.
    pub lag_days: i32,
    /// The first day of the window, in the store's time zone.
    pub first_date: Date,
    /// The last day of the window.
    pub last_date: Date,
    /// The policy's thresholds, the lowest first.
    pub thresholds: Vec<SellerThreshold>,
    /// The number of cancellations that may count before the next threshold is reached.
    pub headroom: i64,
}

/// A threshold of the policy, and how far a seller is from it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SellerThreshold {
    /// The policy's name for it, such as `WARNING`.
    pub name: String,
    /// The rate at which it is reached, in hundredths of a percent.
    pub basis_points: i32,
    /// Whether it is reached.
    pub reached: bool,
    /// The number of cancellations that may count before it is reached.
    pub headroom: i64,
}

/// Something that counts against a seller.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CountedCancellation {
    /// The order.
    pub order_id: OrderId,
    /// The cancellation.
    pub cancellation_id: CancellationId,
    /// The shipment. `None` where cancellations are counted.
    pub shipment_id: Option<ShipmentId>,
    /// When it happened.
    pub count_time: Timestamp,
}

/// A crossing of a threshold.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ThresholdCrossing {
    /// The number of the crossing: 1, 2, 3 and so on for each seller.
    pub number: i32,
    /// The threshold's name.
    pub threshold: String,
    /// The rate at which it was reached then, in hundredths of a percent.
    pub threshold_basis_points: i32,
    /// Whether the rate reached it; else it went back below it.
    pub reached: bool,
    /// The number that counted.
    pub numerator: i64,
    /// The number that they were of.
    pub denominator: i64,
    /// The rate in hundredths of a percent.
    pub rate_basis_points: i32,
    /// When it was found.
    pub cross_time: Timestamp,
}

impl FromWire for SellerQuality {
    type Message = pb::SellerQuality;

    fn from_wire(message: pb::SellerQuality) -> Result<Self, Malformed> {
        let date = |text: &str, field| text.parse::<Date>().map_err(|_| Malformed(field));
        Ok(Self {
            store_id: StoreId::unchecked(message.store_id),
            seller_id: SellerId::unchecked(message.seller_id),
            numerator: message.numerator,
            denominator: message.denominator,
            rate_basis_points: message.rate_basis_points,
            numerator_name: message.numerator_name,
            denominator_name: message.denominator_name,
            window_days: message.window_days,
            lag_days: message.lag_days,
            first_date: date(&message.first_date, "seller_quality.first_date")?,
            last_date: date(&message.last_date, "seller_quality.last_date")?,
            thresholds: read_all(message.thresholds)?,
            headroom: message.headroom,
        })
    }
}

impl FromWire for SellerThreshold {
    type Message = pb::SellerThreshold;

    fn from_wire(message: pb::SellerThreshold) -> Result<Self, Malformed> {
        Ok(Self {
            name: message.name,
            basis_points: message.basis_points,
            reached: message.reached,
            headroom: message.headroom,
        })
    }
}

impl FromWire for CountedCancellation {
    type Message = pb::CountedCancellation;

    fn from_wire(message: pb::CountedCancellation) -> Result<Self, Malformed> {
        let shipment_id = Some(message.shipment_id).filter(|id| !id.is_empty());
        Ok(Self {
            order_id: OrderId::unchecked(message.order_id),
            cancellation_id: CancellationId::unchecked(message.cancellation_id),
            shipment_id: shipment_id.map(ShipmentId::unchecked),
            count_time: time(message.count_time, "counted_cancellation.count_time")?,
        })
    }
}

impl FromWire for ThresholdCrossing {
    type Message = pb::ThresholdCrossing;

    fn from_wire(message: pb::ThresholdCrossing) -> Result<Self, Malformed> {
        Ok(Self {
            number: message.number,
            threshold: message.threshold,
            threshold_basis_points: message.threshold_basis_points,
            reached: message.reached,
            numerator: message.numerator,
            denominator: message.denominator,
            rate_basis_points: message.rate_basis_points,
            cross_time: time(message.cross_time, "threshold_crossing.cross_time")?,
        })
    }
}
