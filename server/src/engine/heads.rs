//! The heads of partitions as this server left them.
//!
//! A batch that knows the heads writes its events in the message of all its other writes, and need
//! not ask for them first. What it knows is not believed: the heads move by an UPDATE that finds
//! them only where nobody else has moved them, and else nothing of the batch is written and it is
//! run again. Where several servers write to the same partitions that would happen often, so one
//! such failure has the next batches ask, and the next one twice as many.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::db::partition_heads::Head;

/// The number of batches that ask for their heads, after one batch met a head that somebody else
/// had moved: after the first, and at most.
const ASK_FIRST: u32 = 64;
const ASK_FIRST_MAX: u32 = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct KnownHeads(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    heads: BTreeMap<u16, Head>,
    /// Batches that still ask for their heads.
    ask_first: u32,
    /// How many did so after the last mistake; 0 once a batch was right.
    asked_last: u32,
}

impl KnownHeads {
    /// The heads of these partitions. They are not known any more until they are learned again:
    /// whatever becomes of the batch, the next one does not build on what was not committed. None
    /// where one of them is not known, or where the batch is to ask.
    pub(super) fn take(&self, partitions: &BTreeSet<u16>) -> Option<BTreeMap<u16, Head>> {
        let mut known = self.known();
        let heads = partitions.iter().filter_map(|partition| {
            let head = known.heads.remove(partition)?;
            Some((*partition, head))
        });
        let heads: BTreeMap<u16, Head> = heads.collect();
        if let Some(left) = known.ask_first.checked_sub(1) {
            known.ask_first = left;
            return None;
        }
        (heads.len() == partitions.len()).then_some(heads)
    }

    /// A batch has committed and left its heads so; `were_known` says that it had not asked.
    pub(super) fn learn(&self, heads: BTreeMap<u16, Head>, were_known: bool) {
        let mut known = self.known();
        if were_known {
            known.asked_last = 0;
        }
        for (partition, head) in heads {
            // One that committed later may be here sooner.
            let at = known.heads.entry(partition).or_insert(head);
            if at.position < head.position {
                *at = head;
            }
        }
    }

    /// A batch found that somebody else had moved a head.
    pub(super) fn mistaken(&self) {
        let mut known = self.known();
        // Others that knew as little at the same time say nothing new.
        if known.ask_first == 0 {
            known.asked_last = (known.asked_last * 2).clamp(ASK_FIRST, ASK_FIRST_MAX);
            known.ask_first = known.asked_last;
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::chain::State;

    use super::*;

    fn heads<const N: usize>(heads: [(u16, u64); N]) -> BTreeMap<u16, Head> {
        let chain = Some(State::BEGIN);
        let head = |(partition, position)| (partition, Head { position, chain });
        heads.map(head).into()
    }

    /// How many batches ask until one takes its head.
    fn asking(known: &KnownHeads) -> u32 {
        (0..)
            .find(|_| {
                known.learn(heads([(1, 1)]), false);
                known.take(&[1].into()).is_some()
            })
            .unwrap()
    }

    #[test]
    fn a_batch_takes_all_its_heads_or_none_and_each_is_taken_once() {
        let known = KnownHeads::default();
        assert_eq!(known.take(&[1].into()), None);
        known.learn(heads([(1, 10), (2, 20)]), false);
        assert_eq!(known.take(&[1, 2].into()), Some(heads([(1, 10), (2, 20)])));
        assert_eq!(known.take(&[1].into()), None, "it is on its way");
        known.learn(heads([(1, 12)]), false);
        known.learn(heads([(1, 11)]), false);
        assert_eq!(known.take(&[1].into()), Some(heads([(1, 12)])));
    }

    #[test]
    fn what_a_batch_asks_for_is_not_known_meanwhile() {
        let known = KnownHeads::default();
        known.learn(heads([(1, 10)]), false);
        assert_eq!(known.take(&[1, 3].into()), None, "the third is not known");
        assert_eq!(known.take(&[1].into()), None);
        known.learn(heads([(1, 10)]), false);
        known.mistaken();
        assert_eq!(known.take(&[1].into()), None);
        // It came back to an earlier position: another primary had not had the last ones.
        known.learn(heads([(1, 9)]), false);
        assert_eq!(known.known().heads, heads([(1, 9)]));
    }

    #[test]
    fn batches_ask_for_longer_after_each_mistake_up_to_a_bound_until_one_is_right() {
        let known = KnownHeads::default();
        let mut expected = ASK_FIRST;
        while expected < ASK_FIRST_MAX {
            known.mistaken();
            known.mistaken();
            assert_eq!(asking(&known), expected);
            expected *= 2;
        }
        for _ in 0..2 {
            known.mistaken();
            assert_eq!(asking(&known), ASK_FIRST_MAX);
        }
        known.learn(heads([(1, 2)]), true);
        known.mistaken();
        assert_eq!(asking(&known), ASK_FIRST, "the last one was right");
    }
}
