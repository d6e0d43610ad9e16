//! The console: pages on the admin port for support, sellers' desks and those who run the server,
//! who look at orders and at what awaits whom. Off where nothing else is said.
//!
//! It is a caller like any other. Whatever a page shows was asked of the services by the same calls
//! that come over gRPC, with the credentials of whoever looks: roles, scopes, views, limits and the
//! audit log are theirs. It refuses to write: of the services it reaches those methods that read.
//! It sends no script, and its pages forbid the browser to run any.

mod asker;
mod awaiting;
mod calls;
mod decisions;
mod explain;
mod facts;
mod failure;
mod feed;
mod find;
mod incidents;
mod links;
mod order;
mod page;
mod parts;
mod policy;
mod refunds;
mod rules;
mod sign_in;
mod stores;
mod timeline;
mod visitor;
mod way;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tonic::service::Routes;

use self::calls::Reads;
use self::facts::Facts;
use crate::App;
use crate::admin_port::CONSOLE_PATH;
use crate::auth::Authentication;
use crate::db::error::DbError;
use crate::drain::Drain;

/// Live tails at once; who comes beyond is told to come again.
pub const TAILS_MAX: usize = 8;
/// The form of who signs in, in bytes: the only body that is taken.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Entries of one page of a list.
pub const PAGE_ENTRIES_MAX: i32 = 50;

pub use self::feed::TAIL_EVENTS_MAX;
pub use self::refunds::OVERDUE_LOOK_MAX;
pub use self::way::COOKIE_BYTES_MAX;

/// The state that all pages share.
#[derive(Debug, Clone)]
struct Console(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    app: Arc<App>,
    authentication: Authentication,
    reads: Reads,
    facts: Facts,
    tails: Arc<Semaphore>,
}

impl Console {
    /// The time by which decisions are made: distances are from here.
    async fn now(&self) -> Result<Timestamp, DbError> {
        let mut conn = self.0.app.pools.reads.checkout().await?;
        let now = self.0.app.clock.now(&mut conn).await;
        conn.finish_with(now)
    }
}

/// The pages, on these services.
///
/// # Errors
/// Where the descriptors of this program cannot be read.
pub(crate) fn router(
    app: Arc<App>,
    authentication: Authentication,
    routes: Routes,
    drain: &Drain,
) -> anyhow::Result<Router> {
    let console = Console(Arc::new(Inner {
        app,
        authentication,
        reads: Reads::of(routes, drain),
        facts: Facts::new()?,
        tails: Arc::new(Semaphore::new(TAILS_MAX)),
    }));
    let router = Router::new()
        .route(CONSOLE_PATH, get(async || Redirect::to(links::HOME)))
        .route(links::HOME, get(stores::page))
        .route(links::STYLE, get(style))
        .route(links::SIGN_IN, get(sign_in::page).post(sign_in::enter))
        .route(links::SIGN_OUT, post(sign_in::leave))
        .route(links::FIND, get(find::page))
        .route(links::ORDER, get(order::page))
        .route(links::EXPLAIN, get(explain::page).post(explain::for_buyer))
        .route(links::AWAITING, get(awaiting::page))
        .route(links::INCIDENTS, get(incidents::page))
        .route(links::REFUNDS, get(refunds::page))
        .route(links::POLICY, get(policy::page))
        .route(links::FEED, get(feed::page))
        .fallback(async || failure::no_such_page())
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::from_fn_with_state(
            console.clone(),
            visitor::only_from_here,
        ))
        .layer(middleware::from_fn(guarded))
        .with_state(console);
    Ok(router)
}

/// What is said with every answer: a page runs no script, is in no frame of others, sends its forms
/// here alone, and is kept by nobody on the way.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Not `no-referrer`: with it a browser does not say either where a form comes from.
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (header::VARY, "cookie"),
];

async fn guarded(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    for (name, value) in HEADERS {
        let headers = answer.headers_mut();
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    answer
}

/// The style sheet. It says nothing of anybody, and is asked for again soon: another release has
/// another.
async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (StatusCode::OK, headers, Body::from(page::STYLE_SHEET)).into_response()
}
