//! "1. Unpaid Order": it closes by itself, once.

use belay_client::model::{
    CancellationEffect, CancellationFault, CancellationOutcome, CancellationState, EventType,
    NextAction, OrderState, PartState, PaymentFact, RefundKind, RefundState, ShipmentStage,
};
use belay_client::{Role, Units};
use belay_tests::market::Market;
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{TestServer, run_at, until};
use jiff::Timestamp;

use super::{MONDAY, SECOND, at, hours, open};

/// Lets the time of an unpaid order run out and waits for Belay to notice by itself.
async fn expire(t: &TestServer, market: &Market<'_>, order_id: &str) -> Timestamp {
    let pay_by = market
        .place(order_id, "standard")
        .await
        .pay_by
        .expect("a deadline");
    t.set_clock(pay_by).await;
    until("the order closes", async || {
        Some(market.order(order_id).await).filter(|order| order.state == OrderState::ClosedUnpaid)
    })
    .await;
    pay_by
}

#[test]
fn s001_01_what_is_not_paid_for_24_hours_closes_by_itself() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let order = market.place("A-1", "standard").await;
        let pay_by = order.create_time + hours(24);
        assert_eq!(
            (order.pay_by, &*order.display_state),
            (Some(pay_by), "Unpaid")
        );

        // "There is no need to cancel manually."
        t.set_clock(pay_by - SECOND).await;
        let error = market
            .refuses(
                market.buyers_request("A-1", "NO_LONGER_WANTED"),
                "UNPAID_CLOSES_ITSELF",
            )
            .await;
        assert_eq!(
            error.denial().unwrap().next_actions,
            [NextAction::Pay, NextAction::Wait]
        );
        assert_eq!(market.order("A-1").await.state, OrderState::AwaitingPayment);

        t.set_clock(pay_by).await;
        let order = until("the order closes", async || {
            Some(market.order("A-1").await)
                .filter(|order| order.state != OrderState::AwaitingPayment)
        })
        .await;
        assert_eq!(
            (order.state, &*order.display_state),
            (OrderState::ClosedUnpaid, "Closed")
        );
        assert_eq!(
            (order.refunds.len(), order.shipments[0].stage),
            (0, ShipmentStage::Cancelled)
        );
        assert!(order.shipments[0].do_not_hand_over);
        assert!(
            order
                .lines
                .iter()
                .all(|line| line.cancelled_quantity == line.quantity)
        );

        let cancellation = &order.cancellations[0];
        assert_eq!(
            (cancellation.state, cancellation.outcome),
            (
                CancellationState::Completed,
                Some(CancellationOutcome::Full)
            )
        );
        assert_eq!(
            (cancellation.reason.as_deref(), cancellation.fault),
            (Some("PAYMENT_EXPIRED"), Some(CancellationFault::None))
        );
        assert_eq!(
            (cancellation.requester.role, cancellation.submitted_by.role),
            (Role::System, Role::System)
        );
        assert_eq!(
            (cancellation.create_time, cancellation.close_time),
            (pay_by, Some(pay_by))
        );
        assert!(!cancellation.counted);

        let closed = &market.events("A-1", EventType::OrderClosedUnpaid).await[..];
        let [closed] = closed else {
            panic!("closed once, not {closed:?}")
        };
        assert_eq!(
            (closed.actor.role, &*closed.cause, closed.event_time),
            (Role::System, "deadline", pay_by)
        );
        assert!(closed.notify_buyer);
        // The units go back to the shelves they were kept on.
        let everything = vec![("A-1:l1".to_owned(), 3), ("A-1:l2".to_owned(), 1)];
        let released = (
            "A-1:s1".to_owned(),
            everything,
            vec![CancellationEffect::Restock],
        );
        assert_eq!(market.stock_effects("A-1").await, [released]);
    });
}

#[test]
fn s001_02_money_a_second_before_24_hours_is_in_time_and_at_24_hours_goes_back() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let placed = market.place("IN-TIME", "standard").await.create_time;
        market.place("LATE", "standard").await;
        t.set_clock(placed + hours(24) - SECOND).await;
        let paid = market.pay("IN-TIME").await;
        assert_eq!(
            (paid.state, paid.paid_time),
            (OrderState::ToShip, Some(t.now().await))
        );
        assert_eq!(paid.shipments[0].stage, ShipmentStage::Planned);

        // A buyer who is still typing is given no more time.
        let payments = market.as_role(Role::Payments, "psp");
        let begun = payments
            .record_payment("LATE", "pay-LATE", "begun", PaymentFact::Attempted)
            .method("CREDIT_CARD");
        assert_eq!(begun.await.unwrap().pay_by, Some(placed + hours(24)));

        // No worker has to have been there first.
        t.set_clock(placed + hours(24)).await;
        let late = market.pay("LATE").await;
        assert_eq!(
            (late.state, late.paid_time, late.cancellations.len()),
            (OrderState::ClosedUnpaid, None, 1)
        );
        assert_eq!(late.shipments[0].stage, ShipmentStage::Cancelled);
        let [refund] = &late.refunds[..] else {
            panic!("{:?}", late.refunds)
        };
        assert_eq!(
            (refund.kind, refund.state, &refund.amount.total),
            (RefundKind::Refund, RefundState::Due, &eur(TOTAL))
        );
        assert_eq!(refund.provider_payment_id, "pay-LATE");
        // Tuesday in Berlin: three working days are over with Friday.
        assert_eq!(refund.due_by, at("2026-03-06T23:00:00Z"));
        assert!(market.events("LATE", EventType::OrderPaid).await.is_empty());
        let created = market.events("LATE", EventType::RefundCreated).await;
        assert_eq!(
            created
                .iter()
                .map(|event| event.notify_buyer)
                .collect::<Vec<_>>(),
            [true]
        );

        t.advance(hours(24)).await;
        assert_eq!(market.order("IN-TIME").await.state, OrderState::ToShip);
    });
}

#[test]
fn s001_03_cancelling_what_has_closed_by_itself_answers_with_its_closure() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let pay_by = expire(t, &market, "A-1").await;
        let before = market.order("A-1").await;
        t.advance(hours(1)).await;

        let requests = [
            market.buyers_request("A-1", "NO_LONGER_WANTED"),
            market.buyers_request("A-1", "WRONG_PURCHASE"),
            market.sellers_request("A-1", "OUT_OF_STOCK"),
            market
                .storefront()
                .request_cancellation("A-1", Units::line("A-1:l1", 2))
                .reason("NO_LONGER_WANTED"),
        ];
        for request in requests {
            let requested = request.await.unwrap();
            assert_eq!(requested.cancellation, before.cancellations[0]);
            assert_eq!(
                (requested.order_state, &requested.order_etag),
                (OrderState::ClosedUnpaid, &before.etag)
            );
        }
        assert_eq!(market.order("A-1").await, before);
        // Released once, then and there.
        let ended = market.events("A-1", EventType::PartEnded).await;
        assert_eq!(
            ended
                .iter()
                .map(|event| event.event_time)
                .collect::<Vec<_>>(),
            [pay_by]
        );
        assert_eq!(before.cancellations[0].parts[0].state, PartState::Cancelled);
        assert_eq!(market.stock_effects("A-1").await.len(), 1);
    });
}
