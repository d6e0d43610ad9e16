//! The feed of events: how far a reader of it is, and who reads it by name.

use jiff::Timestamp;

use crate::actor::Actor;
use crate::ids::{ConsumerId, StoreId};
use crate::names::named_enum;

/// Consumers that one caller may have.
pub const CONSUMERS_MAX: usize = 1_000;

/// The last position that was handled in each partition, in the order of the partitions; 0 where
/// none was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions(Vec<u64>);

/// The ends of what one partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionEnds {
    /// The last position given out.
    pub last: u64,
    /// The last one that is no longer kept; 0 where all are.
    pub pruned: u64,
    /// The last one that is not kept for long: who asks for the oldest begins behind it, and so has
    /// time to read on. Never less than `pruned`.
    pub expiring: u64,
}

/// A position from which nobody can read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionError {
    /// What comes behind it is no longer kept.
    Expired {
        partition: u16,
        position: u64,
        oldest: u64,
    },
    /// The partition has not come so far.
    Ahead {
        partition: u16,
        position: u64,
        last: u64,
    },
}

impl Positions {
    pub fn new(positions: Vec<u64>) -> Self {
        Self(positions)
    }

    /// Behind the last event that there is.
    pub fn at_end(ends: &[PartitionEnds]) -> Self {
        Self(ends.iter().map(|end| end.last).collect())
    }

    /// Before the oldest event that is kept for a while.
    pub fn at_oldest(ends: &[PartitionEnds]) -> Self {
        Self(ends.iter().map(|end| end.expiring).collect())
    }

    pub fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// Moves on in one partition.
    pub fn advance(&mut self, partition: u16, position: u64) {
        if let Some(present) = self.0.get_mut(usize::from(partition)) {
            *present = (*present).max(position);
        }
    }

    /// The position in one partition.
    pub fn of(&self, partition: u16) -> u64 {
        let position = self.0.get(usize::from(partition));
        position.copied().unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.0.iter().copied())
    }

    /// The first partition in which this is behind `other`, and where `other` is there.
    pub fn behind(&self, other: &Positions) -> Option<(u16, u64)> {
        let pairs = self.iter().zip(&other.0);
        pairs
            .filter(|((_, ours), theirs)| ours < theirs)
            .map(|((partition, _), theirs)| (partition, *theirs))
            .next()
    }

    /// Whether a reader can go on from here: all that comes behind is kept, and nothing is named
    /// that is not there yet.
    pub fn check(&self, ends: &[PartitionEnds]) -> Result<(), PositionError> {
        let mut pairs = self.iter().zip(ends);
        let expired = pairs.find(|((_, position), end)| *position < end.pruned);
        let expired = expired.map(|((partition, position), end)| PositionError::Expired {
            partition,
            position,
            oldest: end.pruned + 1,
        });
        expired.or_else(|| self.ahead(ends)).map_or(Ok(()), Err)
    }

    /// The first partition that has not come so far.
    pub fn ahead(&self, ends: &[PartitionEnds]) -> Option<PositionError> {
        let mut pairs = self.iter().zip(ends);
        let ahead = pairs.find(|((_, position), end)| *position > end.last);
        ahead.map(|((partition, position), end)| PositionError::Ahead {
            partition,
            position,
            last: end.last,
        })
    }

    /// The partitions of which something that comes behind is no longer kept, and how many events.
    pub fn expired(&self, ends: &[PartitionEnds]) -> impl Iterator<Item = (u16, u64)> {
        let pairs = self.iter().zip(ends);
        pairs.filter_map(|((partition, position), end)| {
            let lost = end.pruned.saturating_sub(position);
            (lost > 0).then_some((partition, lost))
        })
    }

    /// How many events come behind, all partitions together.
    pub fn lag(&self, ends: &[PartitionEnds]) -> u64 {
        let behind = self.0.iter().zip(ends);
        behind
            .map(|(position, end)| end.last.saturating_sub(*position))
            .sum()
    }
}

/// The name of a consumer: two callers may use the same one, and so may two stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerKey {
    /// None where it is not narrowed to one store.
    pub store: Option<StoreId>,
    pub id: ConsumerId,
    pub owner: Actor,
}

/// A named reader of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    pub key: ConsumerKey,
    pub positions: Positions,
    /// Of the filter that it reads with.
    pub filter: [u8; 16],
    pub commit_time: Timestamp,
}

named_enum! {
    /// The state of an event that a deliverer has passed and its receiver has not taken.
    pub enum HeldState {
        /// It is sent again, or waits for an earlier one of its order.
        Waiting = "WAITING",
        /// A dead letter: it is sent again only when somebody says so.
        Dead = "DEAD",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [PartitionEnds; 2] = [
        PartitionEnds {
            last: 9,
            pruned: 4,
            expiring: 6,
        },
        PartitionEnds {
            last: 3,
            pruned: 0,
            expiring: 0,
        },
    ];

    #[test]
    fn a_reader_goes_on_from_where_everything_behind_is_kept() {
        let check = |first, second| Positions::new(vec![first, second]).check(&ENDS);
        assert_eq!(check(4, 0), Ok(()));
        assert_eq!(check(9, 3), Ok(()));
        let expired = PositionError::Expired {
            partition: 0,
            position: 3,
            oldest: 5,
        };
        assert_eq!(check(3, 0), Err(expired));
        let ahead = PositionError::Ahead {
            partition: 1,
            position: 4,
            last: 3,
        };
        assert_eq!(check(9, 4), Err(ahead));
        assert_eq!(Positions::at_oldest(&ENDS).check(&ENDS), Ok(()));
        assert_eq!(Positions::at_end(&ENDS).check(&ENDS), Ok(()));
    }

    #[test]
    fn the_lag_is_what_comes_behind() {
        assert_eq!(Positions::at_oldest(&ENDS).lag(&ENDS), 6);
        assert_eq!(Positions::at_end(&ENDS).lag(&ENDS), 0);
    }

    #[test]
    fn what_is_no_longer_kept_is_counted_by_partition() {
        let expired = |first, second| {
            let positions = Positions::new(vec![first, second]);
            positions.expired(&ENDS).collect::<Vec<_>>()
        };
        assert_eq!(expired(4, 0), []);
        assert_eq!(expired(3, 0), [(0, 1)]);
        assert_eq!(expired(0, 0), [(0, 4)]);
    }

    #[test]
    fn positions_only_move_on() {
        let mut positions = Positions::new(vec![5, 1]);
        positions.advance(0, 7);
        positions.advance(1, 0);
        assert_eq!(positions, Positions::new(vec![7, 1]));
        assert_eq!(positions.behind(&Positions::new(vec![7, 1])), None);
        assert_eq!(positions.behind(&Positions::new(vec![6, 2])), Some((1, 2)));
    }
}
