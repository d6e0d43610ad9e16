//! The one UPDATE of orders: many at once, each guarded by its version.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use belay_domain::ids::OrderKey;
use belay_domain::order::OrderState;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Bool, Datetime, Integer, Nullable, Text, Unsigned};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::row::OrderRow;
use crate::db::Conn;
use crate::db::columns::{At, Name};
use crate::db::error::DbError;

/// Most changes that one UPDATE carries; with documents some 8 KiB each.
const CHANGES_MAX: usize = 512;

/// Writes what may change of these orders, each only if it is still at the version it was loaded
/// with.
pub(crate) async fn update(
    conn: &mut Conn,
    changes: &[(OrderRow, OrderRow)],
) -> Result<(), DbError> {
    if let Some((before, _)) = changes
        .iter()
        .find(|(before, after)| !may_become(before, after))
    {
        return Err(DbError::Corrupt(format!(
            "{:?}: what never changes about an order has changed",
            before.key()
        )));
    }
    for changes in changes.chunks(CHANGES_MAX) {
        let matched = if let [(before, after)] = changes {
            UpdateOrder { before, after }.execute(conn).await?
        } else {
            let changes = list_of(changes);
            UpdateOrders { changes: &changes }.execute(conn).await?
        };
        DbError::unless_all_matched(matched, changes.len())?;
    }
    Ok(())
}

/// One UPDATE for many orders: a join with the list of changes.
///
/// The list comes first and the primary key is forced, so that no more rows are locked than are
/// changed. It is one value, JSON, which costs the database less than a placeholder for each cell; so
/// the statement is the same for any number of orders and stays prepared.
#[derive(Debug, Clone, Copy)]
struct UpdateOrders<'a> {
    /// As [`list_of`] makes it.
    changes: &'a str,
}

/// The UPDATE of one order.
#[derive(Debug, Clone, Copy)]
struct UpdateOrder<'a> {
    before: &'a OrderRow,
    after: &'a OrderRow,
}

impl QueryId for UpdateOrders<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryId for UpdateOrder<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// A column that may change.
struct Changing {
    name: &'static str,
    /// Its type in the list.
    listed: &'static str,
    /// What its value in the list becomes, before and behind its name.
    read: (&'static str, &'static str),
    bind: for<'a, 'b> fn(&mut AstPass<'a, 'b, Mysql>, &'b OrderRow) -> QueryResult<()>,
    list: fn(&OrderRow) -> Value,
}

/// A value in the list.
trait Cell {
    const READ: (&'static str, &'static str) = ("", "");

    fn cell(&self) -> Value;
}

impl Cell for u64 {
    fn cell(&self) -> Value {
        Value::from(*self)
    }
}

impl Cell for u32 {
    fn cell(&self) -> Value {
        Value::from(*self)
    }
}

impl Cell for bool {
    fn cell(&self) -> Value {
        Value::from(u8::from(*self))
    }
}

impl Cell for At {
    fn cell(&self) -> Value {
        Value::from(self.text())
    }
}

impl Cell for Name<OrderState> {
    fn cell(&self) -> Value {
        Value::from(self.0.name())
    }
}

/// JSON has no bytes.
impl Cell for Vec<u8> {
    const READ: (&'static str, &'static str) = ("FROM_BASE64(", ")");

    fn cell(&self) -> Value {
        Value::from(BASE64_STANDARD.encode(self))
    }
}

impl<C: Cell> Cell for Option<C> {
    const READ: (&'static str, &'static str) = C::READ;

    fn cell(&self) -> Value {
        self.as_ref().map_or(Value::Null, C::cell)
    }
}

macro_rules! changing {
    ($($column:ident: $of:ty, $type:ty as $listed:literal,)*) => {
        const CHANGING: &[Changing] = &[$(Changing {
            name: stringify!($column),
            listed: $listed,
            read: <$of>::READ,
            bind: |out, row| out.push_bind_param::<$type, _>(&row.$column),
            list: |row| row.$column.cell(),
        }),*];

        /// Whether `after` differs only in columns that may change.
        #[expect(clippy::clone_on_copy, reason = "most of them are")]
        fn may_become(before: &OrderRow, after: &OrderRow) -> bool {
            *before == OrderRow { $($column: before.$column.clone(),)* ..after.clone() }
        }
    };
}

changing! {
    version: u64, Unsigned<BigInt> as "BIGINT UNSIGNED",
    state: Name<OrderState>, Text as "VARCHAR(32)",
    update_time: At, Datetime as "DATETIME(6)",
    pay_by: At, Datetime as "DATETIME(6)",
    pay_by_moved: bool, Bool as "INT UNSIGNED",
    paid_time: Option<At>, Nullable<Datetime> as "DATETIME(6)",
    next_due: Option<At>, Nullable<Datetime> as "DATETIME(6)",
    line_count: u32, Unsigned<Integer> as "INT UNSIGNED",
    payment_count: u32, Unsigned<Integer> as "INT UNSIGNED",
    shipment_count: u32, Unsigned<Integer> as "INT UNSIGNED",
    cancellation_count: u32, Unsigned<Integer> as "INT UNSIGNED",
    refund_count: u32, Unsigned<Integer> as "INT UNSIGNED",
    incident_count: u32, Unsigned<Integer> as "INT UNSIGNED",
    verified_at: Option<At>, Nullable<Datetime> as "DATETIME(6)",
    lapse_time: Option<At>, Nullable<Datetime> as "DATETIME(6)",
    document: Option<Vec<u8>>, Nullable<Binary> as "LONGTEXT",
}

/// The changes as a list of lists: whose and of which version, then the columns.
fn list_of(changes: &[(OrderRow, OrderRow)]) -> String {
    let row = |(before, after): &(OrderRow, OrderRow)| {
        let OrderKey(key) = before.key();
        let whose = [
            Value::from(format!("{:032x}", u128::from_be_bytes(key))),
            Value::from(before.version),
        ];
        let columns = CHANGING.iter().map(|changing| (changing.list)(after));
        whose.into_iter().chain(columns).collect::<Value>()
    };
    changes.iter().map(row).collect::<Value>().to_string()
}

impl QueryFragment<Mysql> for UpdateOrder<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("UPDATE `orders` SET ");
        for (column, changing) in CHANGING.iter().enumerate() {
            out.push_sql(if column == 0 { "" } else { ", " });
            out.push_identifier(changing.name)?;
            out.push_sql(" = ");
            (changing.bind)(&mut out, self.after)?;
        }
        out.push_sql(" WHERE `order_key` = ");
        out.push_bind_param::<Binary, _>(&self.before.order_key)?;
        out.push_sql(" AND `version` = ");
        out.push_bind_param::<Unsigned<BigInt>, _>(&self.before.version)
    }
}

impl QueryFragment<Mysql> for UpdateOrders<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("UPDATE JSON_TABLE(");
        out.push_bind_param::<Text, _>(self.changes)?;
        // A value that is none of its type would else be NULL.
        out.push_sql(
            ", '$[*]' COLUMNS (key_hex VARCHAR(32) PATH '$[0]' ERROR ON ERROR, \
             loaded_version BIGINT UNSIGNED PATH '$[1]' ERROR ON ERROR",
        );
        for (column, changing) in CHANGING.iter().enumerate() {
            let Changing { name, listed, .. } = changing;
            let at = column + 2;
            out.push_sql(&format!(", {name} {listed} PATH '$[{at}]' ERROR ON ERROR"));
        }
        out.push_sql(
            ")) AS changes STRAIGHT_JOIN `orders` FORCE INDEX (PRIMARY) \
             ON `orders`.`order_key` = UNHEX(changes.key_hex) \
             AND `orders`.`version` = changes.loaded_version SET ",
        );
        for (column, changing) in CHANGING.iter().enumerate() {
            let Changing { name, read, .. } = changing;
            let (before, behind) = read;
            let comma = if column == 0 { "" } else { ", " };
            out.push_sql(&format!(
                "{comma}`orders`.`{name}` = {before}changes.{name}{behind}"
            ));
        }
        Ok(())
    }
}
