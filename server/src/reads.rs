//! Reads of single orders, many a snapshot.
//!
//! A read is a dozen round trips, whether of one order or of a hundred. While readers are at work,
//! those who ask gather; when one is free it takes all who wait, up to a batch, and reads their
//! orders from one moment. An idle service adds no wait, and there is no linger timer.
//!
//! Nobody joins a read that has begun: a snapshot is taken after the last of its askers came, so
//! whoever was told that a write landed finds it. What an order means, and who may see it, is for
//! others to know.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use jiff::Timestamp;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::db::clock::Clock;
use crate::db::pool::Pool;
use crate::db::snapshot::Snapshot;
use crate::db::{DbError, ErrorKind, aggregate};
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Queue;
use crate::telemetry::traces::{self, CallSpan, SPANS};

/// Reads under way at the same time. One would let a page of large orders hold up everybody; many
/// would share nothing.
pub const READERS: usize = 2;
/// Askers of one read.
pub const READ_ASKERS_MAX: usize = 128;
/// Askers that wait; one more is shed with `OVERLOADED`.
pub const READ_QUEUE_MAX: usize = 4096;
/// One read, the wait for a connection included. A connection that is silent for longer is given
/// up.
const READ_MAX: Duration = Duration::from_secs(10);

/// An order as it was read, if there is one, and the moment of the read.
pub type OrderRead = (Option<Arc<Order>>, Timestamp);

/// The error of a read.
#[derive(Debug, Clone)]
pub enum ReadError {
    /// Too many wait, or the server stops.
    Overloaded,
    /// The connection was silent for too long.
    TimedOut,
    Database(Arc<DbError>),
    /// A bug: see the log.
    Died,
}

impl From<DbError> for ReadError {
    fn from(error: DbError) -> Self {
        ReadError::Database(Arc::new(error))
    }
}

impl ReadError {
    /// Whether it may be one order's fault, and the others of the batch could be read without it.
    fn is_about_an_order(&self) -> bool {
        match self {
            ReadError::Overloaded | ReadError::TimedOut => false,
            ReadError::Database(error) => {
                matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Statement)
            }
            ReadError::Died => true,
        }
    }
}

#[derive(Debug)]
struct Ask {
    key: OrderKey,
    /// Of the call that it comes from.
    call: CallSpan,
    answer: oneshot::Sender<Result<OrderRead, ReadError>>,
}

/// The queue before the readers.
#[derive(Debug)]
pub struct Reads {
    /// Gone once the server stops.
    asks: Mutex<Option<mpsc::Sender<Ask>>>,
    tasks: TaskTracker,
    telemetry: Telemetry,
}

impl Reads {
    /// Starts the readers.
    pub fn start(pool: Pool, clock: Clock, telemetry: &Telemetry) -> Self {
        let tasks = TaskTracker::new();
        let (asks, waiting) = mpsc::channel(READ_QUEUE_MAX);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        for _ in 0..READERS {
            let reader = Reader {
                pool: pool.clone(),
                clock,
                tasks: tasks.clone(),
                telemetry: telemetry.clone(),
            };
            tasks.spawn(reader.run(waiting.clone()));
        }
        Self {
            asks: Mutex::new(Some(asks)),
            tasks,
            telemetry: telemetry.clone(),
        }
    }

    /// The order as it stands after this was called. Dropping the future withdraws from a read that
    /// has not begun.
    pub async fn order(&self, key: OrderKey) -> Result<OrderRead, ReadError> {
        let (answer, answered) = oneshot::channel();
        {
            let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
            let ask = Ask {
                key,
                call: CallSpan::current(),
                answer,
            };
            let sent = asks.as_ref().map(|asks| asks.try_send(ask));
            match sent {
                Some(Ok(())) => {}
                None | Some(Err(TrySendError::Full(_) | TrySendError::Closed(_))) => {
                    self.telemetry.metrics.shed(Queue::Reads);
                    return Err(ReadError::Overloaded);
                }
            }
        }
        answered.await.unwrap_or(Err(ReadError::Died))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        let asks = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        asks.as_ref()
            .map_or(0, |asks| asks.max_capacity() - asks.capacity())
    }

    /// Takes nothing more and waits until those who wait are answered.
    pub async fn stop(&self) {
        self.asks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[derive(Debug, Clone)]
struct Reader {
    pool: Pool,
    clock: Clock,
    tasks: TaskTracker,
    telemetry: Telemetry,
}

type Waiting = Arc<tokio::sync::Mutex<mpsc::Receiver<Ask>>>;

impl Reader {
    /// One read after the other, until nobody can ask any more.
    async fn run(self, waiting: Waiting) {
        loop {
            let mut asks = Vec::new();
            // Held while nobody waits: the next reader stands behind.
            if waiting
                .lock()
                .await
                .recv_many(&mut asks, READ_ASKERS_MAX)
                .await
                == 0
            {
                return;
            }
            self.telemetry.metrics.reads_taken(asks.len());
            let batch = tracing::info_span!(
                target: SPANS,
                parent: None,
                "reads.batch",
                belay.batch.size = traces::count(asks.len()),
            );
            traces::link(&batch, asks.iter().map(|ask| &ask.call));
            self.answer(asks).instrument(batch).await;
        }
    }

    /// Reads for all of them; where that fails for an order's sake, for one half and the other,
    /// until the culprit stands alone.
    async fn answer(&self, asks: Vec<Ask>) {
        let mut batches = vec![asks];
        while let Some(mut batch) = batches.pop() {
            // Whoever hung up needs no answer.
            batch.retain(|ask| !ask.answer.is_closed());
            let mut keys: Vec<OrderKey> = batch.iter().map(|ask| ask.key).collect();
            keys.sort_unstable();
            keys.dedup();
            if keys.is_empty() {
                continue;
            }
            match self.read(keys).await {
                Ok((orders, now)) => {
                    for ask in batch {
                        let _ = ask.answer.send(Ok((orders.get(&ask.key).cloned(), now)));
                    }
                }
                Err(error) if batch.len() > 1 && error.is_about_an_order() => {
                    let half = batch.split_off(batch.len() / 2);
                    batches.extend([half, batch]);
                }
                Err(error) => {
                    for ask in batch {
                        let _ = ask.answer.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    /// In a task of its own: a bug in there must not end the reader. A read that is given up closes
    /// its connection.
    async fn read(
        &self,
        keys: Vec<OrderKey>,
    ) -> Result<(HashMap<OrderKey, Arc<Order>>, Timestamp), ReadError> {
        let reader = self.clone();
        let read = tokio::time::timeout(READ_MAX, async move { reader.snapshot(&keys).await });
        let read = self.tasks.spawn(read.in_current_span());
        match read.await {
            Ok(Ok(read)) => Ok(read?),
            Ok(Err(_)) => Err(ReadError::TimedOut),
            Err(error) => {
                tracing::error!(%error, "a read died");
                Err(ReadError::Died)
            }
        }
    }

    async fn snapshot(
        &self,
        keys: &[OrderKey],
    ) -> Result<(HashMap<OrderKey, Arc<Order>>, Timestamp), DbError> {
        let mut conn = Snapshot::begin(&self.pool).await?;
        let read = async {
            let now = self.clock.now(&mut conn).await?;
            let orders = aggregate::read(&mut conn, keys).await?;
            let shared = orders
                .into_iter()
                .map(|(key, order)| (key, Arc::new(order)));
            Ok((shared.collect(), now))
        }
        .await;
        conn.end(read).await
    }
}
