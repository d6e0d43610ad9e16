//! The results of a simulation, as messages.

use belay_domain::commands::PreviewedGate;
use belay_domain::error_reason::ErrorReason;
use belay_domain::ids::{ChildKind, OrderId};
use belay_domain::policy::{Question, Verdict};
use belay_domain::simulation::{
    Case, CasePortion, Compared, PathAnswer, SimulatedOutcome, Summary, Transitions,
};
use belay_proto::v1 as pb;
use jiff::Timestamp;

use super::cancellation::{gate_preview, reason_name};
use crate::Wire as _;
use crate::enums::numbers;
use crate::values::{count, duration, line_quantities, time};

/// A case of a decision on this order.
pub fn case(order: &OrderId, decision_time: Timestamp, case: &Case) -> pb::SimulatedCase {
    let portion = |of: &CasePortion| portion(order, &case.currency, of);
    let cancellation = case.cancellation;
    pb::SimulatedCase {
        decision_time: Some(time(decision_time)),
        order_id: order.to_string(),
        cancellation_id: cancellation
            .map(|number| ChildKind::Cancellation.id(order, number))
            .unwrap_or_default(),
        occasion: case.occasion.number(),
        policy_version: count(case.policy_version),
        portions: case.portions.iter().map(portion).collect(),
        recorded: Some(outcome(&case.currency, &case.recorded)),
        draft: Some(outcome(&case.currency, &case.draft)),
        differs: case.differs(),
    }
}

/// How far it is.
pub fn progress(decisions: u64, decision_time: Option<Timestamp>) -> pb::SimulationProgress {
    pb::SimulationProgress {
        decisions: long(decisions),
        decision_time: decision_time.map(time),
    }
}

/// The sum of what was replayed before `left_off`, or of all.
pub fn summary(
    summary: &Summary,
    unreported_cases: u64,
    left_off: Option<Timestamp>,
) -> pb::SimulationSummary {
    let refunds = summary.refunds.iter();
    let not_replayed = summary.not_replayed.iter();
    pb::SimulationSummary {
        decisions: long(summary.decisions),
        questions: long(summary.questions),
        cases: Some(transitions(summary.cases)),
        reevaluations: Some(transitions(summary.reevaluations)),
        differing: long(summary.differing),
        refunds: refunds
            .map(
                |(currency, Compared { recorded, draft })| pb::ComparedMoney {
                    recorded: Some(money(currency, *recorded)),
                    draft: Some(money(currency, *draft)),
                },
            )
            .collect(),
        counted: Some(pb::ComparedCount {
            recorded: summary.counted.recorded,
            draft: summary.counted.draft,
        }),
        not_replayed: not_replayed
            .map(|(reason, count)| pb::NotReplayedCount {
                reason: reason.number(),
                count: long(*count),
            })
            .collect(),
        unreported_cases: long(unreported_cases),
        left_off_time: left_off.map(time),
    }
}

fn transitions(of: Transitions) -> pb::SimulatedTransitions {
    pb::SimulatedTransitions {
        stay_allowed: long(of.stay_allowed),
        become_denied: long(of.become_denied),
        become_allowed: long(of.become_allowed),
        stay_denied: long(of.stay_denied),
    }
}

fn portion(order: &OrderId, currency: &str, portion: &CasePortion) -> pb::SimulatedPortion {
    let draft = portion.draft.as_ref();
    pb::SimulatedPortion {
        shipment_id: ChildKind::Shipment.id(order, portion.shipment),
        contents: line_quantities(order, &portion.units),
        question: Some(question(&portion.question)),
        recorded: Some(answer(currency, &portion.recorded)),
        draft: draft.map(|draft| answer(currency, draft)),
    }
}

pub(super) fn question(question: &Question) -> pb::PolicyQuestion {
    pb::PolicyQuestion {
        requester: question.actor.number(),
        stage: question.stage.number(),
        path: question.path.number(),
        reason: question.reason.clone().unwrap_or_default(),
        paid: question.paid,
        payment_methods: question.payment_methods.clone(),
        since_placed: Some(duration(question.since_placed)),
        since_paid: question.since_paid.map(duration),
        since_delivered: question.since_delivered.map(duration),
        value: Some(money(&question.currency, question.value)),
        destination_country: question.destination_country.clone(),
        in_transit_cancel: question.carrier.in_transit_cancel,
        partner_delivery: question.carrier.partner_delivery,
        return_label: question.carrier.return_label,
        customs_flagged: question.customs_flagged,
        verified_in: question.verified_in.map(duration),
    }
}

pub(super) fn answer(currency: &str, answer: &PathAnswer) -> pb::PolicyAnswer {
    let told = pb::PolicyAnswer {
        path: answer.path.number(),
        rule: answer.rule.clone().unwrap_or_default(),
        refund: Some(money(currency, answer.refund)),
        ..pb::PolicyAnswer::default()
    };
    match &answer.verdict {
        Verdict::Allow { gates, .. } => {
            let gates = gates.iter().map(|spec| PreviewedGate {
                spec: spec.clone(),
                respond_by: None,
            });
            pb::PolicyAnswer {
                allowed: true,
                gates: gates.map(|gate| gate_preview(&gate)).collect(),
                ..told
            }
        }
        Verdict::Deny {
            code, next_actions, ..
        } => pb::PolicyAnswer {
            denied_reason: code.reason().name().to_owned(),
            next_actions: numbers(next_actions),
            ..told
        },
    }
}

fn outcome(currency: &str, outcome: &SimulatedOutcome) -> pb::SimulatedOutcome {
    let denied: Option<ErrorReason> = outcome.denied;
    pb::SimulatedOutcome {
        allowed: denied.is_none(),
        denied_reason: reason_name(denied),
        refund: Some(money(currency, outcome.refund)),
        fault: outcome.fault.map_or(0, |fault| fault.number()),
        counted: outcome.counted,
    }
}

/// In the currency as it is on record.
fn money(currency: &str, minor_units: i64) -> pb::Money {
    pb::Money {
        currency_code: currency.to_owned(),
        minor_units,
    }
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
