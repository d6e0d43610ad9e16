//! `belay export`: a whole list, a line an entry.

use std::io;
use std::io::Write as _;

use belay_client::Items;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::lists::{CANCELLATIONS, INCIDENTS, REFUNDS, STOCK};
use crate::orders::ORDERS;
use crate::output::{Column, value};
use crate::text;

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    connection: Connection,
    /// What to write.
    #[arg(value_enum)]
    list: List,
    /// NDJSON has everything, CSV the columns of the table.
    #[arg(long, value_enum, default_value = "ndjson")]
    format: ExportFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum List {
    Orders,
    Cancellations,
    Refunds,
    Shipments,
    Incidents,
    Stock,
    Decisions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Ndjson,
    Csv,
}

const SHIPMENTS: &[Column] = &[
    ("SHIPMENT", "shipment_id"),
    ("ORDER", "order_id"),
    ("STAGE", "stage"),
    ("WAREHOUSE", "warehouse_id"),
    ("CARRIER", "carrier_id"),
    ("TRACKING", "tracking_number"),
    ("PREPARE BY", "prepare_by"),
    ("UPDATED", "update_time"),
];
const DECISIONS: &[Column] = &[
    ("ORDER", "order_id"),
    ("REQUEST", "request_id"),
    ("CALLER", "caller.role"),
    ("CALLER ID", "caller.id"),
    ("DECIDED", "decision_time"),
    ("ACCEPTED", "accepted"),
    ("REASON", "rejected_reason"),
    ("RULE", "evaluations.0.paths.0.answer.rule"),
];

impl Export {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.connection.store()?;
        let format = self.format;
        match self.list {
            List::Orders => all(store.list_orders().stream(), ORDERS, format).await,
            List::Cancellations => {
                all(store.list_cancellations().stream(), CANCELLATIONS, format).await
            }
            List::Refunds => all(store.list_refunds().stream(), REFUNDS, format).await,
            List::Shipments => all(store.list_shipments().stream(), SHIPMENTS, format).await,
            List::Incidents => all(store.list_incidents().stream(), INCIDENTS, format).await,
            List::Stock => all(store.list_stock().stream(), STOCK, format).await,
            List::Decisions => all(store.list_decisions().stream(), DECISIONS, format).await,
        }
    }
}

/// Writes a list to its end. At most a page of it is in memory.
async fn all<T: Serialize + Unpin>(
    mut items: Items<T>,
    columns: &[Column],
    format: ExportFormat,
) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout());
    if format == ExportFormat::Csv {
        let titles = columns
            .iter()
            .map(|(title, _)| title.to_lowercase().replace(' ', "_"));
        writeln!(out, "{}", titles.collect::<Vec<_>>().join(","))?;
    }
    while let Some(item) = items.try_next().await? {
        let item = value(&item)?;
        match format {
            ExportFormat::Ndjson => writeln!(out, "{item}")?,
            ExportFormat::Csv => {
                let cells = columns.iter().map(|(_, path)| cell(text::at(&item, path)));
                writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// A cell as RFC 4180 has it. What a spreadsheet would take for a formula is no formula.
fn cell(value: &Value) -> String {
    // Instants and codes whole, as a program reads them.
    let string = value.as_str();
    let mut text = string.map_or_else(|| text::text(value), str::to_owned);
    if string.is_some() && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        text.insert(0, '\'');
    }
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_is_quoted_where_it_must_be() {
        let rows = [
            (json!("plain"), "plain"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"so\""), "\"say \"\"so\"\"\""),
            (json!("=1+1"), "'=1+1"),
            (json!(-5), "-5"),
            (json!(null), ""),
            (
                json!({"currency_code": "EUR", "minor_units": -5}),
                "-0.05 EUR",
            ),
        ];
        for (value, expected) in rows {
            assert_eq!(cell(&value), expected);
        }
    }
}
