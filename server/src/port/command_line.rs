//! The knobs of the port.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ADDRESS_CONNECTIONS_DEFAULT, CONNECTIONS_DEFAULT, PortSettings};
use crate::rpc::{ANSWER_BYTES_DEFAULT, BoundSettings, REQUEST_BYTES_DEFAULT};

/// More than one process can have.
const CONNECTIONS_MAX: u32 = 1_000_000;
const MIB: usize = 1024 * 1024;
/// A connection has a quarter, in which several of the largest messages and pages find room.
const MIB_RANGE: std::ops::RangeInclusive<i64> = 32..=65_536;

/// Something that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// The bounds of the port.
#[derive(Debug, Clone, Copy, Args)]
pub struct PortArguments {
    /// Connections of callers at once, in all. What comes beyond is only told of health.
    #[arg(long, env = "BELAY_GRPC_CONNECTIONS", default_value_t = at_most(CONNECTIONS_DEFAULT),
        value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    grpc_connections: u32,
    /// Connections of callers at once from one address, or from one /64 of IPv6. A balancer in
    /// front is one address: give it all of them where nobody else reaches the port.
    #[arg(long, env = "BELAY_GRPC_CONNECTIONS_PER_ADDRESS", default_value_t = at_most(ADDRESS_CONNECTIONS_DEFAULT),
        value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    grpc_connections_per_address: u32,
    /// MiB of requests that are on their way or not answered yet, over all connections, of which
    /// one may hold a quarter. What comes beyond is shed.
    #[arg(long, env = "BELAY_GRPC_REQUEST_MIB", default_value_t = mib(REQUEST_BYTES_DEFAULT),
        value_name = "MIB", value_parser = clap::value_parser!(u32).range(MIB_RANGE))]
    grpc_request_mib: u32,
    /// MiB of answers that wait for their callers, over all connections, of which one may hold a
    /// quarter and gets no more calls. Beyond them the connection is cut that takes least of most.
    #[arg(long, env = "BELAY_GRPC_ANSWER_MIB", default_value_t = mib(ANSWER_BYTES_DEFAULT),
        value_name = "MIB", value_parser = clap::value_parser!(u32).range(MIB_RANGE))]
    grpc_answer_mib: u32,
    /// How long a connection takes calls before its caller is told to make another: such as 1h or
    /// 90m, from 1m to 36500d, or forever. Calls that are open then go on for up to 35 minutes.
    #[arg(long, env = "BELAY_GRPC_CONNECTION_AGE", default_value = "1h", value_name = "DURATION",
        value_parser = age)]
    grpc_connection_age: Age,
}

/// The time for which a connection takes calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    Forever,
    For(Duration),
}

const AGE_MIN: Duration = Duration::from_secs(60);
const AGE_MAX: Duration = Duration::from_secs(36_500 * 24 * 3_600);

fn age(text: &str) -> Result<Age, String> {
    if text == "forever" {
        return Ok(Age::Forever);
    }
    let malformed = "must be a duration such as 1h or 90m, from 1m to 36500d, or forever";
    let span: jiff::Span = text.parse().map_err(|_| malformed)?;
    let time = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    let time = time.ok().and_then(|time| Duration::try_from(time).ok());
    let time = time.filter(|time| (AGE_MIN..=AGE_MAX).contains(time));
    time.map(Age::For).ok_or_else(|| malformed.to_owned())
}

impl PortArguments {
    pub fn settings(&self) -> PortSettings {
        PortSettings {
            connections: connections(self.grpc_connections),
            address_connections: connections(self.grpc_connections_per_address),
            bounds: BoundSettings {
                request_bytes: bytes(self.grpc_request_mib),
                answer_bytes: bytes(self.grpc_answer_mib),
                ..BoundSettings::default()
            },
            age_max: match self.grpc_connection_age {
                Age::Forever => None,
                Age::For(time) => Some(time),
            },
            ..PortSettings::default()
        }
    }
}

fn at_most(connections: usize) -> u32 {
    u32::try_from(connections).unwrap_or(CONNECTIONS_MAX)
}

fn mib(bytes: usize) -> u32 {
    u32::try_from(bytes / MIB).unwrap_or(u32::MAX)
}

fn bytes(mib: u32) -> usize {
    usize::try_from(mib)
        .unwrap_or(usize::MAX)
        .saturating_mul(MIB)
}

fn connections(asked: u32) -> usize {
    usize::try_from(asked).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_an_age_within_its_bounds() {
        let minutes = |minutes: u64| Ok(Age::For(Duration::from_secs(60 * minutes)));
        assert_eq!(age("1m"), minutes(1));
        assert_eq!(age("1h"), minutes(60));
        assert_eq!(age("36500d"), minutes(36_500 * 24 * 60));
        assert_eq!(age("forever"), Ok(Age::Forever));
        for odd in ["", "1", "59s", "36501d", "-1h", "1 month", "for ever"] {
            assert!(age(odd).is_err(), "{odd}");
        }
    }
}
