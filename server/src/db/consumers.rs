//! Named readers of the feed and how far they are. May run anywhere; one row at a time, and `lock`
//! in a transaction.

use belay_domain::actor::{Actor, Role};
use belay_domain::feed::{Consumer, ConsumerKey, Positions};
use belay_domain::ids::{ConsumerId, StoreId};
use belay_domain::scope::IdFilter;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Bytes, Json, Name};
use super::error::DbError;
use super::schema::consumers;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = consumers, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct ConsumerRow {
    store_id: String,
    consumer_id: Name<ConsumerId>,
    role: Name<Role>,
    actor_id: String,
    filter: Bytes<16>,
    positions: Json<Vec<u64>>,
    commit_time: At,
}

impl From<&Consumer> for ConsumerRow {
    fn from(consumer: &Consumer) -> Self {
        let key = &consumer.key;
        Self {
            store_id: store_column(key),
            consumer_id: Name(key.id.clone()),
            role: Name(key.owner.role),
            actor_id: key.owner.id.clone(),
            filter: Bytes(consumer.filter),
            positions: Json(consumer.positions.as_slice().to_vec()),
            commit_time: At(consumer.commit_time),
        }
    }
}

impl TryFrom<ConsumerRow> for Consumer {
    type Error = DbError;

    fn try_from(row: ConsumerRow) -> Result<Self, DbError> {
        let store = Some(row.store_id)
            .filter(|store| !store.is_empty())
            .map(StoreId::parse)
            .transpose()
            .map_err(|error| DbError::Corrupt(format!("a consumer's store: {error}")))?;
        Ok(Self {
            key: ConsumerKey {
                store,
                id: row.consumer_id.0,
                owner: Actor::new(row.role.0, row.actor_id),
            },
            positions: Positions::new(row.positions.0),
            filter: row.filter.0,
            commit_time: row.commit_time.0,
        })
    }
}

fn store_column(key: &ConsumerKey) -> String {
    key.store
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// The rows of this key, of which there is one at most.
macro_rules! of_key {
    ($key:expr) => {
        consumers::table
            .filter(consumers::store_id.eq(store_column($key)))
            .filter(consumers::consumer_id.eq($key.id.as_str().to_owned()))
            .filter(consumers::role.eq(Name($key.owner.role)))
            .filter(consumers::actor_id.eq($key.owner.id.clone()))
    };
}

pub async fn get(conn: &mut Conn, key: &ConsumerKey) -> Result<Option<Consumer>, DbError> {
    let query = of_key!(key).select(ConsumerRow::as_select());
    let row: Option<ConsumerRow> = query.first(conn).await.optional()?;
    row.map(Consumer::try_from).transpose()
}

/// The same, and nobody else commits for it until the transaction ends.
pub async fn lock(conn: &mut Conn, key: &ConsumerKey) -> Result<Option<Consumer>, DbError> {
    let query = of_key!(key).select(ConsumerRow::as_select()).for_update();
    let row: Option<ConsumerRow> = query.first(conn).await.optional()?;
    row.map(Consumer::try_from).transpose()
}

/// How many this owner has.
pub async fn count(conn: &mut Conn, owner: &Actor) -> Result<usize, DbError> {
    let query = consumers::table
        .filter(consumers::role.eq(Name(owner.role)))
        .filter(consumers::actor_id.eq(owner.id.clone()))
        .count();
    let count: i64 = query.get_result(conn).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

pub async fn insert(conn: &mut Conn, consumer: &Consumer) -> Result<(), DbError> {
    diesel::insert_into(consumers::table)
        .values(ConsumerRow::from(consumer))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn update(conn: &mut Conn, consumer: &Consumer) -> Result<(), DbError> {
    let row = ConsumerRow::from(consumer);
    diesel::update(of_key!(&consumer.key))
        .set((
            consumers::filter.eq(row.filter),
            consumers::positions.eq(row.positions),
            consumers::commit_time.eq(row.commit_time),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether there was one.
pub async fn delete(conn: &mut Conn, key: &ConsumerKey) -> Result<bool, DbError> {
    let deleted = diesel::delete(of_key!(key)).execute(conn).await?;
    Ok(deleted > 0)
}

/// The filter of a list of consumers.
#[derive(Debug, Clone)]
pub struct ConsumerQuery {
    pub store: Option<StoreId>,
    /// Those that are seen; a consumer without a store is seen by all.
    pub stores: IdFilter<StoreId>,
    /// None: of every owner.
    pub owner: Option<Actor>,
}

/// The place of a consumer in a list, which is sorted by it: store, name, role and id of the owner.
pub type ConsumerPlace = (String, String, String, String);

pub fn place(consumer: &Consumer) -> ConsumerPlace {
    let ConsumerKey { id, owner, .. } = &consumer.key;
    let role = owner.role.name().to_owned();
    let store = store_column(&consumer.key);
    (store, id.to_string(), role, owner.id.clone())
}

/// So many consumers behind a place, in the order of the places.
pub async fn list(
    conn: &mut Conn,
    asked: &ConsumerQuery,
    after: Option<ConsumerPlace>,
    limit: u16,
) -> Result<Vec<Consumer>, DbError> {
    let mut query = consumers::table
        .select(ConsumerRow::as_select())
        .order((
            consumers::store_id,
            consumers::consumer_id,
            consumers::role,
            consumers::actor_id,
        ))
        .limit(limit.into())
        .into_boxed();
    if let Some(store) = &asked.store {
        query = query.filter(consumers::store_id.eq(store.to_string()));
    }
    if let IdFilter::Only(stores) = &asked.stores {
        let stores = stores.iter().map(ToString::to_string);
        let seen: Vec<String> = stores.chain([String::new()]).collect();
        query = query.filter(consumers::store_id.eq_any(seen));
    }
    if let Some(owner) = &asked.owner {
        query = query
            .filter(consumers::role.eq(Name(owner.role)))
            .filter(consumers::actor_id.eq(owner.id.clone()));
    }
    if let Some((store, id, role, actor)) = after {
        let of_store = consumers::store_id.eq(store.clone());
        let of_id = consumers::consumer_id.eq(id.clone());
        let of_role = consumers::role.eq(role.clone());
        query = query.filter(
            consumers::store_id
                .gt(store)
                .or(of_store.clone().and(consumers::consumer_id.gt(id)))
                .or(of_store
                    .clone()
                    .and(of_id.clone())
                    .and(consumers::role.gt(role)))
                .or(of_store
                    .and(of_id)
                    .and(of_role)
                    .and(consumers::actor_id.gt(actor))),
        );
    }
    let rows: Vec<ConsumerRow> = query.load(conn).await?;
    rows.into_iter().map(Consumer::try_from).collect()
}
