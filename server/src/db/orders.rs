//! The orders' own rows: the lock of each aggregate, its version, and where the lists begin.
//!
//! `lock` and `free_of` belong into the engine's writing transaction; the rest may run anywhere.
//! Rows are written by `aggregate` alone.

use std::ops::Range;

use belay_domain::ids::{BuyerId, OrderId, OrderKey, SellerId, StoreId};
use belay_domain::money::Currency;
use belay_domain::order::{Buyer, Destination, Order, OrderState};
use belay_domain::query::{OrderFilter, Place};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Bool, Datetime, Integer, Nullable, Text, Unsigned};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::pages::{Filter, ListQuery, Listed, PageQuery};
use super::schema::orders;
use super::statement::{self, KEYS_MAX, SysDate, insert_rows, one_of, push_keys, rows_of_orders};

/// Most changes that one UPDATE carries; 17 placeholders each.
const CHANGES_MAX: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = orders, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct OrderRow {
    pub(super) order_key: Bytes<16>,
    pub(super) store_id: Name<StoreId>,
    pub(super) order_id: Name<OrderId>,
    pub(super) shard_partition: u16,
    pub(super) version: u64,
    pub(super) state: Name<OrderState>,
    pub(super) buyer_id: Name<BuyerId>,
    pub(super) buyer_email_hash: Option<Bytes<32>>,
    pub(super) buyer_username_hash: Option<Bytes<32>>,
    pub(super) seller_id: Name<SellerId>,
    pub(super) country_code: String,
    pub(super) region: String,
    pub(super) city: String,
    pub(super) currency: Name<Currency>,
    pub(super) shipping: i64,
    pub(super) shipping_tax: i64,
    pub(super) policy_version: u32,
    pub(super) create_time: At,
    pub(super) update_time: At,
    pub(super) pay_by: At,
    pub(super) pay_by_moved: bool,
    pub(super) paid_time: Option<At>,
    pub(super) create_fingerprint: Bytes<32>,
    pub(super) next_due: Option<At>,
    pub(super) line_count: u32,
    pub(super) payment_count: u32,
    pub(super) shipment_count: u32,
    pub(super) cancellation_count: u32,
    pub(super) refund_count: u32,
    pub(super) incident_count: u32,
    pub(super) verified_at: Option<At>,
    pub(super) lapse_time: Option<At>,
}

impl statement::Row for OrderRow {
    fn bytes(&self) -> usize {
        512 + self.region.len() + self.city.len()
    }
}

impl OrderRow {
    pub(super) fn of(order: &Order, partition: u16) -> Result<Self, DbError> {
        let count = |children: usize| {
            u32::try_from(children)
                .map_err(|_| DbError::Corrupt(format!("{:?}: {children} children", order.key())))
        };
        Ok(Self {
            order_key: order.key().into(),
            store_id: Name(order.store.clone()),
            order_id: Name(order.id.clone()),
            shard_partition: partition,
            version: order.version,
            state: Name(order.state),
            buyer_id: Name(order.buyer.id.clone()),
            buyer_email_hash: order.buyer.email_hash.map(Bytes),
            buyer_username_hash: order.buyer.username_hash.map(Bytes),
            seller_id: Name(order.seller.clone()),
            country_code: order.destination.country_code.clone(),
            region: order.destination.region.clone(),
            city: order.destination.city.clone(),
            currency: Name(order.currency),
            shipping: order.shipping,
            shipping_tax: order.shipping_tax,
            policy_version: order.policy_version,
            create_time: At(order.create_time),
            update_time: At(order.update_time),
            pay_by: At(order.pay_by),
            pay_by_moved: order.pay_by_moved,
            paid_time: order.paid_time.map(At),
            create_fingerprint: Bytes(order.create_fingerprint),
            next_due: order.next_due().map(At),
            line_count: count(order.lines.len())?,
            payment_count: count(order.payments.len())?,
            shipment_count: count(order.shipments.len())?,
            cancellation_count: count(order.cancellations.len())?,
            refund_count: count(order.refunds.len())?,
            incident_count: count(order.incidents.len())?,
            verified_at: order.verified_at.map(At),
            lapse_time: order.lapse_time.map(At),
        })
    }

    pub(super) fn key(&self) -> OrderKey {
        self.order_key.into()
    }

    /// The order without what its child tables hold.
    pub(super) fn into_order(self) -> Result<Order, DbError> {
        let order = Order {
            store: self.store_id.0,
            id: self.order_id.0,
            version: self.version,
            state: self.state.0,
            buyer: Buyer {
                id: self.buyer_id.0,
                email_hash: self.buyer_email_hash.map(|hash| hash.0),
                username_hash: self.buyer_username_hash.map(|hash| hash.0),
            },
            seller: self.seller_id.0,
            destination: Destination {
                country_code: self.country_code,
                region: self.region,
                city: self.city,
            },
            currency: self.currency.0,
            shipping: self.shipping,
            shipping_tax: self.shipping_tax,
            policy_version: self.policy_version,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            pay_by: self.pay_by.0,
            pay_by_moved: self.pay_by_moved,
            paid_time: self.paid_time.map(|time| time.0),
            lapse_time: self.lapse_time.map(|time| time.0),
            verified_at: self.verified_at.map(|time| time.0),
            create_fingerprint: self.create_fingerprint.0,
            lines: Vec::new(),
            payments: Vec::new(),
            shipments: Vec::new(),
            cancellations: Vec::new(),
            refunds: Vec::new(),
            incidents: Vec::new(),
        };
        // Two orders whose ids hash alike would share one row; none have ever been met.
        if OrderKey::from(self.order_key) == order.key() {
            Ok(order)
        } else {
            Err(DbError::Corrupt(format!(
                "{:?} is the key of another order than {}/{}",
                self.order_key, order.store, order.id
            )))
        }
    }

    /// Whether `after` differs only where an order may change.
    fn may_become(&self, after: &OrderRow) -> bool {
        let as_before = OrderRow {
            version: self.version,
            state: self.state,
            update_time: self.update_time,
            pay_by: self.pay_by,
            pay_by_moved: self.pay_by_moved,
            paid_time: self.paid_time,
            next_due: self.next_due,
            line_count: self.line_count,
            payment_count: self.payment_count,
            shipment_count: self.shipment_count,
            cancellation_count: self.cancellation_count,
            refund_count: self.refund_count,
            incident_count: self.incident_count,
            verified_at: self.verified_at,
            lapse_time: self.lapse_time,
            ..after.clone()
        };
        *self == as_before
    }
}

/// An order's row, locked until the transaction ends.
#[derive(Debug, Clone)]
pub struct LockedOrder {
    pub order_key: OrderKey,
    pub partition: u16,
    /// The database's time right after the row was locked: not before the commit of whoever held
    /// it. It needs no further round trip.
    pub locked_at: Timestamp,
    pub(super) row: OrderRow,
}

/// The treatment of a row that another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLocked {
    /// Fail the statement with kind `RowLocked`. Rows that it locked before stay locked until
    /// ROLLBACK.
    Fail,
    /// Wait for as long as the session waits for locks, then fail with kind `LockWait`.
    Wait,
}

/// Locks these orders in the order of their keys, which must be sorted: all who lock several take
/// them in one order. What does not exist is left out.
pub async fn lock(
    conn: &mut Conn,
    keys: &[OrderKey],
    on_locked: OnLocked,
) -> Result<Vec<LockedOrder>, DbError> {
    debug_assert!(keys.is_sorted(), "locks are taken in one order");
    let mut locked = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_MAX) {
        let rows: Vec<(OrderRow, At)> = LockOrders { keys, on_locked }.load(conn).await?;
        locked.extend(rows.into_iter().map(|(row, at)| LockedOrder {
            order_key: row.key(),
            partition: row.shard_partition,
            locked_at: at.0,
            row,
        }));
    }
    Ok(locked)
}

/// `SELECT … FOR UPDATE` by primary key. The index is forced: on a small table the optimizer would
/// rather scan it all and so meet the locks of orders that it was not asked for.
#[derive(Debug, Clone, Copy)]
struct LockOrders<'a> {
    keys: &'a [OrderKey],
    on_locked: OnLocked,
}

impl Query for LockOrders<'_> {
    type SqlType = (orders::SqlType, Datetime);
}

impl QueryId for LockOrders<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for LockOrders<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("SELECT ");
        orders::all_columns.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        SysDate.walk_ast(out.reborrow())?;
        out.push_sql(" FROM `orders` FORCE INDEX (PRIMARY) WHERE `orders`.`order_key`");
        push_keys(&mut out, self.keys)?;
        out.push_sql(match self.on_locked {
            OnLocked::Fail => " FOR UPDATE NOWAIT",
            OnLocked::Wait => " FOR UPDATE",
        });
        Ok(())
    }
}

/// Which of these orders nobody has locked at this moment: advice, to be asked after the ROLLBACK
/// of a batch that met a locked row. Inside a transaction the orders found free are locked.
pub async fn free_of(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<OrderKey>, DbError> {
    let mut free: Vec<OrderKey> = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_MAX) {
        let query = orders::table
            .filter(one_of(orders::order_key, keys))
            .select(orders::order_key);
        let rows: Vec<Bytes<16>> = query.for_update().skip_locked().load(conn).await?;
        free.extend(rows.into_iter().map(OrderKey::from));
    }
    Ok(free)
}

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

/// The rows as they are, without a lock.
pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<OrderRow>, DbError> {
    Ok(rows_of_orders!(conn, orders, OrderRow, keys))
}

pub(super) async fn insert(conn: &mut Conn, rows: &[OrderRow]) -> Result<(), DbError> {
    insert_rows!(conn, orders, rows);
    Ok(())
}

/// Writes what may change of these orders, each only if it is still at the version it was loaded
/// with.
pub(super) async fn update(
    conn: &mut Conn,
    changes: &[(OrderRow, OrderRow)],
) -> Result<(), DbError> {
    if let Some((before, _)) = changes
        .iter()
        .find(|(before, after)| !before.may_become(after))
    {
        return Err(DbError::Corrupt(format!(
            "{:?}: what never changes about an order has changed",
            before.key()
        )));
    }
    for changes in changes.chunks(CHANGES_MAX) {
        let matched = UpdateOrders { changes }.execute(conn).await?;
        DbError::unless_all_matched(matched, changes.len())?;
    }
    Ok(())
}

/// One UPDATE for many orders: a join with the list of changes.
///
/// The list comes first and the primary key is forced, so that no more rows are locked than are
/// changed. It is filled up to a power of two with changes of version 0, which no order has, so
/// that the statement stays prepared.
#[derive(Debug, Clone, Copy)]
struct UpdateOrders<'a> {
    changes: &'a [(OrderRow, OrderRow)],
}

impl QueryId for UpdateOrders<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// A column that may change.
struct Changing {
    name: &'static str,
    /// What a list's row must be cast to: in a UNION the server would else guess.
    cast: &'static str,
    bind: for<'a, 'b> fn(&mut AstPass<'a, 'b, Mysql>, &'b OrderRow) -> QueryResult<()>,
}

const CHANGING: [Changing; 15] = [
    Changing {
        name: "version",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Unsigned<BigInt>, _>(&row.version),
    },
    Changing {
        name: "state",
        cast: "CHAR(32) CHARACTER SET ascii",
        bind: |out, row| out.push_bind_param::<Text, _>(&row.state),
    },
    Changing {
        name: "update_time",
        cast: "DATETIME(6)",
        bind: |out, row| out.push_bind_param::<Datetime, _>(&row.update_time),
    },
    Changing {
        name: "pay_by",
        cast: "DATETIME(6)",
        bind: |out, row| out.push_bind_param::<Datetime, _>(&row.pay_by),
    },
    Changing {
        name: "pay_by_moved",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Bool, _>(&row.pay_by_moved),
    },
    Changing {
        name: "paid_time",
        cast: "DATETIME(6)",
        bind: |out, row| out.push_bind_param::<Nullable<Datetime>, _>(&row.paid_time),
    },
    Changing {
        name: "next_due",
        cast: "DATETIME(6)",
        bind: |out, row| out.push_bind_param::<Nullable<Datetime>, _>(&row.next_due),
    },
    Changing {
        name: "line_count",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Unsigned<Integer>, _>(&row.line_count),
    },
    Changing {
        name: "payment_count",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Unsigned<Integer>, _>(&row.payment_count),
    },
    Changing {
        name: "shipment_count",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Unsigned<Integer>, _>(&row.shipment_count),
    },
    Changing {
        name: "cancellation_count",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Unsigned<Integer>, _>(&row.cancellation_count),
    },
    Changing {
        name: "refund_count",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Unsigned<Integer>, _>(&row.refund_count),
    },
    Changing {
        name: "incident_count",
        cast: "UNSIGNED",
        bind: |out, row| out.push_bind_param::<Unsigned<Integer>, _>(&row.incident_count),
    },
    Changing {
        name: "verified_at",
        cast: "DATETIME(6)",
        bind: |out, row| out.push_bind_param::<Nullable<Datetime>, _>(&row.verified_at),
    },
    Changing {
        name: "lapse_time",
        cast: "DATETIME(6)",
        bind: |out, row| out.push_bind_param::<Nullable<Datetime>, _>(&row.lapse_time),
    },
];

const NO_VERSION: u64 = 0;

impl UpdateOrders<'_> {
    fn walk_one<'b>(
        before: &'b OrderRow,
        after: &'b OrderRow,
        mut out: AstPass<'_, 'b, Mysql>,
    ) -> QueryResult<()> {
        out.push_sql("UPDATE `orders` SET ");
        for (column, changing) in CHANGING.iter().enumerate() {
            out.push_sql(if column == 0 { "" } else { ", " });
            out.push_identifier(changing.name)?;
            out.push_sql(" = ");
            (changing.bind)(&mut out, after)?;
        }
        out.push_sql(" WHERE `order_key` = ");
        out.push_bind_param::<Binary, _>(&before.order_key)?;
        out.push_sql(" AND `version` = ");
        out.push_bind_param::<Unsigned<BigInt>, _>(&before.version)
    }
}

impl QueryFragment<Mysql> for UpdateOrders<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        if let [(before, after)] = self.changes {
            return Self::walk_one(before, after, out);
        }
        for index in 0..self.changes.len().next_power_of_two() {
            let filling = index >= self.changes.len();
            let (before, after) = &self.changes[index.min(self.changes.len() - 1)];
            out.push_sql(if index == 0 {
                "UPDATE (SELECT CAST("
            } else {
                " UNION ALL SELECT CAST("
            });
            out.push_bind_param::<Binary, _>(&before.order_key)?;
            out.push_sql(" AS BINARY(16)) AS `order_key`, CAST(");
            out.push_bind_param::<Unsigned<BigInt>, _>(if filling {
                &NO_VERSION
            } else {
                &before.version
            })?;
            out.push_sql(" AS UNSIGNED) AS `loaded_version`");
            for changing in &CHANGING {
                out.push_sql(", CAST(");
                (changing.bind)(&mut out, after)?;
                out.push_sql(" AS ");
                out.push_sql(changing.cast);
                out.push_sql(") AS ");
                out.push_identifier(changing.name)?;
            }
        }
        out.push_sql(
            ") AS `changes` STRAIGHT_JOIN `orders` FORCE INDEX (PRIMARY) \
             ON `orders`.`order_key` = `changes`.`order_key` AND `orders`.`version` = `changes`.`loaded_version` SET ",
        );
        for (column, changing) in CHANGING.iter().enumerate() {
            out.push_sql(if column == 0 {
                "`orders`."
            } else {
                ", `orders`."
            });
            out.push_identifier(changing.name)?;
            out.push_sql(" = `changes`.");
            out.push_identifier(changing.name)?;
        }
        Ok(())
    }
}

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

impl ListQuery for OrderFilter {
    /// A buyer, a SKU, a seller, a destination: the first of these that is given leads to the page,
    /// with the state where there is an index for both, and the others filter. A time range cuts
    /// out of any of them.
    fn page(&self, after: Option<Place>, limit: u16) -> PageQuery {
        let mut filters = vec![Filter::eq("store_id", self.store.as_str())];
        // Not behind what was created at this instant with the least key.
        let before = self.create_time_before.map(|time| Place {
            create_time: time,
            order_key: OrderKey([0; 16]),
            number: 0,
        });
        let position = |place: &Place| (place.create_time, place.order_key);
        let after = before.into_iter().chain(after).min_by_key(position);
        filters.extend(
            self.create_time_from
                .map(|from| Filter::new("`create_time` >= ?", from)),
        );
        if let (None, Some(sku)) = (&self.buyer, &self.sku) {
            filters.push(Filter::eq("sku", sku.as_str()));
            let rest = columns(self);
            if !rest.is_empty() {
                filters.push(Filter::any(
                    "`orders` WHERE `orders`.`order_key` = `order_lines`.`order_key`",
                    rest,
                ));
            }
            let lines = Listed::Mentions {
                table: "order_lines",
                number: None,
            };
            return PageQuery::by_index(lines, "order_lines_by_sku", filters)
                .within(&self.scope)
                .after(after, limit);
        }
        filters.extend(columns(self));
        if let Some(sku) = &self.sku {
            let line = "`order_lines` WHERE `order_lines`.`order_key` = `orders`.`order_key`";
            filters.push(Filter::any(line, vec![Filter::eq("sku", sku.as_str())]));
        }
        PageQuery::by_index(Listed::Orders, index(self), filters)
            .within(&self.scope)
            .after(after, limit)
    }
}

/// What columns of the order itself must be.
fn columns(filter: &OrderFilter) -> Vec<Filter> {
    let columns = [
        Filter::given("buyer_id", &filter.buyer),
        Filter::given("seller_id", &filter.seller),
        filter.state.map(|state| Filter::eq("state", state.name())),
        Filter::given("country_code", &filter.country),
        Filter::given("city", &filter.city),
    ];
    columns.into_iter().flatten().collect()
}

fn index(filter: &OrderFilter) -> &'static str {
    match (&filter.buyer, &filter.seller, &filter.country, filter.state) {
        (Some(_), _, _, None) => "orders_by_buyer",
        (Some(_), _, _, Some(_)) => "orders_by_buyer_state",
        (None, Some(_), _, None) => "orders_by_seller",
        (None, Some(_), _, Some(_)) => "orders_by_seller_state",
        (None, None, Some(_), _) if filter.city.is_some() => "orders_by_city",
        (None, None, Some(_), _) => "orders_by_country",
        (None, None, None, Some(_)) => "orders_by_state",
        (None, None, None, None) => "orders_by_time",
    }
}

#[cfg(test)]
mod tests {
    use diesel::mysql::MysqlQueryBuilder;
    use diesel::query_builder::QueryBuilder;

    use super::*;

    /// The text of a statement.
    fn sql(fragment: &impl QueryFragment<Mysql>) -> String {
        let mut builder = MysqlQueryBuilder::new();
        fragment.to_sql(&mut builder, &Mysql).unwrap();
        builder.finish()
    }

    #[test]
    fn a_lock_names_its_index_and_says_how_to_wait() {
        let keys = [OrderKey([1; 16]), OrderKey([2; 16]), OrderKey([3; 16])];
        let lock = sql(&LockOrders {
            keys: &keys,
            on_locked: OnLocked::Fail,
        });
        let end = "FROM `orders` FORCE INDEX (PRIMARY) WHERE `orders`.`order_key` IN (?, ?, ?, ?) FOR UPDATE NOWAIT";
        assert!(lock.ends_with(end), "{lock}");
        let lock = sql(&LockOrders {
            keys: &keys[..1],
            on_locked: OnLocked::Wait,
        });
        assert!(
            lock.ends_with("WHERE `orders`.`order_key` = ? FOR UPDATE"),
            "{lock}"
        );
    }
}
