//! The BulkService.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::bulk::{Job, JobKey, JobOrder};
use belay_domain::ids::OrderKey;
use belay_domain::scope::Caller;
use belay_proto::v1 as pb;
use belay_proto::v1::bulk_service_server::BulkService;
use belay_wire::parse::bulk as parse;
use belay_wire::parse::bulk::NamedJob;
use belay_wire::render;
use belay_wire::status::CallError;
use futures_util::{Stream, stream};
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tonic::{Request, Status};

use super::call::{MethodResult, answer, status};
use crate::{App, bulk};

/// Streams that are open at once; one more is shed.
const WATCHES_MAX: usize = 256;
/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(500);
/// The longest that a stream lasts. Who begins again is authenticated again.
const WATCH_MAX: Duration = Duration::from_secs(30 * 60);

#[derive(Debug)]
pub(super) struct Bulk {
    app: Arc<App>,
    watches: Arc<Semaphore>,
}

impl Bulk {
    pub(super) fn new(app: Arc<App>) -> Self {
        let watches = Arc::new(Semaphore::new(WATCHES_MAX));
        Self { app, watches }
    }
}

type WatchStream =
    Pin<Box<dyn Stream<Item = Result<pb::WatchBulkCancellationResponse, Status>> + Send>>;

#[tonic::async_trait]
impl BulkService for Bulk {
    type WatchBulkCancellationStream = WatchStream;

    async fn start_bulk_cancellation(
        &self,
        request: Request<pb::StartBulkCancellationRequest>,
    ) -> MethodResult<pb::StartBulkCancellationResponse> {
        answer(async {
            let (call, asked) = self.app.read(request, parse::start_bulk_cancellation)?;
            self.app.config(&call, &asked.store).await?;
            let job = bulk::start(&self.app, &call.caller, asked).await?;
            Ok(pb::StartBulkCancellationResponse {
                bulk_cancellation: Some(render::bulk_cancellation(&job)),
            })
        })
        .await
    }

    async fn get_bulk_cancellation(
        &self,
        request: Request<pb::GetBulkCancellationRequest>,
    ) -> MethodResult<pb::GetBulkCancellationResponse> {
        answer(async {
            let (call, named) = self.app.read(request, parse::get_bulk_cancellation)?;
            self.app.config(&call, &named.store).await?;
            let job = bulk::get(&self.app, &call.caller, &named.store, named.id).await?;
            Ok(pb::GetBulkCancellationResponse {
                bulk_cancellation: Some(render::bulk_cancellation(&job)),
            })
        })
        .await
    }

    async fn list_bulk_cancellations(
        &self,
        request: Request<pb::ListBulkCancellationsRequest>,
    ) -> MethodResult<pb::ListBulkCancellationsResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_bulk_cancellations)?;
            self.app.config(&call, &list.store).await?;
            let before: Option<(i64, [u8; 16])> = list.page.after()?;
            let before = before.map(|(micros, key)| {
                let time = Timestamp::from_microsecond(micros);
                time.map(|time| (time, JobKey(key)))
                    .map_err(|_| CallError::PageTokenInvalid)
            });
            let (before, limit) = (before.transpose()?, list.page.limit());
            let _turn = self.app.page_turn(&call).await?;
            let found = bulk::list(&self.app, &call.caller, &list.store, before, limit).await?;
            let place = |job: &Job| (job.create_time.as_microsecond(), job.key().0);
            let show = |job: &Job| Some(render::bulk_cancellation(job));
            let (bulk_cancellations, next_page_token) = list.page.cut(&found, show, place);
            Ok(pb::ListBulkCancellationsResponse {
                bulk_cancellations,
                next_page_token,
            })
        })
        .await
    }

    async fn watch_bulk_cancellation(
        &self,
        request: Request<pb::WatchBulkCancellationRequest>,
    ) -> MethodResult<WatchStream> {
        answer(async {
            let (call, named) = self.app.read(request, parse::watch_bulk_cancellation)?;
            self.app.config(&call, &named.store).await?;
            let permit = self.watches.clone().try_acquire_owned();
            let permit = permit.map_err(|_| CallError::Overloaded)?;
            let job = bulk::get(&self.app, &call.caller, &named.store, named.id).await?;
            let watch = BulkWatch {
                app: self.app.clone(),
                caller: call.caller,
                named,
                until: Instant::now() + WATCH_MAX,
                _permit: permit,
            };
            Ok(watch.stream(job))
        })
        .await
    }

    async fn list_bulk_results(
        &self,
        request: Request<pb::ListBulkResultsRequest>,
    ) -> MethodResult<pb::ListBulkResultsResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_bulk_results)?;
            self.app.config(&call, &list.store).await?;
            let after: Option<[u8; 16]> = list.page.after()?;
            let _turn = self.app.page_turn(&call).await?;
            let (job, found) = bulk::results(
                &self.app,
                &call.caller,
                (&list.store, list.filter.job),
                list.filter.outcome,
                after.map(OrderKey),
                list.page.limit(),
            )
            .await?;
            let place = |found: &JobOrder| found.order_key.0;
            let show = |found: &JobOrder| Some(render::bulk_result(&job, found));
            let (results, next_page_token) = list.page.cut(&found, show, place);
            Ok(pb::ListBulkResultsResponse {
                results,
                next_page_token,
            })
        })
        .await
    }

    async fn stop_bulk_cancellation(
        &self,
        request: Request<pb::StopBulkCancellationRequest>,
    ) -> MethodResult<pb::StopBulkCancellationResponse> {
        answer(async {
            let (call, named) = self.app.read(request, parse::stop_bulk_cancellation)?;
            self.app.config(&call, &named.store).await?;
            let job = bulk::stop(&self.app, &call.caller, &named.store, named.id).await?;
            Ok(pb::StopBulkCancellationResponse {
                bulk_cancellation: Some(render::bulk_cancellation(&job)),
            })
        })
        .await
    }
}

/// One watch of a job.
struct BulkWatch {
    app: Arc<App>,
    caller: Caller,
    named: NamedJob,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl BulkWatch {
    /// The job as it is, and whenever it has changed, until it has ended.
    fn stream(self, job: Job) -> WatchStream {
        let first = Ok(shown(&job));
        let rest = stream::unfold(Some((self, job)), async |watching| {
            let (watch, job) = watching?;
            match watch.change(&job).await? {
                Ok(job) => Some((Ok(shown(&job)), Some((watch, job)))),
                Err(error) => Some((Err(status(error)), None)),
            }
        });
        Box::pin(stream::StreamExt::chain(stream::iter([first]), rest))
    }

    /// Waits for a change; None where none comes any more, or the stream is to end.
    async fn change(&self, last: &Job) -> Option<Result<Job, CallError>> {
        while last.end_time.is_none() && Instant::now() < self.until {
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.app.closing.cancelled() => return None,
            }
            let NamedJob { store, id } = &self.named;
            match bulk::get(&self.app, &self.caller, store, *id).await {
                Ok(job) if job == *last => {}
                // While the database is away nothing is known to have changed.
                Err(CallError::DatabaseUnavailable | CallError::Overloaded) => {}
                looked => return Some(looked),
            }
        }
        None
    }
}

fn shown(job: &Job) -> pb::WatchBulkCancellationResponse {
    pb::WatchBulkCancellationResponse {
        bulk_cancellation: Some(render::bulk_cancellation(job)),
    }
}
