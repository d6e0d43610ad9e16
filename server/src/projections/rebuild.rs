//! A rebuild of a projection: it fills a generation from the oldest event on, and that one serves
//! once it is as far as the one that is read.

use belay_domain::projection::Projection;

use super::{ProjectionError, stock};
use crate::App;
use crate::db::projections::{self, Generations};
use crate::db::transaction::Transaction;
use crate::db::{
    Conn, DbError, in_time, partition_tails, projection_positions as positions, transaction,
};

/// The answer to a request for a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuild {
    /// Any server that runs carries it out.
    Begun,
    UnderWay,
    /// The oldest events are no longer kept: what would be built of the rest would be another.
    FeedPruned,
}

/// Begins a rebuild, unless one is under way.
pub async fn begin_rebuild(conn: &mut Conn, projection: Projection) -> Result<Rebuild, DbError> {
    transaction::begin_write(conn).await?;
    let begun = async {
        let generations = projections::lock(conn, projection).await?;
        if generations.building.is_some() {
            return Ok(Rebuild::UnderWay);
        }
        let pruned = partition_tails::share_pruned(conn).await?;
        if pruned.iter().any(|pruned| *pruned > 0) {
            return Ok(Rebuild::FeedPruned);
        }
        // It begins here, so that from now on nothing is pruned that it has not read.
        positions::begin(conn, projection, generations.serving + 1, &pruned).await?;
        let building = Generations {
            building: Some(generations.serving + 1),
            is_replayed: false,
            ..generations
        };
        projections::update(conn, projection, building).await?;
        Ok(Rebuild::Begun)
    }
    .await;
    match &begun {
        Ok(_) => transaction::commit(conn).await?,
        Err(_) => transaction::rollback(conn).await?,
    }
    begun
}

/// Takes a rebuild a step on: a page of what was told beside the feed, or to its end, if it has
/// come there. Says whether it did something. All of what was told would keep the feed waiting.
pub(super) async fn finish(
    app: &App,
    projection: Projection,
    generations: Generations,
    replay: &mut stock::Replay,
) -> Result<bool, ProjectionError> {
    let Some(building) = generations.building else {
        return Ok(false);
    };
    let is_replayed = match projection {
        Projection::Stock => generations.is_replayed || replay.step(app, building).await?,
        // All of it comes from the feed.
        Projection::SellerQuality => true,
    };
    if !is_replayed {
        return Ok(true);
    }
    in_time(serve_if_as_far(app, projection, building)).await
}

/// One transaction: what is built is replayed by now, and it is read from now on if it is as far as
/// the one before. Says whether it is.
async fn serve_if_as_far(
    app: &App,
    projection: Projection,
    building: u32,
) -> Result<bool, ProjectionError> {
    let mut conn = Transaction::begin(&app.pools.background).await?;
    let written = async {
        let present = projections::lock(&mut conn, projection).await?;
        if present.building != Some(building) {
            return Ok(false);
        }
        let replayed = Generations {
            is_replayed: true,
            ..present
        };
        let served = positions::lock_all(&mut conn, projection, present.serving).await?;
        let built = positions::lock_all(&mut conn, projection, building).await?;
        // Who has read the old one must not be taken back by the new one.
        let is_as_far = built.len() == served.len()
            && built
                .iter()
                .zip(&served)
                .all(|(built, served)| built.1 >= served.1);
        let next = if is_as_far {
            positions::end(&mut conn, projection, present.serving).await?;
            Generations {
                serving: building,
                building: None,
                is_replayed: false,
            }
        } else {
            replayed
        };
        if next != present {
            projections::update(&mut conn, projection, next).await?;
        }
        Ok(is_as_far)
    }
    .await;
    super::end(conn, written).await
}
