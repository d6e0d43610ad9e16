//! Refunds that bounce: the provider takes back that it paid, as often as it likes, and its
//! messages overtake each other.

use belay_domain::commands::{RefundResult, allowed_resolutions};
use belay_domain::ids::ExternalId;
use belay_domain::incident::IncidentKind::{self, LateFact, RefundFailed, RefundMismatch};
use belay_domain::incident::Resolution::{self, Accept, DropRefund, RetryRefund};
use belay_domain::incident::{Incident, IncidentState};
use belay_domain::payment::PaymentFact::{Chargeback, ChargebackReversed, RefundedOutside};
use belay_domain::refund::RefundState::{Blocked, Due, Failed, Settled};
use jiff::{SignedDuration, Timestamp};

use crate::invariants;
use crate::kit::{CancellationRequest, Cart, Case, settled};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn failed() -> RefundResult {
    RefundResult::Failed {
        code: "ACCOUNT_CLOSED".to_owned(),
    }
}

/// All of it has gone, under this id of the provider's.
fn gone(movement: &str) -> RefundResult {
    RefundResult::Settled {
        amount: None,
        provider_refund_id: ExternalId::parse(movement).ok(),
        occurred_time: None,
    }
}

/// 50 are captured and cancelled, and their refund is with a worker.
fn leased() -> Case {
    let mut case = Cart::of(&[(1, 50)]).paid();
    case.cancelled(CancellationRequest::all());
    assert_eq!(case.lease(&[1]), [1]);
    case
}

/// Each an hour after the other.
fn tell(case: &mut Case, results: &[RefundResult]) {
    for result in results {
        case.wait(HOUR).result(1, result.clone()).unwrap();
        invariants::check(&case.order, case.now);
    }
}

/// The provider's own message about the movement, or the row, as of then.
fn message(case: &mut Case, movement: Option<&str>, row: Option<u32>, at: Option<Timestamp>) {
    case.told(RefundedOutside, 50, |command| {
        command.movement = movement.and_then(|id| ExternalId::parse(id).ok());
        (command.refund, command.occurred_time) = (row, at);
    })
    .unwrap();
    invariants::check(&case.order, case.now);
}

fn gone_back(case: &Case) -> i64 {
    case.order.gone_back(&case.order.payments[0])
}

/// What support may do about the last open incident of this kind.
fn allowed(case: &Case, kind: IncidentKind) -> Vec<Resolution> {
    let is_meant =
        |incident: &&Incident| incident.kind == kind && incident.state == IncidentState::Open;
    let incident = case.order.incidents.iter().rfind(is_meant).unwrap();
    allowed_resolutions(&case.order, incident)
}

#[test]
fn a_refund_may_bounce_as_often_as_the_provider_says() {
    let mut case = leased();
    tell(&mut case, &[failed(), gone("re_1"), failed()]);
    assert_eq!(
        (gone_back(&case), case.order.refunds[0].state),
        (0, Failed),
        "the buyer has nothing"
    );
    assert_eq!(allowed(&case, RefundFailed), [RetryRefund, Accept]);
    tell(&mut case, &[gone("re_1")]);
    assert_eq!(
        (gone_back(&case), allowed(&case, RefundFailed)),
        (50, vec![Accept])
    );
    tell(&mut case, &[failed()]);
    let failures = case.incidents().into_iter();
    assert_eq!(
        failures.filter(|kind| *kind == RefundFailed).count(),
        3,
        "each of them is told"
    );
    let last = case.order.incidents.last().unwrap().number;
    case.resolve(last, RetryRefund).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(case.refunds(), [(1, 50, Failed), (1, 50, Due)]);
}

#[test]
fn that_it_was_paid_after_all_is_told_each_time() {
    let mut case = leased();
    tell(&mut case, &[failed(), gone("re_1")]);
    let late = case.order.incidents.last().unwrap().clone();
    assert_eq!(late.kind, LateFact);
    case.resolve(late.number, Accept).unwrap();
    tell(&mut case, &[failed(), gone("re_1")]);
    let late: Vec<u32> = case
        .order
        .incidents
        .iter()
        .filter(|incident| incident.kind == LateFact)
        .map(|incident| incident.number)
        .collect();
    assert_eq!(late, [2, 4]);
}

#[test]
fn a_bounce_after_a_retry_pays_the_buyer_once() {
    let mut case = leased();
    tell(&mut case, &[failed()]);
    case.resolve(1, RetryRefund).unwrap();
    tell(&mut case, &[gone("re_1")]);
    assert_eq!(case.refunds(), [(1, 50, Failed), (1, 50, Blocked)]);
    assert_eq!(
        allowed(&case, RefundMismatch),
        [DropRefund],
        "the money has gone"
    );
    tell(&mut case, &[failed()]);
    assert_eq!(case.refunds(), [(1, 50, Failed), (1, 50, Due)]);
}

#[test]
fn a_message_that_a_bounce_has_overtaken_adds_nothing() {
    let paid_at = |case: &Case| case.order.refunds[0].settle_time;
    let messages = [
        (Some("re_1"), None),
        (Some("re_1"), Some(1)),
        (None, Some(1)),
    ];
    let histories: [&[RefundResult]; 2] = [
        &[gone("re_1"), failed()],
        &[failed(), gone("re_1"), failed()],
    ];
    for (movement, row) in messages {
        for results in histories {
            let mut case = leased();
            tell(&mut case, results);
            let (before, at) = (case.refunds(), paid_at(&case));
            let told = case.incidents();
            message(&mut case, movement, row, at);
            assert_eq!(
                (gone_back(&case), case.refunds(), case.incidents()),
                (0, before, told)
            );
            assert_eq!(allowed(&case, RefundFailed), [RetryRefund, Accept]);
        }
    }

    // A retry that was made meanwhile is not held back.
    let mut case = leased();
    tell(&mut case, &[gone("re_1"), failed()]);
    case.resolve(1, RetryRefund).unwrap();
    let at = paid_at(&case);
    message(&mut case, Some("re_1"), None, at);
    assert_eq!(case.refunds(), [(1, 50, Failed), (1, 50, Due)]);
}

#[test]
fn a_message_that_is_later_than_the_bounce_is_news() {
    let mut case = leased();
    tell(&mut case, &[gone("re_1"), failed()]);
    let now = case.wait(HOUR).now;
    message(&mut case, Some("re_1"), None, Some(now));
    assert_eq!(gone_back(&case), 50);
    assert!(case.incidents().contains(&LateFact));

    // It had never been told that it went, so this is no old news either.
    let mut case = leased();
    let before = case.now;
    tell(&mut case, &[failed()]);
    message(&mut case, Some("re_1"), Some(1), Some(before));
    assert_eq!(gone_back(&case), 50);
}

#[test]
fn another_amount_counts_also_where_it_was_paid_after_all() {
    let mut case = leased();
    tell(&mut case, &[failed(), settled(50), settled(30)]);
    assert_eq!(
        (gone_back(&case), case.refunds()),
        (30, vec![(1, 50, Failed), (1, 20, Due)])
    );
    assert!(case.incidents().contains(&RefundMismatch));
    tell(&mut case, &[gone("re_1")]);
    assert_eq!(gone_back(&case), 30, "which names no amount");

    // The provider's own message says how much.
    let mut case = leased();
    tell(&mut case, &[failed(), gone("re_1")]);
    case.told(RefundedOutside, 30, |command| {
        command.movement = ExternalId::parse("re_1").ok();
    })
    .unwrap();
    assert_eq!(case.refunds(), [(1, 50, Failed), (1, 20, Due)]);
    let mut settled_first = leased();
    tell(&mut settled_first, &[gone("re_1")]);
    assert_eq!(settled_first.refunds(), [(1, 50, Settled)]);
}

/// Nobody has decided about what fails after support took it for paid, or for nothing that is owed.
#[test]
fn what_fails_again_waits_for_a_decision_of_its_own() {
    for is_disputed in [false, true] {
        let mut case = leased();
        tell(&mut case, &[failed()]);
        if is_disputed {
            case.fact("p1", Chargeback, 50).unwrap();
            case.resolve(1, Accept).unwrap();
            tell(&mut case, &[gone("re_1")]);
            case.wait(HOUR).fact("p1", ChargebackReversed, 0).unwrap();
        } else {
            tell(&mut case, &[gone("re_1")]);
            case.resolve(1, Accept).unwrap();
        }
        tell(&mut case, &[failed()]);
        assert_eq!(
            (case.refunds(), allowed(&case, RefundFailed)),
            (vec![(1, 50, Failed)], vec![RetryRefund, Accept]),
            "disputed meanwhile: {is_disputed}"
        );
        let last = case.order.incidents.last().unwrap().number;
        case.resolve(last, Accept).unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!(case.refunds(), [(1, 50, Failed)], "it is to stay");
    }
}
