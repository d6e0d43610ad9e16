//! Connections, and the guard that keeps a half-read one from being used again.
//!
//! A connection whose statement was dropped before its end still has that statement's rows on the
//! way: whoever uses it next gets *the other caller's rows*. Futures are dropped all the time,
//! whenever a caller hangs up. So a connection that was taken out returns to the pool only when its
//! user says that the work has ended ([`Checkout::finish`]); in all other cases it is closed.
//! `tests/db_pool.rs` shows both the fault and the cure.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, TimeoutType};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use futures_util::future::try_join_all;
use secrecy::SecretString;

use super::Conn;
use super::address::{Address, PerMessage, Primary, SessionWaits};
use super::error::{DbError, ErrorKind};
use super::spans::StatementSpans;
use crate::outage::Notes;
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Queue;

/// How long somebody waits for a free connection.
pub const CONNECTION_WAIT_DEFAULT: Duration = Duration::from_secs(2);
/// A connection that was used this recently is taken to be alive; a longer idle one is asked first.
const PING_AFTER: Duration = Duration::from_secs(5);
/// A connection that nobody wanted for this long is closed, before the database closes it.
const IDLE_MAX: Duration = Duration::from_secs(20);
/// How often the pool is searched for connections to close.
const REAP_EVERY: Duration = Duration::from_secs(5);

/// How long a statement waits for a lock; see `address::session`.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long the database waits for the next statement of a connection of a pool. Long beside what a
/// server does between two statements of a transaction, and short for those who wait for what that
/// transaction holds.
const STATEMENT_WAIT_MAX: Duration = Duration::from_secs(30);

/// The settings of a pool.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Most connections at the same time.
    pub size: usize,
    /// How long a caller waits for a free connection.
    pub wait_max: Duration,
    /// How long connecting may take.
    pub create_max: Duration,
    /// How long an idle connection may take to say that it is alive.
    pub recycle_max: Duration,
    /// A connection older than this is closed when it is idle, so that connections find their way
    /// to a new primary.
    pub age_max: Duration,
    /// How long a statement waits for a lock, in whole seconds; more only for tests.
    pub lock_wait_max: Duration,
    /// How long the database waits for the next statement of a connection, in whole seconds; less
    /// only for tests. Then it ends the connection and rolls back what is open on it: of a server
    /// that is gone without a word, or is frozen, it would not hear, and keep its locks.
    pub statement_wait_max: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            size: 16,
            wait_max: CONNECTION_WAIT_DEFAULT,
            create_max: Duration::from_secs(5),
            recycle_max: Duration::from_secs(2),
            age_max: Duration::from_secs(3600),
            lock_wait_max: LOCK_WAIT_MAX,
            statement_wait_max: STATEMENT_WAIT_MAX,
        }
    }
}

/// Connects outside any pool, for what runs alone, and may be still for as long as another of its
/// connections works: migrations.
pub async fn connect(url: &SecretString) -> Result<Conn, DbError> {
    let waits = SessionWaits {
        lock_max: LOCK_WAIT_MAX,
        statement_max: None,
    };
    Ok(Address::parse(url)?.connect(waits).await?.0)
}

/// A connection of a pool, and what is known of its server.
struct Session {
    conn: Conn,
    per_message: PerMessage,
}

struct Manager {
    address: Address,
    waits: SessionWaits,
    telemetry: Telemetry,
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = DbError;

    async fn create(&self) -> Result<Session, DbError> {
        let (mut conn, standing) = self.address.connect(self.waits).await?;
        conn.set_instrumentation(StatementSpans::new());
        let per_message = standing.per_message();
        Ok(Session { conn, per_message })
    }

    async fn recycle(
        &self,
        session: &mut Session,
        metrics: &Metrics,
    ) -> managed::RecycleResult<DbError> {
        let conn = &mut session.conn;
        if conn.is_broken() {
            return Err(RecycleError::message("it has an open transaction"));
        }
        if self.address.primary().is_outdated(metrics.created) {
            return Err(RecycleError::message("its database has given way"));
        }
        if metrics.last_used() > PING_AFTER {
            conn.batch_execute("DO 0").await.map_err(DbError::from)?;
        }
        Ok(())
    }
}

/// A bounded set of connections to one database. Cloning it is cheap and shares it.
#[derive(Clone)]
pub struct Pool {
    inner: managed::Pool<Manager>,
    notes: Arc<Notes>,
    wait_max: Duration,
    create_max: Duration,
    age_max: Duration,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// The status of a pool: its connections, and how many wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// Most at the same time.
    pub max: usize,
    pub used: usize,
    pub idle: usize,
    pub waiting: usize,
}

impl Pool {
    /// A pool for `mysql://user:password@host:port/database`. Connects to nothing yet; see
    /// [`Pool::warm`].
    pub fn new(url: &SecretString, settings: PoolSettings) -> Result<Self, DbError> {
        Self::told(url, settings, Telemetry::local())
    }

    /// [`Self::new`], with a count of those who found no connection.
    pub fn told(
        url: &SecretString,
        settings: PoolSettings,
        telemetry: Telemetry,
    ) -> Result<Self, DbError> {
        Self::at(Address::parse(url)?, settings, telemetry)
    }

    /// [`Self::told`]; pools of one address know of each other where the primary is.
    pub(super) fn at(
        address: Address,
        settings: PoolSettings,
        telemetry: Telemetry,
    ) -> Result<Self, DbError> {
        let refused = |message: String| DbError::Connect {
            kind: ErrorKind::Statement,
            message,
        };
        let builder = managed::Pool::builder(Manager {
            address,
            waits: SessionWaits {
                lock_max: settings.lock_wait_max,
                statement_max: Some(settings.statement_wait_max),
            },
            telemetry,
        })
        .max_size(settings.size)
        .wait_timeout(Some(settings.wait_max))
        .create_timeout(Some(settings.create_max))
        .recycle_timeout(Some(settings.recycle_max))
        // The connection that was used last is the likeliest to be alive, and has its statements
        // prepared.
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1);
        let inner = builder
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let PoolSettings {
            wait_max,
            create_max,
            age_max,
            ..
        } = settings;
        Ok(Self {
            inner,
            notes: Arc::default(),
            wait_max,
            create_max,
            age_max,
        })
    }

    /// Opens all connections, so that the first callers don't wait for them and a wrong URL shows
    /// at once.
    pub async fn warm(&self) -> Result<(), DbError> {
        let size = self.inner.status().max_size;
        let all = try_join_all((0..size).map(|_| self.checkout())).await?;
        all.into_iter().for_each(Checkout::finish);
        Ok(())
    }

    /// Waits for a connection, not longer than [`PoolSettings::wait_max`].
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub async fn checkout(&self) -> Result<Checkout, DbError> {
        let error = match self.inner.get().await {
            Ok(object) => {
                return Ok(Checkout {
                    object: Some(object),
                    notes: self.notes.clone(),
                });
            }
            Err(PoolError::Backend(error)) => error,
            // All are in the hands of those who wait for the database.
            Err(PoolError::Timeout(TimeoutType::Wait)) if self.is_silent() => DbError::Connect {
                kind: ErrorKind::Unavailable,
                message: "no connection was free, and the database does not answer".to_owned(),
            },
            // No failure of the database: it is counted, and the caller comes back.
            Err(PoolError::Timeout(TimeoutType::Wait)) => {
                self.shed();
                return Err(DbError::PoolExhausted {
                    waited_ms: self.wait_max.as_millis(),
                });
            }
            Err(other) => DbError::Connect {
                kind: ErrorKind::Unavailable,
                message: other.to_string(),
            },
        };
        self.notes.note("a connection", &error);
        Err(error)
    }

    /// Somebody has waited for a connection in vain.
    pub(crate) fn shed(&self) {
        self.inner.manager().telemetry.metrics.shed(Queue::Pool);
    }

    /// The same pool, whose failures are noted there.
    #[must_use]
    pub fn noting(self, notes: Arc<Notes>) -> Self {
        Self { notes, ..self }
    }

    /// A connection that is not the pool's, for what must not wait for others: the look at the
    /// database's health.
    pub async fn connect_beside(&self) -> Result<Conn, DbError> {
        let manager = self.inner.manager();
        let waits = SessionWaits {
            lock_max: LOCK_WAIT_MAX,
            ..manager.waits
        };
        let connecting = manager.address.connect(waits);
        let connected = tokio::time::timeout(self.create_max, connecting).await;
        match connected {
            Ok(connected) => Ok(connected?.0),
            Err(_) => Err(DbError::TimedOut {
                waited_ms: self.create_max.as_millis(),
            }),
        }
    }

    /// A connection was silent for longer than any may be: its database may have gone without a
    /// word, and those that there are lead to the same one. All are closed when they are next
    /// wanted.
    pub(crate) fn outdate(&self) {
        self.primary().outdate_all();
    }

    /// A look at the database has come to this; all pools of its address know it then.
    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.primary().set_silent(is_silent);
    }

    /// Whether the last look at the database got no answer.
    pub(crate) fn is_silent(&self) -> bool {
        self.primary().is_silent()
    }

    fn primary(&self) -> &Primary {
        self.inner.manager().address.primary()
    }

    /// What fails because the database does is noted here.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    pub fn status(&self) -> PoolStatus {
        let status = self.inner.status();
        PoolStatus {
            max: status.max_size,
            used: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }

    /// Closes idle and old connections now and then, for as long as the pool is used. To be
    /// spawned.
    pub fn reaper(&self) -> impl Future<Output = ()> + Send + 'static {
        let (pool, age_max) = (self.inner.weak(), self.age_max);
        async move {
            loop {
                tokio::time::sleep(REAP_EVERY).await;
                let Some(pool) = pool.upgrade() else { return };
                let _ = pool
                    .retain(|_, metrics| metrics.age() < age_max && metrics.last_used() < IDLE_MAX);
            }
        }
    }
}

/// A connection in somebody's hands. Dropping it closes it; [`Checkout::finish`] returns it.
#[must_use]
pub struct Checkout {
    object: Option<Object<Manager>>,
    notes: Arc<Notes>,
}

impl Checkout {
    /// The work has ended: every future on this connection was driven to its end. With a
    /// transaction still open it is closed all the same.
    pub fn finish(mut self) {
        if !self.is_broken()
            && let Some(object) = self.object.take()
        {
            drop(object);
        }
    }

    /// How many statements it takes in one message of a transaction.
    pub fn per_message(&self) -> PerMessage {
        self.session().per_message
    }

    fn session(&self) -> &Session {
        self.object.as_ref().expect("it is taken only at the end")
    }

    /// The work has ended with this result; an error that ends the connection closes it.
    pub fn finish_with<T>(self, result: Result<T, DbError>) -> Result<T, DbError> {
        match &result {
            Err(error) if error.kind().ends_connection() => {
                self.notes.note("work on a connection", error);
                self.close_after(error);
            }
            Ok(_) | Err(_) => self.finish(),
        }
        result
    }

    /// Fails once the database has another primary than the one this connection leads to. A server
    /// that has fallen silent, or is leaving its group, may keep an answer for as long as it likes.
    /// To be raced with work on the connection, which is closed if it loses.
    pub fn gone(&self) -> impl Future<Output = DbError> + Send + use<> {
        let moved = self.object.as_ref().and_then(|object| {
            let made_at = Object::metrics(object).created;
            let pool = Object::pool(object)?;
            Some(pool.manager().address.primary().moved_after(made_at))
        });
        async move {
            match moved {
                Some(moved) => moved.await,
                None => std::future::pending().await,
            }
            DbError::Moved
        }
    }

    /// Closes it after an error. Where its server takes no writes, so do the other connections that
    /// were made before: they lead to the same one.
    pub(crate) fn close_after(self, error: &DbError) {
        let Some(object) = &self.object else { return };
        if error.kind() == ErrorKind::ReadOnly
            && let Some(pool) = Object::pool(object)
        {
            let primary = pool.manager().address.primary();
            primary.outdate(Object::metrics(object).created);
            pool.retain(|_, metrics| !primary.is_outdated(metrics.created));
        }
    }
}

impl fmt::Debug for Checkout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Checkout")
    }
}

impl Deref for Checkout {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.session().conn
    }
}

impl DerefMut for Checkout {
    fn deref_mut(&mut self) -> &mut Conn {
        let session = self.object.as_mut();
        &mut session.expect("it is taken only at the end").conn
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_not_shown() {
        let pool = Pool::new(
            &SecretString::from("mysql://u:hunter2@h/d"),
            PoolSettings::default(),
        );
        assert!(!format!("{pool:?}").contains("hunter2"));
        let refused = Pool::new(
            &SecretString::from("postgres://u:hunter2@h/d"),
            PoolSettings::default(),
        )
        .unwrap_err();
        assert!(!format!("{refused:?} {refused}").contains("hunter2"));
    }

    #[tokio::test]
    async fn who_finds_no_connection_to_a_silent_database_is_told_of_that() {
        let settings = PoolSettings {
            size: 0,
            wait_max: Duration::from_millis(1),
            ..PoolSettings::default()
        };
        let pool = Pool::new(&SecretString::from("mysql://u@h/d"), settings).unwrap();
        for (is_silent, is_crowd) in [(false, true), (true, false), (false, true)] {
            pool.set_silent(is_silent);
            let told = pool.checkout().await.unwrap_err();
            assert_eq!(told.is_exhaustion(), is_crowd, "{told}");
            assert_eq!(told.kind(), ErrorKind::Unavailable);
        }
    }
}
