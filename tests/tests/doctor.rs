//! `belay doctor`: what keeps a server from serving is told, with what mends it.

use belay_server::grants::GrantSet;
use belay_tests::database::Database;
use belay_tests::process::built;
use belay_tests::run;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;

/// The exit code, and what it printed.
async fn doctor(url: &SecretString) -> (Option<i32>, String) {
    let mut belay = Command::new(built("belay"));
    belay.arg("doctor").env_clear();
    belay.env("BELAY_DATABASE_URL", url.expose_secret());
    let done = belay.output().await.expect("it can be run");
    let out = String::from_utf8(done.stdout).expect("text");
    (done.status.code(), out)
}

#[test]
fn a_database_that_is_served_is_fit_and_an_account_that_only_reads_is_not() {
    run(async |t| {
        let (code, out) = doctor(&t.database.pruning_url().await).await;
        assert_eq!(code, Some(0), "{out}");
        for told in [
            "ok       the database is MySQL ",
            "ok       the schema is this release's\n",
            "ok       the account has the grants of serve\n",
            "ok       the account has the grants of retention\n",
            "ok       the clocks agree\n",
        ] {
            assert!(out.contains(told), "{out}");
        }

        // Who may not prune serves all the same.
        let (code, out) = doctor(&t.database.serve_url().await).await;
        assert_eq!(code, Some(0), "{out}");
        assert!(
            out.contains("warning  the account may not DELETE events"),
            "{out}"
        );

        let before = t.database.snapshot().await;
        let (code, out) = doctor(&t.database.url_of(&[GrantSet::Verify]).await).await;
        assert_eq!(code, Some(1), "{out}");
        assert!(
            out.contains("FATAL    the account may not INSERT orders"),
            "{out}"
        );
        assert!(out.contains("`belay grants serve` has all"), "{out}");
        assert_eq!(before, t.database.snapshot().await, "it writes nothing");
    });
}

#[tokio::test]
async fn a_database_without_its_schema_or_that_is_not_there_is_told() {
    let database = Database::empty().await;
    let (code, out) = doctor(&database.url()).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("FATAL    the database's schema"), "{out}");
    assert!(out.contains("run `belay migrate`"), "{out}");
    database.remove().await;

    let nowhere = SecretString::from("mysql://belay@127.0.0.1:1/belay");
    let (code, out) = doctor(&nowhere).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("FATAL    the database cannot be reached"),
        "{out}"
    );
}
