//! Use cases of reference data, which administrators read and change, and of the consumers of the
//! feed, which keep how far they are. What is written of reference data is idempotent by id and
//! etag, and is read again at once, so that this server decides by it.
//!
//! How a request looks, and who may send it, is for others to know.

pub(crate) mod clock;
pub(crate) mod consumers;
pub(crate) mod policies;
pub(crate) mod records;
pub(crate) mod stock;
pub(crate) mod stores;

use belay_domain::ids::StoreId;
use belay_wire::status::CallError;

use crate::App;
use crate::db::error::{DbError, ErrorKind};

/// The error of an administration write.
pub(crate) fn write_failure(error: DbError) -> CallError {
    match error.kind() {
        ErrorKind::ConnectionLost => CallError::OutcomeUnknown { request_id: None },
        // Somebody wrote the same record in between.
        ErrorKind::Duplicate => CallError::Contention,
        ErrorKind::Deadlock
        | ErrorKind::LockWait
        | ErrorKind::RowLocked
        | ErrorKind::VersionConflict
        | ErrorKind::ReadOnly
        | ErrorKind::Denied
        | ErrorKind::TooManyConnections
        | ErrorKind::Unavailable
        | ErrorKind::Corrupt
        | ErrorKind::Statement => CallError::from(error),
    }
}

/// Lets this server decide by what was just written. Where it fails, it happens with the next round
/// of reading.
async fn refresh(app: &App, store: &StoreId) {
    if let Err(error) = app.stores.refresh(store).await {
        tracing::debug!(store.id = %store, %error, "reference data could not be read again after a write");
    }
}
