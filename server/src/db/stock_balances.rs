//! The balance of each SKU in the ledger of stock. `lock` and `write` run in a transaction, the
//! reads anywhere.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::ids::{Sku, StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::stock::{EntryPlace, Stock, StockBalance, StockKey};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{Bytes, Name};
use super::error::DbError;
use super::schema::stock_balances;
use super::statement::{self, Upsert, upsert_rows};
use super::writes::Writes;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = stock_balances, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct BalanceRow {
    generation: u32,
    store_id: Name<StoreId>,
    warehouse_id: Name<WarehouseId>,
    sku: Name<Sku>,
    on_hand: i64,
    reserved: i64,
    is_archived: bool,
    set_place: Bytes<20>,
    told_place: Bytes<20>,
    last_place: Bytes<20>,
}

impl statement::Row for BalanceRow {
    fn bytes(&self) -> usize {
        512
    }
}

fn row(generation: u32, stock: &Stock) -> BalanceRow {
    let StockKey {
        store,
        warehouse,
        sku,
    } = stock.key.clone();
    BalanceRow {
        generation,
        store_id: Name(store),
        warehouse_id: Name(warehouse),
        sku: Name(sku),
        on_hand: stock.balance.on_hand,
        reserved: stock.balance.reserved,
        is_archived: stock.balance.is_archived,
        set_place: Bytes(stock.set_place.0),
        told_place: Bytes(stock.told_place.0),
        last_place: Bytes(stock.last_place.0),
    }
}

impl From<BalanceRow> for Stock {
    fn from(row: BalanceRow) -> Self {
        Self {
            key: StockKey {
                store: row.store_id.0,
                warehouse: row.warehouse_id.0,
                sku: row.sku.0,
            },
            balance: StockBalance {
                on_hand: row.on_hand,
                reserved: row.reserved,
                is_archived: row.is_archived,
            },
            set_place: EntryPlace(row.set_place.0),
            told_place: EntryPlace(row.told_place.0),
            last_place: EntryPlace(row.last_place.0),
        }
    }
}

/// Locks the balances of these keys until the transaction ends, in the order of the keys. Those
/// that are not there yet are made.
pub async fn lock(
    conn: &mut Conn,
    generation: u32,
    keys: &BTreeSet<StockKey>,
) -> Result<BTreeMap<StockKey, Stock>, DbError> {
    let mut locked = lock_present(conn, generation, keys).await?;
    let missing: BTreeSet<StockKey> = keys
        .iter()
        .filter(|key| !locked.contains_key(key))
        .cloned()
        .collect();
    if !missing.is_empty() {
        let rows: Vec<BalanceRow> = missing
            .iter()
            .map(|key| row(generation, &Stock::unknown(key.clone())))
            .collect();
        // Of one that somebody makes at the same time nothing is overwritten.
        upsert_rows!(conn, stock_balances, rows.as_slice(), [generation]);
        locked.extend(lock_present(conn, generation, &missing).await?);
    }
    Ok(locked)
}

async fn lock_present(
    conn: &mut Conn,
    generation: u32,
    keys: &BTreeSet<StockKey>,
) -> Result<BTreeMap<StockKey, Stock>, DbError> {
    let mut of_warehouses: BTreeMap<(&StoreId, &WarehouseId), Vec<&str>> = BTreeMap::new();
    for key in keys {
        let of_warehouse = of_warehouses.entry((&key.store, &key.warehouse));
        of_warehouse.or_default().push(key.sku.as_str());
    }
    let mut locked = BTreeMap::new();
    for ((store, warehouse), skus) in of_warehouses {
        let query = stock_balances::table
            .filter(stock_balances::generation.eq(generation))
            .filter(stock_balances::store_id.eq(store.as_str()))
            .filter(stock_balances::warehouse_id.eq(warehouse.as_str()))
            .filter(stock_balances::sku.eq_any(skus))
            .order(stock_balances::sku)
            .select(BalanceRow::as_select())
            .for_update();
        let rows: Vec<BalanceRow> = query.load(conn).await?;
        let stocks = rows.into_iter().map(Stock::from);
        locked.extend(stocks.map(|stock| (stock.key.clone(), stock)));
    }
    Ok(locked)
}

/// Writes balances that are locked.
pub fn write(
    writes: &mut Writes,
    generation: u32,
    stocks: &BTreeMap<StockKey, Stock>,
) -> Result<(), DbError> {
    let stocks = stocks.values();
    let rows: Vec<BalanceRow> = stocks.map(|stock| row(generation, stock)).collect();
    for rows in statement::chunks(&rows) {
        let upsert = Upsert {
            insert: diesel::insert_into(stock_balances::table).values(rows),
            columns: &[
                "on_hand",
                "reserved",
                "is_archived",
                "set_place",
                "told_place",
                "last_place",
            ],
        };
        writes.upsert("stock_balances", &upsert)?;
    }
    Ok(())
}

pub async fn get(
    conn: &mut Conn,
    generation: u32,
    key: &StockKey,
) -> Result<Option<Stock>, DbError> {
    let query = stock_balances::table
        .filter(stock_balances::generation.eq(generation))
        .filter(stock_balances::store_id.eq(key.store.as_str()))
        .filter(stock_balances::warehouse_id.eq(key.warehouse.as_str()))
        .filter(stock_balances::sku.eq(key.sku.as_str()))
        .select(BalanceRow::as_select());
    let row: Option<BalanceRow> = query.first(conn).await.optional()?;
    Ok(row.map(Stock::from))
}

/// The filter of the stock that a caller lists.
#[derive(Debug, Clone)]
pub struct StockQuery {
    pub store: StoreId,
    /// One that was asked for.
    pub warehouse: Option<WarehouseId>,
    /// Those that the caller sees.
    pub warehouses: IdFilter<WarehouseId>,
    pub with_archived: bool,
}

/// So many behind a place, by warehouse and SKU.
pub async fn list(
    conn: &mut Conn,
    generation: u32,
    asked: &StockQuery,
    after: Option<(WarehouseId, Sku)>,
    limit: u16,
) -> Result<Vec<Stock>, DbError> {
    let mut query = stock_balances::table
        .filter(stock_balances::generation.eq(generation))
        .filter(stock_balances::store_id.eq(asked.store.as_str()))
        .order((stock_balances::warehouse_id, stock_balances::sku))
        .limit(limit.into())
        .select(BalanceRow::as_select())
        .into_boxed();
    if let Some(warehouse) = &asked.warehouse {
        query = query.filter(stock_balances::warehouse_id.eq(warehouse.as_str()));
    }
    if let IdFilter::Only(warehouses) = &asked.warehouses {
        let seen = warehouses.iter().map(WarehouseId::as_str);
        query = query.filter(stock_balances::warehouse_id.eq_any(seen));
    }
    if !asked.with_archived {
        query = query.filter(stock_balances::is_archived.eq(false));
    }
    if let Some((warehouse, sku)) = after {
        let of_warehouse = stock_balances::warehouse_id.eq(warehouse.to_string());
        query = query.filter(
            stock_balances::warehouse_id
                .gt(warehouse.to_string())
                .or(of_warehouse.and(stock_balances::sku.gt(sku.to_string()))),
        );
    }
    let rows: Vec<BalanceRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(Stock::from).collect())
}

/// Deletes so many balances of generations before this one; says how many.
pub async fn delete_before(conn: &mut Conn, generation: u32, limit: u32) -> Result<usize, DbError> {
    statement::delete_generations(conn, "stock_balances", generation, limit).await
}
