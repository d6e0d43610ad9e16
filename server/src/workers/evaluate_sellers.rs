//! Looks at sellers whose rate may have changed: something new was counted of them, or their window
//! has moved on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::ids::StoreId;
use jiff::Timestamp;

use crate::App;
use crate::db::seller_standings::{self, DueSeller, WOKEN};
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

/// One look at those that are due, the longest due first. One that cannot be looked at stays due
/// and keeps no other; where the database is away, the look ends.
///
/// A look may take long, at the end of a day. So before each page of it comes one of those of which
/// something new was counted: those are due since ever, and the look may have passed them.
pub async fn look(app: &App) -> Result<(), DbError> {
    let mut look = Look::default();
    let (mut after, mut woken_after) = (None, None);
    let mut is_through = false;
    loop {
        let now = super::now(app).await?;
        let woken = due(app, WOKEN, woken_after.as_ref()).await?;
        look.evaluate_all(app, &woken, now).await?;
        // Behind the last of them it begins with the first again.
        woken_after = after_page(&woken);
        if !is_through {
            let mut page = due(app, now, after.as_ref()).await?;
            after = after_page(&page);
            is_through = after.is_none();
            // Those have pages of their own, and are tried once in each turn.
            page.retain(|due| due.evaluate_time > WOKEN);
            look.evaluate_all(app, &page, now).await?;
        }
        if is_through && woken_after.is_none() {
            return Ok(());
        }
    }
}

/// A page of those that are due by a time, behind this one.
async fn due(
    app: &App,
    by: Timestamp,
    after: Option<&DueSeller>,
) -> Result<Vec<DueSeller>, DbError> {
    in_time(async {
        let mut conn = app.pools.background.checkout().await?;
        let due = seller_standings::due(&mut conn, by, after, PAGE).await;
        conn.finish_with(due)
    })
    .await
}

/// Where the next page begins; None where there is none.
fn after_page(page: &[DueSeller]) -> Option<DueSeller> {
    let is_full = page.len() >= usize::from(PAGE);
    page.last().filter(|_| is_full).cloned()
}

/// What a look has found out so far.
#[derive(Debug, Default)]
struct Look {
    /// Stores that cannot be read.
    broken: BTreeSet<StoreId>,
    /// The last seller took longer than the database is waited for.
    is_slow: bool,
}

impl Look {
    async fn evaluate_all(
        &mut self,
        app: &App,
        page: &[DueSeller],
        now: Timestamp,
    ) -> Result<(), DbError> {
        for due in page {
            if !self.broken.contains(&due.store) {
                self.evaluate_one(app, due, now).await?;
            }
        }
        Ok(())
    }

    /// Fails where the database is away.
    async fn evaluate_one(
        &mut self,
        app: &App,
        DueSeller { store, seller, .. }: &DueSeller,
        now: Timestamp,
    ) -> Result<(), DbError> {
        // On the heap, for a look has it twice: it would be most of every future around.
        let evaluated = in_time(Box::pin(evaluate(app, (store, seller), now))).await;
        let was_slow = std::mem::take(&mut self.is_slow);
        match evaluated {
            Ok(()) => {}
            // One alone may have very much to count.
            Err(EvaluateError::Database(error @ DbError::TimedOut { .. })) if !was_slow => {
                app.pools.notes().note("a look at a seller", &error);
                self.is_slow = true;
            }
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
                self.broken.insert(store.clone());
            }
        }
        Ok(())
    }
}
