//! Deadlines in working days and in calendar days: examples one can check on a wall calendar, and
//! what holds for all of them.

use std::collections::BTreeSet;

use belay_domain::calendar::{Calendar, CalendarError, HOLIDAYS_MAX, Weekday};
use belay_domain::period::Period;
use belay_domain::policy::limits::WORKING_DAYS_MAX;
use jiff::civil::{Date, date};
use jiff::tz::{AmbiguousOffset, TimeZone};
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
    Calendar::new(
        zone,
        weekend.iter().copied().collect(),
        holidays.iter().copied().collect(),
    )
    .unwrap()
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
        (
            "UTC",
            &[][..],
            "2026-11-02T10:00:00Z",
            0,
            "2026-11-02T10:00:00Z",
        ),
        (
            "UTC",
            &[],
            "2026-11-02T10:00:00Z",
            1,
            "2026-11-04T00:00:00Z",
        ),
        (
            "UTC",
            &[],
            "2026-11-02T10:00:00Z",
            3,
            "2026-11-06T00:00:00Z",
        ),
        // A Friday: the weekend does not count.
        (
            "UTC",
            &[],
            "2026-11-06T23:59:59Z",
            1,
            "2026-11-10T00:00:00Z",
        ),
        (
            "UTC",
            &[],
            "2026-11-07T00:00:00Z",
            1,
            "2026-11-10T00:00:00Z",
        ),
        (
            "UTC",
            &[],
            "2026-11-08T00:00:00Z",
            1,
            "2026-11-10T00:00:00Z",
        ),
        (
            "UTC",
            &[],
            "2026-11-09T00:00:00Z",
            1,
            "2026-11-11T00:00:00Z",
        ),
        // Christmas is a Friday.
        (
            "UTC",
            &christmas[..],
            "2026-12-23T10:00:00Z",
            1,
            "2026-12-25T00:00:00Z",
        ),
        (
            "UTC",
            &christmas[..],
            "2026-12-24T10:00:00Z",
            1,
            "2026-12-29T00:00:00Z",
        ),
        // It is Tuesday already in Shanghai, and still Monday in New York.
        (
            "Asia/Shanghai",
            &[],
            "2026-11-02T20:00:00Z",
            1,
            "2026-11-04T16:00:00Z",
        ),
        (
            "America/New_York",
            &[],
            "2026-11-03T04:00:00Z",
            1,
            "2026-11-04T05:00:00Z",
        ),
        // Clocks change on Sunday 2026-10-25 in Berlin, on 2026-03-08 in New York.
        (
            "Europe/Berlin",
            &[],
            "2026-10-23T10:00:00Z",
            1,
            "2026-10-26T23:00:00Z",
        ),
        (
            "Europe/Berlin",
            &[],
            "2026-10-22T10:00:00Z",
            1,
            "2026-10-23T22:00:00Z",
        ),
        (
            "America/New_York",
            &[],
            "2026-03-06T10:00:00Z",
            1,
            "2026-03-10T04:00:00Z",
        ),
        // The day after has no midnight: in Cairo, Friday 2026-04-24 begins at 01:00.
        (
            "Africa/Cairo",
            &[],
            "2026-04-22T10:00:00Z",
            1,
            "2026-04-23T22:00:00Z",
        ),
    ] {
        let until_found = calendar(zone, &weekend, holidays).working_days_after(at(from), days);
        assert_eq!(
            until_found,
            at(until),
            "{days} working days after {from} in {zone}"
        );
    }
}

#[test]
fn a_week_may_have_other_weekends_and_none() {
    let friday = calendar("Asia/Riyadh", &[Weekday::Friday, Weekday::Saturday], &[]);
    assert_eq!(
        friday.working_days_after(at("2026-11-05T10:00:00Z"), 1),
        at("2026-11-08T21:00:00Z")
    );
    let never = calendar("UTC", &[], &[]);
    assert_eq!(
        never.working_days_after(at("2026-11-06T10:00:00Z"), 1),
        at("2026-11-08T00:00:00Z")
    );
}

#[test]
fn a_calendar_leaves_days_to_work_on() {
    let new = |weekend: &[Weekday], holidays: usize| {
        let days: BTreeSet<Date> = (0..holidays)
            .map(|day| date(2026, 1, 1) + i64::try_from(day).unwrap().days())
            .collect();
        Calendar::new(TimeZone::UTC, weekend.iter().copied().collect(), days)
    };
    assert!(new(&Weekday::ALL[1..], 0).is_ok());
    assert_eq!(new(Weekday::ALL, 0), Err(CalendarError::NoWorkingDay));
    assert!(new(&[], HOLIDAYS_MAX).is_ok());
    assert_eq!(
        new(&[], HOLIDAYS_MAX + 1),
        Err(CalendarError::TooManyHolidays(HOLIDAYS_MAX + 1))
    );
}

#[test]
fn the_end_of_the_calendar_is_an_answer_too() {
    let calendar = calendar("Pacific/Kiritimati", &[], &[]);
    assert_eq!(
        calendar.working_days_after(Timestamp::MAX, WORKING_DAYS_MAX),
        Timestamp::MAX
    );
    assert_eq!(
        calendar.working_days_after(at("9999-12-20T00:00:00Z"), u32::MAX),
        Timestamp::MAX
    );
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

fn calendar_days(zone: &str, from: &str, days: u32) -> Timestamp {
    let zone = TimeZone::get(zone).unwrap();
    Period::CalendarDays(days).deadline(at(from), &zone, &Calendar::monday_to_friday())
}

#[test]
fn calendar_days_end_at_the_same_local_time() {
    // Zone, from, days, until.
    for (zone, from, days, until) in [
        ("UTC", "2026-11-06T23:59:59Z", 2, "2026-11-08T23:59:59Z"),
        // Clocks go forward at 02:00 on Sunday 2026-03-29 in Berlin, and back at 03:00 on
        // 2026-10-25: a day of 23 hours, one of 25.
        (
            "Europe/Berlin",
            "2026-03-28T10:00:00Z",
            1,
            "2026-03-29T09:00:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-10-24T10:00:00Z",
            1,
            "2026-10-25T11:00:00Z",
        ),
        (
            "Europe/Berlin",
            "2026-03-28T10:00:00Z",
            365,
            "2027-03-28T09:00:00Z",
        ),
        // By half an hour.
        (
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            1,
            "2026-10-03T23:30:00Z",
        ),
    ] {
        assert_eq!(
            calendar_days(zone, from, days),
            at(until),
            "{days} days after {from} in {zone}"
        );
    }
}

#[test]
fn a_local_time_that_is_skipped_is_taken_as_late_as_it_can_be() {
    // 02:30 does not exist in Berlin that Sunday: 03:30 is meant, which comes as long after
    // midnight.
    assert_eq!(
        calendar_days("Europe/Berlin", "2026-03-28T01:30:00Z", 1),
        at("2026-03-29T01:30:00Z")
    );
    // Samoa had no 30 December in 2011.
    assert_eq!(
        calendar_days("Pacific/Apia", "2011-12-28T20:00:00Z", 2),
        at("2011-12-30T20:00:00Z")
    );
}

#[test]
fn a_local_time_that_comes_twice_is_taken_the_first_time() {
    // 02:30 comes at 00:30Z and at 01:30Z in Berlin that Sunday: the first is a whole day after.
    assert_eq!(
        calendar_days("Europe/Berlin", "2026-10-24T00:30:00Z", 1),
        at("2026-10-25T00:30:00Z")
    );
    // Whoever is asked in the second of the two has until that local time all the same.
    assert_eq!(
        calendar_days("Europe/Berlin", "2026-10-25T01:30:00Z", 1),
        at("2026-10-26T01:30:00Z")
    );
}

#[test]
fn a_length_of_time_takes_no_notice_of_clocks() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let deadline =
        |period: Period, from| period.deadline(from, &berlin, &Calendar::monday_to_friday());
    let from = at("2026-03-28T10:00:00Z");
    let years = SignedDuration::from_hours(3 * 365 * 24);
    assert_eq!(
        deadline(Period::Time(SignedDuration::from_hours(48)), from),
        at("2026-03-30T10:00:00Z")
    );
    assert_eq!(
        deadline(Period::Time(years), from),
        at("2029-03-27T10:00:00Z")
    );
    for wait in [
        Period::Time(years),
        Period::CalendarDays(366),
        Period::WorkingDays(90),
    ] {
        assert_eq!(deadline(wait, Timestamp::MAX), Timestamp::MAX);
    }
}

#[test]
fn working_days_of_a_wait_are_those_of_the_calendar_and_not_of_the_zone_beside_it() {
    let shanghai = calendar("Asia/Shanghai", &[Weekday::Saturday, Weekday::Sunday], &[]);
    let found =
        Period::WorkingDays(1).deadline(at("2026-11-06T10:00:00Z"), &TimeZone::UTC, &shanghai);
    assert_eq!(found, at("2026-11-09T16:00:00Z"));
}

fn any_calendar() -> impl Strategy<Value = (&'static str, Calendar)> {
    let weekend = prop::sample::subsequence(Weekday::ALL, 0..=6);
    let holidays = prop::collection::btree_set(0i64..1500, 0..60);
    (prop::sample::select(ZONES), weekend, holidays).prop_map(|(zone, weekend, holidays)| {
        let holidays: Vec<Date> = holidays
            .into_iter()
            .map(|day| date(2024, 1, 1) + day.days())
            .collect();
        (zone, calendar(zone, &weekend, &holidays))
    })
}

/// From 2024 to 2027.
fn any_time() -> impl Strategy<Value = Timestamp> {
    (1_704_067_200i64..1_830_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// A zone, and a start and days that lead to within three hours of one of its changes of clocks,
/// where it has any.
fn around_a_change() -> impl Strategy<Value = (TimeZone, Timestamp, u32)> {
    let seconds = -10_800i64..10_800;
    (prop::sample::select(ZONES), any_time(), seconds, 1u32..400).prop_map(
        |(zone, time, seconds, days)| {
            let zone = TimeZone::get(zone).unwrap();
            let change = zone
                .following(time)
                .next()
                .map_or(time, |change| change.timestamp());
            let local = zone.to_datetime(change + SignedDuration::from_secs(seconds))
                - i64::from(days).days();
            let from = local.to_zoned_datetime(zone.clone()).unwrap().timestamp();
            (zone, from, days)
        },
    )
}

proptest! {
    #[test]
    fn the_day_that_ends_is_a_working_day((zone, calendar) in any_calendar(), from in any_time(), days in 1u32..30) {
        let zone = TimeZone::get(zone).unwrap();
        let until = calendar.working_days_after(from, days);
        let last = (until - SignedDuration::from_nanos(1)).to_zoned_datetime(zone.clone()).date();
        prop_assert!(calendar.is_working_day(last), "{last} is none");
        prop_assert_ne!(until.to_zoned_datetime(zone.clone()).date(), last);
        // As many working days lie between as were asked for.
        let mut day = from.to_zoned_datetime(zone).date();
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

    /// At the first instant of the day after, whatever the clocks do: at no other time of the day
    /// does anybody's time end.
    #[test]
    fn working_days_end_with_the_day((zone, calendar) in any_calendar(), from in any_time(), days in 1u32..30) {
        let until = calendar.working_days_after(from, days);
        let zone = TimeZone::get(zone).unwrap();
        prop_assert_eq!(until.to_zoned_datetime(zone).start_of_day().unwrap().timestamp(), until);
    }

    #[test]
    fn calendar_days_keep_the_local_time_where_there_is_one((zone, from, days) in around_a_change()) {
        let until = Period::CalendarDays(days).deadline(from, &zone, &Calendar::monday_to_friday());
        let wanted = zone.to_datetime(from) + i64::from(days).days();
        let found = zone.to_datetime(until);
        let is_skipped = matches!(zone.to_ambiguous_timestamp(wanted).offset(), AmbiguousOffset::Gap { .. });
        prop_assert_eq!(is_skipped, found != wanted, "{} is wanted, {} found", wanted, found);
        // As late as it can be, and nowhere are clocks put forward by more than a day.
        prop_assert!(found >= wanted && found <= wanted + 1.day());
        prop_assert!(until > from);
    }

    #[test]
    fn more_calendar_days_are_later(zone in prop::sample::select(ZONES), from in any_time(), days in 1u32..400) {
        let zone = TimeZone::get(zone).unwrap();
        let until = |days| Period::CalendarDays(days).deadline(from, &zone, &Calendar::monday_to_friday());
        prop_assert!(until(days) < until(days + 1));
    }

    /// Within the hour that a clock change skips or repeats, an earlier start may end later: both
    /// keep their local time.
    #[test]
    fn what_begins_a_day_later_is_due_no_earlier(
        zone in prop::sample::select(ZONES),
        from in any_time(),
        seconds in 86_400i64..2_000_000,
        days in 1u32..400,
    ) {
        let zone = TimeZone::get(zone).unwrap();
        let until = |from| Period::CalendarDays(days).deadline(from, &zone, &Calendar::monday_to_friday());
        prop_assert!(until(from) <= until(from + SignedDuration::from_secs(seconds)));
    }
}
