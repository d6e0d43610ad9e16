//! A server in the test's own process, which answers what the test tells it to and remembers what
//! it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use belay_client::{Belay, BelayBuilder, RetryPolicy, Store};
use belay_proto::v1::cancellation_service_server::{
    CancellationService, CancellationServiceServer,
};
use belay_proto::v1::fulfillment_service_server::{FulfillmentService, FulfillmentServiceServer};
use belay_proto::v1::refund_service_server::{RefundService, RefundServiceServer};
use belay_proto::v1::*;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The step of the server with one call.
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
    /// Answers with refunds of these ids, once it is let.
    Held(&'static [&'static str], Arc<Notify>),
}

/// The calls that the server has seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) request_id: String,
    pub(crate) headers: MetadataMap,
    pub(crate) page_token: String,
    message: Vec<u8>,
}

impl Seen {
    /// The request as it came.
    pub(crate) fn message<M: Message + Default>(&self) -> M {
        M::decode(self.message.as_slice()).unwrap()
    }
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

    /// Waits until so many calls have come.
    pub(crate) async fn until_seen(&self, calls: usize) {
        while self.seen().len() < calls {
            tokio::task::yield_now().await;
        }
    }

    /// Remembers the call and does the next step.
    async fn step(&self, request_id: &str, request: &Request<impl Message>) -> Result<(), Status> {
        match self.next_step(request_id, "", request) {
            Some(Step::Answer | Step::Refunds(..) | Step::Held(..)) => Ok(()),
            Some(Step::Fail(status)) => Err(status),
            Some(Step::Hang) => std::future::pending().await,
            None => Err(Status::internal("the script has no step")),
        }
    }

    /// The last step is done for ever.
    fn next_step(
        &self,
        request_id: &str,
        page_token: &str,
        request: &Request<impl Message>,
    ) -> Option<Step> {
        let mut state = self.state();
        state.seen.push(Seen {
            request_id: request_id.to_owned(),
            headers: request.metadata().clone(),
            page_token: page_token.to_owned(),
            message: request.get_ref().encode_to_vec(),
        });
        match state.steps.len() {
            1 => state.steps.front().cloned(),
            _ => state.steps.pop_front(),
        }
    }
}

/// A refund with all that the manual promises.
fn refund(id: &str) -> Refund {
    let money = || {
        Some(Money {
            currency_code: "EUR".to_owned(),
            minor_units: 1,
        })
    };
    let amount = RefundAmount {
        goods: money(),
        tax: money(),
        shipping: money(),
        excess: money(),
        total: money(),
    };
    let time = Some(prost_types::Timestamp {
        seconds: 1_800_000_000,
        nanos: 0,
    });
    Refund {
        refund_id: id.to_owned(),
        amount: Some(amount),
        due_by: time,
        create_time: time,
        ..Default::default()
    }
}

/// A service that does as the script says, and then answers that there is nothing: with the key of
/// a write, and with more pages to a list.
macro_rules! service {
    (@key keyed, $request:ident) => {
        $request.get_ref().request_id.clone()
    };
    (@key $other:ident, $request:ident) => {
        String::new()
    };
    (@answer keyed, $request_id:ident, $response:ident) => {
        $response { request_id: $request_id, ..Default::default() }
    };
    (@answer paged, $request_id:ident, $response:ident) => {
        $response { next_page_token: "more".to_owned(), ..Default::default() }
    };
    (@answer plain, $request_id:ident, $response:ident) => {
        $response::default()
    };
    ($service:ident { $($method:ident($request:ident) -> $response:ident, $kind:ident;)+ }) => {
        #[tonic::async_trait]
        impl $service for Script {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let request_id = service!(@key $kind, request);
                self.step(&request_id, &request).await?;
                Ok(Response::new(service!(@answer $kind, request_id, $response)))
            })+
        }
    };
}

service! {
    CancellationService {
        preview_cancellation(PreviewCancellationRequest) -> PreviewCancellationResponse, plain;
        list_reasons(ListReasonsRequest) -> ListReasonsResponse, plain;
        request_cancellation(RequestCancellationRequest) -> RequestCancellationResponse, keyed;
        get_cancellation(GetCancellationRequest) -> GetCancellationResponse, plain;
        list_cancellations(ListCancellationsRequest) -> ListCancellationsResponse, paged;
        approve_cancellation(ApproveCancellationRequest) -> ApproveCancellationResponse, keyed;
        reject_cancellation(RejectCancellationRequest) -> RejectCancellationResponse, keyed;
        withdraw_cancellation(WithdrawCancellationRequest) -> WithdrawCancellationResponse, keyed;
        list_incidents(ListIncidentsRequest) -> ListIncidentsResponse, paged;
        resolve_incident(ResolveIncidentRequest) -> ResolveIncidentResponse, keyed;
        summarize_actions(SummarizeActionsRequest) -> SummarizeActionsResponse, plain;
        update_cancellation_metadata(UpdateCancellationMetadataRequest) -> UpdateCancellationMetadataResponse, keyed;
    }
}

service! {
    FulfillmentService {
        get_shipment(GetShipmentRequest) -> GetShipmentResponse, plain;
        list_shipments(ListShipmentsRequest) -> ListShipmentsResponse, paged;
        start_preparation(StartPreparationRequest) -> StartPreparationResponse, keyed;
        mark_ready(MarkReadyRequest) -> MarkReadyResponse, keyed;
        dispatch_shipment(DispatchShipmentRequest) -> DispatchShipmentResponse, keyed;
        record_tracking(RecordTrackingRequest) -> RecordTrackingResponse, keyed;
        hold_shipment(HoldShipmentRequest) -> HoldShipmentResponse, keyed;
        release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse, keyed;
        split_shipment(SplitShipmentRequest) -> SplitShipmentResponse, keyed;
        answer_stop(AnswerStopRequest) -> AnswerStopResponse, keyed;
        answer_intercept(AnswerInterceptRequest) -> AnswerInterceptResponse, keyed;
        receive_parcel(ReceiveParcelRequest) -> ReceiveParcelResponse, keyed;
    }
}

#[tonic::async_trait]
impl RefundService for Script {
    async fn get_refund(
        &self,
        request: Request<GetRefundRequest>,
    ) -> Result<Response<GetRefundResponse>, Status> {
        self.step("", &request).await?;
        Ok(Response::new(GetRefundResponse::default()))
    }

    async fn list_refunds(
        &self,
        request: Request<ListRefundsRequest>,
    ) -> Result<Response<ListRefundsResponse>, Status> {
        let (ids, next_page_token) =
            match self.next_step("", &request.get_ref().page_token, &request) {
                Some(Step::Refunds(ids, next)) => (ids, next.to_owned()),
                Some(Step::Held(ids, let_go)) => {
                    let_go.notified().await;
                    (ids, String::new())
                }
                Some(Step::Fail(status)) => return Err(status),
                // Nothing, and more pages.
                Some(Step::Answer) => (&[][..], "more".to_owned()),
                other @ (Some(Step::Hang) | None) => {
                    return Err(Status::internal(format!("no step of a list: {other:?}")));
                }
            };
        let refunds = ids.iter().map(|id| refund(id)).collect();
        Ok(Response::new(ListRefundsResponse {
            refunds,
            next_page_token,
        }))
    }

    async fn claim_refunds(
        &self,
        request: Request<ClaimRefundsRequest>,
    ) -> Result<Response<ClaimRefundsResponse>, Status> {
        self.step("", &request).await?;
        Ok(Response::new(ClaimRefundsResponse::default()))
    }

    async fn record_refund_result(
        &self,
        request: Request<RecordRefundResultRequest>,
    ) -> Result<Response<RecordRefundResultResponse>, Status> {
        let request_id = request.get_ref().request_id.clone();
        self.step(&request_id, &request).await?;
        Ok(Response::new(RecordRefundResultResponse {
            request_id,
            ..Default::default()
        }))
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
        Self::start_with(steps, None).await
    }

    /// One that speaks TLS.
    pub(crate) async fn start_tls(
        steps: impl IntoIterator<Item = Step>,
        tls: ServerTlsConfig,
    ) -> Self {
        Self::start_with(steps, Some(tls)).await
    }

    async fn start_with(
        steps: impl IntoIterator<Item = Step>,
        tls: Option<ServerTlsConfig>,
    ) -> Self {
        let script = Script::default();
        script.state().steps.extend(steps);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let server = match tls {
            None => Server::builder(),
            Some(tls) => Server::builder().tls_config(tls).unwrap(),
        };
        let mut server = server;
        let serve = server
            .add_service(CancellationServiceServer::new(script.clone()))
            .add_service(FulfillmentServiceServer::new(script.clone()))
            .add_service(RefundServiceServer::new(script.clone()))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let mut server = JoinSet::new();
        server.spawn(async { serve.await.unwrap() });
        Self {
            script,
            address,
            server,
        }
    }

    /// A client that loses no time between attempts.
    pub(crate) fn builder(&self) -> BelayBuilder {
        let millisecond = Duration::from_millis(1);
        Belay::builder(&self.address)
            .retry(RetryPolicy::default().with_delays(millisecond, millisecond))
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn store(&self) -> Store {
        self.builder().build().unwrap().store("demo")
    }

    pub(crate) async fn kill(&mut self) {
        self.server.shutdown().await;
    }
}

/// A status as Belay sends it.
pub(crate) fn rejection(code: Code, reason: &str, mut details: ErrorDetails) -> Status {
    details.set_error_info(reason, "belay", [("order_id".to_owned(), "A-1".to_owned())]);
    Status::with_error_details(code, "wording", details)
}

/// UNAVAILABLE, with RetryInfo: not to be asked again for a while.
pub(crate) fn unavailable(retry_delay: Duration) -> Step {
    let details = ErrorDetails::with_retry_info(Some(retry_delay));
    Step::Fail(rejection(
        Code::Unavailable,
        "DATABASE_UNAVAILABLE",
        details,
    ))
}
