//! Sellers and support agree or do not, and who asked changes their mind.

use belay_domain::actor::Role;
use belay_domain::cancellation::{CancellationOutcome, CancellationState, GateState, PartState};
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::EventType;
use belay_domain::order::OrderState;
use belay_domain::refund::RefundState::Due;
use belay_domain::shipment::Stage;
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, MICROSECOND, consent_when_preparing, gate, gated,
};

const HOURS_48: SignedDuration = SignedDuration::from_hours(48);

/// One of two units is to be cancelled, and these gates are in the way.
fn waiting(gates: &[&str]) -> Case {
    let mut case = Cart::of(&[(2, 200)]).paid_under(gated("PLANNED", gates));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case
}

fn consent_and_stop() -> [String; 2] {
    [
        gate("SELLER_CONSENT", "REFUSE", "BAR"),
        gate("WAREHOUSE_STOP", "REFUSE", "BAR"),
    ]
}

#[test]
fn an_approval_cancels_where_nobody_else_is_asked() {
    let mut case = waiting(&[&gate("SELLER_CONSENT", "REFUSE", "BAR")]);
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(
        (case.parts(1), case.refunds()),
        (vec![(PartState::Cancelled, "")], vec![(1, 100, Due)])
    );
    assert_eq!(
        case.cancellation(1).outcome(),
        Some(CancellationOutcome::Full)
    );
    let answer = case.part(1, 0).gates[0].answer.clone().unwrap();
    assert_eq!((answer.by.role, answer.code), (Role::Seller, None));
}

#[test]
fn an_approval_opens_the_gate_behind_it_and_moves_the_fence() {
    let [consent, stop] = consent_and_stop();
    let mut case = waiting(&[&consent, &stop]);
    let fence = case.shipment(1).fence;
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(case.gates(1, 0), [GateState::Passed, GateState::Open]);
    assert!(case.shipment(1).fence > fence, "a stop has opened");
    assert_eq!(
        case.dispatch_seen(1, fence).unwrap_err().reason(),
        ErrorReason::FenceStale
    );
}

#[test]
fn a_rejection_ends_the_part_and_is_on_record_with_its_evidence() {
    let [consent, stop] = consent_and_stop();
    let mut case = waiting(&[&consent, &stop]);
    case.reject(Role::Seller, 1).unwrap();
    assert_eq!(case.parts(1), [(PartState::Refused, "CONSENT_REFUSED")]);
    assert_eq!(case.gates(1, 0), [GateState::Refused, GateState::Closed]);
    let answer = case.part(1, 0).gates[0].answer.clone().unwrap();
    assert_eq!(
        (answer.code.as_deref(), answer.evidence),
        (Some("PACKED_ALREADY"), vec!["photo-1".to_owned()])
    );
    assert_eq!(
        (case.cancellation(1).state(), case.refunds()),
        (CancellationState::Rejected, vec![])
    );
    assert!(case.dispatch(1).is_ok());
}

#[test]
fn to_say_the_same_again_writes_nothing_and_to_say_otherwise_is_refused() {
    let mut case = waiting(&[&gate("SELLER_CONSENT", "REFUSE", "BAR")]);
    case.approve(Role::Seller, 1).unwrap();
    let before = case.order.clone();
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(
        case.reject(Role::Seller, 1).unwrap_err().reason(),
        ErrorReason::GateNotOpen
    );
    assert_eq!(case.order, before);
}

#[test]
fn a_consent_is_in_time_until_the_very_microsecond() {
    let waiting = waiting(&[&gate("SELLER_CONSENT", "REFUSE", "BAR")]);
    let mut in_time = waiting.clone();
    in_time
        .wait(HOURS_48 - MICROSECOND)
        .approve(Role::Seller, 1)
        .unwrap();
    assert_eq!(in_time.parts(1), [(PartState::Cancelled, "")]);
    let mut late = waiting;
    assert_eq!(
        late.wait(HOURS_48)
            .approve(Role::Seller, 1)
            .unwrap_err()
            .reason(),
        ErrorReason::GateTimedOut
    );
    assert_eq!(
        late.reject(Role::Seller, 1).unwrap_err().reason(),
        ErrorReason::GateTimedOut
    );
    assert_eq!(late.parts(1), [(PartState::Refused, "GATE_TIMED_OUT")]);
}

#[test]
fn support_answers_what_escalated_and_the_seller_is_too_late() {
    let mut case = waiting(&[&gate("SELLER_CONSENT", "ESCALATE", "BAR")]);
    case.wait(HOURS_48);
    assert_eq!(
        case.approve(Role::Seller, 1).unwrap_err().reason(),
        ErrorReason::GateTimedOut
    );
    case.approve(Role::Support, 1).unwrap();
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
    assert_eq!(case.gates(1, 0), [GateState::Closed, GateState::Passed]);
}

#[test]
fn one_consent_answers_every_part_and_parts_may_end_differently() {
    let cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]);
    let mut case = cart.paid_under(consent_when_preparing());
    case.prepare(1).unwrap();
    case.prepare(2).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    // The second has left by what the carrier says: it is re-evaluated and denied.
    case.scan(2, belay_domain::shipment::TrackingFact::PickedUp)
        .unwrap();
    case.approve(Role::Seller, 1).unwrap();
    assert_eq!(
        case.parts(1),
        [(PartState::Cancelled, ""), (PartState::Refused, "SHIPPED")]
    );
    assert_eq!(
        case.cancellation(1).outcome(),
        Some(CancellationOutcome::Partial)
    );
    assert_eq!(
        (case.state(), case.refunds()),
        (OrderState::Shipped, vec![(1, 100, Due)])
    );
}

#[test]
fn a_request_is_withdrawn_before_a_fact_and_not_after() {
    let [consent, stop] = consent_and_stop();
    let mut case = waiting(&[&consent, &stop]);
    // A consent is no fact.
    case.approve(Role::Seller, 1).unwrap();
    let mut before = case.clone();
    let fence = before.shipment(1).fence;
    before.withdraw(Role::Storefront, 1).unwrap();
    assert_eq!(before.parts(1), [(PartState::Withdrawn, "")]);
    assert_eq!(before.cancellation(1).state(), CancellationState::Withdrawn);
    assert_eq!(
        before.gates(1, 0),
        [GateState::Passed, GateState::Closed],
        "an unanswered stop is released"
    );
    assert!(before.shipment(1).fence > fence);
    assert!(before.events().contains(&EventType::CancellationWithdrawn));
    assert_eq!(
        before.dispatch_seen(1, fence).unwrap_err().reason(),
        ErrorReason::FenceStale
    );
    assert!(before.dispatch(1).is_ok());

    // The last gate passes and the units are cancelled: nothing is left to take back.
    case.stop(1).unwrap();
    assert_eq!(
        case.withdraw(Role::Storefront, 1).unwrap_err().reason(),
        ErrorReason::TooLateToWithdraw
    );
}

#[test]
fn to_withdraw_twice_writes_nothing() {
    let mut case = waiting(&[&gate("SELLER_CONSENT", "REFUSE", "BAR")]);
    case.withdraw(Role::Support, 1).unwrap();
    let before = case.order.clone();
    case.withdraw(Role::Storefront, 1).unwrap();
    assert_eq!(case.order, before);
}

#[test]
fn a_withdrawal_takes_back_what_nobody_has_acted_on_and_leaves_the_rest() {
    let stop = gate("WAREHOUSE_STOP", "REFUSE", "BAR");
    let review = gate("SUPPORT_REVIEW", "REFUSE", "BAR");
    let cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]);
    let mut case = cart.paid_under(gated("PLANNED", &[&stop, &review]));
    case.cancel(CancellationRequest::all()).unwrap();
    case.stop(1).unwrap();
    case.withdraw(Role::Storefront, 1).unwrap();
    assert_eq!(
        case.parts(1),
        [(PartState::Waiting, ""), (PartState::Withdrawn, "")]
    );
    assert_eq!(
        case.withdraw(Role::Storefront, 1).unwrap_err().reason(),
        ErrorReason::TooLateToWithdraw
    );
    case.approve(Role::Support, 1).unwrap();
    assert_eq!(
        case.parts(1),
        [(PartState::Cancelled, ""), (PartState::Withdrawn, "")]
    );
}

#[test]
fn a_hold_outlives_a_withdrawal() {
    let mut case = waiting(&[&gate("WAREHOUSE_STOP", "REFUSE", "BAR")]);
    case.hold(1, case.now + HOURS_48).unwrap();
    case.withdraw(Role::Storefront, 1).unwrap();
    assert_eq!(
        case.dispatch(1).unwrap_err().reason(),
        ErrorReason::ShipmentHeld
    );
}

#[test]
fn an_order_that_was_kept_back_is_released_by_the_withdrawal() {
    let policy = gated("UNRELEASED", &[&gate("SELLER_CONSENT", "REFUSE", "BAR")]);
    let mut case = Cart::of(&[(2, 200)]).place_under(policy);
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.capture("p1", 200);
    assert_eq!(case.stage(1), Stage::Unreleased);
    case.withdraw(Role::Storefront, 1).unwrap();
    assert_eq!(case.stage(1), Stage::Planned);
}
