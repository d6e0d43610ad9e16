//! What a cancellation would do.

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

/// What [`request_cancellation`](crate::Store::request_cancellation) with the same arguments would
/// do.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancellationPreview {
    /// Whether it would be accepted, with a note and evidence where they are required.
    pub allowed: bool,
    /// Everything that stands against it, in order of precedence: the first is what the request
    /// would fail with.
    pub refusals: Vec<Refusal>,
    /// For each shipment that holds asked units, by number, every path.
    pub options: Vec<PathOption>,
    /// What would go back to the buyer over all chosen paths: of what was captured and is still
    /// there. `None` when not allowed.
    pub expected_refund: Option<RefundAmount>,
    /// What would be released of authorisations instead: money that was never taken. `None` when
    /// not allowed.
    pub expected_release: Option<Money>,
    /// When the last of it would be due. `None` when not allowed.
    pub refund_due: Option<RefundDue>,
    /// Whether the reason needs a note.
    pub note_required: bool,
    /// Whether the reason needs evidence.
    pub evidence_required: bool,
    /// Whether it would count in the seller's cancellation rate.
    pub counted: bool,
    /// What else it would do.
    pub effects: Vec<CancellationEffect>,
    /// The policy version that was asked.
    pub policy_version: i32,
    /// The order's etag.
    pub order_etag: Etag,
    /// The moment for which the answer holds.
    pub decide_time: Timestamp,
    /// What whoever gives this reason had better do afterwards, best first.
    pub next_actions: Vec<NextAction>,
    /// The answer as something that binds: given to the
    /// [`quote`](crate::calls::RequestCancellation::quote) of a request with the same arguments, it
    /// cancels on these terms or not at all. `None` when not allowed, and where nothing is left to
    /// cancel.
    pub quote: Option<Quote>,
}

/// Terms that Belay offers for a while.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// What to give back. Opaque.
    pub token: String,
    /// Until when it can be used: at this instant a request fails with
    /// [`QuoteExpired`](crate::ErrorReason::QuoteExpired).
    pub valid_until: Timestamp,
}

/// One thing that stands against a request.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is.
    pub reason: ErrorReason,
    /// What it is about: the id of the order, a line, a shipment or a cancellation.
    pub subject: String,
    /// For people. Its wording is no contract.
    pub message: String,
    /// What the documentation of the reason promises, such as `available`. Empty on the refusals of
    /// an [`Error`](crate::Error), whose own metadata is that of its first reason.
    pub metadata: BTreeMap<String, String>,
}

impl Refusal {
    /// What is possible instead, where it is the policy that says no.
    pub fn denial(&self) -> Option<Denial> {
        Denial::of(&self.reason, &self.metadata)
    }
}

/// What the policy says to one path for the asked units in one shipment.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathOption {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The path.
    pub path: CancellationPath,
    /// Whether the path is open. True with gates means: somebody must act first.
    pub allowed: bool,
    /// Whether the request would take this path for this shipment: the first allowed one of the
    /// asked paths.
    pub chosen: bool,
    /// The policy's rule that decided, by its name. `None` where no rule matched and where the
    /// state refused before any rule.
    pub rule: Option<String>,
    /// Why not. `None` when allowed.
    pub refused_reason: Option<ErrorReason>,
    /// The units that would be cancelled.
    pub contents: Vec<LineQuantity>,
    /// What it would wait for, in order. Empty when nobody has to act.
    pub gates: Vec<GatePreview>,
    /// What would go back to the buyer if this path alone were taken. `None` when not allowed.
    pub expected_refund: Option<RefundAmount>,
    /// What the policy would take off the price. `None` when not allowed.
    pub credit: Option<RefundAmount>,
    /// When. `None` when not allowed.
    pub refund_due: Option<RefundDue>,
    /// What else can be done for these units, best first.
    pub next_actions: Vec<NextAction>,
    /// From when the path will be open, as far as time alone decides. `None` when it is open or
    /// time does not open it.
    pub available_from: Option<Timestamp>,
    /// Until when the path stays open, as far as time alone decides: at this instant it is closed.
    /// `None` when it is not open or time does not close it.
    pub available_until: Option<Timestamp>,
    /// What would be kept of the money because the buyer bears it. `None` when not allowed.
    pub deductions: Option<Deductions>,
    /// Whether the buyer would get a label for the way back. `None` for a path without a way back,
    /// and when not allowed for another reason than the missing label.
    pub label: Option<LabelState>,
    /// What the buyer would have to do without a label, in the words of the policy.
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
            refusals: read_all(message.refusals)?,
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
        })
    }
}

impl FromWire for Refusal {
    type Message = pb::Refusal;

    fn from_wire(message: pb::Refusal) -> Result<Self, Malformed> {
        Ok(Self {
            reason: ErrorReason::from_name(message.reason).ok_or(Malformed("refusal.reason"))?,
            subject: message.subject,
            message: message.message,
            metadata: message.metadata.into_iter().collect(),
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
