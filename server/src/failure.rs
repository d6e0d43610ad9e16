//! What keeps the server from answering, as the failure that the caller is told.

use belay_wire::status::Failure;
use uuid::Uuid;

use crate::auth::AuthError;
use crate::db::error::{DbError, ErrorKind};
use crate::engine::EngineError;
use crate::reads::ReadError;
use crate::reference::StoresError;

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::MethodUnknown => Failure::MethodUnknown,
            AuthError::CallerUnknown => Failure::CallerUnknown,
            AuthError::RoleNotAllowed { role } => Failure::RoleNotAllowed { role },
            AuthError::InvalidHeaders(violations) => Failure::invalid_fields(violations),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => Failure::Overloaded,
            ReadError::TimedOut => Failure::DatabaseUnavailable,
            ReadError::Database(error) => of_database(&error),
            ReadError::Died => Failure::Internal("a read died".to_owned()),
        }
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        of_database(&error)
    }
}

/// Of a request, by the id under which it may be repeated.
pub(crate) fn of_engine(error: EngineError, request_id: Uuid) -> Failure {
    match error {
        EngineError::Overloaded => Failure::Overloaded,
        EngineError::DeadlineExceeded => Failure::DeadlineExceeded,
        EngineError::DatabaseUnavailable => Failure::DatabaseUnavailable,
        EngineError::Contention => Failure::Contention,
        EngineError::OutcomeUnknown => Failure::OutcomeUnknown {
            request_id: Some(request_id),
        },
        EngineError::Internal => {
            Failure::Internal(format!("the engine failed on request {request_id}"))
        }
    }
}

/// Of the reference data of this store.
pub(crate) fn of_stores(error: &StoresError, store: impl ToString) -> Failure {
    match error {
        StoresError::NotFound => Failure::StoreNotFound {
            store: store.to_string(),
        },
        StoresError::Unavailable => Failure::DatabaseUnavailable,
    }
}

fn of_database(error: &DbError) -> Failure {
    if matches!(error, DbError::PoolExhausted { .. }) {
        return Failure::Overloaded;
    }
    match error.kind() {
        ErrorKind::Deadlock
        | ErrorKind::LockWait
        | ErrorKind::RowBusy
        | ErrorKind::VersionConflict => Failure::Contention,
        // The log has it from the pool.
        ErrorKind::ConnectionLost
        | ErrorKind::ReadOnly
        | ErrorKind::Denied
        | ErrorKind::TooManyConnections
        | ErrorKind::Unavailable => Failure::DatabaseUnavailable,
        ErrorKind::Duplicate | ErrorKind::Corrupt | ErrorKind::Statement => {
            Failure::Internal(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_advised_where_the_engine_may_do_better_later() {
        use tonic_types::StatusExt as _;

        for error in [
            EngineError::Overloaded,
            EngineError::Contention,
            EngineError::DatabaseUnavailable,
            EngineError::OutcomeUnknown,
        ] {
            let status = of_engine(error, Uuid::nil()).into_status(str::to_owned);
            assert!(status.get_details_retry_info().is_some(), "{error}");
        }
        let bug = of_engine(EngineError::Internal, Uuid::nil());
        assert!(matches!(bug, Failure::Internal(_)));
    }

    #[test]
    fn the_classes_of_the_database_are_told_apart() {
        let connect = |kind| {
            Failure::from(DbError::Connect {
                kind,
                message: String::new(),
            })
        };
        let exhausted = Failure::from(DbError::PoolExhausted { waited_ms: 1 });
        assert_eq!(exhausted, Failure::Overloaded);
        let lost = connect(ErrorKind::ConnectionLost);
        assert_eq!(lost, Failure::DatabaseUnavailable);
        assert_eq!(connect(ErrorKind::Deadlock), Failure::Contention);
        assert!(matches!(connect(ErrorKind::Corrupt), Failure::Internal(_)));
    }
}
