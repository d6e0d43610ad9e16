//! The presets that ship: each is a document without errors, and answers what its source says.

use std::collections::BTreeSet;
use std::fs;

use belay_domain::actor::Role;
use belay_domain::cancellation::{PARCEL_RETURNED, PAYMENT_EXPIRED};
use belay_domain::order::OrderState;
use belay_domain::period::Period;
use belay_domain::policy::{
    CarrierCapabilities, Consequence, Notification, Policy, Question, RefundDue, Verdict,
};
use belay_domain::shipment::Stage;
use belay_domain::terms::{
    DenyCode, Effect, Fault, GateKind, NextAction, OnTimeout, Path, RefundPlan,
};

use crate::support::{
    PRESETS, With, asked_by, because, gate, hours, policy, preset, preset_folder, preset_text,
    question,
};

fn independent_site() -> Policy {
    preset("independent-site")
}

#[test]
fn every_preset_is_a_document_that_is_called_like_its_file() {
    let files = fs::read_dir(preset_folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.strip_suffix(".yaml")?.to_owned()))
        .collect();
    names.sort();
    assert_eq!(names, PRESETS);
    for name in PRESETS {
        let policy = preset(name);
        assert_eq!(policy.name, *name);
        assert!(!policy.source.is_empty(), "{name} does not name its source");
    }
}

/// Every question that a preset could tell apart.
fn all_questions(policy: &Policy) -> Vec<Question> {
    let actors = [
        Role::Buyer,
        Role::Seller,
        Role::Support,
        Role::Warehouse,
        Role::Carrier,
        Role::System,
    ];
    let reasons: Vec<Option<&str>> = policy
        .reasons
        .iter()
        .map(|reason| Some(&*reason.code))
        .chain([None])
        .collect();
    let carriers = (0..8u8).map(|bits| CarrierCapabilities {
        in_transit_cancel: bits & 1 != 0,
        partner_delivery: bits & 2 != 0,
        return_label: bits & 4 != 0,
    });
    let carriers: Vec<CarrierCapabilities> = carriers.collect();
    let mut questions = Vec::new();
    for actor in actors {
        for (stage, path) in Stage::ALL
            .iter()
            .flat_map(|stage| Path::ALL.iter().map(|path| (*stage, *path)))
        {
            for reason in &reasons {
                for carrier in &carriers {
                    for since_paid in [None, Some(hours(1)), Some(hours(1000))] {
                        let asked = Question {
                            reason: reason.map(str::to_owned),
                            carrier: *carrier,
                            paid: since_paid.is_some(),
                            since_paid,
                            ..asked_by(actor, stage, path)
                        };
                        questions.push(asked);
                    }
                }
            }
        }
    }
    questions
}

fn is_allowed(policy: &Policy, question: &Question) -> bool {
    matches!(policy.answer(question).verdict, Verdict::Allow { .. })
}

#[test]
fn every_rule_of_a_preset_answers_some_question() {
    for name in PRESETS {
        let policy = preset(name);
        let answering: BTreeSet<String> = all_questions(&policy)
            .iter()
            .filter_map(|question| policy.answer(question).rule)
            .collect();
        let silent: Vec<&str> = policy
            .rules
            .iter()
            .map(|rule| &*rule.id)
            .filter(|id| !answering.contains(*id))
            .collect();
        assert_eq!(silent, [""; 0], "{name}");
    }
}

/// A part that waits is put to its rule again wherever its shipment goes.
#[test]
fn what_waits_for_somebody_is_still_allowed_when_the_shipment_has_gone_on_as_it_should() {
    for name in PRESETS {
        let policy = preset(name);
        for asked in all_questions(&policy) {
            let Verdict::Allow { gates, .. } = policy.answer(&asked).verdict else {
                continue;
            };
            let has = |kind| gates.iter().any(|gate| gate.kind == kind);
            let awaits_the_parcel = has(GateKind::ParcelReceipt) || has(GateKind::CarrierIntercept);
            let goes_on: &[Stage] = match asked.stage {
                _ if gates.is_empty() => &[],
                Stage::Unreleased => &[Stage::Planned],
                Stage::Planned => &[Stage::Preparing, Stage::Ready],
                Stage::Preparing => &[Stage::Ready],
                Stage::InTransit | Stage::Delivered | Stage::Lost | Stage::Returning
                    if awaits_the_parcel =>
                {
                    &[Stage::Returning, Stage::Returned]
                }
                Stage::Ready
                | Stage::InTransit
                | Stage::Delivered
                | Stage::Cancelled
                | Stage::Lost
                | Stage::Returning
                | Stage::Returned
                | Stage::Split => &[],
            };
            for stage in goes_on {
                let again = asked.clone().with(|q| q.stage = *stage);
                assert!(
                    is_allowed(&policy, &again),
                    "{name} at {stage} no longer allows {asked:#?}"
                );
            }
        }
    }
}

#[test]
fn every_gate_of_a_preset_has_a_deadline() {
    for name in PRESETS {
        for rule in preset(name).rules {
            let Consequence::Allow(allow) = rule.then else {
                continue;
            };
            for gate in allow.gates {
                assert!(
                    gate.respond_within.is_some(),
                    "{} of {} in {name}",
                    gate.kind,
                    rule.id
                );
            }
        }
    }
}

#[test]
fn in_every_preset_a_parcel_that_comes_home_is_paid_once_it_is_there() {
    for name in PRESETS {
        let policy = preset(name);
        assert_eq!(
            policy.reason(PARCEL_RETURNED).unwrap().actors,
            [Role::Carrier],
            "{name}"
        );
        for stage in [
            Stage::InTransit,
            Stage::Delivered,
            Stage::Lost,
            Stage::Returning,
            Stage::Returned,
        ] {
            let asked =
                asked_by(Role::Carrier, stage, Path::RefuseDelivery).with(because(PARCEL_RETURNED));
            let receipt = gate(&policy, &asked, GateKind::ParcelReceipt);
            assert_eq!(receipt.on_timeout, OnTimeout::Escalate, "{name}");
        }
    }
}

#[test]
fn a_preset_written_as_json_says_the_same() {
    for name in PRESETS {
        let value: serde_json::Value = serde_saphyr::from_str(&preset_text(name)).unwrap();
        assert_eq!(policy(&value), preset(name), "{name}");
    }
}

#[test]
fn independent_site_answers_as_its_help_page_says() {
    use NextAction::{ContactSupport, Intercept, ReturnUnopened};
    use Role::{Buyer, Carrier, Seller, Support, System};
    let policy = independent_site();
    let ways_back = vec![ReturnUnopened, ContactSupport];
    let deny = |code, next_actions: &[NextAction]| Verdict::Deny {
        code,
        next_actions: next_actions.to_vec(),
        available_in: None,
    };
    let able = CarrierCapabilities {
        in_transit_cancel: true,
        ..CarrierCapabilities::default()
    };
    let unable = CarrierCapabilities::default();
    // Who, stage, path, carrier, rule, rejection.
    for (actor, stage, path, carrier, rule, denial) in [
        (
            Buyer,
            Stage::Unreleased,
            Path::Cancel,
            unable,
            Some("before-dispatch"),
            None,
        ),
        (
            Buyer,
            Stage::Planned,
            Path::Cancel,
            unable,
            Some("before-dispatch"),
            None,
        ),
        (
            Seller,
            Stage::Preparing,
            Path::Cancel,
            able,
            Some("before-dispatch"),
            None,
        ),
        (
            Support,
            Stage::Ready,
            Path::Cancel,
            unable,
            Some("before-dispatch"),
            None,
        ),
        (
            System,
            Stage::Unreleased,
            Path::Cancel,
            unable,
            Some("before-dispatch"),
            None,
        ),
        (
            Carrier,
            Stage::Planned,
            Path::Cancel,
            unable,
            None,
            Some(deny(DenyCode::NotAllowed, &[])),
        ),
        (
            Buyer,
            Stage::InTransit,
            Path::Cancel,
            able,
            Some("shipped-interceptable"),
            Some(deny(DenyCode::Shipped, &[Intercept, ContactSupport])),
        ),
        (
            Buyer,
            Stage::InTransit,
            Path::Cancel,
            unable,
            Some("shipped"),
            Some(deny(DenyCode::Shipped, &ways_back)),
        ),
        (
            Buyer,
            Stage::Delivered,
            Path::Cancel,
            able,
            Some("delivered"),
            Some(deny(DenyCode::Delivered, &ways_back)),
        ),
        (
            Buyer,
            Stage::InTransit,
            Path::Intercept,
            able,
            Some("intercept"),
            None,
        ),
        (
            Buyer,
            Stage::Returning,
            Path::Intercept,
            able,
            Some("intercept"),
            None,
        ),
        (
            Buyer,
            Stage::Returned,
            Path::Intercept,
            able,
            Some("intercept"),
            None,
        ),
        (
            Buyer,
            Stage::InTransit,
            Path::Intercept,
            unable,
            Some("not-interceptable"),
            Some(deny(DenyCode::NotInterceptable, &ways_back)),
        ),
        (
            Support,
            Stage::Delivered,
            Path::Intercept,
            able,
            Some("not-interceptable"),
            Some(deny(DenyCode::NotInterceptable, &ways_back)),
        ),
        (
            Buyer,
            Stage::Delivered,
            Path::ReturnUnopened,
            unable,
            Some("return-unopened"),
            None,
        ),
        (
            Buyer,
            Stage::Returning,
            Path::ReturnUnopened,
            unable,
            Some("return-unopened"),
            None,
        ),
        (
            Buyer,
            Stage::Returned,
            Path::ReturnUnopened,
            unable,
            Some("return-unopened"),
            None,
        ),
        (
            Buyer,
            Stage::Lost,
            Path::Cancel,
            able,
            Some("ask-support"),
            Some(deny(DenyCode::NotAllowed, &[ContactSupport])),
        ),
        (
            Carrier,
            Stage::Lost,
            Path::Cancel,
            able,
            None,
            Some(deny(DenyCode::NotAllowed, &[])),
        ),
        (
            Carrier,
            Stage::Returning,
            Path::RefuseDelivery,
            unable,
            Some("came-home"),
            None,
        ),
    ] {
        let mut asked = question();
        (asked.actor, asked.stage, asked.path, asked.carrier) = (actor, stage, path, carrier);
        let answer = policy.answer(&asked);
        assert_eq!(answer.rule.as_deref(), rule, "{asked:#?}");
        match (answer.verdict, denial) {
            (Verdict::Allow { refund, .. }, None) => assert_eq!(refund, RefundPlan::FULL),
            (verdict, denial) => assert_eq!(Some(verdict), denial, "{asked:#?}"),
        }
    }
}

#[test]
fn independent_site_waits_for_the_parcel() {
    let policy = independent_site();
    let gates = |stage, path, in_transit_cancel| {
        let mut asked = question();
        (asked.stage, asked.path, asked.carrier.in_transit_cancel) =
            (stage, path, in_transit_cancel);
        match policy.answer(&asked).verdict {
            Verdict::Allow { gates, .. } => gates,
            Verdict::Deny { code, .. } => panic!("{path} at {stage} is refused {code}"),
        }
    };
    assert_eq!(gates(Stage::Ready, Path::Cancel, false), []);
    let intercept = gates(Stage::InTransit, Path::Intercept, true);
    let waits: Vec<_> = intercept
        .iter()
        .map(|gate| (gate.kind, gate.respond_within, gate.on_timeout))
        .collect();
    let receipt = (
        GateKind::ParcelReceipt,
        Some(Period::Time(hours(30 * 24))),
        OnTimeout::Refuse,
    );
    assert_eq!(
        waits,
        [
            (
                GateKind::CarrierIntercept,
                Some(Period::Time(hours(48))),
                OnTimeout::Refuse
            ),
            receipt
        ]
    );
    assert_eq!(
        gates(Stage::Delivered, Path::ReturnUnopened, false),
        intercept[1..]
    );
}

#[test]
fn independent_site_declares_what_its_help_page_names() {
    let policy = independent_site();
    for code in ["NO_LONGER_WANTED", "WRONG_PURCHASE", "FOUND_BETTER"] {
        let reason = policy.reason(code).unwrap();
        assert_eq!(
            (&reason.actors[..], reason.fault),
            (&[Role::Buyer, Role::Support][..], Fault::Buyer),
            "{code}"
        );
        assert!(!reason.note_required && !reason.counted);
    }
    assert_eq!(
        policy.reason(PAYMENT_EXPIRED).unwrap().actors,
        [Role::System]
    );
    assert_eq!(
        policy.reason("OUT_OF_STOCK").unwrap().effects,
        [Effect::ZeroStock]
    );
    assert!(policy.reason("OUT_OF_STOCK").unwrap().counted);
    assert!(policy.reason("OTHER").unwrap().note_required);
    assert_eq!(policy.reason_required, [Role::Buyer, Role::Support]);
    assert!(policy.notifies(Notification::CancellationRequested));
    for state in OrderState::ALL {
        assert!(policy.labels.contains_key(state), "{state} has no label");
    }
    assert_eq!(policy.label(OrderState::ToShip), "Paid, to be shipped");
    assert_eq!(policy.label(OrderState::Processing), "Processing");
    assert_eq!(policy.label(OrderState::Shipped), "Shipped");
    assert_eq!(policy.refunds.due, RefundDue::Immediate);
    assert_eq!(policy.unpaid.expire_after, hours(24));
}
