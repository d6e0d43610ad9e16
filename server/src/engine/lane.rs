//! A lane: two bounded queues and one batch in flight.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::job::{EngineError, Job, Priority};
use super::runner::Runner;
use super::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, LANE_QUEUE_MAX};

#[derive(Debug)]
pub(super) struct Lane {
    /// Gone once the lane is closed.
    senders: Mutex<Option<Senders>>,
}

#[derive(Debug, Clone)]
struct Senders {
    interactive: mpsc::Sender<Job>,
    background: mpsc::Sender<Job>,
}

impl Lane {
    pub(super) fn start(runner: Arc<Runner>, tasks: &TaskTracker) -> Self {
        let (interactive, waiting_interactive) = mpsc::channel(LANE_QUEUE_MAX);
        let (background, waiting_background) = mpsc::channel(LANE_QUEUE_MAX);
        let queues = Queues {
            interactive: waiting_interactive,
            background: waiting_background,
            held_back: None,
        };
        tasks.spawn(run(queues, runner, tasks.clone()));
        Self {
            senders: Mutex::new(Some(Senders {
                interactive,
                background,
            })),
        }
    }

    pub(super) fn push(&self, job: Job) -> Result<(), EngineError> {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(senders) = senders.as_ref() else {
            return Err(EngineError::Overloaded);
        };
        let queue = match job.submission.priority {
            Priority::Interactive => &senders.interactive,
            Priority::Background => &senders.background,
        };
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Closed(_) => EngineError::Overloaded,
        })
    }

    /// How many wait: of interactive commands, and of background ones.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |queue: &mpsc::Sender<Job>| queue.max_capacity() - queue.capacity();
        senders.as_ref().map_or((0, 0), |senders| {
            (waiting(&senders.interactive), waiting(&senders.background))
        })
    }

    pub(super) fn close(&self) {
        self.senders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// One batch after the other, until the lane is closed and its queues are empty.
async fn run(mut queues: Queues, runner: Arc<Runner>, tasks: TaskTracker) {
    while let Some(mut batch) = queues.next_batch().await {
        let span = runner.begin_batch("lane", &batch);
        runner.leave_queue(&mut batch);
        // In a task of its own: a bug in there must not end the lane.
        let run = runner.clone().run(batch, tasks.clone());
        let in_flight = tasks.spawn(run.instrument(span));
        if let Err(error) = in_flight.await {
            tracing::error!(%error, "the task of a batch died");
        }
    }
}

#[derive(Debug)]
struct Queues {
    interactive: mpsc::Receiver<Job>,
    background: mpsc::Receiver<Job>,
    /// Would have made the last batch too large.
    held_back: Option<Job>,
}

impl Queues {
    /// Waits for a command, then takes what else is there.
    async fn next_batch(&mut self) -> Option<Vec<Job>> {
        let first = match self.held_back.take() {
            Some(job) => job,
            None => tokio::select! {
                biased;
                Some(job) = self.interactive.recv() => job,
                Some(job) = self.background.recv() => job,
                else => return None,
            },
        };
        let mut batch = Batch {
            bytes: first.bytes,
            jobs: vec![first],
        };
        let background_max = if self.interactive.is_empty() {
            BATCH_COMMANDS_MAX
        } else {
            BATCH_COMMANDS_MAX / 4
        };
        self.fill(&mut batch, background_max, |queues| {
            queues.background.try_recv().ok()
        });
        self.fill(&mut batch, BATCH_COMMANDS_MAX, |queues| {
            queues.interactive.try_recv().ok()
        });
        Some(batch.jobs)
    }

    fn fill(
        &mut self,
        batch: &mut Batch,
        commands_max: usize,
        mut next: impl FnMut(&mut Self) -> Option<Job>,
    ) {
        while self.held_back.is_none() && batch.jobs.len() < commands_max {
            let Some(job) = next(self) else { return };
            if batch.bytes + job.bytes > BATCH_BYTES_MAX {
                self.held_back = Some(job);
                return;
            }
            batch.bytes += job.bytes;
            batch.jobs.push(job);
        }
    }
}

struct Batch {
    jobs: Vec<Job>,
    bytes: usize,
}
