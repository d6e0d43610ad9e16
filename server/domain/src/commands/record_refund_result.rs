//! RecordRefundResult: the provider's word on a refund.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::draft::About;
use super::{Answer, Draft, RecordPayment, refunds};
use crate::ids::ExternalId;
use crate::incident::IncidentKind;
use crate::money::Money;
use crate::payment::{PaymentFact, RecordedFact};
use crate::refund::{Refund, RefundKind, RefundState};
use crate::rejection::Rejection;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordRefundResult {
    pub refund: u32,
    pub result: RefundResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefundResult {
    /// What reached the buyer; none where it is all that was asked.
    Settled {
        amount: Option<Money>,
        provider_refund_id: Option<ExternalId>,
        /// By the provider's clock; none is now.
        occurred_time: Option<Timestamp>,
    },
    Failed {
        code: String,
    },
    Unknown,
}

pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &RecordRefundResult,
) -> Result<Answer, Rejection> {
    let number = command.refund;
    let refund = draft
        .order
        .refund(number)
        .ok_or(Rejection::RefundNotFound { refund: number })?;
    let (state, asked, cancellation) = (refund.state, refund.amounts.total(), refund.cancellation);
    let settled = match &command.result {
        RefundResult::Settled {
            amount: Some(amount),
            ..
        } => draft
            .order
            .amount_in_its_currency(*amount)
            .map_err(|expected| Rejection::CurrencyMismatch { expected })?,
        RefundResult::Settled { amount: None, .. }
        | RefundResult::Failed { .. }
        | RefundResult::Unknown => asked,
    };
    match (state, &command.result) {
        (RefundState::Due | RefundState::Blocked, _) => {
            return Err(Rejection::RefundNotClaimed { refund: number });
        }
        (RefundState::Cancelled, _) if refund.worker.is_none() => {
            return Err(Rejection::RefundNotClaimed { refund: number });
        }
        (
            RefundState::Submitted | RefundState::Unknown,
            RefundResult::Settled {
                provider_refund_id,
                occurred_time,
                ..
            },
        ) => {
            settle(
                draft,
                number,
                settled,
                provider_refund_id.clone(),
                *occurred_time,
            );
        }
        // Nobody is asking, so there is nothing to end.
        (RefundState::Unknown, RefundResult::Unknown) if refund.lease_until.is_none() => {}
        (RefundState::Submitted | RefundState::Unknown, RefundResult::Unknown) => {
            refund_mut(draft, number).lease_until = None;
            draft.move_refund(number, RefundState::Unknown);
        }
        // A provider may send money back that it had paid out: the account was closed.
        (
            RefundState::Submitted | RefundState::Unknown | RefundState::Settled,
            RefundResult::Failed { code },
        ) => {
            let refund = refund_mut(draft, number);
            refund.failure_code = Some(code.clone());
            refund.lease_until = None;
            refund.settled_amount = None;
            let (kind, payment) = (refund.kind, refund.payment);
            draft.move_refund(number, RefundState::Failed);
            refunds::weigh(draft);
            // An authorisation that is over by itself needs no release, and nobody need be told
            // that there was none to make.
            let holds = draft
                .order
                .payment(payment)
                .is_some_and(|payment| payment.balance.held > 0);
            if kind == RefundKind::Refund || holds {
                draft.open_incident(IncidentKind::RefundFailed, About::refund(number));
            }
        }
        (RefundState::Settled, RefundResult::Settled { amount, .. }) => {
            if amount.is_some() {
                correct(draft, number, settled);
            }
        }
        (RefundState::Failed | RefundState::Dropped, RefundResult::Settled { .. }) => {
            let RefundResult::Settled {
                provider_refund_id, ..
            } = &command.result
            else {
                return Ok(Answer::Refund(number));
            };
            pay_after_all(draft, number, settled, provider_refund_id.clone());
        }
        (RefundState::Settled, RefundResult::Unknown)
        | (
            RefundState::Failed | RefundState::Dropped,
            RefundResult::Failed { .. } | RefundResult::Unknown,
        )
        | (RefundState::Cancelled, _) => {}
    }
    draft.follow_payments();
    draft.release_if_ready();
    refunds::reconcile(draft, cancellation);
    Ok(Answer::Refund(number))
}

/// The provider's own message says that a refund of Belay's has gone, perhaps before the worker
/// does.
pub(super) fn settle_as_told(
    draft: &mut Draft<'_>,
    number: u32,
    told: &RecordPayment,
    time: Timestamp,
) {
    let Some(refund) = draft.order.refund(number) else {
        return;
    };
    let (state, asked) = (refund.state, refund.amounts.total());
    let paid = told
        .amount
        .and_then(|amount| draft.order.amount_in_its_currency(amount).ok())
        .unwrap_or(asked);
    match state {
        RefundState::Due | RefundState::Blocked | RefundState::Submitted | RefundState::Unknown => {
            settle(draft, number, paid, told.movement.clone(), Some(time));
        }
        RefundState::Settled => {
            let refund = refund_mut(draft, number);
            refund.provider_refund_id = refund
                .provider_refund_id
                .take()
                .or_else(|| told.movement.clone());
            if told
                .amount
                .is_some_and(|amount| amount.currency == draft.order.currency)
            {
                correct(draft, number, paid);
            }
        }
        RefundState::Failed | RefundState::Dropped => {
            pay_after_all(draft, number, paid, told.movement.clone())
        }
        RefundState::Cancelled => {}
    }
}

/// The provider tells of another amount than before: that one counts, and somebody has to look at
/// it, once for each amount.
fn correct(draft: &mut Draft<'_>, number: u32, paid: i64) {
    let refund = refund_mut(draft, number);
    if refund.settled_amount == Some(paid) {
        return;
    }
    refund.settled_amount = Some(paid);
    refunds::weigh(draft);
    draft.open_incident_of(
        IncidentKind::RefundMismatch,
        About::refund(number),
        Some(paid),
    );
}

/// The provider had said that it failed, or it was given up, and it has gone all the same. What was
/// to be paid in its place and is not sent yet waits for support, or the buyer has it twice.
fn pay_after_all(
    draft: &mut Draft<'_>,
    number: u32,
    paid: i64,
    provider_refund_id: Option<ExternalId>,
) {
    let refund = refund_mut(draft, number);
    if refund.settled_amount.is_some() {
        return;
    }
    refund.settled_amount = Some(paid);
    refund.provider_refund_id = refund.provider_refund_id.take().or(provider_refund_id);
    refunds::weigh(draft);
    draft.open_incident_once(IncidentKind::LateFact, About::refund(number));
}

/// What was really paid counts; where that is less than was asked, the rest is due under a row of
/// its own.
fn settle(
    draft: &mut Draft<'_>,
    number: u32,
    paid: i64,
    provider_refund_id: Option<ExternalId>,
    occurred_time: Option<Timestamp>,
) {
    // No result is of the future.
    let time = occurred_time.unwrap_or(draft.now).min(draft.now);
    let refund = refund_mut(draft, number);
    let asked = refund.amounts.total();
    refund.provider_refund_id = provider_refund_id;
    refund.settle_time = Some(time);
    refund.settled_amount = Some(paid);
    refund.lease_until = None;
    let (kind, payment) = (refund.kind, refund.payment);
    draft.move_refund(number, RefundState::Settled);
    if kind == RefundKind::Void {
        let released = (paid < asked).then_some(paid);
        for payment in draft
            .order
            .payments
            .iter_mut()
            .filter(|of| of.number == payment)
        {
            // It released what was authorised, whatever the provider's clock says.
            let authorized = payment
                .facts
                .iter()
                .filter(|fact| fact.fact == PaymentFact::Authorized);
            let time = authorized.map(|fact| fact.time).fold(time, Timestamp::max);
            payment
                .facts
                .push(RecordedFact::released(number, released, time));
        }
    }
    refunds::weigh(draft);
    if paid != asked {
        draft.open_incident_of(
            IncidentKind::RefundMismatch,
            About::refund(number),
            Some(paid),
        );
    }
}

fn refund_mut<'d>(draft: &'d mut Draft<'_>, number: u32) -> &'d mut Refund {
    let refund = draft
        .order
        .refunds
        .iter_mut()
        .find(|refund| refund.number == number);
    refund.unwrap_or_else(|| panic!("refund {number} was looked up before"))
}
