//! Working days: which days count where the buyer lives, and when the N-th of them is over.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::names::named_enum;

/// Public holidays of one calendar.
pub const HOLIDAYS_MAX: usize = 1000;

named_enum! {
    pub enum Weekday {
        Monday = "MONDAY",
        Tuesday = "TUESDAY",
        Wednesday = "WEDNESDAY",
        Thursday = "THURSDAY",
        Friday = "FRIDAY",
        Saturday = "SATURDAY",
        Sunday = "SUNDAY",
    }
}

impl From<jiff::civil::Weekday> for Weekday {
    fn from(weekday: jiff::civil::Weekday) -> Self {
        match weekday {
            jiff::civil::Weekday::Monday => Weekday::Monday,
            jiff::civil::Weekday::Tuesday => Weekday::Tuesday,
            jiff::civil::Weekday::Wednesday => Weekday::Wednesday,
            jiff::civil::Weekday::Thursday => Weekday::Thursday,
            jiff::civil::Weekday::Friday => Weekday::Friday,
            jiff::civil::Weekday::Saturday => Weekday::Saturday,
            jiff::civil::Weekday::Sunday => Weekday::Sunday,
        }
    }
}

/// The error of a calendar that cannot count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("must leave at least one day to work on")]
    NoWorkingDay,
    #[error("may have at most {HOLIDAYS_MAX} days, has {0}")]
    TooManyHolidays(usize),
}

/// The working days of one region, in its time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    time_zone: TimeZone,
    weekend: BTreeSet<Weekday>,
    holidays: BTreeSet<Date>,
}

impl Calendar {
    /// At least one day of the week must be a working day, and holidays are finitely many: so every
    /// count of days ends.
    pub fn new(
        time_zone: TimeZone,
        weekend: BTreeSet<Weekday>,
        holidays: BTreeSet<Date>,
    ) -> Result<Self, CalendarError> {
        if weekend.len() == Weekday::ALL.len() {
            return Err(CalendarError::NoWorkingDay);
        }
        if holidays.len() > HOLIDAYS_MAX {
            return Err(CalendarError::TooManyHolidays(holidays.len()));
        }
        Ok(Self {
            time_zone,
            weekend,
            holidays,
        })
    }

    /// Monday to Friday in UTC, for a policy that counts no working days and so says nothing of
    /// them.
    pub fn monday_to_friday() -> Self {
        let weekend = BTreeSet::from([Weekday::Saturday, Weekday::Sunday]);
        Self {
            time_zone: TimeZone::UTC,
            weekend,
            holidays: BTreeSet::new(),
        }
    }

    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }

    /// None where no day is a holiday.
    pub fn last_holiday(&self) -> Option<Date> {
        self.holidays.last().copied()
    }

    pub fn is_working_day(&self, day: Date) -> bool {
        !self.weekend.contains(&Weekday::from(day.weekday())) && !self.holidays.contains(&day)
    }

    /// The end of the `days`-th working day strictly after the local day of `from`: the first
    /// instant that is no longer in time. `from` itself for no days. Where the calendar ends (the
    /// year 9999), the last instant there is.
    pub fn working_days_after(&self, from: Timestamp, days: u32) -> Timestamp {
        if days == 0 {
            return from;
        }
        let mut left = days;
        let mut day = self.time_zone.to_datetime(from).date();
        while let Ok(next) = day.tomorrow() {
            day = next;
            if self.is_working_day(day) {
                left -= 1;
            }
            if left == 0 {
                return self.end_of(day);
            }
        }
        Timestamp::MAX
    }

    /// 00:00 of the day after, or the first instant of it where a clock change skips its midnight.
    fn end_of(&self, day: Date) -> Timestamp {
        let midnight = day
            .tomorrow()
            .and_then(|next| next.to_zoned_datetime(self.time_zone.clone()));
        midnight.map_or(Timestamp::MAX, |midnight| midnight.timestamp())
    }
}
