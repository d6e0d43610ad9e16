//! The quality of sellers as it stands: read from what was counted of them, by the policy that is
//! in force.

use belay_domain::context::StoreConfig;
use belay_domain::ids::{SellerId, StoreId};
use belay_domain::policy::Quality;
use belay_domain::projection::Projection;
use belay_domain::quality::{CrossingRecord, FactKind, Rate, Window, crossings, next_day, reached};
use jiff::Timestamp;

use crate::App;
use crate::db::seller_standings::{self, SellerStanding};
use crate::db::transaction::Transaction;
use crate::db::{Conn, DbError, projections, seller_crossings, seller_facts};
use crate::store_cache::StoreCacheError;

/// A seller's quality, and how it is measured.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) quality: Quality,
    pub(crate) window: Window,
    pub(crate) rate: Rate,
    /// The generation of facts that was counted.
    pub(crate) generation: u32,
}

/// The quality of a seller at this moment; None where the policy does not measure it.
pub(crate) async fn measure(
    conn: &mut Conn,
    config: &StoreConfig,
    (store, seller): (&StoreId, &SellerId),
    now: Timestamp,
) -> Result<Option<Measured>, DbError> {
    let policy = config.policies.active_at(now);
    let Some(quality) = policy.and_then(|(_, policy)| policy.quality.clone()) else {
        return Ok(None);
    };
    let window = Window::at(now, &quality, &config.time_zone);
    let generations = projections::get(conn, Projection::SellerQuality).await?;
    let (generation, of) = (generations.serving, (store, seller));
    let kind = FactKind::of_numerator(quality.numerator);
    let numerator = seller_facts::count(conn, generation, of, kind, window).await?;
    let kind = FactKind::of_denominator(quality.denominator);
    let denominator = seller_facts::count(conn, generation, of, kind, window).await?;
    Ok(Some(Measured {
        quality,
        window,
        rate: Rate {
            numerator,
            denominator,
        },
        generation,
    }))
}

/// The reason why a seller cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EvaluateError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Store(#[from] StoreCacheError),
}

/// Looks at a seller that is due, and records what its rate has crossed. The standing's lock is
/// held until the commit: a crossing is recorded once, whoever looks.
pub(crate) async fn evaluate(
    app: &App,
    of: (&StoreId, &SellerId),
    now: Timestamp,
) -> Result<(), EvaluateError> {
    let config = app.stores.config(of.0).await?;
    let mut conn = Transaction::begin(&app.pools.background).await?;
    let written = write(&mut conn, &config, of, now).await;
    Ok(conn.end(written).await?)
}

async fn write(
    conn: &mut Conn,
    config: &StoreConfig,
    of: (&StoreId, &SellerId),
    now: Timestamp,
) -> Result<(), DbError> {
    let Some(standing) = seller_standings::take(conn, of, now).await? else {
        return Ok(());
    };
    let Some(measured) = measure(conn, config, of, now).await? else {
        // What it has reached stays known: once it is measured again, that is no news, and that it
        // is left is.
        let later = next_day(now, &config.time_zone);
        return seller_standings::update(conn, of, &standing, later).await;
    };
    let Measured {
        quality,
        window,
        rate,
        generation,
    } = measured;
    // Where a rebuild has ended meanwhile, facts may have been deleted while they were counted: the
    // seller stays due. As long as the generation serves nobody deletes of it. No lock holds it,
    // for whoever writes facts shares that of the projection and waits for this standing.
    let generations = projections::get(conn, Projection::SellerQuality).await?;
    if generations.serving != generation {
        return Ok(());
    }
    let mut number = standing.crossings;
    for crossing in crossings(&standing.reached, &quality, rate) {
        number += 1;
        let record = CrossingRecord {
            number,
            crossing,
            rate,
            time: now,
        };
        seller_crossings::insert(conn, of, &record).await?;
    }
    let next = SellerStanding {
        reached: reached(&quality, rate),
        crossings: number,
    };
    seller_standings::update(conn, of, &next, window.moves_at).await
}
