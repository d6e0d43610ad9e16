//! Amounts of money.

use std::fmt;

use belay_proto::v1 as pb;
use iso_currency::Currency;

use crate::wire::{FromWire, Malformed, Unseen};

/// An amount of money, exact: whole minor units of one currency, never a fraction.
///
/// ```
/// use belay_client::Money;
///
/// let price = Money::new("EUR", 1_250);
/// assert_eq!(price.to_string(), "12.50 EUR");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Money {
    /// The currency, an ISO 4217 code of three capital letters, such as `EUR` or `JPY`. All money
    /// of one order has one currency. Empty where the caller's role does not see the amount: see
    /// [`is_seen`](Money::is_seen).
    pub currency_code: String,
    /// The amount in the currency's minor unit: cents for EUR, yen for JPY. On input 0 to 10^12.
    pub minor_units: i64,
}

impl Money {
    /// An amount in minor units. The server checks currency and range.
    pub fn new(currency_code: impl Into<String>, minor_units: i64) -> Self {
        Self {
            currency_code: currency_code.into(),
            minor_units,
        }
    }

    /// Whether the caller's role sees the amount. A warehouse and a carrier see none, and then no
    /// number is one.
    ///
    /// ```
    /// use belay_client::Money;
    ///
    /// assert!(Money::new("EUR", 0).is_seen());
    /// assert!(!Money::new("", 0).is_seen());
    /// ```
    pub fn is_seen(&self) -> bool {
        !self.currency_code.is_empty()
    }

    pub(crate) fn to_wire(&self) -> pb::Money {
        pb::Money {
            currency_code: self.currency_code.clone(),
            minor_units: self.minor_units,
        }
    }
}

/// The amount in the currency's major unit, with as many decimals as the currency has. In a
/// currency without a known number of decimals, the minor units, marked as such.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = &self.currency_code;
        if !self.is_seen() {
            return f.write_str("(not seen)");
        }
        let Some(decimals) = Currency::from_code(code).and_then(Currency::exponent) else {
            return write!(f, "{} minor units of {code}", self.minor_units);
        };
        let scale = 10_u64.pow(u32::from(decimals));
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let (major, minor) = (
            self.minor_units.unsigned_abs() / scale,
            self.minor_units.unsigned_abs() % scale,
        );
        match usize::from(decimals) {
            0 => write!(f, "{sign}{major} {code}"),
            width => write!(f, "{sign}{major}.{minor:0width$} {code}"),
        }
    }
}

impl Unseen for Money {
    fn unseen() -> Self {
        Self::new("", 0)
    }
}

impl FromWire for Money {
    type Message = pb::Money;

    fn from_wire(message: pb::Money) -> Result<Self, Malformed> {
        Ok(Self {
            currency_code: message.currency_code,
            minor_units: message.minor_units,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_shows_the_decimals_of_its_currency() {
        for (code, minor_units, shown) in [
            ("EUR", 1_250, "12.50 EUR"),
            ("EUR", 5, "0.05 EUR"),
            ("EUR", -5, "-0.05 EUR"),
            ("JPY", 1_250, "1250 JPY"),
            ("KWD", 1_250, "1.250 KWD"),
            ("???", 3, "3 minor units of ???"),
            ("", 0, "(not seen)"),
        ] {
            assert_eq!(Money::new(code, minor_units).to_string(), shown);
        }
    }
}
