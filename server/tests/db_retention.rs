//! What is pruned: rows on both sides of their age, histories that stay whole, and nobody who
//! waits.

mod common;

use std::time::Duration;

use belay_domain::ids::OrderKey;
use belay_domain::projection::Projection;
use belay_domain::records::{NewDecision, NewEvents, NewRequest, RequestKey};
use belay_server::db::address::PerMessage;
use belay_server::db::aged::{Aged, Deleted};
use belay_server::db::decisions;
use belay_server::db::events;
use belay_server::db::partition_tails::{self, PartitionTail};
use belay_server::db::pool::{Pool, PoolSettings};
use belay_server::db::requests;
use belay_server::db::writes::Writes;
use belay_server::db::{
    Conn, ErrorKind, feed, order_history, projection_positions, projections, transaction,
};
use belay_server::projections::{Rebuild, begin_rebuild};
use common::{TestDatabase, chain_key, store, time};
use diesel::QueryableByName;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

const EPOCH: Timestamp = Timestamp::UNIX_EPOCH;

fn request(number: u128) -> RequestKey {
    RequestKey {
        order_key: OrderKey([7; 16]),
        request_id: Uuid::from_u128(number),
        caller: "STOREFRONT:web".to_owned(),
    }
}

/// Writes a request and a decision of each of these times.
async fn decided(conn: &mut Conn, times: &[Timestamp]) {
    for (number, at) in (0..).zip(times) {
        let new = NewRequest {
            key: request(number),
            fingerprint: [1; 32],
            answer: vec![1],
            create_time: *at,
        };
        crate::common::insert_requests(conn, &[new]).await.unwrap();
        let new = NewDecision {
            key: request(number),
            store: store(),
            decision_time: *at,
            policy_version: 1,
            accepted: true,
            record: "[]".to_owned(),
        };
        crate::common::insert_decisions(conn, &[new]).await.unwrap();
    }
}

#[tokio::test]
async fn the_oldest_rows_are_deleted_and_no_younger_ones() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let before = time("2026-03-01T10:00:00Z");
    let ago = |micros| before - SignedDuration::from_micros(micros);
    decided(&mut conn, &[ago(3), ago(2), ago(1), before, ago(-1)]).await;
    for aged in [requests::AGED, decisions::AGED] {
        assert_eq!(aged.oldest(&mut conn).await.unwrap(), Some(ago(3)));
        let mut delete = async |from| aged.delete(&mut conn, from, before, 2).await.unwrap();
        let first = Deleted {
            rows: 2,
            reached: Some(ago(2)),
        };
        assert_eq!(delete(EPOCH).await, first);
        let last = Deleted {
            rows: 1,
            reached: None,
        };
        assert_eq!(delete(ago(2)).await, last);
        let nothing = Deleted {
            rows: 0,
            reached: None,
        };
        assert_eq!(delete(EPOCH).await, nothing);
        assert_eq!(aged.oldest(&mut conn).await.unwrap(), Some(before));
    }
    let keys: Vec<RequestKey> = (0..5).map(request).collect();
    let known = requests::find(&mut conn, &keys).await.unwrap();
    let mut known: Vec<u128> = known.keys().map(|key| key.request_id.as_u128()).collect();
    known.sort_unstable();
    assert_eq!(known, [3, 4]);
}

#[tokio::test]
async fn rows_of_one_time_are_deleted_in_batches_too() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let at = time("2026-03-01T10:00:00Z");
    decided(&mut conn, &[at; 5]).await;
    let before = at + SignedDuration::from_micros(1);
    let (mut from, mut rows) = (EPOCH, Vec::new());
    loop {
        let deleted = requests::AGED
            .delete(&mut conn, from, before, 2)
            .await
            .unwrap();
        rows.push(deleted.rows);
        let Some(reached) = deleted.reached else {
            break;
        };
        from = reached;
    }
    assert_eq!(rows, [2, 2, 1]);
    assert_eq!(requests::AGED.oldest(&mut conn).await.unwrap(), None);
}

#[tokio::test]
async fn two_that_delete_at_once_delete_each_row_once() {
    let database = TestDatabase::migrated().await;
    let pool = database.pool(4);
    let at = |micros| EPOCH + SignedDuration::from_micros(micros);
    let times: Vec<Timestamp> = (0..200).map(at).collect();
    decided(&mut database.connect().await, &times).await;
    let delete = async || {
        let (mut from, mut rows) = (EPOCH, 0);
        loop {
            let mut conn = pool.checkout().await.unwrap();
            let deleted = requests::AGED.delete(&mut conn, from, at(150), 7).await;
            let deleted = conn.finish_with(deleted).unwrap();
            rows += deleted.rows;
            let Some(reached) = deleted.reached else {
                break;
            };
            from = reached;
        }
        rows
    };
    let (one, other) = tokio::join!(delete(), delete());
    assert_eq!(one + other, 150);
    let oldest = requests::AGED.oldest(&mut database.connect().await).await;
    assert_eq!(oldest.unwrap(), Some(at(150)));
}

/// Three events of an order.
fn new_events(partition: u16, order: u8, version: u64) -> NewEvents {
    NewEvents {
        partition,
        order_key: OrderKey([order; 16]),
        store: store(),
        order_version: version,
        event_time: time("2026-03-01T10:00:00Z"),
        count: 3,
        payload: vec![order, version.to_le_bytes()[0]],
    }
}

async fn append(conn: &mut Conn, new: &[NewEvents]) {
    transaction::begin_write(conn).await.unwrap();
    let (many, writes, key) = (PerMessage::Many, Writes::default(), chain_key());
    let appended = events::append(conn, many, writes, new, None, &key);
    appended.await.unwrap();
    transaction::commit(conn).await.unwrap();
}

/// Moves a partition's rows up to this position, and leaves the transaction open.
async fn move_rows(conn: &mut Conn, partition: u16, range: (u64, u64)) -> (usize, usize) {
    let tail = partition_tails::take(conn, partition)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(tail.pruned, range.0);
    let kept = order_history::keep(conn, partition, range).await.unwrap();
    let deleted = events::delete(conn, partition, range).await.unwrap();
    let tail = PartitionTail {
        pruned: range.1,
        expiring: range.1,
    };
    partition_tails::update(conn, partition, tail)
        .await
        .unwrap();
    (kept, deleted)
}

#[tokio::test]
async fn a_history_stays_whole_while_its_rows_move() {
    let database = TestDatabase::migrated().await;
    let (mut conn, mut mover) = (database.connect().await, database.connect().await);
    // Two orders take turns in one partition.
    for version in 1..=5 {
        append(
            &mut conn,
            &[new_events(3, 1, version), new_events(3, 2, version)],
        )
        .await;
    }
    let mine = OrderKey([1; 16]);
    let whole = events::history(&mut conn, mine, (3, 0), 100).await.unwrap();
    let lasts: Vec<u64> = whole.iter().map(|row| row.last_position).collect();
    assert_eq!(lasts, [3, 9, 15, 21, 27]);
    let from_third = events::history(&mut conn, mine, (3, 13), 100)
        .await
        .unwrap();

    let mut begin = 0;
    for to in [3, 6, 21, 30] {
        transaction::begin_write(&mut mover).await.unwrap();
        let (kept, deleted) = move_rows(&mut mover, 3, (begin, to)).await;
        assert_eq!((kept, deleted), (deleted, kept));
        for is_committed in [false, true] {
            if is_committed {
                transaction::commit(&mut mover).await.unwrap();
            }
            assert_eq!(
                events::history(&mut conn, mine, (3, 0), 100).await.unwrap(),
                whole
            );
            let page = events::history(&mut conn, mine, (3, 13), 100)
                .await
                .unwrap();
            assert_eq!(page, from_third);
            for limit in 1..=5 {
                let page = events::history(&mut conn, mine, (3, 3), limit)
                    .await
                    .unwrap();
                let expected = &whole[1..whole.len().min(1 + usize::from(limit))];
                assert_eq!(page, expected, "moved to {to}, limit {limit}");
            }
        }
        begin = to;
        let ends = feed::ends(&mut conn).await.unwrap();
        assert_eq!(
            (ends[3].pruned, ends[3].expiring, ends[3].last),
            (to, to, 30)
        );
    }
    assert_eq!(
        feed::rows_after(&mut conn, &[(3, 0)], 10).await.unwrap(),
        []
    );
}

#[tokio::test]
async fn what_is_appended_does_not_wait_for_who_prunes() {
    let database = TestDatabase::migrated().await;
    let (mut conn, mut mover) = (database.connect().await, database.connect().await);
    // The last row of each partition lies beside the first of the next one.
    let all = |version| {
        let events = |partition: u8| new_events(partition.into(), partition, version);
        (0..64).map(events).collect::<Vec<_>>()
    };
    append(&mut conn, &all(1)).await;
    decided(&mut conn, &[EPOCH; 10]).await;
    transaction::begin_write(&mut mover).await.unwrap();
    for partition in 0..64 {
        assert_eq!(move_rows(&mut mover, partition, (0, 3)).await, (1, 1));
    }
    for aged in [requests::AGED, decisions::AGED] {
        let before = EPOCH + SignedDuration::from_secs(1);
        let deleted = aged.delete(&mut mover, EPOCH, before, 100).await.unwrap();
        assert_eq!(deleted.rows, 10);
    }

    // Nothing of that is committed, and whoever waited would fail after a second.
    let settings = PoolSettings {
        lock_wait_max: Duration::from_secs(1),
        ..PoolSettings::default()
    };
    let pool = Pool::new(&database.url, settings).unwrap();
    let mut writer = pool.checkout().await.unwrap();
    append(&mut writer, &all(2)).await;
    let new = NewRequest {
        key: request(99),
        fingerprint: [1; 32],
        answer: vec![1],
        create_time: EPOCH,
    };
    crate::common::insert_requests(&mut writer, std::slice::from_ref(&new))
        .await
        .unwrap();
    // The wait that there would be shows with a row that is being deleted.
    let taken = NewRequest {
        key: request(1),
        ..new
    };
    let waited = crate::common::insert_requests(&mut writer, &[taken])
        .await
        .unwrap_err();
    assert_eq!(waited.kind(), ErrorKind::LockWait);
    transaction::rollback(&mut mover).await.unwrap();
}

#[tokio::test]
async fn of_a_partition_one_prunes_at_a_time() {
    let database = TestDatabase::migrated().await;
    let (mut one, mut other) = (database.connect().await, database.connect().await);
    for conn in [&mut one, &mut other] {
        transaction::begin_write(conn).await.unwrap();
    }
    assert!(partition_tails::take(&mut one, 3).await.unwrap().is_some());
    assert!(
        partition_tails::take(&mut other, 3)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        partition_tails::take(&mut other, 4)
            .await
            .unwrap()
            .is_some()
    );
    transaction::rollback(&mut one).await.unwrap();
    assert!(
        partition_tails::take(&mut other, 3)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn nothing_is_old_that_a_generation_has_not_read() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let mut read = async || partition_tails::read_by_all(&mut conn, 3).await.unwrap();
    assert_eq!(read().await, None, "none has begun");
    let begin = async |projection, generation| {
        let mut conn = database.connect().await;
        projection_positions::begin(&mut conn, projection, generation, &[0; 64])
            .await
            .unwrap();
        let step = projection_positions::Move {
            partition: 3,
            from: 0,
            to: 10 + u64::from(generation),
        };
        projection_positions::advance(&mut conn, projection, generation, &[step])
            .await
            .unwrap();
    };
    begin(Projection::SellerQuality, 1).await;
    assert_eq!(read().await, None, "one has not begun");
    begin(Projection::Stock, 1).await;
    assert_eq!(read().await, Some(11));

    // A rebuild begins with the first event, at once.
    let mut rebuilder = database.connect().await;
    let begun = begin_rebuild(&mut rebuilder, Projection::Stock).await;
    assert_eq!(begun.unwrap(), Rebuild::Begun);
    assert_eq!(read().await, Some(0));
    let generations = projections::get(&mut rebuilder, Projection::Stock).await;
    assert_eq!(generations.unwrap().building, Some(2));
}

#[tokio::test]
async fn a_rebuild_and_a_prune_see_each_other() {
    let database = TestDatabase::migrated().await;
    let (mut pruner, mut rebuilder) = (database.connect().await, database.connect().await);
    append(&mut rebuilder, &[new_events(3, 1, 1)]).await;
    transaction::begin_write(&mut pruner).await.unwrap();
    move_rows(&mut pruner, 3, (0, 3)).await;
    let begun = async {
        begin_rebuild(&mut rebuilder, Projection::Stock)
            .await
            .unwrap()
    };
    let committed = async {
        until_waited_for(&database).await;
        transaction::commit(&mut pruner).await.unwrap();
    };
    let (begun, ()) = tokio::join!(begun, committed);
    assert_eq!(begun, Rebuild::FeedPruned);
}

/// Until somebody waits for a lock in this database.
async fn until_waited_for(database: &TestDatabase) {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = BigInt)]
        waiting: i64,
    }
    let sql = format!(
        "SELECT COUNT(*) AS waiting FROM performance_schema.data_locks \
         WHERE object_schema = '{}' AND lock_status = 'WAITING'",
        database.name
    );
    let mut conn = common::root().await;
    loop {
        let found: Waiting = diesel::sql_query(&sql).get_result(&mut conn).await.unwrap();
        if found.waiting > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Many rows of each table, of one instant after the other.
async fn fill(conn: &mut Conn) {
    let counted = "(WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 20000) \
        SELECT n FROM counted) numbers";
    let key = "UNHEX(LEFT(SHA2(n DIV 10, 256), 32))";
    let at = "'2026-01-01' + INTERVAL n SECOND";
    let fill = format!(
        "SET cte_max_recursion_depth = 20000; \
         INSERT INTO events SELECT n % 4, n DIV 4 + 1, 1, {key}, 'demo', n, {at}, 'x', NULL, NULL, NULL FROM {counted}; \
         INSERT INTO order_history SELECT {key}, n, n % 4, 1, n, {at}, 'x', NULL, NULL, NULL FROM {counted}; \
         INSERT INTO requests SELECT {key}, UNHEX(LEFT(SHA2(n, 256), 32)), 'web', REPEAT('x', 32), 'x', {at} FROM {counted}; \
         INSERT INTO decisions SELECT {key}, UNHEX(LEFT(SHA2(n, 256), 32)), 'web', 'demo', {at}, 1, TRUE, '[]', 0 FROM {counted}; \
         ANALYZE TABLE events, order_history, requests, decisions"
    );
    conn.batch_execute(&fill).await.unwrap();
}

/// The access of each table in a plan: its type and its index. Nothing is sorted.
async fn accesses(conn: &mut Conn, sql: &str) -> Vec<(String, String)> {
    #[derive(QueryableByName)]
    struct Step {
        #[diesel(sql_type = Nullable<Text>, column_name = "type")]
        access: Option<String>,
        #[diesel(sql_type = Nullable<Text>)]
        key: Option<String>,
        #[diesel(sql_type = Nullable<Text>, column_name = "Extra")]
        extra: Option<String>,
    }
    let steps: Vec<Step> = diesel::sql_query(format!("EXPLAIN FORMAT=TRADITIONAL {sql}"))
        .load(conn)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    let access = |step: Step| {
        let extra = step.extra.unwrap_or_default();
        assert!(
            !extra.contains("filesort") && !extra.contains("temporary"),
            "{sql}: {extra}"
        );
        let (access, key) = (
            step.access.unwrap_or_default(),
            step.key.unwrap_or_default(),
        );
        (access, key)
    };
    steps.into_iter().map(access).collect()
}

#[tokio::test]
async fn every_statement_of_a_batch_is_led_by_an_index() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    fill(&mut conn).await;
    let range = |index: &str| [("range".to_owned(), index.to_owned())];
    // A little of the table is old, then nearly all of it.
    for before in ["2026-01-01 00:01:00", "2026-01-01 05:00:00"] {
        for aged in [requests::AGED, decisions::AGED] {
            let Aged { index, .. } = aged;
            for sql in [aged.oldest_sql(500), aged.delete_sql(500)] {
                let sql = sql.replacen('?', "'1970-01-01'", 1);
                let sql = sql.replacen('?', &format!("'{before}'"), 1);
                assert_eq!(accesses(&mut conn, &sql).await, range(index), "{sql}");
            }
        }
    }
    for to in [100, 4_000] {
        let copy = order_history::COPY.replacen('?', "2", 1);
        let copy = copy.replacen('?', "0", 1).replacen('?', &to.to_string(), 1);
        let delete = format!(
            "DELETE FROM events WHERE shard_partition = 2 AND position > 0 AND position <= {to}"
        );
        for sql in [copy, delete] {
            let steps = accesses(&mut conn, &sql).await;
            assert!(steps.ends_with(&range("PRIMARY")), "{sql}: {steps:?}");
        }
    }
    let ages = "SELECT position, event_time, OCTET_LENGTH(payload) FROM events WHERE shard_partition = 2 \
        AND position > 100 ORDER BY position LIMIT 500";
    assert_eq!(accesses(&mut conn, ages).await, range("PRIMARY"));
}

struct Explain(events::History);

impl Query for Explain {
    type SqlType = Text;
}

impl QueryId for Explain {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for Explain {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("EXPLAIN FORMAT=TREE ");
        self.0.walk_ast(out)
    }
}

#[tokio::test]
async fn a_history_is_two_ranges_of_an_order() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    fill(&mut conn).await;
    let history = events::History {
        key: OrderKey([1; 16]),
        partition: 3,
        after: 7,
        limit: 51,
    };
    let plan: String = RunQueryDsl::get_result(Explain(history), &mut conn)
        .await
        .unwrap();
    for index in [
        "order_history using PRIMARY",
        "events using events_by_order",
    ] {
        assert!(plan.contains(index), "{plan}");
    }
    assert!(
        !plan.contains("Sort") && !plan.to_lowercase().contains("index scan"),
        "{plan}"
    );
}
