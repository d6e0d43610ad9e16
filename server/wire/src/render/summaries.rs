//! Counts for tabs and badges.

use belay_domain::order::OrderState;
use belay_domain::query::Counted;
use belay_proto::v1 as pb;
use jiff::Timestamp;

use crate::Wire;
use crate::values::{count, time};

/// How many orders are in each state.
pub fn orders_summary(counts: &[(OrderState, Counted)]) -> pb::SummarizeOrdersResponse {
    let state = |(state, count): &(OrderState, Counted)| pb::OrderStateCount {
        state: state.number(),
        count: Some(counted(*count)),
    };
    pb::SummarizeOrdersResponse {
        states: counts.iter().map(state).collect(),
        total: Some(counted(Counted::sum(
            counts.iter().map(|(_, count)| *count),
        ))),
    }
}

/// How much waits for a party.
pub fn actions_summary(
    auto_approved: Counted,
    requested: Counted,
    nearest_deadline: Option<Timestamp>,
) -> pb::SummarizeActionsResponse {
    pb::SummarizeActionsResponse {
        auto_approved: Some(counted(auto_approved)),
        requested: Some(counted(requested)),
        total: Some(counted(Counted::sum([auto_approved, requested]))),
        nearest_deadline: nearest_deadline.map(time),
    }
}

fn counted(counted: Counted) -> pb::BoundedCount {
    pb::BoundedCount {
        value: count(counted.value),
        at_least: counted.at_least,
    }
}
