//! AnswerStop: the warehouse has stopped a shipment, or some of it, or cannot. A fact: it is
//! recorded however late it comes.

use serde::{Deserialize, Serialize};

use crate::cancellation::{GateAnswer, GateState, PartId, PartState};
use crate::decision::Answer;
use crate::error_reason::ErrorReason;
use crate::incident::IncidentKind;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::{gates, parts, quantities};
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
    draft.shipment_at(number, None)?;
    if let Some(cancellation) = command
        .cancellation
        .filter(|number| draft.order.cancellation(*number).is_none())
    {
        return Err(Rejection::CancellationNotFound { cancellation });
    }
    let waiting =
        draft
            .order
            .parts_waiting_for(number, command.cancellation, GateKind::WarehouseStop);
    if waiting.is_empty() {
        late(draft, command)?;
        return Ok(Answer::Shipment(number));
    }
    let mut stopped = match &command.answer {
        StopAnswer::Stopped { quantities, .. } => Stopped::of(draft, &waiting, quantities)?,
        StopAnswer::CannotStop { .. } => Stopped(UnitSet::default()),
    };
    for id in waiting {
        let part = draft.part(id);
        // The end of another part may have put the shipment back, and with it ended this one.
        if part.state != PartState::Waiting {
            continue;
        }
        let units = stopped.take(&part.units);
        answer(draft, command, id, &units);
    }
    Ok(Answer::Shipment(number))
}

/// Passes the gate for the units that were stopped and refuses the rest.
fn answer(draft: &mut Draft<'_>, command: &AnswerStop, id: PartId, units: &UnitSet) {
    let given = GateAnswer {
        note: command.note.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    let cannot = |draft: &mut Draft<'_>, id| {
        let code = match &command.answer {
            StopAnswer::CannotStop { code } => code.clone(),
            StopAnswer::Stopped { .. } => None,
        };
        gates::close(
            draft,
            id,
            GateState::Refused,
            GateAnswer {
                code,
                ..given.clone()
            },
        );
        parts::refuse(draft, id, ErrorReason::WarehouseCannotStop);
    };
    match &command.answer {
        StopAnswer::Stopped {
            stage_seen,
            put_back,
            ..
        } if !units.is_empty() => {
            let rest = parts::split(draft, id, units);
            let given = GateAnswer {
                stage_seen: *stage_seen,
                put_back: put_back.clone(),
                ..given.clone()
            };
            gates::close(draft, id, GateState::Passed, given);
            rest.into_iter().for_each(|rest| cannot(draft, rest));
        }
        StopAnswer::Stopped { .. } | StopAnswer::CannotStop { .. } => cannot(draft, id),
    }
    parts::advance(draft, id.cancellation);
}

/// Units that were stopped and are not given to a part yet.
struct Stopped(UnitSet);

impl Stopped {
    fn of(
        draft: &Draft<'_>,
        waiting: &[PartId],
        quantities: &[LineQuantity],
    ) -> Result<Self, Rejection> {
        let parts = waiting.iter().filter_map(|id| draft.order.part(*id));
        let asked: UnitSet = parts
            .flat_map(|part| part.units.ranges().iter().copied())
            .collect();
        if quantities.is_empty() {
            return Ok(Self(asked));
        }
        Ok(Self(quantities::take(&asked, quantities)?))
    }

    fn take(&mut self, wanted: &UnitSet) -> UnitSet {
        let taken = self.0.intersection(wanted);
        self.0 = self.0.minus(&taken);
        taken
    }
}

/// Nobody waits for this answer any more. What was stopped for nothing goes on; where it was
/// stopped too late for a request that was still alive, somebody must look at it. The same answer
/// again changes nothing.
fn late(draft: &mut Draft<'_>, command: &AnswerStop) -> Result<(), Rejection> {
    let number = command.shipment;
    let asked = draft
        .order
        .parts_asked(number, command.cancellation, GateKind::WarehouseStop);
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
    for id in asked {
        let of = draft.cancellation(id.cancellation);
        let mut here = of.parts.iter().filter(|part| part.shipment == number);
        let was_answered = here.any(|part| part.has_passed(GateKind::WarehouseStop));
        was_withdrawn |= of.parts[id.index].state == PartState::Withdrawn;
        if of.parts[id.index].missed(GateKind::WarehouseStop) && !was_answered {
            draft.open_incident_once(
                IncidentKind::LateFact,
                IncidentSubject::gate(id.cancellation, number),
            );
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
