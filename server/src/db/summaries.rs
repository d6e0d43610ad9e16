//! Counts for tabs and badges. They walk an index and stop at a bound: an exact count of everything
//! would cost the more the longer a store has been at it. They may run anywhere.

use belay_domain::actor::Role;
use belay_domain::cancellation::{CancellationState, GateState};
use belay_domain::order::OrderState;
use belay_domain::query::{ActionsSummary, COUNT_MAX, Counted, OrdersSummary};
use belay_domain::scope::{Scope, View};
use belay_domain::terms::GateKind;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Datetime, Nullable};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::At;
use super::error::DbError;
use super::pages::Filter;
use super::scope::walk_in_scope;

/// For one state, from an index alone unless both buyer and seller are given.
pub fn count(summary: &OrdersSummary, state: OrderState) -> CountQuery {
    let index = match (&summary.buyer, &summary.seller) {
        (Some(_), _) => "orders_by_buyer_state",
        (None, Some(_)) => "orders_by_seller_state",
        (None, None) => "orders_by_state",
    };
    let mut filters = vec![Filter::eq("store_id", summary.store.as_str())];
    filters.extend(Filter::given("buyer_id", &summary.buyer));
    filters.extend(Filter::given("seller_id", &summary.seller));
    filters.push(Filter::eq("state", state.name()));
    CountQuery {
        entry: None,
        time: "NULL",
        table: "orders",
        index,
        filters,
        scope: summary.scope.clone(),
        limit: limit(),
    }
}

/// How many orders are in each state, all states in their order.
pub async fn orders(
    conn: &mut Conn,
    summary: &OrdersSummary,
) -> Result<Vec<(OrderState, Counted)>, DbError> {
    let mut counts = Vec::with_capacity(OrderState::ALL.len());
    for state in OrderState::ALL {
        counts.push((*state, count(summary, *state).load(conn).await?.0));
    }
    Ok(counts)
}

/// Cancellations with an open gate that waits for this party. The parts of one cancellation
/// stand together in the index and count once.
pub fn awaiting(summary: &ActionsSummary, party: Role) -> CountQuery {
    let index = match (&summary.seller, &summary.warehouse, &summary.carrier) {
        (Some(_), _, _) => "gates_by_seller",
        (None, Some(_), _) => "gates_by_warehouse",
        (None, None, Some(_)) => "gates_by_carrier",
        (None, None, None) => "gates_by_party",
    };
    let columns = [
        Some(Filter::eq("store_id", summary.store.as_str())),
        Some(Filter::eq("awaiting", party.name())),
        Filter::given("seller_id", &summary.seller),
        Filter::given("warehouse_id", &summary.warehouse),
        Filter::given("carrier_id", &summary.carrier),
    ];
    let own = match summary.view {
        View::Whole => Vec::new(),
        View::Parcels => Filter::in_route(&summary.scope),
    };
    CountQuery {
        entry: Some("`create_time`, `order_key`, `cancellation_number`"),
        time: "MIN(`respond_by`)",
        table: "gates",
        index,
        filters: columns.into_iter().flatten().chain(own).collect(),
        scope: summary.scope.clone(),
        limit: limit(),
    }
}

/// What buyers asked for since then and got without the seller's consent.
pub fn auto_approved(summary: &ActionsSummary, since: Timestamp) -> CountQuery {
    const SELLER_ASKED: &str = "(SELECT COUNT(*) FROM `gates` \
        WHERE `gates`.`order_key` = `cancellations`.`order_key` \
        AND `gates`.`cancellation_number` = `cancellations`.`number` \
        AND `kind` = ? AND `gates`.`state` = ?) = 0";
    let index = if summary.seller.is_some() {
        "cancellations_by_seller_state"
    } else {
        "cancellations_by_state"
    };
    let columns = [
        Some(Filter::eq("store_id", summary.store.as_str())),
        Filter::given("seller_id", &summary.seller),
        Some(Filter::eq("state", CancellationState::Completed.name())),
        Some(Filter::new("`create_time` >= ?", since)),
        Some(Filter::eq("requester_role", Role::Buyer.name())),
        Some(Filter::with(
            SELLER_ASKED,
            vec![
                GateKind::SellerConsent.name().into(),
                GateState::Passed.name().into(),
            ],
        )),
    ];
    let filters = columns.into_iter().flatten().collect();
    CountQuery {
        entry: None,
        time: "NULL",
        table: "cancellations",
        index,
        filters,
        scope: summary.scope.clone(),
        limit: limit(),
    }
}

/// One more than is told, to know that there are more.
fn limit() -> i64 {
    i64::from(COUNT_MAX) + 1
}

/// The statement that counts up to a bound, and finds the earliest of some times.
#[derive(Debug, Clone)]
pub struct CountQuery {
    /// Rows that agree in these columns, with which the index goes on, are one entry. None: each
    /// row is one.
    entry: Option<&'static str>,
    /// The time of an entry.
    time: &'static str,
    table: &'static str,
    index: &'static str,
    filters: Vec<Filter>,
    /// Whose eyes it is for.
    scope: Scope,
    limit: i64,
}

impl CountQuery {
    pub async fn load(self, conn: &mut Conn) -> Result<(Counted, Option<Timestamp>), DbError> {
        let (found, earliest): (i64, Option<At>) = RunQueryDsl::get_result(self, conn).await?;
        Ok((counted(found)?, earliest.map(|time| time.0)))
    }
}

fn counted(found: i64) -> Result<Counted, DbError> {
    let found = u32::try_from(found);
    let found = found.map_err(|error| DbError::Corrupt(format!("a count: {error}")))?;
    Ok(Counted::of(found))
}

impl Query for CountQuery {
    type SqlType = (BigInt, Nullable<Datetime>);
}

impl QueryId for CountQuery {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for CountQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        // The cast: of NULLs alone nobody knows the type.
        out.push_sql("SELECT COUNT(*), CAST(MIN(`time`) AS DATETIME(6)) FROM (SELECT ");
        out.push_sql(self.time);
        out.push_sql(" AS `time` FROM ");
        out.push_identifier(self.table)?;
        out.push_sql(" FORCE INDEX (");
        out.push_identifier(self.index)?;
        out.push_sql(")");
        out.push_sql(" WHERE ");
        for filter in &self.filters {
            filter.walk(&mut out)?;
            out.push_sql(" AND ");
        }
        walk_in_scope(self.table, &self.scope, &mut out)?;
        if let Some(entry) = self.entry {
            out.push_sql(" GROUP BY ");
            out.push_sql(entry);
            // The oldest first, where not all are counted.
            out.push_sql(" ORDER BY ");
            out.push_sql(entry);
        }
        out.push_sql(" LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        out.push_sql(") AS `counted`");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_not_negative() {
        assert!(counted(0).is_ok() && counted(-1).is_err());
    }
}
