//! What keeps a shipment in, takes it apart or brings it back: for warehouses, carriers and
//! sellers.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::fulfillment::fenced;
use crate::call::{Call, Faults, call, guarded, keyed, noted};
use crate::ids::{CancellationId, IntoId, LineId, ShipmentId};
use crate::model::{
    GoodsCondition, Shipment, ShipmentStage, SplitOff, Written, read_request_id, read_written,
};
use crate::store::Store;
use crate::wire::{read, read_all, time_to_wire};

/// # Custody
impl Store {
    /// Keeps a shipment in while somebody thinks or talks: until then, at most 30 days from now, it
    /// is not dispatched. It may be packed meanwhile. A shipment that is held already is held until
    /// the new time.
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
        let (store_id, mut faults) = self.begin();
        let request = pb::HoldShipmentRequest {
            store_id,
            shipment_id: faults.id("shipment_id", shipment_id.into_id()),
            hold_until: Some(time_to_wire(hold_until)),
            ..Default::default()
        };
        HoldShipment(Call::new(&self.belay, request, faults))
    }

    /// Ends a hold before its time. A shipment that nobody holds is fine. Fails with
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
        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
        let request = pb::ReleaseHoldRequest {
            store_id,
            shipment_id,
            ..Default::default()
        };
        ReleaseHold(Call::new(&self.belay, request, faults))
    }

    /// Lets what was to go as one shipment go as several, 2 to 50, which together hold every unit
    /// of it that is not cancelled. Money and units stay what they are.
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
        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
        let parcels = parcels.into_iter().enumerate().map(|(index, parcel)| {
            faults.within(&format!("parcels[{index}]"), parcel.faults);
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
        SplitShipment(Call::new(&self.belay, request, faults))
    }

    /// Says what became of the stops that are open on a shipment: it was stopped, or some of it, or
    /// it cannot be. It is a fact, and recorded however late it comes.
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

        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
        let answer = Some(match answer.into() {
            StopAnswer::Stopped(stopped) => {
                faults.within("stopped", stopped.faults);
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
        AnswerStop(Call::new(&self.belay, request, faults))
    }

    /// Says what became of the order to bring a parcel back: the carrier does, or cannot. It is a
    /// fact, and recorded however late it comes.
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

        let (store_id, mut faults) = self.begin();
        let shipment_id = faults.id("shipment_id", shipment_id.into_id());
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
        AnswerIntercept(Call::new(&self.belay, request, faults))
    }

    /// Records that goods of a shipment are back at the warehouse: everything that a waiting
    /// cancellation expects back, or all that is out where none does, unless
    /// [`quantities`](ReceiveParcel::quantities) says otherwise. Where boxes come one by one,
    /// [`receipt_id`](ReceiveParcel::receipt_id) tells a box that is told twice from another one. A
    /// parcel that is back already is fine.
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
        let (store_id, mut faults) = self.begin();
        let request = pb::ReceiveParcelRequest {
            store_id,
            shipment_id: faults.id("shipment_id", shipment_id.into_id()),
            condition: condition.to_wire(),
            ..Default::default()
        };
        ReceiveParcel(Call::new(&self.belay, request, faults))
    }
}

call! {
    /// Made by [`Store::hold_shipment`].
    HoldShipment(pb::HoldShipmentRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
call! {
    /// Made by [`Store::release_hold`].
    ReleaseHold(pb::ReleaseHoldRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
call! {
    /// Made by [`Store::split_shipment`].
    SplitShipment(pb::SplitShipmentRequest) -> SplitOff,
    |answer| Ok(SplitOff {
        shipment: read(answer.shipment, "shipment")?,
        into_shipments: read_all(answer.into_shipments)?,
        request_id: read_request_id(&answer.request_id)?,
    })
}
call! {
    /// Made by [`Store::answer_stop`].
    AnswerStop(pb::AnswerStopRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
call! {
    /// Made by [`Store::answer_intercept`].
    AnswerIntercept(pb::AnswerInterceptRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
call! {
    /// Made by [`Store::receive_parcel`].
    ReceiveParcel(pb::ReceiveParcelRequest) -> Written<Shipment>,
    |answer| read_written(answer.shipment, "shipment", &answer.request_id)
}
keyed!(
    HoldShipment,
    ReleaseHold,
    SplitShipment,
    AnswerStop,
    AnswerIntercept,
    ReceiveParcel
);
guarded!(HoldShipment, ReleaseHold, SplitShipment);
fenced!(HoldShipment, ReleaseHold, SplitShipment);
noted!(HoldShipment, AnswerStop, AnswerIntercept, ReceiveParcel);

impl AnswerStop {
    /// Whose stop it is about. Every stop that is open on the shipment unless set.
    pub fn cancellation_id(mut self, cancellation_id: impl IntoId<CancellationId>) -> Self {
        self.0.request.cancellation_id = self
            .0
            .faults
            .id("cancellation_id", cancellation_id.into_id());
        self
    }
}

impl ReceiveParcel {
    /// What was in it, by line: at most 200 lines, none twice.
    pub fn quantities(
        mut self,
        quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>,
    ) -> Self {
        self.0.request.quantities = line_quantities(&mut self.0.faults, "quantities", quantities);
        self
    }

    /// The warehouse's id of this receipt, such as that of the box: 1 to 128 printable ASCII
    /// characters without spaces. A receipt counts once; without an id, two receipts are two boxes.
    pub fn receipt_id(mut self, receipt_id: impl Into<String>) -> Self {
        self.0.request.receipt_id = receipt_id.into();
        self
    }

    /// When, by the warehouse's clock. Now unless set, and where it is in the future.
    pub fn receive_time(mut self, instant: Timestamp) -> Self {
        self.0.request.receive_time = Some(time_to_wire(instant));
        self
    }
}

fn line_quantities(
    faults: &mut Faults,
    field: &str,
    quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>,
) -> Vec<pb::LineQuantity> {
    let quantities = quantities
        .into_iter()
        .enumerate()
        .map(|(index, (line_id, quantity))| {
            let line_id = faults.id(&format!("{field}[{index}].line_id"), line_id.into_id());
            pb::LineQuantity { line_id, quantity }
        });
    quantities.collect()
}

/// What a shipment to split off holds.
#[derive(Debug, Clone)]
pub struct Parcel {
    contents: Vec<pb::LineQuantity>,
    faults: Faults,
}

impl Parcel {
    /// A number of units of one line: 1 to 1,000,000.
    pub fn of(line_id: impl IntoId<LineId>, quantity: i32) -> Self {
        Self::new([(line_id, quantity)])
    }

    /// Numbers of units by line: 1 to 200 lines, none twice.
    pub fn new(contents: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>) -> Self {
        let mut faults = Faults::default();
        let contents = line_quantities(&mut faults, "contents", contents);
        Self { contents, faults }
    }
}

/// What became of a stop. [`Stopped`] can be given as it is.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum StopAnswer {
    /// It was stopped, or some of it.
    Stopped(Stopped),
    /// It cannot be stopped.
    CannotStop {
        /// Why: a word of the warehouse's own, `[A-Z][A-Z0-9_]{0,62}`.
        code: Option<String>,
    },
}

impl StopAnswer {
    /// It cannot be stopped, for this reason: a word of the warehouse's own,
    /// `[A-Z][A-Z0-9_]{0,62}`.
    pub fn cannot_stop(code: impl Into<String>) -> Self {
        Self::CannotStop {
            code: Some(code.into()),
        }
    }
}

impl From<Stopped> for StopAnswer {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

/// What a warehouse has stopped.
///
/// ```
/// use belay_client::calls::Stopped;
/// use belay_client::model::ShipmentStage;
///
/// let everything = Stopped::all().stage_seen(ShipmentStage::Preparing);
/// let one_mug = Stopped::of([("A-1:l1", 1)]).put_back([("A-1:l1", 1)]);
/// # let _ = (everything, one_mug);
/// ```
#[derive(Debug, Clone)]
pub struct Stopped {
    message: pb::Stopped,
    faults: Faults,
}

impl Stopped {
    /// Everything that was asked.
    pub fn all() -> Self {
        Self {
            message: pb::Stopped::default(),
            faults: Faults::default(),
        }
    }

    /// So much of what was asked, by line: at most 200 lines, none twice. The rest cannot be
    /// stopped.
    pub fn of(quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>) -> Self {
        let mut stopped = Self::all();
        stopped.message.quantities = line_quantities(&mut stopped.faults, "quantities", quantities);
        stopped
    }

    /// How far the shipment was when it was stopped.
    #[must_use]
    pub fn stage_seen(mut self, stage: ShipmentStage) -> Self {
        self.message.stage_seen = stage.to_wire();
        self
    }

    /// What goes back on the shelves, by line: at most 200 lines, none twice.
    #[must_use]
    pub fn put_back(
        mut self,
        quantities: impl IntoIterator<Item = (impl IntoId<LineId>, i32)>,
    ) -> Self {
        self.message.put_back = line_quantities(&mut self.faults, "put_back", quantities);
        self
    }
}

/// What became of the order to bring a parcel back.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterceptAnswer {
    /// The carrier brings it back.
    Confirmed,
    /// The carrier cannot.
    CannotIntercept {
        /// Why: a word of the carrier's own, `[A-Z][A-Z0-9_]{0,62}`.
        code: Option<String>,
    },
}

impl InterceptAnswer {
    /// The carrier cannot, for this reason: a word of its own, `[A-Z][A-Z0-9_]{0,62}`.
    pub fn cannot_intercept(code: impl Into<String>) -> Self {
        Self::CannotIntercept {
            code: Some(code.into()),
        }
    }
}
