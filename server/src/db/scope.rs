//! What a caller sees, as a condition on the rows of a list: so that pages are full and nothing outside is counted.

use belay_domain::ids::{CarrierId, SellerId, WarehouseId};
use belay_domain::scope::{Scope, Within};
use diesel::expression::{AppearsOnTable, Expression, ValidGrouping, is_aggregate};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Bool, Text};

use super::statement::padded;

/// A table that is listed. Each names the order's seller; only shipments name their own warehouse and carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listed {
    Orders,
    Shipments,
    Cancellations,
    Refunds,
}

impl Listed {
    fn table(self) -> &'static str {
        match self {
            Listed::Orders => "orders",
            Listed::Shipments => "shipments",
            Listed::Cancellations => "cancellations",
            Listed::Refunds => "refunds",
        }
    }
}

/// Whether a row of this table is in the scope. The store is the list's own condition: whoever does not see the store is not
/// listed anything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InScope<'a> {
    listed: Listed,
    scope: &'a Scope,
}

pub(crate) fn in_scope(listed: Listed, scope: &Scope) -> InScope<'_> {
    InScope { listed, scope }
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
        let Self { listed, scope } = *self;
        out.push_sql("(TRUE");
        push_within(&mut out, listed.table(), "seller_id", &scope.sellers, SellerId::as_str)?;
        if listed == Listed::Shipments {
            push_route(&mut out, scope)?;
        } else if !scope.sees_every_route() {
            out.push_sql(" AND EXISTS (SELECT 1 FROM `shipments` WHERE `shipments`.`order_key` = ");
            out.push_identifier(listed.table())?;
            out.push_sql(".`order_key`");
            push_route(&mut out, scope)?;
            out.push_sql(")");
        }
        out.push_sql(")");
        Ok(())
    }
}

fn push_route<'b>(out: &mut AstPass<'_, 'b, Mysql>, scope: &'b Scope) -> QueryResult<()> {
    push_within(out, "shipments", "warehouse_id", &scope.warehouses, WarehouseId::as_str)?;
    push_within(out, "shipments", "carrier_id", &scope.carriers, CarrierId::as_str)
}

/// ` AND table.column IN (?, …)`, where not all are in.
fn push_within<'b, T>(
    out: &mut AstPass<'_, 'b, Mysql>,
    table: &str,
    column: &str,
    within: &'b Within<T>,
    text: fn(&T) -> &str,
) -> QueryResult<()> {
    let Within::Only(ids) = within else { return Ok(()) };
    let ids: Vec<&'b str> = ids.iter().map(text).collect();
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

    use diesel::mysql::MysqlQueryBuilder;
    use diesel::query_builder::QueryBuilder;

    use super::*;

    fn sql(listed: Listed, scope: &Scope) -> String {
        let mut builder = MysqlQueryBuilder::new();
        in_scope(listed, scope).to_sql(&mut builder, &Mysql).unwrap();
        builder.finish()
    }

    #[test]
    fn a_scope_names_only_what_it_narrows() {
        let sellers = ["a", "b", "c"].map(|id| SellerId::parse(id).unwrap());
        let of_sellers = Scope { sellers: Within::Only(BTreeSet::from(sellers)), ..Scope::EVERYTHING };
        let of_nobody = Scope { carriers: Within::Only(BTreeSet::new()), ..Scope::EVERYTHING };
        let warehouse = BTreeSet::from([WarehouseId::parse("main").unwrap()]);
        let of_warehouse = Scope { warehouses: Within::Only(warehouse), ..Scope::EVERYTHING };
        assert_eq!(sql(Listed::Refunds, &Scope::EVERYTHING), "(TRUE)");
        assert_eq!(sql(Listed::Orders, &of_sellers), "(TRUE AND `orders`.`seller_id` IN (?, ?, ?, ?))");
        assert_eq!(sql(Listed::Shipments, &of_nobody), "(TRUE AND FALSE)");
        assert_eq!(
            sql(Listed::Cancellations, &of_warehouse),
            "(TRUE AND EXISTS (SELECT 1 FROM `shipments` WHERE `shipments`.`order_key` = `cancellations`.`order_key` \
             AND `shipments`.`warehouse_id` IN (?)))"
        );
    }
}
