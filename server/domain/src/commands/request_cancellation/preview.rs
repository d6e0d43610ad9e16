//! The preview of a RequestCancellation, without doing it.

use jiff::Timestamp;

use super::trial::{self, Trial};
use crate::actor::Role;
use crate::cancellation::{LabelState, PartRefund};
use crate::commands::request_cancellation::{
    BoundQuote, QUOTE_VALIDITY, Quote, RequestCancellation,
};
use crate::context::Context;
use crate::error_reason::ErrorReason;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility::{Allowed, CancellationRequest, Evaluation, Portion};
use crate::lifecycle::{deadlines, eligibility, gates};
use crate::money::Amounts;
use crate::order::{Order, PARTS_MAX};
use crate::policy::Policy;
use crate::rejection::{Denial, Rejection};
use crate::terms::{Effect, GateSpec, NextAction, Path};
use crate::units::UnitSet;

#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    pub policy_version: u32,
    /// Every path there is, of every portion, in the order of shipments; of so many portions as a
    /// request may have.
    pub paths: Vec<PreviewedPath>,
    /// The rejections of the request as a whole, in order of precedence; empty where it would be
    /// accepted.
    pub rejections: Vec<Rejection>,
    /// What would go back of captured money, for the first path allowed of each portion.
    pub refund: Amounts,
    /// What would be released of authorisations.
    pub release: i64,
    /// When a refund created now would have to be there.
    pub refund_due_by: Timestamp,
    /// It would count against the seller's quality.
    pub counted: bool,
    pub effects: Vec<Effect>,
    /// What a requester who gives this reason should do afterwards.
    pub next_actions: Vec<NextAction>,
    /// To be handed in with the request; none where it would be refused, and where there is nothing
    /// left to cancel.
    pub quote: Option<BoundQuote>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PreviewedPath {
    pub shipment: u32,
    pub units: UnitSet,
    pub path: Path,
    pub rule: Option<String>,
    pub verdict: PreviewedVerdict,
}

#[derive(Debug, Clone, PartialEq)]
pub enum PreviewedVerdict {
    Allowed {
        gates: Vec<PreviewedGate>,
        /// What would go back of captured money if this path alone were taken.
        refund: PartRefund,
        /// What the policy would take off the price.
        credit: Amounts,
        label: Option<LabelState>,
        /// What the buyer is told who gets no label.
        without_label: Option<String>,
        /// When time alone closes this path.
        available_until: Option<Timestamp>,
    },
    Denied(Denial),
}

#[derive(Debug, Clone, PartialEq)]
pub struct PreviewedGate {
    pub spec: GateSpec,
    /// The deadline if it opened at the time of the preview.
    pub respond_by: Option<Timestamp>,
}

/// Answers a request without granting it. Deadlines that are due by `context.now` are applied to a
/// copy first, so a time in the future may be asked about.
pub fn preview(
    order: &Order,
    command: &RequestCancellation,
    context: &Context<'_>,
) -> Result<Preview, Rejection> {
    let (draft, requester) = trial::begin(order, command, context)?;
    let (policy_version, policy) = draft.policy();
    let (reason, unreasoned) =
        match super::check_reason(policy, command.reason.as_deref(), requester.role) {
            Ok(reason) => (reason, None),
            Err(rejection) => (None, Some(rejection)),
        };
    let reason_code = reason.map(|reason| &*reason.code);
    let Trial {
        evaluations,
        rejections,
    } = Trial::of(&draft, &requester, command, reason_code);
    let rejections: Vec<Rejection> = unreasoned.into_iter().chain(rejections).collect();

    let request = CancellationRequest::now(&draft, requester.role, &command.paths, reason_code);
    let mut paths = Vec::new();
    for evaluation in &evaluations {
        if paths.len() < PARTS_MAX * Path::ALL.len() {
            paths.extend(all_paths(&draft, policy, &request, &evaluation.portion));
        }
    }
    let is_offered = rejections.is_empty() && !evaluations.is_empty();
    let quote = is_offered.then(|| BoundQuote {
        quote: Quote::of(
            &draft.order,
            requester.role,
            policy_version,
            reason,
            &evaluations,
        ),
        valid_until: draft
            .now
            .saturating_add(QUOTE_VALIDITY)
            .unwrap_or(Timestamp::MAX),
    });
    let promise = trial::promise(&draft, &evaluations);
    Ok(Preview {
        policy_version,
        paths,
        rejections,
        refund: promise.refund,
        release: promise.release,
        refund_due_by: policy
            .refunds
            .due_by(draft.now, &draft.order.destination.country_code),
        counted: reason.is_some_and(|reason| reason.counted),
        effects: reason.map_or_else(Vec::new, |reason| reason.effects.clone()),
        next_actions: reason.map_or_else(Vec::new, |reason| reason.next_actions.clone()),
        quote,
    })
}

/// Evaluates each path alone, so that one that is allowed hides none behind it.
fn all_paths(
    draft: &Draft<'_>,
    policy: &Policy,
    request: &CancellationRequest<'_>,
    portion: &Portion,
) -> Vec<PreviewedPath> {
    let one_path = |path: &Path| {
        let alone = CancellationRequest {
            paths: std::slice::from_ref(path),
            ..*request
        };
        let mut evaluation = eligibility::evaluate(draft, policy, &alone, portion.clone());
        let (rule, verdict) = match evaluation.allowed {
            Some(allowed) => {
                let available_until =
                    eligibility::turns_at(policy, &alone, &evaluation.asked.pop()?.question);
                (
                    allowed.rule.clone(),
                    granted(draft, policy, portion.shipment, allowed, available_until),
                )
            }
            None => {
                let denied = evaluation.denied.pop()?;
                (denied.rule.clone(), PreviewedVerdict::Denied(denied))
            }
        };
        let Portion {
            shipment, units, ..
        } = portion.clone();
        Some(PreviewedPath {
            shipment,
            units,
            path: *path,
            rule,
            verdict,
        })
    };
    Path::ALL.iter().filter_map(one_path).collect()
}

fn granted(
    draft: &Draft<'_>,
    policy: &Policy,
    shipment: u32,
    allowed: Allowed,
    available_until: Option<Timestamp>,
) -> PreviewedVerdict {
    let gate = |spec: GateSpec| {
        let respond_by = spec
            .respond_within
            .map(|wait| gates::deadline(draft, policy, spec.kind, shipment, wait));
        PreviewedGate { spec, respond_by }
    };
    let has_no_label = allowed.label == Some(LabelState::UnavailableInRegion);
    PreviewedVerdict::Allowed {
        gates: allowed.gates.into_iter().map(gate).collect(),
        credit: allowed.refund.amounts,
        refund: PartRefund {
            amounts: draft.order.promise_of(allowed.refund.amounts).refund,
            ..allowed.refund
        },
        label: allowed.label,
        without_label: has_no_label.then(|| policy.returns.without_label.clone()),
        available_until,
    }
}

/// The offer beside an order in a list: whether the buyer may cancel all that is left, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectCancellation {
    Offered,
    /// Somebody has to agree first.
    OnRequest,
    /// The first reason against it.
    Refused(ErrorReason),
}

/// Evaluates the buyer's simplest request: everything, on the path CANCEL, for whichever reason
/// goes furthest.
pub fn direct_cancellation(order: &Order, context: &Context<'_>) -> DirectCancellation {
    let mut draft = Draft::of(order, context);
    deadlines::apply_due(&mut draft);
    let (_, policy) = draft.policy();
    let left = draft.order.units().minus(&draft.order.cancelled_units());
    let claimed = draft.order.claimed_units();
    if left.is_empty() {
        return DirectCancellation::Refused(ErrorReason::OrderClosed);
    } else if left == claimed {
        return DirectCancellation::Refused(ErrorReason::AlreadyPending);
    } else if !claimed.is_empty() {
        return DirectCancellation::Refused(ErrorReason::UnitsClaimed);
    }
    let portions = eligibility::by_receipt(&draft.order, &left);

    let mut on_request = false;
    let mut first_denial = None;
    let reasons = policy
        .reasons
        .iter()
        .filter(|reason| reason.actors.contains(&Role::Buyer));
    let no_reason = (!policy.reason_required.contains(&Role::Buyer)).then_some(None);
    for reason in reasons.map(|reason| Some(&*reason.code)).chain(no_reason) {
        let request = CancellationRequest::now(&draft, Role::Buyer, &[Path::Cancel], reason);
        let evaluate =
            |portion: &Portion| eligibility::evaluate(&draft, policy, &request, portion.clone());
        let mut evaluations: Vec<Evaluation> = portions.iter().map(evaluate).collect();
        let denial = evaluations
            .iter_mut()
            .find_map(|evaluation| evaluation.denied.pop());
        let allowed = evaluations
            .iter()
            .filter_map(|evaluation| evaluation.allowed.as_ref());
        match denial {
            None if allowed.clone().all(|allowed| allowed.gates.is_empty()) => {
                return DirectCancellation::Offered;
            }
            None => on_request = true,
            Some(denial) => first_denial = first_denial.or(Some(denial.code.reason())),
        }
    }
    match first_denial {
        Some(reason) if !on_request => DirectCancellation::Refused(reason),
        Some(_) | None => DirectCancellation::OnRequest,
    }
}
