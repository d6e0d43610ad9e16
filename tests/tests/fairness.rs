//! No caller, and no kind of work, keeps the others from theirs.

use belay_client::calls::{NewBuyer, NewLine};
use belay_client::model::Destination;
use belay_client::{Belay, Kind, Role, Store};
use belay_domain::actor::{self as domain, Actor};
use belay_domain::ids::StoreId;
use belay_proto::v1 as pb;
use belay_server::caller_limits::CallerSettings;
use belay_server::db::Checkout;
use belay_server::db::shares::{Share, Shares};
use belay_server::page_gate::{PageSettings, Turn};
use belay_server::server::{Server, ServerSettings};
use belay_testing::Server as Memory;
use belay_tests::instance::{Service, literal, storefront};
use belay_tests::shop::{eur, new_order};
use belay_tests::{HANG, SHOP, TestServer, refused, run, run_at, until};
use belay_wire::pages::{PAGE_BYTES_MAX, PAGE_RECORDS_MAX};
use belay_wire::parse::bounds::TITLE_CHARS_MAX;
use futures_util::future::join_all;
use jiff::SignedDuration;
use prost::Message as _;
use tokio::join;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Readers that never rest.
const READERS: usize = 24;
/// Of a large order; it has one shipment besides.
const LINES: usize = 200;

/// All connections of a share, in somebody's hands.
pub(crate) async fn hold(t: &TestServer, share: Share) -> Vec<Checkout> {
    let inside = t.inside();
    let pool = inside.pool(share);
    let mut held = Vec::new();
    for _ in 0..pool.status().max {
        held.push(pool.checkout().await.expect("a connection is free"));
    }
    held
}

/// All turns to read a page, in somebody's hands.
async fn hold_pages(service: &Service, at_once: usize) -> Vec<Turn> {
    let somebody = Actor::new(domain::Role::Auditor, "holder");
    let inside = service.inside();
    let mut held = Vec::new();
    for _ in 0..at_once {
        held.push(inside.page_turn(&somebody).await);
    }
    held
}

/// A server whose pages are read one after the other, and wait for as long as the test likes.
async fn patient_pages(t: &TestServer, waiting_max: usize) -> Service {
    let pages = PageSettings {
        at_once: Some(1),
        waiting_max,
        wait_max: HANG,
    };
    Service::start(t.database.url(), |settings| settings.pages = pages).await
}

fn auditor(belay: &Belay, actor: &str) -> Store {
    let auditor = belay.with_role(Role::Auditor, actor);
    auditor.expect("a role to call in").store(SHOP)
}

/// Places an order of 200 lines, with titles of so many characters of four bytes.
async fn place_large(store: &Store, order_id: &str, title_chars: usize) {
    let line = |line: usize| {
        NewLine::new(format!("SKU-{line}"), 1, eur(100)).title("𝒳".repeat(title_chars))
    };
    let placed = store.create_order(
        order_id,
        NewBuyer::new("ann"),
        "acme",
        Destination::new("DE"),
        (1..=LINES).map(line),
    );
    placed.await.expect("an order");
}

/// The orders on each page of the list, followed to its end by the largest pages.
async fn pages_of(store: &Store) -> Vec<Vec<String>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let list = store.list_orders().page_size(1_000).page_token(page_token);
        let page = list.await.expect("a page");
        let ids = page.items.iter().map(|order| order.order_id.to_string());
        pages.push(ids.collect());
        page_token = page.next_page_token.unwrap_or_default();
        if page_token.is_empty() {
            return pages;
        }
    }
}

/// The state that the database has of an order.
async fn state(t: &TestServer, order_id: &str) -> String {
    let sql = "SELECT state FROM orders WHERE order_id = ?";
    let (state,): (String,) = t.database.row(sql, (order_id,)).await;
    state
}

#[test]
fn held_reads_keep_no_write_no_deadline_and_no_reference_data_from_theirs() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        let shop = storefront(&literal(t.address()));
        t.place("UNPAID").await;
        let held = hold(t, Share::Reads).await;
        let belay = literal(t.address());
        let mut readers = JoinSet::new();
        for reader in 0..READERS {
            let store = auditor(&belay, &format!("reader-{reader}"));
            readers.spawn(async move {
                loop {
                    let _ = store.list_orders().page_size(1_000).await;
                }
            });
        }

        new_order(&shop, "NEW").await.expect("orders are placed");
        t.pay("NEW").await;
        t.cancel("NEW").await;
        t.inside()
            .refreshed(&StoreId::parse(SHOP).expect("an id"))
            .await;
        t.advance(SignedDuration::from_hours(24 * 30)).await;
        until("the order has expired", async || {
            (state(t, "UNPAID").await == "CLOSED_UNPAID").then_some(())
        })
        .await;

        let shed = refused(shop.get_order("NEW").await, Kind::Overloaded, "OVERLOADED");
        assert!(shed.retry_after().is_some(), "it says when to come back");
        readers.shutdown().await;
        drop(held);
    });
}

#[test]
fn held_writes_are_shed_and_keep_no_read_from_its_own() {
    run(async |t| {
        let shop = storefront(&literal(t.address()));
        t.place("A-1").await;
        let held = hold(t, Share::Writes).await;
        let shed = refused(
            new_order(&shop, "A-2").await,
            Kind::Overloaded,
            "OVERLOADED",
        );
        assert!(shed.retry_after().is_some());
        shop.get_order("A-1").await.expect("reads go on");
        drop(held);
        new_order(&shop, "A-2").await.expect("there is room again");
    });
}

#[test]
fn reference_data_that_waits_in_vain_is_shed_and_no_outage() {
    run(async |t| {
        let shop = storefront(&literal(t.address()));
        t.place("A-1").await;
        let held = hold(t, Share::Upkeep).await;
        // What is in memory serves on until it is too old.
        let shed = until("reference data is too old", async || {
            shop.get_order("A-1").await.err()
        })
        .await;
        refused::<(), _>(Err(shed), Kind::Overloaded, "OVERLOADED");
        drop(held);
    });
}

#[test]
fn a_server_with_too_few_connections_says_so_and_does_not_start() {
    run(async |t| {
        let mut settings =
            ServerSettings::new(t.database.url(), belay_server::auth::Authentication::Dev);
        settings.connections = Shares::least(settings.lanes) - 1;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let refused = Server::start(settings, listener)
            .await
            .expect_err("a share would be empty");
        assert_eq!(
            refused.to_string(),
            "10 database connections are too few for 2 lanes: at least 11 are needed"
        );
    });
}

#[test]
fn a_page_ends_at_its_records_and_its_token_goes_on() {
    run(async |t| {
        // Each has its lines and a shipment.
        let on_a_page = PAGE_RECORDS_MAX / (LINES + 1);
        let memory = Memory::start().await;
        let of_memory = memory.client().with_role(Role::Operator, "ops");
        let preset = belay_client::calls::FirstPolicy::preset("independent-site");
        let created = of_memory.expect("a role").create_store(SHOP, preset).await;
        created.expect("a store");
        for store in [t.storefront(), storefront(&memory.client())] {
            for order in 0..=on_a_page {
                place_large(&store, &format!("LARGE-{order}"), 0).await;
            }
            let pages = pages_of(&store).await;
            let lengths: Vec<usize> = pages.iter().map(Vec::len).collect();
            assert_eq!(lengths, [on_a_page, 1]);
            let mut all = pages.concat();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), on_a_page + 1, "each once");
        }
    });
}

#[test]
fn a_page_ends_at_its_bytes_and_its_token_goes_on() {
    run(async |t| {
        // With titles as long as they may be, their bytes count before their records do.
        let orders = PAGE_RECORDS_MAX / (LINES + 1);
        for order in 0..orders {
            place_large(&t.storefront(), &format!("LARGE-{order}"), TITLE_CHARS_MAX).await;
        }
        let get = pb::GetOrderRequest {
            store_id: SHOP.to_owned(),
            order_id: "LARGE-0".to_owned(),
        };
        let raw = t.raw();
        let whole: Result<pb::GetOrderResponse, _> =
            raw.send("auditor", "OrderService/GetOrder", get).await;
        let each = whole
            .expect("an answer")
            .order
            .expect("the order")
            .encoded_len();
        let on_a_page = PAGE_BYTES_MAX / each;
        assert!((1..orders).contains(&on_a_page), "{each} bytes each");
        let pages = pages_of(&t.storefront()).await;
        assert!(pages.len() > 1);
        assert_eq!(pages[0].len(), on_a_page, "{each} bytes each");
        let mut all = pages.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), orders, "each once");
    });
}

#[test]
fn pages_that_find_no_place_are_shed_and_keep_nobody_else_waiting() {
    run(async |t| {
        let service = patient_pages(t, 2).await;
        let belay = literal(service.address());
        let (greedy, modest) = (auditor(&belay, "greedy"), auditor(&belay, "modest"));
        let held = hold_pages(&service, 1).await;
        let waiting = async |pages: usize| {
            until("pages wait", async || {
                (service.inside().pages_waiting() == pages).then_some(())
            })
            .await;
        };
        // A task of its own for each.
        let list = |store: &Store| {
            let (store, mut task) = (store.clone(), JoinSet::new());
            task.spawn(async move { store.list_orders().await.map(|page| page.items.len()) });
            task
        };
        let mut first = list(&greedy);
        waiting(1).await;
        let mut second = list(&greedy);
        waiting(2).await;

        let shed = refused(greedy.list_orders().await, Kind::Overloaded, "OVERLOADED");
        assert!(shed.retry_after().is_some(), "it says when to come back");
        // Whoever has less there takes the place of the last of whoever has more.
        let mut third = list(&modest);
        refused(
            second.join_next().await.expect("a task").expect("it ends"),
            Kind::Overloaded,
            "OVERLOADED",
        );
        // What is no page waits for none.
        new_order(&storefront(&belay), "NEW")
            .await
            .expect("a write");
        modest.get_order("NEW").await.expect("a read");

        drop(held);
        let (first, third) = join!(first.join_next(), third.join_next());
        for page in [first, third] {
            let page = page.expect("a task").expect("it ends");
            assert_eq!(page.expect("a page"), 1);
        }
        let metrics = service.inside().metrics();
        let counted = "belay_queue_shed_total{belay_queue=\"pages\"} 2";
        assert!(metrics.contains(counted), "{metrics}");
        service.stop().await;
    });
}

#[test]
fn every_list_and_count_waits_for_its_turn() {
    run(async |t| {
        // Room for none to wait.
        let service = patient_pages(t, 0).await;
        let belay = literal(service.address());
        t.place("A-1").await;
        let held = hold_pages(&service, 1).await;
        let store = belay
            .with_role(Role::Operator, "ops")
            .expect("a role")
            .store(SHOP);
        let of_orders = async || store.list_orders().await.map(drop);
        refused(of_orders().await, Kind::Overloaded, "OVERLOADED");
        refused(store.list_shipments().await, Kind::Overloaded, "OVERLOADED");
        refused(
            store.list_cancellations().await,
            Kind::Overloaded,
            "OVERLOADED",
        );
        refused(store.list_refunds().await, Kind::Overloaded, "OVERLOADED");
        refused(store.list_incidents().await, Kind::Overloaded, "OVERLOADED");
        refused(
            store.list_order_history("A-1").await,
            Kind::Overloaded,
            "OVERLOADED",
        );
        refused(
            store.summarize_orders().await,
            Kind::Overloaded,
            "OVERLOADED",
        );
        refused(store.list_carriers().await, Kind::Overloaded, "OVERLOADED");
        refused(store.list_policies().await, Kind::Overloaded, "OVERLOADED");
        refused(belay.list_stores().await, Kind::Overloaded, "OVERLOADED");
        drop(held);
        of_orders().await.expect("a page");
        service.stop().await;
    });
}

/// A server with these limits for each of its callers.
async fn limited(t: &TestServer, callers: CallerSettings) -> Service {
    Service::start(t.database.url(), |settings| settings.callers = callers).await
}

#[test]
fn a_caller_has_as_many_calls_under_way_as_it_may() {
    run(async |t| {
        t.place("A-1").await;
        let service = limited(
            t,
            CallerSettings {
                concurrent_calls: 2,
                ..CallerSettings::default()
            },
        )
        .await;
        let belay = literal(service.address());
        let (one, other) = (auditor(&belay, "one"), auditor(&belay, "other"));
        let watching = belay.with_role(Role::Auditor, "one").expect("a role");
        let first = watching.watch_events().await.expect("a stream");
        let _second = watching.watch_events().await.expect("a stream");
        let beyond = refused(one.get_order("A-1").await, Kind::Overloaded, "CALLER_LIMIT");
        assert_eq!(beyond.metadata()["limit"], "CONCURRENT_CALLS");
        assert_eq!(beyond.metadata()["limit_max"], "2");
        assert!(beyond.retry_after().is_some_and(|wait| !wait.is_zero()));
        other.get_order("A-1").await.expect("another has its own");
        drop(first);
        until("the stream has ended", async || {
            one.get_order("A-1").await.ok()
        })
        .await;
        let metrics = service.inside().metrics();
        let counted = "belay_callers_limited_total{belay_limit=\"CONCURRENT_CALLS\"}";
        assert!(metrics.contains(counted), "{metrics}");
        service.stop().await;
    });
}

#[test]
fn a_caller_that_has_sent_too_many_bytes_waits_with_its_next_call() {
    run(async |t| {
        let service = limited(
            t,
            CallerSettings {
                request_bytes_per_second: 1,
                ..CallerSettings::default()
            },
        )
        .await;
        let belay = literal(service.address());
        let shop = storefront(&belay);
        new_order(&shop, "A-1").await.expect("the first is taken");
        let beyond = refused(
            shop.get_order("A-1").await,
            Kind::Overloaded,
            "CALLER_LIMIT",
        );
        assert_eq!(beyond.metadata()["limit"], "REQUEST_BYTES_PER_SECOND");
        // As many seconds as it had bytes, without the burst.
        let wait = beyond.retry_after().expect("it says when to come back");
        assert!(wait.as_secs() > 60, "{wait:?}");
        auditor(&belay, "ann")
            .get_order("A-1")
            .await
            .expect("another has its own");
        service.stop().await;
    });
}

#[test]
fn a_caller_asks_as_often_as_it_may() {
    run(async |t| {
        t.place("A-1").await;
        let service = limited(
            t,
            CallerSettings {
                calls_per_second: 1,
                ..CallerSettings::default()
            },
        )
        .await;
        let belay = literal(service.address());
        let one = auditor(&belay, "one");
        let beyond = until("the caller is beyond its rate", async || {
            let asked = join_all((0..8).map(|_| async { one.get_order("A-1").await.err() }));
            asked.await.into_iter().flatten().next()
        })
        .await;
        let beyond = refused::<(), _>(Err(beyond), Kind::Overloaded, "CALLER_LIMIT");
        assert_eq!(beyond.metadata()["limit"], "CALLS_PER_SECOND");
        assert!(beyond.retry_after().is_some_and(|wait| !wait.is_zero()));
        auditor(&belay, "other")
            .get_order("A-1")
            .await
            .expect("another has its own");
        until("it has waited", async || one.get_order("A-1").await.ok()).await;
        service.stop().await;
    });
}
