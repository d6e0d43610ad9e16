//! The feed as it is read. May run anywhere.
//!
//! The lock of a partition's head is held until the commit, so commits of a partition follow one
//! another, and a row is never seen before one with a lower position.

use std::collections::BTreeMap;

use belay_domain::chain::{Mark, State};
use belay_domain::feed::PartitionEnds;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, SmallInt, Unsigned};
use diesel_async::RunQueryDsl;
use futures_util::TryStreamExt as _;

use super::Conn;
use super::columns::Bytes;
use super::error::DbError;
use super::events::StoredEvents;
use super::schema::{events, partition_heads, partition_tails};
use super::statement::padded;

/// The ends of a partition, and the mark of its last row: at one position two histories have two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkedEnds {
    pub ends: PartitionEnds,
    /// None while no row of the partition is chained.
    pub mark: Option<Mark>,
}

/// A row that was read: its place, and its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub partition: u16,
    pub position: u64,
    pub mark: Mark,
}

/// The ends of every partition, in their order.
pub async fn ends(conn: &mut Conn) -> Result<Vec<PartitionEnds>, DbError> {
    let ends = marked_ends(conn).await?.into_iter();
    Ok(ends.map(|marked| marked.ends).collect())
}

/// The same with the marks of the last rows.
pub async fn marked_ends(conn: &mut Conn) -> Result<Vec<MarkedEnds>, DbError> {
    let is_of_head = partition_tails::shard_partition.eq(partition_heads::shard_partition);
    type Row = (u16, u64, Option<Bytes<32>>, Option<(u64, u64)>);
    let rows: Vec<Row> = partition_heads::table
        .left_join(partition_tails::table.on(is_of_head))
        .order(partition_heads::shard_partition)
        .select((
            partition_heads::shard_partition,
            partition_heads::head,
            partition_heads::chain,
            (partition_tails::pruned, partition_tails::expiring).nullable(),
        ))
        .load(conn)
        .await?;
    let ends = (0..).zip(rows).map(|(expected, row)| {
        let (partition, last, chain, tail) = row;
        let (pruned, expiring) = tail.filter(|_| partition == expected)?;
        let ends = PartitionEnds {
            last,
            pruned,
            expiring,
        };
        let mark = chain.map(|bytes| State(bytes.0).mark());
        Some(MarkedEnds { ends, mark })
    });
    ends.collect::<Option<_>>()
        .ok_or_else(|| DbError::Corrupt("a partition has no head or no tail".to_owned()))
}

/// The partitions in which other events have taken the place of what was read: after the loss of a
/// primary its last transactions may be missing, and their positions are given out again. All that
/// is before a row which is there with its mark is as it was.
pub async fn forked(conn: &mut Conn, places: &[Place]) -> Result<Vec<u16>, DbError> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    type Row = (u16, u64, Option<Bytes<32>>);
    let rows: Vec<Row> = MarksAt { places }.load(conn).await?;
    let found: BTreeMap<(u16, u64), Option<Bytes<32>>> = rows
        .into_iter()
        .map(|(partition, position, mark)| ((partition, position), mark))
        .collect();
    let (mut forked, mut missing) = (Vec::new(), Vec::new());
    for place in places {
        match found.get(&(place.partition, place.position)) {
            Some(Some(mark)) if mark.0 != place.mark.0 => forked.push(place.partition),
            Some(_) => {}
            None => missing.push(place),
        }
    }
    if !missing.is_empty() {
        // What was pruned is missing as well.
        let ends = ends(conn).await?;
        let is_kept = |place: &&&Place| {
            let end = ends.get(usize::from(place.partition));
            end.is_none_or(|end| end.pruned < place.position)
        };
        let lost = missing.iter().filter(is_kept);
        forked.extend(lost.map(|place| place.partition));
    }
    Ok(forked)
}

/// The last positions and the marks of so many rows of a partition behind this position.
pub async fn marks_after(
    conn: &mut Conn,
    (partition, after): (u16, u64),
    limit: u16,
) -> Result<Vec<(u64, Option<Mark>)>, DbError> {
    let rows: Vec<(u64, Option<Bytes<32>>)> = events::table
        .filter(events::shard_partition.eq(partition))
        .filter(events::position.gt(after))
        .order(events::position)
        .limit(limit.into())
        .select((events::position, events::chain))
        .load(conn)
        .await?;
    let marked = |(position, mark): (u64, Option<Bytes<32>>)| {
        let mark = mark.map(|mark| Mark(mark.0));
        (position, mark)
    };
    Ok(rows.into_iter().map(marked).collect())
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
    type Row = (u16, u64, u32, Vec<u8>, Option<Bytes<32>>);
    let rows: Vec<Row> = RowsAfter { after, limit }.load(conn).await?;
    let stored = |(partition, last_position, count, payload, mark): Row| StoredEvents {
        partition,
        last_position,
        count,
        payload,
        mark: mark.map(|mark| Mark(mark.0)),
        before: None,
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
                mark: None,
                before: None,
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
        Nullable<Binary>,
    );
}

impl QueryId for RowsAfter<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for RowsAfter<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "SELECT `shard_partition`, `position`, `event_count`, `payload`, `chain` FROM `events` \
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

/// One row of the primary key for each place.
#[derive(Debug, Clone, Copy)]
struct MarksAt<'a> {
    places: &'a [Place],
}

impl Query for MarksAt<'_> {
    type SqlType = (Unsigned<SmallInt>, Unsigned<BigInt>, Nullable<Binary>);
}

impl QueryId for MarksAt<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for MarksAt<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "SELECT `shard_partition`, `position`, `chain` FROM `events` \
             FORCE INDEX (PRIMARY) WHERE ",
        );
        let mut separator = "(";
        for place in padded(self.places) {
            out.push_sql(separator);
            out.push_sql("`shard_partition` = ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(&place.partition)?;
            out.push_sql(" AND `position` = ");
            out.push_bind_param::<Unsigned<BigInt>, _>(&place.position)?;
            separator = ") OR (";
        }
        out.push_sql(")");
        Ok(())
    }
}
