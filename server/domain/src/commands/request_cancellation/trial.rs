//! A request that is tried and not made: what previews and lists of reasons are made from.

use super::{RequestCancellation, select};
use crate::actor::Actor;
use crate::context::Context;
use crate::ledger::Promise;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility::{CancellationRequest, Evaluation, Portion};
use crate::lifecycle::{deadlines, eligibility, open, reach};
use crate::order::Order;
use crate::rejection::Rejection;
use crate::scope::View;
use crate::terms::Fault;

/// The order as it stands by now, and who asks; fails where there is nothing to ask about.
pub(super) fn begin<'a>(
    order: &Order,
    command: &RequestCancellation,
    context: &Context<'a>,
) -> Result<(Draft<'a>, Actor), Rejection> {
    let view = View::of(context.caller.role);
    reach::check(order, command.selection.reach(), view, context.scope)?;
    let mut draft = Draft::of(order, context);
    deadlines::apply_due(&mut draft);
    let requester = super::requester(&draft.order, &draft.caller, command)?;
    select::check_named(&draft.order, &command.selection)?;
    Ok((draft, requester))
}

/// The trial of a request with a reason that its requester may give.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) portions: Vec<Portion>,
    /// Of each portion, in the same order.
    pub(super) evaluations: Vec<Evaluation>,
    /// In order of precedence.
    pub(super) rejections: Vec<Rejection>,
}

impl Trial {
    pub(super) fn of(
        draft: &Draft<'_>,
        requester: &Actor,
        command: &RequestCancellation,
        reason_code: Option<&str>,
    ) -> Self {
        let (policy_version, policy) = draft.policy();
        let request = asked(draft, requester, command, reason_code);
        let mut rejections = Vec::new();
        let allocation = match select::allocate(draft, policy, &request, command) {
            Ok(allocation) => allocation,
            // What is wholly cancelled may be asked for again: the answer is the cancellation that
            // took the last unit.
            Err(_) if draft.order.is_wholly_cancelled() => select::Allocation::default(),
            Err(rejection) => {
                rejections.push(rejection);
                select::Allocation::default()
            }
        };
        let portions = allocation.portions;
        let evaluations: Vec<Evaluation> = portions
            .iter()
            .map(|portion| eligibility::evaluate(draft, policy, &request, portion.clone()))
            .collect();
        if !evaluations.is_empty()
            && !super::is_acceptable(&evaluations, command.on_ineligible_units)
        {
            rejections.push(super::ineligible(&evaluations));
        }
        if !draft.order.is_wholly_cancelled() {
            let without_parts = open::without_parts(
                draft,
                policy_version,
                requester.clone(),
                reason_code,
                Fault::None,
            );
            let claimed = allocation.claimed;
            let evaluations = evaluations.clone();
            let new = super::new_cancellation(command, without_parts, evaluations, claimed);
            rejections.extend(super::check_room(&draft.order, &new).err());
        }
        Self {
            portions,
            evaluations,
            rejections,
        }
    }
}

pub(super) fn asked<'a>(
    draft: &Draft<'_>,
    requester: &Actor,
    command: &'a RequestCancellation,
    reason: Option<&'a str>,
) -> CancellationRequest<'a> {
    CancellationRequest {
        requester: requester.role,
        reason,
        paths: &command.paths,
        asked_at: draft.now,
        has_label: None,
    }
}

/// What goes back, and what is released, for the first path allowed of each portion.
pub(super) fn promise(draft: &Draft<'_>, evaluations: &[Evaluation]) -> Promise {
    let allowed = evaluations
        .iter()
        .filter_map(|evaluation| evaluation.allowed.as_ref());
    draft
        .order
        .promise_of(allowed.map(|allowed| allowed.refund.amounts).sum())
}
