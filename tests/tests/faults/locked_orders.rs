//! Somebody who goes past Belay holds the row of an order: an operator with a client of MySQL, a
//! backup, another server that hangs. Only the callers of that order notice.

use belay_client::model::OrderState;
use belay_client::{Kind, Units, reason};
use belay_server::server::ServerSettings;
use belay_tests::instance::{Service, insistent, literal, payments, session, storefront};
use belay_tests::shop::{new_order, pay};
use belay_tests::{HANG, refused, run, until};
use futures_util::future::join_all;
use mysql_async::prelude::Queryable;
use tokio::join;

/// Callers of the order that is held; more than the server has connections.
const BUSY_CALLERS: usize = 24;
/// Calls about other orders of the same lane meanwhile.
const OTHERS: usize = 60;
/// A server with one lane, in which nobody who waits for a lock comes away from it before the test
/// is over: whoever is held up by the lock is held up for good.
fn one_lane_that_waits(settings: &mut ServerSettings) {
    settings.lanes = 1;
    (settings.lock_wait_max, settings.database_wait_max) = (HANG, HANG);
}

#[test]
fn a_locked_order_holds_up_nobody_else() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, one_lane_that_waits).await;
        let belay = insistent(service.address());
        let (shop, money) = (storefront(&belay), payments(&belay));
        t.place_paid("HELD").await;
        let mut somebody = session(&t.database.url()).await;
        let (key,): (Vec<u8>,) = t
            .database
            .row("SELECT order_key FROM orders WHERE order_id = 'HELD'", ())
            .await;
        somebody.query_drop("BEGIN").await.unwrap();
        somebody
            .exec_drop(
                "SELECT version FROM orders WHERE order_key = ? FOR UPDATE",
                (key,),
            )
            .await
            .unwrap();

        // Its callers come before anybody else, and more of them with each call about another
        // order.
        let request = || {
            shop.request_cancellation("HELD", Units::all())
                .reason(reason::NO_LONGER_WANTED)
                .send()
        };
        let busy = join_all((0..BUSY_CALLERS).map(|_| request()));
        let others = async {
            until("all of them wait", async || {
                (service.inside().callers() == BUSY_CALLERS).then_some(())
            })
            .await;
            for number in 0..OTHERS {
                let order_id = format!("FREE-{number}");
                new_order(&shop, &order_id).await.expect("an order");
                let again = request();
                let paying = pay(&money, &order_id);
                tokio::select! {
                    biased;
                    outcome = again => panic!("it is held: {outcome:?}"),
                    _ = paying => {}
                }
                shop.get_order(&*order_id).await.expect("an order");
            }
            somebody.query_drop("ROLLBACK").await.unwrap();
        };
        let (cancelled, ()) = join!(busy, others);
        for cancelled in cancelled {
            assert_eq!(
                cancelled.expect("nobody holds it").order_state,
                OrderState::Cancelled
            );
        }
        assert_eq!(t.order("HELD").await.cancellations.len(), 1);
        service.stop().await;
    });
}

#[test]
fn whoever_wants_a_locked_order_is_told_to_come_back() {
    run(async |t| {
        let service =
            Service::start(t.database.serve_url().await, |settings| settings.lanes = 1).await;
        let shop = storefront(&literal(service.address()));
        t.place_paid("HELD").await;
        let mut somebody = session(&t.database.url()).await;
        let (key,): (Vec<u8>,) = t
            .database
            .row("SELECT order_key FROM orders WHERE order_id = 'HELD'", ())
            .await;
        somebody.query_drop("BEGIN").await.unwrap();
        somebody
            .exec_drop(
                "SELECT version FROM orders WHERE order_key = ? FOR UPDATE",
                (key,),
            )
            .await
            .unwrap();
        let request = || {
            shop.request_cancellation("HELD", Units::all())
                .reason(reason::NO_LONGER_WANTED)
                .send()
        };
        for told in join_all((0..BUSY_CALLERS).map(|_| request())).await {
            assert!(
                refused(told, Kind::Unavailable, "CONTENTION")
                    .retry_after()
                    .is_some()
            );
        }
        somebody.query_drop("ROLLBACK").await.unwrap();
        assert_eq!(
            request().await.expect("nobody holds it").order_state,
            OrderState::Cancelled
        );
        service.stop().await;
    });
}

#[test]
fn an_order_that_somebody_is_about_to_create_holds_up_nobody_else() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, one_lane_that_waits).await;
        let shop = storefront(&literal(service.address()));
        t.place("HELD").await;
        // The row of a server that hangs between INSERT and COMMIT: it is locked, and nobody sees
        // it.
        let mut somebody = session(&t.database.url()).await;
        for sql in [
            "CREATE TEMPORARY TABLE kept SELECT * FROM orders WHERE order_id = 'HELD'",
            "DELETE FROM orders WHERE order_id = 'HELD'",
            "BEGIN",
            "INSERT INTO orders SELECT * FROM kept",
        ] {
            somebody.query_drop(sql).await.unwrap();
        }
        let creating = new_order(&shop, "HELD").send();
        let others = async {
            until("it waits", async || {
                (service.inside().callers() == 1).then_some(())
            })
            .await;
            for number in 0..OTHERS {
                new_order(&shop, &format!("FREE-{number}"))
                    .await
                    .expect("an order");
            }
            somebody.query_drop("COMMIT").await.unwrap();
        };
        let (created, ()) = join!(creating, others);
        created.expect("it is there, and the same");
        new_order(&shop, "HELD").await.expect("it is free");
        service.stop().await;
    });
}
