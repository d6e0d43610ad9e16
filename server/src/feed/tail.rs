//! The tail: what of each partition was read last, and how it is kept up.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::feed::PartitionEnds;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::row::{FeedRow, Form};
use super::{Feed, FeedError};
use crate::db::events::StoredEvents;
use crate::db::{DbError, in_time};

/// Rows that are kept of one partition, and bytes of their events as they are stored; in memory
/// they take four times as much.
const RING_ROWS_MAX: usize = 2_048;
const RING_BYTES_MAX: usize = 256 * 1024;
/// Events behind the tail that are read and not skipped: those who wait for more read the table.
const CATCH_UP_MAX: u64 = 4_096;
/// The same of all partitions together, when somebody begins to watch.
const BEGIN_BEHIND_MAX: u64 = 1_000;
/// Rows that are read at once.
const READ_ROWS: u16 = 1_000;
/// Between two rounds in which watches are told that the tail has moved: so long for each of them…
const ROUND_PER_WATCH: Duration = Duration::from_micros(250);
/// … and no longer. A watch that is told more seldom gets more in one message, which costs it and
/// the server less; what is committed after a quiet time is told at once.
const ROUND_MAX: Duration = Duration::from_millis(25);
/// Between two attempts to read while the database cannot be reached.
const RETRY: Duration = Duration::from_millis(500);

/// The rings of every partition, in their order.
#[derive(Debug)]
pub(super) struct Tail(Vec<Ring>);

/// The rows that were read last of one partition: they hold all that lies between `begin` and
/// `end`.
#[derive(Debug, Clone, Default)]
struct Ring {
    rows: VecDeque<Arc<FeedRow>>,
    bytes: usize,
    /// The position before the first row.
    begin: u64,
    /// The position of the last row.
    end: u64,
}

/// Rows for a watch.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) rows: Vec<Arc<FeedRow>>,
    /// The first partition, with its position, of which the ring no longer holds what comes next.
    pub(super) behind: Option<(u16, u64)>,
    /// There is more, for another message.
    pub(super) is_cut: bool,
}

/// The times at which watches are told that the tail has moved.
#[derive(Debug)]
struct Rounds {
    last: Instant,
    /// When the next round is, if anything has moved since the last one.
    next: Option<Instant>,
}

impl Rounds {
    fn begin(now: Instant) -> Self {
        Self {
            last: now,
            next: None,
        }
    }

    /// The tail has moved, and so many watch.
    fn moved(&mut self, watches: usize) {
        let watches = u32::try_from(watches).unwrap_or(u32::MAX);
        let pause = ROUND_PER_WATCH.saturating_mul(watches).min(ROUND_MAX);
        self.next.get_or_insert(self.last + pause);
    }

    async fn due(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }

    fn told(&mut self, now: Instant) {
        (self.last, self.next) = (now, None);
    }

    fn tell(&mut self, feed: &Feed) {
        let _ = feed.0.moved.send(());
        self.told(Instant::now());
    }

    /// Waits for the database, and goes on telling what is known already.
    async fn beside<T>(&mut self, feed: &Feed, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.due() => self.tell(feed),
            }
        }
    }
}

impl Tail {
    pub(super) fn new(partitions: u16) -> Self {
        Self(vec![Ring::default(); partitions.into()])
    }

    /// What lies behind these positions, up to so many bytes.
    pub(super) fn after(
        &self,
        positions: impl Iterator<Item = (u16, u64)>,
        bytes_max: usize,
    ) -> Ready {
        let (mut ready, mut bytes) = (Ready::default(), 0);
        for (partition, position) in positions {
            let Some(ring) = self.0.get(usize::from(partition)) else {
                continue;
            };
            if position >= ring.end {
                continue;
            }
            if position < ring.begin {
                ready.behind.get_or_insert((partition, position));
                continue;
            }
            let from = ring.rows.partition_point(|row| row.last <= position);
            for row in ring.rows.range(from..) {
                if bytes >= bytes_max {
                    ready.is_cut = true;
                    return ready;
                }
                bytes += row.bytes;
                ready.rows.push(row.clone());
            }
        }
        ready
    }

    /// The first of these partitions, with its position, of which the ring does not hold what comes
    /// next.
    pub(super) fn behind(
        &self,
        mut positions: impl Iterator<Item = (u16, u64)>,
    ) -> Option<(u16, u64)> {
        positions.find(|(partition, position)| {
            let ring = self.0.get(usize::from(*partition));
            ring.is_some_and(|ring| *position < ring.begin)
        })
    }

    /// Where each partition ends, as far as is known here.
    pub(super) fn ends(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.0.iter().map(|ring| ring.end))
    }

    /// Takes rows up, where they come next; false where one of them does not, for what lies before
    /// it is not known yet.
    fn extend(&mut self, rows: impl IntoIterator<Item = FeedRow>) -> bool {
        let mut is_gapless = true;
        for row in rows {
            if let Some(ring) = self.0.get_mut(usize::from(row.partition)) {
                is_gapless &= ring.push(row);
            }
        }
        is_gapless
    }

    /// Begins at these ends, where much lies behind them: to read all of it would hold up what is
    /// committed now.
    fn begin(&mut self, ends: &[PartitionEnds]) {
        let pairs = self.0.iter_mut().zip(ends);
        let behind: u64 = pairs.map(|(ring, end)| end.last.abs_diff(ring.end)).sum();
        if behind > BEGIN_BEHIND_MAX {
            let pairs = self.0.iter_mut().zip(ends);
            pairs.for_each(|(ring, end)| ring.skip_to(end.last));
        }
    }

    /// What was committed since the ends were read, and is here already, is no restored database.
    fn raise(&self, ends: &mut [PartitionEnds]) {
        for (ring, end) in self.0.iter().zip(ends) {
            end.last = end.last.max(ring.end);
        }
    }

    /// Where to read on to come to these ends. What is too far behind, or pruned, is skipped; so is
    /// what lies ahead of a database that was restored.
    fn missing(&mut self, ends: &[PartitionEnds]) -> (Vec<(u16, u64)>, bool) {
        let (mut missing, mut has_skipped) = (Vec::new(), false);
        for (partition, (ring, end)) in (0..).zip(self.0.iter_mut().zip(ends)) {
            let is_far = end.last.saturating_sub(ring.end) > CATCH_UP_MAX;
            if is_far || ring.end < end.pruned || end.last < ring.end {
                ring.skip_to(end.last);
                has_skipped = true;
            } else if end.last > ring.end {
                missing.push((partition, ring.end));
            }
        }
        (missing, has_skipped)
    }
}

impl Ring {
    fn skip_to(&mut self, end: u64) {
        *self = Self {
            begin: end,
            end,
            ..Self::default()
        };
    }

    fn push(&mut self, row: FeedRow) -> bool {
        if row.last <= self.end {
            return true;
        }
        if row.first() > self.end + 1 {
            return false;
        }
        self.end = row.last;
        self.bytes += row.bytes;
        self.rows.push_back(Arc::new(row));
        while self.rows.len() > RING_ROWS_MAX || self.bytes > RING_BYTES_MAX {
            let Some(oldest) = self.rows.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes;
            self.begin = oldest.last;
        }
        true
    }
}

/// Keeps the tail up for as long as somebody watches.
pub(super) async fn run(feed: Feed, mut commits: mpsc::Receiver<Vec<StoredEvents>>) {
    loop {
        if feed.watches() == 0 {
            feed.0.watched.notified().await;
            continue;
        }
        if let Err(error) = follow(&feed, &mut commits).await {
            // What was taken up before it failed waits for no round.
            let _ = feed.0.moved.send(());
            feed.0.pool.notes().note("the feed", &error);
            sleep(RETRY).await;
        }
    }
}

/// Until nobody watches any more, or the database cannot be read. What is known already stays: rows
/// never change.
async fn follow(
    feed: &Feed,
    commits: &mut mpsc::Receiver<Vec<StoredEvents>>,
) -> Result<(), DbError> {
    // Nobody watched until now: what was committed meanwhile is in the table for whoever wants it.
    let ends = in_time(feed.ends()).await?;
    feed.tail_mut().begin(&ends);
    // A watch that has looked before finds out that it is behind.
    let _ = feed.0.moved.send(());
    let mut rounds = Rounds::begin(Instant::now());
    look(feed, &mut rounds).await?;
    let poll = feed.0.settings.poll;
    let mut looks = interval_at(Instant::now() + poll, poll);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while feed.watches() > 0 {
        let is_gapless = tokio::select! {
            Some(rows) = commits.recv() => {
                let rows: Vec<FeedRow> = rows
                    .into_iter()
                    .map(|row| FeedRow::read(row, Form::Both))
                    .collect::<Result<_, _>>()?;
                let is_gapless = feed.tail_mut().extend(rows);
                rounds.moved(feed.watches());
                is_gapless
            }
            () = rounds.due() => {
                rounds.tell(feed);
                true
            }
            _ = looks.tick() => false,
        };
        if !is_gapless {
            look(feed, &mut rounds).await?;
        }
    }
    Ok(())
}

/// Reads what was committed meanwhile, by whichever server. What is known already waits for none of
/// it.
async fn look(feed: &Feed, rounds: &mut Rounds) -> Result<(), DbError> {
    let mut ends = rounds.beside(feed, in_time(feed.ends())).await?;
    loop {
        let (missing, has_skipped) = feed.tail_mut().missing(&ends);
        if has_skipped {
            // A watch that stands before it now goes to the table.
            rounds.moved(feed.watches());
        }
        if missing.is_empty() {
            feed.is_followed_now();
            return Ok(());
        }
        let read = in_time(feed.read(&missing, READ_ROWS, Form::Both));
        match rounds.beside(feed, read).await {
            Ok(rows) if rows.is_empty() => return Ok(()),
            Ok(rows) => {
                let mut tail = feed.tail_mut();
                tail.extend(rows);
                tail.raise(&mut ends);
            }
            Err(FeedError::Database(error)) => return Err(error),
            // Pruned a moment ago: the next look knows.
            Err(FeedError::Position(_)) => return Ok(()),
        };
        rounds.moved(feed.watches());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(partition: u16, first: u64, last: u64) -> FeedRow {
        let mut row = FeedRow::nothing(partition, last);
        (row.count, row.bytes) = (last + 1 - first, 100);
        row
    }

    fn tail_at(last: u64) -> Tail {
        let mut tail = Tail::new(2);
        tail.0.iter_mut().for_each(|ring| ring.skip_to(last));
        tail
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
        let ends = [
            PartitionEnds {
                last: 14,
                pruned: 0,
                expiring: 0,
            },
            PartitionEnds {
                last: 11,
                pruned: 0,
                expiring: 0,
            },
        ];
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
        let ends = [
            PartitionEnds {
                last: far,
                pruned: 0,
                expiring: 0,
            },
            PartitionEnds {
                last: far - 1,
                pruned: 0,
                expiring: 0,
            },
        ];
        assert_eq!(tail.missing(&ends), (vec![(1, 10)], true));
        assert_eq!(after(&tail, 10, 10).behind, Some((0, 10)));
    }

    #[test]
    fn who_begins_to_watch_does_not_wait_for_the_past() {
        let end = |last| PartitionEnds {
            last,
            pruned: 0,
            expiring: 0,
        };
        let mut tail = tail_at(10);
        tail.begin(&[end(10 + BEGIN_BEHIND_MAX - 1), end(11)]);
        assert_eq!(tail.ends().collect::<Vec<_>>(), [(0, 10), (1, 10)]);
        let last = 10 + BEGIN_BEHIND_MAX;
        tail.begin(&[end(last), end(11)]);
        assert_eq!(tail.ends().collect::<Vec<_>>(), [(0, last), (1, 11)]);
        assert_eq!(after(&tail, 10, 11).behind, Some((0, 10)));
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
}
