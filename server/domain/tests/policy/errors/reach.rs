//! Rules and rates that an earlier one leaves nothing to.

use serde_json::json;

use super::check_one;
use crate::support::{document, error_paths, set};

#[test]
fn a_rule_that_an_earlier_one_leaves_nothing_to_is_a_fault() {
    let ages = |from: &str, until: &str| json!({"age": {"clock": "PAID", "at_least": from, "less_than": until}});
    let values = |from: i64, until: i64| json!({"value": {"at_least": from, "less_than": until}});
    // Earlier condition, later condition, whether the earlier takes all.
    for (earlier, later, takes_all) in [
        (json!({}), json!({}), true),
        (json!({}), json!({"stage": "READY"}), true),
        (json!({"stage": "READY"}), json!({}), false),
        (
            json!({"stage": ["READY", "PLANNED"]}),
            json!({"stage": "READY"}),
            true,
        ),
        (
            json!({"stage": "READY"}),
            json!({"stage": ["READY", "PLANNED"]}),
            false,
        ),
        (
            json!({"stage": "READY"}),
            json!({"stage": "READY", "path": "CANCEL"}),
            true,
        ),
        (
            json!({"stage": "READY", "path": "CANCEL"}),
            json!({"stage": "READY"}),
            false,
        ),
        (json!({"actor": "BUYER"}), json!({"actor": "SELLER"}), false),
        (json!({"reason": "CHANGED_MIND"}), json!({}), false),
        (
            json!({"reason": "CHANGED_MIND"}),
            json!({"reason": "CHANGED_MIND"}),
            true,
        ),
        (json!({"paid": true}), json!({"paid": true}), true),
        (json!({"paid": true}), json!({"paid": false}), false),
        (json!({"paid": true}), json!({}), false),
        (
            json!({"payment_method": ["A", "B"]}),
            json!({"payment_method": "B"}),
            true,
        ),
        (
            json!({"payment_method": "A"}),
            json!({"payment_method": ["A", "B"]}),
            false,
        ),
        (
            json!({"destination_country": ["DE", "NO"]}),
            json!({"destination_country": "NO"}),
            true,
        ),
        (
            json!({"destination_country": "DE"}),
            json!({"destination_country": "NO"}),
            false,
        ),
        (
            json!({"carrier": {"in_transit_cancel": true}}),
            json!({"carrier": {"in_transit_cancel": true}}),
            true,
        ),
        (
            json!({"carrier": {"in_transit_cancel": true}}),
            json!({"carrier": {"in_transit_cancel": false}}),
            false,
        ),
        (
            json!({"carrier": {"partner_delivery": true}}),
            json!({"carrier": {"partner_delivery": true}}),
            true,
        ),
        (
            json!({"carrier": {"partner_delivery": true}}),
            json!({"carrier": {"in_transit_cancel": true}}),
            false,
        ),
        (
            json!({"carrier": {"return_label": true}}),
            json!({"carrier": {"return_label": true}}),
            true,
        ),
        (
            json!({"carrier": {"return_label": true}}),
            json!({"carrier": {"return_label": false}}),
            false,
        ),
        (json!({"carrier": {"return_label": true}}), json!({}), false),
        (
            json!({"customs_flagged": true}),
            json!({"customs_flagged": true}),
            true,
        ),
        (
            json!({"customs_flagged": true}),
            json!({"customs_flagged": false}),
            false,
        ),
        (json!({"customs_flagged": true}), json!({}), false),
        (ages("1h", "5h"), ages("1h", "5h"), true),
        (ages("1h", "5h"), ages("2h", "4h"), true),
        (ages("1h", "5h"), ages("59m", "5h"), false),
        (ages("1h", "5h"), ages("1h", "301m"), false),
        (
            ages("1h", "5h"),
            json!({"age": {"clock": "PAID", "at_least": "1h"}}),
            false,
        ),
        (
            json!({"age": {"clock": "PAID", "at_least": "1h"}}),
            ages("1h", "5h"),
            true,
        ),
        (
            json!({"age": {"clock": "PAID", "at_least": "1h"}}),
            json!({"age": {"clock": "PLACED", "at_least": "1h"}}),
            false,
        ),
        (
            json!({"age": {"clock": "PAID", "at_least": "1h"}}),
            json!({}),
            false,
        ),
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
            assert_eq!(error_paths(&document), [""; 0], "{document:#}");
        }
    }
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
        (
            json!({"condition": ["OPENED", "DAMAGED"]}),
            json!({"condition": "OPENED"}),
            true,
        ),
        (
            json!({"condition": "OPENED"}),
            json!({"condition": ["OPENED", "DAMAGED"]}),
            false,
        ),
        (
            json!({"reason": "CHANGED_MIND"}),
            json!({"reason": "CHANGED_MIND", "condition": "OPENED"}),
            true,
        ),
        (
            json!({"reason": "CHANGED_MIND"}),
            json!({"condition": "OPENED"}),
            false,
        ),
    ] {
        let mut rates = vec![earlier, later, json!({})];
        for (percent, rate) in rates.iter_mut().enumerate() {
            rate["percent"] = json!(percent);
        }
        let mut document = document();
        set(&mut document, "/returns", json!({"rates": rates}));
        let errors = error_paths(&document);
        assert_eq!(
            errors.contains(&"returns.rates[1]".to_owned()),
            takes_all,
            "{document:#}"
        );
    }
}
