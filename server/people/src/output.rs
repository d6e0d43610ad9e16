//! The standard output: a table, JSON or YAML.

use std::io;
use std::io::{IsTerminal as _, Write};

use belay_client::Items;
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::failure::{Class, Failure};
use crate::text;

/// Entries that a list shows where it is not told otherwise.
pub(crate) const LIMIT_DEFAULT: u32 = 50;

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Output {
    /// How the answer is written.
    #[arg(
        long,
        short,
        value_enum,
        default_value = "table",
        global = true,
        value_name = "FORMAT"
    )]
    pub(crate) output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
    Yaml,
}

/// A column: what it is called, and where its value stands.
pub(crate) type Column = (&'static str, &'static str);

impl Output {
    /// Shows one thing: in a table its fields, one a line.
    pub(crate) fn one(self, thing: &impl Serialize) -> Result<(), Failure> {
        let value = value(thing)?;
        match (self.output, value) {
            (Format::Table, Value::Object(fields)) => {
                let mut table = table();
                for (name, value) in &fields {
                    let value = text::text(value);
                    if !value.is_empty() {
                        table.add_row([name.replace('_', " "), value]);
                    }
                }
                print(&table)
            }
            (_, value) => self.machine(&value),
        }
    }

    /// Shows many things, by these columns of a table.
    pub(crate) fn many(self, columns: &[Column], things: &[impl Serialize]) -> Result<(), Failure> {
        let values: Vec<Value> = things.iter().map(value).collect::<Result<_, _>>()?;
        if self.output != Format::Table {
            return self.machine(&Value::Array(values));
        }
        let mut table = table();
        table.set_header(columns.iter().map(|(title, _)| *title));
        for value in &values {
            table.add_row(
                columns
                    .iter()
                    .map(|(_, path)| text::text(text::at(value, path))),
            );
        }
        print(&table)
    }

    /// As a program reads it.
    pub(crate) fn machine(self, value: &Value) -> Result<(), Failure> {
        let written = match self.output {
            Format::Yaml => serde_saphyr::to_string(value).map_err(|error| error.to_string()),
            Format::Table | Format::Json => {
                serde_json::to_string_pretty(value).map_err(|error| error.to_string())
            }
        };
        let written = written.map_err(|error| Failure::new(Class::Internal, error))?;
        line(written.trim_end())
    }

    pub(crate) fn is_for_people(self) -> bool {
        self.output == Format::Table
    }
}

pub(crate) fn value(thing: &impl Serialize) -> Result<Value, Failure> {
    let value = serde_json::to_value(thing);
    value.map_err(|error| Failure::new(Class::Internal, error.to_string()))
}

/// A count as the length of a list.
pub(crate) fn length(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// So many entries of a list, and whether there are more.
pub(crate) async fn taken<T: Unpin>(
    mut items: Items<T>,
    limit: u32,
) -> Result<(Vec<T>, bool), Failure> {
    let mut taken = Vec::new();
    while let Some(item) = items.try_next().await? {
        if taken.len() >= length(limit) {
            return Ok((taken, true));
        }
        taken.push(item);
    }
    Ok((taken, false))
}

/// Says on the standard error that a list goes on.
pub(crate) fn tell_more(limit: u32) {
    tell(&format!(
        "the first {limit} are shown; --limit shows more, `belay export` all"
    ));
}

/// Says something on the standard error.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "belay: {text}");
}

fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn print(table: &Table) -> Result<(), Failure> {
    for row in table.lines() {
        line(row.trim())?;
    }
    Ok(())
}

pub(crate) fn line(text: &str) -> Result<(), Failure> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// A word in the colour that it has on a terminal.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Paint {
    Good,
    Bad,
    Dim,
}

/// Painted on a terminal, and plain elsewhere and where NO_COLOR is set.
pub(crate) fn painted(paint: Paint, word: &str) -> String {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if is_plain || !io::stdout().is_terminal() {
        return word.to_owned();
    }
    let code = match paint {
        Paint::Good => 32,
        Paint::Bad => 31,
        Paint::Dim => 2,
    };
    format!("\x1b[{code}m{word}\x1b[0m")
}
