//! The erasure of buyers, in the tables of their orders. What changes runs in one transaction for
//! each order, which locks the order and the tail of its partition, so that no row of its events is
//! moved meanwhile.

use std::collections::BTreeSet;

use belay_domain::erasure::{ERASED, ERASED_TEXT, blank_annotations};
use belay_domain::ids::{BuyerId, OrderId, OrderKey, StoreId};
use belay_domain::order::Order;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Text};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::aggregate;
use super::columns::{At, Bytes, Json};
use super::error::DbError;
use super::orders::{self, OnLocked, StoredAnnotations};
use super::schema::{
    erasures, events, held_events, order_history, orders as orders_table, partition_tails,
};
use super::statement::{KEYS_MAX, one_of};

/// Columns of a table of an order that hold personal data, and what is put there.
struct Blanked {
    table: &'static str,
    set: &'static str,
}

/// `#` is the mark of an erased id, `$$` that of an erased text: constants of this program.
const BLANKED: &[Blanked] = &[
    Blanked {
        table: "orders",
        set: "`buyer_id` = '#', `buyer_email_hash` = NULL, `buyer_username_hash` = NULL, \
              `create_fingerprint` = REPEAT(CHAR(0), 32), `document` = NULL",
    },
    Blanked {
        table: "cancellations",
        set: "`note` = IF(`note` IS NULL, NULL, '$$'), `evidence` = '[]', \
              `requester_id` = IF(`requester_role` = 'BUYER', '#', `requester_id`), \
              `submitted_by_id` = IF(`submitted_by_role` = 'BUYER', '#', `submitted_by_id`)",
    },
    Blanked {
        table: "gates",
        set: "`answer` = IF(`answer` IS NULL, NULL, \
              JSON_REPLACE(JSON_REMOVE(`answer`, '$.note'), '$.evidence', JSON_ARRAY()))",
    },
    Blanked {
        table: "shipments",
        set: "`hold` = IF(`hold` IS NULL, NULL, JSON_REMOVE(`hold`, '$.note'))",
    },
    Blanked {
        table: "incidents",
        set: "`note` = IF(`note` IS NULL, NULL, '$$')",
    },
];

/// Orders of a buyer behind this key, so many at most.
pub async fn orders_of(
    conn: &mut Conn,
    store: &StoreId,
    buyer: &BuyerId,
    after: Option<OrderKey>,
    limit: u16,
) -> Result<Vec<OrderKey>, DbError> {
    let mut query = orders_table::table
        .filter(orders_table::store_id.eq(store.as_str()))
        .filter(orders_table::buyer_id.eq(buyer.as_str()))
        .select(orders_table::order_key)
        .order(orders_table::order_key)
        .limit(limit.into())
        .into_boxed();
    if let Some(after) = after {
        query = query.filter(orders_table::order_key.gt(Bytes::from(after)));
    }
    let keys: Vec<Bytes<16>> = query.load(conn).await?;
    Ok(keys.into_iter().map(OrderKey::from).collect())
}

/// The order as it is, locked until the transaction ends, as are the rows of its partition against
/// being moved, and what deliverers hold of it against being added to; and the database's time.
pub async fn lock(conn: &mut Conn, key: OrderKey) -> Result<Option<(Order, Timestamp)>, DbError> {
    let locked = orders::lock(conn, &[key], OnLocked::Wait).await?;
    let [row] = locked.as_slice() else {
        return Ok(None);
    };
    let (partition, now) = (row.partition, row.locked_at);
    let _: u64 = partition_tails::table
        .find(partition)
        .select(partition_tails::pruned)
        .for_update()
        .first(conn)
        .await?;
    let mut loaded = aggregate::load_children(conn, locked).await?;
    Ok(loaded.remove(&key).map(|order| (order, now)))
}

/// Blanks what the tables of the order hold, and forgets the answers to its commands.
pub async fn blank(conn: &mut Conn, order: &Order) -> Result<(), DbError> {
    let key = order.key();
    for Blanked { table, set } in BLANKED {
        let set = set.replace('#', ERASED).replace("$$", ERASED_TEXT);
        let update = format!("UPDATE `{table}` SET {set} WHERE `order_key` = ?");
        diesel::sql_query(update)
            .bind::<Binary, _>(key.0.as_slice())
            .execute(conn)
            .await?;
    }
    let mut blanked = order.clone();
    blank_annotations(&mut blanked);
    diesel::update(orders_table::table.find(Bytes::from(key)))
        .set(orders_table::annotations.eq(StoredAnnotations::of(&blanked).map(Json)))
        .execute(conn)
        .await?;
    diesel::sql_query("DELETE FROM `requests` WHERE `order_key` = ?")
        .bind::<Binary, _>(key.0.as_slice())
        .execute(conn)
        .await?;
    Ok(())
}

/// The table that a row of events is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTable {
    Feed,
    History,
}

/// A row of an order's events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasableEvents {
    pub table: EventTable,
    pub partition: u16,
    pub last_position: u64,
    pub count: u32,
    pub order_version: u64,
    pub event_time: Timestamp,
    pub payload: Vec<u8>,
    pub is_chained: bool,
    /// Of what was written, where another payload stands there by now.
    pub erased_digest: Option<[u8; 32]>,
}

/// So many rows of an order behind this position, of one of the two tables.
pub async fn event_rows(
    conn: &mut Conn,
    key: OrderKey,
    table: EventTable,
    after: u64,
    limit: u16,
) -> Result<Vec<ErasableEvents>, DbError> {
    type Row = (
        u16,
        u64,
        u32,
        u64,
        At,
        Vec<u8>,
        Option<Bytes<32>>,
        Option<Bytes<32>>,
    );
    macro_rules! rows {
        ($table:ident) => {
            $table::table
                .filter($table::order_key.eq(Bytes::from(key)))
                .filter($table::position.gt(after))
                .order($table::position)
                .limit(limit.into())
                .select((
                    $table::shard_partition,
                    $table::position,
                    $table::event_count,
                    $table::order_version,
                    $table::event_time,
                    $table::payload,
                    $table::chain,
                    $table::erased_digest,
                ))
                .load(conn)
                .await?
        };
    }
    let rows: Vec<Row> = match table {
        EventTable::Feed => rows!(events),
        EventTable::History => rows!(order_history),
    };
    let row = |row: Row| {
        let (partition, last_position, count, order_version, time, payload, chain, digest) = row;
        ErasableEvents {
            table,
            partition,
            last_position,
            count,
            order_version,
            event_time: time.0,
            payload,
            is_chained: chain.is_some(),
            erased_digest: digest.map(|digest| digest.0),
        }
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Puts another payload into a row, with the digest of what was written and the seal of who
/// replaced it.
pub async fn replace_payload(
    conn: &mut Conn,
    key: OrderKey,
    row: &ErasableEvents,
    seal: Option<([u8; 32], [u8; 32])>,
) -> Result<(), DbError> {
    let (digest, seal) = (
        seal.map(|seal| Bytes(seal.0)),
        seal.map(|seal| Bytes(seal.1)),
    );
    let matched = match row.table {
        EventTable::Feed => {
            diesel::update(events::table.find((row.partition, row.last_position)))
                .set((
                    events::payload.eq(&row.payload),
                    events::erased_digest.eq(digest),
                    events::erased_seal.eq(seal),
                ))
                .execute(conn)
                .await?
        }
        EventTable::History => {
            diesel::update(order_history::table.find((Bytes::from(key), row.last_position)))
                .set((
                    order_history::payload.eq(&row.payload),
                    order_history::erased_digest.eq(digest),
                    order_history::erased_seal.eq(seal),
                ))
                .execute(conn)
                .await?
        }
    };
    DbError::unless_all_matched(matched, 1)
}

/// An event of the order that a deliverer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub consumer: String,
    pub partition: u16,
    pub position: u64,
    pub payload: Vec<u8>,
}

/// All of an order: deliverers hold no more than 1,000 of a partition.
pub async fn held(conn: &mut Conn, partition: u16, key: OrderKey) -> Result<Vec<Held>, DbError> {
    let rows: Vec<(String, u64, Vec<u8>)> = held_events::table
        .filter(held_events::shard_partition.eq(partition))
        .filter(held_events::order_key.eq(Bytes::from(key)))
        .select((
            held_events::consumer_id,
            held_events::position,
            held_events::payload,
        ))
        .load(conn)
        .await?;
    let held = |(consumer, position, payload)| Held {
        consumer,
        partition,
        position,
        payload,
    };
    Ok(rows.into_iter().map(held).collect())
}

pub async fn replace_held(conn: &mut Conn, held: &Held) -> Result<(), DbError> {
    // It may have been taken meanwhile.
    diesel::sql_query(
        "UPDATE `held_events` SET `payload` = ? WHERE `consumer_id` = ? AND `shard_partition` = ? AND `position` = ?",
    )
    .bind::<Binary, _>(&held.payload)
    .bind::<Text, _>(&held.consumer)
    .bind::<diesel::sql_types::Unsigned<diesel::sql_types::SmallInt>, _>(held.partition)
    .bind::<diesel::sql_types::Unsigned<diesel::sql_types::BigInt>, _>(held.position)
    .execute(conn)
    .await?;
    Ok(())
}

/// Those of these orders whose buyer was erased. May run anywhere.
pub async fn among(
    conn: &mut Conn,
    orders: &BTreeSet<OrderKey>,
) -> Result<BTreeSet<OrderKey>, DbError> {
    let orders: Vec<OrderKey> = orders.iter().copied().collect();
    let mut erased = BTreeSet::new();
    for keys in orders.chunks(KEYS_MAX) {
        let found: Vec<Bytes<16>> = erasures::table
            .filter(one_of(erasures::order_key, keys))
            .select(erasures::order_key)
            .load(conn)
            .await?;
        erased.extend(found.into_iter().map(OrderKey::from));
    }
    Ok(erased)
}

/// That it was done, and when.
pub async fn record(
    conn: &mut Conn,
    (key, store, order): (OrderKey, &StoreId, &OrderId),
    erase_time: Timestamp,
) -> Result<(), DbError> {
    diesel::replace_into(erasures::table)
        .values((
            erasures::order_key.eq(Bytes::from(key)),
            erasures::store_id.eq(store.as_str()),
            erasures::order_id.eq(order.as_str()),
            erasures::erase_time.eq(At(erase_time)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
