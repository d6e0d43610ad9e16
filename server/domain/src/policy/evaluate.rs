//! Finds the first rule that matches.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{AgeBound, Allow, Condition, ConditionKey, Consequence, Deny, Policy, Question};
use crate::actor::Role;
use crate::terms::{DenyCode, GateSpec, NextAction, RefundPlan};

/// What answers stand under that are given while a payment is verified; no rule of a document may
/// be called so.
pub(super) const VERIFICATION_RULE: &str = "verification";

/// A policy's answer to a question, and the rule that gave it. `rule` is `None` where none matched.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyAnswer {
    pub rule: Option<String>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    Allow {
        gates: Vec<GateSpec>,
        refund: RefundPlan,
    },
    Deny {
        code: DenyCode,
        next_actions: Vec<NextAction>,
        available_in: Option<SignedDuration>,
    },
}

impl Policy {
    /// Verification comes before the rules, and makes nobody wait but the buyer.
    pub fn answer(&self, question: &Question) -> PolicyAnswer {
        if let Some(available_in) = question
            .verified_in
            .filter(|_| question.actor == Role::Buyer)
        {
            let next_actions = vec![NextAction::Wait, NextAction::ContactSeller];
            let verdict = Verdict::Deny {
                code: DenyCode::PaymentVerifying,
                next_actions,
                available_in: Some(available_in),
            };
            return PolicyAnswer {
                rule: Some(VERIFICATION_RULE.to_owned()),
                verdict,
            };
        }
        match self.rules.iter().find(|rule| rule.when.matches(question)) {
            Some(rule) => PolicyAnswer {
                rule: Some(rule.id.clone()),
                verdict: Verdict::from(&rule.then),
            },
            None => PolicyAnswer {
                rule: None,
                verdict: Verdict::Deny {
                    code: DenyCode::NotAllowed,
                    next_actions: Vec::new(),
                    available_in: None,
                },
            },
        }
    }

    /// The time until time alone turns a denial into a permission or back; `None` where it never
    /// does.
    pub fn turns_in(&self, question: &Question) -> Option<SignedDuration> {
        let is_allowed =
            |question: &Question| matches!(self.answer(question).verdict, Verdict::Allow { .. });
        let present = is_allowed(question);
        let bounds = self.rules.iter().flat_map(|rule| &rule.when.age);
        let mut instants: Vec<SignedDuration> = bounds
            .flat_map(|bound| {
                let age = question.since(bound.clock);
                let until = move |bound: SignedDuration| Some(bound.saturating_sub(age?));
                [
                    bound.at_least.and_then(until),
                    bound.less_than.and_then(until),
                ]
            })
            .chain([question.verified_in])
            .flatten()
            .filter(SignedDuration::is_positive)
            .collect();
        instants.sort_unstable();
        instants
            .into_iter()
            .find(|wait| is_allowed(&question.later(*wait)) != present)
    }
}

impl From<&Consequence> for Verdict {
    fn from(consequence: &Consequence) -> Self {
        match consequence {
            Consequence::Allow(Allow { gates, refund }) => Verdict::Allow {
                gates: gates.clone(),
                refund: *refund,
            },
            Consequence::Deny(Deny { code, next_actions }) => Verdict::Deny {
                code: *code,
                next_actions: next_actions.clone(),
                available_in: None,
            },
        }
    }
}

impl Condition {
    pub fn matches(&self, question: &Question) -> bool {
        let mut all = ConditionKey::ALL.iter();
        all.all(|key| self.holds(*key, question))
    }

    /// Whether what stands under this key lets the question through.
    pub(super) fn holds(&self, key: ConditionKey, question: &Question) -> bool {
        fn one_of<T: PartialEq>(accepted: &[T], asked: &T) -> bool {
            accepted.is_empty() || accepted.contains(asked)
        }
        fn equals(wanted: Option<bool>, is: bool) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        let carrier = question.carrier;
        match key {
            ConditionKey::Actor => one_of(&self.actor, &question.actor),
            ConditionKey::Stage => one_of(&self.stage, &question.stage),
            ConditionKey::Path => one_of(&self.path, &question.path),
            ConditionKey::Reason => {
                let asked = question.reason.as_ref();
                self.reason.is_empty() || asked.is_some_and(|reason| self.reason.contains(reason))
            }
            ConditionKey::Paid => equals(self.paid, question.paid),
            ConditionKey::PaymentMethod => {
                let mut paid_with = question.payment_methods.iter();
                self.payment_method.is_empty()
                    || paid_with.any(|method| self.payment_method.contains(method))
            }
            ConditionKey::Age => self.age.iter().all(|bound| bound.contains(question)),
            ConditionKey::ValueAtLeast => {
                let bound = self.value_at_least;
                bound.is_none_or(|bound| question.value >= bound)
            }
            ConditionKey::ValueLessThan => {
                let bound = self.value_less_than;
                bound.is_none_or(|bound| question.value < bound)
            }
            ConditionKey::DestinationCountry => {
                one_of(&self.destination_country, &question.destination_country)
            }
            ConditionKey::InTransitCancel => {
                equals(self.in_transit_cancel, carrier.in_transit_cancel)
            }
            ConditionKey::PartnerDelivery => {
                equals(self.partner_delivery, carrier.partner_delivery)
            }
            ConditionKey::ReturnLabel => equals(self.return_label, carrier.return_label),
            ConditionKey::CustomsFlagged => equals(self.customs_flagged, question.customs_flagged),
        }
    }
}

impl AgeBound {
    /// A clock that has not started is outside every window.
    fn contains(&self, question: &Question) -> bool {
        question.since(self.clock).is_some_and(|age| {
            self.at_least.is_none_or(|bound| age >= bound)
                && self.less_than.is_none_or(|bound| age < bound)
        })
    }
}
