//! The page of who is awaited: the cancellations whose open gates wait for a party, and by when.

use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_domain::actor::Role;
use belay_proto::v1 as pb;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::{self, ErrorPage};
use super::visitor::Visitor;
use super::words::{self, word};
use super::{PAGE_ENTRIES_MAX, links, page, parts};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    party: String,
    page: String,
}

const PARTY: &str = "PARTY_";

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    if asked.store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let party = match asked.party.as_str() {
        "" => party_of(visitor.caller.actor.role),
        name => pb::Party::from_str_name(&format!("{PARTY}{name}"))
            .ok_or_else(|| failure::malformed(format!("There is no party {name:?}.")))?,
    };
    let request = pb::ListCancellationsRequest {
        store_id: asked.store.clone(),
        page_size: PAGE_ENTRIES_MAX,
        page_token: asked.page.clone(),
        awaiting: party.into(),
        ..Default::default()
    };
    let found = visitor.cancellations().list_cancellations(request).await?;
    let mut found = found.into_inner();
    let request = pb::SummarizeActionsRequest {
        store_id: asked.store.clone(),
        party: party.into(),
        ..Default::default()
    };
    let summary = visitor.cancellations().summarize_actions(request).await?;
    let summary = summary.into_inner();
    let now = visitor.console().now().await?;
    // Of one page, whoever has least time left is first.
    found
        .cancellations
        .sort_by_key(|of| (parts::nearest(of).is_none(), parts::nearest(of)));
    let rows: Vec<Markup> = found
        .cancellations
        .iter()
        .map(|of| row(&asked.store, of, now))
        .collect();
    let chosen = party.as_str_name();
    let chosen = chosen.strip_prefix(PARTY).unwrap_or(chosen);
    let columns = [
        "Cancellation",
        "Answer by",
        "Waits for",
        "Reason",
        "Asked by",
        "#Refund",
        "Asked",
    ];
    let body = html! {
        (form(&asked.store, chosen))
        (page::facts(&[
            ("Requested, and open", html! { (count(summary.requested)) }),
            ("Nearest deadline", words::deadline(summary.nearest_deadline.as_ref(), now)),
        ]))
        (page::table("Cancellations that wait", &columns, &rows))
        (page::more(
            links::AWAITING,
            &[("store", &asked.store), ("party", chosen)],
            ("page", &found.next_page_token),
        ))
    };
    let looking = visitor.looking(&asked.store, links::AWAITING);
    Ok(page::page("What awaits whom", Some(looking), &body))
}

/// Whoever answers gates sees first what awaits it.
fn party_of(role: Role) -> pb::Party {
    match role {
        Role::Seller => pb::Party::Seller,
        Role::Warehouse => pb::Party::Warehouse,
        Role::Carrier => pb::Party::Carrier,
        Role::Storefront
        | Role::Payments
        | Role::Support
        | Role::Operator
        | Role::Auditor
        | Role::Buyer
        | Role::System => pb::Party::Support,
    }
}

fn form(store: &str, chosen: &str) -> Markup {
    let parties = (1..).map_while(|number| pb::Party::try_from(number).ok());
    let parties = parties.map(|party| {
        let name = party.as_str_name();
        let value = name.strip_prefix(PARTY).unwrap_or(name);
        (value.to_owned(), word(name, PARTY))
    });
    let parties: Vec<(String, String)> = parties.collect();
    html! {
        form method="get" action=(links::AWAITING) class="row" {
            (page::hidden("store", store))
            (page::choice("party", "Party", &parties, chosen))
            button { "Show" }
        }
    }
}

fn count(count: Option<pb::BoundedCount>) -> String {
    match count {
        None => words::NOTHING.to_owned(),
        Some(count) if count.at_least => format!("{} or more", count.value),
        Some(count) => count.value.to_string(),
    }
}

fn row(store: &str, of: &pb::Cancellation, now: Timestamp) -> Markup {
    let nearest = parts::nearest(of).map(belay_wire::values::time);
    let open = of.parts.iter().flat_map(|part| &part.gates);
    let open: Vec<pb::Gate> = open
        .filter(|gate| gate.state() == pb::GateState::Open)
        .cloned()
        .collect();
    html! {
        th scope="row" { a href=(links::order(store, &of.order_id)) { (of.cancellation_id) } }
        td { (words::deadline(nearest.as_ref(), now)) }
        td { (parts::gates(&open, now)) }
        td { (words::or_nothing(&of.reason)) }
        td { (words::actor(of.requester.as_ref())) }
        td class="number" { (words::refund(of.expected_refund.as_ref())) }
        td { (words::time(of.create_time.as_ref())) }
    }
}
