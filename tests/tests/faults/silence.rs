//! Connections fall silent, and neither side hears that the other one has given up, as where a
//! machine is gone or a firewall has forgotten the connection.

use std::time::Duration;

use belay_client::{Units, reason};
use belay_server::db::clock;
use belay_server::db::pool;
use belay_server::db::shares::Shares;
use belay_server::retention::Keep;
use belay_tests::database::Database;
use belay_tests::instance::{Service, insistent, literal, storefront};
use belay_tests::shop::new_order;
use belay_tests::stock::projected;
use belay_tests::{run, until};
use jiff::{SignedDuration, Timestamp};
use tokio::join;

use super::proxy::{At, Cut, Proxy};

/// When mysqld ends a connection that is silent.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(2);
const DAY: SignedDuration = SignedDuration::from_hours(25);

#[test]
fn what_a_server_has_locked_that_is_gone_without_a_word_is_given_back() {
    run(async |t| {
        t.place_paid("A-1").await;
        let proxy = Proxy::start(&t.database.url()).await;
        let gone = Service::start(proxy.url(), |settings| {
            settings.lanes = 1;
            settings.connections = Shares::least(1);
            settings.statement_wait_max = STATEMENT_WAIT_MAX;
        });
        let gone = gone.await;
        // Its order, the head of its partition and all that the batch has written are locked then.
        proxy.cut(At::Commit, Cut::SilentBeforeRequest);
        let at_gone = storefront(&literal(gone.address()));
        let ask = |shop: &belay_client::Store| {
            let request = shop.request_cancellation("A-1", Units::all());
            request.reason(reason::NO_LONGER_WANTED)
        };
        let lost = ask(&at_gone);
        let next = async {
            until("the commit is lost", async || {
                proxy.has_cut_all().then_some(())
            })
            .await;
            ask(&storefront(&insistent(t.address()))).await
        };
        // What the first is told is said elsewhere.
        let (_, cancelled) = join!(lost.into_future(), next);
        let cancelled = cancelled.expect("the order is free again");
        let order = t.order("A-1").await;
        assert_eq!(order.cancellations, [cancelled.cancellation]);
        gone.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_the_orders_goes_on_behind_a_connection_that_fell_silent() {
    let database = Database::create().await;
    let now: Timestamp = "2026-03-02T10:00:00Z".parse().expect("an instant");
    let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
    clock::set_manual(&mut conn, now).await.expect("a clock");
    let proxy = Proxy::start(&database.url()).await;
    // The step of the projections, the look for orders that are due, and that for old rows.
    for words in [
        ["projection_positions", "SKIP LOCKED"].as_slice(),
        &["`next_due` <=", "`orders`"],
        &["`partition_tails`", "SKIP LOCKED"],
    ] {
        proxy.cut_too(At::Statement(words), Cut::SilentBeforeReply);
    }
    let service = Service::start(proxy.url(), |settings| {
        settings.manual_clock = true;
        settings.statement_wait_max = STATEMENT_WAIT_MAX;
        settings.retention.events = Keep::For(Duration::from_secs(1));
        settings.retention.pass_interval = Duration::from_millis(100);
    });
    let service = service.await;
    service.create_shop().await;
    let shop = service.storefront();
    new_order(&shop, "A-1").await.expect("an order");
    until("all that was to be cut is cut", async || {
        proxy.has_cut_all().then_some(())
    })
    .await;
    clock::advance_manual(&mut conn, DAY)
        .await
        .expect("a clock");
    until("the order is closed", async || {
        let sql = "SELECT COUNT(*) FROM orders WHERE state = 'CLOSED_UNPAID'";
        let (closed,): (u64,) = database.row(sql, ()).await;
        (closed == 1).then_some(())
    })
    .await;
    projected(&database).await;
    clock::advance_manual(&mut conn, DAY)
        .await
        .expect("a clock");
    until("what is old is pruned", async || {
        let (rows,): (u64,) = database.row("SELECT COUNT(*) FROM events", ()).await;
        (rows == 0).then_some(())
    })
    .await;
    service.stop().await;
    database.remove().await;
}
