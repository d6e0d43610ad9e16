//! AnswerIntercept: the carrier brings a parcel back, or cannot. A fact: it is recorded however
//! late it comes.

use serde::{Deserialize, Serialize};

use super::draft::About;
use super::request_cancellation::{Portion, Wish, question};
use super::{Answer, Draft, intercepts, parts, start_preparation};
use crate::cancellation::{GateAnswer, GateState};
use crate::error_reason::ErrorReason;
use crate::incident::IncidentKind;
use crate::policy::Verdict;
use crate::rejection::Rejection;
use crate::terms::{GateKind, Path};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerIntercept {
    pub shipment: u32,
    pub answer: InterceptAnswer,
    pub note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InterceptAnswer {
    Confirmed,
    CannotIntercept { code: Option<String> },
}

/// There is one parcel, so there is one answer for everybody who waits for it.
pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &AnswerIntercept,
) -> Result<Answer, Rejection> {
    let number = command.shipment;
    let intercept = start_preparation::find(draft, number, None)?.intercept;
    let waiting = parts::waiting_for(draft, number, None, GateKind::CarrierIntercept);
    let given = GateAnswer {
        note: command.note.clone(),
        ..GateAnswer::by(draft.caller.clone())
    };
    match &command.answer {
        InterceptAnswer::Confirmed if waiting.is_empty() && intercept.is_none() => {
            return Err(Rejection::GateNotOpen {
                gate: GateKind::CarrierIntercept,
            });
        }
        InterceptAnswer::Confirmed => {
            if !intercepts::answered(draft, number, &given) {
                late(draft, number);
            }
        }
        InterceptAnswer::CannotIntercept { .. } if waiting.is_empty() && intercept.is_none() => {
            return Err(Rejection::GateNotOpen {
                gate: GateKind::CarrierIntercept,
            });
        }
        InterceptAnswer::CannotIntercept { code } => {
            for (cancellation, index) in waiting {
                let given = GateAnswer {
                    code: code.clone(),
                    ..given.clone()
                };
                parts::close_gate(draft, cancellation, index, GateState::Refused, given);
                refuse(draft, cancellation, index);
            }
            intercepts::fail(draft, number);
        }
    }
    Ok(Answer::Shipment(number))
}

/// Ends the part and says what is left to do: what the policy would have said had it known that the
/// carrier cannot.
fn refuse(draft: &mut Draft<'_>, cancellation: u32, index: usize) {
    let of = parts::cancellation_mut(draft, cancellation).clone();
    let (wish, Portion { units, .. }) = parts::wish_of(&of, &of.parts[index]);
    let Some(shipment) = draft.order.shipment(of.parts[index].shipment) else {
        return;
    };
    let path = of.parts[index].path;
    let mut question = question(
        draft,
        &Wish {
            asked_at: draft.now,
            ..wish
        },
        shipment,
        &units,
        path,
    );
    question.carrier.in_transit_cancel = false;
    let answer = draft.pinned(of.policy_version).answer(&question);
    if let Verdict::Deny { next_actions, .. } = answer.verdict {
        parts::cancellation_mut(draft, cancellation).parts[index].next_actions = next_actions;
    }
    let reason = match path {
        Path::Intercept => ErrorReason::NotInterceptable,
        Path::Cancel | Path::RefuseDelivery | Path::ReturnUnopened | Path::ReturnOpened => {
            ErrorReason::CarrierRefused
        }
    };
    parts::refuse_part(draft, cancellation, index, reason);
    parts::close_if_over(draft, cancellation);
}

/// Nobody waits any more. The parcel comes all the same; whose wish was refused by then, somebody
/// must look at.
fn late(draft: &mut Draft<'_>, number: u32) {
    intercepts::confirm(draft, number);
    for (cancellation, index) in
        parts::asked_before(draft, number, None, GateKind::CarrierIntercept)
    {
        let part = &parts::cancellation_mut(draft, cancellation).parts[index];
        if part.missed(GateKind::CarrierIntercept) {
            draft.open_incident_once(IncidentKind::LateFact, About::gate(cancellation, number));
        }
    }
}
