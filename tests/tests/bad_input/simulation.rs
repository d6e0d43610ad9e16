//! SimulatePolicy: everything that can be wrong with a draft and a time range.

use belay_proto::v1 as pb;
use belay_proto::v1::simulate_policy_request::Draft;
use belay_tests::{SHOP, run};
use tonic::Code;

use super::{Row, each_is_an_invalid_field, is_refused, is_taken, long};

const METHOD: &str = "PolicyService/SimulatePolicy";
const DAY: i64 = 24 * 3600;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// Every bound as far as it goes.
fn right() -> pb::SimulatePolicyRequest {
    pb::SimulatePolicyRequest {
        store_id: SHOP.to_owned(),
        draft: Some(Draft::Version(1)),
        start_time: at(0),
        end_time: at(366 * DAY),
        requester: pb::Role::Buyer.into(),
        reason: "A".repeat(63),
        include_unchanged: true,
        case_count_max: 10_000,
        decision_count_max: 1_000_000,
    }
}

#[test]
fn each_field_of_a_simulation_is_checked() {
    let rows: Vec<Row<pb::SimulatePolicyRequest>> = vec![
        ("store_id", |r| r.store_id = "a/b".to_owned()),
        ("document", |r| r.draft = None),
        ("version", |r| r.draft = Some(Draft::Version(0))),
        ("version", |r| r.draft = Some(Draft::Version(-1))),
        ("start_time", |r| r.start_time = None),
        ("start_time", |r| r.start_time = at(-1)),
        ("start_time.nanos", |r| {
            r.start_time.as_mut().unwrap().nanos = -1
        }),
        ("end_time", |r| r.end_time = None),
        ("end_time", |r| r.end_time = at(7_258_118_400)),
        ("end_time", |r| r.end_time = r.start_time),
        ("end_time", |r| {
            (r.start_time, r.end_time) = (at(DAY), at(DAY - 1))
        }),
        ("end_time", |r| r.end_time = at(366 * DAY + 1)),
        ("requester", |r| r.requester = 99),
        ("requester", |r| r.requester = -1),
        ("reason", |r| r.reason = "A".repeat(64)),
        ("reason", |r| r.reason = "lower".to_owned()),
        ("case_count_max", |r| r.case_count_max = -1),
        ("case_count_max", |r| r.case_count_max = 10_001),
        ("decision_count_max", |r| r.decision_count_max = -1),
        ("decision_count_max", |r| r.decision_count_max = 1_000_001),
    ];
    run(async |t| {
        each_is_an_invalid_field(t, "operator", METHOD, &right(), &rows).await;
        let only: pb::SimulatePolicyResponse =
            is_taken(&t.raw(), "operator", METHOD, right()).await;
        assert_eq!(only.summary.unwrap().decisions, 0);
        let least = pb::SimulatePolicyRequest {
            end_time: Some(prost_types::Timestamp {
                seconds: 0,
                nanos: 1_000,
            }),
            requester: 0,
            reason: String::new(),
            case_count_max: 1,
            decision_count_max: 1,
            ..right()
        };
        let _: pb::SimulatePolicyResponse = is_taken(&t.raw(), "operator", METHOD, least).await;
    });
}

#[test]
fn a_draft_with_errors_is_refused_as_a_new_version_is() {
    run(async |t| {
        let create = |document: &str| pb::CreatePolicyRequest {
            store_id: SHOP.to_owned(),
            document: document.to_owned(),
            validate_only: true,
        };
        let simulate = |draft| pb::SimulatePolicyRequest {
            draft: Some(draft),
            ..right()
        };
        for document in [
            String::new(),
            "[]".to_owned(),
            "name: a\nrules: [{id: A}]\nmoon: full".to_owned(),
            long(256 * 1024 + 1),
        ] {
            let raw = t.raw();
            let method = "PolicyService/CreatePolicy";
            let created = raw.refused("operator", method, create(&document)).await;
            let draft = Draft::Document(document);
            let simulated = raw.refused("operator", METHOD, simulate(draft)).await;
            assert_eq!(simulated.what(), created.what());
            assert_eq!(simulated.violations, created.violations);
        }
        let unknown = simulate(Draft::Version(2));
        is_refused(
            t,
            "operator",
            METHOD,
            unknown,
            Code::NotFound,
            "POLICY_NOT_FOUND",
        )
        .await;
    });
}
