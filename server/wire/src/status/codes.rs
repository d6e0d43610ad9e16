//! The gRPC code of each reason: one table, kept equal to the comments of `ErrorReason` by a test.

use std::time::Duration;

use belay_domain::error_reason::ErrorReason;
use tonic::Code;

/// When to come back.
const OVERLOADED_RETRY: Duration = Duration::from_millis(250);
const CONTENTION_RETRY: Duration = Duration::from_millis(50);
const OUTCOME_UNKNOWN_RETRY: Duration = Duration::from_millis(500);
const DATABASE_RETRY: Duration = Duration::from_secs(1);

/// The part of a status, beside its code, that the reason decides.
#[derive(Debug, Clone, Copy)]
pub(super) enum With {
    Nothing,
    /// The field that a request without other violations is refused for.
    Field(&'static str),
    RetryDelay(Duration),
}

/// The canonical code of each reason, which the comments of `ErrorReason` say as well, and what its
/// status says beside it.
#[expect(clippy::too_many_lines, reason = "a table: a row for each reason")]
pub(super) fn code(reason: ErrorReason) -> (Code, With) {
    match reason {
        ErrorReason::MethodUnknown | ErrorReason::EncodingUnsupported => {
            (Code::Unimplemented, With::Nothing)
        }
        // Their statuses name the fields themselves.
        ErrorReason::InvalidField | ErrorReason::PolicyInvalid => {
            (Code::InvalidArgument, With::Nothing)
        }
        ErrorReason::PageTokenInvalid => (Code::InvalidArgument, With::Field("page_token")),
        ErrorReason::ResumeTokenInvalid => (Code::InvalidArgument, With::Field("resume_token")),
        ErrorReason::UnknownWarehouse | ErrorReason::UnknownCarrier => {
            (Code::InvalidArgument, With::Field("shipments"))
        }
        ErrorReason::ReasonRequired
        | ErrorReason::ReasonUnknown
        | ErrorReason::ReasonNotAllowed => (Code::InvalidArgument, With::Field("reason")),
        ErrorReason::NoteRequired => (Code::InvalidArgument, With::Field("note")),
        ErrorReason::EvidenceRequired => (Code::InvalidArgument, With::Field("evidence")),
        // Of what somebody outside says of an order that is there.
        ErrorReason::CurrencyMismatch => {
            (Code::InvalidArgument, With::Field("amount.currency_code"))
        }
        ErrorReason::MetadataTooLarge | ErrorReason::MessageTooLarge => {
            (Code::ResourceExhausted, With::Nothing)
        }
        // How long to wait follows from what the caller has asked for.
        ErrorReason::CallerLimit => (Code::ResourceExhausted, With::Nothing),
        ErrorReason::Overloaded => (Code::ResourceExhausted, With::RetryDelay(OVERLOADED_RETRY)),
        ErrorReason::PositionExpired | ErrorReason::PositionAhead => {
            (Code::OutOfRange, With::Nothing)
        }
        ErrorReason::DeadlineExceeded => (Code::DeadlineExceeded, With::Nothing),
        ErrorReason::CallerUnknown | ErrorReason::SessionEnded => {
            (Code::Unauthenticated, With::Nothing)
        }
        ErrorReason::SecondPersonNeeded
        | ErrorReason::RoleNotAllowed
        | ErrorReason::OutOfScope
        | ErrorReason::NotTheRequester => (Code::PermissionDenied, With::Nothing),
        ErrorReason::NameUnknown
        | ErrorReason::StoreNotFound
        | ErrorReason::WarehouseNotFound
        | ErrorReason::PresetNotFound
        | ErrorReason::PolicyNotFound
        | ErrorReason::OrderNotFound
        | ErrorReason::LineNotFound
        | ErrorReason::ShipmentNotFound
        | ErrorReason::CancellationNotFound
        | ErrorReason::RefundNotFound
        | ErrorReason::IncidentNotFound
        | ErrorReason::BulkCancellationNotFound
        | ErrorReason::ConsumerNotFound => (Code::NotFound, With::Nothing),
        ErrorReason::RequestIdReused
        | ErrorReason::OrderAlreadyExists
        | ErrorReason::StoreAlreadyExists => (Code::AlreadyExists, With::Nothing),
        ErrorReason::WatcherTooSlow
        | ErrorReason::EtagMismatch
        | ErrorReason::FenceStale
        | ErrorReason::QuoteExpired
        | ErrorReason::QuoteMismatch => (Code::Aborted, With::Nothing),
        ErrorReason::OrderClosed
        | ErrorReason::AlreadyPending
        | ErrorReason::UnitsClaimed
        | ErrorReason::QuantityUnavailable
        | ErrorReason::NothingToCancel
        | ErrorReason::NotAllowed
        | ErrorReason::Shipped
        | ErrorReason::Delivered
        | ErrorReason::AlreadyEnded
        | ErrorReason::PaymentVerifying
        | ErrorReason::UnpaidClosesItself
        | ErrorReason::RefundNotOffered
        | ErrorReason::NotInterceptable
        | ErrorReason::CarrierRefused
        | ErrorReason::WarehouseCannotStop
        | ErrorReason::LabelUnavailableInRegion
        | ErrorReason::NoAgreement
        | ErrorReason::ConsentRefused
        | ErrorReason::GateNotOpen
        | ErrorReason::GateTimedOut
        | ErrorReason::TooLateToWithdraw
        | ErrorReason::PaymentLapsed
        | ErrorReason::NotReleased
        | ErrorReason::StageMismatch
        | ErrorReason::ShipmentHeld
        | ErrorReason::ShipmentBarred
        | ErrorReason::SplitNotAllowed
        | ErrorReason::RefundNotClaimed
        | ErrorReason::IncidentResolved
        | ErrorReason::ResolutionNotAllowed
        | ErrorReason::LimitReached
        | ErrorReason::PositionBehind
        | ErrorReason::ConsumersExhausted
        | ErrorReason::BulkCancellationsExhausted => (Code::FailedPrecondition, With::Nothing),
        ErrorReason::DatabaseUnavailable => (Code::Unavailable, With::RetryDelay(DATABASE_RETRY)),
        ErrorReason::Contention => (Code::Unavailable, With::RetryDelay(CONTENTION_RETRY)),
        ErrorReason::OutcomeUnknown => (Code::Unavailable, With::RetryDelay(OUTCOME_UNKNOWN_RETRY)),
        ErrorReason::Internal => (Code::Internal, With::Nothing),
    }
}
