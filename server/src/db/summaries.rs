//! Counts for tabs and badges. They walk an index and stop at a bound: an exact count of everything
//! would cost the more the longer a store has been at it. They may run anywhere.

use belay_domain::actor::Role;
use belay_domain::cancellation::{CancellationState, GateState};
use belay_domain::ids::{BuyerId, CarrierId, SellerId, StoreId, WarehouseId};
use belay_domain::order::OrderState;
use belay_domain::scope::Scope;
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

/// Where counting stops.
pub const COUNT_MAX: u32 = 10_000;

/// How many there are, or `COUNT_MAX` and that there are more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    pub value: u32,
    pub at_least: bool,
}

impl Counted {
    fn of(found: i64) -> Result<Self, DbError> {
        let found =
            u32::try_from(found).map_err(|_| DbError::Corrupt(format!("a count of {found}")))?;
        Ok(Self {
            value: found.min(COUNT_MAX),
            at_least: found > COUNT_MAX,
        })
    }

    /// Of a few; it goes on beyond `COUNT_MAX`.
    pub fn sum(counts: impl IntoIterator<Item = Counted>) -> Self {
        counts.into_iter().fold(Self::default(), |sum, count| Self {
            value: sum.value + count.value,
            at_least: sum.at_least || count.at_least,
        })
    }
}

/// Whose orders to count. All given fields must match.
#[derive(Debug, Clone)]
pub struct OrdersSummary {
    pub store: StoreId,
    pub scope: Scope,
    pub buyer: Option<BuyerId>,
    pub seller: Option<SellerId>,
}

impl OrdersSummary {
    /// For one state, from an index alone unless both buyer and seller are given.
    pub fn count(&self, state: OrderState) -> CountQuery {
        let index = match (&self.buyer, &self.seller) {
            (Some(_), _) => "orders_by_buyer_state",
            (None, Some(_)) => "orders_by_seller_state",
            (None, None) => "orders_by_state",
        };
        let mut filters = vec![Filter::eq("store_id", self.store.as_str())];
        filters.extend(
            self.buyer
                .as_ref()
                .map(|buyer| Filter::eq("buyer_id", buyer.as_str())),
        );
        filters.extend(
            self.seller
                .as_ref()
                .map(|seller| Filter::eq("seller_id", seller.as_str())),
        );
        filters.push(Filter::eq("state", state.name()));
        CountQuery {
            entry: None,
            time: "NULL",
            table: "orders",
            index,
            filters,
            scope: self.scope.clone(),
            limit: LIMIT,
        }
    }
}

/// How many orders are in each state, all states in their order.
pub async fn orders(
    conn: &mut Conn,
    summary: &OrdersSummary,
) -> Result<Vec<(OrderState, Counted)>, DbError> {
    let mut counts = Vec::with_capacity(OrderState::ALL.len());
    for state in OrderState::ALL {
        counts.push((*state, summary.count(*state).load(conn).await?.0));
    }
    Ok(counts)
}

/// What somebody should look at. All given fields must match.
#[derive(Debug, Clone)]
pub struct ActionsSummary {
    pub store: StoreId,
    pub scope: Scope,
    pub seller: Option<SellerId>,
    pub warehouse: Option<WarehouseId>,
    pub carrier: Option<CarrierId>,
}

impl ActionsSummary {
    /// Cancellations with an open gate that waits for this party. The parts of one cancellation
    /// stand together in the index and count once.
    pub fn awaiting(&self, party: Role) -> CountQuery {
        let index = match (&self.seller, &self.warehouse, &self.carrier) {
            (Some(_), _, _) => "gates_by_seller",
            (None, Some(_), _) => "gates_by_warehouse",
            (None, None, Some(_)) => "gates_by_carrier",
            (None, None, None) => "gates_by_party",
        };
        let columns = [
            Some(Filter::eq("store_id", self.store.as_str())),
            Some(Filter::eq("awaiting", party.name())),
            self.seller
                .as_ref()
                .map(|seller| Filter::eq("seller_id", seller.as_str())),
            self.warehouse
                .as_ref()
                .map(|warehouse| Filter::eq("warehouse_id", warehouse.as_str())),
            self.carrier
                .as_ref()
                .map(|carrier| Filter::eq("carrier_id", carrier.as_str())),
        ];
        CountQuery {
            entry: Some("`create_time`, `order_key`, `cancellation_number`"),
            time: "MIN(`respond_by`)",
            table: "gates",
            index,
            filters: columns.into_iter().flatten().collect(),
            scope: self.scope.clone(),
            limit: LIMIT,
        }
    }

    /// What buyers asked for since then and got without the seller's consent.
    pub fn auto_approved(&self, since: Timestamp) -> CountQuery {
        const SELLER_ASKED: &str = "(SELECT COUNT(*) FROM `gates` \
            WHERE `gates`.`order_key` = `cancellations`.`order_key` \
            AND `gates`.`cancellation_number` = `cancellations`.`number` \
            AND `kind` = ? AND `gates`.`state` = ?) = 0";
        let index = if self.seller.is_some() {
            "cancellations_by_seller_state"
        } else {
            "cancellations_by_state"
        };
        let columns = [
            Some(Filter::eq("store_id", self.store.as_str())),
            self.seller
                .as_ref()
                .map(|seller| Filter::eq("seller_id", seller.as_str())),
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
            scope: self.scope.clone(),
            limit: LIMIT,
        }
    }
}

/// One more than is told, to know that there are more.
const LIMIT: i64 = COUNT_MAX as i64 + 1;

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
        Ok((Counted::of(found)?, earliest.map(|time| time.0)))
    }
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
    fn counting_stops_at_its_bound_and_says_so() {
        let counted = |value, at_least| Counted { value, at_least };
        assert_eq!(Counted::of(10_000).unwrap(), counted(10_000, false));
        assert_eq!(Counted::of(10_001).unwrap(), counted(10_000, true));
        assert!(Counted::of(-1).is_err());
        assert_eq!(
            Counted::sum([counted(3, false), counted(10_000, true)]),
            counted(10_003, true)
        );
    }
}
