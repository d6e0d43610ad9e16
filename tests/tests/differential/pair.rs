//! Two servers that are asked the same: the real one on MySQL, and the one in memory. What they
//! answer is compared at once.
//!
//! All that may differ is named here, see [`Pair::reconcile`].

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{self, Debug, Write as _};

use belay_client::Role;
use belay_client::calls::FirstPolicy;
use belay_domain::quality::SellerFact;
use belay_proto::rpc::{Rpc, StreamRpc};
use belay_proto::testing::v1 as testing;
use belay_proto::v1 as pb;
use belay_testing::Server as Memory;
use belay_tests::{HANG, SHOP, TestServer, stock, until};
use belay_wire::events::seller_facts;
use http_body::Body as HttpBody;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Bytes, StdError};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_types::pb as details;

/// The only store whose policies measure its sellers.
pub(crate) const MEASURED: &str = "of-seller-center";
/// Steps that are told where the servers differ.
const STEPS_TOLD: usize = 12;
/// And how much of each, for some bring whole documents.
const CALL_CHARS_TOLD: usize = 1_500;
/// Lines of context around the first difference.
const LINES_TOLD: usize = 14;

/// A caller as its headers name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) role: &'static str,
    pub(crate) actor: String,
    /// Headers that say what it may see.
    pub(crate) within: Vec<(&'static str, String)>,
}

impl Caller {
    pub(crate) fn new(role: &'static str, actor: impl Into<String>) -> Self {
        Self {
            role,
            actor: actor.into(),
            within: Vec::new(),
        }
    }

    pub(crate) fn operator() -> Self {
        Self::new("operator", "ops")
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.role, self.actor, self.within)
    }
}

/// A request that both are sent.
pub(crate) trait Asked: Message + Debug + Clone + Default + 'static {}

impl<Q: Message + Debug + Clone + Default + 'static> Asked for Q {}

/// An answer that can be compared field by field.
pub(crate) trait Answered: Message + Debug + Clone + Default + PartialEq + 'static {}

impl<A: Message + Debug + Clone + Default + PartialEq + 'static> Answered for A {}

/// The status of a call that failed, with its details in a form that has one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: Code,
    message: String,
    details: Vec<String>,
}

impl Refusal {
    fn of(status: &Status) -> Self {
        let of_status = details::Status::decode(status.details()).expect("details are a status");
        let detail = |any: &prost_types::Any| {
            if !any.type_url.ends_with("/google.rpc.ErrorInfo") {
                return format!("{} {:?}", any.type_url, any.value);
            }
            let info = details::ErrorInfo::decode(any.value.as_slice()).expect("an ErrorInfo");
            let metadata: BTreeMap<String, String> = info.metadata.into_iter().collect();
            format!("{} {} {metadata:?}", info.reason, info.domain)
        };
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            details: of_status.details.iter().map(detail).collect(),
        }
    }

    fn reason(&self) -> Option<&str> {
        let found = self
            .details
            .iter()
            .find(|detail| detail.contains(" belay {"));
        found.and_then(|detail| detail.split(' ').next())
    }
}

pub(crate) struct Pair<'t> {
    t: &'t TestServer,
    channel: Channel,
    memory: Memory,
    pub(crate) now: Timestamp,
    /// The ids that requests brought.
    request_ids: BTreeSet<String>,
    /// Ids that the real server minted, and which the one in memory has in their place.
    minted: BTreeMap<String, String>,
    steps: VecDeque<(Timestamp, Caller, &'static str, Box<dyn Debug>)>,
    pub(crate) calls: usize,
    /// How often each RPC has succeeded, by its path.
    pub(crate) succeeded: BTreeMap<&'static str, usize>,
    pub(crate) reasons: BTreeSet<String>,
    /// Whether events were written that the projections may not have heard of.
    is_behind: bool,
    /// Behind the events that were searched for what counts of sellers.
    facts_token: String,
    /// Whether something was counted that nobody has looked at.
    is_counted: bool,
}

impl<'t> Pair<'t> {
    /// The server of the harness, and one in memory that begins with the same store at the same
    /// time.
    pub(crate) async fn start(t: &'t TestServer) -> Self {
        let now = t.now().await;
        let builder = Memory::builder().stopped_at(now);
        let memory = builder
            .identity_key(t.inside().identity_key())
            .start()
            .await;
        let belay = memory.client().with_role(Role::Operator, "ops");
        let belay = belay.expect("a role");
        let preset = FirstPolicy::preset("independent-site");
        belay.create_store(SHOP, preset).await.expect("a store");
        let store = belay.store(SHOP);
        let warehouse = store.put_warehouse("east", "East").await;
        warehouse.expect("a warehouse");
        let carrier = store.put_carrier("express", "Express").in_transit_cancel();
        carrier.await.expect("a carrier");
        let address = format!("http://{}", t.address());
        let endpoint = Endpoint::from_shared(address).expect("an address makes a URI");
        Self {
            t,
            channel: endpoint.connect_lazy(),
            memory,
            now,
            request_ids: BTreeSet::new(),
            minted: BTreeMap::new(),
            steps: VecDeque::new(),
            calls: 0,
            succeeded: BTreeMap::new(),
            reasons: BTreeSet::new(),
            is_behind: true,
            facts_token: String::new(),
            is_counted: true,
        }
    }

    pub(crate) fn every_rpc_succeeded(&self) {
        let rpcs = pb::RPCS.iter().map(|rpc| rpc.path);
        let missed: Vec<&str> = rpcs
            .filter(|path| !self.succeeded.contains_key(path))
            .collect();
        assert!(missed.is_empty(), "these never succeeded: {missed:?}");
    }

    /// Remembers an id that a request brings: it is compared wherever it comes back.
    pub(crate) fn brings(&mut self, request_id: &str) {
        self.request_ids.insert(request_id.to_owned());
    }

    /// Asks both; gives the answer that they agree on.
    pub(crate) async fn ask<R>(
        &mut self,
        caller: &Caller,
        request: R,
    ) -> Result<R::Response, Refusal>
    where
        R: Rpc + Asked,
        R::Response: Answered,
    {
        self.note(caller, R::PATH, request.clone());
        let real = unary(self.channel.clone(), caller, request.clone()).await;
        let memory = unary(self.memory.service(), caller, request).await;
        self.agree(R::PATH, real, memory)
    }

    /// Asks both for a stream that ends, and reads it to its end; `fold` makes of its messages what
    /// is compared.
    pub(crate) async fn collect<R, A>(
        &mut self,
        caller: &Caller,
        request: R,
        fold: impl Fn(Vec<R::Response>) -> A,
    ) -> Result<A, Refusal>
    where
        R: StreamRpc + Asked,
        R::Response: Answered,
        A: Debug + PartialEq + 'static,
    {
        self.note(caller, R::PATH, request.clone());
        let real = open(self.channel.clone(), caller, request.clone()).await;
        let real = read_to_end(real).await.map(&fold);
        let memory = open(self.memory.service(), caller, request).await;
        let memory = read_to_end(memory).await.map(&fold);
        self.agree(R::PATH, real, memory)
    }

    /// Asks both for the feed, and reads so many events of it; what is compared has the order of
    /// each partition, for nobody promises one among partitions.
    pub(crate) async fn watch(
        &mut self,
        caller: &Caller,
        request: pb::WatchEventsRequest,
        count: usize,
    ) -> Result<Vec<pb::Event>, Refusal> {
        self.note(caller, pb::WatchEventsRequest::PATH, request.clone());
        let real = open(self.channel.clone(), caller, request.clone()).await;
        let real = read_events(real, count).await;
        let memory = open(self.memory.service(), caller, request).await;
        let memory = read_events(memory, count).await;
        self.agree(pb::WatchEventsRequest::PATH, real, memory)
    }

    fn note(&mut self, caller: &Caller, path: &'static str, request: impl Debug + 'static) {
        self.calls += 1;
        self.steps.truncate(STEPS_TOLD - 1);
        self.steps
            .push_front((self.now, caller.clone(), path, Box::new(request)));
    }

    fn agree<A: Debug + PartialEq + 'static>(
        &mut self,
        path: &'static str,
        real: Result<A, Status>,
        memory: Result<A, Status>,
    ) -> Result<A, Refusal> {
        let real = real.map_err(|status| Refusal::of(&status));
        let mut memory = memory.map_err(|status| Refusal::of(&status));
        if let (Ok(real), Ok(memory)) = (&real, &mut memory) {
            self.reconcile(real, memory);
        }
        assert!(
            real == memory,
            "{path}: the servers differ.\n{}",
            difference(&real, &memory),
        );
        match &real {
            Ok(_) => *self.succeeded.entry(path).or_default() += 1,
            Err(refusal) => {
                let reason = refusal.reason();
                let reason =
                    reason.unwrap_or_else(|| panic!("{path} without a reason: {refusal:?}"));
                assert!(
                    !matches!(reason, "INTERNAL" | "OVERLOADED" | "DEADLINE_EXCEEDED"),
                    "{path}: {refusal:?}"
                );
                self.reasons.insert(reason.to_owned());
            }
        }
        real
    }

    /// Everything that may differ: the `cause` of events that no caller's command caused. A server
    /// mints an id for a command of its own, which settles an order or leases a refund. The ids
    /// differ, and stand for one another: what has one cause on one server has one on the other.
    fn reconcile(&mut self, real: &dyn Any, memory: &mut dyn Any) {
        let real = events(real);
        for (real, memory) in real.iter().zip(events_mut(memory)) {
            let is_brought =
                self.request_ids.contains(&real.cause) || self.request_ids.contains(&memory.cause);
            if real.cause == memory.cause || is_brought {
                continue;
            }
            let known = self.minted.entry(real.cause.clone());
            if *known.or_insert_with(|| memory.cause.clone()) == memory.cause {
                memory.cause.clone_from(&real.cause);
            }
        }
    }

    /// Whether every exception that [`Self::reconcile`] makes was needed.
    pub(crate) fn needed_every_exception(&self) -> bool {
        let memory: BTreeSet<&String> = self.minted.values().collect();
        !self.minted.is_empty() && memory.len() == self.minted.len()
    }

    /// Says that something was written that others hear of later.
    pub(crate) fn wrote(&mut self) {
        self.is_behind = true;
    }

    /// Waits until the real server has applied all that is due: nothing else changes an order then.
    pub(crate) async fn settled(&self) {
        let due = "SELECT COUNT(*) FROM orders WHERE next_due <= (SELECT `now` FROM manual_clock)";
        until("what is due is settled", async || {
            let (due,): (u64,) = self.t.database.row(due, ()).await;
            (due == 0).then_some(())
        })
        .await;
    }

    /// Waits until the real server's projections have heard of everything.
    pub(crate) async fn projected(&mut self) {
        if std::mem::take(&mut self.is_behind) {
            self.search_facts().await;
            stock::projected(&self.t.database).await;
        }
    }

    /// Has the real server look at sellers as the one in memory does: before and after its clock is
    /// moved, and when somebody asks what was crossed.
    pub(crate) async fn looked(&mut self) {
        if self.is_behind {
            self.search_facts().await;
        }
        if std::mem::take(&mut self.is_counted) {
            self.projected().await;
            self.t.look_at_sellers().await;
        }
    }

    /// Finds out whether new events count of a seller.
    async fn search_facts(&mut self) {
        loop {
            let begin = (!self.facts_token.is_empty())
                .then(|| pb::list_events_request::Begin::ResumeToken(self.facts_token.clone()));
            let request = pb::ListEventsRequest {
                begin,
                page_size: 1_000,
                ..Default::default()
            };
            let found = unary(self.memory.service(), &Caller::operator(), request).await;
            let found = found.expect("the feed can be read");
            let facts = seller_facts(&found.events).expect("events can be read");
            let is_measured = |fact: &SellerFact| fact.store.as_str() == MEASURED;
            self.is_counted |= facts.iter().any(is_measured);
            self.facts_token = found.resume_token;
            if found.next_page_token.is_empty() {
                return;
            }
        }
    }

    /// Moves both clocks on, and has what is due by then applied.
    pub(crate) async fn advance(&mut self, by: SignedDuration) {
        self.looked().await;
        let duration = prost_types::Duration {
            seconds: by.as_secs(),
            nanos: by.subsec_nanos(),
        };
        let request = testing::AdvanceTimeRequest {
            duration: Some(duration),
        };
        let moved = self.ask(&Caller::operator(), request).await;
        moved.expect("the clock can be moved");
        self.now += by;
        self.settled().await;
        self.is_behind = true;
        self.looked().await;
        self.t.look_at_sellers().await;
    }

    /// Waits until a bulk cancellation of the real server has ended, and then of the other.
    pub(crate) async fn ended(&self, store_id: &str, bulk_cancellation_id: &str) {
        let request = pb::WatchBulkCancellationRequest {
            store_id: store_id.to_owned(),
            bulk_cancellation_id: bulk_cancellation_id.to_owned(),
        };
        let caller = Caller::operator();
        let real = open(self.channel.clone(), &caller, request.clone()).await;
        read_to_end(real).await.expect("it can be watched");
        let memory = open(self.memory.service(), &caller, request).await;
        read_to_end(memory).await.expect("it can be watched");
        self.settled().await;
    }
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("The last calls, the newest first:");
            for (now, caller, path, request) in &self.steps {
                let call = format!("{now} {caller} {path} {request:?}");
                let told: String = call.chars().take(CALL_CHARS_TOLD).collect();
                eprintln!("{told}");
            }
        }
    }
}

/// The events of an answer that has some.
fn events(answer: &dyn Any) -> &[pb::Event] {
    if let Some(page) = answer.downcast_ref::<pb::ListEventsResponse>() {
        &page.events
    } else if let Some(page) = answer.downcast_ref::<pb::ListOrderHistoryResponse>() {
        &page.events
    } else if let Some(events) = answer.downcast_ref::<Vec<pb::Event>>() {
        events
    } else {
        &[]
    }
}

fn events_mut(answer: &mut dyn Any) -> &mut [pb::Event] {
    if answer.is::<pb::ListEventsResponse>() {
        let page = answer.downcast_mut::<pb::ListEventsResponse>();
        &mut page.expect("it is one").events
    } else if answer.is::<pb::ListOrderHistoryResponse>() {
        let page = answer.downcast_mut::<pb::ListOrderHistoryResponse>();
        &mut page.expect("it is one").events
    } else if let Some(events) = answer.downcast_mut::<Vec<pb::Event>>() {
        events
    } else {
        &mut []
    }
}

fn request<Q>(caller: &Caller, message: Q) -> Request<Q> {
    let mut request = Request::new(message);
    request.set_timeout(HANG);
    let metadata = request.metadata_mut();
    let headers = [
        ("belay-role", caller.role.to_owned()),
        ("belay-actor", caller.actor.clone()),
    ];
    for (name, value) in headers.into_iter().chain(caller.within.clone()) {
        if !value.is_empty() {
            metadata.insert(name, value.parse().expect("a header is ASCII"));
        }
    }
    request
}

async fn ready<S>(service: S) -> Result<Grpc<S>, Status>
where
    S: GrpcService<Body>,
{
    let mut grpc = Grpc::new(service);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.into().to_string()))?;
    Ok(grpc)
}

async fn unary<S, R>(service: S, caller: &Caller, message: R) -> Result<R::Response, Status>
where
    S: GrpcService<Body>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError>,
    R: Rpc + Asked,
    R::Response: Answered,
{
    let codec: ProstCodec<R, R::Response> = ProstCodec::default();
    let path = PathAndQuery::from_static(R::PATH);
    let answer = ready(service).await?;
    let mut grpc = answer;
    let answer = grpc.unary(request(caller, message), path, codec).await?;
    Ok(answer.into_inner())
}

async fn open<S, R>(
    service: S,
    caller: &Caller,
    message: R,
) -> Result<Streaming<R::Response>, Status>
where
    S: GrpcService<Body>,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError>,
    R: StreamRpc + Asked,
    R::Response: Answered,
{
    let codec: ProstCodec<R, R::Response> = ProstCodec::default();
    let path = PathAndQuery::from_static(R::PATH);
    let mut grpc = ready(service).await?;
    let stream = grpc.server_streaming(request(caller, message), path, codec);
    Ok(stream.await?.into_inner())
}

async fn read_to_end<M>(stream: Result<Streaming<M>, Status>) -> Result<Vec<M>, Status> {
    let (mut stream, mut messages) = (stream?, Vec::new());
    while let Some(message) = stream.message().await? {
        messages.push(message);
    }
    Ok(messages)
}

async fn read_events(
    stream: Result<Streaming<pb::WatchEventsResponse>, Status>,
    count: usize,
) -> Result<Vec<pb::Event>, Status> {
    let (mut stream, mut events) = (stream?, Vec::new());
    let first = stream.message().await?.expect("it begins with a bookmark");
    assert!(first.events.is_empty(), "it begins with a bookmark");
    while events.len() < count {
        let message = stream.message().await?.expect("it does not end");
        events.extend(message.events);
    }
    events.sort_by_key(|event| (event.partition, event.position));
    Ok(events)
}

/// Where two values begin to differ, as a person reads them.
fn difference(real: &impl Debug, memory: &impl Debug) -> String {
    let (real, memory) = (format!("{real:#?}"), format!("{memory:#?}"));
    let (real, memory): (Vec<&str>, Vec<&str>) = (real.lines().collect(), memory.lines().collect());
    let same = real.iter().zip(&memory).take_while(|(a, b)| a == b).count();
    let begin = same.saturating_sub(LINES_TOLD);
    let mut text = String::new();
    for (name, lines) in [("On MySQL", real), ("In memory", memory)] {
        _ = writeln!(text, "{name}, from line {begin} of {}:", lines.len());
        let near = lines.iter().enumerate().skip(begin).take(2 * LINES_TOLD);
        for (at, line) in near {
            _ = writeln!(text, "{} {line}", if at == same { ">" } else { " " });
        }
    }
    text
}
