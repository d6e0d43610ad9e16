//! A quote holds Belay to what a preview said: this, or nothing.

use std::collections::BTreeMap;

use belay_domain::actor::Actor;
use belay_domain::commands::{Preview, PreviewedVerdict, QUOTE_VALIDITY, preview};
use belay_domain::context::Context;
use belay_domain::policy::Policies;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Scope;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::kit::{
    CancellationRequest, Cart, Case, MICROSECOND, PLACED, PLAIN, consent_when_preparing, policy,
};

fn previewed(case: &Case, cancel_request: &CancellationRequest) -> Preview {
    let caller = Actor::new(cancel_request.by, "someone");
    let context = Context {
        now: case.now,
        caller: &caller,
        scope: &Scope::EVERYTHING,
        request_id: Uuid::nil(),
        store: &case.store,
    };
    preview(&case.order, &cancel_request.request, &context).unwrap()
}

/// The request, with what it was quoted.
pub(crate) fn quoted(case: &Case, mut cancel_request: CancellationRequest) -> CancellationRequest {
    cancel_request.request.quote = previewed(case, &cancel_request).quote.map(Box::new);
    assert!(cancel_request.request.quote.is_some());
    cancel_request
}

fn order() -> Case {
    Cart::of(&[(3, 1000)])
        .shipping(100, 10)
        .paid_under(consent_when_preparing())
}

#[test]
fn what_was_quoted_is_what_is_got() {
    let mut case = order();
    let cancel_request = quoted(&case, CancellationRequest::all());
    let quote = cancel_request.request.quote.clone().unwrap().quote;
    case.cancel(cancel_request).unwrap();
    assert_eq!(
        (case.part(1, 0).refund, case.part(1, 0).deductions),
        (quote.parts[0].credit, quote.parts[0].deductions)
    );
    assert_eq!(case.refunds()[0].1, quote.refund.total());
}

#[test]
fn a_quote_may_be_used_until_the_very_microsecond() {
    let case = order();
    let cancel_request = quoted(&case, CancellationRequest::all());
    assert_eq!(
        case.clone()
            .wait(QUOTE_VALIDITY - MICROSECOND)
            .try_cancel(cancel_request.clone()),
        "OK"
    );
    let valid_until = PLACED + QUOTE_VALIDITY;
    assert_eq!(
        case.clone().wait(QUOTE_VALIDITY).cancel(cancel_request),
        Err(Rejection::QuoteExpired { valid_until })
    );
}

#[test]
fn what_has_changed_since_the_quote_refuses_and_shows_both() {
    type Change = fn(&mut Case);
    let changes: [(&str, Change); 3] = [
        ("a gate is asked for now", |case| drop(case.prepare(1))),
        ("there is less left", |case| {
            drop(case.cancel(CancellationRequest::lines(&[(1, 1)])))
        }),
        ("another policy decides", |case| {
            let versions = BTreeMap::from([
                (1, policy(PLAIN).into()),
                (2, consent_when_preparing().into()),
            ]);
            case.store.policies = Policies::new(versions, vec![(PLACED, 2)]);
        }),
    ];
    for (name, change) in changes {
        let mut case = order();
        let cancel_request = quoted(&case, CancellationRequest::all());
        change(&mut case);
        let before = case.order.clone();
        match case.cancel(cancel_request) {
            Err(Rejection::QuoteMismatch { quoted, present }) => {
                assert_ne!(quoted, present, "{name}")
            }
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(case.order, before, "{name}");
    }
}

#[test]
fn a_quote_binds_how_long_a_party_has_and_not_until_when() {
    let mut case = order();
    case.prepare(1).unwrap();
    let cancel_request = quoted(&case, CancellationRequest::lines(&[(1, 1)]));
    assert_eq!(
        cancel_request.request.quote.clone().unwrap().quote.parts[0]
            .gates
            .len(),
        1
    );
    case.wait(SignedDuration::from_mins(5))
        .cancel(cancel_request)
        .unwrap();
    assert_eq!(
        case.part(1, 0).gates[0].respond_by,
        Some(case.now + SignedDuration::from_hours(48))
    );
}

#[test]
fn what_would_be_refused_is_not_quoted() {
    let mut case = order();
    case.dispatch(1).unwrap();
    assert_eq!(previewed(&case, &CancellationRequest::all()).quote, None);
}

#[test]
fn a_preview_says_from_and_until_when_a_path_is_open() {
    let day = "{clock: PAID, at_least: 1h, less_than: 24h}";
    let rules =
        format!("\n  - {{id: day, when: {{path: CANCEL, age: {day}}}, allow: {{refund: FULL}}}}");
    let mut case = Cart::of(&[(1, 100)]).paid_under(policy(&rules));
    let cancel = |case: &Case| {
        previewed(case, &CancellationRequest::all())
            .paths
            .swap_remove(0)
            .verdict
    };
    match cancel(&case) {
        PreviewedVerdict::Denied(denied) => {
            assert_eq!(
                denied.available_from,
                Some(PLACED + SignedDuration::from_hours(1))
            );
        }
        allowed @ PreviewedVerdict::Allowed { .. } => panic!("{allowed:?}"),
    }
    case.wait(SignedDuration::from_hours(2));
    match cancel(&case) {
        PreviewedVerdict::Allowed {
            available_until, ..
        } => {
            assert_eq!(
                available_until,
                Some(PLACED + SignedDuration::from_hours(24))
            );
        }
        denied @ PreviewedVerdict::Denied(_) => panic!("{denied:?}"),
    }
    case.wait(SignedDuration::from_hours(22));
    match cancel(&case) {
        PreviewedVerdict::Denied(denied) => assert_eq!(denied.available_from, None),
        allowed @ PreviewedVerdict::Allowed { .. } => panic!("{allowed:?}"),
    }
}
