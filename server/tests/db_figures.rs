//! Figures of the whole database cost the more the more is open, and not the more there was.

mod common;

use belay_server::db::{Conn, figures};
use common::TestDatabase;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use jiff::{SignedDuration, Timestamp};

/// So many rows are read at most where there is next to nothing to count.
const READ_MAX: u64 = 200;
/// So many there are that are not to be counted.
const ROWS: u32 = 5_000;

/// How many entries of indexes, and rows, this connection has read.
async fn read(conn: &mut Conn) -> u64 {
    #[derive(QueryableByName)]
    struct Status {
        #[diesel(sql_type = Text, column_name = "Value")]
        value: String,
    }
    let query = "SHOW SESSION STATUS LIKE 'Handler_read%'";
    let read: Vec<Status> = diesel::sql_query(query).load(conn).await.unwrap();
    let counts = read.iter().map(|of| of.value.parse::<u64>().unwrap());
    counts.sum()
}

/// `ROWS` rows of each table, of two stores, that are at their end; and one of each that is not.
async fn fill(conn: &mut Conn) {
    let columns = "order_key, cancellation_number, part_number, gate_number, kind, state, on_timeout, on_dispatch, \
        on_lost, store_id, seller_id, warehouse_id, carrier_id, create_time, awaiting";
    let gates = |order: &str, store: &str, awaiting: &str| {
        format!(
            "INSERT INTO gates ({columns}) SELECT {order}, 1, 1, 1, 'SELLER_CONSENT', 'PASSED', 'PASS', 'BAR', \
                'REFUSE_PART', {store}, 'a', 'w', 'c', '2026-01-01', {awaiting} FROM n"
        )
    };
    let columns = "order_key, number, store_id, seller_id, payment_number, kind, state, goods, tax, shipping, excess, \
        due_by, create_time, update_time";
    let refunds = |order: &str, store: &str, state: &str| {
        format!(
            "INSERT INTO refunds ({columns}) SELECT {order}, 1, {store}, 'a', 1, 'REFUND', '{state}', 1, 0, 0, 0, \
                '2026-02-01', '2026-01-01', '2026-01-01' FROM n"
        )
    };
    let many = "UNHEX(LPAD(HEX(n), 32, '0'))";
    let store = "IF(n % 2, 'one', 'two')";
    let statements = [
        "CREATE TEMPORARY TABLE n (n INT)".to_owned(),
        format!(
            "SET SESSION cte_max_recursion_depth = {ROWS}; INSERT INTO n WITH RECURSIVE c (n) AS \
                (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS}) SELECT n FROM c"
        ),
        gates(many, store, "NULL"),
        refunds(many, store, "SETTLED"),
        "DELETE FROM n WHERE n > 1".to_owned(),
        gates("REPEAT('x', 16)", "'two'", "'SELLER'"),
        refunds("REPEAT('x', 16)", "'two'", "DUE"),
        "ANALYZE TABLE gates, refunds, orders".to_owned(),
    ];
    for statement in statements {
        conn.batch_execute(&statement).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_at_its_end_is_not_read() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    fill(&mut conn).await;
    let conn = &mut conn;
    let now: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();

    let before = read(conn).await;
    let groups = figures::gate_groups(conn).await.unwrap();
    let [only] = groups.as_slice() else {
        panic!("{groups:?}")
    };
    assert_eq!((only.store.as_str(), only.name.as_str()), ("two", "SELLER"));
    let since = [1, 24, 24 * 7].map(|hours| now - SignedDuration::from_hours(hours));
    let counted = figures::gates(conn, only, since, figures::COUNTED_MAX).await;
    assert_eq!(counted.unwrap(), [0, 0, 0, 1]);
    let gates = read(conn).await - before;
    assert!(gates < READ_MAX, "{gates} were read for gates");

    let before = read(conn).await;
    let groups = figures::refund_groups(conn).await.unwrap();
    assert_eq!(groups.len(), 3, "{groups:?}");
    let due = groups.iter().find(|group| group.name == "DUE").unwrap();
    let counted = figures::refunds(conn, due, figures::COUNTED_MAX).await;
    assert_eq!(counted.unwrap(), 1);
    let counted = figures::overdue(conn, due, now, figures::ROWS_MAX).await;
    assert_eq!(counted.unwrap(), (0, 1));
    let refunds = read(conn).await - before;
    assert!(refunds < READ_MAX, "{refunds} were read for refunds");
    for (at, looked_at) in [(now, 1), (now - SignedDuration::from_micros(1), 0)] {
        for overdue in [false, true] {
            let mark = format!("UPDATE refunds SET overdue = {overdue} WHERE state = 'DUE'");
            conn.batch_execute(&mark).await.unwrap();
            let counted = figures::overdue(conn, due, at, figures::ROWS_MAX).await;
            let expected = if overdue { looked_at } else { 0 };
            assert_eq!(counted.unwrap(), (expected, looked_at));
        }
    }

    assert_eq!(figures::due(conn, 64, now).await.unwrap(), (0, None));
}

#[tokio::test]
async fn no_more_is_counted_than_may_be() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    fill(&mut conn).await;
    let conn = &mut conn;
    let settled = figures::Group {
        store: "one".to_owned(),
        name: "SETTLED".to_owned(),
    };
    for (most, counted) in [(1, 1), (2_499, 2_499), (2_500, 2_500), (2_501, 2_500)] {
        let refunds = figures::refunds(conn, &settled, most).await;
        assert_eq!(refunds.unwrap(), counted);
        let late = figures::overdue(conn, &settled, Timestamp::MAX, most).await;
        assert_eq!(late.unwrap(), (0, counted));
    }
}
