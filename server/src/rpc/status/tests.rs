use std::collections::BTreeMap;

use belay_domain::cancellation::{GateKind, Path};
use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::incident::Resolution;
use belay_domain::policy::{DenyCode, NextAction};
use belay_domain::rejection::{Ineligibility, LineQuantity};
use belay_domain::shipment::Stage;
use jiff::Timestamp;
use prost::Message as _;

use super::*;

fn about() -> About {
    About {
        order: OrderId::parse("A-1").unwrap(),
        child: Some((ChildKind::Shipment, 1)),
        request_id: Some(Uuid::nil()),
    }
}

fn rejected(rejection: Rejection) -> Status {
    Failure::rejected(rejection, about()).into()
}

fn ineligible(code: DenyCode) -> Ineligibility {
    Ineligibility {
        shipment: 1,
        path: Path::Cancel,
        code,
        rule: None,
        next_actions: vec![],
        available_from: None,
        without_label: None,
        pay_by: None,
    }
}

/// Each once, in the order of precedence.
fn rejections() -> Vec<Rejection> {
    let reasons = vec!["A".to_owned(), "B".to_owned()];
    let text = || "x".to_owned();
    vec![
        Rejection::InvalidField(vec![FieldViolation { field: text(), description: text() }]),
        Rejection::OrderNotFound,
        Rejection::OutOfScope,
        Rejection::LineNotFound { line: 1 },
        Rejection::ShipmentNotFound { shipment: 1 },
        Rejection::CancellationNotFound { cancellation: 1 },
        Rejection::RefundNotFound { refund: 1 },
        Rejection::IncidentNotFound { incident: 1 },
        Rejection::RequestIdReused,
        Rejection::OrderAlreadyExists,
        Rejection::EtagMismatch { present: 3 },
        Rejection::FenceStale { present: 3, stage: Stage::Planned, cancellations: vec![1] },
        Rejection::UnknownWarehouse { warehouse: text() },
        Rejection::UnknownCarrier { carrier: text() },
        Rejection::ReasonRequired { declared: reasons.clone() },
        Rejection::ReasonUnknown { reason: text(), declared: reasons.clone() },
        Rejection::ReasonNotAllowed { reason: text(), declared: reasons },
        Rejection::NoteRequired { reason: text() },
        Rejection::EvidenceRequired { reason: text(), channels: vec![text()] },
        Rejection::AlreadyPending { cancellation: 1 },
        Rejection::UnitsClaimed { line: 1, requested: 2, available: 1 },
        Rejection::QuantityUnavailable { line: 1, requested: 2, available: 1 },
        Rejection::NothingToCancel,
        Rejection::QuoteExpired { valid_until: Timestamp::UNIX_EPOCH },
        Rejection::QuoteMismatch { quoted: text(), present: text() },
        Rejection::Ineligible { violations: vec![ineligible(DenyCode::Shipped)], acceptable: vec![] },
        Rejection::GateNotOpen { gate: GateKind::WarehouseStop },
        Rejection::GateTimedOut { respond_by: Timestamp::UNIX_EPOCH },
        Rejection::NotTheRequester,
        Rejection::TooLateToWithdraw { gate: None },
        Rejection::PaymentLapsed { pay_by: Timestamp::UNIX_EPOCH },
        Rejection::NotReleased,
        Rejection::StageMismatch { stage: Stage::Cancelled },
        Rejection::ShipmentHeld { until: Timestamp::UNIX_EPOCH },
        Rejection::ShipmentBarred { cancellation: 1 },
        Rejection::SplitNotAllowed { next_actions: vec![NextAction::ContactSupport] },
        Rejection::CurrencyMismatch { expected: Currency::parse("EUR").unwrap() },
        Rejection::RefundNotClaimed { refund: 1 },
        Rejection::IncidentResolved { resolution: None },
        Rejection::ResolutionNotAllowed { allowed: vec![Resolution::Accept] },
        Rejection::LimitReached { limit: text(), max: 1 },
    ]
}

fn number(reason: &str) -> i32 {
    let known = ErrorReason::from_str_name(&format!("{REASON_PREFIX}{reason}"));
    known.unwrap_or_else(|| panic!("{reason} is not in ErrorReason")).into()
}

#[test]
fn every_rejection_has_a_reason_of_the_protos_in_the_same_precedence() {
    let rejections = rejections();
    let numbers: Vec<i32> = rejections.iter().map(|rejection| number(rejection.reason())).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let deny_numbers: Vec<i32> = DenyCode::ALL.iter().map(|code| number(code.name())).collect();
    assert!(deny_numbers.is_sorted_by(|a, b| a < b), "{deny_numbers:?}");
    for rejection in rejections {
        let reason = rejection.reason();
        let status = rejected(rejection);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "belay"));
        assert_ne!(status.code(), Code::Internal, "{reason}");
        let details = status.get_error_details();
        assert_eq!(details.bad_request().is_some(), status.code() == Code::InvalidArgument, "{reason}");
        assert_eq!(details.precondition_failure().is_some(), status.code() == Code::FailedPrecondition, "{reason}");
        assert!(!status.message().is_empty(), "{reason}");
    }
}

/// The first word of each comment in `ErrorReason`.
fn documented_codes() -> BTreeMap<String, (i32, String)> {
    const ENUM_TYPE: i32 = 5;
    const VALUE: i32 = 2;
    let set = prost_types::FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.name() == "belay/v1/error_reason.proto").unwrap();
    let values = &file.enum_type[0].value;
    let mut codes = BTreeMap::new();
    for location in &file.source_code_info.as_ref().unwrap().location {
        if let [ENUM_TYPE, 0, VALUE, index] = location.path[..] {
            let value = &values[usize::try_from(index).unwrap()];
            let code = location.leading_comments().trim().split(|c: char| !c.is_ascii_uppercase() && c != '_').next();
            codes.insert(value.name().to_owned(), (value.number(), code.unwrap().to_owned()));
        }
    }
    codes
}

#[test]
fn every_reason_has_the_code_that_its_comment_names() {
    let documented = documented_codes();
    assert!(documented.len() > 50);
    for (name, (number, documented)) in documented {
        let reason = ErrorReason::try_from(number).unwrap();
        if reason == ErrorReason::Unspecified {
            continue;
        }
        let camel: String =
            documented.split('_').map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase())).collect();
        assert_eq!(format!("{:?}", code(reason)), camel, "{name}");
    }
}

#[test]
fn a_mismatched_buyer_and_an_unknown_order_look_the_same() {
    let about = |request_id| About { order: OrderId::parse("A-1").unwrap(), child: None, request_id };
    let status = |about| Status::from(Failure::rejected(Rejection::OrderNotFound, about));
    let (mismatch, unknown) = (status(about(Some(Uuid::max()))), status(about(None)));
    assert_eq!(mismatch.message(), unknown.message());
    assert_eq!(mismatch.details(), unknown.details());
    let metadata = unknown.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata, HashMap::from([("order_id".to_owned(), "A-1".to_owned())]));
}

#[test]
fn everything_that_stands_against_a_request_is_told_with_what_could_be_asked_instead() {
    let status = rejected(Rejection::Ineligible {
        violations: vec![
            ineligible(DenyCode::Shipped),
            Ineligibility { shipment: 2, ..ineligible(DenyCode::Delivered) },
        ],
        acceptable: vec![LineQuantity { line: 1, quantity: 2 }, LineQuantity { line: 3, quantity: 1 }],
    });
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), status.code()), ("SHIPPED", Code::FailedPrecondition));
    assert_eq!(info.metadata["acceptable"], "A-1:l1=2,A-1:l3=1");
    let violations = &details.precondition_failure().unwrap().violations;
    let told: Vec<(&str, &str)> = violations.iter().map(|v| (&*v.r#type, &*v.subject)).collect();
    assert_eq!(told, [("SHIPPED", "A-1:s1"), ("DELIVERED", "A-1:s2")]);
}

#[test]
fn a_quote_that_no_longer_holds_is_shown_beside_what_would_come_cut_to_size() {
    let long = format!("{}é", "x".repeat(1_023));
    let status = rejected(Rejection::QuoteMismatch { quoted: long.clone(), present: "{}".to_owned() });
    let info = status.get_details_error_info().unwrap();
    assert_eq!(status.code(), Code::Aborted);
    assert_eq!((info.metadata["quoted"].as_str(), info.metadata["present"].as_str()), (&long[..1_023], "{}"));
}

#[test]
fn a_refusal_names_what_the_request_named() {
    let named = |child| {
        let about = About { child: Some(child), ..about() };
        let rejection = Rejection::GateNotOpen { gate: GateKind::SellerConsent };
        Status::from(Failure::rejected(rejection, about)).get_details_error_info().unwrap().metadata
    };
    let metadata = named((ChildKind::Cancellation, 2));
    assert_eq!((metadata["cancellation_id"].as_str(), metadata["gate"].as_str()), ("A-1:c2", "SELLER_CONSENT"));
    assert_eq!(named((ChildKind::Shipment, 3))["shipment_id"], "A-1:s3");
}

#[test]
fn waiting_is_advised_where_it_helps_and_only_there() {
    let engine = |error| Failure::of_engine(error, Uuid::nil());
    for failure in [
        engine(EngineError::Overloaded),
        engine(EngineError::Contention),
        engine(EngineError::DatabaseUnavailable),
        engine(EngineError::OutcomeUnknown),
        Failure::OutcomeUnknown { request_id: None },
    ] {
        let status = Status::from(failure);
        assert!(matches!(status.code(), Code::Unavailable | Code::ResourceExhausted));
        assert!(status.get_details_retry_info().is_some(), "{}", status.message());
    }
    let too_large = Status::from(Failure::MessageTooLarge { limit_bytes: 7 });
    assert_eq!(too_large.code(), Code::ResourceExhausted);
    assert!(too_large.get_details_retry_info().is_none());
}

#[test]
fn a_bug_tells_nothing_but_its_trace_id() {
    for failure in
        [Failure::Internal("password hunter2".to_owned()), Failure::of_engine(EngineError::Internal, Uuid::nil())]
    {
        let status = Status::from(failure);
        assert_eq!(status.code(), Code::Internal);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["trace_id"].len()), ("INTERNAL", 32));
        assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
        assert!(!status.message().contains("hunter2"));
    }
}

#[test]
fn details_stay_small_and_say_how_many_were_left_out() {
    let violations = (0..200).map(|index| FieldViolation {
        field: format!("lines[{index}].quantity"),
        description: "must be from 1 to 1000000, is 0".to_owned(),
    });
    let status = Status::from(Failure::InvalidFields(violations.collect()));
    let listed = status.get_details_bad_request().unwrap().field_violations;
    let last = listed.last().unwrap();
    assert_eq!(last.description, format!("and {} more", 200 - (listed.len() - 1)));
    assert!(status.details().len() < 6 * 1024, "{}", status.details().len());
}

#[test]
fn the_classes_of_the_database_are_told_apart() {
    let reason = |error: DbError| Status::from(Failure::from(error)).get_details_error_info().unwrap().reason;
    let connect = |class| DbError::Connect { class, message: String::new() };
    assert_eq!(reason(DbError::PoolExhausted { waited_ms: 1 }), "OVERLOADED");
    assert_eq!(reason(connect(Class::ConnectionLost)), "DATABASE_UNAVAILABLE");
    assert_eq!(reason(connect(Class::Deadlock)), "CONTENTION");
    assert_eq!(reason(connect(Class::Corrupt)), "INTERNAL");
}
