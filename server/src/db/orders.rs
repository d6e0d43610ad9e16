//! The orders' own rows: the lock of each aggregate, its version, and where the lists begin.
//!
//! `lock` belongs into the engine's writing transaction; the rest may run anywhere, and outside of
//! a transaction `free_of` locks nothing for longer than it takes.
//! Rows are written by `aggregate` alone.

mod annotations;
mod due;
mod find;
mod list;
mod lock;
mod row;
mod write;

use std::collections::HashMap;

use belay_domain::ids::OrderKey;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::Bytes;
use super::error::DbError;
use super::schema::orders;
use super::statement::{KEYS_MAX, one_of, rows_of_orders};

pub(super) use self::annotations::StoredAnnotations;
pub use self::due::{DueOrder, due};
pub use self::find::has_more_ids;
pub use self::list::{BulkQuery, LOOKED_THROUGH_MAX, Selected, ids, select};
pub(super) use self::lock::read_timed;
pub use self::lock::{LockedOrder, OnLocked, free_of, lock};
pub(super) use self::row::OrderRow;
pub(super) use self::write::write;

/// Which of these orders exist.
pub async fn existing(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<OrderKey>, DbError> {
    let mut found: Vec<OrderKey> = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_MAX) {
        let query = orders::table
            .filter(one_of(orders::order_key, keys))
            .select(orders::order_key);
        let rows: Vec<Bytes<16>> = query.load(conn).await?;
        found.extend(rows.into_iter().map(OrderKey::from));
    }
    Ok(found)
}

/// The versions of those of these orders that exist. No document and no other table is looked at.
pub async fn versions(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<HashMap<OrderKey, u64>, DbError> {
    let query = orders::table
        .filter(one_of(orders::order_key, keys))
        .select((orders::order_key, orders::version));
    let rows: Vec<(Bytes<16>, u64)> = query.load(conn).await?;
    let version = |(key, version): (Bytes<16>, u64)| (key.into(), version);
    Ok(rows.into_iter().map(version).collect())
}

/// The counts of an order's lines, payments, shipments, cancellations, refunds, incidents and
/// notes.
type Counts = (u32, u32, u32, u32, u32, u32, u32);

/// How many records each of these orders is made of, as [`Order::records`] says.
///
/// [`Order::records`]: belay_domain::order::Order::records
pub async fn records(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<HashMap<OrderKey, usize>, DbError> {
    let mut found = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_MAX) {
        let query = orders::table
            .filter(one_of(orders::order_key, keys))
            .select((
                orders::order_key,
                (
                    orders::line_count,
                    orders::payment_count,
                    orders::shipment_count,
                    orders::cancellation_count,
                    orders::refund_count,
                    orders::incident_count,
                    orders::note_count,
                ),
            ));
        let rows: Vec<(Bytes<16>, Counts)> = query.load(conn).await?;
        found.extend(rows.into_iter().map(|(key, counts)| {
            let (lines, payments, shipments, cancellations, refunds, incidents, notes) = counts;
            let counts = [
                lines,
                payments,
                shipments,
                cancellations,
                refunds,
                incidents,
                notes,
            ];
            let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
            (OrderKey::from(key), counts.into_iter().map(count).sum())
        }));
    }
    Ok(found)
}

/// The rows as they are, without a lock.
pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<OrderRow>, DbError> {
    Ok(rows_of_orders!(conn, orders, OrderRow, keys))
}
