//! RecordRefundResult: the provider's word on a refund.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::ids::ExternalId;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::{refund_results, refunds};
use crate::money::Money;
use crate::order::Order;
use crate::refund::RefundState;
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

impl RefundResult {
    /// What reached the buyer, where that is said.
    fn settled_amount(&self, order: &Order) -> Result<Option<i64>, Rejection> {
        let amount = match self {
            RefundResult::Settled { amount, .. } => *amount,
            RefundResult::Failed { .. } | RefundResult::Unknown => None,
        };
        amount
            .map(|amount| order.amount_in_its_currency(amount))
            .transpose()
            .map_err(|expected| Rejection::CurrencyMismatch { expected })
    }
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
    let is_paid = refund.settled_amount.is_some();
    let named = command.result.settled_amount(&draft.order)?;
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
            let (paid, id) = (named.unwrap_or(asked), provider_refund_id.clone());
            refund_results::settle(draft, number, paid, id, *occurred_time);
        }
        // Nobody is asking, so there is nothing to end.
        (RefundState::Unknown, RefundResult::Unknown) if refund.lease_until.is_none() => {}
        (RefundState::Submitted | RefundState::Unknown, RefundResult::Unknown) => {
            draft.refund_mut(number).lease_until = None;
            draft.move_refund(number, RefundState::Unknown);
        }
        // Nothing was paid that could come back.
        (RefundState::Failed | RefundState::Dropped, RefundResult::Failed { .. }) if !is_paid => {}
        // A provider may send money back that it had paid out: the account was closed.
        (
            RefundState::Submitted
            | RefundState::Unknown
            | RefundState::Settled
            | RefundState::Failed
            | RefundState::Dropped,
            RefundResult::Failed { code },
        ) => {
            refund_results::fail(draft, number, code);
        }
        (
            RefundState::Settled | RefundState::Failed | RefundState::Dropped,
            RefundResult::Settled {
                provider_refund_id,
                occurred_time,
                ..
            },
        ) => {
            let (id, time) = (provider_refund_id.clone(), *occurred_time);
            refund_results::settle_ended(draft, number, named, id, time);
        }
        (
            RefundState::Settled | RefundState::Failed | RefundState::Dropped,
            RefundResult::Unknown,
        )
        | (RefundState::Cancelled, _) => {}
    }
    draft.follow_payments_and_release();
    refunds::reconcile(draft, cancellation);
    Ok(Answer::Refund(number))
}
