//! "Canceling an order in a shipped state": the parcel is brought back first, or the goods are sent
//! back afterwards.

use belay_client::calls::{InterceptAnswer, OnBehalfOf};
use belay_client::model::{
    Cancellation, CancellationEffect, CancellationPath, CancellationState, EventType, GateKind,
    GateState, GoodsCondition, InterceptState, LabelState, NextAction, OrderState, PartState,
    Party, RefundState, ShipmentStage, TrackingFact,
};
use belay_client::{Kind, Units, reason};
use belay_tests::market::{GOODS, gates};
use belay_tests::shop::eur;
use belay_tests::{TestServer, refused, run_at};
use jiff::SignedDuration;

const FRIDAY: &str = "2026-03-06T17:30:00Z";

/// "The customer service will check whether the package can be intercepted": a shipped order whose
/// carrier can, and what support has begun for its buyer.
async fn intercept(t: &TestServer, order_id: &str) -> Cancellation {
    t.place_interceptable(order_id).await;
    t.pay(order_id).await;
    t.ship(&format!("{order_id}:s1")).await;
    let request = t
        .support()
        .request_cancellation(order_id, Units::all())
        .reason(reason::NO_LONGER_WANTED);
    let request = request
        .on_behalf_of(OnBehalfOf::email("ann@example.org"))
        .paths([CancellationPath::Intercept]);
    request
        .await
        .unwrap_or_else(|error| panic!("intercept of {order_id}: {error}"))
        .cancellation
}

#[test]
fn s000_12_a_shipped_parcel_that_the_carrier_can_bring_back_is_intercepted_and_nothing_is_paid_back_yet()
 {
    run_at(FRIDAY, async |t| {
        let waiting = intercept(t, "A-1").await;
        assert_eq!(
            (waiting.state, waiting.refund_ids.len()),
            (CancellationState::Pending, 0)
        );
        let part = &waiting.parts[0];
        assert_eq!(
            (part.path, part.rule.as_deref()),
            (CancellationPath::Intercept, Some("intercept"))
        );
        assert_eq!(
            gates(part),
            [
                (GateKind::CarrierIntercept, GateState::Open),
                (GateKind::ParcelReceipt, GateState::Queued)
            ]
        );
        let carrier = &part.gates[0];
        let two_days = t.now().await + SignedDuration::from_hours(48);
        assert_eq!(
            (carrier.party, carrier.respond_by),
            (Party::Carrier, Some(two_days))
        );

        let order = t.order("A-1").await;
        assert_eq!(
            (
                order.state,
                order.refunds.len(),
                order.totals.refunded.clone()
            ),
            (OrderState::Shipped, 0, eur(0))
        );
        assert_eq!(
            (
                order.lines[0].pending_quantity,
                order.lines[0].cancelled_quantity
            ),
            (3, 0)
        );
        let shipment = &order.shipments[0];
        assert_eq!(
            (shipment.stage, shipment.intercept.unwrap().state),
            (ShipmentStage::InTransit, InterceptState::Requested)
        );
        // The carrier finds it among what waits for carriers.
        let asked = t
            .carrier_of("A-1:s1")
            .await
            .list_cancellations()
            .awaiting(Party::Carrier)
            .await
            .unwrap();
        assert_eq!(asked.items.len(), 1);
        assert_eq!(asked.items[0].cancellation_id, waiting.cancellation_id);
        assert_eq!(t.events("A-1", EventType::InterceptChanged).await.len(), 1);
        assert!(t.events("A-1", EventType::RefundCreated).await.is_empty());
    });
}

#[test]
fn s000_13_what_was_intercepted_is_paid_back_once_it_is_at_the_warehouse_and_not_before() {
    run_at(FRIDAY, async |t| {
        intercept(t, "A-1").await;
        let carrier = t.carrier_of("A-1:s1").await;
        carrier
            .answer_intercept("A-1:s1", InterceptAnswer::Confirmed)
            .await
            .unwrap();
        t.scan("A-1:s1", TrackingFact::Returning).await;

        // On its way back: the amount is on the cancellation, and no refund is there to be sent by
        // mistake.
        let order = t.order("A-1").await;
        let cancellation = &order.cancellations[0];
        assert_eq!(
            (cancellation.state, &cancellation.expected_refund.total),
            (CancellationState::Pending, &eur(GOODS))
        );
        assert_eq!((order.refunds.len(), cancellation.refund_due_by), (0, None));
        assert_eq!(
            order.shipments[0].intercept.unwrap().state,
            InterceptState::Returning
        );
        assert_eq!(t.claim("worker-1").await, None);

        // "After the package is successfully intercepted and returned to the warehouse, they will
        // handle the refund for you."
        t.advance(SignedDuration::from_hours(72)).await;
        let warehouse = t.warehouse_of("A-1:s1").await;
        let home = warehouse
            .receive_parcel("A-1:s1", GoodsCondition::Unopened)
            .await
            .unwrap();
        assert_eq!(
            (home.stage, home.intercept.unwrap().state),
            (ShipmentStage::Returned, InterceptState::Received)
        );
        let order = t.order("A-1").await;
        let cancellation = &order.cancellations[0];
        assert_eq!(
            (order.state, cancellation.state),
            (OrderState::Cancelled, CancellationState::Completed)
        );
        assert_eq!(
            gates(&cancellation.parts[0]),
            [
                (GateKind::CarrierIntercept, GateState::Passed),
                (GateKind::ParcelReceipt, GateState::Passed)
            ]
        );
        assert_eq!(cancellation.parts[0].effects, [CancellationEffect::Restock]);
        let [refund] = &order.refunds[..] else {
            panic!("one refund, not {:?}", order.refunds)
        };
        assert_eq!(
            (refund.state, &refund.amount.total),
            (RefundState::Due, &eur(GOODS))
        );
        assert_eq!(
            (refund.due_by, &*refund.provider_payment_id),
            (t.now().await, "pay-A-1")
        );
        assert_eq!(order.incidents.len(), 0);
    });
}

#[test]
fn s000_14_what_cannot_be_intercepted_goes_on_and_is_returned_once_it_has_arrived() {
    run_at(FRIDAY, async |t| {
        // The carrier never can: closed before anybody is asked.
        t.place_shipped("NEVER").await;
        let before = t.database.snapshot().await.without_answers();
        let request = t
            .support()
            .request_cancellation("NEVER", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let error = refused(
            request.paths([CancellationPath::Intercept]).await,
            Kind::Rejected,
            "NOT_INTERCEPTABLE",
        );
        let denial = error.denial().unwrap();
        assert_eq!(
            denial.next_actions,
            [NextAction::ReturnUnopened, NextAction::ContactSupport]
        );
        assert_eq!(denial.rule.as_deref(), Some("not-interceptable"));
        assert_eq!(t.database.snapshot().await.without_answers(), before);
        assert_eq!(t.shipment("NEVER:s1").await.intercept, None);

        // The carrier usually can, and not this time.
        intercept(t, "TODAY").await;
        let carrier = t.carrier_of("TODAY:s1").await;
        carrier
            .answer_intercept(
                "TODAY:s1",
                InterceptAnswer::cannot_intercept("OUT_FOR_DELIVERY"),
            )
            .await
            .unwrap();
        let closed = t.order("TODAY").await.cancellations.remove(0);
        assert_eq!(closed.state, CancellationState::Rejected);
        assert_eq!(closed.close_reason.as_deref(), Some("NOT_INTERCEPTABLE"));
        assert_eq!(
            closed.parts[0].next_actions,
            [NextAction::ReturnUnopened, NextAction::ContactSupport]
        );

        // "You may need to return the goods … after receiving them."
        for order_id in ["NEVER", "TODAY"] {
            let shipment_id = format!("{order_id}:s1");
            t.scan(&shipment_id, TrackingFact::Delivered).await;
            let order = t.order(order_id).await;
            assert_eq!(
                (order.state, order.refunds.len()),
                (OrderState::Delivered, 0)
            );
            let request = t
                .storefront()
                .request_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED);
            let waiting = request
                .paths([CancellationPath::ReturnUnopened])
                .await
                .unwrap()
                .cancellation;
            let part = &waiting.parts[0];
            assert_eq!(gates(part), [(GateKind::ParcelReceipt, GateState::Open)]);
            assert_eq!(part.label, Some(LabelState::UnavailableInRegion));
            assert!(
                part.label_instructions
                    .as_ref()
                    .unwrap()
                    .starts_with("We have no prepaid label")
            );
            let warehouse = t.warehouse_of(&shipment_id).await;
            warehouse
                .receive_parcel(&shipment_id, GoodsCondition::Unopened)
                .await
                .unwrap();
            let order = t.order(order_id).await;
            assert_eq!(
                order.cancellations.last().unwrap().parts[0].state,
                PartState::Cancelled
            );
            let [refund] = &order.refunds[..] else {
                panic!("one refund, not {:?}", order.refunds)
            };
            assert_eq!(
                (refund.state, &refund.amount.total),
                (RefundState::Due, &eur(GOODS))
            );
        }
    });
}
