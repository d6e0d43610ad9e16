//! The erasure of a buyer: when an order may forget whom it was for. The books stay: amounts,
//! units, states, reasons and times.

use jiff::{SignedDuration, Timestamp};

use crate::actor::Role;
use crate::annotations::Annotations;
use crate::cancellation::CancellationState;
use crate::incident::IncidentState;
use crate::order::Order;
use crate::refund::RefundState;
use crate::shipment::Stage;

/// Stands where the id of a buyer was.
pub const ERASED: &str = "-erased-";
/// Stands where a text was that must be there.
pub const ERASED_TEXT: &str = "[erased]";

/// How long an order must not have changed: the answers by which repeated commands are known go
/// with its buyer, and no caller repeats one on its own for so long.
pub const UNCHANGED_MIN: SignedDuration = SignedDuration::from_hours(1);

/// The reason why the buyer of an order is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    #[error("a cancellation is pending")]
    Cancellation,
    #[error("a refund is not settled")]
    Refund,
    #[error("an incident is open")]
    Incident,
    #[error("a parcel is in the warehouse or on its way")]
    Shipment,
    #[error("a deadline is still to come")]
    Deadline,
    #[error("it has changed within the last hour")]
    Recent,
}

/// Why this order's buyer cannot be erased yet; none where it can.
pub fn unfinished(order: &Order, now: Timestamp) -> Option<Unfinished> {
    let is_pending = |state| state == CancellationState::Pending;
    if order.cancellations.iter().any(|of| is_pending(of.state())) {
        return Some(Unfinished::Cancellation);
    }
    if order.refunds.iter().any(|of| is_owed(of.state)) {
        return Some(Unfinished::Refund);
    }
    let is_open = |state| state == IncidentState::Open;
    if order.incidents.iter().any(|of| is_open(of.state)) {
        return Some(Unfinished::Incident);
    }
    if order.shipments.iter().any(|of| is_under_way(of.stage)) {
        return Some(Unfinished::Shipment);
    }
    if order.next_due().is_some() {
        return Some(Unfinished::Deadline);
    }
    let is_recent = now.duration_since(order.update_time) < UNCHANGED_MIN;
    is_recent.then_some(Unfinished::Recent)
}

/// Blanks what is kept with an order and written about it: keys and references stay, for they lead
/// to records that are others' to erase.
pub fn blank_annotations(order: &mut Order) {
    let of_cancellations = order.cancellations.iter_mut();
    let of_cancellations = of_cancellations.map(|cancellation| &mut cancellation.annotations);
    for Annotations { metadata, .. } in of_cancellations.chain([&mut order.annotations]) {
        for value in metadata.values_mut() {
            ERASED_TEXT.clone_into(value);
        }
    }
    for note in &mut order.notes {
        ERASED_TEXT.clone_into(&mut note.text);
        if note.author.role == Role::Buyer {
            ERASED.clone_into(&mut note.author.id);
        }
    }
}

fn is_owed(state: RefundState) -> bool {
    match state {
        RefundState::Due | RefundState::Blocked | RefundState::Submitted | RefundState::Unknown => {
            true
        }
        RefundState::Settled
        | RefundState::Failed
        | RefundState::Dropped
        | RefundState::Cancelled => false,
    }
}

fn is_under_way(stage: Stage) -> bool {
    match stage {
        Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::InTransit
        | Stage::Returning => true,
        Stage::Delivered | Stage::Cancelled | Stage::Lost | Stage::Returned | Stage::Split => false,
    }
}
