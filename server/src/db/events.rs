//! The feed's log. `append` is the last thing that the engine does before it commits, `ages` and
//! `delete` belong to the transaction that prunes; `history` may run anywhere.
//!
//! A row holds all events of one command on one order, because a row costs the database far more
//! than its bytes do. Positions are still those of single events: the row stands at its last one
//! and says how many end there.

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::chain::{self, ChainKey, Link, Mark, State};
use belay_domain::ids::OrderKey;
use belay_domain::records::NewEvents;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Integer, SmallInt, Unsigned};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::address::PerMessage;
use super::columns::{At, Bytes};
use super::error::DbError;
use super::partition_heads::Head;
use super::schema::events;
use super::statement;
use super::writes::Writes;
use super::{Conn, partition_heads};

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvents {
    pub partition: u16,
    /// Of the last one; the first is at `last_position + 1 - count`.
    pub last_position: u64,
    pub count: u32,
    pub payload: Vec<u8>,
    /// None where the row has none, or nobody asked for it.
    pub mark: Option<Mark>,
    /// The mark of the row before it in its partition, as far as who wrote it knows.
    pub before: Option<Mark>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
struct EventsRow {
    shard_partition: u16,
    position: u64,
    event_count: u32,
    order_key: Bytes<16>,
    store_id: String,
    order_version: u64,
    event_time: At,
    payload: Vec<u8>,
    chain: Bytes<32>,
}

impl statement::Row for EventsRow {
    fn bytes(&self) -> usize {
        288 + self.payload.len()
    }
}

/// The positions of what was appended, and the heads behind it.
#[derive(Debug, Default)]
pub struct Appended {
    /// The position of the last event of each.
    pub positions: Vec<u64>,
    /// The mark of each, behind that of the row before it.
    pub marks: Vec<(Option<Mark>, Mark)>,
    /// The heads behind them.
    pub heads: BTreeMap<u16, Head>,
    /// The heads before them had been expected, and not asked for.
    pub were_expected: bool,
}

/// Sends writes, and appends events behind them, each partition's in the order given. Positions are
/// 1, 2, 3 … without gaps, and each row goes into the chain of its partition: both are taken under
/// the lock of the partition's head, which is held until the commit.
///
/// `expected` are the heads of all their partitions, if they are known: then all writes go in one
/// message, which fails as `HeadsMoved` where one is not so. Else the heads are locked and read
/// behind the writes that are there.
pub async fn append(
    conn: &mut Conn,
    per_message: PerMessage,
    mut writes: Writes,
    new: &[NewEvents],
    expected: Option<BTreeMap<u16, Head>>,
    key: &ChainKey,
) -> Result<Appended, DbError> {
    // Before the lock that others wait for.
    let digests: Vec<chain::Digest> = new
        .iter()
        .map(|events| chain::digest(&events.payload))
        .collect();
    let were_expected = expected.is_some();
    let known = match expected {
        Some(heads) => heads,
        None => {
            std::mem::take(&mut writes).send(conn, per_message).await?;
            let partitions: BTreeSet<u16> = new.iter().map(|events| events.partition).collect();
            let partitions: Vec<u16> = partitions.into_iter().collect();
            partition_heads::lock(conn, &partitions).await?
        }
    };
    let mut heads = known.clone();
    let rows = rows(key, new, digests, &mut heads)?;
    // The heads first: a position that somebody else has taken is not written to.
    if were_expected {
        partition_heads::advance_expected(&mut writes, &known, &heads)?;
    } else {
        partition_heads::advance(&mut writes, &known, &heads)?;
    }
    for rows in statement::chunks(&rows) {
        let insert = diesel::insert_into(events::table).values(rows);
        writes.insert("events", &insert)?;
    }
    match writes.send(conn, per_message).await {
        // Or an order, which is as well: all is repeated.
        Err(DbError::Overtaken) if were_expected => return Err(DbError::HeadsMoved),
        sent => sent?,
    }
    let positions = rows.iter().map(|row| row.position).collect();
    let marks = marks(&known, &rows);
    Ok(Appended {
        positions,
        marks,
        heads,
        were_expected,
    })
}

/// The marks of these rows, each behind that of the row before it.
fn marks(known: &BTreeMap<u16, Head>, rows: &[EventsRow]) -> Vec<(Option<Mark>, Mark)> {
    let heads = known.iter();
    let mut last: BTreeMap<u16, Option<Mark>> = heads
        .map(|(partition, head)| (*partition, head.chain.map(State::mark)))
        .collect();
    let mark = |row: &EventsRow| {
        let mark = Mark(row.chain.0);
        let before = last.insert(row.shard_partition, Some(mark));
        (before.flatten(), mark)
    };
    rows.iter().map(mark).collect()
}

/// The rows of these events behind these heads, which they move.
fn rows(
    key: &ChainKey,
    new: &[NewEvents],
    digests: Vec<chain::Digest>,
    heads: &mut BTreeMap<u16, Head>,
) -> Result<Vec<EventsRow>, DbError> {
    let mut rows = Vec::with_capacity(new.len());
    for (events, payload) in new.iter().zip(digests) {
        let head = heads.get_mut(&events.partition).ok_or_else(|| {
            DbError::Corrupt(format!("partition {} has no head", events.partition))
        })?;
        head.position += u64::from(events.count);
        let link = Link {
            partition: events.partition,
            last_position: head.position,
            count: events.count,
            order_key: events.order_key,
            order_version: events.order_version,
            event_time: events.event_time,
            payload,
        };
        let state = head.chain.unwrap_or(State::BEGIN).next(key, &link);
        head.chain = Some(state);
        rows.push(EventsRow {
            shard_partition: events.partition,
            position: head.position,
            event_count: events.count,
            order_key: events.order_key.into(),
            store_id: events.store.to_string(),
            order_version: events.order_version,
            event_time: At(events.event_time),
            payload: events.payload.clone(),
            chain: Bytes(state.mark().0),
        });
    }
    Ok(rows)
}

/// The row of one position, as it ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventsAge {
    pub last_position: u64,
    pub event_time: Timestamp,
    /// Of its payload.
    pub bytes: u64,
}

/// So many rows of a partition behind this position, in their order.
pub async fn ages(
    conn: &mut Conn,
    partition: u16,
    after: u64,
    limit: u16,
) -> Result<Vec<EventsAge>, DbError> {
    let rows: Vec<(u64, At, u64)> = events::table
        .filter(events::shard_partition.eq(partition))
        .filter(events::position.gt(after))
        .order(events::position)
        .limit(limit.into())
        .select((
            events::position,
            events::event_time,
            octet_length(events::payload),
        ))
        .load(conn)
        .await?;
    let age = |(last_position, event_time, bytes): (u64, At, u64)| EventsAge {
        last_position,
        event_time: event_time.0,
        bytes,
    };
    Ok(rows.into_iter().map(age).collect())
}

#[diesel::declare_sql_function]
extern "SQL" {
    fn octet_length(bytes: Binary) -> Unsigned<BigInt>;
}

/// Deletes the rows of a partition that stand in this range of positions: behind the first, and up
/// to the second. Says how many. At READ COMMITTED it locks these and no gap, so what is appended
/// meanwhile does not wait.
pub async fn delete(
    conn: &mut Conn,
    partition: u16,
    (after, to): (u64, u64),
) -> Result<usize, DbError> {
    let rows = events::table
        .filter(events::shard_partition.eq(partition))
        .filter(events::position.gt(after))
        .filter(events::position.le(to));
    Ok(diesel::delete(rows).execute(conn).await?)
}

/// What came to pass with an order, oldest first: so many rows that hold events after this position
/// (0: from the beginning), whether the feed still has them or not. The first may hold earlier ones
/// too. All events of an order are in one partition, so that their positions are in order.
pub async fn history(
    conn: &mut Conn,
    key: OrderKey,
    (partition, after): (u16, u64),
    limit: u16,
) -> Result<Vec<StoredEvents>, DbError> {
    // One statement, and so one moment: a row that is moved meanwhile is in one of the two.
    let query = History {
        key,
        partition,
        after,
        limit,
    };
    let rows: Vec<(u16, u64, u32, Vec<u8>)> = query.load(conn).await?;
    let stored = |(partition, last_position, count, payload)| StoredEvents {
        partition,
        last_position,
        count,
        payload,
        mark: None,
        before: None,
    };
    let mut rows: Vec<StoredEvents> = rows.into_iter().map(stored).collect();
    rows.sort_by_key(|row| row.last_position);
    rows.truncate(limit.into());
    Ok(rows)
}

/// The rows of an order that the feed no longer has, and those that it has: up to the limit of
/// each.
#[derive(Debug, Clone, Copy)]
pub struct History {
    pub key: OrderKey,
    /// Of the order. Rows of the feed are asked for by it too: it is what they are sharded by.
    pub partition: u16,
    pub after: u64,
    pub limit: u16,
}

impl Query for History {
    type SqlType = (
        Unsigned<SmallInt>,
        Unsigned<BigInt>,
        Unsigned<Integer>,
        Binary,
    );
}

impl QueryId for History {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for History {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        const COLUMNS: &str =
            "(SELECT `shard_partition`, `position`, `event_count`, `payload` FROM ";
        let halves = [
            ("`order_history` FORCE INDEX (PRIMARY)", None, "`position`"),
            (
                "`events` FORCE INDEX (events_by_order)",
                Some(&self.partition),
                "`shard_partition`, `position`",
            ),
        ];
        let mut separator = "";
        for (table, partition, order) in halves {
            out.push_sql(separator);
            out.push_sql(COLUMNS);
            out.push_sql(table);
            out.push_sql(" WHERE `order_key` = ");
            out.push_bind_param::<Binary, _>(&self.key.0)?;
            if let Some(partition) = partition {
                out.push_sql(" AND `shard_partition` = ");
                out.push_bind_param::<Unsigned<SmallInt>, _>(partition)?;
            }
            out.push_sql(" AND `position` > ");
            out.push_bind_param::<Unsigned<BigInt>, _>(&self.after)?;
            out.push_sql(" ORDER BY ");
            out.push_sql(order);
            out.push_sql(" LIMIT ");
            out.push_sql(&self.limit.to_string());
            out.push_sql(")");
            separator = " UNION ALL ";
        }
        Ok(())
    }
}
