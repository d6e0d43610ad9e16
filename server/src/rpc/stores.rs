//! The StoreService. Its records are written one row at a time; a store begins with several, in one transaction.

use std::sync::Arc;

use belay_domain::ids::StoreId;
use belay_domain::policy;
use belay_proto::v1 as pb;
use belay_proto::v1::create_store_request::Policy as PolicyChoice;
use belay_proto::v1::store_service_server::StoreService;
use jiff::Timestamp;
use prost::Message;
use tonic::{Request, Response, Status};

use super::call::{Call, check_store, store_id};
use super::read::{self, Snapshot};
use super::status::Failure;
use crate::App;
use crate::db::carriers::{self, Carrier};
use crate::db::error::{Class, DbError};
use crate::db::policies::{self, Activation, NewPolicy};
use crate::db::stores::{self, Store};
use crate::db::warehouses::{self, Warehouse};
use crate::db::{Conn, transaction};
use crate::presets;
use crate::wire::parse;
use crate::wire::parse::stores::{NewStore, create_store, put_carrier, put_warehouse};
use crate::wire::render::administration as render;
use crate::wire::values::etag;

#[derive(Debug)]
pub(super) struct Stores {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl StoreService for Stores {
    async fn create_store(
        &self,
        request: Request<pb::CreateStoreRequest>,
    ) -> Result<Response<pb::CreateStoreResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let new = parse::parse(|v| create_store(v, request)).map_err(Failure::from)?;
        check_store(&call, &new.id)?;
        check_route(call.caller.scope.sees_route(&new.warehouse, &new.carrier))?;
        let document = match &new.policy {
            PolicyChoice::Preset(name) => {
                presets::find(name).ok_or_else(|| Failure::PresetNotFound { preset: name.clone() })?
            }
            PolicyChoice::Document(document) => document,
        };
        let policy = policy::parse(document).map_err(|faults| Failure::PolicyInvalid { field: "document", faults })?;
        let first_policy = FirstPolicy { name: &policy.name, document };

        let store = match self.create(&new, &first_policy).await? {
            Some(store) => store,
            // Somebody was faster, or has been here before.
            None => {
                let store = self.store(&call, &new.id).await?;
                if store.0.fingerprint != fingerprint(&new) {
                    return Err(Failure::StoreAlreadyExists { store: new.id.to_string() }.into());
                }
                render::store(&store.0, &store.1, store.2)
            }
        };
        refresh(&self.app, &new.id).await;
        Ok(Response::new(pb::CreateStoreResponse { store: Some(store) }))
    }

    async fn get_store(&self, request: Request<pb::GetStoreRequest>) -> Result<Response<pb::GetStoreResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, activations, now) = self.store(&call, &store_id(request.store_id)?).await?;
        Ok(Response::new(pb::GetStoreResponse { store: Some(render::store(&store, &activations, now)) }))
    }

    async fn put_carrier(
        &self,
        request: Request<pb::PutCarrierRequest>,
    ) -> Result<Response<pb::PutCarrierResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let store = self.store(&call, &store_id(request.store_id)?).await?.0;
        let wanted = parse::parse(|v| put_carrier(v, request.carrier)).map_err(Failure::from)?;
        check_route(call.caller.scope.carriers.holds(&wanted.id))?;

        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let write = async {
            let present = carriers::get(&mut conn, &store.id, &wanted.id).await?;
            let version = present.as_ref().map(|present| present.version);
            let carrier = |version| Carrier {
                store: store.id.clone(),
                id: wanted.id.clone(),
                display_name: wanted.display_name.clone(),
                facts: wanted.facts,
                version,
            };
            Ok(match present {
                Some(present) if present == carrier(present.version) => Put::Stands(present),
                _ if wanted.expected_version.is_some() && wanted.expected_version != version => Put::Stale(version),
                Some(present) => {
                    carriers::update(&mut conn, &carrier(present.version + 1), present.version).await?;
                    Put::Stands(carrier(present.version + 1))
                }
                None => {
                    carriers::insert(&mut conn, &carrier(1)).await?;
                    Put::Stands(carrier(1))
                }
            })
        }
        .await;
        let carrier = conn.finish_with(write).map_err(written)?.into_result()?;
        refresh(&self.app, &store.id).await;
        Ok(Response::new(pb::PutCarrierResponse { carrier: Some(render::carrier(&carrier)) }))
    }

    async fn put_warehouse(
        &self,
        request: Request<pb::PutWarehouseRequest>,
    ) -> Result<Response<pb::PutWarehouseResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let store = self.store(&call, &store_id(request.store_id)?).await?.0;
        let wanted = parse::parse(|v| put_warehouse(v, request.warehouse)).map_err(Failure::from)?;
        check_route(call.caller.scope.warehouses.holds(&wanted.id))?;
        let time_zone = wanted.time_zone.unwrap_or(store.time_zone);

        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let write = async {
            let present = warehouses::get(&mut conn, &store.id, &wanted.id).await?;
            let version = present.as_ref().map(|present| present.version);
            let warehouse = |version| Warehouse {
                store: store.id.clone(),
                id: wanted.id.clone(),
                display_name: wanted.display_name.clone(),
                time_zone: time_zone.clone(),
                version,
            };
            Ok(match present {
                Some(present) if present == warehouse(present.version) => Put::Stands(present),
                _ if wanted.expected_version.is_some() && wanted.expected_version != version => Put::Stale(version),
                Some(present) => {
                    warehouses::update(&mut conn, &warehouse(present.version + 1), present.version).await?;
                    Put::Stands(warehouse(present.version + 1))
                }
                None => {
                    warehouses::insert(&mut conn, &warehouse(1)).await?;
                    Put::Stands(warehouse(1))
                }
            })
        }
        .await;
        let warehouse = conn.finish_with(write).map_err(written)?.into_result()?;
        refresh(&self.app, &store.id).await;
        Ok(Response::new(pb::PutWarehouseResponse { warehouse: Some(render::warehouse(&warehouse)) }))
    }
}

/// What a store's first version is made of.
struct FirstPolicy<'a> {
    name: &'a str,
    document: &'a str,
}

impl Stores {
    async fn store(&self, call: &Call, id: &StoreId) -> Result<(Store, Vec<Activation>, Timestamp), Failure> {
        check_store(call, id)?;
        let mut snapshot = Snapshot::begin(&self.app).await?;
        let read = async {
            let now = read::now(&self.app, snapshot.conn()).await?;
            let activations = policies::activations(snapshot.conn(), id).await?;
            Ok((stores::get(snapshot.conn(), id).await?, activations, now))
        }
        .await;
        match snapshot.end(read).await? {
            (Some(store), activations, now) => Ok((store, activations, now)),
            (None, ..) => Err(Failure::StoreNotFound { store: id.to_string() }),
        }
    }

    /// Nothing where there is a store of this id.
    async fn create(&self, new: &NewStore, policy: &FirstPolicy<'_>) -> Result<Option<pb::Store>, Failure> {
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
                    if error.class() == Class::Duplicate { Ok(None) } else { Err(error) }
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
        version: 1,
    };
    warehouses::insert(conn, &warehouse).await?;
    let carrier = Carrier {
        store: new.id.clone(),
        id: new.carrier.clone(),
        display_name: new.carrier.to_string(),
        facts: policy::CarrierFacts::default(),
        version: 1,
    };
    carriers::insert(conn, &carrier).await?;
    let first = NewPolicy {
        store: new.id.clone(),
        name: policy.name.to_owned(),
        document: policy.document.to_owned(),
        create_time: now,
    };
    let version = policies::insert_version(conn, &first).await?;
    // Nobody can have decided anything in this store before, so its first policy needs no lead.
    let activation = Activation { effective_time: now, version };
    policies::activate(conn, &new.id, activation, now).await?;
    Ok(render::store(&store, &[activation], now))
}

/// A carrier or warehouse is changed by those who see it.
fn check_route(is_seen: bool) -> Result<(), Failure> {
    if is_seen { Ok(()) } else { Err(Failure::OutOfScope) }
}

/// Of everything that was asked, so that a repeated CreateStore is told from another one with the same id. A preset counts by
/// its name: its document may change with a release.
fn fingerprint(new: &NewStore) -> [u8; 32] {
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

/// What came of a put.
enum Put<T> {
    Stands(T),
    /// The etag was out of date; the present version, if there is one.
    Stale(Option<u64>),
}

impl<T> Put<T> {
    fn into_result(self) -> Result<T, Failure> {
        match self {
            Put::Stands(record) => Ok(record),
            Put::Stale(present) => Err(Failure::EtagMismatch { present: present.map(etag).unwrap_or_default() }),
        }
    }
}

/// The failure of an administration write.
pub(super) fn written(error: DbError) -> Failure {
    match error.class() {
        Class::ConnectionLost => Failure::OutcomeUnknown { request_id: None },
        // Somebody wrote the same record in between.
        Class::Duplicate => Failure::Contention,
        Class::Deadlock
        | Class::LockWait
        | Class::RowBusy
        | Class::VersionConflict
        | Class::ReadOnly
        | Class::TooManyConnections
        | Class::Unavailable
        | Class::Corrupt
        | Class::Statement => Failure::from(error),
    }
}

/// Lets this server decide by what was just written. Where it fails, it happens with the next round of reading.
pub(super) async fn refresh(app: &App, store: &StoreId) {
    if let Err(error) = app.stores.refresh(store).await {
        tracing::warn!(store.id = %store, %error, "reference data could not be read again after a write");
    }
}
