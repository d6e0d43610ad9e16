//! The FulfillmentService.

use std::sync::Arc;

use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::fulfillment_service_server::FulfillmentService;
use belay_wire::parse::fulfillment as parse;
use belay_wire::render;
use tonic::Request;

use super::call::{MethodResult, answer, read_from, rejected, respond};
use crate::App;

#[derive(Debug)]
pub(super) struct Fulfillment {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl FulfillmentService for Fulfillment {
    async fn get_shipment(
        &self,
        request: Request<pb::GetShipmentRequest>,
    ) -> MethodResult<pb::GetShipmentResponse> {
        answer(async {
            let (call, of) = self.app.read(request, parse::get_shipment)?;
            let read = self.app.order(&call, &of.store, &of.order).await?;
            let found = read.found.shipment(of.number);
            let found = found.filter(|shipment| call.caller.scope.sees_shipment(shipment));
            let Some(found) = found else {
                let absent = Rejection::ShipmentNotFound {
                    shipment: of.number,
                };
                return Err(rejected(absent, &of.order));
            };
            Ok(pb::GetShipmentResponse {
                shipment: Some(render::shipment(
                    &call.viewer(&read.found),
                    &read.found,
                    &read.config,
                    found,
                )),
            })
        })
        .await
    }

    async fn list_shipments(
        &self,
        request: Request<pb::ListShipmentsRequest>,
    ) -> MethodResult<pb::ListShipmentsResponse> {
        respond(async {
            let page = self.app.list(
                request,
                parse::list_shipments,
                |viewer, order, number, read| {
                    let found = order.shipment(number)?;
                    Some(render::shipment(viewer, order, &read.config, found))
                },
            );
            let (shipments, next_page_token, from) = page.await?;
            let page = pb::ListShipmentsResponse {
                shipments,
                next_page_token,
            };
            Ok(read_from(from, page))
        })
        .await
    }

    async fn start_preparation(
        &self,
        request: Request<pb::StartPreparationRequest>,
    ) -> MethodResult<pb::StartPreparationResponse> {
        self.app.command(request, parse::start_preparation).await
    }

    async fn mark_ready(
        &self,
        request: Request<pb::MarkReadyRequest>,
    ) -> MethodResult<pb::MarkReadyResponse> {
        self.app.command(request, parse::mark_ready).await
    }

    async fn dispatch_shipment(
        &self,
        request: Request<pb::DispatchShipmentRequest>,
    ) -> MethodResult<pb::DispatchShipmentResponse> {
        self.app.command(request, parse::dispatch_shipment).await
    }

    async fn record_tracking(
        &self,
        request: Request<pb::RecordTrackingRequest>,
    ) -> MethodResult<pb::RecordTrackingResponse> {
        self.app.command(request, parse::record_tracking).await
    }

    async fn hold_shipment(
        &self,
        request: Request<pb::HoldShipmentRequest>,
    ) -> MethodResult<pb::HoldShipmentResponse> {
        self.app.command(request, parse::hold_shipment).await
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> MethodResult<pb::ReleaseHoldResponse> {
        self.app.command(request, parse::release_hold).await
    }

    async fn split_shipment(
        &self,
        request: Request<pb::SplitShipmentRequest>,
    ) -> MethodResult<pb::SplitShipmentResponse> {
        self.app.command(request, parse::split_shipment).await
    }

    async fn answer_stop(
        &self,
        request: Request<pb::AnswerStopRequest>,
    ) -> MethodResult<pb::AnswerStopResponse> {
        self.app.command(request, parse::answer_stop).await
    }

    async fn answer_intercept(
        &self,
        request: Request<pb::AnswerInterceptRequest>,
    ) -> MethodResult<pb::AnswerInterceptResponse> {
        self.app.command(request, parse::answer_intercept).await
    }

    async fn receive_parcel(
        &self,
        request: Request<pb::ReceiveParcelRequest>,
    ) -> MethodResult<pb::ReceiveParcelResponse> {
        self.app.command(request, parse::receive_parcel).await
    }
}
