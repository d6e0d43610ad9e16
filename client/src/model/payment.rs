//! Payments of an order.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::Money;
use crate::ids::PaymentId;
use crate::wire::{FromWire, Malformed, Open, open_enum, read, time};

/// A payment of an order, as the provider reports it. An order has at most 20 without an outcome,
/// and at most 40 in all.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Payment {
    /// Belay's id.
    pub payment_id: PaymentId,
    /// The provider's own id, under which its facts are recorded.
    pub provider_payment_id: String,
    /// The payment method, such as `CREDIT_CARD`: a word that the first fact gave.
    pub method: String,
    /// Its state.
    pub state: PaymentState,
    /// All authorisations together.
    pub authorized: Money,
    /// All captures together.
    pub captured: Money,
    /// The refunded amount: settled refunds, and money that was refunded or charged back outside of
    /// Belay.
    pub refunded: Money,
    /// When Belay first heard of it.
    pub create_time: Timestamp,
    /// When it last changed.
    pub update_time: Timestamp,
    /// The amount still authorised: neither captured nor released, lapsed or declined.
    pub still_authorized: Money,
    /// The amount reported as captured above all authorisations, by messages without a movement's
    /// id: perhaps one capture that was reported twice. It is not part of `captured`.
    pub unconfirmed: Money,
    /// The part of `refunded` that was refunded outside of Belay.
    pub refunded_outside: Money,
    /// The part of `refunded` that was charged back and not won back.
    pub disputed: Money,
}

open_enum! {
    /// The state of a payment. It follows from the facts recorded about it.
    PaymentState {
        /// Begun, nothing promised yet.
        Attempting,
        /// The provider guarantees the amount; no money has moved.
        Authorized,
        /// Money has been taken.
        Captured,
        /// The provider declined.
        Declined,
        /// The authorisation was released or has lapsed without money being taken.
        Voided,
    }
}

open_enum! {
    /// A fact about a payment. It is recorded in any state.
    PaymentFact {
        /// The buyer began to pay. Received before the order's `pay_by`, it moves that instant once
        /// by the policy's grace.
        Attempted,
        /// An amount was authorised. Counts as paid.
        Authorized,
        /// An amount was captured. Counts as paid. What exceeds the amount due becomes a refund at
        /// once; what exceeds all that was authorised, without a movement's id, is unconfirmed.
        Captured,
        /// The provider declined, to authorise or to capture: what was authorised before holds no
        /// more. After the original `pay_by` it closes the unpaid order at once.
        Declined,
        /// The authorisation was released or has lapsed: whole, or by the amount given.
        Voided,
        /// Money was given back without Belay. Lowers what is still to go back, unless it tells of
        /// a refund of Belay's.
        RefundedOutside,
        /// The buyer's bank took money back. Lowers what is still to go back.
        Chargeback,
        /// A dispute was won: the money of a chargeback is there again.
        ChargebackReversed,
    }
}

impl FromWire for Payment {
    type Message = pb::Payment;

    fn from_wire(message: pb::Payment) -> Result<Self, Malformed> {
        Ok(Self {
            payment_id: PaymentId::unchecked(message.payment_id),
            provider_payment_id: message.provider_payment_id,
            method: message.method,
            state: PaymentState::from_wire(message.state),
            authorized: read(message.authorized, "payment.authorized")?,
            captured: read(message.captured, "payment.captured")?,
            refunded: read(message.refunded, "payment.refunded")?,
            create_time: time(message.create_time, "payment.create_time")?,
            update_time: time(message.update_time, "payment.update_time")?,
            still_authorized: read(message.still_authorized, "payment.still_authorized")?,
            unconfirmed: read(message.unconfirmed, "payment.unconfirmed")?,
            refunded_outside: read(message.refunded_outside, "payment.refunded_outside")?,
            disputed: read(message.disputed, "payment.disputed")?,
        })
    }
}
