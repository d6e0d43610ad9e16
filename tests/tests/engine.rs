//! What the engine promises to those who share its queues and transactions: nobody suffers for
//! another's sake.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::model::{NoteVisibility, OrderState};
use belay_client::{Belay, Error, Kind, RequestId, Role, Store, Units, reason};
use belay_domain::actor::{self as domain, Actor};
use belay_domain::commands::Command;
use belay_domain::commands::Work;
use belay_domain::ids::{OrderId, StoreId};
use belay_domain::scope::Caller;
use belay_server::command_line::load_bounds::BATCH_COMMANDS_MOST;
use belay_server::engine::{
    EngineError, LANE_QUEUE_MAX, OVERLOADED_RETRY_MAX, OVERLOADED_RETRY_MIN, Priority, Submission,
};
use belay_server::server::ServerSettings;
use belay_tests::instance::{
    HeldLanes, Service, insistent, literal, payments, session, storefront,
};
use belay_tests::shop::{TOTAL, eur, new_order, new_order_of, pay};
use belay_tests::{HANG, SHOP, TestServer, refused, run, run_at, until};
use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::SignedDuration;
use mysql_async::prelude::Queryable;
use tokio::join;
use tokio::time::Instant;

/// Calls at the same time, where a test wants many in a batch.
const AT_ONCE: usize = 32;

/// Looks at the log while it is written, at least.
const LOOKS: usize = 10;

/// Runs so many at the same time.
async fn all<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::stream::iter(calls)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

async fn cancel(belay: &Belay, order_id: &str) -> Result<OrderState, Error> {
    let cancel_request = storefront(belay)
        .request_cancellation(order_id, Units::all())
        .reason(reason::NO_LONGER_WANTED);
    Ok(cancel_request.await?.order_state)
}

/// Takes the policy of a store away: once the servers have read it again, every decision about its
/// orders panics.
async fn break_store(t: &TestServer, store_id: &str) {
    t.database
        .execute("DELETE FROM policies WHERE store_id = ?", (store_id,))
        .await;
}

#[test]
fn a_panic_in_a_decision_is_that_callers_alone() {
    run(async |t| {
        t.create_shop("broken", FirstPolicy::preset("independent-site"))
            .await;
        let service =
            Service::start(t.database.serve_url().await, |settings| settings.lanes = 1).await;
        let belay = literal(service.address());
        let broken = belay
            .with_role(belay_client::Role::Storefront, "web")
            .unwrap()
            .store("broken");
        let healthy: Vec<String> = (0..400).map(|number| format!("H-{number}")).collect();
        let doomed: Vec<String> = (0..8).map(|number| format!("B-{number}")).collect();
        all(healthy.iter().map(|id| t.place_paid(id))).await;
        all(doomed
            .iter()
            .map(async |id| new_order(&broken, id).await.expect("an order")))
        .await;
        let cancel_request = |id: &str| {
            broken
                .request_cancellation(id, Units::all())
                .reason(reason::NO_LONGER_WANTED)
        };
        // This one may still be decided before the server has noticed.
        new_order(&broken, "PROBE").await.expect("an order");
        break_store(t, "broken").await;
        until("decisions panic", async || {
            cancel_request("PROBE")
                .await
                .err()
                .filter(|error| error.kind() == Kind::Internal)
        })
        .await;

        // They share one lane, and so batches, for as long as there are healthy ones.
        let (is_over, told) = (AtomicBool::new(false), AtomicUsize::new(0));
        let panicking = join_all(doomed.iter().map(async |id| {
            while !is_over.load(Ordering::Relaxed) {
                let error = cancel_request(id).await.expect_err("its policy is missing");
                assert_eq!(
                    (error.kind(), error.reason().map(|reason| reason.as_str())),
                    (Kind::Internal, Some("INTERNAL"))
                );
                assert_eq!(
                    error.message(),
                    "an internal error; its trace id is in the details"
                );
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
        eprintln!(
            "{told:?} decisions panicked beside {} that did not",
            cancelled.len()
        );
        for state in cancelled {
            assert_eq!(
                state.expect("no business of another store"),
                OrderState::Cancelled
            );
        }
        let sql = "SELECT order_id FROM orders WHERE store_id = 'broken' AND version > 1 AND order_id <> 'PROBE'";
        let changed: Vec<(String,)> = t.database.rows(sql, ()).await;
        assert_eq!(changed, [], "nothing is written for what panicked");
        service.stop().await;
    });
}

#[test]
fn a_full_queue_sheds_of_the_caller_with_the_most_and_says_when_to_come_back() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, one_patient_lane).await;
        let belay = literal(service.address());
        let held = HeldLanes::hold(&t.database.url()).await;

        // The first is in flight and waits; behind it the queue is filled to its end, with commands
        // that cost little.
        let shop = storefront(&belay);
        let first = new_order(&shop, "FIRST").send();
        let inside = service.inside();
        let filling = async {
            HeldLanes::until_held(&t.database, 1).await;
            let config = inside.store(&StoreId::parse(SHOP).unwrap()).await;
            let queued = (0..LANE_QUEUE_MAX + 256).map(|number| {
                let submission = Submission {
                    store: config.clone(),
                    caller: Caller::everywhere(Actor::new(domain::Role::Storefront, "web")),
                    order: OrderId::parse(format!("NONE-{number}")).unwrap(),
                    request_id: uuid::Uuid::from_u128(u128::try_from(number).unwrap()),
                    expected_version: None,
                    work: Work::Decide(Command::Settle),
                    deadline: Instant::now() + HANG,
                    priority: Priority::Interactive,
                };
                let inside = inside.clone();
                async move { inside.submit(submission).await }
            });
            join_all(queued).await
        };
        let shed = async {
            // The first, and as many as the queue holds.
            until("the queue is full", async || {
                (inside.callers() > LANE_QUEUE_MAX).then_some(())
            })
            .await;
            let error = new_order(&shop, "SHED")
                .await
                .expect_err("there is no room for more of this caller's");
            assert!(is_shed(&error), "{error}");
            assert!(error.retry_after().is_some_and(|delay| !delay.is_zero()));
            // Another caller is not kept out by this one.
            let other = belay.with_role(Role::Storefront, "app").expect("a role");
            let other = other.store(SHOP);
            let callers = inside.callers();
            let placing = new_order(&other, "FAIR").send();
            let release = async {
                until("it has taken the place of another", async || {
                    let text = inside.metrics();
                    text.contains("belay_queue_shed_total{belay_queue=\"interactive\"} 258")
                        .then_some(())
                })
                .await;
                // The count of callers follows when the shed one has its answer.
                until("as many wait as before", async || {
                    (inside.callers() <= callers).then_some(())
                })
                .await;
                held.release().await;
            };
            let (placed, ()) = join!(placing, release);
            placed.expect("it was taken");
        };
        let (first, filled, ()) = join!(first, filling, shed);
        first.expect("it was taken and is done");
        // What is told is scattered by a quarter.
        let waits = OVERLOADED_RETRY_MIN.mul_f64(0.75)..=OVERLOADED_RETRY_MAX.mul_f64(1.25);
        let overloaded = filled
            .iter()
            .filter(|outcome| matches!(outcome, Err(EngineError::Shed { retry }) if waits.contains(retry)))
            .count();
        assert_eq!(
            overloaded, 257,
            "as many as there were too many, and one for the other caller"
        );
        assert!(
            filled
                .iter()
                .all(|outcome| matches!(outcome, Ok(_) | Err(EngineError::Shed { .. })))
        );
        service.stop().await;
    });
}

fn is_shed(error: &Error) -> bool {
    error.kind() == Kind::Overloaded
        && error
            .reason()
            .is_some_and(|reason| reason.as_str() == "OVERLOADED")
}

/// A server whose one lane waits for the database for as long as the test holds it.
fn one_patient_lane(settings: &mut ServerSettings) {
    settings.lanes = 1;
    settings.database_wait_max = HANG;
}

/// A note may be added again and again, so nothing in the order tells that this one was: only the
/// row of its request does, which no batch asks for before it writes.
#[test]
fn a_repeated_command_is_answered_as_before_and_costs_its_batch_nothing() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, one_patient_lane).await;
        let shop = storefront(&literal(service.address()));
        let others: Vec<String> = (0..20).map(|number| format!("O-{number}")).collect();
        all(others.iter().map(|id| t.place_paid(id))).await;
        t.place_paid("NOTED").await;
        let text = "The lift is out of order.";
        let note = shop.add_note("NOTED", text, NoteVisibility::Public);
        let again = note.clone();
        let added = note.await.expect("a note");
        let other = shop
            .add_note("NOTED", "The bell is, too.", NoteVisibility::Public)
            .request_id(added.request_id);

        // The first batch is repeated for it, those behind ask first.
        for round in 0..3 {
            let held = HeldLanes::hold(&t.database.url()).await;
            let first = format!("FIRST-{round}");
            let first = new_order(&shop, &first).send();
            let together = async {
                HeldLanes::until_held(&t.database, 1).await;
                let cancelling = others[round * 6..][..6].iter().map(|id| {
                    shop.request_cancellation(id, Units::all())
                        .reason(reason::NO_LONGER_WANTED)
                        .send()
                });
                let calls = async { join!(join_all(cancelling), again.clone(), other.clone()) };
                let released = async {
                    until("all of them wait", async || {
                        (service.inside().callers() == 9).then_some(())
                    })
                    .await;
                    held.release().await;
                };
                join!(calls, released).0
            };
            let (first, (cancelled, repeated, reused)) = join!(first, together);
            first.expect("it was before them");
            for cancelled in cancelled {
                cancelled.expect("no business of another order");
            }
            let repeated = repeated.expect("the answer of before");
            assert_eq!(
                (&repeated.note, &repeated.order_etag),
                (&added.note, &added.order_etag)
            );
            refused(reused, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        }
        let order = shop.get_order("NOTED").await.expect("it is there");
        let texts: Vec<&str> = order.notes.iter().map(|note| note.text.as_str()).collect();
        assert_eq!((texts, &order.etag), (vec![text], &added.order_etag));
        service.stop().await;
    });
}

/// The figure of a server that stands in its metrics under this name, with its labels.
fn figure(service: &Service, name: &str) -> usize {
    let text = service.inside().metrics();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.trim().parse().ok())
        .expect("a figure")
}

/// So many batches were no larger than this.
fn batches_up_to(service: &Service, size: &str) -> usize {
    figure(
        service,
        &format!("belay_engine_batch_size_bucket{{le=\"{size}\"}} "),
    )
}

/// Places so many orders whose commands all wait while one is in flight. Says how many were placed,
/// and how many were turned away.
async fn place_together(t: &TestServer, service: &Service, orders: usize) -> (usize, usize) {
    let held = HeldLanes::hold(&t.database.url()).await;
    let shop = storefront(&literal(service.address()));
    let first = new_order(&shop, &format!("FIRST-{orders}")).send();
    let inside = service.inside();
    let rest = async {
        HeldLanes::until_held(&t.database, 1).await;
        let place = |number| {
            let order = new_order(&shop, &format!("O-{orders}-{number}"));
            async move { order.send().await }
        };
        join_all((0..orders).map(place)).await
    };
    let release = async {
        let shed = "belay_queue_shed_total{belay_queue=\"interactive\"} ";
        until("each waits or is turned away", async || {
            let here = inside.queued() + figure(service, shed);
            (here >= orders).then_some(())
        })
        .await;
        held.release().await;
    };
    let (first, placed, ()) = join!(first, rest, release);
    first.expect("it is placed");
    let turned_away = placed.iter().filter(|placed| {
        let error = placed.as_ref().err();
        error.is_some_and(|error| is_shed(error))
    });
    let turned_away = turned_away.count();
    let placed = placed.iter().filter(|placed| placed.is_ok()).count();
    (placed, turned_away)
}

/// Commands that wait in a lane that is told to let few wait.
const QUEUE_OF_FEW: usize = 16;

#[test]
fn a_batch_and_a_queue_are_as_large_as_they_are_told() {
    run(async |t| {
        // One by one, and few that wait.
        let service = Service::start(t.database.serve_url().await, |settings| {
            one_patient_lane(settings);
            settings.engine.batch_commands = 1;
            settings.engine.queue = QUEUE_OF_FEW;
        })
        .await;
        let few = place_together(t, &service, QUEUE_OF_FEW + 1).await;
        assert_eq!(few, (QUEUE_OF_FEW, 1));
        let all = batches_up_to(&service, "+Inf");
        assert_eq!(batches_up_to(&service, "1"), all);
        service.stop().await;

        // All that wait at once, which are as many as a batch can be told to have.
        let most = usize::from(BATCH_COMMANDS_MOST);
        let service = Service::start(t.database.serve_url().await, |settings| {
            one_patient_lane(settings);
            settings.engine.batch_commands = most;
        })
        .await;
        let placed = place_together(t, &service, most).await;
        assert_eq!(placed, (most, 0));
        assert!(batches_up_to(&service, "512") > batches_up_to(&service, "128"));
        assert_eq!(
            batches_up_to(&service, "512"),
            batches_up_to(&service, "+Inf")
        );
        service.stop().await;
    });
}

#[test]
fn a_lane_that_is_slow_lets_no_more_wait_than_it_can_take_in_time() {
    run(async |t| {
        const WAIT: Duration = Duration::from_millis(10);
        // Each batch is full, and each that is held up takes longer than a command may wait.
        let service = Service::start(t.database.serve_url().await, |settings| {
            one_patient_lane(settings);
            settings.engine.batch_commands = 1;
            settings.engine.wait_max = WAIT;
        })
        .await;
        let shop = storefront(&literal(service.address()));
        let held = HeldLanes::hold(&t.database.url()).await;
        let slow = async {
            HeldLanes::until_held(&t.database, 1).await;
            let held_since = Instant::now();
            until(
                "the batch takes longer than a command may wait",
                async || (held_since.elapsed() >= WAIT).then_some(()),
            )
            .await;
            held.release().await;
        };
        let (first, ()) = join!(new_order(&shop, "SLOW").send(), slow);
        first.expect("nothing was known of the lane");

        // Two batches may wait whatever the pace, the rest hears when to come back.
        assert_eq!(place_together(t, &service, 8).await, (2, 6));
        // Nobody is kept out for good.
        new_order(&shop, "LATER").await.expect("an order");
        service.stop().await;
    });
}

#[test]
fn a_command_past_its_deadline_is_never_begun() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, one_patient_lane).await;
        let belay = literal(service.address());
        let shop = storefront(&belay);
        t.place_paid("PAID").await;
        let held = HeldLanes::hold(&t.database.url()).await;
        let first = new_order(&shop, "FIRST").send();
        let late = async {
            // Once the first is in flight, whatever comes waits for it.
            HeldLanes::until_held(&t.database, 1).await;
            let patience = Duration::from_millis(300);
            let placing = (0..40).map(|number| {
                new_order(&shop, &format!("LATE-{number}"))
                    .timeout(patience)
                    .send()
            });
            let cancel_request = shop
                .request_cancellation("PAID", Units::all())
                .reason(reason::NO_LONGER_WANTED);
            let (placed, cancelled) =
                join!(join_all(placing), cancel_request.timeout(patience).send());
            let errors = placed
                .into_iter()
                .map(|placed| Error::from(placed.expect_err("it was too late")));
            let cancelled = Error::from(cancelled.expect_err("it was too late"));
            for error in errors.chain([cancelled]) {
                assert!(error.is_timeout() && error.is_outcome_unknown(), "{error}");
            }
            only_the_first_waits(&service).await;
            held.release().await;
        };
        let (first, ()) = join!(first, late);
        first.expect("it was taken and is done");
        nothing_else_was_begun(t, &shop).await;
        service.stop().await;
    });
}

#[test]
fn a_command_whose_caller_has_gone_is_never_begun() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, one_patient_lane).await;
        let shop = storefront(&literal(service.address()));
        t.place_paid("PAID").await;
        let held = HeldLanes::hold(&t.database.url()).await;
        let first = new_order(&shop, "FIRST").send();
        let gone = async {
            HeldLanes::until_held(&t.database, 1).await;
            // Each has minutes left when its caller hangs up.
            let placing =
                join_all((0..40).map(|number| new_order(&shop, &format!("GONE-{number}")).send()));
            let cancel_request = shop
                .request_cancellation("PAID", Units::all())
                .reason(reason::NO_LONGER_WANTED)
                .send();
            tokio::select! {
                outcomes = async { join!(placing, cancel_request) } => panic!("the lane is held: {outcomes:?}"),
                () = until("all of them wait", async || (service.inside().callers() == 42).then_some(())) => {}
            }
            only_the_first_waits(&service).await;
            held.release().await;
        };
        let (first, ()) = join!(first, gone);
        first.expect("it was taken and is done");
        nothing_else_was_begun(t, &shop).await;
        service.stop().await;
    });
}

#[test]
fn a_command_whose_caller_goes_while_it_is_in_flight_lands() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, one_patient_lane).await;
        let shop = storefront(&literal(service.address()));
        let held = HeldLanes::hold(&t.database.url()).await;
        let request_id = RequestId::mint();
        let placing = new_order(&shop, "A-1").request_id(request_id);
        tokio::select! {
            outcome = placing.clone().send() => panic!("the lane is held: {outcome:?}"),
            () = HeldLanes::until_held(&t.database, 1) => {}
        }
        until("the caller is gone", async || {
            (service.inside().callers() == 0).then_some(())
        })
        .await;
        held.release().await;
        until("the order is there", async || {
            shop.get_order("A-1").await.ok()
        })
        .await;
        let found_out = placing.await.expect("the same request id finds out").value;
        assert_eq!(
            (found_out.etag.as_str(), found_out.totals.total),
            ("\"1\"", eur(TOTAL))
        );
        service.stop().await;
    });
}

/// Whoever else called has gone, and the server knows it.
async fn only_the_first_waits(service: &Service) {
    until("the others have gone", async || {
        (service.inside().callers() == 1).then_some(())
    })
    .await;
}

async fn nothing_else_was_begun(t: &TestServer, shop: &Store) {
    // The queue is in order: what was before this one is over.
    new_order(shop, "LAST").await.expect("an order");
    let orders: Vec<(String,)> = t
        .database
        .rows("SELECT order_id FROM orders ORDER BY 1", ())
        .await;
    assert_eq!(orders.concat_ids(), "FIRST LAST PAID");
    assert_eq!(t.order("PAID").await.state, OrderState::ToShip);
}

trait ConcatIds {
    fn concat_ids(&self) -> String;
}

impl ConcatIds for Vec<(String,)> {
    fn concat_ids(&self) -> String {
        self.iter()
            .map(|(id,)| id.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

#[test]
fn positions_have_no_gaps_at_any_moment_though_two_servers_write() {
    run(async |t| {
        let one = Service::start(t.database.serve_url().await, |settings| {
            settings.connections = 16
        })
        .await;
        let other = Service::start(t.database.serve_url().await, |settings| {
            settings.connections = 16
        })
        .await;
        let (is_over, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
        let writing = async {
            let write = async |number: usize| {
                let order_id = format!("A-{number}");
                let [left, right] = match number % 2 {
                    0 => [one.belay(), other.belay()],
                    _ => [other.belay(), one.belay()],
                };
                new_order(&storefront(left), &order_id)
                    .await
                    .expect("an order");
                pay(&payments(right), &order_id).await;
                assert_eq!(
                    cancel(left, &order_id).await.expect("nothing has left"),
                    OrderState::Cancelled
                );
            };
            all((0..300).map(write)).await;
            // As many looks as make it a test, however slow they are beside the writers.
            let mut number = 300;
            while looks.load(Ordering::Relaxed) < LOOKS {
                all((number..number + AT_ONCE).map(write)).await;
                number += AT_ONCE;
            }
            is_over.store(true, Ordering::Relaxed);
        };
        // Whoever reads up to the head of a partition has read all there is below it.
        let watching = async {
            while !is_over.load(Ordering::Relaxed) {
                let sql = "SELECT shard_partition FROM events GROUP BY shard_partition \
                    HAVING MIN(position - event_count) <> 0 OR MAX(position) <> SUM(event_count)";
                let gaps: Vec<(u16,)> = t.database.rows(sql, ()).await;
                assert!(gaps.is_empty(), "partitions with gaps: {gaps:?}");
                looks.fetch_add(1, Ordering::Relaxed);
            }
        };
        join!(writing, watching);
        eprintln!("{looks:?} looks at the log while it was written");
        one.stop().await;
        other.stop().await;
    });
}

#[test]
fn a_due_order_that_always_fails_blocks_nobody() {
    // A decision about the broken store panics; the messages count the tries. How seldom they come
    // is a table in the worker.
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
        let dead_end = t
            .create_shop("dead-end", FirstPolicy::preset("independent-site"))
            .await;
        // It is due before all others.
        new_order(&dead_end, "STUCK").await.expect("an order");
        t.advance(SignedDuration::from_secs(1)).await;
        let waiting: Vec<String> = (0..100).map(|number| format!("A-{number}")).collect();
        all(waiting.iter().map(|id| t.place(id))).await;
        break_store(t, "dead-end").await;
        until("the store is broken", async || {
            dead_end.get_order("STUCK").await.err()
        })
        .await;
        tries.store(0, Ordering::Relaxed);
        t.advance(SignedDuration::from_hours(25)).await;

        closed(t, waiting.len()).await;
        let tried = async || (tries.load(Ordering::Relaxed) > 0).then_some(());
        until("the stuck order is tried", tried).await;
        // And it stays so: what comes to be due later is closed too.
        for round in 0..4 {
            t.place(&format!("LATER-{round}")).await;
            t.advance(SignedDuration::from_hours(25)).await;
            closed(t, waiting.len() + round + 1).await;
        }
        let before = tries.load(Ordering::Relaxed);
        until("the stuck order is tried again", async || {
            (tries.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    });
}

/// Waits until the worker has closed so many unpaid orders of the shop, for as long as there are
/// more and more of them.
async fn closed(t: &TestServer, orders: usize) {
    let mut closed = closed_now(t).await;
    while closed < orders {
        let more = async || Some(closed_now(t).await).filter(|now| *now > closed);
        closed = until("more unpaid orders are closed", more).await;
    }
    assert_eq!(closed, orders, "more were closed than are due");
}

async fn closed_now(t: &TestServer) -> usize {
    let sql = "SELECT COUNT(*) FROM orders WHERE state = 'CLOSED_UNPAID' AND store_id = ?";
    t.database.row::<(usize,)>(sql, (SHOP,)).await.0
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

        t.advance(SignedDuration::from_hours(25)).await;
        // While the one is held.
        closed(t, OTHERS).await;
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
                .await
                .expect("an order");
        };
        futures_util::stream::iter((0..DUE).map(place))
            .buffer_unordered(128)
            .collect::<()>()
            .await;
        t.advance(SignedDuration::from_hours(25)).await;
        // An ordinary call waits for the batch in flight, not for all that is due: each of these is
        // answered while some are.
        let mut left = Vec::new();
        loop {
            new_order(&shop, &format!("NOW-{}", left.len()))
                .await
                .expect("an order");
            match DUE - closed_now(t).await {
                0 => break,
                due => left.push(due),
            }
        }
        eprintln!(
            "{} calls were answered while of {DUE} due orders some were left",
            left.len()
        );
        assert!(
            left.len() >= 3,
            "calls had to wait until {left:?} were left"
        );
    });
}

#[test]
fn a_server_that_stops_loses_nothing_that_it_took() {
    const ROUNDS: usize = 3;
    run(async |t| {
        let there = insistent(t.address());
        let mut placed = 0;
        for round in 0..ROUNDS {
            let service = Service::start(t.database.serve_url().await, |settings| {
                settings.connections = 16
            })
            .await;
            let belay = literal(service.address());
            let taken = AtomicUsize::new(0);
            // Every caller goes on until it is turned away.
            let caller = async |caller: usize| {
                for number in 0.. {
                    let (order_id, request_id) =
                        (format!("R{round}-{caller}-{number}"), RequestId::mint());
                    match new_order(&storefront(&belay), &order_id)
                        .request_id(request_id)
                        .await
                    {
                        Ok(order) => assert_eq!(
                            t.order(&order_id).await,
                            order.value,
                            "what is acknowledged is there"
                        ),
                        Err(error) => {
                            assert!(
                                matches!(error.kind(), Kind::Unavailable | Kind::OutcomeUnknown),
                                "{error}"
                            );
                            let elsewhere = new_order(&storefront(&there), &order_id)
                                .request_id(request_id)
                                .await;
                            assert_eq!(
                                elsewhere.expect("another server goes on").totals.total,
                                eur(TOTAL)
                            );
                            return number + 1;
                        }
                    }
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                unreachable!("a server that stops turns callers away")
            };
            let stopping = async {
                until("some were taken", async || {
                    (taken.load(Ordering::Relaxed) >= AT_ONCE).then_some(())
                })
                .await;
                // It cuts no call, and waits for none that has not begun: else this would not end.
                service.stop().await;
            };
            let (answers, ()) = join!(join_all((0..AT_ONCE).map(caller)), stopping);
            placed += answers.iter().sum::<usize>();
            eprintln!("round {round}: {placed} orders so far");
        }
        let (orders,): (usize,) = t
            .database
            .row("SELECT COUNT(*) FROM orders WHERE version = 1", ())
            .await;
        assert_eq!(orders, placed);
    });
}
