//! Keeps refund rows in line with the money: what is to go back has a row, what is not has none
//! that could still be sent, and authorisations that nothing is due for are released. Where money
//! and decisions contradict each other, an incident says so.

use crate::cancellation::{Cancellation, PartState};
use crate::incident::{Incident, IncidentKind, IncidentState, Resolution};
use crate::ledger;
use crate::lifecycle::draft::{Draft, NewRefund};
use crate::lifecycle::incidents;
use crate::lifecycle::incidents::IncidentSubject;
use crate::money::Amounts;
use crate::order::Order;
use crate::payment::Payment;
use crate::refund::{Refund, RefundKind, RefundState};

/// To be called after anything that changes what is due, or what is there. `cancellation` is what
/// changed it, if one did.
pub(crate) fn reconcile(draft: &mut Draft<'_>, cancellation: Option<u32>) {
    take_back_excess(draft);
    hold_back(draft);
    resume(draft);
    give_back(draft, cancellation);
    keep_needed_authorisations(draft);
    release_others(draft, cancellation);
    reconcile_incidents(draft);
}

/// The provider's messages once more, with what is known of Belay's own refunds by now.
pub(crate) fn recompute_balances(draft: &mut Draft<'_>) {
    let Order {
        payments, refunds, ..
    } = &mut draft.order;
    payments
        .iter_mut()
        .for_each(|payment| payment.recompute_balance(refunds));
}

/// Money that was above what was due and went back outside meanwhile is nobody's decision: its row
/// ends. What may still go back of it gets a new one.
fn take_back_excess(draft: &mut Draft<'_>) {
    let is_kept = |refund: &&Refund| {
        let is_unsent = matches!(refund.state, RefundState::Due | RefundState::Blocked);
        refund.kind == RefundKind::Refund && refund.cancellation.is_none() && is_unsent
    };
    for number in in_turn(&draft.order, is_kept) {
        let exceeds = draft.order.unreturned() < 0 && !is_decided(&draft.order, number);
        if exceeds || is_short(&draft.order, number) {
            draft.move_refund(number, RefundState::Cancelled);
        }
    }
}

/// Money that went back outside must not go back again. A refund of a cancellation was promised, so
/// support decides what becomes of it.
fn hold_back(draft: &mut Draft<'_>) {
    let is_due =
        |refund: &&Refund| refund.kind == RefundKind::Refund && refund.state == RefundState::Due;
    for number in in_turn(&draft.order, is_due) {
        let order = &draft.order;
        let exceeds = order.going_back() > order.returnable() && !is_decided(order, number);
        if exceeds || is_short(order, number) {
            draft.move_refund(number, RefundState::Blocked);
            draft.open_incident(
                IncidentKind::RefundMismatch,
                IncidentSubject::refund(number),
            );
        }
    }
}

/// Rows of payments that fall short come first, then the newest.
fn in_turn(order: &Order, is_meant: impl Fn(&&Refund) -> bool) -> Vec<u32> {
    let mut numbers: Vec<u32> = order
        .refunds
        .iter()
        .filter(is_meant)
        .map(|refund| refund.number)
        .collect();
    numbers.sort_by_key(|number| (!is_short(order, *number), std::cmp::Reverse(*number)));
    numbers
}

/// The payment of this row has not all that went back of it and is about to.
fn is_short(order: &Order, refund: u32) -> bool {
    let payment = order
        .refund(refund)
        .and_then(|refund| order.payment(refund.payment));
    payment.is_some_and(|payment| order.shortage_of(payment) > 0)
}

/// Support has said that this refund is to be made although money went back outside.
fn is_decided(order: &Order, refund: u32) -> bool {
    order.incidents.iter().any(|incident| {
        incident.kind == IncidentKind::RefundMismatch
            && incident.refund == Some(refund)
            && incident.resolution == Some(Resolution::RefundAnyway)
    })
}

/// What was held back because money had gone is due again once the money is there: a dispute was
/// won, or what had gone was this very refund. A release that failed is nobody's business any more
/// once nothing is left to release.
fn resume(draft: &mut Draft<'_>) {
    let is_void_over = |incident: &&Incident| {
        let refund = incident
            .refund
            .and_then(|number| draft.order.refund(number));
        let payment = refund.filter(|refund| refund.kind == RefundKind::Void);
        let payment = payment.and_then(|refund| draft.order.payment(refund.payment));
        incident.kind == IncidentKind::RefundFailed
            && incident.state == IncidentState::Open
            && payment.is_some_and(|payment| payment.balance.held == 0)
    };
    let over: Vec<u32> = draft
        .order
        .incidents
        .iter()
        .filter(is_void_over)
        .map(|incident| incident.number)
        .collect();
    over.into_iter()
        .for_each(|number| incidents::resolve_by_fact(draft, number));

    let is_of_blocked = |incident: &&Incident| {
        let refund = incident
            .refund
            .and_then(|number| draft.order.refund(number));
        incident.kind == IncidentKind::RefundMismatch
            && incident.state == IncidentState::Open
            && refund.is_some_and(|refund| refund.state == RefundState::Blocked)
    };
    let held: Vec<u32> = draft
        .order
        .incidents
        .iter()
        .filter(is_of_blocked)
        .map(|incident| incident.number)
        .collect();
    for number in held {
        let Some(refund) = draft
            .order
            .incident(number)
            .and_then(|incident| incident.refund)
        else {
            continue;
        };
        if incidents::is_owed_whole(&draft.order, refund) {
            incidents::resolve_by_fact(draft, number);
        }
    }
}

/// An amount that is payable, and the cancellation that it is for.
struct Payable {
    cancellation: Option<u32>,
    left: Amounts,
}

/// Makes the rows for what is to go back: first for the cancellation at hand, by component; then
/// for earlier ones whose price was not captured when they ended, as excess; the rest is money that
/// was never due.
fn give_back(draft: &mut Draft<'_>, cancellation: Option<u32>) {
    let mut owed = draft.order.unreturned();
    if owed <= 0 {
        return;
    }
    let mut payments = draft.order.payments.clone();
    // What is cancelled goes back in the order of capture; of money above what is due, the last to
    // come is the first to go.
    payments.sort_by_key(|payment| (payment.balance.capture_time, payment.number));
    if cancellation.is_none() {
        payments.reverse();
    }
    let mut left: Vec<(u32, i64)> = payments
        .iter()
        .map(|payment| (payment.number, draft.order.left_of(payment)))
        .collect();
    for mut payable in payables(&draft.order, cancellation) {
        let mut share = owed.min(payable.left.total());
        owed -= share;
        for (payment, left) in &mut left {
            let amount = share.min(*left);
            if amount <= 0 {
                continue;
            }
            share -= amount;
            *left -= amount;
            let amounts = payable.left.take(amount);
            create(
                draft,
                *payment,
                RefundKind::Refund,
                amounts,
                payable.cancellation,
            );
        }
        // No payment has it any more.
        owed += share;
    }
}

fn payables(order: &Order, at_hand: Option<u32>) -> Vec<Payable> {
    let first = order
        .cancellations
        .iter()
        .filter(|of| Some(of.number) == at_hand);
    let others = order
        .cancellations
        .iter()
        .filter(|of| Some(of.number) != at_hand);
    let mut payables: Vec<Payable> = Vec::new();
    for of in first {
        payables.push(Payable {
            cancellation: at_hand,
            left: uncovered(order, of),
        });
    }
    for of in others {
        let excess = uncovered(order, of).total();
        payables.push(Payable {
            cancellation: Some(of.number),
            left: Amounts {
                excess,
                ..Amounts::ZERO
            },
        });
    }
    payables.retain(|payable| payable.left.total() > 0);
    // What comes after an order has closed unpaid came too late for all of it.
    let closing = order
        .closing_cancellation()
        .filter(|closing| closing.closes_unpaid());
    if at_hand.is_none() && closing.is_some() {
        payables.clear();
    }
    let rest = Amounts {
        excess: i64::MAX,
        ..Amounts::ZERO
    };
    payables.push(Payable {
        cancellation: closing.map(|closing| closing.number),
        left: rest,
    });
    payables
}

/// What a cancellation took off the price and no row gives back.
fn uncovered(order: &Order, of: &Cancellation) -> Amounts {
    let taken = of
        .parts
        .iter()
        .filter(|part| part.state == PartState::Cancelled)
        .map(|part| part.refund);
    let mut credit: Amounts = taken.sum();
    let is_of = |refund: &&Refund| {
        refund.kind == RefundKind::Refund && refund.cancellation == Some(of.number)
    };
    for refund in order.refunds.iter().filter(is_of) {
        let standing = ledger::standing(order, refund);
        let mut amounts = refund.amounts;
        let by_component = Amounts {
            excess: 0,
            ..amounts.take(standing)
        };
        credit = credit - by_component;
        credit.take(standing - by_component.total());
    }
    let releases = order
        .refunds
        .iter()
        .filter(|refund| refund.cancellation == Some(of.number));
    for release in releases {
        credit = credit - ledger::price_kept_by(order, release);
    }
    Amounts {
        goods: credit.goods.max(0),
        tax: credit.tax.max(0),
        shipping: credit.shipping.max(0),
        excess: credit.excess.max(0),
    }
}

fn create(
    draft: &mut Draft<'_>,
    payment: u32,
    kind: RefundKind,
    amounts: Amounts,
    cancellation: Option<u32>,
) {
    let state = if draft.order.is_contested(cancellation) {
        RefundState::Blocked
    } else {
        RefundState::Due
    };
    draft.add_refund(NewRefund {
        payment,
        kind,
        amounts,
        cancellation,
        state,
        retry_of: None,
    });
}

/// A release that nobody has sent ends where there is nothing to release any more, or where the
/// authorisation is needed after all.
///
/// An unsent release of another amount than is held by now ends as well: one of the right amount
/// takes its place.
fn keep_needed_authorisations(draft: &mut Draft<'_>) {
    let order = &draft.order;
    let unneeded: Vec<u32> = order
        .unneeded_authorisations(order.to_collect())
        .iter()
        .map(|payment| payment.number)
        .collect();
    let mut over = Vec::new();
    for refund in order
        .refunds
        .iter()
        .filter(|refund| refund.kind == RefundKind::Void)
    {
        let held = order
            .payment(refund.payment)
            .map_or(0, |payment| payment.balance.held);
        let is_over = match refund.state {
            RefundState::Due | RefundState::Blocked => {
                held != refund.amounts.total() || !unneeded.contains(&refund.payment)
            }
            RefundState::Unknown => {
                held == 0 && refund.lease_until.is_none_or(|until| until <= draft.now)
            }
            RefundState::Submitted
            | RefundState::Settled
            | RefundState::Failed
            | RefundState::Dropped
            | RefundState::Cancelled => false,
        };
        over.extend(is_over.then_some(refund.number));
    }
    over.into_iter()
        .for_each(|number| draft.move_refund(number, RefundState::Cancelled));
}

fn release_others(draft: &mut Draft<'_>, cancellation: Option<u32>) {
    let is_standing = |refund: &&Refund| !ledger::is_retried(&draft.order, refund.number);
    let rows = draft
        .order
        .refunds
        .iter()
        .filter(is_standing)
        .filter(|refund| refund.state != RefundState::Cancelled);
    let given: Amounts = rows
        .map(|refund| Amounts {
            excess: 0,
            ..refund.amounts
        })
        .sum();
    let mut credit = draft.order.credited() - given;
    // What is authorised after an order has ended is released for the cancellation that ended it.
    let cancellation = cancellation.or_else(|| {
        draft
            .order
            .closing_cancellation()
            .map(|closing| closing.number)
    });
    let unneeded = draft
        .order
        .unneeded_authorisations(draft.order.to_collect());
    let released = unneeded
        .into_iter()
        .filter(|payment| !draft.order.is_being_released(payment));
    for payment in released.cloned().collect::<Vec<Payment>>() {
        let mut amounts = credit.take(payment.balance.held);
        amounts.excess += payment.balance.held - amounts.total();
        create(
            draft,
            payment.number,
            RefundKind::Void,
            amounts,
            cancellation,
        );
    }
}

/// Opens the incidents that contradictions of money call for, and resolves those that a later fact
/// has put right.
fn reconcile_incidents(draft: &mut Draft<'_>) {
    let order = &draft.order;
    let mut found = Vec::new();
    for payment in &order.payments {
        let subject = IncidentSubject::payment(payment.number);
        found.push((
            IncidentKind::OverRefunded,
            subject,
            order.gone_back(payment) - payment.balance.captured,
        ));
        found.push((
            IncidentKind::CaptureMismatch,
            subject,
            payment.balance.unconfirmed,
        ));
    }
    let lapsed = order
        .lapse_time
        .map_or(0, |_| order.amount_due() - order.secured());
    found.push((
        IncidentKind::PaymentLapsed,
        IncidentSubject::default(),
        lapsed,
    ));
    found.push((
        IncidentKind::GoodsUnpaid,
        IncidentSubject::default(),
        leaves_unpaid(order),
    ));
    for (kind, subject, amount) in found {
        match draft.open_incident_about(kind, subject) {
            Some(number) if amount <= 0 => incidents::resolve_by_fact(draft, number),
            Some(number) => {
                let known = draft
                    .order
                    .incidents
                    .iter_mut()
                    .find(|incident| incident.number == number);
                known
                    .into_iter()
                    .for_each(|incident| incident.amount = incident.amount.max(Some(amount)));
            }
            None if amount > 0 && !is_accepted(&draft.order, kind, subject, amount) => {
                draft.open_incident_of(kind, subject, Some(amount));
            }
            None => {}
        }
    }
}

/// Somebody has accepted so much of this, or decided about this lapse. What a later fact had ended
/// may come again.
fn is_accepted(order: &Order, kind: IncidentKind, subject: IncidentSubject, amount: i64) -> bool {
    order.incidents.iter().any(|incident| {
        let is_of_now = order
            .lapse_time
            .is_none_or(|lapsed| incident.create_time >= lapsed);
        let covers = if kind == IncidentKind::PaymentLapsed {
            is_of_now
        } else {
            incident.amount >= Some(amount)
        };
        let is_accepted = incident.resolution == Some(Resolution::Accept);
        incident.kind == kind && IncidentSubject::of(incident) == subject && is_accepted && covers
    })
}

/// How much is missing for goods that are inside and paid by what was secured, after so much of
/// that went back.
fn leaves_unpaid(order: &Order) -> i64 {
    let is_inside = order
        .shipments
        .iter()
        .any(|shipment| shipment.stage.is_before_dispatch());
    let held: i64 = order
        .payments
        .iter()
        .map(|payment| order.holds_for(payment))
        .sum();
    if is_inside && order.paid_time.is_some() {
        order.to_collect() - held
    } else {
        0
    }
}
