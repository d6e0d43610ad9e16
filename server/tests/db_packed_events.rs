//! Events that were written when a row held one of them are read on after the migrations that pack
//! rows.

mod common;

use belay_domain::ids::OrderKey;
use belay_proto::v1 as pb;
use belay_server::db::{events, migrate};
use belay_wire::events as wire;
use common::TestDatabase;
use diesel::sql_types::{BigInt, Binary, Unsigned};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use prost::Message;

const KEY: OrderKey = OrderKey([7; 16]);

/// A row as it was written before 0060.
const INSERT: &str = "INSERT INTO events (shard_partition, position, order_key, store_id, order_version, event_type, \
    event_time, payload) VALUES (3, ?, ?, 'demo', 1, 'ORDER_CREATED', '2026-03-01 10:00:00', ?)";

/// Puts the table back to what it was, in a database without events.
async fn undo(conn: &mut belay_server::db::Conn) {
    for migration in [
        "0062_drop_event_type",
        "0061_pack_events",
        "0060_count_events",
    ] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let down = std::fs::read_to_string(format!("{folder}/{migration}/down.sql")).unwrap();
        conn.batch_execute(&down).await.unwrap();
    }
    conn.batch_execute(
        "DELETE FROM __diesel_schema_migrations WHERE version IN ('0060', '0061', '0062')",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn rows_of_one_event_become_packed_rows() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    undo(&mut conn).await;

    // Around every length at which the number before a message grows by a byte.
    let lengths = [
        0, 127, 128, 129, 255, 256, 16_383, 16_384, 16_511, 65_536, 2_097_151, 2_097_152, 3_000_000,
    ];
    let event = |length: usize| {
        let of_rule = |rule: usize| pb::Event {
            rule: "r".repeat(rule),
            ..pb::Event::default()
        };
        // Beside its text a rule takes at most 5 bytes.
        let events = (length.saturating_sub(5)..=length).map(of_rule);
        events
            .into_iter()
            .find(|event| event.encoded_len() == length)
            .unwrap()
    };
    let written: Vec<pb::Event> = lengths.into_iter().map(event).collect();
    for (position, event) in (1_u64..).zip(&written) {
        let insert = diesel::sql_query(INSERT).bind::<Unsigned<BigInt>, _>(position);
        let insert = insert
            .bind::<Binary, _>(&KEY.0)
            .bind::<Binary, _>(event.encode_to_vec());
        insert.execute(&mut conn).await.unwrap();
    }
    assert_eq!(
        migrate::run(&database.url).await.unwrap(),
        ["0060", "0061", "0062"]
    );

    let rows = events::history(&mut conn, KEY, (3, 0), 100).await.unwrap();
    assert_eq!(rows.len(), written.len());
    for ((position, row), event) in (1_i64..).zip(rows).zip(written) {
        let read = wire::read(&row.payload, row.partition, row.last_position, row.count).unwrap();
        assert_eq!(
            read,
            [pb::Event {
                partition: 3,
                position,
                ..event
            }]
        );
    }
}
