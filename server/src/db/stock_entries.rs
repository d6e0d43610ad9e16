//! The ledger of stock. The reads may run anywhere; the writes run in a transaction that has locked
//! the balances of their SKUs.

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::{OrderId, Sku, StoreId, WarehouseId};
use belay_domain::stock::{Entry, EntryKind, EntryPlace, Source, StockKey, StoredEntry};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Text, Unsigned};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{Bytes, Name};
use super::error::DbError;
use super::schema::stock_entries;
use super::statement;
use super::writes::Writes;

/// An entry that says how much it is, and what lay there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StockMark {
    pub place: EntryPlace,
    pub previous: i64,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = stock_entries, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct EntryRow {
    generation: u32,
    store_id: Name<StoreId>,
    warehouse_id: Name<WarehouseId>,
    sku: Name<Sku>,
    place: Bytes<20>,
    kind: Name<EntryKind>,
    quantity: u32,
    on_hand: i64,
    reserved: i64,
    previous: Option<i64>,
    order_id: Option<Name<OrderId>>,
    shipment: Option<u32>,
    cancellation: Option<u32>,
    role: Option<Name<Role>>,
    actor_id: Option<String>,
}

impl statement::Row for EntryRow {
    fn bytes(&self) -> usize {
        768
    }
}

impl EntryRow {
    fn new(generation: u32, stored: &StoredEntry) -> Self {
        let entry = &stored.entry;
        let (order, shipment, cancellation, actor) = match &entry.source {
            Source::Shipment {
                order,
                number,
                cancellation,
            } => (Some(order.clone()), Some(*number), *cancellation, None),
            Source::Told(actor) => (None, None, None, Some(actor.clone())),
        };
        let (role, actor_id) = actor.map(|actor| (Name(actor.role), actor.id)).unzip();
        Self {
            generation,
            store_id: Name(entry.key.store.clone()),
            warehouse_id: Name(entry.key.warehouse.clone()),
            sku: Name(entry.key.sku.clone()),
            place: Bytes(entry.place.0),
            kind: Name(entry.kind),
            quantity: entry.quantity,
            on_hand: entry.on_hand,
            reserved: entry.reserved,
            previous: stored.previous,
            order_id: order.map(Name),
            shipment,
            cancellation,
            role,
            actor_id,
        }
    }
}

impl TryFrom<EntryRow> for StoredEntry {
    type Error = DbError;

    fn try_from(row: EntryRow) -> Result<Self, DbError> {
        let source = match (row.order_id, row.shipment, row.role, row.actor_id) {
            (Some(order), Some(number), None, None) => Source::Shipment {
                order: order.0,
                number,
                cancellation: row.cancellation,
            },
            (None, None, Some(role), Some(id)) => Source::Told(Actor::new(role.0, id)),
            _ => {
                return Err(DbError::Corrupt(
                    "an entry of stock has no source".to_owned(),
                ));
            }
        };
        Ok(Self {
            entry: Entry {
                key: StockKey {
                    store: row.store_id.0,
                    warehouse: row.warehouse_id.0,
                    sku: row.sku.0,
                },
                place: EntryPlace(row.place.0),
                kind: row.kind.0,
                quantity: row.quantity,
                on_hand: row.on_hand,
                reserved: row.reserved,
                source,
            },
            previous: row.previous,
        })
    }
}

/// The entries of one SKU in one generation.
macro_rules! of_sku {
    ($generation:expr, $key:expr) => {
        stock_entries::table
            .filter(stock_entries::generation.eq($generation))
            .filter(stock_entries::store_id.eq($key.store.as_str()))
            .filter(stock_entries::warehouse_id.eq($key.warehouse.as_str()))
            .filter(stock_entries::sku.eq($key.sku.as_str()))
    };
}

pub fn write(writes: &mut Writes, generation: u32, entries: &[StoredEntry]) -> Result<(), DbError> {
    let entries = entries.iter();
    let rows: Vec<EntryRow> = entries
        .map(|stored| EntryRow::new(generation, stored))
        .collect();
    for rows in statement::chunks(&rows) {
        let rows = diesel::insert_into(stock_entries::table).values(rows);
        writes.insert("stock_entries", &rows)?;
    }
    Ok(())
}

/// Whether a SKU has an entry at this place.
pub async fn exists(
    conn: &mut Conn,
    generation: u32,
    key: &StockKey,
    place: EntryPlace,
) -> Result<bool, DbError> {
    let found = of_sku!(generation, key)
        .filter(stock_entries::place.eq(Bytes(place.0)))
        .select(stock_entries::generation);
    let found: Option<u32> = found.first(conn).await.optional()?;
    Ok(found.is_some())
}

/// The first mark of a SKU behind this place.
pub async fn mark_after(
    conn: &mut Conn,
    generation: u32,
    key: &StockKey,
    place: EntryPlace,
) -> Result<Option<StockMark>, DbError> {
    let query = of_sku!(generation, key)
        .filter(stock_entries::place.gt(Bytes(place.0)))
        .filter(stock_entries::previous.is_not_null())
        .order(stock_entries::place)
        .select((stock_entries::place, stock_entries::previous));
    let row: Option<(Bytes<20>, Option<i64>)> = query.first(conn).await.optional()?;
    Ok(row.map(|(place, previous)| StockMark {
        place: EntryPlace(place.0),
        previous: previous.unwrap_or_default(),
    }))
}

#[derive(Debug, QueryableByName)]
struct Sum {
    #[diesel(sql_type = BigInt)]
    sum: i64,
}

/// What the entries of a SKU behind a place add to what lies there, up to another place.
pub async fn sum_between(
    conn: &mut Conn,
    generation: u32,
    key: &StockKey,
    (after, before): (EntryPlace, Option<EntryPlace>),
) -> Result<i64, DbError> {
    let end = before.map_or([u8::MAX; 20], |place| place.0);
    // A SUM of BIGINT is a DECIMAL.
    let sum: Sum = diesel::sql_query(
        "SELECT CAST(COALESCE(SUM(`on_hand`), 0) AS SIGNED) AS `sum` FROM `stock_entries` \
         WHERE `generation` = ? AND `store_id` = ? AND `warehouse_id` = ? AND `sku` = ? \
         AND `place` > ? AND `place` < ?",
    )
    .bind::<Unsigned<Integer>, _>(generation)
    .bind::<Text, _>(key.store.as_str())
    .bind::<Text, _>(key.warehouse.as_str())
    .bind::<Text, _>(key.sku.as_str())
    .bind::<Binary, _>(after.0.as_slice())
    .bind::<Binary, _>(end.as_slice())
    .get_result(conn)
    .await?;
    Ok(sum.sum)
}

/// Writes what lay there before a mark.
pub async fn set_previous(
    conn: &mut Conn,
    generation: u32,
    key: &StockKey,
    mark: StockMark,
) -> Result<(), DbError> {
    let stored = of_sku!(generation, key).filter(stock_entries::place.eq(Bytes(mark.place.0)));
    let matched = diesel::update(stored)
        .set(stock_entries::previous.eq(Some(mark.previous)))
        .execute(conn)
        .await?;
    DbError::unless_all_matched(matched, 1)
}

/// So many entries of a SKU before a place, the last first.
pub async fn list(
    conn: &mut Conn,
    generation: u32,
    key: &StockKey,
    before: Option<EntryPlace>,
    limit: u16,
) -> Result<Vec<StoredEntry>, DbError> {
    let before = before.map_or([u8::MAX; 20], |place| place.0);
    let query = of_sku!(generation, key)
        .filter(stock_entries::place.lt(Bytes(before)))
        .order(stock_entries::place.desc())
        .limit(limit.into())
        .select(EntryRow::as_select());
    let rows: Vec<EntryRow> = query.load(conn).await?;
    rows.into_iter().map(StoredEntry::try_from).collect()
}

/// Deletes so many entries of generations before this one; says how many.
pub async fn delete_before(conn: &mut Conn, generation: u32, limit: u32) -> Result<usize, DbError> {
    statement::delete_generations(conn, "stock_entries", generation, limit).await
}
