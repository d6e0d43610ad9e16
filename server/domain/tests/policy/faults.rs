//! Every kind of fault, with the very path it is reported under.

use belay_domain::policy::parse;
use serde_json::{Value, json};

use crate::support::{document, fault_paths, remove, set};

/// Makes one change to a document without faults and expects this one fault.
fn check(pointer: &str, value: Value, path: &str, description: &str) {
    let mut document = document();
    set(&mut document, pointer, value);
    check_one(&document, path, description);
}

fn check_removed(pointer: &str, path: &str, description: &str) {
    let mut document = document();
    remove(&mut document, pointer);
    check_one(&document, path, description);
}

fn check_one(document: &Value, path: &str, description: &str) {
    let faults = parse(&document.to_string()).expect_err(&format!("a fault at {path}"));
    let found: Vec<(&str, &str)> =
        faults.iter().map(|fault| (fault.path.as_str(), fault.description.as_str())).collect();
    assert!(found.len() == 1 && found[0].0 == path, "expected one fault at {path}, found {found:#?}");
    assert!(found[0].1.contains(description), "expected {description:?} in {:?}", found[0].1);
}

#[test]
fn the_document_that_the_faults_are_put_into_has_none() {
    assert_eq!(fault_paths(&document()), [""; 0]);
}

#[test]
fn required_keys_are_required() {
    check_removed("/name", "name", "is required");
    check_removed("/unpaid", "unpaid", "is required");
    check_removed("/unpaid/expire_after", "unpaid.expire_after", "is required");
    check_removed("/reasons/0/code", "reasons[0].code", "is required");
    check_removed("/reasons/0/actors", "reasons[0].actors", "is required");
    check_removed("/reasons/0/fault", "reasons[0].fault", "is required");
    check_removed("/rules", "rules", "is required");
    check_removed("/rules/0/id", "rules[0].id", "is required");
    check_removed("/rules/0/when", "rules[0].when", "is required");
    check_removed("/rules/0/allow", "rules[0]", "needs allow or deny");
    check_removed("/rules/0/allow/refund", "rules[0].allow.refund", "is required");
    check_removed("/rules/1/allow/gates/0/kind", "rules[1].allow.gates[0].kind", "is required");
    check_removed("/refunds", "refunds", "is required");
    check_removed("/refunds/due", "refunds.due", "is required");
    check_removed("/refunds/shipping", "refunds.shipping", "is required");
    check("/verification", json!({"wait": "24h"}), "verification.methods", "is required");
    check("/verification", json!({"methods": ["CARD"]}), "verification.wait", "is required");
    check("/preparation", json!({}), "preparation.within", "is required");
    check("/refunds/calendars", json!({"DE": {"weekend": []}}), "refunds.calendars.DE.time_zone", "is required");
    check("/refunds/calendars", json!({"DE": {"time_zone": "UTC"}}), "refunds.calendars.DE.weekend", "is required");
    check("/rules/0/when/age", json!({"at_least": "1h"}), "rules[0].when.age.clock", "is required");
    let mut denies = document();
    remove(&mut denies, "/rules/0/allow");
    set(&mut denies, "/rules/0/deny", json!({}));
    check_one(&denies, "rules[0].deny.code", "is required");
}

#[test]
fn a_document_without_reasons_says_so_once() {
    check_removed("/reasons", "reasons", "is required");
}

#[test]
fn unknown_keys_are_named_with_the_known_ones() {
    check("/nmae", json!(1), "nmae", "keys are name, source, unpaid");
    check("/unpaid/expires", json!("1h"), "unpaid.expires", "expire_after, in_flight_grace");
    check("/reasons/0/label", json!("x"), "reasons[0].label", "code, actors");
    check("/rules/0/then", json!({}), "rules[0].then", "id, when, allow, deny");
    check("/rules/0/when/stages", json!("PLANNED"), "rules[0].when.stages", "actor, stage, path");
    check("/rules/0/allow/gate", json!([]), "rules[0].allow.gate", "gates, refund");
    check("/rules/1/allow/gates/0/party", json!("SELLER"), "rules[1].allow.gates[0].party", "kind, respond_within");
    check("/refunds/calendar", json!({}), "refunds.calendar", "due, overdue_after, shipping, calendars");
    check("/labels", json!({"to_ship": "x"}), "labels.to_ship", "TO_SHIP");
    let due = json!({
        "due": {"working_days": 3, "hours": 9},
        "shipping": "NEVER",
        "calendars": {"default": {"time_zone": "UTC", "weekend": []}}
    });
    check("/refunds", due, "refunds.due.hours", "keys are working_days");
    check(
        "/refunds/calendars",
        json!({"DE": {"time_zone": "UTC", "weekend": [], "holiday": []}}),
        "refunds.calendars.DE.holiday",
        "time_zone, weekend, holidays",
    );
    check("/rules/0/when/carrier", json!({"can": true, "partner_delivery": true}), "rules[0].when.carrier.can", "keys");
}

#[test]
fn wrong_types_are_told_from_right_ones() {
    check("/name", json!(7), "name", "must be a text, is a number");
    check("/name", json!(null), "name", "must be a text, is nothing");
    check("/unpaid", json!("24h"), "unpaid", "must be a mapping, is a text");
    check("/unpaid/expire_after", json!(24), "unpaid.expire_after", "must be a duration such as 24h");
    check("/reasons/0/note_required", json!("yes"), "reasons[0].note_required", "must be true or false, is a text");
    check("/reasons/0/actors", json!("BUYER"), "reasons[0].actors", "must be a list, is a text");
    check("/reasons/0/actors", json!([["BUYER"]]), "reasons[0].actors[0]", "must be a name, is a list");
    check("/rules", json!({}), "rules", "must be a list, is a mapping");
    check("/rules/0", json!("early"), "rules[0]", "must be a mapping, is a text");
    check("/rules/0/id", json!(true), "rules[0].id", "is true or false");
    check("/rules/0/when/stage", json!({}), "rules[0].when.stage", "must be a name, is a mapping");
    check("/rules/0/when/paid", json!("true"), "rules[0].when.paid", "must be true or false");
    check("/rules/0/when/value", json!({"at_least": 1.5}), "rules[0].when.value.at_least", "must be a whole number");
    check("/rules/0/when/value", json!({"at_least": "1"}), "rules[0].when.value.at_least", "is a text");
    check("/rules/0/allow", json!("FULL"), "rules[0].allow", "must be a mapping, is a text");
    check("/refunds/due", json!({"working_days": "3"}), "refunds.due.working_days", "must be a whole number");
    check("/refunds/due", json!(3), "refunds.due", "must be IMMEDIATE or {working_days: N}");
    check("/refunds/due", json!("IMMEDIATELY"), "refunds.due", "must be IMMEDIATE or {working_days: N}");
    check("/notify", json!("ORDER_PAID"), "notify", "must be a list");
    check("/labels", json!([]), "labels", "must be a mapping, is a list");
    check("/refunds/calendars", json!([]), "refunds.calendars", "must be a mapping, is a list");
}

#[test]
fn a_key_without_a_value_is_no_condition() {
    for key in ["actor", "stage", "path", "reason", "payment_method", "age", "value", "destination_country", "paid"] {
        check(&format!("/rules/1/when/{key}"), json!(null), &format!("rules[1].when.{key}"), "is nothing");
    }
}

#[test]
fn unknown_names_are_listed_with_the_known_ones() {
    check("/rules/1/when/stage", json!(["PACKED"]), "rules[1].when.stage[0]", "UNRELEASED, PLANNED, PREPARING");
    check("/rules/1/when/stage", json!("packed"), "rules[1].when.stage", "found \"packed\"");
    check("/rules/1/when/actor", json!(["BUYER", "STOREFRONT"]), "rules[1].when.actor[1]", "BUYER, SELLER, SUPPORT");
    check("/rules/1/when/path", json!("REFUND"), "rules[1].when.path", "CANCEL, INTERCEPT");
    check("/rules/1/when/age", json!([{"clock": "SHIPPED", "at_least": "1h"}]), "rules[1].when.age[0].clock", "PLACED");
    check("/rules/1/allow/refund", json!("HALF"), "rules[1].allow.refund", "FULL, NONE");
    check("/rules/1/allow/gates/0/kind", json!("CONSENT"), "rules[1].allow.gates[0].kind", "SELLER_CONSENT");
    check("/rules/1/allow/gates/0/on_timeout", json!("WAIT"), "rules[1].allow.gates[0].on_timeout", "PASS, REFUSE");
    check("/rules/1/allow/gates/0/on_dispatch", json!("GO"), "rules[1].allow.gates[0].on_dispatch", "BAR, REFUSE_PART");
    check("/rules/1/allow/gates/0/on_lost", json!("WAIT"), "rules[1].allow.gates[0].on_lost", "PASS, ESCALATE");
    check("/reasons/0/fault", json!("CUSTOMER"), "reasons[0].fault", "BUYER, SELLER, CARRIER");
    check("/reasons/0/effects", json!(["REFUND"]), "reasons[0].effects[0]", "ZERO_STOCK, RESTOCK");
    check("/notify", json!(["ORDER_PAID", "PAID"]), "notify[1]", "ORDER_PLACED, ORDER_PAID");
    check("/reason_required", json!(["CUSTOMER"]), "reason_required[0]", "BUYER, SELLER");
    check("/refunds/shipping", json!("ALWAYS"), "refunds.shipping", "WHEN_SHIPMENT_WHOLLY_CANCELLED, NEVER");
    let weekend = json!({"DE": {"time_zone": "UTC", "weekend": ["SATURDAY", "SUN"]}});
    check("/refunds/calendars", weekend, "refunds.calendars.DE.weekend[1]", "MONDAY, TUESDAY");
    let mut denies = document();
    remove(&mut denies, "/rules/1/allow");
    set(&mut denies, "/rules/1/deny", json!({"code": "NO", "next_actions": ["CRY"]}));
    assert_eq!(fault_paths(&denies), ["rules[1].deny.code", "rules[1].deny.next_actions[0]"]);
}

#[test]
fn durations_are_of_days_hours_minutes_and_seconds() {
    for text in ["24h", "12h", "20d", "90m", "36h30m", "1d 12h", "1.5h", "45s"] {
        let mut document = document();
        set(&mut document, "/unpaid/expire_after", json!(text));
        assert_eq!(fault_paths(&document), [""; 0], "{text}");
    }
    for (text, description) in [
        ("", "must be a duration"),
        ("soon", "found \"soon\""),
        ("24", "must be a duration"),
        ("24x", "must be a duration"),
        ("PT24H", "must be a duration"),
        ("2 weeks", "must be in d, h, m and s"),
        ("1mo", "must be in d, h, m and s"),
        ("1y", "must be in d, h, m and s"),
        ("100ms", "must be in d, h, m and s"),
        ("-24h", "must not be negative"),
        ("24h ago", "must not be negative"),
        ("0s", "must be longer than nothing"),
    ] {
        check("/unpaid/expire_after", json!(text), "unpaid.expire_after", description);
    }
}

#[test]
fn waits_are_longer_than_nothing_where_nothing_would_be_no_wait() {
    check("/verification", json!({"methods": ["CARD"], "wait": "0h"}), "verification.wait", "longer than nothing");
    check("/preparation", json!({"within": "0h"}), "preparation.within", "longer than nothing");
    let within = "/rules/1/allow/gates/0/respond_within";
    check(within, json!("0h"), "rules[1].allow.gates[0].respond_within", "longer than nothing");
    let mut document = document();
    set(&mut document, "/unpaid/in_flight_grace", json!("0s"));
    set(&mut document, "/rules/0/when/age", json!({"clock": "PAID", "at_least": "0s"}));
    assert_eq!(fault_paths(&document), [""; 0]);
}

#[test]
fn codes_and_ids_keep_to_their_letters() {
    for code in ["", "changed", "1ST", "_X", "A-B", "Ä", "A B"] {
        check("/reasons/0/code", json!(code), "reasons[0].code", "must look like [A-Z][A-Z0-9_]{0,62}");
    }
    for id in ["", "Early", "1st", "-x", "a_b", "é", "a b"] {
        check("/rules/0/id", json!(id), "rules[0].id", "must look like [a-z][a-z0-9-]{0,62}");
    }
    let methods = json!({"methods": ["credit card"], "wait": "1h"});
    check("/verification", methods, "verification.methods[0]", "[A-Z][A-Z0-9_]{0,62}");
    check("/rules/0/when/payment_method", json!("card"), "rules[0].when.payment_method", "[A-Z][A-Z0-9_]{0,62}");
    for country in ["de", "DEU", "D", "D1"] {
        check("/rules/0/when/destination_country", json!(country), "rules[0].when.destination_country", "two capital");
    }
    let calendar = json!({"de": {"time_zone": "UTC", "weekend": []}});
    check("/refunds/calendars", calendar, "refunds.calendars.de", "a country of two capital letters");
}

#[test]
fn nothing_is_said_twice() {
    let mut reasons = document();
    reasons["reasons"]
        .as_array_mut()
        .unwrap()
        .push(json!({"code": "CHANGED_MIND", "actors": ["BUYER"], "fault": "BUYER"}));
    check_one(&reasons, "reasons[2].code", "is the code of reasons[0] already");
    check("/rules/1/id", json!("early"), "rules[1].id", "is the id of rules[0] already");
    check("/reasons/0/actors", json!(["BUYER", "SELLER", "BUYER"]), "reasons[0].actors[2]", "twice");
    check("/rules/1/when/stage", json!(["READY", "READY"]), "rules[1].when.stage[1]", "twice");
    check("/notify", json!(["ORDER_PAID", "ORDER_PAID"]), "notify[1]", "twice");
    let ages = json!([{"clock": "PAID", "at_least": "1h"}, {"clock": "PAID", "less_than": "2h"}]);
    check("/rules/0/when/age", ages, "rules[0].when.age[1]", "the only age by PAID");
    let gate = json!({"kind": "PARCEL_RECEIPT", "on_lost": "PASS"});
    check("/rules/1/allow/gates", json!([gate, gate]), "rules[1].allow.gates[1]", "the only PARCEL_RECEIPT");
    check("/rules/0/deny", json!({"code": "SHIPPED"}), "rules[0]", "must have allow or deny, not both");
}

#[test]
fn lists_that_would_mean_nothing_are_not_empty() {
    check("/reasons", json!([]), "reasons", "at least one entry");
    check("/reasons/0/actors", json!([]), "reasons[0].actors", "at least one entry");
    check("/rules", json!([]), "rules", "at least one entry");
    check("/verification", json!({"methods": [], "wait": "1h"}), "verification.methods", "at least one entry");
    for key in ["actor", "stage", "path", "reason", "payment_method", "age", "destination_country"] {
        check(&format!("/rules/1/when/{key}"), json!([]), &format!("rules[1].when.{key}"), "at least one entry");
    }
    check("/rules/0/when/age", json!({"clock": "PAID"}), "rules[0].when.age", "needs at_least or less_than");
    check("/rules/0/when/value", json!({}), "rules[0].when.value", "needs at_least or less_than");
    check(
        "/rules/0/when/carrier",
        json!({}),
        "rules[0].when.carrier",
        "needs one of in_transit_cancel, partner_delivery, return_label",
    );
    let mut document = document();
    set(&mut document, "/rules/0/allow/gates", json!([]));
    set(&mut document, "/reasons/0/effects", json!([]));
    for key in ["/notify", "/reason_required"] {
        set(&mut document, key, json!([]));
    }
    assert_eq!(fault_paths(&document), [""; 0]);
}

#[test]
fn windows_have_something_in_them() {
    let age = |from: &str, until: &str| json!({"clock": "PAID", "at_least": from, "less_than": until});
    check("/rules/0/when/age", age("2h", "2h"), "rules[0].when.age", "matches nothing");
    check("/rules/0/when/value", json!({"at_least": 5, "less_than": 5}), "rules[0].when.value", "matches nothing");
    check("/rules/0/when/value", json!({"at_least": -1}), "rules[0].when.value.at_least", "must be from 0");
    let mut document = document();
    set(&mut document, "/rules/0/when/age", age("2h", "2h 1s"));
    set(&mut document, "/rules/0/when/value", json!({"at_least": 5, "less_than": 6}));
    assert_eq!(fault_paths(&document), [""; 0]);
}

#[test]
fn rules_name_declared_reasons() {
    check("/rules/0/when/reason", json!("BORED"), "rules[0].when.reason", "BORED is not declared");
    check("/rules/0/when/reason", json!(["CHANGED_MIND", "BORED"]), "rules[0].when.reason[1]", "BORED is not declared");
}

#[test]
fn a_faulty_reason_is_still_declared() {
    let mut document = document();
    set(&mut document, "/rules/0/when/reason", json!("CHANGED_MIND"));
    set(&mut document, "/reasons/0/fault", json!("CUSTOMER"));
    check_one(&document, "reasons[0].fault", "must be one of");
}

#[test]
fn payment_expired_is_there_and_belongs_to_the_system() {
    check("/reasons", json!([document()["reasons"][0]]), "reasons", "must declare PAYMENT_EXPIRED for SYSTEM");
    check("/reasons/1/actors", json!(["SYSTEM", "BUYER"]), "reasons[1].actors", "must be [SYSTEM]");
    check("/reasons/1/note_required", json!(true), "reasons[1].note_required", "must be false");
    check("/reasons/1/evidence_required", json!(true), "reasons[1].evidence_required", "must be false");
}

#[test]
fn parcel_returned_need_not_be_there_and_belongs_to_the_carrier() {
    let returned = |actors: Value, note_required: bool| {
        let mut document = document();
        let reason =
            json!({"code": "PARCEL_RETURNED", "actors": actors, "fault": "BUYER", "note_required": note_required});
        document["reasons"].as_array_mut().unwrap().push(reason);
        document
    };
    assert_eq!(fault_paths(&returned(json!(["CARRIER"]), false)), [""; 0]);
    check_one(&returned(json!(["CARRIER", "SELLER"]), false), "reasons[2].actors", "must be [CARRIER]");
    check_one(&returned(json!(["CARRIER"]), true), "reasons[2].note_required", "must be false");
}

#[test]
fn whoever_must_name_a_reason_has_one() {
    check("/reason_required", json!(["BUYER", "SELLER"]), "reason_required[1]", "no reason has SELLER");
}

#[test]
fn stock_is_not_zeroed_and_filled_at_once() {
    check("/reasons/0/effects", json!(["ZERO_STOCK", "RESTOCK"]), "reasons[0].effects", "must not have both");
}

#[test]
fn gates_wait_in_ways_that_make_sense() {
    let at = "rules[1].allow.gates[0]";
    for (gate, key, description) in [
        (json!({"kind": "SELLER_CONSENT"}), ".respond_within", "SELLER may stay silent for ever"),
        (json!({"kind": "SUPPORT_REVIEW"}), ".respond_within", "SUPPORT may stay silent for ever"),
        (json!({"kind": "PARCEL_RECEIPT", "respond_within": "1h"}), ".on_timeout", "required with respond_within"),
        (json!({"kind": "PARCEL_RECEIPT", "on_timeout": "REFUSE"}), ".on_timeout", "has no respond_within"),
        (json!({"kind": "WAREHOUSE_STOP", "respond_within": "1h", "on_timeout": "PASS"}), ".on_timeout", "silence"),
        (json!({"kind": "CARRIER_INTERCEPT", "respond_within": "1h", "on_timeout": "PASS"}), ".on_timeout", "silence"),
        (json!({"kind": "PARCEL_RECEIPT", "respond_within": "1h", "on_timeout": "PASS"}), ".on_timeout", "silence"),
        (json!({"kind": "SUPPORT_REVIEW", "respond_within": "1h", "on_timeout": "ESCALATE"}), ".on_timeout", "PASS or"),
        (json!({"kind": "WAREHOUSE_STOP", "on_dispatch": "REFUSE_PART"}), ".on_dispatch", "must be BAR"),
        (json!({"kind": "LOSS_CONFIRMATION", "respond_within": "1h", "on_timeout": "PASS"}), ".on_timeout", "silence"),
        (
            json!({"kind": "LOSS_CONFIRMATION", "on_lost": "ESCALATE", "escalate_within": "1h"}),
            ".on_lost",
            "must be PASS",
        ),
        (json!({"kind": "PARCEL_RECEIPT"}), ".escalate_within", "support that is asked may stay silent for ever"),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": "2h", "remind_before": "2h", "on_timeout": "PASS"}),
            ".remind_before",
            "must be shorter",
        ),
        (json!({"kind": "WAREHOUSE_STOP", "remind_before": "1h"}), ".remind_before", "has no respond_within"),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": "2h", "remind_before": "0s", "on_timeout": "PASS"}),
            ".remind_before",
            "longer than nothing",
        ),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": "2h", "escalate_within": "1h", "on_timeout": "PASS"}),
            ".escalate_within",
            "has no ESCALATE",
        ),
        (
            json!({"kind": "LOSS_CONFIRMATION", "respond_within": "2h", "escalate_within": "1h", "on_timeout": "REFUSE"}),
            ".escalate_within",
            "has no ESCALATE",
        ),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": {}, "on_timeout": "PASS"}),
            ".respond_within",
            "needs calendar_days or working_days",
        ),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": {"calendar_days": 1, "working_days": 1}, "on_timeout": "PASS"}),
            ".respond_within",
            "not both",
        ),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": {"calendar_days": 0}, "on_timeout": "PASS"}),
            ".respond_within.calendar_days",
            "must be from 1",
        ),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": {"calendar_days": 2, "hours": 1}, "on_timeout": "PASS"}),
            ".respond_within.hours",
            "keys are calendar_days, working_days",
        ),
    ] {
        check("/rules/1/allow/gates/0", gate, &format!("{at}{key}"), description);
    }
    for gate in [
        json!({"kind": "SELLER_CONSENT", "respond_within": "1h", "on_timeout": "PASS", "on_dispatch": "REFUSE_PART"}),
        json!({"kind": "SELLER_CONSENT", "respond_within": "1h", "on_timeout": "ESCALATE", "on_lost": "PASS"}),
        json!({"kind": "SUPPORT_REVIEW", "respond_within": "1h", "on_timeout": "REFUSE"}),
        json!({"kind": "SUPPORT_REVIEW", "respond_within": "1h", "on_timeout": "PASS"}),
        json!({"kind": "WAREHOUSE_STOP", "respond_within": "1h", "on_timeout": "ESCALATE", "on_dispatch": "BAR"}),
        json!({"kind": "CARRIER_INTERCEPT", "respond_within": "1h", "on_timeout": "REFUSE"}),
        json!({"kind": "PARCEL_RECEIPT", "on_lost": "PASS"}),
        json!({"kind": "PARCEL_RECEIPT", "escalate_within": "1h"}),
        json!({"kind": "WAREHOUSE_STOP"}),
        json!({"kind": "LOSS_CONFIRMATION"}),
        json!({"kind": "LOSS_CONFIRMATION", "respond_within": "1h", "on_timeout": "REFUSE", "on_lost": "PASS"}),
        json!({"kind": "LOSS_CONFIRMATION", "respond_within": "1h", "on_timeout": "ESCALATE", "escalate_within": "1h"}),
        json!({"kind": "SELLER_CONSENT", "respond_within": {"calendar_days": 2}, "on_timeout": "PASS"}),
        json!({"kind": "SELLER_CONSENT", "respond_within": "2h", "remind_before": "119m", "on_timeout": "PASS"}),
        // How long a day is, only the calendar knows.
        json!({"kind": "SELLER_CONSENT", "respond_within": {"calendar_days": 1}, "remind_before": "2d", "on_timeout": "PASS"}),
        json!({"kind": "SELLER_CONSENT", "respond_within": "1h", "on_timeout": "ESCALATE", "escalate_within": {"calendar_days": 1}}),
        json!({"kind": "WAREHOUSE_STOP", "respond_within": {"working_days": 1}, "on_timeout": "REFUSE", "on_lost": "PASS"}),
    ] {
        let mut document = document();
        set(&mut document, "/rules/1/allow/gates/0", gate.clone());
        assert_eq!(fault_paths(&document), [""; 0], "{gate}");
    }
}

#[test]
fn calendars_are_of_this_world() {
    let calendar = |zone: &str, weekend: Value, holidays: Value| json!({"default": {"time_zone": zone, "weekend": weekend, "holidays": holidays}});
    let at = "refunds.calendars.default";
    for (calendar, key, description) in [
        (calendar("Europe/Atlantis", json!([]), json!([])), ".time_zone", "found \"Europe/Atlantis\""),
        (calendar("Etc/Unknown", json!([]), json!([])), ".time_zone", "IANA time zone"),
        (calendar("UTC", json!([]), json!(["25.12.2026"])), ".holidays[0]", "a date such as 2026-12-25"),
        (calendar("UTC", json!([]), json!(["2026-02-29"])), ".holidays[0]", "found \"2026-02-29\""),
        (calendar("UTC", json!([]), json!(["2026-12-25T00:00"])), ".holidays[0]", "a date such as"),
        (calendar("UTC", json!([]), json!(["2026-12-25", "2026-12-25"])), ".holidays[1]", "twice"),
        (
            calendar(
                "UTC",
                json!(["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]),
                json!([]),
            ),
            ".weekend",
            "at least one day to work on",
        ),
    ] {
        check("/refunds/calendars", calendar, &format!("{at}{key}"), description);
    }
    check("/refunds/due", json!({"working_days": 3}), "refunds.calendars.default", "refunds are due in working days");
}

#[test]
fn working_days_of_gates_need_a_calendar_unless_they_are_the_warehouses() {
    let days = json!({"working_days": 1});
    for gate in [
        json!({"kind": "SELLER_CONSENT", "respond_within": days, "on_timeout": "REFUSE"}),
        json!({"kind": "SUPPORT_REVIEW", "respond_within": days, "on_timeout": "REFUSE"}),
        json!({"kind": "CARRIER_INTERCEPT", "respond_within": days, "on_timeout": "REFUSE"}),
        json!({"kind": "LOSS_CONFIRMATION", "respond_within": days, "on_timeout": "REFUSE"}),
        json!({"kind": "WAREHOUSE_STOP", "respond_within": days, "on_timeout": "ESCALATE"}),
        json!({"kind": "WAREHOUSE_STOP", "respond_within": "1h", "on_timeout": "ESCALATE", "escalate_within": days}),
        json!({"kind": "PARCEL_RECEIPT", "respond_within": days, "on_timeout": "REFUSE", "on_lost": "ESCALATE"}),
    ] {
        check("/rules/1/allow/gates/0", gate, "refunds.calendars.default", "answers to gates are due in working days");
    }
    let mut document = document();
    let stop = json!({"kind": "WAREHOUSE_STOP", "respond_within": days, "on_timeout": "REFUSE", "on_lost": "PASS"});
    set(&mut document, "/rules/1/allow/gates/0", stop);
    assert_eq!(fault_paths(&document), [""; 0]);
}

#[test]
fn a_refund_by_schedule_has_a_schedule() {
    let at = "rules[0].allow.refund";
    check("/rules/0/allow/refund", json!("BY_SCHEDULE"), at, "there are no returns.rates");
    check("/rules/0/allow/refund", json!({"share": "BY_SCHEDULE"}), at, "there are no returns.rates");
    check("/rules/0/allow/refund", json!({}), &format!("{at}.share"), "is required");
    check("/rules/0/allow/refund", json!({"share": "HALF"}), &format!("{at}.share"), "FULL, NONE, BY_SCHEDULE");
    let carrier = json!({"share": "FULL", "return_shipping": "CARRIER"});
    check("/rules/0/allow/refund", carrier, &format!("{at}.return_shipping"), "BUYER, SELLER");
    let nothing = json!({"share": "NONE", "outbound_shipping": "SELLER"});
    check("/rules/0/allow/refund", nothing, &format!("{at}.outbound_shipping"), "where nothing comes back");
    let unknown = json!({"share": "FULL", "shipping": "SELLER"});
    check("/rules/0/allow/refund", unknown, &format!("{at}.shipping"), "keys are share, outbound_shipping");
}

#[test]
fn a_schedule_of_returns_covers_everything_that_comes_back() {
    let rates = |rates: Value| json!({"rates": rates});
    let reason = |reason: &str| json!([{"reason": reason, "percent": 1}, {"percent": 0}]);
    for (schedule, path, description) in [
        (json!([]), "", "at least one entry"),
        (json!([{"received_within": "15d", "percent": 100}]), "[0]", "the last rate is for whatever"),
        (json!([{"percent": 100}, {"condition": "OPENED", "percent": 50}]), "[1]", "the last rate is for whatever"),
        (json!([{"percent": 101}]), "[0].percent", "must be from 0 to 100"),
        (json!([{"percent": -1}]), "[0].percent", "must be from 0 to 100"),
        (json!([{}]), "[0].percent", "is required"),
        (json!([{"percent": 1, "days": 3}]), "[0].days", "keys are received_within, condition, reason, percent"),
        (
            json!([{"received_within": "0s", "percent": 1}, {"percent": 0}]),
            "[0].received_within",
            "longer than nothing",
        ),
        (json!([{"condition": "WET", "percent": 1}, {"percent": 0}]), "[0].condition", "UNOPENED, OPENED, DAMAGED"),
        (json!([{"condition": [], "percent": 1}, {"percent": 0}]), "[0].condition", "at least one entry"),
        (reason("BORED"), "[0].reason", "BORED is not declared"),
    ] {
        let path = format!("returns.rates{path}");
        let mut document = document();
        set(&mut document, "/returns", rates(schedule.clone()));
        let faults = fault_paths(&document);
        // A rate that takes all makes the next one unreachable as well, which is said too.
        assert_eq!(faults.first(), Some(&path), "{schedule} has {faults:?}");
        let found = parse(&document.to_string()).unwrap_err();
        assert!(found[0].description.contains(description), "{found:#?}");
    }
    check("/returns", json!({"label": "x"}), "returns.label", "keys are rates, without_label");
    check("/returns", json!({"without_label": ""}), "returns.without_label", "must not be empty");
}

#[test]
fn a_rate_that_an_earlier_one_leaves_nothing_to_is_a_fault() {
    let within = |days: &str| json!({"received_within": days});
    for (earlier, later, takes_all) in [
        (json!({}), within("5d"), true),
        (within("5d"), within("5d"), true),
        (within("5d"), within("4d"), true),
        (within("5d"), within("6d"), false),
        (within("5d"), json!({"condition": "OPENED"}), false),
        (json!({"condition": ["OPENED", "DAMAGED"]}), json!({"condition": "OPENED"}), true),
        (json!({"condition": "OPENED"}), json!({"condition": ["OPENED", "DAMAGED"]}), false),
        (json!({"reason": "CHANGED_MIND"}), json!({"reason": "CHANGED_MIND", "condition": "OPENED"}), true),
        (json!({"reason": "CHANGED_MIND"}), json!({"condition": "OPENED"}), false),
    ] {
        let mut rates = vec![earlier, later, json!({})];
        for (percent, rate) in rates.iter_mut().enumerate() {
            rate["percent"] = json!(percent);
        }
        let mut document = document();
        set(&mut document, "/returns", json!({"rates": rates}));
        let faults = fault_paths(&document);
        assert_eq!(faults.contains(&"returns.rates[1]".to_owned()), takes_all, "{document:#}");
    }
}

#[test]
fn customs_and_quality_say_what_they_count() {
    let customs =
        |units: i64| json!({"identical_units_max": units, "own_delivery": ["CANCEL"], "partner_delivery": ["CANCEL"]});
    check("/customs", customs(0), "customs.identical_units_max", "must be from 1");
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
    check("/customs", without("own_delivery", json!([])), "customs.own_delivery", "at least one entry");
    check("/customs", without("partner_delivery", json!(["CRY"])), "customs.partner_delivery[0]", "CANCEL, INTERCEPT");
    check("/customs", without("partner_delivery", json!(["CANCEL", "CANCEL"])), "customs.partner_delivery[1]", "twice");
    check("/customs", without("duty", json!(1)), "customs.duty", "keys are identical_units_max");
    let quality = |key: &str, value: Value| {
        let mut quality =
            json!({"numerator": "COUNTED_CANCELLATIONS", "denominator": "ORDERS_PLACED", "window_days": 7});
        quality[key] = value;
        quality
    };
    let mut document = document();
    set(&mut document, "/quality", quality("thresholds", json!([])));
    assert_eq!(fault_paths(&document), [""; 0]);
    let threshold = |name: &str, percent: i64| json!({"name": name, "percent": percent});
    for (key, value, path, description) in [
        ("numerator", json!("CANCELLATIONS"), ".numerator", "COUNTED_CANCELLATIONS, COUNTED_SHIPMENTS"),
        ("denominator", json!("ORDERS"), ".denominator", "ORDERS_PLACED, SHIPMENTS_DUE"),
        ("window_days", json!(0), ".window_days", "must be from 1"),
        ("lag_days", json!(-1), ".lag_days", "must be from 0"),
        ("window", json!("7d"), ".window", "keys are numerator, denominator"),
        ("thresholds", json!([threshold("warning", 1)]), ".thresholds[0].name", "must look like"),
        ("thresholds", json!([threshold("A", 0)]), ".thresholds[0].percent", "must be from 1 to 100"),
        ("thresholds", json!([threshold("A", 101)]), ".thresholds[0].percent", "must be from 1 to 100"),
        ("thresholds", json!([threshold("A", 2), threshold("A", 3)]), ".thresholds[1].name", "twice"),
        ("thresholds", json!([threshold("A", 2), threshold("B", 2)]), ".thresholds[1].percent", "thresholds ascend"),
        ("thresholds", json!([{"name": "A"}]), ".thresholds[0].percent", "is required"),
        ("thresholds", json!([{"name": "A", "percent": 1, "event": true}]), ".thresholds[0].event", "name, percent"),
    ] {
        check("/quality", quality(key, value), &format!("quality{path}"), description);
    }
    check("/quality", json!({"denominator": "ORDERS_PLACED", "window_days": 7}), "quality.numerator", "is required");
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
fn evidence_comes_from_channels_and_leads_somewhere() {
    check("/reasons/0/evidence_channels", json!([]), "reasons[0].evidence_channels", "at least one entry");
    check("/reasons/0/evidence_channels", json!(["chat"]), "reasons[0].evidence_channels[0]", "[A-Z][A-Z0-9_]{0,62}");
    check("/reasons/0/evidence_channels", json!(["CHAT", "CHAT"]), "reasons[0].evidence_channels[1]", "twice");
    check("/reasons/0/next_actions", json!(["CRY"]), "reasons[0].next_actions[0]", "CANCEL, INTERCEPT");
    check("/reasons/0/next_actions", json!(["WAIT", "WAIT"]), "reasons[0].next_actions[1]", "twice");
}

#[test]
fn a_rule_that_an_earlier_one_leaves_nothing_to_is_a_fault() {
    let ages = |from: &str, until: &str| json!({"age": {"clock": "PAID", "at_least": from, "less_than": until}});
    let values = |from: i64, until: i64| json!({"value": {"at_least": from, "less_than": until}});
    // Earlier condition, later condition, whether the earlier takes all.
    for (earlier, later, takes_all) in [
        (json!({}), json!({}), true),
        (json!({}), json!({"stage": "READY"}), true),
        (json!({"stage": "READY"}), json!({}), false),
        (json!({"stage": ["READY", "PLANNED"]}), json!({"stage": "READY"}), true),
        (json!({"stage": "READY"}), json!({"stage": ["READY", "PLANNED"]}), false),
        (json!({"stage": "READY"}), json!({"stage": "READY", "path": "CANCEL"}), true),
        (json!({"stage": "READY", "path": "CANCEL"}), json!({"stage": "READY"}), false),
        (json!({"actor": "BUYER"}), json!({"actor": "SELLER"}), false),
        (json!({"reason": "CHANGED_MIND"}), json!({}), false),
        (json!({"reason": "CHANGED_MIND"}), json!({"reason": "CHANGED_MIND"}), true),
        (json!({"paid": true}), json!({"paid": true}), true),
        (json!({"paid": true}), json!({"paid": false}), false),
        (json!({"paid": true}), json!({}), false),
        (json!({"payment_method": ["A", "B"]}), json!({"payment_method": "B"}), true),
        (json!({"payment_method": "A"}), json!({"payment_method": ["A", "B"]}), false),
        (json!({"destination_country": ["DE", "NO"]}), json!({"destination_country": "NO"}), true),
        (json!({"destination_country": "DE"}), json!({"destination_country": "NO"}), false),
        (json!({"carrier": {"in_transit_cancel": true}}), json!({"carrier": {"in_transit_cancel": true}}), true),
        (json!({"carrier": {"in_transit_cancel": true}}), json!({"carrier": {"in_transit_cancel": false}}), false),
        (json!({"carrier": {"partner_delivery": true}}), json!({"carrier": {"partner_delivery": true}}), true),
        (json!({"carrier": {"partner_delivery": true}}), json!({"carrier": {"in_transit_cancel": true}}), false),
        (json!({"carrier": {"return_label": true}}), json!({"carrier": {"return_label": true}}), true),
        (json!({"carrier": {"return_label": true}}), json!({"carrier": {"return_label": false}}), false),
        (json!({"carrier": {"return_label": true}}), json!({}), false),
        (json!({"customs_flagged": true}), json!({"customs_flagged": true}), true),
        (json!({"customs_flagged": true}), json!({"customs_flagged": false}), false),
        (json!({"customs_flagged": true}), json!({}), false),
        (ages("1h", "5h"), ages("1h", "5h"), true),
        (ages("1h", "5h"), ages("2h", "4h"), true),
        (ages("1h", "5h"), ages("59m", "5h"), false),
        (ages("1h", "5h"), ages("1h", "301m"), false),
        (ages("1h", "5h"), json!({"age": {"clock": "PAID", "at_least": "1h"}}), false),
        (json!({"age": {"clock": "PAID", "at_least": "1h"}}), ages("1h", "5h"), true),
        (
            json!({"age": {"clock": "PAID", "at_least": "1h"}}),
            json!({"age": {"clock": "PLACED", "at_least": "1h"}}),
            false,
        ),
        (json!({"age": {"clock": "PAID", "at_least": "1h"}}), json!({}), false),
        (values(10, 20), values(10, 20), true),
        (values(10, 20), values(9, 20), false),
        (values(10, 20), values(10, 21), false),
        (values(10, 20), json!({}), false),
    ] {
        let mut document = document();
        let deny = json!({"code": "SHIPPED"});
        let rules = json!([
            {"id": "first", "when": earlier, "deny": deny},
            {"id": "second", "when": later, "allow": {"refund": "FULL"}}
        ]);
        set(&mut document, "/rules", rules);
        if takes_all {
            check_one(&document, "rules[1]", "can never match: first comes first");
        } else {
            assert_eq!(fault_paths(&document), [""; 0], "{document:#}");
        }
    }
}

#[test]
fn a_faulty_condition_hides_no_later_rule() {
    let mut document = document();
    set(&mut document, "/rules/0/when", json!({"stage": "PACKED"}));
    check_one(&document, "rules[0].when.stage", "must be one of");
}

#[test]
fn the_name_of_belays_own_answer_is_taken() {
    check("/rules/0/id", json!("verification"), "rules[0].id", "Belay itself answers");
}

#[test]
fn texts_are_for_people() {
    check("/name", json!(" "), "name", "must not be empty");
    check("/name", json!("a\u{7}b"), "name", "control characters");
    check("/labels", json!({"TO_SHIP": ""}), "labels.TO_SHIP", "must not be empty");
}

#[test]
fn all_faults_are_listed_with_their_paths() {
    let document = json!({
        "name": 7,
        "unpaid": {"expire_after": "soon", "grace": "1h"},
        "reasons": [{"code": "x", "actors": [], "fault": "ME"}],
        "rules": [
            {"id": "A", "when": {"stage": ["PACKED", "READY"]}, "deny": {"code": "NO"}},
            {"id": "b", "when": {"reason": "GONE"}}
        ],
        "refunds": {"due": "SOON"},
        "extra": true
    });
    let expected = [
        "extra",
        "name",
        "unpaid.grace",
        "unpaid.expire_after",
        "reasons",
        "reasons[0].code",
        "reasons[0].actors",
        "reasons[0].fault",
        "rules[0].id",
        "rules[0].when.stage[0]",
        "rules[0].deny.code",
        "rules[1].when.reason",
        "rules[1]",
        "refunds.due",
        "refunds.shipping",
    ];
    assert_eq!(fault_paths(&document), expected);
}
