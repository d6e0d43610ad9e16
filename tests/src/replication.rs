//! A primary and a database that follows it without a group, and how the one that follows is held
//! back.

use belay_server::grants::{Account, DatabaseName, GrantSet};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use secrecy::{ExposeSecret, SecretString};

use crate::instance::{Instance, session};
use crate::until;

/// The account that reads the secondary, and can do nothing else anywhere.
const READER: &str = "belay_read";

/// Two databases. They end with it.
#[derive(Debug)]
pub struct Replication {
    pub primary: Instance,
    pub secondary: Instance,
}

impl Replication {
    /// A migrated primary that is followed from its beginning; `arguments` go to the mysqld of the
    /// other.
    pub async fn start(arguments: &[&str]) -> Self {
        let gtid = ["--gtid-mode=ON", "--enforce-gtid-consistency=ON"];
        let of_secondary = gtid.iter().chain(&["--server-id=2"]).chain(arguments);
        let of_secondary = of_secondary.map(ToString::to_string).collect();
        let (primary, secondary) =
            tokio::join!(Instance::start(&gtid), Instance::bare(of_secondary));
        let (account, database) = (Account::parse(READER), DatabaseName::parse("belay"));
        let (account, database) = (account.expect("a name"), database.expect("a name"));
        let grants = GrantSet::Secondary.sql(&database, &account);
        run(&primary, &[&format!("CREATE USER {READER}"), &grants]).await;
        let pair = Self { primary, secondary };
        run(&pair.secondary, &["RESET BINARY LOGS AND GTIDS"]).await;
        pair.follow().await;
        pair
    }

    /// The secondary takes no writes, and follows the primary.
    pub async fn follow(&self) {
        let source = format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, \
             SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, \
             GET_SOURCE_PUBLIC_KEY = 1",
            self.primary.port()
        );
        let follow = ["SET PERSIST super_read_only = ON", &source, "START REPLICA"];
        run(&self.secondary, &follow).await;
    }

    /// What has come is not applied any more, until [`Self::go_on`].
    pub async fn hold_back(&self) {
        run(&self.secondary, &["STOP REPLICA SQL_THREAD"]).await;
    }

    pub async fn go_on(&self) {
        run(&self.secondary, &["START REPLICA SQL_THREAD"]).await;
    }

    /// No statement on this table of the secondary comes to its end any more, until what is given
    /// is dropped. After it, the secondary takes writes.
    pub async fn hold_table_of_secondary(&self, table: &str) -> Conn {
        let mut holder = session(&self.secondary.url()).await;
        for statement in [
            "SET GLOBAL super_read_only = OFF",
            &format!("LOCK TABLES {table} WRITE"),
        ] {
            let held = holder.query_drop(statement).await;
            held.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        holder
    }

    /// Waits until a read waits for that table.
    pub async fn until_secondary_is_held(&self, table: &str) {
        let mut conn = session(&self.secondary.root_url()).await;
        // Not the list of processes: it cannot show a statement that has bytes in it.
        let query = format!(
            "SELECT COUNT(*) FROM performance_schema.metadata_locks JOIN performance_schema.threads \
             ON thread_id = owner_thread_id WHERE lock_status = 'PENDING' AND object_name = '{table}' \
             AND processlist_user = '{READER}'"
        );
        until("a read waits for the table", async || {
            let held: Option<u64> = conn.query_first(&query).await.expect("it says");
            (held >= Some(1)).then_some(())
        })
        .await;
    }

    /// The secondary follows no more, and takes writes.
    pub async fn promote(&self) {
        let lead = [
            "STOP REPLICA",
            "RESET REPLICA ALL",
            "SET PERSIST super_read_only = OFF",
            "SET PERSIST read_only = OFF",
        ];
        run(&self.secondary, &lead).await;
    }

    /// The URL of the secondary for the account that only reads.
    pub fn secondary_url(&self) -> SecretString {
        let url = self.secondary.url();
        SecretString::from(
            url.expose_secret()
                .replacen("root@", &format!("{READER}@"), 1),
        )
    }
}

async fn run(instance: &Instance, statements: &[&str]) {
    let mut conn = session(&instance.root_url()).await;
    for statement in statements {
        let done = conn.query_drop(*statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}
