//! The carriers of a store. May run anywhere; one row at a time.

use std::collections::BTreeMap;

use belay_domain::context::{self, ReturnLabel};
use belay_domain::ids::{CarrierId, StoreId};
use belay_domain::money::Money;
use belay_domain::scope::IdFilter;
use belay_domain::store::Carrier;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::columns::{Json, Name};
use super::error::DbError;
use super::schema::carriers;
use super::{Conn, StoreRecord};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = carriers, check_for_backend(Mysql), treat_none_as_default_value = false)]
struct CarrierRow {
    store_id: Name<StoreId>,
    carrier_id: Name<CarrierId>,
    display_name: String,
    in_transit_cancel: bool,
    partner_delivery: bool,
    version: u64,
    return_labels: Json<Labels>,
}

/// Their prices by country.
type Labels = BTreeMap<String, Option<Money>>;

fn labels_of(capabilities: &context::CarrierProfile) -> Json<Labels> {
    Json(
        capabilities
            .return_labels
            .iter()
            .map(|(country, label)| (country.clone(), label.price))
            .collect(),
    )
}

impl From<&Carrier> for CarrierRow {
    fn from(carrier: &Carrier) -> Self {
        Self {
            store_id: Name(carrier.store.clone()),
            carrier_id: Name(carrier.id.clone()),
            display_name: carrier.display_name.clone(),
            in_transit_cancel: carrier.capabilities.in_transit_cancel,
            partner_delivery: carrier.capabilities.partner_delivery,
            version: carrier.version,
            return_labels: labels_of(&carrier.capabilities),
        }
    }
}

impl From<CarrierRow> for Carrier {
    fn from(row: CarrierRow) -> Self {
        let labels = row
            .return_labels
            .0
            .into_iter()
            .map(|(country, price)| (country, ReturnLabel { price }));
        Self {
            store: row.store_id.0,
            id: row.carrier_id.0,
            display_name: row.display_name,
            capabilities: context::CarrierProfile {
                in_transit_cancel: row.in_transit_cancel,
                partner_delivery: row.partner_delivery,
                return_labels: labels.collect(),
            },
            version: row.version,
        }
    }
}

impl StoreRecord for Carrier {
    type Id = CarrierId;

    fn store(&self) -> &StoreId {
        &self.store
    }

    fn id(&self) -> &CarrierId {
        &self.id
    }

    async fn get(
        conn: &mut Conn,
        store: &StoreId,
        id: &CarrierId,
    ) -> Result<Option<Carrier>, DbError> {
        let query = carriers::table
            .find((store.as_str(), id.as_str()))
            .select(CarrierRow::as_select());
        Ok(query.first(conn).await.optional()?.map(Carrier::from))
    }

    async fn list(
        conn: &mut Conn,
        (store, seen): (&StoreId, &IdFilter<CarrierId>),
        after: Option<&CarrierId>,
        limit: u16,
    ) -> Result<Vec<Carrier>, DbError> {
        let query = carriers::table.filter(carriers::store_id.eq(store.as_str()));
        let query = query.filter(carriers::carrier_id.gt(after.map_or("", CarrierId::as_str)));
        let mut query = query.into_boxed();
        if let IdFilter::Only(seen) = seen {
            query = query.filter(carriers::carrier_id.eq_any(seen.iter().map(CarrierId::as_str)));
        }
        let query = query
            .order(carriers::carrier_id)
            .limit(limit.into())
            .select(CarrierRow::as_select());
        Ok(query
            .load(conn)
            .await?
            .into_iter()
            .map(Carrier::from)
            .collect())
    }

    async fn insert(&self, conn: &mut Conn) -> Result<(), DbError> {
        diesel::insert_into(carriers::table)
            .values(CarrierRow::from(self))
            .execute(conn)
            .await?;
        Ok(())
    }

    async fn update(&self, conn: &mut Conn, loaded_version: u64) -> Result<(), DbError> {
        let stored = carriers::table.find((self.store.as_str(), self.id.as_str()));
        let matched = diesel::update(stored.filter(carriers::version.eq(loaded_version)))
            .set((
                carriers::display_name.eq(&self.display_name),
                carriers::in_transit_cancel.eq(self.capabilities.in_transit_cancel),
                carriers::partner_delivery.eq(self.capabilities.partner_delivery),
                carriers::return_labels.eq(labels_of(&self.capabilities)),
                carriers::version.eq(self.version),
            ))
            .execute(conn)
            .await?;
        DbError::unless_all_matched(matched, 1)
    }
}
