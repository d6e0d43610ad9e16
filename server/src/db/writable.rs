//! The question whether a database takes writes, asked within statements that are sent anyway.

use diesel::result::Error as DieselError;
use diesel_async::SimpleAsyncConnection as _;

use super::Conn;
use super::error::{DbError, ErrorKind};

/// An expression that fails where it is evaluated, and nothing else of ours raises its error. A
/// subquery of two rows would do so too, and costs half as much again as the statement around it.
/// It is to stand in a SELECT: MariaDB answers a DO with OK whatever fails in it, and goes on.
pub(super) const FAIL: &str = "EXP(1000)";

/// An expression that is 0 on a server which takes writes and fails on all others: it costs no
/// answer of its own, in whatever statement it is sent with. `super_read_only` sets `read_only`
/// too. It has [`FAIL`] in it.
macro_rules! takes_writes {
    () => {
        "IF(@@GLOBAL.read_only, EXP(1000), 0)"
    };
}

/// Errors of statements with it pass [`as_read_only`].
pub(super) const TAKES_WRITES: &str = takes_writes!();

pub(super) use takes_writes;

/// Fails with `ReadOnly` on a server that takes no writes.
pub async fn check(conn: &mut Conn) -> Result<(), DbError> {
    let checked = conn
        .batch_execute(concat!("SELECT ", takes_writes!()))
        .await;
    checked.map_err(as_read_only)
}

/// Whether a statement has met [`FAIL`].
pub(super) fn is_refusal(source: &DieselError) -> bool {
    const OUT_OF_RANGE: &str = "DOUBLE value is out of range in 'exp(1000)'"; // 1690
    matches!(source, DieselError::DatabaseError(_, information) if information.message() == OUT_OF_RANGE)
}

pub(super) fn as_read_only(source: DieselError) -> DbError {
    if is_refusal(&source) {
        return DbError::Database {
            kind: ErrorKind::ReadOnly,
            source,
        };
    }
    source.into()
}
