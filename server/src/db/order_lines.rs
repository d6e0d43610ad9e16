//! The lines of orders. Read with its order; written by `aggregate` alone.

use std::collections::HashMap;

use belay_domain::ids::{OrderKey, Sku, StoreId};
use belay_domain::order::{Line, Order};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, At, Bytes, Name};
use super::error::DbError;
use super::schema::order_lines;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = order_lines, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct LineRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    number: u32,
    sku: Name<Sku>,
    title: String,
    quantity: u32,
    goods: i64,
    discount: i64,
    tax: i64,
    /// The order's, for the list by SKU; as is `create_time`.
    #[serde(skip)]
    store_id: Option<Name<StoreId>>,
    #[serde(skip)]
    create_time: Option<At>,
}

impl statement::Row for LineRow {
    fn bytes(&self) -> usize {
        256 + self.title.len()
    }
}

impl LineRow {
    pub(super) fn of(key: OrderKey, order: &Order, line: &Line) -> Self {
        Self {
            order_key: key.into(),
            number: line.number,
            sku: Name(line.sku.clone()),
            title: line.title.clone(),
            quantity: line.quantity,
            goods: line.goods,
            discount: line.discount,
            tax: line.tax,
            store_id: Some(Name(order.store.clone())),
            create_time: Some(At(order.create_time)),
        }
    }

    pub(super) fn into_line(self) -> Line {
        Line {
            number: self.number,
            sku: self.sku.0,
            title: self.title,
            quantity: self.quantity,
            goods: self.goods,
            discount: self.discount,
            tax: self.tax,
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<LineRow>, DbError> {
    Ok(rows_of_orders!(conn, order_lines, LineRow, keys))
}

/// What was bought with each of these orders.
pub async fn of_orders(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<HashMap<OrderKey, Vec<Line>>, DbError> {
    let mut lines: HashMap<OrderKey, Vec<Line>> = HashMap::new();
    for row in read(conn, keys).await? {
        let order = lines.entry(row.order_key.into()).or_default();
        order.push(row.into_line());
    }
    Ok(lines)
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<LineRow>) -> Result<(), DbError> {
    change_rows!(writes, order_lines, rows, [order_key, number] => [sku, title, quantity, goods, discount, tax]);
    Ok(())
}
