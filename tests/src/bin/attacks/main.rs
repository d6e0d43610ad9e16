//! `make attacks`: what was done to a running server when its security was tried, done again, with
//! figures: what the attack was answered, and how much memory the server had more than before, at
//! most and 30 seconds after.
//!
//! The attacks have the numbers that docs/attacks.md gives them. What a test can hold without a
//! figure is a test, and not here. It needs `BELAY_TEST_DATABASE_URL`, and tries the program that
//! is built beside it or the one that `BELAY_TEST_PROGRAM` names.

#![cfg_attr(not(test), warn(clippy::too_many_lines))]

mod floods;
mod logins;
mod orders;
mod pages;
mod victim;

use std::process::ExitCode;

use belay_tests::database::Database;
use belay_tests::process::built;
use clap::Parser;

use self::victim::{MIB, Row, Start, Victim};

/// Above what an idle server has, at most; and what it may keep of that 30 s after.
const MEMORY_MAX: u64 = 128 * MIB;
const MEMORY_KEPT_MAX: u64 = 32 * MIB;

/// Attacks a server as it is started by default, and prints a row for each attack.
#[derive(Debug, Parser)]
struct Args {
    /// Attacks whose names have this in them, and no others.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
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
    eprintln!("{} is attacked", built("belay").display());
    let database = Database::create().await;
    orders::prepare(&database).await;
    let mut attacks = Attacks {
        database,
        only: args.only,
        rows: Vec::new(),
    };
    attacks.on_the_port().await;
    attacks.of_callers().await;
    attacks.database.remove().await;
    print(&attacks.rows);
    if attacks.rows.iter().all(Row::is_good) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The attacks, and what came of them so far.
struct Attacks {
    database: Database,
    only: String,
    rows: Vec<Row>,
}

impl Attacks {
    async fn on_the_port(&mut self) {
        let name = "1: health checks that are never sent whole";
        self.attack(name, Start::Usual, floods::checks).await;
        let name = "1: requests that are never sent whole, 32 connections";
        self.attack(name, Start::Usual, floods::requests).await;
        let name = "1: calls that stay at their headers, 32 connections";
        self.attack(name, Start::Usual, floods::headers).await;
        let name = "2: 120 silent connections, 80 descriptors";
        self.attack(name, Start::FewDescriptors, floods::descriptors)
            .await;
        let name = "2: 1,000 silent connections and 200 half prefaces";
        self.attack(name, Start::Usual, floods::silent).await;
        let name = "13: wrong tokens";
        self.attack(name, Start::KeyFile, logins::guesses).await;
    }

    async fn of_callers(&mut self) {
        let name = "3, 4: 24 readers of the largest pages beside a writer";
        self.attack(name, Start::Usual, pages::readers).await;
        let name = "7: the longest texts about one unit, again and again";
        self.attack(name, Start::Usual, orders::texts).await;
        let name = "14: orders of others and orders that are not there";
        self.attack(name, Start::Usual, orders::foreign).await;
        let name = "15: 60 pages that are never read";
        self.attack(name, Start::Usual, pages::unread).await;
        let name = "15: as many on each of 16 connections";
        self.attack(name, Start::Usual, pages::unread_by_many).await;
        let name = "16: previews with a million paths";
        self.attack(name, Start::Usual, floods::paths).await;
        let name = "16: orders of 500,000 empty lines";
        self.attack(name, Start::Usual, floods::lines).await;
    }

    async fn attack(
        &mut self,
        name: &'static str,
        start: Start,
        attack: impl AsyncFnOnce(&Victim) -> String,
    ) {
        if name.contains(&self.only) {
            let victim = Victim::start(&self.database, start).await;
            let row = victim.attacked(name, attack).await;
            eprintln!("{row}");
            self.rows.push(row);
        }
    }
}

/// As a table of Markdown.
#[expect(clippy::print_stdout, reason = "the table is what is asked for")]
fn print(rows: &[Row]) {
    println!(
        "| Attack | MiB idle | more, at most | more, 30 s after | Came |\n|---|---|---|---|---|"
    );
    for row in rows {
        println!("{row}");
    }
}
