//! Transactions. Only the engine opens one that writes orders; reads of an aggregate use a
//! snapshot. There is no nesting: inside a savepoint a deadlock would pass unseen and leave the
//! rest in autocommit.
//!
//! These helpers go through diesel's own bookkeeping, so that a connection with an open transaction
//! never returns to the pool.

use diesel_async::{AnsiTransactionManager, TransactionManager};

use super::Conn;
use super::error::DbError;
use super::pool::Checkout;

/// Begins a transaction that writes, at READ COMMITTED.
pub async fn begin_write(conn: &mut Conn) -> Result<(), DbError> {
    Ok(AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN").await?)
}

/// Begins a transaction in which all statements see the database as it is now. At READ COMMITTED
/// each statement sees a moment of its own, and an order read by two of them may be two halves of
/// different versions.
pub async fn begin_snapshot(conn: &mut Conn) -> Result<(), DbError> {
    const SNAPSHOT: &str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
        START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    Ok(AnsiTransactionManager::begin_transaction_sql(conn, SNAPSHOT).await?)
}

/// An error of class `ConnectionLost` leaves open whether the commit landed.
pub async fn commit(conn: &mut Conn) -> Result<(), DbError> {
    Ok(AnsiTransactionManager::commit_transaction(conn).await?)
}

/// Also right after a deadlock, when the server has rolled back already.
pub async fn rollback(conn: &mut Conn) -> Result<(), DbError> {
    Ok(AnsiTransactionManager::rollback_transaction(conn).await?)
}

/// Ends a transaction as its writes went, and gives the connection back.
pub async fn end<T>(mut conn: Checkout, written: Result<T, DbError>) -> Result<T, DbError> {
    let ended = match &written {
        Ok(_) => commit(&mut conn).await,
        Err(error) if error.kind().ends_connection() => Ok(()),
        Err(_) => rollback(&mut conn).await,
    };
    conn.finish_with(ended.and(written))
}
