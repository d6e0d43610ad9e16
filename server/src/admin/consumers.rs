//! Consumers of the feed: how far each is, which only grows.

use belay_domain::feed::{CONSUMERS_MAX, Consumer, ConsumerKey, PartitionEnds};
use belay_wire::resume::ResumePoint;
use belay_wire::status::CallError;

use super::write_failure;
use crate::App;
use crate::db::transaction::Transaction;
use crate::db::{Conn, DbError, consumers, feed};

/// Stores how far a consumer is, and makes it where it is not there. Of two that commit at once,
/// one waits for the other, or comes back where both are the first.
pub(crate) async fn commit(
    app: &App,
    key: ConsumerKey,
    point: ResumePoint,
) -> Result<(Consumer, Vec<PartitionEnds>), CallError> {
    let mut conn = Transaction::begin(&app.pools.reads).await?;
    let written = write(app, &mut conn, key, point).await;
    conn.end(written).await.map_err(write_failure)?
}

async fn write(
    app: &App,
    conn: &mut Conn,
    key: ConsumerKey,
    point: ResumePoint,
) -> Result<Result<(Consumer, Vec<PartitionEnds>), CallError>, DbError> {
    let present = consumers::lock(conn, &key).await?;
    let ends = feed::ends(conn).await?;
    // What is pruned may be committed all the same: it was handled.
    let ahead = point.positions.ahead(&ends);
    if let Some(error) = ahead {
        return Ok(Err(CallError::Position(error)));
    }
    let behind = present
        .as_ref()
        .and_then(|present| point.positions.behind(&present.positions));
    if let Some((partition, position)) = behind {
        return Ok(Err(CallError::PositionBehind {
            consumer: key.id,
            partition,
            position,
        }));
    }
    let consumer = Consumer {
        key,
        positions: point.positions,
        filter: point.filter,
        commit_time: app.clock.now(conn).await?,
    };
    match present {
        Some(_) => consumers::update(conn, &consumer).await?,
        None if consumers::count(conn, &consumer.key.owner).await? >= CONSUMERS_MAX => {
            return Ok(Err(CallError::ConsumersExhausted {
                limit_max: CONSUMERS_MAX,
            }));
        }
        None => consumers::insert(conn, &consumer).await?,
    }
    Ok(Ok((consumer, ends)))
}

/// Forgets a consumer; one that is not there stays so.
pub(crate) async fn delete(app: &App, key: &ConsumerKey) -> Result<(), CallError> {
    let mut conn = app.pools.reads.checkout().await?;
    let deleted = consumers::delete(&mut conn, key).await;
    conn.finish_with(deleted).map_err(write_failure)?;
    Ok(())
}
