//! Values as people read them.

use belay_client::Money;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

/// What of a list is shown before it is cut short.
const SHOWN_MAX: usize = 20;

/// A value in one line; nothing for null.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(string) => words(string),
        Value::Array(values) => {
            let mut shown: Vec<String> = values.iter().take(SHOWN_MAX).map(text).collect();
            if values.len() > SHOWN_MAX {
                shown.push(format!("and {} more", values.len() - SHOWN_MAX));
            }
            shown.join(", ")
        }
        Value::Object(fields) => {
            let known = money(fields).or_else(|| duration(fields));
            known.unwrap_or_else(|| facts(fields))
        }
    }
}

/// The facts of an object: `name value` with commas in between, without those that have none.
pub(crate) fn facts(fields: &Map<String, Value>) -> String {
    let told = fields.iter().filter_map(|(name, value)| {
        let value = text(value);
        let is_told = !value.is_empty() && value != "no";
        is_told.then(|| format!("{} {value}", name.replace('_', " ")))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn money(fields: &Map<String, Value>) -> Option<String> {
    let currency = fields.get("currency_code")?.as_str()?;
    let minor_units = fields.get("minor_units")?.as_i64()?;
    (fields.len() == 2).then(|| Money::new(currency, minor_units).to_string())
}

/// To the second, as serde writes one.
fn duration(fields: &Map<String, Value>) -> Option<String> {
    let seconds = fields.get("secs")?.as_i64()?;
    fields.get("nanos")?;
    let duration = SignedDuration::from_secs(seconds);
    (fields.len() == 2).then(|| format!("{duration:#}"))
}

/// An instant to the second; anything else as it is, in one line.
fn words(string: &str) -> String {
    match string.parse::<Timestamp>() {
        Ok(at) if string.ends_with('Z') => instant(at),
        Ok(_) | Err(_) => string.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

pub(crate) fn instant(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// What stands at a path of names with dots in between.
pub(crate) fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, name| {
        let found = match name.parse::<usize>() {
            Ok(place) => value.get(place),
            Err(_) => value.get(name),
        };
        found.unwrap_or(&Value::Null)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_one_line_each() {
        let rows = [
            (json!(null), ""),
            (json!(true), "yes"),
            (json!("2026-03-01T09:00:00.5Z"), "2026-03-01T09:00:00Z"),
            (json!("two\nlines"), "two lines"),
            (
                json!({"currency_code": "EUR", "minor_units": 3586}),
                "35.86 EUR",
            ),
            (
                json!({"line_id": "A-1:l1", "quantity": 2, "note": null}),
                "line id A-1:l1, quantity 2",
            ),
            (json!({"secs": 5400, "nanos": 1}), "1h 30m"),
            (json!([1, 2]), "1, 2"),
        ];
        for (value, expected) in rows {
            assert_eq!(text(&value), expected);
        }
        let long: Vec<usize> = (0..=SHOWN_MAX).collect();
        assert!(text(&json!(long)).ends_with(", and 1 more"));
        let full: Vec<usize> = (0..SHOWN_MAX).collect();
        assert!(text(&json!(full)).ends_with(", 19"));
    }
}
