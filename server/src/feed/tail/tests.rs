use belay_domain::feed::PartitionEnds;

use super::*;

fn row(partition: u16, first: u64, last: u64) -> FeedRow {
    let mut row = FeedRow::nothing(partition, last);
    (row.count, row.bytes) = (last + 1 - first, 100);
    row
}

fn tail_at(last: u64) -> Tail {
    let mut tail = Tail::new(2);
    tail.rings
        .iter_mut()
        .for_each(|ring| ring.skip_to(last, None));
    tail
}

fn end(last: u64, mark: Option<Mark>) -> MarkedEnds {
    let ends = PartitionEnds {
        last,
        pruned: 0,
        expiring: 0,
    };
    MarkedEnds { ends, mark }
}

fn mark(number: u8) -> Option<Mark> {
    Some(Mark([number; 32]))
}

/// A row of one event that the database has told of.
fn marked(position: u64, number: u8) -> FeedRow {
    let mut row = row(0, position, position);
    row.mark = mark(number);
    row
}

fn lasts(ready: &Ready) -> Vec<(u16, u64)> {
    let rows = ready.rows.iter();
    rows.map(|row| (row.partition, row.last)).collect()
}

fn after(tail: &Tail, first: u64, second: u64) -> Ready {
    tail.after([(0, first), (1, second)].into_iter(), usize::MAX)
}

#[test]
fn rows_come_in_order_and_once() {
    let mut tail = tail_at(10);
    assert!(tail.extend([row(0, 11, 12), row(1, 11, 11), row(0, 13, 13)]));
    // Both the engine and the table tell of a row.
    assert!(tail.extend([row(0, 11, 12)]));
    assert_eq!(lasts(&after(&tail, 10, 10)), [(0, 12), (0, 13), (1, 11)]);
    assert_eq!(lasts(&after(&tail, 12, 11)), [(0, 13)]);
    // In the middle of a row it comes whole.
    assert_eq!(lasts(&after(&tail, 11, 11)), [(0, 12), (0, 13)]);
    assert!(after(&tail, 13, 11).rows.is_empty());
    // What the watcher knows already may be more than the tail has.
    assert!(after(&tail, 99, 99).rows.is_empty());
}

#[test]
fn a_gap_is_told_and_nothing_behind_it_is_taken() {
    let mut tail = tail_at(10);
    assert!(!tail.extend([row(0, 13, 14), row(1, 11, 11)]));
    assert_eq!(lasts(&after(&tail, 10, 10)), [(1, 11)]);
    let ends = [end(14, None), end(11, None)];
    assert_eq!(tail.missing(&ends), (vec![(0, 10)], false));
    assert!(tail.extend([row(0, 11, 12), row(0, 13, 14)]));
    assert_eq!(tail.missing(&ends), (vec![], false));
}

#[test]
fn who_stands_before_the_ring_is_told_so() {
    let mut tail = tail_at(10);
    tail.extend([row(0, 11, 11)]);
    let ready = after(&tail, 9, 10);
    assert_eq!(ready.behind, Some((0, 9)));
    assert!(ready.rows.is_empty());
}

#[test]
fn the_ring_is_bounded_in_rows_and_bytes() {
    let mut tail = tail_at(0);
    let rows = u64::try_from(RING_ROWS_MAX).unwrap() + 5;
    tail.extend((1..=rows).map(|position| row(0, position, position)));
    assert_eq!(after(&tail, 4, 0).behind, Some((0, 4)));
    assert_eq!(after(&tail, 5, 0).rows.len(), RING_ROWS_MAX);
    let mut large = row(1, 1, 1);
    large.bytes = RING_BYTES_MAX + 1;
    tail.extend([large]);
    assert_eq!(
        after(&tail, rows, 0).behind,
        Some((1, 0)),
        "too large to be kept"
    );
    assert_eq!(after(&tail, rows, 1).behind, None);
}

#[test]
fn what_is_too_far_behind_is_skipped() {
    let mut tail = tail_at(10);
    let far = 10 + CATCH_UP_MAX + 1;
    let ends = [end(far, None), end(far - 1, None)];
    assert_eq!(tail.missing(&ends), (vec![(1, 10)], true));
    assert_eq!(after(&tail, 10, 10).behind, Some((0, 10)));
}

#[test]
fn who_begins_to_watch_does_not_wait_for_the_past() {
    let end = |last| end(last, None);
    let mut tail = tail_at(10);
    tail.begin(&[end(10 + BEGIN_BEHIND_MAX - 1), end(11)]);
    assert_eq!(tail.ends().collect::<Vec<_>>(), [(0, 10), (1, 10)]);
    let last = 10 + BEGIN_BEHIND_MAX;
    tail.rest();
    tail.begin(&[end(last), end(11)]);
    assert_eq!(tail.ends().collect::<Vec<_>>(), [(0, last), (1, 11)]);
    assert_eq!(after(&tail, 10, 11).behind, Some((0, 10)));
}

#[test]
fn who_watches_is_not_sent_to_the_table_because_a_read_failed() {
    let mut tail = tail_at(10);
    tail.begin(&[end(10, None), end(10, None)]);
    tail.doubt();
    let ends = [end(11 + BEGIN_BEHIND_MAX, None), end(11, None)];
    tail.begin(&ends);
    assert_eq!(tail.ends().collect::<Vec<_>>(), [(0, 10), (1, 10)]);
    assert_eq!(tail.missing(&ends), (vec![(0, 10), (1, 10)], false));
    assert!(!tail.is_current());
}

#[test]
fn a_watcher_takes_so_many_bytes_at_once() {
    let mut tail = tail_at(0);
    tail.extend((1..=10).map(|position| row(0, position, position)));
    let ready = tail.after([(0, 0)].into_iter(), 250);
    assert_eq!(lasts(&ready), [(0, 1), (0, 2), (0, 3)]);
    assert!(ready.is_cut, "there is more");
    let ready = tail.after([(0, 8)].into_iter(), 250);
    assert_eq!(lasts(&ready), [(0, 9), (0, 10)]);
    assert!(!ready.is_cut);
}

#[test]
fn the_first_partition_that_the_ring_no_longer_holds_is_read_next() {
    let mut tail = tail_at(10);
    tail.extend([row(0, 11, 11)]);
    let behind = |first, second| tail.behind([(0, first), (1, second)].into_iter());
    assert_eq!(behind(10, 10), None);
    assert_eq!(behind(11, 9), Some((1, 9)));
    assert_eq!(behind(9, 9), Some((0, 9)));
}

/// When watches are told of what moves at this time, in µs since the last round.
fn told_after(watches: usize, moved: u64) -> u128 {
    let begin = Instant::now();
    let mut rounds = Rounds::begin(begin);
    rounds.moved(watches);
    let next = rounds.next.unwrap();
    // What moves later is told of in the same round.
    rounds.moved(1_000);
    assert_eq!(rounds.next, Some(next));
    let now = begin + Duration::from_micros(moved);
    (next.max(now) - begin).as_micros()
}

#[test]
fn the_more_watch_the_longer_is_a_round_up_to_a_bound() {
    assert_eq!(told_after(1, 0), 250);
    assert_eq!(told_after(99, 0), 24_750);
    assert_eq!(told_after(100, 0), 25_000);
    assert_eq!(told_after(101, 0), 25_000);
    assert_eq!(told_after(usize::MAX, 0), 25_000);
    assert_eq!(told_after(100, 24_999), 25_000);
    assert_eq!(told_after(100, 25_001), 25_001, "at once");
}

#[test]
fn a_round_is_followed_by_the_next_only_when_something_has_moved() {
    let begin = Instant::now();
    let mut rounds = Rounds::begin(begin);
    assert_eq!(rounds.next, None);
    rounds.moved(8);
    rounds.told(begin + Duration::from_millis(3));
    assert_eq!(rounds.next, None);
    rounds.moved(8);
    assert_eq!(rounds.next, Some(begin + Duration::from_millis(5)));
}

#[test]
fn a_partition_that_went_back_is_known_by_its_end_or_by_the_mark_of_it() {
    let mut tail = tail_at(10);
    tail.extend([marked(11, 11), marked(12, 12)]);
    let doubted = |last, mark| tail.doubted(&[end(last, mark), end(10, None)]);
    assert_eq!(doubted(12, mark(12)), (vec![], vec![]));
    assert_eq!(doubted(12, None), (vec![], vec![]), "a release without");
    assert_eq!(doubted(11, mark(11)), (vec![0], vec![]));
    assert_eq!(doubted(12, mark(99)), (vec![0], vec![]));
    // Whoever reads on asks for the row; nobody would where so much is left out.
    assert_eq!(doubted(12 + CATCH_UP_MAX, mark(99)), (vec![], vec![]));
    let place = Place {
        partition: 0,
        position: 12,
        mark: Mark([12; 32]),
    };
    let far = doubted(13 + CATCH_UP_MAX, mark(99));
    assert_eq!(far, (vec![], vec![place]));
    assert_eq!(tail.places(&[(0, 12), (1, 10)]), [place]);
}

#[test]
fn what_the_database_lost_is_forgotten_and_whoever_has_had_it_is_told() {
    let mut tail = tail_at(10);
    tail.extend([marked(11, 11), marked(12, 12), marked(13, 13)]);
    let before = tail.rewinds();
    let found = [(11, mark(11)), (12, mark(99)), (13, mark(98))];
    let ends = [end(13, mark(98)), end(10, None)];
    assert_eq!(tail.rewind(0, &found, &ends[0]), Some(11));
    assert_eq!(lasts(&after(&tail, 10, 10)), [(0, 11)]);
    assert_eq!(tail.missing(&ends), (vec![(0, 11)], false));
    assert_eq!(tail.places(&[(0, 11)])[0].mark, Mark([11; 32]));

    let lost = |first, seen| tail.lost([(0, first), (1, 10)].into_iter(), seen);
    assert_eq!(lost(11, before), None);
    let ahead = PositionError::Ahead {
        partition: 0,
        position: 12,
        last: 11,
    };
    assert_eq!(lost(12, before), Some(ahead));
    assert_eq!(lost(12, tail.rewinds()), None, "it began behind it");
    tail.extend([marked(12, 99)]);
    assert_eq!(lasts(&after(&tail, 11, 10)), [(0, 12)]);
}

#[test]
fn who_went_back_further_than_is_known_here_begins_at_the_end() {
    let mut tail = tail_at(10);
    tail.extend([marked(11, 11), marked(12, 12)]);
    let found = [(11, mark(97)), (12, mark(98))];
    assert_eq!(tail.rewind(0, &found, &end(14, mark(99))), Some(9));
    assert_eq!(tail.ends().next(), Some((0, 14)));
    assert_eq!(after(&tail, 13, 10).behind, Some((0, 13)));
    // Even further than the first row that was known.
    assert_eq!(tail.rewind(0, &[], &end(5, mark(96))), Some(5));
    assert_eq!(tail.ends().next(), Some((0, 5)));
}

#[test]
fn a_commit_behind_other_rows_than_are_known_is_not_taken() {
    let mut tail = tail_at(10);
    tail.extend([marked(11, 11)]);
    let behind = |before: u8| {
        let mut row = marked(12, 12);
        row.before = mark(before);
        row
    };
    assert!(!tail.extend([behind(99)]));
    assert_eq!(lasts(&after(&tail, 10, 10)), [(0, 11)]);
    assert!(tail.extend([behind(11)]));
    assert_eq!(lasts(&after(&tail, 11, 10)), [(0, 12)]);
}
