//! The units of shipments and of parts are in their rows, and so are those that had rows of their
//! own before.

mod common;

use std::fmt::Write as _;

use belay_domain::order::Order;
use belay_domain::units::{UnitRange, UnitSet};
use belay_server::db::migrate::{self, FillSettings, Target};
use belay_server::db::{Conn, ErrorKind, aggregate, transaction};
use common::{TestDatabase, eventful, insert_orders, units, update_orders};
use diesel::QueryableByName;
use diesel::sql_types::{Nullable, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

/// Only the tables are left to read from.
const FORGET_DOCUMENTS: &str = "UPDATE orders SET document = NULL";

async fn insert(conn: &mut Conn, order: &Order) {
    transaction::begin_write(conn).await.unwrap();
    insert_orders(conn, &[(order, 3)]).await.unwrap();
    transaction::commit(conn).await.unwrap();
}

#[derive(Debug, QueryableByName)]
struct Found {
    #[diesel(sql_type = Nullable<Text>)]
    text: Option<String>,
}

/// What a query finds as `text`.
async fn found(conn: &mut Conn, query: &str) -> Vec<String> {
    let found: Vec<Found> = diesel::sql_query(query).load(conn).await.unwrap();
    found.into_iter().filter_map(|found| found.text).collect()
}

/// The order as its tables say.
async fn read(conn: &mut Conn, order: &Order) -> Order {
    conn.batch_execute(FORGET_DOCUMENTS).await.unwrap();
    let mut found = aggregate::read(conn, &[order.key()]).await.unwrap();
    found.remove(&order.key()).unwrap()
}

/// Two shipments, and a cancellation with a part in each.
fn divided() -> Order {
    let mut order = eventful("a");
    order.shipments[0].units = units(&[(1, 0, 3), (2, 0, 1)]);
    order.shipments[1].units = units(&[(2, 1, 2), (3, 0, 3)]);
    order
}

#[tokio::test]
async fn units_are_a_list_of_ranges_that_sql_reads_too() {
    const SHIPMENTS: &str = "SELECT units AS text FROM shipments ORDER BY number";
    const RANGES: &str = "SELECT CONCAT_WS(' ', number, line, first_unit, unit_count) AS text FROM shipments \
        JOIN JSON_TABLE(units, '$[*]' COLUMNS (line INT UNSIGNED PATH '$[0]', first_unit INT UNSIGNED PATH '$[1]', \
        unit_count INT UNSIGNED PATH '$[2]')) AS ranges_of ORDER BY number, line, first_unit";
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let before = divided();
    insert(&mut conn, &before).await;
    let stored = found(&mut conn, SHIPMENTS).await;
    assert_eq!(stored, ["[[1,0,3],[2,0,1]]", "[[2,1,2],[3,0,3]]"]);
    let ranges = found(&mut conn, RANGES).await;
    assert_eq!(ranges, ["1 1 0 3", "1 2 0 1", "2 2 1 2", "2 3 0 3"]);

    // A unit moves from one to the other, and a part is about others.
    let mut after = before.clone();
    after.version += 1;
    after.shipments[0].units = units(&[(1, 0, 3)]);
    after.shipments[1].units = units(&[(2, 0, 3), (3, 0, 3)]);
    after.cancellations[0].parts[0].units = units(&[(1, 0, 1), (1, 2, 1)]);
    transaction::begin_write(&mut conn).await.unwrap();
    update_orders(&mut conn, &[(&before, &after)])
        .await
        .unwrap();
    transaction::commit(&mut conn).await.unwrap();
    let stored = found(&mut conn, SHIPMENTS).await;
    assert_eq!(stored, ["[[1,0,3]]", "[[2,0,3],[3,0,3]]"]);
    let of_part = "SELECT units AS text FROM cancellation_parts WHERE cancellation_number = 1 AND part_number = 1";
    assert_eq!(found(&mut conn, of_part).await, ["[[1,0,1],[1,2,1]]"]);
    assert_eq!(read(&mut conn, &after).await, after);
}

#[tokio::test]
async fn a_row_without_units_or_with_what_is_none_is_refused() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let order = divided();
    insert(&mut conn, &order).await;
    conn.batch_execute(FORGET_DOCUMENTS).await.unwrap();
    conn.batch_execute("CREATE TABLE kept AS SELECT order_key, number, units FROM shipments")
        .await
        .unwrap();
    for table in ["shipments", "cancellation_parts"] {
        for units in ["NULL", "''", "'[[1,0]]'", "'[[1,4294967295,1]]'"] {
            transaction::begin_write(&mut conn).await.unwrap();
            conn.batch_execute(&format!("UPDATE {table} SET units = {units}"))
                .await
                .unwrap();
            let refused = aggregate::read(&mut conn, &[order.key()]).await;
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt, "{table} {units}");
            transaction::rollback(&mut conn).await.unwrap();
        }
    }
    assert_eq!(read(&mut conn, &order).await, order);
}

/// As ranges with gaps these are longer than `group_concat_max_len`, which is 1,024 bytes.
const MANY: u32 = 300;

fn many() -> UnitSet {
    let ranges = (0..MANY).map(|at| UnitRange {
        line: 3 - at % 3,
        first: (MANY - at) * 1_000,
        count: 7 + at,
    });
    ranges.collect()
}

/// Rows of one of the two tables of before, from the number of their holder on.
fn rows(of: &str, units: &UnitSet) -> String {
    let mut rows = String::new();
    for range in units.ranges() {
        let UnitRange { line, first, count } = *range;
        write!(rows, "{of}, {line}, {first}, {count}),").unwrap();
    }
    rows
}

async fn migrate_to(database: &TestDatabase, target: Target) -> Vec<String> {
    let batches = FillSettings::default();
    let ran = migrate::run_for(&database.url, None, &target, batches, |_| ()).await;
    ran.unwrap()
}

/// Undoes the migrations of a database, back to this one.
async fn undo_from(conn: &mut Conn, version: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.as_str() >= version && name != "README.md")
        .collect();
    names.sort_unstable();
    for name in names.iter().rev() {
        let down = std::fs::read_to_string(format!("{folder}/{name}/down.sql")).unwrap();
        conn.batch_execute(&down).await.unwrap();
    }
    let forget = format!("DELETE FROM __diesel_schema_migrations WHERE version >= '{version}'");
    conn.batch_execute(&forget).await.unwrap();
}

/// What the tables of before hold, without ranges that are no more.
async fn ranges(conn: &mut Conn) -> Vec<String> {
    let shipments = "SELECT CONCAT_WS(' ', HEX(order_key), shipment_number, line_number, first_unit, unit_count) AS text \
        FROM shipment_units WHERE unit_count > 0 ORDER BY 1";
    let parts = "SELECT CONCAT_WS(' ', HEX(order_key), cancellation_number, part_number, line_number, first_unit, unit_count) \
        AS text FROM cancellation_units WHERE unit_count > 0 ORDER BY 1";
    [found(conn, shipments).await, found(conn, parts).await].concat()
}

/// The database of an order as it was when units had tables of their own.
async fn of_before(order: &Order) -> TestDatabase {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    insert(&mut conn, order).await;
    undo_from(&mut conn, "0270").await;
    let (mut shipments, mut parts) = (String::new(), String::new());
    for shipment in &order.shipments {
        shipments += &rows(&format!("(@key, {}", shipment.number), &shipment.units);
    }
    for cancellation in &order.cancellations {
        for (number, part) in (1..).zip(&cancellation.parts) {
            let of = format!("(@key, {}, {number}", cancellation.number);
            parts += &rows(&of, &part.units);
        }
    }
    // Ranges that were there once, in front of others and behind them.
    let rows = format!(
        "SET @key = (SELECT order_key FROM orders); \
         DELETE FROM shipment_units; DELETE FROM cancellation_units; \
         INSERT INTO shipment_units VALUES {shipments} (@key, 1, 1, 999, 0), (@key, 2, 1, 0, 0); \
         INSERT INTO cancellation_units VALUES {parts} (@key, 1, 1, 1, 999, 0), (@key, 2, 1, 3, 0, 0)"
    );
    conn.batch_execute(&rows).await.unwrap();
    database
}

#[tokio::test]
async fn units_that_had_rows_of_their_own_are_found_in_the_rows_of_what_holds_them() {
    let mut order = divided();
    // One of each kind has none any more.
    order.shipments[0].units = many();
    order.shipments[1].units = UnitSet::default();
    order.cancellations[0].parts[0].units = many();
    order.cancellations[1].parts[0].units = UnitSet::default();
    let database = of_before(&order).await;
    let mut conn = database.connect().await;
    let before = ranges(&mut conn).await;
    assert!(before.len() > 600, "{}", before.len());

    let ran = migrate_to(&database, Target::Latest).await;
    assert_eq!(ran[0], "0270");
    migrate::check(&mut conn).await.unwrap();
    assert_eq!(read(&mut conn, &order).await, order);
    for table in ["shipments", "cancellation_parts"] {
        let gone = format!(
            "SELECT units AS text FROM {table} JOIN JSON_TABLE(units, '$[*]' COLUMNS (unit_count INT UNSIGNED PATH '$[2]')) \
             AS of_it WHERE unit_count = 0"
        );
        assert_eq!(found(&mut conn, &gone).await, [""; 0], "{table}");
    }
    let reported = "SELECT CONCAT_WS(' ', cancellation_id, part_number, units) AS text FROM report_cancellation_parts \
        ORDER BY cancellation_id, part_number";
    let parts = order.cancellations.iter().flat_map(|cancellation| {
        let parts = (1..).zip(&cancellation.parts);
        parts.map(|(number, part): (u32, _)| {
            let units = part.units.count();
            format!("a:c{} {number} {units}", cancellation.number)
        })
    });
    assert_eq!(found(&mut conn, reported).await, parts.collect::<Vec<_>>());

    // And back, for those who develop.
    undo_from(&mut conn, "0270").await;
    assert_eq!(ranges(&mut conn).await, before);
}
