//! ApproveCancellation: a seller or support agrees.

use serde::{Deserialize, Serialize};

use super::{Answer, Draft, parts};
use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, Gate, GateAnswer, GateState};
use crate::rejection::Rejection;
use crate::terms::GateKind;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApproveCancellation {
    pub cancellation: u32,
    pub note: Option<String>,
}

pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &ApproveCancellation,
) -> Result<Answer, Rejection> {
    let number = command.cancellation;
    let asked = awaited(draft, number, GateState::Passed)?;
    let answer = GateAnswer {
        note: command.note.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    for index in asked {
        parts::close_gate(draft, number, index, GateState::Passed, answer.clone());
    }
    parts::advance(draft, number);
    Ok(Answer::Cancellation(number))
}

/// The gate that a caller may answer.
fn gate_of(caller: &Actor) -> GateKind {
    match caller.role {
        Role::Seller => GateKind::SellerConsent,
        Role::Support
        | Role::Operator
        | Role::Storefront
        | Role::Warehouse
        | Role::Carrier
        | Role::Payments
        | Role::Auditor
        | Role::Buyer
        | Role::System => GateKind::SupportReview,
    }
}

/// The parts of a cancellation that wait for the caller's consent, by index. None where the caller
/// has said just that before.
pub(super) fn awaited(
    draft: &Draft<'_>,
    number: u32,
    said: GateState,
) -> Result<Vec<usize>, Rejection> {
    let of = draft
        .order
        .cancellation(number)
        .ok_or(Rejection::CancellationNotFound {
            cancellation: number,
        })?;
    let kind = gate_of(&draft.caller);
    let waiting = of
        .parts
        .iter()
        .enumerate()
        .filter(|(_, part)| part.waits_for(kind));
    let waiting: Vec<usize> = waiting.map(|(index, _)| index).collect();
    if !waiting.is_empty() {
        return Ok(waiting);
    }
    let closed: Vec<&Gate> = closed_gates(of, kind).collect();
    let was_silence = |gate: &&&Gate| {
        gate.answer
            .as_ref()
            .is_some_and(|answer| answer.by.role == Role::System)
    };
    if let Some(respond_by) = closed
        .iter()
        .find(was_silence)
        .and_then(|gate| gate.respond_by)
    {
        return Err(Rejection::GateTimedOut { respond_by });
    }
    // Agreed is agreed: a second click harms nothing.
    match closed.iter().any(|gate| gate.state == said) {
        true => Ok(Vec::new()),
        false => Err(Rejection::GateNotOpen { gate: kind }),
    }
}

fn closed_gates(of: &Cancellation, kind: GateKind) -> impl Iterator<Item = &Gate> {
    let gates = of.parts.iter().flat_map(|part| &part.gates);
    gates.filter(move |gate| gate.spec.kind == kind && gate.answer.is_some())
}
