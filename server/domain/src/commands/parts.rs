//! How a part of a cancellation goes on: gate after gate, until its units are cancelled or it ends
//! otherwise.

use jiff::Timestamp;

use super::draft::{self, Draft};
use super::refund_of::{Claim, refund_of};
use super::request_cancellation::{Portion, Wish, judge};
use super::{customs, intercepts, refunds, resolve_incident};
use crate::cancellation::{
    Cancellation, CancellationState, Deductions, Gate, GateAnswer, GateState, LabelState, Part,
    PartRefund, PartState,
};
use crate::error_reason::ErrorReason;
use crate::event::EventDetail;
use crate::money::Amounts;
use crate::order::{Home, PAYMENT_EXPIRED};
use crate::policy::Policy;
use crate::shipment::{Shipment, Stage};
use crate::terms::{Effect, GateKind, GateSpec, OnDispatch, OnLost, OnTimeout, Path};
use crate::units::UnitSet;
use crate::wait::Wait;

/// Takes every waiting part of a cancellation as far as it goes: opens the next gate, or cancels
/// where none is left. Then closes the cancellation if nothing waits.
pub(super) fn advance(draft: &mut Draft<'_>, cancellation: u32) {
    for index in 0..cancellation_mut(draft, cancellation).parts.len() {
        while step(draft, cancellation, index) {}
    }
    close_if_over(draft, cancellation);
}

/// Takes a part one step on and says whether there was one to take.
fn step(draft: &mut Draft<'_>, cancellation: u32, index: usize) -> bool {
    let part = &cancellation_mut(draft, cancellation).parts[index];
    if part.state != PartState::Waiting || part.open_gate().is_some() {
        return false;
    }
    // The last gate has passed. What the shipment's stage allowed when the wish came, it may not
    // allow now.
    if !part.gates.is_empty() && next_gate(part).is_none() {
        ask_again(draft, cancellation, index);
    }
    let part = cancellation_mut(draft, cancellation).parts[index].clone();
    match next_gate(&part) {
        _ if part.state != PartState::Waiting => {}
        // What is home is not lost.
        Some(gate)
            if !part.gates[gate].spec.kind.is_consent()
                && part.receipt.is_none()
                && is_lost(draft, part.shipment) =>
        {
            lose(draft, cancellation, index);
        }
        Some(gate) => open_gate(draft, cancellation, index, gate),
        None => cancel_part(draft, cancellation, index),
    }
    true
}

/// A gate as the policy names it, before its turn.
pub(super) fn queued(spec: GateSpec) -> Gate {
    Gate {
        spec,
        instead_of: None,
        state: GateState::Queued,
        open_time: None,
        respond_by: None,
        remind_at: None,
        close_time: None,
        answer: None,
    }
}

fn next_gate(part: &Part) -> Option<usize> {
    part.gates
        .iter()
        .position(|gate| gate.state == GateState::Queued)
}

fn is_lost(draft: &Draft<'_>, shipment: u32) -> bool {
    draft
        .order
        .shipment(shipment)
        .is_some_and(|shipment| shipment.stage == Stage::Lost)
}

/// The shipment stands at another stage: every part that waits on it is put to its policy again.
pub(super) fn ask_again_on(draft: &mut Draft<'_>, shipment: u32) {
    for (cancellation, index) in waiting_on(draft, shipment) {
        ask_again(draft, cancellation, index);
        close_if_over(draft, cancellation);
    }
}

/// Puts a waiting part to the policy that opened it, for the stage where its shipment stands now. A
/// no refuses the part; a yes adds the gates that it names and the part does not have. What a loss
/// means, the gates say and not the rule of a stage.
fn ask_again(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let of = cancellation_mut(draft, cancellation).clone();
    let part = &of.parts[index];
    // A wish from before a lapse keeps the answer it had: whether the order is paid again is not
    // its requester's doing.
    let has_lapsed = draft
        .order
        .lapse_time
        .is_some_and(|lapsed| of.create_time < lapsed);
    if is_lost(draft, part.shipment) || has_lapsed {
        return;
    }
    let (wish, portion) = wish_of(&of, part);
    let mut judgement = judge(draft, draft.pinned(of.policy_version), &wish, portion);
    draft.note_asked(of.policy_version, judgement.asked);
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    if let Some(allowed) = judgement.allowed {
        let is_new = |gate: &Gate| {
            of.parts[index]
                .gates
                .iter()
                .all(|known| known.spec.kind != gate.spec.kind)
        };
        part.gates
            .extend(allowed.gates.into_iter().map(queued).filter(is_new));
    } else if let Some(denied) = judgement.denied.pop() {
        part.rule = denied.rule;
        part.next_actions = denied.next_actions;
        refuse_part(draft, cancellation, index, denied.code.reason());
    }
}

/// What was wished when this part began.
pub(super) fn wish_of<'a>(of: &'a Cancellation, part: &'a Part) -> (Wish<'a>, Portion) {
    let reason = (!of.reason.is_empty()).then_some(&*of.reason);
    let paths = std::slice::from_ref(&part.path);
    // A label that was promised is not taken back.
    let has_label = part.label.map(|label| label == LabelState::Issued);
    let wish = Wish {
        requester: of.requester.role,
        reason,
        paths,
        asked_at: of.create_time,
        has_label,
    };
    let home = part.receipt.map(|receipt| Home {
        receipt,
        label: part.label,
    });
    (
        wish,
        Portion {
            home,
            ..Portion::out(part.shipment, part.units.clone())
        },
    )
}

/// Whether a part ends where its shipment leaves, instead of keeping it in.
pub(super) fn lets_go(draft: &Draft<'_>, (cancellation, part): (u32, usize)) -> bool {
    let part = draft
        .order
        .cancellation(cancellation)
        .map(|cancellation| &cancellation.parts[part]);
    part.and_then(|part| part.open_gate()).is_some_and(|gate| {
        gate.spec.on_dispatch == OnDispatch::RefusePart && gate.spec.kind != GateKind::WarehouseStop
    })
}

/// The shipment has left. Whoever was asked and let it go has answered by that.
pub(super) fn let_go(draft: &mut Draft<'_>, shipment: u32) {
    for part @ (cancellation, index) in waiting_on(draft, shipment) {
        if lets_go(draft, part) {
            refuse_part(draft, cancellation, index, ErrorReason::NoAgreement);
            close_if_over(draft, cancellation);
        }
    }
}

/// The carrier has lost what these parts wait for.
pub(super) fn lose_on(draft: &mut Draft<'_>, shipment: u32) {
    for (cancellation, index) in waiting_on(draft, shipment) {
        let part = &cancellation_mut(draft, cancellation).parts[index];
        // Whose consent is asked goes on being asked, and what is home is not lost.
        let awaits_a_fact = part
            .open_gate()
            .is_some_and(|gate| !gate.effective_kind().is_consent());
        if awaits_a_fact && part.receipt.is_none() {
            lose(draft, cancellation, index);
            advance(draft, cancellation);
        }
    }
}

/// Nothing that a warehouse or a carrier was to do will happen any more. Their gates pass if all of
/// them say so, and with them support that is asked in place of one; else support decides instead
/// of them all.
fn lose(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let (now, by) = (draft.now, draft.actor().clone());
    decided_as(draft, cancellation, index);
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    let awaits_a_fact = |gate: &&Gate| gate.is_pending() && !gate.effective_kind().is_consent();
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
    tell_closed(draft, (cancellation, index), &closed, state);
}

/// Tells of gates that a fact has closed, whether their turn had come or not.
pub(super) fn tell_closed(
    draft: &mut Draft<'_>,
    (cancellation, index): (u32, usize),
    gates: &[GateKind],
    state: GateState,
) {
    decided_as(draft, cancellation, index);
    let shipment = cancellation_mut(draft, cancellation).parts[index].shipment;
    for gate in gates.iter().copied() {
        draft.emit(EventDetail::GateClosed {
            cancellation,
            shipment,
            gate,
            state,
        });
    }
}

/// Support is asked instead of a party that kept silent or lost the parcel. Support's own silence
/// refuses: it has nobody to escalate to.
pub(super) fn review_instead_of(spec: &GateSpec, kind: GateKind) -> Gate {
    let review = queued(GateSpec {
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

/// What is told next, is told by the rule that decided this part.
fn decided_as(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let of = cancellation_mut(draft, cancellation);
    let (policy_version, rule) = (of.policy_version, of.parts[index].rule.clone());
    draft.decided_by(policy_version, rule);
}

fn open_gate(draft: &mut Draft<'_>, cancellation: u32, part: usize, gate: usize) {
    decided_as(draft, cancellation, part);
    let now = draft.now;
    let of = &cancellation_mut(draft, cancellation).parts[part];
    let (shipment, spec) = (of.shipment, of.gates[gate].spec.clone());
    let policy_version = cancellation_mut(draft, cancellation).policy_version;
    let policy = draft.pinned(policy_version);
    let respond_by = spec
        .respond_within
        .map(|wait| deadline(draft, policy, spec.kind, shipment, wait));
    let before = |respond_by: Timestamp| respond_by.checked_sub(spec.remind_before?).ok();
    let gate = &mut cancellation_mut(draft, cancellation).parts[part].gates[gate];
    gate.state = GateState::Open;
    gate.open_time = Some(now);
    gate.respond_by = respond_by;
    gate.remind_at = respond_by
        .and_then(before)
        .filter(|remind_at| *remind_at > now);
    draft.emit(EventDetail::GateOpened {
        cancellation,
        shipment,
        gate: spec.kind,
        respond_by,
    });
    if spec.kind == GateKind::WarehouseStop {
        draft.raise_fence(shipment);
    }
    intercepts::gate_opened(draft, shipment, spec.kind);
    // There is one parcel: a carrier that brings it back for one wish brings it back for all, and
    // one that is on its way back need not be asked to turn it round. What is home already is not
    // waited for.
    let is_home = cancellation_mut(draft, cancellation).parts[part]
        .receipt
        .is_some();
    let has_happened = match spec.kind {
        GateKind::CarrierIntercept => is_home || intercepts::is_confirmed(draft, shipment),
        GateKind::ParcelReceipt | GateKind::LossConfirmation => is_home,
        GateKind::SellerConsent | GateKind::SupportReview | GateKind::WarehouseStop => false,
    };
    if has_happened {
        let answer = GateAnswer::by(draft.actor().clone());
        close_gate(draft, cancellation, part, GateState::Passed, answer);
    }
}

/// When the time is up of whom this gate asks from now on. A warehouse counts in its own calendar,
/// everybody else in that of the policy; calendar days are those of the store.
pub(super) fn deadline(
    draft: &Draft<'_>,
    policy: &Policy,
    kind: GateKind,
    shipment: u32,
    wait: Wait,
) -> Timestamp {
    let warehouse = draft
        .order
        .shipment(shipment)
        .and_then(|shipment| draft.store.warehouses.get(&shipment.warehouse));
    match (kind, warehouse) {
        (GateKind::WarehouseStop | GateKind::ParcelReceipt, Some(warehouse)) => wait.deadline(
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
        ) => wait.deadline(
            draft.now,
            &draft.store.time_zone,
            &policy.refunds.default_calendar,
        ),
    }
}

/// All gates have passed: the units are cancelled.
fn cancel_part(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    decided_as(draft, cancellation, index);
    let of = cancellation_mut(draft, cancellation).clone();
    let part = &of.parts[index];
    let Some(shipment) = draft.order.shipment(part.shipment) else {
        panic!("part {index} of cancellation {cancellation} names a shipment that is not there")
    };
    let refund = refund_of_part(draft, &of, part, shipment);
    let empties_shipment = draft
        .order
        .live_units(shipment)
        .minus(&part.units)
        .is_empty();
    let leaves_from = shipment.stage;
    let effects = effects(&of, part, leaves_from);

    let number = part.shipment;
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    part.state = PartState::Cancelled;
    part.refund = refund.amounts;
    part.deductions = refund.deductions;
    part.effects = effects;
    draft.raise_fence(number);
    part_ended(draft, cancellation, index);
    resolve_incident::settle_paid_late(draft, number);
    customs::flag_again(draft, number);
    if empties_shipment {
        draft.end_hold(number);
    }
    if empties_shipment && leaves_from.is_before_dispatch() {
        draft.move_shipment(number, Stage::Cancelled);
    }
}

fn refund_of_part(
    draft: &Draft<'_>,
    of: &Cancellation,
    part: &Part,
    shipment: &Shipment,
) -> PartRefund {
    let claim = Claim {
        shipment,
        units: &part.units,
        before: &UnitSet::default(),
        path: part.path,
        reason: &of.reason,
        plan: part.plan,
        label: part.label,
        receipt: part.receipt,
    };
    refund_of(draft, draft.pinned(of.policy_version), &claim)
}

/// What cancelling this part asks of the stock. Goods go back on sale that never left, or came back
/// as they were sent.
fn effects(of: &Cancellation, part: &Part, leaves_from: Stage) -> Vec<Effect> {
    let goes_back_on_sale = match part.receipt {
        Some(receipt) => receipt.condition.is_resaleable() && part.path != Path::ReturnOpened,
        None => leaves_from.is_before_dispatch(),
    };
    let applies = |effect: &Effect| match effect {
        Effect::ZeroStock => true,
        Effect::Restock => goes_back_on_sale,
    };
    of.effects.iter().copied().filter(applies).collect()
}

/// Ends a waiting part without cancelling.
pub(super) fn refuse_part(
    draft: &mut Draft<'_>,
    cancellation: u32,
    index: usize,
    reason: ErrorReason,
) {
    cancellation_mut(draft, cancellation).parts[index].refused_reason = Some(reason);
    end_part(draft, cancellation, index, PartState::Refused);
}

/// The requester has taken it back.
pub(super) fn withdraw_part(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    end_part(draft, cancellation, index, PartState::Withdrawn);
}

fn end_part(draft: &mut Draft<'_>, cancellation: u32, index: usize, state: PartState) {
    decided_as(draft, cancellation, index);
    let now = draft.now;
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    part.state = state;
    part.refund = Amounts::ZERO;
    part.deductions = Deductions::default();
    let shipment = part.shipment;
    let was_stopped = part.has_passed(GateKind::WarehouseStop);
    let mut closed = Vec::new();
    for gate in &mut part.gates {
        if gate.state == GateState::Open {
            closed.push(gate.spec.kind);
        }
        if matches!(gate.state, GateState::Queued | GateState::Open) {
            gate.state = GateState::Closed;
            gate.close_time = Some(now);
            gate.remind_at = None;
        }
    }
    for gate in closed {
        draft.emit(EventDetail::GateClosed {
            cancellation,
            shipment,
            gate,
            state: GateState::Closed,
        });
        intercepts::gate_closed(draft, shipment, gate, GateState::Closed);
    }
    draft.raise_fence(shipment);
    part_ended(draft, cancellation, index);
    if was_stopped {
        put_back(draft, shipment);
    }
}

pub(super) fn part_ended(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let of = cancellation_mut(draft, cancellation);
    let part = &of.parts[index];
    let detail = EventDetail::PartEnded {
        cancellation,
        shipment: part.shipment,
        state: part.state,
        refused_reason: part.refused_reason,
        units: part.units.clone(),
        effects: part.effects.clone(),
    };
    draft.emit(detail);
}

/// What was stopped and is not cancelled begins again where the warehouse begins.
pub(super) fn put_back(draft: &mut Draft<'_>, shipment: u32) {
    let stage = draft
        .order
        .shipment(shipment)
        .map(|shipment| shipment.stage);
    if matches!(stage, Some(Stage::Preparing | Stage::Ready)) {
        draft.move_shipment(shipment, Stage::Planned);
        draft.prepare_anew(shipment);
        ask_again_on(draft, shipment);
    }
}

/// Closes the open gate of a part in the name of whoever answered.
pub(super) fn close_gate(
    draft: &mut Draft<'_>,
    cancellation: u32,
    index: usize,
    state: GateState,
    answer: GateAnswer,
) {
    decided_as(draft, cancellation, index);
    let now = draft.now;
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
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
        cancellation,
        shipment,
        gate: kind,
        state,
    });
    intercepts::gate_closed(draft, shipment, kind, state);
}

/// Leaves `units` in a part and makes a part of its own of the others, with the same gates, so that
/// the two can end differently. Returns the index of the other part.
pub(super) fn split_part(
    draft: &mut Draft<'_>,
    cancellation: u32,
    index: usize,
    units: &UnitSet,
) -> Option<usize> {
    let part = &cancellation_mut(draft, cancellation).parts[index];
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
    let of = cancellation_mut(draft, cancellation);
    of.parts[index].units = stays;
    of.parts.push(other);
    let last = of.parts.len() - 1;
    // From a part that has ended nothing is expected any more.
    if of.parts[index].state == PartState::Waiting {
        for index in [index, last] {
            expect_again(draft, cancellation, index);
        }
    }
    Some(last)
}

/// Reckons anew what a waiting part is expected to give back.
pub(super) fn expect_again(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let of = cancellation_mut(draft, cancellation).clone();
    let part = &of.parts[index];
    let Some(shipment) = draft.order.shipment(part.shipment) else {
        return;
    };
    let refund = refund_of_part(draft, &of, part, shipment);
    let part = &mut cancellation_mut(draft, cancellation).parts[index];
    part.refund = refund.amounts;
    part.deductions = refund.deductions;
}

/// Gives back the money of the parts that are cancelled and lets go on what they held up; once no
/// part waits, says how the cancellation ended.
pub(super) fn close_if_over(draft: &mut Draft<'_>, number: u32) {
    let cancellation = cancellation_mut(draft, number);
    if cancellation.close_time.is_none() && draft::is_over(&cancellation.parts) {
        close(draft, number);
    }
    draft.follow_payments();
    refunds::reconcile(draft, Some(number));
    draft.release_if_ready();
}

fn close(draft: &mut Draft<'_>, number: u32) {
    let now = draft.now;
    let cancellation = cancellation_mut(draft, number);
    cancellation.close_time = Some(now);
    let cancellation = cancellation.clone();
    let promise = draft.order.promise(&cancellation);
    match cancellation.state() {
        CancellationState::Completed => draft.emit(EventDetail::CancellationCompleted {
            cancellation: number,
            refund: promise.refund,
            release: promise.release,
            effects: cancellation.effects.clone(),
            counted: cancellation.counted,
        }),
        CancellationState::Rejected => draft.emit(EventDetail::CancellationRejected {
            cancellation: number,
            close_reason: cancellation.close_reason(),
        }),
        CancellationState::Withdrawn => draft.emit(EventDetail::CancellationWithdrawn {
            cancellation: number,
        }),
        CancellationState::Pending => {}
    }
    if cancellation.reason == PAYMENT_EXPIRED && draft.order.is_wholly_cancelled() {
        draft.emit(EventDetail::OrderClosedUnpaid {
            cancellation: number,
        });
    }
}

pub(super) fn cancellation_mut<'d>(draft: &'d mut Draft<'_>, number: u32) -> &'d mut Cancellation {
    let cancellation = draft
        .order
        .cancellations
        .iter_mut()
        .find(|cancellation| cancellation.number == number);
    cancellation.unwrap_or_else(|| panic!("cancellation {number} was looked up before"))
}

/// The waiting parts on a shipment, as (cancellation, index).
pub(super) fn waiting_on(draft: &Draft<'_>, shipment: u32) -> Vec<(u32, usize)> {
    let waits = |part: &Part| part.state == PartState::Waiting && part.shipment == shipment;
    let of = |cancellation: &Cancellation| {
        let parts = cancellation
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| waits(part));
        parts
            .map(|(index, _)| (cancellation.number, index))
            .collect::<Vec<_>>()
    };
    draft.order.cancellations.iter().flat_map(of).collect()
}

/// The parts on a shipment whose open gate is of this kind, as (cancellation, index); of one
/// cancellation where it is named.
pub(super) fn waiting_for(
    draft: &Draft<'_>,
    shipment: u32,
    cancellation: Option<u32>,
    kind: GateKind,
) -> Vec<(u32, usize)> {
    let mut waiting = waiting_on(draft, shipment);
    waiting.retain(|(number, index)| {
        let part = draft
            .order
            .cancellation(*number)
            .map(|of| &of.parts[*index]);
        cancellation.is_none_or(|named| named == *number)
            && part.is_some_and(|part| part.waits_for(kind))
    });
    waiting
}

/// The parts on a shipment that wait for this fact, or for support that is asked in its place, as
/// (cancellation, index).
pub(super) fn waiting_for_fact(
    draft: &Draft<'_>,
    shipment: u32,
    kind: GateKind,
) -> Vec<(u32, usize)> {
    let mut waiting = waiting_on(draft, shipment);
    waiting.retain(|(number, index)| {
        let part = draft
            .order
            .cancellation(*number)
            .map(|of| &of.parts[*index]);
        part.and_then(Part::open_gate)
            .is_some_and(|gate| gate.effective_kind() == kind)
    });
    waiting
}

/// The parts on a shipment that have had a gate of this kind, however it closed.
pub(super) fn asked_before(
    draft: &Draft<'_>,
    shipment: u32,
    cancellation: Option<u32>,
    kind: GateKind,
) -> Vec<(u32, usize)> {
    let mut asked = Vec::new();
    for of in draft
        .order
        .cancellations
        .iter()
        .filter(|of| cancellation.is_none_or(|named| named == of.number))
    {
        for (index, part) in of
            .parts
            .iter()
            .enumerate()
            .filter(|(_, part)| part.shipment == shipment)
        {
            let was_asked = |gate: &Gate| gate.spec.kind == kind && gate.open_time.is_some();
            if part.gates.iter().any(was_asked) {
                asked.push((of.number, index));
            }
        }
    }
    asked
}
