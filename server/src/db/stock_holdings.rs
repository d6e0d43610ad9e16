//! The quantity of each SKU that shipments hold. `load` and `put` run in the transaction of a
//! projection, which alone writes them; the list anywhere.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::ids::{OrderId, OrderKey, SellerId, Sku, StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::shipment::Stage;
use belay_domain::stock::{Holding, OpenHolding, OrderHoldings, StockKey};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::address::PerMessage;
use super::columns::{Bytes, Json, Name};
use super::error::DbError;
use super::schema::stock_holdings;
use super::statement::{self, KEYS_MAX};
use super::writes::{Changed, Writes, change_rows};

/// The holder of holdings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub store: StoreId,
    pub order: OrderId,
    pub seller: Option<SellerId>,
}

/// A holding with what it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub holder: Holder,
    /// The shipment and the SKU.
    pub place: (u32, Sku),
    pub holding: Holding,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = stock_holdings, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct HoldingRow {
    generation: u32,
    order_key: Bytes<16>,
    shipment: u32,
    sku: Name<Sku>,
    store_id: Name<StoreId>,
    order_id: Name<OrderId>,
    seller_id: Option<Name<SellerId>>,
    warehouse_id: Name<WarehouseId>,
    stage: Name<Stage>,
    units: u32,
    live: u32,
    reserved: u32,
    is_open: bool,
    zeroed_by: Json<BTreeSet<u32>>,
}

impl statement::Row for HoldingRow {
    fn bytes(&self) -> usize {
        768
    }
}

impl HoldingRow {
    fn holding(self) -> Holding {
        Holding {
            warehouse: self.warehouse_id.0,
            stage: self.stage.0,
            units: self.units,
            live: self.live,
            reserved: self.reserved,
            zeroed_by: self.zeroed_by.0,
        }
    }
}

/// What these orders hold.
pub async fn load(
    conn: &mut Conn,
    generation: u32,
    orders: &BTreeSet<OrderKey>,
) -> Result<BTreeMap<OrderKey, OrderHoldings>, DbError> {
    let mut found: BTreeMap<OrderKey, OrderHoldings> = BTreeMap::new();
    let keys: Vec<OrderKey> = orders.iter().copied().collect();
    for keys in keys.chunks(KEYS_MAX) {
        let rows: Vec<HoldingRow> = stock_holdings::table
            .filter(stock_holdings::generation.eq(generation))
            .filter(statement::one_of(stock_holdings::order_key, keys))
            .select(HoldingRow::as_select())
            .load(conn)
            .await?;
        for row in rows {
            let place = (row.shipment, row.sku.0.clone());
            let of_order = found.entry(row.order_key.into()).or_default();
            of_order.0.insert(place, row.holding());
        }
    }
    Ok(found)
}

/// Writes holdings, each with what it was where it is there already.
pub async fn put(
    conn: &mut Conn,
    per_message: PerMessage,
    generation: u32,
    holdings: &[(Option<Holding>, Held)],
) -> Result<(), DbError> {
    let row = |held: &Held, holding: &Holding| {
        let (shipment, sku) = held.place.clone();
        let holder = &held.holder;
        HoldingRow {
            generation,
            order_key: OrderKey::of(&holder.store, &holder.order).into(),
            shipment,
            sku: Name(sku),
            store_id: Name(holder.store.clone()),
            order_id: Name(holder.order.clone()),
            seller_id: holder.seller.clone().map(Name),
            warehouse_id: Name(holding.warehouse.clone()),
            stage: Name(holding.stage),
            units: holding.units,
            live: holding.live,
            reserved: holding.reserved,
            is_open: holding.is_open(),
            zeroed_by: Json(holding.zeroed_by.clone()),
        }
    };
    let mut rows = Changed::default();
    for (before, held) in holdings {
        let before = before.as_ref().map(|before| row(held, before));
        rows.push(before, row(held, &held.holding));
    }
    let mut writes = Writes::default();
    change_rows!(
        writes, stock_holdings, rows,
        [generation, order_key, shipment, sku] => [stage, units, live, reserved, is_open, zeroed_by]
    );
    writes.send(conn, per_message).await
}

/// So many open holdings of a SKU behind a place, of these sellers' orders.
pub async fn list_open(
    conn: &mut Conn,
    generation: u32,
    (key, sellers): (&StockKey, &IdFilter<SellerId>),
    after: Option<(OrderKey, u32)>,
    limit: u16,
) -> Result<Vec<OpenHolding>, DbError> {
    let mut query = stock_holdings::table
        .filter(stock_holdings::generation.eq(generation))
        .filter(stock_holdings::store_id.eq(key.store.as_str()))
        .filter(stock_holdings::warehouse_id.eq(key.warehouse.as_str()))
        .filter(stock_holdings::sku.eq(key.sku.as_str()))
        .filter(stock_holdings::is_open.eq(true))
        .order((stock_holdings::order_key, stock_holdings::shipment))
        .limit(limit.into())
        .select(HoldingRow::as_select())
        .into_boxed();
    if let IdFilter::Only(sellers) = sellers {
        let sellers = sellers.iter().map(|seller| Name(seller.clone()));
        query = query.filter(stock_holdings::seller_id.eq_any(sellers));
    }
    if let Some((order_key, shipment)) = after {
        let order_key = Bytes::from(order_key);
        query = query.filter(
            stock_holdings::order_key
                .gt(order_key)
                .or(stock_holdings::order_key
                    .eq(order_key)
                    .and(stock_holdings::shipment.gt(shipment))),
        );
    }
    let rows: Vec<HoldingRow> = query.load(conn).await?;
    let open = |row: HoldingRow| OpenHolding {
        order_key: row.order_key.into(),
        order: row.order_id.0.clone(),
        shipment: row.shipment,
        holding: row.holding(),
    };
    Ok(rows.into_iter().map(open).collect())
}

/// Deletes so many holdings of generations before this one; says how many.
pub async fn delete_before(conn: &mut Conn, generation: u32, limit: u32) -> Result<usize, DbError> {
    statement::delete_generations(conn, "stock_holdings", generation, limit).await
}
