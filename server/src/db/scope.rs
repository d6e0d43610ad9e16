//! The scope of a caller as a condition on the rows of a list: so that pages are full and nothing
//! outside is counted.

use belay_domain::scope::{IdFilter, Scope};
use diesel::expression::{AppearsOnTable, Expression, ValidGrouping, is_aggregate};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Bool, Text};

use super::statement::padded;

/// Tables whose rows name the order's seller.
const WITH_SELLER: &[&str] = &["orders", "shipments", "cancellations", "refunds", "gates"];

/// The condition that a row of this table is in the scope. The store is the list's own condition:
/// whoever does not see the store is not listed anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct InScope<'a> {
    table: &'static str,
    scope: &'a Scope,
}

/// Of any table whose rows belong to orders.
pub(super) fn in_scope<'a>(table: &'static str, scope: &'a Scope) -> InScope<'a> {
    InScope { table, scope }
}

impl Expression for InScope<'_> {
    type SqlType = Bool;
}

impl ValidGrouping<()> for InScope<'_> {
    type IsAggregate = is_aggregate::No;
}

impl<QS: ?Sized> AppearsOnTable<QS> for InScope<'_> {}

impl QueryId for InScope<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for InScope<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        walk_in_scope(self.table, self.scope, &mut out)
    }
}

/// The condition, for statements that are put together by hand.
pub(super) fn walk_in_scope<'b>(
    table: &str,
    scope: &'b Scope,
    out: &mut AstPass<'_, 'b, Mysql>,
) -> QueryResult<()> {
    out.push_sql("(TRUE");
    if WITH_SELLER.contains(&table) {
        push_within(out, table, "seller_id", &scope.sellers)?;
    } else if scope.sellers != IdFilter::All {
        push_any(out, "orders", table)?;
        push_within(out, "orders", "seller_id", &scope.sellers)?;
        out.push_sql(") > 0");
    }
    if table == "shipments" {
        push_route(out, scope)?;
    } else if !scope.sees_every_route() {
        push_any(out, "shipments", table)?;
        push_route(out, scope)?;
        out.push_sql(") > 0");
    }
    out.push_sql(")");
    Ok(())
}

/// Begins to count the rows of `other` that belong to the same order. It counts, and does not ask
/// whether one EXISTS: the optimizer turns that into a join, and then sorts.
fn push_any(out: &mut AstPass<'_, '_, Mysql>, other: &str, table: &str) -> QueryResult<()> {
    out.push_sql(" AND (SELECT COUNT(*) FROM ");
    out.push_identifier(other)?;
    out.push_sql(" WHERE ");
    out.push_identifier(other)?;
    out.push_sql(".`order_key` = ");
    out.push_identifier(table)?;
    out.push_sql(".`order_key`");
    Ok(())
}

fn push_route<'b>(out: &mut AstPass<'_, 'b, Mysql>, scope: &'b Scope) -> QueryResult<()> {
    push_within(out, "shipments", "warehouse_id", &scope.warehouses)?;
    push_within(out, "shipments", "carrier_id", &scope.carriers)
}

/// ` AND table.column IN (?, …)`, where not all are in.
fn push_within<'b>(
    out: &mut AstPass<'_, 'b, Mysql>,
    table: &str,
    column: &str,
    within: &'b IdFilter<impl AsRef<str>>,
) -> QueryResult<()> {
    let IdFilter::Only(ids) = within else {
        return Ok(());
    };
    let ids: Vec<&'b str> = ids.iter().map(AsRef::as_ref).collect();
    if ids.is_empty() {
        out.push_sql(" AND FALSE");
        return Ok(());
    }
    out.push_sql(" AND ");
    out.push_identifier(table)?;
    out.push_sql(".");
    out.push_identifier(column)?;
    let mut separator = " IN (";
    for id in padded(&ids) {
        out.push_sql(separator);
        out.push_bind_param::<Text, str>(id)?;
        separator = ", ";
    }
    out.push_sql(")");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use belay_domain::ids::{SellerId, WarehouseId};
    use diesel::mysql::MysqlQueryBuilder;
    use diesel::query_builder::QueryBuilder;

    use super::*;

    fn sql(table: &'static str, scope: &Scope) -> String {
        let mut builder = MysqlQueryBuilder::new();
        in_scope(table, scope).to_sql(&mut builder, &Mysql).unwrap();
        builder.finish()
    }

    #[test]
    fn a_scope_names_only_what_it_narrows() {
        let sellers = ["a", "b", "c"].map(|id| SellerId::parse(id).unwrap());
        let of_sellers = Scope {
            sellers: IdFilter::Only(BTreeSet::from(sellers)),
            ..Scope::EVERYTHING
        };
        let of_nobody = Scope {
            carriers: IdFilter::Only(BTreeSet::new()),
            ..Scope::EVERYTHING
        };
        let warehouse = BTreeSet::from([WarehouseId::parse("main").unwrap()]);
        let of_warehouse = Scope {
            warehouses: IdFilter::Only(warehouse),
            ..Scope::EVERYTHING
        };
        assert_eq!(sql("refunds", &Scope::EVERYTHING), "(TRUE)");
        assert_eq!(
            sql("orders", &of_sellers),
            "(TRUE AND `orders`.`seller_id` IN (?, ?, ?, ?))"
        );
        assert_eq!(sql("shipments", &of_nobody), "(TRUE AND FALSE)");
        assert_eq!(
            sql("incidents", &of_sellers),
            "(TRUE AND (SELECT COUNT(*) FROM `orders` WHERE `orders`.`order_key` = `incidents`.`order_key` \
             AND `orders`.`seller_id` IN (?, ?, ?, ?)) > 0)"
        );
        assert_eq!(
            sql("cancellations", &of_warehouse),
            "(TRUE AND (SELECT COUNT(*) FROM `shipments` WHERE `shipments`.`order_key` = `cancellations`.`order_key` \
             AND `shipments`.`warehouse_id` IN (?)) > 0)"
        );
    }
}
