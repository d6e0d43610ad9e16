//! `belay verify`: whether the rows of the feed, and of the histories of orders, are those that
//! were written. It follows the chain of each partition (`belay_domain::chain`) from its first row
//! to its head, with a page of rows in memory, and reads only.

mod anchor;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use belay_domain::chain::{Break, ChainKey, Walk};
use clap::Args;

pub use self::anchor::{Anchor, AnchorError, Anchored};
use crate::command_line::database::DatabaseArguments;
use crate::db::partition_heads::{self, Head};
use crate::db::{Conn, DbError, chains, migrate, pool, settings, transaction};
use crate::identity_keys::{IdentityArguments, IdentityKeys, Whereabouts};

/// Rows of one page.
const PAGE_ROWS: u16 = 200;
/// Rows between two lines that say how far it is.
const PROGRESS_ROWS: u64 = 500_000;

/// Some partition is not as it was written.
const EXIT_BROKEN: u8 = 1;
/// It could not be looked at.
const EXIT_UNKNOWN: u8 = 2;

/// The arguments of `belay verify`.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    database: DatabaseArguments,
    #[command(flatten)]
    identity: IdentityArguments,
    /// A file that is kept away from the database: the heads that are found are held against those
    /// in it, and written to it where all is whole. Where it is not there yet, it is made.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
}

/// The report of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Rows that the chains hold.
    pub chained: u64,
    /// Rows of a release that knew of no chain.
    pub unmarked: u64,
    /// Chained rows whose buyer was erased.
    pub erased: u64,
    /// Rows of partitions that there are not.
    pub astray: u64,
    /// The first place in each partition that is not as it was written.
    pub broken: Vec<(u16, Break)>,
    /// As far as each partition is whole, for the next time.
    pub anchor: Anchor,
}

impl Report {
    pub fn is_whole(&self) -> bool {
        self.broken.is_empty() && self.astray == 0
    }
}

impl Verify {
    /// Looks, and prints what it finds.
    pub async fn run(&self) -> ExitCode {
        match self.look().await {
            Ok(report) if report.is_whole() => ExitCode::SUCCESS,
            Ok(_) => ExitCode::from(EXIT_BROKEN),
            Err(error) => {
                print_error(&error);
                ExitCode::from(EXIT_UNKNOWN)
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Report> {
        let before = match &self.anchor {
            Some(file) => Anchor::read(file)?,
            None => Anchor::default(),
        };
        let mut conn = pool::connect(&self.database.url()?)
            .await
            .context("the database cannot be reached")?;
        migrate::check(&mut conn).await?;
        let stored = settings::read(&mut conn).await?.identity;
        let (keys, whereabouts) = IdentityKeys::of(&stored, self.identity.read()?)?;
        let report = verify(&mut conn, &keys.chain_keys(), &before).await?;
        let mut out = std::io::stdout().lock();
        for (partition, broken) in &report.broken {
            writeln!(out, "partition {partition}: {broken}")?;
        }
        if report.astray > 0 {
            writeln!(out, "{} rows are of no partition", report.astray)?;
        }
        writeln!(
            out,
            "{} rows are {}, {} of them erased; {} are of a release without a chain",
            report.chained,
            if report.is_whole() {
                "whole"
            } else {
                "followed"
            },
            report.erased,
            report.unmarked,
        )?;
        if whereabouts == Whereabouts::InDatabase {
            writeln!(
                out,
                "the key is in the database: who can change rows can make up their chain"
            )?;
        }
        if let Some(file) = self.anchor.as_ref().filter(|_| report.is_whole()) {
            report.anchor.write(file)?;
        }
        Ok(report)
    }
}

fn print_error(error: &anyhow::Error) {
    // Where nobody reads it, the exit code says it.
    let _ = writeln!(std::io::stderr(), "belay: {error:#}");
}

/// Follows every partition. Each is read from one moment, while servers go on.
pub async fn verify(
    conn: &mut Conn,
    keys: &[ChainKey],
    before: &Anchor,
) -> Result<Report, DbError> {
    let mut report = Report::default();
    let partitions: Vec<u16> = partition_heads::all(conn)
        .await?
        .into_iter()
        .map(|(partition, _)| partition)
        .collect();
    for partition in &partitions {
        transaction::begin_snapshot(conn).await?;
        let walked = partition_in(conn, *partition, keys, before, &mut report).await;
        // Nothing was written; a connection that cannot say so is not used again.
        transaction::rollback(conn).await?;
        if let Some(broken) = walked? {
            report.broken.push((*partition, broken));
        }
    }
    let count = u16::try_from(partitions.len()).unwrap_or(u16::MAX);
    report.astray = chains::rows_of_no_partition(conn, count).await?;
    Ok(report)
}

async fn partition_in(
    conn: &mut Conn,
    partition: u16,
    keys: &[ChainKey],
    before: &Anchor,
    report: &mut Report,
) -> Result<Option<Break>, DbError> {
    let Some(head) = partition_heads::find(conn, partition).await? else {
        return Err(DbError::Corrupt(format!(
            "partition {partition} has no head"
        )));
    };
    let mut walk = Walk::new(keys);
    let walked = walk_to(conn, partition, head, &mut walk, before).await?;
    let rows = report.chained + report.unmarked;
    report.chained += walk.chained;
    report.unmarked += walk.unmarked;
    report.erased += walk.erased;
    let now = report.chained + report.unmarked;
    if now / PROGRESS_ROWS > rows / PROGRESS_ROWS {
        tracing::info!(rows = now, partition, "verifying");
    }
    if walked.is_ok() {
        report.anchor.set(partition, Anchored::of(&walk));
    }
    Ok(walked.err())
}

/// The outer error is the database's, the inner one what was found in it.
async fn walk_to(
    conn: &mut Conn,
    partition: u16,
    head: Head,
    walk: &mut Walk<'_>,
    before: &Anchor,
) -> Result<Result<(), Break>, DbError> {
    let anchored = before.of(partition);
    let check_anchor = |walk: &Walk<'_>| match anchored {
        Some(anchored) if anchored.position == walk.position => anchored.check(walk),
        Some(_) | None => Ok(()),
    };
    loop {
        let rows = chains::rows_after(conn, partition, walk.position, PAGE_ROWS).await?;
        for row in &rows {
            let taken = walk.take(row).and_then(|()| check_anchor(walk));
            if taken.is_err() {
                return Ok(taken);
            }
        }
        if rows.len() < usize::from(PAGE_ROWS) {
            break;
        }
    }
    let ended = walk.end(head.position, head.chain);
    let is_behind = anchored.is_some_and(|anchored| anchored.position > walk.position);
    Ok(ended.and(if is_behind {
        Err(Break::Anchor {
            position: walk.position,
        })
    } else {
        Ok(())
    }))
}
