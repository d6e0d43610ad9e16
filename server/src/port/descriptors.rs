//! The descriptors of the process: how many it may have, and a few that are held back for the
//! moment when there are no others.

use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use super::places::RESERVE;

/// Held back: so many connections can still ask for health when the process has no other
/// descriptor.
pub(super) const SPARE: usize = 4;
/// For what else opens files and connections while a server runs: the admin port, whose connections
/// are 16 at most, key files, name servers, a collector of traces.
const BESIDE: usize = 20;
/// Every open descriptor of this process is an entry here, on Linux and elsewhere.
const OPEN: &str = "/dev/fd";
/// Between two lines that say the same.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// Sees to it that the process may have as many descriptors as `connections` need, beside those
/// that are open and those that are kept, and returns for how many connections there are.
pub(super) fn fit(connections: usize, beside: usize) -> anyhow::Result<usize> {
    let open = std::fs::read_dir(OPEN).map_or(0, Iterator::count);
    let kept = open + beside + BESIDE + SPARE + RESERVE;
    let wanted = u64::try_from(kept + connections).unwrap_or(u64::MAX);
    let limit = raised(getrlimit(Resource::Nofile), wanted);
    let Some(limit) = limit.current else {
        return Ok(connections);
    };
    let fitting = fitting(connections, kept, limit)?;
    if fitting < connections {
        tracing::warn!(
            limit,
            wanted,
            connections = fitting,
            "the process may have fewer descriptors than its connections need, so there may be \
             fewer connections: raise its limit of open files"
        );
    }
    Ok(fitting)
}

/// The limit after it was raised as far as the process itself may.
fn raised(limit: Rlimit, wanted: u64) -> Rlimit {
    let Some(current) = limit.current.filter(|current| *current < wanted) else {
        return limit;
    };
    let current = limit
        .maximum
        .map_or(wanted, |maximum| maximum.min(wanted))
        .max(current);
    let raised = Rlimit {
        current: Some(current),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(error) => {
            tracing::warn!(%error, "the limit of descriptors cannot be raised");
            limit
        }
    }
}

/// The connections for which there are descriptors.
fn fitting(connections: usize, kept: usize, limit: u64) -> anyhow::Result<usize> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let left = limit.saturating_sub(kept);
    anyhow::ensure!(
        left > 0,
        "the process may have {limit} descriptors, and {kept} are needed before the first \
         connection is taken: raise its limit of open files"
    );
    Ok(left.min(connections))
}

/// Descriptors that can be given up.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<File>);

impl Spare {
    /// All of them or none.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        self.0.clear();
        let held: io::Result<Vec<File>> = (0..SPARE).map(|_| File::open("/dev/null")).collect();
        self.0 = held?;
        Ok(())
    }

    /// Whether there were some.
    pub(super) fn give_up(&mut self) -> bool {
        let had = !self.0.is_empty();
        self.0.clear();
        had
    }
}

/// A line of the log that is written when it first holds, and then at most once a minute.
#[derive(Debug, Default)]
pub(super) struct Line {
    written: Option<Instant>,
    left_out: u64,
}

impl Line {
    /// How often it held and was not written, where it is to be written now.
    pub(super) fn is_due(&mut self, now: Instant) -> Option<u64> {
        if self.written.is_some_and(|then| now - then < LINE_INTERVAL) {
            self.left_out += 1;
            return None;
        }
        self.written = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_into_the_descriptors() {
        assert_eq!(fitting(4096, 100, 20_000).unwrap(), 4096);
        assert_eq!(fitting(4096, 100, 4196).unwrap(), 4096);
        assert_eq!(fitting(4096, 100, 4195).unwrap(), 4095);
        assert_eq!(fitting(4096, 100, 101).unwrap(), 1);
        let none = fitting(4096, 100, 100).unwrap_err().to_string();
        assert!(none.contains("100 descriptors"), "{none}");
    }

    #[test]
    fn a_line_is_written_once_a_minute() {
        let start = Instant::now();
        let mut line = Line::default();
        assert_eq!(line.is_due(start), Some(0));
        assert_eq!(line.is_due(start), None);
        assert_eq!(line.is_due(start + LINE_INTERVAL / 2), None);
        assert_eq!(line.is_due(start + LINE_INTERVAL), Some(2));
        assert_eq!(line.is_due(start + LINE_INTERVAL), None);
    }

    #[test]
    fn what_is_held_back_can_be_given_up_once() {
        let mut spare = Spare::default();
        assert!(!spare.give_up());
        spare.hold().unwrap();
        assert!(spare.give_up());
        assert!(!spare.give_up());
    }
}
