//! Every RPC of `belay.v1`: its messages, the generated stub that sends it, and whether it may be
//! sent again.

use belay_proto::v1 as pb;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

/// Whether a call whose outcome is unknown may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Yes, under the same request id: one wish has one effect.
    Keyed,
    /// Yes: it reads, or what it writes is the same the second time.
    Safe,
    /// Sending it again does more than was asked.
    Never,
}

/// A request message, which names its RPC.
pub(crate) trait Rpc: Clone + Send + 'static {
    type Response: Send;
    const SERVICE: &str;
    const NAME: &str;
    const REPEAT: Repeat;

    /// Puts the idempotency key where the message has a place for it.
    fn set_request_id(&mut self, request_id: String);

    fn call(
        channel: Channel,
        request: Request<Self>,
    ) -> impl Future<Output = Result<Response<Self::Response>, Status>> + Send;
}

/// The largest answer that is taken, in bytes. A page of large orders is larger than tonic's 4 MiB.
const ANSWER_BYTES_MAX: usize = 64 << 20;

macro_rules! rpcs {
    (@key Keyed, $message:ident, $request_id:ident) => {
        $message.request_id = $request_id
    };
    (@key $other:ident, $message:ident, $request_id:ident) => {{
        let _ = ($message, $request_id);
    }};
    ($($service:ident via $module:ident::$stub:ident {
        $($name:ident = $method:ident($request:ident) -> $response:ident, $repeat:ident;)+
    })+) => {
        $($(
            impl Rpc for pb::$request {
                type Response = pb::$response;
                const SERVICE: &str = stringify!($service);
                const NAME: &str = stringify!($name);
                const REPEAT: Repeat = Repeat::$repeat;

                fn set_request_id(&mut self, request_id: String) {
                    let message = self;
                    rpcs!(@key $repeat, message, request_id);
                }

                async fn call(channel: Channel, request: Request<Self>) -> Result<Response<pb::$response>, Status> {
                    let stub = pb::$module::$stub::new(channel);
                    stub.max_decoding_message_size(ANSWER_BYTES_MAX).$method(request).await
                }
            }
        )+)+

        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str, &str, Repeat)] = &[
            $($((stringify!($service), stringify!($name), stringify!($method), Repeat::$repeat),)+)+
        ];
    };
}

rpcs! {
    OrderService via order_service_client::OrderServiceClient {
        CreateOrder = create_order(CreateOrderRequest) -> CreateOrderResponse, Keyed;
        GetOrder = get_order(GetOrderRequest) -> GetOrderResponse, Safe;
        ListOrders = list_orders(ListOrdersRequest) -> ListOrdersResponse, Safe;
        SummarizeOrders = summarize_orders(SummarizeOrdersRequest) -> SummarizeOrdersResponse, Safe;
        RecordPayment = record_payment(RecordPaymentRequest) -> RecordPaymentResponse, Keyed;
        ListOrderHistory = list_order_history(ListOrderHistoryRequest) -> ListOrderHistoryResponse, Safe;
    }
    CancellationService via cancellation_service_client::CancellationServiceClient {
        PreviewCancellation = preview_cancellation(PreviewCancellationRequest) -> PreviewCancellationResponse, Safe;
        RequestCancellation = request_cancellation(RequestCancellationRequest) -> RequestCancellationResponse, Keyed;
        GetCancellation = get_cancellation(GetCancellationRequest) -> GetCancellationResponse, Safe;
        ListCancellations = list_cancellations(ListCancellationsRequest) -> ListCancellationsResponse, Safe;
        SummarizeActions = summarize_actions(SummarizeActionsRequest) -> SummarizeActionsResponse, Safe;
        ApproveCancellation = approve_cancellation(ApproveCancellationRequest) -> ApproveCancellationResponse, Keyed;
        RejectCancellation = reject_cancellation(RejectCancellationRequest) -> RejectCancellationResponse, Keyed;
        WithdrawCancellation = withdraw_cancellation(WithdrawCancellationRequest) -> WithdrawCancellationResponse, Keyed;
        ListIncidents = list_incidents(ListIncidentsRequest) -> ListIncidentsResponse, Safe;
        ResolveIncident = resolve_incident(ResolveIncidentRequest) -> ResolveIncidentResponse, Keyed;
    }
    FulfillmentService via fulfillment_service_client::FulfillmentServiceClient {
        GetShipment = get_shipment(GetShipmentRequest) -> GetShipmentResponse, Safe;
        ListShipments = list_shipments(ListShipmentsRequest) -> ListShipmentsResponse, Safe;
        StartPreparation = start_preparation(StartPreparationRequest) -> StartPreparationResponse, Keyed;
        MarkReady = mark_ready(MarkReadyRequest) -> MarkReadyResponse, Keyed;
        DispatchShipment = dispatch_shipment(DispatchShipmentRequest) -> DispatchShipmentResponse, Keyed;
        RecordTracking = record_tracking(RecordTrackingRequest) -> RecordTrackingResponse, Keyed;
        HoldShipment = hold_shipment(HoldShipmentRequest) -> HoldShipmentResponse, Keyed;
        ReleaseHold = release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse, Keyed;
        SplitShipment = split_shipment(SplitShipmentRequest) -> SplitShipmentResponse, Keyed;
        AnswerStop = answer_stop(AnswerStopRequest) -> AnswerStopResponse, Keyed;
        AnswerIntercept = answer_intercept(AnswerInterceptRequest) -> AnswerInterceptResponse, Keyed;
        ReceiveParcel = receive_parcel(ReceiveParcelRequest) -> ReceiveParcelResponse, Keyed;
    }
    RefundService via refund_service_client::RefundServiceClient {
        GetRefund = get_refund(GetRefundRequest) -> GetRefundResponse, Safe;
        ListRefunds = list_refunds(ListRefundsRequest) -> ListRefundsResponse, Safe;
        // Each call claims other refunds: a repeat would leave those of the lost answer with a
        // worker that knows nothing of them until their lease ends.
        ClaimRefunds = claim_refunds(ClaimRefundsRequest) -> ClaimRefundsResponse, Never;
        RecordRefundResult = record_refund_result(RecordRefundResultRequest) -> RecordRefundResultResponse, Keyed;
    }
    StoreService via store_service_client::StoreServiceClient {
        CreateStore = create_store(CreateStoreRequest) -> CreateStoreResponse, Safe;
        GetStore = get_store(GetStoreRequest) -> GetStoreResponse, Safe;
        ListStores = list_stores(ListStoresRequest) -> ListStoresResponse, Safe;
        UpdateStore = update_store(UpdateStoreRequest) -> UpdateStoreResponse, Safe;
        PutCarrier = put_carrier(PutCarrierRequest) -> PutCarrierResponse, Safe;
        ListCarriers = list_carriers(ListCarriersRequest) -> ListCarriersResponse, Safe;
        PutWarehouse = put_warehouse(PutWarehouseRequest) -> PutWarehouseResponse, Safe;
        ListWarehouses = list_warehouses(ListWarehousesRequest) -> ListWarehousesResponse, Safe;
    }
    PolicyService via policy_service_client::PolicyServiceClient {
        ListPresets = list_presets(ListPresetsRequest) -> ListPresetsResponse, Safe;
        CreatePolicy = create_policy(CreatePolicyRequest) -> CreatePolicyResponse, Safe;
        GetPolicy = get_policy(GetPolicyRequest) -> GetPolicyResponse, Safe;
        ListPolicies = list_policies(ListPoliciesRequest) -> ListPoliciesResponse, Safe;
        ActivatePolicy = activate_policy(ActivatePolicyRequest) -> ActivatePolicyResponse, Safe;
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;
    use prost_types::method_options::IdempotencyLevel;

    use super::*;

    /// Service, RPC, and whether the manual lets it be repeated.
    fn manual() -> Vec<(String, String, Repeat)> {
        let mut files = FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET)
            .unwrap()
            .file;
        files.retain(|file| file.package() == "belay.v1");
        let keyed: Vec<String> = files
            .iter()
            .flat_map(|file| &file.message_type)
            .filter(|message| {
                message
                    .field
                    .iter()
                    .any(|field| field.name() == "request_id")
            })
            .map(|message| format!(".belay.v1.{}", message.name()))
            .collect();
        let mut rpcs = Vec::new();
        for service in files.iter().flat_map(|file| &file.service) {
            for method in &service.method {
                let repeat = match method
                    .options
                    .clone()
                    .unwrap_or_default()
                    .idempotency_level()
                {
                    IdempotencyLevel::Idempotent
                        if keyed.iter().any(|key| key == method.input_type()) =>
                    {
                        Repeat::Keyed
                    }
                    IdempotencyLevel::NoSideEffects | IdempotencyLevel::Idempotent => Repeat::Safe,
                    IdempotencyLevel::IdempotencyUnknown => Repeat::Never,
                };
                rpcs.push((service.name().to_owned(), method.name().to_owned(), repeat));
            }
        }
        rpcs.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        rpcs
    }

    #[test]
    fn every_rpc_of_the_manual_is_here_and_repeated_as_it_says() {
        let mut here: Vec<_> = ALL
            .iter()
            .map(|(service, name, _, repeat)| (service.to_string(), name.to_string(), *repeat))
            .collect();
        here.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        assert_eq!(here, manual());
    }

    #[test]
    fn every_rpc_has_a_method() {
        let calls = concat!(
            include_str!("calls/orders.rs"),
            include_str!("calls/cancellations.rs"),
            include_str!("calls/incidents.rs"),
            include_str!("calls/fulfillment.rs"),
            include_str!("calls/custody.rs"),
            include_str!("calls/refunds.rs"),
            include_str!("calls/stores.rs"),
            include_str!("calls/policies.rs"),
        );
        for (_, name, method, _) in ALL {
            let declared = calls.contains(&format!("pub fn {method}("))
                && calls.contains(&format!(" {name}(pb::"));
            assert!(declared, "{name} has no method `{method}`");
        }
    }
}
