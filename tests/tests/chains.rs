//! `belay verify`: what was done to the rows of the feed behind Belay's back is found where it was
//! done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use belay_client::RequestId;
use belay_domain::chain::Break;
use belay_server::db::{pool, settings};
use belay_server::grants::GrantSet;
use belay_server::identity_keys::IdentityKeys;
use belay_server::retention::Kind;
use belay_server::verify::{Anchor, Report, verify};
use belay_tests::database::Database;
use belay_tests::instance::Service;
use belay_tests::process::built;
use belay_tests::stock::projected;
use belay_tests::{TestServer, run, run_at};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};

async fn look_as(database: &Database, url: &SecretString) -> Report {
    let mut conn = pool::connect(url).await.expect("MySQL answers");
    let key = settings::read(&mut pool::connect(&database.url()).await.unwrap())
        .await
        .expect("the settings")
        .identity
        .key
        .expect("a key");
    let keys = IdentityKeys::of_database(key).chain_keys();
    verify(&mut conn, &keys, &Anchor::default())
        .await
        .expect("it can be followed")
}

/// By an account that may read, and only what is needed.
async fn look(database: &Database) -> Report {
    let url = database.url_of(&[GrantSet::Verify]).await;
    look_as(database, &url).await
}

/// The rows and heads as they are, to be put back.
async fn save(database: &Database) {
    for table in ["events", "order_history", "partition_heads"] {
        let copy = format!("CREATE TABLE saved_{table} AS SELECT * FROM {table}");
        database.execute(&copy, ()).await;
    }
}

async fn put_back(database: &Database) {
    for table in ["events", "order_history", "partition_heads"] {
        database.execute(&format!("DELETE FROM {table}"), ()).await;
        let back = format!("INSERT INTO {table} SELECT * FROM saved_{table}");
        database.execute(&back, ()).await;
    }
}

async fn drop_saved(database: &Database) {
    for table in ["events", "order_history", "partition_heads"] {
        database
            .execute(&format!("DROP TABLE saved_{table}"), ())
            .await;
    }
}

/// The rows of an order's partition: where each ends.
async fn positions(database: &Database) -> (u16, Vec<u64>) {
    let rows: Vec<(u16, u64)> = database
        .rows(
            "SELECT shard_partition, position FROM events UNION \
             SELECT shard_partition, position FROM order_history ORDER BY position",
            (),
        )
        .await;
    let partition = rows[0].0;
    assert!(rows.iter().all(|row| row.0 == partition), "one order");
    (partition, rows.into_iter().map(|row| row.1).collect())
}

/// What somebody with all rights does to rows of one table, and where it is found. `@p` is the
/// partition; `@a`, `@b`, `@c` and `@z` are where its first three rows and its last one end.
fn tampering(table: &str, rows: &[u64]) -> Vec<(String, Break)> {
    let [a, b, c, ..] = *rows else {
        panic!("too few rows: {rows:?}")
    };
    let changed = |position| Break::Changed { position };
    let of = |sql: &str| sql.replace("events", table);
    vec![
        (
            of(
                "UPDATE events SET payload = CONCAT(LEFT(payload, LENGTH(payload) - 1), \
                CHAR(ORD(RIGHT(payload, 1)) ^ 1)) WHERE position = @b",
            ),
            changed(b),
        ),
        (
            of("UPDATE events SET event_time = event_time + INTERVAL 1 SECOND WHERE position = @b"),
            changed(b),
        ),
        (
            of("UPDATE events SET order_version = order_version + 1 WHERE position = @a"),
            changed(a),
        ),
        (
            of("UPDATE events SET chain = NULL WHERE position = @b"),
            changed(c),
        ),
        (
            of(
                "UPDATE events SET erased_digest = REPEAT('x', 32), erased_seal = REPEAT('y', 32) WHERE position = @b",
            ),
            Break::Erasure { position: b },
        ),
        (
            of("DELETE FROM events WHERE position = @b"),
            Break::Missing { from: a + 1, to: b },
        ),
        (
            of(
                "UPDATE events e JOIN saved_events s ON s.position = CASE e.position WHEN @a THEN @b ELSE @a END \
                SET e.payload = s.payload, e.order_version = s.order_version, e.event_time = s.event_time, \
                e.chain = s.chain WHERE e.position IN (@a, @b)",
            ),
            changed(a),
        ),
    ]
}

/// Does it, and says what is found.
async fn tamper(
    database: &Database,
    sql: &str,
    (partition, rows): (u16, &[u64]),
) -> Vec<(u16, Break)> {
    let last = *rows.last().expect("rows");
    let names = [
        ("@p", u64::from(partition)),
        ("@a", rows[0]),
        ("@b", rows[1]),
        ("@c", rows[2]),
        ("@y", rows[rows.len() - 2]),
        ("@z", last),
    ];
    for sql in sql.split("; ") {
        let sql = names.iter().fold(sql.to_owned(), |sql, (name, value)| {
            sql.replace(name, &value.to_string())
        });
        assert!(database.execute(&sql, ()).await > 0, "{sql}");
    }
    let found = look(database).await.broken;
    put_back(database).await;
    assert!(look(database).await.is_whole());
    found
}

async fn some_history(t: &TestServer) {
    t.place_paid("A-1").await;
    t.cancel("A-1").await;
    t.claim("worker-1").await;
}

#[test]
fn what_is_done_to_rows_of_the_feed_is_found_where_it_was_done() {
    run(async |t| {
        some_history(t).await;
        let (partition, rows) = positions(&t.database).await;
        let report = look(&t.database).await;
        assert!(report.is_whole() && report.unmarked == 0, "{report:?}");
        assert_eq!(report.chained, u64::try_from(rows.len()).unwrap());
        save(&t.database).await;
        for (sql, expected) in tampering("events", &rows) {
            let found = tamper(&t.database, &sql, (partition, &rows)).await;
            assert_eq!(found, [(partition, expected)], "{sql}");
        }
        drop_saved(&t.database).await;
    });
}

#[test]
fn a_tail_that_is_cut_off_and_rows_that_are_put_in_are_found() {
    run(async |t| {
        some_history(t).await;
        let (partition, rows) = positions(&t.database).await;
        let (last, before) = (rows[rows.len() - 1], rows[rows.len() - 2]);
        save(&t.database).await;
        let head = Break::Head { position: before };
        for (sql, expected) in [
            (
                "DELETE FROM events WHERE position = @z",
                Break::Missing {
                    from: before + 1,
                    to: last,
                },
            ),
            (
                "DELETE FROM events WHERE position = @z; UPDATE partition_heads SET head = @y WHERE shard_partition = @p",
                head,
            ),
            (
                "DELETE FROM events WHERE position = @z; UPDATE partition_heads SET head = @y, \
                 chain = (SELECT chain FROM events WHERE position = @y) WHERE shard_partition = @p",
                head,
            ),
            (
                "INSERT INTO events SELECT shard_partition, position + event_count, event_count, order_key, store_id, \
                 order_version, event_time, payload, chain, erased_digest, erased_seal FROM saved_events WHERE position = @z; \
                 UPDATE partition_heads SET head = head + (SELECT event_count FROM saved_events WHERE position = @z) \
                 WHERE shard_partition = @p",
                Break::Changed {
                    position: last + (last - before),
                },
            ),
            (
                "INSERT INTO events SELECT shard_partition, position + event_count, event_count, order_key, store_id, \
                 order_version, event_time, payload, NULL, NULL, NULL FROM saved_events WHERE position = @z; \
                 UPDATE partition_heads SET head = head + (SELECT event_count FROM saved_events WHERE position = @z) \
                 WHERE shard_partition = @p",
                Break::Unmarked { position: last },
            ),
            (
                "INSERT INTO order_history SELECT order_key, position, shard_partition, event_count, order_version, \
                 event_time, payload, chain, erased_digest, erased_seal FROM events WHERE position = @b",
                Break::Added { position: rows[1] },
            ),
        ] {
            let found = tamper(&t.database, sql, (partition, &rows)).await;
            assert_eq!(found, [(partition, expected)], "{sql}");
        }
        let astray = "INSERT INTO events SELECT 60000, position, event_count, order_key, store_id, order_version, \
            event_time, payload, chain, NULL, NULL FROM saved_events";
        t.database.execute(astray, ()).await;
        let report = look(&t.database).await;
        assert_eq!(
            (report.astray, report.broken),
            (u64::try_from(rows.len()).unwrap(), vec![])
        );
        put_back(&t.database).await;
        drop_saved(&t.database).await;
    });
}

#[test]
fn what_left_the_feed_for_the_histories_is_followed_as_well() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        some_history(t).await;
        let (partition, rows) = positions(&t.database).await;
        let pruning = t.database.pruning_url().await;
        let service = Service::start(pruning, |settings| settings.manual_clock = true).await;
        t.advance(SignedDuration::from_hours(24)).await;
        projected(&t.database).await;
        let hour = Duration::from_secs(3_600);
        service.inside().prune(Kind::Events, hour).await;
        service.stop().await;
        let (kept,): (u64,) = t
            .database
            .row("SELECT COUNT(*) FROM order_history", ())
            .await;
        assert_eq!(
            kept,
            u64::try_from(rows.len()).unwrap(),
            "all of them are old"
        );
        // The chain goes on behind them.
        t.place("A-1-again").await;
        let report = look(&t.database).await;
        assert!(report.is_whole() && report.unmarked == 0, "{report:?}");
        assert!(report.chained > kept);
        save(&t.database).await;
        for (sql, expected) in tampering("order_history", &rows) {
            let found = tamper(&t.database, &sql, (partition, &rows)).await;
            assert_eq!(found, [(partition, expected)], "{sql}");
        }
        drop_saved(&t.database).await;
    });
}

struct AnchorFile(PathBuf);

impl AnchorFile {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("belay-anchor-{}", RequestId::mint())))
    }
}

impl Drop for AnchorFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Its exit code, and what it prints.
async fn belay_verify(url: &SecretString, anchor: &Path) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(built("belay"))
        .args(["verify", "--anchor"])
        .arg(anchor)
        .env_clear()
        .env("BELAY_DATABASE_URL", url.expose_secret())
        .output()
        .await
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), said)
}

#[test]
fn an_anchor_finds_a_chain_that_was_written_anew() {
    run(async |t| {
        some_history(t).await;
        let (anchor, url) = (
            AnchorFile::new(),
            t.database.url_of(&[GrantSet::Verify]).await,
        );
        let (code, said) = belay_verify(&url, &anchor.0).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("rows are whole"), "{said}");
        assert!(said.contains("the key is in the database"), "{said}");
        t.place("A-2").await;
        save(&t.database).await;
        assert_eq!(belay_verify(&url, &anchor.0).await.0, Some(0));

        // Who takes all rows and the heads back to the beginning leaves nothing that contradicts
        // itself.
        t.database.execute("DELETE FROM events", ()).await;
        let heads = "UPDATE partition_heads SET head = 0, chain = NULL";
        t.database.execute(heads, ()).await;
        assert!(look(&t.database).await.is_whole());
        let kept = std::fs::read(&anchor.0).expect("the anchor");
        let (code, said) = belay_verify(&url, &anchor.0).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("the anchor was made of"), "{said}");
        assert_eq!(std::fs::read(&anchor.0).expect("the anchor"), kept);
        put_back(&t.database).await;
        drop_saved(&t.database).await;

        std::fs::write(&anchor.0, "{}").expect("it can be written");
        assert_eq!(belay_verify(&url, &anchor.0).await.0, Some(2));
        let nobody = SecretString::from("mysql://nobody@127.0.0.1:1/none");
        assert_eq!(belay_verify(&nobody, &anchor.0).await.0, Some(2));
    });
}
