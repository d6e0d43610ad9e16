//! The leases by which instances under one name share the partitions, by the database's clock.
//!
//! A lease is a row that one instance holds until a time; whoever takes it over makes its fence
//! grow. Nothing is sent that could outlast the lease, and nothing is stored without the fence, so
//! at any time one instance delivers a partition, and one that is late stores nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use belay_domain::actor::{Actor, Role};
use belay_domain::feed::{Consumer, ConsumerKey, PartitionEnds, Positions};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::courier::{Courier, Name, RETRY};
use super::partition::{Found, Partition};
use crate::db::delivery_partitions::DeliveryPartition;
use crate::db::held_events::HeldMark;
use crate::db::in_time;
use crate::db::transaction::Transaction;
use crate::db::{
    Checkout, Conn, DbError, ErrorKind, clock, consumers, delivery_instances, delivery_partitions,
    held_events,
};

/// Renewals within a lease.
const RENEWALS: u32 = 6;
/// The owner under which deliverers are shown among the consumers. No caller has its role.
const OWNER: &str = "deliver";

/// The state that a renewal found.
#[derive(Debug)]
struct Renewed {
    now: Timestamp,
    all: Vec<DeliveryPartition>,
    /// Those whose lease ends with this renewal's.
    renewed: BTreeSet<u16>,
    /// What is held of partitions that are new, or in which somebody has changed something.
    marks: BTreeMap<u16, Vec<HeldMark>>,
    instances: usize,
}

/// Makes a name known, where it is not yet: with nothing delivered behind these positions.
pub(super) async fn introduce(
    conn: &mut Conn,
    name: &Name,
    start: &Positions,
    ends: &[PartitionEnds],
) -> Result<(), DbError> {
    let known = delivery_partitions::all(conn, &name.consumer).await?;
    if known.len() == ends.len() {
        return Ok(());
    }
    let now = clock::now(conn).await?;
    delivery_partitions::begin(conn, &name.consumer, start.iter(), now).await
}

impl Courier {
    /// Renews what is held, takes what is free up to a fair share, and lets go of what is above it.
    pub(super) async fn renew(&mut self) {
        let renewed = self.try_renew().await;
        let is_renewed = self.told(renewed);
        let pause = if is_renewed {
            self.bounds.lease / RENEWALS
        } else {
            RETRY
        };
        self.renew_at = Instant::now() + pause;
        self.tell_health().await;
    }

    async fn try_renew(&mut self) -> Result<(), DbError> {
        let asked_at = Instant::now();
        let mut conn = self.pool.checkout().await?;
        let renewed = in_time(self.renew_on(&mut conn)).await;
        let renewed = conn.finish_with(renewed)?;
        // The database began to count later than we.
        self.lease_ends = asked_at + self.bounds.lease;
        self.clock = (renewed.now, asked_at);
        self.acquire(&renewed);
        self.release(&renewed);
        let show = show(self.pool.checkout().await?, &self.name, &renewed);
        let show = in_time(show).await;
        match show {
            // Two instances were the first, or met.
            Err(error) if error.kind() == ErrorKind::Duplicate || error.kind().is_transient() => {
                Ok(())
            }
            other => other,
        }
    }

    async fn renew_on(&self, conn: &mut Conn) -> Result<Renewed, DbError> {
        let (consumer, instance) = (&self.name.consumer, self.instance);
        let now = clock::now(conn).await?;
        let until = later(now, self.bounds.lease);
        let given_back = self.given_back();
        let mut held: Vec<u16> = self.partitions.keys().copied().collect();
        held.retain(|partition| !given_back.contains(partition));
        if !self.is_stopping {
            delivery_instances::renew(conn, consumer, instance, until).await?;
            let long_ago = earlier(now, self.bounds.lease);
            delivery_instances::forget_gone(conn, consumer, long_ago).await?;
        }
        if !held.is_empty() {
            delivery_partitions::renew(conn, consumer, instance, &held, until).await?;
        }
        if !given_back.is_empty() {
            delivery_partitions::renew(conn, consumer, instance, &given_back, now).await?;
        }
        let instances = delivery_instances::count(conn, consumer, now).await?;
        let mut all = delivery_partitions::all(conn, consumer).await?;
        // What was taken earlier and is not known here was not renewed: its lease ends sooner.
        let mut renewed: BTreeSet<u16> = held.iter().copied().collect();
        if !self.is_stopping {
            let wanted = share(all.len(), instances).saturating_sub(held.len());
            let free = all.iter_mut().filter(|seen| {
                seen.lease_until <= now && !self.partitions.contains_key(&seen.partition)
            });
            for seen in free.take(wanted) {
                if delivery_partitions::take(conn, consumer, seen, instance, until).await? {
                    (seen.instance, seen.fence) = (instance, seen.fence + 1);
                    seen.lease_until = until;
                    renewed.insert(seen.partition);
                }
            }
        }
        let mut marks = BTreeMap::new();
        for seen in all.iter().filter(|seen| self.is_news(seen)) {
            let found = held_events::marks(conn, consumer, seen.partition).await?;
            marks.insert(seen.partition, found);
        }
        Ok(Renewed {
            now,
            all,
            renewed,
            marks,
            instances,
        })
    }

    /// Partitions that are given back: nothing of them is on its way or to be stored.
    fn given_back(&self) -> Vec<u16> {
        let is_done = |part: &Partition| part.is_leaving && !part.is_sending() && !part.has_news();
        let done = self.partitions.values().filter(|part| is_done(part));
        done.map(|part| part.number).collect()
    }

    fn is_ours(&self, seen: &DeliveryPartition, now: Timestamp) -> bool {
        seen.instance == self.instance && seen.lease_until > now
    }

    /// Whether what is held of it is to be read: it is new here, or somebody has changed it.
    fn is_news(&self, seen: &DeliveryPartition) -> bool {
        let known = self.partitions.get(&seen.partition);
        seen.instance == self.instance
            && known
                .is_none_or(|known| known.fence != seen.fence || known.is_outdated(seen.changes))
    }

    /// Goes by what was found: what passed on is forgotten, what was taken begins.
    fn acquire(&mut self, renewed: &Renewed) {
        let now = Instant::now();
        let ours: BTreeMap<u16, &DeliveryPartition> = renewed
            .all
            .iter()
            .filter(|seen| self.is_ours(seen, renewed.now))
            .filter(|seen| renewed.renewed.contains(&seen.partition))
            .map(|seen| (seen.partition, seen))
            .collect();
        let mut gone_back = BTreeSet::new();
        self.partitions.retain(|number, known| {
            let seen = ours.get(number).filter(|seen| seen.fence == known.fence);
            match seen {
                // What is on its way is of the old fence: once the lease is over it begins anew.
                Some(seen) if seen.position < known.position() => {
                    went_back(*number, known.position());
                    gone_back.insert(*number);
                    false
                }
                Some(_) => true,
                None => {
                    if !known.is_leaving {
                        tracing::warn!(partition = number, "the lease has passed on");
                    }
                    false
                }
            }
        });
        let before = self.partitions.len();
        for (number, seen) in ours {
            let Some(marks) = renewed.marks.get(&number) else {
                continue;
            };
            if gone_back.contains(&number) {
                continue;
            }
            let known = self
                .partitions
                .entry(number)
                .or_insert_with(|| Partition::new(number, seen.fence, seen.position, seen.changes));
            known.seen_changes = seen.changes;
            known.found(marks.iter().map(|mark| found(mark, renewed.now, now)));
        }
        if self.partitions.len() != before {
            let (partitions, instances) = (self.partitions.len(), renewed.instances);
            tracing::info!(partitions, instances, "partitions are taken");
        }
    }

    /// Lets go of what is more than a fair share, so that others can take it.
    fn release(&mut self, renewed: &Renewed) {
        let share = share(renewed.all.len(), renewed.instances);
        let staying = self.partitions.values_mut().filter(|part| !part.is_leaving);
        for partition in staying.skip(share) {
            partition.is_leaving = true;
        }
    }

    /// Gives back all that is held: others take it at once. Where that fails, the leases end by
    /// themselves.
    pub(super) async fn give_back(&mut self) {
        let held: Vec<u16> = self.partitions.keys().copied().collect();
        let given_back = in_time(async {
            let mut conn = self.pool.checkout().await?;
            let consumer = &self.name.consumer;
            let given = async {
                let now = clock::now(&mut conn).await?;
                delivery_instances::forget(&mut conn, consumer, self.instance).await?;
                if !held.is_empty() {
                    let instance = self.instance;
                    delivery_partitions::renew(&mut conn, consumer, instance, &held, now).await?;
                }
                Ok(())
            }
            .await;
            conn.finish_with(given)
        })
        .await;
        if self.told(given_back) {
            tracing::info!(partitions = held.len(), "partitions are given back");
        }
        self.partitions.clear();
    }
}

/// Shows how far a name is among the consumers.
async fn show(conn: Checkout, name: &Name, renewed: &Renewed) -> Result<(), DbError> {
    let consumer = Consumer {
        key: ConsumerKey {
            store: name.store.clone(),
            id: name.consumer.clone(),
            owner: Actor::new(Role::System, OWNER.to_owned()),
        },
        positions: Positions::new(renewed.all.iter().map(|seen| seen.position).collect()),
        filter: name.filter,
        commit_time: renewed.now,
    };
    let mut conn = Transaction::begin_on(conn).await?;
    let written = async {
        match consumers::lock(&mut conn, &consumer.key).await? {
            None => consumers::insert(&mut conn, &consumer).await,
            // Another instance may have seen more.
            Some(known) if consumer.positions.behind(&known.positions).is_some() => Ok(()),
            Some(known) if known.positions == consumer.positions => Ok(()),
            Some(_) => consumers::update(&mut conn, &consumer).await,
        }
    }
    .await;
    conn.end(written).await
}

fn found(mark: &HeldMark, now: Timestamp, now_here: Instant) -> Found {
    let wait = Duration::try_from(mark.attempt_time.duration_since(now)).unwrap_or_default();
    Found {
        position: mark.position,
        order: mark.order,
        state: mark.state,
        attempts: mark.attempts,
        due: now_here + wait,
    }
}

/// The database lacks what was stored or read before: its primary was lost.
pub(super) fn went_back(partition: u16, position: u64) {
    tracing::warn!(
        partition,
        position,
        "the database no longer has what was read up to there: \
         the partition begins again from what is stored once its lease is over"
    );
}

/// How many partitions an instance delivers at most.
fn share(partitions: usize, instances: usize) -> usize {
    partitions.div_ceil(instances.max(1))
}

pub(super) fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    now.checked_sub(by).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_share_partitions_so_that_none_is_left() {
        for (partitions, instances, each) in [(64, 1, 64), (64, 2, 32), (64, 3, 22), (1, 9, 1)] {
            assert_eq!(share(partitions, instances), each);
            assert!(share(partitions, instances) * instances >= partitions);
        }
        assert_eq!(share(64, 0), 64);
    }
}
