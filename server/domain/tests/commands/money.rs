//! What came of public reports about money, each with its neighbours: what is promised, paid, held
//! and told.

use belay_domain::actor::Role;
use belay_domain::commands::{RefundResult, preview};
use belay_domain::event::EventType;
use belay_domain::ids::ExternalId;
use belay_domain::incident::IncidentKind::{
    CaptureMismatch, GoodsUnpaid, OverRefunded, PaymentLapsed, RefundFailed, RefundMismatch,
};
use belay_domain::incident::Resolution::{Accept, DropRefund, RefundAnyway};
use belay_domain::money::{Currency, Money};
use belay_domain::order::OrderState;
use belay_domain::payment::PaymentFact::{
    Attempted, Authorized, Captured, Chargeback, ChargebackReversed, Declined, RefundedOutside,
    Voided,
};
use belay_domain::payment::{PaymentFact, PaymentState};
use belay_domain::refund::RefundKind::{Refund, Void};
use belay_domain::refund::RefundState::{self, Blocked, Cancelled, Due, Failed, Settled};
use belay_domain::rejection::Rejection;
use belay_domain::shipment::{Stage, TrackingFact};
use belay_domain::terms::Path;
use jiff::SignedDuration;

use crate::acts::outside;
use crate::invariants;
use crate::kit::{
    CancellationRequest, Cart, Case, EXPIRE_AFTER, PLACED, PLAIN, amounts, gate, policy_with,
    settled,
};
use crate::quotes::quoted;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// One unit of 50.
fn fifty() -> Case {
    Cart::of(&[(1, 50)]).place()
}

/// Two lines, of 60 and of 40, in one shipment.
fn sixty_and_forty() -> Case {
    Cart::of(&[(1, 60), (1, 40)]).place()
}

/// Rows as (kind, payment, amount, state).
fn rows(case: &Case) -> Vec<(belay_domain::refund::RefundKind, u32, i64, RefundState)> {
    let row = |refund: &belay_domain::refund::Refund| {
        (
            refund.kind,
            refund.payment,
            refund.amounts.total(),
            refund.state,
        )
    };
    case.order.refunds.iter().map(row).collect()
}

fn id(text: &str) -> Option<ExternalId> {
    Some(ExternalId::parse(text).unwrap())
}

/// What may still be sent.
fn to_send(case: &Case) -> i64 {
    let due = case
        .order
        .refunds
        .iter()
        .filter(|refund| refund.state == Due && refund.kind == Refund);
    due.map(|refund| refund.amounts.total()).sum()
}

fn promised(case: &Case, cancel_request: &CancellationRequest) -> (i64, i64) {
    let previewed = preview(&case.order, &cancel_request.request, &case.context()).unwrap();
    (previewed.refund.total(), previewed.release)
}

// Paid is not for ever.

#[test]
fn what_takes_back_a_payment_takes_back_the_release_at_whatever_stage() {
    for fact in [Voided, Declined] {
        for stage in [Stage::Planned, Stage::Preparing, Stage::Ready] {
            let mut case = fifty();
            case.authorize("p1", 50).wait(HOUR).bring_to(1, stage);
            let fence = case.shipment(1).fence;
            case.fact("p1", fact, 0).unwrap();
            assert_eq!(
                (case.state(), case.stage(1)),
                (OrderState::AwaitingPayment, Stage::Unreleased),
                "{fact} {stage}"
            );
            assert_eq!(
                (case.order.paid_time, case.order.lapse_time),
                (None, Some(case.now))
            );
            assert_eq!(
                case.order.pay_by,
                case.now + EXPIRE_AFTER,
                "there is as much time to pay as at first"
            );
            assert!(
                case.shipment(1).fence > fence,
                "who has seen it released must look again"
            );
            assert_eq!(
                case.dispatch(1),
                Err(Rejection::PaymentLapsed {
                    pay_by: case.order.pay_by
                })
            );
            assert_eq!(case.incidents(), [PaymentLapsed]);
        }
    }
}

#[test]
fn a_lapse_is_told_and_ends_where_the_order_is_paid_again() {
    let mut case = fifty();
    case.authorize("p1", 50).fact("p1", Voided, 0).unwrap();
    let expected = [
        EventType::PaymentRecorded,
        EventType::PaymentLapsed,
        EventType::ShipmentStageChanged,
        EventType::IncidentOpened,
    ];
    assert_eq!(case.events(), expected);
    case.wait(HOUR).authorize("p2", 50);
    assert_eq!(
        (case.state(), case.stage(1), case.order.lapse_time),
        (OrderState::ToShip, Stage::Planned, None)
    );
    assert_eq!(
        (case.order.paid_time, case.incidents()),
        (Some(case.now), vec![])
    );
    case.dispatch(1).unwrap();
}

#[test]
fn a_lapse_that_is_not_paid_again_closes_the_order_as_an_unpaid_one() {
    let policy = policy_with(
        PLAIN,
        &[(
            "in_flight_grace: 15m",
            "in_flight_grace: 15m, pay_again_within: 2h",
        )],
    );
    let mut case = Cart::of(&[(1, 50)]).place_under(policy);
    case.authorize("p1", 50)
        .wait(EXPIRE_AFTER * 3)
        .fact("p1", Voided, 0)
        .unwrap();
    assert_eq!(case.order.pay_by, case.now + HOUR * 2);
    case.wait(HOUR * 2).settle();
    assert_eq!(
        (case.state(), case.stage(1)),
        (OrderState::ClosedUnpaid, Stage::Cancelled)
    );
    assert_eq!(
        (case.incidents(), case.promise(1).refund.total()),
        (vec![], 0)
    );
}

/// Support had decided about what was cancelled of the same shipment before.
#[test]
fn what_left_before_the_lapse_is_for_support_however_often_its_shipment_was() {
    for resolution in [RefundAnyway, DropRefund] {
        let cart = Cart::of(&[(2, 100)]);
        let mut case = cart.place_under(outside(&[&gate("CARRIER_INTERCEPT", "REFUSE", "BAR")]));
        case.capture("p1", 20).authorize("p2", 80);
        case.wait(HOUR).dispatch(1).unwrap();
        case.cancel(CancellationRequest::lines(&[(1, 1)]).paths(&[Path::Intercept]))
            .unwrap();
        case.confirm_intercept(1).unwrap();
        case.scan(1, TrackingFact::Delivered).unwrap();
        case.resolve(1, resolution).unwrap();
        case.wait(HOUR)
            .told(Voided, 0, |command| {
                command.provider_payment_id = ExternalId::parse("p2").unwrap();
            })
            .unwrap();
        case.wait(EXPIRE_AFTER).settle();
        invariants::check(&case.order, case.now);
        assert_eq!(case.state(), OrderState::ClosedUnpaid);
        assert_eq!(
            case.incidents(),
            [belay_domain::incident::IncidentKind::CancelledYetShipped]
        );
        assert_eq!(rows(&case), [(Refund, 1, 20, Blocked)], "{resolution:?}");
    }
}

#[test]
fn what_left_before_the_lapse_is_for_support_when_the_order_closes() {
    let mut case = fifty();
    case.authorize("p1", 50)
        .bring_to(1, Stage::Delivered)
        .fact("p1", Declined, 0)
        .unwrap();
    assert_eq!(
        (case.state(), case.incidents()),
        (OrderState::AwaitingPayment, vec![PaymentLapsed])
    );
    case.wait(EXPIRE_AFTER).settle();
    assert_eq!(case.state(), OrderState::ClosedUnpaid);
    assert_eq!(
        case.incidents(),
        [belay_domain::incident::IncidentKind::CancelledYetShipped]
    );
}

#[test]
fn a_lapse_of_one_of_two_payments_is_a_lapse_only_where_the_other_does_not_do() {
    for (second, state) in [(20, OrderState::AwaitingPayment), (50, OrderState::ToShip)] {
        let mut case = fifty();
        case.authorize("p1", 50)
            .authorize("p2", second)
            .fact("p1", Voided, 0)
            .unwrap();
        assert_eq!(case.state(), state, "{second} by the other");
    }
}

#[test]
fn captured_money_outlives_the_lapse_of_the_rest() {
    let mut case = sixty_and_forty();
    case.authorize("p1", 100)
        .capture("p1", 60)
        .fact("p1", Voided, 0)
        .unwrap();
    assert_eq!(
        (case.state(), case.order.payments[0].balance.captured),
        (OrderState::AwaitingPayment, 60)
    );
    case.cancel(CancellationRequest::lines(&[(2, 1)])).unwrap();
    assert_eq!(
        (case.state(), rows(&case)),
        (OrderState::ToShip, vec![]),
        "60 are captured and 60 are due"
    );
}

#[test]
fn a_partial_capture_that_overtakes_its_authorisation_leaves_the_order_paid() {
    for facts in [
        [(Captured, 60), (Authorized, 100)],
        [(Authorized, 100), (Captured, 60)],
    ] {
        let mut case = sixty_and_forty();
        for (fact, amount) in facts {
            case.fact("p1", fact, amount).unwrap();
        }
        let balance = &case.order.payments[0].balance;
        assert_eq!(
            (case.state(), balance.captured, balance.held),
            (OrderState::ToShip, 60, 40)
        );
    }
}

/// Messages in any order come to the same end.
#[test]
fn facts_count_in_the_order_in_which_they_happened() {
    let told: [(PaymentFact, i64, i64); 4] = [
        (Declined, 0, 1),
        (Authorized, 50, 2),
        (Captured, 30, 3),
        (Voided, 0, 4),
    ];
    let mut ends = Vec::new();
    for order in permutations(&[0, 1, 2, 3]) {
        let mut case = fifty();
        case.wait(HOUR * 9);
        for index in order {
            let (fact, amount, hour) = told[index];
            case.told(fact, amount, |command| {
                command.occurred_time = Some(PLACED + HOUR * i32::try_from(hour).unwrap())
            })
            .unwrap();
        }
        let balance = case.order.payments[0].balance.clone();
        assert_eq!(
            (balance.state, balance.captured, balance.held),
            (PaymentState::Captured, 30, 0)
        );
        ends.push((balance, case.state()));
    }
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]));
}

fn permutations(items: &[usize]) -> Vec<Vec<usize>> {
    match items {
        [] => vec![Vec::new()],
        _ => items
            .iter()
            .flat_map(|first| {
                let rest: Vec<usize> = items.iter().copied().filter(|item| item != first).collect();
                permutations(&rest)
                    .into_iter()
                    .map(|rest| [vec![*first], rest].concat())
                    .collect::<Vec<_>>()
            })
            .collect(),
    }
}

#[test]
fn an_older_failure_does_not_lose_a_newer_authorisation() {
    for older in [Declined, Voided, Attempted] {
        let mut case = fifty();
        case.wait(HOUR);
        let at = |minutes: i64| Some(PLACED + SignedDuration::from_mins(minutes));
        case.told(Authorized, 50, |command| command.occurred_time = at(30))
            .unwrap();
        case.told(older, 0, |command| command.occurred_time = at(10))
            .unwrap();
        assert_eq!(
            (case.state(), case.order.payments[0].balance.held),
            (OrderState::ToShip, 50),
            "{older}"
        );
        case.cancel(CancellationRequest::all()).unwrap();
        assert_eq!(rows(&case), [(Void, 1, 50, Due)]);
    }
}

#[test]
fn a_message_from_the_future_counts_as_of_now() {
    let mut case = fifty();
    case.told(Authorized, 50, |command| {
        command.occurred_time = Some(PLACED + HOUR * 90)
    })
    .unwrap();
    case.wait(HOUR).fact("p1", Voided, 0).unwrap();
    assert_eq!(case.state(), OrderState::AwaitingPayment);
}

#[test]
fn authorisations_add_up_whatever_became_of_them() {
    let mut case = fifty();
    case.authorize("p1", 50).fact("p1", Voided, 0).unwrap();
    case.fact("p1", Attempted, 0).unwrap();
    let balance = &case.order.payments[0].balance;
    assert_eq!(
        (balance.state, balance.authorized, balance.held),
        (PaymentState::Attempting, 50, 0)
    );
}

// Money that came twice, and what went back without us.

#[test]
fn what_is_paid_twice_goes_back_on_the_second_payment() {
    let mut case = fifty();
    case.capture("p1", 50).wait(HOUR).capture("p2", 50);
    assert_eq!(rows(&case), [(Refund, 2, 50, Due)]);
}

#[test]
fn what_went_back_outside_on_any_payment_is_not_sent_again() {
    for fact in [RefundedOutside, Chargeback] {
        for payment in ["p1", "p2"] {
            let mut case = fifty();
            case.capture("p1", 50)
                .capture("p2", 50)
                .fact(payment, fact, 50)
                .unwrap();
            assert_eq!(
                (case.state(), to_send(&case)),
                (OrderState::ToShip, 0),
                "{fact} of {payment}"
            );
            assert_eq!(
                (rows(&case), case.incidents()),
                (vec![(Refund, 2, 50, Cancelled)], vec![])
            );
        }
    }
}

#[test]
fn what_went_back_outside_in_part_leaves_the_rest_to_be_sent() {
    let mut case = fifty();
    case.capture("p1", 50)
        .capture("p2", 50)
        .fact("p2", RefundedOutside, 30)
        .unwrap();
    assert_eq!(
        rows(&case),
        [(Refund, 2, 50, Cancelled), (Refund, 2, 20, Due)]
    );
}

#[test]
fn somebody_is_told_before_goods_leave_that_nothing_pays_for() {
    let mut case = fifty();
    case.capture("p1", 50).capture("p2", 50).lease(&[1]);
    case.result(1, settled(50)).unwrap();
    case.fact("p1", RefundedOutside, 50).unwrap();
    assert_eq!(
        (case.state(), case.incidents()),
        (OrderState::ToShip, vec![GoodsUnpaid])
    );
    // Money that comes puts it right.
    case.authorize("p3", 50);
    assert_eq!(case.incidents(), []);
    assert_eq!(
        rows(&case),
        [(Refund, 2, 50, Settled)],
        "the authorisation is needed"
    );
}

#[test]
fn goods_that_have_left_are_not_about_to_leave() {
    let mut case = fifty();
    case.capture("p1", 50)
        .bring_to(1, Stage::InTransit)
        .fact("p1", RefundedOutside, 5)
        .unwrap();
    assert_eq!(case.incidents(), []);
}

#[test]
fn what_support_has_accepted_is_not_asked_again() {
    let mut case = fifty();
    case.capture("p1", 50)
        .fact("p1", RefundedOutside, 5)
        .unwrap();
    assert_eq!(case.incidents(), [GoodsUnpaid]);
    case.resolve(1, Accept).unwrap();
    case.fact("p1", Attempted, 0).unwrap();
    assert_eq!(case.incidents(), []);
}

#[test]
fn somebody_is_told_where_more_went_back_than_came() {
    // Refunded, and then disputed; and the other way round.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, settled(50)).unwrap();
    case.fact("p1", Chargeback, 50).unwrap();
    assert_eq!(case.incidents(), [OverRefunded]);

    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.fact("p1", Chargeback, 50).unwrap();
    assert_eq!(
        case.incidents(),
        [],
        "the worker may yet say that it failed"
    );
    case.result(1, settled(50)).unwrap();
    assert_eq!(case.incidents(), [OverRefunded]);
}

// What the provider really paid.

#[test]
fn what_was_paid_short_is_due_under_a_key_of_its_own() {
    let mut case = Cart::of(&[(1, 1000)])
        .discount_and_tax(0, 210)
        .shipping(500, 105)
        .paid();
    case.cancelled(CancellationRequest::all()).lease(&[1]);
    case.result(1, settled(1210)).unwrap();
    assert_eq!(
        rows(&case),
        [(Refund, 1, 1815, Settled), (Refund, 1, 605, Due)]
    );
    assert_eq!(
        case.order.refunds[1].amounts,
        amounts(0, 105, 500, 0),
        "goods and their tax are paid"
    );
    assert_eq!(case.order.refunds[1].cancellation, Some(1));
    assert_eq!(
        (
            case.order.gone_back(&case.order.payments[0]),
            case.incidents()
        ),
        (1210, vec![RefundMismatch])
    );
    case.lease(&[2]);
    case.result(2, settled(605)).unwrap();
    assert_eq!(case.order.gone_back(&case.order.payments[0]), 1815);
}

#[test]
fn what_was_paid_above_is_taken_off_what_goes_back_later() {
    let mut case = Cart::of(&[(1, 1000), (1, 800)]).paid();
    case.cancelled(CancellationRequest::lines(&[(1, 1)]))
        .lease(&[1]);
    case.result(1, settled(1200)).unwrap();
    assert_eq!(case.order.gone_back(&case.order.payments[0]), 1200);
    assert_eq!(promised(&case, &CancellationRequest::all()).0, 600);
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        rows(&case),
        [(Refund, 1, 1000, Settled), (Refund, 1, 600, Due)]
    );
}

// A promise is what will be paid.

#[test]
fn nothing_paid_nothing_promised() {
    let mut case = Cart::of(&[(2, 2000)]).discount_and_tax(0, 380).place();
    assert_eq!(promised(&case, &CancellationRequest::all()), (0, 0));
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        (case.promise(1), rows(&case)),
        (belay_domain::ledger::Promise::default(), vec![])
    );

    let mut closed = Cart::of(&[(2, 2000)]).place();
    closed.wait(EXPIRE_AFTER).settle();
    assert_eq!(closed.promise(1).refund.total(), 0);
}

#[test]
fn who_paid_a_part_is_promised_that_part() {
    let mut case = Cart::of(&[(2, 2000)]).discount_and_tax(0, 380).place();
    case.capture("p1", 1000);
    assert_eq!(promised(&case, &CancellationRequest::all()).0, 1000);
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        (case.promise(1).refund.total(), to_send(&case)),
        (1000, 1000)
    );
}

#[test]
fn an_authorisation_is_promised_as_a_release() {
    let mut case = sixty_and_forty();
    case.authorize("p1", 100);
    assert_eq!(
        promised(&case, &CancellationRequest::lines(&[(2, 1)])),
        (0, 0),
        "the authorisation is needed for the other line"
    );
    assert_eq!(promised(&case, &CancellationRequest::all()), (0, 100));
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        (case.promise(1).refund.total(), case.promise(1).release),
        (0, 100)
    );
}

#[test]
fn the_bank_s_money_is_not_promised_again() {
    for fact in [Chargeback, RefundedOutside] {
        for (gone, left) in [(50, 0), (5, 45)] {
            let mut case = fifty();
            case.capture("p1", 50).fact("p1", fact, gone).unwrap();
            assert_eq!(promised(&case, &CancellationRequest::all()).0, left);
            case.cancel(CancellationRequest::all()).unwrap();
            assert_eq!(
                (case.promise(1).refund.total(), to_send(&case)),
                (left, left),
                "{fact} of {gone}"
            );
        }
    }
}

#[test]
fn a_favour_by_hand_is_taken_off_the_next_refund_and_off_its_promise() {
    let mut case = Cart::of(&[(1, 3000), (1, 2000)]).paid();
    case.fact("p1", RefundedOutside, 500).unwrap();
    assert_eq!(
        promised(&case, &CancellationRequest::lines(&[(2, 1)])).0,
        1500
    );
    case.cancel(CancellationRequest::lines(&[(2, 1)])).unwrap();
    assert_eq!(
        (case.promise(1).refund.total(), to_send(&case)),
        (1500, 1500)
    );
    assert_eq!(case.incidents(), [], "what is left pays for what is left");
}

#[test]
fn a_quote_does_not_outlive_the_money_it_promised() {
    let mut case = fifty();
    case.capture("p1", 50);
    let cancel_request = quoted(&case, CancellationRequest::all());
    case.fact("p1", Chargeback, 50).unwrap();
    assert!(matches!(
        case.cancel(cancel_request),
        Err(Rejection::QuoteMismatch { .. })
    ));
}

#[test]
fn a_quote_is_for_one_order_and_one_role() {
    let mut case = fifty();
    case.capture("p1", 50);
    let cancel_request = quoted(&case, CancellationRequest::all());
    let mut other = case.clone();
    other.order.id = belay_domain::ids::OrderId::parse("A-2").unwrap();
    assert!(
        matches!(
            other.cancel(cancel_request.clone()),
            Err(Rejection::QuoteMismatch { .. })
        ),
        "of another order"
    );
    let mut by_support = cancel_request.clone();
    by_support.by = Role::Support;
    assert!(
        matches!(
            case.clone().cancel(by_support),
            Err(Rejection::QuoteMismatch { .. })
        ),
        "by another role"
    );
    case.cancel(cancel_request).unwrap();
}

// Authorisations that nothing is due for.

#[test]
fn the_rest_of_an_authorisation_is_released_where_nothing_is_due_for_it() {
    // Captured in part and all cancelled.
    let mut case = sixty_and_forty();
    case.authorize("p1", 100)
        .capture("p1", 60)
        .cancel(CancellationRequest::all())
        .unwrap();
    assert_eq!(rows(&case), [(Refund, 1, 60, Due), (Void, 1, 40, Due)]);
    assert_eq!(case.promise(1).release, 40);

    // Captured for one parcel, the other one cancelled.
    let mut case = Cart::of(&[(1, 60), (1, 40)])
        .split(&[&[(1, 1)], &[(2, 1)]])
        .place();
    case.authorize("p1", 100).dispatch(1).unwrap();
    case.capture("p1", 60)
        .cancel(CancellationRequest::shipment(2))
        .unwrap();
    assert_eq!(rows(&case), [(Void, 1, 40, Due)]);

    // More authorised than is due.
    let mut case = fifty();
    case.authorize("p1", 60).capture("p1", 50);
    assert_eq!(rows(&case), [(Void, 1, 10, Due)]);

    // A gift card covers it all.
    let mut case = fifty();
    case.authorize("p1", 50).capture("gift", 50);
    assert_eq!(rows(&case), [(Void, 1, 50, Due)]);
}

#[test]
fn of_two_authorisations_the_one_that_is_not_needed_is_released() {
    let mut case = fifty();
    case.authorize("p1", 50).authorize("p2", 50);
    assert_eq!(rows(&case), [(Void, 2, 50, Due)], "the first will do");
    case.capture("p2", 50);
    assert_eq!(
        rows(&case),
        [(Void, 2, 50, Cancelled), (Void, 1, 50, Due)],
        "the second has done"
    );
}

#[test]
fn an_authorisation_that_is_needed_after_all_is_kept() {
    let mut case = fifty();
    case.capture("p1", 50).authorize("p2", 50);
    assert_eq!(rows(&case), [(Void, 2, 50, Due)]);
    case.fact("p1", Chargeback, 50).unwrap();
    assert_eq!(
        (rows(&case), case.incidents()),
        (vec![(Void, 2, 50, Cancelled)], vec![])
    );
}

#[test]
fn a_part_of_an_authorisation_may_be_released() {
    let mut case = fifty();
    case.authorize("p1", 70).fact("p1", Voided, 20).unwrap();
    assert_eq!(
        (case.state(), case.order.payments[0].balance.held),
        (OrderState::ToShip, 50)
    );
    case.fact("p1", Voided, 1).unwrap();
    assert_eq!(case.state(), OrderState::AwaitingPayment);
}

// What is over is over.

#[test]
fn an_authorisation_that_lapsed_by_itself_sends_nobody_and_alarms_nobody() {
    for fact in [Voided, Declined] {
        let mut case = fifty();
        case.authorize("p1", 50)
            .cancelled(CancellationRequest::all())
            .fact("p1", fact, 0)
            .unwrap();
        assert_eq!(
            (rows(&case), case.lease(&[1]), case.incidents()),
            (vec![(Void, 1, 50, Cancelled)], vec![], vec![])
        );
    }
    // It was with a worker already.
    let mut case = fifty();
    case.authorize("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.fact("p1", Voided, 0).unwrap();
    case.result(
        1,
        RefundResult::Failed {
            code: "NOTHING_TO_RELEASE".to_owned(),
        },
    )
    .unwrap();
    assert_eq!(
        (rows(&case), case.incidents()),
        (vec![(Void, 1, 50, Failed)], vec![])
    );
}

#[test]
fn a_release_that_failed_after_all_holds_again() {
    let mut case = fifty();
    case.authorize("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, settled(50)).unwrap();
    assert_eq!(case.order.payments[0].balance.state, PaymentState::Voided);
    case.result(
        1,
        RefundResult::Failed {
            code: "REVERSED".to_owned(),
        },
    )
    .unwrap();
    let balance = &case.order.payments[0].balance;
    assert_eq!(
        (balance.state, balance.held),
        (PaymentState::Authorized, 50)
    );
    assert_eq!(case.incidents(), [RefundFailed]);
}

// The movement has an id.

#[test]
fn two_messages_of_one_movement_count_once() {
    for fact in [Authorized, Captured, RefundedOutside, Chargeback] {
        let mut case = fifty();
        case.capture("p1", 50);
        let before = case.order.payments[0].balance.clone();
        case.told(fact, 10, |command| command.movement = id("mv_1"))
            .unwrap();
        let once = case.order.clone();
        assert_ne!(once.payments[0].balance, before, "{fact}");
        case.told(fact, 10, |command| command.movement = id("mv_1"))
            .unwrap();
        assert_eq!(case.order, once, "{fact}");
        case.told(fact, 10, |command| command.movement = id("mv_2"))
            .unwrap();
        assert_ne!(
            case.order.payments[0].balance, once.payments[0].balance,
            "another movement of {fact}"
        );
    }
}

#[test]
fn one_capture_told_twice_without_a_movement_is_unconfirmed_and_not_refunded() {
    let captured_twice = || {
        let mut case = fifty();
        case.authorize("p1", 50).capture("p1", 50).capture("p1", 50);
        assert_eq!(
            (rows(&case), case.incidents()),
            (vec![], vec![CaptureMismatch])
        );
        let balance = &case.order.payments[0].balance;
        assert_eq!(
            (balance.captured, balance.unconfirmed, case.state()),
            (50, 50, OrderState::ToShip)
        );
        case
    };
    let mut told_twice = captured_twice();
    told_twice.resolve(1, Accept).unwrap();
    told_twice.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(rows(&told_twice), [(Refund, 1, 50, Due)]);

    let mut happened_twice = captured_twice();
    happened_twice.resolve(1, RefundAnyway).unwrap();
    assert_eq!(
        (rows(&happened_twice), happened_twice.incidents()),
        (vec![(Refund, 1, 50, Due)], vec![])
    );
}

#[test]
fn captures_that_name_their_movements_are_believed() {
    let mut case = fifty();
    case.authorize("p1", 50);
    for movement in ["ch_1", "ch_2"] {
        case.told(Captured, 50, |command| command.movement = id(movement))
            .unwrap();
    }
    assert_eq!(
        (rows(&case), case.incidents()),
        (vec![(Refund, 1, 50, Due)], vec![])
    );
}

/// The provider tells of Belay's own refund, before the worker does or after.
#[test]
fn the_providers_message_about_our_refund_settles_it_and_counts_once() {
    let refunded = || {
        let mut case = Cart::of(&[(1, 30), (1, 20)]).paid();
        case.cancelled(CancellationRequest::lines(&[(2, 1)]))
            .lease(&[1]);
        case
    };
    let result = || RefundResult::Settled {
        amount: None,
        provider_refund_id: id("re_1"),
        occurred_time: None,
    };
    let by_movement =
        |case: &mut Case| case.told(RefundedOutside, 20, |command| command.movement = id("re_1"));
    let by_name = |case: &mut Case| {
        case.told(RefundedOutside, 20, |command| {
            (command.refund, command.movement) = (Some(1), id("re_1"))
        })
    };

    let mut after = refunded();
    after.result(1, result()).unwrap();
    by_movement(&mut after).unwrap();
    let mut before = refunded();
    by_movement(&mut before).unwrap();
    before.result(1, result()).unwrap();
    let mut named = refunded();
    by_name(&mut named).unwrap();
    assert_eq!(
        named.order.refunds[0].state, Settled,
        "the message is the result"
    );
    named.result(1, result()).unwrap();
    for (name, mut case) in [("after", after), ("before", before), ("named", named)] {
        let balance = &case.order.payments[0].balance;
        assert_eq!(
            (
                balance.returned_outside,
                case.order.gone_back(&case.order.payments[0])
            ),
            (0, 20),
            "{name}"
        );
        assert_eq!(case.incidents(), [], "{name}");
        case.cancel(CancellationRequest::all()).unwrap();
        assert_eq!(
            rows(&case),
            [(Refund, 1, 20, Settled), (Refund, 1, 30, Due)],
            "{name}"
        );
    }
}

#[test]
fn a_message_about_a_refund_of_another_payment_is_refused() {
    let mut case = fifty();
    case.capture("p1", 50).cancelled(CancellationRequest::all());
    let told = case.told(RefundedOutside, 50, |command| {
        (command.refund, command.provider_payment_id) = (Some(1), ExternalId::parse("p2").unwrap());
    });
    assert_eq!(told, Err(Rejection::RefundNotFound { refund: 1 }));
}

#[test]
fn a_dispute_that_is_won_brings_the_money_back() {
    let mut case = fifty();
    case.capture("p1", 50).fact("p1", Chargeback, 50).unwrap();
    assert_eq!(case.order.payments[0].balance.disputed, 50);
    case.fact("p1", ChargebackReversed, 50).unwrap();
    let balance = &case.order.payments[0].balance;
    assert_eq!(
        (balance.disputed, balance.captured, case.incidents()),
        (0, 50, vec![])
    );
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(rows(&case), [(Refund, 1, 50, Due)]);
}

#[test]
fn a_refund_that_a_dispute_held_back_goes_on_once_the_dispute_is_won() {
    let mut case = fifty();
    case.capture("p1", 50).cancelled(CancellationRequest::all());
    case.told(Chargeback, 50, |command| command.movement = id("dp_1"))
        .unwrap();
    assert_eq!(
        (rows(&case), case.incidents()),
        (vec![(Refund, 1, 50, Blocked)], vec![RefundMismatch])
    );
    case.told(ChargebackReversed, 0, |command| {
        command.movement = id("dp_1")
    })
    .unwrap();
    assert_eq!(
        (rows(&case), case.incidents()),
        (vec![(Refund, 1, 50, Due)], vec![])
    );
}

#[test]
fn a_dispute_and_its_end_may_be_told_in_either_order() {
    for facts in [
        [Chargeback, ChargebackReversed],
        [ChargebackReversed, Chargeback],
    ] {
        let mut case = fifty();
        case.capture("p1", 50);
        for fact in facts {
            case.told(fact, 50, |command| command.movement = id("dp_1"))
                .unwrap();
        }
        assert_eq!(case.order.payments[0].balance.disputed, 0, "{facts:?}");
    }
}

#[test]
fn a_dispute_in_the_cards_currency_is_on_record_and_nothing_is_promised_of_it() {
    let dollars = Money {
        currency: Currency::parse("USD").unwrap(),
        minor_units: 5400,
    };
    let mut case = fifty();
    case.capture("p1", 50);
    case.told(Chargeback, 0, |command| {
        (command.amount, command.movement) = (Some(dollars), id("dp_1"))
    })
    .unwrap();
    assert_eq!(
        (
            case.order.payments[0].balance.disputed,
            promised(&case, &CancellationRequest::all()).0
        ),
        (50, 0)
    );
    assert_eq!(case.incidents(), [GoodsUnpaid]);
    // The bank says how much it was.
    case.told(Chargeback, 40, |command| command.movement = id("dp_1"))
        .unwrap();
    assert_eq!(
        (
            case.order.payments[0].balance.disputed,
            promised(&case, &CancellationRequest::all()).0
        ),
        (40, 10)
    );
}

#[test]
fn what_is_paid_is_in_the_orders_currency() {
    let dollars = Money {
        currency: Currency::parse("USD").unwrap(),
        minor_units: 50,
    };
    for fact in [Authorized, Captured, Voided] {
        let told = fifty().told(fact, 0, |command| command.amount = Some(dollars));
        assert!(
            matches!(told, Err(Rejection::CurrencyMismatch { .. })),
            "{fact}"
        );
    }
}

// Percentages.

#[test]
fn a_percentage_does_not_depend_on_how_a_return_is_split() {
    for percent in [1, 33, 60, 99] {
        for (quantity, goods, discount, tax) in [
            (50, 495, 0, 0),
            (7, 1000, 333, 190),
            (3, 10, 2, 1),
            (250, 1, 0, 0),
        ] {
            let cart = Cart::of(&[(quantity, goods)]).discount_and_tax(discount, tax);
            let order = cart.place().order;
            let units = |first: u32, count: u32| {
                let range = belay_domain::units::UnitRange {
                    line: 1,
                    first,
                    count,
                };
                belay_domain::units::UnitSet::new([range])
            };
            let whole = order.percentage_of(&units(0, quantity), percent);
            let one_by_one: belay_domain::money::Amounts = (0..quantity)
                .map(|unit| order.percentage_of(&units(unit, 1), percent))
                .sum();
            assert_eq!(whole, one_by_one);
            let total = goods - discount + tax;
            assert_eq!(
                whole.total(),
                total * i64::from(percent) / 100,
                "{percent} % of {total}"
            );
            for unit in 0..quantity {
                let (part, carried) = (
                    order.percentage_of(&units(unit, 1), percent),
                    order.amounts_of(&units(unit, 1)),
                );
                assert!(
                    (0..=carried.goods).contains(&part.goods)
                        && (0..=carried.tax).contains(&part.tax)
                );
            }
        }
    }
}

#[test]
fn a_message_counts_at_its_own_time_and_the_decision_at_ours() {
    let mut case = fifty();
    case.wait(HOUR);
    case.told(Captured, 50, |command| command.occurred_time = Some(PLACED))
        .unwrap();
    assert_eq!(case.order.payments[0].balance.capture_time, Some(PLACED));
    assert_eq!(case.order.paid_time, Some(case.now));
    let mut closed = fifty();
    closed.wait(EXPIRE_AFTER);
    closed
        .told(Captured, 50, |command| command.occurred_time = Some(PLACED))
        .unwrap();
    assert_eq!(
        closed.state(),
        OrderState::ClosedUnpaid,
        "whether money is in time, our own clock says"
    );
    assert_eq!(rows(&closed), [(Refund, 1, 50, Due)]);
}

// A decision covers what it was about.

#[test]
fn a_decided_incident_covers_no_more_than_it_was_about() {
    // Another lapse.
    let mut case = fifty();
    case.authorize("p1", 50).fact("p1", Voided, 0).unwrap();
    case.resolve(1, Accept).unwrap();
    case.wait(HOUR)
        .authorize("p2", 50)
        .wait(HOUR)
        .fact("p2", Voided, 0)
        .unwrap();
    assert_eq!(case.incidents(), [PaymentLapsed]);

    // A third capture.
    for resolution in [RefundAnyway, Accept] {
        let mut case = fifty();
        case.authorize("p1", 50).capture("p1", 50).capture("p1", 50);
        case.resolve(1, resolution).unwrap();
        case.capture("p1", 50);
        assert_eq!(case.incidents(), [CaptureMismatch], "{resolution}");
    }

    // All of the money, where a little was accepted.
    let mut case = fifty();
    case.capture("p1", 50)
        .fact("p1", RefundedOutside, 1)
        .unwrap();
    case.resolve(1, Accept).unwrap();
    case.fact("p1", Chargeback, 49).unwrap();
    assert_eq!(case.incidents(), [GoodsUnpaid]);

    // Much more than was paid too far.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, settled(51)).unwrap();
    for incident in [1, 2] {
        case.resolve(incident, Accept).unwrap();
    }
    case.fact("p1", Chargeback, 50).unwrap();
    assert_eq!(case.incidents(), [OverRefunded]);
}

#[test]
fn the_providers_last_word_on_an_amount_counts_and_is_told() {
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, settled(30)).unwrap();
    case.resolve(1, Accept).unwrap();
    case.result(1, settled(50)).unwrap();
    assert_eq!(
        rows(&case),
        [(Refund, 1, 50, Settled), (Refund, 1, 20, Blocked)],
        "the buyer has it all"
    );
    assert_eq!(case.incidents(), [RefundMismatch, RefundMismatch]);

    // The worker said that it went; the provider says how much.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(
        1,
        RefundResult::Settled {
            amount: None,
            provider_refund_id: None,
            occurred_time: None,
        },
    )
    .unwrap();
    case.told(RefundedOutside, 40, |command| command.refund = Some(1))
        .unwrap();
    assert_eq!(
        rows(&case),
        [(Refund, 1, 50, Settled), (Refund, 1, 10, Due)]
    );
    assert_eq!(case.order.gone_back(&case.order.payments[0]), 40);
}

#[test]
fn a_refund_that_was_paid_after_all_counts_once_whoever_tells() {
    let failed = || {
        let mut case = fifty();
        case.capture("p1", 50)
            .cancelled(CancellationRequest::all())
            .lease(&[1]);
        case.result(
            1,
            RefundResult::Failed {
                code: "ACCOUNT_CLOSED".to_owned(),
            },
        )
        .unwrap();
        case
    };
    let late = || RefundResult::Settled {
        amount: None,
        provider_refund_id: id("re_1"),
        occurred_time: None,
    };
    let by_movement =
        |case: &mut Case| case.told(RefundedOutside, 50, |command| command.movement = id("re_1"));
    let by_name =
        |case: &mut Case| case.told(RefundedOutside, 50, |command| command.refund = Some(1));
    let mut cases = [failed(), failed(), failed()];
    cases[0].result(1, late()).unwrap();
    by_movement(&mut cases[0]).unwrap();
    cases[1].result(1, late()).unwrap();
    by_name(&mut cases[1]).unwrap();
    by_name(&mut cases[2]).unwrap();
    cases[2].result(1, late()).unwrap();
    for case in &cases {
        assert_eq!(case.order.gone_back(&case.order.payments[0]), 50);
        assert!(!case.incidents().contains(&OverRefunded));
    }
}

#[test]
fn a_movement_that_is_found_to_be_our_refund_is_not_one_of_its_own() {
    // The worker gives no id; the provider names the row once, and the movement once more.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, settled(50)).unwrap();
    case.told(RefundedOutside, 50, |command| {
        (command.refund, command.movement) = (Some(1), id("re_1"))
    })
    .unwrap();
    case.told(RefundedOutside, 50, |command| command.movement = id("re_1"))
        .unwrap();
    assert_eq!(
        (
            case.order.gone_back(&case.order.payments[0]),
            case.incidents()
        ),
        (50, vec![])
    );

    // The movement comes first, and is named afterwards.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.told(RefundedOutside, 50, |command| command.movement = id("re_1"))
        .unwrap();
    case.told(RefundedOutside, 50, |command| {
        (command.refund, command.movement) = (Some(1), id("re_1"))
    })
    .unwrap();
    assert_eq!(
        (rows(&case), case.incidents()),
        (vec![(Refund, 1, 50, Settled)], vec![])
    );
}

#[test]
fn a_reversal_wins_the_dispute_that_it_names_and_no_other() {
    for currency in ["EUR", "USD"] {
        let money = Money {
            currency: Currency::parse(currency).unwrap(),
            minor_units: 50,
        };
        let mut case = fifty();
        case.capture("p1", 50).cancelled(CancellationRequest::all());
        case.told(Chargeback, 0, |command| {
            (command.amount, command.movement) = (Some(money), id("dp_1"))
        })
        .unwrap();
        case.told(ChargebackReversed, 0, |command| {
            command.movement = id("dp_2")
        })
        .unwrap();
        assert_eq!(
            (case.order.payments[0].balance.disputed, rows(&case)[0].3),
            (50, Blocked),
            "{currency}"
        );
        case.told(ChargebackReversed, 0, |command| {
            command.movement = id("dp_1")
        })
        .unwrap();
        assert_eq!(
            (case.order.payments[0].balance.disputed, rows(&case)[0].3),
            (0, Due),
            "{currency}"
        );
    }
}

#[test]
fn a_reversal_without_a_name_wins_no_dispute_that_begins_later() {
    for second in [None, id("dp_2")] {
        for is_told_late in [false, true] {
            let mut case = fifty();
            case.capture("p1", 50).fact("p1", Chargeback, 50).unwrap();
            let won = case.wait(HOUR).now;
            if !is_told_late {
                case.fact("p1", ChargebackReversed, 0).unwrap();
                assert_eq!(case.order.payments[0].balance.disputed, 0);
            }
            case.wait(24 * HOUR)
                .told(Chargeback, 50, |command| command.movement = second.clone())
                .unwrap();
            if is_told_late {
                let at = Some(won);
                case.told(ChargebackReversed, 0, |command| command.occurred_time = at)
                    .unwrap();
            }
            assert_eq!(case.order.payments[0].balance.disputed, 50, "{second:?}");
            case.cancel(CancellationRequest::all()).unwrap();
            assert_eq!(rows(&case), [], "the buyer's bank has it");
        }
    }

    // What was won of the first by its amount is not won of the second as well.
    let mut case = fifty();
    case.capture("p1", 50).fact("p1", Chargeback, 50).unwrap();
    for amount in [50, 0] {
        case.wait(HOUR)
            .fact("p1", ChargebackReversed, amount)
            .unwrap();
    }
    case.wait(HOUR).fact("p1", Chargeback, 50).unwrap();
    assert_eq!(case.order.payments[0].balance.disputed, 50);
}

#[test]
fn two_disputes_that_are_both_won_leave_nothing_disputed() {
    // One is known by its name, and the other by its amount alone.
    for amount in [40, 0] {
        for is_named_first in [true, false] {
            let mut case = fifty();
            case.capture("p1", 100);
            case.told(Chargeback, 40, |command| command.movement = id("dp_1"))
                .unwrap();
            case.wait(HOUR).fact("p1", Chargeback, 60).unwrap();
            for is_named in [is_named_first, !is_named_first] {
                let (name, amount) = if is_named {
                    (id("dp_1"), amount)
                } else {
                    (None, 60)
                };
                case.wait(HOUR)
                    .told(ChargebackReversed, amount, |command| {
                        command.movement = name
                    })
                    .unwrap();
                invariants::check(&case.order, case.now);
            }
            assert_eq!(
                case.order.payments[0].balance.disputed, 0,
                "{amount}, named first: {is_named_first}"
            );
        }
    }
}

#[test]
fn what_a_dispute_forced_somebody_to_drop_is_owed_again_once_it_is_won() {
    let mut case = fifty();
    case.capture("p1", 50).cancelled(CancellationRequest::all());
    case.fact("p1", Chargeback, 50).unwrap();
    case.resolve(1, belay_domain::incident::Resolution::DropRefund)
        .unwrap();
    case.fact("p1", ChargebackReversed, 50).unwrap();
    assert_eq!(
        rows(&case),
        [(Refund, 1, 50, RefundState::Dropped), (Refund, 1, 50, Due)]
    );
    assert_eq!(case.promise(1).refund.total(), 50);

    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(
        1,
        RefundResult::Failed {
            code: "ACCOUNT_CLOSED".to_owned(),
        },
    )
    .unwrap();
    case.fact("p1", Chargeback, 50).unwrap();
    case.resolve(1, Accept).unwrap();
    case.fact("p1", ChargebackReversed, 50).unwrap();
    assert_eq!(rows(&case), [(Refund, 1, 50, Failed), (Refund, 1, 50, Due)]);
}

#[test]
fn what_went_back_too_far_keeps_no_authorisation_of_a_cancelled_order() {
    let mut case = fifty();
    case.capture("gift", 20).authorize("card", 30);
    case.fact("gift", RefundedOutside, 20).unwrap();
    case.fact("gift", Chargeback, 20).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(rows(&case), [(Void, 2, 30, Due)]);
    assert_eq!(case.promise(1).release, 30);
}

#[test]
fn a_lapse_ends_with_the_order() {
    let mut case = fifty();
    case.authorize("p1", 50).fact("p1", Voided, 0).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        (case.state(), case.order.lapse_time, case.incidents()),
        (OrderState::Cancelled, None, vec![])
    );
}

#[test]
fn what_is_being_released_secures_nothing() {
    let mut case = fifty();
    case.authorize("p1", 50).authorize("p2", 50).lease(&[1]);
    case.fact("p1", Voided, 0).unwrap();
    assert_eq!(
        (case.state(), case.stage(1)),
        (OrderState::AwaitingPayment, Stage::Unreleased)
    );
    assert!(matches!(
        case.dispatch(1),
        Err(Rejection::PaymentLapsed { .. })
    ));
    // It could not be released, so it holds.
    case.result(
        1,
        RefundResult::Failed {
            code: "BUSY".to_owned(),
        },
    )
    .unwrap();
    assert_eq!(case.state(), OrderState::ToShip);
}

#[test]
fn a_release_follows_what_is_held() {
    // So much of it has lapsed meanwhile.
    let mut case = fifty();
    case.authorize("p1", 50)
        .authorize("p2", 50)
        .fact("p2", Voided, 10)
        .unwrap();
    assert_eq!(rows(&case), [(Void, 2, 50, Cancelled), (Void, 2, 40, Due)]);

    // The provider released a part.
    case.lease(&[2]);
    case.result(2, settled(30)).unwrap();
    assert_eq!(rows(&case)[2], (Void, 2, 10, Due));

    // The provider's clock is behind: it released what was authorised all the same.
    let mut case = fifty();
    case.wait(HOUR)
        .authorize("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    let early = RefundResult::Settled {
        amount: None,
        provider_refund_id: None,
        occurred_time: Some(PLACED),
    };
    case.result(1, early).unwrap();
    assert_eq!(
        (case.order.payments[0].balance.held, rows(&case)),
        (0, vec![(Void, 1, 50, Settled)])
    );

    // It failed, and then nothing was left to release.
    for fact in [Voided, Captured] {
        let mut case = fifty();
        case.authorize("p1", 50)
            .cancelled(CancellationRequest::all())
            .lease(&[1]);
        case.result(
            1,
            RefundResult::Failed {
                code: "BUSY".to_owned(),
            },
        )
        .unwrap();
        assert_eq!(case.incidents(), [RefundFailed]);
        case.fact("p1", fact, if fact == Captured { 50 } else { 0 })
            .unwrap();
        assert_eq!(case.incidents(), [], "{fact}");
    }

    // The lease ends of a release that nobody needs any more.
    let mut case = fifty();
    case.authorize("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.fact("p1", Voided, 0).unwrap();
    case.wait(crate::kit::LEASE).settle();
    assert_eq!(rows(&case), [(Void, 1, 50, Cancelled)]);

    // What is authorised after the end is released for the cancellation that was the end.
    let mut case = fifty();
    case.wait(EXPIRE_AFTER).authorize("p1", 50);
    assert_eq!(
        (case.order.refunds[0].cancellation, case.promise(1).release),
        (Some(1), 50)
    );
}

#[test]
fn no_more_is_promised_than_is_there() {
    // Paid after it had failed, with a retry held back.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(
        1,
        RefundResult::Failed {
            code: "ACCOUNT_CLOSED".to_owned(),
        },
    )
    .unwrap();
    case.resolve(1, belay_domain::incident::Resolution::RetryRefund)
        .unwrap();
    case.result(1, settled(50)).unwrap();
    assert_eq!(case.promise(1).refund.total(), 50);

    // Paid short, the rest with a worker, and then sent back.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .lease(&[1]);
    case.result(1, settled(30)).unwrap();
    case.lease(&[2]);
    case.result(
        1,
        RefundResult::Failed {
            code: "ACCOUNT_CLOSED".to_owned(),
        },
    )
    .unwrap();
    assert_eq!(case.promise(1).refund.total(), 50);

    // The bank has it.
    let mut case = fifty();
    case.capture("p1", 50)
        .cancelled(CancellationRequest::all())
        .fact("p1", Chargeback, 50)
        .unwrap();
    assert_eq!(case.promise(1).refund.total(), 0);
}

#[test]
fn a_doubtful_capture_is_unconfirmed_whole_and_a_sale_is_none() {
    let mut case = sixty_and_forty();
    case.authorize("p1", 100)
        .capture("p1", 60)
        .capture("p1", 60);
    assert_eq!(case.order.payments[0].balance.captured, 60);
    case.resolve(1, Accept).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(rows(&case), [(Refund, 1, 60, Due), (Void, 1, 40, Due)]);

    let mut case = fifty();
    case.capture("p1", 50).authorize("p1", 1);
    assert_eq!(
        (case.state(), case.incidents()),
        (OrderState::ToShip, vec![])
    );
}

#[test]
fn what_left_before_a_lapse_stays_on_the_policys_terms() {
    let keeps = PLAIN.replace(
        "stage: DELIVERED, path: CANCEL}, deny: {code: DELIVERED}",
        "stage: DELIVERED, path: CANCEL}, allow: {refund: NONE}",
    );
    let mut case = Cart::of(&[(1, 60), (1, 40)]).place_under(crate::kit::policy(&keeps));
    case.capture("p1", 99)
        .authorize("p2", 1)
        .bring_to(1, Stage::Delivered);
    case.fact("p2", Voided, 0).unwrap();
    case.cancel(CancellationRequest::all()).unwrap();
    assert_eq!(
        to_send(&case),
        0,
        "the policy keeps the price of what was delivered"
    );
}

#[test]
fn only_what_has_not_left_is_closed_where_the_rest_is_paid_for() {
    let mut case = Cart::of(&[(1, 60), (1, 40)])
        .split(&[&[(1, 1)], &[(2, 1)]])
        .place();
    case.authorize("p1", 100).bring_to(1, Stage::Delivered);
    case.capture("p1", 60).fact("p1", Voided, 0).unwrap();
    assert_eq!(case.state(), OrderState::AwaitingPayment);
    case.wait(EXPIRE_AFTER).settle();
    assert_eq!(
        (case.state(), case.stages()),
        (
            OrderState::Delivered,
            vec![Stage::Delivered, Stage::Cancelled]
        )
    );
    assert_eq!(
        (case.incidents(), rows(&case), case.order.lapse_time),
        (vec![], vec![], None)
    );
}

#[test]
fn what_a_lapse_leaves_sold_is_not_refused_its_return() {
    let gates = [
        crate::kit::gate("PARCEL_RECEIPT", "REFUSE", "BAR"),
        crate::kit::gate("SELLER_CONSENT", "REFUSE", "BAR"),
    ];
    let rules = format!(
        "\n  - {{id: back, when: {{stage: [DELIVERED, RETURNED], path: RETURN_UNOPENED}}, \
         allow: {{gates: [{}], refund: FULL}}}}{PLAIN}",
        gates.join(", ")
    );
    let returned = || {
        let mut case = Cart::of(&[(1, 60), (1, 40)])
            .split(&[&[(1, 1)], &[(2, 1)]])
            .place_under(crate::kit::policy(&rules));
        case.authorize("p1", 100).bring_to(1, Stage::Delivered);
        let path = belay_domain::terms::Path::ReturnUnopened;
        case.capture("p1", 60)
            .cancelled(CancellationRequest::shipment(1).paths(&[path]));
        case
    };
    let home = |case: &mut Case| {
        case.receive(1, belay_domain::terms::GoodsCondition::Unopened)
            .unwrap();
    };
    let waits = [(belay_domain::cancellation::PartState::Waiting, "")];
    for is_home_first in [true, false] {
        let mut case = returned();
        if is_home_first {
            case.wait(12 * HOUR);
            home(&mut case);
        } else {
            case.wait(12 * HOUR);
        }
        case.fact("p1", Voided, 0).unwrap();
        assert_eq!(case.state(), OrderState::AwaitingPayment);
        case.wait(EXPIRE_AFTER).settle();
        assert_eq!(case.parts(1), waits, "it is paid for, and asked back");
        assert_eq!(case.parts(2).len(), 1);
        assert_eq!(case.stage(2), Stage::Cancelled);
        if !is_home_first {
            home(&mut case);
        }
        case.wait(HOUR).approve(Role::Seller, 1).unwrap();
        assert_eq!(
            (rows(&case), case.incidents()),
            (vec![(Refund, 1, 60, Due)], vec![])
        );
    }
}

#[test]
fn a_request_from_before_a_lapse_waits_on() {
    let stop = crate::kit::gate("WAREHOUSE_STOP", "REFUSE", "BAR");
    let rules = format!(
        "\n  - {{id: packed, when: {{stage: READY, path: CANCEL, paid: true}}, allow: {{gates: [{stop}], refund: FULL}}}}\n{PLAIN}"
    );
    let mut case = Cart::of(&[(1, 50)]).place_under(crate::kit::policy(&rules));
    case.authorize("p1", 50)
        .bring_to(1, Stage::Ready)
        .cancel(CancellationRequest::all())
        .unwrap();
    case.wait(HOUR).fact("p1", Voided, 0).unwrap();
    case.authorize("p2", 50);
    assert_eq!(
        case.parts(1),
        [(belay_domain::cancellation::PartState::Waiting, "")]
    );
    case.stop(1).unwrap();
    assert_eq!(
        case.parts(1),
        [(belay_domain::cancellation::PartState::Cancelled, "")]
    );
}

#[test]
fn of_two_amounts_for_one_movement_the_larger_counts_in_either_order() {
    for amounts in [[30, 50], [50, 30]] {
        let mut case = fifty();
        for amount in amounts {
            case.told(Captured, amount, |command| command.movement = id("ch_1"))
                .unwrap();
        }
        assert_eq!(
            (case.state(), case.order.payments[0].balance.captured),
            (OrderState::ToShip, 50)
        );
    }
}

#[test]
fn money_of_a_currency_that_there_is_not_is_refused() {
    let odd = Money {
        currency: Currency::parse("XXQ").unwrap(),
        minor_units: 50,
    };
    let told = fifty().told(Chargeback, 0, |command| command.amount = Some(odd));
    assert!(matches!(told, Err(Rejection::CurrencyMismatch { .. })));
}
