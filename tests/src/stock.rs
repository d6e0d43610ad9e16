//! The projection of stock, as the database has it.

use belay_client::model::{Stock, StockEntry, StockEntryKind};
use belay_domain::projection::Projection;
use belay_server::db::pool;
use belay_server::projections::{self, Rebuild};

use crate::database::Database;
use crate::{SHOP, TestServer, pages, until};

/// The generation that is read.
async fn serving(database: &Database) -> u32 {
    let sql = "SELECT serving FROM projections WHERE projection = 'stock'";
    let (serving,): (u32,) = database.row(sql, ()).await;
    serving
}

/// Waits until all projections hold the effect of all events that there are.
pub async fn projected(database: &Database) {
    let behind = "SELECT COUNT(*) FROM partition_heads h CROSS JOIN projections g \
        LEFT JOIN projection_positions p ON p.projection = g.projection AND p.generation = g.serving \
        AND p.shard_partition = h.shard_partition WHERE h.head > COALESCE(p.position, 0)";
    until("the projections are as far as the feed", async || {
        let (behind,): (u64,) = database.row(behind, ()).await;
        (behind == 0).then_some(())
    })
    .await;
}

/// All that the stock holds, a line each.
pub async fn rows(database: &Database) -> Vec<String> {
    let generation = serving(database).await;
    let mut rows = Vec::new();
    for (table, columns) in [
        (
            "stock_entries",
            "store_id, warehouse_id, sku, HEX(place), kind, quantity, on_hand, reserved, \
             COALESCE(previous, '-'), COALESCE(order_id, '-'), COALESCE(shipment, '-'), \
             COALESCE(cancellation, '-'), COALESCE(role, '-'), COALESCE(actor_id, '-')",
        ),
        (
            "stock_balances",
            "store_id, warehouse_id, sku, on_hand, reserved, is_archived, HEX(set_place), \
             HEX(told_place), HEX(last_place)",
        ),
        (
            "stock_orders",
            "HEX(order_key), store_id, order_id, COALESCE(seller_id, '-'), holdings",
        ),
        (
            "stock_holders",
            "store_id, warehouse_id, sku, HEX(order_key), shipment",
        ),
    ] {
        let sql = format!(
            "SELECT CONCAT_WS(' ', '{table}', {columns}) FROM {table} WHERE generation = ? ORDER BY 1"
        );
        let found: Vec<(String,)> = database.rows(&sql, (generation,)).await;
        rows.extend(found.into_iter().map(|(row,)| row));
    }
    rows
}

/// Puts what left the feed back into it, so that a rebuild can be compared with what followed.
/// Nothing is pruned meanwhile.
pub async fn put_back(database: &Database) {
    let events = "INSERT INTO events SELECT h.shard_partition, position, event_count, order_key, store_id, \
        order_version, event_time, payload, chain, erased_digest, erased_seal \
        FROM order_history h JOIN orders USING (order_key)";
    database.execute(events, ()).await;
    database.execute("DELETE FROM order_history", ()).await;
    let tails = "UPDATE partition_tails SET pruned = 0, expiring = 0";
    database.execute(tails, ()).await;
}

/// Begins a rebuild of the stock.
pub async fn begin_rebuild(database: &Database) -> Rebuild {
    let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
    let begun = projections::begin_rebuild(&mut conn, Projection::Stock).await;
    begun.expect("the database takes it")
}

/// Rebuilds the stock, to the end.
pub async fn rebuild(database: &Database) {
    let before = serving(database).await;
    assert_eq!(begin_rebuild(database).await, Rebuild::Begun);
    rebuilt(database, before).await;
}

/// Waits until another generation than this one is read, and nothing is left of others.
pub async fn rebuilt(database: &Database, before: u32) {
    until("the new generation serves", async || {
        let serving = serving(database).await;
        let left = "SELECT (SELECT COUNT(*) FROM stock_entries WHERE generation < ?) \
            + (SELECT COUNT(*) FROM stock_balances WHERE generation < ?) \
            + (SELECT COUNT(*) FROM stock_orders WHERE generation < ?) \
            + (SELECT COUNT(*) FROM stock_holders WHERE generation < ?)";
        let before_it = (serving, serving, serving, serving);
        let (left,): (i64,) = database.row(left, before_it).await;
        (serving > before && left == 0).then_some(())
    })
    .await;
}

/// The stock that follows the feed is the one that a rebuild makes of it. Nothing else happens
/// meanwhile.
pub async fn is_as_rebuilt(database: &Database) {
    projected(database).await;
    let live = rows(database).await;
    rebuild(database).await;
    let rebuilt = rows(database).await;
    assert_eq!(live, rebuilt);
    assert!(!live.is_empty(), "there is something to compare");
}

/// What counts of sellers is what a rebuild makes of the feed. Nothing else happens meanwhile.
pub async fn sellers_are_as_rebuilt(database: &Database) {
    let facts = async || {
        let sql = "SELECT CONCAT_WS(' ', HEX(order_key), kind, number, f.store_id, seller_id, order_id, \
            COALESCE(cancellation, '-'), fact_time) FROM seller_facts f \
            JOIN projections g ON g.projection = 'seller-quality' AND g.serving = f.generation ORDER BY 1";
        let rows: Vec<(String,)> = database.rows(sql, ()).await;
        rows
    };
    projected(database).await;
    let live = facts().await;
    let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
    let begun = projections::begin_rebuild(&mut conn, Projection::SellerQuality).await;
    assert_eq!(begun.expect("the database takes it"), Rebuild::Begun);
    until("the new generation serves", async || {
        let sql = "SELECT COUNT(*) FROM projections WHERE projection = 'seller-quality' AND building IS NULL";
        let (served,): (i64,) = database.row(sql, ()).await;
        (served == 1).then_some(())
    })
    .await;
    assert_eq!(facts().await, live);
    assert!(!live.is_empty(), "there is something to compare");
}

impl TestServer {
    /// The stock of a SKU in a warehouse of the shop, once all is heard of.
    pub async fn stock(&self, warehouse_id: &str, sku: &str) -> Stock {
        projected(&self.database).await;
        let stock = self.operator().get_stock(warehouse_id, sku).await;
        stock.unwrap_or_else(|error| panic!("stock of {sku}: {error}"))
    }

    /// What of it is on hand, reserved and available.
    pub async fn quantities(&self, warehouse_id: &str, sku: &str) -> (i64, i64, i64) {
        let stock = self.stock(warehouse_id, sku).await;
        (
            stock.on_hand_quantity,
            stock.reserved_quantity,
            stock.available_quantity,
        )
    }

    /// Its ledger, oldest first.
    pub async fn ledger(&self, warehouse_id: &str, sku: &str) -> Vec<StockEntry> {
        projected(&self.database).await;
        let store = self.store_as(SHOP, belay_client::Role::Operator, "ops");
        let entries = pages(async |token| {
            let list = store.list_stock_entries(warehouse_id, sku);
            list.page_size(2).page_token(token).await
        });
        let mut entries: Vec<StockEntry> = entries.await.into_iter().flatten().collect();
        entries.reverse();
        entries
    }

    /// What the ledger says: kind and quantity of each entry, oldest first.
    pub async fn told(&self, warehouse_id: &str, sku: &str) -> Vec<(StockEntryKind, i32)> {
        let ledger = self.ledger(warehouse_id, sku).await.into_iter();
        ledger.map(|entry| (entry.kind, entry.quantity)).collect()
    }
}
