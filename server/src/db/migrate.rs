//! Migrations: what `belay migrate` runs, and whether a database is the one that this release
//! knows.

mod fills;

use std::collections::BTreeSet;

use diesel::migration::{Migration, MigrationSource};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::{AsyncMigrationHarness, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::{ExposeSecret, SecretString};

use super::error::{self, DbError, ErrorKind};
use super::{Conn, pool, settings, transaction};

pub use fills::{BATCH_ROWS_DEFAULT, BATCH_ROWS_MAX, FillSettings, Progress};

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
    /// What is filled stays filled.
    #[error(
        "{migration} met rows that other transactions held, {attempts} times in a row; what it has filled is kept. End those \
         transactions, and run `belay migrate` again"
    )]
    Held { migration: String, attempts: u32 },
    /// Nothing was changed.
    #[error(
        "the schema is newer than this release, which does not know {}; nothing was changed. Run the `belay migrate` of the \
         newer release, which brings its own migrations",
        unknown.join(", ")
    )]
    Newer { unknown: Vec<String> },
    /// Nothing was changed.
    #[error(
        "this release has no migration {asked}; nothing was changed. Its last is {last}, and `belay migrate --status` names \
         all"
    )]
    UnknownTarget { asked: String, last: String },
    /// Nothing was changed.
    #[error(
        "the schema is beyond {target}: it has {last} already; nothing was changed. Migrations run in one direction, and \
         docs/upgrades.md says which way back there is"
    )]
    Beyond { target: String, last: String },
}

/// The target of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To the schema of this release.
    Latest,
    /// To this migration, by its version or its name, and no further.
    Migration(String),
}

/// The answer whether a migration has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    Yes,
    No,
    /// It has, and this release does not know it.
    Unknown,
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
    run_for(url, None, &Target::Latest, FillSettings::default(), |_| ()).await
}

/// As [`run`], as far as the target says; a new database may have its identity key outside, and is
/// told its check value then. It gets its settings once its schema is this release's. `tell` hears
/// how far a migration is that fills rows: when it begins, now and then, and when it ends.
pub async fn run_for(
    url: &SecretString,
    identity_check: Option<[u8; 32]>,
    target: &Target,
    batches: FillSettings,
    mut tell: impl FnMut(Progress<'_>) + Send,
) -> Result<Vec<String>, MigrateError> {
    let mut lock = pool::connect(url).await?;
    hold_lock(&mut lock).await?;
    let mut conn = pool::connect(url).await?;
    conn.batch_execute(&format!(
        "SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}"
    ))
    .await?;
    let before = applied(&mut conn).await?;
    let planned = match plan(&known()?, &before, target) {
        Ok(planned) => planned,
        Err(error) => {
            transaction::rollback(&mut lock).await?;
            return Err(error);
        }
    };
    conn = run_planned(conn, &mut lock, &planned, batches, &mut tell).await?;
    let after = applied(&mut conn).await?;
    if known()?.iter().all(|(version, _)| after.contains(version)) {
        settings::seed(&mut conn, identity_check).await?;
    }
    transaction::rollback(&mut lock).await?;
    Ok(after.difference(&before).cloned().collect())
}

/// The names of the migrations that [`run_for`] would run, in their order. Nothing is changed, and
/// nothing is waited for.
pub async fn pending(url: &SecretString, target: &Target) -> Result<Vec<String>, MigrateError> {
    let mut conn = pool::connect(url).await?;
    let applied = applied(&mut conn).await?;
    let planned = plan(&known()?, &applied, target)?;
    Ok(planned.into_iter().map(|(_, name)| name).collect())
}

/// The names of those that would run on a database that is not there yet, in their order.
pub fn of_new(target: &Target) -> Result<Vec<String>, MigrateError> {
    let planned = plan(&known()?, &BTreeSet::new(), target)?;
    Ok(planned.into_iter().map(|(_, name)| name).collect())
}

/// Of all migrations of this release, and of those that the database has beyond them, whether they
/// have run; by name, or by version where this release does not know the name, in their order.
pub async fn status(url: &SecretString) -> Result<Vec<(String, Ran)>, MigrateError> {
    let mut conn = pool::connect(url).await?;
    let mut applied = applied(&mut conn).await?;
    let mut all: Vec<(String, String, Ran)> = Vec::new();
    for (version, name) in known()? {
        let ran = if applied.remove(&version) {
            Ran::Yes
        } else {
            Ran::No
        };
        all.push((version, name, ran));
    }
    let unknown = applied.into_iter();
    all.extend(unknown.map(|version| (version.clone(), version, Ran::Unknown)));
    all.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    Ok(all.into_iter().map(|(_, name, ran)| (name, ran)).collect())
}

/// What is to run of what is known, by version and name in their order, where this has run.
fn plan(
    known: &[(String, String)],
    applied: &BTreeSet<String>,
    target: &Target,
) -> Result<Vec<(String, String)>, MigrateError> {
    let is_unknown = |version: &&String| !known.iter().any(|(of, _)| of == *version);
    let unknown: Vec<String> = applied.iter().filter(is_unknown).cloned().collect();
    if !unknown.is_empty() {
        return Err(MigrateError::Newer { unknown });
    }
    let mut known: Vec<(String, String)> = known.to_vec();
    known.sort();
    if let Target::Migration(asked) = target {
        let is_meant = |(version, name): &(String, String)| version == asked || name == asked;
        let Some(end) = known.iter().position(is_meant) else {
            let last = known.pop().map(|(_, name)| name).unwrap_or_default();
            let asked = asked.clone();
            return Err(MigrateError::UnknownTarget { asked, last });
        };
        let beyond = known.split_off(end + 1);
        let mut ran = beyond.into_iter().rev();
        if let Some((_, last)) = ran.find(|(version, _)| applied.contains(version)) {
            let target = known.pop().map(|(_, name)| name).unwrap_or_default();
            return Err(MigrateError::Beyond { target, last });
        }
    }
    known.retain(|(version, _)| !applied.contains(version));
    Ok(known)
}

/// Whether the server answers, and has no database of the name that the URL has. An account that
/// has no grant on it is told so in other words.
pub async fn is_missing(url: &SecretString) -> Result<bool, MigrateError> {
    match pool::connect(url).await {
        Ok(_) => Ok(false),
        Err(error) if error::says_it_is_missing(&error.to_string()) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Runs what is planned, in its order, until one fails. Each is recorded behind its last statement.
async fn run_planned(
    mut conn: Conn,
    lock: &mut Conn,
    planned: &[(String, String)],
    batches: FillSettings,
    tell: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Conn, MigrateError> {
    loop {
        let applied = applied(&mut conn).await?;
        let left = planned
            .iter()
            .filter(|(version, _)| !applied.contains(version));
        let left: Vec<&(String, String)> = left.collect();
        let [(version, name), ..] = left.as_slice() else {
            return Ok(conn);
        };
        if let Some(up) = fills::of(name) {
            fills::run(&mut conn, lock, (name, up), batches, tell).await?;
            record(&mut conn, version).await?;
            continue;
        }
        let others = left
            .iter()
            .take_while(|(_, name)| fills::of(name).is_none());
        let others = others.map(|(version, _)| version.clone()).collect();
        let outcome: Result<(), String>;
        (conn, outcome) = run_together(conn, others).await?;
        match outcome {
            Ok(()) => {}
            // MySQL's ALTER TABLE knows no IF NOT EXISTS. Where a migration was cut off after its
            // statement and before its record, only the record is missing.
            Err(error) if error::says_it_is_altered(&error) => record_next(&mut conn).await?,
            Err(error) => return Err(MigrateError::Failed(error)),
        }
    }
}

/// Runs those of these migrations that have not run, one after the other, until one fails.
async fn run_together(
    conn: Conn,
    versions: BTreeSet<String>,
) -> Result<(Conn, Result<(), String>), MigrateError> {
    // diesel's migrations are synchronous underneath.
    let migrated = tokio::task::spawn_blocking(move || {
        let mut harness = AsyncMigrationHarness::new(conn);
        let pending = harness.pending_migrations(MIGRATIONS);
        let outcome = pending.and_then(|pending| {
            for migration in &pending {
                if versions.contains(&migration.name().version().to_string()) {
                    harness.run_migration(migration.as_ref())?;
                }
            }
            Ok(())
        });
        let outcome = outcome.map_err(|error| error.to_string());
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
    match versions.filter(|version| !applied.contains(version)).min() {
        Some(next) => record(conn, &next).await,
        None => Ok(()),
    }
}

/// Records that a migration has run.
async fn record(conn: &mut Conn, version: &str) -> Result<(), MigrateError> {
    let insert = diesel::insert_into(__diesel_schema_migrations::table);
    insert
        .values(__diesel_schema_migrations::version.eq(version))
        .execute(conn)
        .await?;
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

    fn planned(applied: &[&str], target: &str) -> Result<Vec<String>, MigrateError> {
        // Not in their order, as a folder may be read.
        let known = [("3", "3_c"), ("1", "1_a"), ("2", "2_b")];
        let known = known.map(|(version, name)| (version.to_owned(), name.to_owned()));
        let applied = applied.iter().map(|of| (*of).to_owned()).collect();
        let target = match target {
            "" => Target::Latest,
            asked => Target::Migration(asked.to_owned()),
        };
        let planned = plan(&known, &applied, &target)?;
        Ok(planned.into_iter().map(|(_, name)| name).collect())
    }

    #[test]
    fn a_run_goes_to_its_target_and_no_further() {
        for (applied, target, runs) in [
            (&[][..], "", &["1_a", "2_b", "3_c"][..]),
            (&["1"], "", &["2_b", "3_c"]),
            (&["1", "2", "3"], "", &[]),
            (&[], "2", &["1_a", "2_b"]),
            (&[], "2_b", &["1_a", "2_b"]),
            (&["1"], "2", &["2_b"]),
            (&["1", "2"], "2", &[]),
            (&["1", "2", "3"], "3", &[]),
            // One that came with a merge.
            (&["2"], "2", &["1_a"]),
        ] {
            let planned = planned(applied, target).unwrap();
            assert_eq!(planned, runs, "{applied:?} to {target:?}");
        }
    }

    #[test]
    fn a_target_that_is_none_or_lies_behind_is_refused() {
        for asked in ["4", "2_", "b", "02"] {
            let refused = planned(&["1"], asked).unwrap_err();
            let MigrateError::UnknownTarget { asked: of, last } = refused else {
                panic!("{asked}: {refused}");
            };
            assert_eq!((of.as_str(), last.as_str()), (asked, "3_c"));
        }
        for (applied, asked, last) in [
            (&["1", "2", "3"][..], "2", "3_c"),
            (&["1", "2", "3"], "1_a", "3_c"),
            (&["1", "2"], "1", "2_b"),
        ] {
            let refused = planned(applied, asked).unwrap_err();
            let MigrateError::Beyond { last: of, .. } = refused else {
                panic!("{asked}: {refused}");
            };
            assert_eq!(of, last, "{applied:?} to {asked}");
        }
        let newer = planned(&["1", "9"], "2").unwrap_err();
        assert!(matches!(newer, MigrateError::Newer { .. }), "{newer}");
    }

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
