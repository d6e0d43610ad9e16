//! The engine: the one door through which orders are written.
//!
//! Commands wait in the queue of a lane. A lane takes what waits, up to a batch, and commits it as
//! one transaction; while one batch commits the next gathers. So an idle service adds no wait and a
//! busy one shares the cost of a transaction among many callers. There is no linger timer and no
//! least batch.
//!
//! The engine knows nothing of RPCs or of what a command means: `belay_domain` decides, `db` reads
//! and writes, `belay_wire` puts the answer into bytes.

mod attempt;
mod batch;
mod heads;
mod lane;
mod pressure;
mod queued;
mod runner;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use belay_domain::chain::ChainKey;
use belay_domain::ids::{OrderKey, Partitions};
use belay_wire::batch::Reply;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::db::clock::Clock;
use crate::db::pool::Pool;
use crate::feed::Feed;
use crate::store_cache::StoreCache;
use crate::telemetry::{Telemetry, calls};
use lane::{Lane, Room};
use pressure::Pressure;
pub use pressure::{OVERLOADED_RETRY_MAX, OVERLOADED_RETRY_MIN};
use queued::queued;
pub use queued::{EngineError, Priority, Submission};
use runner::Runner;

/// Commands in one transaction, unless [`EngineBounds`] say otherwise; so with the next four.
pub const BATCH_COMMANDS_MAX: usize = 128;
/// Bytes of the commands in one transaction, encoded; a single longer one goes alone.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Commands that wait in one lane, of each kind; one more is shed with `OVERLOADED`, or the last of
/// the caller that has the most there.
pub const LANE_QUEUE_MAX: usize = 4096;
/// How long a command waits in the queue of a lane, as far as its pace lets it be foreseen; one
/// that would wait longer is shed like one that finds the queue full.
pub const LANE_WAIT_MAX: Duration = Duration::from_millis(150);
/// Attempts of one batch before its callers are told to come back.
pub const ATTEMPTS_MAX: u32 = 3;
/// How long the database may take over one transaction up to its COMMIT, and as long again over the
/// COMMIT: longer than any number of short lock waits that a caller would wait for.
pub const DATABASE_WAIT_MAX: Duration = Duration::from_secs(15);
/// Orders that are locked elsewhere and waited for, each off its lane.
pub const PARKED_ORDERS_MAX: usize = 64;

/// Bounds on how much the engine does at once, and how much waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineBounds {
    /// See [`BATCH_COMMANDS_MAX`].
    pub batch_commands: usize,
    /// See [`BATCH_BYTES_MAX`].
    pub batch_bytes: usize,
    /// See [`LANE_QUEUE_MAX`].
    pub queue: usize,
    /// See [`LANE_WAIT_MAX`].
    pub wait_max: Duration,
    /// See [`PARKED_ORDERS_MAX`].
    pub parked_orders: usize,
}

impl Default for EngineBounds {
    fn default() -> Self {
        Self {
            batch_commands: BATCH_COMMANDS_MAX,
            batch_bytes: BATCH_BYTES_MAX,
            queue: LANE_QUEUE_MAX,
            wait_max: LANE_WAIT_MAX,
            parked_orders: PARKED_ORDERS_MAX,
        }
    }
}

/// The settings of the engine: its lanes, its clock and its limits.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Each has one batch in flight. Two were best on two cores; more pay when commits are slow.
    pub lanes: u16,
    /// Partitions of the database; each belongs to one lane.
    pub partitions: Partitions,
    pub clock: Clock,
    /// Of the chains of the feed.
    pub chain_key: ChainKey,
    /// How long the database may take over a transaction up to its COMMIT, and again over the
    /// COMMIT.
    pub database_wait_max: Duration,
    pub bounds: EngineBounds,
}

#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lanes: Vec<Lane>,
    partitions: Partitions,
    tasks: TaskTracker,
    telemetry: Telemetry,
    /// Callers that wait for an answer.
    callers: AtomicUsize,
    /// Those of them who are no work of the background.
    interactive: Arc<AtomicUsize>,
}

impl Engine {
    /// Starts the lanes.
    pub fn start(
        pool: Pool,
        stores: StoreCache,
        feed: Feed,
        settings: &EngineSettings,
        telemetry: &Telemetry,
    ) -> Self {
        let tasks = TaskTracker::new();
        let runner = Arc::new(Runner::new(pool, stores, feed, settings, telemetry.clone()));
        let pressure = Arc::new(Pressure::new(Instant::now()));
        let lanes = (0..settings.lanes.max(1))
            .map(|_| Lane::start(runner.clone(), settings.bounds, pressure.clone(), &tasks))
            .collect();
        Self(Arc::new(Inner {
            lanes,
            partitions: settings.partitions,
            tasks,
            telemetry: telemetry.clone(),
            callers: AtomicUsize::new(0),
            interactive: Arc::default(),
        }))
    }

    /// Decides a command and makes the decision durable.
    ///
    /// Dropping the future withdraws a command that still waits in its queue. One that was taken
    /// from it lands whole or not at all, and the same `request_id` finds out which.
    pub async fn submit(&self, submission: Submission) -> Result<Reply, EngineError> {
        let deadline = submission.deadline;
        let _waits = Waits::begin(&self.0.callers);
        let is_interactive = submission.priority == Priority::Interactive;
        let _interactive = is_interactive.then(|| Waits::begin(&self.0.interactive));
        calls::about_store(&submission.store.id);
        calls::about_order(&submission.order);
        calls::about_request(submission.request_id);
        let queue = submission.priority.queue();
        let (command, mut reply) = queued(submission)?;
        let is_unknown = command.is_unknown.clone();
        let lane = self.lane(command.key);
        if self.0.lanes[lane].push(command) == Room::Made {
            self.0.telemetry.metrics.shed(queue);
        }
        match tokio::time::timeout_at(deadline, &mut reply).await {
            Ok(Ok(outcome)) => outcome,
            // The task of the batch died with the reply in its hands; it has logged why.
            Ok(Err(_)) => Err(EngineError::Internal),
            Err(_) if is_unknown.load(Ordering::Relaxed) => Err(EngineError::OutcomeUnknown),
            Err(_) => Err(EngineError::DeadlineExceeded),
        }
    }

    /// Neighbouring partitions share a lane: where each shard of a database has as many lanes, a
    /// batch is in one shard.
    fn lane(&self, order: OrderKey) -> usize {
        let (lanes, partitions) = (self.0.lanes.len(), self.0.partitions);
        usize::from(order.partition(partitions)) * lanes / usize::from(partitions.count.get())
    }

    /// How many callers wait for an answer at this moment.
    pub fn callers(&self) -> usize {
        self.0.callers.load(Ordering::Acquire)
    }

    /// The counter of callers that wait, without work of the background, for who looks at it again
    /// and again.
    pub fn interactive_callers(&self) -> Arc<AtomicUsize> {
        self.0.interactive.clone()
    }

    /// How many commands wait in the queues of all lanes: interactive ones, and background ones.
    pub fn waiting(&self) -> (usize, usize) {
        let waiting = self.0.lanes.iter().map(Lane::waiting);
        waiting.fold((0, 0), |(interactive, background), waiting| {
            (interactive + waiting.0, background + waiting.1)
        })
    }

    /// Takes nothing more and waits until what was taken is committed and answered.
    pub async fn stop(&self) {
        for lane in &self.0.lanes {
            lane.close();
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// A caller that is counted for as long as it waits.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(callers: &'a AtomicUsize) -> Self {
        callers.fetch_add(1, Ordering::Relaxed);
        Self(callers)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        // After the receiver: who sees the count fall finds the command unwanted.
        self.0.fetch_sub(1, Ordering::Release);
    }
}
