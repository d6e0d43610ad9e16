//! The parts of cancellations that wait, and what they wait for.

use super::Order;
use crate::cancellation::{Cancellation, Gate, Part, PartId, PartState};
use crate::shipment::Shipment;
use crate::terms::GateKind;

/// A part whose units are to be cancelled, with all that this depends on.
#[derive(Debug)]
pub(crate) struct Cancelling<'a> {
    pub(crate) of: &'a Cancellation,
    pub(crate) part: &'a Part,
    pub(crate) shipment: &'a Shipment,
    /// No other units of the shipment are left.
    pub(crate) empties_shipment: bool,
}

impl Order {
    /// The part and its surroundings, before it is cancelled.
    ///
    /// # Panics
    /// If the part, or the shipment that it names, is not there: a bug.
    pub(crate) fn cancelling(&self, id: PartId) -> Cancelling<'_> {
        let surroundings = || {
            let of = self.cancellation(id.cancellation)?;
            let part = of.parts.get(id.index)?;
            let shipment = self.shipment(part.shipment)?;
            let others = self.live_units(shipment).minus(&part.units);
            Some(Cancelling {
                of,
                part,
                shipment,
                empties_shipment: others.is_empty(),
            })
        };
        surroundings().unwrap_or_else(|| panic!("{id:?} or its shipment is not there"))
    }

    /// No other units of its shipment are left once the waiting parts of its cancellation are
    /// cancelled, this one the last of them.
    pub(crate) fn is_to_take_the_last_unit(&self, id: PartId) -> bool {
        let Cancelling {
            of, part, shipment, ..
        } = self.cancelling(id);
        let up_to_this = of.parts[..=id.index]
            .iter()
            .filter(|other| other.state == PartState::Waiting && other.shipment == part.shipment);
        let mut others = self.live_units(shipment);
        for waiting in up_to_this {
            others = others.minus(&waiting.units);
        }
        others.is_empty()
    }

    /// A part, by its id; `None` where there is none.
    pub fn part(&self, id: PartId) -> Option<&Part> {
        self.cancellation(id.cancellation)?.parts.get(id.index)
    }

    /// The parts of all cancellations of which this holds.
    pub fn parts_where(&self, holds: impl Fn(&Part) -> bool) -> Vec<PartId> {
        let cancellations = self.cancellations.iter();
        cancellations
            .flat_map(|cancellation| cancellation.parts_where(&holds))
            .collect()
    }

    /// The waiting parts on a shipment.
    pub fn parts_waiting_on(&self, shipment: u32) -> Vec<PartId> {
        self.parts_where(|part| part.state == PartState::Waiting && part.shipment == shipment)
    }

    /// The parts on a shipment whose open gate is of this kind; of one cancellation where it is
    /// named.
    pub fn parts_waiting_for(
        &self,
        shipment: u32,
        cancellation: Option<u32>,
        kind: GateKind,
    ) -> Vec<PartId> {
        let mut ids = self.parts_where(|part| part.shipment == shipment && part.waits_for(kind));
        ids.retain(|id| cancellation.is_none_or(|named| named == id.cancellation));
        ids
    }

    /// The parts on a shipment that wait for this fact, or for support that is asked in its place.
    pub fn parts_waiting_for_fact(&self, shipment: u32, kind: GateKind) -> Vec<PartId> {
        self.parts_where(|part| {
            let is_awaited = |gate: &Gate| gate.effective_kind() == kind;
            part.state == PartState::Waiting
                && part.shipment == shipment
                && part.open_gate().is_some_and(is_awaited)
        })
    }

    /// The parts on a shipment that have had a gate of this kind, however it closed; of one
    /// cancellation where it is named.
    pub fn parts_asked(
        &self,
        shipment: u32,
        cancellation: Option<u32>,
        kind: GateKind,
    ) -> Vec<PartId> {
        let was_asked = |gate: &Gate| gate.spec.kind == kind && gate.open_time.is_some();
        let mut ids =
            self.parts_where(|part| part.shipment == shipment && part.gates.iter().any(was_asked));
        ids.retain(|id| cancellation.is_none_or(|named| named == id.cancellation));
        ids
    }

    pub fn has_waiting_part_on(&self, shipment: u32) -> bool {
        self.parts(PartState::Waiting)
            .any(|part| part.shipment == shipment)
    }

    /// A part of this cancellation waits on this shipment.
    pub fn waits_on(&self, cancellation: u32, shipment: u32) -> bool {
        let waits = |part: &Part| part.state == PartState::Waiting && part.shipment == shipment;
        self.cancellation(cancellation)
            .is_some_and(|cancellation| cancellation.parts.iter().any(waits))
    }

    /// The cancellations that have taken units of a shipment or wait for some.
    pub fn cancellations_on(&self, shipment: u32) -> Vec<u32> {
        let is_on = |part: &Part| {
            part.shipment == shipment
                && matches!(part.state, PartState::Waiting | PartState::Cancelled)
        };
        let cancellations = self
            .cancellations
            .iter()
            .filter(|cancellation| cancellation.parts.iter().any(is_on));
        cancellations
            .map(|cancellation| cancellation.number)
            .collect()
    }

    pub fn has_waiting_parts(&self) -> bool {
        self.parts(PartState::Waiting).next().is_some()
    }
}
