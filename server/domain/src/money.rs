//! Money in whole minor units. All amounts of one order are in one currency, named once on the
//! order.
//!
//! Money is fixed when the order is placed: each unit of a line carries its own share, so that
//! partial refunds in any order and split add up to exactly what was paid.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Largest amount taken from a caller, in minor units (ten billion euros). Two hundred such lines
/// still fit an `i64`.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

/// A currency by its code of three capital letters. Codes come and go with the revisions of ISO
/// 4217, and an order keeps the one it was placed in: what is stored is only read, and what comes
/// in new is held to the standard as it is today.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// A code that ISO 4217 knows today: for money that is named for the first time.
    pub fn current(code: &str) -> Option<Self> {
        iso_currency::Currency::from_code(code).and_then(|_| Self::parse(code))
    }

    /// Any code, also one that was withdrawn since: for what is stored, and for what is said of it.
    pub fn parse(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        code.iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(code))
    }

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0)
            .unwrap_or_else(|error| panic!("capital letters are UTF-8: {error}"))
    }

    /// How many decimals its amounts have; none where the standard does not say, or knows it no
    /// more.
    pub fn decimals(&self) -> Option<u32> {
        let known = iso_currency::Currency::from_code(self.code())?;
        known.exponent().map(u32::from)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::parse(&code).ok_or_else(|| format!("{code:?} is no code of three capital letters"))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// An amount as somebody outside names it: an order knows its own currency and compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    pub currency: Currency,
    pub minor_units: i64,
}

/// Money by what it was paid for, in minor units. `tax` holds the tax on goods and on shipping;
/// `excess` is money above what the order cost (paid twice, paid late).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Amounts {
    pub goods: i64,
    pub tax: i64,
    pub shipping: i64,
    pub excess: i64,
}

impl Amounts {
    pub const ZERO: Amounts = Amounts {
        goods: 0,
        tax: 0,
        shipping: 0,
        excess: 0,
    };

    pub fn total(self) -> i64 {
        self.goods + self.tax + self.shipping + self.excess
    }

    /// Takes up to `amount` out of these, goods first, then tax, then shipping, then excess.
    pub fn take(&mut self, amount: i64) -> Amounts {
        let mut left = amount;
        let mut fill = |from: &mut i64| {
            let part = left.clamp(0, (*from).max(0));
            *from -= part;
            left -= part;
            part
        };
        Amounts {
            goods: fill(&mut self.goods),
            tax: fill(&mut self.tax),
            shipping: fill(&mut self.shipping),
            excess: fill(&mut self.excess),
        }
    }
}

impl Amounts {
    /// Takes what `share` asks for of each component, as far as it is there, and what is short of
    /// it out of the excess.
    pub fn take_share(&mut self, share: Amounts) -> Amounts {
        let mut taken = Amounts {
            goods: self.goods.min(share.goods),
            tax: self.tax.min(share.tax),
            shipping: self.shipping.min(share.shipping),
            excess: 0,
        };
        taken.excess = self.excess.min(share.total() - taken.total());
        *self = *self - taken;
        taken
    }
}

impl std::ops::Add for Amounts {
    type Output = Amounts;

    fn add(self, other: Amounts) -> Amounts {
        Amounts {
            goods: self.goods + other.goods,
            tax: self.tax + other.tax,
            shipping: self.shipping + other.shipping,
            excess: self.excess + other.excess,
        }
    }
}

impl std::ops::Sub for Amounts {
    type Output = Amounts;

    fn sub(self, other: Amounts) -> Amounts {
        Amounts {
            goods: self.goods - other.goods,
            tax: self.tax - other.tax,
            shipping: self.shipping - other.shipping,
            excess: self.excess - other.excess,
        }
    }
}

impl std::iter::Sum for Amounts {
    fn sum<I: Iterator<Item = Amounts>>(amounts: I) -> Amounts {
        amounts.fold(Amounts::ZERO, |sum, next| sum + next)
    }
}

/// What units `first .. first + count` of a line of `quantity` units carry of `total`: unit i
/// carries the base share and one minor unit more if i < remainder.
pub fn share_of_units(total: i64, quantity: u32, first: u32, count: u32) -> i64 {
    let (quantity, first, count) = (i64::from(quantity), i64::from(first), i64::from(count));
    let (base, remainder) = (total / quantity, total % quantity);
    let with_one_more = (remainder - first).clamp(0, count);
    base * count + with_one_more
}

/// Splits `total` by `weights` without losing a minor unit: largest remainder, ties to the lower
/// index. All weights zero split evenly.
pub fn split_by_weight(total: i64, weights: &[i64]) -> Vec<i64> {
    let even = vec![1; weights.len()];
    let weights = if weights.iter().all(|w| *w == 0) {
        &even
    } else {
        weights
    };
    let sum: i128 = weights.iter().map(|w| i128::from(*w)).sum();
    let exact = |weight: i64| i128::from(total) * i128::from(weight);
    let mut shares: Vec<i64> = weights
        .iter()
        .map(|w| i64::try_from(exact(*w) / sum).unwrap_or(i64::MAX))
        .collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|i| std::cmp::Reverse(exact(weights[*i]) % sum));
    let left = total - shares.iter().sum::<i64>();
    for i in by_remainder
        .into_iter()
        .take(usize::try_from(left).unwrap_or(0))
    {
        shares[i] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_withdrawn_currency_is_read_and_not_taken() {
        let euro = Currency::current("EUR").unwrap();
        assert_eq!((Currency::parse("EUR"), euro.code()), (Some(euro), "EUR"));
        // Yugoslavia's, withdrawn in 1994.
        assert_eq!(Currency::current("YUN"), None);
        let dinar = Currency::parse("YUN").unwrap();
        assert_eq!(serde_json::to_string(&dinar).unwrap(), r#""YUN""#);
        assert_eq!(serde_json::from_str::<Currency>(r#""YUN""#).unwrap(), dinar);
        for odd in ["", "EU", "EURO", "eur", "EuR", "E1R", "É1"] {
            assert_eq!(
                (Currency::parse(odd), Currency::current(odd)),
                (None, None),
                "{odd:?}"
            );
            assert!(serde_json::from_str::<Currency>(&format!("{odd:?}")).is_err());
        }
    }

    #[test]
    fn the_first_units_carry_the_remainder() {
        // 10.00 over three units: 3.34, 3.33, 3.33.
        assert_eq!(
            [0, 1, 2].map(|i| share_of_units(1000, 3, i, 1)),
            [334, 333, 333]
        );
        assert_eq!(share_of_units(1000, 3, 0, 3), 1000);
    }

    #[test]
    fn a_split_gives_the_largest_remainders_one_more() {
        assert_eq!(split_by_weight(100, &[1, 1, 1]), [34, 33, 33]);
        assert_eq!(split_by_weight(5, &[0, 0]), [3, 2]);
        assert_eq!(split_by_weight(999, &[7000, 3000]), [699, 300]);
    }

    #[test]
    fn taking_empties_goods_before_tax_before_shipping() {
        let mut from = Amounts {
            goods: 5,
            tax: 2,
            shipping: 3,
            excess: 0,
        };
        assert_eq!(
            from.take(6),
            Amounts {
                goods: 5,
                tax: 1,
                shipping: 0,
                excess: 0
            }
        );
        assert_eq!(
            from.take(100),
            Amounts {
                goods: 0,
                tax: 1,
                shipping: 3,
                excess: 0
            }
        );
        assert_eq!(from, Amounts::ZERO);
    }

    proptest! {
        #[test]
        fn units_in_any_split_add_up_to_the_total(total in 0..AMOUNT_MINOR_MAX, quantity in 1u32..5000, cut in 0u32..5000) {
            let cut = cut.min(quantity);
            let parts = share_of_units(total, quantity, 0, cut) + share_of_units(total, quantity, cut, quantity - cut);
            prop_assert_eq!(parts, total);
        }

        #[test]
        fn shares_by_weight_add_up_to_the_total(total in 0..AMOUNT_MINOR_MAX, weights in prop::collection::vec(0..AMOUNT_MINOR_MAX, 1..50)) {
            prop_assert_eq!(split_by_weight(total, &weights).iter().sum::<i64>(), total);
        }
    }
}
