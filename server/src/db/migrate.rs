//! Migrations: what `belay migrate` runs, and whether a database is the one that this release
//! knows.

use std::collections::BTreeSet;

use diesel::migration::{Migration, MigrationSource};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::{ExposeSecret, SecretString};

use super::error::{self, DbError, ErrorKind};
use super::{Conn, pool, settings, transaction};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// How long a run waits for another one, in seconds.
const LOCK_WAIT_S: u32 = 300;

diesel::table! {
    __diesel_schema_migrations (version) {
        version -> Text,
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("another migration has been running for {LOCK_WAIT_S} s")]
    Busy,
    #[error("a migration failed: {0}")]
    Failed(String),
    /// Nothing was changed.
    #[error(
        "the schema is newer than this release, which does not know {}; nothing was changed. Run the `belay migrate` of the \
         newer release, which brings its own migrations",
        unknown.join(", ")
    )]
    Newer { unknown: Vec<String> },
}

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(
        "the database's schema is not this release's: {}",
        describe(missing, unknown)
    )]
    Mismatch {
        missing: Vec<String>,
        unknown: Vec<String>,
    },
}

fn describe(missing: &[String], unknown: &[String]) -> String {
    let list = |what: &str, names: &[String]| match names {
        [] => None,
        names => Some(format!("{what} {}", names.join(", "))),
    };
    let advice = match (missing, unknown) {
        (_, []) => Some("`belay migrate` adds what is missing".to_owned()),
        _ => Some(
            "the schema is newer than this release, which must not write to it; where what is new only adds something, \
             --allow-newer-schema names it"
                .to_owned(),
        ),
    };
    let lists = [
        list("it lacks", missing),
        list("it has, and this release does not know,", unknown),
        advice,
    ];
    lists.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

impl From<diesel::result::Error> for MigrateError {
    fn from(error: diesel::result::Error) -> Self {
        MigrateError::Database(error.into())
    }
}

/// Runs what has not run yet, one process at a time, and returns the versions that ran. A new
/// database gets its settings. A schema with a migration that this release does not know is left as
/// it is.
pub async fn run(url: &SecretString) -> Result<Vec<String>, MigrateError> {
    run_for(url, None).await
}

/// As [`run`]; a new database has its identity key outside, and is told its check value.
pub async fn run_for(
    url: &SecretString,
    identity_check: Option<[u8; 32]>,
) -> Result<Vec<String>, MigrateError> {
    let mut lock = pool::connect(url).await?;
    hold_lock(&mut lock).await?;
    let mut conn = pool::connect(url).await?;
    conn.batch_execute(&format!(
        "SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}"
    ))
    .await?;
    let before = applied(&mut conn).await?;
    let known: BTreeSet<String> = known()?.into_iter().map(|(version, _)| version).collect();
    let unknown: Vec<String> = before.difference(&known).cloned().collect();
    if !unknown.is_empty() {
        transaction::rollback(&mut lock).await?;
        return Err(MigrateError::Newer { unknown });
    }
    loop {
        let outcome: Result<(), String>;
        (conn, outcome) = run_pending(conn).await?;
        match outcome {
            Ok(()) => break,
            // MySQL's ALTER TABLE knows no IF NOT EXISTS. Where a migration was cut off after its
            // statement and before its record, only the record is missing.
            Err(error) if error::says_it_is_altered(&error) => record_next(&mut conn).await?,
            Err(error) => return Err(MigrateError::Failed(error)),
        }
    }
    settings::seed(&mut conn, identity_check).await?;
    let after = applied(&mut conn).await?;
    transaction::rollback(&mut lock).await?;
    Ok(after.difference(&before).cloned().collect())
}

/// The names of the migrations that [`run`] would run, in their order. Nothing is changed, and nothing is
/// waited for.
pub async fn pending(url: &SecretString) -> Result<Vec<String>, MigrateError> {
    let mut conn = pool::connect(url).await?;
    let applied = applied(&mut conn).await?;
    let known = known()?;
    let versions: BTreeSet<String> = known.iter().map(|(version, _)| version.clone()).collect();
    let unknown: Vec<String> = applied.difference(&versions).cloned().collect();
    if !unknown.is_empty() {
        return Err(MigrateError::Newer { unknown });
    }
    let pending = known
        .into_iter()
        .filter(|(version, _)| !applied.contains(version));
    Ok(pending.map(|(_, name)| name).collect())
}

/// The names of all migrations of this release, in their order.
pub fn names() -> Result<Vec<String>, MigrateError> {
    Ok(known()?.into_iter().map(|(_, name)| name).collect())
}

/// Whether the server answers, and has no database of the name that the URL has. An account that has no
/// grant on it is told so in other words.
pub async fn is_missing(url: &SecretString) -> Result<bool, MigrateError> {
    match pool::connect(url).await {
        Ok(_) => Ok(false),
        Err(error) if error::says_it_is_missing(&error.to_string()) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Runs one pending migration after the other, until one fails.
async fn run_pending(conn: Conn) -> Result<(Conn, Result<(), String>), MigrateError> {
    // diesel's migrations are synchronous underneath.
    let migrated = tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(conn);
        let outcome = harness
            .run_pending_migrations(MIGRATIONS)
            .map(|_| ())
            .map_err(|error| error.to_string());
        (harness.into_inner(), outcome)
    });
    migrated
        .await
        .map_err(|error| MigrateError::Failed(error.to_string()))
}

/// Records the first migration that is not.
async fn record_next(conn: &mut Conn) -> Result<(), MigrateError> {
    let applied = applied(conn).await?;
    let versions = known()?.into_iter().map(|(version, _)| version);
    if let Some(next) = versions.filter(|version| !applied.contains(version)).min() {
        let insert = diesel::insert_into(__diesel_schema_migrations::table);
        insert
            .values(__diesel_schema_migrations::version.eq(next))
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Creates the database that the URL names, unless it is there.
pub async fn create_database(url: &SecretString) -> Result<(), MigrateError> {
    let url = url.expose_secret();
    let (server, name) = match url
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
    {
        Some((authority, path)) => {
            let (name, query) = path
                .split_once('?')
                .map_or((path, String::new()), |(name, query)| {
                    (name, format!("?{query}"))
                });
            (format!("mysql://{authority}/{query}"), name)
        }
        None => (String::new(), ""),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(MigrateError::Failed(
            "the URL must name a database by letters, digits and _".to_owned(),
        ));
    }
    let mut conn = pool::connect(&SecretString::from(server)).await?;
    conn.batch_execute(&format!(
        "CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4"
    ))
    .await?;
    Ok(())
}

/// A row lock on a connection of its own, for each DDL statement commits on the connection it runs
/// on. If this process dies, the lock goes with the connection.
async fn hold_lock(lock: &mut Conn) -> Result<(), MigrateError> {
    let prepare = format!(
        "SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}, lock_wait_timeout = {LOCK_WAIT_S}; \
         CREATE TABLE IF NOT EXISTS migration_lock (id TINYINT UNSIGNED NOT NULL PRIMARY KEY) ENGINE = InnoDB; \
         INSERT IGNORE INTO migration_lock (id) VALUES (1)"
    );
    let held = async {
        lock.batch_execute(&prepare).await?;
        transaction::begin_write(lock).await?;
        lock.batch_execute("SELECT id FROM migration_lock WHERE id = 1 FOR UPDATE")
            .await?;
        Ok(())
    };
    held.await.map_err(|error: DbError| {
        if error.kind() == ErrorKind::LockWait {
            MigrateError::Busy
        } else {
            MigrateError::Database(error)
        }
    })
}

/// Refuses a database that lacks a migration of this release or has one that it does not know.
pub async fn check(conn: &mut Conn) -> Result<(), SchemaError> {
    check_allowing(conn, &BTreeSet::new()).await.map(|_| ())
}

/// The same, but for the versions of newer migrations that are allowed; says which of them it has.
pub async fn check_allowing(
    conn: &mut Conn,
    allowed: &BTreeSet<String>,
) -> Result<Vec<String>, SchemaError> {
    let known = known()?;
    let applied = applied(conn).await?;
    let missing = known
        .iter()
        .filter(|(version, _)| !applied.contains(version));
    let missing: Vec<String> = missing.map(|(_, name)| name.clone()).collect();
    let known: BTreeSet<String> = known.into_iter().map(|(version, _)| version).collect();
    let newer = applied.difference(&known).cloned();
    let (newer, unknown): (Vec<String>, Vec<String>) = newer.partition(|of| allowed.contains(of));
    if missing.is_empty() && unknown.is_empty() {
        Ok(newer)
    } else {
        Err(SchemaError::Mismatch { missing, unknown })
    }
}

/// The migrations of this release, by version and name.
fn known() -> Result<Vec<(String, String)>, DbError> {
    let known: Vec<Box<dyn Migration<Mysql>>> = MIGRATIONS.migrations().map_err(|error| {
        DbError::Corrupt(format!(
            "the migrations inside this program cannot be read: {error}"
        ))
    })?;
    let name = |migration: &dyn Migration<Mysql>| {
        (
            migration.name().version().to_string(),
            migration.name().to_string(),
        )
    };
    Ok(known
        .iter()
        .map(|migration| name(migration.as_ref()))
        .collect())
}

async fn applied(conn: &mut Conn) -> Result<BTreeSet<String>, DbError> {
    const IS_THERE: &str = "SELECT COUNT(*) AS tables_found FROM information_schema.tables \
        WHERE table_schema = DATABASE() AND table_name = '__diesel_schema_migrations'";
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        tables_found: i64,
    }
    let found: Found = diesel::sql_query(IS_THERE).get_result(conn).await?;
    if found.tables_found == 0 {
        return Ok(BTreeSet::new());
    }
    let query = __diesel_schema_migrations::table.select(__diesel_schema_migrations::version);
    Ok(query.load::<String>(conn).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder is read when this file is compiled, and cargo does not notice a new one inside
    /// it.
    #[test]
    fn every_migration_of_the_folder_is_in_the_program() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let folders = folder
            .filter(|entry| entry.as_ref().unwrap().path().is_dir())
            .count();
        let embedded: Vec<Box<dyn Migration<Mysql>>> = MIGRATIONS.migrations().unwrap();
        assert_eq!(embedded.len(), folders, "touch server/src/db/migrate.rs");
    }
}
