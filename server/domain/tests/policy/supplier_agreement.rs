//! The cases of "How can I cancel my order?".

use belay_domain::actor::Role::{Buyer, Carrier, Seller, Support};
use belay_domain::policy::{Policy, Verdict};
use belay_domain::shipment::Stage::{
    Delivered, InTransit, Planned, Preparing, Ready, Returned, Unreleased,
};
use belay_domain::terms::{DenyCode, GateKind, NextAction, OnDispatch, OnTimeout, Path};

use crate::support::{With, asked_by, check_told, gate, hours, preset};

fn agreement() -> Policy {
    preset("supplier-agreement")
}

#[test]
fn s002_01_to_03_a_buyer_needs_the_supplier_until_the_order_is_shipped() {
    let policy = agreement();
    let consent = "by-agreement: SELLER_CONSENT, FULL";
    let mut rows: Vec<_> = [Unreleased, Planned, Preparing, Ready]
        .map(|stage| (asked_by(Buyer, stage, Path::Cancel), consent))
        .into();
    // An agreement takes two: neither the supplier nor support ends an order alone.
    rows.extend(
        [Seller, Support]
            .map(|actor| (asked_by(actor, Planned, Path::Cancel), "-: no, NOT_ALLOWED")),
    );
    check_told(&policy, rows);
}

#[test]
fn s002_04_silence_never_cancels_and_shipping_is_an_answer() {
    let consent = gate(
        &agreement(),
        &asked_by(Buyer, Preparing, Path::Cancel),
        GateKind::SellerConsent,
    );
    assert_eq!(
        (consent.on_timeout, consent.on_dispatch),
        (OnTimeout::Refuse, OnDispatch::RefusePart)
    );
}

#[test]
fn s002_05_what_is_shipped_is_not_cancelled() {
    let ask = "ask-the-supplier: no, NOT_ALLOWED, CONTACT_SELLER";
    let rows = vec![
        (
            asked_by(Buyer, InTransit, Path::Cancel),
            "shipped: no, SHIPPED, CONTACT_SELLER",
        ),
        (
            asked_by(Buyer, Delivered, Path::Cancel),
            "delivered: no, DELIVERED, CONTACT_SELLER",
        ),
        (asked_by(Buyer, InTransit, Path::Intercept), ask),
        (asked_by(Buyer, Delivered, Path::ReturnUnopened), ask),
        (
            asked_by(Carrier, Returned, Path::RefuseDelivery),
            "came-home: PARCEL_RECEIPT, FULL",
        ),
    ];
    check_told(&agreement(), rows);
}

#[test]
fn s002_06_and_07_cards_are_verified_for_24_hours_and_nothing_else_is() {
    let policy = agreement();
    let verification = policy.verification.clone().unwrap();
    assert_eq!(
        (verification.methods, verification.wait),
        (vec!["CREDIT_CARD".to_owned()], hours(24))
    );
    let verifying = asked_by(Buyer, Planned, Path::Cancel).with(|q| q.verified_in = Some(hours(1)));
    let next_actions = vec![NextAction::Wait, NextAction::ContactSeller];
    let available_in = Some(hours(1));
    let verdict = Verdict::Deny {
        code: DenyCode::PaymentVerifying,
        next_actions,
        available_in,
    };
    assert_eq!(policy.answer(&verifying).verdict, verdict);
    assert_eq!(policy.turns_in(&verifying), available_in);
}

#[test]
fn s002_09_and_10_what_is_not_paid_closes_itself_after_20_days() {
    let policy = agreement();
    assert_eq!(policy.unpaid.expire_after, hours(20 * 24));
    let unpaid = asked_by(Buyer, Unreleased, Path::Cancel).with(|q| q.paid = false);
    check_told(
        &policy,
        vec![(
            unpaid,
            "unpaid-closes-itself: no, UNPAID_CLOSES_ITSELF, PAY, WAIT",
        )],
    );
}
