//! Reads of the feed by an instance, and the outcomes that it stores.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use belay_domain::feed::PositionError;
use belay_domain::ids::{ConsumerId, OrderId, OrderKey, StoreId};
use belay_proto::v1 as pb;
use belay_wire::events::{EventError, event_without_buyer};
use jiff::Timestamp;
use prost::Message as _;
use tokio::time::Instant;

use super::courier::{Courier, POLL, RETRY};
use super::leases::{later, went_back};
use super::partition::{Change, HELD_MAX, Settlement};
use super::retry::Hold;
use crate::db::delivery_partitions::DeliveryPartition;
use crate::db::held_events::{HeldEvent, HeldMark};
use crate::db::transaction::Transaction;
use crate::db::{
    Conn, DbError, clock, delivery_partitions, erasures, feed, held_events, in_time,
    partition_tails,
};
use crate::feed::{FeedError, FeedRow, Form};
use crate::telemetry::deliveries::Backlog;

/// Rows that are read at once, over all partitions.
const READ_ROWS: u16 = 128;
/// Between two writes of what came of events.
const SETTLE: Duration = Duration::from_millis(20);
/// Between two writes of positions that have only passed events which nobody is to get.
const MOVE: Duration = Duration::from_secs(1);

/// Partitions with what is to be stored of each.
type Settlements = BTreeMap<u16, (u64, Settlement)>;

impl Courier {
    /// Stores what came of events, of all partitions in one transaction. Of those whose lease has
    /// passed on nothing is stored.
    pub(super) async fn settle(&mut self) {
        let is_time_to_move = Instant::now() >= self.move_at;
        let partitions = self.partitions.values();
        let settlements: Settlements = partitions
            .filter(|part| part.has_news() || (is_time_to_move && part.can_move()))
            .map(|part| (part.number, (part.fence, part.settlement())))
            .collect();
        if is_time_to_move {
            self.move_at = Instant::now() + MOVE;
        }
        self.settle_at = Instant::now() + SETTLE;
        if settlements.is_empty() {
            return;
        }
        match in_time(self.store(&settlements)).await {
            Ok(stored) => {
                let now = Instant::now();
                for (number, (_, settlement)) in settlements {
                    match self.partitions.get_mut(&number) {
                        Some(partition) if stored.contains(&number) => {
                            partition.stored(settlement, now);
                        }
                        Some(_) => {
                            tracing::warn!(
                                partition = number,
                                "the lease has passed on, or the database has gone back"
                            );
                            self.partitions.remove(&number);
                        }
                        None => {}
                    }
                }
                self.told(Ok(()));
            }
            Err(error) => {
                for number in settlements.keys() {
                    if let Some(partition) = self.partitions.get_mut(number) {
                        partition.unanswered();
                    }
                }
                self.told(Err(error));
                self.settle_at = Instant::now() + RETRY;
            }
        }
        self.tell_backlog();
    }

    /// Says which partitions were ours to store. Again, after an answer that was lost, does no
    /// harm, whatever somebody has done to dead letters since.
    async fn store(&self, settlements: &Settlements) -> Result<Vec<u16>, DbError> {
        let numbers: Vec<u16> = settlements.keys().copied().collect();
        let consumer = &self.name.consumer;
        let mut conn = Transaction::begin(&self.pool).await?;
        let written = async {
            let locked = delivery_partitions::lock(&mut conn, consumer, &numbers).await?;
            let read = settlements.values().filter_map(|(_, to)| to.read);
            let forked = feed::forked(&mut conn, &read.collect::<Vec<_>>()).await?;
            let mut ours = Vec::new();
            for row in locked {
                let Some((fence, settlement)) = settlements.get(&row.partition) else {
                    continue;
                };
                let is_ours = row.instance == self.instance
                    && row.fence == *fence
                    && (settlement.from..=settlement.to).contains(&row.position)
                    && !forked.contains(&row.partition);
                if is_ours {
                    ours.push((row, settlement));
                }
            }
            let erased = erased(&mut conn, &ours).await?;
            let now = clock::now(&mut conn).await?;
            let mut moved = Vec::new();
            for (row, settlement) in ours {
                write(&mut conn, consumer, (&row, settlement), &erased, now).await?;
                let position = settlement.to;
                moved.push(DeliveryPartition { position, ..row });
            }
            delivery_partitions::update(&mut conn, consumer, &moved).await?;
            Ok(moved.iter().map(|row| row.partition).collect())
        }
        .await;
        conn.end(written).await
    }

    /// Reads what comes next, where there is room for it.
    pub(super) async fn read(&mut self) {
        self.read_at = Instant::now() + POLL;
        if self.partitions.is_empty() {
            return;
        }
        match in_time(self.feed.marked_ends()).await {
            Ok(ends) => self.ends = ends,
            Err(error) => {
                self.told(Err(error));
                return;
            }
        }
        let after = self.behind();
        if after.is_empty() {
            return;
        }
        match in_time(self.feed.read(&after, READ_ROWS, Form::Events)).await {
            Ok(rows) => {
                let read = after.iter();
                let read = read.filter_map(|(number, _)| self.partitions.get(number)?.last_read());
                // Asked behind the reading: what comes there stands behind what was read before.
                match in_time(self.feed.forked(&read.collect::<Vec<_>>())).await {
                    Ok(forked) => forked
                        .into_iter()
                        .for_each(|number| self.begin_again(number)),
                    Err(error) => {
                        self.told(Err(error));
                        return;
                    }
                }
                let is_cut = rows.len() >= usize::from(READ_ROWS);
                let last = rows.last().map(|row| row.partition).filter(|_| is_cut);
                self.read_turn = last.map_or(0, |last| last + 1);
                let taken = self.take_in(rows);
                if is_cut && taken.is_ok() {
                    self.read_at = Instant::now();
                }
                self.told(taken);
            }
            Err(FeedError::Database(error)) => {
                self.told(Err(error));
            }
            Err(FeedError::Position(error)) => self.pruned(error),
        }
        self.tell_backlog();
    }

    /// The partitions in which there is something to read and room for it, those first whose turn
    /// it is.
    fn behind(&mut self) -> Vec<(u16, u64)> {
        let (mut pruned, mut ahead) = (Vec::new(), Vec::new());
        let mut behind = Vec::new();
        for (number, partition) in &self.partitions {
            let (Some(from), Some(end)) =
                (partition.read_from(), self.ends.get(usize::from(*number)))
            else {
                continue;
            };
            if partition.is_ahead(end) {
                ahead.push(*number);
                continue;
            }
            let end = end.ends;
            if from < end.pruned {
                pruned.push(PositionError::Expired {
                    partition: *number,
                    position: from,
                    oldest: end.pruned + 1,
                });
            } else if from < end.last {
                behind.push((*number, from));
            }
        }
        for error in pruned {
            self.pruned(error);
        }
        ahead
            .into_iter()
            .for_each(|number| self.begin_again(number));
        let next = behind.partition_point(|(number, _)| *number < self.read_turn);
        if next < behind.len() {
            behind.drain(..next);
        }
        behind
    }

    /// Other events have taken the places of those that were read, so what was read and not stored
    /// is forgotten.
    fn begin_again(&mut self, number: u16) {
        if let Some(partition) = self.partitions.remove(&number) {
            went_back(number, partition.read_to());
        }
    }

    fn take_in(&mut self, rows: Vec<FeedRow>) -> Result<(), DbError> {
        for row in rows {
            let Some(partition) = self.partitions.get_mut(&row.partition) else {
                continue;
            };
            let (to, mark, selector) = (row.last, row.mark, &self.name.selector);
            let events = row.events.into_iter();
            let selected = events.filter(|event| selector.selects(event));
            let placed = selected.map(|event| {
                let key = order_key(&event)?;
                Ok((event.position.unsigned_abs(), key, event))
            });
            partition.read(placed.collect::<Result<_, DbError>>()?, to, mark);
        }
        Ok(())
    }

    /// What comes next is no longer kept: it is skipped where that was asked for, else the
    /// partition stands still.
    fn pruned(&mut self, error: PositionError) {
        let PositionError::Expired {
            partition: number,
            position,
            oldest,
        } = error
        else {
            return;
        };
        let Some(partition) = self.partitions.get_mut(&number) else {
            return;
        };
        if self.bounds.skips_pruned {
            tracing::warn!(
                partition = number,
                position,
                oldest,
                "events were pruned before they were delivered, and are skipped"
            );
            partition.skip_to(oldest - 1);
        } else {
            tracing::error!(
                partition = number,
                position,
                oldest,
                "events were pruned before they were delivered: the partition stands still; \
                 --skip-pruned goes on with the oldest that is kept"
            );
            partition.is_pruned = true;
        }
    }

    fn tell_backlog(&mut self) {
        let count = |items: usize| u64::try_from(items).unwrap_or(u64::MAX);
        let mut backlog = Backlog {
            partitions: count(self.partitions.len()),
            ..Backlog::default()
        };
        for (number, partition) in &self.partitions {
            let end = self.ends.get(usize::from(*number));
            let last = end.map_or(0, |end| end.ends.last);
            backlog.lag += last.saturating_sub(partition.position());
            backlog.waiting += count(partition.waiting());
            backlog.dead += count(partition.dead());
        }
        self.metrics.stands(backlog);
        let full = self.partitions.values().filter(|part| part.is_full());
        let full = full.count();
        if full > self.full {
            tracing::error!(
                partitions = full,
                held_max = HELD_MAX,
                "partitions read no further: so much is held that the receiver has not taken"
            );
        }
        self.full = full;
    }
}

/// Of the orders whose events are to be held, those whose buyer was erased: the events may have
/// been read before.
///
/// `belay erase` has the tail of the partition locked when it looks at what is held. So it finds
/// what is written here, or is found here. All tails are shared before anything is written: whoever
/// has written what an erasure waits for waits for none.
async fn erased(
    conn: &mut Conn,
    ours: &[(DeliveryPartition, &Settlement)],
) -> Result<BTreeSet<OrderKey>, DbError> {
    let mut partitions = Vec::new();
    let mut orders = BTreeSet::new();
    for (row, settlement) in ours {
        let fresh = settlement.fresh(row.position);
        let held: Vec<OrderKey> = fresh.map(|(_, order, ..)| *order).collect();
        if !held.is_empty() {
            partitions.push(row.partition);
        }
        orders.extend(held);
    }
    if orders.is_empty() {
        return Ok(orders);
    }
    partition_tails::share(conn, &partitions).await?;
    erasures::among(conn, &orders).await
}

/// Writes what is held of a partition and what is held no more.
async fn write(
    conn: &mut Conn,
    consumer: &ConsumerId,
    (row, settlement): (&DeliveryPartition, &Settlement),
    erased: &BTreeSet<OrderKey>,
    now: Timestamp,
) -> Result<(), DbError> {
    let partition = row.partition;
    let mark = |position, order, hold: &Hold| HeldMark {
        partition,
        position,
        order,
        state: hold.state,
        attempts: hold.attempts,
        attempt_time: later(now, hold.wait),
        failure: hold.failure.clone(),
    };
    let fresh = settlement.fresh(row.position);
    let fresh = fresh.map(|(position, order, event, hold)| {
        let mut payload = event.encode_to_vec();
        if erased.contains(order)
            && let Some(without) = event_without_buyer(&payload).map_err(corrupt)?
        {
            payload = without;
        }
        let mark = mark(*position, *order, hold);
        Ok(HeldEvent { mark, payload })
    });
    let fresh: Vec<HeldEvent> = fresh.collect::<Result<_, DbError>>()?;
    held_events::put(conn, consumer, &fresh).await?;
    let mut taken = Vec::new();
    for (position, change) in &settlement.changes {
        match change {
            Change::Taken => taken.push(*position),
            // The next renewal reads what the row says.
            Change::Held(..) if settlement.is_overtaken(row.changes) => {}
            Change::Held(order, hold) => {
                held_events::update(conn, consumer, &mark(*position, *order, hold)).await?;
            }
        }
    }
    if !taken.is_empty() {
        held_events::delete(conn, consumer, partition, &taken).await?;
    }
    Ok(())
}

fn corrupt(error: EventError) -> DbError {
    DbError::Corrupt(format!("an event that is to be held: {error}"))
}

fn order_key(event: &pb::Event) -> Result<OrderKey, DbError> {
    let store = StoreId::parse(event.store_id.clone());
    let order = OrderId::parse(event.order_id.clone());
    match (store, order) {
        (Ok(store), Ok(order)) => Ok(OrderKey::of(&store, &order)),
        (Err(error), _) | (_, Err(error)) => {
            Err(DbError::Corrupt(format!("an event's order: {error}")))
        }
    }
}
