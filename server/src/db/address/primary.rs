//! Finds the one place of several that takes writes, and remembers it.
//!
//! Each place is asked what it is, and a member of a group proves it: see `session`. So nobody
//! needs to look at the group's own list of members, for which an account needs a grant, and a
//! primary and its replicas without a group are followed as well. A member that is not among the
//! places is not looked for: its name is what it calls itself, and whoever may write that could
//! have the password sent anywhere.
//!
//! While nothing changes a connection goes straight to where the primary was last. When that fails
//! one connection searches and the others wait for what it finds.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::Endpoint;
use super::session::{self, ReplicationState, SessionWaits};
use crate::db::Conn;
use crate::db::error::{DbError, ErrorKind};

/// How long the place where the primary was last is asked alone.
const HEAD_START: Duration = Duration::from_millis(500);
/// How long a place may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long is searched while some place answers that it takes no writes: one that will is being
/// elected.
const ELECTION_MAX: Duration = Duration::from_secs(2);
/// Before a place is asked again.
const ROUND_PAUSE: Duration = Duration::from_millis(50);

/// The knowledge of where the primary is.
#[derive(Debug, Default)]
pub(in crate::db) struct Primary {
    /// The place where it was last.
    last_index: AtomicUsize,
    search: tokio::sync::Mutex<Search>,
    /// Connections that were made before this are not to be used.
    outdated_before: Mutex<Option<std::time::Instant>>,
    /// The last look at it got no answer.
    is_silent: AtomicBool,
    /// When the primary was last found at another place.
    moved_at: watch::Sender<Option<std::time::Instant>>,
}

/// The last search that found nothing.
#[derive(Debug, Default)]
struct Search {
    failed: Option<(Instant, ErrorKind, String)>,
}

impl Primary {
    /// A session with the only place, whatever it is; of several with the one that takes writes.
    pub(super) async fn connect(
        &self,
        endpoints: &[Endpoint],
        waits: SessionWaits,
    ) -> Result<(Conn, ReplicationState), DbError> {
        if let [only] = endpoints {
            return session::begin(only, waits).await;
        }
        let asked_at = Instant::now();
        loop {
            let known = self.last_index.load(Ordering::Relaxed);
            let session = session::begin_at_primary(&endpoints[known], waits);
            if let Ok(Ok(begun)) = timeout(HEAD_START, session).await {
                return Ok(begun);
            }
            let mut search = self.search.lock().await;
            if self.last_index.load(Ordering::Relaxed) != known {
                // Another connection has found it meanwhile.
                continue;
            }
            if let Some((failed_at, kind, message)) = &search.failed
                && *failed_at > asked_at
            {
                let (kind, message) = (*kind, message.clone());
                return Err(DbError::Connect { kind, message });
            }
            match search_all(endpoints, waits).await {
                Ok((found, begun)) => {
                    if found != known {
                        self.last_index.store(found, Ordering::Relaxed);
                        self.outdate_all();
                        let moved_at = Some(std::time::Instant::now());
                        self.moved_at.send_replace(moved_at);
                        tracing::info!(
                            place = endpoints[found].name,
                            "the database has another primary"
                        );
                    }
                    return Ok(begun);
                }
                Err((kind, message)) => {
                    search.failed = Some((Instant::now(), kind, message.clone()));
                    return Err(DbError::Connect { kind, message });
                }
            }
        }
    }

    /// Waits until the primary is found at another place than where a connection that was made then
    /// leads: what is open on that one may never be answered.
    pub(in crate::db) fn moved_after(
        &self,
        made_at: std::time::Instant,
    ) -> impl Future<Output = ()> + Send + use<> {
        let mut moved = self.moved_at.subscribe();
        async move {
            let is_after = |moved_at: &Option<std::time::Instant>| {
                moved_at.is_some_and(|moved_at| moved_at > made_at)
            };
            if moved.wait_for(is_after).await.is_err() {
                // Nobody looks for it any more.
                std::future::pending().await
            }
        }
    }

    /// What the last look at the database came to: none who wait for a connection are a crowd while
    /// those that there are wait for a database that is silent.
    pub(in crate::db) fn set_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }

    pub(in crate::db) fn is_silent(&self) -> bool {
        self.is_silent.load(Ordering::Relaxed)
    }

    /// Whether a connection that was made then is not to be used any more.
    pub(in crate::db) fn is_outdated(&self, made_at: std::time::Instant) -> bool {
        let before = self.outdated_before.lock();
        let before = *before.unwrap_or_else(PoisonError::into_inner);
        before.is_some_and(|before| made_at < before)
    }

    /// A connection that was made then has turned out to lead to no primary: those that were made
    /// before now lead there too. What another one has told already is not told again.
    pub(in crate::db) fn outdate(&self, made_at: std::time::Instant) {
        if !self.is_outdated(made_at) {
            self.outdate_all();
        }
    }

    /// No connection that there is now is to be used any more.
    pub(in crate::db) fn outdate_all(&self) {
        let before = self.outdated_before.lock();
        *before.unwrap_or_else(PoisonError::into_inner) = Some(std::time::Instant::now());
    }
}

/// Asks all places at once. While one may come to take writes, those that have answered are asked
/// again and again, whatever others keep silent.
async fn search_all(
    endpoints: &[Endpoint],
    waits: SessionWaits,
) -> Result<(usize, (Conn, ReplicationState)), (ErrorKind, String)> {
    let begun_at = Instant::now();
    let ask = |index: usize, pause: Duration| async move {
        sleep(pause).await;
        let session = session::begin_at_primary(&endpoints[index], waits);
        let begun = timeout(ANSWER_MAX, session).await;
        let waited_ms = ANSWER_MAX.as_millis();
        let begun = begun.unwrap_or(Err(DbError::TimedOut { waited_ms }));
        (index, begun)
    };
    let first = (0..endpoints.len()).map(|index| ask(index, Duration::ZERO));
    let mut asked: FuturesUnordered<_> = first.collect();
    // Of each place the last one.
    let mut refusals: BTreeMap<usize, DbError> = BTreeMap::new();
    let mut answered = Vec::with_capacity(endpoints.len());
    while let Some((index, begun)) = asked.next().await {
        match begun {
            Ok(begun) => return Ok((index, begun)),
            Err(error) => {
                refusals.insert(index, error);
                answered.push(index);
            }
        }
        let mut kinds = refusals.values().map(DbError::kind);
        let is_elected = kinds.any(|kind| kind == ErrorKind::ReadOnly);
        if is_elected && begun_at.elapsed() < ELECTION_MAX {
            asked.extend(answered.drain(..).map(|index| ask(index, ROUND_PAUSE)));
        }
    }
    let refusals: Vec<(&str, DbError)> = refusals
        .into_iter()
        .map(|(index, error)| (endpoints[index].name.as_str(), error))
        .collect();
    Err(told(&refusals))
}

/// What refusals come to: the kind that is likeliest to pass, and all of their texts.
fn told(refusals: &[(&str, DbError)]) -> (ErrorKind, String) {
    let patience = |kind: ErrorKind| {
        if kind == ErrorKind::ReadOnly {
            0
        } else if kind.is_transient() {
            1
        } else {
            2
        }
    };
    let kinds = refusals.iter().map(|(_, error)| error.kind());
    let kind = kinds.min_by_key(|kind| patience(*kind));
    let texts: Vec<String> = refusals
        .iter()
        .map(|(name, error)| format!("{name}: {error}"))
        .collect();
    let message = format!(
        "no place has a database that takes writes ({})",
        texts.join("; ")
    );
    (kind.unwrap_or(ErrorKind::Unavailable), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: ErrorKind) -> DbError {
        let message = kind.name().to_owned();
        DbError::Connect { kind, message }
    }

    #[test]
    fn a_search_fails_with_what_is_likeliest_to_pass() {
        let of = |kinds: &[ErrorKind]| {
            let refusals: Vec<_> = kinds.iter().map(|kind| ("m", refusal(*kind))).collect();
            told(&refusals).0
        };
        use ErrorKind::{ReadOnly, Statement, Unavailable};
        assert_eq!(of(&[Unavailable, ReadOnly, Statement]), ReadOnly);
        assert_eq!(of(&[Statement, Unavailable]), Unavailable);
        assert_eq!(of(&[Statement, Statement]), Statement);
    }

    #[test]
    fn connections_are_outdated_once_for_what_one_of_them_has_met() {
        let primary = Primary::default();
        let old = std::time::Instant::now();
        assert!(!primary.is_outdated(old));
        primary.outdate(old);
        assert!(primary.is_outdated(old));
        let new = std::time::Instant::now();
        primary.outdate(old);
        assert!(!primary.is_outdated(new), "it was told of the same change");
        primary.outdate(new);
        assert!(primary.is_outdated(new));
    }
}
