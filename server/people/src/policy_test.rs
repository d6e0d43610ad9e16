//! Questions with their expected answers, put to a policy: what a store relies on, kept beside its
//! document.

use std::collections::BTreeSet;

use belay_domain::actor::Role;
use belay_domain::policy::{self, CarrierCapabilities, Policy, PolicyAnswer, Question, Verdict};
use belay_domain::presets;
use belay_domain::shipment::Stage;
use belay_domain::terms::{DenyCode, GateKind, NextAction, Path, RefundShare};
use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};

/// A file of questions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Questions {
    /// The preset that is asked.
    preset: Option<String>,
    /// Or the document, by its path from this file.
    policy: Option<String>,
    questions: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    ask: Ask,
    expect: Expected,
}

/// A question; what is left out is the usual: paid an hour ago, nothing special about the carrier.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    actor: Role,
    stage: Stage,
    path: Path,
    reason: Option<String>,
    #[serde(default = "yes")]
    paid: bool,
    #[serde(default)]
    payment_methods: Vec<String>,
    #[serde(default, deserialize_with = "duration")]
    since_placed: Option<SignedDuration>,
    #[serde(default, deserialize_with = "duration")]
    since_paid: Option<SignedDuration>,
    #[serde(default, deserialize_with = "duration")]
    since_delivered: Option<SignedDuration>,
    #[serde(default, deserialize_with = "duration")]
    verified_in: Option<SignedDuration>,
    #[serde(default = "value")]
    value: i64,
    #[serde(default = "country")]
    destination_country: String,
    #[serde(default)]
    in_transit_cancel: bool,
    #[serde(default)]
    partner_delivery: bool,
    #[serde(default)]
    return_label: bool,
    #[serde(default)]
    customs_flagged: bool,
}

/// An expected answer: `allow` with the share that comes back, or `deny` with its code. What is
/// left out may be whatever it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    allow: Option<RefundShare>,
    deny: Option<DenyCode>,
    rule: Option<String>,
    gates: Option<Vec<GateKind>>,
    next_actions: Option<Vec<NextAction>>,
    /// How long until time alone turns the answer.
    #[serde(default, deserialize_with = "duration")]
    turns_in: Option<SignedDuration>,
}

fn yes() -> bool {
    true
}

fn value() -> i64 {
    10_000
}

fn country() -> String {
    "DE".to_owned()
}

/// As a policy writes it: 24h, 15m; and days of 24 hours.
fn duration<'de, D: Deserializer<'de>>(text: D) -> Result<Option<SignedDuration>, D::Error> {
    use serde::de::Error as _;
    let text = String::deserialize(text)?;
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<i32>().ok());
    if let Some(days) = days {
        return Ok(Some(SignedDuration::from_hours(24) * days));
    }
    let parsed: Result<SignedDuration, _> = text.parse();
    let malformed = |_| D::Error::custom(format!("{text} is no duration such as 24h or 15d"));
    parsed.map(Some).map_err(malformed)
}

/// The results of a file of questions.
#[derive(Debug, PartialEq, Eq)]
pub struct TestedPolicy {
    pub questions: usize,
    /// In words, each with what was expected and what was answered.
    pub failures: Vec<String>,
    /// Rules that no question met.
    pub unasked_rules: Vec<String>,
}

/// Puts the questions of a file to the policy that it names. `read` gives the document of a path.
///
/// # Errors
/// In words, where the file is malformed, or its policy is not there or not valid.
pub fn test_policy(
    text: &str,
    read: impl Fn(&str) -> Result<String, String>,
) -> Result<TestedPolicy, String> {
    let file: Questions = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let document = match (&file.preset, &file.policy) {
        (Some(preset), None) => presets::find(preset)
            .ok_or_else(|| format!("there is no preset {preset}"))?
            .to_owned(),
        (None, Some(path)) => read(path)?,
        (Some(_), Some(_)) | (None, None) => {
            return Err("name one of preset and policy".to_owned());
        }
    };
    let policy = policy::parse(&document).map_err(|errors| {
        let first = errors.first();
        let first = first.map(|error| format!("{}: {}", error.path, error.description));
        format!("the policy is not valid: {}", first.unwrap_or_default())
    })?;
    let (mut failures, mut met) = (Vec::new(), BTreeSet::new());
    for (number, case) in file.questions.iter().enumerate() {
        if case.expect.allow.is_some() == case.expect.deny.is_some() {
            return Err(format!(
                "questions[{number}].expect: name one of allow and deny"
            ));
        }
        let question = case.ask.question();
        let answer = policy.answer(&question);
        let wrong = case.expect.wrong(&policy, &question, &answer);
        met.extend(answer.rule);
        if !wrong.is_empty() {
            let name = case.name.as_deref().unwrap_or("without a name");
            failures.push(format!("{number} ({name}): {}", wrong.join("; ")));
        }
    }
    let ids = policy.rules.iter().map(|rule| &rule.id);
    Ok(TestedPolicy {
        questions: file.questions.len(),
        failures,
        unasked_rules: ids.filter(|id| !met.contains(*id)).cloned().collect(),
    })
}

/// Of what is paid, and of an order that was placed.
const USUAL_AGE: SignedDuration = SignedDuration::from_hours(1);

impl Ask {
    fn question(&self) -> Question {
        let since_paid = self.since_paid.unwrap_or(USUAL_AGE);
        Question {
            actor: self.actor,
            stage: self.stage,
            path: self.path,
            reason: self.reason.clone(),
            paid: self.paid,
            payment_methods: self.payment_methods.clone(),
            // An order is never younger than its payment.
            since_placed: self.since_placed.unwrap_or(since_paid),
            since_paid: self.paid.then_some(since_paid),
            since_delivered: self.since_delivered,
            value: self.value,
            currency: "EUR".to_owned(),
            destination_country: self.destination_country.clone(),
            carrier: CarrierCapabilities {
                in_transit_cancel: self.in_transit_cancel,
                partner_delivery: self.partner_delivery,
                return_label: self.return_label,
            },
            verified_in: self.verified_in,
            customs_flagged: self.customs_flagged,
        }
    }
}

impl Expected {
    /// What is otherwise than expected.
    fn wrong(&self, policy: &Policy, question: &Question, answer: &PolicyAnswer) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut check = |what: &str, expected: Option<String>, is: String| {
            if let Some(expected) = expected.filter(|expected| *expected != is) {
                wrong.push(format!("{what} is {is}, expected {expected}"));
            }
        };
        let (verdict, gates, next_actions) = match &answer.verdict {
            Verdict::Allow { gates, refund } => {
                let kinds: Vec<GateKind> = gates.iter().map(|gate| gate.kind).collect();
                (format!("allow {}", refund.share), kinds, Vec::new())
            }
            Verdict::Deny {
                code, next_actions, ..
            } => (format!("deny {code}"), Vec::new(), next_actions.clone()),
        };
        let allow = self.allow.map(|share| format!("allow {share}"));
        let deny = self.deny.map(|code| format!("deny {code}"));
        check("the answer", allow.or(deny), verdict);
        let rule = answer.rule.as_deref().unwrap_or("none");
        check("the rule", self.rule.clone(), rule.to_owned());
        let listed = |gates: &Vec<GateKind>| format!("{gates:?}");
        check("gates", self.gates.as_ref().map(listed), listed(&gates));
        let listed = |actions: &Vec<NextAction>| format!("{actions:?}");
        let expected = self.next_actions.as_ref().map(listed);
        check("next_actions", expected, listed(&next_actions));
        let told = |turns: SignedDuration| format!("{turns:#}");
        let turns = policy.turns_in(question);
        let turns = turns.map_or_else(|| "never".to_owned(), told);
        check("turns_in", self.turns_in.map(told), turns);
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tested(questions: &str) -> Result<TestedPolicy, String> {
        test_policy(questions, |path| Err(format!("no {path} here")))
    }

    const ASK: &str = "{actor: BUYER, stage: READY, path: CANCEL}";

    fn one(expect: &str) -> TestedPolicy {
        let file = format!(
            "preset: independent-site\nquestions: [{{name: it, ask: {ASK}, expect: {expect}}}]"
        );
        tested(&file).unwrap()
    }

    #[test]
    fn what_is_otherwise_is_told() {
        let right = one("{allow: FULL, rule: before-dispatch, gates: []}");
        assert_eq!((right.questions, right.failures), (1, Vec::new()));
        assert!(right.unasked_rules.contains(&"shipped".to_owned()));
        for (expect, told) in [
            (
                "{deny: SHIPPED}",
                "the answer is allow FULL, expected deny SHIPPED",
            ),
            (
                "{allow: NONE}",
                "the answer is allow FULL, expected allow NONE",
            ),
            (
                "{allow: FULL, rule: shipped}",
                "the rule is before-dispatch, expected shipped",
            ),
            (
                "{allow: FULL, gates: [SELLER_CONSENT]}",
                "gates is [], expected [SellerConsent]",
            ),
            (
                "{allow: FULL, turns_in: 2d}",
                "turns_in is never, expected 48h",
            ),
        ] {
            assert_eq!(one(expect).failures, [format!("0 (it): {told}")]);
        }
    }

    #[test]
    fn a_malformed_file_is_told() {
        for (file, told) in [
            ("questions: []", "name one of preset and policy"),
            (
                "preset: nowhere\nquestions: []",
                "there is no preset nowhere",
            ),
            ("policy: p.yaml\nquestions: []", "no p.yaml here"),
            ("preset: independent-site\nquestion: []", "question"),
        ] {
            let error = tested(file).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let both = format!("preset: independent-site\nquestions: [{{ask: {ASK}, expect: {{}}}}]");
        assert!(tested(&both).unwrap_err().contains("allow and deny"));
    }

    #[test]
    fn every_preset_answers_as_its_questions_expect() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../presets/tests");
        for (name, _) in presets::ALL {
            let file = std::fs::read_to_string(format!("{folder}/{name}.yaml")).unwrap();
            assert!(file.contains(&format!("preset: {name}\n")));
            let tested = tested(&file).unwrap();
            assert_eq!(tested.failures, Vec::<String>::new(), "{name}");
            assert_eq!(tested.unasked_rules, Vec::<String>::new(), "{name}");
        }
    }
}
