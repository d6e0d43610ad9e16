//! "I want to cancel the paid order, but there is no Cancel Order button", "How to cancel an unpaid
//! order?" and "How can I check my order status?"

use belay_client::model::{
    CancellationFault, CancellationState, EventType, NextAction, OrderState, RefundState,
    ShipmentStage,
};
use belay_client::{Kind, Role, Units};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{refused, run_at, until};

use super::{MONDAY, SECOND, days, hours, open, pay_by, place_paid};

#[test]
fn s002_06_a_card_payment_is_verified_for_24_hours_before_its_buyer_can_ask() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place("A-1", "standard").await;
        // From the payment on, not from the order.
        t.advance(hours(5)).await;
        let paid = pay_by(&market, "A-1", "CREDIT_CARD")
            .await
            .paid_time
            .unwrap();
        let available_from = paid + hours(24);
        for at in [paid, available_from - SECOND] {
            t.set_clock(at).await;
            let error = market
                .refuses(
                    market.buyers_request("A-1", "NO_LONGER_NEEDED"),
                    "PAYMENT_VERIFYING",
                )
                .await;
            let denial = error.denial().unwrap();
            assert_eq!(denial.available_from, Some(available_from));
            assert_eq!(
                denial.next_actions,
                [NextAction::Wait, NextAction::ContactSeller]
            );
            let order = market.order("A-1").await;
            let explanation = order
                .cancellable_explanation
                .as_ref()
                .map(|reason| reason.as_str());
            assert_eq!(
                (order.cancellable_now, explanation),
                (false, Some("PAYMENT_VERIFYING"))
            );
            let preview = market
                .storefront()
                .preview_cancellation("A-1", Units::all());
            let option = preview.await.unwrap().options.remove(0);
            assert_eq!(
                (option.allowed, option.available_from),
                (false, Some(available_from))
            );
            let tomorrow = market
                .storefront()
                .preview_cancellation("A-1", Units::all())
                .at_time(available_from);
            assert!(tomorrow.await.unwrap().allowed);
        }
        t.set_clock(available_from).await;
        let waiting = market
            .buyers_request("A-1", "NO_LONGER_NEEDED")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(waiting.state, CancellationState::Pending);
        let verified = market.events("A-1", EventType::PaymentVerified).await;
        assert_eq!(
            verified
                .iter()
                .map(|event| event.event_time)
                .collect::<Vec<_>>(),
            [available_from]
        );
        market
            .seller()
            .approve_cancellation("A-1:c1")
            .await
            .unwrap();
        assert_eq!(market.order("A-1").await.state, OrderState::Cancelled);
    });
}

#[test]
fn s002_07_any_other_payment_waits_for_nothing() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for method in ["BANK_TRANSFER", "PAYPAL", "DEBIT_CARD"] {
            market.place(method, "standard").await;
            let paid = pay_by(&market, method, method).await;
            assert_eq!(paid.paid_time, Some(t.now().await));
            let waiting = market
                .buyers_request(method, "WRONG_ITEMS_ORDERED")
                .await
                .unwrap()
                .cancellation;
            assert_eq!(
                (waiting.state, waiting.fault),
                (CancellationState::Pending, Some(CancellationFault::Buyer))
            );
            assert!(
                market
                    .events(method, EventType::PaymentVerified)
                    .await
                    .is_empty()
            );
        }
    });
}

#[test]
fn s002_08_meanwhile_the_supplier_may_keep_the_shipment_in_without_any_cancellation() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for order_id in ["A-1", "A-2"] {
            market.place(order_id, "standard").await;
            pay_by(&market, order_id, "CREDIT_CARD").await;
            market
                .refuses(
                    market.buyers_request(order_id, "NO_LONGER_NEEDED"),
                    "PAYMENT_VERIFYING",
                )
                .await;
        }
        // "You can contact the supplier to prevent the order being shipped out."
        let until_then = t.now().await + hours(26);
        let held = market
            .seller()
            .hold_shipment("A-1:s1", until_then)
            .note("the buyer called")
            .await
            .unwrap();
        assert_eq!(
            (held.stage, held.hold.as_ref().unwrap().placed_by.role),
            (ShipmentStage::Planned, Role::Seller)
        );
        market
            .seller()
            .hold_shipment("A-2:s1", until_then)
            .await
            .unwrap();
        let dispatch = market
            .warehouse_of("A-1:s1")
            .await
            .dispatch_shipment("A-1:s1", held.fence)
            .await;
        let error = refused(dispatch, Kind::Rejected, "SHIPMENT_HELD");
        assert_eq!(error.metadata()["hold_until"], until_then.to_string());
        let order = market.order("A-1").await;
        assert_eq!(
            (order.state, order.cancellations.len(), order.refunds.len()),
            (OrderState::ToShip, 0, 0)
        );
        assert!(
            market
                .events("A-1", EventType::CancellationRequested)
                .await
                .is_empty()
        );

        // Once the payment is verified the buyer asks, and the supplier agrees.
        t.advance(hours(24)).await;
        market
            .buyers_request("A-1", "NO_LONGER_NEEDED")
            .await
            .unwrap();
        market
            .seller()
            .approve_cancellation("A-1:c1")
            .await
            .unwrap();
        assert_eq!(market.order("A-1").await.state, OrderState::Cancelled);
        // Or nobody asks, and the shipment goes when its time is over.
        t.set_clock(until_then).await;
        until("the hold ends", async || {
            market.shipment("A-2:s1").await.hold.is_none().then_some(())
        })
        .await;
        market.ship("A-2:s1").await;
        assert_eq!(market.order("A-2").await.state, OrderState::Shipped);
    });
}

#[test]
fn s002_09_what_is_not_paid_within_20_days_is_cancelled_by_itself() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let placed = market.place("A-1", "standard").await;
        let closes_at = placed.create_time + days(20);
        assert_eq!(placed.pay_by, Some(closes_at));
        market.place("IN-TIME", "standard").await;
        t.set_clock(closes_at - SECOND).await;
        assert_eq!(market.order("A-1").await.state, OrderState::AwaitingPayment);
        assert_eq!(
            pay_by(&market, "IN-TIME", "BANK_TRANSFER").await.state,
            OrderState::ToShip
        );

        t.set_clock(closes_at).await;
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
            (order.shipments[0].stage, order.refunds.len()),
            (ShipmentStage::Cancelled, 0)
        );
        let closure = &order.cancellations[0];
        assert_eq!(
            (closure.reason.as_deref(), closure.requester.role),
            (Some("PAYMENT_EXPIRED"), Role::System)
        );
        assert_eq!(
            (closure.state, closure.close_time),
            (CancellationState::Completed, Some(closes_at))
        );
        let closed = market.events("A-1", EventType::OrderClosedUnpaid).await;
        let told: Vec<_> = closed
            .iter()
            .map(|event| (event.event_time, event.notify_buyer))
            .collect();
        assert_eq!(told, [(closes_at, true)]);
        // Nobody has to agree: the page's agreement is for paid orders. Late money goes back.
        let late = pay_by(&market, "A-1", "BANK_TRANSFER").await;
        assert_eq!(
            (late.state, late.refunds[0].state),
            (OrderState::ClosedUnpaid, RefundState::Due)
        );
        assert_eq!(late.refunds[0].amount.total, eur(TOTAL));
        assert_eq!(market.order("IN-TIME").await.state, OrderState::ToShip);
    });
}

#[test]
fn s002_10_an_unpaid_order_is_not_cancelled_by_hand_and_the_answer_says_when_it_closes() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let placed = market.place("A-1", "standard").await;
        let closes_at = placed.create_time + days(20);
        t.advance(days(3)).await;
        let error = market
            .refuses(
                market.buyers_request("A-1", "NO_LONGER_NEEDED"),
                "UNPAID_CLOSES_ITSELF",
            )
            .await;
        let denial = error.denial().unwrap();
        assert_eq!(denial.pay_by, Some(closes_at));
        assert_eq!(
            (denial.rule.as_deref(), &denial.next_actions[..]),
            (
                Some("unpaid-closes-itself"),
                &[NextAction::Pay, NextAction::Wait][..]
            )
        );
        let preview = market
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .await
            .unwrap();
        assert_eq!(
            (preview.allowed, &preview.options[0].next_actions),
            (false, &denial.next_actions)
        );
        assert_eq!(
            preview.rejections[0].denial().unwrap().pay_by,
            Some(closes_at)
        );
        let order = market.order("A-1").await;
        let explanation = order
            .cancellable_explanation
            .as_ref()
            .map(|reason| reason.as_str());
        assert_eq!(
            (order.cancellable_now, explanation),
            (false, Some("UNPAID_CLOSES_ITSELF"))
        );
        assert_eq!(
            (order.pay_by, order.cancellations.len()),
            (Some(closes_at), 0)
        );
    });
}

#[test]
fn s002_11_orders_are_listed_by_tabs_and_each_tab_has_its_count() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place("UNPAID", "standard").await;
        for order_id in [
            "TO-SHIP",
            "ASKED",
            "PREPARING",
            "SHIPPED",
            "RECEIVED",
            "CANCELLED",
        ] {
            place_paid(&market, order_id).await;
        }
        market
            .buyers_request("ASKED", "NO_LONGER_NEEDED")
            .await
            .unwrap();
        market.prepare("PREPARING:s1").await;
        market.ship("SHIPPED:s1").await;
        market.ship("RECEIVED:s1").await;
        market
            .scan("RECEIVED:s1", belay_client::model::TrackingFact::Delivered)
            .await;
        market
            .buyers_request("CANCELLED", "NO_LONGER_NEEDED")
            .await
            .unwrap();
        market
            .seller()
            .approve_cancellation("CANCELLED:c1")
            .await
            .unwrap();

        let tabs = [
            (OrderState::AwaitingPayment, "Unpaid", vec!["UNPAID"]),
            (OrderState::ClosedUnpaid, "Closed", vec![]),
            (OrderState::Cancelled, "Cancelled", vec!["CANCELLED"]),
            (
                OrderState::ToShip,
                "To be shipped",
                vec!["ASKED", "TO-SHIP"],
            ),
            (OrderState::Processing, "Preparing", vec!["PREPARING"]),
            (OrderState::PartlyShipped, "Partly shipped", vec![]),
            (OrderState::Shipped, "Shipped", vec!["SHIPPED"]),
            (OrderState::Delivered, "Received", vec!["RECEIVED"]),
        ];
        let summary = market
            .storefront()
            .summarize_orders()
            .buyer_id("ann")
            .await
            .unwrap();
        assert_eq!((summary.total.value, summary.states.len()), (7, tabs.len()));
        for (state, label, order_ids) in tabs {
            let listed = market
                .storefront()
                .list_orders()
                .buyer_id("ann")
                .state(state)
                .await
                .unwrap()
                .items;
            let mut shown: Vec<&str> = listed.iter().map(|order| order.order_id.as_str()).collect();
            shown.sort_unstable();
            assert_eq!(shown, order_ids, "{state}");
            assert!(
                listed.iter().all(|order| order.display_state == label),
                "{state}"
            );
            let count = summary.of(state);
            assert_eq!(
                (usize::try_from(count.value).unwrap(), count.at_least),
                (order_ids.len(), false),
                "{state}"
            );
        }
    });
}
