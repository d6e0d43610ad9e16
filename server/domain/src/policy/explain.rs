//! Says why rules do not match: the same reading of conditions that decides, told.

use std::fmt::Display;

use super::evaluate::VERIFICATION_RULE;
use super::{AgeBound, Condition, ConditionKey, Policy, Question};

/// A rule before the one that answers, which did not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    pub rule: String,
    /// At least one.
    pub unmet: Vec<Unmet>,
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    pub condition: ConditionKey,
    /// What it wants, for people.
    pub wanted: String,
}

impl Policy {
    /// The rules before the one that answers, or all where none does; none where the question does
    /// not come to the rules.
    pub fn passed_over(&self, question: &Question) -> Vec<PassedOver> {
        if self.answer(question).rule.as_deref() == Some(VERIFICATION_RULE) {
            return Vec::new();
        }
        let before = self.rules.iter().map(|rule| PassedOver {
            rule: rule.id.clone(),
            unmet: rule.when.unmet(question),
        });
        before.take_while(|rule| !rule.unmet.is_empty()).collect()
    }
}

impl Condition {
    fn unmet(&self, question: &Question) -> Vec<Unmet> {
        let keys = ConditionKey::ALL.iter();
        let unmet = keys.filter(|key| !self.holds(**key, question));
        let told = unmet.map(|key| Unmet {
            condition: *key,
            wanted: self.wanted(*key),
        });
        told.collect()
    }

    /// What stands under this key; empty where nothing does.
    fn wanted(&self, key: ConditionKey) -> String {
        fn given(value: Option<impl Display>) -> String {
            value.map(|value| value.to_string()).unwrap_or_default()
        }
        match key {
            ConditionKey::Actor => list(&self.actor),
            ConditionKey::Stage => list(&self.stage),
            ConditionKey::Path => list(&self.path),
            ConditionKey::Reason => list(&self.reason),
            ConditionKey::Paid => given(self.paid),
            ConditionKey::PaymentMethod => list(&self.payment_method),
            ConditionKey::Age => list(&self.age),
            ConditionKey::ValueAtLeast => given(self.value_at_least),
            ConditionKey::ValueLessThan => given(self.value_less_than),
            ConditionKey::DestinationCountry => list(&self.destination_country),
            ConditionKey::InTransitCancel => given(self.in_transit_cancel),
            ConditionKey::PartnerDelivery => given(self.partner_delivery),
            ConditionKey::ReturnLabel => given(self.return_label),
            ConditionKey::CustomsFlagged => given(self.customs_flagged),
        }
    }
}

fn list(values: &[impl Display]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(", ")
}

impl Display for AgeBound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.clock)?;
        if let Some(bound) = self.at_least {
            write!(f, " at least {bound:#}")?;
        }
        match self.less_than {
            Some(bound) if self.at_least.is_some() => write!(f, " and less than {bound:#}"),
            Some(bound) => write!(f, " less than {bound:#}"),
            None => Ok(()),
        }
    }
}
