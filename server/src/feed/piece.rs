//! Rows of the table in the bytes of a message, for one who gets everything.
//!
//! Who reads from the beginning reads everything there is, and shares it with nobody: a row in
//! memory of its own would cost more than its bytes do.

use belay_wire::events::encode_behind;
use bytes::{Bytes, BytesMut};

use super::{FeedError, expired};
use crate::db::DbError;
use crate::db::events::StoredEvents;

/// Whole rows of one partition that come one behind the other.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) partition: u16,
    /// The position of the last event.
    pub(super) last: u64,
    /// The events, as fields of a message.
    pub(super) bytes: Bytes,
}

/// Pieces that are made of the rows behind a position.
#[derive(Debug)]
pub(super) struct Pieces {
    partition: u16,
    /// Behind the last row that was taken.
    reached: u64,
    /// As they are stored, after which a piece ends.
    bytes_max: usize,
    finished: Vec<Piece>,
    stored: usize,
    bytes: BytesMut,
    /// The first position behind a gap.
    behind_gap: Option<u64>,
}

impl Pieces {
    pub(super) fn behind(partition: u16, position: u64, bytes_max: usize) -> Self {
        Self {
            partition,
            reached: position,
            bytes_max,
            finished: Vec::new(),
            stored: 0,
            bytes: BytesMut::new(),
            behind_gap: None,
        }
    }

    /// Takes the next row. What lies behind a gap is left out.
    pub(super) fn push(&mut self, row: &StoredEvents) -> Result<(), DbError> {
        let first = (row.last_position + 1).saturating_sub(row.count.into());
        if first > self.reached + 1 {
            self.behind_gap.get_or_insert(first);
        }
        if self.behind_gap.is_some() {
            return Ok(());
        }
        let place = (row.partition, row.last_position, row.count);
        encode_behind(self.reached, &row.payload, place, &mut self.bytes)
            .map_err(|error| DbError::Corrupt(format!("stored events cannot be read: {error}")))?;
        self.reached = row.last_position;
        self.stored += row.payload.len();
        if self.stored >= self.bytes_max {
            self.end_piece();
        }
        Ok(())
    }

    fn end_piece(&mut self) {
        self.stored = 0;
        self.finished.push(Piece {
            partition: self.partition,
            last: self.reached,
            bytes: self.bytes.split().freeze(),
        });
    }

    pub(super) fn finish(mut self) -> Result<Vec<Piece>, FeedError> {
        if let Some(oldest) = self.behind_gap {
            return Err(expired((self.partition, self.reached), oldest));
        }
        if self.stored > 0 {
            self.end_piece();
        }
        Ok(self.finished)
    }
}

#[cfg(test)]
mod tests {
    use belay_domain::feed::PositionError;
    use belay_proto::v1 as pb;
    use prost::Message;

    use super::*;

    /// A row with the events at these positions of the partition 5.
    fn row(first: u64, last: u64) -> StoredEvents {
        let event = |position: u64| pb::Event {
            order_id: format!("A-{position}"),
            ..pb::Event::default()
        };
        StoredEvents {
            partition: 5,
            last_position: last,
            count: u32::try_from(last + 1 - first).unwrap(),
            payload: (first..=last)
                .flat_map(|position| event(position).encode_length_delimited_to_vec())
                .collect(),
            mark: None,
            before: None,
        }
    }

    /// By piece: its end, and the positions of its events.
    fn read(behind: u64, rows: &[StoredEvents], bytes_max: usize) -> Vec<(u64, Vec<i64>)> {
        let mut pieces = Pieces::behind(5, behind, bytes_max);
        for row in rows {
            pieces.push(row).unwrap();
        }
        let pieces = pieces.finish().unwrap();
        let shown = pieces.into_iter().map(|piece| {
            let message = pb::WatchEventsResponse::decode(piece.bytes).unwrap();
            for event in &message.events {
                assert_eq!(event.partition, 5);
                assert_eq!(event.order_id, format!("A-{}", event.position));
            }
            let positions = message.events.iter().map(|event| event.position);
            (piece.last, positions.collect())
        });
        shown.collect()
    }

    #[test]
    fn a_piece_holds_whole_rows_and_ends_behind_so_many_bytes() {
        let rows = [row(1, 3), row(4, 4), row(5, 6), row(7, 7)];
        let all = vec![(7, vec![1, 2, 3, 4, 5, 6, 7])];
        assert_eq!(read(0, &rows, usize::MAX), all);
        let each = vec![
            (3, vec![1, 2, 3]),
            (4, vec![4]),
            (6, vec![5, 6]),
            (7, vec![7]),
        ];
        assert_eq!(read(0, &rows, 1), each);
        let first_two = rows[0].payload.len() + rows[1].payload.len();
        let two = vec![(4, vec![1, 2, 3, 4]), (7, vec![5, 6, 7])];
        assert_eq!(read(0, &rows, first_two), two);
        assert_eq!(read(0, &rows, first_two + 1)[0].0, 6);
        assert_eq!(read(0, &[], 1), []);
    }

    #[test]
    fn who_stands_within_a_row_gets_the_rest_of_it() {
        let rows = [row(1, 3), row(4, 4)];
        assert_eq!(read(1, &rows, usize::MAX), [(4, vec![2, 3, 4])]);
        assert_eq!(read(3, &rows[1..], usize::MAX), [(4, vec![4])]);
    }

    #[test]
    fn a_gap_is_told_with_what_is_kept() {
        let mut pieces = Pieces::behind(5, 3, 1);
        for row in [row(4, 5), row(7, 8), row(9, 9)] {
            pieces.push(&row).unwrap();
        }
        let expired = PositionError::Expired {
            partition: 5,
            position: 5,
            oldest: 7,
        };
        let error = pieces.finish().unwrap_err();
        assert!(
            matches!(error, FeedError::Position(at) if at == expired),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let cut = StoredEvents {
            count: 3,
            ..row(1, 2)
        };
        let error = Pieces::behind(5, 0, 1).push(&cut).unwrap_err();
        assert!(matches!(error, DbError::Corrupt(_)), "{error}");
    }
}
