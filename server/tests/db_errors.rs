//! Each kind of error, provoked on the real server: their texts are all that tells them apart.

mod common;

use std::process::Command;
use std::time::Duration;

use belay_domain::ids::OrderKey;
use belay_server::db::orders::{self, OnLocked};
use belay_server::db::pool::PoolSettings;
use belay_server::db::{Conn, DbError, ErrorKind, Pool, pool, transaction};
use common::{TestDatabase, root};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use secrecy::SecretString;

async fn with_rows() -> TestDatabase {
    let database = TestDatabase::empty().await;
    let create =
        "CREATE TABLE t (id INT PRIMARY KEY, n INT NOT NULL); INSERT INTO t VALUES (1, 0), (2, 0)";
    database
        .connect()
        .await
        .batch_execute(create)
        .await
        .unwrap();
    database
}

async fn kind_of(conn: &mut Conn, sql: &str) -> ErrorKind {
    DbError::from(conn.batch_execute(sql).await.unwrap_err()).kind()
}

/// A transaction that holds row 1.
async fn holder(database: &TestDatabase) -> Conn {
    let mut conn = database.connect().await;
    transaction::begin_write(&mut conn).await.unwrap();
    conn.batch_execute("UPDATE t SET n = n + 1 WHERE id = 1")
        .await
        .unwrap();
    conn
}

#[tokio::test]
async fn a_deadlock_is_told_and_leaves_a_connection_that_can_go_on() {
    let database = with_rows().await;
    let (mut a, mut b) = (holder(&database).await, database.connect().await);
    transaction::begin_write(&mut b).await.unwrap();
    b.batch_execute("UPDATE t SET n = n + 1 WHERE id = 2")
        .await
        .unwrap();
    let (in_a, in_b) = tokio::join!(
        a.batch_execute("UPDATE t SET n = n + 1 WHERE id = 2"),
        b.batch_execute("UPDATE t SET n = n + 1 WHERE id = 1"),
    );
    let (victim, error) = if in_a.is_err() {
        (&mut a, in_a)
    } else {
        (&mut b, in_b)
    };
    assert_eq!(
        DbError::from(error.unwrap_err()).kind(),
        ErrorKind::Deadlock
    );
    transaction::rollback(victim).await.unwrap();
    transaction::begin_write(victim).await.unwrap();
    transaction::commit(victim).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_waited_for_too_long_is_told() {
    let database = with_rows().await;
    let (_holder, mut waiter) = (holder(&database).await, database.connect().await);
    waiter
        .batch_execute("SET SESSION innodb_lock_wait_timeout = 1")
        .await
        .unwrap();
    assert_eq!(
        kind_of(&mut waiter, "UPDATE t SET n = 5 WHERE id = 1").await,
        ErrorKind::LockWait
    );
}

#[tokio::test]
async fn a_locked_row_is_told_at_once() {
    let database = with_rows().await;
    let (_holder, mut other) = (holder(&database).await, database.connect().await);
    let kind = kind_of(&mut other, "SELECT n FROM t WHERE id = 1 FOR UPDATE NOWAIT").await;
    assert_eq!(kind, ErrorKind::RowLocked);
}

/// MariaDB answers NOWAIT so for every locked row; MySQL for a table that is locked.
#[tokio::test]
async fn a_lock_that_is_not_waited_for_is_locked_whatever_the_server_says() {
    let database = TestDatabase::migrated().await;
    let (mut holder, mut other) = (database.connect().await, database.connect().await);
    holder
        .batch_execute("LOCK TABLES orders WRITE")
        .await
        .unwrap();
    other
        .batch_execute("SET SESSION lock_wait_timeout = 1")
        .await
        .unwrap();
    let keys = [OrderKey([1; 16])];
    for (on_locked, kind) in [
        (OnLocked::Fail, ErrorKind::RowLocked),
        (OnLocked::Wait, ErrorKind::LockWait),
    ] {
        let error = orders::lock(&mut other, &keys, on_locked)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{on_locked:?}: {error}");
    }
}

#[tokio::test]
async fn a_second_row_with_the_same_key_is_told() {
    let database = with_rows().await;
    assert_eq!(
        kind_of(&mut database.connect().await, "INSERT INTO t VALUES (1, 1)").await,
        ErrorKind::Duplicate
    );
}

#[tokio::test]
async fn a_wrong_statement_is_nobody_elses_fault() {
    let database = with_rows().await;
    let mut conn = database.connect().await;
    for wrong in [
        "SELECT nothing FROM t",
        "INSERT INTO t VALUES (3, NULL)",
        "SELEKT",
        "INSERT INTO t VALUES (3, 1e99)",
    ] {
        assert_eq!(
            kind_of(&mut conn, wrong).await,
            ErrorKind::Statement,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_transaction_or_a_session_that_only_reads_is_told() {
    let database = with_rows().await;
    let mut conn = database.connect().await;
    transaction::begin_snapshot(&mut conn).await.unwrap();
    assert_eq!(
        kind_of(&mut conn, "UPDATE t SET n = 1").await,
        ErrorKind::ReadOnly
    );
    transaction::rollback(&mut conn).await.unwrap();
    // As with the global variable of this name, which every new session takes over.
    conn.batch_execute("SET SESSION TRANSACTION READ ONLY")
        .await
        .unwrap();
    for write in [
        "UPDATE t SET n = 1",
        "INSERT INTO t VALUES (9, 9)",
        "DELETE FROM t WHERE FALSE",
    ] {
        assert_eq!(
            kind_of(&mut conn, write).await,
            ErrorKind::ReadOnly,
            "{write}"
        );
    }
}

#[tokio::test]
async fn a_grant_that_is_missing_is_told() {
    let database = with_rows().await;
    let user = format!("reader_{:x}", fastrand::u32(..));
    let mut root = root().await;
    let create = format!(
        "CREATE USER {user}; GRANT SELECT (id), INSERT (id) ON {}.t TO {user}",
        database.name
    );
    root.batch_execute(&create).await.unwrap();
    let mut conn = pool::connect(&database.url_as(&user)).await.unwrap();
    for denied in [
        "UPDATE t SET n = 1",
        "DELETE FROM t",
        "INSERT INTO t (n) VALUES (1)",
        "SELECT n FROM t",
        "SELECT id FROM t FOR UPDATE",
        "CREATE TABLE u (id INT)",
        "SET GLOBAL max_connections = 1000",
        "USE mysql",
    ] {
        assert_eq!(
            kind_of(&mut conn, denied).await,
            ErrorKind::Denied,
            "{denied}"
        );
    }
    root.batch_execute(&format!("DROP USER {user}"))
        .await
        .unwrap();
}

#[derive(diesel::QueryableByName)]
struct Id {
    #[diesel(sql_type = diesel::sql_types::Unsigned<diesel::sql_types::BigInt>)]
    id: u64,
}

#[tokio::test]
async fn a_killed_connection_is_told_and_not_used_again() {
    let database = with_rows().await;
    let pool = database.pool(1);
    let mut conn = pool.checkout().await.unwrap();
    let Id { id } = diesel::sql_query("SELECT CONNECTION_ID() AS id")
        .get_result(&mut *conn)
        .await
        .unwrap();
    root()
        .await
        .batch_execute(&format!("KILL {id}"))
        .await
        .unwrap();
    let error = conn
        .batch_execute("DO 0")
        .await
        .map_err(DbError::from)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionLost, "{error}");
    conn.finish_with::<()>(Err(error)).unwrap_err();
    pool.checkout()
        .await
        .unwrap()
        .batch_execute("DO 0")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_statement_that_is_killed_is_told() {
    let database = with_rows().await;
    let mut conn = database.connect().await;
    let Id { id } = diesel::sql_query("SELECT CONNECTION_ID() AS id")
        .get_result(&mut conn)
        .await
        .unwrap();
    let kill = async {
        let mut root = root().await;
        let sleeping = format!(
            "SELECT id FROM performance_schema.processlist WHERE id = {id} AND state = 'User sleep'"
        );
        while diesel::sql_query(&sleeping)
            .load::<Id>(&mut root)
            .await
            .unwrap()
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
        root.batch_execute(&format!("KILL {id}")).await.unwrap();
    };
    let (kind, ()) = tokio::join!(
        kind_of(&mut conn, "SELECT COUNT(*) FROM t WHERE SLEEP(180) = 0"),
        kill
    );
    assert_eq!(kind, ErrorKind::ConnectionLost);
}

/// A server of its own: a read-only one waits for the transactions of all tests beside this one,
/// and they for it.
#[tokio::test]
async fn a_read_only_server_is_told() {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dev/mysql.sh");
    let folder = std::env::temp_dir().join(format!("belay_read_only_{:x}", fastrand::u32(..)));
    let mysql = |arguments: &[&str]| {
        let output = Command::new(SCRIPT)
            .args(arguments)
            .env("BELAY_MYSQL_BUFFER_POOL", "32M")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let folder_name = folder.to_str().unwrap();
    let url = mysql(&["start", folder_name, "--", "--super-read-only=ON"]);
    let mut conn = pool::connect(&SecretString::from(url)).await.unwrap();
    let kind = kind_of(&mut conn, "CREATE DATABASE d").await;
    mysql(&["stop", folder_name]);
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(kind, ErrorKind::ReadOnly);
}

#[tokio::test]
async fn too_many_connections_are_told() {
    let database = with_rows().await;
    let user = format!("single_{:x}", fastrand::u32(..));
    let mut root = root().await;
    let create = format!(
        "CREATE USER {user} WITH MAX_USER_CONNECTIONS 1; GRANT ALL ON {}.* TO {user}",
        database.name
    );
    root.batch_execute(&create).await.unwrap();
    let _first = pool::connect(&database.url_as(&user)).await.unwrap();
    let second = pool::connect(&database.url_as(&user))
        .await
        .map(drop)
        .unwrap_err();
    root.batch_execute(&format!("DROP USER {user}"))
        .await
        .unwrap();
    assert_eq!(second.kind(), ErrorKind::TooManyConnections, "{second}");
}

#[tokio::test]
async fn a_full_table_is_told() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connect().await;
    // A table in memory has the smallest room to be had: 16 KiB.
    let create = "SET SESSION max_heap_table_size = 16384; CREATE TABLE t (a CHAR(255) NOT NULL) ENGINE = MEMORY";
    conn.batch_execute(create).await.unwrap();
    let error = loop {
        if let Err(error) = conn
            .batch_execute("INSERT INTO t VALUES (REPEAT('x', 255))")
            .await
        {
            break DbError::from(error);
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_without_the_password() {
    let url = SecretString::from("mysql://root:hunter2@127.0.0.1:1/x");
    let settings = PoolSettings {
        create_max: Duration::from_secs(1),
        ..PoolSettings::default()
    };
    let error = Pool::new(&url, settings)
        .unwrap()
        .checkout()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
