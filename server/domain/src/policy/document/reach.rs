//! Finds rules and rates that can never match, because an earlier one matches all that they match.
//! The first match wins, so such a one is a mistake of its author, most often of order.
//!
//! One earlier rule is compared with one later rule. What several earlier rules take away together
//! is not looked for.

use crate::document::Errors;
use crate::policy::{AgeBound, Condition, ReturnRate, Rule};

/// Each rate with where it stands.
pub(super) fn find_unreachable_rates(rates: &[(String, ReturnRate)], errors: &mut Errors) {
    for (index, (path, rate)) in rates.iter().enumerate() {
        if let Some((at, _)) = rates
            .iter()
            .take(index)
            .find(|(_, earlier)| covers_rate(earlier, rate))
        {
            errors.add(
                path,
                format!("can never match: {at} comes first and matches all of it"),
            );
        }
    }
}

fn covers_rate(earlier: &ReturnRate, later: &ReturnRate) -> bool {
    covers_until(earlier.received_within, later.received_within)
        && covers_list(&earlier.condition, &later.condition)
        && covers_list(&earlier.reason, &later.reason)
}

/// Each rule with where it stands.
pub(super) fn find_unreachable(rules: &[(String, Rule)], errors: &mut Errors) {
    for (index, (path, rule)) in rules.iter().enumerate() {
        let earlier = rules
            .iter()
            .take(index)
            .find(|(_, earlier)| covers(&earlier.when, &rule.when));
        if let Some((_, earlier)) = earlier {
            errors.add(
                path,
                format!(
                    "can never match: {} comes first and matches all of it",
                    earlier.id
                ),
            );
        }
    }
}

/// Whether `earlier` matches whatever `later` matches.
fn covers(earlier: &Condition, later: &Condition) -> bool {
    covers_list(&earlier.actor, &later.actor)
        && covers_list(&earlier.stage, &later.stage)
        && covers_list(&earlier.path, &later.path)
        && covers_list(&earlier.reason, &later.reason)
        && covers_flag(earlier.paid, later.paid)
        && covers_list(&earlier.payment_method, &later.payment_method)
        && earlier
            .age
            .iter()
            .all(|bound| later.age.iter().any(|other| covers_age(bound, other)))
        && covers_from(earlier.value_at_least, later.value_at_least)
        && covers_until(earlier.value_less_than, later.value_less_than)
        && covers_list(&earlier.destination_country, &later.destination_country)
        && covers_flag(earlier.in_transit_cancel, later.in_transit_cancel)
        && covers_flag(earlier.partner_delivery, later.partner_delivery)
        && covers_flag(earlier.return_label, later.return_label)
        && covers_flag(earlier.customs_flagged, later.customs_flagged)
}

/// An empty list matches everything.
fn covers_list<T: PartialEq>(earlier: &[T], later: &[T]) -> bool {
    earlier.is_empty() || (!later.is_empty() && later.iter().all(|value| earlier.contains(value)))
}

fn covers_flag(earlier: Option<bool>, later: Option<bool>) -> bool {
    earlier.is_none() || earlier == later
}

fn covers_age(earlier: &AgeBound, later: &AgeBound) -> bool {
    earlier.clock == later.clock
        && covers_from(earlier.at_least, later.at_least)
        && covers_until(earlier.less_than, later.less_than)
}

fn covers_from<T: PartialOrd>(earlier: Option<T>, later: Option<T>) -> bool {
    earlier.is_none_or(|from| later.is_some_and(|later| from <= later))
}

fn covers_until<T: PartialOrd>(earlier: Option<T>, later: Option<T>) -> bool {
    earlier.is_none_or(|until| later.is_some_and(|later| later <= until))
}
