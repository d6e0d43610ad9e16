//! The gates of a cancellation's parts.

use std::time::Duration;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{Actor, LineQuantity, Party, ShipmentStage};
use crate::wire::{
    FromWire, Malformed, Open, duration_if_set, open_enum, open_if_set, read, read_all,
    read_if_set, text_if_set, time_if_set,
};

/// A gate of a part: a consent or a fact that the part waits for, with one party, one deadline and
/// one default. The gates of a part pass in order; the first refusal ends the part.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Gate {
    /// The kind of the gate: what is awaited.
    pub kind: GateKind,
    /// The party that must act.
    pub party: Party,
    /// Its state.
    pub state: GateState,
    /// When it opened. `None` while queued.
    pub open_time: Option<Timestamp>,
    /// The answer counts before this instant; at it `on_timeout` applies. `None` while queued, and
    /// for a gate without a deadline.
    pub respond_by: Option<Timestamp>,
    /// The meaning of silence. `None` for a gate without a deadline.
    pub on_timeout: Option<OnTimeout>,
    /// The rule for a dispatch while the gate is open. `None` if a dispatch does not matter.
    pub on_dispatch: Option<OnDispatch>,
    /// The rule for a loss of the parcel while the gate is open. `None` if a loss does not matter.
    pub on_lost: Option<OnLost>,
    /// The answer that closed it. `None` while it is queued or open, and if the part ended
    /// otherwise.
    pub answer: Option<GateAnswer>,
    /// When its party is reminded. `None` once it was, and if the policy has no reminder.
    pub remind_time: Option<Timestamp>,
    /// When it closed.
    pub close_time: Option<Timestamp>,
    /// The gate that this review by support replaces. The review passes by itself if that gate's
    /// fact comes. `None` for all other gates.
    pub instead_of: Option<GateKind>,
}

/// The answer that closed a gate.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GateAnswer {
    /// The actor. [`Role::System`](super::Role::System) if it was silence.
    pub by: Actor,
    /// A word of the party's own, such as the reason of a rejection.
    pub code: Option<String>,
    /// Free text of the party.
    pub note: Option<String>,
    /// References to proof, as given.
    pub evidence: Vec<String>,
    /// The stage of the shipment when the warehouse stopped it.
    pub stage_seen: Option<ShipmentStage>,
    /// The units that the warehouse put back on its shelves.
    pub put_back: Vec<LineQuantity>,
}

/// A gate that a path would have. Its deadline counts from the moment it opens.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GatePreview {
    /// The kind of the gate.
    pub kind: GateKind,
    /// The party that would have to act.
    pub party: Party,
    /// The time to respond. `None` for a gate without a deadline.
    pub respond_within: Option<RespondWithin>,
    /// The deadline, if it opened at the moment of the preview. `None` for a gate without a
    /// deadline. For a gate after the first, the clock starts only when the one before it has
    /// passed.
    pub respond_by: Option<Timestamp>,
    /// The meaning of silence.
    pub on_timeout: Option<OnTimeout>,
    /// The rule for a dispatch while the gate is open.
    pub on_dispatch: Option<OnDispatch>,
    /// The rule for a loss of the parcel while the gate is open.
    pub on_lost: Option<OnLost>,
}

/// A time to respond.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum RespondWithin {
    /// A duration.
    Duration(Duration),
    /// A number of calendar days: until the same local time that many days later, in the time zone
    /// of the warehouse or the store.
    CalendarDays(i32),
    /// A number of working days: until the end of the n-th working day after, by the policy's
    /// calendar.
    WorkingDays(i32),
}

open_enum! {
    /// The kind of a gate. A consent is a party's decision; a fact is something that has or has not
    /// happened.
    GateKind {
        /// Consent of the seller.
        SellerConsent,
        /// Consent of customer service.
        SupportReview,
        /// Fact: the warehouse has stopped the shipment, or cannot.
        WarehouseStop,
        /// Fact: the carrier brings the parcel back, or cannot.
        CarrierIntercept,
        /// Fact: the parcel has come back.
        ParcelReceipt,
        /// Fact: the carrier has given the parcel up as lost.
        LossConfirmation,
    }
}

open_enum! {
    /// The state of a gate.
    GateState {
        /// An earlier gate of the part is open.
        Queued,
        /// It is open: its party must act.
        Open,
        /// Yes.
        Passed,
        /// No; the part has ended.
        Refused,
        /// No longer needed: the part ended otherwise.
        Closed,
    }
}

open_enum! {
    /// The meaning of silence until the deadline.
    OnTimeout {
        /// The gate passes. Only for consents.
        Pass,
        /// No.
        Refuse,
        /// Customer service decides, within a deadline of its own.
        Escalate,
    }
}

open_enum! {
    /// The rule for a dispatch while the gate is open.
    OnDispatch {
        /// The dispatch is refused with [`ShipmentBarred`](crate::ErrorReason::ShipmentBarred).
        Bar,
        /// The dispatch goes ahead and ends the part with
        /// [`NoAgreement`](crate::ErrorReason::NoAgreement).
        RefusePart,
    }
}

open_enum! {
    /// The rule for a loss of the parcel while the gate is open.
    OnLost {
        /// The gate passes: a lost parcel need not come back.
        Pass,
        /// Customer service decides.
        Escalate,
    }
}

open_enum! {
    /// An action that a person can take next.
    NextAction {
        /// Request again on the path [`Cancel`](super::CancellationPath::Cancel).
        Cancel,
        /// Request on the path [`Intercept`](super::CancellationPath::Intercept).
        Intercept,
        /// Do not accept the parcel.
        RefuseDelivery,
        /// Send the delivered parcel back unopened.
        ReturnUnopened,
        /// Send opened goods back.
        ReturnOpened,
        /// Ask the store's customer service.
        ContactSupport,
        /// Ask the seller.
        ContactSeller,
        /// Wait: it becomes possible later, or comes about by itself.
        Wait,
        /// Pay the order.
        Pay,
        /// Split the shipment into smaller ones.
        SplitShipment,
        /// Put the stock of the SKU right.
        SetStock,
        /// Take the SKU off sale.
        ArchiveSku,
        /// Deliver to fewer places.
        ChangeDeliveryArea,
    }
}

impl FromWire for Gate {
    type Message = pb::Gate;

    fn from_wire(message: pb::Gate) -> Result<Self, Malformed> {
        Ok(Self {
            kind: GateKind::from_wire(message.kind),
            party: Party::from_wire(message.party),
            state: GateState::from_wire(message.state),
            open_time: time_if_set(message.open_time, "gate.open_time")?,
            respond_by: time_if_set(message.respond_by, "gate.respond_by")?,
            on_timeout: open_if_set(message.on_timeout),
            on_dispatch: open_if_set(message.on_dispatch),
            on_lost: open_if_set(message.on_lost),
            answer: read_if_set(message.answer)?,
            remind_time: time_if_set(message.remind_time, "gate.remind_time")?,
            close_time: time_if_set(message.close_time, "gate.close_time")?,
            instead_of: open_if_set(message.instead_of),
        })
    }
}

impl FromWire for GateAnswer {
    type Message = pb::GateAnswer;

    fn from_wire(message: pb::GateAnswer) -> Result<Self, Malformed> {
        Ok(Self {
            by: read(message.by, "gate_answer.by")?,
            code: text_if_set(message.code),
            note: text_if_set(message.note),
            evidence: message.evidence,
            stage_seen: open_if_set(message.stage_seen),
            put_back: read_all(message.put_back)?,
        })
    }
}

impl FromWire for RespondWithin {
    type Message = pb::gate_preview::RespondWithin;

    fn from_wire(message: pb::gate_preview::RespondWithin) -> Result<Self, Malformed> {
        const FIELD: &str = "gate.respond_within";
        Ok(match message {
            pb::gate_preview::RespondWithin::Duration(length) => {
                Self::Duration(duration_if_set(Some(length), FIELD)?.ok_or(Malformed(FIELD))?)
            }
            pb::gate_preview::RespondWithin::CalendarDays(days) => Self::CalendarDays(days),
            pb::gate_preview::RespondWithin::WorkingDays(days) => Self::WorkingDays(days),
        })
    }
}

impl FromWire for GatePreview {
    type Message = pb::GatePreview;

    fn from_wire(message: pb::GatePreview) -> Result<Self, Malformed> {
        Ok(Self {
            kind: GateKind::from_wire(message.kind),
            party: Party::from_wire(message.party),
            respond_within: read_if_set(message.respond_within)?,
            respond_by: time_if_set(message.respond_by, "gate.respond_by")?,
            on_timeout: open_if_set(message.on_timeout),
            on_dispatch: open_if_set(message.on_dispatch),
            on_lost: open_if_set(message.on_lost),
        })
    }
}
