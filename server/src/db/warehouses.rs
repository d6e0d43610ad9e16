//! The warehouses of a store. May run anywhere; one row at a time.

use std::collections::BTreeSet;

use belay_domain::ids::{StoreId, WarehouseId};
use belay_domain::policy::Weekday;
use belay_domain::store::{DaysOff, Warehouse};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::civil::Date;

use super::Conn;
use super::columns::{Json, Name};
use super::error::DbError;
use super::schema::warehouses;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = warehouses, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct WarehouseRow {
    store_id: Name<StoreId>,
    warehouse_id: Name<WarehouseId>,
    display_name: String,
    time_zone: String,
    version: u64,
    country_code: Option<String>,
    weekend: Json<BTreeSet<Weekday>>,
    holidays: Json<BTreeSet<Date>>,
}

impl From<&Warehouse> for WarehouseRow {
    fn from(warehouse: &Warehouse) -> Self {
        Self {
            store_id: Name(warehouse.store.clone()),
            warehouse_id: Name(warehouse.id.clone()),
            display_name: warehouse.display_name.clone(),
            time_zone: warehouse.time_zone.clone(),
            version: warehouse.version,
            country_code: warehouse.country_code.clone(),
            weekend: Json(warehouse.days_off.weekend.clone()),
            holidays: Json(warehouse.days_off.holidays.clone()),
        }
    }
}

impl From<WarehouseRow> for Warehouse {
    fn from(row: WarehouseRow) -> Self {
        Self {
            store: row.store_id.0,
            id: row.warehouse_id.0,
            display_name: row.display_name,
            time_zone: row.time_zone,
            country_code: row.country_code,
            days_off: DaysOff {
                weekend: row.weekend.0,
                holidays: row.holidays.0,
            },
            version: row.version,
        }
    }
}

pub async fn get(
    conn: &mut Conn,
    store: &StoreId,
    warehouse: &WarehouseId,
) -> Result<Option<Warehouse>, DbError> {
    let query = warehouses::table
        .find((store.as_str(), warehouse.as_str()))
        .select(WarehouseRow::as_select());
    Ok(query.first(conn).await.optional()?.map(Warehouse::from))
}

/// By id, after this one.
pub async fn list(
    conn: &mut Conn,
    store: &StoreId,
    after: Option<&WarehouseId>,
    limit: u16,
) -> Result<Vec<Warehouse>, DbError> {
    let query = warehouses::table.filter(warehouses::store_id.eq(store.as_str()));
    let query = query.filter(warehouses::warehouse_id.gt(after.map_or("", WarehouseId::as_str)));
    let query = query
        .order(warehouses::warehouse_id)
        .limit(limit.into())
        .select(WarehouseRow::as_select());
    Ok(query
        .load(conn)
        .await?
        .into_iter()
        .map(Warehouse::from)
        .collect())
}

/// Fails with class `Duplicate` if the store has a warehouse of this id.
pub async fn insert(conn: &mut Conn, warehouse: &Warehouse) -> Result<(), DbError> {
    diesel::insert_into(warehouses::table)
        .values(WarehouseRow::from(warehouse))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes a warehouse over the one that was loaded at this version, or fails with class
/// `VersionConflict`.
pub async fn update(
    conn: &mut Conn,
    warehouse: &Warehouse,
    loaded_version: u64,
) -> Result<(), DbError> {
    let stored = warehouses::table.find((warehouse.store.as_str(), warehouse.id.as_str()));
    let matched = diesel::update(stored.filter(warehouses::version.eq(loaded_version)))
        .set((
            warehouses::display_name.eq(&warehouse.display_name),
            warehouses::time_zone.eq(&warehouse.time_zone),
            warehouses::country_code.eq(&warehouse.country_code),
            warehouses::weekend.eq(Json(&warehouse.days_off.weekend)),
            warehouses::holidays.eq(Json(&warehouse.days_off.holidays)),
            warehouses::version.eq(warehouse.version),
        ))
        .execute(conn)
        .await?;
    DbError::unless_all_matched(matched, 1)
}
