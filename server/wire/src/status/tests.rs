use std::collections::BTreeMap;

use belay_domain::ids::{CarrierId, ChildKind, OrderId, WarehouseId};
use belay_domain::incident::Resolution;
use belay_domain::rejection::{Denial, Limit};
use belay_domain::shipment::Stage;
use belay_domain::terms::{DenyCode, GateKind, NextAction, Path};
use belay_domain::units::LineQuantity;
use jiff::Timestamp;
use prost::Message as _;

use super::fit::{STATUS_BYTES_MAX, bytes};
use super::*;
use crate::Wire as _;
use crate::rejections::{LIST_KEYS, TEXT_KEYS};

fn named() -> RequestIds {
    RequestIds {
        order: OrderId::parse("A-1").unwrap(),
        child: Some((ChildKind::Shipment, 1)),
        request_id: Some(Uuid::nil()),
    }
}

/// What is told where a defect has this trace id.
const TRACE_ID: &str = "0123456789abcdef0123456789abcdef";

fn status(failure: CallError) -> Status {
    failure.into_status(|_| TRACE_ID.to_owned())
}

fn rejected(rejection: Rejection) -> Status {
    status(CallError::rejected(rejection, named()))
}

fn ineligible(code: DenyCode) -> Denial {
    Denial {
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
        Rejection::InvalidField(vec![FieldViolation {
            field: text(),
            description: text(),
        }]),
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
        Rejection::FenceStale {
            present: 3,
            stage: Stage::Planned,
            cancellations: vec![1],
        },
        Rejection::UnknownWarehouse {
            warehouse: WarehouseId::parse(text()).unwrap(),
        },
        Rejection::UnknownCarrier {
            carrier: CarrierId::parse(text()).unwrap(),
        },
        Rejection::ReasonRequired {
            declared: reasons.clone(),
        },
        Rejection::ReasonUnknown {
            reason: text(),
            declared: reasons.clone(),
        },
        Rejection::ReasonNotAllowed {
            reason: text(),
            declared: reasons,
        },
        Rejection::NoteRequired { reason: text() },
        Rejection::EvidenceRequired {
            reason: text(),
            channels: vec![text()],
        },
        Rejection::AlreadyPending { cancellation: 1 },
        Rejection::UnitsClaimed {
            line: 1,
            requested: 2,
            available: 1,
        },
        Rejection::QuantityUnavailable {
            line: 1,
            requested: 2,
            available: 1,
        },
        Rejection::NothingToCancel,
        Rejection::QuoteExpired {
            valid_until: Timestamp::UNIX_EPOCH,
        },
        Rejection::QuoteMismatch {
            quoted: text(),
            present: text(),
        },
        Rejection::Ineligible {
            violations: vec![ineligible(DenyCode::Shipped)],
            acceptable: vec![],
        },
        Rejection::GateNotOpen {
            gate: GateKind::WarehouseStop,
        },
        Rejection::GateTimedOut {
            respond_by: Timestamp::UNIX_EPOCH,
        },
        Rejection::NotTheRequester,
        Rejection::TooLateToWithdraw { gate: None },
        Rejection::PaymentLapsed {
            pay_by: Timestamp::UNIX_EPOCH,
        },
        Rejection::NotReleased,
        Rejection::StageMismatch {
            stage: Stage::Cancelled,
        },
        Rejection::ShipmentHeld {
            until: Timestamp::UNIX_EPOCH,
        },
        Rejection::ShipmentBarred { cancellation: 1 },
        Rejection::SplitNotAllowed {
            next_actions: vec![NextAction::ContactSupport],
        },
        Rejection::CurrencyMismatch {
            expected: Currency::parse("EUR").unwrap(),
        },
        Rejection::RefundNotClaimed { refund: 1 },
        Rejection::IncidentResolved { resolution: None },
        Rejection::ResolutionNotAllowed {
            allowed: vec![Resolution::Accept],
        },
        Rejection::LimitReached {
            limit: Limit::ShipmentReceipts,
            max: 1,
        },
    ]
}

#[test]
fn the_reasons_stand_in_the_precedence_of_the_protos() {
    let numbers: Vec<i32> = ErrorReason::ALL
        .iter()
        .map(|reason| reason.number())
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn every_rejection_has_a_reason_in_the_same_precedence() {
    let rejections = rejections();
    let reasons: Vec<ErrorReason> = rejections.iter().map(Rejection::reason).collect();
    assert!(reasons.is_sorted_by(|a, b| a < b), "{reasons:?}");
    let denials: Vec<ErrorReason> = DenyCode::ALL.iter().map(|code| code.reason()).collect();
    assert!(denials.is_sorted_by(|a, b| a < b), "{denials:?}");
    for rejection in rejections {
        let reason = rejection.reason();
        let status = rejected(rejection);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            (reason.name(), "belay")
        );
        assert_ne!(status.code(), Code::Internal, "{reason}");
        let details = status.get_error_details();
        assert_eq!(
            details.bad_request().is_some(),
            status.code() == Code::InvalidArgument,
            "{reason}"
        );
        assert_eq!(
            details.precondition_failure().is_some(),
            status.code() == Code::FailedPrecondition,
            "{reason}"
        );
        assert!(!status.message().is_empty(), "{reason}");
    }
}

/// The first word of each comment in `ErrorReason`.
fn documented_codes() -> BTreeMap<String, (i32, String)> {
    const ENUM_TYPE: i32 = 5;
    const VALUE: i32 = 2;
    let set = prost_types::FileDescriptorSet::decode(belay_proto::FILE_DESCRIPTOR_SET).unwrap();
    let file = set
        .file
        .iter()
        .find(|file| file.name() == "belay/v1/error_reason.proto")
        .unwrap();
    let values = &file.enum_type[0].value;
    let mut codes = BTreeMap::new();
    for location in &file.source_code_info.as_ref().unwrap().location {
        if let [ENUM_TYPE, 0, VALUE, index] = location.path[..] {
            let value = &values[usize::try_from(index).unwrap()];
            let code = location
                .leading_comments()
                .trim()
                .split(|c: char| !c.is_ascii_uppercase() && c != '_')
                .next();
            codes.insert(
                value.name().to_owned(),
                (value.number(), code.unwrap().to_owned()),
            );
        }
    }
    codes
}

#[test]
fn every_reason_has_the_code_that_its_comment_names() {
    let documented = documented_codes();
    assert!(documented.len() > 50);
    for (name, (number, documented)) in documented {
        let Some(reason) = ErrorReason::from_number(number) else {
            assert_eq!(number, 0, "{name} is UNSPECIFIED");
            continue;
        };
        let camel: String = documented
            .split('_')
            .map(|word| format!("{}{}", &word[..1], word[1..].to_lowercase()))
            .collect();
        assert_eq!(format!("{:?}", code(reason).0), camel, "{name}");
    }
}

#[test]
fn a_mismatched_buyer_and_an_unknown_order_look_the_same() {
    let named = |request_id| RequestIds {
        order: OrderId::parse("A-1").unwrap(),
        child: None,
        request_id,
    };
    let status = |named| status(CallError::rejected(Rejection::OrderNotFound, named));
    let (mismatch, unknown) = (status(named(Some(Uuid::max()))), status(named(None)));
    assert_eq!(mismatch.message(), unknown.message());
    assert_eq!(mismatch.details(), unknown.details());
    let metadata = unknown.get_details_error_info().unwrap().metadata;
    assert_eq!(
        metadata,
        HashMap::from([("order_id".to_owned(), "A-1".to_owned())])
    );
}

#[test]
fn everything_that_stands_against_a_request_is_told_with_what_could_be_asked_instead() {
    let status = rejected(Rejection::Ineligible {
        violations: vec![
            ineligible(DenyCode::Shipped),
            Denial {
                shipment: 2,
                ..ineligible(DenyCode::Delivered)
            },
        ],
        acceptable: vec![
            LineQuantity {
                line: 1,
                quantity: 2,
            },
            LineQuantity {
                line: 3,
                quantity: 1,
            },
        ],
    });
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), status.code()),
        ("SHIPPED", Code::FailedPrecondition)
    );
    assert_eq!(info.metadata["acceptable"], "A-1:l1=2,A-1:l3=1");
    let violations = &details.precondition_failure().unwrap().violations;
    let told: Vec<(&str, &str)> = violations
        .iter()
        .map(|v| (&*v.r#type, &*v.subject))
        .collect();
    assert_eq!(told, [("SHIPPED", "A-1:s1"), ("DELIVERED", "A-1:s2")]);
}

#[test]
fn a_quote_that_no_longer_holds_is_shown_beside_what_would_come_cut_to_size() {
    let long = format!("{}é", "x".repeat(1_023));
    let status = rejected(Rejection::QuoteMismatch {
        quoted: long.clone(),
        present: "{}".to_owned(),
    });
    let info = status.get_details_error_info().unwrap();
    assert_eq!(status.code(), Code::Aborted);
    assert_eq!(
        (
            info.metadata["quoted"].as_str(),
            info.metadata["present"].as_str()
        ),
        (&long[..1_023], "{}")
    );
}

#[test]
fn a_rejection_names_what_the_request_named() {
    let named = |child| {
        let named = RequestIds {
            child: Some(child),
            ..named()
        };
        let rejection = Rejection::GateNotOpen {
            gate: GateKind::SellerConsent,
        };
        status(CallError::rejected(rejection, named))
            .get_details_error_info()
            .unwrap()
            .metadata
    };
    let metadata = named((ChildKind::Cancellation, 2));
    assert_eq!(
        (
            metadata["cancellation_id"].as_str(),
            metadata["gate"].as_str()
        ),
        ("A-1:c2", "SELLER_CONSENT")
    );
    assert_eq!(named((ChildKind::Shipment, 3))["shipment_id"], "A-1:s3");
}

#[test]
fn waiting_is_advised_where_it_helps_and_only_there() {
    for failure in [
        CallError::Overloaded,
        CallError::Contention,
        CallError::DatabaseUnavailable,
        CallError::OutcomeUnknown {
            request_id: Some(Uuid::nil()),
        },
        CallError::OutcomeUnknown { request_id: None },
    ] {
        let status = status(failure);
        assert!(matches!(
            status.code(),
            Code::Unavailable | Code::ResourceExhausted
        ));
        assert!(
            status.get_details_retry_info().is_some(),
            "{}",
            status.message()
        );
    }
    for failure in [
        CallError::MetadataTooLarge,
        CallError::MessageTooLarge { limit_bytes: 7 },
    ] {
        let too_large = status(failure);
        assert_eq!(too_large.code(), Code::ResourceExhausted);
        assert!(too_large.get_details_retry_info().is_none());
    }
}

#[test]
fn a_bug_tells_nothing_but_its_trace_id() {
    let mut logged = String::new();
    let defect = CallError::Internal("password hunter2".to_owned());
    let status = defect.into_status(|cause| {
        logged = cause.to_owned();
        TRACE_ID.to_owned()
    });
    assert_eq!(status.code(), Code::Internal);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(
        (info.reason.as_str(), info.metadata["trace_id"].as_str()),
        ("INTERNAL", TRACE_ID)
    );
    assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
    assert!(!status.message().contains("hunter2"));
    assert_eq!(logged, "password hunter2");
}

#[test]
fn details_stay_small_and_say_how_many_were_left_out() {
    let violations = (0..200).map(|index| FieldViolation {
        field: format!("lines[{index}].quantity"),
        description: "must be from 1 to 1000000, is 0".to_owned(),
    });
    let status = status(CallError::InvalidFields {
        violations: violations.collect(),
        left_out: 7,
    });
    let listed = status.get_details_bad_request().unwrap().field_violations;
    let last = listed.last().unwrap();
    assert_eq!(
        (&*last.field, last.description.clone()),
        ("", format!("and {} more", 207 - (listed.len() - 1)))
    );
    assert!((15..200).contains(&listed.len()), "{}", listed.len());
    assert!(
        (STATUS_BYTES_MAX - 100..=STATUS_BYTES_MAX).contains(&bytes(&status)),
        "{}",
        bytes(&status)
    );
}

#[test]
fn a_list_and_a_text_are_cut_with_a_count_and_nothing_else_is() {
    let reasons: Vec<String> = (0..200).map(|number| format!("REASON_{number}")).collect();
    let status = rejected(Rejection::ReasonUnknown {
        reason: "X".repeat(63),
        declared: reasons.clone(),
    });
    let metadata = status.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["reason"], "X".repeat(63));
    let told: Vec<&str> = metadata["reasons"].split(',').collect();
    assert_eq!(told, reasons[..told.len()]);
    assert_eq!(metadata["reasons_left_out"], (200 - told.len()).to_string());

    let long = "ü".repeat(4_000);
    let status = rejected(Rejection::QuoteMismatch {
        quoted: long.clone(),
        present: "{}".to_owned(),
    });
    let metadata = status.get_details_error_info().unwrap().metadata;
    let told = metadata["quoted"].chars().count();
    assert!(told > 100 && long.starts_with(&metadata["quoted"]));
    assert_eq!(metadata["quoted_left_out"], (4_000 - told).to_string());
    assert_eq!(
        (
            metadata["present"].as_str(),
            metadata.contains_key("present_left_out")
        ),
        ("{}", false)
    );
}

/// As [`rejections`], with everything as long as it can be and longer.
fn extreme_rejections() -> Vec<Rejection> {
    let code = || "X".repeat(63);
    let codes: Vec<String> = (0..200).map(|number| format!("{number:0>63}")).collect();
    let text = || "\u{1F4E6} {\"%\"}".repeat(2_000);
    let violation = |shipment: u32| Denial {
        shipment,
        rule: Some("r".repeat(64)),
        next_actions: NextAction::ALL.to_vec(),
        available_from: Some(Timestamp::MAX),
        without_label: Some(text()),
        pay_by: Some(Timestamp::MAX),
        ..ineligible(DenyCode::LabelUnavailableInRegion)
    };
    let fields = |count: u32| {
        let violation = |index: u32| FieldViolation {
            field: format!("{}[{index}]", "é".repeat(500)),
            description: text(),
        };
        (0..count).map(violation).collect()
    };
    let acceptable = || {
        (1..=200)
            .map(|line| LineQuantity {
                line,
                quantity: 1_000_000,
            })
            .collect()
    };
    let mut extreme = rejections();
    extreme.extend([
        Rejection::InvalidField(fields(1)),
        Rejection::InvalidField(fields(200)),
        Rejection::FenceStale {
            present: u32::MAX,
            stage: Stage::Preparing,
            cancellations: (1..=100).collect(),
        },
        Rejection::UnknownWarehouse {
            warehouse: WarehouseId::parse("w".repeat(64)).unwrap(),
        },
        Rejection::ReasonRequired {
            declared: codes.clone(),
        },
        Rejection::ReasonUnknown {
            reason: code(),
            declared: codes.clone(),
        },
        Rejection::ReasonNotAllowed {
            reason: code(),
            declared: codes.clone(),
        },
        Rejection::EvidenceRequired {
            reason: code(),
            channels: codes,
        },
        Rejection::UnitsClaimed {
            line: 200,
            requested: u32::MAX,
            available: u32::MAX,
        },
        Rejection::QuoteExpired {
            valid_until: Timestamp::MAX,
        },
        Rejection::QuoteMismatch {
            quoted: text(),
            present: text(),
        },
        Rejection::Ineligible {
            violations: vec![violation(1)],
            acceptable: acceptable(),
        },
        Rejection::Ineligible {
            violations: (1..=50).map(violation).collect(),
            acceptable: acceptable(),
        },
        Rejection::Ineligible {
            violations: (1..=50)
                .map(|n| Denial {
                    shipment: n,
                    ..ineligible(DenyCode::Shipped)
                })
                .collect(),
            acceptable: vec![],
        },
        Rejection::SplitNotAllowed {
            next_actions: NextAction::ALL.to_vec(),
        },
        Rejection::ResolutionNotAllowed {
            allowed: Resolution::ALL.to_vec(),
        },
    ]);
    extreme
}

#[test]
fn every_rejection_passes_through_every_proxy_and_keeps_its_reason_and_its_ids() {
    let order = OrderId::parse("o".repeat(64)).unwrap();
    for rejection in extreme_rejections() {
        for child in [
            None,
            Some((ChildKind::Cancellation, 999_999_999)),
            Some((ChildKind::Shipment, 50)),
        ] {
            let named = RequestIds {
                order: order.clone(),
                child,
                request_id: Some(Uuid::max()),
            };
            let is_of_fields = matches!(rejection, Rejection::InvalidField(_));
            let all = (!is_of_fields).then(|| proto_rejections(&rejection, &named));
            let status = status(CallError::rejected(rejection.clone(), named));
            let told = format!("{} bytes: {status:?}", bytes(&status));
            assert!(bytes(&status) <= STATUS_BYTES_MAX, "{told}");
            assert!(!status.message().is_empty(), "{told}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.domain, "belay");
            let Some(all) = all else {
                assert_eq!(info.reason, "INVALID_FIELD");
                continue;
            };
            assert_eq!(info.reason, all[0].reason.name());
            for (key, value) in &all[0].metadata {
                if !LIST_KEYS.contains(&&**key)
                    && !TEXT_KEYS.contains(&&**key)
                    && !key.ends_with("_left_out")
                {
                    assert_eq!(info.metadata.get(key), Some(value), "{key}: {told}");
                }
                assert!(info.metadata.contains_key(key), "{key}: {told}");
            }
        }
    }
}

#[test]
fn every_other_failure_passes_too() {
    let id = || "s".repeat(64);
    let error = |at: usize| DocumentError {
        path: format!("{}[{at}]", "schlüssel".repeat(300)),
        description: "ö".repeat(900),
    };
    let eur = Currency::parse("EUR").unwrap();
    for failure in [
        CallError::MetadataTooLarge,
        CallError::MethodUnknown,
        CallError::EncodingUnsupported,
        CallError::NameUnknown {
            message: "\u{0}".repeat(100_000),
        },
        CallError::InvalidFields {
            violations: vec![],
            left_out: usize::MAX,
        },
        CallError::PageTokenInvalid,
        CallError::MESSAGE_TOO_LARGE,
        CallError::RoleNotAllowed {
            role: "é".repeat(32),
        },
        CallError::StoreNotFound { store: id() },
        CallError::WarehouseNotFound {
            warehouse: WarehouseId::parse(id()).unwrap(),
        },
        CallError::RequestIdReused {
            request_id: Uuid::max(),
        },
        CallError::PresetNotFound {
            preset: "é".repeat(64),
        },
        CallError::PolicyNotFound { version: u32::MAX },
        CallError::SecondPersonNeeded { version: u32::MAX },
        CallError::StoreAlreadyExists { store: id() },
        CallError::EtagMismatch {
            present: format!("\"{}\"", u64::MAX),
        },
        CallError::CurrencyMismatch {
            expected: eur,
            field: "lines[199].discount.currency_code".to_owned(),
        },
        CallError::PolicyInvalid {
            field: "document",
            errors: (0..1).map(error).collect(),
        },
        CallError::PolicyInvalid {
            field: "document",
            errors: (0..1_000).map(error).collect(),
        },
        CallError::OutcomeUnknown {
            request_id: Some(Uuid::max()),
        },
        CallError::Internal("x".repeat(100_000)),
    ] {
        let shown = format!("{failure:?}").chars().take(100).collect::<String>();
        let status = status(failure);
        assert!(
            bytes(&status) <= STATUS_BYTES_MAX,
            "{} bytes: {shown}",
            bytes(&status)
        );
        assert!(
            !status.get_details_error_info().unwrap().reason.is_empty(),
            "{shown}"
        );
    }
}

#[test]
fn every_key_of_metadata_that_may_be_long_is_one_that_is_cut() {
    // What a rejection holds that has no bound of its own ends in lists and texts alone.
    for rejection in extreme_rejections() {
        for rejection in proto_rejections(&rejection, &named())
            .into_iter()
            .filter(|rejection| rejection.reason != ErrorReason::InvalidField)
        {
            for (key, value) in rejection.metadata {
                let may_be_cut = LIST_KEYS.contains(&&*key) || TEXT_KEYS.contains(&&*key);
                assert!(
                    may_be_cut || value.len() <= 100,
                    "{}: {key} has {} bytes",
                    rejection.reason,
                    value.len()
                );
            }
        }
    }
}
