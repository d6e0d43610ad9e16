//! A small Belay in the test's own process: a feed of one partition, consumers, cancellations,
//! shipments and refunds, with the faults that the test wants. The token behind a position is the
//! position.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use belay_proto::v1::cancellation_service_server::{
    CancellationService, CancellationServiceServer,
};
use belay_proto::v1::event_service_server::{EventService, EventServiceServer};
use belay_proto::v1::fulfillment_service_server::{FulfillmentService, FulfillmentServiceServer};
use belay_proto::v1::refund_service_server::{RefundService, RefundServiceServer};
use belay_proto::v1::watch_events_request::Begin;
use belay_proto::v1::*;
use futures_util::{Stream, stream};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::rejection;

/// The course of one stream; those that follow go well.
#[derive(Debug, Clone)]
pub(crate) enum Goes {
    /// It is refused.
    Refused(Status),
    /// It sends so many messages, and then no more.
    Silent(usize),
    /// It sends so many messages, and ends.
    Ends(usize),
    /// It sends so many messages, and fails.
    Fails(usize, Status),
    /// It begins at the oldest event whatever its token says.
    Repeats,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) events: Vec<Event>,
    /// Events up to here are no longer kept.
    pub(crate) expired: i64,
    /// By store and name.
    pub(crate) consumers: HashMap<(String, String), i64>,
    pub(crate) commits: Vec<i64>,
    /// So many commits are done, and their answers lost.
    pub(crate) lost_commits: usize,
    /// So many reads of a consumer fail.
    pub(crate) lost_reads: usize,
    pub(crate) streams: VecDeque<Goes>,
    pub(crate) watches: Vec<WatchEventsRequest>,
    pub(crate) cancellations: Vec<Cancellation>,
    pub(crate) shipments: Vec<Shipment>,
    /// What happens before a cancellation is read: what nobody may miss.
    pub(crate) meanwhile: VecDeque<CancellationState>,
    pub(crate) reads: usize,
    pub(crate) refunds: Vec<Refund>,
    /// So many claims are made, and their answers lost.
    pub(crate) lost_claims: usize,
    /// Claimed refunds are in a state that no client knows yet.
    pub(crate) strange_states: bool,
    /// So many results are recorded, and the answers lost.
    pub(crate) lost_records: usize,
    pub(crate) claims: Vec<ClaimRefundsRequest>,
    pub(crate) records: Vec<RecordRefundResultRequest>,
    /// The time that the caller gave to each of them.
    pub(crate) record_times: Vec<Duration>,
}

#[derive(Clone)]
pub(crate) struct World {
    state: Arc<Mutex<State>>,
    moved: watch::Sender<()>,
    /// Streams that are open.
    open: Arc<AtomicUsize>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
            moved: watch::Sender::new(()),
            open: Arc::default(),
        }
    }

    pub(crate) fn routes(&self) -> Routes {
        Routes::new(EventServiceServer::new(self.clone()))
            .add_service(CancellationServiceServer::new(self.clone()))
            .add_service(FulfillmentServiceServer::new(self.clone()))
            .add_service(RefundServiceServer::new(self.clone()))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds events of one command.
    pub(crate) fn commit(&self, events: impl IntoIterator<Item = Event>) {
        let state = &mut *self.state();
        let version = state.events.last().map_or(1, |last| last.order_version + 1);
        for mut event in events {
            event.position = state.events.len() as i64 + 1;
            event.order_version = version;
            state.events.push(event);
        }
        self.moved.send_replace(());
    }

    /// Waits until the state is as it should be.
    pub(crate) async fn until(&self, is_so: impl Fn(&State) -> bool) {
        while !is_so(&self.state()) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn until_nobody_watches(&self) {
        while self.open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }

    /// The leases of all refunds end: the server's clock goes forward.
    pub(crate) fn end_leases(&self) {
        for refund in &mut self.state().refunds {
            if refund.state() == RefundState::Submitted {
                refund.set_state(RefundState::Unknown);
            }
            refund.lease_until = None;
        }
    }
}

pub(crate) fn an_event(event_type: i32) -> Event {
    Event {
        event_type,
        store_id: "demo".to_owned(),
        order_id: "A-1".to_owned(),
        event_time: Some(time(0)),
        actor: Some(Actor::default()),
        cause: "deadline".to_owned(),
        ..Default::default()
    }
}

pub(crate) fn time(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: 1_800_000_000 + seconds,
        nanos: 0,
    }
}

pub(crate) fn money() -> Option<Money> {
    Some(Money {
        currency_code: "EUR".to_owned(),
        minor_units: 100,
    })
}

pub(crate) fn amount() -> Option<RefundAmount> {
    Some(RefundAmount {
        goods: money(),
        tax: money(),
        shipping: money(),
        excess: money(),
        total: money(),
    })
}

pub(crate) fn a_cancellation(id: &str) -> Cancellation {
    Cancellation {
        cancellation_id: id.to_owned(),
        order_id: id.split(':').next().unwrap_or_default().to_owned(),
        state: CancellationState::Pending.into(),
        requester: Some(Actor::default()),
        submitted_by: Some(Actor::default()),
        expected_refund: amount(),
        expected_release: money(),
        create_time: Some(time(0)),
        ..Default::default()
    }
}

pub(crate) fn a_refund(id: &str) -> Refund {
    Refund {
        refund_id: id.to_owned(),
        order_id: id.split(':').next().unwrap_or_default().to_owned(),
        provider_key: format!("key-{id}"),
        kind: RefundKind::Refund.into(),
        state: RefundState::Due.into(),
        amount: amount(),
        due_by: Some(time(0)),
        create_time: Some(time(0)),
        ..Default::default()
    }
}

/// A `grpc-timeout`.
fn duration(header: &str) -> Duration {
    let (number, unit) = header.split_at(header.len() - 1);
    let number = number.parse().unwrap();
    match unit {
        "n" => Duration::from_nanos(number),
        "u" => Duration::from_micros(number),
        "m" => Duration::from_millis(number),
        "S" => Duration::from_secs(number),
        other => panic!("{other} is too long for a test"),
    }
}

/// A stream that is counted while it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The position of one stream.
struct Reader {
    world: World,
    moved: watch::Receiver<()>,
    position: i64,
    sent: usize,
    fault: Option<Goes>,
    _open: Open,
}

impl Reader {
    /// The next message; none at the end.
    async fn next(&mut self) -> Option<Result<WatchEventsResponse, Status>> {
        match &self.fault {
            Some(Goes::Silent(after)) if self.sent >= *after => std::future::pending().await,
            Some(Goes::Ends(after)) if self.sent >= *after => return None,
            Some(Goes::Fails(after, status)) if self.sent >= *after => {
                let status = status.clone();
                self.fault = Some(Goes::Ends(0));
                return Some(Err(status));
            }
            _ => {}
        }
        self.sent += 1;
        if self.sent == 1 {
            return Some(Ok(bookmark(self.position)));
        }
        loop {
            self.moved.borrow_and_update();
            let events = self.events();
            if let Some(last) = events.last() {
                self.position = last.position;
                return Some(Ok(WatchEventsResponse {
                    events,
                    resume_token: self.position.to_string(),
                    ..Default::default()
                }));
            }
            self.moved.changed().await.ok()?;
        }
    }

    /// The events of the next command.
    fn events(&self) -> Vec<Event> {
        let state = self.world.state();
        let mut behind = state
            .events
            .iter()
            .filter(|event| event.position > self.position);
        let first = behind.clone().next().map(|event| event.order_version);
        behind
            .by_ref()
            .take_while(|event| Some(event.order_version) == first)
            .cloned()
            .collect()
    }
}

fn bookmark(position: i64) -> WatchEventsResponse {
    WatchEventsResponse {
        resume_token: position.to_string(),
        positions: vec![PartitionPosition {
            partition: 0,
            position,
        }],
        ..Default::default()
    }
}

fn expired(position: i64, oldest: i64) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(
        "POSITION_EXPIRED",
        "belay",
        [
            ("partition".to_owned(), "0".to_owned()),
            ("position".to_owned(), position.to_string()),
            ("oldest_position".to_owned(), oldest.to_string()),
        ],
    );
    Status::with_error_details(Code::OutOfRange, "wording", details)
}

fn refused(code: Code, reason: &str) -> Status {
    rejection(code, reason, ErrorDetails::new())
}

/// Done, and nobody hears of it.
fn lost(left: &mut usize) -> Result<(), Status> {
    if *left == 0 {
        return Ok(());
    }
    *left -= 1;
    Err(Status::unavailable("the reply is lost"))
}

#[tonic::async_trait]
impl EventService for World {
    type WatchEventsStream =
        Pin<Box<dyn Stream<Item = Result<WatchEventsResponse, Status>> + Send>>;

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let request = request.into_inner();
        let mut reader = {
            let state = &mut *self.state();
            state.watches.push(request.clone());
            let fault = state.streams.pop_front();
            if let Some(Goes::Refused(status)) = fault {
                return Err(status);
            }
            let position = match request.begin {
                Some(Begin::ResumeToken(token)) => token.parse().unwrap(),
                Some(Begin::Start(start)) if start == FeedStart::Oldest as i32 => state.expired,
                _ => state.events.len() as i64,
            };
            if position < state.expired {
                return Err(expired(position, state.expired + 1));
            }
            let position = match fault {
                Some(Goes::Repeats) => 0,
                _ => position,
            };
            Reader {
                world: self.clone(),
                moved: self.moved.subscribe(),
                position,
                sent: 0,
                fault,
                _open: Open::new(&self.open),
            }
        };
        reader.moved.mark_unchanged();
        let messages = stream::unfold(reader, |mut reader| async move {
            let message = reader.next().await?;
            Some((message, reader))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn list_events(
        &self,
        _: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn commit_position(
        &self,
        request: Request<CommitPositionRequest>,
    ) -> Result<Response<CommitPositionResponse>, Status> {
        let request = request.into_inner();
        let state = &mut *self.state();
        let key = (request.store_id.clone(), request.consumer_id.clone());
        let position: i64 = request.resume_token.parse().unwrap();
        let present = state.consumers.entry(key).or_insert(i64::MIN);
        if position < *present {
            return Err(refused(Code::FailedPrecondition, "POSITION_BEHIND"));
        }
        *present = position;
        state.commits.push(position);
        lost(&mut state.lost_commits)?;
        let consumer = Some(consumer(&request.consumer_id, position));
        Ok(Response::new(CommitPositionResponse { consumer }))
    }

    async fn delete_consumer(
        &self,
        _: Request<DeleteConsumerRequest>,
    ) -> Result<Response<DeleteConsumerResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn get_consumer(
        &self,
        request: Request<GetConsumerRequest>,
    ) -> Result<Response<GetConsumerResponse>, Status> {
        let GetConsumerRequest {
            consumer_id,
            store_id,
        } = request.into_inner();
        let state = &mut *self.state();
        lost(&mut state.lost_reads)?;
        match state.consumers.get(&(store_id, consumer_id.clone())) {
            Some(position) => Ok(Response::new(GetConsumerResponse {
                consumer: Some(consumer(&consumer_id, *position)),
            })),
            None => Err(refused(Code::NotFound, "CONSUMER_NOT_FOUND")),
        }
    }

    async fn list_consumers(
        &self,
        _: Request<ListConsumersRequest>,
    ) -> Result<Response<ListConsumersResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

fn consumer(id: &str, position: i64) -> Consumer {
    Consumer {
        consumer_id: id.to_owned(),
        owner: Some(Actor::default()),
        resume_token: position.to_string(),
        commit_time: Some(time(0)),
        ..Default::default()
    }
}

/// A service with some methods, and others that no test here calls.
macro_rules! service {
    ($service:ident { $($known:tt)+ } $($method:ident($request:ident) -> $response:ident;)+) => {
        #[tonic::async_trait]
        impl $service for World {
            $($known)+

            $(async fn $method(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not here"))
            })+
        }
    };
}

service! {
    CancellationService {
        async fn get_cancellation(
            &self,
            request: Request<GetCancellationRequest>,
        ) -> Result<Response<GetCancellationResponse>, Status> {
            self.read_cancellation(&request.get_ref().cancellation_id)
        }

        async fn list_cancellations(
            &self,
            _: Request<ListCancellationsRequest>,
        ) -> Result<Response<ListCancellationsResponse>, Status> {
            let cancellations = self.state().cancellations.clone();
            let is_pending = |one: &Cancellation| one.state() == CancellationState::Pending;
            Ok(Response::new(ListCancellationsResponse {
                cancellations: cancellations.into_iter().filter(is_pending).collect(),
                ..Default::default()
            }))
        }
    }
    preview_cancellation(PreviewCancellationRequest) -> PreviewCancellationResponse;
    list_reasons(ListReasonsRequest) -> ListReasonsResponse;
    request_cancellation(RequestCancellationRequest) -> RequestCancellationResponse;
    approve_cancellation(ApproveCancellationRequest) -> ApproveCancellationResponse;
    reject_cancellation(RejectCancellationRequest) -> RejectCancellationResponse;
    withdraw_cancellation(WithdrawCancellationRequest) -> WithdrawCancellationResponse;
    list_incidents(ListIncidentsRequest) -> ListIncidentsResponse;
    resolve_incident(ResolveIncidentRequest) -> ResolveIncidentResponse;
    summarize_actions(SummarizeActionsRequest) -> SummarizeActionsResponse;
    update_cancellation_metadata(UpdateCancellationMetadataRequest) -> UpdateCancellationMetadataResponse;
}

impl World {
    fn read_cancellation(&self, id: &str) -> Result<Response<GetCancellationResponse>, Status> {
        let state = &mut *self.state();
        state.reads += 1;
        let meanwhile = state.meanwhile.pop_front();
        let found = state
            .cancellations
            .iter_mut()
            .find(|one| one.cancellation_id == id);
        let Some(cancellation) = found else {
            return Err(refused(Code::NotFound, "CANCELLATION_NOT_FOUND"));
        };
        if let Some(meanwhile) = meanwhile {
            cancellation.set_state(meanwhile);
        }
        Ok(Response::new(GetCancellationResponse {
            cancellation: Some(cancellation.clone()),
            ..Default::default()
        }))
    }
}

service! {
    FulfillmentService {
        async fn get_shipment(
            &self,
            request: Request<GetShipmentRequest>,
        ) -> Result<Response<GetShipmentResponse>, Status> {
            let id = &request.get_ref().shipment_id;
            let state = self.state();
            match state.shipments.iter().find(|one| one.shipment_id == *id) {
                Some(shipment) => Ok(Response::new(GetShipmentResponse {
                    shipment: Some(shipment.clone()),
                })),
                None => Err(refused(Code::NotFound, "SHIPMENT_NOT_FOUND")),
            }
        }
    }
    list_shipments(ListShipmentsRequest) -> ListShipmentsResponse;
    start_preparation(StartPreparationRequest) -> StartPreparationResponse;
    mark_ready(MarkReadyRequest) -> MarkReadyResponse;
    dispatch_shipment(DispatchShipmentRequest) -> DispatchShipmentResponse;
    record_tracking(RecordTrackingRequest) -> RecordTrackingResponse;
    hold_shipment(HoldShipmentRequest) -> HoldShipmentResponse;
    release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse;
    split_shipment(SplitShipmentRequest) -> SplitShipmentResponse;
    answer_stop(AnswerStopRequest) -> AnswerStopResponse;
    answer_intercept(AnswerInterceptRequest) -> AnswerInterceptResponse;
    receive_parcel(ReceiveParcelRequest) -> ReceiveParcelResponse;
}

service! {
    RefundService {
        async fn claim_refunds(
            &self,
            request: Request<ClaimRefundsRequest>,
        ) -> Result<Response<ClaimRefundsResponse>, Status> {
            let request = request.into_inner();
            let state = &mut *self.state();
            let is_due = |refund: &&mut Refund| {
                let is_free = refund.state() == RefundState::Unknown && refund.lease_until.is_none();
                refund.state() == RefundState::Due || is_free
            };
            let max = usize::try_from(request.max_refunds).unwrap();
            let mut refunds = Vec::new();
            for refund in state.refunds.iter_mut().filter(is_due).take(max) {
                if refund.state() == RefundState::Due {
                    refund.set_state(RefundState::Submitted);
                }
                refund.ask_provider_first = refund.state() == RefundState::Unknown;
                refund.lease_until = Some(time(60));
                refunds.push(refund.clone());
            if state.strange_states {
                refunds.iter_mut().for_each(|refund| refund.state = 99);
            }
            }
            state.claims.push(request);
            lost(&mut state.lost_claims)?;
            Ok(Response::new(ClaimRefundsResponse { refunds }))
        }

        async fn record_refund_result(
            &self,
            request: Request<RecordRefundResultRequest>,
        ) -> Result<Response<RecordRefundResultResponse>, Status> {
            let given = request.metadata().get("grpc-timeout").unwrap();
            let time = duration(given.to_str().unwrap());
            let request = request.into_inner();
            let state = &mut *self.state();
            let id = &request.refund_id;
            let refund = state
                .refunds
                .iter_mut()
                .find(|one| one.refund_id == *id)
                .unwrap();
            match request.result() {
                RefundResult::Settled => refund.set_state(RefundState::Settled),
                RefundResult::Failed => refund.set_state(RefundState::Failed),
                other @ (RefundResult::Unspecified | RefundResult::Unknown) => panic!("{other:?} is not recorded"),
            }
            let refund = Some(refund.clone());
            let request_id = request.request_id.clone();
            state.records.push(request);
            state.record_times.push(time);
            lost(&mut state.lost_records)?;
            Ok(Response::new(RecordRefundResultResponse {
                refund,
                request_id,
            }))
        }
    }
    get_refund(GetRefundRequest) -> GetRefundResponse;
    list_refunds(ListRefundsRequest) -> ListRefundsResponse;
}
