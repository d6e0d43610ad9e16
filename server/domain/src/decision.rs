//! A decision: what came of a command, and what a policy was asked for it.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::order::Order;
use crate::policy::{Question, Verdict};
use crate::rejection::Rejection;
use crate::units::UnitSet;

/// The answer of a command: what of the order its caller is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Order,
    Cancellation(u32),
    Shipment(u32),
    Refund(u32),
    Incident(u32),
    /// The refunds that were leased, perhaps none.
    Refunds(Vec<u32>),
    Nothing,
}

/// A question to the policy and its answer; stored with every decision on a cancellation,
/// rejections included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedQuestion {
    pub shipment: u32,
    pub units: UnitSet,
    pub question: Question,
    pub rule: Option<String>,
    pub answer: Verdict,
}

/// The log of a decision: its questions and answers, with the policy version that was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionLog {
    pub policy_version: u32,
    pub asked: Vec<AskedQuestion>,
}

/// The decision of a command: the order afterwards, its events, and the answer or the rejection.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The order afterwards. It may differ from before even where the command was refused:
    /// deadlines that were due have been applied.
    pub order: Order,
    /// Empty if and only if the order is as before.
    pub events: Vec<Event>,
    pub result: Result<Answer, Rejection>,
    pub log: Option<DecisionLog>,
}
