//! Money that goes back.

use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::Money;
use crate::ids::{CancellationId, OrderId, PaymentId, RefundId, WorkerId};
use crate::wire::{
    FromWire, Malformed, Open, open_enum, read, read_if_set, text_if_set, time, time_if_set,
};

/// Money that goes back to the buyer, always to the payment it came from. One refund has one
/// provider key for life.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub refund_id: RefundId,
    /// The order.
    pub order_id: OrderId,
    /// The payment it goes back to.
    pub payment_id: PaymentId,
    /// The provider's own id of that payment, for the call to the provider.
    pub provider_payment_id: String,
    /// What the provider is to be asked for.
    pub kind: RefundKind,
    /// Where it stands.
    pub state: RefundState,
    /// How much, by component.
    pub amount: RefundAmount,
    /// The idempotency key to give to the provider with every attempt at this refund. Never
    /// changes.
    pub provider_key: String,
    /// The cancellation it is for, also of what was captured after it. `None` for money that was
    /// never due.
    pub cancellation_id: Option<CancellationId>,
    /// By when it must be settled. Now or in the past for "at once".
    pub due_by: Timestamp,
    /// When it was created.
    pub create_time: Timestamp,
    /// When the provider settled it, by the provider's account.
    pub settle_time: Option<Timestamp>,
    /// The provider's id of the refund, as the result gave it.
    pub provider_refund_id: Option<String>,
    /// Why it failed, as the result gave it.
    pub failure_code: Option<String>,
    /// The worker that last claimed it.
    pub worker_id: Option<WorkerId>,
    /// Until when that claim lasts. Past it, without a result, the refund is
    /// [`RefundState::Unknown`] and can be claimed again.
    pub lease_until: Option<Timestamp>,
    /// Whether an earlier attempt may have reached the provider. Then first ask the provider what
    /// became of `provider_key`; only if it never heard of it, ask for the refund, with the same
    /// key.
    pub ask_provider_first: bool,
    /// Whether it was still not settled some time after `due_by`; how long after, the policy says.
    pub overdue: bool,
    /// The refund that failed, or was kept back, and that this one stands for.
    pub retry_of_id: Option<RefundId>,
    /// What the provider really paid. `None` until that is known. Where it is less than the amount,
    /// the rest is due under a refund of its own.
    pub settled_amount: Option<Money>,
}

/// An amount to give back, by component, all in the order's currency.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// When a refund must be settled.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefundDue {
    /// Whether the policy gives money back at once.
    pub immediate: bool,
    /// The latest instant by which the policy promises it. `None` when the clock only starts later,
    /// such as with the receipt of the parcel.
    pub due_by: Option<Timestamp>,
}

open_enum! {
    /// What the provider is asked for.
    RefundKind {
        /// To give captured money back.
        Refund,
        /// To give up what is left of an authorisation, because nothing is due for it. A provider
        /// that has nothing to release has settled it.
        Void,
    }
}

open_enum! {
    /// Where a refund stands. Settled, failed, dropped and cancelled are ends; a settled one may
    /// still become failed when the money comes back.
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
        /// The provider may or may not have heard of it. It is handed out again as "ask the
        /// provider, same key".
        Unknown,
        /// Given up by the settlement of an incident.
        Dropped,
        /// Not needed any more before anybody sent it.
        Cancelled,
    }
}

open_enum! {
    /// What the provider answered to one attempt.
    RefundResult {
        /// The money has gone.
        Settled,
        /// The provider refused, or the money came back. Final.
        Failed,
        /// It cannot be told: a time-out, a broken connection.
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
