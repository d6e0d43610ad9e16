//! RefundService: money that goes back, and the workers that take it to the provider.

use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::model::{
    EventType, IncidentKind, PaymentFact, PaymentState, Refund, RefundKind, RefundResult,
    RefundState,
};
use belay_client::{Kind, Money, RequestId, Role, Units, reason};
use belay_tests::shop::{TOTAL, eur, new_order, pay};
use belay_tests::{TestServer, documents, pages, refused, run, run_at, until};
use jiff::{SignedDuration, Timestamp};

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// A paid order that was wholly cancelled, and its only refund.
async fn refund_due(t: &TestServer, order_id: &str) -> Refund {
    t.place_paid(order_id).await;
    t.cancel(order_id).await;
    t.order(order_id).await.refunds.remove(0)
}

#[test]
fn a_worker_claims_what_is_due_for_a_time_and_nobody_else_gets_it_meanwhile() {
    run_at(MONDAY, async |t| {
        let due = refund_due(t, "A-1").await;
        assert_eq!(
            (due.state, due.worker_id.as_ref(), due.lease_until),
            (RefundState::Due, None, None)
        );
        let claimed = t.claim("worker-1").await.unwrap();
        assert_eq!(
            (claimed.refund_id.as_str(), claimed.state),
            ("A-1:r1", RefundState::Submitted)
        );
        assert_eq!(
            claimed.worker_id.as_ref().map(|worker| worker.as_str()),
            Some("worker-1")
        );
        assert_eq!(
            claimed.lease_until,
            Some(t.now().await + SignedDuration::from_secs(60))
        );
        assert!(!claimed.ask_provider_first);
        assert_eq!(claimed.provider_key, due.provider_key);
        assert_eq!(t.support().get_refund("A-1:r1").await.unwrap(), claimed);
        assert_eq!(t.claim("worker-2").await, None);
        assert_eq!(t.claim("worker-1").await, None);
    });
}

#[test]
fn refunds_are_handed_out_by_urgency_and_as_many_as_asked() {
    run_at(MONDAY, async |t| {
        for order_id in ["A-1", "A-2", "A-3", "A-4"] {
            refund_due(t, order_id).await;
            t.advance(SignedDuration::from_mins(1)).await;
        }
        let claim = t
            .payments()
            .claim_refunds("worker-1")
            .max_refunds(3)
            .lease(Duration::from_secs(600));
        let claimed = claim.await.unwrap();
        let ids: Vec<&str> = claimed
            .iter()
            .map(|refund| refund.refund_id.as_str())
            .collect();
        assert_eq!(ids, ["A-1:r1", "A-2:r1", "A-3:r1"]);
        assert!(
            claimed
                .iter()
                .all(|refund| refund.state == RefundState::Submitted)
        );
        assert_eq!(
            claimed[0].lease_until,
            Some(t.now().await + SignedDuration::from_mins(10))
        );
        assert_eq!(t.claim("worker-2").await.unwrap().refund_id, "A-4:r1");
        let keys: std::collections::BTreeSet<&str> =
            claimed.iter().map(|refund| &*refund.provider_key).collect();
        assert_eq!(keys.len(), 3);
    });
}

#[test]
fn a_lease_that_ends_without_a_result_leaves_it_unknown_and_it_is_handed_out_again() {
    run_at(MONDAY, async |t| {
        let due = refund_due(t, "A-1").await;
        let lease_until = t.claim("worker-1").await.unwrap().lease_until.unwrap();
        t.set_clock(lease_until - SignedDuration::from_micros(1))
            .await;
        assert_eq!(t.claim("worker-2").await, None);
        t.set_clock(lease_until).await;
        let unknown = until("the lease ends", async || {
            let refund = t.support().get_refund("A-1:r1").await.unwrap();
            Some(refund).filter(|refund| refund.state == RefundState::Unknown)
        })
        .await;
        assert!(unknown.ask_provider_first);
        // It stays unknown until the provider has told, under the same key.
        let again = t.claim("worker-2").await.unwrap();
        assert_eq!(
            (again.state, again.ask_provider_first),
            (RefundState::Unknown, true)
        );
        assert_eq!(again.provider_key, due.provider_key);
        assert_eq!(
            again.worker_id.as_ref().map(|worker| worker.as_str()),
            Some("worker-2")
        );
        assert_eq!(t.claim("worker-3").await, None);
        // The first worker's word comes late, and counts.
        let settled = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .await
            .unwrap();
        assert_eq!(settled.state, RefundState::Settled);
    });
}

#[test]
fn a_settled_refund_is_told_of_once() {
    run_at(MONDAY, async |t| {
        refund_due(t, "A-1").await;
        t.claim("worker-1").await.unwrap();
        let result = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .provider_refund_id("ref-9");
        let result = result.request_id(RequestId::mint());
        let settled = result.clone().await.unwrap();
        assert_eq!(
            (settled.state, settled.provider_refund_id.as_deref()),
            (RefundState::Settled, Some("ref-9"))
        );
        assert_eq!(settled.settle_time, Some(t.now().await));
        let order = t.order("A-1").await;
        assert_eq!(
            (&order.totals.refunded, &order.payments[0].refunded),
            (&eur(TOTAL), &eur(TOTAL))
        );
        let rows = t.database.snapshot().await;

        assert_eq!(result.clone().await.unwrap(), settled);
        let other = result.clone().provider_refund_id("ref-10").await;
        refused(other, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(t.database.snapshot().await, rows);
        // The provider tells it again by itself: no news.
        let again = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .await
            .unwrap();
        assert_eq!(again.value, settled.value);
        assert_eq!(
            t.database.snapshot().await.without_answers(),
            rows.without_answers()
        );
        let moves = t.events("A-1", EventType::RefundStateChanged).await;
        assert_eq!(
            moves
                .iter()
                .map(|event| event.notify_buyer)
                .collect::<Vec<_>>(),
            [false, true]
        );
    });
}

#[test]
fn another_amount_than_was_asked_is_an_incident() {
    run(async |t| {
        refund_due(t, "A-1").await;
        t.claim("worker-1").await.unwrap();
        let short = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .amount(eur(TOTAL - 1));
        assert_eq!(short.await.unwrap().state, RefundState::Settled);
        let incident = t.order("A-1").await.incidents.remove(0);
        assert_eq!(
            (incident.kind, &*incident.subject_id),
            (IncidentKind::RefundMismatch, "A-1:r1")
        );
        let rest = t.claim("worker-1").await.unwrap();
        assert_eq!(
            (rest.refund_id.as_str(), rest.amount.total),
            ("A-1:r2", eur(1))
        );

        refund_due(t, "A-2").await;
        t.claim("worker-1").await.unwrap();
        let result = |amount| {
            t.payments()
                .record_refund_result("A-2:r1", RefundResult::Settled)
                .amount(eur(amount))
        };
        result(TOTAL).await.unwrap();
        assert!(t.order("A-2").await.incidents.is_empty());
        result(TOTAL + 1).await.unwrap();
        assert_eq!(
            t.order("A-2").await.incidents[0].kind,
            IncidentKind::RefundMismatch
        );
        let error = refused(
            t.payments()
                .record_refund_result("A-2:r1", RefundResult::Settled)
                .amount(Money::new("USD", TOTAL))
                .await,
            Kind::InvalidArgument,
            "CURRENCY_MISMATCH",
        );
        assert_eq!(error.metadata()["currency_code"], "EUR");
    });
}

#[test]
fn a_failed_refund_is_final_and_says_why() {
    run(async |t| {
        refund_due(t, "A-1").await;
        t.claim("worker-1").await.unwrap();
        let failed = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Failed)
            .failure_code("account closed");
        let failed = failed.await.unwrap();
        assert_eq!(
            (failed.state, failed.failure_code.as_deref()),
            (RefundState::Failed, Some("account closed"))
        );
        assert_eq!(t.claim("worker-1").await, None);
        // What is said later changes nothing but is on record.
        let late = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .await
            .unwrap();
        assert_eq!(late.state, RefundState::Failed);
        let incidents: Vec<_> = t
            .order("A-1")
            .await
            .incidents
            .iter()
            .map(|incident| incident.kind)
            .collect();
        assert_eq!(
            incidents,
            [IncidentKind::RefundFailed, IncidentKind::LateFact]
        );
    });
}

#[test]
fn money_that_came_back_makes_a_settled_refund_fail() {
    run(async |t| {
        refund_due(t, "A-1").await;
        t.claim("worker-1").await.unwrap();
        t.payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .await
            .unwrap();
        let returned = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Failed)
            .failure_code("returned");
        assert_eq!(returned.await.unwrap().state, RefundState::Failed);
        assert_eq!(t.order("A-1").await.totals.refunded, eur(0));
    });
}

#[test]
fn a_result_that_cannot_be_told_leaves_it_unknown_and_free_to_be_asked_for() {
    run(async |t| {
        refund_due(t, "A-1").await;
        t.claim("worker-1").await.unwrap();
        let unknown = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Unknown)
            .await
            .unwrap();
        assert_eq!(
            (unknown.state, unknown.ask_provider_first),
            (RefundState::Unknown, true)
        );
        let again = t.claim("worker-2").await.unwrap();
        assert_eq!(
            (again.refund_id.as_str(), again.ask_provider_first),
            ("A-1:r1", true)
        );
    });
}

#[test]
fn a_result_of_what_nobody_claimed_is_refused() {
    run(async |t| {
        refund_due(t, "A-1").await;
        let result = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .await;
        let error = refused(result, Kind::Rejected, "REFUND_NOT_CLAIMED");
        assert_eq!(error.metadata()["refund_id"], "A-1:r1");
    });
}

#[test]
fn a_refund_fills_the_payments_in_the_order_of_their_capture() {
    run_at(MONDAY, async |t| {
        t.place("A-1").await;
        let capture = async |payment: &str, amount: i64| {
            let call = t
                .payments()
                .record_payment("A-1", payment, "evt", PaymentFact::Captured)
                .amount(eur(amount));
            call.method("CREDIT_CARD").await.unwrap();
            t.advance(SignedDuration::from_mins(1)).await;
        };
        capture("first", 1_000).await;
        capture("second", TOTAL - 1_000).await;
        // Two mugs come out of the first payment; the rest is more than it still holds.
        t.cancel_units("A-1", Units::line("A-1:l1", 2)).await;
        t.cancel_units("A-1", Units::all()).await;
        let refunds: Vec<_> = t.order("A-1").await.refunds;
        let shown: Vec<_> = refunds
            .iter()
            .map(|r| (&*r.provider_payment_id, r.amount.total.minor_units))
            .collect();
        assert_eq!(
            shown,
            [("first", 792), ("first", 208), ("second", TOTAL - 1_000)]
        );
    });
}

#[test]
fn a_settled_void_voids_the_payment() {
    run(async |t| {
        t.place("A-1").await;
        let authorized = t
            .payments()
            .record_payment("A-1", "pay-1", "evt-1", PaymentFact::Authorized)
            .amount(eur(TOTAL));
        authorized.method("CREDIT_CARD").await.unwrap();
        t.cancel("A-1").await;
        let claimed = t.claim("worker-1").await.unwrap();
        assert_eq!(
            (claimed.kind, &*claimed.provider_payment_id),
            (RefundKind::Void, "pay-1")
        );
        t.payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .await
            .unwrap();
        let order = t.order("A-1").await;
        assert_eq!(
            (order.payments[0].state, &order.totals.refunded),
            (PaymentState::Voided, &eur(0))
        );
        // What is captured after all goes back too.
        let captured = t
            .payments()
            .record_payment("A-1", "pay-1", "evt-2", PaymentFact::Captured)
            .amount(eur(TOTAL));
        let order = captured.await.unwrap();
        assert_eq!(
            (order.refunds[1].kind, &order.refunds[1].amount.total),
            (RefundKind::Refund, &eur(TOTAL))
        );
    });
}

#[test]
fn a_refund_in_working_days_is_due_at_the_end_of_the_last_in_the_buyers_region() {
    // A Thursday evening in Berlin.
    run_at("2026-04-02T20:00:00Z", async |t| {
        let calendars = "    default: {time_zone: UTC, weekend: [SATURDAY, SUNDAY]}
    DE: {time_zone: Europe/Berlin, weekend: [SATURDAY, SUNDAY], holidays: [2026-04-03, 2026-04-06]}
";
        let document = documents::independent_site();
        let (head, _) = document.split_once("  calendars:\n").unwrap();
        let document = format!("{head}  calendars:\n{calendars}")
            .replace("due: IMMEDIATE", "due: {working_days: 2}");
        t.create_shop("slow", FirstPolicy::document(document)).await;
        let store = t.store_as("slow", Role::Storefront, "web");
        new_order(&store, "A-1").await.unwrap();
        pay(&store, "A-1").await;
        let request = store
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let cancellation = request.await.unwrap().cancellation;
        // Good Friday, a weekend and Easter Monday lie between; Tuesday and Wednesday are the two
        // days.
        let due: Timestamp = "2026-04-08T22:00:00Z".parse().unwrap();
        assert_eq!(cancellation.refund_due_by, Some(due));
        let refund = store.get_refund(&cancellation.refund_ids[0]).await.unwrap();
        assert_eq!((refund.due_by, refund.state), (due, RefundState::Due));
    });
}

#[test]
fn refunds_are_listed_from_new_to_old_page_by_page_and_by_filter() {
    run(async |t| {
        for order_id in ["A-1", "A-2", "A-3", "A-4", "A-5"] {
            refund_due(t, order_id).await;
        }
        t.claim("worker-1").await.unwrap();
        let paged = pages(async |token| {
            t.support()
                .list_refunds()
                .page_size(2)
                .page_token(token)
                .await
        })
        .await;
        let listed: Vec<_> = paged
            .iter()
            .flatten()
            .map(|refund| refund.refund_id.as_str())
            .collect();
        assert_eq!(listed, ["A-5:r1", "A-4:r1", "A-3:r1", "A-2:r1", "A-1:r1"]);
        let list = || t.support().list_refunds();
        assert_eq!(list().order_id("A-2").await.unwrap().items.len(), 1);
        assert_eq!(
            list()
                .state(RefundState::Submitted)
                .await
                .unwrap()
                .items
                .len(),
            1
        );
        assert_eq!(
            list()
                .state(RefundState::Due)
                .page_size(10)
                .await
                .unwrap()
                .items
                .len(),
            4
        );
        assert_eq!(list().order_id("A-9").await.unwrap().items.len(), 0);
    });
}

#[test]
fn a_refund_that_is_not_there_is_not_found() {
    run(async |t| {
        t.place("A-1").await;
        let error = refused(
            t.support().get_refund("A-1:r1").await,
            Kind::NotFound,
            "REFUND_NOT_FOUND",
        );
        assert_eq!(error.metadata()["refund_id"], "A-1:r1");
        refused(
            t.support().get_refund("A-2:r1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        let result = t
            .payments()
            .record_refund_result("A-1:r1", RefundResult::Settled)
            .await;
        refused(result, Kind::NotFound, "REFUND_NOT_FOUND");
    });
}
