//! A line, and what its units carry.

use serde::{Deserialize, Serialize};

use crate::ids::Sku;
use crate::money::{Amounts, share_of_units};
use crate::units::{UnitRange, UnitSet};

/// One entry of what was bought. Amounts are for the whole line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub number: u32,
    pub sku: Sku,
    pub title: String,
    pub quantity: u32,
    /// Before discount and tax.
    pub goods: i64,
    pub discount: i64,
    pub tax: i64,
}

impl Line {
    /// What units of this line carry of its goods and discount, and of its tax.
    fn carried(&self, first: u32, count: u32) -> Amounts {
        self.amounts(UnitRange {
            line: self.number,
            first,
            count,
        })
    }

    /// So much of a hundred of what these units carry.
    ///
    /// The percentage is taken of the line, goods and tax together, and shared over its units: one
    /// running total goes over the units in turn, goods before tax, and each is worth what the
    /// rounded total grows by. So any split of the line, in any order, adds up to the percentage of
    /// the whole, and nothing is worth more than it carries.
    fn percentage(&self, range: UnitRange, percent: u32) -> Amounts {
        let percent = i128::from(percent);
        let before = self.carried(0, range.first);
        let mut total = i128::from(before.goods) + i128::from(before.tax);
        let mut grow = |by: i64| {
            let rounded = total * percent / 100;
            total += i128::from(by);
            // Never more than `by`, which fits.
            i64::try_from(total * percent / 100 - rounded).unwrap_or(by)
        };
        let mut sum = Amounts::ZERO;
        let mut unit = range.first;
        let end = range.first + range.count;
        while unit < end {
            let alike = self.alike(unit).min(end - unit);
            let carried = self.carried(unit, 1);
            // A hundred units that carry the same come to a whole number, so the hundreds after the
            // first repeat it.
            let hundreds = alike / 100;
            let mut of = |count: u32| {
                let one = |_| Amounts {
                    goods: grow(carried.goods),
                    tax: grow(carried.tax),
                    ..Amounts::ZERO
                };
                (0..count).map(one).sum::<Amounts>()
            };
            if hundreds > 0 {
                let hundred = of(100);
                let times = |amount: i64| amount * i64::from(hundreds);
                sum = sum
                    + Amounts {
                        goods: times(hundred.goods),
                        tax: times(hundred.tax),
                        ..Amounts::ZERO
                    };
            }
            sum = sum + of(alike % 100);
            unit += alike;
        }
        sum
    }

    /// How many units from this one on carry the same.
    fn alike(&self, unit: u32) -> u32 {
        let remainder = |total: i64| u32::try_from(total % i64::from(self.quantity)).unwrap_or(0);
        let changes = [
            remainder(self.goods),
            remainder(self.discount),
            remainder(self.tax),
            self.quantity,
        ];
        changes
            .into_iter()
            .filter(|at| *at > unit)
            .min()
            .map_or(1, |at| at - unit)
    }

    /// What units of this line carry.
    pub(super) fn amounts(&self, range: UnitRange) -> Amounts {
        let share = |total| share_of_units(total, self.quantity, range.first, range.count);
        Amounts {
            goods: share(self.goods) - share(self.discount),
            tax: share(self.tax),
            ..Amounts::ZERO
        }
    }
}

/// So much of a hundred of what these units of an order with these lines carry.
pub fn percentage_of(lines: &[Line], units: &UnitSet, percent: u32) -> Amounts {
    let of_range = |range: &UnitRange| {
        let line = lines.iter().find(|line| line.number == range.line)?;
        Some(line.percentage(*range, percent))
    };
    units.ranges().iter().filter_map(of_range).sum()
}
