//! Orders under "How to cancel an order".

use super::*;

fn shipped(carrier: CarrierProfile) -> Journey {
    let mut journey = Journey::paid("independent-site", 2, carrier);
    journey.dispatch().unwrap();
    journey
}

#[test]
fn s000_12_and_13_what_is_intercepted_is_paid_back_once_it_is_home() {
    let mut journey = shipped(able());
    let refused = journey.refused(Role::Storefront, "FOUND_BETTER", Path::Cancel);
    assert_eq!(refused, "SHIPPED, INTERCEPT, CONTACT_SUPPORT");
    journey.asks(Role::Storefront, "FOUND_BETTER", Path::Intercept);
    assert_eq!(journey.stands(), "WAITING CARRIER_INTERCEPT");
    journey.intercept(InterceptAnswer::Confirmed);
    journey.scan(TrackingFact::Returning);
    journey.scan(TrackingFact::Returned);
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("WAITING PARCEL_RECEIPT", 0)
    );
    journey.receive(GoodsCondition::Unopened);
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("CANCELLED", 2000)
    );
}

#[test]
fn s000_14_what_cannot_be_intercepted_is_delivered_and_returned() {
    let mut journey = shipped(able());
    journey.asks(Role::Storefront, "FOUND_BETTER", Path::Intercept);
    journey.intercept(CANNOT_INTERCEPT);
    assert_eq!(journey.stands(), "REFUSED NOT_INTERCEPTABLE");
    assert_eq!(journey.part().next_actions[0].name(), "RETURN_UNOPENED");
    journey.scan(TrackingFact::Delivered);
    journey.asks(Role::Storefront, "FOUND_BETTER", Path::ReturnUnopened);
    journey.receive(GoodsCondition::Unopened);
    assert_eq!(
        (journey.stands().as_str(), journey.refunded()),
        ("CANCELLED", 2000)
    );
}

#[test]
fn a_parcel_that_nobody_took_comes_home_and_one_that_is_lost_is_paid_for() {
    let mut home = shipped(able());
    home.scan(TrackingFact::Returning);
    assert_eq!(home.stands(), "WAITING PARCEL_RECEIPT");
    home.receive(GoodsCondition::Unopened);
    assert_eq!(
        (home.stands().as_str(), home.refunded()),
        ("CANCELLED", 2000)
    );
    let mut lost = shipped(able());
    lost.scan(TrackingFact::Lost);
    lost.asks(Role::Support, "LOST_IN_TRANSIT", Path::Cancel);
    assert_eq!(
        (lost.stands().as_str(), lost.refunded()),
        ("CANCELLED", 2500)
    );
}
