//! The frame of all pages: head, who looks, where one can go; and tables, lists of facts and forms
//! that look alike.

use axum::body::Body;
use axum::response::Response;
use belay_domain::scope::{Caller, IdFilter};
use belay_wire::auth::access;
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::links::{self, link};

pub(super) const STYLE_SHEET: &str = include_str!("style.css");

/// A look at a page: by whom, and at what.
#[derive(Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) caller: &'a Caller,
    /// Whether there is anything to leave: who comes through a proxy signs out there.
    pub(super) signs_out: bool,
    pub(super) store: &'a str,
    /// The address of the page, without what it is asked.
    pub(super) here: &'static str,
}

/// The pages of a store, each with the method without which there is nothing to see.
const PAGES: &[(&str, &str, &str)] = &[
    ("Orders", links::FIND, "OrderService/GetOrder"),
    (
        "Awaiting",
        links::AWAITING,
        "CancellationService/ListCancellations",
    ),
    (
        "Incidents",
        links::INCIDENTS,
        "CancellationService/ListIncidents",
    ),
    ("Refunds", links::REFUNDS, "RefundService/ListRefunds"),
    ("Policy", links::POLICY, "PolicyService/GetPolicy"),
    ("Feed", links::FEED, "EventService/WatchEvents"),
];

/// Whether a caller's role may call a method, such as `OrderService/ListOrders`: what it may not is
/// not offered.
pub(super) fn may(caller: &Caller, method: &str) -> bool {
    let access = access(&format!("/belay.v1.{method}"));
    access.is_ok_and(|access| access.roles.contains(&caller.actor.role))
}

/// A whole page.
pub(super) fn page(title: &str, looking: Option<Looking<'_>>, body: &Markup) -> Response {
    answer(StatusCode::OK, title, looking, body)
}

pub(super) fn answer(
    status: StatusCode,
    title: &str,
    looking: Option<Looking<'_>>,
    body: &Markup,
) -> Response {
    let page = html! {
        (PreEscaped(beginning(title, looking).into_string()))
        (body)
        (end())
    };
    with_html(status, Body::from(page.into_string()))
}

pub(super) fn with_html(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    response
}

/// Everything before what the page says. A page that lasts sends it first.
pub(super) fn beginning(title: &str, looking: Option<Looking<'_>>) -> Markup {
    let head = html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " – Belay" }
            link rel="stylesheet" href=(links::STYLE);
        }
    };
    let header = html! {
        a class="skip" href="#main" { "To the content" }
        header {
            a class="brand" href=(links::HOME) { "Belay" span { " console" } }
            @if let Some(looking) = looking {
                @if !looking.store.is_empty() { (navigation(looking)) }
                (identity(looking))
            }
        }
    };
    // Its end tags come later.
    html! {
        (DOCTYPE)
        (PreEscaped(r#"<html lang="en">"#))
        (head)
        (PreEscaped("<body>"))
        (header)
        (PreEscaped(r#"<main id="main">"#))
        h1 { (title) }
    }
}

pub(super) fn end() -> Markup {
    html! {
        (PreEscaped("</main>"))
        footer {
            p { "Read-only. Times are in UTC. Belay " (env!("CARGO_PKG_VERSION")) "." }
        }
        (PreEscaped("</body></html>"))
    }
}

fn navigation(looking: Looking<'_>) -> Markup {
    let pages = PAGES
        .iter()
        .filter(|(_, _, method)| may(looking.caller, method));
    html! {
        nav aria-label="Pages of the store" {
            span class="store" { (looking.store) }
            ul {
                @for (name, path, _) in pages {
                    li {
                        a href=(link(path, &[("store", looking.store)]))
                            aria-current=[(*path == looking.here).then_some("page")] { (name) }
                    }
                }
            }
        }
    }
}

fn identity(looking: Looking<'_>) -> Markup {
    let actor = &looking.caller.actor;
    html! {
        div class="identity" {
            span {
                strong { (actor.role.to_string()) }
                @if !actor.id.is_empty() { " " (actor.id) }
                " " span class="note" { (scope(looking.caller)) }
            }
            @if looking.signs_out {
                form method="post" action=(links::SIGN_OUT) { button { "Sign out" } }
            }
        }
    }
}

/// Ids of a scope that are told.
const SCOPE_TOLD_MAX: usize = 3;

/// How far a caller sees, in one line.
fn scope(caller: &Caller) -> String {
    fn told<T: AsRef<str>>(name: &str, filter: &IdFilter<T>) -> Option<String> {
        let IdFilter::Only(ids) = filter else {
            return None;
        };
        let mut shown: Vec<&str> = ids.iter().take(SCOPE_TOLD_MAX).map(AsRef::as_ref).collect();
        if ids.len() > SCOPE_TOLD_MAX {
            shown.push("…");
        }
        Some(format!("{name} {}", shown.join(", ")))
    }
    let scope = &caller.scope;
    let limits = [
        told("stores", &scope.stores),
        told("sellers", &scope.sellers),
        told("warehouses", &scope.warehouses),
        told("carriers", &scope.carriers),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if limits.is_empty() {
        "sees everything".to_owned()
    } else {
        format!("sees {}", limits.join("; "))
    }
}

/// What the name of a column begins with that holds numbers.
const NUMBERS: char = '#';

/// A table, or that there is nothing in it. Wide ones are scrolled, by keyboard too.
pub(super) fn table(caption: &str, columns: &[&str], rows: &[Markup]) -> Markup {
    if rows.is_empty() {
        return html! { p class="none" { "None." } };
    }
    html! {
        div class="scroll" role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr { @for column in columns { (heading(column)) } } }
                tbody { @for row in rows { tr { (row) } } }
            }
        }
    }
}

/// The head of a column, above numbers where they stand.
pub(super) fn heading(column: &str) -> Markup {
    match column.strip_prefix(NUMBERS) {
        Some(column) => html! { th scope="col" class="number" { (column) } },
        None => html! { th scope="col" { (column) } },
    }
}

/// Facts with their names; what has no value is left out.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    let is_told = |value: &Markup| !matches!(value.0.as_str(), "" | super::words::NOTHING);
    html! {
        dl {
            @for (name, value) in facts {
                @if is_told(value) { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

/// A field of a form in which one types.
pub(super) fn field(name: &str, label: &str, kind: &str, value: &str) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            input id=(name) name=(name) type=(kind) value=(value)
                maxlength="200" autocomplete="off" spellcheck="false";
        }
    }
}

/// A field in which one chooses: each choice is a value and its words.
pub(super) fn choice(
    name: &str,
    label: &str,
    choices: &[(String, String)],
    chosen: &str,
) -> Markup {
    html! {
        div class="field" {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (value, words) in choices {
                    option value=(value) selected[value == chosen] { (words) }
                }
            }
        }
    }
}

/// What is carried along and not asked.
pub(super) fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

/// The way on from one page of a list.
pub(super) fn more(page: &str, asked: &[(&str, &str)], token: (&str, &str)) -> Markup {
    if token.1.is_empty() {
        return html! {};
    }
    let mut asked = asked.to_vec();
    asked.push(token);
    html! { p class="more" { a href=(link(page, &asked)) rel="next" { "Further entries" } } }
}
