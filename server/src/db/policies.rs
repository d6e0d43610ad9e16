//! Policy documents and from when each decides (`policies` and `policy_activations`). Reads may run
//! anywhere; writes where the function says. Never inside an order's transaction.

use std::collections::HashMap;

use belay_domain::ids::StoreId;
use belay_domain::store::{Activation, NewPolicy, PolicyHead, StoredPolicy};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::Conn;
use super::columns::{At, Name};
use super::error::DbError;
use super::schema::{policies, policy_activations};
use super::statement::Upsert;
use super::stores;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = policies, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct PolicyRow {
    store_id: Name<StoreId>,
    version: u32,
    name: String,
    document: String,
    create_time: At,
    author_id: Option<String>,
}

impl From<PolicyRow> for StoredPolicy {
    fn from(row: PolicyRow) -> Self {
        Self {
            store: row.store_id.0,
            version: row.version,
            name: row.name,
            document: row.document,
            create_time: row.create_time.0,
            author: row.author_id,
        }
    }
}

pub async fn get(
    conn: &mut Conn,
    store: &StoreId,
    version: u32,
) -> Result<Option<StoredPolicy>, DbError> {
    let query = policies::table
        .find((store.as_str(), version))
        .select(PolicyRow::as_select());
    Ok(query.first(conn).await.optional()?.map(StoredPolicy::from))
}

pub async fn newest(conn: &mut Conn, store: &StoreId) -> Result<Option<StoredPolicy>, DbError> {
    let query = policies::table
        .filter(policies::store_id.eq(store.as_str()))
        .order(policies::version.desc());
    Ok(query
        .select(PolicyRow::as_select())
        .first(conn)
        .await
        .optional()?
        .map(StoredPolicy::from))
}

/// The number of the store's newest version, 0 if it has none; without its document.
pub async fn newest_version(conn: &mut Conn, store: &StoreId) -> Result<u32, DbError> {
    let of_store = policies::table.filter(policies::store_id.eq(store.as_str()));
    let newest: Option<u32> = of_store
        .select(diesel::dsl::max(policies::version))
        .get_result(conn)
        .await?;
    Ok(newest.unwrap_or(0))
}

/// Newest first, before this one.
pub async fn list(
    conn: &mut Conn,
    store: &StoreId,
    before: Option<u32>,
    limit: u16,
) -> Result<Vec<PolicyHead>, DbError> {
    let mut query = policies::table
        .filter(policies::store_id.eq(store.as_str()))
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(policies::version.lt(before));
    }
    let rows: Vec<(u32, String, At, Option<String>)> = query
        .order(policies::version.desc())
        .limit(limit.into())
        .select((
            policies::version,
            policies::name,
            policies::create_time,
            policies::author_id,
        ))
        .load(conn)
        .await?;
    let heads = rows
        .into_iter()
        .map(|(version, name, time, author)| PolicyHead {
            version,
            name,
            create_time: time.0,
            author,
        });
    Ok(heads.collect())
}

/// The store's activations, earliest first.
pub async fn activations(conn: &mut Conn, store: &StoreId) -> Result<Vec<Activation>, DbError> {
    let query = policy_activations::table.filter(policy_activations::store_id.eq(store.as_str()));
    let rows: Vec<(At, u32)> = query
        .order(policy_activations::effective_time)
        .select((
            policy_activations::effective_time,
            policy_activations::version,
        ))
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(time, version)| Activation {
            effective_time: time.0,
            version,
        })
        .collect())
}

/// The activations of these stores, each store's earliest first; none for a store that has none.
pub async fn activations_of(
    conn: &mut Conn,
    stores: &[&StoreId],
) -> Result<HashMap<StoreId, Vec<Activation>>, DbError> {
    let ids = stores.iter().map(|store| store.as_str());
    let rows: Vec<(Name<StoreId>, At, u32)> = policy_activations::table
        .filter(policy_activations::store_id.eq_any(ids))
        .order((
            policy_activations::store_id,
            policy_activations::effective_time,
        ))
        .select((
            policy_activations::store_id,
            policy_activations::effective_time,
            policy_activations::version,
        ))
        .load(conn)
        .await?;
    let mut activations: HashMap<StoreId, Vec<Activation>> = HashMap::new();
    for (store, time, version) in rows {
        activations.entry(store.0).or_default().push(Activation {
            effective_time: time.0,
            version,
        });
    }
    Ok(activations)
}

/// Creates the store's next version; the newest one where that has this very document. It locks the
/// store's row, so that two who bring the same document at the same time make one version: this
/// belongs into a transaction.
pub async fn create(conn: &mut Conn, new: NewPolicy) -> Result<StoredPolicy, DbError> {
    stores::lock(conn, &new.store).await?;
    let newest = newest(conn, &new.store).await?;
    let version = newest.as_ref().map_or(1, |newest| newest.version + 1);
    if let Some(newest) = newest.filter(|newest| newest.document == new.document) {
        return Ok(newest);
    }
    let row = PolicyRow {
        store_id: Name(new.store),
        version,
        name: new.name,
        document: new.document,
        create_time: At(new.create_time),
        author_id: new.author,
    };
    diesel::insert_into(policies::table)
        .values(&row)
        .execute(conn)
        .await?;
    Ok(StoredPolicy::from(row))
}

/// Lets a version decide from an instant on. What was to come after `now` is dropped for it, so
/// this belongs into a transaction.
pub async fn activate(
    conn: &mut Conn,
    store: &StoreId,
    activation: Activation,
    now: Timestamp,
) -> Result<(), DbError> {
    let to_come = policy_activations::table.filter(policy_activations::store_id.eq(store.as_str()));
    diesel::delete(to_come.filter(policy_activations::effective_time.gt(At(now))))
        .execute(conn)
        .await?;
    let insert = diesel::insert_into(policy_activations::table).values((
        policy_activations::store_id.eq(store.as_str()),
        policy_activations::effective_time.eq(At(activation.effective_time)),
        policy_activations::version.eq(activation.version),
    ));
    Upsert {
        insert,
        columns: &["version"],
    }
    .execute(conn)
    .await?;
    Ok(())
}
