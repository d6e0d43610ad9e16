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

/// Entries of an index that are looked through for one page.
pub const LOOKED_THROUGH_MAX: u16 = 5_000;

/// The orders that were found, and where the search ended that has not come to the end of the
/// index.
#[derive(Debug)]
pub struct Selected {
    pub found: Vec<ListPosition>,
    pub left_off: Option<ListPosition>,
}

/// So many orders behind a place, or as many as are among the next [`LOOKED_THROUGH_MAX`]: a page
/// of what few orders match would else be a walk over the whole history.
pub async fn select(
    conn: &mut Conn,
    query: &BulkQuery<'_>,
    after: Option<ListPosition>,
    limit: u16,
) -> Result<Selected, DbError> {
    let end = query.end(after).load(conn).await?.into_iter().next();
    let found = query.page(after, end, limit).load(conn).await?;
    let is_full = found.len() >= usize::from(limit);
    let left_off = if is_full { found.last().copied() } else { end };
    Ok(Selected { found, left_off })
}

/// The way to the orders of a bulk cancellation: a table, an index of it, and what the index is cut
/// by.
struct Way {
    table: &'static str,
    index: &'static str,
    filters: Vec<Filter>,
}

impl Way {
    fn listed(&self) -> Listed {
        match self.table {
            "orders" => Listed::Orders,
            table => Listed::Mentions {
                table,
                number: None,
            },
        }
    }
}

impl BulkQuery<'_> {
    /// A SKU, a warehouse where neither seller nor country is given, and else what leads to a list
    /// of orders.
    fn way(&self) -> Way {
        let BulkFilter { sku, warehouse, .. } = self.filter;
        let by_seller_or_country = self.filter.seller.is_some() || self.filter.country.is_some();
        let (table, index) = match (sku, warehouse) {
            (Some(_), _) => ("order_lines", "order_lines_by_sku"),
            (None, Some(_)) if !by_seller_or_country => ("shipments", "shipments_by_warehouse"),
            (None, _) => ("orders", index(&self.orders())),
        };
        let mut filters = vec![Filter::eq("store_id", self.store.as_str())];
        filters.extend(
            match table {
                "order_lines" => vec![Filter::given("sku", sku)],
                "shipments" => vec![Filter::given("warehouse_id", warehouse)],
                _ => match index {
                    "orders_by_seller" => vec![Filter::given("seller_id", &self.filter.seller)],
                    _ => vec![
                        Filter::given("country_code", &self.filter.country),
                        Filter::given("city", &self.filter.city),
                    ],
                },
            }
            .into_iter()
            .flatten(),
        );
        // A line has the time of its order, so the time cuts out of the index by SKU too. A
        // shipment that was split off has a time of its own.
        if table != "shipments" {
            filters.extend(self.times());
        }
        Way {
            table,
            index,
            filters,
        }
    }

    /// The last of the next [`LOOKED_THROUGH_MAX`] entries of the index, where there are as many.
    pub fn end(&self, after: Option<ListPosition>) -> PageQuery {
        let way = self.way();
        PageQuery::by_index(way.listed(), way.index, way.filters)
            .after(after, 1)
            .behind(LOOKED_THROUGH_MAX - 1)
    }

    /// So many orders behind a place, as far as to where the search ends.
    pub fn page(
        &self,
        after: Option<ListPosition>,
        end: Option<ListPosition>,
        limit: u16,
    ) -> PageQuery {
        let way = self.way();
        let listed = way.listed();
        let Way {
            table,
            index,
            mut filters,
        } = way;
        match self.filter.warehouse {
            Some(_) if table == "shipments" => filters.extend(self.inside()),
            Some(_) => filters.push(Filter::any(&belongs_to("shipments", table), self.inside())),
            None => {}
        }
        match table {
            "orders" => filters.extend(self.columns()),
            table => {
                let mut columns = self.columns();
                if table == "shipments" {
                    columns.extend(self.times());
                }
                filters.push(Filter::any(&belongs_to("orders", table), columns));
            }
        }
        filters.extend(end.into_iter().flat_map(as_far_as));
        PageQuery::by_index(listed, index, filters)
            .within(self.scope)
            .after(after, limit)
    }
}

/// Not behind this place. The first condition is a range of the index by itself.
fn as_far_as(end: ListPosition) -> [Filter; 2] {
    let (time, key) = (Value::from(end.create_time), Value::from(end.order_key));
    [
        Filter::new("`create_time` >= ?", end.create_time),
        Filter::with("(`create_time` > ? OR `order_key` >= ?)", vec![time, key]),
    ]
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
