//! What no client should send: refused with the documented code and reason, every violated field
//! named, nothing written.
//!
//! These requests go past the client, whose types cannot express most of them. Each table starts
//! from a request that is right and breaks one thing of it a row.

mod annotations;
mod bulk;
mod cancellations;
mod lists;
mod long_lists;
mod orders;
mod others;
mod payments;
mod simulation;

use std::collections::BTreeSet;

use belay_proto::v1 as pb;
use belay_tests::raw::{AnyRequest, Raw, Refused};
use belay_tests::{SHOP, TestServer, descriptors, run};
use prost::Message;
use tonic::Code;

/// One thing that is wrong with a request, and the field that is to be named for it.
type Row<Q> = (&'static str, fn(&mut Q));

/// Sends the right request with one thing wrong at a time; each must be refused with just the field
/// of its row, and nothing may be written.
async fn each_is_an_invalid_field<Q: AnyRequest>(
    t: &TestServer,
    role: &str,
    method: &str,
    right: &Q,
    rows: &[Row<Q>],
) {
    let raw = t.raw();
    let before = t.database.snapshot().await;
    for (field, break_it) in rows {
        let mut request = right.clone();
        break_it(&mut request);
        let refused = raw.refused(role, method, request.clone()).await;
        let told = format!("{method} with {field} wrong: {refused:?} for {request:?}");
        assert_eq!(
            refused.what(),
            (Code::InvalidArgument, "INVALID_FIELD"),
            "{told}"
        );
        assert_eq!(refused.fields, [*field], "{told}");
    }
    assert_eq!(
        t.database.snapshot().await,
        before,
        "{method} wrote something"
    );
}

/// What an empty message lacks, by RPC: each is told at once, the store first.
const LACKING: &[(&str, &[&str])] = &[
    (
        "OrderService/CreateOrder",
        &[
            "store_id",
            "order_id",
            "buyer.id",
            "seller_id",
            "destination.country_code",
            "lines",
        ],
    ),
    ("OrderService/GetOrder", &["store_id", "order_id"]),
    ("OrderService/ListOrders", &["store_id"]),
    ("OrderService/FindOrders", &["store_id", "buyer_email"]),
    ("OrderService/SummarizeOrders", &["store_id"]),
    (
        "OrderService/RecordPayment",
        &[
            "store_id",
            "order_id",
            "provider_payment_id",
            "provider_event_id",
            "fact",
        ],
    ),
    ("OrderService/ListOrderHistory", &["store_id", "order_id"]),
    (
        "OrderService/UpdateOrderMetadata",
        &["store_id", "order_id", "set_metadata"],
    ),
    (
        "OrderService/AddNote",
        &["store_id", "order_id", "text", "visibility"],
    ),
    (
        "CancellationService/PreviewCancellation",
        &["store_id", "order_id", "all"],
    ),
    (
        "CancellationService/ListReasons",
        &["store_id", "order_id", "all"],
    ),
    (
        "CancellationService/RequestCancellation",
        &["store_id", "order_id", "all"],
    ),
    (
        "CancellationService/GetCancellation",
        &["store_id", "cancellation_id"],
    ),
    ("CancellationService/ListCancellations", &["store_id"]),
    (
        "CancellationService/ApproveCancellation",
        &["store_id", "cancellation_id"],
    ),
    (
        "CancellationService/RejectCancellation",
        &["store_id", "cancellation_id", "code"],
    ),
    (
        "CancellationService/WithdrawCancellation",
        &["store_id", "cancellation_id"],
    ),
    ("CancellationService/ListIncidents", &["store_id"]),
    (
        "CancellationService/ResolveIncident",
        &["store_id", "incident_id", "resolution"],
    ),
    ("CancellationService/SummarizeActions", &["store_id"]),
    (
        "CancellationService/UpdateCancellationMetadata",
        &["store_id", "cancellation_id", "set_metadata"],
    ),
    (
        "FulfillmentService/GetShipment",
        &["store_id", "shipment_id"],
    ),
    ("FulfillmentService/ListShipments", &["store_id"]),
    (
        "FulfillmentService/StartPreparation",
        &["store_id", "shipment_id"],
    ),
    ("FulfillmentService/MarkReady", &["store_id", "shipment_id"]),
    (
        "FulfillmentService/DispatchShipment",
        &["store_id", "shipment_id", "fence"],
    ),
    (
        "FulfillmentService/RecordTracking",
        &["store_id", "shipment_id", "carrier_event_id", "fact"],
    ),
    (
        "FulfillmentService/HoldShipment",
        &["store_id", "shipment_id", "hold_until"],
    ),
    (
        "FulfillmentService/ReleaseHold",
        &["store_id", "shipment_id"],
    ),
    (
        "FulfillmentService/SplitShipment",
        &["store_id", "shipment_id", "parcels"],
    ),
    (
        "FulfillmentService/AnswerStop",
        &["store_id", "shipment_id", "stopped"],
    ),
    (
        "FulfillmentService/AnswerIntercept",
        &["store_id", "shipment_id", "confirmed"],
    ),
    (
        "FulfillmentService/ReceiveParcel",
        &["store_id", "shipment_id", "condition"],
    ),
    ("RefundService/GetRefund", &["store_id", "refund_id"]),
    ("RefundService/ListRefunds", &["store_id"]),
    ("RefundService/ClaimRefunds", &["store_id", "worker_id"]),
    (
        "RefundService/RecordRefundResult",
        &["store_id", "refund_id", "result"],
    ),
    (
        "StoreService/CreateStore",
        &["store_id", "display_name", "preset"],
    ),
    ("StoreService/GetStore", &["store_id"]),
    ("StoreService/ListStores", &[]),
    ("StoreService/UpdateStore", &["store_id"]),
    ("StoreService/PutCarrier", &["store_id", "carrier"]),
    ("StoreService/ListCarriers", &["store_id"]),
    ("StoreService/PutWarehouse", &["store_id", "warehouse"]),
    ("StoreService/ListWarehouses", &["store_id"]),
    (
        "InventoryService/SetStock",
        &["store_id", "warehouse_id", "sku"],
    ),
    (
        "InventoryService/ArchiveSku",
        &["store_id", "warehouse_id", "sku"],
    ),
    (
        "InventoryService/GetStock",
        &["store_id", "warehouse_id", "sku"],
    ),
    ("InventoryService/ListStock", &["store_id"]),
    (
        "InventoryService/ListStockEntries",
        &["store_id", "warehouse_id", "sku"],
    ),
    (
        "InventoryService/ListStockHolders",
        &["store_id", "warehouse_id", "sku"],
    ),
    ("SellerService/GetSellerQuality", &["store_id", "seller_id"]),
    (
        "SellerService/ListCountedCancellations",
        &["store_id", "seller_id"],
    ),
    (
        "SellerService/ListThresholdCrossings",
        &["store_id", "seller_id"],
    ),
    ("PolicyService/ListPresets", &[]),
    ("PolicyService/CreatePolicy", &["store_id"]),
    ("PolicyService/GetPolicy", &["store_id"]),
    ("PolicyService/ListPolicies", &["store_id"]),
    ("PolicyService/ActivatePolicy", &["store_id", "version"]),
    ("PolicyService/ListDecisions", &["store_id"]),
    (
        "PolicyService/SimulatePolicy",
        &["store_id", "document", "start_time", "end_time"],
    ),
    ("EventService/WatchEvents", &[]),
    ("EventService/ListEvents", &[]),
    (
        "EventService/CommitPosition",
        &["consumer_id", "resume_token"],
    ),
    ("EventService/GetConsumer", &["consumer_id"]),
    ("EventService/DeleteConsumer", &["consumer_id"]),
    ("EventService/ListConsumers", &[]),
    ("BulkService/StartBulkCancellation", &["store_id", "orders"]),
    (
        "BulkService/GetBulkCancellation",
        &["store_id", "bulk_cancellation_id"],
    ),
    ("BulkService/ListBulkCancellations", &["store_id"]),
    (
        "BulkService/WatchBulkCancellation",
        &["store_id", "bulk_cancellation_id"],
    ),
    (
        "BulkService/ListBulkResults",
        &["store_id", "bulk_cancellation_id"],
    ),
    (
        "BulkService/StopBulkCancellation",
        &["store_id", "bulk_cancellation_id"],
    ),
];

#[test]
fn an_empty_message_is_told_everything_that_it_lacks() {
    let rpcs: BTreeSet<String> = descriptors::rpcs()
        .iter()
        .map(descriptors::Rpc::path)
        .collect();
    assert_eq!(
        rpcs,
        LACKING
            .iter()
            .map(|(method, _)| (*method).to_owned())
            .collect()
    );
    run(async |t| {
        for (method, lacking) in LACKING.iter().filter(|(_, lacking)| !lacking.is_empty()) {
            let refused = is_refused(
                t,
                "operator",
                method,
                (),
                Code::InvalidArgument,
                "INVALID_FIELD",
            )
            .await;
            assert_eq!(refused.fields, *lacking, "{method}");
        }
    });
}

#[test]
fn a_request_of_an_unknown_store_is_first_told_what_is_wrong_with_it() {
    run(async |t| {
        let mut request = create_order("a b");
        request.store_id = "nowhere".to_owned();
        let method = "OrderService/CreateOrder";
        let refused = is_refused(
            t,
            "storefront",
            method,
            request.clone(),
            Code::InvalidArgument,
            "INVALID_FIELD",
        )
        .await;
        assert_eq!(refused.fields, ["order_id"]);
        request.order_id = "A-1".to_owned();
        is_refused(
            t,
            "storefront",
            method,
            request,
            Code::NotFound,
            "STORE_NOT_FOUND",
        )
        .await;
    });
}

/// Sends a request that must be refused so, and write nothing but the rejection itself.
async fn is_refused<Q: AnyRequest>(
    t: &TestServer,
    role: &str,
    method: &str,
    request: Q,
    code: Code,
    reason: &str,
) -> Refused {
    let before = t.database.snapshot().await.without_answers();
    let refused = t.raw().refused(role, method, request).await;
    assert_eq!(refused.what(), (code, reason), "{refused:?}");
    assert_eq!(
        t.database.snapshot().await.without_answers(),
        before,
        "{method} wrote something"
    );
    refused
}

/// Sends a request that is right.
async fn is_taken<Q, A>(raw: &Raw, role: &str, method: &str, request: Q) -> A
where
    Q: AnyRequest,
    A: Message + Default + Send + Sync + 'static,
{
    let answer = raw.send(role, method, request.clone()).await;
    answer.unwrap_or_else(|status| panic!("{method}: {:?} for {request:?}", Refused::of(&status)))
}

fn eur(minor_units: i64) -> Option<pb::Money> {
    Some(pb::Money {
        currency_code: "EUR".to_owned(),
        minor_units,
    })
}

/// An order that is right in every field.
fn create_order(order_id: &str) -> pb::CreateOrderRequest {
    pb::CreateOrderRequest {
        store_id: SHOP.to_owned(),
        order_id: order_id.to_owned(),
        buyer: Some(pb::Buyer {
            id: "ann".to_owned(),
            ..Default::default()
        }),
        seller_id: "acme".to_owned(),
        destination: Some(pb::Destination {
            country_code: "DE".to_owned(),
            ..Default::default()
        }),
        lines: vec![
            pb::NewLine {
                sku: "MUG".to_owned(),
                quantity: 3,
                goods: eur(1_000),
                ..Default::default()
            },
            pb::NewLine {
                sku: "PEN".to_owned(),
                quantity: 1,
                goods: eur(500),
                ..Default::default()
            },
        ],
        ..Default::default()
    }
}

/// Characters that are no part of any id, in ways that have broken other services.
const ODD_IDS: [&str; 12] = [
    "",
    " ",
    "a b",
    "a:b",
    "a/b",
    "../a",
    "a\0",
    "a\n",
    "é",
    "А-1", // a Cyrillic A
    "'; DROP TABLE orders; --",
    "%",
];

fn long(length: usize) -> String {
    "x".repeat(length)
}

fn time(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos })
}
