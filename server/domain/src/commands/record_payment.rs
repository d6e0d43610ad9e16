//! RecordPayment: a payment provider reports what happened. Facts are recorded, never refused; each counts once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::draft::About;
use super::{Answer, Draft, draft, settle};
use crate::event::EventDetail;
use crate::ids::ExternalId;
use crate::incident::IncidentKind;
use crate::money::Money;
use crate::order::{FACTS_MAX, OrderState, PAYMENTS_MAX};
use crate::payment::{Payment, PaymentFact, PaymentState};
use crate::refund::{Refund, RefundKind, RefundState};
use crate::rejection::{FieldViolation, Rejection};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPayment {
    pub provider_payment_id: ExternalId,
    /// The fact counts once under this id.
    pub provider_event_id: ExternalId,
    pub fact: PaymentFact,
    /// What this fact adds; none for facts that carry no money.
    pub amount: Option<Money>,
    /// Must be there with the first fact of a payment.
    pub method: Option<String>,
    /// By the provider's clock. It is only shown: what counts is when Belay receives the fact.
    pub occurred_time: Option<Timestamp>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &RecordPayment) -> Result<Answer, Rejection> {
    let known = draft.order.payments.iter().position(|p| p.provider_payment_id == command.provider_payment_id);
    let method = match known {
        Some(index) => draft.order.payments[index].method.clone(),
        None => command.method.clone().ok_or_else(method_missing)?,
    };
    let amount = command.amount.map_or(Ok(0), |amount| draft.order.amount_in_its_currency(amount))?;
    let index = match known {
        Some(index) if draft.order.payments[index].provider_event_ids.contains(&command.provider_event_id) => {
            return Ok(Answer::Order);
        }
        Some(index) if draft.order.payments[index].provider_event_ids.len() >= FACTS_MAX => {
            return Err(Rejection::LimitReached { limit: "facts of a payment".to_owned(), max: FACTS_MAX });
        }
        Some(index) => index,
        None if draft.order.payments.len() >= PAYMENTS_MAX => {
            return Err(Rejection::LimitReached { limit: "payments".to_owned(), max: PAYMENTS_MAX });
        }
        None => add_payment(draft, command, method),
    };

    let now = draft.now;
    let payment = &mut draft.order.payments[index];
    payment.provider_event_ids.push(command.provider_event_id.clone());
    payment.update_time = now;
    apply(payment, command.fact, amount);
    if payment.captured > 0 {
        payment.capture_time = payment.capture_time.or(Some(now));
    }
    let number = payment.number;
    let (fact, occurred_time) = (command.fact, command.occurred_time);
    draft.emit(EventDetail::PaymentRecorded { payment: number, fact, amount, occurred_time });

    draft.mark_paid_if_covered();
    draft.release_if_ready();
    match command.fact {
        PaymentFact::Attempted => grant_grace(draft),
        PaymentFact::Declined => close_after_late_decline(draft),
        PaymentFact::RefundedOutside | PaymentFact::Chargeback => block_what_went_back_outside(draft, number),
        PaymentFact::Authorized | PaymentFact::Captured | PaymentFact::Voided => {}
    }
    draft.return_excess_money(None);
    Ok(Answer::Order)
}

fn method_missing() -> Rejection {
    let description = "must be given with the first fact of a payment".to_owned();
    Rejection::InvalidField(vec![FieldViolation { field: "method".to_owned(), description }])
}

fn add_payment(draft: &mut Draft<'_>, command: &RecordPayment, method: String) -> usize {
    let number = draft::next_number(&draft.order.payments, |payment| payment.number);
    draft.order.payments.push(Payment {
        number,
        provider_payment_id: command.provider_payment_id.clone(),
        method,
        state: PaymentState::Attempting,
        authorized: 0,
        captured: 0,
        returned_outside: 0,
        create_time: draft.now,
        update_time: draft.now,
        capture_time: None,
        provider_event_ids: Vec::new(),
    });
    draft.order.payments.len() - 1
}

/// One total table, state × fact. Money always counts; a state never forgets captured money.
fn apply(payment: &mut Payment, fact: PaymentFact, amount: i64) {
    use PaymentState::{Attempting, Authorized, Captured, Declined, Voided};
    match fact {
        PaymentFact::Attempted => {
            if matches!(payment.state, Declined | Voided) && payment.captured == 0 {
                payment.state = Attempting;
                payment.authorized = 0;
            }
        }
        PaymentFact::Authorized => {
            // What was authorised before a decline or a void holds no more.
            if matches!(payment.state, Declined | Voided) {
                payment.authorized = 0;
            }
            payment.authorized += amount;
            if payment.state != Captured {
                payment.state = Authorized;
            }
        }
        PaymentFact::Captured => {
            payment.captured += amount;
            payment.state = Captured;
        }
        PaymentFact::Declined => {
            if payment.captured == 0 && payment.state != Voided {
                payment.state = Declined;
            }
        }
        PaymentFact::Voided => {
            if payment.captured == 0 {
                payment.state = Voided;
            }
        }
        PaymentFact::RefundedOutside | PaymentFact::Chargeback => payment.returned_outside += amount,
    }
}

/// An attempt begun in time moves the closing time, once: the buyer is typing.
fn grant_grace(draft: &mut Draft<'_>) {
    let grace = draft.pinned(draft.order.policy_version).unpaid.in_flight_grace;
    let order = &mut draft.order;
    if order.state == OrderState::AwaitingPayment && order.paid_time.is_none() && !order.pay_by_moved {
        order.pay_by = order.pay_by.saturating_add(grace).unwrap_or(order.pay_by);
        order.pay_by_moved = true;
    }
}

/// In the grace, a decline leaves nothing to wait for.
fn close_after_late_decline(draft: &mut Draft<'_>) {
    let grace = draft.pinned(draft.order.policy_version).unpaid.in_flight_grace;
    let order = &draft.order;
    let is_waiting = order.paid_time.is_none() && !order.is_wholly_cancelled();
    let is_in_grace = order.pay_by_moved && order.pay_by.duration_since(draft.now) <= grace;
    let in_flight = order.payments.iter().any(|payment| payment.state == PaymentState::Attempting);
    if is_waiting && is_in_grace && !in_flight {
        let now = draft.now;
        draft.as_system(now, settle::close_unpaid);
    }
}

/// Money that went back outside must not go back again: refunds of this payment that are not sent yet and that it has no money
/// for wait for support, the newest first.
fn block_what_went_back_outside(draft: &mut Draft<'_>, number: u32) {
    let Some(payment) = draft.order.payment(number) else { return };
    let of_payment = |refund: &&Refund| refund.payment == number && refund.kind == RefundKind::Refund;
    let refunds: Vec<Refund> = draft.order.refunds.iter().filter(of_payment).cloned().collect();
    let goes_back = |refund: &&Refund| refund.state.counts() && refund.state != RefundState::Blocked;
    let going_back: i64 = refunds.iter().filter(goes_back).map(|refund| refund.amounts.total()).sum();
    let mut missing = payment.returned_outside + going_back - payment.captured;
    for refund in refunds.iter().rev().filter(|refund| refund.state == RefundState::Due) {
        if missing <= 0 {
            return;
        }
        missing -= refund.amounts.total();
        draft.move_refund(refund.number, RefundState::Blocked);
        draft.open_incident(IncidentKind::RefundMismatch, About::refund(refund.number));
    }
}
