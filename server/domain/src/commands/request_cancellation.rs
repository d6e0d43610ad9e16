//! RequestCancellation: a requester asks that units of an order never arrive.
//!
//! The request is checked against what is left, allocated to the shipments that hold the units, and
//! each portion is put to the policy. What the policy allows is cancelled at once, or waits for the
//! gates that the policy names; what it denies is refused, all together or portion by portion as
//! the caller chose.

use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Role};
use crate::annotations::Annotations;
use crate::cancellation::Cancellation;
use crate::decision::{Answer, Occasion, Proof, RequestTerms};
use crate::error_reason::ErrorReason;
use crate::ids::{Sku, WarehouseId};
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility::{CancellationRequest, Evaluation, Portion};
use crate::lifecycle::reach::Reach;
use crate::lifecycle::{eligibility, open, parts};
use crate::order::{Buyer, CANCELLATIONS_MAX, IdentityHash, Order, PARTS_MAX};
use crate::policy::{Policy, Reason};
use crate::rejection::{FieldViolation, Limit, Rejection};
use crate::terms::{Fault, IneligibleUnits, Path};
use crate::units::{LineQuantity, UnitSet};
use crate::weight;

mod preview;
mod quote;
mod reasons;
mod select;
mod trial;

pub use preview::{
    DirectCancellation, Preview, PreviewedGate, PreviewedPath, PreviewedVerdict,
    direct_cancellation, preview,
};
pub use quote::{BoundQuote, QUOTE_VALIDITY, Quote, QuotedPart};
pub use reasons::{ListedReason, ListedReasons, ReasonListing, ReasonOutcome, list_reasons};

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
    /// The buyer on whose behalf support acts, as the buyer named themselves.
    pub on_behalf_of: Option<Identity>,
    /// The same identity, hashed with former keys: an order keeps the hash that it was placed with.
    /// It is not serialized, because the server's keys are no part of the request.
    #[serde(skip)]
    pub formerly_on_behalf_of: Box<[Identity]>,
    /// What a preview promised: this or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Box<BoundQuote>>,
    /// Of the cancellation. Not named where it is empty: requests from before it keep their
    /// fingerprints.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Box<Annotations>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selection {
    /// Every unit that is not cancelled.
    All,
    /// Each line at most once, quantities from 1.
    Lines(Vec<LineQuantity>),
    /// Every unit of this shipment that is not cancelled.
    Shipment(u32),
    /// Every unit that is not cancelled, of this SKU and in shipments of this warehouse, where they
    /// are named. For requests to many orders, which name no lines.
    Matching(Box<Matching>),
}

/// Units by what they are and where; what is not named does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matching {
    pub sku: Option<Sku>,
    pub warehouse: Option<WarehouseId>,
}

impl RequestCancellation {
    /// The identities of which the order's buyer must have one; empty where it acts for nobody.
    pub fn identities(&self) -> impl Iterator<Item = Identity> {
        let former = self.formerly_on_behalf_of.iter();
        self.on_behalf_of.iter().chain(former).copied()
    }

    fn proof(&self) -> Proof {
        let channel = |evidence: &String| {
            let (channel, _) = evidence.split_once(':')?;
            Some(channel.to_owned())
        };
        Proof {
            has_note: self.note.is_some(),
            channels: self.evidence.iter().map(channel).collect(),
        }
    }
}

impl Selection {
    pub(super) fn reach(&self) -> Reach {
        match self {
            Selection::All | Selection::Lines(_) | Selection::Matching(_) => Reach::EveryShipment,
            Selection::Shipment(number) => Reach::Shipment(*number),
        }
    }
}

/// A buyer's e-mail address or user name, as a keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    Email(IdentityHash),
    Username(IdentityHash),
}

impl Identity {
    pub fn is_of(self, buyer: &Buyer) -> bool {
        match self {
            Identity::Email(hash) => buyer.email_hash == Some(hash),
            Identity::Username(hash) => buyer.username_hash == Some(hash),
        }
    }
}

pub(super) fn decide(
    draft: &mut Draft<'_>,
    command: &RequestCancellation,
) -> Result<Answer, Rejection> {
    let requester = requester(&draft.order, &draft.caller, command)?;
    select::check_named(&draft.order, &command.selection)?;
    let (policy_version, policy) = draft.policy();
    let reason = check_reason(policy, command.reason.as_deref(), requester.role)?;
    let proof = command.proof();
    check_proof(reason, &proof)?;

    // An order that is wholly cancelled is answered with the cancellation that took its last unit:
    // to ask again is harmless.
    if let Some(closing) = draft.order.closing_cancellation() {
        return Ok(Answer::Cancellation(closing.number));
    }
    let reason_code = reason.map(|reason| &*reason.code);
    let request = CancellationRequest::now(draft, requester.role, &command.paths, reason_code);
    let Evaluated {
        evaluations,
        claimed,
    } = evaluate(draft, policy, &request, command)?;
    if let Some(bound) = &command.quote {
        let role = requester.role;
        let present_terms = Quote::of(&draft.order, role, policy_version, reason, &evaluations);
        bound.check(draft.now, &present_terms)?;
    }
    log(draft, policy_version, command, proof, &evaluations);
    if !is_acceptable(&evaluations, command.on_ineligible_units) {
        return Err(ineligible(&evaluations));
    }

    let first_rule = evaluations
        .iter()
        .find_map(|evaluation| evaluation.allowed.as_ref()?.rule.clone());
    let without_parts = open::without_parts(
        draft,
        policy_version,
        requester.clone(),
        reason_code,
        Fault::None,
    );
    let cancellation = new_cancellation(command, without_parts, evaluations, claimed);
    check_room(&draft.order, &cancellation)?;
    if requester != draft.caller {
        draft.act_on_behalf_of(requester);
    }
    draft.decided_by(policy_version, first_rule);
    let number = open::open(draft, cancellation);
    draft.log_opened(number);
    parts::advance(draft, number);
    Ok(Answer::Cancellation(number))
}

/// A request as the policy answers it.
#[derive(Debug, Default)]
struct Evaluated {
    /// One for each portion, in the order of shipments.
    evaluations: Vec<Evaluation>,
    /// Units that were asked for and left out, because another cancellation waits for them.
    claimed: Vec<Portion>,
}

/// Allocates a request to the shipments, and puts each portion to the policy.
fn evaluate(
    draft: &Draft<'_>,
    policy: &Policy,
    request: &CancellationRequest<'_>,
    command: &RequestCancellation,
) -> Result<Evaluated, Rejection> {
    let select::Allocation { portions, claimed } =
        select::allocate(draft, policy, request, command)?;
    Ok(Evaluated {
        evaluations: eligibility::evaluate_all(draft, policy, request, portions),
        claimed,
    })
}

/// Puts on record what was asked and what the policy said of each portion.
fn log(
    draft: &mut Draft<'_>,
    policy_version: u32,
    command: &RequestCancellation,
    proof: Proof,
    evaluations: &[Evaluation],
) {
    let terms = RequestTerms {
        on_ineligible_units: command.on_ineligible_units,
        proof,
    };
    let logged = evaluations
        .iter()
        .filter_map(|evaluation| evaluation.logged(Occasion::Request, policy_version));
    draft.log_request(terms, logged);
}

/// The cancellation that a request opens, with what is claimed already as refused.
fn new_cancellation(
    command: &RequestCancellation,
    without_parts: Cancellation,
    evaluations: Vec<Evaluation>,
    claimed: Vec<Portion>,
) -> Cancellation {
    let claimed = claimed
        .into_iter()
        .map(|portion| portion.refused(command.paths[0], ErrorReason::UnitsClaimed));
    let parts = evaluations.into_iter().map(eligibility::part);
    Cancellation {
        note: command.note.clone(),
        evidence: command.evidence.clone(),
        annotations: (*command.annotations).clone(),
        parts: parts.chain(claimed).collect(),
        ..without_parts
    }
}

/// The requester. Support that acts on behalf of a buyer must know who the buyer is; if it does
/// not, it learns nothing, not even that the order exists.
fn requester(
    order: &Order,
    caller: &Actor,
    command: &RequestCancellation,
) -> Result<Actor, Rejection> {
    let buyer = || Actor::new(Role::Buyer, order.buyer.id.as_str());
    match (caller.role, command.on_behalf_of) {
        (role, Some(_)) if role.may_act_on_behalf_of_buyers() => {
            if command
                .identities()
                .any(|identity| identity.is_of(&order.buyer))
            {
                Ok(buyer())
            } else {
                Err(Rejection::OrderNotFound)
            }
        }
        // Calls of others were refused before they became commands.
        (_, Some(_)) => Err(Rejection::InvalidField(vec![FieldViolation {
            field: "on_behalf_of".to_owned(),
            description: "only support may act on behalf of a buyer".to_owned(),
        }])),
        (Role::Storefront, None) => Ok(buyer()),
        (Role::Operator, None) => Ok(Actor::new(Role::Support, caller.id.clone())),
        (_, None) => Ok(caller.clone()),
    }
}

/// The policy declares which reasons there are and who may give them.
pub(crate) fn check_reason<'a>(
    policy: &'a Policy,
    code: Option<&str>,
    requester: Role,
) -> Result<Option<&'a Reason>, Rejection> {
    let declared = || {
        let theirs = policy
            .reasons
            .iter()
            .filter(|reason| reason.actors.contains(&requester));
        theirs.map(|reason| reason.code.clone()).collect()
    };
    let Some(code) = code else {
        return if policy.reason_required.contains(&requester) {
            Err(Rejection::ReasonRequired {
                declared: declared(),
            })
        } else {
            Ok(None)
        };
    };
    let Some(reason) = policy.reason(code) else {
        return Err(Rejection::ReasonUnknown {
            reason: code.to_owned(),
            declared: declared(),
        });
    };
    if !reason.actors.contains(&requester) {
        return Err(Rejection::ReasonNotAllowed {
            reason: code.to_owned(),
            declared: declared(),
        });
    }
    Ok(Some(reason))
}

/// Some reasons ask for a description and for proof. A preview is not refused for their lack.
pub(crate) fn check_proof(reason: Option<&Reason>, proof: &Proof) -> Result<(), Rejection> {
    let Some(reason) = reason else { return Ok(()) };
    if reason.note_required && !proof.has_note {
        return Err(Rejection::NoteRequired {
            reason: reason.code.clone(),
        });
    }
    let channels = &reason.evidence_channels;
    let is_from_a_channel = |channel: &Option<String>| {
        channels.is_empty()
            || channel
                .as_ref()
                .is_some_and(|channel| channels.contains(channel))
    };
    if (reason.evidence_required && proof.channels.is_empty())
        || !proof.channels.iter().all(is_from_a_channel)
    {
        return Err(Rejection::EvidenceRequired {
            reason: reason.code.clone(),
            channels: channels.clone(),
        });
    }
    Ok(())
}

fn check_room(order: &Order, cancellation: &Cancellation) -> Result<(), Rejection> {
    Limit::Cancellations.check(order.asked_cancellations(), CANCELLATIONS_MAX)?;
    let others = cancellation.parts.len().saturating_sub(1);
    Limit::Parts.check(others, PARTS_MAX)?;
    weight::check_request(order, cancellation)
}

/// Whether a request that was evaluated so is accepted, with what its requester wants done about
/// ineligible units.
pub(super) fn is_acceptable(
    evaluations: &[Evaluation],
    on_ineligible_units: IneligibleUnits,
) -> bool {
    let is_allowed = |evaluation: &Evaluation| evaluation.allowed.is_some();
    on_ineligible_units.accepts(evaluations.iter().map(is_allowed))
}

/// The rejection of a request: every denial, and the largest selection that could be requested
/// instead.
pub(super) fn ineligible(evaluations: &[Evaluation]) -> Rejection {
    let refused = evaluations
        .iter()
        .filter(|evaluation| evaluation.allowed.is_none());
    let violations = refused
        .flat_map(|evaluation| evaluation.denied.clone())
        .collect();
    let allowed = evaluations
        .iter()
        .filter(|evaluation| evaluation.allowed.is_some());
    let acceptable: UnitSet = allowed
        .flat_map(|evaluation| evaluation.portion.units.ranges().iter().copied())
        .collect();
    let acceptable = acceptable
        .lines()
        .map(|line| LineQuantity {
            line,
            quantity: acceptable.count_of(line),
        })
        .collect();
    Rejection::Ineligible {
        violations,
        acceptable,
    }
}
