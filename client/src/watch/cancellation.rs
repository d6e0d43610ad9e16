//! Waiting for a cancellation to be decided.

use std::future::IntoFuture as _;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{timeout, timeout_at};

use super::error::WatchError;
use super::subscription::Subscription;
use crate::argument_errors::ArgumentErrors;
use crate::error::Error;
use crate::ids::{CancellationId, IntoId};
use crate::model::{Cancellation, CancellationState};
use crate::retry::after;
use crate::store::Store;

/// The time after which the cancellation is read although no event came: the feed may be out of
/// reach where reads are not.
const READ_FIRST: Duration = Duration::from_millis(500);
/// And from then on.
const READ_EVERY: Duration = Duration::from_secs(5);
/// The largest number of waits of one client that watch at a time: a proxy may take as few as a
/// hundred streams of a connection, which subscriptions want too.
pub(crate) const WATCHING_MAX: usize = 32;

/// The reason why a wait for a cancellation ended without one that is decided.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// The time is over, and nothing is decided. The cancellation goes on.
    #[non_exhaustive]
    #[error("the time is over: {}", said(last.as_deref()))]
    TimedOut {
        /// The cancellation as it was read last. `None` if it could not be read.
        last: Option<Box<Cancellation>>,
    },
    /// The cancellation cannot be read.
    #[error(transparent)]
    Call(#[from] Error),
}

fn said(last: Option<&Cancellation>) -> String {
    match last {
        Some(cancellation) => {
            let Cancellation {
                cancellation_id,
                state,
                ..
            } = cancellation;
            format!("{cancellation_id} was {state} when it was read last")
        }
        None => "the cancellation could not be read".to_owned(),
    }
}

/// # Watching
impl Store {
    /// Waits until a cancellation is no longer pending, for this long at most, and returns it as it
    /// is then: completed, rejected, withdrawn, or in a state that this version does not know.
    ///
    /// It watches the order's events before it reads the cancellation, so that a decision in
    /// between is not missed. Where the feed cannot be watched it reads every 5 seconds; so do the
    /// waits beyond 32 at a time of one client, which share its connections. The future may be
    /// dropped at any time.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] has the cancellation as it was read last. Fails with
    /// `OrderNotFound`, `CancellationNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::watch::WaitError> {
    /// use std::time::Duration;
    /// use belay_client::watch::WaitError;
    ///
    /// match store.wait_for_cancellation("A-1:c1", Duration::from_secs(60)).await {
    ///     Ok(cancellation) => println!("{}: {:?}", cancellation.state, cancellation.outcome),
    ///     Err(WaitError::TimedOut { last, .. }) => println!("the warehouse has not answered: {last:?}"),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_for_cancellation(
        &self,
        cancellation_id: impl IntoId<CancellationId>,
        time: Duration,
    ) -> Result<Cancellation, WaitError> {
        let mut errors = ArgumentErrors::default();
        let id = errors.id("cancellation_id", cancellation_id);
        if !errors.0.is_empty() {
            return Err(WaitError::Call(Error::invalid(errors.0)));
        }
        let (id, mut last) = (CancellationId::unchecked(id), None);
        match timeout_at(after(time), self.until_decided(&id, &mut last)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(WaitError::TimedOut {
                last: last.map(Box::new),
            }),
        }
    }

    async fn until_decided(
        &self,
        id: &CancellationId,
        last: &mut Option<Cancellation>,
    ) -> Result<Cancellation, Error> {
        let stream = self.belay.link().watching.try_acquire();
        let mut events = if stream.is_ok() {
            // The wait as a whole has a time: nothing else ends the attempts to open.
            let watch = self.watch().order_id(id.order_id()).timeout(Duration::MAX);
            Events::Opening(watch.into_future())
        } else {
            Events::None
        };
        // A feed that cannot be opened now holds up the first read for a moment only.
        let mut wait = READ_FIRST;
        loop {
            let _ = timeout(std::mem::replace(&mut wait, READ_EVERY), events.moved()).await;
            match self.get_cancellation(id).await {
                Ok(found) if found.cancellation.state != CancellationState::Pending => {
                    return Ok(found.cancellation);
                }
                Ok(found) => *last = Some(found.cancellation),
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The events of one order, as far as they can be had.
enum Events {
    Opening(Pin<Box<dyn Future<Output = Result<Subscription, WatchError>> + Send>>),
    Open(Box<Subscription>),
    None,
}

impl Events {
    /// Waits until there is a reason to read: the watch has begun or ended, or something happened
    /// to the order. The future may be dropped at any time.
    async fn moved(&mut self) {
        match self {
            Self::Opening(opening) => {
                *self = match opening.await {
                    Ok(subscription) => Self::Open(Box::new(subscription)),
                    Err(_) => Self::None,
                };
            }
            Self::Open(subscription) => match subscription.try_next().await {
                Ok(Some(delivered)) => delivered.ack(),
                Ok(None) | Err(_) => *self = Self::None,
            },
            Self::None => std::future::pending().await,
        }
    }
}
