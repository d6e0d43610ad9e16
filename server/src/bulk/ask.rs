//! Orders of a bulk cancellation, asked: each by an ordinary command to the engine or, for a dry
//! run, by the same decision on the orders as they are read, which nobody writes.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use belay_domain::bulk::{Job, JobKey, JobOrder, OrderResult};
use belay_domain::commands::{self, Command, Work};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_domain::rejection::Rejection;
use belay_wire::answers::{self, ResponseContext};
use belay_wire::batch::{Answered, Reply};
use belay_wire::views::Viewer;
use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::App;
use crate::db::snapshot::Snapshot;
use crate::db::{DbError, ErrorKind, aggregate, in_time};
use crate::engine::{EngineError, Priority, Submission};

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

/// An order, and what came of it.
pub(super) type Asked = (JobOrder, Result<OrderResult, Unasked>);

/// The terms with which all orders of a job are asked.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) app: &'a App,
    pub(super) job: Job,
    pub(super) key: JobKey,
    pub(super) store: Arc<StoreConfig>,
    pub(super) work: Work,
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

    pub(super) async fn orders(&self, orders: Vec<JobOrder>) -> Vec<Asked> {
        if self.job.is_dry_run {
            self.rehearse_all(orders).await
        } else {
            join_all(orders.into_iter().map(|order| self.order(order))).await
        }
    }

    async fn order(&self, order: JobOrder) -> Asked {
        let request_id = self.key.request_id(&order.order);
        let reply = self.command(&order, request_id).await;
        let result = reply.and_then(|reply| result_of(&order, reply));
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

    /// What the commands would be answered, by the orders of one moment. The connection is of the
    /// background: callers who read wait for none of it.
    async fn rehearse_all(&self, orders: Vec<JobOrder>) -> Vec<Asked> {
        let (mut chunks, mut answers) = (vec![orders], Vec::new());
        while let Some(mut chunk) = chunks.pop() {
            match in_time(self.read(&chunk)).await {
                Ok((found, now)) => answers.extend(chunk.into_iter().map(|order| {
                    let reply = self.rehearse(found.get(&order.order_key), &order, now);
                    let result = reply.and_then(|reply| result_of(&order, reply));
                    (order, result)
                })),
                // One that cannot be read must not fail the others.
                Err(error) if chunk.len() > 1 && is_about_an_order(error.kind()) => {
                    let half = chunk.split_off(chunk.len() / 2);
                    chunks.extend([half, chunk]);
                }
                Err(error) => {
                    let unasked = Unasked::from(error.kind());
                    answers.extend(chunk.into_iter().map(|order| (order, Err(unasked))));
                }
            }
        }
        answers
    }

    async fn read(
        &self,
        orders: &[JobOrder],
    ) -> Result<(HashMap<OrderKey, Order>, Timestamp), DbError> {
        let mut conn = Snapshot::begin(&self.app.pools.background).await?;
        let read = async {
            let now = self.app.clock.now(&mut conn).await?;
            let keys: Vec<OrderKey> = orders.iter().map(|order| order.order_key).collect();
            Ok((aggregate::read(&mut conn, &keys).await?, now))
        }
        .await;
        conn.end(read).await
    }

    /// What the command would be answered.
    fn rehearse(
        &self,
        found: Option<&Order>,
        order: &JobOrder,
        now: Timestamp,
    ) -> Result<Reply, Unasked> {
        let (Some(found), Work::Decide(command)) = (found, &self.work) else {
            return Ok(Reply::Rejected(Rejection::OrderNotFound));
        };
        let request_id = self.key.request_id(&order.order);
        let now = now.max(found.update_time);
        let context = Context {
            now,
            caller: &self.job.caller.actor,
            scope: &self.job.caller.scope,
            request_id,
            store: &self.store,
        };
        // A panic is this order's alone.
        let decide = AssertUnwindSafe(|| commands::decide(found, command, None, &context));
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

impl From<ErrorKind> for Unasked {
    fn from(kind: ErrorKind) -> Self {
        if is_about_an_order(kind) {
            Unasked::Because(ErrorReason::Internal)
        } else {
            Unasked::Unavailable
        }
    }
}

/// Whether a read may have failed for the sake of one order.
fn is_about_an_order(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Corrupt | ErrorKind::Statement => true,
        ErrorKind::Deadlock
        | ErrorKind::LockWait
        | ErrorKind::RowLocked
        | ErrorKind::VersionConflict
        | ErrorKind::Duplicate
        | ErrorKind::ConnectionLost
        | ErrorKind::ReadOnly
        | ErrorKind::Denied
        | ErrorKind::TooManyConnections
        | ErrorKind::Unavailable => false,
    }
}

/// The result that a reply comes to.
pub(super) fn result_of(order: &JobOrder, reply: Reply) -> Result<OrderResult, Unasked> {
    match reply {
        Reply::Answer(answer) => answers::bulk_result(&answer.message).map_err(|error| {
            tracing::error!(order.id = %order.order, error, "a result cannot be read");
            Unasked::Because(ErrorReason::Internal)
        }),
        Reply::Rejected(rejection) => Ok(OrderResult::Rejected(rejection)),
    }
}
