//! Sets of units of an order. A unit is one piece of a line, by index; units are kept as ranges
//! because a line may hold a million of them.

use serde::{Deserialize, Serialize};

/// A quantity of units of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineQuantity {
    pub line: u32,
    pub quantity: u32,
}

/// Units `first .. first + count` of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitRange {
    pub line: u32,
    pub first: u32,
    pub count: u32,
}

impl UnitRange {
    fn end(self) -> u32 {
        self.first + self.count
    }
}

/// A set of units: sorted, disjoint, never-empty ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnitSet(Vec<UnitRange>);

impl UnitSet {
    pub fn new(ranges: impl IntoIterator<Item = UnitRange>) -> Self {
        let mut sorted: Vec<UnitRange> =
            ranges.into_iter().filter(|range| range.count > 0).collect();
        sorted.sort_unstable();
        let mut merged: Vec<UnitRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if last.line == range.line && range.first <= last.end() => {
                    last.count = last.end().max(range.end()) - last.first;
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    pub fn ranges(&self) -> &[UnitRange] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn count(&self) -> u32 {
        self.0.iter().map(|range| range.count).sum()
    }

    pub fn count_of(&self, line: u32) -> u32 {
        self.0
            .iter()
            .filter(|range| range.line == line)
            .map(|range| range.count)
            .sum()
    }

    /// The lines that these units are of, each once, in order.
    pub fn lines(&self) -> impl Iterator<Item = u32> + '_ {
        let mut last = None;
        self.0
            .iter()
            .map(|range| range.line)
            .filter(move |line| last.replace(*line) != Some(*line))
    }

    #[must_use]
    pub fn union(&self, other: &UnitSet) -> UnitSet {
        UnitSet::new(self.0.iter().chain(&other.0).copied())
    }

    #[must_use]
    pub fn minus(&self, other: &UnitSet) -> UnitSet {
        let mut left = Vec::with_capacity(self.0.len());
        for range in &self.0 {
            let mut from = range.first;
            for taken in other.0.iter().filter(|taken| taken.line == range.line) {
                if taken.end() <= from || taken.first >= range.end() {
                    continue;
                }
                if taken.first > from {
                    left.push(UnitRange {
                        line: range.line,
                        first: from,
                        count: taken.first - from,
                    });
                }
                from = taken.end();
            }
            if from < range.end() {
                left.push(UnitRange {
                    line: range.line,
                    first: from,
                    count: range.end() - from,
                });
            }
        }
        UnitSet(left)
    }

    #[must_use]
    pub fn intersection(&self, other: &UnitSet) -> UnitSet {
        self.minus(&self.minus(other))
    }

    /// Up to `count` units of `line`, highest index first: what was promised first is kept longest.
    #[must_use]
    pub fn take_highest(&self, line: u32, count: u32) -> UnitSet {
        let mut left = count;
        let mut taken = Vec::new();
        for range in self.0.iter().rev().filter(|range| range.line == line) {
            let part = left.min(range.count);
            if part == 0 {
                break;
            }
            taken.push(UnitRange {
                line,
                first: range.end() - part,
                count: part,
            });
            left -= part;
        }
        UnitSet::new(taken)
    }
}

impl FromIterator<UnitRange> for UnitSet {
    fn from_iter<I: IntoIterator<Item = UnitRange>>(ranges: I) -> Self {
        UnitSet::new(ranges)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(ranges: &[(u32, u32, u32)]) -> UnitSet {
        ranges
            .iter()
            .map(|&(line, first, count)| UnitRange { line, first, count })
            .collect()
    }

    fn units(set: &UnitSet) -> BTreeSet<(u32, u32)> {
        set.ranges()
            .iter()
            .flat_map(|r| (r.first..r.first + r.count).map(|unit| (r.line, unit)))
            .collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        assert_eq!(
            set(&[(1, 2, 2), (1, 0, 2), (2, 0, 1), (1, 9, 0)]),
            set(&[(1, 0, 4), (2, 0, 1)])
        );
    }

    #[test]
    fn the_highest_units_are_taken_first() {
        assert_eq!(
            set(&[(1, 0, 2), (1, 5, 2)]).take_highest(1, 3),
            set(&[(1, 1, 1), (1, 5, 2)])
        );
        assert_eq!(set(&[(1, 0, 2)]).take_highest(2, 3), UnitSet::default());
        assert_eq!(set(&[(1, 0, 2)]).take_highest(1, 9), set(&[(1, 0, 2)]));
    }

    fn any_set() -> impl Strategy<Value = UnitSet> {
        prop::collection::vec((1u32..3, 0u32..20, 0u32..6), 0..6).prop_map(|ranges| set(&ranges))
    }

    proptest! {
        #[test]
        fn sets_of_ranges_behave_like_sets_of_units(a in any_set(), b in any_set()) {
            prop_assert_eq!(units(&a.union(&b)), &units(&a) | &units(&b));
            prop_assert_eq!(units(&a.minus(&b)), &units(&a) - &units(&b));
            prop_assert_eq!(units(&a.intersection(&b)), &units(&a) & &units(&b));
            prop_assert_eq!(usize::try_from(a.count()), Ok(units(&a).len()));
        }
    }
}
