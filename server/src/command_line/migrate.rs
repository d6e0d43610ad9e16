//! `belay migrate`: the schema is brought to this release's, or as far as is asked; or it is told
//! how far it is.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;

use super::database::DatabaseArguments;
use crate::db::migrate::{
    self, BATCH_ROWS_DEFAULT, BATCH_ROWS_MAX, FillSettings, MigrateError, Progress, Ran, Target,
};
use crate::identity_keys::{IdentityArguments, check_value};

/// The arguments of `migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    identity: IdentityArguments,
    /// Say which migrations would run, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Run no further than to this migration, by its version or its name, such as 0205: so that
    /// costly ones run one at a time. No server of this release starts before the last has run;
    /// those of the release before go on.
    #[arg(long, value_name = "MIGRATION")]
    to: Option<String>,
    /// Rows that a migration fills at a time, 1 to 100000: it holds their locks together, and a
    /// command on one of their orders waits for as long. Fewer are easier on callers, and take
    /// longer in all.
    #[arg(
        long,
        value_name = "ROWS",
        default_value_t = BATCH_ROWS_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(BATCH_ROWS_MAX))
    )]
    batch_rows: u32,
    /// Say of each migration whether it has run, and change nothing: exit code 1 where one has not.
    #[arg(long, conflicts_with_all = ["dry_run", "to"])]
    status: bool,
}

impl Migrate {
    pub async fn run(self) -> anyhow::Result<()> {
        let url = self.database.url()?;
        if self.status {
            return tell_status(&url).await;
        }
        if self.dry_run {
            return tell_pending(&url, &self.target()).await;
        }
        let keys = self.identity.read()?;
        let check = keys.map(|keys| check_value(keys.first()));
        let batches = FillSettings {
            rows: self.batch_rows,
            ..FillSettings::default()
        };
        migrate(&url, check, &self.target(), batches).await
    }

    fn target(&self) -> Target {
        self.to.clone().map_or(Target::Latest, Target::Migration)
    }
}

/// Brings the schema as far as the target says, and creates the database where it is not there.
pub async fn migrate(
    database_url: &SecretString,
    identity_check: Option<[u8; 32]>,
    target: &Target,
    batches: FillSettings,
) -> anyhow::Result<()> {
    if migrate::is_missing(database_url).await? {
        // What is wrong with the target is told before there is an empty database.
        migrate::of_new(target)?;
        let created = migrate::create_database(database_url).await;
        created.context(
            "the database is not there, and this account cannot create it: CREATE DATABASE, by one that may, with \
             CHARACTER SET utf8mb4",
        )?;
        tracing::info!("the database was not there and is created");
    }
    let ran =
        migrate::run_for(database_url, identity_check, target, batches, tell_progress).await?;
    let left = migrate::pending(database_url, &Target::Latest).await?;
    if left.is_empty() {
        tracing::info!(migrations = ran.len(), "the schema is this version's");
    } else {
        let (ran, left) = (ran.len(), left.len());
        tracing::info!(
            migrations = ran,
            left,
            "the schema is as far as was asked; no server of this version starts on it yet"
        );
    }
    Ok(())
}

/// How far a migration is that fills rows.
fn tell_progress(progress: Progress<'_>) {
    let Progress {
        migration,
        rows,
        rows_about,
        elapsed,
        is_done,
    } = progress;
    let elapsed_s = elapsed.as_secs();
    if is_done {
        tracing::info!(migration, rows, elapsed_s, "rows are filled");
    } else {
        tracing::info!(migration, rows, rows_about, elapsed_s, "filling rows");
    }
}

/// How far the schema is.
async fn tell_status(database_url: &SecretString) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let all = if migrate::is_missing(database_url).await? {
        let names = migrate::of_new(&Target::Latest)?.into_iter();
        names.map(|name| (name, Ran::No)).collect()
    } else {
        migrate::status(database_url).await?
    };
    for (name, ran) in &all {
        let told = match ran {
            Ran::Yes => "has run",
            Ran::No => "has not run",
            Ran::Unknown => "has run, and is of a newer release",
        };
        writeln!(out, "{name}  {told}")?;
    }
    let unknown = all.iter().filter(|(_, ran)| *ran == Ran::Unknown);
    let unknown: Vec<String> = unknown.map(|(version, _)| version.clone()).collect();
    if !unknown.is_empty() {
        return Err(MigrateError::Newer { unknown }.into());
    }
    let left = all.iter().filter(|(_, ran)| *ran == Ran::No).count();
    anyhow::ensure!(left == 0, "{left} of {} migrations have not run", all.len());
    Ok(())
}

/// What `migrate` would do.
async fn tell_pending(database_url: &SecretString, target: &Target) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let pending = if migrate::is_missing(database_url).await? {
        writeln!(out, "the database is not there and would be created")?;
        migrate::of_new(target)?
    } else {
        migrate::pending(database_url, target).await?
    };
    for name in &pending {
        writeln!(out, "would run {name}")?;
    }
    if pending.is_empty() {
        let why = match target {
            Target::Latest => "the schema is this release's",
            Target::Migration(_) => "the schema is as far as was asked",
        };
        writeln!(out, "nothing would run: {why}")?;
    }
    Ok(())
}
