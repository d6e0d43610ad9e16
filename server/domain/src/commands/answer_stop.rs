//! AnswerStop: the warehouse has stopped a shipment, or some of it, or cannot. A fact: it is
//! recorded however late it comes.

use serde::{Deserialize, Serialize};

use super::draft::About;
use super::{Answer, Draft, parts, start_preparation};
use crate::cancellation::{GateAnswer, GateState, PartState};
use crate::error_reason::ErrorReason;
use crate::incident::IncidentKind;
use crate::rejection::Rejection;
use crate::shipment::Stage;
use crate::terms::GateKind;
use crate::units::{LineQuantity, UnitSet};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerStop {
    pub shipment: u32,
    /// Whose stop; none answers every stop that is open on the shipment.
    pub cancellation: Option<u32>,
    pub answer: StopAnswer,
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopAnswer {
    Stopped {
        /// What was stopped; empty is all that was asked.
        quantities: Vec<LineQuantity>,
        /// How far the shipment was when it was stopped.
        stage_seen: Option<Stage>,
        /// What goes back on the shelves.
        put_back: Vec<LineQuantity>,
    },
    CannotStop {
        code: Option<String>,
    },
}

pub(super) fn decide(draft: &mut Draft<'_>, command: &AnswerStop) -> Result<Answer, Rejection> {
    let number = command.shipment;
    start_preparation::find(draft, number, None)?;
    if let Some(cancellation) = command
        .cancellation
        .filter(|number| draft.order.cancellation(*number).is_none())
    {
        return Err(Rejection::CancellationNotFound { cancellation });
    }
    let waiting = parts::waiting_for(draft, number, command.cancellation, GateKind::WarehouseStop);
    if waiting.is_empty() {
        late(draft, command)?;
        return Ok(Answer::Shipment(number));
    }
    let mut stopped = match &command.answer {
        StopAnswer::Stopped { quantities, .. } => Stopped::of(draft, &waiting, quantities)?,
        StopAnswer::CannotStop { .. } => Stopped(UnitSet::default()),
    };
    for (cancellation, index) in waiting {
        let part = &parts::cancellation_mut(draft, cancellation).parts[index];
        let units = stopped.take(&part.units);
        answer(draft, command, cancellation, index, &units);
    }
    Ok(Answer::Shipment(number))
}

/// Passes the gate for the units that were stopped and refuses the rest.
fn answer(
    draft: &mut Draft<'_>,
    command: &AnswerStop,
    cancellation: u32,
    index: usize,
    units: &UnitSet,
) {
    let given = GateAnswer {
        note: command.note.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    let cannot = |draft: &mut Draft<'_>, index| {
        let code = match &command.answer {
            StopAnswer::CannotStop { code } => code.clone(),
            StopAnswer::Stopped { .. } => None,
        };
        parts::close_gate(
            draft,
            cancellation,
            index,
            GateState::Refused,
            GateAnswer {
                code,
                ..given.clone()
            },
        );
        parts::refuse_part(draft, cancellation, index, ErrorReason::WarehouseCannotStop);
    };
    match &command.answer {
        StopAnswer::Stopped {
            stage_seen,
            put_back,
            ..
        } if !units.is_empty() => {
            let rest = parts::split_part(draft, cancellation, index, units);
            let given = GateAnswer {
                stage_seen: *stage_seen,
                put_back: put_back.clone(),
                ..given.clone()
            };
            parts::close_gate(draft, cancellation, index, GateState::Passed, given);
            rest.into_iter().for_each(|rest| cannot(draft, rest));
        }
        StopAnswer::Stopped { .. } | StopAnswer::CannotStop { .. } => cannot(draft, index),
    }
    parts::advance(draft, cancellation);
}

/// What was stopped and is not given to a part yet.
struct Stopped(UnitSet);

impl Stopped {
    fn of(
        draft: &Draft<'_>,
        waiting: &[(u32, usize)],
        quantities: &[LineQuantity],
    ) -> Result<Self, Rejection> {
        let parts = waiting
            .iter()
            .filter_map(|(number, index)| Some(&draft.order.cancellation(*number)?.parts[*index]));
        let asked: UnitSet = parts
            .flat_map(|part| part.units.ranges().iter().copied())
            .collect();
        if quantities.is_empty() {
            return Ok(Self(asked));
        }
        Ok(Self(take(&asked, quantities)?))
    }

    fn take(&mut self, wanted: &UnitSet) -> UnitSet {
        let taken = self.0.intersection(wanted);
        self.0 = self.0.minus(&taken);
        taken
    }
}

/// So many units of each line out of these.
pub(super) fn take(from: &UnitSet, quantities: &[LineQuantity]) -> Result<UnitSet, Rejection> {
    let mut taken = UnitSet::default();
    for LineQuantity { line, quantity } in quantities.iter().copied() {
        let left = from.minus(&taken);
        let available = left.count_of(line);
        if quantity > available {
            return Err(Rejection::QuantityUnavailable {
                line,
                requested: quantity,
                available,
            });
        }
        taken = taken.union(&left.take_highest(line, quantity));
    }
    Ok(taken)
}

/// Nobody waits for this answer any more. What was stopped for nothing goes on; where it was
/// stopped too late for a wish that was still alive, somebody must look at it. The same answer
/// again changes nothing.
fn late(draft: &mut Draft<'_>, command: &AnswerStop) -> Result<(), Rejection> {
    let number = command.shipment;
    let asked = parts::asked_before(draft, number, command.cancellation, GateKind::WarehouseStop);
    if asked.is_empty() {
        return Err(Rejection::GateNotOpen {
            gate: GateKind::WarehouseStop,
        });
    }
    match command.answer {
        StopAnswer::CannotStop { .. } => return Ok(()),
        StopAnswer::Stopped { .. } => {}
    }
    let incidents = draft.order.incidents.len();
    let mut was_withdrawn = false;
    for (cancellation, index) in asked {
        let of = parts::cancellation_mut(draft, cancellation);
        let mut here = of.parts.iter().filter(|part| part.shipment == number);
        let was_answered = here.any(|part| part.has_passed(GateKind::WarehouseStop));
        was_withdrawn |= of.parts[index].state == PartState::Withdrawn;
        if of.parts[index].missed(GateKind::WarehouseStop) && !was_answered {
            draft.open_incident_once(IncidentKind::LateFact, About::gate(cancellation, number));
        }
    }
    let stage = draft.order.shipment(number).map(|shipment| shipment.stage);
    let is_stopped_for_nothing =
        was_withdrawn && matches!(stage, Some(Stage::Preparing | Stage::Ready));
    let is_in = stage.is_some_and(Stage::is_before_dispatch);
    if is_in && (is_stopped_for_nothing || draft.order.incidents.len() > incidents) {
        draft.raise_fence(number);
        parts::put_back(draft, number);
    }
    Ok(())
}
