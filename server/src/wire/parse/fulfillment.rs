//! Requests of the FulfillmentService. `shipment` is the number of the shipment that the request
//! names, and `order` the order that it belongs to.

use belay_domain::commands::{
    AnswerIntercept, AnswerStop, DispatchShipment, HoldShipment, InterceptAnswer, ReceiveParcel,
    RecordTracking, SplitShipment, StopAnswer,
};
use belay_domain::ids::{ChildKind, ExternalId, OrderId};
use belay_domain::units::LineQuantity;
use belay_proto::v1 as pb;
use belay_proto::v1::answer_intercept_request::Answer as InterceptAnswered;
use belay_proto::v1::answer_stop_request::Answer as StopAnswered;

use super::bounds::PARCELS;
use super::quantities::line_quantities;
use super::{
    Violations, all, child_of, code, id, note, optional_id, positive, specified, time,
    unspecified_or,
};

/// The fence that the warehouse wants compared, if any.
pub(crate) fn optional_fence(v: &mut Violations, fence: i64) -> Option<Option<u32>> {
    if fence == 0 {
        Some(None)
    } else {
        positive(v, "fence", fence, u32::MAX).map(Some)
    }
}

pub(crate) fn dispatch_shipment(
    v: &mut Violations,
    request: pb::DispatchShipmentRequest,
    shipment: Option<u32>,
) -> Option<DispatchShipment> {
    let fence = positive(v, "fence", request.fence, u32::MAX);
    let tracking_number = optional_id(
        v,
        "tracking_number",
        request.tracking_number,
        ExternalId::parse,
    );
    Some(DispatchShipment {
        shipment: shipment?,
        fence: fence?,
        tracking_number: tracking_number?,
    })
}

pub(crate) fn record_tracking(
    v: &mut Violations,
    request: pb::RecordTrackingRequest,
    shipment: Option<u32>,
) -> Option<RecordTracking> {
    let carrier_event_id = id(
        v,
        "carrier_event_id",
        request.carrier_event_id,
        ExternalId::parse,
    );
    let fact = specified(v, "fact", request.fact);
    let occurred_time = time(v, "occurred_time", request.occurred_time);
    Some(RecordTracking {
        shipment: shipment?,
        carrier_event_id: carrier_event_id?,
        fact: fact?,
        occurred_time: occurred_time?,
    })
}

pub(crate) fn hold_shipment(
    v: &mut Violations,
    request: pb::HoldShipmentRequest,
    shipment: Option<u32>,
) -> Option<HoldShipment> {
    let fence = optional_fence(v, request.fence);
    let until = match time(v, "hold_until", request.hold_until) {
        Some(None) => v.refuse("hold_until", "must be given"),
        read => read.flatten(),
    };
    let note = note(v, request.note);
    Some(HoldShipment {
        shipment: shipment?,
        fence: fence?,
        until: until?,
        note: note?,
    })
}

pub(crate) fn split_shipment(
    v: &mut Violations,
    request: pb::SplitShipmentRequest,
    order: Option<&OrderId>,
    shipment: Option<u32>,
) -> Option<SplitShipment> {
    let fence = optional_fence(v, request.fence);
    let parcels = parcels(v, &request.parcels, order);
    Some(SplitShipment {
        shipment: shipment?,
        fence: fence?,
        parcels: parcels?,
    })
}

fn parcels(
    v: &mut Violations,
    parcels: &[pb::Parcel],
    order: Option<&OrderId>,
) -> Option<Vec<Vec<LineQuantity>>> {
    if !PARCELS.contains(&parcels.len()) {
        let (min, max, count) = (PARCELS.start(), PARCELS.end(), parcels.len());
        return v.refuse(
            "parcels",
            format!("must have from {min} to {max} entries, has {count}"),
        );
    }
    all(parcels.iter().enumerate().map(|(index, parcel)| {
        line_quantities(
            v,
            &format!("parcels[{index}].contents"),
            &parcel.contents,
            1,
            order,
        )
    }))
}

pub(crate) fn answer_stop(
    v: &mut Violations,
    request: pb::AnswerStopRequest,
    order: Option<&OrderId>,
    shipment: Option<u32>,
) -> Option<AnswerStop> {
    let cancellation = match request.cancellation_id.as_str() {
        "" => Some(None),
        id => child_of(v, "cancellation_id", id, ChildKind::Cancellation, order).map(Some),
    };
    let answer = match request.answer {
        Some(StopAnswered::Stopped(stopped)) => stopped_answer(v, &stopped, order),
        Some(StopAnswered::CannotStop(cannot)) => {
            code(v, "cannot_stop.code", cannot.code).map(|code| StopAnswer::CannotStop { code })
        }
        None => v.refuse("stopped", "one of stopped and cannot_stop must be given"),
    };
    let note = note(v, request.note);
    Some(AnswerStop {
        shipment: shipment?,
        cancellation: cancellation?,
        answer: answer?,
        note: note?,
    })
}

fn stopped_answer(
    v: &mut Violations,
    stopped: &pb::Stopped,
    order: Option<&OrderId>,
) -> Option<StopAnswer> {
    let quantities = line_quantities(v, "stopped.quantities", &stopped.quantities, 0, order);
    let stage_seen = unspecified_or(v, "stopped.stage_seen", stopped.stage_seen);
    let put_back = line_quantities(v, "stopped.put_back", &stopped.put_back, 0, order);
    Some(StopAnswer::Stopped {
        quantities: quantities?,
        stage_seen: stage_seen?,
        put_back: put_back?,
    })
}

pub(crate) fn answer_intercept(
    v: &mut Violations,
    request: pb::AnswerInterceptRequest,
    shipment: Option<u32>,
) -> Option<AnswerIntercept> {
    let answer = match request.answer {
        Some(InterceptAnswered::Confirmed(pb::InterceptConfirmed {})) => {
            Some(InterceptAnswer::Confirmed)
        }
        Some(InterceptAnswered::CannotIntercept(cannot)) => {
            code(v, "cannot_intercept.code", cannot.code)
                .map(|code| InterceptAnswer::CannotIntercept { code })
        }
        None => v.refuse(
            "confirmed",
            "one of confirmed and cannot_intercept must be given",
        ),
    };
    let note = note(v, request.note);
    Some(AnswerIntercept {
        shipment: shipment?,
        answer: answer?,
        note: note?,
    })
}

pub(crate) fn receive_parcel(
    v: &mut Violations,
    request: pb::ReceiveParcelRequest,
    order: Option<&OrderId>,
    shipment: Option<u32>,
) -> Option<ReceiveParcel> {
    let condition = specified(v, "condition", request.condition);
    let quantities = line_quantities(v, "quantities", &request.quantities, 0, order);
    let receipt_id = optional_id(v, "receipt_id", request.receipt_id, ExternalId::parse);
    let receive_time = time(v, "receive_time", request.receive_time);
    let note = note(v, request.note);
    Some(ReceiveParcel {
        shipment: shipment?,
        condition: condition?,
        quantities: quantities?,
        receipt_id: receipt_id?,
        receive_time: receive_time?,
        note: note?,
    })
}
