//! Bulk cancellations. They run beside the caller as on a real server, a few orders at a time, and
//! as fast as they can: nobody shares this server with them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use belay_domain::bulk::{
    BulkFilter, BulkOutcome, BulkSelection, Job, JobKey, JobOrder, JobState, OPEN_JOBS_MAX,
    ORDERS_MAX, OrderResult, sees_every_job,
};
use belay_domain::commands::{self, Command, Work};
use belay_domain::context::Context;
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{OrderId, OrderKey, StoreId, WarehouseId};
use belay_domain::order::Order;
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_wire::answers::ResponseContext;
use belay_wire::batch::{Answered, Reply};
use belay_wire::parse::bulk as parse;
use belay_wire::parse::bulk::NamedJob;
use belay_wire::status::CallError;
use belay_wire::views::Viewer;
use belay_wire::{answers, render};
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::call::{Answer, Call};
use crate::filters::has_sku;
use crate::server::Shared;
use crate::world::{Asked, World, new_id};

/// Orders that are asked before others get their turn.
const CHUNK: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Jobs {
    known: BTreeMap<JobKey, Stored>,
    /// Those that a task works at.
    pub(crate) working: HashSet<JobKey>,
}

#[derive(Debug)]
struct Stored {
    job: Job,
    orders: BTreeMap<OrderKey, JobOrder>,
}

impl Stored {
    fn add(&mut self, orders: impl IntoIterator<Item = OrderId>) {
        for order in orders {
            let order_key = OrderKey::of(&self.job.store, &order);
            let waiting = JobOrder {
                order_key,
                order,
                result: None,
            };
            self.orders.entry(order_key).or_insert(waiting);
        }
    }

    fn end(&mut self, state: JobState, failure: Option<ErrorReason>, now: Timestamp) {
        self.job.state = state;
        self.job.failure = failure;
        self.job.end_time = Some(now);
    }
}

/// Whether an order is one of those that a filter means.
fn is_meant(filter: &BulkFilter, order: &Order) -> bool {
    let destination = &order.destination;
    let lies_in = |warehouse: &WarehouseId| {
        let mut shipments = order.shipments.iter();
        shipments.any(|each| each.warehouse == *warehouse && each.stage.is_before_dispatch())
    };
    filter.states.contains(&order.state)
        && filter.sku.as_ref().is_none_or(|sku| has_sku(order, sku))
        && filter.warehouse.as_ref().is_none_or(lies_in)
        && filter
            .seller
            .as_ref()
            .is_none_or(|seller| order.seller == *seller)
        && filter
            .country
            .as_ref()
            .is_none_or(|code| destination.country_code == *code)
        && filter
            .city
            .as_ref()
            .is_none_or(|city| destination.city == *city)
        && filter
            .create_time_from
            .is_none_or(|from| order.create_time >= from)
        && filter
            .create_time_before
            .is_none_or(|before| order.create_time < before)
}

impl Jobs {
    /// Those that have not ended and that nobody works at, each from now on somebody's.
    pub(crate) fn take(&mut self) -> Vec<JobKey> {
        let open = self
            .known
            .iter()
            .filter(|(_, stored)| stored.job.state.is_open());
        let open = open.map(|(key, _)| *key);
        let taken: Vec<JobKey> = open.filter(|key| !self.working.contains(key)).collect();
        self.working.extend(&taken);
        taken
    }
}

impl World {
    fn job(&self, key: JobKey) -> Option<&Job> {
        self.jobs.known.get(&key).map(|stored| &stored.job)
    }

    /// Does the next piece of work of a job. False where nothing is left.
    pub(crate) fn work(&mut self, key: JobKey) -> bool {
        let now = self.now();
        let Some(stored) = self.jobs.known.get_mut(&key) else {
            return false;
        };
        match (stored.job.state, stored.job.selection.clone()) {
            (JobState::Selecting, BulkSelection::Filter(filter)) => {
                let (store, scope) = (&stored.job.store, &stored.job.caller.scope);
                let until = stored.job.create_time;
                let found = self.orders.values().filter(|order| {
                    order.store == *store
                        && scope.sees_order(order)
                        && order.create_time <= until
                        && is_meant(&filter, order)
                });
                let found: Vec<OrderId> = found.map(|order| order.id.clone()).collect();
                stored.add(found);
                let total = u32::try_from(stored.orders.len()).unwrap_or(u32::MAX);
                stored.job.counts.total = total;
                if total > ORDERS_MAX {
                    stored.end(JobState::Failed, Some(ErrorReason::LimitReached), now);
                } else {
                    stored.job.state = JobState::Running;
                }
                true
            }
            (JobState::Selecting, BulkSelection::Named(_)) | (JobState::Running, _) => {
                self.ask_next(key);
                true
            }
            (JobState::Stopping, _) => {
                stored.end(JobState::Stopped, None, now);
                false
            }
            (JobState::Completed | JobState::Stopped | JobState::Failed, _) => false,
        }
    }

    fn ask_next(&mut self, key: JobKey) {
        let now = self.now();
        let Some(stored) = self.jobs.known.get_mut(&key) else {
            return;
        };
        let waiting = stored
            .orders
            .values()
            .filter(|order| order.result.is_none());
        let waiting: Vec<OrderId> = waiting
            .take(CHUNK)
            .map(|order| order.order.clone())
            .collect();
        if waiting.is_empty() {
            stored.end(JobState::Completed, None, now);
            return;
        }
        let job = stored.job.clone();
        for order in waiting {
            let result = self.result(&job, &order);
            let result = result.unwrap_or(OrderResult::Failed(ErrorReason::Internal));
            if let Some(stored) = self.jobs.known.get_mut(&key) {
                stored.job.counts.count(&result);
                let of_order = stored.orders.get_mut(&OrderKey::of(&job.store, &order));
                of_order
                    .into_iter()
                    .for_each(|found| found.result = Some(result.clone()));
            }
        }
    }

    /// What comes of one order, or what would in a dry run.
    fn result(&mut self, job: &Job, order: &OrderId) -> Answer<OrderResult> {
        let config = self.config(&job.store)?;
        let request_id = job.key().request_id(order);
        let command = Command::RequestCancellation(job.command.clone());
        let reply = if job.is_dry_run {
            let Some(found) = self.orders.get(&OrderKey::of(&job.store, order)) else {
                return Ok(OrderResult::Rejected(Rejection::OrderNotFound));
            };
            let now = self.now().max(found.update_time);
            let context = Context {
                now,
                caller: &job.caller.actor,
                scope: &job.caller.scope,
                request_id,
                store: &config,
            };
            let decision = commands::decide(found, &command, None, &context);
            match decision.result {
                Ok(answer) => {
                    let response = ResponseContext {
                        answer: &answer,
                        order: &decision.order,
                        store: &config,
                        now,
                        request_id,
                        viewer: &Viewer::WHOLE,
                    };
                    Reply::Answer(Answered {
                        message: answers::render(&Work::Decide(command), &response),
                        version: decision.order.version,
                    })
                }
                Err(rejection) => Reply::Rejected(rejection),
            }
        } else {
            let asked = Asked {
                order,
                request_id,
                expected_version: None,
                work: &Work::Decide(command),
            };
            self.submit(&config, &job.caller, asked)?
        };
        match reply {
            Reply::Answer(answer) => {
                answers::bulk_result(&answer.message).map_err(CallError::Internal)
            }
            Reply::Rejected(rejection) => Ok(OrderResult::Rejected(rejection)),
        }
    }
}

impl Call<'_> {
    /// A job that the caller does not see is not there.
    fn seen(&self, store: &StoreId, id: Uuid) -> Answer<&Job> {
        self.config(store)?;
        let job = self.world.job(JobKey::of(store, id));
        let job = job.filter(|job| job.is_seen_by(&self.caller));
        job.ok_or(CallError::BulkCancellationNotFound { id })
    }
}

pub(crate) fn start_bulk_cancellation(
    call: &mut Call<'_>,
    request: pb::StartBulkCancellationRequest,
) -> Answer<pb::StartBulkCancellationResponse> {
    let asked = parse::start_bulk_cancellation(request, &call.reader())?;
    call.config(&asked.store)?;
    let (mut job, orders) = asked.job(&call.caller, new_id);
    let jobs = &mut call.world.jobs.known;
    let open = jobs.values().filter(|stored| stored.job.store == job.store);
    let open = open.filter(|stored| stored.job.state.is_open()).count();
    let key = job.key();
    match jobs.get(&key) {
        Some(present) if !present.job.repeats(&job) => {
            return Err(CallError::RequestIdReused { request_id: job.id });
        }
        Some(present) => job = present.job.clone(),
        None if open >= OPEN_JOBS_MAX => {
            return Err(CallError::BulkCancellationsExhausted {
                limit_max: OPEN_JOBS_MAX,
            });
        }
        None => {
            job.create_time = call.now;
            let mut stored = Stored {
                job: job.clone(),
                orders: BTreeMap::new(),
            };
            stored.add(orders);
            jobs.insert(key, stored);
        }
    }
    Ok(pb::StartBulkCancellationResponse {
        bulk_cancellation: Some(render::bulk_cancellation(&job)),
    })
}

pub(crate) fn get_bulk_cancellation(
    call: &mut Call<'_>,
    request: pb::GetBulkCancellationRequest,
) -> Answer<pb::GetBulkCancellationResponse> {
    let named = parse::get_bulk_cancellation(request, &call.reader())?;
    let job = call.seen(&named.store, named.id)?;
    Ok(pb::GetBulkCancellationResponse {
        bulk_cancellation: Some(render::bulk_cancellation(job)),
    })
}

pub(crate) fn list_bulk_cancellations(
    call: &mut Call<'_>,
    request: pb::ListBulkCancellationsRequest,
) -> Answer<pb::ListBulkCancellationsResponse> {
    let list = parse::list_bulk_cancellations(request, &call.reader())?;
    call.config(&list.store)?;
    let before: Option<(i64, [u8; 16])> = list.page.after()?;
    let place = |job: &Job| (job.create_time.as_microsecond(), job.key().0);
    let sees_all = sees_every_job(&call.caller);
    let jobs = call.world.jobs.known.values().map(|stored| &stored.job);
    let mut found: Vec<&Job> = jobs
        .filter(|job| job.store == list.store)
        .filter(|job| sees_all || job.caller == call.caller)
        .filter(|job| before.is_none_or(|before| place(job) < before))
        .collect();
    found.sort_by_key(|job| std::cmp::Reverse(place(job)));
    found.truncate(list.page.limit().into());
    let show = |job: &&Job| Some(render::bulk_cancellation(job));
    let (bulk_cancellations, next_page_token) = list.page.cut(&found, show, |job| place(job));
    Ok(pb::ListBulkCancellationsResponse {
        bulk_cancellations,
        next_page_token,
    })
}

pub(crate) fn list_bulk_results(
    call: &mut Call<'_>,
    request: pb::ListBulkResultsRequest,
) -> Answer<pb::ListBulkResultsResponse> {
    let list = parse::list_bulk_results(request, &call.reader())?;
    let after: Option<[u8; 16]> = list.page.after()?;
    let job = call.seen(&list.store, list.filter.job)?;
    let outcome = list.filter.outcome;
    let stored = call.world.jobs.known.get(&job.key());
    let orders = stored.into_iter().flat_map(|stored| stored.orders.values());
    let found = orders.filter(|found| {
        let is = found
            .result
            .as_ref()
            .map_or(BulkOutcome::Waiting, OrderResult::outcome);
        outcome.is_none_or(|outcome| is == outcome)
            && after.is_none_or(|after| found.order_key.0 > after)
    });
    let found: Vec<&JobOrder> = found.take(list.page.limit().into()).collect();
    let show = |found: &&JobOrder| Some(render::bulk_result(job, found));
    let (results, next_page_token) = list.page.cut(&found, show, |found| found.order_key.0);
    Ok(pb::ListBulkResultsResponse {
        results,
        next_page_token,
    })
}

pub(crate) fn stop_bulk_cancellation(
    call: &mut Call<'_>,
    request: pb::StopBulkCancellationRequest,
) -> Answer<pb::StopBulkCancellationResponse> {
    let named = parse::stop_bulk_cancellation(request, &call.reader())?;
    let key = call.seen(&named.store, named.id)?.key();
    let stored = call.world.jobs.known.get_mut(&key);
    let job = stored.map(|stored| {
        stored.job.state = stored.job.state.stopping();
        render::bulk_cancellation(&stored.job)
    });
    Ok(pb::StopBulkCancellationResponse {
        bulk_cancellation: job,
    })
}

/// A watch of a job that has begun.
#[derive(Debug)]
pub(crate) struct Watch {
    named: NamedJob,
    last: Option<Job>,
    moved: watch::Receiver<()>,
}

pub(crate) fn watch_bulk_cancellation(
    call: &mut Call<'_>,
    request: pb::WatchBulkCancellationRequest,
    moved: watch::Receiver<()>,
) -> Answer<Watch> {
    let named = parse::watch_bulk_cancellation(request, &call.reader())?;
    call.seen(&named.store, named.id)?;
    Ok(Watch {
        named,
        last: None,
        moved,
    })
}

impl Watch {
    /// The job as it is, and whenever it has changed, until it has ended.
    pub(crate) async fn next(
        &mut self,
        shared: &Arc<Shared>,
    ) -> Option<pb::WatchBulkCancellationResponse> {
        let has_ended = |job: &Job| job.end_time.is_some();
        if self.last.as_ref().is_some_and(has_ended) {
            return None;
        }
        loop {
            self.moved.mark_unchanged();
            let key = JobKey::of(&self.named.store, self.named.id);
            let job = shared.world().job(key).cloned();
            if job != self.last {
                self.last = job;
                let shown = self.last.as_ref().map(render::bulk_cancellation);
                return Some(pb::WatchBulkCancellationResponse {
                    bulk_cancellation: shown,
                });
            }
            tokio::select! {
                moved = self.moved.changed() => moved.ok()?,
                () = shared.closing.cancelled() => return None,
            }
        }
    }
}
