//! Sends `Settle` to orders with a deadline that has passed, so that it is applied although nobody asks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_domain::commands::Command;
use belay_domain::ids::OrderKey;
use belay_domain::scope::Caller;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::db::DbError;
use crate::db::orders::{self, DueOrder};
use crate::engine::{Class, Submission, Work};
use crate::entropy;

/// Between two looks when nothing was due.
const IDLE: Duration = Duration::from_millis(200);
/// Orders read and sent at once.
const PAGE: u16 = 256;
/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// An order that could not be settled is left alone for so long, doubled with each failure.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Runs until it is told to stop.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut worker = Worker { app, failures: HashMap::new() };
    while !stop.is_cancelled() {
        let found = worker.turn().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "due orders could not be read");
            0
        });
        if found == 0 {
            tokio::select! {
                () = tokio::time::sleep(IDLE) => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

struct Worker {
    app: Arc<App>,
    /// Orders that failed: how often, and until when they are left alone.
    failures: HashMap<OrderKey, (u32, Instant)>,
}

impl Worker {
    /// Settles what is due now, page by page; says how many were settled.
    async fn turn(&mut self) -> Result<usize, DbError> {
        let mut settled = 0;
        let mut after = None;
        loop {
            let page = self.due(after.as_ref()).await?;
            let Some(last) = page.last() else { return Ok(settled) };
            after = Some(last.clone());
            let is_last_page = page.len() < usize::from(PAGE);

            let now = Instant::now();
            let page =
                page.into_iter().filter(|due| self.failures.get(&due.order_key).is_none_or(|(_, at)| *at <= now));
            let mut sent: FuturesUnordered<_> = page.map(|due| settle(self.app.clone(), due)).collect();
            let mut outcomes = Vec::new();
            while let Some(outcome) = sent.next().await {
                outcomes.push(outcome);
            }
            drop(sent);
            for (due, outcome) in outcomes {
                match outcome {
                    Ok(()) => {
                        self.failures.remove(&due.order_key);
                        settled += 1;
                    }
                    Err(error) => self.note_failure(&due, &error),
                }
            }
            if is_last_page {
                return Ok(settled);
            }
        }
    }

    async fn due(&self, after: Option<&DueOrder>) -> Result<Vec<DueOrder>, DbError> {
        let mut connection = self.app.pool.checkout().await?;
        let now = self.app.now(&mut connection).await?;
        let due = orders::due(&mut connection, 0..self.app.partitions, now, after, PAGE).await?;
        connection.finish();
        Ok(due)
    }

    fn note_failure(&mut self, due: &DueOrder, error: &str) {
        let failures = self.failures.get(&due.order_key).map_or(0, |(failures, _)| *failures) + 1;
        let wait = BACKOFF.saturating_mul(2u32.saturating_pow(failures - 1)).min(BACKOFF_MAX);
        self.failures.insert(due.order_key, (failures, Instant::now() + wait));
        tracing::warn!(store.id = %due.store, order.id = %due.order, error, failures, "a due order could not be settled");
    }
}

async fn settle(app: Arc<App>, due: DueOrder) -> (DueOrder, Result<(), String>) {
    let outcome = async {
        let store = app.stores.facts(&due.store).await.map_err(|error| error.to_string())?;
        let submission = Submission {
            store,
            caller: Caller::everywhere(Actor::system()),
            order: due.order.clone(),
            request_id: entropy::request_id(),
            expected_version: None,
            work: Work::Decide(Command::Settle),
            deadline: Instant::now() + DEADLINE,
            class: Class::Background,
        };
        app.engine.submit(submission).await.map_err(|error| error.to_string())
    };
    let outcome = outcome.await.map(|_| ());
    (due, outcome)
}
