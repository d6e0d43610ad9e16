//! A column of units: JSON text, a list of `[line, first unit, count]`, such as
//! `[[1,0,2],[2,0,1]]`.

use std::io::Write;

use belay_domain::units::{UnitRange, UnitSet};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::mysql::{Mysql, MysqlValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

/// The longest text of a range, in bytes, with the comma behind it.
const RANGE_BYTES_MAX: usize = "[4294967295,4294967295,4294967295],".len();

/// A set of units. In a document its ranges are numbers and no text.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow, Serialize, Deserialize)]
#[diesel(sql_type = Text)]
pub(crate) struct Units(pub(crate) UnitSet);

impl Units {
    /// Of its text, at most.
    pub(crate) fn bytes(&self) -> usize {
        2 + self.0.ranges().len() * RANGE_BYTES_MAX
    }
}

impl ToSql<Text, Mysql> for Units {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
        write(&self.0, out)?;
        Ok(IsNull::No)
    }
}

impl FromSql<Text, Mysql> for Units {
    fn from_sql(value: MysqlValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(parse(value.as_bytes())?))
    }
}

fn write(units: &UnitSet, out: impl Write) -> serde_json::Result<()> {
    let ranges = units.ranges().iter();
    let ranges: Vec<[u32; 3]> = ranges
        .map(|range| [range.line, range.first, range.count])
        .collect();
    serde_json::to_writer(out, &ranges)
}

/// The ranges may come in any order: SQL that collects them promises none.
fn parse(text: &[u8]) -> deserialize::Result<UnitSet> {
    let ranges: Vec<[u32; 3]> = serde_json::from_slice(text)?;
    let ranges = ranges.into_iter().map(|[line, first, count]| {
        let range = UnitRange { line, first, count };
        let end = first.checked_add(count);
        end.map(|_| range)
            .ok_or_else(|| format!("{range:?} ends beyond the last unit that there may be").into())
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(ranges: &[[u32; 3]]) -> UnitSet {
        let ranges = ranges.iter();
        ranges
            .map(|&[line, first, count]| UnitRange { line, first, count })
            .collect()
    }

    fn text(units: &UnitSet) -> String {
        let mut text = Vec::new();
        write(units, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn units_are_written_in_order_and_read_in_any() {
        let set = units(&[[2, 0, 1], [1, 4, 3], [1, 0, 2]]);
        assert_eq!(text(&set), "[[1,0,2],[1,4,3],[2,0,1]]");
        assert_eq!(text(&UnitSet::default()), "[]");
        for (stored, set) in [
            ("[[1,0,2],[1,4,3],[2,0,1]]", &set),
            (" [[2, 0, 1], [1, 4, 3], [1, 0, 2]] ", &set),
            ("[[1,0,2],[2,0,1],[3,7,0],[1,4,1],[1,5,2]]", &set),
            ("[]", &UnitSet::default()),
        ] {
            assert_eq!(parse(stored.as_bytes()).unwrap(), *set, "{stored}");
        }
    }

    #[test]
    fn what_is_no_list_of_ranges_is_refused() {
        for stored in [
            "",
            "null",
            "{}",
            "[1,0,2]",
            "[[1,0]]",
            "[[1,0,2,3]]",
            "[[1,-1,2]]",
            "[[1,0,2]",
            "[[1,4294967295,1]]",
        ] {
            assert!(parse(stored.as_bytes()).is_err(), "{stored}");
        }
        let last = parse(b"[[1,4294967294,1]]").unwrap();
        assert_eq!(last, units(&[[1, u32::MAX - 1, 1]]));
    }

    #[test]
    fn no_text_is_longer_than_said() {
        let longest = [
            [u32::MAX, 0, u32::MAX],
            [u32::MAX - 1, 1_000_000_000, 1_000_000_000],
        ];
        for ranges in [&[][..], &[[1, 0, 2]], &longest] {
            let units = Units(units(ranges));
            assert!(text(&units.0).len() <= units.bytes());
        }
    }
}
