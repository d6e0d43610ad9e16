//! Opens cancellations, whoever requests them.

use crate::actor::Actor;
use crate::annotations::Annotations;
use crate::cancellation::{Cancellation, PartState};
use crate::event::EventDetail;
use crate::lifecycle::draft::{Draft, next_number};
use crate::terms::Fault;

/// A cancellation that the caller hands in, with all that this version of the policy attaches to
/// its reason, and without parts. `otherwise` is at fault where the policy does not declare the
/// reason.
pub(crate) fn without_parts(
    draft: &Draft<'_>,
    policy_version: u32,
    requester: Actor,
    reason: Option<&str>,
    otherwise: Fault,
) -> Cancellation {
    let policy = draft.pinned(policy_version);
    let declared = reason.and_then(|reason| policy.reason(reason));
    Cancellation {
        number: 0,
        reason: reason.map(str::to_owned),
        fault: declared.map_or(otherwise, |reason| reason.fault),
        note: None,
        evidence: Vec::new(),
        counted: declared.is_some_and(|reason| reason.counted),
        effects: declared.map_or_else(Vec::new, |reason| reason.effects.clone()),
        next_actions: declared.map_or_else(Vec::new, |reason| reason.next_actions.clone()),
        requester,
        submitted_by: draft.caller.clone(),
        policy_version,
        parts: Vec::new(),
        create_time: draft.now,
        close_time: None,
        annotations: Annotations::default(),
    }
}

/// Puts a cancellation on the order, under a number of its own that is returned, and tells of it.
pub(crate) fn open(draft: &mut Draft<'_>, cancellation: Cancellation) -> u32 {
    let number = next_number(&draft.order.cancellations, |cancellation| {
        cancellation.number
    });
    // A part that waits for nobody ends here and now, and its end raises the fence.
    let will_wait = cancellation
        .parts
        .iter()
        .filter(|part| part.state == PartState::Waiting && !part.gates.is_empty());
    let shipments: Vec<u32> = will_wait.map(|part| part.shipment).collect();
    draft.emit(EventDetail::CancellationRequested {
        cancellation: number,
        reason: cancellation.reason.clone(),
    });
    let opened = Cancellation {
        number,
        create_time: draft.now,
        close_time: None,
        ..cancellation
    };
    let refused = opened.parts_where(|part| part.state == PartState::Refused);
    draft.order.cancellations.push(opened);
    // What is left out has ended before it began.
    for id in refused {
        draft.emit_part_ended(id);
    }
    for shipment in shipments {
        draft.raise_fence(shipment);
    }
    number
}
