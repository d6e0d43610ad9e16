//! The errors of a subscription.

use crate::call_error::CallError;
use crate::error::{BoxError, Error};
use crate::error_reason::ErrorReason;
use crate::model::PartitionPosition;

/// The reason why a watch cannot go on. What passes by itself is none: the subscription reconnects.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::BoxError> {
/// use belay_client::watch::WatchError;
///
/// match store.watch().consumer("search-index").open().await {
///     Ok(subscription) => subscription.close().await?,
///     // Events were missed: build the index anew, and go on with what is kept.
///     Err(WatchError::Expired { .. }) => println!("read all orders again"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The feed no longer holds what comes next: events were missed. Make up for them by lists,
    /// such as [`list_orders`](crate::Store::list_orders). Then watch again with
    /// [`from_oldest`](super::Watch::from_oldest): with another consumer's name or after
    /// [`delete_consumer`](crate::Belay::delete_consumer), or without the token of your checkpoint.
    #[non_exhaustive]
    #[error(
        "events were missed, the feed no longer holds them: read the state by lists, then watch \
         from the oldest event without the stored position ({error})"
    )]
    Expired {
        /// Where the watch was, in the partition that gave its events up. `None` if the server did
        /// not say.
        position: Option<PartitionPosition>,
        /// The oldest position of that partition that is still there.
        oldest_position: Option<i64>,
        /// What the server said.
        error: Error,
    },
    /// Another process under the same consumer's name is ahead: what it has handled must not be
    /// handled by this one too. Let one process watch under one name.
    #[error("another process under the same consumer's name is ahead: {0}")]
    Behind(Error),
    /// The caller's [`Checkpoint`](super::Checkpoint) failed.
    #[error("the checkpoint failed: {0}")]
    Checkpoint(#[source] BoxError),
    /// A call failed for a reason that does not pass by itself, such as `ResumeTokenInvalid` where
    /// the filter is not that of the stored position, or did not succeed in the time for opening.
    #[error(transparent)]
    Call(Error),
}

impl<C> From<CallError<C>> for WatchError {
    fn from(error: CallError<C>) -> Self {
        error.into_error().into()
    }
}

impl From<Error> for WatchError {
    fn from(error: Error) -> Self {
        if error.has_reason(&ErrorReason::PositionBehind) {
            return Self::Behind(error);
        }
        if !error.has_reason(&ErrorReason::PositionExpired) {
            return Self::Call(error);
        }
        let fact = |key: &str| error.metadata().get(key)?.parse::<i64>().ok();
        let partition = fact("partition").and_then(|partition| i32::try_from(partition).ok());
        let position = partition
            .zip(fact("position"))
            .map(|(partition, position)| PartitionPosition::new(partition, position));
        Self::Expired {
            position,
            oldest_position: fact("oldest_position"),
            error,
        }
    }
}
