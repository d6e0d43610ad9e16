//! ResolveIncident: support decides what follows from a fact that contradicts what was decided.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::annotations::Annotations;
use crate::cancellation::{Cancellation, Part, PartState};
use crate::decision::Answer;
use crate::incident::{Incident, IncidentKind, IncidentState, Resolution};
use crate::lifecycle::draft::{Draft, NewRefund};
use crate::lifecycle::{contested, incidents, late, open, parts, refunds, undeliverable};
use crate::money::Amounts;
use crate::order::Order;
use crate::payment::PaymentFact;
use crate::refund::RefundState;
use crate::rejection::Rejection;
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
        return if incident.resolution == Some(command.resolution) {
            Ok(Answer::Incident(number))
        } else {
            Err(Rejection::IncidentResolved {
                resolution: incident.resolution,
            })
        };
    }
    let allowed = allowed(&draft.order, &incident);
    if !allowed.contains(&command.resolution) {
        return Err(Rejection::ResolutionNotAllowed { allowed });
    }
    let late_parts = late::late_parcel(&draft.order, &incident);
    let unaccounted = late::unaccounted(&draft.order, &incident);
    // What is let go goes back for what it was dropped of.
    let cancellation = late::dropped_refund(&draft.order, &incident)
        .filter(|_| command.resolution == Resolution::RefundAnyway)
        .and_then(|refund| refund.cancellation);
    incidents::close(
        draft,
        number,
        Some((command.resolution, command.note.clone())),
    );
    match command.resolution {
        Resolution::RefundAnyway => {
            incidents::release_refunds(draft, &incident);
            if incident.kind == IncidentKind::CaptureMismatch {
                confirm_captures(draft, incident.payment);
            }
            pay_for_late_parcel(draft, incident.cancellation, late_parts);
            pay_for_unaccounted(draft, &incident, unaccounted);
        }
        Resolution::DropRefund => drop_refund(draft, &incident),
        Resolution::RetryRefund => retry(draft, incident.refund),
        Resolution::Accept => late::accept_late(draft, &incident),
    }
    refunds::reconcile(draft, cancellation);
    Ok(Answer::Incident(number))
}

/// What is decided about one refund is about all of it, whatever else keeps it back.
fn drop_refund(draft: &mut Draft<'_>, incident: &Incident) {
    if let Some(refund) = incident.refund {
        draft.move_refund(refund, RefundState::Dropped);
    }
    if incident.shipment.is_some() {
        contested::drop_refunds(draft, incident);
        incidents::release_refunds(draft, incident);
    }
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
    refunds::recompute_balances(draft);
    draft.follow_payments_and_release();
}

/// The resolutions that are allowed for this incident now.
pub fn allowed(order: &Order, incident: &Incident) -> Vec<Resolution> {
    if incident.state == IncidentState::Resolved {
        return Vec::new();
    }
    let refund = incident.refund.and_then(|number| order.refund(number));
    match incident.kind {
        IncidentKind::CancelledYetShipped => vec![Resolution::RefundAnyway, Resolution::DropRefund],
        IncidentKind::LateFact
            if !late::late_parcel(order, incident).is_empty()
                || !late::unaccounted(order, incident).is_empty()
                || late::dropped_refund(order, incident).is_some() =>
        {
            vec![Resolution::RefundAnyway, Resolution::Accept]
        }
        IncidentKind::LateFact => vec![Resolution::Accept],
        IncidentKind::RefundMismatch => match refund {
            Some(refund) if refund.state == RefundState::Blocked => {
                let total = refund.amounts.total();
                let may_be_whole = incidents::refundable(order, refund) >= total;
                let is_owed_in_part = (1..total).contains(&incidents::owed(order, refund));
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
            Some(refund)
                if incidents::owed(order, refund) > 0 && !incidents::was_paid_after_all(refund) =>
            {
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

/// A new row, and so a new key towards the provider, stands for one that failed or is held back.
fn retry(draft: &mut Draft<'_>, refund: Option<u32>) {
    let Some(old) = refund
        .and_then(|number| draft.order.refund(number))
        .cloned()
    else {
        return;
    };
    let owed = incidents::owed(&draft.order, &old);
    let mut left = old.amounts;
    let mut amounts = left.take(owed);
    amounts.excess += owed - amounts.total();
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
    let number = open::open(
        draft,
        Cancellation {
            requester: support,
            submitted_by,
            parts,
            // What others know the first one by is not this one.
            annotations: Annotations::default(),
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
    undeliverable::pay(draft, shipment, &units, support);
}
