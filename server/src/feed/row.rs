//! A row of the feed in memory.

use belay_domain::chain::Mark;
use belay_domain::feed::Positions;
use belay_proto::v1 as pb;
use belay_wire::events::{EncodedEvents, Selector, encode_one};
use bytes::Bytes;

use crate::db::DbError;
use crate::db::events::StoredEvents;

/// The events of one write of one order.
#[derive(Debug)]
pub struct FeedRow {
    pub partition: u16,
    /// The position of the last of them.
    pub last: u64,
    /// How many they are.
    pub count: u64,
    pub events: Vec<pb::Event>,
    /// The same as messages hold them; empty where nobody asked for that.
    encoded: EncodedEvents,
    /// How many bytes they take when they are stored.
    pub bytes: usize,
    /// None where it has none, or nobody asked for it.
    pub(crate) mark: Option<Mark>,
    /// The mark of the row before it, as far as who wrote it knows.
    pub(super) before: Option<Mark>,
}

/// The form in which a row's events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// To look at.
    Events,
    /// To look at, and to hand on.
    Both,
}

impl FeedRow {
    pub(super) fn read(stored: StoredEvents, form: Form) -> Result<Self, DbError> {
        let StoredEvents {
            partition,
            last_position: last,
            count,
            payload,
            mark,
            before,
        } = stored;
        let mut row = Self {
            count: count.into(),
            bytes: payload.len(),
            mark,
            before,
            ..Self::nothing(partition, last)
        };
        let corrupt = |error| DbError::Corrupt(format!("stored events cannot be read: {error}"));
        let events = belay_wire::events::read(&payload, partition, last, count);
        row.events = events.map_err(corrupt)?;
        if form == Form::Both {
            let encoded = EncodedEvents::of(&payload, partition, last, count);
            row.encoded = encoded.map_err(corrupt)?;
        }
        Ok(row)
    }

    /// A row that says how far a partition was read, and has no events.
    pub(super) fn nothing(partition: u16, last: u64) -> Self {
        Self {
            partition,
            last,
            count: 0,
            events: Vec::new(),
            encoded: EncodedEvents::default(),
            bytes: 0,
            mark: None,
            before: None,
        }
    }

    pub(crate) fn first(&self) -> u64 {
        (self.last + 1).saturating_sub(self.count)
    }

    /// The events of this row that somebody is to get who stands behind these positions.
    pub(crate) fn selected<'a>(
        &'a self,
        behind: &Positions,
        selector: &'a Selector,
    ) -> impl Iterator<Item = &'a pb::Event> + use<'a> {
        let known = behind.of(self.partition);
        self.events
            .iter()
            .filter(move |event| event.position.unsigned_abs() > known && selector.selects(event))
    }

    /// Whether there are any such.
    pub(super) fn has_selected(&self, behind: &Positions, selector: &Selector) -> bool {
        if selector.selects_everything() {
            return self.count > 0 && self.last > behind.of(self.partition);
        }
        self.selected(behind, selector).next().is_some()
    }

    /// The same events as fields of a message: as few pieces as may be, each shared with all others
    /// who get it.
    pub(super) fn selected_bytes(
        &self,
        behind: &Positions,
        selector: &Selector,
        pieces: &mut Vec<Bytes>,
    ) {
        let first = self.first();
        let index = |position: u64| usize::try_from(position - first).unwrap_or(usize::MAX);
        if selector.selects_everything() {
            let known = behind.of(self.partition).max(first - 1);
            pieces.push(self.encoded.part(index(known + 1)..index(self.last + 1)));
            return;
        }
        if !selector.shows_whole() {
            let selected = self.selected(behind, selector);
            pieces.extend(selected.map(|event| encode_one(&selector.shown(event))));
            return;
        }
        let mut run: Option<std::ops::Range<usize>> = None;
        for event in self.selected(behind, selector) {
            let at = index(event.position.unsigned_abs());
            run = match run {
                Some(run) if run.end == at => Some(run.start..at + 1),
                Some(run) => {
                    pieces.push(self.encoded.part(run));
                    Some(at..at + 1)
                }
                None => Some(at..at + 1),
            };
        }
        pieces.extend(run.map(|run| self.encoded.part(run)));
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::scope::Scope;
    use prost::Message;

    use super::*;

    /// Four events at the positions 7 to 10 of the first partition: of sellers a, b, b and a.
    fn row() -> FeedRow {
        let event = |seller: &str| pb::Event {
            seller_id: seller.to_owned(),
            ..pb::Event::default()
        };
        let events = ["a", "b", "b", "a"].map(event);
        let stored = StoredEvents {
            partition: 0,
            last_position: 10,
            count: 4,
            payload: events
                .iter()
                .flat_map(Message::encode_length_delimited_to_vec)
                .collect(),
            mark: None,
            before: None,
        };
        FeedRow::read(stored, Form::Both).unwrap()
    }

    fn of_sellers(sellers: &[&str]) -> Selector {
        let filter = pb::EventFilter {
            seller_ids: sellers.iter().map(|&seller| seller.to_owned()).collect(),
            ..pb::EventFilter::default()
        };
        Selector::new(&filter, &Scope::EVERYTHING)
    }

    /// The positions in the bytes, and in how many pieces they are.
    fn sent(row: &FeedRow, behind: u64, selector: &Selector) -> (Vec<i64>, usize) {
        let mut pieces = Vec::new();
        let behind = Positions::new(vec![behind]);
        if row.has_selected(&behind, selector) {
            row.selected_bytes(&behind, selector, &mut pieces);
        }
        let message = pb::WatchEventsResponse::decode(pieces.concat().as_slice()).unwrap();
        let positions = message.events.iter().map(|event| event.position);
        (positions.collect(), pieces.len())
    }

    #[test]
    fn who_gets_everything_gets_one_piece_unlooked_at() {
        let everything = of_sellers(&[]);
        let row = row();
        assert_eq!(sent(&row, 0, &everything), (vec![7, 8, 9, 10], 1));
        assert_eq!(sent(&row, 6, &everything), (vec![7, 8, 9, 10], 1));
        assert_eq!(sent(&row, 8, &everything), (vec![9, 10], 1));
        assert_eq!(sent(&row, 10, &everything), (vec![], 0));
        assert_eq!(row.first(), 7);
    }

    #[test]
    fn who_gets_some_gets_what_is_selected() {
        let row = row();
        assert_eq!(sent(&row, 0, &of_sellers(&["b"])), (vec![8, 9], 1));
        assert_eq!(sent(&row, 0, &of_sellers(&["a"])), (vec![7, 10], 2));
        assert_eq!(sent(&row, 8, &of_sellers(&["a"])), (vec![10], 1));
        assert_eq!(
            sent(&row, 0, &of_sellers(&["a", "b"])),
            (vec![7, 8, 9, 10], 1)
        );
        assert_eq!(sent(&row, 9, &of_sellers(&["b"])), (vec![], 0));
    }
}
