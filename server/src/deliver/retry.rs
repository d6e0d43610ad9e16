//! The plan of retries: an event that was sent is taken, sent again, or set aside.

use std::time::Duration;

use belay_domain::feed::HeldState;

use crate::telemetry::deliveries::Verdict;

/// The outcome of sending an event once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SendOutcome {
    Taken,
    /// The receiver will never take it.
    Refused(String),
    /// It may take it later, not before so long where it says so.
    Failed {
        failure: String,
        retry_after: Option<Duration>,
        /// It is too much for the receiver, whatever the event.
        is_throttled: bool,
    },
}

/// The state of an event that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) state: HeldState,
    pub(super) attempts: u32,
    /// Until it is sent again.
    pub(super) wait: Duration,
    pub(super) failure: String,
}

/// The number of times that an event is sent, and the waits between.
#[derive(Debug, Clone, Copy)]
pub(super) struct RetryPlan {
    pub(super) attempts_max: u32,
    /// Before the second attempt; doubled with each.
    pub(super) delay: Duration,
    /// The longest, also where the receiver asks for more.
    pub(super) delay_max: Duration,
}

impl RetryPlan {
    /// The next step for an event that was sent so often.
    pub(super) fn follow_up(&self, outcome: SendOutcome, attempts: u32) -> (Verdict, Option<Hold>) {
        let dead = |failure| Hold {
            state: HeldState::Dead,
            attempts,
            wait: Duration::ZERO,
            failure,
        };
        match outcome {
            SendOutcome::Taken => (Verdict::Taken, None),
            SendOutcome::Refused(failure) => (Verdict::Refused, Some(dead(failure))),
            SendOutcome::Failed { failure, .. } if attempts >= self.attempts_max => {
                (Verdict::Exhausted, Some(dead(failure)))
            }
            SendOutcome::Failed {
                failure,
                retry_after,
                ..
            } => {
                let asked = retry_after.unwrap_or_default().min(self.delay_max);
                let hold = Hold {
                    state: HeldState::Waiting,
                    attempts,
                    wait: self.backoff(attempts, fastrand::f64()).max(asked),
                    failure,
                };
                (Verdict::Failed, Some(hold))
            }
        }
    }

    /// Between half of the delay and all of it, so that orders that failed together come back
    /// apart.
    fn backoff(&self, attempts: u32, chance: f64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(u32::BITS - 1);
        let delay = self.delay.saturating_mul(1 << doublings);
        let half = delay.min(self.delay_max) / 2;
        half + half.mul_f64(chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: RetryPlan = RetryPlan {
        attempts_max: 3,
        delay: Duration::from_secs(2),
        delay_max: Duration::from_secs(60),
    };

    fn failed(retry_after: Option<u64>) -> SendOutcome {
        SendOutcome::Failed {
            failure: "HTTP 503".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
            is_throttled: false,
        }
    }

    #[test]
    fn delays_double_up_to_their_bound() {
        let delays = |chance| {
            let delays = (1..=7).map(|attempts| PLAN.backoff(attempts, chance).as_secs());
            delays.collect::<Vec<_>>()
        };
        assert_eq!(delays(0.0), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(delays(1.0), [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(PLAN.backoff(u32::MAX, 1.0), PLAN.delay_max);
    }

    #[test]
    fn a_receiver_may_ask_for_more_time_within_the_bound() {
        let wait = |retry_after| PLAN.follow_up(failed(retry_after), 1).1.unwrap().wait;
        assert!(wait(None) <= Duration::from_secs(2));
        assert!(wait(Some(0)) >= Duration::from_secs(1));
        assert_eq!(wait(Some(59)), Duration::from_secs(59));
        assert_eq!(wait(Some(60)), Duration::from_secs(60));
        assert_eq!(wait(Some(61)), Duration::from_secs(60));
    }

    #[test]
    fn the_last_attempt_and_a_refusal_make_a_dead_letter() {
        let state = |outcome, attempts| {
            let (verdict, hold) = PLAN.follow_up(outcome, attempts);
            (verdict, hold.map(|hold| hold.state))
        };
        assert_eq!(
            state(failed(None), 2),
            (Verdict::Failed, Some(HeldState::Waiting))
        );
        assert_eq!(
            state(failed(None), 3),
            (Verdict::Exhausted, Some(HeldState::Dead))
        );
        assert_eq!(
            state(SendOutcome::Refused(String::new()), 1),
            (Verdict::Refused, Some(HeldState::Dead))
        );
        assert_eq!(state(SendOutcome::Taken, 3), (Verdict::Taken, None));
    }
}
