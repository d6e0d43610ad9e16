//! The RefundService.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use belay_domain::commands::{Command, LeaseRefunds, Work};
use belay_domain::ids::{OrderId, OrderKey};
use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::refund_service_server::RefundService;
use belay_wire::parse::refunds as parse;
use belay_wire::parse::refunds::Claim;
use belay_wire::parse::{CommandRequest, Envelope};
use belay_wire::render;
use belay_wire::status::CallError;
use futures_util::future::join_all;
use tonic::Request;

use super::call::{Call, MethodResult, answer, rejected};
use crate::App;
use crate::db::snapshot::Snapshot;
use crate::db::{aggregate, refunds};

#[derive(Debug)]
pub(super) struct Refunds {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl RefundService for Refunds {
    async fn get_refund(
        &self,
        request: Request<pb::GetRefundRequest>,
    ) -> MethodResult<pb::GetRefundResponse> {
        answer(async {
            let (call, of) = self.app.read(request, parse::get_refund)?;
            let order = self.app.order(&call, &of.store, &of.order).await?.found;
            let Some(refund) = order.refund(of.number) else {
                let absent = Rejection::RefundNotFound { refund: of.number };
                return Err(rejected(absent, &of.order));
            };
            Ok(pb::GetRefundResponse {
                refund: Some(render::refund(&order, refund)),
            })
        })
        .await
    }

    async fn list_refunds(
        &self,
        request: Request<pb::ListRefundsRequest>,
    ) -> MethodResult<pb::ListRefundsResponse> {
        answer(async {
            let page = self
                .app
                .list(request, parse::list_refunds, |order, number, _| {
                    Some(render::refund(order, order.refund(number)?))
                });
            let (refunds, next_page_token) = page.await?;
            Ok(pb::ListRefundsResponse {
                refunds,
                next_page_token,
            })
        })
        .await
    }

    /// Finds what may be claimed, then asks each order for it: another worker may be faster, so
    /// fewer may come back.
    async fn claim_refunds(
        &self,
        request: Request<pb::ClaimRefundsRequest>,
    ) -> MethodResult<pb::ClaimRefundsResponse> {
        answer(async {
            let (call, claim) = self.app.read(request, parse::claim_refunds)?;
            self.app.config(&call, &claim.store).await?;
            let claimable = self.claimable(&call, &claim).await?;
            let leases = claimable.into_iter().map(|(order, refunds)| {
                let lease = LeaseRefunds {
                    refunds,
                    worker: claim.worker.clone(),
                    lease: claim.lease,
                };
                let command = CommandRequest {
                    store: claim.store.clone(),
                    envelope: Envelope {
                        order,
                        request_id: None,
                        expected_version: None,
                        child: None,
                    },
                    work: Work::Decide(Command::LeaseRefunds(lease)),
                };
                self.app.submit(&call, command)
            });
            let mut refunds = Vec::new();
            let mut failure = None;
            for leased in join_all(leases).await {
                match leased {
                    Ok(pb::ClaimRefundsResponse { refunds: leased }) => refunds.extend(leased),
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            // What was leased must reach its worker, whatever became of the rest.
            if let Some(failure) = failure.filter(|_| refunds.is_empty()) {
                return Err(failure);
            }
            refunds
                .sort_by_key(|refund| refund.due_by.map(|due_by| (due_by.seconds, due_by.nanos)));
            Ok(pb::ClaimRefundsResponse { refunds })
        })
        .await
    }

    async fn record_refund_result(
        &self,
        request: Request<pb::RecordRefundResultRequest>,
    ) -> MethodResult<pb::RecordRefundResultResponse> {
        self.app.command(request, parse::record_refund_result).await
    }
}

impl Refunds {
    /// What may be claimed now, most urgent first, by order.
    async fn claimable(
        &self,
        call: &Call,
        claim: &Claim,
    ) -> Result<Vec<(OrderId, Vec<u32>)>, CallError> {
        let mut conn = Snapshot::begin(&self.app.pool).await?;
        let read = async {
            let now = self.app.clock.now(&mut conn).await?;
            let (store, scope) = (&claim.store, &call.caller.scope);
            let found = refunds::claimable(&mut conn, store, scope, now, claim.count_max).await?;
            let mut by_order: BTreeMap<OrderKey, Vec<u32>> = BTreeMap::new();
            for refund in found {
                by_order
                    .entry(refund.order_key)
                    .or_default()
                    .push(refund.number);
            }
            let keys: Vec<OrderKey> = by_order.keys().copied().collect();
            let orders = if keys.is_empty() {
                HashMap::new()
            } else {
                aggregate::read(&mut conn, &keys).await?
            };
            let named = |(key, numbers)| orders.get(&key).map(|order| (order.id.clone(), numbers));
            Ok(by_order.into_iter().filter_map(named).collect())
        }
        .await;
        Ok(conn.end(read).await?)
    }
}
