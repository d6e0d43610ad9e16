//! RequestCancellation: somebody wishes that units of an order never arrive.
//!
//! The wish is checked against what is left, spread over the shipments that hold the units, and each portion is put to the
//! policy. What the policy allows is cancelled at once, or waits for the gates that the policy names; what it denies is
//! refused, all together or portion by portion as the caller chose.

use serde::{Deserialize, Serialize};

use super::{Answer, Draft, Record, draft, parts};
use crate::actor::{Actor, Role};
use crate::cancellation::{Cancellation, Fault, Gate, GateState, Part, PartState, Path};
use crate::event::EventDetail;
use crate::money::Amounts;
use crate::order::{CANCELLATIONS_MAX, IdentityHash, Order};
use crate::policy::{Policy, Reason, RefundPlan};
use crate::rejection::{FieldViolation, LineQuantity, Rejection};

mod judge;
mod preview;
mod select;

pub(super) use judge::refund_of;
use judge::{Judgement, Wish};
pub use preview::{Preview, PreviewedPath, PreviewedVerdict, buyer_may_cancel, preview};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCancellation {
    pub selection: Selection,
    /// Declared by the policy.
    pub reason: Option<String>,
    pub note: Option<String>,
    pub evidence: Vec<String>,
    /// In order of preference; each portion takes the first that is allowed.
    pub paths: Vec<Path>,
    pub on_ineligible_units: IneligibleUnits,
    /// The buyer whom support speaks for, as the buyer named themselves.
    pub on_behalf_of: Option<Identity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// Every unit that is not cancelled.
    All,
    /// Each line at most once, quantities from 1.
    Lines(Vec<LineQuantity>),
    /// Every unit of this shipment that is not cancelled.
    Shipment(u32),
}

/// What becomes of the wish where only some of its units may be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IneligibleUnits {
    /// Nothing is cancelled and nothing recorded.
    Refuse,
    /// The others are cancelled; these are on record as refused.
    LeaveOut,
}

/// A buyer's e-mail address or user name, as a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Email(IdentityHash),
    Username(IdentityHash),
}

pub(super) fn decide(draft: &mut Draft<'_>, request: &RequestCancellation) -> Result<Answer, Rejection> {
    let requester = requester(&draft.order, &draft.caller, request)?;
    let (policy_version, policy) = draft.policy();
    let reason = check_reason(policy, request, requester.role)?;

    if let Some(closing) = draft.order.closing_cancellation() {
        return Ok(Answer::Cancellation(closing.number));
    }
    if draft.order.cancellations.len() >= CANCELLATIONS_MAX {
        return Err(Rejection::LimitReached { limit: "cancellations".to_owned(), max: CANCELLATIONS_MAX });
    }

    let wish = Wish { requester: requester.role, reason: reason.map(|reason| &*reason.code), paths: &request.paths };
    let portions = select::portions(draft, policy, &wish, request)?;
    let judgements: Vec<Judgement> =
        portions.into_iter().map(|portion| judge::judge(draft, policy, &wish, portion)).collect();
    let asked = judgements.iter().flat_map(|judgement| judgement.asked.clone()).collect();
    draft.record = Some(Record { policy_version, asked });

    let anything_allowed = judgements.iter().any(|judgement| judgement.allowed.is_some());
    let everything_allowed = judgements.iter().all(|judgement| judgement.allowed.is_some());
    let goes_ahead = match request.on_ineligible_units {
        IneligibleUnits::Refuse => everything_allowed,
        IneligibleUnits::LeaveOut => anything_allowed,
    };
    if !goes_ahead {
        return Err(judge::ineligible(&judgements));
    }

    if requester != draft.caller {
        draft.speak_for(requester.clone());
    }
    let first_rule = judgements.iter().find_map(|judgement| judgement.allowed.as_ref()?.rule.clone());
    draft.decided_by(policy_version, first_rule);
    let number = open(draft, request, reason, requester, policy_version, judgements);
    parts::advance(draft, number);
    Ok(Answer::Cancellation(number))
}

/// Whose wish it is. Support that speaks for a buyer must know who the buyer is; if it does not, it learns nothing, not even
/// that the order exists.
fn requester(order: &Order, caller: &Actor, request: &RequestCancellation) -> Result<Actor, Rejection> {
    let buyer = || Actor::new(Role::Buyer, order.buyer.id.as_str());
    match (caller.role, request.on_behalf_of) {
        (Role::Support | Role::Operator, Some(identity)) => {
            let is_the_buyer = match identity {
                Identity::Email(hash) => order.buyer.email_hash == Some(hash),
                Identity::Username(hash) => order.buyer.username_hash == Some(hash),
            };
            if is_the_buyer { Ok(buyer()) } else { Err(Rejection::OrderNotFound) }
        }
        (_, Some(_)) => Err(Rejection::InvalidField(vec![FieldViolation {
            field: "on_behalf_of".to_owned(),
            description: "only support may speak for a buyer".to_owned(),
        }])),
        (Role::Storefront, None) => Ok(buyer()),
        (Role::Operator, None) => Ok(Actor::new(Role::Support, caller.id.clone())),
        (_, None) => Ok(caller.clone()),
    }
}

/// The policy declares which reasons there are, who may give them, and what else they ask for.
fn check_reason<'a>(
    policy: &'a Policy,
    request: &RequestCancellation,
    requester: Role,
) -> Result<Option<&'a Reason>, Rejection> {
    let declared = || {
        let theirs = policy.reasons.iter().filter(|reason| reason.actors.contains(&requester));
        theirs.map(|reason| reason.code.clone()).collect()
    };
    let Some(code) = &request.reason else {
        return match policy.reason_required.contains(&requester) {
            true => Err(Rejection::ReasonRequired { declared: declared() }),
            false => Ok(None),
        };
    };
    let Some(reason) = policy.reason(code) else {
        return Err(Rejection::ReasonUnknown { reason: code.clone(), declared: declared() });
    };
    if !reason.actors.contains(&requester) {
        return Err(Rejection::ReasonNotAllowed { reason: code.clone(), declared: declared() });
    }
    if reason.note_required && request.note.is_none() {
        return Err(Rejection::NoteRequired { reason: code.clone() });
    }
    if reason.evidence_required && request.evidence.is_empty() {
        return Err(Rejection::EvidenceRequired { reason: code.clone() });
    }
    Ok(Some(reason))
}

/// Puts the cancellation on the order: a waiting part for each portion that was allowed, a refused one for each that was
/// left out.
fn open(
    draft: &mut Draft<'_>,
    request: &RequestCancellation,
    reason: Option<&Reason>,
    requester: Actor,
    policy_version: u32,
    judgements: Vec<Judgement>,
) -> u32 {
    let number = draft::next_number(&draft.order.cancellations, |cancellation| cancellation.number);
    let cancellation = Cancellation {
        number,
        reason: reason.map_or_else(String::new, |reason| reason.code.clone()),
        fault: reason.map_or(Fault::None, |reason| reason.fault),
        note: request.note.clone(),
        evidence: request.evidence.clone(),
        counted: reason.is_some_and(|reason| reason.counted),
        effects: reason.map_or_else(Vec::new, |reason| reason.effects.clone()),
        requester,
        submitted_by: draft.caller.clone(),
        policy_version,
        parts: judgements.into_iter().map(part).collect(),
        create_time: draft.now,
        close_time: None,
    };
    let shipments: Vec<u32> = cancellation.parts.iter().map(|part| part.shipment).collect();
    draft.emit(EventDetail::CancellationRequested { cancellation: number, reason: cancellation.reason.clone() });
    draft.order.cancellations.push(cancellation);
    for shipment in shipments {
        draft.raise_fence(shipment);
    }
    number
}

fn part(judgement: Judgement) -> Part {
    let portion = judgement.portion;
    match judgement.allowed {
        Some(allowed) => Part {
            shipment: portion.shipment,
            units: portion.units,
            path: allowed.path,
            state: PartState::Waiting,
            rule: allowed.rule,
            refused_reason: None,
            next_actions: Vec::new(),
            plan: allowed.plan,
            refund: allowed.refund,
            gates: allowed
                .gates
                .into_iter()
                .map(|spec| Gate {
                    spec,
                    state: GateState::Queued,
                    open_time: None,
                    respond_by: None,
                    close_time: None,
                })
                .collect(),
        },
        None => {
            let first = &judgement.denied[0];
            Part {
                shipment: portion.shipment,
                units: portion.units,
                path: first.path,
                state: PartState::Refused,
                rule: first.rule.clone(),
                refused_reason: Some(first.code.name().to_owned()),
                next_actions: first.next_actions.clone(),
                plan: RefundPlan::None,
                refund: Amounts::ZERO,
                gates: Vec::new(),
            }
        }
    }
}
