//! Contested refunds: the money for goods that were cancelled and are outside all the same, where
//! support decides that it stays.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::cancellation::{Cancellation, Part, PartState};
use crate::incident::{Incident, IncidentKind, IncidentState, Resolution};
use crate::lifecycle::draft::{Draft, NewRefund};
use crate::lifecycle::{incidents, refunds};
use crate::money::{Amounts, split_by_weight};
use crate::order::Order;
use crate::refund::{Refund, RefundKind, RefundState};
use crate::shipment::Shipment;

/// Drops what the refunds that are held back give for units of the incident's shipment that are
/// out, and no more: what a cancellation took of other shipments, what is home, what never left and
/// what support has decided about before has its refund.
pub(crate) fn drop_refunds(draft: &mut Draft<'_>, incident: &Incident) {
    let decided = last_decision(&draft.order, incident);
    let shipment = incident
        .shipment
        .and_then(|number| draft.order.shipment(number));
    let shares: Vec<(u32, Amounts)> = shipment
        .into_iter()
        .flat_map(|shipment| {
            let of = draft.order.cancellations.iter();
            of.map(|of| (of.number, share_of(&draft.order, of, shipment, decided)))
        })
        .filter(|(_, share)| share.total() > 0)
        .collect();
    for (cancellation, share) in shares {
        drop_share(draft, cancellation, share);
        refunds::reconcile(draft, Some(cancellation));
    }
}

/// Until when support has decided about what was cancelled of this shipment and outside: what was
/// cancelled until then is not for this incident. A DROP_REFUND is about all that was by then, and
/// anything else about what the incident was opened for.
fn last_decision(order: &Order, incident: &Incident) -> Option<Timestamp> {
    let earlier = order.incidents.iter().filter(|other| {
        other.kind == IncidentKind::CancelledYetShipped
            && other.shipment == incident.shipment
            && other.number != incident.number
    });
    let decided = earlier.filter_map(|other| match other.resolution? {
        Resolution::DropRefund => other.resolve_time,
        Resolution::RefundAnyway | Resolution::RetryRefund | Resolution::Accept => {
            Some(other.create_time)
        }
    });
    decided.max()
}

/// What a cancellation gives back for units of a shipment that are out and were cancelled after the
/// last decision about them.
fn share_of(
    order: &Order,
    of: &Cancellation,
    shipment: &Shipment,
    decided: Option<Timestamp>,
) -> Amounts {
    let out = shipment.whereabouts.out();
    let share = |part: &Part| {
        let (outside, others) = (part.units.intersection(&out), part.units.minus(&out));
        if outside.is_empty() {
            return Amounts::ZERO;
        }
        if others.is_empty() {
            return part.refund;
        }
        let (outside, others) = (order.amounts_of(&outside), order.amounts_of(&others));
        let split = |whole: i64, weights: [i64; 2]| split_by_weight(whole, &weights)[0];
        let goods = [outside.goods, others.goods];
        Amounts {
            goods: split(part.refund.goods, goods),
            tax: split(part.refund.tax, [outside.tax, others.tax]),
            shipping: split(part.refund.shipping, goods),
            excess: 0,
        }
    };
    of.parts
        .iter()
        .filter(|part| part.state == PartState::Cancelled && part.shipment == shipment.number)
        .filter(|part| decided.is_none_or(|decided| of.cancel_time(part) > decided))
        .map(share)
        .sum()
}

/// Drops the held refunds of a cancellation up to this share. One that is for more ends, a row for
/// the share is dropped in its place, and the rest is to go back as if nothing stood for it yet.
fn drop_share(draft: &mut Draft<'_>, cancellation: u32, share: Amounts) {
    let is_held = |refund: &&Refund| {
        refund.cancellation == Some(cancellation) && refund.state == RefundState::Blocked
    };
    let mut held: Vec<Refund> = draft
        .order
        .refunds
        .iter()
        .filter(is_held)
        .cloned()
        .collect();
    // Money that is here first: an authorisation is released whole or not at all.
    held.sort_by_key(|refund| refund.kind == RefundKind::Void);
    let dropped = dropped_of(&draft.order, &held, share);
    for (refund, dropped) in held.into_iter().zip(dropped) {
        if dropped.total() == 0 {
            continue;
        }
        let amounts = match refund.kind {
            RefundKind::Refund => dropped,
            // Whole or not at all: what is not the price of these goods, nobody has decided about.
            RefundKind::Void => Amounts {
                excess: refund.amounts.total() - (dropped.total() - dropped.excess),
                ..dropped
            },
        };
        if amounts == refund.amounts {
            draft.move_refund(refund.number, RefundState::Dropped);
        } else {
            draft.move_refund(refund.number, RefundState::Cancelled);
            let number = draft.add_refund(NewRefund {
                payment: refund.payment,
                kind: refund.kind,
                amounts,
                cancellation: Some(cancellation),
                state: RefundState::Blocked,
                retry_of: None,
            });
            draft.move_refund(number, RefundState::Dropped);
        }
        close_mismatch(draft, refund.number);
    }
}

/// How much of each of these refunds is dropped for a share. What their payments still have comes
/// first: nothing is kept of what went back outside, and the buyer would have that and the rest.
fn dropped_of(order: &Order, held: &[Refund], mut share: Amounts) -> Vec<Amounts> {
    let mut dropped = vec![Amounts::ZERO; held.len()];
    let mut left: BTreeMap<u32, i64> = order
        .payments
        .iter()
        .map(|payment| (payment.number, order.left_beside(payment, held)))
        .collect();
    for (refund, dropped) in held.iter().zip(&mut dropped) {
        let left = left.entry(refund.payment).or_default();
        let is_there = refund.kind == RefundKind::Refund;
        let mut there = share;
        let there = there.take(if is_there { *left } else { 0 });
        let mut rest = refund.amounts;
        *dropped = take_like(&mut rest, there);
        *left -= dropped.total();
        take_like(&mut share, *dropped);
    }
    for (refund, dropped) in held.iter().zip(&mut dropped) {
        let mut rest = refund.amounts - *dropped;
        let more = take_like(&mut rest, share);
        *dropped = *dropped + more;
        take_like(&mut share, more);
    }
    dropped
}

/// Takes this share by component, and what is short of it out of what there is.
fn take_like(from: &mut Amounts, share: Amounts) -> Amounts {
    let alike = from.take_share(share);
    alike + from.take(share.total() - alike.total())
}

/// Nothing is left to decide about a refund that has ended.
fn close_mismatch(draft: &mut Draft<'_>, refund: u32) {
    let open = draft.order.incidents.iter().filter(|incident| {
        incident.kind == IncidentKind::RefundMismatch
            && incident.state == IncidentState::Open
            && incident.refund == Some(refund)
    });
    for incident in open.map(|incident| incident.number).collect::<Vec<_>>() {
        incidents::close(draft, incident, None);
    }
}
