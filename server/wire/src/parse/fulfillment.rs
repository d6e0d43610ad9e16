//! Requests of the FulfillmentService.

use belay_domain::commands::{
    AnswerIntercept, AnswerStop, Command, DispatchShipment, HoldShipment, InterceptAnswer,
    MarkReady, ReceiveParcel, RecordTracking, ReleaseHold, SplitShipment, StartPreparation,
    StopAnswer,
};
use belay_domain::ids::{
    CarrierId, ChildKind, ExternalId, OrderId, OrderKey, SellerId, WarehouseId,
};
use belay_domain::query::ShipmentFilter;
use belay_domain::units::LineQuantity;
use belay_proto::v1 as pb;
use belay_proto::v1::answer_intercept_request::Answer as InterceptAnswered;
use belay_proto::v1::answer_stop_request::Answer as StopAnswered;

use super::bounds::PARCELS;
use super::envelope::{Child, CommandRequest, Reader, SHIPMENT, child_of_store, target};
use super::lists::{ListRequest, asked_page};
use super::quantities::line_quantities;
use super::{
    Parsed, Violations, all, child_of, code, id, note, optional_id, parse, positive, specified,
    time, unspecified_or,
};

pub fn get_shipment(request: pb::GetShipmentRequest, _: &Reader<'_>) -> Parsed<Child> {
    child_of_store(&request.store_id, SHIPMENT, &request.shipment_id)
}

pub fn list_shipments(
    mut request: pb::ListShipmentsRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<ShipmentFilter>> {
    let page = asked_page!("ListShipments", request, reader);
    page.list(&request.store_id, |v, store| {
        let order = optional_id(v, "order_id", request.order_id, OrderId::parse);
        let warehouse = optional_id(v, "warehouse_id", request.warehouse_id, WarehouseId::parse);
        let carrier = optional_id(v, "carrier_id", request.carrier_id, CarrierId::parse);
        let seller = optional_id(v, "seller_id", request.seller_id, SellerId::parse);
        let stage = unspecified_or(v, "stage", request.stage);
        let prepare_by_before = time(v, "prepare_by_before", request.prepare_by_before);
        let scope = &reader.caller.scope;
        let store = store?;
        Some(ShipmentFilter {
            order: order?.map(|order| OrderKey::of(&store, &order)),
            store,
            scope: scope.clone(),
            seller: scope.sellers.narrow(seller?),
            warehouse: warehouse?,
            carrier: carrier?,
            stage: stage?,
            prepare_by_before: prepare_by_before?,
        })
    })
}

/// A command that takes nothing but the fence which the warehouse wants compared, if any.
macro_rules! fenced {
    ($read:ident: $Request:ident => $Command:ident) => {
        pub fn $read(request: pb::$Request, _: &Reader<'_>) -> Parsed<CommandRequest> {
            parse(|v| {
                let on = target!(v, SHIPMENT, request.shipment_id, request.etag);
                let fence = optional_fence(v, request.fence);
                let (shipment, fence) = (on.number?, fence?);
                on.with(Command::$Command($Command { shipment, fence }))
            })
        }
    };
}

fenced!(start_preparation: StartPreparationRequest => StartPreparation);
fenced!(mark_ready: MarkReadyRequest => MarkReady);
fenced!(release_hold: ReleaseHoldRequest => ReleaseHold);

pub fn dispatch_shipment(
    request: pb::DispatchShipmentRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, SHIPMENT, request.shipment_id, request.etag);
        let fence = positive(v, "fence", request.fence, u32::MAX);
        let tracking_number = optional_id(
            v,
            "tracking_number",
            request.tracking_number,
            ExternalId::parse,
        );
        let command = DispatchShipment {
            shipment: on.number?,
            fence: fence?,
            tracking_number: tracking_number?,
        };
        on.with(Command::DispatchShipment(command))
    })
}

pub fn record_tracking(
    request: pb::RecordTrackingRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, SHIPMENT, request.shipment_id, "");
        let carrier_event_id = id(
            v,
            "carrier_event_id",
            request.carrier_event_id,
            ExternalId::parse,
        );
        let fact = specified(v, "fact", request.fact);
        let occurred_time = time(v, "occurred_time", request.occurred_time);
        let command = RecordTracking {
            shipment: on.number?,
            carrier_event_id: carrier_event_id?,
            fact: fact?,
            occurred_time: occurred_time?,
        };
        on.with(Command::RecordTracking(command))
    })
}

pub fn hold_shipment(request: pb::HoldShipmentRequest, _: &Reader<'_>) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, SHIPMENT, request.shipment_id, request.etag);
        let fence = optional_fence(v, request.fence);
        let until = match time(v, "hold_until", request.hold_until) {
            Some(None) => v.refuse("hold_until", "must be given"),
            read => read.flatten(),
        };
        let note = note(v, request.note);
        let command = HoldShipment {
            shipment: on.number?,
            fence: fence?,
            until: until?,
            note: note?,
        };
        on.with(Command::HoldShipment(command))
    })
}

pub fn split_shipment(request: pb::SplitShipmentRequest, _: &Reader<'_>) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, SHIPMENT, request.shipment_id, request.etag);
        let fence = optional_fence(v, request.fence);
        let parcels = parcels(v, &request.parcels, on.order.as_ref());
        let command = SplitShipment {
            shipment: on.number?,
            fence: fence?,
            parcels: parcels?,
        };
        on.with(Command::SplitShipment(command))
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

pub fn answer_stop(request: pb::AnswerStopRequest, _: &Reader<'_>) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, SHIPMENT, request.shipment_id, "");
        let cancellation = match request.cancellation_id.as_str() {
            "" => Some(None),
            id => child_of(
                v,
                "cancellation_id",
                id,
                ChildKind::Cancellation,
                on.order.as_ref(),
            )
            .map(Some),
        };
        let answer = match request.answer {
            Some(StopAnswered::Stopped(stopped)) => stopped_answer(v, &stopped, on.order.as_ref()),
            Some(StopAnswered::CannotStop(cannot)) => {
                code(v, "cannot_stop.code", cannot.code).map(|code| StopAnswer::CannotStop { code })
            }
            None => v.refuse("stopped", "one of stopped and cannot_stop must be given"),
        };
        let note = note(v, request.note);
        let command = AnswerStop {
            shipment: on.number?,
            cancellation: cancellation?,
            answer: answer?,
            note: note?,
        };
        on.with(Command::AnswerStop(command))
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

pub fn answer_intercept(
    request: pb::AnswerInterceptRequest,
    _: &Reader<'_>,
) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, SHIPMENT, request.shipment_id, "");
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
        let command = AnswerIntercept {
            shipment: on.number?,
            answer: answer?,
            note: note?,
        };
        on.with(Command::AnswerIntercept(command))
    })
}

pub fn receive_parcel(request: pb::ReceiveParcelRequest, _: &Reader<'_>) -> Parsed<CommandRequest> {
    parse(|v| {
        let on = target!(v, SHIPMENT, request.shipment_id, "");
        let condition = specified(v, "condition", request.condition);
        let quantities =
            line_quantities(v, "quantities", &request.quantities, 0, on.order.as_ref());
        let receipt_id = optional_id(v, "receipt_id", request.receipt_id, ExternalId::parse);
        let receive_time = time(v, "receive_time", request.receive_time);
        let note = note(v, request.note);
        let command = ReceiveParcel {
            shipment: on.number?,
            condition: condition?,
            quantities: quantities?,
            receipt_id: receipt_id?,
            receive_time: receive_time?,
            note: note?,
        };
        on.with(Command::ReceiveParcel(command))
    })
}

/// The fence that the warehouse wants compared, if any.
fn optional_fence(v: &mut Violations, fence: i64) -> Option<Option<u32>> {
    if fence == 0 {
        Some(None)
    } else {
        positive(v, "fence", fence, u32::MAX).map(Some)
    }
}
