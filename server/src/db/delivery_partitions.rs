//! The positions of deliverers in each partition, and their instance that is at work there. `lock`
//! and what writes behind it in a transaction; the rest may run anywhere.

use belay_domain::ids::ConsumerId;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use uuid::Uuid;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::delivery_partitions;
use super::statement::{self, upsert_rows};

/// A partition of a deliverer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPartition {
    pub partition: u16,
    pub position: u64,
    /// The instance that holds the lease, or held it last.
    pub instance: Uuid,
    /// It grows whenever the lease passes on.
    pub fence: u64,
    pub lease_until: Timestamp,
    /// How often somebody else has changed held events of it.
    pub changes: u32,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = delivery_partitions, check_for_backend(Mysql))]
struct PartitionRow {
    consumer_id: Name<ConsumerId>,
    shard_partition: u16,
    position: u64,
    instance_id: Bytes<16>,
    fence: u64,
    lease_until: At,
    changes: u32,
}

impl statement::Row for PartitionRow {
    fn bytes(&self) -> usize {
        256
    }
}

impl PartitionRow {
    fn of(consumer: &ConsumerId, partition: &DeliveryPartition) -> Self {
        Self {
            consumer_id: Name(consumer.clone()),
            shard_partition: partition.partition,
            position: partition.position,
            instance_id: Bytes::from(partition.instance),
            fence: partition.fence,
            lease_until: At(partition.lease_until),
            changes: partition.changes,
        }
    }
}

impl From<PartitionRow> for DeliveryPartition {
    fn from(row: PartitionRow) -> Self {
        Self {
            partition: row.shard_partition,
            position: row.position,
            instance: row.instance_id.into(),
            fence: row.fence,
            lease_until: row.lease_until.0,
            changes: row.changes,
        }
    }
}

macro_rules! of_consumer {
    ($consumer:expr) => {
        delivery_partitions::table
            .filter(delivery_partitions::consumer_id.eq(Name($consumer.clone())))
    };
}

/// In the order of the partitions; empty where the name is not known.
pub async fn all(
    conn: &mut Conn,
    consumer: &ConsumerId,
) -> Result<Vec<DeliveryPartition>, DbError> {
    let query = of_consumer!(consumer)
        .order(delivery_partitions::shard_partition)
        .select(PartitionRow::as_select());
    let rows: Vec<PartitionRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(DeliveryPartition::from).collect())
}

/// Makes a name known, with nobody at work. What is there stays as it is.
pub async fn begin(
    conn: &mut Conn,
    consumer: &ConsumerId,
    positions: impl Iterator<Item = (u16, u64)>,
    now: Timestamp,
) -> Result<(), DbError> {
    let row = |(partition, position)| DeliveryPartition {
        partition,
        position,
        instance: Uuid::nil(),
        fence: 0,
        lease_until: now,
        changes: 0,
    };
    let rows: Vec<PartitionRow> = positions
        .map(|at| PartitionRow::of(consumer, &row(at)))
        .collect();
    diesel::insert_or_ignore_into(delivery_partitions::table)
        .values(rows)
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes a partition whose lease is over, as it was seen. Says whether it is ours: somebody else
/// may have been faster.
pub async fn take(
    conn: &mut Conn,
    consumer: &ConsumerId,
    seen: &DeliveryPartition,
    instance: Uuid,
    until: Timestamp,
) -> Result<bool, DbError> {
    let free = of_consumer!(consumer)
        .filter(delivery_partitions::shard_partition.eq(seen.partition))
        .filter(delivery_partitions::fence.eq(seen.fence))
        .filter(delivery_partitions::lease_until.eq(At(seen.lease_until)))
        // Whoever had it may have moved it since, with the last of the time that was left.
        .filter(delivery_partitions::position.eq(seen.position));
    let taken = diesel::update(free)
        .set((
            delivery_partitions::instance_id.eq(Bytes::from(instance)),
            delivery_partitions::fence.eq(seen.fence + 1),
            delivery_partitions::lease_until.eq(At(until)),
        ))
        .execute(conn)
        .await?;
    Ok(taken == 1)
}

/// What an instance holds of these partitions it holds until then: now, to give it back.
pub async fn renew(
    conn: &mut Conn,
    consumer: &ConsumerId,
    instance: Uuid,
    partitions: &[u16],
    until: Timestamp,
) -> Result<(), DbError> {
    let held = of_consumer!(consumer)
        .filter(delivery_partitions::shard_partition.eq_any(partitions.to_vec()))
        .filter(delivery_partitions::instance_id.eq(Bytes::from(instance)));
    diesel::update(held)
        .set(delivery_partitions::lease_until.eq(At(until)))
        .execute(conn)
        .await?;
    Ok(())
}

/// These partitions, and nobody takes, renews or moves them until the transaction ends.
pub async fn lock(
    conn: &mut Conn,
    consumer: &ConsumerId,
    partitions: &[u16],
) -> Result<Vec<DeliveryPartition>, DbError> {
    let query = of_consumer!(consumer)
        .filter(delivery_partitions::shard_partition.eq_any(partitions.to_vec()))
        .order(delivery_partitions::shard_partition)
        .select(PartitionRow::as_select())
        .for_update();
    let rows: Vec<PartitionRow> = query.load(conn).await?;
    Ok(rows.into_iter().map(DeliveryPartition::from).collect())
}

/// Writes where these partitions are, and how often somebody has changed what is held of them. They
/// are locked.
pub async fn update(
    conn: &mut Conn,
    consumer: &ConsumerId,
    partitions: &[DeliveryPartition],
) -> Result<(), DbError> {
    let rows: Vec<PartitionRow> = partitions
        .iter()
        .map(|partition| PartitionRow::of(consumer, partition))
        .collect();
    upsert_rows!(
        conn,
        delivery_partitions,
        rows.as_slice(),
        [position, changes]
    );
    Ok(())
}
