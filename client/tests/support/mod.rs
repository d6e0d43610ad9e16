//! A server in the test's own process, which answers what the test tells it to and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use belay_client::{Belay, BelayBuilder, RetryPolicy, Store};
use belay_proto::v1::cancellation_service_server::{CancellationService, CancellationServiceServer};
use belay_proto::v1::refund_service_server::{RefundService, RefundServiceServer};
use belay_proto::v1::*;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What the server does with one call.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Answers that there is nothing.
    Answer,
    /// Fails.
    Fail(Status),
    /// Never answers.
    Hang,
    /// Answers with refunds of these ids and the token of the next page.
    Refunds(&'static [&'static str], &'static str),
    /// Answers with refunds of these ids, after a while.
    Slow(&'static [&'static str], Duration),
}

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) request_id: String,
    pub(crate) headers: MetadataMap,
    pub(crate) page_token: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    steps: VecDeque<Step>,
    seen: Vec<Seen>,
}

impl Script {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Remembers the call and does the next step.
    async fn step(&self, request_id: &str, headers: &MetadataMap) -> Result<(), Status> {
        let request_id = request_id.to_owned();
        let seen = Seen { request_id, headers: headers.clone(), page_token: String::new() };
        match self.next_step(seen) {
            Some(Step::Answer | Step::Refunds(..) | Step::Slow(..)) => Ok(()),
            Some(Step::Fail(status)) => Err(status),
            Some(Step::Hang) => std::future::pending().await,
            None => Err(Status::internal("the script has no step")),
        }
    }

    /// The last step is done for ever.
    fn next_step(&self, seen: Seen) -> Option<Step> {
        let mut state = self.state();
        state.seen.push(seen);
        match state.steps.len() {
            1 => state.steps.front().cloned(),
            _ => state.steps.pop_front(),
        }
    }
}

/// A refund with all that the manual promises.
fn refund(id: &str) -> Refund {
    let money = || Some(Money { currency_code: "EUR".to_owned(), minor_units: 1 });
    let amount = RefundAmount { goods: money(), tax: money(), shipping: money(), excess: money(), total: money() };
    let time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 });
    Refund { refund_id: id.to_owned(), amount: Some(amount), due_by: time, create_time: time, ..Default::default() }
}

#[tonic::async_trait]
impl CancellationService for Script {
    async fn preview_cancellation(
        &self,
        request: Request<PreviewCancellationRequest>,
    ) -> Result<Response<PreviewCancellationResponse>, Status> {
        self.step("", request.metadata()).await?;
        Ok(Response::new(PreviewCancellationResponse::default()))
    }

    async fn request_cancellation(
        &self,
        request: Request<RequestCancellationRequest>,
    ) -> Result<Response<RequestCancellationResponse>, Status> {
        let request_id = request.get_ref().request_id.clone();
        self.step(&request_id, request.metadata()).await?;
        Ok(Response::new(RequestCancellationResponse { request_id, ..Default::default() }))
    }

    async fn get_cancellation(
        &self,
        request: Request<GetCancellationRequest>,
    ) -> Result<Response<GetCancellationResponse>, Status> {
        self.step("", request.metadata()).await?;
        Ok(Response::new(GetCancellationResponse::default()))
    }

    async fn list_cancellations(
        &self,
        request: Request<ListCancellationsRequest>,
    ) -> Result<Response<ListCancellationsResponse>, Status> {
        self.step("", request.metadata()).await?;
        Ok(Response::new(ListCancellationsResponse { next_page_token: "more".to_owned(), ..Default::default() }))
    }

    async fn summarize_actions(
        &self,
        request: Request<SummarizeActionsRequest>,
    ) -> Result<Response<SummarizeActionsResponse>, Status> {
        self.step("", request.metadata()).await?;
        Ok(Response::new(SummarizeActionsResponse::default()))
    }
}

#[tonic::async_trait]
impl RefundService for Script {
    async fn get_refund(&self, request: Request<GetRefundRequest>) -> Result<Response<GetRefundResponse>, Status> {
        self.step("", request.metadata()).await?;
        Ok(Response::new(GetRefundResponse::default()))
    }

    async fn list_refunds(
        &self,
        request: Request<ListRefundsRequest>,
    ) -> Result<Response<ListRefundsResponse>, Status> {
        let page_token = request.get_ref().page_token.clone();
        let seen = Seen { request_id: String::new(), headers: request.metadata().clone(), page_token };
        let (ids, next_page_token) = match self.next_step(seen) {
            Some(Step::Refunds(ids, next)) => (ids, next.to_owned()),
            Some(Step::Slow(ids, delay)) => {
                tokio::time::sleep(delay).await;
                (ids, String::new())
            }
            Some(Step::Fail(status)) => return Err(status),
            other => return Err(Status::internal(format!("no step of a list: {other:?}"))),
        };
        let refunds = ids.iter().map(|id| refund(id)).collect();
        Ok(Response::new(ListRefundsResponse { refunds, next_page_token }))
    }

    async fn claim_refunds(
        &self,
        request: Request<ClaimRefundsRequest>,
    ) -> Result<Response<ClaimRefundsResponse>, Status> {
        self.step("", request.metadata()).await?;
        Ok(Response::new(ClaimRefundsResponse::default()))
    }

    async fn record_refund_result(
        &self,
        request: Request<RecordRefundResultRequest>,
    ) -> Result<Response<RecordRefundResultResponse>, Status> {
        let request_id = request.get_ref().request_id.clone();
        self.step(&request_id, request.metadata()).await?;
        Ok(Response::new(RecordRefundResultResponse { request_id, ..Default::default() }))
    }
}

/// A running server with its script.
pub(crate) struct Fake {
    pub(crate) script: Script,
    address: String,
    server: JoinSet<()>,
}

impl Fake {
    pub(crate) async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Script::default();
        script.state().steps.extend(steps);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serve = Server::builder()
            .add_service(CancellationServiceServer::new(script.clone()))
            .add_service(RefundServiceServer::new(script.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let mut server = JoinSet::new();
        server.spawn(async { serve.await.unwrap() });
        Self { script, address, server }
    }

    /// A client that loses no time between attempts.
    pub(crate) fn builder(&self) -> BelayBuilder {
        let millisecond = Duration::from_millis(1);
        Belay::builder(&self.address).retry(RetryPolicy::default().with_delays(millisecond, millisecond))
    }

    pub(crate) fn store(&self) -> Store {
        self.builder().build().unwrap().store("demo")
    }

    pub(crate) async fn kill(&mut self) {
        self.server.shutdown().await;
    }
}

/// A status as Belay sends it.
pub(crate) fn refusal(code: Code, reason: &str, mut details: ErrorDetails) -> Status {
    details.set_error_info(reason, "belay", [("order_id".to_owned(), "A-1".to_owned())]);
    Status::with_error_details(code, "wording", details)
}

/// UNAVAILABLE, with the wish to be left alone for a while.
pub(crate) fn unavailable(retry_delay: Duration) -> Step {
    let details = ErrorDetails::with_retry_info(Some(retry_delay));
    Step::Fail(refusal(Code::Unavailable, "DATABASE_UNAVAILABLE", details))
}
