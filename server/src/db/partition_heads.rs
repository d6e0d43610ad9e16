//! The last position taken in each partition of the feed, and the chain of the partition behind it. A
//! row's lock makes the commits of its partition serial, across all servers: it is taken last, inside
//! the engine's transaction.

use std::collections::BTreeMap;

use belay_domain::chain::State;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Nullable, SmallInt, Unsigned};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::Bytes;
use super::error::DbError;
use super::schema::partition_heads;
use super::statement::padded;

/// The head of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last position that was taken; 0 where none was.
    pub position: u64,
    /// None while no row of the partition is chained.
    pub chain: Option<State>,
}

type Row = (u16, u64, Option<Bytes<32>>);

fn head((partition, position, chain): Row) -> (u16, Head) {
    let chain = chain.map(|bytes| State(bytes.0));
    (partition, Head { position, chain })
}

/// Of every partition, in their order. May run anywhere.
pub async fn all(conn: &mut Conn) -> Result<Vec<(u16, Head)>, DbError> {
    let rows: Vec<Row> = partition_heads::table
        .order(partition_heads::shard_partition)
        .select((
            partition_heads::shard_partition,
            partition_heads::head,
            partition_heads::chain,
        ))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(head).collect())
}

/// Of one partition. May run anywhere.
pub async fn find(conn: &mut Conn, partition: u16) -> Result<Option<Head>, DbError> {
    let row: Option<Row> = partition_heads::table
        .find(partition)
        .select((
            partition_heads::shard_partition,
            partition_heads::head,
            partition_heads::chain,
        ))
        .first(conn)
        .await
        .optional()?;
    Ok(row.map(|row| head(row).1))
}

/// The heads of these partitions, which are ours until the transaction ends.
pub(super) async fn lock(
    conn: &mut Conn,
    partitions: &[u16],
) -> Result<BTreeMap<u16, Head>, DbError> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<Row> = LockHeads { partitions }.load(conn).await?;
    if rows.len() != partitions.len() {
        return Err(DbError::Corrupt(format!(
            "{} of {} partitions have a head",
            rows.len(),
            partitions.len()
        )));
    }
    Ok(rows.into_iter().map(head).collect())
}

/// Writes what [`lock`] gave.
pub(super) async fn advance(conn: &mut Conn, heads: &BTreeMap<u16, Head>) -> Result<(), DbError> {
    let taken: Vec<(u16, u64, Option<[u8; 32]>)> = heads
        .iter()
        .map(|(partition, head)| (*partition, head.position, head.chain.map(|state| state.0)))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let matched = AdvanceHeads { taken: &taken }.execute(conn).await?;
    DbError::unless_all_matched(matched, taken.len())
}

/// One locking read for several partitions, in their order.
#[derive(Debug, Clone, Copy)]
struct LockHeads<'a> {
    partitions: &'a [u16],
}

impl Query for LockHeads<'_> {
    type SqlType = (Unsigned<SmallInt>, Unsigned<BigInt>, Nullable<Binary>);
}

impl QueryId for LockHeads<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for LockHeads<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("SELECT `shard_partition`, `head`, `chain` FROM `partition_heads` FORCE INDEX (PRIMARY)");
        let mut separator = " WHERE `shard_partition` IN (";
        for partition in padded(self.partitions) {
            out.push_sql(separator);
            out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            separator = ", ";
        }
        out.push_sql(") ORDER BY `shard_partition` FOR UPDATE");
        Ok(())
    }
}

/// One UPDATE for several partitions.
#[derive(Debug, Clone, Copy)]
struct AdvanceHeads<'a> {
    taken: &'a [(u16, u64, Option<[u8; 32]>)],
}

impl QueryId for AdvanceHeads<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for AdvanceHeads<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "UPDATE `partition_heads` FORCE INDEX (PRIMARY) SET `head` = CASE `shard_partition`",
        );
        for (partition, position, _) in padded(self.taken) {
            out.push_sql(" WHEN ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            out.push_sql(" THEN ");
            out.push_bind_param::<Unsigned<BigInt>, _>(position)?;
        }
        out.push_sql(" END, `chain` = CASE `shard_partition`");
        for (partition, _, chain) in padded(self.taken) {
            out.push_sql(" WHEN ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            out.push_sql(" THEN ");
            out.push_bind_param::<Nullable<Binary>, _>(chain)?;
        }
        let mut separator = " END WHERE `shard_partition` IN (";
        for (partition, _, _) in padded(self.taken) {
            out.push_sql(separator);
            out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            separator = ", ";
        }
        out.push_sql(")");
        Ok(())
    }
}
