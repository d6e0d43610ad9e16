//! The probe that health follows: whether this account can write to this database now, tried
//! without writing anything. And what the database's settings say of the durability of a commit.
//! May run anywhere.

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Conn;
use super::error::DbError;

/// The tables to which rows are added while Belay serves.
const INSERTED: &[&str] = &[
    "orders",
    "order_lines",
    "payments",
    "shipments",
    "cancellations",
    "cancellation_parts",
    "gates",
    "refunds",
    "incidents",
    "decisions",
    "requests",
    "events",
    "stores",
    "policies",
    "policy_activations",
    "carriers",
    "warehouses",
];

/// The tables whose rows change, each with a column of its key.
const UPDATED: &[(&str, &str)] = &[
    ("orders", "order_key"),
    ("order_lines", "order_key"),
    ("payments", "order_key"),
    ("shipments", "order_key"),
    ("cancellations", "order_key"),
    ("cancellation_parts", "order_key"),
    ("gates", "order_key"),
    ("refunds", "order_key"),
    ("incidents", "order_key"),
    ("partition_heads", "shard_partition"),
    ("stores", "store_id"),
    ("policy_activations", "store_id"),
    ("carriers", "store_id"),
    ("warehouses", "store_id"),
];

/// The tables from which rows are taken.
const DELETED: &[&str] = &["policy_activations"];

/// Fails as a write would: for a server that takes none, or an account that lacks a grant. The
/// statements are checked in full and find no row, so nothing is written, locked or logged.
pub async fn check_writable(conn: &mut Conn) -> Result<(), DbError> {
    let inserts = INSERTED
        .iter()
        .map(|table| format!("INSERT INTO `{table}` SELECT * FROM `{table}` WHERE FALSE"));
    let updates = UPDATED
        .iter()
        .map(|(table, key)| format!("UPDATE `{table}` SET `{key}` = `{key}` WHERE FALSE"));
    let deletes = DELETED
        .iter()
        .map(|table| format!("DELETE FROM `{table}` WHERE FALSE"));
    let statements: Vec<String> = inserts.chain(updates).chain(deletes).collect();
    Ok(conn.batch_execute(&statements.join("; ")).await?)
}

/// The durability of commits, by the database's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Durability {
    /// `innodb_flush_log_at_trx_commit`; 1 reaches the disk with each commit.
    #[diesel(sql_type = BigInt)]
    pub flush_log: i64,
    /// `log_bin`; 0 where there is no binary log.
    #[diesel(sql_type = BigInt)]
    pub binary_log: i64,
    /// `sync_binlog`; 1 reaches the disk with each commit.
    #[diesel(sql_type = BigInt)]
    pub sync_binlog: i64,
}

pub async fn durability(conn: &mut Conn) -> Result<Durability, DbError> {
    const QUERY: &str = "SELECT CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED) AS flush_log, \
        CAST(@@GLOBAL.log_bin AS SIGNED) AS binary_log, CAST(@@GLOBAL.sync_binlog AS SIGNED) AS sync_binlog";
    Ok(diesel::sql_query(QUERY).get_result(conn).await?)
}

impl Durability {
    /// The settings by which a crash of the database's machine may lose an acknowledged commit;
    /// none where it may not.
    pub fn reductions(self) -> Option<String> {
        let flush = (self.flush_log != 1)
            .then(|| format!("innodb_flush_log_at_trx_commit={}", self.flush_log));
        let sync = (self.binary_log != 0 && self.sync_binlog != 1)
            .then(|| format!("sync_binlog={}", self.sync_binlog));
        let reductions: Vec<String> = flush.into_iter().chain(sync).collect();
        (!reductions.is_empty()).then(|| reductions.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_settings_that_can_lose_a_commit_are_named() {
        let named = |flush_log, binary_log, sync_binlog| {
            Durability {
                flush_log,
                binary_log,
                sync_binlog,
            }
            .reductions()
            .unwrap_or_default()
        };
        assert_eq!(named(1, 1, 1), "");
        assert_eq!(named(1, 0, 0), "", "there is no binary log to lose");
        assert_eq!(named(1, 1, 0), "sync_binlog=0");
        assert_eq!(named(1, 1, 100), "sync_binlog=100");
        assert_eq!(named(0, 0, 0), "innodb_flush_log_at_trx_commit=0");
        assert_eq!(
            named(2, 1, 0),
            "innodb_flush_log_at_trx_commit=2, sync_binlog=0"
        );
    }
}
