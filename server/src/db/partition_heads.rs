//! The last position taken in each partition of the feed. A row's lock makes the commits of its
//! partition serial, across all servers: it is taken last, inside the engine's transaction.

use std::collections::BTreeMap;

use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, SmallInt, Unsigned};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::error::DbError;
use super::schema::partition_heads;
use super::statement::padded;

/// Takes so many positions in each of these partitions; returns the last one taken in each.
pub(super) async fn advance(
    conn: &mut Conn,
    counts: &BTreeMap<u16, u64>,
) -> Result<BTreeMap<u16, u64>, DbError> {
    let taken: Vec<(u16, u64)> = counts
        .iter()
        .map(|(partition, count)| (*partition, *count))
        .collect();
    let ([(first, _), ..], [.., (last, _)]) = (taken.as_slice(), taken.as_slice()) else {
        return Ok(BTreeMap::new());
    };
    let matched = AdvanceHeads { taken: &taken }.execute(conn).await?;
    if matched != taken.len() {
        return Err(DbError::Corrupt(format!(
            "{matched} of {} partitions have a head",
            taken.len()
        )));
    }
    // The rows between are few, and a range keeps the statement prepared.
    let heads =
        partition_heads::table.filter(partition_heads::shard_partition.between(*first, *last));
    let heads: Vec<(u16, u64)> = heads
        .select((partition_heads::shard_partition, partition_heads::head))
        .load(conn)
        .await?;
    Ok(heads
        .into_iter()
        .filter(|(partition, _)| counts.contains_key(partition))
        .collect())
}

/// One UPDATE for several partitions, which locks them in their order.
#[derive(Debug, Clone, Copy)]
struct AdvanceHeads<'a> {
    taken: &'a [(u16, u64)],
}

impl QueryId for AdvanceHeads<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for AdvanceHeads<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("UPDATE `partition_heads` FORCE INDEX (PRIMARY) SET `head` = `head` + CASE `shard_partition`");
        for (partition, count) in padded(self.taken) {
            out.push_sql(" WHEN ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            out.push_sql(" THEN ");
            out.push_bind_param::<Unsigned<BigInt>, _>(count)?;
        }
        let mut separator = " END WHERE `shard_partition` IN (";
        for (partition, _) in padded(self.taken) {
            out.push_sql(separator);
            out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            separator = ", ";
        }
        out.push_sql(")");
        Ok(())
    }
}
