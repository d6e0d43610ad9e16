//! Simulations: from the log of decisions to the messages of a stream, a page at a time.
//!
//! A simulation is a task of its own and the queue between it and its caller. It holds a connection
//! only while it reads a page, writes nothing, and asks nothing of the engine. What a case comes to
//! is `belay_domain::simulation`'s business.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::decision::DecisionLog;
use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::order::Line;
use belay_domain::policy::Policy;
use belay_domain::query::DecisionPlace;
use belay_domain::simulation::{Case, NotReplayed, RecordedDecision, Simulation, Summary};
use belay_proto::v1 as pb;
use belay_wire::parse::simulation::SimulationRequest;
use belay_wire::render::simulation as render;
use belay_wire::status::CallError;
use futures_util::Stream;
use futures_util::stream;
use jiff::Timestamp;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::App;
use crate::db::decisions::{DecisionPage, DecisionRange, StoredDecision};
use crate::db::{DbError, decisions, order_lines};
use crate::failure;

/// Simulations that a server runs at once, where nothing else is said; one more is shed.
pub const SIMULATIONS_MAX: usize = 4;
/// The longest that a caller may take nothing.
pub const SLOW_MAX: Duration = Duration::from_secs(30);
/// How long a page may take.
pub const PAGE_MAX: Duration = Duration::from_secs(15);
/// What a simulation has left for the page or the message at hand once the server stops.
pub const STOP_MAX: Duration = Duration::from_secs(2);
/// Decisions that are read at once.
const PAGE_DECISIONS: u16 = 200;
/// Bytes of cases after which a message is sent.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Messages that wait for the caller, besides the last one.
const WAITING_MAX: usize = 2;

type Message = pb::SimulatePolicyResponse;
type Item = Result<Message, CallError>;

/// The settings of simulations; waits are others than the default only for tests.
#[derive(Debug, Clone, Copy)]
pub struct SimulationSettings {
    pub slow_max: Duration,
    pub page_max: Duration,
    pub stop_max: Duration,
    /// See [`SIMULATIONS_MAX`].
    pub at_once: usize,
}

impl Default for SimulationSettings {
    fn default() -> Self {
        Self {
            slow_max: SLOW_MAX,
            page_max: PAGE_MAX,
            stop_max: STOP_MAX,
            at_once: SIMULATIONS_MAX,
        }
    }
}

/// The simulations of one server.
#[derive(Debug)]
pub struct Simulations {
    running: Arc<Semaphore>,
    tasks: TaskTracker,
    settings: SimulationSettings,
}

impl Simulations {
    pub fn new(settings: SimulationSettings) -> Self {
        Self {
            running: Arc::new(Semaphore::new(settings.at_once)),
            tasks: TaskTracker::new(),
            settings,
        }
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.settings.at_once - self.running.available_permits()
    }

    /// Waits until all have ended, each with the sum of what it has replayed: the server is
    /// closing.
    pub(crate) async fn stop(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Begins a simulation, which ends once its messages are dropped. Refused where as many run as may.
pub(crate) fn begin(
    app: &Arc<App>,
    request: SimulationRequest,
    draft: Policy,
) -> Result<impl Stream<Item = Item> + use<>, CallError> {
    let simulations = &app.simulations;
    let running = simulations.running.clone().try_acquire_owned();
    let running = running.map_err(|_| CallError::Overloaded)?;
    let (messages, queue) = mpsc::channel(WAITING_MAX + 1);
    let run = Run {
        app: app.clone(),
        request,
        draft,
        messages,
        summary: Summary::default(),
        reported: 0,
        unreported: 0,
        cases: Vec::new(),
        bytes: 0,
        reached: None,
        _running: running,
    };
    simulations.tasks.spawn(run.run());
    Ok(stream::unfold(Some(queue), next))
}

/// The next message. The summary is the last, and what ends without one has died.
async fn next(queue: Option<mpsc::Receiver<Item>>) -> Option<(Item, Option<mpsc::Receiver<Item>>)> {
    let mut queue = queue?;
    let item = queue.recv().await;
    let item = item.unwrap_or_else(|| Err(CallError::Internal("a simulation died".to_owned())));
    let goes_on = item.as_ref().is_ok_and(|message| message.summary.is_none());
    Some((item, goes_on.then_some(queue)))
}

/// A simulation at work.
#[derive(Debug)]
struct Run {
    app: Arc<App>,
    request: SimulationRequest,
    draft: Policy,
    messages: mpsc::Sender<Item>,
    summary: Summary,
    reported: u32,
    unreported: u64,
    /// Those that are not sent yet, and how large they are.
    cases: Vec<pb::SimulatedCase>,
    bytes: usize,
    /// The time of the last decision that was replayed.
    reached: Option<Timestamp>,
    _running: OwnedSemaphorePermit,
}

/// A page of decisions, with what was bought with their orders, and where it ends.
struct Page {
    found: Vec<StoredDecision>,
    left_off: Option<DecisionPlace>,
    lines: HashMap<OrderKey, Vec<Line>>,
}

impl Run {
    async fn run(mut self) {
        // The last item has its place, however full the queue is.
        let Ok(last) = self.messages.clone().try_reserve_owned() else {
            return;
        };
        let messages = self.messages.clone();
        let ended = tokio::select! {
            ended = self.replay() => ended,
            () = messages.closed() => return,
        };
        last.send(match ended {
            Ok(left_off) => Ok(Message {
                summary: Some(render::summary(&self.summary, self.unreported, left_off)),
                ..self.message()
            }),
            Err(error) => Err(error),
        });
    }

    /// Replays all, and gives the time at which it left off where that is not all.
    async fn replay(&mut self) -> Result<Option<Timestamp>, CallError> {
        let range = DecisionRange {
            store: self.request.store.clone(),
            scope: self.request.scope.clone(),
            start: self.request.start,
            end: self.request.end,
        };
        let mut last: Option<DecisionPlace> = None;
        loop {
            let read = timeout(self.settings().page_max, self.page(&range, last.as_ref()));
            let page = self.unless_stopped(read).await?;
            let page = page.map_err(|_| CallError::DatabaseUnavailable)??;
            let Page {
                found,
                left_off,
                lines,
            } = page;
            for decision in &found {
                // Decisions of one instant are not parted: it is where another simulation begins.
                let at = decision.decision_time;
                if self.is_over() && self.reached.is_none_or(|reached| reached < at) {
                    return Ok(Some(at));
                }
                // Before it is replayed: a message that is full is sent with it.
                self.reached = Some(at);
                let lines = lines.get(&decision.key.order_key);
                self.decision(decision, lines.map_or(&[], Vec::as_slice))
                    .await?;
            }
            let Some(place) = left_off else {
                return Ok(None);
            };
            // Where nothing is seen for many pages, a stop must not wait for the next decision.
            let is_parted = self.reached.is_some_and(|reached| reached >= place.time);
            if self.app.closing.is_cancelled() && !is_parted {
                return Ok(Some(place.time));
            }
            self.send().await?;
            last = Some(place);
        }
    }

    fn settings(&self) -> SimulationSettings {
        self.app.simulations.settings
    }

    fn is_over(&self) -> bool {
        let is_enough = self.summary.decisions >= u64::from(self.request.decisions_max);
        is_enough || self.app.closing.is_cancelled()
    }

    async fn page(
        &self,
        range: &DecisionRange,
        after: Option<&DecisionPlace>,
    ) -> Result<Page, CallError> {
        let mut conn = self.app.pools.reads.checkout().await?;
        let read: Result<Page, DbError> = async {
            let DecisionPage { found, left_off } =
                decisions::page(&mut conn, range, after, PAGE_DECISIONS).await?;
            let keys = found.iter().map(|decision| decision.key.order_key);
            let mut keys: Vec<OrderKey> = keys.collect();
            keys.sort_unstable();
            keys.dedup();
            Ok(Page {
                lines: order_lines::of_orders(&mut conn, &keys).await?,
                found,
                left_off,
            })
        }
        .await;
        Ok(conn.finish_with(read)?)
    }

    async fn decision(
        &mut self,
        decision: &StoredDecision,
        lines: &[Line],
    ) -> Result<(), CallError> {
        self.summary.decisions += 1;
        let Ok(log) = serde_json::from_str::<DecisionLog>(&decision.record) else {
            self.summary.leave_out(NotReplayed::EarlierFormat);
            return Ok(());
        };
        let store = self.store().await?;
        let simulation = Simulation {
            policies: &store.policies,
            draft: &self.draft,
            filter: &self.request.filter,
        };
        let cases = simulation.replay(&RecordedDecision {
            accepted: decision.accepted,
            log: &log,
            lines,
        });
        for case in cases {
            match case {
                Ok(case) => {
                    self.summary.add(&case);
                    self.report(decision, &case).await?;
                }
                Err(reason) => self.summary.leave_out(reason),
            }
        }
        Ok(())
    }

    /// From memory, and never older than what decided a moment ago.
    async fn store(&self) -> Result<Arc<belay_domain::context::StoreConfig>, CallError> {
        let store: &StoreId = &self.request.store;
        let config = self.app.stores.config(store).await;
        config.map_err(|error| failure::of_stores(&error, store))
    }

    async fn report(&mut self, decision: &StoredDecision, case: &Case) -> Result<(), CallError> {
        if !case.differs() && !self.request.include_unchanged {
            return Ok(());
        }
        if self.reported >= self.request.cases_max {
            self.unreported += 1;
            return Ok(());
        }
        self.reported += 1;
        let case = render::case(&decision.order, decision.decision_time, case);
        self.bytes += case.encoded_len();
        self.cases.push(case);
        if self.bytes >= MESSAGE_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    fn message(&mut self) -> Message {
        self.bytes = 0;
        Message {
            cases: std::mem::take(&mut self.cases),
            progress: Some(render::progress(self.summary.decisions, self.reached)),
            summary: None,
        }
    }

    async fn send(&mut self) -> Result<(), CallError> {
        let message = self.message();
        let sent = timeout(self.settings().slow_max, self.messages.send(Ok(message)));
        match self.unless_stopped(sent).await? {
            // Where nobody takes messages any more, the simulation is dropped.
            Ok(_) => Ok(()),
            Err(_) => Err(CallError::WatcherTooSlow),
        }
    }

    /// What a stop waits for, but not for long.
    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, CallError> {
        let stopped = async {
            self.app.closing.cancelled().await;
            sleep(self.settings().stop_max).await;
        };
        tokio::select! {
            done = work => Ok(done),
            () = stopped => Err(CallError::DatabaseUnavailable),
        }
    }
}
