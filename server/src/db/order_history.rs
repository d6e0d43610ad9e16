//! Events that the feed no longer holds, by order. Rows come here in the transaction that takes
//! them out of the feed.

use diesel::sql_types::{BigInt, SmallInt, Unsigned};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::error::DbError;

/// Copies the rows of a partition that stand in this range of positions: behind the first, and up
/// to the second. Says how many.
pub async fn keep(
    conn: &mut Conn,
    partition: u16,
    (after, to): (u64, u64),
) -> Result<usize, DbError> {
    // At READ COMMITTED the rows that are read are not locked.
    let copied = diesel::sql_query(COPY)
        .bind::<Unsigned<SmallInt>, _>(partition)
        .bind::<Unsigned<BigInt>, _>(after)
        .bind::<Unsigned<BigInt>, _>(to)
        .execute(conn)
        .await?;
    Ok(copied)
}

/// By partition, and a range of positions.
pub const COPY: &str = "INSERT INTO `order_history` (`order_key`, `position`, `shard_partition`, `event_count`, \
    `order_version`, `event_time`, `payload`, `chain`, `erased_digest`, `erased_seal`) \
    SELECT `order_key`, `position`, `shard_partition`, `event_count`, `order_version`, `event_time`, `payload`, \
    `chain`, `erased_digest`, `erased_seal` \
    FROM `events` FORCE INDEX (PRIMARY) \
    WHERE `shard_partition` = ? AND `position` > ? AND `position` <= ?";
