//! Gates that wait in ways that make no sense.

use serde_json::json;

use super::check;
use crate::support::{document, error_paths, set};

#[test]
fn gates_wait_in_ways_that_make_sense() {
    let at = "rules[1].allow.gates[0]";
    for (gate, key, description) in [
        (
            json!({"kind": "SELLER_CONSENT"}),
            ".respond_within",
            "SELLER may stay silent for ever",
        ),
        (
            json!({"kind": "SUPPORT_REVIEW"}),
            ".respond_within",
            "SUPPORT may stay silent for ever",
        ),
        (
            json!({"kind": "PARCEL_RECEIPT", "respond_within": "1h"}),
            ".on_timeout",
            "required with respond_within",
        ),
        (
            json!({"kind": "PARCEL_RECEIPT", "on_timeout": "REFUSE"}),
            ".on_timeout",
            "has no respond_within",
        ),
        (
            json!({"kind": "WAREHOUSE_STOP", "respond_within": "1h", "on_timeout": "PASS"}),
            ".on_timeout",
            "silence",
        ),
        (
            json!({"kind": "CARRIER_INTERCEPT", "respond_within": "1h", "on_timeout": "PASS"}),
            ".on_timeout",
            "silence",
        ),
        (
            json!({"kind": "PARCEL_RECEIPT", "respond_within": "1h", "on_timeout": "PASS"}),
            ".on_timeout",
            "silence",
        ),
        (
            json!({"kind": "SUPPORT_REVIEW", "respond_within": "1h", "on_timeout": "ESCALATE"}),
            ".on_timeout",
            "PASS or",
        ),
        (
            json!({"kind": "WAREHOUSE_STOP", "on_dispatch": "REFUSE_PART"}),
            ".on_dispatch",
            "must be BAR",
        ),
        (
            json!({"kind": "LOSS_CONFIRMATION", "respond_within": "1h", "on_timeout": "PASS"}),
            ".on_timeout",
            "silence",
        ),
        (
            json!({"kind": "LOSS_CONFIRMATION", "on_lost": "ESCALATE", "escalate_within": "1h"}),
            ".on_lost",
            "must be PASS",
        ),
        (
            json!({"kind": "PARCEL_RECEIPT"}),
            ".escalate_within",
            "support that is asked may stay silent for ever",
        ),
        (
            json!({"kind": "SELLER_CONSENT", "respond_within": "2h", "remind_before": "2h", "on_timeout": "PASS"}),
            ".remind_before",
            "must be shorter",
        ),
        (
            json!({"kind": "WAREHOUSE_STOP", "remind_before": "1h"}),
            ".remind_before",
            "has no respond_within",
        ),
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
        check(
            "/rules/1/allow/gates/0",
            gate,
            &format!("{at}{key}"),
            description,
        );
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
        assert_eq!(error_paths(&document), [""; 0], "{gate}");
    }
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
        check(
            "/rules/1/allow/gates/0",
            gate,
            "refunds.calendars.default",
            "answers to gates are due in working days",
        );
    }
    let mut document = document();
    let stop = json!({"kind": "WAREHOUSE_STOP", "respond_within": days, "on_timeout": "REFUSE", "on_lost": "PASS"});
    set(&mut document, "/rules/1/allow/gates/0", stop);
    assert_eq!(error_paths(&document), [""; 0]);
}
