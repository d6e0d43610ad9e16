//! Orders under "Declaration on Canceling Orders".

use super::*;
use belay_domain::error_reason::ErrorReason;

const PRESET: &str = "cross-border-declaration";

#[test]
fn s001_01_to_03_unpaid_orders_close_themselves_after_24_hours() {
    let mut journey = Journey::place(PRESET, 2, able());
    let refused = journey.refused(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
    assert_eq!(refused, "UNPAID_CLOSES_ITSELF, PAY, WAIT");
    let mut in_time = Journey::place(PRESET, 2, able());
    in_time.wait(hours(24) - SignedDuration::from_secs(1));
    in_time.pay("WALLET");
    assert_eq!(in_time.order.state, OrderState::ToShip);
    journey.wait(hours(24));
    assert_eq!(journey.order.state, OrderState::ClosedUnpaid);
    journey.pay("WALLET");
    assert_eq!(
        (journey.order.state, journey.refunded()),
        (OrderState::ClosedUnpaid, 2500)
    );
    assert_eq!(
        journey.ask(Role::Storefront, "WRONG_PURCHASE", Path::Cancel),
        Ok(Answer::Cancellation(1))
    );
}

#[test]
fn s001_04_and_05_an_application_is_reviewed_while_there_is_a_button() {
    let apply = || {
        let mut journey = Journey::paid(PRESET, 2, able());
        journey.wait(hours(12) - SignedDuration::from_secs(1));
        journey.asks(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
        assert_eq!(journey.stands(), "WAITING SUPPORT_REVIEW");
        journey
    };
    let mut approved = apply();
    approved.wait(hours(1));
    approved.approve(Role::Support).unwrap();
    assert_eq!(
        (approved.stands().as_str(), approved.refunded()),
        ("CANCELLED", 2500)
    );
    let mut rejected = apply();
    rejected.reject(Role::Support);
    assert_eq!(rejected.stands(), "REFUSED CONSENT_REFUSED");
    let mut late = Journey::paid(PRESET, 2, able());
    late.wait(hours(12));
    assert!(late.order.shipment(1).unwrap().preparation_overdue);
    let refused = late.refused(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
    assert_eq!(refused, "REFUND_NOT_OFFERED, CONTACT_SUPPORT");
}

#[test]
fn s001_07_to_09_an_application_that_is_overtaken_by_the_preparation_becomes_a_stop() {
    let stop = || {
        let mut journey = Journey::paid(PRESET, 2, able());
        journey.asks(Role::Storefront, "WRONG_PURCHASE", Path::Cancel);
        journey.prepare();
        journey.approve(Role::Support).unwrap();
        assert_eq!(journey.stands(), "WAITING WAREHOUSE_STOP");
        // Monday is over in Shenzhen.
        let respond_by = journey.part().open_gate().unwrap().respond_by;
        assert_eq!(respond_by, Some("2026-11-09T16:00:00Z".parse().unwrap()));
        journey
    };
    let mut stopped = stop();
    assert_eq!(
        stopped.dispatch().unwrap_err().reason(),
        ErrorReason::ShipmentBarred
    );
    stopped.stop(STOPPED);
    assert_eq!(
        (stopped.stands().as_str(), stopped.stage()),
        ("CANCELLED", Stage::Cancelled)
    );
    let mut going = stop();
    going.stop(CANNOT_STOP);
    assert_eq!(going.stands(), "REFUSED WAREHOUSE_CANNOT_STOP");
    going.dispatch().unwrap();
    let mut silent = stop();
    silent.wait(hours(100));
    assert_eq!(silent.stands(), "REFUSED GATE_TIMED_OUT");
}

fn delivered(carrier: CarrierProfile) -> Journey {
    let mut journey = Journey::paid(PRESET, 2, carrier);
    journey.dispatch().unwrap();
    journey.scan(TrackingFact::Delivered);
    journey
}

#[test]
fn s001_11_refused_parcels_come_home_whether_anybody_asked_or_not() {
    for asks in [true, false] {
        let mut journey = Journey::paid(PRESET, 2, CarrierProfile::default());
        journey.dispatch().unwrap();
        if asks {
            journey.asks(Role::Storefront, "NO_LONGER_WANTED", Path::RefuseDelivery);
        }
        journey.scan(TrackingFact::Returning);
        assert_eq!(journey.stands(), "WAITING PARCEL_RECEIPT");
        journey.scan(TrackingFact::Returned);
        journey.receive(GoodsCondition::Unopened);
        assert_eq!(
            (journey.stands().as_str(), journey.refunded()),
            ("CANCELLED", 2000)
        );
    }
    let mut signed = Journey::paid(PRESET, 2, CarrierProfile::default());
    signed.dispatch().unwrap();
    signed.asks(Role::Storefront, "NO_LONGER_WANTED", Path::RefuseDelivery);
    signed.scan(TrackingFact::Delivered);
    assert_eq!(signed.stands(), "REFUSED DELIVERED");
}

#[test]
fn s001_12_and_13_the_buyer_bears_both_ways_where_there_is_a_label() {
    let mut journey = delivered(labelled(able()));
    journey.asks(Role::Storefront, "NO_LONGER_WANTED", Path::ReturnUnopened);
    let deductions = journey.part().deductions;
    assert_eq!(
        (deductions.outbound_shipping, deductions.return_shipping),
        (500, 300)
    );
    journey.receive(GoodsCondition::Unopened);
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("CANCELLED", 1700)
    );
    let mut not_as_described = delivered(labelled(able()));
    not_as_described.asks(Role::Storefront, "NOT_AS_DESCRIBED", Path::ReturnUnopened);
    not_as_described.receive(GoodsCondition::Unopened);
    assert_eq!(not_as_described.refunded(), 2500);
    let mut without = delivered(able());
    let refused = without.refused(Role::Storefront, "NO_LONGER_WANTED", Path::ReturnUnopened);
    assert_eq!(refused, "LABEL_UNAVAILABLE_IN_REGION, CONTACT_SUPPORT");
    without.asks(Role::Support, "NO_LONGER_WANTED", Path::ReturnUnopened);
    assert_eq!(without.stands(), "WAITING PARCEL_RECEIPT");
}

#[test]
fn s001_14_and_16_what_was_opened_is_talked_about_first_and_not_sold_again() {
    let mut journey = delivered(labelled(able()));
    journey.asks(Role::Storefront, "NO_LONGER_WANTED", Path::ReturnOpened);
    assert_eq!(journey.stands(), "WAITING SUPPORT_REVIEW");
    journey.approve(Role::Support).unwrap();
    assert_eq!(journey.stands(), "WAITING PARCEL_RECEIPT");
    journey.scan(TrackingFact::Returning);
    journey.wait(hours(24));
    journey.receive(GoodsCondition::Opened);
    // 60 % of the price, less the label; the way out is spent.
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("CANCELLED", 900)
    );
    assert_eq!(journey.part().effects, []);
    // 3 working days of Germany after Saturday.
    assert_eq!(
        journey.order.refunds[0].due_by,
        "2026-11-11T23:00:00Z".parse().unwrap()
    );
    assert_eq!(
        journey.order.refunds[0].overdue_at,
        journey.order.refunds[0].due_by
    );
}
