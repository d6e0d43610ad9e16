//! What comes due besides the closing of an order: reminders, the end of verification, preparation
//! and refunds that are late.

use belay_domain::cancellation::PartState;
use belay_domain::event::{Cause, EventDetail, EventType};
use belay_domain::order::OrderState;
use belay_domain::period::Period;
use belay_domain::policy::{Policy, Verification};
use belay_domain::shipment::Stage;
use belay_domain::terms::GateKind;
use jiff::{SignedDuration, Timestamp};

use crate::history;
use crate::kit::{
    CancellationRequest, Cart, Case, LEASE, MICROSECOND, PLACED, PLAIN, gate, gated, policy,
    settled,
};

const fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// Each gate of a policy's rules, changed.
fn with_gates(mut policy: Policy, change: impl Fn(&mut belay_domain::terms::GateSpec)) -> Policy {
    for rule in &mut policy.rules {
        if let belay_domain::policy::Consequence::Allow(allow) = &mut rule.then {
            allow.gates.iter_mut().for_each(&change);
        }
    }
    policy
}

/// Of two units one waits for the seller, who is reminded so long before.
fn reminded(before: SignedDuration) -> Case {
    let gates = [gate("SELLER_CONSENT", "ESCALATE", "BAR")];
    let policy = with_gates(gated("PLANNED", &[&gates[0]]), |spec| {
        spec.remind_before = Some(before)
    });
    let mut case = Cart::of(&[(2, 200)]).paid_under(policy);
    case.cancel(CancellationRequest::lines(&[(1, 1)])).unwrap();
    case
}

#[test]
fn a_party_is_reminded_once_before_its_time_is_up() {
    let mut case = reminded(hours(6));
    assert_eq!(case.order.next_due(), Some(PLACED + hours(42)));
    case.wait(hours(42) - MICROSECOND).settle();
    assert_eq!(case.events(), []);
    case.wait(MICROSECOND).settle();
    let reminder = case.event(EventType::GateReminder);
    assert_eq!(
        (reminder.cause, reminder.rule.as_deref()),
        (Cause::Deadline(PLACED + hours(42)), Some("gated"))
    );
    let respond_by = Some(PLACED + hours(48));
    let told = EventDetail::GateReminder {
        cancellation: 1,
        shipment: 1,
        gate: GateKind::SellerConsent,
        respond_by,
    };
    assert_eq!(
        (&reminder.detail, case.order.next_due()),
        (&told, respond_by)
    );
    assert_eq!(case.parts(1), [(PartState::Waiting, "")]);
}

#[test]
fn whoever_answers_in_time_is_reminded_of_nothing() {
    let mut case = reminded(hours(6));
    case.approve(belay_domain::actor::Role::Seller, 1).unwrap();
    case.wait(hours(47)).settle();
    assert!(!case.events().contains(&EventType::GateReminder));
}

#[test]
fn the_gate_that_follows_an_escalation_reminds_as_well() {
    let mut case = reminded(hours(6));
    case.wait(hours(48)).settle();
    let reminders = |case: &Case| {
        case.events()
            .iter()
            .filter(|event| **event == EventType::GateReminder)
            .count()
    };
    assert_eq!(
        reminders(&case),
        1,
        "the seller was reminded, however late anybody noticed"
    );
    case.wait(hours(42)).settle();
    assert_eq!(reminders(&case), 1, "and so is support");
}

#[test]
fn a_reminder_that_would_come_before_its_gate_opens_does_not_come() {
    let mut case = reminded(hours(48));
    assert_eq!(case.order.next_due(), Some(PLACED + hours(48)));
    case.wait(hours(48)).settle();
    assert_eq!(
        case.events()
            .iter()
            .filter(|event| **event == EventType::GateReminder)
            .count(),
        0
    );
}

/// Monday's orders, by the clock of whoever is asked.
#[test]
fn a_party_has_so_much_time_or_so_many_days() {
    let table = [
        (Period::Time(hours(5)), "2026-01-05T05:00:00Z"),
        (Period::CalendarDays(2), "2026-01-07T00:00:00Z"),
        (Period::WorkingDays(1), "2026-01-07T00:00:00Z"),
        (Period::WorkingDays(5), "2026-01-13T00:00:00Z"),
    ];
    for (wait, respond_by) in table {
        let terms = gated("PLANNED", &[&gate("WAREHOUSE_STOP", "REFUSE", "BAR")]);
        let mut case = Cart::of(&[(1, 100)])
            .paid_under(with_gates(terms, |spec| spec.respond_within = Some(wait)));
        case.cancel(CancellationRequest::all()).unwrap();
        let respond_by: Timestamp = respond_by.parse().unwrap();
        assert_eq!(
            case.part(1, 0).gates[0].respond_by,
            Some(respond_by),
            "{wait:?}"
        );
        case.wait_until(respond_by - MICROSECOND).settle();
        assert_eq!(case.parts(1), [(PartState::Waiting, "")], "{wait:?}");
        case.wait(MICROSECOND).settle();
        assert_eq!(
            case.parts(1),
            [(PartState::Refused, "GATE_TIMED_OUT")],
            "{wait:?}"
        );
    }
}

fn verified(method: &str) -> Case {
    let verification = Some(Verification {
        methods: vec![method.to_owned()],
        wait: hours(24),
    });
    Cart::of(&[(1, 100)]).paid_under(Policy {
        verification,
        ..policy(PLAIN)
    })
}

#[test]
fn a_buyer_cancels_once_the_payment_is_verified_and_the_seller_at_once() {
    let mut case = verified("CREDIT_CARD");
    assert_eq!(
        case.try_cancel(CancellationRequest::all()),
        "PAYMENT_VERIFYING"
    );
    assert!(
        case.clone()
            .cancel(CancellationRequest::all().by_seller())
            .is_ok()
    );
    case.wait(hours(24) - MICROSECOND);
    assert_eq!(
        case.try_cancel(CancellationRequest::all()),
        "PAYMENT_VERIFYING"
    );
    case.wait(MICROSECOND).settle();
    assert_eq!(
        (case.events(), case.order.verified_at),
        (vec![EventType::PaymentVerified], None)
    );
    assert_eq!(case.try_cancel(CancellationRequest::all()), "OK");
    assert_eq!(
        verified("BANK_TRANSFER").try_cancel(CancellationRequest::all()),
        "OK"
    );
}

#[test]
fn a_rejection_while_a_payment_is_verified_says_until_when() {
    let mut case = verified("CREDIT_CARD");
    let refused = case
        .wait(hours(1))
        .cancel(CancellationRequest::all())
        .unwrap_err();
    let belay_domain::rejection::Rejection::Ineligible { violations, .. } = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(violations[0].available_from, Some(PLACED + hours(24)));
}

/// Preparation must begin within twelve hours.
fn to_be_prepared() -> Case {
    Cart::of(&[(1, 100)]).paid_under(Policy {
        preparation_within: Some(hours(12)),
        ..policy(PLAIN)
    })
}

#[test]
fn preparation_that_has_not_begun_in_time_is_overdue_once() {
    let mut case = to_be_prepared();
    case.wait(hours(12) - MICROSECOND).settle();
    assert!(!case.shipment(1).preparation_overdue);
    case.wait(MICROSECOND).settle();
    assert_eq!(
        (case.events(), case.order.next_due()),
        (vec![EventType::PreparationOverdue], None)
    );
    assert!(case.shipment(1).preparation_overdue);
    assert!(
        case.prepare(1).is_ok() && case.dispatch(1).is_ok(),
        "late is late, and no more"
    );
}

#[test]
fn what_has_begun_or_is_cancelled_is_not_overdue() {
    for stage in [
        Stage::Preparing,
        Stage::Ready,
        Stage::InTransit,
        Stage::Cancelled,
    ] {
        let mut case = to_be_prepared();
        case.bring_to(1, stage).wait(hours(12)).settle();
        assert!(!case.shipment(1).preparation_overdue, "{stage}");
    }
}

/// The end of one part puts the shipment back, where the policy refuses the other, whose time is up
/// at the same instant.
#[test]
fn a_part_that_a_deadline_beside_it_ends_does_not_end_once_more() {
    let [stop, consent, review] = ["WAREHOUSE_STOP", "SELLER_CONSENT", "SUPPORT_REVIEW"]
        .map(|kind| gate(kind, "REFUSE", "BAR"));
    let policy = policy(&format!(
        "
  - {{id: stopped, when: {{stage: READY, path: CANCEL, reason: CHANGED_MIND}},
     allow: {{gates: [{stop}, {consent}], refund: FULL}}}}
  - {{id: missing, when: {{stage: READY, path: CANCEL, reason: OUT_OF_STOCK}},
     allow: {{gates: [{review}], refund: FULL}}}}"
    ));
    let mut case = Cart::of(&[(2, 200)]).paid_under(policy);
    let one = || CancellationRequest::lines(&[(1, 1)]);
    case.bring_to(1, Stage::Ready).cancelled(one());
    case.stop(1).unwrap();
    case.cancelled(one().by_seller());
    case.wait(hours(48)).settle();
    assert_eq!(
        [case.parts(1), case.parts(2)],
        [
            [(PartState::Refused, "GATE_TIMED_OUT")],
            [(PartState::Refused, "NOT_ALLOWED")]
        ]
    );
    let events = case.events();
    let ends = events.iter().filter(|of| **of == EventType::PartEnded);
    assert_eq!(ends.count(), 2);
    history::check(&case.history, &case.order);
}

#[test]
fn a_refund_that_has_not_settled_a_day_after_it_was_due_is_overdue_once() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    case.wait(hours(24) - MICROSECOND).settle();
    assert_eq!(case.events(), []);
    case.wait(MICROSECOND).settle();
    assert_eq!(
        (case.events(), case.order.next_due()),
        (vec![EventType::RefundOverdue], None)
    );
    case.lease(&[1]);
    case.wait(LEASE).settle();
    assert!(!case.events().contains(&EventType::RefundOverdue));
}

#[test]
fn a_refund_that_has_settled_in_time_is_not_overdue() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancelled(CancellationRequest::all()).lease(&[1]);
    case.result(1, settled(100)).unwrap();
    case.wait(hours(48)).settle();
    assert_eq!(
        (case.events(), case.state()),
        (vec![], OrderState::Cancelled)
    );
}

#[test]
fn a_deadline_is_counted_by_the_policy_that_the_request_was_made_under() {
    let gates = [
        gate("SELLER_CONSENT", "PASS", "BAR"),
        gate("SUPPORT_REVIEW", "REFUSE", "BAR"),
    ];
    let first = with_gates(gated("PLANNED", &[&gates[0], &gates[1]]), |spec| {
        spec.respond_within = Some(Period::WorkingDays(1));
    });
    let mut second = first.clone();
    let thursdays = std::collections::BTreeSet::from([belay_domain::calendar::Weekday::Thursday]);
    let zone = jiff::tz::TimeZone::UTC;
    second.refunds.default_calendar =
        belay_domain::calendar::Calendar::new(zone, thursdays, std::collections::BTreeSet::new())
            .unwrap();
    let mut case = Cart::of(&[(1, 100)]).paid_under(first.clone());
    case.cancel(CancellationRequest::all()).unwrap();
    let versions = std::collections::BTreeMap::from([(1, first.into()), (2, second.into())]);
    let activations = vec![(PLACED, 1), (PLACED + MICROSECOND, 2)];
    case.store.policies = belay_domain::policy::Policies::new(versions, activations);
    case.wait_until("2026-01-07T00:00:00Z".parse().unwrap())
        .settle();
    // Thursday is a day of work for whoever was promised it.
    let review = case.part(1, 0).open_gate().unwrap();
    assert_eq!(
        review.respond_by,
        Some("2026-01-09T00:00:00Z".parse().unwrap())
    );
}
