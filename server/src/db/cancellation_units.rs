//! The units that each part of a cancellation is about. Read with their order; written by
//! `aggregate` alone. Ranges that are no more stay with a count of 0, as in `shipment_units`.

use belay_domain::ids::OrderKey;
use belay_domain::units::{UnitRange, UnitSet};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, Bytes};
use super::error::DbError;
use super::schema::cancellation_units;
use super::shipment_units::{UnitRows, changed_ranges, write_unit_rows};
use super::statement::{self, rows_of_orders};
use super::writes::Writes;

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = cancellation_units, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct CancellationUnitsRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    pub(super) cancellation_number: u32,
    pub(super) part_number: u32,
    line_number: u32,
    first_unit: u32,
    unit_count: u32,
}

impl statement::Row for CancellationUnitsRow {
    fn bytes(&self) -> usize {
        64
    }
}

impl CancellationUnitsRow {
    /// The rows that turn `before` into `after`.
    pub(super) fn changes<'a>(
        key: OrderKey,
        (cancellation, part): (u32, u32),
        before: &'a UnitSet,
        after: &'a UnitSet,
    ) -> impl Iterator<Item = Self> + 'a {
        changed_ranges(before, after).map(move |range| Self {
            order_key: key.into(),
            cancellation_number: cancellation,
            part_number: part,
            line_number: range.line,
            first_unit: range.first,
            unit_count: range.count,
        })
    }

    pub(super) fn range(&self) -> UnitRange {
        UnitRange {
            line: self.line_number,
            first: self.first_unit,
            count: self.unit_count,
        }
    }
}

pub(super) async fn read(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<Vec<CancellationUnitsRow>, DbError> {
    Ok(rows_of_orders!(
        conn,
        cancellation_units,
        CancellationUnitsRow,
        keys
    ))
}

pub(super) fn write(
    writes: &mut Writes,
    rows: &UnitRows<CancellationUnitsRow>,
) -> Result<(), DbError> {
    write_unit_rows!(writes, cancellation_units, rows)
}
