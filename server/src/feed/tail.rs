//! The tail: what of each partition was read last, and how it is kept up.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::chain::Mark;
use belay_domain::feed::PositionError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};

use super::rewinds::Rewinds;
use super::row::{FeedRow, Form};
use super::{Feed, FeedError};
use crate::db::events::StoredEvents;
use crate::db::feed::{MarkedEnds, Place};
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

#[derive(Debug)]
pub(super) struct Tail {
    /// Of every partition, in their order.
    rings: Vec<Ring>,
    /// Whether it was held against the database since somebody watches, or since the database
    /// failed. Until then it may hold what a lost primary alone had.
    is_current: bool,
    /// Nobody watches, or nothing was read since somebody began to.
    is_idle: bool,
    rewinds: Rewinds,
}

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
    /// Its mark, where it has one.
    mark: Option<Mark>,
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
        Self {
            rings: vec![Ring::default(); partitions.into()],
            is_current: false,
            is_idle: true,
            rewinds: Rewinds::default(),
        }
    }

    /// Whether who begins to watch may be given what is here.
    pub(super) fn is_current(&self) -> bool {
        self.is_current
    }

    pub(super) fn rewinds(&self) -> u64 {
        self.rewinds.count()
    }

    /// Whether one of these positions was lost after so many rewinds, and what stands there now is
    /// another event.
    pub(super) fn lost(
        &self,
        mut positions: impl Iterator<Item = (u16, u64)>,
        rewinds: u64,
    ) -> Option<PositionError> {
        positions.find_map(|(partition, position)| {
            let mut new = self.rewinds.since(rewinds);
            let (_, last) = new.find(|(of, to)| *of == partition && *to < position)?;
            Some(PositionError::Ahead {
                partition,
                position,
                last,
            })
        })
    }

    /// What lies behind these positions, up to so many bytes.
    pub(super) fn after(
        &self,
        positions: impl Iterator<Item = (u16, u64)>,
        bytes_max: usize,
    ) -> Ready {
        let (mut ready, mut bytes) = (Ready::default(), 0);
        for (partition, position) in positions {
            let Some(ring) = self.rings.get(usize::from(partition)) else {
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
            let ring = self.rings.get(usize::from(*partition));
            ring.is_some_and(|ring| *position < ring.begin)
        })
    }

    /// Where each partition ends, as far as is known here.
    pub(super) fn ends(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (0..).zip(self.rings.iter().map(|ring| ring.end))
    }

    /// Takes rows up, where they come next; false where one of them does not, for what lies before
    /// it is not known yet.
    fn extend(&mut self, rows: impl IntoIterator<Item = FeedRow>) -> bool {
        let mut is_gapless = true;
        for row in rows {
            if let Some(ring) = self.rings.get_mut(usize::from(row.partition)) {
                is_gapless &= ring.push(row);
            }
        }
        is_gapless
    }

    /// Nobody watches any more.
    fn rest(&mut self) {
        (self.is_current, self.is_idle) = (false, true);
    }

    /// The database failed, and may be another one when it is back.
    fn doubt(&mut self) {
        self.is_current = false;
    }

    /// Begins at these ends, where nobody watched and much lies behind them: to read all of it
    /// would hold up what is committed now. Those who watch while the database fails for a moment
    /// are not sent to the table.
    fn begin(&mut self, ends: &[MarkedEnds]) {
        if !std::mem::replace(&mut self.is_idle, false) {
            return;
        }
        let pairs = self.rings.iter_mut().zip(ends);
        let behind = |(ring, end): (&mut Ring, &MarkedEnds)| end.ends.last.abs_diff(ring.end);
        let behind: u64 = pairs.map(behind).sum();
        if behind > BEGIN_BEHIND_MAX {
            let pairs = self.rings.iter_mut().zip(ends);
            pairs.for_each(|(ring, end)| ring.skip_to(end.ends.last, end.mark));
        }
    }

    /// What was committed since the ends were read, and is here already, is no restored database.
    fn raise(&self, ends: &mut [MarkedEnds]) {
        for (ring, end) in self.rings.iter().zip(ends) {
            if end.ends.last < ring.end {
                (end.ends.last, end.mark) = (ring.end, ring.mark);
            }
        }
    }

    /// The partitions that have not come as far as was read, or have come there by another way; and
    /// the last rows of those that are so far ahead that nothing is read behind these.
    fn doubted(&self, ends: &[MarkedEnds]) -> (Vec<u16>, Vec<Place>) {
        let (mut forked, mut far) = (Vec::new(), Vec::new());
        for (partition, (ring, end)) in (0..).zip(self.rings.iter().zip(ends)) {
            let is_other = end.ends.last == ring.end && is_other(ring.mark, end.mark);
            if end.ends.last < ring.end || is_other {
                forked.push(partition);
            } else if ring.is_far_behind(end) {
                far.extend(ring.place(partition));
            }
        }
        (forked, far)
    }

    /// The last rows of these partitions.
    fn places(&self, partitions: &[(u16, u64)]) -> Vec<Place> {
        let place = |(partition, _): &(u16, u64)| {
            let ring = self.rings.get(usize::from(*partition))?;
            ring.place(*partition)
        };
        partitions.iter().filter_map(place).collect()
    }

    /// Where to read on to come to these ends. What is too far behind, or pruned, is skipped.
    fn missing(&mut self, ends: &[MarkedEnds]) -> (Vec<(u16, u64)>, bool) {
        let (mut missing, mut has_skipped) = (Vec::new(), false);
        for (partition, (ring, end)) in (0..).zip(self.rings.iter_mut().zip(ends)) {
            if ring.is_far_behind(end) || ring.end < end.ends.pruned {
                ring.skip_to(end.ends.last, end.mark);
                has_skipped = true;
            } else if end.ends.last > ring.end {
                missing.push((partition, ring.end));
            }
        }
        (missing, has_skipped)
    }

    /// A partition went back: forgets what is not among these rows of it, and says which position
    /// is the last that is as it was, as far as can be told.
    fn rewind(
        &mut self,
        partition: u16,
        found: &[(u64, Option<Mark>)],
        end: &MarkedEnds,
    ) -> Option<u64> {
        let ring = self.rings.get_mut(usize::from(partition))?;
        let is_found = |row: &Arc<FeedRow>| found.contains(&(row.last, row.mark));
        let to = match ring.rows.iter().rposition(is_found) {
            Some(last) => {
                ring.truncate(last + 1);
                ring.end
            }
            // Of what lies further back nothing is known here.
            None => {
                let to = ring.begin.saturating_sub(1).min(end.ends.last);
                ring.skip_to(end.ends.last, end.mark);
                to
            }
        };
        self.rewinds.push(partition, to);
        Some(to)
    }
}

/// Whether these are of two rows. Where one has no mark nobody knows.
fn is_other(known: Option<Mark>, found: Option<Mark>) -> bool {
    known
        .zip(found)
        .is_some_and(|(known, found)| known != found)
}

impl Ring {
    fn skip_to(&mut self, end: u64, mark: Option<Mark>) {
        *self = Self {
            begin: end,
            end,
            mark,
            ..Self::default()
        };
    }

    /// Keeps so many rows, which are not none.
    fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
        self.bytes = self.rows.iter().map(|row| row.bytes).sum();
        if let Some(last) = self.rows.back() {
            (self.end, self.mark) = (last.last, last.mark);
        }
    }

    fn is_far_behind(&self, end: &MarkedEnds) -> bool {
        end.ends.last.saturating_sub(self.end) > CATCH_UP_MAX
    }

    fn place(&self, partition: u16) -> Option<Place> {
        let mark = self.mark?;
        Some(Place {
            partition,
            position: self.end,
            mark,
        })
    }

    fn push(&mut self, row: FeedRow) -> bool {
        if row.last <= self.end {
            return true;
        }
        // A server that was told of a commit may know of less than was lost.
        if row.first() > self.end + 1 || is_other(self.mark, row.before) {
            return false;
        }
        (self.end, self.mark) = (row.last, row.mark);
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
            feed.tail_mut().rest();
            feed.0.watched.notified().await;
            continue;
        }
        if let Err(error) = follow(&feed, &mut commits).await {
            feed.tail_mut().doubt();
            // What was taken up before it failed waits for no round.
            let _ = feed.0.moved.send(());
            feed.0.pool.notes().note("the feed", &error);
            sleep(RETRY).await;
        }
    }
}

/// Until nobody watches any more, or the database cannot be read. What is known already stays where
/// the database still has it: rows never change.
async fn follow(
    feed: &Feed,
    commits: &mut mpsc::Receiver<Vec<StoredEvents>>,
) -> Result<(), DbError> {
    // Where nobody watched until now, what was committed meanwhile is in the table for whoever
    // wants it.
    let ends = in_time(feed.marked_ends()).await?;
    feed.tail_mut().begin(&ends);
    // A watch that has looked before finds out that it is behind.
    let _ = feed.0.moved.send(());
    let mut rounds = Rounds::begin(Instant::now());
    look(feed, &mut rounds).await?;
    feed.tail_mut().is_current = true;
    let _ = feed.0.moved.send(());
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
    let mut ends = rounds.beside(feed, in_time(feed.marked_ends())).await?;
    let (mut forked, far) = feed.tail().doubted(&ends);
    forked.extend(rounds.beside(feed, in_time(feed.forked(&far))).await?);
    rewind(feed, rounds, (&forked, &ends)).await?;
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
                // Asked behind the reading: what was read of a primary that is lost meanwhile is
                // found out the next time.
                let places = feed.tail().places(&missing);
                let forked = rounds.beside(feed, in_time(feed.forked(&places))).await?;
                if !forked.is_empty() {
                    rewind(feed, rounds, (&forked, &ends)).await?;
                    continue;
                }
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

/// Goes back in partitions that have lost what was read of them, to what both have, and leaves it
/// to the watches whether they can go on.
async fn rewind(
    feed: &Feed,
    rounds: &mut Rounds,
    (partitions, ends): (&[u16], &[MarkedEnds]),
) -> Result<(), DbError> {
    let limit = u16::try_from(RING_ROWS_MAX).unwrap_or(u16::MAX);
    for partition in partitions {
        let at = usize::from(*partition);
        let begin = feed.tail().rings.get(at).map_or(0, |ring| ring.begin);
        let marks = feed.marks_after((*partition, begin), limit);
        let found = rounds.beside(feed, in_time(marks)).await?;
        let Some(end) = ends.get(at) else {
            continue;
        };
        let to = feed.tail_mut().rewind(*partition, &found, end);
        tracing::warn!(
            partition,
            to,
            "the database lacks events that were read: watches that have had them end"
        );
        rounds.moved(feed.watches());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
