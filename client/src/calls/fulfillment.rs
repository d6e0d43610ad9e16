//! Shipments on their way out: for warehouses, carriers and sellers.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::call::{Call, call, guarded, keyed, paged};
use crate::ids::{CarrierId, IntoId, OrderId, SellerId, ShipmentId, WarehouseId};
use crate::model::{Page, Shipment, ShipmentStage, TrackingFact, Written, read_page, read_written};
use crate::store::Store;
use crate::wire::{read, time_to_wire};

/// # Fulfilment
impl Store {
    /// Gets one shipment. Fails with `OrderNotFound`, `ShipmentNotFound`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let shipment = store.get_shipment("A-1:s1").await?;
    /// println!("{} at fence {}", shipment.stage, shipment.fence);
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_shipment(&self, shipment_id: impl IntoId<ShipmentId>) -> GetShipment {
        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
        GetShipment(Call::new(
            &self.belay,
            pb::GetShipmentRequest {
                store_id,
                shipment_id,
            },
            faults,
        ))
    }

    /// Lists shipments, newest first. All given filters must match. Fails with `PageTokenInvalid`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::ShipmentStage;
    ///
    /// let to_pack = store.list_shipments().warehouse_id("main").stage(ShipmentStage::Planned).await?;
    /// println!("{} to pack", to_pack.items.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn list_shipments(&self) -> ListShipments {
        let (store_id, faults) = self.begin();
        ListShipments(Call::new(
            &self.belay,
            pb::ListShipmentsRequest {
                store_id,
                ..Default::default()
            },
            faults,
        ))
    }

    /// Says that the warehouse begins to pack. A shipment that is being prepared already is fine.
    /// Fails with `ShipmentNotFound`, `EtagMismatch`, `FenceStale`, `PaymentLapsed`, `NotReleased`,
    /// `StageMismatch`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let shipment = store.start_preparation("A-1:s1").await?;
    /// println!("pack {} lines", shipment.contents.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn start_preparation(&self, shipment_id: impl IntoId<ShipmentId>) -> StartPreparation {
        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
        let request = pb::StartPreparationRequest {
            store_id,
            shipment_id,
            ..Default::default()
        };
        StartPreparation(Call::new(&self.belay, request, faults))
    }

    /// Says that the shipment is packed. A shipment that is ready already is fine. Fails as
    /// [`start_preparation`](Self::start_preparation) does.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let shipment = store.mark_ready("A-1:s1").await?;
    /// println!("{}", shipment.stage);
    /// # Ok(())
    /// # }
    /// ```
    pub fn mark_ready(&self, shipment_id: impl IntoId<ShipmentId>) -> MarkReady {
        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
        let request = pb::MarkReadyRequest {
            store_id,
            shipment_id,
            ..Default::default()
        };
        MarkReady(Call::new(&self.belay, request, faults))
    }

    /// Asks to hand the shipment to the carrier, naming the fence that the warehouse last saw. Only
    /// after an `Ok` may the parcel leave: of a cancellation and a dispatch that meet, exactly one
    /// succeeds.
    ///
    /// Fails with `FenceStale` when something opened or ended on the shipment meanwhile, and with
    /// `PaymentLapsed`, `NotReleased`, `StageMismatch`, `ShipmentHeld`, `ShipmentBarred`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let packed = store.get_shipment("A-1:s1").await?;
    /// let gone = store.dispatch_shipment(&packed.shipment_id, packed.fence).tracking_number("JD0146000").await?;
    /// println!("{}", gone.stage);
    /// # Ok(())
    /// # }
    /// ```
    pub fn dispatch_shipment(
        &self,
        shipment_id: impl IntoId<ShipmentId>,
        fence: i64,
    ) -> DispatchShipment {
        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
        let request = pb::DispatchShipmentRequest {
            store_id,
            shipment_id,
            fence,
            ..Default::default()
        };
        DispatchShipment(Call::new(&self.belay, request, faults))
    }

    /// Records what a carrier or warehouse scanned. It is a fact: it is recorded whatever the
    /// stage, and the stage follows where it can.
    ///
    /// The carrier's id of the event, 1 to 128 printable ASCII characters without spaces, counts
    /// once for the shipment. Fails with `ShipmentNotFound`, `RequestIdReused`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::TrackingFact;
    ///
    /// let shipment = store.record_tracking("A-1:s1", "scan-9", TrackingFact::Delivered).await?;
    /// println!("{}", shipment.stage);
    /// # Ok(())
    /// # }
    /// ```
    pub fn record_tracking(
        &self,
        shipment_id: impl IntoId<ShipmentId>,
        carrier_event_id: impl Into<String>,
        fact: TrackingFact,
    ) -> RecordTracking {
        let (store_id, mut faults) = self.begin();
        let request = pb::RecordTrackingRequest {
            store_id,
            shipment_id: faults.id("shipment_id", shipment_id.into_id()),
            carrier_event_id: carrier_event_id.into(),
            fact: fact.to_wire(),
            ..Default::default()
        };
        RecordTracking(Call::new(&self.belay, request, faults))
    }
}

call! {
    /// Made by [`Store::get_shipment`].
    GetShipment(pb::GetShipmentRequest) -> Shipment,
    |answer| read(answer.shipment, "shipment")
}
call! {
    /// Made by [`Store::list_shipments`].
    ListShipments(pb::ListShipmentsRequest) -> Page<Shipment>,
    |answer| read_page(answer.shipments, answer.next_page_token)
}
call! {
    /// Made by [`Store::start_preparation`].
    StartPreparation(pb::StartPreparationRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
call! {
    /// Made by [`Store::mark_ready`].
    MarkReady(pb::MarkReadyRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
call! {
    /// Made by [`Store::dispatch_shipment`].
    DispatchShipment(pb::DispatchShipmentRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
call! {
    /// Made by [`Store::record_tracking`].
    RecordTracking(pb::RecordTrackingRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
keyed!(
    StartPreparation,
    MarkReady,
    DispatchShipment,
    RecordTracking
);
paged!(ListShipments -> Shipment);

impl ListShipments {
    /// Only those of this order.
    pub fn order_id(mut self, order_id: impl IntoId<OrderId>) -> Self {
        self.0.request.order_id = self.0.faults.id("order_id", order_id.into_id());
        self
    }

    /// Only those of this warehouse.
    pub fn warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.0.request.warehouse_id = self.0.faults.id("warehouse_id", warehouse_id.into_id());
        self
    }

    /// Only those of this carrier.
    pub fn carrier_id(mut self, carrier_id: impl IntoId<CarrierId>) -> Self {
        self.0.request.carrier_id = self.0.faults.id("carrier_id", carrier_id.into_id());
        self
    }

    /// Only those of this seller's orders.
    pub fn seller_id(mut self, seller_id: impl IntoId<SellerId>) -> Self {
        self.0.request.seller_id = self.0.faults.id("seller_id", seller_id.into_id());
        self
    }

    /// Only those at this stage.
    pub fn stage(mut self, stage: ShipmentStage) -> Self {
        self.0.request.stage = stage.to_wire();
        self
    }
}

macro_rules! fenced {
    ($($name:ident),+) => {$(
        impl $name {
            /// The fence that the caller last saw, 1 or greater: the step fails with `FenceStale`
            /// if it has grown since. Not compared unless set.
            pub fn fence(mut self, fence: i64) -> Self {
                self.0.request.fence = fence;
                self
            }
        }
    )+};
}
pub(super) use fenced;

fenced!(StartPreparation, MarkReady);
guarded!(StartPreparation, MarkReady, DispatchShipment);

impl DispatchShipment {
    /// The carrier's tracking number: at most 128 printable ASCII characters without spaces.
    pub fn tracking_number(mut self, tracking_number: impl Into<String>) -> Self {
        self.0.request.tracking_number = tracking_number.into();
        self
    }
}

impl RecordTracking {
    /// When it was scanned, by the carrier's account. Now unless set.
    pub fn occurred_time(mut self, instant: Timestamp) -> Self {
        self.0.request.occurred_time = Some(time_to_wire(instant));
        self
    }
}
