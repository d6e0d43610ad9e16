//! Reads that may be old, from databases that follow the primary.
//!
//! A secondary is believed by what it shows. While there are secondaries a server writes beats to
//! the primary, each a number in a row of its own, and remembers when it sent them. A snapshot of a
//! secondary that shows a beat has all that was committed before that beat was sent: so how old it
//! may be is told by this server's clock alone, whatever the clocks of databases say, and a
//! database that follows no more, or follows another one, shows no new beats. Which writes it must
//! show is looked up in the same snapshot.
//!
//! Where no secondary is fresh enough in time, the primary is read: nothing fails here. What is
//! read is for others to know (`reading`).

mod beats;
pub(crate) mod reading;
mod standing;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_domain::ids::OrderKey;
use belay_wire::freshness::{Freshness, STALENESS_MOST, WritePosition};
use futures_util::future::{join, join_all};
use secrecy::SecretString;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use self::beats::Beats;
use self::standing::{Change, Standing};
use crate::db::pool::{Pool, PoolSettings};
use crate::db::pools::Pools;
use crate::db::snapshot::Snapshot;
use crate::db::{Conn, DbError, heartbeats, orders};
use crate::ids;
use crate::telemetry::Telemetry;
use crate::telemetry::secondary_reads::SecondaryRead;

/// Connections to each secondary, where nothing else is said.
pub const CONNECTIONS_DEFAULT: usize = 8;
/// How long a read waits for a secondary to be fresh enough, where nothing else is said.
pub const WAIT_DEFAULT: Duration = Duration::from_millis(100);
/// Between two beats, where nothing else is said.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_millis(500);
/// How long a secondary may take to begin a read, and to answer a look at it.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// How long the primary may take to take a beat.
const BEAT_MAX: Duration = Duration::from_secs(5);
/// Between two tries of a read that waits.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// The secondaries of a database.
#[derive(Debug, Clone)]
pub struct SecondarySettings {
    /// Of all of them, each a place of its own.
    pub url: SecretString,
    /// To each.
    pub connections: usize,
    /// See [`WAIT_DEFAULT`].
    pub wait_max: Duration,
    /// See [`HEARTBEAT_DEFAULT`].
    pub heartbeat: Duration,
}

impl SecondarySettings {
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            connections: CONNECTIONS_DEFAULT,
            wait_max: WAIT_DEFAULT,
            heartbeat: HEARTBEAT_DEFAULT,
        }
    }
}

/// All secondaries of a server; there may be none. Cloning it is cheap and shares them.
#[derive(Debug, Clone)]
pub struct Secondaries(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    secondaries: Vec<Secondary>,
    /// Under which this server beats.
    server: Uuid,
    beats: Mutex<Beats>,
    /// Whose turn it is.
    turn: AtomicUsize,
    wait_max: Duration,
    heartbeat: Duration,
}

/// One secondary.
#[derive(Debug)]
struct Secondary {
    /// Its host and port, for the log.
    name: String,
    pool: Pool,
    standing: Mutex<Standing>,
}

/// A moment of a secondary.
#[derive(Debug)]
struct Moment {
    snapshot: Snapshot,
    index: usize,
    /// It shows all that was committed before then.
    as_of: Instant,
}

impl Secondaries {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// If the URL names no databases.
    pub fn new(
        settings: Option<&SecondarySettings>,
        telemetry: &Telemetry,
    ) -> Result<Self, DbError> {
        let mut secondaries = Vec::new();
        let (mut wait_max, mut heartbeat) = (WAIT_DEFAULT, HEARTBEAT_DEFAULT);
        if let Some(settings) = settings {
            (wait_max, heartbeat) = (settings.wait_max, settings.heartbeat);
            let pool = PoolSettings {
                size: settings.connections,
                wait_max: settings.wait_max,
                ..PoolSettings::default()
            };
            let pools = Pools::of_secondaries(&settings.url, pool, telemetry)?;
            secondaries.extend(pools.into_iter().map(|(name, pool)| Secondary {
                name,
                pool,
                standing: Mutex::default(),
            }));
        }
        Ok(Self(Arc::new(Inner {
            secondaries,
            server: ids::instance_id(),
            beats: Mutex::default(),
            turn: AtomicUsize::new(0),
            wait_max,
            heartbeat,
        })))
    }

    pub fn are_none(&self) -> bool {
        self.0.secondaries.is_empty()
    }

    /// How old each may be now, at most: none where nothing is known of it.
    pub fn staleness(&self) -> Vec<Option<Duration>> {
        let now = Instant::now();
        let secondaries = self.0.secondaries.iter();
        secondaries
            .map(|secondary| secondary.standing().staleness(now))
            .collect()
    }

    /// A moment of a secondary that is as fresh as is asked for, or why there is none in time.
    async fn moment(&self, wanted: &Freshness) -> Result<Moment, SecondaryRead> {
        let until = Instant::now() + self.0.wait_max;
        let mut wait = TRY_AGAIN;
        loop {
            let refused = match self.try_each(wanted).await {
                Ok(moment) => return Ok(moment),
                Err(refused) => refused,
            };
            let now = Instant::now();
            if refused == SecondaryRead::Unavailable || now >= until {
                return Err(refused);
            }
            sleep(wait.min(until - now)).await;
            wait *= 2;
        }
    }

    /// Asks those that may be fresh enough, each once and in turns; what is nearest to what is
    /// asked for is told.
    async fn try_each(&self, wanted: &Freshness) -> Result<Moment, SecondaryRead> {
        let Inner {
            secondaries, turn, ..
        } = &*self.0;
        let first = turn.fetch_add(1, Ordering::Relaxed);
        let mut refused = SecondaryRead::Unavailable;
        for offset in 0..secondaries.len() {
            let index = (first + offset) % secondaries.len();
            let secondary = &secondaries[index];
            // The last look at it is two beats old at most.
            let allowed = wanted.max_staleness.unwrap_or_default() + self.0.heartbeat * 2;
            match secondary.standing().staleness(Instant::now()) {
                None => continue,
                Some(staleness) if staleness > allowed => {
                    refused = refused.max(SecondaryRead::Stale);
                    continue;
                }
                Some(_) => {}
            }
            match timeout(ANSWER_MAX, self.try_one(index, wanted)).await {
                Ok(Ok(Ok(moment))) => return Ok(moment),
                Ok(Ok(Err(outcome))) => refused = refused.max(outcome),
                // Its connections are all in use.
                Ok(Err(error)) if error.is_exhaustion() => {}
                Ok(Err(error)) => secondary.failed(&error),
                Err(_) => secondary.failed(&silent()),
            }
        }
        Err(refused)
    }

    async fn try_one(
        &self,
        index: usize,
        wanted: &Freshness,
    ) -> Result<Result<Moment, SecondaryRead>, DbError> {
        let secondary = &self.0.secondaries[index];
        let mut snapshot = Snapshot::begin_anywhere(&secondary.pool).await?;
        let read = self.read_checked(secondary, &mut snapshot, wanted).await;
        match read {
            Ok(Ok(as_of)) => Ok(Ok(Moment {
                snapshot,
                index,
                as_of,
            })),
            Ok(Err(outcome)) => {
                snapshot.give_up().await?;
                Ok(Err(outcome))
            }
            Err(error) => {
                // It may be broken.
                drop(snapshot);
                Err(error)
            }
        }
    }

    /// Since when what a snapshot shows may be old, if it is fresh enough.
    async fn read_checked(
        &self,
        secondary: &Secondary,
        conn: &mut Conn,
        wanted: &Freshness,
    ) -> Result<Result<Instant, SecondaryRead>, DbError> {
        let beat = heartbeats::read(conn, self.0.server).await?;
        let as_of = self.beats().as_of(beat);
        secondary.shows(as_of);
        let is_fresh = |as_of: &Instant| Some(as_of.elapsed()) <= wanted.max_staleness;
        let Some(as_of) = as_of.filter(is_fresh) else {
            return Ok(Err(SecondaryRead::Stale));
        };
        if wanted.after.is_empty() {
            return Ok(Ok(as_of));
        }
        let mut keys: Vec<OrderKey> = wanted.after.iter().map(|write| write.order).collect();
        keys.sort_unstable();
        keys.dedup();
        let versions = orders::versions(conn, &keys).await?;
        let shows = |write: &WritePosition| {
            let version = versions.get(&write.order);
            version.is_some_and(|version| *version >= write.version)
        };
        let shows_all = wanted.after.iter().all(shows);
        Ok(if shows_all {
            Ok(as_of)
        } else {
            Err(SecondaryRead::Behind)
        })
    }

    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Beats, and looks at the secondaries, for as long as it is polled. It is idle where there are
    /// none.
    pub(crate) async fn run(self, primary: Pool) {
        if self.are_none() {
            return std::future::pending().await;
        }
        let mut connection = None;
        loop {
            let next = Instant::now() + self.0.heartbeat;
            let looks = join_all(
                self.0
                    .secondaries
                    .iter()
                    .map(|secondary| self.look(secondary)),
            );
            join(self.beat(&primary, &mut connection), looks).await;
            sleep_until(next).await;
        }
    }

    /// One beat, through a connection of its own: a crowd elsewhere makes no secondary old. What
    /// fails here is the primary's: others tell of it.
    async fn beat(&self, primary: &Pool, connection: &mut Option<Conn>) {
        let (beat, sent_at) = (self.beats().next(), Instant::now());
        let written = timeout(BEAT_MAX, async {
            let mut conn = match connection.take() {
                Some(conn) => conn,
                None => {
                    let mut conn = primary.connect_beside().await?;
                    heartbeats::forget_old(&mut conn).await?;
                    conn
                }
            };
            heartbeats::write(&mut conn, self.0.server, beat).await?;
            Ok::<_, DbError>(conn)
        });
        match written.await {
            Ok(Ok(conn)) => {
                *connection = Some(conn);
                self.beats().written(beat, sent_at, STALENESS_MOST);
            }
            Ok(Err(error)) => primary.notes().note("a beat for secondaries", &error),
            Err(_) => primary.notes().note("a beat for secondaries", &silent()),
        }
    }

    async fn look(&self, secondary: &Secondary) {
        if !secondary.standing().is_due(Instant::now()) {
            return;
        }
        let looked = timeout(ANSWER_MAX, async {
            let mut conn = secondary.pool.checkout().await?;
            let beat = heartbeats::read(&mut conn, self.0.server).await;
            conn.finish_with(beat)
        });
        match looked.await {
            Ok(Ok(beat)) => {
                let as_of = self.beats().as_of(beat);
                secondary.shows(as_of);
            }
            Ok(Err(error)) if error.is_exhaustion() => {}
            Ok(Err(error)) => secondary.failed(&error),
            Err(_) => secondary.failed(&silent()),
        }
    }
}

fn silent() -> DbError {
    DbError::TimedOut {
        waited_ms: ANSWER_MAX.as_millis(),
    }
}

impl Secondary {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It answers, and shows all that was committed before then.
    fn shows(&self, as_of: Option<Instant>) {
        if self.standing().shows(as_of) == Change::Back {
            tracing::info!(place = self.name, "a secondary answers again");
        }
    }

    fn failed(&self, error: &DbError) {
        if self.standing().failed(Instant::now()) == Change::Away {
            tracing::warn!(
                place = self.name,
                %error,
                "a secondary cannot be read: the primary answers in its place"
            );
        }
    }
}
