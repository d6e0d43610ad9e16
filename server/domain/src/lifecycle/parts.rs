//! The life of a part: gate after gate, until its units are cancelled or it ends otherwise.

use crate::cancellation::{
    Cancellation, Gate, GateAnswer, GateState, LabelState, NextStep, Part, PartId, PartRefund,
    PartState, Receipt,
};
use crate::decision::{LoggedEvaluation, Occasion};
use crate::error_reason::ErrorReason;
use crate::lifecycle::conclude::conclude;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility::{AsMade, CancellationRequest, Portion};
use crate::lifecycle::refund_of::{RefundBasis, RefundTerms, refund_of};
use crate::lifecycle::{customs, eligibility, gates, intercepts, late, refund_of};
use crate::order::{Cancelling, Home};
use crate::shipment::Stage;
use crate::terms::{Effect, GateKind, OnDispatch, Path, Payer};
use crate::units::UnitSet;

/// Takes every waiting part of a cancellation as far as it goes: opens the next gate, or cancels
/// where none is left. Then concludes.
pub(crate) fn advance(draft: &mut Draft<'_>, cancellation: u32) {
    for id in draft.cancellation(cancellation).parts_where(|_| true) {
        while step(draft, id) {}
    }
    conclude(draft, cancellation);
}

/// Takes a part one step on and says whether there may be another.
fn step(draft: &mut Draft<'_>, id: PartId) -> bool {
    let part = draft.part(id);
    let mut next = part.next_step();
    // The last gate has passed. What the shipment's stage allowed when the request came, it may not
    // allow now.
    if next == NextStep::Cancel && !part.gates.is_empty() {
        reevaluate(draft, id);
        next = draft.part(id).next_step();
    }
    match next {
        NextStep::Nothing => false,
        NextStep::Cancel => {
            cancel(draft, id);
            false
        }
        NextStep::Open(gate) => {
            open_gate(draft, id, gate);
            true
        }
    }
}

/// Opens a gate, unless it waits for a parcel that is lost.
fn open_gate(draft: &mut Draft<'_>, id: PartId, gate: usize) {
    let part = draft.part(id);
    // A support review opens although the parcel is lost, also one in place of a fact. So the
    // gate's own kind counts here, and not the kind that it stands for.
    let awaits_a_fact = !part.gates[gate].spec.kind.is_consent();
    // What is home is not lost.
    if awaits_a_fact && part.receipt.is_none() && is_lost(draft, part.shipment) {
        gates::resolve_as_lost(draft, id);
    } else {
        gates::open(draft, id, gate);
    }
}

fn is_lost(draft: &Draft<'_>, shipment: u32) -> bool {
    draft
        .order
        .shipment(shipment)
        .is_some_and(|shipment| shipment.stage == Stage::Lost)
}

/// The shipment stands at another stage: re-evaluates every part that waits on it.
pub(crate) fn reevaluate_on(draft: &mut Draft<'_>, shipment: u32) {
    for id in draft.order.parts_waiting_on(shipment) {
        // The end of another one may have put the shipment back, and with it ended this one.
        if draft.part(id).state == PartState::Waiting {
            reevaluate(draft, id);
            conclude(draft, id.cancellation);
        }
    }
}

/// Puts a waiting part to the policy that opened it, for the stage where its shipment stands now. A
/// no refuses the part; a yes adds the gates that it names and the part does not have. What a loss
/// means, the gates say and not the rule of a stage.
fn reevaluate(draft: &mut Draft<'_>, id: PartId) {
    let of = draft.cancellation(id.cancellation).clone();
    let part = &of.parts[id.index];
    // What has not left is where the lapse put it, and keeps the answer that it had.
    let is_inside = draft
        .order
        .shipment(part.shipment)
        .is_some_and(|shipment| shipment.stage.is_before_dispatch());
    if is_lost(draft, part.shipment) || (is_inside && is_of_lapsed(draft, &of)) {
        return;
    }
    let (request, portion) = request_of(draft, &of, part);
    let mut evaluation =
        eligibility::evaluate(draft, draft.pinned(of.policy_version), &request, portion);
    let logged = evaluation.logged(Occasion::Reevaluation, of.policy_version);
    draft.log(logged.map(|logged| LoggedEvaluation {
        cancellation: Some(of.number),
        ..logged
    }));
    let part = draft.part_mut(id);
    if let Some(allowed) = evaluation.allowed {
        let is_new = |gate: &Gate| {
            of.parts[id.index]
                .gates
                .iter()
                .all(|known| known.spec.kind != gate.spec.kind)
        };
        part.gates
            .extend(allowed.gates.into_iter().map(Gate::queued).filter(is_new));
    } else if let Some(denied) = evaluation.denied.pop() {
        part.rule = denied.rule;
        part.next_actions = denied.next_actions;
        refuse(draft, id, denied.code.reason());
    }
}

/// A request from before a lapse that lasts. Whether the order is paid again is not its requester's
/// doing.
fn is_of_lapsed(draft: &Draft<'_>, of: &Cancellation) -> bool {
    draft
        .order
        .lapse_time
        .is_some_and(|lapsed| of.create_time < lapsed)
}

/// The request as it was when this part began.
pub(crate) fn request_of<'a>(
    draft: &Draft<'_>,
    of: &'a Cancellation,
    part: &'a Part,
) -> (CancellationRequest<'a>, Portion) {
    let paths = std::slice::from_ref(&part.path);
    // What the rule wanted of the carrier, the carrier had; one that turned the parcel round can.
    let rules = &draft.pinned(of.policy_version).rules;
    let rule = rules
        .iter()
        .find(|rule| Some(&rule.id) == part.rule.as_ref());
    let wanted = rule.map(|rule| &rule.when);
    let has_turned_it = part.has_passed(GateKind::CarrierIntercept);
    let as_made = AsMade {
        was_paid: is_of_lapsed(draft, of),
        // A label that was promised is not taken back. It was for all that was asked together.
        has_label: part
            .label
            .or_else(|| of.label_of(part))
            .map(|label| label == LabelState::Issued),
        in_transit_cancel: wanted
            .and_then(|wanted| wanted.in_transit_cancel)
            .or_else(|| has_turned_it.then_some(true)),
        partner_delivery: wanted.and_then(|wanted| wanted.partner_delivery),
        value: Some(draft.order.amounts_of(&asked_together(of, part)).total()),
    };
    let request = CancellationRequest {
        requester: of.requester.role,
        reason: of.reason.as_deref(),
        paths,
        asked_at: of.create_time,
        as_made,
    };
    let home = part.receipt.map(|receipt| Home {
        receipt,
        label: part.label,
    });
    (
        request,
        Portion {
            home,
            ..Portion::out(part.shipment, part.units.clone())
        },
    )
}

/// The units that were put to the policy together with those of a part, which it was split from.
/// What was home by then was asked about by its receipt.
fn asked_together(of: &Cancellation, part: &Part) -> UnitSet {
    let waited = |gate: &Gate| {
        gate.waits_for_a_fact()
            && gate.state == GateState::Passed
            && gate.open_time != gate.close_time
    };
    // A warehouse may tell late of what came home before: whoever waited for it shows that it was
    // out.
    let home = |part: &Part| {
        let receipt = part.receipt.filter(|_| !part.gates.iter().any(waited));
        receipt.filter(|receipt| receipt.receive_time < of.create_time)
    };
    let is_alike = |other: &&Part| {
        (other.shipment, other.path, &other.rule) == (part.shipment, part.path, &part.rule)
            && home(other) == home(part)
    };
    let parts = of.parts.iter().filter(is_alike);
    parts
        .flat_map(|part| part.units.ranges().iter().copied())
        .collect()
}

/// Whether a part yields to a dispatch: it ends where its shipment leaves, instead of keeping it
/// in.
pub(crate) fn yields_to_dispatch(draft: &Draft<'_>, id: PartId) -> bool {
    let part = draft.order.part(id);
    part.and_then(Part::open_gate).is_some_and(|gate| {
        gate.spec.on_dispatch == OnDispatch::RefusePart && gate.spec.kind != GateKind::WarehouseStop
    })
}

/// Ends the parts that yield to a dispatch: the shipment has left, and the party that was asked and
/// let it leave has answered by that.
pub(crate) fn yield_to_dispatch(draft: &mut Draft<'_>, shipment: u32) {
    for id in draft.order.parts_waiting_on(shipment) {
        if yields_to_dispatch(draft, id) {
            refuse(draft, id, ErrorReason::NoAgreement);
            conclude(draft, id.cancellation);
        }
    }
}

/// Resolves the parts that wait for a parcel that the carrier has lost.
pub(crate) fn resolve_as_lost_on(draft: &mut Draft<'_>, shipment: u32) {
    for id in draft.order.parts_waiting_on(shipment) {
        let part = draft.part(id);
        // Whose consent is asked goes on being asked, and what is home is not lost.
        let awaits_a_fact = part.open_gate().is_some_and(Gate::waits_for_a_fact);
        if awaits_a_fact && part.receipt.is_none() {
            gates::resolve_as_lost(draft, id);
            advance(draft, id.cancellation);
        }
    }
}

/// All gates have passed: the units are cancelled.
fn cancel(draft: &mut Draft<'_>, id: PartId) {
    let cancelling = draft.order.cancelling(id);
    let refund = refund_of_part(draft, &cancelling, cancelling.empties_shipment);
    let effects = effects(&cancelling);
    let (number, empties_shipment) = (cancelling.shipment.number, cancelling.empties_shipment);
    let (plan, price) = (cancelling.part.plan, label_price(draft, &cancelling));
    draft.cancel_part(id, refund, effects);
    let is_due = plan.return_shipping == Payer::Buyer && price > 0;
    if is_due && refund.deductions.return_shipping == 0 {
        hand_label_on(draft, id, price);
    }
    late::resolve_paid_late(draft, number);
    customs::flag_again(draft, number);
    if empties_shipment {
        draft.cancel_shipment(number);
    }
    expect_beside(draft, id);
}

fn refund_of_part(
    draft: &Draft<'_>,
    cancelling: &Cancelling<'_>,
    takes_the_last_unit: bool,
) -> PartRefund {
    let Cancelling { of, part, .. } = cancelling;
    let basis = RefundBasis {
        shipment: cancelling.shipment,
        units: &part.units,
        takes_the_last_unit,
        label: part.label,
        label_price: label_price(draft, cancelling),
        receipt: part.receipt,
    };
    let terms = RefundTerms {
        plan: part.plan,
        path: part.path,
        reason: of.reason.as_deref(),
    };
    refund_of(draft, draft.pinned(of.policy_version), &basis, &terms)
}

/// The price of a label is what was expected to be taken off for it. Where all was taken off that
/// there was, it was as much at least.
fn label_price(draft: &Draft<'_>, cancelling: &Cancelling<'_>) -> i64 {
    let expected = cancelling.part.deductions.return_shipping;
    if cancelling.part.refund.total() > 0 {
        expected
    } else {
        expected.max(refund_of::label_price(draft, cancelling.shipment))
    }
}

/// A label that is not charged for goods that are worth nothing, or stay sold, is charged with the
/// next ones that were asked back with them.
fn hand_label_on(draft: &mut Draft<'_>, from: PartId, price: i64) {
    let of = draft.cancellation(from.cancellation);
    let part = &of.parts[from.index];
    let (shipment, path) = (part.shipment, part.path);
    let may_bear = |other: &Part| {
        let is_alike = (other.shipment, other.path) == (shipment, path);
        is_alike && other.state == PartState::Waiting && other.label.is_none()
    };
    let next = of.parts_where(may_bear).into_iter().next();
    let (Some(label), Some(next)) = (part.label, next) else {
        return;
    };
    draft.part_mut(from).label = None;
    let part = draft.part_mut(next);
    part.label = Some(label);
    part.deductions.return_shipping = price;
    expect_again(draft, next);
}

/// The effects of cancelling this part on stock. Goods go back on sale that never left, or came
/// back as they were sent.
fn effects(cancelling: &Cancelling<'_>) -> Vec<Effect> {
    let Cancelling { of, part, .. } = cancelling;
    let goes_back_on_sale = match part.receipt {
        Some(receipt) => receipt.condition.is_resaleable() && part.path != Path::ReturnOpened,
        None => cancelling.shipment.stage.is_before_dispatch(),
    };
    let applies = |effect: &Effect| match effect {
        Effect::ZeroStock => true,
        Effect::Restock => goes_back_on_sale,
    };
    of.effects.iter().copied().filter(applies).collect()
}

/// Ends a part without cancelling, if it still waits.
pub(crate) fn refuse(draft: &mut Draft<'_>, id: PartId, reason: ErrorReason) {
    if draft.part(id).state != PartState::Waiting {
        return;
    }
    draft.part_mut(id).refused_reason = Some(reason);
    end(draft, id, PartState::Refused);
}

/// Withdraws a part for its requester.
pub(crate) fn withdraw(draft: &mut Draft<'_>, id: PartId) {
    end(draft, id, PartState::Withdrawn);
}

fn end(draft: &mut Draft<'_>, id: PartId, state: PartState) {
    let part = draft.part(id);
    let shipment = part.shipment;
    let was_stopped = part.has_passed(GateKind::WarehouseStop);
    let price = label_price(draft, &draft.order.cancelling(id));
    let closed = draft.stop_waiting(id, state);
    hand_label_on(draft, id, price);
    for gate in closed {
        intercepts::gate_closed(draft, shipment, gate, GateState::Closed);
    }
    draft.end_part(id);
    expect_beside(draft, id);
    if was_stopped {
        put_back(draft, shipment);
    }
}

/// A part has ended, or is two by now: another one may take the last unit, with which the shipping
/// charge goes, or none may any more. Those are of the same cancellation, or of the only one that
/// waits.
fn expect_beside(draft: &mut Draft<'_>, changed: PartId) {
    let shipment = draft.part(changed).shipment;
    let waiting = draft.order.parts_waiting_on(shipment);
    let is_only_one = waiting
        .iter()
        .all(|id| id.cancellation == waiting[0].cancellation);
    for id in waiting {
        if is_only_one || id.cancellation == changed.cancellation {
            expect_again(draft, id);
        }
    }
}

/// Plans a shipment again that was stopped and is not cancelled.
pub(crate) fn put_back(draft: &mut Draft<'_>, shipment: u32) {
    let stage = draft
        .order
        .shipment(shipment)
        .map(|shipment| shipment.stage);
    if matches!(stage, Some(Stage::Preparing | Stage::Ready)) {
        draft.move_shipment(shipment, Stage::Planned);
        draft.prepare_anew(shipment);
        reevaluate_on(draft, shipment);
    }
}

/// Leaves `units` in a part and makes a part of its own of the others, with the same gates, so that
/// the two can end differently. Returns the other part.
pub(crate) fn split(draft: &mut Draft<'_>, id: PartId, units: &UnitSet) -> Option<PartId> {
    let part = draft.part(id);
    let others = part.units.minus(units);
    if others.is_empty() {
        return None;
    }
    // The label is charged once, with the units that it came with.
    let other = Part {
        units: others,
        label: None,
        ..part.clone()
    };
    let stays = part.units.intersection(units);
    let of = draft.cancellation_mut(id.cancellation);
    of.parts[id.index].units = stays;
    of.parts.push(other);
    let other = PartId {
        index: of.parts.len() - 1,
        ..id
    };
    // From a part that has ended nothing is expected any more.
    if of.parts[id.index].state == PartState::Waiting {
        expect_beside(draft, id);
    }
    Some(other)
}

/// Recomputes what a waiting part is expected to give back, if its cancellation takes all that it
/// waits for.
pub(crate) fn expect_again(draft: &mut Draft<'_>, id: PartId) {
    let takes_the_last_unit = draft.order.is_to_take_the_last_unit(id);
    let refund = refund_of_part(draft, &draft.order.cancelling(id), takes_the_last_unit);
    let part = draft.part_mut(id);
    part.refund = refund.amounts;
    part.deductions = refund.deductions;
}

/// Notes on a part that was refused that these of its units are home.
pub(crate) fn note_on_refused(draft: &mut Draft<'_>, id: PartId, back: &UnitSet, receipt: Receipt) {
    split(draft, id, back);
    let part = draft.part_mut(id);
    part.receipt = part.receipt.or(Some(receipt));
}

/// Passes the carrier's gates of all parts that wait for this shipment, since the carrier or its
/// scan has confirmed that the parcel comes back; so the support reviews in their place, too.
/// Returns whether any part waited.
pub(crate) fn intercept_confirmed(
    draft: &mut Draft<'_>,
    shipment: u32,
    given: &GateAnswer,
) -> bool {
    let waiting = draft
        .order
        .parts_waiting_for_fact(shipment, GateKind::CarrierIntercept);
    if !waiting.is_empty() {
        intercepts::confirm(draft, shipment);
    }
    for id in waiting.iter().copied() {
        gates::close(draft, id, GateState::Passed, given.clone());
        advance(draft, id.cancellation);
    }
    !waiting.is_empty()
}
