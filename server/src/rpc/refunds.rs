//! The RefundService.

use std::sync::Arc;

use belay_domain::rejection::Rejection;
use belay_proto::v1 as pb;
use belay_proto::v1::refund_service_server::RefundService;
use belay_wire::parse::refunds as parse;
use belay_wire::render;
use tonic::Request;

use super::call::{MethodResult, answer, decoded, read_from, rejected, respond};
use crate::{App, across_orders};

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
        respond(async {
            let page = self
                .app
                .list(request, parse::list_refunds, |_, order, number, _| {
                    Some(render::refund(order, order.refund(number)?))
                });
            let (refunds, next_page_token, from) = page.await?;
            let page = pb::ListRefundsResponse {
                refunds,
                next_page_token,
            };
            Ok(read_from(from, page))
        })
        .await
    }

    async fn claim_refunds(
        &self,
        request: Request<pb::ClaimRefundsRequest>,
    ) -> MethodResult<pb::ClaimRefundsResponse> {
        answer(async {
            let (call, claim) = self.app.read(request, parse::claim_refunds)?;
            let store = self.app.config(&call, &claim.store).await?;
            let (caller, deadline) = (&call.caller, call.deadline);
            let claimed =
                across_orders::claim_refunds(&self.app, store, caller, deadline, &claim).await?;
            let mut refunds = Vec::new();
            for answer in &claimed {
                refunds.extend(decoded::<pb::ClaimRefundsResponse>(&answer.message)?.refunds);
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
