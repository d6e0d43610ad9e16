//! Refunds of an order.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::Money;
use crate::ids::{CancellationId, OrderId, PaymentId, RefundId, WorkerId};
use crate::wire::{
    FromWire, Malformed, Open, Unseen, open_enum, read, read_if_set, text_if_set, time, time_if_set,
};

/// A refund to the buyer, to the payment that the money came from. A refund keeps one provider key.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Refund {
    /// Its id.
    pub refund_id: RefundId,
    /// The order.
    pub order_id: OrderId,
    /// The payment it goes back to.
    pub payment_id: PaymentId,
    /// The provider's own id of that payment, for the call to the provider.
    pub provider_payment_id: String,
    /// Its kind.
    pub kind: RefundKind,
    /// Its state.
    pub state: RefundState,
    /// The amount, by component.
    pub amount: RefundAmount,
    /// The idempotency key to give to the provider with every attempt at this refund. Never
    /// changes.
    pub provider_key: String,
    /// The cancellation it is for, also if the money was captured after it. `None` for money that
    /// was never due.
    pub cancellation_id: Option<CancellationId>,
    /// The time by which it must be settled. Now or in the past for "at once".
    pub due_by: Timestamp,
    /// When it was created.
    pub create_time: Timestamp,
    /// When the provider settled it, by the provider's account.
    pub settle_time: Option<Timestamp>,
    /// The provider's id of the refund, as the result gave it.
    pub provider_refund_id: Option<String>,
    /// The provider's code of the failure, as the result gave it.
    pub failure_code: Option<String>,
    /// The worker that last claimed it.
    pub worker_id: Option<WorkerId>,
    /// Until when that claim lasts. Past it, without a result, the refund is
    /// [`RefundState::Unknown`] and can be claimed again.
    pub lease_until: Option<Timestamp>,
    /// Whether an earlier attempt may have reached the provider. If so, first ask the provider
    /// about `provider_key`; request the refund, with the same key, only if the provider does not
    /// know it.
    pub ask_provider_first: bool,
    /// Whether it is overdue: not settled a time after `due_by` that the policy names.
    pub overdue: bool,
    /// The failed or withheld refund that this one replaces.
    pub retry_of_id: Option<RefundId>,
    /// The amount that the provider really paid. `None` until that is known. If it is less than the
    /// amount, the rest is due under a refund of its own.
    pub settled_amount: Option<Money>,
}

/// An amount to give back, by component, all in the order's currency.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RefundAmount {
    /// Goods, less their discount.
    pub goods: Money,
    /// Tax, of goods and of shipping.
    pub tax: Money,
    /// The shipping charge, without tax.
    pub shipping: Money,
    /// Money captured above what was due: paid twice, too much, or too late.
    pub excess: Money,
    /// `goods + tax + shipping + excess`.
    pub total: Money,
}

/// The time by which a refund must be settled.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RefundDue {
    /// Whether the policy gives money back at once.
    pub immediate: bool,
    /// The latest instant by which the policy promises it. `None` when the clock only starts later,
    /// such as with the receipt of the parcel.
    pub due_by: Option<Timestamp>,
}

open_enum! {
    /// The kind of a refund: what the provider is asked for.
    RefundKind {
        /// To give captured money back.
        Refund,
        /// To give up what is left of an authorisation, because nothing is due for it. A provider
        /// that has nothing to release has settled it.
        Void,
    }
}

open_enum! {
    /// The state of a refund. Settled, failed, dropped and cancelled are final, but a settled
    /// refund becomes failed if the money comes back.
    RefundState {
        /// To be claimed and sent.
        Due,
        /// Kept back by an open incident.
        Blocked,
        /// Claimed by a worker, who is asking the provider.
        Submitted,
        /// The money has gone.
        Settled,
        /// The provider refused, or the money came back.
        Failed,
        /// The provider may or may not know it. It can be claimed again, with `ask_provider_first`.
        Unknown,
        /// Given up by the resolution of an incident.
        Dropped,
        /// No longer needed before it was sent.
        Cancelled,
    }
}

open_enum! {
    /// The provider's result of one attempt.
    RefundResult {
        /// The money has gone.
        Settled,
        /// The provider refused, or the money came back. Final.
        Failed,
        /// The result is unknown: a time-out, a broken connection.
        Unknown,
    }
}

impl FromWire for Refund {
    type Message = pb::Refund;

    fn from_wire(message: pb::Refund) -> Result<Self, Malformed> {
        Ok(Self {
            refund_id: RefundId::unchecked(message.refund_id),
            order_id: OrderId::unchecked(message.order_id),
            payment_id: PaymentId::unchecked(message.payment_id),
            provider_payment_id: message.provider_payment_id,
            kind: RefundKind::from_wire(message.kind),
            state: RefundState::from_wire(message.state),
            amount: read(message.amount, "refund.amount")?,
            provider_key: message.provider_key,
            cancellation_id: text_if_set(message.cancellation_id).map(CancellationId::unchecked),
            due_by: time(message.due_by, "refund.due_by")?,
            create_time: time(message.create_time, "refund.create_time")?,
            settle_time: time_if_set(message.settle_time, "refund.settle_time")?,
            provider_refund_id: text_if_set(message.provider_refund_id),
            failure_code: text_if_set(message.failure_code),
            worker_id: text_if_set(message.worker_id).map(WorkerId::unchecked),
            lease_until: time_if_set(message.lease_until, "refund.lease_until")?,
            ask_provider_first: message.ask_provider_first,
            overdue: message.overdue,
            retry_of_id: text_if_set(message.retry_of_id).map(RefundId::unchecked),
            settled_amount: read_if_set(message.settled_amount)?,
        })
    }
}

impl Unseen for RefundAmount {
    fn unseen() -> Self {
        Self {
            goods: Money::unseen(),
            tax: Money::unseen(),
            shipping: Money::unseen(),
            excess: Money::unseen(),
            total: Money::unseen(),
        }
    }
}

impl FromWire for RefundAmount {
    type Message = pb::RefundAmount;

    fn from_wire(message: pb::RefundAmount) -> Result<Self, Malformed> {
        Ok(Self {
            goods: read(message.goods, "refund_amount.goods")?,
            tax: read(message.tax, "refund_amount.tax")?,
            shipping: read(message.shipping, "refund_amount.shipping")?,
            excess: read(message.excess, "refund_amount.excess")?,
            total: read(message.total, "refund_amount.total")?,
        })
    }
}

impl FromWire for RefundDue {
    type Message = pb::RefundDue;

    fn from_wire(message: pb::RefundDue) -> Result<Self, Malformed> {
        Ok(Self {
            immediate: message.immediate,
            due_by: time_if_set(message.due_by, "refund_due.due_by")?,
        })
    }
}
