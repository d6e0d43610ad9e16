//! ListDecisions: why a request was answered as it was, long after it was.

use std::collections::BTreeSet;

use belay_client::calls::{FirstPolicy, ListDecisions};
use belay_client::model::{
    CancellationPath, PolicyCondition, PolicyDecision, PolicyOccasion, TrackingFact,
};
use belay_client::{ErrorReason, Role, Scope, Store, reason};
use belay_server::db::decision_pages::LOOKED_THROUGH_MAX;
use belay_tests::database::WITH_NUMBERS;
use belay_tests::market::{MARKET, Market};
use belay_tests::{TestServer, pages, run, run_at};
use jiff::{SignedDuration, Timestamp};

const MONDAY: &str = "2026-03-02T10:00:00Z";
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn support(t: &TestServer) -> Store {
    t.store_as(MARKET, Role::Support, "sue")
}

async fn market(t: &TestServer) -> Market<'_> {
    t.open_market(FirstPolicy::preset("independent-site")).await
}

async fn only(decisions: ListDecisions) -> PolicyDecision {
    let found = decisions.await.unwrap().items;
    let [decision] = <[_; 1]>::try_from(found).unwrap();
    decision
}

#[test]
fn a_refusal_of_an_hour_ago_is_explained() {
    run_at(MONDAY, async |t| {
        let market = market(t).await;
        market.place_paid("A-1", "standard").await;
        market.ship("A-1:s1").await;
        market.scan("A-1:s1", TrackingFact::PickedUp).await;
        let refused = market.buyers_request("A-1", reason::NO_LONGER_WANTED).await;
        let refused = refused.unwrap_err();
        assert!(refused.has_reason(&ErrorReason::Shipped));
        t.advance(HOUR).await;

        let decision = only(support(t).list_decisions().order_id("A-1")).await;
        assert_eq!(decision.order_id.as_str(), "A-1");
        assert_eq!(decision.caller.role, Role::Storefront);
        assert!(!decision.accepted);
        assert_eq!(decision.rejected_reason, Some(ErrorReason::Shipped));
        assert_eq!(decision.decision_time, MONDAY.parse::<Timestamp>().unwrap());
        let [evaluation] = decision.evaluations.as_slice() else {
            panic!("{decision:?}")
        };
        assert_eq!(evaluation.occasion, PolicyOccasion::Request);
        assert!(evaluation.version_known);
        let path = &evaluation.paths[0];
        assert_eq!(path.answer.path, CancellationPath::Cancel);
        assert_eq!(path.answer.rule.as_deref(), Some("shipped"));
        // Why not the rules before it: the goods have left, and this carrier brings nothing back.
        let told: Vec<_> = path
            .passed_over
            .iter()
            .flat_map(|rule| rule.unmet.iter().map(|unmet| (rule.rule.as_str(), unmet)))
            .map(|(rule, unmet)| (rule, unmet.condition, unmet.wanted.as_str()))
            .collect();
        let stages = "UNRELEASED, PLANNED, PREPARING, READY";
        assert_eq!(
            told,
            [
                ("before-dispatch", PolicyCondition::Stage, stages),
                (
                    "shipped-interceptable",
                    PolicyCondition::InTransitCancel,
                    "true"
                ),
            ]
        );
        assert_eq!(path.turn_time, None);
    });
}

#[test]
fn what_time_opens_is_told_with_its_instant() {
    run_at(MONDAY, async |t| {
        let document = "\
name: patient
unpaid: {expire_after: 90d}
reasons:
  - {code: NO_LONGER_WANTED, actors: [BUYER], fault: BUYER}
  - {code: PAYMENT_EXPIRED, actors: [SYSTEM], fault: NONE}
rules:
  - {id: late, when: {path: CANCEL, age: {clock: PAID, at_least: 2h}}, allow: {refund: FULL}}
refunds: {due: IMMEDIATE, shipping: NEVER}
";
        let market = t.open_market(FirstPolicy::document(document)).await;
        market.place_paid("A-1", "standard").await;
        let refused = market.buyers_request("A-1", reason::NO_LONGER_WANTED);
        assert!(
            refused
                .await
                .unwrap_err()
                .has_reason(&ErrorReason::NotAllowed)
        );
        t.advance(3 * HOUR).await;
        market
            .buyers_request("A-1", reason::NO_LONGER_WANTED)
            .await
            .unwrap();

        let begin: Timestamp = MONDAY.parse().unwrap();
        let first = only(support(t).list_decisions().end_time(begin + HOUR)).await;
        let path = &first.evaluations[0].paths[0];
        assert_eq!(path.answer.rule, None);
        assert_eq!(path.passed_over[0].unmet[0].wanted, "PAID at least 2h");
        assert_eq!(path.turn_time, Some(begin + 2 * HOUR));

        let second = only(support(t).list_decisions().start_time(begin + HOUR)).await;
        let path = &second.evaluations[0].paths[0];
        assert!(second.accepted && second.rejected_reason.is_none());
        assert_eq!(path.answer.rule.as_deref(), Some("late"));
        assert!(path.passed_over.is_empty());
        assert!(path.answer.refund.minor_units > 0);
        assert!(second.evaluations[0].cancellation_id.is_some());
    });
}

/// The orders of what is found, page by page of one.
async fn orders(list: ListDecisions) -> Vec<String> {
    let found = pages(|token| list.clone().page_size(1).page_token(token).send()).await;
    let found = found.iter().flatten();
    found.map(|of| of.order_id.to_string()).collect()
}

#[test]
fn filters_find_their_own_and_the_latest_first() {
    run(async |t| {
        let market = market(t).await;
        for order in ["A-1", "A-2", "A-3"] {
            market.place_paid(order, "standard").await;
        }
        market.ship("A-2:s1").await;
        let cancelled = market.buyers_request("A-1", reason::NO_LONGER_WANTED);
        let cancelled = cancelled.await.unwrap();
        market
            .buyers_request("A-2", reason::NO_LONGER_WANTED)
            .await
            .unwrap_err();
        market.sellers_request("A-3", "OUT_OF_STOCK").await.unwrap();

        let all = || support(t).list_decisions();
        assert_eq!(orders(all()).await, ["A-3", "A-2", "A-1"]);
        assert_eq!(orders(all().rejected_only()).await, ["A-2"]);
        assert_eq!(orders(all().caller_role(Role::Seller)).await, ["A-3"]);
        assert_eq!(orders(all().caller_id("web")).await, ["A-2", "A-1"]);
        assert_eq!(
            orders(all().request_id(cancelled.request_id)).await,
            ["A-1"]
        );
        assert_eq!(orders(all().order_id("A-3")).await, ["A-3"]);
        assert!(orders(all().order_id("A-9")).await.is_empty());
        // LIKE would read it as any sign.
        assert!(orders(all().caller_id("we_")).await.is_empty());

        // What a caller does not see is not there.
        let scope = Scope::default().sellers(["somebody"]);
        let sue = t.role(Role::Support, "sue").with_scope(scope).unwrap();
        let narrow = sue.store(MARKET);
        assert!(orders(narrow.list_decisions()).await.is_empty());
        assert!(
            orders(narrow.list_decisions().order_id("A-1"))
                .await
                .is_empty()
        );
    });
}

#[test]
fn a_search_ends_after_so_many_and_goes_on_where_it_left_off() {
    run(async |t| {
        let market = market(t).await;
        market.place_paid("A-1", "standard").await;
        market
            .buyers_request("A-1", reason::NO_LONGER_WANTED)
            .await
            .unwrap();
        // As many of later, which no filter finds.
        let later = u32::from(LOOKED_THROUGH_MAX) + 1;
        let copied = t
            .database
            .execute(
                &format!(
                    "INSERT INTO decisions (order_key, request_id, caller, store_id, decision_time, policy_version, accepted, record) \
                     {WITH_NUMBERS} SELECT order_key, UNHEX(LPAD(HEX(n), 32, '0')), 'SELLER/other', store_id, \
                     decision_time + INTERVAL n SECOND, policy_version, TRUE, record FROM number JOIN decisions \
                     WHERE n BETWEEN 1 AND ?"
                ),
                (later,),
            )
            .await;
        assert_eq!(copied, u64::from(later));
        for list in [
            support(t).list_decisions().caller_id("web"),
            support(t).list_decisions().caller_id("web").order_id("A-1"),
        ] {
            let first = list.clone().await.unwrap();
            assert!(first.items.is_empty());
            let token = first.next_page_token.unwrap();
            let second = list.page_token(token).await.unwrap();
            assert_eq!(second.items.len(), 1);
            assert_eq!(second.next_page_token, None);
        }
        let found = pages(|token| {
            let list = support(t).list_decisions();
            list.page_size(1_000).page_token(token).send()
        });
        let found: Vec<_> = found.await.into_iter().flatten().collect();
        let ids: BTreeSet<_> = found
            .iter()
            .map(|of| (of.request_id, of.caller.id.clone()))
            .collect();
        let all = usize::try_from(later + 1).unwrap();
        assert_eq!((found.len(), ids.len()), (all, all));
    });
}
