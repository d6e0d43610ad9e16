//! The FulfillmentService.

use std::sync::Arc;

use belay_domain::commands::{Command, MarkReady, ReleaseHold, StartPreparation};
use belay_domain::ids::{CarrierId, ChildKind, OrderKey, SellerId, WarehouseId};
use belay_domain::query::ShipmentFilter;
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::fulfillment_service_server::FulfillmentService;
use tonic::{Request, Response, Status};

use super::call::{Call, ChildFrame, decide, facts, store_id};
use super::pages::{self, Scope};
use super::read::{self, Snapshot};
use super::status::Failure;
use crate::App;
use crate::db;
use crate::wire::parse::{self, Violations, fulfillment, lists};
use crate::wire::render;

#[derive(Debug)]
pub(super) struct Fulfillment {
    pub(super) app: Arc<App>,
}

/// The frame of a command about a shipment.
fn frame_of(v: &mut Violations, shipment_id: &str, request_id: &str, etag: &str) -> ChildFrame {
    ChildFrame::parse(
        v,
        (ChildKind::Shipment, "shipment_id", shipment_id),
        request_id,
        etag,
    )
}

#[tonic::async_trait]
impl FulfillmentService for Fulfillment {
    async fn get_shipment(
        &self,
        request: Request<pb::GetShipmentRequest>,
    ) -> Result<Response<pb::GetShipmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, (order_id, number)) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let shipment =
                parse::child(v, "shipment_id", &request.shipment_id, ChildKind::Shipment);
            Some((store?, shipment?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let (order, _) = read::order(&self.app, &call, &facts.id, &order_id).await?;
        let shipment = order
            .shipment(number)
            .filter(|shipment| call.caller.scope.sees_shipment(shipment));
        let Some(shipment) = shipment else {
            return Err(read::rejected(
                Rejection::ShipmentNotFound { shipment: number },
                &order_id,
            )
            .into());
        };
        Ok(Response::new(pb::GetShipmentResponse {
            shipment: Some(render::shipment(&order, &facts, shipment)),
        }))
    }

    async fn list_shipments(
        &self,
        request: Request<pb::ListShipmentsRequest>,
    ) -> Result<Response<pb::ListShipmentsResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            std::mem::take(&mut request.page_size),
            std::mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListShipments", &request);
        let (store, filter, page_size) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let page_size = lists::page_size(v, page_size);
            let order = lists::order_filter(v, request.order_id);
            let warehouse =
                parse::optional_id(v, "warehouse_id", request.warehouse_id, WarehouseId::parse);
            let carrier = parse::optional_id(v, "carrier_id", request.carrier_id, CarrierId::parse);
            let seller = parse::optional_id(v, "seller_id", request.seller_id, SellerId::parse);
            let stage = lists::stage_filter(v, request.stage);
            let store = store?;
            let filter = ShipmentFilter {
                store: store.clone(),
                scope: call.caller.scope.clone(),
                order: order?.map(|order| OrderKey::of(&store, &order)),
                seller: call.caller.scope.sellers.narrow(seller?),
                warehouse: warehouse?,
                carrier: carrier?,
                stage: stage?,
            };
            Some((store, filter, page_size?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let after = pages::place(&scope, &page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let places = db::list(snapshot.conn(), &filter, after, page_size + 1).await;
        let page = read::page(&self.app, snapshot, places).await?;
        let (shipments, next_page_token) = pages::cut(&scope, &page, page_size, |order, number| {
            order
                .shipment(number)
                .map(|shipment| render::shipment(order, &facts, shipment))
        });
        Ok(Response::new(pb::ListShipmentsResponse {
            shipments,
            next_page_token,
        }))
    }

    async fn start_preparation(
        &self,
        request: Request<pb::StartPreparationRequest>,
    ) -> Result<Response<pb::StartPreparationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } =
                frame_of(v, &request.shipment_id, &request.request_id, &request.etag);
            let fence = fulfillment::optional_fence(v, request.fence);
            Some((
                store?,
                frame?,
                StartPreparation {
                    shipment: number?,
                    fence: fence?,
                },
            ))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(
                &self.app,
                call,
                facts,
                frame,
                Command::StartPreparation(command),
            )
            .await?,
        ))
    }

    async fn mark_ready(
        &self,
        request: Request<pb::MarkReadyRequest>,
    ) -> Result<Response<pb::MarkReadyResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } =
                frame_of(v, &request.shipment_id, &request.request_id, &request.etag);
            let fence = fulfillment::optional_fence(v, request.fence);
            Some((
                store?,
                frame?,
                MarkReady {
                    shipment: number?,
                    fence: fence?,
                },
            ))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(&self.app, call, facts, frame, Command::MarkReady(command)).await?,
        ))
    }

    async fn dispatch_shipment(
        &self,
        request: Request<pb::DispatchShipmentRequest>,
    ) -> Result<Response<pb::DispatchShipmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } =
                frame_of(v, &request.shipment_id, &request.request_id, &request.etag);
            let command = fulfillment::dispatch_shipment(v, request, number);
            Some((store?, frame?, command?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(
                &self.app,
                call,
                facts,
                frame,
                Command::DispatchShipment(command),
            )
            .await?,
        ))
    }

    async fn record_tracking(
        &self,
        request: Request<pb::RecordTrackingRequest>,
    ) -> Result<Response<pb::RecordTrackingResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } =
                frame_of(v, &request.shipment_id, &request.request_id, "");
            let command = fulfillment::record_tracking(v, request, number);
            Some((store?, frame?, command?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(
                &self.app,
                call,
                facts,
                frame,
                Command::RecordTracking(command),
            )
            .await?,
        ))
    }
    async fn hold_shipment(
        &self,
        request: Request<pb::HoldShipmentRequest>,
    ) -> Result<Response<pb::HoldShipmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } =
                frame_of(v, &request.shipment_id, &request.request_id, &request.etag);
            let command = fulfillment::hold_shipment(v, request, number);
            Some((store?, frame?, command?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(
                &self.app,
                call,
                facts,
                frame,
                Command::HoldShipment(command),
            )
            .await?,
        ))
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Result<Response<pb::ReleaseHoldResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } =
                frame_of(v, &request.shipment_id, &request.request_id, &request.etag);
            let fence = fulfillment::optional_fence(v, request.fence);
            Some((
                store?,
                frame?,
                ReleaseHold {
                    shipment: number?,
                    fence: fence?,
                },
            ))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(&self.app, call, facts, frame, Command::ReleaseHold(command)).await?,
        ))
    }

    async fn split_shipment(
        &self,
        request: Request<pb::SplitShipmentRequest>,
    ) -> Result<Response<pb::SplitShipmentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame {
                frame,
                order,
                number,
            } = frame_of(v, &request.shipment_id, &request.request_id, &request.etag);
            let command = fulfillment::split_shipment(v, request, order.as_ref(), number);
            Some((store?, frame?, command?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(
                &self.app,
                call,
                facts,
                frame,
                Command::SplitShipment(command),
            )
            .await?,
        ))
    }

    async fn answer_stop(
        &self,
        request: Request<pb::AnswerStopRequest>,
    ) -> Result<Response<pb::AnswerStopResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame {
                frame,
                order,
                number,
            } = frame_of(v, &request.shipment_id, &request.request_id, "");
            let command = fulfillment::answer_stop(v, request, order.as_ref(), number);
            Some((store?, frame?, command?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(&self.app, call, facts, frame, Command::AnswerStop(command)).await?,
        ))
    }

    async fn answer_intercept(
        &self,
        request: Request<pb::AnswerInterceptRequest>,
    ) -> Result<Response<pb::AnswerInterceptResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } =
                frame_of(v, &request.shipment_id, &request.request_id, "");
            let command = fulfillment::answer_intercept(v, request, number);
            Some((store?, frame?, command?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(
                &self.app,
                call,
                facts,
                frame,
                Command::AnswerIntercept(command),
            )
            .await?,
        ))
    }

    async fn receive_parcel(
        &self,
        request: Request<pb::ReceiveParcelRequest>,
    ) -> Result<Response<pb::ReceiveParcelResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame {
                frame,
                order,
                number,
            } = frame_of(v, &request.shipment_id, &request.request_id, "");
            let command = fulfillment::receive_parcel(v, request, order.as_ref(), number);
            Some((store?, frame?, command?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        Ok(Response::new(
            decide(
                &self.app,
                call,
                facts,
                frame,
                Command::ReceiveParcel(command),
            )
            .await?,
        ))
    }
}
