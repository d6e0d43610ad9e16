//! When time alone changes an answer, and how much of a return is paid back: both sides of every
//! bound.

use belay_domain::policy::{Policy, Question, ReturnRate, Returns};
use belay_domain::terms::GoodsCondition;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{With, hours, policy_with_rules, question};

const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);

fn allows(when: Value) -> Policy {
    policy_with_rules(json!([{"id": "a", "when": when, "allow": {"refund": "FULL"}}]))
}

fn paid_for(age: SignedDuration) -> Question {
    question().with(|q| q.since_paid = Some(age))
}

#[test]
fn a_no_becomes_a_yes_at_at_least_and_a_yes_a_no_at_less_than() {
    let policy = allows(json!({"age": {"clock": "PAID", "at_least": "24h", "less_than": "3d"}}));
    for (age, turns_in) in [
        (SignedDuration::ZERO, Some(hours(24))),
        (hours(24) - NANOSECOND, Some(NANOSECOND)),
        (hours(24), Some(hours(48))),
        (hours(72) - NANOSECOND, Some(NANOSECOND)),
        (hours(72), None),
        (hours(9999), None),
    ] {
        assert_eq!(policy.turns_in(&paid_for(age)), turns_in, "{age:#}");
    }
}

#[test]
fn the_answer_is_the_other_one_from_that_instant_on_and_no_earlier() {
    let policy = policy_with_rules(json!([
        {"id": "too-early", "when": {"age": {"clock": "PLACED", "less_than": "4h"}}, "deny": {"code": "NOT_ALLOWED"}},
        {"id": "in-time", "when": {"age": {"clock": "PAID", "less_than": "10h"}}, "allow": {"refund": "FULL"}}
    ]));
    let allowed = |question: &Question| policy.answer(question).rule.as_deref() == Some("in-time");
    // Placed two hours ago, paid an hour ago.
    let asked = question();
    let turns_in = policy.turns_in(&asked).unwrap();
    assert_eq!(turns_in, hours(2));
    assert!(!allowed(&asked.later(turns_in - NANOSECOND)) && allowed(&asked.later(turns_in)));
    let later = asked.later(turns_in);
    let ends_in = policy.turns_in(&later).unwrap();
    assert_eq!(ends_in, hours(7));
    assert!(allowed(&later.later(ends_in - NANOSECOND)) && !allowed(&later.later(ends_in)));
}

#[test]
fn a_bound_that_changes_only_the_rule_or_its_terms_is_no_turn() {
    let policy = policy_with_rules(json!([
        {"id": "first", "when": {"age": {"clock": "PAID", "less_than": "4h"}}, "allow": {"refund": "FULL"}},
        {"id": "then", "when": {"age": {"clock": "PAID", "less_than": "8h"}}, "allow": {"refund": "NONE"}},
        {"id": "never", "when": {"age": {"clock": "PAID", "less_than": "9h"}}, "deny": {"code": "SHIPPED"}}
    ]));
    assert_eq!(policy.turns_in(&paid_for(hours(1))), Some(hours(7)));
    assert_eq!(policy.turns_in(&paid_for(hours(8))), None);
}

#[test]
fn the_earliest_turn_counts_wherever_its_rule_stands() {
    let policy = policy_with_rules(json!([
        {"id": "paid", "when": {"age": {"clock": "PAID", "at_least": "10h"}}, "deny": {"code": "SHIPPED"}},
        {"id": "placed", "when": {"age": {"clock": "PLACED", "at_least": "4h"}}, "deny": {"code": "SHIPPED"}},
        {"id": "before", "when": {}, "allow": {"refund": "FULL"}}
    ]));
    // Placed two hours ago, paid an hour ago.
    assert_eq!(policy.turns_in(&question()), Some(hours(2)));
}

#[test]
fn clocks_that_stand_still_and_rules_that_do_not_match_turn_nothing() {
    let policy = allows(json!({"age": {"clock": "DELIVERED", "less_than": "24h"}}));
    assert_eq!(policy.turns_in(&question()), None);
    let delivered = |age| question().with(|q| q.since_delivered = Some(age));
    assert_eq!(policy.turns_in(&delivered(hours(23))), Some(hours(1)));
    assert_eq!(
        policy.turns_in(&delivered(hours(23)).with(|q| q.since_paid = None)),
        Some(hours(1))
    );
    let sellers = allows(json!({"actor": "SELLER", "age": {"clock": "PAID", "at_least": "24h"}}));
    assert_eq!(sellers.turns_in(&question()), None);
    assert_eq!(allows(json!({})).turns_in(&question()), None);
}

#[test]
fn a_buyers_no_turns_when_the_payment_is_verified() {
    let verifying = |left| question().with(|q| q.verified_in = Some(left));
    let policy = allows(json!({}));
    for left in [NANOSECOND, hours(24)] {
        assert_eq!(policy.turns_in(&verifying(left)), Some(left));
    }
    // The rules say no by then.
    let early = allows(json!({"age": {"clock": "PAID", "less_than": "4h"}}));
    assert_eq!(early.turns_in(&verifying(hours(3))), None);
    assert_eq!(
        early.turns_in(&verifying(hours(3) - NANOSECOND)),
        Some(hours(3) - NANOSECOND)
    );
    let sellers = verifying(hours(1)).with(|q| q.actor = belay_domain::actor::Role::Seller);
    assert_eq!(policy.turns_in(&sellers), None);
}

#[test]
fn asked_later_every_clock_that_runs_is_older() {
    let asked = question().with(|q| q.verified_in = Some(hours(5)));
    let later = asked.later(hours(3));
    assert_eq!(
        (later.since_placed, later.since_paid, later.since_delivered),
        (hours(5), Some(hours(4)), None)
    );
    assert_eq!(later.verified_in, Some(hours(2)));
    assert_eq!(
        asked.later(hours(5) - NANOSECOND).verified_in,
        Some(NANOSECOND)
    );
    assert_eq!(asked.later(hours(5)).verified_in, None);
    assert_eq!(
        asked.later(SignedDuration::MAX).since_placed,
        SignedDuration::MAX
    );
}

fn rate(
    days: Option<i64>,
    condition: &[GoodsCondition],
    reason: &[&str],
    percent: u32,
) -> ReturnRate {
    ReturnRate {
        received_within: days.map(|days| hours(24 * days)),
        condition: condition.to_vec(),
        reason: reason.iter().map(|reason| (*reason).to_owned()).collect(),
        percent,
    }
}

#[test]
fn the_first_rate_that_matches_says_how_much() {
    use GoodsCondition::{Damaged, Opened, Unopened};
    let returns = Returns {
        rates: vec![
            rate(None, &[], &["BROKEN", "WRONG_ITEM"], 100),
            rate(Some(15), &[Unopened], &[], 95),
            rate(Some(15), &[Unopened, Opened], &[], 70),
            rate(Some(30), &[], &["BORED"], 50),
            rate(None, &[], &[], 10),
        ],
        without_label: String::new(),
    };
    let days = |days: i64| Some(hours(24 * days));
    let just_before = |age: Option<SignedDuration>| age.map(|age| age - NANOSECOND);
    for (since_delivered, condition, reason, percent) in [
        (days(99), Damaged, "BROKEN", 100),
        (days(99), Opened, "WRONG_ITEM", 100),
        (just_before(days(15)), Unopened, "BORED", 95),
        (days(15), Unopened, "BORED", 50),
        (just_before(days(15)), Opened, "BORED", 70),
        (just_before(days(15)), Damaged, "BORED", 50),
        (just_before(days(30)), Opened, "BORED", 50),
        (days(30), Opened, "BORED", 10),
        (days(15), Opened, "", 10),
        // Never delivered, and so never late; back before the carrier's word of the delivery.
        (None, Unopened, "BORED", 95),
        (None, Damaged, "BORED", 50),
        (Some(-hours(1)), Unopened, "", 95),
    ] {
        let found = returns.percent(since_delivered, condition, Some(reason));
        assert_eq!(
            found, percent,
            "{condition} after {since_delivered:?} for {reason:?}"
        );
    }
    assert_eq!(Returns::default().percent(None, Unopened, Some("BORED")), 0);
}
