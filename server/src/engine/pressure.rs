//! The time at which callers that were shed may come back.
//!
//! Each of them costs a call, and who comes back too soon is shed again: ten times as many callers
//! as can be served would keep the service busy with turning them away. So the wait follows from
//! how many were shed and how many taken: in that time no more of them come back than a share of
//! what is served meanwhile.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The shortest wait, and where the first that is shed begins.
pub const OVERLOADED_RETRY_MIN: Duration = Duration::from_millis(250);
/// The longest wait: who was shed must learn soon that the load is over.
pub const OVERLOADED_RETRY_MAX: Duration = Duration::from_secs(4);
/// Between two looks at what was shed and taken.
const LOOK: Duration = Duration::from_millis(500);
/// Of so many that are taken one comes back too soon.
const TAKEN_PER_RETURN: u32 = 4;
/// So many times as long, or as short, a wait may become at one look: what a look saw may have been
/// a moment.
const CHANGE_MAX: u32 = 4;

/// The recent counts of what was shed and taken.
#[derive(Debug)]
pub(super) struct Pressure(Mutex<Counted>);

#[derive(Debug, Clone, Copy)]
struct Counted {
    since: Instant,
    shed: u32,
    taken: u32,
    wait: Duration,
}

impl Pressure {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Counted {
            since: now,
            shed: 0,
            taken: 0,
            wait: OVERLOADED_RETRY_MIN,
        }))
    }

    pub(super) fn taken(&self, commands: usize) {
        let mut counted = self.counted();
        let commands = u32::try_from(commands).unwrap_or(u32::MAX);
        counted.taken = counted.taken.saturating_add(commands);
    }

    /// How long the one that is shed now is told to wait: up to a quarter more or less, so that
    /// those who are shed together do not come back together.
    pub(super) fn shed(&self, now: Instant) -> Duration {
        let mut counted = self.counted();
        counted.shed = counted.shed.saturating_add(1);
        if now.duration_since(counted.since) >= LOOK {
            *counted = Counted {
                since: now,
                shed: 0,
                taken: 0,
                wait: counted.next_wait(),
            };
        }
        counted.wait.mul_f64(0.75 + fastrand::f64() / 2.0)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Who was shed comes back after the wait: with another one as many times more or fewer come.
    fn next_wait(&self) -> Duration {
        let (shed, taken) = (f64::from(self.shed), f64::from(self.taken.max(1)));
        let change = shed * f64::from(TAKEN_PER_RETURN) / taken;
        let change_max = f64::from(CHANGE_MAX);
        self.wait
            .mul_f64(change.clamp(1.0 / change_max, change_max))
            .clamp(OVERLOADED_RETRY_MIN, OVERLOADED_RETRY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_ms(wait_ms: u64, shed: u32, taken: u32) -> u128 {
        let counted = Counted {
            since: Instant::now(),
            shed,
            taken,
            wait: Duration::from_millis(wait_ms),
        };
        counted.next_wait().as_millis()
    }

    #[test]
    fn the_wait_follows_what_is_shed_and_taken() {
        // A quarter of what is taken comes back: so it stays.
        assert_eq!(next_ms(1_000, 250, 1_000), 1_000);
        // As many as are taken come back: four times as long.
        assert_eq!(next_ms(500, 1_000, 1_000), 2_000);
        assert_eq!(next_ms(1_000, 125, 1_000), 500);
    }

    #[test]
    fn one_look_changes_it_by_a_bounded_factor_and_within_bounds() {
        assert_eq!(next_ms(300, 1_000_000, 1), 1_200);
        assert_eq!(next_ms(2_000, 1, 1_000_000), 500);
        assert_eq!(next_ms(250, 1, 1_000_000), 250);
        assert_eq!(next_ms(4_000, 1_000_000, 1), 4_000);
        // Nothing was taken: as long as it may become at once.
        assert_eq!(next_ms(250, 7, 0), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_while_as_many_are_shed_and_shrink_after_it() {
        let pressure = Pressure::new(Instant::now());
        // What is told lies within a quarter of the wait.
        let told = |wait: Duration| wait.mul_f64(0.75)..=wait.mul_f64(1.25);
        assert!(told(OVERLOADED_RETRY_MIN).contains(&pressure.shed(Instant::now())));
        for _ in 0..3 {
            pressure.taken(100);
            (0..100).for_each(|_| {
                pressure.shed(Instant::now());
            });
            tokio::time::advance(LOOK).await;
            pressure.shed(Instant::now());
        }
        assert!(told(OVERLOADED_RETRY_MAX).contains(&pressure.shed(Instant::now())));
        pressure.taken(1_000_000);
        for _ in 0..2 {
            tokio::time::advance(LOOK).await;
            pressure.taken(1_000_000);
            pressure.shed(Instant::now());
        }
        assert!(told(OVERLOADED_RETRY_MIN).contains(&pressure.shed(Instant::now())));
    }
}
