//! The search for orders by what people have in hand.

use belay_domain::ids::StoreId;
use belay_domain::query::{IDS_SEARCHED_MAX, ListPosition, OrderSearch, SearchedBy};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use crate::db::Conn;
use crate::db::columns::Bytes;
use crate::db::error::DbError;
use crate::db::pages::{Filter, ListQuery, Listed, PageQuery, Value};

impl ListQuery for OrderSearch {
    /// An e-mail address and a tracking number lead to the orders in the order of the list. The
    /// beginning of an id leads to so many ids at most, and these are sorted.
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery {
        let mut filters = vec![Filter::eq("store_id", self.store.as_str())];
        let page = match &self.by {
            SearchedBy::Email(hashes) => {
                let marks = vec!["?"; hashes.len()].join(", ");
                let hashes = hashes.iter().map(|hash| Value::Hash(Bytes(*hash)));
                filters.push(Filter::with(
                    &format!("`buyer_email_hash` IN ({marks})"),
                    hashes.collect(),
                ));
                PageQuery::by_index(Listed::Orders, "orders_by_email", filters)
            }
            SearchedBy::TrackingNumber(number) => {
                filters.push(Filter::eq("tracking_number", number.as_str()));
                let shipments = Listed::Mentions {
                    table: "shipments",
                    number: None,
                };
                PageQuery::by_index(shipments, "shipments_by_tracking", filters)
            }
            SearchedBy::IdPrefix(prefix) => {
                filters.push(Filter::new("`order_id` LIKE ?", &*like(prefix)));
                PageQuery::of_first_ids(filters, IDS_SEARCHED_MAX)
            }
        };
        page.within(&self.scope).after(after, limit)
    }
}

/// What LIKE takes for a beginning. Of the characters of an id it reads the underscore alone.
fn like(prefix: &str) -> String {
    format!("{}%", prefix.replace('_', r"\_"))
}

/// Whether more ids of the store begin so than a search looks at.
pub async fn has_more_ids(conn: &mut Conn, store: &StoreId, prefix: &str) -> Result<bool, DbError> {
    let next = NextId {
        store: store.as_str(),
        like: like(prefix),
    };
    let found: Vec<bool> = next.load(conn).await?;
    Ok(!found.is_empty())
}

/// The first id that a search leaves out.
#[derive(Debug)]
struct NextId<'a> {
    store: &'a str,
    like: String,
}

impl Query for NextId<'_> {
    type SqlType = Bool;
}

impl QueryId for NextId<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for NextId<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("SELECT TRUE FROM `orders` FORCE INDEX (orders_by_id) WHERE `store_id` = ");
        out.push_bind_param::<Text, _>(self.store)?;
        out.push_sql(" AND `order_id` LIKE ");
        out.push_bind_param::<Text, _>(&self.like)?;
        out.push_sql(&format!(
            " ORDER BY `order_id` LIMIT 1 OFFSET {IDS_SEARCHED_MAX}"
        ));
        Ok(())
    }
}
