//! The rejections of commands. Variants are in order of precedence: of all that apply, a write
//! fails with the first, and the checks, the protos' `ErrorReason` and the ladder tests keep this
//! order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error_reason::ErrorReason;
use crate::ids::{CarrierId, WarehouseId};
use crate::incident::Resolution;
use crate::money::Currency;
use crate::names::named_enum;
use crate::shipment::Stage;
use crate::terms::{DenyCode, GateKind, NextAction, Path};
use crate::units::LineQuantity;

/// A violation: what is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldViolation {
    /// Path of the field, such as `lines[2].quantity`.
    pub field: String,
    pub description: String,
}

/// A denial: the policy's no to one path for a portion of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub shipment: u32,
    pub path: Path,
    pub code: DenyCode,
    pub rule: Option<String>,
    pub next_actions: Vec<NextAction>,
    /// When the answer may differ, where it only takes time.
    pub available_from: Option<Timestamp>,
    /// What the buyer is told who gets no label, where that is why.
    pub without_label: Option<String>,
    /// When the order closes by itself, where that is why.
    pub pay_by: Option<Timestamp>,
}

named_enum! {
    /// A thing that an order may have only so many of.
    pub enum Limit {
        Cancellations = "cancellations",
        Payments = "payments",
        PaymentFacts = "facts of a payment",
        ShipmentFacts = "facts of a shipment",
        ShipmentReceipts = "receipts of a shipment",
        Shipments = "shipments",
        Contents = "contents of shipments",
        Parts = "parts of a cancellation",
        Bytes = "bytes",
        TextBytes = "bytes of texts",
        Notes = "notes",
        Metadata = "entries of metadata",
        References = "external references",
    }
}

impl Limit {
    /// Rejects one more where there are `max` already.
    pub(crate) fn check(self, count: usize, max: usize) -> Result<(), Rejection> {
        if count < max {
            Ok(())
        } else {
            Err(Rejection::LimitReached { limit: self, max })
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rejection {
    /// Every violation, not only the first.
    InvalidField(Vec<FieldViolation>),
    OrderNotFound,
    /// It would reach beyond what the caller sees.
    OutOfScope,
    LineNotFound {
        line: u32,
    },
    ShipmentNotFound {
        shipment: u32,
    },
    CancellationNotFound {
        cancellation: u32,
    },
    RefundNotFound {
        refund: u32,
    },
    IncidentNotFound {
        incident: u32,
    },
    RequestIdReused,
    OrderAlreadyExists,
    EtagMismatch {
        present: u64,
    },
    /// `stage` is what stands now; `cancellations` have cancelled units of the shipment or wait for
    /// some.
    FenceStale {
        present: u32,
        stage: Stage,
        cancellations: Vec<u32>,
    },
    UnknownWarehouse {
        warehouse: WarehouseId,
    },
    UnknownCarrier {
        carrier: CarrierId,
    },
    ReasonRequired {
        declared: Vec<String>,
    },
    ReasonUnknown {
        reason: String,
        declared: Vec<String>,
    },
    ReasonNotAllowed {
        reason: String,
        declared: Vec<String>,
    },
    NoteRequired {
        reason: String,
    },
    /// `channels` are where it may come from; empty where any will do.
    EvidenceRequired {
        reason: String,
        #[serde(default)]
        channels: Vec<String>,
    },
    /// The very same units are already being cancelled.
    AlreadyPending {
        cancellation: u32,
    },
    UnitsClaimed {
        line: u32,
        requested: u32,
        available: u32,
    },
    QuantityUnavailable {
        line: u32,
        requested: u32,
        available: u32,
    },
    /// Everything that the request names is cancelled already, and other units of the order are
    /// not.
    NothingToCancel,
    QuoteExpired {
        valid_until: Timestamp,
    },
    /// What would come of the request is no longer what was quoted. Both are JSON, for a rejection
    /// is stored, and they are blanked for who may not see money.
    QuoteMismatch {
        quoted: String,
        present: String,
    },
    /// At least one; their first code is the reason of the error.
    Ineligible {
        violations: Vec<Denial>,
        acceptable: Vec<LineQuantity>,
    },
    /// No gate awaits this answer, and none ever did.
    GateNotOpen {
        gate: GateKind,
    },
    /// The answer was awaited until then.
    GateTimedOut {
        respond_by: Timestamp,
    },
    /// Only the requester may withdraw it.
    NotTheRequester,
    /// A warehouse or a carrier has acted on it already, at this gate; or it is over, where none is
    /// named.
    TooLateToWithdraw {
        gate: Option<GateKind>,
    },
    /// What the order was paid with covers it no more; it closes then.
    PaymentLapsed {
        pay_by: Timestamp,
    },
    NotReleased,
    StageMismatch {
        stage: Stage,
    },
    ShipmentHeld {
        until: Timestamp,
    },
    /// A waiting part of this cancellation keeps the shipment in.
    ShipmentBarred {
        cancellation: u32,
    },
    /// The policy offers other ways out for a shipment that customs may stop.
    SplitNotAllowed {
        next_actions: Vec<NextAction>,
    },
    /// All money of an order is in one currency.
    CurrencyMismatch {
        expected: Currency,
    },
    RefundNotClaimed {
        refund: u32,
    },
    /// The incident was resolved otherwise.
    IncidentResolved {
        resolution: Option<Resolution>,
    },
    /// `allowed` are those that make sense for this incident now.
    ResolutionNotAllowed {
        allowed: Vec<Resolution>,
    },
    LimitReached {
        limit: Limit,
        max: usize,
    },
}

impl Rejection {
    pub fn reason(&self) -> ErrorReason {
        match self {
            Rejection::InvalidField(_) => ErrorReason::InvalidField,
            Rejection::OrderNotFound => ErrorReason::OrderNotFound,
            Rejection::OutOfScope => ErrorReason::OutOfScope,
            Rejection::LineNotFound { .. } => ErrorReason::LineNotFound,
            Rejection::ShipmentNotFound { .. } => ErrorReason::ShipmentNotFound,
            Rejection::CancellationNotFound { .. } => ErrorReason::CancellationNotFound,
            Rejection::RefundNotFound { .. } => ErrorReason::RefundNotFound,
            Rejection::IncidentNotFound { .. } => ErrorReason::IncidentNotFound,
            Rejection::RequestIdReused => ErrorReason::RequestIdReused,
            Rejection::OrderAlreadyExists => ErrorReason::OrderAlreadyExists,
            Rejection::EtagMismatch { .. } => ErrorReason::EtagMismatch,
            Rejection::FenceStale { .. } => ErrorReason::FenceStale,
            Rejection::UnknownWarehouse { .. } => ErrorReason::UnknownWarehouse,
            Rejection::UnknownCarrier { .. } => ErrorReason::UnknownCarrier,
            Rejection::ReasonRequired { .. } => ErrorReason::ReasonRequired,
            Rejection::ReasonUnknown { .. } => ErrorReason::ReasonUnknown,
            Rejection::ReasonNotAllowed { .. } => ErrorReason::ReasonNotAllowed,
            Rejection::NoteRequired { .. } => ErrorReason::NoteRequired,
            Rejection::EvidenceRequired { .. } => ErrorReason::EvidenceRequired,
            Rejection::AlreadyPending { .. } => ErrorReason::AlreadyPending,
            Rejection::UnitsClaimed { .. } => ErrorReason::UnitsClaimed,
            Rejection::QuantityUnavailable { .. } => ErrorReason::QuantityUnavailable,
            Rejection::NothingToCancel => ErrorReason::NothingToCancel,
            Rejection::QuoteExpired { .. } => ErrorReason::QuoteExpired,
            Rejection::QuoteMismatch { .. } => ErrorReason::QuoteMismatch,
            Rejection::Ineligible { violations, .. } => violations
                .first()
                .map_or(ErrorReason::NotAllowed, |first| first.code.reason()),
            Rejection::GateNotOpen { .. } => ErrorReason::GateNotOpen,
            Rejection::GateTimedOut { .. } => ErrorReason::GateTimedOut,
            Rejection::NotTheRequester => ErrorReason::NotTheRequester,
            Rejection::TooLateToWithdraw { .. } => ErrorReason::TooLateToWithdraw,
            Rejection::PaymentLapsed { .. } => ErrorReason::PaymentLapsed,
            Rejection::NotReleased => ErrorReason::NotReleased,
            Rejection::StageMismatch { .. } => ErrorReason::StageMismatch,
            Rejection::ShipmentHeld { .. } => ErrorReason::ShipmentHeld,
            Rejection::ShipmentBarred { .. } => ErrorReason::ShipmentBarred,
            Rejection::SplitNotAllowed { .. } => ErrorReason::SplitNotAllowed,
            Rejection::CurrencyMismatch { .. } => ErrorReason::CurrencyMismatch,
            Rejection::RefundNotClaimed { .. } => ErrorReason::RefundNotClaimed,
            Rejection::IncidentResolved { .. } => ErrorReason::IncidentResolved,
            Rejection::ResolutionNotAllowed { .. } => ErrorReason::ResolutionNotAllowed,
            Rejection::LimitReached { .. } => ErrorReason::LimitReached,
        }
    }

    /// Whether the rejection is a decision about an existing order, to be stored and repeated to
    /// the same request_id. What depends only on the request, or on what the caller last saw, is
    /// decided afresh each time: all that comes up to a stale fence, and a few beyond.
    pub fn is_stored(&self) -> bool {
        let reason = self.reason();
        let is_of_the_request = matches!(
            reason,
            ErrorReason::QuoteExpired | ErrorReason::QuoteMismatch | ErrorReason::CurrencyMismatch
        );
        reason > ErrorReason::FenceStale && !is_of_the_request
    }
}
