//! Shipments. Read with their order; written by `aggregate` alone. The list may run anywhere.

use std::iter;

use belay_domain::ids::{CarrierId, ExternalId, OrderKey, SellerId, StoreId, WarehouseId};
use belay_domain::order::Order;
use belay_domain::query::{ListPosition, ShipmentFilter};
use belay_domain::shipment::{
    CustomsFlag, Hold, Intercept, InterceptState, Shipment, Stage, Whereabouts,
};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, At, Bytes, Json, Name, Units, both, filled};
use super::error::DbError;
use super::pages::{Filter, ListQuery, Listed, PageQuery};
use super::schema::shipments;
use super::statement::{self, rows_of_orders};
use super::writes::{Changed, Writes, change_rows};

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = shipments, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct ShipmentRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    pub(super) number: u32,
    store_id: Name<StoreId>,
    seller_id: Name<SellerId>,
    warehouse_id: Name<WarehouseId>,
    carrier_id: Name<CarrierId>,
    stage: Name<Stage>,
    fence: u32,
    shipping: i64,
    shipping_tax: i64,
    tracking_number: Option<Name<ExternalId>>,
    create_time: At,
    update_time: At,
    dispatch_time: Option<At>,
    deliver_time: Option<At>,
    last_tracking_time: Option<At>,
    carrier_event_ids: Json<Vec<ExternalId>>,
    prepare_by: Option<At>,
    preparation_overdue: bool,
    hold: Option<Json<Hold>>,
    intercept_state: Option<Name<InterceptState>>,
    intercept_request_time: Option<At>,
    intercept_update_time: Option<At>,
    customs_flag: Option<Json<CustomsFlag>>,
    split_from: Option<u32>,
    /// `None` where nothing has left, and where it was not kept when it came to pass.
    whereabouts: Option<Json<Whereabouts>>,
    /// Of every row; the column may be NULL, for it was added to tables that had rows.
    units: Option<Units>,
}

impl statement::Row for ShipmentRow {
    fn bytes(&self) -> usize {
        let note = self.hold.as_ref().and_then(|hold| hold.0.note.as_ref());
        let whereabouts = self.whereabouts.as_ref().map_or(0, |Json(kept)| {
            let ranges = kept.left.ranges().len() + kept.home.ranges().len();
            let accepted = kept
                .accepted
                .iter()
                .map(|accepted| 64 + accepted.units.ranges().len() * 64);
            let ids = kept.receipt_ids.len() * 132 + kept.scans.len() * 80;
            64 + ranges * 64 + ids + accepted.sum::<usize>()
        });
        let note = note.map_or(0, |note| note.len() * 2);
        let units = self.units.as_ref().map_or(0, Units::bytes);
        1_536 + self.carrier_event_ids.0.len() * 132 + note + whereabouts + units
    }
}

impl ShipmentRow {
    pub(super) fn of(key: OrderKey, order: &Order, shipment: &Shipment) -> Self {
        Self {
            order_key: key.into(),
            number: shipment.number,
            store_id: Name(order.store.clone()),
            seller_id: Name(order.seller.clone()),
            warehouse_id: Name(shipment.warehouse.clone()),
            carrier_id: Name(shipment.carrier.clone()),
            stage: Name(shipment.stage),
            fence: shipment.fence,
            shipping: shipment.shipping,
            shipping_tax: shipment.shipping_tax,
            tracking_number: shipment.tracking_number.clone().map(Name),
            create_time: At(order.create_time),
            update_time: At(shipment.update_time),
            dispatch_time: shipment.dispatch_time.map(At),
            deliver_time: shipment.deliver_time.map(At),
            last_tracking_time: shipment.last_tracking_time.map(At),
            carrier_event_ids: Json(shipment.carrier_event_ids.clone()),
            prepare_by: shipment.prepare_by.map(At),
            preparation_overdue: shipment.preparation_overdue,
            hold: shipment.hold.clone().map(Json),
            intercept_state: shipment.intercept.map(|intercept| Name(intercept.state)),
            intercept_request_time: shipment
                .intercept
                .map(|intercept| At(intercept.request_time)),
            intercept_update_time: shipment
                .intercept
                .map(|intercept| At(intercept.update_time)),
            customs_flag: shipment.customs_flag.clone().map(Json),
            split_from: shipment.split_from,
            whereabouts: (!shipment.whereabouts.left.is_empty())
                .then(|| Json(shipment.whereabouts.clone())),
            units: Some(Units(shipment.units.clone())),
        }
    }

    pub(super) fn into_shipment(self) -> Result<Shipment, DbError> {
        let times = both(
            "an intercept",
            self.intercept_request_time,
            self.intercept_update_time,
        )?;
        let intercept =
            both("an intercept", self.intercept_state, times)?.map(|(state, (request, update))| {
                Intercept {
                    state: state.0,
                    request_time: request.0,
                    update_time: update.0,
                }
            });
        Ok(Shipment {
            number: self.number,
            warehouse: self.warehouse_id.0,
            carrier: self.carrier_id.0,
            stage: self.stage.0,
            fence: self.fence,
            units: filled("the units of a shipment", self.units)?.0,
            shipping: self.shipping,
            shipping_tax: self.shipping_tax,
            tracking_number: self.tracking_number.map(|number| number.0),
            dispatch_time: self.dispatch_time.map(|time| time.0),
            deliver_time: self.deliver_time.map(|time| time.0),
            update_time: self.update_time.0,
            last_tracking_time: self.last_tracking_time.map(|time| time.0),
            carrier_event_ids: self.carrier_event_ids.0,
            prepare_by: self.prepare_by.map(|time| time.0),
            preparation_overdue: self.preparation_overdue,
            hold: self.hold.map(|hold| hold.0),
            intercept,
            customs_flag: self.customs_flag.map(|flag| flag.0),
            split_from: self.split_from,
            whereabouts: self
                .whereabouts
                .map(|whereabouts| whereabouts.0)
                .unwrap_or_default(),
        })
    }
}

pub(super) async fn read(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<ShipmentRow>, DbError> {
    Ok(rows_of_orders!(conn, shipments, ShipmentRow, keys))
}

pub(super) fn write(writes: &mut Writes, rows: &Changed<ShipmentRow>) -> Result<(), DbError> {
    change_rows!(writes, shipments, rows, [order_key, number] => [
        warehouse_id,
        carrier_id,
        stage,
        fence,
        shipping,
        shipping_tax,
        tracking_number,
        update_time,
        dispatch_time,
        deliver_time,
        last_tracking_time,
        carrier_event_ids,
        prepare_by,
        preparation_overdue,
        hold,
        intercept_state,
        intercept_request_time,
        intercept_update_time,
        customs_flag,
        split_from,
        whereabouts,
        units
    ]);
    Ok(())
}

impl ListQuery for ShipmentFilter {
    /// An order, a warehouse, a carrier, a seller: the first of these that is given leads to the
    /// page, with the stage, and the others filter.
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery {
        let columns = [
            Filter::given("warehouse_id", &self.warehouse),
            Filter::given("carrier_id", &self.carrier),
            Filter::given("seller_id", &self.seller),
            self.stage.map(|stage| Filter::eq("stage", stage.name())),
            self.prepare_by_before
                .map(|before| Filter::new("`prepare_by` < ?", before)),
            self.prepare_by_before
                .map(|_| Filter::eq("stage", Stage::Planned.name())),
        ];
        let store = Filter::eq("store_id", self.store.as_str());
        let filters = iter::once(store)
            .chain(columns.into_iter().flatten())
            .collect();
        let page = match self.order {
            Some(order) => PageQuery::of_order("shipments", order, filters),
            None => PageQuery::by_index(Listed::Children("shipments"), index(self), filters),
        };
        page.within(&self.scope).after(after, limit)
    }
}

fn index(filter: &ShipmentFilter) -> &'static str {
    match (
        &filter.warehouse,
        &filter.carrier,
        &filter.seller,
        filter
            .stage
            .or(filter.prepare_by_before.map(|_| Stage::Planned)),
    ) {
        (Some(_), _, _, None) => "shipments_by_warehouse",
        (Some(_), _, _, Some(_)) => "shipments_by_warehouse_stage",
        (None, Some(_), _, None) => "shipments_by_carrier",
        (None, Some(_), _, Some(_)) => "shipments_by_carrier_stage",
        (None, None, Some(_), None) => "shipments_by_seller",
        (None, None, Some(_), Some(_)) => "shipments_by_seller_stage",
        (None, None, None, Some(_)) => "shipments_by_stage",
        (None, None, None, None) => "shipments_by_time",
    }
}
