//! Errors of the server and its database, as the failure that the caller is told.

use belay_wire::status::CallError;
use uuid::Uuid;

use crate::db::error::{DbError, ErrorKind};
use crate::engine::EngineError;
use crate::feed::{FeedError, WatchError};
use crate::reads::ReadError;
use crate::store_cache::StoreCacheError;

impl From<ReadError> for CallError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => CallError::Overloaded,
            ReadError::TimedOut => CallError::DatabaseUnavailable,
            ReadError::Database(error) => of_database(&error),
            ReadError::Died => CallError::Internal("a read died".to_owned()),
        }
    }
}

impl From<FeedError> for CallError {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Database(error) => of_database(&error),
            FeedError::Position(error) => CallError::Position(error),
        }
    }
}

impl From<WatchError> for CallError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::TooSlow => CallError::WatcherTooSlow,
            WatchError::Position(error) => CallError::Position(error),
            WatchError::Internal => CallError::Internal("a watch of the feed died".to_owned()),
        }
    }
}

impl From<DbError> for CallError {
    fn from(error: DbError) -> Self {
        of_database(&error)
    }
}

/// Of a request, by the id under which it may be repeated.
pub(crate) fn of_engine(error: EngineError, request_id: Uuid) -> CallError {
    match error {
        EngineError::Overloaded => CallError::Overloaded,
        EngineError::Shed { retry } => CallError::Shed { retry },
        EngineError::DeadlineExceeded => CallError::DeadlineExceeded,
        EngineError::DatabaseUnavailable => CallError::DatabaseUnavailable,
        EngineError::Contention => CallError::Contention,
        EngineError::OutcomeUnknown => CallError::OutcomeUnknown {
            request_id: Some(request_id),
        },
        EngineError::Internal => {
            CallError::Internal(format!("the engine failed on request {request_id}"))
        }
    }
}

/// Of the reference data of this store.
pub(crate) fn of_stores(error: &StoreCacheError, store: impl ToString) -> CallError {
    match error {
        StoreCacheError::NotFound => CallError::StoreNotFound {
            store: store.to_string(),
        },
        StoreCacheError::Overloaded => CallError::Overloaded,
        StoreCacheError::Unavailable => CallError::DatabaseUnavailable,
    }
}

fn of_database(error: &DbError) -> CallError {
    if error.is_exhaustion() {
        return CallError::Overloaded;
    }
    match error.kind() {
        ErrorKind::Deadlock
        | ErrorKind::LockWait
        | ErrorKind::RowLocked
        | ErrorKind::VersionConflict => CallError::Contention,
        // The log has it from the pool.
        ErrorKind::ConnectionLost
        | ErrorKind::ReadOnly
        | ErrorKind::Denied
        | ErrorKind::TooManyConnections
        | ErrorKind::Unavailable => CallError::DatabaseUnavailable,
        ErrorKind::Duplicate | ErrorKind::Corrupt | ErrorKind::Statement => {
            CallError::Internal(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_advised_where_the_engine_may_do_better_later() {
        use std::time::Duration;

        use tonic_types::StatusExt as _;

        for error in [
            EngineError::Overloaded,
            EngineError::Shed {
                retry: Duration::from_secs(1),
            },
            EngineError::Contention,
            EngineError::DatabaseUnavailable,
            EngineError::OutcomeUnknown,
        ] {
            let status = of_engine(error, Uuid::nil()).into_status(str::to_owned);
            assert!(status.get_details_retry_info().is_some(), "{error}");
        }
        let bug = of_engine(EngineError::Internal, Uuid::nil());
        assert!(matches!(bug, CallError::Internal(_)));
    }

    #[test]
    fn the_classes_of_the_database_are_told_apart() {
        let connect = |kind| {
            CallError::from(DbError::Connect {
                kind,
                message: String::new(),
            })
        };
        let exhausted = CallError::from(DbError::PoolExhausted { waited_ms: 1 });
        assert_eq!(exhausted, CallError::Overloaded);
        let lost = connect(ErrorKind::ConnectionLost);
        assert_eq!(lost, CallError::DatabaseUnavailable);
        assert_eq!(connect(ErrorKind::Deadlock), CallError::Contention);
        assert!(matches!(
            connect(ErrorKind::Corrupt),
            CallError::Internal(_)
        ));
    }
}
