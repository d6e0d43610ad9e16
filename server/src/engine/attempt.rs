//! One attempt at a batch: its transaction, from the connection to COMMIT, and why it failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use belay_domain::chain::ChainKey;
use belay_domain::context::StoreConfig;
use belay_domain::ids::{Partitions, StoreId};
use belay_domain::store::ACTIVATION_LEAD;
use opentelemetry::trace::Status;
use opentelemetry_semantic_conventions::attribute;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::EngineSettings;
use super::batch::{self, AskRequests, BatchContext, Done};
use super::heads::KnownHeads;
use super::queued::QueuedCommand;
use crate::db::clock::Clock;
use crate::db::orders::OnLocked;
use crate::db::pool::{Checkout, Pool};
use crate::db::transaction;
use crate::db::{DbError, ErrorKind, unless_gone};
use crate::feed::Feed;
use crate::store_cache::StoreCache;
use crate::telemetry::Telemetry;
use crate::telemetry::metrics::Retry;
use crate::telemetry::traces::{self, SPANS};

/// The reason why an attempt failed.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// Some order of the batch is locked by somebody else.
    Locked,
    /// Nothing was committed and a repetition may well be.
    Transient(DbError),
    /// A row that must be new is there: some command was decided before, or another server has
    /// created its order in between. Nothing was committed, and who asks first finds out.
    Repeated(DbError),
    /// COMMIT was sent and its answer lost.
    Unknown(DbError),
    /// The database refuses something that one of the commands wants.
    Poison(DbError),
    /// The reference data grew old while the transaction waited.
    Stale,
}

/// The means of an attempt, whichever batch it is for.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) pool: Pool,
    pub(super) telemetry: Telemetry,
    pub(super) database_wait_max: Duration,
    stores: StoreCache,
    feed: Feed,
    partitions: Partitions,
    clock: Clock,
    chain_key: ChainKey,
    heads: KnownHeads,
}

impl Attempts {
    pub(super) fn new(
        pool: Pool,
        stores: StoreCache,
        feed: Feed,
        settings: &EngineSettings,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            pool,
            telemetry,
            database_wait_max: settings.database_wait_max,
            stores,
            feed,
            partitions: settings.partitions,
            clock: settings.clock,
            chain_key: settings.chain_key,
            heads: KnownHeads::default(),
        }
    }

    /// One transaction for all these commands, or two: another server may have moved a head that
    /// this one remembers, and by the second one it is not remembered any more.
    pub(super) async fn run(
        &self,
        commands: &[QueuedCommand],
        on_locked: OnLocked,
        ask_requests: AskRequests,
    ) -> Result<Done, AttemptError> {
        let ran = self.run_once(commands, on_locked, ask_requests).await;
        let Err(moved @ AttemptError::Transient(DbError::HeadsMoved)) = ran else {
            return ran;
        };
        self.telemetry.metrics.retried(moved.retry());
        self.run_once(commands, on_locked, ask_requests).await
    }

    /// One transaction for all these commands. A connection that is half-open would hold its lane
    /// for as long as nobody tells us that the other end is gone; so each half of the work has its
    /// time. What is given up is dropped with its connection.
    async fn run_once(
        &self,
        commands: &[QueuedCommand],
        on_locked: OnLocked,
        ask_requests: AskRequests,
    ) -> Result<Done, AttemptError> {
        let span = traces::within(|| {
            tracing::info_span!(
                target: SPANS,
                "engine.transaction",
                belay.batch.size = traces::count(commands.len()),
            )
        });
        let begun = Instant::now();
        let outcome = self
            .transaction(commands, on_locked, ask_requests)
            .instrument(span.clone())
            .await;
        let name = match &outcome {
            Ok(_) => "committed",
            Err(failure) => failure.retry().name(),
        };
        let metrics = &self.telemetry.metrics;
        metrics.transaction_ended(name, begun.elapsed());
        span.set_attribute("belay.transaction.outcome", name);
        if outcome.is_err() {
            span.set_attribute(attribute::ERROR_TYPE, name);
            span.set_status(Status::error(name));
        }
        outcome
    }

    async fn transaction(
        &self,
        commands: &[QueuedCommand],
        on_locked: OnLocked,
        ask_requests: AskRequests,
    ) -> Result<Done, AttemptError> {
        let decided = timeout(
            self.database_wait_max,
            self.decide_and_write(commands, on_locked, ask_requests),
        )
        .await;
        let (mut connection, mut done) =
            decided.unwrap_or_else(|_| Err(AttemptError::Transient(self.timed_out())))?;
        let gone = connection.gone();
        let commit = unless_gone(gone, transaction::commit(&mut connection));
        match timeout(self.database_wait_max, commit).await {
            Ok(Ok(())) => {
                connection.finish();
                let heads = std::mem::take(&mut done.heads);
                self.heads.learn(heads, done.were_expected);
                self.feed.committed(std::mem::take(&mut done.events));
                Ok(done)
            }
            Ok(Err(error)) => {
                connection.close_after(&error);
                Err(AttemptError::Unknown(error))
            }
            Err(_) => Err(AttemptError::Unknown(self.timed_out())),
        }
    }

    /// The database was silent for too long, as one that is cut off is.
    pub(super) fn timed_out(&self) -> DbError {
        self.pool.outdate();
        DbError::TimedOut {
            waited_ms: self.database_wait_max.as_millis(),
        }
    }

    /// All of a transaction but its COMMIT.
    async fn decide_and_write(
        &self,
        commands: &[QueuedCommand],
        on_locked: OnLocked,
        ask_requests: AskRequests,
    ) -> Result<(Checkout, Done), AttemptError> {
        let (configs, read_at) = self.latest_configs(commands);
        let mut connection = self
            .pool
            .checkout()
            .await
            .map_err(AttemptError::Transient)?;
        let gone = connection.gone();
        let context = BatchContext {
            configs: &configs,
            partitions: self.partitions,
            clock: self.clock,
            chain_key: self.chain_key,
            ask_requests,
            heads: &self.heads,
            per_message: connection.per_message(),
        };
        let work = async {
            transaction::begin_write(&mut connection).await?;
            batch::decide_and_write(&mut connection, commands, on_locked, context).await
        };
        match unless_gone(gone, work).await {
            // A policy may have begun that these decisions know nothing of.
            Ok(_) if read_at.is_some_and(|read_at| read_at.elapsed() >= ACTIVATION_LEAD) => {
                Err(AttemptError::Stale)
            }
            Ok(done) => Ok((connection, done)),
            Err(error @ DbError::Moved) => Err(AttemptError::Transient(error)),
            Err(error) => {
                if matches!(error, DbError::HeadsMoved) {
                    self.heads.mistaken();
                }
                // A connection that cannot even roll back is dropped with its transaction. So is
                // one to a server that takes no writes: there may be another by now.
                let is_rolled_back = transaction::rollback(&mut connection).await.is_ok();
                if is_rolled_back && !error.kind().ends_connection() {
                    connection.finish();
                } else {
                    connection.close_after(&error);
                }
                Err(AttemptError::of(error))
            }
        }
    }

    /// The reference data of the stores in a batch, and when the oldest of it was read.
    fn latest_configs(
        &self,
        commands: &[QueuedCommand],
    ) -> (HashMap<StoreId, Arc<StoreConfig>>, Option<Instant>) {
        let mut configs = HashMap::new();
        let mut oldest: Option<Instant> = None;
        for command in commands {
            let store = &command.submission.store;
            if !configs.contains_key(&store.id) {
                // Only a store that nobody used for long is not there; its command has brought what
                // it read.
                let (latest, read_at) = self
                    .stores
                    .latest(&store.id)
                    .unwrap_or_else(|| (store.clone(), Instant::now()));
                oldest = Some(oldest.map_or(read_at, |oldest| oldest.min(read_at)));
                configs.insert(store.id.clone(), latest);
            }
        }
        (configs, oldest)
    }
}

impl AttemptError {
    /// The label under which metrics count it.
    pub(super) fn retry(&self) -> Retry {
        match self {
            AttemptError::Locked => Retry::Locked,
            AttemptError::Stale => Retry::Stale,
            AttemptError::Unknown(_) => Retry::LostCommit,
            AttemptError::Poison(_) => Retry::Refused,
            AttemptError::Transient(error) | AttemptError::Repeated(error) => {
                Retry::Failed(error.kind())
            }
        }
    }

    fn of(error: DbError) -> Self {
        match error.kind() {
            ErrorKind::RowLocked => AttemptError::Locked,
            ErrorKind::Duplicate => AttemptError::Repeated(error),
            ErrorKind::LockWait
            | ErrorKind::Deadlock
            | ErrorKind::VersionConflict
            | ErrorKind::ConnectionLost
            | ErrorKind::ReadOnly
            | ErrorKind::Denied
            | ErrorKind::TooManyConnections
            | ErrorKind::Unavailable => AttemptError::Transient(error),
            ErrorKind::Corrupt | ErrorKind::Statement => AttemptError::Poison(error),
        }
    }
}
