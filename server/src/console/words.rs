//! Values as people read them: money, instants, distances of deadlines, and the words of states.

use belay_domain::money::Currency;
use belay_proto::v1 as pb;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use prost_types::Timestamp as WireTime;

/// What stands where there is nothing to tell.
pub(super) const NOTHING: &str = "–";

/// The word of a value of an enum, without what all of its values begin with.
pub(super) fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name);
    match word {
        "UNSPECIFIED" => NOTHING.to_owned(),
        word => word.to_ascii_lowercase().replace('_', " "),
    }
}

/// How a state is shown: what is well, what went wrong and what waits stand out. The word says it;
/// the colour only helps.
pub(super) fn chip(word: &str) -> Markup {
    let class = match word {
        "completed" | "settled" | "delivered" | "passed" | "captured" | "active" | "accepted"
        | "resolved" => "chip good",
        "rejected" | "refused" | "failed" | "lost" | "declined" | "overdue" | "unknown"
        | "blocked" => "chip bad",
        "pending" | "waiting" | "open" | "due" | "submitted" | "awaiting payment" | "queued"
        | "scheduled" | "requested" | "returning" => "chip waits",
        _ => "chip",
    };
    html! { span class=(class) { (word) } }
}

/// Whether a path is open. A gate that is open is something else: it waits.
pub(super) fn verdict(is_open: bool) -> Markup {
    if is_open {
        html! { span class="chip good" { "open" } }
    } else {
        html! { span class="chip bad" { "closed" } }
    }
}

/// An amount with as many decimals as its currency has. One that the role does not see is no
/// number.
pub(super) fn money(money: Option<&pb::Money>) -> String {
    let Some(money) = money.filter(|money| !money.currency_code.is_empty()) else {
        return NOTHING.to_owned();
    };
    let (code, units) = (&money.currency_code, money.minor_units);
    let decimals = Currency::parse(code).and_then(|currency| currency.decimals());
    let Some(decimals) = decimals else {
        return format!("{units} minor units of {code}");
    };
    let sign = if units < 0 { "−" } else { "" };
    let scale = 10_u64.pow(decimals);
    let (major, minor) = (units.unsigned_abs() / scale, units.unsigned_abs() % scale);
    match usize::try_from(decimals) {
        Ok(0) | Err(_) => format!("{sign}{major} {code}"),
        Ok(width) => format!("{sign}{major}.{minor:0width$} {code}"),
    }
}

pub(super) fn instant(at: Option<&WireTime>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// An instant in UTC, to the second.
pub(super) fn time(at: Option<&WireTime>) -> Markup {
    match instant(at) {
        None => html! { (NOTHING) },
        Some(at) => html! { time datetime=(format!("{at:.0}")) { (utc(at)) } },
    }
}

pub(super) fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An instant, and how far it is from now.
pub(super) fn deadline(at: Option<&WireTime>, now: Timestamp) -> Markup {
    let Some(at) = instant(at) else {
        return html! { (NOTHING) };
    };
    let class = if at <= now {
        "distance past"
    } else {
        "distance"
    };
    html! {
        time datetime=(format!("{at:.0}")) { (utc(at)) }
        " " span class=(class) { (distance(at, now)) }
    }
}

/// How far an instant is from now: in its two largest units.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    let away = at.duration_since(now);
    if away.as_secs() == 0 {
        return "now".to_owned();
    }
    let length = length(away.abs());
    if away.is_negative() {
        format!("{length} ago")
    } else {
        format!("in {length}")
    }
}

/// A length of time in its two largest units.
pub(super) fn length(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let first = units.iter().position(|(count, _)| *count > 0);
    let Some(first) = first else {
        return "0 s".to_owned();
    };
    let shown = units.iter().skip(first).take(2);
    let shown = shown.filter(|(count, _)| *count > 0);
    let shown: Vec<String> = shown
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    shown.join(" ")
}

pub(super) fn actor(actor: Option<&pb::Actor>) -> String {
    let Some(actor) = actor else {
        return NOTHING.to_owned();
    };
    let role = word(actor.role().as_str_name(), "ROLE_");
    match actor.id.as_str() {
        "" => role,
        id => format!("{role} {id}"),
    }
}

pub(super) fn quantities(quantities: &[pb::LineQuantity]) -> String {
    let told = quantities
        .iter()
        .map(|of| quantity(of.quantity, &of.line_id));
    told.collect::<Vec<_>>().join(", ")
}

/// So many of what this is the name of.
pub(super) fn quantity(count: i32, of: &str) -> String {
    format!("{count} × {of}")
}

/// A text, or that there is none.
pub(super) fn or_nothing(text: &str) -> &str {
    if text.is_empty() { NOTHING } else { text }
}

pub(super) fn yes_or_no(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// The total, and what of it is what.
pub(super) fn refund(amount: Option<&pb::RefundAmount>) -> Markup {
    let Some(amount) = amount else {
        return html! { (NOTHING) };
    };
    let parts = [
        ("goods", &amount.goods),
        ("tax", &amount.tax),
        ("shipping", &amount.shipping),
        ("excess", &amount.excess),
    ];
    let parts = parts.iter().filter_map(|(name, amount)| {
        let amount = amount.as_ref().filter(|amount| amount.minor_units != 0)?;
        Some(format!("{name} {}", money(Some(amount))))
    });
    let parts: Vec<String> = parts.collect();
    html! {
        (money(amount.total.as_ref()))
        @if !parts.is_empty() { " " span class="note" { "(" (parts.join(", ")) ")" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        let shown = |code: &str, minor_units| {
            let currency_code = code.to_owned();
            money(Some(&pb::Money {
                currency_code,
                minor_units,
            }))
        };
        for (code, minor_units, expected) in [
            ("EUR", 1_250, "12.50 EUR"),
            ("EUR", -5, "−0.05 EUR"),
            ("JPY", 1_250, "1250 JPY"),
            ("KWD", 1_250, "1.250 KWD"),
            ("ZZZ", 3, "3 minor units of ZZZ"),
            ("", 0, NOTHING),
        ] {
            assert_eq!(shown(code, minor_units), expected);
        }
        assert_eq!(money(None), NOTHING);
    }

    #[test]
    fn a_deadline_says_how_far_it_is() {
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        for (at, expected) in [
            ("2026-03-02T10:00:00Z", "now"),
            ("2026-03-02T10:00:59Z", "in 59 s"),
            ("2026-03-02T12:05:30Z", "in 2 h 5 min"),
            ("2026-03-04T10:00:00Z", "in 2 d"),
            ("2026-03-02T09:59:00Z", "1 min ago"),
            ("2026-02-27T09:00:00Z", "3 d 1 h ago"),
        ] {
            assert_eq!(distance(at.parse().unwrap(), now), expected);
        }
    }

    #[test]
    fn a_value_of_an_enum_is_its_word() {
        assert_eq!(word("ORDER_STATE_TO_SHIP", "ORDER_STATE_"), "to ship");
        assert_eq!(word("ORDER_STATE_UNSPECIFIED", "ORDER_STATE_"), NOTHING);
        let escaped = chip("<b>").into_string();
        assert_eq!(escaped, r#"<span class="chip">&lt;b&gt;</span>"#);
    }
}
