//! How a document may be written, and what YAML can do that a policy may not.

use std::collections::BTreeMap;

use belay_domain::actor::Role;
use belay_domain::language::Labels;
use belay_domain::policy::{
    Customs, Notification, Policy, Quality, QualityDenominator, QualityNumerator, QualityThreshold,
    Reason, RefundDue, ReturnRate, Returns, ShippingRefund, Unpaid, Verification, parse,
};
use belay_domain::terms::{Effect, Fault, GoodsCondition, NextAction};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use crate::support::{document, hours, policy, question, set};

const YAML: &str = "
name: test
unpaid: {expire_after: 24h}
reasons:
  - {code: CHANGED_MIND, actors: [BUYER], fault: BUYER}   # a comment
  - code: PAYMENT_EXPIRED
    actors: [SYSTEM]
    fault: NONE
rules:
  - id: early
    when: {stage: PLANNED, path: CANCEL}
    allow: {refund: FULL}
  - id: later
    when:
      stage: [PREPARING, READY]
      path: CANCEL
    allow:
      gates:
        - kind: SELLER_CONSENT
          respond_within: 48h
          on_timeout: REFUSE
      refund: FULL
refunds:
  due: IMMEDIATE
  shipping: NEVER
";

/// The one error of a text that cannot be read at all.
fn unreadable(text: &str) -> String {
    let errors = parse(text).expect_err("a text that cannot be read");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(errors[0].path, "");
    assert_eq!(errors[0].to_string(), errors[0].description);
    errors[0].description.clone()
}

#[test]
fn yaml_and_json_say_the_same() {
    let from_json = policy(&document());
    let indented = serde_json::to_string_pretty(&document()).unwrap();
    let tabbed = indented.replace("  ", "\t");
    let crlf = YAML.replace('\n', "\r\n");
    for text in [
        YAML,
        &indented,
        &tabbed,
        &crlf,
        &format!("---{YAML}"),
        &format!("\u{feff}{indented}"),
    ] {
        assert_eq!(
            parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:#?}")),
            from_json
        );
    }
}

#[test]
fn what_is_left_out_is_nothing() {
    let policy = policy(&document());
    assert_eq!(
        policy.unpaid,
        Unpaid {
            expire_after: hours(24),
            in_flight_grace: SignedDuration::ZERO,
            pay_again_within: hours(24)
        }
    );
    assert_eq!(
        (policy.verification, policy.preparation_within),
        (None, None)
    );
    assert_eq!(
        (
            policy.notify.len(),
            policy.labels.len(),
            policy.reason_required.len()
        ),
        (0, 0, 0)
    );
    let actors = vec![Role::Buyer];
    let expected = Reason {
        code: "CHANGED_MIND".to_owned(),
        labels: Labels::default(),
        actors,
        fault: Fault::Buyer,
        note_required: false,
        evidence_required: false,
        evidence_channels: Vec::new(),
        counted: false,
        effects: Vec::new(),
        next_actions: Vec::new(),
    };
    assert_eq!(policy.reasons[0], expected);
    assert_eq!(
        policy.returns,
        Returns {
            rates: Vec::new(),
            without_label: String::new()
        }
    );
    assert_eq!((policy.customs, policy.quality), (None, None));
}

#[test]
fn a_refund_is_overdue_a_day_after_an_immediate_one_and_at_once_after_working_days() {
    let calendars = json!({"default": {"time_zone": "UTC", "weekend": []}});
    for (due, overdue_after, expected) in [
        (json!("IMMEDIATE"), None, hours(24)),
        (json!("IMMEDIATE"), Some("0s"), SignedDuration::ZERO),
        (json!({"working_days": 3}), None, SignedDuration::ZERO),
        (json!({"working_days": 3}), Some("2d"), hours(48)),
    ] {
        let mut document = document();
        set(&mut document, "/refunds/due", due);
        set(&mut document, "/refunds/calendars", calendars.clone());
        if let Some(overdue_after) = overdue_after {
            set(
                &mut document,
                "/refunds/overdue_after",
                json!(overdue_after),
            );
        }
        assert_eq!(policy(&document).refunds.overdue_after, expected);
    }
}

#[test]
fn what_is_written_is_read() {
    let mut document = document();
    let reason = json!({
        "code": "GONE",
        "actors": ["SELLER", "CARRIER"],
        "fault": "PLATFORM",
        "note_required": true,
        "evidence_required": true,
        "evidence_channels": ["CHAT", "SUPPORT"],
        "labels": {"zh-Hant-TW": "沒了", "de": "Nicht mehr da"},
        "counted": true,
        "effects": ["ZERO_STOCK"],
        "next_actions": ["SET_STOCK"]
    });
    for (pointer, value) in [
        ("/source", json!("a page\nof two lines")),
        ("/unpaid/in_flight_grace", json!("15m")),
        ("/unpaid/pay_again_within", json!("2h")),
        (
            "/verification",
            json!({"methods": ["CARD", "TRANSFER"], "wait": "1d"}),
        ),
        ("/preparation", json!({"within": "12h"})),
        ("/notify", json!(["REFUND_SETTLED", "ORDER_PAID"])),
        ("/reason_required", json!(["SELLER"])),
        ("/reasons/0", reason),
        ("/refunds/shipping", json!("WHEN_SHIPMENT_WHOLLY_CANCELLED")),
    ] {
        set(&mut document, pointer, value);
    }
    let policy = policy(&document);
    assert_eq!(policy.source, "a page\nof two lines");
    assert_eq!(policy.unpaid.in_flight_grace, SignedDuration::from_mins(15));
    assert_eq!(
        policy.unpaid.pay_again_within,
        SignedDuration::from_hours(2)
    );
    let methods = vec!["CARD".to_owned(), "TRANSFER".to_owned()];
    assert_eq!(
        policy.verification,
        Some(Verification {
            methods,
            wait: hours(24)
        })
    );
    assert_eq!(policy.preparation_within, Some(hours(12)));
    assert_eq!(
        policy.notify,
        [Notification::RefundSettled, Notification::OrderPaid]
    );
    assert_eq!(policy.reason_required, [Role::Seller]);
    let expected = Reason {
        code: "GONE".to_owned(),
        labels: Labels(BTreeMap::from([
            ("de".to_owned(), "Nicht mehr da".to_owned()),
            ("zh-Hant-TW".to_owned(), "沒了".to_owned()),
        ])),
        actors: vec![Role::Seller, Role::Carrier],
        fault: Fault::Platform,
        note_required: true,
        evidence_required: true,
        evidence_channels: vec!["CHAT".to_owned(), "SUPPORT".to_owned()],
        counted: true,
        effects: vec![Effect::ZeroStock],
        next_actions: vec![NextAction::SetStock],
    };
    assert_eq!(policy.reasons[0], expected);
    assert_eq!(policy.refunds.due, RefundDue::Immediate);
    assert_eq!(
        policy.refunds.shipping,
        ShippingRefund::WhenShipmentWhollyCancelled
    );
}

#[test]
fn what_is_written_about_returns_customs_and_quality_is_read() {
    let mut document = document();
    let rates = json!([
        {"received_within": "15d", "condition": "UNOPENED", "reason": ["CHANGED_MIND"], "percent": 100},
        {"condition": ["OPENED", "DAMAGED"], "percent": 50},
        {"percent": 0}
    ]);
    set(
        &mut document,
        "/returns",
        json!({"rates": rates, "without_label": "Ask us."}),
    );
    let customs = json!({"identical_units_max": 3, "own_delivery": ["CANCEL", "SPLIT_SHIPMENT"], "partner_delivery": ["CANCEL"]});
    set(&mut document, "/customs", customs);
    let thresholds = json!([{"name": "WARNING", "percent": 3}, {"name": "EXCEEDED", "percent": 5}]);
    let quality = json!({
        "numerator": "COUNTED_SHIPMENTS",
        "denominator": "SHIPMENTS_DUE",
        "window_days": 28,
        "lag_days": 7,
        "thresholds": thresholds
    });
    set(&mut document, "/quality", quality);
    let policy = policy(&document);
    let rate =
        |received_within, condition: &[GoodsCondition], reason: &[&str], percent| ReturnRate {
            received_within,
            condition: condition.to_vec(),
            reason: reason.iter().map(|reason| (*reason).to_owned()).collect(),
            percent,
        };
    let rates = vec![
        rate(
            Some(hours(15 * 24)),
            &[GoodsCondition::Unopened],
            &["CHANGED_MIND"],
            100,
        ),
        rate(
            None,
            &[GoodsCondition::Opened, GoodsCondition::Damaged],
            &[],
            50,
        ),
        rate(None, &[], &[], 0),
    ];
    assert_eq!(
        policy.returns,
        Returns {
            rates,
            without_label: "Ask us.".to_owned()
        }
    );
    let customs = Customs {
        identical_units_max: 3,
        own_delivery: vec![NextAction::Cancel, NextAction::SplitShipment],
        partner_delivery: vec![NextAction::Cancel],
    };
    assert_eq!(policy.customs, Some(customs));
    let threshold = |name: &str, percent| QualityThreshold {
        name: name.to_owned(),
        percent,
    };
    let quality = Quality {
        numerator: QualityNumerator::CountedShipments,
        denominator: QualityDenominator::ShipmentsDue,
        window_days: 28,
        lag_days: 7,
        thresholds: vec![threshold("WARNING", 3), threshold("EXCEEDED", 5)],
    };
    assert_eq!(policy.quality, Some(quality));
}

#[test]
fn json_escapes_are_read() {
    let text = document()
        .to_string()
        .replace("\"test\"", "\"\\u00e9 \\ud83d\\udce6 a\\/b\"");
    assert_eq!(parse(&text).unwrap().name, "é 📦 a/b");
}

#[test]
fn norway_is_a_country() {
    let text = YAML.replace(
        "{stage: PLANNED, path: CANCEL}",
        "{destination_country: [NO, SE], path: CANCEL}",
    );
    let policy: Policy = parse(&text).unwrap();
    let mut asked = question();
    for (country, rule) in [("NO", Some("early")), ("SE", Some("early")), ("DE", None)] {
        asked.destination_country = country.to_owned();
        assert_eq!(policy.answer(&asked).rule.as_deref(), rule);
    }
}

#[test]
fn a_text_that_is_no_document_has_one_error() {
    assert_eq!(unreadable(""), "must be a mapping, is nothing");
    assert_eq!(unreadable("just words"), "must be a mapping, is a text");
    assert_eq!(unreadable("[]"), "must be a mapping, is a list");
    assert!(unreadable("name: [unclosed").contains("line 1, column 7"));
    assert!(unreadable(&format!("{YAML}\n---\nname: second")).starts_with("must be one document"));
    assert!(
        unreadable(&format!("a: !{} 1", "x".repeat(10_000)))
            .chars()
            .count()
            < 300
    );
}

#[test]
fn a_key_stands_once() {
    let yaml = YAML.replace("  shipping: NEVER", "  due: IMMEDIATE");
    assert_eq!(
        unreadable(&yaml),
        "has the key \"due\" twice (line 25, column 3)"
    );
    assert!(unreadable("{\"a\": {\"b\": 1, \"b\": 2}}").starts_with("has the key \"b\" twice"));
}

#[test]
fn anchors_aliases_merge_keys_and_tags_are_refused() {
    let bomb = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n";
    for (text, error) in [
        (
            bomb.to_owned(),
            "must not use anchors (&) and aliases (*): write it out (line 1, column 7)",
        ),
        (
            YAML.replace("[BUYER]", "&who [BUYER]"),
            "must not use anchors (&) and aliases (*)",
        ),
        (
            YAML.replace("[BUYER]", "*who"),
            "alias references unknown anchor",
        ),
        (
            YAML.replace("due: IMMEDIATE", "<<: {due: IMMEDIATE}"),
            "must not use merge keys (<<)",
        ),
        (
            YAML.replace("name: test", "name: !secret test"),
            "unsupported tag",
        ),
    ] {
        let found = unreadable(&text);
        assert!(found.starts_with(error), "{found}");
    }
}

#[test]
fn deep_nesting_is_refused_without_following_it() {
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        "- ".repeat(100_000),
        "? ".repeat(100_000),
    ] {
        let error = unreadable(&text);
        assert!(
            error.starts_with("may be nested at most 16 deep") || error.contains("recursion limit"),
            "{error}"
        );
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_has_faults(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[a-zA-Z0-9:\\[\\]{}, &*\"\n~-]{0,6}"), 0..4),
    ) {
        let mut text = YAML.to_owned();
        for (at, length, with) in edits {
            let start = at.index(text.len());
            let end = text.len().min(start + length);
            text.replace_range(start..end, &with);
        }
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.is_empty(), "{text}");
        }
    }
}
