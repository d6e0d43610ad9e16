//! The live tail of the feed: a page that goes on. Its rows are sent as events come, so a browser
//! shows them without a script; it ends by itself, and says how to go on.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Redirect, Response};
use belay_proto::v1 as pb;
use belay_proto::v1::watch_events_request::Begin;
use futures_util::{Stream, StreamExt as _, stream};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tonic::Streaming;

use super::failure::{self, ErrorPage};
use super::links::link;
use super::visitor::Visitor;
use super::{TAILS_MAX, links, page, timeline};
use crate::admin_port::Patience;

/// Events that one page shows before it ends: a browser keeps them all.
pub const TAIL_EVENTS_MAX: usize = 1_000;
/// How long a page goes on.
const TAIL_MAX: Duration = Duration::from_secs(600);
/// What whoever reads slowly has beyond that for the end of it.
const TAIL_MARGIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    store: String,
    /// Only of this order.
    order: String,
    /// Where it goes on; with what comes next, where nothing is said.
    resume: String,
}

pub(super) async fn page(
    visitor: Visitor,
    Extension(patience): Extension<Patience>,
    Query(asked): Query<Asked>,
) -> Result<Response, ErrorPage> {
    if asked.store.is_empty() {
        return Ok(Redirect::to(links::HOME).into_response());
    }
    let place = visitor.console().0.tails.clone().try_acquire_owned();
    let place = place.map_err(|_| {
        failure::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many look",
            format!("The feed is shown {TAILS_MAX} times at once. Close a page that shows it."),
        )
    })?;
    let begin = match asked.resume.as_str() {
        "" => Begin::Start(pb::FeedStart::Now.into()),
        token => Begin::ResumeToken(token.to_owned()),
    };
    let request = pb::WatchEventsRequest {
        filter: Some(pb::EventFilter {
            store_id: asked.store.clone(),
            order_id: asked.order.trim().to_owned(),
            ..Default::default()
        }),
        begin: Some(begin),
    };
    let events = visitor.events().watch_events(request).await?.into_inner();
    patience.end_after(TAIL_MAX + TAIL_MARGIN);
    let looking = visitor.looking(&asked.store, links::FEED);
    let before = html! { (page::beginning("Feed", Some(looking))) (before(&asked)) };
    let tail = Tail {
        visitor,
        resume: asked.resume.clone(),
        asked,
        events,
        shown: 0,
        until: Instant::now() + TAIL_MAX,
        _place: place,
    };
    let pieces = stream::once(std::future::ready(before.into_string()))
        .chain(rows(tail))
        .map(Ok::<_, Infallible>);
    Ok(page::with_html(StatusCode::OK, Body::from_stream(pieces)))
}

/// A page that goes on.
struct Tail {
    visitor: Visitor,
    asked: Asked,
    events: Streaming<pb::WatchEventsResponse>,
    shown: usize,
    /// After the last event that is shown.
    resume: String,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl Tail {
    /// What comes next, and whether it is the last.
    async fn next(&mut self) -> (String, bool) {
        if self.shown >= TAIL_EVENTS_MAX {
            return (self.end("So many events are enough for one page."), true);
        }
        let next = tokio::time::timeout_at(self.until, self.events.message()).await;
        match next {
            Err(_) => (self.end("The page has gone on long enough."), true),
            Ok(Ok(None)) => (self.end("The server stops."), true),
            Ok(Err(status)) => (self.end(&ErrorPage::from(status).message), true),
            Ok(Ok(Some(message))) => (self.message(message), false),
        }
    }

    fn message(&mut self, message: pb::WatchEventsResponse) -> String {
        self.shown += message.events.len();
        if !message.resume_token.is_empty() {
            self.resume = message.resume_token;
        }
        let facts = self.visitor.facts();
        let rows = message
            .events
            .iter()
            .map(|event| timeline::row(facts, event, true));
        let rows = html! { @for row in rows { tr { (row) } } }.into_string();
        if rows.is_empty() {
            // A browser that has gone is found out by what is sent to it.
            return "\n".to_owned();
        }
        rows
    }

    fn end(&self, why: &str) -> String {
        let asked = [
            ("store", self.asked.store.as_str()),
            ("order", self.asked.order.as_str()),
            ("resume", self.resume.as_str()),
        ];
        let end = html! {
            (maud::PreEscaped("</tbody></table></div></div>"))
            p class="alert" role="status" {
                (why) " " a href=(link(links::FEED, &asked)) { "Go on from here" } "."
            }
            (page::end())
        };
        end.into_string()
    }
}

fn rows(tail: Tail) -> impl Stream<Item = String> {
    stream::unfold(Some(tail), async |tail| {
        let mut tail = tail?;
        let (piece, is_last) = tail.next().await;
        Some((piece, (!is_last).then_some(tail)))
    })
}

/// Up to the rows. The newest is at the end, and the region stays there as it grows.
fn before(asked: &Asked) -> Markup {
    html! {
        form method="get" action=(links::FEED) class="row" {
            (page::hidden("store", &asked.store))
            (page::field("order", "Only of the order", "text", &asked.order))
            button { "Show" }
        }
        p class="note" {
            "Events appear as they come, the newest at the end. The page goes on for ten minutes."
        }
        (maud::PreEscaped(
            concat!(
                r#"<div class="tail" role="region" aria-label="Events" tabindex="0"><div><table>"#,
                "<caption>Events as they come</caption>"
            )
        ))
        thead { tr { @for column in timeline::FEED_COLUMNS { (page::heading(column)) } } }
        (maud::PreEscaped("<tbody>"))
    }
}
