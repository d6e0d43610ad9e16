//! Bounds on the server's memory that one connection may hold, and all together: requests on their
//! way in, answers on their way out, and calls that have no end of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes of requests at once, over all connections.
pub const REQUEST_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// Bytes of answers that wait for their callers, over all connections.
pub const ANSWER_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// What a call counts for beside its bytes, until it is answered: its stream, its task and the room
/// that reads of it, roughly. A caller who sends headers alone has all of these.
pub const CALL_BYTES: usize = 8 * 1024;
/// One connection may hold this part of what all may.
const CONNECTION_PART: usize = 4;
/// Calls of health and reflection at once on a connection: their streams have no end of their own,
/// and whoever reaches the port may open them. A number over all connections would let a stranger
/// use it up, and keep a balancer from asking.
pub const CONNECTION_STANDARD_CALLS_MAX: usize = 16;
/// From the first byte of a call to the last of its message.
pub const BODY_MAX: Duration = Duration::from_secs(10);

/// The bounds of one port.
#[derive(Debug, Clone, Copy)]
pub struct BoundSettings {
    /// See [`REQUEST_BYTES_DEFAULT`].
    pub request_bytes: usize,
    /// See [`ANSWER_BYTES_DEFAULT`].
    pub answer_bytes: usize,
    /// See [`BODY_MAX`]; less or more only for tests.
    pub body_max: Duration,
}

impl Default for BoundSettings {
    fn default() -> Self {
        Self {
            request_bytes: REQUEST_BYTES_DEFAULT,
            answer_bytes: ANSWER_BYTES_DEFAULT,
            body_max: BODY_MAX,
        }
    }
}

/// A number of things that may be held at once, as a part of another such number or not. Cloning it
/// shares it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<BudgetInner>);

#[derive(Debug)]
struct BudgetInner {
    held: AtomicUsize,
    max: usize,
    whole: Option<Budget>,
}

impl Budget {
    pub(crate) fn new(max: usize) -> Self {
        Self::within(max, None)
    }

    /// A part: what is held of it is held of the whole.
    fn part(&self, max: usize) -> Self {
        Self::within(max, Some(self.clone()))
    }

    fn within(max: usize, whole: Option<Budget>) -> Self {
        Self(Arc::new(BudgetInner {
            held: AtomicUsize::new(0),
            max,
            whole,
        }))
    }

    pub(crate) fn held(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// None where that is more than there may be.
    pub(crate) fn try_hold(&self, amount: usize) -> Option<Held> {
        let held = self.hold(0);
        held.grow(amount).then_some(held)
    }

    /// Whatever there may be.
    pub(super) fn hold(&self, amount: usize) -> Held {
        self.add(amount);
        Held {
            budget: self.clone(),
            amount: AtomicUsize::new(amount),
        }
    }

    /// Whether there is as much here as there may be, whatever there is in the whole.
    pub(super) fn is_full(&self) -> bool {
        self.held() >= self.0.max
    }

    fn is_over(&self) -> bool {
        self.held() > self.0.max || self.0.whole.as_ref().is_some_and(Budget::is_over)
    }

    fn add(&self, amount: usize) {
        self.0.held.fetch_add(amount, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.add(amount);
        }
    }

    fn release(&self, amount: usize) {
        self.0.held.fetch_sub(amount, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.release(amount);
        }
    }
}

/// The part of a budget that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Budget,
    amount: AtomicUsize,
}

impl Held {
    /// Holds more, unless that is more than there may be.
    pub(crate) fn grow(&self, more: usize) -> bool {
        self.budget.add(more);
        if self.budget.is_over() {
            self.budget.release(more);
            return false;
        }
        self.amount.fetch_add(more, Ordering::Relaxed);
        true
    }

    /// Holds nothing of what it held.
    pub(super) fn release(&self) {
        self.budget.release(self.amount.swap(0, Ordering::Relaxed));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// The bounds that the connections of one port share. Cloning it shares them.
#[derive(Debug, Clone)]
pub(crate) struct PortBounds(Arc<PortInner>);

#[derive(Debug)]
struct PortInner {
    requests: Budget,
    answers: Budget,
    body_max: Duration,
    /// Whose answers may be given up.
    connections: Mutex<Vec<Weak<ConnectionInner>>>,
}

impl PortBounds {
    pub(crate) fn new(settings: BoundSettings) -> Self {
        Self(Arc::new(PortInner {
            requests: Budget::new(settings.request_bytes),
            answers: Budget::new(settings.answer_bytes),
            body_max: settings.body_max,
            connections: Mutex::default(),
        }))
    }

    pub(crate) fn request_bytes(&self) -> usize {
        self.0.requests.held()
    }

    pub(crate) fn answer_bytes(&self) -> usize {
        self.0.answers.held()
    }

    /// Of one more connection.
    pub(crate) fn connection(&self) -> ConnectionBounds {
        let port = &self.0;
        let part = |budget: &Budget| budget.part(budget.0.max / CONNECTION_PART);
        let connection = Arc::new(ConnectionInner {
            requests: part(&port.requests),
            answers: part(&port.answers),
            standard_calls: Budget::new(CONNECTION_STANDARD_CALLS_MAX),
            taken: Mutex::new(Instant::now()),
            cut: CancellationToken::new(),
            port: self.clone(),
        });
        let mut connections = self.connections();
        // Those that have gone are few: each leaves for the next.
        connections.retain(|other| other.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        ConnectionBounds(connection)
    }

    /// Cuts the connections that hold most for longest, until the others hold no more than there
    /// may be. A busy one holds much and takes it all the time.
    fn cut_until_it_fits(&self) {
        let now = Instant::now();
        let connections = self.connections();
        let mut left: Vec<_> = connections
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|connection| !connection.cut.is_cancelled())
            .map(|connection| {
                (
                    connection.answers.held(),
                    connection.stalled(now),
                    connection,
                )
            })
            .collect();
        let bytes = |held: usize| u128::try_from(held).unwrap_or(u128::MAX);
        let millis = |stalled: Duration| stalled.as_millis().max(1);
        left.sort_by_key(|(held, stalled, _)| bytes(*held).saturating_mul(millis(*stalled)));
        let mut held: usize = left.iter().map(|(held, ..)| held).sum();
        while held > self.0.answers.0.max
            && let Some((most, stalled, connection)) = left.pop()
        {
            held -= most;
            connection.cut.cancel();
            tracing::warn!(
                bytes = most,
                stalled_ms = stalled.as_millis(),
                "answers wait for their callers beyond what there may be: the connection that takes \
                 least of most is cut"
            );
        }
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<ConnectionInner>>> {
        self.0
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bounds of one connection, which the port puts on each of its requests.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionBounds(Arc<ConnectionInner>);

#[derive(Debug)]
struct ConnectionInner {
    requests: Budget,
    answers: Budget,
    standard_calls: Budget,
    /// When the last bytes of answers left.
    taken: Mutex<Instant>,
    /// Its answers are given up, and itself with them.
    cut: CancellationToken,
    port: PortBounds,
}

impl ConnectionBounds {
    pub(crate) fn requests(&self) -> &Budget {
        &self.0.requests
    }

    /// Whether as many answers wait on this connection as may: it gets no more calls.
    pub(super) fn is_full_of_answers(&self) -> bool {
        self.0.answers.is_full()
    }

    /// Whether one more answer may wait: the only one may, however large it is.
    pub(crate) fn has_room_for_answer(&self, bytes: usize) -> bool {
        let held = self.0.answers.held();
        held == 0 || held.saturating_add(bytes) <= self.0.answers.0.max
    }

    pub(super) fn standard_calls(&self) -> &Budget {
        &self.0.standard_calls
    }

    pub(super) fn body_max(&self) -> Duration {
        self.0.port.0.body_max
    }

    /// Holds bytes of an answer that was made. Where all connections hold more than they may, some
    /// are cut.
    pub(super) fn hold_answer(&self, bytes: usize) -> HeldAnswer {
        if self.0.answers.held() == 0 {
            self.0.is_taken();
        }
        let held = self.0.answers.hold(bytes);
        if self.0.port.0.answers.is_over() {
            self.0.port.cut_until_it_fits();
        }
        HeldAnswer {
            _held: held,
            connection: self.0.clone(),
        }
    }

    /// Ends when the connection is to be cut.
    pub(crate) async fn cut(&self) {
        self.0.cut.cancelled().await;
    }
}

impl ConnectionInner {
    fn is_taken(&self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long no bytes of answers have left.
    fn stalled(&self, now: Instant) -> Duration {
        let taken = *self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(taken)
    }
}

/// Bytes of an answer that wait for their caller until this is dropped.
#[derive(Debug)]
pub(super) struct HeldAnswer {
    _held: Held,
    connection: Arc<ConnectionInner>,
}

impl Drop for HeldAnswer {
    fn drop(&mut self) {
        self.connection.is_taken();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(bytes: usize) -> PortBounds {
        PortBounds::new(BoundSettings {
            request_bytes: bytes,
            answer_bytes: bytes,
            ..BoundSettings::default()
        })
    }

    #[test]
    fn a_connection_holds_its_part_and_all_hold_no_more_than_there_may_be() {
        let port = bounds(8);
        let connections: Vec<_> = (0..5).map(|_| port.connection()).collect();
        let requests = connections[0].requests();
        let held = requests.try_hold(1).expect("there is room");
        assert!(held.grow(1), "its part is 2");
        assert!(!held.grow(1));
        assert!(requests.try_hold(1).is_none());
        assert!(requests.is_full());
        let others: Vec<_> = connections[1..4]
            .iter()
            .map(|other| other.requests().try_hold(2).expect("there is room"))
            .collect();
        assert_eq!(port.request_bytes(), 8);
        let last = connections[4].requests();
        assert!(
            last.try_hold(1).is_none(),
            "all of it is held, though nothing here"
        );
        assert!(!last.is_full());
        drop(held);
        assert!(last.try_hold(2).is_some());
        drop(others);
        assert_eq!(port.request_bytes(), 0);
    }

    #[test]
    fn the_connection_that_takes_least_of_most_is_cut() {
        let port = bounds(8);
        let is_cut = |connection: &ConnectionBounds| connection.0.cut.is_cancelled();
        let (stalled, busy) = (port.connection(), port.connection());
        let _stalled = stalled.hold_answer(3);
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60));
        *stalled.0.taken.lock().unwrap() = long_ago.unwrap();
        let first = busy.hold_answer(4);
        let _second = busy.hold_answer(1);
        assert!(!is_cut(&stalled), "as much as there may be");
        drop(first);
        let _third = busy.hold_answer(5);
        assert!(
            is_cut(&stalled) && !is_cut(&busy),
            "it takes what it is given"
        );
        let _fourth = busy.hold_answer(2);
        assert!(!is_cut(&busy), "what is cut does not count");
        let _fifth = busy.hold_answer(1);
        assert!(is_cut(&busy));
    }
}
