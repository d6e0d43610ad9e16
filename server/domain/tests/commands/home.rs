//! Goods that are home already and are asked for again: their receipt counts, and nobody waits for
//! another.

use belay_domain::actor::Role;
use belay_domain::cancellation::{GateState, PartState};
use belay_domain::commands::allowed_resolutions;
use belay_domain::event::EventDetail;
use belay_domain::incident::IncidentKind::LateFact;
use belay_domain::incident::{IncidentState, Resolution};
use belay_domain::order::{CANCELLATIONS_OF_BELAY_MAX, OrderState};
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::GoodsCondition::{Damaged, Opened, Unopened};
use belay_domain::terms::{GateKind, Path};
use jiff::SignedDuration;

use crate::acts::outside;
use crate::kit::{CancellationRequest, Cart, Case, cross_border, gate, independent_site, indexes};
use crate::{history, invariants};

const DAYS_31: SignedDuration = SignedDuration::from_hours(31 * 24);

fn unopened(units: u32) -> CancellationRequest {
    CancellationRequest::lines(&[(1, units)]).paths(&[Path::ReturnUnopened])
}

/// As the preset wants it.
fn unwanted(units: u32) -> CancellationRequest {
    unopened(units).because("NO_LONGER_WANTED")
}

/// So many units of 10.00 that were asked back, and whose time was up.
fn timed_out(units: u32) -> Case {
    let mut case = Cart::of(&[(units, i64::from(units) * 1000)]).paid_under(independent_site());
    case.bring_to(1, Stage::Delivered)
        .cancel(unwanted(units))
        .unwrap();
    case.wait(DAYS_31).settle();
    assert_eq!(case.parts(1), [(PartState::Refused, "GATE_TIMED_OUT")]);
    case
}

fn refunded(case: &Case) -> i64 {
    case.order
        .refunds
        .iter()
        .map(|refund| refund.amounts.total())
        .sum()
}

fn allowed(case: &Case, incident: u32) -> Vec<Resolution> {
    allowed_resolutions(&case.order, case.order.incident(incident).unwrap())
}

fn check(case: &Case) {
    invariants::check(&case.order, case.now);
    history::check(&case.history, &case.order);
}

#[test]
fn goods_that_came_late_are_paid_for_when_they_are_asked_back_again() {
    for accepted in [false, true] {
        let mut case = timed_out(2);
        case.receive(1, Unopened).unwrap();
        assert_eq!(
            allowed(&case, 1),
            [Resolution::RefundAnyway, Resolution::Accept]
        );
        if accepted {
            case.resolve(1, Resolution::Accept).unwrap();
        }
        case.cancel(unwanted(2)).unwrap();
        assert_eq!(
            (case.parts(2), refunded(&case)),
            (vec![(PartState::Cancelled, "")], 2000)
        );
        assert_eq!(case.part(2, 0).receipt, case.part(1, 0).receipt);
        assert_eq!(
            (case.incidents(), case.state()),
            (vec![], OrderState::Cancelled)
        );
        let resolution = accepted.then_some(Resolution::Accept);
        assert_eq!(
            case.order.incidents[0].resolution, resolution,
            "the fact settles it where nobody did"
        );
        check(&case);
    }
}

#[test]
fn whoever_holds_one_of_two_and_asks_for_one_means_that_one() {
    let mut case = timed_out(2);
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    let home = indexes(&case.shipment(1).whereabouts.home, 1);
    case.cancel(unwanted(1)).unwrap();
    assert_eq!(
        (home, indexes(&case.part(2, 0).units, 1)),
        (vec![1], vec![0])
    );
    assert_eq!(case.parts(2), [(PartState::Waiting, "")]);
    assert_eq!(
        allowed(&case, 1),
        [Resolution::RefundAnyway, Resolution::Accept]
    );
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!(
        (case.parts(2), refunded(&case)),
        (vec![(PartState::Cancelled, "")], 1000)
    );
    case.resolve(1, Resolution::RefundAnyway).unwrap();
    assert_eq!(
        (refunded(&case), case.state()),
        (2000, OrderState::Cancelled)
    );
    check(&case);
}

#[test]
fn what_is_home_and_what_is_out_are_parts_apart() {
    let mut case = timed_out(3);
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    case.wait(SignedDuration::from_hours(1))
        .receive_some(1, Damaged, &[(1, 1)])
        .unwrap();
    case.cancel(unwanted(3)).unwrap();
    let cancelled = (PartState::Cancelled, "");
    assert_eq!(
        case.parts(2),
        [cancelled, cancelled, (PartState::Waiting, "")]
    );
    let conditions: Vec<_> = case
        .cancellation(2)
        .parts
        .iter()
        .map(|part| part.receipt.map(|of| of.condition))
        .collect();
    assert_eq!(
        conditions
            .iter()
            .filter(|condition| **condition == Some(Damaged))
            .count(),
        1
    );
    assert_eq!(conditions[2], None);
    check(&case);
    case.receive(1, Unopened).unwrap();
    assert_eq!(
        (case.state(), case.incidents()),
        (OrderState::Cancelled, vec![])
    );
    check(&case);
}

#[test]
fn a_preview_promises_what_the_receipts_and_the_last_unit_come_to() {
    for home in 0..=2 {
        let mut case = Cart::of(&[(2, 2000)])
            .shipping(500, 0)
            .paid_under(outside(&[&gate("PARCEL_RECEIPT", "REFUSE", "BAR")]));
        case.bring_to(1, Stage::Delivered)
            .cancel(unopened(2))
            .unwrap();
        case.wait(DAYS_31).settle();
        if home > 0 {
            case.receive_some(1, Opened, &[(1, home)]).unwrap();
        }
        let promised = case.clone();
        case.cancel(unopened(2)).unwrap();
        let expected = case.promise(2).refund.total();
        if home < 2 {
            case.receive(1, Opened).unwrap();
        }
        assert_eq!(promised.order.refunds.len(), 0);
        assert_eq!(
            (expected, refunded(&case)),
            (refunded(&case), expected),
            "{home} are home"
        );
        check(&case);
    }
}

#[test]
fn a_no_is_followed_by_another_request_and_the_receipt_still_counts() {
    let mut case = Cart::of(&[(2, 2000)]).paid_under(cross_border());
    case.bring_to(1, Stage::Delivered);
    let opened = || {
        CancellationRequest::all()
            .paths(&[Path::ReturnOpened])
            .because("NO_LONGER_WANTED")
    };
    case.cancel(opened()).unwrap();
    case.receive(1, Opened).unwrap();
    assert!(case.part(1, 0).has_passed(GateKind::ParcelReceipt));
    check(&case);
    let by = case.part(1, 0).open_gate().unwrap().spec.kind.party();
    case.reject(by, 1).unwrap();
    case.cancel(opened()).unwrap();
    assert_eq!(
        case.part(2, 0).open_gate().unwrap().spec.kind.party(),
        by,
        "the consent is asked anew"
    );
    assert_eq!(case.part(2, 0).receipt, case.part(1, 0).receipt);
    case.approve(by, 2).unwrap();
    assert_eq!(case.parts(2), [(PartState::Cancelled, "")]);
    assert!(refunded(&case) > 0);
    check(&case);
}

#[test]
fn while_a_request_waits_nobody_pays_twice_and_after_a_no_support_may() {
    let consent = gate("SELLER_CONSENT", "REFUSE", "REFUSE_PART");
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    for said in [GateState::Passed, GateState::Refused, GateState::Closed] {
        let mut case = Cart::of(&[(2, 2000)]).paid_under(outside(&[&consent, &receipt]));
        case.bring_to(1, Stage::Delivered)
            .cancel(unopened(2))
            .unwrap();
        case.approve(Role::Seller, 1).unwrap();
        case.wait(DAYS_31).receive(1, Unopened).unwrap();
        case.cancel(unopened(2)).unwrap();
        assert_eq!(
            (case.parts(2), allowed(&case, 1)),
            (vec![(PartState::Waiting, "")], vec![Resolution::Accept])
        );
        match said {
            GateState::Passed => {
                case.approve(Role::Seller, 2).unwrap();
            }
            GateState::Refused => {
                case.reject(Role::Seller, 2).unwrap();
            }
            GateState::Closed | GateState::Queued | GateState::Open => {
                case.wait(DAYS_31).settle();
            }
        }
        check(&case);
        if said == GateState::Passed {
            assert_eq!((case.incidents(), refunded(&case)), (vec![], 2000));
            continue;
        }
        for incident in case.order.incidents.iter().map(|incident| incident.number) {
            let mut paid = case.clone();
            paid.resolve(incident, Resolution::RefundAnyway).unwrap();
            assert_eq!(
                (refunded(&paid), paid.incidents()),
                (2000, vec![]),
                "{said}: one payment settles all"
            );
            check(&paid);
        }
    }
}

#[test]
fn what_comes_after_an_incident_was_accepted_is_paid_for_alone() {
    let mut case = timed_out(3);
    case.receive_some(1, Damaged, &[(1, 1)]).unwrap();
    case.resolve(1, Resolution::Accept).unwrap();
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!(case.incidents(), [LateFact]);
    case.resolve(2, Resolution::RefundAnyway).unwrap();
    assert_eq!(refunded(&case), 2000);
    check(&case);
}

/// The carrier brings the whole parcel back, though one of it was asked for.
#[test]
fn the_rest_of_a_parcel_that_came_back_is_not_forgotten() {
    let carrier =
        "{kind: CARRIER_INTERCEPT, respond_within: 48h, on_timeout: REFUSE, on_dispatch: BAR}";
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    for scan_first in [false, true] {
        for fact in [TrackingFact::Returning, TrackingFact::Returned] {
            let mut case = Cart::of(&[(3, 3000)]).paid_under(outside(&[carrier, &receipt]));
            case.dispatch(1).unwrap();
            case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::Intercept]))
                .unwrap();
            if scan_first {
                case.scan(1, fact).unwrap();
                case.receive(1, Unopened).unwrap();
            } else {
                case.receive(1, Unopened).unwrap();
                case.scan(1, fact).unwrap();
            }
            assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
            assert_eq!(
                (
                    case.cancellation(2).requester.role,
                    case.part(2, 0).units.count()
                ),
                (Role::Carrier, 2)
            );
            check(&case);
            case.receive(1, Unopened).unwrap();
            assert_eq!(
                (refunded(&case), case.state(), case.stage(1)),
                (3000, OrderState::Cancelled, Stage::Returned)
            );
            check(&case);
        }
    }
}

#[test]
fn the_rest_of_a_parcel_is_not_forgotten_however_the_wait_for_a_part_of_it_ends() {
    let consent = gate("SELLER_CONSENT", "REFUSE", "REFUSE_PART");
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    for fact in [TrackingFact::Returning, TrackingFact::Returned] {
        let ends = ["yes", "no", "withdrawn", "silence", "late silence"];
        // The carrier may have given up on the parcel once before, and delivered it after all.
        for (end, taken_back) in ends.iter().flat_map(|end| [(*end, 0), (*end, 1)]) {
            let mut case = Cart::of(&[(3, 3000)]).paid_under(outside(&[&consent, &receipt]));
            case.bring_to(1, Stage::Delivered);
            if taken_back == 1 {
                case.scan(1, TrackingFact::Returning).unwrap();
                case.wait(SignedDuration::from_mins(1))
                    .bring_to(1, Stage::Delivered);
                assert_eq!(case.parts(1), [(PartState::Withdrawn, "")]);
                case.wait(SignedDuration::from_mins(1));
            }
            let asked = case.cancel(unopened(1)).unwrap();
            case.scan(1, fact).unwrap();
            let rest = match end {
                "no" => {
                    case.reject(Role::Seller, asked).unwrap();
                    3
                }
                "withdrawn" => {
                    case.withdraw(Role::Storefront, asked).unwrap();
                    3
                }
                "silence" => {
                    case.wait(SignedDuration::from_hours(48)).settle();
                    2
                }
                _ => {
                    case.approve(Role::Seller, asked).unwrap();
                    if end == "yes" {
                        case.receive(1, Unopened).unwrap();
                    } else {
                        case.wait(SignedDuration::from_hours(48)).settle();
                    }
                    2
                }
            };
            let opened = case.cancellation(asked + 1);
            assert_eq!(
                (opened.requester.role, opened.parts[0].units.count()),
                (Role::Carrier, rest),
                "{fact}, {end}"
            );
            check(&case);
            // Silence goes on: it ends, and no cancellation is opened for the same goods over and
            // over.
            case.wait(SignedDuration::from_hours(20_000)).settle();
            let opened = case.order.cancellations.len() - taken_back;
            assert!(opened <= 3, "{fact}, {end}");
            check(&case);
        }
    }
}

#[test]
fn what_support_takes_back_for_the_carrier_is_not_opened_again_at_once() {
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(2, 2000)]).paid_under(outside(&[&receipt]));
    case.bring_to(1, Stage::Returning);
    case.withdraw(Role::Support, 1).unwrap();
    assert_eq!(case.parts(1), [(PartState::Withdrawn, "")]);
    assert_eq!(case.order.cancellations.len(), 1);
    case.receive(1, Unopened).unwrap();
    assert_eq!((refunded(&case), case.parts(2).len()), (2000, 1));
    check(&case);
}

#[test]
fn a_gate_that_a_receipt_passes_before_its_turn_is_told() {
    let consent = gate("SELLER_CONSENT", "REFUSE", "REFUSE_PART");
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(1, 100)]).paid_under(outside(&[&consent, &receipt]));
    case.bring_to(1, Stage::Delivered)
        .cancel(unopened(1))
        .unwrap();
    case.receive(1, Unopened).unwrap();
    let told = case.history.iter().any(|event| {
        matches!(
            event.detail,
            EventDetail::GateClosed {
                gate: GateKind::ParcelReceipt,
                state: GateState::Passed,
                ..
            }
        )
    });
    assert!(told);
    check(&case);
}

/// An order of single receipts without ids has no end; what comes home after it has room for no
/// more cancellations is paid for by one that support opens.
#[test]
fn no_limit_of_belays_own_keeps_money() {
    let units = u32::try_from(CANCELLATIONS_OF_BELAY_MAX).unwrap() + 3;
    let receipt = gate("PARCEL_RECEIPT", "REFUSE", "BAR");
    let mut case = Cart::of(&[(units, i64::from(units) * 100)]).paid_under(outside(&[&receipt]));
    case.bring_to(1, Stage::Delivered);
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    // Room for all but one is taken.
    let first = case.order.cancellations[0].clone();
    let part = first.parts[0].clone();
    let mut taken = |number: u32| {
        let mut of = first.clone();
        of.number = number;
        of.parts[0] = part.clone();
        of.parts[0].state = PartState::Withdrawn;
        of
    };
    let others = (2..=u32::try_from(CANCELLATIONS_OF_BELAY_MAX).unwrap())
        .map(&mut taken)
        .collect::<Vec<_>>();
    case.order.cancellations.extend(others);
    case.receive_some(1, Unopened, &[(1, 1)]).unwrap();
    assert_eq!((case.incidents(), refunded(&case)), (vec![LateFact], 100));
    assert_eq!(
        allowed(&case, 1),
        [Resolution::RefundAnyway, Resolution::Accept]
    );
    let mut again = case.clone();
    again.cancel(unopened(1)).unwrap();
    assert_eq!(
        indexes(&again.cancellation(1001).parts[0].units, 1),
        [units - 3],
        "the one that is out"
    );
    case.resolve(1, Resolution::Accept).unwrap();
    case.receive_some(1, Unopened, &[(1, 2)]).unwrap();
    assert_eq!(case.incidents(), [LateFact]);
    case.resolve(2, Resolution::RefundAnyway).unwrap();
    assert_eq!((refunded(&case), case.incidents()), (300, vec![]));
    assert!(
        case.order
            .incidents
            .iter()
            .all(|incident| incident.state == IncidentState::Resolved)
    );
}
