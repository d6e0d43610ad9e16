//! What the child tables of orders hold, row by row.

use std::collections::HashMap;
use std::hash::Hash;

use belay_domain::cancellation::{Cancellation, Gate, Part};
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_domain::shipment::Shipment;
use belay_domain::units::UnitSet;
use serde::{Deserialize, Serialize};

use crate::db::Conn;
use crate::db::cancellation_parts::{self, Parcel, PartRow};
use crate::db::cancellation_units::{self, CancellationUnitsRow};
use crate::db::cancellations::{self, CancellationRow};
use crate::db::columns::Bytes;
use crate::db::error::DbError;
use crate::db::gates::{self, GateRow};
use crate::db::incidents::{self, IncidentRow};
use crate::db::order_lines::{self, LineRow};
use crate::db::orders::OrderRow;
use crate::db::payments::{self, PaymentRow};
use crate::db::refunds::{self, RefundRow};
use crate::db::shipment_units::{self, ShipmentUnitsRow};
use crate::db::shipments::{self, ShipmentRow};

/// Rows of the child tables: of one order, or those to write of all orders of a batch.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Rows {
    lines: Vec<LineRow>,
    payments: Vec<PaymentRow>,
    shipments: Vec<ShipmentRow>,
    shipment_units: Vec<ShipmentUnitsRow>,
    cancellations: Vec<CancellationRow>,
    parts: Vec<PartRow>,
    cancellation_units: Vec<CancellationUnitsRow>,
    gates: Vec<GateRow>,
    refunds: Vec<RefundRow>,
    incidents: Vec<IncidentRow>,
}

impl Rows {
    /// All rows of an order.
    pub(super) fn of(order: &Order) -> Result<Self, DbError> {
        let mut rows = Self::default();
        rows.add(None, order)?;
        Ok(rows)
    }

    /// The rows that turn `before` into `after`.
    pub(super) fn add(&mut self, before: Option<&Order>, after: &Order) -> Result<(), DbError> {
        let key = after.key();
        let nothing = UnitSet::default();
        for (_, line) in changed(before.map(|order| &order.lines), &after.lines, key)? {
            self.lines.push(LineRow::of(key, after, line));
        }
        for (_, payment) in changed(before.map(|order| &order.payments), &after.payments, key)? {
            self.payments.push(PaymentRow::of(key, payment));
        }
        for (old, shipment) in changed(before.map(|order| &order.shipments), &after.shipments, key)?
        {
            self.shipments.push(ShipmentRow::of(key, after, shipment));
            let old = old.map_or(&nothing, |old| &old.units);
            self.shipment_units.extend(ShipmentUnitsRow::changes(
                key,
                shipment.number,
                old,
                &shipment.units,
            ));
        }
        for (old, cancellation) in changed(
            before.map(|order| &order.cancellations),
            &after.cancellations,
            key,
        )? {
            self.cancellations
                .push(CancellationRow::of(key, after, cancellation));
            self.add_parts(key, after, old, cancellation)?;
        }
        for (_, refund) in changed(before.map(|order| &order.refunds), &after.refunds, key)? {
            self.refunds.push(RefundRow::of(key, after, refund));
        }
        for (_, incident) in changed(before.map(|order| &order.incidents), &after.incidents, key)? {
            self.incidents.push(IncidentRow::of(key, after, incident));
        }
        Ok(())
    }

    fn add_parts(
        &mut self,
        key: OrderKey,
        order: &Order,
        before: Option<&Cancellation>,
        after: &Cancellation,
    ) -> Result<(), DbError> {
        let nothing = UnitSet::default();
        let numbered_parts = (1_u32..).zip(&after.parts);
        let old_parts = before.map(|cancellation| &cancellation.parts);
        for (old, (number, part)) in
            changed_numbered(old_parts, numbered_parts, after.parts.len(), key)?
        {
            let shipment = order.shipment(part.shipment);
            let shipment = shipment
                .ok_or_else(|| DbError::Corrupt(format!("{key:?}: a part of no shipment")))?;
            let parcel = Parcel {
                order,
                cancellation: after,
                shipment,
            };
            self.parts.push(PartRow::of(key, parcel, number, part));
            let id = (after.number, number);
            let old_units = old.map_or(&nothing, |old| &old.units);
            self.cancellation_units
                .extend(CancellationUnitsRow::changes(
                    key,
                    id,
                    old_units,
                    &part.units,
                ));
            let old_gates = old.map(|part| &part.gates);
            for (_, (at, gate)) in
                changed_numbered(old_gates, (1_u32..).zip(&part.gates), part.gates.len(), key)?
            {
                self.gates.push(GateRow::of(key, parcel, number, at, gate)?);
            }
        }
        Ok(())
    }

    pub(super) async fn write(&self, conn: &mut Conn) -> Result<(), DbError> {
        order_lines::write(conn, &self.lines).await?;
        payments::write(conn, &self.payments).await?;
        shipments::write(conn, &self.shipments).await?;
        shipment_units::write(conn, &self.shipment_units).await?;
        cancellations::write(conn, &self.cancellations).await?;
        cancellation_parts::write(conn, &self.parts).await?;
        cancellation_units::write(conn, &self.cancellation_units).await?;
        gates::write(conn, &self.gates).await?;
        refunds::write(conn, &self.refunds).await?;
        incidents::write(conn, &self.incidents).await
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
            shipment_units, shipment_count => shipment_units;
            cancellations, cancellation_count => cancellations;
            cancellation_parts, cancellation_count => parts;
            cancellation_units, cancellation_count => cancellation_units;
            gates, cancellation_count => gates;
            refunds, refund_count => refunds;
            incidents, incident_count => incidents;
        }
        Ok(found)
    }

    /// These are all rows of the order of this one.
    pub(super) fn into_order(self, row: OrderRow) -> Result<Order, DbError> {
        let counts = [
            row.line_count,
            row.payment_count,
            row.shipment_count,
            row.cancellation_count,
            row.refund_count,
            row.incident_count,
        ];
        let shipments = shipments(self.shipments, self.shipment_units);
        let cancellations = cancellations(
            self.cancellations,
            self.parts,
            self.cancellation_units,
            self.gates,
        );
        let incidents = self.incidents.into_iter().map(IncidentRow::into_incident);
        let mut order = Order {
            lines: self.lines.into_iter().map(LineRow::into_line).collect(),
            payments: self
                .payments
                .into_iter()
                .map(PaymentRow::into_payment)
                .collect(),
            shipments: shipments?,
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
        let found = [
            order.lines.len(),
            order.payments.len(),
            order.shipments.len(),
            order.cancellations.len(),
            order.refunds.len(),
            order.incidents.len(),
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

type Grouped<K, R> = HashMap<K, Vec<R>>;

/// Rows by what they belong to; their order stays.
fn grouped<K: Eq + Hash, R>(rows: Vec<R>, key: impl Fn(&R) -> K) -> Grouped<K, R> {
    let mut groups: Grouped<K, R> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}

fn taken<K: Eq + Hash, R, T>(groups: &mut Grouped<K, R>, key: &K, into: impl Fn(R) -> T) -> Vec<T> {
    groups
        .remove(key)
        .unwrap_or_default()
        .into_iter()
        .map(into)
        .collect()
}

/// The shipments of one order.
fn shipments(
    rows: Vec<ShipmentRow>,
    units: Vec<ShipmentUnitsRow>,
) -> Result<Vec<Shipment>, DbError> {
    let mut units = grouped(units, |row| row.shipment_number);
    // A `UnitSet` leaves out the ranges of count 0, which are no more.
    let shipment = |row: ShipmentRow| {
        let units = UnitSet::new(taken(&mut units, &row.number, |row| row.range()));
        row.into_shipment(units)
    };
    rows.into_iter().map(shipment).collect()
}

/// The cancellations of one order.
fn cancellations(
    rows: Vec<CancellationRow>,
    parts: Vec<PartRow>,
    units: Vec<CancellationUnitsRow>,
    gates: Vec<GateRow>,
) -> Result<Vec<Cancellation>, DbError> {
    let mut parts = grouped(parts, |row| row.cancellation_number);
    let mut units = grouped(units, |row| (row.cancellation_number, row.part_number));
    let mut gates = grouped(gates, |row| (row.cancellation_number, row.part_number));
    let mut part = |row: PartRow| -> Result<Part, DbError> {
        let key = (row.cancellation_number, row.part_number);
        let units = UnitSet::new(taken(&mut units, &key, |row| row.range()));
        let gates: Vec<Gate> = taken(&mut gates, &key, GateRow::into_gate);
        row.into_part(units, gates)
    };
    let cancellation = |row: CancellationRow| {
        let rows = parts.remove(&row.number).unwrap_or_default();
        let parts: Result<Vec<Part>, DbError> = rows.into_iter().map(&mut part).collect();
        Ok(row.into_cancellation(parts?))
    };
    rows.into_iter().map(cancellation).collect()
}

/// The children that are new or differ, each with what it was. Children stay where they are in
/// their list for ever.
fn changed<'a, T: PartialEq>(
    before: Option<&'a Vec<T>>,
    after: &'a [T],
    key: OrderKey,
) -> Result<impl Iterator<Item = (Option<&'a T>, &'a T)>, DbError> {
    let numbered = changed_numbered(before, (1_u32..).zip(after), after.len(), key)?;
    Ok(numbered.map(|(old, (_, new))| (old, new)))
}

fn changed_numbered<'a, T: PartialEq>(
    before: Option<&'a Vec<T>>,
    after: impl Iterator<Item = (u32, &'a T)>,
    after_count: usize,
    key: OrderKey,
) -> Result<impl Iterator<Item = (Option<&'a T>, (u32, &'a T))>, DbError> {
    let before: &[T] = before.map_or(&[], Vec::as_slice);
    if before.len() > after_count {
        return Err(DbError::Corrupt(format!(
            "{key:?}: something that belongs to the order was removed"
        )));
    }
    let before = before.iter().map(Some).chain(std::iter::repeat(None));
    Ok(before
        .zip(after)
        .filter(|(old, (_, new))| *old != Some(*new)))
}
