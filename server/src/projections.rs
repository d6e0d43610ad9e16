//! Projections: what spans orders is kept in rows of its own, which follow the feed.
//!
//! The effect of events and the position behind them land in one transaction, and the position
//! moves from where it stood or the transaction is rolled back. So nothing is lost or doubled,
//! however many servers work at it and whenever one of them dies. A server that works on a
//! partition has its position's row locked; the others pass it by. Commands are never waited for,
//! and none waits for a lock of a projection: it reads the log and writes rows that no command
//! reads.
//!
//! A rebuild fills a new *generation* of the rows from the oldest event on, while the old one is
//! read; once it is as far, it takes the place of the old one in one transaction.

mod rebuild;
mod seller_quality;
mod stock;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use belay_domain::feed::PartitionEnds;
use belay_domain::projection::Projection;
use tokio::time::Instant;

pub use self::rebuild::{Rebuild, begin_rebuild};
pub(crate) use self::stock::post;
use crate::App;
use crate::db::projection_positions::{self as positions, Move};
use crate::db::projections::{self, Generations};
use crate::db::transaction::Transaction;
use crate::db::{Conn, DbError, ErrorKind, feed, in_time, partition_tails, transaction};
use crate::feed::{FeedError, FeedRow, Form};

/// Between two looks at the ends of the feed when nothing was new, and between two rounds that
/// leave nothing: a transaction of its own for each command would have the next command wait for
/// its commit.
const IDLE: Duration = Duration::from_millis(100);
/// Between two looks at all else when nothing was new: for what a command line or another server
/// has begun.
const REST_MAX: Duration = Duration::from_secs(1);
/// Between two looks while the database cannot be reached.
const RETRY: Duration = Duration::from_millis(500);
/// Partitions, and rows of the feed, of one transaction.
const PARTITIONS_MAX: usize = 16;
const ROWS_MAX: u16 = 256;
/// What was told beside the feed, of one transaction of a rebuild. Each of a SKU with a long ledger
/// may have to add up much of it, and what takes too long would be begun anew for ever.
const TELLINGS_MAX: u16 = 16;
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
        // Read before the round: what is committed during it is new after it.
        let ends = in_time(app.feed.ends()).await.ok();
        match round(&app, &mut turns).await {
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
        match in_time(app.feed.ends()).await {
            Ok(now) if Some(now.as_slice()) == ends => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// A projection fails: says so, and waits before the next try.
async fn wait_after(app: &App, projection: &str, error: &ProjectionError) {
    match error {
        ProjectionError::Database(error) if error.kind() != ErrorKind::Corrupt => {
            app.pools.notes().note("a projection", error);
        }
        // It stands still until somebody looks at it.
        ProjectionError::Database(_) | ProjectionError::Feed(_) | ProjectionError::Events(_) => {
            tracing::error!(projection, %error, "a projection does not go on");
        }
    }
    tokio::time::sleep(RETRY).await;
}

/// A generation of a projection. It has positions of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Follower {
    projection: Projection,
    generation: u32,
    /// It is read: no rebuild that is under way.
    is_serving: bool,
}

/// How far this server has come in what its rounds do in parts.
#[derive(Debug, Default)]
struct Turns {
    /// The partition with which each group of followers goes on, so that none is always the last.
    partitions: BTreeMap<Vec<Follower>, u16>,
    /// Of the rebuild of stock that is under way.
    replay: stock::Replay,
}

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

/// The projections when a round begins.
struct Seen {
    projections: Vec<(Projection, Generations)>,
    /// The partitions in which a follower is behind the ends of the feed.
    behind: BTreeMap<Follower, Vec<Move>>,
}

impl Seen {
    fn followers(&self) -> Vec<Follower> {
        self.behind.keys().copied().collect()
    }

    /// The partitions in which these followers are behind and at one position.
    fn shared(&self, followers: &[Follower]) -> Vec<Move> {
        let mut behind = followers.iter().map(|one| self.behind.get(one));
        let first = behind.next().flatten().cloned().unwrap_or_default();
        let others: Vec<_> = behind.collect();
        let is_shared = |step: &Move| {
            let mut others = others.iter();
            others.all(|other| other.is_some_and(|behind| behind.contains(step)))
        };
        first.into_iter().filter(is_shared).collect()
    }

    /// Followers have come so far.
    fn pass(&mut self, followers: &[Follower], moves: &[Move]) {
        for follower in followers {
            for behind in self.behind.get_mut(follower).into_iter().flatten() {
                let done = moves.iter().find(|done| done.partition == behind.partition);
                behind.from = done.map_or(behind.from, |done| done.to);
            }
        }
    }

    /// How many events a follower is behind.
    fn lag(&self, follower: &Follower) -> u64 {
        let behind = self.behind.get(follower).into_iter().flatten();
        behind.map(|step| step.to - step.from).sum()
    }
}

/// Takes each generation of each projection a step on.
async fn round(app: &App, turns: &mut Turns) -> Did {
    let mut seen = match in_time(look(app)).await {
        Ok(seen) => seen,
        Err(error) => {
            wait_after(app, "all", &error.into()).await;
            return Did::NotAll;
        }
    };
    turns
        .partitions
        .retain(|followers, _| followers.iter().all(|one| seen.behind.contains_key(one)));
    let mut did = follow(app, &mut seen, turns).await;
    for (projection, generations) in seen.projections {
        let finished = match generations.building {
            Some(_) => rebuild::finish(app, projection, generations, &mut turns.replay).await,
            None => Ok(false),
        };
        let forgotten = in_time(forget(app, projection, generations.serving)).await;
        match finished.and_then(|finished| Ok(finished | forgotten?)) {
            Ok(true) => did = Did::NotAll,
            Ok(false) => {}
            Err(error) => {
                wait_after(app, projection.name(), &error).await;
                did = Did::NotAll;
            }
        }
    }
    did
}

/// The generations that are read go together where they are at one position: what they read is read
/// once and lands in one transaction. All that is left goes alone.
async fn follow(app: &App, seen: &mut Seen, turns: &mut Turns) -> Did {
    let followers = seen.followers();
    let serving = followers.iter().filter(|one| one.is_serving).copied();
    let serving: Vec<Follower> = serving.collect();
    let shared = seen.shared(&serving);
    let mut alone = seen.behind.clone();
    let mut moved = BTreeSet::new();
    let mut has_failed = false;
    match in_time(step(app, &serving, &shared, turns)).await {
        Ok(Step { moves, apart }) => {
            if !moves.is_empty() {
                moved.extend(serving.iter().copied());
            }
            seen.pass(&serving, &moves);
            for follower in &serving {
                let behind = alone.entry(*follower).or_default();
                behind.retain(|step| !shared.contains(step) || apart.contains(&step.partition));
            }
        }
        // Each is tried alone, and then it is said: what one cannot take does not keep the others.
        Err(error) => tracing::debug!(%error, "projections do not go together"),
    }
    for (follower, behind) in &alone {
        match in_time(step(app, &[*follower], behind, turns)).await {
            Ok(Step { moves, .. }) => {
                if !moves.is_empty() {
                    moved.insert(*follower);
                }
                seen.pass(&[*follower], &moves);
            }
            Err(error) => {
                wait_after(app, follower.projection.name(), &error).await;
                has_failed = true;
            }
        }
    }
    for follower in &serving {
        let lag = seen.lag(follower);
        let known = app.lags.of(follower.projection);
        known.store(lag, Ordering::Relaxed);
    }
    // A rebuild has always more to do.
    let is_all = |one: &Follower| one.is_serving && seen.lag(one) == 0;
    if has_failed {
        return Did::NotAll;
    }
    if moved.is_empty() {
        Did::Nothing
    } else if moved.iter().all(is_all) {
        Did::All
    } else {
        Did::NotAll
    }
}

async fn look(app: &App) -> Result<Seen, DbError> {
    let mut conn = app.pools.background.checkout().await?;
    let read = async {
        let projections = projections::all(&mut conn).await?;
        let ends = feed::ends(&mut conn).await?;
        let mut positions = positions::of_each(&mut conn).await?;
        let mut behind = BTreeMap::new();
        for (projection, generations) in &projections {
            for generation in generations.iter() {
                let follower = Follower {
                    projection: *projection,
                    generation,
                    is_serving: generation == generations.serving,
                };
                let found = positions.remove(&(*projection, generation));
                let mut found = found.unwrap_or_default();
                if found.len() < ends.len() {
                    found = begin(&mut conn, follower).await?;
                }
                behind.insert(follower, moves_to(&ends, found));
            }
        }
        Ok(Seen {
            projections,
            behind,
        })
    }
    .await;
    conn.finish_with(read)
}

/// Begins a generation that has not begun, and gives its positions.
async fn begin(conn: &mut Conn, follower: Follower) -> Result<Vec<(u16, u64)>, DbError> {
    let (projection, generation) = (follower.projection, follower.generation);
    // The lock keeps one that has ended meanwhile from beginning again, and the tails keep what it
    // begins with from being pruned.
    transaction::begin_write(conn).await?;
    let generations = projections::share(conn, projection).await?;
    if generations.iter().any(|present| present == generation) {
        let pruned = partition_tails::share_pruned(conn).await?;
        positions::begin(conn, projection, generation, &pruned).await?;
    }
    transaction::commit(conn).await?;
    positions::all(conn, projection, generation).await
}

/// What leads from these positions to the ends of the feed.
fn moves_to(ends: &[PartitionEnds], positions: Vec<(u16, u64)>) -> Vec<Move> {
    let moves = positions.into_iter().zip(ends);
    let moves = moves.map(|((partition, from), end)| Move {
        partition,
        from,
        to: end.last,
    });
    moves.filter(|step| step.from < step.to).collect()
}

fn count_ended_parts(app: &App, rows: &[FeedRow]) {
    for row in rows {
        let ended = belay_wire::events::ended_parts(&row.events);
        ended.for_each(|ended| app.telemetry.metrics.part_ended(ended));
    }
}

/// A step of followers.
#[derive(Debug, Default)]
struct Step {
    /// How far all of them have come.
    moves: Vec<Move>,
    /// Partitions that some of them could have taken, and others not.
    apart: BTreeSet<u16>,
}

/// One transaction: the next rows of some partitions take effect on these followers, which are at
/// one position in each. It leads nowhere where others are at work on all of them.
async fn step(
    app: &App,
    followers: &[Follower],
    behind: &[Move],
    turns: &mut Turns,
) -> Result<Step, ProjectionError> {
    if behind.is_empty() {
        return Ok(Step::default());
    }
    let turn = turns.partitions.entry(followers.to_vec()).or_default();
    let next = behind.partition_point(|step| step.partition < *turn);
    let in_turn = behind.get(next..).filter(|rest| !rest.is_empty());
    let in_turn = in_turn.unwrap_or(behind).iter().take(PARTITIONS_MAX);
    let in_turn: Vec<Move> = in_turn.copied().collect();
    let mut conn = Transaction::begin(&app.pools.background).await?;
    let written = async {
        let (taken, apart) = take(&mut conn, followers, &in_turn).await?;
        let mut rows = app.feed.read(&taken, ROWS_MAX, Form::Events).await?;
        // Rows come in the order of their partitions: where there were too many, the last ones had
        // no turn.
        let is_cut = rows.len() >= usize::from(ROWS_MAX);
        let last = rows.last().map(|row| row.partition).filter(|_| is_cut);
        let last = last.or(in_turn.last().map(|step| step.partition));
        // What has come since is left to the next round: whoever goes alone is then where the
        // others are.
        rows.retain(|row| {
            let mut in_turn = in_turn.iter();
            in_turn.any(|step| step.partition == row.partition && row.last <= step.to)
        });
        let moves = moves(&taken, &rows);
        // The stock last: the rows that the quality of sellers waits for are held while sellers are
        // evaluated, and nobody who counts stock is to wait for that.
        for follower in followers.iter().rev() {
            apply(&mut conn, *follower, &rows, &moves).await?;
        }
        *turn = last.map_or(0, |last| last + 1);
        Ok((Step { moves, apart }, rows))
    }
    .await;
    let (step, rows) = end(conn, written).await?;
    // Of all servers one has come here with these rows, and no rebuild does.
    let counts = |one: &Follower| one.is_serving && one.projection == Projection::SellerQuality;
    if followers.iter().any(counts) {
        count_ended_parts(app, &rows);
    }
    Ok(step)
}

/// Of these partitions those that nobody else works on and in which the followers are still at one
/// position; and those that only some of them got.
async fn take(
    conn: &mut Conn,
    followers: &[Follower],
    behind: &[Move],
) -> Result<(Vec<(u16, u64)>, BTreeSet<u16>), DbError> {
    let partitions: Vec<u16> = behind.iter().map(|step| step.partition).collect();
    let mut of_each = Vec::with_capacity(followers.len());
    for follower in followers {
        let (projection, generation) = (follower.projection, follower.generation);
        of_each.push(positions::take(conn, projection, generation, &partitions).await?);
    }
    let has = |found: &[(u16, u64)], partition| found.iter().any(|found| found.0 == partition);
    let counts = partitions.iter().map(|partition| {
        let got = of_each.iter().filter(|found| has(found, *partition));
        (*partition, got.count())
    });
    let apart = counts.filter(|(_, count)| (1..followers.len()).contains(count));
    let apart = apart.map(|(partition, _)| partition).collect();
    let mut taken = of_each.pop().unwrap_or_default();
    taken.retain(|one| of_each.iter().all(|found| found.contains(one)));
    Ok((taken, apart))
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

/// Applies rows to a follower, and moves its positions behind them.
async fn apply(
    conn: &mut Transaction,
    follower: Follower,
    rows: &[FeedRow],
    moves: &[Move],
) -> Result<(), ProjectionError> {
    let (projection, generation) = (follower.projection, follower.generation);
    match projection {
        Projection::Stock => stock::apply(conn, generation, rows).await?,
        Projection::SellerQuality => seller_quality::apply(conn, generation, rows).await?,
    }
    positions::advance(conn, projection, generation, moves).await?;
    Ok(())
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
