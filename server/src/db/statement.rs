//! Parts that the statements of all tables share: bounds, lists of keys, upserts.
//!
//! diesel prepares, executes and closes anything that holds a list of any length, once for every
//! use. The fragments here avoid that where it is cheap: a list of keys is filled up to a power of
//! two by repeating its last key, so that a few statements serve all lengths and stay prepared;
//! many rows go as text (`literals`).

use belay_domain::ids::OrderKey;
use diesel::expression::{
    AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate,
};
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Binary, Bool, Datetime, Integer, Unsigned};
use diesel_async::RunQueryDsl;

use super::Conn;
use super::error::DbError;

/// Most rows that one statement writes. No table has more than 33 columns, so the placeholders stay
/// below MySQL's 65,535.
pub(crate) const ROWS_MAX: usize = 1_985;
/// Most bytes of rows that one statement writes, unless a single row is longer: a quarter of the
/// smallest default of `max_allowed_packet`, which is MariaDB's 16 MiB.
pub(crate) const ROWS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most keys that one statement names.
pub(crate) const KEYS_MAX: usize = 1_024;

/// A row that says how long it is.
pub(crate) trait Row {
    /// Roughly, in bytes, and rather too much than too little.
    fn bytes(&self) -> usize;
}

/// Cuts rows into what one statement may write.
pub(crate) fn chunks<R: Row>(rows: &[R]) -> impl Iterator<Item = &[R]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(ROWS_MAX).take_while(|row| {
            bytes += row.bytes();
            bytes <= ROWS_BYTES_MAX
        });
        let count = fits.count().max(1).min(rest.len());
        let (chunk, left) = rest.split_at(count);
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// The row that is alone. An array's length is part of its type, so its statement stays prepared.
pub(crate) fn only<R>(rows: &[R]) -> Option<&[R; 1]> {
    rows.try_into().ok()
}

/// `column IN (keys)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OneOf<'a, C> {
    column: C,
    keys: &'a [OrderKey],
}

/// # Panics
/// If there are no keys: the caller has nothing to ask then.
pub(crate) fn one_of<C>(column: C, keys: &[OrderKey]) -> OneOf<'_, C> {
    assert!(!keys.is_empty(), "a statement about no order");
    OneOf { column, keys }
}

impl<C> Expression for OneOf<'_, C> {
    type SqlType = Bool;
}

impl<C> ValidGrouping<()> for OneOf<'_, C> {
    type IsAggregate = is_aggregate::No;
}

impl<C: AppearsOnTable<QS>, QS: ?Sized> AppearsOnTable<QS> for OneOf<'_, C> {}

impl<C> QueryId for OneOf<'_, C> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C: QueryFragment<Mysql>> QueryFragment<Mysql> for OneOf<'_, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        self.column.walk_ast(out.reborrow())?;
        push_keys(&mut out, self.keys)
    }
}

/// ` = ?` or ` IN (?, …)`.
pub(crate) fn push_keys<'b>(
    out: &mut AstPass<'_, 'b, Mysql>,
    keys: &'b [OrderKey],
) -> QueryResult<()> {
    if let [key] = keys {
        out.push_sql(" = ");
        return out.push_bind_param::<Binary, _>(&key.0);
    }
    let mut separator = " IN (";
    for key in padded(keys) {
        out.push_sql(separator);
        out.push_bind_param::<Binary, _>(&key.0)?;
        separator = ", ";
    }
    out.push_sql(")");
    Ok(())
}

/// Repeats the last one up to a power of two.
pub(crate) fn padded<T>(items: &[T]) -> impl Iterator<Item = &T> {
    let missing = items.len().next_power_of_two() - items.len();
    items
        .iter()
        .chain(items.last().into_iter().cycle().take(missing))
}

/// `SYSDATE(6)`: the time at which a row is read. `NOW(6)` is the time at which its statement
/// began, and after a wait for a lock that lies before the commit which was waited for.
#[derive(Debug, Clone, Copy, QueryId)]
pub(crate) struct SysDate;

impl Expression for SysDate {
    type SqlType = Datetime;
}

impl ValidGrouping<()> for SysDate {
    type IsAggregate = is_aggregate::Never;
}

impl<QS: ?Sized> AppearsOnTable<QS> for SysDate {}
impl<QS: ?Sized> SelectableExpression<QS> for SysDate {}

impl QueryFragment<Mysql> for SysDate {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("SYSDATE(6)");
        Ok(())
    }
}

/// An INSERT that overwrites these columns of a row whose key is there already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upsert<I> {
    pub(crate) insert: I,
    pub(crate) columns: &'static [&'static str],
}

impl<I> QueryId for Upsert<I> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<I: QueryFragment<Mysql>> QueryFragment<Mysql> for Upsert<I> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        self.insert.walk_ast(out.reborrow())?;
        let mut separator = " ON DUPLICATE KEY UPDATE ";
        for column in self.columns {
            out.push_sql(separator);
            out.push_identifier(column)?;
            // VALUES() and not a row alias: MariaDB knows no row alias.
            out.push_sql(" = VALUES(");
            out.push_identifier(column)?;
            out.push_sql(")");
            separator = ", ";
        }
        Ok(())
    }
}

/// A SELECT that locks its rows for whoever may share them. MySQL's FOR SHARE wants no grant beyond
/// SELECT, and MariaDB does not know it: each runs the comment that is for it, and skips the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<Q>(pub(crate) Q);

impl<Q: Query> Query for Shared<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> QueryId for Shared<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Mysql>> QueryFragment<Mysql> for Shared<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" /*!80001 FOR SHARE */ /*M! LOCK IN SHARE MODE */");
        Ok(())
    }
}

/// Deletes so many rows of the generations of a projection before this one; says how many.
pub(crate) async fn delete_generations(
    conn: &mut Conn,
    table: &'static str,
    generation: u32,
    limit: u32,
) -> Result<usize, DbError> {
    let delete = format!("DELETE FROM `{table}` WHERE `generation` < ? LIMIT {limit}");
    Ok(diesel::sql_query(delete)
        .bind::<Unsigned<Integer>, _>(generation)
        .execute(conn)
        .await?)
}

/// Inserts rows, many with a statement; overwrites the columns named of those whose key is there
/// already. One row alone goes by a statement that stays prepared, more of them as text.
macro_rules! upsert_rows {
    ($conn:expr, $table:ident, $rows:expr, [$($column:ident),+ $(,)?]) => {{
        const COLUMNS: &[&str] = &[$(<$table::$column as diesel::Column>::NAME),+];
        for rows in $crate::db::statement::chunks($rows) {
            if let Some(one) = $crate::db::statement::only(rows) {
                let insert = diesel::insert_into($table::table).values(one);
                $crate::db::statement::Upsert { insert, columns: COLUMNS }.execute($conn).await?;
            } else {
                let insert = diesel::insert_into($table::table).values(rows);
                let upsert = $crate::db::statement::Upsert { insert, columns: COLUMNS };
                $crate::db::literals::execute($conn, &upsert).await?;
            }
        }
    }};
}

/// All rows of a table that belong to these orders, in the order of the primary key.
macro_rules! rows_of_orders {
    ($conn:expr, $table:ident, $Row:ty, $keys:expr) => {{
        let mut rows: Vec<$Row> = Vec::new();
        for keys in $keys.chunks($crate::db::statement::KEYS_MAX) {
            let of_orders =
                $table::table.filter($crate::db::statement::one_of($table::order_key, keys));
            let of_orders = of_orders.order(<$table::table as diesel::Table>::primary_key(
                &$table::table,
            ));
            rows.extend(
                of_orders
                    .select(<$Row>::as_select())
                    .load::<$Row>($conn)
                    .await?,
            );
        }
        rows
    }};
}

pub(crate) use {rows_of_orders, upsert_rows};

#[cfg(test)]
mod tests {
    use super::*;

    struct Long(usize);

    impl Row for Long {
        fn bytes(&self) -> usize {
            self.0
        }
    }

    fn lengths(rows: &[Long]) -> Vec<usize> {
        chunks(rows).map(<[Long]>::len).collect()
    }

    #[test]
    fn a_statement_keeps_its_bounds_and_no_row_is_lost() {
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&[Long(ROWS_BYTES_MAX), Long(1), Long(1)]), [1, 2]);
        assert_eq!(lengths(&[Long(ROWS_BYTES_MAX + 1), Long(1)]), [1, 1]);
        let many: Vec<Long> = (0..ROWS_MAX * 2 + 1).map(|_| Long(1)).collect();
        assert_eq!(lengths(&many), [ROWS_MAX, ROWS_MAX, 1]);
        const { assert!(ROWS_MAX * 33 <= 65_535) };
    }

    #[test]
    fn a_list_is_filled_up_with_its_last_item() {
        assert_eq!(padded(&[1]).collect::<Vec<_>>(), [&1]);
        assert_eq!(padded(&[1, 2, 3]).collect::<Vec<_>>(), [&1, &2, &3, &3]);
        assert_eq!(padded::<u8>(&[]).count(), 0);
    }
}
