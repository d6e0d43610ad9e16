//! ResolveIncident: somebody decides what is to come of a fact that contradicts what was decided.

use serde::{Deserialize, Serialize};

use super::draft::{About, NewRefund};
use super::{Answer, Draft, homecoming, opening, parts, refunds};
use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, Part, PartState};
use crate::event::EventDetail;
use crate::incident::{Incident, IncidentKind, IncidentState, Resolution};
use crate::ledger;
use crate::money::Amounts;
use crate::order::Order;
use crate::payment::PaymentFact;
use crate::refund::{Refund, RefundKind, RefundState};
use crate::rejection::Rejection;
use crate::shipment::Accepted;
use crate::units::UnitSet;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolveIncident {
    pub incident: u32,
    pub resolution: Resolution,
    pub note: Option<String>,
}

pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &ResolveIncident,
) -> Result<Answer, Rejection> {
    let number = command.incident;
    let incident = draft
        .order
        .incident(number)
        .ok_or(Rejection::IncidentNotFound { incident: number })?
        .clone();
    if incident.state == IncidentState::Resolved {
        return match incident.resolution == Some(command.resolution) {
            true => Ok(Answer::Incident(number)),
            false => Err(Rejection::IncidentResolved {
                resolution: incident.resolution,
            }),
        };
    }
    let allowed = allowed(&draft.order, &incident);
    if !allowed.contains(&command.resolution) {
        return Err(Rejection::ResolutionNotAllowed { allowed });
    }
    let late_parts = late_parcel(&draft.order, &incident);
    let unaccounted = unaccounted(&draft.order, &incident);
    close(draft, number, Some(command));
    match command.resolution {
        Resolution::RefundAnyway => {
            release_refunds(draft, &incident);
            if incident.kind == IncidentKind::CaptureMismatch {
                confirm_captures(draft, incident.payment);
            }
            pay_for_late_parcel(draft, incident.cancellation, late_parts);
            pay_for_unaccounted(draft, &incident, unaccounted);
        }
        Resolution::DropRefund => {
            for refund in held_back(&draft.order, &incident) {
                draft.move_refund(refund, RefundState::Dropped);
            }
        }
        Resolution::RetryRefund => retry(draft, incident.refund),
        Resolution::Accept => accept_late(draft, &incident),
    }
    refunds::reconcile(draft, None);
    Ok(Answer::Incident(number))
}

/// Every capture told so far is one of its own, and not another told twice.
fn confirm_captures(draft: &mut Draft<'_>, payment: Option<u32>) {
    for payment in draft
        .order
        .payments
        .iter_mut()
        .filter(|of| Some(of.number) == payment)
    {
        payment
            .facts
            .iter_mut()
            .filter(|fact| fact.fact == PaymentFact::Captured)
            .for_each(|fact| fact.confirmed = true);
    }
    refunds::weigh(draft);
    draft.follow_payments();
    draft.release_if_ready();
}

/// The goods are home: what money waited for has happened.
pub(super) fn settle_by_fact(draft: &mut Draft<'_>, number: u32) {
    let Some(incident) = draft.order.incident(number).cloned() else {
        return;
    };
    close(draft, number, None);
    release_refunds(draft, &incident);
}

fn close(draft: &mut Draft<'_>, number: u32, command: Option<&ResolveIncident>) {
    let (now, caller) = (draft.now, draft.caller.clone());
    // What is decided about a refund that is not paid covers what is owed under it now.
    let refund = draft
        .order
        .incident(number)
        .and_then(|incident| draft.order.refund(incident.refund?));
    let is_unpaid =
        |refund: &&Refund| matches!(refund.state, RefundState::Blocked | RefundState::Failed);
    let owed = refund
        .filter(is_unpaid)
        .map(|refund| owed(&draft.order, refund))
        .filter(|_| command.is_some());
    let Some(incident) = draft
        .order
        .incidents
        .iter_mut()
        .find(|incident| incident.number == number)
    else {
        return;
    };
    incident.state = IncidentState::Resolved;
    incident.amount = owed.or(incident.amount);
    incident.resolve_time = Some(now);
    incident.resolved_by = Some(caller);
    incident.resolution = command.map(|command| command.resolution);
    incident.note = command.and_then(|command| command.note.clone());
    let (kind, resolution) = (incident.kind, incident.resolution);
    draft.emit(EventDetail::IncidentResolved {
        incident: number,
        kind,
        resolution,
    });
}

/// What makes sense for this incident as things stand.
pub fn allowed(order: &Order, incident: &Incident) -> Vec<Resolution> {
    if incident.state == IncidentState::Resolved {
        return Vec::new();
    }
    let refund = incident.refund.and_then(|number| order.refund(number));
    match incident.kind {
        IncidentKind::CancelledYetShipped => vec![Resolution::RefundAnyway, Resolution::DropRefund],
        IncidentKind::LateFact
            if !late_parcel(order, incident).is_empty()
                || !unaccounted(order, incident).is_empty() =>
        {
            vec![Resolution::RefundAnyway, Resolution::Accept]
        }
        IncidentKind::LateFact => vec![Resolution::Accept],
        IncidentKind::RefundMismatch => match refund {
            Some(refund) if refund.state == RefundState::Blocked => {
                let total = refund.amounts.total();
                let may_be_whole = refundable(order, refund) >= total;
                let is_owed_in_part = (1..total).contains(&owed(order, refund));
                let resolutions = [
                    (Resolution::RefundAnyway, may_be_whole),
                    (Resolution::DropRefund, true),
                    (Resolution::RetryRefund, is_owed_in_part),
                ];
                resolutions
                    .into_iter()
                    .filter(|(_, makes_sense)| *makes_sense)
                    .map(|(resolution, _)| resolution)
                    .collect()
            }
            Some(_) | None => vec![Resolution::Accept],
        },
        IncidentKind::RefundFailed => match refund {
            Some(refund) if owed(order, refund) > 0 && !was_paid_after_all(order, refund) => {
                vec![Resolution::RetryRefund, Resolution::Accept]
            }
            Some(_) | None => vec![Resolution::Accept],
        },
        IncidentKind::CaptureMismatch => vec![Resolution::RefundAnyway, Resolution::Accept],
        IncidentKind::PaymentLapsed | IncidentKind::GoodsUnpaid | IncidentKind::OverRefunded => {
            vec![Resolution::Accept]
        }
    }
}

/// The provider said that it had failed, and then that it had not.
fn was_paid_after_all(order: &Order, refund: &Refund) -> bool {
    let is_late = |incident: &Incident| {
        incident.kind == IncidentKind::LateFact && incident.refund == Some(refund.number)
    };
    order.incidents.iter().any(is_late)
}

/// What may still go back for this row, in minor units: what its payment brought in, less what
/// other rows stand for.
fn refundable(order: &Order, refund: &Refund) -> i64 {
    let Some(payment) = order.payment(refund.payment) else {
        return 0;
    };
    let brought = match refund.kind {
        RefundKind::Refund => payment.captured_net(),
        // What was captured is refunded, and what holds no more need not be released.
        RefundKind::Void => payment.balance.held,
    };
    let stands = |other: &&Refund| {
        other.number != refund.number
            && other.payment == refund.payment
            && other.kind == refund.kind
            && other.state.counts()
    };
    let others: i64 = order
        .refunds
        .iter()
        .filter(stands)
        .map(|other| ledger::standing(order, other))
        .sum();
    (brought - others).clamp(0, refund.amounts.total())
}

/// What is still owed under this row, in minor units: what may go back of its payment, as far as
/// the order owes it.
fn owed(order: &Order, refund: &Refund) -> i64 {
    let by_payment = refundable(order, refund);
    match refund.kind {
        RefundKind::Refund => by_payment
            .min(order.returnable() - order.going_back())
            .max(0),
        RefundKind::Void => by_payment,
    }
}

/// A row that is held back is owed whole, and its payment has the money.
pub(super) fn is_owed_whole(order: &Order, number: u32) -> bool {
    let Some(refund) = order.refund(number) else {
        return false;
    };
    has_its_money(order, number) && owed(order, refund) >= refund.amounts.total()
}

/// The refunds that only this incident keeps from being paid.
fn held_back(order: &Order, incident: &Incident) -> Vec<u32> {
    let is_open =
        |other: &&Incident| other.state == IncidentState::Open && other.number != incident.number;
    let is_mismatched = |refund: &Refund| {
        let mut open = order.incidents.iter().filter(is_open);
        open.any(|other| {
            other.kind == IncidentKind::RefundMismatch && other.refund == Some(refund.number)
        })
    };
    let takes_of_shipment = |refund: &Refund| {
        let of = refund
            .cancellation
            .and_then(|number| order.cancellation(number));
        of.is_none_or(|of| {
            of.parts
                .iter()
                .any(|part| Some(part.shipment) == incident.shipment)
        })
    };
    let is_held = |refund: &&Refund| {
        refund.state == RefundState::Blocked
            && match incident.refund {
                Some(number) => refund.number == number,
                None => takes_of_shipment(refund),
            }
            && !is_mismatched(refund)
            && !order.is_contested(refund.cancellation)
    };
    order
        .refunds
        .iter()
        .filter(is_held)
        .map(|refund| refund.number)
        .collect()
}

fn release_refunds(draft: &mut Draft<'_>, incident: &Incident) {
    for refund in held_back(&draft.order, incident) {
        match has_its_money(&draft.order, refund) {
            true => draft.move_refund(refund, RefundState::Due),
            // It went back outside meanwhile.
            false => draft.open_incident(IncidentKind::RefundMismatch, About::refund(refund)),
        }
    }
}

/// Its payment still has as much, after all that went back and all that may be on its way.
fn has_its_money(order: &Order, number: u32) -> bool {
    let Some(refund) = order.refund(number) else {
        return false;
    };
    let Some(payment) = order.payment(refund.payment) else {
        return false;
    };
    let goes_first = |other: &&Refund| {
        other.number != number
            && other.payment == refund.payment
            && other.kind == RefundKind::Refund
            && ledger::is_going(other)
    };
    let gone: i64 = order
        .refunds
        .iter()
        .filter(goes_first)
        .map(|other| ledger::standing(order, other))
        .sum();
    refund.kind == RefundKind::Void || payment.captured_net() - gone >= refund.amounts.total()
}

/// A new row, and so a new key towards the provider, stands for one that failed or is held back.
fn retry(draft: &mut Draft<'_>, refund: Option<u32>) {
    let Some(old) = refund
        .and_then(|number| draft.order.refund(number))
        .cloned()
    else {
        return;
    };
    let mut left = old.amounts;
    let amounts = left.take(owed(&draft.order, &old));
    if old.state == RefundState::Blocked {
        draft.move_refund(old.number, RefundState::Dropped);
    }
    let is_contested = draft.order.is_contested(old.cancellation);
    draft.add_refund(NewRefund {
        payment: old.payment,
        kind: old.kind,
        amounts,
        cancellation: old.cancellation,
        state: if is_contested {
            RefundState::Blocked
        } else {
            RefundState::Due
        },
        retry_of: Some(old.number),
    });
}

/// The goods that an incident is about: those that came too late for its cancellation since the
/// last such incident was accepted, cancelled since or not.
fn late_goods(order: &Order, incident: &Incident) -> Vec<Part> {
    let of = incident
        .cancellation
        .and_then(|number| order.cancellation(number));
    let Some(of) = of.filter(|_| incident.kind == IncidentKind::LateFact) else {
        return Vec::new();
    };
    let shipment = incident.shipment.and_then(|number| order.shipment(number));
    let Some(shipment) = shipment else {
        return Vec::new();
    };
    let mut taken = shipment.whereabouts.accepted_of(incident.cancellation);
    let mut late = Vec::new();
    for part in of
        .parts
        .iter()
        .filter(|part| part.shipment == shipment.number)
    {
        let units = part.units.minus(&taken);
        if part.state == PartState::Refused && part.receipt.is_some() && !units.is_empty() {
            taken = taken.union(&units);
            late.push(Part {
                units,
                label: order.unpaid_label(part),
                ..part.clone()
            });
        }
    }
    late
}

/// Of those goods, what is still sold and nobody else waits for.
fn late_parcel(order: &Order, incident: &Incident) -> Vec<Part> {
    let taken = order.cancelled_units().union(&order.claimed_units());
    let left = |part: Part| Part {
        units: part.units.minus(&taken),
        ..part
    };
    late_goods(order, incident)
        .into_iter()
        .map(left)
        .filter(|part| !part.units.is_empty())
        .collect()
}

/// Goods that are home without a part that knows of them, because the order had no room for another
/// cancellation.
fn unaccounted(order: &Order, incident: &Incident) -> UnitSet {
    let shipment = incident.shipment.and_then(|number| order.shipment(number));
    match shipment.filter(|shipment| incident.is_of_late_shipment(shipment.number)) {
        Some(shipment) => order
            .unaccounted_units(shipment)
            .minus(&shipment.whereabouts.accepted_of(None)),
        None => UnitSet::default(),
    }
}

/// Support leaves what came too late as it is. What comes later opens another incident, about that
/// alone.
fn accept_late(draft: &mut Draft<'_>, incident: &Incident) {
    let late = late_goods(&draft.order, incident);
    let units: UnitSet = late
        .iter()
        .flat_map(|part| part.units.ranges().iter().copied())
        .collect();
    let units = units.union(&unaccounted(&draft.order, incident));
    if let Some(shipment) = incident.shipment.filter(|_| !units.is_empty()) {
        draft
            .shipment_mut(shipment)
            .whereabouts
            .accepted
            .push(Accepted {
                cancellation: incident.cancellation,
                units,
            });
    }
}

/// Goods that came too late were cancelled all the same, by a wish of their own: nothing is left
/// for support to decide.
pub(super) fn settle_paid_late(draft: &mut Draft<'_>, shipment: u32) {
    let is_open = |incident: &&Incident| {
        let is_here =
            incident.kind == IncidentKind::LateFact && incident.shipment == Some(shipment);
        is_here && incident.state == IncidentState::Open
    };
    if !draft
        .order
        .incidents
        .iter()
        .any(|incident| is_open(&incident))
    {
        return;
    }
    let cancelled = draft.order.cancelled_units();
    let is_paid = |incident: &&Incident| {
        let late = late_goods(&draft.order, incident);
        !late.is_empty()
            && late
                .iter()
                .all(|part| part.units.minus(&cancelled).is_empty())
    };
    let is_accounted = |incident: &&Incident| {
        let units = draft.order.shipment(shipment).map(|shipment| {
            let home = draft
                .order
                .live_units(shipment)
                .intersection(&shipment.whereabouts.home);
            home.minus(&shipment.whereabouts.accepted_of(None))
        });
        incident.is_of_late_shipment(shipment) && units.is_none_or(|units| units.is_empty())
    };
    let open = draft.order.incidents.iter().filter(is_open);
    let settled = open.filter(|incident| is_paid(incident) || is_accounted(incident));
    for number in settled.map(|incident| incident.number).collect::<Vec<_>>() {
        close(draft, number, None);
    }
}

/// What ended stays ended: support cancels anew what came back, on the terms that were promised. No
/// limit of callers keeps that money.
fn pay_for_late_parcel(draft: &mut Draft<'_>, cancellation: Option<u32>, late: Vec<Part>) {
    let Some(of) = cancellation
        .and_then(|number| draft.order.cancellation(number))
        .cloned()
    else {
        return;
    };
    if late.is_empty() {
        return;
    }
    let again = |part: Part| Part {
        state: PartState::Waiting,
        refused_reason: None,
        next_actions: Vec::new(),
        refund: Amounts::ZERO,
        gates: Vec::new(),
        ..part
    };
    let parts: Vec<Part> = late.into_iter().map(again).collect();
    draft.decided_by(of.policy_version, parts[0].rule.clone());
    let support = Actor::new(Role::Support, draft.caller.id.clone());
    let submitted_by = draft.caller.clone();
    let number = opening::open(
        draft,
        Cancellation {
            requester: support,
            submitted_by,
            parts,
            ..of
        },
    );
    parts::advance(draft, number);
}

/// The same for goods that no part knows of: for as much as the policy gives for a parcel that
/// comes home, and for all of it where the policy says nothing.
fn pay_for_unaccounted(draft: &mut Draft<'_>, incident: &Incident, units: UnitSet) {
    let Some(shipment) = incident.shipment.filter(|_| !units.is_empty()) else {
        return;
    };
    let support = Actor::new(Role::Support, draft.caller.id.clone());
    homecoming::pay(draft, shipment, &units, support);
}
