//! Releases of authorisations that the provider thinks better of: what is held follows the last
//! word on the row, and no row bars the release of what is authorised later.

use belay_domain::commands::{RefundResult, allowed_resolutions};
use belay_domain::incident::IncidentKind::{PaymentLapsed, RefundFailed};
use belay_domain::incident::Resolution::{self, Accept, DropRefund, RetryRefund};
use belay_domain::order::OrderState;
use belay_domain::payment::PaymentFact::{Authorized, Declined, Voided};
use belay_domain::refund::RefundKind::{self, Void};
use belay_domain::refund::RefundState::{self, Cancelled, Dropped, Due, Failed, Settled};
use belay_domain::shipment::{Stage, TrackingFact};
use jiff::SignedDuration;

use crate::invariants;
use crate::kit::{CancellationRequest, Cart, Case, settled};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn failed() -> RefundResult {
    RefundResult::Failed {
        code: "BUSY".to_owned(),
    }
}

/// One unit of 50.
fn fifty() -> Case {
    Cart::of(&[(1, 50)]).place()
}

/// Authorised twice, and the release of the second is with a worker.
fn twice_authorised() -> Case {
    let mut case = fifty();
    case.authorize("p1", 50).authorize("p2", 50);
    assert_eq!(case.lease(&[1]), [1]);
    case
}

/// Cancelled, and the release of what was authorised is with a worker.
fn released() -> Case {
    let mut case = fifty();
    case.authorize("p1", 50)
        .cancelled(CancellationRequest::all());
    assert_eq!(case.lease(&[1]), [1]);
    case
}

/// Tells these results of the first row.
fn tell(case: &mut Case, results: &[RefundResult]) {
    for result in results {
        case.result(1, result.clone()).unwrap();
        invariants::check(&case.order, case.now);
    }
}

fn held(case: &Case, payment: u32) -> i64 {
    case.order.payment(payment).unwrap().balance.held
}

fn rows(case: &Case) -> Vec<(RefundKind, u32, i64, RefundState)> {
    let row = |refund: &belay_domain::refund::Refund| {
        let total = refund.amounts.total();
        (refund.kind, refund.payment, total, refund.state)
    };
    case.order.refunds.iter().map(row).collect()
}

fn allowed(case: &Case, incident: u32) -> Vec<Resolution> {
    allowed_resolutions(&case.order, case.order.incident(incident).unwrap())
}

#[test]
fn what_was_released_after_all_pays_for_nothing() {
    let words: [&[RefundResult]; 2] = [
        &[failed(), settled(50)],
        &[settled(50), failed(), settled(50)],
    ];
    for results in words {
        let mut case = twice_authorised();
        tell(&mut case, results);
        assert_eq!(held(&case, 2), 0, "{results:?}");
        assert!(!case.incidents().contains(&RefundFailed), "{results:?}");
        case.fact("p1", Voided, 0).unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!(
            (case.state(), case.stage(1)),
            (OrderState::AwaitingPayment, Stage::Unreleased)
        );
        assert!(case.incidents().contains(&PaymentLapsed));
    }
}

#[test]
fn the_providers_last_word_on_a_release_counts() {
    // Less than it said at first: the rest has a row.
    let mut case = released();
    tell(&mut case, &[settled(50), settled(30)]);
    assert_eq!(
        (held(&case, 1), rows(&case)),
        (20, vec![(Void, 1, 50, Settled), (Void, 1, 20, Due)])
    );
    assert_eq!(case.promise(1).release, 50);

    // More than it said at first: nothing is left to release.
    let mut case = released();
    tell(&mut case, &[settled(30), settled(50)]);
    assert_eq!(
        (held(&case, 1), rows(&case)),
        (0, vec![(Void, 1, 50, Settled), (Void, 1, 20, Cancelled)])
    );
    assert_eq!(case.promise(1).release, 50);

    // In part after all, and then none of it.
    let mut case = released();
    tell(&mut case, &[failed(), settled(30)]);
    assert_eq!(
        (held(&case, 1), rows(&case)),
        (20, vec![(Void, 1, 50, Failed), (Void, 1, 20, Due)])
    );
    tell(&mut case, &[failed()]);
    assert_eq!(held(&case, 1), 50);
    assert_eq!(
        rows(&case)[1..],
        [(Void, 1, 20, Cancelled)],
        "support is asked about all of it"
    );
}

#[test]
fn a_release_told_twice_releases_once() {
    let mut case = released();
    tell(&mut case, &[settled(20), failed(), settled(20)]);
    assert_eq!(held(&case, 1), 30);
    case.wait(HOUR).authorize("p1", 50);
    tell(&mut case, &[failed(), settled(20)]);
    assert_eq!(held(&case, 1), 80);
}

#[test]
fn a_release_that_failed_bars_none_of_what_is_authorised_later() {
    for is_over_first in [true, false] {
        let mut case = released();
        if is_over_first {
            case.fact("p1", Voided, 0).unwrap();
        }
        tell(&mut case, &[failed()]);
        if !is_over_first {
            case.fact("p1", Voided, 0).unwrap();
        }
        assert_eq!(
            (rows(&case), case.incidents()),
            (vec![(Void, 1, 50, Failed)], vec![])
        );
        case.wait(HOUR).authorize("p1", 50);
        invariants::check(&case.order, case.now);
        assert_eq!(rows(&case)[1..], [(Void, 1, 50, Due)]);
        assert_eq!(case.promise(1).release, 50);
    }
}

#[test]
fn who_lets_a_failed_release_be_decides_about_that_hold_alone() {
    let accepted = || {
        let mut case = released();
        tell(&mut case, &[failed()]);
        assert_eq!(allowed(&case, 1), [RetryRefund, Accept]);
        case.resolve(1, Accept).unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!(rows(&case), [(Void, 1, 50, Failed)], "it stays as it is");
        case
    };
    let mut more = accepted();
    more.authorize("p1", 10);
    assert_eq!(rows(&more)[1..], [(Void, 1, 60, Due)]);
    let mut anew = accepted();
    for fact in [Declined, Authorized] {
        anew.wait(HOUR).fact("p1", fact, 50).unwrap();
    }
    assert_eq!(rows(&anew)[1..], [(Void, 1, 50, Due)]);
    // A part of it has lapsed, and what is left was accepted.
    let mut less = accepted();
    less.fact("p1", Voided, 10).unwrap();
    assert_eq!(rows(&less).len(), 1);
}

#[test]
fn a_failed_release_is_tried_again_for_all_that_is_held_by_then() {
    for (fact, amount, held) in [(Authorized, 10, 60), (Voided, 10, 40)] {
        let mut case = released();
        tell(&mut case, &[failed()]);
        case.fact("p1", fact, amount).unwrap();
        case.resolve(1, RetryRefund).unwrap();
        invariants::check(&case.order, case.now);
        assert_eq!(rows(&case)[1..], [(Void, 1, held, Due)]);
    }
}

#[test]
fn what_is_with_a_worker_is_not_released_twice() {
    let mut case = released();
    tell(&mut case, &[settled(20)]);
    assert_eq!(case.lease(&[2]), [2]);
    tell(&mut case, &[failed()]);
    assert_eq!(held(&case, 1), 50);
    let failure = case.order.incidents.last().unwrap().number;
    assert_eq!(allowed(&case, failure), [Accept]);
    case.result(2, failed()).unwrap();
    let of_both = [failure, case.order.incidents.last().unwrap().number];
    for incident in of_both {
        assert_eq!(allowed(&case, incident), [RetryRefund, Accept]);
    }
    case.resolve(failure, RetryRefund).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(rows(&case)[2..], [(Void, 1, 50, Due)]);
    assert_eq!(allowed(&case, of_both[1]), [Accept]);
}

#[test]
fn a_hold_that_was_needed_is_released_once_it_is_not() {
    let mut case = twice_authorised();
    tell(&mut case, &[failed()]);
    case.fact("p1", Voided, 0).unwrap();
    assert_eq!(
        (case.state(), allowed(&case, 1)),
        (OrderState::ToShip, vec![Accept]),
        "the order is paid by it, so nobody releases it"
    );
    case.resolve(1, Accept).unwrap();
    case.wait(HOUR).cancelled(CancellationRequest::all());
    invariants::check(&case.order, case.now);
    assert_eq!(rows(&case)[1..], [(Void, 2, 50, Due)]);
    assert_eq!(case.promise(1).release, 50);
}

#[test]
fn who_drops_a_release_decides_about_that_hold_alone() {
    let mut case = fifty();
    case.authorize("p1", 50)
        .cancelled(CancellationRequest::all())
        .scan(1, TrackingFact::PickedUp)
        .unwrap();
    case.resolve(1, DropRefund).unwrap();
    invariants::check(&case.order, case.now);
    assert_eq!(rows(&case), [(Void, 1, 50, Dropped)]);
    case.wait(HOUR).fact("p1", Voided, 0).unwrap();
    case.authorize("p1", 50);
    invariants::check(&case.order, case.now);
    assert_eq!(rows(&case)[1..], [(Void, 1, 50, Due)]);
}
