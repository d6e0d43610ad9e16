//! Requests, checked whole: every field violation is found and told by its path, and what comes out
//! holds no empty string, no UNSPECIFIED and no raw id.
//!
//! Each RPC has a reader of its name, in the module of its service. The functions that readers are
//! made of return `None` only after they have said why. What needs the order to be checked is the
//! domain's business, not ours.

mod annotations;
pub mod bounds;
pub mod bulk;
pub mod cancellations;
pub mod clock;
pub mod decisions;
mod envelope;
pub mod events;
pub mod fulfillment;
pub mod inventory;
mod lists;
pub mod orders;
mod quantities;
pub mod refunds;
pub mod sellers;
pub mod simulation;
pub mod stores;

use std::collections::HashSet;

use belay_domain::ids::{ChildKind, IdError, OrderId};
use belay_domain::money::{AMOUNT_MINOR_MAX, Currency, Money};
use belay_domain::rejection::FieldViolation;
use belay_proto::v1 as pb;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use self::bounds::{CODE_CHARS_MAX, NOTE_CHARS_MAX, TIMES, VIOLATIONS_MAX};
pub use self::envelope::{Child, CommandRequest, Envelope, Reader};
pub use self::lists::ListRequest;
use crate::Wire;
use crate::status::CallError;

/// A request as it was read, or everything that is wrong with it.
pub type Parsed<T> = Result<T, CallError>;

/// The faults of the request that is being read.
#[derive(Debug, Default)]
struct Violations {
    list: Vec<FieldViolation>,
    left_out: usize,
    /// Of all the request's money.
    currency: Option<Currency>,
    /// The first field with another one.
    differs: Option<String>,
}

/// Reads a request with `read` and says everything that is wrong with it: the violations in the
/// order of its fields, and how many there are beyond [`VIOLATIONS_MAX`]. Where nothing else is
/// wrong but two currencies are named, the first counts.
///
/// # Panics
/// If `read` gives nothing and no violation: it would have refused a field without saying why.
fn parse<T>(read: impl FnOnce(&mut Violations) -> Option<T>) -> Parsed<T> {
    let mut violations = Violations::default();
    let value = read(&mut violations);
    if !violations.list.is_empty() {
        return Err(CallError::InvalidFields {
            violations: violations.list,
            left_out: violations.left_out,
        });
    }
    match (violations.currency, violations.differs) {
        (Some(expected), Some(field)) => Err(CallError::CurrencyMismatch { expected, field }),
        _ => Ok(value.unwrap_or_else(|| panic!("a field was refused without a violation"))),
    }
}

impl Violations {
    fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        if self.list.len() < VIOLATIONS_MAX {
            self.list.push(FieldViolation {
                field: field.into(),
                description: description.into(),
            });
        } else {
            self.left_out += 1;
        }
    }

    fn refuse<T>(&mut self, field: &str, description: impl Into<String>) -> Option<T> {
        self.add(field, description);
        None
    }

    /// The currency of the money read so far.
    fn currency(&self) -> Option<Currency> {
        self.currency
    }
}

/// An id that must be there.
fn id<T>(
    v: &mut Violations,
    field: &str,
    text: String,
    parse: impl FnOnce(String) -> Result<T, IdError>,
) -> Option<T> {
    parse(text)
        .map_err(|error| v.add(field, error.to_string()))
        .ok()
}

/// An id that may be empty.
fn optional_id<T>(
    v: &mut Violations,
    field: &str,
    text: String,
    parse: impl FnOnce(String) -> Result<T, IdError>,
) -> Option<Option<T>> {
    if text.is_empty() {
        Some(None)
    } else {
        id(v, field, text, parse).map(Some)
    }
}

/// The id of something that belongs to an order.
fn child(v: &mut Violations, field: &str, text: &str, kind: ChildKind) -> Option<(OrderId, u32)> {
    kind.parse(text)
        .map_err(|error| v.add(field, error.to_string()))
        .ok()
}

/// The id of something that must belong to this very order. `order` is `None` where its own id was
/// refused.
fn child_of(
    v: &mut Violations,
    field: &str,
    text: &str,
    kind: ChildKind,
    order: Option<&OrderId>,
) -> Option<u32> {
    let (named, number) = child(v, field, text, kind)?;
    match order {
        Some(order) if *order != named => {
            v.refuse(field, format!("belongs to order {named}, not to {order}"))
        }
        _ => Some(number),
    }
}

/// The caller's idempotency key; `None` where it names none.
fn request_id(v: &mut Violations, text: &str) -> Option<Option<Uuid>> {
    if text.is_empty() {
        return Some(None);
    }
    // Hyphenated only: the other spellings of a UUID would make one key look like two.
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 && !id.is_nil() => Some(Some(id)),
        Ok(_) | Err(_) => v.refuse(
            "request_id",
            "must be a UUID such as 123e4567-e89b-42d3-a456-426614174000",
        ),
    }
}

/// The version behind an etag; `None` where none is given.
fn etag(v: &mut Violations, field: &str, text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let digits = digits.filter(|digits| {
        digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
    });
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(version) => Some(Some(version)),
        None => v.refuse(
            field,
            "is no etag that Belay gave out; it must be given back as it is, quotes included",
        ),
    }
}

/// Text of up to `chars_max` characters without control characters; may be empty.
fn text(v: &mut Violations, field: &str, text: String, chars_max: usize) -> Option<String> {
    checked_text(v, field, text, chars_max, |c| !c.is_control())
}

/// The same, with line breaks.
fn multiline_text(
    v: &mut Violations,
    field: &str,
    text: String,
    chars_max: usize,
) -> Option<String> {
    checked_text(v, field, text, chars_max, |c| {
        !c.is_control() || matches!(c, '\n' | '\r')
    })
}

/// Text of printable ASCII, spaces included; may be empty.
fn ascii_text(v: &mut Violations, field: &str, text: String, chars_max: usize) -> Option<String> {
    checked_text(v, field, text, chars_max, |c| {
        c == ' ' || c.is_ascii_graphic()
    })
}

fn checked_text(
    v: &mut Violations,
    field: &str,
    text: String,
    chars_max: usize,
    is_allowed: impl Fn(char) -> bool,
) -> Option<String> {
    let length = text.chars().count();
    if length > chars_max {
        return v.refuse(
            field,
            format!("must have at most {chars_max} characters, has {length}"),
        );
    }
    match text.chars().find(|c| !is_allowed(*c)) {
        Some(odd) => v.refuse(field, format!("must not hold {odd:?}")),
        None => Some(text),
    }
}

/// `[A-Z][A-Z0-9_]{0,62}`, or empty.
fn code(v: &mut Violations, field: &str, text: String) -> Option<Option<String>> {
    let is_code = |text: &str| {
        text.len() <= CODE_CHARS_MAX
            && text.starts_with(|c: char| c.is_ascii_uppercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if text.is_empty() {
        Some(None)
    } else if is_code(&text) {
        Some(Some(text))
    } else {
        v.refuse(
            field,
            format!("must match [A-Z][A-Z0-9_]* and have at most {CODE_CHARS_MAX} characters"),
        )
    }
}

/// The same, and it must be there.
fn required_code(v: &mut Violations, field: &str, text: String) -> Option<String> {
    match code(v, field, text)? {
        Some(code) => Some(code),
        None => v.refuse(field, "must be given"),
    }
}

/// What a person adds in words. A note of blanks says nothing.
fn note(v: &mut Violations, text: String) -> Option<Option<String>> {
    multiline_text(v, "note", text, NOTE_CHARS_MAX)
        .map(|note| (!note.trim().is_empty()).then_some(note))
}

/// A value that must be said.
fn specified<T: Wire>(v: &mut Violations, field: &str, number: i32) -> Option<T> {
    match T::from_number(number) {
        Some(value) => Some(value),
        None if number == 0 => v.refuse(field, "must be given and not UNSPECIFIED"),
        None => v.refuse(
            field,
            format!("{number} is not a value that this server knows"),
        ),
    }
}

/// A value that may be left UNSPECIFIED.
fn unspecified_or<T: Wire>(v: &mut Violations, field: &str, number: i32) -> Option<Option<T>> {
    if number == 0 {
        Some(None)
    } else {
        specified(v, field, number).map(Some)
    }
}

/// A whole number from 1 to `max`.
fn positive(v: &mut Violations, field: &str, number: i64, max: u32) -> Option<u32> {
    match u32::try_from(number) {
        Ok(number) if (1..=max).contains(&number) => Some(number),
        Ok(_) | Err(_) => v.refuse(field, format!("must be from 1 to {max}, is {number}")),
    }
}

/// A whole number from 1 to `max`, `default` for 0.
fn positive_or(
    v: &mut Violations,
    field: &str,
    number: i32,
    max: u16,
    default: u16,
) -> Option<u16> {
    if number == 0 {
        return Some(default);
    }
    positive(v, field, number.into(), max.into()).and_then(|number| u16::try_from(number).ok())
}

/// An amount that must be there, zero or more, in the currency of the request's other money.
fn amount(v: &mut Violations, field: &str, given: Option<pb::Money>) -> Option<i64> {
    match given {
        Some(money) => given_money(v, field, &money).map(|money| money.minor_units),
        None => v.refuse(field, "must be given"),
    }
}

/// An amount that is zero where it is not there.
fn amount_or_zero(v: &mut Violations, field: &str, money: Option<pb::Money>) -> Option<i64> {
    money.map_or(Some(0), |money| {
        given_money(v, field, &money).map(|money| money.minor_units)
    })
}

fn given_money(v: &mut Violations, field: &str, money: &pb::Money) -> Option<Money> {
    let money = money_of_its_own(v, field, money);
    // Where the amount was refused, the request is refused for that.
    if let Some(Money { currency, .. }) = money
        && *v.currency.get_or_insert(currency) != currency
    {
        v.differs
            .get_or_insert_with(|| format!("{field}.currency_code"));
    }
    money
}

/// Money in any currency, whatever the request's other money is in.
fn money_of_its_own(v: &mut Violations, field: &str, money: &pb::Money) -> Option<Money> {
    let currency = match Currency::current(&money.currency_code) {
        Some(currency) => Some(currency),
        None => v.refuse(
            &format!("{field}.currency_code"),
            "must be an ISO 4217 code such as EUR",
        ),
    };
    let minor_units = minor_units(v, field, money.minor_units);
    Some(Money {
        currency: currency?,
        minor_units: minor_units?,
    })
}

/// Money that somebody outside tells of an order that is there. The order may be in a currency that
/// was withdrawn since, so the code is compared with the order's and not with the standard.
fn told_money(v: &mut Violations, field: &str, money: &pb::Money) -> Option<Money> {
    let currency = match Currency::parse(&money.currency_code) {
        Some(currency) => Some(currency),
        None => v.refuse(
            &format!("{field}.currency_code"),
            "must be a code of three capital letters such as EUR",
        ),
    };
    let minor_units = minor_units(v, field, money.minor_units);
    Some(Money {
        currency: currency?,
        minor_units: minor_units?,
    })
}

fn minor_units(v: &mut Violations, field: &str, minor_units: i64) -> Option<i64> {
    if (0..=AMOUNT_MINOR_MAX).contains(&minor_units) {
        Some(minor_units)
    } else {
        v.refuse(
            &format!("{field}.minor_units"),
            format!("must be from 0 to {AMOUNT_MINOR_MAX}, is {minor_units}"),
        )
    }
}

/// An instant, cut to the microsecond; `None` where it is not there.
fn time(
    v: &mut Violations,
    field: &str,
    at: Option<prost_types::Timestamp>,
) -> Option<Option<Timestamp>> {
    let Some(at) = at else { return Some(None) };
    if !(0..1_000_000_000).contains(&at.nanos) {
        return v.refuse(
            &format!("{field}.nanos"),
            format!("must be from 0 to 999,999,999, is {}", at.nanos),
        );
    }
    match Timestamp::new(at.seconds, at.nanos / 1_000 * 1_000) {
        Ok(at) if TIMES.contains(&at) => Some(Some(at)),
        Ok(_) | Err(_) => v.refuse(field, "must lie in the years 1970 to 2199"),
    }
}

/// ISO 3166-1 alpha-2; that there is such a country is not checked, for countries come and go.
fn country(v: &mut Violations, field: &str, code: String) -> Option<String> {
    let is_country = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_country {
        Some(code)
    } else {
        v.refuse(field, "must be an ISO 3166-1 alpha-2 code such as DE")
    }
}

/// A length of time that is not negative; `None` where its parts do not agree.
fn duration(length: prost_types::Duration) -> Option<SignedDuration> {
    let is_normal = length.seconds >= 0 && (0..1_000_000_000).contains(&length.nanos);
    is_normal.then(|| SignedDuration::new(length.seconds, length.nanos))
}

/// Asked of every list before anything else, so that none is walked that is longer than it may be.
fn at_most(v: &mut Violations, field: &str, entries: usize, max: usize) -> Option<()> {
    if entries > max {
        v.refuse(
            field,
            format!("must have at most {max} entries, has {entries}"),
        )
    } else {
        Some(())
    }
}

/// Says which entries repeat an earlier one.
fn distinct<K: Eq + std::hash::Hash>(
    v: &mut Violations,
    keys: impl IntoIterator<Item = (String, Option<K>)>,
) {
    let mut seen = HashSet::new();
    for (field, key) in keys {
        if key.is_some_and(|key| !seen.insert(key)) {
            v.add(field, "repeats an earlier entry");
        }
    }
}

/// Values none of which is named twice, in their order; `max` is how many there are to be named.
fn distinct_values<T: Wire>(
    v: &mut Violations,
    field: &str,
    numbers: &[i32],
    max: usize,
) -> Option<Vec<T>> {
    at_most(v, field, numbers.len(), max)?;
    let at = |index: usize| format!("{field}[{index}]");
    let numbers = numbers.iter().enumerate();
    let read = all(numbers
        .clone()
        .map(|(index, number)| specified(v, &at(index), *number)));
    distinct(v, numbers.map(|(index, number)| (at(index), Some(*number))));
    read
}

/// All entries, or `None` where one of them was refused; each is read, so that each is checked.
fn all<T>(entries: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = entries.collect();
    read.into_iter().collect()
}

#[cfg(test)]
mod tests;
