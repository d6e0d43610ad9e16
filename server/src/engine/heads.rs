//! The heads of partitions as this server left them.
//!
//! A batch that knows the heads writes its events in the message of all its other writes, and need
//! not ask for them first. What it knows is not believed: the heads move by an UPDATE that finds
//! them only where nobody else has moved them, and else nothing of the batch is written and it is
//! run again. Where several servers write to the same partitions that would happen often, so one
//! such failure has the next batches ask.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::db::partition_heads::Head;

/// The number of batches that ask for their heads, after one batch met a head that somebody else
/// had moved.
const ASK_FIRST: u32 = 64;

#[derive(Debug, Default)]
pub(super) struct KnownHeads {
    heads: Mutex<BTreeMap<u16, Head>>,
    /// Batches that still ask first.
    ask_first: AtomicU32,
}

impl KnownHeads {
    /// The heads of these partitions, which are not known any more until they are learned again:
    /// whatever becomes of the batch that takes them, the next one does not build on what was not
    /// committed. None where one of them is not known.
    pub(super) fn take(&self, partitions: &BTreeSet<u16>) -> Option<BTreeMap<u16, Head>> {
        let asks = self
            .ask_first
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            });
        if asks.is_ok() {
            return None;
        }
        let mut known = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let heads = partitions
            .iter()
            .map(|partition| Some((*partition, *known.get(partition)?)));
        let heads: BTreeMap<u16, Head> = heads.collect::<Option<_>>()?;
        known.retain(|partition, _| !partitions.contains(partition));
        Some(heads)
    }

    /// A batch has committed, and left its heads so.
    pub(super) fn learn(&self, heads: BTreeMap<u16, Head>) {
        let mut known = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        // A chain that has not begun cannot be told from another that has not.
        for (partition, head) in heads.into_iter().filter(|(_, head)| head.chain.is_some()) {
            // One that committed later may be here sooner.
            let at = known.entry(partition).or_insert(head);
            if at.position < head.position {
                *at = head;
            }
        }
    }

    /// A batch found that somebody else had moved a head.
    pub(super) fn mistaken(&self) {
        self.ask_first.store(ASK_FIRST, Ordering::Relaxed);
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

    #[test]
    fn a_batch_takes_all_its_heads_or_none_and_each_is_taken_once() {
        let known = KnownHeads::default();
        assert_eq!(known.take(&[1].into()), None);
        known.learn(heads([(1, 10), (2, 20)]));
        assert_eq!(known.take(&[1, 3].into()), None);
        assert_eq!(known.take(&[1, 2].into()), Some(heads([(1, 10), (2, 20)])));
        assert_eq!(known.take(&[1].into()), None, "it is on its way");
        known.learn(heads([(1, 12)]));
        known.learn(heads([(1, 11)]));
        assert_eq!(known.take(&[1].into()), Some(heads([(1, 12)])));
    }

    #[test]
    fn a_chain_that_has_not_begun_is_always_asked_for() {
        let known = KnownHeads::default();
        let (position, chain) = (1, None);
        known.learn([(1, Head { position, chain })].into());
        assert_eq!(known.take(&[1].into()), None);
    }

    #[test]
    fn after_a_mistake_batches_ask_for_a_while() {
        let known = KnownHeads::default();
        known.mistaken();
        for _ in 0..ASK_FIRST {
            known.learn(heads([(1, 1)]));
            assert_eq!(known.take(&[1].into()), None);
        }
        assert!(known.take(&[1].into()).is_some());
    }
}
