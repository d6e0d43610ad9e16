//! The events of all orders, folded and compared with their rows: whoever rebuilds
//! orders from their events has what a read gives. Found out here from the wire and the rows alone,
//! without the domain's code.

use std::collections::{BTreeMap, BTreeSet};

use belay_proto::v1 as pb;
use jiff::Timestamp;
use pb::event::Detail;

use crate::database::Database;
use crate::invariants::{RANGES, ranges};

/// The facts that are true, by what they are about, such as `shop A-1:s1 stage`.
#[derive(Debug, Default)]
struct Folded {
    facts: BTreeMap<String, String>,
    units: BTreeMap<String, u32>,
    /// Gates that were opened or answered, and in which state some of their kind were closed.
    gates: BTreeSet<String>,
}

/// Everything in which rows and events differ.
pub(crate) async fn contradictions(database: &Database, events: &[pb::Event]) -> Vec<String> {
    let mut told = Folded::default();
    for event in events {
        told.take(event);
    }
    let stands = stands(database).await;
    let keys: BTreeSet<&String> = told.facts.keys().chain(stands.facts.keys()).collect();
    let differs = keys
        .into_iter()
        .filter(|key| told.facts.get(*key) != stands.facts.get(*key));
    let mut found: Vec<String> = differs
        .map(|key| {
            format!(
                "history: {key} is {:?}, told was {:?}",
                stands.facts.get(key),
                told.facts.get(key)
            )
        })
        .collect();
    let keys: BTreeSet<&String> = told.units.keys().chain(stands.units.keys()).collect();
    for key in keys {
        let (stands, told) = (
            stands.units.get(key).unwrap_or(&0),
            told.units.get(key).unwrap_or(&0),
        );
        if stands != told {
            found.push(format!(
                "history: {key} are {stands} units, told were {told}"
            ));
        }
    }
    found.extend(
        stands
            .gates
            .difference(&told.gates)
            .map(|gate| format!("history: {gate} was never told")),
    );
    found
}

impl Folded {
    fn take(&mut self, event: &pb::Event) {
        let store = &event.store_id;
        let of = |id: &str, what: &str| format!("{store} {id} {what}");
        if event.event_type() == pb::EventType::OrderPaid {
            self.set(of(&event.order_id, "paid"), "yes");
        }
        match &event.detail {
            Some(Detail::ShipmentStageChanged(change)) => {
                let (key, stage) = (of(&change.shipment_id, "stage"), change.to_stage());
                if stage == pb::ShipmentStage::Unreleased {
                    // Where all begin.
                    self.forget(&key);
                } else {
                    self.set(key, short(stage.as_str_name(), "SHIPMENT_STAGE_"));
                }
            }
            Some(Detail::PaymentLapsed(_)) => self.forget(&of(&event.order_id, "paid")),
            Some(Detail::ShipmentHeld(held)) => {
                let until = held.hold_until.map(|time| time.seconds).unwrap_or_default();
                self.set(of(&held.shipment_id, "hold"), &until.to_string());
            }
            Some(Detail::HoldEnded(ended)) => self.forget(&of(&ended.shipment_id, "hold")),
            Some(Detail::InterceptChanged(change)) => {
                let state = short(change.state().as_str_name(), "INTERCEPT_STATE_");
                self.set(of(&change.shipment_id, "intercept"), state);
            }
            Some(Detail::ParcelReceived(received)) => {
                self.add(&of(&received.shipment_id, "home"), &received.contents);
            }
            Some(Detail::PartEnded(ended)) => {
                let state = short(ended.state().as_str_name(), "PART_STATE_");
                let (shipment, reason) = (&ended.shipment_id, &ended.refused_reason);
                let what = format!("{shipment} {state} {reason}");
                self.add(&of(&ended.cancellation_id, &what), &ended.contents);
            }
            Some(Detail::CancellationChanged(change)) => {
                let state = short(change.state().as_str_name(), "CANCELLATION_STATE_");
                self.set(of(&change.cancellation_id, "state"), state);
            }
            Some(Detail::RefundChanged(change)) => {
                let state = short(change.to_state().as_str_name(), "REFUND_STATE_");
                self.set(of(&change.refund_id, "state"), state);
                let whose = format!("{} {}", change.payment_id, change.cancellation_id);
                self.set(of(&change.refund_id, "of"), &whose);
            }
            Some(Detail::IncidentChanged(change)) => {
                let state = short(change.state().as_str_name(), "INCIDENT_STATE_");
                let resolution = short(change.resolution().as_str_name(), "INCIDENT_RESOLUTION_");
                let resolution = resolution.replace("UNSPECIFIED", "");
                let key = of(&change.incident_id, "state");
                self.set(key, &format!("{state} {resolution}"));
            }
            Some(Detail::GateChanged(change)) => {
                let (kind, state) = (change.kind().as_str_name(), change.state().as_str_name());
                let (kind, state) = (short(kind, "GATE_KIND_"), short(state, "GATE_STATE_"));
                let what = format!("{} {kind} {state}", change.shipment_id);
                self.gates.insert(of(&change.cancellation_id, &what));
            }
            Some(
                Detail::OrderCreated(_)
                | Detail::PaymentRecorded(_)
                | Detail::TrackingRecorded(_)
                | Detail::ShipmentSplit(_)
                | Detail::PreparationOverdue(_)
                | Detail::RefundOverdue(_)
                | Detail::RequestRejected(_)
                | Detail::MetadataChanged(_)
                | Detail::NoteAdded(_),
            )
            | None => {}
        }
    }

    fn set(&mut self, key: String, fact: &str) {
        self.facts.insert(key, fact.to_owned());
    }

    fn forget(&mut self, key: &str) {
        self.facts.remove(key);
    }

    fn add(&mut self, of: &str, contents: &[pb::SkuQuantity]) {
        for content in contents {
            let units = self.units.entry(format!("{of} {}", content.line_id));
            *units.or_default() += u32::try_from(content.quantity).expect("a quantity");
        }
    }
}

/// An enum's name as the rows have it.
fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// Each gives what a fact is about, and the fact.
const FACTS: &[&str] = &[
    "SELECT CONCAT(store_id, ' ', order_id, ' paid'), 'yes' FROM orders WHERE paid_time IS NOT NULL",
    "SELECT CONCAT(o.store_id, ' ', order_id, ':s', s.number, ' stage'), s.stage FROM shipments s JOIN orders o
     USING (order_key) WHERE s.stage <> 'UNRELEASED'",
    "SELECT CONCAT(o.store_id, ' ', order_id, ':s', s.number, ' intercept'), s.intercept_state FROM shipments s
     JOIN orders o USING (order_key) WHERE s.intercept_state IS NOT NULL",
    "SELECT CONCAT(o.store_id, ' ', order_id, ':c', c.number, ' state'), c.state FROM cancellations c JOIN orders o
     USING (order_key)",
    "SELECT CONCAT(o.store_id, ' ', order_id, ':r', r.number, ' state'), r.state FROM refunds r JOIN orders o
     USING (order_key)",
    "SELECT CONCAT(o.store_id, ' ', order_id, ':r', r.number, ' of'),
            CONCAT(order_id, ':p', r.payment_number, ' ', COALESCE(CONCAT(order_id, ':c', r.cancellation_number), ''))
     FROM refunds r JOIN orders o USING (order_key)",
    "SELECT CONCAT(o.store_id, ' ', order_id, ':i', i.number, ' state'),
            CONCAT(i.state, ' ', COALESCE(i.resolution, '')) FROM incidents i JOIN orders o USING (order_key)",
];

async fn stands(database: &Database) -> Folded {
    let mut stands = Folded::default();
    for query in FACTS {
        let rows: Vec<(String, String)> = database.rows(query, ()).await;
        stands.facts.extend(rows);
    }
    let held: Vec<(String, String)> = database
        .rows(
            "SELECT CONCAT(o.store_id, ' ', order_id, ':s', s.number, ' hold'), s.hold FROM shipments s
             JOIN orders o USING (order_key) WHERE s.hold IS NOT NULL",
            (),
        )
        .await;
    for (key, hold) in held {
        let hold: serde_json::Value = serde_json::from_str(&hold).expect("JSON");
        let until: Timestamp = hold["until"]
            .as_str()
            .and_then(|until| until.parse().ok())
            .expect("a time");
        stands.facts.insert(key, until.as_second().to_string());
    }
    let parcels: Vec<(String, String, String)> = database
        .rows(
            "SELECT CONCAT(o.store_id, ' ', order_id, ':s', s.number, ' home '), order_id, s.whereabouts
             FROM shipments s JOIN orders o USING (order_key) WHERE s.whereabouts IS NOT NULL",
            (),
        )
        .await;
    for (key, order, whereabouts) in parcels {
        for (line, _, count) in ranges(&whereabouts, "home") {
            *stands
                .units
                .entry(format!("{key}{order}:l{line}"))
                .or_default() += count;
        }
    }
    let ended: Vec<(String, u64)> = database
        .rows(
            &format!(
                "SELECT CONCAT(o.store_id, ' ', order_id, ':c', p.cancellation_number, ' ', order_id, ':s', p.shipment_number,
                               ' ', p.state, ' ', COALESCE(p.refused_reason, ''), ' ', order_id, ':l', line_number) about,
                        CAST(SUM(unit_count) AS UNSIGNED)
                 FROM cancellation_parts p JOIN orders o USING (order_key) JOIN {RANGES}
                 WHERE p.state <> 'WAITING' GROUP BY about"
            ),
            (),
        )
        .await;
    let ended = ended
        .into_iter()
        .map(|(about, units)| (about, u32::try_from(units).expect("a quantity")));
    stands.units.extend(ended.filter(|(_, units)| *units > 0));
    let gates: Vec<(String,)> = database
        .rows(
            "SELECT CONCAT(o.store_id, ' ', order_id, ':c', g.cancellation_number, ' ', order_id, ':s', p.shipment_number,
                           ' ', g.kind, ' ', g.state)
             FROM gates g JOIN orders o USING (order_key)
             JOIN cancellation_parts p USING (order_key, cancellation_number, part_number)
             WHERE g.open_time IS NOT NULL OR g.state IN ('PASSED', 'REFUSED')",
            (),
        )
        .await;
    stands.gates.extend(gates.into_iter().map(|(gate,)| gate));
    stands
}
