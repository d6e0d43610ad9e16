//! Incidents. Read with their order; written by `aggregate` alone. The list may run anywhere.

use belay_domain::actor::{Actor, Role};
use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::incident::{Incident, IncidentKind, IncidentState, Resolution};
use belay_domain::order::Order;
use belay_domain::query::{IncidentFilter, ListPosition};
use belay_domain::scope::View;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, At, Bytes, Name, both};
use super::error::DbError;
use super::pages::{Filter, ListQuery, Listed, PageQuery};
use super::schema::incidents;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = incidents, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct IncidentRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    number: u32,
    store_id: Name<StoreId>,
    kind: Name<IncidentKind>,
    state: Name<IncidentState>,
    shipment_number: Option<u32>,
    refund_number: Option<u32>,
    create_time: At,
    resolve_time: Option<At>,
    cancellation_number: Option<u32>,
    resolution: Option<Name<Resolution>>,
    resolved_by_role: Option<Name<Role>>,
    resolved_by_id: Option<String>,
    note: Option<String>,
    payment_number: Option<u32>,
    amount: Option<i64>,
}

impl statement::Row for IncidentRow {
    fn bytes(&self) -> usize {
        1_024 + self.note.as_ref().map_or(0, String::len)
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
            cancellation_number: incident.cancellation,
            resolution: incident.resolution.map(Name),
            resolved_by_role: incident.resolved_by.as_ref().map(|actor| Name(actor.role)),
            resolved_by_id: incident.resolved_by.as_ref().map(|actor| actor.id.clone()),
            note: incident.note.clone(),
            payment_number: incident.payment,
            amount: incident.amount,
        }
    }

    pub(super) fn into_incident(self) -> Result<Incident, DbError> {
        let resolved_by = both(
            "who resolved an incident",
            self.resolved_by_role,
            self.resolved_by_id,
        )?;
        Ok(Incident {
            number: self.number,
            kind: self.kind.0,
            state: self.state.0,
            shipment: self.shipment_number,
            refund: self.refund_number,
            payment: self.payment_number,
            amount: self.amount,
            create_time: self.create_time.0,
            cancellation: self.cancellation_number,
            resolve_time: self.resolve_time.map(|time| time.0),
            resolution: self.resolution.map(|resolution| resolution.0),
            resolved_by: resolved_by.map(|(role, id)| Actor { role: role.0, id }),
            note: self.note,
        })
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<IncidentRow>, DbError> {
    Ok(rows_of_orders!(conn, incidents, IncidentRow, keys))
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<IncidentRow>) -> Result<(), DbError> {
    change_rows!(writes, incidents, rows, [order_key, number] => [
        kind,
        state,
        shipment_number,
        refund_number,
        resolve_time,
        cancellation_number,
        resolution,
        resolved_by_role,
        resolved_by_id,
        note,
        payment_number,
        amount
    ]);
    Ok(())
}

impl ListQuery for IncidentFilter {
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery {
        let columns = [
            Some(Filter::eq("store_id", self.store.as_str())),
            self.state.map(|state| Filter::eq("state", state.name())),
            self.kind.map(|kind| Filter::eq("kind", kind.name())),
        ];
        let own = match self.view {
            View::Whole => None,
            View::Parcels => Some(Filter::any(
                "`shipments` WHERE `shipments`.`order_key` = `incidents`.`order_key` \
                 AND `shipments`.`number` = `incidents`.`shipment_number`",
                Filter::in_route(&self.scope),
            )),
        };
        let filters = columns.into_iter().flatten().chain(own).collect();
        let page = match self.order {
            Some(order) => PageQuery::of_order("incidents", order, filters),
            None => {
                PageQuery::by_index(Listed::Children("incidents"), "incidents_by_time", filters)
            }
        };
        page.within(&self.scope).after(after, limit)
    }
}
