//! Statements of many rows as text, with their values in it.
//!
//! A placeholder costs the database more than its value does: it is described, bound, and written
//! back into the statement's text for the log. A thousand of them in one INSERT were 40 % of its
//! CPU. A statement of one row stays prepared.
//!
//! Nothing is escaped here, for how depends on the session. What is not plain is written in hex.

use diesel::mysql::{Mysql, MysqlQueryBuilder, MysqlType};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{QueryBuilder, QueryFragment};
use diesel_async::SimpleAsyncConnection;

use super::Conn;
use super::error::DbError;

/// Executes it as text.
pub(crate) async fn execute<Q>(conn: &mut Conn, statement: &Q) -> Result<(), DbError>
where
    Q: QueryFragment<Mysql> + ?Sized,
{
    let text = text(statement)?;
    Ok(conn.batch_execute(&text).await?)
}

/// The statement with its values in place of their marks. Statements of ours have no question mark
/// but those.
pub(crate) fn text<Q>(statement: &Q) -> Result<String, DbError>
where
    Q: QueryFragment<Mysql> + ?Sized,
{
    let marked = marked(statement)?;
    let values = Values::of(statement)?;
    let marks = marked.matches('?').count();
    if values.len() != marks {
        return Err(DbError::Corrupt(format!(
            "a statement has {} values and {marks} marks",
            values.len(),
        )));
    }
    let mut text = String::with_capacity(marked.len() + values.length_max());
    for (at, piece) in marked.split('?').enumerate() {
        if let Some(before) = at.checked_sub(1) {
            values.push(before, &mut text)?;
        }
        text.push_str(piece);
    }
    Ok(text)
}

/// Rows of a table, cell by cell.
#[derive(Debug)]
pub(crate) struct Cells {
    columns: Vec<String>,
    values: Values,
}

impl Cells {
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// One column of these rows, as it would stand in the text of a statement.
    pub(crate) fn of(&self, rows: &[usize], column: usize) -> Result<Vec<String>, DbError> {
        let literal = |row: &usize| {
            let mut text = String::new();
            self.values.push(self.at(*row, column), &mut text)?;
            Ok(text)
        };
        rows.iter().map(literal).collect()
    }

    /// None is NULL.
    pub(crate) fn cell(&self, row: usize, column: usize) -> Option<&[u8]> {
        self.values.0[self.at(row, column)].0.as_deref()
    }

    fn at(&self, row: usize, column: usize) -> usize {
        row * self.columns.len() + column
    }
}

/// The values of a statement in the order of their marks, as diesel serialized them for the wire;
/// None is NULL.
#[derive(Debug)]
struct Values(Vec<(Option<Vec<u8>>, MysqlType)>);

impl Values {
    fn of<Q>(statement: &Q) -> Result<Self, DbError>
    where
        Q: QueryFragment<Mysql> + ?Sized,
    {
        let mut bound = RawBytesBindCollector::<Mysql>::new();
        statement.collect_binds(&mut bound, &mut (), &Mysql)?;
        Ok(Self(bound.binds.into_iter().zip(bound.metadata).collect()))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    /// Bytes that their text has at most, or a few more for short ones.
    fn length_max(&self) -> usize {
        let lengths = self
            .0
            .iter()
            .filter_map(|(value, _)| Some(value.as_ref()?.len()));
        2 * lengths.sum::<usize>() + 16 * self.len()
    }

    /// Writes a value as it stands in a statement.
    fn push(&self, at: usize, text: &mut String) -> Result<(), DbError> {
        match &self.0[at] {
            (Some(value), kind) => push(text, value, *kind),
            (None, _) => {
                text.push_str("NULL");
                Ok(())
            }
        }
    }
}

/// An INSERT of rows into a table, without the columns that are NULL in all of them: each value is
/// read, checked and copied, and most columns of most rows are NULL. What an INSERT does not name
/// is NULL, where that may be: no column of ours has both NULL and another default, which a test
/// holds against the schema.
pub(crate) fn insert<Q>(table: &str, insert: &Q) -> Result<String, DbError>
where
    Q: QueryFragment<Mysql> + ?Sized,
{
    let cells = cells(insert)?;
    let named: Vec<usize> = (0..cells.columns.len())
        .filter(|column| (0..cells.rows()).any(|row| cells.cell(row, *column).is_some()))
        .collect();
    let mut text = String::with_capacity(cells.values.length_max() + 32 * named.len() + 64);
    text.push_str(&format!("INSERT INTO `{table}` ("));
    for (at, column) in named.iter().enumerate() {
        text.push_str(if at == 0 { "`" } else { ", `" });
        text.push_str(&cells.columns[*column]);
        text.push('`');
    }
    text.push_str(") VALUES ");
    for row in 0..cells.rows() {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for (at, column) in named.iter().enumerate() {
            if at > 0 {
                text.push_str(", ");
            }
            cells.values.push(cells.at(row, *column), &mut text)?;
        }
        text.push(')');
    }
    Ok(text)
}

/// The rows that an INSERT would write. It names its columns, and no row leaves one out.
pub(crate) fn cells<Q>(insert: &Q) -> Result<Cells, DbError>
where
    Q: QueryFragment<Mysql> + ?Sized,
{
    let marked = marked(insert)?;
    let names = marked
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    let names = names.map(|(names, _)| names).unwrap_or_default();
    let columns: Vec<String> = names
        .split(", ")
        .map(|name| name.trim_matches('`').to_owned())
        .collect();
    let values = Values::of(insert)?;
    if values.len().is_multiple_of(columns.len()) {
        Ok(Cells { columns, values })
    } else {
        Err(DbError::Corrupt(format!(
            "{} values are no rows of {names}",
            values.len()
        )))
    }
}

/// The statement with its marks.
fn marked<Q>(statement: &Q) -> Result<String, DbError>
where
    Q: QueryFragment<Mysql> + ?Sized,
{
    let mut builder = MysqlQueryBuilder::new();
    statement.to_sql(&mut builder, &Mysql)?;
    Ok(builder.finish())
}

/// A value as diesel serialized it for the wire.
fn push(text: &mut String, value: &[u8], kind: MysqlType) -> Result<(), DbError> {
    let wrong = || DbError::Corrupt(format!("a {kind:?} of {} bytes", value.len()));
    match kind {
        MysqlType::Tiny | MysqlType::Short | MysqlType::Long | MysqlType::LongLong => {
            push_number(text, signed(value).ok_or_else(wrong)?);
        }
        MysqlType::UnsignedTiny
        | MysqlType::UnsignedShort
        | MysqlType::UnsignedLong
        | MysqlType::UnsignedLongLong => {
            push_number(text, unsigned(value).ok_or_else(wrong)?);
        }
        MysqlType::DateTime => push_time(text, value).ok_or_else(wrong)?,
        MysqlType::String => match plain(value) {
            Some(plain) => {
                text.push('\'');
                text.push_str(plain);
                text.push('\'');
            }
            None => push_hex(text, "_utf8mb4 x'", value),
        },
        MysqlType::Blob => push_hex(text, "x'", value),
        // No column of ours is one.
        MysqlType::Float
        | MysqlType::Double
        | MysqlType::Numeric
        | MysqlType::Time
        | MysqlType::Date
        | MysqlType::Timestamp
        | MysqlType::Bit
        | MysqlType::Set
        | MysqlType::Enum => return Err(wrong()),
        // diesel may come to know more.
        _ => return Err(wrong()),
    }
    Ok(())
}

/// Its own length counts: diesel writes a BOOL, a type of one byte, in four.
fn signed(value: &[u8]) -> Option<i64> {
    Some(match value.len() {
        1 => i8::from_le_bytes(value.try_into().ok()?).into(),
        2 => i16::from_le_bytes(value.try_into().ok()?).into(),
        4 => i32::from_le_bytes(value.try_into().ok()?).into(),
        8 => i64::from_le_bytes(value.try_into().ok()?),
        _ => return None,
    })
}

fn unsigned(value: &[u8]) -> Option<u64> {
    Some(match value.len() {
        1 => u8::from_le_bytes(value.try_into().ok()?).into(),
        2 => u16::from_le_bytes(value.try_into().ok()?).into(),
        4 => u32::from_le_bytes(value.try_into().ok()?).into(),
        8 => u64::from_le_bytes(value.try_into().ok()?),
        _ => return None,
    })
}

/// What means itself between quotes, in every mode of a session.
fn plain(value: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\'' && *byte != b'\\';
    let plain = value.iter().all(is_plain).then_some(value)?;
    std::str::from_utf8(plain).ok()
}

fn push_number(text: &mut String, number: impl itoa::Integer) {
    text.push_str(itoa::Buffer::new().format(number));
}

fn push_hex(text: &mut String, begin: &str, value: &[u8]) {
    text.push_str(begin);
    data_encoding::HEXLOWER.encode_append(value, text);
    text.push('\'');
}

/// Year, month, day, hour, minute and second as 32 bits, then the microseconds: a `MYSQL_TIME`.
fn push_time(text: &mut String, value: &[u8]) -> Option<()> {
    use std::fmt::Write as _;
    let part = |at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(value.get(at..at + 4)?.try_into().ok()?))
    };
    let micros = u64::from_ne_bytes(value.get(24..32)?.try_into().ok()?);
    let (year, month, day) = (part(0)?, part(4)?, part(8)?);
    let (hour, minute, second) = (part(12)?, part(16)?, part(20)?);
    write!(
        text,
        "'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}'"
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;

    use super::*;
    use crate::db::columns::{At, Bytes};
    use crate::db::schema::{incidents, orders};

    #[test]
    fn a_value_stands_where_its_mark_was() {
        let time = At("2026-03-01T10:00:00.000123Z".parse().unwrap());
        let insert = diesel::insert_into(orders::table).values((
            orders::order_key.eq(Bytes([0x0f; 16])),
            orders::order_id.eq("what? \"A-1\""),
            orders::shard_partition.eq(7_u16),
            orders::version.eq(u64::MAX),
            orders::shipping.eq(-5_i64),
            orders::pay_by.eq(time),
            orders::pay_by_moved.eq(true),
            orders::paid_time.eq(None::<At>),
        ));
        assert_eq!(
            text(&insert).unwrap(),
            "INSERT INTO `orders` (`order_key`, `order_id`, `shard_partition`, `version`, `shipping`, `pay_by`, \
             `pay_by_moved`, `paid_time`) VALUES (x'0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f', 'what? \"A-1\"', 7, \
             18446744073709551615, -5, '2026-03-01 10:00:00.000123', 1, NULL)"
        );
    }

    #[test]
    fn an_insert_names_no_column_that_is_null_in_all_rows() {
        let row = |key: u8, annotations: Option<&'static str>| {
            (
                orders::order_key.eq(Bytes([key; 16])),
                orders::paid_time.eq(None::<At>),
                orders::annotations.eq(annotations),
                orders::next_due.eq(None::<At>),
            )
        };
        let rows = vec![row(1, None), row(2, Some("NULL"))];
        let rows = diesel::insert_into(orders::table).values(rows);
        assert_eq!(
            insert("orders", &rows).unwrap(),
            "INSERT INTO `orders` (`order_key`, `annotations`) VALUES \
             (x'01010101010101010101010101010101', NULL), (x'02020202020202020202020202020202', 'NULL')"
        );
    }

    #[test]
    fn what_is_not_plain_is_hex() {
        for (note, literal) in [
            ("", "''"),
            ("it's", "_utf8mb4 x'69742773'"),
            ("\\", "_utf8mb4 x'5c'"),
            ("a\nb", "_utf8mb4 x'610a62'"),
            ("ü", "_utf8mb4 x'c3bc'"),
            ("~ {}[]\"`;--#/*", "'~ {}[]\"`;--#/*'"),
        ] {
            let insert = diesel::insert_into(incidents::table).values(incidents::note.eq(note));
            let expected = format!("INSERT INTO `incidents` (`note`) VALUES ({literal})");
            assert_eq!(text(&insert).unwrap(), expected);
        }
    }
}
