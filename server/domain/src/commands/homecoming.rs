//! A parcel that comes home although nobody asked for it: the buyer refused it, or nobody was found at the address. The carrier
//! has given up on it, so the carrier cancels, under the policy.

use super::request_cancellation::{Portion, Wish, judge, part};
use super::{Draft, opening, parts};
use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, Fault, PARCEL_RETURNED, Part, PartState, Path, Receipt};
use crate::order::CANCELLATIONS_MAX;
use crate::units::UnitSet;

/// Opens the carrier's cancellation of units that come home, or are home with this receipt.
pub(super) fn open(draft: &mut Draft<'_>, number: u32, units: UnitSet, receipt: Option<Receipt>) {
    let Some(shipment) = draft.order.shipment(number) else { return };
    let has_room = draft.order.cancellations.len() < CANCELLATIONS_MAX;
    if units.is_empty() || !has_room {
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
    if part.state == PartState::Refused && is_on_record(draft, &part) {
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

/// That the policy has no rule for these units is told once, not at each scan of the way.
fn is_on_record(draft: &Draft<'_>, refused: &Part) -> bool {
    let of_carrier = draft.order.cancellations.iter().filter(|of| of.requester.role == Role::Carrier);
    let mut parts = of_carrier.flat_map(|of| &of.parts);
    parts.any(|part| {
        part.state == PartState::Refused
            && part.shipment == refused.shipment
            && refused.units.minus(&part.units).is_empty()
    })
}
