//! The order of `Rejection` is the order of `ErrorReason`.

use belay_domain::cancellation::{GateKind, Path};
use belay_domain::policy::DenyCode;
use belay_domain::rejection::{Ineligibility, Rejection};
use belay_domain::shipment::Stage;

use crate::kit::{PLACED, eur, rung};

/// One of each, in the order of declaration.
fn one_of_each() -> Vec<Rejection> {
    let (reason, declared) = (String::new, Vec::new);
    let denied = |code| Ineligibility {
        shipment: 1,
        path: Path::Cancel,
        code,
        rule: None,
        next_actions: Vec::new(),
        available_from: None,
        without_label: None,
    };
    let mut all = vec![
        Rejection::InvalidField(Vec::new()),
        Rejection::OrderNotFound,
        Rejection::LineNotFound { line: 1 },
        Rejection::ShipmentNotFound { shipment: 1 },
        Rejection::CancellationNotFound { cancellation: 1 },
        Rejection::RefundNotFound { refund: 1 },
        Rejection::IncidentNotFound { incident: 1 },
        Rejection::RequestIdReused,
        Rejection::OrderAlreadyExists,
        Rejection::EtagMismatch { present: 1 },
        Rejection::FenceStale { present: 1, stage: Stage::Planned, cancellations: Vec::new() },
        Rejection::UnknownWarehouse { warehouse: String::new() },
        Rejection::UnknownCarrier { carrier: String::new() },
        Rejection::ReasonRequired { declared: declared() },
        Rejection::ReasonUnknown { reason: reason(), declared: declared() },
        Rejection::ReasonNotAllowed { reason: reason(), declared: declared() },
        Rejection::NoteRequired { reason: reason() },
        Rejection::EvidenceRequired { reason: reason(), channels: Vec::new() },
        Rejection::AlreadyPending { cancellation: 1 },
        Rejection::UnitsClaimed { line: 1, requested: 1, available: 0 },
        Rejection::QuantityUnavailable { line: 1, requested: 1, available: 0 },
        Rejection::QuoteExpired { valid_until: PLACED },
        Rejection::QuoteMismatch { quoted: String::new(), present: String::new() },
    ];
    let codes = DenyCode::ALL.iter();
    all.extend(codes.map(|code| Rejection::Ineligible { violations: vec![denied(*code)], acceptable: Vec::new() }));
    all.extend([
        Rejection::GateNotOpen { gate: GateKind::SellerConsent },
        Rejection::GateTimedOut { respond_by: PLACED },
        Rejection::NotTheRequester,
        Rejection::TooLateToWithdraw { gate: None },
        Rejection::NotReleased,
        Rejection::StageMismatch { stage: Stage::Planned },
        Rejection::ShipmentHeld { until: PLACED },
        Rejection::ShipmentBarred { cancellation: 1 },
        Rejection::SplitNotAllowed { next_actions: Vec::new() },
        Rejection::CurrencyMismatch { expected: eur(0).currency },
        Rejection::RefundNotClaimed { refund: 1 },
        Rejection::IncidentResolved { resolution: None },
        Rejection::ResolutionNotAllowed { allowed: Vec::new() },
        Rejection::LimitReached { limit: String::new(), max: 1 },
    ]);
    all
}

/// A new variant does not compile until it is counted here, and does not pass until it is listed above.
fn position(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::InvalidField(_) => 0,
        Rejection::OrderNotFound => 1,
        Rejection::LineNotFound { .. } => 2,
        Rejection::ShipmentNotFound { .. } => 3,
        Rejection::CancellationNotFound { .. } => 4,
        Rejection::RefundNotFound { .. } => 5,
        Rejection::IncidentNotFound { .. } => 6,
        Rejection::RequestIdReused => 7,
        Rejection::OrderAlreadyExists => 8,
        Rejection::EtagMismatch { .. } => 9,
        Rejection::FenceStale { .. } => 10,
        Rejection::UnknownWarehouse { .. } => 11,
        Rejection::UnknownCarrier { .. } => 12,
        Rejection::ReasonRequired { .. } => 13,
        Rejection::ReasonUnknown { .. } => 14,
        Rejection::ReasonNotAllowed { .. } => 15,
        Rejection::NoteRequired { .. } => 16,
        Rejection::EvidenceRequired { .. } => 17,
        Rejection::AlreadyPending { .. } => 18,
        Rejection::UnitsClaimed { .. } => 19,
        Rejection::QuantityUnavailable { .. } => 20,
        Rejection::QuoteExpired { .. } => 21,
        Rejection::QuoteMismatch { .. } => 22,
        Rejection::Ineligible { .. } => 23,
        Rejection::GateNotOpen { .. } => 24,
        Rejection::GateTimedOut { .. } => 25,
        Rejection::NotTheRequester => 26,
        Rejection::TooLateToWithdraw { .. } => 27,
        Rejection::NotReleased => 28,
        Rejection::StageMismatch { .. } => 29,
        Rejection::ShipmentHeld { .. } => 30,
        Rejection::ShipmentBarred { .. } => 31,
        Rejection::SplitNotAllowed { .. } => 32,
        Rejection::CurrencyMismatch { .. } => 33,
        Rejection::RefundNotClaimed { .. } => 34,
        Rejection::IncidentResolved { .. } => 35,
        Rejection::ResolutionNotAllowed { .. } => 36,
        Rejection::LimitReached { .. } => 37,
    }
}

#[test]
fn every_rejection_has_its_error_reason_and_their_order_is_the_same() {
    let all = one_of_each();
    let mut positions: Vec<usize> = all.iter().map(position).collect();
    positions.dedup();
    assert_eq!(positions, (0..38).collect::<Vec<_>>(), "one of each is listed, in order");
    let reasons: Vec<&str> = all.iter().map(Rejection::reason).collect();
    assert!(reasons.iter().map(|reason| rung(reason)).is_sorted_by(|a, b| a < b), "{reasons:?}");
}

#[test]
fn a_refusal_is_stored_if_it_decides_about_an_order_that_is_there() {
    let not_stored: Vec<&str> = one_of_each().iter().filter(|r| !r.is_stored()).map(Rejection::reason).collect();
    let expected = [
        "INVALID_FIELD",
        "ORDER_NOT_FOUND",
        "LINE_NOT_FOUND",
        "SHIPMENT_NOT_FOUND",
        "CANCELLATION_NOT_FOUND",
        "REFUND_NOT_FOUND",
        "INCIDENT_NOT_FOUND",
        "REQUEST_ID_REUSED",
        "ORDER_ALREADY_EXISTS",
        "ETAG_MISMATCH",
        "FENCE_STALE",
        "QUOTE_EXPIRED",
        "QUOTE_MISMATCH",
        "CURRENCY_MISMATCH",
    ];
    assert_eq!(not_stored, expected);
}
