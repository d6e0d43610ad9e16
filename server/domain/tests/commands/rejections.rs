//! The order of `Rejection` is the order of `ErrorReason`.

use belay_domain::ids::{CarrierId, WarehouseId};
use belay_domain::rejection::{Denial, Limit, Rejection};
use belay_domain::shipment::Stage;
use belay_domain::terms::{DenyCode, GateKind, Path};

use crate::kit::{PLACED, eur, rung};

/// One of each, in the order of declaration.
fn one_of_each() -> Vec<Rejection> {
    let (reason, declared) = (String::new, Vec::new);
    let denied = |code| Denial {
        shipment: 1,
        path: Path::Cancel,
        code,
        rule: None,
        next_actions: Vec::new(),
        available_from: None,
        without_label: None,
        pay_by: None,
    };
    let mut all = vec![
        Rejection::InvalidField(Vec::new()),
        Rejection::OrderNotFound,
        Rejection::OutOfScope,
        Rejection::LineNotFound { line: 1 },
        Rejection::ShipmentNotFound { shipment: 1 },
        Rejection::CancellationNotFound { cancellation: 1 },
        Rejection::RefundNotFound { refund: 1 },
        Rejection::IncidentNotFound { incident: 1 },
        Rejection::RequestIdReused,
        Rejection::OrderAlreadyExists,
        Rejection::EtagMismatch { present: 1 },
        Rejection::FenceStale {
            present: 1,
            stage: Stage::Planned,
            cancellations: Vec::new(),
        },
        Rejection::UnknownWarehouse {
            warehouse: WarehouseId::parse("w").unwrap(),
        },
        Rejection::UnknownCarrier {
            carrier: CarrierId::parse("c").unwrap(),
        },
        Rejection::ReasonRequired {
            declared: declared(),
        },
        Rejection::ReasonUnknown {
            reason: reason(),
            declared: declared(),
        },
        Rejection::ReasonNotAllowed {
            reason: reason(),
            declared: declared(),
        },
        Rejection::NoteRequired { reason: reason() },
        Rejection::EvidenceRequired {
            reason: reason(),
            channels: Vec::new(),
        },
        Rejection::AlreadyPending { cancellation: 1 },
        Rejection::UnitsClaimed {
            line: 1,
            requested: 1,
            available: 0,
        },
        Rejection::QuantityUnavailable {
            line: 1,
            requested: 1,
            available: 0,
        },
        Rejection::NothingToCancel,
        Rejection::QuoteExpired {
            valid_until: PLACED,
        },
        Rejection::QuoteMismatch {
            quoted: String::new(),
            present: String::new(),
        },
    ];
    let codes = DenyCode::ALL.iter();
    all.extend(codes.map(|code| Rejection::Ineligible {
        violations: vec![denied(*code)],
        acceptable: Vec::new(),
    }));
    all.extend([
        Rejection::GateNotOpen {
            gate: GateKind::SellerConsent,
        },
        Rejection::GateTimedOut { respond_by: PLACED },
        Rejection::NotTheRequester,
        Rejection::TooLateToWithdraw { gate: None },
        Rejection::PaymentLapsed { pay_by: PLACED },
        Rejection::NotReleased,
        Rejection::StageMismatch {
            stage: Stage::Planned,
        },
        Rejection::ShipmentHeld { until: PLACED },
        Rejection::ShipmentBarred { cancellation: 1 },
        Rejection::SplitNotAllowed {
            next_actions: Vec::new(),
        },
        Rejection::CurrencyMismatch {
            expected: eur(0).currency,
        },
        Rejection::RefundNotClaimed { refund: 1 },
        Rejection::IncidentResolved { resolution: None },
        Rejection::ResolutionNotAllowed {
            allowed: Vec::new(),
        },
        Rejection::LimitReached {
            limit: Limit::Payments,
            max: 1,
        },
    ]);
    all
}

/// A new variant does not compile until it is counted here, and does not pass until it is listed
/// above.
fn position(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::InvalidField(_) => 0,
        Rejection::OrderNotFound => 1,
        Rejection::OutOfScope => 2,
        Rejection::LineNotFound { .. } => 3,
        Rejection::ShipmentNotFound { .. } => 4,
        Rejection::CancellationNotFound { .. } => 5,
        Rejection::RefundNotFound { .. } => 6,
        Rejection::IncidentNotFound { .. } => 7,
        Rejection::RequestIdReused => 8,
        Rejection::OrderAlreadyExists => 9,
        Rejection::EtagMismatch { .. } => 10,
        Rejection::FenceStale { .. } => 11,
        Rejection::UnknownWarehouse { .. } => 12,
        Rejection::UnknownCarrier { .. } => 13,
        Rejection::ReasonRequired { .. } => 14,
        Rejection::ReasonUnknown { .. } => 15,
        Rejection::ReasonNotAllowed { .. } => 16,
        Rejection::NoteRequired { .. } => 17,
        Rejection::EvidenceRequired { .. } => 18,
        Rejection::AlreadyPending { .. } => 19,
        Rejection::UnitsClaimed { .. } => 20,
        Rejection::QuantityUnavailable { .. } => 21,
        Rejection::NothingToCancel => 22,
        Rejection::QuoteExpired { .. } => 23,
        Rejection::QuoteMismatch { .. } => 24,
        Rejection::Ineligible { .. } => 25,
        Rejection::GateNotOpen { .. } => 26,
        Rejection::GateTimedOut { .. } => 27,
        Rejection::NotTheRequester => 28,
        Rejection::TooLateToWithdraw { .. } => 29,
        Rejection::PaymentLapsed { .. } => 30,
        Rejection::NotReleased => 31,
        Rejection::StageMismatch { .. } => 32,
        Rejection::ShipmentHeld { .. } => 33,
        Rejection::ShipmentBarred { .. } => 34,
        Rejection::SplitNotAllowed { .. } => 35,
        Rejection::CurrencyMismatch { .. } => 36,
        Rejection::RefundNotClaimed { .. } => 37,
        Rejection::IncidentResolved { .. } => 38,
        Rejection::ResolutionNotAllowed { .. } => 39,
        Rejection::LimitReached { .. } => 40,
    }
}

#[test]
fn every_rejection_has_its_error_reason_and_their_order_is_the_same() {
    let all = one_of_each();
    let mut positions: Vec<usize> = all.iter().map(position).collect();
    positions.dedup();
    assert_eq!(
        positions,
        (0..41).collect::<Vec<_>>(),
        "one of each is listed, in order"
    );
    let reasons: Vec<&str> = all.iter().map(|r| r.reason().name()).collect();
    assert!(
        reasons
            .iter()
            .map(|reason| rung(reason))
            .is_sorted_by(|a, b| a < b),
        "{reasons:?}"
    );
}

#[test]
fn a_rejection_is_stored_if_it_decides_about_an_order_that_is_there() {
    let not_stored: Vec<&str> = one_of_each()
        .iter()
        .filter(|r| !r.is_stored())
        .map(|r| r.reason().name())
        .collect();
    let expected = [
        "INVALID_FIELD",
        "ORDER_NOT_FOUND",
        "OUT_OF_SCOPE",
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
