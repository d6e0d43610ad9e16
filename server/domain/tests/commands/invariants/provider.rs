//! What is true of money whatever its provider says, how often, and in which order.

use std::collections::BTreeMap;

use belay_domain::cancellation::{Part, PartState};
use belay_domain::commands::allowed_resolutions;
use belay_domain::error_reason::ErrorReason;
use belay_domain::incident::{Incident, IncidentKind, IncidentState, Resolution};
use belay_domain::order::Order;
use belay_domain::payment::{Payment, PaymentFact, RecordedFact};
use belay_domain::refund::{Refund, RefundKind, RefundState};
use belay_domain::units::UnitSet;

use super::{counting, is_going, is_let_go, is_parked, standing, worth};

pub(super) fn check(order: &Order) {
    for payment in &order.payments {
        check_disputes(payment);
    }
    for refund in &order.refunds {
        match refund.kind {
            RefundKind::Void => check_release(order, refund),
            RefundKind::Refund => check_refund(order, refund),
        }
    }
    check_shipping(order);
}

fn own(fact: &RecordedFact) -> i64 {
    fact.amount.and_then(|amount| amount.own()).unwrap_or(0)
}

fn net(payment: &Payment) -> i64 {
    payment.balance.captured - payment.balance.returned_outside - payment.balance.disputed
}

fn failures<'a>(order: &'a Order, refund: &Refund) -> impl Iterator<Item = &'a Incident> + use<'a> {
    let number = refund.number;
    order.incidents.iter().filter(move |incident| {
        incident.kind == IncidentKind::RefundFailed && incident.refund == Some(number)
    })
}

/// The provider has named another amount than was asked, or than before, or has paid what had
/// failed.
pub(super) fn has_contradicted_itself(order: &Order) -> bool {
    order.incidents.iter().any(|incident| match incident.kind {
        IncidentKind::RefundMismatch => incident.amount.is_some(),
        IncidentKind::LateFact => incident.refund.is_some(),
        IncidentKind::CancelledYetShipped
        | IncidentKind::RefundFailed
        | IncidentKind::PaymentLapsed
        | IncidentKind::GoodsUnpaid
        | IncidentKind::OverRefunded
        | IncidentKind::CaptureMismatch => false,
    })
}

/// What a row has released is held no more: only what was authorised since, and what it left.
fn check_release(order: &Order, release: &Refund) {
    let (Some(payment), Some(released)) = (order.payment(release.payment), release.settled_amount)
    else {
        return;
    };
    let mut facts: Vec<&RecordedFact> = payment.facts.iter().collect();
    facts.sort_by_key(|fact| fact.time);
    let is_release = |fact: &&RecordedFact| {
        fact.fact == PaymentFact::Voided && fact.refund == Some(release.number)
    };
    let at = facts.iter().position(is_release);
    let at = at.unwrap_or_else(|| panic!("{release:?} is no fact of its payment"));
    let authorized = |facts: &[&RecordedFact]| -> i64 {
        let of = |fact: &&&RecordedFact| fact.fact == PaymentFact::Authorized;
        facts.iter().filter(of).map(|fact| own(fact)).sum()
    };
    let left = if released < release.amounts.total() {
        (authorized(&facts[..at]) - released).max(0)
    } else {
        0
    };
    let held = payment.balance.held;
    assert!(
        held <= authorized(&facts[at..]) + left,
        "{held} is held, and {release:?} has released it"
    );
}

/// Whether a row is why nobody else releases what its payment holds: it is not over; or it failed,
/// or was dropped, and somebody is asked or has decided about so much.
pub(super) fn stands_for_all_held(order: &Order, payment: &Payment, release: &Refund) -> bool {
    use RefundState::{Blocked, Cancelled, Dropped, Due, Failed, Settled, Submitted, Unknown};
    let held = payment.balance.held;
    let is_anew = |since| {
        let mut facts = payment.facts.iter();
        facts.any(|fact| fact.fact == PaymentFact::Authorized && fact.time > since)
    };
    let accepts = |incident: &Incident| {
        let Some(decided) = incident.resolve_time else {
            return true;
        };
        incident.resolution == Some(Resolution::Accept)
            && incident.amount >= Some(held)
            && !is_anew(decided)
    };
    match release.state {
        Due | Blocked | Submitted | Unknown => true,
        Settled | Cancelled => false,
        Failed | Dropped if release.settled_amount.is_some() => false,
        Failed => failures(order, release).any(accepts),
        Dropped if is_let_go(order, release) => false,
        Dropped => held <= release.amounts.total() && !is_anew(release.update_time),
    }
}

/// What a refund keeps that failed or was dropped: all of it until somebody decides, and then as
/// much as was owed under it.
pub(super) fn parked_worth(order: &Order, refund: &Refund) -> i64 {
    let of_refund = order.incidents.iter().filter(|incident| {
        let kinds = [IncidentKind::RefundFailed, IncidentKind::RefundMismatch];
        incident.refund == Some(refund.number) && kinds.contains(&incident.kind)
    });
    let mut decided = of_refund.filter_map(|incident| match incident.resolution {
        Some(Resolution::Accept | Resolution::DropRefund) => incident.amount,
        None if incident.state == IncidentState::Open => Some(worth(refund)),
        Some(Resolution::RefundAnyway | Resolution::RetryRefund) | None => None,
    });
    decided.next_back().unwrap_or_else(|| worth(refund))
}

/// What stays of a payment by a decision although its row is paid, or is a release: the rest of
/// what support had settled otherwise or dropped, and the price of goods that the buyer keeps.
pub(super) fn rest_decided_about(order: &Order, payment: &Payment) -> i64 {
    let rest = |refund: &Refund| -> i64 {
        let paid = refund.settled_amount.unwrap_or(i64::MAX);
        let accepted = failures(order, refund)
            .filter(|incident| incident.resolution == Some(Resolution::Accept))
            .filter_map(|incident| incident.amount)
            .fold(0, |_, last| last);
        let decided = match refund.state {
            RefundState::Failed => accepted,
            RefundState::Dropped => refund.amounts.total(),
            RefundState::Due
            | RefundState::Blocked
            | RefundState::Submitted
            | RefundState::Settled
            | RefundState::Unknown
            | RefundState::Cancelled => 0,
        };
        decided.saturating_sub(paid).max(0)
    };
    let price = |release: &Refund| -> i64 {
        if release.state != RefundState::Dropped {
            return 0;
        }
        // It has taken the place of one that was made before.
        let replaced = order.refunds.iter().filter(|other| {
            let is_of_payment = other.kind == RefundKind::Void && other.payment == payment.number;
            is_of_payment
                && other.state == RefundState::Cancelled
                && other.update_time == release.create_time
        });
        let made = replaced
            .map(|other| other.create_time)
            .min()
            .map_or(release.create_time, |made| made.min(release.create_time));
        let since = |kind| {
            let facts = payment.facts.iter();
            facts.filter(move |fact| fact.fact == kind && fact.time >= made)
        };
        let mut captures = BTreeMap::<_, i64>::new();
        for (at, fact) in since(PaymentFact::Captured).enumerate() {
            let most = captures.entry(fact.movement.clone().ok_or(at)).or_default();
            *most = (*most).max(own(fact));
        }
        let captured: i64 = captures.into_values().sum();
        let price = release.amounts.total() - release.amounts.excess;
        let is_anew = since(PaymentFact::Authorized).any(|fact| fact.time > made);
        let released = if is_anew {
            i64::MAX
        } else {
            (release.amounts.total() - payment.balance.held).max(0)
        };
        price.min(captured).min(released)
    };
    let of_payment =
        |kind: RefundKind| standing(order, kind).filter(|refund| refund.payment == payment.number);
    let rests: i64 = of_payment(RefundKind::Refund).map(rest).sum();
    let prices: i64 = of_payment(RefundKind::Void).map(price).sum();
    rests + prices.min(payment.balance.captured)
}

/// What failed is told each time; whoever is asked may have it tried again where it is owed, and is
/// offered nothing that the payment has not.
fn check_refund(order: &Order, refund: &Refund) {
    let Some(payment) = order.payment(refund.payment) else {
        panic!("{refund:?} is of a payment")
    };
    if refund.state == RefundState::Failed && refund.settled_amount.is_none() {
        let is_told = failures(order, refund).any(|it| it.create_time >= refund.update_time);
        assert!(is_told, "nobody is told of {refund:?}");
    }
    let others = || {
        counting(order, RefundKind::Refund)
            .filter(|other| other.payment == payment.number && other.number != refund.number)
    };
    let is_of = |incident: &&Incident| {
        incident.refund == Some(refund.number) && incident.state == IncidentState::Open
    };
    let is_retried = order
        .refunds
        .iter()
        .any(|other| other.retry_of == Some(refund.number));
    for incident in order.incidents.iter().filter(is_of) {
        let allowed = allowed_resolutions(order, incident);
        if incident.kind == IncidentKind::RefundFailed && is_parked(refund) && !is_retried {
            let left = net(payment) - others().map(worth).sum::<i64>();
            let going: i64 = counting(order, RefundKind::Refund)
                .filter(|row| is_going(row))
                .map(worth)
                .sum();
            let owed = order.payments.iter().map(net).sum::<i64>() - order.amount_due() - going;
            assert!(
                left.min(owed) <= 0 || allowed.contains(&Resolution::RetryRefund),
                "{left} and {owed} are there, and {refund:?} may not be tried again"
            );
        }
        if refund.state == RefundState::Blocked && allowed.contains(&Resolution::RefundAnyway) {
            let going: i64 = order
                .refunds
                .iter()
                .filter(|other| {
                    let is_of_payment = other.kind == RefundKind::Refund
                        && other.payment == payment.number
                        && other.number != refund.number;
                    is_of_payment && is_going(other)
                })
                .map(worth)
                .sum();
            assert!(
                net(payment) - going >= refund.amounts.total(),
                "{refund:?} may be paid of {} less {going}",
                net(payment)
            );
        }
    }
}

/// Each reversal wins something, in whatever order they are told; and none that names neither
/// dispute nor amount wins what was charged back after it.
fn check_disputes(payment: &Payment) {
    let of = |kind: PaymentFact| payment.facts.iter().filter(move |fact| fact.fact == kind);
    check_won(payment);
    if of(PaymentFact::ChargebackReversed)
        .any(|fact| fact.movement.is_some() || fact.amount.is_some())
    {
        return;
    }
    let last = of(PaymentFact::ChargebackReversed)
        .map(|fact| fact.time)
        .max();
    let mut later: BTreeMap<_, i64> = BTreeMap::new();
    for (at, fact) in of(PaymentFact::Chargeback).enumerate() {
        // Of two messages of one movement the larger amount counts, wherever it stands.
        let key = fact.movement.clone().ok_or(at);
        let amount = if last.is_none_or(|last| fact.time > last) {
            own(fact)
        } else {
            i64::MIN
        };
        let least = later.entry(key).or_insert(amount);
        *least = (*least).min(amount);
    }
    let later: i64 = later.into_values().filter(|amount| *amount > 0).sum();
    assert!(
        later <= payment.balance.disputed,
        "{later} was charged back since, and {} is disputed",
        payment.balance.disputed
    );
}

/// No more is disputed than is left of each dispute after the reversals that name it, less all
/// that those without a name have won.
fn check_won(payment: &Payment) {
    let of = |kind: PaymentFact| payment.facts.iter().filter(move |fact| fact.fact == kind);
    let is_foreign = |fact: &RecordedFact| fact.amount.is_some() && own(fact) == 0;
    if payment.facts.iter().any(is_foreign) {
        return;
    }
    let mut left: BTreeMap<_, i64> = BTreeMap::new();
    for (at, fact) in of(PaymentFact::Chargeback).enumerate() {
        let most = left.entry(fact.movement.clone().ok_or(at)).or_default();
        *most = (*most).max(own(fact));
    }
    let mut won: BTreeMap<_, i64> = BTreeMap::new();
    for fact in of(PaymentFact::ChargebackReversed) {
        let most = won.entry(fact.movement.clone()).or_default();
        *most = match fact.movement {
            Some(_) => (*most).max(own(fact)),
            None => *most + own(fact),
        };
    }
    let nameless = won.remove(&None).unwrap_or_default();
    let named = won.into_iter().filter_map(|(name, won)| {
        let left = left.get(&Ok(name?))?;
        // One that names no amount wins it whole.
        Some(if won == 0 { *left } else { won.min(*left) })
    });
    let named: i64 = named.sum();
    let most = left.values().sum::<i64>() - named - nameless;
    assert!(
        payment.balance.disputed <= most.max(0),
        "{most} is left of what was charged back, and {} is disputed",
        payment.balance.disputed
    );
}

/// A waiting part is expected to take the last unit, with which the shipping charge goes, only
/// where its cancellation waits for all that is left; and then one of its parts is.
fn check_shipping(order: &Order) {
    for (of, shipment) in order
        .cancellations
        .iter()
        .flat_map(|of| order.shipments.iter().map(move |shipment| (of, shipment)))
    {
        let waiting: Vec<&Part> = of
            .parts
            .iter()
            .filter(|part| part.state == PartState::Waiting && part.shipment == shipment.number)
            .collect();
        let units: UnitSet = waiting
            .iter()
            .flat_map(|part| part.units.ranges().iter().copied())
            .collect();
        let takes_all = order.live_units(shipment).minus(&units).is_empty();
        let is_last =
            |part: &&&Part| part.refund.shipping > 0 || part.deductions.outbound_shipping > 0;
        let last = waiting.iter().filter(is_last).count();
        assert!(
            last <= usize::from(takes_all),
            "cancellation {} does not take all that is left of shipment {}",
            of.number,
            shipment.number
        );
    }
}

/// What is refused because its order closes, the closing takes.
pub(super) fn check_closing(before: &Order, after: &Order) {
    let parts = |order: &Order| -> Vec<Part> {
        let of = order.cancellations.iter();
        of.flat_map(|of| of.parts.clone()).collect()
    };
    let waited: UnitSet = parts(before)
        .into_iter()
        .filter(|part| part.state == PartState::Waiting)
        .flat_map(|part| part.units.ranges().to_vec())
        .collect();
    for part in parts(after)
        .iter()
        .filter(|part| part.refused_reason == Some(ErrorReason::OrderClosed))
    {
        let left = part
            .units
            .intersection(&waited)
            .minus(&after.cancelled_units());
        assert!(left.is_empty(), "{part:?} is refused, and stays sold");
    }
}
