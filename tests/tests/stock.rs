//! Stock: it follows orders by their events, is told and never asked, and a zero happens once.

use belay_client::calls::{FirstPolicy, NewShipment, Parcel};
use belay_client::model::{GoodsCondition, ShipmentStage, StockEntryKind, TrackingFact};
use belay_client::{Error, Kind, RequestId, Role, Scope, Units};
use belay_proto::v1 as pb;
use belay_tests::shop::new_order;
use belay_tests::{SHOP, TestServer, pages, refused, run, run_at};
use futures_util::{StreamExt, stream};
use jiff::SignedDuration;

use StockEntryKind::{Archived, Counted, PutBack, Released, Reserved, SetAside, Shipped, Zeroed};

async fn count(t: &TestServer, sku: &str, quantity: i32) {
    let counted = t.seller().set_stock("main", sku, quantity).await;
    counted.unwrap_or_else(|error| panic!("count of {sku}: {error}"));
}

#[test]
fn stock_is_reserved_at_release_and_shipped_at_dispatch() {
    run(async |t| {
        count(t, "MUG", 10).await;
        t.place("A-1").await;
        assert_eq!(t.quantities("main", "MUG").await, (10, 0, 10));
        t.pay("A-1").await;
        assert_eq!(t.quantities("main", "MUG").await, (10, 3, 7));
        t.prepare("A-1:s1").await;
        t.mark_ready("A-1:s1").await;
        assert_eq!(t.quantities("main", "MUG").await, (10, 3, 7));
        t.ship("A-1:s1").await;
        assert_eq!(t.quantities("main", "MUG").await, (7, 0, 7));
        let told = t.told("main", "MUG").await;
        assert_eq!(told, [(Counted, 10), (Reserved, 3), (Shipped, 3)]);
        let shipped = t.ledger("main", "MUG").await.pop().unwrap();
        assert_eq!(shipped.order_id.unwrap().as_str(), "A-1");
        assert_eq!(shipped.shipment_id.unwrap().as_str(), "A-1:s1");
        // Stock is told, not asked: nobody ever counted pens.
        assert_eq!(t.quantities("main", "PEN").await, (-1, 0, -1));
    });
}

#[test]
fn what_is_cancelled_before_it_leaves_may_be_sold_again() {
    run(async |t| {
        count(t, "MUG", 10).await;
        t.place_paid("A-1").await;
        t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        assert_eq!(t.quantities("main", "MUG").await, (10, 2, 8));
        t.cancel("A-1").await;
        assert_eq!(t.quantities("main", "MUG").await, (10, 0, 10));
        let told = t.told("main", "MUG").await;
        assert_eq!(
            told,
            [(Counted, 10), (Reserved, 3), (Released, 1), (Released, 2)]
        );
        let released = t.ledger("main", "MUG").await.pop().unwrap();
        assert_eq!(released.cancellation_id.unwrap().as_str(), "A-1:c2");
    });
}

#[test]
fn only_goods_that_come_back_as_they_were_sent_are_put_back() {
    run(async |t| {
        count(t, "MUG", 30).await;
        for (order_id, condition) in [
            ("A-1", GoodsCondition::Unopened),
            ("A-2", GoodsCondition::Opened),
            ("A-3", GoodsCondition::Damaged),
        ] {
            t.place_shipped(order_id).await;
            let parcel = format!("{order_id}:s1");
            let received = t.warehouse().receive_parcel(parcel, condition).await;
            received.unwrap_or_else(|error| panic!("{condition}: {error}"));
        }
        assert_eq!(t.quantities("main", "MUG").await, (24, 0, 24));
        let told = t.told("main", "MUG").await;
        let came_back = |kind| told.iter().filter(|entry| **entry == (kind, 3)).count();
        assert_eq!((came_back(PutBack), came_back(SetAside)), (1, 2));
    });
}

#[test]
fn a_split_parcel_holds_what_the_whole_did() {
    run(async |t| {
        count(t, "MUG", 10).await;
        t.place_paid("A-1").await;
        let parcels = [
            Parcel::of("A-1:l1", 1),
            Parcel::new([("A-1:l1", 2), ("A-1:l2", 1)]),
        ];
        let split = t.warehouse().split_shipment("A-1:s1", parcels).await;
        split.unwrap();
        assert_eq!(t.quantities("main", "MUG").await, (10, 3, 7));
        t.ship("A-1:s2").await;
        assert_eq!(t.quantities("main", "MUG").await, (9, 2, 7));
        let holders = t.seller().list_stock_holders("main", "MUG").await.unwrap();
        let holders = holders.items.into_iter();
        let holders: Vec<_> = holders
            .map(|holder| (holder.shipment_id.to_string(), holder.quantity))
            .collect();
        assert_eq!(holders, [("A-1:s3".to_owned(), 2)]);
    });
}

#[test]
fn out_of_stock_zeroes_once_and_names_the_orders_that_wait() {
    run(async |t| {
        let market = t.open_market(FirstPolicy::preset("seller-warehouse")).await;
        let seller = market.seller();
        for warehouse in ["main", "east"] {
            seller.set_stock(warehouse, "MUG", 10).await.unwrap();
        }
        for order_id in ["A-1", "A-2", "A-3", "A-4"] {
            market.place_paid(order_id, "standard").await;
        }
        market.place("A-5", "standard").await;
        market.ship("A-4:s1").await;
        let request = market
            .sellers_request("A-1", "OUT_OF_STOCK")
            .request_id(RequestId::mint());
        let first = request.clone().await.unwrap();
        for _ in 0..3 {
            assert_eq!(request.clone().await.unwrap(), first);
        }
        let stock = async |warehouse_id: &str| {
            belay_tests::stock::projected(&t.database).await;
            let stock = seller.get_stock(warehouse_id, "MUG").await.unwrap();
            (stock.on_hand_quantity, stock.reserved_quantity)
        };
        assert_eq!(stock("main").await, (0, 6));
        assert_eq!(stock("east").await, (10, 0), "others are untouched");
        let entries = seller.list_stock_entries("main", "MUG").await.unwrap();
        let zeroes: Vec<_> = entries
            .items
            .into_iter()
            .filter(|entry| entry.kind == Zeroed)
            .collect();
        assert_eq!(zeroes.len(), 1);
        assert_eq!(zeroes[0].previous_quantity, Some(7));
        assert_eq!(
            zeroes[0].cancellation_id.as_ref().unwrap().as_str(),
            "A-1:c1"
        );

        let holders = pages(async |token| {
            let list = seller.list_stock_holders("main", "MUG");
            list.page_size(2).page_token(token).await
        });
        let mut holders: Vec<_> = holders
            .await
            .into_iter()
            .flatten()
            .map(|holder| {
                let order_id = holder.order_id.to_string();
                (
                    order_id,
                    holder.stage,
                    holder.quantity,
                    holder.reserved_quantity,
                )
            })
            .collect();
        holders.sort_by(|a, b| a.0.cmp(&b.0));
        let waits = |order_id: &str, stage, reserved| (order_id.to_owned(), stage, 3, reserved);
        assert_eq!(
            holders,
            [
                waits("A-2", ShipmentStage::Planned, 3),
                waits("A-3", ShipmentStage::Planned, 3),
                waits("A-5", ShipmentStage::Unreleased, 0),
            ]
        );

        // A later count makes it sellable, and no repeat takes that back.
        seller.set_stock("main", "MUG", 20).await.unwrap();
        assert_eq!(request.await.unwrap(), first);
        assert_eq!(stock("main").await, (20, 6));
        belay_tests::stock::is_as_rebuilt(&t.database).await;
        assert_eq!(stock("main").await, (20, 6));
    });
}

#[test]
fn an_archived_sku_is_not_available_until_it_is_counted() {
    run(async |t| {
        count(t, "MUG", 10).await;
        t.place_paid("A-1").await;
        let archived = t.seller().archive_sku("main", "MUG").await.unwrap();
        assert!(archived.archived);
        assert_eq!(t.quantities("main", "MUG").await, (10, 3, 0));
        let listed = async |with_archived: bool| {
            let list = t.seller().list_stock();
            let list = if with_archived {
                list.show_archived()
            } else {
                list
            };
            list.await.unwrap().items.len()
        };
        assert_eq!((listed(false).await, listed(true).await), (1, 2));
        t.ship("A-1:s1").await;
        assert_eq!(t.quantities("main", "MUG").await, (7, 0, 0));
        count(t, "MUG", 5).await;
        assert_eq!(t.quantities("main", "MUG").await, (5, 0, 5));
        assert!(!t.stock("main", "MUG").await.archived);
        let told = t.told("main", "MUG").await;
        let expected = [
            (Counted, 10),
            (Reserved, 3),
            (Archived, 0),
            (Shipped, 3),
            (Counted, 5),
        ];
        assert_eq!(told, expected);
    });
}

#[test]
fn what_is_told_is_told_once_by_its_request_id() {
    run(async |t| {
        let told = t
            .seller()
            .set_stock("main", "MUG", 10)
            .request_id(RequestId::mint());
        let ten = told.clone().await.unwrap();
        assert_eq!(ten.on_hand_quantity, 10);
        assert_eq!(told.clone().await.unwrap(), ten);
        count(t, "MUG", 4).await;
        // Whatever has happened since.
        assert_eq!(told.clone().await.unwrap().on_hand_quantity, 4);
        assert_eq!(t.told("main", "MUG").await, [(Counted, 10), (Counted, 4)]);
        let ledger = t.ledger("main", "MUG").await;
        let previous: Vec<_> = ledger.iter().map(|entry| entry.previous_quantity).collect();
        assert_eq!(previous, [Some(0), Some(10)]);
        let actor = ledger[1].actor.as_ref().unwrap();
        assert_eq!(
            (actor.role, actor.id.as_deref()),
            (Role::Seller, Some("acme"))
        );

        let request_id = RequestId::mint();
        let first = t.seller().set_stock("main", "PEN", 1);
        first.request_id(request_id).await.unwrap();
        let seller = t.seller();
        for other in [
            seller.set_stock("main", "PEN", 2),
            seller.set_stock("main", "MUG", 1),
            seller.set_stock("east", "PEN", 1),
            t.operator().set_stock("main", "PEN", 1),
        ] {
            let other = other.request_id(request_id).await;
            refused(other, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        }
        let other = seller.archive_sku("main", "PEN").request_id(request_id);
        refused(other.await, Kind::AlreadyExists, "REQUEST_ID_REUSED");
    });
}

#[test]
fn many_tellers_at_once_are_heard_one_after_the_other() {
    run(async |t| {
        let seller = t.seller();
        // As many at once as the server has connections for: more are shed.
        let tell = (0..200).map(|quantity| {
            let told = seller.set_stock("main", "MUG", quantity);
            async move { told.await.unwrap() }
        });
        let told: Vec<_> = stream::iter(tell).buffer_unordered(4).collect().await;
        assert_eq!(told.len(), 200);
        let ledger = t.ledger("main", "MUG").await;
        assert_eq!(ledger.len(), 200);
        for pair in ledger.windows(2) {
            assert!(pair[0].entry_time < pair[1].entry_time);
            assert_eq!(pair[1].previous_quantity, Some(pair[0].quantity.into()));
        }
    });
}

#[test]
fn what_is_heard_of_late_counts_where_it_belongs() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        let start = t.now().await;
        let hour = |hours| start + SignedDuration::from_hours(hours);
        t.place_paid("A-1").await;
        t.set_clock(hour(3)).await;
        count(t, "MUG", 10).await;
        // It left before the count, though nobody had heard of that.
        t.set_clock(hour(2)).await;
        t.ship("A-1:s1").await;
        assert_eq!(t.quantities("main", "MUG").await, (10, 0, 10));
        let ledger = t.ledger("main", "MUG").await;
        let previous: Vec<_> = ledger
            .iter()
            .map(|entry| (entry.kind, entry.previous_quantity))
            .collect();
        let expected = [(Reserved, None), (Shipped, None), (Counted, Some(-3))];
        assert_eq!(previous, expected);
        t.set_clock(hour(4)).await;
        t.place_shipped("A-2").await;
        assert_eq!(t.quantities("main", "MUG").await, (7, 0, 7));
        belay_tests::stock::is_as_rebuilt(&t.database).await;
    });
}

#[test]
fn what_is_told_late_counts_by_its_own_time() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        let start = t.now().await;
        let hour = |hours| start + SignedDuration::from_hours(hours);
        t.place_shipped("A-1").await;
        t.place_paid("A-2").await;
        t.set_clock(hour(3)).await;
        count(t, "MUG", 10).await;
        t.set_clock(hour(4)).await;
        // Both before the count, which has the one parcel and has not the other.
        let received = t
            .warehouse()
            .receive_parcel("A-1:s1", GoodsCondition::Unopened);
        received.receive_time(hour(1)).await.unwrap();
        let scan = t
            .carrier()
            .record_tracking("A-2:s1", "scan", TrackingFact::InTransit);
        scan.occurred_time(hour(2)).await.unwrap();
        assert_eq!(t.quantities("main", "MUG").await, (10, 0, 10));
        let ledger = t.ledger("main", "MUG").await.into_iter();
        let told: Vec<_> = ledger
            .filter(|entry| entry.kind != Reserved)
            .map(|entry| (entry.kind, entry.entry_time, entry.previous_quantity))
            .collect();
        let expected = [
            (Shipped, hour(0), None),
            (PutBack, hour(1), None),
            (Shipped, hour(2), None),
            (Counted, hour(3), Some(-3)),
        ];
        assert_eq!(told, expected);
        belay_tests::stock::is_as_rebuilt(&t.database).await;
    });
}

#[test]
fn absurd_quantities_and_names_are_refused() {
    run(async |t| {
        let seller = t.seller();
        for quantity in [-1, i32::MIN, 1_000_000_001, i32::MAX] {
            let told = seller.set_stock("main", "MUG", quantity).await;
            let error = refused(told, Kind::InvalidArgument, "INVALID_FIELD");
            assert_eq!(error.field_violations()[0].field, "quantity");
        }
        for sku in ["", "a b", "é", &"x".repeat(129)] {
            for refusal in [
                seller
                    .set_stock("main", sku, 1)
                    .await
                    .map(drop)
                    .map_err(Error::from),
                seller
                    .archive_sku("main", sku)
                    .await
                    .map(drop)
                    .map_err(Error::from),
                seller
                    .get_stock("main", sku)
                    .await
                    .map(drop)
                    .map_err(Error::from),
                seller
                    .list_stock_entries("main", sku)
                    .await
                    .map(drop)
                    .map_err(Error::from),
                seller
                    .list_stock_holders("main", sku)
                    .await
                    .map(drop)
                    .map_err(Error::from),
            ] {
                let error = refused(refusal, Kind::InvalidArgument, "INVALID_FIELD");
                assert_eq!(error.field_violations()[0].field, "sku");
            }
        }
        let request = pb::SetStockRequest {
            store_id: SHOP.to_owned(),
            warehouse_id: "main".to_owned(),
            sku: "MUG".to_owned(),
            quantity: 1,
            request_id: "again".to_owned(),
        };
        let raw = t.raw();
        raw.refused("seller", "InventoryService/SetStock", request)
            .await;
        let token = seller.list_stock().page_token("00").await;
        refused(token, Kind::InvalidArgument, "PAGE_TOKEN_INVALID");
        for quantity in [0, 1_000_000_000] {
            count(t, "MUG", quantity).await;
        }
        assert_eq!(t.told("main", "MUG").await.len(), 2);
    });
}

#[test]
fn a_warehouse_of_others_looks_like_one_that_is_not_there() {
    run(async |t| {
        count(t, "MUG", 10).await;
        t.place_paid("A-1").await;
        let east = t.store_as(SHOP, Role::Warehouse, "east");
        for warehouse in ["main", "gone"] {
            for refusal in [
                east.set_stock(warehouse, "MUG", 1)
                    .await
                    .map(drop)
                    .map_err(Error::from),
                east.archive_sku(warehouse, "MUG")
                    .await
                    .map(drop)
                    .map_err(Error::from),
                east.get_stock(warehouse, "MUG")
                    .await
                    .map(drop)
                    .map_err(Error::from),
                east.list_stock()
                    .warehouse_id(warehouse)
                    .await
                    .map(drop)
                    .map_err(Error::from),
                east.list_stock_entries(warehouse, "MUG")
                    .await
                    .map(drop)
                    .map_err(Error::from),
                east.list_stock_holders(warehouse, "MUG")
                    .await
                    .map(drop)
                    .map_err(Error::from),
            ] {
                let error = refused(refusal, Kind::NotFound, "WAREHOUSE_NOT_FOUND");
                assert_eq!(error.metadata()["warehouse_id"], warehouse);
            }
        }
        east.set_stock("east", "MUG", 5).await.unwrap();
        let seen = east.list_stock().await.unwrap().items;
        let seen: Vec<_> = seen
            .iter()
            .map(|stock| stock.warehouse_id.as_str())
            .collect();
        assert_eq!(seen, ["east"]);
        assert_eq!(t.quantities("main", "MUG").await, (10, 3, 7));

        // Of the orders that wait, a seller sees its own.
        let zenith = t.store_as(SHOP, Role::Seller, "zenith");
        let waits = async |store: &belay_client::Store| {
            store
                .list_stock_holders("main", "MUG")
                .await
                .unwrap()
                .items
                .len()
        };
        assert_eq!((waits(&zenith).await, waits(&t.seller()).await), (0, 1));
        let scope = Scope::default().carriers(["standard"]);
        let narrowed = t.role(Role::Operator, "ops").with_scope(scope).unwrap();
        assert_eq!(waits(&narrowed.store(SHOP)).await, 0);
    });
}

#[test]
fn a_list_of_stock_goes_by_warehouse_and_sku() {
    run(async |t| {
        let seller = t.seller();
        for (warehouse, sku) in [("main", "B"), ("east", "Z"), ("main", "A"), ("main", "C")] {
            seller.set_stock(warehouse, sku, 1).await.unwrap();
        }
        let listed = pages(async |token| seller.list_stock().page_size(3).page_token(token).await);
        let listed: Vec<Vec<String>> = listed
            .await
            .into_iter()
            .map(|page| {
                let name = |stock: belay_client::model::Stock| {
                    format!("{}/{}", stock.warehouse_id, stock.sku)
                };
                page.into_iter().map(name).collect()
            })
            .collect();
        assert_eq!(listed, [vec!["east/Z", "main/A", "main/B"], vec!["main/C"]]);
        // One that nothing is known of is empty, and is not listed.
        let unknown = seller.get_stock("main", "NEW").await.unwrap();
        assert_eq!((unknown.on_hand_quantity, unknown.update_time), (0, None));
    });
}

#[test]
fn units_of_another_warehouse_are_that_warehouses() {
    run(async |t| {
        let shipments = [
            NewShipment::new([(1, 2)]),
            NewShipment::new([(1, 1), (2, 1)]).warehouse_id("east"),
        ];
        new_order(&t.storefront(), "A-1")
            .shipments(shipments)
            .await
            .unwrap();
        t.pay("A-1").await;
        assert_eq!(t.quantities("main", "MUG").await, (0, 2, -2));
        assert_eq!(t.quantities("east", "MUG").await, (0, 1, -1));
    });
}
