//! The gate in front of the reads of pages. A page is the heaviest thing that a reading caller can
//! ask for; so few are read at the same time, a few wait, and the rest is turned away at once and
//! told when to come back. Beside many commands half as many are read: whoever writes waits for
//! less than whoever lists. What a page holds, and what a command is, is for others to know.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_domain::actor::Actor;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::fair_queue::{FairQueue, Pushed};
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Queue;

/// Pages that wait for their turn, where nothing else is said; one more is shed with `OVERLOADED`,
/// or the last of the caller that has the most there.
pub const PAGES_WAITING_MAX: usize = 64;
/// How long a page waits for its turn before it is shed, where nothing else is said.
pub const PAGE_WAIT_MAX: Duration = Duration::from_secs(2);
/// Commands of callers that wait for their answers, beside which half as many pages are read at
/// once. Bulk cancellations and deadlines do not count: they yield themselves.
pub const COMMANDS_MANY: usize = 8;
/// Most pages at once that can be asked for.
pub const PAGES_AT_ONCE_MAX: u16 = 256;

/// The settings of a gate.
#[derive(Debug, Clone, Copy)]
pub struct PageSettings {
    /// Pages that are read at the same time, and half of them while [`COMMANDS_MANY`] callers or
    /// more wait for commands; `None`: as many as there are processors. The share of the reads
    /// leaves at least two connections to others.
    pub at_once: Option<u16>,
    /// See [`PAGES_WAITING_MAX`].
    pub waiting_max: usize,
    /// See [`PAGE_WAIT_MAX`].
    pub wait_max: Duration,
}

impl Default for PageSettings {
    fn default() -> Self {
        Self {
            at_once: None,
            waiting_max: PAGES_WAITING_MAX,
            wait_max: PAGE_WAIT_MAX,
        }
    }
}

impl PageSettings {
    /// How many pages are read at once by a server that has so many connections for reads.
    fn at_once(self, connections: usize) -> usize {
        let asked = match self.at_once {
            Some(asked) => usize::from(asked),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        asked.min(connections.saturating_sub(2)).max(1)
    }
}

/// The page was turned away: too many wait, or it would come after its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnedAway;

/// The gate before the pages. Cloning it is cheap and shares it.
#[derive(Debug, Clone)]
pub struct PageGate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    at_once: usize,
    /// How many of callers wait for their answers.
    commands: Arc<AtomicUsize>,
    wait_max: Duration,
    telemetry: Telemetry,
}

#[derive(Debug)]
struct State {
    inside: usize,
    waiting: FairQueue<oneshot::Sender<Turn>>,
    /// How long a page has taken of late.
    page_time: Duration,
}

/// Leave to read one page. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Turn {
    gate: Option<Arc<Inner>>,
    begun: Instant,
}

impl PageGate {
    /// For a server with so many connections for reads, and so many callers that wait for commands.
    pub fn new(
        settings: PageSettings,
        connections: usize,
        commands: Arc<AtomicUsize>,
        telemetry: &Telemetry,
    ) -> Self {
        let at_once = settings.at_once(connections);
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                inside: 0,
                waiting: FairQueue::new(settings.waiting_max),
                page_time: Duration::ZERO,
            }),
            at_once,
            commands,
            wait_max: settings.wait_max,
            telemetry: telemetry.clone(),
        }))
    }

    /// Waits for the caller's turn. Dropping the future gives it up.
    pub async fn enter(&self, caller: &Actor, deadline: Instant) -> Result<Turn, TurnedAway> {
        let turn = match self.queue_up(caller, Instant::now(), deadline) {
            Ok(Admission::Inside(turn)) => return Ok(turn),
            Ok(Admission::Waits(turn, until)) => timeout_at(until, turn).await,
            Err(turned_away) => {
                self.0.telemetry.metrics.shed(Queue::Pages);
                return Err(turned_away);
            }
        };
        match turn {
            Ok(Ok(turn)) => Ok(turn),
            // Somebody with less in the queue has taken its place, or it took too long.
            Ok(Err(_)) | Err(_) => {
                self.0.telemetry.metrics.shed(Queue::Pages);
                Err(TurnedAway)
            }
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.state().waiting.len()
    }

    fn queue_up(
        &self,
        caller: &Actor,
        now: Instant,
        deadline: Instant,
    ) -> Result<Admission, TurnedAway> {
        let at_once = self.0.at_once();
        let mut state = self.0.state();
        // Whoever hung up keeps nobody out.
        state.waiting.retain(|waits| !waits.is_closed());
        if state.inside < at_once && state.waiting.is_empty() {
            state.inside += 1;
            return Ok(Admission::Inside(Turn::new(&self.0)));
        }
        if now + state.expected(at_once) > deadline {
            return Err(TurnedAway);
        }
        let (waits, turn) = oneshot::channel();
        // Who is pushed out learns it by the end of its channel.
        let pushed = state.waiting.push(caller, waits);
        drop(state);
        match pushed {
            Pushed::Taken | Pushed::InPlaceOf(_) => {
                // Commands may have ended since somebody left.
                self.0.admit();
                // The other half of its time is for the page itself.
                let time = deadline.saturating_duration_since(now) / 2;
                Ok(Admission::Waits(turn, now + time.min(self.0.wait_max)))
            }
            Pushed::Full(_) => Err(TurnedAway),
        }
    }
}

/// The state of a page at the gate.
enum Admission {
    Inside(Turn),
    Waits(oneshot::Receiver<Turn>, Instant),
}

impl State {
    /// How long it takes until a page that comes now has been read, by those that were read last.
    fn expected(&self, at_once: usize) -> Duration {
        let rounds = self.waiting.len() / at_once + 2;
        self.page_time * u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    /// An eighth of the new one: one page that took long makes nobody expect the worst.
    fn note(&mut self, took: Duration) {
        self.page_time = (self.page_time * 7 + took) / 8;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many may be inside at this moment.
    fn at_once(&self) -> usize {
        if self.commands.load(Ordering::Relaxed) >= COMMANDS_MANY {
            self.at_once.div_ceil(2)
        } else {
            self.at_once
        }
    }

    /// While somebody waits, somebody is inside, who lets the next one in.
    fn leave(self: &Arc<Self>, took: Duration) {
        {
            let mut state = self.state();
            state.note(took);
            state.inside -= 1;
        }
        self.admit();
    }

    /// Lets in who waits, as many as may be inside by now.
    fn admit(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                if state.inside >= self.at_once() {
                    return;
                }
                let Some(next) = state.waiting.pop() else {
                    return;
                };
                state.inside += 1;
                next
            };
            // It has hung up: the turn is the next one's.
            if let Err(mut turn) = next.send(Turn::new(self)) {
                turn.gate = None;
                self.state().inside -= 1;
            }
        }
    }
}

impl Turn {
    fn new(gate: &Arc<Inner>) -> Self {
        Self {
            gate: Some(gate.clone()),
            begun: Instant::now(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.leave(self.begun.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::actor::Role;
    use futures_util::FutureExt as _;

    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(3600);

    fn gate(at_once: u16, waiting_max: usize) -> PageGate {
        let settings = PageSettings {
            at_once: Some(at_once),
            waiting_max,
            wait_max: FOR_EVER,
        };
        PageGate::new(settings, 16, Arc::default(), &Telemetry::local())
    }

    fn caller(id: &str) -> Actor {
        Actor::new(Role::Auditor, id)
    }

    #[test]
    fn some_connections_are_left_to_others() {
        let settings = |at_once| PageSettings {
            at_once,
            ..PageSettings::default()
        };
        assert_eq!(settings(Some(1)).at_once(6), 1);
        assert_eq!(settings(Some(4)).at_once(6), 4);
        assert_eq!(settings(Some(5)).at_once(6), 4);
        assert_eq!(settings(Some(5)).at_once(2), 1);
        assert!(settings(None).at_once(100) >= 1);
    }

    #[tokio::test]
    async fn as_many_are_inside_as_may_and_as_many_wait_as_may() {
        let (gate, late) = (gate(2, 1), Instant::now() + FOR_EVER);
        let (ann, bob) = (caller("ann"), caller("bob"));
        let first = gate.enter(&ann, late).await.unwrap();
        let _second = gate.enter(&ann, late).await.unwrap();
        let mut third = Box::pin(gate.enter(&ann, late));
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(gate.waiting(), 1);
        assert_eq!(gate.enter(&bob, late).await.unwrap_err(), TurnedAway);
        drop(first);
        let third = third.await.unwrap();
        assert_eq!(gate.waiting(), 0);
        drop(third);
        gate.enter(&bob, late).await.unwrap();
    }

    #[tokio::test]
    async fn beside_many_commands_half_as_many_are_inside() {
        let commands = Arc::new(AtomicUsize::new(COMMANDS_MANY));
        let settings = PageSettings {
            at_once: Some(3),
            ..PageSettings::default()
        };
        let gate = PageGate::new(settings, 16, commands.clone(), &Telemetry::local());
        let late = Instant::now() + FOR_EVER;
        let ann = caller("ann");
        let first = gate.enter(&ann, late).await.unwrap();
        let second = gate.enter(&ann, late).await.unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(gate.enter(&ann, late))).collect();
        for waits in &mut waiting {
            assert!(waits.as_mut().now_or_never().is_none());
        }
        // One leaves, one comes in.
        drop(first);
        let third = waiting.remove(0).await.unwrap();
        assert!(waiting[0].as_mut().now_or_never().is_none());
        // The commands are done: one leaves, two come in.
        commands.store(0, Ordering::Relaxed);
        drop(second);
        for waits in waiting {
            let turn = waits.await.unwrap();
            std::mem::forget(turn);
        }
        drop(third);
        gate.enter(&ann, late).await.unwrap();
    }

    #[tokio::test]
    async fn whoever_hangs_up_gives_its_turn_to_the_next() {
        let (gate, late) = (gate(1, 4), Instant::now() + FOR_EVER);
        let (ann, bob) = (caller("ann"), caller("bob"));
        let inside = gate.enter(&ann, late).await.unwrap();
        let mut gone = Box::pin(gate.enter(&ann, late));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut next = Box::pin(gate.enter(&bob, late));
        assert!(next.as_mut().now_or_never().is_none());
        drop(gone);
        drop(inside);
        drop(next.await.unwrap());
        gate.enter(&ann, late).await.unwrap();
    }

    #[tokio::test]
    async fn one_caller_cannot_fill_the_queue() {
        let (gate, late) = (gate(1, 3), Instant::now() + FOR_EVER);
        let _inside = gate.enter(&caller("ann"), late).await.unwrap();
        let greedy = caller("ann");
        let mut waiting: Vec<_> = (0..3)
            .map(|_| Box::pin(gate.enter(&greedy, late)))
            .collect();
        for waits in &mut waiting {
            assert!(waits.as_mut().now_or_never().is_none());
        }
        let modest = caller("bob");
        let mut modest = Box::pin(gate.enter(&modest, late));
        assert!(modest.as_mut().now_or_never().is_none(), "it waits");
        let last = waiting[2].as_mut().now_or_never();
        assert_eq!(last.expect("it is told").unwrap_err(), TurnedAway);
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_in_time_is_turned_away_at_once() {
        let gate = gate(1, 64);
        let inside = gate.enter(&caller("ann"), Instant::now() + FOR_EVER).await;
        let _inside = inside.unwrap();
        gate.0.state().page_time = Duration::from_secs(60);
        let soon = Instant::now() + Duration::from_secs(60);
        let away = gate.enter(&caller("bob"), soon).now_or_never();
        assert_eq!(away.expect("at once").unwrap_err(), TurnedAway);
        let late = Instant::now() + FOR_EVER;
        let waits = gate.enter(&caller("bob"), late).now_or_never();
        assert!(waits.is_none());
    }

    #[tokio::test]
    async fn a_page_that_has_waited_long_is_turned_away() {
        let settings = PageSettings {
            at_once: Some(1),
            wait_max: Duration::ZERO,
            ..PageSettings::default()
        };
        let gate = PageGate::new(settings, 16, Arc::default(), &Telemetry::local());
        let late = Instant::now() + FOR_EVER;
        let _inside = gate.enter(&caller("ann"), late).await.unwrap();
        let away = gate.enter(&caller("bob"), late).await;
        assert_eq!(away.unwrap_err(), TurnedAway);
    }

    #[test]
    fn a_page_counts_an_eighth() {
        let mut state = State {
            inside: 0,
            waiting: FairQueue::new(1),
            page_time: Duration::from_millis(80),
        };
        state.note(Duration::from_millis(160));
        assert_eq!(state.page_time, Duration::from_millis(90));
        assert_eq!(state.expected(2), Duration::from_millis(180));
    }
}
