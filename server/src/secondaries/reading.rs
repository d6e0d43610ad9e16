//! One read of a call, wherever it is made: it begins at a secondary where the call allows it, and
//! is made once more at the primary where that fails.

use std::future::Future;
use std::time::Duration;

use belay_wire::freshness::Freshness;
use tokio::time::{Instant, timeout};

use super::Moment;
use crate::App;
use crate::db::DbError;
use crate::db::clock::Clock;
use crate::db::snapshot::Snapshot;
use crate::telemetry::secondary_reads::SecondaryRead;

/// The read of a call. It may take several snapshots. Each is begun, driven and ended by a loop of
/// its caller: one that were given the work as a closure would be no future that another thread may
/// take up, for the compiler cannot say so of a work that borrows.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    app: &'a App,
    wanted: &'a Freshness,
    deadline: Instant,
    /// The secondary of the snapshot that is open, and since when what it shows may be old.
    open: Option<(usize, Instant)>,
    /// A secondary has failed, or none was fresh enough.
    only_primary: bool,
    /// Of all that was read at secondaries, the oldest.
    as_of: Option<Instant>,
}

/// The place where a call was read, if it may have been anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFrom {
    /// The call did not allow for more.
    Unsaid,
    Primary,
    Secondary {
        staleness: Duration,
    },
}

impl<'a> Reading<'a> {
    /// For a call that is to be answered by then.
    pub(crate) fn of(app: &'a App, wanted: &'a Freshness, deadline: Instant) -> Self {
        Self {
            app,
            wanted,
            deadline,
            open: None,
            only_primary: wanted.max_staleness.is_none() || app.secondaries.are_none(),
            as_of: None,
        }
    }

    /// A snapshot, to be given to [`Self::end`].
    pub(crate) async fn begin(&mut self) -> Result<Snapshot, DbError> {
        self.open = None;
        if self.only_primary {
            return Snapshot::begin(&self.app.pools.reads).await;
        }
        // The primary needs time as well.
        let left = self.time_for_secondary();
        let moment = timeout(left, self.app.secondaries.moment(self.wanted)).await;
        match moment.unwrap_or(Err(SecondaryRead::Unavailable)) {
            Ok(Moment {
                snapshot,
                index,
                as_of,
            }) => {
                self.open = Some((index, as_of));
                Ok(snapshot)
            }
            Err(outcome) => {
                self.count(outcome);
                self.only_primary = true;
                Snapshot::begin(&self.app.pools.reads).await
            }
        }
    }

    /// Drives work on the snapshot, at a secondary no longer than leaves time for the primary.
    pub(crate) async fn drive<T>(
        &self,
        work: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        if self.open.is_none() {
            return work.await;
        }
        let left = self.time_for_secondary();
        let done = timeout(left, work).await;
        let waited_ms = left.as_millis();
        done.unwrap_or(Err(DbError::TimedOut { waited_ms }))
    }

    /// Ends a snapshot with what was read; None where it is to be read once more.
    pub(crate) async fn end<T>(
        &mut self,
        conn: Snapshot,
        read: Result<T, DbError>,
    ) -> Result<Option<T>, DbError> {
        let Some((index, as_of)) = self.open.take() else {
            return conn.end(read).await.map(Some);
        };
        let ended = match read {
            Ok(read) => conn.end(Ok(read)).await,
            // Its answer may still be on the way.
            Err(error) => {
                drop(conn);
                Err(error)
            }
        };
        match ended {
            Ok(read) => {
                self.count(SecondaryRead::Secondary);
                self.as_of = Some(self.as_of.map_or(as_of, |oldest| oldest.min(as_of)));
                Ok(Some(read))
            }
            Err(error) => {
                // A caller in a hurry says nothing of the secondary; one that is silent is looked
                // at.
                if !matches!(error, DbError::TimedOut { .. }) {
                    self.app.secondaries.0.secondaries[index].failed(&error);
                }
                self.count(SecondaryRead::Failed);
                self.only_primary = true;
                Ok(None)
            }
        }
    }

    pub(crate) fn read_from(&self) -> ReadFrom {
        match (self.wanted.max_staleness, self.as_of) {
            (None, _) => ReadFrom::Unsaid,
            (Some(_), None) => ReadFrom::Primary,
            (Some(_), Some(as_of)) => ReadFrom::Secondary {
                staleness: as_of.elapsed(),
            },
        }
    }

    /// The time that counts, wherever it is read.
    pub(crate) fn clock(&self) -> Clock {
        self.app.clock
    }

    fn time_for_secondary(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()) / 2
    }

    fn count(&self, outcome: SecondaryRead) {
        self.app.telemetry.metrics.read_of_secondary(outcome);
    }
}
