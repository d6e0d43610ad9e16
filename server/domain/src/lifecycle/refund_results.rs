//! Results of refunds, as their worker records them or the provider tells them itself.

use jiff::Timestamp;

use crate::ids::ExternalId;
use crate::incident::IncidentKind;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::refunds;
use crate::money::Money;
use crate::payment::{PaymentFact, RecordedFact};
use crate::refund::{Refund, RefundKind, RefundState};

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
    let own = amount.and_then(|amount| draft.order.amount_in_its_currency(amount).ok());
    match refund.state {
        RefundState::Due | RefundState::Blocked | RefundState::Submitted | RefundState::Unknown => {
            let paid = own.unwrap_or(refund.amounts.total());
            settle(draft, number, paid, provider_refund_id, Some(time));
        }
        RefundState::Settled => {
            let refund = draft.refund_mut(number);
            refund.provider_refund_id = refund.provider_refund_id.take().or(provider_refund_id);
            settle_ended(draft, number, own, None, Some(time));
        }
        RefundState::Failed | RefundState::Dropped => {
            if !is_overtaken(refund, provider_refund_id.as_ref(), time) {
                settle_ended(draft, number, own, provider_refund_id, Some(time));
            }
        }
        RefundState::Cancelled => {}
    }
}

/// The message is about money that has come back since: the row had paid it and then failed.
fn is_overtaken(refund: &Refund, movement: Option<&ExternalId>, time: Timestamp) -> bool {
    let is_another = refund.provider_refund_id.is_some()
        && movement.is_some()
        && refund.provider_refund_id.as_ref() != movement;
    let has_bounced = refund.settle_time.is_some() && refund.settled_amount.is_none();
    has_bounced && time <= refund.update_time && !is_another
}

/// The provider says that a row has paid which has ended before; how much, where it names an
/// amount.
pub(crate) fn settle_ended(
    draft: &mut Draft<'_>,
    number: u32,
    amount: Option<i64>,
    provider_refund_id: Option<ExternalId>,
    occurred_time: Option<Timestamp>,
) {
    let refund = draft.refund_mut(number);
    match (refund.settled_amount, amount) {
        (Some(_), Some(paid)) => correct(draft, number, paid),
        (Some(_), None) => {}
        (None, amount) => {
            let paid = amount.unwrap_or(refund.amounts.total());
            pay_after_all(draft, number, paid, provider_refund_id, occurred_time);
        }
    }
}

/// The provider tells of another amount than before: that one counts, and somebody has to look at
/// it, once for each amount.
fn correct(draft: &mut Draft<'_>, number: u32, paid: i64) {
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
fn pay_after_all(
    draft: &mut Draft<'_>,
    number: u32,
    paid: i64,
    provider_refund_id: Option<ExternalId>,
    occurred_time: Option<Timestamp>,
) {
    let now = draft.now;
    let time = occurred_time.unwrap_or(now).min(now);
    let refund = draft.refund_mut(number);
    refund.settled_amount = Some(paid);
    refund.settle_time = Some(time);
    refund.update_time = now;
    refund.provider_refund_id = refund.provider_refund_id.take().or(provider_refund_id);
    record_release(draft, number, time);
    refunds::recompute_balances(draft);
    draft.open_incident(IncidentKind::LateFact, IncidentSubject::refund(number));
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
    draft.move_refund(number, RefundState::Settled);
    record_release(draft, number, time);
    refunds::recompute_balances(draft);
    if paid != asked {
        draft.open_incident_of(
            IncidentKind::RefundMismatch,
            IncidentSubject::refund(number),
            Some(paid),
        );
    }
}

/// A release is a fact of its payment, once. Whether it counts, and for how much, the row says.
fn record_release(draft: &mut Draft<'_>, number: u32, time: Timestamp) {
    let release = draft
        .order
        .refund(number)
        .filter(|refund| refund.kind == RefundKind::Void);
    let Some(released) = release.map(|refund| refund.payment) else {
        return;
    };
    let is_known =
        |fact: &RecordedFact| fact.fact == PaymentFact::Voided && fact.refund == Some(number);
    for payment in draft
        .order
        .payments
        .iter_mut()
        .filter(|of| of.number == released && !of.facts.iter().any(is_known))
    {
        // It released what was authorised, whatever the provider's clock says.
        let authorized = payment
            .facts
            .iter()
            .filter(|fact| fact.fact == PaymentFact::Authorized);
        let time = authorized.map(|fact| fact.time).fold(time, Timestamp::max);
        payment.facts.push(RecordedFact::released(number, time));
    }
}

/// Nothing has reached the buyer, or what did came back.
pub(crate) fn fail(draft: &mut Draft<'_>, number: u32, code: &str) {
    let refund = draft.refund_mut(number);
    refund.failure_code = Some(code.to_owned());
    refund.lease_until = None;
    refund.settled_amount = None;
    let (kind, payment) = (refund.kind, refund.payment);
    // What had ended before it was paid after all, ends as it did.
    let end = match refund.state {
        RefundState::Dropped => RefundState::Dropped,
        RefundState::Due
        | RefundState::Blocked
        | RefundState::Submitted
        | RefundState::Settled
        | RefundState::Failed
        | RefundState::Unknown
        | RefundState::Cancelled => RefundState::Failed,
    };
    draft.move_refund(number, end);
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
