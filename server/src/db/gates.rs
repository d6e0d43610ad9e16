//! What the parts of cancellations wait for. Read with their order; written by `aggregate` alone.

use belay_domain::actor::Role;
use belay_domain::cancellation::{Gate, GateKind, GateState};
use belay_domain::ids::{CarrierId, OrderKey, SellerId, StoreId, WarehouseId};
use belay_domain::policy::{GateSpec, OnDispatch, OnLost, OnTimeout};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::SignedDuration;

use super::Conn;
use super::cancellation_parts::Parcel;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::gates;
use super::statement::{self, rows_of_orders, upsert_rows};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = gates, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct GateRow {
    pub(super) order_key: Bytes<16>,
    pub(super) cancellation_number: u32,
    pub(super) part_number: u32,
    /// From 1, in the order in which they are passed.
    gate_number: u32,
    kind: Name<GateKind>,
    state: Name<GateState>,
    respond_within_micros: Option<i64>,
    on_timeout: Name<OnTimeout>,
    on_dispatch: Name<OnDispatch>,
    on_lost: Name<OnLost>,
    open_time: Option<At>,
    respond_by: Option<At>,
    close_time: Option<At>,
    /// What the lists need of the order, the shipment and the cancellation.
    store_id: Option<Name<StoreId>>,
    seller_id: Option<Name<SellerId>>,
    warehouse_id: Option<Name<WarehouseId>>,
    carrier_id: Option<Name<CarrierId>>,
    create_time: Option<At>,
    /// The party that the gate waits for while it is open.
    awaiting: Option<Name<Role>>,
}

impl statement::Row for GateRow {
    fn bytes(&self) -> usize {
        256
    }
}

impl GateRow {
    pub(super) fn of(key: OrderKey, parcel: Parcel<'_>, part: u32, number: u32, gate: &Gate) -> Result<Self, DbError> {
        let micros = |duration: SignedDuration| {
            i64::try_from(duration.as_micros())
                .map_err(|_| DbError::Corrupt(format!("{key:?}: a gate open for {duration}")))
        };
        Ok(Self {
            order_key: key.into(),
            cancellation_number: parcel.cancellation.number,
            part_number: part,
            gate_number: number,
            kind: Name(gate.spec.kind),
            state: Name(gate.state),
            respond_within_micros: gate.spec.respond_within.map(micros).transpose()?,
            on_timeout: Name(gate.spec.on_timeout),
            on_dispatch: Name(gate.spec.on_dispatch),
            on_lost: Name(gate.spec.on_lost),
            open_time: gate.open_time.map(At),
            respond_by: gate.respond_by.map(At),
            close_time: gate.close_time.map(At),
            store_id: Some(Name(parcel.order.store.clone())),
            seller_id: Some(Name(parcel.order.seller.clone())),
            warehouse_id: Some(Name(parcel.shipment.warehouse.clone())),
            carrier_id: Some(Name(parcel.shipment.carrier.clone())),
            create_time: Some(At(parcel.cancellation.create_time)),
            awaiting: (gate.state == GateState::Open).then(|| Name(gate.spec.kind.party())),
        })
    }

    pub(super) fn into_gate(self) -> Gate {
        Gate {
            spec: GateSpec {
                kind: self.kind.0,
                respond_within: self.respond_within_micros.map(SignedDuration::from_micros),
                on_timeout: self.on_timeout.0,
                on_dispatch: self.on_dispatch.0,
                on_lost: self.on_lost.0,
            },
            state: self.state.0,
            open_time: self.open_time.map(|time| time.0),
            respond_by: self.respond_by.map(|time| time.0),
            close_time: self.close_time.map(|time| time.0),
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<GateRow>, DbError> {
    Ok(rows_of_orders!(conn, gates, GateRow, keys))
}

pub(super) async fn write(conn: &mut Conn, rows: &[GateRow]) -> Result<(), DbError> {
    upsert_rows!(
        conn,
        gates,
        rows,
        [
            kind,
            state,
            respond_within_micros,
            on_timeout,
            on_dispatch,
            on_lost,
            open_time,
            respond_by,
            close_time,
            awaiting
        ]
    );
    Ok(())
}
