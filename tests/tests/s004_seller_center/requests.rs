//! "How to View Cancellation Requests" and how to answer them.

use belay_client::model::{
    Cancellation, CancellationEffect, CancellationState, EventType, GateKind, GateState,
    NextAction, OnDispatch, OnTimeout, OrderState, PartState, Party, RefundState, RespondWithin,
    ShipmentStage,
};
use belay_client::{Kind, Role, Units};
use belay_tests::market::{Market, gates, preset};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{refused, run_at, until};
use jiff::{SignedDuration, Timestamp};

use super::{MONDAY, SECOND, govern_by, open};

/// A buyer's request for an order that is being packed: the seller is asked.
async fn ask(market: &Market<'_>, order_id: &str) -> Cancellation {
    market
        .order_at(order_id, "standard", ShipmentStage::Preparing)
        .await;
    market
        .buyers_request(order_id, "NO_LONGER_WANTED")
        .await
        .unwrap()
        .cancellation
}

/// A buyer's request for an order that nobody has begun to pack: the policy grants it.
async fn grant(market: &Market<'_>, order_id: &str) -> Cancellation {
    market.place_paid(order_id, "standard").await;
    market
        .buyers_request(order_id, "WRONG_PURCHASE")
        .await
        .unwrap()
        .cancellation
}

#[test]
fn s004_01_action_needed_counts_what_was_approved_and_what_is_requested_and_their_sum() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let needed = async || {
            let needed = market
                .seller()
                .summarize_actions()
                .seller_id("acme")
                .await
                .unwrap();
            (
                needed.auto_approved.value,
                needed.requested.value,
                needed.total.value,
            )
        };
        assert_eq!(needed().await, (0, 0, 0));
        for order_id in ["A-1", "A-2", "A-3"] {
            grant(&market, order_id).await;
        }
        let respond_by = ask(&market, "B-1").await.parts[0].gates[0].respond_by;
        t.advance(SECOND).await;
        ask(&market, "B-2").await;
        // The seller's own is no news to the seller.
        market.place_paid("C-1", "standard").await;
        market.sellers_request("C-1", "OUT_OF_STOCK").await.unwrap();
        assert_eq!(needed().await, (3, 2, 5));
        let summary = market
            .seller()
            .summarize_actions()
            .seller_id("acme")
            .await
            .unwrap();
        assert_eq!(summary.nearest_deadline, respond_by);
        // Each seller has a badge of their own.
        let other = market
            .as_role(Role::Seller, "other")
            .summarize_actions()
            .await
            .unwrap();
        assert_eq!(other.total.value, 0);
        // What is answered needs no action any more.
        market
            .seller()
            .reject_cancellation("B-1:c1", "PACKED")
            .await
            .unwrap();
        assert_eq!(needed().await, (3, 1, 4));
    });
}

#[test]
fn s004_02_the_filter_for_cancellations_lists_both() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place_paid("UNTOUCHED", "standard").await;
        grant(&market, "A-1").await;
        t.advance(SECOND).await;
        ask(&market, "B-1").await;
        let listed = market
            .seller()
            .list_cancellations()
            .seller_id("acme")
            .await
            .unwrap()
            .items;
        let shown: Vec<_> = listed
            .iter()
            .map(|each| (each.order_id.as_str(), each.auto_approved, each.state))
            .collect();
        assert_eq!(
            shown,
            [
                ("B-1", false, CancellationState::Pending),
                ("A-1", true, CancellationState::Completed)
            ]
        );
        // "Click 'View' to find the orders": each by itself.
        let requested = market
            .seller()
            .list_cancellations()
            .awaiting(Party::Seller)
            .await
            .unwrap()
            .items;
        assert_eq!(requested, listed[..1]);
        let approved = market
            .seller()
            .list_cancellations()
            .state(CancellationState::Completed)
            .await
            .unwrap()
            .items;
        assert_eq!(approved, listed[1..]);
    });
}

#[test]
fn s004_03_what_was_approved_without_the_seller_is_under_cancelled_with_a_warning_and_its_reason() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let granted = grant(&market, "A-1").await;
        assert_eq!(
            (granted.state, granted.auto_approved),
            (CancellationState::Completed, true)
        );
        assert_eq!(granted.parts[0].rule.as_deref(), Some("auto-approved"));
        assert!(granted.parts[0].gates.is_empty());

        let tab = market
            .seller()
            .list_orders()
            .seller_id("acme")
            .state(OrderState::Cancelled)
            .await
            .unwrap()
            .items;
        let [order] = &tab[..] else {
            panic!("one order, not {tab:?}")
        };
        assert_eq!(
            (order.order_id.as_str(), &*order.display_state),
            ("A-1", "Cancelled")
        );
        // "You don't need to hand over this order to logistics."
        let shipment = market.seller().get_shipment("A-1:s1").await.unwrap();
        assert_eq!(
            (shipment.stage, shipment.do_not_hand_over),
            (ShipmentStage::Cancelled, true)
        );
        let dispatch = market
            .warehouse_of("A-1:s1")
            .await
            .dispatch_shipment("A-1:s1", shipment.fence)
            .await;
        refused(dispatch, Kind::Rejected, "STAGE_MISMATCH");
        // "Hover over the order status for more details, such as the reason for cancellation."
        let order = market.seller().get_order("A-1").await.unwrap();
        assert_eq!(
            order.cancellations[0].reason.as_deref(),
            Some("WRONG_PURCHASE")
        );
        assert_eq!(order.cancellations[0].requester.role, Role::Buyer);
        // The buyer has the money at once, and everything of it.
        let refund = market.refund("A-1").await;
        assert_eq!(
            (refund.state, refund.amount.total),
            (RefundState::Due, eur(TOTAL))
        );
        assert_eq!(refund.due_by, t.now().await);
        // What the seller cancels or agrees to carries no such mark.
        ask(&market, "B-1").await;
        let agreed = market
            .seller()
            .approve_cancellation("B-1:c1")
            .await
            .unwrap()
            .cancellation;
        assert!(!agreed.auto_approved);
        market.place_paid("C-1", "standard").await;
        assert!(
            !market
                .sellers_request("C-1", "PRICING_ERROR")
                .await
                .unwrap()
                .cancellation
                .auto_approved
        );
    });
}

#[test]
fn s004_04_the_seller_has_until_the_same_local_time_two_calendar_days_later() {
    // Noon on a Saturday in Berlin, in the night to whose Monday the clocks are put forward: the
    // weekend adds nothing, and the hour that is missing is nobody's to answer in.
    run_at("2026-03-28T11:00:00Z", async |t| {
        let market = open(t).await;
        market
            .order_at("A-1", "standard", ShipmentStage::Preparing)
            .await;
        let noon_on_monday: Timestamp = "2026-03-30T10:00:00Z".parse().unwrap();
        let preview = market
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason("NO_LONGER_WANTED");
        let shown = preview.await.unwrap().options.remove(0).gates.remove(0);
        assert_eq!(
            (shown.respond_within, shown.respond_by),
            (Some(RespondWithin::CalendarDays(2)), Some(noon_on_monday))
        );
        let waiting = market
            .buyers_request("A-1", "NO_LONGER_WANTED")
            .await
            .unwrap()
            .cancellation;
        let part = &waiting.parts[0];
        assert_eq!(
            (waiting.state, part.rule.as_deref()),
            (CancellationState::Pending, Some("requested"))
        );
        assert_eq!(gates(part), [(GateKind::SellerConsent, GateState::Open)]);
        let gate = &part.gates[0];
        assert_eq!(
            (gate.party, gate.respond_by),
            (Party::Seller, Some(noon_on_monday))
        );
        assert_eq!(
            (gate.on_timeout, gate.on_dispatch),
            (Some(OnTimeout::Pass), Some(OnDispatch::Bar))
        );
        // Packing may go on; leaving may not.
        market.mark_ready("A-1:s1").await;
        let fence = market.shipment("A-1:s1").await.fence;
        let dispatch = market
            .warehouse_of("A-1:s1")
            .await
            .dispatch_shipment("A-1:s1", fence)
            .await;
        assert_eq!(
            refused(dispatch, Kind::Rejected, "SHIPMENT_BARRED").metadata()["cancellation_id"],
            "A-1:c1"
        );
    });
}

#[test]
fn s004_05_what_nobody_answers_is_decided_by_the_system_as_the_policy_says() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let respond_by = ask(&market, "A-1").await.parts[0].gates[0]
            .respond_by
            .unwrap();
        t.set_clock(respond_by).await;
        let done = until("silence is consent", async || {
            Some(market.cancellation("A-1:c1").await)
                .filter(|found| found.state != CancellationState::Pending)
        })
        .await;
        assert_eq!(
            (done.state, done.close_time),
            (CancellationState::Completed, Some(respond_by))
        );
        assert_eq!(
            (done.parts[0].state, done.auto_approved),
            (PartState::Cancelled, false)
        );
        let gate = &done.parts[0].gates[0];
        assert_eq!(
            (gate.state, gate.close_time),
            (GateState::Passed, Some(respond_by))
        );
        assert_eq!(gate.answer.clone().unwrap().by.role, Role::System);
        let order = market.order("A-1").await;
        assert_eq!(
            (order.state, &order.refunds[0].amount.total),
            (OrderState::Cancelled, &eur(TOTAL))
        );
        // On the record: who, when, why, by which rule.
        let closed = market.events("A-1", EventType::GateClosed).await;
        let [closed] = &closed[..] else {
            panic!("closed once, not {closed:?}")
        };
        assert_eq!(
            (closed.actor.role, &*closed.cause, closed.event_time),
            (Role::System, "deadline", respond_by)
        );
        let reminders = market.events("A-1", EventType::GateReminder).await;
        let reminded: Vec<_> = reminders.iter().map(|event| event.event_time).collect();
        assert_eq!(reminded, [respond_by - SignedDuration::from_hours(12)]);

        // Another marketplace takes silence for a no: that is a word in its document.
        let strict = preset("seller-center").replace("on_timeout: PASS", "on_timeout: REFUSE");
        govern_by(t, &market, strict).await;
        let respond_by = ask(&market, "A-2").await.parts[0].gates[0]
            .respond_by
            .unwrap();
        t.set_clock(respond_by).await;
        let refused = until("silence refuses", async || {
            Some(market.cancellation("A-2:c1").await)
                .filter(|found| found.state != CancellationState::Pending)
        })
        .await;
        assert_eq!(refused.close_reason.as_deref(), Some("GATE_TIMED_OUT"));
        assert_eq!(
            refused.parts[0].gates[0].answer.clone().unwrap().by.role,
            Role::System
        );
    });
}

#[test]
fn s004_06_an_answer_counts_a_second_before_its_time_is_over_and_not_when_it_is() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        ask(&market, "YES").await;
        ask(&market, "NO").await;
        let respond_by = ask(&market, "LATE").await.parts[0].gates[0]
            .respond_by
            .unwrap();
        t.set_clock(respond_by - SECOND).await;
        let yes = market
            .seller()
            .approve_cancellation("YES:c1")
            .await
            .unwrap();
        assert_eq!(
            (yes.cancellation.state, yes.order_state),
            (CancellationState::Completed, OrderState::Cancelled)
        );
        let no = market
            .seller()
            .reject_cancellation("NO:c1", "PACKED")
            .await
            .unwrap();
        assert_eq!(
            (no.cancellation.state, no.order_state),
            (CancellationState::Rejected, OrderState::Processing)
        );
        market.ship("NO:s1").await;

        // No worker has to have been there first.
        t.set_clock(respond_by).await;
        let late = market
            .seller()
            .reject_cancellation("LATE:c1", "PACKED")
            .await;
        let error = refused(late, Kind::Rejected, "GATE_TIMED_OUT");
        assert_eq!(error.metadata()["respond_by"], respond_by.to_string());
        refused(
            market.seller().approve_cancellation("LATE:c1").await,
            Kind::Rejected,
            "GATE_TIMED_OUT",
        );
        until("silence is consent", async || {
            Some(market.cancellation("LATE:c1").await)
                .filter(|found| found.state == CancellationState::Completed)
        })
        .await;
    });
}

#[test]
fn s004_07_the_seller_cancels_with_a_reason_before_shipped_and_not_afterwards() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for (order_id, stage) in [
            ("A-1", ShipmentStage::Planned),
            ("A-2", ShipmentStage::Preparing),
            ("A-3", ShipmentStage::Ready),
        ] {
            market.order_at(order_id, "standard", stage).await;
            let request = market.seller().request_cancellation(order_id, Units::all());
            let error = market
                .refuses_as(request, Kind::InvalidArgument, "REASON_REQUIRED")
                .await;
            let reasons = "OUT_OF_STOCK,PRICING_ERROR,BUYER_ASKED,ADDRESS_NOT_DELIVERABLE,OTHER";
            assert_eq!(error.metadata()["reasons"], reasons);
            let done = market
                .sellers_request(order_id, "OUT_OF_STOCK")
                .await
                .unwrap();
            assert_eq!(
                (done.cancellation.state, done.order_state),
                (CancellationState::Completed, OrderState::Cancelled)
            );
            assert_eq!(
                done.cancellation.parts[0].rule.as_deref(),
                Some("by-the-seller")
            );
            assert_eq!(done.cancellation.effects, [CancellationEffect::ZeroStock]);
            assert_eq!(market.refund(order_id).await.amount.total, eur(TOTAL));
        }
        for carrier_id in ["standard", "express"] {
            let shipped = market
                .order_at(carrier_id, carrier_id, ShipmentStage::InTransit)
                .await;
            let error = market
                .refuses(
                    market.sellers_request(carrier_id, "OUT_OF_STOCK"),
                    "SHIPPED",
                )
                .await;
            assert_eq!(
                error.denial().unwrap().next_actions,
                [NextAction::ContactSupport]
            );
            assert_eq!(market.order(carrier_id).await, shipped);
        }
        market
            .order_at("ARRIVED", "standard", ShipmentStage::Delivered)
            .await;
        market
            .refuses(
                market.sellers_request("ARRIVED", "PRICING_ERROR"),
                "DELIVERED",
            )
            .await;
    });
}

#[test]
fn s004_12_support_has_the_sellers_authority_only_where_the_policy_grants_it() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for (order_id, stage) in [
            ("A-1", ShipmentStage::Planned),
            ("A-2", ShipmentStage::Ready),
        ] {
            market.order_at(order_id, "standard", stage).await;
            let request = || {
                market
                    .support()
                    .request_cancellation(order_id, Units::all())
            };
            let error = market.refuses(request(), "NOT_ALLOWED").await;
            assert_eq!(error.denial().unwrap().rule, None);
            market
                .refuses_as(
                    request().reason("OUT_OF_STOCK"),
                    Kind::InvalidArgument,
                    "REASON_NOT_ALLOWED",
                )
                .await;
        }
        // Nor does support answer in the seller's place.
        ask(&market, "A-3").await;
        refused(
            market.support().approve_cancellation("A-3:c1").await,
            Kind::Rejected,
            "GATE_NOT_OPEN",
        );
        refused(
            market
                .support()
                .reject_cancellation("A-3:c1", "PACKED")
                .await,
            Kind::Rejected,
            "GATE_NOT_OPEN",
        );
        assert_eq!(
            market.cancellation("A-3:c1").await.state,
            CancellationState::Pending
        );

        let document = preset("seller-center");
        let (before, reason) = document
            .split_once("  - code: OUT_OF_STOCK\n")
            .expect("the preset has the reason");
        let reason = reason.replacen("actors: [SELLER]", "actors: [SELLER, SUPPORT]", 1);
        let granted = format!("{before}  - code: OUT_OF_STOCK\n{reason}")
            .replace("      actor: SELLER\n", "      actor: [SELLER, SUPPORT]\n");
        let version = govern_by(t, &market, granted).await;
        market.place_paid("A-4", "standard").await;
        let request = market
            .support()
            .request_cancellation("A-4", Units::all())
            .reason("OUT_OF_STOCK");
        let done = request.await.unwrap().cancellation;
        assert_eq!(
            (done.state, done.requester.role),
            (CancellationState::Completed, Role::Support)
        );
        assert_eq!(
            (done.policy_version, done.parts[0].rule.as_deref()),
            (version, Some("by-the-seller"))
        );
    });
}
