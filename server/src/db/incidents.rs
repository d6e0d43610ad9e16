//! Incidents. Read with their order; written by `aggregate` alone.

use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::incident::{Incident, IncidentKind, IncidentState};
use belay_domain::order::Order;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::incidents;
use super::statement::{self, rows_of_orders, upsert_rows};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = incidents, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct IncidentRow {
    pub(super) order_key: Bytes<16>,
    number: u32,
    store_id: Name<StoreId>,
    kind: Name<IncidentKind>,
    state: Name<IncidentState>,
    shipment_number: Option<u32>,
    refund_number: Option<u32>,
    create_time: At,
    resolve_time: Option<At>,
}

impl statement::Row for IncidentRow {
    fn bytes(&self) -> usize {
        256
    }
}

impl IncidentRow {
    pub(super) fn of(key: OrderKey, order: &Order, incident: &Incident) -> Self {
        Self {
            order_key: key.into(),
            number: incident.number,
            store_id: Name(order.store.clone()),
            kind: Name(incident.kind),
            state: Name(incident.state),
            shipment_number: incident.shipment,
            refund_number: incident.refund,
            create_time: At(incident.create_time),
            resolve_time: incident.resolve_time.map(At),
        }
    }

    pub(super) fn into_incident(self) -> Incident {
        Incident {
            number: self.number,
            kind: self.kind.0,
            state: self.state.0,
            shipment: self.shipment_number,
            refund: self.refund_number,
            create_time: self.create_time.0,
            resolve_time: self.resolve_time.map(|time| time.0),
        }
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<IncidentRow>, DbError> {
    Ok(rows_of_orders!(conn, incidents, IncidentRow, keys))
}

pub(super) async fn write(conn: &mut Conn, rows: &[IncidentRow]) -> Result<(), DbError> {
    upsert_rows!(conn, incidents, rows, [kind, state, shipment_number, refund_number, resolve_time]);
    Ok(())
}
