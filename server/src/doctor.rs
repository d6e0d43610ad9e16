//! `belay doctor`: whether this machine, this account and this database are fit for `belay serve`, each
//! finding with what mends it. It reads, and writes nothing.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::command_line::database::DatabaseArguments;
use crate::db::{Conn, DbError, checkup, migrate, pool, probe};
use crate::grants::GrantSet;

/// A clock that is further off than this is told: times that callers bring would be refused as those of
/// the future.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(1);
/// The oldest MySQL with all that the statements ask for.
const MYSQL_MIN: (u32, u32) = (8, 0);
/// At least one finding keeps it from serving.
const EXIT_UNFIT: u8 = 1;

/// The arguments of `belay doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    database: DatabaseArguments,
    /// Connections that each server is to have, as `serve` is told.
    #[arg(long, env = "BELAY_DATABASE_CONNECTIONS", default_value_t = 16)]
    database_connections: u32,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    Fine,
    /// It serves, and somebody should know.
    Warning,
    /// It cannot serve, or not all calls.
    Fatal,
}

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub weight: Weight,
    pub what: String,
    /// What mends it; empty where nothing is to be mended.
    pub mend: String,
}

impl Finding {
    fn fine(what: impl Into<String>) -> Self {
        Self {
            weight: Weight::Fine,
            what: what.into(),
            mend: String::new(),
        }
    }

    fn warning(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            weight: Weight::Warning,
            what: what.into(),
            mend: mend.into(),
        }
    }

    fn fatal(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            weight: Weight::Fatal,
            ..Self::warning(what, mend)
        }
    }
}

impl Doctor {
    /// Looks, and prints a line for each finding.
    pub async fn run(&self) -> ExitCode {
        let findings = match self.database.url() {
            Ok(url) => match pool::connect(&url).await {
                Ok(mut conn) => self.look(&mut conn).await,
                Err(error) => vec![Finding::fatal(
                    format!("the database cannot be reached: {error}"),
                    "check the URL, the account and the network; --database-tls where it wants TLS",
                )],
            },
            Err(error) => vec![Finding::fatal(error.to_string(), "name the database")],
        };
        let mut out = std::io::stdout().lock();
        for finding in &findings {
            let word = match finding.weight {
                Weight::Fine => "ok",
                Weight::Warning => "warning",
                Weight::Fatal => "FATAL",
            };
            let mend = match finding.mend.as_str() {
                "" => String::new(),
                mend => format!("; mend: {mend}"),
            };
            // Where nobody reads it, the exit code still says it.
            let _ = writeln!(out, "{word:<8} {}{mend}", finding.what);
        }
        let is_unfit = findings.iter().any(|of| of.weight == Weight::Fatal);
        ExitCode::from(if is_unfit { EXIT_UNFIT } else { 0 })
    }

    async fn look(&self, conn: &mut Conn) -> Vec<Finding> {
        let mut findings = vec![looked("the version", version(conn).await)];
        findings.push(looked("durability", durability(conn).await));
        findings.push(looked("the binary log", binary_log(conn).await));
        findings.push(looked("connections", self.connections(conn).await));
        findings.push(looked("the clock", clock(conn).await));
        let schema = schema(conn).await;
        let is_there = schema.weight == Weight::Fine;
        findings.push(schema);
        // Without its tables there are no grants to try.
        if is_there {
            findings.extend(grants(conn, GrantSet::Serve).await);
            findings.extend(grants(conn, GrantSet::Retention).await);
        }
        findings
    }

    async fn connections(&self, conn: &mut Conn) -> Result<Finding, DbError> {
        let max = checkup::variable(conn, "max_connections").await?;
        let used = checkup::status(conn, "Threads_connected").await?;
        let number = |text: Option<String>| text.and_then(|text| text.parse::<u32>().ok());
        let (Some(max), Some(used)) = (number(max), number(used)) else {
            return Ok(Finding::warning(
                "the database does not say how many connections it takes",
                "see to it that there are enough",
            ));
        };
        let free = max.saturating_sub(used);
        let what = format!("{free} of {max} connections are free");
        Ok(if free < self.database_connections {
            let wanted = self.database_connections;
            let mend =
                format!("raise max_connections, or lower --database-connections from {wanted}");
            Finding::warning(what, mend)
        } else {
            Finding::fine(what)
        })
    }
}

/// What could not be looked at is a finding as well.
fn looked(what: &str, found: Result<Finding, DbError>) -> Finding {
    found.unwrap_or_else(|error| {
        Finding::warning(
            format!("{what} could not be looked at: {error}"),
            "see the error",
        )
    })
}

async fn version(conn: &mut Conn) -> Result<Finding, DbError> {
    Ok(of_version(&checkup::version(conn).await?))
}

fn of_version(version: &str) -> Finding {
    if version.contains("MariaDB") {
        let what = format!("the database is {version}");
        return Finding::warning(what, "releases are tried on MySQL");
    }
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let found = (numbers.next().flatten(), numbers.next().flatten());
    let what = format!("the database is MySQL {version}");
    match found {
        (Some(major), Some(minor)) if (major, minor) >= MYSQL_MIN => Finding::fine(what),
        (Some(_), Some(_)) => {
            let (major, minor) = MYSQL_MIN;
            Finding::fatal(what, format!("MySQL {major}.{minor} or later"))
        }
        (None, _) | (_, None) => Finding::warning(what, "a version that can be read"),
    }
}

async fn durability(conn: &mut Conn) -> Result<Finding, DbError> {
    Ok(match probe::durability(conn).await?.reductions() {
        None => Finding::fine("an acknowledged commit is on the disk"),
        Some(reductions) => Finding::warning(
            format!("a crash of the database's machine may lose acknowledged writes: {reductions}"),
            "SET PERSIST innodb_flush_log_at_trx_commit = 1, sync_binlog = 1",
        ),
    })
}

/// Transactions are READ COMMITTED, which a log of statements does not take.
async fn binary_log(conn: &mut Conn) -> Result<Finding, DbError> {
    let format = checkup::variable(conn, "binlog_format").await?;
    Ok(match format.as_deref() {
        Some("STATEMENT") => Finding::fatal(
            "binlog_format is STATEMENT, under which no transaction of Belay can write",
            "SET PERSIST binlog_format = ROW",
        ),
        Some(_) | None => Finding::fine("the binary log takes READ COMMITTED"),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this machine's clock is what is looked at"
)]
async fn clock(conn: &mut Conn) -> Result<Finding, DbError> {
    let before = Timestamp::now();
    let theirs = checkup::now(conn).await?;
    let after = Timestamp::now();
    Ok(of_clocks(before, theirs, after))
}

/// By how much the database's clock lies outside of the time in which it was asked.
fn of_clocks(before: Timestamp, theirs: Timestamp, after: Timestamp) -> Finding {
    let early = before.duration_since(theirs);
    let late = theirs.duration_since(after);
    let skew = early.max(late).max(SignedDuration::ZERO);
    if skew <= SKEW_MAX {
        return Finding::fine("the clocks agree");
    }
    let direction = if early > late { "behind" } else { "ahead of" };
    Finding::warning(
        format!("the database's clock is {skew:#} {direction} this machine's"),
        "synchronise both: NTP",
    )
}

async fn schema(conn: &mut Conn) -> Finding {
    match migrate::check(conn).await {
        Ok(()) => Finding::fine("the schema is this release's"),
        Err(error) => Finding::fatal(
            error.to_string(),
            "run `belay migrate` of the release that is to serve",
        ),
    }
}

/// One finding for each statement that the account may not make, or one that it may make all.
async fn grants(conn: &mut Conn, set: GrantSet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (privileges, table) in set.of_tables() {
        for privilege in privileges {
            if let Err(error) = granted(conn, privilege, table).await {
                findings.push(lacking(set, privilege, table, &error));
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine(format!(
            "the account has the grants of {}",
            set.name()
        )));
    }
    findings
}

fn lacking(set: GrantSet, privilege: &str, table: &str, error: &DbError) -> Finding {
    let what = format!("the account may not {privilege} {table}: {error}");
    let mend = format!(
        "GRANT {privilege} ON {table}: `belay grants {}` has all",
        set.name()
    );
    // Without them it serves, and keeps everything for ever.
    if set == GrantSet::Retention {
        return Finding::warning(what, mend);
    }
    Finding::fatal(what, mend)
}

async fn granted(conn: &mut Conn, privilege: &str, table: &str) -> Result<(), DbError> {
    let statement = match privilege {
        "SELECT" => format!("SELECT 1 FROM `{table}` WHERE FALSE"),
        "INSERT" => format!("INSERT INTO `{table}` SELECT * FROM `{table}` WHERE FALSE"),
        "DELETE" => format!("DELETE FROM `{table}` WHERE FALSE"),
        _ => {
            let Some(column) = checkup::some_column(conn, table).await? else {
                return Ok(());
            };
            format!("UPDATE `{table}` SET `{column}` = `{column}` WHERE FALSE")
        }
    };
    checkup::may(conn, &statement).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (version, weight) in [
            ("8.0.36", Weight::Fine),
            ("9.7.4-log", Weight::Fine),
            ("5.7.44", Weight::Fatal),
            ("11.4.2-MariaDB-ubu2404", Weight::Warning),
            ("odd", Weight::Warning),
        ] {
            assert_eq!(of_version(version).weight, weight, "{version}");
        }
    }

    #[test]
    fn a_clock_counts_as_off_beyond_the_time_of_the_question() {
        let at = |seconds: i64| Timestamp::from_second(1_000 + seconds).unwrap();
        for (theirs, weight) in [
            (at(-1), Weight::Fine),
            (at(-2), Weight::Warning),
            (at(3), Weight::Fine),
            (at(4), Weight::Warning),
        ] {
            let found = of_clocks(at(0), theirs, at(2));
            assert_eq!(found.weight, weight, "{found:?}");
        }
    }

    #[test]
    fn every_grant_is_tried_by_a_statement_of_its_own() {
        for set in [GrantSet::Serve, GrantSet::Retention] {
            let tables = set.of_tables();
            assert!(!tables.is_empty());
            for (privileges, table) in tables {
                assert!(!privileges.is_empty(), "{table}");
                let known = ["SELECT", "INSERT", "UPDATE", "DELETE"];
                assert!(privileges.iter().all(|of| known.contains(of)), "{table}");
            }
        }
    }
}
