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

/// A request that is put to the policy with one reason after the other: as long as a policy has
/// reasons, so whoever serves others as well may pause in between.
#[derive(Debug)]
pub struct ReasonListing<'a> {
    draft: Draft<'a>,
    requester: Actor,
    command: &'a RequestCancellation,
}

impl<'a> ReasonListing<'a> {
    /// The reason of the command itself does not matter.
    pub fn begin(
        order: &Order,
        command: &'a RequestCancellation,
        context: &Context<'a>,
    ) -> Result<Self, Rejection> {
        let (draft, requester) = trial::begin(order, command, context)?;
        Ok(Self {
            draft,
            requester,
            command,
        })
    }

    /// Those that the requester may give, in the order of the policy.
    pub fn reasons(&self) -> impl Iterator<Item = &'a Reason> {
        let (_, policy) = self.draft.policy();
        let requester = self.requester.role;
        let reasons = policy.reasons.iter();
        reasons.filter(move |reason| reason.actors.contains(&requester))
    }

    /// What the request would come to with this one.
    pub fn listed(&self, reason: &'a Reason) -> ListedReason<'a> {
        ListedReason {
            reason,
            outcome: outcome(&self.draft, &self.requester, self.command, reason),
        }
    }

    pub fn end(self, reasons: Vec<ListedReason<'a>>) -> ListedReasons<'a> {
        let (policy_version, policy) = self.draft.policy();
        ListedReasons {
            policy_version,
            is_required: policy.reason_required.contains(&self.requester.role),
            reasons,
        }
    }
}

/// Puts the request to the policy with each of the reasons that its requester may give.
pub fn list_reasons<'a>(
    order: &Order,
    command: &'a RequestCancellation,
    context: &Context<'a>,
) -> Result<ListedReasons<'a>, Rejection> {
    let listing = ReasonListing::begin(order, command, context)?;
    let listed = listing.reasons().map(|reason| listing.listed(reason));
    let listed = listed.collect();
    Ok(listing.end(listed))
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
