//! The times for which a server waits: for calls when it stops, and for its database.

use std::time::Duration;

use clap::Args;

use crate::db::pool::CONNECTION_WAIT_DEFAULT;
use crate::durations::within;
use crate::engine::DATABASE_WAIT_MAX;
use crate::server::{DRAIN_MAX, ServerSettings};

/// Longer than any call is under way.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(600);
pub const CONNECTION_WAIT_MIN: Duration = Duration::from_millis(10);
/// Longer than a caller waits for anything.
pub const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longer than a wait for a locked order.
pub const DATABASE_WAIT_LEAST: Duration = Duration::from_secs(3);
pub const DATABASE_WAIT_MOST: Duration = Duration::from_secs(120);

/// The arguments for it.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitArguments {
    /// How long calls that are open when the doors close may go on before they are cut: such as 10s
    /// or 500ms, from 0s to 10m. A service manager must wait for this and the notice, and some
    /// seconds more.
    #[arg(long, env = "BELAY_DRAIN_TIME", default_value = "10s", value_parser = drain_time, value_name = "DURATION")]
    drain_time: Duration,
    /// How long a call waits for a free connection to the database before it is refused as
    /// OVERLOADED, or as DATABASE_UNAVAILABLE while the database does not answer: such as 2s or
    /// 500ms, from 10ms to 60s.
    #[arg(long, env = "BELAY_CONNECTION_WAIT", default_value = "2s", value_parser = connection_wait, value_name = "DURATION")]
    connection_wait: Duration,
    /// How long the database may take over a transaction up to its COMMIT, and as long again over
    /// the COMMIT, before its connection is given up as dead: such as 15s, from 3s to 120s. Less
    /// finds a database that is cut off sooner; more bears with one whose disk stalls.
    #[arg(long, env = "BELAY_DATABASE_WAIT", default_value = "15s", value_parser = database_wait, value_name = "DURATION")]
    database_wait: Duration,
}

impl Default for WaitArguments {
    fn default() -> Self {
        Self {
            drain_time: DRAIN_MAX,
            connection_wait: CONNECTION_WAIT_DEFAULT,
            database_wait: DATABASE_WAIT_MAX,
        }
    }
}

impl WaitArguments {
    pub fn set(self, settings: &mut ServerSettings) {
        settings.drain_max = self.drain_time;
        settings.connection_wait_max = self.connection_wait;
        settings.database_wait_max = self.database_wait;
    }
}

fn drain_time(text: &str) -> Result<Duration, String> {
    within(text, Duration::ZERO..=DRAIN_TIME_MAX)
        .ok_or_else(|| "must be a duration such as 10s or 500ms, from 0s to 10m".to_owned())
}

fn connection_wait(text: &str) -> Result<Duration, String> {
    within(text, CONNECTION_WAIT_MIN..=CONNECTION_WAIT_MAX)
        .ok_or_else(|| "must be a duration such as 2s or 500ms, from 10ms to 60s".to_owned())
}

fn database_wait(text: &str) -> Result<Duration, String> {
    within(text, DATABASE_WAIT_LEAST..=DATABASE_WAIT_MOST)
        .ok_or_else(|| "must be a duration such as 15s, from 3s to 120s".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        waits: WaitArguments,
    }

    #[test]
    fn defaults_are_those_of_a_server() {
        let given = Program::try_parse_from(["belay"]).expect("defaults").waits;
        assert_eq!(
            format!("{given:?}"),
            format!("{:?}", WaitArguments::default())
        );
    }

    #[test]
    fn each_wait_has_its_bounds() {
        for (flag, taken, refused) in [
            ("--drain-time", ["0s", "10m"], ["-1s", "10m 1ms"]),
            ("--connection-wait", ["10ms", "60s"], ["9ms", "60s 1ms"]),
            ("--database-wait", ["3s", "120s"], ["2999ms", "120s 1ms"]),
        ] {
            let given = |text: &str| Program::try_parse_from(["belay", &format!("{flag}={text}")]);
            for text in taken {
                assert!(given(text).is_ok(), "{flag} {text}");
            }
            for text in refused.into_iter().chain(["", "15", "soon"]) {
                assert!(given(text).is_err(), "{flag} {text}");
            }
        }
    }
}
