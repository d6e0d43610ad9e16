//! The rules of a document: what each looks at, and what it answers.

use super::limits::{CONDITION_ENTRIES_MAX, RULES_MAX};
use super::{Declared, REQUESTERS, gates, next_actions, reach};
use crate::document::{Errors, Node, Object, distinct};
use crate::policy::evaluate::VERIFICATION_RULE;
use crate::policy::{AgeBound, AgeClock, Allow, Condition, Consequence, Deny, Rule};
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

pub(super) fn rules(node: &Node<'_>, declared: &Declared, errors: &mut Errors) -> Vec<Rule> {
    let mut rules: Vec<(String, Rule)> = Vec::new();
    let mut seen: Vec<(String, String)> = Vec::new();
    for entry in node.filled_list(RULES_MAX, errors) {
        let errors_before = errors.count();
        let Some(object) = entry.object(&["id", "when", "allow", "deny"], errors) else {
            continue;
        };
        let id = object
            .require("id", errors)
            .and_then(|node| rule_id(&node, &mut seen, &object.path, errors));
        let when = object
            .require("when", errors)
            .and_then(|node| condition(&node, &declared.reasons, errors));
        let then = consequence(&object, declared, errors);
        let rule = id
            .zip(when)
            .zip(then)
            .map(|((id, when), then)| Rule { id, when, then });
        // Half a condition matches more than its author meant and would take its place before rules
        // that are right.
        let is_whole = errors.count() == errors_before;
        rules.extend(rule.filter(|_| is_whole).map(|rule| (entry.path, rule)));
    }
    reach::find_unreachable(&rules, errors);
    rules.into_iter().map(|(_, rule)| rule).collect()
}

/// `seen` are the ids so far and where they stand.
fn rule_id(
    node: &Node<'_>,
    seen: &mut Vec<(String, String)>,
    rule: &str,
    errors: &mut Errors,
) -> Option<String> {
    let id = node.rule_id(errors)?;
    if id == VERIFICATION_RULE {
        node.error(
            "is the name under which Belay itself answers while a payment is verified",
            errors,
        );
    }
    match seen.iter().find(|(earlier, _)| *earlier == id) {
        Some((_, at)) => node.error(format!("is the id of {at} already"), errors),
        None => seen.push((id.clone(), rule.to_owned())),
    }
    Some(id)
}

fn condition(node: &Node<'_>, declared: &[String], errors: &mut Errors) -> Option<Condition> {
    let object = node.object(CONDITION_KEYS, errors)?;
    let reason = object
        .get("reason")
        .map(|node| reasons(&node, declared, errors));
    let value = object.get("value").and_then(|node| value(&node, errors));
    let (value_at_least, value_less_than) = value.unwrap_or_default();
    let carrier = object
        .get("carrier")
        .and_then(|node| carrier(&node, errors));
    let carrier = carrier.unwrap_or_default();
    Some(Condition {
        actor: each(&object, "actor", errors, |node, errors| {
            node.name(REQUESTERS, errors)
        }),
        stage: each(&object, "stage", errors, |node, errors| {
            node.name(Stage::ALL, errors)
        }),
        path: each(&object, "path", errors, |node, errors| {
            node.name(Path::ALL, errors)
        }),
        reason: reason.unwrap_or_default(),
        paid: object.get("paid").and_then(|node| node.boolean(errors)),
        payment_method: each(&object, "payment_method", errors, Node::code),
        age: object
            .get("age")
            .map(|node| ages(&node, errors))
            .unwrap_or_default(),
        value_at_least,
        value_less_than,
        destination_country: each(&object, "destination_country", errors, Node::country),
        in_transit_cancel: carrier.in_transit_cancel,
        partner_delivery: carrier.partner_delivery,
        return_label: carrier.return_label,
        customs_flagged: object
            .get("customs_flagged")
            .and_then(|node| node.boolean(errors)),
    })
}

/// Reasons that the document declares; one or a list.
pub(super) fn reasons(node: &Node<'_>, declared: &[String], errors: &mut Errors) -> Vec<String> {
    let entries = node.one_or_list(CONDITION_ENTRIES_MAX, errors);
    distinct(&entries, errors, |node, errors| {
        let code = node.code(errors)?;
        if !declared.contains(&code) {
            node.error(
                format!("is not among the reasons: {code} is not declared"),
                errors,
            );
        }
        Some(code)
    })
}

/// The values under `key`, of which there may be one or a list. None where the key is not there.
fn each<'a, T: PartialEq>(
    object: &Object<'a>,
    key: &str,
    errors: &mut Errors,
    read: impl Fn(&Node<'a>, &mut Errors) -> Option<T>,
) -> Vec<T> {
    let entries = object
        .get(key)
        .map(|node| node.one_or_list(CONDITION_ENTRIES_MAX, errors));
    distinct(&entries.unwrap_or_default(), errors, read)
}

/// At most one window for each clock: two would only be a longer way to write their overlap.
fn ages(node: &Node<'_>, errors: &mut Errors) -> Vec<AgeBound> {
    let mut bounds: Vec<AgeBound> = Vec::new();
    for entry in node.one_or_list(CONDITION_ENTRIES_MAX, errors) {
        let Some(bound) = age(&entry, errors) else {
            continue;
        };
        if bounds.iter().any(|earlier| earlier.clock == bound.clock) {
            entry.error(format!("must be the only age by {}", bound.clock), errors);
        }
        bounds.push(bound);
    }
    bounds
}

fn age(node: &Node<'_>, errors: &mut Errors) -> Option<AgeBound> {
    let object = node.object(&["clock", "at_least", "less_than"], errors)?;
    let clock = object
        .require("clock", errors)
        .and_then(|node| node.name(AgeClock::ALL, errors));
    let (at_least, less_than) = window(&object, errors, Node::duration);
    Some(AgeBound {
        clock: clock?,
        at_least,
        less_than,
    })
}

fn value(node: &Node<'_>, errors: &mut Errors) -> Option<(Option<i64>, Option<i64>)> {
    let object = node.object(&["at_least", "less_than"], errors)?;
    Some(window(&object, errors, |node, errors| {
        node.integer(0..=i64::MAX, errors)
    }))
}

/// `at_least` and `less_than`, one of which must be there, and between which something must lie.
fn window<'a, T: PartialOrd>(
    object: &Object<'a>,
    errors: &mut Errors,
    read: impl Fn(&Node<'a>, &mut Errors) -> Option<T>,
) -> (Option<T>, Option<T>) {
    let (from, until) = (object.get("at_least"), object.get("less_than"));
    if from.is_none() && until.is_none() {
        errors.add(&object.path, "needs at_least or less_than");
    }
    let at_least = from.and_then(|node| read(&node, errors));
    let less_than = until.and_then(|node| read(&node, errors));
    if at_least
        .as_ref()
        .zip(less_than.as_ref())
        .is_some_and(|(from, until)| from >= until)
    {
        errors.add(
            &object.path,
            "matches nothing: at_least must be below less_than",
        );
    }
    (at_least, less_than)
}

/// The condition of a rule on the carrier.
#[derive(Debug, Default)]
struct CarrierCondition {
    in_transit_cancel: Option<bool>,
    partner_delivery: Option<bool>,
    return_label: Option<bool>,
}

fn carrier(node: &Node<'_>, errors: &mut Errors) -> Option<CarrierCondition> {
    let keys = ["in_transit_cancel", "partner_delivery", "return_label"];
    let object = node.object(&keys, errors)?;
    if keys.iter().all(|key| object.get(key).is_none()) {
        node.error(format!("needs one of {}", keys.join(", ")), errors);
    }
    let [in_transit_cancel, partner_delivery, return_label] =
        keys.map(|key| object.get(key).and_then(|node| node.boolean(errors)));
    Some(CarrierCondition {
        in_transit_cancel,
        partner_delivery,
        return_label,
    })
}

fn consequence(rule: &Object<'_>, declared: &Declared, errors: &mut Errors) -> Option<Consequence> {
    let (allow_node, deny_node) = (rule.get("allow"), rule.get("deny"));
    match (&allow_node, &deny_node) {
        (Some(_), Some(_)) => errors.add(&rule.path, "must have allow or deny, not both"),
        (None, None) => errors.add(&rule.path, "needs allow or deny"),
        (Some(_), None) | (None, Some(_)) => {}
    }
    let allowed = allow_node
        .and_then(|node| allow(&node, declared, errors))
        .map(Consequence::Allow);
    let denied = deny_node
        .and_then(|node| deny(&node, errors))
        .map(Consequence::Deny);
    allowed.or(denied)
}

fn deny(node: &Node<'_>, errors: &mut Errors) -> Option<Deny> {
    let object = node.object(&["code", "next_actions"], errors)?;
    let code = object
        .require("code", errors)
        .and_then(|node| node.name(DenyCode::ALL, errors));
    let next_actions = object.get("next_actions").map(|node| {
        let entries = node.list(NextAction::ALL.len(), errors);
        next_actions(&entries, errors)
    });
    Some(Deny {
        code: code?,
        next_actions: next_actions.unwrap_or_default(),
    })
}

fn allow(node: &Node<'_>, declared: &Declared, errors: &mut Errors) -> Option<Allow> {
    let object = node.object(&["gates", "refund"], errors)?;
    let gates = object
        .get("gates")
        .map(|node| gates::gates(&node, errors))
        .unwrap_or_default();
    let refund = object.require("refund", errors)?;
    let plan = plan(&refund, errors);
    if plan.is_some_and(|plan| plan.share == RefundShare::BySchedule) && !declared.has_rates {
        refund.error(
            "is BY_SCHEDULE, but there are no returns.rates to go by",
            errors,
        );
    }
    Some(Allow {
        gates,
        refund: plan?,
    })
}

/// A share alone, or with who bears which shipping charge.
fn plan(node: &Node<'_>, errors: &mut Errors) -> Option<RefundPlan> {
    if !node.is_mapping() {
        return node.name(RefundShare::ALL, errors).map(RefundPlan::of);
    }
    let object = node.object(&["share", "outbound_shipping", "return_shipping"], errors)?;
    let share = object
        .require("share", errors)
        .and_then(|node| node.name(RefundShare::ALL, errors));
    let [outbound_shipping, return_shipping] =
        ["outbound_shipping", "return_shipping"].map(|key| {
            let node = object.get(key)?;
            if share == Some(RefundShare::None) {
                node.error("says nothing where nothing comes back", errors);
            }
            node.name(Payer::ALL, errors)
        });
    let usual = RefundPlan::of(share?);
    Some(RefundPlan {
        outbound_shipping: outbound_shipping.unwrap_or(usual.outbound_shipping),
        return_shipping: return_shipping.unwrap_or(usual.return_shipping),
        ..usual
    })
}
