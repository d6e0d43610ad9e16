//! One order of a bulk cancellation, asked: an ordinary command to the engine or, for a dry run,
//! the same decision on the order as it is read, which nobody writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use belay_domain::bulk::{Job, JobKey, JobOrder, OrderResult};
use belay_domain::commands::{self, Command, Work};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::error_reason::ErrorReason;
use belay_domain::rejection::Rejection;
use belay_wire::answers::{self, ResponseContext};
use belay_wire::batch::{Answered, Reply};
use belay_wire::views::Viewer;
use tokio::time::Instant;
use uuid::Uuid;

use crate::App;
use crate::db::ErrorKind;
use crate::engine::{EngineError, Priority, Submission};
use crate::reads::{ReadError, Sight};

/// How long one command may take: longer than the engine waits for an order that is locked, so that
/// it says so.
const DEADLINE: Duration = Duration::from_secs(10);

/// An error of an order that could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unasked {
    /// By no fault of its own: nothing can be asked now.
    Unavailable,
    Because(ErrorReason),
}

/// The terms with which all orders of a job are asked.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    app: &'a App,
    job: Job,
    key: JobKey,
    store: Arc<StoreConfig>,
    work: Work,
}

impl<'a> Ask<'a> {
    /// None while the store's reference data cannot be had.
    pub(super) async fn begin(app: &'a App, job: Job) -> Option<Self> {
        let store = app.stores.config(&job.store).await.ok()?;
        Some(Self {
            app,
            key: job.key(),
            store,
            work: Work::Decide(Command::RequestCancellation(job.command.clone())),
            job,
        })
    }

    pub(super) async fn order(&self, order: JobOrder) -> (JobOrder, Result<OrderResult, Unasked>) {
        let request_id = self.key.request_id(&order.order);
        let reply = if self.job.is_dry_run {
            self.rehearse(&order, request_id).await
        } else {
            self.command(&order, request_id).await
        };
        let result = reply.and_then(|reply| match reply {
            Reply::Answer(answer) => answers::bulk_result(&answer.message).map_err(|error| {
                tracing::error!(order.id = %order.order, error, "a result cannot be read");
                Unasked::Because(ErrorReason::Internal)
            }),
            Reply::Rejected(rejection) => Ok(OrderResult::Rejected(rejection)),
        });
        (order, result)
    }

    async fn command(&self, order: &JobOrder, request_id: Uuid) -> Result<Reply, Unasked> {
        let submission = Submission {
            store: self.store.clone(),
            caller: self.job.caller.clone(),
            order: order.order.clone(),
            request_id,
            expected_version: None,
            work: self.work.clone(),
            deadline: Instant::now() + DEADLINE,
            priority: Priority::Background,
        };
        Ok(self.app.engine.submit(submission).await?)
    }

    /// What the command would be answered.
    async fn rehearse(&self, order: &JobOrder, request_id: Uuid) -> Result<Reply, Unasked> {
        let actor = &self.job.caller.actor;
        let (found, now) = self
            .app
            .reads
            .order(actor, order.order_key, Sight::EVERYTHING)
            .await?;
        let (Some(found), Work::Decide(command)) = (found, &self.work) else {
            return Ok(Reply::Rejected(Rejection::OrderNotFound));
        };
        let now = now.max(found.update_time);
        let context = Context {
            now,
            caller: &self.job.caller.actor,
            scope: &self.job.caller.scope,
            request_id,
            store: &self.store,
        };
        // A panic is this order's alone.
        let decide = AssertUnwindSafe(|| commands::decide(&found, command, None, &context));
        let Ok(decision) = catch_unwind(decide) else {
            return Err(Unasked::Because(ErrorReason::Internal));
        };
        Ok(match decision.result {
            Ok(answer) => {
                let response = ResponseContext {
                    answer: &answer,
                    order: &decision.order,
                    store: &self.store,
                    now,
                    request_id,
                    viewer: &Viewer::WHOLE,
                };
                Reply::Answer(Answered {
                    message: answers::render(&self.work, &response),
                    version: decision.order.version,
                })
            }
            Err(rejection) => Reply::Rejected(rejection),
        })
    }
}

impl From<EngineError> for Unasked {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Overloaded
            | EngineError::Shed { .. }
            | EngineError::DeadlineExceeded
            | EngineError::DatabaseUnavailable
            | EngineError::OutcomeUnknown => Unasked::Unavailable,
            EngineError::Contention => Unasked::Because(ErrorReason::Contention),
            EngineError::Internal => Unasked::Because(ErrorReason::Internal),
        }
    }
}

impl From<ReadError> for Unasked {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded | ReadError::TimedOut => Unasked::Unavailable,
            ReadError::Died => Unasked::Because(ErrorReason::Internal),
            ReadError::Database(error) => match error.kind() {
                ErrorKind::Corrupt | ErrorKind::Statement => {
                    Unasked::Because(ErrorReason::Internal)
                }
                ErrorKind::Deadlock
                | ErrorKind::LockWait
                | ErrorKind::RowLocked
                | ErrorKind::VersionConflict
                | ErrorKind::Duplicate
                | ErrorKind::ConnectionLost
                | ErrorKind::ReadOnly
                | ErrorKind::Denied
                | ErrorKind::TooManyConnections
                | ErrorKind::Unavailable => Unasked::Unavailable,
            },
        }
    }
}
