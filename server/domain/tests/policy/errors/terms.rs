//! Refunds, returns, customs, quality and evidence.

use belay_domain::policy::parse;
use serde_json::{Value, json};

use super::check;
use crate::support::{document, error_paths, set};

#[test]
fn a_refund_by_schedule_has_a_schedule() {
    let at = "rules[0].allow.refund";
    check(
        "/rules/0/allow/refund",
        json!("BY_SCHEDULE"),
        at,
        "there are no returns.rates",
    );
    check(
        "/rules/0/allow/refund",
        json!({"share": "BY_SCHEDULE"}),
        at,
        "there are no returns.rates",
    );
    check(
        "/rules/0/allow/refund",
        json!({}),
        &format!("{at}.share"),
        "is required",
    );
    check(
        "/rules/0/allow/refund",
        json!({"share": "HALF"}),
        &format!("{at}.share"),
        "FULL, NONE, BY_SCHEDULE",
    );
    let carrier = json!({"share": "FULL", "return_shipping": "CARRIER"});
    check(
        "/rules/0/allow/refund",
        carrier,
        &format!("{at}.return_shipping"),
        "BUYER, SELLER",
    );
    let nothing = json!({"share": "NONE", "outbound_shipping": "SELLER"});
    check(
        "/rules/0/allow/refund",
        nothing,
        &format!("{at}.outbound_shipping"),
        "where nothing comes back",
    );
    let unknown = json!({"share": "FULL", "shipping": "SELLER"});
    check(
        "/rules/0/allow/refund",
        unknown,
        &format!("{at}.shipping"),
        "keys are share, outbound_shipping",
    );
}

#[test]
fn a_schedule_of_returns_covers_everything_that_comes_back() {
    let rates = |rates: Value| json!({"rates": rates});
    let reason = |reason: &str| json!([{"reason": reason, "percent": 1}, {"percent": 0}]);
    for (schedule, path, description) in [
        (json!([]), "", "at least one entry"),
        (
            json!([{"received_within": "15d", "percent": 100}]),
            "[0]",
            "the last rate is for whatever",
        ),
        (
            json!([{"percent": 100}, {"condition": "OPENED", "percent": 50}]),
            "[1]",
            "the last rate is for whatever",
        ),
        (
            json!([{"percent": 101}]),
            "[0].percent",
            "must be from 0 to 100",
        ),
        (
            json!([{"percent": -1}]),
            "[0].percent",
            "must be from 0 to 100",
        ),
        (json!([{}]), "[0].percent", "is required"),
        (
            json!([{"percent": 1, "days": 3}]),
            "[0].days",
            "keys are received_within, condition, reason, percent",
        ),
        (
            json!([{"received_within": "0s", "percent": 1}, {"percent": 0}]),
            "[0].received_within",
            "longer than nothing",
        ),
        (
            json!([{"condition": "WET", "percent": 1}, {"percent": 0}]),
            "[0].condition",
            "UNOPENED, OPENED, DAMAGED",
        ),
        (
            json!([{"condition": [], "percent": 1}, {"percent": 0}]),
            "[0].condition",
            "at least one entry",
        ),
        (reason("BORED"), "[0].reason", "BORED is not declared"),
    ] {
        let path = format!("returns.rates{path}");
        let mut document = document();
        set(&mut document, "/returns", rates(schedule.clone()));
        let errors = error_paths(&document);
        // A rate that takes all makes the next one unreachable as well, which is said too.
        assert_eq!(errors.first(), Some(&path), "{schedule} has {errors:?}");
        let found = parse(&document.to_string()).unwrap_err();
        assert!(found[0].description.contains(description), "{found:#?}");
    }
    check(
        "/returns",
        json!({"label": "x"}),
        "returns.label",
        "keys are rates, without_label",
    );
    check(
        "/returns",
        json!({"without_label": ""}),
        "returns.without_label",
        "must not be empty",
    );
}

#[test]
fn customs_and_quality_say_what_they_count() {
    let customs = |units: i64| json!({"identical_units_max": units, "own_delivery": ["CANCEL"], "partner_delivery": ["CANCEL"]});
    check(
        "/customs",
        customs(0),
        "customs.identical_units_max",
        "must be from 1",
    );
    check(
        "/customs",
        json!({"own_delivery": ["CANCEL"], "partner_delivery": ["CANCEL"]}),
        "customs.identical_units_max",
        "is required",
    );
    let without = |key: &str, value: Value| {
        let mut customs = customs(3);
        customs[key] = value;
        customs
    };
    check(
        "/customs",
        without("own_delivery", json!([])),
        "customs.own_delivery",
        "at least one entry",
    );
    check(
        "/customs",
        without("partner_delivery", json!(["CRY"])),
        "customs.partner_delivery[0]",
        "CANCEL, INTERCEPT",
    );
    check(
        "/customs",
        without("partner_delivery", json!(["CANCEL", "CANCEL"])),
        "customs.partner_delivery[1]",
        "twice",
    );
    check(
        "/customs",
        without("duty", json!(1)),
        "customs.duty",
        "keys are identical_units_max",
    );
    let quality = |key: &str, value: Value| {
        let mut quality = json!({"numerator": "COUNTED_CANCELLATIONS", "denominator": "ORDERS_PLACED", "window_days": 7});
        quality[key] = value;
        quality
    };
    let mut document = document();
    set(&mut document, "/quality", quality("thresholds", json!([])));
    assert_eq!(error_paths(&document), [""; 0]);
    let threshold = |name: &str, percent: i64| json!({"name": name, "percent": percent});
    for (key, value, path, description) in [
        (
            "numerator",
            json!("CANCELLATIONS"),
            ".numerator",
            "COUNTED_CANCELLATIONS, COUNTED_SHIPMENTS",
        ),
        (
            "denominator",
            json!("ORDERS"),
            ".denominator",
            "ORDERS_PLACED, SHIPMENTS_DUE",
        ),
        ("window_days", json!(0), ".window_days", "must be from 1"),
        ("lag_days", json!(-1), ".lag_days", "must be from 0"),
        (
            "window",
            json!("7d"),
            ".window",
            "keys are numerator, denominator",
        ),
        (
            "thresholds",
            json!([threshold("warning", 1)]),
            ".thresholds[0].name",
            "must look like",
        ),
        (
            "thresholds",
            json!([threshold("A", 0)]),
            ".thresholds[0].percent",
            "must be from 1 to 100",
        ),
        (
            "thresholds",
            json!([threshold("A", 101)]),
            ".thresholds[0].percent",
            "must be from 1 to 100",
        ),
        (
            "thresholds",
            json!([threshold("A", 2), threshold("A", 3)]),
            ".thresholds[1].name",
            "twice",
        ),
        (
            "thresholds",
            json!([threshold("A", 2), threshold("B", 2)]),
            ".thresholds[1].percent",
            "thresholds ascend",
        ),
        (
            "thresholds",
            json!([{"name": "A"}]),
            ".thresholds[0].percent",
            "is required",
        ),
        (
            "thresholds",
            json!([{"name": "A", "percent": 1, "event": true}]),
            ".thresholds[0].event",
            "name, percent",
        ),
    ] {
        check(
            "/quality",
            quality(key, value),
            &format!("quality{path}"),
            description,
        );
    }
    check(
        "/quality",
        json!({"denominator": "ORDERS_PLACED", "window_days": 7}),
        "quality.numerator",
        "is required",
    );
    check(
        "/quality",
        json!({"numerator": "COUNTED_SHIPMENTS", "window_days": 7}),
        "quality.denominator",
        "is required",
    );
    let no_window = json!({"numerator": "COUNTED_SHIPMENTS", "denominator": "ORDERS_PLACED"});
    check("/quality", no_window, "quality.window_days", "is required");
}

#[test]
fn labels_of_reasons_stand_under_languages() {
    let check_labels = |labels, path: &str, description| {
        check("/reasons/0/labels", labels, path, description);
    };
    check_labels(json!("Gone"), "reasons[0].labels", "a mapping");
    for tag in ["EN", "english", "de_AT", "de-at"] {
        let mut labels = serde_json::Map::new();
        labels.insert(tag.to_owned(), json!("x"));
        let path = format!("reasons[0].labels.{tag}");
        check_labels(labels.into(), &path, "under a language such as de");
    }
    check_labels(json!({"en": " "}), "reasons[0].labels.en", "not be empty");
    check_labels(json!({"en": 1}), "reasons[0].labels.en", "a text");
}

#[test]
fn evidence_comes_from_channels_and_leads_somewhere() {
    check(
        "/reasons/0/evidence_channels",
        json!([]),
        "reasons[0].evidence_channels",
        "at least one entry",
    );
    check(
        "/reasons/0/evidence_channels",
        json!(["chat"]),
        "reasons[0].evidence_channels[0]",
        "[A-Z][A-Z0-9_]{0,62}",
    );
    check(
        "/reasons/0/evidence_channels",
        json!(["CHAT", "CHAT"]),
        "reasons[0].evidence_channels[1]",
        "twice",
    );
    check(
        "/reasons/0/next_actions",
        json!(["CRY"]),
        "reasons[0].next_actions[0]",
        "CANCEL, INTERCEPT",
    );
    check(
        "/reasons/0/next_actions",
        json!(["WAIT", "WAIT"]),
        "reasons[0].next_actions[1]",
        "twice",
    );
}
