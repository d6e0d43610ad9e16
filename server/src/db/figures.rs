//! Figures of the whole database, from entries of indexes, of refunds that are due from their rows
//! as well, and from so many of them at most. They may run anywhere.
//!
//! The indexes of gates and refunds begin with the store. Which stores have any, and in which
//! state, is read by jumping from one group of the index to the next; then each group is counted.

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Datetime, Nullable, Text};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::At;
use super::error::DbError;

/// Entries of an index that are counted for one figure.
pub const COUNTED_MAX: u64 = 100_000;
/// Rows of refunds that are looked at.
pub const ROWS_MAX: u64 = 10_000;
/// Stores and parties, or stores and states, that are counted for one figure.
pub const GROUPS_MAX: u64 = 2_000;

/// A group of an index that begins with the store.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Group {
    #[diesel(sql_type = Text)]
    pub store: String,
    /// The party, or the state.
    #[diesel(sql_type = Text)]
    pub name: String,
}

/// How many orders are due in these partitions, and since when the first of those that were
/// counted.
pub async fn due(
    conn: &mut Conn,
    partitions: u16,
    now: Timestamp,
) -> Result<(u64, Option<Timestamp>), DbError> {
    // Listed and not compared, as for the worker that settles them.
    let listed: Vec<String> = (0..partitions).map(|of| of.to_string()).collect();
    let query = format!(
        "SELECT COUNT(*) AS counted, CAST(MIN(next_due) AS DATETIME(6)) AS first FROM (\
            SELECT next_due FROM orders FORCE INDEX (orders_by_due) \
            WHERE shard_partition IN ({}) AND next_due <= ? LIMIT {COUNTED_MAX}) AS due",
        listed.join(", ")
    );
    #[derive(QueryableByName)]
    struct Due {
        #[diesel(sql_type = BigInt)]
        counted: i64,
        #[diesel(sql_type = Nullable<Datetime>)]
        first: Option<At>,
    }
    let query = diesel::sql_query(query).bind::<Datetime, _>(At(now));
    let due: Due = query.get_result(conn).await?;
    Ok((count(due.counted), due.first.map(|at| at.0)))
}

/// The stores and parties of open gates.
pub async fn gate_groups(conn: &mut Conn) -> Result<Vec<Group>, DbError> {
    let query = format!(
        "SELECT DISTINCT store_id AS store, awaiting AS name FROM gates FORCE INDEX (gates_by_party) \
            WHERE store_id IS NOT NULL AND awaiting IS NOT NULL LIMIT {GROUPS_MAX}"
    );
    Ok(diesel::sql_query(query).load(conn).await?)
}

/// How many gates of a group are of cancellations that were requested since each of these times and
/// not since the one before, and how many of older ones. The oldest are counted first, up to
/// `most`.
pub async fn gates(
    conn: &mut Conn,
    group: &Group,
    since: [Timestamp; 3],
    most: u64,
) -> Result<[u64; 4], DbError> {
    let query = format!(
        "SELECT COUNT(create_time >= ? OR NULL) AS a, COUNT(create_time >= ? OR NULL) AS b, \
            COUNT(create_time >= ? OR NULL) AS c, COUNT(*) AS d FROM (\
            SELECT create_time FROM gates FORCE INDEX (gates_by_party) \
            WHERE store_id = ? AND awaiting = ? ORDER BY create_time LIMIT {most}) AS waiting"
    );
    #[derive(QueryableByName)]
    struct Gates {
        #[diesel(sql_type = BigInt)]
        a: i64,
        #[diesel(sql_type = BigInt)]
        b: i64,
        #[diesel(sql_type = BigInt)]
        c: i64,
        #[diesel(sql_type = BigInt)]
        d: i64,
    }
    let [first, second, third] = since.map(At);
    let query = diesel::sql_query(query)
        .bind::<Datetime, _>(first)
        .bind::<Datetime, _>(second)
        .bind::<Datetime, _>(third)
        .bind::<Text, _>(&group.store)
        .bind::<Text, _>(&group.name);
    let Gates { a, b, c, d }: Gates = query.get_result(conn).await?;
    Ok([count(a), count(b - a), count(c - b), count(d - c)])
}

/// The stores and states of refunds.
pub async fn refund_groups(conn: &mut Conn) -> Result<Vec<Group>, DbError> {
    let query = format!(
        "SELECT DISTINCT store_id AS store, state AS name FROM refunds FORCE INDEX (refunds_by_due) \
            LIMIT {GROUPS_MAX}"
    );
    Ok(diesel::sql_query(query).load(conn).await?)
}

/// How many refunds a group has, those that are due first counted first, up to `most`.
pub async fn refunds(conn: &mut Conn, group: &Group, most: u64) -> Result<u64, DbError> {
    let query = format!(
        "SELECT COUNT(*) AS counted FROM (SELECT 1 FROM refunds FORCE INDEX (refunds_by_due) \
            WHERE store_id = ? AND state = ? ORDER BY due_by LIMIT {most}) AS open"
    );
    let query = diesel::sql_query(query)
        .bind::<Text, _>(&group.store)
        .bind::<Text, _>(&group.name);
    let Counted { counted } = query.get_result(conn).await?;
    Ok(count(counted))
}

/// How many refunds of a group are overdue. Of those that are due by now, the first so many rows
/// are looked at; says how many that were.
pub async fn overdue(
    conn: &mut Conn,
    group: &Group,
    now: Timestamp,
    most: u64,
) -> Result<(u64, u64), DbError> {
    let query = format!(
        "SELECT COUNT(overdue OR NULL) AS overdue, COUNT(*) AS looked_at FROM (\
            SELECT overdue FROM refunds FORCE INDEX (refunds_by_due) \
            WHERE store_id = ? AND state = ? AND due_by <= ? ORDER BY due_by LIMIT {most}) AS due"
    );
    #[derive(QueryableByName)]
    struct Overdue {
        #[diesel(sql_type = BigInt)]
        overdue: i64,
        #[diesel(sql_type = BigInt)]
        looked_at: i64,
    }
    let query = diesel::sql_query(query)
        .bind::<Text, _>(&group.store)
        .bind::<Text, _>(&group.name)
        .bind::<Datetime, _>(At(now));
    let Overdue { overdue, looked_at } = query.get_result(conn).await?;
    Ok((count(overdue), count(looked_at)))
}

#[derive(Debug, QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    counted: i64,
}

/// No count is negative.
fn count(found: i64) -> u64 {
    u64::try_from(found).unwrap_or_default()
}
