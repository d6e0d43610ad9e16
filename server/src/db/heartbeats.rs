//! The beats of servers, by which a server knows how far a secondary is. One row at a time; read
//! anywhere.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::Conn;
use super::columns::Bytes;
use super::error::DbError;
use super::schema::heartbeats;
use super::statement::{SysDate, Upsert};

/// Writes the next beat of a server, on the primary.
pub async fn write(conn: &mut Conn, server: Uuid, beat: u64) -> Result<(), DbError> {
    let insert = diesel::insert_into(heartbeats::table).values((
        heartbeats::server_id.eq(Bytes::from(server)),
        heartbeats::beat.eq(beat),
        heartbeats::beat_time.eq(SysDate),
    ));
    Upsert {
        insert,
        columns: &["beat", "beat_time"],
    }
    .execute(conn)
    .await?;
    Ok(())
}

/// The last beat of a server that is there; 0 where none is.
pub async fn read(conn: &mut Conn, server: Uuid) -> Result<u64, DbError> {
    let beat: Option<u64> = heartbeats::table
        .find(Bytes::from(server))
        .select(heartbeats::beat)
        .first(conn)
        .await
        .optional()?;
    Ok(beat.unwrap_or_default())
}

/// Forgets the servers that have not written for a day, by the database's clock.
pub async fn forget_old(conn: &mut Conn) -> Result<(), DbError> {
    const FORGET: &str = "DELETE FROM `heartbeats` WHERE `beat_time` < SYSDATE(6) - INTERVAL 1 DAY";
    diesel::sql_query(FORGET).execute(conn).await?;
    Ok(())
}
