//! The sections of a document that are about time and money: unpaid orders, verification, preparation, labels, refunds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::fields::{Faults, Node, distinct, is_country};
use super::limits::{CALENDARS_MAX, CONDITION_ENTRIES_MAX, HOLIDAYS_MAX, LABEL_CHARS_MAX, WORKING_DAYS_MAX};
use crate::order::OrderState;
use crate::policy::calendar::{Calendar, CalendarError, Weekday};
use crate::policy::{RefundDue, Refunds, ShippingRefund, Unpaid, Verification};

/// The calendar of the countries that have none of their own.
const DEFAULT_CALENDAR: &str = "default";

pub(super) fn unpaid(node: &Node<'_>, faults: &mut Faults) -> Option<Unpaid> {
    let object = node.object(&["expire_after", "in_flight_grace"], faults)?;
    let expire_after = object.require("expire_after", faults).and_then(|node| node.positive_duration(faults));
    let in_flight_grace = object.get("in_flight_grace").and_then(|node| node.duration(faults));
    Some(Unpaid { expire_after: expire_after?, in_flight_grace: in_flight_grace.unwrap_or(SignedDuration::ZERO) })
}

pub(super) fn verification(node: &Node<'_>, faults: &mut Faults) -> Option<Verification> {
    let object = node.object(&["methods", "wait"], faults)?;
    let methods = object.require("methods", faults).map(|node| {
        let entries = node.filled_list(CONDITION_ENTRIES_MAX, faults);
        distinct(&entries, faults, Node::code)
    });
    let wait = object.require("wait", faults).and_then(|node| node.positive_duration(faults));
    Some(Verification { methods: methods?, wait: wait? })
}

pub(super) fn preparation(node: &Node<'_>, faults: &mut Faults) -> Option<SignedDuration> {
    let object = node.object(&["within"], faults)?;
    object.require("within", faults)?.positive_duration(faults)
}

pub(super) fn labels(node: &Node<'_>, faults: &mut Faults) -> BTreeMap<OrderState, String> {
    let names: Vec<&str> = OrderState::ALL.iter().map(|state| state.name()).collect();
    let Some(object) = node.object(&names, faults) else { return BTreeMap::new() };
    let mut labels = BTreeMap::new();
    for state in OrderState::ALL {
        let label = object.get(state.name()).and_then(|node| node.text(LABEL_CHARS_MAX, faults));
        labels.extend(label.map(|label| (*state, label)));
    }
    labels
}

pub(super) fn refunds(node: &Node<'_>, faults: &mut Faults) -> Option<Refunds> {
    let object = node.object(&["due", "shipping", "calendars"], faults)?;
    let due = object.require("due", faults).and_then(|node| refund_due(&node, faults));
    let shipping = object.require("shipping", faults).and_then(|node| node.name(ShippingRefund::ALL, faults));
    let calendars_node = object.get("calendars");
    let mut calendars = calendars_node.as_ref().map(|node| calendars(node, faults)).unwrap_or_default();
    let counts_days = matches!(due, Some(RefundDue::WorkingDays(_)));
    // A calendar that is there and cannot be read has its own fault already.
    let names_default = calendars_node.is_some_and(|node| node.has_key(DEFAULT_CALENDAR));
    if counts_days && !names_default {
        let path = format!("{}.calendars.{DEFAULT_CALENDAR}", node.path);
        faults.add(&path, "is required, because refunds are due in working days");
    }
    let default_calendar = calendars.remove(DEFAULT_CALENDAR).unwrap_or_else(Calendar::monday_to_friday);
    Some(Refunds {
        due: due?,
        overdue_after: SignedDuration::from_hours(24),
        shipping: shipping?,
        calendars,
        default_calendar,
    })
}

fn refund_due(node: &Node<'_>, faults: &mut Faults) -> Option<RefundDue> {
    if node.is_text("IMMEDIATE") {
        return Some(RefundDue::Immediate);
    }
    if !node.is_mapping() {
        node.fault("must be IMMEDIATE or {working_days: N}", faults);
        return None;
    }
    let object = node.object(&["working_days"], faults)?;
    let range = 1..=i64::from(WORKING_DAYS_MAX);
    let days = object.require("working_days", faults)?.integer(range, faults)?;
    u32::try_from(days).ok().map(RefundDue::WorkingDays)
}

fn calendars(node: &Node<'_>, faults: &mut Faults) -> BTreeMap<String, Calendar> {
    let mut calendars = BTreeMap::new();
    for (key, entry) in node.entries(CALENDARS_MAX, faults) {
        if key != DEFAULT_CALENDAR && !is_country(key) {
            let description = format!("must stand under a country of two capital letters, or under {DEFAULT_CALENDAR}");
            entry.fault(description, faults);
        }
        calendars.extend(calendar(&entry, faults).map(|calendar| (key.to_owned(), calendar)));
    }
    calendars
}

fn calendar(node: &Node<'_>, faults: &mut Faults) -> Option<Calendar> {
    let object = node.object(&["time_zone", "weekend", "holidays"], faults)?;
    let time_zone = object.require("time_zone", faults).and_then(|node| node.time_zone(faults));
    // A region may well work on all seven days, but then the document says so.
    let weekend = object.require("weekend", faults).map(|node| {
        let entries = node.list(Weekday::ALL.len(), faults);
        distinct(&entries, faults, |entry, faults| entry.name(Weekday::ALL, faults))
    });
    let holidays = object.get("holidays").map(|node| {
        let entries = node.list(HOLIDAYS_MAX, faults);
        distinct(&entries, faults, Node::date)
    });
    let holidays: BTreeSet<_> = holidays.unwrap_or_default().into_iter().collect();
    match Calendar::new(time_zone?, weekend?.into_iter().collect(), holidays) {
        Ok(calendar) => Some(calendar),
        Err(error) => {
            let key = match error {
                CalendarError::NoWorkingDay => "weekend",
                CalendarError::TooManyHolidays(_) => "holidays",
            };
            faults.add(&format!("{}.{key}", node.path), error.to_string());
            None
        }
    }
}
