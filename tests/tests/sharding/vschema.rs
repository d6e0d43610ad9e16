//! `deploy/vitess/vschema.json`, read as strictly as Vitess reads it, and where its vindexes put a
//! row.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::tidy::read_to_string;

const FILE: &str = "deploy/vitess/vschema.json";

/// The value that a column is compared with, or set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Number(u64),
    Bytes(Vec<u8>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VSchema {
    pub(super) keyspaces: BTreeMap<String, Keyspace>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keyspace {
    pub(super) sharded: bool,
    #[serde(default)]
    pub(super) vindexes: BTreeMap<String, Vindex>,
    pub(super) tables: BTreeMap<String, Table>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    pub(super) column_vindexes: Vec<ColumnVindex>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnVindex {
    pub(super) column: String,
    pub(super) name: String,
}

/// Those of Vitess's vindexes that ours are of.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Vindex {
    /// The bytes of the column are the keyspace id.
    Binary {},
    /// A number stands for another, whose eight bytes are the keyspace id.
    NumericStaticMap { params: StaticMap },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaticMap {
    /// Vitess takes it as a text.
    json: String,
}

impl VSchema {
    pub(super) fn read() -> Self {
        serde_json::from_str(&read_to_string(FILE))
            .unwrap_or_else(|error| panic!("{FILE}: {error}"))
    }

    /// The column by which a table is sharded, and how. None of a table that is not.
    pub(super) fn sharded_by(&self, table: &str) -> Option<(&str, &Vindex)> {
        let keyspaces = self.keyspaces.values().filter(|of| of.sharded);
        let found: Vec<(&Keyspace, &Table)> = keyspaces
            .filter_map(|of| Some((of, of.tables.get(table)?)))
            .collect();
        let [(keyspace, table)] = found[..] else {
            return None;
        };
        let by = &table.column_vindexes[0];
        Some((&by.column, &keyspace.vindexes[&by.name]))
    }
}

impl Vindex {
    /// The first eight bytes of the keyspace id, which are all that the bounds of our shards have.
    pub(super) fn place(&self, cell: &Cell) -> Option<u64> {
        match (self, cell) {
            (Self::Binary {}, Cell::Bytes(bytes)) => {
                Some(u64::from_be_bytes(*bytes.first_chunk()?))
            }
            (Self::NumericStaticMap { params }, Cell::Number(number)) => {
                // A number that is not there would be its own keyspace id, and so in the first
                // shard.
                params.places().get(number).copied()
            }
            _ => None,
        }
    }
}

impl StaticMap {
    pub(super) fn places(&self) -> BTreeMap<u64, u64> {
        serde_json::from_str(&self.json).expect("a map of numbers")
    }
}

mod tests {
    use std::collections::BTreeSet;

    use belay_domain::ids::{OrderId, OrderKey, Partitions, StoreId};
    use belay_server::db::settings::PARTITIONS_DEFAULT;
    use belay_tests::run;

    use super::*;

    /// Of a new database: more shards would have a part of a partition each.
    const SHARDS_LOG2_MAX: u32 = 6;

    #[test]
    fn the_vschema_has_each_table_once_and_shards_it_by_its_primary_key() {
        run(async |t| {
            let vschema = VSchema::read();
            let of_keyspaces = vschema.keyspaces.values().flat_map(|of| of.tables.keys());
            let mut named: Vec<&str> = of_keyspaces.map(String::as_str).collect();
            named.sort_unstable();
            let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() \
                AND table_type = 'BASE TABLE'";
            let tables: Vec<(String,)> = t.database.rows(tables, ()).await;
            let tables: BTreeSet<&str> = tables.iter().map(|(table,)| &**table).collect();
            assert_eq!(named, tables.into_iter().collect::<Vec<_>>());

            let keys = "SELECT table_name, column_name FROM information_schema.statistics \
                WHERE table_schema = DATABASE() AND index_name = 'PRIMARY'";
            let keys: Vec<(String, String)> = t.database.rows(keys, ()).await;
            for (name, keyspace) in &vschema.keyspaces {
                let mut used = BTreeSet::new();
                for (table, by) in &keyspace.tables {
                    let by = &by.column_vindexes;
                    assert_eq!(by.len(), usize::from(keyspace.sharded), "{name}.{table}");
                    for by in by {
                        let is_in_key = keys.contains(&(table.clone(), by.column.clone()));
                        assert!(is_in_key, "{table}.{} is not in its primary key", by.column);
                        used.insert(&by.name);
                    }
                }
                let declared: BTreeSet<&String> = keyspace.vindexes.keys().collect();
                assert_eq!(used, declared, "vindexes of {name}");
            }
            // So no table wants a sequence, which the file could not name either.
            let counted = "SELECT COUNT(*) FROM information_schema.columns \
                WHERE table_schema = DATABASE() AND extra LIKE '%auto_increment%'";
            let (counted,): (u64,) = t.database.row(counted, ()).await;
            assert_eq!(counted, 0);
        });
    }

    fn keys() -> impl Iterator<Item = OrderKey> {
        let store = StoreId::parse("shop").expect("an id");
        (0..5_000).map(move |at| {
            let order = OrderId::parse(format!("A-{at}")).expect("an id");
            OrderKey::of(&store, &order)
        })
    }

    /// Whether all orders are in the shard of their partition, where there are so many shards.
    fn are_together(partitions: Partitions, shards_log2: u32) -> bool {
        let vschema = VSchema::read();
        let place = |table: &str, cell: Cell| {
            let (_, vindex) = vschema.sharded_by(table).expect("a sharded table");
            let place = vindex.place(&cell);
            place.unwrap_or_else(|| panic!("{table} has no place for {cell:?}"))
        };
        let shard = |place: u64| place.checked_shr(u64::BITS - shards_log2).unwrap_or(0);
        keys().all(|key| {
            let partition = key.partition(partitions);
            let order = place("orders", Cell::Bytes(key.0.to_vec()));
            let feed = place("events", Cell::Number(partition.into()));
            shard(order) == shard(feed)
        })
    }

    #[test]
    fn an_order_and_its_partition_of_the_feed_are_in_one_shard() {
        for shards_log2 in 0..=SHARDS_LOG2_MAX {
            assert!(
                are_together(PARTITIONS_DEFAULT, shards_log2),
                "{shards_log2}"
            );
        }
        assert!(!are_together(PARTITIONS_DEFAULT, SHARDS_LOG2_MAX + 1));
        // A database that was created before partitions were ranges cannot be sharded.
        let remainder = Partitions::parse("64").expect("partitions");
        assert!(!are_together(remainder, 1));
    }

    #[test]
    fn the_map_has_the_partitions_of_a_new_database() {
        let vschema = VSchema::read();
        let (_, vindex) = vschema.sharded_by("events").expect("a sharded table");
        let Vindex::NumericStaticMap { params } = vindex else {
            panic!("{vindex:?}");
        };
        let named = params.places().into_keys().collect::<Vec<u64>>();
        let there: Vec<u64> = PARTITIONS_DEFAULT.all().map(u64::from).collect();
        assert_eq!(named, there);
    }
}
