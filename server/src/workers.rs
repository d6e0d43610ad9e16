//! Workers find what is due, send ordinary commands, and report. They hold no lease and keep
//! nothing: one that dies loses nothing, two at once do no harm.

pub mod evaluate_sellers;
pub mod prune_old_rows;
pub mod read_figures;
pub mod reload_key_file;
pub mod reload_proxy_secret;
pub mod reload_tls;
pub mod settle_due_orders;
pub mod watch_health;

use jiff::Timestamp;

use crate::App;
use crate::db::{DbError, in_time};

/// The time by which a worker goes.
async fn now(app: &App) -> Result<Timestamp, DbError> {
    in_time(async {
        let mut conn = app.pools.background.checkout().await?;
        let now = app.clock.now(&mut conn).await;
        conn.finish_with(now)
    })
    .await
}
