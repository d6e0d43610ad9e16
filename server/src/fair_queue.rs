//! A bounded queue that is fair between callers: the commands or reads of one caller follow one
//! another, and the callers take turns. So who asks a thousand times waits for its own, and who
//! asks once is next but for the number of callers.
//!
//! A full queue takes from the caller with the most: nobody is turned away because somebody else
//! has filled it. What waits, and for what, is for others to know.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use belay_domain::actor::Actor;
use tokio::sync::Notify;

/// The result of putting an item into a queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed<T> {
    Taken,
    /// It has taken the place of the last item of the caller with the most.
    InPlaceOf(T),
    /// The queue is full, and no caller has so much more in it.
    Full(T),
}

/// The queue as plain data.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    /// Never an empty one.
    lines: HashMap<Actor, VecDeque<T>>,
    /// Every caller that has a line, the next one first.
    turns: VecDeque<Actor>,
    waiting: usize,
    waiting_max: usize,
}

impl<T> FairQueue<T> {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            waiting: 0,
            waiting_max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    pub(crate) fn push(&mut self, caller: &Actor, item: T) -> Pushed<T> {
        self.push_within(caller, item, usize::MAX)
    }

    /// As if the queue had room for so many at most.
    pub(crate) fn push_within(&mut self, caller: &Actor, item: T, waiting_max: usize) -> Pushed<T> {
        if self.waiting < self.waiting_max.min(waiting_max) {
            self.append(caller, item);
            return Pushed::Taken;
        }
        let own = self.lines.get(caller).map_or(0, VecDeque::len);
        // Whoever has the mean of all has its share; only who has less may look for who has more.
        if own * self.lines.len() >= self.waiting {
            return Pushed::Full(item);
        }
        // Of several that have as many, the one whose turn is next.
        let length = |caller: &Actor| self.lines.get(caller).map_or(0, VecDeque::len);
        let longest = self.turns.iter().rev().max_by_key(|caller| length(caller));
        let longest = longest.filter(|caller| length(caller) > own + 1).cloned();
        let Some(longest) = longest else {
            return Pushed::Full(item);
        };
        let Some(last) = self.drop_last(&longest) else {
            return Pushed::Full(item);
        };
        self.append(caller, item);
        Pushed::InPlaceOf(last)
    }

    /// The next item, of the caller whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let caller = self.turns.pop_front()?;
        let line = self.lines.get_mut(&caller)?;
        let item = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        self.waiting -= usize::from(item.is_some());
        item
    }

    /// Forgets what is no longer waited for.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&T) -> bool) {
        self.lines.retain(|_, line| {
            line.retain(&is_kept);
            !line.is_empty()
        });
        self.turns.retain(|caller| self.lines.contains_key(caller));
        self.waiting = self.lines.values().map(VecDeque::len).sum();
    }

    fn append(&mut self, caller: &Actor, item: T) {
        match self.lines.entry(caller.clone()) {
            Entry::Occupied(mut line) => line.get_mut().push_back(item),
            Entry::Vacant(line) => {
                line.insert(VecDeque::from([item]));
                self.turns.push_back(caller.clone());
            }
        }
        self.waiting += 1;
    }

    /// Of a line with more than one.
    fn drop_last(&mut self, caller: &Actor) -> Option<T> {
        let last = self.lines.get_mut(caller)?.pop_back()?;
        self.waiting -= 1;
        Some(last)
    }
}

/// A fair queue between tasks: many put into it, and those who work take out of it.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    state: Mutex<State<T>>,
    arrived: Notify,
}

#[derive(Debug)]
struct State<T> {
    queue: FairQueue<T>,
    is_closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new(waiting_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                queue: FairQueue::new(waiting_max),
                is_closed: false,
            }),
            arrived: Notify::new(),
        }
    }

    /// A closed one is full.
    pub(crate) fn push(&self, caller: &Actor, item: T) -> Pushed<T> {
        self.push_within(caller, item, usize::MAX)
    }

    /// As if it had room for so many at most.
    pub(crate) fn push_within(&self, caller: &Actor, item: T, waiting_max: usize) -> Pushed<T> {
        let pushed = {
            let mut state = self.state();
            if state.is_closed {
                return Pushed::Full(item);
            }
            state.queue.push_within(caller, item, waiting_max)
        };
        self.arrived.notify_one();
        pushed
    }

    /// What is there without a wait.
    pub(crate) fn pop(&self) -> Option<T> {
        self.state().queue.pop()
    }

    /// Waits for the next item; `None` once it is closed and empty. Dropping the future takes
    /// nothing.
    pub(crate) async fn next(&self) -> Option<T> {
        loop {
            let arrived = self.arrived.notified();
            {
                let mut state = self.state();
                if let Some(item) = state.queue.pop() {
                    if !state.queue.is_empty() || state.is_closed {
                        // For another who waits.
                        self.arrived.notify_one();
                    }
                    return Some(item);
                }
                if state.is_closed {
                    self.arrived.notify_one();
                    return None;
                }
            }
            arrived.await;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.state().queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().queue.is_empty()
    }

    /// Takes nothing more; what is in it is still given out.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.arrived.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Role;

    use super::*;

    fn caller(id: &str) -> Actor {
        Actor::new(Role::Auditor, id)
    }

    fn drained<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn callers_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::new(10);
        for item in ["a1", "a2", "a3", "b1", "c1", "c2"] {
            assert_eq!(queue.push(&caller(&item[..1]), item), Pushed::Taken);
        }
        assert_eq!(drained(&mut queue), ["a1", "b1", "c1", "a2", "c2", "a3"]);
        assert_eq!(
            (queue.len(), queue.lines.len(), queue.turns.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn a_full_queue_takes_from_the_caller_with_the_most() {
        let mut queue = FairQueue::new(4);
        for item in ["a1", "a2", "a3", "a4"] {
            queue.push(&caller("a"), item);
        }
        assert_eq!(queue.push(&caller("a"), "a5"), Pushed::Full("a5"));
        assert_eq!(queue.push(&caller("b"), "b1"), Pushed::InPlaceOf("a4"));
        assert_eq!(queue.push(&caller("b"), "b2"), Pushed::InPlaceOf("a3"));
        // Two and two: each has its share.
        assert_eq!(queue.push(&caller("b"), "b3"), Pushed::Full("b3"));
        assert_eq!(queue.push(&caller("a"), "a6"), Pushed::Full("a6"));
        assert_eq!(queue.push(&caller("c"), "c1"), Pushed::InPlaceOf("a2"));
        assert_eq!(queue.len(), 4);
        assert_eq!(drained(&mut queue), ["a1", "b1", "c1", "b2"]);
    }

    #[test]
    fn a_queue_of_single_items_is_full_for_everybody() {
        let mut queue = FairQueue::new(2);
        queue.push(&caller("a"), "a1");
        queue.push(&caller("b"), "b1");
        assert_eq!(queue.push(&caller("c"), "c1"), Pushed::Full("c1"));
    }

    #[test]
    fn what_is_forgotten_leaves_no_turn() {
        let mut queue = FairQueue::new(4);
        for item in ["a1", "b1", "b2"] {
            queue.push(&caller(&item[..1]), item);
        }
        queue.retain(|item| *item == "b2");
        assert_eq!((queue.len(), queue.turns.len()), (1, 1));
        assert_eq!(drained(&mut queue), ["b2"]);
    }

    #[tokio::test]
    async fn a_closed_inbox_gives_out_what_is_in_it_and_ends_for_all() {
        let inbox = Inbox::new(2);
        inbox.push(&caller("a"), 1);
        inbox.close();
        assert_eq!(inbox.push(&caller("a"), 2), Pushed::Full(2));
        assert_eq!(inbox.next().await, Some(1));
        assert_eq!(tokio::join!(inbox.next(), inbox.next()), (None, None));
    }
}
