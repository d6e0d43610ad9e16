//! The runner: takes a batch to its end, whatever the database does meanwhile.
//!
//! Every failure is one of few kinds, and each has one answer:
//!
//! | what happened | what is done |
//! |---|---|
//! | an order is locked by somebody | go on without it; what is asked of it is run off the lane, and waits a little |
//! | deadlock, version changed, connection lost before COMMIT | nothing happened: repeat the whole batch |
//! | another server has moved a head that this one remembers | nothing happened: the attempt repeats itself at once, and asks for the heads |
//! | connection lost at COMMIT | unknown: the same commands are run again, in a task of their own, and find their request rows or not |
//! | the database does not answer in time | as if the connection were lost, here or at COMMIT; it is closed |
//! | a row that must be new is there: a command was decided before | repeat the whole batch at once, and ask first which requests are known |
//! | a statement was refused | a command is poison: bisect the batch until it is alone |

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_domain::ids::OrderKey;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use super::attempt::{AttemptError, Attempts};
use super::batch::{AskRequests, Outcome};
use super::queued::{self, EngineError, QueuedCommand};
use super::{ATTEMPTS_MAX, EngineBounds, EngineSettings};
use crate::db::orders::{self, OnLocked};
use crate::db::pool::Pool;
use crate::db::transaction;
use crate::db::{DbError, ErrorKind, unless_gone};
use crate::feed::Feed;
use crate::store_cache::StoreCache;
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::{LostCommit, Retry};
use crate::telemetry::traces::{self, SPANS};

/// Between two attempts of a batch; doubled each time, with full jitter.
const RETRY_DELAY: Duration = Duration::from_millis(10);
/// Between two tries to learn the outcome of a lost commit.
const RESOLVE_DELAY_MAX: Duration = Duration::from_millis(500);

/// The number of batches that look up known requests first, after one batch met a repeated request.
/// A client that repeats one request usually repeats more, and each would cost a second write of
/// its batch.
const ASK_FIRST: u32 = 64;

/// The occasion on which a batch is run, for what is told of one that is given up.
#[derive(Debug)]
struct Occasion {
    name: &'static str,
    /// The answer where the reference data grows old time and again, or the orders are never free.
    never_in_time: EngineError,
}

const ON_LANE: Occasion = Occasion {
    name: "a batch",
    never_in_time: EngineError::DatabaseUnavailable,
};
const FOR_LOCKED_ORDER: Occasion = Occasion {
    name: "a batch for a locked order",
    never_in_time: EngineError::Contention,
};

/// The work that remains of a batch whose attempt has failed.
enum Remaining {
    /// Every caller is answered, or another task sees to it.
    Nothing,
    /// One of these commands is refused, and it is not known which.
    Split(Vec<QueuedCommand>),
    Again(Vec<QueuedCommand>),
}

/// The orders that kept a batch from its locks.
enum LockedOrders {
    Named(HashSet<OrderKey>),
    /// Free again by now; or about to be created by somebody: such a row is locked and cannot be
    /// seen.
    FreeAgain,
    /// One of several, and nothing tells which.
    Hidden,
}

#[derive(Debug)]
pub(super) struct Runner {
    attempts: Attempts,
    /// The parked commands of orders that are locked elsewhere. Each order has one task that waits
    /// for it; here is what has come for it since.
    parked: Mutex<HashMap<OrderKey, Vec<QueuedCommand>>>,
    bounds: EngineBounds,
    /// Connections that may wait for locked orders: those that the lanes leave.
    waiting: Semaphore,
    /// Batches that still ask for requests first.
    ask_first: AtomicU32,
}

impl Runner {
    pub(super) fn new(
        pool: Pool,
        stores: StoreCache,
        feed: Feed,
        settings: &EngineSettings,
        telemetry: Telemetry,
    ) -> Self {
        let parked = pool.status().max.saturating_sub(settings.lanes.into());
        Self {
            attempts: Attempts::new(pool, stores, feed, settings, telemetry),
            parked: Mutex::default(),
            bounds: settings.bounds,
            waiting: Semaphore::new(parked.max(1)),
            ask_first: AtomicU32::new(0),
        }
    }

    /// The span in which these commands are run together; `kind` says on what occasion.
    pub(super) fn begin_batch(&self, kind: &'static str, commands: &[QueuedCommand]) -> Span {
        let batch = tracing::info_span!(
            target: SPANS,
            parent: None,
            "engine.batch",
            belay.batch.kind = kind,
            belay.batch.size = traces::count(commands.len()),
        );
        traces::link(&batch, commands.iter().map(|command| &command.call));
        batch
    }

    /// A lane has taken these commands.
    pub(super) fn leave_queue(&self, commands: &mut [QueuedCommand]) {
        self.attempts.telemetry.metrics.batch_taken(commands.len());
        for command in commands {
            command.leave_queue(&self.attempts.telemetry);
        }
    }

    fn retried(&self, retry: Retry) {
        self.attempts.telemetry.metrics.retried(retry);
    }

    /// How the next batch asks for requests.
    fn ask_requests(&self) -> AskRequests {
        let left = self
            .ask_first
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        if left.is_ok() {
            AskRequests::First
        } else {
            AskRequests::WhereNeeded
        }
    }

    /// A batch met a request that was decided before, without having asked.
    fn met_repeated(&self, retry: Retry) -> AskRequests {
        self.retried(retry);
        self.ask_first.store(ASK_FIRST, Ordering::Relaxed);
        AskRequests::First
    }

    /// Runs a batch and answers every caller.
    pub(super) async fn run(self: Arc<Self>, commands: Vec<QueuedCommand>, tasks: TaskTracker) {
        // A command that no caller waits for is not begun.
        let commands = wanted(commands, EngineError::DeadlineExceeded);
        // Known to be locked elsewhere; behind those who wait already, or they would be overtaken.
        let mut commands = self.park(commands, &HashSet::new(), &tasks);
        let (mut attempt, mut has_retried_once) = (0, false);
        let mut ask = self.ask_requests();
        while !commands.is_empty() {
            let failure = match self.attempts.run(&commands, OnLocked::Fail, ask).await {
                Ok(done) => return answer_each(commands, done.outcomes),
                Err(repeated @ AttemptError::Repeated(_)) if ask == AskRequests::WhereNeeded => {
                    ask = self.met_repeated(repeated.retry());
                    continue;
                }
                // A lock is no failure, and does not count as an attempt.
                Err(AttemptError::Locked) => {
                    match self.find_locked(&commands, has_retried_once).await {
                        Ok(LockedOrders::Named(keys)) => {
                            commands = self.park(commands, &keys, &tasks);
                            continue;
                        }
                        Ok(LockedOrders::FreeAgain) => {
                            has_retried_once = true;
                            continue;
                        }
                        Ok(LockedOrders::Hidden) => return self.bisect(commands, tasks).await,
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            attempt += 1;
            let failed = self.after_failure(commands, failure, attempt, &ON_LANE, &tasks);
            match failed.await {
                Remaining::Nothing => return,
                Remaining::Split(commands) => return self.bisect(commands, tasks).await,
                Remaining::Again(again) => commands = again,
            }
        }
    }

    /// Does what a failed attempt asks for, up to splitting the batch or repeating it.
    async fn after_failure(
        self: &Arc<Self>,
        commands: Vec<QueuedCommand>,
        failure: AttemptError,
        attempt: u32,
        occasion: &Occasion,
        tasks: &TaskTracker,
    ) -> Remaining {
        let (retry, is_last) = (failure.retry(), attempt >= ATTEMPTS_MAX);
        match failure {
            AttemptError::Unknown(error) => {
                self.look_into(commands, &error, tasks);
                return Remaining::Nothing;
            }
            AttemptError::Poison(error) if commands.len() == 1 => {
                poisoned(commands, &error);
                return Remaining::Nothing;
            }
            AttemptError::Poison(_) => {
                self.retried(retry);
                return Remaining::Split(commands);
            }
            // One of them repeats what is on record, and none of the others does.
            AttemptError::Repeated(_) if is_last && commands.len() > 1 => {
                self.retried(retry);
                return Remaining::Split(commands);
            }
            AttemptError::Transient(error) if error.is_exhaustion() => {
                answer_all(commands, EngineError::Overloaded);
                return Remaining::Nothing;
            }
            AttemptError::Transient(error) | AttemptError::Repeated(error) if is_last => {
                self.attempts.pool.notes().note(occasion.name, &error);
                answer_all(commands, caller_error(&error));
                return Remaining::Nothing;
            }
            AttemptError::Locked | AttemptError::Stale if is_last => {
                answer_all(commands, occasion.never_in_time);
                return Remaining::Nothing;
            }
            AttemptError::Transient(error) | AttemptError::Repeated(error) => {
                tracing::debug!(%error, commands = commands.len(), attempt, "a batch is repeated");
            }
            AttemptError::Locked | AttemptError::Stale => {}
        }
        self.retried(retry);
        tokio::time::sleep(jittered(RETRY_DELAY * 2u32.pow(attempt))).await;
        Remaining::Again(commands)
    }

    /// The locked orders among those of a batch that met one, which runs again without them.
    async fn find_locked(
        &self,
        commands: &[QueuedCommand],
        has_retried_once: bool,
    ) -> Result<LockedOrders, AttemptError> {
        let keys = queued::sorted_keys(commands);
        let locked = self.keys_locked_elsewhere(&keys).await;
        let locked = locked.map_err(AttemptError::Transient)?;
        self.retried(Retry::Locked);
        Ok(if !locked.is_empty() {
            LockedOrders::Named(locked)
        } else if !has_retried_once {
            LockedOrders::FreeAgain
        } else if let [only] = keys.as_slice() {
            LockedOrders::Named(HashSet::from([*only]))
        } else {
            LockedOrders::Hidden
        })
    }

    /// Parks the commands of these orders, and of all that are known to be locked elsewhere, with
    /// the tasks that wait for them; returns the rest.
    fn park(
        self: &Arc<Self>,
        commands: Vec<QueuedCommand>,
        locked_elsewhere: &HashSet<OrderKey>,
        tasks: &TaskTracker,
    ) -> Vec<QueuedCommand> {
        let mut waiting = self.parked();
        let mut rest = Vec::with_capacity(commands.len());
        for command in commands {
            let known = waiting.len();
            match waiting.entry(command.key) {
                Entry::Occupied(entry) if entry.get().len() >= self.bounds.batch_commands => {
                    command.answer(Err(EngineError::Contention));
                }
                Entry::Occupied(mut entry) => entry.get_mut().push(command),
                Entry::Vacant(_) if !locked_elsewhere.contains(&command.key) => rest.push(command),
                Entry::Vacant(_) if known >= self.bounds.parked_orders => {
                    command.answer(Err(EngineError::Contention))
                }
                Entry::Vacant(entry) => {
                    tasks.spawn(self.clone().wait_for(command.key, tasks.clone()));
                    entry.insert(vec![command]);
                }
            }
        }
        rest
    }

    /// Which of these orders somebody else has locked. That is advice, no more: an order judged
    /// wrongly only takes the other way.
    async fn keys_locked_elsewhere(&self, keys: &[OrderKey]) -> Result<HashSet<OrderKey>, DbError> {
        let found = timeout(
            self.attempts.database_wait_max,
            self.find_locked_elsewhere(keys),
        )
        .await;
        found.unwrap_or_else(|_| Err(self.attempts.timed_out()))
    }

    async fn find_locked_elsewhere(&self, keys: &[OrderKey]) -> Result<HashSet<OrderKey>, DbError> {
        let mut connection = self.attempts.pool.checkout().await?;
        let gone = connection.gone();
        let work = async {
            transaction::begin_write(&mut connection).await?;
            let free = orders::free_of(&mut connection, keys).await?;
            let existing = orders::existing(&mut connection, keys).await?;
            transaction::rollback(&mut connection).await?;
            Ok((free, existing))
        };
        let (free, existing) = unless_gone(gone, work).await?;
        connection.finish();
        let free: HashSet<OrderKey> = free.into_iter().collect();
        Ok(existing
            .into_iter()
            .filter(|key| !free.contains(key))
            .collect())
    }

    /// Runs the parked commands of an order, until nothing has come for it meanwhile.
    async fn wait_for(self: Arc<Self>, key: OrderKey, tasks: TaskTracker) {
        // It is never closed; without a permit the pool's own bound would hold.
        let _permit = self.waiting.acquire().await;
        loop {
            let commands = match self.parked().entry(key) {
                Entry::Occupied(entry) if entry.get().is_empty() => {
                    entry.remove();
                    return;
                }
                Entry::Occupied(mut entry) => std::mem::take(entry.get_mut()),
                Entry::Vacant(_) => return,
            };
            // In a task of its own: a bug in there must not leave the order parked for ever.
            let span = self.begin_batch("locked_order", &commands);
            let run = self.clone().run_waiting(commands, tasks.clone());
            if let Err(error) = tasks.spawn(run.instrument(span)).await {
                tracing::error!(%error, "the task of a batch died");
            }
        }
    }

    /// Waits for the order's lock, as long as the session's lock wait allows.
    async fn run_waiting(self: Arc<Self>, mut commands: Vec<QueuedCommand>, tasks: TaskTracker) {
        let mut attempt = 0;
        loop {
            commands = wanted(commands, EngineError::DeadlineExceeded);
            if commands.is_empty() {
                return;
            }
            let ran = self
                .attempts
                .run(&commands, OnLocked::Wait, AskRequests::First);
            let failure = match ran.await {
                Ok(done) => return answer_each(commands, done.outcomes),
                Err(failure) => failure,
            };
            attempt += 1;
            let failed = self.after_failure(commands, failure, attempt, &FOR_LOCKED_ORDER, &tasks);
            match failed.await {
                Remaining::Nothing => return,
                Remaining::Split(commands) => return self.wait_for_each(commands, tasks).await,
                Remaining::Again(again) => commands = again,
            }
        }
    }

    /// [`Self::run_waiting`] one after the other, to find the one that is refused.
    fn wait_for_each(
        self: Arc<Self>,
        commands: Vec<QueuedCommand>,
        tasks: TaskTracker,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            for command in commands {
                self.clone().run_waiting(vec![command], tasks.clone()).await;
            }
        })
    }

    fn parked(&self) -> MutexGuard<'_, HashMap<OrderKey, Vec<QueuedCommand>>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome of these commands is learnt in a task of its own.
    fn look_into(
        self: &Arc<Self>,
        commands: Vec<QueuedCommand>,
        error: &DbError,
        tasks: &TaskTracker,
    ) {
        self.retried(Retry::LostCommit);
        let notes = self.attempts.pool.notes();
        notes.note("a commit, whose outcome is being looked into", error);
        let span = self.begin_batch("lost_commit", &commands);
        tasks.spawn(self.clone().resolve(commands).instrument(span));
    }

    fn found_out(&self, found: LostCommit) {
        self.attempts.telemetry.metrics.lost_commit(found);
    }

    /// Learns what became of a lost commit: the same commands are run again under their orders'
    /// locks. Whoever could have written a request row held that lock, so a row that is not there
    /// was never written.
    async fn resolve(self: Arc<Self>, mut commands: Vec<QueuedCommand>) {
        commands
            .iter()
            .for_each(|command| command.is_unknown.store(true, Ordering::Relaxed));
        let mut delay = RETRY_DELAY;
        loop {
            commands = wanted(commands, EngineError::OutcomeUnknown);
            if commands.is_empty() {
                return self.found_out(LostCommit::GivenUp);
            }
            match self
                .attempts
                .run(&commands, OnLocked::Wait, AskRequests::First)
                .await
            {
                Ok(done) => {
                    tracing::debug!(commands = commands.len(), "a lost commit was resolved");
                    self.found_out(if done.was_done_before {
                        LostCommit::Committed
                    } else {
                        LostCommit::Absent
                    });
                    return answer_each(commands, done.outcomes);
                }
                Err(AttemptError::Poison(error)) => return poisoned(commands, &error),
                Err(
                    failure @ (AttemptError::Locked
                    | AttemptError::Stale
                    | AttemptError::Repeated(_)
                    | AttemptError::Transient(_)
                    | AttemptError::Unknown(_)),
                ) => {
                    self.retried(failure.retry());
                    tokio::time::sleep(jittered(delay)).await;
                    delay = (delay * 2).min(RESOLVE_DELAY_MAX);
                }
            }
        }
    }

    /// Narrows a failure down to the command that caused it; its neighbours go through.
    fn bisect(
        self: Arc<Self>,
        mut commands: Vec<QueuedCommand>,
        tasks: TaskTracker,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let second_half = commands.split_off(commands.len() / 2);
            self.clone().run(commands, tasks.clone()).await;
            self.run(second_half, tasks).await;
        })
    }
}

fn caller_error(error: &DbError) -> EngineError {
    if error.is_exhaustion() {
        return EngineError::Overloaded;
    }
    match error.kind() {
        ErrorKind::ConnectionLost
        | ErrorKind::ReadOnly
        | ErrorKind::Denied
        | ErrorKind::TooManyConnections
        | ErrorKind::Unavailable => EngineError::DatabaseUnavailable,
        ErrorKind::RowLocked
        | ErrorKind::LockWait
        | ErrorKind::Deadlock
        | ErrorKind::VersionConflict
        | ErrorKind::Duplicate => EngineError::Contention,
        ErrorKind::Corrupt | ErrorKind::Statement => EngineError::Internal,
    }
}

fn poisoned(commands: Vec<QueuedCommand>, error: &DbError) {
    for command in commands {
        let submission = &command.submission;
        command.call.in_scope(|| {
            tracing::error!(
                %error,
                store.id = %submission.store.id,
                order.id = %submission.order,
                request.id = %submission.request_id,
                "the database refused what a command wants to write"
            );
        });
        command.answer(Err(EngineError::Internal));
    }
}

fn answer_each(commands: Vec<QueuedCommand>, outcomes: Vec<Outcome>) {
    for (command, outcome) in commands.into_iter().zip(outcomes) {
        command.answer(outcome);
    }
}

/// Answers the commands that nobody waits for any more and returns the others.
fn wanted(commands: Vec<QueuedCommand>, unwanted: EngineError) -> Vec<QueuedCommand> {
    let (gone, wanted) = commands.into_iter().partition(QueuedCommand::is_unwanted);
    answer_all(gone, unwanted);
    wanted
}

fn answer_all(commands: Vec<QueuedCommand>, error: EngineError) {
    commands
        .into_iter()
        .for_each(|command| command.answer(Err(error)));
}

fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(fastrand::f64())
}
