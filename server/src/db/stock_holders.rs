//! The open holdings: which shipments wait for a SKU. `write` runs in the transaction of a
//! projection, which alone writes them; the list anywhere.
//!
//! A row is there for as long as its holding is open, and says no more than where it is: all else
//! is in the order's row in `stock_orders`.

use std::collections::BTreeSet;

use belay_domain::ids::{OrderId, OrderKey, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::stock::{OpenHolding, StockKey};
use diesel::QueryableByName;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Integer, Text, Unsigned};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt as _;

use super::Conn;
use super::columns::{Bytes, Json, Name};
use super::error::DbError;
use super::schema::stock_holders;
use super::statement;
use super::stock_orders::StoredHoldings;
use super::writes::{CHANGES_MAX, Writes};

const TABLE: &str = "stock_holders";
const KEY: &[&str] = &[
    "generation",
    "store_id",
    "warehouse_id",
    "sku",
    "order_key",
    "shipment",
];

/// The place of an open holding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenPlace {
    pub key: StockKey,
    pub order_key: OrderKey,
    pub shipment: u32,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = stock_holders, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct HolderRow {
    generation: u32,
    store_id: Name<StoreId>,
    warehouse_id: Name<WarehouseId>,
    sku: Name<Sku>,
    order_key: Bytes<16>,
    shipment: u32,
}

impl statement::Row for HolderRow {
    fn bytes(&self) -> usize {
        512
    }
}

fn rows(generation: u32, places: &BTreeSet<OpenPlace>) -> Vec<HolderRow> {
    let row = |place: &OpenPlace| HolderRow {
        generation,
        store_id: Name(place.key.store.clone()),
        warehouse_id: Name(place.key.warehouse.clone()),
        sku: Name(place.key.sku.clone()),
        order_key: place.order_key.into(),
        shipment: place.shipment,
    };
    places.iter().map(row).collect()
}

/// Takes out the holdings that are no longer open, and puts in those that are now.
pub fn write(
    writes: &mut Writes,
    generation: u32,
    closed: &BTreeSet<OpenPlace>,
    opened: &BTreeSet<OpenPlace>,
) -> Result<(), DbError> {
    for rows in rows(generation, closed).chunks(CHANGES_MAX) {
        let rows = diesel::insert_into(stock_holders::table).values(rows);
        writes.delete(TABLE, KEY, &rows)?;
    }
    for rows in statement::chunks(&rows(generation, opened)) {
        let rows = diesel::insert_into(stock_holders::table).values(rows);
        writes.insert(TABLE, &rows)?;
    }
    Ok(())
}

/// An open holding, with all that its order holds.
#[derive(Debug, QueryableByName)]
struct OpenRow {
    #[diesel(sql_type = Binary)]
    order_key: Bytes<16>,
    #[diesel(sql_type = Unsigned<Integer>)]
    shipment: u32,
    #[diesel(sql_type = Text)]
    order_id: Name<OrderId>,
    #[diesel(sql_type = Text)]
    holdings: Json<StoredHoldings>,
}

impl OpenRow {
    fn open(self, sku: &Sku) -> Result<OpenHolding, DbError> {
        let (shipment, order) = (self.shipment, self.order_id.0);
        let found = self.holdings.0.of(shipment, sku);
        let holding = found.ok_or_else(|| {
            DbError::Corrupt(format!(
                "shipment {shipment} of {order} is said to hold {sku}"
            ))
        })?;
        Ok(OpenHolding {
            order_key: self.order_key.into(),
            order,
            shipment,
            holding,
        })
    }
}

/// So many open holdings of a SKU behind a place, of these sellers' orders.
pub async fn list(
    conn: &mut Conn,
    generation: u32,
    (key, sellers): (&StockKey, &IdFilter<SellerId>),
    after: Option<(OrderKey, u32)>,
    limit: u16,
) -> Result<Vec<OpenHolding>, DbError> {
    // The optimizer would rather begin with the orders where there are few of them, and sort.
    const LIST: &str = "SELECT `h`.`order_key`, `h`.`shipment`, `o`.`order_id`, `o`.`holdings` \
        FROM `stock_holders` AS `h` FORCE INDEX (PRIMARY) \
        STRAIGHT_JOIN `stock_orders` AS `o` FORCE INDEX (PRIMARY) \
        ON `o`.`generation` = `h`.`generation` AND `o`.`order_key` = `h`.`order_key` \
        WHERE `h`.`generation` = ? AND `h`.`store_id` = ? AND `h`.`warehouse_id` = ? AND `h`.`sku` = ?";
    let mut query = diesel::sql_query(LIST)
        .into_boxed::<Mysql>()
        .bind::<Unsigned<Integer>, _>(generation)
        .bind::<Text, _>(key.store.as_str())
        .bind::<Text, _>(key.warehouse.as_str())
        .bind::<Text, _>(key.sku.as_str());
    if let Some((order_key, shipment)) = after {
        query = query
            .sql(" AND (`h`.`order_key` > ? OR (`h`.`order_key` = ? AND `h`.`shipment` > ?))")
            .bind::<Binary, _>(Bytes::from(order_key))
            .bind::<Binary, _>(Bytes::from(order_key))
            .bind::<Unsigned<Integer>, _>(shipment);
    }
    if let IdFilter::Only(sellers) = sellers {
        let marks = vec!["?"; sellers.len()].join(", ");
        if marks.is_empty() {
            return Ok(Vec::new());
        }
        query = query.sql(format!(" AND `o`.`seller_id` IN ({marks})"));
        for seller in sellers {
            query = query.bind::<Text, _>(seller.as_str());
        }
    }
    let order = format!(" ORDER BY `h`.`order_key`, `h`.`shipment` LIMIT {limit}");
    let query = query.sql(order);
    // An order's holdings may be long: those of one row at a time are in memory. What is left of
    // the answer has to be read whatever is found in a row.
    let mut found = Ok(Vec::new());
    let mut rows = query.load_stream::<OpenRow>(conn).await?;
    while let Some(row) = rows.try_next().await? {
        found = found.and_then(|mut found: Vec<OpenHolding>| {
            found.push(row.open(&key.sku)?);
            Ok(found)
        });
    }
    drop(rows);
    found
}

/// Deletes so many open holdings of generations before this one; says how many.
pub async fn delete_before(conn: &mut Conn, generation: u32, limit: u32) -> Result<usize, DbError> {
    statement::delete_generations(conn, TABLE, generation, limit).await
}
