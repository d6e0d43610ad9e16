//! What the engine promises to those who share its queues and transactions: nobody suffers for another's sake.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::model::OrderState;
use belay_client::{Belay, Error, Kind, RequestId, Units, reason};
use belay_domain::actor::Actor;
use belay_domain::commands::Command;
use belay_domain::ids::{OrderId, StoreId};
use belay_domain::scope::Caller;
use belay_server::engine::{Class, EngineError, LANE_QUEUE_MAX, Submission, Work};
use belay_tests::instance::{Service, insistent, literal, payments, session, storefront};
use belay_tests::shop::{TOTAL, eur, new_order, new_order_of, pay};
use belay_tests::{SHOP, TestServer, run, run_at, until};
use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::SignedDuration;
use mysql_async::prelude::Queryable;
use tokio::join;
use tokio::time::{Instant, sleep};

/// Calls at the same time, where a test wants many in a batch.
const AT_ONCE: usize = 32;
/// Holds every lane up right before its COMMIT.
const HOLD_HEADS: &str = "SELECT head FROM partition_heads FOR UPDATE";

/// Runs so many at the same time.
async fn all<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::stream::iter(calls).buffer_unordered(AT_ONCE).collect().await
}

async fn cancel(belay: &Belay, order_id: &str) -> Result<OrderState, Error> {
    let wish = storefront(belay).request_cancellation(order_id, Units::all()).reason(reason::NO_LONGER_WANTED);
    Ok(wish.await?.order_state)
}

/// Takes the policy of a store away: once the servers have read it again, every decision about its orders panics.
async fn break_store(t: &TestServer, store_id: &str) {
    t.database.execute("DELETE FROM policies WHERE store_id = ?", (store_id,)).await;
}

#[test]
fn a_panic_in_a_decision_is_that_callers_alone() {
    run(async |t| {
        t.create_shop("broken", FirstPolicy::preset("independent-site")).await;
        let service = Service::start(t.database.url(), |settings| settings.lanes = 1).await;
        let belay = literal(service.address());
        let broken = belay.with_role(belay_client::Role::Storefront, "web").unwrap().store("broken");
        let healthy: Vec<String> = (0..400).map(|number| format!("H-{number}")).collect();
        let doomed: Vec<String> = (0..8).map(|number| format!("B-{number}")).collect();
        all(healthy.iter().map(|id| t.place_paid(id))).await;
        all(doomed.iter().map(async |id| new_order(&broken, id).await.expect("an order"))).await;
        let wish = |id: &str| broken.request_cancellation(id, Units::all()).reason(reason::NO_LONGER_WANTED);
        // This one may still be decided before the server has noticed.
        new_order(&broken, "PROBE").await.expect("an order");
        break_store(t, "broken").await;
        until("decisions panic", async || wish("PROBE").await.err().filter(|error| error.kind() == Kind::Internal))
            .await;

        // They share one lane, and so batches, for as long as there are healthy ones.
        let (is_over, told) = (AtomicBool::new(false), AtomicUsize::new(0));
        let panicking = join_all(doomed.iter().map(async |id| {
            while !is_over.load(Ordering::Relaxed) {
                let error = wish(id).await.expect_err("its policy is missing");
                assert_eq!(
                    (error.kind(), error.reason().map(|reason| reason.as_str())),
                    (Kind::Internal, Some("INTERNAL"))
                );
                assert_eq!(error.message(), "an internal error; its trace id is in the details");
                assert!(error.metadata().contains_key("trace_id"));
                told.fetch_add(1, Ordering::Relaxed);
            }
        }));
        let cancelling = async {
            let cancelled = all(healthy.iter().map(|id| cancel(&belay, id))).await;
            is_over.store(true, Ordering::Relaxed);
            cancelled
        };
        let (_, cancelled) = join!(panicking, cancelling);
        eprintln!("{told:?} decisions panicked beside {} that did not", cancelled.len());
        for state in cancelled {
            assert_eq!(state.expect("no business of another store"), OrderState::Cancelled);
        }
        let sql = "SELECT order_id FROM orders WHERE store_id = 'broken' AND version > 1 AND order_id <> 'PROBE'";
        let changed: Vec<(String,)> = t.database.rows(sql, ()).await;
        assert_eq!(changed, [], "nothing is written for what panicked");
        service.stop().await;
    });
}

#[test]
fn a_full_queue_sheds_and_says_when_to_come_back() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| settings.lanes = 1).await;
        let belay = literal(service.address());
        let mut somebody = session(&t.database.url()).await;
        somebody.query_drop("BEGIN").await.unwrap();
        somebody.query_drop(HOLD_HEADS).await.unwrap();

        // The first is in flight and waits; behind it the queue is filled to its end, with commands that cost little.
        let shop = storefront(&belay);
        let first = new_order(&shop, "FIRST").send();
        let app = service.app().clone();
        let filling = async {
            let facts = app.stores.facts(&StoreId::parse(SHOP).unwrap()).await.expect("the store");
            let queued = (0..LANE_QUEUE_MAX + 256).map(|number| {
                let submission = Submission {
                    store: facts.clone(),
                    caller: Caller::everywhere(Actor::system()),
                    order: OrderId::parse(format!("NONE-{number}")).unwrap(),
                    request_id: uuid::Uuid::from_u128(number as u128),
                    expected_version: None,
                    work: Work::Decide(Command::Settle),
                    deadline: Instant::now() + Duration::from_secs(30),
                    class: Class::Interactive,
                };
                let app = app.clone();
                async move { app.engine.submit(submission).await }
            });
            join_all(queued).await
        };
        let shed = async {
            let error = until("the queue is full", async || {
                new_order(&shop, "SHED").timeout(Duration::from_millis(200)).await.err().filter(is_shed)
            })
            .await;
            assert!(error.retry_after().is_some_and(|delay| !delay.is_zero()));
            somebody.query_drop("ROLLBACK").await.unwrap();
        };
        let (first, filled, ()) = join!(first, filling, shed);
        first.expect("it was taken and is done");
        let overloaded = filled.iter().filter(|outcome| **outcome == Err(EngineError::Overloaded)).count();
        eprintln!("{overloaded} of {} were shed", filled.len());
        assert!((1..=300).contains(&overloaded), "{overloaded}");
        assert!(filled.iter().all(|outcome| matches!(outcome, Ok(_) | Err(EngineError::Overloaded))));
        service.stop().await;
    });
}

fn is_shed(error: &Error) -> bool {
    error.kind() == Kind::Overloaded && error.reason().is_some_and(|reason| reason.as_str() == "OVERLOADED")
}

#[test]
fn a_command_past_its_deadline_is_never_begun() {
    run(async |t| {
        let service = Service::start(t.database.url(), |settings| settings.lanes = 1).await;
        let belay = literal(service.address());
        let shop = storefront(&belay);
        t.place_paid("PAID").await;
        let mut somebody = session(&t.database.url()).await;
        somebody.query_drop("BEGIN").await.unwrap();
        somebody.query_drop(HOLD_HEADS).await.unwrap();
        let first = new_order(&shop, "FIRST").send();
        let late = async {
            // Once the first is in flight, whatever comes waits for it.
            until("the first is begun", async || {
                let sql = "SELECT COUNT(*) FROM performance_schema.data_locks WHERE lock_status = 'WAITING' \
                    AND object_schema = DATABASE() AND object_name = 'partition_heads'";
                let (waiting,): (u64,) = t.database.row(sql, ()).await;
                (waiting > 0).then_some(())
            })
            .await;
            let patience = Duration::from_millis(300);
            let placing = (0..40).map(|number| new_order(&shop, &format!("LATE-{number}")).timeout(patience).send());
            let wish = shop.request_cancellation("PAID", Units::all()).reason(reason::NO_LONGER_WANTED);
            let (placed, cancelled) = join!(join_all(placing), wish.timeout(patience).send());
            let errors = placed.into_iter().map(|placed| placed.expect_err("it was too late"));
            for error in errors.chain([cancelled.expect_err("it was too late")]) {
                assert_eq!(error.kind(), Kind::DeadlineExceeded, "{error}");
            }
            somebody.query_drop("ROLLBACK").await.unwrap();
        };
        let (first, ()) = join!(first, late);
        first.expect("it was taken and is done");
        // The queue is in order: what was before this one is over.
        new_order(&shop, "LAST").await.expect("an order");
        let orders: Vec<(String,)> = t.database.rows("SELECT order_id FROM orders ORDER BY 1", ()).await;
        assert_eq!(orders.concat_ids(), "FIRST LAST PAID");
        assert_eq!(t.order("PAID").await.state, OrderState::ToShip);
        service.stop().await;
    });
}

trait ConcatIds {
    fn concat_ids(&self) -> String;
}

impl ConcatIds for Vec<(String,)> {
    fn concat_ids(&self) -> String {
        self.iter().map(|(id,)| id.as_str()).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn positions_have_no_gaps_at_any_moment_though_two_servers_write() {
    run(async |t| {
        let one = Service::start(t.database.url(), |settings| settings.connections = 8).await;
        let other = Service::start(t.database.url(), |settings| settings.connections = 8).await;
        let is_over = AtomicBool::new(false);
        let writing = async {
            all((0..300).map(async |number: usize| {
                let order_id = format!("A-{number}");
                let [left, right] = match number % 2 {
                    0 => [one.belay(), other.belay()],
                    _ => [other.belay(), one.belay()],
                };
                new_order(&storefront(left), &order_id).await.expect("an order");
                pay(&payments(right), &order_id).await;
                assert_eq!(cancel(left, &order_id).await.expect("nothing has left"), OrderState::Cancelled);
            }))
            .await;
            is_over.store(true, Ordering::Relaxed);
        };
        // Whoever reads up to the head of a partition has read all there is below it.
        let watching = async {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let sql = "SELECT shard_partition FROM events GROUP BY shard_partition \
                    HAVING MIN(position - event_count) <> 0 OR MAX(position) <> SUM(event_count)";
                let gaps: Vec<(u16,)> = t.database.rows(sql, ()).await;
                assert!(gaps.is_empty(), "partitions with gaps: {gaps:?}");
                looks += 1;
                sleep(Duration::from_millis(5)).await;
            }
            looks
        };
        let ((), looks) = join!(writing, watching);
        eprintln!("{looks} looks at the log while it was written");
        assert!(looks > 10);
        one.stop().await;
        other.stop().await;
    });
}

#[test]
fn a_due_order_that_always_fails_blocks_nobody_and_is_left_alone_longer_and_longer() {
    // A decision about the broken store panics; the messages count the tries.
    let tries = Arc::new(AtomicUsize::new(0));
    let previous = panic::take_hook();
    panic::set_hook({
        let tries = tries.clone();
        Box::new(move |info| match info.payload().downcast_ref::<String>() {
            Some(message) if message.contains("of store dead-end is missing") => {
                tries.fetch_add(1, Ordering::Relaxed);
            }
            _ => previous(info),
        })
    });
    run_at("2026-03-02T10:00:00Z", async |t| {
        let dead_end = t.create_shop("dead-end", FirstPolicy::preset("independent-site")).await;
        // It is due before all others.
        new_order(&dead_end, "STUCK").await.expect("an order");
        t.advance(SignedDuration::from_secs(1)).await;
        let waiting: Vec<String> = (0..100).map(|number| format!("A-{number}")).collect();
        all(waiting.iter().map(|id| t.place(id))).await;
        break_store(t, "dead-end").await;
        until("the store is broken", async || dead_end.get_order("STUCK").timeout(Duration::from_secs(1)).await.err())
            .await;
        tries.store(0, Ordering::Relaxed);
        t.advance(SignedDuration::from_hours(25)).await;
        let due = Instant::now();

        closed(t, waiting.len()).await;
        eprintln!("{} due orders were closed within {:?}", waiting.len(), due.elapsed());
        // And it stays so: what comes to be due later is closed too, while the stuck one is tried seldom.
        for round in 0..4 {
            t.place(&format!("LATER-{round}")).await;
            t.advance(SignedDuration::from_hours(25)).await;
            closed(t, waiting.len() + round + 1).await;
            sleep(Duration::from_secs(1)).await;
        }
        // After 1 s, 2 s, 4 s … ; without that it would be tried with every look, five times a second.
        let (tries, seconds) = (tries.load(Ordering::Relaxed), due.elapsed().as_secs());
        eprintln!("the stuck order was tried {tries} times in {seconds} s");
        assert!((1..=6).contains(&tries), "{tries} tries in {seconds} s");
    });
}

/// Waits until the worker has closed so many unpaid orders of the shop.
async fn closed(t: &TestServer, orders: usize) {
    until("unpaid orders are closed", async || {
        let sql = "SELECT COUNT(*) FROM orders WHERE state = 'CLOSED_UNPAID' AND store_id = ?";
        let (closed,): (usize,) = t.database.row(sql, (SHOP,)).await;
        (closed == orders).then_some(())
    })
    .await;
}

/// Waits until the worker has closed so many unpaid orders of the shop, for as long as there are more and more of them.
async fn drained(t: &TestServer, orders: usize) {
    let mut closed = 0;
    while closed < orders {
        closed = until("more unpaid orders are closed", async || {
            let sql = "SELECT COUNT(*) FROM orders WHERE state = 'CLOSED_UNPAID' AND store_id = ?";
            let (now,): (usize,) = t.database.row(sql, (SHOP,)).await;
            (now > closed).then_some(now)
        })
        .await;
    }
}

#[test]
fn a_due_order_that_somebody_has_locked_delays_no_other() {
    /// More than the worker sends at once.
    const OTHERS: usize = 600;
    run_at("2026-03-02T10:00:00Z", async |t| {
        // It is due before all others.
        t.place("HELD").await;
        t.advance(SignedDuration::from_secs(1)).await;
        let waiting: Vec<String> = (0..OTHERS).map(|number| format!("A-{number}")).collect();
        all(waiting.iter().map(|id| t.place(id))).await;
        let mut somebody = session(&t.database.url()).await;
        let (key,): (Vec<u8>,) = t.database.row("SELECT order_key FROM orders WHERE order_id = 'HELD'", ()).await;
        somebody.query_drop("BEGIN").await.unwrap();
        somebody.exec_drop("SELECT version FROM orders WHERE order_key = ? FOR UPDATE", (key,)).await.unwrap();

        t.advance(SignedDuration::from_hours(25)).await;
        let due = Instant::now();
        closed(t, OTHERS).await;
        eprintln!("{OTHERS} due orders were closed within {:?} beside one that is locked", due.elapsed());
        assert_eq!(t.order("HELD").await.state, OrderState::AwaitingPayment);
        somebody.query_drop("ROLLBACK").await.unwrap();
        closed(t, OTHERS + 1).await;
    });
}

#[test]
fn many_due_orders_drain_while_callers_are_served() {
    const DUE: usize = 10_000;
    run_at("2026-03-02T10:00:00Z", async |t| {
        let belay = insistent(t.address());
        let shop = storefront(&belay);
        let place = async |number: usize| {
            new_order_of(&shop, &format!("DUE-{number}"), "ann")
                .timeout(Duration::from_secs(30))
                .await
                .expect("an order");
        };
        futures_util::stream::iter((0..DUE).map(place)).buffer_unordered(128).collect::<()>().await;
        t.advance(SignedDuration::from_hours(25)).await;
        let begun = Instant::now();
        let is_over = AtomicBool::new(false);
        let draining = async {
            drained(t, DUE).await;
            is_over.store(true, Ordering::Relaxed);
            begun.elapsed()
        };
        let calling = async {
            let mut took = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let (order_id, begun) = (format!("NOW-{}", took.len()), Instant::now());
                new_order(&shop, &order_id).await.expect("an order");
                took.push(begun.elapsed());
            }
            took.sort_unstable();
            took
        };
        let (drained, took) = join!(draining, calling);
        let (median, slowest) = (took[took.len() / 2], took[took.len() - 1]);
        eprintln!(
            "{DUE} drained within {drained:?}; {} calls meanwhile, median {median:?}, slowest {slowest:?}",
            took.len()
        );
        // An ordinary call waits for the batch in flight, not for all that is due.
        assert!(took.len() >= 3 && median * 2 < drained, "calls had to wait: {median:?} of {drained:?}");
    });
}

#[test]
fn a_server_that_stops_loses_nothing_that_it_took() {
    const ROUNDS: usize = 3;
    run(async |t| {
        let there = insistent(t.address());
        let mut placed = 0;
        for round in 0..ROUNDS {
            let service = Service::start(t.database.url(), |settings| settings.connections = 8).await;
            let belay = literal(service.address());
            let taken = AtomicUsize::new(0);
            // Every caller goes on until it is turned away.
            let caller = async |caller: usize| {
                for number in 0.. {
                    let (order_id, request_id) = (format!("R{round}-{caller}-{number}"), RequestId::mint());
                    match new_order(&storefront(&belay), &order_id).request_id(request_id).await {
                        Ok(order) => assert_eq!(t.order(&order_id).await, order.value, "what is acknowledged is there"),
                        Err(error) => {
                            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                            let elsewhere = new_order(&storefront(&there), &order_id).request_id(request_id).await;
                            assert_eq!(elsewhere.expect("another server goes on").totals.total, eur(TOTAL));
                            return number + 1;
                        }
                    }
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                unreachable!("a server that stops turns callers away")
            };
            let stopping = async {
                until("some were taken", async || (taken.load(Ordering::Relaxed) >= AT_ONCE).then_some(())).await;
                let begun = Instant::now();
                service.stop().await;
                begun.elapsed()
            };
            let (answers, took) = join!(join_all((0..AT_ONCE).map(caller)), stopping);
            assert!(took < Duration::from_secs(5), "it stops in time, not after {took:?}");
            placed += answers.iter().sum::<usize>();
            eprintln!("round {round}: stopped within {took:?}, {placed} orders so far");
        }
        let (orders,): (usize,) = t.database.row("SELECT COUNT(*) FROM orders WHERE version = 1", ()).await;
        assert_eq!(orders, placed);
    });
}
