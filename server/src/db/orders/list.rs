//! The list of a store's orders.

use belay_domain::ids::OrderKey;
use belay_domain::query::{OrderFilter, Place};

use crate::db::pages::{Filter, ListQuery, Listed, PageQuery};

impl ListQuery for OrderFilter {
    /// A buyer, a SKU, a seller, a destination: the first of these that is given leads to the page,
    /// with the state where there is an index for both, and the others filter. A time range cuts
    /// out of any of them.
    fn page(&self, after: Option<Place>, limit: u16) -> PageQuery {
        let mut filters = vec![Filter::eq("store_id", self.store.as_str())];
        // Not behind what was created at this instant with the least key.
        let before = self.create_time_before.map(|time| Place {
            create_time: time,
            order_key: OrderKey([0; 16]),
            number: 0,
        });
        let position = |place: &Place| (place.create_time, place.order_key);
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
