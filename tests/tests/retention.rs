//! Retention: what is old leaves the feed and is forgotten, on one side of its age only, and nobody
//! loses what was promised to be kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use belay_client::calls::BulkOrders;
use belay_client::model::{Event, PartitionPosition};
use belay_client::{Belay, Kind, RequestId, ResumeToken, Role, Units, reason};
use belay_domain::projection::Projection;
use belay_server::db::pool;
use belay_server::projections::{Rebuild, begin_rebuild};
use belay_server::retention::{Keep, Kind as Kept};
use belay_tests::feed::{Watcher, ends};
use belay_tests::instance::Service;
use belay_tests::shop::new_order;
use belay_tests::stock::{projected, put_back, rebuilt, rows};
use belay_tests::{SHOP, TestServer, pages, refused, run, run_at, until};
use jiff::SignedDuration;

use crate::bulk;

const NOW: &str = "2026-03-02T10:00:00Z";
const HOUR: Duration = Duration::from_secs(60 * 60);

fn everybody(t: &TestServer) -> Belay {
    t.role(Role::Operator, "ops")
}

/// A server beside the harness's, by the same clock, whose passes are made by hand.
async fn pruner(t: &TestServer) -> Service {
    Service::start(t.database.pruning_url().await, |settings| {
        settings.manual_clock = true;
        // A few, so that each pass has several batches.
        settings.retention.batch_rows = 2;
    })
    .await
}

/// Everything older than this is pruned by this server.
async fn prune(service: &Service, kind: Kept, kept: Duration) {
    service.inside().prune(kind, kept).await;
}

/// The same of events, once the projections have read them.
async fn prune_events(t: &TestServer, service: &Service, kept: Duration) {
    projected(&t.database).await;
    prune(service, Kept::Events, kept).await;
}

/// Behind what each partition no longer holds.
async fn oldest(belay: &Belay) -> Vec<PartitionPosition> {
    let mut stream = belay.watch_events().from_oldest().await.unwrap();
    stream.try_next().await.unwrap().unwrap().positions
}

async fn oldest_token(belay: &Belay) -> ResumeToken {
    let mut stream = belay.watch_events().from_oldest().await.unwrap();
    stream.try_next().await.unwrap().unwrap().resume_token
}

/// All that a list of the feed has from its oldest event on.
async fn listed(belay: &Belay) -> Vec<Event> {
    let listed = pages(async |token| belay.list_events().page_token(token).await).await;
    listed.into_iter().flatten().collect()
}

#[test]
fn the_feed_gives_up_what_is_old_and_histories_stay_whole() {
    run_at(NOW, async |t| {
        let (belay, service) = (everybody(t), pruner(t).await);
        t.place_paid("OLD").await;
        let shop = t.storefront();
        let first_page = shop.list_order_history("OLD").page_size(1).await.unwrap();
        let second = async || {
            let page = shop.list_order_history("OLD").page_size(1);
            page.page_token(first_page.next_page_token.clone().unwrap())
                .await
                .unwrap()
        };
        let before = (t.history("OLD").await, second().await);
        let old = oldest_token(&belay).await;

        t.advance(SignedDuration::from_mins(30)).await;
        t.place_paid("YOUNG").await;
        let young = t.history("YOUNG").await;
        // To the microsecond of its age nothing goes; one more, and it does.
        t.advance(SignedDuration::from_mins(30)).await;
        prune_events(t, &service, HOUR).await;
        let mut watcher = Watcher::new(belay.watch_events().resume_token(&old));
        let ends = ends(&belay).await;
        watcher.read_to(&ends, |_| false).await;
        assert_eq!(watcher.came(), before.0.len() + young.len());
        t.advance(SignedDuration::from_micros(1)).await;
        prune_events(t, &service, HOUR).await;

        let expired = refused(
            belay.watch_events().resume_token(&old).await,
            Kind::OutOfRange,
            "POSITION_EXPIRED",
        );
        let last = before.0.last().unwrap();
        assert_eq!(expired.metadata()["partition"], last.partition.to_string());
        assert_eq!(
            expired.metadata()["oldest_position"],
            (last.position + 1).to_string()
        );
        refused(
            belay.list_events().resume_token(&old).await,
            Kind::OutOfRange,
            "POSITION_EXPIRED",
        );
        let mut watcher = Watcher::new(belay.watch_events().from_oldest());
        watcher.read_to(&ends, |_| false).await;
        assert_eq!(watcher.events, young);
        assert_eq!(listed(&belay).await, young);
        assert_eq!((t.history("OLD").await, second().await), before);
        assert_eq!(t.history("YOUNG").await, young);
        // It goes on after its events have left the feed.
        t.cancel("OLD").await;
        let longer = t.history("OLD").await;
        assert_eq!(longer[..before.0.len()], before.0);
        assert!(longer.len() > before.0.len());
        service.stop().await;
    });
}

#[test]
fn a_bulk_cancellation_is_kept_for_its_time_from_its_end_on() {
    run_at(NOW, async |t| {
        let service = pruner(t).await;
        let seller = t.seller();
        // More than one batch, of orders that are not there.
        let orders: Vec<String> = (0..1_200).map(|number| format!("N-{number}")).collect();
        let start = seller.start_bulk_cancellation(BulkOrders::named(&orders));
        let start = start.reason("OUT_OF_STOCK").orders_per_second(1_000);
        let old = bulk::finished(&seller, &start.await.unwrap()).await;
        let id = &old.bulk_cancellation_id;
        let running = seller.start_bulk_cancellation(BulkOrders::named(&orders));
        let running = running.reason("OUT_OF_STOCK").orders_per_second(1);
        let running = running.await.unwrap().bulk_cancellation_id;

        t.advance(SignedDuration::from_hours(1)).await;
        prune(&service, Kept::BulkResults, HOUR).await;
        let mut results = seller.list_bulk_results(id).page_size(1_000).stream();
        let mut kept = 0;
        while results.try_next().await.unwrap().is_some() {
            kept += 1;
        }
        assert_eq!(kept, orders.len());
        t.advance(SignedDuration::from_micros(1)).await;
        prune(&service, Kept::BulkResults, HOUR).await;
        let gone = seller.get_bulk_cancellation(id).await;
        refused(gone, Kind::NotFound, "BULK_CANCELLATION_NOT_FOUND");
        let rows = "SELECT COUNT(*) FROM bulk_orders o LEFT JOIN bulk_cancellations USING (job_key)
            WHERE bulk_id IS NULL";
        assert_eq!(t.database.row::<(u32,)>(rows, ()).await.0, 0);
        // One that has not ended is as young as can be.
        let stopped = seller.stop_bulk_cancellation(&running).await.unwrap();
        bulk::finished(&seller, &stopped).await;
        service.stop().await;
    });
}

#[test]
fn of_one_order_too_the_feed_gives_what_it_keeps() {
    run_at(NOW, async |t| {
        let (belay, service) = (everybody(t), pruner(t).await);
        let watch = belay.watch_events().store_id(SHOP).order_id("A-1");
        t.place_paid("A-1").await;
        let page = belay.list_events().store_id(SHOP).order_id("A-1");
        let begun = page.clone().page_size(1).await.unwrap();
        t.advance(SignedDuration::from_hours(2)).await;
        prune_events(t, &service, HOUR).await;
        // What is asked for anew is behind what is kept, whatever it is narrowed to.
        let behind = page.page_token(begun.next_page_token.unwrap()).await;
        refused(behind, Kind::OutOfRange, "POSITION_EXPIRED");
        let mut watcher = Watcher::new(watch.from_oldest());
        t.pay("A-1").await;
        watcher.read_to(&ends(&belay).await, |_| false).await;
        assert!(watcher.events.is_empty());
        service.stop().await;
    });
}

#[test]
fn who_begins_with_the_oldest_has_time_to_read_on() {
    run_at(NOW, async |t| {
        let (belay, service) = (everybody(t), pruner(t).await);
        t.place_paid("A-1").await;
        let history = t.history("A-1").await;
        // The last 24th of a day begins after 23 hours.
        t.advance(SignedDuration::from_hours(23)).await;
        prune_events(t, &service, 24 * HOUR).await;
        assert_eq!(listed(&belay).await, history);
        let token = oldest_token(&belay).await;
        t.advance(SignedDuration::from_micros(1)).await;
        prune_events(t, &service, 24 * HOUR).await;
        assert_eq!(listed(&belay).await, []);
        assert_eq!(oldest(&belay).await, ends(&belay).await);
        // Who began before reads on.
        let mut watcher = Watcher::new(belay.watch_events().resume_token(&token));
        watcher.read_to(&ends(&belay).await, |_| false).await;
        assert_eq!(watcher.events, history);
        service.stop().await;
    });
}

#[test]
fn what_is_kept_for_longer_is_among_the_oldest_again() {
    run_at(NOW, async |t| {
        let (belay, service) = (everybody(t), pruner(t).await);
        for order in ["A-1", "A-2", "A-3"] {
            t.place_paid(order).await;
        }
        let all = listed(&belay).await;
        t.advance(SignedDuration::from_hours(23)).await;
        t.advance(SignedDuration::from_micros(1)).await;
        prune_events(t, &service, 24 * HOUR).await;
        assert_eq!(listed(&belay).await, []);
        prune_events(t, &service, 48 * HOUR).await;
        assert_eq!(listed(&belay).await, all);
        // And goes when that is over.
        t.advance(SignedDuration::from_hours(23)).await;
        prune_events(t, &service, 48 * HOUR).await;
        assert_eq!(listed(&belay).await, []);
        service.stop().await;
    });
}

#[test]
fn a_consumer_is_told_what_it_has_missed_and_goes_on_with_the_rest() {
    run_at(NOW, async |t| {
        let (belay, service) = (everybody(t), pruner(t).await);
        for order in 0..8 {
            t.place(&format!("OLD-{order}")).await;
        }
        let begin = oldest_token(&belay).await;
        let at = belay.commit_position("index", &begin).await.unwrap();
        assert_eq!((at.expired_events, at.expired_partitions), (0, Vec::new()));
        let old = ends(&belay).await;
        t.advance(SignedDuration::from_hours(2)).await;
        t.place("YOUNG").await;
        prune_events(t, &service, HOUR).await;

        let missed: Vec<&PartitionPosition> = old.iter().filter(|end| end.position > 0).collect();
        let consumer = belay.get_consumer("index").await.unwrap();
        let lost: i64 = missed.iter().map(|end| end.position).sum();
        assert_eq!(consumer.expired_events, lost);
        assert!(consumer.lag_events > lost);
        let partitions: Vec<i32> = missed.iter().map(|end| end.partition).collect();
        assert_eq!(consumer.expired_partitions, partitions);
        let all = belay.list_consumers().await.unwrap().items;
        assert_eq!(all, std::slice::from_ref(&consumer));
        refused(
            belay
                .watch_events()
                .resume_token(&consumer.resume_token)
                .await,
            Kind::OutOfRange,
            "POSITION_EXPIRED",
        );
        // What was handled may be committed, also where it is no longer kept.
        belay.commit_position("index", &begin).await.unwrap();

        let kept = consumer.positions.iter().filter(|at| {
            let expired = &consumer.expired_partitions;
            !expired.contains(&at.partition)
        });
        let watch = belay.watch_events().positions(kept.copied());
        let mut watcher = Watcher::new(watch);
        watcher.read_to(&ends(&belay).await, |_| false).await;
        assert_eq!(watcher.events, t.history("YOUNG").await);
        let token = watcher.token.clone().unwrap();
        let at = belay.commit_position("index", &token).await.unwrap();
        assert_eq!((at.lag_events, at.expired_events), (0, 0));
        service.stop().await;
    });
}

#[test]
fn a_request_id_is_known_until_it_is_old() {
    run_at(NOW, async |t| {
        let service = pruner(t).await;
        let shop = t.storefront();
        t.place_paid("A-1").await;
        let cancel = |id: RequestId| {
            let pen = Units::line("A-1:l2", 1);
            let request = shop.request_cancellation("A-1", pen).request_id(id);
            request.reason(reason::NO_LONGER_WANTED)
        };
        let prepare = |id: RequestId| t.warehouse().start_preparation("A-1:s1").request_id(id);
        let (first, second) = (RequestId::mint(), RequestId::mint());
        let answered = cancel(first).await.unwrap();
        t.advance(SignedDuration::from_mins(30)).await;
        let prepared = prepare(second).await.unwrap();
        t.mark_ready("A-1:s1").await;
        t.advance(SignedDuration::from_mins(30)).await;
        prune(&service, Kept::Requests, HOUR).await;
        assert_eq!(cancel(first).await.unwrap(), answered);
        t.advance(SignedDuration::from_micros(1)).await;
        prune(&service, Kept::Requests, HOUR).await;

        // The first is forgotten, and asks for a pen that is no longer there.
        refused(cancel(first).await, Kind::Rejected, "NOTHING_TO_CANCEL");
        // The second is half an hour younger, and its answer is still the one of then.
        assert_eq!(prepare(second).await.unwrap(), prepared);
        t.advance(SignedDuration::from_mins(30)).await;
        prune(&service, Kept::Requests, HOUR).await;
        assert_ne!(prepare(second).await.ok(), Some(prepared));
        service.stop().await;
    });
}

/// Its decision is kept for longer than its answer.
#[test]
fn a_request_that_is_forgotten_is_decided_anew() {
    run_at(NOW, async |t| {
        let service = pruner(t).await;
        t.place_paid("A-1").await;
        let shop = t.storefront();
        let id = RequestId::mint();
        let cancel = async || {
            let mug = Units::line("A-1:l1", 1);
            let request = shop.request_cancellation("A-1", mug).request_id(id);
            let request = request.reason(reason::NO_LONGER_WANTED);
            request.await.unwrap().cancellation.cancellation_id
        };
        assert_eq!(cancel().await.as_str(), "A-1:c1");
        t.advance(SignedDuration::from_hours(1)).await;
        t.advance(SignedDuration::from_micros(1)).await;
        prune(&service, Kept::Requests, HOUR).await;
        assert_eq!(cancel().await.as_str(), "A-1:c2");
        let (decisions,): (u64,) = t.database.row("SELECT COUNT(*) FROM decisions", ()).await;
        assert_eq!(decisions, 2);
        service.stop().await;
    });
}

#[test]
fn decisions_are_kept_for_their_own_time() {
    run_at(NOW, async |t| {
        let service = pruner(t).await;
        let decisions = async || {
            let (decisions,): (u64,) = t.database.row("SELECT COUNT(*) FROM decisions", ()).await;
            decisions
        };
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        t.advance(SignedDuration::from_mins(30)).await;
        t.place_paid("A-2").await;
        t.cancel("A-2").await;
        assert_eq!(decisions().await, 2);
        t.advance(SignedDuration::from_mins(30)).await;
        prune(&service, Kept::Decisions, HOUR).await;
        assert_eq!(decisions().await, 2);
        t.advance(SignedDuration::from_micros(1)).await;
        prune(&service, Kept::Decisions, HOUR).await;
        assert_eq!(decisions().await, 1);
        prune(&service, Kept::Decisions, Duration::ZERO).await;
        assert_eq!(decisions().await, 0);
        service.stop().await;
    });
}

#[test]
fn what_a_projection_has_not_read_is_not_pruned() {
    run_at(NOW, async |t| {
        let (belay, service) = (everybody(t), pruner(t).await);
        t.place_paid("A-1").await;
        projected(&t.database).await;
        // Somebody works at the stock for long.
        let mut working = pool::connect(&t.database.url()).await.unwrap();
        let lock =
            "BEGIN; SELECT * FROM projection_positions WHERE projection = 'stock' FOR UPDATE";
        diesel_async::SimpleAsyncConnection::batch_execute(&mut working, lock)
            .await
            .unwrap();
        t.place_paid("A-2").await;
        let young = t.history("A-2").await;
        t.advance(SignedDuration::from_hours(2)).await;
        prune(&service, Kept::Events, HOUR).await;
        let kept = "SELECT CAST(SUM(event_count) AS UNSIGNED) FROM events";
        let (kept,): (u64,) = t.database.row(kept, ()).await;
        assert_eq!(kept, u64::try_from(young.len()).unwrap());
        diesel_async::SimpleAsyncConnection::batch_execute(&mut working, "ROLLBACK")
            .await
            .unwrap();
        projected(&t.database).await;
        assert_eq!(t.quantities("main", "MUG").await, (0, 6, -6));
        prune(&service, Kept::Events, HOUR).await;
        assert_eq!(oldest(&belay).await, ends(&belay).await);
        service.stop().await;
    });
}

#[test]
fn a_pruned_feed_is_not_rebuilt_from() {
    run_at(NOW, async |t| {
        let service = pruner(t).await;
        t.place_paid("A-1").await;
        t.advance(SignedDuration::from_hours(2)).await;
        prune_events(t, &service, HOUR).await;
        let before = rows(&t.database).await;
        for projection in Projection::ALL {
            let mut conn = pool::connect(&t.database.url()).await.unwrap();
            let begun = begin_rebuild(&mut conn, *projection).await.unwrap();
            assert_eq!(begun, Rebuild::FeedPruned);
        }
        assert_eq!(rows(&t.database).await, before);
        put_back(&t.database).await;
        let mut conn = pool::connect(&t.database.url()).await.unwrap();
        let begun = begin_rebuild(&mut conn, Projection::Stock).await.unwrap();
        assert_eq!(begun, Rebuild::Begun);
        // From now on it keeps what it has not read.
        prune(&service, Kept::Events, HOUR).await;
        rebuilt(&t.database, 1).await;
        assert_eq!(rows(&t.database).await, before);
        service.stop().await;
    });
}

#[test]
fn two_servers_prune_at_once_under_load() {
    run(async |t| {
        let pruning = async || {
            Service::start(t.database.pruning_url().await, |settings| {
                // As soon as the projections have read it, everything is old.
                settings.retention.events = Keep::For(Duration::ZERO);
            })
            .await
        };
        let (one, other) = (pruning().await, pruning().await);
        let is_over = AtomicBool::new(false);
        let place = async |caller: usize| {
            for order in 0..20 {
                let order_id = format!("C{caller}-{order}");
                t.place_paid(&order_id).await;
                if order % 2 == 0 {
                    t.cancel(&order_id).await;
                }
            }
        };
        let placing = async {
            futures_util::future::join_all((0..6).map(place)).await;
            is_over.store(true, Ordering::Relaxed);
        };
        // A history may be read at any moment, and never has a gap.
        let reading = async {
            let mut longest = 0;
            while !is_over.load(Ordering::Relaxed) {
                let Ok(page) = t.storefront().list_order_history("C0-0").await else {
                    continue;
                };
                let versions: Vec<i64> = page.items.iter().map(|it| it.order_version).collect();
                assert!(versions.is_sorted() && page.items.len() >= longest);
                longest = page.items.len();
            }
        };
        tokio::join!(placing, reading);
        until("everything is pruned", async || {
            let sql = "SELECT COUNT(*) FROM partition_heads JOIN partition_tails USING (shard_partition) \
                WHERE pruned < head";
            let (left,): (i64,) = t.database.row(sql, ()).await;
            (left == 0).then_some(())
        })
        .await;
        // The harness checks that all of it is there, once and in order.
        let counts = "SELECT (SELECT COUNT(*) FROM events), (SELECT COUNT(*) FROM order_history)";
        let (left, moved): (i64, i64) = t.database.row(counts, ()).await;
        assert_eq!((left, moved), (0, 6 * (20 + 20 + 10)));
        let live = rows(&t.database).await;
        for service in [one, other] {
            service.stop().await;
        }
        put_back(&t.database).await;
        belay_tests::stock::rebuild(&t.database).await;
        assert_eq!(rows(&t.database).await, live);
        new_order(&t.storefront(), "C9").await.unwrap();
    });
}
