//! Queries of `belay doctor`: which database it is, how it is set, and whether an account has each
//! of its grants, tried without writing anything.

use std::collections::HashMap;

use diesel::QueryableByName;
use diesel::sql_types::{Datetime, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use jiff::Timestamp;

use super::Conn;
use super::columns::At;
use super::error::DbError;

#[derive(Debug, QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Such as `9.7.4` or `11.4.2-MariaDB`.
pub async fn version(conn: &mut Conn) -> Result<String, DbError> {
    let found: Version = diesel::sql_query("SELECT VERSION() AS version")
        .get_result(conn)
        .await?;
    Ok(found.version)
}

/// The time of the database.
pub async fn now(conn: &mut Conn) -> Result<Timestamp, DbError> {
    #[derive(Debug, QueryableByName)]
    struct Now {
        #[diesel(sql_type = Datetime)]
        now: At,
    }
    let found: Now = diesel::sql_query("SELECT UTC_TIMESTAMP(6) AS now")
        .get_result(conn)
        .await?;
    Ok(found.now.0)
}

#[derive(Debug, QueryableByName)]
struct Named {
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

/// A setting of the server by its name; none where this server has no such setting.
pub async fn variable(conn: &mut Conn, name: &str) -> Result<Option<String>, DbError> {
    named(conn, "SHOW GLOBAL VARIABLES WHERE Variable_name = ?", name).await
}

/// A figure of the server by its name.
pub async fn status(conn: &mut Conn, name: &str) -> Result<Option<String>, DbError> {
    named(conn, "SHOW GLOBAL STATUS WHERE Variable_name = ?", name).await
}

async fn named(conn: &mut Conn, query: &str, name: &str) -> Result<Option<String>, DbError> {
    let query = diesel::sql_query(query).bind::<Text, _>(name);
    let found: Vec<Named> = query.load(conn).await?;
    Ok(found.into_iter().next().map(|named| named.value))
}

/// The first column of each table that this account may see.
pub async fn first_columns(conn: &mut Conn) -> Result<HashMap<String, String>, DbError> {
    const QUERY: &str = "SELECT TABLE_NAME AS of_table, COLUMN_NAME AS of_column FROM information_schema.columns \
        WHERE TABLE_SCHEMA = DATABASE() AND ORDINAL_POSITION = 1";
    #[derive(QueryableByName)]
    struct First {
        #[diesel(sql_type = Text)]
        of_table: String,
        #[diesel(sql_type = Text)]
        of_column: String,
    }
    let found: Vec<First> = diesel::sql_query(QUERY).load(conn).await?;
    let columns = found.into_iter().map(|of| (of.of_table, of.of_column));
    Ok(columns.collect())
}

/// How transactions of this connection are isolated, such as READ-COMMITTED.
pub async fn session_isolation(conn: &mut Conn) -> Result<String, DbError> {
    const QUERY: &str = "SHOW SESSION VARIABLES WHERE Variable_name IN (?, 'tx_isolation')";
    let isolation = named(conn, QUERY, "transaction_isolation").await?;
    Ok(isolation.unwrap_or_default())
}

/// Whether statements, with a semicolon in between, may be made. They are checked in full and find
/// no row; what they might have done all the same is rolled back.
pub async fn may(conn: &mut Conn, statements: &str) -> Result<(), DbError> {
    conn.batch_execute("START TRANSACTION").await?;
    let made = conn.batch_execute(statements).await;
    conn.batch_execute("ROLLBACK").await?;
    Ok(made?)
}
