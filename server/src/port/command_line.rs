//! The knobs of the port.

use clap::Args;

use super::{ADDRESS_CONNECTIONS_DEFAULT, CONNECTIONS_DEFAULT, PortSettings};

/// More than one process can have.
const CONNECTIONS_MAX: u32 = 1_000_000;

/// The bounds of the port.
#[derive(Debug, Clone, Copy, Args)]
pub struct PortArguments {
    /// Connections of callers at once, in all. What comes beyond is only told of health.
    #[arg(long, env = "BELAY_GRPC_CONNECTIONS", default_value_t = at_most(CONNECTIONS_DEFAULT),
        value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    grpc_connections: u32,
    /// Connections of callers at once from one address, or from one /64 of IPv6. A balancer in front
    /// is one address: give it all of them where nobody else reaches the port.
    #[arg(long, env = "BELAY_GRPC_CONNECTIONS_PER_ADDRESS", default_value_t = at_most(ADDRESS_CONNECTIONS_DEFAULT),
        value_name = "CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=i64::from(CONNECTIONS_MAX)))]
    grpc_connections_per_address: u32,
}

impl PortArguments {
    pub fn settings(&self) -> PortSettings {
        PortSettings {
            connections: connections(self.grpc_connections),
            address_connections: connections(self.grpc_connections_per_address),
            ..PortSettings::default()
        }
    }
}

fn at_most(connections: usize) -> u32 {
    u32::try_from(connections).unwrap_or(CONNECTIONS_MAX)
}

fn connections(asked: u32) -> usize {
    usize::try_from(asked).unwrap_or(usize::MAX)
}
