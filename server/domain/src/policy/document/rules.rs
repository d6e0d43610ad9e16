//! The rules of a document: what each looks at, and what it answers.

use super::WISHERS;
use super::fields::{Faults, Node, Object, distinct};
use super::limits::{CONDITION_ENTRIES_MAX, RULES_MAX};
use super::reach;
use crate::cancellation::{GateKind, Path};
use crate::policy::evaluate::VERIFICATION_RULE;
use crate::policy::{
    AgeBound, Allow, Clock, Condition, Consequence, Deny, DenyCode, GateSpec, NextAction, OnDispatch, OnLost,
    OnTimeout, RefundPlan, RefundShare, Rule, Wait,
};
use crate::shipment::Stage;

const CONDITION_KEYS: &[&str] =
    &["actor", "stage", "path", "reason", "paid", "payment_method", "age", "value", "destination_country", "carrier"];

/// `declared` are the reasons that a rule may name.
pub(super) fn rules(node: &Node<'_>, declared: &[String], faults: &mut Faults) -> Vec<Rule> {
    let mut rules: Vec<(String, Rule)> = Vec::new();
    let mut seen: Vec<(String, String)> = Vec::new();
    for entry in node.filled_list(RULES_MAX, faults) {
        let faults_before = faults.count();
        let Some(object) = entry.object(&["id", "when", "allow", "deny"], faults) else { continue };
        let id = object.require("id", faults).and_then(|node| rule_id(&node, &mut seen, &object.path, faults));
        let when = object.require("when", faults).and_then(|node| condition(&node, declared, faults));
        let then = consequence(&object, faults);
        let rule = id.zip(when).zip(then).map(|((id, when), then)| Rule { id, when, then });
        // Half a condition matches more than its author meant and would take its place before rules that are right.
        let is_whole = faults.count() == faults_before;
        rules.extend(rule.filter(|_| is_whole).map(|rule| (entry.path, rule)));
    }
    reach::find_unreachable(&rules, faults);
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// `seen` are the ids so far and where they stand.
fn rule_id(node: &Node<'_>, seen: &mut Vec<(String, String)>, rule: &str, faults: &mut Faults) -> Option<String> {
    let id = node.rule_id(faults)?;
    if id == VERIFICATION_RULE {
        node.fault("is the name under which Belay itself answers while a payment is verified", faults);
    }
    match seen.iter().find(|(earlier, _)| *earlier == id) {
        Some((_, at)) => node.fault(format!("is the id of {at} already"), faults),
        None => seen.push((id.clone(), rule.to_owned())),
    }
    Some(id)
}

fn condition(node: &Node<'_>, declared: &[String], faults: &mut Faults) -> Option<Condition> {
    let object = node.object(CONDITION_KEYS, faults)?;
    let reason = each(&object, "reason", faults, |node, faults| {
        let code = node.code(faults)?;
        if !declared.contains(&code) {
            node.fault(format!("is not among the reasons: {code} is not declared"), faults);
        }
        Some(code)
    });
    let value = object.get("value").and_then(|node| value(&node, faults));
    let (value_at_least, value_less_than) = value.unwrap_or_default();
    let carrier = object.get("carrier").and_then(|node| carrier(&node, faults));
    let (in_transit_cancel, partner_delivery) = carrier.unwrap_or_default();
    Some(Condition {
        actor: each(&object, "actor", faults, |node, faults| node.name(WISHERS, faults)),
        stage: each(&object, "stage", faults, |node, faults| node.name(Stage::ALL, faults)),
        path: each(&object, "path", faults, |node, faults| node.name(Path::ALL, faults)),
        reason,
        paid: object.get("paid").and_then(|node| node.boolean(faults)),
        payment_method: each(&object, "payment_method", faults, Node::code),
        age: object.get("age").map(|node| ages(&node, faults)).unwrap_or_default(),
        value_at_least,
        value_less_than,
        destination_country: each(&object, "destination_country", faults, Node::country),
        in_transit_cancel,
        partner_delivery,
        return_label: None,
        customs_flagged: None,
    })
}

/// The values under `key`, of which there may be one or a list. None where the key is not there.
fn each<'a, T: PartialEq>(
    object: &Object<'a>,
    key: &str,
    faults: &mut Faults,
    read: impl Fn(&Node<'a>, &mut Faults) -> Option<T>,
) -> Vec<T> {
    let entries = object.get(key).map(|node| node.one_or_list(CONDITION_ENTRIES_MAX, faults));
    distinct(&entries.unwrap_or_default(), faults, read)
}

/// At most one window for each clock: two would only be a longer way to write their overlap.
fn ages(node: &Node<'_>, faults: &mut Faults) -> Vec<AgeBound> {
    let mut bounds: Vec<AgeBound> = Vec::new();
    for entry in node.one_or_list(CONDITION_ENTRIES_MAX, faults) {
        let Some(bound) = age(&entry, faults) else { continue };
        if bounds.iter().any(|earlier| earlier.clock == bound.clock) {
            entry.fault(format!("must be the only age by {}", bound.clock), faults);
        }
        bounds.push(bound);
    }
    bounds
}

fn age(node: &Node<'_>, faults: &mut Faults) -> Option<AgeBound> {
    let object = node.object(&["clock", "at_least", "less_than"], faults)?;
    let clock = object.require("clock", faults).and_then(|node| node.name(Clock::ALL, faults));
    let (at_least, less_than) = window(&object, faults, Node::duration);
    Some(AgeBound { clock: clock?, at_least, less_than })
}

fn value(node: &Node<'_>, faults: &mut Faults) -> Option<(Option<i64>, Option<i64>)> {
    let object = node.object(&["at_least", "less_than"], faults)?;
    Some(window(&object, faults, |node, faults| node.integer(0..=i64::MAX, faults)))
}

/// `at_least` and `less_than`, one of which must be there, and between which something must lie.
fn window<'a, T: PartialOrd>(
    object: &Object<'a>,
    faults: &mut Faults,
    read: impl Fn(&Node<'a>, &mut Faults) -> Option<T>,
) -> (Option<T>, Option<T>) {
    let (from, until) = (object.get("at_least"), object.get("less_than"));
    if from.is_none() && until.is_none() {
        faults.add(&object.path, "needs at_least or less_than");
    }
    let at_least = from.and_then(|node| read(&node, faults));
    let less_than = until.and_then(|node| read(&node, faults));
    if at_least.as_ref().zip(less_than.as_ref()).is_some_and(|(from, until)| from >= until) {
        faults.add(&object.path, "matches nothing: at_least must be below less_than");
    }
    (at_least, less_than)
}

fn carrier(node: &Node<'_>, faults: &mut Faults) -> Option<(Option<bool>, Option<bool>)> {
    let object = node.object(&["in_transit_cancel", "partner_delivery"], faults)?;
    let (able, partner) = (object.get("in_transit_cancel"), object.get("partner_delivery"));
    if able.is_none() && partner.is_none() {
        node.fault("needs in_transit_cancel or partner_delivery", faults);
    }
    Some((able.and_then(|node| node.boolean(faults)), partner.and_then(|node| node.boolean(faults))))
}

fn consequence(rule: &Object<'_>, faults: &mut Faults) -> Option<Consequence> {
    let (allow_node, deny_node) = (rule.get("allow"), rule.get("deny"));
    match (&allow_node, &deny_node) {
        (Some(_), Some(_)) => faults.add(&rule.path, "must have allow or deny, not both"),
        (None, None) => faults.add(&rule.path, "needs allow or deny"),
        (Some(_), None) | (None, Some(_)) => {}
    }
    let allowed = allow_node.and_then(|node| allow(&node, faults)).map(Consequence::Allow);
    let denied = deny_node.and_then(|node| deny(&node, faults)).map(Consequence::Deny);
    allowed.or(denied)
}

fn deny(node: &Node<'_>, faults: &mut Faults) -> Option<Deny> {
    let object = node.object(&["code", "next_actions"], faults)?;
    let code = object.require("code", faults).and_then(|node| node.name(DenyCode::ALL, faults));
    let next_actions = object.get("next_actions").map(|node| {
        let entries = node.list(NextAction::ALL.len(), faults);
        distinct(&entries, faults, |entry, faults| entry.name(NextAction::ALL, faults))
    });
    Some(Deny { code: code?, next_actions: next_actions.unwrap_or_default() })
}

fn allow(node: &Node<'_>, faults: &mut Faults) -> Option<Allow> {
    let object = node.object(&["gates", "refund"], faults)?;
    let gates = object.get("gates").map(|node| gates(&node, faults)).unwrap_or_default();
    let refund =
        object.require("refund", faults).and_then(|node| node.name(RefundShare::ALL, faults)).map(RefundPlan::of);
    Some(Allow { gates, refund: refund? })
}

/// Each kind at most once: a gate that has passed is told from one that has not by its kind.
fn gates(node: &Node<'_>, faults: &mut Faults) -> Vec<GateSpec> {
    let mut gates: Vec<GateSpec> = Vec::new();
    for entry in node.list(GateKind::ALL.len(), faults) {
        let Some(gate) = gate(&entry, faults) else { continue };
        if gates.iter().any(|earlier| earlier.kind == gate.kind) {
            entry.fault(format!("must be the only {} of its rule", gate.kind), faults);
        }
        gates.push(gate);
    }
    gates
}

fn gate(node: &Node<'_>, faults: &mut Faults) -> Option<GateSpec> {
    let object = node.object(&["kind", "respond_within", "on_timeout", "on_dispatch", "on_lost"], faults)?;
    let kind = object.require("kind", faults).and_then(|node| node.name(GateKind::ALL, faults));
    let respond_within = object.get("respond_within").and_then(|node| node.positive_duration(faults));
    let on_timeout = object.get("on_timeout").and_then(|node| node.name(OnTimeout::ALL, faults));
    let on_dispatch = object.get("on_dispatch").and_then(|node| node.name(OnDispatch::ALL, faults));
    let on_lost = object.get("on_lost").and_then(|node| node.name(OnLost::ALL, faults));
    match (object.get("respond_within").is_some(), object.get("on_timeout").is_some()) {
        (true, false) => faults.add(&format!("{}.on_timeout", node.path), "is required with respond_within"),
        (false, true) => {
            faults.add(&format!("{}.on_timeout", node.path), "has no respond_within after which it would happen");
        }
        (true, true) | (false, false) => {}
    }
    let gate = GateSpec {
        kind: kind?,
        respond_within: respond_within.map(Wait::Time),
        remind_before: None,
        escalate_within: None,
        // The safe side where the document leaves it open: nothing is cancelled by silence, nothing leaves while somebody is
        // asked, and what got lost is for people to judge.
        on_timeout: on_timeout.unwrap_or(OnTimeout::Refuse),
        on_dispatch: on_dispatch.unwrap_or(OnDispatch::Bar),
        on_lost: on_lost.unwrap_or(OnLost::Escalate),
    };
    if gate.kind.is_consent() && object.get("respond_within").is_none() {
        let description = format!("is required: {} may stay silent for ever", gate.kind.party());
        faults.add(&format!("{}.respond_within", node.path), description);
    }
    check_gate(node, &gate, faults);
    Some(gate)
}

/// Which defaults make no sense for which gate.
fn check_gate(node: &Node<'_>, gate: &GateSpec, faults: &mut Faults) {
    if gate.on_timeout == OnTimeout::Pass && !gate.kind.is_consent() {
        let description = format!("must be REFUSE or ESCALATE: nobody's silence makes {} a fact", gate.kind);
        faults.add(&format!("{}.on_timeout", node.path), description);
    }
    if gate.on_timeout == OnTimeout::Escalate && gate.kind == GateKind::SupportReview {
        let description = "must be PASS or REFUSE: support is whom others escalate to";
        faults.add(&format!("{}.on_timeout", node.path), description);
    }
    if gate.kind == GateKind::WarehouseStop && gate.on_dispatch != OnDispatch::Bar {
        faults.add(&format!("{}.on_dispatch", node.path), "must be BAR: a stop is what keeps a shipment in");
    }
}
