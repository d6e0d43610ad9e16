//! What a policy answers: each condition on both sides of its boundary.

use belay_domain::actor::Role;
use belay_domain::cancellation::{GateKind, Path};
use belay_domain::policy::{
    Answer, CarrierFacts, DenyCode, GateSpec, NextAction, OnDispatch, OnLost, OnTimeout, Question, RefundPlan, Verdict,
};
use belay_domain::shipment::Stage;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{document, hours, policy, policy_with_rules, question, set};

/// Changes the base question in one thing.
fn asked(change: impl FnOnce(&mut Question)) -> Question {
    let mut question = question();
    change(&mut question);
    question
}

/// Which of the questions the condition matches.
fn check(condition: Value, questions: &[(bool, Question)]) {
    let rules = json!([{"id": "the-rule", "when": condition, "allow": {"refund": "FULL"}}]);
    let policy = policy_with_rules(rules);
    for (is_match, question) in questions {
        let rule = policy.answer(question).rule;
        assert_eq!(rule.is_some(), *is_match, "{condition} and {question:#?}");
    }
}

#[test]
fn an_empty_condition_matches_everything() {
    check(json!({}), &[(true, question()), (true, asked(|q| q.reason = None)), (true, asked(|q| q.paid = false))]);
}

#[test]
fn conditions_on_names_match_any_name_in_their_list() {
    let seller = || asked(|q| q.actor = Role::Seller);
    check(json!({"actor": "BUYER"}), &[(true, question()), (false, seller())]);
    check(json!({"actor": ["SELLER", "BUYER"]}), &[(true, question()), (true, seller())]);
    check(json!({"stage": "PLANNED"}), &[(true, question()), (false, asked(|q| q.stage = Stage::Preparing))]);
    check(json!({"path": "CANCEL"}), &[(true, question()), (false, asked(|q| q.path = Path::Intercept))]);
    check(
        json!({"reason": "CHANGED_MIND"}),
        &[
            (true, question()),
            (false, asked(|q| q.reason = None)),
            (false, asked(|q| q.reason = Some("PAYMENT_EXPIRED".to_owned()))),
        ],
    );
    check(
        json!({"destination_country": ["NO", "DE"]}),
        &[(true, question()), (false, asked(|q| q.destination_country = "SE".to_owned()))],
    );
}

#[test]
fn one_of_the_payments_is_enough() {
    let methods =
        |methods: &[&str]| asked(|q| q.payment_methods = methods.iter().map(|method| (*method).to_owned()).collect());
    check(
        json!({"payment_method": ["CARD", "TRANSFER"]}),
        &[
            (true, methods(&["CARD"])),
            (true, methods(&["WALLET", "TRANSFER"])),
            (false, methods(&["WALLET"])),
            (false, methods(&[])),
        ],
    );
}

#[test]
fn paid_and_unpaid_are_told_apart() {
    let unpaid = || asked(|q| q.paid = false);
    check(json!({"paid": true}), &[(true, question()), (false, unpaid())]);
    check(json!({"paid": false}), &[(false, question()), (true, unpaid())]);
}

#[test]
fn values_are_at_least_and_less_than() {
    let worth = |value| asked(|q| q.value = value);
    check(json!({"value": {"at_least": 100}}), &[(false, worth(99)), (true, worth(100))]);
    check(json!({"value": {"less_than": 100}}), &[(true, worth(99)), (false, worth(100))]);
    check(
        json!({"value": {"at_least": 100, "less_than": 101}}),
        &[(false, worth(99)), (true, worth(100)), (false, worth(101))],
    );
}

#[test]
fn carriers_are_told_apart() {
    let carrier = |in_transit_cancel, partner_delivery| {
        asked(|q| q.carrier = CarrierFacts { in_transit_cancel, partner_delivery })
    };
    let of = |able: bool, partner: bool| json!({"in_transit_cancel": able, "partner_delivery": partner});
    check(
        json!({"carrier": {"in_transit_cancel": true}}),
        &[(true, carrier(true, false)), (true, carrier(true, true)), (false, carrier(false, true))],
    );
    check(
        json!({"carrier": {"partner_delivery": false}}),
        &[(true, carrier(true, false)), (false, carrier(true, true))],
    );
    for (able, partner) in [(false, false), (false, true), (true, false), (true, true)] {
        for (is_able, is_partner) in [(false, false), (false, true), (true, false), (true, true)] {
            let is_match = (able, partner) == (is_able, is_partner);
            check(json!({"carrier": of(able, partner)}), &[(is_match, carrier(is_able, is_partner))]);
        }
    }
}

#[test]
fn windows_of_age_are_half_open() {
    let just_before = |age: SignedDuration| age - SignedDuration::from_nanos(1);
    let window = |clock: &str| json!({"age": {"clock": clock, "at_least": "24h", "less_than": "3d"}});
    type Clock = fn(&mut Question, SignedDuration);
    let clocks: [(&str, Clock); 3] = [
        ("PLACED", |question, age| question.since_placed = age),
        ("PAID", |question, age| question.since_paid = Some(age)),
        ("DELIVERED", |question, age| question.since_delivered = Some(age)),
    ];
    for (name, clock) in clocks {
        for (is_match, age) in
            [(false, just_before(hours(24))), (true, hours(24)), (true, just_before(hours(72))), (false, hours(72))]
        {
            check(window(name), &[(is_match, asked(|question| clock(question, age)))]);
        }
    }
}

#[test]
fn a_clock_that_has_not_started_is_outside_every_window() {
    let unpaid = || asked(|q| q.since_paid = None);
    check(json!({"age": {"clock": "PAID", "at_least": "0s"}}), &[(true, question()), (false, unpaid())]);
    check(json!({"age": {"clock": "PAID", "less_than": "9d"}}), &[(true, question()), (false, unpaid())]);
}

#[test]
fn all_ages_must_match() {
    let ages = json!([{"clock": "PLACED", "at_least": "2h"}, {"clock": "PAID", "less_than": "1h"}]);
    let paid = |minutes| asked(|q| q.since_paid = Some(SignedDuration::from_mins(minutes)));
    check(json!({"age": ages}), &[(true, paid(59)), (false, paid(60))]);
}

#[test]
fn all_conditions_of_a_rule_must_match() {
    let both = json!({"actor": "BUYER", "stage": "PLANNED"});
    check(
        both,
        &[(true, question()), (false, asked(|q| q.actor = Role::Seller)), (false, asked(|q| q.stage = Stage::Ready))],
    );
}

#[test]
fn the_first_match_wins() {
    let policy = policy_with_rules(json!([
        {"id": "sellers", "when": {"actor": "SELLER"}, "allow": {"refund": "FULL"}},
        {"id": "planned", "when": {"stage": "PLANNED"}, "deny": {"code": "SHIPPED", "next_actions": ["WAIT"]}},
        {"id": "buyers", "when": {"actor": "BUYER"}, "allow": {"refund": "NONE"}}
    ]));
    let rule = |question: &Question| policy.answer(question).rule;
    assert_eq!(rule(&question()).as_deref(), Some("planned"));
    assert_eq!(rule(&asked(|q| q.actor = Role::Seller)).as_deref(), Some("sellers"));
    assert_eq!(rule(&asked(|q| q.stage = Stage::Ready)).as_deref(), Some("buyers"));
    assert_eq!(
        policy.answer(&question()).verdict,
        Verdict::Deny { code: DenyCode::Shipped, next_actions: vec![NextAction::Wait], available_in: None }
    );
}

#[test]
fn what_no_rule_matches_is_not_allowed() {
    let verdict = Verdict::Deny { code: DenyCode::NotAllowed, next_actions: Vec::new(), available_in: None };
    let answer = policy(&document()).answer(&asked(|q| q.stage = Stage::Delivered));
    assert_eq!(answer, Answer { rule: None, verdict });
}

#[test]
fn an_answer_carries_the_gates_as_written_and_safe_defaults() {
    let gate = |kind, on_dispatch, on_lost| GateSpec {
        kind,
        respond_within: Some(hours(36) + SignedDuration::from_mins(30)),
        on_timeout: OnTimeout::Pass,
        on_dispatch,
        on_lost,
    };
    let written = json!({"kind": "SELLER_CONSENT", "respond_within": "36h30m", "on_timeout": "PASS"});
    let mut explicit = written.clone();
    explicit["kind"] = json!("SUPPORT_REVIEW");
    explicit["on_dispatch"] = json!("REFUSE_PART");
    explicit["on_lost"] = json!("PASS");
    let endless = json!({"kind": "PARCEL_RECEIPT"});
    let gates = json!([written, explicit, endless]);
    let policy = policy_with_rules(json!([{"id": "a", "when": {}, "allow": {"gates": gates, "refund": "NONE"}}]));
    let expected = vec![
        gate(GateKind::SellerConsent, OnDispatch::Bar, OnLost::Escalate),
        gate(GateKind::SupportReview, OnDispatch::RefusePart, OnLost::Pass),
        GateSpec {
            kind: GateKind::ParcelReceipt,
            respond_within: None,
            on_timeout: OnTimeout::Refuse,
            on_dispatch: OnDispatch::Bar,
            on_lost: OnLost::Escalate,
        },
    ];
    assert_eq!(policy.answer(&question()).verdict, Verdict::Allow { gates: expected, refund: RefundPlan::None });
}

#[test]
fn the_verification_window_is_half_open_and_the_buyers() {
    let mut document = document();
    set(&mut document, "/verification", json!({"methods": ["CARD"], "wait": "24h"}));
    let policy = policy(&document);
    let card = |since_paid: Option<SignedDuration>| {
        asked(|q| {
            q.payment_methods = vec!["WALLET".to_owned(), "CARD".to_owned()];
            q.since_paid = since_paid;
        })
    };
    let second = SignedDuration::from_secs(1);
    for left in [hours(24), hours(1), second] {
        let answer = policy.answer(&card(Some(hours(24) - left)));
        assert_eq!(answer.rule.as_deref(), Some("verification"));
        let next_actions = vec![NextAction::Wait, NextAction::ContactSeller];
        let verdict = Verdict::Deny { code: DenyCode::PaymentVerifying, next_actions, available_in: Some(left) };
        assert_eq!(answer.verdict, verdict);
    }
    let mut sellers = card(Some(second));
    sellers.actor = Role::Seller;
    let wallet = asked(|q| q.since_paid = Some(second));
    for verified in [card(Some(hours(24))), card(None), sellers, wallet] {
        assert_eq!(policy.answer(&verified).rule.as_deref(), Some("early"), "{verified:#?}");
    }
}
