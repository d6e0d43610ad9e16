//! What another policy would have answered to what was asked.

use std::collections::BTreeSet;

use belay_domain::decision::{DecisionLog, Occasion};
use belay_domain::error_reason::ErrorReason;
use belay_domain::policy::Policy;
use belay_domain::shipment::Stage;
use belay_domain::simulation::{
    CaseFilter, Compared, NotReplayed, RecordedDecision, Simulation, Summary, Transitions,
};
use belay_domain::terms::{Fault, Path};
use jiff::SignedDuration;

use crate::kit::{
    CancellationRequest, Cart, Case, PLAIN, consent_when_preparing, gated, policy, policy_with,
};

type Replayed = Vec<Result<belay_domain::simulation::Case, NotReplayed>>;

/// What this policy makes of the last decision.
fn replay_under(case: &Case, draft: &Policy, log: &DecisionLog) -> Replayed {
    let simulation = Simulation {
        policies: &case.store.policies,
        draft,
        filter: &CaseFilter::default(),
    };
    simulation.replay(&RecordedDecision {
        accepted: case.last.result.is_ok(),
        log,
        lines: &case.order.lines,
    })
}

/// The one case of the last decision.
fn simulated(case: &Case, draft: &Policy) -> belay_domain::simulation::Case {
    let log = case.last.log.as_ref().expect("the policy was asked");
    match replay_under(case, draft, log).as_slice() {
        [Ok(case)] => case.clone(),
        other => panic!("not one case: {other:#?}"),
    }
}

/// The reason of the denial on record and under the draft, OK where it is allowed; and the refund.
fn outcomes(case: &Case, draft: &Policy) -> [(&'static str, i64); 2] {
    let case = simulated(case, draft);
    [case.recorded, case.draft].map(|of| (of.denied.map_or("OK", ErrorReason::name), of.refund))
}

/// Whatever was decided last: the log survives its storage, and the versions that were asked answer
/// once more what they have answered.
pub(crate) fn check_same(case: &Case) {
    let Some(log) = &case.last.log else { return };
    let stored = serde_json::to_string(log).unwrap();
    let log: DecisionLog = serde_json::from_str(&stored).unwrap();
    assert_eq!(case.last.log.as_ref(), Some(&log));
    let versions: BTreeSet<u32> = log.evaluations.iter().map(|of| of.policy_version).collect();
    for version in versions {
        let of_version = log
            .evaluations
            .iter()
            .filter(|of| of.policy_version == version);
        let log = DecisionLog {
            request: log.request.clone(),
            evaluations: of_version.cloned().collect(),
            rejected: None,
        };
        let asked = case.store.policies.version(version).unwrap();
        let mut summary = Summary::default();
        for replayed in replay_under(case, asked, &log) {
            match replayed {
                Ok(replayed) => {
                    assert!(!replayed.differs(), "{replayed:#?}");
                    summary.add(&replayed);
                }
                Err(NotReplayed::RejectedOtherwise) => assert!(case.last.result.is_err()),
                Err(left_out) => panic!("{left_out}: {log:#?}"),
            }
        }
        let both = |of: Transitions| (of.become_allowed, of.become_denied);
        assert_eq!(
            (both(summary.cases), both(summary.reevaluations)),
            ((0, 0), (0, 0))
        );
        assert_eq!(summary.counted.recorded, summary.counted.draft);
        assert!(summary.refunds.values().all(|of| of.recorded == of.draft));
    }
}

/// Cancels inside for an hour after the payment.
fn within_an_hour(code: &str) -> Policy {
    policy(&format!(
        "
  - {{id: in-time, when: {{stage: PLANNED, path: CANCEL, age: {{clock: PAID, less_than: 1h}}}}, allow: {{refund: FULL}}}}
  - {{id: late, when: {{path: CANCEL}}, deny: {{code: {code}}}}}"
    ))
}

#[test]
fn another_window_turns_what_lies_between_the_two() {
    let mut case = Cart::of(&[(2, 200)]).shipping(30, 0).paid();
    case.wait(SignedDuration::from_mins(59));
    case.cancelled(CancellationRequest::lines(&[(1, 1)]));
    let allowed = within_an_hour("REFUND_NOT_OFFERED");
    assert_eq!(outcomes(&case, &allowed), [("OK", 100), ("OK", 100)]);
    assert!(
        !simulated(&case, &allowed).differs(),
        "another rule alone is no difference"
    );

    case.wait(SignedDuration::from_mins(1));
    case.cancelled(CancellationRequest::all());
    assert_eq!(
        outcomes(&case, &allowed),
        [("OK", 130), ("REFUND_NOT_OFFERED", 0)],
        "the shipping charge goes with the last unit"
    );
    let turned = simulated(&case, &allowed);
    assert_eq!(
        (turned.occasion, turned.cancellation),
        (Occasion::Request, Some(2))
    );
    let portion = &turned.portions[0];
    assert_eq!(portion.recorded.rule.as_deref(), Some("inside"));
    assert_eq!(
        portion.draft.as_ref().unwrap().rule.as_deref(),
        Some("late")
    );
}

#[test]
fn what_was_rejected_may_be_allowed() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.dispatch(1).unwrap();
    assert_eq!(case.try_cancel(CancellationRequest::all()), "SHIPPED");
    let generous = policy("\n  - {id: all, when: {}, allow: {refund: FULL}}");
    assert_eq!(outcomes(&case, &generous), [("SHIPPED", 0), ("OK", 200)]);
    assert_eq!(simulated(&case, &generous).cancellation, None);
}

#[test]
fn a_request_goes_on_to_the_next_path_where_the_draft_denies_the_first() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all().paths(&[Path::Cancel, Path::Intercept]));
    let intercepts = policy(
        "
  - {id: intercept, when: {path: INTERCEPT}, allow: {refund: FULL}}
  - {id: never, when: {path: CANCEL}, deny: {code: ALREADY_ENDED}}",
    );
    let other = simulated(&case, &intercepts);
    let path = |of: &belay_domain::simulation::PathAnswer| of.path;
    assert_eq!(path(&other.portions[0].recorded), Path::Cancel);
    assert_eq!(
        other.portions[0].draft.as_ref().map(path),
        Some(Path::Intercept)
    );
    assert!(other.differs());
    assert_eq!(outcomes(&case, &intercepts), [("OK", 200), ("OK", 200)]);
}

#[test]
fn a_request_stands_or_falls_as_its_requester_chose() {
    let two = || {
        let mut case = Cart::of(&[(2, 200)]).split(&[&[(1, 1)], &[(1, 1)]]).paid();
        case.prepare(2).unwrap();
        case
    };
    let planned_only = policy(
        "
  - {id: planned, when: {stage: PLANNED, path: CANCEL}, allow: {refund: FULL}}
  - {id: packed, when: {path: CANCEL}, deny: {code: NOT_INTERCEPTABLE}}",
    );
    let mut whole = two();
    whole.cancelled(CancellationRequest::all());
    assert_eq!(
        outcomes(&whole, &planned_only),
        [("OK", 200), ("NOT_INTERCEPTABLE", 0)]
    );
    let mut some = two();
    some.cancelled(CancellationRequest::all().leave_out());
    assert_eq!(outcomes(&some, &planned_only), [("OK", 200), ("OK", 100)]);
    assert!(simulated(&some, &planned_only).differs());
}

#[test]
fn a_draft_rejects_a_reason_as_it_would_a_request() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all());
    let rows: [(&[(&str, &str)], &str); 4] = [
        (&[("CHANGED_MIND", "SECOND_THOUGHTS")], "REASON_UNKNOWN"),
        (&[("[BUYER, SUPPORT]", "[SUPPORT]")], "REASON_NOT_ALLOWED"),
        (
            &[("fault: BUYER,", "fault: BUYER, note_required: true,")],
            "NOTE_REQUIRED",
        ),
        (
            &[("fault: BUYER,", "fault: BUYER, evidence_required: true,")],
            "EVIDENCE_REQUIRED",
        ),
    ];
    for (changes, reason) in rows {
        let draft = policy_with(PLAIN, changes);
        assert_eq!(outcomes(&case, &draft), [("OK", 200), (reason, 0)]);
        assert_eq!(
            simulated(&case, &draft).portions[0].draft,
            None,
            "no rule is asked"
        );
    }

    let mut without = Cart::of(&[(2, 200)]).paid();
    let mut by_support = CancellationRequest::all();
    (by_support.by, by_support.request.reason) = (belay_domain::actor::Role::Support, None);
    without.cancelled(by_support);
    let draft = policy_with(PLAIN, &[("[BUYER]\nreasons", "[BUYER, SUPPORT]\nreasons")]);
    assert_eq!(
        outcomes(&without, &draft),
        [("OK", 200), ("REASON_REQUIRED", 0)]
    );
}

#[test]
fn fault_and_what_counts_follow_the_reasons_of_each() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all().by_seller());
    let draft = policy_with(
        PLAIN,
        &[("fault: SELLER, counted: true", "fault: PLATFORM")],
    );
    let other = simulated(&case, &draft);
    assert_eq!(
        (other.recorded.fault, other.recorded.counted),
        (Some(Fault::Seller), true)
    );
    assert_eq!(
        (other.draft.fault, other.draft.counted),
        (Some(Fault::Platform), false)
    );
    assert!(other.differs());
    let mut summary = Summary::default();
    summary.add(&other);
    assert_eq!(
        summary.counted,
        Compared {
            recorded: 1,
            draft: 0
        }
    );
    assert_eq!(
        summary.refunds["EUR"],
        Compared {
            recorded: 200,
            draft: 200
        }
    );
    assert_eq!((summary.differing, summary.questions), (1, 1));
}

#[test]
fn nothing_goes_back_of_an_order_that_is_not_paid() {
    let mut case = Cart::of(&[(2, 200)]).place();
    case.cancelled(CancellationRequest::all());
    assert_eq!(outcomes(&case, &policy(PLAIN)), [("OK", 0), ("OK", 0)]);
}

#[test]
fn a_part_that_waits_is_asked_again_and_is_no_case_of_its_own() {
    let mut case = Cart::of(&[(2, 200)]).paid_under(gated(
        "PLANNED",
        &["{kind: SELLER_CONSENT, respond_within: 48h, on_timeout: PASS, on_dispatch: REFUSE_PART}"],
    ));
    case.cancelled(CancellationRequest::all());
    case.prepare(1).unwrap();
    let strict = policy(
        "
  - {id: planned, when: {stage: PLANNED, path: CANCEL}, allow: {refund: FULL}}
  - {id: packed, when: {path: CANCEL}, deny: {code: NOT_INTERCEPTABLE}}",
    );
    let again = simulated(&case, &strict);
    assert_eq!(
        (again.occasion, again.cancellation),
        (Occasion::Reevaluation, Some(1))
    );
    let mut summary = Summary::default();
    summary.add(&again);
    assert_eq!(summary.cases, Transitions::default());
    assert_eq!(summary.refunds, [].into());
    let turned = Transitions {
        become_denied: 1,
        ..Transitions::default()
    };
    assert_eq!((summary.reevaluations, summary.differing), (turned, 1));
}

#[test]
fn other_gates_are_a_difference() {
    let mut case = Cart::of(&[(2, 200)]).paid_under(consent_when_preparing());
    case.bring_to(1, Stage::Preparing);
    case.cancelled(CancellationRequest::all());
    let other = simulated(&case, &policy(PLAIN));
    assert_eq!(other.recorded, other.draft);
    assert!(other.differs());
}

#[test]
fn a_filter_leaves_out_what_does_not_match() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all());
    let (log, draft) = (case.last.log.clone().unwrap(), policy(PLAIN));
    let found = |filter: &CaseFilter| {
        let simulation = Simulation {
            policies: &case.store.policies,
            draft: &draft,
            filter,
        };
        let decision = RecordedDecision {
            accepted: true,
            log: &log,
            lines: &case.order.lines,
        };
        simulation.replay(&decision).len()
    };
    use belay_domain::actor::Role;
    for (requester, reason, count) in [
        (None, None, 1),
        (Some(Role::Buyer), None, 1),
        (Some(Role::Seller), None, 0),
        (None, Some("CHANGED_MIND"), 1),
        (Some(Role::Buyer), Some("BROKEN"), 0),
    ] {
        let reason = reason.map(str::to_owned);
        assert_eq!(found(&CaseFilter { requester, reason }), count);
    }
}

#[test]
fn what_cannot_be_replayed_says_why() {
    let mut case = Cart::of(&[(2, 200)]).paid();
    case.cancelled(CancellationRequest::all());
    let (log, draft) = (case.last.log.clone().unwrap(), policy(PLAIN));
    let only = |case: &Case, log: &DecisionLog| match replay_under(case, &draft, log).as_slice() {
        [Err(left_out)] => *left_out,
        other => panic!("{other:#?}"),
    };
    let mut without_request = log.clone();
    without_request.request = None;
    assert_eq!(only(&case, &without_request), NotReplayed::EarlierFormat);
    let mut unasked = log.clone();
    unasked.evaluations[0].asked.clear();
    assert_eq!(only(&case, &unasked), NotReplayed::EarlierFormat);
    let mut of_another = log.clone();
    of_another.evaluations[0].policy_version = 2;
    assert_eq!(only(&case, &of_another), NotReplayed::VersionUnknown);
    // As where the order has as many cancellations as it may have.
    case.last.result = Err(belay_domain::rejection::Rejection::NothingToCancel);
    assert_eq!(only(&case, &log), NotReplayed::RejectedOtherwise);
}
