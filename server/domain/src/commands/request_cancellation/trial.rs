//! A request that is tried and not made: what previews and lists of reasons are made from.

use super::{Evaluated, RequestCancellation, select};
use crate::actor::Actor;
use crate::context::Context;
use crate::ledger::Promise;
use crate::lifecycle::draft::Draft;
use crate::lifecycle::eligibility::{CancellationRequest, Evaluation};
use crate::lifecycle::{deadlines, open, reach};
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
    /// One for each portion, in the order of shipments.
    pub(super) evaluations: Vec<Evaluation>,
    /// In order of precedence.
    pub(super) rejections: Vec<Rejection>,
}

impl Trial {
    /// In the order of `decide`, which ends at the first rejection; the test
    /// `a_preview_says_what_the_command_would` compares the two.
    pub(super) fn of(
        draft: &Draft<'_>,
        requester: &Actor,
        command: &RequestCancellation,
        reason_code: Option<&str>,
    ) -> Self {
        let (policy_version, policy) = draft.policy();
        let request = CancellationRequest::now(draft, requester.role, &command.paths, reason_code);
        let mut rejections = Vec::new();
        let Evaluated {
            evaluations,
            claimed,
        } = match super::evaluate(draft, policy, &request, command) {
            Ok(evaluated) => evaluated,
            // What is wholly cancelled may be asked for again: the answer is the cancellation that
            // took the last unit.
            Err(_) if draft.order.is_wholly_cancelled() => Evaluated::default(),
            Err(rejection) => {
                rejections.push(rejection);
                Evaluated::default()
            }
        };
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
            let evaluations = evaluations.clone();
            let new = super::new_cancellation(command, without_parts, evaluations, claimed);
            rejections.extend(super::check_room(&draft.order, &new).err());
        }
        Self {
            evaluations,
            rejections,
        }
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
