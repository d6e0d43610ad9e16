//! One batch inside its transaction: load, decide one command after the other, write what changed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use belay_domain::commands::{self, Answer, Command, Decision, Work};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::order::Order;
use belay_domain::rejection::Rejection;
use belay_domain::scope::Caller;
use diesel_async::AsyncMysqlConnection;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::job::{self, EngineError, Job, Reply, Submission};
use crate::db::DbError;
use crate::db::aggregate;
use crate::db::clock::Clock;
use crate::db::decisions::{self, NewDecision};
use crate::db::events::{self, NewEvents, StoredEvents};
use crate::db::orders::{self, OnLocked};
use crate::db::requests::{self, KnownRequest, NewRequest, RequestKey};

pub(super) type Outcome = Result<Reply, EngineError>;

/// The context that all decisions of a batch share.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchContext<'a> {
    /// Of every store that has a command in the batch.
    pub(super) configs: &'a HashMap<StoreId, Arc<StoreConfig>>,
    pub(super) partitions: u16,
    pub(super) clock: Clock,
}

/// Decides these commands in their order and writes all that came of them. Outcomes stand in the
/// order of the jobs; with them come the rows of the feed.
pub(super) async fn decide_and_write(
    connection: &mut AsyncMysqlConnection,
    jobs: &[Job],
    on_locked: OnLocked,
    context: BatchContext<'_>,
) -> Result<(Vec<Outcome>, Vec<StoredEvents>), DbError> {
    let locked = orders::lock(connection, &job::sorted_keys(jobs), on_locked).await?;
    // Read after the locks: a decision is never before what it waited for.
    let locked_at = locked.iter().map(|order| order.locked_at).max();
    let now = match (context.clock, locked_at) {
        (Clock::Database, Some(now)) => now,
        (clock, _) => clock.now(connection).await?,
    };
    let request_keys: Vec<RequestKey> = jobs.iter().filter_map(Job::request_key).collect();
    // Orders that are not there have no requests: a batch of creations asks nothing.
    let known = if locked.is_empty() {
        HashMap::new()
    } else {
        requests::find(connection, &request_keys).await?
    };
    let loaded = aggregate::load_children(connection, locked).await?;

    let mut state = BatchState::new(loaded, known, now, context);
    let outcomes: Vec<Outcome> = jobs.iter().map(|job| state.decide(job)).collect();
    let positions = state.write(connection).await?;
    Ok((outcomes, state.stored(positions)))
}

impl Job {
    /// Where the answer to this command is kept; none for commands that are their own guard.
    fn request_key(&self) -> Option<RequestKey> {
        let is_kept = self.submission.work.is_kept_by_request();
        is_kept.then(|| self.decision_key())
    }

    /// Where the questions put to a policy are kept, whatever the command: those of a deadline that
    /// passed too.
    fn decision_key(&self) -> RequestKey {
        let caller = &self.submission.caller.actor;
        RequestKey {
            order_key: self.key,
            request_id: self.submission.request_id,
            caller: format!("{}/{}", caller.role, caller.id),
        }
    }
}

/// The state of a batch: its orders as they were and as they have become.
struct BatchState<'a> {
    orders: HashMap<OrderKey, Change>,
    /// Answers that were given before: by an earlier batch or earlier in this one.
    known: HashMap<RequestKey, KnownRequest>,
    now: Timestamp,
    context: BatchContext<'a>,
    new_requests: Vec<NewRequest>,
    new_decisions: Vec<NewDecision>,
    new_events: Vec<NewEvents>,
}

struct Change {
    /// None for an order that this batch creates.
    before: Option<Order>,
    after: Order,
}

/// A rejection as it is kept in a request row. The variants' names and fields are a stored format.
#[derive(Serialize, Deserialize)]
enum StoredRejection {
    Rejected(Rejection),
}

/// First byte of a stored answer.
const STORED_ANSWER: u8 = 1;
const STORED_REJECTION: u8 = 2;

impl<'a> BatchState<'a> {
    fn new(
        loaded: HashMap<OrderKey, Order>,
        known: HashMap<RequestKey, KnownRequest>,
        now: Timestamp,
        context: BatchContext<'a>,
    ) -> Self {
        let change = |order: Order| Change {
            before: Some(order.clone()),
            after: order,
        };
        Self {
            orders: loaded
                .into_iter()
                .map(|(key, order)| (key, change(order)))
                .collect(),
            known,
            now,
            context,
            new_requests: Vec::new(),
            new_decisions: Vec::new(),
            new_events: Vec::new(),
        }
    }

    fn decide(&mut self, job: &Job) -> Outcome {
        // An answer is not repeated to a caller who no longer sees the order.
        if let Work::Decide(command) = &job.submission.work
            && let Some(Change { after, .. }) = self.orders.get(&job.key)
            && let Err(rejection) =
                commands::check_scope(after, command, &job.submission.caller.scope)
        {
            return Ok(Reply::Rejected(rejection));
        }
        let request_key = job.request_key();
        if let Some(known) = request_key.as_ref().and_then(|key| self.known.get(key)) {
            return if known.fingerprint == job.fingerprint {
                decode(&known.answer)
            } else {
                Ok(Reply::Rejected(Rejection::RequestIdReused))
            };
        }
        // A panic in here is this command's alone: nothing is applied before all of it is made.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let Decided { reply, decision } = match &job.submission.work {
                Work::Create(command) => self.decide_creation(job, command),
                Work::Decide(command) => self.decide_command(job, command),
            };
            let writes = decision.map(|decision| self.writes(job, request_key, &reply, decision));
            (reply, writes)
        }));
        match decided {
            Ok((reply, writes)) => {
                if let Some(writes) = writes {
                    self.apply(job.key, writes);
                }
                Ok(reply)
            }
            Err(_) => {
                let submission = &job.submission;
                job.call.in_scope(|| {
                    tracing::error!(
                        store.id = %submission.store.id,
                        order.id = %submission.order,
                        request.id = %submission.request_id,
                        "a decision panicked"
                    );
                });
                Err(EngineError::Internal)
            }
        }
    }

    fn decide_creation(&self, job: &Job, command: &commands::CreateOrder) -> Decided {
        let submission = &job.submission;
        let render = |order: &Order| {
            let (work, store) = (&submission.work, self.store_of(job));
            Reply::Answer(belay_wire::answers::render(
                work,
                &Answer::Order,
                order,
                store,
                self.now,
                submission.request_id,
            ))
        };
        if let Some(Change { after, .. }) = self.orders.get(&job.key) {
            let context = self.context(job, self.now);
            let reply = match commands::create_again(after, command, job.fingerprint, &context) {
                Ok(()) => render(after),
                Err(rejection) => Reply::Rejected(rejection),
            };
            return Decided {
                reply,
                decision: None,
            };
        }
        match commands::create(command, job.fingerprint, &self.context(job, self.now)) {
            Ok(decision) => Decided {
                reply: render(&decision.order),
                decision: Some(decision),
            },
            Err(rejection) => Decided {
                reply: Reply::Rejected(rejection),
                decision: None,
            },
        }
    }

    fn decide_command(&self, job: &Job, command: &Command) -> Decided {
        let submission = &job.submission;
        let Some(Change { after: order, .. }) = self.orders.get(&job.key) else {
            return Decided {
                reply: Reply::Rejected(Rejection::OrderNotFound),
                decision: None,
            };
        };
        let now = self.now.max(order.update_time);
        let decision = commands::decide(
            order,
            command,
            submission.expected_version,
            &self.context(job, now),
        );
        let reply = match &decision.result {
            Ok(answer) => {
                let (work, store) = (&submission.work, self.store_of(job));
                let id = submission.request_id;
                Reply::Answer(belay_wire::answers::render(
                    work,
                    answer,
                    &decision.order,
                    store,
                    now,
                    id,
                ))
            }
            Err(rejection) => Reply::Rejected(rejection.clone()),
        };
        Decided {
            reply,
            decision: Some(decision),
        }
    }

    fn context<'j>(&'j self, job: &'j Job, now: Timestamp) -> Context<'j> {
        let Submission {
            caller, request_id, ..
        } = &job.submission;
        let Caller { actor, scope } = caller;
        Context {
            now,
            caller: actor,
            scope,
            request_id: *request_id,
            store: self.store_of(job),
        }
    }

    fn store_of<'j>(&'j self, job: &'j Job) -> &'j StoreConfig {
        let store = &job.submission.store;
        self.context.configs.get(&store.id).unwrap_or(store)
    }

    /// All rows that a decision puts into the database.
    fn writes(
        &self,
        job: &Job,
        request_key: Option<RequestKey>,
        reply: &Reply,
        decision: Decision,
    ) -> Writes {
        let Decision {
            order,
            events,
            result,
            log,
        } = decision;
        let now = self.now.max(order.update_time);
        let partition = job.key.partition(self.context.partitions);
        let events = (!events.is_empty()).then(|| NewEvents {
            partition,
            order_key: job.key,
            store: order.store.clone(),
            order_version: order.version,
            event_time: now,
            count: u32::try_from(events.len())
                .unwrap_or_else(|_| panic!("{} events of one command", events.len())),
            payload: belay_wire::events::render(&order, &events, partition),
        });
        let is_stored = result.as_ref().err().is_none_or(Rejection::is_stored);
        let decision = log.and_then(|log| {
            Some(NewDecision {
                key: job.decision_key(),
                store: order.store.clone(),
                decision_time: now,
                policy_version: log.evaluations.last()?.policy_version,
                accepted: result.is_ok(),
                record: serde_json::to_string(&log)
                    .unwrap_or_else(|error| panic!("a decision log is plain data: {error}")),
            })
        });
        let request = request_key.filter(|_| is_stored).map(|key| NewRequest {
            key,
            fingerprint: job.fingerprint,
            answer: encode(reply),
            create_time: now,
        });
        Writes {
            order,
            events,
            decision,
            request,
        }
    }

    /// Makes a decision part of the batch: the next command on this order is decided on top of it.
    fn apply(&mut self, key: OrderKey, writes: Writes) {
        self.new_events.extend(writes.events);
        self.new_decisions.extend(writes.decision);
        if let Some(request) = writes.request {
            let known = KnownRequest {
                fingerprint: request.fingerprint,
                answer: request.answer.clone(),
            };
            self.known.insert(request.key.clone(), known);
            self.new_requests.push(request);
        }
        match self.orders.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().after = writes.order,
            Entry::Vacant(entry) => {
                entry.insert(Change {
                    before: None,
                    after: writes.order,
                });
            }
        }
    }

    /// Writes what changed, many rows a statement. The heads of the partitions are locked last, for
    /// they are what batches of other servers wait for.
    async fn write(&self, connection: &mut AsyncMysqlConnection) -> Result<Vec<u64>, DbError> {
        let (mut created, mut changed) = (Vec::new(), Vec::new());
        let partitions = self.context.partitions;
        for (key, Change { before, after }) in &self.orders {
            match before {
                None => created.push((after, key.partition(partitions))),
                Some(before) if before != after => changed.push((before, after)),
                Some(_) => {}
            }
        }
        created.sort_by_key(|(order, _)| order.key());
        changed.sort_by_key(|(_, order)| order.key());
        if !created.is_empty() {
            aggregate::insert(connection, &created).await?;
        }
        if !changed.is_empty() {
            aggregate::update(connection, &changed).await?;
        }
        if !self.new_decisions.is_empty() {
            decisions::insert(connection, &self.new_decisions).await?;
        }
        if !self.new_requests.is_empty() {
            requests::insert(connection, &self.new_requests).await?;
        }
        if self.new_events.is_empty() {
            return Ok(Vec::new());
        }
        events::append(connection, &self.new_events).await
    }

    /// The events as they stand in the feed, each row at its position.
    fn stored(self, positions: Vec<u64>) -> Vec<StoredEvents> {
        let rows = self.new_events.into_iter().zip(positions);
        rows.map(|(events, last_position)| StoredEvents {
            partition: events.partition,
            last_position,
            count: events.count,
            payload: events.payload,
        })
        .collect()
    }
}

/// A reply, and what is to be written for it; nothing where it repeats or refuses without a
/// decision.
struct Decided {
    reply: Reply,
    decision: Option<Decision>,
}

/// The writes of one decision, as rows.
struct Writes {
    order: Order,
    events: Option<NewEvents>,
    decision: Option<NewDecision>,
    request: Option<NewRequest>,
}

fn encode(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Answer(answer) => [&[STORED_ANSWER], answer.as_slice()].concat(),
        Reply::Rejected(rejection) => {
            let stored_rejection =
                serde_json::to_vec(&StoredRejection::Rejected(rejection.clone()));
            let stored_rejection = stored_rejection
                .unwrap_or_else(|error| panic!("a rejection is plain data: {error}"));
            [&[STORED_REJECTION], stored_rejection.as_slice()].concat()
        }
    }
}

fn decode(stored: &[u8]) -> Outcome {
    match stored.split_first() {
        Some((&STORED_ANSWER, answer)) => Ok(Reply::Answer(answer.to_vec())),
        Some((&STORED_REJECTION, stored_rejection)) => {
            match serde_json::from_slice(stored_rejection) {
                Ok(StoredRejection::Rejected(rejection)) => Ok(Reply::Rejected(rejection)),
                Err(error) => {
                    tracing::error!(%error, "a stored rejection cannot be read");
                    Err(EngineError::Internal)
                }
            }
        }
        _ => {
            tracing::error!("a stored answer has no known form");
            Err(EngineError::Internal)
        }
    }
}
