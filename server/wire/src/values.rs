//! Values of the wire that are not messages of ours: instants, durations, money, etags.

use belay_domain::cancellation::Deductions;
use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::money::{Amounts, Currency};
use belay_domain::units::{LineQuantity, UnitSet};
use belay_proto::v1 as pb;
use jiff::{SignedDuration, Timestamp};

/// An instant.
pub fn time(at: Timestamp) -> prost_types::Timestamp {
    // jiff's nanoseconds are negative before 1970, the wire's never are.
    let (seconds, nanos) = (at.as_second(), at.subsec_nanosecond());
    if nanos < 0 {
        prost_types::Timestamp {
            seconds: seconds - 1,
            nanos: nanos + 1_000_000_000,
        }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

/// A length of time.
pub fn duration(length: SignedDuration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: length.as_secs(),
        nanos: length.subsec_nanos(),
    }
}

/// An amount in the currency of its order.
pub fn money(currency: Currency, minor_units: i64) -> pb::Money {
    pb::Money {
        currency_code: currency.code().to_owned(),
        minor_units,
    }
}

/// What goes back, by what it was paid for.
pub fn refund_amount(currency: Currency, amounts: Amounts) -> pb::RefundAmount {
    pb::RefundAmount {
        goods: Some(money(currency, amounts.goods)),
        tax: Some(money(currency, amounts.tax)),
        shipping: Some(money(currency, amounts.shipping)),
        excess: Some(money(currency, amounts.excess)),
        total: Some(money(currency, amounts.total())),
    }
}

/// The deductions from a refund, as a message.
pub fn deductions(currency: Currency, deductions: Deductions) -> pb::Deductions {
    pb::Deductions {
        outbound_shipping: Some(money(currency, deductions.outbound_shipping)),
        return_shipping: Some(money(currency, deductions.return_shipping)),
        by_schedule: Some(money(currency, deductions.by_schedule)),
    }
}

/// The version in quotes, as AIP-154 has it.
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// How many of which lines.
pub fn line_quantities(order: &OrderId, units: &UnitSet) -> Vec<pb::LineQuantity> {
    units
        .lines()
        .map(|line| {
            line_quantity(
                order,
                LineQuantity {
                    line,
                    quantity: units.count_of(line),
                },
            )
        })
        .collect()
}

/// How many of a line.
pub fn line_quantity(
    order: &OrderId,
    LineQuantity { line, quantity }: LineQuantity,
) -> pb::LineQuantity {
    pb::LineQuantity {
        line_id: ChildKind::Line.id(order, line),
        quantity: count(quantity),
    }
}

/// A count or version in the wire's signed integers. The domain's bounds lie far below.
pub fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_before_1970_has_positive_nanoseconds() {
        let at = Timestamp::new(-1, -500_000_000).unwrap();
        assert_eq!(
            time(at),
            prost_types::Timestamp {
                seconds: -2,
                nanos: 500_000_000
            }
        );
    }
}
