//! The feed as it is read. May run anywhere.
//!
//! The lock of a partition's head is held until the commit, so commits of a partition follow one
//! another, and a row is never seen before one with a lower position.

use belay_domain::feed::PartitionEnds;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Integer, SmallInt, Unsigned};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt as _;

use super::Conn;
use super::error::DbError;
use super::events::StoredEvents;
use super::schema::{events, partition_heads, partition_tails};
use super::statement::padded;

/// The ends of every partition, in their order.
pub async fn ends(conn: &mut Conn) -> Result<Vec<PartitionEnds>, DbError> {
    let is_of_head = partition_tails::shard_partition.eq(partition_heads::shard_partition);
    type Row = (u16, u64, Option<(u64, u64)>);
    let rows: Vec<Row> = partition_heads::table
        .left_join(partition_tails::table.on(is_of_head))
        .order(partition_heads::shard_partition)
        .select((
            partition_heads::shard_partition,
            partition_heads::head,
            (partition_tails::pruned, partition_tails::expiring).nullable(),
        ))
        .load(conn)
        .await?;
    let ends = (0..).zip(rows).map(|(expected, (partition, last, tail))| {
        let (pruned, expiring) = tail.filter(|_| partition == expected)?;
        Some(PartitionEnds {
            last,
            pruned,
            expiring,
        })
    });
    ends.collect::<Option<_>>()
        .ok_or_else(|| DbError::Corrupt("a partition has no head or no tail".to_owned()))
}

/// So many rows that hold events behind these positions, each partition's in their order. A row
/// that begins before a position comes whole.
pub async fn rows_after(
    conn: &mut Conn,
    after: &[(u16, u64)],
    limit: u16,
) -> Result<Vec<StoredEvents>, DbError> {
    if after.is_empty() {
        return Ok(Vec::new());
    }
    type Row = (u16, u64, u32, Vec<u8>);
    let rows: Vec<Row> = RowsAfter { after, limit }.load(conn).await?;
    let stored = |(partition, last_position, count, payload)| StoredEvents {
        partition,
        last_position,
        count,
        payload,
    };
    Ok(rows.into_iter().map(stored).collect())
}

/// Hands over so many rows of one partition that hold events behind this position, in their order
/// and as they come in; says how many. The first may begin before the position.
pub async fn each_row_after(
    conn: &mut Conn,
    (partition, after): (u16, u64),
    limit: u16,
    mut take: impl FnMut(StoredEvents) -> Result<(), DbError>,
) -> Result<usize, DbError> {
    // The rest of the rows has to be read whatever is found in one of them.
    let mut found = 0;
    let mut taken = Ok(());
    let mut rows = events::table
        .filter(events::shard_partition.eq(partition))
        .filter(events::position.gt(after))
        .order(events::position)
        .limit(limit.into())
        .select((events::position, events::event_count, events::payload))
        .load_stream::<(u64, u32, Vec<u8>)>(conn)
        .await?;
    while let Some(row) = rows.try_next().await? {
        let (last_position, count, payload) = row;
        found += 1;
        taken = taken.and_then(|()| {
            take(StoredEvents {
                partition,
                last_position,
                count,
                payload,
            })
        });
    }
    drop(rows);
    taken.map(|()| found)
}

/// One range of the primary key for each partition, read in the key's order.
#[derive(Debug, Clone, Copy)]
struct RowsAfter<'a> {
    after: &'a [(u16, u64)],
    limit: u16,
}

impl Query for RowsAfter<'_> {
    type SqlType = (
        Unsigned<SmallInt>,
        Unsigned<BigInt>,
        Unsigned<Integer>,
        Binary,
    );
}

impl QueryId for RowsAfter<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for RowsAfter<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "SELECT `shard_partition`, `position`, `event_count`, `payload` FROM `events` \
             FORCE INDEX (PRIMARY) WHERE ",
        );
        let mut separator = "(";
        for (partition, position) in padded(self.after) {
            out.push_sql(separator);
            out.push_sql("`shard_partition` = ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            out.push_sql(" AND `position` > ");
            out.push_bind_param::<Unsigned<BigInt>, _>(position)?;
            separator = ") OR (";
        }
        out.push_sql(") ORDER BY `shard_partition`, `position` LIMIT ");
        out.push_sql(&self.limit.to_string());
        Ok(())
    }
}
