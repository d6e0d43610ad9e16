//! The response of a command, as the bytes that the caller gets now and again whenever it repeats the request.

use belay_domain::commands::{Answer, Command};
use belay_domain::context::StoreFacts;
use belay_domain::order::Order;
use belay_proto::v1 as pb;
use jiff::Timestamp;
use prost::Message;
use uuid::Uuid;

use super::values::etag;
use super::{Wire, render};
use crate::engine::Work;

/// The encoded response message of the RPC that `work` came from; nothing for work that no RPC waits for.
///
/// # Panics
/// If the answer is not one that this command gives, or names something that the order does not have: a bug.
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
    let shipment = || Some(shown_shipment(order, answer));
    match command {
        Command::RecordPayment(_) => {
            let order = Some(render::order(order, store, now));
            pb::RecordPaymentResponse { order, request_id }.encode_to_vec()
        }
        Command::RequestCancellation(_) => pb::RequestCancellationResponse {
            cancellation: Some(shown_cancellation(order, answer)),
            order_state: order.state.number(),
            order_etag: etag(order.version),
            request_id,
        }
        .encode_to_vec(),
        Command::StartPreparation(_) => {
            pb::StartPreparationResponse { shipment: shipment(), request_id }.encode_to_vec()
        }
        Command::MarkReady(_) => pb::MarkReadyResponse { shipment: shipment(), request_id }.encode_to_vec(),
        Command::DispatchShipment(_) => {
            pb::DispatchShipmentResponse { shipment: shipment(), request_id }.encode_to_vec()
        }
        Command::RecordTracking(_) => pb::RecordTrackingResponse { shipment: shipment(), request_id }.encode_to_vec(),
        Command::LeaseRefunds(_) => pb::ClaimRefundsResponse { refunds: shown_refunds(order, answer) }.encode_to_vec(),
        Command::RecordRefundResult(_) => {
            let refund = shown_refunds(order, answer).pop();
            pb::RecordRefundResultResponse { refund, request_id }.encode_to_vec()
        }
        Command::Settle => Vec::new(),
    }
}

fn shown_shipment(order: &Order, answer: &Answer) -> pb::Shipment {
    match answer {
        Answer::Shipment(number) => order.shipment(*number).map(|shipment| render::shipment(order, shipment)),
        Answer::Order | Answer::Cancellation(_) | Answer::Refund(_) | Answer::Refunds(_) | Answer::Nothing => None,
    }
    .unwrap_or_else(|| panic!("{answer:?} shows no shipment of order {}", order.id))
}

fn shown_cancellation(order: &Order, answer: &Answer) -> pb::Cancellation {
    match answer {
        Answer::Cancellation(number) => order.cancellation(*number).map(|shown| render::cancellation(order, shown)),
        Answer::Order | Answer::Shipment(_) | Answer::Refund(_) | Answer::Refunds(_) | Answer::Nothing => None,
    }
    .unwrap_or_else(|| panic!("{answer:?} shows no cancellation of order {}", order.id))
}

fn shown_refunds(order: &Order, answer: &Answer) -> Vec<pb::Refund> {
    let numbers = match answer {
        Answer::Refund(number) => std::slice::from_ref(number),
        Answer::Refunds(numbers) => numbers,
        Answer::Order | Answer::Cancellation(_) | Answer::Shipment(_) | Answer::Nothing => {
            panic!("{answer:?} shows no refund of order {}", order.id)
        }
    };
    numbers.iter().filter_map(|number| order.refund(*number)).map(|refund| render::refund(order, refund)).collect()
}
