//! ApproveCancellation: a seller or support agrees.

use serde::{Deserialize, Serialize};

use crate::cancellation::{GateAnswer, GateState};
use crate::decision::Answer;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::{consents, gates, parts};
use crate::rejection::Rejection;

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
    let asked = consents::awaited(draft, number, GateState::Passed)?;
    let answer = GateAnswer {
        note: command.note.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    for id in asked {
        gates::close(draft, id, GateState::Passed, answer.clone());
    }
    parts::advance(draft, number);
    Ok(Answer::Cancellation(number))
}
