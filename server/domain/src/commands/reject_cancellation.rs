//! RejectCancellation: a seller or support does not agree.

use serde::{Deserialize, Serialize};

use super::{Answer, Draft, approve_cancellation, parts};
use crate::cancellation::{GateAnswer, GateState};
use crate::error_reason::ErrorReason;
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
    let asked = approve_cancellation::awaited(draft, number, GateState::Refused)?;
    let answer = GateAnswer {
        code: Some(command.code.clone()),
        note: command.note.clone(),
        evidence: command.evidence.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    for index in asked {
        parts::close_gate(draft, number, index, GateState::Refused, answer.clone());
        parts::refuse_part(draft, number, index, ErrorReason::ConsentRefused);
    }
    parts::close_if_over(draft, number);
    Ok(Answer::Cancellation(number))
}
