//! Previews of cancellations.

use std::collections::BTreeMap;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{
    CancellationEffect, CancellationPath, Deductions, Denial, GatePreview, LabelState,
    LineQuantity, Money, NextAction, RefundAmount, RefundDue,
};
use crate::error_reason::ErrorReason;
use crate::ids::{Etag, ShipmentId};
use crate::wire::{
    FromWire, Malformed, Open, open_all, open_if_set, read_all, read_if_set, text_if_set, time,
    time_if_set,
};

/// The preview of [`request_cancellation`](crate::Store::request_cancellation) with the same
/// arguments.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CancellationPreview {
    /// Whether it would be accepted, with a note and evidence where they are required.
    pub allowed: bool,
    /// The rejections, in order of precedence: the first is what the request would fail with.
    pub rejections: Vec<Rejection>,
    /// For each shipment with requested units, by number, every path.
    pub options: Vec<PathOption>,
    /// The refund to the buyer over all chosen paths, out of the captured money that is still
    /// there. `None` when not allowed.
    pub expected_refund: Option<RefundAmount>,
    /// The release of authorisations: money that was never captured. `None` when not allowed.
    pub expected_release: Option<Money>,
    /// When the last of it would be due. `None` when not allowed.
    pub refund_due: Option<RefundDue>,
    /// Whether the reason needs a note.
    pub note_required: bool,
    /// Whether the reason needs evidence.
    pub evidence_required: bool,
    /// Whether it would count in the seller's cancellation rate.
    pub counted: bool,
    /// Its effects on stock.
    pub effects: Vec<CancellationEffect>,
    /// The policy version that was evaluated.
    pub policy_version: i32,
    /// The order's etag.
    pub order_etag: Etag,
    /// The moment for which the answer holds.
    pub decide_time: Timestamp,
    /// The next actions recommended to the person who gives this reason, best first.
    pub next_actions: Vec<NextAction>,
    /// The quote of these terms: given to [`quote`](crate::calls::RequestCancellation::quote) of a
    /// request with the same arguments, it cancels on these terms or not at all. `None` when not
    /// allowed, and where nothing is left to cancel.
    pub quote: Option<Quote>,
    /// Its effect on the seller's rate. `None` unless a seller previews a cancellation that counts,
    /// and the policy measures quality.
    pub quality: Option<QualityPreview>,
}

/// A seller's rate before and after a cancellation that counts, as if it counted in the present
/// window.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct QualityPreview {
    /// The rate now, in hundredths of a percent.
    pub rate_basis_points: i32,
    /// The rate after it.
    pub rate_after_basis_points: i32,
    /// The number of cancellations that may count after it before the next threshold is reached.
    pub headroom_after: i64,
}

/// A quote: terms of a cancellation that Belay offers for a while.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Quote {
    /// The quote as it is sent back. Opaque.
    pub token: String,
    /// Until when it can be used: at this instant a request fails with
    /// [`QuoteExpired`](crate::ErrorReason::QuoteExpired).
    pub valid_until: Timestamp,
}

/// A rejection of a request: one reason why it cannot be granted.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Rejection {
    /// The reason.
    pub reason: ErrorReason,
    /// The subject: the id of the order, a line, a shipment or a cancellation.
    pub subject: String,
    /// For people. Its wording is no contract.
    pub message: String,
    /// The facts that the documentation of the reason names, such as `available`. Empty on the
    /// rejections of an [`Error`](crate::Error), whose own metadata is that of its first reason.
    pub metadata: BTreeMap<String, String>,
}

impl Rejection {
    /// The denial with what is possible instead, if the policy refused.
    pub fn denial(&self) -> Option<Denial> {
        Denial::of(&self.reason, &self.metadata)
    }
}

/// The policy's answer about one path for the requested units in one shipment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PathOption {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The path.
    pub path: CancellationPath,
    /// Whether the path is open. If it has gates, a party must act first.
    pub allowed: bool,
    /// Whether the request would take this path for this shipment: the first allowed one of the
    /// requested paths.
    pub chosen: bool,
    /// The policy's rule that decided, by its id. `None` if no rule matched, or the state refused
    /// before any rule.
    pub rule: Option<String>,
    /// The reason of the rejection. `None` when allowed.
    pub refused_reason: Option<ErrorReason>,
    /// The units that would be cancelled.
    pub contents: Vec<LineQuantity>,
    /// The gates, in order. Empty when no party has to act.
    pub gates: Vec<GatePreview>,
    /// The refund to the buyer if this path alone were taken. `None` when not allowed.
    pub expected_refund: Option<RefundAmount>,
    /// The policy's price reduction. `None` when not allowed.
    pub credit: Option<RefundAmount>,
    /// The time of the refund. `None` when not allowed.
    pub refund_due: Option<RefundDue>,
    /// The next actions for these units, best first.
    pub next_actions: Vec<NextAction>,
    /// From when the path will be open, as far as time alone decides. `None` when it is open or
    /// time does not open it.
    pub available_from: Option<Timestamp>,
    /// Until when the path stays open, as far as time alone decides: at this instant it is closed.
    /// `None` when it is not open or time does not close it.
    pub available_until: Option<Timestamp>,
    /// The deductions from the refund that the buyer would bear. `None` when not allowed.
    pub deductions: Option<Deductions>,
    /// Whether the buyer would get a label for the way back. `None` for a path without a way back,
    /// and when not allowed for another reason than the missing label.
    pub label: Option<LabelState>,
    /// The policy's instructions for a buyer without a label.
    pub label_instructions: Option<String>,
}

impl FromWire for CancellationPreview {
    type Message = pb::PreviewCancellationResponse;

    fn from_wire(message: pb::PreviewCancellationResponse) -> Result<Self, Malformed> {
        let quote = match text_if_set(message.quote) {
            Some(token) => {
                let valid_until = time(message.quote_valid_until, "preview.quote_valid_until")?;
                Some(Quote { token, valid_until })
            }
            None => None,
        };
        Ok(Self {
            allowed: message.allowed,
            rejections: read_all(message.rejections)?,
            options: read_all(message.options)?,
            expected_refund: read_if_set(message.expected_refund)?,
            expected_release: read_if_set(message.expected_release)?,
            refund_due: read_if_set(message.refund_due)?,
            note_required: message.note_required,
            evidence_required: message.evidence_required,
            counted: message.counted,
            effects: open_all(message.effects),
            policy_version: message.policy_version,
            order_etag: Etag::from(message.order_etag),
            decide_time: time(message.decide_time, "preview.decide_time")?,
            next_actions: open_all(message.next_actions),
            quote,
            quality: read_if_set(message.quality)?,
        })
    }
}

impl FromWire for QualityPreview {
    type Message = pb::QualityPreview;

    fn from_wire(message: pb::QualityPreview) -> Result<Self, Malformed> {
        Ok(Self {
            rate_basis_points: message.rate_basis_points,
            rate_after_basis_points: message.rate_after_basis_points,
            headroom_after: message.headroom_after,
        })
    }
}

impl FromWire for Rejection {
    type Message = pb::Rejection;

    fn from_wire(message: pb::Rejection) -> Result<Self, Malformed> {
        Ok(Self {
            reason: ErrorReason::from_name(message.reason).ok_or(Malformed("rejection.reason"))?,
            subject: message.subject,
            message: message.message,
            metadata: message.metadata,
        })
    }
}

impl FromWire for PathOption {
    type Message = pb::PathOption;

    fn from_wire(message: pb::PathOption) -> Result<Self, Malformed> {
        Ok(Self {
            shipment_id: ShipmentId::unchecked(message.shipment_id),
            path: CancellationPath::from_wire(message.path),
            allowed: message.allowed,
            chosen: message.chosen,
            rule: text_if_set(message.rule),
            refused_reason: ErrorReason::from_name(message.refused_reason),
            contents: read_all(message.contents)?,
            gates: read_all(message.gates)?,
            expected_refund: read_if_set(message.expected_refund)?,
            credit: read_if_set(message.credit)?,
            refund_due: read_if_set(message.refund_due)?,
            next_actions: open_all(message.next_actions),
            available_from: time_if_set(message.available_from, "option.available_from")?,
            available_until: time_if_set(message.available_until, "option.available_until")?,
            deductions: read_if_set(message.deductions)?,
            label: open_if_set(message.label),
            label_instructions: text_if_set(message.label_instructions),
        })
    }
}
