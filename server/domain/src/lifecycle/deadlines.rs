//! Deadlines: changes that happen by themselves when their time has come. Every command does this
//! first, so that it is decided as if the worker had been in time.

use jiff::Timestamp;

use crate::actor::Actor;
use crate::cancellation::{
    Cancellation, Gate, GateAnswer, GateState, PAYMENT_EXPIRED, Part, PartId, PartState,
};
use crate::error_reason::ErrorReason;
use crate::event::EventDetail;
use crate::incident::IncidentKind;
use crate::lifecycle::conclude::conclude;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::{gates, open, parts, refunds, undeliverable};
use crate::order::{Order, OrderState};
use crate::refund::RefundState;
use crate::shipment::{Shipment, Stage};
use crate::terms::{Fault, OnTimeout, Path, RefundPlan};

/// Applies the deadlines that are due, each at its own instant, earliest first. Each application
/// ends at least one deadline for good, so this ends.
pub(crate) fn apply_due(draft: &mut Draft<'_>) {
    loop {
        draft.order.state = draft.order.derive_state();
        let Some(due) = draft.order.next_due().filter(|due| *due <= draft.now) else {
            return;
        };
        draft.as_system(due, |draft| {
            let awaited = undeliverable::awaited(draft);
            if draft.order.state == OrderState::AwaitingPayment && draft.order.pay_by <= due {
                close_unpaid(draft);
            }
            end_verification(draft, due);
            remind_of_gates(draft, due);
            time_out_gates(draft, due);
            undeliverable::open_for_the_rest(draft, awaited);
            end_holds(draft, due);
            mark_preparation_overdue(draft, due);
            end_leases(draft, due);
            mark_refunds_overdue(draft, due);
        });
    }
}

/// Cancels what is left of an order that was not paid in time.
pub(crate) fn close_unpaid(draft: &mut Draft<'_>) {
    let (policy_version, _) = draft.policy();
    let is_enough = is_enough_inside(draft);
    refuse_what_waits(draft, is_enough);
    let cancelled = draft.order.cancelled_units();
    let part = |shipment: &Shipment| {
        let units = shipment.units.minus(&cancelled);
        (!units.is_empty()).then(|| Part {
            rule: Some("unpaid".to_owned()),
            plan: RefundPlan::FULL,
            ..Part::waiting(shipment.number, units, Path::Cancel)
        })
    };
    // What was sent without being paid, and is not back: somebody must resolve that.
    let was_sold = |shipment: &&Shipment| is_gone_and_sold(&draft.order, shipment);
    let gone: Vec<u32> = draft
        .order
        .shipments
        .iter()
        .filter(was_sold)
        .map(|shipment| shipment.number)
        .collect();
    let gone = if is_enough { Vec::new() } else { gone };
    let parts: Vec<Part> = draft
        .order
        .shipments
        .iter()
        .filter(|shipment| !is_enough || shipment.stage.is_before_dispatch())
        .filter_map(part)
        .collect();
    draft.decided_by(policy_version, Some("unpaid".to_owned()));
    draft.order.lapse_time = None;
    let cancellation = Cancellation {
        submitted_by: Actor::system(),
        parts,
        ..open::without_parts(
            draft,
            policy_version,
            Actor::system(),
            Some(PAYMENT_EXPIRED),
            Fault::Buyer,
        )
    };
    let number = open::open(draft, cancellation);
    for shipment in gone {
        draft.open_incident_anew(
            IncidentKind::CancelledYetShipped,
            IncidentSubject::shipment(shipment),
        );
    }
    parts::advance(draft, number);
}

/// It is not back, and not all of it is cancelled.
fn is_gone_and_sold(order: &Order, shipment: &Shipment) -> bool {
    let is_gone = shipment.stage.is_dispatched() && shipment.stage != Stage::Returned;
    is_gone && !order.live_units(shipment).is_empty()
}

/// What a lapse leaves paid for stays: only what has not left is cancelled, where that is enough.
fn is_enough_inside(draft: &Draft<'_>) -> bool {
    let order = &draft.order;
    let mut shipments = order.shipments.iter();
    let price = |shipment: &Shipment| {
        order.amounts_of(&order.live_units(shipment)) + shipment.shipping_amounts()
    };
    let of_inside: i64 = shipments
        .clone()
        .filter(|shipment| shipment.stage.is_before_dispatch())
        .map(|shipment| price(shipment).total())
        .sum();
    // What is back waits for its cancellation, if for one: that is not for the closing to end.
    let is_back = |shipment: &Shipment| {
        shipment.stage == Stage::Returned && order.has_waiting_part_on(shipment.number)
    };
    let is_any_kept = shipments.any(|of| is_gone_and_sold(order, of) || is_back(of));
    order.lapse_time.is_some() && is_any_kept && order.amount_due() - of_inside <= order.secured()
}

/// Nobody waits any more for what the closing takes. What is paid for and has left may come back
/// as it was asked.
fn refuse_what_waits(draft: &mut Draft<'_>, only_inside: bool) {
    let taken = draft
        .order
        .shipments
        .iter()
        .filter(|shipment| !only_inside || shipment.stage.is_before_dispatch());
    for shipment in taken.map(|shipment| shipment.number).collect::<Vec<_>>() {
        for id in draft.order.parts_waiting_on(shipment) {
            parts::refuse(draft, id, ErrorReason::OrderClosed);
            conclude(draft, id.cancellation);
        }
    }
}

fn time_out_gates(draft: &mut Draft<'_>, due: Timestamp) {
    let is_due =
        |gate: &Gate| gate.state == GateState::Open && gate.respond_by.is_some_and(|by| by <= due);
    let times_out =
        |part: &Part| part.state == PartState::Waiting && part.open_gate().is_some_and(is_due);
    let timed_out: Vec<(PartId, OnTimeout)> = draft
        .order
        .parts_where(times_out)
        .into_iter()
        .filter_map(|id| Some((id, draft.part(id).open_gate()?.spec.on_timeout)))
        .collect();
    for (id, on_timeout) in timed_out {
        // The end of another part may have put its shipment back, and the policy has refused it.
        if !times_out(draft.part(id)) {
            continue;
        }
        let silence = GateAnswer::by(Actor::system());
        match on_timeout {
            OnTimeout::Pass => gates::close(draft, id, GateState::Passed, silence),
            OnTimeout::Refuse => {
                gates::close(draft, id, GateState::Refused, silence);
                parts::refuse(draft, id, ErrorReason::GateTimedOut);
                // The goods are home, or the carrier says so, and silence keeps their money: that
                // is for somebody to decide.
                let part = draft.part(id);
                let (is_received, shipment) = (part.receipt.is_some(), part.shipment);
                let is_returned = draft
                    .order
                    .shipment(shipment)
                    .is_some_and(|of| of.stage == Stage::Returned);
                if is_received || is_returned {
                    draft.open_incident_anew(
                        IncidentKind::LateFact,
                        IncidentSubject::gate(id.cancellation, shipment),
                    );
                }
            }
            OnTimeout::Escalate => escalate(draft, id, silence),
        }
        parts::advance(draft, id.cancellation);
    }
}

/// Asks support instead of the party that kept silent.
fn escalate(draft: &mut Draft<'_>, id: PartId, silence: GateAnswer) {
    let gates = &draft.part_mut(id).gates;
    let Some(silent) = gates.iter().position(|gate| gate.state == GateState::Open) else {
        return;
    };
    let review = gates::review_instead_of(&gates[silent].spec, gates[silent].spec.kind);
    gates::close(draft, id, GateState::Closed, silence);
    draft.part_mut(id).gates.insert(silent + 1, review);
}

fn remind_of_gates(draft: &mut Draft<'_>, due: Timestamp) {
    let mut reminders = Vec::new();
    for cancellation in &mut draft.order.cancellations {
        for part in cancellation
            .parts
            .iter_mut()
            .filter(|part| part.state == PartState::Waiting)
        {
            for gate in part
                .gates
                .iter_mut()
                .filter(|gate| gate.remind_at.is_some_and(|at| at <= due))
            {
                gate.remind_at = None;
                let reminder = EventDetail::GateReminder {
                    cancellation: cancellation.number,
                    shipment: part.shipment,
                    gate: gate.spec.kind,
                    respond_by: gate.respond_by,
                };
                reminders.push((cancellation.policy_version, part.rule.clone(), reminder));
            }
        }
    }
    for (policy_version, rule, reminder) in reminders {
        draft.decided_by(policy_version, rule);
        draft.emit(reminder);
    }
}

/// From now on the buyer may cancel as anybody may.
fn end_verification(draft: &mut Draft<'_>, due: Timestamp) {
    if draft
        .order
        .verified_at
        .take_if(|verified_at| *verified_at <= due)
        .is_some()
    {
        draft.emit(EventDetail::PaymentVerified);
    }
}

/// Only the hold goes: whatever else keeps the shipment in still does.
fn end_holds(draft: &mut Draft<'_>, due: Timestamp) {
    let ended = draft
        .order
        .shipments
        .iter()
        .filter(|shipment| shipment.hold_ends().is_some_and(|until| until <= due));
    for number in ended.map(|shipment| shipment.number).collect::<Vec<_>>() {
        draft.end_hold(number);
    }
}

fn mark_preparation_overdue(draft: &mut Draft<'_>, due: Timestamp) {
    let overdue = draft
        .order
        .shipments
        .iter()
        .filter_map(|shipment| Some((shipment.number, shipment.overdue_from()?)));
    for (shipment, prepare_by) in overdue.filter(|(_, from)| *from <= due).collect::<Vec<_>>() {
        draft.shipment_mut(shipment).preparation_overdue = true;
        draft.emit(EventDetail::PreparationOverdue {
            shipment,
            prepare_by,
        });
    }
}

fn mark_refunds_overdue(draft: &mut Draft<'_>, due: Timestamp) {
    let mut overdue = Vec::new();
    for refund in &mut draft.order.refunds {
        if refund.overdue_from().is_some_and(|from| from <= due) {
            refund.overdue = true;
            overdue.push(EventDetail::RefundOverdue {
                refund: refund.number,
                due_by: refund.due_by,
            });
        }
    }
    overdue.into_iter().for_each(|event| draft.emit(event));
}

/// A worker that said nothing in time may or may not have paid: the provider must be asked.
fn end_leases(draft: &mut Draft<'_>, due: Timestamp) {
    let ended = draft.order.refunds.iter().filter(|refund| {
        refund.state == RefundState::Submitted
            && refund.lease_until.is_some_and(|until| until <= due)
    });
    let ended: Vec<u32> = ended.map(|refund| refund.number).collect();
    let Some(last) = ended.last().copied() else {
        return;
    };
    ended
        .into_iter()
        .for_each(|number| draft.move_refund(number, RefundState::Unknown));
    // A release whose authorisation is over meanwhile is not asked for again.
    let cancellation = draft
        .order
        .refund(last)
        .and_then(|refund| refund.cancellation);
    refunds::reconcile(draft, cancellation);
}
