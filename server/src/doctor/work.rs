//! Checks of the work in the database: what is late, and policies whose calendars run out.

use belay_domain::ids::StoreId;
use belay_domain::policy;
use belay_domain::projection::Projection;
use belay_domain::scope::IdFilter;
use belay_domain::store::active;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::db::{
    Conn, DbError, feed, figures, policies, projection_positions, projections, settings, stores,
};

/// A deadline that passed longer ago and is not applied is told.
const DUE_LATE_MAX: SignedDuration = SignedDuration::from_mins(5);
/// A projection further behind than so many events is told.
const BEHIND_MAX: u64 = 10_000;
/// A calendar without a holiday in so many days to come is told.
const HOLIDAYS_DAYS_MIN: i64 = 90;
/// Stores whose policies are looked at.
const STORES_MAX: u16 = 1_000;
/// Calendars that are told each on a line of its own.
const TOLD_MAX: usize = 10;

/// Deadlines and projections that are behind.
pub(super) async fn lags(conn: &mut Conn, now: Timestamp) -> Result<Vec<Finding>, DbError> {
    let partitions = settings::read(conn).await?.partitions.count.get();
    let (orders, first) = figures::due(conn, partitions, now).await?;
    let late = first.map_or(SignedDuration::ZERO, |first| now.duration_since(first));
    let mut findings = vec![of_due(orders, late)];
    let ends = feed::ends(conn).await?;
    for projection in Projection::ALL {
        let serving = projections::get(conn, *projection).await?.serving;
        let read = projection_positions::all(conn, *projection, serving).await?;
        // One that has not begun has read nothing.
        let read = read.into_iter().map(|(_, position)| position);
        let behind = ends.iter().zip(read.chain(std::iter::repeat(0)));
        let behind = behind
            .map(|(end, read)| end.last.saturating_sub(read))
            .sum();
        findings.push(of_projection(projection.name(), behind));
    }
    Ok(findings)
}

fn of_due(orders: u64, late: SignedDuration) -> Finding {
    if late <= DUE_LATE_MAX {
        return Finding::fine("deadlines are applied as they pass");
    }
    Finding::warning(
        format!("{orders} orders have deadlines that passed, the first {late:#} ago"),
        "is a server running? The log of each says why an order could not be settled",
    )
}

fn of_projection(name: &str, behind: u64) -> Finding {
    let what = format!("the projection {name} is {behind} events behind the feed");
    if behind <= BEHIND_MAX {
        return Finding::fine(what);
    }
    Finding::warning(
        what,
        "is a server running? The log of each says where a projection does not go on",
    )
}

/// Calendars of the policies that decide now, whose last holiday has passed or will soon.
pub(super) async fn calendars(conn: &mut Conn, now: Timestamp) -> Result<Vec<Finding>, DbError> {
    let mut ending = Vec::new();
    let stores = stores::list(conn, &IdFilter::All, None, STORES_MAX).await?;
    let ids: Vec<&StoreId> = stores.iter().map(|store| &store.id).collect();
    let activations = policies::activations_of(conn, &ids).await?;
    for id in ids {
        let decides = activations.get(id).and_then(|of| active(of, now));
        let Some(activation) = decides else { continue };
        let stored = policies::get(conn, id, activation.version).await?;
        // What is stored was read before it was.
        let Some(Ok(policy)) = stored.map(|stored| policy::parse(&stored.document)) else {
            continue;
        };
        let version = activation.version;
        let calendars = policy.refunds.calendars.iter();
        let default = ("default", &policy.refunds.default_calendar);
        let calendars = calendars
            .map(|(name, of)| (name.as_str(), of))
            .chain([default]);
        let ends = calendars.filter_map(|(name, calendar)| Some((name, calendar.last_holiday()?)));
        ending.extend(ends.filter(|(_, last)| is_ending(*last, now)).map(|(name, last)| {
            format!("the calendar {name} of policy {version} of store {id} has no holiday after {last}")
        }));
    }
    Ok(of_calendars(ending))
}

fn is_ending(last: Date, now: Timestamp) -> bool {
    let today = jiff::tz::TimeZone::UTC.to_datetime(now).date();
    let enough = today.checked_add(jiff::Span::new().days(HOLIDAYS_DAYS_MIN));
    enough.is_ok_and(|enough| last < enough)
}

fn of_calendars(ending: Vec<String>) -> Vec<Finding> {
    if ending.is_empty() {
        return vec![Finding::fine("calendars of policies have holidays to come")];
    }
    let fix = "activate a policy that has the next year's";
    let more = ending.len().saturating_sub(TOLD_MAX);
    let told = ending.into_iter().take(TOLD_MAX);
    let mut findings: Vec<Finding> = told.map(|what| Finding::warning(what, fix)).collect();
    if more > 0 {
        let what = format!("{more} more calendars of policies run out of holidays");
        findings.push(Finding::warning(what, fix));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    #[test]
    fn what_is_late_is_told_beyond_its_bound() {
        let second = SignedDuration::from_secs(1);
        assert_eq!(of_due(1, DUE_LATE_MAX).weight, Weight::Fine);
        assert_eq!(of_due(1, DUE_LATE_MAX + second).weight, Weight::Warning);
        assert_eq!(of_projection("stock", BEHIND_MAX).weight, Weight::Fine);
        assert_eq!(
            of_projection("stock", BEHIND_MAX + 1).weight,
            Weight::Warning
        );
    }

    #[test]
    fn calendars_end_with_their_last_holiday() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        assert!(is_ending(jiff::civil::date(2026, 3, 31), now));
        assert!(!is_ending(jiff::civil::date(2026, 4, 1), now));
        let told = |count: usize| of_calendars(vec!["x".to_owned(); count]).len();
        assert_eq!([0, 1, 10, 11, 99].map(told), [1, 1, 10, 11, 11]);
    }
}
