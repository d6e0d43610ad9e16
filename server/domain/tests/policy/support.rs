//! A small valid document to change, a question to ask, and an answer in a line.

use std::fs;
use std::path::PathBuf;

use belay_domain::actor::Role;
use belay_domain::policy::{CarrierCapabilities, Policy, PolicyAnswer, Question, Verdict, parse};
use belay_domain::shipment::Stage;
use belay_domain::terms::{GateKind, GateSpec, Path, RefundPlan};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// The presets that ship.
pub(crate) const PRESETS: &[&str] = &[
    "cross-border-declaration",
    "independent-site",
    "seller-center",
    "seller-warehouse",
    "supplier-agreement",
];

pub(crate) fn preset_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../presets")
}

pub(crate) fn preset_text(name: &str) -> String {
    let path = preset_folder().join(format!("{name}.yaml"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn preset(name: &str) -> Policy {
    parse(&preset_text(name)).unwrap_or_else(|errors| panic!("{name}: {errors:#?}"))
}

/// The smallest document there is, with one rule that has a condition and one that has a gate.
pub(crate) fn document() -> Value {
    json!({
        "name": "test",
        "unpaid": {"expire_after": "24h"},
        "reasons": [
            {"code": "CHANGED_MIND", "actors": ["BUYER"], "fault": "BUYER"},
            {"code": "PAYMENT_EXPIRED", "actors": ["SYSTEM"], "fault": "NONE"}
        ],
        "rules": [
            {"id": "early", "when": {"stage": "PLANNED", "path": "CANCEL"}, "allow": {"refund": "FULL"}},
            {
                "id": "later",
                "when": {"stage": ["PREPARING", "READY"], "path": "CANCEL"},
                "allow": {
                    "gates": [{"kind": "SELLER_CONSENT", "respond_within": "48h", "on_timeout": "REFUSE"}],
                    "refund": "FULL"
                }
            }
        ],
        "refunds": {"due": "IMMEDIATE", "shipping": "NEVER"}
    })
}

/// Puts a value at a JSON pointer, making the last key where it is not there.
pub(crate) fn set(document: &mut Value, pointer: &str, value: Value) {
    if let Some(present) = document.pointer_mut(pointer) {
        *present = value;
        return;
    }
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer starts with /");
    let parent = document
        .pointer_mut(parent)
        .unwrap_or_else(|| panic!("{pointer} has no parent"));
    parent
        .as_object_mut()
        .expect("only a mapping takes new keys")
        .insert(key.to_owned(), value);
}

pub(crate) fn remove(document: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer starts with /");
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut);
    parent
        .unwrap_or_else(|| panic!("{pointer} has no parent"))
        .remove(key)
        .expect("there is nothing to remove");
}

pub(crate) fn policy(document: &Value) -> Policy {
    parse(&document.to_string())
        .unwrap_or_else(|errors| panic!("{document:#} has errors: {errors:#?}"))
}

/// The base document with other rules.
pub(crate) fn policy_with_rules(rules: Value) -> Policy {
    let mut document = document();
    set(&mut document, "/rules", rules);
    policy(&document)
}

/// Where the errors of a document are.
pub(crate) fn error_paths(document: &Value) -> Vec<String> {
    match parse(&document.to_string()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(|error| error.path).collect(),
    }
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A buyer who asks to cancel what was paid an hour ago and is not packed yet.
pub(crate) fn question() -> Question {
    Question {
        actor: Role::Buyer,
        stage: Stage::Planned,
        path: Path::Cancel,
        reason: Some("CHANGED_MIND".to_owned()),
        paid: true,
        payment_methods: vec!["WALLET".to_owned()],
        since_placed: hours(2),
        since_paid: Some(hours(1)),
        since_delivered: None,
        value: 5_000,
        currency: "EUR".to_owned(),
        destination_country: "DE".to_owned(),
        carrier: CarrierCapabilities::default(),
        verified_in: None,
        customs_flagged: false,
    }
}

/// Asks for one path at one stage, of an order that was paid an hour ago.
pub(crate) fn asked_by(actor: Role, stage: Stage, path: Path) -> Question {
    Question {
        actor,
        stage,
        path,
        reason: None,
        ..question()
    }
}

/// The change of a question on the way, so that a table has a line for each.
pub(crate) trait With: Sized {
    fn with(self, change: impl FnOnce(&mut Self)) -> Self;
}

impl With for Question {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

pub(crate) fn because(reason: &str) -> impl FnOnce(&mut Question) {
    move |question| question.reason = Some(reason.to_owned())
}

/// An answer in a line: `rule: GATE, GATE, REFUND` or `rule: no, CODE, ACTION, ACTION`.
pub(crate) fn told(answer: &PolicyAnswer) -> String {
    let words: Vec<String> = match &answer.verdict {
        Verdict::Allow { gates, refund } => gates
            .iter()
            .map(|gate| gate.kind.to_string())
            .chain([refund_told(refund)])
            .collect(),
        Verdict::Deny {
            code, next_actions, ..
        } => {
            let actions = next_actions.iter().map(ToString::to_string);
            ["no".to_owned(), code.to_string()]
                .into_iter()
                .chain(actions)
                .collect()
        }
    };
    format!(
        "{}: {}",
        answer.rule.as_deref().unwrap_or("-"),
        words.join(", ")
    )
}

/// The share, and who bears the way out and the way back where that is not as usual.
fn refund_told(plan: &RefundPlan) -> String {
    if *plan == RefundPlan::of(plan.share) {
        plan.share.to_string()
    } else {
        format!(
            "{} {}/{}",
            plan.share, plan.outbound_shipping, plan.return_shipping
        )
    }
}

/// Each question with the line that answers it.
pub(crate) fn check_told(policy: &Policy, rows: Vec<(Question, &str)>) {
    for (question, expected) in rows {
        assert_eq!(told(&policy.answer(&question)), expected, "{question:#?}");
    }
}

/// The gate of this kind in the answer to a question.
pub(crate) fn gate(policy: &Policy, question: &Question, kind: GateKind) -> GateSpec {
    let answer = policy.answer(question);
    let gates = match &answer.verdict {
        Verdict::Allow { gates, .. } => gates.clone(),
        Verdict::Deny { .. } => Vec::new(),
    };
    gates
        .into_iter()
        .find(|gate| gate.kind == kind)
        .unwrap_or_else(|| panic!("no {kind} in {}", told(&answer)))
}
