//! Stores. May run anywhere; one row at a time.

use belay_domain::ids::{CarrierId, StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::store::Store;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Conn;
use super::columns::{At, Bytes, Name};
use super::error::DbError;
use super::schema::stores;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = stores, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct StoreRow {
    store_id: Name<StoreId>,
    display_name: String,
    time_zone: String,
    default_warehouse_id: Option<Name<WarehouseId>>,
    default_carrier_id: Option<Name<CarrierId>>,
    storefront_records_payments: bool,
    version: u64,
    create_time: At,
    update_time: At,
    fingerprint: Bytes<32>,
}

impl From<&Store> for StoreRow {
    fn from(store: &Store) -> Self {
        Self {
            store_id: Name(store.id.clone()),
            display_name: store.display_name.clone(),
            time_zone: store.time_zone.clone(),
            default_warehouse_id: store.default_warehouse.clone().map(Name),
            default_carrier_id: store.default_carrier.clone().map(Name),
            storefront_records_payments: store.storefront_records_payments,
            version: store.version,
            create_time: At(store.create_time),
            update_time: At(store.update_time),
            fingerprint: Bytes(store.fingerprint),
        }
    }
}

impl From<StoreRow> for Store {
    fn from(row: StoreRow) -> Self {
        Self {
            id: row.store_id.0,
            display_name: row.display_name,
            time_zone: row.time_zone,
            default_warehouse: row.default_warehouse_id.map(|id| id.0),
            default_carrier: row.default_carrier_id.map(|id| id.0),
            storefront_records_payments: row.storefront_records_payments,
            version: row.version,
            create_time: row.create_time.0,
            update_time: row.update_time.0,
            fingerprint: row.fingerprint.0,
        }
    }
}

pub async fn get(conn: &mut Conn, store: &StoreId) -> Result<Option<Store>, DbError> {
    let query = stores::table
        .find(store.as_str())
        .select(StoreRow::as_select());
    Ok(query.first(conn).await.optional()?.map(Store::from))
}

/// By id, after this one: those that the filter lets through.
pub async fn list(
    conn: &mut Conn,
    seen: &IdFilter<StoreId>,
    after: Option<&StoreId>,
    limit: u16,
) -> Result<Vec<Store>, DbError> {
    let query = stores::table.filter(stores::store_id.gt(after.map_or("", StoreId::as_str)));
    let mut query = query.into_boxed();
    if let IdFilter::Only(seen) = seen {
        query = query.filter(stores::store_id.eq_any(seen.iter().map(StoreId::as_str)));
    }
    let rows = query
        .order(stores::store_id)
        .limit(limit.into())
        .select(StoreRow::as_select())
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(Store::from).collect())
}

/// Locks a store's own row until the transaction ends: whoever numbers something of the store does
/// so one at a time.
pub async fn lock(conn: &mut Conn, store: &StoreId) -> Result<(), DbError> {
    let row = stores::table
        .find(store.as_str())
        .select(stores::version)
        .for_update();
    let _: Option<u64> = row.first(conn).await.optional()?;
    Ok(())
}

/// Fails with kind `Duplicate` if there is a store of this id.
pub async fn insert(conn: &mut Conn, store: &Store) -> Result<(), DbError> {
    diesel::insert_into(stores::table)
        .values(StoreRow::from(store))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes a store over the one that was loaded at this version, or fails with kind
/// `VersionConflict`.
pub async fn update(conn: &mut Conn, store: &Store, loaded_version: u64) -> Result<(), DbError> {
    let row = StoreRow::from(store);
    let stored = stores::table
        .find(store.id.as_str())
        .filter(stores::version.eq(loaded_version));
    let matched = diesel::update(stored)
        .set((
            stores::display_name.eq(row.display_name),
            stores::time_zone.eq(row.time_zone),
            stores::default_warehouse_id.eq(row.default_warehouse_id),
            stores::default_carrier_id.eq(row.default_carrier_id),
            stores::storefront_records_payments.eq(row.storefront_records_payments),
            stores::version.eq(row.version),
            stores::update_time.eq(row.update_time),
        ))
        .execute(conn)
        .await?;
    DbError::unless_all_matched(matched, 1)
}
