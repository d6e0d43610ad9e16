//! The errors of the database, told apart in one place.
//!
//! diesel-async passes on the server's text but not its error number: deadlocks, lock waits, locked
//! rows, read-only servers and lost connections all arrive as `DatabaseErrorKind::Unknown`. So this
//! module, and no other, reads texts; each connection sets `lc_messages` so that the texts are
//! these, and a test provokes each of them on a real server.

use diesel::result::{ConnectionError, DatabaseErrorKind, Error as DieselError};

/// The kind of a database error, by what it means for the code that sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The server rolled the transaction back for another's sake. Repeat the whole transaction.
    Deadlock,
    /// A row was locked for longer than `innodb_lock_wait_timeout`. Only the statement was undone:
    /// ROLLBACK, then repeat the whole transaction.
    LockWait,
    /// A row is locked and the statement was told not to wait. Rows locked before stay locked until
    /// ROLLBACK.
    RowLocked,
    /// A row with this key is there already.
    Duplicate,
    /// A row was not at the version that was loaded. ROLLBACK, then repeat the whole transaction.
    VersionConflict,
    /// The connection is gone, with it the transaction; a COMMIT that was on its way may have
    /// landed or not.
    ConnectionLost,
    /// The server takes no writes: a replica, or a primary that gives way to another.
    ReadOnly,
    /// This account lacks a grant. Nothing is wrong with the statement: it succeeds once the grant
    /// is given.
    Denied,
    /// The server, or this account, has as many connections as it may.
    TooManyConnections,
    /// No connection could be had in time, or the server cannot serve now: it has no quorum, or no
    /// room left.
    Unavailable,
    /// A row breaks what the tables promise.
    Corrupt,
    /// The statement itself is wrong; repeating it changes nothing.
    Statement,
}

impl ErrorKind {
    pub const ALL: &'static [ErrorKind] = &[
        ErrorKind::Deadlock,
        ErrorKind::LockWait,
        ErrorKind::RowLocked,
        ErrorKind::Duplicate,
        ErrorKind::VersionConflict,
        ErrorKind::ConnectionLost,
        ErrorKind::ReadOnly,
        ErrorKind::Denied,
        ErrorKind::TooManyConnections,
        ErrorKind::Unavailable,
        ErrorKind::Corrupt,
        ErrorKind::Statement,
    ];

    /// For metrics and log fields.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Deadlock => "deadlock",
            ErrorKind::LockWait => "lock_wait",
            ErrorKind::RowLocked => "row_locked",
            ErrorKind::Duplicate => "duplicate",
            ErrorKind::VersionConflict => "version_conflict",
            ErrorKind::ConnectionLost => "connection_lost",
            ErrorKind::ReadOnly => "read_only",
            ErrorKind::Denied => "denied",
            ErrorKind::TooManyConnections => "too_many_connections",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Statement => "statement",
        }
    }

    /// The same transaction may succeed when it is repeated from its beginning.
    pub fn is_transient(self) -> bool {
        match self {
            ErrorKind::Deadlock
            | ErrorKind::LockWait
            | ErrorKind::RowLocked
            | ErrorKind::VersionConflict
            | ErrorKind::ConnectionLost
            | ErrorKind::ReadOnly
            | ErrorKind::Denied
            | ErrorKind::TooManyConnections
            | ErrorKind::Unavailable => true,
            ErrorKind::Duplicate | ErrorKind::Corrupt | ErrorKind::Statement => false,
        }
    }

    /// The connection can no longer be used.
    pub fn ends_connection(self) -> bool {
        match self {
            ErrorKind::ConnectionLost
            | ErrorKind::ReadOnly
            | ErrorKind::Denied
            | ErrorKind::TooManyConnections
            | ErrorKind::Unavailable => true,
            ErrorKind::Deadlock
            | ErrorKind::LockWait
            | ErrorKind::RowLocked
            | ErrorKind::Duplicate
            | ErrorKind::VersionConflict
            | ErrorKind::Corrupt
            | ErrorKind::Statement => false,
        }
    }
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// An error of the database. It never holds the database's URL or password.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    #[error("the database answered: {source}")]
    Database {
        kind: ErrorKind,
        source: DieselError,
    },
    #[error("cannot connect to the database: {message}")]
    Connect { kind: ErrorKind, message: String },
    #[error("no database connection was free within {waited_ms} ms")]
    PoolExhausted { waited_ms: u128 },
    #[error("the database did not answer within {waited_ms} ms")]
    TimedOut { waited_ms: u128 },
    #[error("the database has another primary, and the one before has not answered")]
    Moved,
    #[error("{matched} of {expected} rows were at the version that was loaded")]
    VersionConflict { expected: usize, matched: usize },
    #[error(
        "a statement did not find all rows that it was made for: somebody else has changed one"
    )]
    Overtaken,
    #[error("a head that this server remembers is no longer where it was left")]
    HeadsMoved,
    #[error("the tables contradict themselves: {0}")]
    Corrupt(String),
}

impl DbError {
    /// Whether it is that no answer came: a database that refuses, whatever it is, has answered.
    pub(crate) fn is_silence(&self) -> bool {
        match self.kind() {
            ErrorKind::ConnectionLost | ErrorKind::Unavailable => !self.is_exhaustion(),
            ErrorKind::Deadlock
            | ErrorKind::LockWait
            | ErrorKind::RowLocked
            | ErrorKind::Duplicate
            | ErrorKind::VersionConflict
            | ErrorKind::ReadOnly
            | ErrorKind::Denied
            | ErrorKind::TooManyConnections
            | ErrorKind::Corrupt
            | ErrorKind::Statement => false,
        }
    }

    pub fn kind(&self) -> ErrorKind {
        match self {
            DbError::Database { kind, .. } | DbError::Connect { kind, .. } => *kind,
            DbError::PoolExhausted { .. } => ErrorKind::Unavailable,
            DbError::TimedOut { .. } | DbError::Moved => ErrorKind::ConnectionLost,
            DbError::VersionConflict { .. } | DbError::Overtaken | DbError::HeadsMoved => {
                ErrorKind::VersionConflict
            }
            DbError::Corrupt(_) => ErrorKind::Corrupt,
        }
    }

    /// Too many wait for a connection of one share: the database has not been asked.
    pub fn is_exhaustion(&self) -> bool {
        matches!(self, DbError::PoolExhausted { .. })
    }

    pub fn is_transient(&self) -> bool {
        self.kind().is_transient()
    }

    /// The database has given way to another one, which a new connection may find at once.
    pub fn is_of_another_primary(&self) -> bool {
        matches!(self, DbError::Moved) || self.kind() == ErrorKind::ReadOnly
    }

    /// For an UPDATE that is guarded by versions. Connections count the rows that matched, not
    /// those that changed.
    pub(super) fn unless_all_matched(matched: usize, expected: usize) -> Result<(), DbError> {
        if matched == expected {
            Ok(())
        } else {
            Err(DbError::VersionConflict { expected, matched })
        }
    }
}

impl From<DieselError> for DbError {
    fn from(source: DieselError) -> Self {
        DbError::Database {
            kind: kind_of(&source),
            source,
        }
    }
}

impl From<ConnectionError> for DbError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "diesel may add kinds")]
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::CouldntSetupConfiguration(source) => DbError::Connect {
                kind: kind_of(&source),
                message: source.to_string(),
            },
            ConnectionError::InvalidConnectionUrl(message) => DbError::Connect {
                kind: ErrorKind::Statement,
                message,
            },
            other => DbError::Connect {
                kind: ErrorKind::Unavailable,
                message: other.to_string(),
            },
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "diesel may add kinds")]
pub(super) fn kind_of(error: &DieselError) -> ErrorKind {
    match error {
        DieselError::DatabaseError(kind, information) => match kind {
            DatabaseErrorKind::UniqueViolation => ErrorKind::Duplicate,
            DatabaseErrorKind::ClosedConnection => ErrorKind::ConnectionLost,
            _ => kind_of_text(information.message()),
        },
        DieselError::RollbackErrorOnCommit { commit_error, .. } => kind_of(commit_error),
        DieselError::BrokenTransactionManager => ErrorKind::ConnectionLost,
        DieselError::DeserializationError(_) => ErrorKind::Corrupt,
        _ => ErrorKind::Statement,
    }
}

/// A text of the server: its numbers, where they are known and mean nothing else; how it begins, in
/// English; and what it is.
type Text = (&'static [u16], &'static str, ErrorKind);

/// One table for MySQL and MariaDB. A test goes through the messages of the MySQL in use and finds
/// those that belong here and are not.
const TEXTS: &[Text] = &[
    (
        &[1213],
        "Deadlock found when trying to get lock",
        ErrorKind::Deadlock,
    ),
    // Group replication: another primary was first, or another member had it in its backlog.
    (
        &[3101],
        "Plugin instructed the server to rollback the current transaction",
        ErrorKind::Deadlock,
    ),
    // 1180: the same with several primaries.
    (&[], "Got error 149 ", ErrorKind::Deadlock),
    (&[1205], "Lock wait timeout exceeded", ErrorKind::LockWait), // MariaDB's NOWAIT too
    (
        &[1689],
        "Wait on a lock was aborted due to a pending exclusive lock",
        ErrorKind::LockWait,
    ),
    // A migration of another release ran in between.
    (&[1412], "Table definition has changed", ErrorKind::LockWait),
    (
        &[1615],
        "Prepared statement needs to be re-prepared",
        ErrorKind::LockWait,
    ),
    (
        &[3572],
        "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set",
        ErrorKind::RowLocked,
    ),
    (&[], "Input/output error: ", ErrorKind::ConnectionLost), // the driver's own
    (&[], "Driver error: ", ErrorKind::ConnectionLost),       // the driver's own
    (
        &[1053],
        "Server shutdown in progress",
        ErrorKind::ConnectionLost,
    ),
    (&[], "Connection was killed", ErrorKind::ConnectionLost), // MariaDB's 1927
    (&[3169], "Session was killed", ErrorKind::ConnectionLost),
    (
        &[1152, 1184],
        "Aborted connection ",
        ErrorKind::ConnectionLost,
    ),
    (
        &[1158],
        "Got an error reading communication packets",
        ErrorKind::ConnectionLost,
    ),
    (
        &[1159],
        "Got timeout reading communication packets",
        ErrorKind::ConnectionLost,
    ),
    (
        &[1160],
        "Got an error writing communication packets",
        ErrorKind::ConnectionLost,
    ),
    (
        &[1161],
        "Got timeout writing communication packets",
        ErrorKind::ConnectionLost,
    ),
    (
        &[4031],
        "The client was disconnected by the server",
        ErrorKind::ConnectionLost,
    ),
    // By KILL, as a rule of the whole connection.
    (
        &[1317],
        "Query execution was interrupted",
        ErrorKind::ConnectionLost,
    ),
    // 1290: --read-only, --super-read-only, and what managed servers put there when their disk is
    // full.
    (
        &[],
        "The MySQL server is running with the ",
        ErrorKind::ReadOnly,
    ),
    (
        &[],
        "The MariaDB server is running with the ",
        ErrorKind::ReadOnly,
    ),
    // transaction_read_only
    (
        &[1792],
        "Cannot execute statement in a READ ONLY transaction",
        ErrorKind::ReadOnly,
    ),
    (&[1836], "Running in read-only mode", ErrorKind::ReadOnly),
    (&[1874], "InnoDB is in read only mode", ErrorKind::ReadOnly),
    (
        &[1881],
        "Operation not allowed when innodb_force",
        ErrorKind::ReadOnly,
    ),
    // Group replication, while another primary is elected or made.
    (
        &[],
        "All queries have been blocked while function",
        ErrorKind::ReadOnly,
    ),
    (
        &[],
        "Timeout exceeded for held statement",
        ErrorKind::ReadOnly,
    ),
    (&[], "Held statement ", ErrorKind::ReadOnly),
    (
        &[],
        "This operation cannot be performed on a Group Replication secondary member",
        ErrorKind::ReadOnly,
    ),
    (
        &[1044, 1045, 1227, 1698, 1873, 3118],
        "Access denied",
        ErrorKind::Denied,
    ),
    (&[1820], "You must reset your password", ErrorKind::Denied),
    (&[1862], "Your password has expired", ErrorKind::Denied),
    (
        &[1040],
        "Too many connections",
        ErrorKind::TooManyConnections,
    ),
    (
        &[1461],
        "Can't create more than max_prepared_stmt_count statements",
        ErrorKind::Unavailable,
    ),
    (&[1021], "Disk full (", ErrorKind::Unavailable),
    (&[1026], "Error writing file ", ErrorKind::Unavailable),
    (&[1037, 1041], "Out of memory", ErrorKind::Unavailable),
    (&[1135], "Can't create a new thread", ErrorKind::Unavailable),
    (&[], "Got error 28 ", ErrorKind::Unavailable), // 1030: no space left
    (
        &[1598],
        "Binary logging not possible",
        ErrorKind::Unavailable,
    ),
    (
        &[3032],
        "The server is currently in offline mode",
        ErrorKind::Unavailable,
    ),
    // Group replication: a member that leaves, is not in yet, or has no majority.
    (
        &[],
        "The Group Replication plugin is stopping",
        ErrorKind::Unavailable,
    ),
    (&[], "Error while waiting for ", ErrorKind::Unavailable),
    (
        &[],
        "The option group_replication_consistency cannot be used on the current member state",
        ErrorKind::Unavailable,
    ),
    (
        &[],
        "Group Replication connection handoff is busy",
        ErrorKind::Unavailable,
    ),
    (
        &[3100],
        "Error on observer while running replication hook",
        ErrorKind::Unavailable,
    ),
    // Galera's 1047, which is another error of MySQL.
    (
        &[],
        "WSREP has not yet prepared node",
        ErrorKind::Unavailable,
    ),
];

/// How the texts begin that are told apart, for a test that looks whether the server still has
/// them.
pub fn known_texts() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(_, begin, _)| *begin)
}

/// The kind of an error by its number, which the server tells when it refuses a connection.
pub(super) fn kind_of_number(number: u16) -> Option<ErrorKind> {
    let found = TEXTS
        .iter()
        .find(|(numbers, _, _)| numbers.contains(&number));
    found.map(|(_, _, kind)| *kind)
}

/// The kind of an error that has no number.
pub(super) fn kind_of_text(text: &str) -> ErrorKind {
    if let Some((_, _, kind)) = TEXTS.iter().find(|(_, begin, _)| text.starts_with(begin)) {
        return *kind;
    }
    // 1203 and 1226 begin with the name of the account.
    if text.contains("max_user_connections") || text.contains(" has exceeded the '") {
        return ErrorKind::TooManyConnections;
    }
    // 1142, 1143 and 1370 begin with the name of the command.
    if text.contains(" command denied to user ") {
        return ErrorKind::Denied;
    }
    // 1180 with any other number than 149: the COMMIT of a statement by itself.
    if text.starts_with("Got error ") && text.ends_with("' during COMMIT") {
        return ErrorKind::ConnectionLost;
    }
    // These name what they are about in between.
    let about = |begin: &str, end: &str| text.starts_with(begin) && text.ends_with(end);
    if about("Host '", "' is not allowed to connect to this MySQL server") {
        return ErrorKind::Denied; // 1130
    }
    let is_read_only = about("Table '", "' is read only") // 1036
        || about("Schema '", "' is in read only mode.");
    if is_read_only {
        return ErrorKind::ReadOnly;
    }
    let is_unavailable = about("The table '", "' is full") // 1114
        || about("Create table/tablespace '", "as disk is full")
        // 1129
        || text.starts_with("Host '")
            && text.contains("' is blocked because of many connection errors");
    if is_unavailable {
        return ErrorKind::Unavailable;
    }
    ErrorKind::Statement
}

/// How the server says that what an ALTER TABLE adds is there already, or that what it drops is
/// not.
const ALTERED_TEXTS: &[&str] = &[
    "Duplicate column name", // 1060
    "Duplicate key name",    // 1061
    "Can't DROP",            // 1091
];

/// Of a failed migration, whose error holds the server's text after the migration's name.
pub(super) fn says_it_is_altered(text: &str) -> bool {
    ALTERED_TEXTS.iter().any(|altered| text.contains(altered))
}

/// Of the attempt to connect: the database that is named is not there. Who has no grant on it is
/// told otherwise.
pub(super) fn says_it_is_missing(text: &str) -> bool {
    text.contains("Unknown database '") // 1049
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_refuses_is_not_silent() {
        let told = |kind| DbError::Connect {
            kind,
            message: String::new(),
        };
        let silent = ErrorKind::ALL
            .iter()
            .filter(|kind| told(**kind).is_silence());
        let silent: Vec<&str> = silent.map(|kind| kind.name()).collect();
        assert_eq!(silent, ["connection_lost", "unavailable"]);
        assert!(DbError::TimedOut { waited_ms: 2_000 }.is_silence());
        let crowd = DbError::PoolExhausted { waited_ms: 2_000 };
        assert!(!crowd.is_silence());
    }

    #[test]
    fn only_what_may_succeed_later_is_transient() {
        let transient: Vec<&str> = ErrorKind::ALL
            .iter()
            .filter(|kind| kind.is_transient())
            .map(|c| c.name())
            .collect();
        let expected = [
            "deadlock",
            "lock_wait",
            "row_locked",
            "version_conflict",
            "connection_lost",
            "read_only",
            "denied",
            "too_many_connections",
            "unavailable",
        ];
        assert_eq!(transient, expected);
    }
}
