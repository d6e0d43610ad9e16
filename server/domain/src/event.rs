//! Events: what an accepted command reports. The events of a command are written in its
//! transaction; together they are the order's history.

use jiff::Timestamp;
use uuid::Uuid;

use crate::actor::Actor;
use crate::annotations::{ChangedAnnotations, NoteSubject, NoteVisibility};
use crate::cancellation::{GateState, PartState};
use crate::error_reason::ErrorReason;
use crate::ids::ExternalId;
use crate::incident::{IncidentKind, Resolution};
use crate::money::{Amounts, Money};
use crate::names::named_enum;
use crate::payment::PaymentFact;
use crate::policy::Notification;
use crate::refund::{RefundKind, RefundState};
use crate::shipment::{InterceptState, Stage, TrackingFact};
use crate::terms::{Effect, GateKind, GoodsCondition, Path};
use crate::units::UnitSet;

named_enum! {
    /// The type of an event; its name on the wire and in SQL.
    pub enum EventType {
        OrderCreated = "ORDER_CREATED",
        PaymentRecorded = "PAYMENT_RECORDED",
        OrderPaid = "ORDER_PAID",
        OrderClosedUnpaid = "ORDER_CLOSED_UNPAID",
        ShipmentStageChanged = "SHIPMENT_STAGE_CHANGED",
        CancellationRequested = "CANCELLATION_REQUESTED",
        CancellationCompleted = "CANCELLATION_COMPLETED",
        CancellationRejected = "CANCELLATION_REJECTED",
        GateOpened = "GATE_OPENED",
        GateClosed = "GATE_CLOSED",
        PartEnded = "PART_ENDED",
        RefundCreated = "REFUND_CREATED",
        RefundStateChanged = "REFUND_STATE_CHANGED",
        IncidentOpened = "INCIDENT_OPENED",
        TrackingRecorded = "TRACKING_RECORDED",
        CancellationWithdrawn = "CANCELLATION_WITHDRAWN",
        GateReminder = "GATE_REMINDER",
        IncidentResolved = "INCIDENT_RESOLVED",
        ShipmentHeld = "SHIPMENT_HELD",
        HoldEnded = "HOLD_ENDED",
        ShipmentSplit = "SHIPMENT_SPLIT",
        InterceptChanged = "INTERCEPT_CHANGED",
        ParcelReceived = "PARCEL_RECEIVED",
        PreparationOverdue = "PREPARATION_OVERDUE",
        RefundOverdue = "REFUND_OVERDUE",
        PaymentVerified = "PAYMENT_VERIFIED",
        PaymentLapsed = "PAYMENT_LAPSED",
        MetadataChanged = "METADATA_CHANGED",
        NoteAdded = "NOTE_ADDED",
    }
}

/// The cause of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A caller's command, by its request_id.
    Request(Uuid),
    /// A deadline that came due at this instant.
    Deadline(Timestamp),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub detail: EventDetail,
    pub actor: Actor,
    /// On whose behalf the actor acts, where that is another.
    pub on_behalf_of: Option<Actor>,
    pub policy_version: u32,
    pub rule: Option<String>,
    pub cause: Cause,
    pub time: Timestamp,
    /// The policy tells the buyer of this.
    pub notify_buyer: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum EventDetail {
    OrderCreated {
        total: Amounts,
    },
    PaymentRecorded {
        payment: u32,
        fact: PaymentFact,
        amount: Option<Money>,
        /// The provider's id of the capture, refund or dispute.
        movement: Option<ExternalId>,
        /// The refund of Belay's that it tells of.
        refund: Option<u32>,
        occurred_time: Option<Timestamp>,
    },
    OrderPaid,
    OrderClosedUnpaid {
        cancellation: u32,
    },
    ShipmentStageChanged {
        shipment: u32,
        from: Stage,
        to: Stage,
        fence: u32,
    },
    CancellationRequested {
        cancellation: u32,
        reason: Option<String>,
    },
    CancellationCompleted {
        cancellation: u32,
        /// What goes back of captured money.
        refund: Amounts,
        /// What is released of authorisations.
        release: i64,
        effects: Vec<Effect>,
        counted: bool,
    },
    CancellationRejected {
        cancellation: u32,
        close_reason: Option<ErrorReason>,
    },
    GateOpened {
        cancellation: u32,
        shipment: u32,
        gate: GateKind,
        respond_by: Option<Timestamp>,
    },
    GateClosed {
        cancellation: u32,
        shipment: u32,
        gate: GateKind,
        state: GateState,
    },
    PartEnded {
        cancellation: u32,
        shipment: u32,
        path: Path,
        state: PartState,
        refused_reason: Option<ErrorReason>,
        units: UnitSet,
        /// What the cancelled units ask of the warehouse's stock.
        effects: Vec<Effect>,
    },
    RefundCreated {
        refund: u32,
        payment: u32,
        kind: RefundKind,
        cancellation: Option<u32>,
        retry_of: Option<u32>,
        amounts: Amounts,
        due_by: Timestamp,
    },
    RefundStateChanged {
        refund: u32,
        from: RefundState,
        to: RefundState,
        /// What was really paid, once that is known.
        settled_amount: Option<i64>,
    },
    IncidentOpened {
        incident: u32,
        kind: IncidentKind,
    },
    TrackingRecorded {
        shipment: u32,
        fact: TrackingFact,
        occurred_time: Timestamp,
    },
    CancellationWithdrawn {
        cancellation: u32,
    },
    GateReminder {
        cancellation: u32,
        shipment: u32,
        gate: GateKind,
        respond_by: Option<Timestamp>,
    },
    IncidentResolved {
        incident: u32,
        kind: IncidentKind,
        resolution: Option<Resolution>,
    },
    ShipmentHeld {
        shipment: u32,
        until: Timestamp,
    },
    HoldEnded {
        shipment: u32,
    },
    ShipmentSplit {
        shipment: u32,
        into: Vec<u32>,
    },
    InterceptChanged {
        shipment: u32,
        state: InterceptState,
    },
    ParcelReceived {
        shipment: u32,
        condition: GoodsCondition,
        units: UnitSet,
        receipt_id: Option<ExternalId>,
        /// By the warehouse's account.
        receive_time: Timestamp,
    },
    PreparationOverdue {
        shipment: u32,
        prepare_by: Timestamp,
    },
    RefundOverdue {
        refund: u32,
        due_by: Timestamp,
    },
    PaymentVerified,
    /// What the order was paid with covers it no more.
    PaymentLapsed {
        pay_by: Timestamp,
    },
    /// What is kept with the order changed, or with a cancellation where one is named.
    MetadataChanged {
        cancellation: Option<u32>,
        changed: ChangedAnnotations,
    },
    NoteAdded {
        note: u32,
        visibility: NoteVisibility,
        subject: Option<NoteSubject>,
    },
}

impl EventDetail {
    pub fn event_type(&self) -> EventType {
        match self {
            EventDetail::OrderCreated { .. } => EventType::OrderCreated,
            EventDetail::PaymentRecorded { .. } => EventType::PaymentRecorded,
            EventDetail::OrderPaid => EventType::OrderPaid,
            EventDetail::OrderClosedUnpaid { .. } => EventType::OrderClosedUnpaid,
            EventDetail::ShipmentStageChanged { .. } => EventType::ShipmentStageChanged,
            EventDetail::CancellationRequested { .. } => EventType::CancellationRequested,
            EventDetail::CancellationCompleted { .. } => EventType::CancellationCompleted,
            EventDetail::CancellationRejected { .. } => EventType::CancellationRejected,
            EventDetail::GateOpened { .. } => EventType::GateOpened,
            EventDetail::GateClosed { .. } => EventType::GateClosed,
            EventDetail::PartEnded { .. } => EventType::PartEnded,
            EventDetail::RefundCreated { .. } => EventType::RefundCreated,
            EventDetail::RefundStateChanged { .. } => EventType::RefundStateChanged,
            EventDetail::IncidentOpened { .. } => EventType::IncidentOpened,
            EventDetail::TrackingRecorded { .. } => EventType::TrackingRecorded,
            EventDetail::CancellationWithdrawn { .. } => EventType::CancellationWithdrawn,
            EventDetail::GateReminder { .. } => EventType::GateReminder,
            EventDetail::IncidentResolved { .. } => EventType::IncidentResolved,
            EventDetail::ShipmentHeld { .. } => EventType::ShipmentHeld,
            EventDetail::HoldEnded { .. } => EventType::HoldEnded,
            EventDetail::ShipmentSplit { .. } => EventType::ShipmentSplit,
            EventDetail::InterceptChanged { .. } => EventType::InterceptChanged,
            EventDetail::ParcelReceived { .. } => EventType::ParcelReceived,
            EventDetail::PreparationOverdue { .. } => EventType::PreparationOverdue,
            EventDetail::RefundOverdue { .. } => EventType::RefundOverdue,
            EventDetail::PaymentVerified => EventType::PaymentVerified,
            EventDetail::PaymentLapsed { .. } => EventType::PaymentLapsed,
            EventDetail::MetadataChanged { .. } => EventType::MetadataChanged,
            EventDetail::NoteAdded { .. } => EventType::NoteAdded,
        }
    }

    /// The shipment that it is about; none where it is about the order as a whole.
    pub fn shipment(&self) -> Option<u32> {
        match self {
            EventDetail::ShipmentStageChanged { shipment, .. }
            | EventDetail::GateOpened { shipment, .. }
            | EventDetail::GateClosed { shipment, .. }
            | EventDetail::PartEnded { shipment, .. }
            | EventDetail::TrackingRecorded { shipment, .. }
            | EventDetail::GateReminder { shipment, .. }
            | EventDetail::ShipmentHeld { shipment, .. }
            | EventDetail::HoldEnded { shipment }
            | EventDetail::ShipmentSplit { shipment, .. }
            | EventDetail::InterceptChanged { shipment, .. }
            | EventDetail::ParcelReceived { shipment, .. }
            | EventDetail::PreparationOverdue { shipment, .. } => Some(*shipment),
            EventDetail::OrderCreated { .. }
            | EventDetail::PaymentRecorded { .. }
            | EventDetail::OrderPaid
            | EventDetail::OrderClosedUnpaid { .. }
            | EventDetail::CancellationRequested { .. }
            | EventDetail::CancellationCompleted { .. }
            | EventDetail::CancellationRejected { .. }
            | EventDetail::RefundCreated { .. }
            | EventDetail::RefundStateChanged { .. }
            | EventDetail::IncidentOpened { .. }
            | EventDetail::CancellationWithdrawn { .. }
            | EventDetail::IncidentResolved { .. }
            | EventDetail::RefundOverdue { .. }
            | EventDetail::PaymentVerified
            | EventDetail::PaymentLapsed { .. }
            | EventDetail::MetadataChanged { .. }
            | EventDetail::NoteAdded { .. } => None,
        }
    }

    /// The notification for the buyer, where the policy has it sent.
    pub fn notification(&self) -> Option<Notification> {
        match self {
            EventDetail::OrderCreated { .. } => Some(Notification::OrderPlaced),
            EventDetail::OrderPaid => Some(Notification::OrderPaid),
            EventDetail::OrderClosedUnpaid { .. } => Some(Notification::OrderClosedUnpaid),
            EventDetail::ShipmentStageChanged {
                to: Stage::InTransit,
                ..
            } => Some(Notification::ShipmentDispatched),
            EventDetail::ShipmentStageChanged {
                to: Stage::Delivered,
                ..
            } => Some(Notification::ShipmentDelivered),
            EventDetail::CancellationRequested { .. } => Some(Notification::CancellationRequested),
            EventDetail::CancellationCompleted { .. } => Some(Notification::CancellationCompleted),
            EventDetail::CancellationRejected { .. } => Some(Notification::CancellationRejected),
            EventDetail::RefundCreated { .. } => Some(Notification::RefundCreated),
            EventDetail::RefundStateChanged {
                to: RefundState::Settled,
                ..
            } => Some(Notification::RefundSettled),
            EventDetail::CancellationWithdrawn { .. } => Some(Notification::CancellationWithdrawn),
            EventDetail::ParcelReceived { .. } => Some(Notification::ParcelReceived),
            EventDetail::ShipmentStageChanged { .. }
            | EventDetail::GateReminder { .. }
            | EventDetail::IncidentResolved { .. }
            | EventDetail::ShipmentHeld { .. }
            | EventDetail::HoldEnded { .. }
            | EventDetail::ShipmentSplit { .. }
            | EventDetail::InterceptChanged { .. }
            | EventDetail::PreparationOverdue { .. }
            | EventDetail::RefundOverdue { .. }
            | EventDetail::PaymentVerified
            | EventDetail::PaymentLapsed { .. }
            | EventDetail::MetadataChanged { .. }
            | EventDetail::NoteAdded { .. }
            | EventDetail::PaymentRecorded { .. }
            | EventDetail::GateOpened { .. }
            | EventDetail::GateClosed { .. }
            | EventDetail::PartEnded { .. }
            | EventDetail::RefundStateChanged { .. }
            | EventDetail::IncidentOpened { .. }
            | EventDetail::TrackingRecorded { .. } => None,
        }
    }
}
