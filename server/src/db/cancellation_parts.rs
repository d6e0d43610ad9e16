//! The parts of cancellations. Read with their order; written by `aggregate` alone.

use belay_domain::cancellation::{
    Cancellation, Deductions, Gate, LabelState, Part, PartState, Receipt,
};
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{CarrierId, OrderKey, StoreId, WarehouseId};
use belay_domain::money::Amounts;
use belay_domain::order::Order;
use belay_domain::shipment::Shipment;
use belay_domain::terms::{
    Effect, GoodsCondition, NextAction, Path, Payer, RefundPlan, RefundShare,
};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, At, Bytes, Json, Name, Units, both, filled};
use super::error::DbError;
use super::schema::cancellation_parts;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = cancellation_parts, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct PartRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    pub(super) cancellation_number: u32,
    /// From 1, in the order in which the cancellation has them.
    pub(super) part_number: u32,
    shipment_number: u32,
    path: Name<Path>,
    state: Name<PartState>,
    rule: Option<String>,
    plan: Name<RefundShare>,
    refused_reason: Option<Name<ErrorReason>>,
    next_actions: Json<Vec<NextAction>>,
    refund_goods: i64,
    refund_tax: i64,
    refund_shipping: i64,
    refund_excess: i64,
    outbound_shipping: Name<Payer>,
    return_shipping: Name<Payer>,
    deducted_outbound_shipping: i64,
    deducted_return_shipping: i64,
    deducted_by_schedule: i64,
    label: Option<Name<LabelState>>,
    receipt_condition: Option<Name<GoodsCondition>>,
    receive_time: Option<At>,
    effects: Json<Vec<Effect>>,
    /// Whose parcel it is about, for the lists; with `create_time` of the cancellation.
    #[serde(skip)]
    store_id: Option<Name<StoreId>>,
    #[serde(skip)]
    warehouse_id: Option<Name<WarehouseId>>,
    #[serde(skip)]
    carrier_id: Option<Name<CarrierId>>,
    #[serde(skip)]
    create_time: Option<At>,
    /// Of every row; the column may be NULL, for it was added to tables that had rows.
    units: Option<Units>,
}

/// The order, the cancellation and the shipment of a part, as far as the lists need them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel<'a> {
    pub(super) order: &'a Order,
    pub(super) cancellation: &'a Cancellation,
    pub(super) shipment: &'a Shipment,
}

impl statement::Row for PartRow {
    fn bytes(&self) -> usize {
        768 + self.units.as_ref().map_or(0, Units::bytes)
    }
}

impl PartRow {
    pub(super) fn of(key: OrderKey, parcel: Parcel<'_>, number: u32, part: &Part) -> Self {
        Self {
            order_key: key.into(),
            cancellation_number: parcel.cancellation.number,
            part_number: number,
            shipment_number: part.shipment,
            path: Name(part.path),
            state: Name(part.state),
            rule: part.rule.clone(),
            plan: Name(part.plan.share),
            refused_reason: part.refused_reason.map(Name),
            next_actions: Json(part.next_actions.clone()),
            refund_goods: part.refund.goods,
            refund_tax: part.refund.tax,
            refund_shipping: part.refund.shipping,
            refund_excess: part.refund.excess,
            outbound_shipping: Name(part.plan.outbound_shipping),
            return_shipping: Name(part.plan.return_shipping),
            deducted_outbound_shipping: part.deductions.outbound_shipping,
            deducted_return_shipping: part.deductions.return_shipping,
            deducted_by_schedule: part.deductions.by_schedule,
            label: part.label.map(Name),
            receipt_condition: part.receipt.map(|receipt| Name(receipt.condition)),
            receive_time: part.receipt.map(|receipt| At(receipt.receive_time)),
            effects: Json(part.effects.clone()),
            store_id: Some(Name(parcel.order.store.clone())),
            warehouse_id: Some(Name(parcel.shipment.warehouse.clone())),
            carrier_id: Some(Name(parcel.shipment.carrier.clone())),
            create_time: Some(At(parcel.cancellation.create_time)),
            units: Some(Units(part.units.clone())),
        }
    }

    pub(super) fn into_part(self, gates: Vec<Gate>) -> Result<Part, DbError> {
        let receipt = both("a receipt", self.receipt_condition, self.receive_time)?;
        Ok(Part {
            shipment: self.shipment_number,
            units: filled("the units of a part", self.units)?.0,
            path: self.path.0,
            state: self.state.0,
            rule: self.rule,
            plan: RefundPlan {
                share: self.plan.0,
                outbound_shipping: self.outbound_shipping.0,
                return_shipping: self.return_shipping.0,
            },
            refused_reason: self.refused_reason.map(|reason| reason.0),
            next_actions: self.next_actions.0,
            refund: Amounts {
                goods: self.refund_goods,
                tax: self.refund_tax,
                shipping: self.refund_shipping,
                excess: self.refund_excess,
            },
            deductions: Deductions {
                outbound_shipping: self.deducted_outbound_shipping,
                return_shipping: self.deducted_return_shipping,
                by_schedule: self.deducted_by_schedule,
            },
            label: self.label.map(|label| label.0),
            receipt: receipt.map(|(condition, time)| Receipt {
                condition: condition.0,
                receive_time: time.0,
            }),
            effects: self.effects.0,
            gates,
        })
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<PartRow>, DbError> {
    Ok(rows_of_orders!(conn, cancellation_parts, PartRow, keys))
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<PartRow>) -> Result<(), DbError> {
    change_rows!(writes, cancellation_parts, rows, [order_key, cancellation_number, part_number] => [
        shipment_number,
        path,
        state,
        rule,
        plan,
        refused_reason,
        next_actions,
        refund_goods,
        refund_tax,
        refund_shipping,
        refund_excess,
        outbound_shipping,
        return_shipping,
        deducted_outbound_shipping,
        deducted_return_shipping,
        deducted_by_schedule,
        label,
        receipt_condition,
        receive_time,
        effects,
        units
    ]);
    Ok(())
}
