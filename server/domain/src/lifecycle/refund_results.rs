//! Results of refunds, as their worker records them or the provider tells them itself.

use jiff::Timestamp;

use crate::ids::ExternalId;
use crate::incident::IncidentKind;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::refunds;
use crate::money::Money;
use crate::payment::{PaymentFact, RecordedFact};
use crate::refund::{RefundKind, RefundState};

/// The provider's own message says that a refund of Belay's has gone, perhaps before the worker
/// does.
pub(crate) fn settle_as_told(
    draft: &mut Draft<'_>,
    number: u32,
    amount: Option<Money>,
    provider_refund_id: Option<ExternalId>,
    time: Timestamp,
) {
    let Some(refund) = draft.order.refund(number) else {
        return;
    };
    let (state, asked) = (refund.state, refund.amounts.total());
    let paid = amount
        .and_then(|amount| draft.order.amount_in_its_currency(amount).ok())
        .unwrap_or(asked);
    match state {
        RefundState::Due | RefundState::Blocked | RefundState::Submitted | RefundState::Unknown => {
            settle(draft, number, paid, provider_refund_id, Some(time));
        }
        RefundState::Settled => {
            let refund = draft.refund_mut(number);
            refund.provider_refund_id = refund.provider_refund_id.take().or(provider_refund_id);
            if amount.is_some_and(|amount| amount.currency == draft.order.currency) {
                correct(draft, number, paid);
            }
        }
        RefundState::Failed | RefundState::Dropped => {
            pay_after_all(draft, number, paid, provider_refund_id)
        }
        RefundState::Cancelled => {}
    }
}

/// The provider tells of another amount than before: that one counts, and somebody has to look at
/// it, once for each amount.
pub(crate) fn correct(draft: &mut Draft<'_>, number: u32, paid: i64) {
    let refund = draft.refund_mut(number);
    if refund.settled_amount == Some(paid) {
        return;
    }
    refund.settled_amount = Some(paid);
    refunds::recompute_balances(draft);
    draft.open_incident_of(
        IncidentKind::RefundMismatch,
        IncidentSubject::refund(number),
        Some(paid),
    );
}

/// The provider had said that it failed, or it was given up, and it has gone all the same. What was
/// to be paid in its place and is not sent yet waits for support, or the buyer has it twice.
pub(crate) fn pay_after_all(
    draft: &mut Draft<'_>,
    number: u32,
    paid: i64,
    provider_refund_id: Option<ExternalId>,
) {
    let refund = draft.refund_mut(number);
    if refund.settled_amount.is_some() {
        return;
    }
    refund.settled_amount = Some(paid);
    refund.provider_refund_id = refund.provider_refund_id.take().or(provider_refund_id);
    refunds::recompute_balances(draft);
    draft.open_incident_once(IncidentKind::LateFact, IncidentSubject::refund(number));
}

/// What was really paid counts; where that is less than was asked, the rest is due under a row of
/// its own.
pub(crate) fn settle(
    draft: &mut Draft<'_>,
    number: u32,
    paid: i64,
    provider_refund_id: Option<ExternalId>,
    occurred_time: Option<Timestamp>,
) {
    // No result is of the future.
    let time = occurred_time.unwrap_or(draft.now).min(draft.now);
    let refund = draft.refund_mut(number);
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
    refunds::recompute_balances(draft);
    if paid != asked {
        draft.open_incident_of(
            IncidentKind::RefundMismatch,
            IncidentSubject::refund(number),
            Some(paid),
        );
    }
}

/// Nothing has reached the buyer, or what did came back.
pub(crate) fn fail(draft: &mut Draft<'_>, number: u32, code: &str) {
    let refund = draft.refund_mut(number);
    refund.failure_code = Some(code.to_owned());
    refund.lease_until = None;
    refund.settled_amount = None;
    let (kind, payment) = (refund.kind, refund.payment);
    draft.move_refund(number, RefundState::Failed);
    refunds::recompute_balances(draft);
    // An authorisation that is over by itself needs no release, and nobody need be told that there
    // was none to make.
    let holds = draft
        .order
        .payment(payment)
        .is_some_and(|payment| payment.balance.held > 0);
    if kind == RefundKind::Refund || holds {
        draft.open_incident(IncidentKind::RefundFailed, IncidentSubject::refund(number));
    }
}
