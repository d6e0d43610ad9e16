//! Decisions as they are on record, with what their policies say of them.

use belay_domain::actor::Role;
use belay_domain::decision::LoggedEvaluation;
use belay_domain::decision::{AskedQuestion, DecisionLog};
use belay_domain::ids::{ChildKind, OrderId, StoreId};
use belay_domain::order::Line;
use belay_domain::policy::{PassedOver, Policies, Policy, Unmet};
use belay_domain::records::RequestKey;
use belay_domain::simulation::{RecordedDecision, recorded_answer};
use belay_proto::v1 as pb;
use jiff::Timestamp;
use prost::Message as _;

use super::cancellation::reason_name;
use super::simulation::{answer, question};
use crate::Wire as _;
use crate::enums::numbers;
use crate::values::{count, line_quantities, time};

/// Bytes of rules that were passed over, of one decision: its answers take the rest of a message.
pub const PASSED_OVER_BYTES_MAX: usize = 512 * 1024;

/// A decision as it is on record.
#[derive(Debug, Clone, Copy)]
pub struct DecisionRecord<'a> {
    pub order: &'a OrderId,
    /// What was bought with it.
    pub lines: &'a [Line],
    pub key: &'a RequestKey,
    pub decision_time: Timestamp,
    pub accepted: bool,
    /// The log, as JSON.
    pub record: &'a str,
}

/// A request that was rejected, as the history of its order tells of it.
pub fn rejected_request(store: &StoreId, stored: &DecisionRecord<'_>) -> pb::Event {
    let log = serde_json::from_str::<DecisionLog>(stored.record).ok();
    let log = log.as_ref();
    let policy_version = log.and_then(|log| Some(log.evaluations.first()?.policy_version));
    let reason = reason_name(log.and_then(|log| log.rejected));
    pb::Event {
        event_type: pb::EventType::RequestRejected.into(),
        store_id: store.to_string(),
        order_id: stored.order.to_string(),
        event_time: Some(time(stored.decision_time)),
        actor: Some(caller(stored.key)),
        policy_version: count(policy_version.unwrap_or_default()),
        cause: stored.key.request_id.hyphenated().to_string(),
        detail: Some(pb::event::Detail::RequestRejected(pb::RequestRejected {
            reason,
        })),
        ..pb::Event::default()
    }
}

fn caller(key: &RequestKey) -> pb::Actor {
    let (role, id) = key.caller_parts();
    let role = Role::parse(role);
    pb::Actor {
        role: role.map_or(0, |role| role.number()),
        // Belay itself has no id.
        id: match role {
            Some(Role::System) => String::new(),
            Some(_) | None => id.to_owned(),
        },
    }
}

pub fn decision(stored: &DecisionRecord<'_>, policies: &Policies) -> pb::PolicyDecision {
    let told = pb::PolicyDecision {
        order_id: stored.order.to_string(),
        request_id: stored.key.request_id.hyphenated().to_string(),
        caller: Some(caller(stored.key)),
        decision_time: Some(time(stored.decision_time)),
        accepted: stored.accepted,
        ..pb::PolicyDecision::default()
    };
    let Ok(log) = serde_json::from_str::<DecisionLog>(stored.record) else {
        return pb::PolicyDecision {
            earlier_format: true,
            ..told
        };
    };
    let mut room = PASSED_OVER_BYTES_MAX;
    let evaluations = log.evaluations.iter();
    let evaluations = evaluations.map(|of| evaluation(stored, &log, of, policies, &mut room));
    pb::PolicyDecision {
        rejected_reason: reason_name(log.rejected),
        evaluations: evaluations.collect(),
        ..told
    }
}

fn evaluation(
    stored: &DecisionRecord<'_>,
    log: &DecisionLog,
    of: &LoggedEvaluation,
    policies: &Policies,
    room: &mut usize,
) -> pb::PolicyEvaluation {
    let decision = RecordedDecision {
        accepted: stored.accepted,
        log,
        lines: stored.lines,
    };
    let policy = policies.version(of.policy_version).map(AsRef::as_ref);
    let paths = of.asked.iter().map(|asked| {
        let recorded = recorded_answer(&decision, of, policy, asked);
        pb::EvaluatedPath {
            question: Some(question(&asked.question)),
            answer: Some(answer(&asked.question.currency, &recorded)),
            ..why(stored.decision_time, policy, asked, room)
        }
    });
    let cancellation = of.cancellation;
    pb::PolicyEvaluation {
        occasion: of.occasion.number(),
        policy_version: count(of.policy_version),
        cancellation_id: cancellation
            .map(|number| ChildKind::Cancellation.id(stored.order, number))
            .unwrap_or_default(),
        shipment_id: ChildKind::Shipment.id(stored.order, of.shipment),
        contents: line_quantities(stored.order, &of.units),
        paths: paths.collect(),
        untried_paths: numbers(&of.untried),
        version_known: policy.is_some(),
    }
}

/// What is not on record, as far as there is room for it.
fn why(
    decision_time: Timestamp,
    policy: Option<&Policy>,
    asked: &AskedQuestion,
    room: &mut usize,
) -> pb::EvaluatedPath {
    let Some(policy) = policy else {
        return pb::EvaluatedPath::default();
    };
    let mut told = pb::EvaluatedPath::default();
    for rule in policy.passed_over(&asked.question).iter().map(passed_over) {
        match room.checked_sub(rule.encoded_len()) {
            Some(left) => {
                *room = left;
                told.passed_over.push(rule);
            }
            None => told.passed_over_left_out += 1,
        }
    }
    let turns = policy.turns_in(&asked.question);
    let turns = turns.and_then(|turns| decision_time.checked_add(turns).ok());
    told.turn_time = turns.map(time);
    told
}

fn passed_over(rule: &PassedOver) -> pb::PassedOverRule {
    let unmet = |unmet: &Unmet| pb::UnmetCondition {
        condition: unmet.condition.number(),
        wanted: unmet.wanted.clone(),
    };
    pb::PassedOverRule {
        rule: rule.rule.clone(),
        unmet: rule.unmet.iter().map(unmet).collect(),
    }
}
