//! The schedule of the calls, for all callers together: when the next is due.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// A stretch of time in which calls are begun.
#[derive(Debug)]
pub(crate) struct Schedule {
    begun: Instant,
    end: Instant,
    /// Calls a second. None where callers go on as they are answered.
    rate: Option<u32>,
    /// Calls that have a time.
    given: AtomicU64,
    /// When it was stopped, if it was.
    stopped: watch::Sender<Option<Instant>>,
}

impl Schedule {
    pub(crate) fn begin(duration: Duration, rate: Option<u32>) -> Self {
        let begun = Instant::now();
        Self {
            begun,
            end: begun + duration,
            rate,
            given: AtomicU64::new(0),
            stopped: watch::Sender::new(None),
        }
    }

    /// No call begins any more.
    pub(crate) fn stop(&self) {
        self.stopped.send_replace(Some(Instant::now()));
    }

    /// When the call was due that the caller makes now. None where it makes no more.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let due = match self.rate {
            None => Instant::now(),
            Some(rate) => {
                let call = self.given.fetch_add(1, Ordering::Relaxed);
                let due = self.begun + span(call, rate);
                if due >= self.end {
                    return None;
                }
                let mut stopped = self.stopped.subscribe();
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    _ = stopped.wait_for(Option::is_some) => {}
                }
                due
            }
        };
        let is_over = Instant::now() >= self.end || self.stopped.borrow().is_some();
        (!is_over).then_some(due)
    }

    /// For how long calls were begun.
    fn lasted(&self) -> Duration {
        let until = self.stopped.borrow().unwrap_or(self.end).min(self.end);
        until - self.begun
    }

    /// From the first call on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Of the calls that were due, those that no caller was free for. Whoever goes on as it is
    /// answered has none.
    pub(crate) fn not_begun(&self, begun: u64) -> u64 {
        self.rate.map_or(0, |rate| {
            due_within(self.lasted(), rate).saturating_sub(begun)
        })
    }
}

/// From the first call to this one.
fn span(call: u64, rate: u32) -> Duration {
    let rate = u64::from(rate);
    let nanos = (call % rate) * 1_000_000_000 / rate;
    Duration::from_secs(call / rate) + Duration::from_nanos(nanos)
}

fn due_within(duration: Duration, rate: u32) -> u64 {
    let rate = u64::from(rate);
    let part = u64::from(duration.subsec_nanos()) * rate;
    duration.as_secs() * rate + part.div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_due_evenly() {
        let rows = [
            (0, 4, Duration::ZERO),
            (1, 4, Duration::from_millis(250)),
            (9, 4, Duration::from_millis(2_250)),
            (1, 1_000_000, Duration::from_micros(1)),
        ];
        for (call, rate, due) in rows {
            assert_eq!(span(call, rate), due, "{call} at {rate}");
        }
        for (duration, rate, due) in [
            (Duration::from_secs(2), 4, 8),
            (Duration::from_millis(2_001), 4, 9),
            (Duration::from_millis(2_250), 4, 9),
        ] {
            assert_eq!(due_within(duration, rate), due, "{duration:?} at {rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_as_late_as_its_caller() {
        let schedule = Schedule::begin(Duration::from_secs(2), Some(2));
        let begun = Instant::now();
        assert_eq!(schedule.next().await, Some(begun));
        // The caller was busy for a second and a half: the next calls were due long ago.
        tokio::time::advance(Duration::from_millis(1_500)).await;
        let due = schedule.next().await.unwrap();
        assert_eq!(due - begun, Duration::from_millis(500));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(schedule.next().await, None);
        assert_eq!(schedule.not_begun(2), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_without_a_rate_ask_at_once_until_it_is_over() {
        let schedule = Schedule::begin(Duration::from_secs(2), None);
        assert_eq!(schedule.next().await, Some(Instant::now()));
        tokio::time::advance(Duration::from_millis(1_999)).await;
        assert_eq!(schedule.next().await, Some(Instant::now()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(schedule.next().await, None);
        assert_eq!(schedule.not_begun(2), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_call_is_made_that_is_due_after_the_end() {
        let schedule = Schedule::begin(Duration::from_secs(1), Some(2));
        for _ in 0..2 {
            schedule.next().await.unwrap();
        }
        assert_eq!(schedule.next().await, None);
        assert_eq!(schedule.not_begun(2), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_turn_is_told_of_the_stop() {
        let schedule = Schedule::begin(Duration::from_secs(24 * 3_600), Some(1));
        schedule.next().await.unwrap();
        let stop = async { schedule.stop() };
        let (next, ()) = tokio::join!(schedule.next(), stop);
        assert_eq!(next, None);
        assert_eq!(schedule.next().await, None);
        assert_eq!(schedule.not_begun(1), 0);
    }
}
