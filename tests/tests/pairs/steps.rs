//! What callers send when they meet, each as the message that goes over the wire.

use std::time::Duration;

use belay_client::RequestId;
use belay_domain::actor::{Actor, Role};
use belay_domain::commands::Work;
use belay_domain::commands::{Command, LeaseRefunds};
use belay_domain::ids::{OrderId, StoreId, WorkerId};
use belay_domain::scope::Caller;
use belay_proto::v1 as pb;
use belay_server::engine::{Priority, Submission};
use belay_tests::HANG;
use belay_tests::inside::Inside;
use belay_tests::instance::Service;
use belay_tests::raw::{AnyRequest, Raw, Refused};
use belay_tests::shop::TOTAL;
use belay_wire::batch::Reply;
use jiff::SignedDuration;
use prost::Message;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::STORE;

/// Between two tries.
const BACK_OFF: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Cancel,
    CancelOne,
    /// Two of the three units of a line: it cannot be done twice.
    CancelTwo,
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
    RetryRefund,
    AcceptIncident,
    LeaseRefund,
    SettleRefund,
    /// The provider says that it gave another amount back.
    SettleLess,
    FailRefund,
    LoseRefund,
}

/// A step that somebody sends. The same once more, with the id that it has, is a double click.
#[derive(Debug, Clone)]
pub(super) struct Click {
    pub(super) step: Step,
    pub(super) order: String,
    /// That the caller last saw.
    pub(super) fence: i64,
    pub(super) id: RequestId,
}

/// `ok` or the reason of the rejection; and what was shown, encoded.
pub(super) type Answer = (String, Vec<u8>);

/// One of the servers that callers meet on.
#[derive(Debug, Clone)]
pub(super) struct Side {
    raw: Raw,
    inside: Inside,
    /// Of every hold, so that two of them are the same.
    hold_until: prost_types::Timestamp,
}

impl Click {
    fn request_id(&self) -> String {
        self.id.to_string()
    }

    fn child(&self, kind: &str) -> String {
        format!("{}:{kind}1", self.order)
    }

    fn line(&self, number: u32, quantity: i32) -> pb::LineQuantity {
        pb::LineQuantity {
            line_id: format!("{}:l{number}", self.order),
            quantity,
        }
    }
}

impl Side {
    pub(super) fn of(service: &Service, hold_until: prost_types::Timestamp) -> Self {
        Self {
            raw: Raw::to(service.address()),
            inside: service.inside(),
            hold_until,
        }
    }

    /// Sends a step and says how it was answered.
    pub(super) async fn take(&self, click: &Click) -> Answer {
        use pb::answer_intercept_request::Answer as Carrier;
        use pb::answer_stop_request::Answer as Warehouse;
        use pb::{CancellationPath, IncidentResolution, PaymentFact, RefundResult, TrackingFact};
        let stopped = |quantities| {
            Warehouse::Stopped(pb::Stopped {
                quantities,
                ..Default::default()
            })
        };
        match click.step {
            Step::Cancel => {
                self.request_cancellation(click, "DIRECT", CancellationPath::Cancel, None)
                    .await
            }
            Step::CancelOne => {
                self.request_cancellation(
                    click,
                    "DIRECT",
                    CancellationPath::Cancel,
                    Some(click.line(1, 1)),
                )
                .await
            }
            Step::CancelTwo => {
                self.request_cancellation(
                    click,
                    "DIRECT",
                    CancellationPath::Cancel,
                    Some(click.line(1, 2)),
                )
                .await
            }
            Step::AskSeller => {
                self.request_cancellation(click, "CONSENT", CancellationPath::Cancel, None)
                    .await
            }
            Step::AskWarehouse => {
                self.request_cancellation(click, "STOP", CancellationPath::Cancel, None)
                    .await
            }
            Step::AskCarrier => {
                self.request_cancellation(click, "DIRECT", CancellationPath::Intercept, None)
                    .await
            }
            Step::Approve | Step::Reject | Step::Withdraw => self.answer_request(click).await,
            Step::Stop => self.answer_stop(click, stopped(Vec::new())).await,
            Step::StopSome => {
                self.answer_stop(click, stopped(vec![click.line(1, 2)]))
                    .await
            }
            Step::CannotStop => {
                self.answer_stop(click, Warehouse::CannotStop(pb::CannotStop::default()))
                    .await
            }
            Step::Confirm => {
                self.answer_intercept(click, Carrier::Confirmed(pb::InterceptConfirmed {}))
                    .await
            }
            Step::CannotIntercept => {
                self.answer_intercept(
                    click,
                    Carrier::CannotIntercept(pb::CannotIntercept::default()),
                )
                .await
            }
            Step::Receive => self.receive(click, Vec::new()).await,
            Step::ReceiveSome => self.receive(click, vec![click.line(1, 1)]).await,
            Step::Pay => self.pay(click, PaymentFact::Captured, TOTAL).await,
            Step::Decline => self.pay(click, PaymentFact::Declined, 0).await,
            Step::Chargeback => self.pay(click, PaymentFact::Chargeback, 500).await,
            Step::Prepare
            | Step::MarkReady
            | Step::Dispatch
            | Step::Hold
            | Step::Release
            | Step::Split => self.fulfil(click).await,
            Step::ScanOut => self.scan(click, TrackingFact::PickedUp).await,
            Step::ScanDelivered => self.scan(click, TrackingFact::Delivered).await,
            Step::ScanLost => self.scan(click, TrackingFact::Lost).await,
            Step::ScanReturned => self.scan(click, TrackingFact::Returned).await,
            Step::RefundAnyway => self.resolve(click, IncidentResolution::RefundAnyway).await,
            Step::DropRefund => self.resolve(click, IncidentResolution::DropRefund).await,
            Step::RetryRefund => self.resolve(click, IncidentResolution::RetryRefund).await,
            Step::AcceptIncident => self.resolve(click, IncidentResolution::Accept).await,
            Step::LeaseRefund => self.lease(click).await,
            Step::SettleRefund => self.tell_result(click, RefundResult::Settled, None).await,
            Step::SettleLess => {
                self.tell_result(click, RefundResult::Settled, Some(1))
                    .await
            }
            Step::FailRefund => self.tell_result(click, RefundResult::Failed, None).await,
            Step::LoseRefund => self.tell_result(click, RefundResult::Unknown, None).await,
        }
    }

    async fn request_cancellation(
        &self,
        click: &Click,
        reason: &str,
        path: pb::CancellationPath,
        line: Option<pb::LineQuantity>,
    ) -> Answer {
        use pb::request_cancellation_request::Selection;
        let selection = match line {
            None => Selection::All(pb::AllUnits {}),
            Some(line) => Selection::Lines(pb::LineSelection { lines: vec![line] }),
        };
        let request = pb::RequestCancellationRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            order_id: click.order.clone(),
            selection: Some(selection),
            reason: reason.to_owned(),
            paths: vec![path.into()],
            ..Default::default()
        };
        self.send(
            "storefront",
            "CancellationService/RequestCancellation",
            request,
        )
        .await
    }

    /// Of the seller, and of the buyer who changes their mind.
    async fn answer_request(&self, click: &Click) -> Answer {
        let (store_id, request_id, cancellation_id) =
            (STORE.to_owned(), click.request_id(), click.child("c"));
        match click.step {
            Step::Approve => {
                let request = pb::ApproveCancellationRequest {
                    store_id,
                    request_id,
                    cancellation_id,
                    ..Default::default()
                };
                self.send("seller", "CancellationService/ApproveCancellation", request)
                    .await
            }
            Step::Reject => {
                let code = "SHIPS_TODAY".to_owned();
                let request = pb::RejectCancellationRequest {
                    store_id,
                    request_id,
                    cancellation_id,
                    code,
                    ..Default::default()
                };
                self.send("seller", "CancellationService/RejectCancellation", request)
                    .await
            }
            _ => {
                let request = pb::WithdrawCancellationRequest {
                    store_id,
                    request_id,
                    cancellation_id,
                    ..Default::default()
                };
                self.send(
                    "storefront",
                    "CancellationService/WithdrawCancellation",
                    request,
                )
                .await
            }
        }
    }

    async fn answer_stop(&self, click: &Click, answer: pb::answer_stop_request::Answer) -> Answer {
        let request = pb::AnswerStopRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            shipment_id: click.child("s"),
            answer: Some(answer),
            ..Default::default()
        };
        self.send("operator", "FulfillmentService/AnswerStop", request)
            .await
    }

    async fn answer_intercept(
        &self,
        click: &Click,
        answer: pb::answer_intercept_request::Answer,
    ) -> Answer {
        let request = pb::AnswerInterceptRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            shipment_id: click.child("s"),
            answer: Some(answer),
            ..Default::default()
        };
        self.send("operator", "FulfillmentService/AnswerIntercept", request)
            .await
    }

    async fn receive(&self, click: &Click, quantities: Vec<pb::LineQuantity>) -> Answer {
        let request = pb::ReceiveParcelRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            shipment_id: click.child("s"),
            condition: pb::GoodsCondition::Unopened.into(),
            quantities,
            ..Default::default()
        };
        self.send("operator", "FulfillmentService/ReceiveParcel", request)
            .await
    }

    /// Facts of the first payment; money that is captured twice is a second one.
    async fn pay(&self, click: &Click, fact: pb::PaymentFact, amount: i64) -> Answer {
        let event = click.request_id();
        let is_money = fact == pb::PaymentFact::Captured;
        let request = pb::RecordPaymentRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            order_id: click.order.clone(),
            provider_payment_id: if is_money {
                event.clone()
            } else {
                format!("pay-{}", click.order)
            },
            provider_event_id: event,
            fact: fact.into(),
            amount: (amount > 0).then(|| eur(amount)),
            method: "CREDIT_CARD".to_owned(),
            ..Default::default()
        };
        self.send("payments", "OrderService/RecordPayment", request)
            .await
    }

    async fn fulfil(&self, click: &Click) -> Answer {
        let (store_id, request_id, shipment_id) =
            (STORE.to_owned(), click.request_id(), click.child("s"));
        match click.step {
            Step::Prepare => {
                let request = pb::StartPreparationRequest {
                    store_id,
                    request_id,
                    shipment_id,
                    ..Default::default()
                };
                self.send("operator", "FulfillmentService/StartPreparation", request)
                    .await
            }
            Step::MarkReady => {
                let request = pb::MarkReadyRequest {
                    store_id,
                    request_id,
                    shipment_id,
                    ..Default::default()
                };
                self.send("operator", "FulfillmentService/MarkReady", request)
                    .await
            }
            Step::Dispatch => {
                let fence = click.fence;
                let request = pb::DispatchShipmentRequest {
                    store_id,
                    request_id,
                    shipment_id,
                    fence,
                    ..Default::default()
                };
                self.send("operator", "FulfillmentService/DispatchShipment", request)
                    .await
            }
            Step::Hold => {
                let hold_until = Some(self.hold_until);
                let request = pb::HoldShipmentRequest {
                    store_id,
                    request_id,
                    shipment_id,
                    hold_until,
                    ..Default::default()
                };
                self.send("operator", "FulfillmentService/HoldShipment", request)
                    .await
            }
            Step::Release => {
                let request = pb::ReleaseHoldRequest {
                    store_id,
                    request_id,
                    shipment_id,
                    ..Default::default()
                };
                self.send("operator", "FulfillmentService/ReleaseHold", request)
                    .await
            }
            _ => {
                let parcel = |contents| pb::Parcel { contents };
                let parcels = vec![
                    parcel(vec![click.line(1, 3)]),
                    parcel(vec![click.line(2, 1)]),
                ];
                let request = pb::SplitShipmentRequest {
                    store_id,
                    request_id,
                    shipment_id,
                    parcels,
                    ..Default::default()
                };
                self.send("operator", "FulfillmentService/SplitShipment", request)
                    .await
            }
        }
    }

    async fn scan(&self, click: &Click, fact: pb::TrackingFact) -> Answer {
        let request = pb::RecordTrackingRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            shipment_id: click.child("s"),
            carrier_event_id: click.request_id(),
            fact: fact.into(),
            ..Default::default()
        };
        self.send("operator", "FulfillmentService/RecordTracking", request)
            .await
    }

    async fn resolve(&self, click: &Click, resolution: pb::IncidentResolution) -> Answer {
        let request = pb::ResolveIncidentRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            incident_id: click.child("i"),
            resolution: resolution.into(),
            ..Default::default()
        };
        self.send("operator", "CancellationService/ResolveIncident", request)
            .await
    }

    /// What ClaimRefunds asks of one order: the RPC itself would claim those of other trials too.
    /// Each call is by another worker.
    async fn lease(&self, click: &Click) -> Answer {
        let give_up = Instant::now() + HANG;
        let command = LeaseRefunds {
            refunds: vec![1],
            worker: WorkerId::parse(click.request_id()).expect("an id"),
            lease: SignedDuration::from_hours(1),
        };
        let store = StoreId::parse(STORE).expect("an id");
        let submission = Submission {
            store: self.inside.store(&store).await,
            caller: Caller::everywhere(Actor::new(Role::Payments, "psp")),
            order: OrderId::parse(click.order.clone()).expect("an id"),
            request_id: click.request_id().parse().expect("a UUID"),
            expected_version: None,
            work: Work::Decide(Command::LeaseRefunds(command)),
            deadline: give_up,
            priority: Priority::Interactive,
        };
        loop {
            match self.inside.submit(submission.clone()).await {
                Ok(Reply::Answer(answer)) => {
                    let leased = pb::ClaimRefundsResponse::decode(answer.message.as_slice())
                        .expect("a response");
                    return (format!("ok {}", leased.refunds.len()), answer.message);
                }
                Ok(Reply::Rejected(rejection)) => {
                    return (rejection.reason().to_string(), Vec::new());
                }
                Err(error) if Instant::now() > give_up => panic!("{click:?}: {error}"),
                Err(_) => sleep(BACK_OFF).await,
            }
        }
    }

    async fn tell_result(
        &self,
        click: &Click,
        result: pb::RefundResult,
        amount: Option<i64>,
    ) -> Answer {
        let request = pb::RecordRefundResultRequest {
            store_id: STORE.to_owned(),
            request_id: click.request_id(),
            refund_id: click.child("r"),
            result: result.into(),
            amount: amount.map(eur),
            failure_code: if result == pb::RefundResult::Failed {
                "CLOSED".to_owned()
            } else {
                String::new()
            },
            ..Default::default()
        };
        self.send("payments", "RefundService/RecordRefundResult", request)
            .await
    }

    /// Repeats what may be repeated: its request_id makes it one command.
    async fn send<Q: AnyRequest>(&self, role: &str, method: &str, request: Q) -> Answer {
        let give_up = Instant::now() + HANG;
        loop {
            // Field 1 of every answer is what it shows: read as bytes.
            match self
                .raw
                .send::<Q, Vec<u8>>(role, method, request.clone())
                .await
            {
                Ok(shown) => return ("ok".to_owned(), shown),
                Err(status) if is_for_another_try(&status) && Instant::now() < give_up => {
                    sleep(BACK_OFF).await
                }
                Err(status) => return (Refused::of(&status).reason, Vec::new()),
            }
        }
    }

    pub(super) async fn order(&self, order: &str) -> pb::Order {
        let request = pb::GetOrderRequest {
            store_id: STORE.to_owned(),
            order_id: order.to_owned(),
        };
        let answer = self
            .raw
            .send::<_, pb::GetOrderResponse>("operator", "OrderService/GetOrder", request)
            .await;
        answer
            .expect("the order is there")
            .order
            .expect("an answer has its order")
    }
}

/// The order was locked: the same request_id finds out what came of it.
fn is_for_another_try(status: &Status) -> bool {
    status.code() == Code::Unavailable
}

fn eur(minor_units: i64) -> pb::Money {
    pb::Money {
        currency_code: "EUR".to_owned(),
        minor_units,
    }
}
