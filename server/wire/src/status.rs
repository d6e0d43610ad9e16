//! The reason why a call does not get its answer, and the status that says so. The only module that
//! names `tonic::Code`: which reason has which code is one table, in `codes`.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use belay_domain::actor::Role;
use belay_domain::document::DocumentError;
use belay_domain::error_reason::ErrorReason;
use belay_domain::feed::PositionError;
use belay_domain::ids::{ConsumerId, WarehouseId};
use belay_domain::money::Currency;
use belay_domain::rejection::{FieldViolation, Rejection};
use belay_domain::store::StoreChangeError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use crate::rejections::{ProtoRejection, RequestIds, proto_rejections};
use crate::values::etag;

use self::codes::{With, code};
use self::fit::{StatusDraft, StatusViolations};

mod codes;
mod connect;
mod fit;
mod outcome;

pub use self::connect::ConnectError;
pub use self::outcome::{CallOutcome, outcome, outcome_of};

const DOMAIN: &str = "belay";
/// Largest message taken from a caller, as sent and as decompressed.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Largest metadata taken with a call, as HTTP/2 counts it: of each header its name, its value and
/// 32 bytes.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;

/// A limit that each caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallerLimit {
    CallsPerSecond,
    ConcurrentCalls,
    RequestBytesPerSecond,
}

impl CallerLimit {
    pub const ALL: [Self; 3] = [
        Self::CallsPerSecond,
        Self::ConcurrentCalls,
        Self::RequestBytesPerSecond,
    ];

    pub fn name(self) -> &'static str {
        match self {
            CallerLimit::CallsPerSecond => "CALLS_PER_SECOND",
            CallerLimit::ConcurrentCalls => "CONCURRENT_CALLS",
            CallerLimit::RequestBytesPerSecond => "REQUEST_BYTES_PER_SECOND",
        }
    }
}

impl fmt::Display for CallerLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The reason why a call does not get its answer, and what a person reads of it.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CallError {
    #[error("the metadata of a call may have at most {METADATA_BYTES_MAX} bytes")]
    MetadataTooLarge,
    /// The server has no such method: it is older than the caller, or the caller is mistaken.
    #[error("the server has no such method")]
    MethodUnknown,
    /// The message is compressed in a way that nobody here reads.
    #[error("a message may be compressed with gzip or not at all")]
    EncodingUnsupported,
    /// Of the services that are not ours: what was asked for by name is not there.
    #[error("{message}")]
    NameUnknown { message: String },
    #[error("{violations:?}")]
    InvalidFields {
        violations: Vec<FieldViolation>,
        /// How many there are beyond these.
        left_out: usize,
    },
    #[error("this list, with these filters, gave out no such page_token")]
    PageTokenInvalid,
    #[error("Belay gave out no such resume_token for this filter")]
    ResumeTokenInvalid,
    /// Of a point of the feed.
    #[error("the feed cannot be read from there: {0:?}")]
    Position(PositionError),
    #[error("the caller took no event for too long; begin again with its last resume_token")]
    WatcherTooSlow,
    #[error("there is no consumer {consumer}")]
    ConsumerNotFound { consumer: ConsumerId },
    #[error("the consumer {consumer} has committed position {position} of partition {partition}")]
    PositionBehind {
        consumer: ConsumerId,
        partition: u16,
        position: u64,
    },
    #[error("a caller may have at most {limit_max} consumers")]
    ConsumersExhausted { limit_max: usize },
    #[error("the store has no bulk cancellation {id}")]
    BulkCancellationNotFound { id: Uuid },
    #[error("a store may have at most {limit_max} bulk cancellations under way")]
    BulkCancellationsExhausted { limit_max: usize },
    #[error("a message may have at most {limit_bytes} bytes")]
    MessageTooLarge { limit_bytes: usize },
    #[error("the deadline passed; repeat a write to learn whether it has happened")]
    DeadlineExceeded,
    /// No token, or none that is known. Which of both is for the log alone.
    #[error("the call brings no token that is known here")]
    CallerUnknown,
    /// Of a stream.
    #[error("what let the caller in has expired, was withdrawn or shows less now; begin again")]
    SessionEnded,
    #[error("the caller asks for more than it may: {limit} is at most {limit_max}")]
    CallerLimit {
        limit: CallerLimit,
        limit_max: u32,
        /// When the caller may come back.
        retry: Duration,
    },
    #[error("the role {role:?} may not do this")]
    RoleNotAllowed { role: String },
    #[error("{}", no_such_role(role))]
    RoleUnknown { role: String },
    #[error("the server has more work than it takes in; nothing was done")]
    Overloaded,
    /// As [`CallError::Overloaded`], where it is known how long the caller should wait.
    #[error("the server has more work than it takes in; nothing was done")]
    Shed { retry: Duration },
    #[error("there is no store {store}")]
    StoreNotFound { store: String },
    #[error("there is no warehouse {warehouse}")]
    WarehouseNotFound { warehouse: WarehouseId },
    /// Of what is told of stock; orders have a rejection for it.
    #[error("the request_id was used for another content")]
    RequestIdReused { request_id: Uuid },
    #[error("there is no preset {preset}")]
    PresetNotFound { preset: String },
    #[error("the store has no policy version {version}")]
    PolicyNotFound { version: u32 },
    #[error(
        "policy version {version} is activated by another person than its author, and both need an id"
    )]
    SecondPersonNeeded { version: u32 },
    /// Of an administration record; orders have a rejection for it.
    #[error("this reaches beyond what the caller sees")]
    OutOfScope,
    #[error("there is a store {store} with other settings")]
    StoreAlreadyExists { store: String },
    /// Of an administration record; orders have a rejection for it.
    #[error("it has changed since the etag was read")]
    EtagMismatch { present: String },
    #[error("all money of an order is in one currency, here {}", expected.code())]
    CurrencyMismatch {
        expected: Currency,
        /// The first field with another.
        field: String,
    },
    /// Of a document in this field.
    #[error("{errors:?}")]
    PolicyInvalid {
        field: &'static str,
        errors: Vec<DocumentError>,
    },
    #[error("{rejection:?}")]
    Rejected {
        rejection: Box<Rejection>,
        named: RequestIds,
    },
    #[error("the database cannot be reached or takes no writes; nothing was done")]
    DatabaseUnavailable,
    #[error("too many wrote to the same order or record at once; nothing was done")]
    Contention,
    /// Administration writes have no request_id: they may be repeated as they are.
    #[error("the write has happened or not; repeat it to learn which, it happens once")]
    OutcomeUnknown { request_id: Option<Uuid> },
    /// A bug; the text is for the log alone.
    #[error("{0}")]
    Internal(String),
}

/// With all that there are, for who wrote another one.
fn no_such_role(role: &str) -> String {
    let roles: Vec<&str> = Role::CALLERS.iter().map(|role| role.name()).collect();
    let roles = roles.join(", ");
    match role {
        "" => format!("no role is named; roles are {roles}"),
        role => format!("there is no role {role:?}; roles are {roles}"),
    }
}

impl From<StoreChangeError> for CallError {
    fn from(error: StoreChangeError) -> Self {
        match error {
            StoreChangeError::UnknownDefaults(violations) => CallError::invalid_fields(violations),
            StoreChangeError::EtagMismatch { present } => CallError::EtagMismatch {
                present: etag(present),
            },
        }
    }
}

impl CallError {
    pub const MESSAGE_TOO_LARGE: Self = CallError::MessageTooLarge {
        limit_bytes: MESSAGE_BYTES_MAX,
    };

    /// Of a request of which nothing else is wrong.
    pub fn invalid_fields(violations: Vec<FieldViolation>) -> Self {
        CallError::InvalidFields {
            violations,
            left_out: 0,
        }
    }

    /// Of a message as a whole.
    pub fn undecodable(description: &str) -> Self {
        let violation = FieldViolation {
            field: String::new(),
            description: description.to_owned(),
        };
        CallError::invalid_fields(vec![violation])
    }

    pub fn rejected(rejection: Rejection, named: RequestIds) -> Self {
        if let Rejection::InvalidField(violations) = rejection {
            return CallError::invalid_fields(violations);
        }
        CallError::Rejected {
            rejection: Box::new(rejection),
            named,
        }
    }

    /// Of a status without details, which none of ours is; nothing of one that is no error.
    pub fn of_others(status: &Status) -> Option<Self> {
        Some(match status.code() {
            Code::Ok => return None,
            Code::Unimplemented => CallError::MethodUnknown,
            Code::NotFound => CallError::NameUnknown {
                message: status.message().to_owned(),
            },
            Code::InvalidArgument => CallError::undecodable(status.message()),
            // Decompressed, the message is too large: its length as sent is measured before.
            Code::ResourceExhausted | Code::OutOfRange => CallError::MESSAGE_TOO_LARGE,
            Code::DeadlineExceeded | Code::Cancelled => CallError::DeadlineExceeded,
            Code::Unknown
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => {
                CallError::Internal(format!("{:?}: {}", status.code(), status.message()))
            }
        })
    }

    fn reason(&self) -> ErrorReason {
        match self {
            CallError::MetadataTooLarge => ErrorReason::MetadataTooLarge,
            CallError::MethodUnknown => ErrorReason::MethodUnknown,
            CallError::EncodingUnsupported => ErrorReason::EncodingUnsupported,
            CallError::NameUnknown { .. } => ErrorReason::NameUnknown,
            CallError::InvalidFields { .. } => ErrorReason::InvalidField,
            CallError::PageTokenInvalid => ErrorReason::PageTokenInvalid,
            CallError::ResumeTokenInvalid => ErrorReason::ResumeTokenInvalid,
            CallError::Position(PositionError::Expired { .. }) => ErrorReason::PositionExpired,
            CallError::Position(PositionError::Ahead { .. }) => ErrorReason::PositionAhead,
            CallError::WatcherTooSlow => ErrorReason::WatcherTooSlow,
            CallError::ConsumerNotFound { .. } => ErrorReason::ConsumerNotFound,
            CallError::PositionBehind { .. } => ErrorReason::PositionBehind,
            CallError::ConsumersExhausted { .. } => ErrorReason::ConsumersExhausted,
            CallError::BulkCancellationNotFound { .. } => ErrorReason::BulkCancellationNotFound,
            CallError::BulkCancellationsExhausted { .. } => ErrorReason::BulkCancellationsExhausted,
            CallError::MessageTooLarge { .. } => ErrorReason::MessageTooLarge,
            CallError::DeadlineExceeded => ErrorReason::DeadlineExceeded,
            CallError::CallerUnknown => ErrorReason::CallerUnknown,
            CallError::SessionEnded => ErrorReason::SessionEnded,
            CallError::CallerLimit { .. } => ErrorReason::CallerLimit,
            CallError::RoleNotAllowed { .. } | CallError::RoleUnknown { .. } => {
                ErrorReason::RoleNotAllowed
            }
            CallError::Overloaded | CallError::Shed { .. } => ErrorReason::Overloaded,
            CallError::StoreNotFound { .. } => ErrorReason::StoreNotFound,
            CallError::WarehouseNotFound { .. } => ErrorReason::WarehouseNotFound,
            CallError::RequestIdReused { .. } => ErrorReason::RequestIdReused,
            CallError::PresetNotFound { .. } => ErrorReason::PresetNotFound,
            CallError::PolicyNotFound { .. } => ErrorReason::PolicyNotFound,
            CallError::SecondPersonNeeded { .. } => ErrorReason::SecondPersonNeeded,
            CallError::OutOfScope => ErrorReason::OutOfScope,
            CallError::StoreAlreadyExists { .. } => ErrorReason::StoreAlreadyExists,
            CallError::EtagMismatch { .. } => ErrorReason::EtagMismatch,
            CallError::CurrencyMismatch { .. } => ErrorReason::CurrencyMismatch,
            CallError::PolicyInvalid { .. } => ErrorReason::PolicyInvalid,
            CallError::Rejected { rejection, .. } => rejection.reason(),
            CallError::DatabaseUnavailable => ErrorReason::DatabaseUnavailable,
            CallError::Contention => ErrorReason::Contention,
            CallError::OutcomeUnknown { .. } => ErrorReason::OutcomeUnknown,
            CallError::Internal(_) => ErrorReason::Internal,
        }
    }

    /// The status of the call. Of a defect the caller is told no more than a trace id; `log` writes
    /// its cause down and gives the id under which it is found.
    #[expect(clippy::too_many_lines, reason = "a table: a row for each failure")]
    pub fn into_status(self, log: impl FnOnce(&str) -> String) -> Status {
        let (reason, message) = (self.reason(), self.to_string());
        let one = |key: &'static str, value: String| vec![(key, value)];
        let retry = if let CallError::Shed { retry } = self {
            Some(retry)
        } else {
            None
        };
        let metadata = match self {
            CallError::InvalidFields {
                violations,
                left_out,
            } => return invalid_fields(&violations, left_out),
            CallError::PolicyInvalid { field, errors } => return policy_invalid(field, &errors),
            CallError::Rejected { rejection, named } => {
                return status_of(&proto_rejections(&rejection, &named), retry);
            }
            CallError::Internal(cause) => return internal(log(&cause)),
            CallError::CurrencyMismatch { expected, field } => {
                return mixed_currencies(expected, field, message);
            }
            CallError::CallerLimit {
                limit,
                limit_max,
                retry,
            } => return beyond_limit(limit, limit_max, retry, message),
            CallError::MetadataTooLarge => one("limit_bytes", METADATA_BYTES_MAX.to_string()),
            CallError::MessageTooLarge { limit_bytes } => {
                one("limit_bytes", limit_bytes.to_string())
            }
            CallError::RoleNotAllowed { role } | CallError::RoleUnknown { role } => {
                one("role", role)
            }
            CallError::StoreNotFound { store } | CallError::StoreAlreadyExists { store } => {
                one("store_id", store)
            }
            CallError::WarehouseNotFound { warehouse } => {
                one("warehouse_id", warehouse.to_string())
            }
            CallError::RequestIdReused { request_id } => one("request_id", request_id.to_string()),
            CallError::PresetNotFound { preset } => one("preset", preset),
            CallError::PolicyNotFound { version } | CallError::SecondPersonNeeded { version } => {
                one("version", version.to_string())
            }
            CallError::EtagMismatch { present } => one("etag", present),
            CallError::OutcomeUnknown { request_id } => {
                let id = request_id.map(|id| ("request_id", id.to_string()));
                id.into_iter().collect()
            }
            CallError::Position(PositionError::Expired {
                partition,
                position,
                oldest,
            }) => vec![
                ("partition", partition.to_string()),
                ("position", position.to_string()),
                ("oldest_position", oldest.to_string()),
            ],
            CallError::Position(PositionError::Ahead {
                partition,
                position,
                last,
            }) => vec![
                ("partition", partition.to_string()),
                ("position", position.to_string()),
                ("last_position", last.to_string()),
            ],
            CallError::ConsumerNotFound { consumer } => one("consumer_id", consumer.to_string()),
            CallError::PositionBehind {
                consumer,
                partition,
                position,
            } => vec![
                ("consumer_id", consumer.to_string()),
                ("partition", partition.to_string()),
                ("position", position.to_string()),
            ],
            CallError::ConsumersExhausted { limit_max }
            | CallError::BulkCancellationsExhausted { limit_max } => {
                one("limit_max", limit_max.to_string())
            }
            CallError::BulkCancellationNotFound { id } => {
                one("bulk_cancellation_id", id.to_string())
            }
            CallError::MethodUnknown
            | CallError::EncodingUnsupported
            | CallError::NameUnknown { .. }
            | CallError::PageTokenInvalid
            | CallError::ResumeTokenInvalid
            | CallError::WatcherTooSlow
            | CallError::DeadlineExceeded
            | CallError::CallerUnknown
            | CallError::SessionEnded
            | CallError::Overloaded
            | CallError::Shed { .. }
            | CallError::OutOfScope
            | CallError::DatabaseUnavailable
            | CallError::Contention => Vec::new(),
        };
        let metadata = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        let rejection = ProtoRejection {
            reason,
            subject: String::new(),
            message,
            metadata,
        };
        status_of(&[rejection], retry)
    }
}

/// UNAVAILABLE is always safe to repeat, and nothing else is.
pub fn may_be_repeated(status: &Status) -> bool {
    status.code() == Code::Unavailable
}

/// The status of a call with these rejections, the decisive one first. A delay that is given stands
/// in place of the reason's own.
fn status_of(rejections: &[ProtoRejection], retry: Option<Duration>) -> Status {
    let [first, ..] = rejections else {
        panic!("a call was refused without a reason")
    };
    let reason = first.reason;
    let (code, with) = code(reason);
    let violations = if let With::Field(field) = with {
        StatusViolations::BadRequest(vec![(field.to_owned(), first.message.clone())], 0)
    } else if code == Code::FailedPrecondition {
        let entry = |rejection: &ProtoRejection| {
            [
                rejection.reason.name().to_owned(),
                rejection.subject.clone(),
                rejection.message.clone(),
            ]
        };
        StatusViolations::Preconditions(rejections.iter().map(entry).collect())
    } else {
        StatusViolations::None
    };
    StatusDraft {
        code,
        reason,
        message: first.message.clone(),
        metadata: first.metadata.clone(),
        violations,
        retry_delay: match with {
            With::RetryDelay(delay) => Some(retry.unwrap_or(delay)),
            With::Nothing | With::Field(_) => None,
        },
    }
    .fit()
}

fn invalid_fields(violations: &[FieldViolation], left_out: usize) -> Status {
    let entries = violations
        .iter()
        .map(|violation| (violation.field.clone(), violation.description.clone()));
    bad_request(ErrorReason::InvalidField, entries.collect(), left_out)
}

fn policy_invalid(field: &str, errors: &[DocumentError]) -> Status {
    let path = |error: &DocumentError| match error.path.as_str() {
        "" => field.to_owned(),
        path => format!("{field}.{path}"),
    };
    let entries = errors
        .iter()
        .map(|error| (path(error), error.description.clone()));
    bad_request(ErrorReason::PolicyInvalid, entries.collect(), 0)
}

fn mixed_currencies(expected: Currency, field: String, message: String) -> Status {
    StatusDraft {
        code: code(ErrorReason::CurrencyMismatch).0,
        reason: ErrorReason::CurrencyMismatch,
        message: message.clone(),
        metadata: HashMap::from([("currency_code".to_owned(), expected.code().to_owned())]),
        violations: StatusViolations::BadRequest(vec![(field, message)], 0),
        retry_delay: None,
    }
    .fit()
}

fn beyond_limit(limit: CallerLimit, limit_max: u32, retry: Duration, message: String) -> Status {
    let metadata = [
        ("limit", limit.name().to_owned()),
        ("limit_max", limit_max.to_string()),
    ];
    StatusDraft {
        code: code(ErrorReason::CallerLimit).0,
        reason: ErrorReason::CallerLimit,
        message,
        metadata: metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
        violations: StatusViolations::None,
        retry_delay: Some(retry),
    }
    .fit()
}

fn bad_request(reason: ErrorReason, entries: Vec<(String, String)>, left_out: usize) -> Status {
    let message = match entries.first() {
        Some((field, description)) if field.is_empty() => description.clone(),
        Some((field, description)) => format!("{field}: {description}"),
        None => String::new(),
    };
    StatusDraft {
        code: code(reason).0,
        reason,
        message,
        metadata: HashMap::new(),
        violations: StatusViolations::BadRequest(entries, left_out),
        retry_delay: None,
    }
    .fit()
}

/// Fixed text for the caller; the cause is in the log, under the same trace id.
fn internal(trace_id: String) -> Status {
    let metadata = HashMap::from([("trace_id".to_owned(), trace_id)]);
    let details = ErrorDetails::with_error_info(ErrorReason::Internal.name(), DOMAIN, metadata);
    Status::with_error_details(
        Code::Internal,
        "an internal error; its trace id is in the details",
        details,
    )
}

/// What every status with a reason has: its code, and when to come back where that does not follow
/// from what was asked.
pub fn code_of(reason: ErrorReason) -> (Code, Option<Duration>) {
    let (code, with) = code(reason);
    match with {
        With::RetryDelay(delay) => (code, Some(delay)),
        With::Nothing | With::Field(_) => (code, None),
    }
}

#[cfg(test)]
mod tests;
