//! The SellerService.

use std::sync::Arc;

use belay_domain::context::StoreConfig;
use belay_domain::ids::{SellerId, StoreId};
use belay_domain::projection::Projection;
use belay_domain::quality::{CrossingRecord, FactKind, Rate, SellerFact};
use belay_domain::scope::IdFilter;
use belay_proto::v1 as pb;
use belay_proto::v1::seller_service_server::SellerService;
use belay_wire::parse::sellers as parse;
use belay_wire::render::quality as render;
use tonic::Request;

use super::call::{Call, MethodResult, answer};
use crate::App;
use crate::db::snapshot::Snapshot;
use crate::db::{Conn, DbError, projections, seller_crossings, seller_facts};
use crate::quality::{self, Measured};

#[derive(Debug)]
pub(super) struct Sellers {
    pub(super) app: Arc<App>,
}

/// A seller's quality spans orders, shipments and so warehouses and carriers: who does not see all
/// of them sees none.
fn sees(call: &Call, seller: &SellerId) -> bool {
    let scope = &call.caller.scope;
    scope.sellers.contains(seller)
        && scope.warehouses == IdFilter::All
        && scope.carriers == IdFilter::All
}

impl Sellers {
    async fn measure(
        &self,
        conn: &mut Conn,
        config: &StoreConfig,
        of: (&StoreId, &SellerId),
    ) -> Result<Option<Measured>, DbError> {
        let now = self.app.clock.now(conn).await?;
        quality::measure(conn, config, of, now).await
    }
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
            let mut conn = Snapshot::begin(&self.app.pools.reads).await?;
            let measured = self.measure(&mut conn, &config, of).await;
            let measured = conn.end(measured).await?;
            let quality = measured.map(|measured| {
                let nothing = Rate {
                    numerator: 0,
                    denominator: 0,
                };
                let seen = sees(&call, &seller);
                let rate = if seen { measured.rate } else { nothing };
                render::seller_quality(of, &measured.quality, measured.window, rate)
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
            let seller = list.filter;
            if !sees(&call, &seller) {
                return Ok(pb::ListCountedCancellationsResponse::default());
            }
            let of = (&list.store, &seller);
            let _turn = self.app.page_turn(&call).await?;
            let mut conn = Snapshot::begin(&self.app.pools.reads).await?;
            let read = async {
                let Some(measured) = self.measure(&mut conn, &config, of).await? else {
                    return Ok(Vec::new());
                };
                let generations = projections::get(&mut conn, Projection::SellerQuality).await?;
                let kind = FactKind::of_numerator(measured.quality.numerator);
                let which = (kind, measured.window);
                let (generation, limit) = (generations.serving, list.page.limit());
                seller_facts::list(&mut conn, generation, of, which, after, limit).await
            }
            .await;
            let found = conn.end(read).await?;
            let show = |fact: &SellerFact| Some(render::counted_cancellation(fact));
            let (counted, next_page_token) = list.page.cut(&found, show, seller_facts::place);
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
            let seller = list.filter;
            if !sees(&call, &seller) {
                return Ok(pb::ListThresholdCrossingsResponse::default());
            }
            let of = (&list.store, &seller);
            let _turn = self.app.page_turn(&call).await?;
            let mut conn = Snapshot::begin(&self.app.pools.reads).await?;
            let read = seller_crossings::list(&mut conn, of, before, list.page.limit()).await;
            let found = conn.end(read).await?;
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
