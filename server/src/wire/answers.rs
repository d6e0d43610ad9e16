//! The response of a command, as the bytes that the caller gets now and again whenever it repeats
//! the request.

use belay_domain::commands::{Answer, Command, Work};
use belay_domain::context::StoreFacts;
use belay_domain::order::Order;
use belay_proto::v1 as pb;
use jiff::Timestamp;
use prost::Message;
use uuid::Uuid;

use super::values::etag;
use super::{Wire, render};

/// The encoded response message of the RPC that `work` came from; nothing for work that no RPC
/// waits for.
///
/// # Panics
/// If the answer is not one that this command gives, or names something that the order does not
/// have: a bug.
pub fn render(
    work: &Work,
    answer: &Answer,
    order: &Order,
    store: &StoreFacts,
    now: Timestamp,
    request_id: Uuid,
) -> Vec<u8> {
    let request_id = request_id.to_string();
    let command = match work {
        Work::Create(_) => {
            let order = Some(render::order(order, store, now));
            return pb::CreateOrderResponse { order, request_id }.encode_to_vec();
        }
        Work::Decide(command) => command,
    };
    let shown = Shown {
        order,
        store,
        answer,
    };
    let shipment = || Some(shown.shipment());
    match command {
        Command::RecordPayment(_) => {
            let order = Some(render::order(order, store, now));
            pb::RecordPaymentResponse { order, request_id }.encode_to_vec()
        }
        Command::RequestCancellation(_)
        | Command::ApproveCancellation(_)
        | Command::RejectCancellation(_)
        | Command::WithdrawCancellation(_) => shown.cancellation_response(request_id),
        Command::StartPreparation(_) => pb::StartPreparationResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::MarkReady(_) => pb::MarkReadyResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::DispatchShipment(_) => pb::DispatchShipmentResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::RecordTracking(_) => pb::RecordTrackingResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::HoldShipment(_) => pb::HoldShipmentResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::ReleaseHold(_) => pb::ReleaseHoldResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::SplitShipment(_) => {
            let into_shipments = shown.split_off();
            pb::SplitShipmentResponse {
                shipment: shipment(),
                request_id,
                into_shipments,
            }
            .encode_to_vec()
        }
        Command::AnswerStop(_) => pb::AnswerStopResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::AnswerIntercept(_) => pb::AnswerInterceptResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::ReceiveParcel(_) => pb::ReceiveParcelResponse {
            shipment: shipment(),
            request_id,
        }
        .encode_to_vec(),
        Command::LeaseRefunds(_) => pb::ClaimRefundsResponse {
            refunds: shown.refunds(),
        }
        .encode_to_vec(),
        Command::RecordRefundResult(_) => {
            let refund = shown.refunds().pop();
            pb::RecordRefundResultResponse { refund, request_id }.encode_to_vec()
        }
        Command::ResolveIncident(_) => shown.incident_response(request_id),
        Command::Settle => Vec::new(),
    }
}

/// What a command showed of the order.
struct Shown<'a> {
    order: &'a Order,
    store: &'a StoreFacts,
    answer: &'a Answer,
}

impl Shown<'_> {
    /// All commands about cancellations answer alike: their messages have the same fields.
    fn cancellation_response(&self, request_id: String) -> Vec<u8> {
        pb::RequestCancellationResponse {
            cancellation: Some(self.cancellation()),
            order_state: self.order.state.number(),
            order_etag: etag(self.order.version),
            request_id,
        }
        .encode_to_vec()
    }

    fn incident_response(&self, request_id: String) -> Vec<u8> {
        pb::ResolveIncidentResponse {
            incident: Some(self.incident()),
            order_state: self.order.state.number(),
            order_etag: etag(self.order.version),
            request_id,
        }
        .encode_to_vec()
    }

    fn shipment(&self) -> pb::Shipment {
        match self.answer {
            Answer::Shipment(number) => self.order.shipment(*number),
            Answer::Order
            | Answer::Cancellation(_)
            | Answer::Refund(_)
            | Answer::Refunds(_)
            | Answer::Incident(_)
            | Answer::Nothing => None,
        }
        .map(|shipment| render::shipment(self.order, self.store, shipment))
        .unwrap_or_else(|| self.lacks("shipment"))
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
            .map(|shipment| render::shipment(self.order, self.store, shipment))
            .collect()
    }

    fn cancellation(&self) -> pb::Cancellation {
        match self.answer {
            Answer::Cancellation(number) => self.order.cancellation(*number),
            Answer::Order
            | Answer::Shipment(_)
            | Answer::Refund(_)
            | Answer::Refunds(_)
            | Answer::Incident(_)
            | Answer::Nothing => None,
        }
        .map(|cancellation| render::cancellation(self.order, self.store, cancellation))
        .unwrap_or_else(|| self.lacks("cancellation"))
    }

    fn incident(&self) -> pb::Incident {
        match self.answer {
            Answer::Incident(number) => self.order.incident(*number),
            Answer::Order
            | Answer::Shipment(_)
            | Answer::Cancellation(_)
            | Answer::Refund(_)
            | Answer::Refunds(_)
            | Answer::Nothing => None,
        }
        .map(|incident| render::incident(self.order, incident))
        .unwrap_or_else(|| self.lacks("incident"))
    }

    fn refunds(&self) -> Vec<pb::Refund> {
        let numbers = match self.answer {
            Answer::Refund(number) => std::slice::from_ref(number),
            Answer::Refunds(numbers) => numbers,
            Answer::Order
            | Answer::Cancellation(_)
            | Answer::Shipment(_)
            | Answer::Incident(_)
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
