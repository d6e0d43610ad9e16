//! What must hold of every order in the database, whatever a test did: the invariants M1 to M5, S1
//! to S3 and F1 of the domain, that goods which left are accounted for, that history tells how
//! everything stands, that its chains are whole, and that documents say what tables say.
//!
//! They are found out again here, from the rows alone and without the domain's code, so that a
//! mistake in it cannot hide itself.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::ids::OrderKey;
use belay_proto::v1 as pb;
use belay_server::db::{aggregate, pool, settings};
use belay_server::identity_keys::IdentityKeys;
use belay_server::verify::{Anchor, verify};
use prost::Message;

use crate::database::Database;
use crate::feed::WITH_ALL_EVENTS;
use crate::history;

/// Everything in this database that breaks an invariant, as `M1: what` with the id of what breaks
/// it.
pub async fn violations(database: &Database) -> Vec<String> {
    let mut found = Vec::new();
    for (invariant, query) in QUERIES {
        let query = format!("{WITH_ALL_EVENTS} {query}");
        let rows: Vec<(String,)> = database.rows(&query, ()).await;
        found.extend(rows.into_iter().map(|(row,)| format!("{invariant}: {row}")));
    }
    units_and_their_money(database, &mut found).await;
    goods(database, &mut found).await;
    let rows: Vec<(Vec<u8>,)> = database
        .rows(
            &format!(
                "{WITH_ALL_EVENTS} SELECT payload FROM all_events ORDER BY shard_partition, position"
            ),
            (),
        )
        .await;
    let events: Vec<pb::Event> = rows
        .iter()
        .flat_map(|(payload,)| unpacked(payload))
        .collect();
    found.extend(history::contradictions(database, &events).await);
    dispatched_and_cancelled(database, events, &mut found).await;
    found.extend(documents(database).await);
    found.extend(chains(database).await);
    found
}

/// The document of an order says what its tables say.
async fn documents(database: &Database) -> Vec<String> {
    let keys: Vec<(Vec<u8>,)> = database.rows("SELECT order_key FROM orders", ()).await;
    let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
    let mut found = Vec::new();
    // One by one: an order that cannot be read must not hide the others.
    for (key,) in keys {
        let key = OrderKey(key.try_into().expect("a key of 16 bytes"));
        match aggregate::contradicted(&mut conn, &[key]).await {
            Ok(contradicted) if contradicted.is_empty() => {}
            Ok(_) => found.push(format!(
                "D1: {key:?}: its document is not what its tables say"
            )),
            Err(error) => found.push(format!("D1: {error}")),
        }
    }
    found
}

/// Whatever happened, the chains of the feed are whole.
async fn chains(database: &Database) -> Vec<String> {
    let mut conn = pool::connect(&database.url()).await.expect("MySQL answers");
    let stored = settings::read(&mut conn).await.expect("its settings");
    let Some(key) = stored.identity.key else {
        // Its test follows them by the key that it keeps outside.
        return Vec::new();
    };
    let keys = IdentityKeys::of_database(key).chain_keys();
    let report = verify(&mut conn, &keys, &Anchor::default()).await;
    let report = report.expect("the chains can be followed");
    let broken = report.broken.iter();
    let broken = broken.map(|(partition, broken)| format!("C1: partition {partition}: {broken}"));
    broken.collect()
}

/// Each finds the rows that break something.
const QUERIES: &[(&str, &str)] = &[
    (
        "B1: a bulk cancellation counts other results than it has",
        "SELECT CONCAT(HEX(j.bulk_id), ' ', j.state) FROM bulk_cancellations j LEFT JOIN
             (SELECT job_key, COUNT(*) total, SUM(outcome = 'COMPLETED') completed, SUM(outcome = 'PENDING') pending,
                     SUM(outcome = 'REJECTED') rejected, SUM(outcome = 'FAILED') failed
              FROM bulk_orders GROUP BY job_key) o USING (job_key)
         WHERE j.total <> COALESCE(o.total, 0) OR j.completed <> COALESCE(o.completed, 0)
             OR j.pending <> COALESCE(o.pending, 0) OR j.rejected <> COALESCE(o.rejected, 0)
             OR j.failed <> COALESCE(o.failed, 0)
             OR (j.state = 'COMPLETED' AND j.total > j.completed + j.pending + j.rejected + j.failed)
             OR (j.state IN ('COMPLETED', 'STOPPED', 'FAILED')) <> (j.end_time IS NOT NULL)",
    ),
    (
        "B2: a result names a cancellation that is not there",
        "SELECT o.order_id FROM bulk_orders o JOIN bulk_cancellations j USING (job_key)
         LEFT JOIN cancellations c ON c.order_key = o.order_key AND c.number = o.cancellation
         WHERE NOT j.is_dry_run AND o.outcome IN ('COMPLETED', 'PENDING') AND c.number IS NULL",
    ),
    (
        "M1: refunds of a payment exceed what was captured, and nobody was told",
        "SELECT CONCAT(o.order_id, ':p', p.number) FROM payments p JOIN orders o USING (order_key)
         JOIN (SELECT order_key, payment_number, SUM(CASE
                   WHEN settled_amount IS NOT NULL THEN settled_amount
                   WHEN state IN ('DUE', 'BLOCKED', 'SUBMITTED', 'UNKNOWN') THEN goods + tax + shipping + excess
                   ELSE 0 END) total FROM refunds
               WHERE kind = 'REFUND' GROUP BY order_key, payment_number) r
         ON r.order_key = p.order_key AND r.payment_number = p.number
         WHERE r.total > p.captured AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.order_key = p.order_key
               AND (i.payment_number = p.number OR i.kind = 'REFUND_MISMATCH'))",
    ),
    (
        "M1: more went back of a payment than it brought, and nobody was told",
        "SELECT CONCAT(o.order_id, ':p', p.number) FROM payments p JOIN orders o USING (order_key)
         LEFT JOIN (SELECT order_key, payment_number, SUM(settled_amount) total FROM refunds
                    WHERE kind = 'REFUND' GROUP BY order_key, payment_number) r
         ON r.order_key = p.order_key AND r.payment_number = p.number
         WHERE p.returned_outside + p.disputed + COALESCE(r.total, 0) > p.captured AND NOT EXISTS
             (SELECT 1 FROM incidents i WHERE i.order_key = p.order_key AND i.kind = 'OVER_REFUNDED'
              AND i.payment_number = p.number)",
    ),
    (
        "M1: a refund names a payment or a cancellation that is not there",
        "SELECT CONCAT(o.order_id, ':r', r.number) FROM refunds r JOIN orders o USING (order_key)
         LEFT JOIN payments p ON p.order_key = r.order_key AND p.number = r.payment_number
         LEFT JOIN cancellations c ON c.order_key = r.order_key AND c.number = r.cancellation_number
         WHERE p.number IS NULL OR (r.cancellation_number IS NOT NULL AND c.number IS NULL)",
    ),
    (
        "M4: what may leave is not paid",
        "SELECT CONCAT(due.order_id, ': ', due.due, ' due, ', COALESCE(secured, 0), ' secured') FROM (
             SELECT o.order_key, o.order_id, l.total + o.shipping + o.shipping_tax - COALESCE(c.credited, 0) due
             FROM orders o
             JOIN (SELECT order_key, SUM(goods - discount + tax) total FROM order_lines GROUP BY order_key) l
             USING (order_key)
             LEFT JOIN (SELECT order_key, SUM(refund_goods + refund_tax + refund_shipping) credited
                        FROM cancellation_parts WHERE state = 'CANCELLED' GROUP BY order_key) c USING (order_key)
             WHERE EXISTS (SELECT 1 FROM shipments s WHERE s.order_key = o.order_key
                           AND s.stage IN ('PLANNED', 'PREPARING', 'READY'))) due
         LEFT JOIN (SELECT order_key, SUM(captured + held) secured FROM payments GROUP BY order_key) p USING (order_key)
         WHERE COALESCE(secured, 0) < due",
    ),
    (
        "M5: an authorisation is neither needed nor released",
        "SELECT CONCAT(h.order_id, ':p', h.number) FROM (
             SELECT o.order_key, o.order_id, p.number, p.held,
                    SUM(IF(p.sent, 0, p.held)) OVER (PARTITION BY o.order_key ORDER BY p.number)
                        - IF(p.sent, 0, p.held) before_it,
                    (CASE WHEN o.state = 'CLOSED_UNPAID' THEN 0
                          ELSE l.total + o.shipping + o.shipping_tax - COALESCE(c.credited, 0) END) due,
                    (CASE WHEN o.state = 'CLOSED_UNPAID' THEN 0
                          ELSE l.total + o.shipping + o.shipping_tax - COALESCE(c.credited, 0) END)
                    - SUM(p.captured - p.returned_outside - p.disputed) OVER (PARTITION BY o.order_key)
                    + COALESCE(r.back, 0) to_collect
             FROM orders o
             JOIN (SELECT a.*, EXISTS (SELECT 1 FROM refunds s WHERE s.order_key = a.order_key
                       AND s.payment_number = a.number AND s.kind = 'VOID' AND s.state IN ('SUBMITTED', 'UNKNOWN')) sent
                   FROM payments a) p USING (order_key)
             JOIN (SELECT order_key, SUM(goods - discount + tax) total FROM order_lines GROUP BY order_key) l
             USING (order_key)
             LEFT JOIN (SELECT order_key, SUM(refund_goods + refund_tax + refund_shipping) credited
                        FROM cancellation_parts WHERE state = 'CANCELLED' GROUP BY order_key) c USING (order_key)
             LEFT JOIN (SELECT order_key, SUM(CASE
                            WHEN settled_amount IS NOT NULL THEN settled_amount
                            WHEN state IN ('DUE', 'BLOCKED', 'SUBMITTED', 'UNKNOWN') THEN goods + tax + shipping + excess
                            ELSE 0 END) back FROM refunds WHERE kind = 'REFUND' GROUP BY order_key) r USING (order_key)) h
         WHERE h.held > 0 AND h.before_it >= GREATEST(LEAST(h.to_collect, h.due), 0) AND NOT EXISTS
             (SELECT 1 FROM refunds v WHERE v.order_key = h.order_key AND v.payment_number = h.number AND v.kind = 'VOID'
              AND v.state NOT IN ('SETTLED', 'CANCELLED'))",
    ),
    (
        "M1: a void exceeds what was authorised",
        "SELECT CONCAT(o.order_id, ':r', r.number) FROM refunds r JOIN orders o USING (order_key)
         JOIN payments p ON p.order_key = r.order_key AND p.number = r.payment_number
         WHERE r.kind = 'VOID' AND r.goods + r.tax + r.shipping + r.excess > p.authorized",
    ),
    (
        "M1: refunds exceed what the order cost in a component",
        "SELECT o.order_id FROM orders o
         JOIN (SELECT order_key, SUM(goods - discount) goods, SUM(tax) tax FROM order_lines GROUP BY order_key) l
         USING (order_key)
         JOIN (SELECT order_key, SUM(goods) goods, SUM(tax) tax, SUM(shipping) shipping FROM refunds
               WHERE kind = 'REFUND' AND state NOT IN ('FAILED', 'DROPPED', 'CANCELLED')
               AND COALESCE(settled_amount, 0) <= goods + tax + shipping + excess
               AND NOT (state = 'SETTLED' AND settled_amount < goods + tax + shipping + excess)
               GROUP BY order_key) r USING (order_key)
         WHERE r.goods > l.goods OR r.tax > l.tax + o.shipping_tax OR r.shipping > o.shipping",
    ),
    (
        "M1: a refund is negative or of nothing",
        "SELECT CONCAT(o.order_id, ':r', r.number) FROM refunds r JOIN orders o USING (order_key)
         WHERE LEAST(goods, tax, r.shipping, excess) < 0 OR goods + tax + r.shipping + excess = 0",
    ),
    (
        "M2: the shipments' shares are not the order's shipping charge",
        "SELECT o.order_id FROM orders o
         JOIN (SELECT order_key, SUM(shipping) shipping, SUM(shipping_tax) tax FROM shipments GROUP BY order_key) s
         USING (order_key) WHERE s.shipping <> o.shipping OR s.tax <> o.shipping_tax",
    ),
    (
        "S2: the versions in an order's events are not 1 to its version",
        "SELECT o.order_id FROM orders o LEFT JOIN
         (SELECT order_key, COUNT(DISTINCT order_version) versions, MIN(order_version) least, MAX(order_version) greatest
          FROM all_events GROUP BY order_key) e USING (order_key)
         WHERE COALESCE(e.versions, 0) <> o.version OR e.least <> 1 OR e.greatest <> o.version",
    ),
    (
        "S3: a closed unpaid order keeps money",
        "SELECT o.order_id FROM orders o
         JOIN (SELECT order_key, SUM(captured - returned_outside - disputed) kept FROM payments GROUP BY order_key) p USING (order_key)
         LEFT JOIN (SELECT order_key, SUM(COALESCE(settled_amount, goods + tax + shipping + excess)) total FROM refunds
                    WHERE kind = 'REFUND' AND state <> 'CANCELLED' GROUP BY order_key) r USING (order_key)
         WHERE o.state = 'CLOSED_UNPAID' AND p.kept > COALESCE(r.total, 0)",
    ),
    (
        "F1: the positions of a partition are not 1 to its head",
        "SELECT CONCAT('partition ', shard_partition) FROM
         (SELECT shard_partition, SUM(event_count) events, MAX(position) greatest FROM all_events GROUP BY shard_partition) e
         LEFT JOIN partition_heads h USING (shard_partition)
         WHERE greatest <> events OR greatest <> COALESCE(h.head, 0)",
    ),
    (
        "F1: a row of events does not begin where the one before it ends",
        "SELECT CONCAT('partition ', shard_partition, ', position ', position) FROM
         (SELECT shard_partition, position, event_count,
                 COALESCE(LAG(position) OVER (PARTITION BY shard_partition ORDER BY position), 0) before_it FROM all_events) e
         WHERE event_count = 0 OR position <> before_it + event_count",
    ),
    (
        "F1: an order's events are not in the order of its versions",
        "SELECT o.order_id FROM orders o JOIN all_events a USING (order_key) JOIN all_events b USING (order_key)
         WHERE a.position < b.position AND (a.order_version > b.order_version OR a.event_time > b.event_time) LIMIT 1",
    ),
    (
        "an order's counts are not those of its tables",
        "SELECT o.order_id FROM orders o WHERE
            o.line_count <> (SELECT COUNT(*) FROM order_lines c WHERE c.order_key = o.order_key)
         OR o.payment_count <> (SELECT COUNT(*) FROM payments c WHERE c.order_key = o.order_key)
         OR o.shipment_count <> (SELECT COUNT(*) FROM shipments c WHERE c.order_key = o.order_key)
         OR o.cancellation_count <> (SELECT COUNT(*) FROM cancellations c WHERE c.order_key = o.order_key)
         OR o.refund_count <> (SELECT COUNT(*) FROM refunds c WHERE c.order_key = o.order_key)
         OR o.incident_count <> (SELECT COUNT(*) FROM incidents c WHERE c.order_key = o.order_key)",
    ),
    (
        "K1: a balance of stock is not what its entries come to",
        "SELECT CONCAT_WS(' ', b.generation, b.warehouse_id, b.sku) FROM stock_balances b WHERE
             b.on_hand <> (SELECT COALESCE(SUM(IF(e.previous IS NULL, e.on_hand, e.quantity)), 0) FROM stock_entries e
                 WHERE e.generation = b.generation AND e.store_id = b.store_id AND e.warehouse_id = b.warehouse_id AND e.sku = b.sku AND e.place >= b.set_place)
             OR b.reserved <> (SELECT COALESCE(SUM(e.reserved), 0) FROM stock_entries e WHERE e.generation = b.generation AND e.store_id = b.store_id AND e.warehouse_id = b.warehouse_id AND e.sku = b.sku)
             OR b.set_place <> COALESCE((SELECT MAX(e.place) FROM stock_entries e
                 WHERE e.generation = b.generation AND e.store_id = b.store_id AND e.warehouse_id = b.warehouse_id AND e.sku = b.sku AND e.previous IS NOT NULL), REPEAT(CHAR(0), 20))",
    ),
    (
        "K2: an entry of stock that says how much it is does not tell what was there before",
        "SELECT CONCAT_WS(' ', generation, warehouse_id, sku, HEX(place)) FROM (
             SELECT s.*, LAG(comes_to) OVER (PARTITION BY generation, store_id, warehouse_id, sku ORDER BY place) before_it FROM (
                 SELECT n.*, SUM(IF(previous IS NULL, on_hand, quantity))
                     OVER (PARTITION BY generation, store_id, warehouse_id, sku, said ORDER BY place) comes_to FROM (
                     SELECT e.*, SUM(previous IS NOT NULL)
                         OVER (PARTITION BY generation, store_id, warehouse_id, sku ORDER BY place) said FROM stock_entries e) n) s) f
         WHERE previous <> COALESCE(before_it, 0)",
    ),
    (
        "K3: what is reserved of a SKU is not what shipments have reserved",
        "SELECT CONCAT_WS(' ', b.generation, b.warehouse_id, b.sku) FROM stock_balances b
         WHERE b.reserved <> (SELECT COALESCE(SUM(h.reserved), 0) FROM stock_holdings h WHERE h.generation = b.generation AND h.store_id = b.store_id AND h.warehouse_id = b.warehouse_id AND h.sku = b.sku)",
    ),
];

/// A line of an order, by the key of the order and the line's number.
type LineKey = (String, u32);

#[derive(Debug)]
struct Line {
    name: String,
    quantity: u32,
    goods: i64,
    discount: i64,
    tax: i64,
}

impl Line {
    /// What a unit carries of an amount of its line: the same, and one more for as many as the
    /// remainder.
    fn share(&self, amount: i64, unit: u32) -> i64 {
        let quantity = i64::from(self.quantity);
        amount / quantity + i64::from(i64::from(unit) < amount % quantity)
    }

    fn goods_of(&self, unit: u32) -> i64 {
        self.share(self.goods, unit) - self.share(self.discount, unit)
    }
}

/// A part's state, its money, and its units by line.
#[derive(Debug, Default)]
struct Part {
    name: String,
    state: String,
    shipment: u32,
    refund: (i64, i64, i64),
    /// What the buyer bears of the money for its units, all of it together.
    deducted: i64,
    shipment_shares: (i64, i64),
    units: Vec<(LineKey, u32)>,
}

/// M2: what a cancellation gives back is what its units carry. M3: every unit is in one shipment
/// and has one end.
async fn units_and_their_money(database: &Database, found: &mut Vec<String>) {
    let lines = lines(database).await;
    let mut in_shipment: BTreeMap<(LineKey, u32), u32> = BTreeMap::new();
    let rows: Vec<(String, u32, u32, u32, u32)> = database
        .rows("SELECT HEX(order_key), shipment_number, line_number, first_unit, unit_count FROM shipment_units", ())
        .await;
    for (order, shipment, line, first, count) in rows {
        for unit in first..first + count {
            if let Some(other) = in_shipment.insert(((order.clone(), line), unit), shipment) {
                found
                    .push(format!("M3: a unit is in two shipments: line {line} unit {unit} in {other} and {shipment}"));
            }
        }
    }
    for (key, line) in &lines {
        let all_of_line = (key.clone(), 0)..=(key.clone(), u32::MAX);
        let units: BTreeSet<u32> = in_shipment
            .range(all_of_line)
            .map(|((_, unit), _)| *unit)
            .collect();
        if units != (0..line.quantity).collect() {
            found.push(format!(
                "M3: the units of a line are not in shipments: {}",
                line.name
            ));
        }
    }

    let mut ended: BTreeMap<(LineKey, u32), String> = BTreeMap::new();
    for part in parts(database).await {
        let holds_units = ["CANCELLED", "WAITING"].contains(&part.state.as_str());
        for unit in &part.units {
            // Units of a part that came to nothing may have been split off since.
            if holds_units && in_shipment.get(unit) != Some(&part.shipment) {
                found.push(format!(
                    "M3: a part takes a unit that is not in its shipment: {}",
                    part.name
                ));
            }
            if holds_units && let Some(other) = ended.insert(unit.clone(), part.name.clone()) {
                found.push(format!(
                    "M3: a unit is cancelled twice: by {other} and {}",
                    part.name
                ));
            }
        }
        let goods: i64 = part
            .units
            .iter()
            .map(|(line, unit)| lines[line].goods_of(*unit))
            .sum();
        let tax: i64 = part
            .units
            .iter()
            .map(|(line, unit)| lines[line].share(lines[line].tax, *unit))
            .sum();
        if !gives_back_what_it_carries(&part, goods, tax) {
            let (refund, deducted) = (part.refund, part.deducted);
            let name = &part.name;
            found.push(format!(
                "M2: {name} gives back {refund:?} less {deducted}, its units carry ({goods}, {tax})"
            ));
        }
    }
}

fn gives_back_what_it_carries(part: &Part, goods: i64, tax: i64) -> bool {
    let (shipping, shipping_tax) = part.shipment_shares;
    let (whole, with_shipping) = ((goods, tax, 0), (goods, tax + shipping_tax, shipping));
    match (part.refund, part.deducted) {
        // A rule may give nothing back.
        ((0, 0, 0), 0) => true,
        (refund, 0) => refund == whole || refund == with_shipping,
        // Nothing is lost on the way from the price to what goes back, and no component gives
        // more than it has.
        ((g, t, s), deducted) => {
            let told = g + t + s + deducted;
            let adds_up = [whole, with_shipping]
                .iter()
                .any(|(g, t, s)| told == g + t + s);
            let is_within = (0..=goods).contains(&g)
                && (0..=tax + shipping_tax).contains(&t)
                && [0, shipping].contains(&s);
            adds_up && is_within && deducted > 0
        }
    }
}

/// A unit of a line.
type Unit = (u32, u32);

/// Every unit that left is out, home or lost; every unit that is home is refunded, waits for a
/// consent, was refused with its receipt on record, or is under an incident.
async fn goods(database: &Database, found: &mut Vec<String>) {
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
            "SELECT HEX(p.order_key), p.shipment_number, p.cancellation_number, u.line_number, u.first_unit, u.unit_count
             FROM cancellation_parts p JOIN cancellation_units u USING (order_key, cancellation_number, part_number)
             WHERE p.state = 'CANCELLED' OR (p.state IN ('WAITING', 'REFUSED') AND p.receipt_condition IS NOT NULL)",
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

async fn lines(database: &Database) -> BTreeMap<LineKey, Line> {
    let rows: Vec<(String, u32, String, u32, i64, i64, i64)> = database
        .rows(
            "SELECT HEX(order_key), number, CONCAT(order_id, ':l', number), quantity, goods, discount, tax
             FROM order_lines JOIN orders USING (order_key)",
            (),
        )
        .await;
    let line = |(order, number, name, quantity, goods, discount, tax)| {
        (
            (order, number),
            Line {
                name,
                quantity,
                goods,
                discount,
                tax,
            },
        )
    };
    rows.into_iter().map(line).collect()
}

/// Order, cancellation, part; name, shipment, state; goods, tax and shipping of its refund, and
/// what is deducted; its shipment's shares of the charge and its tax.
type PartRow = (
    String,
    u32,
    u32,
    String,
    u32,
    String,
    i64,
    i64,
    i64,
    i64,
    i64,
    i64,
);

async fn parts(database: &Database) -> Vec<Part> {
    let rows: Vec<PartRow> = database
        .rows(
            "SELECT HEX(p.order_key), p.cancellation_number, p.part_number,
                    CONCAT(o.order_id, ':c', p.cancellation_number, ' part ', p.part_number),
                    p.shipment_number, p.state, p.refund_goods, p.refund_tax, p.refund_shipping,
                    p.deducted_outbound_shipping + p.deducted_return_shipping + p.deducted_by_schedule,
                    s.shipping, s.shipping_tax
             FROM cancellation_parts p JOIN orders o USING (order_key)
             JOIN shipments s ON s.order_key = p.order_key AND s.number = p.shipment_number
             ORDER BY p.order_key, p.cancellation_number, p.part_number",
            (),
        )
        .await;
    let mut parts = BTreeMap::new();
    for (
        order,
        cancellation,
        number,
        name,
        shipment,
        state,
        goods,
        tax,
        shipping,
        deducted,
        share,
        tax_share,
    ) in rows
    {
        let (refund, shipment_shares) = ((goods, tax, shipping), (share, tax_share));
        let part = Part {
            name,
            state,
            shipment,
            refund,
            deducted,
            shipment_shares,
            units: Vec::new(),
        };
        parts.insert((order, cancellation, number), part);
    }
    let units: Vec<(String, u32, u32, u32, u32, u32)> = database
        .rows(
            "SELECT HEX(order_key), cancellation_number, part_number, line_number, first_unit, unit_count
             FROM cancellation_units",
            (),
        )
        .await;
    for (order, cancellation, number, line, first, count) in units {
        let units = (first..first + count).map(|unit| ((order.clone(), line), unit));
        parts
            .entry((order.clone(), cancellation, number))
            .or_default()
            .units
            .extend(units);
    }
    parts.into_values().collect()
}

/// S1, from the order's history: what has left is not cancelled in the warehouse any more, and what
/// is wholly cancelled does not leave, unless an incident says that it did.
async fn dispatched_and_cancelled(
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

/// The events of one row: the messages one after the other, each with its length before it.
fn unpacked(mut payload: &[u8]) -> Vec<pb::Event> {
    let mut events = Vec::new();
    while !payload.is_empty() {
        events.push(
            pb::Event::decode_length_delimited(&mut payload).expect("a row holds proto Events"),
        );
    }
    events
}
