//! The outcome of a call, as it is told to those who watch.

use belay_domain::error_reason::ErrorReason;
use http::HeaderMap;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOutcome {
    /// Such as `NOT_FOUND`.
    pub code: &'static str,
    /// Such as `ORDER_NOT_FOUND`; none of a success.
    pub reason: Option<&'static str>,
    /// Whether the convention takes the code for a fault of the server.
    pub is_server_fault: bool,
}

impl CallOutcome {
    /// The caller went away before there was an answer.
    pub const CANCELLED: Self = Self {
        code: "CANCELLED",
        reason: None,
        is_server_fault: false,
    };
    /// The code of a success.
    pub const OK: &'static str = "OK";
}

/// Of an answer with these headers. A status in there is that of an error; all of ours have their
/// reason with them.
pub fn outcome_of(headers: &HeaderMap) -> CallOutcome {
    outcome(Status::from_header_map(headers).as_ref())
}

/// Of an answer with this status; of a success where there is none.
pub fn outcome(status: Option<&Status>) -> CallOutcome {
    let code = status.map_or(Code::Ok, Status::code);
    let reason = status.and_then(Status::get_details_error_info);
    // Of the enum, and not of the answer: it is a closed set.
    let reason = reason
        .and_then(|info| ErrorReason::parse(&info.reason))
        .map(ErrorReason::name);
    CallOutcome {
        code: name(code),
        reason,
        is_server_fault: is_server_fault(code),
    }
}

fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// What OpenTelemetry's convention for gRPC takes for an error of a server's span.
fn is_server_fault(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::CallError;

    fn outcome(failure: CallError) -> CallOutcome {
        let answer = failure.into_status(|_| "0".repeat(32)).into_http::<()>();
        outcome_of(answer.headers())
    }

    #[test]
    fn an_answer_tells_its_code_and_its_reason() {
        assert_eq!(
            outcome_of(&HeaderMap::new()),
            CallOutcome {
                code: "OK",
                reason: None,
                is_server_fault: false
            }
        );
        let known = |code, reason, is_server_fault| CallOutcome {
            code,
            reason: Some(reason),
            is_server_fault,
        };
        assert_eq!(
            outcome(CallError::CallerUnknown),
            known("UNAUTHENTICATED", "CALLER_UNKNOWN", false)
        );
        assert_eq!(
            outcome(CallError::Internal("a bug".to_owned())),
            known("INTERNAL", "INTERNAL", true)
        );
        assert_eq!(
            outcome(CallError::DatabaseUnavailable),
            known("UNAVAILABLE", "DATABASE_UNAVAILABLE", true)
        );
    }
}
