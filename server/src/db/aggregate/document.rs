//! The document of an order: all rows of its child tables once more, as one value in the order's
//! own row. It is written with the order and read under the same lock, or in the same statement, so
//! an order is loaded by one row instead of eight tables.
//!
//! The tables hold everything: a document that is not there, of another format or of another
//! version of the order is passed by, and they are read. So a release that does not know documents
//! may serve beside one that does: what it writes has a version that the document has not.

use belay_domain::order::Order;

use super::rows::Rows;
use crate::db::error::DbError;
use crate::db::orders::OrderRow;

/// What the bytes mean. Whoever changes a row of a child table changes this number; a test holds it
/// against the bytes of an order.
const FORMAT: u8 = 2;
/// Longest document, in bytes, that is written. It is rewritten with each command and lies in the
/// order's page with the rest of its row, which is kept whole below half of a page of 16 KiB.
pub const DOCUMENT_BYTES_MAX: usize = 6 * 1024;

/// The format, and the version of the order in little-endian.
const HEAD: usize = 1 + size_of::<u64>();

/// What belongs into the row of this order; None where that is too long.
pub(super) fn of(order: &Order) -> Result<Option<Vec<u8>>, DbError> {
    let mut bytes = Vec::with_capacity(1024);
    bytes.push(FORMAT);
    bytes.extend(order.version.to_le_bytes());
    let bytes = postcard::to_extend(&Rows::of(order)?, bytes)
        .map_err(|error| DbError::Corrupt(format!("{:?}: no document: {error}", order.key())))?;
    Ok((bytes.len() <= DOCUMENT_BYTES_MAX).then_some(bytes))
}

/// The rows of the order that this document says; None where the tables must be asked.
pub(super) fn take(row: &mut OrderRow) -> Option<Rows> {
    let bytes = row.document.take()?;
    let (head, rows) = bytes.split_at_checked(HEAD)?;
    let (format, version) = head.split_first()?;
    if *format != FORMAT || version != row.version.to_le_bytes() {
        return None;
    }
    match postcard::from_bytes(rows) {
        Ok(rows) => Some(rows),
        Err(error) => {
            // Nothing is lost: the tables are read. But it was written by us, or damaged.
            tracing::error!(%error, order.key = ?row.key(), "the document of an order cannot be read");
            None
        }
    }
}
