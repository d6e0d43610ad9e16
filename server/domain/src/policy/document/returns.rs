//! The section about goods that come back: what is paid for them, and what a buyer is told who gets
//! no label.

use super::limits::{CONDITION_ENTRIES_MAX, RETURN_RATES_MAX, WITHOUT_LABEL_CHARS_MAX};
use super::{reach, rules};
use crate::document::{Errors, Node, Object, distinct};
use crate::policy::{ReturnRate, Returns};
use crate::terms::GoodsCondition;

/// `declared` are the reasons that a rate may name.
pub(super) fn returns(
    node: &Node<'_>,
    declared: &[String],
    errors: &mut Errors,
) -> Option<Returns> {
    let object = node.object(&["rates", "without_label"], errors)?;
    let rates = object
        .get("rates")
        .map(|node| rates(&node, declared, errors));
    let without_label = object
        .get("without_label")
        .and_then(|node| node.text(WITHOUT_LABEL_CHARS_MAX, errors));
    Some(Returns {
        rates: rates.unwrap_or_default(),
        without_label: without_label.unwrap_or_default(),
    })
}

fn rates(node: &Node<'_>, declared: &[String], errors: &mut Errors) -> Vec<ReturnRate> {
    let entries = node.filled_list(RETURN_RATES_MAX, errors);
    let last = entries.len().saturating_sub(1);
    let mut rates: Vec<(String, ReturnRate)> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let Some(object) = entry.object(
            &["received_within", "condition", "reason", "percent"],
            errors,
        ) else {
            continue;
        };
        let names_any = ["received_within", "condition", "reason"]
            .iter()
            .any(|key| object.get(key).is_some());
        if index == last && names_any {
            entry.error(
                "must have percent only: the last rate is for whatever comes back otherwise",
                errors,
            );
        }
        let errors_before = errors.count();
        let rate = rate(&object, declared, errors);
        // As with rules: half a rate matches more than its author meant.
        let is_whole = errors.count() == errors_before;
        rates.extend(rate.filter(|_| is_whole).map(|rate| (entry.path, rate)));
    }
    reach::find_unreachable_rates(&rates, errors);
    rates.into_iter().map(|(_, rate)| rate).collect()
}

fn rate(object: &Object<'_>, declared: &[String], errors: &mut Errors) -> Option<ReturnRate> {
    let received_within = object
        .get("received_within")
        .and_then(|node| node.positive_duration(errors));
    let condition = object.get("condition").map(|node| {
        let entries = node.one_or_list(CONDITION_ENTRIES_MAX, errors);
        distinct(&entries, errors, |entry, errors| {
            entry.name(GoodsCondition::ALL, errors)
        })
    });
    let reason = object
        .get("reason")
        .map(|node| rules::reasons(&node, declared, errors));
    let percent = object
        .require("percent", errors)
        .and_then(|node| node.count(0..=100, errors));
    Some(ReturnRate {
        received_within,
        condition: condition.unwrap_or_default(),
        reason: reason.unwrap_or_default(),
        percent: percent?,
    })
}
