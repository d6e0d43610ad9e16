//! Refunds: those in one state, and those that are overdue whatever their state.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_proto::v1 as pb;
use maud::html;
use serde::Deserialize;

use super::failure::{self, ErrorPage};
use super::visitor::Visitor;
use super::words::word;
use super::{PAGE_ENTRIES_MAX, links, page, parts};

/// Refunds of one state that are looked at for overdue ones: whether one is overdue is not indexed.
pub const OVERDUE_LOOK_MAX: usize = 2_000;
/// A page of those.
const LOOK_PAGE: i32 = 500;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    /// A state, or `OVERDUE`; those that are due where nothing is said.
    which: String,
    page: String,
}

const STATE: &str = "REFUND_STATE_";
const OVERDUE: &str = "OVERDUE";
const DUE: &str = "DUE";
/// States in which a refund may be overdue: those that have not come to an end.
const UNSETTLED: [pb::RefundState; 5] = [
    pb::RefundState::Due,
    pb::RefundState::Blocked,
    pb::RefundState::Submitted,
    pb::RefundState::Failed,
    pb::RefundState::Unknown,
];

/// The refunds that there are to show.
#[derive(Default)]
struct Found {
    refunds: Vec<pb::Refund>,
    next: String,
    is_cut: bool,
}

pub(super) async fn page(
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    if asked.store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let which = match asked.which.as_str() {
        "" => DUE,
        which => which,
    };
    let found = if which == OVERDUE {
        overdue(&visitor, &asked.store).await?
    } else {
        let state = pb::RefundState::from_str_name(&format!("{STATE}{which}"));
        let state =
            state.ok_or_else(|| failure::malformed(format!("There is no state {which:?}.")))?;
        in_state(&visitor, &asked, state).await?
    };
    let now = visitor.console().now().await?;
    let rows = parts::refunds(&found.refunds, Some(&asked.store), now);
    let states = (1..).map_while(|number| pb::RefundState::try_from(number).ok());
    let states = states.map(|state| {
        let name = state.as_str_name();
        let value = name.strip_prefix(STATE).unwrap_or(name);
        (value.to_owned(), word(name, STATE))
    });
    let overdue = (OVERDUE.to_owned(), "overdue".to_owned());
    let choices: Vec<(String, String)> = std::iter::once(overdue).chain(states).collect();
    let body = html! {
        form method="get" action=(links::REFUNDS) class="row" {
            (page::hidden("store", &asked.store))
            (page::choice("which", "Which", &choices, which))
            button { "Show" }
        }
        @if found.is_cut {
            p class="alert" {
                "Of a state the latest " (OVERDUE_LOOK_MAX) " refunds were looked at, and there are more."
            }
        }
        (page::table("Refunds", parts::REFUNDS, &rows))
        (page::more(
            links::REFUNDS,
            &[("store", &asked.store), ("which", which)],
            ("page", &found.next),
        ))
    };
    let looking = visitor.looking(&asked.store, links::REFUNDS);
    Ok(page::page("Refunds", Some(looking), &body))
}

async fn in_state(
    visitor: &Visitor,
    asked: &Asked,
    state: pb::RefundState,
) -> Result<Found, ErrorPage> {
    let request = pb::ListRefundsRequest {
        store_id: asked.store.clone(),
        page_size: PAGE_ENTRIES_MAX,
        page_token: asked.page.clone(),
        state: state.into(),
        ..Default::default()
    };
    let found = visitor.refunds().list_refunds(request).await?.into_inner();
    Ok(Found {
        refunds: found.refunds,
        next: found.next_page_token,
        is_cut: false,
    })
}

/// All that are overdue, whoever has waited longest first.
async fn overdue(visitor: &Visitor, store: &str) -> Result<Found, ErrorPage> {
    let mut all = Found::default();
    // One that moves on meanwhile is in the lists of two states.
    let mut refunds = BTreeMap::new();
    for state in UNSETTLED {
        let mut request = pb::ListRefundsRequest {
            store_id: store.to_owned(),
            page_size: LOOK_PAGE,
            state: state.into(),
            ..Default::default()
        };
        let mut looked = 0;
        loop {
            let found = visitor
                .refunds()
                .list_refunds(request.clone())
                .await?
                .into_inner();
            looked += found.refunds.len();
            let overdue = found.refunds.into_iter().filter(|refund| refund.overdue);
            refunds.extend(overdue.map(|refund| (refund.refund_id.clone(), refund)));
            request.page_token = found.next_page_token;
            match after(looked, &request.page_token) {
                After::More => {}
                After::All => break,
                After::Cut => {
                    all.is_cut = true;
                    break;
                }
            }
        }
    }
    let due = |refund: &pb::Refund| refund.due_by.map(|by| (by.seconds, by.nanos));
    all.refunds = refunds.into_values().collect();
    all.refunds.sort_by_key(due);
    Ok(all)
}

/// The rest behind a page of refunds that are looked at.
#[derive(Debug, PartialEq, Eq)]
enum After {
    More,
    /// There are no more of this state.
    All,
    /// There are, and so many were looked at.
    Cut,
}

fn after(looked: usize, next: &str) -> After {
    match next {
        "" => After::All,
        _ if looked >= OVERDUE_LOOK_MAX => After::Cut,
        _ => After::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_refunds_of_a_state_are_looked_at() {
        assert_eq!(after(0, ""), After::All);
        assert_eq!(after(OVERDUE_LOOK_MAX, ""), After::All);
        assert_eq!(after(OVERDUE_LOOK_MAX - 1, "next"), After::More);
        assert_eq!(after(OVERDUE_LOOK_MAX, "next"), After::Cut);
    }
}
