//! A cancelled read must not hand its rows to the next user of the connection.

mod common;

use std::time::Duration;

use belay_server::db::pool::PoolSettings;
use belay_server::db::transaction::{self, Transaction};
use belay_server::db::{Conn, ErrorKind, Pool};
use common::{HANG, TestDatabase};
use diesel::prelude::*;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod, deadpool,
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use secrecy::ExposeSecret;

diesel::table! { people (id) { id -> BigInt, name -> Text, } }

#[diesel::declare_sql_function]
extern "SQL" {
    #[sql_name = "GET_LOCK"]
    fn get_lock(
        name: diesel::sql_types::Text,
        seconds: diesel::sql_types::Integer,
    ) -> diesel::sql_types::Integer;
}

async fn with_people() -> TestDatabase {
    let database = TestDatabase::empty().await;
    let mut conn = database.connect().await;
    let create = "CREATE TABLE people (id BIGINT PRIMARY KEY, name VARCHAR(20) NOT NULL);
        INSERT INTO people VALUES (1, 'alice'), (2, 'bob')";
    conn.batch_execute(create).await.unwrap();
    database
}

/// Reads once it has the lock of this name.
async fn person(conn: &mut Conn, id: i64, lock: &str) -> QueryResult<(i64, String)> {
    let wait_s = i32::try_from(HANG.as_secs()).unwrap();
    let query = people::table
        .filter(people::id.eq(id))
        .filter(get_lock(lock, wait_s).eq(1));
    query.select((people::id, people::name)).first(conn).await
}

/// Locks that a test has to itself: one that is held, and one that nobody else takes.
struct Locks {
    holder: Conn,
    held: String,
    free: String,
}

impl Locks {
    async fn of(database: &TestDatabase) -> Self {
        // Names of its own: a session that was given up may have its lock for a while yet. 64
        // characters at most.
        let name = format!("{}_{:08x}", database.name, fastrand::u32(..));
        let (held, free) = (format!("{name}_held"), format!("{name}_free"));
        let mut holder = database.connect().await;
        holder
            .batch_execute(&format!("DO GET_LOCK('{held}', 0)"))
            .await
            .unwrap();
        Self { holder, held, free }
    }

    /// Waits until somebody waits for the lock that is held.
    async fn until_wanted(&mut self) {
        #[derive(QueryableByName)]
        struct Waiting {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            waiting: i64,
        }
        let query = format!(
            "SELECT COUNT(*) AS waiting FROM performance_schema.metadata_locks \
             WHERE object_type = 'USER LEVEL LOCK' AND object_name = '{}' AND lock_status = 'PENDING'",
            self.held
        );
        while diesel::sql_query(&query)
            .get_result::<Waiting>(&mut self.holder)
            .await
            .unwrap()
            .waiting
            == 0
        {
            tokio::task::yield_now().await;
        }
    }

    async fn release(&mut self) {
        self.holder
            .batch_execute(&format!("DO RELEASE_LOCK('{}')", self.held))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_cancelled_read_never_answers_the_next_caller() {
    let database = with_people().await;
    let pool = database.pool(1);
    let mut right = 0;
    for _ in 0..10 {
        let mut locks = Locks::of(&database).await;
        let (held, free) = (locks.held.clone(), locks.free.clone());
        let cancelled = async {
            let mut conn = pool.checkout().await.unwrap();
            person(&mut conn, 1, &free).await.unwrap();
            // From now on the statement is prepared, as on any warm connection.
            conn.batch_execute("DO RELEASE_ALL_LOCKS()").await.unwrap();
            person(&mut conn, 1, &held).await.unwrap();
            conn.finish();
        };
        tokio::select! {
            () = cancelled => panic!("it was to be cancelled"),
            () = locks.until_wanted() => {}
        }
        locks.release().await;
        let mut conn = pool.checkout().await.unwrap();
        right += usize::from(person(&mut conn, 2, &free).await.unwrap() == (2, "bob".to_owned()));
        conn.batch_execute("DO RELEASE_ALL_LOCKS()").await.unwrap();
        conn.finish();
    }
    assert_eq!(right, 10);
}

/// Without the guard the fault is there. If this test ever fails, the guard may no longer be
/// needed.
#[tokio::test]
async fn without_the_guard_the_next_caller_gets_the_rows_of_the_cancelled_one() {
    let database = with_people().await;
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let manager =
        AsyncDieselConnectionManager::<Conn>::new_with_config(database.url.expose_secret(), config);
    let pool = deadpool::Pool::builder(manager)
        .max_size(1)
        .build()
        .unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the unguarded pool is what is tested"
    )]
    let unguarded = async || pool.get().await.unwrap();
    let mut locks = Locks::of(&database).await;
    let (held, free) = (locks.held.clone(), locks.free.clone());
    let mut conn = unguarded().await;
    person(&mut conn, 1, &free).await.unwrap();
    drop(conn);

    let cancelled = async { person(&mut *unguarded().await, 1, &held).await };
    tokio::select! {
        found = cancelled => panic!("it was to be cancelled: {found:?}"),
        () = locks.until_wanted() => {}
    }
    locks.release().await;
    // This connection has the free lock already.
    let asked_for_bob = person(&mut *unguarded().await, 2, &free).await.unwrap();
    assert_eq!(asked_for_bob, (1, "alice".to_owned()));
}

#[tokio::test]
async fn an_open_transaction_does_not_return_to_the_pool() {
    let database = with_people().await;
    let pool = database.pool(1);
    let mut conn = pool.checkout().await.unwrap();
    transaction::begin_write(&mut conn).await.unwrap();
    conn.batch_execute("UPDATE people SET name = 'eve' WHERE id = 2")
        .await
        .unwrap();
    conn.finish();
    assert_eq!(pool.status().idle, 0);
    let mut conn = pool.checkout().await.unwrap();
    assert_eq!(person(&mut conn, 2, &database.name).await.unwrap().1, "bob");
    conn.finish();
    assert_eq!((pool.status().used, pool.status().idle), (0, 1));
}

#[tokio::test]
async fn who_waits_too_long_for_a_connection_is_told() {
    let database = TestDatabase::empty().await;
    let settings = PoolSettings {
        size: 1,
        wait_max: Duration::from_millis(20),
        ..PoolSettings::default()
    };
    let pool = Pool::new(&database.url, settings).unwrap();
    pool.warm().await.unwrap();
    let held = pool.checkout().await.unwrap();
    assert_eq!(
        pool.checkout().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    held.finish();
    pool.checkout().await.unwrap().finish();
}

#[tokio::test]
async fn a_session_is_set_up_whole() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connect().await;
    let query = "SELECT CONCAT_WS(' ', @@transaction_isolation, @@innodb_lock_wait_timeout, @@time_zone, @@lc_messages, \
        @@sql_mode LIKE '%STRICT_TRANS_TABLES%', @@character_set_connection) AS text";
    let session: Session = diesel::sql_query(query)
        .get_result(&mut conn)
        .await
        .unwrap();
    assert_eq!(session.text, "READ-COMMITTED 2 +00:00 en_US 1 utf8mb4");

    // What runs alone may be still for long; of a pool's connections none is.
    let waits = "SELECT CONCAT_WS(' ', @@wait_timeout, @@GLOBAL.wait_timeout, @@innodb_lock_wait_timeout) AS text";
    let alone: Session = diesel::sql_query(waits)
        .get_result(&mut conn)
        .await
        .unwrap();
    assert_eq!(alone.text, "28800 28800 2");
    let pool = Pool::new(&database.url, PoolSettings::default()).unwrap();
    let mut pooled = pool.checkout().await.unwrap();
    let of_pool: Session = diesel::sql_query(waits)
        .get_result(&mut pooled)
        .await
        .unwrap();
    assert_eq!(of_pool.text, "30 28800 2");
    pooled.finish();
}

/// A server that is frozen or gone without a word keeps nothing locked, and finds out.
#[tokio::test]
async fn a_transaction_that_says_nothing_is_rolled_back_by_the_database() {
    let database = TestDatabase::empty().await;
    let mut other = database.connect().await;
    other
        .batch_execute(
            "CREATE TABLE heads (id INT PRIMARY KEY, head INT); INSERT INTO heads VALUES (1, 0)",
        )
        .await
        .unwrap();
    let settings = PoolSettings {
        statement_wait_max: Duration::from_secs(1),
        ..PoolSettings::default()
    };
    let pool = Pool::new(&database.url, settings).unwrap();
    let mut frozen = Transaction::begin(&pool).await.unwrap();
    let lock = "UPDATE heads SET head = head + 1 WHERE id = 1";
    frozen.batch_execute(lock).await.unwrap();
    // A statement waits for a lock for two seconds, and the tries have an end.
    let mut tries = 0;
    while let Err(error) = other.batch_execute(lock).await {
        tries += 1;
        assert!(tries < 60, "it is locked for ever: {error}");
    }
    let ended = frozen.end(Ok(())).await.unwrap_err();
    assert!(ended.kind().ends_connection(), "{ended}");
    let head: Session = diesel::sql_query("SELECT CAST(head AS CHAR) AS text FROM heads")
        .get_result(&mut other)
        .await
        .unwrap();
    assert_eq!(head.text, "1", "what the frozen one wrote is rolled back");
}

#[derive(QueryableByName, Debug, PartialEq)]
struct Session {
    #[diesel(sql_type = diesel::sql_types::Text)]
    text: String,
}
