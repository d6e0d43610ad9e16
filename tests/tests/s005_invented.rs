//! A marketplace that does not exist, written as one document: a grocer whose baskets are cancelled
//! until they are packed. That it works as written, with no code of its own, is what Belay promises
//! to whoever brings the next marketplace.

use belay_client::calls::{FirstPolicy, RequestCancellation};
use belay_client::model::{
    CancellationEffect, CancellationFault, CancellationPath, CancellationState, EventType,
    GateKind, GateState, GoodsCondition, NextAction, OrderState, Party, RefundState, ShipmentStage,
    TrackingFact, Weekday,
};
use belay_client::{Kind, Role, Units};
use belay_tests::market::{GOODS, Market, gates};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{TestServer, run_at, until};
use jiff::{SignedDuration, Timestamp};

use crate::tidy::{read_to_string, rust_files};

/// The whole of the marketplace.
const DOCUMENT: &str = include_str!("s005_invented/corner-grocer.yaml");

/// Noon in Riyadh on the last working day of the week.
const THURSDAY: &str = "2026-03-05T09:00:00Z";

async fn open(t: &TestServer) -> Market<'_> {
    let grocer = t.open_market(FirstPolicy::document(DOCUMENT)).await;
    let operator = grocer.as_role(Role::Operator, "ops");
    let main = operator
        .put_warehouse("main", "Main")
        .time_zone("Asia/Riyadh")
        .country_code("SA");
    main.weekend([Weekday::Friday, Weekday::Saturday])
        .await
        .expect("a warehouse");
    grocer
}

fn at(instant: &str) -> Timestamp {
    instant.parse().expect("an instant")
}

/// A request for the pen alone, so small that nobody has to look at it.
fn small(grocer: &Market<'_>, order_id: &str) -> RequestCancellation {
    grocer
        .storefront()
        .request_cancellation(order_id, Units::line(format!("{order_id}:l2"), 1))
}

#[test]
fn a_basket_is_cancelled_until_it_is_packed() {
    run_at(THURSDAY, async |t| {
        let grocer = open(t).await;
        for (order_id, stage, label) in [
            ("A-1", ShipmentStage::Planned, "In the queue"),
            ("A-2", ShipmentStage::Preparing, "Being picked"),
        ] {
            let order = grocer.order_at(order_id, "standard", stage).await;
            assert_eq!(
                (&*order.display_state, order.cancellable_now),
                (label, false)
            );
            let done = small(&grocer, order_id)
                .reason("CHANGED_MIND")
                .await
                .unwrap()
                .cancellation;
            assert_eq!(
                (done.state, done.parts[0].rule.as_deref()),
                (CancellationState::Completed, Some("until-packed"))
            );
            // Two working days after a Thursday, with Friday and Saturday off and a holiday on
            // Monday: Tuesday is over.
            let refund = grocer.refund(order_id).await;
            assert_eq!(
                (refund.state, &refund.amount.total),
                (RefundState::Due, &eur(400 + 76))
            );
            assert_eq!(refund.due_by, at("2026-03-10T21:00:00Z"));
        }
        grocer
            .order_at("A-3", "standard", ShipmentStage::Ready)
            .await;
        let error = grocer.refuses(small(&grocer, "A-3"), "NOT_ALLOWED").await;
        let denial = error.denial().unwrap();
        assert_eq!(
            (denial.rule.as_deref(), &denial.next_actions[..]),
            (Some("packed"), &[NextAction::RefuseDelivery][..])
        );
        grocer
            .order_at("A-4", "express", ShipmentStage::InTransit)
            .await;
        let error = grocer.refuses(small(&grocer, "A-4"), "SHIPPED").await;
        assert_eq!(error.denial().unwrap().next_actions, [NextAction::Wait]);
        // The seller has no say at all, and support has to say why.
        grocer.place_paid("A-5", "standard").await;
        grocer
            .refuses(
                grocer.seller().request_cancellation("A-5", Units::all()),
                "NOT_ALLOWED",
            )
            .await;
        let request = grocer.support().request_cancellation("A-5", Units::all());
        grocer
            .refuses_as(request, Kind::InvalidArgument, "REASON_REQUIRED")
            .await;
    });
}

#[test]
fn a_large_basket_is_looked_at_in_working_days_that_end_on_thursdays() {
    run_at(THURSDAY, async |t| {
        let grocer = open(t).await;
        for order_id in ["LOOKED-AT", "OVERLOOKED", "LEFT"] {
            grocer.place_paid(order_id, "standard").await;
            let waiting = grocer
                .buyers_request(order_id, "CHANGED_MIND")
                .await
                .unwrap()
                .cancellation;
            assert_eq!(waiting.parts[0].rule.as_deref(), Some("large-basket"));
            assert_eq!(
                gates(&waiting.parts[0]),
                [(GateKind::SupportReview, GateState::Open)]
            );
            // Sunday is the next working day, and over at its midnight in Riyadh.
            assert_eq!(
                waiting.parts[0].gates[0].respond_by,
                Some(at("2026-03-08T21:00:00Z"))
            );
        }
        grocer
            .support()
            .reject_cancellation("LOOKED-AT:c1", "REGULAR")
            .await
            .unwrap();
        grocer.ship("LEFT:s1").await;
        assert_eq!(
            grocer.cancellation("LEFT:c1").await.close_reason.as_deref(),
            Some("NO_AGREEMENT")
        );
        t.set_clock(at("2026-03-08T21:00:00Z")).await;
        until("silence is consent", async || {
            Some(grocer.order("OVERLOOKED").await)
                .filter(|order| order.state == OrderState::Cancelled)
        })
        .await;
        // The grocer keeps what the way out costs, always.
        assert_eq!(grocer.refund("OVERLOOKED").await.amount.total, eur(GOODS));
        assert_eq!(
            grocer.cancellation("LOOKED-AT:c1").await.state,
            CancellationState::Rejected
        );
    });
}

#[test]
fn whoever_picks_may_find_the_shelf_empty() {
    run_at(THURSDAY, async |t| {
        let grocer = open(t).await;
        grocer
            .order_at("A-1", "standard", ShipmentStage::Preparing)
            .await;
        let picker = grocer.warehouse_of("A-1:s1").await;
        let done = picker
            .request_cancellation("A-1", Units::shipment("A-1:s1"))
            .reason("SHELF_EMPTY")
            .await
            .unwrap();
        let done = done.cancellation;
        assert_eq!(
            (done.requester.role, done.fault),
            (Role::Warehouse, Some(CancellationFault::Seller))
        );
        // What counts against the grocer is no business of the picker's.
        assert!(grocer.cancellation("A-1:c1").await.counted);
        assert_eq!(done.parts[0].effects, [CancellationEffect::ZeroStock]);
        assert_eq!(done.next_actions, [NextAction::SetStock]);
    });
}

#[test]
fn what_never_came_is_asked_of_the_courier_and_then_of_support() {
    run_at(THURSDAY, async |t| {
        let grocer = open(t).await;
        for order_id in ["LOST", "SILENT"] {
            grocer
                .order_at(order_id, "standard", ShipmentStage::InTransit)
                .await;
            let waiting = grocer
                .buyers_request(order_id, "NEVER_CAME")
                .await
                .unwrap()
                .cancellation;
            assert_eq!(
                gates(&waiting.parts[0]),
                [(GateKind::LossConfirmation, GateState::Open)]
            );
            assert_eq!(
                (waiting.parts[0].gates[0].party, waiting.fault),
                (Party::Carrier, Some(CancellationFault::Carrier))
            );
        }
        grocer.scan("LOST:s1", TrackingFact::Lost).await;
        assert_eq!(
            grocer.cancellation("LOST:c1").await.state,
            CancellationState::Completed
        );
        // The courier's loss is not the buyer's, the way out included.
        assert_eq!(grocer.refund("LOST").await.amount.total, eur(TOTAL));
        t.advance(SignedDuration::from_hours(2)).await;
        let review = until("support is asked", async || {
            let gates = grocer.part("SILENT:c1").await.gates;
            gates
                .into_iter()
                .find(|gate| gate.kind == GateKind::SupportReview && gate.state == GateState::Open)
        })
        .await;
        assert_eq!(review.respond_by, Some(at("2026-03-08T21:00:00Z")));
        grocer
            .support()
            .approve_cancellation("SILENT:c1")
            .await
            .unwrap();
        assert_eq!(grocer.refund("SILENT").await.amount.total, eur(TOTAL));
    });
}

#[test]
fn spoiled_food_is_sent_back_with_a_photo_and_paid_for_by_schedule() {
    run_at(THURSDAY, async |t| {
        let grocer = open(t).await;
        let request = |order_id: &str| {
            grocer
                .buyers_request(order_id, "SPOILED")
                .paths([CancellationPath::ReturnOpened])
        };
        let cases = [
            // Of goods at 14.00 with 2.66 tax, each percentage without its fractions.
            ("FRESH", GoodsCondition::Opened, 3, 1_260 + 239),
            ("LATER", GoodsCondition::Opened, 5, 560 + 106),
        ];
        let delivered = t.now().await;
        for (order_id, ..) in cases {
            grocer
                .order_at(order_id, "standard", ShipmentStage::Delivered)
                .await;
            grocer
                .refuses_as(
                    request(order_id),
                    Kind::InvalidArgument,
                    "EVIDENCE_REQUIRED",
                )
                .await;
            let waiting = request(order_id)
                .evidence(["PHOTO:1"])
                .await
                .unwrap()
                .cancellation;
            assert_eq!(
                (waiting.fault, waiting.counted),
                (Some(CancellationFault::Seller), true)
            );
        }
        grocer
            .order_at("NEXT-DAY", "standard", ShipmentStage::Delivered)
            .await;
        for (order_id, condition, after, expected) in cases {
            t.set_clock(delivered + SignedDuration::from_hours(after))
                .await;
            let shipment_id = format!("{order_id}:s1");
            grocer
                .warehouse_of(&shipment_id)
                .await
                .receive_parcel(&shipment_id, condition)
                .await
                .unwrap();
            assert_eq!(
                grocer.refund(order_id).await.amount.total,
                eur(expected),
                "{order_id}"
            );
            assert_eq!(grocer.part(&format!("{order_id}:c1")).await.effects, []);
        }
        t.set_clock(delivered + SignedDuration::from_hours(24))
            .await;
        grocer
            .refuses(request("NEXT-DAY").evidence(["PHOTO:2"]), "NOT_ALLOWED")
            .await;
    });
}

#[test]
fn an_unpaid_basket_is_gone_after_a_quarter_of_an_hour_and_a_slow_picker_is_noticed() {
    run_at(THURSDAY, async |t| {
        let grocer = open(t).await;
        grocer.place("UNPAID", "standard").await;
        grocer.place_paid("SLOW", "standard").await;
        t.advance(SignedDuration::from_mins(15)).await;
        until("the order closes", async || {
            Some(grocer.order("UNPAID").await)
                .filter(|order| order.state == OrderState::ClosedUnpaid)
        })
        .await;
        // Of the messages that buyers may get, this grocer sends two.
        assert!(!grocer.events("UNPAID", EventType::OrderClosedUnpaid).await[0].notify_buyer);
        assert!(
            grocer
                .events("UNPAID", EventType::CancellationCompleted)
                .await
                .iter()
                .all(|event| event.notify_buyer)
        );
        t.advance(SignedDuration::from_mins(30)).await;
        until("it is overdue", async || {
            grocer
                .shipment("SLOW:s1")
                .await
                .preparation_overdue
                .then_some(())
        })
        .await;
        assert_eq!(
            grocer
                .events("SLOW", EventType::PreparationOverdue)
                .await
                .len(),
            1
        );
    });
}

#[test]
fn no_code_knows_the_name_of_a_marketplace() {
    let names = belay_domain::presets::ALL
        .iter()
        .map(|(name, _)| *name)
        .chain(["corner-grocer"]);
    let names: Vec<&str> = names.collect();
    // Where they ship, and which of them `belay dev` shows; tests may name what they like.
    let may = |file: &String| {
        ["/presets.rs", "/demo.rs", "/tests.rs"]
            .iter()
            .any(|end| file.ends_with(end))
    };
    let sources = ["server/src", "server/domain/src"]
        .into_iter()
        .flat_map(rust_files);
    for file in sources.filter(|file| !may(file)) {
        let text = read_to_string(&file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
        {
            let named = names.iter().find(|name| line.contains(*name));
            assert_eq!(named, None, "{file} branches on a marketplace: {line}");
        }
    }
}
