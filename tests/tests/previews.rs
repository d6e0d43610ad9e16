//! What a cancellation would do, and what is kept of what was asked.

use std::time::Duration;

use belay_client::calls::OnIneligibleUnits;
use belay_client::model::{
    CancellationPath, CancellationState, GateKind, GoodsCondition, RespondWithin, TrackingFact,
};
use belay_client::{Kind, RequestId, Units, reason};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{TestServer, documents, refused, run, run_at};
use jiff::SignedDuration;
use serde_json::Value;

const MONDAY: &str = "2026-03-02T10:00:00Z";

#[test]
fn a_preview_changes_nothing_and_tells_what_the_request_then_does() {
    run_at(MONDAY, async |t| {
        let order = t.place_split_paid("A-1").await;
        let rows = t.database.snapshot().await;
        let units = || Units::lines([("A-1:l1", 2), ("A-1:l2", 1)]);
        let preview = t
            .storefront()
            .preview_cancellation("A-1", units())
            .reason(reason::FOUND_BETTER)
            .await
            .unwrap();
        assert_eq!(t.database.snapshot().await, rows);
        assert_eq!(
            (preview.policy_version, preview.decide_time),
            (1, t.now().await)
        );
        assert_eq!(
            (
                preview.note_required,
                preview.evidence_required,
                preview.counted
            ),
            (false, false, false)
        );

        let request = t
            .storefront()
            .request_cancellation("A-1", units())
            .reason(reason::FOUND_BETTER)
            .etag(&order.etag);
        let cancellation = request.await.unwrap().cancellation;
        assert_eq!(preview.expected_refund, Some(cancellation.expected_refund));
        assert_eq!(preview.effects, cancellation.effects);
        let chosen: Vec<_> = preview
            .options
            .iter()
            .filter(|option| option.chosen)
            .collect();
        assert_eq!(chosen.len(), cancellation.parts.len());
        for (option, part) in chosen.iter().zip(&cancellation.parts) {
            assert_eq!(
                (&option.shipment_id, option.path, &option.rule),
                (&part.shipment_id, part.path, &part.rule)
            );
            assert_eq!(
                (&option.contents, option.expected_refund.as_ref()),
                (&part.contents, Some(&part.expected_refund))
            );
        }
    });
}

#[test]
fn a_preview_chooses_a_path_for_what_is_home_and_for_what_is_out() {
    run_at(MONDAY, async |t| {
        let rule =
            "\n  - {id: returns, when: {path: RETURN_UNOPENED}, allow: {refund: FULL}}\nrefunds:";
        let document = documents::every_gate().replacen("\nrefunds:", rule, 1);
        t.operator().create_policy(document).await.unwrap();
        // It decides some seconds later.
        t.operator().activate_policy(2).await.unwrap();
        t.advance(SignedDuration::from_hours(1)).await;
        t.place_shipped("A-1").await;
        t.scan("A-1:s1", TrackingFact::Delivered).await;
        // Nobody asked for it, and the policy pays nothing for it: it is home and still sold.
        let received = t
            .warehouse()
            .receive_parcel("A-1:s1", GoodsCondition::Unopened);
        received.quantities([("A-1:l1", 1)]).await.unwrap();
        let preview = t.storefront().preview_cancellation("A-1", Units::all());
        let preview = preview
            .reason("DIRECT")
            .paths([CancellationPath::ReturnUnopened]);
        let preview = preview.await.unwrap();
        assert!(preview.allowed, "{:?}", preview.rejections);
        let chosen = preview.options.into_iter().filter(|option| option.chosen);
        let chosen: Vec<_> = chosen
            .map(|option| (option.path, option.contents))
            .collect();
        let request = t.storefront().request_cancellation("A-1", Units::all());
        let request = request
            .reason("DIRECT")
            .paths([CancellationPath::ReturnUnopened]);
        let parts = request.await.unwrap().cancellation.parts.into_iter();
        let parts: Vec<_> = parts.map(|part| (part.path, part.contents)).collect();
        assert_eq!((chosen.len(), &chosen), (2, &parts));
    });
}

#[test]
fn a_preview_shows_every_path_of_every_shipment() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        t.ship("A-1:s2").await;
        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER)
            .await
            .unwrap();
        let mut shown = Vec::new();
        for option in &preview.options {
            let refused = option
                .refused_reason
                .as_ref()
                .map_or("", |reason| reason.as_str());
            shown.push((option.shipment_id.as_str(), option.path, refused));
        }
        let path = |at: usize| {
            use CancellationPath::{
                Cancel, Intercept, RefuseDelivery, ReturnOpened, ReturnUnopened,
            };
            [
                Cancel,
                Intercept,
                RefuseDelivery,
                ReturnUnopened,
                ReturnOpened,
            ][at]
        };
        for (shipment, reasons) in [
            (
                "A-1:s1",
                [
                    "",
                    "NOT_ALLOWED",
                    "NOT_ALLOWED",
                    "NOT_ALLOWED",
                    "NOT_ALLOWED",
                ],
            ),
            (
                "A-1:s2",
                ["SHIPPED", "", "NOT_ALLOWED", "NOT_ALLOWED", "NOT_ALLOWED"],
            ),
        ] {
            for (at, reason) in reasons.into_iter().enumerate() {
                assert!(
                    shown.contains(&(shipment, path(at), reason)),
                    "{shipment} {} {reason}: {shown:?}",
                    path(at)
                );
            }
        }
        assert_eq!(shown.len(), 10);
        // Only what was asked is chosen: CANCEL, which s2 refuses.
        let chosen: Vec<_> = preview
            .options
            .iter()
            .filter(|option| option.chosen)
            .map(|o| o.shipment_id.as_str())
            .collect();
        assert_eq!(chosen, ["A-1:s1"]);
        assert!(!preview.allowed);
        assert_eq!(preview.rejections[0].metadata["acceptable"], "A-1:l1=2");

        let intercept = preview
            .options
            .iter()
            .find(|option| option.rule.as_deref() == Some("intercept"))
            .unwrap();
        assert_eq!(intercept.gates[0].kind, GateKind::CarrierIntercept);
        let two_days = RespondWithin::Duration(Duration::from_secs(48 * 3600));
        assert_eq!(intercept.gates[0].respond_within, Some(two_days));
        // The refund's clock starts with the parcel's return.
        assert_eq!(intercept.refund_due.unwrap().due_by, None);
    });
}

#[test]
fn a_preview_with_paths_and_what_is_left_out_says_what_the_request_would_be_told() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        t.ship("A-1:s1").await;
        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        assert!(!preview.clone().await.unwrap().allowed);
        let lenient = preview
            .on_ineligible_units(OnIneligibleUnits::LeaveOut)
            .await
            .unwrap();
        assert!(lenient.allowed, "{:?}", lenient.rejections);
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        let done = request
            .on_ineligible_units(OnIneligibleUnits::LeaveOut)
            .await
            .unwrap();
        assert_eq!(
            lenient.expected_refund,
            Some(done.cancellation.expected_refund)
        );
    });
}

#[test]
fn a_preview_lists_all_that_stands_against_the_request_the_first_first() {
    run(async |t| {
        t.place_shipped("A-1").await;
        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .await
            .unwrap();
        let reasons: Vec<&str> = preview
            .rejections
            .iter()
            .map(|rejection| rejection.reason.as_str())
            .collect();
        assert_eq!(reasons, ["REASON_REQUIRED", "SHIPPED"]);
        assert_eq!(
            (preview.allowed, preview.expected_refund, preview.refund_due),
            (false, None, None)
        );
        refused(
            t.storefront()
                .preview_cancellation("A-1", Units::line("A-1:l9", 1))
                .await,
            Kind::NotFound,
            "LINE_NOT_FOUND",
        );
        refused(
            t.storefront()
                .preview_cancellation("A-1", Units::shipment("A-1:s9"))
                .await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        refused(
            t.storefront()
                .preview_cancellation("A-9", Units::all())
                .await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
    });
}

#[test]
fn a_preview_for_a_later_time_knows_the_deadlines_until_then() {
    run_at(MONDAY, async |t| {
        t.place_interceptable("A-1").await;
        t.pay("A-1").await;
        t.ship("A-1:s1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        let deadline = request
            .paths([CancellationPath::Intercept])
            .await
            .unwrap()
            .cancellation
            .parts[0]
            .gates[0]
            .respond_by;
        let deadline = deadline.unwrap();

        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        let preview = preview.paths([CancellationPath::Intercept]);
        let now = preview.clone().await.unwrap();
        assert_eq!(now.rejections[0].reason.as_str(), "ALREADY_PENDING");
        let before = preview
            .clone()
            .at_time(deadline - SignedDuration::from_micros(1))
            .await
            .unwrap();
        assert_eq!(before.rejections[0].reason.as_str(), "ALREADY_PENDING");
        let after = preview.at_time(deadline).await.unwrap();
        assert!(after.allowed, "{:?}", after.rejections);
        assert_eq!(after.decide_time, deadline);
        assert_eq!(
            t.order("A-1").await.cancellations[0].state,
            CancellationState::Pending
        );
    });
}

/// The decisions about cancellations of an order, oldest first: whether accepted, by which policy
/// version, and what was asked.
async fn decisions(t: &TestServer) -> Vec<(bool, u32, Vec<Value>)> {
    let rows: Vec<(bool, u32, String)> = t
        .database
        .rows(
            "SELECT accepted, policy_version, record FROM decisions ORDER BY decision_time",
            (),
        )
        .await;
    // Each of these requests names one path, so each evaluation is one question.
    let asked = |record: &str| -> Vec<Value> {
        let record: Value = serde_json::from_str(record).unwrap();
        let evaluations = record["evaluations"].as_array().unwrap().iter();
        let asked = evaluations.map(|evaluation| {
            let mut asked = evaluation["asked"][0].clone();
            asked["shipment"] = evaluation["shipment"].clone();
            asked
        });
        asked.collect()
    };
    rows.into_iter()
        .map(|(accepted, version, record)| (accepted, version, asked(&record)))
        .collect()
}

#[test]
fn the_question_and_its_answer_are_kept_of_every_decision_rejections_included() {
    run_at(MONDAY, async |t| {
        t.place_split_paid("A-1").await;
        t.advance(SignedDuration::from_hours(2)).await;
        t.ship("A-1:s1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        let request = request.request_id(RequestId::mint());
        refused(request.clone().await, Kind::Rejected, "SHIPPED");
        refused(request.await, Kind::Rejected, "SHIPPED");
        t.advance(SignedDuration::from_hours(1)).await;
        t.cancel_units("A-1", Units::shipment("A-1:s2")).await;

        let decisions = decisions(t).await;
        let [(rejection_accepted, 1, refused), (true, 1, accepted)] = decisions.as_slice() else {
            panic!("{decisions:?}")
        };
        assert!(!rejection_accepted);
        assert_eq!((refused.len(), accepted.len()), (2, 1));
        let question = &refused[0]["question"];
        assert_eq!(
            [
                &question["actor"],
                &question["stage"],
                &question["path"],
                &question["reason"]
            ],
            ["BUYER", "IN_TRANSIT", "CANCEL", "FOUND_BETTER"]
        );
        assert_eq!(
            [&question["destination_country"], &question["currency"]],
            ["DE", "EUR"]
        );
        assert_eq!(
            question["payment_methods"],
            serde_json::json!(["CREDIT_CARD"])
        );
        assert_eq!(
            (&question["paid"], &question["value"]),
            (&Value::Bool(true), &Value::from(667 + 127))
        );
        assert_eq!(question["carrier"]["in_transit_cancel"], false);
        assert_eq!(
            duration(&question["since_placed"]),
            SignedDuration::from_hours(2)
        );
        assert_eq!(
            (&refused[0]["rule"], &refused[0]["shipment"]),
            (&Value::from("shipped"), &Value::from(1))
        );
        assert_eq!(
            [
                &refused[0]["answer"]["verdict"],
                &refused[0]["answer"]["code"]
            ],
            ["DENY", "SHIPPED"]
        );
        // What would have been allowed is kept beside it.
        assert_eq!(
            (&refused[1]["rule"], &refused[1]["answer"]["verdict"]),
            (&"before-dispatch".into(), &"ALLOW".into())
        );
        assert_eq!(
            duration(&accepted[0]["question"]["since_paid"]),
            SignedDuration::from_hours(3)
        );
    });
}

fn duration(value: &Value) -> SignedDuration {
    value
        .as_str()
        .expect("a duration is a text")
        .parse()
        .expect("a duration")
}

#[test]
fn no_decision_is_kept_of_a_preview_and_of_what_never_reached_the_policy() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER)
            .await
            .unwrap();
        refused(
            t.storefront()
                .request_cancellation("A-1", Units::all())
                .await,
            Kind::InvalidArgument,
            "REASON_REQUIRED",
        );
        assert_eq!(decisions(t).await, []);
        let preview = t
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        assert_eq!(
            preview.await.unwrap().expected_refund.unwrap().total,
            eur(TOTAL)
        );
    });
}
