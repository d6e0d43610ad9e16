//! What the seller cancels before it leaves, why, and what counts.

use belay_client::calls::NewShipment;
use belay_client::model::{
    CancellationEffect, CancellationFault, CancellationOutcome, CancellationState, EventDetail,
    EventType, NextAction, OrderState, RefundState, ShipmentStage, TrackingFact,
};
use belay_client::{Kind, Role, Units};
use belay_tests::market::Market;
use belay_tests::run_at;
use belay_tests::shop::{TOTAL, eur, new_order};

use super::{CHAT, MONDAY, hours, open};

/// The reasons that a seller may give, as the page lists them.
const REASONS: &str = "OUT_OF_STOCK,BUYER_ASKED,LOST_IN_TRANSIT,ADDRESS_NOT_DELIVERABLE,OTHER";

/// Whether each telling of a cancellation says that it counts: its record, and every event about
/// it.
async fn counts(market: &Market<'_>, order_id: &str) -> Vec<bool> {
    let mut told = vec![market.cancellation(&format!("{order_id}:c1")).await.counted];
    for event in market.history(order_id).await {
        if let Some(EventDetail::CancellationChanged { counted, .. }) = event.detail {
            told.push(counted);
        }
    }
    told
}

#[test]
fn s003_01_every_cancellation_by_the_seller_counts_in_service_quality() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for reason in REASONS.split(',') {
            let is_lost = reason == "LOST_IN_TRANSIT";
            let stage = if is_lost {
                ShipmentStage::Lost
            } else {
                ShipmentStage::Planned
            };
            market.order_at(reason, "partner", stage).await;
            let preview = market
                .seller()
                .preview_cancellation(reason, Units::all())
                .reason(reason)
                .await
                .unwrap();
            assert!(preview.allowed && preview.counted, "{reason}: {preview:?}");
            let request = market
                .sellers_request(reason, reason)
                .note("as the page has it")
                .evidence([CHAT]);
            assert_eq!(
                request.await.unwrap().cancellation.state,
                CancellationState::Completed,
                "{reason}"
            );
            assert_eq!(
                counts(&market, reason).await,
                [true, true, true],
                "{reason}"
            );
        }
        // What no seller asked for does not: an order that nobody paid, a parcel that came home.
        market.place("UNPAID", "standard").await;
        t.advance(hours(24)).await;
        market.pay("UNPAID").await;
        assert_eq!(market.order("UNPAID").await.state, OrderState::ClosedUnpaid);
        market
            .order_at("REFUSED", "standard", ShipmentStage::Returning)
            .await;
        assert_eq!(counts(&market, "UNPAID").await, [false, false, false]);
        assert_eq!(counts(&market, "REFUSED").await, [false, false]);
    });
}

#[test]
fn s003_02_what_awaits_packaging_shipment_or_its_carrier_is_cancelled_with_a_reason() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let stages = [
            ("A-1", ShipmentStage::Planned, "Awaiting packaging"),
            ("A-2", ShipmentStage::Preparing, "Awaiting shipment"),
            ("A-3", ShipmentStage::Ready, "Awaiting shipment"),
        ];
        for (order_id, stage, display) in stages {
            let order = market.order_at(order_id, "standard", stage).await;
            assert_eq!(order.display_state, display);
            let requested = market
                .sellers_request(order_id, "OUT_OF_STOCK")
                .await
                .unwrap();
            let cancellation = requested.cancellation;
            assert_eq!(
                (cancellation.state, requested.order_state),
                (CancellationState::Completed, OrderState::Cancelled)
            );
            assert_eq!(cancellation.outcome, Some(CancellationOutcome::Full));
            assert_eq!(
                cancellation.parts[0].rule.as_deref(),
                Some("before-dispatch")
            );
            assert!(cancellation.parts[0].gates.is_empty());
            let requester = (
                cancellation.requester.role,
                cancellation.requester.id.as_deref(),
            );
            assert_eq!(
                (requester, cancellation.auto_approved),
                ((Role::Seller, Some("acme")), false)
            );
            assert_eq!(
                market.stage(&format!("{order_id}:s1")).await,
                ShipmentStage::Cancelled
            );
            // The buyer is told, and gets everything back within five working days.
            let refund = market.refund(order_id).await;
            assert_eq!(
                (refund.state, refund.amount.total),
                (RefundState::Due, eur(TOTAL))
            );
            assert_eq!(refund.due_by.to_string(), "2026-03-10T00:00:00Z");
            let told = market
                .events(order_id, EventType::CancellationCompleted)
                .await;
            assert_eq!(
                told.iter()
                    .map(|event| event.notify_buyer)
                    .collect::<Vec<_>>(),
                [true]
            );
        }
        // "The customer can request to cancel": of the seller.
        market.place_paid("A-4", "standard").await;
        let request = market
            .storefront()
            .request_cancellation("A-4", Units::all());
        let error = market.refuses(request, "NOT_ALLOWED").await;
        assert_eq!(
            error.denial().unwrap().next_actions,
            [NextAction::ContactSeller]
        );
    });
}

#[test]
fn s003_06_at_any_other_stage_nothing_is_cancelled() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let cases = [
            (
                "DELIVERED",
                "partner",
                ShipmentStage::Delivered,
                "DELIVERED",
            ),
            // It comes home: the carrier's own cancellation has it.
            (
                "RETURNING",
                "partner",
                ShipmentStage::Returning,
                "ALREADY_PENDING",
            ),
            (
                "RETURNED",
                "partner",
                ShipmentStage::Returned,
                "ALREADY_PENDING",
            ),
            ("LOST", "partner", ShipmentStage::Lost, "NOT_ALLOWED"),
            // By a carrier of the seller's own, whatever that one can.
            ("ABLE", "express", ShipmentStage::InTransit, "SHIPPED"),
            (
                "UNABLE",
                "standard",
                ShipmentStage::InTransit,
                "NOT_INTERCEPTABLE",
            ),
        ];
        for (order_id, carrier_id, stage, reason) in cases {
            let order = market.order_at(order_id, carrier_id, stage).await;
            market
                .refuses(
                    market
                        .sellers_request(order_id, "OTHER")
                        .note("the shelf broke"),
                    reason,
                )
                .await;
            assert_eq!(market.order(order_id).await, order, "{order_id}");
        }
        // The page speaks of orders that are paid.
        market.place("UNPAID", "standard").await;
        market
            .refuses(
                market.sellers_request("UNPAID", "OUT_OF_STOCK"),
                "NOT_ALLOWED",
            )
            .await;
    });
}

#[test]
fn s003_07_of_several_shipments_the_others_stay() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let shipments = [
            NewShipment::new([(1, 2)]),
            NewShipment::new([(1, 1), (2, 1)]).carrier_id("express"),
        ];
        new_order(&market.storefront(), "A-1")
            .shipments(shipments)
            .await
            .unwrap();
        market.pay("A-1").await;
        market.mark_ready("A-1:s1").await;
        let other = market.shipment("A-1:s1").await;

        let request = market
            .seller()
            .request_cancellation("A-1", Units::shipment("A-1:s2"))
            .reason("OUT_OF_STOCK");
        let requested = request.await.unwrap();
        assert_eq!(
            (requested.cancellation.parts.len(), requested.order_state),
            (1, OrderState::Processing)
        );
        assert_eq!(
            requested.cancellation.parts[0].shipment_id.as_str(),
            "A-1:s2"
        );
        let order = market.order("A-1").await;
        let stages: Vec<_> = order
            .shipments
            .iter()
            .map(|shipment| (shipment.stage, shipment.do_not_hand_over))
            .collect();
        assert_eq!(
            stages,
            [
                (ShipmentStage::Ready, false),
                (ShipmentStage::Cancelled, true)
            ]
        );
        assert_eq!(
            (order.shipments[0].fence, &order.shipments[0].contents),
            (other.fence, &other.contents)
        );
        // The third mug, the pen, and the second shipment's share of the way: 733 of 1,400.
        let amount = &order.refunds[0].amount;
        assert_eq!(
            (&amount.goods, &amount.shipping),
            (&eur(333 + 400), &eur(257))
        );
        assert_eq!((&amount.tax, order.refunds.len()), (&eur(63 + 76 + 49), 1));

        market.ship("A-1:s1").await;
        market.scan("A-1:s1", TrackingFact::Delivered).await;
        let order = market.order("A-1").await;
        assert_eq!(
            (order.state, order.lines[0].shipped_quantity),
            (OrderState::Delivered, 2)
        );
    });
}

#[test]
fn s003_08_a_reason_must_be_given_and_be_one_of_the_list() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place_paid("A-1", "standard").await;
        let request = || market.seller().request_cancellation("A-1", Units::all());
        let error = market
            .refuses_as(request(), Kind::InvalidArgument, "REASON_REQUIRED")
            .await;
        assert_eq!(
            (
                &*error.metadata()["reasons"],
                &*error.field_violations()[0].field
            ),
            (REASONS, "reason")
        );
        let error = market
            .refuses_as(
                request().reason("BAD_WEATHER"),
                Kind::InvalidArgument,
                "REASON_UNKNOWN",
            )
            .await;
        assert_eq!(error.metadata()["reasons"], REASONS);
        // The carrier's reason is not the seller's.
        let theirs = request().reason("DELIVERY_PROBLEM");
        let error = market
            .refuses_as(theirs, Kind::InvalidArgument, "REASON_NOT_ALLOWED")
            .await;
        assert_eq!(error.metadata()["reasons"], REASONS);
        assert!(market.order("A-1").await.cancellations.is_empty());
        let recorded = request()
            .reason("ADDRESS_NOT_DELIVERABLE")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(recorded.reason.as_deref(), Some("ADDRESS_NOT_DELIVERABLE"));
    });
}

#[test]
fn s003_11_that_the_buyer_asked_is_shown_from_where_and_only_before_dispatch() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place_paid("A-0", "partner").await;
        let preview = market
            .seller()
            .preview_cancellation("A-0", Units::all())
            .reason("BUYER_ASKED")
            .await
            .unwrap();
        assert!(preview.allowed && preview.evidence_required && preview.counted);
        let unproven = [
            vec![],
            vec!["thread-77"],
            vec!["EMAIL:77"],
            vec![CHAT, "EMAIL:77"],
        ];
        for evidence in unproven {
            let request = market
                .sellers_request("A-0", "BUYER_ASKED")
                .evidence(evidence);
            let error = market
                .refuses_as(request, Kind::InvalidArgument, "EVIDENCE_REQUIRED")
                .await;
            assert_eq!(error.metadata()["channels"], "CHAT,SUPPORT,CHATBOT");
        }
        for (order_id, evidence) in [
            ("A-1", CHAT),
            ("A-2", "SUPPORT:ticket-4"),
            ("A-3", "CHATBOT:9"),
        ] {
            market.place_paid(order_id, "partner").await;
            let request = market
                .sellers_request(order_id, "BUYER_ASKED")
                .evidence([evidence]);
            let cancellation = request.await.unwrap().cancellation;
            assert_eq!(
                (cancellation.state, cancellation.fault),
                (CancellationState::Completed, Some(CancellationFault::Buyer))
            );
            assert_eq!(cancellation.evidence, [evidence]);
            // "Such cancellations are already included in the allowed cancellation rate."
            assert!(cancellation.counted);
            assert_eq!(cancellation.parts[0].effects, [CancellationEffect::Restock]);
        }
        // "If you haven't sent the order yet": the partner would turn it round for other reasons,
        // not for this one.
        market
            .order_at("SENT", "partner", ShipmentStage::InTransit)
            .await;
        let request = market
            .sellers_request("SENT", "BUYER_ASKED")
            .evidence([CHAT]);
        let error = market.refuses(request, "SHIPPED").await;
        assert_eq!(
            error.denial().unwrap().rule.as_deref(),
            Some("buyer-asked-too-late")
        );
        assert_eq!(market.shipment("SENT:s1").await.intercept, None);
    });
}

#[test]
fn s003_17_other_needs_a_description_and_is_the_sellers_fault() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place_paid("A-1", "standard").await;
        let preview = market
            .seller()
            .preview_cancellation("A-1", Units::all())
            .reason("OTHER")
            .await
            .unwrap();
        assert!(preview.note_required);
        let request = market.sellers_request("A-1", "OTHER");
        let error = market
            .refuses_as(request, Kind::InvalidArgument, "NOTE_REQUIRED")
            .await;
        assert_eq!(error.metadata()["reason"], "OTHER");
        let cancellation = market
            .sellers_request("A-1", "OTHER")
            .note("the shelf broke")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(
            (cancellation.fault, cancellation.note.as_deref()),
            (Some(CancellationFault::Seller), Some("the shelf broke"))
        );
        assert!(cancellation.counted);
    });
}
