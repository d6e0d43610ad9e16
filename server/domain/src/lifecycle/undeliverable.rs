//! Undeliverable returns: parcels that come home although no cancellation asked for it. The buyer
//! refused the parcel, or the carrier found no one at the address. The carrier has given up on it,
//! so the carrier cancels, under the policy.

use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, PARCEL_RETURNED, Part, PartId, PartState, Receipt};
use crate::decision::Occasion;
use crate::error_reason::ErrorReason;
use crate::incident::IncidentKind;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility::{CancellationRequest, Evaluation, Portion};
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::{eligibility, open, parts};
use crate::order::{CANCELLATIONS_OF_BELAY_MAX, Home};
use crate::policy::Policy;
use crate::shipment::Stage;
use crate::terms::{Fault, Path, RefundPlan};
use crate::units::UnitSet;

/// Opens the carrier's cancellation of units that come home, or are home with this receipt. The
/// limit of what callers may ask for does not hold here: the goods are there.
pub(crate) fn open(draft: &mut Draft<'_>, number: u32, units: UnitSet, receipt: Option<Receipt>) {
    let Some(shipment) = draft.order.shipment(number) else {
        return;
    };
    if units.is_empty() {
        return;
    }
    if draft.order.cancellations.len() >= CANCELLATIONS_OF_BELAY_MAX || draft.order.is_full() {
        // The incident is the same one until somebody resolves it, so it needs no room: support
        // pays for all of them at once.
        if receipt.is_some() {
            draft.open_incident_anew(IncidentKind::LateFact, IncidentSubject::shipment(number));
        }
        return;
    }
    let carrier = Actor::new(Role::Carrier, shipment.carrier.as_str());
    let (policy_version, policy) = draft.policy();
    let request = request(draft, policy);
    let home = receipt.map(|receipt| Home {
        receipt,
        label: None,
    });
    let evaluation = eligibility::evaluate(
        draft,
        policy,
        &request,
        Portion {
            home,
            ..Portion::out(number, units)
        },
    );
    draft.log_for_opening(evaluation.logged(Occasion::Return, policy_version));
    // A policy that has no rule for it leaves the decision to people: the record shows that there
    // was one to make.
    let part = eligibility::part(evaluation);
    if part.state == PartState::Refused
        && let Some(known) = on_record(draft, &part)
    {
        let Some(receipt) = receipt else { return };
        for id in known {
            let back = draft.part_mut(id).units.intersection(&part.units);
            parts::note_on_refused(draft, id, &back, receipt);
        }
        return;
    }
    draft.decided_by(policy_version, part.rule.clone());
    let cancellation = Cancellation {
        parts: vec![part],
        ..open::without_parts(
            draft,
            policy_version,
            carrier,
            Some(PARCEL_RETURNED),
            Fault::Carrier,
        )
    };
    let cancellation = open::open(draft, cancellation);
    draft.log_opened(cancellation);
    parts::advance(draft, cancellation);
}

fn request<'a>(draft: &Draft<'_>, policy: &'a Policy) -> CancellationRequest<'a> {
    let reason = policy.reason(PARCEL_RETURNED);
    let reason_code = reason.map(|reason| &*reason.code);
    CancellationRequest::now(draft, Role::Carrier, &[Path::RefuseDelivery], reason_code)
}

/// Cancels units that are home because support says so: for as much as the policy gives for a
/// parcel that comes home, without the gates, and for all of it where the policy has no rule.
pub(crate) fn pay(draft: &mut Draft<'_>, number: u32, units: &UnitSet, support: Actor) {
    let (policy_version, policy) = draft.policy();
    let request = request(draft, policy);
    let portions = eligibility::by_receipt(&draft.order, units).into_iter();
    let evaluations: Vec<Evaluation> = portions
        .filter(|portion| portion.shipment == number)
        .map(|portion| eligibility::evaluate(draft, policy, &request, portion))
        .collect();
    let logged = evaluations
        .iter()
        .filter_map(|evaluation| evaluation.logged(Occasion::Resolution, policy_version));
    draft.log_for_opening(logged);
    let mut parts = Vec::new();
    for evaluation in evaluations {
        let was_allowed = evaluation.allowed.is_some();
        let part = eligibility::part(evaluation);
        let plan = if was_allowed {
            part.plan
        } else {
            RefundPlan::FULL
        };
        parts.push(Part {
            state: PartState::Waiting,
            plan,
            refused_reason: None,
            next_actions: Vec::new(),
            gates: Vec::new(),
            ..part
        });
    }
    draft.decided_by(
        policy_version,
        parts.iter().find_map(|part| part.rule.clone()),
    );
    let without_parts = open::without_parts(
        draft,
        policy_version,
        support,
        Some(PARCEL_RETURNED),
        Fault::Carrier,
    );
    let cancellation = open::open(
        draft,
        Cancellation {
            parts,
            ..without_parts
        },
    );
    draft.log_opened(cancellation);
    parts::advance(draft, cancellation);
}

/// The units of a shipment that parts wait for.
#[derive(Debug)]
pub(crate) struct Awaited {
    shipment: u32,
    units: UnitSet,
    /// Those of them that the carrier's own cancellations wait for.
    by_carrier: UnitSet,
}

/// What parts wait for on shipments that come back.
pub(crate) fn awaited(draft: &Draft<'_>) -> Vec<Awaited> {
    let comes_back = draft
        .order
        .shipments
        .iter()
        .filter(|shipment| comes_back(shipment.stage));
    let waiting = comes_back.map(|shipment| {
        let ids = draft.order.parts_waiting_on(shipment.number);
        let units = |by: fn(Role) -> bool| {
            let of = |id: &&PartId| by(draft.cancellation(id.cancellation).requester.role);
            let parts = ids.iter().filter(of).map(|id| draft.part(*id));
            parts
                .flat_map(|part| part.units.ranges().iter().copied())
                .collect()
        };
        Awaited {
            shipment: shipment.number,
            units: units(|_| true),
            by_carrier: units(|role| role == Role::Carrier),
        }
    });
    waiting
        .filter(|awaited| !awaited.units.is_empty())
        .collect()
}

fn comes_back(stage: Stage) -> bool {
    matches!(stage, Stage::Returning | Stage::Returned)
}

/// Nobody waits any more for a parcel that comes back, for which somebody waited before: what else
/// is in it, the carrier cancels, as if its scan had come now. What was refused by silence just
/// now, what is under an incident and what the carrier has cancelled before stays with that, so
/// this comes to an end.
pub(crate) fn open_for_the_rest(draft: &mut Draft<'_>, awaited: Vec<Awaited>) {
    for awaited in awaited {
        let number = awaited.shipment;
        let Some(shipment) = draft.order.shipment(number) else {
            continue;
        };
        if !comes_back(shipment.stage) || draft.order.has_waiting_part_on(number) {
            continue;
        }
        let mut rest = draft
            .order
            .live_units(shipment)
            .intersection(&shipment.whereabouts.out());
        for of in &draft.order.cancellations {
            let is_under_incident = draft.order.incidents.iter().any(|incident| {
                let is_of_gate =
                    incident.cancellation == Some(of.number) && incident.shipment == Some(number);
                incident.kind == IncidentKind::LateFact && is_of_gate
            });
            for part in of.parts.iter().filter(|part| part.shipment == number) {
                let stays = stays(of, part, &awaited, is_under_incident);
                rest = rest.minus(&stays);
            }
        }
        open(draft, number, rest, None);
    }
}

/// The units of a part that the carrier does not cancel now. What it had taken back before, when it
/// delivered the parcel after all, it may cancel once more.
fn stays(of: &Cancellation, part: &Part, awaited: &Awaited, is_under_incident: bool) -> UnitSet {
    let is_carriers = of.requester.role == Role::Carrier;
    if is_carriers && part.state == PartState::Withdrawn {
        part.units.intersection(&awaited.by_carrier)
    } else if is_carriers || (is_under_incident && part.state == PartState::Refused) {
        part.units.clone()
    } else if part.refused_reason == Some(ErrorReason::GateTimedOut) {
        part.units.intersection(&awaited.units)
    } else {
        UnitSet::default()
    }
}

/// That the policy has no rule for these units is told once, not at each scan of the way: the parts
/// that say so of all of them, where there are such.
fn on_record(draft: &Draft<'_>, refused: &Part) -> Option<Vec<PartId>> {
    let mut untold = refused.units.clone();
    let mut known = Vec::new();
    let is_here =
        |part: &Part| part.state == PartState::Refused && part.shipment == refused.shipment;
    for id in draft.order.parts_where(is_here) {
        let told = draft.part(id).units.intersection(&untold);
        let is_the_carriers = draft.cancellation(id.cancellation).requester.role == Role::Carrier;
        if is_the_carriers && !told.is_empty() {
            untold = untold.minus(&told);
            known.push(id);
        }
    }
    untold.is_empty().then_some(known)
}
