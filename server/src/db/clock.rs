//! The time: the database's own, or that of the manual clock, which is a row so that all servers
//! agree. May run anywhere.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use jiff::{SignedDuration, Timestamp};

use super::Conn;
use super::columns::At;
use super::error::DbError;
use super::schema::manual_clock;
use super::statement::{SysDate, Upsert};

/// The table has one row or none.
const ONLY: u8 = 1;

/// The time that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The database's own.
    Database,
    /// A row of the database, which tests move.
    Manual,
}

impl Clock {
    /// The time by which decisions are made.
    pub async fn now(self, conn: &mut Conn) -> Result<Timestamp, DbError> {
        match self {
            Clock::Database => now(conn).await,
            Clock::Manual => manual(conn).await,
        }
    }
}

/// The database's time, now and not when the transaction or the statement began.
pub async fn now(conn: &mut Conn) -> Result<Timestamp, DbError> {
    let now: At = diesel::select(SysDate).get_result(conn).await?;
    Ok(now.0)
}

/// Starts the manual clock at the database's time, unless it was started before.
pub async fn start_manual(conn: &mut Conn) -> Result<(), DbError> {
    let start = (manual_clock::id.eq(ONLY), manual_clock::now.eq(SysDate));
    diesel::insert_or_ignore_into(manual_clock::table)
        .values(start)
        .execute(conn)
        .await?;
    Ok(())
}

/// The manual clock's time. It must have been started.
pub async fn manual(conn: &mut Conn) -> Result<Timestamp, DbError> {
    let now: Option<At> = manual_clock::table
        .find(ONLY)
        .select(manual_clock::now)
        .first(conn)
        .await
        .optional()?;
    now.map(|now| now.0)
        .ok_or_else(|| DbError::Corrupt("the manual clock was never started".to_owned()))
}

pub async fn set_manual(conn: &mut Conn, now: Timestamp) -> Result<(), DbError> {
    let insert = diesel::insert_into(manual_clock::table);
    let insert = insert.values((manual_clock::id.eq(ONLY), manual_clock::now.eq(At(now))));
    Upsert {
        insert,
        columns: &["now"],
    }
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves the manual clock on, in one step that no other one can come between.
pub async fn advance_manual(conn: &mut Conn, by: SignedDuration) -> Result<Timestamp, DbError> {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    diesel::sql_query(
        "UPDATE manual_clock SET `now` = `now` + INTERVAL ? MICROSECOND WHERE id = 1",
    )
    .bind::<BigInt, _>(micros)
    .execute(conn)
    .await?;
    manual(conn).await
}
