//! Working days: examples one can check on a wall calendar, and what holds for all of them.

use std::collections::BTreeSet;

use belay_domain::policy::limits::{HOLIDAYS_MAX, WORKING_DAYS_MAX};
use belay_domain::policy::{Calendar, CalendarError, Weekday};
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{document, policy, set};

/// With clock changes at night, at midnight, by half an hour, none, and across the date line.
const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Shanghai",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
];

fn calendar(zone: &str, weekend: &[Weekday], holidays: &[Date]) -> Calendar {
    let zone = TimeZone::get(zone).unwrap();
    Calendar::new(zone, weekend.iter().copied().collect(), holidays.iter().copied().collect()).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_days_end_where_the_buyer_lives() {
    let weekend = [Weekday::Saturday, Weekday::Sunday];
    let christmas = [date(2026, 12, 25)];
    // Zone, holidays, from, days, until.
    for (zone, holidays, from, days, until) in [
        ("UTC", &[][..], "2026-11-02T10:00:00Z", 0, "2026-11-02T10:00:00Z"),
        ("UTC", &[], "2026-11-02T10:00:00Z", 1, "2026-11-04T00:00:00Z"),
        ("UTC", &[], "2026-11-02T10:00:00Z", 3, "2026-11-06T00:00:00Z"),
        // A Friday: the weekend does not count.
        ("UTC", &[], "2026-11-06T23:59:59Z", 1, "2026-11-10T00:00:00Z"),
        ("UTC", &[], "2026-11-07T00:00:00Z", 1, "2026-11-10T00:00:00Z"),
        ("UTC", &[], "2026-11-08T00:00:00Z", 1, "2026-11-10T00:00:00Z"),
        ("UTC", &[], "2026-11-09T00:00:00Z", 1, "2026-11-11T00:00:00Z"),
        // Christmas is a Friday.
        ("UTC", &christmas[..], "2026-12-23T10:00:00Z", 1, "2026-12-25T00:00:00Z"),
        ("UTC", &christmas[..], "2026-12-24T10:00:00Z", 1, "2026-12-29T00:00:00Z"),
        // It is Tuesday already in Shanghai, and still Monday in New York.
        ("Asia/Shanghai", &[], "2026-11-02T20:00:00Z", 1, "2026-11-04T16:00:00Z"),
        ("America/New_York", &[], "2026-11-03T04:00:00Z", 1, "2026-11-04T05:00:00Z"),
        // Clocks change on Sunday 2026-10-25 in Berlin, on 2026-03-08 in New York.
        ("Europe/Berlin", &[], "2026-10-23T10:00:00Z", 1, "2026-10-26T23:00:00Z"),
        ("Europe/Berlin", &[], "2026-10-22T10:00:00Z", 1, "2026-10-23T22:00:00Z"),
        ("America/New_York", &[], "2026-03-06T10:00:00Z", 1, "2026-03-10T04:00:00Z"),
        // The day after has no midnight: in Cairo, Friday 2026-04-24 begins at 01:00.
        ("Africa/Cairo", &[], "2026-04-22T10:00:00Z", 1, "2026-04-23T22:00:00Z"),
    ] {
        let until_found = calendar(zone, &weekend, holidays).working_days_after(at(from), days);
        assert_eq!(until_found, at(until), "{days} working days after {from} in {zone}");
    }
}

#[test]
fn a_week_may_have_other_weekends_and_none() {
    let friday = calendar("Asia/Riyadh", &[Weekday::Friday, Weekday::Saturday], &[]);
    assert_eq!(friday.working_days_after(at("2026-11-05T10:00:00Z"), 1), at("2026-11-08T21:00:00Z"));
    let never = calendar("UTC", &[], &[]);
    assert_eq!(never.working_days_after(at("2026-11-06T10:00:00Z"), 1), at("2026-11-08T00:00:00Z"));
}

#[test]
fn a_calendar_leaves_days_to_work_on() {
    let new = |weekend: &[Weekday], holidays: usize| {
        let days: BTreeSet<Date> =
            (0..holidays).map(|day| date(2026, 1, 1) + i64::try_from(day).unwrap().days()).collect();
        Calendar::new(TimeZone::UTC, weekend.iter().copied().collect(), days)
    };
    assert!(new(&Weekday::ALL[1..], 0).is_ok());
    assert_eq!(new(Weekday::ALL, 0), Err(CalendarError::NoWorkingDay));
    assert!(new(&[], HOLIDAYS_MAX).is_ok());
    assert_eq!(new(&[], HOLIDAYS_MAX + 1), Err(CalendarError::TooManyHolidays(HOLIDAYS_MAX + 1)));
}

#[test]
fn the_end_of_the_calendar_is_an_answer_too() {
    let calendar = calendar("Pacific/Kiritimati", &[], &[]);
    assert_eq!(calendar.working_days_after(Timestamp::MAX, WORKING_DAYS_MAX), Timestamp::MAX);
    assert_eq!(calendar.working_days_after(at("9999-12-20T00:00:00Z"), u32::MAX), Timestamp::MAX);
}

#[test]
fn refunds_are_due_in_the_calendar_of_the_buyers_country() {
    let mut document = document();
    let weekend = json!(["SATURDAY", "SUNDAY"]);
    let calendars = json!({
        "default": {"time_zone": "UTC", "weekend": weekend},
        "DE": {"time_zone": "Europe/Berlin", "weekend": weekend, "holidays": ["2026-11-03"]}
    });
    let from = at("2026-11-02T10:00:00Z");
    set(&mut document, "/refunds/calendars", calendars);
    assert_eq!(policy(&document).refunds.due_by(from, "DE"), from);
    set(&mut document, "/refunds/due", json!({"working_days": 1}));
    let refunds = policy(&document).refunds;
    assert_eq!(refunds.due_by(from, "FR"), at("2026-11-04T00:00:00Z"));
    assert_eq!(refunds.due_by(from, "DE"), at("2026-11-04T23:00:00Z"));
}

fn any_calendar() -> impl Strategy<Value = (&'static str, Calendar)> {
    let weekend = prop::sample::subsequence(Weekday::ALL, 0..=6);
    let holidays = prop::collection::btree_set(0i64..1500, 0..60);
    (prop::sample::select(ZONES), weekend, holidays).prop_map(|(zone, weekend, holidays)| {
        let holidays: Vec<Date> = holidays.into_iter().map(|day| date(2024, 1, 1) + day.days()).collect();
        (zone, calendar(zone, &weekend, &holidays))
    })
}

/// From 2024 to 2027.
fn any_time() -> impl Strategy<Value = Timestamp> {
    (1_704_067_200i64..1_830_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

proptest! {
    #[test]
    fn the_day_that_ends_is_a_working_day((zone, calendar) in any_calendar(), from in any_time(), days in 1u32..30) {
        let zone = TimeZone::get(zone).unwrap();
        let until = calendar.working_days_after(from, days);
        let last = (until - SignedDuration::from_nanos(1)).to_zoned(zone.clone()).date();
        prop_assert!(calendar.is_working_day(last), "{last} is none");
        prop_assert_ne!(until.to_zoned(zone.clone()).date(), last);
        // As many working days lie between as were asked for.
        let mut day = from.to_zoned(zone).date();
        let mut counted = 0;
        while day < last {
            day = day.tomorrow().unwrap();
            counted += u32::from(calendar.is_working_day(day));
        }
        prop_assert_eq!(counted, days);
    }

    #[test]
    fn more_days_are_due_later((_, calendar) in any_calendar(), from in any_time(), days in 0u32..30) {
        prop_assert!(calendar.working_days_after(from, days) < calendar.working_days_after(from, days + 1));
    }

    #[test]
    fn what_begins_later_is_due_no_earlier(
        (_, calendar) in any_calendar(),
        from in any_time(),
        seconds in 0i64..2_000_000,
        days in 0u32..30,
    ) {
        let later = from + SignedDuration::from_secs(seconds);
        prop_assert!(calendar.working_days_after(from, days) <= calendar.working_days_after(later, days));
    }
}
