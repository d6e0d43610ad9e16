//! ReceiveParcel: goods are back at the warehouse. A fact: it is recorded whoever waits for it, and if nobody does.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::draft::About;
use super::{Answer, Draft, answer_stop, homecoming, intercepts, parts, resolve_incident, start_preparation};
use crate::cancellation::{Gate, GateAnswer, GateKind, GateState, PartState, Path, Receipt};
use crate::event::EventDetail;
use crate::incident::{Incident, IncidentKind, IncidentState};
use crate::policy::GoodsCondition;
use crate::rejection::{LineQuantity, Rejection};
use crate::shipment::{InterceptState, Shipment, Stage};
use crate::units::UnitSet;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveParcel {
    pub shipment: u32,
    pub condition: GoodsCondition,
    /// What was in it; empty is everything that somebody waits for, or the whole shipment where nobody does.
    pub quantities: Vec<LineQuantity>,
    /// By the warehouse's clock; none is now.
    pub receive_time: Option<Timestamp>,
    pub note: Option<String>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &ReceiveParcel) -> Result<Answer, Rejection> {
    let number = command.shipment;
    let shipment = start_preparation::find(draft, number, None)?;
    let (stage, held) = (shipment.stage, shipment.units.clone());
    let awaiting = awaiting(draft, number);
    let received = received(draft, command, &held, &awaiting)?;
    match stage {
        Stage::InTransit | Stage::Delivered | Stage::Lost | Stage::Returning | Stage::Returned => {}
        stage @ (Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::Cancelled
        | Stage::Split) => return Err(Rejection::StageMismatch { stage }),
    }
    let was_returned = stage == Stage::Returned;
    let before = draft.clone();
    let (condition, units) = (command.condition, received.clone());
    draft.emit(EventDetail::ParcelReceived { shipment: number, condition, units });

    let cancelled = held.intersection(&draft.order.cancelled_units());
    let contested = contested(draft, number);
    note_on_cancelled(draft, command, contested.is_some(), &received);
    // Money goes once everything is home that it goes back for.
    let settled = contested.filter(|_| cancelled.minus(&received).is_empty());
    settled.into_iter().for_each(|incident| resolve_incident::settle_by_fact(draft, incident));
    let unasked = received.minus(&units_of(draft, &awaiting)).minus(&cancelled);
    pass(draft, command, awaiting, &received);
    if !unasked.is_empty() {
        receive_unasked(draft, command, &unasked);
    }
    let is_home = |shipment: &Shipment| received == held || draft.order.live_units(shipment).is_empty();
    if !was_returned && draft.order.shipment(number).is_some_and(is_home) {
        draft.move_shipment(number, Stage::Returned);
        intercepts::advance(draft, number, InterceptState::Received);
        parts::ask_again_on(draft, number);
    }
    if draft.order == before.order {
        *draft = before;
        // The same parcel again changes nothing. Goods of which nothing is known otherwise, somebody must look at.
        if !was_returned && !unasked.is_empty() {
            draft.open_incident_once(IncidentKind::LateFact, About::shipment(number));
        }
    }
    Ok(Answer::Shipment(number))
}

fn receipt(draft: &Draft<'_>, command: &ReceiveParcel) -> Receipt {
    // No parcel comes from the future.
    let receive_time = command.receive_time.unwrap_or(draft.now).min(draft.now);
    Receipt { condition: command.condition, receive_time }
}

/// What was cancelled while it was outside is home as well.
fn note_on_cancelled(draft: &mut Draft<'_>, command: &ReceiveParcel, is_contested: bool, received: &UnitSet) {
    let receipt = receipt(draft, command);
    for part in draft.order.cancellations.iter_mut().flat_map(|cancellation| &mut cancellation.parts) {
        let was_outside = is_contested || part.path != Path::Cancel || part.trusts_the_carrier();
        let is_back = part.shipment == command.shipment && !part.units.intersection(received).is_empty();
        if part.state == PartState::Cancelled && part.receipt.is_none() && was_outside && is_back {
            part.receipt = Some(receipt);
        }
    }
}

/// What was in the parcel. Goods that somebody waits for are taken for those.
fn received(
    draft: &Draft<'_>,
    command: &ReceiveParcel,
    held: &UnitSet,
    awaiting: &[(u32, usize)],
) -> Result<UnitSet, Rejection> {
    let awaited = units_of(draft, awaiting);
    if command.quantities.is_empty() {
        return Ok(if awaited.is_empty() { held.clone() } else { awaited });
    }
    answer_stop::take(held, &command.quantities)?;
    let mut received = UnitSet::default();
    for LineQuantity { line, quantity } in command.quantities.iter().copied() {
        let first = awaited.take_highest(line, quantity);
        let then = held.minus(&awaited).take_highest(line, quantity - first.count());
        received = received.union(&first).union(&then);
    }
    Ok(received)
}

/// The parts on a shipment that the parcel's return would take on, as (cancellation, index).
fn awaiting(draft: &Draft<'_>, shipment: u32) -> Vec<(u32, usize)> {
    let mut waiting = parts::waiting_on(draft, shipment);
    waiting.retain(|(cancellation, index)| {
        let part = draft.order.cancellation(*cancellation).map(|of| &of.parts[*index]);
        part.is_some_and(|part| part.gates.iter().any(is_met))
    });
    waiting
}

/// A gate that a parcel at the warehouse settles, whether it was its turn or not. What is home will not arrive: as much as a loss
/// would have confirmed.
fn is_met(gate: &Gate) -> bool {
    matches!(gate.spec.kind, GateKind::CarrierIntercept | GateKind::ParcelReceipt | GateKind::LossConfirmation)
        && matches!(gate.state, GateState::Open | GateState::Queued)
}

fn units_of(draft: &Draft<'_>, parts: &[(u32, usize)]) -> UnitSet {
    let part = |(number, index): &(u32, usize)| Some(&draft.order.cancellation(*number)?.parts[*index]);
    parts.iter().filter_map(part).flat_map(|part| part.units.ranges().iter().copied()).collect()
}

/// Takes these parts on for the units that are back. The others of a part go on waiting.
fn pass(draft: &mut Draft<'_>, command: &ReceiveParcel, awaiting: Vec<(u32, usize)>, received: &UnitSet) {
    let (now, receipt) = (draft.now, receipt(draft, command));
    let given = GateAnswer { note: command.note.clone(), ..GateAnswer::by(draft.caller.clone()) };
    for (cancellation, index) in awaiting {
        let back = received.intersection(&units_of(draft, &[(cancellation, index)]));
        if back.is_empty() {
            continue;
        }
        parts::split_part(draft, cancellation, index, &back);
        let part = &mut parts::cancellation_mut(draft, cancellation).parts[index];
        part.receipt = part.receipt.or(Some(receipt));
        // One at a time: a gate that is open is closed, one whose turn would come is passed before it does.
        let is_open = part.open_gate().is_some_and(is_met);
        for gate in part.gates.iter_mut().filter(|gate| gate.state == GateState::Queued && is_met(gate)) {
            gate.state = GateState::Passed;
            gate.close_time = Some(now);
            gate.answer = Some(given.clone());
        }
        if is_open {
            parts::close_gate(draft, cancellation, index, GateState::Passed, given.clone());
        }
        parts::advance(draft, cancellation);
    }
}

/// Nobody waits for these goods: somebody did until it was too late, or they come home by themselves.
fn receive_unasked(draft: &mut Draft<'_>, command: &ReceiveParcel, units: &UnitSet) {
    let number = command.shipment;
    let receipt = receipt(draft, command);
    let asked = parts::asked_before(draft, number, None, GateKind::ParcelReceipt);
    // The last terms that were promised are those that stand.
    let too_late = asked.into_iter().rev().find(|(cancellation, index)| {
        let part = draft.order.cancellation(*cancellation).map(|of| &of.parts[*index]);
        part.is_some_and(|part| part.state == PartState::Refused && !part.units.intersection(units).is_empty())
    });
    match too_late {
        Some((cancellation, index)) => {
            let part = &parts::cancellation_mut(draft, cancellation).parts[index];
            if part.receipt.is_none() {
                let back = part.units.intersection(units);
                parts::split_part(draft, cancellation, index, &back);
                parts::cancellation_mut(draft, cancellation).parts[index].receipt = Some(receipt);
            }
            draft.open_incident_once(IncidentKind::LateFact, About::gate(cancellation, number));
        }
        None => {
            let units = units.minus(&draft.order.claimed_units());
            homecoming::open(draft, number, units.clone(), Some(receipt));
            let awaiting = awaiting(draft, number);
            pass(draft, command, awaiting, &units);
        }
    }
}

/// The incident that money waits for until the goods are back.
fn contested(draft: &Draft<'_>, shipment: u32) -> Option<u32> {
    let is_contested = |incident: &&Incident| {
        incident.kind == IncidentKind::CancelledYetShipped
            && incident.state == IncidentState::Open
            && incident.shipment == Some(shipment)
    };
    draft.order.incidents.iter().find(is_contested).map(|incident| incident.number)
}
