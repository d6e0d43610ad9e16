//! What is true of every order, and of every step from one state of it to the next, whatever the
//! commands were.
//!
//! Like `random` this knows nothing of the tests around it, so that a test of a running server may
//! hold its orders against the same rules. The names M1 to L1 are those of the design.

use std::collections::BTreeMap;

use belay_domain::actor::Role;
use belay_domain::annotations::Annotations;
use belay_domain::cancellation::{Cancellation, GateState, Part, PartState};
use belay_domain::error_reason::ErrorReason;
use belay_domain::incident::{Incident, IncidentKind, IncidentState, Resolution};
use belay_domain::money::Amounts;
use belay_domain::order::{Order, OrderState};
use belay_domain::payment::Payment;
use belay_domain::refund::{Refund, RefundKind, RefundState};
use belay_domain::shipment::{Shipment, Stage};
use belay_domain::terms::GateKind;
use belay_domain::units::{UnitRange, UnitSet};
use jiff::Timestamp;

mod provider;

/// Holds an order against all that is true of any.
pub(crate) fn check(order: &Order, now: Timestamp) {
    check_money(order);
    provider::check(order);
    check_unit_money(order);
    check_units(order);
    check_shipments(order);
    check_goods(order);
    check_cancellations(order);
    check_deadlines(order, now);
}

fn components(amounts: Amounts) -> [i64; 3] {
    [amounts.goods, amounts.tax, amounts.shipping]
}

/// The rows that stand for money: one that was tried again stands for none, the row that tries
/// again does in its place; nor does one that was let go.
fn standing(order: &Order, kind: RefundKind) -> impl Iterator<Item = &Refund> + Clone {
    let is_retried = |number| {
        order
            .refunds
            .iter()
            .any(|refund| refund.retry_of == Some(number))
    };
    order
        .refunds
        .iter()
        .filter(move |refund| refund.kind == kind && !is_retried(refund.number))
        .filter(|refund| !is_let_go(order, refund))
}

/// Support has dropped it, and then paid it all the same, for its goods came home.
fn is_let_go(order: &Order, refund: &Refund) -> bool {
    holds_incident(order, IncidentKind::LateFact, |of| {
        of.refund == Some(refund.number) && of.resolution == Some(Resolution::RefundAnyway)
    })
}

/// The rows that stand for money, and those that were tried again and have paid after all.
fn counting(order: &Order, kind: RefundKind) -> impl Iterator<Item = &Refund> + Clone {
    let paid = order
        .refunds
        .iter()
        .filter(move |refund| refund.kind == kind && refund.paid() > 0);
    standing(order, kind)
        .filter(|refund| refund.paid() == 0)
        .chain(paid)
}

/// What a row has paid, or is to pay.
fn worth(refund: &Refund) -> i64 {
    if let Some(paid) = refund.settled_amount {
        return paid;
    }
    match refund.state {
        RefundState::Settled => panic!("what is settled has an amount"),
        RefundState::Cancelled => 0,
        RefundState::Due
        | RefundState::Blocked
        | RefundState::Submitted
        | RefundState::Failed
        | RefundState::Unknown
        | RefundState::Dropped => refund.amounts.total(),
    }
}

fn is_parked(refund: &Refund) -> bool {
    matches!(refund.state, RefundState::Failed | RefundState::Dropped)
        && refund.settled_amount.is_none()
}

fn is_going(refund: &Refund) -> bool {
    use RefundState::{Due, Settled, Submitted, Unknown};
    matches!(refund.state, Due | Submitted | Unknown | Settled) || refund.settled_amount.is_some()
}

fn holds_incident(order: &Order, kind: IncidentKind, is_about: impl Fn(&Incident) -> bool) -> bool {
    order
        .incidents
        .iter()
        .any(|incident| incident.kind == kind && is_about(incident))
}

/// M1, S3, that nothing is kept that is not due, and that nothing is promised that is not there.
fn check_money(order: &Order) {
    for kind in [RefundKind::Refund, RefundKind::Void] {
        let rows = standing(order, kind).filter(|refund| refund.state != RefundState::Cancelled);
        // What the provider paid beyond what was asked stands under no component.
        let back: Amounts = rows
            .clone()
            .map(|refund| refund.amounts.clone().take(worth(refund)))
            .sum();
        for ((back, credited), total) in components(back)
            .into_iter()
            .zip(components(order.credited()))
            .zip(components(order.total()))
        {
            // Whoever says one thing and then another may have paid twice for one component.
            let is_within = back <= credited || provider::has_contradicted_itself(order);
            assert!(
                0 <= back && is_within && credited <= total,
                "{kind}: {back} of {credited} of {total}"
            );
        }
        assert!(
            rows.clone()
                .all(|refund| refund.amounts.excess >= 0 && refund.amounts.total() > 0)
        );
        for refund in rows {
            let of = refund.cancellation.map(|number| order.cancellation(number));
            assert!(
                of != Some(None),
                "refund {} names a cancellation",
                refund.number
            );
        }
    }
    let (mut kept, mut going, mut captured_net) = (0, 0, 0);
    for payment in &order.payments {
        let balance = &payment.balance;
        let net = balance.captured - balance.returned_outside - balance.disputed;
        let rows = || {
            counting(order, RefundKind::Refund).filter(|refund| refund.payment == payment.number)
        };
        let live: i64 = rows().filter(|refund| !is_parked(refund)).map(worth).sum();
        let parked: i64 = rows().filter(|refund| is_parked(refund)).map(worth).sum();
        let on_its_way: i64 = rows().filter(|refund| is_going(refund)).map(worth).sum();
        let of_others = parked + provider::rest_decided_about(order, payment);
        kept += net - live - of_others.min(net - live).max(0);
        (going, captured_net) = (going + on_its_way, captured_net + net);
        // What has not been sent yet has its money.
        if rows().any(|refund| refund.state == RefundState::Due) {
            assert!(
                on_its_way <= net,
                "payment {} pays {on_its_way} of {net}",
                payment.number
            );
        }
        let gone: i64 = order
            .refunds
            .iter()
            .filter(|refund| refund.payment == payment.number)
            .map(Refund::paid)
            .sum();
        let is_told = holds_incident(order, IncidentKind::OverRefunded, |of| {
            of.payment == Some(payment.number)
        });
        assert!(
            gone <= net || is_told,
            "payment {} gave back {gone} of {net}",
            payment.number
        );
        let is_mismatch = holds_incident(order, IncidentKind::CaptureMismatch, |of| {
            of.payment == Some(payment.number)
        });
        assert!(
            balance.unconfirmed == 0 || is_mismatch,
            "payment {} has an incident",
            payment.number
        );
        assert!(balance.held >= 0 && balance.held <= balance.authorized && balance.disputed >= 0);
    }
    let due = order.amount_due();
    assert!(kept <= due.max(0), "{kept} is kept and {due} due");
    if order.state == OrderState::ClosedUnpaid {
        assert!(due == 0 && kept <= 0, "a closed unpaid order keeps nothing");
    }
    // What support has decided, it has.
    let is_decided = |refund: &Refund| {
        let anyway = Some(Resolution::RefundAnyway);
        holds_incident(order, IncidentKind::RefundMismatch, |of| {
            of.refund == Some(refund.number) && of.resolution == anyway
        })
    };
    let is_open = |refund: &&Refund| refund.state == RefundState::Due && !is_decided(refund);
    if standing(order, RefundKind::Refund).any(|refund| is_open(&refund)) {
        assert!(
            going <= captured_net - due,
            "{going} is on its way of {}",
            captured_net - due
        );
    }
    check_authorisations(order);
    check_promises(order);
    for incident in &order.incidents {
        let refund = incident
            .refund
            .filter(|_| incident.resolution == Some(Resolution::DropRefund));
        let refund = refund.and_then(|number| order.refund(number));
        assert!(
            refund.is_none_or(|refund| refund.state == RefundState::Dropped),
            "incident {} dropped {refund:?}",
            incident.number
        );
    }
    for refund in &order.refunds {
        let is_contested = order.is_contested(refund.cancellation);
        assert!(
            refund.state != RefundState::Due || !is_contested,
            "no money leaves for what was scanned out"
        );
        // BLOCKED only by an incident.
        let holds = |kind, about| {
            let mut open = order
                .incidents
                .iter()
                .filter(|incident| incident.state == IncidentState::Open);
            open.any(|incident| incident.kind == kind && incident.refund == about)
        };
        let is_held = is_contested || holds(IncidentKind::RefundMismatch, Some(refund.number));
        assert!(
            refund.state != RefundState::Blocked || is_held,
            "refund {} is held for nothing",
            refund.number
        );
    }
}

/// What is captured of a payment and neither goes back nor stays because a refund failed or was
/// dropped: that is for other goods.
fn pays_for_what_is_due(order: &Order, payment: &Payment) -> i64 {
    let balance = &payment.balance;
    let net = balance.captured - balance.returned_outside - balance.disputed;
    let rows = counting(order, RefundKind::Refund).filter(|refund| {
        refund.payment == payment.number && refund.state != RefundState::Cancelled
    });
    let (parked, live): (Vec<&Refund>, Vec<&Refund>) = rows.partition(|refund| is_parked(refund));
    let left = net - live.into_iter().map(worth).sum::<i64>();
    let parked: i64 = parked
        .into_iter()
        .map(|refund| provider::parked_worth(order, refund))
        .sum();
    let of_others = parked + provider::rest_decided_about(order, payment);
    left - of_others.min(left).max(0)
}

/// What may leave is paid; and every authorisation is needed, or has its release.
fn check_authorisations(order: &Order) {
    let is_released = |shipment: &Shipment| {
        shipment.stage.is_before_dispatch() && shipment.stage != Stage::Unreleased
    };
    let captured: i64 = order
        .payments
        .iter()
        .map(|payment| payment.balance.captured)
        .sum();
    let held: i64 = order
        .payments
        .iter()
        .map(|payment| payment.balance.held)
        .sum();
    let may_leave = order.shipments.iter().any(is_released);
    assert!(
        !may_leave || captured + held >= order.amount_due(),
        "what is released is paid"
    );
    assert!(order.lapse_time.is_none() || order.paid_time.is_none());
    let is_lapse_told = holds_incident(order, IncidentKind::PaymentLapsed, |_| true);
    assert!(
        order.lapse_time.is_none() || is_lapse_told,
        "support is told of a lapse"
    );

    let due = order.amount_due().max(0);
    let there: i64 = order
        .payments
        .iter()
        .map(|payment| pays_for_what_is_due(order, payment))
        .sum();
    let mut missing = (due - there).clamp(0, due);
    // What is being released pays for nothing.
    let is_sent = |payment: &Payment| {
        let mut releases =
            standing(order, RefundKind::Void).filter(|refund| refund.payment == payment.number);
        releases.any(|row| matches!(row.state, RefundState::Submitted | RefundState::Unknown))
    };
    let holds = |payment: &Payment| {
        if is_sent(payment) {
            0
        } else {
            payment.balance.held
        }
    };
    let held: i64 = order.payments.iter().map(holds).sum();
    assert!(
        !may_leave || captured + held >= order.amount_due(),
        "what is released is paid by what stays"
    );
    if may_leave && missing > held {
        assert!(
            holds_incident(order, IncidentKind::GoodsUnpaid, |_| true),
            "{missing} is missing and {held} held"
        );
    }
    for payment in order
        .payments
        .iter()
        .filter(|payment| payment.balance.held > 0)
    {
        let mut releases =
            standing(order, RefundKind::Void).filter(|refund| refund.payment == payment.number);
        let is_released = releases.any(|row| provider::stands_for_all_held(order, payment, row));
        assert!(
            missing > 0 || is_released,
            "nothing is due for payment {}",
            payment.number
        );
        missing = (missing - holds(payment)).max(0);
    }
}

/// What open cancellations promise, beyond the rows there are, is there.
fn check_promises(order: &Order) {
    let pending = order
        .cancellations
        .iter()
        .filter(|of| of.close_time.is_none());
    let to_come = pending.map(|of| {
        let made = order
            .refunds
            .iter()
            .filter(|refund| refund.cancellation == Some(of.number));
        let made: i64 = made
            .filter(|refund| refund.kind == RefundKind::Refund && is_going(refund))
            .map(worth)
            .sum();
        (order.promise(of).refund.total() - made).max(0)
    });
    let to_come: i64 = to_come.sum();
    let there = order.payments.iter().map(|payment| {
        let rows =
            counting(order, RefundKind::Refund).filter(|refund| refund.payment == payment.number);
        let going: i64 = rows.filter(|refund| is_going(refund)).map(worth).sum();
        (payment.balance.captured
            - payment.balance.returned_outside
            - payment.balance.disputed
            - going)
            .max(0)
    });
    let there: i64 = there.sum();
    assert!(to_come <= there, "{to_come} is promised and {there} there");
}

/// M2: what single units carry adds up to the totals, however the shipments were split.
fn check_unit_money(order: &Order) {
    let single = |line: u32, first: u32| {
        order.amounts_of(&UnitSet::new([UnitRange {
            line,
            first,
            count: 1,
        }]))
    };
    let units = order
        .lines
        .iter()
        .flat_map(|line| (0..line.quantity).map(|index| single(line.number, index)));
    let shipping = order.shipments.iter().map(Shipment::shipping_amounts);
    assert_eq!(units.chain(shipping).sum::<Amounts>(), order.total());
}

fn all_parts(order: &Order) -> impl Iterator<Item = &Part> {
    order
        .cancellations
        .iter()
        .flat_map(|cancellation| &cancellation.parts)
}

/// M3: every unit is in one shipment and has one end.
fn check_units(order: &Order) {
    let of = |sets: Vec<&UnitSet>| {
        let count: u32 = sets.iter().map(|set| set.count()).sum();
        let union: UnitSet = sets
            .iter()
            .flat_map(|set| set.ranges().iter().copied())
            .collect();
        assert_eq!(union.count(), count, "the sets are disjoint");
        union
    };
    assert_eq!(
        of(order
            .shipments
            .iter()
            .map(|shipment| &shipment.units)
            .collect()),
        order.units()
    );
    let parts = |state| {
        all_parts(order)
            .filter(move |part| part.state == state)
            .map(|part| &part.units)
            .collect::<Vec<_>>()
    };
    let (claimed, cancelled) = (
        of(parts(PartState::Waiting)),
        of(parts(PartState::Cancelled)),
    );
    assert!(claimed.intersection(&cancelled).is_empty());
    assert!(order.shipped_units().count() + cancelled.count() <= order.units().count());
    for part in all_parts(order)
        .filter(|part| matches!(part.state, PartState::Waiting | PartState::Cancelled))
    {
        let held = order
            .shipment(part.shipment)
            .map(|shipment| shipment.units.clone())
            .unwrap_or_default();
        assert!(
            !part.units.is_empty() && part.units.minus(&held).is_empty(),
            "{part:?} is of its shipment"
        );
    }
}

fn check_shipments(order: &Order) {
    for shipment in &order.shipments {
        let is_empty = order.live_units(shipment).is_empty();
        let is_over = matches!(shipment.stage, Stage::Cancelled | Stage::Split);
        assert!(
            !is_over || is_empty,
            "a shipment that is over has no live units"
        );
        let is_in = shipment.stage.is_before_dispatch();
        assert!(
            !(is_in && is_empty),
            "what has no live units does not wait to leave"
        );
        let is_released = is_in && shipment.stage != Stage::Unreleased;
        assert!(
            !is_released || order.paid_time.is_some(),
            "only what is paid is packed"
        );
        let may_go = order.paid_time.is_some() && !order.has_waiting_parts();
        assert!(
            !(may_go && shipment.stage == Stage::Unreleased),
            "what is paid and waits for nobody is released"
        );
        assert!(
            shipment.hold.is_none() || is_in,
            "what has left is held by nobody"
        );
        check_dispatched_or_cancelled(order, shipment);
    }
}

/// Every unit that left is out, home or lost; every unit that is home is refunded, waits for
/// somebody's consent, was refused, which is on record with the receipt, or is under an incident.
fn check_goods(order: &Order) {
    for shipment in &order.shipments {
        let (left, home) = (&shipment.whereabouts.left, &shipment.whereabouts.home);
        assert!(
            left.minus(&shipment.units).is_empty() && home.minus(left).is_empty(),
            "{shipment:?}"
        );
        assert_eq!(
            left.is_empty(),
            !shipment.stage.is_dispatched(),
            "{shipment:?} has left or has not"
        );
        assert_eq!(
            shipment.stage.is_dispatched(),
            shipment.dispatch_time.is_some(),
            "{shipment:?}"
        );
        assert!(
            shipment
                .deliver_time
                .is_none_or(|delivered| Some(delivered) >= shipment.dispatch_time)
        );
        let mut unaccounted = home.clone();
        for part in all_parts(order).filter(|part| part.shipment == shipment.number) {
            match (part.state, part.receipt) {
                (PartState::Cancelled, _) | (PartState::Waiting | PartState::Refused, Some(_)) => {
                    unaccounted = unaccounted.minus(&part.units)
                }
                (PartState::Waiting | PartState::Refused, None) | (PartState::Withdrawn, _) => {}
            }
            let is_home = part.receipt.is_some() && part.state == PartState::Waiting;
            assert!(
                !is_home || part.units.minus(home).is_empty(),
                "{part:?} is home"
            );
            let waits_in_vain = part.open_gate().is_some_and(|gate| {
                matches!(
                    gate.effective_kind(),
                    GateKind::ParcelReceipt
                        | GateKind::CarrierIntercept
                        | GateKind::LossConfirmation
                )
            });
            assert!(
                !(is_home && waits_in_vain),
                "{part:?} waits for what has happened"
            );
        }
        let is_under_incident = order.incidents.iter().any(|incident| {
            incident.kind == IncidentKind::LateFact
                && incident.shipment == Some(shipment.number)
                && incident.cancellation.is_none()
        });
        assert!(
            unaccounted.is_empty() || is_under_incident,
            "{unaccounted:?} of {shipment:?} are home and forgotten"
        );
        // Of a parcel that comes back, everything is waited for or on record.
        if matches!(shipment.stage, Stage::Returning | Stage::Returned) {
            // Who takes the carrier's cancellation back has decided about those goods.
            let known = order
                .cancellations
                .iter()
                .flat_map(|of| of.parts.iter().map(move |part| (of, part)));
            let known = known.filter(|(of, part)| {
                let is_on_record =
                    part.state != PartState::Withdrawn || of.requester.role == Role::Carrier;
                part.shipment == shipment.number && is_on_record
            });
            let known: UnitSet = known
                .flat_map(|(_, part)| part.units.ranges().iter().copied())
                .collect();
            let is_awaited = order.has_waiting_part_on(shipment.number);
            let forgotten = shipment.whereabouts.out().minus(&known);
            assert!(
                is_awaited || forgotten.is_empty(),
                "{forgotten:?} of {shipment:?} come back and are forgotten"
            );
        }
    }
    for of in &order.cancellations {
        let silenced = of
            .parts
            .iter()
            .filter(|part| part.state == PartState::Refused && part.receipt.is_some());
        for part in silenced.filter(|part| part.refused_reason == Some(ErrorReason::GateTimedOut)) {
            let is_told = order.incidents.iter().any(|incident| {
                (incident.kind, incident.cancellation) == (IncidentKind::LateFact, Some(of.number))
                    && incident.shipment == Some(part.shipment)
            });
            assert!(is_told, "{part:?} is home, and silence keeps its money");
        }
    }
}

/// S1. A shipment of which nothing is left is outside without an incident only where it had left
/// before its last unit was cancelled; then the policy knew, or the carrier's word stood for it.
fn check_dispatched_or_cancelled(order: &Order, shipment: &Shipment) {
    let is_outside = shipment.stage.is_dispatched() && order.live_units(shipment).is_empty();
    if !is_outside || shipment.units.is_empty() || has_left_contested(order, shipment.number) {
        return;
    }
    // One that nobody saw leave is caught at the step in which it arrives.
    let Some(dispatched) = shipment.dispatch_time else {
        return;
    };
    let left = shipment
        .deliver_time
        .map_or(dispatched, |delivered| delivered.min(dispatched));
    let took = |of: &&Cancellation| {
        of.parts
            .iter()
            .any(|part| part.state == PartState::Cancelled && part.shipment == shipment.number)
    };
    let mut took = order.cancellations.iter().filter(took);
    let is_later = |of: &Cancellation| of.close_time.is_none_or(|closed| closed >= left);
    assert!(
        took.any(is_later),
        "shipment {} left though it was cancelled",
        shipment.number
    );
}

/// There is, or was, an incident about it.
fn has_left_contested(order: &Order, shipment: u32) -> bool {
    let mut incidents = order.incidents.iter();
    incidents.any(|incident| {
        incident.kind == IncidentKind::CancelledYetShipped && incident.shipment == Some(shipment)
    })
}

fn check_cancellations(order: &Order) {
    for cancellation in &order.cancellations {
        let waits = cancellation
            .parts
            .iter()
            .any(|part| part.state == PartState::Waiting);
        assert_eq!(
            cancellation.close_time.is_none(),
            waits,
            "cancellation {}",
            cancellation.number
        );
        for part in &cancellation.parts {
            let open = part
                .gates
                .iter()
                .filter(|gate| gate.state == GateState::Open)
                .count();
            assert_eq!(
                open,
                usize::from(part.state == PartState::Waiting),
                "who waits, waits for one: {part:?}"
            );
            let is_queued = part
                .gates
                .iter()
                .any(|gate| gate.state == GateState::Queued);
            assert!(
                !is_queued || part.state == PartState::Waiting,
                "what has ended asks nobody: {part:?}"
            );
            assert_eq!(
                part.refused_reason.is_some(),
                part.state == PartState::Refused
            );
            let all_passed = part
                .gates
                .iter()
                .all(|gate| gate.state == GateState::Passed || has_review(part));
            assert!(
                part.state != PartState::Cancelled || all_passed,
                "what is cancelled has passed: {part:?}"
            );
        }
    }
}

/// Support stands for whoever kept silent.
fn has_review(part: &Part) -> bool {
    part.has_passed(GateKind::SupportReview)
}

/// L1: nothing waits past its deadline.
fn check_deadlines(order: &Order, now: Timestamp) {
    let is_past = |deadline: Option<Timestamp>| deadline.is_some_and(|deadline| deadline <= now);
    assert!(!is_past(order.next_due()), "due at {:?}", order.next_due());
    assert!(order.state != OrderState::AwaitingPayment || order.pay_by > now);
    assert!(!is_past(order.verified_at));
    for gate in all_parts(order).flat_map(|part| &part.gates) {
        let is_late = is_past(gate.respond_by) || is_past(gate.remind_at);
        assert!(
            gate.state != GateState::Open || !is_late,
            "{gate:?} is open"
        );
    }
    for refund in &order.refunds {
        assert!(
            refund.state != RefundState::Submitted || !is_past(refund.lease_until),
            "{refund:?} is submitted"
        );
    }
    assert!(
        order
            .shipments
            .iter()
            .all(|shipment| !is_past(shipment.hold_ends()))
    );
}

/// What one command may not undo, and what must not leave.
pub(crate) fn check_step(before: &Order, after: &Order) {
    let is_final = matches!(
        before.state,
        OrderState::Cancelled | OrderState::ClosedUnpaid
    );
    assert!(
        !is_final || after.state == before.state,
        "{} became {}",
        before.state,
        after.state
    );
    // Paid is taken back by a lapse alone.
    let has_lapsed = after
        .lapse_time
        .is_some_and(|lapsed| lapsed >= before.update_time);
    let is_paid_anew = after
        .paid_time
        .is_none_or(|paid| paid >= before.update_time);
    let is_closed = after.state == OrderState::ClosedUnpaid;
    assert!(
        before.paid_time.is_none()
            || after.paid_time == before.paid_time
            || has_lapsed
            || is_closed
            || is_paid_anew
    );
    assert!(after.update_time >= before.update_time);
    for (was, is) in before.refunds.iter().zip(&after.refunds) {
        check_refund_step(was, is);
    }
    provider::check_closing(before, after);
    for (was, is) in before.incidents.iter().zip(&after.incidents) {
        assert!(
            was.state == IncidentState::Open || was == is,
            "what is settled stays settled"
        );
    }
    check_dropped(before, after);
    for (was, is) in before.cancellations.iter().zip(&after.cancellations) {
        check_cancellation_step(was, is);
    }
    for (was, is) in before.shipments.iter().zip(&after.shipments) {
        check_shipment_step(before, after, was, is);
    }
    let counts = |order: &Order| {
        let of = [
            order.payments.len(),
            order.shipments.len(),
            order.cancellations.len(),
        ];
        (of, order.refunds.len(), order.incidents.len())
    };
    assert!(
        counts(before) <= counts(after),
        "nothing is ever taken off an order"
    );
}

fn check_refund_step(was: &Refund, is: &Refund) {
    use RefundState::{Blocked, Cancelled, Dropped, Due, Failed, Settled, Submitted, Unknown};
    assert_eq!(
        (was.number, was.amounts, was.payment),
        (is.number, is.amounts, is.payment)
    );
    let may_become: &[RefundState] = match was.state {
        // One command may settle a lease that has ended and record what came of it.
        Due => &[Due, Blocked, Submitted, Settled, Cancelled],
        Blocked => &[Blocked, Due, Dropped, Settled, Cancelled],
        Submitted | Unknown => &[Submitted, Unknown, Settled, Failed, Cancelled],
        Settled => &[Settled, Failed],
        Failed => &[Failed],
        Dropped => &[Dropped],
        Cancelled => &[Cancelled],
    };
    assert!(
        may_become.contains(&is.state),
        "refund {}: {} became {}",
        was.number,
        was.state,
        is.state
    );
}

/// What support drops is one refund, or what refunds give for goods of one shipment that are out:
/// nothing else is kept from the buyer by it.
fn check_dropped(before: &Order, after: &Order) {
    let is_now = |incident: &&Incident| {
        let was = before.incident(incident.number);
        was.is_none_or(|was| was.state == IncidentState::Open)
    };
    let resolved = |resolution: Resolution| {
        let of = after.incidents.iter().filter(is_now);
        of.filter(move |incident| incident.resolution == Some(resolution))
    };
    let is_named = |refund: &Refund| {
        let mut by = resolved(Resolution::DropRefund).chain(resolved(Resolution::RetryRefund));
        by.any(|incident| incident.refund == Some(refund.number))
    };
    let is_new = |refund: &&Refund| {
        let was = before.refund(refund.number).map(|was| was.state);
        refund.state == RefundState::Dropped && was != Some(RefundState::Dropped)
    };
    let dropped = after.refunds.iter().filter(is_new);
    let dropped = dropped.filter(|refund| !is_named(refund));
    let mut by_cancellation = BTreeMap::<Option<u32>, Vec<&Refund>>::new();
    for refund in dropped {
        let rows = by_cancellation.entry(refund.cancellation).or_default();
        rows.push(refund);
    }
    for (cancellation, rows) in by_cancellation {
        let of = cancellation.and_then(|number| before.cancellation(number));
        let contested: Vec<u32> = resolved(Resolution::DropRefund)
            .filter_map(|incident| incident.shipment)
            .collect();
        let parts = of.into_iter().flat_map(|of| &of.parts);
        let share: i64 = parts
            .filter(|part| contested.contains(&part.shipment))
            .map(|part| outside_worth(before, part))
            .sum();
        assert!(share > 0, "{rows:?} are for nothing that is out");
        // An authorisation cannot be released in part.
        let refunds = rows
            .iter()
            .filter(|refund| refund.kind == RefundKind::Refund);
        let total: i64 = refunds.map(|refund| refund.amounts.total()).sum();
        assert!(
            total <= share,
            "{total} of cancellation {cancellation:?} is dropped for goods of {share}"
        );
    }
}

/// The most that a part gives back for its units that are out.
fn outside_worth(order: &Order, part: &Part) -> i64 {
    let shipment = order
        .shipment(part.shipment)
        .expect("a part is of a shipment");
    let outside = part.units.intersection(&shipment.whereabouts.out());
    if outside.is_empty() || part.state != PartState::Cancelled {
        return 0;
    }
    let carried = order.amounts_of(&outside) + shipment.shipping_amounts();
    carried.total().min(part.refund.total())
}

/// What is over stays as it was, but for two things: goods that come too late, or after all, are
/// noted on the part that they are of, and what is kept with it may always change.
fn check_cancellation_step(was: &Cancellation, is: &Cancellation) {
    for (was, is) in was.parts.iter().zip(&is.parts) {
        assert!(
            was.state == PartState::Waiting || was.state == is.state,
            "{} became {}",
            was.state,
            is.state
        );
        assert!(
            was.receipt.is_none() || was.receipt == is.receipt,
            "goods come home once"
        );
    }
    if was.close_time.is_none() {
        return;
    }
    let but_parts = |of: &Cancellation| Cancellation {
        parts: Vec::new(),
        annotations: Annotations::default(),
        ..of.clone()
    };
    assert_eq!(
        but_parts(was),
        but_parts(is),
        "a closed cancellation does not change"
    );
    for state in PartState::ALL {
        let sums = |of: &Cancellation| {
            let parts = || of.parts.iter().filter(|part| part.state == *state);
            let units: UnitSet = parts()
                .flat_map(|part| part.units.ranges().iter().copied())
                .collect();
            (units, parts().map(|part| part.refund).sum::<Amounts>())
        };
        assert_eq!(sums(was), sums(is), "a closed cancellation does not change");
    }
}

fn arrives(was: &Shipment, is: &Shipment) -> bool {
    was.stage != Stage::Delivered && is.stage == Stage::Delivered
}

/// The units of each shipment that were cancelled while it was lost, which no single step shows,
/// and of which no incident has told since.
#[derive(Debug, Default)]
pub(crate) struct TakenAsLost(BTreeMap<u32, UnitSet>);

impl TakenAsLost {
    /// S1, over all steps: what was cancelled because it was lost does not arrive without an
    /// incident.
    pub(crate) fn check_step(&mut self, before: &Order, after: &Order) {
        for (was, is) in before.shipments.iter().zip(&after.shipments) {
            let taken = self.0.entry(is.number).or_default();
            let out = taken.intersection(&is.whereabouts.out());
            let is_about = |incident: &&Incident| {
                incident.kind == IncidentKind::CancelledYetShipped
                    && incident.shipment == Some(is.number)
            };
            let mut incidents = after.incidents.iter().filter(is_about);
            let is_open = incidents.any(|incident| incident.state == IncidentState::Open);
            assert!(
                !arrives(was, is) || is_open || out.is_empty(),
                "{out:?} of shipment {} were cancelled as lost and arrive",
                is.number
            );
            if is.stage == Stage::Lost {
                let cancelled = after.cancelled_units().minus(&before.cancelled_units());
                *taken = taken.union(&cancelled.intersection(&is.whereabouts.out()));
            }
            let mut incidents = after.incidents.iter().filter(is_about);
            let is_told = incidents.any(|incident| before.incident(incident.number).is_none());
            if arrives(was, is) || is_told {
                *taken = UnitSet::default();
            }
        }
    }
}

fn check_shipment_step(before: &Order, after: &Order, was: &Shipment, is: &Shipment) {
    assert!(is.fence >= was.fence);
    let claimed = |order: &Order| was.units.intersection(&order.claimed_units());
    let cancelled = |order: &Order| was.units.intersection(&order.cancelled_units());
    let is_changed = claimed(before) != claimed(after) || cancelled(before) != cancelled(after);
    assert!(
        !is_changed || is.fence > was.fence,
        "a cancellation on shipment {} moves its fence",
        was.number
    );
    let is_held_otherwise = was.hold.is_some() != is.hold.is_some();
    assert!(
        !is_held_otherwise || is.fence > was.fence,
        "a hold on shipment {} moves its fence",
        was.number
    );

    let (then, now) = (&was.whereabouts, &is.whereabouts);
    assert!(
        then.left.is_empty() || then.left == now.left,
        "what has left, has left"
    );
    assert!(
        then.home.minus(&now.home).is_empty(),
        "what is home stays home"
    );
    let is_final = matches!(was.stage, Stage::Returned | Stage::Split);
    assert!(
        !is_final || is.stage == was.stage,
        "{} became {}",
        was.stage,
        is.stage
    );
    let is_out = is.stage.is_dispatched();
    assert!(
        was.stage != Stage::Cancelled || is_out || is.stage == was.stage,
        "{}",
        is.stage
    );
    let is_back_in = is.stage.is_before_dispatch() && !was.stage.is_before_dispatch();
    assert!(
        !is_back_in,
        "shipment {} has left and is not {}",
        was.number, is.stage
    );
    let is_released = (was.stage, is.stage) == (Stage::Unreleased, Stage::Planned);
    // What waited was over for a moment at least; a parcel that comes home opens another
    // cancellation in the same command.
    let mut known = after.cancellations.iter().take(before.cancellations.len());
    let still_waits = known.any(|of| of.parts.iter().any(|part| part.state == PartState::Waiting));
    assert!(
        !(is_released && still_waits),
        "shipment {} is released while a part waits",
        is.number
    );

    // S1, step by step: nothing leaves of which nothing is left, and what is given up for lost or
    // coming back does not arrive, without an incident.
    let is_contested = has_left_contested(after, is.number);
    let leaves = !was.stage.is_dispatched() && is_out;
    assert!(
        !leaves || is_contested || !before.live_units(was).is_empty(),
        "shipment {} leaves empty",
        is.number
    );
    // What was cancelled inside stayed there when the others left.
    let has_left = |part: &Part| !part.units.intersection(&is.whereabouts.left).is_empty();
    let given_up = |of: &Cancellation| {
        let mut parts = of
            .parts
            .iter()
            .filter(|part| part.shipment == was.number && has_left(part));
        parts.any(|part| {
            let is_by_carrier = of.requester.role == Role::Carrier
                && part.state == PartState::Cancelled
                && part.receipt.is_none();
            is_by_carrier || part.relies_on_the_carrier_alone()
        })
    };
    assert!(
        !arrives(was, is) || is_contested || !before.cancellations.iter().any(given_up),
        "shipment {} arrives",
        is.number
    );
    let closes_unpaid =
        before.state != OrderState::ClosedUnpaid && after.state == OrderState::ClosedUnpaid;
    let is_gone = is_out && is.stage != Stage::Returned && !before.live_units(was).is_empty();
    assert!(
        !(closes_unpaid && is_gone) || is_contested,
        "shipment {} was sent and never paid",
        is.number
    );
}
