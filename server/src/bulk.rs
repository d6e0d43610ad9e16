//! Bulk cancellations: how they are started, read and stopped. What runs them is in [`run`].
//!
//! How a request looks is for others to know, and what a cancellation means is the domain's.

mod ask;
mod look_up;
pub mod run;

use belay_domain::bulk::{
    BulkOutcome, Job, JobKey, JobOrder, JobState, OPEN_JOBS_MAX, ORDERS_MAX, sees_every_job,
};
use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::scope::Caller;
use belay_wire::parse::bulk::StartRequest;
use belay_wire::status::CallError;
use jiff::Timestamp;
use uuid::Uuid;

use crate::admin::write_failure;
use crate::db::bulk_cancellations::StoredJob;
use crate::db::error::ErrorKind;
use crate::db::snapshot::Snapshot;
use crate::db::transaction::Transaction;
use crate::db::{Conn, DbError, bulk_cancellations, bulk_orders, stores};
use crate::{App, ids};

/// The settings of bulk cancellations; others than the default only for tests.
#[derive(Debug, Clone, Copy)]
pub struct BulkSettings {
    /// Orders of one.
    pub orders_max: u32,
    /// Those that one server works at. Most of the time one waits, so they may be many.
    pub jobs_max: u16,
}

impl Default for BulkSettings {
    fn default() -> Self {
        Self {
            orders_max: ORDERS_MAX,
            jobs_max: 64,
        }
    }
}

/// Writes a job down, unless it was before; gives it as it stands.
pub(crate) async fn start(
    app: &App,
    caller: &Caller,
    asked: StartRequest,
) -> Result<Job, CallError> {
    let (job, orders) = asked.job(caller, ids::request_id);
    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let written = write(app, &mut conn, job.clone(), orders).await;
    match conn.end(written).await {
        Ok(started) => started,
        // One of the same id is faster.
        Err(error) if error.kind() == ErrorKind::Duplicate => repeated(app, &job).await,
        Err(error) if error.kind() == ErrorKind::ConnectionLost => Err(CallError::OutcomeUnknown {
            request_id: Some(job.id),
        }),
        Err(error) => Err(write_failure(error)),
    }
}

async fn write(
    app: &App,
    conn: &mut Conn,
    mut job: Job,
    orders: Vec<OrderId>,
) -> Result<Result<Job, CallError>, DbError> {
    // One start of a store after the other, so that the limit is one.
    stores::lock(conn, &job.store).await?;
    if let Some(present) = bulk_cancellations::get(conn, job.key()).await? {
        return Ok(same(&job, present));
    }
    if bulk_cancellations::count_open(conn, &job.store).await? >= OPEN_JOBS_MAX {
        return Ok(Err(CallError::BulkCancellationsExhausted {
            limit_max: OPEN_JOBS_MAX,
        }));
    }
    job.create_time = app.clock.now(conn).await?;
    let store = job.store.clone();
    let orders = orders
        .into_iter()
        .map(|order| (OrderKey::of(&store, &order), order));
    bulk_cancellations::insert(conn, &StoredJob::new(job.clone())).await?;
    bulk_orders::add(conn, job.key(), orders).await?;
    Ok(Ok(job))
}

async fn repeated(app: &App, job: &Job) -> Result<Job, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let present = bulk_cancellations::get(&mut conn, job.key()).await;
    let present = conn.end(present).await?.ok_or(CallError::Contention)?;
    same(job, present)
}

fn same(asked: &Job, present: Job) -> Result<Job, CallError> {
    if present.repeats(asked) {
        Ok(present)
    } else {
        Err(CallError::RequestIdReused {
            request_id: asked.id,
        })
    }
}

/// A job that the caller does not see is not there.
fn seen(caller: &Caller, id: Uuid, found: Option<Job>) -> Result<Job, CallError> {
    found
        .filter(|job| job.is_seen_by(caller))
        .ok_or(CallError::BulkCancellationNotFound { id })
}

pub(crate) async fn get(
    app: &App,
    caller: &Caller,
    store: &StoreId,
    id: Uuid,
) -> Result<Job, CallError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let found = bulk_cancellations::get(&mut conn, JobKey::of(store, id)).await;
    seen(caller, id, conn.end(found).await?)
}

pub(crate) async fn list(
    app: &App,
    caller: &Caller,
    store: &StoreId,
    before: Option<(Timestamp, JobKey)>,
    limit: u16,
) -> Result<Vec<Job>, CallError> {
    let of = (!sees_every_job(caller)).then_some(caller);
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let found = bulk_cancellations::list(&mut conn, store, of, before, limit).await;
    Ok(conn.end(found).await?)
}

/// So many results behind an order, with the job as it is shown beside them.
pub(crate) async fn results(
    app: &App,
    caller: &Caller,
    (store, id): (&StoreId, Uuid),
    outcome: Option<BulkOutcome>,
    after: Option<OrderKey>,
    limit: u16,
) -> Result<(Job, Vec<JobOrder>), CallError> {
    let key = JobKey::of(store, id);
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let job = bulk_cancellations::get(&mut conn, key).await?;
        let results = bulk_orders::list(&mut conn, key, outcome, after, limit).await?;
        Ok((job, results))
    }
    .await;
    let (job, results) = conn.end(read).await?;
    Ok((seen(caller, id, job)?, results))
}

/// Lets nothing more of a job begin.
pub(crate) async fn stop(
    app: &App,
    caller: &Caller,
    store: &StoreId,
    id: Uuid,
) -> Result<Job, CallError> {
    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let written = async {
        let found = bulk_cancellations::lock(&mut conn, JobKey::of(store, id)).await?;
        let Some(mut stored) = found.filter(|stored| stored.job.is_seen_by(caller)) else {
            return Ok(None);
        };
        // Whoever worked at it last may have asked orders and died before it wrote their results.
        // They are looked up before it ends, by whoever takes it up.
        let may_have_asked = stored.owner.is_some() && !stored.job.is_dry_run;
        let job = &mut stored.job;
        job.state = job.state.stopping();
        if job.state == JobState::Stopping {
            // Where nobody works at it, nothing is asked any more.
            if !may_have_asked && !bulk_cancellations::is_owned(&mut conn, job.key()).await? {
                job.state = job.state.moved(JobState::Stopped);
                job.end_time = Some(app.clock.now(&mut conn).await?);
            }
            bulk_cancellations::update(&mut conn, &stored).await?;
        }
        Ok(Some(stored.job))
    }
    .await;
    let stopped = conn.end(written).await.map_err(write_failure)?;
    stopped.ok_or(CallError::BulkCancellationNotFound { id })
}
