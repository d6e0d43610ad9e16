//! The connections to the database, divided: who waits for one waits for its own kind alone.
//!
//! One pool for all would give its connections to whoever asks most. So writes, upkeep and reads
//! each have a share of their own, and together they are as many as the server is given.

use std::fmt;

/// For due orders, and for reference data as it is kept fresh and as it is missed: one each, so
/// that none of them ever waits for the other.
const UPKEEP: usize = 3;
/// For projections, pruning, bulk cancellations and the looks at sellers, at least.
const BACKGROUND_MIN: usize = 2;
/// For the readers of single orders and for a page, at least.
const READS_MIN: usize = 3;
/// For orders that are locked elsewhere, beside the lanes, at least.
const PARKED_MIN: usize = 1;

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// The engine's transactions: one connection for each lane, the others for parked orders.
    Writes,
    /// Due orders and reference data.
    Upkeep,
    /// Projections, pruning, bulk cancellations, the looks at sellers.
    Background,
    /// What calls ask of the database themselves: single orders, pages, counts, the feed,
    /// simulations, and the rare writes of administration.
    Reads,
}

impl Share {
    pub const ALL: [Self; 4] = [Self::Writes, Self::Upkeep, Self::Background, Self::Reads];

    /// For labels and messages.
    pub fn name(self) -> &'static str {
        match self {
            Share::Writes => "writes",
            Share::Upkeep => "upkeep",
            Share::Background => "background",
            Share::Reads => "reads",
        }
    }
}

/// The number of connections of each share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    writes: usize,
    upkeep: usize,
    background: usize,
    reads: usize,
}

/// A sum of connections that leaves some share without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{connections} database connections are too few for {lanes} lanes: at least {least} are needed"
)]
pub struct TooFewConnections {
    pub connections: usize,
    pub lanes: u16,
    pub least: usize,
}

impl Shares {
    /// The fewest connections that a server with so many lanes can do with.
    pub fn least(lanes: u16) -> usize {
        usize::from(lanes) + PARKED_MIN + UPKEEP + BACKGROUND_MIN + READS_MIN
    }

    /// Of what is left beyond the fewest, the background gets an eighth, reads and writes the rest,
    /// in halves.
    pub fn of(connections: usize, lanes: u16) -> Result<Self, TooFewConnections> {
        let least = Self::least(lanes);
        let Some(left) = connections.checked_sub(least) else {
            return Err(TooFewConnections {
                connections,
                lanes,
                least,
            });
        };
        let to_background = left / 8;
        let to_writes = (left - to_background) / 2;
        Ok(Self {
            writes: usize::from(lanes) + PARKED_MIN + to_writes,
            upkeep: UPKEEP,
            background: BACKGROUND_MIN + to_background,
            reads: READS_MIN + left - to_background - to_writes,
        })
    }

    pub fn size(self, share: Share) -> usize {
        match share {
            Share::Writes => self.writes,
            Share::Upkeep => self.upkeep,
            Share::Background => self.background,
            Share::Reads => self.reads,
        }
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, share) in Share::ALL.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", self.size(share), share.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_add_up_to_what_is_given() {
        for lanes in [1, 2, 64] {
            for connections in Shares::least(lanes)..Shares::least(lanes) + 200 {
                let shares = Shares::of(connections, lanes).unwrap();
                let sum: usize = Share::ALL.map(|share| shares.size(share)).iter().sum();
                assert_eq!(sum, connections, "{shares}");
                assert!(shares.size(Share::Writes) > usize::from(lanes), "{shares}");
                assert!(shares.size(Share::Reads) >= READS_MIN, "{shares}");
                assert!(shares.size(Share::Background) >= BACKGROUND_MIN, "{shares}");
            }
        }
    }

    #[test]
    fn one_fewer_than_the_fewest_is_refused() {
        assert_eq!(Shares::least(2), 11);
        assert!(Shares::of(11, 2).is_ok());
        assert_eq!(
            Shares::of(10, 2).unwrap_err().to_string(),
            "10 database connections are too few for 2 lanes: at least 11 are needed"
        );
        assert!(Shares::of(0, 1).is_err());
    }

    #[test]
    fn the_default_is_divided_so() {
        assert_eq!(
            Shares::of(16, 2).unwrap().to_string(),
            "5 writes, 3 upkeep, 2 background, 6 reads"
        );
    }
}
