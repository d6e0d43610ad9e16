//! Projections: exactly once with any number of servers, rebuilt while they serve, and no trouble
//! to commands.

use belay_client::Units;
use belay_server::projections::Rebuild;
use belay_tests::database::WITH_NUMBERS;
use belay_tests::instance::{Service, session};
use belay_tests::stock::{
    begin_rebuild, is_as_rebuilt, projected, rebuilt, sellers_are_as_rebuilt,
};
use belay_tests::{SHOP, TestServer, run, until};
use mysql_async::prelude::Queryable;
use tokio::join;

/// What happens with an order of the standard kind, a bit of everything.
async fn happens(t: &TestServer, number: usize) {
    let order_id = format!("A-{number}");
    t.place_paid(&order_id).await;
    match number % 4 {
        0 => drop(t.ship(&format!("{order_id}:s1")).await),
        1 => drop(t.cancel(&order_id).await),
        2 => {
            let pen = Units::line(format!("{order_id}:l2"), 1);
            t.cancel_units(&order_id, pen).await;
        }
        _ => {
            let counted = t.seller().set_stock("main", "MUG", 100).await;
            counted.expect("a count");
        }
    }
}

/// What is there of mugs and pens when so many orders have happened one after the other, the last
/// count included.
const ORDERS: usize = 40;

#[test]
fn the_stock_is_as_a_rebuild_makes_it() {
    run(async |t| {
        for number in 0..ORDERS {
            happens(t, number).await;
        }
        // After the last count nothing left; a quarter of the orders waits for mugs twice.
        assert_eq!(t.quantities("main", "MUG").await, (100, 60, 40));
        is_as_rebuilt(&t.database).await;
        assert_eq!(t.quantities("main", "MUG").await, (100, 60, 40));
        is_as_rebuilt(&t.database).await;
    });
}

#[test]
fn a_rebuild_serves_meanwhile_and_loses_nothing_that_happens() {
    run(async |t| {
        for number in 0..ORDERS / 2 {
            happens(t, number).await;
        }
        projected(&t.database).await;
        let (on_hand, reserved, _) = t.quantities("main", "MUG").await;
        assert_eq!(begin_rebuild(&t.database).await, Rebuild::Begun);
        let meanwhile = t.operator().get_stock("main", "MUG").await.unwrap();
        assert_eq!(
            (meanwhile.on_hand_quantity, meanwhile.reserved_quantity),
            (on_hand, reserved),
            "never half of it"
        );
        for number in ORDERS / 2..ORDERS {
            happens(t, number).await;
        }
        rebuilt(&t.database, 1).await;
        assert_eq!(t.quantities("main", "MUG").await, (100, 60, 40));
        is_as_rebuilt(&t.database).await;
    });
}

/// Tellings of so many SKUs, or of one, that nobody but a rebuild hears of.
const TOLD: u64 = 2_000;

/// Has somebody tell of this SKU, an expression of `n`, `TOLD` times: the later, the sooner a
/// rebuild comes to it.
async fn told(t: &TestServer, sku: &str) {
    let tellings = format!(
        "INSERT INTO stock_tellings (store_id, request_id, warehouse_id, sku, kind, quantity, role, \
         actor_id, tell_time) {WITH_NUMBERS} SELECT ?, UNHEX(LPAD(HEX(9999 - n), 32, '0')), 'main', {sku}, \
         'COUNTED', 1, 'SELLER', 'acme', '2090-01-01' + INTERVAL n SECOND FROM number WHERE n < {TOLD}"
    );
    assert_eq!(t.database.execute(&tellings, (SHOP,)).await, TOLD);
}

#[test]
fn the_stock_follows_the_feed_while_a_rebuild_goes_through_what_was_told() {
    run(async |t| {
        t.place_paid("A-1").await;
        projected(&t.database).await;
        told(t, "CONCAT('TOLD-', n)").await;
        assert_eq!(begin_rebuild(&t.database).await, Rebuild::Begun);
        // Not a page of it lands before the order has left.
        let mut held = session(&t.database.url()).await;
        held.query_drop("BEGIN").await.unwrap();
        let lock = "SELECT building FROM projections WHERE projection = 'stock' FOR UPDATE";
        held.query_drop(lock).await.unwrap();
        t.ship("A-1:s1").await;
        held.query_drop("ROLLBACK").await.unwrap();
        let is_replayed = until("the shipment shows", async || {
            let sql = "SELECT is_replayed, (SELECT COUNT(*) FROM stock_entries \
                WHERE generation = serving AND sku = 'MUG' AND kind = 'SHIPPED') \
                FROM projections WHERE projection = 'stock' AND serving = 1";
            let (is_replayed, shipped): (bool, u64) = t.database.row(sql, ()).await;
            (shipped == 1).then_some(is_replayed)
        })
        .await;
        assert!(!is_replayed, "the rebuild has come to its end before");
        rebuilt(&t.database, 1).await;
        assert_eq!(t.quantities("main", "MUG").await, (-3, 0, -3));
    });
}

#[test]
fn a_rebuild_reads_of_many_counts_of_one_sku_the_next_one_alone() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.ship("A-1:s1").await;
        projected(&t.database).await;
        told(t, "'MUG'").await;
        let reads = async || {
            let sql = "SELECT CAST(SUM(count_read) AS UNSIGNED) FROM \
                performance_schema.table_io_waits_summary_by_table \
                WHERE object_schema = DATABASE() AND object_name = 'stock_entries'";
            let (reads,): (u64,) = t.database.row(sql, ()).await;
            reads
        };
        let before = reads().await;
        assert_eq!(begin_rebuild(&t.database).await, Rebuild::Begun);
        // What comes meanwhile lies before the counts as well.
        t.place_paid("A-2").await;
        until("the new generation serves", async || {
            let sql = "SELECT COUNT(*) FROM projections WHERE projection = 'stock' AND serving = 2";
            let (serves,): (i64,) = t.database.row(sql, ()).await;
            (serves == 1).then_some(())
        })
        .await;
        // Each is looked for, and added up to the one behind it.
        let read = reads().await - before;
        assert!(read < 5 * TOLD, "{read} rows for {TOLD} counts");
        rebuilt(&t.database, 1).await;
        assert_eq!(t.quantities("main", "MUG").await, (1, 3, -2));
        let first: (i64,) = {
            let sql = "SELECT previous FROM stock_entries WHERE sku = 'MUG' AND kind = 'COUNTED' ORDER BY place LIMIT 1";
            t.database.row(sql, ()).await
        };
        assert_eq!(first, (-3,), "before the first of them three had left");
    });
}

#[test]
fn one_rebuild_is_under_way_at_a_time_and_none_of_a_pruned_feed() {
    run(async |t| {
        t.place_paid("A-1").await;
        // The server may have carried one out before the other is begun.
        until("one of two finds the other", async || {
            let begun = join!(begin_rebuild(&t.database), begin_rebuild(&t.database));
            [begun.0, begun.1]
                .contains(&Rebuild::UnderWay)
                .then_some(())
        })
        .await;
        rebuilt(&t.database, 1).await;
        let sql = "UPDATE partition_tails SET pruned = 1";
        t.database.execute(sql, ()).await;
        assert_eq!(begin_rebuild(&t.database).await, Rebuild::FeedPruned);
        let sql = "UPDATE partition_tails SET pruned = 0";
        t.database.execute(sql, ()).await;
    });
}

#[test]
fn three_servers_project_each_event_once() {
    run(async |t| {
        let others = [
            Service::start(t.database.serve_url().await, |_| {}).await,
            Service::start(t.database.serve_url().await, |_| {}).await,
        ];
        for number in 0..ORDERS {
            happens(t, number).await;
        }
        assert_eq!(t.quantities("main", "MUG").await, (100, 60, 40));
        assert_eq!(begin_rebuild(&t.database).await, Rebuild::Begun);
        rebuilt(&t.database, 1).await;
        assert_eq!(t.quantities("main", "MUG").await, (100, 60, 40));
        for other in others {
            other.stop().await;
        }
        is_as_rebuilt(&t.database).await;
        sellers_are_as_rebuilt(&t.database).await;
    });
}

/// How far both projections have come, in all partitions together: the stock, and the quality of
/// sellers.
async fn positions(t: &TestServer) -> (u64, u64) {
    let sql = "SELECT CAST(SUM(IF(projection = 'stock', position, 0)) AS UNSIGNED), \
               CAST(SUM(IF(projection = 'seller-quality', position, 0)) AS UNSIGNED) FROM projection_positions";
    t.database.row(sql, ()).await
}

#[test]
fn a_projection_that_is_held_keeps_no_other_and_goes_on_with_it_afterwards() {
    run(async |t| {
        happens(t, 0).await;
        projected(&t.database).await;
        let before = positions(t).await;
        assert_eq!(before.0, before.1, "they go together");
        let mut held = session(&t.database.url()).await;
        held.query_drop("BEGIN").await.unwrap();
        let sql = "SELECT position FROM projection_positions WHERE projection = 'stock' FOR UPDATE";
        held.query_drop(sql).await.unwrap();
        for number in 1..ORDERS / 2 {
            happens(t, number).await;
        }
        until("the quality of sellers goes on", async || {
            (positions(t).await.1 > before.1).then_some(())
        })
        .await;
        assert_eq!(positions(t).await.0, before.0, "nobody moves what is held");
        held.query_drop("ROLLBACK").await.unwrap();
        for number in ORDERS / 2..ORDERS {
            happens(t, number).await;
        }
        projected(&t.database).await;
        assert_eq!(t.quantities("main", "MUG").await, (100, 60, 40));
        is_as_rebuilt(&t.database).await;
        sellers_are_as_rebuilt(&t.database).await;
    });
}

#[test]
fn a_projection_that_fails_keeps_no_other_and_goes_on_once_it_can() {
    run(async |t| {
        t.place_paid("A-0").await;
        projected(&t.database).await;
        let before = positions(t).await;
        // A damaged row: the stock cannot read what the order holds.
        let damage = "UPDATE stock_orders SET holdings = REPLACE(holdings, 'PLANNED', 'PLANNED?') WHERE order_id = 'A-0'";
        assert_eq!(t.database.execute(damage, ()).await, 1);
        t.cancel("A-0").await;
        until("the quality of sellers goes on", async || {
            (positions(t).await.1 > before.1).then_some(())
        })
        .await;
        assert_eq!(positions(t).await.0, before.0, "it stands still");
        let mended = "UPDATE stock_orders SET holdings = REPLACE(holdings, 'PLANNED?', 'PLANNED')";
        t.database.execute(mended, ()).await;
        projected(&t.database).await;
        is_as_rebuilt(&t.database).await;
        sellers_are_as_rebuilt(&t.database).await;
    });
}

#[test]
fn a_position_that_another_has_moved_is_not_moved_again() {
    use belay_domain::projection::Projection;
    use belay_server::db::projection_positions::{self as positions, Move};
    use belay_server::db::{ErrorKind, pool};

    run(async |t| {
        t.place_paid("A-1").await;
        projected(&t.database).await;
        let mut conn = pool::connect(&t.database.url()).await.unwrap();
        let all = positions::all(&mut conn, Projection::Stock, 1)
            .await
            .unwrap();
        let (partition, at) = *all.iter().find(|(_, at)| *at > 0).unwrap();
        let step = |from, to| Move {
            partition,
            from,
            to,
        };
        let again = [step(at - 1, at)];
        let again = positions::advance(&mut conn, Projection::Stock, 1, &again).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::VersionConflict);
    });
}
