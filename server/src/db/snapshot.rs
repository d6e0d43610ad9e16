//! Reads that belong together, from one moment.

use std::ops::{Deref, DerefMut};

use super::error::DbError;
use super::pool::{Checkout, Pool};
use super::{Conn, transaction, unless_gone, writable};

/// A connection to a database that takes writes, for reads that need no snapshot.
pub async fn checkout_of_primary(pool: &Pool) -> Result<Checkout, DbError> {
    let mut conn = pool.checkout().await?;
    let gone = conn.gone();
    match unless_gone(gone, writable::check(&mut conn)).await {
        Ok(()) => Ok(conn),
        Err(error) => conn.finish_with(Err(error)),
    }
}

/// A connection on which all statements see the same moment. If it is dropped before its end, the
/// connection is closed.
#[derive(Debug)]
pub struct Snapshot(Checkout);

impl Snapshot {
    pub async fn begin(pool: &Pool) -> Result<Self, DbError> {
        match Self::on_next(pool).await {
            // The database has given way to another one, which a new connection may find.
            Err(error) if error.is_of_another_primary() => Self::on_next(pool).await,
            begun => begun,
        }
    }

    /// On a secondary: how old it is shows in what is read.
    pub async fn begin_anywhere(pool: &Pool) -> Result<Self, DbError> {
        let mut conn = pool.checkout().await?;
        match transaction::begin_snapshot_anywhere(&mut conn).await {
            Ok(()) => Ok(Self(conn)),
            Err(error) => conn.finish_with(Err(error)),
        }
    }

    async fn on_next(pool: &Pool) -> Result<Self, DbError> {
        let mut conn = pool.checkout().await?;
        let gone = conn.gone();
        match unless_gone(gone, transaction::begin_snapshot(&mut conn)).await {
            Ok(()) => Ok(Self(conn)),
            Err(error) => conn.finish_with(Err(error)),
        }
    }

    /// Gives the connection back, and what was read is not needed. Every future on it has ended.
    pub async fn give_up(mut self) -> Result<(), DbError> {
        let ended = transaction::rollback(&mut self.0).await;
        self.0.finish_with(ended)
    }

    /// Gives the connection back. Every future on it has ended.
    pub async fn end<T>(mut self, read: Result<T, DbError>) -> Result<T, DbError> {
        if read.is_ok() {
            // Nothing was written; this only ends the transaction.
            transaction::commit(&mut self.0).await?;
        } else {
            let _ = transaction::rollback(&mut self.0).await;
        }
        self.0.finish_with(read)
    }
}

impl Deref for Snapshot {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.0
    }
}

impl DerefMut for Snapshot {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.0
    }
}
