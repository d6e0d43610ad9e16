//! The CancellationService.

use std::sync::Arc;

use belay_domain::actor::{Actor, Role};
use belay_domain::commands::{self, Command, WithdrawCancellation};
use belay_domain::context::Context;
use belay_domain::ids::{CarrierId, ChildKind, OrderId, OrderKey, SellerId, WarehouseId};
use belay_domain::query::{CancellationFilter, Counted, IncidentFilter};
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::cancellation_service_server::CancellationService;
use tonic::{Request, Response, Status};

use super::auth;
use super::call::{Call, ChildFrame, Frame, decide, facts, store_id};
use super::pages::{self, Scope};
use super::read::{self, Snapshot};
use super::status::Failure;
use crate::db::{self, summaries};
use crate::wire::parse::{self, Violations, cancellations as parse_cancellations, lists};
use crate::wire::{render, values};
use crate::{App, entropy};

#[derive(Debug)]
pub(super) struct Cancellations {
    pub(super) app: Arc<App>,
}

/// The frame of a command about a cancellation.
fn frame_of(v: &mut Violations, cancellation_id: &str, request_id: &str, etag: &str) -> ChildFrame {
    ChildFrame::parse(
        v,
        (ChildKind::Cancellation, "cancellation_id", cancellation_id),
        request_id,
        etag,
    )
}

#[tonic::async_trait]
impl CancellationService for Cancellations {
    async fn preview_cancellation(
        &self,
        request: Request<pb::PreviewCancellationRequest>,
    ) -> Result<Response<pb::PreviewCancellationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        check_on_behalf_of(&call.caller.actor, request.on_behalf_of.as_ref())?;
        let (store, id, at_time, wish) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let id = parse::id(v, "order_id", request.order_id.clone(), OrderId::parse);
            let at_time = parse::time(v, "at_time", request.at_time);
            let wish = parse_cancellations::preview_cancellation(
                v,
                request,
                id.as_ref(),
                &self.app.identity_key,
            );
            Some((store?, id?, at_time?, wish?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;

        let (order, now) = read::order(&self.app, &call, &facts.id, &id).await?;
        let now = at_time.map_or(now, |at_time| at_time.max(now));
        let context = Context {
            now,
            caller: &call.caller.actor,
            scope: &call.caller.scope,
            request_id: entropy::request_id(),
            store: &facts,
        };
        let preview = commands::preview(&order, &wish, &context)
            .map_err(|rejection| read::rejected(rejection, &id))?;
        Ok(Response::new(render::preview::preview(
            &order,
            &wish,
            &preview,
            &facts,
            now,
            &self.app.identity_key,
        )))
    }

    async fn request_cancellation(
        &self,
        request: Request<pb::RequestCancellationRequest>,
    ) -> Result<Response<pb::RequestCancellationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        check_on_behalf_of(&call.caller.actor, request.on_behalf_of.as_ref())?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let id = parse::id(v, "order_id", request.order_id.clone(), OrderId::parse);
            let frame = Frame::parse(v, id.clone(), &request.request_id, &request.etag);
            let command = parse_cancellations::request_cancellation(
                v,
                request,
                id.as_ref(),
                &self.app.identity_key,
            );
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
                Command::RequestCancellation(command),
            )
            .await?,
        ))
    }

    async fn get_cancellation(
        &self,
        request: Request<pb::GetCancellationRequest>,
    ) -> Result<Response<pb::GetCancellationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, (order_id, number)) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let cancellation = parse::child(
                v,
                "cancellation_id",
                &request.cancellation_id,
                ChildKind::Cancellation,
            );
            Some((store?, cancellation?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let (order, _) = read::order(&self.app, &call, &facts.id, &order_id).await?;
        let Some(cancellation) = order.cancellation(number) else {
            return Err(read::rejected(
                Rejection::CancellationNotFound {
                    cancellation: number,
                },
                &order_id,
            )
            .into());
        };
        Ok(Response::new(pb::GetCancellationResponse {
            cancellation: Some(render::cancellation(&order, &facts, cancellation)),
            order_etag: values::etag(order.version),
        }))
    }

    async fn list_cancellations(
        &self,
        request: Request<pb::ListCancellationsRequest>,
    ) -> Result<Response<pb::ListCancellationsResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            std::mem::take(&mut request.page_size),
            std::mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListCancellations", &request);
        let (store, filter, page_size) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let page_size = lists::page_size(v, page_size);
            let order = lists::order_filter(v, request.order_id);
            let seller = parse::optional_id(v, "seller_id", request.seller_id, SellerId::parse);
            let state = lists::cancellation_state_filter(v, request.state);
            let warehouse =
                parse::optional_id(v, "warehouse_id", request.warehouse_id, WarehouseId::parse);
            let carrier = parse::optional_id(v, "carrier_id", request.carrier_id, CarrierId::parse);
            let awaiting = lists::party_filter(v, "awaiting", request.awaiting);
            let respond_by_before = parse::time(v, "respond_by_before", request.respond_by_before);
            let store = store?;
            let filter = CancellationFilter {
                store: store.clone(),
                scope: call.caller.scope.clone(),
                order: order?.map(|order| OrderKey::of(&store, &order)),
                seller: call.caller.scope.sellers.narrow(seller?),
                state: state?,
                warehouse: warehouse?,
                carrier: carrier?,
                awaiting: awaiting?,
                respond_by_before: respond_by_before?,
            };
            Some((store, filter, page_size?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let after = pages::place(&scope, &page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let places = db::list(snapshot.conn(), &filter, after, page_size + 1).await;
        let page = read::page(&self.app, snapshot, places).await?;
        let (cancellations, next_page_token) =
            pages::cut(&scope, &page, page_size, |order, number| {
                order
                    .cancellation(number)
                    .map(|cancellation| render::cancellation(order, &facts, cancellation))
            });
        Ok(Response::new(pb::ListCancellationsResponse {
            cancellations,
            next_page_token,
        }))
    }
    async fn approve_cancellation(
        &self,
        request: Request<pb::ApproveCancellationRequest>,
    ) -> Result<Response<pb::ApproveCancellationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } = frame_of(
                v,
                &request.cancellation_id,
                &request.request_id,
                &request.etag,
            );
            let command = parse_cancellations::approve_cancellation(v, request, number);
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
                Command::ApproveCancellation(command),
            )
            .await?,
        ))
    }

    async fn reject_cancellation(
        &self,
        request: Request<pb::RejectCancellationRequest>,
    ) -> Result<Response<pb::RejectCancellationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } = frame_of(
                v,
                &request.cancellation_id,
                &request.request_id,
                &request.etag,
            );
            let command = parse_cancellations::reject_cancellation(v, request, number);
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
                Command::RejectCancellation(command),
            )
            .await?,
        ))
    }

    async fn withdraw_cancellation(
        &self,
        request: Request<pb::WithdrawCancellationRequest>,
    ) -> Result<Response<pb::WithdrawCancellationResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let ChildFrame { frame, number, .. } = frame_of(
                v,
                &request.cancellation_id,
                &request.request_id,
                &request.etag,
            );
            Some((
                store?,
                frame?,
                WithdrawCancellation {
                    cancellation: number?,
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
                Command::WithdrawCancellation(command),
            )
            .await?,
        ))
    }

    async fn list_incidents(
        &self,
        request: Request<pb::ListIncidentsRequest>,
    ) -> Result<Response<pb::ListIncidentsResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            std::mem::take(&mut request.page_size),
            std::mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListIncidents", &request);
        let (store, filter, page_size) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let page_size = lists::page_size(v, page_size);
            let order = lists::order_filter(v, request.order_id);
            let state = lists::incident_state_filter(v, request.state);
            let kind = lists::incident_kind_filter(v, request.kind);
            let store = store?;
            let filter = IncidentFilter {
                store: store.clone(),
                scope: call.caller.scope.clone(),
                order: order?.map(|order| OrderKey::of(&store, &order)),
                state: state?,
                kind: kind?,
            };
            Some((store, filter, page_size?))
        })
        .map_err(Failure::from)?;
        facts(&self.app, &call, &store).await?;
        let after = pages::place(&scope, &page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let places = db::list(snapshot.conn(), &filter, after, page_size + 1).await;
        let page = read::page(&self.app, snapshot, places).await?;
        let (incidents, next_page_token) = pages::cut(&scope, &page, page_size, |order, number| {
            order
                .incident(number)
                .map(|incident| render::incident(order, incident))
        });
        Ok(Response::new(pb::ListIncidentsResponse {
            incidents,
            next_page_token,
        }))
    }

    async fn resolve_incident(
        &self,
        request: Request<pb::ResolveIncidentRequest>,
    ) -> Result<Response<pb::ResolveIncidentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let named = (ChildKind::Incident, "incident_id", &*request.incident_id);
            let ChildFrame { frame, number, .. } =
                ChildFrame::parse(v, named, &request.request_id, &request.etag);
            let command = parse_cancellations::resolve_incident(v, request, number);
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
                Command::ResolveIncident(command),
            )
            .await?,
        ))
    }

    async fn summarize_actions(
        &self,
        request: Request<pb::SummarizeActionsRequest>,
    ) -> Result<Response<pb::SummarizeActionsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, actions) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let actions = lists::actions(v, request, store.as_ref(), &call.caller.scope);
            Some((store?, actions?))
        })
        .map_err(Failure::from)?;
        facts(&self.app, &call, &store).await?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let read = async {
            let summary = &actions.summary;
            let (requested, nearest_deadline) = summaries::awaiting(summary, actions.party)
                .load(snapshot.conn())
                .await?;
            let auto_approved = if actions.party == Role::Seller {
                let since = actions.since(read::now(&self.app, snapshot.conn()).await?);
                summaries::auto_approved(summary, since)
                    .load(snapshot.conn())
                    .await?
                    .0
            } else {
                Counted::default()
            };
            Ok((auto_approved, requested, nearest_deadline))
        }
        .await;
        let (auto_approved, requested, nearest_deadline) = snapshot.end(read).await?;
        Ok(Response::new(render::actions_summary(
            auto_approved,
            requested,
            nearest_deadline,
        )))
    }
}

/// Only support may speak for a buyer; for others the field is not theirs to use.
fn check_on_behalf_of(
    caller: &Actor,
    on_behalf_of: Option<&pb::OnBehalfOf>,
) -> Result<(), Failure> {
    match on_behalf_of {
        Some(_) if !auth::may_speak_for_buyers(caller.role) => Err(Failure::RoleNotAllowed {
            role: caller.role.to_string(),
        }),
        Some(_) | None => Ok(()),
    }
}
