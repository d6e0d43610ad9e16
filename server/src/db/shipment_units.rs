//! The units that each shipment holds. Read with its order; written by `aggregate` alone.
//!
//! A range that is no more keeps its row with a count of 0: a DELETE by a part of the key may scan,
//! and lock, more than it deletes.

use belay_domain::ids::OrderKey;
use belay_domain::units::{UnitRange, UnitSet};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::Conn;
use super::columns::{self, Bytes};
use super::error::DbError;
use super::schema::shipment_units;
use super::statement::{self, rows_of_orders};
use super::writes::Writes;

#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = shipment_units, check_for_backend(Mysql), treat_none_as_default_value = false)]
pub(super) struct ShipmentUnitsRow {
    #[serde(skip, default = "columns::no_key")]
    pub(super) order_key: Bytes<16>,
    pub(super) shipment_number: u32,
    line_number: u32,
    first_unit: u32,
    unit_count: u32,
}

impl statement::Row for ShipmentUnitsRow {
    fn bytes(&self) -> usize {
        64
    }
}

impl ShipmentUnitsRow {
    /// The rows that turn `before` into `after`.
    pub(super) fn changes<'a>(
        key: OrderKey,
        shipment: u32,
        before: &'a UnitSet,
        after: &'a UnitSet,
    ) -> impl Iterator<Item = Self> + 'a {
        changed_ranges(before, after).map(move |range| Self {
            order_key: key.into(),
            shipment_number: shipment,
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

/// Ranges of `after` that are new or of another length, and those that began where none begins any
/// more, with count 0.
pub(super) fn changed_ranges<'a>(
    before: &'a UnitSet,
    after: &'a UnitSet,
) -> impl Iterator<Item = UnitRange> + 'a {
    let begins = |units: &UnitSet, at: &UnitRange| {
        units
            .ranges()
            .iter()
            .any(|range| (range.line, range.first) == (at.line, at.first))
    };
    let gone = before
        .ranges()
        .iter()
        .filter(move |range| !begins(after, range));
    let gone = gone.map(|range| UnitRange { count: 0, ..*range });
    after
        .ranges()
        .iter()
        .filter(|range| !before.ranges().contains(range))
        .copied()
        .chain(gone)
}

pub(super) async fn read(
    conn: &mut Conn,
    keys: &[OrderKey],
) -> Result<Vec<ShipmentUnitsRow>, DbError> {
    Ok(rows_of_orders!(
        conn,
        shipment_units,
        ShipmentUnitsRow,
        keys
    ))
}

/// Rows of ranges, by what is known of them.
#[derive(Debug)]
pub(super) struct UnitRows<R> {
    /// Of a shipment or a part that is new, and so are they.
    pub(super) of_new: Vec<R>,
    /// Of one that was there: a range may have been there before and have a row of count 0.
    pub(super) of_known: Vec<R>,
}

impl<R> Default for UnitRows<R> {
    fn default() -> Self {
        Self {
            of_new: Vec::new(),
            of_known: Vec::new(),
        }
    }
}

impl<R> UnitRows<R> {
    pub(super) fn extend(&mut self, holder_is_new: bool, rows: impl Iterator<Item = R>) {
        let known = if holder_is_new {
            &mut self.of_new
        } else {
            &mut self.of_known
        };
        known.extend(rows);
    }
}

macro_rules! write_unit_rows {
    ($writes:expr, $table:ident, $rows:expr) => {{
        const TABLE: &str = stringify!($table);
        for rows in $crate::db::statement::chunks(&$rows.of_new) {
            $writes.insert(TABLE, &diesel::insert_into($table::table).values(rows))?;
        }
        for rows in $crate::db::statement::chunks(&$rows.of_known) {
            let upsert = $crate::db::statement::Upsert {
                insert: diesel::insert_into($table::table).values(rows),
                columns: &[<$table::unit_count as diesel::Column>::NAME],
            };
            $writes.upsert(TABLE, &upsert)?;
        }
        Ok(())
    }};
}

pub(super) use write_unit_rows;

pub(super) fn write(writes: &mut Writes, rows: &UnitRows<ShipmentUnitsRow>) -> Result<(), DbError> {
    write_unit_rows!(writes, shipment_units, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(ranges: &[(u32, u32, u32)]) -> UnitSet {
        ranges
            .iter()
            .map(|(line, first, count)| UnitRange {
                line: *line,
                first: *first,
                count: *count,
            })
            .collect()
    }

    #[test]
    fn a_range_that_moved_leaves_a_zero_behind() {
        let (before, after) = (
            units(&[(1, 0, 5), (2, 0, 1)]),
            units(&[(1, 2, 3), (2, 0, 1), (3, 0, 1)]),
        );
        let changed: Vec<UnitRange> = changed_ranges(&before, &after).collect();
        let range = |line, first, count| UnitRange { line, first, count };
        assert_eq!(changed, [range(1, 2, 3), range(3, 0, 1), range(1, 0, 0)]);
        assert_eq!(changed_ranges(&after, &after).count(), 0);
    }
}
