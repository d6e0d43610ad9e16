//! The bounds of batches, queues and background work: how much is done at once, and how much waits.
//!
//! Their defaults suit a small machine and a good database. No wait is among them by which a batch
//! is filled: a lane takes what is there, and while one batch commits the next gathers.

use std::time::Duration;

use clap::Args;

use crate::durations::within;
use crate::engine::{
    BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, EngineBounds, LANE_QUEUE_MAX, PARKED_ORDERS_MAX,
};
use crate::feed::STREAMS_MAX;
use crate::page_gate::PAGES_WAITING_MAX;
use crate::reads::READ_QUEUE_MAX;
use crate::retention::BATCH_ROWS_DEFAULT;
use crate::server::ServerSettings;
use crate::simulation::SIMULATIONS_MAX;
use crate::workers::settle_due_orders::IN_FLIGHT_MAX;

/// More commands would be more rows than one transaction should lock, and be rolled back with.
pub const BATCH_COMMANDS_MOST: u16 = 512;
pub const BATCH_KIB_LEAST: u16 = 64;
/// Below what a server of MySQL takes as one packet where nothing else is said.
pub const BATCH_KIB_MOST: u16 = 16_384;
pub const QUEUE_LEAST: u32 = 16;
pub const QUEUE_MOST: u32 = 65_536;
pub const LOCKED_ORDERS_MOST: u16 = 4_096;
pub const LANE_WAIT_LEAST: Duration = Duration::from_millis(10);
/// Longer than a caller waits for anything, so that the number alone bounds the queue.
pub const LANE_WAIT_MOST: Duration = Duration::from_secs(60);
pub const PAGES_WAITING_MOST: u16 = 4_096;
pub const PAGE_WAIT_LEAST: Duration = Duration::from_millis(10);
/// Longer than a caller waits for anything.
pub const PAGE_WAIT_MOST: Duration = Duration::from_secs(60);
pub const FEED_POLL_LEAST: Duration = Duration::from_millis(10);
/// Twice as long, and a watcher is told that nobody knows what others have committed.
pub const FEED_POLL_MOST: Duration = Duration::from_secs(1);
pub const FEED_STREAMS_MOST: u32 = 100_000;
pub const SIMULATIONS_MOST: u16 = 64;
pub const SETTLING_ORDERS_MOST: u16 = 8_192;
pub const PRUNE_ROWS_LEAST: u16 = 50;
pub const PRUNE_ROWS_MOST: u16 = 10_000;
const KIB: usize = 1024;

/// The arguments for it.
#[derive(Debug, Clone, Args)]
pub struct LoadBounds {
    /// Commands that one transaction commits: 1 to 512. Fewer give shorter transactions and more
    /// commits.
    #[arg(long, env = "BELAY_BATCH_COMMANDS", default_value_t = default(BATCH_COMMANDS_MAX), value_name = "COMMANDS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(BATCH_COMMANDS_MOST)))]
    batch_commands: u16,
    /// KiB of the commands that one transaction commits: 64 to 16384; a single longer one goes
    /// alone.
    #[arg(long, env = "BELAY_BATCH_KIB", default_value_t = default(BATCH_BYTES_MAX / KIB), value_name = "KIB",
        value_parser = clap::value_parser!(u16).range(i64::from(BATCH_KIB_LEAST)..=i64::from(BATCH_KIB_MOST)))]
    batch_kib: u16,
    /// Commands that wait in one lane, of callers and of background work each: 16 to 65536. One
    /// more is OVERLOADED, or the last of the caller that has the most there. Where the database is
    /// slow, less says so sooner.
    #[arg(long, env = "BELAY_LANE_QUEUE", default_value_t = wide(LANE_QUEUE_MAX), value_name = "COMMANDS",
        value_parser = clap::value_parser!(u32).range(i64::from(QUEUE_LEAST)..=i64::from(QUEUE_MOST)))]
    lane_queue: u32,
    /// How long a command may have to wait in its lane, judged by how long the full batches before
    /// it took: such as 200ms or 1s, from 10ms to 60s. One that would wait longer is OVERLOADED at
    /// once, or the last of the caller that has the most there; two batches may always wait. Less
    /// keeps answers quick when too many come, more takes in longer rushes.
    #[arg(long, env = "BELAY_LANE_WAIT", default_value = "150ms", value_parser = lane_wait, value_name = "DURATION")]
    lane_wait: Duration,
    /// Orders that another transaction has locked and that are waited for off their lane: 1
    /// to 4096. A command on one more is CONTENTION.
    #[arg(long, env = "BELAY_LOCKED_ORDERS", default_value_t = default(PARKED_ORDERS_MAX), value_name = "ORDERS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(LOCKED_ORDERS_MOST)))]
    locked_orders: u16,
    /// Reads of single orders that wait: 16 to 65536. One more is OVERLOADED, or the last of the
    /// caller that has the most there.
    #[arg(long, env = "BELAY_READ_QUEUE", default_value_t = wide(READ_QUEUE_MAX), value_name = "READS",
        value_parser = clap::value_parser!(u32).range(i64::from(QUEUE_LEAST)..=i64::from(QUEUE_MOST)))]
    read_queue: u32,
    /// Pages of lists and counts that wait for their turn: 1 to 4096.
    #[arg(long, env = "BELAY_PAGES_WAITING", default_value_t = default(PAGES_WAITING_MAX), value_name = "PAGES",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(PAGES_WAITING_MOST)))]
    pages_waiting: u16,
    /// How long a page waits for its turn before it is OVERLOADED: such as 2s or 500ms, from 10ms
    /// to 60s.
    #[arg(long, env = "BELAY_PAGE_WAIT", default_value = "2s", value_parser = page_wait, value_name = "DURATION")]
    page_wait: Duration,
    /// How often the feed looks for what other servers have committed, while somebody watches: such
    /// as 50ms, from 10ms to 1s. What this server commits is told at once.
    #[arg(long, env = "BELAY_FEED_POLL", default_value = "50ms", value_parser = feed_poll, value_name = "DURATION")]
    feed_poll: Duration,
    /// Streams of the feed that are open at once: 1 to 100000. One more is OVERLOADED.
    #[arg(long, env = "BELAY_FEED_STREAMS", default_value_t = wide(STREAMS_MAX), value_name = "STREAMS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(FEED_STREAMS_MOST)))]
    feed_streams: u32,
    /// Simulations of policies that run at once: 1 to 64. One more is OVERLOADED.
    #[arg(long, env = "BELAY_SIMULATIONS", default_value_t = default(SIMULATIONS_MAX), value_name = "SIMULATIONS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(SIMULATIONS_MOST)))]
    simulations: u16,
    /// Orders with a deadline that has passed that are settled at once: 1 to 8192. They take a
    /// quarter of a batch at most while callers wait.
    #[arg(long, env = "BELAY_SETTLING_ORDERS", default_value_t = default(IN_FLIGHT_MAX), value_name = "ORDERS",
        value_parser = clap::value_parser!(u16).range(1..=i64::from(SETTLING_ORDERS_MOST)))]
    settling_orders: u16,
    /// Rows that are pruned in one transaction: 50 to 10000. The rest after it is as long as it
    /// took.
    #[arg(long, env = "BELAY_PRUNE_ROWS", default_value_t = BATCH_ROWS_DEFAULT, value_name = "ROWS",
        value_parser = clap::value_parser!(u16).range(i64::from(PRUNE_ROWS_LEAST)..=i64::from(PRUNE_ROWS_MOST)))]
    prune_rows: u16,
}

/// A default as its argument has it.
fn default(of: usize) -> u16 {
    u16::try_from(of).unwrap_or(u16::MAX)
}

fn wide(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

fn size(of: u32) -> usize {
    usize::try_from(of).unwrap_or(usize::MAX)
}

fn lane_wait(text: &str) -> Result<Duration, String> {
    within(text, LANE_WAIT_LEAST..=LANE_WAIT_MOST)
        .ok_or_else(|| "must be a duration such as 200ms or 1s, from 10ms to 60s".to_owned())
}

fn page_wait(text: &str) -> Result<Duration, String> {
    within(text, PAGE_WAIT_LEAST..=PAGE_WAIT_MOST)
        .ok_or_else(|| "must be a duration such as 2s or 500ms, from 10ms to 60s".to_owned())
}

fn feed_poll(text: &str) -> Result<Duration, String> {
    within(text, FEED_POLL_LEAST..=FEED_POLL_MOST)
        .ok_or_else(|| "must be a duration such as 50ms, from 10ms to 1s".to_owned())
}

impl LoadBounds {
    pub fn set(&self, settings: &mut ServerSettings) {
        settings.engine = EngineBounds {
            batch_commands: self.batch_commands.into(),
            batch_bytes: usize::from(self.batch_kib) * KIB,
            queue: size(self.lane_queue),
            wait_max: self.lane_wait,
            parked_orders: self.locked_orders.into(),
        };
        settings.read_queue = size(self.read_queue);
        settings.pages.waiting_max = self.pages_waiting.into();
        settings.pages.wait_max = self.page_wait;
        settings.feed.poll = self.feed_poll;
        settings.feed.streams_max = size(self.feed_streams);
        settings.simulation.at_once = self.simulations.into();
        settings.settling_orders = self.settling_orders.into();
        settings.retention.batch_rows = self.prune_rows;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::SecretString;

    use super::*;
    use crate::auth::Authentication;
    use crate::engine::LANE_WAIT_MAX;
    use crate::feed::POLL;
    use crate::page_gate::PAGE_WAIT_MAX;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        bounds: LoadBounds,
    }

    fn settings(arguments: &[&str]) -> Result<ServerSettings, clap::Error> {
        let program = Program::try_parse_from([&["belay"], arguments].concat())?;
        let url = SecretString::from("mysql://belay@127.0.0.1/belay");
        let mut settings = ServerSettings::new(url, Authentication::Dev);
        program.bounds.set(&mut settings);
        Ok(settings)
    }

    /// What the bounds are of a server with these settings, in their order.
    fn bounds(settings: &ServerSettings) -> String {
        let ServerSettings {
            engine,
            read_queue,
            pages,
            feed,
            simulation,
            settling_orders,
            retention,
            ..
        } = settings;
        format!(
            "{engine:?} {read_queue} {} {:?} {:?} {} {} {settling_orders} {}",
            pages.waiting_max,
            pages.wait_max,
            feed.poll,
            feed.streams_max,
            simulation.at_once,
            retention.batch_rows
        )
    }

    #[test]
    fn defaults_are_those_of_a_server() {
        let url = SecretString::from("mysql://belay@127.0.0.1/belay");
        let own = ServerSettings::new(url, Authentication::Dev);
        assert_eq!(bounds(&settings(&[]).unwrap()), bounds(&own));
        assert_eq!(lane_wait("150ms"), Ok(LANE_WAIT_MAX));
        assert_eq!(feed_poll("50ms"), Ok(POLL));
        assert_eq!(page_wait("2s"), Ok(PAGE_WAIT_MAX));
    }

    #[test]
    fn each_bound_has_its_range_and_its_place() {
        for (flag, taken, refused) in [
            ("--batch-commands", ["1", "512"], ["0", "513"]),
            ("--batch-kib", ["64", "16384"], ["63", "16385"]),
            ("--lane-queue", ["16", "65536"], ["15", "65537"]),
            ("--lane-wait", ["10ms", "60s"], ["9ms", "60s 1ms"]),
            ("--locked-orders", ["1", "4096"], ["0", "4097"]),
            ("--read-queue", ["16", "65536"], ["15", "65537"]),
            ("--pages-waiting", ["1", "4096"], ["0", "4097"]),
            ("--page-wait", ["10ms", "60s"], ["9ms", "60s 1ms"]),
            ("--feed-poll", ["10ms", "1s"], ["9ms", "1001ms"]),
            ("--feed-streams", ["1", "100000"], ["0", "100001"]),
            ("--simulations", ["1", "64"], ["0", "65"]),
            ("--settling-orders", ["1", "8192"], ["0", "8193"]),
            ("--prune-rows", ["50", "10000"], ["49", "10001"]),
        ] {
            let given = |value: &str| settings(&[&format!("{flag}={value}")]);
            let [least, most] = taken.map(|value| bounds(&given(value).unwrap()));
            // Each is set, and sets nothing else's place.
            assert_ne!(least, most, "{flag}");
            for value in refused.into_iter().chain(["", "many"]) {
                assert!(given(value).is_err(), "{flag} {value}");
            }
        }
    }
}
