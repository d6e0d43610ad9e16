//! Decisions on cancellations, as they are on record.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{
    Actor, CancellationPath, LineQuantity, PolicyAnswer, PolicyOccasion, PolicyQuestion,
    read_request_id,
};
use crate::error_reason::ErrorReason;
use crate::ids::{CancellationId, OrderId, RequestId, ShipmentId};
use crate::wire::{
    FromWire, Malformed, Open as _, open_all, open_enum, read, read_all, text_if_set, time,
    time_if_set,
};

open_enum! {
    /// The condition of a rule: a key under `when` of a policy document.
    PolicyCondition {
        /// Who asks.
        Actor,
        /// The stage of the shipment.
        Stage,
        /// The path that is asked for.
        Path,
        /// The reason.
        Reason,
        /// Whether the order is paid.
        Paid,
        /// What it is paid with.
        PaymentMethod,
        /// How long ago something was.
        Age,
        /// What the units carry, at least.
        ValueAtLeast,
        /// What the units carry, less than.
        ValueLessThan,
        /// Where the order goes.
        DestinationCountry,
        /// Whether the carrier can bring back a parcel that is under way.
        InTransitCancel,
        /// Whether the marketplace's partner delivers.
        PartnerDelivery,
        /// Whether there is a label for the way back.
        ReturnLabel,
        /// Whether customs may take the shipment for commerce.
        CustomsFlagged,
    }
}

/// A condition that did not hold.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct UnmetCondition {
    /// The condition.
    pub condition: PolicyCondition,
    /// What it wants, as the policy has it: for people.
    pub wanted: String,
}

/// A rule before the one that answered, which did not match.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PassedOverRule {
    /// The rule.
    pub rule: String,
    /// The conditions that did not hold.
    pub unmet: Vec<UnmetCondition>,
}

/// A path that a policy was asked about.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct EvaluatedPath {
    /// The question.
    pub question: PolicyQuestion,
    /// The answer.
    pub answer: PolicyAnswer,
    /// The rules before the one that answered, each with the conditions that kept it from matching.
    pub passed_over: Vec<PassedOverRule>,
    /// The number of rules that were passed over and are not in `passed_over`.
    pub passed_over_left_out: i32,
    /// The instant at which time alone turns the answer. `None` if it never does.
    pub turn_time: Option<Timestamp>,
}

/// A portion of a request, or a part that waited, as a policy was asked about it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PolicyEvaluation {
    /// Why the policy was asked.
    pub occasion: PolicyOccasion,
    /// The policy version that was asked.
    pub policy_version: i32,
    /// The cancellation. `None` of a request that was rejected.
    pub cancellation_id: Option<CancellationId>,
    /// The shipment of the units.
    pub shipment_id: ShipmentId,
    /// The units.
    pub contents: Vec<LineQuantity>,
    /// Path by path, in the order of preference.
    pub paths: Vec<EvaluatedPath>,
    /// The paths that were not asked about, because one before them was allowed.
    pub untried_paths: Vec<CancellationPath>,
    /// Whether the server knew the policy version. If not, `passed_over` is empty, `turn_time` is
    /// `None` and refunds are zero.
    pub version_known: bool,
}

/// A decision on a cancellation, as it is on record.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PolicyDecision {
    /// The order.
    pub order_id: OrderId,
    /// The request that was decided, by its caller's id.
    pub request_id: RequestId,
    /// Who called. [`Role::System`](super::Role::System) if time alone decided.
    pub caller: Actor,
    /// When it was decided.
    pub decision_time: Timestamp,
    /// Whether the call was accepted.
    pub accepted: bool,
    /// The reason of the rejection. `None` if the call was accepted, and of rejections from before
    /// the reason was kept.
    pub rejected_reason: Option<ErrorReason>,
    /// What was put to policies.
    pub evaluations: Vec<PolicyEvaluation>,
    /// Whether an earlier release recorded it in a form that is no longer read.
    pub earlier_format: bool,
}

impl FromWire for UnmetCondition {
    type Message = pb::UnmetCondition;

    fn from_wire(message: pb::UnmetCondition) -> Result<Self, Malformed> {
        Ok(Self {
            condition: PolicyCondition::from_wire(message.condition),
            wanted: message.wanted,
        })
    }
}

impl FromWire for PassedOverRule {
    type Message = pb::PassedOverRule;

    fn from_wire(message: pb::PassedOverRule) -> Result<Self, Malformed> {
        Ok(Self {
            rule: message.rule,
            unmet: read_all(message.unmet)?,
        })
    }
}

impl FromWire for EvaluatedPath {
    type Message = pb::EvaluatedPath;

    fn from_wire(message: pb::EvaluatedPath) -> Result<Self, Malformed> {
        Ok(Self {
            question: read(message.question, "evaluated_path.question")?,
            answer: read(message.answer, "evaluated_path.answer")?,
            passed_over: read_all(message.passed_over)?,
            passed_over_left_out: message.passed_over_left_out,
            turn_time: time_if_set(message.turn_time, "evaluated_path.turn_time")?,
        })
    }
}

impl FromWire for PolicyEvaluation {
    type Message = pb::PolicyEvaluation;

    fn from_wire(message: pb::PolicyEvaluation) -> Result<Self, Malformed> {
        Ok(Self {
            occasion: PolicyOccasion::from_wire(message.occasion),
            policy_version: message.policy_version,
            cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
            shipment_id: ShipmentId::unchecked(message.shipment_id),
            contents: read_all(message.contents)?,
            paths: read_all(message.paths)?,
            untried_paths: open_all(message.untried_paths),
            version_known: message.version_known,
        })
    }
}

impl FromWire for PolicyDecision {
    type Message = pb::PolicyDecision;

    fn from_wire(message: pb::PolicyDecision) -> Result<Self, Malformed> {
        Ok(Self {
            order_id: OrderId::unchecked(message.order_id),
            request_id: read_request_id(&message.request_id)?,
            caller: read(message.caller, "policy_decision.caller")?,
            decision_time: time(message.decision_time, "policy_decision.decision_time")?,
            accepted: message.accepted,
            rejected_reason: text_if_set(message.rejected_reason).and_then(ErrorReason::from_name),
            evaluations: read_all(message.evaluations)?,
            earlier_format: message.earlier_format,
        })
    }
}
