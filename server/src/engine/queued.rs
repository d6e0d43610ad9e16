//! A command on its way through the engine, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use belay_domain::commands::{Fingerprint, Work};
use belay_domain::context::StoreConfig;
use belay_domain::ids::{OrderId, OrderKey};
use belay_domain::scope::Caller;
use belay_wire::batch::Reply;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;
use uuid::Uuid;

use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Queue;
use crate::telemetry::traces::{self, CallSpan, SPANS};

/// A command on its way in.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The store's reference data as the caller's request found it. The decision takes the latest.
    pub store: Arc<StoreConfig>,
    pub caller: Caller,
    pub order: OrderId,
    pub request_id: Uuid,
    /// The version that the caller decided on, where it named one.
    pub expected_version: Option<u64>,
    pub work: Work,
    pub deadline: Instant,
    pub priority: Priority,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it.
    Interactive,
    /// Due orders and bulk work: a quarter of a batch while interactive commands wait, and one
    /// command at least.
    Background,
}

impl Priority {
    pub(super) fn queue(self) -> Queue {
        match self {
            Priority::Interactive => Queue::Interactive,
            Priority::Background => Queue::Background,
        }
    }
}

/// The error of a command that was not decided, or not known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("too many commands wait")]
    Overloaded,
    #[error("too many commands wait")]
    Shed {
        /// When the caller may come back.
        retry: Duration,
    },
    #[error("the deadline passed before the command was decided")]
    DeadlineExceeded,
    #[error("the database cannot be reached")]
    DatabaseUnavailable,
    #[error("the order is locked by another transaction")]
    Contention,
    #[error("the connection was lost at COMMIT and its outcome is not known yet")]
    OutcomeUnknown,
    #[error("a bug: see the log")]
    Internal,
}

/// A submission in a queue, with what the engine needs to know of it.
#[derive(Debug)]
pub(super) struct QueuedCommand {
    pub(super) submission: Submission,
    pub(super) key: OrderKey,
    pub(super) fingerprint: [u8; 32],
    pub(super) bytes: usize,
    reply: oneshot::Sender<Result<Reply, EngineError>>,
    /// A commit of this command was lost and is being looked into.
    pub(super) is_unknown: Arc<AtomicBool>,
    /// Of the call that it comes from.
    pub(super) call: CallSpan,
    pub(super) submitted: Instant,
    /// The wait in the queue.
    pub(super) queued: Span,
}

impl QueuedCommand {
    pub(super) fn answer(self, outcome: Result<Reply, EngineError>) {
        // A caller that has gone needs no answer: it will ask again with the same request_id.
        let _ = self.reply.send(outcome);
    }

    /// The wait in the queue is over.
    pub(super) fn leave_queue(&mut self, telemetry: &Telemetry) {
        let queue = self.submission.priority.queue();
        telemetry
            .metrics
            .left_queue(queue, self.submitted.elapsed());
        self.queued = Span::none();
    }

    /// Nobody waits for the answer any more: the deadline has passed, or the caller has gone before
    /// it.
    pub(super) fn is_unwanted(&self) -> bool {
        self.submission.deadline <= Instant::now() || self.reply.is_closed()
    }
}

pub(super) type ReplyReceiver = oneshot::Receiver<Result<Reply, EngineError>>;

/// A submission as it goes into a queue, and where its answer comes.
pub(super) fn queued(
    submission: Submission,
) -> Result<(QueuedCommand, ReplyReceiver), EngineError> {
    let Fingerprint { hash, bytes } = submission.work.fingerprint().map_err(|error| {
        tracing::error!(%error, "a command could not be encoded for its fingerprint");
        EngineError::Internal
    })?;
    let (reply, answered) = oneshot::channel();
    let command = QueuedCommand {
        key: OrderKey::of(&submission.store.id, &submission.order),
        fingerprint: hash,
        bytes,
        submission,
        reply,
        is_unknown: Arc::new(AtomicBool::new(false)),
        call: CallSpan::current(),
        submitted: Instant::now(),
        queued: traces::within(|| tracing::info_span!(target: SPANS, "engine.queue")),
    };
    Ok((command, answered))
}

pub(super) fn sorted_keys(commands: &[QueuedCommand]) -> Vec<OrderKey> {
    let mut keys: Vec<OrderKey> = commands.iter().map(|command| command.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}
