//! Whom browsers let call, and what of an answer they show: the headers that the documentation of
//! Connect asks for, and those that say who calls.

use std::time::Duration;

use belay_wire::freshness::{MAX_STALENESS, READ_AFTER, READ_FROM, STALENESS, WRITE_POSITION};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser remembers that it may call: the most that any of them does.
const REMEMBERED: Duration = Duration::from_secs(7_200);

/// The request headers of ours, and of Connect and of traces.
const ALLOWED: [&str; 15] = [
    "connect-protocol-version",
    "connect-timeout-ms",
    "connect-content-encoding",
    "connect-accept-encoding",
    "x-user-agent",
    "traceparent",
    "tracestate",
    "belay-role",
    "belay-actor",
    "belay-stores",
    "belay-sellers",
    "belay-warehouses",
    "belay-carriers",
    MAX_STALENESS,
    READ_AFTER,
];

/// What a page may read besides the body and its type.
const EXPOSED: [&str; 4] = [
    "connect-content-encoding",
    WRITE_POSITION,
    READ_FROM,
    STALENESS,
];

pub(super) fn layer(origins: &[HeaderValue]) -> CorsLayer {
    let names = |names: &'static [&'static str]| names.iter().copied().map(HeaderName::from_static);
    let allowed = [AUTHORIZATION, CONTENT_TYPE, CONTENT_ENCODING];
    let exposed = [RETRY_AFTER, CONTENT_ENCODING];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::POST])
        .allow_headers(
            allowed
                .into_iter()
                .chain(names(&ALLOWED))
                .collect::<Vec<_>>(),
        )
        .expose_headers(
            exposed
                .into_iter()
                .chain(names(&EXPOSED))
                .collect::<Vec<_>>(),
        )
        .max_age(REMEMBERED)
}
