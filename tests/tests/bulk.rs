//! Bulk cancellations: one request for many orders, with a result for each.

use std::collections::BTreeMap;

use belay_client::calls::{
    BulkOrders, FirstPolicy, MatchingOrders, NewBuyer, NewLine, StartBulkCancellation,
};
use belay_client::model::{
    BulkCancellation, BulkOutcome, BulkResult, BulkState, BulkUnits, CancellationPath, Destination,
    EventType, Line, OrderState, PaymentFact,
};
use belay_client::{BulkCancellationId, ErrorReason, Kind, RequestId, Role, Scope, Store};
use belay_domain::bulk::JobKey;
use belay_domain::ids::StoreId;
use belay_server::db::shares::Share;
use belay_server::db::{bulk_cancellations, pool};
use belay_tests::database::other_sessions;
use belay_tests::documents::every_gate;
use belay_tests::instance::{Service, session};
use belay_tests::shop::eur;
use belay_tests::{BULK_ORDERS_MAX, SHOP, TestServer, pages, refused, run, until};
use futures_util::{StreamExt, stream};
use mysql_async::prelude::Queryable as _;
use tokio::join;

use BulkOutcome::{Completed, Pending, Rejected, Waiting};

use crate::fairness::hold;

/// The jobs of a store that are under way at once.
const OPEN_JOBS_MAX: usize = 16;

/// Watches a job to its end.
pub(crate) async fn finished(store: &Store, bulk: &BulkCancellation) -> BulkCancellation {
    let id = &bulk.bulk_cancellation_id;
    let mut progress = store.watch_bulk_cancellation(id).await.expect("a stream");
    let mut last = bulk.clone();
    while let Some(next) = progress.try_next().await.expect("progress") {
        let done = |bulk: &BulkCancellation| bulk.total_orders - bulk.waiting_orders;
        assert!(done(&next) >= done(&last), "{last:?} then {next:?}");
        last = next;
    }
    assert!(last.end_time.is_some(), "{last:?}");
    last
}

/// Runs a job to its end and gives its results by order.
async fn ran(
    store: &Store,
    start: StartBulkCancellation,
) -> (BulkCancellation, BTreeMap<String, BulkResult>) {
    let bulk = start.orders_per_second(1_000).await.expect("it starts");
    let bulk = finished(store, &bulk).await;
    (
        bulk.clone(),
        results(store, &bulk.bulk_cancellation_id).await,
    )
}

pub(crate) async fn results(
    store: &Store,
    id: &BulkCancellationId,
) -> BTreeMap<String, BulkResult> {
    let of_page = async |token| {
        store
            .list_bulk_results(id)
            .page_size(7)
            .page_token(token)
            .await
    };
    let results = pages(of_page).await.into_iter().flatten();
    results
        .map(|result| (result.order_id.to_string(), result))
        .collect()
}

fn outcomes(results: &BTreeMap<String, BulkResult>) -> BTreeMap<&str, BulkOutcome> {
    let outcome = results.iter();
    outcome
        .map(|(order, result)| (order.as_str(), result.outcome))
        .collect()
}

/// Places an order of one pen of acme from `main` to this place.
async fn place_to(t: &TestServer, order_id: &str, destination: Destination) {
    let pen = [NewLine::new("PEN", 1, eur(500))];
    let shop = t.storefront();
    let placed = shop.create_order(order_id, NewBuyer::new("ann"), "acme", destination, pen);
    placed
        .await
        .unwrap_or_else(|error| panic!("order {order_id}: {error}"));
}

async fn cancellations(t: &TestServer, order_id: &str) -> usize {
    let requested = t.events(order_id, EventType::CancellationRequested).await;
    requested.len()
}

#[test]
fn a_dry_run_names_exactly_what_the_run_then_does() {
    run(async |t| {
        t.place("UNPAID").await;
        t.place_paid("PAID").await;
        t.place_paid("PREPARED").await;
        t.prepare("PREPARED:s1").await;
        t.place_paid("CANCELLED").await;
        t.cancel("CANCELLED").await;
        t.place_shipped("SHIPPED").await;
        t.place_split_paid("HALF").await;
        t.ship("HALF:s1").await;
        let orders = [
            "UNPAID",
            "PAID",
            "PREPARED",
            "CANCELLED",
            "SHIPPED",
            "HALF",
            "NOWHERE",
        ];
        let seller = t.seller();
        let start = || {
            let named = BulkOrders::named(orders);
            seller.start_bulk_cancellation(named).reason("OUT_OF_STOCK")
        };
        let before = t.database.snapshot().await;
        let (plan, planned) = ran(&seller, start().dry_run()).await;
        // Nothing but the job itself was written.
        let after = t.database.snapshot().await;
        assert_eq!(before.without_jobs(), after.without_jobs());
        assert!(
            plan.dry_run && plan.state == BulkState::Completed,
            "{plan:?}"
        );

        let (done, results) = ran(&seller, start()).await;
        assert!(!done.dry_run && done.state == BulkState::Completed);
        assert_eq!(outcomes(&planned), outcomes(&results));
        for (order, result) in &results {
            let plan = &planned[order];
            assert_eq!(plan.expected_refund, result.expected_refund, "{order}");
            let reasons = |result: &BulkResult| {
                let rejections = result.rejections.iter();
                rejections.map(|r| r.reason.clone()).collect::<Vec<_>>()
            };
            assert_eq!(reasons(plan), reasons(result), "{order}");
            assert!(plan.cancellation_id.is_none() && plan.request_id.is_none());
            assert!(result.request_id.is_some());
        }
        let counts = |bulk: &BulkCancellation| {
            let refunds = bulk.expected_refunds.clone();
            let counts = (
                bulk.completed_orders,
                bulk.pending_orders,
                bulk.rejected_orders,
            );
            (
                bulk.total_orders,
                bulk.waiting_orders,
                bulk.failed_orders,
                counts,
                refunds,
            )
        };
        assert_eq!(counts(&plan), counts(&done));
        assert_eq!((done.total_orders, done.named_orders), (7, 7));

        assert_eq!(results["PAID"].outcome, Completed);
        assert_eq!(results["PAID"].expected_refund, Some(eur(2_249)));
        assert_eq!(t.order("PAID").await.state, OrderState::Cancelled);
        let cancellation = results["PAID"].cancellation_id.as_ref().unwrap();
        let cancelled = seller.get_cancellation(cancellation).await.unwrap();
        assert_eq!(
            cancelled.cancellation.reason.as_deref(),
            Some("OUT_OF_STOCK")
        );
        // What was cancelled before is answered with what cancelled it.
        assert_eq!(results["CANCELLED"].outcome, Completed);
        assert_eq!(cancellations(t, "CANCELLED").await, 1);
        let why = |order: &str| results[order].rejections[0].reason.clone();
        assert_eq!(why("NOWHERE"), ErrorReason::OrderNotFound);
        assert_eq!(results["SHIPPED"].outcome, Rejected);
        assert_eq!(why("SHIPPED"), ErrorReason::Shipped);
    });
}

#[test]
fn a_filter_finds_the_open_orders_that_match_and_no_other() {
    run(async |t| {
        for (order_id, city) in [
            ("A-1", "Berlin"),
            ("A-2", "Berlin"),
            ("A-3", "Hamburg"),
            ("A-4", "Berlin"),
        ] {
            place_to(t, order_id, Destination::new("DE").city(city)).await;
        }
        let paid = t
            .payments()
            .record_payment("A-4", "pay-4", "evt-4", PaymentFact::Captured);
        paid.amount(eur(500)).method("CREDIT_CARD").await.unwrap();
        t.ship("A-4:s1").await;
        let seller = t.seller();
        let berlin = MatchingOrders::new().destination_city("DE", "Berlin");
        let start = seller.start_bulk_cancellation(berlin.clone());
        let start = start.reason("OUT_OF_STOCK");
        let (bulk, found) = ran(&seller, start).await;
        let cancelled = BTreeMap::from([("A-1", Completed), ("A-2", Completed)]);
        assert_eq!(outcomes(&found), cancelled);
        let filter = bulk.filter.unwrap();
        assert_eq!(filter.destination_city.as_deref(), Some("Berlin"));
        let open = [
            OrderState::AwaitingPayment,
            OrderState::ToShip,
            OrderState::Processing,
            OrderState::PartlyShipped,
        ];
        assert_eq!(filter.states, open);

        // What has left is asked where its state is named, and says why not.
        let shipped = berlin.states([OrderState::Shipped, OrderState::Cancelled]);
        let start = seller
            .start_bulk_cancellation(shipped)
            .reason("OUT_OF_STOCK");
        let (_, found) = ran(&seller, start).await;
        let asked = BTreeMap::from([("A-1", Completed), ("A-2", Completed), ("A-4", Rejected)]);
        assert_eq!(outcomes(&found), asked);
        assert_eq!(cancellations(t, "A-1").await, 1);

        let nothing = MatchingOrders::new().sku("NOTHING");
        let start = seller
            .start_bulk_cancellation(nothing)
            .reason("OUT_OF_STOCK");
        let (bulk, found) = ran(&seller, start).await;
        assert_eq!((bulk.state, bulk.total_orders), (BulkState::Completed, 0));
        assert!(found.is_empty());
    });
}

#[test]
fn only_the_units_that_match_are_asked_for_where_that_is_wanted() {
    run(async |t| {
        // Two mugs from `main`; a mug and the pen from `east`.
        for order_id in ["A-1", "A-2", "A-3"] {
            t.place_split_paid(order_id).await;
        }
        let seller = t.seller();
        let left = async |order_id: &str| {
            let lines = t.order(order_id).await.lines;
            let live = |line: &Line| line.quantity - line.cancelled_quantity;
            lines.iter().map(live).collect::<Vec<_>>()
        };
        let start = |orders: MatchingOrders| {
            let start = seller.start_bulk_cancellation(orders);
            start.reason("OUT_OF_STOCK").units(BulkUnits::Matching)
        };
        let pens = MatchingOrders::new().sku("PEN");
        let (bulk, found) = ran(&seller, start(pens.clone()).dry_run()).await;
        assert_eq!((bulk.units, found.len()), (BulkUnits::Matching, 3));
        assert_eq!(left("A-1").await, [3, 1]);
        ran(&seller, start(pens)).await;
        assert_eq!(left("A-1").await, [3, 0]);

        let mugs_of_main = MatchingOrders::new().sku("MUG").warehouse_id("main");
        let (_, found) = ran(&seller, start(mugs_of_main)).await;
        assert_eq!(found.len(), 3);
        assert_eq!(left("A-2").await, [1, 0]);
        // The shipment of `main` is cancelled whole: nothing of the order is in it any more.
        let main = MatchingOrders::new().warehouse_id("main");
        let (_, found) = ran(&seller, start(main)).await;
        assert!(found.is_empty(), "{found:?}");
        let east = MatchingOrders::new().warehouse_id("east");
        let (_, found) = ran(&seller, start(east)).await;
        assert_eq!(found.len(), 3);
        assert_eq!(t.order("A-3").await.state, OrderState::Cancelled);
    });
}

#[test]
fn every_filter_is_found_by_its_index_and_by_its_conditions() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        place_to(t, "A-2", Destination::new("FR")).await;
        let created = t.order("A-2").await.create_time;
        let seller = t.seller();
        let new = MatchingOrders::new;
        let rows: [(MatchingOrders, &[&str]); 13] = [
            (new().sku("PEN"), &["A-1", "A-2"]),
            (new().sku("PEN").warehouse_id("east"), &["A-1"]),
            (new().sku("PEN").destination_country("FR"), &["A-2"]),
            (new().sku("PEN").states([OrderState::Shipped]), &[]),
            (new().warehouse_id("main"), &["A-1", "A-2"]),
            (
                new().warehouse_id("main").seller_id("acme"),
                &["A-1", "A-2"],
            ),
            (new().warehouse_id("east").destination_country("FR"), &[]),
            (
                new().warehouse_id("main").create_time_from(created),
                &["A-2"],
            ),
            (
                new().warehouse_id("main").create_time_before(created),
                &["A-1"],
            ),
            (new().seller_id("acme"), &["A-1", "A-2"]),
            (new().destination_city("DE", "Berlin"), &["A-1"]),
            (new().create_time_from(created), &["A-2"]),
            (new().create_time_before(created), &["A-1"]),
        ];
        for (filter, expected) in rows {
            let start = seller.start_bulk_cancellation(filter.clone());
            let (_, found) = ran(&seller, start.reason("OUT_OF_STOCK").dry_run()).await;
            assert_eq!(found.keys().collect::<Vec<_>>(), expected, "{filter:?}");
        }
    });
}

#[test]
fn a_start_that_is_repeated_is_one_and_another_content_is_none() {
    run(async |t| {
        t.place_paid("A-1").await;
        let seller = t.seller();
        let request_id = RequestId::mint();
        let start = |order: &str| {
            let start = seller.start_bulk_cancellation(BulkOrders::named([order]));
            start.reason("OUT_OF_STOCK").request_id(request_id)
        };
        let first = start("A-1").await.unwrap();
        assert_eq!(first.bulk_cancellation_id.as_str(), request_id.to_string());
        let ended = finished(&seller, &first).await;
        assert_eq!(start("A-1").await.unwrap(), ended);
        for another in [
            start("A-2"),
            start("A-1").dry_run(),
            start("A-1").note("why"),
        ] {
            refused(another.await, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        }
        let support = t.support();
        let anothers = support.start_bulk_cancellation(BulkOrders::named(["A-1"]));
        let anothers = anothers.reason("OUT_OF_STOCK").request_id(request_id);
        refused(anothers.await, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(cancellations(t, "A-1").await, 1);
        // In another store the id is free.
        let policy = FirstPolicy::preset("independent-site");
        t.create_shop("other", policy).await;
        let other = t.store_as("other", Role::Seller, "acme");
        let start = other.start_bulk_cancellation(BulkOrders::named(["A-1"]));
        let started = start.reason("OUT_OF_STOCK").request_id(request_id).await;
        finished(&other, &started.unwrap()).await;
    });
}

#[test]
fn a_job_that_is_stopped_asks_no_further_order() {
    run(async |t| {
        let orders: Vec<String> = (0..20).map(|number| format!("A-{number}")).collect();
        for order in &orders {
            t.place_paid(order).await;
        }
        let seller = t.seller();
        let start = seller.start_bulk_cancellation(BulkOrders::named(&orders));
        let start = start.reason("OUT_OF_STOCK").orders_per_second(1);
        let bulk = start.await.unwrap();
        let id = &bulk.bulk_cancellation_id;
        let mut progress = seller.watch_bulk_cancellation(id).await.unwrap();
        while let Some(bulk) = progress.try_next().await.unwrap() {
            if bulk.completed_orders > 0 && bulk.state == BulkState::Running {
                let stopped = seller.stop_bulk_cancellation(id).await.unwrap();
                assert!(matches!(
                    stopped.state,
                    BulkState::Stopping | BulkState::Stopped
                ));
            }
        }
        let ended = seller.get_bulk_cancellation(id).await.unwrap();
        assert_eq!(ended.state, BulkState::Stopped);
        assert!(
            ended.waiting_orders > 0 && ended.completed_orders > 0,
            "{ended:?}"
        );
        let results = results(&seller, id).await;
        for (order, result) in &results {
            let is_cancelled = t.order(order).await.state == OrderState::Cancelled;
            assert_eq!(is_cancelled, result.outcome == Completed, "{result:?}");
        }
        let waiting = seller.list_bulk_results(id).outcome(Waiting);
        let waiting = waiting.page_size(1_000).await.unwrap().items.len();
        assert_eq!(i32::try_from(waiting), Ok(ended.waiting_orders));
        // What has ended stays as it is.
        assert_eq!(seller.stop_bulk_cancellation(id).await.unwrap(), ended);
    });
}

#[test]
fn a_job_that_is_stopped_while_it_selects_grows_no_more() {
    run(async |t| {
        t.place_paid("A-1").await;
        let seller = t.seller();
        let mut somebody = session(&t.database.url()).await;
        let own = "SELECT DATABASE()";
        let own: Option<String> = somebody.query_first(own).await.unwrap();
        // Its page waits for as long as it takes.
        let lock = "LOCK TABLES orders WRITE";
        somebody.query_drop(lock).await.unwrap();
        let all = MatchingOrders::new().seller_id("acme");
        let start = seller.start_bulk_cancellation(all).reason("OUT_OF_STOCK");
        let bulk = start.await.unwrap();
        until("a page is read", async || {
            let sessions = other_sessions(&mut somebody).await;
            let is_page = |info: &String| info.contains("orders_by_seller");
            sessions
                .iter()
                .any(|of| of.database == own && of.info.as_ref().is_some_and(is_page))
                .then_some(())
        })
        .await;
        let id = &bulk.bulk_cancellation_id;
        let stopped = seller.stop_bulk_cancellation(id).await.unwrap();
        assert_eq!(stopped.state, BulkState::Stopping);
        assert_eq!(stopped.total_orders, 0);
        somebody.query_drop("UNLOCK TABLES").await.unwrap();
        let ended = finished(&seller, &stopped).await;
        assert_eq!((ended.state, ended.total_orders), (BulkState::Stopped, 0));
        assert!(results(&seller, id).await.is_empty());
    });
}

#[test]
fn a_server_with_little_room_takes_the_oldest_job_first() {
    run(async |t| {
        let policy = FirstPolicy::preset("independent-site");
        t.create_shop("before-shop", policy).await;
        let idle = hold(t, Share::Background).await;
        let mut keys = Vec::new();
        // The index has the other store first.
        for store_id in [SHOP, "before-shop"] {
            let seller = t.store_as(store_id, Role::Seller, "acme");
            let start = seller.start_bulk_cancellation(BulkOrders::named(["NOWHERE"]));
            let bulk = start.reason("OUT_OF_STOCK").await.unwrap();
            let id = bulk.bulk_cancellation_id.as_str().parse().unwrap();
            keys.push(JobKey::of(&StoreId::parse(store_id).unwrap(), id));
        }
        let mut conn = pool::connect(&t.database.url()).await.unwrap();
        for room in [1, 2] {
            let found = bulk_cancellations::abandoned(&mut conn, room)
                .await
                .unwrap();
            assert_eq!(found, keys[..usize::from(room)]);
        }
        drop(idle);
    });
}

#[test]
fn a_dry_run_takes_nothing_of_what_callers_read_with() {
    run(async |t| {
        for order_id in ["A-1", "A-2", "A-3"] {
            t.place_paid(order_id).await;
        }
        let seller = t.seller();
        let idle = hold(t, Share::Background).await;
        let start = seller.start_bulk_cancellation(BulkOrders::named(["A-1", "A-2", "A-3"]));
        let start = start.reason("OUT_OF_STOCK").dry_run();
        let bulk = start.await.unwrap();
        let readers = hold(t, Share::Reads).await;
        drop(idle);
        let state = "SELECT state FROM bulk_cancellations";
        until("the dry run has ended", async || {
            let (state,): (String,) = t.database.row(state, ()).await;
            (state == "COMPLETED").then_some(())
        })
        .await;
        drop(readers);
        let results = results(&seller, &bulk.bulk_cancellation_id).await;
        assert_eq!(
            outcomes(&results).into_values().collect::<Vec<_>>(),
            [Completed; 3]
        );
    });
}

#[test]
fn a_job_is_seen_by_its_caller_and_by_those_above() {
    run(async |t| {
        t.place_paid("A-1").await;
        let seller = t.seller();
        let start = seller.start_bulk_cancellation(BulkOrders::named(["A-1"]));
        let bulk = start.reason("OUT_OF_STOCK").dry_run().await.unwrap();
        let id = &bulk.bulk_cancellation_id;
        finished(&seller, &bulk).await;
        let listed = async |store: &Store| {
            let page = store.list_bulk_cancellations().await.unwrap();
            page.items.len()
        };
        for above in [
            t.support(),
            t.operator(),
            t.store_as(SHOP, Role::Auditor, "eve"),
        ] {
            above.get_bulk_cancellation(id).await.unwrap();
            assert_eq!(listed(&above).await, 1);
            assert_eq!(results(&above, id).await.len(), 1);
        }
        let narrow = Scope::default().sellers(["acme"]);
        let narrow = t.support().with_scope(narrow).unwrap();
        // A proxy may name the same actor with another scope.
        let other = Scope::default().sellers(["zenith"]);
        let other = seller.with_scope(other).unwrap();
        let strangers = [t.store_as(SHOP, Role::Seller, "zenith"), narrow, other];
        for stranger in strangers {
            let absent = stranger.get_bulk_cancellation(id).await;
            refused(absent, Kind::NotFound, "BULK_CANCELLATION_NOT_FOUND");
            let absent = stranger.list_bulk_results(id).await;
            refused(absent, Kind::NotFound, "BULK_CANCELLATION_NOT_FOUND");
            let absent = stranger.stop_bulk_cancellation(id).await;
            refused(absent, Kind::NotFound, "BULK_CANCELLATION_NOT_FOUND");
            let absent = stranger.watch_bulk_cancellation(id).await;
            refused(absent, Kind::NotFound, "BULK_CANCELLATION_NOT_FOUND");
            assert_eq!(listed(&stranger).await, 0);
        }
    });
}

#[test]
fn a_seller_cancels_no_other_sellers_orders() {
    run(async |t| {
        t.place_paid("A-1").await;
        let zenith = t.store_as(SHOP, Role::Seller, "zenith");
        let named = zenith.start_bulk_cancellation(BulkOrders::named(["A-1"]));
        let (_, found) = ran(&zenith, named.reason("OUT_OF_STOCK")).await;
        assert_eq!(
            found["A-1"].rejections[0].reason,
            ErrorReason::OrderNotFound
        );
        let matching = MatchingOrders::new().sku("MUG");
        let matching = zenith.start_bulk_cancellation(matching);
        let (bulk, _) = ran(&zenith, matching.reason("OUT_OF_STOCK")).await;
        assert_eq!(bulk.total_orders, 0);
        assert_eq!(t.order("A-1").await.state, OrderState::ToShip);
    });
}

#[test]
fn a_store_has_so_many_jobs_under_way_and_each_has_its_turn() {
    run(async |t| {
        let seller = t.seller();
        let nobody: Vec<String> = (0..30).map(|number| format!("N-{number}")).collect();
        let start = || {
            let start = seller.start_bulk_cancellation(BulkOrders::named(&nobody));
            start.reason("OUT_OF_STOCK").orders_per_second(1)
        };
        let mut started = Vec::new();
        for _ in 0..OPEN_JOBS_MAX {
            started.push(start().await.unwrap());
        }
        let error = start().await;
        let error = refused(error, Kind::Rejected, "BULK_CANCELLATIONS_EXHAUSTED");
        assert_eq!(error.metadata()["limit_max"], "16");
        // Those that nobody works at yet are stopped as well.
        for bulk in &started {
            seller
                .stop_bulk_cancellation(&bulk.bulk_cancellation_id)
                .await
                .unwrap();
        }
        for bulk in &started {
            assert_eq!(finished(&seller, bulk).await.state, BulkState::Stopped);
        }
        let page = async |token| {
            let list = seller.list_bulk_cancellations();
            list.page_size(5).page_token(token).await
        };
        let listed: Vec<_> = pages(page).await.into_iter().flatten().collect();
        let listed = listed.iter().map(|bulk| &bulk.bulk_cancellation_id);
        let newest_first = started.iter().rev().map(|bulk| &bulk.bulk_cancellation_id);
        assert!(listed.eq(newest_first));
        let bulk = start().orders_per_second(1_000).await.unwrap();
        assert_eq!(finished(&seller, &bulk).await.rejected_orders, 30);
    });
}

/// As many rows of orders as wanted, like this one in all that a filter looks at. They are no
/// orders: nothing belongs to them.
async fn multiply(t: &TestServer, order_id: &str, count: u32) {
    let columns = "SELECT column_name FROM information_schema.columns
        WHERE table_schema = DATABASE() AND table_name = 'orders' ORDER BY ordinal_position";
    let columns: Vec<(String,)> = t.database.rows(columns, ()).await;
    let columns: Vec<String> = columns.into_iter().map(|(column,)| column).collect();
    let values = columns.iter().map(|column| match column.as_str() {
        "order_key" => "UNHEX(LEFT(SHA2(n, 256), 32))".to_owned(),
        "order_id" => "CONCAT('COPY-', n)".to_owned(),
        "next_due" => "NULL".to_owned(),
        other => other.to_owned(),
    });
    let values: Vec<String> = values.collect();
    let sql = format!(
        "INSERT INTO orders ({}) WITH RECURSIVE numbers AS
             (SELECT 1 n UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})
         SELECT {} FROM orders JOIN numbers WHERE order_id = ?",
        columns.join(", "),
        values.join(", "),
    );
    assert_eq!(
        t.database.execute(&sql, (order_id,)).await,
        u64::from(count)
    );
}

#[test]
fn more_orders_than_a_job_may_have_are_not_begun_and_as_many_are() {
    assert_eq!(belay_domain::bulk::ORDERS_MAX, 100_000, "as the protos say");
    run(async |t| {
        t.place_paid("A-1").await;
        multiply(t, "A-1", BULK_ORDERS_MAX - 1).await;
        let seller = t.seller();
        let start = || {
            let acmes = MatchingOrders::new().seller_id("acme");
            let start = seller.start_bulk_cancellation(acmes).reason("OUT_OF_STOCK");
            start.orders_per_second(1)
        };
        let id = start().await.unwrap().bulk_cancellation_id;
        let mut progress = seller.watch_bulk_cancellation(&id).await.unwrap();
        while let Some(bulk) = progress.try_next().await.unwrap() {
            if bulk.state == BulkState::Running {
                assert_eq!(bulk.total_orders.unsigned_abs(), BULK_ORDERS_MAX);
                seller.stop_bulk_cancellation(&id).await.unwrap();
            }
        }
        t.place("A-2").await;
        let bulk = finished(&seller, &start().await.unwrap()).await;
        assert_eq!(bulk.state, BulkState::Failed);
        assert_eq!(bulk.failure_reason, Some(ErrorReason::LimitReached));
        assert_eq!(bulk.waiting_orders, bulk.total_orders);
        assert_eq!(t.order("A-2").await.state, OrderState::AwaitingPayment);
        let copies = "DELETE FROM orders WHERE order_id LIKE 'COPY-%'";
        t.database.execute(copies, ()).await;
    });
}

/// A job that lasts: of so many orders that are not there.
async fn lasting(store: &Store) -> BulkCancellation {
    let nobody: Vec<String> = (0..1_000).map(|number| format!("N-{number}")).collect();
    let start = store.start_bulk_cancellation(BulkOrders::named(&nobody));
    let start = start.reason("OUT_OF_STOCK").orders_per_second(1);
    start.await.expect("it starts")
}

#[test]
fn a_watch_ends_with_its_server_and_another_one_works_on() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |_| {}).await;
        let belay = service.belay().with_role(Role::Seller, "acme").unwrap();
        let bulk = lasting(&belay.store(SHOP)).await;
        let id = &bulk.bulk_cancellation_id;
        let watch = belay.store(SHOP).watch_bulk_cancellation(id);
        let mut progress = watch.await.unwrap();
        let mut last = progress.try_next().await.unwrap().unwrap();
        let stop = service.stop();
        let read = async {
            while let Some(bulk) = progress.try_next().await.unwrap() {
                last = bulk;
            }
        };
        join!(stop, read);
        assert_eq!(last.end_time, None);
        // Whoever had it, somebody has it now.
        let goes_on = async || {
            let bulk = t.seller().get_bulk_cancellation(id).await.unwrap();
            (bulk.rejected_orders > last.rejected_orders).then_some(())
        };
        until("more orders are asked", goes_on).await;
        t.seller().stop_bulk_cancellation(id).await.unwrap();
        finished(&t.seller(), &bulk).await;
    });
}

#[test]
fn so_many_watch_at_once_and_one_more_is_shed() {
    const WATCHES_MAX: usize = 256;
    run(async |t| {
        let seller = t.seller();
        let bulk = lasting(&seller).await;
        let watch = || seller.watch_bulk_cancellation(&bulk.bulk_cancellation_id);
        let mut open = Vec::new();
        for _ in 0..WATCHES_MAX {
            open.push(watch().await.unwrap());
        }
        refused(watch().await, Kind::Overloaded, "OVERLOADED");
        open.pop();
        let _again = until("there is room", async || watch().await.ok()).await;
        let id = &bulk.bulk_cancellation_id;
        seller.stop_bulk_cancellation(id).await.unwrap();
        while open[0].try_next().await.unwrap().is_some() {}
    });
}

#[test]
fn an_order_that_stays_locked_fails_and_the_others_do_not() {
    run(async |t| {
        for order_id in ["HELD", "FREE-1", "FREE-2"] {
            t.place_paid(order_id).await;
        }
        let mut somebody = session(&t.database.url()).await;
        // By its key: a search by its id would lock what it passes over as well.
        let key = "SELECT order_key FROM orders WHERE order_id = 'HELD'";
        let (key,): (Vec<u8>,) = t.database.row(key, ()).await;
        let lock = "SELECT version FROM orders WHERE order_key = ? FOR UPDATE";
        somebody.query_drop("BEGIN").await.unwrap();
        somebody.exec_drop(lock, (key,)).await.unwrap();
        let seller = t.seller();
        let named = BulkOrders::named(["HELD", "FREE-1", "FREE-2"]);
        let start = seller.start_bulk_cancellation(named);
        let (bulk, found) = ran(&seller, start.reason("OUT_OF_STOCK")).await;
        somebody.query_drop("ROLLBACK").await.unwrap();
        assert_eq!((bulk.state, bulk.failed_orders), (BulkState::Completed, 1));
        let failed = ("HELD", BulkOutcome::Failed);
        let asked = [("FREE-1", Completed), ("FREE-2", Completed), failed];
        assert_eq!(outcomes(&found), BTreeMap::from(asked));
        assert_eq!(found["HELD"].failure_reason, Some(ErrorReason::Contention));
        assert_eq!(t.order("HELD").await.state, OrderState::ToShip);
    });
}

#[test]
fn interactive_calls_go_on_beside_a_job() {
    run(async |t| {
        let orders: Vec<String> = (0..100).map(|number| format!("A-{number}")).collect();
        let place = async |order: &String| drop(t.place_paid(order).await);
        stream::iter(&orders).for_each_concurrent(32, place).await;
        let seller = t.seller();
        let start = seller.start_bulk_cancellation(BulkOrders::named(&orders));
        let bulk = start
            .reason("OUT_OF_STOCK")
            .orders_per_second(1_000)
            .await
            .unwrap();
        for number in 0..20 {
            t.place_paid(&format!("B-{number}")).await;
        }
        let ended = finished(&seller, &bulk).await;
        assert_eq!((ended.completed_orders, ended.failed_orders), (100, 0));
        assert_eq!(ended.expected_refunds, [eur(100 * 2_249)]);
    });
}

#[test]
fn what_waits_for_somebody_is_pending() {
    run(async |t| {
        let market = t.open_market(FirstPolicy::document(every_gate())).await;
        market.place_paid("A-1", "express").await;
        market.place_paid("A-2", "express").await;
        market.ship("A-2:s1").await;
        let seller = market.seller();
        let start = seller.start_bulk_cancellation(BulkOrders::named(["A-1", "A-2"]));
        let paths = [CancellationPath::Cancel, CancellationPath::Intercept];
        let (bulk, found) = ran(&seller, start.reason("DIRECT").paths(paths)).await;
        assert_eq!(
            outcomes(&found),
            BTreeMap::from([("A-1", Completed), ("A-2", Pending)])
        );
        assert_eq!((bulk.completed_orders, bulk.pending_orders), (1, 1));
        // What has left keeps its shipping.
        assert_eq!(bulk.expected_refunds, [eur(2_249 + 1_666)]);
    });
}
