//! Checks of a database and an account: the version, how it keeps what it acknowledges,
//! its clock, its schema, and each statement that serving makes.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::db::address::ReplicationState;
use crate::db::{Conn, DbError, ErrorKind, checkup, migrate, probe, writable};
use crate::grants::GrantSet;

/// A clock that is further off than this is told: times that callers bring would be refused as
/// those of the future.
const SKEW_MAX: SignedDuration = SignedDuration::from_secs(1);
/// The oldest MySQL with all that the statements ask for.
const MYSQL_MIN: (u32, u32) = (8, 0);

pub(super) async fn version(conn: &mut Conn) -> Result<Finding, DbError> {
    Ok(of_version(&checkup::version(conn).await?))
}

fn of_version(version: &str) -> Finding {
    if version.contains("MariaDB") {
        let what = format!("the database is {version}");
        return Finding::warning(what, "MySQL: releases are tried on it alone");
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

pub(super) async fn durability(conn: &mut Conn) -> Result<Finding, DbError> {
    Ok(match probe::durability(conn).await?.reductions() {
        None => Finding::fine("an acknowledged commit is on the disk"),
        Some(reductions) => Finding::warning(
            format!(
                "reduced durability: a crash of the database's machine may lose acknowledged writes: {reductions}"
            ),
            "SET PERSIST innodb_flush_log_at_trx_commit = 1, sync_binlog = 1",
        ),
    })
}

/// Transactions are READ COMMITTED, which a log of statements does not take.
pub(super) async fn isolation(conn: &mut Conn) -> Result<Finding, DbError> {
    let isolation = checkup::session_isolation(conn).await?;
    if isolation != "READ-COMMITTED" {
        return Ok(Finding::fatal(
            format!("transactions are {isolation}, though Belay asks for READ COMMITTED"),
            "take out what changes the isolation of sessions: init_connect, or a proxy in between",
        ));
    }
    let format = checkup::variable(conn, "binlog_format").await?;
    Ok(match format.as_deref() {
        Some("STATEMENT") => Finding::fatal(
            "binlog_format is STATEMENT, under which no transaction of Belay can write",
            "SET PERSIST binlog_format = ROW",
        ),
        Some(_) | None => {
            Finding::fine("transactions are READ COMMITTED, and the binary log takes them")
        }
    })
}

/// Whether more than one member takes writes, and whether this one does.
pub(super) async fn writers(conn: &mut Conn) -> Result<Finding, DbError> {
    if let Some(why) = ReplicationState::read(conn).await?.several_writers {
        return Ok(Finding::fatal(
            format!("several members of the database take writes: {why}"),
            "SELECT group_replication_switch_to_single_primary_mode(); or lead all who write to a store to one \
             member, and serve with --several-primaries",
        ));
    }
    Ok(match writable::check(conn).await {
        Ok(()) => Finding::fine("one member takes writes, this one"),
        Err(error) if error.kind() == ErrorKind::ReadOnly => Finding::fatal(
            "the database takes no writes",
            "name the primary in the URL, or all members of its group",
        ),
        Err(error) => return Err(error),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this machine's clock is what is looked at"
)]
pub(super) async fn clock(conn: &mut Conn) -> Result<Finding, DbError> {
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

/// How many connections there are beside those that are wanted.
pub(super) async fn connections(conn: &mut Conn, wanted: u32) -> Result<Finding, DbError> {
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
    Ok(if free < wanted {
        let fix = format!("raise max_connections, or lower --database-connections from {wanted}");
        Finding::warning(what, fix)
    } else {
        Finding::fine(what)
    })
}

pub(super) async fn schema(conn: &mut Conn, allowed: &BTreeSet<String>) -> Finding {
    match migrate::check_allowing(conn, allowed).await {
        Ok(newer) if newer.is_empty() => Finding::fine("the schema is this release's"),
        Ok(newer) => Finding::warning(
            format!(
                "the schema is newer than this release, by {}, which are allowed",
                newer.join(", ")
            ),
            "go over to the newer release",
        ),
        Err(error) => Finding::fatal(
            error.to_string(),
            "run `belay migrate` of the release that is to serve",
        ),
    }
}

/// One finding for each statement that the account may not make, or one that it may make all. All
/// are made at once, rolled back; only where that fails one after the other.
pub(super) async fn grants(conn: &mut Conn, set: GrantSet) -> Result<Vec<Finding>, DbError> {
    let columns = checkup::first_columns(conn).await?;
    let mut statements = Vec::new();
    for (privileges, table) in set.of_tables() {
        // Who may do nothing with a table does not see its columns.
        let column = columns.get(table).map_or("unseen", String::as_str);
        for privilege in privileges {
            statements.push((privilege, table, statement(privilege, table, column)));
        }
    }
    let all: Vec<&str> = statements.iter().map(|(_, _, of)| of.as_str()).collect();
    let mut findings = Vec::new();
    if checkup::may(conn, &all.join("; ")).await.is_err() {
        for (privilege, table, statement) in &statements {
            match checkup::may(conn, statement).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Denied => {
                    findings.push(lacking(set, privilege, table, &error));
                }
                // Of the others one tells as much as all.
                Err(error) if error.kind() == ErrorKind::ReadOnly => {
                    return Ok(vec![Finding::read_only(&error)]);
                }
                Err(error) => return Err(error),
            }
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine(format!(
            "the account has the grants of {}",
            set.name()
        )));
    }
    Ok(findings)
}

/// Without them orders are served, and the stock and the rates of sellers stand still.
fn is_of_projections(table: &str) -> bool {
    table.starts_with("projection") || table.starts_with("stock_") || table.starts_with("seller_")
}

fn lacking(set: GrantSet, privilege: &str, table: &str, error: &DbError) -> Finding {
    let what = format!("the account may not {privilege} {table}: {error}");
    let fix = format!(
        "GRANT {privilege} ON {table}: `belay grants {}` has all",
        set.name()
    );
    // Without those of retention it serves, and keeps everything for ever.
    if set == GrantSet::Retention || is_of_projections(table) {
        return Finding::warning(what, fix);
    }
    Finding::fatal(what, fix)
}

/// It finds no row, and is checked in full.
fn statement(privilege: &str, table: &str, column: &str) -> String {
    match privilege {
        "SELECT" => format!("SELECT 1 FROM `{table}` WHERE FALSE"),
        "INSERT" => format!("INSERT INTO `{table}` SELECT * FROM `{table}` WHERE FALSE"),
        "DELETE" => format!("DELETE FROM `{table}` WHERE FALSE"),
        "UPDATE" => format!("UPDATE `{table}` SET `{column}` = `{column}` WHERE FALSE"),
        other => panic!("no statement asks for {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Weight;
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
