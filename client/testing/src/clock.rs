//! The server's clock: it runs as the machine's does, or stands still, and is moved on by hand.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Only this server's; nothing of the machine changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The machine's clock, so much later.
    Running { ahead: SignedDuration },
    /// It moves only when it is moved.
    Stopped { at: Timestamp },
}

impl Clock {
    /// The time by which decisions are made, to the microsecond, as the server on MySQL keeps it.
    pub(crate) fn now(self) -> Timestamp {
        let now = match self {
            Clock::Running { ahead } => machine_time()
                .saturating_add(ahead)
                .unwrap_or(Timestamp::MAX),
            Clock::Stopped { at } => at,
        };
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        match self {
            Clock::Running { ahead } => *ahead = ahead.saturating_add(by),
            Clock::Stopped { at } => *at = at.saturating_add(by).unwrap_or(Timestamp::MAX),
        }
    }
}

fn machine_time() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one home of time in this crate"
    )]
    Timestamp::now()
}
