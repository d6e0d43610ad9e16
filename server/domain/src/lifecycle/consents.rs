//! Consents of sellers and support.

use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, Gate, GateState, PartId};
use crate::lifecycle::draft::Draft;
use crate::rejection::Rejection;
use crate::terms::GateKind;

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

/// The parts of a cancellation that wait for the caller's consent. None where the caller
/// has said just that before.
pub(crate) fn awaited(
    draft: &Draft<'_>,
    number: u32,
    said: GateState,
) -> Result<Vec<PartId>, Rejection> {
    let of = draft
        .order
        .cancellation(number)
        .ok_or(Rejection::CancellationNotFound {
            cancellation: number,
        })?;
    let kind = gate_of(&draft.caller);
    let waiting = of.parts_where(|part| part.waits_for(kind));
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
    if closed.iter().any(|gate| gate.state == said) {
        Ok(Vec::new())
    } else {
        Err(Rejection::GateNotOpen { gate: kind })
    }
}

fn closed_gates(of: &Cancellation, kind: GateKind) -> impl Iterator<Item = &Gate> {
    let gates = of.parts.iter().flat_map(|part| &part.gates);
    gates.filter(move |gate| gate.spec.kind == kind && gate.answer.is_some())
}
