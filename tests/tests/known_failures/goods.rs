//! Goods: what goes back on sale, and what can no longer be cancelled because it has left.

use std::collections::BTreeMap;

use belay_client::calls::{NewBuyer, NewLine, NewShipment};
use belay_client::model::{
    CancellationEffect, Destination, EventDetail, EventType, OrderState, PartState, TrackingFact,
};
use belay_client::{Kind, Units, reason};
use belay_tests::shop::eur;
use belay_tests::{TestServer, refused, run};

/// How many units of each line of each shipment were given back to the stock.
async fn restocked(t: &TestServer, order_id: &str) -> BTreeMap<(String, String), i32> {
    let mut units = BTreeMap::new();
    for event in t.events(order_id, EventType::PartEnded).await {
        let Some(EventDetail::PartEnded {
            shipment_id,
            state,
            contents,
            effects,
            ..
        }) = event.detail
        else {
            panic!("{event:?}")
        };
        assert_eq!(state, PartState::Cancelled);
        if effects.contains(&CancellationEffect::Restock) {
            for content in contents {
                *units
                    .entry((shipment_id.to_string(), content.line_id.to_string()))
                    .or_default() += content.quantity;
            }
        }
    }
    units
}

/// Units go back on sale once more for each plug-in, each partial refund and each repetition; for a
/// product that stands on two lines only one of them does; or they go back to another warehouse's
/// shelf. Every cancelled unit is given back once, by the shipment that it was in.
#[test]
fn each_cancelled_unit_goes_back_on_sale_once_and_where_it_came_from() {
    run(async |t| {
        // The same product on two lines, one of which is in two shipments.
        let lines = [
            NewLine::new("MUG", 5, eur(500)),
            NewLine::new("MUG", 2, eur(180)),
        ];
        let order = t.storefront().create_order(
            "A-1",
            NewBuyer::new("ann"),
            "acme",
            Destination::new("DE"),
            lines,
        );
        let shipments = [
            NewShipment::new([(1, 3)]),
            NewShipment::new([(1, 2), (2, 2)]).warehouse_id("east"),
        ];
        order.shipments(shipments).await.unwrap();
        let paid = t.payments().record_payment(
            "A-1",
            "pay-1",
            "paid",
            belay_client::model::PaymentFact::Captured,
        );
        paid.amount(eur(680)).method("PAYPAL").await.unwrap();

        t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        let refund = t.claim("worker-1").await.unwrap();
        let settled = belay_client::model::RefundResult::Settled;
        t.payments()
            .record_refund_result(&refund.refund_id, settled)
            .await
            .unwrap();
        t.payments()
            .record_refund_result(&refund.refund_id, settled)
            .await
            .unwrap();
        t.cancel_units("A-1", Units::shipment("A-1:s2")).await;
        t.cancel("A-1").await;
        t.cancel("A-1").await;
        let all = [
            ("A-1:s1", "A-1:l1", 3),
            ("A-1:s2", "A-1:l1", 2),
            ("A-1:s2", "A-1:l2", 2),
        ];
        let all =
            all.map(|(shipment, line, units)| ((shipment.to_owned(), line.to_owned()), units));
        assert_eq!(restocked(t, "A-1").await, BTreeMap::from(all));

        // What the seller does not have is not given back, whatever is usual.
        t.place_paid("A-2").await;
        t.seller()
            .request_cancellation("A-2", Units::all())
            .reason("OUT_OF_STOCK")
            .await
            .unwrap();
        assert_eq!(restocked(t, "A-2").await, BTreeMap::new());
    });
}

/// Whether an order may be cancelled is told by its payment alone, so that goods on credit can be
/// cancelled that have long been shipped.
#[test]
fn what_was_shipped_before_it_was_paid_is_not_cancelled_as_unpaid() {
    run(async |t| {
        let order = t.place("A-1").await;
        assert!(order.cancellable_now);
        t.scan("A-1:s1", TrackingFact::PickedUp).await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        refused(request.await, Kind::Rejected, "SHIPPED");
        let order = t.order("A-1").await;
        assert!(!order.cancellable_now);
        assert!(order.cancellations.is_empty());
        t.scan("A-1:s1", TrackingFact::Delivered).await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        refused(request.await, Kind::Rejected, "DELIVERED");
    });
}

/// A paid order that cannot be fulfilled keeps its money for hours, until somebody notices.
#[test]
fn what_cannot_be_supplied_is_paid_back_in_the_same_breath() {
    run(async |t| {
        t.place_paid("A-1").await;
        let request = t
            .seller()
            .request_cancellation("A-1", Units::all())
            .reason("OUT_OF_STOCK")
            .await
            .unwrap();
        assert_eq!(
            (request.order_state, request.cancellation.refund_ids.len()),
            (OrderState::Cancelled, 1)
        );
        let claimed = t.claim("worker-1").await.unwrap();
        assert_eq!(claimed.refund_id, request.cancellation.refund_ids[0]);
        assert_eq!(
            claimed.amount.total,
            request.cancellation.expected_refund.total
        );
    });
}
