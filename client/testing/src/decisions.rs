//! The log of decisions, which is all in memory.

use belay_domain::query::DecisionPlace;
use belay_domain::records::NewDecision;
use belay_proto::v1 as pb;
use belay_wire::parse::decisions as parse;
use belay_wire::render::decision as render;

use crate::call::{Answer, Call};

pub(crate) fn list_decisions(
    call: &mut Call<'_>,
    request: pb::ListDecisionsRequest,
) -> Answer<pb::ListDecisionsResponse> {
    let list = parse::list_decisions(request, &call.reader())?;
    let config = call.store(&list.store)?.config.clone();
    let after = parse::after(&list.page)?;
    let world = &call.world;
    let place = |decision: &&NewDecision| DecisionPlace {
        time: decision.decision_time,
        key: decision.key.clone(),
    };
    let sorted_by = |place: &DecisionPlace| {
        let key = &place.key;
        (
            place.time,
            key.order_key,
            key.request_id,
            key.caller.clone(),
        )
    };
    let behind = after.as_ref().map(sorted_by);
    let matching = world.decisions.iter().filter(|decision| {
        let order = world.orders.get(&decision.key.order_key);
        let is_seen = order.is_some_and(|order| list.filter.scope.sees_order(order));
        let is_behind = || {
            let at = sorted_by(&place(decision));
            behind.as_ref().is_none_or(|behind| at < *behind)
        };
        is_seen && list.filter.matches(decision) && is_behind()
    });
    let mut found: Vec<&NewDecision> = matching.collect();
    found.sort_by_key(|decision| std::cmp::Reverse(sorted_by(&place(decision))));
    found.truncate(list.page.limit().into());
    let show = |decision: &&NewDecision| {
        let order = world.orders.get(&decision.key.order_key)?;
        let stored = render::DecisionRecord {
            order: &order.id,
            lines: &order.lines,
            key: &decision.key,
            decision_time: decision.decision_time,
            accepted: decision.accepted,
            record: &decision.record,
        };
        Some(render::decision(&stored, &config.policies))
    };
    let (decisions, next_page_token) = parse::cut(&list.page, &found, None, show, place);
    Ok(pb::ListDecisionsResponse {
        decisions,
        next_page_token,
    })
}
