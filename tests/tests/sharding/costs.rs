//! What an order costs the database through its life: rows, entries of indexes, bytes of tables and
//! of the binary log. `docs/scale.md` reckons with these figures, so it is held to them.

use std::collections::BTreeMap;

use belay_client::model::{RefundResult, TrackingFact};
use belay_tests::server::run_at_on_own_mysqld;
use belay_tests::{TestServer, until};
use futures_util::StreamExt as _;
use futures_util::stream;

use crate::tidy::read_to_string;

/// Orders that are measured: enough that pages which are half full come to little.
const ORDERS: u32 = 600;
/// At once, so that batches are as under load.
const CALLERS: usize = 64;
/// By how many percent bytes may be off: pages split where keys happen to fall.
const OFF_PERCENT: u64 = 15;
/// Transactions whose old rows may still be there when tables are measured.
const UNPURGED_MAX: u64 = 50;

/// The cost of one order: what it leaves.
struct Cost {
    /// Rows by their tables.
    rows: BTreeMap<String, u64>,
    /// Entries of all indexes, primary keys included.
    entries: u64,
    table_bytes: u64,
    log_bytes: u64,
}

async fn log_bytes(t: &TestServer) -> u64 {
    let logs: Vec<mysql_async::Row> = t.database.rows("SHOW BINARY LOGS", ()).await;
    let sizes = logs.iter().map(|log| log.get::<u64, _>(1).expect("a size"));
    sizes.sum()
}

/// Rows of each table, entries of all indexes, and bytes of both.
async fn tables(t: &TestServer) -> (BTreeMap<String, u64>, u64, u64) {
    let query = "SELECT table_name, CAST(COUNT(DISTINCT index_name) AS UNSIGNED) FROM information_schema.statistics \
        WHERE table_schema = DATABASE() GROUP BY table_name";
    let indexes: Vec<(String, u64)> = t.database.rows(query, ()).await;
    let (mut rows, mut entries) = (BTreeMap::new(), 0);
    for (table, indexes) in indexes {
        let count = format!("SELECT COUNT(*) FROM `{table}`");
        let (count,): (u64,) = t.database.row(&count, ()).await;
        let analyze = format!("ANALYZE TABLE `{table}`");
        let _: Vec<mysql_async::Row> = t.database.rows(&analyze, ()).await;
        entries += count * indexes;
        rows.insert(table, count);
    }
    let pages = "SELECT CAST(SUM(stat_value) * @@innodb_page_size AS UNSIGNED) FROM mysql.innodb_index_stats \
        WHERE database_name = DATABASE() AND stat_name = 'size'";
    let (bytes,): (u64,) = t.database.row(pages, ()).await;
    (rows, entries, bytes)
}

async fn measure(t: &TestServer, live: impl AsyncFn(&[String])) -> Cost {
    // Tables that stay small have some pages whatever is in them.
    let (rows, entries, bytes) = tables(t).await;
    let log = log_bytes(t).await;
    let ids: Vec<String> = (0..ORDERS).map(|at| format!("A-{at}")).collect();
    live(&ids).await;
    until("the projections have followed", async || {
        let behind = "SELECT COUNT(*) FROM projection_positions p JOIN partition_heads h USING (shard_partition) \
            WHERE p.position < h.head";
        let (behind,): (u64,) = t.database.row(behind, ()).await;
        (behind == 0).then_some(())
    })
    .await;
    let log = log_bytes(t).await - log;
    // On a busy machine much of what was updated or deleted is still there by now.
    until("the database has purged", async || {
        let unpurged = "SELECT CAST(`count` AS UNSIGNED) FROM information_schema.innodb_metrics \
            WHERE name = 'trx_rseg_history_len'";
        let (unpurged,): (u64,) = t.database.row(unpurged, ()).await;
        (unpurged <= UNPURGED_MAX).then_some(())
    })
    .await;
    let (after, entries_after, bytes_after) = tables(t).await;
    let each = u64::from(ORDERS);
    let rows = after.into_iter().filter_map(|(table, count)| {
        let added = count - rows.get(&table).copied().unwrap_or(0);
        let added = (added + each / 2) / each;
        (added > 0).then_some((table, added))
    });
    Cost {
        rows: rows.collect(),
        entries: (entries_after - entries + each / 2) / each,
        table_bytes: (bytes_after - bytes) / each,
        log_bytes: log / each,
    }
}

async fn crowd(ids: &[String], live: impl AsyncFn(&String)) {
    stream::iter(ids)
        .for_each_concurrent(CALLERS, async |id| live(id).await)
        .await;
}

/// Holds a row of the page's table to what was measured: rows and entries as they are, bytes
/// nearly.
fn hold(name: &str, cost: &Cost) {
    let rows: u64 = cost.rows.values().sum();
    let measured = format!(
        "| {name} | {rows} | {} | {} | {} |",
        cost.entries, cost.table_bytes, cost.log_bytes
    );
    eprintln!("{measured}\n{:?}", cost.rows);
    let page = read_to_string("docs/scale.md");
    let line = page
        .lines()
        .find(|line| line.starts_with(&format!("| {name} |")));
    let line = line.unwrap_or_else(|| panic!("docs/scale.md has no {measured}"));
    let cells = line
        .split('|')
        .skip(2)
        .map(str::trim)
        .filter(|cell| !cell.is_empty());
    let told: Vec<u64> = cells
        .map(|cell| cell.replace(',', "").parse().expect("a number"))
        .collect();
    let [told_rows, told_entries, told_table, told_log] = told[..] else {
        panic!("{line} has other columns");
    };
    assert_eq!(
        (told_rows, told_entries),
        (rows, cost.entries),
        "{measured}"
    );
    for (told, found) in [(told_table, cost.table_bytes), (told_log, cost.log_bytes)] {
        let off = told.abs_diff(found) * 100 / found;
        assert!(off <= OFF_PERCENT, "{line} is off by {off} %: {measured}");
    }
}

#[test]
fn an_order_that_is_delivered_costs_what_the_page_says() {
    run_at_on_own_mysqld(&[], super::MONDAY, async |t| {
        let live = async |id: &String| {
            t.place_paid(id).await;
            let shipment = format!("{id}:s1");
            t.prepare(&shipment).await;
            t.mark_ready(&shipment).await;
            t.ship(&shipment).await;
            t.scan(&shipment, TrackingFact::Delivered).await;
        };
        let cost = measure(t, async |ids| crowd(ids, live).await).await;
        hold("delivered", &cost);
    });
}

#[test]
fn an_order_that_is_cancelled_and_refunded_costs_what_the_page_says() {
    run_at_on_own_mysqld(&[], super::MONDAY, async |t| {
        let live = async |id: &String| {
            t.place_paid(id).await;
            t.cancel(id).await;
        };
        let cost = measure(t, async |ids| {
            crowd(ids, live).await;
            // By one worker: several that ask at once find each other's, and their requests are
            // kept.
            for _ in ids {
                let refund = t.claim("worker").await.expect("each has a refund");
                let told = t
                    .payments()
                    .record_refund_result(&refund.refund_id, RefundResult::Settled)
                    .provider_refund_id(format!("re-{}", refund.refund_id));
                told.await.expect("the refund is known");
            }
        })
        .await;
        hold("cancelled and refunded", &cost);
    });
}
