//! The FulfillmentService.

use std::sync::Arc;

use belay_domain::commands::{Command, MarkReady, StartPreparation};
use belay_domain::ids::{ChildKind, OrderKey, WarehouseId};
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::fulfillment_service_server::FulfillmentService;
use tonic::{Request, Response, Status};

use super::call::{Call, Frame, decide, facts, store_id};
use super::pages::{self, Scope};
use super::read::{self, Snapshot};
use super::status::Failure;
use crate::App;
use crate::db::shipments;
use crate::wire::parse::{self, Violations, fulfillment, lists};
use crate::wire::render;

#[derive(Debug)]
pub(super) struct Fulfillment {
    pub(super) app: Arc<App>,
}

/// The frame of a command about a shipment, and the shipment's number.
fn shipment_frame(v: &mut Violations, shipment_id: &str, request_id: &str, etag: &str) -> Option<(Frame, u32)> {
    let (order, number) = parse::child(v, "shipment_id", shipment_id, ChildKind::Shipment).unzip();
    let frame = Frame::parse(v, order, request_id, etag);
    Some((Frame { shipment: number, ..frame? }, number?))
}

#[tonic::async_trait]
impl FulfillmentService for Fulfillment {
    async fn get_shipment(
        &self,
        request: Request<pb::GetShipmentRequest>,
    ) -> Result<Response<pb::GetShipmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let facts = facts(&self.app, &call, &store_id(request.store_id)?).await?;
        let (order_id, number) =
            parse::parse(|v| parse::child(v, "shipment_id", &request.shipment_id, ChildKind::Shipment))
                .map_err(Failure::from)?;
        let (order, _) = read::order(&self.app, &call, &facts.id, &order_id).await?;
        let shipment = order.shipment(number).filter(|shipment| call.caller.scope.sees_shipment(shipment));
        let Some(shipment) = shipment else {
            return Err(read::rejected(Rejection::ShipmentNotFound { shipment: number }, &order_id).into());
        };
        Ok(Response::new(pb::GetShipmentResponse { shipment: Some(render::shipment(&order, shipment)) }))
    }

    async fn list_shipments(
        &self,
        request: Request<pb::ListShipmentsRequest>,
    ) -> Result<Response<pb::ListShipmentsResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let facts = facts(&self.app, &call, &store_id(request.store_id.clone())?).await?;
        let (page_size, page_token) = (std::mem::take(&mut request.page_size), std::mem::take(&mut request.page_token));
        let scope = Scope::new(&self.app, "ListShipments", &request);
        let (filter, page_size) = parse::parse(|v| {
            let page_size = lists::page_size(v, page_size);
            let order = lists::order_filter(v, request.order_id);
            let warehouse = parse::optional_id(v, "warehouse_id", request.warehouse_id, WarehouseId::parse);
            let stage = lists::stage_filter(v, request.stage);
            let filter = shipments::ShipmentFilter {
                store: facts.id.clone(),
                scope: call.caller.scope.clone(),
                order: order?.map(|order| OrderKey::of(&facts.id, &order)),
                seller: None,
                warehouse: warehouse?,
                carrier: None,
                stage: stage?,
            };
            Some((filter, page_size?))
        })
        .map_err(Failure::from)?;
        let after = pages::place(&scope, &page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let places = shipments::list(snapshot.conn(), &filter, after, page_size + 1).await;
        let page = read::page(&self.app, snapshot, places).await?;
        let (shipments, next_page_token) = pages::cut(&scope, &page, page_size, |order, number| {
            order.shipment(number).map(|shipment| render::shipment(order, shipment))
        });
        Ok(Response::new(pb::ListShipmentsResponse { shipments, next_page_token }))
    }

    async fn start_preparation(
        &self,
        request: Request<pb::StartPreparationRequest>,
    ) -> Result<Response<pb::StartPreparationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let facts = facts(&self.app, &call, &store_id(request.store_id)?).await?;
        let (frame, command) = parse::parse(|v| {
            let frame = shipment_frame(v, &request.shipment_id, &request.request_id, &request.etag);
            let fence = fulfillment::optional_fence(v, request.fence);
            let (frame, shipment) = frame?;
            Some((frame, StartPreparation { shipment, fence: fence? }))
        })
        .map_err(Failure::from)?;
        Ok(Response::new(decide(&self.app, call, facts, frame, Command::StartPreparation(command)).await?))
    }

    async fn mark_ready(
        &self,
        request: Request<pb::MarkReadyRequest>,
    ) -> Result<Response<pb::MarkReadyResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let facts = facts(&self.app, &call, &store_id(request.store_id)?).await?;
        let (frame, command) = parse::parse(|v| {
            let frame = shipment_frame(v, &request.shipment_id, &request.request_id, &request.etag);
            let fence = fulfillment::optional_fence(v, request.fence);
            let (frame, shipment) = frame?;
            Some((frame, MarkReady { shipment, fence: fence? }))
        })
        .map_err(Failure::from)?;
        Ok(Response::new(decide(&self.app, call, facts, frame, Command::MarkReady(command)).await?))
    }

    async fn dispatch_shipment(
        &self,
        request: Request<pb::DispatchShipmentRequest>,
    ) -> Result<Response<pb::DispatchShipmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let facts = facts(&self.app, &call, &store_id(request.store_id.clone())?).await?;
        let (frame, command) = parse::parse(|v| {
            let frame = shipment_frame(v, &request.shipment_id, &request.request_id, &request.etag);
            let shipment = frame.as_ref().map(|(_, number)| *number);
            let command = fulfillment::dispatch_shipment(v, request, shipment);
            Some((frame?.0, command?))
        })
        .map_err(Failure::from)?;
        Ok(Response::new(decide(&self.app, call, facts, frame, Command::DispatchShipment(command)).await?))
    }

    async fn record_tracking(
        &self,
        request: Request<pb::RecordTrackingRequest>,
    ) -> Result<Response<pb::RecordTrackingResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let facts = facts(&self.app, &call, &store_id(request.store_id.clone())?).await?;
        let (frame, command) = parse::parse(|v| {
            let frame = shipment_frame(v, &request.shipment_id, &request.request_id, "");
            let (frame, shipment) = frame.unzip();
            let command = fulfillment::record_tracking(v, request, shipment);
            Some((frame?, command?))
        })
        .map_err(Failure::from)?;
        Ok(Response::new(decide(&self.app, call, facts, frame, Command::RecordTracking(command)).await?))
    }
}
