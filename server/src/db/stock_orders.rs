//! What stock keeps of each order: a row with the holdings of its shipments. `load` and `write` run
//! in the transaction of a projection, which alone writes them.
//!
//! A row an order, and no index beside its key: what becomes of an order is written by one UPDATE
//! of one column. Who waits for a SKU is a table of its own (`stock_holders`), for the open
//! holdings alone.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::ids::{OrderId, OrderKey, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::shipment::Stage;
use belay_domain::stock::{Holding, OrderHoldings};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{Bytes, Json, Name};
use super::error::DbError;
use super::schema::stock_orders;
use super::statement::{self, KEYS_MAX};
use super::writes::{Changed, Writes, change_rows};

/// The order to which holdings belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub store: StoreId,
    pub order: OrderId,
    pub seller: Option<SellerId>,
}

/// The holdings of an order after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedHoldings {
    pub holder: Holder,
    /// As they are in the table; None of an order that is not there yet.
    pub before: Option<OrderHoldings>,
    pub after: OrderHoldings,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = stock_orders, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct StockOrderRow {
    generation: u32,
    order_key: Bytes<16>,
    store_id: Name<StoreId>,
    order_id: Name<OrderId>,
    seller_id: Option<Name<SellerId>>,
    holdings: Json<StoredHoldings>,
}

impl statement::Row for StockOrderRow {
    fn bytes(&self) -> usize {
        let holdings = self.holdings.0.0.iter();
        // Twice as long where it is not plain, and so written in hex.
        let bytes = holdings.map(|StoredHolding(_, sku, warehouse, .., zeroed_by)| {
            let ids = sku.as_str().len() + warehouse.as_str().len();
            2 * (96 + 2 * ids + 11 * zeroed_by.len())
        });
        512 + bytes.sum::<usize>()
    }
}

/// Holdings as the column has them: a list, by shipment and SKU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct StoredHoldings(Vec<StoredHolding>);

/// A list as well: the names of its values would be most of the text, which is parsed, logged and
/// written with each change. The shipment, the SKU, the warehouse and the stage; units, those that
/// are live and those that are reserved; and where there are any, the cancellations that have
/// zeroed the stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredHolding(
    u32,
    Sku,
    WarehouseId,
    Stage,
    u32,
    u32,
    u32,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")] BTreeSet<u32>,
);

impl From<&OrderHoldings> for StoredHoldings {
    fn from(holdings: &OrderHoldings) -> Self {
        let stored = holdings.0.iter().map(|((shipment, sku), holding)| {
            let Holding {
                warehouse,
                stage,
                units,
                live,
                reserved,
                zeroed_by,
            } = holding.clone();
            let sku = sku.clone();
            StoredHolding(
                *shipment, sku, warehouse, stage, units, live, reserved, zeroed_by,
            )
        });
        Self(stored.collect())
    }
}

impl From<StoredHoldings> for OrderHoldings {
    fn from(stored: StoredHoldings) -> Self {
        Self(stored.0.into_iter().map(StoredHolding::placed).collect())
    }
}

impl StoredHolding {
    /// The shipment and the SKU, and what is held.
    fn placed(self) -> ((u32, Sku), Holding) {
        let Self(shipment, sku, warehouse, stage, units, live, reserved, zeroed_by) = self;
        let holding = Holding {
            warehouse,
            stage,
            units,
            live,
            reserved,
            zeroed_by,
        };
        ((shipment, sku), holding)
    }
}

impl StoredHoldings {
    /// The holding of a SKU in a shipment.
    pub(super) fn of(self, shipment: u32, sku: &Sku) -> Option<Holding> {
        let mut holdings = self.0.into_iter().map(StoredHolding::placed);
        let found = holdings.find(|((number, of), _)| *number == shipment && of == sku);
        found.map(|(_, holding)| holding)
    }
}

/// What these orders hold. Those of which nothing is kept are left out.
pub async fn load(
    conn: &mut Conn,
    generation: u32,
    orders: &BTreeSet<OrderKey>,
) -> Result<BTreeMap<OrderKey, OrderHoldings>, DbError> {
    let mut found = BTreeMap::new();
    let keys: Vec<OrderKey> = orders.iter().copied().collect();
    for keys in keys.chunks(KEYS_MAX) {
        let rows: Vec<(Bytes<16>, Json<StoredHoldings>)> = stock_orders::table
            .filter(stock_orders::generation.eq(generation))
            .filter(statement::one_of(stock_orders::order_key, keys))
            .select((stock_orders::order_key, stock_orders::holdings))
            .load(conn)
            .await?;
        let rows = rows.into_iter();
        found.extend(rows.map(|(key, holdings)| (key.into(), holdings.0.into())));
    }
    Ok(found)
}

/// Writes holdings, in the transaction that has read them.
pub fn write(
    writes: &mut Writes,
    generation: u32,
    changed: &[ChangedHoldings],
) -> Result<(), DbError> {
    let row = |holder: &Holder, holdings: &OrderHoldings| StockOrderRow {
        generation,
        order_key: OrderKey::of(&holder.store, &holder.order).into(),
        store_id: Name(holder.store.clone()),
        order_id: Name(holder.order.clone()),
        seller_id: holder.seller.clone().map(Name),
        holdings: Json(holdings.into()),
    };
    let mut rows = Changed::default();
    for ChangedHoldings {
        holder,
        before,
        after,
    } in changed
    {
        let before = before.as_ref().map(|before| row(holder, before));
        rows.push(before, row(holder, after));
    }
    change_rows!(writes, stock_orders, rows, [generation, order_key] => [holdings]);
    Ok(())
}

/// Deletes so many orders of generations before this one; says how many.
pub async fn delete_before(conn: &mut Conn, generation: u32, limit: u32) -> Result<usize, DbError> {
    statement::delete_generations(conn, "stock_orders", generation, limit).await
}
