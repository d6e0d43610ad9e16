//! Bulk cancellations: one request for many orders.
//!
//! A job selects its orders and then sends each an ordinary command, so what becomes of an order is
//! decided by the rules of a single request. Here is what the job itself is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::actor::Role;
use crate::commands::RequestCancellation;
use crate::error_reason::ErrorReason;
use crate::ids::{OrderId, OrderKey, SellerId, Sku, StoreId, WarehouseId};
use crate::names::named_enum;
use crate::order::OrderState;
use crate::rejection::Rejection;
use crate::scope::Caller;

/// Orders of one job.
pub const ORDERS_MAX: u32 = 100_000;
/// Orders that one request names.
pub const NAMED_ORDERS_MAX: usize = 10_000;
/// Jobs of one store that have not ended.
pub const OPEN_JOBS_MAX: usize = 16;
/// Orders asked per second.
pub const ORDERS_PER_SECOND_MAX: u16 = 1_000;
pub const ORDERS_PER_SECOND_DEFAULT: u16 = 50;

/// The states in which something of an order has not left: those that a filter without states
/// means.
pub const OPEN_STATES: [OrderState; 4] = [
    OrderState::AwaitingPayment,
    OrderState::ToShip,
    OrderState::Processing,
    OrderState::PartlyShipped,
];

named_enum! {
    /// The state of a job.
    pub enum JobState {
        Selecting = "SELECTING",
        Running = "RUNNING",
        Stopping = "STOPPING",
        Completed = "COMPLETED",
        Stopped = "STOPPED",
        Failed = "FAILED",
    }
}

impl JobState {
    /// Those in which something is left to do.
    pub const OPEN: [JobState; 3] = [JobState::Selecting, JobState::Running, JobState::Stopping];

    pub fn is_open(self) -> bool {
        Self::OPEN.contains(&self)
    }

    /// The states that may follow, each with what leads to it.
    pub fn next(self) -> &'static [(JobState, &'static str)] {
        const STOP: (JobState, &str) = (JobState::Stopping, "StopBulkCancellation");
        const TOO_MANY: (JobState, &str) = (JobState::Failed, "more orders than a job may have");
        const ASKED: (JobState, &str) = (JobState::Completed, "every order has a result");
        match self {
            JobState::Selecting => &[
                (JobState::Running, "all orders are selected"),
                STOP,
                TOO_MANY,
            ],
            JobState::Running => &[ASKED, STOP],
            // What ends by itself at that moment has nothing to stop.
            JobState::Stopping => &[
                (JobState::Stopped, "nothing is on its way any more"),
                ASKED,
                TOO_MANY,
            ],
            JobState::Completed | JobState::Stopped | JobState::Failed => &[],
        }
    }

    /// The state that a job goes to from here, which is one that may follow.
    #[must_use]
    pub fn moved(self, to: Self) -> Self {
        let may_follow = self.next().iter().any(|(next, _)| *next == to);
        debug_assert!(may_follow, "{to} does not follow {self}");
        to
    }

    /// After somebody has asked for a stop.
    #[must_use]
    pub fn stopping(self) -> Self {
        match self {
            JobState::Selecting | JobState::Running => self.moved(JobState::Stopping),
            JobState::Stopping | JobState::Completed | JobState::Stopped | JobState::Failed => self,
        }
    }
}

named_enum! {
    /// The outcome of a job for an order.
    pub enum BulkOutcome {
        Waiting = "WAITING",
        Completed = "COMPLETED",
        Pending = "PENDING",
        Rejected = "REJECTED",
        Failed = "FAILED",
    }
}

/// The key of a job, as a hash of its store and id: the ids of two stores never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub [u8; 16]);

impl JobKey {
    pub fn of(store: &StoreId, id: Uuid) -> Self {
        Self(hash(&[id.as_bytes(), store.as_str().as_bytes()]))
    }

    /// The request id of the command that the job sends to an order: the same however often it is
    /// sent.
    pub fn request_id(self, order: &OrderId) -> Uuid {
        Builder::from_custom_bytes(hash(&[&self.0, order.as_str().as_bytes()])).into_uuid()
    }
}

/// All parts but the last have one length.
fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    hash
}

/// A filter of the orders of a store: all given fields must match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkFilter {
    pub sku: Option<Sku>,
    /// Of a shipment that has not left it.
    pub warehouse: Option<WarehouseId>,
    pub seller: Option<SellerId>,
    pub country: Option<String>,
    pub city: Option<String>,
    /// At least one.
    pub states: Vec<OrderState>,
    /// `from ≤ create_time < before`.
    pub create_time_from: Option<Timestamp>,
    pub create_time_before: Option<Timestamp>,
}

/// The orders that a job is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BulkSelection {
    /// So many orders, by id.
    Named(u32),
    Filter(BulkFilter),
}

/// A bulk cancellation, apart from its results.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub store: StoreId,
    pub id: Uuid,
    /// Who started it: the commands are sent as this caller's.
    pub caller: Caller,
    pub selection: BulkSelection,
    /// Sent to each order.
    pub command: RequestCancellation,
    pub is_dry_run: bool,
    pub orders_per_second: u16,
    /// Of what was asked: tells a repeat of the request from another one.
    pub fingerprint: [u8; 32],
    pub state: JobState,
    pub counts: Counts,
    /// Of a job that FAILED.
    pub failure: Option<ErrorReason>,
    pub create_time: Timestamp,
    pub end_time: Option<Timestamp>,
}

impl Job {
    pub fn key(&self) -> JobKey {
        JobKey::of(&self.store, self.id)
    }

    /// Whether the caller sees this job. Its caller does; the same actor with another scope is
    /// another caller, for a proxy may name scopes alone.
    pub fn is_seen_by(&self, caller: &Caller) -> bool {
        self.caller == *caller || sees_every_job(caller)
    }

    /// Whether `again` asks what this job was started with.
    pub fn repeats(&self, again: &Job) -> bool {
        self.fingerprint == again.fingerprint && self.caller == again.caller
    }
}

/// Whether the caller sees the jobs of all callers.
pub fn sees_every_job(caller: &Caller) -> bool {
    let is_above = matches!(
        caller.actor.role,
        Role::Support | Role::Operator | Role::Auditor
    );
    is_above && caller.scope.sees_every_order()
}

/// The numbers of a job's orders, by what came of them, and what goes back for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub total: u32,
    pub completed: u32,
    pub pending: u32,
    pub rejected: u32,
    pub failed: u32,
    /// By the code of the currency, in minor units.
    pub refunds: BTreeMap<String, i64>,
}

impl Counts {
    pub fn waiting(&self) -> u32 {
        self.total
            .saturating_sub(self.completed + self.pending + self.rejected + self.failed)
    }

    /// Counts the first result of an order.
    pub fn count(&mut self, result: &OrderResult) {
        match result {
            OrderResult::Accepted {
                is_pending, refund, ..
            } => {
                let counted = if *is_pending {
                    &mut self.pending
                } else {
                    &mut self.completed
                };
                *counted += 1;
                if let Some((currency, amount)) = refund {
                    let sum = self.refunds.entry(currency.clone()).or_default();
                    *sum = sum.saturating_add(*amount);
                }
            }
            OrderResult::Rejected(_) => self.rejected += 1,
            OrderResult::Failed(_) => self.failed += 1,
        }
    }
}

/// The result of an order.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderResult {
    Accepted {
        /// Whether the cancellation waits for somebody.
        is_pending: bool,
        /// The number of the cancellation.
        cancellation: u32,
        /// The currency's code, and minor units.
        refund: Option<(String, i64)>,
    },
    Rejected(Rejection),
    /// It could not be asked.
    Failed(ErrorReason),
}

impl OrderResult {
    pub fn outcome(&self) -> BulkOutcome {
        match self {
            OrderResult::Accepted {
                is_pending: true, ..
            } => BulkOutcome::Pending,
            OrderResult::Accepted { .. } => BulkOutcome::Completed,
            OrderResult::Rejected(_) => BulkOutcome::Rejected,
            OrderResult::Failed(_) => BulkOutcome::Failed,
        }
    }
}

/// An order of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobOrder {
    pub order_key: OrderKey,
    pub order: OrderId,
    /// None while it waits.
    pub result: Option<OrderResult>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::Actor;
    use crate::commands::Selection;
    use crate::scope::{IdFilter, Scope};
    use crate::terms::IneligibleUnits;

    fn store(id: &str) -> StoreId {
        StoreId::parse(id).unwrap()
    }

    fn order(id: &str) -> OrderId {
        OrderId::parse(id).unwrap()
    }

    #[test]
    fn the_request_id_of_an_order_is_its_own_and_always_the_same() {
        let id = Uuid::from_u128(7);
        let (job, other) = (JobKey::of(&store("a"), id), JobKey::of(&store("b"), id));
        assert_ne!(job, other, "two stores may use one id");
        assert_eq!(job.request_id(&order("A-1")), job.request_id(&order("A-1")));
        let ids = [
            job.request_id(&order("A-1")),
            job.request_id(&order("A-2")),
            other.request_id(&order("A-1")),
        ];
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }

    #[test]
    fn a_job_is_seen_by_its_caller_and_by_who_sees_every_order_above() {
        let of = |role, id, seller: Option<&str>| Caller {
            actor: Actor::new(role, id),
            scope: Scope {
                sellers: seller.map_or(IdFilter::All, |seller| {
                    IdFilter::Only([SellerId::parse(seller).unwrap()].into())
                }),
                ..Scope::EVERYTHING
            },
        };
        let table = [
            (of(Role::Seller, "", Some("acme")), true),
            // A proxy may name scopes alone.
            (of(Role::Seller, "", Some("zenith")), false),
            (of(Role::Seller, "acme", Some("acme")), false),
            (of(Role::Seller, "", None), false),
            (of(Role::Support, "sam", Some("acme")), false),
            (of(Role::Support, "sam", None), true),
            (of(Role::Operator, "ops", None), true),
            (of(Role::Auditor, "eve", None), true),
        ];
        let job = Job {
            store: store("a"),
            id: Uuid::from_u128(7),
            caller: table[0].0.clone(),
            selection: BulkSelection::Named(0),
            command: RequestCancellation {
                selection: Selection::All,
                reason: None,
                note: None,
                evidence: Vec::new(),
                paths: Vec::new(),
                on_ineligible_units: IneligibleUnits::Refuse,
                on_behalf_of: None,
                formerly_on_behalf_of: Box::default(),
                quote: None,
                annotations: Box::default(),
            },
            is_dry_run: false,
            orders_per_second: 1,
            fingerprint: [0; 32],
            state: JobState::Running,
            counts: Counts::default(),
            failure: None,
            create_time: Timestamp::UNIX_EPOCH,
            end_time: None,
        };
        for (caller, is_seen) in &table {
            assert_eq!(job.is_seen_by(caller), *is_seen, "{caller:?}");
        }
    }

    #[test]
    fn what_has_ended_is_followed_by_nothing() {
        for state in JobState::ALL {
            assert_eq!(state.next().is_empty(), !state.is_open(), "{state}");
        }
    }

    #[test]
    fn a_job_that_has_ended_is_not_stopped() {
        for state in JobState::ALL {
            let stopped = state.stopping();
            match state {
                JobState::Selecting | JobState::Running | JobState::Stopping => {
                    assert_eq!(stopped, JobState::Stopping);
                }
                JobState::Completed | JobState::Stopped | JobState::Failed => {
                    assert_eq!(stopped, *state);
                }
            }
        }
    }

    #[test]
    fn results_are_counted_and_what_goes_back_is_added_up_by_currency() {
        let accepted = |is_pending, refund: Option<(&str, i64)>| OrderResult::Accepted {
            is_pending,
            cancellation: 1,
            refund: refund.map(|(currency, amount)| (currency.to_owned(), amount)),
        };
        let mut counts = Counts {
            total: 7,
            ..Counts::default()
        };
        let results = [
            accepted(false, Some(("EUR", 500))),
            accepted(true, Some(("EUR", 250))),
            accepted(false, Some(("JPY", 9))),
            accepted(false, None),
            OrderResult::Rejected(Rejection::NothingToCancel),
            OrderResult::Failed(ErrorReason::Contention),
        ];
        for result in &results {
            counts.count(result);
        }
        let refunds = BTreeMap::from([("EUR".to_owned(), 750), ("JPY".to_owned(), 9)]);
        let expected = Counts {
            total: 7,
            completed: 3,
            pending: 1,
            rejected: 1,
            failed: 1,
            refunds,
        };
        assert_eq!(counts, expected);
        assert_eq!(counts.waiting(), 1);
    }
}
