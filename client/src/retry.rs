//! The policy by which failed attempts are repeated.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;
use tower::retry::budget::TpsBudget;

/// The time for which a call adds to the budget.
const BUDGET_WINDOW: Duration = Duration::from_secs(10);

/// The policy by which the client repeats calls by itself.
///
/// The client repeats a call that failed with [`Kind::Unavailable`](crate::Kind::Unavailable), and
/// sends the same request id. Delays grow exponentially, with jitter. A delay that the server asks
/// for is added. A repeat that would start after the call's deadline is not made. All calls of one
/// [`Belay`](crate::Belay) share a budget, which keeps repeats few in an outage.
///
/// ```
/// use std::time::Duration;
/// use belay_client::RetryPolicy;
///
/// let patient = RetryPolicy::default()
///     .with_attempts_max(8)
///     .with_delays(Duration::from_millis(100), Duration::from_secs(3));
/// let never = RetryPolicy::never();
/// # let _ = (patient, never);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts_max: u32,
    delay_first: Duration,
    delay_max: Duration,
    budget_percent: u8,
    budget_floor_per_second: u32,
}

/// 5 attempts, delays from 50 ms to 1 s, a budget of 10 % of the calls and 10 per second.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 5,
            delay_first: Duration::from_millis(50),
            delay_max: Duration::from_secs(1),
            budget_percent: 10,
            budget_floor_per_second: 10,
        }
    }
}

impl RetryPolicy {
    /// A policy that repeats nothing.
    pub fn never() -> Self {
        Self::default().with_attempts_max(1)
    }

    /// The largest number of attempts of a call, the first included. 0 is taken as 1.
    #[must_use]
    pub fn with_attempts_max(mut self, attempts_max: u32) -> Self {
        self.attempts_max = attempts_max;
        self
    }

    /// The delay before the first repeat, and the longest delay. The delay doubles with each
    /// repeat. A random part of up to the same length is added to each.
    #[must_use]
    pub fn with_delays(mut self, delay_first: Duration, delay_max: Duration) -> Self {
        self.delay_first = delay_first;
        self.delay_max = delay_max;
        self
    }

    /// The budget of repeats for all calls together: a percentage of the calls (0 to 100, more is
    /// taken as 100), and a number per second in any case (at most 1,000,000).
    #[must_use]
    pub fn with_budget(mut self, percent: u8, floor_per_second: u32) -> Self {
        self.budget_percent = percent.min(100);
        self.budget_floor_per_second = floor_per_second.min(1_000_000);
        self
    }

    pub(crate) fn budget(&self) -> TpsBudget {
        TpsBudget::new(
            BUDGET_WINDOW,
            self.budget_floor_per_second,
            f32::from(self.budget_percent) / 100.0,
        )
    }

    /// The delay before each repeat. There are as many repeats as delays.
    pub(crate) fn delays(&self) -> impl Iterator<Item = Duration> + Send + use<> {
        let repeats_max =
            usize::try_from(self.attempts_max.saturating_sub(1)).unwrap_or(usize::MAX);
        ExponentialBuilder::default()
            .with_factor(2.0)
            .with_min_delay(self.delay_first)
            .with_max_delay(self.delay_max)
            .with_max_times(repeats_max)
            .with_jitter()
            .with_jitter_seed(fastrand::u64(..))
            .build()
    }
}

/// The longest wait; what is longer is taken as this. An instant cannot be as far away as a
/// duration can be long.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest delay that a server may ask for before a stream is opened again.
const SERVERS_DELAY_MAX: Duration = Duration::from_secs(5 * 60);

/// The instant so much later, by a clock that never jumps.
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait.min(WAIT_MAX)
}

/// Delays without an end, for what goes on until it is told to stop. They grow as those of a
/// [`RetryPolicy`] do, and begin anew after a success.
#[derive(Debug)]
pub(crate) struct Backoff {
    delay_first: Duration,
    delay_max: Duration,
    delays: Option<ExponentialBackoff>,
}

impl Backoff {
    pub(crate) fn new(delay_first: Duration, delay_max: Duration) -> Self {
        Self {
            delay_first,
            delay_max,
            delays: None,
        }
    }

    /// The next delay. The server's is the least, and ours is added to it.
    pub(crate) fn next_delay(&mut self, servers: Option<Duration>) -> Duration {
        let (first, max) = (self.delay_first, self.delay_max);
        let delays = self.delays.get_or_insert_with(|| {
            ExponentialBuilder::default()
                .with_factor(2.0)
                .with_min_delay(first)
                .with_max_delay(max)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(fastrand::u64(..))
                .build()
        });
        let ours = delays.next().unwrap_or(max);
        ours.saturating_add(servers.unwrap_or_default().min(SERVERS_DELAY_MAX))
    }

    /// Begins anew.
    pub(crate) fn reset(&mut self) {
        self.delays = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_greatest_and_end_with_the_attempts() {
        let policy = RetryPolicy::default().with_attempts_max(8);
        let delays: Vec<Duration> = policy.delays().collect();
        let least = [50, 100, 200, 400, 800, 1_000, 1_000].map(Duration::from_millis);
        assert_eq!(delays.len(), least.len());
        for (delay, least) in delays.into_iter().zip(least) {
            assert!(
                (least..=least * 2).contains(&delay),
                "{delay:?} of {least:?}"
            );
        }
    }

    #[test]
    fn two_callers_wait_differently() {
        let policy = RetryPolicy::default();
        let first: Vec<Duration> = policy.delays().collect();
        assert_ne!(first, policy.delays().collect::<Vec<_>>());
    }

    #[test]
    fn never_is_never() {
        assert_eq!(RetryPolicy::never().delays().count(), 0);
        assert_eq!(
            RetryPolicy::default().with_attempts_max(0).delays().count(),
            0
        );
    }

    #[test]
    fn a_backoff_has_no_end_and_begins_anew_after_a_success() {
        let [first, max] = [100, 1_000].map(Duration::from_millis);
        let mut backoff = Backoff::new(first, max);
        let delays: Vec<_> = (0..1_000).map(|_| backoff.next_delay(None)).collect();
        assert!(delays[0] >= first && delays[0] < first * 2);
        assert!(
            delays[10..]
                .iter()
                .all(|delay| *delay >= max && *delay < max * 2)
        );
        backoff.reset();
        let hour = Duration::from_secs(3600);
        let asked = backoff.next_delay(Some(hour));
        assert!(asked >= SERVERS_DELAY_MAX + first && asked < SERVERS_DELAY_MAX + first * 2);
    }

    #[tokio::test]
    async fn the_longest_wait_is_an_instant() {
        assert!(after(Duration::MAX) > after(Duration::ZERO));
    }
}
