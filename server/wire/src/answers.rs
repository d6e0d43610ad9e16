//! The response of a command, as the bytes that the caller gets now and again whenever it repeats
//! the request; and what is kept of them.

use std::collections::BTreeMap;

use belay_domain::bulk::OrderResult;
use belay_domain::commands::{Command, UpdateMetadata, Work};
use belay_domain::context::StoreConfig;
use belay_domain::decision::Answer;
use belay_domain::ids::ChildKind;
use belay_domain::order::Order;
use belay_proto::v1 as pb;
use jiff::Timestamp;
use prost::Message;
use uuid::Uuid;

use super::values::etag;
use super::{Wire, render};
use crate::views::{Viewed, Viewer};

/// A stored answer that cannot be read: a defect.
#[derive(Debug, thiserror::Error)]
pub enum StoredAnswerError {
    #[error("a stored rejection cannot be read: {0}")]
    Rejection(#[from] serde_json::Error),
    #[error("a stored answer has no known form")]
    Form,
    #[error("there is no view of this answer for who sees parcels")]
    NoView,
}

/// The context of a response: what the command answers, of which order, to which request.
#[derive(Debug, Clone, Copy)]
pub struct ResponseContext<'a> {
    pub answer: &'a Answer,
    /// As the command has left it.
    pub order: &'a Order,
    pub store: &'a StoreConfig,
    pub now: Timestamp,
    pub request_id: Uuid,
    /// For answers that are the whole order.
    pub viewer: &'a Viewer<'a>,
}

/// The encoded response message of the RPC that `work` came from; nothing for work that no RPC
/// waits for. Answers other than the whole order are rendered for a caller who sees everything;
/// what the caller may not see is removed when they are returned.
///
/// # Panics
/// If the answer is not one that this command gives, or names something that the order does not
/// have: a bug.
#[expect(clippy::too_many_lines, reason = "a table: a row for each command")]
pub fn render(work: &Work, response: &ResponseContext<'_>) -> Vec<u8> {
    let request_id = response.request_id.to_string();
    let command = match work {
        Work::Create(_) => {
            let order = response.whole_order();
            return pb::CreateOrderResponse { order, request_id }.encode_to_vec();
        }
        Work::Decide(command) => command,
    };
    // Each RPC names its own message in full, so that a field that one of them gains is asked for.
    macro_rules! encoded {
        ($Response:ident { $($field:ident),* }) => {
            pb::$Response { request_id, $($field: response.$field()),* }.encode_to_vec()
        };
    }
    macro_rules! shipment {
        ($Response:ident) => {
            encoded!($Response { shipment })
        };
    }
    macro_rules! cancellation {
        ($Response:ident) => {
            encoded!($Response {
                cancellation,
                order_state,
                order_etag
            })
        };
    }
    match command {
        Command::RecordPayment(_) => {
            let order = response.whole_order();
            pb::RecordPaymentResponse { order, request_id }.encode_to_vec()
        }
        Command::RequestCancellation(_) => cancellation!(RequestCancellationResponse),
        Command::ApproveCancellation(_) => cancellation!(ApproveCancellationResponse),
        Command::RejectCancellation(_) => cancellation!(RejectCancellationResponse),
        Command::WithdrawCancellation(_) => cancellation!(WithdrawCancellationResponse),
        Command::StartPreparation(_) => shipment!(StartPreparationResponse),
        Command::MarkReady(_) => shipment!(MarkReadyResponse),
        Command::DispatchShipment(_) => shipment!(DispatchShipmentResponse),
        Command::RecordTracking(_) => shipment!(RecordTrackingResponse),
        Command::HoldShipment(_) => shipment!(HoldShipmentResponse),
        Command::ReleaseHold(_) => shipment!(ReleaseHoldResponse),
        Command::SplitShipment(_) => pb::SplitShipmentResponse {
            shipment: response.shipment(),
            request_id,
            into_shipments: response.split_off(),
        }
        .encode_to_vec(),
        Command::AnswerStop(_) => shipment!(AnswerStopResponse),
        Command::AnswerIntercept(_) => shipment!(AnswerInterceptResponse),
        Command::ReceiveParcel(_) => shipment!(ReceiveParcelResponse),
        Command::LeaseRefunds(_) => pb::ClaimRefundsResponse {
            refunds: response.refunds(),
        }
        .encode_to_vec(),
        Command::RecordRefundResult(_) => {
            let refund = response.refunds().pop();
            pb::RecordRefundResultResponse { refund, request_id }.encode_to_vec()
        }
        Command::ResolveIncident(_) => {
            encoded!(ResolveIncidentResponse {
                incident,
                order_state,
                order_etag
            })
        }
        Command::UpdateMetadata(UpdateMetadata {
            cancellation: None, ..
        }) => encoded!(UpdateOrderMetadataResponse {
            metadata,
            external_references,
            order_etag
        }),
        Command::UpdateMetadata(_) => cancellation!(UpdateCancellationMetadataResponse),
        Command::AddNote(_) => encoded!(AddNoteResponse { note, order_etag }),
        Command::Settle => Vec::new(),
    }
}

/// What is kept of an answer that is the whole order: which order, and where it stood. The rest is
/// rendered again when the request is repeated, for an order is large and its facts are many. It is
/// a response itself, so that a server which repeats what is kept gives one.
pub(crate) fn order_head(order: &Order, request_id: Uuid) -> Vec<u8> {
    let head = pb::Order {
        order_id: order.id.to_string(),
        store_id: order.store.to_string(),
        etag: etag(order.version),
        state: order.state.number(),
        ..pb::Order::default()
    };
    let response = pb::RecordPaymentResponse {
        order: Some(head),
        request_id: request_id.to_string(),
    };
    response.encode_to_vec()
}

/// The answer of a command as this viewer sees it: what is kept is whole, and who may see how much
/// may have changed since it was.
///
/// # Errors
/// Where the bytes are no such answer, or nobody with this view may give the command: a bug.
pub(crate) fn seen(
    viewer: &Viewer<'_>,
    work: &Work,
    answer: &[u8],
) -> Result<Vec<u8>, StoredAnswerError> {
    fn shown<R: Message + Default + Viewed>(
        viewer: &Viewer<'_>,
        answer: &[u8],
    ) -> Result<Vec<u8>, StoredAnswerError> {
        let response = R::decode(answer).map_err(|_| StoredAnswerError::Form)?;
        Ok(viewer.shown(response).encode_to_vec())
    }
    let show = match work {
        Work::Decide(Command::RequestCancellation(_)) => shown::<pb::RequestCancellationResponse>,
        Work::Decide(Command::WithdrawCancellation(_)) => shown::<pb::WithdrawCancellationResponse>,
        Work::Decide(Command::StartPreparation(_)) => shown::<pb::StartPreparationResponse>,
        Work::Decide(Command::MarkReady(_)) => shown::<pb::MarkReadyResponse>,
        Work::Decide(Command::DispatchShipment(_)) => shown::<pb::DispatchShipmentResponse>,
        Work::Decide(Command::RecordTracking(_)) => shown::<pb::RecordTrackingResponse>,
        Work::Decide(Command::SplitShipment(_)) => shown::<pb::SplitShipmentResponse>,
        Work::Decide(Command::AnswerStop(_)) => shown::<pb::AnswerStopResponse>,
        Work::Decide(Command::AnswerIntercept(_)) => shown::<pb::AnswerInterceptResponse>,
        Work::Decide(Command::ReceiveParcel(_)) => shown::<pb::ReceiveParcelResponse>,
        Work::Create(_)
        | Work::Decide(
            Command::RecordPayment(_)
            | Command::ApproveCancellation(_)
            | Command::RejectCancellation(_)
            | Command::HoldShipment(_)
            | Command::ReleaseHold(_)
            | Command::LeaseRefunds(_)
            | Command::RecordRefundResult(_)
            | Command::ResolveIncident(_)
            | Command::UpdateMetadata(_)
            | Command::AddNote(_)
            | Command::Settle,
        ) => return Err(StoredAnswerError::NoView),
    };
    show(viewer, answer)
}

impl ResponseContext<'_> {
    fn whole_order(&self) -> Option<pb::Order> {
        Some(render::order(self.viewer, self.order, self.store, self.now))
    }

    fn order_state(&self) -> i32 {
        self.order.state.number()
    }

    fn order_etag(&self) -> String {
        etag(self.order.version)
    }

    fn shipment(&self) -> Option<pb::Shipment> {
        let Answer::Shipment(number) = self.answer else {
            self.lacks("shipment")
        };
        let found = self.order.shipment(*number);
        let found = found.unwrap_or_else(|| self.lacks("shipment"));
        Some(render::shipment(
            &Viewer::WHOLE,
            self.order,
            self.store,
            found,
        ))
    }

    /// The shipments that hold what was in the answered one. A shipment is split once at most.
    fn split_off(&self) -> Vec<pb::Shipment> {
        let is_of = |split_from: Option<u32>| {
            split_from.is_some_and(|from| *self.answer == Answer::Shipment(from))
        };
        let split_off = self
            .order
            .shipments
            .iter()
            .filter(|shipment| is_of(shipment.split_from));
        split_off
            .map(|shipment| render::shipment(&Viewer::WHOLE, self.order, self.store, shipment))
            .collect()
    }

    fn cancellation(&self) -> Option<pb::Cancellation> {
        let Answer::Cancellation(number) = self.answer else {
            self.lacks("cancellation")
        };
        let found = self.order.cancellation(*number);
        let found = found.unwrap_or_else(|| self.lacks("cancellation"));
        Some(render::cancellation(
            &Viewer::WHOLE,
            self.order,
            self.store,
            found,
        ))
    }

    fn incident(&self) -> Option<pb::Incident> {
        let Answer::Incident(number) = self.answer else {
            self.lacks("incident")
        };
        let found = self.order.incident(*number);
        let found = found.unwrap_or_else(|| self.lacks("incident"));
        Some(render::incident(&Viewer::WHOLE, self.order, found))
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        render::annotations::metadata(&self.order.annotations)
    }

    fn external_references(&self) -> Vec<pb::ExternalReference> {
        render::annotations::external_references(&self.order.annotations)
    }

    fn note(&self) -> Option<pb::Note> {
        let Answer::Note(number) = self.answer else {
            self.lacks("note")
        };
        let found = self.order.note(*number);
        let found = found.unwrap_or_else(|| self.lacks("note"));
        Some(render::order::note(self.order, found))
    }

    fn refunds(&self) -> Vec<pb::Refund> {
        let numbers = match self.answer {
            Answer::Refund(number) => std::slice::from_ref(number),
            Answer::Refunds(numbers) => numbers,
            Answer::Order
            | Answer::Cancellation(_)
            | Answer::Shipment(_)
            | Answer::Incident(_)
            | Answer::Note(_)
            | Answer::Nothing => self.lacks("refund"),
        };
        let refunds = numbers
            .iter()
            .filter_map(|number| self.order.refund(*number));
        refunds
            .map(|refund| render::refund(self.order, refund))
            .collect()
    }

    fn lacks(&self, what: &str) -> ! {
        panic!(
            "{:?} shows no {what} of order {}",
            self.answer, self.order.id
        )
    }
}

/// What the answer to a RequestCancellation says of one order of a bulk cancellation.
///
/// # Errors
/// Where the bytes are no such answer: a bug.
pub fn bulk_result(answer: &[u8]) -> Result<OrderResult, String> {
    let response = pb::RequestCancellationResponse::decode(answer)
        .map_err(|error| format!("a stored answer cannot be read: {error}"))?;
    let cancellation = response.cancellation.unwrap_or_default();
    let (_, number) = ChildKind::Cancellation
        .parse(&cancellation.cancellation_id)
        .map_err(|error| format!("{:?}: {error}", cancellation.cancellation_id))?;
    let is_pending = cancellation.state() == pb::CancellationState::Pending;
    let refund = cancellation.expected_refund.and_then(|refund| refund.total);
    Ok(OrderResult::Accepted {
        is_pending,
        cancellation: number,
        refund: refund.map(|total| (total.currency_code, total.minor_units)),
    })
}
