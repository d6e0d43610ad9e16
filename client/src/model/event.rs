//! What came to pass with an order.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{
    Actor, CancellationEffect, CancellationOutcome, CancellationState, Fault, GateKind, GateState, IncidentKind,
    IncidentState, Money, PartState, Party, PaymentFact, PaymentState, RefundKind, RefundState, ShipmentStage,
    TrackingFact,
};
use crate::error_reason::ErrorReason;
use crate::ids::{CancellationId, IncidentId, OrderId, PaymentId, RefundId, SellerId, ShipmentId, StoreId};
use crate::wire::{
    FromWire, Malformed, Open, open_all, open_enum, open_if_set, read, read_if_set, text_if_set, time, time_if_set,
};

/// One thing that came to pass with an order. Events are written in the same transaction as what they tell, and never
/// change.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What came to pass.
    pub event_type: EventType,
    /// The partition of the feed that holds the order.
    pub partition: i32,
    /// The index in that partition: 1, 2, 3 and so on without gaps.
    pub position: i64,
    /// The store.
    pub store_id: StoreId,
    /// The order.
    pub order_id: OrderId,
    /// The order's version after the write that caused the event. Events of one write share it.
    pub order_version: i64,
    /// When it was decided. Never goes back within an order.
    pub event_time: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// For whom it was done. `None` for those who act for themselves.
    pub on_behalf_of: Option<Actor>,
    /// The version of the policy that decided. `None` where no policy was asked.
    pub policy_version: Option<i32>,
    /// The policy's rule that decided, by its name. `None` where no rule was asked.
    pub rule: Option<String>,
    /// What brought it about: the request id of a call, or `deadline`.
    pub cause: String,
    /// Whether the store's policy wants the buyer to be told of it.
    pub notify_buyer: bool,
    /// What there is to tell beyond the type. `None` for types without a detail, and for details that this version of
    /// the client does not know.
    pub detail: Option<EventDetail>,
}

open_enum! {
    /// What came to pass. New types may be added: pass over those you do not know.
    EventType {
        /// An order was created.
        OrderCreated,
        /// A fact about a payment was recorded.
        PaymentRecorded,
        /// The order became paid.
        OrderPaid,
        /// The order was not paid in time and closed by itself.
        OrderClosedUnpaid,
        /// A shipment moved to another stage.
        ShipmentStageChanged,
        /// A fact about a shipment was recorded, whether or not it moved the stage.
        TrackingRecorded,
        /// A cancellation was asked and accepted for decision.
        CancellationRequested,
        /// A cancellation closed, and units were cancelled.
        CancellationCompleted,
        /// A cancellation closed, and nothing was cancelled.
        CancellationRejected,
        /// A cancellation was taken back.
        CancellationWithdrawn,
        /// A gate opened: its party is asked now.
        GateOpened,
        /// A gate passed, was refused, or is no longer needed.
        GateClosed,
        /// A refund was created.
        RefundCreated,
        /// A refund moved to another state.
        RefundStateChanged,
        /// A fact contradicts what was decided.
        IncidentOpened,
        /// An incident was settled.
        IncidentResolved,
        /// A part of a cancellation ended: its units are cancelled, or stay as they were.
        PartEnded,
    }
}

/// What there is to tell of an event beyond its type.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventDetail {
    /// The order as it began.
    #[non_exhaustive]
    OrderCreated {
        /// Who sells.
        seller_id: SellerId,
        /// What is to be paid.
        total: Money,
        /// Until when. `None` where unpaid orders wait for ever.
        pay_by: Option<Timestamp>,
    },
    /// One fact about a payment.
    #[non_exhaustive]
    PaymentRecorded {
        /// The payment.
        payment_id: PaymentId,
        /// What happened.
        fact: PaymentFact,
        /// The amount of this fact alone. `None` for facts without one.
        amount: Option<Money>,
        /// The payment's state after it.
        state: PaymentState,
        /// When it happened, by the provider's account. `None` where nobody said.
        occurred_time: Option<Timestamp>,
    },
    /// A shipment's move.
    #[non_exhaustive]
    ShipmentStageChanged {
        /// The shipment.
        shipment_id: ShipmentId,
        /// Where it stood.
        from_stage: ShipmentStage,
        /// Where it stands now.
        to_stage: ShipmentStage,
        /// The fence after the move.
        fence: i64,
    },
    /// One fact about a shipment.
    #[non_exhaustive]
    TrackingRecorded {
        /// The shipment.
        shipment_id: ShipmentId,
        /// What was scanned.
        fact: TrackingFact,
        /// When it was scanned, by the carrier's account.
        occurred_time: Timestamp,
    },
    /// A cancellation as it stands after the event.
    #[non_exhaustive]
    CancellationChanged {
        /// The cancellation.
        cancellation_id: CancellationId,
        /// Where it stands.
        state: CancellationState,
        /// Whether all or some units were cancelled. `None` unless completed.
        outcome: Option<CancellationOutcome>,
        /// Why it was asked.
        reason: Option<String>,
        /// Whose doing it is.
        fault: Option<Fault>,
        /// Why it closed as it did. `None` for a plain success and while pending.
        close_reason: Option<String>,
        /// Whether it counts in the seller's cancellation rate.
        counted: bool,
        /// What else it does.
        effects: Vec<CancellationEffect>,
    },
    /// A gate as it stands after the event.
    #[non_exhaustive]
    GateChanged {
        /// The cancellation.
        cancellation_id: CancellationId,
        /// The shipment of the part.
        shipment_id: ShipmentId,
        /// What is awaited.
        kind: GateKind,
        /// Who must act.
        party: Party,
        /// Where the gate stands.
        state: GateState,
        /// Until when an answer counts. `None` for a gate without a deadline.
        respond_by: Option<Timestamp>,
    },
    /// A refund's move.
    #[non_exhaustive]
    RefundChanged {
        /// The refund.
        refund_id: RefundId,
        /// What the provider is asked for.
        kind: RefundKind,
        /// Where it stood. `None` for a new one.
        from_state: Option<RefundState>,
        /// Where it stands now.
        to_state: RefundState,
        /// Its total.
        total: Money,
        /// By when it must be settled.
        due_by: Timestamp,
    },
    /// An incident as it stands after the event.
    #[non_exhaustive]
    IncidentChanged {
        /// The incident.
        incident_id: IncidentId,
        /// What it is about.
        kind: IncidentKind,
        /// Whether it is settled.
        state: IncidentState,
        /// The id of the shipment, cancellation, payment or refund that it concerns.
        subject_id: String,
    },
    /// The end of a part.
    #[non_exhaustive]
    PartEnded {
        /// The cancellation.
        cancellation_id: CancellationId,
        /// The shipment of the part.
        shipment_id: ShipmentId,
        /// How it ended.
        state: PartState,
        /// Why it was refused. `None` unless it was.
        refused_reason: Option<ErrorReason>,
    },
}

impl FromWire for Event {
    type Message = pb::Event;

    fn from_wire(message: pb::Event) -> Result<Self, Malformed> {
        Ok(Self {
            event_type: EventType::from_wire(message.event_type),
            partition: message.partition,
            position: message.position,
            store_id: StoreId::unchecked(message.store_id),
            order_id: OrderId::unchecked(message.order_id),
            order_version: message.order_version,
            event_time: time(message.event_time, "event.event_time")?,
            actor: read(message.actor, "event.actor")?,
            on_behalf_of: read_if_set(message.on_behalf_of)?,
            policy_version: (message.policy_version != 0).then_some(message.policy_version),
            rule: text_if_set(message.rule),
            cause: message.cause,
            notify_buyer: message.notify_buyer,
            detail: read_if_set(message.detail)?,
        })
    }
}

impl FromWire for EventDetail {
    type Message = pb::event::Detail;

    fn from_wire(message: pb::event::Detail) -> Result<Self, Malformed> {
        use pb::event::Detail;

        Ok(match message {
            Detail::OrderCreated(created) => Self::OrderCreated {
                seller_id: SellerId::unchecked(created.seller_id),
                total: read(created.total, "order_created.total")?,
                pay_by: time_if_set(created.pay_by, "order_created.pay_by")?,
            },
            Detail::PaymentRecorded(recorded) => Self::PaymentRecorded {
                payment_id: PaymentId::unchecked(recorded.payment_id),
                fact: PaymentFact::from_wire(recorded.fact),
                amount: read_if_set(recorded.amount)?,
                state: PaymentState::from_wire(recorded.state),
                occurred_time: time_if_set(recorded.occurred_time, "payment_recorded.occurred_time")?,
            },
            Detail::ShipmentStageChanged(changed) => Self::ShipmentStageChanged {
                shipment_id: ShipmentId::unchecked(changed.shipment_id),
                from_stage: ShipmentStage::from_wire(changed.from_stage),
                to_stage: ShipmentStage::from_wire(changed.to_stage),
                fence: changed.fence,
            },
            Detail::TrackingRecorded(recorded) => Self::TrackingRecorded {
                shipment_id: ShipmentId::unchecked(recorded.shipment_id),
                fact: TrackingFact::from_wire(recorded.fact),
                occurred_time: time(recorded.occurred_time, "tracking_recorded.occurred_time")?,
            },
            Detail::CancellationChanged(changed) => Self::CancellationChanged {
                cancellation_id: CancellationId::unchecked(changed.cancellation_id),
                state: CancellationState::from_wire(changed.state),
                outcome: open_if_set(changed.outcome),
                reason: text_if_set(changed.reason),
                fault: open_if_set(changed.fault),
                close_reason: text_if_set(changed.close_reason),
                counted: changed.counted,
                effects: open_all(changed.effects),
            },
            Detail::GateChanged(changed) => Self::GateChanged {
                cancellation_id: CancellationId::unchecked(changed.cancellation_id),
                shipment_id: ShipmentId::unchecked(changed.shipment_id),
                kind: GateKind::from_wire(changed.kind),
                party: Party::from_wire(changed.party),
                state: GateState::from_wire(changed.state),
                respond_by: time_if_set(changed.respond_by, "gate_changed.respond_by")?,
            },
            Detail::RefundChanged(changed) => Self::RefundChanged {
                refund_id: RefundId::unchecked(changed.refund_id),
                kind: RefundKind::from_wire(changed.kind),
                from_state: open_if_set(changed.from_state),
                to_state: RefundState::from_wire(changed.to_state),
                total: read(changed.total, "refund_changed.total")?,
                due_by: time(changed.due_by, "refund_changed.due_by")?,
            },
            Detail::IncidentChanged(changed) => Self::IncidentChanged {
                incident_id: IncidentId::unchecked(changed.incident_id),
                kind: IncidentKind::from_wire(changed.kind),
                state: IncidentState::from_wire(changed.state),
                subject_id: changed.subject_id,
            },
            Detail::PartEnded(ended) => Self::PartEnded {
                cancellation_id: CancellationId::unchecked(ended.cancellation_id),
                shipment_id: ShipmentId::unchecked(ended.shipment_id),
                state: PartState::from_wire(ended.state),
                refused_reason: ErrorReason::from_name(ended.refused_reason),
            },
        })
    }
}
