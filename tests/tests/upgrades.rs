//! The schema of the release after this one: while it is made out of this one's, and afterwards,
//! servers of this release serve on it beside others, and no call fails. `make upgrade` does the
//! same with two releases.

use belay_tests::process::built;
use belay_tests::upgrade::{Release, roll};
use belay_tests::{run, until};
use secrecy::ExposeSecret as _;

/// The name of a migration that this release does not know.
const LATER: &str = "9990_add_what_comes_later";

#[test]
fn servers_serve_on_while_a_newer_schema_comes_and_are_replaced_there_and_back() {
    run(async |t| {
        let known = Release::of(&built("belay"));
        let newer = known.allowing(&[LATER.to_owned()]);
        let tables = "SELECT table_name AS name FROM information_schema.tables \
            WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND table_name NOT LIKE '\\_\\_%'";
        let tables: Vec<(String,)> = t.database.rows(tables, ()).await;
        assert!(tables.len() > 20, "{tables:?}");
        // All that a release may do to the schema of the one before: columns that may be null or
        // have a default, indexes, tables.
        let migrate = async || {
            for (table,) in &tables {
                let alter = format!(
                    "ALTER TABLE {table} ADD COLUMN later_note TEXT NULL, \
                     ADD COLUMN later_number INT NOT NULL DEFAULT 7, ADD KEY later_key (later_number)"
                );
                t.database.execute(&alter, ()).await;
            }
            let create = "CREATE TABLE later (id INT PRIMARY KEY)";
            t.database.execute(create, ()).await;
            let version = LATER.split('_').next();
            let record = "INSERT INTO __diesel_schema_migrations (version) VALUES (?)";
            t.database.execute(record, (version,)).await;
        };
        let rolled = roll(&t.database, [&known, &newer], Some(&newer), migrate).await;
        assert_eq!(rolled.failed, 0, "{}: {:?}", rolled.counts, rolled.failures);
        // Without being told of it, none starts.
        let mut belay = tokio::process::Command::new(built("belay"));
        belay.args(["serve", "--trust-role-header"]).env_clear();
        belay.env("BELAY_DATABASE_URL", t.database.url().expose_secret());
        let refused = belay.output().await.expect("it can be run");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains("9990"), "{said}");
        until("what was added is there", async || {
            let rows: Vec<(i32,)> = t
                .database
                .rows("SELECT later_number FROM orders LIMIT 1", ())
                .await;
            rows.first().filter(|(number,)| *number == 7).map(|_| ())
        })
        .await;
    });
}
