//! Simulations of policies.

use std::time::Duration;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{
    CancellationFault, CancellationPath, GatePreview, LineQuantity, Money, NextAction, Role,
    ShipmentStage,
};
use crate::error_reason::ErrorReason;
use crate::ids::{CancellationId, OrderId, ShipmentId};
use crate::wire::{
    FromWire, Malformed, Open as _, duration_if_set, open_all, open_enum, open_if_set, read,
    read_all, read_if_set, text_if_set, time, time_if_set,
};

open_enum! {
    /// The occasion on which a policy was asked.
    PolicyOccasion {
        /// A caller requested a cancellation.
        Request,
        /// A parcel came home without a cancellation, and the carrier cancelled.
        Return,
        /// Support paid for goods that are home.
        Resolution,
        /// A waiting part was evaluated again.
        Reevaluation,
    }
}

open_enum! {
    /// The reason why something was not replayed.
    NotReplayedReason {
        /// An earlier release recorded it, with too little to ask again.
        EarlierFormat,
        /// The policy allowed the request, and it was rejected for another reason.
        RejectedOtherwise,
        /// The policy version is newer than what the server knows.
        VersionUnknown,
    }
}

/// The facts that the rules of a policy look at.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PolicyQuestion {
    /// The requester: the buyer also if support acted on the buyer's behalf.
    pub requester: Role,
    /// The stage of the shipment.
    pub stage: ShipmentStage,
    /// The path that was asked about first.
    pub path: CancellationPath,
    /// The reason. `None` if none was given.
    pub reason: Option<String>,
    /// Whether the order was paid.
    pub paid: bool,
    /// The methods of the payments that were authorised or captured.
    pub payment_methods: Vec<String>,
    /// The time since the order was placed.
    pub since_placed: Duration,
    /// The time since it was paid. `None` while unpaid.
    pub since_paid: Option<Duration>,
    /// The time since the shipment was delivered. `None` if it was not.
    pub since_delivered: Option<Duration>,
    /// What the units carry: goods and tax, less discount.
    pub value: Money,
    /// The country that the order goes to: ISO 3166-1 alpha-2.
    pub destination_country: String,
    /// Whether the carrier can bring back a parcel that is under way.
    pub in_transit_cancel: bool,
    /// Whether the marketplace's partner delivers.
    pub partner_delivery: bool,
    /// Whether there is a label for the way back.
    pub return_label: bool,
    /// Whether customs may take the shipment for commerce.
    pub customs_flagged: bool,
    /// How long the payment was still under verification. `None` if it was not.
    pub verified_in: Option<Duration>,
}

/// The answer of a policy to one portion.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PolicyAnswer {
    /// Whether it is allowed, perhaps once its gates have passed.
    pub allowed: bool,
    /// The path that the answer is about.
    pub path: CancellationPath,
    /// The rule. `None` if no rule matched.
    pub rule: Option<String>,
    /// The reason of a denial.
    pub denied_reason: Option<ErrorReason>,
    /// What the requester is told to do instead.
    pub next_actions: Vec<NextAction>,
    /// The gates, in order, without `respond_by`.
    pub gates: Vec<GatePreview>,
    /// What would go back to the buyer for these units.
    pub refund: Money,
}

/// The units of a case in one shipment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SimulatedPortion {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The units.
    pub contents: Vec<LineQuantity>,
    /// What was asked.
    pub question: PolicyQuestion,
    /// The answer on record.
    pub recorded: PolicyAnswer,
    /// The answer of the draft. `None` if the draft rejects the request for its reason.
    pub draft: Option<PolicyAnswer>,
}

/// The outcome of a case as a whole.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SimulatedOutcome {
    /// Whether something of it is allowed.
    pub allowed: bool,
    /// The reason why not.
    pub denied_reason: Option<ErrorReason>,
    /// What would go back for all portions that are allowed.
    pub refund: Money,
    /// The party at fault. `None` if it is denied, and if no reason was given.
    pub fault: Option<CancellationFault>,
    /// Whether it counts against the seller's quality.
    pub counted: bool,
}

/// A case: what was decided together, on record and under the draft.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SimulatedCase {
    /// When it was decided.
    pub decision_time: Timestamp,
    /// The order.
    pub order_id: OrderId,
    /// The cancellation. `None` for a request that was rejected.
    pub cancellation_id: Option<CancellationId>,
    /// Why the policy was asked.
    pub occasion: PolicyOccasion,
    /// The policy version that was asked.
    pub policy_version: i32,
    /// By shipment and, if the units are home, by receipt.
    pub portions: Vec<SimulatedPortion>,
    /// The outcome on record.
    pub recorded: SimulatedOutcome,
    /// The outcome under the draft.
    pub draft: SimulatedOutcome,
    /// Whether the draft makes a difference.
    pub differs: bool,
}

/// The progress of a simulation.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SimulationProgress {
    /// The number of decisions that have been read.
    pub decisions: i64,
    /// The time of the last of them. `None` before the first.
    pub decision_time: Option<Timestamp>,
}

/// Cases by their outcome on record and under the draft.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SimulatedTransitions {
    /// Allowed on record and under the draft.
    pub stay_allowed: i64,
    /// Allowed on record and denied under the draft.
    pub become_denied: i64,
    /// Denied on record and allowed under the draft.
    pub become_allowed: i64,
    /// Denied on record and under the draft.
    pub stay_denied: i64,
}

/// A sum on record and under the draft.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Compared<T> {
    /// Of the answers on record.
    pub recorded: T,
    /// Of the answers of the draft.
    pub draft: T,
}

/// The number of cases that were not replayed for one reason.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct NotReplayedCount {
    /// The reason.
    pub reason: NotReplayedReason,
    /// The number of decisions or cases.
    pub count: i64,
}

/// The sums of a simulation, over all that was replayed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SimulationSummary {
    /// The number of decisions that were read.
    pub decisions: i64,
    /// The number of questions on record that were answered again.
    pub questions: i64,
    /// Requests, returns and resolutions.
    pub cases: SimulatedTransitions,
    /// Parts that were evaluated again. They are not among the cases.
    pub reevaluations: SimulatedTransitions,
    /// The number of cases and re-evaluations that differ.
    pub differing: i64,
    /// The refunds of all cases that are allowed, one entry for each currency.
    pub refunds: Vec<Compared<Money>>,
    /// The number of cases that count against the seller's quality.
    pub counted: Compared<i64>,
    /// What was left out, by reason.
    pub not_replayed: Vec<NotReplayedCount>,
    /// The number of cases that were not reported because there were too many.
    pub unreported_cases: i64,
    /// The time at which the simulation stopped before its end: the next one can begin there.
    /// `None` if all was replayed.
    pub left_off_time: Option<Timestamp>,
}

/// A message of a simulation.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SimulationMessage {
    /// Cases, by the time of their decision. Perhaps none.
    pub cases: Vec<SimulatedCase>,
    /// How far the simulation is behind these cases.
    pub progress: SimulationProgress,
    /// The sums, in the last message.
    pub summary: Option<SimulationSummary>,
}

impl FromWire for PolicyQuestion {
    type Message = pb::PolicyQuestion;

    fn from_wire(message: pb::PolicyQuestion) -> Result<Self, Malformed> {
        const SINCE_PLACED: &str = "policy_question.since_placed";
        Ok(Self {
            requester: Role::from_wire(message.requester),
            stage: ShipmentStage::from_wire(message.stage),
            path: CancellationPath::from_wire(message.path),
            reason: text_if_set(message.reason),
            paid: message.paid,
            payment_methods: message.payment_methods,
            since_placed: duration_if_set(message.since_placed, SINCE_PLACED)?
                .ok_or(Malformed(SINCE_PLACED))?,
            since_paid: duration_if_set(message.since_paid, "policy_question.since_paid")?,
            since_delivered: duration_if_set(
                message.since_delivered,
                "policy_question.since_delivered",
            )?,
            value: read(message.value, "policy_question.value")?,
            destination_country: message.destination_country,
            in_transit_cancel: message.in_transit_cancel,
            partner_delivery: message.partner_delivery,
            return_label: message.return_label,
            customs_flagged: message.customs_flagged,
            verified_in: duration_if_set(message.verified_in, "policy_question.verified_in")?,
        })
    }
}

impl FromWire for PolicyAnswer {
    type Message = pb::PolicyAnswer;

    fn from_wire(message: pb::PolicyAnswer) -> Result<Self, Malformed> {
        Ok(Self {
            allowed: message.allowed,
            path: CancellationPath::from_wire(message.path),
            rule: text_if_set(message.rule),
            denied_reason: ErrorReason::from_name(message.denied_reason),
            next_actions: open_all(message.next_actions),
            gates: read_all(message.gates)?,
            refund: read(message.refund, "policy_answer.refund")?,
        })
    }
}

impl FromWire for SimulatedPortion {
    type Message = pb::SimulatedPortion;

    fn from_wire(message: pb::SimulatedPortion) -> Result<Self, Malformed> {
        Ok(Self {
            shipment_id: ShipmentId::unchecked(message.shipment_id),
            contents: read_all(message.contents)?,
            question: read(message.question, "simulated_portion.question")?,
            recorded: read(message.recorded, "simulated_portion.recorded")?,
            draft: read_if_set(message.draft)?,
        })
    }
}

impl FromWire for SimulatedOutcome {
    type Message = pb::SimulatedOutcome;

    fn from_wire(message: pb::SimulatedOutcome) -> Result<Self, Malformed> {
        Ok(Self {
            allowed: message.allowed,
            denied_reason: ErrorReason::from_name(message.denied_reason),
            refund: read(message.refund, "simulated_outcome.refund")?,
            fault: open_if_set(message.fault),
            counted: message.counted,
        })
    }
}

impl FromWire for SimulatedCase {
    type Message = pb::SimulatedCase;

    fn from_wire(message: pb::SimulatedCase) -> Result<Self, Malformed> {
        Ok(Self {
            decision_time: time(message.decision_time, "simulated_case.decision_time")?,
            order_id: OrderId::unchecked(message.order_id),
            cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
            occasion: PolicyOccasion::from_wire(message.occasion),
            policy_version: message.policy_version,
            portions: read_all(message.portions)?,
            recorded: read(message.recorded, "simulated_case.recorded")?,
            draft: read(message.draft, "simulated_case.draft")?,
            differs: message.differs,
        })
    }
}

impl FromWire for SimulationProgress {
    type Message = pb::SimulationProgress;

    fn from_wire(message: pb::SimulationProgress) -> Result<Self, Malformed> {
        Ok(Self {
            decisions: message.decisions,
            decision_time: time_if_set(message.decision_time, "simulation_progress.decision_time")?,
        })
    }
}

impl FromWire for SimulatedTransitions {
    type Message = pb::SimulatedTransitions;

    fn from_wire(message: pb::SimulatedTransitions) -> Result<Self, Malformed> {
        Ok(Self {
            stay_allowed: message.stay_allowed,
            become_denied: message.become_denied,
            become_allowed: message.become_allowed,
            stay_denied: message.stay_denied,
        })
    }
}

impl FromWire for Compared<Money> {
    type Message = pb::ComparedMoney;

    fn from_wire(message: pb::ComparedMoney) -> Result<Self, Malformed> {
        Ok(Self {
            recorded: read(message.recorded, "compared_money.recorded")?,
            draft: read(message.draft, "compared_money.draft")?,
        })
    }
}

impl FromWire for Compared<i64> {
    type Message = pb::ComparedCount;

    fn from_wire(message: pb::ComparedCount) -> Result<Self, Malformed> {
        Ok(Self {
            recorded: message.recorded,
            draft: message.draft,
        })
    }
}

impl FromWire for NotReplayedCount {
    type Message = pb::NotReplayedCount;

    fn from_wire(message: pb::NotReplayedCount) -> Result<Self, Malformed> {
        Ok(Self {
            reason: NotReplayedReason::from_wire(message.reason),
            count: message.count,
        })
    }
}

impl FromWire for SimulationSummary {
    type Message = pb::SimulationSummary;

    fn from_wire(message: pb::SimulationSummary) -> Result<Self, Malformed> {
        Ok(Self {
            decisions: message.decisions,
            questions: message.questions,
            cases: read(message.cases, "simulation_summary.cases")?,
            reevaluations: read(message.reevaluations, "simulation_summary.reevaluations")?,
            differing: message.differing,
            refunds: read_all(message.refunds)?,
            counted: read(message.counted, "simulation_summary.counted")?,
            not_replayed: read_all(message.not_replayed)?,
            unreported_cases: message.unreported_cases,
            left_off_time: time_if_set(message.left_off_time, "simulation_summary.left_off_time")?,
        })
    }
}

impl FromWire for SimulationMessage {
    type Message = pb::SimulatePolicyResponse;

    fn from_wire(message: pb::SimulatePolicyResponse) -> Result<Self, Malformed> {
        Ok(Self {
            cases: read_all(message.cases)?,
            progress: read(message.progress, "simulation.progress")?,
            summary: read_if_set(message.summary)?,
        })
    }
}
