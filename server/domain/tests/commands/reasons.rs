//! The list of reasons says of each what its preview says, and lists those of the requester alone.

use belay_domain::actor::{Actor, Role};
use belay_domain::commands::{ListedReasons, list_reasons};
use belay_domain::context::Context;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Scope;
use belay_domain::shipment::Stage;
use uuid::Uuid;

use crate::kit::{CancellationRequest, Cart, Case, consent_when_preparing};
use crate::previews::previewed;

fn with_listed<T>(
    case: &Case,
    request: &CancellationRequest,
    look: impl FnOnce(Result<ListedReasons<'_>, Rejection>) -> T,
) -> T {
    let caller = Actor::new(request.by, "someone");
    let context = Context {
        now: case.now,
        caller: &caller,
        scope: &Scope::EVERYTHING,
        request_id: Uuid::nil(),
        store: &case.store,
    };
    look(list_reasons(&case.order, &request.request, &context))
}

/// Each reason that is listed is previewed as well, and both say the same.
fn holds(case: &Case, request: &CancellationRequest) -> usize {
    with_listed(case, request, |listed| {
        let listed = listed.unwrap_or_else(|rejection| panic!("{rejection:?}"));
        for of in &listed.reasons {
            let mut request = request.clone();
            request.request.reason = Some(of.reason.code.clone());
            let preview = previewed(case, &request).unwrap();
            assert_eq!(listed.policy_version, preview.policy_version);
            match &of.outcome {
                Err(rejection) => assert_eq!(preview.rejections.first(), Some(rejection)),
                Ok(outcome) => {
                    assert_eq!(preview.rejections, [], "{}", of.reason.code);
                    assert_eq!(
                        (outcome.refund, outcome.release),
                        (preview.refund, preview.release)
                    );
                }
            }
        }
        listed.reasons.len()
    })
}

#[test]
fn each_reason_comes_to_what_its_preview_says() {
    let cart = Cart::of(&[(3, 300), (2, 200)]).split(&[&[(1, 3)], &[(2, 2)]]);
    let mut case = cart.paid_under(consent_when_preparing());
    case.bring_to(1, Stage::Preparing)
        .bring_to(2, Stage::InTransit);
    for request in [
        CancellationRequest::all(),
        CancellationRequest::shipment(1),
        CancellationRequest::shipment(2),
        CancellationRequest::lines(&[(1, 2)]),
        CancellationRequest::lines(&[(1, 9)]),
    ] {
        assert!(holds(&case, &request) > 0);
    }
    with_listed(&case, &CancellationRequest::shipment(1), |listed| {
        let waits = |listed: &ListedReasons<'_>| {
            let outcomes = listed.reasons.iter().map(|of| of.outcome.clone().unwrap());
            outcomes.map(|outcome| outcome.waits).collect::<Vec<_>>()
        };
        let listed = listed.unwrap();
        assert!(waits(&listed).iter().all(|waits| *waits), "{listed:?}");
    });
    case.cancel(CancellationRequest::shipment(1)).unwrap();
    assert!(holds(&case, &CancellationRequest::shipment(1)) > 0);
}

#[test]
fn what_is_wholly_cancelled_is_allowed_again_as_a_request_is() {
    let mut case = Cart::of(&[(1, 100)]).paid();
    case.cancel(CancellationRequest::all()).unwrap();
    holds(&case, &CancellationRequest::all());
    with_listed(&case, &CancellationRequest::all(), |listed| {
        assert!(listed.unwrap().reasons.iter().all(|of| of.outcome.is_ok()));
    });
}

#[test]
fn a_requester_is_listed_its_own_reasons_and_whether_it_must_name_one() {
    let case = Cart::of(&[(1, 100)]).paid();
    let policy = case.store.policies.active_at(case.now).unwrap().1;
    for (caller, requester) in [
        (Role::Storefront, Role::Buyer),
        (Role::Seller, Role::Seller),
        (Role::Operator, Role::Support),
        (Role::Support, Role::Support),
    ] {
        let mut request = CancellationRequest::all();
        request.by = caller;
        let theirs: Vec<&str> = policy
            .reasons
            .iter()
            .filter(|reason| reason.actors.contains(&requester))
            .map(|reason| &*reason.code)
            .collect();
        with_listed(&case, &request, |listed| {
            let listed = listed.unwrap();
            let codes: Vec<&str> = listed.reasons.iter().map(|of| &*of.reason.code).collect();
            assert_eq!(codes, theirs, "{caller}");
            assert_eq!(
                listed.is_required,
                policy.reason_required.contains(&requester)
            );
        });
    }
}

#[test]
fn what_cannot_be_asked_about_is_rejected_as_a_preview_is() {
    let case = Cart::of(&[(1, 100)]).paid();
    for request in [
        CancellationRequest::lines(&[(2, 1)]),
        CancellationRequest::shipment(7),
    ] {
        let expected = previewed(&case, &request).unwrap_err();
        with_listed(&case, &request, |listed| {
            assert_eq!(listed.unwrap_err(), expected);
        });
    }
}
