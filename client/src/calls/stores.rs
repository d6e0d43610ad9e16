//! Stores with their carriers and warehouses: for operators.

use belay_proto::v1 as pb;
use jiff::civil::Date;

use super::macros::{call, list};
use crate::argument_errors::ArgumentErrors;
use crate::belay::Belay;
use crate::call::Call;
use crate::ids::{CarrierId, Etag, IntoId, StoreId, WarehouseId};
use crate::model::{Carrier, Money, Store as StoreSettings, Warehouse, Weekday};
use crate::store::Store;
use crate::wire::read;

/// # Stores
impl Belay {
    /// Creates a store with its first policy, active at once, and with its default warehouse and
    /// carrier, so that it can take orders at once.
    ///
    /// Idempotent by store id: a repeat with the same fields returns the present store. Fails with
    /// `PresetNotFound`, `OutOfScope`, `PolicyInvalid`, `StoreAlreadyExists`.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::FirstPolicy;
    ///
    /// let policy = FirstPolicy::preset("independent-site");
    /// let store = belay.create_store("shop", policy).time_zone("Europe/Berlin").await?;
    /// println!("policy version {}", store.active_policy_version);
    /// # Ok(())
    /// # }
    /// ```
    pub fn create_store(&self, store_id: impl IntoId<StoreId>, policy: FirstPolicy) -> CreateStore {
        let mut errors = ArgumentErrors::default();
        let store_id = errors.id("store_id", store_id);
        let request = pb::CreateStoreRequest {
            store_id,
            policy: Some(policy.0),
            ..Default::default()
        };
        CreateStore(Call::new(self, request, errors))
    }

    /// Lists the stores, by id.
    ///
    /// ```no_run
    /// # async fn example(belay: belay_client::Belay) -> Result<(), belay_client::Error> {
    /// for store in belay.list_stores().page_size(10).await? {
    ///     println!("{}: {}", store.store_id, store.display_name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_stores(&self) -> ListStores {
        ListStores(Call::new(
            self,
            pb::ListStoresRequest::default(),
            ArgumentErrors::default(),
        ))
    }
}

/// # Settings
impl Store {
    /// Gets the store's own settings. Fails with `StoreNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// println!("{}", store.get_store().await?.display_name);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_store(&self) -> GetStore {
        let (store_id, errors) = self.begin();
        GetStore(Call::new(
            &self.belay,
            pb::GetStoreRequest { store_id },
            errors,
        ))
    }

    /// Changes the store's own settings: those that are set; the others stay. Fails with
    /// `EtagMismatch`, and with `InvalidField` for a default warehouse or carrier that the store
    /// does not have.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let present = store.get_store().await?;
    /// let renamed = store.update_store().display_name("Belay & Sons").etag(&present.etag).await?;
    /// println!("{}", renamed.etag);
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_store(&self) -> UpdateStore {
        let (store_id, errors) = self.begin();
        UpdateStore(Call::new(
            &self.belay,
            pb::UpdateStoreRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Creates a carrier of the store, or replaces its settings. Its name has 1 to 128 characters
    /// and is for people. Fails with `OutOfScope`, `EtagMismatch`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let carrier = store.put_carrier("parcel-post", "Parcel Post").in_transit_cancel().await?;
    /// println!("{}", carrier.etag);
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_carrier(
        &self,
        carrier_id: impl IntoId<CarrierId>,
        display_name: impl Into<String>,
    ) -> PutCarrier {
        let (store_id, mut errors) = self.begin();
        let carrier_id = errors.id("carrier.carrier_id", carrier_id);
        let carrier = pb::Carrier {
            carrier_id,
            display_name: display_name.into(),
            ..Default::default()
        };
        let request = pb::PutCarrierRequest {
            store_id,
            carrier: Some(carrier),
        };
        PutCarrier(Call::new(&self.belay, request, errors))
    }

    /// Lists the store's carriers, by id.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for carrier in store.list_carriers().await? {
    ///     println!("{}", carrier.display_name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_carriers(&self) -> ListCarriers {
        let (store_id, errors) = self.begin();
        ListCarriers(Call::new(
            &self.belay,
            pb::ListCarriersRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Creates a warehouse of the store, or replaces its settings. Its name has 1 to 128 characters
    /// and is for people. Fails with `OutOfScope`, `EtagMismatch`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let warehouse = store.put_warehouse("north", "North").time_zone("Europe/Oslo").await?;
    /// println!("{}", warehouse.time_zone);
    /// # Ok(())
    /// # }
    /// ```
    pub fn put_warehouse(
        &self,
        warehouse_id: impl IntoId<WarehouseId>,
        display_name: impl Into<String>,
    ) -> PutWarehouse {
        let (store_id, mut errors) = self.begin();
        let warehouse_id = errors.id("warehouse.warehouse_id", warehouse_id);
        let warehouse = pb::Warehouse {
            warehouse_id,
            display_name: display_name.into(),
            ..Default::default()
        };
        let request = pb::PutWarehouseRequest {
            store_id,
            warehouse: Some(warehouse),
        };
        PutWarehouse(Call::new(&self.belay, request, errors))
    }

    /// Lists the store's warehouses, by id.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// for warehouse in store.list_warehouses().await? {
    ///     println!("{}", warehouse.display_name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_warehouses(&self) -> ListWarehouses {
        let (store_id, errors) = self.begin();
        ListWarehouses(Call::new(
            &self.belay,
            pb::ListWarehousesRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }
}

call! {
    /// Made by [`Belay::create_store`].
    CreateStore(pb::CreateStoreRequest) -> StoreSettings;
    |response| read(response.store, "store")
}
call! {
    /// Made by [`Store::get_store`].
    GetStore(pb::GetStoreRequest) -> StoreSettings;
    |response| read(response.store, "store")
}
list! {
    /// Made by [`Belay::list_stores`].
    ListStores(pb::ListStoresRequest) -> StoreSettings;
    stores
}
call! {
    /// Made by [`Store::update_store`].
    UpdateStore(pb::UpdateStoreRequest) -> StoreSettings;
    |response| read(response.store, "store")
}
call! {
    /// Made by [`Store::put_carrier`].
    PutCarrier(pb::PutCarrierRequest) -> Carrier;
    |response| read(response.carrier, "carrier")
}
list! {
    /// Made by [`Store::list_carriers`].
    ListCarriers(pb::ListCarriersRequest) -> Carrier;
    carriers
}
call! {
    /// Made by [`Store::put_warehouse`].
    PutWarehouse(pb::PutWarehouseRequest) -> Warehouse;
    |response| read(response.warehouse, "warehouse")
}
list! {
    /// Made by [`Store::list_warehouses`].
    ListWarehouses(pb::ListWarehousesRequest) -> Warehouse;
    warehouses
}

/// The first policy of a store.
#[derive(Debug, Clone)]
pub struct FirstPolicy(pb::create_store_request::Policy);

impl FirstPolicy {
    /// A preset of the server, by its name, such as `independent-site`.
    pub fn preset(preset: impl Into<String>) -> Self {
        Self(pb::create_store_request::Policy::Preset(preset.into()))
    }

    /// A document, YAML or JSON, at most 256 KiB.
    pub fn document(document: impl Into<String>) -> Self {
        Self(pb::create_store_request::Policy::Document(document.into()))
    }
}

impl CreateStore {
    /// The name for people: at most 128 characters. The store id unless set.
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.0.request.display_name = display_name.into();
        self
    }

    /// The IANA name of its time zone, such as `Europe/Berlin`. `UTC` unless set.
    pub fn time_zone(mut self, time_zone: impl Into<String>) -> Self {
        self.0.request.time_zone = time_zone.into();
        self
    }

    /// The id of the default warehouse. `main` unless set.
    pub fn default_warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.0.request.default_warehouse_id =
            self.0.errors.id("default_warehouse_id", warehouse_id);
        self
    }

    /// The id of the default carrier. `standard` unless set.
    pub fn default_carrier_id(mut self, carrier_id: impl IntoId<CarrierId>) -> Self {
        self.0.request.default_carrier_id = self.0.errors.id("default_carrier_id", carrier_id);
        self
    }

    /// Lets the role `Storefront` record payments, for a shop that is its own payment system.
    /// Without this, only `Payments` and `Operator` may.
    pub fn storefront_records_payments(mut self) -> Self {
        self.0.request.storefront_records_payments = true;
        self
    }
}

impl UpdateStore {
    /// The name for people: 1 to 128 characters.
    pub fn display_name(mut self, display_name: impl Into<String>) -> Self {
        self.0.request.display_name = display_name.into();
        self
    }

    /// The IANA name of its time zone, such as `Europe/Berlin`. Warehouses keep theirs.
    pub fn time_zone(mut self, time_zone: impl Into<String>) -> Self {
        self.0.request.time_zone = time_zone.into();
        self
    }

    /// The warehouse of orders that name no shipments; one of the store's.
    pub fn default_warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.0.request.default_warehouse_id =
            self.0.errors.id("default_warehouse_id", warehouse_id);
        self
    }

    /// The carrier of orders that name no shipments; one of the store's.
    pub fn default_carrier_id(mut self, carrier_id: impl IntoId<CarrierId>) -> Self {
        self.0.request.default_carrier_id = self.0.errors.id("default_carrier_id", carrier_id);
        self
    }

    /// Whether the role `Storefront` may record payments.
    pub fn storefront_records_payments(mut self, may: bool) -> Self {
        self.0.request.storefront_records_payments = Some(may);
        self
    }

    /// The store's etag that the decision is based on. The write fails with `EtagMismatch` if the
    /// store has changed since.
    pub fn etag(mut self, etag: impl Into<Etag>) -> Self {
        self.0.request.etag = etag.into().into();
        self
    }
}

impl PutCarrier {
    /// The carrier can intercept a parcel in transit. Without this, it cannot.
    pub fn in_transit_cancel(mut self) -> Self {
        self.carrier().in_transit_cancel = true;
        self
    }

    /// The carrier delivers as a partner of the sales channel. Without this, it is the seller's own
    /// choice.
    pub fn partner_delivery(mut self) -> Self {
        self.carrier().partner_delivery = true;
        self
    }

    /// The carrier has a prepaid label for parcels that come back from this country, an ISO 3166-1
    /// alpha-2 code such as `DE`. A buyer who bears the way back is charged the price. At most 300
    /// countries, none of them twice.
    pub fn return_label(mut self, country_code: impl Into<String>, price: Money) -> Self {
        let label = pb::ReturnLabel {
            country_code: country_code.into(),
            price: Some(price.to_wire()),
        };
        self.carrier().return_labels.push(label);
        self
    }

    /// The same with a label that is free of charge.
    pub fn free_return_label(mut self, country_code: impl Into<String>) -> Self {
        self.carrier().return_labels.push(pb::ReturnLabel {
            country_code: country_code.into(),
            price: None,
        });
        self
    }

    /// The carrier's etag that the decision is based on. The write fails with `EtagMismatch` if the
    /// carrier has changed since, or does not exist.
    pub fn etag(mut self, etag: impl Into<Etag>) -> Self {
        self.carrier().etag = etag.into().into();
        self
    }

    fn carrier(&mut self) -> &mut pb::Carrier {
        self.0.request.carrier.get_or_insert_default()
    }
}

impl PutWarehouse {
    /// The IANA name of its time zone, such as `Asia/Shanghai`. The store's unless set.
    pub fn time_zone(mut self, time_zone: impl Into<String>) -> Self {
        self.warehouse().time_zone = time_zone.into();
        self
    }

    /// The warehouse's country: an ISO 3166-1 alpha-2 code such as `CN`. Unless set it is not
    /// known, and no shipment from it counts as crossing a border.
    pub fn country_code(mut self, country_code: impl Into<String>) -> Self {
        self.warehouse().country_code = country_code.into();
        self
    }

    /// The weekend: the days of the week without work, at most 6; none means work on all seven.
    /// Saturday and Sunday unless set.
    pub fn weekend(mut self, weekend: impl IntoIterator<Item = Weekday>) -> Self {
        self.calendar().weekend = weekend.into_iter().map(Weekday::to_wire).collect();
        self
    }

    /// The holidays: the dates without work, at most 1,000. None unless set.
    pub fn holidays(mut self, holidays: impl IntoIterator<Item = Date>) -> Self {
        self.calendar().holidays = holidays.into_iter().map(|date| date.to_string()).collect();
        self
    }

    /// The warehouse's etag that the decision is based on. The write fails with `EtagMismatch` if
    /// the warehouse has changed since, or does not exist.
    pub fn etag(mut self, etag: impl Into<Etag>) -> Self {
        self.warehouse().etag = etag.into().into();
        self
    }

    fn calendar(&mut self) -> &mut pb::WarehouseCalendar {
        let usual = || pb::WarehouseCalendar {
            weekend: [Weekday::Saturday, Weekday::Sunday]
                .map(Weekday::to_wire)
                .to_vec(),
            holidays: Vec::new(),
        };
        self.warehouse().calendar.get_or_insert_with(usual)
    }

    fn warehouse(&mut self) -> &mut pb::Warehouse {
        self.0.request.warehouse.get_or_insert_default()
    }
}
