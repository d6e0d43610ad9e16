//! The reason why a command failed, and the exit code that says so.

use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use belay_client::{CallError, Error, Kind};

/// The class of a failure, which is its exit code. 2 is also what is wrong with the command line
/// itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What was asked has an answer, and it is no: a policy with errors, a test that fails, a dry
    /// run that would be rejected.
    No = 1,
    /// What was asked is malformed, or the client is set up wrongly.
    Usage = 2,
    /// There is no such thing, or the caller does not see it.
    NotFound = 3,
    /// The server does not know the caller, or its role may not do this.
    NotAllowed = 4,
    /// The state or the policy does not allow it, or it has changed meanwhile.
    Rejected = 5,
    /// The server cannot be reached, is overloaded or did not answer in time. Nothing was done.
    Unavailable = 6,
    /// A write was sent, and whether it was done is not known.
    OutcomeUnknown = 7,
    /// A defect.
    Internal = 70,
}

/// A command that failed.
#[derive(Debug)]
pub struct Failure {
    pub class: Class,
    /// Empty where all has been said.
    pub message: String,
}

impl Failure {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// The answer is no, and has been shown.
    pub(crate) fn no() -> Self {
        Self::new(Class::No, "")
    }

    pub(crate) fn tell(&self) -> ExitCode {
        if !self.message.is_empty() {
            // Where nobody reads it, the exit code still says it.
            let _ = writeln!(io::stderr(), "belay: {}", self.message);
        }
        #[expect(
            clippy::as_conversions,
            reason = "the exit code of a class is its discriminant"
        )]
        let code = self.class as u8;
        ExitCode::from(code)
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the client may add kinds")]
fn class(kind: Kind) -> Class {
    match kind {
        Kind::InvalidArgument | Kind::OutOfRange | Kind::Setup => Class::Usage,
        Kind::NotFound => Class::NotFound,
        Kind::PermissionDenied | Kind::Unauthenticated => Class::NotAllowed,
        Kind::AlreadyExists | Kind::Rejected | Kind::Aborted => Class::Rejected,
        Kind::Overloaded | Kind::Unavailable | Kind::DeadlineExceeded | Kind::Cancelled => {
            Class::Unavailable
        }
        Kind::OutcomeUnknown => Class::OutcomeUnknown,
        _ => Class::Internal,
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = match error.reason() {
            Some(reason) => format!("{reason}: {}", error.message()),
            None => error.message().to_owned(),
        };
        for violation in error.field_violations() {
            let told = format!("\n  {}: {}", violation.field, violation.description);
            message.push_str(&told);
        }
        if let Some(denial) = error.denial() {
            if let Some(rule) = &denial.rule {
                message.push_str(&format!("\n  by the rule {rule}"));
            }
            for action in &denial.next_actions {
                message.push_str(&format!("\n  instead: {action}"));
            }
        }
        Self::new(class(error.kind()), message)
    }
}

impl<C> From<CallError<C>> for Failure {
    fn from(error: CallError<C>) -> Self {
        Self::from(error.into_error())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Who reads no further has enough.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::no();
        }
        Self::new(Class::Internal, format!("cannot write: {error}"))
    }
}
