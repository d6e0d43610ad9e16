//! The stock of warehouses: for sellers and warehouses.

use belay_proto::v1 as pb;

use super::macros::{call, list};
use crate::call::Call;
use crate::ids::{IntoId, WarehouseId};
use crate::model::{Stock, StockEntry, StockHolder};
use crate::store::Store;
use crate::wire::read;

/// # Stock
impl Store {
    /// Sets what is on hand of a SKU in a warehouse to what was counted: 0 to 1,000,000,000, units
    /// included that are reserved and have not left. Takes up a SKU again that was archived or
    /// zeroed.
    ///
    /// Stock is told, not asked: no order is refused for want of it. Fails with
    /// `WarehouseNotFound`, `RequestIdReused`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let stock = store.set_stock("main", "MUG", 40).await?;
    /// println!("{} may be sold", stock.available_quantity);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_stock(
        &self,
        warehouse_id: impl IntoId<WarehouseId>,
        sku: impl Into<String>,
        quantity: i32,
    ) -> SetStock {
        let (store_id, mut errors) = self.begin();
        let request = pb::SetStockRequest {
            store_id,
            warehouse_id: errors.id("warehouse_id", warehouse_id),
            sku: sku.into(),
            quantity,
            ..Default::default()
        };
        SetStock(Call::new(&self.belay, request, errors))
    }

    /// Says that a SKU is not sold from a warehouse any more: nothing of it is available. Orders go
    /// on. [`set_stock`](Self::set_stock) takes it up again. Fails with `WarehouseNotFound`,
    /// `RequestIdReused`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let stock = store.archive_sku("main", "MUG").await?;
    /// println!("{}", stock.archived);
    /// # Ok(())
    /// # }
    /// ```
    pub fn archive_sku(
        &self,
        warehouse_id: impl IntoId<WarehouseId>,
        sku: impl Into<String>,
    ) -> ArchiveSku {
        let (store_id, mut errors) = self.begin();
        let request = pb::ArchiveSkuRequest {
            store_id,
            warehouse_id: errors.id("warehouse_id", warehouse_id),
            sku: sku.into(),
            ..Default::default()
        };
        ArchiveSku(Call::new(&self.belay, request, errors))
    }

    /// Gets what is there of a SKU in a warehouse; zeros of one that nothing is known of. It
    /// follows orders a moment later. Fails with `WarehouseNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let stock = store.get_stock("main", "MUG").await?;
    /// println!("{} on hand, {} reserved", stock.on_hand_quantity, stock.reserved_quantity);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_stock(
        &self,
        warehouse_id: impl IntoId<WarehouseId>,
        sku: impl Into<String>,
    ) -> GetStock {
        let (store_id, mut errors) = self.begin();
        let request = pb::GetStockRequest {
            store_id,
            warehouse_id: errors.id("warehouse_id", warehouse_id),
            sku: sku.into(),
        };
        GetStock(Call::new(&self.belay, request, errors))
    }

    /// Lists the stock of the store, by warehouse and SKU. Fails with `WarehouseNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for stock in store.list_stock().warehouse_id("main").await? {
    ///     println!("{}: {}", stock.sku, stock.available_quantity);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_stock(&self) -> ListStock {
        let (store_id, errors) = self.begin();
        let request = pb::ListStockRequest {
            store_id,
            ..Default::default()
        };
        ListStock(Call::new(&self.belay, request, errors))
    }

    /// Lists the ledger of a SKU in a warehouse, the latest entry first. Fails with
    /// `WarehouseNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for entry in store.list_stock_entries("main", "MUG").await? {
    ///     println!("{}: {}", entry.entry_time, entry.kind);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_stock_entries(
        &self,
        warehouse_id: impl IntoId<WarehouseId>,
        sku: impl Into<String>,
    ) -> ListStockEntries {
        let (store_id, mut errors) = self.begin();
        let request = pb::ListStockEntriesRequest {
            store_id,
            warehouse_id: errors.id("warehouse_id", warehouse_id),
            sku: sku.into(),
            ..Default::default()
        };
        ListStockEntries(Call::new(&self.belay, request, errors))
    }

    /// Lists the shipments that wait for a SKU in a warehouse. After an OUT_OF_STOCK these are the
    /// other orders that cannot be sent. Fails with `WarehouseNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for holder in store.list_stock_holders("main", "MUG").await? {
    ///     println!("{} waits for {}", holder.order_id, holder.quantity);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_stock_holders(
        &self,
        warehouse_id: impl IntoId<WarehouseId>,
        sku: impl Into<String>,
    ) -> ListStockHolders {
        let (store_id, mut errors) = self.begin();
        let request = pb::ListStockHoldersRequest {
            store_id,
            warehouse_id: errors.id("warehouse_id", warehouse_id),
            sku: sku.into(),
            ..Default::default()
        };
        ListStockHolders(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Store::set_stock`].
    SetStock(pb::SetStockRequest) -> Stock, [request_id];
    |response| read(response.stock, "stock")
}
call! {
    /// Made by [`Store::archive_sku`].
    ArchiveSku(pb::ArchiveSkuRequest) -> Stock, [request_id];
    |response| read(response.stock, "stock")
}
call! {
    /// Made by [`Store::get_stock`].
    GetStock(pb::GetStockRequest) -> Stock;
    |response| read(response.stock, "stock")
}
list! {
    /// Made by [`Store::list_stock`].
    ListStock(pb::ListStockRequest) -> Stock;
    stocks
}
list! {
    /// Made by [`Store::list_stock_entries`].
    ListStockEntries(pb::ListStockEntriesRequest) -> StockEntry;
    entries
}
list! {
    /// Made by [`Store::list_stock_holders`].
    ListStockHolders(pb::ListStockHoldersRequest) -> StockHolder;
    holders
}

impl ListStock {
    /// Only of this warehouse.
    pub fn warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.0.request.warehouse_id = self.0.errors.id("warehouse_id", warehouse_id);
        self
    }

    /// Archived SKUs too.
    pub fn show_archived(mut self) -> Self {
        self.0.request.show_archived = true;
        self
    }
}
