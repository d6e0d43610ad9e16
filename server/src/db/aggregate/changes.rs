//! Changes of the child tables of orders, as commands make them.

use belay_domain::cancellation::{Cancellation, Gate, Part};
use belay_domain::ids::OrderKey;
use belay_domain::order::Order;

use crate::db::cancellation_parts::{self, Parcel, PartRow};
use crate::db::cancellations::{self, CancellationRow};
use crate::db::error::DbError;
use crate::db::gates::{self, GateRow};
use crate::db::incidents::{self, IncidentRow};
use crate::db::order_lines::{self, LineRow};
use crate::db::payments::{self, PaymentRow};
use crate::db::refunds::{self, RefundRow};
use crate::db::shipments::{self, ShipmentRow};
use crate::db::writes::{Changed, Writes};

/// Rows to write, of all orders of a batch.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) lines: Changed<LineRow>,
    pub(super) payments: Changed<PaymentRow>,
    pub(super) shipments: Changed<ShipmentRow>,
    pub(super) cancellations: Changed<CancellationRow>,
    pub(super) parts: Changed<PartRow>,
    pub(super) gates: Changed<GateRow>,
    pub(super) refunds: Changed<RefundRow>,
    pub(super) incidents: Changed<IncidentRow>,
}

/// An order, and what it was.
type Versions<'a> = (Option<&'a Order>, &'a Order);

impl Changes {
    /// What turns `before` into `after`.
    pub(super) fn add(&mut self, before: Option<&Order>, after: &Order) -> Result<(), DbError> {
        let key = after.key();
        macro_rules! children {
            ($children:ident, $row:expr) => {
                let old = before.map(|order| &order.$children);
                for (old, new) in changed(old, &after.$children, key)? {
                    let row = $row;
                    let old = before.zip(old).map(|(order, child)| row(order, child));
                    self.$children.push(old, row(after, new));
                }
            };
        }
        children!(lines, |order, line| LineRow::of(key, order, line));
        children!(payments, |_, payment| PaymentRow::of(key, payment));
        children!(refunds, |order, refund| RefundRow::of(key, order, refund));
        children!(incidents, |order, incident| IncidentRow::of(
            key, order, incident
        ));
        children!(shipments, |order, shipment| ShipmentRow::of(
            key, order, shipment
        ));
        self.add_cancellations((before, after), key)
    }

    fn add_cancellations(
        &mut self,
        (before, after): Versions<'_>,
        key: OrderKey,
    ) -> Result<(), DbError> {
        let old = before.map(|order| &order.cancellations);
        for (old, new) in changed(old, &after.cancellations, key)? {
            let old = before.zip(old);
            let row = old.map(|(order, old)| CancellationRow::of(key, order, old));
            let cancellation = CancellationRow::of(key, after, new);
            self.cancellations.push(row, cancellation);
            self.add_parts(old, (after, new), key)?;
        }
        Ok(())
    }

    fn add_parts(
        &mut self,
        before: Option<(&Order, &Cancellation)>,
        after: (&Order, &Cancellation),
        key: OrderKey,
    ) -> Result<(), DbError> {
        let parts = &after.1.parts;
        let old = before.map(|(_, cancellation)| &cancellation.parts);
        for (old, (number, new)) in changed_numbered(old, (1_u32..).zip(parts), parts.len(), key)? {
            let old = before.zip(old);
            let old =
                old.map(|(before, part)| Ok::<_, DbError>((parcel(before, part, key)?, part)));
            let old = old.transpose()?;
            let new_parcel = parcel(after, new, key)?;
            self.parts.push(
                old.map(|(parcel, part)| PartRow::of(key, parcel, number, part)),
                PartRow::of(key, new_parcel, number, new),
            );
            let gate_row = |parcel, at, gate: &Gate| GateRow::of(key, parcel, number, at, gate);
            let gates = (1_u32..).zip(&new.gates);
            let old_gates = old.map(|(_, part)| &part.gates);
            for (old_gate, (at, gate)) in changed_numbered(old_gates, gates, new.gates.len(), key)?
            {
                let old_gate = old.zip(old_gate);
                let old_gate = old_gate.map(|((parcel, _), gate)| gate_row(parcel, at, gate));
                self.gates
                    .push(old_gate.transpose()?, gate_row(new_parcel, at, gate)?);
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, writes: &mut Writes) -> Result<(), DbError> {
        order_lines::write(writes, &self.lines)?;
        payments::write(writes, &self.payments)?;
        shipments::write(writes, &self.shipments)?;
        cancellations::write(writes, &self.cancellations)?;
        cancellation_parts::write(writes, &self.parts)?;
        gates::write(writes, &self.gates)?;
        refunds::write(writes, &self.refunds)?;
        incidents::write(writes, &self.incidents)
    }
}

fn parcel<'a>(
    (order, cancellation): (&'a Order, &'a Cancellation),
    part: &Part,
    key: OrderKey,
) -> Result<Parcel<'a>, DbError> {
    let shipment = order.shipment(part.shipment);
    Ok(Parcel {
        order,
        cancellation,
        shipment: shipment
            .ok_or_else(|| DbError::Corrupt(format!("{key:?}: a part of no shipment")))?,
    })
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
