//! The gates that parts of cancellations wait for. Read with their order; written by `aggregate`
//! alone.

use belay_domain::actor::Role;
use belay_domain::cancellation::{Gate, GateAnswer, GateState};
use belay_domain::ids::{CarrierId, OrderKey, SellerId, StoreId, WarehouseId};
use belay_domain::period::Period;
use belay_domain::terms::{GateKind, GateSpec, OnDispatch, OnLost, OnTimeout};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::cancellation_parts::Parcel;
use super::columns::{self, At, Bytes, Json, Name};
use super::error::DbError;
use super::schema::gates;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = gates, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct GateRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    pub(super) cancellation_number: u32,
    pub(super) part_number: u32,
    /// From 1, in the order in which they are passed.
    gate_number: u32,
    kind: Name<GateKind>,
    state: Name<GateState>,
    on_timeout: Name<OnTimeout>,
    on_dispatch: Name<OnDispatch>,
    on_lost: Name<OnLost>,
    open_time: Option<At>,
    respond_by: Option<At>,
    close_time: Option<At>,
    respond_within: Option<Json<Period>>,
    remind_before_micros: Option<i64>,
    escalate_within: Option<Json<Period>>,
    remind_at: Option<At>,
    answer: Option<Json<GateAnswer>>,
    /// What the lists need of the order, the shipment and the cancellation.
    #[serde(skip)]
    store_id: Option<Name<StoreId>>,
    #[serde(skip)]
    seller_id: Option<Name<SellerId>>,
    #[serde(skip)]
    warehouse_id: Option<Name<WarehouseId>>,
    #[serde(skip)]
    carrier_id: Option<Name<CarrierId>>,
    #[serde(skip)]
    create_time: Option<At>,
    /// The party that the gate waits for while it is open.
    #[serde(skip)]
    awaiting: Option<Name<Role>>,
    /// In whose place support is asked.
    instead_of: Option<Name<GateKind>>,
}

impl statement::Row for GateRow {
    fn bytes(&self) -> usize {
        let answer = |answer: &Json<GateAnswer>| {
            let texts = answer
                .0
                .note
                .iter()
                .chain(&answer.0.evidence)
                .map(|text| text.len() * 2 + 4);
            1_024 + texts.sum::<usize>() + answer.0.put_back.len() * 40
        };
        512 + self.answer.as_ref().map_or(0, answer)
    }
}

impl GateRow {
    pub(super) fn of(
        key: OrderKey,
        parcel: Parcel<'_>,
        part: u32,
        number: u32,
        gate: &Gate,
    ) -> Result<Self, DbError> {
        let micros = |duration: SignedDuration| {
            i64::try_from(duration.as_micros())
                .map_err(|_| DbError::Corrupt(format!("{key:?}: a reminder {duration} before")))
        };
        Ok(Self {
            order_key: key.into(),
            cancellation_number: parcel.cancellation.number,
            part_number: part,
            gate_number: number,
            kind: Name(gate.spec.kind),
            state: Name(gate.state),
            on_timeout: Name(gate.spec.on_timeout),
            on_dispatch: Name(gate.spec.on_dispatch),
            on_lost: Name(gate.spec.on_lost),
            open_time: gate.open_time.map(At),
            respond_by: gate.respond_by.map(At),
            close_time: gate.close_time.map(At),
            respond_within: gate.spec.respond_within.map(Json),
            remind_before_micros: gate.spec.remind_before.map(micros).transpose()?,
            escalate_within: gate.spec.escalate_within.map(Json),
            remind_at: gate.remind_at.map(At),
            answer: gate.answer.clone().map(Json),
            store_id: Some(Name(parcel.order.store.clone())),
            seller_id: Some(Name(parcel.order.seller.clone())),
            warehouse_id: Some(Name(parcel.shipment.warehouse.clone())),
            carrier_id: Some(Name(parcel.shipment.carrier.clone())),
            create_time: Some(At(parcel.cancellation.create_time)),
            awaiting: (gate.state == GateState::Open).then(|| Name(gate.spec.kind.party())),
            instead_of: gate.instead_of.map(Name),
        })
    }

    pub(super) fn into_gate(self) -> Gate {
        Gate {
            spec: GateSpec {
                kind: self.kind.0,
                respond_within: self.respond_within.map(|wait| wait.0),
                remind_before: self.remind_before_micros.map(SignedDuration::from_micros),
                on_timeout: self.on_timeout.0,
                escalate_within: self.escalate_within.map(|wait| wait.0),
                on_dispatch: self.on_dispatch.0,
                on_lost: self.on_lost.0,
            },
            instead_of: self.instead_of.map(|kind| kind.0),
            state: self.state.0,
            open_time: self.open_time.map(|time| time.0),
            respond_by: self.respond_by.map(|time| time.0),
            remind_at: self.remind_at.map(|time| time.0),
            close_time: self.close_time.map(|time| time.0),
            answer: self.answer.map(|answer| answer.0),
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<GateRow>, DbError> {
    Ok(rows_of_orders!(conn, gates, GateRow, keys))
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<GateRow>) -> Result<(), DbError> {
    change_rows!(writes, gates, rows, [order_key, cancellation_number, part_number, gate_number] => [
        kind,
        state,
        on_timeout,
        on_dispatch,
        on_lost,
        open_time,
        respond_by,
        close_time,
        respond_within,
        remind_before_micros,
        escalate_within,
        remind_at,
        answer,
        awaiting,
        instead_of
    ]);
    Ok(())
}
