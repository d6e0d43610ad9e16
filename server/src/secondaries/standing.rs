//! The standing of one secondary: until when it is known to follow, and whether it answers. It
//! knows no database and asks no clock.

use std::time::Duration;

use tokio::time::Instant;

/// How long one that has failed is left alone, and how long at most after it has failed again and
/// again.
const AWAY_LEAST: Duration = Duration::from_secs(1);
const AWAY_MOST: Duration = Duration::from_secs(30);

/// The standing of a secondary.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// It has shown all that was committed before then.
    as_of: Option<Instant>,
    away: Option<Away>,
}

#[derive(Debug, Clone, Copy)]
struct Away {
    until: Instant,
    lasts: Duration,
}

/// A change that is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Away,
    Back,
}

impl Standing {
    /// How old it is at most; None where it has failed, or has shown nothing yet.
    pub(super) fn staleness(&self, now: Instant) -> Option<Duration> {
        let as_of = self.as_of.filter(|_| self.away.is_none())?;
        Some(now.saturating_duration_since(as_of))
    }

    /// Whether it is to be looked at.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.away.is_none_or(|away| now >= away.until)
    }

    /// It has answered.
    pub(super) fn shows(&mut self, as_of: Option<Instant>) -> Change {
        // Two reads may end in another order than they began.
        self.as_of = self.as_of.max(as_of);
        match self.away.take() {
            Some(_) => Change::Back,
            None => Change::None,
        }
    }

    /// It has not. What was under way when it failed first counts once.
    pub(super) fn failed(&mut self, now: Instant) -> Change {
        let lasts = match self.away {
            None => AWAY_LEAST,
            Some(away) if now < away.until => return Change::None,
            Some(away) => (away.lasts * 2).min(AWAY_MOST),
        };
        let was_here = self.away.is_none();
        self.away = Some(Away {
            until: now + lasts,
            lasts,
        });
        if was_here { Change::Away } else { Change::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_fails_is_left_alone_longer_each_time_and_told_of_once() {
        let mut standing = Standing::default();
        let begun = Instant::now();
        assert_eq!(standing.shows(Some(begun)), Change::None);
        assert_eq!(standing.staleness(begun + AWAY_LEAST), Some(AWAY_LEAST));
        assert_eq!(standing.failed(begun), Change::Away);
        assert_eq!(standing.staleness(begun), None);
        let (mut now, mut waits) = (begun, Vec::new());
        for _ in 0..7 {
            assert_eq!(standing.failed(now), Change::None, "it is not looked at");
            let until = standing.away.unwrap().until;
            assert!(!standing.is_due(now) && standing.is_due(until));
            waits.push((until - now).as_secs());
            now = until;
            assert_eq!(standing.failed(now), Change::None);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(standing.shows(None), Change::Back);
        assert_eq!(standing.shows(None), Change::None);
        assert!(standing.is_due(now));
        assert_eq!(
            standing.staleness(now),
            Some(now - begun),
            "it was known before"
        );
        assert_eq!(standing.failed(now), Change::Away);
        assert_eq!(standing.away.unwrap().lasts, AWAY_LEAST);
    }

    #[test]
    fn what_was_shown_is_not_unshown() {
        let mut standing = Standing::default();
        let now = Instant::now();
        assert_eq!(standing.staleness(now), None);
        let later = now + AWAY_LEAST;
        standing.shows(Some(later));
        standing.shows(Some(now));
        standing.shows(None);
        assert_eq!(standing.staleness(later), Some(Duration::ZERO));
    }
}
