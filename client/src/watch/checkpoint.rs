//! The checkpoint: where the position behind what is handled is kept, and when it is saved there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use super::error::WatchError;
use crate::belay::Belay;
use crate::error::BoxError;
use crate::error_reason::ErrorReason;
use crate::ids::{ConsumerId, ResumeToken, StoreId};
use crate::retry::{Backoff, after};

/// A place of the caller's own that keeps how far a watch is, such as a table beside the data that
/// the events change. (For a place on the server see [`Watch::consumer`](super::Watch::consumer).)
///
/// `save` is never called twice at once by one subscription, and never with an older position than
/// before. An error ends the watch: what passes by itself is for the implementation to repeat.
///
/// ```no_run
/// use belay_client::watch::Checkpoint;
/// use belay_client::{BoxError, ResumeToken};
///
/// /// One file; whoever writes it elsewhere first and renames it loses nothing in a power cut.
/// struct File(std::path::PathBuf);
///
/// impl Checkpoint for File {
///     async fn load(&self) -> Result<Option<ResumeToken>, BoxError> {
///         match std::fs::read_to_string(&self.0) {
///             Ok(token) => Ok(Some(token.into())),
///             Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
///             Err(error) => Err(error.into()),
///         }
///     }
///
///     async fn save(&self, token: &ResumeToken) -> Result<(), BoxError> {
///         Ok(std::fs::write(&self.0, token.as_str())?)
///     }
/// }
///
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::watch::WatchError> {
/// let subscription = store.watch().checkpoint(File("position".into())).open().await?;
/// # subscription.close().await
/// # }
/// ```
pub trait Checkpoint: Send + Sync {
    /// The token that was saved last. `None` if none ever was: then the watch begins where its
    /// builder says.
    fn load(&self) -> impl Future<Output = Result<Option<ResumeToken>, BoxError>> + Send;

    /// Saves a token over the one before.
    fn save(&self, token: &ResumeToken) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// A save or a load under way. It is owned, so that it outlives a wait that is given up.
type Work<T> = Pin<Box<dyn Future<Output = Result<T, WatchError>> + Send>>;

/// A [`Checkpoint`] of whatever type.
pub(super) trait AnyCheckpoint: Send + Sync {
    fn load(self: Arc<Self>) -> Work<Option<ResumeToken>>;
    fn save(self: Arc<Self>, token: ResumeToken) -> Work<()>;
}

impl<C: Checkpoint + 'static> AnyCheckpoint for C {
    fn load(self: Arc<Self>) -> Work<Option<ResumeToken>> {
        Box::pin(async move { C::load(&self).await.map_err(WatchError::Checkpoint) })
    }

    fn save(self: Arc<Self>, token: ResumeToken) -> Work<()> {
        Box::pin(async move { C::save(&self, &token).await.map_err(WatchError::Checkpoint) })
    }
}

/// The keeper of the position.
#[derive(Clone)]
pub(super) enum Keeper {
    /// The server, under a name.
    Consumer(NamedConsumer),
    /// The caller.
    Own(Arc<dyn AnyCheckpoint>),
}

/// A consumer by name and store.
#[derive(Clone)]
pub(super) struct NamedConsumer {
    pub(super) belay: Belay,
    pub(super) id: ConsumerId,
    pub(super) store_id: Option<StoreId>,
}

impl Keeper {
    pub(super) fn load(&self) -> Work<Option<ResumeToken>> {
        match self {
            Self::Own(checkpoint) => Arc::clone(checkpoint).load(),
            Self::Consumer(consumer) => {
                let NamedConsumer {
                    belay,
                    id,
                    store_id,
                } = consumer;
                let mut call = belay.get_consumer(id);
                if let Some(store_id) = store_id {
                    call = call.store_id(store_id);
                }
                Box::pin(async move {
                    match call.await {
                        Ok(consumer) => Ok(Some(consumer.resume_token)),
                        Err(error) if error.has_reason(&ErrorReason::ConsumerNotFound) => Ok(None),
                        Err(error) => Err(error.into()),
                    }
                })
            }
        }
    }

    fn save(&self, token: ResumeToken) -> Work<()> {
        match self {
            Self::Own(checkpoint) => Arc::clone(checkpoint).save(token),
            Self::Consumer(consumer) => {
                let NamedConsumer {
                    belay,
                    id,
                    store_id,
                } = consumer;
                let mut call = belay.commit_position(id, token);
                if let Some(store_id) = store_id {
                    call = call.store_id(store_id);
                }
                Box::pin(async move { Ok(call.await.map(drop)?) })
            }
        }
    }
}

/// The task that saves the position now and then, one save at a time.
pub(super) struct Saver {
    keeper: Keeper,
    every: Duration,
    saved: Option<ResumeToken>,
    under_way: Option<(ResumeToken, Work<()>)>,
    /// Whether somebody waits for that save.
    is_flushed: bool,
    /// Not before.
    timer: Pin<Box<Sleep>>,
    backoff: Backoff,
}

impl Saver {
    pub(super) fn new(
        keeper: Keeper,
        saved: Option<ResumeToken>,
        every: Duration,
        backoff: Backoff,
    ) -> Self {
        Self {
            keeper,
            every,
            saved,
            under_way: None,
            is_flushed: false,
            timer: Box::pin(sleep_until(Instant::now())),
            backoff,
        }
    }

    /// Goes on with saving a position. Pending where there is nothing to do now.
    ///
    /// Fails with what does not pass by itself; a call that failed otherwise is made again later.
    pub(super) fn poll_save(
        &mut self,
        position: Option<&ResumeToken>,
        cx: &mut Context<'_>,
    ) -> Poll<WatchError> {
        loop {
            if self.under_way.is_some() {
                match ready!(self.poll_under_way(cx)) {
                    Ok(()) => {}
                    Err(WatchError::Call(error)) if error.is_transient() => {
                        let delay = self.backoff.next_delay(error.retry_after());
                        self.timer.as_mut().reset(after(delay));
                    }
                    Err(error) => return Poll::Ready(error),
                }
            }
            let Some(unsaved) = self.unsaved(position) else {
                return Poll::Pending;
            };
            ready!(self.timer.as_mut().poll(cx));
            self.begin(unsaved);
        }
    }

    /// Saves a position at once, behind what is under way.
    pub(super) fn poll_flush(
        &mut self,
        position: Option<&ResumeToken>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), WatchError>> {
        loop {
            if self.under_way.is_some() {
                match ready!(self.poll_under_way(cx)) {
                    // It was begun before. This one has attempts of its own.
                    Err(WatchError::Call(error)) if error.is_transient() && !self.is_flushed => {}
                    outcome => outcome?,
                }
            }
            let Some(unsaved) = self.unsaved(position) else {
                return Poll::Ready(Ok(()));
            };
            self.begin(unsaved);
            self.is_flushed = true;
        }
    }

    fn unsaved(&self, position: Option<&ResumeToken>) -> Option<ResumeToken> {
        position
            .filter(|position| self.saved.as_ref() != Some(*position))
            .cloned()
    }

    fn begin(&mut self, token: ResumeToken) {
        let work = self.keeper.save(token.clone());
        self.under_way = Some((token, work));
        self.is_flushed = false;
    }

    fn poll_under_way(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WatchError>> {
        let Some((_, work)) = &mut self.under_way else {
            return Poll::Ready(Ok(()));
        };
        let outcome = ready!(work.as_mut().poll(cx));
        let token = self.under_way.take().map(|(token, _)| token);
        if outcome.is_ok() {
            self.saved = token;
            self.backoff.reset();
            self.timer.as_mut().reset(after(self.every));
        }
        Poll::Ready(outcome)
    }
}
