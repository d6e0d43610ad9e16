//! What happens by itself when its time has come.

use belay_domain::actor::{Actor, Role};
use belay_domain::cancellation::{CancellationState, GateState, PartState};
use belay_domain::commands::settled;
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::{Cause, EventType};
use belay_domain::order::OrderState;
use belay_domain::refund::RefundState;
use belay_domain::shipment::Stage;
use belay_domain::terms::GateKind;
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, EXPIRE_AFTER, LEASE, MICROSECOND, PLACED, gate, gated,
};

const HOURS_48: SignedDuration = SignedDuration::from_hours(48);

/// Of two units at PLANNED, one is to be cancelled, and these gates are in the way.
fn waiting(gates: &[&str]) -> Case {
    let mut case = Cart::of(&[(2, 200)]).paid_under(gated("PLANNED", gates));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case
}

#[test]
fn an_unpaid_order_closes_at_the_very_microsecond() {
    for (after, state) in [
        (EXPIRE_AFTER - MICROSECOND, OrderState::AwaitingPayment),
        (EXPIRE_AFTER, OrderState::ClosedUnpaid),
    ] {
        let mut case = Cart::of(&[(1, 100)]).place();
        case.wait(after).settle();
        assert_eq!(case.state(), state, "after {after:?}");
    }
}

#[test]
fn a_closing_is_a_cancellation_by_the_system_of_all_that_is_left() {
    let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).place();
    case.cancel(CancellationRequest::shipment(1)).unwrap();
    case.wait(EXPIRE_AFTER + EXPIRE_AFTER).settle();
    let closing = case.cancellation(2);
    assert_eq!(
        (closing.reason.as_deref(), closing.requester.clone()),
        (Some("PAYMENT_EXPIRED"), Actor::system())
    );
    assert_eq!(
        closing
            .parts
            .iter()
            .map(|part| part.shipment)
            .collect::<Vec<_>>(),
        [2]
    );
    assert_eq!(
        (case.stages(), case.order.next_due()),
        (vec![Stage::Cancelled, Stage::Cancelled], None)
    );
    let expected = [
        EventType::CancellationRequested,
        EventType::PartEnded,
        EventType::ShipmentStageChanged,
        EventType::CancellationCompleted,
        EventType::OrderClosedUnpaid,
    ];
    assert_eq!(case.events(), expected);
    assert!(
        case.last
            .events
            .iter()
            .all(|event| event.cause == Cause::Deadline(PLACED + EXPIRE_AFTER))
    );
    // However late anybody noticed, it happened when its time had come.
    let closed_at = PLACED + EXPIRE_AFTER;
    assert!(
        case.last
            .events
            .iter()
            .all(|event| event.actor == Actor::system() && event.time == closed_at)
    );
}

#[test]
fn a_closing_ends_what_waits_and_takes_its_units() {
    let mut case = Cart::of(&[(2, 200)]).place_under(gated(
        "UNRELEASED",
        &[&gate("SELLER_CONSENT", "PASS", "BAR")],
    ));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(EXPIRE_AFTER).settle();
    assert_eq!(case.parts(1), [(PartState::Refused, "ORDER_CLOSED")]);
    assert_eq!(case.cancellation(1).state(), CancellationState::Rejected);
    assert_eq!(
        (case.part(2, 0).units.count(), case.state()),
        (2, OrderState::ClosedUnpaid)
    );
}

#[test]
fn to_settle_twice_writes_nothing() {
    let mut case = Cart::of(&[(1, 100)]).place();
    case.wait(EXPIRE_AFTER).settle();
    let before = case.order.clone();
    case.wait(EXPIRE_AFTER).settle();
    assert_eq!(case.order, before);
}

#[test]
fn a_refused_command_still_settles_what_was_due() {
    let mut case = Cart::of(&[(1, 100)]).place();
    case.wait(EXPIRE_AFTER);
    assert_eq!(
        case.prepare(9).unwrap_err().reason(),
        ErrorReason::ShipmentNotFound
    );
    assert_eq!(
        (case.state(), case.order.version),
        (OrderState::ClosedUnpaid, 2)
    );
}

#[test]
fn a_version_seen_before_a_deadline_is_stale_after_it() {
    let mut case = Cart::of(&[(1, 100)]).place();
    case.wait(EXPIRE_AFTER);
    let answer = case.run(
        Role::Payments,
        Some(1),
        belay_domain::commands::Command::Settle,
    );
    assert_eq!(answer.unwrap_err().reason(), ErrorReason::EtagMismatch);
    assert_eq!(
        case.order.version, 2,
        "the deadline is applied all the same"
    );
}

#[test]
fn a_read_of_the_future_changes_nothing() {
    let mut case = Cart::of(&[(1, 100)]).place();
    case.wait(EXPIRE_AFTER);
    assert_eq!(
        settled(&case.order, &case.context()).state,
        OrderState::ClosedUnpaid
    );
    assert_eq!(case.state(), OrderState::AwaitingPayment);
}

/// What silence means, just before and at the end of 48 hours.
#[test]
fn a_gate_times_out_at_its_very_microsecond_as_the_policy_says() {
    let table = [
        ("PASS", PartState::Cancelled, "", GateState::Passed),
        (
            "REFUSE",
            PartState::Refused,
            "GATE_TIMED_OUT",
            GateState::Refused,
        ),
        ("ESCALATE", PartState::Waiting, "", GateState::Closed),
    ];
    for (on_timeout, state, reason, silent) in table {
        let mut case = waiting(&[&gate("SELLER_CONSENT", on_timeout, "BAR")]);
        case.wait(HOURS_48 - MICROSECOND).settle();
        assert_eq!(case.parts(1), [(PartState::Waiting, "")], "{on_timeout}");
        case.wait(MICROSECOND).settle();
        assert_eq!(
            (case.parts(1), case.part(1, 0).gates[0].state),
            (vec![(state, reason)], silent),
            "{on_timeout}"
        );
    }
}

#[test]
fn an_escalated_gate_goes_to_support_whose_silence_refuses() {
    let mut case = waiting(&[&gate("SELLER_CONSENT", "ESCALATE", "BAR")]);
    case.wait(HOURS_48).settle();
    let review = case.part(1, 0).open_gate().unwrap();
    assert_eq!(
        (review.spec.kind, review.respond_by),
        (GateKind::SupportReview, Some(case.now + HOURS_48))
    );
    case.wait(HOURS_48).settle();
    assert_eq!(case.parts(1), [(PartState::Refused, "GATE_TIMED_OUT")]);
}

#[test]
fn support_answers_in_the_place_of_who_kept_silent_before_the_gates_behind() {
    let gates = [
        gate("SELLER_CONSENT", "ESCALATE", "BAR"),
        gate("WAREHOUSE_STOP", "REFUSE", "BAR"),
    ];
    let mut case = waiting(&[&gates[0], &gates[1]]);
    case.wait(HOURS_48).settle();
    let gates: Vec<_> = case
        .part(1, 0)
        .gates
        .iter()
        .map(|gate| (gate.spec.kind, gate.state))
        .collect();
    let expected = [
        (GateKind::SellerConsent, GateState::Closed),
        (GateKind::SupportReview, GateState::Open),
        (GateKind::WarehouseStop, GateState::Queued),
    ];
    assert_eq!(gates, expected);
}

#[test]
fn gates_run_in_their_order_and_the_clock_of_one_starts_when_it_opens() {
    let gates = [
        gate("SELLER_CONSENT", "PASS", "BAR"),
        gate("SUPPORT_REVIEW", "PASS", "BAR"),
    ];
    let mut case = waiting(&[&gates[0], &gates[1]]);
    let states = |case: &Case| {
        case.part(1, 0)
            .gates
            .iter()
            .map(|gate| gate.state)
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&case), [GateState::Open, GateState::Queued]);
    // Nobody noticed before an hour had passed. Support's two days began all the same when the
    // seller's were over.
    case.wait(HOURS_48 + SignedDuration::from_hours(1)).settle();
    assert_eq!(states(&case), [GateState::Passed, GateState::Open]);
    assert_eq!(case.order.next_due(), Some(PLACED + HOURS_48 + HOURS_48));
    case.wait_until(PLACED + HOURS_48 + HOURS_48).settle();
    assert_eq!(states(&case), [GateState::Passed, GateState::Passed]);
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
}

#[test]
fn a_refused_gate_closes_those_behind_it() {
    let gates = [
        gate("SELLER_CONSENT", "REFUSE", "BAR"),
        gate("WAREHOUSE_STOP", "REFUSE", "BAR"),
    ];
    let mut case = waiting(&[&gates[0], &gates[1]]);
    case.wait(HOURS_48).settle();
    let states: Vec<_> = case
        .part(1, 0)
        .gates
        .iter()
        .map(|gate| gate.state)
        .collect();
    assert_eq!(states, [GateState::Refused, GateState::Closed]);
}

#[test]
fn the_money_of_a_part_goes_back_when_its_last_gate_passes_though_another_part_waits() {
    let cart = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]);
    let mut case = cart.paid_under(gated(
        "PREPARING",
        &[&gate("SELLER_CONSENT", "REFUSE", "BAR")],
    ));
    case.prepare(2).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        case.parts(1),
        [(PartState::Cancelled, ""), (PartState::Waiting, "")]
    );
    assert_eq!(
        (case.refunds(), case.order.refunds[0].cancellation),
        (vec![(1, 100, RefundState::Due)], Some(1))
    );
}

#[test]
fn what_silence_decides_is_told_by_its_rule_and_the_version_that_opened_it() {
    let mut case = waiting(&[&gate("SELLER_CONSENT", "PASS", "BAR")]);
    let first = case.store.policies.version(1).unwrap().clone();
    let second = crate::kit::policy(crate::kit::PLAIN);
    let versions = std::collections::BTreeMap::from([(1, first), (2, second.into())]);
    let activations = vec![(PLACED, 1), (PLACED + MICROSECOND, 2)];
    case.store.policies = belay_domain::policy::Policies::new(versions, activations);
    case.wait(HOURS_48).settle();
    for event_type in [
        EventType::GateClosed,
        EventType::PartEnded,
        EventType::RefundCreated,
    ] {
        let event = case.event(event_type);
        assert_eq!(
            (event.policy_version, event.rule.as_deref()),
            (1, Some("gated")),
            "{event_type}"
        );
    }
}

#[test]
fn a_part_that_ends_late_raises_the_fence_again() {
    let mut case = waiting(&[&gate("SELLER_CONSENT", "PASS", "REFUSE_PART")]);
    let seen = case.shipment(1).fence;
    case.wait(HOURS_48).settle();
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
    // Whoever packed both units must look again.
    assert_eq!(
        case.dispatch_seen(1, seen).unwrap_err().reason(),
        ErrorReason::FenceStale
    );
    assert!(case.dispatch(1).is_ok());
}

#[test]
fn a_policy_is_asked_again_for_the_stage_when_the_last_gate_passes() {
    // At PLANNED the seller is asked; once ready, nothing may be cancelled any more.
    let rules = "
  - {id: gated, when: {stage: PLANNED, path: CANCEL}, allow: {gates: [GATE], refund: FULL}}
  - {id: packing, when: {stage: PREPARING, path: CANCEL}, allow: {gates: [GATE, STOP], refund: FULL}}
  - {id: packed, when: {stage: READY}, deny: {code: SHIPPED, next_actions: [CONTACT_SELLER]}}";
    let rules = rules.replace("GATE", &gate("SELLER_CONSENT", "PASS", "BAR"));
    let policy =
        crate::kit::policy(&rules.replace("STOP", &gate("WAREHOUSE_STOP", "REFUSE", "BAR")));
    let mut case = Cart::of(&[(2, 200)]).paid_under(policy);
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();

    // A stage that asks for more adds its gate behind the open one.
    let mut preparing = case.clone();
    preparing.prepare(1).unwrap();
    let kinds: Vec<_> = preparing
        .part(1, 0)
        .gates
        .iter()
        .map(|gate| gate.spec.kind)
        .collect();
    assert_eq!(kinds, [GateKind::SellerConsent, GateKind::WarehouseStop]);
    assert_eq!(
        preparing.last.log.as_ref().unwrap().evaluations[0].asked[0]
            .rule
            .as_deref(),
        Some("packing")
    );
    preparing.wait(HOURS_48).settle();
    assert_eq!(
        preparing.part(1, 0).open_gate().unwrap().spec.kind,
        GateKind::WarehouseStop
    );

    // A stage that is too late refuses the part at once.
    case.ready(1).unwrap();
    assert_eq!(case.parts(1), [(PartState::Refused, "SHIPPED")]);
    assert_eq!(case.part(1, 0).rule.as_deref(), Some("packed"));
    assert_eq!(case.cancellation(1).state(), CancellationState::Rejected);
}

#[test]
fn a_request_that_came_in_time_is_in_time_when_its_last_gate_passes() {
    let fresh = "
  - {id: fresh, when: {path: CANCEL, age: {clock: PAID, less_than: 24h}}, allow: {gates: [GATE], refund: FULL}}";
    let policy = crate::kit::policy(&fresh.replace("GATE", &gate("SELLER_CONSENT", "PASS", "BAR")));
    let mut case = Cart::of(&[(1, 100)]).paid_under(policy);
    case.cancel(CancellationRequest::all()).unwrap();
    case.wait(HOURS_48).settle();
    assert_eq!(case.parts(1), [(PartState::Cancelled, "")]);
    assert_eq!(case.refunds(), [(1, 100, RefundState::Due)]);
}

#[test]
fn a_lease_that_ends_without_a_result_leaves_the_refund_unknown() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    case.lease(&[1]);
    assert_eq!(case.order.next_due(), Some(case.now + LEASE));
    case.wait(LEASE - MICROSECOND).settle();
    assert_eq!(case.refunds(), [(1, 100, RefundState::Submitted)]);
    case.wait(MICROSECOND).settle();
    assert_eq!(case.refunds(), [(1, 100, RefundState::Unknown)]);
    assert_eq!(
        case.order.next_due(),
        Some(case.order.refunds[0].overdue_at),
        "all that is left to wait for"
    );
}

#[test]
fn deadlines_are_applied_in_their_order_each_at_its_own_instant() {
    // The consent passes at 48 hours, and money that came at 23:59 is leased by then.
    let mut case = waiting(&[&gate("SELLER_CONSENT", "PASS", "BAR")]);
    case.capture("p2", 30);
    case.lease(&[1]);
    case.wait(HOURS_48 + HOURS_48).settle();
    let mut causes: Vec<_> = case
        .last
        .events
        .iter()
        .map(|event| (event.cause, event.time))
        .collect();
    causes.dedup();
    // What came back at 48 hours is overdue a day later.
    let hours = SignedDuration::from_hours;
    let deadlines = [LEASE, hours(24), HOURS_48, HOURS_48 + hours(24)].map(|after| PLACED + after);
    assert_eq!(
        causes,
        deadlines.map(|deadline| (Cause::Deadline(deadline), deadline))
    );
}
