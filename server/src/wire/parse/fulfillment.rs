//! Requests of the FulfillmentService. `shipment` is the number of the shipment that the request names.

use belay_domain::commands::{DispatchShipment, RecordTracking};
use belay_domain::ids::ExternalId;
use belay_proto::v1 as pb;

use super::{Violations, id, optional_id, positive, specified, time};

/// The fence that the warehouse wants compared, if any.
pub(crate) fn optional_fence(v: &mut Violations, fence: i64) -> Option<Option<u32>> {
    if fence == 0 { Some(None) } else { positive(v, "fence", fence, u32::MAX).map(Some) }
}

pub(crate) fn dispatch_shipment(
    v: &mut Violations,
    request: pb::DispatchShipmentRequest,
    shipment: Option<u32>,
) -> Option<DispatchShipment> {
    let fence = positive(v, "fence", request.fence, u32::MAX);
    let tracking_number = optional_id(v, "tracking_number", request.tracking_number, ExternalId::parse);
    Some(DispatchShipment { shipment: shipment?, fence: fence?, tracking_number: tracking_number? })
}

pub(crate) fn record_tracking(
    v: &mut Violations,
    request: pb::RecordTrackingRequest,
    shipment: Option<u32>,
) -> Option<RecordTracking> {
    let carrier_event_id = id(v, "carrier_event_id", request.carrier_event_id, ExternalId::parse);
    let fact = specified(v, "fact", request.fact);
    let occurred_time = time(v, "occurred_time", request.occurred_time);
    Some(RecordTracking {
        shipment: shipment?,
        carrier_event_id: carrier_event_id?,
        fact: fact?,
        occurred_time: occurred_time?,
    })
}
