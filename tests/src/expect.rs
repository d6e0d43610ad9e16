//! Expectations of tests, in one line each.

use std::fmt::Debug;
use std::time::Duration;

use belay_client::model::Page;
use belay_client::{Error, Kind};
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::descriptors;

/// What takes longer than this hangs. No test is about it: it only ends a test that would else wait
/// for ever, on a machine however slow and busy. A server waits for a call no longer than a minute.
pub const HANG: Duration = Duration::from_secs(180);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The error of a call that must be refused, so and for this reason.
#[track_caller]
pub fn refused<T: Debug, E: Into<Error>>(outcome: Result<T, E>, kind: Kind, reason: &str) -> Error {
    match outcome.map_err(Into::into) {
        Ok(answer) => panic!("expected {kind:?} {reason}, got {answer:?}"),
        Err(error) => {
            let found = error.reason().map_or("none", |reason| reason.as_str());
            assert_eq!((error.kind(), found), (kind, reason), "{error}");
            descriptors::check(code(kind), reason, error.metadata().keys());
            error
        }
    }
}

/// The code on the wire that the client tells as this kind.
#[track_caller]
fn code(kind: Kind) -> Code {
    let codes = [
        (Kind::InvalidArgument, Code::InvalidArgument),
        (Kind::NotFound, Code::NotFound),
        (Kind::AlreadyExists, Code::AlreadyExists),
        (Kind::Unauthenticated, Code::Unauthenticated),
        (Kind::PermissionDenied, Code::PermissionDenied),
        (Kind::Rejected, Code::FailedPrecondition),
        (Kind::Aborted, Code::Aborted),
        (Kind::OutOfRange, Code::OutOfRange),
        (Kind::Overloaded, Code::ResourceExhausted),
        (Kind::Unavailable, Code::Unavailable),
        (Kind::DeadlineExceeded, Code::DeadlineExceeded),
        // Of a write whose deadline has passed.
        (Kind::OutcomeUnknown, Code::DeadlineExceeded),
    ];
    let found = codes.into_iter().find(|(known, _)| *known == kind);
    found
        .unwrap_or_else(|| panic!("Belay refuses nothing with {kind:?}"))
        .1
}

/// Looks again and again until `look` finds something, for what a worker does by itself.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + HANG;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < give_up, "{what}: not within {HANG:?}");
        sleep(LOOK_EVERY).await;
    }
}

/// Pages that a list of a test may have.
const PAGES_MAX: usize = 100;

/// Follows a list to its end: `ask` sends it for the page of a token. Gives the entries page by
/// page.
pub async fn pages<T, E: std::fmt::Display>(
    mut ask: impl AsyncFnMut(String) -> Result<Page<T>, E>,
) -> Vec<Vec<T>> {
    let (mut pages, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = ask(page_token)
            .await
            .unwrap_or_else(|error| panic!("page {}: {error}", pages.len() + 1));
        pages.push(page.items);
        match page.next_page_token {
            None => return pages,
            Some(token) => page_token = token,
        }
        assert!(pages.len() < PAGES_MAX, "the list does not end");
    }
}
