//! A parcel that comes home although nobody asked for it: the buyer refused it, or nobody was found at the address. The carrier
//! has given up on it, so the carrier cancels, under the policy.

use super::draft::About;
use super::request_cancellation::{Portion, Wish, judge, part};
use super::{Draft, opening, parts, receive_parcel};
use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, Fault, PARCEL_RETURNED, Part, PartState, Path, Receipt};
use crate::incident::IncidentKind;
use crate::order::CANCELLATIONS_OF_BELAY_MAX;
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
    let wish = Wish {
        requester: Role::Carrier,
        reason: policy.reason(PARCEL_RETURNED).map(|reason| &*reason.code),
        paths: &[Path::RefuseDelivery],
        asked_at: draft.now,
        has_label: None,
    };
    let judgement = judge(draft, policy, &wish, Portion { shipment: number, units });
    draft.note_asked(policy_version, judgement.asked.clone());
    // A policy that has no rule for it leaves the decision to people: the record shows that there was one to make.
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
    let cancellation = Cancellation {
        parts: vec![part],
        ..opening::blank(draft, policy_version, carrier, PARCEL_RETURNED, Fault::Carrier)
    };
    let cancellation = opening::open(draft, cancellation);
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
