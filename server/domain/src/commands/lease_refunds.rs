//! LeaseRefunds: a payment worker takes refunds of one order to the provider. Part of ClaimRefunds.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::decision::Answer;
use crate::ids::WorkerId;
use crate::lifecycle::draft::Draft;
use crate::refund::RefundState;
use crate::rejection::Rejection;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRefunds {
    pub refunds: Vec<u32>,
    pub worker: WorkerId,
    pub lease: SignedDuration,
}

/// Leases those that may still be had; another worker may have been faster, so none is no error.
pub(super) fn decide(draft: &mut Draft<'_>, command: &LeaseRefunds) -> Result<Answer, Rejection> {
    let now = draft.now;
    let mut leased = Vec::new();
    for refund in draft
        .order
        .refunds
        .iter_mut()
        .filter(|refund| command.refunds.contains(&refund.number))
    {
        if refund.is_claimable(now) {
            refund.worker = Some(command.worker.clone());
            refund.lease_until = Some(now.saturating_add(command.lease).unwrap_or(now));
            leased.push((refund.number, refund.state));
        }
    }
    for (number, state) in &leased {
        // What may have been paid stays unknown until the provider says.
        let to = if *state == RefundState::Unknown {
            RefundState::Unknown
        } else {
            RefundState::Submitted
        };
        draft.move_refund(*number, to);
    }
    Ok(Answer::Refunds(
        leased.into_iter().map(|(number, _)| number).collect(),
    ))
}
