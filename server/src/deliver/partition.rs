//! One partition as an instance delivers it: which event may be sent next, and how far the
//! partition is when it has been. Plain data: it sends nothing, stores nothing and has no clock.
//!
//! Events are in the *window* from when they are read until the position has passed them. The
//! events of one order are sent one after the other. One that is not taken is *held*, and with it
//! all that come behind it in its order: they leave the window as rows, and other orders go on. An
//! event of an order of which something is held is held as well, so that none overtakes another.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use belay_domain::chain::Mark;
use belay_domain::feed::HeldState;
use belay_domain::ids::OrderKey;
use belay_proto::v1 as pb;
use tokio::time::Instant;

use super::retry::{Hold, RetryPlan, SendOutcome};
use crate::db::feed::{MarkedEnds, Place};
use crate::telemetry::deliveries::Verdict;

/// Events in the window at which no more are read.
pub(super) const WINDOW_MAX: usize = 128;
/// Events of one partition that are held, dead letters among them, at which no more are read.
pub(super) const HELD_MAX: usize = 1_000;

/// An event that is to be sent, or has been.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) partition: u16,
    /// Of the lease under which it is sent.
    pub(super) fence: u64,
    pub(super) position: u64,
    pub(super) order: OrderKey,
    /// Whether it is held, so that what it says is in its row.
    pub(super) is_held: bool,
    /// None until it is read from there.
    pub(super) event: Option<Arc<pb::Event>>,
}

/// Whether events that are held may be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    First,
    Not,
}

#[derive(Debug)]
struct Entry {
    position: u64,
    order: OrderKey,
    event: Arc<pb::Event>,
    state: EntryState,
}

#[derive(Debug)]
enum EntryState {
    Fresh,
    Sent,
    Taken,
    Held(Hold),
}

/// An order of which something is sent or held.
#[derive(Debug, Default)]
struct OrderQueue {
    is_sending: bool,
    /// Events of the window that are held and have no row yet.
    unstored: usize,
    /// Those that have a row, dead letters not among them, by their positions.
    waiting: BTreeMap<u64, Waiting>,
}

impl OrderQueue {
    fn is_held(&self) -> bool {
        self.unstored > 0 || !self.waiting.is_empty()
    }

    fn is_idle(&self) -> bool {
        !self.is_sending && !self.is_held()
    }
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    attempts: u32,
    due: Instant,
}

/// The change of an event that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Taken,
    Held(OrderKey, Hold),
}

/// A row of an event that is held, as it is found when a lease begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) position: u64,
    pub(super) order: OrderKey,
    pub(super) state: HeldState,
    pub(super) attempts: u32,
    pub(super) due: Instant,
}

/// The changes to store in one transaction: where the partition comes, and what is held and held no
/// more.
#[derive(Debug, Default)]
pub(super) struct Settlement {
    /// How many events leave the window.
    passed: usize,
    /// The stored position, as far as is known here: less is of another history.
    pub(super) from: u64,
    pub(super) to: u64,
    /// The last row that was read, if it has a mark.
    pub(super) read: Option<Place>,
    /// Of those the ones that are held.
    pub(super) held: Vec<(u64, OrderKey, Arc<pb::Event>, Hold)>,
    pub(super) changes: BTreeMap<u64, Change>,
    /// Set where one before it may be stored, without an answer: how often somebody else had
    /// changed what is held then.
    unanswered_since: Option<u32>,
}

impl Settlement {
    /// Those of the events to hold that have no row. Up to the stored position they were written
    /// before, and by now somebody may have had one sent again, or dropped it.
    pub(super) fn fresh(
        &self,
        stored: u64,
    ) -> impl Iterator<Item = &(u64, OrderKey, Arc<pb::Event>, Hold)> {
        let held = self.held.iter();
        held.filter(move |(position, ..)| *position > stored)
    }

    /// Whether somebody else may have changed what this changes, after it was stored without an
    /// answer: what they did stays.
    pub(super) fn is_overtaken(&self, changes: u32) -> bool {
        self.unanswered_since.is_some_and(|seen| seen != changes)
    }
}

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) number: u16,
    pub(super) fence: u64,
    /// How often somebody else had changed what is held, as far as is known here.
    pub(super) seen_changes: u32,
    /// Nothing more is read or sent: it is given back.
    pub(super) is_leaving: bool,
    /// The feed no longer holds what comes next.
    pub(super) is_pruned: bool,
    /// The last settlement may be stored: no answer came.
    is_unanswered: bool,
    position: u64,
    read_to: u64,
    /// Of the row that ends there, if one was read and has one.
    mark: Option<Mark>,
    window: VecDeque<Entry>,
    queues: HashMap<OrderKey, OrderQueue>,
    dead: usize,
    /// What came of events that are held and is not stored yet.
    changes: BTreeMap<u64, Change>,
}

impl Partition {
    pub(super) fn new(number: u16, fence: u64, position: u64, seen_changes: u32) -> Self {
        Self {
            number,
            fence,
            seen_changes,
            is_leaving: false,
            is_pruned: false,
            is_unanswered: false,
            position,
            read_to: position,
            mark: None,
            window: VecDeque::new(),
            queues: HashMap::new(),
            dead: 0,
            changes: BTreeMap::new(),
        }
    }

    /// Takes up what is held, in place of what was known of it.
    pub(super) fn found(&mut self, rows: impl Iterator<Item = Found>) {
        for queue in self.queues.values_mut() {
            queue.waiting.clear();
        }
        self.dead = 0;
        for row in rows {
            match row.state {
                HeldState::Dead => self.dead += 1,
                HeldState::Waiting => {
                    let (attempts, due) = (row.attempts, row.due);
                    let queue = self.queues.entry(row.order).or_default();
                    queue
                        .waiting
                        .insert(row.position, Waiting { attempts, due });
                }
            }
        }
        self.queues.retain(|_, queue| !queue.is_idle());
    }

    /// Where the stored position is.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Behind which event to read on, if there is room for more.
    pub(super) fn read_from(&self) -> Option<u64> {
        let has_room = self.window.len() < WINDOW_MAX && self.held() + self.window.len() < HELD_MAX;
        (has_room && !self.is_leaving && !self.is_pruned).then_some(self.read_to)
    }

    /// Whether nothing more is read because of what is held.
    pub(super) fn is_full(&self) -> bool {
        self.held() >= HELD_MAX
    }

    /// Events that are held and wait to be sent.
    pub(super) fn waiting(&self) -> usize {
        let queues = self.queues.values();
        queues
            .map(|queue| queue.waiting.len() + queue.unstored)
            .sum()
    }

    pub(super) fn dead(&self) -> usize {
        self.dead
    }

    fn held(&self) -> usize {
        self.waiting() + self.dead
    }

    pub(super) fn read_to(&self) -> u64 {
        self.read_to
    }

    /// The last row that was read, if it has a mark.
    pub(super) fn last_read(&self) -> Option<Place> {
        let mark = self.mark?;
        Some(Place {
            partition: self.number,
            position: self.read_to,
            mark,
        })
    }

    /// Whether the feed no longer has what was read: it ends before it, or there in another row.
    pub(super) fn is_ahead(&self, end: &MarkedEnds) -> bool {
        let is_other = || {
            self.mark
                .zip(end.mark)
                .is_some_and(|(read, there)| read != there)
        };
        self.read_to > end.ends.last || (self.read_to == end.ends.last && is_other())
    }

    /// Takes in what was read: the events that are to be sent, how far was read, and the mark of
    /// the row there.
    pub(super) fn read(
        &mut self,
        events: Vec<(u64, OrderKey, pb::Event)>,
        to: u64,
        mark: Option<Mark>,
    ) {
        for (position, order, event) in events {
            if position > self.read_to {
                self.window.push_back(Entry {
                    position,
                    order,
                    event: Arc::new(event),
                    state: EntryState::Fresh,
                });
            }
        }
        if to > self.read_to {
            (self.read_to, self.mark) = (to, mark);
        }
    }

    /// The next event that may be sent now: one that is held and due, where another of these may
    /// be sent, before one of the window.
    pub(super) fn next(&mut self, now: Instant, held: Held) -> Option<Letter> {
        if self.is_leaving {
            return None;
        }
        match held {
            Held::First => self.next_held(now).or_else(|| self.next_fresh()),
            Held::Not => self.next_fresh(),
        }
    }

    fn next_held(&mut self, now: Instant) -> Option<Letter> {
        let due = self.queues.iter_mut().find_map(|(order, queue)| {
            let (position, first) = queue.waiting.first_key_value()?;
            // What came before it and has no row yet must be stored first.
            let may_go = !queue.is_sending && first.due <= now;
            may_go.then_some((*order, *position, queue))
        });
        let (order, position, queue) = due?;
        queue.is_sending = true;
        Some(Letter {
            partition: self.number,
            fence: self.fence,
            position,
            order,
            is_held: true,
            event: None,
        })
    }

    fn next_fresh(&mut self) -> Option<Letter> {
        for entry in &mut self.window {
            if !matches!(entry.state, EntryState::Fresh) {
                continue;
            }
            let queue = self.queues.entry(entry.order).or_default();
            if queue.is_held() {
                queue.unstored += 1;
                entry.state = EntryState::Held(behind_another());
            } else if !queue.is_sending {
                queue.is_sending = true;
                entry.state = EntryState::Sent;
                return Some(Letter {
                    partition: self.number,
                    fence: self.fence,
                    position: entry.position,
                    order: entry.order,
                    is_held: false,
                    event: Some(entry.event.clone()),
                });
            }
        }
        None
    }

    /// What was given out was not sent after all.
    pub(super) fn unsent(&mut self, letter: &Letter) {
        if !letter.is_held
            && let Some(entry) = self.entry_mut(letter.position)
        {
            entry.state = EntryState::Fresh;
        }
        self.end_sending(letter.order);
    }

    /// An event that was held is there no more.
    pub(super) fn vanished(&mut self, letter: &Letter) {
        if let Some(queue) = self.queues.get_mut(&letter.order) {
            queue.waiting.remove(&letter.position);
        }
        self.end_sending(letter.order);
    }

    /// What came of an event that was sent.
    pub(super) fn ended(
        &mut self,
        letter: &Letter,
        outcome: SendOutcome,
        plan: &RetryPlan,
        now: Instant,
    ) -> Verdict {
        let verdict = if letter.is_held {
            self.held_ended(letter, outcome, plan, now)
        } else {
            self.fresh_ended(letter, outcome, plan)
        };
        self.end_sending(letter.order);
        verdict
    }

    fn fresh_ended(&mut self, letter: &Letter, outcome: SendOutcome, plan: &RetryPlan) -> Verdict {
        let (verdict, hold) = plan.follow_up(outcome, 1);
        let is_waiting = hold
            .as_ref()
            .is_some_and(|hold| hold.state == HeldState::Waiting);
        match self.entry_mut(letter.position) {
            Some(entry) => entry.state = hold.map_or(EntryState::Taken, EntryState::Held),
            None => return verdict,
        }
        if is_waiting {
            let queue = self.queues.entry(letter.order).or_default();
            queue.unstored += 1;
        }
        verdict
    }

    fn held_ended(
        &mut self,
        letter: &Letter,
        outcome: SendOutcome,
        plan: &RetryPlan,
        now: Instant,
    ) -> Verdict {
        let queue = self.queues.entry(letter.order).or_default();
        let before = queue.waiting.get(&letter.position);
        let attempts = before.map_or(0, |waiting| waiting.attempts);
        let (verdict, hold) = plan.follow_up(outcome, attempts.saturating_add(1));
        let change = match hold {
            None => Change::Taken,
            Some(hold) => Change::Held(letter.order, hold),
        };
        match &change {
            Change::Held(_, hold) if hold.state == HeldState::Waiting => {
                let (attempts, due) = (hold.attempts, now + hold.wait);
                queue
                    .waiting
                    .insert(letter.position, Waiting { attempts, due });
            }
            Change::Held(..) => {
                queue.waiting.remove(&letter.position);
                self.dead += 1;
            }
            Change::Taken => {
                queue.waiting.remove(&letter.position);
            }
        }
        self.changes.insert(letter.position, change);
        verdict
    }

    fn entry_mut(&mut self, position: u64) -> Option<&mut Entry> {
        let at = self
            .window
            .binary_search_by_key(&position, |entry| entry.position);
        at.ok().and_then(|at| self.window.get_mut(at))
    }

    fn end_sending(&mut self, order: OrderKey) {
        if let Some(queue) = self.queues.get_mut(&order) {
            queue.is_sending = false;
            if queue.is_idle() {
                self.queues.remove(&order);
            }
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.queues.values().any(|queue| queue.is_sending)
    }

    /// Whether what is held is to be read again: somebody else has changed it, and all that came
    /// of it here is stored.
    pub(super) fn is_outdated(&self, changes: u32) -> bool {
        self.seen_changes != changes && self.changes.is_empty() && !self.is_unanswered
    }

    /// Whether something came of an event that is not stored yet.
    pub(super) fn has_news(&self) -> bool {
        let first = self.window.front();
        !self.changes.is_empty() || first.is_some_and(|entry| entry.is_settled())
    }

    /// Whether the position can move on.
    pub(super) fn can_move(&self) -> bool {
        self.has_news() || (self.window.is_empty() && self.read_to > self.position)
    }

    /// What is to be stored now.
    pub(super) fn settlement(&self) -> Settlement {
        let settled = self.window.iter().take_while(|entry| entry.is_settled());
        let passed = settled.clone().count();
        let held = settled.filter_map(|entry| match &entry.state {
            EntryState::Held(hold) => Some((
                entry.position,
                entry.order,
                entry.event.clone(),
                hold.clone(),
            )),
            EntryState::Fresh | EntryState::Sent | EntryState::Taken => None,
        });
        Settlement {
            passed,
            from: self.position,
            read: self.last_read(),
            to: match self.window.get(passed) {
                Some(open) => open.position - 1,
                None => self.read_to,
            },
            held: held.collect(),
            changes: self.changes.clone(),
            unanswered_since: self.is_unanswered.then_some(self.seen_changes),
        }
    }

    /// The attempt to store a settlement failed.
    pub(super) fn unanswered(&mut self) {
        self.is_unanswered = true;
    }

    /// It is stored.
    pub(super) fn stored(&mut self, settlement: Settlement, now: Instant) {
        self.is_unanswered = false;
        self.window.drain(..settlement.passed);
        self.position = settlement.to;
        for (position, order, _, hold) in settlement.held {
            match hold.state {
                HeldState::Dead => self.dead += 1,
                HeldState::Waiting => {
                    let queue = self.queues.entry(order).or_default();
                    queue.unstored = queue.unstored.saturating_sub(1);
                    let (attempts, due) = (hold.attempts, now + hold.wait);
                    queue.waiting.insert(position, Waiting { attempts, due });
                }
            }
        }
        for position in settlement.changes.keys() {
            self.changes.remove(position);
        }
    }

    /// Goes on with the oldest event that is kept.
    pub(super) fn skip_to(&mut self, position: u64) {
        if position > self.read_to {
            (self.read_to, self.mark) = (position, None);
        }
    }
}

impl Entry {
    fn is_settled(&self) -> bool {
        matches!(self.state, EntryState::Taken | EntryState::Held(_))
    }
}

/// It was never sent: one before it in its order is held.
fn behind_another() -> Hold {
    Hold {
        state: HeldState::Waiting,
        attempts: 0,
        wait: Duration::ZERO,
        failure: String::new(),
    }
}

#[cfg(test)]
mod tests;
