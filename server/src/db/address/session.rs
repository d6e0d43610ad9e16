//! The beginning of a session with a server, and what the server says of itself then.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::Endpoint;
use crate::db::error::{DbError, ErrorKind};
use crate::db::{Conn, writable};

/// One statement list, sent at once, because a list of init statements would be run in reverse
/// order.
///
/// A dropped transaction that waits for a lock keeps the locks it has until that wait ends: hence
/// the short wait. Errors are told apart by their English texts: hence the messages.
const SESSION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
    SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
    time_zone = '+00:00', lc_messages = 'en_US'";

/// What a session waits for at most, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) struct SessionWaits {
    /// A statement for a lock.
    pub(in crate::db) lock_max: Duration,
    /// The server for the next statement. It ends the session then, and rolls back what is open.
    /// None is as the server has it, which is 8 hours by default.
    pub(in crate::db) statement_max: Option<Duration>,
}

/// On a member of a group, each transaction and each statement outside of one begins behind all
/// that the group has agreed on: a member that was the primary and is cut off, or was asleep while
/// another one was elected, answers nothing, and a new primary answers once it has applied what the
/// old one had committed. `read_only` tells neither.
const OF_GROUP: &str = "SET SESSION group_replication_consistency = 'BEFORE'";

/// The same on a node of Galera, of which each takes writes: what begins waits until the node has
/// applied what the cluster had agreed on by then. 1 is of reads and BEGIN, 2 of UPDATE and DELETE,
/// 4 of INSERT. Within a transaction nothing is waited for.
const OF_GALERA: &str = "SET SESSION wsrep_sync_wait = 7";

/// On a secondary nothing is waited for: how far it is shows in what is read.
const OF_SECONDARY: &str = "SET SESSION group_replication_consistency = 'EVENTUAL'";
const OF_SECONDARY_OF_GALERA: &str = "SET SESSION wsrep_sync_wait = 0";

/// Begins a session at a place, whether it takes writes or not.
pub(super) async fn begin(
    endpoint: &Endpoint,
    waits: SessionWaits,
) -> Result<(Conn, ReplicationState), DbError> {
    begin_with(endpoint, waits, (OF_GROUP, OF_GALERA)).await
}

/// Begins a session for reads that may be old.
pub(super) async fn begin_at_secondary(
    endpoint: &Endpoint,
    waits: SessionWaits,
) -> Result<(Conn, ReplicationState), DbError> {
    let (conn, replication) =
        begin_with(endpoint, waits, (OF_SECONDARY, OF_SECONDARY_OF_GALERA)).await?;
    if replication.commits_out_of_order {
        return Err(DbError::Connect {
            kind: ErrorKind::Statement,
            message: "it commits in another order than its primary (replica_preserve_commit_order=OFF): what it \
                      shows would say nothing of what it lacks"
                .to_owned(),
        });
    }
    Ok((conn, replication))
}

async fn begin_with(
    endpoint: &Endpoint,
    waits: SessionWaits,
    (of_group, of_galera): (&str, &str),
) -> Result<(Conn, ReplicationState), DbError> {
    let mut conn = endpoint.connect().await?;
    let SessionWaits {
        lock_max,
        statement_max,
    } = waits;
    let mut session = format!(
        "{SESSION}, innodb_lock_wait_timeout = {}",
        lock_max.as_secs()
    );
    if let Some(statement_max) = statement_max {
        session.push_str(&format!(", wait_timeout = {}", statement_max.as_secs()));
    }
    conn.batch_execute(&session).await?;
    let replication = ReplicationState::read(&mut conn).await?;
    if replication.may_be_of_group {
        conn.batch_execute(of_group).await?;
    }
    if replication.is_of_galera {
        conn.batch_execute(of_galera).await?;
    }
    Ok((conn, replication))
}

/// Begins a session at a place that takes writes, as far as anybody can say: a member of a group
/// has asked the others.
pub(super) async fn begin_at_primary(
    endpoint: &Endpoint,
    waits: SessionWaits,
) -> Result<(Conn, ReplicationState), DbError> {
    let (mut conn, replication) = begin(endpoint, waits).await?;
    let asks_others = replication.may_be_of_group || replication.is_of_galera;
    if asks_others {
        // What asks the others is the beginning of a transaction.
        conn.batch_execute("BEGIN").await?;
    }
    writable::check(&mut conn).await?;
    if asks_others {
        conn.batch_execute("ROLLBACK").await?;
    }
    Ok((conn, replication))
}

/// The number of statements of a transaction that a server takes in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PerMessage {
    Many,
    /// On a node of Galera. Where a transaction has to give way to another one between two
    /// statements of a message, MariaDB rolls it back and goes on with the next statement, which
    /// commits by itself; the message is answered OK, and so is COMMIT. Of one statement alone the
    /// answer is the error.
    One,
}

/// The state of a server among those that replicate the same data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicationState {
    /// It has the plugin of Group Replication.
    may_be_of_group: bool,
    /// It is a node of Galera.
    is_of_galera: bool,
    /// As a replica it applies several transactions at once, and commits them as they come.
    commits_out_of_order: bool,
    /// Why more than one member takes writes, if that is so.
    pub several_writers: Option<&'static str>,
}

impl ReplicationState {
    /// How many statements go in one message of a transaction.
    pub(in crate::db) fn per_message(&self) -> PerMessage {
        if self.is_of_galera {
            PerMessage::One
        } else {
            PerMessage::Many
        }
    }

    /// Asks without any grant, and on servers that know none of these settings.
    pub async fn read(conn: &mut Conn) -> Result<Self, DbError> {
        const QUERY: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
            ('group_replication_group_name', 'group_replication_single_primary_mode', 'wsrep_on', \
             'replica_parallel_workers', 'replica_preserve_commit_order')";
        let found: Vec<Variable> = diesel::sql_query(QUERY).load(conn).await?;
        let pairs = found.iter();
        Ok(Self::of(
            pairs.map(|found| (found.name.as_str(), found.value.as_str())),
        ))
    }

    fn of<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut group_name, mut single_primary, mut galera) = (None, true, false);
        let (mut is_parallel, mut keeps_order) = (false, true);
        for (name, value) in variables {
            match name {
                "group_replication_group_name" => group_name = Some(value),
                "group_replication_single_primary_mode" => single_primary = value != "OFF",
                "wsrep_on" => galera = value == "ON",
                "replica_parallel_workers" => is_parallel = !matches!(value, "0" | "1"),
                "replica_preserve_commit_order" => keeps_order = value != "OFF",
                _ => {}
            }
        }
        let is_named = group_name.is_some_and(|name| !name.is_empty());
        let several_writers = if is_named && !single_primary {
            Some("its group has several primaries (group_replication_single_primary_mode=OFF)")
        } else if galera {
            Some("it is a node of Galera, all of which take writes (wsrep_on=ON)")
        } else {
            None
        };
        Self {
            may_be_of_group: group_name.is_some(),
            is_of_galera: galera,
            commits_out_of_order: is_parallel && !keeps_order,
            several_writers,
        }
    }
}

#[derive(Debug, QueryableByName)]
struct Variable {
    #[diesel(sql_type = Text, column_name = "Variable_name")]
    name: String,
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_commits_in_another_order_is_recognised() {
        const SEVERAL: (&str, &str) = ("replica_parallel_workers", "4");
        const ONE: (&str, &str) = ("replica_parallel_workers", "1");
        const KEEPS: (&str, &str) = ("replica_preserve_commit_order", "ON");
        const LEAVES: (&str, &str) = ("replica_preserve_commit_order", "OFF");
        let of = |variables: &[(&'static str, &'static str)]| {
            ReplicationState::of(variables.iter().copied()).commits_out_of_order
        };
        assert!(of(&[SEVERAL, LEAVES]));
        assert!(!of(&[SEVERAL, KEEPS]) && !of(&[ONE, LEAVES]) && !of(&[]));
    }

    #[test]
    fn several_writers_are_recognised() {
        const NAME: (&str, &str) = (
            "group_replication_group_name",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562",
        );
        const UNNAMED: (&str, &str) = ("group_replication_group_name", "");
        const SINGLE: (&str, &str) = ("group_replication_single_primary_mode", "ON");
        const MULTI: (&str, &str) = ("group_replication_single_primary_mode", "OFF");
        let of = |variables: &[(&'static str, &'static str)]| {
            let replication = ReplicationState::of(variables.iter().copied());
            (
                replication.may_be_of_group,
                replication.several_writers.is_some(),
            )
        };
        assert_eq!(of(&[]), (false, false), "a server by itself");
        assert_eq!(of(&[NAME, SINGLE]), (true, false));
        assert_eq!(of(&[NAME, MULTI]), (true, true));
        assert_eq!(of(&[UNNAMED, MULTI]), (true, false), "it is in no group");
        assert_eq!(of(&[("wsrep_on", "ON")]), (false, true));
        assert!(ReplicationState::of([("wsrep_on", "ON")].into_iter()).is_of_galera);
        assert_eq!(of(&[("wsrep_on", "OFF")]), (false, false), "MariaDB alone");
    }

    #[test]
    fn a_node_of_galera_takes_one_statement_in_a_message() {
        let of = |pair| ReplicationState::of([pair].into_iter()).per_message();
        assert_eq!(of(("wsrep_on", "ON")), PerMessage::One);
        assert_eq!(of(("wsrep_on", "OFF")), PerMessage::Many);
    }
}
