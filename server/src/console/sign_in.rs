//! Signing in and out. What is brought is known as it is of a call, and a login that fails counts
//! as one of a call does.

use axum::extract::{Form, Query, State};
use axum::response::{AppendHeaders, IntoResponse as _, Redirect, Response};
use belay_domain::actor::Role;
use belay_wire::status::CallError;
use http::{HeaderMap, StatusCode, Uri, header};
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::{self, ErrorPage};
use super::way::{self, Origin, Way};
use super::{Console, links, page};
use crate::auth::authenticate;
use crate::auth::peer::Peer;

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    next: String,
}

impl Default for Asked {
    fn default() -> Self {
        let next = links::HOME.to_owned();
        Self { next }
    }
}

pub(super) async fn page(State(console): State<Console>, Query(asked): Query<Asked>) -> Response {
    let way = Way::of(&console.0.authentication);
    form(way, StatusCode::OK, &asked.next, None)
}

/// To the form, and from there to where one wanted to go.
pub(super) fn elsewhere(to: &Uri) -> Response {
    let next = to
        .path_and_query()
        .map_or(links::HOME, |next| next.as_str());
    let next = links::own(next).unwrap_or(links::HOME);
    Redirect::to(&links::link(links::SIGN_IN, &[("next", next)])).into_response()
}

/// Of somebody whom nobody knows any more, or never did.
pub(super) fn not_known(way: Way, to: &Uri, error: CallError) -> Response {
    let failure = failure_of(error);
    if way == Way::Proxy || failure.status != StatusCode::UNAUTHORIZED {
        return failure.into_response();
    }
    (forgetting(), elsewhere(to)).into_response()
}

pub(super) async fn enter(
    State(console): State<Console>,
    peer: Option<axum::Extension<Peer>>,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let origin = way::origin(&headers);
    if origin == Origin::Other {
        return from_elsewhere().into_response();
    }
    let way = Way::of(&console.0.authentication);
    let next = fields.iter().find(|(name, _)| name == "next");
    let next = next
        .and_then(|(_, next)| links::own(next))
        .unwrap_or(links::HOME);
    let cookie = way.cookie(&fields);
    if cookie.len() > way::COOKIE_BYTES_MAX {
        let told = format!(
            "This is longer than a browser keeps: it may have {} bytes.",
            way::COOKIE_BYTES_MAX
        );
        return form(way, StatusCode::BAD_REQUEST, next, Some(&told));
    }
    let Some(credentials) = way.headers(&fields).filter(|_| way != Way::Proxy) else {
        let told = "There is nothing here by which somebody could be known.";
        return form(way, StatusCode::BAD_REQUEST, next, Some(told));
    };
    let peer = peer.map(|peer| peer.0);
    let metrics = &console.0.app.telemetry.metrics;
    let authentication = &console.0.authentication;
    match authenticate(authentication, &credentials, peer.as_ref(), metrics).await {
        Ok(_) => {
            let kept = AppendHeaders([(header::SET_COOKIE, way::keep(&cookie, origin))]);
            (kept, Redirect::to(next)).into_response()
        }
        Err(error) => {
            let failure = failure_of(error);
            form(way, failure.status, next, Some(&failure.message))
        }
    }
}

pub(super) async fn leave(headers: HeaderMap) -> Response {
    if way::origin(&headers) == Origin::Other {
        return from_elsewhere().into_response();
    }
    (forgetting(), Redirect::to(links::SIGN_IN)).into_response()
}

fn forgetting() -> AppendHeaders<[(header::HeaderName, String); 2]> {
    AppendHeaders(way::forget().map(|cookie| (header::SET_COOKIE, cookie)))
}

fn failure_of(error: CallError) -> ErrorPage {
    let status = error.into_status(|cause| {
        tracing::error!(cause, "a login at the console failed by a defect of Belay");
        String::new()
    });
    ErrorPage::from(status)
}

fn from_elsewhere() -> ErrorPage {
    failure::text(
        StatusCode::FORBIDDEN,
        "Not from here",
        "A form counts only where the browser says that it was sent from a page of this console.",
    )
}

fn form(way: Way, status: StatusCode, next: &str, told: Option<&str>) -> Response {
    let next = links::own(next).unwrap_or(links::HOME);
    let body = html! {
        @if let Some(told) = told { p class="alert" role="alert" { (told) } }
        @match way {
            Way::Proxy => p { "The proxy in front of this server says who you are. Sign in there." },
            Way::Token | Way::Role => {
                form class="sign-in" method="post" action=(links::SIGN_IN) {
                    (page::hidden("next", next))
                    @if way == Way::Token { (token()) } @else { (role()) }
                    button class="primary" { "Sign in" }
                }
            }
        }
        @if next != links::HOME && way != Way::Proxy {
            p {
                "Signed in already, and come from another site? "
                a href=(next) { "Go on" } "."
            }
        }
    };
    page::answer(status, "Sign in", None, &body)
}

fn token() -> Markup {
    html! {
        div class="field" {
            label for="token" { "Secret of the key file, or token of the issuer" }
            input id="token" name="token" type="password" required autocomplete="off"
                aria-describedby="token-note";
        }
        p class="note" id="token-note" {
            "It is what you would call Belay with. The browser keeps it in a cookie that no script can read, until it is \
             closed or you sign out."
        }
    }
}

fn role() -> Markup {
    let roles = Role::CALLERS.iter().map(ToString::to_string);
    let roles: Vec<(String, String)> = roles.map(|role| (role.clone(), role)).collect();
    let chosen = Role::Support.to_string();
    html! {
        p { "This server believes whoever reaches it: choose whom you are." }
        (page::choice("role", "Role", &roles, &chosen))
        (page::field("actor", "Who, such as the name of a seller or a warehouse", "text", ""))
        details {
            summary { "See less than everything" }
            p class="note" { "Ids with commas in between. Where there are none, what the role may see is not limited." }
            (page::field("stores", "Stores", "text", ""))
            (page::field("sellers", "Sellers", "text", ""))
            (page::field("warehouses", "Warehouses", "text", ""))
            (page::field("carriers", "Carriers", "text", ""))
        }
    }
}
