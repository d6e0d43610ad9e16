//! The times for which the server keeps what it has told and remembers: settings, and what is known
//! of their effect. `workers/prune_old_rows.rs` holds to them.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The least that any kind is kept: far longer than a caller repeats a request on its own, or a
/// reader of the feed is away for a restart.
pub const KEEP_MIN: Duration = HOUR;
/// The most that is not for ever: a hundred years.
pub const KEEP_MAX: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

pub const KEEP_EVENTS_DEFAULT: Keep = Keep::For(Duration::from_secs(30 * DAY.as_secs()));
pub const KEEP_REQUESTS_DEFAULT: Keep = Keep::For(Duration::from_secs(90 * DAY.as_secs()));
pub const KEEP_DECISIONS_DEFAULT: Keep = Keep::For(Duration::from_secs(400 * DAY.as_secs()));

pub const KEEP_BULK_RESULTS_DEFAULT: Keep = Keep::For(Duration::from_secs(90 * DAY.as_secs()));

/// Rows of one batch, where nothing else is said.
pub const BATCH_ROWS_DEFAULT: u16 = 500;

/// Between two passes over what is kept.
const PASS_INTERVAL: Duration = Duration::from_secs(60);

/// A kind of rows that are pruned by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What the feed gives out; the history of an order keeps them.
    Events,
    /// The answers to commands, by which a repetition is known.
    Requests,
    /// The questions to policies and their answers.
    Decisions,
    /// Bulk cancellations that have ended, with their results.
    BulkResults,
}

impl Kind {
    pub const ALL: [Self; 4] = [
        Self::Events,
        Self::Requests,
        Self::Decisions,
        Self::BulkResults,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Events => "events",
            Kind::Requests => "requests",
            Kind::Decisions => "decisions",
            Kind::BulkResults => "bulk_results",
        }
    }
}

/// The time for which rows of a kind are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    For(Duration),
    Forever,
}

/// A duration that nothing can be kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a duration such as 30d or 36h, from 1h to 36500d, or forever")]
pub struct KeepError;

impl FromStr for Keep {
    type Err = KeepError;

    fn from_str(text: &str) -> Result<Self, KeepError> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let span: jiff::Span = text.parse().map_err(|_| KeepError)?;
        // A day is 24 hours here: nobody's calendar is asked.
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        let kept = span.to_duration(days).map_err(|_| KeepError)?;
        let kept = Duration::try_from(kept).map_err(|_| KeepError)?;
        let is_in_bounds = (KEEP_MIN..=KEEP_MAX).contains(&kept);
        is_in_bounds.then_some(Self::For(kept)).ok_or(KeepError)
    }
}

/// The time for which each kind is kept.
#[derive(Debug, Clone, Copy)]
pub struct RetentionSettings {
    pub events: Keep,
    pub requests: Keep,
    pub decisions: Keep,
    pub bulk_results: Keep,
    /// Between two passes; less only for tests.
    pub pass_interval: Duration,
    /// Rows of one batch: see [`BATCH_ROWS_DEFAULT`].
    pub batch_rows: u16,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            events: KEEP_EVENTS_DEFAULT,
            requests: KEEP_REQUESTS_DEFAULT,
            decisions: KEEP_DECISIONS_DEFAULT,
            bulk_results: KEEP_BULK_RESULTS_DEFAULT,
            pass_interval: PASS_INTERVAL,
            batch_rows: BATCH_ROWS_DEFAULT,
        }
    }
}

impl RetentionSettings {
    pub fn keep(&self, kind: Kind) -> Keep {
        match kind {
            Kind::Events => self.events,
            Kind::Requests => self.requests,
            Kind::Decisions => self.decisions,
            Kind::BulkResults => self.bulk_results,
        }
    }
}

/// The age of the oldest rows, in seconds and as this server saw them last.
#[derive(Debug, Default)]
pub struct OldestRows {
    events: AtomicU64,
    requests: AtomicU64,
    decisions: AtomicU64,
    bulk_results: AtomicU64,
}

impl OldestRows {
    /// 0 where there are none, or nobody has looked.
    pub fn age(&self, kind: Kind) -> u64 {
        self.of(kind).load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, kind: Kind, age: Duration) {
        self.of(kind).store(age.as_secs(), Ordering::Relaxed);
    }

    fn of(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Events => &self.events,
            Kind::Requests => &self.requests,
            Kind::Decisions => &self.decisions,
            Kind::BulkResults => &self.bulk_results,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_how_long_is_read_within_its_bounds() {
        let kept = |text: &str| text.parse::<Keep>();
        assert_eq!(kept("30d"), Ok(KEEP_EVENTS_DEFAULT));
        assert_eq!(kept("90 days"), Ok(KEEP_REQUESTS_DEFAULT));
        assert_eq!(kept("9600h"), Ok(KEEP_DECISIONS_DEFAULT));
        assert_eq!(kept("forever"), Ok(Keep::Forever));
        assert_eq!(kept("1h"), Ok(Keep::For(KEEP_MIN)));
        assert_eq!(kept("36500d"), Ok(Keep::For(KEEP_MAX)));
        for odd in [
            "59m59s",
            "36500d 1s",
            "0",
            "0s",
            "",
            "-30d",
            "30",
            "1 month",
            "1y",
            "never",
            "Forever",
        ] {
            assert_eq!(kept(odd), Err(KeepError), "{odd:?}");
        }
    }

    #[test]
    fn every_kind_has_its_own_age() {
        let ages = OldestRows::default();
        for (kind, seconds) in Kind::ALL.into_iter().zip(1..) {
            assert_eq!(ages.age(kind), 0);
            ages.set(kind, Duration::from_secs(seconds));
        }
        let known: Vec<u64> = Kind::ALL.into_iter().map(|kind| ages.age(kind)).collect();
        assert_eq!(known, [1, 2, 3, 4]);
    }
}
