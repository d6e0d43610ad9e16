//! AnswerIntercept: the carrier brings a parcel back, or cannot. A fact: it is recorded however
//! late it comes.

use serde::{Deserialize, Serialize};

use crate::cancellation::{GateAnswer, GateState, PartId};
use crate::decision::Answer;
use crate::error_reason::ErrorReason;
use crate::incident::IncidentKind;
use crate::lifecycle::conclude::conclude;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility::{CancellationRequest, Portion};
use crate::lifecycle::incidents::IncidentSubject;
use crate::lifecycle::{eligibility, gates, intercepts, parts};
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
    let intercept = draft.shipment_at(number, None)?.intercept;
    let waiting = draft
        .order
        .parts_waiting_for(number, None, GateKind::CarrierIntercept);
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
            if !parts::intercept_confirmed(draft, number, &given) {
                late(draft, number);
            }
        }
        InterceptAnswer::CannotIntercept { .. } if waiting.is_empty() && intercept.is_none() => {
            return Err(Rejection::GateNotOpen {
                gate: GateKind::CarrierIntercept,
            });
        }
        InterceptAnswer::CannotIntercept { code } => {
            for id in waiting {
                let given = GateAnswer {
                    code: code.clone(),
                    ..given.clone()
                };
                gates::close(draft, id, GateState::Refused, given);
                refuse(draft, id);
            }
            intercepts::fail(draft, number);
        }
    }
    Ok(Answer::Shipment(number))
}

/// Ends the part and says what is left to do: what the policy would have said had it known that the
/// carrier cannot.
fn refuse(draft: &mut Draft<'_>, id: PartId) {
    let of = draft.cancellation(id.cancellation).clone();
    let (request, Portion { units, .. }) = parts::request_of(draft, &of, &of.parts[id.index]);
    let Some(shipment) = draft.order.shipment(of.parts[id.index].shipment) else {
        return;
    };
    let path = of.parts[id.index].path;
    let mut question = eligibility::question(
        draft,
        &CancellationRequest {
            asked_at: draft.now,
            ..request
        },
        shipment,
        &units,
        path,
    );
    question.carrier.in_transit_cancel = false;
    let answer = draft.pinned(of.policy_version).answer(&question);
    if let Verdict::Deny { next_actions, .. } = answer.verdict {
        draft.part_mut(id).next_actions = next_actions;
    }
    let reason = match path {
        Path::Intercept => ErrorReason::NotInterceptable,
        Path::Cancel | Path::RefuseDelivery | Path::ReturnUnopened | Path::ReturnOpened => {
            ErrorReason::CarrierRefused
        }
    };
    parts::refuse(draft, id, reason);
    conclude(draft, id.cancellation);
}

/// Nobody waits any more. The parcel comes all the same; whose request was refused by then,
/// somebody must look at.
fn late(draft: &mut Draft<'_>, number: u32) {
    intercepts::confirm(draft, number);
    for id in draft
        .order
        .parts_asked(number, None, GateKind::CarrierIntercept)
    {
        let part = draft.part(id);
        if part.missed(GateKind::CarrierIntercept) {
            draft.open_incident_once(
                IncidentKind::LateFact,
                IncidentSubject::gate(id.cancellation, number),
            );
        }
    }
}
