//! The rules of a document: what each looks at, and what it answers.

use super::fields::{Faults, Node, Object, distinct};
use super::limits::{CONDITION_ENTRIES_MAX, RULES_MAX};
use super::{Declared, REQUESTERS, gates, next_actions, reach};
use crate::policy::evaluate::VERIFICATION_RULE;
use crate::policy::{AgeBound, Allow, Clock, Condition, Consequence, Deny, Rule};
use crate::shipment::Stage;
use crate::terms::{DenyCode, NextAction, Path, Payer, RefundPlan, RefundShare};

const CONDITION_KEYS: &[&str] = &[
    "actor",
    "stage",
    "path",
    "reason",
    "paid",
    "payment_method",
    "age",
    "value",
    "destination_country",
    "carrier",
    "customs_flagged",
];

pub(super) fn rules(node: &Node<'_>, declared: &Declared, faults: &mut Faults) -> Vec<Rule> {
    let mut rules: Vec<(String, Rule)> = Vec::new();
    let mut seen: Vec<(String, String)> = Vec::new();
    for entry in node.filled_list(RULES_MAX, faults) {
        let faults_before = faults.count();
        let Some(object) = entry.object(&["id", "when", "allow", "deny"], faults) else {
            continue;
        };
        let id = object
            .require("id", faults)
            .and_then(|node| rule_id(&node, &mut seen, &object.path, faults));
        let when = object
            .require("when", faults)
            .and_then(|node| condition(&node, &declared.reasons, faults));
        let then = consequence(&object, declared, faults);
        let rule = id
            .zip(when)
            .zip(then)
            .map(|((id, when), then)| Rule { id, when, then });
        // Half a condition matches more than its author meant and would take its place before rules
        // that are right.
        let is_whole = faults.count() == faults_before;
        rules.extend(rule.filter(|_| is_whole).map(|rule| (entry.path, rule)));
    }
    reach::find_unreachable(&rules, faults);
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// `seen` are the ids so far and where they stand.
fn rule_id(
    node: &Node<'_>,
    seen: &mut Vec<(String, String)>,
    rule: &str,
    faults: &mut Faults,
) -> Option<String> {
    let id = node.rule_id(faults)?;
    if id == VERIFICATION_RULE {
        node.fault(
            "is the name under which Belay itself answers while a payment is verified",
            faults,
        );
    }
    match seen.iter().find(|(earlier, _)| *earlier == id) {
        Some((_, at)) => node.fault(format!("is the id of {at} already"), faults),
        None => seen.push((id.clone(), rule.to_owned())),
    }
    Some(id)
}

fn condition(node: &Node<'_>, declared: &[String], faults: &mut Faults) -> Option<Condition> {
    let object = node.object(CONDITION_KEYS, faults)?;
    let reason = object
        .get("reason")
        .map(|node| reasons(&node, declared, faults));
    let value = object.get("value").and_then(|node| value(&node, faults));
    let (value_at_least, value_less_than) = value.unwrap_or_default();
    let carrier = object
        .get("carrier")
        .and_then(|node| carrier(&node, faults));
    let carrier = carrier.unwrap_or_default();
    Some(Condition {
        actor: each(&object, "actor", faults, |node, faults| {
            node.name(REQUESTERS, faults)
        }),
        stage: each(&object, "stage", faults, |node, faults| {
            node.name(Stage::ALL, faults)
        }),
        path: each(&object, "path", faults, |node, faults| {
            node.name(Path::ALL, faults)
        }),
        reason: reason.unwrap_or_default(),
        paid: object.get("paid").and_then(|node| node.boolean(faults)),
        payment_method: each(&object, "payment_method", faults, Node::code),
        age: object
            .get("age")
            .map(|node| ages(&node, faults))
            .unwrap_or_default(),
        value_at_least,
        value_less_than,
        destination_country: each(&object, "destination_country", faults, Node::country),
        in_transit_cancel: carrier.in_transit_cancel,
        partner_delivery: carrier.partner_delivery,
        return_label: carrier.return_label,
        customs_flagged: object
            .get("customs_flagged")
            .and_then(|node| node.boolean(faults)),
    })
}

/// Reasons that the document declares; one or a list.
pub(super) fn reasons(node: &Node<'_>, declared: &[String], faults: &mut Faults) -> Vec<String> {
    let entries = node.one_or_list(CONDITION_ENTRIES_MAX, faults);
    distinct(&entries, faults, |node, faults| {
        let code = node.code(faults)?;
        if !declared.contains(&code) {
            node.fault(
                format!("is not among the reasons: {code} is not declared"),
                faults,
            );
        }
        Some(code)
    })
}

/// The values under `key`, of which there may be one or a list. None where the key is not there.
fn each<'a, T: PartialEq>(
    object: &Object<'a>,
    key: &str,
    faults: &mut Faults,
    read: impl Fn(&Node<'a>, &mut Faults) -> Option<T>,
) -> Vec<T> {
    let entries = object
        .get(key)
        .map(|node| node.one_or_list(CONDITION_ENTRIES_MAX, faults));
    distinct(&entries.unwrap_or_default(), faults, read)
}

/// At most one window for each clock: two would only be a longer way to write their overlap.
fn ages(node: &Node<'_>, faults: &mut Faults) -> Vec<AgeBound> {
    let mut bounds: Vec<AgeBound> = Vec::new();
    for entry in node.one_or_list(CONDITION_ENTRIES_MAX, faults) {
        let Some(bound) = age(&entry, faults) else {
            continue;
        };
        if bounds.iter().any(|earlier| earlier.clock == bound.clock) {
            entry.fault(format!("must be the only age by {}", bound.clock), faults);
        }
        bounds.push(bound);
    }
    bounds
}

fn age(node: &Node<'_>, faults: &mut Faults) -> Option<AgeBound> {
    let object = node.object(&["clock", "at_least", "less_than"], faults)?;
    let clock = object
        .require("clock", faults)
        .and_then(|node| node.name(Clock::ALL, faults));
    let (at_least, less_than) = window(&object, faults, Node::duration);
    Some(AgeBound {
        clock: clock?,
        at_least,
        less_than,
    })
}

fn value(node: &Node<'_>, faults: &mut Faults) -> Option<(Option<i64>, Option<i64>)> {
    let object = node.object(&["at_least", "less_than"], faults)?;
    Some(window(&object, faults, |node, faults| {
        node.integer(0..=i64::MAX, faults)
    }))
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
    if at_least
        .as_ref()
        .zip(less_than.as_ref())
        .is_some_and(|(from, until)| from >= until)
    {
        faults.add(
            &object.path,
            "matches nothing: at_least must be below less_than",
        );
    }
    (at_least, less_than)
}

/// What a rule asks of the carrier.
#[derive(Debug, Default)]
struct CarrierCondition {
    in_transit_cancel: Option<bool>,
    partner_delivery: Option<bool>,
    return_label: Option<bool>,
}

fn carrier(node: &Node<'_>, faults: &mut Faults) -> Option<CarrierCondition> {
    let keys = ["in_transit_cancel", "partner_delivery", "return_label"];
    let object = node.object(&keys, faults)?;
    if keys.iter().all(|key| object.get(key).is_none()) {
        node.fault(format!("needs one of {}", keys.join(", ")), faults);
    }
    let [in_transit_cancel, partner_delivery, return_label] =
        keys.map(|key| object.get(key).and_then(|node| node.boolean(faults)));
    Some(CarrierCondition {
        in_transit_cancel,
        partner_delivery,
        return_label,
    })
}

fn consequence(rule: &Object<'_>, declared: &Declared, faults: &mut Faults) -> Option<Consequence> {
    let (allow_node, deny_node) = (rule.get("allow"), rule.get("deny"));
    match (&allow_node, &deny_node) {
        (Some(_), Some(_)) => faults.add(&rule.path, "must have allow or deny, not both"),
        (None, None) => faults.add(&rule.path, "needs allow or deny"),
        (Some(_), None) | (None, Some(_)) => {}
    }
    let allowed = allow_node
        .and_then(|node| allow(&node, declared, faults))
        .map(Consequence::Allow);
    let denied = deny_node
        .and_then(|node| deny(&node, faults))
        .map(Consequence::Deny);
    allowed.or(denied)
}

fn deny(node: &Node<'_>, faults: &mut Faults) -> Option<Deny> {
    let object = node.object(&["code", "next_actions"], faults)?;
    let code = object
        .require("code", faults)
        .and_then(|node| node.name(DenyCode::ALL, faults));
    let next_actions = object.get("next_actions").map(|node| {
        let entries = node.list(NextAction::ALL.len(), faults);
        next_actions(&entries, faults)
    });
    Some(Deny {
        code: code?,
        next_actions: next_actions.unwrap_or_default(),
    })
}

fn allow(node: &Node<'_>, declared: &Declared, faults: &mut Faults) -> Option<Allow> {
    let object = node.object(&["gates", "refund"], faults)?;
    let gates = object
        .get("gates")
        .map(|node| gates::gates(&node, faults))
        .unwrap_or_default();
    let refund = object.require("refund", faults)?;
    let plan = plan(&refund, faults);
    if plan.is_some_and(|plan| plan.share == RefundShare::BySchedule) && !declared.has_rates {
        refund.fault(
            "is BY_SCHEDULE, but there are no returns.rates to go by",
            faults,
        );
    }
    Some(Allow {
        gates,
        refund: plan?,
    })
}

/// A share alone, or with who bears which shipping charge.
fn plan(node: &Node<'_>, faults: &mut Faults) -> Option<RefundPlan> {
    if !node.is_mapping() {
        return node.name(RefundShare::ALL, faults).map(RefundPlan::of);
    }
    let object = node.object(&["share", "outbound_shipping", "return_shipping"], faults)?;
    let share = object
        .require("share", faults)
        .and_then(|node| node.name(RefundShare::ALL, faults));
    let [outbound_shipping, return_shipping] =
        ["outbound_shipping", "return_shipping"].map(|key| {
            let node = object.get(key)?;
            if share == Some(RefundShare::None) {
                node.fault("says nothing where nothing comes back", faults);
            }
            node.name(Payer::ALL, faults)
        });
    let usual = RefundPlan::of(share?);
    Some(RefundPlan {
        outbound_shipping: outbound_shipping.unwrap_or(usual.outbound_shipping),
        return_shipping: return_shipping.unwrap_or(usual.return_shipping),
        ..usual
    })
}
