//! The invariant of departures: what has left is not cancelled, and what is cancelled does not
//! leave.

use std::collections::{BTreeMap, BTreeSet};

use belay_proto::v1 as pb;

use crate::database::Database;

/// S1, from the order's history: what has left is not cancelled in the warehouse any more, and what
/// is wholly cancelled does not leave, unless an incident says that it did.
pub(super) async fn dispatched_and_cancelled(
    database: &Database,
    events: Vec<pb::Event>,
    found: &mut Vec<String>,
) {
    // Who brings goods back, or gives them up, may cancel what has left.
    let by_the_carrier = parts_of(
        database,
        "p.path <> 'CANCEL' OR c.requester_role = 'CARRIER' OR EXISTS
             (SELECT 1 FROM gates g WHERE g.order_key = p.order_key AND g.cancellation_number = p.cancellation_number
              AND g.part_number = p.part_number AND g.kind IN ('CARRIER_INTERCEPT', 'LOSS_CONFIRMATION')
              AND g.state <> 'REFUSED')",
    )
    .await;
    let unpaid = parts_of(
        database,
        "c.reason = 'PAYMENT_EXPIRED' AND c.requester_role = 'SYSTEM'",
    )
    .await;
    let (mut lost, mut returned) = (BTreeSet::new(), BTreeSet::new());
    let mut left = BTreeSet::new();
    let mut cancelled = BTreeSet::new();
    let mut contradicted = BTreeMap::new();
    let mut explained = BTreeSet::new();
    for event in events {
        let store = event.store_id;
        match event.detail {
            Some(pb::event::Detail::ShipmentStageChanged(change)) => {
                let shipment = (store, change.shipment_id.clone());
                if change.to_stage() == pb::ShipmentStage::Returned {
                    returned.insert(shipment.clone());
                }
                if change.to_stage() == pb::ShipmentStage::Lost {
                    lost.insert(shipment.clone());
                } else {
                    lost.remove(&shipment);
                }
                let has_left = [pb::ShipmentStage::InTransit, pb::ShipmentStage::Delivered]
                    .contains(&change.to_stage());
                if change.to_stage() == pb::ShipmentStage::Cancelled {
                    cancelled.insert(shipment);
                } else if has_left && cancelled.contains(&shipment) {
                    // One incident is about all that such a shipment still does.
                    if !explained.contains(&shipment) {
                        contradicted.insert(shipment, "left after it was cancelled");
                    }
                } else if has_left {
                    left.insert(shipment);
                }
            }
            Some(pb::event::Detail::PartEnded(end)) if end.state() == pb::PartState::Cancelled => {
                let part = format!("{store}/{}/{}", end.cancellation_id, end.shipment_id);
                let shipment = (store, end.shipment_id);
                // What is back is not with whoever never paid for it.
                let is_back = unpaid.contains(&part) && returned.contains(&shipment);
                let is_given_up =
                    by_the_carrier.contains(&part) || lost.contains(&shipment) || is_back;
                // One that was sent and never paid is such an incident too.
                if left.contains(&shipment) && !is_given_up && !explained.contains(&shipment) {
                    contradicted.insert(shipment, "was cancelled after it had left");
                }
            }
            Some(pb::event::Detail::IncidentChanged(incident)) => {
                contradicted.remove(&(store.clone(), incident.subject_id.clone()));
                explained.insert((store, incident.subject_id));
            }
            _ => {}
        }
    }
    found.extend(
        contradicted
            .into_iter()
            .map(|((_, shipment), what)| format!("S1: {shipment} {what}")),
    );
}

/// The parts of which this holds, as `store/A-1:c1/A-1:s1`.
async fn parts_of(database: &Database, condition: &str) -> BTreeSet<String> {
    let query = format!(
        "SELECT CONCAT(o.store_id, '/', o.order_id, ':c', p.cancellation_number, '/', o.order_id, ':s', p.shipment_number)
         FROM cancellation_parts p JOIN orders o USING (order_key)
         JOIN cancellations c ON c.order_key = p.order_key AND c.number = p.cancellation_number
         WHERE {condition}"
    );
    let rows: Vec<(String,)> = database.rows(&query, ()).await;
    rows.into_iter().map(|(part,)| part).collect()
}
