//! Money that arrives when nobody expects it any more, or that is only reserved when its order
//! ends.

use belay_client::model::{
    EventType, Order, OrderState, PaymentFact, PaymentState, Refund, RefundKind, RefundResult,
    RefundState, ShipmentStage,
};
use belay_client::{Kind, RequestId};
use belay_tests::instance::{Service, payments, storefront};
use belay_tests::shop::{TOTAL, eur, new_order, pay};
use belay_tests::{TestServer, refused, run, run_at};
use jiff::SignedDuration;
use tokio::join;

const MONDAY: &str = "2026-03-02T10:00:00Z";
/// Orders on which a capture meets the result of a void.
const TRIALS: usize = 40;

async fn fact(
    t: &TestServer,
    order_id: &str,
    event: &str,
    fact: PaymentFact,
    amount: i64,
) -> Order {
    let call = t
        .payments()
        .record_payment(order_id, format!("pay-{order_id}"), event, fact)
        .method("CREDIT_CARD");
    let call = if amount == 0 {
        call
    } else {
        call.amount(eur(amount))
    };
    call.await
        .unwrap_or_else(|error| panic!("{fact} of {order_id}: {error}"))
        .value
}

/// What goes back or has gone back, by kind.
fn sum(refunds: &[Refund], kind: RefundKind) -> i64 {
    let stands = |refund: &&Refund| refund.kind == kind && refund.state != RefundState::Failed;
    refunds
        .iter()
        .filter(stands)
        .map(|refund| refund.amount.total.minor_units)
        .sum()
}

/// The order was closed for want of money, and the buyer was charged all the same: the gateway
/// reports late, or again and again. The money stays with the shop and nobody sees it; or the order
/// comes back to life, goods and all, after they were sold to somebody else.
#[test]
fn a_charge_reported_after_the_order_closed_goes_back_and_revives_nothing() {
    run_at(MONDAY, async |t| {
        let late = [
            SignedDuration::ZERO,
            SignedDuration::from_mins(40),
            SignedDuration::from_hours(30 * 24),
        ];
        for (number, after_deadline) in late.into_iter().enumerate() {
            let order_id = format!("A-{number}");
            t.place(&order_id).await;
            t.advance(SignedDuration::from_hours(24) + after_deadline)
                .await;
            let order = fact(t, &order_id, "charged", PaymentFact::Captured, TOTAL).await;
            assert_eq!(
                fact(t, &order_id, "charged", PaymentFact::Captured, TOTAL)
                    .await
                    .refunds,
                order.refunds
            );
            assert_eq!(
                (order.state, order.shipments[0].stage),
                (OrderState::ClosedUnpaid, ShipmentStage::Cancelled)
            );
            assert_eq!(
                (order.refunds.len(), sum(&order.refunds, RefundKind::Refund)),
                (1, TOTAL),
                "{after_deadline:?}"
            );
            // The buyer is told of both, once.
            assert_eq!(
                t.events(&order_id, EventType::OrderClosedUnpaid)
                    .await
                    .len(),
                1
            );
            let told = t.events(&order_id, EventType::RefundCreated).await;
            assert_eq!(
                told.iter()
                    .map(|event| event.notify_buyer)
                    .collect::<Vec<_>>(),
                [true]
            );
        }
    });
}

/// A payment is authorised when its order is cancelled, and a capture is under way: asking for a
/// refund of what was not captured fails, so the money stays; or it is both released and refunded.
/// Whatever comes first, all that was captured goes back, once.
#[test]
fn of_a_capture_and_a_void_whichever_comes_first_nothing_is_kept_or_paid_twice() {
    use RefundResult::{Failed, Settled};
    enum Step {
        Capture,
        Void(RefundResult),
    }
    use Step::{Capture, Void};
    run(async |t| {
        let orders: [&[Step]; 5] = [
            &[Void(Settled)],
            &[Capture, Void(Failed)],
            &[Capture, Void(Settled)],
            &[Void(Failed), Capture],
            &[Void(Settled), Capture],
        ];
        for (number, steps) in orders.into_iter().enumerate() {
            let order_id = format!("A-{number}");
            t.place(&order_id).await;
            fact(t, &order_id, "held", PaymentFact::Authorized, TOTAL).await;
            t.cancel(&order_id).await;
            let void = t.claim("worker-1").await.unwrap();
            assert_eq!(
                (void.kind, &void.amount.total),
                (RefundKind::Void, &eur(TOTAL))
            );
            let mut captured = 0;
            for step in steps {
                match step {
                    Capture => {
                        fact(t, &order_id, "charged", PaymentFact::Captured, TOTAL).await;
                        captured = TOTAL;
                    }
                    Void(result) => {
                        t.payments()
                            .record_refund_result(&void.refund_id, *result)
                            .await
                            .unwrap();
                    }
                }
            }
            let order = t.order(&order_id).await;
            assert_eq!(
                (order.totals.captured, order.state),
                (eur(captured), OrderState::Cancelled),
                "{order_id}"
            );
            assert_eq!(
                sum(&order.refunds, RefundKind::Refund),
                captured,
                "{order_id}"
            );
            // What is left to be sent is the money, never a second release.
            while let Some(due) = t.claim("worker-1").await {
                assert_eq!(
                    (due.kind, due.order_id.as_str()),
                    (RefundKind::Refund, order_id.as_str())
                );
                t.payments()
                    .record_refund_result(&due.refund_id, Settled)
                    .await
                    .unwrap();
            }
            assert_eq!(
                t.order(&order_id).await.totals.refunded,
                eur(captured),
                "{order_id}"
            );
        }
    });
}

/// The same at the same moment: the return page captures while the worker reports the void.
#[test]
fn a_capture_at_the_very_moment_of_a_void_goes_back_once() {
    run(async |t| {
        let (one, other) = (
            Service::start(t.database.serve_url().await, |_| {}).await,
            Service::start(t.database.serve_url().await, |_| {}).await,
        );
        for number in 0..TRIALS {
            let order_id = format!("A-{number}");
            new_order(&storefront(one.belay()), &order_id)
                .await
                .unwrap();
            fact(t, &order_id, "held", PaymentFact::Authorized, TOTAL).await;
            t.cancel(&order_id).await;
            let void = t.claim("worker-1").await.unwrap();
            let (till, worker) = (payments(one.belay()), payments(other.belay()));
            let settle = worker.record_refund_result(&void.refund_id, RefundResult::Settled);
            let (_, settled) = join!(pay(&till, &order_id), settle.into_future());
            settled.unwrap();
            let order = t.order(&order_id).await;
            assert_eq!(
                (
                    order.totals.captured.minor_units,
                    sum(&order.refunds, RefundKind::Refund)
                ),
                (TOTAL, TOTAL)
            );
            let refund = t.claim("worker-1").await.unwrap();
            assert_eq!(
                (refund.kind, refund.order_id.as_str()),
                (RefundKind::Refund, order_id.as_str())
            );
            assert_eq!(t.claim("worker-1").await, None);
        }
        one.stop().await;
        other.stop().await;
    });
}

/// Cancelling many orders that were only authorised raises an alarm for each, "could not be
/// refunded", though nothing is wrong.
#[test]
fn cancelling_what_was_only_authorised_alarms_nobody() {
    run(async |t| {
        for number in 0..5 {
            let order_id = format!("A-{number}");
            t.place(&order_id).await;
            fact(t, &order_id, "held", PaymentFact::Authorized, TOTAL).await;
            t.cancel(&order_id).await;
            let void = t.claim("worker-1").await.unwrap();
            t.payments()
                .record_refund_result(&void.refund_id, RefundResult::Settled)
                .await
                .unwrap();
            let order = t.order(&order_id).await;
            assert_eq!(
                (order.payments[0].state, order.refunds.len()),
                (PaymentState::Voided, 1)
            );
            assert_eq!(
                order.totals.refunded,
                eur(0),
                "nothing was taken, so nothing came back"
            );
        }
        assert!(t.support().list_incidents().await.unwrap().items.is_empty());
    });
}

/// The provider's message overtakes the order that it is about, is acknowledged, and so never comes
/// again.
#[test]
fn a_fact_that_comes_before_its_order_is_refused_and_counts_when_it_comes_again() {
    run(async |t| {
        let early = t
            .payments()
            .record_payment("A-1", "pay-1", "charged", PaymentFact::Captured)
            .amount(eur(TOTAL));
        let early = early.method("CREDIT_CARD").request_id(RequestId::mint());
        refused(early.clone().await, Kind::NotFound, "ORDER_NOT_FOUND");
        t.place("A-1").await;
        // A rejection of what was not there is not remembered, so not even the request id need be
        // another.
        assert_eq!(early.await.unwrap().state, OrderState::ToShip);
    });
}

/// A part was captured and the rest was never paid: the cancellation gives back more than came in,
/// or books a debt for ever.
#[test]
fn of_an_order_that_was_paid_in_part_that_part_comes_back() {
    run(async |t| {
        for (number, captured) in [1, 1_000, TOTAL - 1, TOTAL, TOTAL + 1]
            .into_iter()
            .enumerate()
        {
            let order_id = format!("A-{number}");
            t.place(&order_id).await;
            fact(t, &order_id, "held", PaymentFact::Authorized, TOTAL).await;
            fact(t, &order_id, "charged", PaymentFact::Captured, captured).await;
            t.cancel(&order_id).await;
            let order = t.order(&order_id).await;
            assert_eq!(
                (order.state, &order.totals.due),
                (OrderState::Cancelled, &eur(0))
            );
            // More than was authorised, by a message that names no movement, is unconfirmed.
            assert_eq!(sum(&order.refunds, RefundKind::Refund), captured.min(TOTAL));
            let rest = (TOTAL - captured).max(0);
            assert_eq!(
                sum(&order.refunds, RefundKind::Void),
                rest,
                "what was captured is not released as well"
            );
        }
    });
}
