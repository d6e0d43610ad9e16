//! The orders with a deadline that has come, for the worker that settles them.

use std::ops::Range;

use belay_domain::ids::{OrderId, OrderKey, StoreId};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use crate::db::Conn;
use crate::db::columns::{At, Bytes, Name};
use crate::db::error::DbError;
use crate::db::schema::orders;

/// An order with a deadline that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueOrder {
    pub partition: u16,
    pub next_due: Timestamp,
    pub order_key: OrderKey,
    pub store: StoreId,
    pub order: OrderId,
}

/// The orders of these partitions with a deadline at or before `now`, by partition and deadline;
/// after the last one of the page before. A plain read: it takes no lock and promises nothing.
pub async fn due(
    conn: &mut Conn,
    partitions: Range<u16>,
    now: Timestamp,
    after: Option<&DueOrder>,
    limit: u16,
) -> Result<Vec<DueOrder>, DbError> {
    type Found = (u16, Option<At>, Bytes<16>, Name<StoreId>, Name<OrderId>);
    // Partitions are listed, not compared: only so does each give a range of its own in the index,
    // and orders whose deadline is far off are not looked at.
    let of_partitions = |partitions: Range<u16>| {
        let listed = orders::shard_partition.eq_any(partitions.collect::<Vec<u16>>());
        listed.and(orders::next_due.le(At(now)).assume_not_null())
    };
    let query = orders::table.into_boxed();
    let query = match after {
        None => query.filter(of_partitions(partitions)),
        Some(last) => {
            let not_before = orders::next_due
                .ge(At(last.next_due))
                .and(orders::next_due.le(At(now)));
            let same = orders::shard_partition
                .eq(last.partition)
                .and(not_before.assume_not_null());
            let later = orders::next_due.gt(At(last.next_due)).assume_not_null();
            let later = later.or(orders::order_key.gt(Bytes::from(last.order_key)));
            let rest = of_partitions(last.partition.saturating_add(1)..partitions.end);
            query.filter(same.and(later).or(rest))
        }
    };
    let rows: Vec<Found> = query
        .order((orders::shard_partition, orders::next_due, orders::order_key))
        .limit(limit.into())
        .select((
            orders::shard_partition,
            orders::next_due,
            orders::order_key,
            orders::store_id,
            orders::order_id,
        ))
        .load(conn)
        .await?;
    let due = rows
        .into_iter()
        .filter_map(|(partition, next_due, key, store, order)| {
            Some(DueOrder {
                partition,
                next_due: next_due?.0,
                order_key: key.into(),
                store: store.0,
                order: order.0,
            })
        });
    Ok(due.collect())
}
