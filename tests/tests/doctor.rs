//! `belay doctor`: what keeps a server from serving is told, with what fixes it.

use belay_client::calls::FirstPolicy;
use belay_server::grants::GrantSet;
use belay_tests::certificates::{Authority, Files};
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
            "ok       transactions are READ COMMITTED, and the binary log takes them\n",
            "ok       time zones are those of ",
            "ok       deadlines are applied as they pass\n",
            "ok       the projection stock is ",
            "ok       calendars of policies have holidays to come\n",
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

/// How a server that is started by this account ends, if it does.
async fn refused(url: &SecretString) -> String {
    let mut belay = Command::new(built("belay"));
    belay.args([
        "serve",
        "--trust-role-header",
        "--grpc-address",
        "127.0.0.1:0",
    ]);
    belay
        .env_clear()
        .env("BELAY_DATABASE_URL", url.expose_secret());
    let done = belay
        .kill_on_drop(true)
        .output()
        .await
        .expect("it can be run");
    assert!(!done.status.success());
    String::from_utf8(done.stderr).expect("text")
}

#[test]
fn no_server_starts_that_could_not_write_and_it_says_what_fixes_it() {
    run(async |t| {
        let said = refused(&t.database.url_of(&[GrantSet::Verify]).await).await;
        for told in [
            "the database is not fit to serve on",
            "the account may not INSERT orders",
            "fix: GRANT INSERT ON orders: `belay grants serve` has all",
            "the account may not SELECT gates",
        ] {
            assert!(said.contains(told), "{said}");
        }
        // Nothing that it may do is among them.
        assert!(!said.contains("may not SELECT events"), "{said}");
    });
}

#[test]
fn a_calendar_that_ran_out_and_a_certificate_that_did_are_told() {
    run(async |t| {
        let policy = include_str!("../../server/presets/cross-border-declaration.yaml");
        let old = [("2026-", "2020-"), ("2027-", "2021-"), ("2028-", "2022-")];
        let policy = old.iter().fold(policy.to_owned(), |policy, (from, to)| {
            policy.replace(from, to)
        });
        t.create_shop("declared", FirstPolicy::document(policy))
            .await;
        let (authority, files) = (Authority::new(), Files::new());
        let looked = async |year: i32| {
            let certified = authority.server_until(&["belay"], year);
            let (certificate, _) = files.certified("server", &certified);
            let mut belay = Command::new(built("belay"));
            belay
                .arg("doctor")
                .env_clear()
                .env("BELAY_TLS_CERT", &certificate);
            let url = t.database.pruning_url().await;
            belay.env("BELAY_DATABASE_URL", url.expose_secret());
            let done = belay.output().await.expect("it can be run");
            let out = String::from_utf8(done.stdout).expect("text");
            (done.status.code(), out, certificate.display().to_string())
        };
        let (code, out, certificate) = looked(4000).await;
        assert_eq!(code, Some(0), "{out}");
        let told = format!("ok       {certificate} expires at 4000-");
        assert!(out.contains(&told), "{out}");
        for (calendar, last) in [("DE", "2022-01-01"), ("US", "2021-11-25")] {
            let told = format!(
                "warning  the calendar {calendar} of policy 1 of store declared has no holiday after {last}"
            );
            assert!(out.contains(&told), "{out}");
        }
        let (code, out, certificate) = looked(2020).await;
        assert_eq!(code, Some(1), "{out}");
        let told = format!("FATAL    {certificate} has expired at 2020-");
        assert!(out.contains(&told), "{out}");
    });
}
