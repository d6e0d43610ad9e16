//! A shipment leaves the warehouse, or is found to have left: which of its units did, and when.

use jiff::Timestamp;

use super::Draft;
use crate::shipment::Stage;

/// Moves a shipment outside, to where a dispatch or a scan of this instant puts it. Facts count from when they happened: nothing
/// leaves before its order was placed, and nothing is delivered before it left. Whoever tells of a delivery first tells of the
/// departure as well.
pub(super) fn depart(draft: &mut Draft<'_>, number: u32, to: Stage, occurred_time: Timestamp) {
    let placed = draft.order.create_time;
    let live = draft.order.shipment(number).map(|shipment| draft.order.live_units(shipment)).unwrap_or_default();
    let shipment = draft.shipment_mut(number);
    if shipment.whereabouts.left.is_empty() {
        // What was cancelled stays behind, unless all was: then it is what was cancelled that has left.
        shipment.whereabouts.left = if live.is_empty() { shipment.units.clone() } else { live };
    }
    let dispatched = *shipment.dispatch_time.get_or_insert(occurred_time.max(placed));
    if to == Stage::Delivered {
        shipment.deliver_time = Some(occurred_time.max(dispatched));
    }
    draft.move_shipment(number, to);
}

/// A delivery that is told after what came of it: where the shipment is now is known already, when it was delivered is not.
pub(super) fn note_delivery(draft: &mut Draft<'_>, number: u32, occurred_time: Timestamp) {
    let shipment = draft.shipment_mut(number);
    if let (None, Some(dispatched)) = (shipment.deliver_time, shipment.dispatch_time) {
        shipment.deliver_time = Some(occurred_time.max(dispatched));
    }
}
