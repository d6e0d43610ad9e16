//! Orders under "Managing Cancellations".

use super::*;
use belay_domain::error_reason::ErrorReason;

fn requested() -> Journey {
    let mut journey = Journey::paid("seller-center", 2, able());
    journey.prepare();
    journey.asks(Role::Storefront, "FOUND_BETTER", Path::Cancel);
    assert_eq!(journey.stands(), "WAITING SELLER_CONSENT");
    journey
}

#[test]
fn s004_01_and_03_what_nobody_packs_yet_is_approved_at_once() {
    let mut journey = Journey::paid("seller-center", 2, able());
    journey.asks(Role::Storefront, "FOUND_BETTER", Path::Cancel);
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("CANCELLED", 2500)
    );
    assert!(journey.order.cancellations[0].is_auto_approved());
}

#[test]
fn s004_04_to_06_a_request_has_two_calendar_days_and_silence_is_a_yes() {
    let mut journey = requested();
    let respond_by = journey.part().open_gate().unwrap().respond_by.unwrap();
    assert_eq!(respond_by, "2026-11-08T10:00:00Z".parse().unwrap());
    assert_eq!(
        journey.dispatch().unwrap_err().reason(),
        ErrorReason::ShipmentBarred
    );
    let mut in_time = requested();
    in_time.wait(hours(48) - SignedDuration::from_secs(1));
    in_time.approve(Role::Seller).unwrap();
    assert!(!in_time.order.cancellations[0].is_auto_approved());
    journey.wait(hours(48));
    assert_eq!(journey.stands(), "CANCELLED");
    let answer = journey.part().gates[0].answer.as_ref().unwrap();
    assert_eq!(answer.by.role, Role::System);
    assert_eq!(
        journey.approve(Role::Seller).unwrap_err().reason(),
        ErrorReason::GateTimedOut
    );
}

#[test]
fn s004_07_and_12_the_seller_cancels_before_shipped_and_support_never() {
    let mut journey = Journey::paid("seller-center", 2, able());
    assert_eq!(
        journey.refused(Role::Support, "", Path::Cancel),
        "NOT_ALLOWED"
    );
    assert_eq!(
        journey.refused(Role::Support, "PRICING_ERROR", Path::Cancel),
        "REASON_NOT_ALLOWED"
    );
    journey.dispatch().unwrap();
    assert_eq!(
        journey.refused(Role::Seller, "PRICING_ERROR", Path::Cancel),
        "SHIPPED, CONTACT_SUPPORT"
    );
    let mut packed = requested();
    packed.reject(Role::Seller);
    packed.asks(Role::Seller, "PRICING_ERROR", Path::Cancel);
    assert_eq!(
        (
            packed.stands().as_str(),
            packed.order.cancellations[1].counted
        ),
        ("CANCELLED", true)
    );
}
