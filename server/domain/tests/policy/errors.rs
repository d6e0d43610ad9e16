//! Every kind of error, with the very path it is reported under.

mod gates;
mod reach;
mod terms;

use belay_domain::policy::parse;
use serde_json::{Value, json};

use crate::support::{document, error_paths, remove, set};

/// Makes one change to a document without errors and expects this one error.
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
    let errors = parse(&document.to_string()).expect_err(&format!("an error at {path}"));
    let found: Vec<(&str, &str)> = errors
        .iter()
        .map(|error| (error.path.as_str(), error.description.as_str()))
        .collect();
    assert!(
        found.len() == 1 && found[0].0 == path,
        "expected one error at {path}, found {found:#?}"
    );
    assert!(
        found[0].1.contains(description),
        "expected {description:?} in {:?}",
        found[0].1
    );
}

#[test]
fn the_document_that_the_faults_are_put_into_has_none() {
    assert_eq!(error_paths(&document()), [""; 0]);
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
    check_removed(
        "/rules/0/allow/refund",
        "rules[0].allow.refund",
        "is required",
    );
    check_removed(
        "/rules/1/allow/gates/0/kind",
        "rules[1].allow.gates[0].kind",
        "is required",
    );
    check_removed("/refunds", "refunds", "is required");
    check_removed("/refunds/due", "refunds.due", "is required");
    check_removed("/refunds/shipping", "refunds.shipping", "is required");
    check(
        "/verification",
        json!({"wait": "24h"}),
        "verification.methods",
        "is required",
    );
    check(
        "/verification",
        json!({"methods": ["CARD"]}),
        "verification.wait",
        "is required",
    );
    check(
        "/preparation",
        json!({}),
        "preparation.within",
        "is required",
    );
    check(
        "/refunds/calendars",
        json!({"DE": {"weekend": []}}),
        "refunds.calendars.DE.time_zone",
        "is required",
    );
    check(
        "/refunds/calendars",
        json!({"DE": {"time_zone": "UTC"}}),
        "refunds.calendars.DE.weekend",
        "is required",
    );
    check(
        "/rules/0/when/age",
        json!({"at_least": "1h"}),
        "rules[0].when.age.clock",
        "is required",
    );
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
    check(
        "/unpaid/expires",
        json!("1h"),
        "unpaid.expires",
        "expire_after, in_flight_grace, pay_again_within",
    );
    check(
        "/reasons/0/label",
        json!("x"),
        "reasons[0].label",
        "code, labels, actors",
    );
    check(
        "/rules/0/then",
        json!({}),
        "rules[0].then",
        "id, when, allow, deny",
    );
    check(
        "/rules/0/when/stages",
        json!("PLANNED"),
        "rules[0].when.stages",
        "actor, stage, path",
    );
    check(
        "/rules/0/allow/gate",
        json!([]),
        "rules[0].allow.gate",
        "gates, refund",
    );
    check(
        "/rules/1/allow/gates/0/party",
        json!("SELLER"),
        "rules[1].allow.gates[0].party",
        "kind, respond_within",
    );
    check(
        "/refunds/calendar",
        json!({}),
        "refunds.calendar",
        "due, overdue_after, shipping, calendars",
    );
    check(
        "/labels",
        json!({"to_ship": "x"}),
        "labels.to_ship",
        "TO_SHIP",
    );
    let due = json!({
        "due": {"working_days": 3, "hours": 9},
        "shipping": "NEVER",
        "calendars": {"default": {"time_zone": "UTC", "weekend": []}}
    });
    check(
        "/refunds",
        due,
        "refunds.due.hours",
        "keys are working_days",
    );
    check(
        "/refunds/calendars",
        json!({"DE": {"time_zone": "UTC", "weekend": [], "holiday": []}}),
        "refunds.calendars.DE.holiday",
        "time_zone, weekend, holidays",
    );
    check(
        "/rules/0/when/carrier",
        json!({"can": true, "partner_delivery": true}),
        "rules[0].when.carrier.can",
        "keys",
    );
}

#[test]
fn wrong_types_are_told_from_right_ones() {
    check("/name", json!(7), "name", "must be a text, is a number");
    check("/name", json!(null), "name", "must be a text, is nothing");
    check(
        "/unpaid",
        json!("24h"),
        "unpaid",
        "must be a mapping, is a text",
    );
    check(
        "/unpaid/expire_after",
        json!(24),
        "unpaid.expire_after",
        "must be a duration such as 24h",
    );
    check(
        "/reasons/0/note_required",
        json!("yes"),
        "reasons[0].note_required",
        "must be true or false, is a text",
    );
    check(
        "/reasons/0/actors",
        json!("BUYER"),
        "reasons[0].actors",
        "must be a list, is a text",
    );
    check(
        "/reasons/0/actors",
        json!([["BUYER"]]),
        "reasons[0].actors[0]",
        "must be a name, is a list",
    );
    check("/rules", json!({}), "rules", "must be a list, is a mapping");
    check(
        "/rules/0",
        json!("early"),
        "rules[0]",
        "must be a mapping, is a text",
    );
    check(
        "/rules/0/id",
        json!(true),
        "rules[0].id",
        "is true or false",
    );
    check(
        "/rules/0/when/stage",
        json!({}),
        "rules[0].when.stage",
        "must be a name, is a mapping",
    );
    check(
        "/rules/0/when/paid",
        json!("true"),
        "rules[0].when.paid",
        "must be true or false",
    );
    check(
        "/rules/0/when/value",
        json!({"at_least": 1.5}),
        "rules[0].when.value.at_least",
        "must be a whole number",
    );
    check(
        "/rules/0/when/value",
        json!({"at_least": "1"}),
        "rules[0].when.value.at_least",
        "is a text",
    );
    check(
        "/rules/0/allow",
        json!("FULL"),
        "rules[0].allow",
        "must be a mapping, is a text",
    );
    check(
        "/refunds/due",
        json!({"working_days": "3"}),
        "refunds.due.working_days",
        "must be a whole number",
    );
    check(
        "/refunds/due",
        json!(3),
        "refunds.due",
        "must be IMMEDIATE or {working_days: N}",
    );
    check(
        "/refunds/due",
        json!("IMMEDIATELY"),
        "refunds.due",
        "must be IMMEDIATE or {working_days: N}",
    );
    check("/notify", json!("ORDER_PAID"), "notify", "must be a list");
    check(
        "/labels",
        json!([]),
        "labels",
        "must be a mapping, is a list",
    );
    check(
        "/refunds/calendars",
        json!([]),
        "refunds.calendars",
        "must be a mapping, is a list",
    );
}

#[test]
fn a_key_without_a_value_is_no_condition() {
    for key in [
        "actor",
        "stage",
        "path",
        "reason",
        "payment_method",
        "age",
        "value",
        "destination_country",
        "paid",
    ] {
        check(
            &format!("/rules/1/when/{key}"),
            json!(null),
            &format!("rules[1].when.{key}"),
            "is nothing",
        );
    }
}

#[test]
fn unknown_names_are_listed_with_the_known_ones() {
    check(
        "/rules/1/when/stage",
        json!(["PACKED"]),
        "rules[1].when.stage[0]",
        "UNRELEASED, PLANNED, PREPARING",
    );
    check(
        "/rules/1/when/stage",
        json!("packed"),
        "rules[1].when.stage",
        "found \"packed\"",
    );
    check(
        "/rules/1/when/actor",
        json!(["BUYER", "STOREFRONT"]),
        "rules[1].when.actor[1]",
        "BUYER, SELLER, SUPPORT",
    );
    check(
        "/rules/1/when/path",
        json!("REFUND"),
        "rules[1].when.path",
        "CANCEL, INTERCEPT",
    );
    check(
        "/rules/1/when/age",
        json!([{"clock": "SHIPPED", "at_least": "1h"}]),
        "rules[1].when.age[0].clock",
        "PLACED",
    );
    check(
        "/rules/1/allow/refund",
        json!("HALF"),
        "rules[1].allow.refund",
        "FULL, NONE",
    );
    check(
        "/rules/1/allow/gates/0/kind",
        json!("CONSENT"),
        "rules[1].allow.gates[0].kind",
        "SELLER_CONSENT",
    );
    check(
        "/rules/1/allow/gates/0/on_timeout",
        json!("WAIT"),
        "rules[1].allow.gates[0].on_timeout",
        "PASS, REFUSE",
    );
    check(
        "/rules/1/allow/gates/0/on_dispatch",
        json!("GO"),
        "rules[1].allow.gates[0].on_dispatch",
        "BAR, REFUSE_PART",
    );
    check(
        "/rules/1/allow/gates/0/on_lost",
        json!("WAIT"),
        "rules[1].allow.gates[0].on_lost",
        "PASS, ESCALATE",
    );
    check(
        "/reasons/0/fault",
        json!("CUSTOMER"),
        "reasons[0].fault",
        "BUYER, SELLER, CARRIER",
    );
    check(
        "/reasons/0/effects",
        json!(["REFUND"]),
        "reasons[0].effects[0]",
        "ZERO_STOCK, RESTOCK",
    );
    check(
        "/notify",
        json!(["ORDER_PAID", "PAID"]),
        "notify[1]",
        "ORDER_PLACED, ORDER_PAID",
    );
    check(
        "/reason_required",
        json!(["CUSTOMER"]),
        "reason_required[0]",
        "BUYER, SELLER",
    );
    check(
        "/refunds/shipping",
        json!("ALWAYS"),
        "refunds.shipping",
        "WHEN_SHIPMENT_WHOLLY_CANCELLED, NEVER",
    );
    let weekend = json!({"DE": {"time_zone": "UTC", "weekend": ["SATURDAY", "SUN"]}});
    check(
        "/refunds/calendars",
        weekend,
        "refunds.calendars.DE.weekend[1]",
        "MONDAY, TUESDAY",
    );
    let mut denies = document();
    remove(&mut denies, "/rules/1/allow");
    set(
        &mut denies,
        "/rules/1/deny",
        json!({"code": "NO", "next_actions": ["CRY"]}),
    );
    assert_eq!(
        error_paths(&denies),
        ["rules[1].deny.code", "rules[1].deny.next_actions[0]"]
    );
}

#[test]
fn durations_are_of_days_hours_minutes_and_seconds() {
    for text in [
        "24h", "12h", "20d", "90m", "36h30m", "1d 12h", "1.5h", "45s",
    ] {
        let mut document = document();
        set(&mut document, "/unpaid/expire_after", json!(text));
        assert_eq!(error_paths(&document), [""; 0], "{text}");
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
        check(
            "/unpaid/expire_after",
            json!(text),
            "unpaid.expire_after",
            description,
        );
    }
}

#[test]
fn waits_are_longer_than_nothing_where_nothing_would_be_no_wait() {
    check(
        "/verification",
        json!({"methods": ["CARD"], "wait": "0h"}),
        "verification.wait",
        "longer than nothing",
    );
    check(
        "/preparation",
        json!({"within": "0h"}),
        "preparation.within",
        "longer than nothing",
    );
    check(
        "/unpaid/pay_again_within",
        json!("0s"),
        "unpaid.pay_again_within",
        "longer than nothing",
    );
    let within = "/rules/1/allow/gates/0/respond_within";
    check(
        within,
        json!("0h"),
        "rules[1].allow.gates[0].respond_within",
        "longer than nothing",
    );
    let mut document = document();
    set(&mut document, "/unpaid/in_flight_grace", json!("0s"));
    set(
        &mut document,
        "/rules/0/when/age",
        json!({"clock": "PAID", "at_least": "0s"}),
    );
    assert_eq!(error_paths(&document), [""; 0]);
}

#[test]
fn codes_and_ids_keep_to_their_letters() {
    for code in ["", "changed", "1ST", "_X", "A-B", "Ä", "A B"] {
        check(
            "/reasons/0/code",
            json!(code),
            "reasons[0].code",
            "must look like [A-Z][A-Z0-9_]{0,62}",
        );
    }
    for id in ["", "Early", "1st", "-x", "a_b", "é", "a b"] {
        check(
            "/rules/0/id",
            json!(id),
            "rules[0].id",
            "must look like [a-z][a-z0-9-]{0,62}",
        );
    }
    let methods = json!({"methods": ["credit card"], "wait": "1h"});
    check(
        "/verification",
        methods,
        "verification.methods[0]",
        "[A-Z][A-Z0-9_]{0,62}",
    );
    check(
        "/rules/0/when/payment_method",
        json!("card"),
        "rules[0].when.payment_method",
        "[A-Z][A-Z0-9_]{0,62}",
    );
    for country in ["de", "DEU", "D", "D1"] {
        check(
            "/rules/0/when/destination_country",
            json!(country),
            "rules[0].when.destination_country",
            "two capital",
        );
    }
    let calendar = json!({"de": {"time_zone": "UTC", "weekend": []}});
    check(
        "/refunds/calendars",
        calendar,
        "refunds.calendars.de",
        "a country of two capital letters",
    );
}

#[test]
fn nothing_is_said_twice() {
    let mut reasons = document();
    reasons["reasons"]
        .as_array_mut()
        .unwrap()
        .push(json!({"code": "CHANGED_MIND", "actors": ["BUYER"], "fault": "BUYER"}));
    check_one(
        &reasons,
        "reasons[2].code",
        "is the code of reasons[0] already",
    );
    check(
        "/rules/1/id",
        json!("early"),
        "rules[1].id",
        "is the id of rules[0] already",
    );
    check(
        "/reasons/0/actors",
        json!(["BUYER", "SELLER", "BUYER"]),
        "reasons[0].actors[2]",
        "twice",
    );
    check(
        "/rules/1/when/stage",
        json!(["READY", "READY"]),
        "rules[1].when.stage[1]",
        "twice",
    );
    check(
        "/notify",
        json!(["ORDER_PAID", "ORDER_PAID"]),
        "notify[1]",
        "twice",
    );
    let ages = json!([{"clock": "PAID", "at_least": "1h"}, {"clock": "PAID", "less_than": "2h"}]);
    check(
        "/rules/0/when/age",
        ages,
        "rules[0].when.age[1]",
        "the only age by PAID",
    );
    let gate = json!({"kind": "PARCEL_RECEIPT", "on_lost": "PASS"});
    check(
        "/rules/1/allow/gates",
        json!([gate, gate]),
        "rules[1].allow.gates[1]",
        "the only PARCEL_RECEIPT",
    );
    check(
        "/rules/0/deny",
        json!({"code": "SHIPPED"}),
        "rules[0]",
        "must have allow or deny, not both",
    );
}

#[test]
fn lists_that_would_mean_nothing_are_not_empty() {
    check("/reasons", json!([]), "reasons", "at least one entry");
    check(
        "/reasons/0/actors",
        json!([]),
        "reasons[0].actors",
        "at least one entry",
    );
    check("/rules", json!([]), "rules", "at least one entry");
    check(
        "/verification",
        json!({"methods": [], "wait": "1h"}),
        "verification.methods",
        "at least one entry",
    );
    for key in [
        "actor",
        "stage",
        "path",
        "reason",
        "payment_method",
        "age",
        "destination_country",
    ] {
        check(
            &format!("/rules/1/when/{key}"),
            json!([]),
            &format!("rules[1].when.{key}"),
            "at least one entry",
        );
    }
    check(
        "/rules/0/when/age",
        json!({"clock": "PAID"}),
        "rules[0].when.age",
        "needs at_least or less_than",
    );
    check(
        "/rules/0/when/value",
        json!({}),
        "rules[0].when.value",
        "needs at_least or less_than",
    );
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
    assert_eq!(error_paths(&document), [""; 0]);
}

#[test]
fn windows_have_something_in_them() {
    let age =
        |from: &str, until: &str| json!({"clock": "PAID", "at_least": from, "less_than": until});
    check(
        "/rules/0/when/age",
        age("2h", "2h"),
        "rules[0].when.age",
        "matches nothing",
    );
    check(
        "/rules/0/when/value",
        json!({"at_least": 5, "less_than": 5}),
        "rules[0].when.value",
        "matches nothing",
    );
    check(
        "/rules/0/when/value",
        json!({"at_least": -1}),
        "rules[0].when.value.at_least",
        "must be from 0",
    );
    let mut document = document();
    set(&mut document, "/rules/0/when/age", age("2h", "2h 1s"));
    set(
        &mut document,
        "/rules/0/when/value",
        json!({"at_least": 5, "less_than": 6}),
    );
    assert_eq!(error_paths(&document), [""; 0]);
}

#[test]
fn rules_name_declared_reasons() {
    check(
        "/rules/0/when/reason",
        json!("BORED"),
        "rules[0].when.reason",
        "BORED is not declared",
    );
    check(
        "/rules/0/when/reason",
        json!(["CHANGED_MIND", "BORED"]),
        "rules[0].when.reason[1]",
        "BORED is not declared",
    );
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
    check(
        "/reasons",
        json!([document()["reasons"][0]]),
        "reasons",
        "must declare PAYMENT_EXPIRED for SYSTEM",
    );
    check(
        "/reasons/1/actors",
        json!(["SYSTEM", "BUYER"]),
        "reasons[1].actors",
        "must be [SYSTEM]",
    );
    check(
        "/reasons/1/note_required",
        json!(true),
        "reasons[1].note_required",
        "must be false",
    );
    check(
        "/reasons/1/evidence_required",
        json!(true),
        "reasons[1].evidence_required",
        "must be false",
    );
}

#[test]
fn parcel_returned_need_not_be_there_and_belongs_to_the_carrier() {
    let returned = |actors: Value, note_required: bool| {
        let mut document = document();
        let reason = json!({"code": "PARCEL_RETURNED", "actors": actors, "fault": "BUYER", "note_required": note_required});
        document["reasons"].as_array_mut().unwrap().push(reason);
        document
    };
    assert_eq!(error_paths(&returned(json!(["CARRIER"]), false)), [""; 0]);
    check_one(
        &returned(json!(["CARRIER", "SELLER"]), false),
        "reasons[2].actors",
        "must be [CARRIER]",
    );
    check_one(
        &returned(json!(["CARRIER"]), true),
        "reasons[2].note_required",
        "must be false",
    );
}

#[test]
fn whoever_must_name_a_reason_has_one() {
    check(
        "/reason_required",
        json!(["BUYER", "SELLER"]),
        "reason_required[1]",
        "no reason has SELLER",
    );
}

#[test]
fn stock_is_not_zeroed_and_filled_at_once() {
    check(
        "/reasons/0/effects",
        json!(["ZERO_STOCK", "RESTOCK"]),
        "reasons[0].effects",
        "must not have both",
    );
}

#[test]
fn calendars_are_of_this_world() {
    let calendar = |zone: &str, weekend: Value, holidays: Value| json!({"default": {"time_zone": zone, "weekend": weekend, "holidays": holidays}});
    let at = "refunds.calendars.default";
    for (calendar, key, description) in [
        (
            calendar("Europe/Atlantis", json!([]), json!([])),
            ".time_zone",
            "found \"Europe/Atlantis\"",
        ),
        (
            calendar("Etc/Unknown", json!([]), json!([])),
            ".time_zone",
            "IANA time zone",
        ),
        (
            calendar("UTC", json!([]), json!(["25.12.2026"])),
            ".holidays[0]",
            "a date such as 2026-12-25",
        ),
        (
            calendar("UTC", json!([]), json!(["2026-02-29"])),
            ".holidays[0]",
            "found \"2026-02-29\"",
        ),
        (
            calendar("UTC", json!([]), json!(["2026-12-25T00:00"])),
            ".holidays[0]",
            "a date such as",
        ),
        (
            calendar("UTC", json!([]), json!(["2026-12-25", "2026-12-25"])),
            ".holidays[1]",
            "twice",
        ),
        (
            calendar(
                "UTC",
                json!([
                    "MONDAY",
                    "TUESDAY",
                    "WEDNESDAY",
                    "THURSDAY",
                    "FRIDAY",
                    "SATURDAY",
                    "SUNDAY"
                ]),
                json!([]),
            ),
            ".weekend",
            "at least one day to work on",
        ),
    ] {
        check(
            "/refunds/calendars",
            calendar,
            &format!("{at}{key}"),
            description,
        );
    }
    check(
        "/refunds/due",
        json!({"working_days": 3}),
        "refunds.calendars.default",
        "refunds are due in working days",
    );
}

#[test]
fn a_faulty_condition_hides_no_later_rule() {
    let mut document = document();
    set(&mut document, "/rules/0/when", json!({"stage": "PACKED"}));
    check_one(&document, "rules[0].when.stage", "must be one of");
}

#[test]
fn the_name_of_belays_own_answer_is_taken() {
    check(
        "/rules/0/id",
        json!("verification"),
        "rules[0].id",
        "Belay itself answers",
    );
}

#[test]
fn texts_are_for_people() {
    check("/name", json!(" "), "name", "must not be empty");
    check("/name", json!("a\u{7}b"), "name", "control characters");
    check(
        "/labels",
        json!({"TO_SHIP": ""}),
        "labels.TO_SHIP",
        "must not be empty",
    );
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
    assert_eq!(error_paths(&document), expected);
}
