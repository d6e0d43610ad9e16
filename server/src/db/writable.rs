//! Whether a database takes writes, asked within statements that are sent anyway.

use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection as _;

use super::Conn;
use super::error::{DbError, ErrorKind};

/// An expression that is 0 on a server which takes writes and fails on all others: it costs no answer
/// of its own, in whatever statement it is sent with. `super_read_only` sets `read_only` too.
macro_rules! takes_writes {
    () => {
        "IF(@@GLOBAL.read_only, (SELECT 1 UNION SELECT 2), 0)"
    };
}

/// Errors of statements with it pass [`as_read_only`].
pub(super) const TAKES_WRITES: &str = takes_writes!();

pub(super) use takes_writes;

/// Fails with `ReadOnly` on a server that takes no writes.
pub async fn check(conn: &mut Conn) -> Result<(), DbError> {
    let checked = conn.batch_execute(concat!("DO ", takes_writes!())).await;
    checked.map_err(as_read_only)
}

/// How the server says that it takes no writes, asked by [`TAKES_WRITES`].
const TWO_ROWS: &str = "Subquery returns more than 1 row"; // 1242

pub(super) fn as_read_only(source: DieselError) -> DbError {
    if let DieselError::DatabaseError(_, information) = &source
        && information.message() == TWO_ROWS
    {
        return DbError::Database {
            kind: ErrorKind::ReadOnly,
            source,
        };
    }
    source.into()
}
