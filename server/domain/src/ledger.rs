//! The ledger of an order's money: what may go back, what is on its way, and what that means for
//! whoever was promised some.
//!
//! Everything here is derived from the order as it stands. `lifecycle/refunds.rs` acts on it.

use jiff::Timestamp;

use crate::cancellation::{Cancellation, CancellationState, PartState};
use crate::incident::{Incident, IncidentKind, IncidentState, Resolution};
use crate::money::Amounts;
use crate::order::Order;
use crate::payment::{Payment, PaymentFact, RecordedFact, ReportedAmount};
use crate::refund::{Refund, RefundKind, RefundState};

/// The money that a cancellation is expected to give back: refunds that exist, and what is to come
/// if its waiting parts are cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Promise {
    /// Captured money that goes back to the buyer.
    pub refund: Amounts,
    /// What is released of authorisations, in minor units: money that the buyer's bank keeps free
    /// again.
    pub release: i64,
}

fn rows(order: &Order, kind: RefundKind) -> impl Iterator<Item = &Refund> {
    order
        .refunds
        .iter()
        .filter(move |refund| refund.kind == kind)
}

/// The refunds of one payment, without its releases.
fn refunds_of<'a>(
    order: &'a Order,
    payment: &Payment,
) -> impl Iterator<Item = &'a Refund> + use<'a> {
    let payment = payment.number;
    rows(order, RefundKind::Refund).filter(move |refund| refund.payment == payment)
}

pub(crate) fn is_retried(order: &Order, number: u32) -> bool {
    order
        .refunds
        .iter()
        .any(|refund| refund.retry_of == Some(number))
}

/// What a row stands for of captured money, in minor units: what it pays, and what stays where it
/// is because of it.
pub(crate) fn standing(order: &Order, refund: &Refund) -> i64 {
    paying(refund) + kept(order, refund)
}

/// What a row paid, or is to pay, in minor units.
pub(crate) fn paying(refund: &Refund) -> i64 {
    match refund.state {
        _ if refund.settled_amount.is_some() => refund.paid(),
        RefundState::Due | RefundState::Blocked | RefundState::Submitted | RefundState::Unknown => {
            refund.amounts.total()
        }
        RefundState::Settled
        | RefundState::Failed
        | RefundState::Dropped
        | RefundState::Cancelled => 0,
    }
}

/// What stays where it is because of a row that failed or was dropped, until somebody decides
/// otherwise. One that is tried again keeps nothing more; of one that was paid after all, the rest
/// stays as far as somebody had decided so.
fn kept(order: &Order, refund: &Refund) -> i64 {
    let has_ended = matches!(refund.state, RefundState::Failed | RefundState::Dropped);
    if !has_ended || is_retried(order, refund.number) || is_let_go(order, refund.number) {
        return 0;
    }
    match refund.settled_amount {
        None => kept_back(order, refund),
        Some(paid) => (decided(order, refund) - paid).max(0),
    }
}

/// How much of a row that ended without being paid somebody has decided about: support settled it
/// otherwise, or dropped it.
fn decided(order: &Order, refund: &Refund) -> i64 {
    if refund.state == RefundState::Dropped {
        return kept_back(order, refund);
    }
    let accepted = order.incidents.iter().filter(|incident| {
        incident.kind == IncidentKind::RefundFailed
            && incident.refund == Some(refund.number)
            && incident.resolution == Some(Resolution::Accept)
    });
    // What was accepted while the row was paid says nothing of an amount.
    let mut amounts = accepted.filter_map(|incident| incident.amount);
    amounts.next_back().unwrap_or(0)
}

/// The goods of a dropped row came home, and support has decided that its money goes back after
/// all.
fn is_let_go(order: &Order, number: u32) -> bool {
    order.incidents.iter().any(|incident| {
        incident.kind == IncidentKind::LateFact
            && incident.refund == Some(number)
            && incident.resolution == Some(Resolution::RefundAnyway)
    })
}

/// A row that was dropped because its goods were outside, and that nothing has taken the place of.
pub(crate) fn is_dropped_with_goods(order: &Order, refund: &Refund) -> bool {
    let is_about_money = |incident: &Incident| {
        incident.kind == IncidentKind::RefundMismatch
            && incident.refund == Some(refund.number)
            && incident.resolution == Some(Resolution::DropRefund)
    };
    refund.state == RefundState::Dropped
        && refund.paid() < refund.amounts.total()
        && !is_retried(order, refund.number)
        && !is_let_go(order, refund.number)
        && !order.incidents.iter().any(is_about_money)
}

/// What a dropped release stands for: the price of goods that the buyer keeps and pays.
pub(crate) fn price_kept_by(order: &Order, release: &Refund) -> Amounts {
    let is_kept = release.kind == RefundKind::Void && is_dropped_with_goods(order, release);
    Amounts {
        excess: 0,
        ..if is_kept {
            release.amounts
        } else {
            Amounts::ZERO
        }
    }
}

/// What of a failed or dropped row stays where it is by a decision: as much as was owed when it was
/// made. Money that comes back later, such as by a dispute that is won, nobody has decided about;
/// of what failed since, nobody has decided anything.
fn kept_back(order: &Order, refund: &Refund) -> i64 {
    let of_refund = order.incidents.iter().filter(|incident| {
        let is_of_refund = matches!(
            incident.kind,
            IncidentKind::RefundMismatch | IncidentKind::RefundFailed
        );
        is_of_refund && incident.refund == Some(refund.number)
    });
    let kept = |incident: &Incident| match incident.resolution {
        Some(Resolution::DropRefund | Resolution::Accept) => incident.amount,
        None if incident.kind == IncidentKind::RefundFailed
            && incident.state == IncidentState::Open =>
        {
            Some(refund.amounts.total())
        }
        Some(Resolution::RefundAnyway | Resolution::RetryRefund) | None => None,
    };
    of_refund
        .filter_map(kept)
        .next_back()
        .unwrap_or_else(|| refund.amounts.total())
}

/// Paid, sent, or about to be.
pub(crate) fn is_going(refund: &Refund) -> bool {
    match refund.state {
        RefundState::Due | RefundState::Submitted | RefundState::Unknown | RefundState::Settled => {
            true
        }
        RefundState::Blocked
        | RefundState::Failed
        | RefundState::Dropped
        | RefundState::Cancelled => refund.paid() > 0,
    }
}

impl Order {
    /// What may go back of the captured money in all, in minor units, rows that stand for it
    /// included: what is captured and has not gone back outside of Belay, above what is due.
    /// Negative where less is there than is due.
    pub(crate) fn returnable(&self) -> i64 {
        self.payments.iter().map(Payment::captured_net).sum::<i64>() - self.amount_due()
    }

    /// The amount that rows have paid or are about to pay.
    pub(crate) fn going_back(&self) -> i64 {
        rows(self, RefundKind::Refund)
            .filter(|refund| is_going(refund))
            .map(paying)
            .sum()
    }

    /// What is to go back and no row stands for. Negative where less is there than is due or on its
    /// way.
    pub(crate) fn unreturned(&self) -> i64 {
        let is_blocked = |refund: &&Refund| refund.state == RefundState::Blocked;
        let blocked: i64 = rows(self, RefundKind::Refund)
            .filter(is_blocked)
            .map(paying)
            .sum();
        let withheld: i64 = self
            .payments
            .iter()
            .map(|payment| self.withheld(payment))
            .sum();
        self.returnable() - self.going_back() - blocked - withheld
    }

    /// What failed or dropped rows of a payment keep, as far as the payment still has it: only a
    /// person's decision makes money go back that once did not.
    fn withheld(&self, payment: &Payment) -> i64 {
        let kept_by_refunds: i64 = refunds_of(self, payment)
            .map(|refund| kept(self, refund))
            .sum();
        let kept = kept_by_refunds + self.kept_by_releases(payment);
        let paying: i64 = refunds_of(self, payment).map(paying).sum();
        kept.min(payment.captured_net() - paying).max(0)
    }

    /// What was captured of a payment since its release was made that support dropped, as far as it
    /// is the price of the goods that the buyer keeps.
    fn kept_by_releases(&self, payment: &Payment) -> i64 {
        rows(self, RefundKind::Void)
            .filter(|release| release.payment == payment.number)
            .map(|release| {
                let price = price_kept_by(self, release).total();
                price.min(self.captured_since(payment, release))
            })
            .sum::<i64>()
            .min(payment.balance.captured)
    }

    /// What was captured of what a release was for: by captures from its making on, told whenever,
    /// and never more than is held no more.
    fn captured_since(&self, payment: &Payment, release: &Refund) -> i64 {
        // It may have taken the place of another one when it was dropped.
        let replaced = rows(self, RefundKind::Void).filter(|other| {
            other.payment == release.payment
                && other.state == RefundState::Cancelled
                && other.update_time == release.create_time
        });
        let made = replaced
            .map(|other| other.create_time)
            .fold(release.create_time, Timestamp::min);
        let captured: i64 = payment
            .counted()
            .into_iter()
            .filter(|fact| fact.fact == PaymentFact::Captured && fact.time >= made)
            .filter_map(|fact| fact.amount.and_then(ReportedAmount::own))
            .sum();
        let is_anew =
            |fact: &RecordedFact| fact.fact == PaymentFact::Authorized && fact.time > made;
        if payment.facts.iter().any(is_anew) {
            return captured;
        }
        captured.min((release.amounts.total() - payment.balance.held).max(0))
    }

    /// What is left of a payment that no row stands for.
    pub(crate) fn left_of(&self, payment: &Payment) -> i64 {
        self.left_beside(payment, &[])
    }

    /// What is left of a payment that no row stands for but these.
    pub(crate) fn left_beside(&self, payment: &Payment, rows: &[Refund]) -> i64 {
        let is_one = |refund: &&Refund| rows.iter().any(|row| row.number == refund.number);
        let others: i64 = refunds_of(self, payment)
            .filter(|refund| !is_one(refund))
            .map(|refund| standing(self, refund))
            .sum();
        (payment.captured_net() - others - self.kept_by_releases(payment)).max(0)
    }

    /// How far a payment falls short of what has gone back of it and is about to.
    pub(crate) fn shortage_of(&self, payment: &Payment) -> i64 {
        let going: i64 = refunds_of(self, payment)
            .filter(|refund| is_going(refund))
            .map(paying)
            .sum();
        (going - payment.captured_net()).max(0)
    }

    /// What is still to be captured, in minor units: what is due less what is captured and pays for
    /// it. What is to go back, or stays for other goods, does not.
    pub(crate) fn to_collect(&self) -> i64 {
        (-self.unreturned()).clamp(0, self.amount_due().max(0))
    }

    /// What a payment holds for what is still to be captured: nothing where its release is with the
    /// provider.
    pub(crate) fn holds_for(&self, payment: &Payment) -> i64 {
        let is_sent = rows(self, RefundKind::Void).any(|refund| {
            let is_out = matches!(refund.state, RefundState::Submitted | RefundState::Unknown);
            refund.payment == payment.number && is_out
        });
        if is_sent { 0 } else { payment.balance.held }
    }

    /// The authorisations of which nothing is needed where so much is still to be captured: the
    /// first ones are kept.
    pub(crate) fn unneeded_authorisations(&self, to_collect: i64) -> Vec<&Payment> {
        let mut missing = to_collect;
        let mut unneeded = Vec::new();
        for payment in self
            .payments
            .iter()
            .filter(|payment| payment.balance.held > 0)
        {
            let holds = self.holds_for(payment);
            if missing <= 0 || holds == 0 {
                unneeded.push(payment);
            }
            missing -= holds;
        }
        unneeded
    }

    /// What has gone to the buyer, in minor units: settled refunds, and what was refunded or
    /// charged back outside of Belay.
    pub fn gone_back(&self, payment: &Payment) -> i64 {
        let of_payment = self
            .refunds
            .iter()
            .filter(|refund| refund.payment == payment.number);
        let paid: i64 = of_payment.map(Refund::paid).sum();
        payment.balance.returned_outside + payment.balance.disputed + paid
    }

    /// What a cancellation is to give back in all.
    pub fn promise(&self, cancellation: &Cancellation) -> Promise {
        let credit = |state: PartState| -> Amounts {
            cancellation
                .parts
                .iter()
                .filter(|part| part.state == state)
                .map(|part| part.refund)
                .sum()
        };
        let made = self.made_of(cancellation);
        let of_cancellation = rows(self, RefundKind::Void)
            .filter(|refund| refund.cancellation == Some(cancellation.number));
        let released: i64 = of_cancellation.map(|refund| self.released(refund)).sum();
        let (waiting, taken) = (credit(PartState::Waiting), credit(PartState::Cancelled));
        let unmade = (taken.total() - made.total()).max(0);
        // What was cancelled and not captured comes back where it is captured, and nothing says
        // that it is.
        let open = match cancellation.state() {
            CancellationState::Pending => unmade + waiting.total(),
            CancellationState::Completed
            | CancellationState::Rejected
            | CancellationState::Withdrawn => unmade,
        };
        let to_come = self.to_come(waiting.total()).min(open);
        let mut from = waiting + taken - Amounts { excess: 0, ..made };
        let promise = self.release_of(waiting.total());
        Promise {
            refund: made + from.take(to_come),
            release: released + promise,
        }
    }

    /// What cancelling units would give back that take so much off the price.
    pub fn promise_of(&self, credit: Amounts) -> Promise {
        let mut from = credit;
        let refund = from.take(self.to_come(credit.total()).min(credit.total()));
        Promise {
            refund,
            release: self.release_of(credit.total()),
        }
    }

    /// What the rows of a cancellation have paid, and what they may still pay: no more than the
    /// payments have.
    fn made_of(&self, cancellation: &Cancellation) -> Amounts {
        let of = |refund: &&Refund| refund.cancellation == Some(cancellation.number);
        let (paid, open): (Vec<&Refund>, Vec<&Refund>) = rows(self, RefundKind::Refund)
            .filter(of)
            .partition(|refund| refund.settled_amount.is_some());
        let paid: Amounts = paid
            .into_iter()
            .filter_map(|refund| self.made(refund))
            .sum();
        let mut open: Amounts = open
            .into_iter()
            .filter_map(|refund| self.made(refund))
            .sum();
        let there = self.payments.iter().map(|payment| {
            let of_payment = self
                .refunds
                .iter()
                .filter(|refund| refund.payment == payment.number);
            (payment.captured_net() - of_payment.map(Refund::paid).sum::<i64>()).max(0)
        });
        paid + open.take(there.sum())
    }

    /// What a row is worth to whom it was promised.
    fn made(&self, refund: &Refund) -> Option<Amounts> {
        match refund.state {
            // By component as it was asked; what was paid above it is excess.
            _ if refund.settled_amount.is_some() => {
                let mut asked = refund.amounts;
                let mut paid = asked.take(refund.paid());
                paid.excess += refund.paid() - paid.total();
                Some(paid)
            }
            RefundState::Due
            | RefundState::Blocked
            | RefundState::Submitted
            | RefundState::Unknown => Some(refund.amounts),
            // Somebody has to decide what becomes of it.
            RefundState::Failed => (!is_retried(self, refund.number)).then_some(refund.amounts),
            RefundState::Settled | RefundState::Dropped | RefundState::Cancelled => None,
        }
    }

    /// What a row has released, or is to release, of an authorisation.
    fn released(&self, release: &Refund) -> i64 {
        let asked = release.amounts.total();
        match release.settled_amount {
            Some(released) => released.min(asked),
            None if release.state.counts() && !is_retried(self, release.number) => asked,
            None => 0,
        }
    }

    /// What would go back, beyond what rows stand for, if so much more came off the price.
    fn to_come(&self, credit: i64) -> i64 {
        let left: i64 = self
            .payments
            .iter()
            .map(|payment| self.left_of(payment))
            .sum();
        (self.unreturned() + credit).min(left).max(0)
    }

    /// What would be released, beyond what is being released, if so much more came off the price.
    fn release_of(&self, credit: i64) -> i64 {
        if credit == 0 {
            return 0;
        }
        let to_collect = self.to_collect() - credit;
        let unneeded = self.unneeded_authorisations(to_collect).into_iter();
        unneeded
            .filter(|payment| !self.is_being_released(payment))
            .map(|payment| payment.balance.held)
            .sum()
    }

    /// A release that is not over stands for all that the payment holds.
    pub(crate) fn is_being_released(&self, payment: &Payment) -> bool {
        let of_payment = rows(self, RefundKind::Void).filter(|row| row.payment == payment.number);
        let mut standing = of_payment.filter(|row| !is_retried(self, row.number));
        standing.any(|row| match row.state {
            RefundState::Due
            | RefundState::Blocked
            | RefundState::Submitted
            | RefundState::Unknown => true,
            RefundState::Failed | RefundState::Dropped => {
                row.settled_amount.is_none() && self.is_left_held(payment, row)
            }
            RefundState::Settled | RefundState::Cancelled => false,
        })
    }

    /// A release that failed waits for a person. Who lets it be, or drops it, decides about the
    /// authorisation as it stood then: not about more, nor about what is authorised later.
    fn is_left_held(&self, payment: &Payment, release: &Refund) -> bool {
        let mut failures = self.incidents.iter().filter(|incident| {
            incident.kind == IncidentKind::RefundFailed && incident.refund == Some(release.number)
        });
        if is_let_go(self, release.number) {
            return false;
        }
        let (decide_time, left) = if release.state == RefundState::Dropped {
            (release.update_time, release.amounts.total())
        } else {
            match failures.next_back() {
                Some(open) if open.state == IncidentState::Open => return true,
                Some(decided) if decided.resolution == Some(Resolution::Accept) => (
                    decided.resolve_time.unwrap_or(release.update_time),
                    decided.amount.unwrap_or(release.amounts.total()),
                ),
                Some(_) | None => return false,
            }
        };
        let is_anew =
            |fact: &RecordedFact| fact.fact == PaymentFact::Authorized && fact.time > decide_time;
        payment.balance.held <= left && !payment.facts.iter().any(is_anew)
    }
}
