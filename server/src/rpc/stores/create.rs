//! A store begins with several records, in one transaction.

use belay_domain::context;
use belay_domain::store::{Activation, Carrier, DaysOff, NewPolicy, Store, Warehouse};
use belay_proto::v1 as pb;
use jiff::Timestamp;
use prost::Message;

use super::{Stores, written};
use crate::db::error::{Class, DbError};
use crate::db::{Conn, carriers, policies, stores, transaction, warehouses};
use crate::rpc::read;
use crate::rpc::status::Failure;
use crate::wire::parse::stores::NewStore;
use crate::wire::render::administration as render;

/// What a store's first version is made of.
pub(super) struct FirstPolicy<'a> {
    pub(super) name: &'a str,
    pub(super) document: &'a str,
}

impl Stores {
    /// Nothing where there is a store of this id.
    pub(super) async fn create(
        &self,
        new: &NewStore,
        policy: &FirstPolicy<'_>,
    ) -> Result<Option<pb::Store>, Failure> {
        let mut conn = self.app.pool.checkout().await?;
        let write = async {
            transaction::begin_write(&mut conn).await?;
            let now = read::now(&self.app, &mut conn).await?;
            match insert(&mut conn, new, policy, now).await {
                Ok(created) => {
                    transaction::commit(&mut conn).await?;
                    Ok(Some(created))
                }
                Err(error) => {
                    if !error.class().ends_connection() {
                        transaction::rollback(&mut conn).await?;
                    }
                    if error.class() == Class::Duplicate {
                        Ok(None)
                    } else {
                        Err(error)
                    }
                }
            }
        }
        .await;
        conn.finish_with(write).map_err(written)
    }
}

/// All rows of a new store; `Duplicate` where there is one of this id.
async fn insert(
    conn: &mut Conn,
    new: &NewStore,
    policy: &FirstPolicy<'_>,
    now: Timestamp,
) -> Result<pb::Store, DbError> {
    let store = Store {
        id: new.id.clone(),
        display_name: new.display_name.clone(),
        time_zone: new.time_zone.clone(),
        default_warehouse: Some(new.warehouse.clone()),
        default_carrier: Some(new.carrier.clone()),
        version: 1,
        create_time: now,
        update_time: now,
        fingerprint: fingerprint(new),
    };
    stores::insert(conn, &store).await?;
    let warehouse = Warehouse {
        store: new.id.clone(),
        id: new.warehouse.clone(),
        display_name: new.warehouse.to_string(),
        time_zone: new.time_zone.clone(),
        country_code: None,
        days_off: DaysOff::usual(),
        version: 1,
    };
    warehouses::insert(conn, &warehouse).await?;
    let carrier = Carrier {
        store: new.id.clone(),
        id: new.carrier.clone(),
        display_name: new.carrier.to_string(),
        facts: context::Carrier::default(),
        version: 1,
    };
    carriers::insert(conn, &carrier).await?;
    let first = NewPolicy {
        store: new.id.clone(),
        name: policy.name.to_owned(),
        document: policy.document.to_owned(),
        create_time: now,
    };
    let version = policies::create(conn, first).await?.version;
    // Nobody can have decided anything in this store before, so its first policy needs no lead.
    let activation = Activation {
        effective_time: now,
        version,
    };
    policies::activate(conn, &new.id, activation, now).await?;
    Ok(render::store(&store, &[activation], now))
}

/// Of everything that was asked, so that a repeated CreateStore is told from another one with the
/// same id. A preset counts by its name: its document may change with a release.
pub(super) fn fingerprint(new: &NewStore) -> [u8; 32] {
    let request = pb::CreateStoreRequest {
        store_id: new.id.to_string(),
        display_name: new.display_name.clone(),
        time_zone: new.time_zone.clone(),
        default_warehouse_id: new.warehouse.to_string(),
        default_carrier_id: new.carrier.to_string(),
        policy: Some(new.policy.clone()),
    };
    *blake3::hash(&request.encode_to_vec()).as_bytes()
}
