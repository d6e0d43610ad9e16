//! The CancellationService.

use std::sync::Arc;

use belay_domain::actor::Role;
use belay_domain::commands::{self, ReasonListing};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::cancellation_service_server::CancellationService;
use belay_wire::parse::cancellations as parse;
use belay_wire::{render, values};
use jiff::Timestamp;
use tonic::Request;

use super::call::{Call, MethodResult, answer, read_from, rejected, respond};
use crate::quality::Measured;
use crate::queries::sellers;
use crate::reads::Sight;
use crate::{App, across_orders, ids};

#[derive(Debug)]
pub(super) struct Cancellations {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl CancellationService for Cancellations {
    async fn preview_cancellation(
        &self,
        request: Request<pb::PreviewCancellationRequest>,
    ) -> MethodResult<pb::PreviewCancellationResponse> {
        answer(async {
            let (call, asked) = self.app.read(request, parse::preview_cancellation)?;
            let (named, sight) = ((&asked.store, &asked.order), sight(&call, &asked.request));
            let read = self.app.order_in_sight(&call, named, sight).await?;
            let (order, config) = (&read.found, &read.config);
            let now = asked.at_time.map_or(read.now, |at| at.max(read.now));
            let context = context(&call, config, now);
            let preview = commands::preview(order, &asked.request, &context)
                .map_err(|rejection| rejected(rejection, &asked.order))?;
            let key = &self.app.identity_key;
            let (viewer, asked) = (call.viewer(order), (&**order, &asked.request));
            let mut shown = render::preview::preview(&viewer, asked, &preview, config, now, key);
            let caller = &call.caller;
            let is_told =
                caller.actor.role == Role::Seller && sellers::sees(&caller.scope, &order.seller);
            if preview.counted && is_told {
                let of = (&order.store, &order.seller);
                let measured = sellers::quality_at(&self.app, config, of, now).await?;
                shown.quality = measured.map(|Measured { quality, rate, .. }| {
                    render::quality::preview(&quality, rate, order, &shown)
                });
            }
            Ok(shown)
        })
        .await
    }

    async fn list_reasons(
        &self,
        request: Request<pb::ListReasonsRequest>,
    ) -> MethodResult<pb::ListReasonsResponse> {
        answer(async {
            let (call, asked) = self.app.read(request, parse::list_reasons)?;
            let (named, sight) = ((&asked.store, &asked.order), sight(&call, &asked.request));
            // The policy is asked once for each reason, which may be many.
            let _turn = self.app.page_turn(&call).await?;
            let read = self.app.order_in_sight(&call, named, sight).await?;
            let order = &read.found;
            let context = context(&call, &read.config, read.now);
            let listing = ReasonListing::begin(order, &asked.request, &context)
                .map_err(|rejection| rejected(rejection, &asked.order))?;
            let mut reasons = Vec::new();
            for reason in listing.reasons() {
                reasons.push(listing.listed(reason));
                tokio::task::yield_now().await;
            }
            let listed = listing.end(reasons);
            let (viewer, languages) = (call.viewer(order), &asked.languages);
            Ok(render::preview::reasons(
                &viewer, order, &listed, languages, read.now,
            ))
        })
        .await
    }

    async fn request_cancellation(
        &self,
        request: Request<pb::RequestCancellationRequest>,
    ) -> MethodResult<pb::RequestCancellationResponse> {
        self.app.command(request, parse::request_cancellation).await
    }

    async fn get_cancellation(
        &self,
        request: Request<pb::GetCancellationRequest>,
    ) -> MethodResult<pb::GetCancellationResponse> {
        answer(async {
            let (call, of) = self.app.read(request, parse::get_cancellation)?;
            let read = self.app.order(&call, &of.store, &of.order).await?;
            let number = of.number;
            let order = &read.found;
            let found = order.cancellation(number);
            let found = found.filter(|found| call.caller.sees_cancellation(order, found));
            let Some(found) = found else {
                let absent = Rejection::CancellationNotFound {
                    cancellation: number,
                };
                return Err(rejected(absent, &of.order));
            };
            Ok(pb::GetCancellationResponse {
                cancellation: Some(render::cancellation(
                    &call.viewer(order),
                    order,
                    &read.config,
                    found,
                )),
                order_etag: values::etag(read.found.version),
            })
        })
        .await
    }

    async fn list_cancellations(
        &self,
        request: Request<pb::ListCancellationsRequest>,
    ) -> MethodResult<pb::ListCancellationsResponse> {
        respond(async {
            let page = self.app.list(
                request,
                parse::list_cancellations,
                |viewer, order, number, read| {
                    let found = order.cancellation(number)?;
                    Some(render::cancellation(viewer, order, &read.config, found))
                },
            );
            let (cancellations, next_page_token, from) = page.await?;
            let page = pb::ListCancellationsResponse {
                cancellations,
                next_page_token,
            };
            Ok(read_from(from, page))
        })
        .await
    }

    async fn approve_cancellation(
        &self,
        request: Request<pb::ApproveCancellationRequest>,
    ) -> MethodResult<pb::ApproveCancellationResponse> {
        self.app.command(request, parse::approve_cancellation).await
    }

    async fn reject_cancellation(
        &self,
        request: Request<pb::RejectCancellationRequest>,
    ) -> MethodResult<pb::RejectCancellationResponse> {
        self.app.command(request, parse::reject_cancellation).await
    }

    async fn withdraw_cancellation(
        &self,
        request: Request<pb::WithdrawCancellationRequest>,
    ) -> MethodResult<pb::WithdrawCancellationResponse> {
        self.app
            .command(request, parse::withdraw_cancellation)
            .await
    }

    async fn list_incidents(
        &self,
        request: Request<pb::ListIncidentsRequest>,
    ) -> MethodResult<pb::ListIncidentsResponse> {
        respond(async {
            let page = self.app.list(
                request,
                parse::list_incidents,
                |viewer, order, number, _| {
                    Some(render::incident(viewer, order, order.incident(number)?))
                },
            );
            let (incidents, next_page_token, from) = page.await?;
            let page = pb::ListIncidentsResponse {
                incidents,
                next_page_token,
            };
            Ok(read_from(from, page))
        })
        .await
    }

    async fn resolve_incident(
        &self,
        request: Request<pb::ResolveIncidentRequest>,
    ) -> MethodResult<pb::ResolveIncidentResponse> {
        self.app.command(request, parse::resolve_incident).await
    }

    async fn summarize_actions(
        &self,
        request: Request<pb::SummarizeActionsRequest>,
    ) -> MethodResult<pb::SummarizeActionsResponse> {
        respond(async {
            let (call, actions) = self.app.read(request, parse::summarize_actions)?;
            self.app.config(&call, &actions.summary.store).await?;
            let _turn = self.app.page_turn(&call).await?;
            let mut reading = self.app.reading(&call);
            let counted = across_orders::count_actions(&mut reading, &actions).await?;
            let summary = render::actions_summary(
                counted.auto_approved,
                counted.requested,
                counted.nearest_deadline,
            );
            Ok(read_from(reading.read_from(), summary))
        })
        .await
    }

    async fn update_cancellation_metadata(
        &self,
        request: Request<pb::UpdateCancellationMetadataRequest>,
    ) -> MethodResult<pb::UpdateCancellationMetadataResponse> {
        self.app
            .command(request, parse::update_cancellation_metadata)
            .await
    }
}

/// What the caller may see, and whose buyer an order must be for whom it acts.
fn sight(call: &Call, request: &commands::RequestCancellation) -> Sight {
    Sight {
        scope: call.caller.scope.clone(),
        buyer: request.identities().collect(),
    }
}

/// The context of a request that is only tried.
fn context<'a>(call: &'a Call, store: &'a StoreConfig, now: Timestamp) -> Context<'a> {
    Context {
        now,
        caller: &call.caller.actor,
        scope: &call.caller.scope,
        request_id: ids::request_id(),
        store,
    }
}
