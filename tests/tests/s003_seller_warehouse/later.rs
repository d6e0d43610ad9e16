//! Cases that reach beyond an order: into stock, into a seller's quality, over many orders at once.

use belay_client::calls::{MatchingOrders, NewShipment};
use belay_client::model::{
    BulkOutcome, CancellationEffect, CancellationFault, EventDetail, EventType, NextAction,
    OrderState, StockEntryKind,
};
use belay_client::{Kind, RequestId, Role, Units};
use belay_tests::market::{MARKET, Market, preset};
use belay_tests::shop::new_order;
use belay_tests::{TestServer, refused, run_at, stock, until};
use jiff::SignedDuration;

use super::{MONDAY, open};
use crate::bulk;

#[test]
fn s003_09_out_of_stock_makes_that_product_zero_in_that_warehouse_once() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for warehouse_id in ["main", "east"] {
            let counted = market.seller().set_stock(warehouse_id, "MUG", 10);
            counted.await.unwrap();
        }
        t.advance(SignedDuration::from_secs(1)).await;
        let shipments = [
            NewShipment::new([(1, 2)]),
            NewShipment::new([(1, 1), (2, 1)]).warehouse_id("east"),
        ];
        new_order(&market.storefront(), "A-1")
            .shipments(shipments)
            .await
            .unwrap();
        market.pay("A-1").await;
        let request = market
            .seller()
            .request_cancellation("A-1", Units::shipment("A-1:s2"))
            .reason("OUT_OF_STOCK");
        let request = request.request_id(RequestId::mint());
        let first = request.clone().await.unwrap();
        assert_eq!(first.cancellation.effects, [CancellationEffect::ZeroStock]);
        for _ in 0..3 {
            assert_eq!(request.clone().await.unwrap(), first);
        }
        // Of the shipment from `east` and of nothing else; its event names the lines, and so the
        // products.
        let contents = vec![("A-1:l1".to_owned(), 1), ("A-1:l2".to_owned(), 1)];
        let zeroed = (
            "A-1:s2".to_owned(),
            contents,
            vec![CancellationEffect::ZeroStock],
        );
        assert_eq!(market.stock_effects("A-1").await, [zeroed]);
        assert_eq!(
            market.shipment("A-1:s2").await.warehouse_id.as_str(),
            "east"
        );
        let completed = market.events("A-1", EventType::CancellationCompleted).await;
        let effects: Vec<_> = completed.into_iter().map(|event| event.detail).collect();
        assert!(
            matches!(&effects[..], [Some(EventDetail::CancellationChanged { effects, .. })] if *effects == [CancellationEffect::ZeroStock]),
            "{effects:?}"
        );
        // The quantity in that warehouse is zero, once, and the one before it is on record; the
        // other warehouse is untouched.
        assert_eq!(on_hand(t, &market, "east").await, 0);
        assert_eq!(on_hand(t, &market, "main").await, 10);
        let entries = market.seller().list_stock_entries("east", "MUG");
        let zeroed = entries.await.unwrap().items.into_iter();
        let zeroed: Vec<_> = zeroed
            .filter(|entry| entry.kind == StockEntryKind::Zeroed)
            .map(|entry| entry.previous_quantity)
            .collect();
        assert_eq!(zeroed, [Some(10)]);
        // An effect that is none is no policy.
        let operator = market.as_role(Role::Operator, "ops");
        let misspelt =
            preset("seller-warehouse").replace("effects: [ZERO_STOCK]", "effects: [NO_STOCK]");
        let error = refused(
            operator.create_policy(misspelt).await,
            Kind::InvalidArgument,
            "POLICY_INVALID",
        );
        assert_eq!(
            error.field_violations()[0].field,
            "document.reasons[0].effects[0]"
        );
    });
}

/// How many mugs are in a warehouse, once all is heard of.
async fn on_hand(t: &TestServer, market: &Market<'_>, warehouse_id: &str) -> i64 {
    stock::projected(&t.database).await;
    let stock = market.seller().get_stock(warehouse_id, "MUG").await;
    stock.unwrap().on_hand_quantity
}

#[test]
fn s003_10_afterwards_the_seller_sets_a_quantity_or_archives_the_product() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.seller().set_stock("main", "MUG", 10).await.unwrap();
        t.advance(SignedDuration::from_secs(1)).await;
        market.place_paid("A-1", "standard").await;
        let next = [NextAction::SetStock, NextAction::ArchiveSku];
        let preview = market
            .seller()
            .preview_cancellation("A-1", Units::all())
            .reason("OUT_OF_STOCK")
            .await
            .unwrap();
        assert_eq!(
            (&preview.next_actions[..], &preview.effects[..]),
            (&next[..], &[CancellationEffect::ZeroStock][..])
        );
        let request = market
            .sellers_request("A-1", "OUT_OF_STOCK")
            .request_id(RequestId::mint());
        let done = request.clone().await.unwrap();
        assert_eq!(done.cancellation.next_actions, next);
        let before = market.history("A-1").await;
        assert_eq!(on_hand(t, &market, "main").await, 0);
        let counted = market.seller().set_stock("main", "MUG", 25).await.unwrap();
        assert_eq!(
            (counted.on_hand_quantity, counted.available_quantity),
            (25, 25)
        );
        // Neither the same request nor a new one asks for zero again.
        assert_eq!(request.await.unwrap(), done);
        let again = market.sellers_request("A-1", "OUT_OF_STOCK").await.unwrap();
        assert_eq!(
            (again.cancellation, again.order_etag),
            (done.cancellation, done.order_etag)
        );
        assert_eq!(market.history("A-1").await, before);
        assert_eq!(
            on_hand(t, &market, "main").await,
            25,
            "nothing zeroes again"
        );
        let archived = market.seller().archive_sku("main", "MUG").await.unwrap();
        assert!(archived.archived && archived.available_quantity == 0);
        let counted = market.seller().set_stock("main", "MUG", 3).await.unwrap();
        assert!(!counted.archived && counted.available_quantity == 3);
    });
}

#[test]
fn s003_16_where_nothing_is_delivered_the_seller_is_told_to_change_the_delivery_area() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place_paid("A-1", "standard").await;
        let next = [NextAction::ChangeDeliveryArea];
        let reason = "ADDRESS_NOT_DELIVERABLE";
        let preview = market
            .seller()
            .preview_cancellation("A-1", Units::all())
            .reason(reason)
            .await
            .unwrap();
        assert_eq!(preview.next_actions, next);
        let cancellation = market
            .sellers_request("A-1", reason)
            .await
            .unwrap()
            .cancellation;
        assert_eq!(
            (&cancellation.next_actions[..], cancellation.fault),
            (&next[..], Some(CancellationFault::Seller))
        );
        assert_eq!(cancellation.effects, [CancellationEffect::Restock]);
        // Nothing is blocked by itself: the next order to the same city is taken, and goes.
        market.place_paid("A-2", "standard").await;
        market.ship("A-2:s1").await;
        assert_eq!(market.order("A-2").await.state, OrderState::Shipped);
        // The open orders to the city are cancelled in bulk, with a result each.
        for order_id in ["B-1", "B-2"] {
            market.place_paid(order_id, "standard").await;
        }
        market.place_paid_to("PL", "B-3", "standard").await;
        let seller = market.seller();
        let berlin = MatchingOrders::new().destination_city("DE", "Berlin");
        let start = seller.start_bulk_cancellation(berlin).reason(reason);
        let bulk = bulk::finished(&seller, &start.await.unwrap()).await;
        let results = bulk::results(&seller, &bulk.bulk_cancellation_id).await;
        let results: Vec<_> = results
            .iter()
            .map(|(order_id, result)| (order_id.as_str(), result.outcome))
            .collect();
        let completed = BulkOutcome::Completed;
        assert_eq!(results, [("B-1", completed), ("B-2", completed)]);
        assert_eq!(market.order("B-3").await.state, OrderState::ToShip);
    });
}

#[test]
fn s003_19_the_rate_is_counted_shipments_over_shipments_due_and_lags_as_the_policy_says() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let operator = market.as_role(Role::Operator, "ops");
        let document = operator.get_policy().await.unwrap().document;
        let defined = [
            "numerator: COUNTED_SHIPMENTS",
            "denominator: SHIPMENTS_DUE",
            "window_days: 28",
            "lag_days: 7",
            "{name: EXCEEDED, percent: 5}",
        ];
        for line in defined {
            assert!(document.contains(line), "{MARKET} does not say {line}");
        }
        // Window, lag and thresholds are each store's to set.
        let edited = document
            .replace("lag_days: 7", "lag_days: 0")
            .replace("percent: 5}", "percent: 10}");
        assert_eq!(
            operator
                .create_policy(edited.clone())
                .await
                .unwrap()
                .document,
            edited
        );
        let faults = [
            (
                "numerator: COUNTED_SHIPMENTS",
                "numerator: PARCELS",
                "document.quality.numerator",
            ),
            (
                "denominator: SHIPMENTS_DUE",
                "denominator: EVERYTHING",
                "document.quality.denominator",
            ),
            (
                "window_days: 28",
                "window_days: 0",
                "document.quality.window_days",
            ),
            ("lag_days: 7", "lag_days: soon", "document.quality.lag_days"),
            (
                "percent: 5}",
                "percent: 500}",
                "document.quality.thresholds[1].percent",
            ),
        ];
        for (right, wrong, field) in faults {
            let wrong = operator.create_policy(document.replace(right, wrong)).await;
            let error = refused(wrong, Kind::InvalidArgument, "POLICY_INVALID");
            assert_eq!(error.field_violations()[0].field, field);
        }

        // Of 40 shipments two count; one that was never released is not due.
        for number in 1..=40 {
            market.place_paid(&format!("A-{number}"), "standard").await;
        }
        market.place("UNPAID", "standard").await;
        for order_id in ["A-1", "A-2"] {
            let request = market.sellers_request(order_id, "OUT_OF_STOCK");
            request.await.unwrap();
        }
        let quality = async || {
            stock::projected(&t.database).await;
            let quality = market.seller().get_seller_quality("acme").await.unwrap();
            quality.unwrap()
        };
        let lagging = quality().await;
        assert_eq!((lagging.numerator, lagging.denominator), (0, 0));
        let dates = (
            lagging.first_date.to_string(),
            lagging.last_date.to_string(),
        );
        assert_eq!(dates, ("2026-01-27".to_owned(), "2026-02-23".to_owned()));
        t.advance(SignedDuration::from_hours(7 * 24)).await;
        let due = quality().await;
        assert_eq!((due.numerator, due.denominator), (2, 40));
        assert_eq!((due.rate_basis_points, due.lag_days), (500, 7));
        let thresholds: Vec<_> = due
            .thresholds
            .iter()
            .map(|threshold| (&*threshold.name, threshold.basis_points, threshold.reached))
            .collect();
        assert_eq!(
            thresholds,
            [("WARNING", 300, true), ("EXCEEDED", 500, true)]
        );
        let seller = market.seller();
        until("both thresholds are raised", async || {
            let crossings = seller.list_threshold_crossings("acme").await.unwrap();
            (crossings.items.len() == 2).then_some(())
        })
        .await;
        let counted = seller.list_counted_cancellations("acme").await.unwrap();
        let counted: Vec<_> = counted
            .items
            .into_iter()
            .filter_map(|counted| counted.shipment_id)
            .map(|id| id.to_string())
            .collect();
        assert_eq!(counted.len(), 2);
        assert!(counted.contains(&"A-2:s1".to_owned()), "{counted:?}");
    });
}
