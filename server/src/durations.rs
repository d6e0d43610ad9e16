//! Durations as people write them.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The duration that a text is, if it lies within the bounds.
pub fn within(text: &str, bounds: RangeInclusive<Duration>) -> Option<Duration> {
    let parsed: jiff::SignedDuration = text.parse().ok()?;
    let duration = Duration::try_from(parsed).ok()?;
    bounds.contains(&duration).then_some(duration)
}
