//! Projections: what spans orders is kept in rows of its own, which follow the feed.
//!
//! The effect of events and the position behind them land in one transaction, and the position
//! moves from where it stood or the transaction is rolled back. So nothing is lost or doubled,
//! however many servers work at it and whenever one of them dies. A server that works on a
//! partition has its position's row locked; the others pass it by. Commands are never waited for
//! and never made to wait: a projection reads the log and writes rows that no command reads.
//!
//! A rebuild fills a new *generation* of the rows from the oldest event on, while the old one is
//! read; once it is as far, it takes the place of the old one in one transaction.

mod seller_quality;
mod stock;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use belay_domain::feed::PartitionEnds;
use belay_domain::projection::Projection;
use tokio::time::Instant;

pub(crate) use self::stock::post;
use crate::App;
use crate::db::projection_positions::{self as positions, Move};
use crate::db::projections::{self, Generations};
use crate::db::transaction::Transaction;
use crate::db::{Conn, DbError, ErrorKind, feed, partition_tails, transaction};
use crate::feed::{FeedError, FeedRow, Form};

/// Between two looks at the ends of the feed when nothing was new, and between two rounds that leave
/// nothing: a transaction of its own for each command would have the next command wait for its commit.
const IDLE: Duration = Duration::from_millis(100);
/// Between two looks at all else when nothing was new: for what a command line or another server
/// has begun.
const REST_MAX: Duration = Duration::from_secs(1);
/// Between two looks while the database cannot be reached.
const RETRY: Duration = Duration::from_millis(500);
/// Partitions, and rows of the feed, of one transaction.
const PARTITIONS_MAX: usize = 16;
const ROWS_MAX: u16 = 256;
/// What was told beside the feed, of one transaction of a rebuild.
const TELLINGS_MAX: u16 = 256;
/// Rows of a generation that nobody reads any more which one statement deletes.
const DELETED_MAX: u32 = 1_000;

/// The lag of each projection, as this server saw it last.
#[derive(Debug, Default)]
pub struct Lags {
    stock: AtomicU64,
    seller_quality: AtomicU64,
}

impl Lags {
    /// Events of the feed whose effect a projection does not hold yet.
    pub fn events(&self, projection: Projection) -> u64 {
        self.of(projection).load(Ordering::Relaxed)
    }

    fn of(&self, projection: Projection) -> &AtomicU64 {
        match projection {
            Projection::Stock => &self.stock,
            Projection::SellerQuality => &self.seller_quality,
        }
    }
}

/// The reason why a projection does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the feed cannot be read on: {0}")]
    Feed(FeedError),
    #[error("events cannot be read: {0}")]
    Events(String),
}

impl From<FeedError> for ProjectionError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Database(error) => Self::Database(error),
            FeedError::Position(_) => Self::Feed(error),
        }
    }
}

/// Follows the feed for as long as it is polled. What is in flight when it is dropped lands whole
/// or not at all.
pub async fn run(app: Arc<App>) {
    let mut turns = Turns::default();
    loop {
        let mut most = Did::Nothing;
        // Read before the rounds: what is committed during them is new after them.
        let ends = app.feed.ends().await.ok();
        for projection in Projection::ALL {
            match round(&app, *projection, &mut turns).await {
                Ok(did) => most = most.max(did),
                Err(error) => {
                    note(&app, *projection, &error);
                    most = Did::NotAll;
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        match most {
            Did::Nothing => rest(&app, ends.as_deref()).await,
            Did::All => tokio::time::sleep(IDLE).await,
            Did::NotAll => {}
        }
    }
}

/// Until the feed has moved on from these ends, or for as long as may be.
async fn rest(app: &App, ends: Option<&[PartitionEnds]>) {
    let rested = Instant::now();
    while rested.elapsed() < REST_MAX {
        tokio::time::sleep(IDLE).await;
        match app.feed.ends().await {
            Ok(now) if Some(now.as_slice()) == ends => {}
            Ok(_) | Err(_) => return,
        }
    }
}

fn note(app: &App, projection: Projection, error: &ProjectionError) {
    match error {
        ProjectionError::Database(error) if error.kind() != ErrorKind::Corrupt => {
            app.pools.notes().note("a projection", error);
        }
        // It stands still until somebody looks at it.
        ProjectionError::Database(_) | ProjectionError::Feed(_) | ProjectionError::Events(_) => {
            tracing::error!(%projection, %error, "a projection does not go on");
        }
    }
}

/// With which partition a generation goes on, so that none is always the last.
#[derive(Debug, Default)]
struct Turns(BTreeMap<(Projection, u32), u16>);

/// The progress of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Did {
    /// Nothing was new.
    Nothing,
    /// All that was there when it began.
    All,
    /// There is more to do.
    NotAll,
}

/// Takes each generation of a projection a step on.
async fn round(
    app: &App,
    projection: Projection,
    turns: &mut Turns,
) -> Result<Did, ProjectionError> {
    let (generations, ends) = look(app, projection).await?;
    let mut did = Did::Nothing;
    let mut lag = 0;
    for generation in generations.iter() {
        let behind = behind(app, projection, generation, &ends).await?;
        if generation == generations.serving {
            lag = behind.iter().map(|step| step.to - step.from).sum();
        }
        if !behind.is_empty() {
            let turn = turns.0.entry((projection, generation)).or_default();
            let (done, rows) = step(app, projection, generation, &behind, turn).await?;
            if generation == generations.serving {
                lag = lag.saturating_sub(done);
                // Of all servers one has come here with these rows, and no rebuild does.
                if projection == Projection::SellerQuality {
                    count_ended_parts(app, &rows);
                }
            }
            if done > 0 {
                let is_all = generation == generations.serving && lag == 0;
                did = did.max(if is_all { Did::All } else { Did::NotAll });
            }
        }
    }
    app.lags.of(projection).store(lag, Ordering::Relaxed);
    if generations.building.is_some() && finish(app, projection, generations).await? {
        did = Did::NotAll;
    }
    if forget(app, projection, generations.serving).await? {
        did = Did::NotAll;
    }
    turns.0.retain(|(of, generation), _| {
        *of != projection || generations.iter().any(|present| present == *generation)
    });
    Ok(did)
}

async fn look(
    app: &App,
    projection: Projection,
) -> Result<(Generations, Vec<PartitionEnds>), DbError> {
    let mut conn = app.pools.background.checkout().await?;
    let read = async {
        let generations = projections::get(&mut conn, projection).await?;
        Ok((generations, feed::ends(&mut conn).await?))
    }
    .await;
    conn.finish_with(read)
}

/// The partitions in which a generation is behind these ends. One that has not begun, begins.
async fn behind(
    app: &App,
    projection: Projection,
    generation: u32,
    ends: &[PartitionEnds],
) -> Result<Vec<Move>, DbError> {
    let mut conn = app.pools.background.checkout().await?;
    let read = async {
        let mut found = positions::all(&mut conn, projection, generation).await?;
        if found.len() < ends.len() {
            // The lock keeps one that has ended meanwhile from beginning again, and the tails keep what
            // it begins with from being pruned.
            transaction::begin_write(&mut conn).await?;
            let generations = projections::share(&mut conn, projection).await?;
            if generations.iter().any(|present| present == generation) {
                let pruned = partition_tails::share_pruned(&mut conn).await?;
                positions::begin(&mut conn, projection, generation, &pruned).await?;
            }
            transaction::commit(&mut conn).await?;
            found = positions::all(&mut conn, projection, generation).await?;
        }
        Ok(found)
    }
    .await;
    let positions = conn.finish_with(read)?;
    let moves = positions.into_iter().zip(ends);
    let moves = moves.map(|((partition, from), end)| Move {
        partition,
        from,
        to: end.last,
    });
    Ok(moves.filter(|step| step.from < step.to).collect())
}

fn count_ended_parts(app: &App, rows: &[FeedRow]) {
    for row in rows {
        let ended = belay_wire::events::ended_parts(&row.events);
        ended.for_each(|ended| app.telemetry.metrics.part_ended(ended));
    }
}

/// One transaction: the next rows of some partitions take effect. Says how many events they were, and
/// which rows; none where others are at work on all of them.
async fn step(
    app: &App,
    projection: Projection,
    generation: u32,
    behind: &[Move],
    turn: &mut u16,
) -> Result<(u64, Vec<FeedRow>), ProjectionError> {
    let next = behind.partition_point(|step| step.partition < *turn);
    let in_turn = behind.get(next..).filter(|rest| !rest.is_empty());
    let in_turn = in_turn.unwrap_or(behind).iter().take(PARTITIONS_MAX);
    let partitions: Vec<u16> = in_turn.map(|step| step.partition).collect();
    let mut conn = Transaction::begin(&app.pools.background).await?;
    let written = async {
        let taken = positions::take(&mut conn, projection, generation, &partitions).await?;
        let rows = app.feed.read(&taken, ROWS_MAX, Form::Events).await?;
        let moves = moves(&taken, &rows);
        apply(&mut conn, projection, generation, &rows, &moves).await?;
        // Rows come in the order of their partitions: where there were too many, the last ones had
        // no turn.
        let is_cut = rows.len() >= usize::from(ROWS_MAX);
        let last = rows.last().map(|row| row.partition).filter(|_| is_cut);
        *turn = last
            .or(partitions.last().copied())
            .map_or(0, |last| last + 1);
        let events = moves.iter().map(|step| step.to - step.from).sum();
        Ok((events, rows))
    }
    .await;
    end(conn, written).await
}

/// How far rows take the partitions that were taken.
fn moves(taken: &[(u16, u64)], rows: &[FeedRow]) -> Vec<Move> {
    let mut moves = Vec::new();
    for (partition, from) in taken {
        let last = rows.iter().rev().find(|row| row.partition == *partition);
        if let Some(last) = last {
            moves.push(Move {
                partition: *partition,
                from: *from,
                to: last.last,
            });
        }
    }
    moves
}

/// What rows do, and that they have done it.
async fn apply(
    conn: &mut Transaction,
    projection: Projection,
    generation: u32,
    rows: &[FeedRow],
    moves: &[Move],
) -> Result<(), ProjectionError> {
    match projection {
        Projection::Stock => stock::apply(conn, generation, rows).await?,
        Projection::SellerQuality => seller_quality::apply(conn, generation, rows).await?,
    }
    positions::advance(conn, projection, generation, moves).await?;
    Ok(())
}

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

/// Takes a rebuild to its end, if it has come there. Says whether it did something.
async fn finish(
    app: &App,
    projection: Projection,
    generations: Generations,
) -> Result<bool, ProjectionError> {
    let Some(building) = generations.building else {
        return Ok(false);
    };
    if !generations.is_replayed {
        match projection {
            Projection::Stock => stock::replay(app, building).await?,
            // All of it comes from the feed.
            Projection::SellerQuality => {}
        }
    }
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
    end(conn, written).await
}

/// Deletes what nobody reads any more. Says whether there was something.
async fn forget(app: &App, projection: Projection, serving: u32) -> Result<bool, DbError> {
    if serving <= 1 {
        return Ok(false);
    }
    let mut conn = app.pools.background.checkout().await?;
    let deleted = match projection {
        Projection::Stock => stock::forget(&mut conn, serving).await,
        Projection::SellerQuality => seller_quality::forget(&mut conn, serving).await,
    };
    conn.finish_with(deleted)
}

/// Ends a transaction as its writes went, and gives the connection back.
async fn end<T>(
    conn: Transaction,
    written: Result<T, ProjectionError>,
) -> Result<T, ProjectionError> {
    match written {
        Ok(value) => Ok(conn.end(Ok(value)).await?),
        Err(ProjectionError::Database(error)) => Ok(conn.end(Err(error)).await?),
        Err(error) => {
            conn.give_up().await?;
            Err(error)
        }
    }
}
