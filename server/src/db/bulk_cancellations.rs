//! Bulk cancellations, apart from their orders. `lock`, `insert` and `update` run in a transaction,
//! all else anywhere.
//!
//! One server at a time owns a job that has not ended, for as long as it says so in time. All that
//! is written of a job and its orders is written under the lock of its row.

use std::collections::BTreeMap;
use std::time::Duration;

use belay_domain::actor::{Actor, Role};
use belay_domain::bulk::{BulkSelection, Counts, Job, JobKey, JobState};
use belay_domain::commands::RequestCancellation;
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{OrderKey, StoreId};
use belay_domain::query::ListPosition;
use belay_domain::scope::{Caller, Scope};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Conn;
use super::columns::{At, Bytes, Json, Name};
use super::error::DbError;
use super::schema::bulk_cancellations;
use super::statement::SysDate;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = bulk_cancellations, primary_key(job_key), check_for_backend(Mysql))]
#[diesel(treat_none_as_default_value = false)]
struct JobRow {
    job_key: Bytes<16>,
    store_id: Name<StoreId>,
    bulk_id: Bytes<16>,
    role: Name<Role>,
    actor_id: String,
    scope: Json<Scope>,
    selection: Json<BulkSelection>,
    command: Json<RequestCancellation>,
    is_dry_run: bool,
    orders_per_second: u16,
    fingerprint: Bytes<32>,
    state: Name<JobState>,
    selected_through: Option<Json<StoredPlace>>,
    total: u32,
    completed: u32,
    pending: u32,
    rejected: u32,
    failed: u32,
    refunds: Json<BTreeMap<String, i64>>,
    failure: Option<Name<ErrorReason>>,
    create_time: At,
    end_time: Option<At>,
    owner: Option<Bytes<16>>,
}

/// A place as it is stored. The names of its fields are a stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPlace {
    micros: i64,
    order_key: [u8; 16],
}

impl StoredPlace {
    fn of(place: ListPosition) -> Self {
        Self {
            micros: place.create_time.as_microsecond(),
            order_key: place.order_key.0,
        }
    }

    fn place(self) -> Result<ListPosition, DbError> {
        let create_time = Timestamp::from_microsecond(self.micros)
            .map_err(|error| DbError::Corrupt(format!("the place of a job: {error}")))?;
        Ok(ListPosition {
            create_time,
            order_key: OrderKey(self.order_key),
            number: 0,
        })
    }
}

/// A job, and how far somebody is with it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredJob {
    pub job: Job,
    /// The last order that its filter has given.
    pub selected_through: Option<ListPosition>,
    /// The server that works at it, or did last.
    pub owner: Option<Uuid>,
}

impl StoredJob {
    /// A job that nobody works at yet.
    pub fn new(job: Job) -> Self {
        Self {
            job,
            selected_through: None,
            owner: None,
        }
    }
}

impl From<&StoredJob> for JobRow {
    fn from(stored: &StoredJob) -> Self {
        let StoredJob {
            job,
            selected_through,
            owner,
        } = stored;
        let Counts {
            total,
            completed,
            pending,
            rejected,
            failed,
            refunds,
        } = job.counts.clone();
        Self {
            job_key: job.key().into(),
            store_id: Name(job.store.clone()),
            bulk_id: job.id.into(),
            role: Name(job.caller.actor.role),
            actor_id: job.caller.actor.id.clone(),
            scope: Json(job.caller.scope.clone()),
            selection: Json(job.selection.clone()),
            command: Json(job.command.clone()),
            is_dry_run: job.is_dry_run,
            orders_per_second: job.orders_per_second,
            fingerprint: Bytes(job.fingerprint),
            state: Name(job.state),
            selected_through: selected_through.map(|place| Json(StoredPlace::of(place))),
            total,
            completed,
            pending,
            rejected,
            failed,
            refunds: Json(refunds),
            failure: job.failure.map(Name),
            create_time: At(job.create_time),
            end_time: job.end_time.map(At),
            owner: owner.map(Into::into),
        }
    }
}

impl TryFrom<JobRow> for StoredJob {
    type Error = DbError;

    fn try_from(row: JobRow) -> Result<Self, DbError> {
        let counts = Counts {
            total: row.total,
            completed: row.completed,
            pending: row.pending,
            rejected: row.rejected,
            failed: row.failed,
            refunds: row.refunds.0,
        };
        let job = Job {
            store: row.store_id.0,
            id: row.bulk_id.into(),
            caller: Caller {
                actor: Actor::new(row.role.0, row.actor_id),
                scope: row.scope.0,
            },
            selection: row.selection.0,
            command: row.command.0,
            is_dry_run: row.is_dry_run,
            orders_per_second: row.orders_per_second,
            fingerprint: row.fingerprint.0,
            state: row.state.0,
            counts,
            failure: row.failure.map(|failure| failure.0),
            create_time: row.create_time.0,
            end_time: row.end_time.map(|time| time.0),
        };
        let selected_through = row.selected_through.map(|Json(place)| place.place());
        Ok(Self {
            job,
            selected_through: selected_through.transpose()?,
            owner: row.owner.map(Into::into),
        })
    }
}

/// Fails with kind `Duplicate` where the store has a job of this id.
pub async fn insert(conn: &mut Conn, stored: &StoredJob) -> Result<(), DbError> {
    diesel::insert_into(bulk_cancellations::table)
        .values(JobRow::from(stored))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn get(conn: &mut Conn, key: JobKey) -> Result<Option<Job>, DbError> {
    let row: Option<JobRow> = bulk_cancellations::table
        .find(Bytes::from(key))
        .select(JobRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(|row| StoredJob::try_from(row).map(|stored| stored.job))
        .transpose()
}

/// Nobody else writes anything of the job until the transaction ends.
pub async fn lock(conn: &mut Conn, key: JobKey) -> Result<Option<StoredJob>, DbError> {
    let row: Option<JobRow> = bulk_cancellations::table
        .find(Bytes::from(key))
        .select(JobRow::as_select())
        .for_update()
        .first(conn)
        .await
        .optional()?;
    row.map(StoredJob::try_from).transpose()
}

/// Writes what [`lock`] gave. Until when it is owned stays as it was.
pub async fn update(conn: &mut Conn, stored: &StoredJob) -> Result<(), DbError> {
    let key = Bytes::from(stored.job.key());
    let row = JobRow::from(stored);
    // What was asked never changes, and a newer release may keep more of it than this one reads.
    diesel::update(bulk_cancellations::table.find(key))
        .set((
            bulk_cancellations::state.eq(row.state),
            bulk_cancellations::selected_through.eq(row.selected_through),
            bulk_cancellations::total.eq(row.total),
            bulk_cancellations::completed.eq(row.completed),
            bulk_cancellations::pending.eq(row.pending),
            bulk_cancellations::rejected.eq(row.rejected),
            bulk_cancellations::failed.eq(row.failed),
            bulk_cancellations::refunds.eq(row.refunds),
            bulk_cancellations::failure.eq(row.failure),
            bulk_cancellations::end_time.eq(row.end_time),
            bulk_cancellations::owner.eq(row.owner),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// How many jobs of the store have not ended.
pub async fn count_open(conn: &mut Conn, store: &StoreId) -> Result<usize, DbError> {
    let count: i64 = bulk_cancellations::table
        .filter(bulk_cancellations::store_id.eq(store.as_str().to_owned()))
        .filter(bulk_cancellations::state.eq_any(JobState::OPEN.map(Name)))
        .count()
        .get_result(conn)
        .await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// So many jobs that have not ended and that nobody works at, the oldest first: in the order of the
/// index those of some store or state would always be before the others.
pub async fn abandoned(conn: &mut Conn, limit: u16) -> Result<Vec<JobKey>, DbError> {
    let is_free = bulk_cancellations::owned_until
        .is_null()
        .or(bulk_cancellations::owned_until.lt(SysDate.nullable()));
    let keys: Vec<Bytes<16>> = bulk_cancellations::table
        .filter(bulk_cancellations::state.eq_any(JobState::OPEN.map(Name)))
        .filter(is_free.assume_not_null())
        .order((bulk_cancellations::create_time, bulk_cancellations::job_key))
        .limit(limit.into())
        .select(bulk_cancellations::job_key)
        .load(conn)
        .await?;
    Ok(keys.into_iter().map(|key| JobKey(key.0)).collect())
}

/// Makes this server the owner of a job for so long from now on, unless another one is. Says
/// whether it is.
pub async fn own(
    conn: &mut Conn,
    key: JobKey,
    owner: Uuid,
    lease: Duration,
) -> Result<bool, DbError> {
    const OWN: &str = "UPDATE `bulk_cancellations` \
        SET `owner` = ?, `owned_until` = SYSDATE(6) + INTERVAL ? MICROSECOND \
        WHERE `job_key` = ? AND `state` IN ('SELECTING', 'RUNNING', 'STOPPING') \
        AND (`owner` = ? OR `owned_until` IS NULL OR `owned_until` < SYSDATE(6))";
    let lease = i64::try_from(lease.as_micros()).unwrap_or(i64::MAX);
    let owned = diesel::sql_query(OWN)
        .bind::<Binary, _>(owner.as_bytes().to_vec())
        .bind::<BigInt, _>(lease)
        .bind::<Binary, _>(key.0.to_vec())
        .bind::<Binary, _>(owner.as_bytes().to_vec())
        .execute(conn)
        .await?;
    Ok(owned > 0)
}

/// Lets go of all jobs of this server, so that another one takes them up at once.
pub async fn disown(conn: &mut Conn, owner: Uuid) -> Result<(), DbError> {
    let open = JobState::OPEN.map(Name);
    diesel::update(bulk_cancellations::table)
        .filter(bulk_cancellations::state.eq_any(open))
        .filter(bulk_cancellations::owner.eq(Bytes::from(owner)))
        .set(bulk_cancellations::owned_until.eq(None::<At>))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether a server works at a job.
pub async fn is_owned(conn: &mut Conn, key: JobKey) -> Result<bool, DbError> {
    let owned = bulk_cancellations::table
        .find(Bytes::from(key))
        .filter(
            bulk_cancellations::owned_until
                .ge(SysDate.nullable())
                .assume_not_null(),
        )
        .count();
    let owned: i64 = owned.get_result(conn).await?;
    Ok(owned > 0)
}

/// So many jobs of a store, those that this caller started or all, from new to old behind a place.
pub async fn list(
    conn: &mut Conn,
    store: &StoreId,
    of: Option<&Caller>,
    before: Option<(Timestamp, JobKey)>,
    limit: u16,
) -> Result<Vec<Job>, DbError> {
    let mut query = bulk_cancellations::table
        .filter(bulk_cancellations::store_id.eq(store.as_str().to_owned()))
        .order((
            bulk_cancellations::create_time.desc(),
            bulk_cancellations::job_key.desc(),
        ))
        .select(JobRow::as_select())
        .limit(limit.into())
        .into_boxed();
    if let Some(Caller { actor, scope }) = of {
        query = query
            .filter(bulk_cancellations::role.eq(Name(actor.role)))
            .filter(bulk_cancellations::actor_id.eq(actor.id.clone()))
            .filter(bulk_cancellations::scope.eq(Json(scope.clone())));
    }
    if let Some((time, key)) = before {
        let (earlier, same) = (
            bulk_cancellations::create_time.lt(At(time)),
            bulk_cancellations::create_time.eq(At(time)),
        );
        let key = bulk_cancellations::job_key.lt(Bytes::from(key));
        query = query.filter(earlier.or(same.and(key)));
    }
    let rows: Vec<JobRow> = query.load(conn).await?;
    let read = |row| StoredJob::try_from(row).map(|stored| stored.job);
    rows.into_iter().map(read).collect()
}

/// The job that ended first of those that are kept, and when.
pub async fn oldest_ended(conn: &mut Conn) -> Result<Option<(JobKey, Timestamp)>, DbError> {
    let found: Option<(Bytes<16>, Option<At>)> = bulk_cancellations::table
        .filter(bulk_cancellations::end_time.is_not_null())
        .order(bulk_cancellations::end_time)
        .select((bulk_cancellations::job_key, bulk_cancellations::end_time))
        .first(conn)
        .await
        .optional()?;
    let ended = |(key, end_time): (Bytes<16>, Option<At>)| Some((JobKey(key.0), end_time?.0));
    Ok(found.and_then(ended))
}

/// Deletes a job that has ended and has no orders any more.
pub async fn delete(conn: &mut Conn, key: JobKey) -> Result<(), DbError> {
    diesel::delete(bulk_cancellations::table.find(Bytes::from(key)))
        .execute(conn)
        .await?;
    Ok(())
}
