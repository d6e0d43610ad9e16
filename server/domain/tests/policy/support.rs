//! A small valid document to change, and a question to ask.

use belay_domain::actor::Role;
use belay_domain::cancellation::Path;
use belay_domain::policy::{CarrierFacts, Policy, Question, parse};
use belay_domain::shipment::Stage;
use jiff::SignedDuration;
use serde_json::{Value, json};

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
    let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} has no parent"));
    parent.as_object_mut().expect("only a mapping takes new keys").insert(key.to_owned(), value);
}

pub(crate) fn remove(document: &mut Value, pointer: &str) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer starts with /");
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.unwrap_or_else(|| panic!("{pointer} has no parent")).remove(key).expect("there is nothing to remove");
}

pub(crate) fn policy(document: &Value) -> Policy {
    parse(&document.to_string()).unwrap_or_else(|faults| panic!("{document:#} has faults: {faults:#?}"))
}

/// The base document with other rules.
pub(crate) fn policy_with_rules(rules: Value) -> Policy {
    let mut document = document();
    set(&mut document, "/rules", rules);
    policy(&document)
}

/// Where the faults of a document are.
pub(crate) fn fault_paths(document: &Value) -> Vec<String> {
    match parse(&document.to_string()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.path).collect(),
    }
}

pub(crate) fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

/// A buyer who wishes to cancel what was paid an hour ago and is not packed yet.
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
        carrier: CarrierFacts::default(),
        verified_in: None,
        customs_flagged: false,
    }
}
