//! The rows of orders as they are written: new ones, and those of a version that is known.

use super::row::OrderRow;
use crate::db::error::DbError;
use crate::db::schema::orders;
use crate::db::writes::{Changed, Writes, change_rows};

macro_rules! changing {
    ($($column:ident),* $(,)?) => {
        /// Writes new rows, and what may change of the others, each only if it is still at the
        /// version it was loaded with.
        pub(crate) fn write(writes: &mut Writes, rows: &Changed<OrderRow>) -> Result<(), DbError> {
            let changed = rows.before.iter().zip(&rows.after);
            for (before, after) in changed {
                if !may_become(before, after) {
                    return Err(DbError::Corrupt(format!(
                        "{:?}: what never changes about an order has changed",
                        before.key()
                    )));
                }
            }
            change_rows!(writes, orders, rows, [order_key] if version => [$($column),*]);
            Ok(())
        }

        /// Whether `after` differs only in columns that may change.
        fn may_become(before: &OrderRow, after: &OrderRow) -> bool {
            *before == OrderRow { $($column: before.$column.clone(),)* ..after.clone() }
        }
    };
}

changing! {
    version,
    state,
    update_time,
    pay_by,
    pay_by_moved,
    paid_time,
    next_due,
    line_count,
    payment_count,
    shipment_count,
    cancellation_count,
    refund_count,
    incident_count,
    verified_at,
    lapse_time,
    document,
    annotations,
    note_count,
}
