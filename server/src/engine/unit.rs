//! The unit of work: takes a batch to its end, whatever the database does meanwhile.
//!
//! Every failure is one of few kinds, and each has one answer:
//!
//! | what happened | what is done |
//! |---|---|
//! | an order is locked by somebody | go on without it; it is run alone, off the lane, and waits a little |
//! | deadlock, version changed, connection lost before COMMIT | nothing happened: repeat the whole unit |
//! | connection lost at COMMIT | unknown: the same commands are run again, in a task of their own, and find their request rows or not |
//! | a statement was refused | a command is poison: halve the batch until it stands alone |

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use belay_domain::context::StoreFacts;
use belay_domain::ids::{OrderKey, StoreId};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::batch::{self, Outcome, Terms};
use super::{ATTEMPTS_MAX, BUSY_ORDERS_MAX, EngineError, EngineSettings, Job};
use crate::db::orders::{self, Wait};
use crate::db::pool::Pool;
use crate::db::transaction;
use crate::db::{Class as ErrorClass, DbError};
use crate::reference::{ACTIVATION_LEAD, Stores};

/// Between two tries of a unit; doubled each time, with full jitter.
const RETRY_DELAY: Duration = Duration::from_millis(10);
/// Between two tries to learn the outcome of a lost commit.
const RESOLVE_DELAY_MAX: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct UnitOfWork {
    pool: Pool,
    stores: Stores,
    partitions: u16,
    manual_clock: bool,
    busy_orders: Arc<Semaphore>,
}

/// Why a try came to nothing.
#[derive(Debug)]
enum Failure {
    /// Some order of the batch is locked by somebody else.
    Busy,
    /// Nothing was committed and a repetition may well be.
    Transient(DbError),
    /// COMMIT was sent and its answer lost.
    Unknown(DbError),
    /// The database refuses something that one of the commands wants.
    Poison(DbError),
    /// The reference data grew old while the transaction waited.
    Stale,
}

impl UnitOfWork {
    pub(super) fn new(pool: Pool, stores: Stores, settings: &EngineSettings) -> Self {
        Self {
            pool,
            stores,
            partitions: settings.partitions,
            manual_clock: settings.manual_clock,
            busy_orders: Arc::new(Semaphore::new(BUSY_ORDERS_MAX)),
        }
    }

    /// Runs a batch and answers every caller.
    pub(super) async fn run(self: Arc<Self>, jobs: Vec<Job>, units: TaskTracker) {
        let (expired, mut jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::is_expired);
        answer_all(expired, EngineError::DeadlineExceeded);
        let mut attempt = 0;
        while !jobs.is_empty() {
            attempt += 1;
            match self.attempt(&jobs, Wait::NoWait).await {
                Ok(outcomes) => return answer_each(jobs, outcomes),
                Err(Failure::Busy) => jobs = self.set_busy_aside(jobs, &units).await,
                Err(Failure::Unknown(error)) => {
                    tracing::warn!(%error, commands = jobs.len(), "a commit was lost; its outcome is being looked into");
                    units.spawn(self.clone().resolve(jobs));
                    return;
                }
                Err(Failure::Poison(error)) => return self.halve(jobs, units, error).await,
                Err(Failure::Stale) if attempt >= ATTEMPTS_MAX => {
                    return answer_all(jobs, EngineError::DatabaseUnavailable);
                }
                Err(Failure::Stale) => {}
                Err(Failure::Transient(error)) if attempt >= ATTEMPTS_MAX => {
                    tracing::warn!(%error, commands = jobs.len(), attempt, "a unit of work was given up");
                    return answer_all(jobs, caller_error(&error));
                }
                Err(Failure::Transient(error)) => {
                    tracing::debug!(%error, commands = jobs.len(), attempt, "a unit of work is repeated");
                    tokio::time::sleep(jittered(RETRY_DELAY * 2u32.pow(attempt))).await;
                }
            }
        }
    }

    /// One transaction for all these commands.
    async fn attempt(&self, jobs: &[Job], wait: Wait) -> Result<Vec<Outcome>, Failure> {
        let (facts, read_at) = self.latest_facts(jobs);
        let mut connection = self.pool.checkout().await.map_err(Failure::Transient)?;
        transaction::begin_write(&mut connection).await.map_err(Failure::Transient)?;
        let terms = Terms { facts: &facts, partitions: self.partitions, manual_clock: self.manual_clock };
        match batch::decide_and_write(&mut connection, jobs, wait, terms).await {
            // A policy may have begun that these decisions know nothing of.
            Ok(_) if read_at.is_some_and(|read_at| read_at.elapsed() >= ACTIVATION_LEAD) => Err(Failure::Stale),
            Ok(outcomes) => {
                transaction::commit(&mut connection).await.map_err(Failure::Unknown)?;
                connection.finish();
                Ok(outcomes)
            }
            Err(error) => {
                // A connection that cannot even roll back is dropped with its transaction.
                if transaction::rollback(&mut connection).await.is_ok() {
                    connection.finish();
                }
                Err(Failure::of(error))
            }
        }
    }

    /// The reference data of the stores in a batch, and when the oldest of it was read.
    fn latest_facts(&self, jobs: &[Job]) -> (HashMap<StoreId, Arc<StoreFacts>>, Option<Instant>) {
        let mut facts = HashMap::new();
        let mut oldest: Option<Instant> = None;
        for job in jobs {
            let store = &job.submission.store;
            if !facts.contains_key(&store.id) {
                // Only a store that nobody used for long is not there; its command has brought what it read.
                let (latest, read_at) =
                    self.stores.latest(&store.id).unwrap_or_else(|| (store.clone(), Instant::now()));
                oldest = Some(oldest.map_or(read_at, |oldest| oldest.min(read_at)));
                facts.insert(store.id.clone(), latest);
            }
        }
        (facts, oldest)
    }

    /// Finds the orders that somebody else has locked, gives each a task that waits for it, and returns the others.
    ///
    /// What is read here is advice, no more: an order judged wrongly only takes the other way.
    async fn set_busy_aside(self: &Arc<Self>, jobs: Vec<Job>, units: &TaskTracker) -> Vec<Job> {
        let keys: Vec<OrderKey> = sorted_keys(&jobs);
        let busy = self.busy_keys(&keys).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "could not tell which orders are busy; all of the batch go alone");
            keys.iter().copied().collect()
        });
        let (busy, free): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| busy.contains(&job.key));
        for job in busy {
            match self.busy_orders.clone().try_acquire_owned() {
                Ok(permit) => {
                    let unit = self.clone();
                    let tracker = units.clone();
                    units.spawn(async move {
                        unit.run_alone(job, tracker).await;
                        drop(permit);
                    });
                }
                Err(_) => job.answer(Err(EngineError::Contention)),
            }
        }
        free
    }

    async fn busy_keys(&self, keys: &[OrderKey]) -> Result<HashSet<OrderKey>, DbError> {
        let mut connection = self.pool.checkout().await?;
        transaction::begin_write(&mut connection).await?;
        let free = orders::free_of(&mut connection, keys).await?;
        let existing = orders::existing(&mut connection, keys).await?;
        transaction::rollback(&mut connection).await?;
        connection.finish();
        let free: HashSet<OrderKey> = free.into_iter().collect();
        Ok(existing.into_iter().filter(|key| !free.contains(key)).collect())
    }

    /// One command whose order is busy: waits for the lock, as long as the session's lock wait allows.
    async fn run_alone(self: Arc<Self>, job: Job, units: TaskTracker) {
        let jobs = vec![job];
        for attempt in 1..=ATTEMPTS_MAX {
            if jobs[0].is_expired() {
                return answer_all(jobs, EngineError::DeadlineExceeded);
            }
            match self.attempt(&jobs, Wait::Wait).await {
                Ok(outcomes) => return answer_each(jobs, outcomes),
                Err(Failure::Unknown(_)) => {
                    units.spawn(self.clone().resolve(jobs));
                    return;
                }
                Err(Failure::Poison(error)) => return poisoned(jobs, &error),
                Err(Failure::Transient(error)) if attempt == ATTEMPTS_MAX => {
                    return answer_all(jobs, caller_error(&error));
                }
                Err(Failure::Busy | Failure::Stale | Failure::Transient(_)) => {
                    tokio::time::sleep(jittered(RETRY_DELAY * 2u32.pow(attempt))).await;
                }
            }
        }
        answer_all(jobs, EngineError::Contention);
    }

    /// Learns what became of a lost commit: the same commands are run again under their orders' locks. Whoever could have
    /// written a request row held that lock, so a row that is not there was never written.
    async fn resolve(self: Arc<Self>, mut jobs: Vec<Job>) {
        jobs.iter().for_each(|job| job.is_unknown.store(true, Ordering::Relaxed));
        let mut delay = RETRY_DELAY;
        loop {
            let (expired, live): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(Job::is_expired);
            answer_all(expired, EngineError::OutcomeUnknown);
            jobs = live;
            if jobs.is_empty() {
                return;
            }
            match self.attempt(&jobs, Wait::Wait).await {
                Ok(outcomes) => {
                    tracing::info!(commands = jobs.len(), "a lost commit was resolved");
                    return answer_each(jobs, outcomes);
                }
                Err(Failure::Poison(error)) => return poisoned(jobs, &error),
                Err(Failure::Busy | Failure::Stale | Failure::Transient(_) | Failure::Unknown(_)) => {
                    tokio::time::sleep(jittered(delay)).await;
                    delay = (delay * 2).min(RESOLVE_DELAY_MAX);
                }
            }
        }
    }

    /// Narrows a refused statement down to the command that caused it; its neighbours go through.
    fn halve(
        self: Arc<Self>,
        mut jobs: Vec<Job>,
        units: TaskTracker,
        error: DbError,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            if jobs.len() == 1 {
                return poisoned(jobs, &error);
            }
            let second_half = jobs.split_off(jobs.len() / 2);
            self.clone().run(jobs, units.clone()).await;
            self.run(second_half, units).await;
        })
    }
}

impl Failure {
    fn of(error: DbError) -> Self {
        match error.class() {
            ErrorClass::RowBusy => Failure::Busy,
            ErrorClass::LockWait
            | ErrorClass::Deadlock
            | ErrorClass::VersionConflict
            // Another server created the order in between: the repetition finds it.
            | ErrorClass::Duplicate
            | ErrorClass::ConnectionLost
            | ErrorClass::ReadOnly
            | ErrorClass::TooManyConnections
            | ErrorClass::Unavailable => Failure::Transient(error),
            ErrorClass::Corrupt | ErrorClass::Statement => Failure::Poison(error),
        }
    }
}

fn caller_error(error: &DbError) -> EngineError {
    match error.class() {
        ErrorClass::ConnectionLost
        | ErrorClass::ReadOnly
        | ErrorClass::TooManyConnections
        | ErrorClass::Unavailable => EngineError::DatabaseUnavailable,
        ErrorClass::RowBusy
        | ErrorClass::LockWait
        | ErrorClass::Deadlock
        | ErrorClass::VersionConflict
        | ErrorClass::Duplicate => EngineError::Contention,
        ErrorClass::Corrupt | ErrorClass::Statement => EngineError::Internal,
    }
}

fn poisoned(jobs: Vec<Job>, error: &DbError) {
    for job in jobs {
        let submission = &job.submission;
        tracing::error!(%error, store.id = %submission.store.id, order.id = %submission.order,
            request.id = %submission.request_id, "the database refused what a command wants to write");
        job.answer(Err(EngineError::Internal));
    }
}

fn answer_each(jobs: Vec<Job>, outcomes: Vec<Outcome>) {
    for (job, outcome) in jobs.into_iter().zip(outcomes) {
        job.answer(outcome);
    }
}

fn answer_all(jobs: Vec<Job>, error: EngineError) {
    jobs.into_iter().for_each(|job| job.answer(Err(error)));
}

pub(super) fn sorted_keys(jobs: &[Job]) -> Vec<OrderKey> {
    let mut keys: Vec<OrderKey> = jobs.iter().map(|job| job.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(fastrand::f64())
}
