//! The runner of bulk cancellations.
//!
//! Any number of servers look for jobs that nobody works at. The one that takes a job owns it for
//! a while and says again and again that it still does; when it dies another one takes the job up
//! where its rows say that it is. Each order is sent an ordinary command under a request id of its
//! own, so one that was asked already gives the answer that it gave. Before a job that is stopped
//! ends, what its orders gave is looked up, for whoever asked some of them may have died. All that
//! is written of a job is written by its owner, under the lock of its row: who is slow and no
//! longer the owner writes nothing.
//!
//! In memory is a page of orders at a time, and how often each of those has failed that is asked
//! again.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::bulk::{BulkFilter, BulkSelection, Job, JobKey, JobOrder, JobState, OrderResult};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{OrderId, OrderKey};
use belay_domain::query::ListPosition;
use jiff::SignedDuration;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::ask::{Ask, Asked, Unasked};
use super::look_up::LookedUp;
use crate::db::bulk_cancellations::{self, StoredJob};
use crate::db::orders::{self, BulkQuery, Selected};
use crate::db::snapshot::Snapshot;
use crate::db::transaction::Transaction;
use crate::db::{Conn, DbError, bulk_orders, in_time};
use crate::{App, ids};

/// How long a job has an owner who says nothing more.
const LEASE: Duration = Duration::from_secs(10);
/// How often its owner says that it still is, whatever it waits for meanwhile.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// How long one step may take: a database that says nothing any more is given up.
const STEP_MAX: Duration = Duration::from_secs(60);
/// Between two looks for jobs.
const IDLE: Duration = Duration::from_millis(250);
/// Orders that a filter gives at once.
const SELECT_PAGE: u16 = 500;
/// Orders that are asked at the same time.
const CHUNK_MAX: u16 = 64;
/// Orders that are looked up at once, of a job that stops.
const LOOK_UP_PAGE: u16 = 500;
/// Before orders are asked again that could not be.
const BACKOFF: Duration = Duration::from_millis(500);
/// How often an order is asked that fails by itself, and not for want of a database.
const ATTEMPTS_MAX: u32 = 5;

/// Looks for jobs until the server stops. What it owns then is free for others at once.
pub async fn run(app: Arc<App>, stop: CancellationToken) {
    let owner = ids::request_id();
    let mut jobs = JoinSet::new();
    tokio::select! {
        () = look_for_jobs(&app, owner, &mut jobs) => {}
        () = stop.cancelled() => {}
    }
    if jobs.is_empty() {
        return;
    }
    // What was sent lands or not; whoever takes the jobs up finds out which.
    jobs.shutdown().await;
    let disowned = in_time(disown(&app, owner)).await;
    noted(&app, "the release of bulk cancellations", disowned);
}

/// What was done; an error is noted.
fn noted<T>(app: &App, what: &str, done: Result<T, DbError>) -> Option<T> {
    done.inspect_err(|error| app.pools.notes().note(what, error))
        .ok()
}

async fn look_for_jobs(app: &Arc<App>, owner: Uuid, jobs: &mut JoinSet<()>) {
    // Of the tasks in `jobs`: one that is slow must not be begun again.
    let mut working: HashMap<task::Id, JobKey> = HashMap::new();
    loop {
        while let Some(ended) = jobs.try_join_next_with_id() {
            let id = match ended {
                Ok((id, ())) => id,
                Err(error) => {
                    tracing::error!(%error, "a bulk cancellation died; it is taken up again");
                    error.id()
                }
            };
            working.remove(&id);
        }
        let taken = in_time(take(app, owner, &working)).await;
        for key in noted(app, "a look for bulk cancellations", taken).unwrap_or_default() {
            let lease = Lease {
                app: app.clone(),
                owner,
                key,
            };
            let task = jobs.spawn(work(lease));
            working.insert(task.id(), key);
        }
        sleep(IDLE).await;
    }
}

/// Takes jobs that nobody works at, as many as there is room for.
async fn take(
    app: &App,
    owner: Uuid,
    working: &HashMap<task::Id, JobKey>,
) -> Result<Vec<JobKey>, DbError> {
    let jobs_max = app.bulk.jobs_max;
    let room = usize::from(jobs_max).saturating_sub(working.len());
    if room == 0 {
        return Ok(Vec::new());
    }
    let mut conn = app.pools.background.checkout().await?;
    let taken = async {
        let mut taken = Vec::new();
        for key in bulk_cancellations::abandoned(&mut conn, jobs_max).await? {
            let is_new = !working.values().any(|working| *working == key);
            let has_room = taken.len() < room;
            if has_room && is_new && bulk_cancellations::own(&mut conn, key, owner, LEASE).await? {
                taken.push(key);
            }
        }
        Ok(taken)
    }
    .await;
    conn.finish_with(taken)
}

async fn disown(app: &App, owner: Uuid) -> Result<(), DbError> {
    let mut conn = app.pools.background.checkout().await?;
    let disowned = bulk_cancellations::disown(&mut conn, owner).await;
    conn.finish_with(disowned)
}

/// Works at a job until it has ended, or has another owner. After an error it is left to whoever
/// looks next.
async fn work(lease: Lease) {
    let mut worker = Worker {
        lease: lease.clone(),
        after: None,
        failures: HashMap::new(),
        is_behind: false,
        is_stopping: false,
    };
    let mut found = lease.keep(worker.write(Change::None)).await;
    while let Some(Some(stored)) = found {
        found = lease.keep(worker.step(stored)).await;
    }
}

/// The ownership of a job.
#[derive(Clone)]
struct Lease {
    app: Arc<App>,
    owner: Uuid,
    key: JobKey,
}

impl Lease {
    /// Does a step, and owns the job until it is done. None where it failed, or took too long.
    async fn keep<T>(&self, step: impl Future<Output = Result<T, DbError>>) -> Option<T> {
        let done = tokio::select! {
            done = timeout(STEP_MAX, step) => done,
            () = self.renew() => return None,
        };
        let waited_ms = STEP_MAX.as_millis();
        let done = done.unwrap_or(Err(DbError::TimedOut { waited_ms }));
        noted(&self.app, "the work at a bulk cancellation", done)
    }

    /// Says again and again that the job is owned; ends where it is not.
    async fn renew(&self) {
        loop {
            sleep(RENEW_INTERVAL).await;
            let renewed = async {
                let mut conn = self.app.pools.background.checkout().await?;
                let owned = bulk_cancellations::own(&mut conn, self.key, self.owner, LEASE).await;
                conn.finish_with(owned)
            };
            // What fails is tried again while the lease lasts, and the step finds out if it does
            // not.
            if let Ok(false) = in_time(renewed).await {
                return;
            }
        }
    }
}

struct Worker {
    lease: Lease,
    /// The last order that was asked in this round. A round is over when none is behind it.
    after: Option<OrderKey>,
    /// How often those have failed that are asked again in the next round.
    failures: HashMap<OrderKey, u32>,
    /// Whether this round leaves any.
    is_behind: bool,
    /// Whether rounds look orders up by now, and ask none.
    is_stopping: bool,
}

/// A change of a job.
enum Change {
    /// None but that it is still owned.
    None,
    /// Orders were found, up to a place; perhaps the last ones.
    Selected {
        orders: Vec<(OrderKey, OrderId)>,
        through: Option<ListPosition>,
        is_last: bool,
    },
    Asked(Vec<JobOrder>),
    Ended(JobState, Option<ErrorReason>),
}

impl Worker {
    /// Does the next piece of work. Gives None where nothing is left, or the job is another's.
    async fn step(&mut self, stored: StoredJob) -> Result<Option<StoredJob>, DbError> {
        match (stored.job.state, &stored.job.selection) {
            (JobState::Selecting, BulkSelection::Filter(filter)) => {
                self.select(&stored, filter).await
            }
            (JobState::Selecting, BulkSelection::Named(_)) | (JobState::Running, _) => {
                self.ask(stored.job).await
            }
            (JobState::Stopping, _) if stored.job.is_dry_run => {
                self.end(JobState::Stopped, None).await
            }
            (JobState::Stopping, _) => self.look_up(stored.job).await,
            (JobState::Completed | JobState::Stopped | JobState::Failed, _) => Ok(None),
        }
    }

    /// Adds the next page of what the filter gives.
    async fn select(
        &self,
        stored: &StoredJob,
        filter: &BulkFilter,
    ) -> Result<Option<StoredJob>, DbError> {
        let job = &stored.job;
        if job.counts.total > self.lease.app.bulk.orders_max {
            return self
                .end(JobState::Failed, Some(ErrorReason::LimitReached))
                .await;
        }
        // What comes meanwhile is none of it.
        let meanwhile = job.create_time + SignedDuration::from_micros(1);
        let before = filter.create_time_before;
        let filter = BulkFilter {
            create_time_before: Some(before.map_or(meanwhile, |at| at.min(meanwhile))),
            ..filter.clone()
        };
        let query = BulkQuery {
            store: &job.store,
            scope: &job.caller.scope,
            filter: &filter,
        };
        let change = self.page(&query, stored.selected_through).await?;
        self.write(change).await
    }

    /// The next orders of a filter, as the change that they are.
    async fn page(
        &self,
        query: &BulkQuery<'_>,
        after: Option<ListPosition>,
    ) -> Result<Change, DbError> {
        let mut conn = Snapshot::begin(&self.lease.app.pools.background).await?;
        let read = async {
            let Selected { found, left_off } =
                orders::select(&mut conn, query, after, SELECT_PAGE).await?;
            let keys: Vec<OrderKey> = found.iter().map(|position| position.order_key).collect();
            Ok(Change::Selected {
                orders: orders::ids(&mut conn, &keys).await?,
                through: left_off.or(found.last().copied()).or(after),
                is_last: left_off.is_none(),
            })
        }
        .await;
        conn.end(read).await
    }

    /// Asks the next orders, no more of them in a second than the job says.
    async fn ask(&mut self, job: Job) -> Result<Option<StoredJob>, DbError> {
        let began = Instant::now();
        let chunk = (job.orders_per_second / 10).clamp(1, CHUNK_MAX);
        let waiting = self.waiting(chunk).await?;
        let Some(last) = waiting.last() else {
            return self.end_round().await;
        };
        self.after = Some(last.order_key);
        let orders = u32::try_from(waiting.len()).unwrap_or(u32::MAX);
        let asked = Duration::from_secs(1) * orders / u32::from(job.orders_per_second);
        let answers = match Ask::begin(&self.lease.app, job).await {
            Some(ask) => ask.orders(waiting).await,
            None => {
                self.is_behind = true;
                Vec::new()
            }
        };
        let results = self.results(answers);
        let written = self.write(Change::Asked(results)).await?;
        sleep_until(began + asked).await;
        Ok(written)
    }

    /// Finds out what the next orders gave of a job that stops. An order that waits may have been
    /// asked by a server that died, or whose COMMIT had no answer, and have its cancellation.
    async fn look_up(&mut self, job: Job) -> Result<Option<StoredJob>, DbError> {
        if !self.is_stopping {
            // The orders that this round has passed are looked up too.
            (self.is_stopping, self.is_behind, self.after) = (true, false, None);
        }
        let waiting = self.waiting(LOOK_UP_PAGE).await?;
        let Some(last) = waiting.last().map(|order| order.order_key) else {
            if !std::mem::take(&mut self.is_behind) {
                return self.end(JobState::Stopped, None).await;
            }
            self.after = None;
            sleep(BACKOFF).await;
            return self.write(Change::None).await;
        };
        self.after = Some(last);
        let app = self.lease.app.clone();
        let Some(ask) = Ask::begin(&app, job).await else {
            self.is_behind = true;
            return self.write(Change::None).await;
        };
        let LookedUp {
            results,
            are_locked,
        } = ask.look_up(waiting).await?;
        self.is_behind |= are_locked;
        let results = self.results(results);
        self.write(Change::Asked(results)).await
    }

    /// The results of orders that have one, and are not to be asked again.
    fn results(&mut self, answers: Vec<Asked>) -> Vec<JobOrder> {
        let results = answers.into_iter().filter_map(|(order, answer)| {
            let result = self.result(order.order_key, answer)?;
            Some(JobOrder {
                result: Some(result),
                ..order
            })
        });
        results.collect()
    }

    async fn waiting(&self, limit: u16) -> Result<Vec<JobOrder>, DbError> {
        let mut conn = self.lease.app.pools.background.checkout().await?;
        let waiting = bulk_orders::waiting(&mut conn, self.lease.key, self.after, limit).await;
        conn.finish_with(waiting)
    }

    /// The result of an order, unless it is to be asked again.
    fn result(
        &mut self,
        order: OrderKey,
        answer: Result<OrderResult, Unasked>,
    ) -> Option<OrderResult> {
        let reason = match answer {
            Ok(result) => return Some(result),
            Err(Unasked::Unavailable) => None,
            Err(Unasked::Because(reason)) => Some(reason),
        };
        if let Some(reason) = reason {
            let failures = self.failures.entry(order).or_default();
            *failures += 1;
            if *failures >= ATTEMPTS_MAX {
                return Some(OrderResult::Failed(reason));
            }
        }
        self.is_behind = true;
        None
    }

    /// All that waited was asked. What could not be is asked again, after a while.
    async fn end_round(&mut self) -> Result<Option<StoredJob>, DbError> {
        let is_behind = std::mem::take(&mut self.is_behind);
        if self.after.take().is_none() {
            return self.end(JobState::Completed, None).await;
        }
        if is_behind {
            sleep(BACKOFF).await;
        }
        self.write(Change::None).await
    }

    async fn end(
        &self,
        state: JobState,
        failure: Option<ErrorReason>,
    ) -> Result<Option<StoredJob>, DbError> {
        self.write(Change::Ended(state, failure)).await
    }

    /// Changes the job under its lock, if this server still owns it, and owns it anew.
    async fn write(&self, change: Change) -> Result<Option<StoredJob>, DbError> {
        let mut conn = Transaction::begin(&self.lease.app.pools.background).await?;
        let written = self.write_in(&mut conn, change).await;
        let written = conn.end(written).await?;
        Ok(written.map(|(stored, results)| {
            for result in results.iter().filter_map(|found| found.result.as_ref()) {
                self.lease
                    .app
                    .telemetry
                    .metrics
                    .bulk_result(result.outcome());
            }
            stored
        }))
    }

    async fn write_in(
        &self,
        conn: &mut Conn,
        change: Change,
    ) -> Result<Option<(StoredJob, Vec<JobOrder>)>, DbError> {
        if !bulk_cancellations::own(conn, self.lease.key, self.lease.owner, LEASE).await? {
            return Ok(None);
        }
        let Some(mut stored) = bulk_cancellations::lock(conn, self.lease.key).await? else {
            return Ok(None);
        };
        let mut written = Vec::new();
        let job = &mut stored.job;
        match change {
            Change::None => return Ok(Some((stored, written))),
            // It was stopped while the page was read, and grows no more.
            Change::Selected { .. } if job.state != JobState::Selecting => {
                return Ok(Some((stored, written)));
            }
            Change::Selected {
                orders,
                through,
                is_last,
            } => {
                job.counts.total += bulk_orders::add(conn, self.lease.key, orders).await?;
                let is_within = job.counts.total <= self.lease.app.bulk.orders_max;
                if is_last && is_within {
                    job.state = job.state.moved(JobState::Running);
                }
                stored.selected_through = through;
            }
            Change::Asked(results) => {
                written = bulk_orders::record(conn, self.lease.key, results).await?;
                for result in written.iter().filter_map(|found| found.result.as_ref()) {
                    job.counts.count(result);
                }
            }
            Change::Ended(state, failure) => {
                // A stop that came at the last moment has nothing to stop.
                (job.state, job.failure) = (job.state.moved(state), failure);
                job.end_time = Some(self.lease.app.clock.now(conn).await?);
            }
        }
        bulk_cancellations::update(conn, &stored).await?;
        Ok(Some((stored, written)))
    }
}
