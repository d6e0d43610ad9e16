//! The first page: the stores that the caller may see, or a field for the id of one.

use axum::extract::Query;
use axum::response::Response;
use belay_domain::scope::IdFilter;
use belay_proto::v1 as pb;
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::ErrorPage;
use super::links::link;
use super::visitor::Visitor;
use super::{PAGE_ENTRIES_MAX, links, page, words};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    page: String,
}

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    let (stores, next) = if visitor.may("StoreService/ListStores") {
        let request = pb::ListStoresRequest {
            page_size: PAGE_ENTRIES_MAX,
            page_token: asked.page,
        };
        let found = visitor.stores().list_stores(request).await?.into_inner();
        let row = |store: &pb::Store| {
            html! {
                th scope="row" { (open(&store.store_id)) }
                td { (words::or_nothing(&store.display_name)) }
                td { (store.time_zone) }
                td class="number" { (store.active_policy_version) }
            }
        };
        let rows: Vec<Markup> = found.stores.iter().map(row).collect();
        (rows, found.next_page_token)
    } else {
        (own(&visitor), String::new())
    };
    let columns = ["Store", "Name", "Time zone", "#Policy version"];
    let body = html! {
        @if !stores.is_empty() { (page::table("Stores", &columns, &stores)) }
        (page::more(links::HOME, &[], ("page", &next)))
        h2 { "Open a store" }
        form method="get" action=(links::FIND) class="row" {
            (page::field("store", "Store id", "text", ""))
            button { "Open" }
        }
    };
    let looking = visitor.looking("", links::HOME);
    Ok(page::page("Stores", Some(looking), &body))
}

fn open(store: &str) -> Markup {
    html! { a href=(link(links::FIND, &[("store", store)])) { (store) } }
}

/// The stores that the scope names, of a role that may not list any.
fn own(visitor: &Visitor) -> Vec<Markup> {
    let IdFilter::Only(stores) = &visitor.caller.scope.stores else {
        return Vec::new();
    };
    let row = |store: &str| {
        let nothing = words::NOTHING;
        html! {
            th scope="row" { (open(store)) }
            td { (nothing) } td { (nothing) } td class="number" { (nothing) }
        }
    };
    stores.iter().map(|store| row(store.as_str())).collect()
}
