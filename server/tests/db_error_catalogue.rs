//! Every message that the MySQL in use can send, compared with those that are told apart: a new
//! release that words one otherwise, or has one more, shows here.

mod common;

use belay_server::db::{DbError, ErrorKind};
use common::root;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::RunQueryDsl;

/// What a message has in it that may be about the state of a server and not about a statement.
const SUSPECT: &[&str] = &[
    "read-only",
    "read only",
    "shutdown",
    "shutting down",
    "killed",
    "interrupted",
    "aborted",
    "offline mode",
    "too many connections",
    "max_user_connections",
    "group replication",
    "held statement",
    "consistency",
    "deadlock",
    "lock wait",
    "wait on a lock",
    "nowait",
    "disk full",
    "disk is full",
    "table is full",
    "is full",
    "no space",
    "out of memory",
    "new thread",
    "password has expired",
    "must reset your password",
    "is locked",
    "account is",
    "denied",
    "disconnected",
    "communication packets",
    "timed out",
    "timeout",
    "is stopping",
    "handoff",
    "retry",
    "try again",
    "is blocked",
    "not allowed to connect",
    "exceeded the",
    "during commit",
    "replication hook",
    "rollback the current",
    "definition has changed",
    "re-prepared",
    "max_prepared_stmt_count",
];

/// What looks like it and is none, by how it begins: what no statement of Belay can meet, and what
/// is the statement's own fault.
const NOT_MET: &[(&str, &[&str])] = &[
    (
        "of DDL, of tools and of settings, which `belay` has none of",
        &[
            "'x' is locked against change",
            "Sort aborted",
            "x: Normal shutdown",
            "x: Shutdown complete",
            "INSERT DELAYED",
            "Plugin is busy",
            "x variable 'x' is read-only",
            "debug sync point",
            "Inconsistency in usage of column lists",
            "Creating index ",
            "Updating 'x' is deprecated",
            "Variables cannot be persisted",
            "Concurrent DDL is performed",
            "Redo log archiving",
            "Cannot perform operation as InnoDB",
            "Cannot change the 'x' system variable",
            "Changing @@",
            "The x was called when",
            "The column data that needed",
            "Language component",
            "Bulk Sorting Loader",
            "Bulk Loader",
            "Column x of x : Out of memory",
            "Aborted by Audit API",
            "Statement was aborted by an audit log",
            "The 'x' filter is invalid",
            "Service lock wait timeout",
        ],
    ),
    (
        "of replication as its operators set it up",
        &[
            "The requested value for the heartbeat",
            "CHANGE REPLICATION SOURCE",
            "Replica must silently retry",
            "Query partially completed on the source",
            "Cannot set ENFORCE_GTID",
            "There are ongoing transactions",
            "GTID_MODE = ON requires",
            "Cannot stop the replica",
            "Cannot update GTID_PURGED",
            "This operation cannot be performed while Group",
            "Unable to propagate",
            "When configuring a group",
            "On a Group Replication channel",
            "The START GROUP_REPLICATION",
            "The STOP GROUP_REPLICATION",
        ],
    ),
    (
        "of statements that `belay` does not make: XA, locks of a user's, temporary tables, expressions",
        &[
            "XAER_RMERR",
            "XA_RBTIMEOUT",
            "XA_RBDEADLOCK",
            "The resource manager is not able",
            "Deadlock found when trying to get user-level",
            "Deadlock found when trying to get locking service",
            "Statement violates GTID",
            "Statement is unsafe",
            "Select is not a read only",
            "Analysis procedures",
            "Recursive query",
            "Timeout exceeded in regular",
            "Invalid JSON duality",
            "Read-only subobject",
            "Path 'x' references a READ-ONLY",
        ],
    ),
    (
        "too large, however often it is repeated",
        &[
            "Multi-statement transaction required more",
            "Multi-row statements required more",
            "The size of writeset data",
        ],
    ),
];

/// Those of them that are not in MySQL's catalogue, or not so: the driver's, MariaDB's, and those
/// that begin with a number where the catalogue has a place for it.
const NOT_OF_MYSQL: &[&str] = &[
    "Input/output error: ",
    "Driver error: ",
    "Connection was killed",
    "The MariaDB server is running with the ",
    "WSREP has not yet prepared node",
    "Got error 149 ",
    "Got error 28 ",
];

#[derive(diesel::QueryableByName)]
struct Folder {
    #[diesel(sql_type = diesel::sql_types::Text)]
    folder: String,
}

/// The messages in English, as the server reads them: behind a head of 32 bytes, which has their
/// number at 10, where each begins, then all of them with a zero behind each. Those of the log are
/// left out.
async fn messages() -> Vec<String> {
    let query = "SELECT @@GLOBAL.lc_messages_dir AS folder";
    let found: Folder = diesel::sql_query(query)
        .get_result(&mut root().await)
        .await
        .unwrap();
    let file = std::path::Path::new(&found.folder).join("english/errmsg.sys");
    let bytes = std::fs::read(&file).unwrap_or_else(|error| {
        panic!("the MySQL of these tests is on this machine: {file:?}: {error}")
    });
    let count = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
    let texts = 32 + 4 * count;
    let text = |index: usize| {
        let at = 32 + 4 * index;
        let begin: [u8; 4] = bytes[at..at + 4].try_into().unwrap();
        let begin = texts + usize::try_from(u32::from_le_bytes(begin)).unwrap();
        let end = begin + bytes[begin..].iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8_lossy(&bytes[begin..end])
            .trim()
            .to_owned()
    };
    let all = (0..count).map(text);
    all.take_while(|text| !text.starts_with("Parser saw")) // the first of the log
        .map(|text| filled(&text))
        .collect()
}

/// With an `x` wherever the server puts something in.
fn filled(text: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, place)) = rest.split_once('%') {
        filled.push_str(before);
        let end = place.find(|sign: char| !"0123456789.*-l".contains(sign));
        match end.map(|end| place.split_at(end)) {
            Some((_, place)) if place.starts_with(['s', 'd', 'u', 'c', 'i']) => {
                filled.push('x');
                rest = &place[1..];
            }
            Some(_) | None => {
                filled.push('%');
                rest = place;
            }
        }
    }
    filled + rest
}

fn kind_of(text: &str) -> ErrorKind {
    let information = Box::new(text.to_owned());
    DbError::from(DieselError::DatabaseError(
        DatabaseErrorKind::Unknown,
        information,
    ))
    .kind()
}

#[tokio::test]
async fn every_message_about_the_state_of_a_server_is_told_apart() {
    let messages = messages().await;
    assert!(messages.len() > 1_000, "{} messages", messages.len());
    let is_met = |text: &&String| {
        let of = NOT_MET.iter().flat_map(|(_, begin)| *begin);
        !of.into_iter().any(|begin| text.starts_with(begin))
    };
    let is_suspect = |text: &&String| {
        let text = text.to_lowercase();
        SUSPECT.iter().any(|word| text.contains(word))
    };
    let suspects = messages.iter().filter(is_suspect).filter(is_met);
    let unknown: Vec<&String> = suspects
        .filter(|text| kind_of(text) == ErrorKind::Statement)
        .collect();
    assert!(
        unknown.is_empty(),
        "these are told to callers as defects: {unknown:#?}"
    );
}

#[tokio::test]
async fn every_text_that_is_told_apart_is_one_of_the_servers() {
    let messages = messages().await;
    let is_there = |begin: &&str| {
        NOT_OF_MYSQL.contains(begin) || messages.iter().any(|text| text.starts_with(*begin))
    };
    let gone: Vec<&str> = belay_server::db::error::known_texts()
        .filter(|begin| !is_there(begin))
        .collect();
    assert!(
        gone.is_empty(),
        "this MySQL words these otherwise: {gone:#?}"
    );
}

/// What a cluster says while it changes, as each was met.
#[test]
fn what_a_changing_cluster_says_is_no_defect() {
    for (text, kind) in [
        (
            "All queries have been blocked while function 'group_replication_set_as_primary()' is executing.",
            ErrorKind::ReadOnly,
        ),
        (
            "Timeout exceeded for held statement while new Group Replication primary member is applying backlog.",
            ErrorKind::ReadOnly,
        ),
        (
            "Held statement aborted because Group Replication plugin got shut down or thread was killed while new primary member was applying backlog.",
            ErrorKind::ReadOnly,
        ),
        (
            "Held statement was aborted due to member being in error state, while backlog is being applied during Group Replication primary election.",
            ErrorKind::ReadOnly,
        ),
        (
            "Error on observer while running replication hook 'before_commit'.",
            ErrorKind::Unavailable,
        ),
        (
            "Plugin instructed the server to rollback the current transaction.",
            ErrorKind::Deadlock,
        ),
        (
            "Got error 149 - 'Lock deadlock; Retry transaction' during COMMIT",
            ErrorKind::Deadlock,
        ),
        (
            "Got error 1 - 'Operation not permitted' during COMMIT",
            ErrorKind::ConnectionLost,
        ),
        (
            "The MySQL server is running with the --super-read-only option so it cannot execute this statement",
            ErrorKind::ReadOnly,
        ),
        (
            "WSREP has not yet prepared node for application use",
            ErrorKind::Unavailable,
        ),
        (
            "Lock wait timeout exceeded; try restarting transaction",
            ErrorKind::LockWait,
        ),
        ("Session was killed", ErrorKind::ConnectionLost),
    ] {
        assert_eq!(kind_of(text), kind, "{text}");
    }
}
