//! Facts that contradict what was decided.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, Money, OrderState};
use crate::ids::{CancellationId, Etag, IncidentId, OrderId, RequestId};
use crate::wire::{
    FromWire, Malformed, Open, open_all, open_enum, open_if_set, read_if_set, text_if_set, time,
    time_if_set,
};

/// A fact that contradicts what was decided. The fact is on record; somebody must settle what
/// follows from it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub incident_id: IncidentId,
    /// The order it concerns.
    pub order_id: OrderId,
    /// What happened.
    pub kind: IncidentKind,
    /// Whether it is settled.
    pub state: IncidentState,
    /// What it is about: the id of a shipment, a cancellation, a payment or a refund of the order.
    pub subject_id: String,
    /// When it opened.
    pub create_time: Timestamp,
    /// When it was settled.
    pub resolve_time: Option<Timestamp>,
    /// The cancellation that the fact was too late for. `None` for other kinds.
    pub cancellation_id: Option<CancellationId>,
    /// How it was settled. `None` while it is open, and where a later fact settled it.
    pub resolution: Option<IncidentResolution>,
    /// Who settled it: for a later fact, who reported that.
    pub resolved_by: Option<Actor>,
    /// Free text of who settled it.
    pub note: Option<String>,
    /// How it can be settled as things stand. Empty once it is.
    pub allowed_resolutions: Vec<IncidentResolution>,
    /// How much money it is about; once somebody has settled it, how much that decision covers.
    /// `None` where it is not about an amount.
    pub amount: Option<Money>,
}

/// What [`resolve_incident`](crate::Store::resolve_incident) answers.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedIncident {
    /// The incident as it stands.
    pub incident: Incident,
    /// The order's state after it.
    pub order_state: OrderState,
    /// The order's etag after it.
    pub order_etag: Etag,
    /// The key under which the write was sent.
    pub request_id: RequestId,
}

open_enum! {
    /// What an incident is about.
    IncidentKind {
        /// A shipment left after its units were cancelled.
        CancelledYetShipped,
        /// A fact arrived after the deadline by which it would have counted.
        LateFact,
        /// The provider settled a refund with another amount than was asked.
        RefundMismatch,
        /// The provider could not pay a refund out, or the money came back.
        RefundFailed,
        /// The order was paid and is no more: an authorisation lapsed, was released or declined.
        PaymentLapsed,
        /// Money went back of an order whose goods have not left, and what is left does not cover
        /// what is due.
        GoodsUnpaid,
        /// More went back of a payment than it brought.
        OverRefunded,
        /// More was told as captured than was authorised: perhaps one capture told twice.
        CaptureMismatch,
    }
}

open_enum! {
    /// How an incident is settled.
    IncidentResolution {
        /// Refunds that it keeps back become due; goods that came home too late are paid for all
        /// the same; captures that were doubted happened.
        RefundAnyway,
        /// Refunds that it keeps back are dropped for good.
        DropRefund,
        /// A new refund, with a provider key of its own, stands for the one that failed or is kept
        /// back.
        RetryRefund,
        /// Things stay as they are.
        Accept,
    }
}

open_enum! {
    /// Whether an incident is settled.
    IncidentState {
        /// Somebody must act.
        Open,
        /// Settled, by somebody or by a later fact.
        Resolved,
    }
}

impl FromWire for Incident {
    type Message = pb::Incident;

    fn from_wire(message: pb::Incident) -> Result<Self, Malformed> {
        Ok(Self {
            incident_id: IncidentId::unchecked(message.incident_id),
            order_id: OrderId::unchecked(message.order_id),
            kind: IncidentKind::from_wire(message.kind),
            state: IncidentState::from_wire(message.state),
            subject_id: message.subject_id,
            create_time: time(message.create_time, "incident.create_time")?,
            resolve_time: time_if_set(message.resolve_time, "incident.resolve_time")?,
            cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
            resolution: open_if_set(message.resolution),
            resolved_by: read_if_set(message.resolved_by)?,
            note: text_if_set(message.note),
            allowed_resolutions: open_all(message.allowed_resolutions),
            amount: read_if_set(message.amount)?,
        })
    }
}
