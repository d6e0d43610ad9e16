//! A parcel that comes home although nobody asked for it: the buyer refused it, or nobody was found at the address. The carrier
//! has given up on it, so the carrier cancels, under the policy.

use super::draft::About;
use super::request_cancellation::{Portion, Wish, judge};
use super::{Draft, draft, parts, receive_parcel};
use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, Deductions, Fault, PARCEL_RETURNED, Part, PartState, Path, Receipt};
use crate::event::EventDetail;
use crate::incident::IncidentKind;
use crate::money::Amounts;
use crate::order::CANCELLATIONS_OF_BELAY_MAX;
use crate::policy::RefundPlan;
use crate::units::UnitSet;

/// Opens the carrier's cancellation of units that come home, or are home with this receipt. The limit of what callers may ask
/// for does not hold here: the goods are there.
pub(super) fn open(draft: &mut Draft<'_>, number: u32, units: UnitSet, receipt: Option<Receipt>) {
    let Some(shipment) = draft.order.shipment(number) else { return };
    if units.is_empty() {
        return;
    }
    if draft.order.cancellations.len() >= CANCELLATIONS_OF_BELAY_MAX {
        // Nothing more can be said of this order than that somebody must look at it.
        if receipt.is_some() {
            draft.open_incident_anew(IncidentKind::LateFact, About::shipment(number));
        }
        return;
    }
    let carrier = Actor::new(Role::Carrier, shipment.carrier.as_str());
    let (policy_version, policy) = draft.policy();
    let reason = policy.reason(PARCEL_RETURNED);
    let wish = Wish {
        requester: Role::Carrier,
        reason: reason.map(|reason| &*reason.code),
        paths: &[Path::RefuseDelivery],
        asked_at: draft.now,
        has_label: None,
    };
    let judgement = judge(draft, policy, &wish, Portion { shipment: number, units });
    draft.note_asked(policy_version, judgement.asked.clone());
    let part = Part { receipt, ..part(judgement) };
    if part.state == PartState::Refused
        && let Some(known) = on_record(draft, &part)
    {
        let Some(receipt) = receipt else { return };
        for (cancellation, index) in known {
            let back = parts::cancellation_mut(draft, cancellation).parts[index].units.intersection(&part.units);
            receive_parcel::note_on_refused(draft, cancellation, index, &back, receipt);
        }
        return;
    }
    draft.decided_by(policy_version, part.rule.clone());
    let cancellation = draft::next_number(&draft.order.cancellations, |cancellation| cancellation.number);
    let is_refused = part.state == PartState::Refused;
    draft.order.cancellations.push(Cancellation {
        number: cancellation,
        reason: PARCEL_RETURNED.to_owned(),
        fault: reason.map_or(Fault::Carrier, |reason| reason.fault),
        note: None,
        evidence: Vec::new(),
        counted: reason.is_some_and(|reason| reason.counted),
        effects: reason.map_or_else(Vec::new, |reason| reason.effects.clone()),
        next_actions: reason.map_or_else(Vec::new, |reason| reason.next_actions.clone()),
        requester: carrier,
        submitted_by: draft.caller.clone(),
        policy_version,
        parts: vec![part],
        create_time: draft.now,
        close_time: None,
    });
    draft.emit(EventDetail::CancellationRequested { cancellation, reason: PARCEL_RETURNED.to_owned() });
    match is_refused {
        true => parts::part_ended(draft, cancellation, 0),
        false => draft.raise_fence(number),
    }
    parts::advance(draft, cancellation);
}

/// That the policy has no rule for these units is told once, not at each scan of the way: the parts that say so of all of them,
/// where there are such.
fn on_record(draft: &Draft<'_>, refused: &Part) -> Option<Vec<(u32, usize)>> {
    let mut untold = refused.units.clone();
    let mut known = Vec::new();
    for of in draft.order.cancellations.iter().filter(|of| of.requester.role == Role::Carrier) {
        for (index, part) in of.parts.iter().enumerate() {
            let told = part.units.intersection(&untold);
            let is_here = part.state == PartState::Refused && part.shipment == refused.shipment;
            if is_here && !told.is_empty() {
                untold = untold.minus(&told);
                known.push((of.number, index));
            }
        }
    }
    untold.is_empty().then_some(known)
}

/// A policy that has no rule for it leaves the decision to people: the record shows that there was one to make.
fn part(judgement: super::request_cancellation::Judgement) -> Part {
    let Portion { shipment, units } = judgement.portion;
    let empty = Part {
        shipment,
        units,
        path: Path::RefuseDelivery,
        state: PartState::Waiting,
        rule: None,
        refused_reason: None,
        next_actions: Vec::new(),
        plan: RefundPlan::NONE,
        refund: Amounts::ZERO,
        deductions: Deductions::default(),
        label: None,
        receipt: None,
        effects: Vec::new(),
        gates: Vec::new(),
    };
    if let Some(allowed) = judgement.allowed {
        return Part {
            rule: allowed.rule,
            plan: allowed.plan,
            refund: allowed.refund.amounts,
            deductions: allowed.refund.deductions,
            gates: allowed.gates.into_iter().map(parts::queued).collect(),
            ..empty
        };
    }
    let denied = judgement.denied.into_iter().next();
    Part {
        state: PartState::Refused,
        refused_reason: denied.as_ref().map(|denied| denied.code.name().to_owned()),
        rule: denied.as_ref().and_then(|denied| denied.rule.clone()),
        next_actions: denied.map_or_else(Vec::new, |denied| denied.next_actions),
        ..empty
    }
}
