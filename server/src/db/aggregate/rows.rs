//! Rows of the child tables of orders.

use std::collections::HashMap;
use std::hash::Hash;

use belay_domain::cancellation::{Cancellation, Part};
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use serde::{Deserialize, Serialize};

use super::changes::Changes;
use crate::db::Conn;
use crate::db::cancellation_parts::{self, PartRow};
use crate::db::cancellations::{self, CancellationRow};
use crate::db::columns::{Bytes, Json};
use crate::db::error::DbError;
use crate::db::gates::{self, GateRow};
use crate::db::incidents::{self, IncidentRow};
use crate::db::order_lines::{self, LineRow};
use crate::db::orders::OrderRow;
use crate::db::payments::{self, PaymentRow};
use crate::db::refunds::{self, RefundRow};
use crate::db::shipments::{self, ShipmentRow};

/// All rows of an order in its child tables.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rows {
    lines: Vec<LineRow>,
    payments: Vec<PaymentRow>,
    shipments: Vec<ShipmentRow>,
    cancellations: Vec<CancellationRow>,
    parts: Vec<PartRow>,
    gates: Vec<GateRow>,
    refunds: Vec<RefundRow>,
    incidents: Vec<IncidentRow>,
}

impl Rows {
    /// All rows of an order.
    pub(super) fn of(order: &Order) -> Result<Self, DbError> {
        let mut changes = Changes::default();
        changes.add(None, order)?;
        Ok(Self {
            lines: changes.lines.new,
            payments: changes.payments.new,
            shipments: changes.shipments.new,
            cancellations: changes.cancellations.new,
            parts: changes.parts.new,
            gates: changes.gates.new,
            refunds: changes.refunds.new,
            incidents: changes.incidents.new,
        })
    }

    /// Reads only the tables that hold something for one of these orders, and there only for those
    /// orders.
    pub(super) async fn read(
        conn: &mut Conn,
        orders: &[OrderRow],
    ) -> Result<HashMap<Bytes<16>, Self>, DbError> {
        let with = |count: fn(&OrderRow) -> u32| -> Vec<OrderKey> {
            orders
                .iter()
                .filter(|row| count(row) > 0)
                .map(OrderRow::key)
                .collect()
        };
        let mut found: HashMap<Bytes<16>, Self> = HashMap::with_capacity(orders.len());
        macro_rules! read {
            ($($table:ident, $count:ident => $rows:ident;)*) => {$(
                for row in $table::read(conn, &with(|row| row.$count)).await? {
                    found.entry(row.order_key).or_default().$rows.push(row);
                }
            )*};
        }
        read! {
            order_lines, line_count => lines;
            payments, payment_count => payments;
            shipments, shipment_count => shipments;
            cancellations, cancellation_count => cancellations;
            cancellation_parts, cancellation_count => parts;
            gates, cancellation_count => gates;
            refunds, refund_count => refunds;
            incidents, incident_count => incidents;
        }
        Ok(found)
    }

    /// These are all rows of the order of this one.
    pub(super) fn into_order(self, mut row: OrderRow) -> Result<Order, DbError> {
        let annotations = row.annotations.take();
        let counts = [
            row.line_count,
            row.payment_count,
            row.shipment_count,
            row.cancellation_count,
            row.refund_count,
            row.incident_count,
            row.note_count,
        ];
        let shipments = self.shipments.into_iter().map(ShipmentRow::into_shipment);
        let cancellations = cancellations(self.cancellations, self.parts, self.gates);
        let incidents = self.incidents.into_iter().map(IncidentRow::into_incident);
        let mut order = Order {
            lines: self.lines.into_iter().map(LineRow::into_line).collect(),
            payments: self
                .payments
                .into_iter()
                .map(PaymentRow::into_payment)
                .collect(),
            shipments: shipments.collect::<Result<_, _>>()?,
            cancellations: cancellations?,
            refunds: self
                .refunds
                .into_iter()
                .map(RefundRow::into_refund)
                .collect(),
            incidents: incidents.collect::<Result<_, _>>()?,
            ..row.into_order()?
        };
        order.presume_whereabouts();
        if let Some(Json(annotations)) = annotations {
            annotations.give(&mut order)?;
        }
        let found = [
            order.lines.len(),
            order.payments.len(),
            order.shipments.len(),
            order.cancellations.len(),
            order.refunds.len(),
            order.incidents.len(),
            order.notes.len(),
        ];
        if counts.map(|count| usize::try_from(count).ok()) == found.map(Some) {
            Ok(order)
        } else {
            Err(DbError::Corrupt(format!(
                "{}/{} has {found:?} children, not {counts:?}",
                order.store, order.id
            )))
        }
    }
}

/// Rows by what they belong to; their order stays.
fn grouped<K: Eq + Hash, R>(rows: Vec<R>, key: impl Fn(&R) -> K) -> HashMap<K, Vec<R>> {
    let mut groups: HashMap<K, Vec<R>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}

/// The cancellations of one order.
fn cancellations(
    rows: Vec<CancellationRow>,
    parts: Vec<PartRow>,
    gates: Vec<GateRow>,
) -> Result<Vec<Cancellation>, DbError> {
    let mut parts = grouped(parts, |row| row.cancellation_number);
    let mut gates = grouped(gates, |row| (row.cancellation_number, row.part_number));
    let mut part = |row: PartRow| -> Result<Part, DbError> {
        let gates = gates.remove(&(row.cancellation_number, row.part_number));
        let gates = gates.unwrap_or_default().into_iter();
        row.into_part(gates.map(GateRow::into_gate).collect())
    };
    let cancellation = |row: CancellationRow| {
        let rows = parts.remove(&row.number).unwrap_or_default();
        let parts: Result<Vec<Part>, DbError> = rows.into_iter().map(&mut part).collect();
        Ok(row.into_cancellation(parts?))
    };
    rows.into_iter().map(cancellation).collect()
}
