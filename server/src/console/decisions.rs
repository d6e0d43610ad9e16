//! Past decisions: what the policy was asked, which rules did not match and by which condition, and
//! the one that did.

use belay_proto::v1 as pb;
use maud::{Markup, html};

use super::rules::Rules;
use super::visitor::Visitor;
use super::words::{self, chip, word};
use super::{facts, page, parts};

/// The latest first.
pub(super) fn all(
    visitor: &Visitor,
    store: &str,
    decisions: &[pb::PolicyDecision],
    rules: &Rules,
) -> Markup {
    if decisions.is_empty() {
        return html! { p class="none" { "No decision on this order is on record." } };
    }
    html! { @for of in decisions { (decision(visitor, store, of, rules)) } }
}

fn decision(visitor: &Visitor, store: &str, of: &pb::PolicyDecision, rules: &Rules) -> Markup {
    let verdict = if of.accepted { "accepted" } else { "rejected" };
    html! {
        article aria-label=(format!("Decision on request {}", of.request_id)) {
            h3 { (words::time(of.decision_time.as_ref())) " " (chip(verdict)) }
            (page::facts(&[
                ("For", html! { (words::actor(of.caller.as_ref())) }),
                ("Request", html! { code { (of.request_id) } }),
                ("Rejected because", html! { (of.rejected_reason) }),
            ]))
            @if of.earlier_format {
                p class="none" { "An earlier release recorded it, in a form that is not read any more." }
            }
            @for evaluation in &of.evaluations { (self::evaluation(visitor, store, evaluation, rules)) }
        }
    }
}

fn evaluation(visitor: &Visitor, store: &str, of: &pb::PolicyEvaluation, rules: &Rules) -> Markup {
    let columns = [
        "Path",
        "Answer",
        "Rule",
        "Rules before it that did not match",
        "Asked",
        "Waits for",
        "#Refund",
        "Turns",
    ];
    let rows = of
        .paths
        .iter()
        .map(|path| row(visitor, store, of.policy_version, path, rules));
    let rows: Vec<Markup> = rows.collect();
    let untried: Vec<String> = of.untried_paths().map(parts::path).collect();
    let occasion = word(of.occasion().as_str_name(), "POLICY_OCCASION_");
    html! {
        p {
            "Shipment " (of.shipment_id) ": " (words::quantities(&of.contents))
            "; " (occasion) ", version " (of.policy_version)
        }
        (page::table(&format!("What was asked about {}", of.shipment_id), &columns, &rows))
        @if !untried.is_empty() { p class="note" { "Not asked about: " (untried.join(", ")) } }
    }
}

fn row(
    visitor: &Visitor,
    store: &str,
    version: i32,
    path: &pb::EvaluatedPath,
    rules: &Rules,
) -> Markup {
    let answer = path.answer.clone().unwrap_or_default();
    let question = path.question.clone().unwrap_or_default();
    let asked = facts::joined(&visitor.facts().of("PolicyQuestion", &question));
    html! {
        th scope="row" { (parts::path(answer.path())) }
        td {
            (words::verdict(answer.allowed))
            @if !answer.denied_reason.is_empty() { " " code { (answer.denied_reason) } }
        }
        td { (rules.told(store, version, &answer.rule)) }
        td { (passed_over(store, version, path)) }
        td class="facts" { (words::or_nothing(&asked)) }
        td { (parts::gates_to_come(&answer.gates, None)) }
        td class="number" { (words::money(answer.refund.as_ref())) }
        td { (words::time(path.turn_time.as_ref())) }
    }
}

fn passed_over(store: &str, version: i32, path: &pb::EvaluatedPath) -> Markup {
    if path.passed_over.is_empty() {
        return html! { (words::NOTHING) };
    }
    let unmet = |rule: &pb::PassedOverRule| {
        let unmet = rule.unmet.iter().map(|unmet| {
            let condition = word(unmet.condition().as_str_name(), "POLICY_CONDITION_");
            format!("{condition} is not {}", unmet.wanted)
        });
        unmet.collect::<Vec<_>>().join("; ")
    };
    html! {
        ul class="plain" {
            @for rule in &path.passed_over {
                li { (parts::rule(store, version, &rule.rule)) ": " (unmet(rule)) }
            }
            @if path.passed_over_left_out > 0 { li { "and " (path.passed_over_left_out) " more" } }
        }
    }
}
