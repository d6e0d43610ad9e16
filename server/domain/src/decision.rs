//! A decision: what came of a command, and what a policy was asked for it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error_reason::ErrorReason;
use crate::event::Event;
use crate::money::Amounts;
use crate::names::named_enum;
use crate::order::Order;
use crate::policy::{Question, Verdict};
use crate::rejection::Rejection;
use crate::terms::{GoodsCondition, IneligibleUnits, Path};
use crate::units::UnitSet;

/// The answer of a command: what of the order its caller is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Order,
    Cancellation(u32),
    Shipment(u32),
    Refund(u32),
    Incident(u32),
    Note(u32),
    /// The refunds that were leased, perhaps none.
    Refunds(Vec<u32>),
    Nothing,
}

/// A question to the policy and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AskedQuestion {
    pub question: Question,
    pub rule: Option<String>,
    pub answer: Verdict,
}

named_enum! {
    /// The occasion on which a policy was asked.
    pub enum Occasion {
        /// A caller requested a cancellation.
        Request = "REQUEST",
        /// A parcel came home without one, and the carrier cancelled.
        Return = "RETURN",
        /// Support paid for what is home, on the policy's terms where it has any.
        Resolution = "RESOLUTION",
        /// A part that waited was evaluated again, for another stage or after its last gate.
        Reevaluation = "REEVALUATION",
    }
}

/// The proof that a request brought, without what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    pub has_note: bool,
    /// The channel of each piece of evidence, where it names one.
    pub channels: Vec<Option<String>>,
}

/// The terms of a request on which the policy's answer depends, besides the questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestTerms {
    pub on_ineligible_units: IneligibleUnits,
    pub proof: Proof,
}

/// The facts on which the money of a portion depends, besides the policy's answer and what its
/// units carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundFacts {
    /// The order is paid, or was when the goods left.
    pub is_paid: bool,
    pub has_left: bool,
    /// The shipping charge of the shipment, where these are its last units; else nothing.
    pub shipping: Amounts,
    /// The price of the label that the buyer sends the units back with, where there is one.
    pub label_price: i64,
    /// Of what is home.
    pub condition: Option<GoodsCondition>,
    /// When it came home, or would if it came at once, after it was delivered.
    pub since_delivered: Option<SignedDuration>,
}

/// A portion of a request, or a part that waited, as a policy was asked about it: all that it takes
/// to ask another policy the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvaluation {
    pub occasion: Occasion,
    pub policy_version: u32,
    /// The cancellation that it is about, or that came of it; none where the request was rejected.
    pub cancellation: Option<u32>,
    pub shipment: u32,
    pub units: UnitSet,
    /// Path by path, in the order of preference: all are denied, but perhaps the last.
    pub asked: Vec<AskedQuestion>,
    /// The paths that were not asked about, because one before them was allowed.
    pub untried: Vec<Path>,
    pub refund: RefundFacts,
}

/// The log of a decision: what it put to policies, and their answers. Stored with every decision on
/// a cancellation, rejections included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DecisionLog {
    /// Where there are evaluations on the occasion of a request.
    pub request: Option<RequestTerms>,
    pub evaluations: Vec<LoggedEvaluation>,
    /// The reason for which the command was rejected, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<ErrorReason>,
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
