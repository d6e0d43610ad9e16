//! The locks of orders: taken in one order, for as long as the transaction lasts.

use belay_domain::ids::OrderKey;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::{Error as DieselError, QueryResult};
use diesel::sql_types::Datetime;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::row::OrderRow;
use crate::db::Conn;
use crate::db::columns::{At, Bytes};
use crate::db::error::{self, DbError, ErrorKind};
use crate::db::schema::orders;
use crate::db::statement::{KEYS_MAX, SysDate, one_of, push_keys};
use crate::db::writable::{self, TAKES_WRITES};

/// An order's row, locked until the transaction ends.
#[derive(Debug, Clone)]
pub struct LockedOrder {
    pub order_key: OrderKey,
    pub partition: u16,
    /// The database's time right after the row was locked: not before the commit of whoever held
    /// it. It needs no further round trip.
    pub locked_at: Timestamp,
    pub(crate) row: OrderRow,
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
        let select = SelectOrders {
            keys,
            on_locked: Some(on_locked),
        };
        let rows = select.load(conn).await;
        let rows: Vec<(OrderRow, At)> = match on_locked {
            OnLocked::Fail => rows.map_err(not_waited)?,
            OnLocked::Wait => rows?,
        };
        locked.extend(rows.into_iter().map(|(row, at)| LockedOrder {
            order_key: row.key(),
            partition: row.shard_partition,
            locked_at: at.0,
            row,
        }));
    }
    Ok(locked)
}

/// MariaDB says of a statement that is not to wait that it has waited too long.
fn not_waited(source: DieselError) -> DbError {
    let mut kind = error::kind_of(&source);
    if kind == ErrorKind::LockWait {
        kind = ErrorKind::RowLocked;
    }
    DbError::Database { kind, source }
}

/// The rows of these orders as they are, without a lock, each with the database's time. Up to
/// `KEYS_MAX` of them are of one moment.
///
/// It fails with `ReadOnly` on a server that takes no writes, as a snapshot does. The server asks
/// itself that after the statement has come: what was written elsewhere before that is not missed.
pub(crate) async fn read_timed(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<Vec<(OrderRow, At)>, DbError> {
    let mut read = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_MAX) {
        let on_locked = None;
        let rows = SelectOrders { keys, on_locked }.load(conn).await;
        let rows: Vec<(OrderRow, At)> = rows.map_err(writable::as_read_only)?;
        read.extend(rows);
    }
    Ok(read)
}

/// `SELECT` by primary key, or `SELECT … FOR UPDATE`. The index is forced: on a small table the
/// optimizer would rather scan it all and so meet the locks of orders that it was not asked for.
#[derive(Debug, Clone, Copy)]
struct SelectOrders<'a> {
    keys: &'a [OrderKey],
    /// None takes no lock.
    on_locked: Option<OnLocked>,
}

impl Query for SelectOrders<'_> {
    type SqlType = (orders::SqlType, Datetime);
}

impl QueryId for SelectOrders<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for SelectOrders<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("SELECT ");
        orders::all_columns.walk_ast(out.reborrow())?;
        out.push_sql(", ");
        SysDate.walk_ast(out.reborrow())?;
        out.push_sql(" FROM `orders` FORCE INDEX (PRIMARY) WHERE `orders`.`order_key`");
        push_keys(&mut out, self.keys)?;
        match self.on_locked {
            Some(OnLocked::Fail) => out.push_sql(" FOR UPDATE NOWAIT"),
            Some(OnLocked::Wait) => out.push_sql(" FOR UPDATE"),
            // A server that takes no writes refuses the locks by itself.
            None => {
                out.push_sql(" AND ");
                out.push_sql(TAKES_WRITES);
                out.push_sql(" = 0");
            }
        }
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
        let lock = sql(&SelectOrders {
            keys: &keys,
            on_locked: Some(OnLocked::Fail),
        });
        let end = "FROM `orders` FORCE INDEX (PRIMARY) WHERE `orders`.`order_key` IN (?, ?, ?, ?) FOR UPDATE NOWAIT";
        assert!(lock.ends_with(end), "{lock}");
        let lock = sql(&SelectOrders {
            keys: &keys[..1],
            on_locked: Some(OnLocked::Wait),
        });
        assert!(
            lock.ends_with("WHERE `orders`.`order_key` = ? FOR UPDATE"),
            "{lock}"
        );
    }
}
