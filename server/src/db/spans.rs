//! A span for each statement, within the span of who asks for it. It names the statement and its
//! table; parameters, and the database's words about them, are never told.

use std::fmt::{self, Write as _};
use std::mem;

use diesel::connection::{DebugQuery, Instrumentation, InstrumentationEvent};
use opentelemetry::trace::Status;
use opentelemetry_semantic_conventions::attribute;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::error::kind_of;
use crate::telemetry::traces::{self, SPANS};

/// Bytes of a statement that are looked at: enough for its first table.
const SQL_BYTES_MAX: usize = 2_048;

/// Longest summary, in characters: the most that the conventions of OpenTelemetry recommend.
const SUMMARY_LENGTH_MAX: usize = 255;

/// The spans of one connection, which runs one statement at a time.
pub(super) struct StatementSpans {
    open: Span,
}

impl StatementSpans {
    pub(super) fn new() -> Self {
        Self { open: Span::none() }
    }
}

impl Instrumentation for StatementSpans {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            // Only of what is kept is the text looked at.
            self.open = traces::within(|| StatementKind::of(&beginning(query)).span());
        } else if let InstrumentationEvent::FinishQuery { error, .. } = event {
            let span = mem::replace(&mut self.open, Span::none());
            if let Some(error) = error {
                let class = kind_of(error).name();
                span.set_attribute(attribute::ERROR_TYPE, class);
                span.set_status(Status::error(class));
            }
        }
    }
}

/// The kind of a statement, or of several in one message.
#[derive(Debug, PartialEq, Eq)]
struct StatementKind {
    operation: String,
    table: Option<String>,
    /// Operation and table, of each statement.
    summary: String,
}

impl StatementKind {
    fn of(sql: &str) -> Self {
        // What goes in one message says itself what it is, as `writes` puts it.
        if let Some(batch) = sql.strip_prefix("/* ") {
            let batch = batch.split(" */").next().unwrap_or_default();
            return match batch.split_once(' ') {
                Some((operation, table)) if !batch.contains(';') => {
                    Self::new(operation.to_owned(), Some(table.to_owned()))
                }
                Some(_) | None => Self {
                    operation: "BATCH".to_owned(),
                    table: None,
                    summary: batch.chars().take(SUMMARY_LENGTH_MAX).collect(),
                },
            };
        }
        // A snapshot is begun by two statements at once.
        if sql.starts_with("SET TRANSACTION") {
            return Self::new("START TRANSACTION".to_owned(), None);
        }
        let words = sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let mut words = words.filter(|word| !word.is_empty());
        let operation = words.next().unwrap_or("UNKNOWN").to_ascii_uppercase();
        let has_table = ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&operation.as_str());
        let mut behind = words.skip_while(|word| !["FROM", "INTO"].contains(word));
        let named = behind.nth(1).filter(|_| operation != "UPDATE");
        // An UPDATE begins with its table, and diesel quotes names.
        let quoted = || sql.split('`').nth(1);
        let table = named.or_else(quoted).filter(|_| has_table);
        let table = table.map(str::to_owned);
        Self::new(operation, table)
    }

    fn new(operation: String, table: Option<String>) -> Self {
        let summary = match &table {
            Some(table) => format!("{operation} {table}"),
            None => operation.clone(),
        };
        Self {
            operation,
            table,
            summary,
        }
    }

    fn span(&self) -> Span {
        tracing::info_span!(
            target: SPANS,
            "statement",
            otel.name = self.summary,
            otel.kind = "client",
            { attribute::DB_SYSTEM_NAME } = "mysql",
            { attribute::DB_OPERATION_NAME } = self.operation,
            { attribute::DB_COLLECTION_NAME } = self.table,
            { attribute::DB_QUERY_SUMMARY } = self.summary,
        )
    }
}

/// The first bytes of a statement. Its parameters come behind its text, and are not written once
/// there is enough.
fn beginning(query: &dyn DebugQuery) -> String {
    struct Beginning(String);

    impl fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let left = SQL_BYTES_MAX.saturating_sub(self.0.len());
            let taken = text
                .char_indices()
                .map(|(at, c)| at + c.len_utf8())
                .take_while(|end| *end <= left)
                .last()
                .unwrap_or(0);
            self.0.push_str(&text[..taken]);
            if taken == text.len() {
                Ok(())
            } else {
                Err(fmt::Error)
            }
        }
    }

    let mut beginning = Beginning(String::new());
    // It fails once there is enough.
    let _ = write!(beginning, "{query}");
    // diesel's mark between a short statement and its parameters.
    let text = beginning.0.split(" -- binds: ").next().unwrap_or_default();
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use diesel::connection::Instrumentation as _;
    use diesel::prelude::*;

    use super::*;
    use crate::db::schema::orders;

    fn kind(sql: &str) -> (String, Option<String>) {
        let StatementKind {
            operation, table, ..
        } = StatementKind::of(sql);
        (operation, table)
    }

    #[test]
    fn a_statement_is_known_by_its_first_word_and_its_table() {
        for (sql, operation, table) in [
            ("BEGIN", "BEGIN", None),
            ("COMMIT", "COMMIT", None),
            ("ROLLBACK", "ROLLBACK", None),
            (
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; START TRANSACTION",
                "START TRANSACTION",
                None,
            ),
            ("DO 0", "DO", None),
            ("SELECT SYSDATE(6)", "SELECT", None),
            (
                "SELECT now FROM manual_clock WHERE id = 1",
                "SELECT",
                Some("manual_clock"),
            ),
            (
                "SELECT `orders`.`order_key` FROM `orders`",
                "SELECT",
                Some("orders"),
            ),
            (
                "SELECT `head` FROM `partition_heads` FORCE INDEX (PRIMARY)",
                "SELECT",
                Some("partition_heads"),
            ),
            (
                "INSERT INTO `events` (`partition_id`) VALUES (?)",
                "INSERT",
                Some("events"),
            ),
            (
                "UPDATE `orders` SET `version` = ?",
                "UPDATE",
                Some("orders"),
            ),
            (
                "/* UPDATE orders */ UPDATE `orders` FORCE INDEX (PRIMARY) SET `version` = 2",
                "UPDATE",
                Some("orders"),
            ),
            (
                "/* INSERT orders; INSERT order_lines */ INSERT INTO `orders`",
                "BATCH",
                None,
            ),
            (
                "DELETE FROM `policy_activations`",
                "DELETE",
                Some("policy_activations"),
            ),
        ] {
            assert_eq!(
                kind(sql),
                (operation.to_owned(), table.map(str::to_owned)),
                "{sql}"
            );
        }
    }

    #[test]
    fn parameters_are_not_told() {
        let query = orders::table
            .filter(orders::order_id.eq("hunter2"))
            .select(orders::order_id);
        let query = diesel::debug_query::<diesel::mysql::Mysql, _>(&query);
        assert!(query.to_string().contains("hunter2"));
        assert!(
            !beginning(&query).contains("hunter2"),
            "{}",
            beginning(&query)
        );
        assert_eq!(
            StatementKind::of(&beginning(&query)).summary,
            "SELECT orders"
        );
        // Outside any call nothing is begun.
        let mut spans = StatementSpans::new();
        spans.on_connection_event(InstrumentationEvent::start_query(&query));
        assert!(spans.open.is_none());
    }
}
