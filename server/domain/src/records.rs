//! The records of a decision besides the order: the answer to its request, the record of what the
//! policy was asked, and its events. Plain data, for whoever keeps it.

use jiff::Timestamp;
use uuid::Uuid;

use crate::actor::Actor;
use crate::ids::{OrderKey, StoreId};

/// A command about an order, by its caller's own id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    pub order_key: OrderKey,
    pub request_id: Uuid,
    /// Who sent it; the ids of two callers have nothing to do with each other.
    pub caller: String,
}

impl RequestKey {
    pub fn of(order_key: OrderKey, request_id: Uuid, caller: &Actor) -> Self {
        Self {
            order_key,
            request_id,
            caller: format!("{}/{}", caller.role, caller.id),
        }
    }

    /// The name of the caller's role, and its id.
    pub fn caller_parts(&self) -> (&str, &str) {
        self.caller.split_once('/').unwrap_or(("", &self.caller))
    }
}

/// The stored outcome of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRequest {
    /// Of its content.
    pub fingerprint: [u8; 32],
    pub answer: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct NewRequest {
    pub key: RequestKey,
    pub fingerprint: [u8; 32],
    pub answer: Vec<u8>,
    pub create_time: Timestamp,
}

#[derive(Debug, Clone)]
pub struct NewDecision {
    /// The request that was decided.
    pub key: RequestKey,
    pub store: StoreId,
    pub decision_time: Timestamp,
    pub policy_version: u32,
    pub accepted: bool,
    /// The questions and answers, as JSON.
    pub record: String,
}

/// The events of one command on one order.
#[derive(Debug, Clone)]
pub struct NewEvents {
    pub partition: u16,
    pub order_key: OrderKey,
    pub store: StoreId,
    /// The order's version that the events are of.
    pub order_version: u64,
    /// When the command was decided: the deadlines that it applied may be long past.
    pub event_time: Timestamp,
    /// How many events the payload holds; never 0.
    pub count: u32,
    pub payload: Vec<u8>,
}
