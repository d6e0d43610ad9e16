//! The errors of calls of which nothing was sent.

use tonic::Code;

use super::{BoxError, Error, FieldViolation, Kind};
use crate::error_reason::ErrorReason;

impl Error {
    /// The error of invalid arguments.
    pub(crate) fn invalid(field_violations: Vec<FieldViolation>) -> Self {
        let mut error = Self::new(
            Kind::InvalidArgument,
            Some(ErrorReason::InvalidField),
            "the request has invalid fields",
        );
        error.0.field_violations = field_violations;
        error.0.code = Code::InvalidArgument;
        error
    }

    /// The error of a caller whose token cannot be had now. Nothing was sent.
    pub(crate) fn no_token(cause: &dyn std::error::Error) -> Self {
        let message = format!("there is no token: {cause}");
        let mut error = Self::new(Kind::Unavailable, None, message);
        error.0.code = Code::Unavailable;
        error.0.is_unsent = true;
        error
    }

    /// The error of a caller whose source of tokens does not answer in time. Nothing was sent.
    pub(crate) fn silent_source() -> Self {
        Self::no_token(&*BoxError::from("its source does not answer"))
    }

    /// The error of an attempt whose time was over before its request had left, with what an
    /// attempt before has met.
    pub(crate) fn not_reached(address: &str, before: Option<&str>) -> Self {
        let mut message = format!("{address} was not reached in time");
        if let Some(before) = before {
            message = format!("{message}; before: {before}");
        }
        let mut error = Self::new(Kind::Unavailable, None, message);
        error.0.code = Code::Unavailable;
        error.0.is_unsent = true;
        error
    }

    pub(crate) fn setup(message: impl Into<String>) -> Self {
        Self::new(Kind::Setup, None, message)
    }
}
