//! The decision log. Written inside the engine's transaction, with the decision itself; read
//! anywhere.

use belay_domain::ids::{OrderId, OrderKey, StoreId};
use belay_domain::query::DecisionPlace;
use belay_domain::records::{NewDecision, RequestKey};
use belay_domain::scope::Scope;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Bool, Datetime, Text};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::aged::Aged;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::decisions;
use super::scope::walk_in_scope;
use super::statement;
use super::writes::Writes;

/// How they are deleted: no command reads them, so nothing counts but their age, even where the
/// cancellation that they are about is still open.
pub const AGED: Aged = Aged {
    table: "decisions",
    time: "decision_time",
    index: "decisions_by_time",
};

#[derive(Debug, Insertable)]
#[diesel(table_name = decisions, treat_none_as_default_value = false)]
struct DecisionRow {
    order_key: Bytes<16>,
    request_id: Bytes<16>,
    caller: String,
    store_id: String,
    decision_time: At,
    policy_version: u32,
    accepted: bool,
    record: String,
    /// One request may be decided more than once: its answer is forgotten sooner than its
    /// decision, and some refusals are not remembered at all.
    entry: u32,
}

impl statement::Row for DecisionRow {
    fn bytes(&self) -> usize {
        512 + self.record.len()
    }
}

pub fn insert(writes: &mut Writes, new: &[NewDecision]) -> Result<(), DbError> {
    let row = |new| {
        let NewDecision {
            key,
            store,
            decision_time,
            policy_version,
            accepted,
            record,
        }: &NewDecision = new;
        DecisionRow {
            order_key: key.order_key.into(),
            request_id: key.request_id.into(),
            caller: key.caller.clone(),
            store_id: store.to_string(),
            decision_time: At(*decision_time),
            policy_version: *policy_version,
            accepted: *accepted,
            record: record.clone(),
            entry: fastrand::u32(..),
        }
    };
    let rows: Vec<DecisionRow> = new.iter().map(row).collect();
    for rows in statement::chunks(&rows) {
        let insert = diesel::insert_into(decisions::table).values(rows);
        writes.insert("decisions", &insert)?;
    }
    Ok(())
}

/// A decision as it is on record.
#[derive(Debug, Clone)]
pub struct StoredDecision {
    /// The request that was decided.
    pub key: RequestKey,
    pub order: OrderId,
    pub decision_time: Timestamp,
    pub accepted: bool,
    /// As [`NewDecision::record`].
    pub record: String,
}

/// Requests about an order that were rejected, from the oldest on, behind the last one of the page
/// before. Of one order there are few, and they are sorted.
pub async fn rejected_of(
    conn: &mut Conn,
    order_key: OrderKey,
    order: &OrderId,
    after: Option<&DecisionPlace>,
    limit: u16,
) -> Result<Vec<StoredDecision>, DbError> {
    let mut query = decisions::table
        .filter(decisions::order_key.eq(Bytes::from(order_key)))
        .filter(decisions::accepted.eq(false))
        .into_boxed();
    if let Some(DecisionPlace { time, key }) = after {
        let request_id = Bytes::from(key.request_id);
        let later_of_request = decisions::request_id
            .eq(request_id)
            .and(decisions::caller.gt(&key.caller));
        let later_at_once = decisions::decision_time
            .eq(At(*time))
            .and(decisions::request_id.gt(request_id).or(later_of_request));
        query = query.filter(decisions::decision_time.gt(At(*time)).or(later_at_once));
    }
    type Row = (Bytes<16>, String, At, String);
    let rows: Vec<Row> = query
        .order((
            decisions::decision_time,
            decisions::request_id,
            decisions::caller,
        ))
        .limit(limit.into())
        .select((
            decisions::request_id,
            decisions::caller,
            decisions::decision_time,
            decisions::record,
        ))
        .load(conn)
        .await?;
    let stored = |(request_id, caller, at, record): Row| StoredDecision {
        key: RequestKey {
            order_key,
            request_id: uuid::Uuid::from_bytes(request_id.0),
            caller,
        },
        order: order.clone(),
        decision_time: at.0,
        accepted: false,
        record,
    };
    Ok(rows.into_iter().map(stored).collect())
}

/// The decisions of a store from an instant on and before another one.
#[derive(Debug, Clone)]
pub struct DecisionRange {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    pub start: Timestamp,
    pub end: Timestamp,
}

/// Decisions that are looked through for one page of a range: entries of an index.
pub const LOOKED_THROUGH_MAX: u16 = 5_000;

/// The decisions of a range that were found, and where the search ended that has not come to its
/// end.
#[derive(Debug)]
pub struct DecisionPage {
    pub found: Vec<StoredDecision>,
    pub left_off: Option<DecisionPlace>,
}

/// So many decisions of a range, by time and then by key, behind a place, or as many as are among
/// the next [`LOOKED_THROUGH_MAX`]: in a narrow scope few may be seen.
pub async fn page(
    conn: &mut Conn,
    range: &DecisionRange,
    after: Option<&DecisionPlace>,
    limit: u16,
) -> Result<DecisionPage, DbError> {
    let stretch = Stretch {
        store: range.store.as_str(),
        start: At(after.map_or(range.start, |after| after.time)),
        end: At(range.end),
        after: after.map(|place| Key::of(&place.key)),
    };
    // Who sees all of them finds as many as are looked at.
    let end = if range.scope.sees_every_order() {
        None
    } else {
        stretch.end(conn).await?
    };
    let query = DecisionsInRange {
        stretch: &stretch,
        scope: &range.scope,
        end: end.as_ref().map(|end| (At(end.time), Key::of(&end.key))),
        limit: limit.into(),
    };
    type Row = (
        Bytes<16>,
        Bytes<16>,
        String,
        At,
        bool,
        String,
        Name<OrderId>,
    );
    let rows: Vec<Row> = query.load(conn).await?;
    let stored =
        |(order_key, request_id, caller, at, accepted, record, order): Row| StoredDecision {
            key: request_key(order_key, request_id, caller),
            order: order.0,
            decision_time: at.0,
            accepted,
            record,
        };
    let found: Vec<StoredDecision> = rows.into_iter().map(stored).collect();
    let left_off = match found.last() {
        Some(last) if found.len() >= usize::from(limit) => Some(DecisionPlace {
            time: last.decision_time,
            key: last.key.clone(),
        }),
        _ => end,
    };
    Ok(DecisionPage { found, left_off })
}

pub(super) fn request_key(
    order_key: Bytes<16>,
    request_id: Bytes<16>,
    caller: String,
) -> RequestKey {
    RequestKey {
        order_key: OrderKey(order_key.0),
        request_id: uuid::Uuid::from_bytes(request_id.0),
        caller,
    }
}

/// The key of a row.
#[derive(Debug)]
pub(super) struct Key<'a> {
    order_key: Bytes<16>,
    request_id: Bytes<16>,
    caller: &'a str,
}

impl<'a> Key<'a> {
    pub(super) fn of(key: &'a RequestKey) -> Self {
        Self {
            order_key: key.order_key.into(),
            request_id: key.request_id.into(),
            caller: &key.caller,
        }
    }

    pub(super) fn walk<'b>(&'b self, out: &mut AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("(");
        out.push_bind_param::<Binary, _>(&self.order_key)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(&self.request_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.caller)?;
        out.push_sql(")");
        Ok(())
    }
}

const ORDER: &str = " ORDER BY d.`decision_time`, d.`order_key`, d.`request_id`, d.`caller` LIMIT ";

/// A range of the index by time, in its order, behind a place.
#[derive(Debug)]
struct Stretch<'a> {
    store: &'a str,
    start: At,
    end: At,
    /// A place among the decisions of the first instant.
    after: Option<Key<'a>>,
}

impl Stretch<'_> {
    /// The last of the next [`LOOKED_THROUGH_MAX`], where there are as many.
    async fn end(&self, conn: &mut Conn) -> Result<Option<DecisionPlace>, DbError> {
        let last = LastOfStretch {
            stretch: self,
            before: LOOKED_THROUGH_MAX - 1,
        };
        let rows: Vec<(Bytes<16>, Bytes<16>, String, At)> = last.load(conn).await?;
        let place = |(order, request, caller, at): (_, _, _, At)| DecisionPlace {
            time: at.0,
            key: request_key(order, request, caller),
        };
        Ok(rows.into_iter().next().map(place))
    }

    fn walk<'b>(&'b self, out: &mut AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("d.`store_id` = ");
        out.push_bind_param::<Text, _>(self.store)?;
        out.push_sql(" AND d.`decision_time` >= ");
        out.push_bind_param::<Datetime, _>(&self.start)?;
        out.push_sql(" AND d.`decision_time` < ");
        out.push_bind_param::<Datetime, _>(&self.end)?;
        if let Some(after) = &self.after {
            out.push_sql(" AND (d.`decision_time` > ");
            out.push_bind_param::<Datetime, _>(&self.start)?;
            out.push_sql(" OR (d.`order_key`, d.`request_id`, d.`caller`) > ");
            after.walk(out)?;
            out.push_sql(")");
        }
        Ok(())
    }
}

/// The last of so many of a stretch, where there are as many.
#[derive(Debug)]
struct LastOfStretch<'a> {
    stretch: &'a Stretch<'a>,
    before: u16,
}

impl Query for LastOfStretch<'_> {
    type SqlType = (Binary, Binary, Text, Datetime);
}

impl QueryId for LastOfStretch<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for LastOfStretch<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "SELECT d.`order_key`, d.`request_id`, d.`caller`, d.`decision_time` \
             FROM `decisions` d FORCE INDEX (decisions_by_time) WHERE ",
        );
        self.stretch.walk(&mut out)?;
        out.push_sql(ORDER);
        out.push_sql(&format!("1 OFFSET {}", self.before));
        Ok(())
    }
}

/// What a scope sees of a stretch, up to a place.
#[derive(Debug)]
struct DecisionsInRange<'a> {
    stretch: &'a Stretch<'a>,
    scope: &'a Scope,
    end: Option<(At, Key<'a>)>,
    limit: i64,
}

impl Query for DecisionsInRange<'_> {
    type SqlType = (Binary, Binary, Text, Datetime, Bool, Text, Text);
}

impl QueryId for DecisionsInRange<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for DecisionsInRange<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        // The order of the tables is given, for the optimizer would now and then walk the orders.
        out.push_sql(
            "SELECT d.`order_key`, d.`request_id`, d.`caller`, d.`decision_time`, d.`accepted`, \
             d.`record`, `orders`.`order_id` FROM `decisions` d FORCE INDEX (decisions_by_time) \
             STRAIGHT_JOIN `orders` ON `orders`.`order_key` = d.`order_key` WHERE ",
        );
        self.stretch.walk(&mut out)?;
        out.push_sql(" AND ");
        walk_in_scope("orders", self.scope, &mut out)?;
        if let Some((time, key)) = &self.end {
            out.push_sql(" AND d.`decision_time` <= ");
            out.push_bind_param::<Datetime, _>(time)?;
            out.push_sql(" AND (d.`decision_time` < ");
            out.push_bind_param::<Datetime, _>(time)?;
            out.push_sql(" OR (d.`order_key`, d.`request_id`, d.`caller`) <= ");
            key.walk(&mut out)?;
            out.push_sql(")");
        }
        out.push_sql(ORDER);
        out.push_bind_param::<BigInt, _>(&self.limit)
    }
}
