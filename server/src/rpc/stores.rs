//! The StoreService.

use std::sync::Arc;

use belay_domain::ids::{CarrierId, StoreId, WarehouseId};
use belay_domain::scope::IdFilter;
use belay_domain::store::{Carrier, Warehouse};
use belay_proto::v1 as pb;
use belay_proto::v1::store_service_server::StoreService;
use belay_wire::parse::ListRequest;
use belay_wire::parse::stores as parse;
use belay_wire::render::administration as render;
use belay_wire::status::CallError;
use prost::Message;
use serde::de::DeserializeOwned;
use tonic::Request;

use super::call::{Call, MethodResult, answer};
use crate::App;
use crate::admin::records;
use crate::admin::stores::{self, StoreView};
use crate::queries::records::{self as queries, StoreRecord};

#[derive(Debug)]
pub(super) struct Stores {
    pub(super) app: Arc<App>,
}

#[tonic::async_trait]
impl StoreService for Stores {
    async fn create_store(
        &self,
        request: Request<pb::CreateStoreRequest>,
    ) -> MethodResult<pb::CreateStoreResponse> {
        answer(async {
            let (call, new) = self.app.read(request, parse::create_store)?;
            call.check_store(&new.id)?;
            let created = stores::create(&self.app, &call.caller.actor, new).await?;
            let store = Some(shown(&created));
            Ok(pb::CreateStoreResponse { store })
        })
        .await
    }

    async fn get_store(
        &self,
        request: Request<pb::GetStoreRequest>,
    ) -> MethodResult<pb::GetStoreResponse> {
        answer(async {
            let (call, id) = self.app.read(request, parse::get_store)?;
            let store = Some(shown(&self.store(&call, &id).await?));
            Ok(pb::GetStoreResponse { store })
        })
        .await
    }

    async fn list_stores(
        &self,
        request: Request<pb::ListStoresRequest>,
    ) -> MethodResult<pb::ListStoresResponse> {
        answer(async {
            let (call, page) = self.app.read(request, parse::list_stores)?;
            let _turn = self.app.page_turn(&call).await?;
            let seen = &call.caller.scope.stores;
            let found = stores::list(&self.app, seen, page.after()?, page.limit()).await?;
            let rendered = |view: &StoreView| Some(shown(view));
            let id = |view: &StoreView| view.store.id.clone();
            let (stores, next_page_token) = page.cut(&found, rendered, id);
            Ok(pb::ListStoresResponse {
                stores,
                next_page_token,
            })
        })
        .await
    }

    async fn update_store(
        &self,
        request: Request<pb::UpdateStoreRequest>,
    ) -> MethodResult<pb::UpdateStoreResponse> {
        answer(async {
            let (call, (id, changes)) = self.app.read(request, parse::update_store)?;
            call.check_store(&id)?;
            let store = Some(shown(&stores::update(&self.app, &id, changes).await?));
            Ok(pb::UpdateStoreResponse { store })
        })
        .await
    }

    async fn put_carrier(
        &self,
        request: Request<pb::PutCarrierRequest>,
    ) -> MethodResult<pb::PutCarrierResponse> {
        answer(async {
            let (call, put) = self.app.read(request, parse::put_carrier)?;
            self.app.config(&call, &put.record.store).await?;
            let put = records::put(&self.app, put).await?;
            let carrier = Some(render::carrier(&put));
            Ok(pb::PutCarrierResponse { carrier })
        })
        .await
    }

    async fn list_carriers(
        &self,
        request: Request<pb::ListCarriersRequest>,
    ) -> MethodResult<pb::ListCarriersResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_carriers)?;
            let seen = &call.caller.scope.carriers;
            let page = self.records::<Carrier, CarrierId, _>((&call, seen), &list, render::carrier);
            let (carriers, next_page_token) = page.await?;
            Ok(pb::ListCarriersResponse {
                carriers,
                next_page_token,
            })
        })
        .await
    }

    async fn put_warehouse(
        &self,
        request: Request<pb::PutWarehouseRequest>,
    ) -> MethodResult<pb::PutWarehouseResponse> {
        answer(async {
            let (call, new) = self.app.read(request, parse::put_warehouse)?;
            let store = self.store(&call, &new.store).await?.store;
            let put = new.in_store(&store);
            let put = records::put(&self.app, put).await?;
            let warehouse = Some(render::warehouse(&put));
            Ok(pb::PutWarehouseResponse { warehouse })
        })
        .await
    }

    async fn list_warehouses(
        &self,
        request: Request<pb::ListWarehousesRequest>,
    ) -> MethodResult<pb::ListWarehousesResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_warehouses)?;
            let seen = &call.caller.scope.warehouses;
            let page =
                self.records::<Warehouse, WarehouseId, _>((&call, seen), &list, render::warehouse);
            let (warehouses, next_page_token) = page.await?;
            Ok(pb::ListWarehousesResponse {
                warehouses,
                next_page_token,
            })
        })
        .await
    }
}

fn shown(view: &StoreView) -> pb::Store {
    render::store(&view.store, &view.activations, view.now)
}

impl Stores {
    /// One that the caller sees.
    async fn store(&self, call: &Call, id: &StoreId) -> Result<StoreView, CallError> {
        call.check_store(id)?;
        stores::get(&self.app, id).await
    }

    /// A page of a store's records, those that the caller sees.
    async fn records<R, Id, Entry>(
        &self,
        (call, seen): (&Call, &IdFilter<Id>),
        list: &ListRequest<()>,
        render: impl Fn(&R) -> Entry,
    ) -> Result<(Vec<Entry>, String), CallError>
    where
        R: StoreRecord<Id = Id>,
        Id: DeserializeOwned + serde::Serialize + Clone + Send + Sync,
        Entry: Message,
    {
        self.app.config(call, &list.store).await?;
        let after: Option<Id> = list.page.after()?;
        let _turn = self.app.page_turn(call).await?;
        let (of, limit) = ((&list.store, seen), list.page.limit());
        let records: Vec<R> = queries::list(&self.app, of, after.as_ref(), limit).await?;
        let rendered = |record: &R| Some(render(record));
        Ok(list
            .page
            .cut(&records, rendered, |record| record.id().clone()))
    }
}
