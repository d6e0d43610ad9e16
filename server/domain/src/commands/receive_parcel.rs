//! ReceiveParcel: goods are back at the warehouse. A fact: it is recorded whoever waits for it, and
//! if nobody does.
//!
//! A warehouse counts pieces; it does not know which unit of a line each of them is. So a receipt
//! is taken for units that have left and are not home, in this order, and of each kind the highest
//! unit first:
//! 1. units that a waiting part expects back,
//! 2. units that are cancelled, or that another waiting part has claimed,
//! 3. units whose return was asked and came to nothing, the last one first,
//! 4. all others.
//!
//! Every unit that is home is cancelled and refunded, or waits for somebody's consent, or was
//! refused by the policy, which is on record, or is under an incident.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::actor::Role;
use crate::cancellation::{
    Cancellation, Gate, GateAnswer, GateState, Part, PartId, PartState, Receipt,
};
use crate::decision::Answer;
use crate::event::EventDetail;
use crate::ids::ExternalId;
use crate::incident::{Incident, IncidentKind, IncidentState};
use crate::lifecycle::draft::Draft;
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::{
    gates, incidents, intercepts, late, parts, quantities, refunds, undeliverable,
};
use crate::order::FACTS_MAX;
use crate::rejection::{Limit, Rejection};
use crate::shipment::{InterceptState, Shipment, Stage};
use crate::terms::{GateKind, GoodsCondition};
use crate::units::{LineQuantity, UnitSet};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveParcel {
    pub shipment: u32,
    pub condition: GoodsCondition,
    /// What was in it; empty is everything that a waiting part expects back, or all that is out
    /// where none does.
    pub quantities: Vec<LineQuantity>,
    /// The warehouse's id of this receipt: it counts once. Without one, two receipts are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_id: Option<ExternalId>,
    /// By the warehouse's clock; none is now.
    pub receive_time: Option<Timestamp>,
    pub note: Option<String>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &ReceiveParcel) -> Result<Answer, Rejection> {
    let number = command.shipment;
    let shipment = draft.shipment_at(number, None)?;
    let counted = &shipment.whereabouts.receipt_ids;
    if command
        .receipt_id
        .as_ref()
        .is_some_and(|id| counted.contains(id))
    {
        return Ok(Answer::Shipment(number));
    }
    let received = received(draft, shipment, command)?;
    match shipment.stage {
        Stage::InTransit | Stage::Delivered | Stage::Lost | Stage::Returning | Stage::Returned => {}
        stage @ (Stage::Unreleased
        | Stage::Planned
        | Stage::Preparing
        | Stage::Ready
        | Stage::Cancelled
        | Stage::Split) => return Err(Rejection::StageMismatch { stage }),
    }
    // The receipt after which nothing is out is never one too many.
    let is_last = shipment.whereabouts.out() == received;
    if command.receipt_id.is_some() && counted.len() >= FACTS_MAX && !is_last {
        return Err(Rejection::LimitReached {
            limit: Limit::ShipmentReceipts,
            max: FACTS_MAX,
        });
    }
    // A whole parcel that is home already was told before.
    if !received.is_empty() {
        take_in(draft, command, &received);
    }
    Ok(Answer::Shipment(number))
}

/// The units in the parcel, in the order that the module names.
fn received(
    draft: &Draft<'_>,
    shipment: &Shipment,
    command: &ReceiveParcel,
) -> Result<UnitSet, Rejection> {
    // Of what never left, the stage is what is wrong, not the quantity.
    let could = if shipment.stage.is_dispatched() {
        shipment.whereabouts.out()
    } else {
        shipment.units.clone()
    };
    let expected = expected(draft, shipment.number).intersection(&could);
    if command.quantities.is_empty() {
        let line = shipment
            .units
            .lines()
            .next()
            .filter(|_| could.is_empty() && command.receipt_id.is_some());
        // Another parcel than those that are home already, and nothing that could be in it.
        if let Some(line) = line {
            return Err(Rejection::QuantityUnavailable {
                line,
                requested: 1,
                available: 0,
            });
        }
        return Ok(if expected.is_empty() { could } else { expected });
    }
    quantities::take(&could, &command.quantities)?;
    let taken = draft
        .order
        .cancelled_units()
        .union(&draft.order.claimed_units());
    let mut kinds = vec![expected, taken];
    kinds.extend(
        too_late(draft, shipment.number)
            .into_iter()
            .map(|id| draft.part(id).units.clone()),
    );
    kinds.push(could.clone());
    let mut received = UnitSet::default();
    for LineQuantity { line, quantity } in command.quantities.iter().copied() {
        let mut missing = quantity;
        for kind in &kinds {
            let found = kind
                .intersection(&could)
                .minus(&received)
                .take_highest(line, missing);
            missing -= found.count();
            received = received.union(&found);
        }
    }
    Ok(received)
}

/// The units on a shipment that waiting parts expect back.
fn expected(draft: &Draft<'_>, shipment: u32) -> UnitSet {
    let parts = draft.order.cancellations.iter().flat_map(|of| &of.parts);
    let waiting =
        parts.filter(|part| part.state == PartState::Waiting && part.shipment == shipment);
    let expecting = waiting.filter(|part| part.gates.iter().any(is_met));
    expecting
        .flat_map(|part| part.units.ranges().iter().copied())
        .collect()
}

/// A gate that a parcel at the warehouse answers, whether it was its turn or not, and support that
/// is asked in its place. What is home will not arrive: as much as a loss would have confirmed.
fn is_met(gate: &Gate) -> bool {
    matches!(
        gate.effective_kind(),
        GateKind::CarrierIntercept | GateKind::ParcelReceipt | GateKind::LossConfirmation
    ) && gate.is_pending()
}

/// The parts on a shipment whose goods were to come back and did not in time. The last
/// terms that were promised are those that stand, so they come first.
fn too_late(draft: &Draft<'_>, shipment: u32) -> Vec<PartId> {
    let mut asked = draft
        .order
        .parts_asked(shipment, None, GateKind::ParcelReceipt);
    asked.retain(|id| draft.part(*id).state == PartState::Refused);
    asked.reverse();
    asked
}

/// Receives these units: passes the gates that awaited them, and opens what follows for those that
/// no part awaited.
fn take_in(draft: &mut Draft<'_>, command: &ReceiveParcel, received: &UnitSet) {
    let number = command.shipment;
    let receipt = receipt(draft, command);
    let now = draft.now;
    let shipment = draft.shipment_mut(number);
    shipment.whereabouts.home = shipment.whereabouts.home.union(received);
    shipment
        .whereabouts
        .receipt_ids
        .extend(command.receipt_id.clone());
    shipment.update_time = now;
    draft.emit(EventDetail::ParcelReceived {
        shipment: number,
        condition: command.condition,
        units: received.clone(),
        receipt_id: command.receipt_id.clone(),
        receive_time: receipt.receive_time,
    });
    let unasked = received
        .minus(&draft.order.cancelled_units())
        .minus(&draft.order.claimed_units());
    note_on_cancelled(draft, number, received, receipt);
    resolve_contested(draft, number);
    late::note_on_dropped(draft, number);
    pass(draft, command, received, receipt);
    let unannounced = receive_too_late(draft, number, unasked, receipt);
    undeliverable::open(draft, number, unannounced, Some(receipt));
    if is_all_home(draft, number) {
        // The parcel may have been scanned in before.
        let is_news = draft
            .order
            .shipment(number)
            .is_some_and(|shipment| shipment.stage != Stage::Returned);
        draft.move_shipment(number, Stage::Returned);
        intercepts::advance(draft, number, InterceptState::Received);
        if is_news {
            parts::reevaluate_on(draft, number);
        }
    }
    // What is released has waited, and money may have gone back outside meanwhile.
    refunds::reconcile(draft, None);
}

/// No parcel comes from the future, and none comes home before it left.
fn receipt(draft: &Draft<'_>, command: &ReceiveParcel) -> Receipt {
    let told = command.receive_time.unwrap_or(draft.now);
    let left = draft
        .order
        .shipment(command.shipment)
        .and_then(|shipment| shipment.dispatch_time);
    let receive_time = left.map_or(told, |left| told.max(left)).min(draft.now);
    Receipt {
        condition: command.condition,
        receive_time,
    }
}

/// Notes the receipt on parts that were cancelled while their goods were outside.
fn note_on_cancelled(draft: &mut Draft<'_>, number: u32, received: &UnitSet, receipt: Receipt) {
    for part in draft
        .order
        .cancellations
        .iter_mut()
        .flat_map(|cancellation| &mut cancellation.parts)
    {
        let is_back = part.shipment == number && !part.units.intersection(received).is_empty();
        if part.state == PartState::Cancelled && is_back {
            part.receipt = part.receipt.or(Some(receipt));
        }
    }
}

/// Money goes once everything is home that it goes back for.
fn resolve_contested(draft: &mut Draft<'_>, number: u32) {
    let is_contested = |incident: &&Incident| is_contested(incident, number);
    let contested = draft
        .order
        .incidents
        .iter()
        .find(is_contested)
        .map(|incident| incident.number);
    let out = draft
        .order
        .shipment(number)
        .map(|shipment| shipment.whereabouts.out())
        .unwrap_or_default();
    if out.intersection(&draft.order.cancelled_units()).is_empty() {
        contested
            .into_iter()
            .for_each(|incident| incidents::resolve_by_fact(draft, incident));
    }
}

fn is_contested(incident: &Incident, shipment: u32) -> bool {
    incident.kind == IncidentKind::CancelledYetShipped
        && incident.state == IncidentState::Open
        && incident.shipment == Some(shipment)
}

/// Takes the waiting parts on for the units that are back; the others of a part go on waiting.
/// Whose consent is asked goes on being asked, and knows from now on that the goods are home.
fn pass(draft: &mut Draft<'_>, command: &ReceiveParcel, received: &UnitSet, receipt: Receipt) {
    let now = draft.now;
    let given = GateAnswer {
        note: command.note.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    for id in draft.order.parts_waiting_on(command.shipment) {
        let back = draft.part(id).units.intersection(received);
        if back.is_empty() {
            continue;
        }
        parts::split(draft, id, &back);
        let part = draft.part_mut(id);
        part.receipt = part.receipt.or(Some(receipt));
        // One at a time: a gate that is open is closed, one whose turn would come is passed before
        // it does.
        let is_open = part.open_gate().is_some_and(is_met);
        let mut passed = Vec::new();
        for gate in part
            .gates
            .iter_mut()
            .filter(|gate| gate.state == GateState::Queued && is_met(gate))
        {
            gate.state = GateState::Passed;
            gate.close_time = Some(now);
            gate.answer = Some(given.clone());
            passed.push(gate.spec.kind);
        }
        gates::tell_closed(draft, id, &passed, GateState::Passed);
        if is_open {
            gates::close(draft, id, GateState::Passed, given.clone())
        } else {
            // What comes back may be worth less than what was promised to come back.
            parts::expect_again(draft, id)
        }
        parts::advance(draft, id.cancellation);
    }
}

/// Goods that were to come home and come after their time was up: support decides. Gives the units
/// that nobody announced.
fn receive_too_late(
    draft: &mut Draft<'_>,
    number: u32,
    mut received: UnitSet,
    receipt: Receipt,
) -> UnitSet {
    for id in too_late(draft, number) {
        let late = draft.part(id).units.intersection(&received);
        if late.is_empty() {
            continue;
        }
        received = received.minus(&late);
        parts::note_on_refused(draft, id, &late, receipt);
        draft.open_incident_anew(
            IncidentKind::LateFact,
            IncidentSubject::gate(id.cancellation, number),
        );
    }
    received
}

/// Nothing is out any more that is still sold, or that was cancelled because it comes back or must
/// come back. What the policy gave away outside, the buyer may keep.
fn is_all_home(draft: &Draft<'_>, number: u32) -> bool {
    let Some(shipment) = draft.order.shipment(number) else {
        return false;
    };
    let must_come_back = draft
        .order
        .incidents
        .iter()
        .any(|incident| is_contested(incident, number));
    let comes_back = |of: &Cancellation, part: &Part| {
        must_come_back || of.requester.role == Role::Carrier || part.relies_on_the_carrier()
    };
    let mut awaited = draft.order.live_units(shipment);
    for of in &draft.order.cancellations {
        let cancelled = of
            .parts
            .iter()
            .filter(|part| part.state == PartState::Cancelled && part.shipment == number);
        for part in cancelled.filter(|part| comes_back(of, part)) {
            awaited = awaited.union(&part.units);
        }
    }
    shipment.whereabouts.out().intersection(&awaited).is_empty()
}
