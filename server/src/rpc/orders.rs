//! The OrderService.

use std::sync::Arc;

use belay_domain::commands::{Command, Work};
use belay_domain::ids::{BuyerId, OrderId, OrderKey, SellerId, Sku, StoreId};
use belay_domain::query::{OrderFilter, OrdersSummary};
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::order_service_server::OrderService;
use tonic::{Request, Response, Status};

use super::call::{Call, Frame, decide, facts, store_id, submit};
use super::pages::{self, Scope};
use super::read::{self, Snapshot};
use super::status::Failure;
use crate::App;
use crate::db::{self, events, summaries};
use crate::wire::parse::{self, lists, orders as parse_orders};
use crate::wire::{events as wire_events, render};

#[derive(Debug)]
pub(super) struct Orders {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn create_order(
        &self,
        request: Request<pb::CreateOrderRequest>,
    ) -> Result<Response<pb::CreateOrderResponse>, Status> {
        let (call, request) = Call::of(request)?;
        // Only the store tells whether shipments must name their warehouse and carrier. It is
        // looked up first, so that this is told together with all else; that there is no such store
        // comes after what is wrong with the request.
        let known = match StoreId::parse(request.store_id.as_str()) {
            Ok(store) => facts(&self.app, &call, &store).await.ok(),
            Err(_) => None,
        };
        let (store, command, request_id) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let request_id = parse::request_id(v, &request.request_id);
            let command =
                parse_orders::create_order(v, request, known.as_deref(), &self.app.identity_key);
            Some((store?, command?, request_id?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let frame = Frame {
            order: command.id.clone(),
            request_id: request_id.unwrap_or_else(crate::entropy::request_id),
            expected_version: None,
            child: None,
        };
        Ok(Response::new(
            submit(&self.app, call, facts, frame, Work::Create(command)).await?,
        ))
    }

    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> Result<Response<pb::GetOrderResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, id) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let id = parse::id(v, "order_id", request.order_id, OrderId::parse);
            Some((store?, id?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let (order, now) = read::order(&self.app, &call, &facts.id, &id).await?;
        Ok(Response::new(pb::GetOrderResponse {
            order: Some(render::order(&order, &facts, now)),
        }))
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> Result<Response<pb::ListOrdersResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            std::mem::take(&mut request.page_size),
            std::mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListOrders", &request);
        let (store, filter, page_size) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let page_size = lists::page_size(v, page_size);
            let buyer = parse::optional_id(v, "buyer_id", request.buyer_id, BuyerId::parse);
            let seller = parse::optional_id(v, "seller_id", request.seller_id, SellerId::parse);
            let state = lists::order_state_filter(v, request.state);
            let create_time_from = parse::time(v, "create_time_from", request.create_time_from);
            let create_time_before =
                parse::time(v, "create_time_before", request.create_time_before);
            let sku = parse::optional_id(v, "sku", request.sku, Sku::parse);
            let destination =
                lists::destination_filter(v, request.destination_country, request.destination_city);
            let (country, city) = destination.unzip();
            let store = store?;
            let filter = OrderFilter {
                store: store.clone(),
                scope: call.caller.scope.clone(),
                buyer: buyer?,
                seller: call.caller.scope.sellers.narrow(seller?),
                state: state?,
                sku: sku?,
                country: country?,
                city: city?,
                create_time_from: create_time_from?,
                create_time_before: create_time_before?,
            };
            Some((store, filter, page_size?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let after = pages::place(&scope, &page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let places = db::list(snapshot.conn(), &filter, after, page_size + 1).await;
        let page = read::page(&self.app, snapshot, places).await?;
        let (orders, next_page_token) = pages::cut(&scope, &page, page_size, |order, _| {
            Some(render::order(order, &facts, page.now))
        });
        Ok(Response::new(pb::ListOrdersResponse {
            orders,
            next_page_token,
        }))
    }

    async fn summarize_orders(
        &self,
        request: Request<pb::SummarizeOrdersRequest>,
    ) -> Result<Response<pb::SummarizeOrdersResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let summary = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let buyer = parse::optional_id(v, "buyer_id", request.buyer_id, BuyerId::parse);
            let seller = parse::optional_id(v, "seller_id", request.seller_id, SellerId::parse);
            let scope = call.caller.scope.clone();
            let seller = scope.sellers.narrow(seller?);
            Some(OrdersSummary {
                store: store?,
                scope,
                buyer: buyer?,
                seller,
            })
        })
        .map_err(Failure::from)?;
        facts(&self.app, &call, &summary.store).await?;
        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let read = summaries::orders(snapshot.conn(), &summary).await;
        let counts = snapshot.end(read).await?;
        Ok(Response::new(render::orders_summary(&counts)))
    }

    async fn record_payment(
        &self,
        request: Request<pb::RecordPaymentRequest>,
    ) -> Result<Response<pb::RecordPaymentResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, command) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let order = parse::id(v, "order_id", request.order_id.clone(), OrderId::parse);
            let frame = Frame::parse(v, order.clone(), &request.request_id, "");
            let command = parse_orders::record_payment(v, request, order.as_ref());
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
                Command::RecordPayment(command),
            )
            .await?,
        ))
    }

    async fn list_order_history(
        &self,
        request: Request<pb::ListOrderHistoryRequest>,
    ) -> Result<Response<pb::ListOrderHistoryResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            std::mem::take(&mut request.page_size),
            std::mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListOrderHistory", &request);
        let (store, id, page_size) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let page_size = lists::page_size(v, page_size);
            let id = parse::id(v, "order_id", request.order_id, OrderId::parse);
            Some((store?, id?, page_size?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let after: Option<u64> = scope.open(&page_token)?;

        // Events do not say who sees them; their order does.
        if !call.caller.scope.sees_every_order() {
            read::order(&self.app, &call, &facts.id, &id).await?;
        }
        let key = OrderKey::of(&facts.id, &id);
        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let read = events::history(&mut conn, key, after.unwrap_or(0), page_size + 1).await;
        let rows = conn.finish_with(read).map_err(Failure::from)?;
        // Every order begins with an event.
        if rows.is_empty() && after.is_none() {
            return Err(read::rejected(Rejection::OrderNotFound, &id).into());
        }
        let events = rows.iter().map(|row| {
            wire_events::read(&row.payload, row.partition, row.last_position, row.count)
        });
        let events = events
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::Internal(format!("stored events cannot be read: {error}")))?;
        // A page may begin, or end, in the middle of a row.
        let is_after =
            |event: &pb::Event| after.is_none_or(|after| event.position.unsigned_abs() > after);
        let mut events: Vec<pb::Event> = events.into_iter().flatten().filter(is_after).collect();
        let has_more = events.len() > usize::from(page_size);
        events.truncate(page_size.into());
        let last = events.last().map(|event| event.position.unsigned_abs());
        let next_page_token = last
            .filter(|_| has_more)
            .map(|last| scope.seal(&last))
            .unwrap_or_default();
        Ok(Response::new(pb::ListOrderHistoryResponse {
            events,
            next_page_token,
        }))
    }
}
