//! The session of a call: what its caller was let in with, for as long as that counts.

use std::time::Duration;

use belay_domain::scope::Caller;
use futures_util::future::{FutureExt as _, select_all};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A caller that was let in, and until when.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) caller: Caller,
    pub(crate) session: Session,
}

impl Login {
    /// Of a caller that is believed, and not known by anything that could end.
    pub(super) fn believed(caller: Caller) -> Self {
        Self {
            caller,
            session: Session::default(),
        }
    }
}

/// The session of a call: it ends when one of the caller's credentials is withdrawn, lets it see
/// less, or expires.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    withdrawn: Vec<CancellationToken>,
    expires: Option<Instant>,
}

impl Session {
    pub(crate) fn of(withdrawn: Vec<CancellationToken>, expires: Option<Instant>) -> Self {
        Self { withdrawn, expires }
    }

    /// Returns when the session is over; never where it has no end.
    pub(crate) async fn over(self) {
        let withdrawn = self
            .withdrawn
            .into_iter()
            .map(|token| token.cancelled_owned().boxed());
        let withdrawn: Vec<_> = withdrawn.collect();
        let any_withdrawn = async {
            if withdrawn.is_empty() {
                std::future::pending::<()>().await;
            }
            select_all(withdrawn).await;
        };
        let expired = async {
            match self.expires {
                Some(expires) => tokio::time::sleep_until(expires).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = any_withdrawn => {}
            () = expired => {}
        }
    }
}

/// When it is this time by the wall clock; none where that is too far off to be waited for.
pub(super) fn instant(at: Timestamp, now: Timestamp) -> Option<Instant> {
    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    Instant::now().checked_add(left)
}
