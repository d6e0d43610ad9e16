//! What asks several shards, and why: the tables that the statements of a server are held to, and
//! `docs/scale.md` with them.

use belay_proto::v1 as pb;

use crate::tidy::{read_to_string, rust_files};

/// A statement that does not say where its rows are, and so asks every shard.
pub(super) struct Spread {
    pub(super) table: &'static str,
    /// The index that is forced, or the columns of its conditions in their order; `*` stands for
    /// any end of a name.
    pub(super) by: &'static [&'static str],
    /// RPCs, and modules of the server.
    who: &'static [&'static str],
    /// Why it must, and what bounds it in each shard.
    bound: &'static str,
}

/// The first that matches counts.
pub(super) const SPREAD: &[Spread] = &[
    Spread {
        table: "orders",
        by: &[
            "next_due shard_partition",
            "next_due order_key shard_partition",
            "orders_by_due",
        ],
        who: &["settle_due_orders", "read_figures"],
        bound: "deadlines pass wherever orders are: a page of keys, and 10,000 entries of a count",
    },
    Spread {
        table: "orders",
        by: &["orders_by_email", "orders_by_id"],
        who: &["FindOrders"],
        bound: "an address or the beginning of an id is of no shard: a page, and 5,000 ids",
    },
    Spread {
        table: "orders",
        by: &["orders_by_*"],
        who: &["ListOrders", "SummarizeOrders", "StartBulkCancellation"],
        bound: "a list of a store has orders of every shard: a page of one index, and 10,000 entries of a count",
    },
    Spread {
        table: "order_lines",
        by: &["order_lines_by_sku"],
        who: &["ListOrders", "StartBulkCancellation"],
        bound: "the same",
    },
    Spread {
        table: "shipments",
        by: &["shipments_by_tracking"],
        who: &["FindOrders"],
        bound: "a tracking number is of no shard: a page",
    },
    Spread {
        table: "shipments",
        by: &["shipments_by_*"],
        who: &["ListShipments", "StartBulkCancellation"],
        bound: "as ListOrders",
    },
    Spread {
        table: "cancellations",
        by: &["cancellations_by_*"],
        who: &["ListCancellations", "SummarizeActions"],
        bound: "as ListOrders",
    },
    Spread {
        table: "cancellation_parts",
        by: &["parts_by_*"],
        who: &["ListCancellations"],
        bound: "as ListOrders",
    },
    Spread {
        table: "gates",
        by: &["gates_by_*"],
        who: &["ListCancellations", "SummarizeActions", "read_figures"],
        bound: "as ListOrders; figures count 10,000 entries",
    },
    Spread {
        table: "refunds",
        by: &[
            "refunds_by_*",
            "state store_id",
            "lease_until state store_id",
            "seller_id state store_id",
            "lease_until seller_id state store_id",
        ],
        who: &[
            "ListRefunds",
            "ClaimRefunds",
            "SummarizeActions",
            "read_figures",
        ],
        bound: "as ListOrders. A claim is found in all shards, and made by a command to each order",
    },
    Spread {
        table: "incidents",
        by: &["incidents_by_*"],
        who: &["ListIncidents", "SummarizeActions"],
        bound: "as ListOrders",
    },
    Spread {
        table: "decisions",
        by: &["decisions_by_time", "decision_time"],
        who: &["ListDecisions", "SimulatePolicy", "prune_old_rows"],
        bound: "the log of a store by time: a page of 200, and 500 rows that are deleted",
    },
    Spread {
        table: "requests",
        by: &["requests_by_age", "create_time"],
        who: &["prune_old_rows"],
        bound: "what is old is old in every shard: 500 rows that are deleted",
    },
    Spread {
        table: "partition_heads",
        by: &["", "shard_partition"],
        who: &[
            "feed",
            "WatchEvents",
            "ListEvents",
            "CommitPosition",
            "GetConsumer",
            "ListConsumers",
        ],
        bound: "a position of the feed has all partitions: a row of each",
    },
    Spread {
        table: "partition_tails",
        by: &["", "shard_partition"],
        who: &[
            "feed",
            "WatchEvents",
            "ListEvents",
            "CommitPosition",
            "GetConsumer",
            "ListConsumers",
            "projections",
        ],
        bound: "the same",
    },
];

/// A transaction that writes, and reaches more than one shard or keyspace.
pub(super) struct Across {
    pub(super) who: &'static str,
    /// All that it may write or lock.
    pub(super) tables: &'static [&'static str],
    why: &'static str,
}

pub(super) const ACROSS: &[Across] = &[
    Across {
        who: "CommitPosition",
        tables: &["consumers"],
        why: "looks at the ends of all partitions, which only grow, and writes in `belay_global` alone",
    },
    Across {
        who: "projections",
        tables: &["partition_tails", "projection_positions", "projections"],
        why: "begins a generation, once: shares the tails of all partitions, so that nothing is pruned which it has not read. It writes \
            in `belay_global` alone",
    },
    Across {
        who: "prune_old_rows",
        tables: &["events", "order_history", "partition_tails"],
        why: "moves rows of one partition inside its shard, and reads in `belay_global` how far the projections are, which only grows",
    },
];

impl Spread {
    pub(super) fn is_of(&self, table: &str, by: &str) -> bool {
        let is_by = |pattern: &&str| match pattern.strip_suffix('*') {
            Some(begin) => by.starts_with(begin),
            None => by == *pattern,
        };
        self.table == table && self.by.iter().any(is_by)
    }

    fn row(&self) -> String {
        let code = |name: &&str| match *name {
            "" => "nothing".to_owned(),
            name => format!("`{name}`"),
        };
        let by: Vec<String> = self.by.iter().map(code).collect();
        let (table, by, who) = (self.table, by.join(", "), self.who.join(", "));
        format!("| `{table}` | {by} | {who} | {} |", self.bound)
    }
}

impl Across {
    fn row(&self) -> String {
        let tables: Vec<String> = self
            .tables
            .iter()
            .map(|table| format!("`{table}`"))
            .collect();
        format!("| {} | {} | {} |", self.who, tables.join(", "), self.why)
    }
}

#[test]
fn the_page_has_the_tables_of_what_asks_several_shards() {
    let page = read_to_string("docs/scale.md");
    let rows = SPREAD.iter().map(Spread::row).collect::<Vec<_>>();
    let across = ACROSS.iter().map(Across::row).collect::<Vec<_>>();
    for rows in [rows, across] {
        let rows = rows.join("\n");
        assert!(page.contains(&rows), "docs/scale.md lacks:\n{rows}");
    }
}

#[test]
fn whoever_asks_several_shards_is_an_rpc_or_a_module() {
    let files = rust_files("server/src");
    let named = SPREAD.iter().flat_map(|spread| spread.who);
    for who in named.chain(ACROSS.iter().map(|across| &across.who)) {
        let is_rpc = pb::RPCS
            .iter()
            .any(|rpc| rpc.path.ends_with(&format!("/{who}")));
        let is_module = files
            .iter()
            .any(|file| file.ends_with(&format!("/{who}.rs")));
        assert!(is_rpc || is_module, "{who}");
    }
}
