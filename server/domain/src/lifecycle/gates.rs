//! Gates: they open in turn, and close by an answer, by a fact or by silence.

use jiff::Timestamp;

use crate::cancellation::{Gate, GateAnswer, GateState, PartId};
use crate::event::EventDetail;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::intercepts;
use crate::period::Period;
use crate::policy::Policy;
use crate::terms::{GateKind, GateSpec, OnLost, OnTimeout};

pub(crate) fn open(draft: &mut Draft<'_>, id: PartId, gate: usize) {
    draft.decided_as(id);
    let now = draft.now;
    let of = draft.part(id);
    let (shipment, spec) = (of.shipment, of.gates[gate].spec.clone());
    let policy_version = draft.cancellation(id.cancellation).policy_version;
    let policy = draft.pinned(policy_version);
    let respond_by = spec
        .respond_within
        .map(|period| deadline(draft, policy, spec.kind, shipment, period));
    let before = |respond_by: Timestamp| respond_by.checked_sub(spec.remind_before?).ok();
    let gate = &mut draft.part_mut(id).gates[gate];
    gate.state = GateState::Open;
    gate.open_time = Some(now);
    gate.respond_by = respond_by;
    gate.remind_at = respond_by
        .and_then(before)
        .filter(|remind_at| *remind_at > now);
    draft.emit(EventDetail::GateOpened {
        cancellation: id.cancellation,
        shipment,
        gate: spec.kind,
        respond_by,
    });
    if spec.kind == GateKind::WarehouseStop {
        draft.raise_fence(shipment);
    }
    // There is one parcel: a carrier that brings it back for one request brings it back for all,
    // and one that is on its way back need not be asked to turn it round. What is home already is
    // not waited for, and says nothing of what is out.
    let is_home = draft.part(id).receipt.is_some();
    if !is_home {
        intercepts::gate_opened(draft, shipment, spec.kind);
    }
    let has_happened = match spec.kind {
        GateKind::CarrierIntercept => is_home || intercepts::is_confirmed(draft, shipment),
        GateKind::ParcelReceipt | GateKind::LossConfirmation => is_home,
        GateKind::SellerConsent | GateKind::SupportReview | GateKind::WarehouseStop => false,
    };
    if has_happened {
        let answer = GateAnswer::by(draft.actor().clone());
        close(draft, id, GateState::Passed, answer);
    }
}

/// Closes the open gate of a part in the name of whoever answered.
pub(crate) fn close(draft: &mut Draft<'_>, id: PartId, state: GateState, answer: GateAnswer) {
    draft.decided_as(id);
    let now = draft.now;
    let part = draft.part_mut(id);
    let shipment = part.shipment;
    let Some(gate) = part
        .gates
        .iter_mut()
        .find(|gate| gate.state == GateState::Open)
    else {
        return;
    };
    gate.state = state;
    gate.close_time = Some(now);
    gate.remind_at = None;
    gate.answer = Some(answer);
    let kind = gate.spec.kind;
    if kind == GateKind::WarehouseStop {
        draft.raise_fence(shipment);
    }
    draft.emit(EventDetail::GateClosed {
        cancellation: id.cancellation,
        shipment,
        gate: kind,
        state,
    });
    intercepts::gate_closed(draft, shipment, kind, state);
}

/// The deadline of a gate that opens now. A warehouse counts in its own calendar, all other parties
/// in that of the policy; calendar days are those of the store.
pub(crate) fn deadline(
    draft: &Draft<'_>,
    policy: &Policy,
    kind: GateKind,
    shipment: u32,
    period: Period,
) -> Timestamp {
    let warehouse = draft
        .order
        .shipment(shipment)
        .and_then(|shipment| draft.store.warehouses.get(&shipment.warehouse));
    match (kind, warehouse) {
        (GateKind::WarehouseStop | GateKind::ParcelReceipt, Some(warehouse)) => period.deadline(
            draft.now,
            warehouse.calendar.time_zone(),
            &warehouse.calendar,
        ),
        (GateKind::WarehouseStop | GateKind::ParcelReceipt, None)
        | (
            GateKind::SellerConsent
            | GateKind::SupportReview
            | GateKind::CarrierIntercept
            | GateKind::LossConfirmation,
            _,
        ) => period.deadline(
            draft.now,
            &draft.store.time_zone,
            &policy.refunds.default_calendar,
        ),
    }
}

/// Support is asked instead of a party that kept silent or lost the parcel. Support's own silence
/// refuses: it has nobody to escalate to.
pub(crate) fn review_instead_of(spec: &GateSpec, kind: GateKind) -> Gate {
    let review = Gate::queued(GateSpec {
        kind: GateKind::SupportReview,
        respond_within: spec.escalate_within.or(spec.respond_within),
        on_timeout: OnTimeout::Refuse,
        escalate_within: None,
        ..spec.clone()
    });
    Gate {
        instead_of: Some(kind),
        ..review
    }
}

/// Emits the events of gates that a fact has closed, whether their turn had come or not.
pub(crate) fn tell_closed(draft: &mut Draft<'_>, id: PartId, gates: &[GateKind], state: GateState) {
    draft.decided_as(id);
    let shipment = draft.part(id).shipment;
    for gate in gates.iter().copied() {
        draft.emit(EventDetail::GateClosed {
            cancellation: id.cancellation,
            shipment,
            gate,
            state,
        });
    }
}

/// Resolves the facts that a part awaits once its parcel is lost: no warehouse and no carrier will
/// bring them about. Their gates pass if all of them say so, and with them a review by support in
/// place of one; else support decides instead of them all.
pub(crate) fn resolve_as_lost(draft: &mut Draft<'_>, id: PartId) {
    let (now, by) = (draft.now, draft.actor().clone());
    draft.decided_as(id);
    let part = draft.part_mut(id);
    let awaits_a_fact = |gate: &&Gate| gate.is_pending() && gate.waits_for_a_fact();
    let awaited: Vec<&Gate> = part.gates.iter().filter(awaits_a_fact).collect();
    let escalating = awaited
        .iter()
        .find(|gate| gate.spec.on_lost == OnLost::Escalate);
    // Of all that will not happen, the parcel's coming home is what would say most.
    let mut facts = [
        GateKind::ParcelReceipt,
        GateKind::LossConfirmation,
        GateKind::CarrierIntercept,
    ]
    .into_iter();
    let awaits = |fact: &GateKind| awaited.iter().any(|gate| gate.effective_kind() == *fact);
    let review = escalating.map(|gate| {
        review_instead_of(
            &gate.spec,
            facts.find(awaits).unwrap_or(gate.effective_kind()),
        )
    });
    let is_asked = awaited.iter().any(|gate| gate.instead_of.is_some());
    let state = if review.is_some() {
        GateState::Closed
    } else {
        GateState::Passed
    };
    let ends = |gate: &Gate| gate.instead_of.is_none() || state == GateState::Passed;
    let mut closed = Vec::new();
    for gate in part
        .gates
        .iter_mut()
        .filter(|gate| awaits_a_fact(&&**gate) && ends(gate))
    {
        gate.state = state;
        gate.close_time = Some(now);
        gate.remind_at = None;
        gate.answer = Some(GateAnswer::by(by.clone()));
        closed.push(gate.spec.kind);
    }
    part.gates.extend(review.filter(|_| !is_asked));
    tell_closed(draft, id, &closed, state);
}
