//! The order of `Rejection` is the order of `ErrorReason`.

use belay_domain::cancellation::Path;
use belay_domain::policy::DenyCode;
use belay_domain::rejection::{Ineligibility, Rejection};
use belay_domain::shipment::Stage;

use crate::kit::{eur, rung};

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
    };
    let mut all = vec![
        Rejection::InvalidField(Vec::new()),
        Rejection::OrderNotFound,
        Rejection::OutOfScope,
        Rejection::LineNotFound { line: 1 },
        Rejection::ShipmentNotFound { shipment: 1 },
        Rejection::RefundNotFound { refund: 1 },
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
        Rejection::EvidenceRequired { reason: reason() },
        Rejection::AlreadyPending { cancellation: 1 },
        Rejection::UnitsClaimed { line: 1, requested: 1, available: 0 },
        Rejection::QuantityUnavailable { line: 1, requested: 1, available: 0 },
    ];
    let codes = DenyCode::ALL.iter();
    all.extend(codes.map(|code| Rejection::Ineligible { violations: vec![denied(*code)], acceptable: Vec::new() }));
    all.extend([
        Rejection::NotReleased,
        Rejection::StageMismatch { stage: Stage::Planned },
        Rejection::ShipmentBarred { cancellation: 1 },
        Rejection::CurrencyMismatch { expected: eur(0).currency },
        Rejection::RefundNotClaimed { refund: 1 },
        Rejection::LimitReached { limit: String::new(), max: 1 },
    ]);
    all
}

/// A new variant does not compile until it is counted here, and does not pass until it is listed above.
fn position(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::InvalidField(_) => 0,
        Rejection::OrderNotFound => 1,
        Rejection::OutOfScope => 2,
        Rejection::LineNotFound { .. } => 3,
        Rejection::ShipmentNotFound { .. } => 4,
        Rejection::RefundNotFound { .. } => 5,
        Rejection::RequestIdReused => 6,
        Rejection::OrderAlreadyExists => 7,
        Rejection::EtagMismatch { .. } => 8,
        Rejection::FenceStale { .. } => 9,
        Rejection::UnknownWarehouse { .. } => 10,
        Rejection::UnknownCarrier { .. } => 11,
        Rejection::ReasonRequired { .. } => 12,
        Rejection::ReasonUnknown { .. } => 13,
        Rejection::ReasonNotAllowed { .. } => 14,
        Rejection::NoteRequired { .. } => 15,
        Rejection::EvidenceRequired { .. } => 16,
        Rejection::AlreadyPending { .. } => 17,
        Rejection::UnitsClaimed { .. } => 18,
        Rejection::QuantityUnavailable { .. } => 19,
        Rejection::Ineligible { .. } => 20,
        Rejection::NotReleased => 21,
        Rejection::StageMismatch { .. } => 22,
        Rejection::ShipmentBarred { .. } => 23,
        Rejection::CurrencyMismatch { .. } => 24,
        Rejection::RefundNotClaimed { .. } => 25,
        Rejection::LimitReached { .. } => 26,
    }
}

#[test]
fn every_rejection_has_its_error_reason_and_their_order_is_the_same() {
    let all = one_of_each();
    let mut positions: Vec<usize> = all.iter().map(position).collect();
    positions.dedup();
    assert_eq!(positions, (0..27).collect::<Vec<_>>(), "one of each is listed, in order");
    let reasons: Vec<&str> = all.iter().map(Rejection::reason).collect();
    assert!(reasons.iter().map(|reason| rung(reason)).is_sorted_by(|a, b| a < b), "{reasons:?}");
}

#[test]
fn a_refusal_is_stored_if_it_decides_about_an_order_that_is_there() {
    let not_stored: Vec<&str> = one_of_each().iter().filter(|r| !r.is_stored()).map(Rejection::reason).collect();
    let expected = [
        "INVALID_FIELD",
        "ORDER_NOT_FOUND",
        "OUT_OF_SCOPE",
        "LINE_NOT_FOUND",
        "SHIPMENT_NOT_FOUND",
        "REFUND_NOT_FOUND",
        "REQUEST_ID_REUSED",
        "ORDER_ALREADY_EXISTS",
        "ETAG_MISMATCH",
        "FENCE_STALE",
        "CURRENCY_MISMATCH",
    ];
    assert_eq!(not_stored, expected);
}
