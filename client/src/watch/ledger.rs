//! The ledger of deliveries: those that are not acknowledged, and the position behind those that
//! are. It knows no connection and no clock.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::task::AtomicWaker;

use super::progress::Received;
use crate::ids::ResumeToken;
use crate::model::Event;

/// The largest number of deliveries between the oldest that is not acknowledged and the newest. The
/// subscription waits for acknowledgements then.
pub(super) const UNACKNOWLEDGED_MAX: usize = 256;

/// The state that one subscription and its deliveries share.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Mutex<Entries>,
    /// The task that waits for the subscription.
    waiting: AtomicWaker,
}

#[derive(Default)]
struct Entries {
    /// The number of the first of `open`.
    first: u64,
    /// Deliveries from the oldest that is not acknowledged on.
    open: VecDeque<Entry>,
    /// Deliveries that were dropped without an acknowledgement, by number.
    returned: BTreeMap<u64, Received>,
    /// Behind everything that is acknowledged without a gap.
    position: Option<ResumeToken>,
    acknowledged: u64,
}

struct Entry {
    /// Behind this delivery and the bookmarks that followed it.
    token: ResumeToken,
    is_acknowledged: bool,
}

impl Ledger {
    /// One that begins behind a position, if there is one.
    pub(super) fn behind(position: Option<ResumeToken>) -> Self {
        let ledger = Self::default();
        ledger.entries().position = position;
        ledger
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn waiting(&self) -> &AtomicWaker {
        &self.waiting
    }

    /// Behind everything that is acknowledged without a gap.
    pub(super) fn position(&self) -> Option<ResumeToken> {
        self.entries().position.clone()
    }

    /// How many deliveries were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.entries().acknowledged
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries().open.len() >= UNACKNOWLEDGED_MAX
    }

    pub(super) fn has_returned(&self) -> bool {
        !self.entries().returned.is_empty()
    }

    /// Moves over what has no events to handle.
    pub(super) fn pass(&self, token: ResumeToken) {
        let entries = &mut *self.entries();
        match entries.open.back_mut() {
            Some(last) => last.token = token,
            None => entries.position = Some(token),
        }
    }

    pub(super) fn deliver(self: &Arc<Self>, received: Received) -> Delivered {
        let entries = &mut *self.entries();
        let open = u64::try_from(entries.open.len()).unwrap_or(u64::MAX);
        let number = entries.first.saturating_add(open);
        entries.open.push_back(Entry {
            token: received.token.clone(),
            is_acknowledged: false,
        });
        Delivered {
            number,
            received: Some(received),
            ledger: Arc::clone(self),
        }
    }

    /// Delivers the oldest of what was dropped.
    pub(super) fn deliver_again(self: &Arc<Self>) -> Option<Delivered> {
        let (number, received) = self.entries().returned.pop_first()?;
        Some(Delivered {
            number,
            received: Some(received),
            ledger: Arc::clone(self),
        })
    }

    fn acknowledge(&self, number: u64) {
        let entries = &mut *self.entries();
        let index = number.checked_sub(entries.first);
        let entry = index
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| entries.open.get_mut(index));
        if let Some(entry) = entry {
            entry.is_acknowledged = true;
            entries.acknowledged += 1;
        }
        while entries
            .open
            .front()
            .is_some_and(|first| first.is_acknowledged)
        {
            entries.first += 1;
            entries.position = entries.open.pop_front().map(|first| first.token);
        }
        self.waiting.wake();
    }

    fn take_back(&self, number: u64, received: Received) {
        self.entries().returned.insert(number, received);
        self.waiting.wake();
    }
}

/// Events that were delivered together: those of one command on one order, or of several commands
/// where several waited. Taken from a [`Subscription`](super::Subscription).
///
/// [`ack`](Self::ack) says that they are handled. To drop it without says that they are not: the
/// subscription delivers them again, after a pause, before anything newer.
///
/// ```no_run
/// # async fn example(delivered: belay_client::watch::Delivered) -> Result<(), belay_client::BoxError> {
/// # async fn handle(_: &belay_client::model::Event) -> Result<(), belay_client::BoxError> { Ok(()) }
/// for event in delivered.events() {
///     // After an error here the events come again.
///     handle(event).await?;
/// }
/// delivered.ack();
/// # Ok(())
/// # }
/// ```
#[must_use = "events that are dropped without `ack` are delivered again"]
pub struct Delivered {
    number: u64,
    /// `None` once it is acknowledged.
    received: Option<Received>,
    ledger: Arc<Ledger>,
}

impl Delivered {
    /// The events, at least one. Those of a partition are in the order of their positions.
    ///
    /// ```no_run
    /// # fn example(delivered: belay_client::watch::Delivered) {
    /// for event in delivered.events() {
    ///     println!("{} {}", event.order_id, event.event_type);
    /// }
    /// # delivered.ack();
    /// # }
    /// ```
    pub fn events(&self) -> &[Event] {
        self.received
            .as_ref()
            .map_or(&[], |received| &received.events)
    }

    /// The token behind these events, to be stored in the transaction of their effect. It says that
    /// everything before is handled too, so it is for those who handle in order.
    ///
    /// `None` where no token lies behind them yet: the stream was opened again at an earlier point
    /// and has not caught up, so what was handled already follows. The effect is then stored
    /// without a token, beside the one before; after a crash these events come again.
    ///
    /// ```no_run
    /// # fn example(delivered: belay_client::watch::Delivered) {
    /// # fn store_with_the_effect(_: Option<&belay_client::ResumeToken>) {}
    /// store_with_the_effect(delivered.resume_token());
    /// delivered.ack();
    /// # }
    /// ```
    pub fn resume_token(&self) -> Option<&ResumeToken> {
        let received = self.received.as_ref();
        received
            .filter(|received| received.covers_events)
            .map(|received| &received.token)
    }

    /// Says that the events are handled. They are not delivered again by this subscription, and the
    /// checkpoint may move over them once everything before is acknowledged too, in whatever order.
    /// It does not wait: the subscription saves the checkpoint when it is read, flushed or closed.
    ///
    /// ```no_run
    /// # async fn example(mut subscription: belay_client::watch::Subscription) -> Result<(), belay_client::watch::WatchError> {
    /// while let Some(delivered) = subscription.try_next().await? {
    ///     println!("{} events", delivered.events().len());
    ///     delivered.ack();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn ack(mut self) {
        self.received = None;
        self.ledger.acknowledge(self.number);
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        if let Some(received) = self.received.take() {
            self.ledger.take_back(self.number, received);
        }
    }
}

impl fmt::Debug for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivered")
            .field("events", &self.events())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(token: &str) -> Received {
        Received {
            events: Vec::new(),
            token: token.into(),
            covers_events: true,
        }
    }

    fn at(ledger: &Ledger) -> Option<String> {
        ledger.position().map(String::from)
    }

    #[test]
    fn the_position_moves_over_what_is_acknowledged_without_a_gap() {
        let ledger = Arc::new(Ledger::default());
        ledger.pass("0".into());
        let [one, two, three] = ["1", "2", "3"].map(|token| ledger.deliver(received(token)));
        two.ack();
        assert_eq!(at(&ledger).as_deref(), Some("0"), "the first is still out");
        one.ack();
        assert_eq!(at(&ledger).as_deref(), Some("2"));
        ledger.pass("3+".into());
        assert_eq!(at(&ledger).as_deref(), Some("2"));
        three.ack();
        assert_eq!(
            at(&ledger).as_deref(),
            Some("3+"),
            "the bookmark lies behind it"
        );
        ledger.pass("4".into());
        assert_eq!(at(&ledger).as_deref(), Some("4"));
        assert_eq!(ledger.acknowledged(), 3);
    }

    #[test]
    fn what_is_dropped_comes_again_oldest_first_and_bars_the_position() {
        let ledger = Arc::new(Ledger::behind(Some("0".into())));
        let [one, two, three] = ["1", "2", "3"].map(|token| ledger.deliver(received(token)));
        drop(two);
        drop(one);
        three.ack();
        assert_eq!(at(&ledger).as_deref(), Some("0"));
        let again = ledger.deliver_again().unwrap();
        assert_eq!(again.resume_token().unwrap().as_str(), "1");
        again.ack();
        assert_eq!(at(&ledger).as_deref(), Some("1"));
        let again = ledger.deliver_again().unwrap();
        assert_eq!(again.resume_token().unwrap().as_str(), "2");
        assert!(!ledger.has_returned());
        again.ack();
        assert_eq!(at(&ledger).as_deref(), Some("3"));
    }

    #[test]
    fn what_is_open_is_bounded_by_the_oldest_that_is_not_acknowledged() {
        let ledger = Arc::new(Ledger::default());
        let oldest = ledger.deliver(received("1"));
        for _ in 1..UNACKNOWLEDGED_MAX - 1 {
            ledger.deliver(received("x")).ack();
        }
        assert!(!ledger.is_full());
        ledger.deliver(received("x")).ack();
        assert!(ledger.is_full());
        oldest.ack();
        assert!(!ledger.is_full());
    }
}
