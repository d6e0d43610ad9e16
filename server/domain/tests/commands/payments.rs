//! What a payment fact does: to the payment, to the order, and to money that nobody owes.

use RefundState::{Blocked, Due, Failed, Settled};
use belay_domain::actor::Role;
use belay_domain::commands::RefundResult;
use belay_domain::commands::{Command, RecordPayment};
use belay_domain::event::EventType;
use belay_domain::ids::ExternalId;
use belay_domain::incident::IncidentKind;
use belay_domain::order::OrderState;
use belay_domain::payment::{PaymentFact, PaymentState};
use belay_domain::refund::{RefundKind, RefundState};
use belay_domain::shipment::{Stage, TrackingFact};
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, EXPIRE_AFTER, GRACE, MICROSECOND, PLACED, PLAIN, amounts, eur,
    gate, gated, policy, policy_with, settled,
};

/// One unit of 100.
fn hundred() -> Case {
    Cart::of(&[(1, 100)]).place()
}

/// Rows are facts, columns the states before: the first two letters of the state after.
#[test]
fn every_state_takes_every_fact_as_the_table_says() {
    let table = [
        // ATTEMPTING AUTHORIZED CAPTURED DECLINED VOIDED
        (PaymentFact::Attempted, "AT AU CA AT AT"),
        (PaymentFact::Authorized, "AU AU CA AU AU"),
        (PaymentFact::Captured, "CA CA CA CA CA"),
        (PaymentFact::Declined, "DE DE CA DE VO"),
        (PaymentFact::Voided, "VO VO CA VO VO"),
        (PaymentFact::RefundedOutside, "AT AU CA DE VO"),
        (PaymentFact::Chargeback, "AT AU CA DE VO"),
        (PaymentFact::ChargebackReversed, "AT AU CA DE VO"),
    ];
    let before = [
        PaymentFact::Attempted,
        PaymentFact::Authorized,
        PaymentFact::Captured,
        PaymentFact::Declined,
        PaymentFact::Voided,
    ];
    assert_eq!(table.map(|(fact, _)| fact).as_slice(), PaymentFact::ALL);
    for (fact, row) in table {
        for ((first, state), cell) in before.iter().zip(PaymentState::ALL).zip(row.split(' ')) {
            let mut case = hundred();
            case.fact("p1", *first, 10).unwrap();
            assert_eq!(case.order.payments[0].balance.state, *state);
            case.fact("p1", fact, 10).unwrap();
            let after = case.order.payments[0].balance.state;
            assert!(
                after.name().starts_with(cell),
                "{state} × {fact}: {after}, the table says {cell}"
            );
        }
    }
}

#[test]
fn a_fact_counts_once_however_often_it_is_reported() {
    let mut case = hundred();
    let command = |event: &str| {
        Command::RecordPayment(RecordPayment {
            provider_payment_id: ExternalId::parse("p1").unwrap(),
            provider_event_id: ExternalId::parse(event).unwrap(),
            fact: PaymentFact::Captured,
            amount: Some(eur(40)),
            movement: None,
            refund: None,
            method: Some("CREDIT_CARD".to_owned()),
            occurred_time: None,
        })
    };
    for (event, captured, version) in [("a", 40, 2), ("a", 40, 2), ("b", 80, 3), ("a", 80, 3)] {
        case.run(Role::Payments, None, command(event)).unwrap();
        assert_eq!(
            (case.order.payments[0].balance.captured, case.order.version),
            (captured, version)
        );
    }
}

#[test]
fn an_order_is_paid_once_what_is_due_is_authorised_or_captured() {
    type Facts = &'static [(&'static str, PaymentFact, i64)];
    use PaymentFact::{Attempted, Authorized, Captured, Declined, Voided};
    let table: &[(Facts, bool)] = &[
        (&[("p1", Attempted, 100)], false),
        (&[("p1", Authorized, 99)], false),
        (&[("p1", Authorized, 100)], true),
        (&[("p1", Captured, 100)], true),
        (&[("p1", Authorized, 60), ("p2", Captured, 40)], true),
        (&[("p1", Authorized, 60), ("p1", Captured, 60)], false),
        (
            &[
                ("p1", Authorized, 60),
                ("p1", Declined, 0),
                ("p1", Authorized, 60),
            ],
            false,
        ),
        (
            &[
                ("p1", Authorized, 60),
                ("p1", Voided, 0),
                ("p1", Authorized, 60),
            ],
            false,
        ),
        (
            &[
                ("p1", Authorized, 60),
                ("p1", Voided, 0),
                ("p1", Attempted, 0),
                ("p1", Authorized, 60),
            ],
            false,
        ),
        (
            &[
                ("p1", Authorized, 60),
                ("p1", Declined, 0),
                ("p1", Authorized, 100),
            ],
            true,
        ),
        (
            &[
                ("p1", Captured, 60),
                ("p1", Voided, 0),
                ("p1", Captured, 40),
            ],
            true,
        ),
    ];
    for (facts, is_paid) in table {
        let mut case = hundred();
        for (payment, fact, amount) in *facts {
            case.fact(payment, *fact, *amount).unwrap();
        }
        let stage = if *is_paid {
            Stage::Planned
        } else {
            Stage::Unreleased
        };
        assert_eq!(
            (case.order.paid_time.is_some(), case.stage(1)),
            (*is_paid, stage),
            "{facts:?}"
        );
    }
}

#[test]
fn a_payment_releases_the_shipments_in_the_same_breath() {
    let mut case = hundred();
    case.capture("p1", 100);
    let expected = [
        EventType::PaymentRecorded,
        EventType::OrderPaid,
        EventType::ShipmentStageChanged,
    ];
    assert_eq!(case.events(), expected);
}

#[test]
fn a_paid_order_is_released_only_when_no_part_waits() {
    let mut case = Cart::of(&[(2, 100)]).place_under(gated(
        "UNRELEASED",
        &[&gate("SELLER_CONSENT", "REFUSE", "BAR")],
    ));
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case.wait(SignedDuration::from_hours(1)).capture("p1", 100);
    assert_eq!(
        (case.stage(1), case.order.paid_time),
        (Stage::Unreleased, Some(case.now))
    );
    case.wait_until(PLACED + SignedDuration::from_hours(48))
        .settle();
    assert_eq!(case.stage(1), Stage::Planned);
}

#[test]
fn what_is_received_before_pay_by_is_in_time_and_at_pay_by_it_is_late() {
    let table = [
        (EXPIRE_AFTER - MICROSECOND, OrderState::ToShip, vec![]),
        (EXPIRE_AFTER, OrderState::ClosedUnpaid, vec![(1, 100, Due)]),
    ];
    for (after, state, refunds) in table {
        let mut case = hundred();
        case.wait(after).capture("p1", 100);
        assert_eq!(
            (case.state(), case.refunds()),
            (state, refunds),
            "after {after:?}"
        );
    }
}

#[test]
fn late_money_goes_back_whole_and_the_order_stays_closed() {
    let mut case = hundred();
    case.wait(EXPIRE_AFTER).settle();
    let closing = case
        .order
        .closing_cancellation()
        .map(|closing| closing.number);
    for payment in ["p1", "p2"] {
        case.capture(payment, 100);
    }
    assert_eq!(
        (case.state(), case.stage(1)),
        (OrderState::ClosedUnpaid, Stage::Cancelled)
    );
    assert_eq!(case.refunds(), [(1, 100, Due), (2, 100, Due)]);
    // Both came too late, and the closing names them.
    for refund in &case.order.refunds {
        assert_eq!(
            (refund.amounts, refund.cancellation),
            (amounts(0, 0, 0, 100), Some(1))
        );
    }
    assert_eq!((closing, case.order.cancellations.len()), (Some(1), 1));
}

#[test]
fn a_closed_unpaid_order_keeps_nothing_whatever_the_policy_keeps_of_paid_ones() {
    let keeps_all = PLAIN.replace("{refund: FULL}", "{refund: NONE}");
    let never = ("WHEN_SHIPMENT_WHOLLY_CANCELLED", "NEVER");
    for policy in [
        policy_with(PLAIN, &[never]),
        policy_with(&keeps_all, &[never]),
        policy(&keeps_all),
    ] {
        let cart = Cart::of(&[(2, 200), (1, 50)])
            .split(&[&[(1, 2)], &[(2, 1)]])
            .shipping(30, 6);
        let mut case = cart.place_under(policy);
        case.capture("p1", 10);
        case.cancel(CancellationRequest::shipment(2)).unwrap();
        case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
        case.wait(EXPIRE_AFTER).settle();
        case.capture("p2", 286);
        assert_eq!(case.state(), OrderState::ClosedUnpaid);
        assert_eq!(case.refunds(), [(1, 10, Due), (2, 286, Due)]);
        let back: belay_domain::money::Amounts =
            case.order.refunds.iter().map(|refund| refund.amounts).sum();
        // What was there when the order closed goes back for goods; what came afterwards came too
        // late.
        assert_eq!(back, amounts(10, 0, 0, 286));
    }
}

#[test]
fn what_is_paid_above_the_price_goes_back_as_excess() {
    let mut case = hundred();
    case.capture("p1", 130);
    assert_eq!(
        (case.state(), case.refunds()),
        (OrderState::ToShip, vec![(1, 30, Due)])
    );
    assert_eq!(case.order.refunds[0].amounts, amounts(0, 0, 0, 30));
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(case.order.refunds[1].amounts, amounts(100, 0, 0, 0));
}

#[test]
fn a_capture_after_a_partial_cancellation_gives_the_difference_back() {
    let mut case = Cart::of(&[(4, 400)]).place();
    case.authorize("p1", 400);
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    assert_eq!(
        case.refunds(),
        [],
        "nothing was captured, and the rest is still due"
    );
    assert_eq!(
        case.promise(1).refund.total(),
        0,
        "nothing was captured, so nothing goes back"
    );
    case.capture("p1", 400);
    // More was captured than was due by then, because of that cancellation: each names the other.
    assert_eq!(
        (
            case.order.refunds[0].amounts,
            case.order.refunds[0].cancellation
        ),
        (amounts(0, 0, 0, 100), Some(1))
    );
    assert_eq!(case.promise(1).refund, amounts(0, 0, 0, 100));
}

#[test]
fn an_unpaid_order_may_become_paid_by_cancelling_a_part_of_it() {
    let mut case = Cart::of(&[(2, 200)]).place();
    case.capture("p1", 150);
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    assert_eq!(
        (case.state(), case.stage(1), case.refunds()),
        (OrderState::ToShip, Stage::Planned, vec![(1, 50, Due)])
    );
}

#[test]
fn refunds_fill_payments_in_the_order_of_capture() {
    let mut case = Cart::of(&[(3, 300)]).place();
    case.fact("p1", PaymentFact::Attempted, 0).unwrap();
    case.capture("p2", 120).wait(MICROSECOND).capture("p1", 180);
    case.cancel(CancellationRequest::lines(&[(1, 2)])).unwrap();
    assert_eq!(case.refunds(), [(2, 120, Due), (1, 80, Due)]);
}

#[test]
fn an_attempt_in_time_moves_pay_by_once() {
    let mut case = hundred();
    case.wait(EXPIRE_AFTER - MICROSECOND)
        .fact("p1", PaymentFact::Attempted, 0)
        .unwrap();
    assert_eq!(case.order.pay_by, PLACED + EXPIRE_AFTER + GRACE);
    case.wait(MICROSECOND)
        .fact("p1", PaymentFact::Attempted, 0)
        .unwrap();
    case.fact("p2", PaymentFact::Attempted, 0).unwrap();
    assert_eq!(
        (case.order.pay_by, case.state()),
        (PLACED + EXPIRE_AFTER + GRACE, OrderState::AwaitingPayment)
    );
    case.wait(GRACE - MICROSECOND).capture("p1", 100);
    assert_eq!(case.state(), OrderState::ToShip);
}

#[test]
fn an_attempt_at_pay_by_is_too_late() {
    let mut case = hundred();
    case.wait(EXPIRE_AFTER)
        .fact("p1", PaymentFact::Attempted, 0)
        .unwrap();
    assert_eq!(
        (case.state(), case.order.pay_by),
        (OrderState::ClosedUnpaid, PLACED + EXPIRE_AFTER)
    );
}

#[test]
fn the_grace_ends_as_sharply_as_the_time_to_pay() {
    for (after, state) in [
        (GRACE - MICROSECOND, OrderState::ToShip),
        (GRACE, OrderState::ClosedUnpaid),
    ] {
        let mut case = hundred();
        case.fact("p1", PaymentFact::Attempted, 0).unwrap();
        case.wait(EXPIRE_AFTER + after).capture("p1", 100);
        assert_eq!(case.state(), state, "{after:?} into the grace");
    }
}

#[test]
fn a_decline_closes_the_order_at_once_only_in_the_grace_and_with_nothing_in_flight() {
    let table = [
        (
            EXPIRE_AFTER - MICROSECOND,
            "p1",
            OrderState::AwaitingPayment,
        ),
        (EXPIRE_AFTER, "p1", OrderState::ClosedUnpaid),
        (
            EXPIRE_AFTER + GRACE - MICROSECOND,
            "p1",
            OrderState::ClosedUnpaid,
        ),
        (EXPIRE_AFTER, "another", OrderState::AwaitingPayment),
    ];
    for (after, declined, state) in table {
        let mut case = hundred();
        case.fact("p1", PaymentFact::Attempted, 0).unwrap();
        case.wait(after)
            .fact(declined, PaymentFact::Declined, 0)
            .unwrap();
        assert_eq!(case.state(), state, "{declined} declined after {after:?}");
    }
}

#[test]
fn a_decline_in_the_grace_returns_what_was_captured_before() {
    let mut case = hundred();
    case.capture("p1", 40)
        .fact("p2", PaymentFact::Attempted, 0)
        .unwrap();
    case.wait(EXPIRE_AFTER)
        .fact("p2", PaymentFact::Declined, 0)
        .unwrap();
    assert_eq!(
        (case.state(), case.refunds()),
        (OrderState::ClosedUnpaid, vec![(1, 40, Due)])
    );
    assert_eq!(
        case.event(EventType::OrderClosedUnpaid).actor.role,
        Role::System
    );
    assert_eq!(
        case.event(EventType::PaymentRecorded).actor.role,
        Role::Payments
    );
}

#[test]
fn an_authorisation_that_nothing_is_due_for_is_released_whole() {
    let mut case = Cart::of(&[(1, 100)]).shipping(10, 2).place();
    case.authorize("p1", 120);
    case.cancel(CancellationRequest::all()).unwrap();
    let void = &case.order.refunds[0];
    assert_eq!(
        (void.kind, void.state, void.amounts),
        (RefundKind::Void, Due, amounts(100, 2, 10, 8))
    );
    case.lease(&[1]);
    case.result(1, settled(120)).unwrap();
    assert_eq!(case.order.payments[0].balance.state, PaymentState::Voided);
    assert_eq!(case.incidents(), []);
}

#[test]
fn what_is_released_on_several_authorisations_adds_up_to_what_was_cancelled() {
    let mut case = hundred();
    case.authorize("p1", 60).authorize("p2", 60);
    case.cancel(CancellationRequest::all()).unwrap();
    case.authorize("p3", 60);
    let voids: Vec<_> = case
        .order
        .refunds
        .iter()
        .map(|refund| (refund.payment, refund.amounts))
        .collect();
    assert_eq!(
        voids,
        [
            (1, amounts(60, 0, 0, 0)),
            (2, amounts(40, 0, 0, 20)),
            (3, amounts(0, 0, 0, 60))
        ]
    );
}

#[test]
fn a_capture_and_an_authorisation_together_give_back_what_was_cancelled() {
    let mut case = hundred();
    case.capture("p1", 30).authorize("p2", 70);
    case.cancel(CancellationRequest::all()).unwrap();
    let rows: Vec<_> = case
        .order
        .refunds
        .iter()
        .map(|refund| (refund.kind, refund.amounts))
        .collect();
    assert_eq!(
        rows,
        [
            (RefundKind::Refund, amounts(30, 0, 0, 0)),
            (RefundKind::Void, amounts(70, 0, 0, 0))
        ]
    );
}

#[test]
fn money_captured_in_spite_of_a_void_goes_back() {
    let mut case = hundred();
    case.authorize("p1", 100);
    case.cancel(CancellationRequest::all()).unwrap();
    case.capture("p1", 100);
    let refund = &case.order.refunds[1];
    assert_eq!(
        (refund.kind, refund.amounts),
        (RefundKind::Refund, amounts(0, 0, 0, 100))
    );
    assert_eq!(
        case.order.refunds[0].state,
        RefundState::Cancelled,
        "there is nothing to release any more"
    );
}

#[test]
fn an_authorisation_after_a_settled_void_is_released_again_under_a_key_of_its_own() {
    let mut case = hundred();
    case.authorize("p1", 100);
    case.cancel(CancellationRequest::all()).unwrap();
    case.authorize("p1", 100);
    let rows = [(1, 100, RefundState::Cancelled), (1, 200, Due)];
    assert_eq!(
        case.refunds(),
        rows,
        "the first void was not sent yet: one for all takes its place"
    );
    case.lease(&[2]);
    case.result(2, settled(200)).unwrap();
    case.authorize("p1", 100);
    assert_eq!(case.refunds()[2], (1, 100, Due));
}

#[test]
fn what_went_back_outside_does_not_go_back_again() {
    for fact in [PaymentFact::RefundedOutside, PaymentFact::Chargeback] {
        let mut case = Cart::of(&[(2, 200)]).paid();
        case.fact("p1", fact, 80).unwrap();
        case.cancel(CancellationRequest::all()).unwrap();
        assert_eq!(case.refunds(), [(1, 120, Due)], "{fact}");
    }
}

#[test]
fn a_refund_that_was_not_sent_yet_waits_for_support_once_the_money_went_back_outside() {
    let table = [
        (1, [Due, Blocked]),
        (100, [Due, Blocked]),
        (101, [Blocked, Blocked]),
        (200, [Blocked, Blocked]),
    ];
    for (outside, states) in table {
        let mut case = Cart::of(&[(3, 300)]).paid();
        case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
        case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
        // A third unit is still sold: its price is due, and what went back outside is taken off
        // what is to go back.
        case.fact("p1", PaymentFact::RefundedOutside, outside)
            .unwrap();
        assert_eq!(
            case.order
                .refunds
                .iter()
                .map(|refund| refund.state)
                .collect::<Vec<_>>(),
            states,
            "{outside}"
        );
        let blocked = states.iter().filter(|state| **state == Blocked).count();
        let held_back = case
            .incidents()
            .into_iter()
            .filter(|kind| *kind == IncidentKind::RefundMismatch);
        assert_eq!(held_back.count(), blocked);
    }
}

#[test]
fn a_refund_that_waits_for_support_keeps_no_other_waiting() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::lines(&[(1, 1)]))
        .cancelled(CancellationRequest::lines(&[(1, 1)]));
    for outside in [1, 99] {
        case.fact("p1", PaymentFact::RefundedOutside, outside)
            .unwrap();
        assert_eq!(
            case.refunds(),
            [(1, 100, Due), (1, 100, Blocked)],
            "100 are left for the first"
        );
    }
}

#[test]
fn a_failed_refund_that_was_paid_by_hand_does_not_keep_later_money() {
    let mut case = hundred();
    case.capture("p1", 100);
    case.cancel(CancellationRequest::all()).unwrap();
    case.lease(&[1]);
    case.result(
        1,
        RefundResult::Failed {
            code: "ACCOUNT_CLOSED".to_owned(),
        },
    )
    .unwrap();
    case.fact("p1", PaymentFact::RefundedOutside, 100).unwrap();
    case.capture("p2", 50);
    assert_eq!(case.refunds(), [(1, 100, Failed), (2, 50, Due)]);
}

#[test]
fn a_settled_refund_stays_and_a_chargeback_on_top_of_it_is_for_support() {
    let mut case = hundred();
    case.capture("p1", 100);
    case.cancel(CancellationRequest::all()).unwrap();
    case.lease(&[1]);
    case.result(1, settled(100)).unwrap();
    case.fact("p1", PaymentFact::Chargeback, 100).unwrap();
    assert_eq!(
        (case.refunds(), case.incidents()),
        (vec![(1, 100, Settled)], vec![IncidentKind::OverRefunded])
    );
}

#[test]
fn late_money_for_an_order_that_was_shipped_unpaid_waits_for_support() {
    let mut case = hundred();
    case.scan(1, TrackingFact::PickedUp).unwrap();
    case.wait(EXPIRE_AFTER).settle();
    assert_eq!(
        (case.state(), case.incidents()),
        (
            OrderState::ClosedUnpaid,
            vec![IncidentKind::CancelledYetShipped]
        )
    );
    case.capture("p1", 100);
    assert_eq!(
        (case.stage(1), case.refunds()),
        (Stage::InTransit, vec![(1, 100, Blocked)])
    );
}

#[test]
fn an_order_that_was_shipped_unpaid_and_is_back_closes_like_any_other() {
    let mut case = hundred();
    case.bring_to(1, Stage::Returned)
        .wait(EXPIRE_AFTER)
        .capture("p1", 100);
    assert_eq!(
        (case.incidents(), case.refunds()),
        (vec![], vec![(1, 100, Due)])
    );
}

#[test]
fn what_comes_after_a_closing_is_not_told_by_the_rule_of_the_closing() {
    let mut case = hundred();
    case.wait(EXPIRE_AFTER).capture("p1", 100);
    assert_eq!(
        case.event(EventType::OrderClosedUnpaid).rule.as_deref(),
        Some("unpaid")
    );
    assert_eq!(case.event(EventType::PaymentRecorded).rule, None);
    assert_eq!(case.event(EventType::RefundCreated).rule, None);
}
