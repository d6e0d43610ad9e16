//! Prunes what is older than it is to be kept, kind by kind, in small batches.
//!
//! No command waits for it: a batch is one short transaction about rows that no command locks, and
//! after each it rests for as long as the batch took. Of a partition one server prunes at a time;
//! what another one has is passed by. What it was doing when it dies is rolled back, and is old
//! again for the next.

use std::sync::Arc;
use std::time::Duration;

use belay_domain::bulk::JobKey;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::App;
use crate::db::aged::{Aged, Deleted};
use crate::db::events::EventsAge;
use crate::db::partition_tails::PartitionTail;
use crate::db::transaction::Transaction;
use crate::db::{
    Conn, DbError, bulk_cancellations, bulk_orders, decisions, events, in_time, order_history,
    partition_tails, requests,
};
use crate::retention::{Keep, Kind, RetentionSettings};

/// Bytes of the events of one batch; one row may have more.
const BATCH_BYTES: u64 = 1024 * 1024;
/// The least rest after a batch.
const REST_MIN: Duration = Duration::from_millis(5);
/// The part of their time for which events are still kept while those who ask for the oldest no
/// longer get them: so much time has a reader that begins there.
const EXPIRING_PART: i32 = 24;

/// Runs for as long as it is polled.
pub async fn run(app: Arc<App>, settings: RetentionSettings) {
    loop {
        for kind in Kind::ALL {
            let Keep::For(kept) = settings.keep(kind) else {
                continue;
            };
            if let Err(error) = pass(&app, kind, kept).await {
                app.pools.notes().note("the pruning of old rows", &error);
            }
        }
        tokio::time::sleep(settings.pass_interval).await;
    }
}

/// Prunes all of a kind that is old enough now.
pub async fn pass(app: &App, kind: Kind, kept: Duration) -> Result<(), DbError> {
    let now = super::now(app).await?;
    // What cannot be so old is older than nothing.
    let before = |kept: SignedDuration| now.checked_sub(kept).unwrap_or(Timestamp::UNIX_EPOCH);
    let kept = SignedDuration::try_from(kept).unwrap_or(SignedDuration::MAX);
    let oldest = match kind {
        Kind::Events => {
            let times = Times {
                old: before(kept),
                expiring: before(kept - kept / EXPIRING_PART),
            };
            prune_events(app, times).await?
        }
        Kind::Requests => prune_aged(app, kind, requests::AGED, before(kept)).await?,
        Kind::Decisions => prune_aged(app, kind, decisions::AGED, before(kept)).await?,
        Kind::BulkResults => prune_bulk_results(app, before(kept)).await?,
    };
    let age = now.duration_since(oldest.unwrap_or(now));
    let age = Duration::try_from(age).unwrap_or_default();
    app.oldest_rows.set(kind, age);
    Ok(())
}

async fn rest(batch_began: Instant) {
    tokio::time::sleep(batch_began.elapsed().max(REST_MIN)).await;
}

/// Deletes the rows of a table that are of a time before this one. Says of which time the oldest is
/// that stays.
async fn prune_aged(
    app: &App,
    kind: Kind,
    aged: Aged,
    before: Timestamp,
) -> Result<Option<Timestamp>, DbError> {
    let mut from = Timestamp::UNIX_EPOCH;
    loop {
        let began = Instant::now();
        let deleted = in_time(async {
            let mut conn = app.pools.background.checkout().await?;
            let deleted = aged
                .delete(&mut conn, from, before, app.retention.batch_rows)
                .await;
            conn.finish_with(deleted)
        });
        let deleted: Deleted = deleted.await?;
        app.telemetry.metrics.pruned(kind, deleted.rows);
        let Some(reached) = deleted.reached else {
            break;
        };
        from = reached;
        rest(began).await;
    }
    let oldest = in_time(async {
        let mut conn = app.pools.background.checkout().await?;
        let oldest = aged.oldest(&mut conn).await;
        conn.finish_with(oldest)
    });
    oldest.await
}

/// Deletes bulk cancellations that ended before this time, the results of each before it. Says when
/// the oldest has ended that stays.
async fn prune_bulk_results(app: &App, before: Timestamp) -> Result<Option<Timestamp>, DbError> {
    loop {
        let began = Instant::now();
        let (oldest, rows) = in_time(prune_bulk_batch(app, before)).await?;
        let Some(rows) = rows else {
            return Ok(oldest.map(|(_, end_time)| end_time));
        };
        app.telemetry.metrics.pruned(Kind::BulkResults, rows);
        rest(began).await;
    }
}

/// One batch of the results of the bulk cancellation that ended first, if that was before this
/// time; with the last of them goes the bulk cancellation. Gives when the first has ended, and how
/// many results it deleted.
async fn prune_bulk_batch(
    app: &App,
    before: Timestamp,
) -> Result<(Option<(JobKey, Timestamp)>, Option<usize>), DbError> {
    let mut conn = app.pools.background.checkout().await?;
    let pruned = async {
        let oldest = bulk_cancellations::oldest_ended(&mut conn).await?;
        let is_old = |(_, end_time): &(JobKey, Timestamp)| *end_time < before;
        let Some((key, _)) = oldest.filter(is_old) else {
            return Ok((oldest, None));
        };
        let rows_max = app.retention.batch_rows;
        let rows = bulk_orders::delete(&mut conn, key, rows_max).await?;
        if rows < usize::from(rows_max) {
            bulk_cancellations::delete(&mut conn, key).await?;
        }
        Ok((oldest, Some(rows)))
    }
    .await;
    conn.finish_with(pruned)
}

/// The times before which events are pruned, and before which they are soon to be.
#[derive(Debug, Clone, Copy)]
struct Times {
    old: Timestamp,
    expiring: Timestamp,
}

/// The work of a batch on a partition.
#[derive(Debug, Clone, Copy, Default)]
struct Batch {
    rows: usize,
    /// More may be old enough.
    has_more: bool,
    /// The time of the oldest row that stays, where that is known.
    oldest: Option<Timestamp>,
}

/// Takes events out of the feed. Says of which time the oldest is that stays.
async fn prune_events(app: &App, times: Times) -> Result<Option<Timestamp>, DbError> {
    let mut oldest: Option<Timestamp> = None;
    for partition in app.partitions.all() {
        loop {
            let began = Instant::now();
            let batch = in_time(async {
                let mut conn = Transaction::begin(&app.pools.background).await?;
                let written =
                    prune_partition(&mut conn, partition, times, app.retention.batch_rows).await;
                conn.end(written).await
            });
            let batch: Batch = batch.await?;
            app.telemetry.metrics.pruned(Kind::Events, batch.rows);
            rest(began).await;
            if !batch.has_more {
                oldest = [oldest, batch.oldest].into_iter().flatten().min();
                break;
            }
        }
    }
    Ok(oldest)
}

/// One transaction: the oldest rows of a partition leave the feed and are in the history of their
/// orders. What a projection has not read stays.
async fn prune_partition(
    conn: &mut Conn,
    partition: u16,
    times: Times,
    rows_max: u16,
) -> Result<Batch, DbError> {
    let Some(before) = partition_tails::take(conn, partition).await? else {
        return Ok(Batch::default());
    };
    let Some(read) = partition_tails::read_by_all(conn, partition).await? else {
        return Ok(Batch::default());
    };
    let mut tail = before;
    let rows = events::ages(conn, partition, tail.pruned, rows_max).await?;
    let pruned = rows_to_prune(&rows, times.old, read);
    if let Some(last) = pruned.last() {
        let range = (tail.pruned, last.last_position);
        let kept = order_history::keep(conn, partition, range).await?;
        let deleted = events::delete(conn, partition, range).await?;
        if (kept, deleted) != (pruned.len(), pruned.len()) {
            return Err(DbError::Corrupt(format!(
                "of {} old rows of partition {partition} {kept} were kept and {deleted} deleted",
                pruned.len()
            )));
        }
        tail.pruned = last.last_position;
        tail.expiring = tail.expiring.max(tail.pruned);
    }
    if is_kept_for_longer(conn, partition, tail, times.expiring).await? {
        tail.expiring = tail.pruned;
    }
    let next = events::ages(conn, partition, tail.expiring, rows_max).await?;
    let expiring = next
        .iter()
        .take_while(|row| row.event_time < times.expiring);
    let expiring = expiring.last();
    if let Some(last) = expiring {
        tail.expiring = last.last_position;
    }
    if tail != before {
        partition_tails::update(conn, partition, tail).await?;
    }
    Ok(Batch {
        rows: pruned.len(),
        has_more: tail != before,
        oldest: rows.get(pruned.len()).map(|row| row.event_time),
    })
}

/// Whether the last row that was to go soon is young again, for events are kept for longer now.
async fn is_kept_for_longer(
    conn: &mut Conn,
    partition: u16,
    tail: PartitionTail,
    expiring: Timestamp,
) -> Result<bool, DbError> {
    if tail.expiring <= tail.pruned {
        return Ok(false);
    }
    let last = events::ages(conn, partition, tail.expiring - 1, 1).await?;
    Ok(last.iter().any(|row| row.event_time >= expiring))
}

/// Of the oldest rows of a partition those that one batch prunes: older than this time, read by all
/// projections, and together not too large.
fn rows_to_prune(rows: &[EventsAge], before: Timestamp, read: u64) -> &[EventsAge] {
    let mut bytes = 0;
    let taken = rows.iter().take_while(|row| {
        let is_first = bytes == 0;
        bytes += row.bytes;
        let fits = is_first || bytes <= BATCH_BYTES;
        fits && row.event_time < before && row.last_position <= read
    });
    &rows[..taken.count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of two events, a second apart, of so many bytes.
    fn rows(bytes: &[u64]) -> Vec<EventsAge> {
        let row = |(number, bytes): (u64, &u64)| EventsAge {
            last_position: 10 + 2 * number,
            event_time: at(i64::try_from(number).unwrap()),
            bytes: *bytes,
        };
        (1..).zip(bytes).map(row).collect()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn rows_are_pruned_on_one_side_of_their_age_only() {
        let rows = rows(&[1; 3]);
        let pruned = |before| rows_to_prune(&rows, before, u64::MAX).len();
        assert_eq!(pruned(at(1)), 0);
        assert_eq!(pruned(at(1) + SignedDuration::from_micros(1)), 1);
        assert_eq!(pruned(at(3)), 2);
        assert_eq!(pruned(at(4)), 3);
        assert!(rows_to_prune(&[], at(9), u64::MAX).is_empty());
    }

    #[test]
    fn an_old_row_behind_a_young_one_waits_for_it() {
        let mut rows = rows(&[1; 3]);
        rows[1].event_time = at(100);
        assert_eq!(rows_to_prune(&rows, at(9), u64::MAX).len(), 1);
    }

    #[test]
    fn what_a_projection_has_not_read_stays() {
        let rows = rows(&[1; 3]);
        let pruned = |read| rows_to_prune(&rows, at(9), read).len();
        assert_eq!(pruned(11), 0);
        assert_eq!(pruned(13), 1);
        assert_eq!(pruned(14), 2);
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_takes_one_row_at_least() {
        let pruned = |bytes: &[u64]| rows_to_prune(&rows(bytes), at(9), u64::MAX).len();
        assert_eq!(pruned(&[BATCH_BYTES + 1, 1]), 1);
        assert_eq!(pruned(&[BATCH_BYTES - 1, 1, 1]), 2);
        assert_eq!(pruned(&[1, BATCH_BYTES, 1]), 1);
    }
}
