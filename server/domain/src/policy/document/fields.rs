//! Reads the values of the policy language.

use std::ops::RangeInclusive;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde_json::Value;

use super::limits::{CALENDAR_DAYS_MAX, CODE_CHARS_MAX, DURATION_MAX, WORKING_DAYS_MAX};
use crate::document::{Errors, Node, child, quoted};
use crate::period::Period;

impl<'a> Node<'a> {
    /// A mapping whose keys are data.
    pub(super) fn entries(&self, max: usize, errors: &mut Errors) -> Vec<(&'a str, Node<'a>)> {
        let Value::Object(entries) = self.value else {
            self.wrong_type("a mapping", errors);
            return Vec::new();
        };
        if entries.len() > max {
            self.error(
                format!("may have at most {max} entries, has {}", entries.len()),
                errors,
            );
            return Vec::new();
        }
        entries
            .iter()
            .map(|(key, value)| {
                (
                    key.as_str(),
                    Node {
                        path: child(&self.path, key),
                        value,
                    },
                )
            })
            .collect()
    }

    /// One value, or a list of them with something in it.
    pub(super) fn one_or_list(&self, max: usize, errors: &mut Errors) -> Vec<Node<'a>> {
        match self.value {
            Value::Array(_) => self.filled_list(max, errors),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => {
                vec![Node {
                    path: self.path.clone(),
                    value: self.value,
                }]
            }
        }
    }

    /// Something to read for people.
    pub(super) fn text(&self, chars_max: usize, errors: &mut Errors) -> Option<String> {
        let text = self.raw_text("a text", errors)?;
        let chars = text.chars().count();
        if text.trim().is_empty() {
            self.error("must not be empty", errors);
        } else if chars > chars_max {
            self.error(
                format!("may have at most {chars_max} characters, has {chars}"),
                errors,
            );
        } else if text.chars().any(|c| c.is_control() && c != '\n') {
            self.error("must not hold control characters", errors);
        } else {
            return Some(text.to_owned());
        }
        None
    }

    /// `[A-Z][A-Z0-9_]{0,62}`: reasons, payment methods.
    pub(super) fn code(&self, errors: &mut Errors) -> Option<String> {
        let text = self.raw_text("a code such as NO_LONGER_WANTED", errors)?;
        let is_rest = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        self.patterned(
            text,
            "[A-Z][A-Z0-9_]{0,62}",
            |c| c.is_ascii_uppercase(),
            is_rest,
            errors,
        )
    }

    /// `[a-z][a-z0-9-]{0,62}`: rules.
    pub(super) fn rule_id(&self, errors: &mut Errors) -> Option<String> {
        let text = self.raw_text("an id such as before-dispatch", errors)?;
        let is_rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        self.patterned(
            text,
            "[a-z][a-z0-9-]{0,62}",
            |c| c.is_ascii_lowercase(),
            is_rest,
            errors,
        )
    }

    fn patterned(
        &self,
        text: &str,
        pattern: &str,
        is_first: impl Fn(char) -> bool,
        is_rest: impl Fn(char) -> bool,
        errors: &mut Errors,
    ) -> Option<String> {
        let is_well_formed =
            text.starts_with(is_first) && text.chars().all(is_rest) && text.len() <= CODE_CHARS_MAX;
        if !is_well_formed {
            self.error(
                format!("must look like {pattern}; found {}", quoted(text)),
                errors,
            );
        }
        is_well_formed.then(|| text.to_owned())
    }

    /// An ISO 3166-1 alpha-2 code, by its looks.
    pub(super) fn country(&self, errors: &mut Errors) -> Option<String> {
        let text = self.raw_text("a country such as DE", errors)?;
        let is_country = is_country(text);
        if !is_country {
            self.error(
                format!(
                    "must be a country of two capital letters; found {}",
                    quoted(text)
                ),
                errors,
            );
        }
        is_country.then(|| text.to_owned())
    }

    pub(super) fn integer(&self, range: RangeInclusive<i64>, errors: &mut Errors) -> Option<i64> {
        let Some(integer) = self.value.as_i64() else {
            self.wrong_type(
                &format!("a whole number from {} to {}", range.start(), range.end()),
                errors,
            );
            return None;
        };
        if !range.contains(&integer) {
            let description = format!(
                "must be from {} to {}; found {integer}",
                range.start(),
                range.end()
            );
            self.error(description, errors);
            return None;
        }
        Some(integer)
    }

    /// A whole number of things.
    pub(super) fn count(&self, range: RangeInclusive<u32>, errors: &mut Errors) -> Option<u32> {
        let integer = self.integer(i64::from(*range.start())..=i64::from(*range.end()), errors)?;
        u32::try_from(integer).ok()
    }

    /// A length of time that may be none at all.
    pub(super) fn duration(&self, errors: &mut Errors) -> Option<SignedDuration> {
        static PARSER: SpanParser = SpanParser::new();
        const WANTED: &str = "a duration such as 24h, 20d, 90m or 36h30m";
        let text = self.raw_text(WANTED, errors)?;
        let Ok(span) = PARSER.parse_span(text) else {
            self.error(format!("must be {WANTED}; found {}", quoted(text)), errors);
            return None;
        };
        // A month has no length of its own; weeks and fractions of seconds only give one length
        // many spellings.
        let coarse = [
            i32::from(span.get_years()),
            span.get_months(),
            span.get_weeks(),
        ]
        .iter()
        .any(|n| *n != 0);
        let fine = [
            span.get_milliseconds(),
            span.get_microseconds(),
            span.get_nanoseconds(),
        ]
        .iter()
        .any(|n| *n != 0);
        let duration = duration_of(span).filter(|_| !coarse && !fine);
        match duration {
            None => self.error(
                format!("must be in d, h, m and s; found {}", quoted(text)),
                errors,
            ),
            Some(duration) if duration.is_negative() => self.error("must not be negative", errors),
            Some(duration) if duration > DURATION_MAX => {
                let days = DURATION_MAX.as_hours() / 24;
                self.error(
                    format!("may be at most {days}d; found {}", quoted(text)),
                    errors,
                );
            }
            Some(_) => return duration,
        }
        None
    }

    pub(super) fn positive_duration(&self, errors: &mut Errors) -> Option<SignedDuration> {
        let duration = self.duration(errors)?;
        if duration.is_zero() {
            self.error("must be longer than nothing", errors);
        }
        (!duration.is_zero()).then_some(duration)
    }

    /// How long somebody has: a duration, or days that only a calendar can tell the length of.
    pub(super) fn wait(&self, errors: &mut Errors) -> Option<Period> {
        if !self.value.is_object() {
            return self.positive_duration(errors).map(Period::Time);
        }
        let object = self.object(&["calendar_days", "working_days"], errors)?;
        match (object.get("calendar_days"), object.get("working_days")) {
            (Some(days), None) => days
                .count(1..=CALENDAR_DAYS_MAX, errors)
                .map(Period::CalendarDays),
            (None, Some(days)) => days
                .count(1..=WORKING_DAYS_MAX, errors)
                .map(Period::WorkingDays),
            (Some(_), Some(_)) => {
                self.error("must have calendar_days or working_days, not both", errors);
                None
            }
            (None, None) => {
                self.error("needs calendar_days or working_days", errors);
                None
            }
        }
    }

    pub(super) fn date(&self, errors: &mut Errors) -> Option<jiff::civil::Date> {
        let text = self.raw_text("a date such as 2026-12-25", errors)?;
        // jiff reads a date out of a longer text too, where the rest would be lost in silence.
        let date = text
            .parse()
            .ok()
            .filter(|date: &jiff::civil::Date| date.to_string() == text);
        if date.is_none() {
            self.error(
                format!("must be a date such as 2026-12-25; found {}", quoted(text)),
                errors,
            );
        }
        date
    }

    pub(super) fn time_zone(&self, errors: &mut Errors) -> Option<jiff::tz::TimeZone> {
        let text = self.raw_text("a time zone such as Europe/Berlin", errors)?;
        let zone = jiff::tz::TimeZone::get(text)
            .ok()
            .filter(|zone| !zone.is_unknown());
        if zone.is_none() {
            self.error(
                format!(
                    "must be an IANA time zone such as Europe/Berlin; found {}",
                    quoted(text)
                ),
                errors,
            );
        }
        zone
    }

    pub(super) fn is_mapping(&self) -> bool {
        self.value.is_object()
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        self.value.get(key).is_some()
    }

    /// Whether the value is this very text.
    pub(super) fn is_text(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
    }
}

pub(super) fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn duration_of(span: Span) -> Option<SignedDuration> {
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}
