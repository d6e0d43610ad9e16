//! The grants that ship: a server with those of `serve` works, which all tests show, and can change
//! nothing that happened.

use std::collections::BTreeSet;
use std::process::Command;

use belay_server::grants::GrantSet;
use belay_tests::instance::session;
use belay_tests::process::built;
use belay_tests::run;
use mysql_async::prelude::Queryable;
use secrecy::SecretString;

/// How MySQL says that an account may not do something to a table.
const DENIED: u16 = 1142;

async fn is_denied(url: &SecretString, sql: &str) -> bool {
    match session(url).await.query_drop(sql).await {
        Ok(()) => false,
        Err(mysql_async::Error::Server(error)) if error.code == DENIED => true,
        Err(error) => panic!("{error} in {sql}"),
    }
}

/// The tables that are added to and not changed.
const APPEND_ONLY: &[&str] = &[
    "events",
    "order_history",
    "decisions",
    "requests",
    "policies",
];

#[test]
fn history_can_be_added_to_and_not_changed() {
    run(async |t| {
        t.place_paid("A-1").await;
        let serving = t.database.serve_url().await;
        let pruning = t.database.pruning_url().await;
        for table in APPEND_ONLY {
            let column = if *table == "policies" {
                "document"
            } else {
                "order_key"
            };
            let update = format!("UPDATE {table} SET {column} = {column}");
            let delete = format!("DELETE FROM {table}");
            assert!(is_denied(&serving, &update).await, "{update}");
            assert!(is_denied(&serving, &delete).await, "{delete}");
            assert!(is_denied(&pruning, &update).await, "{update}");
            assert!(is_denied(&serving, &format!("TRUNCATE TABLE {table}")).await);
        }
        // What has left the feed stays for ever, whoever prunes.
        assert!(is_denied(&pruning, "DELETE FROM order_history").await);
        let history = "INSERT INTO order_history SELECT * FROM order_history WHERE FALSE";
        assert!(is_denied(&serving, history).await);
        assert!(!is_denied(&pruning, history).await);
        for table in ["settings", "__diesel_schema_migrations"] {
            for account in [&serving, &pruning] {
                assert!(is_denied(account, &format!("DELETE FROM {table}")).await);
                let insert = format!("INSERT INTO {table} SELECT * FROM {table} WHERE FALSE");
                assert!(is_denied(account, &insert).await, "{insert}");
            }
        }
        assert!(is_denied(&serving, "CREATE TABLE mine (id INT)").await);
        assert!(is_denied(&serving, "ALTER TABLE events ADD COLUMN mine INT").await);
        assert!(is_denied(&serving, "DROP TABLE events").await);
    });
}

/// What no server touches.
const NOT_SERVED: &[&str] = &[
    "delivery_instances",
    "delivery_partitions",
    "erasures",
    "held_events",
    "manual_clock",
    "migration_lock",
];

#[test]
fn every_table_is_granted_to_who_serves_or_is_not_served() {
    run(async |t| {
        let tables: Vec<(String,)> = t
            .database
            .rows(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
                 AND table_type = 'BASE TABLE'",
                (),
            )
            .await;
        let sql = include_str!("../../server/grants/serve.sql");
        let granted = sql.lines().filter_map(|line| {
            let (_, table) = line.split_once("`{database}`.`")?;
            table.split_once('`').map(|(table, _)| table.to_owned())
        });
        let granted: BTreeSet<String> = granted.collect();
        let served = tables.into_iter().map(|(table,)| table);
        let served: BTreeSet<String> = served
            .filter(|table| !NOT_SERVED.contains(&table.as_str()))
            .collect();
        assert_eq!(granted, served);
    });
}

#[test]
fn the_command_prints_what_ships() {
    run(async |t| {
        for set in [GrantSet::Serve, GrantSet::Migrate] {
            let output = Command::new(built("belay"))
                .args([
                    "grants",
                    set.name(),
                    "--user",
                    "belay@10.0.0.%",
                    "--database",
                    "shop",
                ])
                .env_clear()
                .output()
                .expect("it can be run");
            assert!(output.status.success(), "{output:?}");
            let printed = String::from_utf8(output.stdout).expect("text");
            assert!(printed.contains("TO 'belay'@'10.0.0.%';"), "{printed}");
            assert!(printed.contains("ON `shop`."), "{printed}");
        }
        // An account of migrations finds nothing to do.
        let url = t.database.url_of(&[GrantSet::Migrate]).await;
        let ran = belay_server::db::migrate::run(&url).await;
        assert_eq!(ran.expect("it may look"), [""; 0]);
    });
}
