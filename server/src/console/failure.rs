//! Pages that say why the one that was asked for is not there.

use axum::response::{IntoResponse, Response};
use belay_wire::status::outcome;
use http::StatusCode;
use maud::html;
use tonic::Status;

use super::{links, page};
use crate::db::error::DbError;

/// A page that says why there is no other.
#[derive(Debug)]
pub(super) struct ErrorPage {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    pub(super) message: String,
    /// The reason of a call that failed, such as `ORDER_NOT_FOUND`.
    pub(super) reason: Option<&'static str>,
}

pub(super) fn text(
    status: StatusCode,
    title: &'static str,
    message: impl Into<String>,
) -> ErrorPage {
    ErrorPage {
        status,
        title,
        message: message.into(),
        reason: None,
    }
}

/// What the form of a page was given cannot be read.
pub(super) fn malformed(message: impl Into<String>) -> ErrorPage {
    text(StatusCode::BAD_REQUEST, "Cannot be read", message)
}

pub(super) fn no_such_page() -> Response {
    let message = "There is no such page.";
    text(StatusCode::NOT_FOUND, "Not found", message).into_response()
}

impl From<Status> for ErrorPage {
    fn from(status: Status) -> Self {
        let outcome = outcome(Some(&status));
        let (code, title) = match outcome.code {
            "NOT_FOUND" => (StatusCode::NOT_FOUND, "Not found"),
            "PERMISSION_DENIED" => (StatusCode::FORBIDDEN, "Not for this role"),
            "UNAUTHENTICATED" => (StatusCode::UNAUTHORIZED, "Not signed in any more"),
            "INVALID_ARGUMENT" | "OUT_OF_RANGE" => (StatusCode::BAD_REQUEST, "Cannot be read"),
            "RESOURCE_EXHAUSTED" => (StatusCode::TOO_MANY_REQUESTS, "Too much at once"),
            "UNAVAILABLE" => (StatusCode::SERVICE_UNAVAILABLE, "Not available"),
            "DEADLINE_EXCEEDED" => (StatusCode::GATEWAY_TIMEOUT, "Not in time"),
            "FAILED_PRECONDITION" | "ABORTED" => (StatusCode::CONFLICT, "Not as things stand"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "A defect"),
        };
        Self {
            status: code,
            title,
            message: status.message().to_owned(),
            reason: outcome.reason,
        }
    }
}

impl From<DbError> for ErrorPage {
    fn from(error: DbError) -> Self {
        // The message of a driver is for the log.
        tracing::warn!(%error, "the console cannot read the clock");
        text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Not available",
            "The database does not answer.",
        )
    }
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let body = html! {
            p class="alert" role="alert" {
                (self.message)
                @if let Some(reason) = self.reason { " " code { (reason) } }
            }
            p { a href=(links::HOME) { "To the stores" } }
        };
        page::answer(self.status, self.title, None, &body)
    }
}

/// Of a part of a page which this role may not see: none. Any other failure is the page's.
pub(super) fn unless_not_allowed<T>(
    answer: Result<tonic::Response<T>, Status>,
) -> Result<Option<T>, ErrorPage> {
    match answer {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) => match ErrorPage::from(status) {
            failure if failure.status == StatusCode::FORBIDDEN => Ok(None),
            failure => Err(failure),
        },
    }
}

#[cfg(test)]
mod tests {
    use belay_wire::status::CallError;

    use super::*;

    #[test]
    fn a_failed_call_has_the_status_that_says_so() {
        let of = |error: CallError| {
            let failure = ErrorPage::from(error.into_status(|_| "t".to_owned()));
            (failure.status.as_u16(), failure.reason)
        };
        let absent = CallError::StoreNotFound {
            store: "s".to_owned(),
        };
        assert_eq!(of(absent), (404, Some("STORE_NOT_FOUND")));
        let role = CallError::RoleNotAllowed {
            role: "SELLER".to_owned(),
        };
        assert_eq!(of(role), (403, Some("ROLE_NOT_ALLOWED")));
        assert_eq!(of(CallError::CallerUnknown), (401, Some("CALLER_UNKNOWN")));
        assert_eq!(of(CallError::Overloaded), (429, Some("OVERLOADED")));
        assert_eq!(of(CallError::Internal("x".to_owned())).0, 500);
    }
}
