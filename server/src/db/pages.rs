//! Pages of lists, from new to old: statements that find where the entries of a page are.
//!
//! A list orders its entries by (create_time, order_key, number), each descending. Which index
//! leads to a page is decided by the list for the filters that are given, and forced: the optimizer
//! would now and then rather walk the store's newest rows and hope to meet some that match. What
//! the index does not lead to only filters what it leads to. A page begins right behind the last
//! entry of the page before (a keyset), so that the hundredth page costs what the first does.

use belay_domain::ids::OrderKey;
use belay_domain::query::ListPosition;
use belay_domain::scope::{IdFilter, Scope};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{BigInt, Binary, Datetime, Integer, Text, Unsigned};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Bytes};
use super::error::DbError;
use super::scope::walk_in_scope;
use super::statement::padded;

/// Where a list begins: after every entry there could be.
const NEWEST: ListPosition = ListPosition {
    create_time: Timestamp::MAX,
    order_key: OrderKey([u8::MAX; 16]),
    number: u32::MAX,
};

/// A table that holds what is listed, or tells of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Listed {
    /// Orders themselves.
    Orders,
    /// Children of orders: a row each, numbered in `number`.
    Children(&'static str),
    /// Rows of this table tell of an entry that is numbered in this column (orders have no number),
    /// and several of them may tell of the same one.
    Mentions {
        table: &'static str,
        number: Option<&'static str>,
    },
}

impl Listed {
    fn table(self) -> &'static str {
        match self {
            Listed::Orders => "orders",
            Listed::Children(table) | Listed::Mentions { table, .. } => table,
        }
    }

    fn number(self) -> Option<&'static str> {
        match self {
            Listed::Orders => None,
            Listed::Children(_) => Some("number"),
            Listed::Mentions { number, .. } => number,
        }
    }
}

/// The index that leads to a page.
#[derive(Debug, Clone, Copy)]
enum Lead {
    /// Begins with the columns of some filters and goes on with those that the list is ordered by.
    Index(&'static str),
    /// The primary key: all is of one order, and is numbered as it was created.
    Order,
    /// So many of the ids that the filters let through, in their order. They are sorted anew.
    FirstIds(u16),
}

/// A condition on a row, with its values in the order of its question marks.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    sql: String,
    values: Vec<Value>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Key(Bytes<16>),
    Hash(Bytes<32>),
    Time(At),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<OrderKey> for Value {
    fn from(key: OrderKey) -> Self {
        Value::Key(key.into())
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Value::Time(At(time))
    }
}

impl Filter {
    /// `sql` has one question mark.
    pub(super) fn new(sql: &str, value: impl Into<Value>) -> Self {
        Self {
            sql: sql.to_owned(),
            values: vec![value.into()],
        }
    }

    /// `sql` has as many question marks.
    pub(super) fn with(sql: &str, values: Vec<Value>) -> Self {
        Self {
            sql: sql.to_owned(),
            values,
        }
    }

    /// `column = value`.
    pub(super) fn eq(column: &str, value: impl Into<Value>) -> Self {
        Self::new(&format!("`{column}` = ?"), value)
    }

    /// The same where there is a value, and else no condition.
    pub(super) fn given(column: &str, value: &Option<impl AsRef<str>>) -> Option<Self> {
        let value = value.as_ref();
        value.map(|value| Self::eq(column, value.as_ref()))
    }

    /// That the parcel of a row, which names its warehouse and its carrier, is in the scope.
    pub(super) fn in_route(scope: &Scope) -> Vec<Self> {
        fn within(column: &str, ids: &IdFilter<impl AsRef<str>>) -> Option<Filter> {
            let IdFilter::Only(ids) = ids else {
                return None;
            };
            let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
            if ids.is_empty() {
                return Some(Filter::with("FALSE", Vec::new()));
            }
            let values: Vec<Value> = padded(&ids).map(|id| Value::from(*id)).collect();
            let marks = vec!["?"; values.len()].join(", ");
            Some(Filter::with(&format!("`{column}` IN ({marks})"), values))
        }
        let columns = [
            within("warehouse_id", &scope.warehouses),
            within("carrier_id", &scope.carriers),
        ];
        columns.into_iter().flatten().collect()
    }

    /// Whether a row of another table that belongs to this one, as `source` says, meets all of
    /// these.
    ///
    /// It counts, and does not ask whether one EXISTS: the optimizer turns that into a join, and
    /// then sorts. What belongs to one order is few.
    pub(super) fn any(source: &str, filters: Vec<Filter>) -> Self {
        let sql: String = filters
            .iter()
            .map(|filter| format!(" AND {}", filter.sql))
            .collect();
        let values = filters
            .into_iter()
            .flat_map(|filter| filter.values)
            .collect();
        Self {
            sql: format!("(SELECT COUNT(*) FROM {source}{sql}) > 0"),
            values,
        }
    }

    pub(super) fn walk<'b>(&'b self, out: &mut AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        let mut values = self.values.iter();
        for (index, sql) in self.sql.split('?').enumerate() {
            if index > 0 {
                match values.next() {
                    Some(Value::Text(text)) => out.push_bind_param::<Text, _>(text.as_str())?,
                    Some(Value::Key(key)) => out.push_bind_param::<Binary, _>(key)?,
                    Some(Value::Hash(hash)) => out.push_bind_param::<Binary, _>(hash)?,
                    Some(Value::Time(time)) => out.push_bind_param::<Datetime, _>(time)?,
                    None => unreachable!("as many values as question marks: {}", self.sql),
                }
            }
            out.push_sql(sql);
        }
        Ok(())
    }
}

/// A filter whose entries are listed in pages.
pub trait ListQuery: Sync {
    /// After the last entry of the page before, so many, of those that the filter's scope sees.
    fn page(&self, after: Option<ListPosition>, limit: u16) -> PageQuery;
}

/// One page of a list, newest first, after the last entry of the page before. An entry's time is
/// that of its creation, or of its order's: by the time of a change, one that changes between two
/// pages could be missed.
pub async fn list(
    conn: &mut Conn,
    filter: &impl ListQuery,
    after: Option<ListPosition>,
    limit: u16,
) -> Result<Vec<ListPosition>, DbError> {
    filter.page(after, limit).load(conn).await
}

/// The statement that finds one page of a list.
#[derive(Debug, Clone)]
pub struct PageQuery {
    listed: Listed,
    lead: Lead,
    filters: Vec<Filter>,
    /// Whose eyes it is for.
    scope: Scope,
    /// What the list has before this.
    before: (At, Bytes<16>, u32),
    limit: i64,
    /// How many are passed over first.
    offset: u16,
}

impl PageQuery {
    /// All filters must match; those that the index begins with are among them.
    pub(super) fn by_index(listed: Listed, index: &'static str, filters: Vec<Filter>) -> Self {
        Self::new(listed, Lead::Index(index), filters)
    }

    /// So many orders at most, in the order of their ids.
    pub(super) fn of_first_ids(filters: Vec<Filter>, ids_max: u16) -> Self {
        Self::new(Listed::Orders, Lead::FirstIds(ids_max), filters)
    }

    /// What belongs to this order.
    pub(super) fn of_order(table: &'static str, order: OrderKey, mut filters: Vec<Filter>) -> Self {
        filters.insert(0, Filter::eq("order_key", order));
        Self::new(Listed::Children(table), Lead::Order, filters)
    }

    fn new(listed: Listed, lead: Lead, filters: Vec<Filter>) -> Self {
        Self {
            listed,
            lead,
            filters,
            scope: Scope::EVERYTHING,
            before: position_columns(NEWEST),
            limit: 0,
            offset: 0,
        }
    }

    /// After the last entry of the page before, so many.
    #[must_use]
    pub(super) fn after(mut self, last: Option<ListPosition>, limit: u16) -> Self {
        self.before = position_columns(last.unwrap_or(NEWEST));
        self.limit = limit.into();
        self
    }

    /// The page begins behind so many of those that it would begin with.
    #[must_use]
    pub(super) fn behind(self, offset: u16) -> Self {
        Self { offset, ..self }
    }

    /// Only what a caller of this scope sees.
    #[must_use]
    pub(super) fn within(self, scope: &Scope) -> Self {
        Self {
            scope: scope.clone(),
            ..self
        }
    }

    /// ` FROM … WHERE … AND `, of what the filters let through.
    fn walk_source<'b>(
        &'b self,
        index: &'static str,
        out: &mut AstPass<'_, 'b, Mysql>,
    ) -> QueryResult<()> {
        out.push_sql(" FROM ");
        out.push_identifier(self.listed.table())?;
        out.push_sql(" FORCE INDEX (");
        out.push_identifier(index)?;
        out.push_sql(") WHERE ");
        for filter in &self.filters {
            filter.walk(out)?;
            out.push_sql(" AND ");
        }
        Ok(())
    }

    pub(super) async fn load(self, conn: &mut Conn) -> Result<Vec<ListPosition>, DbError> {
        let rows: Vec<(At, Bytes<16>, u32)> = RunQueryDsl::load(self, conn).await?;
        let position = |(time, key, number): (At, Bytes<16>, u32)| ListPosition {
            create_time: time.0,
            order_key: key.into(),
            number,
        };
        Ok(rows.into_iter().map(position).collect())
    }

    /// Only what comes after the page before. Each alternative is a range of the index of its own;
    /// a comparison of `(create_time, order_key, number)` would be none, and MySQL would read the
    /// index from its end.
    fn walk_before<'b>(&'b self, out: &mut AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        let (time, key, last_number) = &self.before;
        let number = self.listed.number();
        if let (Lead::Order, Some(number)) = (self.lead, number) {
            out.push_identifier(number)?;
            out.push_sql(" < ");
            return out.push_bind_param::<Unsigned<Integer>, _>(last_number);
        }
        out.push_sql("(`create_time` < ");
        out.push_bind_param::<Datetime, _>(time)?;
        out.push_sql(" OR (`create_time` = ");
        out.push_bind_param::<Datetime, _>(time)?;
        out.push_sql(" AND `order_key` < ");
        out.push_bind_param::<Binary, _>(key)?;
        if let Some(number) = number {
            out.push_sql(") OR (`create_time` = ");
            out.push_bind_param::<Datetime, _>(time)?;
            out.push_sql(" AND `order_key` = ");
            out.push_bind_param::<Binary, _>(key)?;
            out.push_sql(" AND ");
            out.push_identifier(number)?;
            out.push_sql(" < ");
            out.push_bind_param::<Unsigned<Integer>, _>(last_number)?;
        }
        out.push_sql("))");
        Ok(())
    }
}

fn position_columns(position: ListPosition) -> (At, Bytes<16>, u32) {
    (
        At(position.create_time),
        position.order_key.into(),
        position.number,
    )
}

impl Query for PageQuery {
    type SqlType = (Datetime, Binary, Unsigned<Integer>);
}

impl QueryId for PageQuery {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for PageQuery {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        let number = self.listed.number();
        out.push_sql(match self.listed {
            Listed::Mentions { .. } => "SELECT DISTINCT `create_time`, `order_key`, ",
            Listed::Orders | Listed::Children(_) => "SELECT `create_time`, `order_key`, ",
        });
        match number {
            Some(number) => out.push_identifier(number)?,
            None => out.push_sql("0"),
        }
        match self.lead {
            Lead::Index(index) => self.walk_source(index, &mut out)?,
            Lead::Order => self.walk_source("PRIMARY", &mut out)?,
            Lead::FirstIds(ids_max) => {
                // It bears the name of the table, by which the scope knows it.
                out.push_sql(" FROM (SELECT `create_time`, `order_key`, `seller_id`");
                self.walk_source("orders_by_id", &mut out)?;
                out.push_sql(&format!(
                    "TRUE ORDER BY `order_id` LIMIT {ids_max}) `orders` WHERE "
                ));
            }
        }
        walk_in_scope(self.listed.table(), &self.scope, &mut out)?;
        out.push_sql(" AND ");
        self.walk_before(&mut out)?;
        out.push_sql(match self.lead {
            Lead::Index(_) | Lead::FirstIds(_) => " ORDER BY `create_time` DESC, `order_key` DESC",
            Lead::Order => " ORDER BY `order_key` DESC",
        });
        if let Some(number) = number {
            out.push_sql(", ");
            out.push_identifier(number)?;
            out.push_sql(" DESC");
        }
        out.push_sql(" LIMIT ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        if self.offset > 0 {
            out.push_sql(&format!(" OFFSET {}", self.offset));
        }
        Ok(())
    }
}
