//! The parts of cancellations. Read with their order; written by `aggregate` alone.

use belay_domain::cancellation::{Cancellation, Gate, Part, PartState, Path};
use belay_domain::ids::{CarrierId, OrderKey, StoreId, WarehouseId};
use belay_domain::money::Amounts;
use belay_domain::order::Order;
use belay_domain::policy::{NextAction, RefundPlan};
use belay_domain::shipment::Shipment;
use belay_domain::units::UnitSet;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Bytes, Json, Name};
use super::error::DbError;
use super::schema::cancellation_parts;
use super::statement::{self, rows_of_orders, upsert_rows};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = cancellation_parts, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct PartRow {
    pub(super) order_key: Bytes<16>,
    pub(super) cancellation_number: u32,
    /// From 1, in the order in which the cancellation has them.
    pub(super) part_number: u32,
    shipment_number: u32,
    path: Name<Path>,
    state: Name<PartState>,
    rule: Option<String>,
    plan: Name<RefundPlan>,
    refused_reason: Option<String>,
    next_actions: Json<Vec<NextAction>>,
    refund_goods: i64,
    refund_tax: i64,
    refund_shipping: i64,
    refund_excess: i64,
    /// Whose parcel it is about, for the lists; with `create_time` of the cancellation.
    store_id: Option<Name<StoreId>>,
    warehouse_id: Option<Name<WarehouseId>>,
    carrier_id: Option<Name<CarrierId>>,
    create_time: Option<At>,
}

/// What the lists need of the order, the cancellation and the shipment that a part belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parcel<'a> {
    pub(super) order: &'a Order,
    pub(super) cancellation: &'a Cancellation,
    pub(super) shipment: &'a Shipment,
}

impl statement::Row for PartRow {
    fn bytes(&self) -> usize {
        512
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
            plan: Name(part.plan),
            refused_reason: part.refused_reason.clone(),
            next_actions: Json(part.next_actions.clone()),
            refund_goods: part.refund.goods,
            refund_tax: part.refund.tax,
            refund_shipping: part.refund.shipping,
            refund_excess: part.refund.excess,
            store_id: Some(Name(parcel.order.store.clone())),
            warehouse_id: Some(Name(parcel.shipment.warehouse.clone())),
            carrier_id: Some(Name(parcel.shipment.carrier.clone())),
            create_time: Some(At(parcel.cancellation.create_time)),
        }
    }

    pub(super) fn into_part(self, units: UnitSet, gates: Vec<Gate>) -> Part {
        Part {
            shipment: self.shipment_number,
            units,
            path: self.path.0,
            state: self.state.0,
            rule: self.rule,
            plan: self.plan.0,
            refused_reason: self.refused_reason,
            next_actions: self.next_actions.0,
            refund: Amounts {
                goods: self.refund_goods,
                tax: self.refund_tax,
                shipping: self.refund_shipping,
                excess: self.refund_excess,
            },
            gates,
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<PartRow>, DbError> {
    Ok(rows_of_orders!(conn, cancellation_parts, PartRow, keys))
}

pub(super) async fn write(conn: &mut Conn, rows: &[PartRow]) -> Result<(), DbError> {
    upsert_rows!(
        conn,
        cancellation_parts,
        rows,
        [
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
            refund_excess
        ]
    );
    Ok(())
}
