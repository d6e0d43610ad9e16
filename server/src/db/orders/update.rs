//! The one UPDATE of orders: many at once, each guarded by its version.

use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Bool, Datetime, Integer, Nullable, Text, Unsigned};
use diesel_async::RunQueryDsl;

use super::row::OrderRow;
use crate::db::Conn;
use crate::db::error::DbError;

/// Most changes that one UPDATE carries; 17 placeholders each.
const CHANGES_MAX: usize = 1_024;

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

macro_rules! changing {
    ($($column:ident: $type:ty as $cast:literal,)*) => {
        const CHANGING: &[Changing] = &[$(Changing {
            name: stringify!($column),
            cast: $cast,
            bind: |out, row| out.push_bind_param::<$type, _>(&row.$column),
        }),*];

        /// Whether `after` differs only in columns that may change.
        fn may_become(before: &OrderRow, after: &OrderRow) -> bool {
            *before == OrderRow { $($column: before.$column,)* ..after.clone() }
        }
    };
}

changing! {
    version: Unsigned<BigInt> as "UNSIGNED",
    state: Text as "CHAR(32) CHARACTER SET ascii",
    update_time: Datetime as "DATETIME(6)",
    pay_by: Datetime as "DATETIME(6)",
    pay_by_moved: Bool as "UNSIGNED",
    paid_time: Nullable<Datetime> as "DATETIME(6)",
    next_due: Nullable<Datetime> as "DATETIME(6)",
    line_count: Unsigned<Integer> as "UNSIGNED",
    payment_count: Unsigned<Integer> as "UNSIGNED",
    shipment_count: Unsigned<Integer> as "UNSIGNED",
    cancellation_count: Unsigned<Integer> as "UNSIGNED",
    refund_count: Unsigned<Integer> as "UNSIGNED",
    incident_count: Unsigned<Integer> as "UNSIGNED",
    verified_at: Nullable<Datetime> as "DATETIME(6)",
    lapse_time: Nullable<Datetime> as "DATETIME(6)",
}

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
            for changing in CHANGING {
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
