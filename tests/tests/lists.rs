//! Lists by what they are filtered by, followed to their end, and the counts beside them.

use belay_client::calls::FirstPolicy;
use belay_client::model::{
    BoundedCount, CancellationState, OrderState, Party, RefundState, ShipmentStage,
};
use belay_client::{Kind, Role, Units, reason};
use belay_tests::shop::{new_order, new_order_of, pay};
use belay_tests::{TestServer, documents, refused, run, run_at};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

fn count(value: i32) -> (i32, bool) {
    (value, false)
}

fn told(count: BoundedCount) -> (i32, bool) {
    (count.value, count.at_least)
}

#[test]
fn orders_are_listed_by_sku_and_destination() {
    run(async |t| {
        let store = t.storefront();
        t.place("A-1").await;
        t.place_split("A-2").await;
        let ids = async |list: belay_client::calls::ListOrders| {
            let mut ids: Vec<String> = list
                .await
                .unwrap()
                .items
                .into_iter()
                .map(|o| o.order_id.to_string())
                .collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(ids(store.list_orders().sku("MUG")).await, ["A-1", "A-2"]);
        assert_eq!(
            ids(store
                .list_orders()
                .sku("PEN")
                .buyer_id("ann")
                .destination_country("DE"))
            .await,
            ["A-1", "A-2"]
        );
        assert_eq!(ids(store.list_orders().sku("mug")).await, [""; 0]);
        let to_berlin = store
            .list_orders()
            .destination_country("DE")
            .destination_city("Berlin");
        assert_eq!(ids(to_berlin.clone()).await, ["A-1", "A-2"]);
        assert_eq!(
            ids(to_berlin.clone().state(OrderState::Shipped)).await,
            [""; 0]
        );
        assert_eq!(
            ids(to_berlin.sku("PEN").seller_id("acme")).await,
            ["A-1", "A-2"]
        );
        assert_eq!(
            ids(store.list_orders().destination_country("FR")).await,
            [""; 0]
        );
        let shipments =
            async |list: belay_client::calls::ListShipments| list.await.unwrap().items.len();
        assert_eq!(
            shipments(t.operator().list_shipments().carrier_id("express")).await,
            1
        );
        assert_eq!(
            shipments(t.operator().list_shipments().carrier_id("standard")).await,
            2
        );
        let at_a_stage = t
            .seller()
            .list_shipments()
            .seller_id("acme")
            .stage(ShipmentStage::Unreleased);
        assert_eq!(shipments(at_a_stage).await, 3);
        assert_eq!(
            shipments(t.seller().list_shipments().seller_id("else")).await,
            0
        );
        // A carrier is listed what is its own, whatever it asks for.
        assert_eq!(shipments(t.carrier().list_shipments()).await, 2);
        assert_eq!(
            shipments(t.carrier().list_shipments().carrier_id("express")).await,
            0
        );
        pay(&t.payments(), "A-1").await;
        t.cancel("A-1").await;
        let refunds = t
            .support()
            .list_refunds()
            .seller_id("acme")
            .state(RefundState::Due)
            .await
            .unwrap();
        assert_eq!(refunds.items.len(), 1);
        assert_eq!(
            t.support()
                .list_refunds()
                .seller_id("else")
                .await
                .unwrap()
                .items,
            []
        );
    });
}

#[test]
fn a_list_is_followed_to_its_end_and_taken_up_again() {
    run(async |t| {
        for number in 0..7 {
            t.place(&format!("A-{number}")).await;
        }
        let whole = t.storefront().list_orders().await.unwrap();
        assert_eq!((whole.items.len(), whole.next_page_token), (7, None));

        let mut pages = t.storefront().list_orders().page_size(3).pages();
        let mut sizes = Vec::new();
        while let Some(page) = pages.try_next().await.unwrap() {
            sizes.push(page.items.len());
        }
        assert_eq!(sizes, [3, 3, 1]);
        assert_eq!(pages.resume_token(), None);

        let mut entries = t.storefront().list_orders().page_size(3).stream();
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.extend(entries.try_next().await.unwrap());
        }
        // The fourth is on the second page, which comes again from its beginning.
        let token = entries.resume_token().unwrap().to_owned();
        drop(entries);
        taken.truncate(3);
        let mut entries = t
            .storefront()
            .list_orders()
            .page_size(3)
            .page_token(token)
            .stream();
        while let Some(order) = entries.try_next().await.unwrap() {
            taken.push(order);
        }
        assert_eq!(taken, whole.items);
        let mut wrong = t.storefront().list_orders().page_token("nonsense").stream();
        refused(
            wrong.try_next().await,
            Kind::InvalidArgument,
            "PAGE_TOKEN_INVALID",
        );
        assert!(
            wrong.try_next().await.unwrap().is_none(),
            "an error comes once"
        );
    });
}

#[test]
fn orders_are_counted_by_tab() {
    run(async |t| {
        t.place("A-1").await;
        t.place_paid("A-2").await;
        t.place_shipped("A-3").await;
        t.place_paid("A-4").await;
        t.cancel("A-4").await;
        new_order_of(&t.storefront(), "B-1", "bob").await.unwrap();

        let tabs = t
            .storefront()
            .summarize_orders()
            .buyer_id("ann")
            .await
            .unwrap();
        let states: Vec<OrderState> = tabs.states.iter().map(|entry| entry.state).collect();
        let all = [
            OrderState::AwaitingPayment,
            OrderState::ClosedUnpaid,
            OrderState::Cancelled,
            OrderState::ToShip,
            OrderState::Processing,
            OrderState::PartlyShipped,
            OrderState::Shipped,
            OrderState::Delivered,
        ];
        assert_eq!(states, all);
        let counts: Vec<i32> = tabs.states.iter().map(|entry| entry.count.value).collect();
        assert_eq!(counts, [1, 0, 1, 1, 0, 0, 1, 0]);
        assert_eq!(told(tabs.total), count(4));
        for entry in tabs.states {
            let listed = t
                .storefront()
                .list_orders()
                .buyer_id("ann")
                .state(entry.state)
                .await
                .unwrap();
            assert_eq!(
                told(entry.count),
                (i32::try_from(listed.items.len()).unwrap(), false),
                "{}",
                entry.state
            );
        }
        let summary =
            async |list: belay_client::calls::SummarizeOrders| told(list.await.unwrap().total);
        assert_eq!(
            summary(t.seller().summarize_orders().seller_id("acme")).await,
            count(5)
        );
        assert_eq!(
            summary(
                t.seller()
                    .summarize_orders()
                    .seller_id("acme")
                    .buyer_id("bob")
            )
            .await,
            count(1)
        );
        assert_eq!(
            summary(t.seller().summarize_orders().seller_id("else")).await,
            count(0)
        );
        assert_eq!(summary(t.support().summarize_orders()).await, count(5));
    });
}

/// A store in which buyers ask the seller, with some paid orders.
async fn consent_store(t: &TestServer, order_ids: &[&str]) {
    t.create_shop(
        "b2b",
        FirstPolicy::document(documents::consent("REFUSE", "BAR")),
    )
    .await;
    let store = t.store_as("b2b", Role::Storefront, "web");
    for order_id in order_ids {
        new_order(&store, order_id).await.unwrap();
        pay(&store, order_id).await;
    }
}

#[test]
fn what_waits_for_a_party_is_listed_and_counted_with_the_nearest_deadline() {
    run_at(MONDAY, async |t| {
        consent_store(t, &["A-1", "A-2", "A-3"]).await;
        let store = t.store_as("b2b", Role::Storefront, "web");
        let mut deadlines = Vec::new();
        for order_id in ["A-1", "A-2"] {
            t.advance(SignedDuration::from_hours(1)).await;
            let asked = store
                .request_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED);
            deadlines.push(
                asked.await.unwrap().cancellation.parts[0].gates[0]
                    .respond_by
                    .unwrap(),
            );
        }
        t.advance(SignedDuration::from_mins(1)).await;
        let seller = t.store_as("b2b", Role::Seller, "acme");
        let cancel = seller
            .request_cancellation("A-3", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        assert_eq!(
            cancel.await.unwrap().cancellation.state,
            CancellationState::Completed
        );

        let needed = seller.summarize_actions().seller_id("acme").await.unwrap();
        assert_eq!(
            (
                told(needed.requested),
                told(needed.auto_approved),
                told(needed.total)
            ),
            (count(2), count(0), count(2))
        );
        assert_eq!(needed.nearest_deadline, Some(deadlines[0]));
        for party in [Party::Support, Party::Warehouse, Party::Carrier] {
            let needed = seller.summarize_actions().party(party).await.unwrap();
            assert_eq!(
                (told(needed.total), needed.nearest_deadline),
                (count(0), None),
                "{party}"
            );
        }
        let ids = async |list: belay_client::calls::ListCancellations| -> Vec<String> {
            list.await
                .unwrap()
                .items
                .into_iter()
                .map(|each| each.cancellation_id.to_string())
                .collect()
        };
        let list = || seller.list_cancellations();
        assert_eq!(
            ids(list().awaiting(Party::Seller)).await,
            ["A-2:c1", "A-1:c1"]
        );
        assert_eq!(
            ids(list()
                .awaiting(Party::Seller)
                .respond_by_before(deadlines[1]))
            .await,
            ["A-1:c1"]
        );
        assert_eq!(
            ids(list().respond_by_before(deadlines[1])).await,
            ["A-1:c1"]
        );
        assert_eq!(
            ids(list().awaiting(Party::Seller).warehouse_id("main")).await,
            ["A-2:c1", "A-1:c1"]
        );
        assert_eq!(ids(list().awaiting(Party::Support)).await, [""; 0]);
        assert_eq!(
            ids(list().warehouse_id("main")).await,
            ["A-3:c1", "A-2:c1", "A-1:c1"]
        );
        assert_eq!(ids(list().carrier_id("express")).await, [""; 0]);

        // A gate that closes is waited for no longer.
        t.set_clock(deadlines[0]).await;
        belay_tests::until("the first deadline passes", async || {
            let needed = seller.summarize_actions().seller_id("acme").await.unwrap();
            (told(needed.requested) == count(1)).then_some(needed.nearest_deadline)
        })
        .await;
        assert_eq!(ids(list().awaiting(Party::Seller)).await, ["A-2:c1"]);
    });
}

#[test]
fn what_was_approved_without_the_seller_needs_the_sellers_eye_for_a_week() {
    run_at(MONDAY, async |t| {
        t.place_split_paid("A-1").await;
        t.cancel("A-1").await;
        t.advance(SignedDuration::from_hours(24)).await;
        t.place_paid("A-2").await;
        let later = t.now().await;
        t.cancel_units("A-2", Units::line("A-2:l1", 1)).await;
        // The seller's own request is no news to the seller.
        let own = t
            .seller()
            .request_cancellation("A-2", Units::line("A-2:l2", 1))
            .reason("OUT_OF_STOCK")
            .await;
        assert_eq!(
            own.unwrap().cancellation.state,
            CancellationState::Completed
        );

        let needed = async || {
            t.seller()
                .summarize_actions()
                .seller_id("acme")
                .await
                .unwrap()
        };
        let approved = needed().await;
        assert_eq!(
            (told(approved.auto_approved), told(approved.requested)),
            (count(2), count(0))
        );
        assert_eq!(
            (told(approved.total), approved.nearest_deadline),
            (count(2), None)
        );
        let since = t
            .seller()
            .summarize_actions()
            .auto_approved_since(later)
            .await
            .unwrap();
        assert_eq!(told(since.auto_approved), count(1));
        assert_eq!(
            told(
                t.seller()
                    .summarize_actions()
                    .seller_id("else")
                    .await
                    .unwrap()
                    .total
            ),
            count(0)
        );
        let support = t
            .support()
            .summarize_actions()
            .party(Party::Support)
            .await
            .unwrap();
        assert_eq!(told(support.auto_approved), count(0));
        t.advance(SignedDuration::from_hours(6 * 24) + SignedDuration::from_secs(1))
            .await;
        assert_eq!(told(needed().await.auto_approved), count(1));
        let longer = later - SignedDuration::from_hours(48);
        let longer = t
            .seller()
            .summarize_actions()
            .auto_approved_since(longer)
            .await
            .unwrap();
        assert_eq!(told(longer.auto_approved), count(2));
        t.advance(SignedDuration::from_hours(31 * 24)).await;
        let too_long = t
            .seller()
            .summarize_actions()
            .auto_approved_since(later)
            .await
            .unwrap();
        assert_eq!(
            told(too_long.auto_approved),
            count(0),
            "no further back than 31 days"
        );
    });
}
