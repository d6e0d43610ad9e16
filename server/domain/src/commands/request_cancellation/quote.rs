//! A quote: the terms of a request that bind Belay for a while.
//!
//! It binds what is cancelled, on which terms and for how much, not when: gates are quoted with how
//! long their party has, and times are shown beside the quote.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::actor::Role;
use crate::cancellation::Deductions;
use crate::ids::{OrderId, StoreId};
use crate::lifecycle::eligibility::Evaluation;
use crate::money::Amounts;
use crate::order::Order;
use crate::policy::Reason;
use crate::rejection::Rejection;
use crate::terms::{Effect, GateSpec, Path};
use crate::units::UnitSet;

/// The time for which a quote may be used.
pub const QUOTE_VALIDITY: SignedDuration = SignedDuration::from_mins(15);

/// The names and fields are a format that callers keep for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub store: StoreId,
    pub order: OrderId,
    /// Whose cancellation it is: another's may come to the same, and is not what was quoted.
    pub requester: Role,
    pub policy_version: u32,
    pub reason: Option<String>,
    pub counted: bool,
    pub effects: Vec<Effect>,
    pub parts: Vec<QuotedPart>,
    /// What goes back of captured money, all parts together.
    pub refund: Amounts,
    /// What is released of authorisations.
    pub release: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotedPart {
    pub shipment: u32,
    pub units: UnitSet,
    pub path: Path,
    pub rule: Option<String>,
    pub gates: Vec<GateSpec>,
    /// What the policy takes off the price.
    pub credit: Amounts,
    pub deductions: Deductions,
}

/// A quote and until when it may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundQuote {
    pub quote: Quote,
    pub valid_until: Timestamp,
}

impl Quote {
    /// Of the portions that would be cancelled; the others are no part of the bargain.
    pub(super) fn of(
        order: &Order,
        requester: Role,
        policy_version: u32,
        reason: Option<&Reason>,
        evaluations: &[Evaluation],
    ) -> Self {
        let allowed = evaluations
            .iter()
            .filter_map(|evaluation| evaluation.allowed.as_ref());
        let promise = order.promise_of(allowed.map(|allowed| allowed.refund.amounts).sum());
        let part = |evaluation: &Evaluation| {
            let allowed = evaluation.allowed.as_ref()?;
            Some(QuotedPart {
                shipment: evaluation.portion.shipment,
                units: evaluation.portion.units.clone(),
                path: allowed.path,
                rule: allowed.rule.clone(),
                gates: allowed.gates.clone(),
                credit: allowed.refund.amounts,
                deductions: allowed.refund.deductions,
            })
        };
        Self {
            store: order.store.clone(),
            order: order.id.clone(),
            requester,
            policy_version,
            reason: reason.map(|reason| reason.code.clone()),
            counted: reason.is_some_and(|reason| reason.counted),
            effects: reason.map_or_else(Vec::new, |reason| reason.effects.clone()),
            parts: evaluations.iter().filter_map(part).collect(),
            refund: promise.refund,
            release: promise.release,
        }
    }
}

impl BoundQuote {
    /// Whether `present`, which would come of the request now, is what was quoted.
    pub(super) fn check(&self, now: Timestamp, present: &Quote) -> Result<(), Rejection> {
        if now >= self.valid_until {
            return Err(Rejection::QuoteExpired {
                valid_until: self.valid_until,
            });
        }
        if self.quote == *present {
            Ok(())
        } else {
            Err(Rejection::QuoteMismatch {
                quoted: text(&self.quote),
                present: text(present),
            })
        }
    }
}

fn text(quote: &Quote) -> String {
    serde_json::to_string(quote).unwrap_or_else(|error| panic!("a quote is plain data: {error}"))
}
