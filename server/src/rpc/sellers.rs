//! The SellerService.

use std::sync::Arc;

use belay_domain::quality::{CrossingRecord, SellerFact};
use belay_proto::v1 as pb;
use belay_proto::v1::seller_service_server::SellerService;
use belay_wire::parse::sellers as parse;
use belay_wire::render::quality as render;
use tonic::Request;

use super::call::{MethodResult, answer};
use crate::App;
use crate::queries::sellers as queries;

#[derive(Debug)]
pub(super) struct Sellers {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl SellerService for Sellers {
    async fn get_seller_quality(
        &self,
        request: Request<pb::GetSellerQualityRequest>,
    ) -> MethodResult<pb::GetSellerQualityResponse> {
        answer(async {
            let (call, (store, seller)) = self.app.read(request, parse::get_seller_quality)?;
            let config = self.app.config(&call, &store).await?;
            let of = (&store, &seller);
            let scope = &call.caller.scope;
            let measured = queries::quality(&self.app, scope, &config, of).await?;
            let quality = measured.map(|measured| {
                render::seller_quality(of, &measured.quality, measured.window, measured.rate)
            });
            Ok(pb::GetSellerQualityResponse { quality })
        })
        .await
    }

    async fn list_counted_cancellations(
        &self,
        request: Request<pb::ListCountedCancellationsRequest>,
    ) -> MethodResult<pb::ListCountedCancellationsResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_counted_cancellations)?;
            let config = self.app.config(&call, &list.store).await?;
            let after = list.page.after()?;
            let of = (&list.store, &list.filter);
            let (scope, limit) = (&call.caller.scope, list.page.limit());
            if !queries::sees(scope, of.1) {
                return Ok(pb::ListCountedCancellationsResponse::default());
            }
            let _turn = self.app.page_turn(&call).await?;
            let found = queries::counted(&self.app, &config, of, after, limit).await?;
            let show = |fact: &SellerFact| Some(render::counted_cancellation(fact));
            let (counted, next_page_token) = list.page.cut(&found, show, queries::place);
            Ok(pb::ListCountedCancellationsResponse {
                counted,
                next_page_token,
            })
        })
        .await
    }

    async fn list_threshold_crossings(
        &self,
        request: Request<pb::ListThresholdCrossingsRequest>,
    ) -> MethodResult<pb::ListThresholdCrossingsResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_threshold_crossings)?;
            self.app.config(&call, &list.store).await?;
            let before = list.page.after()?;
            let of = (&list.store, &list.filter);
            let (scope, limit) = (&call.caller.scope, list.page.limit());
            if !queries::sees(scope, of.1) {
                return Ok(pb::ListThresholdCrossingsResponse::default());
            }
            let _turn = self.app.page_turn(&call).await?;
            let found = queries::crossings(&self.app, of, before, limit).await?;
            let show = |record: &CrossingRecord| Some(render::threshold_crossing(record));
            let number = |record: &CrossingRecord| record.number;
            let (crossings, next_page_token) = list.page.cut(&found, show, number);
            Ok(pb::ListThresholdCrossingsResponse {
                crossings,
                next_page_token,
            })
        })
        .await
    }
}
