//! The quality of sellers.

use std::collections::BTreeSet;

use belay_domain::cancellation::PartState;
use belay_domain::ids::{ChildKind, SellerId, StoreId};
use belay_domain::order::Order;
use belay_domain::policy::{Quality, QualityNumerator, QualityThreshold};
use belay_domain::quality::{CrossingRecord, FactKind, Rate, SellerFact, Window};
use belay_proto::v1 as pb;

use crate::values::{count, time};

/// A seller's quality in a window.
pub fn seller_quality(
    (store, seller): (&StoreId, &SellerId),
    quality: &Quality,
    window: Window,
    rate: Rate,
) -> pb::SellerQuality {
    let threshold = |threshold: &QualityThreshold| pb::SellerThreshold {
        name: threshold.name.clone(),
        basis_points: basis_points_of(threshold),
        reached: rate.reaches(threshold),
        headroom: large(rate.headroom(threshold)),
    };
    pb::SellerQuality {
        store_id: store.to_string(),
        seller_id: seller.to_string(),
        numerator: large(rate.numerator),
        denominator: large(rate.denominator),
        rate_basis_points: basis_points(rate),
        numerator_name: quality.numerator.name().to_owned(),
        denominator_name: quality.denominator.name().to_owned(),
        window_days: count(quality.window_days),
        lag_days: count(quality.lag_days),
        first_date: window.first.to_string(),
        last_date: window.last.to_string(),
        thresholds: quality.thresholds.iter().map(threshold).collect(),
        headroom: large(rate.headroom_to_next(quality).unwrap_or_default()),
    }
}

/// What the cancellation of this preview would do to the rate. A shipment counts once, whichever
/// cancellations take of it.
pub fn preview(
    quality: &Quality,
    rate: Rate,
    order: &Order,
    shown: &pb::PreviewCancellationResponse,
) -> pb::QualityPreview {
    let more = match quality.numerator {
        QualityNumerator::CountedCancellations => 1,
        QualityNumerator::CountedShipments => {
            let chosen = shown.options.iter().filter(|option| option.chosen);
            let shipments: BTreeSet<_> = chosen.map(|option| option.shipment_id.clone()).collect();
            let more = shipments.difference(&counted_shipments(order)).count();
            u64::try_from(more).unwrap_or(u64::MAX)
        }
    };
    let after = rate.with(more);
    pb::QualityPreview {
        rate_basis_points: basis_points(rate),
        rate_after_basis_points: basis_points(after),
        headroom_after: large(after.headroom_to_next(quality).unwrap_or_default()),
    }
}

/// The shipments of an order that count against its seller already.
fn counted_shipments(order: &Order) -> BTreeSet<String> {
    let counted = order.cancellations.iter().filter(|of| of.counted);
    let cancelled = counted
        .flat_map(|of| &of.parts)
        .filter(|part| part.state == PartState::Cancelled);
    cancelled
        .map(|part| ChildKind::Shipment.id(&order.id, part.shipment))
        .collect()
}

/// Something that counts against a seller.
pub fn counted_cancellation(fact: &SellerFact) -> pb::CountedCancellation {
    let cancellation = fact.cancellation.unwrap_or_default();
    pb::CountedCancellation {
        order_id: fact.order.to_string(),
        cancellation_id: ChildKind::Cancellation.id(&fact.order, cancellation),
        shipment_id: if fact.kind == FactKind::ShipmentCounted {
            ChildKind::Shipment.id(&fact.order, fact.number)
        } else {
            String::new()
        },
        count_time: Some(time(fact.time)),
    }
}

/// A crossing of a threshold.
pub fn threshold_crossing(record: &CrossingRecord) -> pb::ThresholdCrossing {
    let threshold = &record.crossing.threshold;
    pb::ThresholdCrossing {
        number: count(record.number),
        threshold: threshold.name.clone(),
        threshold_basis_points: basis_points_of(threshold),
        reached: record.crossing.is_reached,
        numerator: large(record.rate.numerator),
        denominator: large(record.rate.denominator),
        rate_basis_points: basis_points(record.rate),
        cross_time: Some(time(record.time)),
    }
}

fn basis_points_of(threshold: &QualityThreshold) -> i32 {
    count(threshold.percent.saturating_mul(100))
}

fn basis_points(rate: Rate) -> i32 {
    i32::try_from(rate.basis_points()).unwrap_or(i32::MAX)
}

fn large(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
