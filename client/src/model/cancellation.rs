//! Cancellations, with their parts and their outcome.

use std::collections::BTreeMap;

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::{
    Actor, CancellationFault, ExternalReference, Gate, GoodsCondition, Money, NextAction,
    OrderState, RefundAmount,
};
use crate::error_reason::ErrorReason;
use crate::freshness::{WritePosition, equal_but_for_position};
use crate::ids::{CancellationId, Etag, LineId, OrderId, RefundId, RequestId, ShipmentId};
use crate::wire::{
    FromWire, Malformed, Open, Unseen, open_all, open_enum, open_if_set, read, read_all,
    read_if_seen, read_if_set, text_if_set, time, time_if_set,
};

/// A cancellation: a request to cancel units, with its reason and its outcome. It has a part or
/// more for each shipment that holds such units.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Cancellation {
    /// Its id.
    pub cancellation_id: CancellationId,
    /// The order.
    pub order_id: OrderId,
    /// Its state.
    pub state: CancellationState,
    /// Whether all or some of the requested units were cancelled. `None` until it is completed.
    pub outcome: Option<CancellationOutcome>,
    /// The reason of its outcome: the name of an [`ErrorReason`] such as `SHIPPED` for what was
    /// refused, or `PAYMENT_EXPIRED` for an unpaid order that closed by itself. `None` for a plain
    /// success and while pending.
    pub close_reason: Option<String>,
    /// The reason of the request: a word declared by the store's policy, such as
    /// [`NO_LONGER_WANTED`](crate::reason::NO_LONGER_WANTED).
    pub reason: Option<String>,
    /// The party at fault, by the reason.
    pub fault: Option<CancellationFault>,
    /// Free text by the person who made the request.
    pub note: Option<String>,
    /// References to proof, as given.
    pub evidence: Vec<String>,
    /// Whether it counts in the seller's cancellation rate, by the reason.
    pub counted: bool,
    /// Its effects on stock, by the reason.
    pub effects: Vec<CancellationEffect>,
    /// The requester: the buyer, if the storefront or support made the request on a buyer's behalf.
    pub requester: Actor,
    /// The actor that sent the request. The same as the requester unless it acted on another's
    /// behalf.
    pub submitted_by: Actor,
    /// The parts, by shipment number. A shipment may have several.
    pub parts: Vec<CancellationPart>,
    /// The refund to the buyer if every open part succeeds, out of the captured money that is still
    /// there. Nothing for an unpaid order.
    pub expected_refund: RefundAmount,
    /// The release of authorisations: money that was never captured.
    pub expected_release: Money,
    /// The refunds that exist for it.
    pub refund_ids: Vec<RefundId>,
    /// The deadline of the last of these refunds. `None` while there is none.
    pub refund_due_by: Option<Timestamp>,
    /// The version of the policy that decides it.
    pub policy_version: i32,
    /// When it was requested.
    pub create_time: Timestamp,
    /// When it closed. `None` while pending.
    pub close_time: Option<Timestamp>,
    /// The next actions recommended to the person who gave the reason, best first.
    pub next_actions: Vec<NextAction>,
    /// Whether the policy alone approved the buyer's request, without anybody's consent. The party
    /// that ships has to be told.
    pub auto_approved: bool,
    /// What integrators keep with the cancellation, by key. Empty for a warehouse and a carrier, as
    /// are external references.
    pub metadata: BTreeMap<String, String>,
    /// What other systems know the cancellation by, by system.
    pub external_references: Vec<ExternalReference>,
}

/// The outcome of a write to a cancellation.
#[non_exhaustive]
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RequestedCancellation {
    /// The cancellation after the write: completed if no gate is left, else pending.
    pub cancellation: Cancellation,
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

equal_but_for_position!(RequestedCancellation {
    cancellation,
    order_state,
    order_etag,
    request_id
});

/// A cancellation with its order's etag: the response of
/// [`get_cancellation`](crate::Store::get_cancellation).
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FoundCancellation {
    /// The cancellation.
    pub cancellation: Cancellation,
    /// The order's etag.
    pub order_etag: Etag,
}

open_enum! {
    /// The state of a cancellation: pending while any part waits; then completed if any part was
    /// cancelled, withdrawn if all were withdrawn, else rejected.
    CancellationState {
        /// At least one part waits at a gate.
        Pending,
        /// At least one part was cancelled.
        Completed,
        /// Nothing was cancelled.
        Rejected,
        /// The requester withdrew it.
        Withdrawn,
    }
}

open_enum! {
    /// The outcome of a completed cancellation.
    CancellationOutcome {
        /// Every requested unit was cancelled.
        Full,
        /// Some requested units were not cancelled.
        Partial,
    }
}

open_enum! {
    /// An effect of a cancellation on stock.
    CancellationEffect {
        /// The SKU's stock in the shipment's warehouse becomes zero: there is none.
        ZeroStock,
        /// The units go back to saleable stock.
        Restock,
    }
}

open_enum! {
    /// The path of a cancellation: how units are kept from the buyer, or come back.
    CancellationPath {
        /// They never leave the warehouse.
        Cancel,
        /// The carrier brings the parcel back while it is under way.
        Intercept,
        /// The buyer does not accept the parcel.
        RefuseDelivery,
        /// The buyer sends the delivered parcel back unopened.
        ReturnUnopened,
        /// The buyer sends opened goods back.
        ReturnOpened,
    }
}

/// A number of units of one line.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LineQuantity {
    /// The line.
    pub line_id: LineId,
    /// How many of its units: 1 to 1,000,000.
    pub quantity: i32,
}

/// The part of a cancellation in one shipment. It has one path and is decided as a whole.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CancellationPart {
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The path: the first of the requested ones that the policy allowed.
    pub path: CancellationPath,
    /// Its state.
    pub state: PartState,
    /// The policy's rule that decided, by its id.
    pub rule: Option<String>,
    /// The reason of the rejection. `None` unless it was refused.
    pub refused_reason: Option<ErrorReason>,
    /// The units.
    pub contents: Vec<LineQuantity>,
    /// The gates, in order. Empty for a part that needed none.
    pub gates: Vec<Gate>,
    /// The share of the cancellation's `expected_refund` for this part.
    pub expected_refund: RefundAmount,
    /// The policy's price reduction for these units: expected while the part waits, exact once it
    /// is cancelled.
    pub credit: RefundAmount,
    /// The next actions of the requester for these units, best first.
    pub next_actions: Vec<NextAction>,
    /// The deductions from the refund that the buyer bears. `expected_refund` is the amount after
    /// them.
    pub deductions: Deductions,
    /// Whether the buyer gets a label for the way back. `None` for a path without a way back.
    pub label: Option<LabelState>,
    /// The policy's instructions for a buyer without a label.
    pub label_instructions: Option<String>,
    /// The goods as they came back.
    pub receipt: Option<ParcelReceipt>,
    /// The effects of the cancelled units on the warehouse's stock. Empty until they are cancelled,
    /// and for goods that cannot be sold again.
    pub effects: Vec<CancellationEffect>,
    /// The state of the return. `None` if no goods are to come back, and while a consent is
    /// awaited.
    pub return_state: Option<ReturnState>,
}

/// The deductions from a refund that the buyer bears, in the order's currency.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Deductions {
    /// The charge for the way out, with its tax.
    pub outbound_shipping: Money,
    /// The price of the return label.
    pub return_shipping: Money,
    /// The part of price and tax that the policy's schedule deducts.
    pub by_schedule: Money,
}

/// The receipt of returned goods.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ParcelReceipt {
    /// Their condition.
    pub condition: GoodsCondition,
    /// When, by the warehouse's account.
    pub receive_time: Timestamp,
}

open_enum! {
    /// Whether the buyer gets a label for the way back.
    LabelState {
        /// The carrier issues one.
        Issued,
        /// The carrier has none for the buyer's region.
        UnavailableInRegion,
    }
}

open_enum! {
    /// The state of a return from the buyer.
    ReturnState {
        /// The buyer may send them, or not accept them.
        Authorised,
        /// The carrier has them.
        Returning,
        /// The warehouse has them.
        Received,
    }
}

open_enum! {
    /// The state of a part.
    PartState {
        /// Its gates are not all passed. Its units are claimed and not cancelled.
        Waiting,
        /// Its units are cancelled.
        Cancelled,
        /// Its units stay as they were.
        Refused,
        /// The requester withdrew it.
        Withdrawn,
    }
}

impl FromWire for Cancellation {
    type Message = pb::Cancellation;

    fn from_wire(message: pb::Cancellation) -> Result<Self, Malformed> {
        Ok(Self {
            cancellation_id: CancellationId::unchecked(message.cancellation_id),
            order_id: OrderId::unchecked(message.order_id),
            state: CancellationState::from_wire(message.state),
            outcome: open_if_set(message.outcome),
            close_reason: text_if_set(message.close_reason),
            reason: text_if_set(message.reason),
            fault: open_if_set(message.fault),
            note: text_if_set(message.note),
            evidence: message.evidence,
            counted: message.counted,
            effects: open_all(message.effects),
            requester: read(message.requester, "cancellation.requester")?,
            submitted_by: read(message.submitted_by, "cancellation.submitted_by")?,
            parts: read_all(message.parts)?,
            expected_refund: read_if_seen(message.expected_refund)?,
            expected_release: read_if_seen(message.expected_release)?,
            refund_ids: message
                .refund_ids
                .into_iter()
                .map(RefundId::unchecked)
                .collect(),
            refund_due_by: time_if_set(message.refund_due_by, "cancellation.refund_due_by")?,
            policy_version: message.policy_version,
            create_time: time(message.create_time, "cancellation.create_time")?,
            close_time: time_if_set(message.close_time, "cancellation.close_time")?,
            next_actions: open_all(message.next_actions),
            auto_approved: message.auto_approved,
            metadata: message.metadata,
            external_references: read_all(message.external_references)?,
        })
    }
}

impl FromWire for LineQuantity {
    type Message = pb::LineQuantity;

    fn from_wire(message: pb::LineQuantity) -> Result<Self, Malformed> {
        Ok(Self {
            line_id: LineId::unchecked(message.line_id),
            quantity: message.quantity,
        })
    }
}

impl FromWire for CancellationPart {
    type Message = pb::CancellationPart;

    fn from_wire(message: pb::CancellationPart) -> Result<Self, Malformed> {
        Ok(Self {
            shipment_id: ShipmentId::unchecked(message.shipment_id),
            path: CancellationPath::from_wire(message.path),
            state: PartState::from_wire(message.state),
            rule: text_if_set(message.rule),
            refused_reason: ErrorReason::from_name(message.refused_reason),
            contents: read_all(message.contents)?,
            gates: read_all(message.gates)?,
            expected_refund: read_if_seen(message.expected_refund)?,
            credit: read_if_seen(message.credit)?,
            next_actions: open_all(message.next_actions),
            deductions: read_if_seen(message.deductions)?,
            label: open_if_set(message.label),
            label_instructions: text_if_set(message.label_instructions),
            receipt: read_if_set(message.receipt)?,
            effects: open_all(message.effects),
            return_state: open_if_set(message.return_state),
        })
    }
}

impl Unseen for Deductions {
    fn unseen() -> Self {
        Self {
            outbound_shipping: Money::unseen(),
            return_shipping: Money::unseen(),
            by_schedule: Money::unseen(),
        }
    }
}

impl FromWire for Deductions {
    type Message = pb::Deductions;

    fn from_wire(message: pb::Deductions) -> Result<Self, Malformed> {
        Ok(Self {
            outbound_shipping: read(message.outbound_shipping, "deductions.outbound_shipping")?,
            return_shipping: read(message.return_shipping, "deductions.return_shipping")?,
            by_schedule: read(message.by_schedule, "deductions.by_schedule")?,
        })
    }
}

impl FromWire for ParcelReceipt {
    type Message = pb::ParcelReceipt;

    fn from_wire(message: pb::ParcelReceipt) -> Result<Self, Malformed> {
        Ok(Self {
            condition: GoodsCondition::from_wire(message.condition),
            receive_time: time(message.receive_time, "receipt.receive_time")?,
        })
    }
}
