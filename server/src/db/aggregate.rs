//! Whole orders: put together from their tables, and what changed of them written back.
//!
//! `load_children`, `insert` and `update` run inside the engine's transaction and under the lock of
//! the orders' rows. `read` runs inside a snapshot: the tables of an order are read one after the
//! other and must all be of one moment.

use std::collections::HashMap;
use std::hash::Hash;

use belay_domain::cancellation::{Cancellation, Gate, Part};
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_domain::units::UnitSet;

use super::Conn;
use super::cancellation_parts::{self, Parcel, PartRow};
use super::cancellation_units::{self, CancellationUnitsRow};
use super::cancellations::{self, CancellationRow};
use super::columns::Bytes;
use super::error::DbError;
use super::gates::{self, GateRow};
use super::incidents::{self, IncidentRow};
use super::order_lines::{self, LineRow};
use super::orders::{self, LockedOrder, OrderRow};
use super::payments::{self, PaymentRow};
use super::refunds::{self, RefundRow};
use super::shipment_units::{self, ShipmentUnitsRow};
use super::shipments::{self, ShipmentRow};

/// The orders whose rows are locked, whole.
pub async fn load_children(
    conn: &mut Conn,
    locked: Vec<LockedOrder>,
) -> Result<HashMap<OrderKey, Order>, DbError> {
    assemble(conn, locked.into_iter().map(|order| order.row).collect()).await
}

/// These orders as they are now, whole; what does not exist is left out.
pub async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<HashMap<OrderKey, Order>, DbError> {
    let rows = orders::read(conn, keys).await?;
    assemble(conn, rows).await
}

/// Writes new orders into these partitions. An order that exists already makes it fail with kind
/// `Duplicate`; nothing tells which one it was.
pub async fn insert(conn: &mut Conn, new: &[(&Order, u16)]) -> Result<(), DbError> {
    let rows: Result<Vec<OrderRow>, DbError> = new
        .iter()
        .map(|(order, partition)| OrderRow::of(order, *partition))
        .collect();
    let mut changes = Changes::default();
    for (order, _) in new {
        changes.add(None, order)?;
    }
    orders::insert(conn, &rows?).await?;
    changes.write(conn).await
}

/// Writes what differs between `before`, as it was loaded, and `after`. An order that is no longer
/// at the version of `before` makes it fail with kind `VersionConflict`, and the transaction must
/// be rolled back.
pub async fn update(conn: &mut Conn, changed: &[(&Order, &Order)]) -> Result<(), DbError> {
    // The partition is not among what may change.
    const ANY: u16 = 0;
    let mut rows = Vec::with_capacity(changed.len());
    let mut changes = Changes::default();
    for (before, after) in changed {
        rows.push((OrderRow::of(before, ANY)?, OrderRow::of(after, ANY)?));
        changes.add(Some(before), after)?;
    }
    orders::update(conn, &rows).await?;
    changes.write(conn).await
}

/// Reads only the tables that hold something for one of these orders, and there only for those
/// orders.
async fn assemble(
    conn: &mut Conn,
    rows: Vec<OrderRow>,
) -> Result<HashMap<OrderKey, Order>, DbError> {
    let with = |count: fn(&OrderRow) -> u32| -> Vec<OrderKey> {
        rows.iter()
            .filter(|row| count(row) > 0)
            .map(OrderRow::key)
            .collect()
    };
    let lines = order_lines::read(conn, &with(|row| row.line_count)).await?;
    let payments = payments::read(conn, &with(|row| row.payment_count)).await?;
    let shipments = read_shipments(conn, &with(|row| row.shipment_count)).await?;
    let cancellations = read_cancellations(conn, &with(|row| row.cancellation_count)).await?;
    let refunds = refunds::read(conn, &with(|row| row.refund_count)).await?;
    let incidents = incidents::read(conn, &with(|row| row.incident_count)).await?;

    let mut lines = grouped(lines, |row| row.order_key);
    let mut payments = grouped(payments, |row| row.order_key);
    let mut shipments = grouped(shipments, |(key, _)| *key);
    let mut cancellations = grouped(cancellations, |(key, _)| *key);
    let mut refunds = grouped(refunds, |row| row.order_key);
    let mut incidents = grouped(incidents, |row| row.order_key);
    let mut orders = HashMap::with_capacity(rows.len());
    for row in rows {
        let key = row.order_key;
        let counts = [
            row.line_count,
            row.payment_count,
            row.shipment_count,
            row.cancellation_count,
            row.refund_count,
            row.incident_count,
        ];
        let mut order = Order {
            lines: taken(&mut lines, &key, LineRow::into_line),
            payments: taken(&mut payments, &key, PaymentRow::into_payment),
            shipments: taken(&mut shipments, &key, |(_, shipment)| shipment),
            cancellations: taken(&mut cancellations, &key, |(_, cancellation)| cancellation),
            refunds: taken(&mut refunds, &key, RefundRow::into_refund),
            incidents: taken(&mut incidents, &key, IncidentRow::into_incident)
                .into_iter()
                .collect::<Result<_, _>>()?,
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
        if counts.map(|count| usize::try_from(count).ok()) != found.map(Some) {
            return Err(DbError::Corrupt(format!(
                "{}/{} has {found:?} children, not {counts:?}",
                order.store, order.id
            )));
        }
        orders.insert(key.into(), order);
    }
    Ok(orders)
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

type OfOrder<T> = (Bytes<16>, T);

async fn read_shipments(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<Vec<OfOrder<belay_domain::shipment::Shipment>>, DbError> {
    let rows = shipments::read(conn, keys).await?;
    let units = shipment_units::read(conn, keys).await?;
    let mut units = grouped(units, |row| (row.order_key, row.shipment_number));
    // A `UnitSet` leaves out the ranges of count 0, which are no more.
    let shipment = |row: ShipmentRow| {
        let key = row.order_key;
        let units = UnitSet::new(taken(&mut units, &(key, row.number), |row| row.range()));
        Ok((key, row.into_shipment(units)?))
    };
    rows.into_iter().map(shipment).collect()
}

async fn read_cancellations(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<Vec<OfOrder<Cancellation>>, DbError> {
    let rows = cancellations::read(conn, keys).await?;
    let parts = cancellation_parts::read(conn, keys).await?;
    let units = cancellation_units::read(conn, keys).await?;
    let gates = gates::read(conn, keys).await?;
    let mut parts = grouped(parts, |row| (row.order_key, row.cancellation_number));
    let mut units = grouped(units, |row| {
        (row.order_key, row.cancellation_number, row.part_number)
    });
    let mut gates = grouped(gates, |row| {
        (row.order_key, row.cancellation_number, row.part_number)
    });
    let mut part = |row: PartRow| -> Result<Part, DbError> {
        let key = (row.order_key, row.cancellation_number, row.part_number);
        let units = UnitSet::new(taken(&mut units, &key, |row| row.range()));
        let gates: Vec<Gate> = taken(&mut gates, &key, GateRow::into_gate);
        row.into_part(units, gates)
    };
    let mut cancellation = |row: CancellationRow| {
        let key = row.order_key;
        let rows = parts.remove(&(key, row.number)).unwrap_or_default();
        let parts: Result<Vec<Part>, DbError> = rows.into_iter().map(&mut part).collect();
        Ok((key, row.into_cancellation(parts?)))
    };
    rows.into_iter().map(&mut cancellation).collect()
}

/// The rows to write, of all orders of a batch together.
#[derive(Debug, Default)]
struct Changes {
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

impl Changes {
    fn add(&mut self, before: Option<&Order>, after: &Order) -> Result<(), DbError> {
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

    async fn write(&self, conn: &mut Conn) -> Result<(), DbError> {
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
