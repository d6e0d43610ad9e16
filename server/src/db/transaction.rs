//! Transactions. Only the engine opens one that writes orders; reads of an aggregate use a
//! snapshot. There is no nesting: inside a savepoint a deadlock would pass unseen and leave the
//! rest in autocommit.
//!
//! These helpers go through diesel's own bookkeeping, so that a connection with an open transaction
//! never returns to the pool.

use std::ops::{Deref, DerefMut};

use diesel_async::{AnsiTransactionManager, TransactionManager};

use super::Conn;
use super::address::PerMessage;
use super::error::{DbError, ErrorKind};
use super::pool::{Checkout, Pool};
use super::writable::{self, takes_writes};

/// Fails outside of a transaction, on MariaDB; to be sent alone. On a node of Galera a transaction
/// may have been rolled back while a SELECT was prepared in it, which nobody is told of: the answer
/// of that is sent before it is looked. What is written next would commit by itself, and COMMIT be
/// answered OK.
pub(super) const IS_OPEN: &str = "SELECT IF(@@in_transaction, 0, EXP(1000))";

/// Begins a transaction that writes, at READ COMMITTED.
pub async fn begin_write(conn: &mut Conn) -> Result<(), DbError> {
    Ok(AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN").await?)
}

/// Begins a transaction in which all statements see the database as it is now. At READ COMMITTED
/// each statement sees a moment of its own, and an order read by two of them may be two halves of
/// different versions.
///
/// It fails with `ReadOnly` on a server that takes no writes: others may be taken elsewhere by now,
/// and whoever was told of one is to read it. That is asked behind the snapshot, so that nothing
/// was written elsewhere before it.
pub async fn begin_snapshot(conn: &mut Conn) -> Result<(), DbError> {
    const SNAPSHOT: &str = concat!(
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
         START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY; SELECT ",
        takes_writes!()
    );
    let begun = AnsiTransactionManager::begin_transaction_sql(conn, SNAPSHOT).await;
    begun.map_err(writable::as_read_only)
}

/// The same on a server that need not take writes.
pub async fn begin_snapshot_anywhere(conn: &mut Conn) -> Result<(), DbError> {
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

/// A connection on which all statements are one transaction that writes, at READ COMMITTED. If it
/// is dropped before its end, the connection is closed.
#[derive(Debug)]
pub struct Transaction(Checkout);

impl Transaction {
    pub async fn begin(pool: &Pool) -> Result<Self, DbError> {
        Self::begin_on(pool.checkout().await?).await
    }

    pub async fn begin_on(mut conn: Checkout) -> Result<Self, DbError> {
        match begin_write(&mut conn).await {
            Ok(()) => Ok(Self(conn)),
            Err(error) => conn.finish_with(Err(uncommitted(error))),
        }
    }

    /// How many statements go in one message.
    pub fn per_message(&self) -> PerMessage {
        self.0.per_message()
    }

    /// Ends it as its writes went, and gives the connection back. `ConnectionLost` says that the
    /// commit was on its way.
    pub async fn end<T>(mut self, written: Result<T, DbError>) -> Result<T, DbError> {
        let written = written.map_err(uncommitted);
        let ended = match &written {
            Ok(_) => commit(&mut self.0).await,
            Err(error) if error.kind().ends_connection() => Ok(()),
            Err(_) => rollback(&mut self.0).await,
        };
        self.0.finish_with(ended.and(written))
    }

    /// Takes its writes back, and gives the connection back.
    pub async fn give_up(mut self) -> Result<(), DbError> {
        let ended = rollback(&mut self.0).await;
        self.0.finish_with(ended)
    }
}

/// An error before the commit: where the connection was lost, nothing was committed.
fn uncommitted(error: DbError) -> DbError {
    if error.kind() != ErrorKind::ConnectionLost {
        return error;
    }
    DbError::Connect {
        kind: ErrorKind::Unavailable,
        message: error.to_string(),
    }
}

impl Deref for Transaction {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}
