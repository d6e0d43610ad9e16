//! WithdrawCancellation: the requester takes a cancellation back.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, CancellationState, GateState, Part, PartId, PartState};
use crate::decision::Answer;
use crate::lifecycle::conclude::conclude;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::{parts, undeliverable};
use crate::rejection::Rejection;
use crate::terms::GateKind;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawCancellation {
    pub cancellation: u32,
}

/// Takes back the parts that nobody has acted on yet. What a warehouse has stopped, or a carrier
/// turned round, goes on.
pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &WithdrawCancellation,
) -> Result<Answer, Rejection> {
    let number = command.cancellation;
    let of = draft
        .order
        .cancellation(number)
        .ok_or(Rejection::CancellationNotFound {
            cancellation: number,
        })?;
    if !may_withdraw(&draft.caller, of) {
        return Err(Rejection::NotTheRequester);
    }
    match of.state() {
        CancellationState::Pending => {}
        CancellationState::Withdrawn => return Ok(Answer::Cancellation(number)),
        CancellationState::Completed | CancellationState::Rejected => {
            return Err(Rejection::TooLateToWithdraw { gate: None });
        }
    }
    let waiting = of.parts_where(|part| part.state == PartState::Waiting);
    let (acted_on, free): (Vec<PartId>, Vec<PartId>) = waiting
        .into_iter()
        .partition(|id| acted_at(draft.part(*id)).is_some());
    if free.is_empty() {
        let gate = acted_on.first().and_then(|id| acted_at(draft.part(*id)));
        return Err(Rejection::TooLateToWithdraw { gate });
    }
    for id in free.iter().copied() {
        parts::withdraw(draft, id);
    }
    conclude(draft, number);
    // Whoever keeps what came home meanwhile no longer has it: nobody asks for it now, so it came
    // home by itself.
    for id in free {
        let part = draft.part(id).clone();
        if part.receipt.is_some() {
            undeliverable::open(draft, part.shipment, part.units, part.receipt);
        }
    }
    Ok(Answer::Cancellation(number))
}

/// A storefront acts on behalf of its buyer, and support of anyone.
fn may_withdraw(caller: &Actor, of: &Cancellation) -> bool {
    match caller.role {
        Role::Support | Role::Operator => true,
        Role::Storefront => of.requester.role == Role::Buyer,
        Role::Seller
        | Role::Warehouse
        | Role::Carrier
        | Role::Payments
        | Role::Auditor
        | Role::Buyer
        | Role::System => *caller == of.requester,
    }
}

/// The first gate at which something has happened that cannot be taken back.
fn acted_at(part: &Part) -> Option<GateKind> {
    let mut passed = part
        .gates
        .iter()
        .filter(|gate| gate.state == GateState::Passed);
    passed
        .find(|gate| !gate.spec.kind.is_consent())
        .map(|gate| gate.spec.kind)
}
