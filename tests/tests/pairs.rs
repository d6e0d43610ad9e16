//! Every two commands that can meet on one order, at the same time. What comes of them must be what would have come of one after
//! the other: the same answers, the same order, the same money. Which pairs leave exactly one winner, the rules say; here the
//! server itself is asked first, with nobody else about, once for each of the two orders.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::RequestId;
use belay_proto::v1 as pb;
use belay_server::server::ServerSettings;
use belay_tests::instance::Service;
use belay_tests::raw::{AnyRequest, Raw, Refused};
use belay_tests::shop::{TOTAL, new_order, pay};
use belay_tests::{TestServer, documents, run};
use futures_util::StreamExt;
use tokio::time::sleep;
use tonic::Code;

/// Of each pair, on one server and again on two.
const TRIALS: usize = 100;
/// Trials that run at the same time, each on an order of its own, so that batches hold several.
const AT_ONCE: usize = 32;
/// The store of these tests: its policy has a reason for each gate.
const STORE: &str = "pairs";

/// Where an order stands when two callers meet on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    Unpaid,
    Paid,
    /// The buyer's wish waits for the seller.
    ConsentWaits,
    /// The buyer's wish waits for the warehouse.
    StopWaits,
    InTransit,
    /// The buyer's wish waits for the carrier.
    InterceptWaits,
    /// The carrier brings the parcel back.
    ReceiptWaits,
    /// It was cancelled, and scanned out all the same.
    Contested,
    Held,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Cancel,
    CancelOne,
    AskSeller,
    AskWarehouse,
    AskCarrier,
    Approve,
    Reject,
    Withdraw,
    Stop,
    StopSome,
    CannotStop,
    Confirm,
    CannotIntercept,
    Receive,
    ReceiveSome,
    Pay,
    Decline,
    Chargeback,
    Prepare,
    MarkReady,
    Dispatch,
    ScanOut,
    ScanDelivered,
    ScanLost,
    ScanReturned,
    Hold,
    Release,
    Split,
    RefundAnyway,
    DropRefund,
}

impl Scene {
    const ALL: [Scene; 9] = [
        Scene::Unpaid,
        Scene::Paid,
        Scene::ConsentWaits,
        Scene::StopWaits,
        Scene::InTransit,
        Scene::InterceptWaits,
        Scene::ReceiptWaits,
        Scene::Contested,
        Scene::Held,
    ];

    /// What somebody may send just then.
    fn steps(self) -> &'static [Step] {
        use Step::{
            Approve, AskCarrier, AskSeller, AskWarehouse, Cancel, CancelOne, CannotIntercept, CannotStop, Chargeback,
            Confirm, Decline, Dispatch, DropRefund, Hold, MarkReady, Pay, Prepare, Receive, ReceiveSome, RefundAnyway,
            Reject, Release, ScanDelivered, ScanLost, ScanOut, ScanReturned, Split, Stop, StopSome, Withdraw,
        };
        match self {
            Scene::Unpaid => &[Cancel, CancelOne, Pay, Decline, Hold],
            Scene::Paid => &[
                Cancel, CancelOne, AskSeller, AskWarehouse, Pay, Chargeback, Prepare, MarkReady, Dispatch, ScanOut, Hold,
                Split,
            ],
            Scene::ConsentWaits => {
                &[Approve, Reject, Withdraw, Cancel, MarkReady, Dispatch, ScanOut, Hold, Split]
            }
            Scene::StopWaits => &[Stop, StopSome, CannotStop, Withdraw, MarkReady, Dispatch, ScanOut],
            Scene::InTransit => &[AskCarrier, Cancel, ScanDelivered, ScanLost, ScanReturned, Receive],
            Scene::InterceptWaits => {
                &[Confirm, CannotIntercept, Withdraw, ScanDelivered, ScanLost, ScanReturned, Receive]
            }
            Scene::ReceiptWaits => &[Receive, ReceiveSome, Withdraw, ScanDelivered, ScanLost, ScanReturned],
            Scene::Contested => &[RefundAnyway, DropRefund, Receive, ScanDelivered, Confirm],
            Scene::Held => &[Release, Dispatch, Cancel, ScanOut, Split],
        }
    }

    /// Every two of them, also one with itself.
    fn pairs(self) -> impl Iterator<Item = [Step; 2]> {
        let steps = self.steps();
        let with = |at: usize| steps[at..].iter().map(move |other| [steps[at], *other]);
        (0..steps.len()).flat_map(with)
    }

    /// What brings a paid order there.
    fn way(self) -> &'static [Step] {
        match self {
            Scene::Unpaid | Scene::Paid => &[],
            Scene::ConsentWaits => &[Step::AskSeller],
            Scene::StopWaits => &[Step::AskWarehouse],
            Scene::InTransit => &[Step::ScanOut],
            Scene::InterceptWaits => &[Step::ScanOut, Step::AskCarrier],
            Scene::ReceiptWaits => &[Step::ScanOut, Step::AskCarrier, Step::Confirm],
            Scene::Contested => &[Step::Cancel, Step::ScanOut],
            Scene::Held => &[Step::Hold],
        }
    }
}

/// One of the servers that callers meet on.
#[derive(Debug, Clone)]
struct Side {
    raw: Raw,
    /// Of every hold, so that two of them are the same.
    hold_until: prost_types::Timestamp,
}

/// An order, as the callers last saw it.
#[derive(Debug, Clone)]
struct Seen {
    order: String,
    fence: i64,
}

impl Side {
    /// Sends a step and says how it was answered: `ok`, or the reason of the refusal.
    async fn take(&self, step: Step, seen: &Seen) -> String {
        let Seen { order, fence } = seen;
        let (store_id, shipment_id, cancellation_id) =
            (STORE.to_owned(), format!("{order}:s1"), format!("{order}:c1"));
        let request_id = RequestId::mint().to_string();
        let line = |number: u32, quantity| pb::LineQuantity { line_id: format!("{order}:l{number}"), quantity };
        match step {
            Step::Cancel => self.wish(order, "DIRECT", pb::CancellationPath::Cancel, None).await,
            Step::CancelOne => self.wish(order, "DIRECT", pb::CancellationPath::Cancel, Some(line(1, 1))).await,
            Step::AskSeller => self.wish(order, "CONSENT", pb::CancellationPath::Cancel, None).await,
            Step::AskWarehouse => self.wish(order, "STOP", pb::CancellationPath::Cancel, None).await,
            Step::AskCarrier => self.wish(order, "DIRECT", pb::CancellationPath::Intercept, None).await,
            Step::Approve => {
                let request = pb::ApproveCancellationRequest { store_id, request_id, cancellation_id, ..Default::default() };
                self.send("SELLER", "CancellationService/ApproveCancellation", request).await
            }
            Step::Reject => {
                let code = "SHIPS_TODAY".to_owned();
                let request =
                    pb::RejectCancellationRequest { store_id, request_id, cancellation_id, code, ..Default::default() };
                self.send("SELLER", "CancellationService/RejectCancellation", request).await
            }
            Step::Withdraw => {
                let request =
                    pb::WithdrawCancellationRequest { store_id, request_id, cancellation_id, ..Default::default() };
                self.send("STOREFRONT", "CancellationService/WithdrawCancellation", request).await
            }
            Step::Stop => self.answer_stop(order, stopped(Vec::new())).await,
            Step::StopSome => self.answer_stop(order, stopped(vec![line(1, 2)])).await,
            Step::CannotStop => {
                self.answer_stop(order, pb::answer_stop_request::Answer::CannotStop(pb::CannotStop::default())).await
            }
            Step::Confirm => {
                use pb::answer_intercept_request::Answer;
                self.answer_intercept(order, Answer::Confirmed(pb::InterceptConfirmed {})).await
            }
            Step::CannotIntercept => {
                use pb::answer_intercept_request::Answer;
                self.answer_intercept(order, Answer::CannotIntercept(pb::CannotIntercept::default())).await
            }
            Step::Receive => self.receive(order, Vec::new()).await,
            Step::ReceiveSome => self.receive(order, vec![line(1, 1)]).await,
            Step::Pay => self.pay(order, pb::PaymentFact::Captured, TOTAL).await,
            Step::Decline => self.pay(order, pb::PaymentFact::Declined, 0).await,
            Step::Chargeback => self.pay(order, pb::PaymentFact::Chargeback, 500).await,
            Step::Prepare => {
                let request = pb::StartPreparationRequest { store_id, request_id, shipment_id, ..Default::default() };
                self.send("OPERATOR", "FulfillmentService/StartPreparation", request).await
            }
            Step::MarkReady => {
                let request = pb::MarkReadyRequest { store_id, request_id, shipment_id, ..Default::default() };
                self.send("OPERATOR", "FulfillmentService/MarkReady", request).await
            }
            Step::Dispatch => {
                let fence = *fence;
                let request =
                    pb::DispatchShipmentRequest { store_id, request_id, shipment_id, fence, ..Default::default() };
                self.send("OPERATOR", "FulfillmentService/DispatchShipment", request).await
            }
            Step::ScanOut => self.scan(order, pb::TrackingFact::PickedUp).await,
            Step::ScanDelivered => self.scan(order, pb::TrackingFact::Delivered).await,
            Step::ScanLost => self.scan(order, pb::TrackingFact::Lost).await,
            Step::ScanReturned => self.scan(order, pb::TrackingFact::Returned).await,
            Step::Hold => {
                let hold_until = Some(self.hold_until);
                let request =
                    pb::HoldShipmentRequest { store_id, request_id, shipment_id, hold_until, ..Default::default() };
                self.send("OPERATOR", "FulfillmentService/HoldShipment", request).await
            }
            Step::Release => {
                let request = pb::ReleaseHoldRequest { store_id, request_id, shipment_id, ..Default::default() };
                self.send("OPERATOR", "FulfillmentService/ReleaseHold", request).await
            }
            Step::Split => {
                let parcel = |contents| pb::Parcel { contents };
                let parcels = vec![parcel(vec![line(1, 3)]), parcel(vec![line(2, 1)])];
                let request =
                    pb::SplitShipmentRequest { store_id, request_id, shipment_id, parcels, ..Default::default() };
                self.send("OPERATOR", "FulfillmentService/SplitShipment", request).await
            }
            Step::RefundAnyway => self.resolve(order, pb::IncidentResolution::RefundAnyway).await,
            Step::DropRefund => self.resolve(order, pb::IncidentResolution::DropRefund).await,
        }
    }

    async fn wish(
        &self,
        order: &str,
        reason: &str,
        path: pb::CancellationPath,
        line: Option<pb::LineQuantity>,
    ) -> String {
        use pb::request_cancellation_request::Selection;
        let selection = match line {
            None => Selection::All(pb::AllUnits {}),
            Some(line) => Selection::Lines(pb::LineSelection { lines: vec![line] }),
        };
        let request = pb::RequestCancellationRequest {
            store_id: STORE.to_owned(),
            request_id: RequestId::mint().to_string(),
            order_id: order.to_owned(),
            selection: Some(selection),
            reason: reason.to_owned(),
            paths: vec![path.into()],
            ..Default::default()
        };
        self.send("STOREFRONT", "CancellationService/RequestCancellation", request).await
    }

    async fn answer_stop(&self, order: &str, answer: pb::answer_stop_request::Answer) -> String {
        let request = pb::AnswerStopRequest {
            store_id: STORE.to_owned(),
            request_id: RequestId::mint().to_string(),
            shipment_id: format!("{order}:s1"),
            answer: Some(answer),
            ..Default::default()
        };
        self.send("OPERATOR", "FulfillmentService/AnswerStop", request).await
    }

    async fn answer_intercept(&self, order: &str, answer: pb::answer_intercept_request::Answer) -> String {
        let request = pb::AnswerInterceptRequest {
            store_id: STORE.to_owned(),
            request_id: RequestId::mint().to_string(),
            shipment_id: format!("{order}:s1"),
            answer: Some(answer),
            ..Default::default()
        };
        self.send("OPERATOR", "FulfillmentService/AnswerIntercept", request).await
    }

    async fn receive(&self, order: &str, quantities: Vec<pb::LineQuantity>) -> String {
        let request = pb::ReceiveParcelRequest {
            store_id: STORE.to_owned(),
            request_id: RequestId::mint().to_string(),
            shipment_id: format!("{order}:s1"),
            condition: pb::GoodsCondition::Unopened.into(),
            quantities,
            ..Default::default()
        };
        self.send("OPERATOR", "FulfillmentService/ReceiveParcel", request).await
    }

    /// Facts of the first payment; money that is captured twice is a second one.
    async fn pay(&self, order: &str, fact: pb::PaymentFact, amount: i64) -> String {
        let event = RequestId::mint().to_string();
        let is_money = fact == pb::PaymentFact::Captured;
        let request = pb::RecordPaymentRequest {
            store_id: STORE.to_owned(),
            request_id: RequestId::mint().to_string(),
            order_id: order.to_owned(),
            provider_payment_id: if is_money { event.clone() } else { format!("pay-{order}") },
            provider_event_id: event,
            fact: fact.into(),
            amount: (amount > 0).then(|| pb::Money { currency_code: "EUR".to_owned(), minor_units: amount }),
            method: "CREDIT_CARD".to_owned(),
            ..Default::default()
        };
        self.send("PAYMENTS", "OrderService/RecordPayment", request).await
    }

    async fn scan(&self, order: &str, fact: pb::TrackingFact) -> String {
        let request = pb::RecordTrackingRequest {
            store_id: STORE.to_owned(),
            request_id: RequestId::mint().to_string(),
            shipment_id: format!("{order}:s1"),
            carrier_event_id: RequestId::mint().to_string(),
            fact: fact.into(),
            ..Default::default()
        };
        self.send("OPERATOR", "FulfillmentService/RecordTracking", request).await
    }

    async fn resolve(&self, order: &str, resolution: pb::IncidentResolution) -> String {
        let request = pb::ResolveIncidentRequest {
            store_id: STORE.to_owned(),
            request_id: RequestId::mint().to_string(),
            incident_id: format!("{order}:i1"),
            resolution: resolution.into(),
            ..Default::default()
        };
        self.send("OPERATOR", "CancellationService/ResolveIncident", request).await
    }

    /// Repeats what may be repeated: its request_id makes it one command.
    async fn send<Q: AnyRequest>(&self, role: &str, method: &str, request: Q) -> String {
        loop {
            match self.raw.send::<Q, ()>(role, method, request.clone()).await {
                Ok(()) => return "ok".to_owned(),
                Err(status) if status.code() == Code::Unavailable => sleep(Duration::from_millis(5)).await,
                Err(status) => return Refused::of(&status).reason,
            }
        }
    }

    async fn order(&self, order: &str) -> pb::Order {
        let request = pb::GetOrderRequest { store_id: STORE.to_owned(), order_id: order.to_owned() };
        let answer = self.raw.send::<_, pb::GetOrderResponse>("OPERATOR", "OrderService/GetOrder", request).await;
        answer.expect("the order is there").order.expect("an answer has its order")
    }

    async fn see(&self, order: &str) -> Seen {
        let found = self.order(order).await;
        Seen { order: order.to_owned(), fence: found.shipments[0].fence }
    }
}

fn stopped(quantities: Vec<pb::LineQuantity>) -> pb::answer_stop_request::Answer {
    pb::answer_stop_request::Answer::Stopped(pb::Stopped { quantities, ..Default::default() })
}

/// Everything of an order that is not an id of chance, a time or a counter.
fn digest(order: &pb::Order) -> String {
    let mut text = format!("{:?}", order.state());
    for line in &order.lines {
        write!(text, " l{}-{}-{}", line.quantity, line.pending_quantity, line.cancelled_quantity).expect("text");
    }
    for shipment in &order.shipments {
        let units: Vec<i32> = shipment.contents.iter().map(|content| content.quantity).collect();
        write!(text, " s:{:?}:{units:?}:{}", shipment.stage(), shipment.hold.is_some()).expect("text");
    }
    for cancellation in &order.cancellations {
        write!(text, " c:{:?}:{}", cancellation.state(), cancellation.close_reason).expect("text");
        for part in &cancellation.parts {
            let units: Vec<i32> = part.contents.iter().map(|content| content.quantity).collect();
            let gates: Vec<_> = part.gates.iter().map(pb::Gate::state).collect();
            write!(text, " p:{:?}:{}:{units:?}:{gates:?}", part.state(), part.refused_reason).expect("text");
        }
    }
    for refund in &order.refunds {
        let total = refund.amount.as_ref().and_then(|amount| amount.total.as_ref()).map_or(0, |total| total.minor_units);
        write!(text, " r:{:?}:{total}", refund.state()).expect("text");
    }
    for incident in &order.incidents {
        write!(text, " i:{:?}:{:?}", incident.kind(), incident.state()).expect("text");
    }
    text
}

/// The two servers, and the store that they share.
struct Arena<'a> {
    left: Side,
    right: Side,
    store: &'a belay_client::Store,
}

/// How two callers were answered, and what became of their order.
type Outcome = ([String; 2], String);

impl Arena<'_> {
    /// An order that has come as far as the scene.
    async fn prepare(&self, scene: Scene, order: &str) -> Seen {
        new_order(self.store, order).await.expect("an order");
        if scene != Scene::Unpaid {
            pay(self.store, order).await;
        }
        for step in scene.way() {
            let seen = self.left.see(order).await;
            assert_eq!(self.left.take(*step, &seen).await, "ok", "{scene:?}: {step:?}");
        }
        self.left.see(order).await
    }

    /// One after the other, in both orders: all that may come of the two at once. The answers stand in the order of the pair.
    async fn one_after_the_other(&self, scene: Scene, pair: [Step; 2], name: &str) -> BTreeSet<Outcome> {
        let mut outcomes = BTreeSet::new();
        let seen = self.prepare(scene, &format!("{name}-AB")).await;
        let first = self.left.take(pair[0], &seen).await;
        let second = self.left.take(pair[1], &seen).await;
        outcomes.insert(([first, second], digest(&self.left.order(&seen.order).await)));
        let seen = self.prepare(scene, &format!("{name}-BA")).await;
        let second = self.left.take(pair[1], &seen).await;
        let first = self.left.take(pair[0], &seen).await;
        outcomes.insert(([first, second], digest(&self.left.order(&seen.order).await)));
        outcomes
    }

    async fn at_once(&self, scene: Scene, pair: [Step; 2], order: String) -> Outcome {
        let seen = self.prepare(scene, &order).await;
        let (first, second) = tokio::join!(self.left.take(pair[0], &seen), self.right.take(pair[1], &seen));
        ([first, second], digest(&self.right.order(&order).await))
    }

    async fn meet(&self, scene: Scene, servers: &str) {
        for (at, pair) in scene.pairs().enumerate() {
            let name = format!("{scene:?}-{servers}-{at}");
            let allowed = self.one_after_the_other(scene, pair, &name).await;
            let trials = (0..TRIALS).map(|trial| self.at_once(scene, pair, format!("{name}-{trial}")));
            let outcomes: Vec<Outcome> = futures_util::stream::iter(trials).buffer_unordered(AT_ONCE).collect().await;
            for outcome in outcomes {
                assert!(
                    allowed.contains(&outcome),
                    "{scene:?} on {servers}: {pair:?} at once came to {outcome:#?}, one after the other to {allowed:#?}"
                );
            }
        }
    }
}

/// Lets every pair of a scene meet, on one server and on two.
fn meet(scene: Scene) {
    run(async |t: &TestServer| {
        let store = t.create_shop(STORE, FirstPolicy::document(documents::every_gate())).await;
        let connections = |settings: &mut ServerSettings| settings.connections = AT_ONCE;
        let (one, other) =
            (Service::start(t.database.url(), connections).await, Service::start(t.database.url(), connections).await);
        let week = t.now().await.as_second() + 7 * 24 * 3600;
        let hold_until = prost_types::Timestamp { seconds: week, nanos: 0 };
        let side = |service: &Service| Side { raw: Raw::to(service.address()), hold_until };
        let store = &store;
        Arena { left: side(&one), right: side(&one), store }.meet(scene, "ONE").await;
        Arena { left: side(&one), right: side(&other), store }.meet(scene, "TWO").await;
        one.stop().await;
        other.stop().await;
    });
}

/// A test for each scene, so that they run beside each other.
macro_rules! scenes {
    ($($test:ident: $scene:ident,)*) => {
        $(
            #[test]
            fn $test() {
                meet(Scene::$scene);
            }
        )*

        #[test]
        fn every_scene_has_a_test() {
            assert_eq!([$(Scene::$scene),*], Scene::ALL);
        }
    };
}

scenes! {
    two_commands_meet_on_an_unpaid_order: Unpaid,
    two_commands_meet_on_a_paid_order: Paid,
    two_commands_meet_while_a_consent_waits: ConsentWaits,
    two_commands_meet_while_a_stop_waits: StopWaits,
    two_commands_meet_on_a_parcel_under_way: InTransit,
    two_commands_meet_while_an_intercept_waits: InterceptWaits,
    two_commands_meet_while_a_receipt_waits: ReceiptWaits,
    two_commands_meet_on_a_contested_order: Contested,
    two_commands_meet_on_a_held_shipment: Held,
}
