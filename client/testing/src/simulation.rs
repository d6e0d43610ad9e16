//! Simulations of a policy: replayed at once, for all decisions are in memory.

use belay_domain::decision::DecisionLog;
use belay_domain::order::Order;
use belay_domain::records::NewDecision;
use belay_domain::simulation::{NotReplayed, RecordedDecision, Simulation, Summary};
use belay_proto::v1 as pb;
use belay_wire::parse::simulation as parse;
use belay_wire::render::simulation as render;

use crate::call::{Answer, Call};
use crate::reference;
use crate::world::World;

/// Decisions after which a message is sent.
const PAGE_DECISIONS: u64 = 200;

pub(crate) fn simulate_policy(
    call: &mut Call<'_>,
    request: pb::SimulatePolicyRequest,
) -> Answer<Vec<pb::SimulatePolicyResponse>> {
    let asked = parse::simulate_policy(request, &call.reader())?;
    let records = call.store(&asked.store)?;
    let draft = reference::draft(records, &asked.draft)?;
    let config = records.config.clone();
    let simulation = Simulation {
        policies: &config.policies,
        draft: &draft,
        filter: &asked.filter,
    };
    let mut summary = Summary::default();
    let (mut messages, mut cases) = (Vec::new(), Vec::new());
    let (mut reported, mut unreported, mut left_off, mut reached) = (0, 0, None, None);
    for (decision, order) in asked_decisions(call.world, &asked) {
        let at = decision.decision_time;
        // Decisions of one instant are not parted: it is where another simulation begins.
        let is_enough = summary.decisions >= u64::from(asked.decisions_max);
        if is_enough && reached.is_none_or(|reached| reached < at) {
            left_off = Some(at);
            break;
        }
        summary.decisions += 1;
        reached = Some(at);
        let Ok(log) = serde_json::from_str::<DecisionLog>(&decision.record) else {
            summary.leave_out(NotReplayed::EarlierFormat);
            continue;
        };
        let replayed = simulation.replay(&RecordedDecision {
            accepted: decision.accepted,
            log: &log,
            lines: &order.lines,
        });
        for case in replayed {
            match case {
                Ok(case) => {
                    summary.add(&case);
                    if !case.differs() && !asked.include_unchanged {
                        continue;
                    }
                    if reported >= asked.cases_max {
                        unreported += 1;
                        continue;
                    }
                    reported += 1;
                    cases.push(render::case(&order.id, at, &case));
                }
                Err(reason) => summary.leave_out(reason),
            }
        }
        if summary.decisions.is_multiple_of(PAGE_DECISIONS) {
            messages.push(pb::SimulatePolicyResponse {
                cases: std::mem::take(&mut cases),
                progress: Some(render::progress(summary.decisions, reached)),
                summary: None,
            });
        }
    }
    messages.push(pb::SimulatePolicyResponse {
        cases,
        progress: Some(render::progress(summary.decisions, reached)),
        summary: Some(render::summary(&summary, unreported, left_off)),
    });
    Ok(messages)
}

/// The decisions that are to be replayed, in the order of their time.
fn asked_decisions<'a>(
    world: &'a World,
    asked: &parse::SimulationRequest,
) -> Vec<(&'a NewDecision, &'a Order)> {
    let times = asked.start..asked.end;
    let in_range = world.decisions.iter().filter_map(|decision| {
        let is_asked = decision.store == asked.store && times.contains(&decision.decision_time);
        let order = world.orders.get(&decision.key.order_key)?;
        (is_asked && asked.scope.sees_order(order)).then_some((decision, order))
    });
    let mut decisions: Vec<_> = in_range.collect();
    decisions.sort_by_key(|(decision, _)| {
        let key = &decision.key;
        (
            decision.decision_time,
            key.order_key,
            key.request_id,
            &key.caller,
        )
    });
    decisions
}
