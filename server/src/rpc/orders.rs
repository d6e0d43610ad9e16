//! The OrderService.

use std::sync::Arc;

use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::order_service_server::OrderService;
use belay_wire::parse::orders as parse;
use belay_wire::status::CallError;
use belay_wire::{events as wire_events, render};
use tonic::Request;

use super::call::{Call, MethodResult, answer, rejected};
use crate::db::events;
use crate::{App, across_orders};

#[derive(Debug)]
pub(super) struct Orders {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn create_order(
        &self,
        request: Request<pb::CreateOrderRequest>,
    ) -> MethodResult<pb::CreateOrderResponse> {
        answer(async {
            let (call, request) = Call::of(request)?;
            let store = match StoreId::parse(request.store_id.as_str()) {
                Ok(store) => self.app.config(&call, &store).await,
                // What is no id is told of the field.
                Err(_) => Err(CallError::StoreNotFound {
                    store: request.store_id.clone(),
                }),
            };
            let command = parse::create_order(request, store, &self.app.reader(&call))?;
            self.app.submit(&call, command).await
        })
        .await
    }

    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> MethodResult<pb::GetOrderResponse> {
        answer(async {
            let (call, (store, id)) = self.app.read(request, parse::get_order)?;
            let read = self.app.order(&call, &store, &id).await?;
            Ok(pb::GetOrderResponse {
                order: Some(render::order(&read.found, &read.config, read.now)),
            })
        })
        .await
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> MethodResult<pb::ListOrdersResponse> {
        answer(async {
            let page = self
                .app
                .list(request, parse::list_orders, |order, _, read| {
                    Some(render::order(order, &read.config, read.now))
                });
            let (orders, next_page_token) = page.await?;
            Ok(pb::ListOrdersResponse {
                orders,
                next_page_token,
            })
        })
        .await
    }

    async fn summarize_orders(
        &self,
        request: Request<pb::SummarizeOrdersRequest>,
    ) -> MethodResult<pb::SummarizeOrdersResponse> {
        answer(async {
            let (call, summary) = self.app.read(request, parse::summarize_orders)?;
            self.app.config(&call, &summary.store).await?;
            let counts = across_orders::count_orders(&self.app, &summary).await?;
            Ok(render::orders_summary(&counts))
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
            let (store, id, page) = (&list.store, &list.filter, &list.page);
            self.app.config(&call, store).await?;
            let after: Option<u64> = page.after()?;

            // Events do not say who sees them; their order does.
            if !call.caller.scope.sees_every_order() {
                self.app.order(&call, store, id).await?;
            }
            let key = OrderKey::of(store, id);
            let mut conn = self.app.pool.checkout().await?;
            let read = events::history(&mut conn, key, after.unwrap_or(0), page.limit()).await;
            let rows = conn.finish_with(read)?;
            // Every order begins with an event.
            if rows.is_empty() && after.is_none() {
                return Err(rejected(Rejection::OrderNotFound, id));
            }
            let mut events = Vec::new();
            for row in &rows {
                let read =
                    wire_events::read(&row.payload, row.partition, row.last_position, row.count);
                events.extend(read.map_err(|error| {
                    CallError::Internal(format!("stored events cannot be read: {error}"))
                })?);
            }
            // A page may begin, or end, in the middle of a row.
            let position = |event: &pb::Event| event.position.unsigned_abs();
            events.retain(|event| after.is_none_or(|after| position(event) > after));
            let has_more = events.len() > usize::from(page.size);
            events.truncate(page.size.into());
            let last = events.last().filter(|_| has_more).map(position);
            let next_page_token = last.map(|last| page.tokens.seal(&last));
            Ok(pb::ListOrderHistoryResponse {
                events,
                next_page_token: next_page_token.unwrap_or_default(),
            })
        })
        .await
    }
}
