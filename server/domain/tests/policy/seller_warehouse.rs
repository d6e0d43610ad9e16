//! The cases of "Cancellation by seller".

use belay_domain::actor::Role::{self, Buyer, Carrier, Seller, Support};
use belay_domain::policy::{
    CarrierCapabilities, Customs, Policy, QualityDenominator, QualityNumerator, Question,
};
use belay_domain::shipment::Stage::{
    self, Cancelled, Delivered, InTransit, Lost, Planned, Preparing, Ready, Returned, Returning,
    Split, Unreleased,
};
use belay_domain::terms::{Effect, Fault, GateKind, NextAction, OnLost, OnTimeout, Path};

use crate::support::{With, asked_by, because, check_told, gate, preset};

const SELLERS_REASONS: &[&str] = &[
    "OUT_OF_STOCK",
    "BUYER_ASKED",
    "LOST_IN_TRANSIT",
    "ADDRESS_NOT_DELIVERABLE",
    "OTHER",
];

fn marketplace() -> Policy {
    preset("seller-warehouse")
}

/// The seller cancels, for this reason, what this carrier delivers.
fn sellers(stage: Stage, reason: &str, carrier: CarrierCapabilities) -> Question {
    asked_by(Seller, stage, Path::Cancel)
        .with(because(reason))
        .with(|q| q.carrier = carrier)
}

fn partner() -> CarrierCapabilities {
    CarrierCapabilities {
        in_transit_cancel: true,
        partner_delivery: true,
        return_label: false,
    }
}

/// A carrier of the seller's own.
fn own() -> CarrierCapabilities {
    CarrierCapabilities {
        partner_delivery: false,
        ..partner()
    }
}

fn china_post() -> CarrierCapabilities {
    CarrierCapabilities {
        in_transit_cancel: false,
        ..partner()
    }
}

#[test]
fn s003_01_and_08_the_seller_has_five_reasons_and_all_are_counted() {
    let policy = marketplace();
    let theirs: Vec<_> = policy
        .reasons
        .iter()
        .filter(|reason| reason.actors.contains(&Seller))
        .collect();
    assert_eq!(
        theirs
            .iter()
            .map(|reason| &*reason.code)
            .collect::<Vec<_>>(),
        SELLERS_REASONS
    );
    assert!(theirs.iter().all(|reason| reason.counted));
    assert!(policy.reason_required.contains(&Seller));
}

#[test]
fn s003_02_before_dispatch_the_seller_cancels() {
    let mut rows = Vec::new();
    for reason in [
        "OUT_OF_STOCK",
        "BUYER_ASKED",
        "ADDRESS_NOT_DELIVERABLE",
        "OTHER",
    ] {
        for stage in [Planned, Preparing, Ready] {
            rows.extend(
                [partner(), own()].map(|c| (sellers(stage, reason, c), "before-dispatch: FULL")),
            );
        }
        // What is not paid yet closes by itself.
        rows.extend(
            [partner(), own()].map(|c| (sellers(Unreleased, reason, c), "-: no, NOT_ALLOWED")),
        );
    }
    check_told(&marketplace(), rows);
}

#[test]
fn s003_03_to_05_in_transit_a_partner_is_asked_and_china_post_is_not() {
    let policy = marketplace();
    let asked = "asks-the-partner: CARRIER_INTERCEPT, FULL SELLER/SELLER";
    let cannot = "carrier-cannot: no, NOT_INTERCEPTABLE, CONTACT_SUPPORT";
    let mut rows = Vec::new();
    for reason in ["OUT_OF_STOCK", "ADDRESS_NOT_DELIVERABLE", "OTHER"] {
        rows.push((sellers(InTransit, reason, partner()), asked));
        // On its way back before the partner has answered.
        rows.push((sellers(Returning, reason, partner()), asked));
        rows.push((sellers(Returned, reason, partner()), asked));
        rows.push((sellers(InTransit, reason, china_post()), cannot));
        rows.push((
            sellers(InTransit, reason, own()),
            "shipped: no, SHIPPED, CONTACT_SUPPORT",
        ));
    }
    check_told(&policy, rows);
    let asks = gate(
        &policy,
        &sellers(InTransit, "OTHER", partner()),
        GateKind::CarrierIntercept,
    );
    assert_eq!(asks.on_timeout, OnTimeout::Refuse);
}

#[test]
fn s003_06_at_any_other_stage_nothing_is_cancelled() {
    let mut rows = Vec::new();
    for reason in SELLERS_REASONS {
        rows.push((
            sellers(Delivered, reason, partner()),
            "delivered: no, DELIVERED, CONTACT_SUPPORT",
        ));
        rows.extend(
            [Cancelled, Split]
                .map(|stage| (sellers(stage, reason, partner()), "-: no, NOT_ALLOWED")),
        );
    }
    rows.push((sellers(Lost, "OTHER", partner()), "-: no, NOT_ALLOWED"));
    let ask = "ask-the-seller: no, NOT_ALLOWED, CONTACT_SELLER";
    rows.extend([Buyer, Support].map(|actor| (asked_by(actor, Planned, Path::Cancel), ask)));
    check_told(&marketplace(), rows);
}

#[test]
fn s003_09_and_10_what_is_out_of_stock_is_zero_and_its_seller_knows_what_next() {
    let policy = marketplace();
    let reason = policy.reason("OUT_OF_STOCK").unwrap();
    assert_eq!(
        (&reason.effects[..], reason.fault),
        (&[Effect::ZeroStock][..], Fault::Seller)
    );
    assert_eq!(
        reason.next_actions,
        [NextAction::SetStock, NextAction::ArchiveSku]
    );
}

#[test]
fn s003_11_the_buyer_asks_through_a_channel_and_before_dispatch() {
    let policy = marketplace();
    let reason = policy.reason("BUYER_ASKED").unwrap();
    assert_eq!(
        (reason.fault, reason.evidence_required, reason.counted),
        (Fault::Buyer, true, true)
    );
    assert_eq!(reason.evidence_channels, ["CHAT", "SUPPORT", "CHATBOT"]);
    let too_late = "buyer-asked-too-late: no, SHIPPED, CONTACT_SUPPORT";
    let rows = [partner(), own(), china_post()]
        .map(|carrier| (sellers(InTransit, "BUYER_ASKED", carrier), too_late));
    check_told(&policy, rows.into());
}

#[test]
fn s003_12_to_14_more_than_three_of_a_kind_are_split_or_cancelled() {
    let policy = marketplace();
    let expected = Customs {
        identical_units_max: 3,
        own_delivery: vec![NextAction::Cancel, NextAction::SplitShipment],
        partner_delivery: vec![NextAction::Cancel],
    };
    assert_eq!(policy.customs, Some(expected));
    let flagged =
        |carrier| sellers(Planned, "BUYER_ASKED", carrier).with(|q| q.customs_flagged = true);
    let rows = [own(), partner()].map(|carrier| (flagged(carrier), "before-dispatch: FULL"));
    check_told(&policy, rows.into());
}

#[test]
fn s003_15_a_loss_is_in_transit_and_the_carriers_to_confirm() {
    let policy = marketplace();
    let confirms = "lost-in-transit: LOSS_CONFIRMATION, FULL SELLER/SELLER";
    let mut rows = Vec::new();
    for carrier in [partner(), own(), china_post()] {
        let lost = |stage| sellers(stage, "LOST_IN_TRANSIT", carrier);
        rows.extend([InTransit, Lost].map(|stage| (lost(stage), confirms)));
        rows.extend(
            [Unreleased, Planned, Preparing, Ready]
                .map(|stage| (lost(stage), "not-lost-before-dispatch: no, NOT_ALLOWED")),
        );
        rows.push((lost(Delivered), "delivered: no, DELIVERED, CONTACT_SUPPORT"));
        rows.push((lost(Returning), "-: no, NOT_ALLOWED"));
    }
    check_told(&policy, rows);
    let loss = gate(
        &policy,
        &sellers(InTransit, "LOST_IN_TRANSIT", own()),
        GateKind::LossConfirmation,
    );
    assert_eq!(
        (loss.on_lost, loss.on_timeout),
        (OnLost::Pass, OnTimeout::Escalate)
    );
    assert_eq!(loss.kind.party(), Role::Carrier);
}

#[test]
fn s003_16_and_17_an_address_is_changed_and_other_is_described() {
    let policy = marketplace();
    let address = policy.reason("ADDRESS_NOT_DELIVERABLE").unwrap();
    assert_eq!(address.next_actions, [NextAction::ChangeDeliveryArea]);
    let other = policy.reason("OTHER").unwrap();
    assert_eq!((other.note_required, other.fault), (true, Fault::Seller));
}

#[test]
fn s003_18_a_partner_cancels_what_it_cannot_deliver_and_the_seller_is_not_to_blame() {
    let policy = marketplace();
    let reason = policy.reason("DELIVERY_PROBLEM").unwrap();
    assert_eq!(
        (&reason.actors[..], reason.fault, reason.counted),
        (&[Carrier][..], Fault::Carrier, false)
    );
    let problem = |stage, carrier| {
        asked_by(Carrier, stage, Path::Cancel)
            .with(because("DELIVERY_PROBLEM"))
            .with(|q| q.carrier = carrier)
    };
    let cancels = "partner-cancels: FULL SELLER/SELLER";
    let mut rows: Vec<_> = [Ready, InTransit, Lost, Returning, Returned]
        .map(|stage| (problem(stage, china_post()), cancels))
        .into();
    rows.push((problem(InTransit, own()), "-: no, NOT_ALLOWED"));
    rows.push((problem(Delivered, partner()), "-: no, NOT_ALLOWED"));
    rows.push((
        asked_by(Carrier, Returning, Path::RefuseDelivery),
        "came-home: PARCEL_RECEIPT, FULL",
    ));
    check_told(&policy, rows);
}

#[test]
fn s003_19_the_rate_is_of_shipments_that_were_due() {
    let quality = marketplace().quality.unwrap();
    assert_eq!(quality.numerator, QualityNumerator::CountedShipments);
    assert_eq!(quality.denominator, QualityDenominator::ShipmentsDue);
    assert_eq!(
        (
            quality.window_days,
            quality.lag_days,
            quality.thresholds.len()
        ),
        (28, 7, 2)
    );
}
