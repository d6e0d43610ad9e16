//! Goods that left are accounted for.

use std::collections::{BTreeMap, BTreeSet};

use super::units::RANGES;
use crate::database::Database;

/// A unit of a line.
type Unit = (u32, u32);

/// Every unit that left is out, home or lost; every unit that is home is refunded, waits for a
/// consent, was refused with its receipt on record, or is under an incident.
pub(super) async fn goods(database: &Database, found: &mut Vec<String>) {
    let parcels: Vec<(String, u32, String, String, Option<String>)> = database
        .rows(
            "SELECT HEX(order_key), number, CONCAT(order_id, ':s', number), stage, whereabouts
             FROM shipments JOIN orders USING (order_key)",
            (),
        )
        .await;
    let mut of_parcel = accounted(database).await;
    let incidents: Vec<(String, u32)> = database
        .rows(
            "SELECT HEX(order_key), shipment_number FROM incidents
             WHERE kind = 'LATE_FACT' AND shipment_number IS NOT NULL AND cancellation_number IS NULL",
            (),
        )
        .await;
    for (order, number, name, stage, whereabouts) in parcels {
        let has_left =
            ["IN_TRANSIT", "DELIVERED", "LOST", "RETURNING", "RETURNED"].contains(&&*stage);
        if has_left != whereabouts.is_some() {
            found.push(format!(
                "goods: {name} is {stage}, and of its units is known {whereabouts:?}"
            ));
        }
        let Some(whereabouts) = whereabouts else {
            continue;
        };
        let units = |of| -> BTreeSet<Unit> {
            let ranges = ranges(&whereabouts, of).into_iter();
            ranges
                .flat_map(|(line, first, count)| {
                    (first..first + count).map(move |unit| (line, unit))
                })
                .collect()
        };
        let (left, home) = (units("left"), units("home"));
        if !home.is_subset(&left) {
            found.push(format!("goods: units of {name} are home that never left"));
        }
        let accounted = of_parcel
            .remove(&(order.clone(), number))
            .unwrap_or_default();
        let forgotten: Vec<&Unit> = home.difference(&accounted).collect();
        if !forgotten.is_empty() && !incidents.contains(&(order, number)) {
            found.push(format!(
                "goods: {forgotten:?} of {name} are home and forgotten"
            ));
        }
    }
    let silenced: Vec<(String,)> = database
        .rows(
            "SELECT CONCAT(o.order_id, ':c', p.cancellation_number) FROM cancellation_parts p JOIN orders o USING (order_key)
             WHERE p.state = 'REFUSED' AND p.refused_reason = 'GATE_TIMED_OUT' AND p.receipt_condition IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.order_key = p.order_key AND i.kind = 'LATE_FACT'
                 AND i.cancellation_number = p.cancellation_number AND i.shipment_number = p.shipment_number)",
            (),
        )
        .await;
    found.extend(
        silenced
            .into_iter()
            .map(|(of,)| format!("goods: {of} is home, and silence keeps its money")),
    );
}

/// The units of each shipment that are refunded, wait for a consent or were refused with their
/// receipt on record.
async fn accounted(database: &Database) -> BTreeMap<(String, u32), BTreeSet<Unit>> {
    let rows: Vec<(String, u32, u32, u32, u32, u32)> = database
        .rows(
            &format!(
                "SELECT HEX(order_key), shipment_number, cancellation_number, line_number, first_unit, unit_count
                 FROM cancellation_parts JOIN {RANGES}
                 WHERE state = 'CANCELLED' OR (state IN ('WAITING', 'REFUSED') AND receipt_condition IS NOT NULL)"
            ),
            (),
        )
        .await;
    let mut of_parcel: BTreeMap<_, BTreeSet<Unit>> = BTreeMap::new();
    for (order, shipment, _, line, first, count) in rows {
        let units = (first..first + count).map(|unit| (line, unit));
        of_parcel
            .entry((order, shipment))
            .or_default()
            .extend(units);
    }
    of_parcel
}

/// Line, first unit and count of each range of units in the JSON of what is known of a parcel.
pub(crate) fn ranges(whereabouts: &str, of: &str) -> Vec<(u32, u32, u32)> {
    let known: serde_json::Value = serde_json::from_str(whereabouts).expect("JSON");
    let number = |value: &serde_json::Value| {
        value
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
            .expect("a number")
    };
    let range = |range: &serde_json::Value| {
        (
            number(&range["line"]),
            number(&range["first"]),
            number(&range["count"]),
        )
    };
    known[of]
        .as_array()
        .expect("a list")
        .iter()
        .map(range)
        .collect()
}
