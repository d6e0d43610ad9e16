//! Finding an order: by its id, by what people have in hand, or by what a list of orders can be
//! narrowed to. Not by an e-mail address: it would stand in the address of the page.

use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_proto::v1 as pb;
use belay_proto::v1::find_orders_request::By;
use jiff::Timestamp;
use jiff::civil::Date;
use maud::{Markup, html};
use prost_types::Timestamp as WireTime;
use serde::Deserialize;

use super::failure::{self, ErrorPage};
use super::visitor::Visitor;
use super::words::{self, word};
use super::{PAGE_ENTRIES_MAX, links, page};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    buyer: String,
    seller: String,
    state: String,
    sku: String,
    country: String,
    city: String,
    /// Days in UTC; the last one is part of it.
    from: String,
    to: String,
    page: String,
    /// What is looked for instead: a tracking number, or how the id begins.
    tracking: String,
    begins: String,
}

impl Asked {
    /// What somebody has in hand.
    fn in_hand(&self) -> Option<By> {
        match (self.tracking.trim(), self.begins.trim()) {
            ("", "") => None,
            ("", begins) => Some(By::OrderIdPrefix(begins.to_owned())),
            (tracking, _) => Some(By::TrackingNumber(tracking.to_owned())),
        }
    }

    /// Without the page.
    fn filters(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("store", &self.store),
            ("buyer", &self.buyer),
            ("seller", &self.seller),
            ("state", &self.state),
            ("sku", &self.sku),
            ("country", &self.country),
            ("city", &self.city),
            ("from", &self.from),
            ("to", &self.to),
            ("tracking", &self.tracking),
            ("begins", &self.begins),
        ]
    }
}

const STATE: &str = "ORDER_STATE_";

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    if asked.store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let lists = visitor.may("OrderService/ListOrders");
    let found = if lists {
        find(&visitor, &asked).await?
    } else {
        pb::FindOrdersResponse::default()
    };
    let rows: Vec<Markup> = found.orders.iter().map(row).collect();
    let body = html! {
        h2 { "By its id" }
        form method="get" action=(links::ORDER) class="row" {
            (page::hidden("store", &asked.store))
            (page::field("id", "Id of the order, or of what it holds, such as A-1:c1", "text", ""))
            button class="primary" { "Show" }
        }
        @if lists {
            h2 { "By what is in hand" }
            form method="get" action=(links::FIND) class="grid" {
                (page::hidden("store", &asked.store))
                (page::field("tracking", "Tracking number, whole", "text", &asked.tracking))
                (page::field("begins", "How the id begins", "text", &asked.begins))
                div class="field" { button { "Find" } }
            }
            @if found.ids_left_out {
                p { "More ids begin so than are looked at: a longer beginning finds the others." }
            }
            h2 { "By what it is" }
            (filters(&asked))
            (page::table("Orders, the latest first", COLUMNS, &rows))
            (page::more(links::FIND, &asked.filters(), ("page", &found.next_page_token)))
        } @else {
            p { "Your role opens orders by their ids, and lists none." }
        }
    };
    let looking = visitor.looking(&asked.store, links::FIND);
    Ok(page::page("Orders", Some(looking), &body))
}

/// Finds by what somebody has in hand, before all filters.
async fn find(visitor: &Visitor, asked: &Asked) -> Result<pb::FindOrdersResponse, ErrorPage> {
    let mut orders = visitor.orders();
    let Some(by) = asked.in_hand() else {
        let listed = orders.list_orders(request(asked)?).await?.into_inner();
        return Ok(pb::FindOrdersResponse {
            orders: listed.orders,
            next_page_token: listed.next_page_token,
            ids_left_out: false,
        });
    };
    let request = pb::FindOrdersRequest {
        store_id: asked.store.clone(),
        page_size: PAGE_ENTRIES_MAX,
        page_token: asked.page.clone(),
        by: Some(by),
    };
    Ok(orders.find_orders(request).await?.into_inner())
}

fn request(asked: &Asked) -> Result<pb::ListOrdersRequest, ErrorPage> {
    let state = match asked.state.as_str() {
        "" => pb::OrderState::Unspecified,
        name => pb::OrderState::from_str_name(&format!("{STATE}{name}"))
            .ok_or_else(|| failure::malformed(format!("There is no state {name:?}.")))?,
    };
    Ok(pb::ListOrdersRequest {
        store_id: asked.store.clone(),
        page_size: PAGE_ENTRIES_MAX,
        page_token: asked.page.clone(),
        buyer_id: asked.buyer.trim().to_owned(),
        seller_id: asked.seller.trim().to_owned(),
        state: state.into(),
        create_time_from: day(&asked.from)?.map(begin).transpose()?,
        create_time_before: day(&asked.to)?.map(end).transpose()?,
        sku: asked.sku.trim().to_owned(),
        destination_country: asked.country.trim().to_owned(),
        destination_city: asked.city.trim().to_owned(),
    })
}

fn day(text: &str) -> Result<Option<Date>, ErrorPage> {
    match text.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| no_day(text)),
    }
}

fn no_day(text: impl std::fmt::Display) -> ErrorPage {
    failure::malformed(format!(
        "A day is written as 2026-03-31, and {text} is none."
    ))
}

fn begin(day: Date) -> Result<WireTime, ErrorPage> {
    let at: Timestamp = format!("{day}T00:00:00Z")
        .parse()
        .map_err(|_| no_day(day))?;
    Ok(belay_wire::values::time(at))
}

fn end(day: Date) -> Result<WireTime, ErrorPage> {
    begin(day.tomorrow().map_err(|_| no_day(day))?)
}

fn filters(asked: &Asked) -> Markup {
    let states = (1..).map_while(|number| pb::OrderState::try_from(number).ok());
    let any = (String::new(), "any".to_owned());
    let states = states.map(|state| {
        let name = state.as_str_name();
        let value = name.strip_prefix(STATE).unwrap_or(name);
        (value.to_owned(), word(name, STATE))
    });
    let states: Vec<(String, String)> = std::iter::once(any).chain(states).collect();
    html! {
        form method="get" action=(links::FIND) class="grid" {
            (page::hidden("store", &asked.store))
            (page::field("buyer", "Buyer id", "text", &asked.buyer))
            (page::field("seller", "Seller", "text", &asked.seller))
            (page::choice("state", "State", &states, &asked.state))
            (page::field("sku", "SKU", "text", &asked.sku))
            (page::field("country", "To country, such as DE", "text", &asked.country))
            (page::field("city", "To city", "text", &asked.city))
            (page::field("from", "Placed from (UTC)", "date", &asked.from))
            (page::field("to", "Placed up to (UTC)", "date", &asked.to))
            div class="field" { button { "Find" } }
        }
    }
}

const COLUMNS: &[&str] = &[
    "Order",
    "State",
    "Shown as",
    "Cancellable",
    "Seller",
    "To",
    "#Total",
    "Placed",
];

fn row(order: &pb::Order) -> Markup {
    let state = word(order.state().as_str_name(), STATE);
    let to = order.destination.as_ref();
    let total = order
        .totals
        .as_ref()
        .and_then(|totals| totals.total.as_ref());
    html! {
        th scope="row" {
            a href=(links::order(&order.store_id, &order.order_id)) { (order.order_id) }
        }
        td { (words::chip(&state)) }
        td { (words::or_nothing(&order.display_state)) }
        td { (words::yes_or_no(order.cancellable_now)) }
        td { (order.seller_id) }
        td { (to.map_or(words::NOTHING, |to| words::or_nothing(&to.country_code))) }
        td class="number" { (words::money(total)) }
        td { (words::time(order.create_time.as_ref())) }
    }
}
