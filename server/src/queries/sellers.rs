//! Queries of the quality of sellers.

use belay_domain::context::StoreConfig;
use belay_domain::ids::{SellerId, StoreId};
use belay_domain::projection::Projection;
use belay_domain::quality::{CrossingRecord, FactKind, Rate, SellerFact};
use belay_domain::scope::{IdFilter, Scope};
use jiff::Timestamp;

use crate::App;
use crate::db::snapshot::Snapshot;
use crate::db::{DbError, projections, seller_crossings, seller_facts};
use crate::quality::{self, Measured};

/// The place of what was counted in its list.
pub(crate) use crate::db::seller_facts::place;

/// A seller's quality spans orders, shipments and so warehouses and carriers: who does not see all
/// of them sees none.
pub(crate) fn sees(scope: &Scope, seller: &SellerId) -> bool {
    scope.sellers.contains(seller)
        && scope.warehouses == IdFilter::All
        && scope.carriers == IdFilter::All
}

/// The quality of a seller now, with nothing counted for who does not see it; None where it is not
/// measured.
pub(crate) async fn quality(
    app: &App,
    scope: &Scope,
    config: &StoreConfig,
    of: (&StoreId, &SellerId),
) -> Result<Option<Measured>, DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        quality::measure(&mut conn, config, of, now).await
    }
    .await;
    let mut measured = conn.end(read).await?;
    if let Some(measured) = &mut measured
        && !sees(scope, of.1)
    {
        measured.rate = Rate {
            numerator: 0,
            denominator: 0,
        };
    }
    Ok(measured)
}

/// The quality of a seller at this moment, for who [`sees`] it.
pub(crate) async fn quality_at(
    app: &App,
    config: &StoreConfig,
    of: (&StoreId, &SellerId),
    now: Timestamp,
) -> Result<Option<Measured>, DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let measured = quality::measure(&mut conn, config, of, now).await;
    conn.end(measured).await
}

/// What was counted of a seller in the window of now, behind a place; for who [`sees`] it.
pub(crate) async fn counted(
    app: &App,
    config: &StoreConfig,
    of: (&StoreId, &SellerId),
    after: Option<seller_facts::FactPlace>,
    limit: u16,
) -> Result<Vec<SellerFact>, DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = async {
        let now = app.clock.now(&mut conn).await?;
        let Some(measured) = quality::measure(&mut conn, config, of, now).await? else {
            return Ok(Vec::new());
        };
        let generations = projections::get(&mut conn, Projection::SellerQuality).await?;
        let kind = FactKind::of_numerator(measured.quality.numerator);
        let which = (kind, measured.window);
        seller_facts::list(&mut conn, generations.serving, of, which, after, limit).await
    }
    .await;
    conn.end(read).await
}

/// Crossings of a seller's thresholds before one, the last first; for who [`sees`] it.
pub(crate) async fn crossings(
    app: &App,
    of: (&StoreId, &SellerId),
    before: Option<u32>,
    limit: u16,
) -> Result<Vec<CrossingRecord>, DbError> {
    let mut conn = Snapshot::begin(&app.pools.reads).await?;
    let read = seller_crossings::list(&mut conn, of, before, limit).await;
    conn.end(read).await
}
