//! The warehouses of a store. May run anywhere; one row at a time.

use std::collections::BTreeSet;

use belay_domain::calendar::Weekday;
use belay_domain::ids::{StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::store::{DaysOff, Warehouse};
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use jiff::civil::Date;

use super::columns::{Json, Name};
use super::error::DbError;
use super::schema::warehouses;
use super::{Conn, StoreRecord};

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

impl StoreRecord for Warehouse {
    type Id = WarehouseId;

    fn store(&self) -> &StoreId {
        &self.store
    }

    fn id(&self) -> &WarehouseId {
        &self.id
    }

    async fn get(
        conn: &mut Conn,
        store: &StoreId,
        id: &WarehouseId,
    ) -> Result<Option<Warehouse>, DbError> {
        let query = warehouses::table
            .find((store.as_str(), id.as_str()))
            .select(WarehouseRow::as_select());
        Ok(query.first(conn).await.optional()?.map(Warehouse::from))
    }

    async fn list(
        conn: &mut Conn,
        (store, seen): (&StoreId, &IdFilter<WarehouseId>),
        after: Option<&WarehouseId>,
        limit: u16,
    ) -> Result<Vec<Warehouse>, DbError> {
        let query = warehouses::table.filter(warehouses::store_id.eq(store.as_str()));
        let query =
            query.filter(warehouses::warehouse_id.gt(after.map_or("", WarehouseId::as_str)));
        let mut query = query.into_boxed();
        if let IdFilter::Only(seen) = seen {
            query =
                query.filter(warehouses::warehouse_id.eq_any(seen.iter().map(WarehouseId::as_str)));
        }
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

    async fn insert(&self, conn: &mut Conn) -> Result<(), DbError> {
        diesel::insert_into(warehouses::table)
            .values(WarehouseRow::from(self))
            .execute(conn)
            .await?;
        Ok(())
    }

    async fn update(&self, conn: &mut Conn, loaded_version: u64) -> Result<(), DbError> {
        let stored = warehouses::table.find((self.store.as_str(), self.id.as_str()));
        let matched = diesel::update(stored.filter(warehouses::version.eq(loaded_version)))
            .set((
                warehouses::display_name.eq(&self.display_name),
                warehouses::time_zone.eq(&self.time_zone),
                warehouses::country_code.eq(&self.country_code),
                warehouses::weekend.eq(Json(&self.days_off.weekend)),
                warehouses::holidays.eq(Json(&self.days_off.holidays)),
                warehouses::version.eq(self.version),
            ))
            .execute(conn)
            .await?;
        DbError::unless_all_matched(matched, 1)
    }
}
