//! The commands of one transaction, decided one after the other on orders that were loaded. Whoever
//! keeps orders loads them, lets a [`Batch`] decide, and writes what it gives back: all of it or
//! nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use belay_domain::commands::{self, Command, CreateOrder, Work};
use belay_domain::context::{Context, StoreConfig};
use belay_domain::decision::{Answer, Decision};
use belay_domain::ids::{OrderKey, Partitions};
use belay_domain::order::Order;
use belay_domain::records::{KnownRequest, NewDecision, NewEvents, NewRequest, RequestKey};
use belay_domain::rejection::Rejection;
use belay_domain::scope::Caller;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::answers::{ResponseContext, StoredAnswerError};
use crate::views::Viewer;
use crate::{answers, events};

/// A command to decide, with its caller and the reference data of its store.
#[derive(Debug, Clone, Copy)]
pub struct Submitted<'a> {
    pub key: OrderKey,
    pub store: &'a StoreConfig,
    pub caller: &'a Caller,
    pub request_id: Uuid,
    /// The version that the caller decided on, where it named one.
    pub expected_version: Option<u64>,
    pub work: &'a Work,
    /// Of the work.
    pub fingerprint: [u8; 32],
}

impl Submitted<'_> {
    /// Where the answer to this command is kept; none for commands that are their own guard.
    pub fn request_key(&self) -> Option<RequestKey> {
        let is_kept = self.work.is_kept_by_request();
        is_kept.then(|| self.decision_key())
    }

    /// Where the questions put to a policy are kept, whatever the command: those of a deadline that
    /// passed too.
    fn decision_key(&self) -> RequestKey {
        RequestKey::of(self.key, self.request_id, &self.caller.actor)
    }

    fn context(&self, now: Timestamp) -> Context<'_> {
        Context {
            now,
            caller: &self.caller.actor,
            scope: &self.caller.scope,
            request_id: self.request_id,
            store: self.store,
        }
    }

    fn answer(&self, answer: &Answer, order: &Order, now: Timestamp) -> Reply {
        let response = ResponseContext {
            answer,
            order,
            store: self.store,
            now,
            request_id: self.request_id,
            viewer: &Viewer::of_whole(self.caller.actor.role),
        };
        Reply::Answer(Answered {
            message: answers::render(self.work, &response),
            version: order.version,
        })
    }
}

/// The reply to a command that was decided, now or when it was first sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Answer(Answered),
    Rejected(Rejection),
}

/// The answer to a command that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The encoded response message.
    pub message: Vec<u8>,
    /// The version of the order by which all that the command did is there.
    pub version: u64,
}

/// The orders of a transaction, as they were and as they have become, and what else is to be
/// written.
#[derive(Debug)]
pub struct Batch {
    orders: HashMap<OrderKey, OrderChange>,
    /// Answers that were given before: by an earlier batch or earlier in this one.
    known: HashMap<RequestKey, KnownRequest>,
    now: Timestamp,
    partitions: Partitions,
    pub new_requests: Vec<NewRequest>,
    pub new_decisions: Vec<NewDecision>,
    pub new_events: Vec<NewEvents>,
}

/// One order of a batch.
#[derive(Debug)]
pub struct OrderChange {
    /// None for an order that this batch creates.
    pub before: Option<Order>,
    pub after: Order,
}

impl Batch {
    /// Of the orders that were found, and of the requests about them that were decided before.
    pub fn new(
        loaded: HashMap<OrderKey, Order>,
        known: HashMap<RequestKey, KnownRequest>,
        now: Timestamp,
        partitions: Partitions,
    ) -> Self {
        let change = |order: Order| OrderChange {
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
            partitions,
            new_requests: Vec::new(),
            new_decisions: Vec::new(),
            new_events: Vec::new(),
        }
    }

    /// The same orders as they were loaded, with nothing decided yet, for deciding anew with what
    /// is known of requests by now.
    #[must_use]
    pub fn afresh(self, known: HashMap<RequestKey, KnownRequest>) -> Self {
        let loaded = self.orders.into_iter();
        let loaded = loaded.filter_map(|(key, change)| Some((key, change.before?)));
        Self::new(loaded.collect(), known, self.now, self.partitions)
    }

    /// Whether the answer to this request is known, or will be written by this batch. Its row is
    /// unique: if the request was decided before and that is not known, the write is refused.
    pub fn has_answer(&self, request: &RequestKey) -> bool {
        self.known.contains_key(request)
    }

    /// The orders, whether they have changed or not.
    pub fn orders(&self) -> impl Iterator<Item = (&OrderKey, &OrderChange)> {
        self.orders.iter()
    }

    /// The orders, whether they have changed or not; the batch is left without them.
    pub fn take_orders(&mut self) -> HashMap<OrderKey, OrderChange> {
        std::mem::take(&mut self.orders)
    }

    /// Decides a command on top of those before it. Nothing becomes part of the batch before all of
    /// it is made: one that panics has left no trace.
    ///
    /// # Errors
    /// Where the answer was given before and cannot be read any more.
    pub fn decide(&mut self, command: &Submitted<'_>) -> Result<Reply, StoredAnswerError> {
        let reply = self.decide_whole(command)?;
        self.seen(command, reply)
    }

    /// The reply as the caller sees it, whether it is given now or again.
    fn seen(&self, command: &Submitted<'_>, reply: Reply) -> Result<Reply, StoredAnswerError> {
        let Some(OrderChange { after, .. }) = self.orders.get(&command.key) else {
            return Ok(reply);
        };
        let viewer = Viewer::of(command.caller, after);
        if viewer.sees_whole() {
            return Ok(reply);
        }
        match reply {
            Reply::Answer(Answered { message, version }) => Ok(Reply::Answer(Answered {
                message: answers::seen(&viewer, command.work, &message)?,
                version,
            })),
            // The terms name the money.
            Reply::Rejected(Rejection::QuoteMismatch { .. }) => {
                Ok(Reply::Rejected(Rejection::QuoteMismatch {
                    quoted: String::new(),
                    present: String::new(),
                }))
            }
            rejected @ Reply::Rejected(_) => Ok(rejected),
        }
    }

    fn decide_whole(&mut self, command: &Submitted<'_>) -> Result<Reply, StoredAnswerError> {
        // An answer is not repeated to a caller who no longer sees the order.
        if let Work::Decide(wanted) = command.work
            && let Some(OrderChange { after, .. }) = self.orders.get(&command.key)
            && let Caller { actor, scope } = command.caller
            && let Err(rejection) = commands::check_scope(after, wanted, actor, scope)
        {
            return Ok(Reply::Rejected(rejection));
        }
        let request_key = command.request_key();
        if let Some(known) = request_key.as_ref().and_then(|key| self.known.get(key)) {
            return if known.fingerprint == command.fingerprint {
                let order = self.orders.get(&command.key);
                let version = order.map_or(0, |change| change.after.version);
                decode(&known.answer, version).map(|kept| self.repeat(command, kept))
            } else {
                Ok(Reply::Rejected(Rejection::RequestIdReused))
            };
        }
        let Decided { reply, decision } = match command.work {
            Work::Create(creation) => self.decide_creation(command, creation),
            Work::Decide(wanted) => self.decide_command(command, wanted),
        };
        if let Some(decision) = decision {
            let writes = self.writes(command, request_key, &reply, decision);
            self.apply(command.key, writes);
        }
        Ok(reply)
    }

    /// The reply to a command that was decided before. An answer that is the order is kept without
    /// what it holds, and shows the order as it stands.
    fn repeat(&self, command: &Submitted<'_>, kept: Reply) -> Reply {
        let order = self.orders.get(&command.key).map(|change| &change.after);
        match (&kept, command.work, order) {
            (Reply::Answer(_), Work::Decide(decided), Some(order))
                if decided.is_answered_by_order() =>
            {
                command.answer(&Answer::Order, order, self.now.max(order.update_time))
            }
            _ => kept,
        }
    }

    fn decide_creation(&self, command: &Submitted<'_>, creation: &CreateOrder) -> Decided {
        let now = self.now;
        let (fingerprint, context) = (command.fingerprint, command.context(now));
        if let Some(OrderChange { after, .. }) = self.orders.get(&command.key) {
            let again = commands::create_again(after, creation, fingerprint, &context);
            let reply = match again {
                Ok(()) => command.answer(&Answer::Order, after, now),
                Err(rejection) => Reply::Rejected(rejection),
            };
            return Decided {
                reply,
                decision: None,
            };
        }
        match commands::create(creation, fingerprint, &context) {
            Ok(decision) => Decided {
                reply: command.answer(&Answer::Order, &decision.order, now),
                decision: Some(decision),
            },
            Err(rejection) => Decided {
                reply: Reply::Rejected(rejection),
                decision: None,
            },
        }
    }

    fn decide_command(&self, command: &Submitted<'_>, wanted: &Command) -> Decided {
        let Some(OrderChange { after: order, .. }) = self.orders.get(&command.key) else {
            return Decided {
                reply: Reply::Rejected(Rejection::OrderNotFound),
                decision: None,
            };
        };
        let now = self.now.max(order.update_time);
        let expected_version = command.expected_version;
        let decision = commands::decide(order, wanted, expected_version, &command.context(now));
        let reply = match &decision.result {
            Ok(answer) => command.answer(answer, &decision.order, now),
            Err(rejection) => Reply::Rejected(rejection.clone()),
        };
        Decided {
            reply,
            decision: Some(decision),
        }
    }

    /// Everything that a decision leaves.
    fn writes(
        &self,
        command: &Submitted<'_>,
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
        let partition = command.key.partition(self.partitions);
        let events = (!events.is_empty()).then(|| NewEvents {
            partition,
            order_key: command.key,
            store: order.store.clone(),
            order_version: order.version,
            event_time: now,
            count: u32::try_from(events.len())
                .unwrap_or_else(|_| panic!("{} events of one command", events.len())),
            payload: events::render(&order, &events, partition),
        });
        let is_stored = result.as_ref().err().is_none_or(Rejection::is_stored);
        let decision = log.and_then(|mut log| {
            log.rejected = result.as_ref().err().map(Rejection::reason);
            Some(NewDecision {
                key: command.decision_key(),
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
            fingerprint: command.fingerprint,
            answer: match (&result, command.work) {
                (Ok(_), Work::Decide(decided)) if decided.is_answered_by_order() => {
                    encode_answer(&answers::order_head(&order, command.request_id))
                }
                _ => encode(reply),
            },
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
                entry.insert(OrderChange {
                    before: None,
                    after: writes.order,
                });
            }
        }
    }
}

/// A reply, and what is to be written for it; nothing where it repeats or refuses without a
/// decision.
struct Decided {
    reply: Reply,
    decision: Option<Decision>,
}

/// The writes of one decision.
struct Writes {
    order: Order,
    events: Option<NewEvents>,
    decision: Option<NewDecision>,
    request: Option<NewRequest>,
}

/// A rejection as it is kept in a request row. The variants' names and fields are a stored format.
#[derive(Serialize, Deserialize)]
enum StoredRejection {
    Rejected(Rejection),
}

/// First byte of a stored answer.
const STORED_ANSWER: u8 = 1;
const STORED_REJECTION: u8 = 2;

fn encode(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Answer(answer) => encode_answer(&answer.message),
        Reply::Rejected(rejection) => {
            let stored_rejection =
                serde_json::to_vec(&StoredRejection::Rejected(rejection.clone()));
            let stored_rejection = stored_rejection
                .unwrap_or_else(|error| panic!("a rejection is plain data: {error}"));
            [&[STORED_REJECTION], stored_rejection.as_slice()].concat()
        }
    }
}

fn encode_answer(message: &[u8]) -> Vec<u8> {
    [&[STORED_ANSWER], message].concat()
}

/// `version` is that of the order as it stands: what was done before is in it.
fn decode(stored: &[u8], version: u64) -> Result<Reply, StoredAnswerError> {
    match stored.split_first() {
        Some((&STORED_ANSWER, message)) => Ok(Reply::Answer(Answered {
            message: message.to_vec(),
            version,
        })),
        Some((&STORED_REJECTION, stored_rejection)) => {
            let StoredRejection::Rejected(rejection) = serde_json::from_slice(stored_rejection)?;
            Ok(Reply::Rejected(rejection))
        }
        _ => Err(StoredAnswerError::Form),
    }
}
