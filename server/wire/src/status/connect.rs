//! An error as the Connect protocol tells it: its own names of the codes, with an HTTP status for
//! each, and the same details.

use std::time::Duration;

use http::HeaderMap;
use prost::Message as _;
use prost_types::Any;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// An error of a call, for callers over HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectError {
    /// Such as `not_found`.
    pub code: &'static str,
    pub http_status: u16,
    pub message: String,
    /// Of `google.rpc`, the same as over gRPC.
    pub details: Vec<Any>,
    /// When the caller may come back.
    pub retry_delay: Option<Duration>,
}

impl ConnectError {
    /// Of an answer with these headers or trailers; none of a success.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        Self::of_status(&Status::from_header_map(headers)?)
    }

    /// None of a success.
    pub fn of_status(status: &Status) -> Option<Self> {
        let (code, http_status) = named(status.code())?;
        let retry = status.get_details_retry_info();
        // What cannot be read was made by none of us; the code and the message are told all the
        // same.
        let details = tonic_types::Status::decode(status.details()).unwrap_or_default();
        Some(Self {
            code,
            http_status,
            message: status.message().to_owned(),
            details: details.details,
            retry_delay: retry.and_then(|info| info.retry_delay),
        })
    }
}

/// The name and the HTTP status that the protocol gives a code; none of a success.
fn named(code: Code) -> Option<(&'static str, u16)> {
    Some(match code {
        Code::Ok => return None,
        Code::Cancelled => ("canceled", 499),
        Code::Unknown => ("unknown", 500),
        Code::InvalidArgument => ("invalid_argument", 400),
        Code::DeadlineExceeded => ("deadline_exceeded", 504),
        Code::NotFound => ("not_found", 404),
        Code::AlreadyExists => ("already_exists", 409),
        Code::PermissionDenied => ("permission_denied", 403),
        Code::ResourceExhausted => ("resource_exhausted", 429),
        Code::FailedPrecondition => ("failed_precondition", 400),
        Code::Aborted => ("aborted", 409),
        Code::OutOfRange => ("out_of_range", 400),
        Code::Unimplemented => ("unimplemented", 501),
        Code::Internal => ("internal", 500),
        Code::Unavailable => ("unavailable", 503),
        Code::DataLoss => ("data_loss", 500),
        Code::Unauthenticated => ("unauthenticated", 401),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::CallError;

    fn error(failure: CallError) -> ConnectError {
        let status = failure.into_status(|_| "0".repeat(32));
        let told = ConnectError::of(status.clone().into_http::<()>().headers());
        assert_eq!(told, ConnectError::of_status(&status));
        told.expect("an error")
    }

    #[test]
    fn an_error_has_its_name_its_http_status_and_its_details() {
        assert_eq!(ConnectError::of(&HeaderMap::new()), None);
        let unknown = error(CallError::CallerUnknown);
        assert_eq!(
            (unknown.code, unknown.http_status),
            ("unauthenticated", 401)
        );
        assert_eq!(unknown.retry_delay, None);
        let types: Vec<&str> = unknown
            .details
            .iter()
            .map(|of| of.type_url.as_str())
            .collect();
        assert_eq!(types, ["type.googleapis.com/google.rpc.ErrorInfo"]);
        let overloaded = error(CallError::Overloaded);
        assert_eq!(overloaded.code, "resource_exhausted");
        assert_eq!(overloaded.retry_delay, Some(Duration::from_millis(250)));
    }

    #[test]
    fn every_code_but_the_one_of_a_success_is_an_error_over_http() {
        for number in 1..=16 {
            let (name, status) = named(Code::from_i32(number)).expect("an error");
            assert!(status >= 400, "{name}");
            let in_words = format!("{:?}", Code::from_i32(number)).to_lowercase();
            let spelled = if name == "canceled" {
                "cancelled"
            } else {
                name
            };
            assert_eq!(spelled.replace('_', ""), in_words);
        }
        assert_eq!(named(Code::Ok), None);
    }
}
