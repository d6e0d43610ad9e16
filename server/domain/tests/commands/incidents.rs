//! Facts that contradict what was decided, and how each is settled.

use belay_domain::actor::Role;
use belay_domain::cancellation::PartState;
use belay_domain::commands::{RefundResult, allowed_resolutions};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::ExternalId;
use belay_domain::incident::IncidentKind::{
    CancelledYetShipped, LateFact, RefundFailed, RefundMismatch,
};
use belay_domain::incident::Resolution::{self, Accept, DropRefund, RefundAnyway, RetryRefund};
use belay_domain::payment::PaymentFact;
use belay_domain::refund::RefundState::{Blocked, Cancelled, Dropped, Due, Failed};
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::{GoodsCondition, Path};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, amounts, gate, independent_site, settled};
use crate::{history, invariants};

const HOURS_48: SignedDuration = SignedDuration::from_hours(48);

fn failed() -> RefundResult {
    RefundResult::Failed {
        code: "ACCOUNT_CLOSED".to_owned(),
    }
}

/// Cancelled whole, and scanned out before the money was sent.
fn left_though_cancelled() -> Case {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all())
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 200, Blocked)])
    );
    case
}

/// A return that came after its time.
fn received_too_late() -> Case {
    let gate = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(2, 200)]).paid_under(outside(&[&gate]));
    case.bring_to(1, Stage::Delivered)
        .cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
        .unwrap();
    case.wait(HOURS_48)
        .receive(1, GoodsCondition::Unopened)
        .unwrap();
    assert_eq!(
        (case.incidents(), case.parts(1)),
        (vec![LateFact], vec![(PartState::Refused, "GATE_TIMED_OUT")])
    );
    case
}

/// The provider could not pay back.
fn not_paid_back() -> Case {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancelled(CancellationRequest::all()).lease(&[1]);
    case.result(1, failed()).unwrap();
    case
}

/// The provider paid another amount.
fn paid_otherwise() -> Case {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancelled(CancellationRequest::all()).lease(&[1]);
    case.result(1, settled(99)).unwrap();
    case
}

/// So much of a refund of 100 went back outside before it was sent.
fn went_back_outside(amount: i64) -> Case {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancelled(CancellationRequest::all())
        .fact("p1", PaymentFact::RefundedOutside, amount)
        .unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![RefundMismatch], vec![(1, 100, Blocked)])
    );
    case
}

/// Rows are incidents, columns resolutions: the state of the first refund and whether there are
/// more rows, or `-` where it makes no sense.
#[test]
fn every_incident_takes_every_resolution_as_the_table_says() {
    type Row = (&'static str, fn() -> Case, &'static str);
    let table: [Row; 6] = [
        // REFUND_ANYWAY DROP_REFUND RETRY_REFUND ACCEPT
        (
            "left though cancelled",
            left_though_cancelled,
            "DUE DROPPED - -",
        ),
        ("received too late", received_too_late, "DUE - - none"),
        ("not paid back", not_paid_back, "- - FAILED+DUE FAILED"),
        ("paid otherwise", paid_otherwise, "- - - SETTLED+DUE"),
        (
            "went back outside in part",
            || went_back_outside(40),
            "- DROPPED DROPPED+DUE -",
        ),
        (
            "went back outside whole",
            || went_back_outside(100),
            "- DROPPED - -",
        ),
    ];
    for (name, case, row) in table {
        for (resolution, cell) in Resolution::ALL.iter().zip(row.split(' ')) {
            let mut case = case();
            let allowed = allowed_resolutions(&case.order, &case.order.incidents[0]);
            let found = match case.resolve(1, *resolution) {
                Err(refused) => {
                    assert_eq!(
                        (refused.reason(), allowed.contains(resolution)),
                        (ErrorReason::ResolutionNotAllowed, false)
                    );
                    "-".to_owned()
                }
                Ok(_) => {
                    assert!(
                        allowed.contains(resolution) && case.incidents().is_empty(),
                        "{name}"
                    );
                    let states: Vec<&str> = case
                        .order
                        .refunds
                        .iter()
                        .map(|refund| refund.state.name())
                        .collect();
                    if states.is_empty() {
                        "none".to_owned()
                    } else {
                        states.join("+")
                    }
                }
            };
            assert_eq!(found, cell, "{name} × {resolution}");
            let before = case.order.clone();
            // Settled is settled: the same again is no news, another one is refused.
            if cell != "-" {
                case.resolve(1, *resolution).unwrap();
                let others = Resolution::ALL.iter().filter(|other| *other != resolution);
                others.for_each(|other| {
                    assert_eq!(
                        case.resolve(1, *other).unwrap_err().reason(),
                        ErrorReason::IncidentResolved
                    );
                });
                assert_eq!(case.order, before);
            }
        }
    }
}

#[test]
fn what_left_though_it_was_cancelled_is_settled_by_its_receipt() {
    let mut case = left_though_cancelled();
    case.receive(1, GoodsCondition::Unopened).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds(), case.stage(1)),
        (vec![], vec![(1, 200, Due)], Stage::Returned)
    );
    let incident = &case.order.incidents[0];
    assert_eq!(
        (
            incident.resolution,
            incident.resolved_by.as_ref().unwrap().role
        ),
        (None, Role::Warehouse)
    );
}

#[test]
fn half_a_parcel_does_not_settle_what_left_though_it_was_cancelled() {
    let mut case = left_though_cancelled();
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 200, Blocked)])
    );
    case.resolve(1, RefundAnyway).unwrap();
    assert_eq!(case.refunds(), [(1, 200, Due)]);
}

#[test]
fn no_money_is_released_that_went_back_outside_while_it_was_held() {
    let mut case = left_though_cancelled();
    case.fact("p1", PaymentFact::Chargeback, 150).unwrap();
    case.resolve(1, RefundAnyway).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![RefundMismatch], vec![(1, 200, Blocked)])
    );
    case.resolve(2, RetryRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 200, Dropped), (1, 50, Due)]);
}

#[test]
fn only_the_refunds_of_the_contested_shipment_are_held() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.cancelled(CancellationRequest::shipment(1))
        .cancelled(CancellationRequest::shipment(2))
        .scan(2, TrackingFact::PickedUp)
        .unwrap();
    assert_eq!(case.refunds(), [(1, 100, Due), (1, 100, Blocked)]);
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Due), (1, 100, Dropped)]);
}

/// Money above what was due has nothing to do with goods that left.
#[test]
fn money_that_was_paid_twice_is_not_dropped_with_a_contested_shipment() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.capture("p2", 100);
    case.cancelled(CancellationRequest::all())
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    assert_eq!(case.refunds(), [(2, 100, Blocked), (1, 100, Blocked)]);
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(case.refunds(), [(2, 100, Due), (1, 100, Dropped)]);
    invariants::check(&case.order, case.now);
}

/// Two shipments of one unit each, with their tax and shipping, cancelled by one request; the
/// second has left all the same.
fn half_has_left() -> Case {
    let mut case = Cart::of(&[(2, 200)])
        .discount_and_tax(0, 40)
        .shipping(20, 4)
        .split(&[&[(1, 1)], &[(1, 1)]])
        .paid();
    case.cancelled(CancellationRequest::all())
        .scan(2, TrackingFact::PickedUp)
        .unwrap();
    assert_eq!(case.refunds(), [(1, 264, Blocked)]);
    case
}

#[test]
fn a_refund_is_dropped_for_the_contested_shipment_alone() {
    let mut case = half_has_left();
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(
        case.refunds(),
        [(1, 264, Cancelled), (1, 132, Dropped), (1, 132, Due)]
    );
    let rows = &case.order.refunds;
    for row in &rows[1..] {
        assert_eq!(
            (row.amounts, row.cancellation, row.retry_of),
            (amounts(100, 22, 10, 0), Some(1), None)
        );
    }
    history::check(&case.history, &case.order);

    // Nothing takes the place of what was dropped, whatever comes later.
    case.capture("p2", 10);
    case.receive(2, GoodsCondition::Unopened).unwrap();
    assert_eq!(
        case.refunds()[1..],
        [(1, 132, Dropped), (1, 132, Due), (2, 10, Due)]
    );
    assert_eq!(case.incidents(), [LateFact]);
    invariants::check(&case.order, case.now);
}

#[test]
fn what_is_home_of_a_contested_shipment_is_refunded_when_the_rest_is_dropped() {
    let mut case = left_though_cancelled();
    case.receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(
        case.refunds(),
        [(1, 200, Cancelled), (1, 100, Dropped), (1, 100, Due)]
    );
}

/// What was cancelled before the others left stayed behind.
#[test]
fn what_never_left_is_refunded_when_a_contested_shipment_is_dropped() {
    let gate = gate("CARRIER_INTERCEPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(2, 200)]).paid_under(outside(&[&gate]));
    case.cancelled(CancellationRequest::lines(&[(1, 1)]))
        .dispatch(1)
        .unwrap();
    case.cancelled(CancellationRequest::all().paths(&[Path::Intercept]))
        .confirm_intercept(1)
        .unwrap();
    case.scan(1, TrackingFact::Delivered).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Blocked), (1, 100, Blocked)]);
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Due), (1, 100, Dropped)]);
}

/// Of three units, one that is lost and one that never left are cancelled together; the lost one is
/// delivered, and later so is the other of its shipment, which was lost in its turn.
#[test]
fn what_was_decided_about_a_contested_shipment_is_not_decided_again_with_the_next() {
    for (first, left) in [
        (DropRefund, vec![(1, 100, Dropped), (1, 100, Due)]),
        (RefundAnyway, vec![(1, 200, Due)]),
    ] {
        let cart = Cart::of(&[(2, 200), (1, 100)]).split(&[&[(1, 2)], &[(2, 1)]]);
        let mut case = cart.paid_under(independent_site());
        case.wait(HOURS_48).dispatch(1).unwrap();
        case.wait(HOURS_48).scan(1, TrackingFact::Lost).unwrap();
        let lost = |lines: &[(u32, u32)]| CancellationRequest {
            by: Role::Support,
            ..CancellationRequest::lines(lines).because("LOST_IN_TRANSIT")
        };
        case.wait(HOURS_48).cancelled(lost(&[(1, 1), (2, 1)]));
        case.wait(HOURS_48)
            .scan(1, TrackingFact::Delivered)
            .unwrap();
        case.wait(HOURS_48).resolve(1, first).unwrap();
        let of_first = |case: &Case| {
            let rows = case
                .order
                .refunds
                .iter()
                .filter(|row| row.cancellation == Some(1) && row.state != Cancelled);
            rows.map(|row| (row.payment, row.amounts.total(), row.state))
                .collect::<Vec<_>>()
        };
        assert_eq!(of_first(&case), left);
        // The carrier was to bring the other one back.
        for fact in [TrackingFact::Returning, TrackingFact::Lost] {
            case.wait(HOURS_48).scan(1, fact).unwrap();
        }
        case.wait(HOURS_48).approve(Role::Support, 2).unwrap();
        case.wait(HOURS_48)
            .scan(1, TrackingFact::Delivered)
            .unwrap();
        assert_eq!(case.incidents(), [CancelledYetShipped]);
        let second = case.order.incidents.last().unwrap().number;
        case.resolve(second, DropRefund).unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!(of_first(&case), left);
        let last = case.order.refunds.last().unwrap();
        assert_eq!(
            (last.cancellation, last.amounts.total(), last.state),
            (Some(2), 100, Dropped)
        );
    }
}

/// Each incident is about its own shipment, whichever is resolved first.
#[test]
fn two_contested_shipments_of_one_refund_are_decided_one_by_one() {
    for (first, second) in [(DropRefund, RefundAnyway), (RefundAnyway, DropRefund)] {
        let mut case = half_has_left();
        case.scan(1, TrackingFact::PickedUp).unwrap();
        let incident = |shipment| {
            let is_about = |of: &&belay_domain::incident::Incident| of.shipment == Some(shipment);
            case.order.incidents.iter().find(is_about).unwrap().number
        };
        let (of_first, of_second) = (incident(1), incident(2));
        case.resolve(of_first, first).unwrap();
        if first == DropRefund {
            assert_eq!(
                case.refunds(),
                [(1, 264, Cancelled), (1, 132, Dropped), (1, 132, Blocked)]
            );
        }
        case.resolve(of_second, second).unwrap();
        assert_eq!(
            case.refunds(),
            [(1, 264, Cancelled), (1, 132, Dropped), (1, 132, Due)],
            "{first}, {second}"
        );
    }
}

#[test]
fn what_went_back_outside_is_taken_off_what_is_refunded_besides_a_dropped_share() {
    // Support has paid for the first shipment by hand, or the buyer has disputed a part of it.
    for (outside, due) in [(132, 0), (32, 100)] {
        for (fact, told_first) in [
            (PaymentFact::RefundedOutside, true),
            (PaymentFact::RefundedOutside, false),
            (PaymentFact::Chargeback, false),
        ] {
            let mut case = Cart::of(&[(2, 264)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
            case.cancelled(CancellationRequest::all());
            if told_first {
                case.fact("p1", fact, outside).unwrap();
                assert_eq!(case.incidents(), [RefundMismatch]);
            }
            case.scan(2, TrackingFact::PickedUp).unwrap();
            if !told_first {
                case.fact("p1", fact, outside).unwrap();
            }
            let contested = case.order.incidents.last().unwrap().number;
            case.resolve(contested, DropRefund).unwrap();
            let mut rows = vec![(1, 264, Cancelled), (1, 132, Dropped)];
            rows.extend((due > 0).then_some((1, due, Due)));
            assert_eq!((case.refunds(), case.incidents()), (rows, vec![]));
            invariants::check(&case.order, case.now);
        }
    }
}

/// The same of two payments: the share is kept of the one that still has the money.
#[test]
fn a_dropped_share_is_kept_of_a_payment_that_has_the_money() {
    for fact in [PaymentFact::Chargeback, PaymentFact::RefundedOutside] {
        // The first of 60 and the second of 40 are contested one by one.
        for (contested, outside, due) in [(1, 60, 0), (2, 60, 0), (1, 30, 10), (1, 20, 20)] {
            let cart = Cart::of(&[(1, 60), (1, 40)]).split(&[&[(1, 1)], &[(2, 1)]]);
            let mut case = cart.place();
            case.capture("p1", 60).capture("p2", 40);
            case.cancelled(CancellationRequest::all())
                .scan(contested, TrackingFact::PickedUp)
                .unwrap();
            assert_eq!(case.refunds(), [(1, 60, Blocked), (2, 40, Blocked)]);
            case.fact("p1", fact, outside).unwrap();
            case.resolve(1, DropRefund).unwrap();
            invariants::check(&case.order, case.now);
            let to_send = case.refunds().into_iter();
            let to_send = to_send.filter(|(_, _, state)| *state == Due);
            assert_eq!(
                to_send.map(|(_, amount, _)| amount).sum::<i64>(),
                due,
                "{fact} of {outside}, shipment {contested}: {:?}",
                case.refunds()
            );
        }
    }
}

/// Of two payments that both fall short, each keeps what it has.
#[test]
fn a_dropped_share_is_kept_of_all_payments_that_have_some() {
    let cart = Cart::of(&[(1, 60), (1, 40)]).split(&[&[(1, 1)], &[(2, 1)]]);
    let mut case = cart.place();
    case.capture("p1", 60).capture("p2", 40);
    case.cancelled(CancellationRequest::all())
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    case.fact("p1", PaymentFact::Chargeback, 30).unwrap();
    case.told(PaymentFact::Chargeback, 20, |command| {
        command.provider_payment_id = ExternalId::parse("p2").unwrap();
    })
    .unwrap();
    case.resolve(1, DropRefund).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(case.incidents(), []);
    let is_due = |(_, _, state): &(_, _, _)| *state == Due;
    assert!(!case.refunds().iter().any(is_due), "{:?}", case.refunds());
}

/// 60 and 40 in two shipments, authorised together and cancelled; the first has left all the same,
/// and support lets the buyer pay for it.
fn sixty_stays_authorised() -> Case {
    let cart = Cart::of(&[(1, 60), (1, 40)]).split(&[&[(1, 1)], &[(2, 1)]]);
    let mut case = cart.place();
    case.authorize("p1", 100)
        .cancelled(CancellationRequest::all())
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Cancelled), (1, 100, Dropped)]);
    assert_eq!(case.order.refunds[1].amounts, amounts(60, 0, 0, 40));
    case.wait(HOURS_48);
    case
}

#[test]
fn what_the_buyer_keeps_is_paid_by_an_authorisation_that_was_left() {
    for (captured, back) in [(60, 0), (100, 40), (30, 0)] {
        let mut case = sixty_stays_authorised();
        case.capture("p1", captured);
        invariants::check(&case.order, case.now);
        let due = case.refunds().split_off(2);
        let expected: &[_] = if back > 0 { &[(1, back, Due)] } else { &[] };
        assert_eq!(due, expected, "{captured} is captured");
        // Money that comes besides is nobody's price.
        case.capture("p2", 10);
        assert_eq!(case.refunds().last(), Some(&(2, 10, Due)));
        invariants::check(&case.order, case.now);
    }
}

/// Whenever it is told, and also where no time has passed.
#[test]
fn what_was_captured_before_support_let_the_buyer_pay_stays_too() {
    for (wait, ago) in [(HOURS_48, 1), (HOURS_48, 0), (SignedDuration::ZERO, 0)] {
        let cart = Cart::of(&[(1, 60), (1, 40)]).split(&[&[(1, 1)], &[(2, 1)]]);
        let mut case = cart.place();
        case.authorize("p1", 100)
            .wait(wait)
            .cancelled(CancellationRequest::all())
            .scan(1, TrackingFact::PickedUp)
            .unwrap();
        case.wait(wait).resolve(1, DropRefund).unwrap();
        let captured = case.now - SignedDuration::from_hours(ago);
        case.told(PaymentFact::Captured, 60, |command| {
            command.occurred_time = Some(captured);
        })
        .unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!(case.refunds()[1..], [(1, 100, Dropped)]);
    }
}

/// Each of the two shipments was contested, and what was given for it dropped.
#[test]
fn goods_that_come_home_are_told_for_their_own_refund() {
    let mut case = half_has_left();
    case.scan(1, TrackingFact::PickedUp).unwrap();
    for incident in [1, 2] {
        case.wait(HOURS_48).resolve(incident, DropRefund).unwrap();
    }
    case.receive(2, GoodsCondition::Unopened).unwrap();
    let open: Vec<_> = case
        .order
        .incidents
        .iter()
        .filter(|incident| incident.resolve_time.is_none())
        .map(|incident| (incident.kind, incident.refund))
        .collect();
    assert_eq!(open, [(LateFact, Some(2))]);
}

/// Its provider says in between that a part of it was paid.
#[test]
fn the_rest_of_a_dropped_refund_goes_back_with_its_goods() {
    for is_told_first in [true, false] {
        let mut case = left_though_cancelled();
        case.resolve(1, DropRefund).unwrap();
        let tell = |case: &mut Case| {
            case.result(1, settled(80)).unwrap();
        };
        if is_told_first {
            tell(&mut case);
            let late = case.order.incidents.last().unwrap();
            assert_eq!(allowed_resolutions(&case.order, late), [Accept]);
        }
        case.receive(1, GoodsCondition::Unopened).unwrap();
        if !is_told_first {
            tell(&mut case);
        }
        let about_goods =
            case.order.incidents.iter().find(|incident| {
                allowed_resolutions(&case.order, incident).contains(&RefundAnyway)
            });
        let about_goods = about_goods.unwrap().number;
        assert_eq!(case.refunds(), [(1, 200, Dropped)]);
        case.resolve(about_goods, RefundAnyway).unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!(case.refunds(), [(1, 200, Dropped), (1, 120, Due)]);
    }
}

#[test]
fn goods_that_come_home_after_their_refund_was_dropped_are_for_support_once_more() {
    for (resolution, refunds) in [
        (
            Accept,
            vec![(1, 264, Cancelled), (1, 132, Dropped), (1, 132, Due)],
        ),
        (
            RefundAnyway,
            vec![
                (1, 264, Cancelled),
                (1, 132, Dropped),
                (1, 132, Due),
                (1, 132, Due),
            ],
        ),
    ] {
        let mut case = half_has_left();
        case.resolve(1, DropRefund).unwrap();
        case.receive(2, GoodsCondition::Unopened).unwrap();
        assert_eq!(case.incidents(), [LateFact]);
        let incident = case.order.incidents.last().unwrap();
        assert_eq!(
            (incident.refund, allowed_resolutions(&case.order, incident)),
            (Some(2), vec![RefundAnyway, Accept])
        );
        case.resolve(2, resolution).unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!((case.incidents(), case.refunds()), (vec![], refunds));
        if resolution == RefundAnyway {
            let row = &case.order.refunds[3];
            assert_eq!(
                (row.amounts, row.cancellation),
                (amounts(100, 22, 10, 0), Some(1))
            );
        }
    }
}

#[test]
fn an_authorisation_that_was_left_goes_back_with_its_goods() {
    let mut case = sixty_stays_authorised();
    case.receive(1, GoodsCondition::Unopened).unwrap();
    case.resolve(2, RefundAnyway).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(case.refunds()[2..], [(1, 100, Due)]);

    // What was captured meanwhile goes back, and what is still held is released.
    let mut case = sixty_stays_authorised();
    case.capture("p1", 60);
    case.receive(1, GoodsCondition::Unopened).unwrap();
    case.resolve(2, RefundAnyway).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(case.refunds()[2..], [(1, 60, Due), (1, 40, Due)]);
}

/// What stays because a refund of other goods was dropped pays for nothing else.
#[test]
fn what_was_dropped_keeps_the_authorisation_of_what_is_still_to_be_paid() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.cancelled(CancellationRequest::shipment(1))
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    case.resolve(1, DropRefund).unwrap();
    // The buyer disputes what pays for the second shipment, and pays for it again.
    case.fact("p1", PaymentFact::Chargeback, 100).unwrap();
    case.authorize("p2", 100);
    invariants::check(&case.order, case.now);
    assert_eq!(case.refunds(), [(1, 100, Dropped)]);
    assert_eq!(case.order.payments[1].balance.held, 100);
}

/// Support has settled it by hand; the provider says later that some of it has gone all the same.
#[test]
fn what_support_settled_otherwise_is_not_due_again_for_what_was_paid_of_it() {
    let mut case = not_paid_back();
    case.resolve(1, Accept).unwrap();
    case.result(1, settled(40)).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(case.refunds(), [(1, 100, Failed)]);
    // It comes back, and is paid again: what was settled by hand is so still.
    case.result(1, failed()).unwrap();
    case.result(1, settled(40)).unwrap();
    while let Some(open) = case
        .order
        .incidents
        .iter()
        .find(|of| of.resolve_time.is_none())
    {
        let open = open.number;
        case.resolve(open, Accept).unwrap();
    }
    invariants::check(&case.order, case.now);
    assert_eq!(case.refunds(), [(1, 100, Failed)]);
    // Nobody had decided about this one.
    let mut case = not_paid_back();
    case.result(1, settled(40)).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(case.refunds(), [(1, 100, Failed), (1, 60, Due)]);
}

#[test]
fn an_authorisation_is_released_that_no_contested_goods_are_for() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).place();
    case.capture("p1", 100).authorize("p2", 100);
    case.cancelled(CancellationRequest::all())
        .scan(2, TrackingFact::PickedUp)
        .unwrap();
    assert_eq!(case.refunds(), [(1, 100, Blocked), (2, 100, Blocked)]);
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Dropped), (2, 100, Due)]);
}

/// 1.00 in each of two shipments: the first has left, the second was cancelled and has a refund
/// that is due.
fn second_is_cancelled() -> Case {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.dispatch(1).unwrap();
    case.cancelled(CancellationRequest::shipment(2));
    assert_eq!(case.refunds(), [(1, 100, Due)]);
    case
}

#[test]
fn what_went_back_outside_while_goods_were_out_does_not_go_back_with_their_receipt() {
    let mut case = second_is_cancelled();
    case.scan(2, TrackingFact::PickedUp).unwrap();
    case.fact("p1", PaymentFact::Chargeback, 100).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 100, Blocked)])
    );
    case.receive(2, GoodsCondition::Unopened).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![RefundMismatch], vec![(1, 100, Blocked)])
    );
    invariants::check(&case.order, case.now);
}

#[test]
fn a_refund_that_support_drops_is_dropped_while_its_shipment_is_contested() {
    let mut case = second_is_cancelled();
    case.fact("p1", PaymentFact::RefundedOutside, 100).unwrap();
    assert_eq!(case.incidents(), [RefundMismatch]);
    case.scan(2, TrackingFact::PickedUp).unwrap();
    case.resolve(1, DropRefund).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![CancelledYetShipped], vec![(1, 100, Dropped)])
    );
    case.receive(2, GoodsCondition::Unopened).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![], vec![(1, 100, Dropped)])
    );
}

#[test]
fn goods_that_came_too_late_are_paid_for_if_support_says_so() {
    let mut case = received_too_late();
    assert!(
        case.part(1, 0).receipt.is_some(),
        "what came is noted on the part that had ended"
    );
    case.resolve(1, RefundAnyway).unwrap();
    let paid = case.cancellation(2);
    assert_eq!(
        (paid.requester.role, paid.parts[0].state),
        (Role::Support, PartState::Cancelled)
    );
    assert_eq!(
        (case.parts(1), case.refunds()),
        (
            vec![(PartState::Refused, "GATE_TIMED_OUT")],
            vec![(1, 200, Due)]
        )
    );
}

#[test]
fn of_goods_that_came_too_late_only_those_are_paid_for_that_came() {
    let gate = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(2, 200)]).paid_under(outside(&[&gate]));
    case.bring_to(1, Stage::Delivered)
        .cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
        .unwrap();
    case.wait(HOURS_48)
        .receive_some(1, GoodsCondition::Unopened, &[(1, 1)])
        .unwrap();
    case.resolve(1, RefundAnyway).unwrap();
    assert_eq!(
        (case.refunds(), case.order.cancelled_units().count()),
        (vec![(1, 100, Due)], 1)
    );
}

#[test]
fn a_refund_that_failed_is_tried_again_under_a_new_row_and_again() {
    let mut case = not_paid_back();
    case.resolve(1, RetryRefund).unwrap();
    case.lease(&[2]);
    case.result(2, failed()).unwrap();
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![RefundFailed], vec![(1, 100, Failed), (1, 100, Failed)])
    );
    case.resolve(2, RetryRefund).unwrap();
    let rows: Vec<_> = case
        .order
        .refunds
        .iter()
        .map(|refund| (refund.state, refund.retry_of))
        .collect();
    assert_eq!(rows, [(Failed, None), (Failed, Some(1)), (Due, Some(2))]);
    // One amount is owed, however many rows have stood for it.
    case.capture("p2", 10);
    assert_eq!(case.refunds()[3], (2, 10, Due));
}

#[test]
fn a_refund_that_was_paid_after_all_holds_back_what_stands_for_it() {
    for retries in [1, 2] {
        let mut case = not_paid_back();
        case.resolve(1, RetryRefund).unwrap();
        if retries == 2 {
            case.lease(&[2]);
            case.result(2, failed()).unwrap();
            case.resolve(2, RetryRefund).unwrap();
        }
        case.result(1, settled(100)).unwrap();
        let last = *case.refunds().last().unwrap();
        assert_eq!(
            (case.incidents(), last),
            (vec![LateFact, RefundMismatch], (1, 100, Blocked)),
            "{retries} retries"
        );
        let before = case.order.clone();
        case.result(1, settled(100)).unwrap();
        assert_eq!(case.order, before);
        let mismatch = case.order.incidents.last().unwrap().number;
        case.resolve(mismatch, DropRefund).unwrap();
        // Nothing takes its place, whatever else comes in.
        case.capture("p2", 10);
        let refunds = case.refunds();
        assert_eq!(
            refunds[refunds.len() - 2..],
            [(1, 100, Dropped), (2, 10, Due)]
        );
    }
}

#[test]
fn money_that_came_back_after_it_was_paid_out_is_tried_again() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancelled(CancellationRequest::all()).lease(&[1]);
    case.result(1, settled(100)).unwrap();
    case.result(1, failed()).unwrap();
    assert_eq!(case.incidents(), [RefundFailed]);
    case.resolve(1, RetryRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Failed), (1, 100, Due)]);
}

#[test]
fn a_retry_is_for_no_more_than_its_payment_still_has() {
    let mut case = not_paid_back();
    case.fact("p1", PaymentFact::Chargeback, 30).unwrap();
    case.resolve(1, RetryRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Failed), (1, 70, Due)]);
}

#[test]
fn a_failed_release_of_money_that_was_captured_since_is_not_tried_again() {
    let mut case = Cart::of(&[(1, 100)]).place();
    case.authorize("p1", 100)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, failed()).unwrap();
    case.capture("p1", 100);
    assert_eq!(case.refunds(), [(1, 100, Failed), (1, 100, Due)]);
    assert_eq!(case.incidents(), [], "nothing is left to release");
    assert_eq!(
        case.resolve(1, RetryRefund).unwrap_err().reason(),
        ErrorReason::IncidentResolved
    );
}

#[test]
fn a_retry_waits_where_the_row_that_failed_has_paid_all_the_same() {
    let mut case = not_paid_back();
    case.resolve(1, RetryRefund).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Failed), (1, 100, Due)]);
    case.result(1, settled(100)).unwrap();
    assert_eq!(case.refunds(), [(1, 100, Failed), (1, 100, Blocked)]);
    assert_eq!(case.incidents(), [LateFact, RefundMismatch]);
}

#[test]
fn a_row_that_failed_and_was_paid_all_the_same_is_not_tried_again() {
    let mut case = not_paid_back();
    case.result(1, settled(100)).unwrap();
    assert_eq!(case.incidents(), [RefundFailed, LateFact]);
    assert_eq!(
        allowed_resolutions(&case.order, &case.order.incidents[0]),
        [Accept]
    );
}
