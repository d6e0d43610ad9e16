//! The entries of the fuzz targets (`fuzz/`): what reads bytes of others, each as one function of
//! bytes. They panic where a promise is broken; what is none of ours is refused.

use std::num::NonZeroU16;

use belay_domain::actor::{Actor, Role};
use belay_domain::commands::BoundQuote;
use belay_domain::feed::Positions;
use belay_domain::ids::Partitions;
use belay_domain::policy;
use belay_domain::scope::Caller;
use belay_proto::rpc::{Rpc, StreamRpc};
use belay_proto::v1 as pb;
use prost::Message;
use serde_json::Value;

use crate::pages::PageTokens;
use crate::parse::{
    Parsed, Reader, bulk, cancellations, decisions, events, fulfillment, inventory, orders,
    refunds, sellers, simulation, stores,
};
use crate::quote;
use crate::resume::{FilterHash, ResumeTokens};

const KEY: &[u8; 32] = &[7; 32];
const PARTITIONS: Partitions = Partitions::ranges(NonZeroU16::new(4).expect("not 0"));

/// The parser of the requests of one RPC.
type Parser = fn(&[u8]);

/// Reads it as the server does, and makes the status of what is refused.
fn parsed<M: Message + Default, T>(data: &[u8], parse: impl FnOnce(M, &Reader<'_>) -> Parsed<T>) {
    let Ok(request) = M::decode(data) else { return };
    let caller = Caller::everywhere(Actor::new(Role::Operator, "fuzz"));
    let reader = Reader {
        caller: &caller,
        identity_key: KEY,
        former_identity_keys: &[],
    };
    if let Err(error) = parse(request, &reader) {
        error.into_status(|description| description.to_owned());
    }
}

macro_rules! parsers {
    ($($Rpc:ident::PATH of $($Request:ident: $parse:expr),*;)*) => {
        /// Each RPC whose request is read, with its reader.
        pub const PARSERS: &[(&str, Parser)] = &[
            $($((<pb::$Request as $Rpc>::PATH, |data| parsed::<pb::$Request, _>(data, $parse)),)*)*
        ];
    };
}

parsers! {
    Rpc::PATH of
        GetBulkCancellationRequest: bulk::get_bulk_cancellation,
        ListBulkCancellationsRequest: bulk::list_bulk_cancellations,
        ListBulkResultsRequest: bulk::list_bulk_results,
        StartBulkCancellationRequest: bulk::start_bulk_cancellation,
        StopBulkCancellationRequest: bulk::stop_bulk_cancellation,
        ApproveCancellationRequest: cancellations::approve_cancellation,
        GetCancellationRequest: cancellations::get_cancellation,
        ListCancellationsRequest: cancellations::list_cancellations,
        ListIncidentsRequest: cancellations::list_incidents,
        PreviewCancellationRequest: cancellations::preview_cancellation,
        ListReasonsRequest: cancellations::list_reasons,
        RejectCancellationRequest: cancellations::reject_cancellation,
        RequestCancellationRequest: cancellations::request_cancellation,
        ResolveIncidentRequest: cancellations::resolve_incident,
        SummarizeActionsRequest: cancellations::summarize_actions,
        UpdateCancellationMetadataRequest: cancellations::update_cancellation_metadata,
        WithdrawCancellationRequest: cancellations::withdraw_cancellation,
        CommitPositionRequest: |request, reader| events::commit_position(request, reader, PARTITIONS),
        DeleteConsumerRequest: events::delete_consumer,
        GetConsumerRequest: events::get_consumer,
        ListConsumersRequest: events::list_consumers,
        ListEventsRequest: |request, reader| events::list_events(request, reader, PARTITIONS),
        AnswerInterceptRequest: fulfillment::answer_intercept,
        AnswerStopRequest: fulfillment::answer_stop,
        DispatchShipmentRequest: fulfillment::dispatch_shipment,
        GetShipmentRequest: fulfillment::get_shipment,
        HoldShipmentRequest: fulfillment::hold_shipment,
        ListShipmentsRequest: fulfillment::list_shipments,
        MarkReadyRequest: fulfillment::mark_ready,
        ReceiveParcelRequest: fulfillment::receive_parcel,
        RecordTrackingRequest: fulfillment::record_tracking,
        ReleaseHoldRequest: fulfillment::release_hold,
        SplitShipmentRequest: fulfillment::split_shipment,
        StartPreparationRequest: fulfillment::start_preparation,
        ArchiveSkuRequest: inventory::archive_sku,
        GetStockRequest: inventory::get_stock,
        ListStockEntriesRequest: inventory::list_stock_entries,
        ListStockHoldersRequest: inventory::list_stock_holders,
        ListStockRequest: inventory::list_stock,
        SetStockRequest: inventory::set_stock,
        AddNoteRequest: orders::add_note,
        CreateOrderRequest: orders::create_order,
        GetOrderRequest: orders::get_order,
        ListOrderHistoryRequest: orders::list_order_history,
        FindOrdersRequest: orders::find_orders,
        ListOrdersRequest: orders::list_orders,
        RecordPaymentRequest: orders::record_payment,
        SummarizeOrdersRequest: orders::summarize_orders,
        UpdateOrderMetadataRequest: orders::update_order_metadata,
        ClaimRefundsRequest: refunds::claim_refunds,
        GetRefundRequest: refunds::get_refund,
        ListRefundsRequest: refunds::list_refunds,
        RecordRefundResultRequest: refunds::record_refund_result,
        GetSellerQualityRequest: sellers::get_seller_quality,
        ListCountedCancellationsRequest: sellers::list_counted_cancellations,
        ListThresholdCrossingsRequest: sellers::list_threshold_crossings,
        ActivatePolicyRequest: stores::activate_policy,
        CreatePolicyRequest: stores::create_policy,
        CreateStoreRequest: stores::create_store,
        GetPolicyRequest: stores::get_policy,
        GetStoreRequest: stores::get_store,
        ListCarriersRequest: stores::list_carriers,
        ListPoliciesRequest: stores::list_policies,
        ListDecisionsRequest: decisions::list_decisions,
        ListStoresRequest: stores::list_stores,
        ListWarehousesRequest: stores::list_warehouses,
        PutCarrierRequest: stores::put_carrier,
        PutWarehouseRequest: stores::put_warehouse,
        UpdateStoreRequest: stores::update_store;
    StreamRpc::PATH of
        SimulatePolicyRequest: simulation::simulate_policy,
        WatchBulkCancellationRequest: bulk::watch_bulk_cancellation,
        WatchEventsRequest: |request, reader| events::watch_events(request, reader, PARTITIONS);
}

/// A request, as one of every RPC: so what was found stays found when RPCs are added.
pub fn requests(data: &[u8]) {
    for (_, parse) in PARSERS {
        parse(data);
    }
}

/// A page token: one that somebody made up, and one of ours for whatever place.
pub fn page_tokens(data: &[u8]) {
    let tokens = PageTokens::new(KEY, "ListOrders", &pb::ListOrdersRequest::default());
    let text = String::from_utf8_lossy(data);
    let opened = tokens.open::<Value>(&text);
    assert!(
        opened.is_err() || text.is_empty(),
        "a token that was made up is taken"
    );
    if let Ok(place) = serde_json::from_slice::<Value>(data) {
        let token = tokens.seal(&place);
        // What a list reads of it may be no place of that list.
        let _ = tokens.open::<(i64, [u8; 16], u32)>(&token);
    }
}

/// A resume token: one that somebody made up, and one of ours for whatever positions.
pub fn resume_tokens(data: &[u8]) {
    let tokens = ResumeTokens::new(KEY, PARTITIONS);
    let text = String::from_utf8_lossy(data);
    assert!(
        tokens.open(&text).is_none(),
        "a token that was made up is taken"
    );
    let position = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte))
    };
    let positions: Vec<u64> = data.chunks(8).map(position).collect();
    if positions.len() == usize::from(PARTITIONS.count.get()) {
        let positions = Positions::new(positions);
        let token = tokens.seal(FilterHash::default(), &positions);
        let point = tokens.open(&token).map(|point| point.positions);
        assert_eq!(point, Some(positions), "a token of ours is read as it was");
    }
}

/// A quote: one that somebody made up, and one of ours for whatever bargain.
pub fn quotes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert_eq!(
        quote::read(&text, KEY),
        None,
        "a quote that was made up is taken"
    );
    if let Ok(bargain) = serde_json::from_slice::<BoundQuote>(data) {
        let text = quote::write(&bargain, KEY);
        assert_eq!(
            quote::read(&text, KEY).as_ref(),
            Some(&bargain),
            "a quote of ours is read as it was"
        );
    }
}

/// The document of a policy.
pub fn policies(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        // Each error has its path, and they are bounded.
        if let Err(errors) = policy::parse(text) {
            assert!(!errors.is_empty() && errors.len() <= policy::limits::ERRORS_MAX + 1);
        }
    }
}
