//! "How do I cancel a paid order?": the buyer asks, the supplier agrees or goes on shipping.

use belay_client::model::{
    Cancellation, CancellationOutcome, CancellationPath, CancellationState, EventType, GateKind,
    GateState, NextAction, OnDispatch, OnTimeout, OrderState, PartState, Party, RefundState,
    RespondWithin, ShipmentStage, TrackingFact,
};
use belay_client::{Kind, Role, Units};
use belay_tests::market::{Market, gates};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{refused, run_at, until};

use super::{MONDAY, SECOND, days, hours, open, place_paid};

/// A paid order whose buyer waits for the supplier's word.
async fn ask(market: &Market<'_>, order_id: &str) -> Cancellation {
    place_paid(market, order_id).await;
    market
        .buyers_request(order_id, "NO_LONGER_NEEDED")
        .await
        .unwrap()
        .cancellation
}

#[test]
fn s002_01_a_paid_order_that_the_buyer_wants_to_cancel_waits_for_the_supplier() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let before = place_paid(&market, "A-1").await;
        // "You also need to contact the supplier": offered, and not at once.
        assert_eq!(
            (before.cancellable_now, before.cancellable_explanation),
            (false, None)
        );
        let preview = market
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .await
            .unwrap();
        let offered = &preview.options[0];
        assert_eq!(
            (preview.allowed, offered.path, offered.chosen),
            (true, CancellationPath::Cancel, true)
        );
        assert_eq!(
            offered.gates[0].respond_within,
            Some(RespondWithin::Duration(days(7).unsigned_abs()))
        );

        // The page asks for no reason.
        let requested = market
            .storefront()
            .request_cancellation("A-1", Units::all())
            .await
            .unwrap();
        let waiting = requested.cancellation;
        assert_eq!(
            (waiting.state, requested.order_state),
            (CancellationState::Pending, OrderState::ToShip)
        );
        assert_eq!(
            (waiting.reason.as_deref(), waiting.auto_approved),
            (None, false)
        );
        let part = &waiting.parts[0];
        assert_eq!(
            (part.state, part.rule.as_deref()),
            (PartState::Waiting, Some("by-agreement"))
        );
        assert_eq!(gates(part), [(GateKind::SellerConsent, GateState::Open)]);
        let respond_by = t.now().await + days(7);
        let gate = &part.gates[0];
        assert_eq!(
            (gate.party, gate.respond_by),
            (Party::Seller, Some(respond_by))
        );
        assert_eq!(gate.remind_time, Some(respond_by - hours(24)));
        assert_eq!(
            (gate.on_timeout, gate.on_dispatch),
            (Some(OnTimeout::Refuse), Some(OnDispatch::RefusePart))
        );

        // Asked for is not cancelled.
        let order = market.order("A-1").await;
        assert_eq!(
            (
                order.lines[0].pending_quantity,
                order.lines[0].cancelled_quantity
            ),
            (3, 0)
        );
        assert_eq!(
            (order.shipments[0].stage, order.refunds.len()),
            (ShipmentStage::Planned, 0)
        );
        assert_eq!(
            (&waiting.expected_refund.total, waiting.refund_ids.len()),
            (&eur(TOTAL), 0)
        );
        assert_eq!(market.events("A-1", EventType::GateOpened).await.len(), 1);
        // The supplier finds it, and nobody else can give the supplier's word.
        let needed = market
            .seller()
            .summarize_actions()
            .seller_id("acme")
            .await
            .unwrap();
        assert_eq!(
            (needed.requested.value, needed.nearest_deadline),
            (1, Some(respond_by))
        );
        refused(
            market.support().approve_cancellation("A-1:c1").await,
            Kind::Rejected,
            "GATE_NOT_OPEN",
        );
        let other = market
            .as_role(Role::Seller, "other")
            .approve_cancellation("A-1:c1")
            .await;
        assert_eq!(other.unwrap_err().kind(), Kind::NotFound);
        market
            .refuses(
                market
                    .storefront()
                    .request_cancellation("A-1", Units::all()),
                "ALREADY_PENDING",
            )
            .await;
    });
}

#[test]
fn s002_02_a_supplier_who_agrees_bars_the_shipping_and_cancels_in_one_step() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for (order_id, stage) in [
            ("A-1", ShipmentStage::Planned),
            ("A-2", ShipmentStage::Preparing),
            ("A-3", ShipmentStage::Ready),
        ] {
            ask(&market, order_id).await;
            let shipment_id = format!("{order_id}:s1");
            match stage {
                ShipmentStage::Preparing => drop(market.prepare(&shipment_id).await),
                ShipmentStage::Ready => drop(market.mark_ready(&shipment_id).await),
                _ => {}
            }
            let seen = market.shipment(&shipment_id).await;
            assert_eq!(seen.stage, stage);

            let agreed = market
                .seller()
                .approve_cancellation(format!("{order_id}:c1"))
                .note("as we said")
                .await;
            let agreed = agreed.unwrap();
            let cancellation = &agreed.cancellation;
            assert_eq!(
                (cancellation.state, agreed.order_state, cancellation.outcome),
                (
                    CancellationState::Completed,
                    OrderState::Cancelled,
                    Some(CancellationOutcome::Full)
                )
            );
            let answer = cancellation.parts[0].gates[0].answer.clone().unwrap();
            assert_eq!(
                (answer.by.role, answer.by.id.as_deref()),
                (Role::Seller, Some("acme"))
            );
            assert_eq!(answer.note.as_deref(), Some("as we said"));
            let shipment = market.shipment(&shipment_id).await;
            assert_eq!(
                (shipment.stage, shipment.do_not_hand_over),
                (ShipmentStage::Cancelled, true)
            );
            let warehouse = market.warehouse_of(&shipment_id).await;
            refused(
                warehouse.dispatch_shipment(&shipment_id, seen.fence).await,
                Kind::Aborted,
                "FENCE_STALE",
            );
            let dispatch = warehouse
                .dispatch_shipment(&shipment_id, shipment.fence)
                .await;
            assert_eq!(
                refused(dispatch, Kind::Rejected, "STAGE_MISMATCH").metadata()["stage"],
                "CANCELLED"
            );

            // One step: whatever came of the word came with the same version of the order.
            let history = market.history(order_id).await;
            let together = history
                .iter()
                .filter(|event| event.order_version == history.last().unwrap().order_version);
            let together: Vec<_> = together.map(|event| event.event_type).collect();
            for expected in [
                EventType::GateClosed,
                EventType::PartEnded,
                EventType::ShipmentStageChanged,
                EventType::CancellationCompleted,
                EventType::RefundCreated,
            ] {
                assert!(
                    together.contains(&expected),
                    "{expected} is not among {together:?}"
                );
            }
            let refund = market.refund(order_id).await;
            assert_eq!(
                (refund.state, refund.amount.total),
                (RefundState::Due, eur(TOTAL))
            );
            assert_eq!(refund.due_by.to_string(), "2026-03-10T00:00:00Z");
        }
    });
}

#[test]
fn s002_03_a_supplier_who_disagrees_goes_on_to_ship_the_order_as_it_was() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let before = place_paid(&market, "A-1").await;
        market
            .buyers_request("A-1", "NO_LONGER_NEEDED")
            .await
            .unwrap();
        let rejected = market
            .seller()
            .reject_cancellation("A-1:c1", "MADE_TO_ORDER")
            .await
            .unwrap();
        let cancellation = rejected.cancellation;
        assert_eq!(
            (cancellation.state, rejected.order_state),
            (CancellationState::Rejected, OrderState::ToShip)
        );
        assert_eq!(
            cancellation.close_reason.as_deref(),
            Some("CONSENT_REFUSED")
        );
        let answer = cancellation.parts[0].gates[0].answer.clone().unwrap();
        assert_eq!(
            (answer.by.role, answer.code.as_deref()),
            (Role::Seller, Some("MADE_TO_ORDER"))
        );
        let told = market.events("A-1", EventType::CancellationRejected).await;
        assert_eq!(
            told.iter()
                .map(|event| event.notify_buyer)
                .collect::<Vec<_>>(),
            [true]
        );

        let order = market.order("A-1").await;
        assert_eq!(
            (&order.lines, &order.totals, order.refunds.len()),
            (&before.lines, &before.totals, 0)
        );
        assert_eq!(order.shipments[0].stage, before.shipments[0].stage);
        assert_eq!(order.shipments[0].contents, before.shipments[0].contents);
        market.ship("A-1:s1").await;
        market.scan("A-1:s1", TrackingFact::Delivered).await;
        assert_eq!(market.order("A-1").await.state, OrderState::Delivered);
    });
}

#[test]
fn s002_04_silence_never_cancels_and_a_supplier_who_ships_has_answered() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        ask(&market, "SHIPS").await;
        market.prepare("SHIPS:s1").await;
        market.mark_ready("SHIPS:s1").await;
        assert_eq!(
            market.cancellation("SHIPS:c1").await.state,
            CancellationState::Pending
        );
        market.ship("SHIPS:s1").await;
        let closed = market.cancellation("SHIPS:c1").await;
        assert_eq!(
            (closed.state, closed.close_reason.as_deref()),
            (CancellationState::Rejected, Some("NO_AGREEMENT"))
        );
        let order = market.order("SHIPS").await;
        assert_eq!((order.state, order.refunds.len()), (OrderState::Shipped, 0));
        assert_eq!(
            (order.lines[0].pending_quantity, order.incidents.len()),
            (0, 0)
        );
        let told = market
            .events("SHIPS", EventType::CancellationRejected)
            .await;
        assert_eq!(
            told.iter()
                .map(|event| event.notify_buyer)
                .collect::<Vec<_>>(),
            [true]
        );
        refused(
            market.seller().approve_cancellation("SHIPS:c1").await,
            Kind::Rejected,
            "GATE_NOT_OPEN",
        );

        // Who says nothing and ships nothing has not agreed either.
        let respond_by = ask(&market, "SILENT").await.parts[0].gates[0]
            .respond_by
            .unwrap();
        t.set_clock(respond_by - SECOND).await;
        assert_eq!(
            market.cancellation("SILENT:c1").await.state,
            CancellationState::Pending
        );
        t.set_clock(respond_by).await;
        let closed = until("silence refuses", async || {
            Some(market.cancellation("SILENT:c1").await)
                .filter(|found| found.state != CancellationState::Pending)
        })
        .await;
        assert_eq!(
            (closed.state, closed.close_reason.as_deref()),
            (CancellationState::Rejected, Some("GATE_TIMED_OUT"))
        );
        let reminders = market.events("SILENT", EventType::GateReminder).await;
        assert_eq!(reminders.len(), 1);
        assert_eq!(market.order("SILENT").await.state, OrderState::ToShip);
        let late = market.seller().approve_cancellation("SILENT:c1").await;
        assert_eq!(
            refused(late, Kind::Rejected, "GATE_TIMED_OUT").metadata()["respond_by"],
            respond_by.to_string()
        );
        market.ship("SILENT:s1").await;
    });
}

#[test]
fn s002_05_what_the_supplier_has_shipped_is_not_cancelled() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        // Whatever the carrier can: the page knows of no way back.
        for carrier_id in ["standard", "express"] {
            market.place(carrier_id, carrier_id).await;
            super::pay_by(&market, carrier_id, "BANK_TRANSFER").await;
            let shipment_id = format!("{carrier_id}:s1");
            market.ship(&shipment_id).await;
            let shipped = market.order(carrier_id).await;
            let error = market
                .refuses(
                    market.buyers_request(carrier_id, "NO_LONGER_NEEDED"),
                    "SHIPPED",
                )
                .await;
            let denial = error.denial().unwrap();
            assert_eq!(
                (denial.rule.as_deref(), &denial.next_actions[..]),
                (Some("shipped"), &[NextAction::ContactSeller][..])
            );
            let paths = [
                CancellationPath::Intercept,
                CancellationPath::RefuseDelivery,
            ];
            market
                .refuses(
                    market
                        .buyers_request(carrier_id, "NO_LONGER_NEEDED")
                        .paths(paths),
                    "NOT_ALLOWED",
                )
                .await;
            assert_eq!(market.order(carrier_id).await, shipped);
            assert_eq!(
                (shipped.cancellable_now, shipped.cancellations.len()),
                (false, 0)
            );
            market.scan(&shipment_id, TrackingFact::Delivered).await;
            market
                .refuses(
                    market.buyers_request(carrier_id, "NO_LONGER_NEEDED"),
                    "DELIVERED",
                )
                .await;
        }
    });
}
