//! Goods that come home after their cancellation has ended without them.

use crate::cancellation::{Part, PartState};
use crate::incident::{Incident, IncidentKind, IncidentState, Resolution};
use crate::ledger;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::incidents::{self, IncidentSubject};
use crate::order::Order;
use crate::refund::Refund;
use crate::shipment::{Accepted, Shipment};
use crate::units::UnitSet;

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
pub(crate) fn late_parcel(order: &Order, incident: &Incident) -> Vec<Part> {
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
pub(crate) fn unaccounted(order: &Order, incident: &Incident) -> UnitSet {
    let shipment = incident.shipment.and_then(|number| order.shipment(number));
    match shipment.filter(|shipment| incident.is_of_late_shipment(shipment.number)) {
        Some(shipment) => order
            .unaccounted_units(shipment)
            .minus(&shipment.whereabouts.accepted_of(None)),
        None => UnitSet::default(),
    }
}

/// The refund that an incident is about where it was dropped for goods that have come home since.
pub(crate) fn dropped_refund<'a>(order: &'a Order, incident: &Incident) -> Option<&'a Refund> {
    let refund = incident
        .refund
        .filter(|_| incident.kind == IncidentKind::LateFact)
        .and_then(|number| order.refund(number))?;
    let mut shipments = order.shipments.iter();
    let is_home = |shipment: &Shipment| is_dropped_for(order, refund, shipment);
    shipments.any(is_home).then_some(refund)
}

/// Units of a shipment have come home that were cancelled, and support had dropped what their
/// cancellation gave for what was out: support decides once more.
pub(crate) fn note_on_dropped(draft: &mut Draft<'_>, shipment: u32) {
    let order = &draft.order;
    let shipment = order.shipment(shipment);
    let dropped: Vec<u32> = order
        .refunds
        .iter()
        .filter(|refund| shipment.is_some_and(|shipment| is_dropped_for(order, refund, shipment)))
        .map(|refund| refund.number)
        .collect();
    for refund in dropped {
        draft.open_incident_anew(IncidentKind::LateFact, IncidentSubject::refund(refund));
    }
}

/// A refund was dropped with goods of this shipment of which some are home.
fn is_dropped_for(order: &Order, refund: &Refund, shipment: &Shipment) -> bool {
    if !ledger::is_dropped_with_goods(order, refund) {
        return false;
    }
    // One that was paid meanwhile, and then not, has moved since.
    let has_moved = refund.settle_time.is_some();
    let is_by = |incident: &Incident| {
        incident.kind == IncidentKind::CancelledYetShipped
            && incident.shipment == Some(shipment.number)
            && incident.resolution == Some(Resolution::DropRefund)
            && (has_moved || incident.resolve_time == Some(refund.update_time))
    };
    let is_home = |part: &Part| {
        part.state == PartState::Cancelled
            && part.shipment == shipment.number
            && !part
                .units
                .intersection(&shipment.whereabouts.home)
                .is_empty()
    };
    let of = refund
        .cancellation
        .and_then(|number| order.cancellation(number));
    order.incidents.iter().any(is_by) && of.is_some_and(|of| of.parts.iter().any(is_home))
}

/// Support leaves what came too late as it is. What comes later opens another incident, about that
/// alone.
pub(crate) fn accept_late(draft: &mut Draft<'_>, incident: &Incident) {
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

/// Goods that came too late were cancelled all the same, by a request of their own: nothing is left
/// for support to decide.
pub(crate) fn resolve_paid_late(draft: &mut Draft<'_>, shipment: u32) {
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
    let resolved = open.filter(|incident| is_paid(incident) || is_accounted(incident));
    for number in resolved.map(|incident| incident.number).collect::<Vec<_>>() {
        incidents::close(draft, number, None);
    }
}
