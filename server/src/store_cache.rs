//! The stores' reference data in memory: policies, carriers, warehouses. Small tables that every
//! decision needs and none locks.
//!
//! That no replica decides by an old policy rests on three bounds: data older than [`AGE_MAX`] is
//! read again before it is handed out, an activation lies at least `ACTIVATION_LEAD` ahead when
//! it is written, and the engine gives up a transaction whose reference data has grown older than
//! that lead.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use belay_domain::context::StoreConfig;
use belay_domain::ids::StoreId;
use belay_domain::policy::{self, Policy};
use belay_domain::scope::IdFilter;
use belay_domain::store::{Carrier, StoredPolicy, Warehouse};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::db::error::DbError;
use crate::db::pool::Pool;
use crate::db::snapshot::Snapshot;
use crate::db::{Conn, StoreRecord as _, in_time, policies, stores};

/// How often stores in use are read again.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// Older than this nothing is handed out.
pub const AGE_MAX: Duration = Duration::from_secs(2);
/// Waiting for the turn to read a store that is missed; who waits longer is shed with `OVERLOADED`.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);
/// A store that nobody asked about for so long is no longer kept fresh. Longer than any command
/// waits for its decision.
const UNUSED_MAX: Duration = Duration::from_secs(180);

#[derive(Debug, Clone)]
pub struct StoreCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    known: RwLock<HashMap<StoreId, CachedStore>>,
    /// Whoever misses a store waits for its turn here, and then finds what the one before has read.
    /// One turn: so those who miss a store take one connection, and neither the stores that are
    /// kept fresh nor due orders wait for them.
    turn: Mutex<()>,
}

#[derive(Debug, Clone)]
struct CachedStore {
    config: Arc<StoreConfig>,
    /// When the reading began: what was committed before is in it.
    read_at: Instant,
    used_at: Instant,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreCacheError {
    #[error("no such store")]
    NotFound,
    /// Too many miss stores at once.
    #[error("the store's reference data could not be read in time")]
    Overloaded,
    /// The log has the reason.
    #[error("the store's reference data cannot be read")]
    Unavailable,
}

impl StoreCache {
    pub fn new(pool: Pool) -> Self {
        Self(Arc::new(Inner {
            pool,
            known: RwLock::default(),
            turn: Mutex::default(),
        }))
    }

    /// The store's reference data, no older than [`AGE_MAX`].
    pub async fn config(&self, store: &StoreId) -> Result<Arc<StoreConfig>, StoreCacheError> {
        if let Some(config) = self.fresh(store) {
            return Ok(config);
        }
        let _turn = self.turn().await?;
        match self.fresh(store) {
            Some(config) => Ok(config),
            None => self.read(store).await,
        }
    }

    async fn turn(&self) -> Result<MutexGuard<'_, ()>, StoreCacheError> {
        let turn = tokio::time::timeout(TURN_WAIT_MAX, self.0.turn.lock()).await;
        turn.map_err(|_| {
            if self.0.pool.is_silent() {
                return StoreCacheError::Unavailable;
            }
            self.0.pool.shed();
            StoreCacheError::Overloaded
        })
    }

    fn fresh(&self, store: &StoreId) -> Option<Arc<StoreConfig>> {
        let (config, read_at) = self.latest(store)?;
        (read_at.elapsed() < AGE_MAX).then(|| {
            self.note_use(store);
            config
        })
    }

    /// Writes once in an interval at most: every call comes through here.
    fn note_use(&self, store: &StoreId) {
        let is_old = |known: &CachedStore| known.used_at.elapsed() > REFRESH_INTERVAL;
        let is_due = self
            .0
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(store)
            .is_some_and(is_old);
        if is_due {
            let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
            known
                .entry(store.clone())
                .and_modify(|known| known.used_at = Instant::now());
        }
    }

    /// What is in memory, and when it was read. Says nothing of a store that nobody has asked for.
    pub fn latest(&self, store: &StoreId) -> Option<(Arc<StoreConfig>, Instant)> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(store)
            .map(|known| (known.config.clone(), known.read_at))
    }

    /// Reads a store again, after an administration write.
    pub async fn refresh(&self, store: &StoreId) -> Result<(), StoreCacheError> {
        let _turn = self.turn().await?;
        self.read(store).await.map(|_| ())
    }

    /// Reads the stores in use again and again, for as long as it is polled.
    pub async fn keep_fresh(self) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            for store in self.in_use() {
                // What it says on the way is all there is to say; the next turn tries again.
                let _ = self.read(&store).await;
            }
        }
    }

    fn in_use(&self) -> Vec<StoreId> {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known.used_at.elapsed() < UNUSED_MAX);
        known.keys().cloned().collect()
    }

    async fn read(&self, store: &StoreId) -> Result<Arc<StoreConfig>, StoreCacheError> {
        let read_at = Instant::now();
        let previous = self.latest(store).map(|(config, _)| config);
        let loaded = in_time(load(&self.0.pool, store, previous.as_deref()))
            .await
            .map_err(|error| {
                if error.is_exhaustion() {
                    return StoreCacheError::Overloaded;
                }
                self.note_failure(store, &error);
                StoreCacheError::Unavailable
            })?;
        let config = Arc::new(loaded.ok_or(StoreCacheError::NotFound)?);
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let entry = CachedStore {
            config: config.clone(),
            read_at,
            used_at: read_at,
        };
        known
            .entry(store.clone())
            // Two readings may end in the other order than they began.
            .and_modify(|present| {
                if present.read_at < read_at {
                    *present = CachedStore {
                        used_at: present.used_at,
                        ..entry.clone()
                    };
                }
            })
            .or_insert(entry);
        Ok(config)
    }

    fn note_failure(&self, store: &StoreId, error: &DbError) {
        if error.kind().is_transient() {
            self.0.pool.notes().note("a read of reference data", error);
        } else {
            // A defect of this one store: it is told by name, each time.
            tracing::warn!(store.id = %store, %error, "reference data cannot be read");
        }
    }
}

/// All of a store in one snapshot. Versions never change, so those that `previous` holds are not
/// parsed again.
async fn load(
    pool: &Pool,
    store: &StoreId,
    previous: Option<&StoreConfig>,
) -> Result<Option<StoreConfig>, DbError> {
    let mut connection = Snapshot::begin(pool).await?;
    let read = config(&mut connection, store, previous).await;
    connection.end(read).await
}

async fn config(
    connection: &mut Conn,
    store: &StoreId,
    previous: Option<&StoreConfig>,
) -> Result<Option<StoreConfig>, DbError> {
    let Some(found) = stores::get(connection, store).await? else {
        return Ok(None);
    };
    let activations = policies::activations(connection, store).await?;
    let mut versions = BTreeMap::new();
    let newest = policies::newest_version(connection, store).await?;
    for version in 1..=newest {
        let policy = match previous.and_then(|previous| previous.policies.version(version)) {
            Some(policy) => policy.clone(),
            None => parse(
                store,
                version,
                policies::get(connection, store, version).await?,
            )?,
        };
        versions.insert(version, policy);
    }
    let carriers = Carrier::list(connection, (store, &IdFilter::All), None, u16::MAX).await?;
    let warehouses = Warehouse::list(connection, (store, &IdFilter::All), None, u16::MAX).await?;
    // What was taken once: another server may know other time zones, and then it must not decide.
    let config = found
        .config(versions, &activations, carriers, warehouses)
        .map_err(|error| DbError::Corrupt(format!("store {store}: {error}")))?;
    Ok(Some(config))
}

/// It was validated when it was written, so a fault now is no caller's.
fn parse(
    store: &StoreId,
    version: u32,
    stored: Option<StoredPolicy>,
) -> Result<Arc<Policy>, DbError> {
    let stored = stored
        .ok_or_else(|| DbError::Corrupt(format!("policy {version} of store {store} is missing")))?;
    let policy = policy::parse(&stored.document).map_err(|errors| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        DbError::Corrupt(format!(
            "policy {version} of store {store} is not what was validated: {first}"
        ))
    })?;
    Ok(Arc::new(policy))
}
