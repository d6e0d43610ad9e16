//! Warehouses stop what they were told to stop, or some of it, or cannot, or say so too late.

use belay_domain::actor::Role;
use belay_domain::cancellation::{CancellationOutcome, CancellationState, GateState, PartState};
use belay_domain::error_reason::ErrorReason;
use belay_domain::incident::{IncidentKind::LateFact, Resolution};
use belay_domain::refund::RefundState::Due;
use belay_domain::shipment::Stage;
use jiff::SignedDuration;

use crate::kit::{CancellationRequest, Cart, Case, gate, gated, indexes};

const HOURS_48: SignedDuration = SignedDuration::from_hours(48);

/// Three of four packed units are to be stopped, then support is asked where it says so.
fn stopping(gates: &[&str]) -> Case {
    let mut case = Cart::of(&[(4, 400)])
        .shipping(40, 4)
        .paid_under(gated("PREPARING", gates));
    case.prepare(1).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 3)])).unwrap();
    case
}

fn stop(on_timeout: &str) -> String {
    gate("WAREHOUSE_STOP", on_timeout, "BAR")
}

#[test]
fn what_is_stopped_whole_is_cancelled_whole() {
    let mut case = stopping(&[&stop("REFUSE")]);
    let fence = case.shipment(1).fence;
    case.stop(1).unwrap();
    assert_eq!(
        (case.parts(1), case.refunds()),
        (vec![(PartState::Cancelled, "")], vec![(1, 300, Due)])
    );
    assert!(case.shipment(1).fence > fence);
    assert_eq!(
        case.stage(1),
        Stage::Preparing,
        "the rest goes on being packed"
    );
}

#[test]
fn what_is_stopped_in_part_is_cancelled_in_part_and_the_rest_is_refused() {
    let mut case = stopping(&[&stop("REFUSE")]);
    case.stop_some(1, &[(1, 2)]).unwrap();
    assert_eq!(
        case.parts(1),
        [
            (PartState::Cancelled, ""),
            (PartState::Refused, "WAREHOUSE_CANNOT_STOP")
        ]
    );
    assert_eq!(
        (
            indexes(&case.part(1, 0).units, 1),
            indexes(&case.part(1, 1).units, 1)
        ),
        (vec![2, 3], vec![1])
    );
    assert_eq!(
        case.cancellation(1).outcome(),
        Some(CancellationOutcome::Partial)
    );
    assert_eq!(case.refunds(), [(1, 200, Due)]);
    assert_eq!(case.order.live_units(case.shipment(1)).count(), 2);
    // The same answer again changes nothing, and is not late.
    let before = case.order.clone();
    case.stop_some(1, &[(1, 2)]).unwrap();
    assert_eq!(case.order, before);
}

#[test]
fn what_cannot_be_stopped_goes() {
    let mut case = stopping(&[&stop("REFUSE")]);
    assert_eq!(
        case.dispatch(1).unwrap_err().reason(),
        ErrorReason::ShipmentBarred
    );
    case.cannot_stop(1).unwrap();
    assert_eq!(
        case.parts(1),
        [(PartState::Refused, "WAREHOUSE_CANNOT_STOP")]
    );
    let answer = case.part(1, 0).gates[0].answer.clone().unwrap();
    assert_eq!(
        (answer.by.role, answer.code.as_deref()),
        (Role::Warehouse, Some("HANDED_OVER"))
    );
    assert_eq!(
        (case.cancellation(1).state(), case.stage(1)),
        (CancellationState::Rejected, Stage::Preparing)
    );
    assert!(case.dispatch(1).is_ok());
}

#[test]
fn one_answer_is_for_everybody_who_waits_for_the_stop() {
    let mut case = stopping(&[&stop("REFUSE")]);
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.stop(1).unwrap();
    assert_eq!(
        (case.parts(1), case.parts(2)),
        (
            vec![(PartState::Cancelled, "")],
            vec![(PartState::Cancelled, "")]
        )
    );
    assert_eq!(
        (case.stage(1), case.refunds()),
        (Stage::Cancelled, vec![(1, 300, Due), (1, 144, Due)])
    );
}

#[test]
fn what_was_stopped_and_is_refused_behind_begins_again_under_a_new_fence() {
    let review = gate("SUPPORT_REVIEW", "REFUSE", "REFUSE_PART");
    let mut case = stopping(&[&stop("REFUSE"), &review]);
    case.stop(1).unwrap();
    case.ready(1).unwrap();
    let fence = case.shipment(1).fence;
    case.reject(Role::Support, 1).unwrap();
    assert_eq!((case.stage(1), case.refunds()), (Stage::Planned, vec![]));
    assert!(case.shipment(1).fence > fence);
}

#[test]
fn a_stop_that_comes_too_late_is_for_support_and_the_shipment_begins_again() {
    let mut case = stopping(&[&stop("REFUSE")]);
    case.wait(HOURS_48).settle();
    assert_eq!(case.parts(1), [(PartState::Refused, "GATE_TIMED_OUT")]);
    let fence = case.shipment(1).fence;
    case.stop(1).unwrap();
    assert_eq!(
        (case.incidents(), case.stage(1)),
        (vec![LateFact], Stage::Planned)
    );
    assert!(case.shipment(1).fence > fence);
    let incident = &case.order.incidents[0];
    assert_eq!(
        (incident.shipment, incident.cancellation),
        (Some(1), Some(1))
    );
    // Reported once more it is the same stop.
    case.prepare(1).unwrap();
    let before = case.order.clone();
    case.stop(1).unwrap();
    assert_eq!(case.order, before);
    case.resolve(1, Resolution::Accept).unwrap();
    assert_eq!((case.incidents(), case.refunds()), (vec![], vec![]));
}

#[test]
fn a_late_stop_is_told_to_the_support_that_decides_in_its_place() {
    let mut case = stopping(&[&stop("ESCALATE")]);
    case.wait(HOURS_48).stop(1).unwrap();
    assert_eq!(
        (case.incidents(), case.gates(1, 0)),
        (vec![LateFact], vec![GateState::Closed, GateState::Open])
    );
    case.approve(Role::Support, 1).unwrap();
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
}

#[test]
fn what_was_stopped_after_a_withdrawal_begins_again_and_contradicts_nothing() {
    let mut case = stopping(&[&stop("REFUSE")]);
    case.withdraw(Role::Storefront, 1).unwrap();
    let fence = case.shipment(1).fence;
    case.stop(1).unwrap();
    assert_eq!((case.stage(1), case.incidents()), (Stage::Planned, vec![]));
    assert!(case.shipment(1).fence > fence);
}

#[test]
fn a_shipment_that_begins_again_has_its_time_to_be_prepared_again() {
    let mut policy = gated("PREPARING", &[&stop("REFUSE")]);
    policy.preparation_within = Some(SignedDuration::from_hours(12));
    let mut case = Cart::of(&[(2, 200)]).paid_under(policy);
    case.prepare(1).unwrap();
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(HOURS_48).stop(1).unwrap();
    assert_eq!(
        case.shipment(1).prepare_by,
        Some(case.now + SignedDuration::from_hours(12))
    );
    assert!(!case.shipment(1).preparation_overdue);
}
