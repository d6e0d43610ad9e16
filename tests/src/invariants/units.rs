//! Every unit of an order has one place and one end, and a cancellation gives back what its units
//! carry.

use std::collections::{BTreeMap, BTreeSet};

use crate::database::Database;

/// The ranges in the column `units` of a row of `shipments` or `cancellation_parts`, each as a row.
pub(crate) const RANGES: &str = "JSON_TABLE(units, '$[*]' COLUMNS (line_number INT UNSIGNED PATH '$[0]', \
    first_unit INT UNSIGNED PATH '$[1]', unit_count INT UNSIGNED PATH '$[2]')) AS of_row";

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
pub(super) async fn units_and_their_money(database: &Database, found: &mut Vec<String>) {
    let lines = lines(database).await;
    let mut in_shipment: BTreeMap<(LineKey, u32), u32> = BTreeMap::new();
    let rows: Vec<(String, u32, u32, u32, u32)> = database
        .rows(
            &format!(
                "SELECT HEX(order_key), number, line_number, first_unit, unit_count FROM shipments JOIN {RANGES}"
            ),
            (),
        )
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
            &format!(
                "SELECT HEX(order_key), cancellation_number, part_number, line_number, first_unit, unit_count
                 FROM cancellation_parts JOIN {RANGES}"
            ),
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
