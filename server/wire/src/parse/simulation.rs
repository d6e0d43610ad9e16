//! Requests to simulate a policy.

use belay_domain::ids::StoreId;
use belay_domain::scope::Scope;
use belay_domain::simulation::CaseFilter;
use belay_proto::v1 as pb;
use belay_proto::v1::simulate_policy_request::Draft;
use jiff::Timestamp;

use super::bounds::{
    SIMULATED_CASES_DEFAULT, SIMULATED_CASES_MAX, SIMULATED_DECISIONS_MAX, SIMULATED_MAX,
};
use super::envelope::{Reader, store_id};
use super::{Parsed, Violations, code, parse, positive, time, unspecified_or};

/// A draft, what is put to it, and how much at most.
#[derive(Debug, Clone)]
pub struct SimulationRequest {
    pub store: StoreId,
    /// Of who asks.
    pub scope: Scope,
    pub draft: DraftPolicy,
    pub start: Timestamp,
    pub end: Timestamp,
    pub filter: CaseFilter,
    /// Cases that do not differ are reported too.
    pub include_unchanged: bool,
    pub cases_max: u32,
    pub decisions_max: u32,
}

/// The policy that is put to the test.
#[derive(Debug, Clone)]
pub enum DraftPolicy {
    Document(String),
    Version(u32),
}

pub fn simulate_policy(
    request: pb::SimulatePolicyRequest,
    reader: &Reader<'_>,
) -> Parsed<SimulationRequest> {
    parse(|v| {
        let store = store_id(v, &request.store_id);
        let draft = draft(v, request.draft);
        let range = range(v, request.start_time, request.end_time);
        let requester = unspecified_or(v, "requester", request.requester);
        let reason = code(v, "reason", request.reason);
        let cases_max = count_or(
            v,
            "case_count_max",
            request.case_count_max,
            SIMULATED_CASES_MAX,
            SIMULATED_CASES_DEFAULT,
        );
        let decisions_max = count_or(
            v,
            "decision_count_max",
            request.decision_count_max,
            SIMULATED_DECISIONS_MAX,
            SIMULATED_DECISIONS_MAX,
        );
        let (start, end) = range?;
        Some(SimulationRequest {
            store: store?,
            scope: reader.caller.scope.clone(),
            draft: draft?,
            start,
            end,
            filter: CaseFilter {
                requester: requester?,
                reason: reason?,
            },
            include_unchanged: request.include_unchanged,
            cases_max: cases_max?,
            decisions_max: decisions_max?,
        })
    })
}

fn draft(v: &mut Violations, draft: Option<Draft>) -> Option<DraftPolicy> {
    match draft {
        // It is checked as a policy, not as a string.
        Some(Draft::Document(document)) => Some(DraftPolicy::Document(document)),
        Some(Draft::Version(version)) => {
            let max = i32::MAX.unsigned_abs();
            positive(v, "version", version.into(), max).map(DraftPolicy::Version)
        }
        None => v.refuse("document", "one of document and version must be given"),
    }
}

fn range(
    v: &mut Violations,
    start: Option<prost_types::Timestamp>,
    end: Option<prost_types::Timestamp>,
) -> Option<(Timestamp, Timestamp)> {
    let mut given = |field: &str, at| match time(v, field, at)? {
        Some(at) => Some(at),
        None => v.refuse(field, "must be given"),
    };
    let start = given("start_time", start);
    let end = given("end_time", end);
    let (start, end) = (start?, end?);
    if end <= start {
        return v.refuse("end_time", "must be later than start_time");
    }
    if end.duration_since(start) > SIMULATED_MAX {
        let days_max = SIMULATED_MAX.as_hours() / 24;
        let description = format!("must be within {days_max} days of start_time");
        return v.refuse("end_time", description);
    }
    Some((start, end))
}

fn count_or(v: &mut Violations, field: &str, number: i32, max: u32, default: u32) -> Option<u32> {
    if number == 0 {
        Some(default)
    } else {
        positive(v, field, number.into(), max)
    }
}
