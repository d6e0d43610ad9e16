//! SimulatePolicy: what another policy would have answered to what was really decided.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use belay_client::calls::{DraftPolicy, FirstPolicy, SimulatePolicy, Simulation};
use belay_client::model::{
    CancellationPath, GateKind, NotReplayedReason, PolicyOccasion, ShipmentStage, SimulatedCase,
    SimulatedTransitions,
};
use belay_client::{Kind, Money, Role, Scope, Store, Units, reason};
use belay_domain::actor;
use belay_domain::policy;
use belay_proto::v1 as pb;
use belay_proto::v1::policy_service_client::PolicyServiceClient;
use belay_tests::instance::{Service, literal, session};
use belay_tests::market::{MARKET, preset};
use belay_tests::raw::Refused;
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{HANG, SHOP, TestServer, documents, refused, run, run_at, until};
use jiff::{SignedDuration, Timestamp};
use mysql_async::prelude::Queryable as _;
use prost::Message as _;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Streaming};

const MONDAY: &str = "2026-03-02T10:00:00Z";
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// All that a test has decided.
async fn so_far(t: &TestServer) -> Range<Timestamp> {
    let now = t.now().await;
    now - 24 * HOUR..now + HOUR
}

async fn simulate(t: &TestServer, draft: DraftPolicy) -> SimulatePolicy {
    t.operator().simulate_policy(draft, so_far(t).await)
}

async fn finish(simulation: SimulatePolicy) -> Simulation {
    simulation.await.unwrap().finish().await.unwrap()
}

fn market_of(t: &TestServer) -> Store {
    t.store_as(MARKET, Role::Operator, "ops")
}

fn orders(cases: &[SimulatedCase]) -> Vec<&str> {
    cases.iter().map(|case| case.order_id.as_str()).collect()
}

/// The document that decides in [`SHOP`], but before dispatch only this long after the payment.
fn within(hours: u32) -> String {
    let document = documents::independent_site();
    let rule = "  - id: before-dispatch\n";
    assert!(document.contains(rule), "{document}");
    let late = format!(
        "  - id: too-late\n    when: {{path: CANCEL, age: {{clock: PAID, at_least: {hours}h}}}}\n    deny: {{code: REFUND_NOT_OFFERED}}\n"
    );
    document.replace(rule, &format!("{late}{rule}"))
}

#[test]
fn another_window_changes_just_what_lies_between_the_two() {
    run_at(MONDAY, async |t| {
        let market = t
            .open_market(FirstPolicy::preset("cross-border-declaration"))
            .await;
        for order in ["A-1", "A-2", "A-3"] {
            market.place_paid(order, "standard").await;
        }
        t.advance(6 * HOUR - SignedDuration::from_micros(1)).await;
        let request = |order: &str| market.buyers_request(order, reason::NO_LONGER_WANTED);
        let mut promised = request("A-1")
            .await
            .unwrap()
            .cancellation
            .expected_refund
            .total;
        assert_eq!(promised, eur(TOTAL));
        t.advance(SignedDuration::from_micros(1)).await;
        promised = request("A-2")
            .await
            .unwrap()
            .cancellation
            .expected_refund
            .total;
        t.advance(6 * HOUR).await;
        refused(request("A-3").await, Kind::Rejected, "REFUND_NOT_OFFERED");

        let document = preset("cross-border-declaration");
        let age = "age: {clock: PAID, less_than: 12h}";
        assert_eq!(document.matches(age).count(), 1);
        let with = |hours: u32| {
            let draft =
                document.replace(age, &format!("age: {{clock: PAID, less_than: {hours}h}}"));
            DraftPolicy::document(draft)
        };
        let range = so_far(t).await;
        let shorter = market_of(t).simulate_policy(with(6), range.clone());
        let Simulation { cases, summary, .. } = finish(shorter).await;
        assert_eq!(orders(&cases), ["A-2"]);
        let case = &cases[0];
        assert_eq!(case.cancellation_id.as_ref().unwrap().as_str(), "A-2:c1");
        assert_eq!(
            (case.occasion, case.policy_version),
            (PolicyOccasion::Request, 1)
        );
        assert_eq!(case.decision_time, t.now().await - 6 * HOUR);
        assert!(case.differs && case.recorded.allowed && !case.draft.allowed);
        assert_eq!(
            (&case.recorded.refund, &case.draft.refund),
            (&promised, &eur(0))
        );
        let denied = case.draft.denied_reason.as_ref().unwrap();
        assert_eq!(denied.as_str(), "REFUND_NOT_OFFERED");
        let [portion] = case.portions.as_slice() else {
            panic!("{case:?}")
        };
        assert_eq!(portion.shipment_id.as_str(), "A-2:s1");
        assert_eq!(
            portion.contents.iter().map(|of| of.quantity).sum::<i32>(),
            4
        );
        let question = &portion.question;
        assert_eq!(
            (question.requester, question.stage, question.path),
            (
                Role::Buyer,
                ShipmentStage::Planned,
                CancellationPath::Cancel
            )
        );
        assert_eq!(question.since_paid, Some(Duration::from_secs(6 * 3600)));
        assert_eq!((question.value.minor_units, question.paid), (1_666, true));
        assert_eq!(portion.recorded.rule.as_deref(), Some("refund-button"));
        assert_eq!(portion.recorded.gates[0].kind, GateKind::SupportReview);
        let draft = portion.draft.as_ref().unwrap();
        assert_eq!(draft.rule.as_deref(), Some("no-refund-button"));
        assert_eq!(summary.decisions, 3);
        assert_eq!(
            (summary.cases.stay_allowed, summary.cases.become_denied),
            (1, 1)
        );
        assert_eq!((summary.cases.stay_denied, summary.differing), (1, 1));
        assert_eq!(summary.refunds.len(), 1);
        assert_eq!(
            (&summary.refunds[0].recorded, &summary.refunds[0].draft),
            (&eur(2 * TOTAL), &eur(TOTAL))
        );
        assert_eq!(
            (summary.not_replayed.len(), summary.left_off_time),
            (0, None)
        );

        let longer = market_of(t).simulate_policy(with(24), range.clone());
        let longer = finish(longer).await;
        assert_eq!(orders(&longer.cases), ["A-3"]);
        assert_eq!(longer.cases[0].cancellation_id, None);
        assert_eq!(longer.summary.cases.become_allowed, 1);
        assert_eq!(longer.summary.refunds[0].draft, eur(3 * TOTAL));

        // From start_time on and before end_time.
        let at = cases[0].decision_time;
        let only = market_of(t).simulate_policy(with(6), at..at + SignedDuration::from_micros(1));
        assert_eq!(finish(only).await.summary.decisions, 1);
        let before = market_of(t).simulate_policy(with(6), at - HOUR..at);
        assert_eq!(orders(&finish(before).await.cases), [""; 0]);
    });
}

/// Who asks, how and for which reason does not matter here, and neither does whether it is allowed.
async fn ask_for_everything(t: &TestServer, name: &str) -> BTreeMap<String, Money> {
    let market = t.open_market(FirstPolicy::preset(name)).await;
    let policy = policy::parse(&preset(name)).unwrap();
    let (mut number, mut promised) = (0, BTreeMap::new());
    for stage in [
        ShipmentStage::Planned,
        ShipmentStage::Preparing,
        ShipmentStage::InTransit,
        ShipmentStage::Delivered,
        ShipmentStage::Returned,
    ] {
        for (role, store) in [
            (actor::Role::Buyer, market.storefront()),
            (actor::Role::Seller, market.seller()),
            (actor::Role::Support, market.support()),
        ] {
            let mut reasons = policy.reasons.iter();
            let Some(reason) = reasons.find(|reason| reason.actors.contains(&role)) else {
                continue;
            };
            for path in [
                CancellationPath::Cancel,
                CancellationPath::Intercept,
                CancellationPath::ReturnOpened,
            ] {
                number += 1;
                let order = format!("A-{number}");
                market.order_at(&order, "express", stage).await;
                let mut request = store
                    .request_cancellation(&*order, Units::all())
                    .reason(&*reason.code)
                    .paths([path, CancellationPath::RefuseDelivery])
                    .note("why");
                if let Some(channel) = reason.evidence_channels.first() {
                    request = request.evidence([format!("{channel}:1")]);
                } else if reason.evidence_required {
                    request = request.evidence(["picture"]);
                }
                if let Ok(requested) = request.await {
                    promised.insert(order, requested.cancellation.expected_refund.total);
                }
            }
        }
    }
    promised
}

fn the_version_that_decided_answers_the_same(name: &str) {
    run_at(MONDAY, async |t| {
        let promised = ask_for_everything(t, name).await;
        let range = so_far(t).await;
        let again = market_of(t).simulate_policy(DraftPolicy::version(1), range);
        let Simulation { cases, summary, .. } = finish(again.include_unchanged()).await;
        assert_eq!(summary.differing, 0, "{cases:#?}");
        assert_eq!(
            (summary.cases.become_denied, summary.cases.become_allowed),
            (0, 0)
        );
        assert!(summary.cases.stay_allowed > 0 && summary.cases.stay_denied > 0);
        assert_eq!(summary.counted.recorded, summary.counted.draft);
        assert_eq!(summary.not_replayed.len(), 0);
        // What each requester was promised is what the record comes to.
        let of_requests = cases
            .iter()
            .filter(|case| case.occasion == PolicyOccasion::Request && case.recorded.allowed);
        let told =
            of_requests.map(|case| (case.order_id.to_string(), case.recorded.refund.clone()));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), promised);
        let sum: BTreeMap<&str, i64> = summary
            .refunds
            .iter()
            .map(|of| (&*of.recorded.currency_code, of.recorded.minor_units))
            .collect();
        let is_counted = |case: &&SimulatedCase| case.occasion != PolicyOccasion::Reevaluation;
        let counted = cases.iter().filter(is_counted);
        let all: i64 = counted.map(|case| case.recorded.refund.minor_units).sum();
        assert_eq!(sum.get("EUR").copied().unwrap_or_default(), all);
    });
}

#[test]
fn independent_site_answers_the_same_again() {
    the_version_that_decided_answers_the_same("independent-site");
}

#[test]
fn cross_border_declaration_answers_the_same_again() {
    the_version_that_decided_answers_the_same("cross-border-declaration");
}

#[test]
fn supplier_agreement_answers_the_same_again() {
    the_version_that_decided_answers_the_same("supplier-agreement");
}

#[test]
fn seller_warehouse_answers_the_same_again() {
    the_version_that_decided_answers_the_same("seller-warehouse");
}

#[test]
fn seller_center_answers_the_same_again() {
    the_version_that_decided_answers_the_same("seller-center");
}

#[test]
fn a_simulation_reports_and_replays_so_much_and_goes_on_where_it_left_off() {
    run_at(MONDAY, async |t| {
        let draft = || DraftPolicy::document(within(1));
        for number in 1..=5 {
            t.place_paid(&format!("A-{number}")).await;
        }
        t.advance(HOUR).await;
        for number in 1..=5 {
            // Two of them at one instant.
            if number != 3 {
                t.advance(SignedDuration::from_secs(1)).await;
            }
            t.cancel(&format!("A-{number}")).await;
        }
        let range = so_far(t).await;
        let all = finish(simulate(t, draft()).await).await;
        assert_eq!(all.cases.len(), 5);
        assert_eq!(
            (all.summary.decisions, all.summary.unreported_cases),
            (5, 0)
        );

        let some = finish(simulate(t, draft()).await.case_count_max(4)).await;
        assert_eq!(some.cases, all.cases[..4]);
        assert_eq!(some.summary.unreported_cases, 1);
        assert_eq!(some.summary.cases, all.summary.cases);
        let just = finish(simulate(t, draft()).await.case_count_max(5)).await;
        assert_eq!(just, all);

        let just = finish(simulate(t, draft()).await.decision_count_max(5)).await;
        assert_eq!(just, all);
        let two = finish(simulate(t, draft()).await.decision_count_max(2)).await;
        // The third is of the same instant as the second.
        assert_eq!(two.cases, all.cases[..3]);
        let left_off = two.summary.left_off_time.unwrap();
        assert_eq!(left_off, all.cases[3].decision_time);
        let rest = t.operator().simulate_policy(draft(), left_off..range.end);
        let rest = finish(rest).await;
        assert_eq!([two.cases, rest.cases].concat(), all.cases);
        assert_eq!(two.summary.decisions + rest.summary.decisions, 5);
    });
}

#[test]
fn who_does_not_see_an_order_does_not_see_what_was_decided_on_it() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let range = so_far(t).await;
        for (seller, decisions) in [("acme", 1), ("zenith", 0)] {
            let scope = Scope::default().sellers([seller]);
            let operator = t.operator().with_scope(scope).unwrap();
            let draft = DraftPolicy::version(1);
            let simulation = operator.simulate_policy(draft, range.clone());
            let Simulation { cases, summary, .. } = finish(simulation.include_unchanged()).await;
            assert_eq!(cases.len(), decisions, "{seller}");
            assert_eq!(summary.decisions, i64::try_from(decisions).unwrap());
        }
    });
}

#[test]
fn filters_narrow_what_is_replayed() {
    run_at(MONDAY, async |t| {
        for order in ["A-1", "A-2", "A-3"] {
            t.place_paid(order).await;
        }
        t.advance(2 * HOUR).await;
        t.cancel("A-1").await;
        t.advance(HOUR).await;
        let better = t.storefront().request_cancellation("A-2", Units::all());
        better.reason(reason::FOUND_BETTER).await.unwrap();
        t.advance(HOUR).await;
        let seller = t.seller().request_cancellation("A-3", Units::all());
        seller.reason("OUT_OF_STOCK").await.unwrap();
        let of = async |change: fn(SimulatePolicy) -> SimulatePolicy| {
            let simulation = simulate(t, DraftPolicy::document(within(1))).await;
            let found = finish(change(simulation)).await;
            assert_eq!(
                found.summary.cases.become_denied,
                i64::try_from(found.cases.len()).unwrap()
            );
            orders(&found.cases).join(" ")
        };
        let before = t.database.snapshot().await;
        assert_eq!(of(|all| all).await, "A-1 A-2 A-3");
        assert_eq!(of(|all| all.requester(Role::Seller)).await, "A-3");
        assert_eq!(of(|all| all.requester(Role::Buyer)).await, "A-1 A-2");
        assert_eq!(of(|all| all.reason(reason::FOUND_BETTER)).await, "A-2");
        assert_eq!(
            of(|all| all.requester(Role::Seller).reason("NONE")).await,
            ""
        );

        let same = simulate(t, DraftPolicy::version(1)).await;
        assert_eq!(orders(&finish(same.clone()).await.cases), [""; 0]);
        let same = finish(same.include_unchanged()).await;
        assert_eq!(orders(&same.cases), ["A-1", "A-2", "A-3"]);
        assert!(same.cases.iter().all(|case| !case.differs));
        assert_eq!(t.database.snapshot().await, before, "it writes nothing");
    });
}

#[test]
fn a_reason_that_the_draft_does_not_know_is_rejected_as_a_request_would_be() {
    run_at(MONDAY, async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let renamed = documents::independent_site().replace("NO_LONGER_WANTED", "SECOND_THOUGHTS");
        let found = finish(simulate(t, DraftPolicy::document(renamed)).await).await;
        let [case] = found.cases.as_slice() else {
            panic!("{found:?}")
        };
        let denied = case.draft.denied_reason.as_ref().unwrap();
        assert_eq!(denied.as_str(), "REASON_UNKNOWN");
        assert_eq!(case.portions[0].draft, None);
        assert_eq!(found.summary.cases.become_denied, 1);
    });
}

#[test]
fn what_an_earlier_release_recorded_is_told_and_not_guessed() {
    run_at(MONDAY, async |t| {
        for order in ["A-1", "A-2"] {
            t.place_paid(order).await;
            t.cancel(order).await;
        }
        let earlier = r#"{"policy_version":1,"asked":[{"shipment":1,"units":[]}]}"#;
        let changed = t
            .database
            .execute("UPDATE decisions SET record = ? LIMIT 1", (earlier,))
            .await;
        assert_eq!(changed, 1);
        let found = finish(simulate(t, DraftPolicy::version(1)).await).await;
        assert_eq!(found.summary.decisions, 2);
        let [left_out] = found.summary.not_replayed.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (left_out.reason, left_out.count),
            (NotReplayedReason::EarlierFormat, 1)
        );
        let same = SimulatedTransitions::default();
        assert_eq!(found.summary.cases.stay_allowed, same.stay_allowed + 1);
    });
}

/// Simulations that a server of the next test runs at once.
const AT_ONCE: usize = 3;

#[test]
fn a_server_runs_so_many_simulations_and_ends_those_that_nobody_reads() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.simulation.page_max = HANG;
            settings.simulation.at_once = AT_ONCE;
        })
        .await;
        let operator = literal(service.address())
            .with_role(Role::Operator, "ops")
            .unwrap()
            .store(SHOP);
        let range = so_far(t).await;
        let begin = || operator.simulate_policy(DraftPolicy::version(1), range.clone());
        // None of them gets its first page.
        let mut somebody = session(&t.database.url()).await;
        somebody
            .query_drop("LOCK TABLES decisions WRITE")
            .await
            .unwrap();
        let mut running = Vec::new();
        for _ in 0..AT_ONCE {
            running.push(begin().await.unwrap());
        }
        let inside = service.inside();
        assert_eq!(inside.simulations(), AT_ONCE);
        let more = refused(begin().await, Kind::Overloaded, "OVERLOADED");
        assert!(more.retry_after().is_some());
        running.pop();
        until("the one is gone whose caller is", async || {
            (inside.simulations() == AT_ONCE - 1).then_some(())
        })
        .await;
        running.push(begin().await.unwrap());
        somebody.query_drop("UNLOCK TABLES").await.unwrap();
        for simulation in running {
            assert_eq!(simulation.finish().await.unwrap().summary.decisions, 0);
        }
        until("all have ended", async || {
            (inside.simulations() == 0).then_some(())
        })
        .await;
        service.stop().await;
    });
}

/// How many decisions [`many_decisions`] makes.
const MANY: i64 = 2_000;

/// Many decisions on one order, a millisecond apart, as if it had been asked for again and again.
async fn many_decisions(t: &TestServer) {
    t.place_paid("A-1").await;
    t.cancel("A-1").await;
    for copies in 0..MANY.ilog2() {
        let copy = "INSERT INTO decisions SELECT order_key, UNHEX(REPLACE(UUID(), '-', '')), caller, store_id, \
                    decision_time - INTERVAL ? MICROSECOND, policy_version, accepted, record, entry \
                    FROM decisions LIMIT ?";
        let step = 1_000 * (1_i64 << copies);
        t.database.execute(copy, (step, 1_i64 << copies)).await;
    }
    let there: Option<i64> = t.database.row("SELECT COUNT(*) FROM decisions", ()).await;
    assert_eq!(there, Some(1 << MANY.ilog2()));
}

/// A simulation of all cases over a connection with little room.
async fn unread(t: &TestServer, service: &Service) -> Streaming<pb::SimulatePolicyResponse> {
    let endpoint = Endpoint::from_shared(format!("http://{}", service.address())).unwrap();
    let channel = endpoint.initial_stream_window_size(1_024).connect().await;
    let range = so_far(t).await;
    let at = |instant: Timestamp| prost_types::Timestamp {
        seconds: instant.as_second(),
        nanos: 0,
    };
    let mut request = Request::new(pb::SimulatePolicyRequest {
        store_id: SHOP.to_owned(),
        draft: Some(pb::simulate_policy_request::Draft::Version(1)),
        start_time: Some(at(range.start)),
        end_time: Some(at(range.end)),
        include_unchanged: true,
        case_count_max: 10_000,
        ..Default::default()
    });
    let metadata = request.metadata_mut();
    metadata.insert("belay-role", "operator".parse().unwrap());
    metadata.insert("belay-actor", "ops".parse().unwrap());
    let mut client = PolicyServiceClient::new(channel.unwrap());
    client.simulate_policy(request).await.unwrap().into_inner()
}

#[test]
fn a_message_has_the_time_of_its_last_case() {
    /// As the proto says.
    const MESSAGE_BYTES: usize = 256 * 1024;
    run(async |t| {
        many_decisions(t).await;
        // So large that a message is full before the page that it is of.
        let longer =
            "UPDATE decisions SET record = REPLACE(record, 'NO_LONGER_WANTED', REPEAT('A', 4000))";
        t.database.execute(longer, ()).await;
        let service = Service::start(t.database.serve_url().await, |_| {}).await;
        let mut stream = unread(t, &service).await;
        let mut full = 0;
        while let Some(message) = stream.message().await.unwrap() {
            if let Some(last) = message.cases.last() {
                let progress = message.progress.as_ref().unwrap();
                assert_eq!(progress.decision_time, last.decision_time);
            }
            full += usize::from(message.encoded_len() >= MESSAGE_BYTES);
        }
        assert!(full > 1, "{full} full messages");
        service.stop().await;
    });
}

#[test]
fn a_stop_ends_a_simulation_with_the_sum_of_what_it_has_replayed() {
    run(async |t| {
        many_decisions(t).await;
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.simulation.stop_max = HANG;
            settings.simulation.slow_max = HANG;
        })
        .await;
        let mut stream = unread(t, &service).await;
        let stopped = service.into_server().stop();
        let read = async {
            let (mut cases, mut summary) = (0, None);
            while let Some(message) = stream.message().await.unwrap() {
                assert_eq!(summary, None, "the sum is the last message");
                cases += i64::try_from(message.cases.len()).unwrap();
                summary = message.summary;
            }
            (cases, summary.expect("it ends with the sum"))
        };
        let (drained, (cases, summary)) = tokio::join!(stopped, read);
        assert_eq!(drained.cut_calls, 0);
        assert_eq!(cases, summary.decisions);
        let left_off = summary.left_off_time.expect("there was more");
        let left_off = Timestamp::new(left_off.seconds, left_off.nanos).unwrap();
        let rest = t
            .operator()
            .simulate_policy(DraftPolicy::version(1), left_off..so_far(t).await.end);
        let rest = finish(rest).await.summary;
        assert_eq!(summary.decisions + rest.decisions, 1 << MANY.ilog2());
    });
}

#[test]
fn a_simulation_that_nobody_takes_is_cut() {
    run(async |t| {
        many_decisions(t).await;
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.simulation.slow_max = Duration::from_millis(200);
        })
        .await;
        let mut stream = unread(t, &service).await;
        let inside = service.inside();
        until("it is cut", async || {
            (inside.simulations() == 0).then_some(())
        })
        .await;
        let status = loop {
            match stream.message().await {
                Ok(message) => assert_eq!(message.unwrap().summary, None),
                Err(status) => break status,
            }
        };
        assert_eq!(
            Refused::of(&status).what(),
            (Code::Aborted, "WATCHER_TOO_SLOW")
        );
        service.stop().await;
    });
}
