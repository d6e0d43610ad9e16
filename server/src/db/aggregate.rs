//! Whole orders: put together from their documents or their tables, and what changed of them
//! written back to both.
//!
//! `load_children` runs inside the engine's transaction and under the lock of the orders' rows, and
//! so do the statements of `insert` and `update`. `read` runs inside a snapshot: the tables of an
//! order are read one after the other and must all be of one moment.

mod changes;
mod document;
mod rows;

use std::collections::HashMap;

use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use jiff::Timestamp;

use self::changes::Changes;
use self::rows::Rows;
use super::Conn;
use super::error::DbError;
use super::orders::{self, LockedOrder, OrderRow};
use super::statement::KEYS_MAX;
use super::writes::{Changed, Writes};

pub use self::document::DOCUMENT_BYTES_MAX;

/// The orders whose rows are locked, whole.
pub async fn load_children(
    conn: &mut Conn,
    locked: Vec<LockedOrder>,
) -> Result<HashMap<OrderKey, Order>, DbError> {
    assemble(conn, locked.into_iter().map(|order| order.row).collect()).await
}

/// These orders as they are now, whole; what does not exist is left out.
pub async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<HashMap<OrderKey, Order>, DbError> {
    let rows = orders::read(conn, keys).await?;
    assemble(conn, rows).await
}

/// These orders by one statement, which sees one moment by itself, and the database's time: outside
/// any transaction. None where one is not there or has no document; then `read` finds out.
pub async fn read_at_once(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<Option<(HashMap<OrderKey, Order>, Timestamp)>, DbError> {
    if keys.len() > KEYS_MAX {
        return Ok(None);
    }
    let rows = orders::read_timed(conn, keys).await?;
    let now = rows.iter().map(|(_, at)| at.0).max();
    let Some(now) = now.filter(|_| rows.len() == keys.len()) else {
        return Ok(None);
    };
    let mut orders = HashMap::with_capacity(rows.len());
    for (mut row, _) in rows {
        let Some(children) = document::take(&mut row) else {
            return Ok(None);
        };
        orders.insert(row.key(), children.into_order(row)?);
    }
    Ok(Some((orders, now)))
}

/// Writes new orders into these partitions. An order that exists already makes the statements fail
/// with kind `Duplicate`; nothing tells which one it was.
pub fn insert(writes: &mut Writes, new: &[(&Order, u16)]) -> Result<(), DbError> {
    let mut rows = Changed::default();
    let mut children = Changes::default();
    for (order, partition) in new {
        rows.push(None, written(order, *partition)?);
        children.add(None, order)?;
    }
    orders::write(writes, &rows)?;
    children.write(writes)
}

/// Writes what differs between `before`, as it was loaded, and `after`. An order that is no longer
/// at the version of `before` makes the statements fail with kind `VersionConflict`.
pub fn update(writes: &mut Writes, changed: &[(&Order, &Order)]) -> Result<(), DbError> {
    // The partition is not among what may change.
    const ANY: u16 = 0;
    let mut rows = Changed::default();
    let mut children = Changes::default();
    for (before, after) in changed {
        let before_row = OrderRow {
            // Whatever it is: it is written anew, or taken away.
            document: Some(Vec::new()),
            ..OrderRow::of(before, ANY)?
        };
        rows.push(Some(before_row), written(after, ANY)?);
        children.add(Some(before), after)?;
    }
    orders::write(writes, &rows)?;
    children.write(writes)
}

/// Those of these orders whose document is not what their tables say. For those who check: whoever
/// loads an order believes the document.
pub async fn contradicted(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<OrderKey>, DbError> {
    let rows = orders::read(conn, keys).await?;
    let mut found = Rows::read(conn, &rows).await?;
    let mut contradicted = Vec::new();
    for mut row in rows {
        let key = row.key();
        let Some(said) = document::take(&mut row) else {
            continue;
        };
        let held = found.remove(&row.order_key).unwrap_or_default();
        if said.into_order(row.clone())? != held.into_order(row)? {
            contradicted.push(key);
        }
    }
    Ok(contradicted)
}

/// The row of an order with its document.
fn written(order: &Order, partition: u16) -> Result<OrderRow, DbError> {
    Ok(OrderRow {
        document: document::of(order)?,
        ..OrderRow::of(order, partition)?
    })
}

/// By their documents; the tables are read for those that have none.
async fn assemble(
    conn: &mut Conn,
    rows: Vec<OrderRow>,
) -> Result<HashMap<OrderKey, Order>, DbError> {
    let mut orders = HashMap::with_capacity(rows.len());
    let mut others = Vec::new();
    for mut row in rows {
        match document::take(&mut row) {
            Some(children) => {
                orders.insert(row.key(), children.into_order(row)?);
            }
            None => others.push(row),
        }
    }
    if !others.is_empty() {
        let mut found = Rows::read(conn, &others).await?;
        for row in others {
            let children = found.remove(&row.order_key).unwrap_or_default();
            orders.insert(row.key(), children.into_order(row)?);
        }
    }
    Ok(orders)
}
