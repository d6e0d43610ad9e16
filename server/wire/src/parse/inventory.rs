//! Requests of the InventoryService.

use belay_domain::ids::{Sku, StoreId, WarehouseId};
use belay_domain::stock::{EntryKind, QUANTITY_MAX, StockKey};
use belay_proto::v1 as pb;
use uuid::Uuid;

use super::envelope::{Reader, store_id};
use super::lists::{ListRequest, asked_page};
use super::{Parsed, Violations, id, optional_id, parse, request_id};

/// A caller's statement about a SKU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TellingRequest {
    pub key: StockKey,
    /// COUNTED or ARCHIVED.
    pub kind: EntryKind,
    pub quantity: u32,
    pub request_id: Option<Uuid>,
}

pub fn set_stock(request: pb::SetStockRequest, _: &Reader<'_>) -> Parsed<TellingRequest> {
    parse(|v| {
        let key = key(v, [request.store_id, request.warehouse_id, request.sku]);
        let quantity = quantity(v, request.quantity);
        let request_id = request_id(v, &request.request_id);
        Some(TellingRequest {
            key: key?,
            kind: EntryKind::Counted,
            quantity: quantity?,
            request_id: request_id?,
        })
    })
}

pub fn archive_sku(request: pb::ArchiveSkuRequest, _: &Reader<'_>) -> Parsed<TellingRequest> {
    parse(|v| {
        let key = key(v, [request.store_id, request.warehouse_id, request.sku]);
        let request_id = request_id(v, &request.request_id);
        Some(TellingRequest {
            key: key?,
            kind: EntryKind::Archived,
            quantity: 0,
            request_id: request_id?,
        })
    })
}

pub fn get_stock(request: pb::GetStockRequest, _: &Reader<'_>) -> Parsed<StockKey> {
    parse(|v| key(v, [request.store_id, request.warehouse_id, request.sku]))
}

/// The filter of the stock that is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockFilter {
    pub warehouse: Option<WarehouseId>,
    pub with_archived: bool,
}

pub fn list_stock(
    mut request: pb::ListStockRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<StockFilter>> {
    let page = asked_page!("ListStock", request, reader);
    page.list(&request.store_id, |v, _| {
        let warehouse = request.warehouse_id;
        let warehouse = optional_id(v, "warehouse_id", warehouse, WarehouseId::parse);
        Some(StockFilter {
            warehouse: warehouse?,
            with_archived: request.show_archived,
        })
    })
}

pub fn list_stock_entries(
    mut request: pb::ListStockEntriesRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<StockKey>> {
    let page = asked_page!("ListStockEntries", request, reader);
    page.list(&request.store_id, |v, store| {
        key_in(v, store, request.warehouse_id, request.sku)
    })
}

pub fn list_stock_holders(
    mut request: pb::ListStockHoldersRequest,
    reader: &Reader<'_>,
) -> Parsed<ListRequest<StockKey>> {
    let page = asked_page!("ListStockHolders", request, reader);
    page.list(&request.store_id, |v, store| {
        key_in(v, store, request.warehouse_id, request.sku)
    })
}

fn key(v: &mut Violations, [store, warehouse, sku]: [String; 3]) -> Option<StockKey> {
    let store = store_id(v, &store);
    key_in(v, store, warehouse, sku)
}

/// `store` is None where it was refused.
fn key_in(
    v: &mut Violations,
    store: Option<StoreId>,
    warehouse: String,
    sku: String,
) -> Option<StockKey> {
    let warehouse = id(v, "warehouse_id", warehouse, WarehouseId::parse);
    let sku = id(v, "sku", sku, Sku::parse);
    Some(StockKey {
        store: store?,
        warehouse: warehouse?,
        sku: sku?,
    })
}

fn quantity(v: &mut Violations, quantity: i32) -> Option<u32> {
    match u32::try_from(quantity) {
        Ok(quantity) if quantity <= QUANTITY_MAX => Some(quantity),
        Ok(_) | Err(_) => v.refuse(
            "quantity",
            format!("must be from 0 to {QUANTITY_MAX}, is {quantity}"),
        ),
    }
}
