//! Goods that come home: which units they are taken for, and that none of them is forgotten.

use belay_domain::actor::Role;
use belay_domain::cancellation::{GateState, PartState};
use belay_domain::commands::allowed_resolutions;
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::{EventDetail, EventType};
use belay_domain::incident::IncidentKind::{CancelledYetShipped, LateFact};
use belay_domain::incident::Resolution;
use belay_domain::order::{CANCELLATIONS_MAX, FACTS_MAX, FACTS_ROOM, OrderState};
use belay_domain::refund::RefundState::{Blocked, Due};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::{InterceptState, Stage, TrackingFact};
use belay_domain::terms::GoodsCondition::{Damaged, Opened, Unopened};
use belay_domain::terms::{GateKind, Path};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::history;
use crate::kit::{CancellationRequest, Cart, Case, MICROSECOND, gate, indexes};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const HOURS_48: SignedDuration = SignedDuration::from_hours(48);

/// So many units of 1.00 under a policy that pays for what is home, sent after `cancelled` of them
/// were cancelled.
fn sent(units: u32, cancelled: u32) -> Case {
    let gate = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(units, i64::from(units) * 100)]).paid_under(outside(&[&gate]));
    if cancelled > 0 {
        case.cancel(CancellationRequest::lines(&[(1, cancelled)]))
            .unwrap();
    }
    case.dispatch(1).unwrap();
    case
}

fn refunded(case: &Case) -> i64 {
    case.order
        .refunds
        .iter()
        .map(|refund| refund.amounts.total())
        .sum()
}

fn home(case: &Case) -> Vec<u32> {
    indexes(&case.shipment(1).whereabouts.home, 1)
}

#[test]
fn units_that_never_left_do_not_come_home() {
    // One of three was cancelled inside: the highest. One of the others comes home, then the last.
    let mut case = sent(3, 1);
    assert_eq!(indexes(&case.shipment(1).whereabouts.left, 1), [0, 1]);
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!(
        (refunded(&case), home(&case), case.stage(1)),
        (200, vec![1], Stage::InTransit)
    );
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!(
        (refunded(&case), case.state(), case.stage(1)),
        (300, OrderState::Cancelled, Stage::Returned)
    );
    let refused = case.receive_some(1, Unopened, &[(1, 1)]).unwrap_err();
    assert_eq!(
        refused,
        Rejection::QuantityUnavailable {
            line: 1,
            requested: 1,
            available: 0
        }
    );
    history::check(&case.history, &case.order);
}

#[test]
fn both_that_left_come_home_at_once() {
    let mut case = sent(3, 1);
    let refused = case.receive_some(1, Unopened, &[(1, 3)]).unwrap_err();
    assert_eq!(
        refused,
        Rejection::QuantityUnavailable {
            line: 1,
            requested: 3,
            available: 2
        }
    );
    case.receive_some(1, Unopened, &[(1, 2)]).unwrap();
    assert_eq!(
        (refunded(&case), case.state(), case.incidents()),
        (300, OrderState::Cancelled, vec![])
    );
}

#[test]
fn what_is_home_does_not_come_home_again() {
    let mut case = sent(4, 0);
    for (quantity, back) in [(1, 100), (1, 200), (2, 400)] {
        case.receive_some(1, Unopened, &[(1, quantity)]).unwrap();
        assert_eq!(refunded(&case), back);
    }
    assert_eq!(
        (case.state(), case.stage(1)),
        (OrderState::Cancelled, Stage::Returned)
    );
    // A whole parcel that is home was told before; another parcel cannot be.
    let before = case.order.clone();
    case.receive(1, Damaged).unwrap();
    assert_eq!(case.order, before);
    let other = case.receive_box(1, Unopened, &[], "box-9").unwrap_err();
    assert_eq!(
        other,
        Rejection::QuantityUnavailable {
            line: 1,
            requested: 1,
            available: 0
        }
    );
}

#[test]
fn a_receipt_that_is_told_twice_is_one_and_two_receipts_are_two() {
    for announced in [false, true] {
        let mut case = sent(4, 0);
        if announced {
            case.scan(1, TrackingFact::Delivered).unwrap();
            case.cancel(CancellationRequest::lines(&[(1, 2)]).paths(&[Path::ReturnUnopened]))
                .unwrap();
        }
        case.receive_box(1, Unopened, &[(1, 1)], "box-1").unwrap();
        let before = case.order.clone();
        case.receive_box(1, Unopened, &[(1, 1)], "box-1").unwrap();
        case.receive_box(1, Damaged, &[(1, 4)], "box-1").unwrap();
        assert_eq!(case.order, before, "it was counted");
        case.receive_box(1, Unopened, &[(1, 1)], "box-2").unwrap();
        assert_eq!(
            (refunded(&case), home(&case)),
            (200, vec![2, 3]),
            "announced: {announced}"
        );
        assert_eq!(case.shipment(1).whereabouts.receipt_ids.len(), 2);
    }
}

#[test]
fn receipts_have_a_limit_and_the_last_of_the_goods_has_none() {
    let units = u32::try_from(FACTS_MAX).unwrap() + 2;
    let mut case = sent(units, 0);
    for number in 0..FACTS_MAX {
        case.receive_box(1, Unopened, &[(1, 1)], &format!("box-{number}"))
            .unwrap();
    }
    assert_eq!(
        case.receive_box(1, Unopened, &[(1, 1)], "box-x")
            .unwrap_err()
            .reason(),
        ErrorReason::LimitReached
    );
    case.receive_box(1, Unopened, &[(1, 2)], "box-x").unwrap();
    assert_eq!(
        (refunded(&case), case.state()),
        (i64::from(units) * 100, OrderState::Cancelled)
    );
}

/// Waited for, cancelled, asked for once and too late, everything else; of each the highest.
#[test]
fn a_receipt_is_taken_for_what_is_expected_first() {
    let mut case = sent(8, 0);
    case.scan(1, TrackingFact::Delivered).unwrap();
    // 7 was asked for and its time was up; 6 is cancelled, and on its way; 5 is waited for.
    case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::ReturnUnopened]))
        .unwrap();
    let early = case.order.cancellations[0].parts[0].units.clone();
    case.wait(HOURS_48).settle();
    assert_eq!(
        (indexes(&early, 1), case.parts(1)),
        (vec![7], vec![(PartState::Refused, "GATE_TIMED_OUT")])
    );
    case.order.cancellations[0].parts[0].units = case
        .order
        .units()
        .take_highest(1, 3)
        .minus(&case.order.units().take_highest(1, 2));
    case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::ReturnUnopened]))
        .unwrap();
    assert_eq!(indexes(&case.part(2, 0).units, 1), [7]);
    for (quantity, expected) in [
        (1, vec![7]),
        (1, vec![5, 7]),
        (1, vec![5, 6, 7]),
        (1, vec![4, 5, 6, 7]),
    ] {
        case.receive_some(1, Unopened, &[(1, quantity)]).unwrap();
        assert_eq!(home(&case), expected);
    }
    assert_eq!((case.incidents(), refunded(&case)), (vec![LateFact], 300));
}

#[test]
fn the_third_that_comes_after_its_time_is_for_support() {
    let mut case = sent(3, 0);
    case.scan(1, TrackingFact::Delivered).unwrap();
    case.cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
        .unwrap();
    case.receive_some(1, Unopened, &[(1, 2)]).unwrap();
    case.wait(HOURS_48)
        .receive_some(1, Unopened, &[(1, 1)])
        .unwrap();
    assert_eq!(
        (case.incidents(), refunded(&case), case.stage(1)),
        (vec![LateFact], 200, Stage::Returned)
    );
    case.resolve(1, Resolution::RefundAnyway).unwrap();
    assert_eq!(
        (refunded(&case), case.state()),
        (300, OrderState::Cancelled)
    );
    history::check(&case.history, &case.order);
}

#[test]
fn support_pays_for_all_that_came_late_and_each_that_comes_later_is_news() {
    let mut case = sent(4, 0);
    case.scan(1, TrackingFact::Delivered).unwrap();
    case.cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
        .unwrap();
    case.wait(HOURS_48);
    for _ in 0..3 {
        case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
        assert_eq!(
            case.incidents(),
            [LateFact],
            "one matter is one incident while it is open"
        );
    }
    case.resolve(1, Resolution::RefundAnyway).unwrap();
    assert_eq!((refunded(&case), case.incidents()), (300, vec![]));
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!(case.incidents(), [LateFact]);
    case.resolve(2, Resolution::RefundAnyway).unwrap();
    assert_eq!(refunded(&case), 400);
}

#[test]
fn one_that_comes_late_and_one_that_nobody_announced_are_told_apart() {
    let mut case = sent(3, 0);
    case.scan(1, TrackingFact::Delivered).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::ReturnUnopened]))
        .unwrap();
    case.wait(HOURS_48)
        .receive_some(1, Unopened, &[(1, 2)])
        .unwrap();
    assert_eq!((case.incidents(), refunded(&case)), (vec![LateFact], 100));
}

#[test]
fn what_left_though_it_was_cancelled_may_come_home_in_two_parcels() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all())
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!(
        (case.stage(1), case.incidents()),
        (Stage::InTransit, vec![CancelledYetShipped])
    );
    assert_eq!(case.refunds(), [(1, 200, Blocked)]);
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!(
        (case.stage(1), case.incidents(), case.refunds()),
        (Stage::Returned, vec![], vec![(1, 200, Due)])
    );
}

#[test]
fn what_was_settled_by_hand_and_comes_home_later_is_on_record() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all())
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    case.resolve(1, Resolution::RefundAnyway).unwrap();
    case.receive(1, Opened).unwrap();
    assert_eq!(
        (case.stage(1), case.part(1, 0).receipt.unwrap().condition),
        (Stage::Returned, Opened)
    );
    assert!(case.events().contains(&EventType::ParcelReceived));
}

#[test]
fn what_was_sent_and_never_paid_comes_home_and_is_on_record() {
    let mut case = Cart::of(&[(2, 200)]).place();
    case.scan(1, TrackingFact::PickedUp).unwrap();
    case.wait(DAY).settle();
    assert_eq!(
        (case.state(), case.incidents()),
        (OrderState::ClosedUnpaid, vec![CancelledYetShipped])
    );
    for stage in [Stage::InTransit, Stage::Returned] {
        case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
        assert_eq!(case.stage(1), stage);
        assert!(case.events().contains(&EventType::ParcelReceived));
    }
    assert_eq!(case.incidents(), []);
    assert_eq!(
        case.receive_some(1, Unopened, &[(1, 1)])
            .unwrap_err()
            .reason(),
        ErrorReason::QuantityUnavailable
    );
}

#[test]
fn lines_that_were_cancelled_whole_before_the_rest_left_are_not_in_the_parcel() {
    let gate = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(2, 200), (1, 100)]).paid_under(outside(&[&gate]));
    case.cancel(CancellationRequest::lines(&[(1, 2)])).unwrap();
    case.dispatch(1).unwrap();
    let refused = case.receive_some(1, Unopened, &[(1, 1)]).unwrap_err();
    assert_eq!(
        refused,
        Rejection::QuantityUnavailable {
            line: 1,
            requested: 1,
            available: 0
        }
    );
    case.receive(1, Unopened).unwrap();
    assert_eq!((refunded(&case), case.stage(1)), (300, Stage::Returned));
}

#[test]
fn what_the_policy_gave_away_outside_need_not_come_home() {
    let gate = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut policy = outside(&[&gate]);
    let mut anywhere = policy.rules[0].clone();
    anywhere.id = "gift".to_owned();
    anywhere.when.path = vec![Path::Cancel];
    let belay_domain::policy::Consequence::Allow(allow) = &mut anywhere.then else {
        panic!("it allows")
    };
    allow.gates.clear();
    policy.rules.insert(0, anywhere);
    let mut case = Cart::of(&[(2, 200)]).paid_under(policy);
    case.bring_to(1, Stage::Delivered)
        .cancel(CancellationRequest::lines(&[(1, 1)]))
        .unwrap();
    case.cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
        .unwrap();
    case.receive(1, Unopened).unwrap();
    assert_eq!(
        (case.stage(1), refunded(&case), home(&case)),
        (Stage::Returned, 200, vec![0])
    );
}

fn lost(gates: &[&str]) -> Case {
    let mut case = Cart::of(&[(1, 100)]).paid_under(outside(gates));
    case.bring_to(1, Stage::InTransit)
        .cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    case.scan(1, TrackingFact::Lost).unwrap();
    assert_eq!(
        case.part(1, 0).open_gate().unwrap().instead_of,
        Some(GateKind::ParcelReceipt)
    );
    case
}

const RECEIPT: &str = "{kind: PARCEL_RECEIPT, respond_within: 744h, on_timeout: ESCALATE, escalate_within: 48h, on_lost: ESCALATE}";
const INTERCEPT: &str = "{kind: CARRIER_INTERCEPT, respond_within: 48h, on_timeout: ESCALATE, escalate_within: 48h, on_lost: PASS}";

#[test]
fn a_parcel_that_is_found_while_support_is_asked_is_paid_for() {
    for scanned in [false, true] {
        for gates in [&[RECEIPT][..], &[INTERCEPT, RECEIPT]] {
            let mut case = lost(gates);
            if scanned {
                case.scan(1, TrackingFact::Returned).unwrap();
            }
            case.wait(MICROSECOND).receive(1, Opened).unwrap();
            assert_eq!(
                (case.parts(1), case.refunds()),
                (vec![(PartState::Cancelled, "")], vec![(1, 100, Due)])
            );
            assert_eq!(
                (case.stage(1), case.part(1, 0).receipt.unwrap().condition),
                (Stage::Returned, Opened)
            );
            assert!(case.events().contains(&EventType::ParcelReceived));
            history::check(&case.history, &case.order);
        }
    }
}

#[test]
fn a_parcel_that_comes_after_the_receipt_was_escalated_is_paid_for() {
    let mut case = Cart::of(&[(1, 100)]).paid_under(outside(&[RECEIPT]));
    case.bring_to(1, Stage::InTransit)
        .scan(1, TrackingFact::Returning)
        .unwrap();
    case.wait(SignedDuration::from_hours(744)).settle();
    assert_eq!(case.gates(1, 0), [GateState::Closed, GateState::Open]);
    case.receive(1, Unopened).unwrap();
    assert_eq!(
        (case.gates(1, 0), case.refunds()),
        (
            vec![GateState::Closed, GateState::Passed],
            vec![(1, 100, Due)]
        )
    );
}

#[test]
fn a_parcel_that_comes_after_support_said_no_is_for_support() {
    for (step, reason) in [("silence", "GATE_TIMED_OUT"), ("no", "CONSENT_REFUSED")] {
        let mut case = Cart::of(&[(1, 100)]).paid_under(outside(&[RECEIPT]));
        case.bring_to(1, Stage::Delivered)
            .cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
            .unwrap();
        case.wait(SignedDuration::from_hours(744)).settle();
        match step {
            "no" => drop(case.reject(Role::Support, 1).unwrap()),
            _ => drop(case.wait(HOURS_48).settle()),
        }
        assert_eq!(case.parts(1), [(PartState::Refused, reason)]);
        case.receive(1, Unopened).unwrap();
        assert_eq!(
            (case.incidents(), case.stage(1)),
            (vec![LateFact], Stage::Returned)
        );
        assert!(case.part(1, 0).receipt.is_some());
    }
}

/// Whose consent the policy asks goes on being asked, and its silence keeps no money of goods that
/// are home.
#[test]
fn goods_that_are_home_do_not_wait_for_a_consent_in_vain() {
    for kind in ["SELLER_CONSENT", "SUPPORT_REVIEW"] {
        let by = if kind == "SELLER_CONSENT" {
            Role::Seller
        } else {
            Role::Support
        };
        let consent = gate(kind, "REFUSE", "REFUSE_PART");
        let mut case = Cart::of(&[(2, 200)]).paid_under(outside(&[&consent]));
        case.bring_to(1, Stage::Delivered)
            .cancel(CancellationRequest::all().paths(&[Path::ReturnUnopened]))
            .unwrap();
        case.receive_some(1, Damaged, &[(1, 1)]).unwrap();
        assert_eq!(
            case.parts(1),
            [(PartState::Waiting, ""), (PartState::Waiting, "")]
        );
        assert_eq!(case.part(1, 0).receipt.unwrap().condition, Damaged);

        let mut agreed = case.clone();
        agreed.approve(by, 1).unwrap();
        assert_eq!(
            agreed.parts(1),
            [(PartState::Cancelled, ""), (PartState::Cancelled, "")]
        );

        let mut silent = case.clone();
        silent.wait(HOURS_48).settle();
        assert_eq!(
            (silent.incidents(), silent.refunds()),
            (vec![LateFact], vec![])
        );
        assert!(
            allowed_resolutions(&silent.order, &silent.order.incidents[0])
                .contains(&Resolution::RefundAnyway)
        );
        silent.resolve(1, Resolution::RefundAnyway).unwrap();
        assert_eq!(silent.refunds(), [(1, 100, Due)], "the one that is home");

        let mut refused = case.clone();
        refused.reject(by, 1).unwrap();
        assert_eq!(
            (refused.incidents(), refused.refunds()),
            (vec![], vec![]),
            "somebody has decided, and it is on record"
        );

        // Nobody asks for it any more, so it has come home by itself, under the policy of today:
        // that asks again.
        case.withdraw(Role::Storefront, 1).unwrap();
        assert_eq!(
            (case.cancellation(2).requester.role, case.parts(2)),
            (Role::Carrier, vec![(PartState::Waiting, "")])
        );
        history::check(&case.history, &case.order);
    }
}

#[test]
fn a_scan_on_the_way_home_answers_the_carriers_gate() {
    for fact in [TrackingFact::Returning, TrackingFact::Returned] {
        for late in [false, true] {
            let mut case = Cart::of(&[(1, 100)]).paid_under(outside(&[INTERCEPT, RECEIPT]));
            case.bring_to(1, Stage::InTransit)
                .cancel(CancellationRequest::all().paths(&[Path::Intercept]))
                .unwrap();
            if late {
                // Support is asked in the carrier's place.
                case.wait(HOURS_48).settle();
            }
            case.wait(MICROSECOND).scan(1, fact).unwrap();
            let states = if late {
                vec![GateState::Closed, GateState::Passed]
            } else {
                vec![GateState::Passed]
            };
            assert_eq!(
                case.gates(1, 0),
                [states, vec![GateState::Open]].concat(),
                "{fact}"
            );
            assert_eq!(
                case.part(1, 0).open_gate().unwrap().spec.kind,
                GateKind::ParcelReceipt
            );
            let states = case.history.iter().filter_map(|event| {
                let EventDetail::InterceptChanged { state, .. } = event.detail else {
                    return None;
                };
                Some(state)
            });
            let failed = if late {
                vec![InterceptState::Failed]
            } else {
                vec![]
            };
            let (asked, then) = (
                vec![InterceptState::Requested],
                vec![InterceptState::Confirmed, InterceptState::Returning],
            );
            assert_eq!(states.collect::<Vec<_>>(), [asked, failed, then].concat());
            case.wait(HOURS_48).settle();
            assert_eq!(case.parts(1), [(PartState::Waiting, "")]);
            case.receive(1, Unopened).unwrap();
            assert_eq!(case.refunds(), [(1, 100, Due)]);
        }
    }
}

#[test]
fn a_carriers_gate_whose_turn_comes_while_the_parcel_comes_home_asks_nobody() {
    let consent = gate("SELLER_CONSENT", "REFUSE", "REFUSE_PART");
    let mut case = Cart::of(&[(1, 100)]).paid_under(outside(&[&consent, INTERCEPT, RECEIPT]));
    case.bring_to(1, Stage::InTransit)
        .cancel(CancellationRequest::all().paths(&[Path::Intercept]))
        .unwrap();
    case.scan(1, TrackingFact::Returning).unwrap();
    assert_eq!(
        case.gates(1, 0),
        [GateState::Open, GateState::Queued, GateState::Queued]
    );
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(
        case.gates(1, 0),
        [GateState::Passed, GateState::Passed, GateState::Open]
    );
    assert_eq!(case.shipment(1).intercept, None);
}

#[test]
fn no_limit_of_callers_keeps_money() {
    let units = u32::try_from(CANCELLATIONS_MAX).unwrap() + 1;
    let mut case = Cart::of(&[(units, i64::from(units) * 100)]).paid_under(outside(&[&gate(
        "PARCEL_RECEIPT",
        "REFUSE",
        "BAR",
    )]));
    for _ in 0..CANCELLATIONS_MAX {
        case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    }
    assert_eq!(
        case.cancel(CancellationRequest::lines(&[(1, 1)]))
            .unwrap_err()
            .reason(),
        ErrorReason::LimitReached
    );
    case.dispatch(1).unwrap();
    case.scan(1, TrackingFact::Returning).unwrap();
    case.receive(1, Unopened).unwrap();
    assert_eq!(
        (refunded(&case), case.state()),
        (i64::from(units) * 100, OrderState::Cancelled)
    );
}

#[test]
fn what_belay_opens_takes_no_room_from_callers() {
    let units = u32::try_from(CANCELLATIONS_MAX).unwrap() + 5;
    let mut case = sent(units, 0);
    for _ in 0..=CANCELLATIONS_MAX {
        case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    }
    assert_eq!(refunded(&case), 10_100);
    case.scan(1, TrackingFact::Delivered).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::ReturnUnopened]))
        .unwrap();
}

#[test]
fn a_scan_that_moves_the_parcel_is_never_one_too_many() {
    let mut case = sent(1, 0);
    for _ in 0..FACTS_MAX {
        case.scan(1, TrackingFact::InTransit).unwrap();
    }
    assert_eq!(
        case.scan(1, TrackingFact::InTransit).unwrap_err().reason(),
        ErrorReason::LimitReached
    );
    for _ in 0..FACTS_ROOM / 2 {
        case.scan(1, TrackingFact::Lost).unwrap();
        case.scan(1, TrackingFact::InTransit).unwrap();
    }
    assert_eq!(
        case.scan(1, TrackingFact::Lost).unwrap_err().reason(),
        ErrorReason::LimitReached
    );
    case.receive(1, Unopened).unwrap();
    assert_eq!(refunded(&case), 100);
}

#[test]
fn a_delivery_counts_from_when_it_was_and_never_before_the_parcel_left() {
    let mut case = sent(1, 0);
    let left = case.now;
    case.wait(DAY * 11);
    let told = case.now;
    let table = [
        (left + DAY, left + DAY),
        (left - DAY, left),
        (told + DAY, told),
        (told, told),
    ];
    for (occurred, delivered) in table {
        let mut case = case.clone();
        case.scan_at(1, TrackingFact::Delivered, occurred).unwrap();
        let shipment = case.shipment(1);
        assert_eq!(
            (shipment.deliver_time, shipment.dispatch_time),
            (Some(delivered), Some(left))
        );
        assert_eq!(shipment.update_time, told);
    }
}

#[test]
fn whoever_tells_of_a_delivery_first_tells_of_the_departure() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    let placed = case.now;
    case.wait(DAY)
        .scan_at(1, TrackingFact::Delivered, placed + DAY / 2)
        .unwrap();
    let shipment = case.shipment(1);
    let then = Some(placed + DAY / 2);
    assert_eq!(
        (
            shipment.dispatch_time,
            shipment.deliver_time,
            shipment.whereabouts.left.count()
        ),
        (then, then, 1)
    );
}

#[test]
fn a_delivery_that_is_told_after_what_came_of_it_is_noted() {
    let mut case = sent(1, 0);
    let left = case.now;
    case.wait(DAY * 5).scan(1, TrackingFact::Returning).unwrap();
    case.scan_at(1, TrackingFact::Delivered, left + DAY)
        .unwrap();
    assert_eq!(
        (case.stage(1), case.shipment(1).deliver_time),
        (Stage::Returning, Some(left + DAY))
    );
}

#[test]
fn a_hold_passes_to_the_halves_and_history_says_so() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.ready(1).unwrap();
    case.hold(1, case.now + DAY).unwrap();
    case.split(1, &[&[(1, 1)], &[(1, 1)]]).unwrap();
    use EventType::{HoldEnded, ShipmentHeld, ShipmentSplit, ShipmentStageChanged};
    let half = [ShipmentStageChanged, ShipmentHeld];
    let expected = [
        &[ShipmentSplit][..],
        &half,
        &half,
        &[HoldEnded, ShipmentStageChanged],
    ]
    .concat();
    assert_eq!(case.events(), expected);
    case.wait(DAY).settle();
    assert_eq!(case.events(), [HoldEnded, HoldEnded]);
    history::check(&case.history, &case.order);
}

#[test]
fn what_is_left_out_has_its_end_in_history() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
    case.dispatch(1).unwrap();
    case.cancel(CancellationRequest::all().leave_out()).unwrap();
    let ended = case
        .events()
        .into_iter()
        .filter(|event| *event == EventType::PartEnded)
        .count();
    assert_eq!(ended, 2);
    history::check(&case.history, &case.order);
}
