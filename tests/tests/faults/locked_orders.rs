//! Somebody who goes past Belay holds the row of an order: an operator with a client of MySQL, a backup, another server that
//! hangs. Only the callers of that order notice.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use belay_client::model::OrderState;
use belay_client::{Kind, Units, reason};
use belay_tests::instance::{Service, insistent, literal, session, storefront};
use belay_tests::shop::{new_order, pay};
use belay_tests::{refused, run, until};
use futures_util::future::join_all;
use mysql_async::prelude::Queryable;
use tokio::join;
use tokio::time::Instant;

/// Callers of the order that is held; more than the server has connections.
const BUSY_CALLERS: usize = 24;
/// Calls about other orders of the same lane meanwhile.
const OTHERS: usize = 60;
/// A call that had to wait for the lock took at least the session's lock wait, 2 s.
const NORMAL: Duration = Duration::from_millis(1_500);

/// A busy machine may be slow now and then.
fn assert_not_held_up(mut took: Vec<Duration>) {
    took.sort_unstable();
    let [median, most] = [took.len() / 2, took.len() * 9 / 10].map(|place| took[place]);
    eprintln!("other calls: median {median:?}, nine of ten within {most:?}");
    assert!(most < NORMAL, "others were held up: {took:?}");
}

#[test]
fn a_locked_order_holds_up_nobody_else() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| settings.lanes = 1).await;
        let belay = insistent(service.address());
        let shop = storefront(&belay);
        t.place_paid("HELD").await;
        let mut somebody = session(&t.database.url()).await;
        let (key,): (Vec<u8>,) = t.database.row("SELECT order_key FROM orders WHERE order_id = 'HELD'", ()).await;
        somebody.query_drop("BEGIN").await.unwrap();
        somebody.exec_drop("SELECT version FROM orders WHERE order_key = ? FOR UPDATE", (key,)).await.unwrap();

        // Its callers keep coming, for as long as it is held.
        let (is_free, told) = (AtomicBool::new(false), AtomicUsize::new(0));
        let literal = storefront(&literal(service.address()));
        let busy = join_all((0..BUSY_CALLERS).map(async |_| {
            while !is_free.load(Ordering::Relaxed) {
                match literal.request_cancellation("HELD", Units::all()).reason(reason::NO_LONGER_WANTED).await {
                    Ok(requested) => assert_eq!(requested.order_state, OrderState::Cancelled),
                    outcome => {
                        assert!(refused(outcome, Kind::Unavailable, "CONTENTION").retry_after().is_some());
                        told.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }));
        let others = async {
            let mut took = Vec::with_capacity(OTHERS);
            for number in 0..OTHERS {
                let (order_id, begun) = (format!("FREE-{number}"), Instant::now());
                new_order(&shop, &order_id).await.expect("an order");
                pay(&belay_tests::instance::payments(&belay), &order_id).await;
                shop.get_order(&*order_id).await.expect("an order");
                took.push(begun.elapsed());
            }
            is_free.store(true, Ordering::Relaxed);
            somebody.query_drop("ROLLBACK").await.unwrap();
            took
        };
        let (_, took) = join!(busy, others);
        eprintln!("{told:?} times a caller was told CONTENTION");
        assert_not_held_up(took);
        let cancelled = shop.request_cancellation("HELD", Units::all()).reason(reason::NO_LONGER_WANTED).await;
        assert_eq!(cancelled.expect("nobody holds it").order_state, OrderState::Cancelled);
        assert_eq!(t.order("HELD").await.cancellations.len(), 1);
        service.stop().await;
    });
}

#[test]
fn an_order_that_somebody_is_about_to_create_holds_up_nobody_else() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| settings.lanes = 1).await;
        let belay = literal(service.address());
        let shop = storefront(&belay);
        t.place("HELD").await;
        // The row of a server that hangs between INSERT and COMMIT: it is locked, and nobody sees it.
        let mut somebody = session(&t.database.url()).await;
        for sql in [
            "CREATE TEMPORARY TABLE kept SELECT * FROM orders WHERE order_id = 'HELD'",
            "DELETE FROM orders WHERE order_id = 'HELD'",
            "BEGIN",
            "INSERT INTO orders SELECT * FROM kept",
        ] {
            somebody.query_drop(sql).await.unwrap();
        }
        let is_over = AtomicBool::new(false);
        let creating = async {
            while !is_over.load(Ordering::Relaxed) {
                refused(new_order(&shop, "HELD").await, Kind::Unavailable, "CONTENTION");
            }
        };
        let others = async {
            let mut took = Vec::with_capacity(OTHERS);
            for number in 0..OTHERS {
                let begun = Instant::now();
                new_order(&shop, &format!("FREE-{number}")).await.expect("an order");
                took.push(begun.elapsed());
            }
            is_over.store(true, Ordering::Relaxed);
            took
        };
        let ((), took) = join!(creating, others);
        somebody.query_drop("COMMIT").await.unwrap();
        assert_not_held_up(took);
        until("the order is free", async || new_order(&shop, "HELD").await.ok()).await;
        service.stop().await;
    });
}
