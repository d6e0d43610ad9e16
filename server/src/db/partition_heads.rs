//! The last position taken in each partition of the feed, and the chain of the partition behind it.
//! A row's lock makes the commits of its partition serial, across all servers: it is taken last,
//! inside the engine's transaction.

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
use super::statement::{self, padded};
use super::writes::{Changed, Writes, change_rows};

/// The head of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last position that was taken; 0 where none was.
    pub position: u64,
    /// None while no row of the partition is chained.
    pub chain: Option<State>,
}

type Row = (u16, u64, Option<Bytes<32>>);

#[derive(Debug, Insertable)]
#[diesel(table_name = partition_heads, treat_none_as_default_value = false)]
struct HeadRow {
    shard_partition: u16,
    head: u64,
    chain: Option<Bytes<32>>,
}

impl statement::Row for HeadRow {
    fn bytes(&self) -> usize {
        128
    }
}

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

/// Writes heads as they are after what [`lock`] gave.
pub(super) fn advance(
    writes: &mut Writes,
    before: &BTreeMap<u16, Head>,
    after: &BTreeMap<u16, Head>,
) -> Result<(), DbError> {
    let heads = changed(before, after);
    change_rows!(writes, partition_heads, heads, [shard_partition] => [head, chain]);
    Ok(())
}

/// Writes heads that are not locked: the statement fails with kind `VersionConflict` where one of
/// them is not as it was before. The chain says that too, for after the loss of a primary others
/// may have come to the same position by another way; one that has not begun is never as it was.
pub(super) fn advance_expected(
    writes: &mut Writes,
    before: &BTreeMap<u16, Head>,
    after: &BTreeMap<u16, Head>,
) -> Result<(), DbError> {
    let heads = changed(before, after);
    change_rows!(writes, partition_heads, heads, [shard_partition] if head, chain => [head, chain]);
    Ok(())
}

fn changed(before: &BTreeMap<u16, Head>, after: &BTreeMap<u16, Head>) -> Changed<HeadRow> {
    let row = |(partition, head): (&u16, &Head)| HeadRow {
        shard_partition: *partition,
        head: head.position,
        chain: head.chain.map(|state| Bytes(state.0)),
    };
    Changed {
        new: Vec::new(),
        before: before.iter().map(row).collect(),
        after: after.iter().map(row).collect(),
    }
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
