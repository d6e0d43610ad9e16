//! Where the database's CPU goes, by its own account: kinds of statements, and rows read and
//! written by table. What its own threads do, such as purge and the writing of logs, belongs to no
//! statement.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::load::count;

/// Statements that are listed.
const STATEMENTS_MAX: usize = 24;

/// One measurement's account.
#[derive(Debug)]
pub(crate) struct Detail {
    pub(crate) name: String,
    pub(crate) done: u64,
    statements: Vec<Statement>,
    prepares: (u64, u64),
    tables: Vec<TableAccess>,
}

/// Text, how often, and µs of CPU.
type Statement = (String, u64, u64);
/// Table, rows read, inserted, updated.
type TableAccess = (String, u64, u64, u64);

pub(crate) async fn begin(conn: &mut Conn) -> anyhow::Result<()> {
    conn.query_drop(
        "UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' WHERE NAME = 'events_statements_cpu'",
    )
    .await?;
    for table in [
        "events_statements_summary_by_digest",
        "events_statements_summary_global_by_event_name",
        "table_io_waits_summary_by_table",
    ] {
        conn.query_drop(format!("TRUNCATE TABLE performance_schema.{table}"))
            .await?;
    }
    Ok(())
}

/// Of what was done since `begin`, `done` commands in all.
pub(crate) async fn end(conn: &mut Conn, name: String, done: u64) -> anyhow::Result<Detail> {
    let by_digest: Vec<Statement> = conn
        .query(
            "SELECT REPLACE(LEFT(DIGEST_TEXT, 512), '`', ''), COUNT_STAR, CAST(SUM_CPU_TIME / 1000000 AS UNSIGNED) \
             FROM performance_schema.events_statements_summary_by_digest \
             WHERE DIGEST_TEXT IS NOT NULL AND SCHEMA_NAME = DATABASE() ORDER BY SUM_CPU_TIME DESC",
        )
        .await?;
    let mut statements: Vec<Statement> = Vec::new();
    for (text, times, us) in by_digest {
        let text = kind(&text);
        match statements.iter_mut().find(|known| known.0 == text) {
            Some((_, all, all_us)) => (*all, *all_us) = (*all + times, *all_us + us),
            None => statements.push((text, times, us)),
        }
    }
    statements.sort_by_key(|(_, _, us)| std::cmp::Reverse(*us));
    let prepares: Option<(u64, u64)> = conn
        .query_first(
            "SELECT COUNT_STAR, CAST(SUM_CPU_TIME / 1000000 AS UNSIGNED) \
             FROM performance_schema.events_statements_summary_global_by_event_name \
             WHERE EVENT_NAME = 'statement/com/Prepare'",
        )
        .await?;
    let tables = conn
        .query(
            "SELECT OBJECT_NAME, COUNT_FETCH, COUNT_INSERT, COUNT_UPDATE \
             FROM performance_schema.table_io_waits_summary_by_table \
             WHERE OBJECT_SCHEMA = DATABASE() AND COUNT_STAR > 0 ORDER BY OBJECT_NAME",
        )
        .await?;
    Ok(Detail {
        name,
        done,
        statements,
        prepares: prepares.unwrap_or_default(),
        tables,
    })
}

impl Detail {
    /// Tables of text, one line each entry.
    pub(crate) fn lines(&self) -> Vec<String> {
        let per_command = |n: u64| count(n) / count(self.done);
        let mut lines = vec![
            format!("{}: {} commands", self.name, self.done),
            format!(
                "  {:>16} {:>12} {:>14}",
                "CPU µs a command", "times", "µs a statement"
            ),
        ];
        let rest: u64 = self
            .statements
            .iter()
            .skip(STATEMENTS_MAX)
            .map(|(_, _, us)| us)
            .sum();
        let prepare = (
            "(preparing statements)".to_owned(),
            self.prepares.0,
            self.prepares.1,
        );
        let others = ("(all others)".to_owned(), 0, rest);
        for (text, times, us) in self
            .statements
            .iter()
            .take(STATEMENTS_MAX)
            .chain([&prepare, &others])
        {
            let each = if *times == 0 {
                0.0
            } else {
                count(*us) / count(*times)
            };
            lines.push(format!(
                "  {:>16.1} {times:>12} {each:>14.1}  {}",
                per_command(*us),
                shorten(text)
            ));
        }
        lines.push(format!(
            "  {:<20} {:>8} {:>9} {:>8}  rows a command",
            "table", "read", "inserted", "updated"
        ));
        for (table, read, inserted, updated) in &self.tables {
            let [read, inserted, updated] = [read, inserted, updated].map(|n| per_command(*n));
            lines.push(format!(
                "  {table:<20} {read:>8.2} {inserted:>9.2} {updated:>8.2}"
            ));
        }
        lines
    }
}

/// What a statement is listed as. Changes of one table are one kind: their texts have as many
/// choices as there are rows.
fn kind(text: &str) -> String {
    let words: Vec<&str> = text.splitn(4, ' ').collect();
    match words.as_slice() {
        ["UPDATE", table, ..] => format!("UPDATE {table}"),
        ["INSERT", "INTO", table, ..] => format!("INSERT INTO {table}"),
        _ => text.to_owned(),
    }
}

/// Begin and end say which statement it is; the middle is a list of columns.
fn shorten(text: &str) -> String {
    const BEGIN: usize = 40;
    const END: usize = 48;
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= BEGIN + END {
        return text.to_owned();
    }
    let begin: String = characters[..BEGIN].iter().collect();
    let end: String = characters[characters.len() - END..].iter().collect();
    format!("{begin} … {end}")
}
