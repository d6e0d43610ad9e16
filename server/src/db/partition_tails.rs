//! The position up to which each partition of the feed was pruned. Who takes rows out of a
//! partition, or erases the buyer of one of its orders, has its row locked; no command does, and
//! none waits for it.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::error::DbError;
use super::schema::{partition_tails, projection_positions, projections};
use super::statement::Shared;

/// The old end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionTail {
    /// The last position that was taken out of it; 0 where none was.
    pub pruned: u64,
    /// The last of those that go soon; never less than `pruned`.
    pub expiring: u64,
}

/// The tail of a partition, which stays ours until the transaction ends; none where somebody else
/// has it.
pub async fn take(conn: &mut Conn, partition: u16) -> Result<Option<PartitionTail>, DbError> {
    let row: Option<(u64, u64)> = partition_tails::table
        .find(partition)
        .select((partition_tails::pruned, partition_tails::expiring))
        .for_update()
        .skip_locked()
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|(pruned, expiring)| PartitionTail { pruned, expiring }))
}

/// Writes what [`take`] gave.
pub async fn update(conn: &mut Conn, partition: u16, tail: PartitionTail) -> Result<(), DbError> {
    diesel::update(partition_tails::table.find(partition))
        .set((
            partition_tails::pruned.eq(tail.pruned),
            partition_tails::expiring.eq(tail.expiring),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The last position that was taken out of each partition, in their order; nothing is taken out of
/// any until the transaction ends.
pub async fn share_pruned(conn: &mut Conn) -> Result<Vec<u64>, DbError> {
    let query = partition_tails::table
        .order(partition_tails::shard_partition)
        .select(partition_tails::pruned);
    Ok(Shared(query).load(conn).await?)
}

/// These partitions, and nothing is taken out of them and no buyer is erased there until the
/// transaction ends.
pub async fn share(conn: &mut Conn, partitions: &[u16]) -> Result<(), DbError> {
    let query = partition_tails::table
        .filter(partition_tails::shard_partition.eq_any(partitions.to_vec()))
        .order(partition_tails::shard_partition)
        .select(partition_tails::shard_partition);
    let _: Vec<u16> = Shared(query).load(conn).await?;
    Ok(())
}

/// The last position that every generation of every projection has read of a partition; none while
/// one of them has not begun. Whoever begins one shares the tails, so under the lock of
/// [`take`] this is a lower bound of what is still to be read.
pub async fn read_by_all(conn: &mut Conn, partition: u16) -> Result<Option<u64>, DbError> {
    let generations: Vec<(String, u32, Option<u32>)> = projections::table
        .select((
            projections::projection,
            projections::serving,
            projections::building,
        ))
        .load(conn)
        .await?;
    let positions: Vec<(String, u32, u64)> = projection_positions::table
        .filter(projection_positions::shard_partition.eq(partition))
        .select((
            projection_positions::projection,
            projection_positions::generation,
            projection_positions::position,
        ))
        .load(conn)
        .await?;
    let of = |projection: &str, generation: u32| {
        let found = positions
            .iter()
            .find(|row| row.0 == projection && row.1 == generation);
        found.map(|row| row.2)
    };
    let mut read = u64::MAX;
    for (projection, serving, building) in &generations {
        for generation in [Some(*serving), *building].into_iter().flatten() {
            match of(projection, generation) {
                Some(position) => read = read.min(position),
                None => return Ok(None),
            }
        }
    }
    Ok(Some(read))
}
