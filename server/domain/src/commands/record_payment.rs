//! RecordPayment: a payment provider reports what happened. Facts are recorded, never refused; each
//! counts once.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::event::EventDetail;
use crate::ids::ExternalId;
use crate::lifecycle::draft::{Draft, next_number};
use crate::lifecycle::{deadlines, refund_results, refunds};
use crate::money::{Currency, Money};
use crate::order::{FACTS_MAX, MONEY_FACTS_ROOM, Order, OrderState, PAYMENTS_MAX, PAYMENTS_ROOM};
use crate::payment::{Balance, Payment, PaymentFact, PaymentState, RecordedFact, ReportedAmount};
use crate::refund::{Refund, RefundKind, RefundState};
use crate::rejection::{FieldViolation, Limit, Rejection};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPayment {
    pub provider_payment_id: ExternalId,
    /// The message counts once under this id.
    pub provider_event_id: ExternalId,
    pub fact: PaymentFact,
    /// What this fact adds; none for facts that carry no money, and where all there is was released
    /// or won back.
    pub amount: Option<Money>,
    /// The provider's id of the capture, refund or dispute, which counts once under it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movement: Option<ExternalId>,
    /// The refund of Belay's that this tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<u32>,
    /// Must be there with the first fact of a payment.
    pub method: Option<String>,
    /// By the provider's clock; facts count in its order. Whether money is in time, Belay's own
    /// clock says.
    pub occurred_time: Option<Timestamp>,
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &RecordPayment) -> Result<Answer, Rejection> {
    let known = draft
        .order
        .payments
        .iter()
        .position(|p| p.provider_payment_id == command.provider_payment_id);
    let method = match known {
        Some(index) => draft.order.payments[index].method.clone(),
        None => command.method.clone().ok_or_else(method_missing)?,
    };
    let own = own_refund(&draft.order, command, known)?;
    check_currency(&draft.order, command)?;
    if known.is_some_and(|index| is_told(&draft.order, &draft.order.payments[index], command)) {
        return Ok(Answer::Order);
    }
    check_room(&draft.order, command.fact, known)?;
    let index = known.unwrap_or_else(|| add_payment(draft, command, method));

    let now = draft.now;
    // No message is of the future: a provider's clock that is ahead must not hide what follows.
    let time = command.occurred_time.unwrap_or(now).min(now);
    let amount = command
        .amount
        .map(|money| ReportedAmount::of(money, draft.order.currency));
    let payment = &mut draft.order.payments[index];
    payment.update_time = now;
    payment.facts.push(RecordedFact {
        provider_event_id: Some(command.provider_event_id.clone()),
        fact: command.fact,
        amount,
        movement: command.movement.clone(),
        refund: own,
        time,
        confirmed: false,
    });
    let payment = payment.number;
    draft.emit(EventDetail::PaymentRecorded {
        payment,
        fact: command.fact,
        amount: command.amount,
        movement: command.movement.clone(),
        refund: own,
        occurred_time: command.occurred_time,
    });
    if let Some(refund) = own {
        refund_results::settle_as_told(
            draft,
            refund,
            command.amount,
            command.movement.clone(),
            time,
        );
    }
    refunds::recompute_balances(draft);

    draft.follow_payments_and_release();
    match command.fact {
        PaymentFact::Attempted => grant_grace(draft),
        PaymentFact::Declined => close_after_late_decline(draft),
        PaymentFact::Authorized
        | PaymentFact::Captured
        | PaymentFact::Voided
        | PaymentFact::RefundedOutside
        | PaymentFact::Chargeback
        | PaymentFact::ChargebackReversed => {}
    }
    refunds::reconcile(draft, None);
    Ok(Answer::Order)
}

/// What moved on the buyer's card may be in its currency, which must be one that there is.
fn check_currency(order: &Order, command: &RecordPayment) -> Result<(), Rejection> {
    let Some(amount) = command.amount else {
        return Ok(());
    };
    if command.fact.may_be_foreign() && Currency::current(amount.currency.code()).is_some() {
        return Ok(());
    }
    match order.amount_in_its_currency(amount) {
        Ok(_) => Ok(()),
        Err(expected) => Err(Rejection::CurrencyMismatch { expected }),
    }
}

/// The refund of Belay's that a message is about: it names the row, or the provider's id that the
/// row's result gave. A row that nobody was to send is none: what went back then, went back
/// outside.
fn own_refund(
    order: &Order,
    command: &RecordPayment,
    payment: Option<usize>,
) -> Result<Option<u32>, Rejection> {
    let payment = payment.map(|index| order.payments[index].number);
    let of_payment =
        |refund: &&Refund| Some(refund.payment) == payment && refund.kind == RefundKind::Refund;
    let may_be_paid = |refund: &&Refund| refund.state != RefundState::Cancelled;
    let named = match command.refund {
        Some(number) => {
            let refund = order.refund(number).filter(of_payment);
            Some(refund.ok_or(Rejection::RefundNotFound { refund: number })?)
        }
        None => {
            let mut refunds = order.refunds.iter().filter(of_payment);
            let is_meant =
                command.fact == PaymentFact::RefundedOutside && command.movement.is_some();
            refunds.find(|refund| is_meant && refund.provider_refund_id == command.movement)
        }
    };
    Ok(named.filter(may_be_paid).map(|refund| refund.number))
}

/// The message is known, or tells of a movement that is known.
fn is_told(order: &Order, payment: &Payment, command: &RecordPayment) -> bool {
    let is_exact = command
        .amount
        .is_none_or(|money| money.currency == order.currency);
    let same_movement = |fact: &RecordedFact| {
        command.movement.is_some() && fact.movement == command.movement && fact.fact == command.fact
    };
    // The exact amount, a larger one, or the refund that it is about, is news.
    let told = command
        .amount
        .filter(|_| is_exact)
        .map(|money| money.minor_units);
    let adds_nothing = |fact: &&RecordedFact| {
        fact.amount.and_then(ReportedAmount::own) >= told
            && (command.refund.is_none() || fact.refund.is_some())
    };
    payment.knows(&command.provider_event_id)
        || payment
            .facts
            .iter()
            .filter(|fact| same_movement(fact))
            .any(|fact| adds_nothing(&fact))
}

/// Limits are for attempts: money that has moved, and a decline that takes some back, have room
/// above them.
fn check_room(order: &Order, fact: PaymentFact, known: Option<usize>) -> Result<(), Rejection> {
    let payment = known.map(|index| &order.payments[index]);
    let counts = fact.is_about_money() || payment.is_some_and(|payment| payment.balance.held > 0);
    let (limit, found, max, room) = match payment {
        Some(payment) => (
            Limit::PaymentFacts,
            payment.facts.len(),
            FACTS_MAX,
            MONEY_FACTS_ROOM,
        ),
        None => (
            Limit::Payments,
            order.payments.len(),
            PAYMENTS_MAX,
            PAYMENTS_ROOM,
        ),
    };
    limit.check(found, if counts { max + room } else { max })
}

fn method_missing() -> Rejection {
    let description = "must be given with the first fact of a payment".to_owned();
    Rejection::InvalidField(vec![FieldViolation {
        field: "method".to_owned(),
        description,
    }])
}

fn add_payment(draft: &mut Draft<'_>, command: &RecordPayment, method: String) -> usize {
    let number = next_number(&draft.order.payments, |payment| payment.number);
    draft.order.payments.push(Payment {
        number,
        provider_payment_id: command.provider_payment_id.clone(),
        method,
        create_time: draft.now,
        update_time: draft.now,
        facts: Vec::new(),
        balance: Balance::NOTHING,
    });
    draft.order.payments.len() - 1
}

/// An attempt begun in time moves the closing time, once: the buyer is typing.
fn grant_grace(draft: &mut Draft<'_>) {
    let grace = draft
        .pinned(draft.order.policy_version)
        .unpaid
        .in_flight_grace;
    let order = &mut draft.order;
    if order.state == OrderState::AwaitingPayment
        && order.paid_time.is_none()
        && !order.pay_by_moved
    {
        order.pay_by = order.pay_by.saturating_add(grace).unwrap_or(order.pay_by);
        order.pay_by_moved = true;
    }
}

/// In the grace, a decline leaves nothing to wait for.
fn close_after_late_decline(draft: &mut Draft<'_>) {
    let grace = draft
        .pinned(draft.order.policy_version)
        .unpaid
        .in_flight_grace;
    let order = &draft.order;
    let is_waiting = order.paid_time.is_none() && !order.is_wholly_cancelled();
    let is_in_grace = order.pay_by_moved && order.pay_by.duration_since(draft.now) <= grace;
    let in_flight = order
        .payments
        .iter()
        .any(|payment| payment.balance.state == PaymentState::Attempting);
    if is_waiting && is_in_grace && !in_flight {
        let now = draft.now;
        draft.as_system(now, deadlines::close_unpaid);
    }
}
