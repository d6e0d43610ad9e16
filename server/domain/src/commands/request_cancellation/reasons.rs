//! The reasons that a requester may give for a cancellation, and what each would come to.

use super::RequestCancellation;
use super::trial::{self, Trial};
use crate::actor::Actor;
use crate::context::Context;
use crate::lifecycle::draft::Draft;
use crate::money::Amounts;
use crate::order::Order;
use crate::policy::Reason;
use crate::rejection::Rejection;

/// The reasons that a requester may give, in the order of the policy.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedReasons<'a> {
    pub policy_version: u32,
    /// The requester must name one.
    pub is_required: bool,
    pub reasons: Vec<ListedReason<'a>>,
}

/// A reason, and what the request would come to with it: the first rejection, where there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedReason<'a> {
    pub reason: &'a Reason,
    pub outcome: Result<ReasonOutcome, Rejection>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReasonOutcome {
    /// Somebody has to agree or to act first.
    pub waits: bool,
    /// What would go back of captured money, for the first path allowed of each portion.
    pub refund: Amounts,
    /// What would be released of authorisations.
    pub release: i64,
}

/// Puts the request to the policy with each of the reasons that its requester may give. The reason
/// of the command itself does not matter.
pub fn list_reasons<'a>(
    order: &Order,
    command: &RequestCancellation,
    context: &Context<'a>,
) -> Result<ListedReasons<'a>, Rejection> {
    let (draft, requester) = trial::begin(order, command, context)?;
    let (policy_version, policy) = draft.policy();
    let theirs = policy
        .reasons
        .iter()
        .filter(|reason| reason.actors.contains(&requester.role));
    let listed = |reason: &'a Reason| ListedReason {
        reason,
        outcome: outcome(&draft, &requester, command, reason),
    };
    Ok(ListedReasons {
        policy_version,
        is_required: policy.reason_required.contains(&requester.role),
        reasons: theirs.map(listed).collect(),
    })
}

fn outcome(
    draft: &Draft<'_>,
    requester: &Actor,
    command: &RequestCancellation,
    reason: &Reason,
) -> Result<ReasonOutcome, Rejection> {
    let trial = Trial::of(draft, requester, command, Some(&reason.code));
    if let Some(first) = trial.rejections.into_iter().next() {
        return Err(first);
    }
    let mut allowed = trial
        .evaluations
        .iter()
        .filter_map(|evaluation| evaluation.allowed.as_ref());
    let waits = allowed.any(|allowed| !allowed.gates.is_empty());
    let promise = trial::promise(draft, &trial.evaluations);
    Ok(ReasonOutcome {
        waits,
        refund: promise.refund,
        release: promise.release,
    })
}
