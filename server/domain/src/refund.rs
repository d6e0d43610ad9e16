//! Refunds: money going back. One row is one provider key for life.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ExternalId, OrderId, StoreId, WorkerId};
use crate::money::Amounts;
use crate::names::named_enum;

named_enum! {
    pub enum RefundKind {
        /// Captured money goes back.
        Refund = "REFUND",
        /// An authorisation is released.
        Void = "VOID",
    }
}

named_enum! {
    pub enum RefundState {
        Due = "DUE",
        /// Held back by an incident.
        Blocked = "BLOCKED",
        /// With a payment worker.
        Submitted = "SUBMITTED",
        Settled = "SETTLED",
        Failed = "FAILED",
        /// The worker's lease ended without a result: ask the provider, with the same key.
        Unknown = "UNKNOWN",
        /// Given up by a person.
        Dropped = "DROPPED",
        /// Nothing is due under it any more, or others stand for it, and nobody had sent it.
        Cancelled = "CANCELLED",
    }
}

impl RefundState {
    /// Money that has gone back or may still go back under this row.
    pub fn counts(self) -> bool {
        match self {
            RefundState::Due
            | RefundState::Blocked
            | RefundState::Submitted
            | RefundState::Settled
            | RefundState::Unknown => true,
            RefundState::Failed | RefundState::Dropped | RefundState::Cancelled => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub number: u32,
    pub payment: u32,
    /// The cancellation it is for; none for money that came too late or twice.
    pub cancellation: Option<u32>,
    pub kind: RefundKind,
    pub state: RefundState,
    pub amounts: Amounts,
    /// Until when the buyer must have it.
    pub due_by: Timestamp,
    pub worker: Option<WorkerId>,
    pub lease_until: Option<Timestamp>,
    pub provider_refund_id: Option<ExternalId>,
    /// What the provider really paid, in minor units; known once it is settled, or was paid after
    /// it had failed.
    pub settled_amount: Option<i64>,
    pub failure_code: Option<String>,
    pub create_time: Timestamp,
    pub update_time: Timestamp,
    pub settle_time: Option<Timestamp>,
    /// Whoever watches is told where it has not settled by then.
    pub overdue_at: Timestamp,
    /// They were.
    pub overdue: bool,
    /// The row that failed, was held back, or was paid short, and whose rest this one is for.
    pub retry_of: Option<u32>,
}

impl Refund {
    /// The idempotency key towards the provider: the same for every try of this row, never used by
    /// another.
    pub fn provider_key(store: &StoreId, order: &OrderId, number: u32) -> String {
        format!("{store}/{order}:r{number}")
    }

    /// When the lease of a worker ends that has said nothing yet.
    pub fn lease_ends(&self) -> Option<Timestamp> {
        self.lease_until
            .filter(|_| self.state == RefundState::Submitted)
    }

    /// When it becomes overdue that has neither settled nor ended otherwise.
    pub fn overdue_from(&self) -> Option<Timestamp> {
        let is_awaited = match self.state {
            RefundState::Due
            | RefundState::Blocked
            | RefundState::Submitted
            | RefundState::Unknown => !self.overdue,
            RefundState::Settled
            | RefundState::Failed
            | RefundState::Dropped
            | RefundState::Cancelled => false,
        };
        is_awaited.then_some(self.overdue_at)
    }

    /// A worker may have it: it is due, or its outcome must be asked for and nobody is asking.
    pub fn is_claimable(&self, now: Timestamp) -> bool {
        match self.state {
            RefundState::Due => true,
            RefundState::Unknown => self.lease_until.is_none_or(|until| until <= now),
            RefundState::Blocked
            | RefundState::Submitted
            | RefundState::Settled
            | RefundState::Failed
            | RefundState::Dropped
            | RefundState::Cancelled => false,
        }
    }

    /// What has gone to the buyer under this row, in minor units: also where the provider had said
    /// before that it failed. A release moves no money.
    pub fn paid(&self) -> i64 {
        match self.kind {
            RefundKind::Refund => self.settled_amount.unwrap_or(0),
            RefundKind::Void => 0,
        }
    }
}
