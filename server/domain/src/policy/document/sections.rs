//! The sections of a document around its rules: unpaid orders, verification, preparation, labels,
//! refunds, customs, quality.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::fields::is_country;
use super::gates;
use super::limits::{
    CALENDARS_MAX, CONDITION_ENTRIES_MAX, IDENTICAL_UNITS_MAX, LABEL_CHARS_MAX, QUALITY_DAYS_MAX,
    QUALITY_THRESHOLDS_MAX, WORKING_DAYS_MAX,
};
use super::next_actions;
use crate::calendar::{Calendar, CalendarError, HOLIDAYS_MAX, Weekday};
use crate::document::{Errors, Node, Object, distinct};
use crate::order::OrderState;
use crate::policy::{
    Customs, Notification, Quality, QualityDenominator, QualityNumerator, QualityThreshold,
    RefundDue, Refunds, Rule, ShippingRefund, Unpaid, Verification,
};
use crate::terms::NextAction;

/// The calendar of the countries that have none of their own.
const DEFAULT_CALENDAR: &str = "default";

/// After an immediate refund, where the document does not say: a provider takes its time.
const IMMEDIATE_OVERDUE_AFTER: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn unpaid(node: &Node<'_>, errors: &mut Errors) -> Option<Unpaid> {
    let object = node.object(
        &["expire_after", "in_flight_grace", "pay_again_within"],
        errors,
    )?;
    let expire_after = object
        .require("expire_after", errors)
        .and_then(|node| node.positive_duration(errors));
    let in_flight_grace = object
        .get("in_flight_grace")
        .and_then(|node| node.duration(errors));
    let pay_again_within = object
        .get("pay_again_within")
        .map(|node| node.positive_duration(errors));
    let expire_after = expire_after?;
    Some(Unpaid {
        expire_after,
        in_flight_grace: in_flight_grace.unwrap_or(SignedDuration::ZERO),
        pay_again_within: pay_again_within.unwrap_or(Some(expire_after))?,
    })
}

pub(super) fn verification(node: &Node<'_>, errors: &mut Errors) -> Option<Verification> {
    let object = node.object(&["methods", "wait"], errors)?;
    let methods = object.require("methods", errors).map(|node| {
        let entries = node.filled_list(CONDITION_ENTRIES_MAX, errors);
        distinct(&entries, errors, Node::code)
    });
    let wait = object
        .require("wait", errors)
        .and_then(|node| node.positive_duration(errors));
    Some(Verification {
        methods: methods?,
        wait: wait?,
    })
}

pub(super) fn preparation(node: &Node<'_>, errors: &mut Errors) -> Option<SignedDuration> {
    let object = node.object(&["within"], errors)?;
    object.require("within", errors)?.positive_duration(errors)
}

pub(super) fn notify(node: &Node<'_>, errors: &mut Errors) -> Vec<Notification> {
    let entries = node.list(Notification::ALL.len(), errors);
    distinct(&entries, errors, |entry, errors| {
        entry.name(Notification::ALL, errors)
    })
}

pub(super) fn labels(node: &Node<'_>, errors: &mut Errors) -> BTreeMap<OrderState, String> {
    let names: Vec<&str> = OrderState::ALL.iter().map(|state| state.name()).collect();
    let Some(object) = node.object(&names, errors) else {
        return BTreeMap::new();
    };
    let mut labels = BTreeMap::new();
    for state in OrderState::ALL {
        let label = object
            .get(state.name())
            .and_then(|node| node.text(LABEL_CHARS_MAX, errors));
        labels.extend(label.map(|label| (*state, label)));
    }
    labels
}

/// `rules` may have gates that count working days by the default calendar.
pub(super) fn refunds(
    node: &Node<'_>,
    rules: Option<&[Rule]>,
    errors: &mut Errors,
) -> Option<Refunds> {
    let object = node.object(&["due", "overdue_after", "shipping", "calendars"], errors)?;
    let due = object
        .require("due", errors)
        .and_then(|node| refund_due(&node, errors));
    let overdue_after = object
        .get("overdue_after")
        .and_then(|node| node.duration(errors));
    let shipping = object
        .require("shipping", errors)
        .and_then(|node| node.name(ShippingRefund::ALL, errors));
    let calendars_node = object.get("calendars");
    let mut calendars = calendars_node
        .as_ref()
        .map(|node| calendars(node, errors))
        .unwrap_or_default();
    let counts_days = matches!(due, Some(RefundDue::WorkingDays(_)));
    let gates_count_days = rules.is_some_and(gates::count_days_by_default);
    // A calendar that is there and cannot be read has its own error already.
    let names_default = calendars_node.is_some_and(|node| node.has_key(DEFAULT_CALENDAR));
    if (counts_days || gates_count_days) && !names_default {
        let what = if counts_days {
            "refunds are"
        } else {
            "answers to gates are"
        };
        let path = format!("{}.calendars.{DEFAULT_CALENDAR}", node.path);
        errors.add(
            &path,
            format!("is required, because {what} due in working days"),
        );
    }
    let default_calendar = calendars
        .remove(DEFAULT_CALENDAR)
        .unwrap_or_else(Calendar::monday_to_friday);
    let due = due?;
    let usual = match due {
        RefundDue::Immediate => IMMEDIATE_OVERDUE_AFTER,
        RefundDue::WorkingDays(_) => SignedDuration::ZERO,
    };
    Some(Refunds {
        due,
        overdue_after: overdue_after.unwrap_or(usual),
        shipping: shipping?,
        calendars,
        default_calendar,
    })
}

fn refund_due(node: &Node<'_>, errors: &mut Errors) -> Option<RefundDue> {
    if node.is_text("IMMEDIATE") {
        return Some(RefundDue::Immediate);
    }
    if !node.is_mapping() {
        node.error("must be IMMEDIATE or {working_days: N}", errors);
        return None;
    }
    let object = node.object(&["working_days"], errors)?;
    let days = object
        .require("working_days", errors)?
        .count(1..=WORKING_DAYS_MAX, errors)?;
    Some(RefundDue::WorkingDays(days))
}

fn calendars(node: &Node<'_>, errors: &mut Errors) -> BTreeMap<String, Calendar> {
    let mut calendars = BTreeMap::new();
    for (key, entry) in node.entries(CALENDARS_MAX, errors) {
        if key != DEFAULT_CALENDAR && !is_country(key) {
            let description = format!(
                "must stand under a country of two capital letters, or under {DEFAULT_CALENDAR}"
            );
            entry.error(description, errors);
        }
        calendars.extend(calendar(&entry, errors).map(|calendar| (key.to_owned(), calendar)));
    }
    calendars
}

fn calendar(node: &Node<'_>, errors: &mut Errors) -> Option<Calendar> {
    let object = node.object(&["time_zone", "weekend", "holidays"], errors)?;
    let time_zone = object
        .require("time_zone", errors)
        .and_then(|node| node.time_zone(errors));
    // A region may well work on all seven days, but then the document says so.
    let weekend = object.require("weekend", errors).map(|node| {
        let entries = node.list(Weekday::ALL.len(), errors);
        distinct(&entries, errors, |entry, errors| {
            entry.name(Weekday::ALL, errors)
        })
    });
    let holidays = object.get("holidays").map(|node| {
        let entries = node.list(HOLIDAYS_MAX, errors);
        distinct(&entries, errors, Node::date)
    });
    let holidays: BTreeSet<_> = holidays.unwrap_or_default().into_iter().collect();
    match Calendar::new(time_zone?, weekend?.into_iter().collect(), holidays) {
        Ok(calendar) => Some(calendar),
        Err(error) => {
            let key = match error {
                CalendarError::NoWorkingDay => "weekend",
                CalendarError::TooManyHolidays(_) => "holidays",
            };
            errors.add(&format!("{}.{key}", node.path), error.to_string());
            None
        }
    }
}

pub(super) fn customs(node: &Node<'_>, errors: &mut Errors) -> Option<Customs> {
    let object = node.object(
        &["identical_units_max", "own_delivery", "partner_delivery"],
        errors,
    )?;
    let units = object.require("identical_units_max", errors);
    let identical_units_max = units.and_then(|node| node.count(1..=IDENTICAL_UNITS_MAX, errors));
    let own_delivery = remedies(&object, "own_delivery", errors);
    let partner_delivery = remedies(&object, "partner_delivery", errors);
    Some(Customs {
        identical_units_max: identical_units_max?,
        own_delivery: own_delivery?,
        partner_delivery: partner_delivery?,
    })
}

fn remedies(customs: &Object<'_>, key: &str, errors: &mut Errors) -> Option<Vec<NextAction>> {
    let entries = customs
        .require(key, errors)?
        .filled_list(NextAction::ALL.len(), errors);
    Some(next_actions(&entries, errors))
}

pub(super) fn quality(node: &Node<'_>, errors: &mut Errors) -> Option<Quality> {
    let object = node.object(
        &[
            "numerator",
            "denominator",
            "window_days",
            "lag_days",
            "thresholds",
        ],
        errors,
    )?;
    let numerator = object
        .require("numerator", errors)
        .and_then(|node| node.name(QualityNumerator::ALL, errors));
    let denominator = object
        .require("denominator", errors)
        .and_then(|node| node.name(QualityDenominator::ALL, errors));
    let window = object.require("window_days", errors);
    let window_days = window.and_then(|node| node.count(1..=QUALITY_DAYS_MAX, errors));
    let lag_days = object
        .get("lag_days")
        .and_then(|node| node.count(0..=QUALITY_DAYS_MAX, errors));
    let thresholds = object
        .get("thresholds")
        .map(|node| thresholds(&node, errors));
    Some(Quality {
        numerator: numerator?,
        denominator: denominator?,
        window_days: window_days?,
        lag_days: lag_days.unwrap_or(0),
        thresholds: thresholds.unwrap_or_default(),
    })
}

/// Each is crossed after the one before it.
fn thresholds(node: &Node<'_>, errors: &mut Errors) -> Vec<QualityThreshold> {
    let mut thresholds: Vec<QualityThreshold> = Vec::new();
    for entry in node.list(QUALITY_THRESHOLDS_MAX, errors) {
        let Some(object) = entry.object(&["name", "percent"], errors) else {
            continue;
        };
        let name = object
            .require("name", errors)
            .and_then(|node| node.code(errors));
        let percent = object
            .require("percent", errors)
            .and_then(|node| node.count(1..=100, errors));
        let Some((name, percent)) = name.zip(percent) else {
            continue;
        };
        if thresholds.iter().any(|earlier| earlier.name == name) {
            errors.add(&format!("{}.name", entry.path), "stands here twice");
        }
        if let Some(earlier) = thresholds
            .last()
            .filter(|earlier| earlier.percent >= percent)
        {
            let description = format!(
                "must be above the {} of {}: thresholds ascend",
                earlier.percent, earlier.name
            );
            errors.add(&format!("{}.percent", entry.path), description);
        }
        thresholds.push(QualityThreshold { name, percent });
    }
    thresholds
}
