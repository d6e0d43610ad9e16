//! Queries of stock, each of the generation of the projection that serves.

use belay_domain::ids::{OrderKey, Sku, StoreId, WarehouseId};
use belay_domain::projection::Projection;
use belay_domain::scope::{IdFilter, Scope};
use belay_domain::stock::{EntryPlace, OpenHolding, Stock, StockKey, StoredEntry};
use belay_domain::store::Warehouse;

use crate::App;
use crate::db::snapshot::Snapshot;
use crate::db::{
    DbError, StoreRecord as _, projections, stock_balances, stock_entries, stock_holders,
};

pub(crate) use crate::db::stock_balances::StockQuery;

/// A moment of the projection, and the generation to read.
async fn begin(app: &App) -> Result<(Snapshot, u32), DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    match projections::get(&mut conn, Projection::Stock).await {
        Ok(generations) => Ok((conn, generations.serving)),
        Err(error) => conn.end(Err(error)).await,
    }
}

/// Whether the store has this warehouse and the caller sees it.
pub(crate) async fn sees_warehouse(
    app: &App,
    scope: &Scope,
    store: &StoreId,
    warehouse: &WarehouseId,
) -> Result<bool, DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let found = Warehouse::get(&mut conn, store, warehouse).await;
    let found = conn.end(found).await?;
    Ok(found.is_some() && scope.warehouses.contains(warehouse))
}

pub(crate) async fn get(app: &App, key: StockKey) -> Result<Stock, DbError> {
    let (mut conn, generation) = begin(app).await?;
    let read = stock_balances::get(&mut conn, generation, &key).await;
    let stock = conn.end(read).await?;
    Ok(stock.unwrap_or_else(|| Stock::unknown(key)))
}

pub(crate) async fn list(
    app: &App,
    query: &StockQuery,
    after: Option<(WarehouseId, Sku)>,
    limit: u16,
) -> Result<Vec<Stock>, DbError> {
    let (mut conn, generation) = begin(app).await?;
    let read = stock_balances::list(&mut conn, generation, query, after, limit).await;
    conn.end(read).await
}

/// The ledger of a SKU before a place, the last entry first.
pub(crate) async fn entries(
    app: &App,
    key: &StockKey,
    before: Option<EntryPlace>,
    limit: u16,
) -> Result<Vec<StoredEntry>, DbError> {
    let (mut conn, generation) = begin(app).await?;
    let read = stock_entries::list(&mut conn, generation, key, before, limit).await;
    conn.end(read).await
}

/// Whether holders are seen. Holdings do not say who carries them: who sees some carriers only sees
/// none.
pub(crate) fn sees_holders(scope: &Scope) -> bool {
    scope.carriers == IdFilter::All
}

/// The open shipments that hold a SKU, behind a place; for who [`sees_holders`].
pub(crate) async fn holders(
    app: &App,
    scope: &Scope,
    key: &StockKey,
    after: Option<(OrderKey, u32)>,
    limit: u16,
) -> Result<Vec<OpenHolding>, DbError> {
    let (mut conn, generation) = begin(app).await?;
    let of = (key, &scope.sellers);
    let read = stock_holders::list(&mut conn, generation, of, after, limit).await;
    conn.end(read).await
}
