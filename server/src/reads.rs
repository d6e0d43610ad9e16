//! Reads of single orders, many a snapshot.
//!
//! A read is a few round trips, whether of one order or of a hundred. While readers are at work,
//! those who ask gather; when one is free it takes all who wait, up to a batch, and reads their
//! orders from one moment. An idle service adds no wait, and there is no linger timer.
//!
//! Nobody joins a read that has begun: a snapshot is taken after the last of its askers came, so
//! whoever was told that a write landed finds it.
//!
//! For a caller of a narrow scope, a few columns are read first to check access. An order that it
//! does not see is answered by the same statements as one that is not there, without loading
//! anything, so the time that an answer takes tells nothing of what is there.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_domain::commands::Identity;
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_domain::scope::Scope;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::db::clock::Clock;
use crate::db::outlines::Outline;
use crate::db::pool::Pool;
use crate::db::snapshot::Snapshot;
use crate::db::{DbError, ErrorKind, aggregate, outlines, unless_gone};
use crate::fair_queue::{Inbox, Pushed};
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Queue;
use crate::telemetry::traces::{self, CallSpan, SPANS};

/// Reads under way at the same time. One would let a page of large orders hold up everybody; many
/// would share nothing.
pub const READERS: usize = 2;
/// Askers of one read.
pub const READ_ASKERS_MAX: usize = 128;
/// Askers that wait, where nothing else is said; one more is shed with `OVERLOADED`, or the last of
/// the caller that has the most there.
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

/// The scope of an asker: how far it sees.
#[derive(Debug, Clone)]
pub struct Sight {
    pub scope: Scope,
    /// The identities of which an order's buyer must have one, or it is not there; empty where any
    /// buyer's is.
    pub buyer: Vec<Identity>,
}

impl Sight {
    pub const EVERYTHING: Sight = Sight {
        scope: Scope::EVERYTHING,
        buyer: Vec::new(),
    };

    /// Whether every order of its stores is seen.
    pub fn sees_every_order(&self) -> bool {
        self.buyer.is_empty() && self.scope.sees_every_order()
    }

    fn sees(&self, outline: &Outline) -> bool {
        let routes = outline.routes.iter();
        let is_the_buyers =
            self.buyer.is_empty() || self.buyer.iter().any(|buyer| buyer.is_of(&outline.buyer));
        is_the_buyers
            && self.scope.sees(
                &outline.seller,
                routes.map(|(warehouse, carrier)| (warehouse, carrier)),
            )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Outline,
    Order,
}

#[derive(Debug, Clone, PartialEq)]
enum Found {
    Nothing,
    /// What was asked for is there.
    Outline,
    Order(Arc<Order>),
}

#[derive(Debug)]
struct Ask {
    about: About,
    /// Of the call that it comes from.
    call: CallSpan,
    answer: oneshot::Sender<Result<(Found, Timestamp), ReadError>>,
}

/// The order of an ask, and how it is looked at.
#[derive(Debug, Clone)]
struct About {
    key: OrderKey,
    sight: Sight,
    wanted: Wanted,
}

impl About {
    /// What the outlines alone answer; None where the order is to be loaded.
    fn answer(&self, outlines: &HashMap<OrderKey, Outline>) -> Option<Found> {
        let is_seen = outlines
            .get(&self.key)
            .is_some_and(|outline| self.sight.sees(outline));
        match self.wanted {
            _ if !self.needs_outline() => None,
            Wanted::Outline | Wanted::Order if !is_seen => Some(Found::Nothing),
            Wanted::Outline => Some(Found::Outline),
            Wanted::Order => None,
        }
    }

    fn needs_outline(&self) -> bool {
        self.wanted == Wanted::Outline || !self.sight.sees_every_order()
    }
}

/// The answers before an order was loaded, by the place of the ask, and the moment of them.
type Early = (Vec<Option<Found>>, Timestamp);

/// The queue before the readers.
#[derive(Debug)]
pub struct Reads {
    asks: Arc<Inbox<Ask>>,
    tasks: TaskTracker,
    telemetry: Telemetry,
}

impl Reads {
    /// Starts the readers.
    pub fn start(pool: Pool, clock: Clock, queue_max: usize, telemetry: &Telemetry) -> Self {
        let tasks = TaskTracker::new();
        let asks = Arc::new(Inbox::new(queue_max));
        for _ in 0..READERS {
            let reader = Reader {
                pool: pool.clone(),
                clock,
                tasks: tasks.clone(),
                telemetry: telemetry.clone(),
            };
            tasks.spawn(reader.run(asks.clone()));
        }
        Self {
            asks,
            tasks,
            telemetry: telemetry.clone(),
        }
    }

    /// The order as it stands after this was called. Dropping the future withdraws from a read that
    /// has not begun.
    pub async fn order(
        &self,
        caller: &Actor,
        key: OrderKey,
        sight: Sight,
    ) -> Result<OrderRead, ReadError> {
        let wanted = Wanted::Order;
        let (found, now) = self.ask(caller, About { key, sight, wanted }).await?;
        match found {
            Found::Order(order) => Ok((Some(order), now)),
            Found::Outline | Found::Nothing => Ok((None, now)),
        }
    }

    /// Whether there is such an order, as far as it is seen: nothing else of it is looked at.
    pub async fn is_seen(
        &self,
        caller: &Actor,
        key: OrderKey,
        sight: Sight,
    ) -> Result<bool, ReadError> {
        let wanted = Wanted::Outline;
        let (found, _) = self.ask(caller, About { key, sight, wanted }).await?;
        Ok(found != Found::Nothing)
    }

    async fn ask(&self, caller: &Actor, about: About) -> Result<(Found, Timestamp), ReadError> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            about,
            call: CallSpan::current(),
            answer,
        };
        match self.asks.push(caller, ask) {
            Pushed::Taken => {}
            Pushed::InPlaceOf(shed) | Pushed::Full(shed) => {
                self.telemetry.metrics.shed(Queue::Reads);
                let _ = shed.answer.send(Err(ReadError::Overloaded));
            }
        }
        answered.await.unwrap_or(Err(ReadError::Died))
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.asks.len()
    }

    /// Takes nothing more and waits until those who wait are answered.
    pub async fn stop(&self) {
        self.asks.close();
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

impl Reader {
    /// One read after the other, until nobody can ask any more.
    async fn run(self, waiting: Arc<Inbox<Ask>>) {
        while let Some(first) = waiting.next().await {
            let mut asks = vec![first];
            while asks.len() < READ_ASKERS_MAX
                && let Some(ask) = waiting.pop()
            {
                asks.push(ask);
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
            if batch.is_empty() {
                continue;
            }
            let (tell, told) = oneshot::channel();
            let about = batch.iter().map(|ask| ask.about.clone()).collect();
            let read = self.read(about, tell);
            if let Ok(early) = told.await {
                batch = answer_early(batch, early);
            }
            match read.await {
                Ok((orders, now)) => {
                    for ask in batch {
                        let found = orders.get(&ask.about.key).cloned();
                        let found = found.map_or(Found::Nothing, Found::Order);
                        let _ = ask.answer.send(Ok((found, now)));
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

    /// Begins a read in a task of its own: a bug in there must not end the reader. A read that is
    /// given up closes its connection.
    fn read(
        &self,
        asks: Vec<About>,
        tell: oneshot::Sender<Early>,
    ) -> impl Future<Output = Result<Read, ReadError>> + use<> {
        let (reader, pool) = (self.clone(), self.pool.clone());
        let read = tokio::time::timeout(READ_MAX, async move { reader.snapshot(asks, tell).await });
        let read = self.tasks.spawn(read.in_current_span());
        async move {
            match read.await {
                Ok(Ok(read)) => Ok(read?),
                Ok(Err(_)) => {
                    pool.outdate();
                    Err(ReadError::TimedOut)
                }
                Err(error) => {
                    tracing::error!(%error, "a read died");
                    Err(ReadError::Died)
                }
            }
        }
    }

    async fn snapshot(
        &self,
        asks: Vec<About>,
        tell: oneshot::Sender<Early>,
    ) -> Result<Read, DbError> {
        match self.at_once(&asks).await {
            Ok(Some(read)) => return Ok(read),
            Ok(None) => {}
            // The database has given way to another one, which a new connection may find.
            Err(error) if error.is_of_another_primary() => {}
            Err(error) => return Err(error),
        }
        let mut conn = Snapshot::begin(&self.pool).await?;
        let read = async {
            let now = self.clock.now(&mut conn).await?;
            let outlined = keys_of(asks.iter().filter(|ask| ask.needs_outline()));
            let outlines = outlines::read(&mut conn, &outlined).await?;
            let early: Vec<Option<Found>> = asks.iter().map(|ask| ask.answer(&outlines)).collect();
            let wanted = asks.iter().zip(&early).filter(|(_, early)| early.is_none());
            let wanted = keys_of(wanted.map(|(ask, _)| ask));
            // Who asked may have gone.
            let _ = tell.send((early, now));
            let orders = if wanted.is_empty() {
                HashMap::new()
            } else {
                aggregate::read(&mut conn, &wanted).await?
            };
            let shared = orders
                .into_iter()
                .map(|(key, order)| (key, Arc::new(order)));
            Ok((shared.collect(), now))
        }
        .await;
        conn.end(read).await
    }
}

/// The result of a read, and its moment.
type Read = (HashMap<OrderKey, Arc<Order>>, Timestamp);

impl Reader {
    /// By one statement, where nobody is asked for first and no table needs to be looked at.
    async fn at_once(&self, asks: &[About]) -> Result<Option<Read>, DbError> {
        if asks.iter().any(About::needs_outline) {
            return Ok(None);
        }
        let keys = keys_of(asks.iter());
        let mut conn = self.pool.checkout().await?;
        let gone = conn.gone();
        let read = async {
            let Some((orders, now)) = aggregate::read_at_once(&mut conn, &keys).await? else {
                return Ok(None);
            };
            let now = match self.clock {
                Clock::Database => now,
                clock @ Clock::Manual => clock.now(&mut conn).await?,
            };
            let orders = orders.into_iter();
            let shared = orders.map(|(key, order)| (key, Arc::new(order)));
            Ok(Some((shared.collect(), now)))
        };
        let read = unless_gone(gone, read).await;
        conn.finish_with(read)
    }
}

/// Each once.
fn keys_of<'a>(asks: impl Iterator<Item = &'a About>) -> Vec<OrderKey> {
    let mut keys: Vec<OrderKey> = asks.map(|ask| ask.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Gives the answers that are known before an order is loaded. Those who wait for one are left.
fn answer_early(batch: Vec<Ask>, (early, now): Early) -> Vec<Ask> {
    let mut waiting = Vec::new();
    for (ask, found) in batch.into_iter().zip(early) {
        match found {
            Some(found) => {
                let _ = ask.answer.send(Ok((found, now)));
            }
            None => waiting.push(ask),
        }
    }
    waiting
}
