//! The error of a call: a [`Kind`] and an [`ErrorReason`] for programs, a message for people.

mod unsent;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::error_reason::ErrorReason;
use crate::ids::RequestId;
use crate::model::{Denial, Rejection};
use crate::wire::Malformed;

/// The message of the status with which tonic, on either side, reports a deadline that has passed.
/// Its code is CANCELLED.
const TIMEOUT_MESSAGE: &str = "Timeout expired";

/// An error of the caller's own code, such as its checkpoint or its payment provider.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The kind of a failure. It says what the caller can do.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request is invalid, whatever the state. Correct it.
    InvalidArgument,
    /// The object does not exist, or is outside the caller's scope.
    NotFound,
    /// The id or the request id was used with other content.
    AlreadyExists,
    /// The caller's role may not make this call.
    PermissionDenied,
    /// The server does not know the caller.
    Unauthenticated,
    /// The state or the policy does not allow it (FAILED_PRECONDITION).
    /// [`rejections`](Error::rejections) lists everything that does not.
    Rejected,
    /// The etag, fence or quote is outdated. Read again and decide again. The client does not
    /// repeat the call, because the caller may decide otherwise now.
    Aborted,
    /// A position is out of range.
    OutOfRange,
    /// The server is overloaded, or the message is too large (RESOURCE_EXHAUSTED). Nothing was
    /// done.
    Overloaded,
    /// The server or its database cannot be reached, or the connection of a read broke, which a
    /// proxy may say in the server's place (HTTP 429, 502, 503 and 504). Nothing was done. The
    /// client has repeated the call already, as far as its [`RetryPolicy`](crate::RetryPolicy)
    /// allows.
    Unavailable,
    /// The deadline of a read has passed.
    DeadlineExceeded,
    /// A write was sent and its answer did not arrive: the deadline passed or the connection broke.
    /// It has had its effect or not. Sent again with the same request id it has one effect, and its
    /// answer tells which: see [`CallError::resume`](crate::CallError::resume).
    OutcomeUnknown,
    /// A proxy or the server cancelled the call.
    Cancelled,
    /// The server has no such RPC: it is older than the client.
    Unimplemented,
    /// A defect of the server, or of its response.
    Internal,
    /// The client is set up wrongly: address, role, name, or no runtime. Nothing was sent.
    Setup,
}

/// An invalid field of the request, with the violation.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path in the request, such as `lines[2].quantity`.
    pub field: String,
    /// The violation, for people.
    pub description: String,
}

/// The error of a call: kind, reason, facts and message.
///
/// ```no_run
/// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
/// use belay_client::{ErrorReason, Units};
///
/// match store.request_cancellation("A-1", Units::all()).await {
///     Ok(requested) => println!("{}", requested.cancellation.state),
///     Err(error) if error.has_reason(&ErrorReason::Shipped) => println!("it has left already"),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    reason: Option<ErrorReason>,
    message: String,
    metadata: BTreeMap<String, String>,
    field_violations: Vec<FieldViolation>,
    rejections: Vec<Rejection>,
    retry_after: Option<Duration>,
    request_id: Option<RequestId>,
    /// As the server or tonic told it; of what was never sent, what a server would have told.
    code: Code,
    /// It ended before its request had left.
    is_unsent: bool,
    source: Option<Status>,
}

impl Error {
    /// The kind of the failure.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The reason, to branch on. `None` if the error does not come from Belay, such as that of a
    /// broken connection.
    pub fn reason(&self) -> Option<&ErrorReason> {
        self.0.reason.as_ref()
    }

    /// Whether the call failed for this reason.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::ErrorReason;
    ///
    /// match store.get_order("A-1").await {
    ///     Ok(order) => println!("{}", order.display_state),
    ///     Err(error) if error.has_reason(&ErrorReason::OrderNotFound) => println!("no such order"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn has_reason(&self, reason: &ErrorReason) -> bool {
        self.reason() == Some(reason)
    }

    /// Whether the call's deadline has passed. What became of a write is then unknown. A call that
    /// has reached nobody by then is [`Kind::Unavailable`] instead.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// match store.get_order("A-1").await {
    ///     Err(error) if error.is_timeout() => println!("the service is slow"),
    ///     outcome => println!("{}", outcome?.display_state),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_timeout(&self) -> bool {
        self.has_reason(&ErrorReason::DeadlineExceeded)
    }

    /// Whether a write has had its effect or not, and nobody here knows ([`Kind::OutcomeUnknown`]).
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::Units;
    ///
    /// let requested = match store.request_cancellation("A-1", Units::all()).await {
    ///     // The same request again: it tells what became of it.
    ///     Err(error) if error.is_outcome_unknown() => error.resume().await?,
    ///     outcome => outcome?,
    /// };
    /// println!("{}", requested.cancellation.state);
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_outcome_unknown(&self) -> bool {
        self.kind() == Kind::OutcomeUnknown
    }

    /// Whether the state or the policy does not allow the call, for this reason among others: it is
    /// one of the [`rejections`](Self::rejections).
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::{ErrorReason, Units};
    ///
    /// if let Err(error) = store.request_cancellation("A-1", Units::all()).await {
    ///     if error.is_refused_for(&ErrorReason::Shipped) {
    ///         println!("some of it has left already");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_refused_for(&self, reason: &ErrorReason) -> bool {
        let mut rejections = self.rejections().iter();
        let is_rejected = self.kind() == Kind::Rejected;
        is_rejected && (self.has_reason(reason) || rejections.any(|one| one.reason == *reason))
    }

    /// Whether the call was based on something outdated: an etag, a fence or a quote
    /// ([`Kind::Aborted`]). The caller reads again and decides again.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let packed = store.get_shipment("A-1:s1").await?;
    /// match store.dispatch_shipment(&packed.shipment_id, packed.fence).await {
    ///     Ok(shipment) => println!("{}", shipment.stage),
    ///     Err(error) if error.is_conflict() => println!("look at the shipment again"),
    ///     Err(error) => return Err(error.into()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_conflict(&self) -> bool {
        self.kind() == Kind::Aborted
    }

    /// Whether the failure passes by itself, so that what goes on without an end tries again: the
    /// server or its database cannot be reached, is full, or was too slow. An outdated etag, fence
    /// or quote does not pass.
    pub(crate) fn is_transient(&self) -> bool {
        match self.kind() {
            Kind::Unavailable | Kind::DeadlineExceeded | Kind::OutcomeUnknown | Kind::Cancelled => {
                true
            }
            Kind::Overloaded => {
                !self.has_reason(&ErrorReason::MessageTooLarge)
                    && !self.has_reason(&ErrorReason::MetadataTooLarge)
            }
            // The stream was not read for too long; it goes on behind its last token.
            Kind::Aborted => self.has_reason(&ErrorReason::WatcherTooSlow),
            // A token that holds opens the stream again; where there is none, that call says so.
            Kind::Unauthenticated => self.has_reason(&ErrorReason::SessionEnded),
            Kind::InvalidArgument
            | Kind::NotFound
            | Kind::AlreadyExists
            | Kind::PermissionDenied
            | Kind::Rejected
            | Kind::OutOfRange
            | Kind::Unimplemented
            | Kind::Internal
            | Kind::Setup => false,
        }
    }

    /// The facts behind the failure. The documentation of the reason names their keys.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.0.metadata
    }

    /// Every invalid field, with [`Kind::InvalidArgument`]. The server cuts a long list; a
    /// last entry without a field then says how many are left out.
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.0.field_violations
    }

    /// Every rejection of the call, in order of precedence, with [`Kind::Rejected`]. The server
    /// cuts a long list.
    pub fn rejections(&self) -> &[Rejection] {
        &self.0.rejections
    }

    /// The policy's denial of a cancellation, with what is possible instead. It is that of the
    /// first of the [`rejections`](Self::rejections).
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::Units;
    ///
    /// if let Err(error) = store.request_cancellation("A-1", Units::all()).await {
    ///     let Some(denial) = error.denial() else { return Err(error.into()) };
    ///     println!("{} is not possible; instead: {:?}", denial.shipment_id, denial.next_actions);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn denial(&self) -> Option<Denial> {
        Denial::of(self.reason()?, self.metadata())
    }

    /// The delay before a repeat, if the server asks for one.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The message, for people. Its wording is no contract.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The request id that the write was sent with. It is safe to send the same write with it
    /// again. `None` unless the call writes to an order.
    pub fn request_id(&self) -> Option<RequestId> {
        self.0.request_id
    }

    fn new(kind: Kind, reason: Option<ErrorReason>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            field_violations: Vec::new(),
            rejections: Vec::new(),
            retry_after: None,
            request_id: None,
            code: Code::Unknown,
            is_unsent: false,
            source: None,
        }))
    }

    /// The name of the gRPC code.
    pub(crate) fn code_name(&self) -> &'static str {
        match self.0.code {
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

    pub(crate) fn with_request_id(mut self, request_id: Option<RequestId>) -> Self {
        self.0.request_id = request_id;
        self
    }

    /// The same error of a write of which an attempt may have had its effect.
    pub(crate) fn with_unknown_outcome(mut self) -> Self {
        self.0.kind = Kind::OutcomeUnknown;
        self
    }

    /// Whether an attempt that ended so may have had its effect.
    pub(crate) fn leaves_outcome_unknown(&self) -> bool {
        match self.reason() {
            Some(ErrorReason::OutcomeUnknown | ErrorReason::DeadlineExceeded) => true,
            // What Belay says is so.
            Some(_) => false,
            None if self.was_not_sent() => false,
            None => match self.kind() {
                Kind::Unavailable | Kind::DeadlineExceeded | Kind::Cancelled | Kind::Internal => {
                    true
                }
                Kind::InvalidArgument
                | Kind::NotFound
                | Kind::AlreadyExists
                | Kind::PermissionDenied
                | Kind::Unauthenticated
                | Kind::Rejected
                | Kind::Aborted
                | Kind::OutOfRange
                | Kind::Overloaded
                | Kind::OutcomeUnknown
                | Kind::Unimplemented
                | Kind::Setup => false,
            },
        }
    }

    /// Whether the request has not even left.
    pub(crate) fn was_not_sent(&self) -> bool {
        if self.0.is_unsent {
            return true;
        }
        let cause = self.0.source.as_ref().and_then(Status::source);
        cause.is_some_and(never_connected)
    }

    /// Whether the request was decided: this is its answer, whichever attempt asks.
    pub(crate) fn is_decision(&self) -> bool {
        match self.kind() {
            Kind::InvalidArgument
            | Kind::NotFound
            | Kind::AlreadyExists
            | Kind::Rejected
            | Kind::OutOfRange => true,
            Kind::Aborted => !self.has_reason(&ErrorReason::Contention),
            Kind::PermissionDenied
            | Kind::Unauthenticated
            | Kind::Overloaded
            | Kind::Unavailable
            | Kind::DeadlineExceeded
            | Kind::OutcomeUnknown
            | Kind::Cancelled
            | Kind::Unimplemented
            | Kind::Internal
            | Kind::Setup => false,
        }
    }

    /// Names the server's address where the connection to it is what failed.
    pub(crate) fn at(mut self, address: &str) -> Self {
        let inner = &mut *self.0;
        if inner.kind == Kind::Unavailable && inner.source.is_some() {
            let hint = hint(address, &inner.message);
            inner.message = format!("{address}: {}{hint}", inner.message);
        }
        self
    }

    pub(crate) fn deadline_exceeded() -> Self {
        let mut error = Self::new(
            Kind::DeadlineExceeded,
            Some(ErrorReason::DeadlineExceeded),
            "the call's deadline has passed",
        );
        error.0.code = Code::DeadlineExceeded;
        error
    }

    pub(crate) fn malformed(malformed: &Malformed) -> Self {
        Self::new(
            Kind::Internal,
            None,
            format!("the server's answer lacks a valid `{}`", malformed.0),
        )
    }

    pub(crate) fn from_status(status: Status) -> Self {
        if is_timeout(&status) {
            return Self::deadline_exceeded();
        }
        let details = status.get_error_details();
        let mut error = Self::new(kind(&status), None, explain(&status));
        let inner = &mut *error.0;
        // Of a broken connection tonic's code is another one.
        let is_broken = inner.kind == Kind::Unavailable;
        inner.code = if is_broken {
            Code::Unavailable
        } else {
            status.code()
        };
        if let Some(info) = details.error_info().filter(|info| info.domain == "belay") {
            inner.reason = ErrorReason::from_name(info.reason.clone());
            inner.metadata = info.metadata.clone().into_iter().collect();
        }
        if let Some(bad_request) = details.bad_request() {
            let violations = bad_request.field_violations.iter();
            inner.field_violations = violations
                .map(|one| FieldViolation {
                    field: one.field.clone(),
                    description: one.description.clone(),
                })
                .collect();
        }
        if let Some(failure) = details.precondition_failure() {
            inner.rejections = failure
                .violations
                .iter()
                .filter_map(|one| {
                    Some(Rejection {
                        reason: ErrorReason::from_name(one.r#type.clone())?,
                        subject: one.subject.clone(),
                        message: one.description.clone(),
                        metadata: BTreeMap::new(),
                    })
                })
                .collect();
        }
        inner.retry_after = details.retry_info().and_then(|info| info.retry_delay);
        inner.source = status.source().is_some().then_some(status);
        error
    }
}

fn is_timeout(status: &Status) -> bool {
    status.code() == Code::Cancelled && status.message() == TIMEOUT_MESSAGE
}

fn kind(status: &Status) -> Kind {
    match status.code() {
        Code::DeadlineExceeded => Kind::DeadlineExceeded,
        // Whatever code tonic makes of it.
        _ if is_broken_connection(status) => Kind::Unavailable,
        Code::InvalidArgument => Kind::InvalidArgument,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::PermissionDenied => Kind::PermissionDenied,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::FailedPrecondition => Kind::Rejected,
        Code::Aborted => Kind::Aborted,
        Code::OutOfRange => Kind::OutOfRange,
        Code::ResourceExhausted => Kind::Overloaded,
        Code::Unavailable => Kind::Unavailable,
        Code::Cancelled => Kind::Cancelled,
        Code::Unimplemented => Kind::Unimplemented,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Kind::Internal,
    }
}

/// Whether the connection could not be made, or broke during the call. A status that the server
/// sent has no source. A status that tonic made of an error of the transport has one; its code is
/// UNKNOWN, CANCELLED or INTERNAL, where gRPC means UNAVAILABLE.
fn is_broken_connection(status: &Status) -> bool {
    status.source().is_some()
}

/// The message with its causes: the message of a broken connection alone says nothing.
fn explain(status: &Status) -> String {
    let mut message = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}

/// What the words of a broken connection mean to who has set it up.
fn hint(address: &str, message: &str) -> &'static str {
    if address.starts_with("https://") && message.contains("InvalidContentType") {
        "; the server seems to speak no TLS: http:// instead of https://?"
    } else {
        ""
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.reason {
            Some(reason) => write!(f, "{reason}: {}", self.0.message),
            None => write!(f, "{:?}: {}", self.0.kind, self.0.message),
        }?;
        let violations = self.0.field_violations.iter();
        violations
            .into_iter()
            .try_for_each(|one| write!(f, "; {}: {}", one.field, one.description))
    }
}

/// The kind, the reason with its facts and the message; nothing of the request but its id.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().and_then(Status::source)
    }
}

/// Whether a call failed before there was a connection for it.
pub(crate) fn never_connected(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
