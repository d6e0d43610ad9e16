//! What a policy answers: each condition on both sides of its boundary.

use belay_domain::actor::Role;
use belay_domain::period::Period;
use belay_domain::policy::{CarrierCapabilities, PolicyAnswer, Question, Verdict};
use belay_domain::shipment::Stage;
use belay_domain::terms::{
    DenyCode, GateKind, GateSpec, NextAction, OnDispatch, OnLost, OnTimeout, Path, Payer,
    RefundPlan, RefundShare,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{document, hours, policy, policy_with_rules, question, set};

/// Changes the base question in one thing.
fn asked(change: impl FnOnce(&mut Question)) -> Question {
    let mut question = question();
    change(&mut question);
    question
}

/// Which of the questions the condition matches. Where it does not, it is told which key kept it
/// from it, and what that wants.
fn check(condition: Value, questions: &[(bool, Question)]) {
    let rules = json!([{"id": "the-rule", "when": condition, "allow": {"refund": "FULL"}}]);
    let policy = policy_with_rules(rules);
    for (is_match, question) in questions {
        let rule = policy.answer(question).rule;
        assert_eq!(rule.is_some(), *is_match, "{condition} and {question:#?}");
        let passed_over = policy.passed_over(question);
        assert_eq!(passed_over.is_empty(), *is_match);
        for unmet in passed_over.iter().flat_map(|rule| &rule.unmet) {
            let key = unmet.condition.name().to_lowercase();
            let last = key.replace("value_", "");
            let text = condition.to_string();
            assert!(text.contains(&last), "{condition} has no {key}");
            assert!(!unmet.wanted.is_empty(), "{condition} and {key}");
        }
    }
}

#[test]
fn an_empty_condition_matches_everything() {
    check(
        json!({}),
        &[
            (true, question()),
            (true, asked(|q| q.reason = None)),
            (true, asked(|q| q.paid = false)),
        ],
    );
}

#[test]
fn conditions_on_names_match_any_name_in_their_list() {
    let seller = || asked(|q| q.actor = Role::Seller);
    check(
        json!({"actor": "BUYER"}),
        &[(true, question()), (false, seller())],
    );
    check(
        json!({"actor": ["SELLER", "BUYER"]}),
        &[(true, question()), (true, seller())],
    );
    check(
        json!({"stage": "PLANNED"}),
        &[
            (true, question()),
            (false, asked(|q| q.stage = Stage::Preparing)),
        ],
    );
    check(
        json!({"path": "CANCEL"}),
        &[
            (true, question()),
            (false, asked(|q| q.path = Path::Intercept)),
        ],
    );
    check(
        json!({"reason": "CHANGED_MIND"}),
        &[
            (true, question()),
            (false, asked(|q| q.reason = None)),
            (
                false,
                asked(|q| q.reason = Some("PAYMENT_EXPIRED".to_owned())),
            ),
        ],
    );
    check(
        json!({"destination_country": ["NO", "DE"]}),
        &[
            (true, question()),
            (false, asked(|q| q.destination_country = "SE".to_owned())),
        ],
    );
}

#[test]
fn one_of_the_payments_is_enough() {
    let methods = |methods: &[&str]| {
        asked(|q| q.payment_methods = methods.iter().map(|method| (*method).to_owned()).collect())
    };
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
    check(
        json!({"paid": true}),
        &[(true, question()), (false, unpaid())],
    );
    check(
        json!({"paid": false}),
        &[(false, question()), (true, unpaid())],
    );
}

#[test]
fn values_are_at_least_and_less_than() {
    let worth = |value| asked(|q| q.value = value);
    check(
        json!({"value": {"at_least": 100}}),
        &[(false, worth(99)), (true, worth(100))],
    );
    check(
        json!({"value": {"less_than": 100}}),
        &[(true, worth(99)), (false, worth(100))],
    );
    check(
        json!({"value": {"at_least": 100, "less_than": 101}}),
        &[(false, worth(99)), (true, worth(100)), (false, worth(101))],
    );
}

#[test]
fn carriers_are_told_apart() {
    let carrier = |in_transit_cancel, partner_delivery| {
        asked(|q| {
            q.carrier = CarrierCapabilities {
                in_transit_cancel,
                partner_delivery,
                return_label: false,
            }
        })
    };
    let of =
        |able: bool, partner: bool| json!({"in_transit_cancel": able, "partner_delivery": partner});
    check(
        json!({"carrier": {"in_transit_cancel": true}}),
        &[
            (true, carrier(true, false)),
            (true, carrier(true, true)),
            (false, carrier(false, true)),
        ],
    );
    check(
        json!({"carrier": {"partner_delivery": false}}),
        &[(true, carrier(true, false)), (false, carrier(true, true))],
    );
    for (able, partner) in [(false, false), (false, true), (true, false), (true, true)] {
        for (is_able, is_partner) in [(false, false), (false, true), (true, false), (true, true)] {
            let is_match = (able, partner) == (is_able, is_partner);
            check(
                json!({"carrier": of(able, partner)}),
                &[(is_match, carrier(is_able, is_partner))],
            );
        }
    }
    let labelled = |return_label| asked(|q| q.carrier.return_label = return_label);
    check(
        json!({"carrier": {"return_label": true}}),
        &[(true, labelled(true)), (false, labelled(false))],
    );
    check(
        json!({"carrier": {"return_label": false}}),
        &[(false, labelled(true)), (true, labelled(false))],
    );
}

#[test]
fn shipments_that_customs_may_stop_are_told_apart() {
    let flagged = |customs_flagged| asked(|q| q.customs_flagged = customs_flagged);
    check(
        json!({"customs_flagged": true}),
        &[(true, flagged(true)), (false, flagged(false))],
    );
    check(
        json!({"customs_flagged": false}),
        &[(false, flagged(true)), (true, flagged(false))],
    );
}

#[test]
fn windows_of_age_are_half_open() {
    let just_before = |age: SignedDuration| age - SignedDuration::from_nanos(1);
    let window =
        |clock: &str| json!({"age": {"clock": clock, "at_least": "24h", "less_than": "3d"}});
    type Clock = fn(&mut Question, SignedDuration);
    let clocks: [(&str, Clock); 3] = [
        ("PLACED", |question, age| question.since_placed = age),
        ("PAID", |question, age| question.since_paid = Some(age)),
        ("DELIVERED", |question, age| {
            question.since_delivered = Some(age)
        }),
    ];
    for (name, clock) in clocks {
        for (is_match, age) in [
            (false, just_before(hours(24))),
            (true, hours(24)),
            (true, just_before(hours(72))),
            (false, hours(72)),
        ] {
            check(
                window(name),
                &[(is_match, asked(|question| clock(question, age)))],
            );
        }
    }
}

#[test]
fn a_clock_that_has_not_started_is_outside_every_window() {
    let unpaid = || asked(|q| q.since_paid = None);
    check(
        json!({"age": {"clock": "PAID", "at_least": "0s"}}),
        &[(true, question()), (false, unpaid())],
    );
    check(
        json!({"age": {"clock": "PAID", "less_than": "9d"}}),
        &[(true, question()), (false, unpaid())],
    );
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
        &[
            (true, question()),
            (false, asked(|q| q.actor = Role::Seller)),
            (false, asked(|q| q.stage = Stage::Ready)),
        ],
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
    assert_eq!(
        rule(&asked(|q| q.actor = Role::Seller)).as_deref(),
        Some("sellers")
    );
    assert_eq!(
        rule(&asked(|q| q.stage = Stage::Ready)).as_deref(),
        Some("buyers")
    );
    assert_eq!(
        policy.answer(&question()).verdict,
        Verdict::Deny {
            code: DenyCode::Shipped,
            next_actions: vec![NextAction::Wait],
            available_in: None
        }
    );
}

#[test]
fn what_no_rule_matches_is_not_allowed() {
    let verdict = Verdict::Deny {
        code: DenyCode::NotAllowed,
        next_actions: Vec::new(),
        available_in: None,
    };
    let answer = policy(&document()).answer(&asked(|q| q.stage = Stage::Delivered));
    assert_eq!(
        answer,
        PolicyAnswer {
            rule: None,
            verdict
        }
    );
}

#[test]
fn an_answer_carries_the_gates_as_written_and_safe_defaults() {
    let usual = |kind| GateSpec {
        kind,
        respond_within: Some(Period::Time(hours(36) + SignedDuration::from_mins(30))),
        remind_before: None,
        on_timeout: OnTimeout::Refuse,
        escalate_within: None,
        on_dispatch: OnDispatch::Bar,
        on_lost: OnLost::Escalate,
    };
    let written =
        |kind: &str| json!({"kind": kind, "respond_within": "36h30m", "on_timeout": "REFUSE"});
    let explicit = json!({
        "kind": "SELLER_CONSENT",
        "respond_within": {"calendar_days": 2},
        "remind_before": "12h",
        "on_timeout": "ESCALATE",
        "escalate_within": {"working_days": 1},
        "on_dispatch": "REFUSE_PART",
        "on_lost": "PASS"
    });
    let endless = json!({"kind": "PARCEL_RECEIPT", "on_lost": "PASS"});
    let gates = json!([
        explicit,
        written("SUPPORT_REVIEW"),
        endless,
        written("LOSS_CONFIRMATION")
    ]);
    let mut document = document();
    set(
        &mut document,
        "/rules",
        json!([{"id": "a", "when": {}, "allow": {"gates": gates, "refund": "NONE"}}]),
    );
    set(
        &mut document,
        "/refunds/calendars",
        json!({"default": {"time_zone": "UTC", "weekend": []}}),
    );
    let expected = vec![
        GateSpec {
            kind: GateKind::SellerConsent,
            respond_within: Some(Period::CalendarDays(2)),
            remind_before: Some(hours(12)),
            on_timeout: OnTimeout::Escalate,
            escalate_within: Some(Period::WorkingDays(1)),
            on_dispatch: OnDispatch::RefusePart,
            on_lost: OnLost::Pass,
        },
        usual(GateKind::SupportReview),
        GateSpec {
            respond_within: None,
            on_lost: OnLost::Pass,
            ..usual(GateKind::ParcelReceipt)
        },
        // Where the loss is what is asked about, it is the answer.
        GateSpec {
            on_lost: OnLost::Pass,
            ..usual(GateKind::LossConfirmation)
        },
    ];
    let answer = policy(&document).answer(&question());
    assert_eq!(
        answer.verdict,
        Verdict::Allow {
            gates: expected,
            refund: RefundPlan::NONE
        }
    );
}

#[test]
fn a_refund_is_a_share_and_who_bears_which_shipping() {
    let (buyer, seller) = (Payer::Buyer, Payer::Seller);
    for (written, share, outbound_shipping, return_shipping) in [
        (json!("FULL"), RefundShare::Full, buyer, seller),
        (json!("NONE"), RefundShare::None, buyer, seller),
        (json!("BY_SCHEDULE"), RefundShare::BySchedule, buyer, seller),
        (json!({"share": "FULL"}), RefundShare::Full, buyer, seller),
        (json!({"share": "NONE"}), RefundShare::None, buyer, seller),
        (
            json!({"share": "FULL", "outbound_shipping": "SELLER"}),
            RefundShare::Full,
            seller,
            seller,
        ),
        (
            json!({"share": "FULL", "return_shipping": "BUYER"}),
            RefundShare::Full,
            buyer,
            buyer,
        ),
        (
            json!({"share": "BY_SCHEDULE", "outbound_shipping": "SELLER", "return_shipping": "BUYER"}),
            RefundShare::BySchedule,
            seller,
            buyer,
        ),
    ] {
        let mut document = document();
        set(
            &mut document,
            "/returns",
            json!({"rates": [{"percent": 50}]}),
        );
        set(&mut document, "/rules/0/allow/refund", written);
        let refund = RefundPlan {
            share,
            outbound_shipping,
            return_shipping,
        };
        let verdict = Verdict::Allow {
            gates: Vec::new(),
            refund,
        };
        assert_eq!(policy(&document).answer(&question()).verdict, verdict);
    }
}

#[test]
fn a_buyer_waits_until_the_payment_is_verified_and_nobody_else_does() {
    let policy = policy(&document());
    let verified_in = |left: Option<SignedDuration>| asked(|q| q.verified_in = left);
    for left in [hours(24), SignedDuration::from_nanos(1)] {
        let answer = policy.answer(&verified_in(Some(left)));
        assert_eq!(answer.rule.as_deref(), Some("verification"));
        let next_actions = vec![NextAction::Wait, NextAction::ContactSeller];
        let verdict = Verdict::Deny {
            code: DenyCode::PaymentVerifying,
            next_actions,
            available_in: Some(left),
        };
        assert_eq!(answer.verdict, verdict);
    }
    let mut sellers = verified_in(Some(hours(1)));
    sellers.actor = Role::Seller;
    for verified in [verified_in(None), sellers] {
        assert_eq!(
            policy.answer(&verified).rule.as_deref(),
            Some("early"),
            "{verified:#?}"
        );
    }
}

#[test]
fn who_was_passed_over_is_told_with_what_was_wanted() {
    let rules = json!([
        {"id": "others", "when": {"actor": ["SELLER", "SUPPORT"], "stage": "READY"}, "allow": {"refund": "FULL"}},
        {"id": "later", "when": {"age": {"clock": "PLACED", "at_least": "100h", "less_than": "200h"}}, "allow": {"refund": "FULL"}},
        {"id": "rest", "when": {}, "deny": {"code": "SHIPPED"}}
    ]);
    let policy = policy_with_rules(rules);
    let told = |question: &Question| {
        let passed_over = policy.passed_over(question);
        let told = passed_over.iter().flat_map(|rule| {
            let unmet = rule.unmet.iter();
            unmet.map(|of| format!("{}: {} {}", rule.rule, of.condition, of.wanted))
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        told(&question()),
        [
            "others: ACTOR SELLER, SUPPORT",
            "others: STAGE READY",
            "later: AGE PLACED at least 100h and less than 200h"
        ]
    );
    assert_eq!(
        told(&asked(|q| {
            q.actor = Role::Seller;
            q.stage = Stage::Ready;
        })),
        Vec::<String>::new()
    );
    // While the payment is verified no rule is asked.
    let verified = asked(|q| q.verified_in = Some(hours(1)));
    assert_eq!(told(&verified), Vec::<String>::new());
}
