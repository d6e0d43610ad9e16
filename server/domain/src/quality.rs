//! A seller's quality: how many of its orders or shipments of a window count against it, by the
//! policy's section `quality`.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use crate::ids::{OrderId, OrderKey, SellerId, StoreId};
use crate::names::named_enum;
use crate::policy::{Quality, QualityDenominator, QualityNumerator, QualityThreshold};

named_enum! {
    /// A kind of fact that is counted of a seller. Each order, shipment or cancellation counts once
    /// of each kind, when it was first so.
    pub enum FactKind {
        OrderPlaced = "ORDER_PLACED",
        /// It was released to its warehouse: from then on it is the seller's to send.
        ShipmentDue = "SHIPMENT_DUE",
        /// It cancelled units, and its reason counts.
        CancellationCounted = "CANCELLATION_COUNTED",
        /// A cancellation whose reason counts cancelled units in it.
        ShipmentCounted = "SHIPMENT_COUNTED",
    }
}

impl FactKind {
    pub fn of_numerator(numerator: QualityNumerator) -> Self {
        match numerator {
            QualityNumerator::CountedCancellations => FactKind::CancellationCounted,
            QualityNumerator::CountedShipments => FactKind::ShipmentCounted,
        }
    }

    pub fn of_denominator(denominator: QualityDenominator) -> Self {
        match denominator {
            QualityDenominator::OrdersPlaced => FactKind::OrderPlaced,
            QualityDenominator::ShipmentsDue => FactKind::ShipmentDue,
        }
    }
}

/// Something that is counted of a seller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SellerFact {
    pub store: StoreId,
    pub seller: SellerId,
    pub order: OrderId,
    pub kind: FactKind,
    /// Of the shipment or the cancellation in its order; 0 for the order itself.
    pub number: u32,
    /// The cancellation, where one is counted.
    pub cancellation: Option<u32>,
    pub time: Timestamp,
}

impl SellerFact {
    pub fn order_key(&self) -> OrderKey {
        OrderKey::of(&self.store, &self.order)
    }
}

/// The days over which a seller's quality is measured, in the store's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub first: Date,
    pub last: Date,
    /// The instants in which they begin and are over.
    pub begin: Timestamp,
    pub end: Timestamp,
    /// When the window moves on.
    pub moves_at: Timestamp,
}

impl Window {
    /// The window of this moment: so many days, the last of which is today, or lies so many days
    /// before it as the policy lags.
    pub fn at(now: Timestamp, quality: &Quality, zone: &TimeZone) -> Self {
        let today = zone.to_datetime(now).date();
        let begin_of = |date| begin_of(date, zone);
        let last = today.saturating_sub(i64::from(quality.lag_days).days());
        let first = last.saturating_sub(i64::from(quality.window_days.saturating_sub(1)).days());
        Self {
            first,
            last,
            begin: begin_of(first),
            end: begin_of(last.saturating_add(1.day())),
            moves_at: next_day(now, zone),
        }
    }
}

/// When the day of this moment ends in a time zone.
pub fn next_day(now: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = zone.to_datetime(now).date();
    begin_of(today.saturating_add(1.day()), zone)
}

fn begin_of(date: Date, zone: &TimeZone) -> Timestamp {
    // Where midnight is left out, the day begins with what comes after it.
    let midnight = zone.to_ambiguous_timestamp(date.at(0, 0, 0, 0));
    midnight.compatible().unwrap_or(Timestamp::MAX)
}

/// A rate of what counts. Of nothing it is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub numerator: u64,
    pub denominator: u64,
}

impl Rate {
    /// Hundredths of a percent, rounded down; at most 10,000 of what does not count more than it is
    /// of.
    pub fn basis_points(self) -> u64 {
        let tens_of_thousands = self.numerator.saturating_mul(10_000);
        tens_of_thousands.checked_div(self.denominator).unwrap_or(0)
    }

    /// With so many more that count.
    #[must_use]
    pub fn with(self, more: u64) -> Self {
        Self {
            numerator: self.numerator.saturating_add(more),
            ..self
        }
    }

    /// At a threshold it is reached.
    pub fn reaches(self, threshold: &QualityThreshold) -> bool {
        self.denominator > 0 && self.numerator.saturating_mul(100) >= self.needed(threshold)
    }

    /// How many more may count before the threshold is reached.
    pub fn headroom(self, threshold: &QualityThreshold) -> u64 {
        let reached_by = self.needed(threshold).div_ceil(100);
        reached_by.saturating_sub(self.numerator.saturating_add(1))
    }

    /// The same for the next threshold; None where there is none that is not reached.
    pub fn headroom_to_next(self, quality: &Quality) -> Option<u64> {
        let mut thresholds = quality.thresholds.iter();
        let next = thresholds.find(|threshold| !self.reaches(threshold))?;
        Some(self.headroom(next))
    }

    fn needed(self, threshold: &QualityThreshold) -> u64 {
        u64::from(threshold.percent).saturating_mul(self.denominator)
    }
}

/// A threshold that a seller's rate has crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    pub threshold: QualityThreshold,
    /// The rate has reached it; else it has gone back below it.
    pub is_reached: bool,
}

/// What has changed since these thresholds were the ones that are reached, lowest first. A
/// threshold that the policy no longer has is forgotten.
pub fn crossings(reached: &BTreeSet<String>, quality: &Quality, rate: Rate) -> Vec<Crossing> {
    let changed = quality.thresholds.iter().filter_map(|threshold| {
        let is_reached = rate.reaches(threshold);
        (is_reached != reached.contains(&threshold.name)).then(|| Crossing {
            threshold: threshold.clone(),
            is_reached,
        })
    });
    changed.collect()
}

/// The thresholds that are reached.
pub fn reached(quality: &Quality, rate: Rate) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    for threshold in &quality.thresholds {
        if rate.reaches(threshold) {
            reached.insert(threshold.name.clone());
        }
    }
    reached
}

/// A crossing as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossingRecord {
    /// 1, 2, 3 and so on for each seller.
    pub number: u32,
    pub crossing: Crossing,
    pub rate: Rate,
    pub time: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quality(window_days: u32, lag_days: u32) -> Quality {
        let threshold = |name: &str, percent| QualityThreshold {
            name: name.to_owned(),
            percent,
        };
        Quality {
            numerator: QualityNumerator::CountedCancellations,
            denominator: QualityDenominator::OrdersPlaced,
            window_days,
            lag_days,
            thresholds: vec![threshold("WARNING", 10), threshold("EXCEEDED", 20)],
        }
    }

    fn rate(numerator: u64, denominator: u64) -> Rate {
        Rate {
            numerator,
            denominator,
        }
    }

    #[test]
    fn a_window_is_whole_days_of_the_store() {
        let zone = TimeZone::get("Asia/Shanghai").unwrap();
        // It is Tuesday there already.
        let now: Timestamp = "2026-03-02T17:00:00Z".parse().unwrap();
        let window = Window::at(now, &quality(7, 0), &zone);
        let dates = (window.first.to_string(), window.last.to_string());
        assert_eq!(dates, ("2026-02-25".to_owned(), "2026-03-03".to_owned()));
        assert_eq!(window.begin.to_string(), "2026-02-24T16:00:00Z");
        assert_eq!(window.end.to_string(), "2026-03-03T16:00:00Z");
        assert_eq!(window.moves_at, window.end);
        let lagging = Window::at(now, &quality(28, 7), &zone);
        let dates = (lagging.first.to_string(), lagging.last.to_string());
        assert_eq!(dates, ("2026-01-28".to_owned(), "2026-02-24".to_owned()));
        assert_eq!(lagging.moves_at, window.moves_at);
    }

    #[test]
    fn a_rate_is_told_in_basis_points_and_reached_at_its_threshold() {
        assert_eq!(rate(25, 100).basis_points(), 2_500);
        assert_eq!(rate(1, 3).basis_points(), 3_333);
        assert_eq!(rate(0, 0).basis_points(), 0);
        let quality = quality(7, 0);
        let names = |numerator, denominator| -> Vec<String> {
            reached(&quality, rate(numerator, denominator))
                .into_iter()
                .collect()
        };
        assert_eq!(names(9, 100), [""; 0]);
        assert_eq!(names(10, 100), ["WARNING"]);
        assert_eq!(names(20, 100), ["EXCEEDED", "WARNING"]);
        assert_eq!(names(1, 0), [""; 0], "a rate of nothing is none");
    }

    #[test]
    fn headroom_is_what_may_count_before_the_next_threshold() {
        let quality = quality(7, 0);
        for (numerator, denominator, headroom) in [
            (0, 100, Some(9)),
            (8, 100, Some(1)),
            (9, 100, Some(0)),
            (10, 100, Some(9)),
            (20, 100, None),
            (0, 5, Some(0)),
            (0, 11, Some(1)),
            (0, 0, Some(0)),
        ] {
            let rate = rate(numerator, denominator);
            assert_eq!(rate.headroom_to_next(&quality), headroom, "{rate:?}");
            if let Some(headroom) = headroom
                && denominator > 0
            {
                let reached_now = reached(&quality, rate).len();
                assert_eq!(reached(&quality, rate.with(headroom)).len(), reached_now);
                assert!(reached(&quality, rate.with(headroom + 1)).len() > reached_now);
            }
        }
    }

    #[test]
    fn a_threshold_is_crossed_once_in_each_direction() {
        let quality = quality(7, 0);
        let told = |reached: &[&str], rate| -> Vec<(String, bool)> {
            let reached = reached.iter().map(|name| (*name).to_owned()).collect();
            let crossed = crossings(&reached, &quality, rate).into_iter();
            crossed
                .map(|crossing| (crossing.threshold.name, crossing.is_reached))
                .collect()
        };
        let (up, down) = (true, false);
        let warning = |is_reached| ("WARNING".to_owned(), is_reached);
        let exceeded = |is_reached| ("EXCEEDED".to_owned(), is_reached);
        assert_eq!(told(&[], rate(25, 100)), [warning(up), exceeded(up)]);
        assert_eq!(told(&["WARNING", "EXCEEDED"], rate(25, 100)), []);
        assert_eq!(
            told(&["WARNING", "EXCEEDED"], rate(15, 100)),
            [exceeded(down)]
        );
        assert_eq!(told(&["WARNING"], rate(0, 100)), [warning(down)]);
        assert_eq!(told(&["FORMER"], rate(0, 100)), []);
    }
}
