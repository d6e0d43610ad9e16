//! Incidents of an order.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, Money, OrderState};
use crate::freshness::{WritePosition, equal_but_for_position};
use crate::ids::{CancellationId, Etag, IncidentId, OrderId, RequestId};
use crate::wire::{
    FromWire, Malformed, Open, open_all, open_enum, open_if_set, read_if_set, text_if_set, time,
    time_if_set,
};

/// An incident: a fact that contradicts a decision. The fact is recorded; support resolves what
/// follows from it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Incident {
    /// Its id.
    pub incident_id: IncidentId,
    /// The order it concerns.
    pub order_id: OrderId,
    /// Its kind.
    pub kind: IncidentKind,
    /// Whether it is resolved.
    pub state: IncidentState,
    /// Its subject: the id of a shipment, a cancellation, a payment or a refund of the order.
    pub subject_id: String,
    /// When it opened.
    pub create_time: Timestamp,
    /// When it was resolved.
    pub resolve_time: Option<Timestamp>,
    /// The cancellation for which the fact was too late. `None` for other kinds.
    pub cancellation_id: Option<CancellationId>,
    /// The resolution. `None` while it is open, and if a later fact resolved it.
    pub resolution: Option<IncidentResolution>,
    /// The actor that resolved it, or that reported the later fact that did.
    pub resolved_by: Option<Actor>,
    /// Free text by the person who resolved it.
    pub note: Option<String>,
    /// The resolutions that are possible now. Empty once it is resolved.
    pub allowed_resolutions: Vec<IncidentResolution>,
    /// The amount it is about; once a person has resolved it, the amount that the resolution
    /// covers. `None` if it is not about an amount.
    pub amount: Option<Money>,
}

/// The response of [`resolve_incident`](crate::Store::resolve_incident).
#[non_exhaustive]
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ResolvedIncident {
    /// The incident.
    pub incident: Incident,
    /// The order's state after the write.
    pub order_state: OrderState,
    /// The order's etag after the write.
    pub order_etag: Etag,
    /// The request id that the write was sent with.
    pub request_id: RequestId,
    /// The position of the write, for lists that must show it: see
    /// [`read_after`](crate::calls::ListOrders::read_after). `None` from a server that tells none.
    /// No part of what is compared: the answer to a repetition is the same, and its position may be
    /// a later one.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub position: Option<WritePosition>,
}

equal_but_for_position!(ResolvedIncident {
    incident,
    order_state,
    order_etag,
    request_id
});

open_enum! {
    /// The kind of an incident.
    IncidentKind {
        /// A shipment left after its units were cancelled, or was delivered although they were
        /// cancelled because it was lost or on its way back.
        CancelledYetShipped,
        /// A fact arrived after the deadline by which it would have counted.
        LateFact,
        /// The provider settled a refund with another amount than requested.
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
        /// More was reported as captured than was authorised: perhaps one capture that was reported
        /// twice.
        CaptureMismatch,
    }
}

open_enum! {
    /// The resolution of an incident.
    IncidentResolution {
        /// Refunds that it keeps back become due; goods that came home too late are paid for all
        /// the same; captures that were unconfirmed happened.
        RefundAnyway,
        /// The refund that it is about is dropped for good; of a shipment that left though it was
        /// cancelled, what refunds give for its units that are out.
        DropRefund,
        /// A new refund, with a provider key of its own, replaces the one that failed or is
        /// withheld.
        RetryRefund,
        /// Nothing changes.
        Accept,
    }
}

open_enum! {
    /// The state of an incident.
    IncidentState {
        /// Support must act.
        Open,
        /// Resolved, by a person or by a later fact.
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
