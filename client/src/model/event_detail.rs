//! The detail of an event, beyond its type.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{
    CancellationEffect, CancellationFault, CancellationOutcome, CancellationPath,
    CancellationState, GateKind, GateState, GoodsCondition, IncidentKind, IncidentResolution,
    IncidentState, InterceptState, Money, NoteVisibility, PartState, Party, PaymentFact,
    PaymentState, RefundAmount, RefundKind, RefundState, ShipmentStage, TrackingFact,
};
use crate::error_reason::ErrorReason;
use crate::ids::{
    CancellationId, CarrierId, IncidentId, LineId, NoteId, PaymentId, RefundId, SellerId,
    ShipmentId, WarehouseId,
};
use crate::wire::{
    FromWire, Malformed, Open, open_all, open_if_set, read, read_all, read_if_set, text_if_set,
    time, time_if_set,
};

/// The detail of an event, beyond its type.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum EventDetail {
    /// The order as it began.
    #[non_exhaustive]
    OrderCreated {
        /// The seller.
        seller_id: SellerId,
        /// The amount to be paid.
        total: Money,
        /// Until when. `None` where unpaid orders wait for ever.
        pay_by: Option<Timestamp>,
        /// Its shipments: every unit is in one.
        shipments: Vec<PlannedShipment>,
    },
    /// One fact about a payment.
    #[non_exhaustive]
    PaymentRecorded {
        /// The payment.
        payment_id: PaymentId,
        /// The fact.
        fact: PaymentFact,
        /// The amount of this fact alone. `None` for facts without one.
        amount: Option<Money>,
        /// The payment's state after it.
        state: PaymentState,
        /// When it happened, as the provider reports it. `None` if it did not say.
        occurred_time: Option<Timestamp>,
        /// The provider's id of the movement. `None` if it was not given.
        movement_id: Option<String>,
        /// The refund of Belay's that it tells of.
        refund_id: Option<RefundId>,
    },
    /// The lapse of an order's payment: it no longer covers what is due.
    #[non_exhaustive]
    PaymentLapsed {
        /// By when the order must be paid again, or it closes.
        pay_by: Timestamp,
    },
    /// A request that a policy was asked about, and that was rejected.
    #[non_exhaustive]
    RequestRejected {
        /// The reason of the rejection. `None` if it was recorded before it was kept.
        reason: Option<ErrorReason>,
    },
    /// A shipment's move.
    #[non_exhaustive]
    ShipmentStageChanged {
        /// The shipment.
        shipment_id: ShipmentId,
        /// The stage before.
        from_stage: ShipmentStage,
        /// The stage now.
        to_stage: ShipmentStage,
        /// The fence after the move.
        fence: i64,
        /// What is in it and not cancelled.
        contents: Vec<SkuQuantity>,
    },
    /// One fact about a shipment.
    #[non_exhaustive]
    TrackingRecorded {
        /// The shipment.
        shipment_id: ShipmentId,
        /// The scanned fact.
        fact: TrackingFact,
        /// When it was scanned, by the carrier's account.
        occurred_time: Timestamp,
    },
    /// A cancellation, as it is after the event.
    #[non_exhaustive]
    CancellationChanged {
        /// The cancellation.
        cancellation_id: CancellationId,
        /// Its state.
        state: CancellationState,
        /// Whether all or some units were cancelled. `None` unless completed.
        outcome: Option<CancellationOutcome>,
        /// The reason of the request.
        reason: Option<String>,
        /// The party at fault.
        fault: Option<CancellationFault>,
        /// The reason of its outcome. `None` for a plain success and while pending.
        close_reason: Option<String>,
        /// Whether it counts in the seller's cancellation rate.
        counted: bool,
        /// Its effects on stock.
        effects: Vec<CancellationEffect>,
        /// The refund of captured money. `None` unless completed.
        refund: Option<RefundAmount>,
        /// The release of authorisations. `None` unless completed.
        release: Option<Money>,
    },
    /// A gate, as it is after the event.
    #[non_exhaustive]
    GateChanged {
        /// The cancellation.
        cancellation_id: CancellationId,
        /// The shipment of the part.
        shipment_id: ShipmentId,
        /// The kind of the gate.
        kind: GateKind,
        /// The party that must act.
        party: Party,
        /// The state of the gate.
        state: GateState,
        /// Until when an answer counts. `None` for a gate without a deadline.
        respond_by: Option<Timestamp>,
        /// The shipment's fence after the event. A warehouse that is asked to stop must not
        /// dispatch with an older one.
        fence: i64,
        /// The units that the part would cancel.
        contents: Vec<SkuQuantity>,
        /// The reason of the cancellation.
        reason: Option<String>,
    },
    /// A refund's move.
    #[non_exhaustive]
    RefundChanged {
        /// The refund.
        refund_id: RefundId,
        /// The kind of the refund.
        kind: RefundKind,
        /// The state before. `None` for a new one.
        from_state: Option<RefundState>,
        /// The state now.
        to_state: RefundState,
        /// Its total.
        total: Money,
        /// By when it must be settled.
        due_by: Timestamp,
        /// The payment it goes back to.
        payment_id: PaymentId,
        /// The cancellation it is for. `None` for money that was never due.
        cancellation_id: Option<CancellationId>,
        /// The failed or withheld refund that this one replaces.
        retry_of_id: Option<RefundId>,
        /// The amount that the provider really paid. `None` until that is known.
        settled_amount: Option<Money>,
    },
    /// An incident, as it is after the event.
    #[non_exhaustive]
    IncidentChanged {
        /// The incident.
        incident_id: IncidentId,
        /// Its subject.
        kind: IncidentKind,
        /// Whether it is resolved.
        state: IncidentState,
        /// The id of the shipment, cancellation, payment or refund that it concerns.
        subject_id: String,
        /// The resolution. `None` while it is open, and if a later fact resolved it.
        resolution: Option<IncidentResolution>,
    },
    /// The end of a part.
    #[non_exhaustive]
    PartEnded {
        /// The cancellation.
        cancellation_id: CancellationId,
        /// The shipment of the part.
        shipment_id: ShipmentId,
        /// Its final state.
        state: PartState,
        /// The reason of the rejection. `None` unless it was refused.
        refused_reason: Option<ErrorReason>,
        /// The units.
        contents: Vec<SkuQuantity>,
        /// The effects of the cancelled units on the warehouse's stock.
        effects: Vec<CancellationEffect>,
        /// The party at fault.
        fault: Option<CancellationFault>,
        /// Whether the cancellation counts in the seller's cancellation rate.
        counted: bool,
        /// The stage that the shipment is at. `None` in events that were written before it was
        /// recorded.
        stage: Option<ShipmentStage>,
        /// The path of the part. `None` in events that were written before it was recorded.
        path: Option<CancellationPath>,
        /// Why the cancellation was asked. `None` where nobody gave a reason, and in events that
        /// were written before it was recorded.
        reason: Option<String>,
    },
    /// The beginning of a hold.
    #[non_exhaustive]
    ShipmentHeld {
        /// The shipment.
        shipment_id: ShipmentId,
        /// When it ends by itself.
        hold_until: Timestamp,
    },
    /// The end of a hold.
    #[non_exhaustive]
    HoldEnded {
        /// The shipment.
        shipment_id: ShipmentId,
    },
    /// The split of a shipment.
    #[non_exhaustive]
    ShipmentSplit {
        /// The shipment that was split.
        shipment_id: ShipmentId,
        /// The shipments that its units are in now.
        into_shipment_ids: Vec<ShipmentId>,
    },
    /// An intercept, as it is after the event.
    #[non_exhaustive]
    InterceptChanged {
        /// The shipment.
        shipment_id: ShipmentId,
        /// Its state.
        state: InterceptState,
    },
    /// Goods that are back at the warehouse.
    #[non_exhaustive]
    ParcelReceived {
        /// The shipment that they left in.
        shipment_id: ShipmentId,
        /// Their condition.
        condition: GoodsCondition,
        /// The units.
        contents: Vec<SkuQuantity>,
        /// The warehouse's id of the receipt, where it gave one.
        receipt_id: Option<String>,
        /// When, by the warehouse's account.
        receive_time: Option<Timestamp>,
    },
    /// A preparation that had not begun in time.
    #[non_exhaustive]
    PreparationOverdue {
        /// The shipment.
        shipment_id: ShipmentId,
        /// When it must have begun.
        prepare_by: Timestamp,
    },
    /// A refund that was not settled in time.
    #[non_exhaustive]
    RefundOverdue {
        /// The refund.
        refund_id: RefundId,
        /// By when it should have been settled.
        due_by: Timestamp,
    },
    /// A change of what is kept with an order or a cancellation, without the values.
    #[non_exhaustive]
    MetadataChanged {
        /// The cancellation. `None` if it is about the order.
        cancellation_id: Option<CancellationId>,
        /// The keys of metadata that were set.
        set_keys: Vec<String>,
        /// The keys that were deleted.
        deleted_keys: Vec<String>,
        /// The systems whose external references were set.
        set_systems: Vec<String>,
        /// The systems whose external references were deleted.
        deleted_systems: Vec<String>,
    },
    /// A note that was added, without its text.
    #[non_exhaustive]
    NoteAdded {
        /// The note.
        note_id: NoteId,
        /// Who may read it.
        visibility: NoteVisibility,
        /// The cancellation that it is about.
        cancellation_id: Option<CancellationId>,
        /// The shipment that it is about.
        shipment_id: Option<ShipmentId>,
    },
}

/// Units of one line in a shipment, with the name that a warehouse knows them by.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SkuQuantity {
    /// The line.
    pub line_id: LineId,
    /// How many of its units.
    pub quantity: i32,
    /// The line's SKU. `None` in events that were written before it was recorded.
    pub sku: Option<String>,
}

/// A shipment as it was planned with its order.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PlannedShipment {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The warehouse that it leaves from.
    pub warehouse_id: WarehouseId,
    /// The carrier that takes it.
    pub carrier_id: CarrierId,
    /// What goes into it.
    pub contents: Vec<SkuQuantity>,
}

impl FromWire for SkuQuantity {
    type Message = pb::SkuQuantity;

    fn from_wire(message: pb::SkuQuantity) -> Result<Self, Malformed> {
        Ok(Self {
            line_id: LineId::unchecked(message.line_id),
            quantity: message.quantity,
            sku: text_if_set(message.sku),
        })
    }
}

impl FromWire for PlannedShipment {
    type Message = pb::PlannedShipment;

    fn from_wire(message: pb::PlannedShipment) -> Result<Self, Malformed> {
        Ok(Self {
            shipment_id: ShipmentId::unchecked(message.shipment_id),
            warehouse_id: WarehouseId::unchecked(message.warehouse_id),
            carrier_id: CarrierId::unchecked(message.carrier_id),
            contents: read_all(message.contents)?,
        })
    }
}

impl FromWire for EventDetail {
    type Message = pb::event::Detail;

    fn from_wire(message: pb::event::Detail) -> Result<Self, Malformed> {
        use pb::event::Detail;

        match message {
            Detail::OrderCreated(message) => order_created(message),
            Detail::PaymentRecorded(message) => payment_recorded(message),
            Detail::ShipmentStageChanged(message) => shipment_stage_changed(message),
            Detail::TrackingRecorded(message) => tracking_recorded(message),
            Detail::CancellationChanged(message) => cancellation_changed(message),
            Detail::GateChanged(message) => gate_changed(message),
            Detail::RefundChanged(message) => refund_changed(message),
            Detail::IncidentChanged(message) => incident_changed(message),
            Detail::PartEnded(message) => part_ended(message),
            Detail::ShipmentHeld(message) => shipment_held(message),
            Detail::HoldEnded(message) => hold_ended(message),
            Detail::ShipmentSplit(message) => shipment_split(message),
            Detail::InterceptChanged(message) => intercept_changed(message),
            Detail::ParcelReceived(message) => parcel_received(message),
            Detail::PreparationOverdue(message) => preparation_overdue(message),
            Detail::RefundOverdue(message) => refund_overdue(message),
            Detail::PaymentLapsed(message) => payment_lapsed(message),
            Detail::RequestRejected(message) => Ok(EventDetail::RequestRejected {
                reason: ErrorReason::from_name(message.reason),
            }),
            Detail::MetadataChanged(message) => Ok(metadata_changed(message)),
            Detail::NoteAdded(message) => Ok(note_added(message)),
        }
    }
}

fn order_created(message: pb::OrderCreated) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::OrderCreated {
        seller_id: SellerId::unchecked(message.seller_id),
        total: read(message.total, "order_created.total")?,
        pay_by: time_if_set(message.pay_by, "order_created.pay_by")?,
        shipments: read_all(message.shipments)?,
    })
}

fn payment_recorded(message: pb::PaymentRecorded) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::PaymentRecorded {
        payment_id: PaymentId::unchecked(message.payment_id),
        fact: PaymentFact::from_wire(message.fact),
        amount: read_if_set(message.amount)?,
        state: PaymentState::from_wire(message.state),
        occurred_time: time_if_set(message.occurred_time, "payment_recorded.occurred_time")?,
        movement_id: text_if_set(message.movement_id),
        refund_id: text_if_set(message.refund_id).map(RefundId::unchecked),
    })
}

fn payment_lapsed(message: pb::PaymentLapsed) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::PaymentLapsed {
        pay_by: time(message.pay_by, "payment_lapsed.pay_by")?,
    })
}

fn shipment_stage_changed(message: pb::ShipmentStageChanged) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::ShipmentStageChanged {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        from_stage: ShipmentStage::from_wire(message.from_stage),
        to_stage: ShipmentStage::from_wire(message.to_stage),
        fence: message.fence,
        contents: read_all(message.contents)?,
    })
}

fn tracking_recorded(message: pb::TrackingRecorded) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::TrackingRecorded {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        fact: TrackingFact::from_wire(message.fact),
        occurred_time: time(message.occurred_time, "tracking_recorded.occurred_time")?,
    })
}

fn cancellation_changed(message: pb::CancellationChanged) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::CancellationChanged {
        cancellation_id: CancellationId::unchecked(message.cancellation_id),
        state: CancellationState::from_wire(message.state),
        outcome: open_if_set(message.outcome),
        reason: text_if_set(message.reason),
        fault: open_if_set(message.fault),
        close_reason: text_if_set(message.close_reason),
        counted: message.counted,
        effects: open_all(message.effects),
        refund: read_if_set(message.refund)?,
        release: read_if_set(message.release)?,
    })
}

fn gate_changed(message: pb::GateChanged) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::GateChanged {
        cancellation_id: CancellationId::unchecked(message.cancellation_id),
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        kind: GateKind::from_wire(message.kind),
        party: Party::from_wire(message.party),
        state: GateState::from_wire(message.state),
        respond_by: time_if_set(message.respond_by, "gate_changed.respond_by")?,
        fence: message.fence,
        contents: read_all(message.contents)?,
        reason: text_if_set(message.reason),
    })
}

fn refund_changed(message: pb::RefundChanged) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::RefundChanged {
        refund_id: RefundId::unchecked(message.refund_id),
        kind: RefundKind::from_wire(message.kind),
        from_state: open_if_set(message.from_state),
        to_state: RefundState::from_wire(message.to_state),
        total: read(message.total, "refund_changed.total")?,
        due_by: time(message.due_by, "refund_changed.due_by")?,
        payment_id: PaymentId::unchecked(message.payment_id),
        cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
        retry_of_id: text_if_set(message.retry_of_id).map(RefundId::unchecked),
        settled_amount: read_if_set(message.settled_amount)?,
    })
}

fn incident_changed(message: pb::IncidentChanged) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::IncidentChanged {
        incident_id: IncidentId::unchecked(message.incident_id),
        kind: IncidentKind::from_wire(message.kind),
        state: IncidentState::from_wire(message.state),
        subject_id: message.subject_id,
        resolution: open_if_set(message.resolution),
    })
}

fn part_ended(message: pb::PartEnded) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::PartEnded {
        cancellation_id: CancellationId::unchecked(message.cancellation_id),
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        state: PartState::from_wire(message.state),
        refused_reason: ErrorReason::from_name(message.refused_reason),
        contents: read_all(message.contents)?,
        effects: open_all(message.effects),
        fault: open_if_set(message.fault),
        counted: message.counted,
        stage: open_if_set(message.stage),
        path: open_if_set(message.path),
        reason: text_if_set(message.reason),
    })
}

fn shipment_held(message: pb::ShipmentHeld) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::ShipmentHeld {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        hold_until: time(message.hold_until, "shipment_held.hold_until")?,
    })
}

fn hold_ended(message: pb::HoldEnded) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::HoldEnded {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
    })
}

fn shipment_split(message: pb::ShipmentSplit) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::ShipmentSplit {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        into_shipment_ids: message
            .into_shipment_ids
            .into_iter()
            .map(ShipmentId::unchecked)
            .collect(),
    })
}

fn intercept_changed(message: pb::InterceptChanged) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::InterceptChanged {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        state: InterceptState::from_wire(message.state),
    })
}

fn parcel_received(message: pb::ParcelReceived) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::ParcelReceived {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        condition: GoodsCondition::from_wire(message.condition),
        contents: read_all(message.contents)?,
        receipt_id: text_if_set(message.receipt_id),
        receive_time: time_if_set(message.receive_time, "parcel_received.receive_time")?,
    })
}

fn preparation_overdue(message: pb::PreparationOverdue) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::PreparationOverdue {
        shipment_id: ShipmentId::unchecked(message.shipment_id),
        prepare_by: time(message.prepare_by, "preparation_overdue.prepare_by")?,
    })
}

fn refund_overdue(message: pb::RefundOverdue) -> Result<EventDetail, Malformed> {
    Ok(EventDetail::RefundOverdue {
        refund_id: RefundId::unchecked(message.refund_id),
        due_by: time(message.due_by, "refund_overdue.due_by")?,
    })
}

fn metadata_changed(message: pb::MetadataChanged) -> EventDetail {
    EventDetail::MetadataChanged {
        cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
        set_keys: message.set_keys,
        deleted_keys: message.deleted_keys,
        set_systems: message.set_systems,
        deleted_systems: message.deleted_systems,
    }
}

fn note_added(message: pb::NoteAdded) -> EventDetail {
    EventDetail::NoteAdded {
        note_id: NoteId::unchecked(message.note_id),
        visibility: NoteVisibility::from_wire(message.visibility),
        cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
        shipment_id: text_if_set(message.shipment_id).map(ShipmentId::unchecked),
    }
}
