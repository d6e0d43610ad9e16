//! A COMMIT that the server refuses. It has rolled back by then, without saying so, and whoever
//! sends it again is told OK: so nobody does.

mod common;

use std::path::PathBuf;
use std::process::Command;

use belay_server::db::pool::{Pool, PoolSettings};
use belay_server::db::transaction::{self, Transaction};
use belay_server::db::{ErrorKind, pool};
use common::HANG;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use secrecy::SecretString;

/// A server of its own, for it is made read-only.
struct OwnServer {
    folder: PathBuf,
    url: SecretString,
}

fn script(arguments: &[&str]) -> String {
    const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/dev/mysql.sh");
    let output = Command::new(SCRIPT)
        .args(arguments)
        .env("BELAY_MYSQL_BUFFER_POOL", "32M")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl OwnServer {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("belay_commit_{:x}", fastrand::u32(..)));
        let url = SecretString::from(script(&["start", folder.to_str().unwrap()]));
        Self { folder, url }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        script(&["kill", self.folder.to_str().unwrap()]);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    found: i64,
}

#[tokio::test]
async fn a_refused_commit_has_rolled_back_and_is_not_sent_again() {
    let server = OwnServer::start();
    let mut root = pool::connect(&server.url).await.unwrap();
    let create = "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)";
    root.batch_execute(create).await.unwrap();
    let settings = PoolSettings {
        wait_max: HANG,
        ..PoolSettings::default()
    };
    let pool = Pool::new(&server.url, settings).unwrap();
    let mut first = pool.checkout().await.unwrap();
    transaction::begin_write(&mut first).await.unwrap();
    let mut second = Transaction::begin(&pool).await.unwrap();
    let insert = "INSERT INTO d.t VALUES (1)";
    first.batch_execute(insert).await.unwrap();
    let insert = "INSERT INTO d.t VALUES (2)";
    second.batch_execute(insert).await.unwrap();
    let read_only = "SET GLOBAL super_read_only = ON";
    root.batch_execute(read_only).await.unwrap();

    // What makes it dangerous: the second COMMIT is OK.
    let refused = transaction::commit(&mut first).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly, "{refused}");
    first.batch_execute("COMMIT").await.unwrap();
    drop(first);

    // Belay tells the refusal, and closes the connection on which another COMMIT could be sent.
    let refused = second.end(Ok(())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly, "{refused}");
    assert_eq!(pool.status().idle, 0);

    let count = "SELECT COUNT(*) AS found FROM d.t";
    let Count { found } = diesel::sql_query(count)
        .get_result(&mut root)
        .await
        .unwrap();
    assert_eq!(found, 0, "neither has landed");
}
