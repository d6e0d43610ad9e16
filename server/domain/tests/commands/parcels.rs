//! Shipments that are held, split, or flagged for customs.

use belay_domain::context::CarrierProfile;
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::EventType;
use belay_domain::ids::{Sku, WarehouseId};
use belay_domain::money::Amounts;
use belay_domain::policy::{Customs, Policy};
use belay_domain::shipment::{CustomsFlag, Stage, TrackingFact};
use belay_domain::terms::NextAction;
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, MICROSECOND, PLAIN, amounts, gate, gated, policy, store,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[test]
fn a_hold_bars_the_dispatch_and_nothing_else_and_ends_by_itself() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    let fence = case.shipment(1).fence;
    case.hold(1, case.now + HOUR).unwrap();
    assert_eq!(
        (case.shipment(1).fence, case.order.next_due()),
        (fence + 1, Some(case.now + HOUR))
    );
    assert_eq!(
        case.dispatch_seen(1, fence).unwrap_err().reason(),
        ErrorReason::FenceStale
    );
    case.prepare(1).unwrap();
    case.ready(1).unwrap();
    case.wait(HOUR - MICROSECOND);
    assert_eq!(
        case.dispatch(1).unwrap_err().reason(),
        ErrorReason::ShipmentHeld
    );
    case.wait(MICROSECOND).settle();
    assert_eq!(
        (case.shipment(1).hold.is_none(), case.shipment(1).fence),
        (true, fence + 2)
    );
    assert_eq!(case.events(), [EventType::HoldEnded]);
    assert!(case.dispatch(1).is_ok());
}

#[test]
fn when_a_hold_ends_a_stop_still_bars() {
    let mut case = Cart::of(&[(2, 200)]).paid_under(gated(
        "PLANNED",
        &[&gate("WAREHOUSE_STOP", "REFUSE", "BAR")],
    ));
    case.hold(1, case.now + HOUR).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(HOUR).settle();
    assert_eq!(
        case.dispatch(1).unwrap_err().reason(),
        ErrorReason::ShipmentBarred
    );
}

#[test]
fn a_released_hold_moves_the_fence_once() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.hold(1, case.now + HOUR).unwrap();
    case.release_hold(1).unwrap();
    let before = case.order.clone();
    case.release_hold(1).unwrap();
    assert_eq!((&case.order, case.order.next_due()), (&before, None));
    assert!(case.dispatch(1).is_ok());
}

#[test]
fn a_hold_goes_with_the_last_unit_and_with_the_parcel() {
    let mut cancelled = Cart::of(&[(1, 100)]).paid();
    cancelled.hold(1, cancelled.now + HOUR).unwrap();
    let mut left = cancelled.clone();
    cancelled.cancel(CancellationRequest::all()).unwrap();
    left.scan(1, TrackingFact::PickedUp).unwrap();
    for case in [cancelled, left] {
        assert!(case.shipment(1).hold.is_none() && case.events().contains(&EventType::HoldEnded));
    }
}

/// Three units of 3.33, 3.33 and 3.34, and a shipping charge that does not divide.
fn odd_cart() -> Cart {
    Cart::of(&[(3, 1000), (2, 500)]).shipping(101, 7)
}

#[test]
fn a_split_keeps_every_unit_and_every_minor_unit() {
    let mut case = odd_cart().paid();
    let (total, due) = (case.order.total(), case.order.amount_due());
    case.split(1, &[&[(1, 1), (2, 1)], &[(1, 1)], &[(1, 1), (2, 1)]])
        .unwrap();
    assert_eq!(
        case.stages(),
        [Stage::Split, Stage::Planned, Stage::Planned, Stage::Planned]
    );
    assert_eq!((case.order.total(), case.order.amount_due()), (total, due));
    let shipping: Amounts = case
        .order
        .shipments
        .iter()
        .map(|shipment| shipment.shipping_amounts())
        .sum();
    assert_eq!(
        (shipping, case.shipment(1).shipping_amounts()),
        (amounts(0, 7, 101, 0), Amounts::ZERO)
    );
    let held = case
        .order
        .shipments
        .iter()
        .flat_map(|shipment| shipment.units.ranges().iter().copied());
    assert_eq!(
        held.collect::<belay_domain::units::UnitSet>(),
        case.order.units()
    );
    assert!(
        case.order
            .shipments
            .iter()
            .skip(1)
            .all(|parcel| parcel.split_from == Some(1))
    );
    // Cancelled one by one they give back what was paid, and a split counts as no cancellation.
    for parcel in [3, 2, 4] {
        case.cancel(CancellationRequest::shipment(parcel)).unwrap();
    }
    assert_eq!(
        case.order
            .refunds
            .iter()
            .map(|refund| refund.amounts)
            .sum::<Amounts>(),
        total
    );
    assert_eq!(case.order.cancellations.len(), 3);
}

#[test]
fn what_is_cancelled_stays_behind_when_the_rest_is_split() {
    let mut case = odd_cart().paid();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    assert_eq!(
        case.split(1, &[&[(1, 2)], &[(1, 1), (2, 2)]])
            .unwrap_err()
            .reason(),
        ErrorReason::QuantityUnavailable
    );
    case.split(1, &[&[(1, 2)], &[(2, 2)]]).unwrap();
    assert_eq!(
        (case.shipment(1).units.count(), case.stage(1)),
        (1, Stage::Split)
    );
    assert_eq!(case.shipment(2).shipping + case.shipment(3).shipping, 101);
}

#[test]
fn a_split_begins_anew_where_it_was_packed_and_its_old_fence_is_stale() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    let fence = case.ready(1).map(|_| case.shipment(1).fence).unwrap();
    case.split(1, &[&[(1, 1)], &[(1, 1)]]).unwrap();
    assert_eq!(
        case.stages(),
        [Stage::Split, Stage::Planned, Stage::Planned]
    );
    assert_eq!(
        case.dispatch_seen(1, fence).unwrap_err().reason(),
        ErrorReason::FenceStale
    );
    assert_eq!(
        case.dispatch(1).unwrap_err().reason(),
        ErrorReason::StageMismatch
    );
    assert!(case.dispatch(2).is_ok());
}

#[test]
fn nothing_is_split_while_a_part_waits_for_it() {
    let mut case = Cart::of(&[(2, 200)]).paid_under(gated(
        "PLANNED",
        &[&gate("SELLER_CONSENT", "REFUSE", "REFUSE_PART")],
    ));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    assert_eq!(
        case.split(1, &[&[(1, 1)], &[(1, 1)]]).unwrap_err().reason(),
        ErrorReason::ShipmentBarred
    );
    case.reject(belay_domain::actor::Role::Seller, 1).unwrap();
    assert!(case.split(1, &[&[(1, 1)], &[(1, 1)]]).is_ok());
}

#[test]
fn a_hold_holds_both_halves() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.hold(1, case.now + HOUR).unwrap();
    case.split(1, &[&[(1, 1)], &[(1, 1)]]).unwrap();
    for parcel in [2, 3] {
        assert_eq!(
            case.dispatch(parcel).unwrap_err().reason(),
            ErrorReason::ShipmentHeld
        );
    }
}

/// More than three of a kind are taken for commerce.
fn strict() -> Policy {
    let customs = Customs {
        identical_units_max: 3,
        own_delivery: vec![NextAction::SplitShipment],
        partner_delivery: vec![NextAction::Cancel],
    };
    Policy {
        customs: Some(customs),
        ..policy(PLAIN)
    }
}

/// Two lines of one SKU, from Germany.
fn abroad(quantities: (u32, u32), country_code: &str) -> Case {
    let mut cart = Cart::of(&[(quantities.0, 100), (quantities.1, 100)]);
    cart.0.destination.country_code = country_code.to_owned();
    let mut case = cart.place_in(store(strict()));
    case.capture("p1", 200);
    case
}

fn flag_of(quantity: u32) -> Option<CustomsFlag> {
    (quantity > 3).then(|| CustomsFlag {
        sku: Sku::parse("SKU-1").unwrap(),
        quantity,
        units_max: 3,
    })
}

#[test]
fn identical_units_are_counted_over_all_lines_and_only_across_a_border() {
    for (quantities, country_code, flagged) in [
        ((1, 2), "FR", flag_of(3)),
        ((2, 2), "FR", flag_of(4)),
        ((4, 4), "FR", flag_of(8)),
        ((2, 2), "DE", None),
        ((4, 4), "DE", None),
    ] {
        let case = abroad(quantities, country_code);
        assert_eq!(
            case.shipment(1).customs_flag,
            flagged,
            "{quantities:?} to {country_code}"
        );
    }
    // Of two kinds there may be three each.
    let mut cart = Cart::of(&[(3, 100), (3, 100)]);
    cart.0.lines[1].sku = Sku::parse("SKU-2").unwrap();
    cart.0.destination.country_code = "FR".to_owned();
    assert_eq!(
        cart.place_in(store(strict())).shipment(1).customs_flag,
        None
    );
    // Nobody knows whether it crosses a border.
    let mut unknown = store(strict());
    let main = WarehouseId::parse("main").unwrap();
    unknown.warehouses.get_mut(&main).unwrap().country_code = None;
    cart.0.lines[1].sku = Sku::parse("SKU-1").unwrap();
    assert_eq!(cart.place_in(unknown).shipment(1).customs_flag, None);
}

#[test]
fn a_flag_goes_with_the_unit_too_many_and_by_a_split() {
    let mut cancelled = abroad((2, 2), "FR");
    let mut split = cancelled.clone();
    cancelled
        .cancel(CancellationRequest::lines(&[(1, 1)]))
        .unwrap();
    assert_eq!(cancelled.shipment(1).customs_flag, None);
    split.split(1, &[&[(1, 2), (2, 1)], &[(2, 1)]]).unwrap();
    assert!(
        split
            .order
            .shipments
            .iter()
            .all(|shipment| shipment.customs_flag.is_none())
    );
}

#[test]
fn a_half_that_is_still_too_much_stays_flagged() {
    let mut case = abroad((4, 1), "FR");
    case.split(1, &[&[(1, 4)], &[(2, 1)]]).unwrap();
    assert_eq!(
        (
            &case.shipment(2).customs_flag,
            &case.shipment(3).customs_flag
        ),
        (&flag_of(4), &None)
    );
}

#[test]
fn a_flagged_parcel_that_a_partner_delivers_is_not_split() {
    let mut case = abroad((2, 2), "FR");
    let carriers = case.store.carriers.values_mut();
    carriers.for_each(|carrier| {
        *carrier = CarrierProfile {
            partner_delivery: true,
            ..CarrierProfile::default()
        }
    });
    let refused = case.split(1, &[&[(1, 2)], &[(2, 2)]]).unwrap_err();
    assert_eq!(refused.reason(), ErrorReason::SplitNotAllowed);
    // One that is not flagged may be.
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    assert!(case.split(1, &[&[(1, 1)], &[(2, 2)]]).is_ok());
}
