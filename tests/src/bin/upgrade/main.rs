//! `make upgrade`: a release of before and this one on one database, under load, on this machine.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

use std::path::PathBuf;
use std::process::ExitCode;

use belay_tests::instance::{Instance, session};
use belay_tests::invariants;
use belay_tests::upgrade::{Release, roll};
use clap::Parser;
use mysql_async::prelude::Queryable as _;

/// Replaces servers of one release by those of another under load, and back where the older one can
/// be told of the newer schema.
#[derive(Debug, Parser)]
struct Args {
    /// The program of the older release.
    #[arg(long, value_name = "FILE")]
    before: PathBuf,
    /// The program of the newer release.
    #[arg(long, value_name = "FILE")]
    after: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Servers and database end with what holds them, which a signal would not let go of.
    tokio::select! {
        code = run(args) => code,
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

async fn run(args: Args) -> ExitCode {
    let before = Release::of(&args.before);
    let after = Release::of(&args.after);
    let mysqld = Instance::bare(Vec::new()).await;
    let mut root = session(&mysqld.root_url()).await;
    let created = root.query_drop("CREATE DATABASE belay").await;
    created.expect("a database can be created");
    let url = mysqld.url();
    before.migrate(&url).await;
    let pending = after.pending(&url).await;
    let back = before
        .can_allow(&url)
        .await
        .then(|| before.allowing(&pending));
    eprintln!("{} migrations come: {}", pending.len(), pending.join(", "));
    if back.is_none() {
        eprintln!("servers of before cannot be told of a newer schema: nothing is rolled back");
    }
    let database = mysqld.database().await;
    let migrate = async || after.migrate(&url).await;
    let rolled = roll(&database, [&before, &after], back.as_ref(), migrate).await;
    let violations = invariants::violations(&database).await;

    eprintln!("{} orders, {}", rolled.orders, rolled.counts);
    eprintln!("everything that was acknowledged is there, once");
    eprintln!("invariants that are broken: {}", violations.len());
    for line in rolled.failures.iter().chain(&violations) {
        eprintln!("  {line}");
    }
    if rolled.failed == 0 && violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
