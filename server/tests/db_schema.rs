//! The tables are what the code takes them to be, and only such a database is served.

mod common;

use std::collections::BTreeMap;

use belay_domain::ids::Spread;
use belay_domain::period;
use belay_server::db::migrate::{self, MigrateError, SchemaError};
use belay_server::db::settings;
use common::TestDatabase;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use jiff::SignedDuration;

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    column_type: String,
    #[diesel(sql_type = Text)]
    is_nullable: String,
    #[diesel(sql_type = Text)]
    column_key: String,
}

const COLUMNS: &str = "SELECT table_name AS table_name, column_name AS column_name, \
    CAST(column_type AS CHAR) AS column_type, is_nullable AS is_nullable, CAST(column_key AS CHAR) AS column_key \
    FROM information_schema.columns WHERE table_schema = DATABASE() \
    AND table_name NOT IN ('migration_lock', '__diesel_schema_migrations') AND table_name NOT LIKE 'report\\_%' ORDER BY table_name, ordinal_position";

/// What diesel calls the type of a column.
fn diesel_type(column: &Column) -> String {
    let name = match column.column_type.as_str() {
        "tinyint(1)" => "Bool",
        unsigned if unsigned.ends_with(" unsigned") => match unsigned.split([' ', '(']).next() {
            Some("tinyint") => "Unsigned<TinyInt>",
            Some("smallint") => "Unsigned<SmallInt>",
            Some("int") => "Unsigned<Integer>",
            Some("bigint") => "Unsigned<BigInt>",
            other => panic!("{other:?}"),
        },
        bigint if bigint.starts_with("bigint") => "BigInt",
        "datetime(6)" => "Datetime",
        binary if binary.starts_with("binary(") || binary.ends_with("blob") => "Binary",
        text if text.starts_with("varchar(") || text.ends_with("text") => "Text",
        other => panic!("{}.{} is a {other}", column.table_name, column.column_name),
    };
    if column.is_nullable == "YES" {
        format!("Nullable<{name}>")
    } else {
        name.to_owned()
    }
}

#[tokio::test]
async fn schema_rs_describes_the_migrated_tables() {
    let database = TestDatabase::migrated().await;
    let columns: Vec<Column> = diesel::sql_query(COLUMNS)
        .load(&mut database.connect().await)
        .await
        .unwrap();
    let mut tables: BTreeMap<&str, Vec<&Column>> = BTreeMap::new();
    columns
        .iter()
        .for_each(|column| tables.entry(&column.table_name).or_default().push(column));

    let described = include_str!("../src/db/schema.rs");
    for (table, columns) in &tables {
        let keys = columns
            .iter()
            .filter(|column| column.column_key == "PRI")
            .map(|column| column.column_name.as_str());
        let keys = keys.collect::<Vec<_>>().join(", ");
        let lines = columns.iter().map(|column| {
            format!(
                "        {} -> {},\n",
                column.column_name,
                diesel_type(column)
            )
        });
        let block = format!(
            "diesel::table! {{\n    {table} ({keys}) {{\n{}    }}\n}}\n",
            lines.collect::<String>()
        );
        assert!(
            described.contains(&block),
            "server/src/db/schema.rs lacks:\n{block}"
        );
    }
    assert_eq!(
        described.matches("diesel::table!").count(),
        tables.len(),
        "schema.rs has a table that the database lacks"
    );
}

/// An INSERT leaves out what is NULL in all of its rows.
#[tokio::test]
async fn what_may_be_null_is_null_by_default() {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let database = TestDatabase::migrated().await;
    let others: Vec<Found> = diesel::sql_query(
        "SELECT CONCAT(table_name, '.', column_name, ' ', column_default) AS name FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND is_nullable = 'YES' AND column_default <> 'NULL'",
    )
    .load(&mut database.connect().await)
    .await
    .unwrap();
    let others: Vec<String> = others.into_iter().map(|found| found.name).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn a_second_migration_finds_nothing_to_do_and_keeps_the_settings() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    let first = settings::read(&mut conn).await.unwrap();
    assert_eq!(first.partitions, settings::PARTITIONS_DEFAULT);
    assert!(first.identity.key.is_some_and(|key| key != [0; 32]));
    assert!(!format!("{first:?}").contains("identity"), "it is a secret");
    assert_eq!(migrate::run(&database.url).await.unwrap(), [""; 0]);
    assert_eq!(settings::read(&mut conn).await.unwrap(), first);
}

/// Their orders are in the partitions that they were put into.
#[tokio::test]
async fn a_database_keeps_the_partitions_that_it_was_created_with() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    conn.batch_execute("UPDATE settings SET value = '64' WHERE name = 'partitions'")
        .await
        .unwrap();
    migrate::run(&database.url).await.unwrap();
    let partitions = settings::read(&mut conn).await.unwrap().partitions;
    assert_eq!(partitions.spread, Spread::Remainder);
    assert_eq!(partitions.count, settings::PARTITIONS_DEFAULT.count);

    conn.batch_execute("UPDATE settings SET value = '64 rings' WHERE name = 'partitions'")
        .await
        .unwrap();
    let refused = settings::read(&mut conn).await.unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("setting partitions is malformed"),
        "{refused}"
    );
}

#[tokio::test]
async fn two_migrations_at_the_same_time_run_one_after_the_other() {
    let database = TestDatabase::empty().await;
    let (a, b) = tokio::join!(migrate::run(&database.url), migrate::run(&database.url));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a.is_empty() != b.is_empty(), "{a:?} {b:?}");
    migrate::check(&mut database.connect().await).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_of_this_release_is_refused() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connect().await;
    let missing = migrate::check(&mut conn).await.unwrap_err();
    assert!(
        matches!(&missing, SchemaError::Mismatch { missing, .. } if missing[0] == "0001_create_orders"),
        "{missing}"
    );

    migrate::run(&database.url).await.unwrap();
    migrate::check(&mut conn).await.unwrap();
    conn.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')")
        .await
        .unwrap();
    let unknown = migrate::check(&mut conn).await.unwrap_err();
    assert!(
        matches!(&unknown, SchemaError::Mismatch { unknown, .. } if unknown == &["9999"]),
        "{unknown}"
    );
}

#[tokio::test]
async fn a_newer_schema_is_left_as_it_is() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    // Newer, and at the same time without one that this release has.
    let change = "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999'); \
        DELETE FROM __diesel_schema_migrations WHERE version = '0001'";
    conn.batch_execute(change).await.unwrap();
    for _ in 0..2 {
        let newer = migrate::run(&database.url).await.unwrap_err();
        assert!(
            matches!(&newer, MigrateError::Newer { unknown } if unknown == &["9999"]),
            "{newer}"
        );
        assert!(
            newer.to_string().contains("newer than this release"),
            "{newer}"
        );
    }
    let still = migrate::check(&mut conn).await.unwrap_err();
    assert!(
        matches!(&still, SchemaError::Mismatch { missing, .. } if missing == &["0001_create_orders"]),
        "{still}"
    );
}

/// The folders of the migrations, in the order in which they run.
fn folders() -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let mut folders: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort_unstable();
    folders
}

#[tokio::test]
async fn a_migration_that_was_cut_off_before_its_record_runs_again() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    for folder in folders() {
        // Whatever follows has not run yet when a migration is cut off; this one needs a column
        // that is dropped then.
        let name = folder.file_name().unwrap().to_str().unwrap();
        let (version, what) = name.split_once('_').unwrap();
        if what != "copy_waits_of_gates" {
            let forget =
                format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'");
            conn.batch_execute(&forget).await.unwrap();
            assert_eq!(migrate::run(&database.url).await.unwrap(), [version]);
            migrate::check(&mut conn).await.unwrap();
        }
    }
}

#[derive(QueryableByName)]
struct Wait {
    #[diesel(sql_type = diesel::sql_types::Nullable<Text>)]
    respond_within: Option<String>,
}

#[tokio::test]
async fn a_gate_keeps_its_wait_when_its_column_changes() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connect().await;
    for folder in folders() {
        let name = folder.file_name().unwrap().to_str().unwrap();
        if name == "0028_copy_waits_of_gates" {
            let insert = "INSERT INTO gates (order_key, cancellation_number, part_number, gate_number, kind, state, \
                respond_within_micros, on_timeout, on_dispatch, on_lost) VALUES ('k', 1, 1, ";
            let rest = "'PASS', 'BAR', 'PASS')";
            for (number, micros) in [(1, "172800000001"), (2, "NULL")] {
                let insert =
                    format!("{insert}{number}, 'SELLER_CONSENT', 'OPEN', {micros}, {rest}");
                conn.batch_execute(&insert).await.unwrap();
            }
        }
        conn.batch_execute(&std::fs::read_to_string(folder.join("up.sql")).unwrap())
            .await
            .unwrap();
    }
    let waits = diesel::sql_query("SELECT respond_within FROM gates ORDER BY gate_number");
    let waits: Vec<Wait> = waits.load(&mut conn).await.unwrap();
    let waits: Vec<Option<period::Period>> = waits
        .iter()
        .map(|row| {
            row.respond_within
                .as_ref()
                .map(|json| serde_json::from_str(json).unwrap())
        })
        .collect();
    assert_eq!(
        waits,
        [
            Some(period::Period::Time(SignedDuration::from_micros(
                172_800_000_001
            ))),
            None
        ]
    );
}

#[tokio::test]
async fn every_migration_can_be_undone() {
    let database = TestDatabase::migrated().await;
    let mut conn = database.connect().await;
    for entry in folders().iter().rev() {
        conn.batch_execute(&std::fs::read_to_string(entry.join("down.sql")).unwrap())
            .await
            .unwrap();
    }
    let left: Vec<Column> = diesel::sql_query(COLUMNS).load(&mut conn).await.unwrap();
    assert!(left.is_empty(), "{}", left[0].table_name);
}
