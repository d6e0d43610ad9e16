//! What a test needs that breaks things: a mysqld of its own, and servers besides the one that the harness starts.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use belay_client::calls::FirstPolicy;
use belay_client::{Belay, RequestId, RetryPolicy, Role, Store};
use belay_server::App;
use belay_server::db::migrate;
use belay_server::rpc::auth::Authentication;
use belay_server::server::{Server, ServerSettings};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;

use crate::SHOP;
use crate::database::Database;

/// The script that `make run` and `make test` start MySQL with.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/dev/mysql.sh");
/// The one database of a mysqld of its own.
const DATABASE: &str = "belay";
/// How long a client that insists waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A mysqld that belongs to one test, which may kill it. It ends with the test, also with one that fails.
#[derive(Debug)]
pub struct Instance {
    folder: PathBuf,
    arguments: Vec<String>,
    root: String,
}

impl Instance {
    /// Starts one with a migrated database; `arguments` go to mysqld as they are.
    pub async fn start(arguments: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("belay-instance-{}", RequestId::mint()));
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut instance = Self { folder, arguments, root: String::new() };
        instance.root = instance.script("start").await;
        let mut connection = session(&SecretString::from(instance.root.clone())).await;
        connection.query_drop(format!("CREATE DATABASE {DATABASE}")).await.expect("a database can be created");
        migrate::run(&instance.url()).await.expect("the database can be migrated");
        instance
    }

    /// kill -9.
    pub async fn kill(&self) {
        self.script("kill").await;
    }

    /// After [`Self::kill`]: on the same port, with what was durable.
    pub async fn restart(&self) {
        let root = self.script("start").await;
        assert_eq!(root, self.root, "a killed mysqld comes back where it was");
    }

    /// Of the database.
    pub fn url(&self) -> SecretString {
        SecretString::from(format!("{}/{DATABASE}", self.root))
    }

    /// The database as the harness sees one. Not to be held while mysqld is killed.
    pub async fn database(&self) -> Database {
        Database::open(self.url().expose_secret()).await
    }

    async fn script(&self, command: &str) -> String {
        let mut script = Command::new(SCRIPT);
        script.arg(command).arg(&self.folder).stdin(Stdio::null());
        if command == "start" {
            script.arg("--").args(&self.arguments);
        }
        // A small one, for it lives only some seconds.
        script.env("BELAY_MYSQL_BUFFER_POOL", "64M").env("BELAY_MYSQL_REDO_LOG", "64M");
        script.env("BELAY_MYSQL_PERFORMANCE_SCHEMA", "OFF");
        let done = tokio::process::Command::from(script).output().await.expect("the script can be run");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{SCRIPT} {command}: {said}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Nobody needs its data: there is no clean end to wait for.
        let _ = Command::new(SCRIPT).arg("kill").arg(&self.folder).status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A Belay server in this process, on any database.
#[derive(Debug)]
pub struct Service {
    server: Server,
    belay: Belay,
}

impl Service {
    /// Starts one with the settings of the harness, which `change` may change.
    pub async fn start(database: SecretString, change: impl FnOnce(&mut ServerSettings)) -> Self {
        let mut settings = ServerSettings::new(database, Authentication::Dev);
        settings.connections = 5;
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = Server::start(settings, listener).await.expect("the server starts");
        let belay = insistent(server.address());
        Self { server, belay }
    }

    /// Creates the store [`SHOP`] on a database that has none.
    pub async fn create_shop(&self) {
        let operator = self.belay.with_role(Role::Operator, "ops").expect("a role to call in");
        operator.create_store(SHOP, FirstPolicy::preset("independent-site")).await.expect("a store");
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What the server is made of, for tests that must get between its parts.
    pub fn app(&self) -> &Arc<App> {
        self.server.app()
    }

    /// A client that insists; see [`insistent`].
    pub fn belay(&self) -> &Belay {
        &self.belay
    }

    pub fn storefront(&self) -> Store {
        storefront(&self.belay)
    }

    pub fn payments(&self) -> Store {
        payments(&self.belay)
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// A session of somebody who goes past Belay.
pub async fn session(database: &SecretString) -> Conn {
    let options = Opts::from_url(database.expose_secret()).expect("a URL of MySQL");
    Conn::new(options).await.expect("MySQL answers")
}

/// A client that repeats what may be repeated for as long as it takes.
pub fn insistent(address: SocketAddr) -> Belay {
    let retry = RetryPolicy::default().with_attempts_max(u32::MAX).with_budget(100, 1_000_000);
    let builder = Belay::builder(format!("http://{address}")).timeout(PATIENCE).retry(retry);
    builder.build().expect("a client")
}

/// A client that repeats nothing: what it is told is what the server said.
pub fn literal(address: SocketAddr) -> Belay {
    let builder = Belay::builder(format!("http://{address}")).timeout(PATIENCE).retry(RetryPolicy::never());
    builder.build().expect("a client")
}

/// The calls that the harness's storefront makes, by another client.
pub fn storefront(belay: &Belay) -> Store {
    belay.with_role(Role::Storefront, "web").expect("a role to call in").store(SHOP)
}

pub fn payments(belay: &Belay) -> Store {
    belay.with_role(Role::Payments, "psp").expect("a role to call in").store(SHOP)
}

pub fn warehouse(belay: &Belay) -> Store {
    belay.with_role(Role::Warehouse, "main").expect("a role to call in").store(SHOP)
}
