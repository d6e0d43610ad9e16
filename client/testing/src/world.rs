//! Everything that the server knows, in memory and behind one lock: what MySQL keeps for the real
//! one.
//!
//! What a command does is decided by the same code, [`Batch`]; here is only what is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use belay_domain::actor::Actor;
use belay_domain::commands::{Command, Work};
use belay_domain::context::StoreConfig;
use belay_domain::feed::{Consumer, PartitionEnds};
use belay_domain::ids::{OrderId, OrderKey, Partitions, StoreId};
use belay_domain::order::Order;
use belay_domain::records::{KnownRequest, NewDecision, RequestKey};
use belay_domain::rejection::Rejection;
use belay_domain::scope::Caller;
use belay_proto::v1 as pb;
use belay_wire::batch::{Answered, Batch, OrderChange, Reply, Submitted};
use belay_wire::events as wire_events;
use belay_wire::parse::CommandRequest;
use belay_wire::rejections::RequestIds;
use belay_wire::status::CallError;
use jiff::Timestamp;
use uuid::Uuid;

use crate::bulk::Jobs;
use crate::clock::Clock;
use crate::quality::Sellers;
use crate::reference::StoreRecords;
use crate::stock::Stocks;

/// Partitions of the feed, as a database has them where nobody says otherwise.
pub(crate) const PARTITIONS: Partitions = Partitions::ranges(NonZeroU16::new(64).expect("not 0"));

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) identity_key: [u8; 32],
    pub(crate) stores: BTreeMap<StoreId, StoreRecords>,
    pub(crate) orders: HashMap<OrderKey, Order>,
    /// Each order as it was before its last change, for reads that are to be stale.
    pub(crate) before: HashMap<OrderKey, Order>,
    /// Orders that have not changed since they were created.
    pub(crate) created: HashSet<OrderKey>,
    /// When something is due of which order.
    due: BTreeSet<(Timestamp, OrderKey)>,
    known: HashMap<RequestKey, KnownRequest>,
    pub(crate) decisions: Vec<NewDecision>,
    /// The log of each partition, its first row at position 1.
    pub(crate) log: Vec<Vec<LogRow>>,
    /// Rows that stock and sellers have not heard of, by partition and index: they hear of them
    /// when somebody asks, for most tests never do.
    unheard: Vec<(usize, usize)>,
    pub(crate) consumers: Vec<Consumer>,
    pub(crate) stocks: Stocks,
    pub(crate) sellers: Sellers,
    pub(crate) jobs: Jobs,
}

/// The events of one command on one order.
#[derive(Debug)]
pub(crate) struct LogRow {
    pub(crate) order: OrderKey,
    pub(crate) partition: u16,
    /// The position of the last of them.
    pub(crate) last: u64,
    count: u32,
    payload: Vec<u8>,
    read: OnceLock<Vec<pb::Event>>,
}

impl LogRow {
    /// They are read when somebody asks for the first time.
    ///
    /// # Panics
    /// If what was written cannot be read: a defect.
    pub(crate) fn events(&self) -> &[pb::Event] {
        self.read.get_or_init(|| {
            let read = wire_events::read(&self.payload, self.partition, self.last, self.count);
            read.unwrap_or_else(|error| panic!("stored events cannot be read: {error}"))
        })
    }

    /// How many bytes they take where they are stored.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.len()
    }
}

impl World {
    pub(crate) fn new(clock: Clock, identity_key: [u8; 32]) -> Self {
        let log = PARTITIONS.all().map(|_| Vec::new());
        Self {
            clock,
            identity_key,
            stores: BTreeMap::new(),
            orders: HashMap::new(),
            before: HashMap::new(),
            created: HashSet::new(),
            due: BTreeSet::new(),
            known: HashMap::new(),
            decisions: Vec::new(),
            log: log.collect(),
            unheard: Vec::new(),
            consumers: Vec::new(),
            stocks: Stocks::default(),
            sellers: Sellers::default(),
            jobs: Jobs::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The reference data of a store, as it is now.
    pub(crate) fn config(&self, store: &StoreId) -> Result<Arc<StoreConfig>, CallError> {
        let records = self.stores.get(store);
        let records = records.ok_or_else(|| CallError::StoreNotFound {
            store: store.to_string(),
        })?;
        Ok(records.config.clone())
    }

    /// Decides a command and keeps what comes of it.
    pub(crate) fn decide(
        &mut self,
        caller: &Caller,
        command: CommandRequest,
    ) -> Result<Answered, CallError> {
        let config = self.config(&command.store)?;
        let envelope = command.envelope;
        let request_id = envelope.request_id.unwrap_or_else(new_id);
        let named = RequestIds {
            order: envelope.order.clone(),
            child: envelope.child,
            request_id: Some(request_id),
        };
        if !self.is_there(&config, caller, &envelope.order, &command.work) {
            return Err(CallError::rejected(Rejection::OrderNotFound, named));
        }
        let asked = Asked {
            order: &envelope.order,
            request_id,
            expected_version: envelope.expected_version,
            work: &command.work,
        };
        match self.submit(&config, caller, asked)? {
            Reply::Answer(answer) => Ok(answer),
            Reply::Rejected(rejection) => Err(CallError::rejected(rejection, named)),
        }
    }

    /// Whether the order that a command is about is there for its caller, who may act for a buyer
    /// that it must know. Before anything else is said, even that the request id was used.
    fn is_there(
        &self,
        config: &StoreConfig,
        caller: &Caller,
        order: &OrderId,
        work: &Work,
    ) -> bool {
        let Work::Decide(command) = work else {
            return true;
        };
        let buyer = command.identities();
        let Some(order) = self.orders.get(&OrderKey::of(&config.id, order)) else {
            return false;
        };
        caller.scope.sees_order(order)
            && (buyer.is_empty() || buyer.iter().any(|identity| identity.is_of(&order.buyer)))
    }

    /// The same without words for a caller.
    pub(crate) fn submit(
        &mut self,
        config: &StoreConfig,
        caller: &Caller,
        asked: Asked<'_>,
    ) -> Result<Reply, CallError> {
        let defect = |error: String| CallError::Internal(error);
        let fingerprint = asked.work.fingerprint();
        let fingerprint = fingerprint.map_err(|error| defect(error.to_string()))?;
        let key = OrderKey::of(&config.id, asked.order);
        let submitted = Submitted {
            key,
            store: config,
            caller,
            request_id: asked.request_id,
            expected_version: asked.expected_version,
            work: asked.work,
            fingerprint: fingerprint.hash,
        };
        let loaded = self.orders.get(&key).map(|order| (key, order.clone()));
        let known = submitted.request_key().and_then(|key| {
            let known = self.known.get(&key)?.clone();
            Some((key, known))
        });
        let mut batch = Batch::new(
            loaded.into_iter().collect(),
            known.into_iter().collect(),
            self.now(),
            PARTITIONS,
        );
        // A panic in here is this command's alone, and has left no trace in the batch.
        let decided = catch_unwind(AssertUnwindSafe(|| batch.decide(&submitted)));
        let reply = decided.map_err(|_| defect("a decision panicked".to_owned()))?;
        let reply = reply.map_err(|error| defect(error.to_string()))?;
        self.keep(batch);
        Ok(reply)
    }

    /// All of what a batch has decided.
    fn keep(&mut self, mut batch: Batch) {
        for (key, OrderChange { before, after }) in batch.take_orders() {
            if before.as_ref() == Some(&after) {
                continue;
            }
            match before {
                Some(before) => {
                    self.created.remove(&key);
                    if let Some(due) = before.next_due() {
                        self.due.remove(&(due, key));
                    }
                    self.before.insert(key, before);
                }
                None => _ = self.created.insert(key),
            }
            self.due.extend(after.next_due().map(|due| (due, key)));
            self.orders.insert(key, after);
        }
        let requests = batch.new_requests.into_iter();
        self.known.extend(requests.map(|request| {
            let known = KnownRequest {
                fingerprint: request.fingerprint,
                answer: request.answer,
            };
            (request.key, known)
        }));
        self.decisions.extend(batch.new_decisions);
        for new in batch.new_events {
            let partition = usize::from(new.partition);
            let log = &mut self.log[partition];
            self.unheard.push((partition, log.len()));
            log.push(LogRow {
                order: new.order_key,
                partition: new.partition,
                last: log.last().map_or(0, |row| row.last) + u64::from(new.count),
                count: new.count,
                payload: new.payload,
                read: OnceLock::new(),
            });
        }
    }

    /// Has stock and sellers hear of all that has happened.
    pub(crate) fn project(&mut self) -> Result<(), CallError> {
        for (partition, index) in std::mem::take(&mut self.unheard) {
            let events = self.log[partition][index].events();
            self.stocks.hear(events)?;
            self.sellers.hear(events)?;
        }
        Ok(())
    }

    /// Applies what is due by now, as the server's workers do.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        let caller = Caller::everywhere(Actor::system());
        while let Some((due, key)) = self.due.first().copied()
            && due <= now
        {
            let order = &self.orders[&key];
            let (store, order) = (order.store.clone(), order.id.clone());
            let Ok(config) = self.config(&store) else {
                break;
            };
            let asked = Asked {
                order: &order,
                request_id: new_id(),
                expected_version: None,
                work: &Work::Decide(Command::Settle),
            };
            let settled = self.submit(&config, &caller, asked);
            // What does not move on by itself is left alone, as a worker would.
            if settled.is_err() || self.due.contains(&(due, key)) {
                self.due.remove(&(due, key));
            }
        }
    }

    /// Moves the clock on and applies what has come due.
    pub(crate) fn advance(&mut self, by: Duration) -> Result<(), CallError> {
        // What was counted until now crossed its thresholds before.
        self.evaluate_sellers()?;
        self.clock.advance(by);
        self.settle();
        self.evaluate_sellers()
    }

    /// Looks at sellers whose windows have moved on, and at those of whom something was counted.
    pub(crate) fn evaluate_sellers(&mut self) -> Result<(), CallError> {
        self.project()?;
        let (now, stores) = (self.now(), &self.stores);
        self.sellers.evaluate(now, |store| {
            stores.get(store).map(|records| records.config.clone())
        });
        Ok(())
    }

    /// Where the partitions end.
    pub(crate) fn ends(&self) -> Vec<PartitionEnds> {
        let end = |rows: &Vec<LogRow>| PartitionEnds {
            last: rows.last().map_or(0, |row| row.last),
            pruned: 0,
            expiring: 0,
        };
        self.log.iter().map(end).collect()
    }
}

/// The part of a command that a caller decides on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) order: &'a OrderId,
    pub(crate) request_id: Uuid,
    pub(crate) expected_version: Option<u64>,
    pub(crate) work: &'a Work,
}

/// An id for what nobody has named.
pub(crate) fn new_id() -> Uuid {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one home of ids in this crate"
    )]
    Uuid::new_v4()
}
