//! Every limit of a document, on both sides.

use belay_domain::calendar::HOLIDAYS_MAX;
use belay_domain::policy::limits::{
    CALENDAR_DAYS_MAX, CALENDARS_MAX, CODE_CHARS_MAX, CONDITION_ENTRIES_MAX, DEPTH_MAX,
    DOCUMENT_BYTES_MAX, DURATION_MAX, ERRORS_MAX, EVIDENCE_CHANNELS_MAX, IDENTICAL_UNITS_MAX,
    LABEL_CHARS_MAX, LANGUAGES_MAX, NAME_CHARS_MAX, QUALITY_DAYS_MAX, QUALITY_THRESHOLDS_MAX,
    REASONS_MAX, RETURN_RATES_MAX, RULES_MAX, SOURCE_CHARS_MAX, WITHOUT_LABEL_CHARS_MAX,
    WORKING_DAYS_MAX,
};
use belay_domain::policy::parse;
use jiff::civil::date;
use jiff::{Span, ToSpan};
use serde_json::{Map, Value, json};

use crate::support::{document, error_paths, set};

/// At the limit there is no error; one beyond it there is this one.
fn check(pointer: &str, path: &str, max: usize, of_size: impl Fn(usize) -> Value) {
    let mut document = document();
    set(&mut document, pointer, of_size(max));
    assert_eq!(error_paths(&document), [""; 0], "{pointer} at {max}");
    set(&mut document, pointer, of_size(max + 1));
    assert_eq!(error_paths(&document), [path], "{pointer} beyond {max}");
}

fn texts(count: usize, text: impl Fn(usize) -> String) -> Value {
    (0..count).map(|index| Value::String(text(index))).collect()
}

#[test]
fn texts_have_a_longest() {
    check("/name", "name", NAME_CHARS_MAX, |size| {
        json!("é".repeat(size))
    });
    check("/source", "source", SOURCE_CHARS_MAX, |size| {
        json!("é".repeat(size))
    });
    check(
        "/labels",
        "labels.SHIPPED",
        LABEL_CHARS_MAX,
        |size| json!({"SHIPPED": "é".repeat(size)}),
    );
    check(
        "/reasons/0/labels",
        "reasons[0].labels.en",
        LABEL_CHARS_MAX,
        |size| json!({"en": "é".repeat(size)}),
    );
    let without_label = |size| json!({"without_label": "é".repeat(size)});
    check(
        "/returns",
        "returns.without_label",
        WITHOUT_LABEL_CHARS_MAX,
        without_label,
    );
    check(
        "/reasons/0/code",
        "reasons[0].code",
        CODE_CHARS_MAX,
        |size| json!("A".repeat(size)),
    );
    check("/rules/0/id", "rules[0].id", CODE_CHARS_MAX, |size| {
        json!("a".repeat(size))
    });
}

#[test]
fn rules_and_reasons_are_counted() {
    check("/rules", "rules", RULES_MAX, |size| {
        let rule = |index: usize| {
            let value = json!({"at_least": index, "less_than": index + 1});
            json!({"id": format!("r{index}"), "when": {"value": value}, "allow": {"refund": "FULL"}})
        };
        (0..size).map(rule).collect()
    });
    check("/reasons", "reasons", REASONS_MAX, |size| {
        let reason =
            |index| json!({"code": format!("R{index}"), "actors": ["BUYER"], "fault": "BUYER"});
        let expired = json!({"code": "PAYMENT_EXPIRED", "actors": ["SYSTEM"], "fault": "NONE"});
        (1..size).map(reason).chain([expired]).collect()
    });
}

#[test]
fn entries_of_conditions_are_counted() {
    let method = |index| format!("M{index}");
    let path = "rules[0].when.payment_method";
    check(
        "/rules/0/when/payment_method",
        path,
        CONDITION_ENTRIES_MAX,
        |size| texts(size, method),
    );
    check(
        "/verification",
        "verification.methods",
        CONDITION_ENTRIES_MAX,
        |size| json!({"methods": texts(size, method), "wait": "1h"}),
    );
}

#[test]
fn rates_channels_and_thresholds_are_counted() {
    check("/returns", "returns.rates", RETURN_RATES_MAX, |size| {
        let rate = |index: usize| json!({"received_within": format!("{index}d"), "percent": 50});
        let rates: Value = (1..size).map(rate).chain([json!({"percent": 0})]).collect();
        json!({"rates": rates})
    });
    let path = "reasons[0].evidence_channels";
    check(
        "/reasons/0/evidence_channels",
        path,
        EVIDENCE_CHANNELS_MAX,
        |size| texts(size, |index| format!("C{index}")),
    );
    check(
        "/reasons/0/labels",
        "reasons[0].labels",
        LANGUAGES_MAX,
        |size| {
            let letter = |index: usize| char::from(b'a' + u8::try_from(index).unwrap());
            let tag = |index: usize| format!("{}{}", letter(index / 26), letter(index % 26));
            (0..size)
                .map(|index| (tag(index), json!("x")))
                .collect::<Map<_, _>>()
                .into()
        },
    );
    check(
        "/quality",
        "quality.thresholds",
        QUALITY_THRESHOLDS_MAX,
        |size| {
            let threshold =
                |index: usize| json!({"name": format!("T{index}"), "percent": index + 1});
            quality("thresholds", (0..size).map(threshold).collect())
        },
    );
}

fn quality(key: &str, value: Value) -> Value {
    let mut quality =
        json!({"numerator": "COUNTED_SHIPMENTS", "denominator": "SHIPMENTS_DUE", "window_days": 7});
    quality[key] = value;
    quality
}

#[test]
fn days_and_units_are_counted() {
    let max = |max: u32| usize::try_from(max).unwrap();
    let path = "rules[1].allow.gates[0].respond_within";
    let days = |unit: &'static str| move |days: usize| json!({unit: days});
    let pointer = "/rules/1/allow/gates/0/respond_within";
    check(
        pointer,
        &format!("{path}.calendar_days"),
        max(CALENDAR_DAYS_MAX),
        days("calendar_days"),
    );
    let stop = |days: usize| json!({"kind": "WAREHOUSE_STOP", "respond_within": {"working_days": days}, "on_timeout": "REFUSE", "on_lost": "PASS"});
    check(
        "/rules/1/allow/gates/0",
        &format!("{path}.working_days"),
        max(WORKING_DAYS_MAX),
        stop,
    );
    check(
        "/quality",
        "quality.window_days",
        max(QUALITY_DAYS_MAX),
        |days| quality("window_days", json!(days)),
    );
    check(
        "/quality",
        "quality.lag_days",
        max(QUALITY_DAYS_MAX),
        |days| quality("lag_days", json!(days)),
    );
    check(
        "/customs",
        "customs.identical_units_max",
        max(IDENTICAL_UNITS_MAX),
        |units| json!({"identical_units_max": units, "own_delivery": ["CANCEL"], "partner_delivery": ["CANCEL"]}),
    );
}

fn country(index: usize) -> String {
    let letter = |index: usize| char::from(b'A' + u8::try_from(index % 26).unwrap());
    [letter(index / 26), letter(index)].iter().collect()
}

#[test]
fn calendars_holidays_and_working_days_are_counted() {
    let calendar = json!({"time_zone": "UTC", "weekend": []});
    check(
        "/refunds/calendars",
        "refunds.calendars",
        CALENDARS_MAX,
        |size| {
            Value::Object(
                (0..size)
                    .map(|index| (country(index), calendar.clone()))
                    .collect::<Map<_, _>>(),
            )
        },
    );
    check(
        "/refunds/calendars",
        "refunds.calendars.default.holidays",
        HOLIDAYS_MAX,
        |size| {
            let day = |index: usize| {
                let days: Span = i64::try_from(index).unwrap().days();
                (date(2026, 1, 1) + days).to_string()
            };
            json!({"default": {"time_zone": "UTC", "weekend": [], "holidays": texts(size, day)}})
        },
    );
    let max = usize::try_from(WORKING_DAYS_MAX).unwrap();
    let refunds = |days: usize| json!({"due": {"working_days": days}, "shipping": "NEVER", "calendars": {"default": calendar.clone()}});
    check("/refunds", "refunds.due.working_days", max, refunds);
    let mut none = document();
    set(&mut none, "/refunds", refunds(0));
    assert_eq!(error_paths(&none), ["refunds.due.working_days"]);
}

#[test]
fn durations_have_a_longest() {
    let max = usize::try_from(DURATION_MAX.as_secs()).unwrap();
    check(
        "/unpaid/expire_after",
        "unpaid.expire_after",
        max,
        |seconds| json!(format!("{seconds}s")),
    );
    let days = max / 86_400;
    check(
        "/preparation",
        "preparation.within",
        days,
        |days| json!({"within": format!("{days}d")}),
    );
    check(
        "/refunds/overdue_after",
        "refunds.overdue_after",
        days,
        |days| json!(format!("{days}d")),
    );
    let within = "/rules/1/allow/gates/0/respond_within";
    check(
        within,
        "rules[1].allow.gates[0].respond_within",
        days,
        |days| json!(format!("{days}d")),
    );
}

#[test]
fn a_text_has_a_largest_size() {
    let text = document().to_string();
    let padded = |size: usize| format!("{text}{}", " ".repeat(size - text.len()));
    assert!(parse(&padded(DOCUMENT_BYTES_MAX)).is_ok());
    let errors = parse(&padded(DOCUMENT_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "may have at most 262144 bytes, has 262145"
    );
}

#[test]
fn a_document_has_a_greatest_depth() {
    // The name stands at depth 1; what is wrong with it at the greatest depth is only its type.
    let nested = |depth: usize| {
        let brackets = depth - 1;
        document().to_string().replace(
            "\"test\"",
            &format!("{}{}", "[".repeat(brackets), "]".repeat(brackets)),
        )
    };
    assert_eq!(parse(&nested(DEPTH_MAX)).unwrap_err()[0].path, "name");
    assert_eq!(parse(&nested(DEPTH_MAX + 1)).unwrap_err()[0].path, "");
}

#[test]
fn faults_beyond_the_most_are_counted_only() {
    let with_errors = |count: usize| {
        let mut document = document();
        for index in 0..count {
            set(&mut document, &format!("/unknown{index}"), json!(1));
        }
        parse(&document.to_string()).unwrap_err()
    };
    assert_eq!(with_errors(ERRORS_MAX).len(), ERRORS_MAX);
    let errors = with_errors(ERRORS_MAX + 2);
    assert_eq!(errors.len(), ERRORS_MAX + 1);
    assert_eq!(
        errors[ERRORS_MAX].to_string(),
        "2 more errors are not shown"
    );
}

#[test]
fn faults_repeat_no_more_than_a_glimpse_of_what_is_wrong() {
    let mut document = document();
    set(
        &mut document,
        "/rules/0/when/stage",
        json!("é".repeat(10_000)),
    );
    set(&mut document, &format!("/{}", "k".repeat(10_000)), json!(1));
    for error in parse(&document.to_string()).unwrap_err() {
        assert!(error.to_string().chars().count() < 300, "{error}");
    }
}
