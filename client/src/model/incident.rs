//! Facts that contradict what was decided.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::ids::{IncidentId, OrderId};
use crate::wire::{FromWire, Malformed, Open, open_enum, time, time_if_set};

/// A fact that contradicts what was decided. The fact is on record; somebody must settle what follows from it.
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
        })
    }
}
