//! The chain over the rows of a partition of the feed: what tells a row that was changed, taken
//! out, moved or put in since it was written.
//!
//! A *state* goes over each row: it is a keyed hash of the state before and of what the row holds.
//! The state behind the last row is kept beside the partition's head. A row keeps a *mark* of the
//! state behind it, from which no state can be told: who cuts off the last rows cannot make up the
//! state that was before them. The payload goes in by its digest, so that personal data can be
//! erased from it and the chain still be followed.

use std::fmt;

use jiff::Timestamp;

use crate::ids::OrderKey;

const KEY_CONTEXT: &str = "belay 2026 chain of events";
const MARK_CONTEXT: &str = "belay 2026 mark in a chain";
const ERASURE_CONTEXT: &str = "belay 2026 seal of an erasure";

/// The key of the chain. Who has it can write a chain anew, and nobody else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChainKey([u8; 32]);

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(_)")
    }
}

/// The digest of a payload.
pub type Digest = [u8; 32];

/// The content of a row that the chain holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub partition: u16,
    pub last_position: u64,
    pub count: u32,
    pub order_key: OrderKey,
    pub order_version: u64,
    pub event_time: Timestamp,
    pub payload: Digest,
}

/// The chain behind some row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct State(pub [u8; 32]);

/// A state tells how the chain goes on, and belongs into no log.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State(_)")
    }
}

/// The mark that a row keeps of the state behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub [u8; 32]);

pub fn digest(payload: &[u8]) -> Digest {
    *blake3::hash(payload).as_bytes()
}

impl ChainKey {
    /// Of a secret that serves for more than this.
    pub fn of(secret: &[u8; 32]) -> Self {
        Self(blake3::derive_key(KEY_CONTEXT, secret))
    }

    /// Says that what had the digest `before` was replaced by what has `after`.
    pub fn erasure_seal(&self, link: &Link, after: &Digest) -> [u8; 32] {
        let key = blake3::derive_key(ERASURE_CONTEXT, &self.0);
        let mut hasher = blake3::Hasher::new_keyed(&key);
        link.write(&mut hasher);
        hasher.update(after);
        *hasher.finalize().as_bytes()
    }
}

impl State {
    /// Before the first row.
    pub const BEGIN: Self = Self([0; 32]);

    #[must_use]
    pub fn next(self, key: &ChainKey, link: &Link) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&key.0);
        hasher.update(&self.0);
        link.write(&mut hasher);
        Self(*hasher.finalize().as_bytes())
    }

    pub fn mark(self) -> Mark {
        Mark(blake3::derive_key(MARK_CONTEXT, &self.0))
    }
}

impl Link {
    /// Each field has its length by its type, so no two links share one text.
    fn write(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.partition.to_be_bytes());
        hasher.update(&self.last_position.to_be_bytes());
        hasher.update(&self.count.to_be_bytes());
        hasher.update(&self.order_key.0);
        hasher.update(&self.order_version.to_be_bytes());
        hasher.update(&self.event_time.as_microsecond().to_be_bytes());
        hasher.update(&self.payload);
    }
}

/// A row as it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundRow {
    /// With the digest of the payload that is there now.
    pub link: Link,
    pub mark: Option<Mark>,
    pub erasure: Option<Erasure>,
}

/// The statement of a row about its erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Of the payload that was written.
    pub before: Digest,
    pub seal: [u8; 32],
}

/// The first place in a partition that is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    #[error("positions {from} to {to} are missing")]
    Missing { from: u64, to: u64 },
    #[error("the row at position {position} was put in")]
    Added { position: u64 },
    #[error(
        "the row at position {position} was changed, or one that belongs before it was put in, taken out or changed"
    )]
    Changed { position: u64 },
    #[error(
        "the row at position {position} is marked as erased, and nobody with the key has erased it"
    )]
    Erasure { position: u64 },
    #[error(
        "rows behind position {position} have no mark: they were put in, or a release without a chain wrote them last"
    )]
    Unmarked { position: u64 },
    #[error(
        "the partition's head is not the end of its rows: rows behind position {position} were cut off, or it was changed"
    )]
    Head { position: u64 },
    #[error(
        "the row at position {position} is not the one that the anchor was made of, or rows behind it were cut off"
    )]
    Anchor { position: u64 },
}

/// The way along the rows of one partition.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    /// A row may be by any of them; never empty.
    keys: &'a [ChainKey],
    /// The position of the last row.
    pub position: u64,
    state: Option<State>,
    /// Of the last row that the chain holds.
    chained_to: u64,
    /// Rows that the chain holds.
    pub chained: u64,
    /// Rows without a mark: of a release that knew of no chain.
    pub unmarked: u64,
    pub erased: u64,
}

impl<'a> Walk<'a> {
    pub fn new(keys: &'a [ChainKey]) -> Self {
        Self {
            keys,
            position: 0,
            state: None,
            chained_to: 0,
            chained: 0,
            unmarked: 0,
            erased: 0,
        }
    }

    /// The next row.
    ///
    /// # Errors
    /// Where it does not follow.
    pub fn take(&mut self, row: &FoundRow) -> Result<(), Break> {
        let last = row.link.last_position;
        let first = (last + 1).saturating_sub(row.link.count.into());
        if first > self.position + 1 {
            return Err(Break::Missing {
                from: self.position + 1,
                to: first - 1,
            });
        }
        if first != self.position + 1 || row.link.count == 0 {
            return Err(Break::Added { position: last });
        }
        match row.mark {
            // Rows that a release without a chain writes beside us are in between. What comes
            // behind them says by its position that they were there.
            None => self.unmarked += 1,
            Some(mark) => {
                self.state = Some(self.follow(row, mark)?);
                self.chained += 1;
                self.chained_to = last;
            }
        }
        self.position = last;
        Ok(())
    }

    fn follow(&mut self, row: &FoundRow, mark: Mark) -> Result<State, Break> {
        let position = row.link.last_position;
        let mut written = row.link;
        if let Some(erasure) = &row.erasure {
            written.payload = erasure.before;
            let is_ours = |key: &ChainKey| {
                blake3::Hash::from_bytes(key.erasure_seal(&written, &row.link.payload))
                    == blake3::Hash::from_bytes(erasure.seal)
            };
            if !self.keys.iter().any(is_ours) {
                return Err(Break::Erasure { position });
            }
            self.erased += 1;
        }
        let before = self.state.unwrap_or(State::BEGIN);
        let mut states = self.keys.iter().map(|key| before.next(key, &written));
        states
            .find(|state| state.mark() == mark)
            .ok_or(Break::Changed { position })
    }

    /// The end of the rows, held against the partition's head.
    ///
    /// # Errors
    /// Where the head says another one.
    pub fn end(&self, head: u64, state: Option<State>) -> Result<(), Break> {
        let position = self.position;
        if position < head {
            return Err(Break::Missing {
                from: position + 1,
                to: head,
            });
        }
        if position != head || state != self.state {
            return Err(Break::Head { position });
        }
        if self.chained > 0 && self.chained_to < position {
            return Err(Break::Unmarked {
                position: self.chained_to,
            });
        }
        Ok(())
    }

    /// Of what the chain holds so far; none where it holds nothing.
    pub fn mark(&self) -> Option<Mark> {
        self.state.map(State::mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: u16 = 7;

    fn key(byte: u8) -> ChainKey {
        ChainKey::of(&[byte; 32])
    }

    /// Rows of two events each, written one after the other, with the state behind the last.
    fn written(keys: &[ChainKey]) -> (Vec<FoundRow>, State) {
        let mut state = State::BEGIN;
        let mut rows = Vec::new();
        for (number, key) in (1..).zip(keys) {
            let link = Link {
                partition: PARTITION,
                last_position: 2 * number,
                count: 2,
                order_key: OrderKey([3; 16]),
                order_version: number,
                event_time: Timestamp::from_second(1_000).unwrap(),
                payload: digest(&number.to_be_bytes()),
            };
            state = state.next(key, &link);
            rows.push(FoundRow {
                link,
                mark: Some(state.mark()),
                erasure: None,
            });
        }
        (rows, state)
    }

    fn walk(keys: &[ChainKey], rows: &[FoundRow], end: (u64, Option<State>)) -> Result<(), Break> {
        let mut walk = Walk::new(keys);
        for row in rows {
            walk.take(row)?;
        }
        walk.end(end.0, end.1)
    }

    #[test]
    fn what_was_written_is_whole_and_under_another_key_it_is_not() {
        let (rows, state) = written(&[key(1); 5]);
        assert_eq!(walk(&[key(1)], &rows, (10, Some(state))), Ok(()));
        assert_eq!(walk(&[key(1)], &[], (0, None)), Ok(()));
        let changed = Err(Break::Changed { position: 2 });
        assert_eq!(walk(&[key(2)], &rows, (10, Some(state))), changed);
    }

    #[test]
    fn rows_may_be_by_different_keys_of_the_ring() {
        let (rows, state) = written(&[key(1), key(1), key(2), key(1), key(2)]);
        let whole = walk(&[key(2), key(1)], &rows, (10, Some(state)));
        assert_eq!(whole, Ok(()));
        let changed = Err(Break::Changed { position: 6 });
        assert_eq!(walk(&[key(1)], &rows, (10, Some(state))), changed);
    }

    #[test]
    fn each_thing_that_is_not_as_it_was_written_is_found_where_it_is() {
        let (rows, state) = written(&[key(1); 5]);
        let end = (10, Some(state));
        let broken = |change: &dyn Fn(&mut Vec<FoundRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            walk(&[key(1)], &rows, end).unwrap_err()
        };
        let changed = |position| Break::Changed { position };
        assert_eq!(broken(&|rows| rows[1].link.payload[0] ^= 1), changed(4));
        assert_eq!(broken(&|rows| rows[1].link.order_key.0[0] ^= 1), changed(4));
        assert_eq!(broken(&|rows| rows[1].link.order_version += 1), changed(4));
        assert_eq!(broken(&|rows| rows[1].link.partition += 1), changed(4));
        let later = Timestamp::from_second(1_001).unwrap();
        assert_eq!(broken(&|rows| rows[1].link.event_time = later), changed(4));
        assert_eq!(broken(&|rows| rows[1].mark = None), changed(6));
        let missing = |from, to| Break::Missing { from, to };
        assert_eq!(
            broken(&|rows| {
                rows.remove(2);
            }),
            missing(5, 6)
        );
        assert_eq!(
            broken(&|rows| {
                rows.pop();
            }),
            missing(9, 10)
        );
        assert_eq!(broken(&|rows| rows[2].link.count = 1), missing(5, 5));
        let twice = |rows: &mut Vec<FoundRow>| rows.insert(2, rows[1]);
        assert_eq!(broken(&twice), Break::Added { position: 4 });
        // Swapped, each at the other's position.
        let swap = |rows: &mut Vec<FoundRow>| {
            rows.swap(1, 2);
            let [one, other] = [2, 1].map(|row: usize| rows[row].link.last_position);
            (rows[1].link.last_position, rows[2].link.last_position) = (one, other);
        };
        assert_eq!(broken(&swap), changed(4));
    }

    #[test]
    fn a_tail_that_is_cut_off_with_its_head_is_found() {
        let (rows, state) = written(&[key(1); 5]);
        let rows = &rows[..4];
        let cut = Err(Break::Head { position: 8 });
        assert_eq!(walk(&[key(1)], rows, (8, Some(state))), cut);
        assert_eq!(walk(&[key(1)], rows, (8, None)), cut);
        // What the rows show is no state.
        let shown = State(rows[3].mark.unwrap().0);
        assert_eq!(walk(&[key(1)], rows, (8, Some(shown))), cut);
    }

    #[test]
    fn rows_without_a_mark_may_stand_before_others_and_not_behind_them() {
        let (mut rows, state) = written(&[key(1); 3]);
        let unmarked = |last_position, mut row: FoundRow| {
            row.link.last_position = last_position;
            row.mark = None;
            row
        };
        for row in &mut rows {
            row.link.last_position += 2;
        }
        // Marks are of the positions that were written, so these are written anew.
        let mut chain = State::BEGIN;
        for row in &mut rows {
            chain = chain.next(&key(1), &row.link);
            row.mark = Some(chain.mark());
        }
        assert_ne!(chain, state);
        let old = unmarked(2, rows[0]);
        let rows = [&[old], rows.as_slice()].concat();
        assert_eq!(walk(&[key(1)], &rows, (8, Some(chain))), Ok(()));
        let last = [rows.as_slice(), &[unmarked(10, rows[1])]].concat();
        let put_in = Err(Break::Unmarked { position: 8 });
        assert_eq!(walk(&[key(1)], &last, (10, Some(chain))), put_in);
        let between = [&last[..2], &[unmarked(6, rows[1])], &last[2..]].concat();
        let added = Err(Break::Added { position: 6 });
        assert_eq!(walk(&[key(1)], &between, (10, Some(chain))), added);
        let mut walk = Walk::new(&[]);
        walk.take(&old).unwrap();
        assert_eq!((walk.unmarked, walk.chained, walk.mark()), (1, 0, None));
    }

    #[test]
    fn an_erased_payload_is_followed_where_its_seal_is_by_the_key() {
        let (mut rows, state) = written(&[key(1); 3]);
        let end = (6, Some(state));
        let after = digest(b"erased");
        let erased = |by: ChainKey| Erasure {
            before: rows[1].link.payload,
            seal: by.erasure_seal(&rows[1].link, &after),
        };
        let (ours, foreign) = (erased(key(1)), erased(key(2)));
        rows[1].link.payload = after;
        assert_eq!(
            walk(&[key(1)], &rows, end),
            Err(Break::Changed { position: 4 })
        );
        rows[1].erasure = Some(ours);
        assert_eq!(walk(&[key(1)], &rows, end), Ok(()));
        rows[1].erasure = Some(foreign);
        let not_ours = Err(Break::Erasure { position: 4 });
        assert_eq!(walk(&[key(1)], &rows, end), not_ours);
        rows[1].erasure = Some(ours);
        rows[1].link.payload = digest(b"another");
        assert_eq!(walk(&[key(1)], &rows, end), not_ours);
    }
}
