//! Policy documents and from when each decides (`policies` and `policy_activations`). Reads may run anywhere; writes where the
//! function says. Never inside an order's transaction.

use belay_domain::ids::StoreId;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Name};
use super::error::{Class, DbError};
use super::schema::{policies, policy_activations};
use super::statement::Upsert;

/// How often the next version is looked up again when others take it first.
const INSERT_ATTEMPTS_MAX: u32 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    pub store: StoreId,
    pub version: u32,
    pub name: String,
    pub document: String,
    pub create_time: Timestamp,
}

/// A policy that has no version yet.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    pub store: StoreId,
    pub name: String,
    pub document: String,
    pub create_time: Timestamp,
}

/// From when a version decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activation {
    pub effective_time: Timestamp,
    pub version: u32,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = policies, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct PolicyRow {
    store_id: Name<StoreId>,
    version: u32,
    name: String,
    document: String,
    create_time: At,
}

impl From<PolicyRow> for StoredPolicy {
    fn from(row: PolicyRow) -> Self {
        Self {
            store: row.store_id.0,
            version: row.version,
            name: row.name,
            document: row.document,
            create_time: row.create_time.0,
        }
    }
}

pub async fn get(conn: &mut Conn, store: &StoreId, version: u32) -> Result<Option<StoredPolicy>, DbError> {
    let query = policies::table.find((store.as_str(), version)).select(PolicyRow::as_select());
    Ok(query.first(conn).await.optional()?.map(StoredPolicy::from))
}

pub async fn newest(conn: &mut Conn, store: &StoreId) -> Result<Option<StoredPolicy>, DbError> {
    let query = policies::table.filter(policies::store_id.eq(store.as_str())).order(policies::version.desc());
    Ok(query.select(PolicyRow::as_select()).first(conn).await.optional()?.map(StoredPolicy::from))
}

/// The number of the store's newest version, 0 if it has none; without its document.
pub async fn newest_version(conn: &mut Conn, store: &StoreId) -> Result<u32, DbError> {
    let of_store = policies::table.filter(policies::store_id.eq(store.as_str()));
    let newest: Option<u32> = of_store.select(diesel::dsl::max(policies::version)).get_result(conn).await?;
    Ok(newest.unwrap_or(0))
}

/// By version, after this one (0: from the first).
pub async fn list(conn: &mut Conn, store: &StoreId, after: u32, limit: u16) -> Result<Vec<StoredPolicy>, DbError> {
    let query = policies::table.filter(policies::store_id.eq(store.as_str())).filter(policies::version.gt(after));
    let query = query.order(policies::version).limit(limit.into()).select(PolicyRow::as_select());
    Ok(query.load(conn).await?.into_iter().map(StoredPolicy::from).collect())
}

/// The store's activations, earliest first.
pub async fn activations(conn: &mut Conn, store: &StoreId) -> Result<Vec<Activation>, DbError> {
    let query = policy_activations::table.filter(policy_activations::store_id.eq(store.as_str()));
    let rows: Vec<(At, u32)> = query
        .order(policy_activations::effective_time)
        .select((policy_activations::effective_time, policy_activations::version))
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|(time, version)| Activation { effective_time: time.0, version }).collect())
}

/// Creates the store's next version and returns its number. The primary key decides between two who create at the same time.
pub async fn insert_version(conn: &mut Conn, new: &NewPolicy) -> Result<u32, DbError> {
    let mut attempt = 1;
    loop {
        let row = PolicyRow {
            store_id: Name(new.store.clone()),
            version: newest_version(conn, &new.store).await? + 1,
            name: new.name.clone(),
            document: new.document.clone(),
            create_time: At(new.create_time),
        };
        match diesel::insert_into(policies::table).values(&row).execute(conn).await.map_err(DbError::from) {
            Ok(_) => return Ok(row.version),
            Err(error) if error.class() == Class::Duplicate && attempt < INSERT_ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Lets a version decide from an instant on. What was to come after `now` is dropped for it, so this belongs into a
/// transaction.
pub async fn activate(conn: &mut Conn, store: &StoreId, activation: Activation, now: Timestamp) -> Result<(), DbError> {
    let to_come = policy_activations::table.filter(policy_activations::store_id.eq(store.as_str()));
    diesel::delete(to_come.filter(policy_activations::effective_time.gt(At(now)))).execute(conn).await?;
    let insert = diesel::insert_into(policy_activations::table).values((
        policy_activations::store_id.eq(store.as_str()),
        policy_activations::effective_time.eq(At(activation.effective_time)),
        policy_activations::version.eq(activation.version),
    ));
    Upsert { insert, columns: &["version"] }.execute(conn).await?;
    Ok(())
}
