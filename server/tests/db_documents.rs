//! The documents of orders: an order is loaded from its own row, and from its tables where that
//! does not do.

mod common;

use belay_domain::ids::OrderKey;
use belay_domain::order::Order;
use belay_server::db::aggregate::{self, DOCUMENT_BYTES_MAX};
use belay_server::db::{Conn, transaction};
use common::{TestDatabase, eventful, order};
use diesel::QueryableByName;
use diesel::sql_types::{Binary, Nullable};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = Nullable<Binary>)]
    document: Option<Vec<u8>>,
}

async fn document(conn: &mut Conn) -> Option<Vec<u8>> {
    let stored: Stored = diesel::sql_query("SELECT document FROM orders")
        .get_result(conn)
        .await
        .unwrap();
    stored.document
}

async fn insert(conn: &mut Conn, order: &Order) {
    transaction::begin_write(conn).await.unwrap();
    crate::common::insert_orders(conn, &[(order, 3)])
        .await
        .unwrap();
    transaction::commit(conn).await.unwrap();
}

async fn update(conn: &mut Conn, before: &Order, after: &Order) {
    transaction::begin_write(conn).await.unwrap();
    crate::common::update_orders(conn, &[(before, after)])
        .await
        .unwrap();
    transaction::commit(conn).await.unwrap();
}

async fn read(conn: &mut Conn, key: OrderKey) -> Order {
    let mut found = aggregate::read(conn, &[key]).await.unwrap();
    found.remove(&key).unwrap()
}

async fn contradicted(conn: &mut Conn, key: OrderKey) -> bool {
    !aggregate::contradicted(conn, &[key])
        .await
        .unwrap()
        .is_empty()
}

/// What a load finds in a table and nowhere else.
const MARK: &str = "UPDATE order_lines SET title = 'of the table'";

fn is_of_the_tables(order: &Order) -> bool {
    order.lines[0].title == "of the table"
}

#[tokio::test]
async fn an_order_is_loaded_from_its_own_row_alone() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    for (order, later) in [
        (order("plain", 2), eventful("plain")),
        (eventful("eventful"), eventful("eventful")),
    ] {
        insert(&mut conn, &order).await;
        let later = Order {
            version: order.version + 1,
            create_time: order.create_time,
            ..later
        };
        update(&mut conn, &order, &later).await;
        assert_eq!(read(&mut conn, order.key()).await, later);
        assert!(!contradicted(&mut conn, order.key()).await);
        for table in [
            "order_lines",
            "payments",
            "shipments",
            "cancellations",
            "cancellation_parts",
            "gates",
            "refunds",
            "incidents",
        ] {
            conn.batch_execute(&format!("DELETE FROM {table}"))
                .await
                .unwrap();
        }
        assert_eq!(read(&mut conn, order.key()).await, later);
        conn.batch_execute("DELETE FROM orders").await.unwrap();
    }
}

#[tokio::test]
async fn what_a_document_cannot_say_is_read_from_the_tables() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let before = eventful("a");
    insert(&mut conn, &before).await;
    conn.batch_execute(MARK).await.unwrap();
    let key = before.key();
    assert!(!is_of_the_tables(&read(&mut conn, key).await));
    assert!(contradicted(&mut conn, key).await);
    conn.batch_execute("CREATE TABLE kept AS SELECT order_key, version, document FROM orders")
        .await
        .unwrap();
    for (what, spoil) in [
        (
            "a release that knows none wrote the order",
            "version = version + 1",
        ),
        ("an order of before", "document = NULL"),
        ("nothing", "document = ''"),
        (
            "the format of another release",
            "document = CONCAT(CHAR(255), SUBSTR(document, 2))",
        ),
        ("a head alone", "document = LEFT(document, 9)"),
        ("half of one", "document = LEFT(document, 100)"),
    ] {
        conn.batch_execute(&format!("UPDATE orders SET {spoil}"))
            .await
            .unwrap();
        let found = read(&mut conn, key).await;
        assert!(is_of_the_tables(&found), "{what}");
        assert!(!contradicted(&mut conn, key).await, "{what}");
        conn.batch_execute(
            "UPDATE orders JOIN kept USING (order_key) SET orders.version = kept.version, orders.document = kept.document",
        )
        .await
        .unwrap();
        assert!(!is_of_the_tables(&read(&mut conn, key).await));
    }
    // The next command writes it anew, from what it loaded.
    conn.batch_execute("UPDATE orders SET document = NULL")
        .await
        .unwrap();
    let loaded = read(&mut conn, key).await;
    let after = Order {
        version: loaded.version + 1,
        ..loaded.clone()
    };
    update(&mut conn, &loaded, &after).await;
    assert!(document(&mut conn).await.is_some());
    assert!(is_of_the_tables(&read(&mut conn, key).await));
    assert!(!contradicted(&mut conn, key).await);
}

/// Whoever waits for more than a page of one order reads its tables.
#[tokio::test]
async fn a_document_that_is_too_long_is_not_kept() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let mut fits = eventful("a");
    fits.cancellations[0].note = Some(String::new());
    insert(&mut conn, &fits).await;
    let empty = document(&mut conn).await.unwrap().len();
    // The length of the note takes a second byte.
    let room = DOCUMENT_BYTES_MAX - empty - 1;
    for (length, is_kept) in [(room, true), (room + 1, false), (room, true)] {
        let mut other = fits.clone();
        other.version += 1;
        other.cancellations[0].note = Some("x".repeat(length));
        update(&mut conn, &fits, &other).await;
        let kept = document(&mut conn).await;
        assert_eq!(
            kept.map(|bytes| bytes.len()),
            is_kept.then_some(DOCUMENT_BYTES_MAX)
        );
        assert_eq!(read(&mut conn, other.key()).await, other);
        fits = other;
    }
}

/// The bytes of an order that has everything. Where this fails, a row of a child table is written
/// otherwise than before, and documents of before would be misread: give `FORMAT` another number.
#[tokio::test]
async fn the_format_is_that_of_its_number() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    insert(&mut conn, &eventful("a")).await;
    let bytes = document(&mut conn).await.unwrap();
    let digest = blake3::hash(&bytes).to_hex();
    let expected = "a5446ba88f89eb72b894fe19448bed95d493ab791c0a19b374cd112574c01ef9";
    assert_eq!((bytes[0], digest.as_str()), (2, expected));
}
