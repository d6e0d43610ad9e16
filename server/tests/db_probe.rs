//! What health follows: an account that lacks any grant that serving needs is found, and one that
//! has just those is not.

mod common;

use belay_server::db::{ErrorKind, pool, probe};
use common::{TestDatabase, root};
use diesel_async::SimpleAsyncConnection;

/// The tables whose rows nobody changes: history, answers and documents.
const APPEND_ONLY: &[&str] = &["events", "decisions", "requests", "policies"];
/// The tables to which a server adds rows.
const INSERTED: &[&str] = &[
    "orders",
    "order_lines",
    "payments",
    "shipments",
    "cancellations",
    "cancellation_parts",
    "gates",
    "refunds",
    "incidents",
    "decisions",
    "requests",
    "events",
    "stores",
    "policies",
    "policy_activations",
    "carriers",
    "warehouses",
];

/// Every grant on one table that serving needs.
fn grants() -> Vec<(&'static str, &'static str)> {
    let inserts = INSERTED.iter().map(|table| ("INSERT", *table));
    let updates = INSERTED
        .iter()
        .filter(|table| !APPEND_ONLY.contains(table))
        .map(|table| ("UPDATE", *table));
    inserts
        .chain(updates)
        .chain([
            ("UPDATE", "partition_heads"),
            ("DELETE", "policy_activations"),
        ])
        .collect()
}

#[tokio::test]
async fn each_grant_that_serving_needs_is_missed() {
    let database = TestDatabase::migrated().await;
    let (mut root, user) = (root().await, format!("prober_{:x}", fastrand::u32(..)));
    let on = |verb: &str, table: &str, to: &str| {
        format!("{verb} ON {}.{table} {to} {user}", database.name)
    };
    root.batch_execute(&format!(
        "CREATE USER {user}; {}",
        on("GRANT SELECT", "*", "TO")
    ))
    .await
    .unwrap();
    let grants = grants();
    for (verb, table) in &grants {
        root.batch_execute(&on(&format!("GRANT {verb}"), table, "TO"))
            .await
            .unwrap();
    }
    // Grants on tables count from the next statement on.
    let mut conn = pool::connect(&database.url_as(&user)).await.unwrap();
    probe::check_writable(&mut conn).await.unwrap();
    for (verb, table) in &grants {
        root.batch_execute(&on(&format!("REVOKE {verb}"), table, "FROM"))
            .await
            .unwrap();
        let missed = probe::check_writable(&mut conn).await.unwrap_err();
        assert_eq!(missed.kind(), ErrorKind::Denied, "{verb} {table}: {missed}");
        assert!(
            missed.to_string().contains(table),
            "{verb} {table}: {missed}"
        );
        root.batch_execute(&on(&format!("GRANT {verb}"), table, "TO"))
            .await
            .unwrap();
    }
    probe::check_writable(&mut conn).await.unwrap();
    root.batch_execute(&format!("DROP USER {user}"))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_look_writes_and_locks_nothing() {
    let database = TestDatabase::migrated().await;
    let (mut a, mut b) = (database.connect().await, database.connect().await);
    a.batch_execute("BEGIN; SELECT * FROM partition_heads FOR UPDATE")
        .await
        .unwrap();
    b.batch_execute("SET SESSION innodb_lock_wait_timeout = 1")
        .await
        .unwrap();
    probe::check_writable(&mut b).await.unwrap();
    a.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn the_durability_is_the_servers_own() {
    #[derive(diesel::QueryableByName)]
    struct Variable {
        #[diesel(sql_type = diesel::sql_types::Text, column_name = "Value")]
        value: String,
    }
    let database = TestDatabase::empty().await;
    let mut conn = database.connect().await;
    let read = probe::durability(&mut conn).await.unwrap();
    for (name, read) in [
        ("innodb_flush_log_at_trx_commit", read.flush_log),
        ("sync_binlog", read.sync_binlog),
    ] {
        let query = diesel::sql_query(format!("SHOW GLOBAL VARIABLES LIKE '{name}'"));
        let shown: Variable = diesel_async::RunQueryDsl::get_result(query, &mut conn)
            .await
            .unwrap();
        assert_eq!(shown.value, read.to_string(), "{name}");
    }
}
