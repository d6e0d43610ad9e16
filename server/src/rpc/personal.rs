//! The reads that give out personal data, or look for a buyer: the audit log has a record of each.
//! Writes have one whatever they give out.

use crate::telemetry::audit::Personal;
use crate::telemetry::audit::Personal::{BuyerId, BuyerLookup, Evidence, Metadata, Note};

/// The personal data of a read, by the path of the call; none of what has no row. A test holds the
/// rows against the protos.
pub fn personal(path: &str) -> &'static [Personal] {
    let row = PERSONAL.iter().find(|(method, _)| *method == path);
    row.map_or(&[], |(_, personal)| *personal)
}

const PERSONAL: &[(&str, &[Personal])] = &[
    (
        "/belay.v1.OrderService/GetOrder",
        &[BuyerId, Note, Metadata, Evidence],
    ),
    (
        "/belay.v1.OrderService/ListOrders",
        &[BuyerId, Note, Metadata, Evidence, BuyerLookup],
    ),
    (
        "/belay.v1.OrderService/FindOrders",
        &[BuyerId, Note, Metadata, Evidence, BuyerLookup],
    ),
    ("/belay.v1.OrderService/SummarizeOrders", &[BuyerLookup]),
    ("/belay.v1.OrderService/ListOrderHistory", &[BuyerId]),
    (
        "/belay.v1.CancellationService/PreviewCancellation",
        &[BuyerLookup],
    ),
    ("/belay.v1.CancellationService/ListReasons", &[BuyerLookup]),
    (
        "/belay.v1.CancellationService/GetCancellation",
        &[BuyerId, Note, Metadata, Evidence],
    ),
    (
        "/belay.v1.CancellationService/ListCancellations",
        &[BuyerId, Note, Metadata, Evidence],
    ),
    ("/belay.v1.CancellationService/ListIncidents", &[Note]),
    ("/belay.v1.FulfillmentService/GetShipment", &[Note]),
    ("/belay.v1.FulfillmentService/ListShipments", &[Note]),
    ("/belay.v1.EventService/WatchEvents", &[BuyerId]),
    ("/belay.v1.EventService/ListEvents", &[BuyerId]),
];
