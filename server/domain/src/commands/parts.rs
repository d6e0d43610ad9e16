//! How a part of a cancellation goes on: gate after gate, until its units are cancelled or it is refused.

use jiff::Timestamp;

use super::draft::{self, Draft};
use super::request_cancellation::refund_of;
use crate::cancellation::{Cancellation, CancellationState, GateState, Part, PartState};
use crate::event::EventDetail;
use crate::order::PAYMENT_EXPIRED;
use crate::shipment::Stage;

/// Takes every waiting part of a cancellation as far as it goes: opens the next gate, or cancels where none is left. Then
/// closes the cancellation if nothing waits.
pub(super) fn advance(draft: &mut Draft<'_>, cancellation: u32) {
    for index in 0..cancellation_mut(draft, cancellation).parts.len() {
        let part = &cancellation_mut(draft, cancellation).parts[index];
        if part.state != PartState::Waiting || part.open_gate().is_some() {
            continue;
        }
        match part.gates.iter().position(|gate| gate.state == GateState::Queued) {
            Some(gate) => open_gate(draft, cancellation, index, gate),
            None => cancel_part(draft, cancellation, index),
        }
    }
    close_if_over(draft, cancellation);
}

fn open_gate(draft: &mut Draft<'_>, cancellation: u32, part: usize, gate: usize) {
    let now = draft.now;
    let part = &mut cancellation_mut(draft, cancellation).parts[part];
    let shipment = part.shipment;
    let gate = &mut part.gates[gate];
    gate.state = GateState::Open;
    gate.open_time = Some(now);
    gate.respond_by = gate.spec.respond_within.and_then(|wait| now.checked_add(wait).ok());
    let (kind, respond_by) = (gate.spec.kind, gate.respond_by);
    draft.emit(EventDetail::GateOpened { cancellation, shipment, gate: kind, respond_by });
}

/// All gates have passed: the units are cancelled.
fn cancel_part(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let policy_version = cancellation_mut(draft, cancellation).policy_version;
    let policy = draft.pinned(policy_version);
    let part = cancellation_mut(draft, cancellation).parts[index].clone();
    let Some(shipment) = draft.order.shipment(part.shipment) else {
        panic!("part {index} of cancellation {cancellation} names a shipment that is not there")
    };
    let refund = refund_of(&draft.order, policy, shipment, &part.units, part.plan);
    let empties_shipment = draft.order.live_units(shipment).minus(&part.units).is_empty();
    let leaves_from = shipment.stage;

    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    part.state = PartState::Cancelled;
    part.refund = refund;
    let number = part.shipment;
    draft.emit(EventDetail::PartEnded {
        cancellation,
        shipment: number,
        state: PartState::Cancelled,
        refused_reason: None,
    });
    if empties_shipment && leaves_from.is_before_dispatch() {
        draft.move_shipment(number, Stage::Cancelled);
    }
}

/// Ends a waiting part without cancelling; `reason` is a name of `ErrorReason`.
pub(super) fn refuse_part(draft: &mut Draft<'_>, cancellation: u32, index: usize, reason: &str) {
    let now = draft.now;
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    part.state = PartState::Refused;
    part.refused_reason = Some(reason.to_owned());
    let shipment = part.shipment;
    for gate in &mut part.gates {
        if matches!(gate.state, GateState::Queued | GateState::Open) {
            gate.state = GateState::Closed;
            gate.close_time = Some(now);
        }
    }
    draft.raise_fence(shipment);
    draft.emit(EventDetail::PartEnded {
        cancellation,
        shipment,
        state: PartState::Refused,
        refused_reason: Some(reason.to_owned()),
    });
}

/// Answers the open gate of a part.
pub(super) fn close_gate(draft: &mut Draft<'_>, cancellation: u32, index: usize, state: GateState, at: Timestamp) {
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    let shipment = part.shipment;
    let Some(gate) = part.gates.iter_mut().find(|gate| gate.state == GateState::Open) else { return };
    gate.state = state;
    gate.close_time = Some(at);
    let kind = gate.spec.kind;
    draft.emit(EventDetail::GateClosed { cancellation, shipment, gate: kind, state });
}

/// Says how the cancellation ended, gives the money back, and lets go on what it held up.
pub(super) fn close_if_over(draft: &mut Draft<'_>, number: u32) {
    let now = draft.now;
    let cancellation = cancellation_mut(draft, number);
    if cancellation.close_time.is_some() || !draft::is_over(&cancellation.parts) {
        return;
    }
    cancellation.close_time = Some(now);
    let cancellation = cancellation.clone();
    match cancellation.state() {
        CancellationState::Completed => draft.emit(EventDetail::CancellationCompleted {
            cancellation: number,
            refund: cancellation.parts.iter().filter(|p| p.state == PartState::Cancelled).map(|p| p.refund).sum(),
            effects: cancellation.effects.clone(),
            counted: cancellation.counted,
        }),
        CancellationState::Rejected => draft.emit(EventDetail::CancellationRejected {
            cancellation: number,
            close_reason: cancellation.close_reason().map(str::to_owned),
        }),
        CancellationState::Pending | CancellationState::Withdrawn => {}
    }
    if cancellation.reason == PAYMENT_EXPIRED && draft.order.is_wholly_cancelled() {
        draft.emit(EventDetail::OrderClosedUnpaid { cancellation: number });
    }
    draft.mark_paid_if_covered();
    draft.return_excess_money(Some(number));
    draft.release_if_ready();
}

pub(super) fn cancellation_mut<'d>(draft: &'d mut Draft<'_>, number: u32) -> &'d mut Cancellation {
    let cancellation = draft.order.cancellations.iter_mut().find(|cancellation| cancellation.number == number);
    cancellation.unwrap_or_else(|| panic!("cancellation {number} was looked up before"))
}

/// The waiting parts on a shipment, as (cancellation, index).
pub(super) fn waiting_on(draft: &Draft<'_>, shipment: u32) -> Vec<(u32, usize)> {
    let waits = |part: &Part| part.state == PartState::Waiting && part.shipment == shipment;
    let of = |cancellation: &Cancellation| {
        let parts = cancellation.parts.iter().enumerate().filter(|(_, part)| waits(part));
        parts.map(|(index, _)| (cancellation.number, index)).collect::<Vec<_>>()
    };
    draft.order.cancellations.iter().flat_map(of).collect()
}
