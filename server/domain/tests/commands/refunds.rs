//! The refund machine: lease, result, and what the provider says afterwards.

use belay_domain::commands::RefundResult;
use belay_domain::error_reason::ErrorReason;
use belay_domain::incident::IncidentKind::{self, LateFact, RefundFailed, RefundMismatch};
use belay_domain::payment::PaymentFact;
use belay_domain::refund::RefundState::{
    self, Blocked, Cancelled, Dropped, Due, Failed, Settled, Submitted, Unknown,
};
use belay_domain::shipment::TrackingFact;

use crate::kit::{CancellationRequest, Cart, Case, LEASE, PLACED, PLAIN, policy_with, settled};

fn failed() -> RefundResult {
    RefundResult::Failed {
        code: "ACCOUNT_CLOSED".to_owned(),
    }
}

/// One refund of 100.
fn refund_at(state: RefundState) -> Case {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    let submitted = |mut case: Case| {
        case.lease(&[1]);
        case
    };
    let with_result = |result| {
        let mut case = submitted(case.clone());
        case.result(1, result).unwrap();
        case
    };
    let case = match state {
        Due => case,
        Blocked => {
            case.scan(1, TrackingFact::PickedUp).unwrap();
            case
        }
        Submitted => submitted(case),
        Settled => with_result(settled(100)),
        Failed => with_result(failed()),
        Unknown => with_result(RefundResult::Unknown),
        Dropped => {
            // Nothing drops a refund yet but support, by hand.
            case.order.refunds[0].state = Dropped;
            case
        }
        Cancelled => {
            // Paid twice, and the second payment went back outside before its refund was sent.
            let mut case = Cart::of(&[(1, 100)]).paid();
            case.capture("p2", 100)
                .fact("p2", PaymentFact::RefundedOutside, 100)
                .unwrap();
            case
        }
    };
    assert_eq!(case.order.refunds[0].state, state);
    case
}

/// Rows are results, columns states; `-` is REFUND_NOT_CLAIMED, `=` writes nothing, `!` opens an
/// incident.
#[test]
fn every_state_takes_every_result_as_the_table_says() {
    let table = [
        // DUE BLOCKED SUBMITTED SETTLED FAILED UNKNOWN DROPPED CANCELLED
        (
            "settled",
            settled(100),
            "- - SETTLED = !FAILED SETTLED !DROPPED -",
        ),
        (
            "settled with another amount",
            settled(99),
            "- - !SETTLED !SETTLED !FAILED !SETTLED !DROPPED -",
        ),
        ("failed", failed(), "- - !FAILED !FAILED = !FAILED = -"),
        ("unknown", RefundResult::Unknown, "- - UNKNOWN = = = = -"),
    ];
    for (name, result, row) in table {
        for (state, cell) in RefundState::ALL.iter().zip(row.split(' ')) {
            let mut case = refund_at(*state);
            let (before, incidents) = (case.order.clone(), case.incidents().len());
            let found = match case.result(1, result.clone()) {
                Err(refused) => {
                    assert_eq!(refused.reason(), ErrorReason::RefundNotClaimed);
                    "-".to_owned()
                }
                Ok(_) if case.order == before => "=".to_owned(),
                Ok(_) => {
                    let mark = if case.incidents().len() > incidents {
                        "!"
                    } else {
                        ""
                    };
                    format!("{mark}{}", case.order.refunds[0].state)
                }
            };
            assert_eq!(found, cell, "{state} × {name}");
        }
    }
}

#[test]
fn a_contradiction_opens_one_incident_however_often_it_is_reported() {
    let table: [(RefundState, &[IncidentKind]); 4] = [
        (Submitted, &[RefundMismatch]),
        (Settled, &[RefundMismatch]),
        (Failed, &[RefundFailed, LateFact]),
        (Dropped, &[LateFact]),
    ];
    for (state, kinds) in table {
        let mut case = refund_at(state);
        for _ in 0..3 {
            case.result(1, settled(99)).unwrap();
        }
        assert_eq!(case.incidents(), kinds, "{state}");
        assert!(
            case.order
                .incidents
                .iter()
                .all(|incident| incident.refund == Some(1))
        );
    }
}

/// Which states a worker may take, and what they become.
#[test]
fn what_is_due_or_unknown_can_be_leased() {
    let table = [
        (Due, Some(Submitted)),
        (Blocked, None),
        (Submitted, None),
        (Settled, None),
        (Failed, None),
        (Unknown, Some(Unknown)),
        (Dropped, None),
        (Cancelled, None),
    ];
    assert_eq!(table.map(|(state, _)| state).as_slice(), RefundState::ALL);
    for (state, after) in table {
        let mut case = refund_at(state);
        let leased = case.lease(&[1]);
        assert_eq!(leased.is_empty(), after.is_none(), "{state}");
        assert_eq!(case.order.refunds[0].state, after.unwrap_or(state));
    }
}

#[test]
fn an_unknown_refund_is_asked_for_by_one_worker_at_a_time() {
    let mut case = refund_at(Submitted);
    case.wait(LEASE).settle();
    assert_eq!(
        (case.refunds(), case.lease(&[1])),
        (vec![(1, 100, Unknown)], vec![1])
    );
    assert_eq!(case.lease(&[1]), [0_u32; 0], "somebody is asking");
    assert_eq!(
        case.wait(LEASE).lease(&[1]),
        [1],
        "nobody is asking any more"
    );
    case.result(1, RefundResult::Unknown).unwrap();
    assert_eq!(case.lease(&[1]), [1], "who does not know lets others ask");
    case.result(1, settled(100)).unwrap();
    assert_eq!(
        (case.refunds(), case.order.refunds[0].settle_time),
        (vec![(1, 100, Settled)], Some(case.now))
    );
}

#[test]
fn a_failed_refund_is_not_tried_again_by_itself() {
    let mut case = refund_at(Failed);
    case.capture("p2", 10);
    assert_eq!(case.refunds(), [(1, 100, Failed), (2, 10, Due)]);
}

#[test]
fn a_refund_is_due_at_once_or_after_working_days() {
    let at_once = refund_at(Due);
    assert_eq!(at_once.order.refunds[0].due_by, PLACED);
    let calendar =
        "{working_days: 3}\n  calendars: {default: {time_zone: UTC, weekend: [SATURDAY, SUNDAY]}}";
    let mut case = Cart::of(&[(1, 100)]).paid_under(policy_with(PLAIN, &[("IMMEDIATE", calendar)]));
    case.cancel(CancellationRequest::all()).unwrap();
    let due_by: jiff::Timestamp = "2026-01-09T00:00:00Z".parse().unwrap();
    assert_eq!(
        case.order.refunds[0].due_by, due_by,
        "Tuesday, Wednesday and Thursday"
    );
}
