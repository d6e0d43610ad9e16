//! Pages of the decision log, the latest first, by what people look for.

use belay_domain::actor::Role;
use belay_domain::ids::OrderId;
use belay_domain::query::{DecisionFilter, DecisionPlace};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Binary, Bool, Datetime, Text};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::decisions::{Key, StoredDecision, request_key};
use super::error::DbError;
use super::scope::walk_in_scope;

/// Decisions that are looked through for one page: entries of an index, and rows only as far as
/// they are asked about.
pub const LOOKED_THROUGH_MAX: u16 = 5_000;

/// The decisions that were found, and where the search ended that has not come to the end of the
/// log.
#[derive(Debug)]
pub struct FoundDecisions {
    pub found: Vec<StoredDecision>,
    pub left_off: Option<DecisionPlace>,
}

/// So many decisions behind a place, or as many as are among the next [`LOOKED_THROUGH_MAX`].
pub async fn find(
    conn: &mut Conn,
    filter: &DecisionFilter,
    after: Option<&DecisionPlace>,
    limit: u16,
) -> Result<FoundDecisions, DbError> {
    let looked_through = if filter.is_selective() {
        LOOKED_THROUGH_MAX
    } else {
        limit
    };
    let stretch = Stretch {
        filter,
        start: filter.start.map(At),
        end: filter.end.map(At),
        after: after.map(|place| (At(place.time), Key::of(&place.key))),
    };
    let matching = Matching {
        stretch: &stretch,
        request_id: filter.request_id.map(Bytes::from),
        caller: caller_pattern(filter),
        looked_through,
        limit,
    };
    let rows: Vec<Row> = matching.load(conn).await?;
    let found: Vec<StoredDecision> = rows.into_iter().map(stored).collect();
    let left_off = if found.len() < usize::from(limit) {
        let last = Last {
            stretch: &stretch,
            before: looked_through - 1,
        };
        let last: Vec<(Bytes<16>, Bytes<16>, String, At)> = last.load(conn).await?;
        last.into_iter()
            .next()
            .map(|(order, request, caller, at)| DecisionPlace {
                time: at.0,
                key: request_key(order, request, caller),
            })
    } else {
        None
    };
    Ok(FoundDecisions { found, left_off })
}

type Row = (
    Bytes<16>,
    Bytes<16>,
    String,
    At,
    bool,
    String,
    Name<OrderId>,
);

fn stored((order_key, request_id, caller, at, accepted, record, order): Row) -> StoredDecision {
    StoredDecision {
        key: request_key(order_key, request_id, caller),
        order: order.0,
        decision_time: at.0,
        accepted,
        record,
    }
}

/// For LIKE: the role, a slash, the id. Neither has a sign that LIKE reads, but for the underscore.
fn caller_pattern(filter: &DecisionFilter) -> Option<String> {
    let id = filter.caller_id.as_ref();
    let id = id.map(|id| id.replace('_', r"\_"));
    match (filter.caller_role.map(Role::name), id) {
        (None, None) => None,
        (role, id) => {
            let any = || "%".to_owned();
            let role = role.map_or_else(any, str::to_owned);
            Some(format!("{role}/{}", id.unwrap_or_else(any)))
        }
    }
}

/// The decisions that an index leads to.
#[derive(Debug)]
struct Stretch<'a> {
    filter: &'a DecisionFilter,
    start: Option<At>,
    end: Option<At>,
    after: Option<(At, Key<'a>)>,
}

const ORDER: &str = " ORDER BY d.`decision_time` DESC, d.`order_key` DESC, d.`request_id` DESC, d.`caller` DESC LIMIT ";

impl Stretch<'_> {
    /// ` FROM … WHERE … ORDER BY … LIMIT `, of what the index holds.
    fn walk<'b>(&'b self, out: &mut AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(" FROM `decisions` d FORCE INDEX (");
        // Of one order there are few, and they are sorted.
        out.push_sql(match self.filter.order {
            Some(_) => "PRIMARY) WHERE d.`order_key` = ",
            None => "decisions_by_time) WHERE d.`store_id` = ",
        });
        match &self.filter.order {
            Some(order) => out.push_bind_param::<Binary, _>(order.0.as_slice())?,
            None => out.push_bind_param::<Text, _>(self.filter.store.as_str())?,
        }
        if let Some(start) = &self.start {
            out.push_sql(" AND d.`decision_time` >= ");
            out.push_bind_param::<Datetime, _>(start)?;
        }
        if let Some(end) = &self.end {
            out.push_sql(" AND d.`decision_time` < ");
            out.push_bind_param::<Datetime, _>(end)?;
        }
        if let Some((at, key)) = &self.after {
            out.push_sql(" AND d.`decision_time` <= ");
            out.push_bind_param::<Datetime, _>(at)?;
            out.push_sql(" AND (d.`decision_time` < ");
            out.push_bind_param::<Datetime, _>(at)?;
            out.push_sql(" OR (d.`order_key`, d.`request_id`, d.`caller`) < ");
            key.walk(out)?;
            out.push_sql(")");
        }
        out.push_sql(ORDER);
        Ok(())
    }
}

/// The matches among the first of a stretch.
#[derive(Debug)]
struct Matching<'a> {
    stretch: &'a Stretch<'a>,
    request_id: Option<Bytes<16>>,
    caller: Option<String>,
    looked_through: u16,
    limit: u16,
}

impl Query for Matching<'_> {
    type SqlType = (Binary, Binary, Text, Datetime, Bool, Text, Text);
}

impl QueryId for Matching<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for Matching<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        // The order of the tables is given: the stretch leads, and bounds what is looked at.
        out.push_sql(
            "SELECT d.`order_key`, d.`request_id`, d.`caller`, d.`decision_time`, d.`accepted`, d.`record`, \
             `orders`.`order_id` FROM (SELECT d.`order_key`, d.`request_id`, d.`caller`, \
             d.`entry`",
        );
        self.stretch.walk(&mut out)?;
        push_number(&mut out, self.looked_through);
        out.push_sql(
            ") s STRAIGHT_JOIN `decisions` d ON d.`order_key` = s.`order_key` AND d.`request_id` = s.`request_id` \
             AND d.`caller` = s.`caller` AND d.`entry` = s.`entry` STRAIGHT_JOIN `orders` ON `orders`.`order_key` = s.`order_key` WHERE ",
        );
        walk_in_scope("orders", &self.stretch.filter.scope, &mut out)?;
        if self.stretch.filter.rejected_only {
            out.push_sql(" AND NOT d.`accepted`");
        }
        if let Some(request_id) = &self.request_id {
            out.push_sql(" AND s.`request_id` = ");
            out.push_bind_param::<Binary, _>(request_id)?;
        }
        if let Some(caller) = &self.caller {
            out.push_sql(" AND s.`caller` LIKE ");
            out.push_bind_param::<Text, _>(caller)?;
        }
        out.push_sql(ORDER);
        push_number(&mut out, self.limit);
        Ok(())
    }
}

/// The last of so many of a stretch, where there are as many.
#[derive(Debug)]
struct Last<'a> {
    stretch: &'a Stretch<'a>,
    before: u16,
}

impl Query for Last<'_> {
    type SqlType = (Binary, Binary, Text, Datetime);
}

impl QueryId for Last<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for Last<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("SELECT d.`order_key`, d.`request_id`, d.`caller`, d.`decision_time`");
        self.stretch.walk(&mut out)?;
        out.push_sql("1 OFFSET ");
        push_number(&mut out, self.before);
        Ok(())
    }
}

fn push_number(out: &mut AstPass<'_, '_, Mysql>, number: u16) {
    out.push_sql(&number.to_string());
}
