//! `server/migrations/README.md` says of every migration how MySQL runs it, and what that costs.
//! What MySQL does is asked of MySQL here; the seconds are measured by `server/dev/migrations.sh`.

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use common::TestDatabase;
use diesel_async::{AsyncMysqlConnection, SimpleAsyncConnection};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
const HEAD: &str = "| Migration | Runs | At a million orders |\n|---|---|---|\n";
/// What stands for seconds where the table does not grow with orders.
const SMALL: &str = "few rows";

/// The ways in which MySQL changes a table, the cheapest first, with what each is called.
const WAYS: &[(&str, &str)] = &[
    (", ALGORITHM = INSTANT", "instant"),
    (", ALGORITHM = INPLACE, LOCK = NONE", "in place"),
    (
        ", ALGORITHM = INPLACE, LOCK = SHARED",
        "in place, without writes",
    ),
    ("", "copy"),
];

fn migrations() -> Vec<(String, String)> {
    let entries = std::fs::read_dir(FOLDER).expect("the folder");
    let folders = entries.map(|entry| entry.expect("an entry").path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    folders.sort_unstable();
    let read = |folder: &PathBuf| {
        let name = folder.file_name().and_then(|name| name.to_str());
        let text = std::fs::read_to_string(folder.join("up.sql")).expect("a migration");
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        let statement = lines.join("\n").trim().to_owned();
        (name.expect("text").to_owned(), statement)
    };
    folders.iter().map(read).collect()
}

/// Runs it, in the cheapest way that MySQL has, and says which that is.
async fn run(conn: &mut AsyncMysqlConnection, name: &str, statement: &str) -> &'static str {
    let kind = statement.split_whitespace().next();
    if kind != Some("ALTER") {
        let done = conn.batch_execute(statement).await;
        done.unwrap_or_else(|error| panic!("{name}: {error}"));
        return match kind {
            Some("CREATE") if statement.starts_with("CREATE OR REPLACE VIEW") => "new view",
            Some("CREATE") => "new table",
            Some("DROP") => "table dropped",
            Some("UPDATE") => "fills",
            Some("INSERT") if statement.contains("SELECT ") => "fills",
            Some("INSERT") => "inserts",
            other => panic!("{name} is a {other:?}"),
        };
    }
    for (way, called) in WAYS {
        match conn.batch_execute(&format!("{statement}{way}")).await {
            Ok(()) => return called,
            Err(error) if way.is_empty() => panic!("{name}: {error}"),
            // Not in this way.
            Err(_) => {}
        }
    }
    unreachable!("the last way is any")
}

/// The rows of the table, by migration: how it runs, and what that takes.
fn told(page: &str) -> Vec<(&str, &str, &str)> {
    let (_, rows) = page.split_once(HEAD).expect("the table");
    let rows = rows.lines().take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        match cells.as_slice() {
            [name, runs, takes] => (name.trim_matches('`'), *runs, *takes),
            other => panic!("{other:?}"),
        }
    })
    .collect()
}

fn is_seconds(text: &str) -> bool {
    text.strip_suffix(" s")
        .is_some_and(|number| number.parse::<f64>().is_ok())
}

/// In all, and of the longest batch.
fn is_of_batches(text: &str) -> bool {
    text.split_once(", a batch ")
        .is_some_and(|(all, longest)| is_seconds(all) && is_seconds(longest))
}

#[tokio::test]
async fn each_migration_runs_as_its_row_says() {
    let database = TestDatabase::empty().await;
    let mut conn = database.connect().await;
    let page = std::fs::read_to_string(Path::new(FOLDER).join("README.md")).expect("the page");
    let told = told(&page);
    let mut right = String::from(HEAD);
    for (name, statement) in migrations() {
        let runs = run(&mut conn, &name, &statement).await;
        let takes = told
            .iter()
            .find(|(of, ..)| *of == name)
            .map_or("", |row| row.2);
        let is_measured = match runs {
            "new table" | "new view" | "table dropped" | "instant" => takes.is_empty(),
            "fills" => is_of_batches(takes),
            // More of them would be held until the last is written.
            "inserts" => takes == SMALL,
            _ => is_seconds(takes) || takes == SMALL,
        };
        let takes = if is_measured { takes } else { "measure it" };
        writeln!(right, "| `{name}` | {runs} | {takes} |").expect("a string takes it");
    }
    assert!(
        page.contains(&right) && !right.contains("measure it"),
        "server/migrations/README.md should have, with what server/dev/migrations.sh measures:\n{right}"
    );
}
