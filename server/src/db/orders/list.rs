//! The list of a store's orders, and that of the orders of a bulk cancellation.

use belay_domain::bulk::BulkFilter;
use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::query::{ListPosition, OrderFilter};
use belay_domain::scope::Scope;
use belay_domain::shipment::Stage;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::Conn;
use crate::db::columns::{Bytes, Name};
use crate::db::error::DbError;
use crate::db::pages::{Filter, ListQuery, Listed, PageQuery, Value};
use crate::db::schema::orders;
use crate::db::statement::{KEYS_MAX, one_of};

impl ListQuery for OrderFilter {
    /// A buyer, a SKU, a seller, a destination: the first of these that is given leads to the page,
    /// with the state where there is an index for both, and the others filter. A time range cuts
    /// out of any of them.
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery {
        let mut filters = vec![Filter::eq("store_id", self.store.as_str())];
        // Not behind what was created at this instant with the least key.
        let before = self.create_time_before.map(|time| ListPosition {
            create_time: time,
            order_key: OrderKey([0; 16]),
            number: 0,
        });
        let position = |place: &ListPosition| (place.create_time, place.order_key);
        let after = before.into_iter().chain(after).min_by_key(position);
        filters.extend(
            self.create_time_from
                .map(|from| Filter::new("`create_time` >= ?", from)),
        );
        if let (None, Some(sku)) = (&self.buyer, &self.sku) {
            filters.push(Filter::eq("sku", sku.as_str()));
            let rest = columns(self);
            if !rest.is_empty() {
                filters.push(Filter::any(
                    "`orders` WHERE `orders`.`order_key` = `order_lines`.`order_key`",
                    rest,
                ));
            }
            let lines = Listed::Mentions {
                table: "order_lines",
                number: None,
            };
            return PageQuery::by_index(lines, "order_lines_by_sku", filters)
                .within(&self.scope)
                .after(after, limit);
        }
        filters.extend(columns(self));
        if let Some(sku) = &self.sku {
            let line = "`order_lines` WHERE `order_lines`.`order_key` = `orders`.`order_key`";
            filters.push(Filter::any(line, vec![Filter::eq("sku", sku.as_str())]));
        }
        PageQuery::by_index(Listed::Orders, index(self), filters)
            .within(&self.scope)
            .after(after, limit)
    }
}

/// What columns of the order itself must be.
fn columns(filter: &OrderFilter) -> Vec<Filter> {
    let columns = [
        Filter::given("buyer_id", &filter.buyer),
        Filter::given("seller_id", &filter.seller),
        filter.state.map(|state| Filter::eq("state", state.name())),
        Filter::given("country_code", &filter.country),
        Filter::given("city", &filter.city),
    ];
    columns.into_iter().flatten().collect()
}

fn index(filter: &OrderFilter) -> &'static str {
    match (&filter.buyer, &filter.seller, &filter.country, filter.state) {
        (Some(_), _, _, None) => "orders_by_buyer",
        (Some(_), _, _, Some(_)) => "orders_by_buyer_state",
        (None, Some(_), _, None) => "orders_by_seller",
        (None, Some(_), _, Some(_)) => "orders_by_seller_state",
        (None, None, Some(_), _) if filter.city.is_some() => "orders_by_city",
        (None, None, Some(_), _) => "orders_by_country",
        (None, None, None, Some(_)) => "orders_by_state",
        (None, None, None, None) => "orders_by_time",
    }
}

/// The orders of a store that a bulk cancellation is for.
#[derive(Debug, Clone)]
pub struct BulkQuery<'a> {
    pub store: &'a StoreId,
    /// Of who started it.
    pub scope: &'a Scope,
    pub filter: &'a BulkFilter,
}

/// Stages of a shipment that has not left.
const INSIDE: [Stage; 4] = [
    Stage::Unreleased,
    Stage::Planned,
    Stage::Preparing,
    Stage::Ready,
];

impl ListQuery for BulkQuery<'_> {
    /// A SKU, a warehouse where neither seller nor country is given, and else what leads to a list
    /// of orders.
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery {
        let BulkFilter { sku, warehouse, .. } = self.filter;
        let by_seller_or_country = self.filter.seller.is_some() || self.filter.country.is_some();
        let (listed, index) = match (sku, warehouse) {
            (Some(_), _) => ("order_lines", "order_lines_by_sku"),
            (None, Some(_)) if !by_seller_or_country => ("shipments", "shipments_by_warehouse"),
            (None, _) => ("orders", index(&self.orders())),
        };
        let mut filters = vec![Filter::eq("store_id", self.store.as_str())];
        filters.extend(sku.as_ref().map(|sku| Filter::eq("sku", sku.as_str())));
        // A line has the time of its order, so the time cuts out of the index by SKU too.
        if listed != "shipments" {
            filters.extend(self.times());
        }
        match warehouse {
            Some(_) if listed == "shipments" => filters.extend(self.inside()),
            Some(_) => filters.push(Filter::any(&belongs_to("shipments", listed), self.inside())),
            None => {}
        }
        let listed = match listed {
            "orders" => {
                filters.extend(self.columns());
                Listed::Orders
            }
            table => {
                let mut columns = self.columns();
                // A shipment that was split off has a time of its own.
                if table == "shipments" {
                    columns.extend(self.times());
                }
                filters.push(Filter::any(&belongs_to("orders", table), columns));
                Listed::Mentions {
                    table,
                    number: None,
                }
            }
        };
        PageQuery::by_index(listed, index, filters)
            .within(self.scope)
            .after(after, limit)
    }
}

impl BulkQuery<'_> {
    /// What is asked of the order itself, states apart.
    fn orders(&self) -> OrderFilter {
        OrderFilter {
            store: self.store.clone(),
            scope: self.scope.clone(),
            buyer: None,
            seller: self.filter.seller.clone(),
            state: None,
            sku: None,
            country: self.filter.country.clone(),
            city: self.filter.city.clone(),
            create_time_from: None,
            create_time_before: None,
        }
    }

    fn columns(&self) -> Vec<Filter> {
        let states = &self.filter.states;
        let marks = vec!["?"; states.len()].join(", ");
        let states = states.iter().map(|state| Value::from(state.name()));
        let state = Filter::with(&format!("`orders`.`state` IN ({marks})"), states.collect());
        columns(&self.orders()).into_iter().chain([state]).collect()
    }

    fn times(&self) -> Vec<Filter> {
        let time = |sql, at: Option<_>| at.map(|at| Filter::new(sql, at));
        let from = time("`create_time` >= ?", self.filter.create_time_from);
        let before = time("`create_time` < ?", self.filter.create_time_before);
        from.into_iter().chain(before).collect()
    }

    /// A shipment that is in the warehouse.
    fn inside(&self) -> Vec<Filter> {
        let warehouse = Filter::given("warehouse_id", &self.filter.warehouse);
        let marks = vec!["?"; INSIDE.len()].join(", ");
        let stages = INSIDE.map(|stage| Value::from(stage.name())).to_vec();
        let stage = Filter::with(&format!("`stage` IN ({marks})"), stages);
        warehouse.into_iter().chain([stage]).collect()
    }
}

/// The rows of `table` that belong to the same order as a row of `listed`.
fn belongs_to(table: &str, listed: &str) -> String {
    format!("`{table}` WHERE `{table}`.`order_key` = `{listed}`.`order_key`")
}

/// The ids of these orders.
pub async fn ids(conn: &mut Conn, keys: &[OrderKey]) -> Result<Vec<(OrderKey, OrderId)>, DbError> {
    let mut found = Vec::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_MAX) {
        let rows: Vec<(Bytes<16>, Name<OrderId>)> = orders::table
            .filter(one_of(orders::order_key, keys))
            .select((orders::order_key, orders::order_id))
            .load(conn)
            .await?;
        found.extend(rows.into_iter().map(|(key, order)| (key.into(), order.0)));
    }
    Ok(found)
}
