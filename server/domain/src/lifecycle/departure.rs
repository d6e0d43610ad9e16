//! A shipment leaves the warehouse, or is found to have left: which of its units did, and when.

use jiff::Timestamp;

use crate::lifecycle::draft::Draft;

/// Notes that a shipment has left, at the instant of a dispatch or a scan. Facts count from when
/// they happened: nothing leaves before its order was placed.
pub(crate) fn depart(draft: &mut Draft<'_>, number: u32, occurred_time: Timestamp) {
    let placed = draft.order.create_time;
    let live = draft
        .order
        .shipment(number)
        .map(|shipment| draft.order.live_units(shipment))
        .unwrap_or_default();
    let shipment = draft.shipment_mut(number);
    if shipment.whereabouts.left.is_empty() {
        // What was cancelled stays behind, unless all was: then it is what was cancelled that has
        // left.
        shipment.whereabouts.left = if live.is_empty() {
            shipment.units.clone()
        } else {
            live
        };
    }
    shipment
        .dispatch_time
        .get_or_insert(occurred_time.max(placed));
}

/// Takes the times of a shipment from its scans, in whatever order they were told: it was delivered
/// never before it left, and one that nobody dispatched left when it was first seen outside.
pub(crate) fn follow_scans(draft: &mut Draft<'_>, number: u32, delivered: Option<Timestamp>) {
    let (now, placed) = (draft.now, draft.order.create_time);
    let shipment = draft.shipment_mut(number);
    let times = (shipment.dispatch_time, shipment.deliver_time);
    let first_seen = shipment
        .whereabouts
        .scans
        .iter()
        .map(|scan| scan.time)
        .min();
    if let (true, Some(first_seen)) = (shipment.whereabouts.left_unseen, first_seen) {
        shipment.dispatch_time = Some(first_seen.max(placed));
    }
    shipment.deliver_time = delivered
        .zip(shipment.dispatch_time)
        .map(|(delivered, left)| delivered.max(left));
    if times != (shipment.dispatch_time, shipment.deliver_time) {
        shipment.update_time = now;
    }
}
