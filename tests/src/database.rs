//! A database of its own for each test, and what can be seen of it without Belay.

use std::collections::BTreeMap;

use belay_client::RequestId;
use belay_server::db::migrate;
use belay_server::grants::{Account, DatabaseName, GrantSet};
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Opts, Params};
use secrecy::SecretString;
use tokio::sync::Mutex;

/// Where the tests find MySQL: a URL with a user who may create databases, and without a database.
const URL_VARIABLE: &str = "BELAY_TEST_DATABASE_URL";

/// The numbers from 0 to 9,999, in `number (n)`: for many rows without as many calls, on MySQL and
/// MariaDB, whose recursions are bounded by settings of other names.
pub const WITH_NUMBERS: &str = "WITH digit (d) AS (SELECT 0 UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 \
    UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9), \
    number (n) AS (SELECT a.d + b.d * 10 + c.d * 100 + e.d * 1000 FROM digit a, digit b, digit c, digit e) ";

/// A session of a database server, as it shows to others.
#[derive(Debug)]
pub struct Session {
    pub id: u64,
    pub user: String,
    pub database: Option<String>,
    pub state: Option<String>,
    pub info: Option<String>,
}

/// All sessions but this one. By SHOW, which MariaDB knows too, and which answers while another
/// session binds bytes: `information_schema.processlist` fails with 3854 then
/// (`findings/mysql-processlist-binary.sh`).
pub async fn other_sessions(conn: &mut Conn) -> Vec<Session> {
    let own: Option<u64> = conn
        .query_first("SELECT CONNECTION_ID()")
        .await
        .expect("it says");
    let rows: Vec<mysql_async::Row> = conn.query("SHOW FULL PROCESSLIST").await.expect("it says");
    let text = |row: &mysql_async::Row, column: &str| {
        let bytes: Option<Vec<u8>> = row.get(column)?;
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let session = |row: mysql_async::Row| Session {
        id: row.get("Id").expect("each has one"),
        user: text(&row, "User").unwrap_or_default(),
        database: text(&row, "db"),
        state: text(&row, "State"),
        info: text(&row, "Info"),
    };
    let sessions = rows.into_iter().map(session);
    sessions.filter(|session| Some(session.id) != own).collect()
}

/// One migrated database with a name that no other test has.
#[derive(Debug)]
pub struct Database {
    url: String,
    name: String,
    connection: Mutex<Conn>,
    /// Of the accounts that were made for it, by what they may do; dropped with it.
    accounts: Mutex<BTreeMap<Vec<&'static str>, String>>,
}

/// The content of a database, table by table: two that are equal say that nothing was written in
/// between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, Option<u64>>);

impl Snapshot {
    /// Without what operators write.
    #[must_use]
    pub fn without_settings(mut self) -> Self {
        let settings = [
            "stores",
            "policies",
            "policy_activations",
            "carriers",
            "warehouses",
            "stock_tellings",
            "consumers",
        ];
        self.0
            .retain(|table, _| !settings.contains(&table.as_str()));
        self
    }

    /// Without bulk cancellations and their results.
    #[must_use]
    pub fn without_jobs(mut self) -> Self {
        self.0
            .retain(|table, _| !["bulk_cancellations", "bulk_orders"].contains(&table.as_str()));
        self
    }

    /// Without what the engine keeps about a decision that was a rejection.
    #[must_use]
    pub fn without_answers(mut self) -> Self {
        self.0
            .retain(|table, _| !["requests", "decisions"].contains(&table.as_str()));
        self
    }
}

/// Of the MySQL that all tests share.
fn root() -> String {
    std::env::var(URL_VARIABLE).unwrap_or_else(|_| {
        panic!(
            "{URL_VARIABLE} is not set. These tests need a MySQL: run `server/dev/mysql.sh start DIR -- \
             --max-connections=1000` and set {URL_VARIABLE} to the URL that it prints, or run `make test`, which does both"
        )
    })
}

/// The URL for another account, which has no password.
fn url_as(url: &str, account: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    let (_, place) = rest.split_once('@').expect("a URL with a user");
    format!("{scheme}://{account}@{place}")
}

impl Database {
    /// Creates and migrates it. To be removed by who has it.
    pub async fn create() -> Self {
        Self::create_at(&root()).await
    }

    /// The same, at a MySQL of the caller's, by the URL of who may create databases there.
    pub(crate) async fn create_at(root: &str) -> Self {
        let database = Self::empty_at(root).await;
        migrate::run(&database.url())
            .await
            .expect("the database can be migrated");
        database
    }

    /// Creates it. To be removed by who has it.
    pub async fn empty() -> Self {
        Self::empty_at(&root()).await
    }

    async fn empty_at(root: &str) -> Self {
        let name = format!(
            "belay_test_{}",
            RequestId::mint().to_string().replace('-', "")
        );
        let options =
            Opts::from_url(root).unwrap_or_else(|error| panic!("the URL of MySQL: {error}"));
        let mut connection = Conn::new(options).await.unwrap_or_else(|error| {
            panic!("MySQL, at {URL_VARIABLE} or of its own, does not answer: {error}")
        });
        connection
            .query_drop(format!("CREATE DATABASE {name}"))
            .await
            .expect("a database can be created");
        connection
            .query_drop(format!("USE {name}"))
            .await
            .expect("the new database is there");
        let url = format!("{}/{name}", root.trim_end_matches('/'));
        Self {
            url,
            name,
            connection: Mutex::new(connection),
            accounts: Mutex::default(),
        }
    }

    /// One that is there already, by its URL.
    pub(crate) async fn open(url: &str) -> Self {
        let (_, name) = url.rsplit_once('/').expect("a URL with a database");
        let options = Opts::from_url(url).expect("a URL of MySQL");
        let connection = Conn::new(options).await.expect("MySQL answers");
        Self {
            url: url.to_owned(),
            name: name.to_owned(),
            connection: Mutex::new(connection),
            accounts: Mutex::default(),
        }
    }

    pub(crate) async fn drop(&self) -> Result<(), mysql_async::Error> {
        let mut connection = self.connection.lock().await;
        for account in self.accounts.lock().await.values() {
            connection
                .query_drop(format!("DROP USER {account}"))
                .await?;
        }
        connection
            .query_drop(format!("DROP DATABASE {}", self.name))
            .await
    }

    /// Of [`Self::empty`].
    pub async fn remove(&self) {
        self.drop().await.expect("the database can be dropped");
    }

    /// With its name, for an account that may do everything.
    pub fn url(&self) -> SecretString {
        SecretString::from(self.url.clone())
    }

    /// For a server, which may do what [`GrantSet::Serve`] grants and nothing else.
    pub async fn serve_url(&self) -> SecretString {
        self.url_of(&[GrantSet::Serve]).await
    }

    /// For a server that prunes.
    pub async fn pruning_url(&self) -> SecretString {
        self.url_of(&[GrantSet::Serve, GrantSet::Retention]).await
    }

    /// For an account with just these grants. The clock that tests move is nobody's in service, so
    /// it is granted beside them.
    pub async fn url_of(&self, sets: &[GrantSet]) -> SecretString {
        let names: Vec<&'static str> = sets.iter().map(|set| set.name()).collect();
        let mut accounts = self.accounts.lock().await;
        let id = &RequestId::mint().to_string().replace('-', "")[8..];
        let account = match accounts.get(&names) {
            Some(account) => account.clone(),
            None => {
                let account = format!("belay_{id}");
                self.create_account(&account, sets).await;
                accounts.insert(names, account.clone());
                account
            }
        };
        let url = url_as(&self.url, &account);
        SecretString::from(url)
    }

    async fn create_account(&self, account: &str, sets: &[GrantSet]) {
        let named = Account::parse(account).expect("a name");
        let database = DatabaseName::parse(&self.name).expect("a name");
        let mut connection = self.connection.lock().await;
        let clock = format!("GRANT SELECT, INSERT, UPDATE ON manual_clock TO {account};");
        let grants = sets.iter().map(|set| set.sql(&database, &named));
        let sql = format!(
            "CREATE USER {account}; {clock} {}",
            grants.collect::<String>()
        );
        connection
            .query_drop(sql)
            .await
            .unwrap_or_else(|error| panic!("{sets:?}: {error}"));
    }

    /// All rows of a query.
    pub async fn rows<T: FromRow + Send + 'static>(
        &self,
        sql: &str,
        params: impl Into<Params> + Send,
    ) -> Vec<T> {
        let rows = self.connection.lock().await.exec(sql, params).await;
        rows.unwrap_or_else(|error| panic!("{error} in {sql}"))
    }

    /// The first row of a query that has one.
    pub async fn row<T: FromRow + Send + 'static>(
        &self,
        sql: &str,
        params: impl Into<Params> + Send,
    ) -> T {
        self.rows(sql, params)
            .await
            .pop()
            .unwrap_or_else(|| panic!("no row: {sql}"))
    }

    /// Runs a statement; says how many rows it changed. A server may work on the same rows: where
    /// MySQL picks this statement to end a deadlock, nothing of it was done, and it runs again.
    pub async fn execute(&self, sql: &str, params: impl Into<Params> + Send) -> u64 {
        const DEADLOCK: u16 = 1213;
        let params = params.into();
        let mut connection = self.connection.lock().await;
        loop {
            match connection.exec_drop(sql, params.clone()).await {
                Ok(()) => return connection.affected_rows(),
                Err(mysql_async::Error::Server(error)) if error.code == DEADLOCK => {}
                Err(error) => panic!("{error} in {sql}"),
            }
        }
    }

    /// Whether a session of this database is at a statement that has all of these words: one that
    /// the test has blocked, or it may be over.
    pub async fn asks(&self, words: &[&str]) -> bool {
        let mut connection = self.connection.lock().await;
        let sessions = other_sessions(&mut connection).await.into_iter();
        let mut here = sessions.filter(|one| one.database.as_deref() == Some(&self.name));
        here.any(|one| {
            let info = one.info.unwrap_or_default();
            words.iter().all(|word| info.contains(word))
        })
    }

    /// A checksum of the rows of every table. The clock is left out: it is the test's own; and what
    /// is projected, for it follows in its own time.
    pub async fn snapshot(&self) -> Snapshot {
        let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
            AND table_type = 'BASE TABLE' AND table_name NOT IN ('manual_clock', 'projections', \
            'projection_positions', 'stock_entries', 'stock_balances', 'stock_orders', 'stock_holders', \
            'seller_facts', 'seller_standings', 'seller_crossings')";
        let tables: Vec<(String,)> = self.rows(tables, ()).await;
        let tables: Vec<String> = tables
            .into_iter()
            .map(|(table,)| format!("`{table}`"))
            .collect();
        let checksums: Vec<(String, Option<u64>)> = self
            .rows(&format!("CHECKSUM TABLE {}", tables.join(", ")), ())
            .await;
        // Tables are told as database.table.
        let table = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        Snapshot(
            checksums
                .into_iter()
                .map(|(name, checksum)| (table(&name), checksum))
                .collect(),
        )
    }
}
