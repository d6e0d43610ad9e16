//! The chains of the feed as they are followed: rows of a partition, whether the feed still has
//! them or they are in the history of their orders. Belongs into a snapshot, so that no row is
//! between the two.

use belay_domain::chain::{self, Erasure, FoundRow, Link, Mark};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Datetime, Integer, Nullable, SmallInt, Unsigned};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Bytes};
use super::error::DbError;

/// So many rows of a partition behind this position, in their order.
pub async fn rows_after(
    conn: &mut Conn,
    partition: u16,
    after: u64,
    limit: u16,
) -> Result<Vec<FoundRow>, DbError> {
    type Row = (
        u64,
        u32,
        Bytes<16>,
        u64,
        At,
        Vec<u8>,
        Option<Bytes<32>>,
        Option<Bytes<32>>,
        Option<Bytes<32>>,
    );
    let query = RowsAfter {
        partition,
        after,
        limit,
    };
    let rows: Vec<Row> = query.load(conn).await?;
    let found = |row: Row| {
        let (last_position, count, order, order_version, time, payload, mark, before, seal) = row;
        FoundRow {
            link: Link {
                partition,
                last_position,
                count,
                order_key: order.into(),
                order_version,
                event_time: time.0,
                payload: chain::digest(&payload),
            },
            mark: mark.map(|mark| Mark(mark.0)),
            erasure: before.zip(seal).map(|(before, seal)| Erasure {
                before: before.0,
                seal: seal.0,
            }),
        }
    };
    let mut rows: Vec<FoundRow> = rows.into_iter().map(found).collect();
    rows.sort_by_key(|row| row.link.last_position);
    rows.truncate(limit.into());
    Ok(rows)
}

/// How many rows are of partitions that there are not: of this number and above.
pub async fn rows_of_no_partition(conn: &mut Conn, partitions: u16) -> Result<u64, DbError> {
    #[derive(diesel::QueryableByName)]
    struct Counted {
        #[diesel(sql_type = Unsigned<BigInt>)]
        found: u64,
    }
    const COUNT: &str = "SELECT CAST((SELECT COUNT(*) FROM `events` WHERE `shard_partition` >= ?) + \
        (SELECT COUNT(*) FROM `order_history` WHERE `shard_partition` >= ?) AS UNSIGNED) AS `found`";
    let counted: Counted = diesel::sql_query(COUNT)
        .bind::<Unsigned<SmallInt>, _>(partitions)
        .bind::<Unsigned<SmallInt>, _>(partitions)
        .get_result(conn)
        .await?;
    Ok(counted.found)
}

/// Up to the limit of each of the two tables.
#[derive(Debug, Clone, Copy)]
struct RowsAfter {
    partition: u16,
    after: u64,
    limit: u16,
}

impl Query for RowsAfter {
    type SqlType = (
        Unsigned<BigInt>,
        Unsigned<Integer>,
        Binary,
        Unsigned<BigInt>,
        Datetime,
        Binary,
        Nullable<Binary>,
        Nullable<Binary>,
        Nullable<Binary>,
    );
}

impl QueryId for RowsAfter {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for RowsAfter {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        const COLUMNS: &str = "(SELECT `position`, `event_count`, `order_key`, `order_version`, `event_time`, \
            `payload`, `chain`, `erased_digest`, `erased_seal` FROM ";
        let halves = [
            "`order_history` FORCE INDEX (order_history_by_partition)",
            "`events` FORCE INDEX (PRIMARY)",
        ];
        let mut separator = "";
        for table in halves {
            out.push_sql(separator);
            out.push_sql(COLUMNS);
            out.push_sql(table);
            out.push_sql(" WHERE `shard_partition` = ");
            out.push_bind_param::<Unsigned<SmallInt>, _>(&self.partition)?;
            out.push_sql(" AND `position` > ");
            out.push_bind_param::<Unsigned<BigInt>, _>(&self.after)?;
            out.push_sql(" ORDER BY `shard_partition`, `position` LIMIT ");
            out.push_sql(&self.limit.to_string());
            out.push_sql(")");
            separator = " UNION ALL ";
        }
        Ok(())
    }
}
