//! Simulation: what a draft of a policy would have answered to what was really asked.
//!
//! The decision log is put to the draft, case by case, and the answers are compared. Each case is
//! answered for itself, as the order stood then: what would have followed from another answer, it
//! does not know.

use std::collections::BTreeMap;

use crate::actor::Role;
use crate::cancellation::PARCEL_RETURNED;
use crate::commands::{check_proof, check_reason};
use crate::decision::{AskedQuestion, DecisionLog, LoggedEvaluation, Occasion, RequestTerms};
use crate::error_reason::ErrorReason;
use crate::lifecycle::refund_of::RefundTerms;
use crate::money::Amounts;
use crate::names::named_enum;
use crate::order::{Line, percentage_of};
use crate::policy::{Policies, Policy, Question, Verdict};
use crate::terms::{Fault, Path, RefundPlan};
use crate::units::UnitSet;

/// A simulation: a draft, beside the policies that really decided.
#[derive(Debug, Clone, Copy)]
pub struct Simulation<'a> {
    pub policies: &'a Policies,
    pub draft: &'a Policy,
    pub filter: &'a CaseFilter,
}

/// The cases that are to be replayed; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseFilter {
    pub requester: Option<Role>,
    pub reason: Option<String>,
}

/// A decision as it is on record.
#[derive(Debug, Clone, Copy)]
pub struct RecordedDecision<'a> {
    pub accepted: bool,
    pub log: &'a DecisionLog,
    /// What was bought with the order.
    pub lines: &'a [Line],
}

/// A case: what was decided together, under the policy that was asked and under the draft.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    pub occasion: Occasion,
    /// The cancellation that it is about; none where a request was rejected.
    pub cancellation: Option<u32>,
    pub requester: Role,
    pub reason: Option<String>,
    /// The version that was asked.
    pub policy_version: u32,
    /// How many questions it was asked.
    pub questions: u64,
    /// Of all money of the case.
    pub currency: String,
    pub portions: Vec<CasePortion>,
    pub recorded: SimulatedOutcome,
    pub draft: SimulatedOutcome,
}

/// The units of a case in one shipment.
#[derive(Debug, Clone, PartialEq)]
pub struct CasePortion {
    pub shipment: u32,
    pub units: UnitSet,
    /// As it was asked first.
    pub question: Question,
    pub recorded: PathAnswer,
    /// None where the draft rejects the request before any of its rules is asked.
    pub draft: Option<PathAnswer>,
}

/// The answer that counts: for the first path that is allowed, and for the first path where none
/// is.
#[derive(Debug, Clone, PartialEq)]
pub struct PathAnswer {
    pub path: Path,
    pub rule: Option<String>,
    pub verdict: Verdict,
    /// What would go back to the buyer, in minor units: nothing of an order that is not paid.
    pub refund: i64,
}

/// The outcome of a case as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimulatedOutcome {
    /// The reason why nothing of it is allowed; none where it is.
    pub denied: Option<ErrorReason>,
    /// Of all portions that are allowed, in minor units.
    pub refund: i64,
    /// The party at fault, where it is allowed and a reason was given.
    pub fault: Option<Fault>,
    /// It is allowed, and counts against the seller's quality.
    pub counted: bool,
}

named_enum! {
    /// The reason why a case could not be replayed.
    pub enum NotReplayed {
        /// An earlier release recorded it, with less than it takes.
        EarlierFormat = "EARLIER_FORMAT",
        /// The policy allowed it, and it was rejected for something else.
        RejectedOtherwise = "REJECTED_OTHERWISE",
        /// This server has not heard yet of the version that was asked.
        VersionUnknown = "VERSION_UNKNOWN",
    }
}

/// The numbers of cases that were allowed and denied, on record and under the draft.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transitions {
    pub stay_allowed: u64,
    pub become_denied: u64,
    pub become_allowed: u64,
    pub stay_denied: u64,
}

/// A sum on record and under the draft.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    pub recorded: i64,
    pub draft: i64,
}

/// The sum of a simulation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub decisions: u64,
    /// Questions on record that were put to the draft.
    pub questions: u64,
    pub cases: Transitions,
    /// Of parts that waited. They are no cases of their own: their money and whether they count is
    /// told with the request.
    pub reevaluations: Transitions,
    /// Cases and re-evaluations that differ in whatever.
    pub differing: u64,
    /// By currency, in minor units.
    pub refunds: BTreeMap<String, Compared>,
    /// Cases that count against the seller's quality.
    pub counted: Compared,
    pub not_replayed: BTreeMap<NotReplayed, u64>,
}

impl Simulation<'_> {
    /// The cases of a decision that match the filter, in their order.
    pub fn replay(&self, decision: &RecordedDecision<'_>) -> Vec<Result<Case, NotReplayed>> {
        let evaluations = decision.log.evaluations.iter();
        let of = |occasion: Occasion| {
            let evaluations = evaluations.clone();
            evaluations.filter(move |evaluation| evaluation.occasion == occasion)
        };
        // What a request asks is decided together, and so is what support resolves.
        let together = [Occasion::Request, Occasion::Resolution];
        let together = together.map(|occasion| of(occasion).collect::<Vec<_>>());
        let single = [Occasion::Return, Occasion::Reevaluation].into_iter();
        let single = single.flat_map(of).map(|evaluation| vec![evaluation]);
        together
            .into_iter()
            .chain(single)
            .filter_map(|evaluations| self.case(decision, &evaluations))
            .collect()
    }

    /// None where there is nothing, or the filter leaves it out.
    fn case(
        &self,
        decision: &RecordedDecision<'_>,
        evaluations: &[&LoggedEvaluation],
    ) -> Option<Result<Case, NotReplayed>> {
        let first = evaluations.first()?;
        let Some(AskedQuestion { question, .. }) = first.asked.first() else {
            return Some(Err(NotReplayed::EarlierFormat));
        };
        if !self.filter.matches(question) {
            return None;
        }
        let Some(policy) = self.policies.version(first.policy_version) else {
            return Some(Err(NotReplayed::VersionUnknown));
        };
        let request = match (first.occasion, &decision.log.request) {
            (Occasion::Request, None) => return Some(Err(NotReplayed::EarlierFormat)),
            (Occasion::Request, request) => request.as_ref(),
            (Occasion::Return | Occasion::Resolution | Occasion::Reevaluation, _) => None,
        };
        let recorded = evaluations.iter().map(|of| recorded(decision, of, policy));
        let Some(recorded) = recorded.collect::<Option<Vec<PathAnswer>>>() else {
            return Some(Err(NotReplayed::EarlierFormat));
        };
        let outcome = outcome(first.occasion, request, policy, question, &recorded);
        if request.is_some() && outcome.denied.is_none() && !decision.accepted {
            return Some(Err(NotReplayed::RejectedOtherwise));
        }
        let (drafted, under_draft) = self.under_draft(decision, evaluations, request);
        let portions = evaluations.iter().zip(recorded).zip(drafted);
        let portions = portions.filter_map(|((evaluation, recorded), draft)| {
            Some(CasePortion {
                shipment: evaluation.shipment,
                units: evaluation.units.clone(),
                question: evaluation.asked.first()?.question.clone(),
                recorded,
                draft,
            })
        });
        let questions: usize = evaluations.iter().map(|of| of.asked.len()).sum();
        Some(Ok(Case {
            occasion: first.occasion,
            cancellation: first.cancellation,
            requester: question.actor,
            reason: question.reason.clone(),
            policy_version: first.policy_version,
            questions: u64::try_from(questions).unwrap_or(u64::MAX),
            currency: question.currency.clone(),
            portions: portions.collect(),
            recorded: outcome,
            draft: under_draft,
        }))
    }

    /// Decides as a request is decided: first whether the draft takes its reason, from this
    /// requester and with this proof, then portion by portion.
    fn under_draft(
        &self,
        decision: &RecordedDecision<'_>,
        evaluations: &[&LoggedEvaluation],
        request: Option<&RequestTerms>,
    ) -> (Vec<Option<PathAnswer>>, SimulatedOutcome) {
        let draft = self.draft;
        let question = &evaluations[0].asked[0].question;
        if let Some(request) = request {
            let reason = check_reason(draft, question.reason.as_deref(), question.actor);
            let checked = reason.and_then(|reason| check_proof(reason, &request.proof));
            if let Err(rejection) = checked {
                let answers = evaluations.iter().map(|_| None).collect();
                return (answers, SimulatedOutcome::denied(rejection.reason()));
            }
        }
        let occasion = evaluations[0].occasion;
        // A parcel that comes home has its reason where the policy declares it.
        let question = match occasion {
            Occasion::Return | Occasion::Resolution => Question {
                reason: draft.reason(PARCEL_RETURNED).map(|of| of.code.clone()),
                ..question.clone()
            },
            Occasion::Request | Occasion::Reevaluation => question.clone(),
        };
        let answers = evaluations.iter().map(|evaluation| {
            let asked = evaluation.asked.iter().map(|asked| asked.question.path);
            let paths = asked.chain(evaluation.untried.iter().copied());
            let answer = |path| {
                let question = Question {
                    path,
                    reason: question.reason.clone(),
                    ..evaluation.asked[0].question.clone()
                };
                let answer = draft.answer(&question);
                (question, answer.rule, answer.verdict)
            };
            counting(decision, evaluation, draft, paths.map(answer))
        });
        let answers: Vec<PathAnswer> = answers.flatten().collect();
        let outcome = outcome(occasion, request, draft, &question, &answers);
        (answers.into_iter().map(Some).collect(), outcome)
    }
}

/// What a policy answered to one question, as it is on record, with the refund that it came to.
pub fn recorded_answer(
    decision: &RecordedDecision<'_>,
    evaluation: &LoggedEvaluation,
    policy: Option<&Policy>,
    asked: &AskedQuestion,
) -> PathAnswer {
    let refund = match (&asked.answer, policy) {
        (Verdict::Allow { refund, .. }, Some(policy)) => {
            refund_of(decision, evaluation, policy, &asked.question, *refund)
        }
        (Verdict::Allow { .. }, None) | (Verdict::Deny { .. }, _) => 0,
    };
    PathAnswer {
        path: asked.question.path,
        rule: asked.rule.clone(),
        verdict: asked.answer.clone(),
        refund,
    }
}

fn recorded(
    decision: &RecordedDecision<'_>,
    evaluation: &LoggedEvaluation,
    policy: &Policy,
) -> Option<PathAnswer> {
    let asked = evaluation.asked.iter().cloned();
    let answers = asked.map(|asked| (asked.question, asked.rule, asked.answer));
    counting(decision, evaluation, policy, answers)
}

/// Of the answers to a portion, path by path, the one that counts. None where there is no answer.
fn counting(
    decision: &RecordedDecision<'_>,
    evaluation: &LoggedEvaluation,
    policy: &Policy,
    answers: impl Iterator<Item = (Question, Option<String>, Verdict)>,
) -> Option<PathAnswer> {
    let mut first_denied = None;
    for (question, rule, verdict) in answers {
        // Support pays whatever the policy says.
        let verdict = match (evaluation.occasion, verdict) {
            (Occasion::Resolution, Verdict::Deny { .. }) => Verdict::Allow {
                gates: Vec::new(),
                refund: RefundPlan::FULL,
            },
            (_, verdict) => verdict,
        };
        let refund = match &verdict {
            Verdict::Allow { refund, .. } => {
                refund_of(decision, evaluation, policy, &question, *refund)
            }
            Verdict::Deny { .. } => 0,
        };
        let is_allowed = matches!(verdict, Verdict::Allow { .. });
        let answer = PathAnswer {
            path: question.path,
            rule,
            verdict,
            refund,
        };
        if is_allowed {
            return Some(answer);
        }
        first_denied.get_or_insert(answer);
    }
    first_denied
}

fn refund_of(
    decision: &RecordedDecision<'_>,
    evaluation: &LoggedEvaluation,
    policy: &Policy,
    question: &Question,
    plan: RefundPlan,
) -> i64 {
    if !evaluation.refund.is_paid {
        return 0;
    }
    let terms = RefundTerms {
        plan,
        path: question.path,
        reason: question.reason.as_deref(),
    };
    // Only the sum is asked for, so it does not matter what it was paid for.
    let carried = Amounts {
        goods: question.value,
        ..Amounts::ZERO
    };
    let percentage = |percent| percentage_of(decision.lines, &evaluation.units, percent);
    let refund = evaluation
        .refund
        .refund(policy, &terms, carried, percentage);
    refund.amounts.total()
}

fn outcome(
    occasion: Occasion,
    request: Option<&RequestTerms>,
    policy: &Policy,
    question: &Question,
    answers: &[PathAnswer],
) -> SimulatedOutcome {
    let mut are_allowed = answers.iter().map(PathAnswer::is_allowed);
    let is_accepted = match request {
        Some(request) => request.on_ineligible_units.accepts(are_allowed),
        None => are_allowed.any(|is_allowed| is_allowed),
    };
    if !is_accepted {
        let mut reasons = answers.iter().filter_map(PathAnswer::denied);
        return SimulatedOutcome::denied(reasons.next().unwrap_or(ErrorReason::NotAllowed));
    }
    let reason = question.reason.as_deref();
    let declared = reason.and_then(|reason| policy.reason(reason));
    let otherwise = match occasion {
        Occasion::Return | Occasion::Resolution => Some(Fault::Carrier),
        Occasion::Request | Occasion::Reevaluation => reason.map(|_| Fault::None),
    };
    SimulatedOutcome {
        denied: None,
        refund: answers.iter().map(|answer| answer.refund).sum(),
        fault: declared.map(|reason| reason.fault).or(otherwise),
        counted: declared.is_some_and(|reason| reason.counted),
    }
}

impl CaseFilter {
    fn matches(&self, question: &Question) -> bool {
        self.requester.is_none_or(|role| role == question.actor)
            && (self.reason.is_none() || self.reason == question.reason)
    }
}

impl PathAnswer {
    pub fn is_allowed(&self) -> bool {
        self.denied().is_none()
    }

    fn denied(&self) -> Option<ErrorReason> {
        match &self.verdict {
            Verdict::Allow { .. } => None,
            Verdict::Deny { code, .. } => Some(code.reason()),
        }
    }

    /// A rule that is only called differently makes no difference.
    fn differs(&self, other: &PathAnswer) -> bool {
        (self.path, &self.verdict, self.refund) != (other.path, &other.verdict, other.refund)
    }
}

impl SimulatedOutcome {
    fn denied(reason: ErrorReason) -> Self {
        Self {
            denied: Some(reason),
            refund: 0,
            fault: None,
            counted: false,
        }
    }
}

impl Case {
    /// Whether the draft makes a difference to anybody.
    pub fn differs(&self) -> bool {
        let is_other = |portion: &CasePortion| {
            let draft = portion.draft.as_ref();
            draft.is_none_or(|draft| draft.differs(&portion.recorded))
        };
        self.recorded != self.draft || self.portions.iter().any(is_other)
    }
}

impl Transitions {
    fn add(&mut self, case: &Case) {
        let count = match (case.recorded.denied, case.draft.denied) {
            (None, None) => &mut self.stay_allowed,
            (None, Some(_)) => &mut self.become_denied,
            (Some(_), None) => &mut self.become_allowed,
            (Some(_), Some(_)) => &mut self.stay_denied,
        };
        *count += 1;
    }
}

impl Summary {
    /// Adds what was asked in a case. A sum of money that is larger than any stays at that.
    pub fn add(&mut self, case: &Case) {
        self.questions += case.questions;
        self.differing += u64::from(case.differs());
        if case.occasion == Occasion::Reevaluation {
            self.reevaluations.add(case);
            return;
        }
        self.cases.add(case);
        let (recorded, draft) = (&case.recorded, &case.draft);
        self.counted.recorded += i64::from(recorded.counted);
        self.counted.draft += i64::from(draft.counted);
        if (recorded.refund, draft.refund) != (0, 0) {
            let sum = self.refunds.entry(case.currency.clone()).or_default();
            sum.recorded = sum.recorded.saturating_add(recorded.refund);
            sum.draft = sum.draft.saturating_add(draft.refund);
        }
    }

    pub fn leave_out(&mut self, reason: NotReplayed) {
        *self.not_replayed.entry(reason).or_default() += 1;
    }
}
