//! The time that a party has to answer.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::calendar::Calendar;

/// A length of time that only its start turns into a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// So much time on any clock.
    Time(SignedDuration),
    /// Until the same local time so many days later, weekends or not. In the hour that a clock
    /// change skips or repeats, who starts later may end earlier: both keep their local time.
    CalendarDays(u32),
    /// Until the nth working day after is over.
    WorkingDays(u32),
}

impl Period {
    /// The first instant that is no longer in time. Calendar days are counted in `zone`, working
    /// days by `calendar`.
    pub fn deadline(self, from: Timestamp, zone: &TimeZone, calendar: &Calendar) -> Timestamp {
        match self {
            Period::Time(duration) => from.saturating_add(duration).unwrap_or(Timestamp::MAX),
            Period::CalendarDays(days) => {
                // A local time that a clock change skips is taken as late as it can be, so nobody
                // loses an hour; one that comes twice is taken the first time, as the days
                // themselves count it.
                let later = from
                    .to_zoned_datetime(zone.clone())
                    .checked_add(i64::from(days).days());
                later.map_or(Timestamp::MAX, |later| later.timestamp())
            }
            Period::WorkingDays(days) => calendar.working_days_after(from, days),
        }
    }
}
