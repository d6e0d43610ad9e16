//! A lane: two bounded queues and one batch in flight.

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::EngineBounds;
use super::job::{EngineError, Job, Priority};
use super::runner::Runner;
use crate::fair_queue::{Inbox, Pushed};

#[derive(Debug)]
pub(super) struct Lane {
    queues: Arc<Queues>,
}

#[derive(Debug)]
struct Queues {
    interactive: Inbox<Job>,
    background: Inbox<Job>,
}

/// Whether a queue had room, or a command was shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Found,
    Made,
}

impl Lane {
    pub(super) fn start(runner: Arc<Runner>, bounds: EngineBounds, tasks: &TaskTracker) -> Self {
        let queues = Arc::new(Queues {
            interactive: Inbox::new(bounds.queue),
            background: Inbox::new(bounds.queue),
        });
        let batches = Batches {
            queues: queues.clone(),
            bounds,
            held_back: None,
        };
        tasks.spawn(run(batches, runner, tasks.clone()));
        Self { queues }
    }

    /// Where the queue is full, one command is shed: this one, or another caller's that has more of
    /// them there.
    pub(super) fn push(&self, job: Job) -> Room {
        let queue = match job.submission.priority {
            Priority::Interactive => &self.queues.interactive,
            Priority::Background => &self.queues.background,
        };
        let caller = job.submission.caller.actor.clone();
        match queue.push(&caller, job) {
            Pushed::Taken => Room::Found,
            Pushed::InPlaceOf(shed) | Pushed::Full(shed) => {
                shed.answer(Err(EngineError::Overloaded));
                Room::Made
            }
        }
    }

    /// How many wait: of interactive commands, and of background ones.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queues.interactive.len(), self.queues.background.len())
    }

    pub(super) fn close(&self) {
        self.queues.interactive.close();
        self.queues.background.close();
    }
}

/// One batch after the other, until the lane is closed and its queues are empty.
async fn run(mut batches: Batches, runner: Arc<Runner>, tasks: TaskTracker) {
    while let Some(mut batch) = batches.next().await {
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
struct Batches {
    queues: Arc<Queues>,
    bounds: EngineBounds,
    /// Would have made the last batch too large.
    held_back: Option<Job>,
}

impl Batches {
    /// Waits for a command, then takes what else is there.
    async fn next(&mut self) -> Option<Vec<Job>> {
        let first = match self.held_back.take() {
            Some(job) => job,
            None => tokio::select! {
                biased;
                Some(job) = self.queues.interactive.next() => job,
                Some(job) = self.queues.background.next() => job,
                else => return None,
            },
        };
        let mut batch = Batch {
            bytes: first.bytes,
            jobs: vec![first],
        };
        let commands_max = self.bounds.batch_commands;
        let background_max = if self.queues.interactive.is_empty() {
            commands_max
        } else {
            commands_max / 4
        };
        self.fill(&mut batch, background_max, |queues| queues.background.pop());
        self.fill(&mut batch, commands_max, |queues| queues.interactive.pop());
        Some(batch.jobs)
    }

    fn fill(
        &mut self,
        batch: &mut Batch,
        commands_max: usize,
        next: impl Fn(&Queues) -> Option<Job>,
    ) {
        while self.held_back.is_none() && batch.jobs.len() < commands_max {
            let Some(job) = next(&self.queues) else {
                return;
            };
            if batch.bytes + job.bytes > self.bounds.batch_bytes {
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
