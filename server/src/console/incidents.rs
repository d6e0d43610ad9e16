//! Incidents: where facts contradict what was decided, and somebody has to look.

use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_proto::v1 as pb;
use maud::html;
use serde::Deserialize;

use super::failure::ErrorPage;
use super::visitor::Visitor;
use super::{PAGE_ENTRIES_MAX, links, page, parts};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    /// `all` shows those that are resolved as well.
    which: String,
    page: String,
}

const ALL: &str = "all";

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    if asked.store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let state = match asked.which.as_str() {
        ALL => pb::IncidentState::Unspecified,
        _ => pb::IncidentState::Open,
    };
    let request = pb::ListIncidentsRequest {
        store_id: asked.store.clone(),
        page_size: PAGE_ENTRIES_MAX,
        page_token: asked.page.clone(),
        state: state.into(),
        ..Default::default()
    };
    let found = visitor.cancellations().list_incidents(request).await?;
    let found = found.into_inner();
    let rows = parts::incidents(&found.incidents, Some(&asked.store));
    let choices = [("", "open"), (ALL, "all, resolved ones too")];
    let choices = choices.map(|(value, words)| (value.to_owned(), words.to_owned()));
    let body = html! {
        form method="get" action=(links::INCIDENTS) class="row" {
            (page::hidden("store", &asked.store))
            (page::choice("which", "Which", &choices, &asked.which))
            button { "Show" }
        }
        (page::table("Incidents, the latest first", parts::INCIDENTS, &rows))
        (page::more(
            links::INCIDENTS,
            &[("store", &asked.store), ("which", &asked.which)],
            ("page", &found.next_page_token),
        ))
    };
    let looking = visitor.looking(&asked.store, links::INCIDENTS);
    Ok(page::page("Incidents", Some(looking), &body))
}
