//! The reasons that may be given for a cancellation.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{CancellationEffect, Money, NextAction, RefundAmount, Rejection};
use crate::ids::Etag;
use crate::wire::{FromWire, Malformed, open_all, read_all, read_if_set, text_if_set, time};

/// The reasons that the requester may give, for the units that were asked about.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CancellationReasons {
    /// The reasons, in the order of the policy.
    pub reasons: Vec<CancellationReason>,
    /// Whether the requester must name one of them.
    pub reason_required: bool,
    /// The policy version that was evaluated.
    pub policy_version: i32,
    /// The order's etag.
    pub order_etag: Etag,
    /// The moment for which the answer holds.
    pub decide_time: Timestamp,
}

/// A reason, with what a request that gives it would come to.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CancellationReason {
    /// The code, for [`reason`](crate::calls::RequestCancellation::reason).
    pub code: String,
    /// The label for people.
    pub label: String,
    /// The language of the label, a BCP 47 tag. `None`: it is made from the code.
    pub language: Option<String>,
    /// Whether it needs a note.
    pub note_required: bool,
    /// Whether it needs evidence.
    pub evidence_required: bool,
    /// The channels that evidence must come from, such as `CHAT`: each piece is then written
    /// `CHAT:reference`. Empty: any.
    pub evidence_channels: Vec<String>,
    /// Whether the request would be accepted, with a note and evidence where they are required.
    pub allowed: bool,
    /// The rejection that the request would fail with. `None` when allowed.
    pub rejection: Option<Rejection>,
    /// Whether a party has to act first. `false` when not allowed.
    pub waits: bool,
    /// The refund to the buyer. `None` when not allowed.
    pub expected_refund: Option<RefundAmount>,
    /// The release of authorisations: money that was never captured. `None` when not allowed.
    pub expected_release: Option<Money>,
    /// Whether it would count in the seller's cancellation rate.
    pub counted: bool,
    /// Its effects on stock.
    pub effects: Vec<CancellationEffect>,
    /// The next actions recommended to the person who gives it, best first.
    pub next_actions: Vec<NextAction>,
}

impl FromWire for CancellationReasons {
    type Message = pb::ListReasonsResponse;

    fn from_wire(message: pb::ListReasonsResponse) -> Result<Self, Malformed> {
        Ok(Self {
            reasons: read_all(message.reasons)?,
            reason_required: message.reason_required,
            policy_version: message.policy_version,
            order_etag: Etag::from(message.order_etag),
            decide_time: time(message.decide_time, "reasons.decide_time")?,
        })
    }
}

impl FromWire for CancellationReason {
    type Message = pb::CancellationReason;

    fn from_wire(message: pb::CancellationReason) -> Result<Self, Malformed> {
        Ok(Self {
            code: message.code,
            label: message.label,
            language: text_if_set(message.language),
            note_required: message.note_required,
            evidence_required: message.evidence_required,
            evidence_channels: message.evidence_channels,
            allowed: message.allowed,
            rejection: read_if_set(message.rejection)?,
            waits: message.waits,
            expected_refund: read_if_set(message.expected_refund)?,
            expected_release: read_if_set(message.expected_release)?,
            counted: message.counted,
            effects: open_all(message.effects),
            next_actions: open_all(message.next_actions),
        })
    }
}
