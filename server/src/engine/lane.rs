//! A lane: two bounded queues and one batch in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::EngineBounds;
use super::pressure::Pressure;
use super::queued::{EngineError, Priority, QueuedCommand};
use super::runner::Runner;
use crate::fair_queue::{Inbox, Pushed};

#[derive(Debug)]
pub(super) struct Lane {
    queues: Arc<Queues>,
    bounds: EngineBounds,
    /// Of all lanes: who comes back asks for any order.
    pressure: Arc<Pressure>,
}

#[derive(Debug)]
struct Queues {
    interactive: Inbox<QueuedCommand>,
    background: Inbox<QueuedCommand>,
    pace: Pace,
}

/// The time that the lane takes over a full batch, by those that it has had: a moving average.
///
/// By it the queue is bounded in time and not only in number. A caller who would wait for longer
/// than that is told at once to come back, instead of last and perhaps too late; those who are
/// before it are served as fast as ever. A lane that never had a full batch has nothing to tell: it
/// was never at its limit.
#[derive(Debug, Default)]
struct Pace {
    full_batch_us: AtomicU64,
}

impl Pace {
    /// Batches that may wait however long one takes, so that the next one is full too.
    const BATCHES_LEAST: usize = 2;

    /// A full batch took so long. One that stood still says no more than one that took all of the
    /// time that a command may wait.
    fn took(&self, time: Duration, wait_max: Duration) {
        let time = u64::try_from(time.min(wait_max).as_micros()).unwrap_or(u64::MAX);
        let average = match self.full_batch_us.load(Ordering::Relaxed) {
            0 => time,
            before => before.saturating_mul(3).saturating_add(time) / 4,
        };
        self.full_batch_us.store(average.max(1), Ordering::Relaxed);
    }

    /// How many commands may wait so that the last of them is taken within this time.
    fn commands_within(&self, wait_max: Duration, batch_commands: usize) -> usize {
        let full_batch_us = self.full_batch_us.load(Ordering::Relaxed);
        let Some(batches) = wait_max.as_micros().checked_div(full_batch_us.into()) else {
            return usize::MAX;
        };
        let batches = usize::try_from(batches).unwrap_or(usize::MAX);
        batches
            .max(Self::BATCHES_LEAST)
            .saturating_mul(batch_commands)
    }
}

/// The answer of a queue: it had room, or a command was shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Found,
    Made,
}

impl Lane {
    pub(super) fn start(
        runner: Arc<Runner>,
        bounds: EngineBounds,
        pressure: Arc<Pressure>,
        tasks: &TaskTracker,
    ) -> Self {
        let queues = Arc::new(Queues {
            interactive: Inbox::new(bounds.queue),
            background: Inbox::new(bounds.queue),
            pace: Pace::default(),
        });
        let batches = Batches {
            queues: queues.clone(),
            bounds,
            pressure: pressure.clone(),
            held_back: None,
            passed_over: 0,
        };
        tasks.spawn(run(batches, runner, tasks.clone()));
        Self {
            queues,
            bounds,
            pressure,
        }
    }

    /// Where the queue is full, one command is shed: this one, or another caller's that has more of
    /// them there.
    pub(super) fn push(&self, command: QueuedCommand) -> Room {
        let caller = command.submission.caller.actor.clone();
        let pushed = match command.submission.priority {
            Priority::Interactive => {
                let EngineBounds {
                    wait_max,
                    batch_commands,
                    ..
                } = self.bounds;
                let waiting_max = self.queues.pace.commands_within(wait_max, batch_commands);
                self.queues
                    .interactive
                    .push_within(&caller, command, waiting_max)
            }
            // Nobody waits for it, and who sent it knows how much it may send.
            Priority::Background => self.queues.background.push(&caller, command),
        };
        match pushed {
            Pushed::Taken => Room::Found,
            Pushed::InPlaceOf(shed) | Pushed::Full(shed) => {
                let retry = self.pressure.shed(Instant::now());
                shed.answer(Err(EngineError::Shed { retry }));
                Room::Made
            }
        }
    }

    /// How many wait: of interactive commands, and of background ones.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queues.interactive.len(), self.queues.background.len())
    }

    pub(super) fn close(&self) {
        self.queues.interactive.close();
        self.queues.background.close();
    }
}

/// One batch after the other, until the lane is closed and its queues are empty.
async fn run(mut batches: Batches, runner: Arc<Runner>, tasks: TaskTracker) {
    while let Some(mut batch) = batches.next().await {
        batches.pressure.taken(batch.len());
        let span = runner.begin_batch("lane", &batch);
        runner.leave_queue(&mut batch);
        let begun = Instant::now();
        let is_full = batches.is_full(&batch);
        // In a task of its own: a bug in there must not end the lane.
        let run = runner.clone().run(batch, tasks.clone());
        let in_flight = tasks.spawn(run.instrument(span));
        if let Err(error) = in_flight.await {
            tracing::error!(%error, "the task of a batch died");
        }
        if is_full {
            let wait_max = batches.bounds.wait_max;
            batches.queues.pace.took(begun.elapsed(), wait_max);
        }
    }
}

#[derive(Debug)]
struct Batches {
    queues: Arc<Queues>,
    bounds: EngineBounds,
    pressure: Arc<Pressure>,
    /// Would have made the last batch too large.
    held_back: Option<QueuedCommand>,
    /// Batches in a row that took no background command.
    passed_over: usize,
}

/// Of so many commands one is a background command while both kinds wait.
const BACKGROUND_SHARE: usize = 4;

impl Batches {
    /// Waits for a command, then takes what else is there.
    async fn next(&mut self) -> Option<Vec<QueuedCommand>> {
        let first = self.first().await?;
        let commands_max = self.bounds.batch_commands;
        let background_max = if self.queues.interactive.is_empty() {
            commands_max
        } else {
            (commands_max / BACKGROUND_SHARE).max(1)
        };
        let mut batch = TakenCommands::begin(first);
        let background_max = background_max.saturating_sub(batch.background());
        let background_max = commands_max.min(batch.commands.len() + background_max);
        self.fill(&mut batch, background_max, |queues| queues.background.pop());
        self.fill(&mut batch, commands_max, |queues| queues.interactive.pop());
        self.passed_over = match batch.background() {
            0 => self.passed_over.saturating_add(1),
            _ => 0,
        };
        Some(batch.commands)
    }

    /// A batch of one command has no part for the background: every so many of them are its own.
    async fn first(&mut self) -> Option<QueuedCommand> {
        if let Some(command) = self.held_back.take() {
            return Some(command);
        }
        if self.bounds.batch_commands == 1
            && self.passed_over + 1 >= BACKGROUND_SHARE
            && let Some(command) = self.queues.background.pop()
        {
            return Some(command);
        }
        tokio::select! {
            biased;
            Some(command) = self.queues.interactive.next() => Some(command),
            Some(command) = self.queues.background.next() => Some(command),
            else => None,
        }
    }

    /// Whether this batch, the last that was taken, left something behind or could not have taken
    /// more.
    fn is_full(&self, batch: &[QueuedCommand]) -> bool {
        batch.len() >= self.bounds.batch_commands || self.held_back.is_some()
    }

    fn fill(
        &mut self,
        batch: &mut TakenCommands,
        commands_max: usize,
        next: impl Fn(&Queues) -> Option<QueuedCommand>,
    ) {
        while self.held_back.is_none() && batch.commands.len() < commands_max {
            let Some(command) = next(&self.queues) else {
                return;
            };
            if batch.bytes + command.bytes > self.bounds.batch_bytes {
                self.held_back = Some(command);
                return;
            }
            batch.bytes += command.bytes;
            batch.commands.push(command);
        }
    }
}

struct TakenCommands {
    commands: Vec<QueuedCommand>,
    bytes: usize,
}

impl TakenCommands {
    fn begin(first: QueuedCommand) -> Self {
        Self {
            bytes: first.bytes,
            commands: vec![first],
        }
    }

    fn background(&self) -> usize {
        let priorities = self.commands.iter().map(|of| of.submission.priority);
        priorities
            .filter(|priority| *priority == Priority::Background)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use belay_domain::actor::{Actor, Role};
    use belay_domain::commands::{Command, Work};
    use belay_domain::context::StoreConfig;
    use belay_domain::ids::{OrderId, StoreId};
    use belay_domain::policy::Policies;
    use belay_domain::scope::Caller;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::engine::Submission;
    use crate::engine::queued::queued;

    const WAIT: Duration = Duration::from_millis(200);

    /// A lane in which so many commands of each kind wait.
    fn waiting(bounds: EngineBounds, interactive: usize, background: usize) -> Batches {
        let queues = Queues {
            interactive: Inbox::new(bounds.queue),
            background: Inbox::new(bounds.queue),
            pace: Pace::default(),
        };
        let store = Arc::new(StoreConfig {
            id: StoreId::parse("shop").unwrap(),
            policies: Policies::new(BTreeMap::new(), Vec::new()),
            time_zone: TimeZone::UTC,
            carriers: BTreeMap::new(),
            warehouses: BTreeMap::new(),
            default_route: None,
            storefront_records_payments: false,
        });
        let caller = Actor::new(Role::Storefront, "web");
        let push = |queue: &Inbox<QueuedCommand>, priority, number: usize| {
            let submission = Submission {
                store: store.clone(),
                caller: Caller::everywhere(caller.clone()),
                order: OrderId::parse(format!("A-{number}")).unwrap(),
                request_id: uuid::Uuid::from_u128(u128::try_from(number).unwrap()),
                expected_version: None,
                work: Work::Decide(Command::Settle),
                deadline: Instant::now() + WAIT,
                priority,
            };
            let (command, _) = queued(submission).unwrap();
            assert!(matches!(queue.push(&caller, command), Pushed::Taken));
        };
        for number in 0..interactive {
            push(&queues.interactive, Priority::Interactive, number);
        }
        for number in 0..background {
            push(&queues.background, Priority::Background, number);
        }
        Batches {
            queues: Arc::new(queues),
            bounds,
            pressure: Arc::new(Pressure::new(Instant::now())),
            held_back: None,
            passed_over: 0,
        }
    }

    fn of_background(batch: &[QueuedCommand]) -> usize {
        let priorities = batch.iter().map(|command| command.submission.priority);
        priorities.filter(|of| *of == Priority::Background).count()
    }

    #[tokio::test]
    async fn the_background_has_a_quarter_while_others_wait_and_never_nothing() {
        // Commands of a batch, and the background's part of four batches one after the other.
        let table = [
            (1, [0, 0, 0, 1]),
            (2, [1; 4]),
            (3, [1; 4]),
            (4, [1; 4]),
            (7, [1; 4]),
            (8, [2; 4]),
            (128, [32; 4]),
        ];
        for (batch_commands, expected) in table {
            let bounds = EngineBounds {
                batch_commands,
                ..EngineBounds::default()
            };
            let mut batches = waiting(bounds, 2_000, 2_000);
            for round in 0..2 {
                for (number, expected) in expected.into_iter().enumerate() {
                    let batch = batches.next().await.unwrap();
                    let found = (batch.len(), of_background(&batch));
                    let what = format!("{batch_commands}: batch {number} of round {round}");
                    assert_eq!(found, (batch_commands, expected), "{what}");
                }
            }
        }
    }

    #[tokio::test]
    async fn either_kind_has_whole_batches_while_it_is_alone() {
        for batch_commands in [1, 3, 128] {
            let bounds = EngineBounds {
                batch_commands,
                ..EngineBounds::default()
            };
            for (interactive, background, expected) in [(2_000, 0, 0), (0, 2_000, batch_commands)] {
                let mut batches = waiting(bounds, interactive, background);
                for _ in 0..8 {
                    let batch = batches.next().await.unwrap();
                    assert_eq!(
                        (batch.len(), of_background(&batch)),
                        (batch_commands, expected)
                    );
                }
            }
        }
    }

    #[test]
    fn as_many_may_wait_as_are_taken_in_time() {
        let pace = Pace::default();
        let waiting = || pace.commands_within(WAIT, 128);
        assert_eq!(waiting(), usize::MAX, "nothing is known");
        pace.took(Duration::from_millis(50), WAIT);
        assert_eq!(waiting(), 4 * 128);
        // One that is slow counts for a quarter.
        pace.took(Duration::from_millis(70), WAIT);
        assert_eq!(waiting(), 3 * 128, "55 ms each");
        // One that stood still is soon forgotten.
        pace.took(Duration::from_secs(15), WAIT);
        assert_eq!(waiting(), 2 * 128);
        for _ in 0..8 {
            pace.took(Duration::from_millis(50), WAIT);
        }
        assert_eq!(waiting(), 3 * 128);
    }

    #[test]
    fn the_next_batch_is_full_however_slow_the_lane_is() {
        let pace = Pace::default();
        for _ in 0..16 {
            pace.took(Duration::from_secs(60), WAIT);
        }
        assert_eq!(pace.commands_within(WAIT, 128), 2 * 128);
        assert_eq!(pace.commands_within(Duration::ZERO, 1), 2);
        let pace = Pace::default();
        pace.took(Duration::ZERO, WAIT);
        assert_eq!(pace.commands_within(WAIT, 128), 200_000 * 128);
    }
}
