//! When an order may forget whom it was for: not while anything of it is open, and an hour after.

use belay_domain::erasure::{UNCHANGED_MIN, Unfinished, unfinished};
use belay_domain::shipment::Stage;
use jiff::SignedDuration;

use crate::kit::{CancellationRequest, Cart, Case, settled};

fn needed(case: &Case) -> Option<Unfinished> {
    unfinished(&case.order, case.now)
}

#[test]
fn a_buyer_is_needed_until_all_is_over_and_for_an_hour_after() {
    let unpaid = Cart::of(&[(1, 100)]).place();
    assert_eq!(needed(&unpaid), Some(Unfinished::Shipment));
    let mut case = Cart::of(&[(1, 100)]).paid();
    assert_eq!(needed(&case), Some(Unfinished::Shipment));
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(needed(&case), Some(Unfinished::Refund));
    case.lease(&[1]);
    assert_eq!(needed(&case), Some(Unfinished::Refund));
    case.result(1, settled(100)).unwrap();
    assert_eq!(needed(&case), Some(Unfinished::Recent));
    case.now = case.order.update_time + UNCHANGED_MIN - SignedDuration::from_micros(1);
    assert_eq!(needed(&case), Some(Unfinished::Recent));
    case.now += SignedDuration::from_micros(1);
    assert_eq!(needed(&case), None);
}

#[test]
fn a_parcel_that_has_arrived_is_over_and_one_on_its_way_is_not() {
    for (stage, is_over) in [
        (Stage::Preparing, false),
        (Stage::Ready, false),
        (Stage::InTransit, false),
        (Stage::Delivered, true),
    ] {
        let mut case = Cart::of(&[(1, 100)]).paid();
        case.bring_to(1, stage);
        case.now = case.order.update_time + UNCHANGED_MIN;
        let expected = (!is_over).then_some(Unfinished::Shipment);
        assert_eq!(needed(&case), expected, "{stage:?}");
    }
}
