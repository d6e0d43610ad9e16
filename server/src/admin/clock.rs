//! The clock of servers whose time is moved by hand.

use belay_wire::status::CallError;
use jiff::{SignedDuration, Timestamp};

use super::write_failure;
use crate::App;
use crate::db::{DbError, clock};

pub(crate) async fn now(app: &App) -> Result<Timestamp, DbError> {
    let mut conn = app.pools.reads.checkout().await?;
    let read = clock::manual(&mut conn).await;
    conn.finish_with(read)
}

pub(crate) async fn advance(app: &App, by: SignedDuration) -> Result<Timestamp, CallError> {
    let mut conn = app.pools.reads.checkout().await?;
    let write = clock::advance_manual(&mut conn, by).await;
    conn.finish_with(write).map_err(write_failure)
}
