//! Sends `Settle` to orders with a deadline that has passed, so that it is applied although nobody
//! asks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_domain::commands::{Command, Work};
use belay_domain::ids::OrderKey;
use belay_domain::scope::Caller;
use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use crate::App;
use crate::db::orders::{self, DueOrder};
use crate::db::{DbError, in_time};
use crate::engine::{EngineError, Priority, Submission};
use crate::ids;
use crate::store_cache::StoreCacheError;
use crate::telemetry::metrics::Settled;

/// Between two looks when nothing new was due.
const IDLE: Duration = Duration::from_millis(200);
/// Orders read at once.
const PAGE: u16 = 256;
/// Orders that are being settled at once. One that is slow, because somebody has it locked, takes
/// one of these places and delays nobody. Where nothing else is said.
pub const IN_FLIGHT_MAX: usize = 512;
/// How long one command may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// An order that could not be settled is left alone for so long, doubled with each failure, up to
/// the second.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Runs for as long as it is polled. What is in flight when it is dropped lands or not, and is due
/// again if not.
pub async fn run(app: Arc<App>, at_once: usize) {
    let mut worker = Worker {
        app,
        failures: Failures::default(),
        in_flight: HashSet::new(),
    };
    // Tasks, and not futures of this one: while it waits for a connection to read the next page,
    // they must be able to use and give back theirs.
    let mut sent = JoinSet::new();
    let mut after = None;
    loop {
        let mut found = Vec::new();
        if sent.len() < at_once {
            found = worker.next_page(&mut after).await.unwrap_or_else(|error| {
                worker
                    .app
                    .pools
                    .notes()
                    .note("a read of due orders", &error);
                Vec::new()
            });
        }
        let is_idle = found.is_empty() && after.is_none();
        for (due, late) in found {
            sent.spawn(settle(worker.app.clone(), due, late));
        }
        let is_full = sent.len() >= at_once;
        tokio::select! {
            Some(ended) = sent.join_next() => {
                worker.note(ended);
                // A batch ends for all of its commands together: one look at the database is enough
                // for them.
                while let Some(ended) = sent.try_join_next() {
                    worker.note(ended);
                }
            }
            () = tokio::time::sleep(IDLE), if is_idle || is_full => {}
            () = std::future::ready(()), if !is_idle && !is_full => {}
        }
    }
}

struct Worker {
    app: Arc<App>,
    failures: Failures,
    in_flight: HashSet<OrderKey>,
}

impl Worker {
    /// The orders of the next page that may be sent; `after` is where it begins, and then where the
    /// one after it does. None is the beginning, to which the last page leads back. With each is
    /// how long it has been due.
    async fn next_page(
        &mut self,
        after: &mut Option<DueOrder>,
    ) -> Result<Vec<(DueOrder, Duration)>, DbError> {
        let now = Instant::now();
        if after.is_none() {
            self.failures.forget_old(now);
        }
        let (mut page, read_at) = in_time(self.due(after.as_ref())).await?;
        *after = page
            .last()
            .filter(|_| page.len() == usize::from(PAGE))
            .cloned();
        let is_left_alone = |due: &DueOrder| self.failures.is_left_alone(due.order_key, now);
        page.retain(|due| !is_left_alone(due) && !self.in_flight.contains(&due.order_key));
        self.in_flight.extend(page.iter().map(|due| due.order_key));
        let late = |due: DueOrder| {
            let late = Duration::try_from(read_at.duration_since(due.next_due));
            (due, late.unwrap_or_default())
        };
        Ok(page.into_iter().map(late).collect())
    }

    fn note(&mut self, ended: Result<(DueOrder, Result<(), Unsettled>), JoinError>) {
        let (due, outcome) = match ended {
            Ok(ended) => ended,
            // Which one it was is not known: its order keeps its place until the server is started
            // again.
            Err(error) => return tracing::error!(%error, "settling a due order died"),
        };
        self.in_flight.remove(&due.order_key);
        let metrics = &self.app.telemetry.metrics;
        match outcome {
            Ok(()) => {
                metrics.settled(Settled::Done);
                self.failures.forget(due.order_key);
            }
            Err(error) => {
                metrics.settled(Settled::Failed);
                self.note_failure(&due, &error);
            }
        }
    }

    async fn due(&self, after: Option<&DueOrder>) -> Result<(Vec<DueOrder>, Timestamp), DbError> {
        let mut connection = self.app.pools.upkeep.checkout().await?;
        let now = self.app.clock.now(&mut connection).await?;
        let due = orders::due(&mut connection, self.app.partitions.all(), now, after, PAGE).await?;
        connection.finish();
        Ok((due, now))
    }

    fn note_failure(&mut self, due: &DueOrder, error: &Unsettled) {
        let failures = self.failures.note(due.order_key, Instant::now());
        match error {
            Unsettled::Unavailable(error) => self
                .app
                .pools
                .notes()
                .note("the settling of a due order", error),
            Unsettled::Refused(error) => {
                tracing::warn!(store.id = %due.store, order.id = %due.order, error, failures,
                "a due order could not be settled")
            }
        }
    }
}

/// Orders that failed: how often, and until when they are left alone.
#[derive(Debug, Default)]
struct Failures(HashMap<OrderKey, (u32, Instant)>);

impl Failures {
    /// How often the order has failed by now. It is left alone for [`BACKOFF`], doubled with each
    /// failure up to [`BACKOFF_MAX`].
    fn note(&mut self, order: OrderKey, now: Instant) -> u32 {
        let failures = self
            .0
            .get(&order)
            .map_or(0, |(failures, _)| *failures)
            .saturating_add(1);
        let wait = BACKOFF
            .saturating_mul(2u32.saturating_pow(failures - 1))
            .min(BACKOFF_MAX);
        self.0.insert(order, (failures, now + wait));
        failures
    }

    fn is_left_alone(&self, order: OrderKey, now: Instant) -> bool {
        self.0.get(&order).is_some_and(|(_, until)| now < *until)
    }

    fn forget(&mut self, order: OrderKey) {
        self.0.remove(&order);
    }

    /// Somebody else has settled what has not been met again for so long.
    fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, (_, until)| now < *until + BACKOFF_MAX);
    }
}

/// The reason why a due order stays due.
#[derive(Debug)]
enum Unsettled {
    /// The database or the engine takes nothing now; that is no fault of the order.
    Unavailable(String),
    Refused(String),
}

impl From<StoreCacheError> for Unsettled {
    fn from(error: StoreCacheError) -> Self {
        match error {
            StoreCacheError::Overloaded | StoreCacheError::Unavailable => {
                Unsettled::Unavailable(error.to_string())
            }
            StoreCacheError::NotFound => Unsettled::Refused(error.to_string()),
        }
    }
}

impl From<EngineError> for Unsettled {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Overloaded
            | EngineError::Shed { .. }
            | EngineError::DeadlineExceeded
            | EngineError::DatabaseUnavailable
            | EngineError::OutcomeUnknown => Unsettled::Unavailable(error.to_string()),
            EngineError::Contention | EngineError::Internal => {
                Unsettled::Refused(error.to_string())
            }
        }
    }
}

async fn settle(app: Arc<App>, due: DueOrder, late: Duration) -> (DueOrder, Result<(), Unsettled>) {
    let found = Instant::now();
    let outcome = async {
        let store = app.stores.config(&due.store).await?;
        let submission = Submission {
            store,
            caller: Caller::everywhere(Actor::system()),
            order: due.order.clone(),
            request_id: ids::request_id(),
            expected_version: None,
            work: Work::Decide(Command::Settle),
            deadline: Instant::now() + DEADLINE,
            priority: Priority::Background,
        };
        app.engine.submit(submission).await?;
        let metrics = &app.telemetry.metrics;
        metrics.settled_late(late + found.elapsed());
        Ok(())
    };
    let outcome = outcome.await;
    (due, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_always_fails_is_tried_less_and_less() {
        let (order, other) = (OrderKey([1; 16]), OrderKey([2; 16]));
        let (mut failures, start) = (Failures::default(), Instant::now());
        // One look after the other for twenty minutes, by a clock of the test's own.
        let looks = (0_u32..)
            .map(|look| IDLE * look)
            .take_while(|at| *at < Duration::from_secs(1200));
        let mut tried_at = Vec::new();
        for at in looks {
            assert!(
                !failures.is_left_alone(other, start + at),
                "only who fails is left alone"
            );
            if !failures.is_left_alone(order, start + at) {
                tried_at.push(at.as_secs());
                let noted = failures.note(order, start + at);
                assert_eq!(usize::try_from(noted), Ok(tried_at.len()));
            }
        }
        assert_eq!(tried_at, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111]);

        failures.forget(order);
        assert!(!failures.is_left_alone(order, start));
    }

    #[test]
    fn what_is_not_met_again_is_forgotten() {
        let (order, start) = (OrderKey([1; 16]), Instant::now());
        let mut failures = Failures::default();
        failures.note(order, start);
        failures.forget_old(start + BACKOFF + BACKOFF_MAX - Duration::from_nanos(1));
        assert_eq!(failures.0.len(), 1);
        failures.forget_old(start + BACKOFF + BACKOFF_MAX);
        assert_eq!(failures.0.len(), 0);
    }
}
