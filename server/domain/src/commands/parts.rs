//! How a part of a cancellation goes on: gate after gate, until its units are cancelled or it is refused.

use jiff::Timestamp;

use super::draft::{self, Draft};
use super::request_cancellation::{Portion, Wish, judge, refund_of};
use crate::cancellation::{Cancellation, CancellationState, Gate, GateState, Part, PartState};
use crate::event::EventDetail;
use crate::money::Amounts;
use crate::order::PAYMENT_EXPIRED;
use crate::policy::GateSpec;
use crate::shipment::Stage;

/// Takes every waiting part of a cancellation as far as it goes: opens the next gate, or cancels where none is left. Then
/// closes the cancellation if nothing waits.
pub(super) fn advance(draft: &mut Draft<'_>, cancellation: u32) {
    for index in 0..cancellation_mut(draft, cancellation).parts.len() {
        let part = &cancellation_mut(draft, cancellation).parts[index];
        if part.state != PartState::Waiting || part.open_gate().is_some() {
            continue;
        }
        // The last gate has passed. What the shipment's stage allowed when the wish came, it may not allow now.
        if !part.gates.is_empty() && next_gate(part).is_none() {
            ask_again(draft, cancellation, index);
        }
        let part = &cancellation_mut(draft, cancellation).parts[index];
        match next_gate(part) {
            _ if part.state != PartState::Waiting => {}
            Some(gate) => open_gate(draft, cancellation, index, gate),
            None => cancel_part(draft, cancellation, index),
        }
    }
    close_if_over(draft, cancellation);
}

/// A gate as the policy names it, before its turn.
pub(super) fn queued(spec: GateSpec) -> Gate {
    Gate { spec, state: GateState::Queued, open_time: None, respond_by: None, close_time: None }
}

fn next_gate(part: &Part) -> Option<usize> {
    part.gates.iter().position(|gate| gate.state == GateState::Queued)
}

/// The shipment stands at another stage: every part that waits on it is put to its policy again.
pub(super) fn ask_again_on(draft: &mut Draft<'_>, shipment: u32) {
    for (cancellation, index) in waiting_on(draft, shipment) {
        ask_again(draft, cancellation, index);
        close_if_over(draft, cancellation);
    }
}

/// Puts a waiting part to the policy that opened it, for the stage where its shipment stands now. A no refuses the part; a yes
/// adds the gates that it names and the part does not have.
fn ask_again(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let of = cancellation_mut(draft, cancellation).clone();
    let part = &of.parts[index];
    let reason = (!of.reason.is_empty()).then_some(&*of.reason);
    let wish = Wish { requester: of.requester.role, reason, paths: &[part.path] };
    let portion = Portion { shipment: part.shipment, units: part.units.clone() };
    let mut judgement = judge(draft, draft.pinned(of.policy_version), &wish, portion);
    draft.note_asked(of.policy_version, judgement.asked);
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    if let Some(allowed) = judgement.allowed {
        let is_new = |gate: &Gate| of.parts[index].gates.iter().all(|known| known.spec.kind != gate.spec.kind);
        part.gates.extend(allowed.gates.into_iter().map(queued).filter(is_new));
    } else if let Some(denied) = judgement.denied.pop() {
        part.rule = denied.rule;
        part.next_actions = denied.next_actions;
        refuse_part(draft, cancellation, index, denied.code.name());
    }
}

/// What is told next, is told by the rule that decided this part.
fn decided_as(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let of = cancellation_mut(draft, cancellation);
    let (policy_version, rule) = (of.policy_version, of.parts[index].rule.clone());
    draft.decided_by(policy_version, rule);
}

fn open_gate(draft: &mut Draft<'_>, cancellation: u32, part: usize, gate: usize) {
    decided_as(draft, cancellation, part);
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
    decided_as(draft, cancellation, index);
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
    draft.raise_fence(number);
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
    decided_as(draft, cancellation, index);
    let now = draft.now;
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    part.state = PartState::Refused;
    part.refused_reason = Some(reason.to_owned());
    part.refund = Amounts::ZERO;
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
    decided_as(draft, cancellation, index);
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    let shipment = part.shipment;
    let Some(gate) = part.gates.iter_mut().find(|gate| gate.state == GateState::Open) else { return };
    gate.state = state;
    gate.close_time = Some(at);
    let kind = gate.spec.kind;
    draft.emit(EventDetail::GateClosed { cancellation, shipment, gate: kind, state });
}

/// Gives back the money of the parts that are cancelled and lets go on what they held up; once no part waits, says how the
/// cancellation ended.
pub(super) fn close_if_over(draft: &mut Draft<'_>, number: u32) {
    let cancellation = cancellation_mut(draft, number);
    if cancellation.close_time.is_none() && draft::is_over(&cancellation.parts) {
        close(draft, number);
    }
    draft.mark_paid_if_covered();
    draft.return_excess_money(Some(number));
    draft.release_if_ready();
}

fn close(draft: &mut Draft<'_>, number: u32) {
    let now = draft.now;
    let cancellation = cancellation_mut(draft, number);
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
