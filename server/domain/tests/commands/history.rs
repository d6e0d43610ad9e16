//! The history of an order accounts for how it stands: whoever folds its events has the order, but
//! for what they leave to the reader on purpose (money in detail, who requested what, units that
//! wait).

use std::collections::{BTreeMap, BTreeSet};

use belay_domain::cancellation::{CancellationState, GateState, PartState};
use belay_domain::error_reason::ErrorReason;
use belay_domain::event::{Event, EventDetail};
use belay_domain::ids::MetadataKey;
use belay_domain::incident::{IncidentState, Resolution};
use belay_domain::order::Order;
use belay_domain::refund::RefundState;
use belay_domain::shipment::{InterceptState, Stage};
use belay_domain::terms::GateKind;
use belay_domain::units::UnitSet;
use jiff::Timestamp;

/// An order as its events tell it.
#[derive(Debug, Default)]
struct Told {
    is_paid: bool,
    /// The shipments that have moved; the others are where all begin.
    stages: BTreeMap<u32, Stage>,
    holds: BTreeMap<u32, Timestamp>,
    intercepts: BTreeMap<u32, InterceptState>,
    home: BTreeMap<u32, UnitSet>,
    cancellations: BTreeMap<u32, CancellationState>,
    /// By cancellation, shipment, how they ended, and why.
    ended: BTreeMap<(u32, u32, PartState, Option<ErrorReason>), UnitSet>,
    /// By cancellation and shipment: gates that were opened, and how those of a kind closed.
    opened: BTreeSet<(u32, u32, GateKind)>,
    closed: BTreeSet<(u32, u32, GateKind, GateState)>,
    /// `None` until it first moves: a refund begins as due, or is held back from the start.
    refunds: BTreeMap<u32, Option<RefundState>>,
    incidents: BTreeMap<u32, (IncidentState, Option<Resolution>)>,
    notes: Vec<u32>,
    /// Of the order, and by cancellation.
    keys: BTreeMap<Option<u32>, BTreeSet<MetadataKey>>,
}

/// Holds an order against everything that was ever told of it.
pub(crate) fn check(events: &[Event], order: &Order) {
    let mut told = Told::default();
    for event in events {
        told.take(&event.detail);
    }
    assert_eq!(told.is_paid, order.paid_time.is_some());
    told.check_shipments(order);
    told.check_cancellations(order);
    assert!(
        told.refunds
            .keys()
            .copied()
            .eq(order.refunds.iter().map(|refund| refund.number))
    );
    for refund in &order.refunds {
        let begins = matches!(refund.state, RefundState::Due | RefundState::Blocked);
        let is_told = told.refunds[&refund.number].map_or(begins, |state| state == refund.state);
        assert!(
            is_told,
            "{refund:?}, but {:?} was told",
            told.refunds[&refund.number]
        );
    }
    let incidents = order
        .incidents
        .iter()
        .map(|incident| (incident.number, (incident.state, incident.resolution)));
    assert_eq!(told.incidents, incidents.collect());
    assert!(
        told.notes
            .iter()
            .copied()
            .eq(order.notes.iter().map(|note| note.number))
    );
    let of_cancellations = order.cancellations.iter();
    let of_cancellations = of_cancellations.map(|of| (Some(of.number), &of.annotations));
    for (of, kept) in of_cancellations.chain([(None, &order.annotations)]) {
        let told = told.keys.remove(&of).unwrap_or_default();
        assert!(told.iter().eq(kept.metadata.keys()), "{of:?}: {told:?}");
    }
}

impl Told {
    fn take(&mut self, detail: &EventDetail) {
        match detail {
            EventDetail::OrderPaid => self.is_paid = true,
            EventDetail::PaymentLapsed { .. } => self.is_paid = false,
            EventDetail::ShipmentStageChanged {
                shipment, from, to, ..
            } => {
                let was = self.stages.insert(*shipment, *to);
                assert!(
                    was.is_none_or(|was| was == *from),
                    "shipment {shipment} moves from where it was not: {was:?}"
                );
            }
            EventDetail::ShipmentHeld { shipment, until } => {
                self.holds.insert(*shipment, *until);
            }
            EventDetail::HoldEnded { shipment } => {
                assert!(
                    self.holds.remove(shipment).is_some(),
                    "the hold of shipment {shipment} ends that never began"
                );
            }
            EventDetail::InterceptChanged { shipment, state } => {
                self.intercepts.insert(*shipment, *state);
            }
            EventDetail::ParcelReceived {
                shipment, units, ..
            } => {
                let home = self.home.entry(*shipment).or_default();
                assert!(home.intersection(units).is_empty(), "goods come home once");
                *home = home.union(units);
            }
            EventDetail::CancellationRequested { cancellation, .. } => {
                self.cancellation(*cancellation, CancellationState::Pending)
            }
            EventDetail::CancellationCompleted { cancellation, .. } => {
                self.cancellation(*cancellation, CancellationState::Completed)
            }
            EventDetail::CancellationRejected { cancellation, .. } => {
                self.cancellation(*cancellation, CancellationState::Rejected)
            }
            EventDetail::CancellationWithdrawn { cancellation } => {
                self.cancellation(*cancellation, CancellationState::Withdrawn)
            }
            EventDetail::PartEnded {
                cancellation,
                shipment,
                state,
                refused_reason,
                units,
                ..
            } => {
                let ended = self
                    .ended
                    .entry((*cancellation, *shipment, *state, *refused_reason))
                    .or_default();
                assert!(
                    ended.intersection(units).is_empty(),
                    "a unit's part ends once"
                );
                *ended = ended.union(units);
            }
            EventDetail::GateOpened {
                cancellation,
                shipment,
                gate,
                ..
            } => {
                self.opened.insert((*cancellation, *shipment, *gate));
            }
            EventDetail::GateClosed {
                cancellation,
                shipment,
                gate,
                state,
            } => {
                self.closed
                    .insert((*cancellation, *shipment, *gate, *state));
            }
            EventDetail::RefundCreated { refund, .. } => {
                self.refunds.insert(*refund, None);
            }
            EventDetail::RefundStateChanged {
                refund, from, to, ..
            } => {
                let was = self.refunds.insert(*refund, Some(*to)).flatten();
                assert!(
                    was.is_none_or(|was| was == *from),
                    "refund {refund} moves from where it was not: {was:?}"
                );
            }
            EventDetail::IncidentOpened { incident, .. } => {
                self.incidents
                    .insert(*incident, (IncidentState::Open, None));
            }
            EventDetail::IncidentResolved {
                incident,
                resolution,
                ..
            } => {
                self.incidents
                    .insert(*incident, (IncidentState::Resolved, *resolution));
            }
            EventDetail::NoteAdded { note, .. } => {
                self.notes.push(*note);
            }
            EventDetail::MetadataChanged {
                cancellation,
                changed,
            } => {
                let keys = self.keys.entry(*cancellation).or_default();
                keys.extend(changed.set_keys.iter().cloned());
                for key in &changed.deleted_keys {
                    assert!(keys.remove(key), "{key} is deleted and was never set");
                }
            }
            EventDetail::OrderCreated { .. }
            | EventDetail::PaymentRecorded { .. }
            | EventDetail::OrderClosedUnpaid { .. }
            | EventDetail::TrackingRecorded { .. }
            | EventDetail::GateReminder { .. }
            | EventDetail::ShipmentSplit { .. }
            | EventDetail::PreparationOverdue { .. }
            | EventDetail::RefundOverdue { .. }
            | EventDetail::PaymentVerified => {}
        }
    }

    fn cancellation(&mut self, number: u32, state: CancellationState) {
        self.cancellations.insert(number, state);
    }

    fn check_shipments(&self, order: &Order) {
        for shipment in &order.shipments {
            let number = shipment.number;
            let stage = self
                .stages
                .get(&number)
                .copied()
                .unwrap_or(Stage::Unreleased);
            assert_eq!(stage, shipment.stage, "of shipment {number}");
            assert_eq!(
                self.holds.get(&number).copied(),
                shipment.hold_ends(),
                "of shipment {number}"
            );
            let intercept = shipment.intercept.map(|intercept| intercept.state);
            assert_eq!(
                self.intercepts.get(&number).copied(),
                intercept,
                "of shipment {number}"
            );
            let home = self.home.get(&number).cloned().unwrap_or_default();
            assert_eq!(home, shipment.whereabouts.home, "of shipment {number}");
        }
    }

    fn check_cancellations(&self, order: &Order) {
        let states = order.cancellations.iter().map(|of| (of.number, of.state()));
        assert_eq!(self.cancellations, states.collect());
        let mut ended: BTreeMap<(u32, u32, PartState, Option<ErrorReason>), UnitSet> =
            BTreeMap::new();
        for of in &order.cancellations {
            for part in &of.parts {
                if part.state != PartState::Waiting {
                    let key = (of.number, part.shipment, part.state, part.refused_reason);
                    let units = ended.entry(key).or_default();
                    *units = units.union(&part.units);
                }
                for gate in &part.gates {
                    let (kind, state) = (gate.spec.kind, gate.state);
                    let is_opened = gate.open_time.is_none()
                        || self.opened.contains(&(of.number, part.shipment, kind));
                    assert!(is_opened, "{gate:?} was opened in silence");
                    // What ended before its turn came was asked of nobody, unless a fact answered
                    // it.
                    let was_asked = gate.open_time.is_some()
                        || matches!(state, GateState::Passed | GateState::Refused);
                    if !was_asked {
                        continue;
                    }
                    let is_told = self
                        .closed
                        .contains(&(of.number, part.shipment, kind, state));
                    assert!(
                        state == GateState::Open || is_told,
                        "{gate:?} was closed in silence"
                    );
                }
            }
        }
        assert_eq!(self.ended, ended);
        let mut units: BTreeMap<(u32, u32), UnitSet> = BTreeMap::new();
        for ((of, shipment, ..), of_end) in &self.ended {
            let units = units.entry((*of, *shipment)).or_default();
            assert!(
                units.intersection(of_end).is_empty(),
                "each part of cancellation {of} ends once, and in one way"
            );
            *units = units.union(of_end);
        }
    }
}
