//! What is said twice, tried twice or goes wrong halfway: refunds, webhooks, messages to buyers.

use std::collections::BTreeSet;

use belay_client::calls::FirstPolicy;
use belay_client::model::{
    CancellationState, EventType, IncidentKind, IncidentResolution, OrderState, PaymentFact,
    RefundResult, RefundState,
};
use belay_client::{Kind, RequestId, Role, Units, reason};
use belay_tests::shop::{TOTAL, eur, new_order, pay};
use belay_tests::{documents, refused, run};
use tokio::join;

/// The key towards the provider is made of order and amount, so that a second refund of the same
/// amount is taken for the first; or it is made anew for each try, so that one refund is paid
/// twice.
#[test]
fn equal_refunds_of_one_order_have_keys_of_their_own_and_keep_them() {
    run(async |t| {
        t.place_paid("A-1").await;
        for _ in 0..2 {
            t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        }
        let due = t.order("A-1").await.refunds;
        assert_eq!(due[0].amount.total, due[1].amount.total);
        let keys: BTreeSet<&str> = due.iter().map(|refund| &*refund.provider_key).collect();
        assert_eq!(keys.len(), 2);
        for number in [0, 1] {
            // A try whose end nobody knows is tried again under the same key.
            let first = t.claim("worker-1").await.unwrap();
            t.payments()
                .record_refund_result(&first.refund_id, RefundResult::Unknown)
                .await
                .unwrap();
            let again = t.claim("worker-2").await.unwrap();
            assert_eq!(
                (&again.refund_id, &again.provider_key),
                (&first.refund_id, &due[number].provider_key)
            );
            assert!(again.ask_provider_first);
            t.payments()
                .record_refund_result(&again.refund_id, RefundResult::Settled)
                .await
                .unwrap();
        }
        assert_eq!(t.order("A-1").await.totals.refunded, eur(2 * 396));
    });
}

/// A refund that the provider reported as failed is made again under a new key, and then the first
/// turns out to have been paid. The second must not be sent as if nothing had happened.
#[test]
fn a_refund_that_was_paid_after_all_holds_back_the_one_that_stands_for_it() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let first = t.claim("worker-1").await.unwrap();
        let result = |result| t.payments().record_refund_result(&first.refund_id, result);
        result(RefundResult::Failed)
            .failure_code("timeout")
            .await
            .unwrap();
        t.support()
            .resolve_incident("A-1:i1", IncidentResolution::RetryRefund)
            .await
            .unwrap();
        result(RefundResult::Settled).await.unwrap();
        result(RefundResult::Settled).await.unwrap();
        assert_eq!(t.claim("worker-1").await, None, "it would be paid twice");
        let order = t.order("A-1").await;
        let states: Vec<RefundState> = order.refunds.iter().map(|refund| refund.state).collect();
        assert_eq!(states, [RefundState::Failed, RefundState::Blocked]);
        let incidents: Vec<IncidentKind> = order
            .incidents
            .iter()
            .map(|incident| incident.kind)
            .collect();
        assert_eq!(
            incidents,
            [
                IncidentKind::RefundFailed,
                IncidentKind::LateFact,
                IncidentKind::RefundMismatch
            ]
        );
        let mismatch = &order.incidents[2].incident_id;
        t.support()
            .resolve_incident(mismatch, IncidentResolution::DropRefund)
            .await
            .unwrap();
        assert_eq!(t.claim("worker-1").await, None);
    });
}

/// The worker's own answer and the provider's message about the same refund cross, and both are
/// booked.
#[test]
fn of_a_refunds_result_and_the_providers_message_one_counts() {
    run(async |t| {
        for number in 0..20 {
            let order_id = format!("A-{number}");
            t.place_paid(&order_id).await;
            t.cancel(&order_id).await;
            let refund = t.claim("worker-1").await.unwrap();
            let settled = || {
                t.payments()
                    .record_refund_result(&refund.refund_id, RefundResult::Settled)
                    .into_future()
            };
            let (answer, message) = join!(settled(), settled());
            assert_eq!(answer.unwrap().value, message.unwrap().value);
            let order = t.order(&order_id).await;
            assert_eq!(
                (&order.totals.refunded, order.incidents.len()),
                (&eur(TOTAL), 0)
            );
            let told = t.events(&order_id, EventType::RefundStateChanged).await;
            assert_eq!(told.iter().filter(|event| event.notify_buyer).count(), 1);
        }
    });
}

/// Of an order with two payments one refund succeeds and the other fails; the order stays half
/// refunded and not cancelled, and trying again pays the first once more.
#[test]
fn a_refund_that_fails_undoes_neither_the_cancellation_nor_the_other_refund() {
    run(async |t| {
        t.place("A-1").await;
        for (payment, amount) in [("gift-card", 1_000), ("card", TOTAL - 1_000)] {
            let paid = t
                .payments()
                .record_payment("A-1", payment, "paid", PaymentFact::Captured);
            paid.amount(eur(amount))
                .method("CREDIT_CARD")
                .await
                .unwrap();
        }
        t.cancel("A-1").await;
        let (first, second) = (
            t.claim("worker-1").await.unwrap(),
            t.claim("worker-1").await.unwrap(),
        );
        t.payments()
            .record_refund_result(&first.refund_id, RefundResult::Settled)
            .await
            .unwrap();
        let failed = t
            .payments()
            .record_refund_result(&second.refund_id, RefundResult::Failed)
            .failure_code("closed");
        failed.await.unwrap();
        assert_eq!(t.order("A-1").await.state, OrderState::Cancelled);
        t.cancel("A-1").await;
        assert_eq!(
            t.claim("worker-1").await,
            None,
            "asking again pays nothing again"
        );
        t.support()
            .resolve_incident("A-1:i1", IncidentResolution::RetryRefund)
            .await
            .unwrap();
        let again = t.claim("worker-1").await.unwrap();
        assert_eq!(
            (again.amount, again.retry_of_id),
            (second.amount, Some(second.refund_id))
        );
        assert_ne!(
            again.provider_key, second.provider_key,
            "the provider would answer with the old failure"
        );
        t.payments()
            .record_refund_result(&again.refund_id, RefundResult::Settled)
            .await
            .unwrap();
        assert_eq!(t.order("A-1").await.totals.refunded, eur(TOTAL));
    });
}

/// The buyer gets the same message for every repetition: of the click, of the webhook, of the
/// cancellation of what is cancelled.
#[test]
fn nobody_is_told_twice() {
    run(async |t| {
        t.place("A-1").await;
        for _ in 0..3 {
            t.pay("A-1").await;
        }
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let request = request.request_id(RequestId::mint());
        for _ in 0..3 {
            request.clone().await.unwrap();
            t.cancel("A-1").await;
        }
        let refund = t.claim("worker-1").await.unwrap();
        for _ in 0..3 {
            t.pay("A-1").await;
            t.payments()
                .record_refund_result(&refund.refund_id, RefundResult::Settled)
                .await
                .unwrap();
        }
        let told: Vec<EventType> = t
            .history("A-1")
            .await
            .iter()
            .filter(|event| event.notify_buyer)
            .map(|event| event.event_type)
            .collect();
        let once = [
            EventType::CancellationRequested,
            EventType::CancellationCompleted,
            EventType::RefundCreated,
            // Settled.
            EventType::RefundStateChanged,
        ];
        assert_eq!(told, once);
        assert_eq!(t.events("A-1", EventType::PaymentRecorded).await.len(), 1);
    });
}

/// A request that was refused stands in the way for ever: the order can be neither shipped nor
/// cancelled, and the two sides see different states.
#[test]
fn after_a_rejection_the_order_goes_on_and_may_be_asked_for_again() {
    run(async |t| {
        t.create_shop(
            "b2b",
            FirstPolicy::document(documents::consent("REFUSE", "BAR")),
        )
        .await;
        let store = t.store_as("b2b", Role::Storefront, "web");
        let (seller, warehouse) = (
            t.store_as("b2b", Role::Seller, "acme"),
            t.store_as("b2b", Role::Warehouse, "main"),
        );
        for (order_id, is_shipped) in [("SHIPPED", true), ("ASKED-AGAIN", false)] {
            new_order(&store, order_id).await.unwrap();
            pay(&store, order_id).await;
            let request = || {
                store
                    .request_cancellation(order_id, Units::all())
                    .reason(reason::NO_LONGER_WANTED)
            };
            let asked = request().await.unwrap().cancellation;
            let rejected = seller
                .reject_cancellation(&asked.cancellation_id, "PACKED")
                .await
                .unwrap();
            assert_eq!(rejected.cancellation.state, CancellationState::Rejected);
            // Both sides see the same.
            let seen = [&store, &seller].map(|side| side.get_order(order_id).into_future());
            let [one, other] = seen;
            assert_eq!(one.await.unwrap(), other.await.unwrap());
            if is_shipped {
                let shipment_id = format!("{order_id}:s1");
                let fence = warehouse.get_shipment(&*shipment_id).await.unwrap().fence;
                warehouse
                    .dispatch_shipment(&*shipment_id, fence)
                    .await
                    .unwrap();
                refused(request().await, Kind::Rejected, "SHIPPED");
            } else {
                let again = request().await.unwrap().cancellation;
                assert_ne!(again.cancellation_id, asked.cancellation_id);
                seller
                    .approve_cancellation(&again.cancellation_id)
                    .await
                    .unwrap();
                assert_eq!(
                    store.get_order(order_id).await.unwrap().state,
                    OrderState::Cancelled
                );
            }
        }
    });
}
