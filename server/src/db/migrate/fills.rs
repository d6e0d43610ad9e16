//! Fills: migrations that write a value into the rows that lack it, which may be all of a large
//! table. They run in batches, so that a command waits for the rows of one batch at most.
//!
//! The file of a fill is one statement that any client could run: `UPDATE table [AS name] … WHERE
//! rows that lack the value`, or `INSERT IGNORE INTO another (…) SELECT … FROM table [AS name] …
//! WHERE rows that make one`; what is in parentheses before may have a WHERE of its own. Here it
//! runs once for each range of the table's primary key, and each run commits by itself. How far it
//! is, is written nowhere: a run that was cut off begins at the first key again, and its condition,
//! or IGNORE, passes over what is filled.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text, Unsigned};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tokio::time::{Instant, sleep};

use super::{LOCK_WAIT_S, MigrateError};
use crate::db::{Conn, DbError, ErrorKind};

/// Rows of one batch.
pub const BATCH_ROWS_DEFAULT: u32 = 1_000;
pub const BATCH_ROWS_MAX: u32 = 100_000;

/// How long a batch waits for a locked row before it lets go of its own, in seconds: commands may
/// wait for those.
const BATCH_LOCK_WAIT_S: u32 = 2;
/// How often a batch is tried that meets locked rows, or a deadlock.
const BATCH_ATTEMPTS_MAX: u32 = 150;
/// Between two batches, and before one is tried again: others have the database to themselves.
const BATCH_PAUSE: Duration = Duration::from_millis(2);
/// Least time between two tellings of how far a fill is.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Each fill, with its statement; a test finds those that are not here.
const FILLS: &[(&str, &str)] = &[
    (
        "0028_copy_waits_of_gates",
        include_str!("../../../migrations/0028_copy_waits_of_gates/up.sql"),
    ),
    (
        "0042_fill_order_lines",
        include_str!("../../../migrations/0042_fill_order_lines/up.sql"),
    ),
    (
        "0046_fill_parts",
        include_str!("../../../migrations/0046_fill_parts/up.sql"),
    ),
    (
        "0048_fill_gates",
        include_str!("../../../migrations/0048_fill_gates/up.sql"),
    ),
    (
        "0061_pack_events",
        include_str!("../../../migrations/0061_pack_events/up.sql"),
    ),
    (
        "0272_fill_units_of_shipments",
        include_str!("../../../migrations/0272_fill_units_of_shipments/up.sql"),
    ),
    (
        "0273_fill_units_of_cancellation_parts",
        include_str!("../../../migrations/0273_fill_units_of_cancellation_parts/up.sql"),
    ),
    (
        "0292_fill_stock_orders",
        include_str!("../../../migrations/0292_fill_stock_orders/up.sql"),
    ),
    (
        "0293_fill_stock_holders",
        include_str!("../../../migrations/0293_fill_stock_holders/up.sql"),
    ),
];

/// The settings of the batches of a fill.
#[derive(Debug, Clone, Copy)]
pub struct FillSettings {
    /// Rows that a batch goes through, and may hold the locks of: 1 to [`BATCH_ROWS_MAX`].
    pub rows: u32,
    /// How often a batch is tried that meets locked rows, at least once. Each try waits 2 s for
    /// them.
    pub attempts_max: u32,
    /// Least time between two tellings of how far it is.
    pub tell_every: Duration,
}

impl Default for FillSettings {
    fn default() -> Self {
        Self {
            rows: BATCH_ROWS_DEFAULT,
            attempts_max: BATCH_ATTEMPTS_MAX,
            tell_every: TELL_EVERY,
        }
    }
}

/// The progress of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The name of the migration.
    pub migration: &'a str,
    /// Rows that it has gone through, those that had their value among them.
    pub rows: u64,
    /// Rows of the table as the database estimates them, which may be far off.
    pub rows_about: u64,
    pub elapsed: Duration,
    /// It has come to the end.
    pub is_done: bool,
}

/// The statement of the migration of this name, if it is a fill.
pub(super) fn of(name: &str) -> Option<&'static str> {
    let fill = FILLS.iter().find(|(of, _)| *of == name);
    fill.map(|(_, up)| *up)
}

/// Fills what lacks its value, batch by batch. `lock` keeps other runs away: it is asked now and
/// then, lest its connection idles for too long, and a run without it goes no further.
pub(super) async fn run(
    conn: &mut Conn,
    lock: &mut Conn,
    (migration, up): (&str, &str),
    batches: FillSettings,
    tell: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), MigrateError> {
    let fill = Fill::parse(up)
        .ok_or_else(|| MigrateError::Failed(format!("{migration} is no fill of known form")))?;
    let failed = |error: DbError| MigrateError::Failed(format!("{migration}: {error}"));
    // MariaDB cuts a list that is collected at this many bytes, and IGNORE takes what was cut: no
    // column of ours is longer. Without the third, MySQL tells how many rows there were up to a day
    // ago; MariaDB passes over it.
    let session = format!(
        "SET SESSION innodb_lock_wait_timeout = {BATCH_LOCK_WAIT_S}, group_concat_max_len = 16777215 \
         /*!80000 , information_schema_stats_expiry = 0 */"
    );
    conn.batch_execute(&session).await?;
    let key = primary_key(conn, &fill.table).await.map_err(failed)?;
    let begun = Instant::now();
    let mut progress = Progress {
        migration,
        rows: 0,
        rows_about: 0,
        elapsed: Duration::ZERO,
        is_done: false,
    };
    let (mut behind, mut told) = (None, begun);
    loop {
        // A batch of no rows would pass for the end.
        let keys = fill.keys(&key, behind.as_ref(), batches.rows.max(1));
        let keys: Vec<Key> = diesel::sql_query(keys)
            .load(conn)
            .await
            .map_err(|error| failed(error.into()))?;
        let Some(last) = keys.last().map(Key::literals) else {
            break;
        };
        if behind.is_none() {
            progress.rows_about = rows_about(conn, &fill.table).await.map_err(failed)?;
            tell(progress);
        }
        let batch = fill.batch(&key, behind.as_ref(), &last);
        run_batch(conn, migration, &batch, batches.attempts_max).await?;
        progress.rows += u64::try_from(keys.len()).unwrap_or(u64::MAX);
        progress.elapsed = begun.elapsed();
        if told.elapsed() >= batches.tell_every {
            told = Instant::now();
            lock.batch_execute("DO 0").await?;
            tell(progress);
        }
        sleep(BATCH_PAUSE).await;
        behind = Some(last);
    }
    if behind.is_some() {
        progress.elapsed = begun.elapsed();
        progress.is_done = true;
        tell(progress);
    }
    let session = format!("SET SESSION innodb_lock_wait_timeout = {LOCK_WAIT_S}");
    Ok(conn.batch_execute(&session).await?)
}

/// Runs one batch, a transaction by itself.
async fn run_batch(
    conn: &mut Conn,
    migration: &str,
    batch: &str,
    attempts_max: u32,
) -> Result<(), MigrateError> {
    for _ in 0..attempts_max {
        match conn.batch_execute(batch).await.map_err(DbError::from) {
            Ok(()) => return Ok(()),
            // Nothing of it is written, and its locks are free.
            Err(error) if matches!(error.kind(), ErrorKind::LockWait | ErrorKind::Deadlock) => {
                sleep(BATCH_PAUSE).await;
            }
            Err(error) => return Err(MigrateError::Failed(format!("{migration}: {error}"))),
        }
    }
    Err(MigrateError::Held {
        migration: migration.to_owned(),
        attempts: attempts_max,
    })
}

/// The columns of a table's primary key, in their order.
async fn primary_key(conn: &mut Conn, table: &str) -> Result<Vec<String>, DbError> {
    const COLUMNS: &str = "SELECT column_name AS name FROM information_schema.key_column_usage \
        WHERE table_schema = DATABASE() AND table_name = ? AND constraint_name = 'PRIMARY' ORDER BY ordinal_position";
    #[derive(QueryableByName)]
    struct Column {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let columns = diesel::sql_query(COLUMNS).bind::<Text, _>(table);
    let columns: Vec<Column> = columns.load(conn).await?;
    if columns.is_empty() {
        return Err(DbError::Corrupt(format!("{table} has no primary key")));
    }
    Ok(columns.into_iter().map(|column| column.name).collect())
}

/// As the database knows it without counting.
async fn rows_about(conn: &mut Conn, table: &str) -> Result<u64, DbError> {
    const ROWS: &str = "SELECT CAST(table_rows AS UNSIGNED) AS about FROM information_schema.tables \
        WHERE table_schema = DATABASE() AND table_name = ?";
    #[derive(QueryableByName)]
    struct Rows {
        #[diesel(sql_type = Nullable<Unsigned<BigInt>>)]
        about: Option<u64>,
    }
    let rows = diesel::sql_query(ROWS).bind::<Text, _>(table);
    let rows: Rows = rows.get_result(conn).await?;
    Ok(rows.about.unwrap_or_default())
}

/// A key of a row, as the database writes it for [`Fill::keys`].
#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    hex: String,
}

impl Key {
    /// One for each column. A hex literal is text beside text and a number beside a number.
    fn literals(&self) -> Vec<String> {
        let columns = self.hex.split(' ');
        columns.map(|hex| format!("0x{hex}")).collect()
    }
}

/// The statement of a fill, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Fill {
    /// The table whose key the batches go by: that of an UPDATE, the first that an INSERT reads.
    table: String,
    /// What the statement calls the table.
    name: String,
    /// All before the WHERE.
    write: String,
    condition: String,
}

impl Fill {
    /// None, if it has another form.
    fn parse(up: &str) -> Option<Self> {
        let lines = up.lines().filter(|line| !line.trim().starts_with("--"));
        let statement = lines.collect::<Vec<_>>().join("\n");
        if statement.contains(';') {
            return None;
        }
        let words = outer_words(&statement)?;
        let texts: Vec<&str> = words.iter().map(|(_, word)| *word).collect();
        let is_update = texts.as_slice().first() == Some(&"UPDATE");
        let table = match texts.as_slice() {
            ["UPDATE", ..] => 1,
            ["INSERT", "IGNORE", "INTO", ..] if is_plain_select(&texts) => {
                1 + once(&texts, "FROM")?
            }
            _ => return None,
        };
        let place = once(&texts, "WHERE").filter(|place| *place > table)?;
        // In place of a subquery its alias is left, and of a list of tables a comma.
        let is_letter =
            |letter: char| letter.is_ascii_lowercase() || "_0123456789".contains(letter);
        if !texts[table].chars().all(is_letter) {
            return None;
        }
        let (begin, word) = words[place];
        let (write, condition) = (&statement[..begin], &statement[begin + word.len()..]);
        // By its own columns an UPDATE finds which rows lack the value: a run behind one that was
        // cut off looks nowhere else.
        if is_update && condition.contains("WHERE ") {
            return None;
        }
        let name = match texts[table + 1] {
            "AS" => texts[table + 2],
            _ => texts[table],
        };
        Some(Self {
            table: texts[table].to_owned(),
            name: name.to_owned(),
            write: write.trim().to_owned(),
            condition: condition.trim().to_owned(),
        })
    }

    /// Reads the first keys behind one, at most so many.
    fn keys(&self, key: &[String], behind: Option<&Vec<String>>, rows: u32) -> String {
        let columns = self.columns(key);
        let (table, name, order) = (&self.table, &self.name, columns.join(", "));
        let hex = columns.iter().map(|column| format!("HEX({column})"));
        let hex = hex.collect::<Vec<_>>().join(", ");
        let behind = behind.map_or_else(String::new, |behind| {
            format!("WHERE {} ", compare(&columns, behind, ">", ">"))
        });
        format!(
            "SELECT CONCAT_WS(' ', {hex}) AS hex FROM {table} AS {name} {behind}ORDER BY {order} LIMIT {rows}"
        )
    }

    /// Fills the rows behind one key, as far as another.
    fn batch(&self, key: &[String], behind: Option<&Vec<String>>, last: &[String]) -> String {
        let columns = self.columns(key);
        let Self {
            write, condition, ..
        } = self;
        let mut range = compare(&columns, last, "<", "<=");
        if let Some(behind) = behind {
            range = format!("{} AND {range}", compare(&columns, behind, ">", ">"));
        }
        format!("{write} WHERE ({condition}) AND {range}")
    }

    fn columns(&self, key: &[String]) -> Vec<String> {
        let columns = key.iter();
        columns
            .map(|column| format!("{}.{column}", self.name))
            .collect()
    }
}

/// The words of a statement that stand in no parentheses, each with where it begins; None where
/// parentheses are not closed, or are in a text.
fn outer_words(statement: &str) -> Option<Vec<(usize, &str)>> {
    let (mut words, mut depth, mut begin) = (Vec::new(), 0_usize, None);
    for (at, character) in statement.char_indices().chain([(statement.len(), ' ')]) {
        let is_of_word = depth == 0 && !character.is_whitespace() && !"()".contains(character);
        match (begin, is_of_word) {
            (None, true) => begin = Some(at),
            (Some(from), false) => {
                words.push((from, &statement[from..at]));
                begin = None;
            }
            (None, false) | (Some(_), true) => {}
        }
        match character {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    (depth == 0).then_some(words)
}

/// Where a word stands that is there once.
fn once(words: &[&str], word: &str) -> Option<usize> {
    let mut found = (0..words.len()).filter(|at| words[*at] == word);
    found.next().filter(|_| found.next().is_none())
}

/// Whether the rows of an INSERT are those of one SELECT whose WHERE is its end: a row of its first
/// table makes one row or none, whatever the other rows of its batch are.
fn is_plain_select(words: &[&str]) -> bool {
    const OTHERS: &[&str] = &[
        "DISTINCT",
        "GROUP",
        "HAVING",
        "LIMIT",
        "ORDER",
        "UNION",
        "WINDOW",
        "OVER",
        "DUPLICATE",
        "AVG",
        "COUNT",
        "GROUP_CONCAT",
        "JSON_ARRAYAGG",
        "JSON_OBJECTAGG",
        "MAX",
        "MIN",
        "SUM",
    ];
    once(words, "SELECT").is_some() && !words.iter().any(|word| OTHERS.contains(word))
}

/// The condition that a key stands before or behind another in the order of its columns. Row
/// values, `(a, b) > (1, 2)`, would say the same, and MySQL reads the whole table for them.
fn compare(columns: &[String], key: &[String], differs: &str, last: &str) -> String {
    let mut condition = String::new();
    for (column, value) in columns.iter().zip(key).rev() {
        condition = if condition.is_empty() {
            format!("({column} {last} {value})")
        } else {
            format!("({column} {differs} {value} OR ({column} = {value} AND {condition}))")
        };
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_update_and_every_copy_of_the_folder_is_a_fill() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut fills = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(up) = std::fs::read_to_string(path.join("up.sql")) else {
                continue;
            };
            let begins = |with: &str| {
                let mut lines = up.lines().map(|line| line.trim_start().to_uppercase());
                lines.any(|line| line.starts_with(with))
            };
            let is_copy = begins("INSERT ") && (begins("SELECT ") || begins("WITH "));
            if begins("UPDATE ") || is_copy {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                assert_eq!(of(&name), Some(up.as_str()), "FILLS lacks {name}");
                assert!(Fill::parse(&up).is_some(), "{name} has another form");
                fills.push(name);
            }
        }
        fills.sort_unstable();
        let listed: Vec<&str> = FILLS.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, fills);
    }

    #[test]
    fn a_fill_names_its_table_first_and_has_one_condition() {
        let up = "-- UPDATE nothing WHERE\nUPDATE gates AS gate\n    JOIN parts ON parts.n = gate.n\n    -- Why.\n    \
            SET gate.a = parts.a\n    WHERE gate.a IS NULL OR gate.b = 0\n";
        let fill = Fill::parse(up).unwrap();
        assert_eq!((fill.table.as_str(), fill.name.as_str()), ("gates", "gate"));
        assert_eq!(fill.condition, "gate.a IS NULL OR gate.b = 0");
        let fill =
            Fill::parse("UPDATE gates SET a = (SELECT b FROM c WHERE (d = 1)) WHERE a IS NULL");
        let fill = fill.unwrap();
        assert_eq!(
            fill.write,
            "UPDATE gates SET a = (SELECT b FROM c WHERE (d = 1))"
        );
        assert_eq!(fill.condition, "a IS NULL");
        let fill = Fill::parse("UPDATE gates SET a = 1 WHERE a = 0").unwrap();
        assert_eq!(
            (fill.table.as_str(), fill.name.as_str()),
            ("gates", "gates")
        );
        for other in [
            "UPDATE gates SET a = 1",
            "UPDATE gates SET a = (SELECT b FROM c WHERE d)",
            "UPDATE gates SET a = ')' WHERE a = 0",
            "INSERT INTO gates SELECT 1 WHERE 1 = 1",
            "UPDATE gates SET a = 1 WHERE a IN (SELECT b FROM c WHERE d)",
            "UPDATE gates SET a = 1 WHERE a = 0; DO 0",
            "UPDATE gates SET a = 1 (WHERE b",
            "",
        ] {
            assert_eq!(Fill::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_fill_that_inserts_reads_its_table_first_and_makes_a_row_of_a_row() {
        let up = "-- INSERT nothing\nINSERT IGNORE INTO waits (k, n, all_of)\n    \
            SELECT gate.k, gate.n, (SELECT SUM(a) FROM parts WHERE parts.k = gate.k ORDER BY 1)\n    \
            FROM gates AS gate\n    -- Why.\n    JOIN orders ON orders.k = gate.k\n    \
            WHERE gate.n = (SELECT MIN(n) FROM gates AS other WHERE other.k = gate.k) OR gate.a\n";
        let fill = Fill::parse(up).unwrap();
        assert_eq!((fill.table.as_str(), fill.name.as_str()), ("gates", "gate"));
        assert_eq!(
            fill.condition,
            "gate.n = (SELECT MIN(n) FROM gates AS other WHERE other.k = gate.k) OR gate.a"
        );
        let key = ["k".to_owned()];
        assert_eq!(
            fill.keys(&key, None, 7),
            "SELECT CONCAT_WS(' ', HEX(gate.k)) AS hex FROM gates AS gate ORDER BY gate.k LIMIT 7"
        );
        let fill = Fill::parse("INSERT IGNORE INTO a (k) SELECT k FROM b WHERE c OR d").unwrap();
        assert_eq!((fill.table.as_str(), fill.name.as_str()), ("b", "b"));
        assert_eq!(
            fill.batch(&key, None, &["0x1".to_owned()]),
            "INSERT IGNORE INTO a (k) SELECT k FROM b WHERE (c OR d) AND (b.k <= 0x1)"
        );
        for other in [
            // A second run would double its rows, or fail.
            "INSERT INTO a (k) SELECT k FROM b WHERE c",
            // No condition to which the range could be added.
            "INSERT IGNORE INTO a (k) SELECT k FROM b",
            "INSERT IGNORE INTO a (k) SELECT (SELECT k FROM c WHERE d) FROM b",
            // A row of several, which a batch may cut in two.
            "INSERT IGNORE INTO a (k) SELECT k FROM b WHERE c GROUP BY k",
            "INSERT IGNORE INTO a (k) SELECT DISTINCT k FROM b WHERE c",
            "INSERT IGNORE INTO a (k) SELECT MAX(k) FROM b WHERE c",
            "INSERT IGNORE INTO a (k) SELECT ROW_NUMBER() OVER () FROM b WHERE c",
            "INSERT IGNORE INTO a (k) SELECT k FROM b WHERE c ORDER BY k LIMIT 1",
            "INSERT IGNORE INTO a (k) SELECT k FROM b UNION SELECT k FROM c WHERE d",
            "INSERT IGNORE INTO a (k) SELECT k FROM b WHERE c ON DUPLICATE KEY UPDATE k = 1",
            "INSERT IGNORE INTO a (k) SELECT k FROM (SELECT k FROM b) AS b WHERE c",
            "INSERT IGNORE INTO a (k) SELECT k FROM b, c WHERE d",
            "INSERT IGNORE INTO a (k) VALUES (1)",
            "INSERT IGNORE INTO a (k) SELECT k FROM b WHERE c; DO 0",
        ] {
            assert_eq!(Fill::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_batch_is_a_range_of_the_key() {
        let fill = Fill::parse("UPDATE gates AS g SET a = 1 WHERE a = 0 OR b").unwrap();
        let key = ["k".to_owned(), "n".to_owned()];
        let at = |k: &str, n: &str| vec![k.to_owned(), n.to_owned()];
        assert_eq!(
            fill.keys(&key, None, 7),
            "SELECT CONCAT_WS(' ', HEX(g.k), HEX(g.n)) AS hex FROM gates AS g ORDER BY g.k, g.n LIMIT 7"
        );
        assert_eq!(
            fill.keys(&key, Some(&at("0xA0", "0x1")), 7),
            "SELECT CONCAT_WS(' ', HEX(g.k), HEX(g.n)) AS hex FROM gates AS g \
             WHERE (g.k > 0xA0 OR (g.k = 0xA0 AND (g.n > 0x1))) ORDER BY g.k, g.n LIMIT 7"
        );
        assert_eq!(
            fill.batch(&key, None, &at("0xB0", "0x2")),
            "UPDATE gates AS g SET a = 1 WHERE (a = 0 OR b) \
             AND (g.k < 0xB0 OR (g.k = 0xB0 AND (g.n <= 0x2)))"
        );
        assert_eq!(
            fill.batch(&key, Some(&at("0xA0", "0x1")), &at("0xB0", "0x2")),
            "UPDATE gates AS g SET a = 1 WHERE (a = 0 OR b) \
             AND (g.k > 0xA0 OR (g.k = 0xA0 AND (g.n > 0x1))) \
             AND (g.k < 0xB0 OR (g.k = 0xB0 AND (g.n <= 0x2)))"
        );
        let key = Key {
            hex: "A0FF 1".to_owned(),
        };
        assert_eq!(key.literals(), ["0xA0FF", "0x1"]);
    }
}
