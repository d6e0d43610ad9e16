//! The RefundService.

use std::collections::BTreeMap;
use std::sync::Arc;

use belay_domain::commands::{Command, LeaseRefunds, RecordRefundResult};
use belay_domain::context::StoreFacts;
use belay_domain::ids::{ChildKind, OrderId, OrderKey, SellerId};
use belay_domain::query::RefundFilter;
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::refund_service_server::RefundService;
use futures_util::future::join_all;
use tonic::{Request, Response, Status};

use super::call::{Call, ChildFrame, Frame, decide, facts, store_id};
use super::pages::{self, Scope};
use super::read::{self, Snapshot};
use super::status::Failure;
use crate::App;
use crate::db::{self, aggregate, refunds};
use crate::entropy;
use crate::wire::parse::refunds::Claim;
use crate::wire::parse::{self, lists, refunds as parse_refunds};
use crate::wire::render;

#[derive(Debug)]
pub(super) struct Refunds {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl RefundService for Refunds {
    async fn get_refund(
        &self,
        request: Request<pb::GetRefundRequest>,
    ) -> Result<Response<pb::GetRefundResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, (order_id, number)) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let refund = parse::child(v, "refund_id", &request.refund_id, ChildKind::Refund);
            Some((store?, refund?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let (order, _) = read::order(&self.app, &call, &facts.id, &order_id).await?;
        let Some(refund) = order.refund(number) else {
            return Err(
                read::rejected(Rejection::RefundNotFound { refund: number }, &order_id).into(),
            );
        };
        Ok(Response::new(pb::GetRefundResponse {
            refund: Some(render::refund(&order, refund)),
        }))
    }

    async fn list_refunds(
        &self,
        request: Request<pb::ListRefundsRequest>,
    ) -> Result<Response<pb::ListRefundsResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            std::mem::take(&mut request.page_size),
            std::mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListRefunds", &request);
        let (store, filter, page_size) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let page_size = lists::page_size(v, page_size);
            let order = lists::order_filter(v, request.order_id);
            let seller = parse::optional_id(v, "seller_id", request.seller_id, SellerId::parse);
            let state = lists::refund_state_filter(v, request.state);
            let store = store?;
            let order = order?.map(|order| OrderKey::of(&store, &order));
            let filter = RefundFilter {
                store: store.clone(),
                scope: call.caller.scope.clone(),
                order,
                seller: call.caller.scope.sellers.narrow(seller?),
                state: state?,
            };
            Some((store, filter, page_size?))
        })
        .map_err(Failure::from)?;
        facts(&self.app, &call, &store).await?;
        let after = pages::place(&scope, &page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let places = db::list(snapshot.conn(), &filter, after, page_size + 1).await;
        let page = read::page(&self.app, snapshot, places).await?;
        let (refunds, next_page_token) = pages::cut(&scope, &page, page_size, |order, number| {
            order
                .refund(number)
                .map(|refund| render::refund(order, refund))
        });
        Ok(Response::new(pb::ListRefundsResponse {
            refunds,
            next_page_token,
        }))
    }

    /// Finds what may be claimed, then asks each order for it: another worker may be faster, so
    /// fewer may come back.
    async fn claim_refunds(
        &self,
        request: Request<pb::ClaimRefundsRequest>,
    ) -> Result<Response<pb::ClaimRefundsResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, claim) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let claim = parse_refunds::claim(v, request);
            Some((store?, claim?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let claimable = self.claimable(&call, &facts, &claim).await?;

        let leases = claimable.into_iter().map(|(order, refunds)| {
            let frame = Frame {
                order,
                request_id: entropy::request_id(),
                expected_version: None,
                child: None,
            };
            let lease = LeaseRefunds {
                refunds,
                worker: claim.worker.clone(),
                lease: claim.lease,
            };
            let (call, facts) = (call.clone(), facts.clone());
            decide::<pb::ClaimRefundsResponse>(
                &self.app,
                call,
                facts,
                frame,
                Command::LeaseRefunds(lease),
            )
        });
        let mut refunds = Vec::new();
        let mut failure = None;
        for leased in join_all(leases).await {
            match leased {
                Ok(leased) => refunds.extend(leased.refunds),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        // What was leased must reach its worker, whatever became of the rest.
        if let Some(failure) = failure.filter(|_| refunds.is_empty()) {
            return Err(failure.into());
        }
        refunds.sort_by_key(|refund| refund.due_by.map(|due_by| (due_by.seconds, due_by.nanos)));
        Ok(Response::new(pb::ClaimRefundsResponse { refunds }))
    }

    async fn record_refund_result(
        &self,
        request: Request<pb::RecordRefundResultRequest>,
    ) -> Result<Response<pb::RecordRefundResultResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, frame, refund, result) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let named = (ChildKind::Refund, "refund_id", &*request.refund_id);
            let ChildFrame { frame, number, .. } =
                ChildFrame::parse(v, named, &request.request_id, "");
            let result = parse_refunds::provider_result(v, request);
            Some((store?, frame?, number?, result?))
        })
        .map_err(Failure::from)?;
        let facts = facts(&self.app, &call, &store).await?;
        let command = Command::RecordRefundResult(RecordRefundResult { refund, result });
        Ok(Response::new(
            decide(&self.app, call, facts, frame, command).await?,
        ))
    }
}

impl Refunds {
    /// What may be claimed now, most urgent first, by order.
    async fn claimable(
        &self,
        call: &Call,
        facts: &StoreFacts,
        claim: &Claim,
    ) -> Result<Vec<(OrderId, Vec<u32>)>, Failure> {
        let mut snapshot = Snapshot::begin(&self.app).await?;
        let read = async {
            let now = read::now(&self.app, snapshot.conn()).await?;
            let scope = &call.caller.scope;
            let found =
                refunds::claimable(snapshot.conn(), &facts.id, scope, now, claim.count_max).await?;
            let mut by_order: BTreeMap<OrderKey, Vec<u32>> = BTreeMap::new();
            for refund in found {
                by_order
                    .entry(refund.order_key)
                    .or_default()
                    .push(refund.number);
            }
            let keys: Vec<OrderKey> = by_order.keys().copied().collect();
            let orders = match keys.is_empty() {
                true => Default::default(),
                false => aggregate::read(snapshot.conn(), &keys).await?,
            };
            let named = |(key, numbers)| orders.get(&key).map(|order| (order.id.clone(), numbers));
            Ok(by_order.into_iter().filter_map(named).collect())
        }
        .await;
        snapshot.end(read).await
    }
}
