//! The writes of a transaction, as the text of its statements. They go to the server in one
//! message, for a lone command would else wait for a round trip of each table; on a node of Galera
//! each goes alone.
//!
//! What is new is inserted, what is known is updated or deleted, and each UPDATE and DELETE says
//! how many rows it must find: the statement behind it fails where it found others. An upsert would
//! try to insert first, which is half of its cost. One UPDATE of many rows names only the columns
//! that change, and each value that most rows get only once.

use diesel::mysql::Mysql;
use diesel::query_builder::QueryFragment;
use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection as _;

use super::Conn;
use super::address::PerMessage;
use super::error::DbError;
use super::literals::{self, Cells};
use super::statement::Row;
use super::transaction::IS_OPEN;
use super::writable::{self, FAIL};

/// Most rows of one UPDATE, and of one DELETE.
pub(crate) const CHANGES_MAX: usize = 128;
/// The column by which all rows of an order are found.
const ORDER_KEY: &str = "order_key";
/// Most bytes of statements that go in one message, unless one of them is longer; half of the
/// smallest default of `max_allowed_packet`, which is MariaDB's 16 MiB.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Statements that have not been sent yet.
#[derive(Debug, Default)]
pub struct Writes {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    /// Such as `INSERT orders`.
    summary: String,
    text: String,
    /// A statement that fails unless this one found all of its rows.
    check: Option<String>,
}

/// Rows of one table: new ones, and ones that are there already.
#[derive(Debug)]
pub(crate) struct Changed<R> {
    pub(crate) new: Vec<R>,
    /// As they are, and in the same order as they will be.
    pub(crate) before: Vec<R>,
    pub(crate) after: Vec<R>,
}

impl<R> Default for Changed<R> {
    fn default() -> Self {
        Self {
            new: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
        }
    }
}

impl<R> Changed<R> {
    pub(crate) fn push(&mut self, before: Option<R>, after: R) {
        match before {
            Some(before) => {
                self.before.push(before);
                self.after.push(after);
            }
            None => self.new.push(after),
        }
    }
}

impl<R: Row> Changed<R> {
    /// The rows that are there already, in such numbers as one UPDATE takes.
    pub(crate) fn updates(&self) -> impl Iterator<Item = (&[R], &[R])> {
        let mut from = 0;
        let chunks = self.after.chunks(CHANGES_MAX);
        let chunks = chunks.flat_map(super::statement::chunks);
        chunks.map(move |after| {
            let before = &self.before[from..from + after.len()];
            from += after.len();
            (before, after)
        })
    }
}

/// The rows that an UPDATE is about, and the columns that it may change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// The primary key.
    pub(crate) key: &'static [&'static str],
    /// What the row must have besides, so that it is found.
    pub(crate) guard: &'static [&'static str],
    pub(crate) changing: &'static [&'static str],
}

impl Writes {
    /// An INSERT of these rows, and of nothing but rows.
    pub(crate) fn insert<Q>(&mut self, table: &str, insert: &Q) -> Result<(), DbError>
    where
        Q: QueryFragment<Mysql> + ?Sized,
    {
        self.statements.push(Statement {
            summary: format!("INSERT {table}"),
            text: literals::insert(table, insert)?,
            check: None,
        });
        Ok(())
    }

    /// An INSERT that overwrites what is there.
    pub(crate) fn upsert<Q>(&mut self, table: &str, upsert: &Q) -> Result<(), DbError>
    where
        Q: QueryFragment<Mysql> + ?Sized,
    {
        self.statements.push(Statement {
            summary: format!("INSERT {table}"),
            text: literals::text(upsert)?,
            check: None,
        });
        Ok(())
    }

    /// The UPDATE that turns rows into others; the INSERTs are those which would write them.
    pub(crate) fn update<Q>(
        &mut self,
        table: &str,
        columns: Columns,
        (before, after): (&Q, &Q),
    ) -> Result<(), DbError>
    where
        Q: QueryFragment<Mysql> + ?Sized,
    {
        let (before, after) = (literals::cells(before)?, literals::cells(after)?);
        if let Some((text, count)) = update_text(table, columns, &before, &after)? {
            self.statements.push(Statement {
                summary: format!("UPDATE {table}"),
                text,
                check: Some(row_count(count)),
            });
        }
        Ok(())
    }

    /// The DELETE of rows that are there, each by its whole key; the INSERT is the one that would
    /// write them.
    pub(crate) fn delete<Q>(
        &mut self,
        table: &str,
        key: &'static [&'static str],
        rows: &Q,
    ) -> Result<(), DbError>
    where
        Q: QueryFragment<Mysql> + ?Sized,
    {
        let cells = literals::cells(rows)?;
        let rows: Vec<usize> = (0..cells.rows()).collect();
        let mut keys = Vec::with_capacity(key.len());
        for name in key {
            keys.push((*name, cells.of(&rows, column(table, name, &cells)?)?));
        }
        let found = Matches::of(&keys).all();
        self.statements.push(Statement {
            summary: format!("DELETE {table}"),
            // A hint, for a DELETE takes no FORCE INDEX. Without it a small table may be scanned:
            // others may have locked its rows, and a DELETE waits also for those that it skips. In
            // the form for several tables it would take one, and be led by the columns that all
            // rows have in common.
            text: format!("DELETE /*+ INDEX(`{table}` PRIMARY) */ FROM `{table}` WHERE {found}"),
            check: Some(row_count(rows.len())),
        });
        Ok(())
    }

    /// Executes them in their order. It fails with `VersionConflict` where an UPDATE or a DELETE
    /// found other rows than it had to; then, as after any error, the transaction must be rolled
    /// back.
    pub async fn send(self, conn: &mut Conn, per_message: PerMessage) -> Result<(), DbError> {
        let messages = match per_message {
            PerMessage::Many => messages(&self.statements),
            PerMessage::One => {
                let all = self.statements.iter().flat_map(alone);
                std::iter::once(IS_OPEN.to_owned()).chain(all).collect()
            }
        };
        for message in messages {
            conn.batch_execute(&message).await.map_err(as_conflict)?;
        }
        Ok(())
    }
}

/// The statements in messages, each with a comment that says what is in it.
fn messages(statements: &[Statement]) -> Vec<String> {
    let mut messages = Vec::new();
    let mut rest = statements;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|statement| {
            bytes += statement.parts().map(str::len).sum::<usize>();
            bytes <= MESSAGE_BYTES_MAX
        });
        let (now, later) = rest.split_at(fits.count().max(1));
        let mut summaries: Vec<&str> = now.iter().map(|s| s.summary.as_str()).collect();
        summaries.dedup();
        let texts: Vec<&str> = now.iter().flat_map(Statement::parts).collect();
        messages.push(format!(
            "/* {} */ {}",
            summaries.join("; "),
            texts.join("; ")
        ));
        rest = later;
    }
    messages
}

/// A statement and its check, each in a message of its own.
fn alone(statement: &Statement) -> impl Iterator<Item = String> {
    let summary = &statement.summary;
    let parts = statement.parts();
    parts.map(move |part| format!("/* {summary} */ {part}"))
}

impl Statement {
    /// What it says, and then what checks it.
    fn parts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.text.as_str()).chain(self.check.as_deref())
    }
}

/// Fails unless the statement before it found so many rows.
fn row_count(count: usize) -> String {
    format!("SELECT IF(ROW_COUNT() = {count}, 0, {FAIL})")
}

fn column(table: &str, name: &str, cells: &Cells) -> Result<usize, DbError> {
    let at = cells.column(name);
    at.ok_or_else(|| DbError::Corrupt(format!("{table} has no column {name}")))
}

/// The UPDATE, and how many rows it must find; none where nothing changes.
fn update_text(
    table: &str,
    columns: Columns,
    before: &Cells,
    after: &Cells,
) -> Result<Option<(String, usize)>, DbError> {
    let column = |name: &str| column(table, name, after);
    let changing: Result<Vec<usize>, DbError> =
        columns.changing.iter().map(|c| column(c)).collect();
    let changing = changing?;
    let differs = |row: &usize| {
        let mut changing = changing.iter();
        changing.any(|at| before.cell(*row, *at) != after.cell(*row, *at))
    };
    let rows: Vec<usize> = (0..after.rows()).filter(differs).collect();
    if rows.is_empty() {
        return Ok(None);
    }
    let is_as_before = |at: usize| {
        let mut rows = rows.iter();
        rows.all(|row| before.cell(*row, at) == after.cell(*row, at))
    };
    let mut keys = Vec::with_capacity(columns.key.len());
    for name in columns.key {
        let at = column(name)?;
        if !is_as_before(at) {
            return Err(DbError::Corrupt(format!("{name} of {table} has changed")));
        }
        keys.push((*name, after.of(&rows, at)?));
    }
    let matches = Matches::of(&keys);
    let mut sets = Vec::new();
    for (name, at) in columns.changing.iter().zip(changing) {
        if !is_as_before(at) {
            let values = after.of(&rows, at)?;
            sets.push(format!("`{name}` = {}", matches.chosen(&values)));
        }
    }
    let mut found = matches.all();
    for guard in columns.guard {
        let values = before.of(&rows, column(guard)?)?;
        found.push_str(&format!(" AND `{guard}` = {}", matches.chosen(&values)));
    }
    // The index is forced: on a small table the optimizer would rather scan it all, and so meet the
    // locks of rows that it was not asked for.
    let sets = sets.join(", ");
    let update = format!("UPDATE `{table}` FORCE INDEX (PRIMARY) SET {sets} WHERE {found}");
    Ok(Some((update, rows.len())))
}

/// The way in which the rows of an UPDATE or a DELETE are told apart.
struct Matches<'a> {
    /// What all have in common.
    common: Vec<String>,
    /// The columns in which they differ, with the value of each row.
    apart: Vec<(&'static str, &'a [String])>,
}

impl<'a> Matches<'a> {
    fn of(keys: &'a [(&'static str, Vec<String>)]) -> Self {
        let is_common =
            |(_, values): &&(&str, Vec<String>)| values.windows(2).all(|w| w[0] == w[1]);
        let (common, apart): (Vec<_>, Vec<_>) = keys.iter().partition(is_common);
        let common = common.into_iter().filter_map(|(name, values)| {
            let value = values.first()?;
            Some(format!("`{name}` = {value}"))
        });
        let apart = apart
            .into_iter()
            .map(|(name, values)| (*name, values.as_slice()));
        Self {
            common: common.collect(),
            apart: apart.collect(),
        }
    }

    /// The condition that all rows meet and no other.
    fn all(&self) -> String {
        let mut conditions = self.common.clone();
        match self.apart.as_slice() {
            [] => {}
            [(name, values)] => conditions.push(format!("`{name}` IN ({})", values.join(", "))),
            // Who writes rows of an order has all of them to itself, by the order's lock or its
            // partition's, so the others may be looked at.
            [(ORDER_KEY, keys), ..] => {
                let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                keys.sort_unstable();
                keys.dedup();
                conditions.push(format!("`{ORDER_KEY}` IN ({})", keys.join(", ")));
                let rows: Vec<usize> = (0..self.rows()).collect();
                conditions.push(self.chosen_of(0, &rows, &|rows| self.any_of(1, rows)));
            }
            // No list of tuples: MariaDB makes no ranges of one.
            _ => {
                let rows: Vec<usize> = (0..self.rows()).collect();
                conditions.push(self.any_of(0, &rows));
            }
        }
        conditions.join(" AND ")
    }

    fn rows(&self) -> usize {
        self.apart.first().map_or(1, |(_, values)| values.len())
    }

    /// The condition that these rows meet and no other of those that are alike in the columns
    /// before this one. Values are listed, not rows: of a list the database sorts what it compares
    /// with, and of rows joined by OR it tries one after the other.
    fn any_of(&self, column: usize, rows: &[usize]) -> String {
        let (name, values) = self.apart[column];
        let is_last = column + 1 == self.apart.len();
        let rest = |rows: &[usize]| {
            if is_last {
                String::new()
            } else {
                self.any_of(column + 1, rows)
            }
        };
        let mut alternatives: Vec<(String, Vec<&str>)> = Vec::new();
        for (value, rows) in groups(rows, values) {
            let rest = rest(&rows);
            match alternatives.iter_mut().find(|(other, _)| *other == rest) {
                Some((_, values)) => values.push(value),
                None => alternatives.push((rest, vec![value])),
            }
        }
        let texts = alternatives.iter().map(|(rest, values)| {
            let these = match values.as_slice() {
                [value] => format!("`{name}` = {value}"),
                values => format!("`{name}` IN ({})", values.join(", ")),
            };
            if is_last {
                these
            } else {
                format!("{these} AND {rest}")
            }
        });
        let texts: Vec<String> = texts.collect();
        match texts.as_slice() {
            [only] => only.clone(),
            texts => format!("(({}))", texts.join(") OR (")),
        }
    }

    /// The expression that is each row's own of these values.
    fn chosen(&self, values: &[String]) -> String {
        let rows: Vec<usize> = (0..values.len()).collect();
        self.chosen_from(0, &rows, values)
    }

    fn chosen_from(&self, column: usize, rows: &[usize], values: &[String]) -> String {
        let first = rows.first().map_or("NULL", |row| values[*row].as_str());
        if rows.iter().all(|row| values[*row] == first) {
            return first.to_owned();
        }
        self.chosen_of(column, rows, &|rows| {
            self.chosen_from(column + 1, rows, values)
        })
    }

    /// The expression that is, for each value of a column, what `of_rows` says of the rows that
    /// have it.
    fn chosen_of(
        &self,
        column: usize,
        rows: &[usize],
        of_rows: &dyn Fn(&[usize]) -> String,
    ) -> String {
        let (name, keys) = self.apart[column];
        let groups = groups(rows, keys);
        let choices = groups.iter().map(|(key, rows)| (*key, of_rows(rows)));
        let mut choices: Vec<(&str, String)> = choices.collect();
        if is_in_order(&choices) {
            // Neighbours with one value need not be told apart.
            choices.dedup_by(|next, before| next.1 == before.1);
            halved(name, &choices)
        } else {
            listed(name, &choices)
        }
    }
}

/// The rows by what they have in a column, in the order of that.
fn groups<'a>(rows: &[usize], values: &'a [String]) -> Vec<(&'a str, Vec<usize>)> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|row| values[*row].as_str());
    for row in sorted {
        match groups.last_mut() {
            Some((value, rows)) if *value == values[row] => rows.push(row),
            _ => groups.push((values[row].as_str(), vec![row])),
        }
    }
    groups
}

/// Whether the text of these keys has the order of their values, so that the database sorts them
/// alike: binary ones of one length.
fn is_in_order(choices: &[(&str, String)]) -> bool {
    let mut keys = choices.iter().map(|(key, _)| key);
    let length = choices.first().map_or(0, |(key, _)| key.len());
    keys.all(|key| key.starts_with("x'") && key.len() == length)
}

/// A choice by halves: of n keys a row is compared with log₂ n of them, where a CASE compares it
/// with half.
fn halved(name: &str, choices: &[(&str, String)]) -> String {
    if let [(_, value)] = choices {
        return value.clone();
    }
    let (less, more) = choices.split_at(choices.len() / 2);
    let Some((key, _)) = more.first() else {
        return "NULL".to_owned();
    };
    let (less, more) = (halved(name, less), halved(name, more));
    format!("IF(`{name}` < {key}, {less}, {more})")
}

/// A choice by one key after the other.
fn listed(name: &str, choices: &[(&str, String)]) -> String {
    let values: Vec<&str> = choices.iter().map(|(_, value)| value.as_str()).collect();
    let common = most_common(&values);
    let others: String = choices
        .iter()
        .filter(|(_, value)| value != common)
        .map(|(key, value)| format!(" WHEN {key} THEN {value}"))
        .collect();
    if others.is_empty() {
        common.to_owned()
    } else {
        format!("CASE `{name}`{others} ELSE {common} END")
    }
}

/// The value that most rows have; of several such the first.
fn most_common<'a>(values: &[&'a str]) -> &'a str {
    let mut best = ("", 0);
    for value in values {
        let count = values.iter().filter(|other| *other == value).count();
        if count > best.1 {
            best = (value, count);
        }
    }
    best.0
}

fn as_conflict(source: DieselError) -> DbError {
    if writable::is_refusal(&source) {
        DbError::Overtaken
    } else {
        source.into()
    }
}

/// Inserts the rows that are new, and updates the columns named of those that are not.
macro_rules! change_rows {
    (
        $writes:expr, $table:ident, $changed:expr,
        [$($key:ident),+] $(if $($guard:ident),+)? => [$($column:ident),+ $(,)?]
    ) => {{
        const TABLE: &str = stringify!($table);
        const COLUMNS: $crate::db::writes::Columns = $crate::db::writes::Columns {
            key: &[$(<$table::$key as diesel::Column>::NAME),+],
            guard: &[$($(<$table::$guard as diesel::Column>::NAME),+)?],
            changing: &[$(<$table::$column as diesel::Column>::NAME),+],
        };
        for rows in $crate::db::statement::chunks(&$changed.new) {
            $writes.insert(TABLE, &diesel::insert_into($table::table).values(rows))?;
        }
        for (before, after) in $changed.updates() {
            let before = diesel::insert_into($table::table).values(before);
            let after = diesel::insert_into($table::table).values(after);
            $writes.update(TABLE, COLUMNS, (&before, &after))?;
        }
    }};
}

pub(crate) use change_rows;

#[cfg(test)]
mod tests;
