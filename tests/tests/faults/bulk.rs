//! Bulk cancellations while their servers and the database are killed: every order is asked once in
//! effect, and has its result.

use std::collections::BTreeSet;

use belay_client::calls::BulkOrders;
use belay_client::model::{BulkOutcome, BulkState, OrderState};
use belay_client::{Belay, BulkCancellationId, Error, Kind, Role, Store};
use belay_server::db::Checkout;
use belay_server::db::shares::Share;
use belay_tests::database::Database;
use belay_tests::instance::{Instance, Service, insistent, literal, session};
use belay_tests::shop::{new_order, pay};
use belay_tests::{SHOP, TestServer, run, until};
use futures_util::{StreamExt, stream};
use mysql_async::prelude::Queryable as _;

use super::server_killed::{free_address, program, start};

const ORDERS: i32 = 320;
/// More than one server works at.
const JOBS: usize = 8;
const KILLS: i32 = 3;

fn seller(belay: &Belay) -> Store {
    let belay = belay.with_role(Role::Seller, "acme").expect("a role");
    belay.store(SHOP)
}

fn as_role(belay: &Belay, role: Role) -> Store {
    let belay = belay.with_role(role, "somebody").expect("a role");
    belay.store(SHOP)
}

/// Places so many orders and pays them.
async fn place(belay: &Belay, orders: i32) -> Vec<String> {
    let (shop, payments) = (
        as_role(belay, Role::Storefront),
        as_role(belay, Role::Payments),
    );
    let orders: Vec<String> = (0..orders).map(|number| format!("A-{number}")).collect();
    let place = async |order: &String| {
        new_order(&shop, order).await.expect("an order");
        pay(&payments, order).await;
    };
    stream::iter(&orders).for_each_concurrent(32, place).await;
    orders
}

/// Starts jobs for all orders.
async fn begin(store: &Store, orders: &[String]) -> Vec<BulkCancellationId> {
    let mut jobs = Vec::new();
    for orders in orders.chunks(orders.len() / JOBS) {
        let start = store.start_bulk_cancellation(BulkOrders::named(orders));
        let start = start.reason("OUT_OF_STOCK").orders_per_second(10);
        jobs.push(start.await.expect("it starts").bulk_cancellation_id);
    }
    jobs
}

/// Waits until so many orders have their result.
async fn done(store: &Store, orders: i32) {
    let look = async || {
        let jobs = match store.list_bulk_cancellations().await {
            Ok(page) => page.items,
            Err(error) if is_passing(&error) => return None,
            Err(error) => panic!("{error}"),
        };
        let waiting: i32 = jobs.iter().map(|bulk| bulk.waiting_orders).sum();
        (ORDERS - waiting >= orders).then_some(())
    };
    until("orders have their result", look).await;
}

fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Unavailable | Kind::OutcomeUnknown | Kind::Overloaded
    )
}

/// Each order was cancelled by one cancellation, which its result names.
async fn check(store: &Store, jobs: &[BulkCancellationId], database: &Database) {
    let mut completed = 0;
    for id in jobs {
        let ended = async || {
            let bulk = store.get_bulk_cancellation(id).await.ok()?;
            Some(bulk).filter(|bulk| bulk.end_time.is_some())
        };
        let ended = until("the job has ended", ended).await;
        assert_eq!(ended.state, BulkState::Completed);
        assert_eq!(ended.completed_orders, ended.total_orders, "{ended:?}");
        completed += ended.completed_orders;
        let mut results = store.list_bulk_results(id).stream();
        while let Some(result) = results.try_next().await.expect("results") {
            assert_eq!(result.outcome, BulkOutcome::Completed);
            let cancellation = result.cancellation_id.expect("a cancellation");
            assert_eq!(cancellation.as_str(), format!("{}:c1", result.order_id));
        }
    }
    assert_eq!(completed, ORDERS);
    let count = "SELECT COUNT(*) FROM cancellations";
    let (cancellations,): (i32,) = database.row(count, ()).await;
    assert_eq!(cancellations, ORDERS);
}

#[test]
fn jobs_go_on_over_kills_of_their_servers() {
    run(async |t| {
        let belay = insistent(t.address());
        let orders = place(&belay, ORDERS).await;
        let program = program().await;
        let addresses = [free_address(), free_address()];
        let mut servers = Vec::new();
        for address in addresses {
            servers.push(start(&program, address, &t.database.serve_url().await).await);
        }
        let store = seller(&belay);
        let jobs = begin(&store, &orders).await;
        // The test's own server works at no more than half of them.
        let mut owners = BTreeSet::new();
        for kill in 1..=KILLS {
            done(&store, kill * ORDERS / (KILLS + 2)).await;
            let sql = "SELECT DISTINCT HEX(owner) FROM bulk_cancellations WHERE owner IS NOT NULL";
            let found: Vec<(String,)> = t.database.rows(sql, ()).await;
            owners.extend(found);
            for (server, address) in servers.iter_mut().zip(addresses) {
                server.kill().await.expect("it can be killed");
                *server = start(&program, address, &t.database.serve_url().await).await;
            }
        }
        check(&store, &jobs, &t.database).await;
        assert!(owners.len() > 1, "several servers have worked");
        for mut server in servers {
            server.kill().await.expect("it can be killed");
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_over_kills_of_the_database() {
    let mysqld = Instance::start(&[]).await;
    let service = Service::start(mysqld.serve_url(), |settings| settings.connections = 16).await;
    service.create_shop().await;
    let orders = place(service.belay(), ORDERS).await;
    let store = seller(&literal(service.address()));
    let jobs = begin(&store, &orders).await;
    for kill in 1..=KILLS {
        done(&store, kill * ORDERS / (KILLS + 2)).await;
        mysqld.kill().await;
        mysqld.restart().await;
    }
    check(&store, &jobs, &mysqld.database().await).await;
    service.stop().await;
}

/// Keeps the test's own server from every job.
async fn idle(t: &TestServer) -> Vec<Checkout> {
    let inside = t.inside();
    let pool = inside.pool(Share::Background);
    let mut held = Vec::new();
    for _ in 0..pool.status().max {
        held.push(pool.checkout().await.expect("a connection is free"));
    }
    held
}

#[test]
fn a_job_that_is_stopped_tells_what_a_server_asked_that_died() {
    run(async |t| {
        let belay = insistent(t.address());
        let orders = place(&belay, 3 * 64).await;
        let idle = idle(t).await;
        let program = program().await;
        let address = free_address();
        let mut server = start(&program, address, &t.database.serve_url().await).await;
        let store = seller(&belay);
        let start = store.start_bulk_cancellation(BulkOrders::named(&orders));
        let start = start.reason("OUT_OF_STOCK").orders_per_second(640);
        let id = start.await.expect("it starts").bulk_cancellation_id;
        // From here on no result is written, and orders are cancelled.
        let mut somebody = session(&t.database.url()).await;
        somebody.query_drop("BEGIN").await.expect("it begins");
        let lock = "SELECT order_key FROM bulk_orders FOR UPDATE";
        somebody.query_drop(lock).await.expect("rows can be locked");
        until("orders are cancelled without a result", async || {
            let count = "SELECT (SELECT COUNT(*) FROM cancellations), \
                (SELECT COUNT(*) FROM bulk_orders WHERE outcome <> 'WAITING')";
            let (cancelled, told): (u32, u32) = t.database.row(count, ()).await;
            (cancelled > told).then_some(())
        })
        .await;
        server.kill().await.expect("it can be killed");
        somebody.query_drop("ROLLBACK").await.expect("it ends");
        // As if the killed server had been silent for long.
        let free = "UPDATE bulk_cancellations SET owned_until = NULL";
        until("nobody owns the job", async || {
            let freed = somebody.query_drop(free).await;
            freed.ok()
        })
        .await;
        let stopped = store.stop_bulk_cancellation(&id).await;
        assert_eq!(stopped.expect("it stops").state, BulkState::Stopping);

        drop(idle);
        let ended = until("the job has ended", async || {
            let bulk = store.get_bulk_cancellation(&id).await.ok()?;
            Some(bulk).filter(|bulk| bulk.end_time.is_some())
        })
        .await;
        assert_eq!(ended.state, BulkState::Stopped);
        assert!(ended.completed_orders > 0, "{ended:?}");
        let mut results = store.list_bulk_results(&id).stream();
        while let Some(result) = results.try_next().await.expect("results") {
            let order = store.get_order(&result.order_id).await.expect("the order");
            let is_cancelled = order.state == OrderState::Cancelled;
            let expected = if is_cancelled {
                BulkOutcome::Completed
            } else {
                BulkOutcome::Waiting
            };
            assert_eq!(result.outcome, expected, "{result:?}");
        }
    });
}
