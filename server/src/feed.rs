//! The feed: what is committed reaches those who watch.
//!
//! One tail per server follows the log of events, whoever watches. It gets what this server commits
//! from the engine, and looks every [`POLL`] for what other servers have committed; while nobody
//! watches it does neither. What it read last stays in a bounded ring, from which all watchers are
//! fed. Whoever is further behind reads the table, and comes back to the ring.

mod page;
mod piece;
mod rewinds;
mod row;
mod tail;
mod watch;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use belay_domain::chain::Mark;
use belay_domain::feed::{PartitionEnds, PositionError};
use belay_domain::ids::OrderKey;
use tokio::sync::{Notify, Semaphore, mpsc, watch as channel};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::page::Page;
use self::piece::{Piece, Pieces};
pub use self::row::FeedRow;
pub(crate) use self::row::Form;
use self::tail::Tail;
pub use self::watch::{Delivery, Messages, WatchError};
use crate::db::events::StoredEvents;
use crate::db::feed::{MarkedEnds, Place};
use crate::db::pool::Pool;
use crate::db::snapshot::checkout_of_primary;
use crate::db::{DbError, events, feed};

/// Between two looks of the tail for what other servers have committed, where nothing else is said.
pub const POLL: Duration = Duration::from_millis(50);
/// Streams that are open at once, where nothing else is said; one more is shed.
pub const STREAMS_MAX: usize = 10_000;
/// The longest that a stream lasts. Who begins again is authenticated again.
pub const WATCH_MAX: Duration = Duration::from_secs(30 * 60);
/// A tail that has not looked for so long does not know what other servers have committed.
const FOLLOWED_MAX: Duration = Duration::from_secs(2);
/// Between two messages of a watch: one without events then is a bookmark.
pub const BOOKMARK_INTERVAL: Duration = Duration::from_secs(10);
/// The longest that a caller may take nothing.
pub const SLOW_MAX: Duration = Duration::from_secs(30);
/// Watchers that read the table at once.
const REPLAYS_MAX: usize = 4;
/// Transactions of this server that wait for the tail; what finds no room is read from the table.
const COMMITTED_MAX: usize = 1_024;

/// The settings of the feed; the first three are others than the default only for tests.
#[derive(Debug, Clone, Copy)]
pub struct FeedSettings {
    pub bookmark_interval: Duration,
    pub slow_max: Duration,
    pub watch_max: Duration,
    pub streams_max: usize,
    /// See [`POLL`].
    pub poll: Duration,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            bookmark_interval: BOOKMARK_INTERVAL,
            slow_max: SLOW_MAX,
            watch_max: WATCH_MAX,
            streams_max: STREAMS_MAX,
            poll: POLL,
        }
    }
}

/// The feed of one server. Cloning it shares it.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    settings: FeedSettings,
    tail: RwLock<Tail>,
    /// Told whenever the tail has moved.
    moved: channel::Sender<()>,
    committed: mpsc::Sender<Vec<StoredEvents>>,
    /// When the tail last knew all that was committed.
    followed: Mutex<Option<Instant>>,
    /// Streams that are open.
    streams: Arc<AtomicUsize>,
    /// Watches at work: a stream that was cut has none.
    watches: Arc<AtomicUsize>,
    tasks: TaskTracker,
    /// The first watch has begun.
    watched: Notify,
    replays: Semaphore,
    closing: CancellationToken,
}

impl Feed {
    /// Starts the tail.
    pub fn start(pool: Pool, partitions: u16, settings: FeedSettings) -> Self {
        let (committed, commits) = mpsc::channel(COMMITTED_MAX);
        let feed = Self(Arc::new(Inner {
            pool,
            settings,
            tail: RwLock::new(Tail::new(partitions)),
            moved: channel::Sender::new(()),
            committed,
            followed: Mutex::default(),
            streams: Arc::default(),
            watches: Arc::default(),
            tasks: TaskTracker::new(),
            watched: Notify::new(),
            replays: Semaphore::new(REPLAYS_MAX),
            closing: CancellationToken::new(),
        }));
        let (tail, closing) = (tail::run(feed.clone(), commits), feed.0.closing.clone());
        feed.0.tasks.spawn(async move {
            tokio::select! {
                () = tail => {}
                () = closing.cancelled() => {}
            }
        });
        feed
    }

    /// A transaction of this server has committed these rows.
    pub(crate) fn committed(&self, rows: Vec<StoredEvents>) {
        if !rows.is_empty() && self.watches() > 0 {
            // Where there is no room, the next look finds them.
            let _ = self.0.committed.try_send(rows);
        }
    }

    /// The ends of the partitions as they are now.
    pub async fn ends(&self) -> Result<Vec<PartitionEnds>, DbError> {
        let mut conn = checkout_of_primary(&self.0.pool).await?;
        let ends = feed::ends(&mut conn).await;
        conn.finish_with(ends)
    }

    /// The same with the marks of the last rows.
    pub(crate) async fn marked_ends(&self) -> Result<Vec<MarkedEnds>, DbError> {
        let mut conn = checkout_of_primary(&self.0.pool).await?;
        let ends = feed::marked_ends(&mut conn).await;
        conn.finish_with(ends)
    }

    /// The partitions in which other events have taken the place of what was read.
    pub(crate) async fn forked(&self, places: &[Place]) -> Result<Vec<u16>, DbError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = checkout_of_primary(&self.0.pool).await?;
        let forked = feed::forked(&mut conn, places).await;
        conn.finish_with(forked)
    }

    /// The last positions and the marks of so many rows behind this position.
    async fn marks_after(
        &self,
        after: (u16, u64),
        limit: u16,
    ) -> Result<Vec<(u64, Option<Mark>)>, DbError> {
        let mut conn = checkout_of_primary(&self.0.pool).await?;
        let marks = feed::marks_after(&mut conn, after, limit).await;
        conn.finish_with(marks)
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.0.streams.load(Ordering::Relaxed)
    }

    /// How long ago this server last knew all that is committed; nothing where nobody watches.
    pub fn lag(&self) -> Duration {
        if self.watches() == 0 {
            return Duration::ZERO;
        }
        let followed = self
            .0
            .followed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        followed.map_or(Duration::ZERO, |at| at.elapsed())
    }

    /// How many watches are at work.
    pub fn watches(&self) -> usize {
        self.0.watches.load(Ordering::Relaxed)
    }

    /// Ends the tail, and all watches, each with a bookmark.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
    }

    /// Waits until all that was closed has ended.
    pub(crate) async fn stop(&self) {
        self.close();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Whether what is committed anywhere is known here.
    fn is_followed(&self) -> bool {
        let followed = self
            .0
            .followed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        followed.is_some_and(|at| at.elapsed() < FOLLOWED_MAX)
    }

    fn is_followed_now(&self) {
        let mut followed = self
            .0
            .followed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *followed = Some(Instant::now());
    }

    /// Rows behind these positions, from the table: each partition's in their order and without a
    /// gap. A row that begins before a position comes whole.
    pub(crate) async fn read(
        &self,
        after: &[(u16, u64)],
        limit: u16,
        form: Form,
    ) -> Result<Vec<FeedRow>, FeedError> {
        let mut conn = checkout_of_primary(&self.0.pool).await?;
        let rows = feed::rows_after(&mut conn, after, limit).await;
        let rows = conn.finish_with(rows)?;
        let rows: Vec<FeedRow> = rows
            .into_iter()
            .map(|row| FeedRow::read(row, form))
            .collect::<Result<_, _>>()?;
        let mut reached: HashMap<u16, u64> = after.iter().copied().collect();
        for row in &rows {
            let position = reached.insert(row.partition, row.last).unwrap_or_default();
            if row.first() > position + 1 {
                return Err(expired((row.partition, position), row.first()));
            }
        }
        Ok(rows)
    }

    /// The same of one partition for one who gets everything, unlooked at: put into the bytes of
    /// messages as they come from the database, each as large as a message gets.
    async fn read_pieces(
        &self,
        (partition, position): (u16, u64),
        limit: u16,
        bytes_max: usize,
    ) -> Result<Vec<Piece>, FeedError> {
        let mut pieces = Pieces::behind(partition, position, bytes_max);
        let mut conn = checkout_of_primary(&self.0.pool).await?;
        let take = |row| pieces.push(&row);
        let read = feed::each_row_after(&mut conn, (partition, position), limit, take).await;
        // Where rows could not be read some may be left: such a connection is closed.
        read?;
        conn.finish();
        pieces.finish()
    }

    /// Rows of one order behind this position, from the table. The last one stands at the end of
    /// the partition where the order has no more.
    pub(crate) async fn read_order(
        &self,
        key: OrderKey,
        (partition, position): (u16, u64),
        limit: u16,
    ) -> Result<Vec<FeedRow>, FeedError> {
        let mut conn = checkout_of_primary(&self.0.pool).await?;
        let read = async {
            // First: what is committed meanwhile lies behind it.
            let ends = feed::ends(&mut conn).await?;
            let rows = events::history(&mut conn, key, (partition, position), limit).await?;
            Ok((ends, rows))
        }
        .await;
        let (ends, stored) = conn.finish_with(read)?;
        let is_all = stored.len() < usize::from(limit);
        let mut rows: Vec<FeedRow> = stored
            .into_iter()
            .map(|row| FeedRow::read(row, Form::Both))
            .collect::<Result<_, _>>()?;
        let reached = rows.last().map_or(position, |row| row.last);
        let end = ends.get(usize::from(partition)).map_or(0, |end| end.last);
        if is_all && end > reached {
            rows.push(FeedRow::nothing(partition, end));
        }
        Ok(rows)
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.0.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.0.tail.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expired((partition, position): (u16, u64), oldest: u64) -> FeedError {
    FeedError::Position(PositionError::Expired {
        partition,
        position,
        oldest,
    })
}

/// An error of reading rows of the feed.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the feed no longer holds what is asked: {0:?}")]
    Position(PositionError),
}
