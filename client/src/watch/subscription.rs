//! A watch under way: deliveries, acknowledgements and checkpoints over one feed.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use tokio::time::{Sleep, sleep_until};

use super::checkpoint::Saver;
use super::error::WatchError;
use super::feed::Feed;
use super::ledger::{Delivered, Ledger};
use super::progress::Received;
use crate::ids::ResumeToken;
use crate::retry::{Backoff, after};

/// A watch under way. Opened by [`Watch::open`](super::Watch::open).
///
/// It is a [`Stream`]; [`try_next`](Self::try_next) reads it without that trait. It starts no task:
/// it reads, reconnects and saves while somebody waits for its next delivery, and to drop it stops
/// all of that. Every wait may be given up, as `select!` does: what is under way is kept, and
/// nothing is lost or delivered twice.
///
/// While the caller takes nothing for 30 seconds the server may end the stream; the subscription
/// reconnects then. It delivers nothing more while 256 deliveries follow one that is not
/// acknowledged.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::BoxError> {
/// # async fn handle(_: &belay_client::model::Event) -> Result<(), belay_client::BoxError> { Ok(()) }
/// let mut subscription = store.watch().consumer("search-index").from_oldest().open().await?;
/// loop {
///     tokio::select! {
///         delivered = subscription.try_next() => {
///             let Some(delivered) = delivered? else { break };
///             for event in delivered.events() {
///                 handle(event).await?;
///             }
///             delivered.ack();
///         }
///         _ = tokio::signal::ctrl_c() => break,
///     }
/// }
/// subscription.close().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a subscription does nothing until it is polled"]
pub struct Subscription {
    feed: Feed,
    ledger: Arc<Ledger>,
    saver: Option<Saver>,
    /// What came before anybody waited.
    first: Option<Delivered>,
    pause: Pause,
    has_ended: bool,
}

/// The pause before what was dropped is delivered again.
struct Pause {
    timer: Option<Pin<Box<Sleep>>>,
    backoff: Backoff,
    /// How many deliveries were acknowledged before the last pause.
    acknowledged: u64,
}

impl Subscription {
    pub(super) fn new(
        feed: Feed,
        position: Option<ResumeToken>,
        saver: Option<Saver>,
        backoff: Backoff,
    ) -> Self {
        Self {
            feed,
            ledger: Arc::new(Ledger::behind(position)),
            saver,
            first: None,
            pause: Pause {
                timer: None,
                backoff,
                acknowledged: 0,
            },
            has_ended: false,
        }
    }

    /// The next delivery. Waits for as long as there is none, over any number of reconnects. `None`
    /// once it has ended, which it does only by an error.
    ///
    /// The future may be dropped at any time: nothing is lost, and nothing that is under way is
    /// given up.
    ///
    /// # Errors
    /// [`WatchError`], once. Acknowledgements may still come in, and be [closed](Self::close).
    pub async fn try_next(&mut self) -> Result<Option<Delivered>, WatchError> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx))
            .await
            .transpose()
    }

    /// The token behind everything that is acknowledged without a gap. `None` before the first
    /// message.
    ///
    /// ```no_run
    /// # fn example(subscription: belay_client::watch::Subscription) {
    /// if let Some(token) = subscription.position() {
    ///     println!("to go on from: {token}");
    /// }
    /// # }
    /// ```
    pub fn position(&self) -> Option<ResumeToken> {
        self.ledger.position()
    }

    /// Saves the checkpoint now, unless it is saved already. Does nothing without a consumer or
    /// checkpoint. The future may be dropped at any time; a save that is under way goes on with the
    /// next wait.
    ///
    /// # Errors
    /// As [`try_next`](Self::try_next); and where the server cannot be reached in the time of a
    /// call.
    ///
    /// ```no_run
    /// # async fn example(mut subscription: belay_client::watch::Subscription) -> Result<(), belay_client::watch::WatchError> {
    /// subscription.flush().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn flush(&mut self) -> Result<(), WatchError> {
        poll_fn(|cx| match &mut self.saver {
            Some(saver) => saver.poll_flush(self.ledger.position().as_ref(), cx),
            None => Poll::Ready(Ok(())),
        })
        .await
    }

    /// Ends the watch and saves the checkpoint. What is not acknowledged comes again to whoever
    /// goes on.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn close(mut self) -> Result<(), WatchError> {
        self.flush().await
    }

    /// Waits for the point of the feed from which the watch sees everything.
    pub(super) async fn begin(&mut self) -> Result<(), WatchError> {
        let first = poll_fn(|cx| self.feed.poll_batch(cx)).await?;
        self.first = self.receive(first);
        Ok(())
    }

    /// The error of the last attempt to open a stream.
    pub(super) fn take_last_error(&mut self) -> Option<crate::Error> {
        self.feed.take_last_error()
    }

    fn poll_delivered(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivered, WatchError>> {
        // Before the ledger is looked at: an acknowledgement after that wakes.
        self.ledger.waiting().register(cx.waker());
        loop {
            if let Some(saver) = &mut self.saver
                && let Poll::Ready(error) = saver.poll_save(self.ledger.position().as_ref(), cx)
            {
                return Poll::Ready(Err(error));
            }
            if let Some(first) = self.first.take() {
                return Poll::Ready(Ok(first));
            }
            if self.ledger.has_returned() {
                ready!(self.pause.poll(self.ledger.acknowledged(), cx));
                if let Some(delivered) = self.ledger.deliver_again() {
                    return Poll::Ready(Ok(delivered));
                }
            }
            if self.ledger.is_full() {
                return Poll::Pending;
            }
            let batch = ready!(self.feed.poll_batch(cx))?;
            if let Some(delivered) = self.receive(batch) {
                return Poll::Ready(Ok(delivered));
            }
        }
    }

    /// A delivery of a batch. One without events is passed.
    fn receive(&mut self, received: Received) -> Option<Delivered> {
        if received.events.is_empty() {
            self.ledger.pass(received.token);
            return None;
        }
        Some(self.ledger.deliver(received))
    }
}

impl Pause {
    fn poll(&mut self, acknowledged: u64, cx: &mut Context<'_>) -> Poll<()> {
        let Self { timer, backoff, .. } = self;
        if timer.is_none() && acknowledged != self.acknowledged {
            backoff.reset();
            self.acknowledged = acknowledged;
        }
        let waiting =
            timer.get_or_insert_with(|| Box::pin(sleep_until(after(backoff.next_delay(None)))));
        ready!(waiting.as_mut().poll(cx));
        *timer = None;
        Poll::Ready(())
    }
}

impl Stream for Subscription {
    type Item = Result<Delivered, WatchError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        let delivered = ready!(this.poll_delivered(cx));
        this.has_ended = delivered.is_err();
        Poll::Ready(Some(delivered))
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("position", &self.position())
            .finish_non_exhaustive()
    }
}
