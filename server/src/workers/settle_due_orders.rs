//! Sends `Settle` to orders with a deadline that has passed, so that it is applied although nobody asks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_domain::commands::Command;
use belay_domain::ids::OrderKey;
use belay_domain::scope::Caller;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::db::DbError;
use crate::db::orders::{self, DueOrder};
use crate::engine::{Class, Submission, Work};
use crate::entropy;

/// Between two looks when nothing new was due.
const IDLE: Duration = Duration::from_millis(200);
/// Orders read at once.
const PAGE: u16 = 256;
/// Orders that are being settled at once. One that is slow, because somebody has it locked, takes one of these places and delays
/// nobody.
const IN_FLIGHT_MAX: usize = 512;
/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// An order that could not be settled is left alone for so long, doubled with each failure.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Runs until it is told to stop. What is in flight then lands or not, and is due again if not.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut worker = Worker { app, failures: HashMap::new(), in_flight: HashSet::new() };
    // Tasks, and not futures of this one: while it waits for a connection to read the next page, they must be able to use and
    // give back theirs.
    let mut sent = JoinSet::new();
    let mut after = None;
    while !stop.is_cancelled() {
        let mut found = Vec::new();
        if sent.len() < IN_FLIGHT_MAX {
            found = worker.next_page(&mut after).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "due orders could not be read");
                Vec::new()
            });
        }
        let is_idle = found.is_empty() && after.is_none();
        for due in found {
            sent.spawn(settle(worker.app.clone(), due));
        }
        let is_full = sent.len() >= IN_FLIGHT_MAX;
        tokio::select! {
            Some(ended) = sent.join_next() => {
                worker.note(ended);
                // A batch ends for all of its commands together: one look at the database is enough for them.
                while let Some(ended) = sent.try_join_next() {
                    worker.note(ended);
                }
            }
            () = tokio::time::sleep(IDLE), if is_idle || is_full => {}
            () = stop.cancelled() => {}
            () = std::future::ready(()), if !is_idle && !is_full => {}
        }
    }
}

struct Worker {
    app: Arc<App>,
    /// Orders that failed: how often, and until when they are left alone.
    failures: HashMap<OrderKey, (u32, Instant)>,
    in_flight: HashSet<OrderKey>,
}

impl Worker {
    /// The orders of the next page that may be sent; `after` is where it begins, and then where the one after it does. None is
    /// the beginning, to which the last page leads back.
    async fn next_page(&mut self, after: &mut Option<DueOrder>) -> Result<Vec<DueOrder>, DbError> {
        let now = Instant::now();
        if after.is_none() {
            // Somebody else has settled what has not been met again for so long.
            self.failures.retain(|_, (_, until)| now < *until + BACKOFF_MAX);
        }
        let mut page = self.due(after.as_ref()).await?;
        *after = page.last().filter(|_| page.len() == usize::from(PAGE)).cloned();
        let is_left_alone = |due: &DueOrder| self.failures.get(&due.order_key).is_some_and(|(_, until)| now < *until);
        page.retain(|due| !is_left_alone(due) && !self.in_flight.contains(&due.order_key));
        self.in_flight.extend(page.iter().map(|due| due.order_key));
        Ok(page)
    }

    fn note(&mut self, ended: Result<(DueOrder, Result<(), String>), JoinError>) {
        let (due, outcome) = match ended {
            Ok(ended) => ended,
            // Which one it was is not known: its order keeps its place until the server is started again.
            Err(error) => return tracing::error!(%error, "settling a due order died"),
        };
        self.in_flight.remove(&due.order_key);
        match outcome {
            Ok(()) => {
                self.failures.remove(&due.order_key);
            }
            Err(error) => self.note_failure(&due, &error),
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
