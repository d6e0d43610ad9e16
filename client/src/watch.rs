//! Watching: the feed as a subscription that keeps itself going, and helpers on top of it.
//!
//! [`watch_events`](crate::Belay::watch_events) opens one stream of the feed, which ends after half
//! an hour, with its server, and with its connection. A [`Subscription`] lasts: it reconnects
//! behind the last batch, drops what comes twice, and keeps how far its caller is.
//!
//! - [`Store::watch`] and [`Belay::watch`]: typed events with [`ack`](Delivered::ack).
//! - [`Store::wait_for_cancellation`]: until a cancellation is decided.
//! - [`Store::stops_for`]: what a warehouse is asked to stop.
//!
//! ```no_run
//! # async fn example(store: belay_client::Store) -> Result<(), belay_client::watch::WatchError> {
//! use belay_client::model::EventType;
//!
//! let watch = store.watch().event_types([EventType::CancellationCompleted]).consumer("mailer");
//! let mut subscription = watch.open().await?;
//! while let Some(delivered) = subscription.try_next().await? {
//!     for event in delivered.events() {
//!         println!("tell the buyer of {}", event.order_id);
//!     }
//!     delivered.ack();
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//! - Events of an order come in their order. Those of one command come in one delivery.
//! - No event that matches is skipped. One that is not acknowledged when the process ends comes
//!   again to whoever goes on from the checkpoint: handle each so that a second time changes
//!   nothing.
//! - Within one subscription no event is delivered twice, unless its delivery was dropped without
//!   `ack`.
//! - A checkpoint lies between deliveries, never within one.

mod cancellation;
mod checkpoint;
mod error;
mod feed;
mod ledger;
mod progress;
mod stops;
mod subscription;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep_until, timeout_at};

pub(crate) use self::cancellation::WATCHING_MAX;
pub use self::cancellation::WaitError;
pub use self::checkpoint::Checkpoint;
use self::checkpoint::{AnyCheckpoint, Keeper, NamedConsumer, Saver};
pub use self::error::WatchError;
use self::feed::{Feed, Messages, OpenStream};
pub use self::ledger::Delivered;
pub use self::stops::{Stop, Stops};
pub use self::subscription::Subscription;
use crate::belay::Belay;
use crate::calls::{WatchEvents, filter_setters};
use crate::error::Error;
use crate::ids::{
    CarrierId, ConsumerId, IntoId, OrderId, ResumeToken, SellerId, StoreId, WarehouseId,
};
use crate::model::{EventType, PartitionPosition};
use crate::retry::{Backoff, after};
use crate::store::Store;

/// The silence after which a connection is given up. The server sends a bookmark every 10 seconds.
const HEARTBEAT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// The time between two saves of the checkpoint.
const CHECKPOINT_EVERY_DEFAULT: Duration = Duration::from_secs(1);
/// The delay before the first attempt to reconnect, and the longest.
const DELAY_FIRST: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(15);

/// # Watching
impl Belay {
    /// A watch of all stores in the caller's scope: see [`Store::watch`].
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::watch::WatchError> {
    /// let mut subscription = belay.watch().consumer("search-index").from_oldest().await?;
    /// while let Some(delivered) = subscription.try_next().await? {
    ///     println!("{} events", delivered.events().len());
    ///     delivered.ack();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self) -> Watch {
        Watch::new(self, None, self.watch_events())
    }
}

/// # Watching
impl Store {
    /// A watch of this store's events: from now on, or from where its consumer or checkpoint is.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::watch::WatchError> {
    /// use belay_client::model::EventType;
    ///
    /// let mut refunds = store.watch().event_types([EventType::RefundCreated]).consumer("ledger").await?;
    /// while let Some(delivered) = refunds.try_next().await? {
    ///     for event in delivered.events() {
    ///         println!("{} {:?}", event.order_id, event.detail);
    ///     }
    ///     delivered.ack();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self) -> Watch {
        let (store_id, mut errors) = self.begin();
        let store_id = StoreId::unchecked(store_id);
        let mut call = self.belay.watch_events();
        std::mem::swap(&mut call.0.errors, &mut errors);
        if call.0.errors.0.is_empty() {
            call = call.store_id(&store_id);
        }
        Watch::new(&self.belay, Some(store_id), call)
    }
}

/// A watch to be opened. Made by [`Store::watch`] and [`Belay::watch`].
///
/// Where it begins, in this order: behind the position of its consumer or checkpoint; where a
/// setter says; now.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::watch::WatchError> {
/// use std::time::Duration;
/// use belay_client::model::EventType;
///
/// let watch = store
///     .watch()
///     .seller_ids(["acme"])
///     .event_types([EventType::CancellationRequested, EventType::PartEnded])
///     .from_oldest()
///     .consumer("acme-dashboard")
///     .checkpoint_every(Duration::from_secs(5))
///     .heartbeat_timeout(Duration::from_secs(25));
/// let subscription = watch.open().await?;
/// # subscription.close().await
/// # }
/// ```
#[must_use = "a watch does nothing until it is awaited or opened"]
#[derive(Clone)]
pub struct Watch {
    belay: Belay,
    store_id: Option<StoreId>,
    call: WatchEvents,
    keeper: Option<Keeper>,
    heartbeat_timeout: Duration,
    checkpoint_every: Duration,
    delay_first: Duration,
    delay_max: Duration,
    timeout: Duration,
}

impl Watch {
    filter_setters!(call.0);

    fn new(belay: &Belay, store_id: Option<StoreId>, call: WatchEvents) -> Self {
        Self {
            belay: belay.clone(),
            store_id,
            call,
            keeper: None,
            heartbeat_timeout: HEARTBEAT_TIMEOUT_DEFAULT,
            checkpoint_every: CHECKPOINT_EVERY_DEFAULT,
            delay_first: DELAY_FIRST,
            delay_max: DELAY_MAX,
            timeout: belay.link().timeout,
        }
    }

    /// Begins with the oldest event that is kept, unless a consumer or checkpoint has a position.
    pub fn from_oldest(mut self) -> Self {
        self.call = self.call.from_oldest();
        self
    }

    /// Begins behind the delivery of this token, which was given out for the same filter, unless a
    /// consumer or checkpoint has a position.
    pub fn resume_token(mut self, token: impl Into<ResumeToken>) -> Self {
        self.call = self.call.resume_token(token);
        self
    }

    /// Begins behind these positions, unless a consumer or checkpoint has one. Partitions without
    /// one begin with their oldest event.
    pub fn positions(mut self, positions: impl IntoIterator<Item = PartitionPosition>) -> Self {
        self.call = self.call.positions(positions);
        self
    }

    /// Keeps the position on the server, under a name of this caller's
    /// ([`commit_position`](Belay::commit_position)). One process may watch under a name at a time:
    /// one that finds another ahead of it ends with [`WatchError::Behind`]. The filter belongs to
    /// the name: with another filter take another name.
    pub fn consumer(mut self, consumer_id: impl IntoId<ConsumerId>) -> Self {
        let id = self.call.0.errors.id("consumer_id", consumer_id);
        self.keeper = Some(Keeper::Consumer(NamedConsumer {
            belay: self.belay.clone(),
            id: ConsumerId::unchecked(id),
            store_id: self.store_id.clone(),
        }));
        self
    }

    /// Keeps the position in a place of the caller's own, instead of a
    /// [`consumer`](Self::consumer).
    pub fn checkpoint(mut self, checkpoint: impl Checkpoint + 'static) -> Self {
        let checkpoint: Arc<dyn AnyCheckpoint> = Arc::new(checkpoint);
        self.keeper = Some(Keeper::Own(checkpoint));
        self
    }

    /// The time between two saves of the position: 1 second unless set. What is handled in between
    /// comes again after a crash. Zero: a save follows every acknowledgement as soon as the one
    /// before is done.
    pub fn checkpoint_every(mut self, every: Duration) -> Self {
        self.checkpoint_every = every;
        self
    }

    /// The silence after which a connection is given up: 30 seconds unless set. The server sends
    /// something every 10 seconds at least, so less than that reconnects for nothing.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// The delay before the first attempt to reconnect, and the longest: 100 milliseconds and 15
    /// seconds unless set. The delay doubles with each attempt, a random part of up to the same
    /// length is added, and so is what the server asks for. It begins anew with the next events.
    /// What was dropped without an acknowledgement comes again after such delays too.
    pub fn reconnect_delays(mut self, delay_first: Duration, delay_max: Duration) -> Self {
        self.delay_first = delay_first;
        self.delay_max = delay_max;
        self
    }

    /// The time to open the watch in, instead of the client's time-out. An open watch has none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Opens the watch: reads its position, connects, and waits for the point of the feed that it
    /// begins at. What is committed after this is delivered: where its consumer or checkpoint has
    /// no position yet, this one is saved before, so that it is delivered after a crash too.
    /// Attempts that fail in a way that passes by itself are repeated within the time-out. To await
    /// the watch does the same.
    ///
    /// # Errors
    /// [`WatchError`] says what went wrong.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::watch::WatchError> {
    /// let subscription = store.watch().order_id("A-1").open().await?;
    /// // What happens to the order from here on is not missed.
    /// let order = store.get_order("A-1").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(self) -> Result<Subscription, WatchError> {
        let deadline = after(self.timeout);
        let open = self.open_stream();
        self.open_with(open, deadline).await
    }

    fn open_stream(&self) -> OpenStream {
        let call = self.call.clone();
        Box::new(move |token| {
            let call = match token {
                Some(token) => call.clone().resume_token(token),
                None => call.clone(),
            };
            Box::pin(async move {
                let messages: Messages = Box::pin(call.open().await?);
                Ok(messages)
            })
        })
    }

    async fn open_with(
        self,
        open: OpenStream,
        deadline: Instant,
    ) -> Result<Subscription, WatchError> {
        if !self.call.0.errors.0.is_empty() {
            return Err(WatchError::Call(Error::invalid(self.call.0.errors.0)));
        }
        let backoff = || Backoff::new(self.delay_first, self.delay_max);
        let position = match &self.keeper {
            Some(keeper) => load(keeper, backoff(), deadline).await?,
            None => None,
        };
        let is_new = position.is_none();
        let saver = self
            .keeper
            .map(|keeper| Saver::new(keeper, position.clone(), self.checkpoint_every, backoff()));
        let feed = Feed::new(open, position.clone(), self.heartbeat_timeout, backoff());
        let mut subscription = Subscription::new(feed, position, saver, backoff());
        match timeout_at(deadline, subscription.begin()).await {
            Ok(begun) => begun?,
            Err(_) => {
                let last = subscription.take_last_error();
                let error = last.unwrap_or_else(Error::deadline_exceeded);
                return Err(WatchError::Call(error));
            }
        }
        if is_new {
            save_first(&mut subscription, backoff(), deadline).await?;
        }
        Ok(subscription)
    }
}

/// Loads the position, again after what passes by itself.
async fn load(
    keeper: &Keeper,
    mut backoff: Backoff,
    deadline: Instant,
) -> Result<Option<ResumeToken>, WatchError> {
    loop {
        let loaded = timeout_at(deadline, keeper.load()).await;
        if let Some(position) = done(loaded, &mut backoff, deadline).await? {
            return Ok(position);
        }
    }
}

/// Saves where the watch begins, again after what passes by itself: what comes from here on is not
/// missed, even if nothing is read before a crash.
async fn save_first(
    subscription: &mut Subscription,
    mut backoff: Backoff,
    deadline: Instant,
) -> Result<(), WatchError> {
    loop {
        let saved = timeout_at(deadline, subscription.flush()).await;
        if let Some(()) = done(saved, &mut backoff, deadline).await? {
            return Ok(());
        }
    }
}

/// What an attempt gave. None, after a delay, where another may give more.
async fn done<T>(
    attempt: Result<Result<T, WatchError>, Elapsed>,
    backoff: &mut Backoff,
    deadline: Instant,
) -> Result<Option<T>, WatchError> {
    let error = match attempt {
        Ok(Err(WatchError::Call(error))) if error.is_transient() => error,
        Ok(outcome) => return outcome.map(Some),
        Err(_) => return Err(WatchError::Call(Error::deadline_exceeded())),
    };
    let again = after(backoff.next_delay(error.retry_after()));
    if again >= deadline {
        return Err(WatchError::Call(error));
    }
    sleep_until(again).await;
    Ok(None)
}

impl IntoFuture for Watch {
    type Output = Result<Subscription, WatchError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// Of the filter alone; tokens belong in no log.
impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.call).finish()
    }
}
