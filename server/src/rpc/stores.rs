//! The StoreService. Its records are written one row at a time; only a store begins with several.

mod create;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use belay_domain::ids::{CarrierId, StoreId, WarehouseId};
use belay_domain::policy;
use belay_domain::rejection::FieldViolation;
use belay_domain::store::{Activation, Carrier, Store, Warehouse};
use belay_proto::v1 as pb;
use belay_proto::v1::create_store_request::Policy as PolicyChoice;
use belay_proto::v1::store_service_server::StoreService;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use self::create::{FirstPolicy, fingerprint};
use super::call::{Call, check_store, store_and_page_size, store_id};
use super::pages::{self, Scope};
use super::read::{self, Snapshot};
use super::status::Failure;
use crate::App;
use crate::db::error::{Class, DbError};
use crate::db::{carriers, policies, stores, warehouses};
use crate::presets;
use crate::wire::parse::stores::{
    StoreChanges, create_store, put_carrier, put_warehouse, update_store,
};
use crate::wire::parse::{self, lists};
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
                presets::find(name).ok_or_else(|| Failure::PresetNotFound {
                    preset: name.clone(),
                })?
            }
            PolicyChoice::Document(document) => document,
        };
        let policy = policy::parse(document).map_err(|faults| Failure::PolicyInvalid {
            field: "document",
            faults,
        })?;
        let first_policy = FirstPolicy {
            name: &policy.name,
            document,
        };

        let store = match self.create(&new, &first_policy).await? {
            Some(store) => store,
            // Somebody was faster, or has been here before.
            None => {
                let store = self.store(&call, &new.id).await?;
                if store.0.fingerprint != fingerprint(&new) {
                    return Err(Failure::StoreAlreadyExists {
                        store: new.id.to_string(),
                    }
                    .into());
                }
                render::store(&store.0, &store.1, store.2)
            }
        };
        refresh(&self.app, &new.id).await;
        Ok(Response::new(pb::CreateStoreResponse {
            store: Some(store),
        }))
    }

    async fn get_store(
        &self,
        request: Request<pb::GetStoreRequest>,
    ) -> Result<Response<pb::GetStoreResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let store = parse::parse(|v| store_id(v, &request.store_id)).map_err(Failure::from)?;
        let (store, activations, now) = self.store(&call, &store).await?;
        Ok(Response::new(pb::GetStoreResponse {
            store: Some(render::store(&store, &activations, now)),
        }))
    }

    async fn list_stores(
        &self,
        request: Request<pb::ListStoresRequest>,
    ) -> Result<Response<pb::ListStoresResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            mem::take(&mut request.page_size),
            mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListStores", &request);
        let page_size = parse::parse(|v| lists::page_size(v, page_size)).map_err(Failure::from)?;
        let after: Option<StoreId> = scope.open(&page_token)?;

        let mut snapshot = Snapshot::begin(&self.app).await.map_err(Failure::from)?;
        let read = async {
            let now = read::now(&self.app, snapshot.conn()).await?;
            let stores = stores::list(snapshot.conn(), after.as_ref(), page_size + 1).await?;
            let ids: Vec<&StoreId> = stores.iter().map(|store| &store.id).collect();
            let activations = policies::activations_of(snapshot.conn(), &ids).await?;
            Ok((stores, activations, now))
        }
        .await;
        let (stores, activations, now): (Vec<Store>, HashMap<StoreId, Vec<Activation>>, _) =
            snapshot.end(read).await?;
        let rendered = |store: &Store| {
            let activations = activations.get(&store.id).map_or(&[][..], Vec::as_slice);
            call.caller
                .scope
                .sees_store(&store.id)
                .then(|| render::store(store, activations, now))
        };
        let (stores, next_page_token) =
            pages::cut_by_key(&scope, &stores, page_size, rendered, |store| {
                store.id.clone()
            });
        Ok(Response::new(pb::ListStoresResponse {
            stores,
            next_page_token,
        }))
    }

    async fn update_store(
        &self,
        request: Request<pb::UpdateStoreRequest>,
    ) -> Result<Response<pb::UpdateStoreResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, changes) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let changes = update_store(v, request);
            Some((store?, changes?))
        })
        .map_err(Failure::from)?;
        let (present, activations, now) = self.store(&call, &store).await?;
        let wanted = changed(&present, &changes);
        if wanted == present {
            let store = Some(render::store(&present, &activations, now));
            return Ok(Response::new(pb::UpdateStoreResponse { store }));
        }
        self.check_defaults(&present, &wanted).await?;
        if changes
            .expected_version
            .is_some_and(|expected| expected != present.version)
        {
            return Err(Failure::EtagMismatch {
                present: etag(present.version),
            }
            .into());
        }
        let stored = Store {
            version: present.version + 1,
            update_time: now.max(present.update_time),
            ..wanted
        };
        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let write = stores::update(&mut conn, &stored, present.version).await;
        conn.finish_with(write).map_err(written)?;
        refresh(&self.app, &stored.id).await;
        let store = Some(render::store(&stored, &activations, now));
        Ok(Response::new(pb::UpdateStoreResponse { store }))
    }

    async fn put_carrier(
        &self,
        request: Request<pb::PutCarrierRequest>,
    ) -> Result<Response<pb::PutCarrierResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, wanted) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let carrier = put_carrier(v, request.carrier);
            Some((store?, carrier?))
        })
        .map_err(Failure::from)?;
        let store = self.store(&call, &store).await?.0;
        check_route(call.caller.scope.carriers.holds(&wanted.id))?;

        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let write = async {
            let present = carriers::get(&mut conn, &store.id, &wanted.id).await?;
            let version = present.as_ref().map(|present| present.version);
            let carrier = |version| Carrier {
                store: store.id.clone(),
                id: wanted.id.clone(),
                display_name: wanted.display_name.clone(),
                facts: wanted.facts.clone(),
                version,
            };
            Ok(match present {
                Some(present) if present == carrier(present.version) => Put::Stands(present),
                _ if wanted.expected_version.is_some() && wanted.expected_version != version => {
                    Put::Stale(version)
                }
                Some(present) => {
                    carriers::update(&mut conn, &carrier(present.version + 1), present.version)
                        .await?;
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
        Ok(Response::new(pb::PutCarrierResponse {
            carrier: Some(render::carrier(&carrier)),
        }))
    }

    async fn list_carriers(
        &self,
        request: Request<pb::ListCarriersRequest>,
    ) -> Result<Response<pb::ListCarriersResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            mem::take(&mut request.page_size),
            mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListCarriers", &request);
        let (store, page_size) = store_and_page_size(&request.store_id, page_size)?;
        let store = self.store(&call, &store).await?.0;
        let after: Option<CarrierId> = scope.open(&page_token)?;

        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let read = carriers::list(&mut conn, &store.id, after.as_ref(), page_size + 1).await;
        let carriers = conn.finish_with(read).map_err(Failure::from)?;
        let key = |carrier: &Carrier| carrier.id.clone();
        let is_seen = |carrier: &Carrier| call.caller.scope.carriers.holds(&carrier.id);
        let rendered = |carrier: &Carrier| is_seen(carrier).then(|| render::carrier(carrier));
        let (carriers, next_page_token) =
            pages::cut_by_key(&scope, &carriers, page_size, rendered, key);
        Ok(Response::new(pb::ListCarriersResponse {
            carriers,
            next_page_token,
        }))
    }

    async fn put_warehouse(
        &self,
        request: Request<pb::PutWarehouseRequest>,
    ) -> Result<Response<pb::PutWarehouseResponse>, Status> {
        let (call, request) = Call::of(request)?;
        let (store, wanted) = parse::parse(|v| {
            let store = store_id(v, &request.store_id);
            let warehouse = put_warehouse(v, request.warehouse);
            Some((store?, warehouse?))
        })
        .map_err(Failure::from)?;
        let store = self.store(&call, &store).await?.0;
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
                country_code: wanted.country_code.clone(),
                days_off: wanted.days_off.clone(),
                version,
            };
            Ok(match present {
                Some(present) if present == warehouse(present.version) => Put::Stands(present),
                _ if wanted.expected_version.is_some() && wanted.expected_version != version => {
                    Put::Stale(version)
                }
                Some(present) => {
                    warehouses::update(&mut conn, &warehouse(present.version + 1), present.version)
                        .await?;
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
        Ok(Response::new(pb::PutWarehouseResponse {
            warehouse: Some(render::warehouse(&warehouse)),
        }))
    }

    async fn list_warehouses(
        &self,
        request: Request<pb::ListWarehousesRequest>,
    ) -> Result<Response<pb::ListWarehousesResponse>, Status> {
        let (call, mut request) = Call::of(request)?;
        let (page_size, page_token) = (
            mem::take(&mut request.page_size),
            mem::take(&mut request.page_token),
        );
        let scope = Scope::new(&self.app, "ListWarehouses", &request);
        let (store, page_size) = store_and_page_size(&request.store_id, page_size)?;
        let store = self.store(&call, &store).await?.0;
        let after: Option<WarehouseId> = scope.open(&page_token)?;

        let mut conn = self.app.pool.checkout().await.map_err(Failure::from)?;
        let read = warehouses::list(&mut conn, &store.id, after.as_ref(), page_size + 1).await;
        let warehouses = conn.finish_with(read).map_err(Failure::from)?;
        let key = |warehouse: &Warehouse| warehouse.id.clone();
        let is_seen = |warehouse: &Warehouse| call.caller.scope.warehouses.holds(&warehouse.id);
        let rendered =
            |warehouse: &Warehouse| is_seen(warehouse).then(|| render::warehouse(warehouse));
        let (warehouses, next_page_token) =
            pages::cut_by_key(&scope, &warehouses, page_size, rendered, key);
        Ok(Response::new(pb::ListWarehousesResponse {
            warehouses,
            next_page_token,
        }))
    }
}

impl Stores {
    async fn store(
        &self,
        call: &Call,
        id: &StoreId,
    ) -> Result<(Store, Vec<Activation>, Timestamp), Failure> {
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
            (None, ..) => Err(Failure::StoreNotFound {
                store: id.to_string(),
            }),
        }
    }

    /// Orders that name no shipments go by these, so the store must have them. Nothing ever takes
    /// them away again.
    async fn check_defaults(&self, present: &Store, wanted: &Store) -> Result<(), Failure> {
        let mut conn = self.app.pool.checkout().await?;
        let read = async {
            let mut unknown: Vec<FieldViolation> = Vec::new();
            let mut missing = |field: &str, description: String| {
                unknown.push(FieldViolation {
                    field: field.to_owned(),
                    description,
                });
            };
            if let Some(id) = wanted
                .default_warehouse
                .as_ref()
                .filter(|id| present.default_warehouse.as_ref() != Some(*id))
                && warehouses::get(&mut conn, &wanted.id, id).await?.is_none()
            {
                missing(
                    "default_warehouse_id",
                    format!("the store has no warehouse {id}"),
                );
            }
            if let Some(id) = wanted
                .default_carrier
                .as_ref()
                .filter(|id| present.default_carrier.as_ref() != Some(*id))
                && carriers::get(&mut conn, &wanted.id, id).await?.is_none()
            {
                missing(
                    "default_carrier_id",
                    format!("the store has no carrier {id}"),
                );
            }
            Ok(unknown)
        }
        .await;
        match conn.finish_with(read)? {
            unknown if unknown.is_empty() => Ok(()),
            unknown => Err(Failure::invalid_fields(unknown)),
        }
    }
}

fn changed(present: &Store, changes: &StoreChanges) -> Store {
    let StoreChanges {
        display_name,
        time_zone,
        warehouse,
        carrier,
        expected_version: _,
    } = changes.clone();
    Store {
        display_name: display_name.unwrap_or_else(|| present.display_name.clone()),
        time_zone: time_zone.unwrap_or_else(|| present.time_zone.clone()),
        default_warehouse: warehouse.or_else(|| present.default_warehouse.clone()),
        default_carrier: carrier.or_else(|| present.default_carrier.clone()),
        ..present.clone()
    }
}

/// A carrier or warehouse is changed by those who see it.
fn check_route(is_seen: bool) -> Result<(), Failure> {
    if is_seen {
        Ok(())
    } else {
        Err(Failure::OutOfScope)
    }
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
            Put::Stale(present) => Err(Failure::EtagMismatch {
                present: present.map(etag).unwrap_or_default(),
            }),
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
        | Class::Denied
        | Class::TooManyConnections
        | Class::Unavailable
        | Class::Corrupt
        | Class::Statement => Failure::from(error),
    }
}

/// Lets this server decide by what was just written. Where it fails, it happens with the next round
/// of reading.
pub(super) async fn refresh(app: &App, store: &StoreId) {
    if let Err(error) = app.stores.refresh(store).await {
        tracing::debug!(store.id = %store, %error, "reference data could not be read again after a write");
    }
}
