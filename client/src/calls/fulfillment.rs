//! Shipments, from the warehouse to the buyer and back: for warehouses, carriers and sellers.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use self::answers::{InterceptAnswer, Parcel, StopAnswer};
use super::line_quantities::line_quantities;
use super::macros::{call, list};
use crate::call::Call;
use crate::ids::{
    CancellationId, CarrierId, IntoId, LineId, OrderId, SellerId, ShipmentId, WarehouseId,
};
use crate::model::{
    GoodsCondition, Shipment, ShipmentStage, SplitOff, TrackingFact, Written, read_request_id,
    read_written,
};
use crate::store::Store;
use crate::wire::{read, read_all, time_to_wire};

pub(crate) mod answers;

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
        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        GetShipment(Call::new(
            &self.belay,
            pb::GetShipmentRequest {
                store_id,
                shipment_id,
            },
            errors,
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
        let (store_id, errors) = self.begin();
        ListShipments(Call::new(
            &self.belay,
            pb::ListShipmentsRequest {
                store_id,
                ..Default::default()
            },
            errors,
        ))
    }

    /// Starts the preparation of a shipment: the warehouse begins to pack. A repeat is `Ok`. Fails
    /// with `ShipmentNotFound`, `EtagMismatch`, `FenceStale`, `PaymentLapsed`, `NotReleased`,
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
        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        let request = pb::StartPreparationRequest {
            store_id,
            shipment_id,
            ..Default::default()
        };
        StartPreparation(Call::new(&self.belay, request, errors))
    }

    /// Marks a shipment as packed. A repeat is `Ok`. Fails as
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
        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        let request = pb::MarkReadyRequest {
            store_id,
            shipment_id,
            ..Default::default()
        };
        MarkReady(Call::new(&self.belay, request, errors))
    }

    /// Dispatches a shipment: asks to hand it to the carrier, with the fence that the warehouse
    /// last saw. The parcel may leave only after an `Ok`. Of a cancellation and a dispatch at the
    /// same time, exactly one succeeds.
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
        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        let request = pb::DispatchShipmentRequest {
            store_id,
            shipment_id,
            fence,
            ..Default::default()
        };
        DispatchShipment(Call::new(&self.belay, request, errors))
    }

    /// Records a scan by a carrier or warehouse. It is a fact: it is recorded at any stage, and the
    /// stage follows if it can.
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
        let (store_id, mut errors) = self.begin();
        let request = pb::RecordTrackingRequest {
            store_id,
            shipment_id: errors.id("shipment_id", shipment_id),
            carrier_event_id: carrier_event_id.into(),
            fact: fact.to_wire(),
            ..Default::default()
        };
        RecordTracking(Call::new(&self.belay, request, errors))
    }
}

/// # Holds, splits, stops and returns
impl Store {
    /// Holds a shipment: it is not dispatched before `hold_until`, at most 30 days from now. It may
    /// be packed meanwhile. A second hold replaces the time of the first.
    ///
    /// Fails with `ShipmentNotFound`, `EtagMismatch`, `FenceStale`, `StageMismatch`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let in_an_hour = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    /// let held = store.hold_shipment("A-1:s1", in_an_hour).note("address in doubt").await?;
    /// println!("{:?}", held.hold);
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold_shipment(
        &self,
        shipment_id: impl IntoId<ShipmentId>,
        hold_until: Timestamp,
    ) -> HoldShipment {
        let (store_id, mut errors) = self.begin();
        let request = pb::HoldShipmentRequest {
            store_id,
            shipment_id: errors.id("shipment_id", shipment_id),
            hold_until: Some(time_to_wire(hold_until)),
            ..Default::default()
        };
        HoldShipment(Call::new(&self.belay, request, errors))
    }

    /// Ends a hold before its time. `Ok` if the shipment is not held. Fails with
    /// `ShipmentNotFound`, `EtagMismatch`, `FenceStale`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// let free = store.release_hold("A-1:s1").await?;
    /// println!("{} at fence {}", free.stage, free.fence);
    /// # Ok(())
    /// # }
    /// ```
    pub fn release_hold(&self, shipment_id: impl IntoId<ShipmentId>) -> ReleaseHold {
        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        let request = pb::ReleaseHoldRequest {
            store_id,
            shipment_id,
            ..Default::default()
        };
        ReleaseHold(Call::new(&self.belay, request, errors))
    }

    /// Splits a shipment into several, 2 to 50, which together hold every unit of it that is not
    /// cancelled. Money and units stay the same.
    ///
    /// Fails with `ShipmentNotFound`, `EtagMismatch`, `FenceStale`, `QuantityUnavailable`,
    /// `StageMismatch`, `ShipmentBarred`, `SplitNotAllowed`, `LimitReached`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::Parcel;
    ///
    /// let split = store.split_shipment("A-1:s1", [Parcel::of("A-1:l1", 3), Parcel::of("A-1:l1", 2)]).await?;
    /// for shipment in &split.into_shipments {
    ///     println!("{}", shipment.shipment_id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn split_shipment(
        &self,
        shipment_id: impl IntoId<ShipmentId>,
        parcels: impl IntoIterator<Item = Parcel>,
    ) -> SplitShipment {
        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        let parcels = parcels.into_iter().enumerate().map(|(index, parcel)| {
            errors.within(&format!("parcels[{index}]"), parcel.errors);
            pb::Parcel {
                contents: parcel.contents,
            }
        });
        let parcels = parcels.collect();
        let request = pb::SplitShipmentRequest {
            store_id,
            shipment_id,
            parcels,
            ..Default::default()
        };
        SplitShipment(Call::new(&self.belay, request, errors))
    }

    /// Answers the open stops of a shipment: it was stopped in whole or in part, or it cannot be
    /// stopped. The answer is a fact: it is recorded even when it is late.
    ///
    /// Fails with `ShipmentNotFound`, `CancellationNotFound`, `QuantityUnavailable`, `GateNotOpen`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::Stopped;
    /// use belay_client::model::ShipmentStage;
    ///
    /// let stopped = Stopped::all().stage_seen(ShipmentStage::Ready).put_back([("A-1:l1", 2)]);
    /// let shipment = store.answer_stop("A-1:s1", stopped).await?;
    /// println!("{}, not to be handed over: {}", shipment.stage, shipment.do_not_hand_over);
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer_stop(
        &self,
        shipment_id: impl IntoId<ShipmentId>,
        answer: impl Into<StopAnswer>,
    ) -> AnswerStop {
        use pb::answer_stop_request::Answer;

        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        let answer = Some(match answer.into() {
            StopAnswer::Stopped(stopped) => {
                errors.within("stopped", stopped.errors);
                Answer::Stopped(stopped.message)
            }
            StopAnswer::CannotStop { code } => Answer::CannotStop(pb::CannotStop {
                code: code.unwrap_or_default(),
            }),
        });
        let request = pb::AnswerStopRequest {
            store_id,
            shipment_id,
            answer,
            ..Default::default()
        };
        AnswerStop(Call::new(&self.belay, request, errors))
    }

    /// Answers the intercept of a parcel: the carrier brings it back, or cannot. The answer is a
    /// fact: it is recorded even when it is late.
    ///
    /// Fails with `ShipmentNotFound`, `GateNotOpen`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::calls::InterceptAnswer;
    ///
    /// let shipment = store.answer_intercept("A-1:s1", InterceptAnswer::Confirmed).await?;
    /// println!("{:?}", shipment.intercept);
    /// # Ok(())
    /// # }
    /// ```
    pub fn answer_intercept(
        &self,
        shipment_id: impl IntoId<ShipmentId>,
        answer: InterceptAnswer,
    ) -> AnswerIntercept {
        use pb::answer_intercept_request::Answer;

        let (store_id, mut errors) = self.begin();
        let shipment_id = errors.id("shipment_id", shipment_id);
        let answer = Some(match answer {
            InterceptAnswer::Confirmed => Answer::Confirmed(pb::InterceptConfirmed {}),
            InterceptAnswer::CannotIntercept { code } => {
                Answer::CannotIntercept(pb::CannotIntercept {
                    code: code.unwrap_or_default(),
                })
            }
        });
        let request = pb::AnswerInterceptRequest {
            store_id,
            shipment_id,
            answer,
            ..Default::default()
        };
        AnswerIntercept(Call::new(&self.belay, request, errors))
    }

    /// Records that goods of a shipment are back at the warehouse. These are all units that waiting
    /// cancellations expect back, or else all that are out, unless
    /// [`quantities`](ReceiveParcel::quantities) is set. If a parcel comes in several boxes,
    /// [`receipt_id`](ReceiveParcel::receipt_id) tells a repeat from another box. `Ok` if the
    /// parcel is back already.
    ///
    /// Fails with `ShipmentNotFound`, `QuantityUnavailable`, `StageMismatch`, `LimitReached`.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store) -> Result<(), belay_client::Error> {
    /// use belay_client::model::GoodsCondition;
    ///
    /// let shipment = store.receive_parcel("A-1:s1", GoodsCondition::Opened).quantities([("A-1:l1", 1)]).await?;
    /// println!("{}", shipment.stage);
    /// # Ok(())
    /// # }
    /// ```
    pub fn receive_parcel(
        &self,
        shipment_id: impl IntoId<ShipmentId>,
        condition: GoodsCondition,
    ) -> ReceiveParcel {
        let (store_id, mut errors) = self.begin();
        let request = pb::ReceiveParcelRequest {
            store_id,
            shipment_id: errors.id("shipment_id", shipment_id),
            condition: condition.to_wire(),
            ..Default::default()
        };
        ReceiveParcel(Call::new(&self.belay, request, errors))
    }
}

call! {
    /// Made by [`Store::get_shipment`].
    GetShipment(pb::GetShipmentRequest) -> Shipment;
    |response| read(response.shipment, "shipment")
}
list! {
    /// Made by [`Store::list_shipments`].
    ListShipments(pb::ListShipmentsRequest) -> Shipment, [freshness];
    shipments
}
call! {
    /// Made by [`Store::start_preparation`].
    StartPreparation(pb::StartPreparationRequest) -> Written<Shipment>, [request_id, etag, fence];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::mark_ready`].
    MarkReady(pb::MarkReadyRequest) -> Written<Shipment>, [request_id, etag, fence];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::dispatch_shipment`].
    DispatchShipment(pb::DispatchShipmentRequest) -> Written<Shipment>, [request_id, etag];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::record_tracking`].
    RecordTracking(pb::RecordTrackingRequest) -> Written<Shipment>, [request_id];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::hold_shipment`].
    HoldShipment(pb::HoldShipmentRequest) -> Written<Shipment>, [request_id, etag, fence, note];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::release_hold`].
    ReleaseHold(pb::ReleaseHoldRequest) -> Written<Shipment>, [request_id, etag, fence];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::split_shipment`].
    SplitShipment(pb::SplitShipmentRequest) -> SplitOff, [request_id, etag, fence];
    |response, position| Ok(SplitOff {
        shipment: read(response.shipment, "shipment")?,
        into_shipments: read_all(response.into_shipments)?,
        request_id: read_request_id(&response.request_id)?,
        position,
    })
}
call! {
    /// Made by [`Store::answer_stop`].
    AnswerStop(pb::AnswerStopRequest) -> Written<Shipment>, [request_id, note];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::answer_intercept`].
    AnswerIntercept(pb::AnswerInterceptRequest) -> Written<Shipment>, [request_id, note];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}
call! {
    /// Made by [`Store::receive_parcel`].
    ReceiveParcel(pb::ReceiveParcelRequest) -> Written<Shipment>, [request_id, note];
    |response, position| read_written(response.shipment, "shipment", &response.request_id, position)
}

impl ListShipments {
    /// Only those of this order.
    pub fn order_id(mut self, order_id: impl IntoId<OrderId>) -> Self {
        self.0.request.order_id = self.0.errors.id("order_id", order_id);
        self
    }

    /// Only those of this warehouse.
    pub fn warehouse_id(mut self, warehouse_id: impl IntoId<WarehouseId>) -> Self {
        self.0.request.warehouse_id = self.0.errors.id("warehouse_id", warehouse_id);
        self
    }

    /// Only those of this carrier.
    pub fn carrier_id(mut self, carrier_id: impl IntoId<CarrierId>) -> Self {
        self.0.request.carrier_id = self.0.errors.id("carrier_id", carrier_id);
        self
    }

    /// Only those of this seller's orders.
    pub fn seller_id(mut self, seller_id: impl IntoId<SellerId>) -> Self {
        self.0.request.seller_id = self.0.errors.id("seller_id", seller_id);
        self
    }

    /// Only those at this stage.
    pub fn stage(mut self, stage: ShipmentStage) -> Self {
        self.0.request.stage = stage.to_wire();
        self
    }

    /// Only those that are planned and whose preparation must begin before this instant.
    ///
    /// ```no_run
    /// # async fn example(store: belay_client::Store, end_of_shift: belay_client::jiff::Timestamp) -> Result<(), belay_client::Error> {
    /// let due = store.list_shipments().warehouse_id("main").prepare_by_before(end_of_shift).await?;
    /// println!("{} must not wait for the next shift", due.items.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn prepare_by_before(mut self, instant: Timestamp) -> Self {
        self.0.request.prepare_by_before = Some(time_to_wire(instant));
        self
    }
}

impl DispatchShipment {
    /// The carrier's tracking number: at most 128 printable ASCII characters without spaces.
    pub fn tracking_number(mut self, tracking_number: impl Into<String>) -> Self {
        self.0.request.tracking_number = tracking_number.into();
        self
    }
}

impl RecordTracking {
    /// The time of the scan, as the carrier reports it. Now unless set.
    pub fn occurred_time(mut self, instant: Timestamp) -> Self {
        self.0.request.occurred_time = Some(time_to_wire(instant));
        self
    }
}

impl AnswerStop {
    /// The cancellation whose stop is answered. Every open stop of the shipment unless set.
    pub fn cancellation_id(mut self, cancellation_id: impl IntoId<CancellationId>) -> Self {
        self.0.request.cancellation_id = self.0.errors.id("cancellation_id", cancellation_id);
        self
    }
}

impl ReceiveParcel {
    /// The received units, by line: at most 200 lines, none twice.
    pub fn quantities(
        mut self,
        quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>,
    ) -> Self {
        self.0.request.quantities = line_quantities(&mut self.0.errors, "quantities", quantities);
        self
    }

    /// The warehouse's id of this receipt, such as that of the box: 1 to 128 printable ASCII
    /// characters without spaces. A receipt counts once; without an id, two receipts are two boxes.
    pub fn receipt_id(mut self, receipt_id: impl Into<String>) -> Self {
        self.0.request.receipt_id = receipt_id.into();
        self
    }

    /// The time of the receipt, by the warehouse's clock. Now unless set, and if it is in the
    /// future.
    pub fn receive_time(mut self, instant: Timestamp) -> Self {
        self.0.request.receive_time = Some(time_to_wire(instant));
        self
    }
}
