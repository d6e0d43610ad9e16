//! RejectCancellation: a seller or support does not agree.

use serde::{Deserialize, Serialize};

use crate::cancellation::{GateAnswer, GateState, PartState};
use crate::decision::Answer;
use crate::error_reason::ErrorReason;
use crate::lifecycle::conclude::conclude;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::{consents, gates, parts};
use crate::rejection::Rejection;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectCancellation {
    pub cancellation: u32,
    /// A word of the party's own.
    pub code: String,
    pub note: Option<String>,
    pub evidence: Vec<String>,
}

pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &RejectCancellation,
) -> Result<Answer, Rejection> {
    let number = command.cancellation;
    let asked = consents::awaited(draft, number, GateState::Refused)?;
    let answer = GateAnswer {
        code: Some(command.code.clone()),
        note: command.note.clone(),
        evidence: command.evidence.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    for id in asked {
        // The no to another part may have put the shipment back, and with it ended this one.
        if draft.part(id).state != PartState::Waiting {
            continue;
        }
        gates::close(draft, id, GateState::Refused, answer.clone());
        parts::refuse(draft, id, ErrorReason::ConsentRefused);
    }
    conclude(draft, number);
    Ok(Answer::Cancellation(number))
}
