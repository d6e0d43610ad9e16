//! The feed: what is committed reaches those who watch.
//!
//! One tail per server follows the log of events, whoever watches. It gets what this server commits
//! from the engine, and looks every [`POLL`] for what other servers have committed; while nobody
//! watches it does neither. What it read last stays in a bounded ring, from which all watchers are
//! fed. Whoever is further behind reads the table, and comes back to the ring.

mod tail;
mod watch;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use belay_domain::feed::{PartitionEnds, PositionError};
use tokio::sync::{Notify, Semaphore, mpsc, watch as channel};
use tokio_util::sync::CancellationToken;

pub use self::tail::FeedRow;
use self::tail::Tail;
pub use self::watch::{Delivery, Watch, WatchError};
use crate::db::events::StoredEvents;
use crate::db::pool::Pool;
use crate::db::{DbError, feed};

/// How often the tail looks for what other servers have committed.
pub const POLL: Duration = Duration::from_millis(50);
/// Streams at once; one more is shed.
pub const WATCHERS_MAX: usize = 10_000;
/// How long a watcher that is sent nothing waits for a bookmark.
pub const BOOKMARK_INTERVAL: Duration = Duration::from_secs(10);
/// How long a watcher may take nothing.
pub const SLOW_MAX: Duration = Duration::from_secs(30);
/// Watchers that read the table at once.
const REPLAYS_MAX: usize = 4;
/// Transactions of this server that wait for the tail; what finds no room is read from the table.
const COMMITTED_MAX: usize = 1_024;

/// The settings of the feed; others than the default only for tests.
#[derive(Debug, Clone, Copy)]
pub struct FeedSettings {
    pub bookmark_interval: Duration,
    pub slow_max: Duration,
    pub watchers_max: usize,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            bookmark_interval: BOOKMARK_INTERVAL,
            slow_max: SLOW_MAX,
            watchers_max: WATCHERS_MAX,
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
    watchers: AtomicUsize,
    /// The first watcher has come.
    watched: Notify,
    replays: Semaphore,
    closing: CancellationToken,
}

impl Feed {
    /// The feed, and the work of its tail, which runs for as long as it is polled.
    pub fn new(
        pool: Pool,
        partitions: u16,
        settings: FeedSettings,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (committed, commits) = mpsc::channel(COMMITTED_MAX);
        let feed = Self(Arc::new(Inner {
            pool,
            settings,
            tail: RwLock::new(Tail::new(partitions)),
            moved: channel::Sender::new(()),
            committed,
            watchers: AtomicUsize::new(0),
            watched: Notify::new(),
            replays: Semaphore::new(REPLAYS_MAX),
            closing: CancellationToken::new(),
        }));
        let tail = tail::run(feed.clone(), commits);
        (feed, tail)
    }

    /// A transaction of this server has committed these rows.
    pub(crate) fn committed(&self, rows: Vec<StoredEvents>) {
        if !rows.is_empty() && self.watchers() > 0 {
            // Where there is no room, the next look finds them.
            let _ = self.0.committed.try_send(rows);
        }
    }

    /// The ends of the partitions as they are now.
    pub async fn ends(&self) -> Result<Vec<PartitionEnds>, DbError> {
        let mut conn = self.0.pool.checkout().await?;
        let ends = feed::ends(&mut conn).await;
        conn.finish_with(ends)
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        self.0.watchers.load(Ordering::Relaxed)
    }

    /// Ends all watches, each with a bookmark.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
    }

    /// Rows behind these positions, from the table: each partition's in their order and without a
    /// gap. A row that begins before a position comes whole.
    pub(crate) async fn read(
        &self,
        after: &[(u16, u64)],
        limit: u16,
    ) -> Result<Vec<FeedRow>, FeedError> {
        let mut conn = self.0.pool.checkout().await?;
        let rows = feed::rows_after(&mut conn, after, limit).await;
        let rows = conn.finish_with(rows)?;
        let rows: Vec<FeedRow> = rows
            .into_iter()
            .map(FeedRow::read)
            .collect::<Result<_, _>>()?;
        for (partition, position) in after {
            let mut reached = *position;
            for row in rows.iter().filter(|row| row.partition == *partition) {
                if row.first() > reached + 1 {
                    return Err(FeedError::Position(PositionError::Expired {
                        partition: *partition,
                        position: reached,
                        oldest: row.first(),
                    }));
                }
                reached = row.last;
            }
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

/// Why rows of the feed cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("the feed no longer holds what is asked: {0:?}")]
    Position(PositionError),
}
