//! Looks at sellers whose rate may have changed: something new was counted of them, or their window
//! has moved on.

use std::sync::Arc;
use std::time::Duration;

use crate::App;
use crate::db::{DbError, seller_standings};
use crate::quality::{EvaluateError, evaluate};

/// Between two looks, where nothing else is said: a seller with ever new orders is counted once in
/// it.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Sellers of one look.
const PAGE: u16 = 64;

/// Runs for as long as it is polled.
pub async fn run(app: Arc<App>, interval: Duration) {
    loop {
        if let Err(error) = look(&app).await {
            app.pools.notes().note("a look at sellers", &error);
        }
        tokio::time::sleep(interval).await;
    }
}

/// One look at those that are due.
pub async fn look(app: &App) -> Result<(), DbError> {
    let mut conn = app.pools.background.checkout().await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        Ok((seller_standings::due(&mut conn, now, PAGE).await?, now))
    }
    .await;
    let (due, now) = conn.finish_with(read)?;
    for (store, seller) in due {
        match evaluate(app, (&store, &seller), now).await {
            Ok(()) => {}
            Err(EvaluateError::Database(error)) => return Err(error),
            // It stays due.
            Err(EvaluateError::Store(error)) => {
                tracing::debug!(store.id = %store, %error, "a seller could not be looked at");
            }
        }
    }
    Ok(())
}
