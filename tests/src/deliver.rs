//! `belay deliver` in a process of its own, and what it is to deliver.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};

use belay_client::RequestId;
use secrecy::{ExposeSecret, SecretString};

use crate::database::Database;
use crate::process::{Running, built};
use crate::receiver::Receiver;

/// The secrets of receivers.
pub const SECRETS: [&str; 2] = [
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
];
/// The name that events are delivered under.
pub const NAME: &str = "shop-hooks";

/// What an instance is started with where a test says nothing else. Attempts follow each other
/// fast, and a machine that is busy is not to be taken for a receiver that hangs.
const DEFAULTS: [(&str, &str); 5] = [
    ("--start", "oldest"),
    ("--retry-delay", "10ms"),
    ("--retry-delay-max", "200ms"),
    ("--timeout", "4s"),
    ("--lease", "12s"),
];

/// A file of secrets, which goes with the test.
#[derive(Debug)]
pub struct SecretFile(PathBuf);

impl SecretFile {
    pub fn new(secrets: &[&str]) -> Self {
        let name = format!("belay-secrets-{}", RequestId::mint());
        let file = Self(std::env::temp_dir().join(name));
        file.write(secrets);
        file
    }

    /// In one step, so that nobody reads half of it.
    pub fn write(&self, secrets: &[&str]) {
        let next = self.0.with_extension("next");
        std::fs::write(&next, secrets.join("\n")).expect("a file can be written");
        std::fs::rename(&next, &self.0).expect("a file can be renamed");
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // It may be gone.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An instance that delivers.
#[derive(Debug)]
pub struct Deliverer {
    pub running: Running,
}

impl Deliverer {
    /// With a log in JSON, and an admin port.
    pub async fn start(
        database: &SecretString,
        receiver: &Receiver,
        secrets: &SecretFile,
        arguments: &[&str],
    ) -> Self {
        Self::to(&receiver.url(), database, secrets, arguments, &[]).await
    }

    /// To any receiver.
    pub async fn to(
        url: &str,
        database: &SecretString,
        secrets: &SecretFile,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut belay = Command::new(built("belay"));
        belay
            .args(["deliver", "--consumer", NAME, "--url", url])
            .args(["--secret-file", secrets.path()])
            .args(["--admin-listen", "127.0.0.1:0", "--log-format", "json"])
            .args(arguments)
            .env_clear()
            .env("BELAY_DATABASE_URL", database.expose_secret())
            .envs(environment.iter().copied());
        let defaults = DEFAULTS
            .iter()
            .filter(|(name, _)| !arguments.contains(name));
        for (name, value) in defaults {
            belay.args([name, value]);
        }
        let mut running = Running::start(belay);
        running
            .until_said("it delivers", |line| {
                line.contains("\"delivering\"").then_some(())
            })
            .await;
        Self { running }
    }

    /// As a service manager does it: it ends well.
    pub async fn stop(self) -> String {
        self.running.tell_to_stop();
        let (status, said) = self.running.end().await;
        assert!(status.success(), "{said}");
        said
    }
}

/// Runs a command about dead letters; what it printed, if it went well.
pub async fn dead_letters(database: &SecretString, arguments: &[&str]) -> Result<String, String> {
    let mut belay = tokio::process::Command::new(built("belay"));
    belay
        .arg("dead-letters")
        .args(arguments)
        .env_clear()
        .env("BELAY_DATABASE_URL", database.expose_secret());
    let Output {
        status,
        stdout,
        stderr,
    } = belay.output().await.expect("it can be run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    if status.success() {
        Ok(text(stdout))
    } else {
        Err(text(stderr))
    }
}

/// The ids of all events that the feed has.
pub async fn ids(database: &Database) -> BTreeSet<String> {
    let rows: Vec<(u16, u64, u32)> = database
        .rows(
            "SELECT shard_partition, position, event_count FROM events",
            (),
        )
        .await;
    let row = |(partition, last, count): (u16, u64, u32)| {
        let first = last + 1 - u64::from(count);
        (first..=last).map(move |position| format!("{partition}:{position}"))
    };
    rows.into_iter().flat_map(row).collect()
}
