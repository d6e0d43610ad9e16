//! The partitions that went back: after the loss of a primary the database may lack its last
//! transactions, and gives out their positions again. Who has read them is told, and goes on by
//! what is there now only where all that it has read is there as well.

use std::collections::VecDeque;

/// Those that are kept, for watches that have not looked since.
const REWINDS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Rewinds {
    /// Each partition, and the last position that is as it was.
    last: VecDeque<(u16, u64)>,
    /// How many there have been.
    count: u64,
}

impl Rewinds {
    pub(super) fn push(&mut self, partition: u16, to: u64) {
        self.count += 1;
        self.last.push_back((partition, to));
        if self.last.len() > REWINDS_MAX {
            self.last.pop_front();
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Those that came after so many.
    pub(super) fn since(&self, seen: u64) -> impl Iterator<Item = (u16, u64)> + '_ {
        let new = usize::try_from(self.count.saturating_sub(seen)).unwrap_or(usize::MAX);
        let old = self.last.len().saturating_sub(new);
        self.last.range(old..).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_seen_some_is_told_of_the_others() {
        let mut rewinds = Rewinds::default();
        assert_eq!(rewinds.since(0).next(), None);
        rewinds.push(1, 10);
        rewinds.push(2, 20);
        assert_eq!(rewinds.since(0).collect::<Vec<_>>(), [(1, 10), (2, 20)]);
        assert_eq!(rewinds.since(1).collect::<Vec<_>>(), [(2, 20)]);
        assert_eq!(rewinds.since(2).next(), None);
    }

    #[test]
    fn so_many_are_kept() {
        let mut rewinds = Rewinds::default();
        let more = u64::try_from(REWINDS_MAX).unwrap() + 1;
        (1..=more).for_each(|to| rewinds.push(0, to));
        assert_eq!(rewinds.since(0).count(), REWINDS_MAX);
        assert_eq!(rewinds.since(0).next(), Some((0, 2)));
    }
}
