//! The OrderService.

use std::sync::Arc;

use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::order::Order;
use belay_domain::query::DecisionPlace;
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::order_service_server::OrderService;
use belay_wire::parse::decisions::{self, HistoryPlace};
use belay_wire::parse::orders as parse;
use belay_wire::render;
use tonic::Request;

use super::call::{MethodResult, answer, read_from, rejected, respond};
use crate::App;
use crate::across_orders::{self, StoredDecision};
use crate::queries::history;

#[derive(Debug)]
pub(super) struct Orders {
    pub(super) app: Arc<App>,
}

/// A request that was rejected, with its place among those.
fn rejected_request(store: &StoreId, stored: &StoredDecision) -> (DecisionPlace, pb::Event) {
    let place = DecisionPlace {
        time: stored.decision_time,
        key: stored.key.clone(),
    };
    let told = render::decision::DecisionRecord {
        order: &stored.order,
        lines: &[],
        key: &stored.key,
        decision_time: stored.decision_time,
        accepted: stored.accepted,
        record: &stored.record,
    };
    (place, render::decision::rejected_request(store, &told))
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn create_order(
        &self,
        request: Request<pb::CreateOrderRequest>,
    ) -> MethodResult<pb::CreateOrderResponse> {
        self.app.command(request, parse::create_order).await
    }

    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> MethodResult<pb::GetOrderResponse> {
        answer(async {
            let (call, (store, id)) = self.app.read(request, parse::get_order)?;
            let read = self.app.order(&call, &store, &id).await?;
            Ok(pb::GetOrderResponse {
                order: Some(render::order(
                    &call.viewer(&read.found),
                    &read.found,
                    &read.config,
                    read.now,
                )),
            })
        })
        .await
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> MethodResult<pb::ListOrdersResponse> {
        respond(async {
            let page = self
                .app
                .list(request, parse::list_orders, |viewer, order, _, read| {
                    Some(render::order(viewer, order, &read.config, read.now))
                });
            let (orders, next_page_token, from) = page.await?;
            let page = pb::ListOrdersResponse {
                orders,
                next_page_token,
            };
            Ok(read_from(from, page))
        })
        .await
    }

    async fn find_orders(
        &self,
        request: Request<pb::FindOrdersRequest>,
    ) -> MethodResult<pb::FindOrdersResponse> {
        respond(async {
            let (call, search) = self.app.read(request, parse::find_orders)?;
            let config = self.app.config(&call, &search.store).await?;
            let _turn = self.app.page_turn(&call).await?;
            let render = |order: &Order, _: u32, now| {
                Some(render::order(&call.viewer(order), order, &config, now))
            };
            let mut reading = self.app.reading(&call);
            let found = across_orders::found(&mut reading, &search.filter, &search.page, render);
            let ((orders, next_page_token), ids_left_out) = found.await?;
            let found = pb::FindOrdersResponse {
                orders,
                next_page_token,
                ids_left_out,
            };
            Ok(read_from(reading.read_from(), found))
        })
        .await
    }

    async fn summarize_orders(
        &self,
        request: Request<pb::SummarizeOrdersRequest>,
    ) -> MethodResult<pb::SummarizeOrdersResponse> {
        respond(async {
            let (call, summary) = self.app.read(request, parse::summarize_orders)?;
            self.app.config(&call, &summary.store).await?;
            let _turn = self.app.page_turn(&call).await?;
            let mut reading = self.app.reading(&call);
            let counts = across_orders::count_orders(&mut reading, &summary).await?;
            let summary = render::orders_summary(&counts);
            Ok(read_from(reading.read_from(), summary))
        })
        .await
    }

    async fn record_payment(
        &self,
        request: Request<pb::RecordPaymentRequest>,
    ) -> MethodResult<pb::RecordPaymentResponse> {
        self.app.command(request, parse::record_payment).await
    }

    async fn list_order_history(
        &self,
        request: Request<pb::ListOrderHistoryRequest>,
    ) -> MethodResult<pb::ListOrderHistoryResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_order_history)?;
            let (store, id, page) = (&list.store, &list.filter.order, &list.page);
            self.app.config(&call, store).await?;
            let after = if list.filter.with_rejected {
                decisions::after_in_history(page)?
            } else {
                HistoryPlace {
                    position: page.after()?,
                    rejected: None,
                }
            };

            // Events do not say who sees them; their order does.
            if !call.caller.scope.sees_every_order() {
                self.app.order(&call, store, id).await?;
            }
            let _turn = self.app.page_turn(&call).await?;
            let key = OrderKey::of(store, id);
            let (caller, limit) = (&call.caller, page.limit());
            let events = history::events(&self.app, caller, key, after.position, limit).await?;
            let events = events.ok_or_else(|| rejected(Rejection::OrderNotFound, id))?;
            let (events, next_page_token) = if list.filter.with_rejected {
                let behind = after.rejected.as_ref();
                let found =
                    across_orders::rejected(&self.app, key, id, behind, page.limit()).await?;
                let found = found.iter().map(|stored| rejected_request(store, stored));
                decisions::cut_history(page, after, events, found.collect())
            } else {
                let position = |event: &pb::Event| event.position.unsigned_abs();
                page.cut(&events, |event| Some(event.clone()), position)
            };
            Ok(pb::ListOrderHistoryResponse {
                events,
                next_page_token,
            })
        })
        .await
    }

    async fn update_order_metadata(
        &self,
        request: Request<pb::UpdateOrderMetadataRequest>,
    ) -> MethodResult<pb::UpdateOrderMetadataResponse> {
        self.app
            .command(request, parse::update_order_metadata)
            .await
    }

    async fn add_note(
        &self,
        request: Request<pb::AddNoteRequest>,
    ) -> MethodResult<pb::AddNoteResponse> {
        self.app.command(request, parse::add_note).await
    }
}
