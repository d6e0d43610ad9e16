//! RecordRefundResult: the provider's word on a refund.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::draft::About;
use super::{Answer, Draft};
use crate::ids::ExternalId;
use crate::incident::IncidentKind;
use crate::money::Money;
use crate::payment::PaymentState;
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

pub(super) fn decide(draft: &mut Draft<'_>, command: &RecordRefundResult) -> Result<Answer, Rejection> {
    let number = command.refund;
    let refund = draft.order.refund(number).ok_or(Rejection::RefundNotFound { refund: number })?;
    let (state, asked) = (refund.state, refund.amounts.total());
    let settled = match &command.result {
        RefundResult::Settled { amount: Some(amount), .. } => draft.order.amount_in_its_currency(*amount)?,
        RefundResult::Settled { amount: None, .. } | RefundResult::Failed { .. } | RefundResult::Unknown => asked,
    };
    match (state, &command.result) {
        (RefundState::Due | RefundState::Blocked, _) => return Err(Rejection::RefundNotClaimed { refund: number }),
        (RefundState::Submitted | RefundState::Unknown, RefundResult::Settled { .. }) => {
            settle(draft, number, &command.result);
            if settled != asked {
                draft.open_incident(IncidentKind::RefundMismatch, About::refund(number));
            }
        }
        // Nobody is asking, so there is nothing to end.
        (RefundState::Unknown, RefundResult::Unknown) if refund.lease_until.is_none() => {}
        (RefundState::Submitted | RefundState::Unknown, RefundResult::Unknown) => {
            refund_mut(draft, number).lease_until = None;
            draft.move_refund(number, RefundState::Unknown);
        }
        // A provider may send money back that it had paid out: the account was closed.
        (RefundState::Submitted | RefundState::Unknown | RefundState::Settled, RefundResult::Failed { code }) => {
            let refund = refund_mut(draft, number);
            refund.failure_code = Some(code.clone());
            refund.lease_until = None;
            draft.move_refund(number, RefundState::Failed);
            draft.open_incident(IncidentKind::RefundFailed, About::refund(number));
        }
        (RefundState::Settled, RefundResult::Settled { .. }) => {
            if settled != asked && !has_incident(draft, IncidentKind::RefundMismatch, number) {
                draft.open_incident(IncidentKind::RefundMismatch, About::refund(number));
            }
        }
        (RefundState::Failed | RefundState::Dropped, RefundResult::Settled { .. }) => {
            if !has_incident(draft, IncidentKind::LateFact, number) {
                draft.open_incident(IncidentKind::LateFact, About::refund(number));
            }
            hold_back_what_stands_for(draft, number);
        }
        (RefundState::Settled, RefundResult::Unknown)
        | (RefundState::Failed | RefundState::Dropped, RefundResult::Failed { .. } | RefundResult::Unknown) => {}
    }
    Ok(Answer::Refund(number))
}

fn settle(draft: &mut Draft<'_>, number: u32, result: &RefundResult) {
    let now = draft.now;
    let refund = refund_mut(draft, number);
    if let RefundResult::Settled { provider_refund_id, occurred_time, .. } = result {
        refund.provider_refund_id = provider_refund_id.clone();
        refund.settle_time = Some(occurred_time.unwrap_or(now));
    }
    refund.lease_until = None;
    let (kind, payment) = (refund.kind, refund.payment);
    draft.move_refund(number, RefundState::Settled);
    if kind == RefundKind::Void {
        let voided = draft.order.payments.iter_mut().filter(|p| p.number == payment && p.captured == 0);
        voided.for_each(|payment| payment.state = PaymentState::Voided);
    }
}

/// It was paid after all: what was to be paid in its place and is not sent yet waits for support, or the buyer has it twice.
fn hold_back_what_stands_for(draft: &mut Draft<'_>, number: u32) {
    let mut stands = draft.order.refunds.iter().find(|refund| refund.retry_of == Some(number));
    while let Some(refund) = stands {
        if refund.state == RefundState::Due {
            let number = refund.number;
            draft.move_refund(number, RefundState::Blocked);
            draft.open_incident(IncidentKind::RefundMismatch, About::refund(number));
            return;
        }
        // It may have failed in its turn.
        stands = draft.order.refunds.iter().find(|next| next.retry_of == Some(refund.number));
    }
}

fn refund_mut<'d>(draft: &'d mut Draft<'_>, number: u32) -> &'d mut Refund {
    let refund = draft.order.refunds.iter_mut().find(|refund| refund.number == number);
    refund.unwrap_or_else(|| panic!("refund {number} was looked up before"))
}

fn has_incident(draft: &Draft<'_>, kind: IncidentKind, refund: u32) -> bool {
    draft.order.incidents.iter().any(|incident| incident.kind == kind && incident.refund == Some(refund))
}
