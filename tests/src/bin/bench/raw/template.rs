//! Rows that the service wrote about one order, ready to be written about another.
//!
//! The bare client does not know what a cancellation means. It takes the rows that the service
//! wrote for one order, and puts in the other order's key, digits, request and times. So it writes
//! the very same rows, byte for byte as long, whatever the service has come to write.

use std::time::Duration;

use anyhow::Context as _;
use jiff::civil::DateTime;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Params, Row, Value};
use uuid::Uuid;

use crate::shop::{DIGITS, OrderNumber};

/// The order that a row is about, its request and its time.
#[derive(Debug, Clone)]
pub(crate) struct About {
    key: [u8; 16],
    digits: String,
    request_id: Uuid,
    request_text: String,
    time: DateTime,
    partition: u16,
    /// Of the first event.
    position: u64,
}

impl About {
    pub(crate) fn new(
        order: OrderNumber,
        request_id: Uuid,
        time: DateTime,
        partition: u16,
        position: u64,
    ) -> Self {
        Self {
            key: order.key().0,
            digits: order.digits(),
            request_id,
            request_text: request_id.to_string(),
            time,
            partition,
            position,
        }
    }

    pub(crate) fn partition(&self) -> u16 {
        self.partition
    }

    /// The position of the first event is known last.
    pub(crate) fn begin_at(&mut self, position: u64) {
        self.position = position;
    }
}

/// The value of one column of one row.
#[derive(Debug, Clone)]
enum Cell {
    Same(Value),
    OrderKey,
    RequestId,
    Partition,
    /// So many after the first.
    Position(u64),
    /// So long after the decision; it may be before.
    Time(jiff::SignedDuration),
    /// Holds the order's digits, or the request's id as text, at these places.
    Text {
        bytes: Vec<u8>,
        digits_at: Vec<usize>,
        request_at: Vec<usize>,
    },
}

/// The rows of one table that one command writes.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    columns: Vec<String>,
    cells: Vec<Cell>,
}

impl Rows {
    /// Reads the rows that the service wrote about the order `about`.
    pub(crate) async fn learn(
        conn: &mut Conn,
        select: &str,
        params: impl Into<Params> + Send,
        about: &About,
    ) -> anyhow::Result<Self> {
        let rows: Vec<Row> = conn
            .exec(select, params)
            .await
            .with_context(|| format!("cannot learn from {select}"))?;
        let first = rows
            .first()
            .with_context(|| format!("the service wrote no row that {select} finds"))?;
        let columns: Vec<String> = first
            .columns_ref()
            .iter()
            .map(|column| column.name_str().into_owned())
            .collect();
        let mut cells = Vec::new();
        for row in rows {
            for (column, value) in columns.iter().zip(row.unwrap()) {
                cells.push(Cell::of(column, value, about)?);
            }
        }
        Ok(Self { columns, cells })
    }

    /// One statement for the rows of so many orders.
    pub(crate) fn insert(&self, table: &str, orders: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        let rows = vec![row; self.cells.len() / self.columns.len() * orders].join(", ");
        format!(
            "INSERT INTO {table} ({}) VALUES {rows}",
            self.columns.join(", ")
        )
    }

    /// How many positions of the feed the rows take.
    pub(crate) fn positions(&self) -> u64 {
        let after = self.cells.iter().map(|cell| {
            if let Cell::Position(after) = cell {
                after + 1
            } else {
                0
            }
        });
        after.max().unwrap_or(0)
    }

    pub(crate) fn values(&self, about: &About) -> Vec<Value> {
        self.cells.iter().map(|cell| cell.value(about)).collect()
    }
}

impl Cell {
    fn of(column: &str, value: Value, about: &About) -> anyhow::Result<Self> {
        Ok(match value {
            Value::Bytes(bytes) if bytes == about.key => Cell::OrderKey,
            Value::Bytes(bytes) if bytes == about.request_id.as_bytes() => Cell::RequestId,
            Value::Bytes(bytes) => {
                let digits_at = places(&bytes, about.digits.as_bytes());
                let request_at = places(&bytes, about.request_text.as_bytes());
                if digits_at.is_empty() && request_at.is_empty() {
                    Cell::Same(Value::Bytes(bytes))
                } else {
                    Cell::Text {
                        bytes,
                        digits_at,
                        request_at,
                    }
                }
            }
            Value::Date(..) => Cell::Time(date_time(&value)?.duration_since(about.time)),
            Value::UInt(_) | Value::Int(_) if column == "shard_partition" => Cell::Partition,
            Value::UInt(_) | Value::Int(_) if column == "position" => {
                Cell::Position(mysql_async::from_value::<u64>(value) - about.position)
            }
            Value::NULL
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Double(_)
            | Value::Time(..) => Cell::Same(value),
        })
    }

    fn value(&self, about: &About) -> Value {
        match self {
            Cell::Same(value) => value.clone(),
            Cell::OrderKey => Value::Bytes(about.key.to_vec()),
            Cell::RequestId => Value::Bytes(about.request_id.as_bytes().to_vec()),
            Cell::Partition => Value::UInt(about.partition.into()),
            Cell::Position(after) => Value::UInt(about.position + after),
            Cell::Time(after) if after.is_zero() => date_value(about.time),
            Cell::Time(after) => date_value(about.time.saturating_add(*after)),
            Cell::Text {
                bytes,
                digits_at,
                request_at,
            } => {
                let mut bytes = bytes.clone();
                for at in digits_at {
                    bytes[*at..at + DIGITS].copy_from_slice(about.digits.as_bytes());
                }
                for at in request_at {
                    bytes[*at..at + about.request_text.len()]
                        .copy_from_slice(about.request_text.as_bytes());
                }
                Value::Bytes(bytes)
            }
        }
    }
}

fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    bytes
        .windows(text.len())
        .enumerate()
        .filter(|(_, window)| *window == text)
        .map(|(at, _)| at)
        .collect()
}

/// Of a DATETIME(6) as the driver gives it.
pub(crate) fn date_time(value: &Value) -> anyhow::Result<DateTime> {
    let Value::Date(year, month, day, hour, minute, second, micros) = *value else {
        anyhow::bail!("{value:?} is no DATETIME")
    };
    let small = |part: u8| i8::try_from(part);
    let nanos = i32::try_from(micros)? * 1_000;
    let time = DateTime::new(
        i16::try_from(year)?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        nanos,
    );
    Ok(time?)
}

fn date_value(time: DateTime) -> Value {
    let small = |part: i8| part.unsigned_abs();
    Value::Date(
        time.year().unsigned_abs(),
        small(time.month()),
        small(time.day()),
        small(time.hour()),
        small(time.minute()),
        small(time.second()),
        Duration::from_nanos(time.subsec_nanosecond().unsigned_abs().into()).subsec_micros(),
    )
}
