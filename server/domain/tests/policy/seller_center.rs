//! The cases of "Managing Cancellations".

use belay_domain::actor::Role::{Buyer, Seller, Support};
use belay_domain::calendar::Calendar;
use belay_domain::period::Period;
use belay_domain::policy::{Policy, QualityDenominator, QualityNumerator};
use belay_domain::shipment::Stage::{
    self, Delivered, InTransit, Planned, Preparing, Ready, Unreleased,
};
use belay_domain::terms::{Fault, GateKind, OnTimeout, Path};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::support::{With, asked_by, because, check_told, gate, preset};

fn marketplace() -> Policy {
    preset("seller-center")
}

#[test]
fn s004_01_to_03_before_anybody_packs_it_is_approved_and_then_it_is_requested() {
    let approved = "auto-approved: FULL";
    let requested = "requested: SELLER_CONSENT, FULL";
    let cancel = |stage| asked_by(Buyer, stage, Path::Cancel).with(because("FOUND_BETTER"));
    let rows = vec![
        (cancel(Unreleased).with(|q| q.paid = false), approved),
        (cancel(Unreleased), approved),
        (cancel(Planned), approved),
        (cancel(Preparing), requested),
        (cancel(Ready), requested),
        (cancel(InTransit), "shipped: no, SHIPPED, CONTACT_SUPPORT"),
        (
            cancel(Delivered),
            "delivered: no, DELIVERED, CONTACT_SUPPORT",
        ),
        (
            asked_by(Buyer, Delivered, Path::ReturnOpened),
            "ask-support: no, NOT_ALLOWED, CONTACT_SUPPORT",
        ),
    ];
    check_told(&marketplace(), rows);
}

#[test]
fn s004_04_a_request_is_answered_by_the_same_local_time_two_days_later() {
    let consent = gate(
        &marketplace(),
        &asked_by(Buyer, Preparing, Path::Cancel),
        GateKind::SellerConsent,
    );
    assert_eq!(consent.respond_within, Some(Period::CalendarDays(2)));
    // Zone of the store, asked, respond_by: over a weekend, and over both changes of clocks.
    for (zone, asked, respond_by) in [
        (
            "Asia/Jakarta",
            "2026-11-06T08:30:00Z",
            "2026-11-08T08:30:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-03-28T10:00:00Z",
            "2026-03-30T09:00:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-10-24T10:00:00Z",
            "2026-10-26T11:00:00Z",
        ),
    ] {
        let (zone, asked): (_, Timestamp) = (TimeZone::get(zone).unwrap(), asked.parse().unwrap());
        let found = Period::CalendarDays(2).deadline(asked, &zone, &Calendar::monday_to_friday());
        assert_eq!(found, respond_by.parse().unwrap());
    }
}

#[test]
fn s004_05_who_does_not_answer_has_approved() {
    let consent = gate(
        &marketplace(),
        &asked_by(Buyer, Ready, Path::Cancel),
        GateKind::SellerConsent,
    );
    assert_eq!(consent.on_timeout, OnTimeout::Pass);
}

#[test]
fn s004_07_the_seller_cancels_before_shipped() {
    let cancel =
        |stage: Stage| asked_by(Seller, stage, Path::Cancel).with(because("PRICING_ERROR"));
    let mut rows: Vec<_> = [Unreleased, Planned, Preparing, Ready]
        .map(|stage| (cancel(stage), "by-the-seller: FULL"))
        .into();
    rows.push((cancel(InTransit), "shipped: no, SHIPPED, CONTACT_SUPPORT"));
    rows.push((
        cancel(Delivered),
        "delivered: no, DELIVERED, CONTACT_SUPPORT",
    ));
    check_told(&marketplace(), rows);
    assert!(marketplace().reason_required.contains(&Seller));
}

#[test]
fn s004_08_the_sellers_fault_is_counted_and_nothing_else() {
    let policy = marketplace();
    for reason in &policy.reasons {
        let is_the_sellers = ["OUT_OF_STOCK", "PRICING_ERROR"].contains(&&*reason.code);
        assert_eq!(
            (reason.fault == Fault::Seller, reason.counted),
            (is_the_sellers, is_the_sellers),
            "{}",
            reason.code
        );
    }
}

#[test]
fn s004_10_and_11_the_rate_is_of_all_orders_of_seven_days() {
    let quality = marketplace().quality.unwrap();
    assert_eq!(quality.numerator, QualityNumerator::CountedCancellations);
    assert_eq!(quality.denominator, QualityDenominator::OrdersPlaced);
    assert_eq!(
        (
            quality.window_days,
            quality.lag_days,
            quality.thresholds.len()
        ),
        (7, 0, 2)
    );
}

#[test]
fn s004_12_support_has_no_rule() {
    let policy = marketplace();
    assert!(
        policy
            .rules
            .iter()
            .all(|rule| !rule.when.actor.is_empty() && !rule.when.actor.contains(&Support))
    );
    assert!(
        policy
            .reasons
            .iter()
            .all(|reason| !reason.actors.contains(&Support))
    );
    check_told(
        &policy,
        vec![(
            asked_by(Support, Planned, Path::Cancel),
            "-: no, NOT_ALLOWED",
        )],
    );
}
