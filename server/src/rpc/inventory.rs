//! The InventoryService.

use std::sync::Arc;

use belay_domain::ids::{OrderKey, StoreId, WarehouseId};
use belay_domain::stock::{EntryPlace, OpenHolding, Stock, StoredEntry};
use belay_proto::v1 as pb;
use belay_proto::v1::inventory_service_server::InventoryService;
use belay_wire::parse::inventory as parse;
use belay_wire::render;
use belay_wire::status::CallError;
use belay_wire::views::Viewer;
use tonic::Request;

use super::call::{Call, MethodResult, answer};
use crate::App;
use crate::admin::stock as admin;
use crate::queries::stock::{self as queries, StockQuery};

#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) app: Arc<App>,
}

impl Inventory {
    /// A warehouse that the caller does not see is not there.
    async fn check_warehouse(
        &self,
        call: &Call,
        store: &StoreId,
        warehouse: &WarehouseId,
    ) -> Result<(), CallError> {
        self.app.config(call, store).await?;
        let scope = &call.caller.scope;
        if queries::sees_warehouse(&self.app, scope, store, warehouse).await? {
            Ok(())
        } else {
            Err(CallError::WarehouseNotFound {
                warehouse: warehouse.clone(),
            })
        }
    }
}

#[tonic::async_trait]
impl InventoryService for Inventory {
    async fn set_stock(
        &self,
        request: Request<pb::SetStockRequest>,
    ) -> MethodResult<pb::SetStockResponse> {
        answer(async {
            let (call, asked) = self.app.read(request, parse::set_stock)?;
            self.check_warehouse(&call, &asked.key.store, &asked.key.warehouse)
                .await?;
            let stock = admin::tell(&self.app, call.caller.actor.clone(), asked).await?;
            let stock = Some(render::stock(&stock));
            Ok(pb::SetStockResponse { stock })
        })
        .await
    }

    async fn archive_sku(
        &self,
        request: Request<pb::ArchiveSkuRequest>,
    ) -> MethodResult<pb::ArchiveSkuResponse> {
        answer(async {
            let (call, asked) = self.app.read(request, parse::archive_sku)?;
            self.check_warehouse(&call, &asked.key.store, &asked.key.warehouse)
                .await?;
            let stock = admin::tell(&self.app, call.caller.actor.clone(), asked).await?;
            let stock = Some(render::stock(&stock));
            Ok(pb::ArchiveSkuResponse { stock })
        })
        .await
    }

    async fn get_stock(
        &self,
        request: Request<pb::GetStockRequest>,
    ) -> MethodResult<pb::GetStockResponse> {
        answer(async {
            let (call, key) = self.app.read(request, parse::get_stock)?;
            self.check_warehouse(&call, &key.store, &key.warehouse)
                .await?;
            let stock = queries::get(&self.app, key).await?;
            Ok(pb::GetStockResponse {
                stock: Some(render::stock(&stock)),
            })
        })
        .await
    }

    async fn list_stock(
        &self,
        request: Request<pb::ListStockRequest>,
    ) -> MethodResult<pb::ListStockResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_stock)?;
            let filter = list.filter;
            match &filter.warehouse {
                Some(warehouse) => self.check_warehouse(&call, &list.store, warehouse).await?,
                None => drop(self.app.config(&call, &list.store).await?),
            }
            let after = list.page.after()?;
            let query = StockQuery {
                store: list.store,
                warehouse: filter.warehouse,
                warehouses: call.caller.scope.warehouses.clone(),
                with_archived: filter.with_archived,
            };
            let _turn = self.app.page_turn(&call).await?;
            let found = queries::list(&self.app, &query, after, list.page.limit()).await?;
            let place = |stock: &Stock| (stock.key.warehouse.clone(), stock.key.sku.clone());
            let show = |stock: &Stock| Some(render::stock(stock));
            let (stocks, next_page_token) = list.page.cut(&found, show, place);
            Ok(pb::ListStockResponse {
                stocks,
                next_page_token,
            })
        })
        .await
    }

    async fn list_stock_entries(
        &self,
        request: Request<pb::ListStockEntriesRequest>,
    ) -> MethodResult<pb::ListStockEntriesResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_stock_entries)?;
            let key = list.filter;
            self.check_warehouse(&call, &key.store, &key.warehouse)
                .await?;
            let before = list.page.after()?.map(EntryPlace);
            let _turn = self.app.page_turn(&call).await?;
            let found = queries::entries(&self.app, &key, before, list.page.limit()).await?;
            let place = |stored: &StoredEntry| stored.entry.place.0;
            let viewer = Viewer::of_no_order(&call.caller.actor);
            let show = |stored: &StoredEntry| Some(render::stock_entry(&viewer, stored));
            let (entries, next_page_token) = list.page.cut(&found, show, place);
            Ok(pb::ListStockEntriesResponse {
                entries,
                next_page_token,
            })
        })
        .await
    }

    async fn list_stock_holders(
        &self,
        request: Request<pb::ListStockHoldersRequest>,
    ) -> MethodResult<pb::ListStockHoldersResponse> {
        answer(async {
            let (call, list) = self.app.read(request, parse::list_stock_holders)?;
            let key = list.filter;
            self.check_warehouse(&call, &key.store, &key.warehouse)
                .await?;
            let after: Option<([u8; 16], u32)> = list.page.after()?;
            let after = after.map(|(order, shipment)| (OrderKey(order), shipment));
            let (scope, limit) = (&call.caller.scope, list.page.limit());
            if !queries::sees_holders(scope) {
                return Ok(pb::ListStockHoldersResponse::default());
            }
            let _turn = self.app.page_turn(&call).await?;
            let found = queries::holders(&self.app, scope, &key, after, limit).await?;
            let place = |open: &OpenHolding| (open.order_key.0, open.shipment);
            let show = |open: &OpenHolding| Some(render::stock_holder(open));
            let (holders, next_page_token) = list.page.cut(&found, show, place);
            Ok(pb::ListStockHoldersResponse {
                holders,
                next_page_token,
            })
        })
        .await
    }
}
