//! Looks at sellers whose rate may have changed: something new was counted of them, or their window
//! has moved on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::ids::StoreId;

use crate::App;
use crate::db::seller_standings::{self, DueSeller};
use crate::db::{DbError, in_time};
use crate::quality::{EvaluateError, evaluate};

/// Between two looks, where nothing else is said: a seller with ever new orders is counted once in
/// it.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Sellers that are read at once.
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

/// One look at those that are due. One that cannot be looked at stays due and keeps no other; where
/// the database is away, the look ends.
pub async fn look(app: &App) -> Result<(), DbError> {
    let mut after: Option<DueSeller> = None;
    let mut broken: BTreeSet<StoreId> = BTreeSet::new();
    let now = in_time(async {
        let mut conn = app.pools.background.checkout().await?;
        let now = app.clock.now(&mut conn).await;
        conn.finish_with(now)
    });
    let now = now.await?;
    loop {
        let due = in_time(async {
            let mut conn = app.pools.background.checkout().await?;
            let due = seller_standings::due(&mut conn, now, after.as_ref(), PAGE).await;
            conn.finish_with(due)
        });
        let due: Vec<DueSeller> = due.await?;
        for DueSeller { store, seller, .. } in &due {
            if broken.contains(store) {
                continue;
            }
            match in_time(evaluate(app, (store, seller), now)).await {
                Ok(()) => {}
                Err(EvaluateError::Database(error)) if error.kind().ends_connection() => {
                    return Err(error);
                }
                Err(EvaluateError::Database(error)) if error.kind().is_transient() => {
                    app.pools.notes().note("a look at a seller", &error);
                }
                Err(EvaluateError::Database(error)) => {
                    tracing::error!(
                        store.id = %store, seller.id = %seller, %error,
                        "a seller cannot be looked at"
                    );
                }
                // Who reads stores says why.
                Err(EvaluateError::Store(error)) => {
                    tracing::debug!(store.id = %store, %error, "a store's sellers are not looked at");
                    broken.insert(store.clone());
                }
            }
        }
        if due.len() < usize::from(PAGE) {
            return Ok(());
        }
        after = due.into_iter().next_back();
    }
}
