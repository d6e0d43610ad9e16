//! The schema that ships beside the presets: it takes what the parser takes, refuses what the
//! parser refuses for its form, and knows the same keys and names.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;

use belay_domain::actor::Role;
use belay_domain::calendar::Weekday;
use belay_domain::order::OrderState;
use belay_domain::policy::{
    AgeClock, Notification, QualityDenominator, QualityNumerator, ShippingRefund, parse,
};
use belay_domain::shipment::Stage;
use belay_domain::terms::{
    DenyCode, Effect, Fault, GateKind, GoodsCondition, NextAction, OnDispatch, OnLost, OnTimeout,
    Path, Payer, RefundShare,
};
use serde_json::{Value, json};

use crate::support::{PRESETS, document, error_paths, preset_folder, preset_text, set};

fn schema() -> Value {
    let text = fs::read_to_string(preset_folder().join("policy.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A document in which every key stands that there is.
fn full_document() -> Value {
    let mut document = document();
    let gate = json!({
        "kind": "SELLER_CONSENT",
        "respond_within": {"calendar_days": 2},
        "remind_before": "12h",
        "on_timeout": "ESCALATE",
        "escalate_within": {"working_days": 1},
        "on_dispatch": "BAR",
        "on_lost": "ESCALATE"
    });
    let condition = json!({
        "actor": "BUYER",
        "stage": ["PREPARING", "READY"],
        "path": "CANCEL",
        "reason": "CHANGED_MIND",
        "paid": true,
        "payment_method": "CARD",
        "age": [{"clock": "PAID", "at_least": "1h", "less_than": "2h"}],
        "value": {"at_least": 1, "less_than": 2},
        "destination_country": "NO",
        "carrier": {"in_transit_cancel": true, "partner_delivery": true, "return_label": true},
        "customs_flagged": false
    });
    let plan =
        json!({"share": "BY_SCHEDULE", "outbound_shipping": "BUYER", "return_shipping": "SELLER"});
    let deny = json!({"code": "SHIPPED", "next_actions": ["WAIT"]});
    let reason = json!({
        "code": "CHANGED_MIND",
        "actors": ["BUYER"],
        "fault": "BUYER",
        "note_required": true,
        "evidence_required": true,
        "evidence_channels": ["CHAT"],
        "labels": {"en": "Changed my mind", "zh-Hant": "改變主意"},
        "counted": true,
        "effects": ["RESTOCK"],
        "next_actions": ["WAIT"]
    });
    let labels: Value = OrderState::ALL
        .iter()
        .map(|state| (state.to_string(), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let calendars = json!({
        "default": {"time_zone": "UTC", "weekend": ["SUNDAY"], "holidays": ["2026-12-25"]},
        "NO": {"time_zone": "Europe/Oslo", "weekend": []}
    });
    let rates = json!([
        {"received_within": "15d", "condition": ["OPENED"], "reason": "CHANGED_MIND", "percent": 50},
        {"percent": 0}
    ]);
    for (pointer, value) in [
        ("/source", json!("a page")),
        ("/unpaid/in_flight_grace", json!("15m")),
        ("/unpaid/pay_again_within", json!("2h")),
        ("/verification", json!({"methods": ["CARD"], "wait": "24h"})),
        ("/preparation", json!({"within": "12h"})),
        ("/notify", json!(["ORDER_PAID"])),
        ("/labels", labels),
        ("/reason_required", json!(["BUYER"])),
        ("/reasons/0", reason),
        (
            "/rules/0",
            json!({"id": "a", "when": condition, "allow": {"gates": [gate], "refund": plan}}),
        ),
        (
            "/rules/1",
            json!({"id": "b", "when": {"age": {"clock": "PLACED", "at_least": "1h"}}, "deny": deny}),
        ),
        ("/refunds/due", json!({"working_days": 3})),
        ("/refunds/overdue_after", json!("1h")),
        ("/refunds/calendars", calendars),
        ("/returns", json!({"rates": rates, "without_label": "x"})),
        (
            "/customs",
            json!({"identical_units_max": 3, "own_delivery": ["CANCEL"], "partner_delivery": ["CANCEL"]}),
        ),
        (
            "/quality",
            json!({
                "numerator": "COUNTED_SHIPMENTS",
                "denominator": "SHIPMENTS_DUE",
                "window_days": 7,
                "lag_days": 1,
                "thresholds": [{"name": "WARNING", "percent": 5}]
            }),
        ),
    ] {
        set(&mut document, pointer, value);
    }
    document
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let schema = schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut valid: Vec<(String, Value)> = PRESETS
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                serde_saphyr::from_str(&preset_text(name)).unwrap(),
            )
        })
        .collect();
    valid.push(("the smallest".to_owned(), document()));
    valid.push(("the fullest".to_owned(), full_document()));
    for (name, document) in valid {
        assert_eq!(error_paths(&document), [""; 0], "{name}");
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, [""; 0], "{name}");
    }
}

#[test]
fn the_schema_refuses_what_the_parser_refuses_for_its_form() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let too_many = |count: usize| Value::from_iter((0..count).map(|index| format!("M{index}")));
    for (pointer, value) in [
        ("/extra", json!(1)),
        ("/name", json!(7)),
        ("/name", json!(" ")),
        ("/name", json!("x".repeat(101))),
        ("/unpaid", json!({})),
        ("/unpaid", json!("24h")),
        ("/unpaid/expire_after", json!(24)),
        ("/unpaid/expire_after", json!("-24h")),
        ("/unpaid/expire_after", json!("soon")),
        ("/verification", json!({"methods": [], "wait": "1h"})),
        ("/verification", json!({"methods": ["card"], "wait": "1h"})),
        ("/preparation", json!({"within": "1h", "else": "2h"})),
        ("/notify", json!(["ORDER_PAID", "ORDER_PAID"])),
        ("/notify", json!("ORDER_PAID")),
        ("/labels", json!({"to_ship": "x"})),
        ("/reason_required", json!(["STOREFRONT"])),
        ("/reasons", json!([])),
        ("/reasons/0/code", json!("changed")),
        ("/reasons/0/actors", json!([])),
        ("/reasons/0/fault", json!("CUSTOMER")),
        ("/reasons/0/counted", json!("yes")),
        ("/reasons/0/evidence_channels", json!([])),
        ("/reasons/0/labels", json!({"EN": "x"})),
        ("/reasons/0/labels", json!({"en": ""})),
        ("/reasons/0/labels", json!({"en": 1})),
        ("/reasons/0/next_actions", json!(["CRY"])),
        ("/rules", json!([])),
        ("/rules/0/id", json!("Early")),
        ("/rules/0/id", json!("verification")),
        ("/rules/0/then", json!({})),
        ("/rules/1/deny", json!({"code": "NO"})),
        ("/rules/0/deny", json!({"code": "SHIPPED"})),
        ("/rules/0/allow", json!({})),
        ("/rules/0/when/stage", json!(null)),
        ("/rules/0/when/stage", json!([])),
        ("/rules/0/when/stage", json!(["READY", "READY"])),
        ("/rules/0/when/stage", json!("packed")),
        ("/rules/0/when/payment_method", too_many(101)),
        ("/rules/0/when/age", json!({"clock": "PAID"})),
        ("/rules/0/when/age", json!({"at_least": "1h"})),
        ("/rules/0/when/value", json!({})),
        ("/rules/0/when/value", json!({"at_least": -1})),
        ("/rules/0/when/destination_country", json!("DEU")),
        ("/rules/0/when/carrier", json!({})),
        ("/rules/0/when/carrier", json!({"can_fly": true})),
        ("/rules/0/when/customs_flagged", json!("yes")),
        ("/rules/0/allow/refund", json!("HALF")),
        (
            "/rules/0/allow/refund",
            json!({"outbound_shipping": "BUYER"}),
        ),
        ("/rules/0/allow/refund/return_shipping", json!("CARRIER")),
        ("/rules/0/allow/gates/0/kind", json!("CONSENT")),
        (
            "/rules/0/allow/gates/0/respond_within",
            json!({"calendar_days": 0}),
        ),
        (
            "/rules/0/allow/gates/0/respond_within",
            json!({"calendar_days": 367}),
        ),
        (
            "/rules/0/allow/gates/0/respond_within",
            json!({"working_days": 91}),
        ),
        (
            "/rules/0/allow/gates/0/respond_within",
            json!({"calendar_days": 1, "working_days": 1}),
        ),
        (
            "/rules/0/allow/gates/0",
            json!({"kind": "WAREHOUSE_STOP", "respond_within": "1h"}),
        ),
        (
            "/rules/0/allow/gates/0",
            json!({"kind": "WAREHOUSE_STOP", "on_timeout": "REFUSE"}),
        ),
        (
            "/rules/0/allow/gates/0",
            json!({"kind": "WAREHOUSE_STOP", "remind_before": "1h"}),
        ),
        ("/refunds/due", json!("SOON")),
        ("/refunds/due", json!({"working_days": 0})),
        ("/refunds/shipping", json!("ALWAYS")),
        (
            "/refunds/calendars/de",
            json!({"time_zone": "UTC", "weekend": []}),
        ),
        ("/refunds/calendars/default/weekend", json!(["SUN"])),
        ("/refunds/calendars/default/holidays", json!(["25.12.2026"])),
        ("/returns/rates", json!([])),
        ("/returns/rates/1/percent", json!(101)),
        ("/returns/rates/0/condition", json!("WET")),
        ("/returns/without_label", json!("")),
        ("/customs/identical_units_max", json!(0)),
        ("/customs/own_delivery", json!([])),
        ("/quality/window_days", json!(0)),
        ("/quality/numerator", json!("ALL")),
        ("/quality/thresholds/0/percent", json!(0)),
        ("/quality/thresholds/0/name", json!("warning")),
    ] {
        let mut document = full_document();
        set(&mut document, pointer, value.clone());
        assert!(
            parse(&document.to_string()).is_err(),
            "the parser takes {value} at {pointer}"
        );
        assert!(
            !validator.is_valid(&document),
            "the schema takes {value} at {pointer}"
        );
    }
}

/// What a schema may be instead of itself: what it refers to, or one of its alternatives.
fn alternatives<'s>(schema: &'s Value, node: &'s Value) -> Vec<&'s Value> {
    if let Some(reference) = node["$ref"].as_str() {
        return alternatives(
            schema,
            schema
                .pointer(reference.trim_start_matches('#'))
                .expect(reference),
        );
    }
    match node["anyOf"].as_array() {
        Some(any_of) if node.get("type").is_none() => any_of
            .iter()
            .flat_map(|alternative| alternatives(schema, alternative))
            .collect(),
        _ => vec![node],
    }
}

/// The keys that the parser knows at a place, as it tells an author who writes another.
fn parser_keys(document: &Value, pointer: &str, path: &str) -> BTreeSet<String> {
    let mut document = document.clone();
    set(&mut document, &format!("{pointer}/no_such_key"), json!(1));
    let at = if path.is_empty() {
        "no_such_key".to_owned()
    } else {
        format!("{path}.no_such_key")
    };
    let errors = parse(&document.to_string()).unwrap_err();
    let error = errors
        .iter()
        .find(|error| error.path == at)
        .unwrap_or_else(|| panic!("{at}: {errors:#?}"));
    let (_, keys) = error.description.split_once("the keys are ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

/// Follows the schema along a document. `seen` takes the descriptions of the mappings that it
/// meets.
fn walk(
    schema: &Value,
    node: &Value,
    document: &Value,
    pointer: &str,
    path: &str,
    seen: &mut BTreeSet<String>,
) {
    match document.pointer(pointer).unwrap() {
        Value::Object(entries) => {
            let knows = |node: &&Value, key: &String| node["properties"].get(key).is_some();
            let fits = |node: &&Value| {
                node["additionalProperties"].is_object() || entries.keys().all(|k| knows(node, k))
            };
            let mut of_objects = alternatives(schema, node)
                .into_iter()
                .filter(|node| node["type"] == "object");
            let object = of_objects
                .find(fits)
                .unwrap_or_else(|| panic!("no schema for {path}"));
            if let Some(properties) = object["properties"].as_object() {
                let keys: BTreeSet<String> = properties.keys().cloned().collect();
                assert_eq!(parser_keys(document, pointer, path), keys, "{path}");
                seen.insert(object["description"].to_string());
            }
            for key in entries.keys() {
                let child = object["properties"]
                    .get(key)
                    .unwrap_or(&object["additionalProperties"]);
                let at = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                walk(
                    schema,
                    child,
                    document,
                    &format!("{pointer}/{key}"),
                    &at,
                    seen,
                );
            }
        }
        Value::Array(entries) => {
            let list = alternatives(schema, node)
                .into_iter()
                .find(|node| node["type"] == "array")
                .expect(path);
            for index in 0..entries.len() {
                let at = format!("{path}[{index}]");
                walk(
                    schema,
                    &list["items"],
                    document,
                    &format!("{pointer}/{index}"),
                    &at,
                    seen,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The descriptions of all mappings with keys of their own, and of all keys.
fn described(node: &Value, mappings: &mut BTreeSet<String>) {
    if let Some(properties) = node["properties"].as_object() {
        assert_eq!(node["additionalProperties"], json!(false), "{node:#}");
        assert!(
            mappings.insert(node["description"].to_string()),
            "{} stands there twice",
            node["description"]
        );
        for (key, property) in properties {
            assert!(
                property["description"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')),
                "{key}: {property:#}"
            );
        }
    }
    match node {
        Value::Object(entries) => entries
            .values()
            .for_each(|child| described(child, mappings)),
        Value::Array(entries) => entries.iter().for_each(|child| described(child, mappings)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_schema_and_the_parser_know_the_same_keys() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    let full = full_document();
    walk(&schema, &schema, &full, "", "", &mut seen);
    let mut mappings = BTreeSet::new();
    described(&schema, &mut mappings);
    assert_eq!(
        seen, mappings,
        "every mapping of the schema stands in the full document"
    );
}

#[test]
fn the_schema_and_the_parser_know_the_same_names() {
    fn names<T: Display>(values: &[T]) -> Value {
        values.iter().map(ToString::to_string).collect()
    }
    let schema = schema();
    for (pointer, expected) in [
        ("/stage", names(Stage::ALL)),
        ("/path", names(Path::ALL)),
        ("/gateKind", names(GateKind::ALL)),
        ("/denyCode", names(DenyCode::ALL)),
        ("/nextAction", names(NextAction::ALL)),
        ("/notification", names(Notification::ALL)),
        ("/effect", names(Effect::ALL)),
        ("/fault", names(Fault::ALL)),
        ("/goodsCondition", names(GoodsCondition::ALL)),
        ("/refundShare", names(RefundShare::ALL)),
        ("/payer", names(Payer::ALL)),
        ("/weekday", names(Weekday::ALL)),
        ("/age/properties/clock", names(AgeClock::ALL)),
        ("/gate/properties/on_timeout", names(OnTimeout::ALL)),
        ("/gate/properties/on_dispatch", names(OnDispatch::ALL)),
        ("/gate/properties/on_lost", names(OnLost::ALL)),
        ("/refunds/properties/shipping", names(ShippingRefund::ALL)),
        (
            "/quality/properties/numerator",
            names(QualityNumerator::ALL),
        ),
        (
            "/quality/properties/denominator",
            names(QualityDenominator::ALL),
        ),
    ] {
        let found = schema.pointer(&format!("/$defs{pointer}/enum"));
        assert_eq!(found, Some(&expected), "{pointer}");
    }
    let takes = |role: &&Role| {
        let mut document = document();
        set(
            &mut document,
            "/reasons/0/actors",
            json!([role.to_string()]),
        );
        error_paths(&document).is_empty()
    };
    let requesters: BTreeSet<String> = Role::ALL
        .iter()
        .filter(takes)
        .map(ToString::to_string)
        .collect();
    let known = schema["$defs"]["role"]["enum"].as_array().unwrap();
    assert_eq!(
        known
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>(),
        requesters
    );
}
