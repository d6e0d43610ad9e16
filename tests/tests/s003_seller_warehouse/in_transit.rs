//! What is under way: the seller asks the partner that delivers, and what the partner finds out by
//! itself.

use belay_client::calls::{FirstPolicy, InterceptAnswer};
use belay_client::model::{
    CancellationFault, CancellationPath, CancellationState, EventType, GateKind, GateState,
    InterceptState, NextAction, OrderState, PartState, Party, ShipmentStage, TrackingFact,
};
use belay_client::{Kind, Role, Units};
use belay_tests::market::{Market, gates, preset};
use belay_tests::shop::{TOTAL, eur};
use belay_tests::{refused, run_at, until};

use super::{MONDAY, hours, open};

/// Asks the partner to turn a parcel round that is under way.
async fn ask_the_partner(market: &Market<'_>, order_id: &str) {
    market
        .order_at(order_id, "partner", ShipmentStage::InTransit)
        .await;
    let waiting = market
        .sellers_request(order_id, "OUT_OF_STOCK")
        .await
        .unwrap()
        .cancellation;
    assert_eq!(waiting.state, CancellationState::Pending);
}

#[test]
fn s003_03_under_way_with_a_partner_the_request_goes_to_the_partner_and_the_parcel_goes_on_meanwhile()
 {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        ask_the_partner(&market, "A-1").await;
        let part = market.part("A-1:c1").await;
        assert_eq!(
            (part.path, part.rule.as_deref()),
            (CancellationPath::Cancel, Some("asks-the-partner"))
        );
        assert_eq!(
            gates(&part),
            [(GateKind::CarrierIntercept, GateState::Open)]
        );
        assert_eq!(part.gates[0].party, Party::Carrier);
        assert_eq!(part.gates[0].respond_by, Some(t.now().await + hours(48)));
        let shipment = market.shipment("A-1:s1").await;
        assert_eq!(
            (shipment.stage, shipment.intercept.unwrap().state),
            (ShipmentStage::InTransit, InterceptState::Requested)
        );
        let order = market.order("A-1").await;
        assert_eq!(
            (
                order.state,
                order.refunds.len(),
                order.lines[0].pending_quantity
            ),
            (OrderState::Shipped, 0, 3)
        );
        market.scan("A-1:s1", TrackingFact::InTransit).await;
        assert_eq!(market.stage("A-1:s1").await, ShipmentStage::InTransit);
        assert_eq!(market.events("A-1", EventType::GateOpened).await.len(), 1);
        // Asked once is asked.
        market
            .refuses(
                market.sellers_request("A-1", "OUT_OF_STOCK"),
                "ALREADY_PENDING",
            )
            .await;
    });
}

#[test]
fn s003_04_the_partner_decides_whether_it_is_cancelled() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        ask_the_partner(&market, "NO").await;
        let partner = market.carrier_of("NO:s1").await;
        partner
            .answer_intercept(
                "NO:s1",
                InterceptAnswer::cannot_intercept("OUT_FOR_DELIVERY"),
            )
            .await
            .unwrap();
        let rejected = market.cancellation("NO:c1").await;
        assert_eq!(
            (rejected.state, rejected.close_reason.as_deref()),
            (CancellationState::Rejected, Some("CARRIER_REFUSED"))
        );
        assert_eq!(
            rejected.parts[0].gates[0]
                .answer
                .clone()
                .unwrap()
                .code
                .as_deref(),
            Some("OUT_FOR_DELIVERY")
        );
        let order = market.order("NO").await;
        assert_eq!(
            (order.shipments[0].stage, order.refunds.len()),
            (ShipmentStage::InTransit, 0)
        );
        assert_eq!(
            order.shipments[0].intercept.unwrap().state,
            InterceptState::Failed
        );
        market.scan("NO:s1", TrackingFact::Delivered).await;
        assert_eq!(market.order("NO").await.state, OrderState::Delivered);

        ask_the_partner(&market, "YES").await;
        let partner = market.carrier_of("YES:s1").await;
        partner
            .answer_intercept("YES:s1", InterceptAnswer::Confirmed)
            .await
            .unwrap();
        let done = market.cancellation("YES:c1").await;
        assert_eq!(
            (done.state, done.parts[0].state),
            (CancellationState::Completed, PartState::Cancelled)
        );
        // The seller's change of mind costs the buyer nothing, the way out included.
        assert_eq!(market.refund("YES").await.amount.total, eur(TOTAL));
        market.scan("YES:s1", TrackingFact::Returned).await;
        let order = market.order("YES").await;
        assert_eq!(
            (order.state, order.cancellations.len()),
            (OrderState::Cancelled, 1)
        );
        assert_eq!(
            (order.shipments[0].stage, order.incidents.len()),
            (ShipmentStage::Returned, 0)
        );

        // Silence is no.
        ask_the_partner(&market, "SILENT").await;
        t.advance(hours(48)).await;
        until("silence refuses", async || {
            Some(market.cancellation("SILENT:c1").await)
                .filter(|found| found.state == CancellationState::Rejected)
        })
        .await;
        assert_eq!(market.stage("SILENT:s1").await, ShipmentStage::InTransit);
    });
}

#[test]
fn s003_05_a_carrier_that_cannot_turn_parcels_round_is_not_asked() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market
            .order_at("A-1", "china-post", ShipmentStage::InTransit)
            .await;
        let error = market
            .refuses(
                market.sellers_request("A-1", "OUT_OF_STOCK"),
                "NOT_INTERCEPTABLE",
            )
            .await;
        let denial = error.denial().unwrap();
        assert_eq!(
            (denial.rule.as_deref(), &denial.next_actions[..]),
            (Some("carrier-cannot"), &[NextAction::ContactSupport][..])
        );
        assert_eq!(market.shipment("A-1:s1").await.intercept, None);
        assert!(market.order("A-1").await.cancellations.is_empty());
        assert!(market.events("A-1", EventType::GateOpened).await.is_empty());
        assert!(
            market
                .events("A-1", EventType::InterceptChanged)
                .await
                .is_empty()
        );
        let answer = market
            .carrier_of("A-1:s1")
            .await
            .answer_intercept("A-1:s1", InterceptAnswer::Confirmed)
            .await;
        refused(answer, Kind::Rejected, "GATE_NOT_OPEN");
    });
}

#[test]
fn s003_15_lost_is_what_its_carrier_has_lost_under_way() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for stage in [
            ShipmentStage::Planned,
            ShipmentStage::Preparing,
            ShipmentStage::Ready,
        ] {
            let order_id = stage.to_string();
            market.order_at(&order_id, "partner", stage).await;
            let error = market
                .refuses(
                    market.sellers_request(&order_id, "LOST_IN_TRANSIT"),
                    "NOT_ALLOWED",
                )
                .await;
            assert_eq!(
                error.denial().unwrap().rule.as_deref(),
                Some("not-lost-before-dispatch")
            );
        }
        market
            .order_at("ARRIVED", "partner", ShipmentStage::Delivered)
            .await;
        market
            .refuses(
                market.sellers_request("ARRIVED", "LOST_IN_TRANSIT"),
                "DELIVERED",
            )
            .await;

        // Under way it is for the carrier to say, whatever it can turn round; it is not asked to
        // turn anything round.
        for carrier_id in ["china-post", "standard", "partner"] {
            market
                .order_at(carrier_id, carrier_id, ShipmentStage::InTransit)
                .await;
            let shipment_id = format!("{carrier_id}:s1");
            let waiting = market
                .sellers_request(carrier_id, "LOST_IN_TRANSIT")
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
            assert_eq!(market.shipment(&shipment_id).await.intercept, None);
            let answer = market
                .carrier_of(&shipment_id)
                .await
                .answer_intercept(&shipment_id, InterceptAnswer::Confirmed)
                .await;
            refused(answer, Kind::Rejected, "GATE_NOT_OPEN");
            assert!(market.order(carrier_id).await.refunds.is_empty());
            if carrier_id == "partner" {
                // It was not lost.
                market.scan(&shipment_id, TrackingFact::Delivered).await;
                let over = market.cancellation("partner:c1").await;
                assert_eq!(
                    (over.state, over.close_reason.as_deref()),
                    (CancellationState::Rejected, Some("DELIVERED"))
                );
                assert!(market.order(carrier_id).await.refunds.is_empty());
            } else {
                market.scan(&shipment_id, TrackingFact::Lost).await;
                let over = market.cancellation(&format!("{carrier_id}:c1")).await;
                assert_eq!(
                    (over.state, gates(&over.parts[0])[0].1),
                    (CancellationState::Completed, GateState::Passed)
                );
                assert_eq!(market.refund(carrier_id).await.amount.total, eur(TOTAL));
                assert_eq!(over.parts[0].effects, []);
            }
        }
    });
}

#[test]
fn a_carrier_that_says_nothing_of_a_loss_leaves_it_to_support() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market
            .order_at("A-1", "china-post", ShipmentStage::InTransit)
            .await;
        let waiting = market
            .sellers_request("A-1", "LOST_IN_TRANSIT")
            .await
            .unwrap()
            .cancellation;
        let respond_by = waiting.parts[0].gates[0].respond_by.unwrap();
        assert_eq!(respond_by, t.now().await + hours(24 * 10));
        t.set_clock(respond_by).await;
        let review = until("support is asked", async || {
            let open = market
                .part("A-1:c1")
                .await
                .gates
                .into_iter()
                .find(|gate| gate.state == GateState::Open);
            open.filter(|gate| gate.kind == GateKind::SupportReview)
        })
        .await;
        assert_eq!(review.respond_by, Some(respond_by + hours(24 * 3)));
        market
            .support()
            .approve_cancellation("A-1:c1")
            .await
            .unwrap();
        assert_eq!(market.refund("A-1").await.amount.total, eur(TOTAL));
    });
}

#[test]
fn s003_18_the_partner_cancels_on_a_delivery_problem_and_not_at_the_sellers_cost() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market
            .order_at("A-1", "partner", ShipmentStage::InTransit)
            .await;
        let partner = market.carrier_of("A-1:s1").await;
        let request = partner
            .request_cancellation("A-1", Units::shipment("A-1:s1"))
            .reason("DELIVERY_PROBLEM");
        let cancellation = request.await.unwrap().cancellation;
        assert_eq!(cancellation.state, CancellationState::Completed);
        let requester = (
            cancellation.requester.role,
            cancellation.requester.id.as_deref(),
        );
        assert_eq!(requester, (Role::Carrier, Some("partner")));
        assert_eq!(
            (cancellation.fault, cancellation.counted),
            (Some(CancellationFault::Carrier), false)
        );
        assert_eq!(
            cancellation.parts[0].rule.as_deref(),
            Some("partner-cancels")
        );
        assert_eq!(market.refund("A-1").await.amount.total, eur(TOTAL));

        // A carrier of the seller's own has no such say.
        market
            .order_at("A-2", "express", ShipmentStage::InTransit)
            .await;
        let express = market.carrier_of("A-2:s1").await;
        let request = express
            .request_cancellation("A-2", Units::shipment("A-2:s1"))
            .reason("DELIVERY_PROBLEM");
        market.refuses(request, "NOT_ALLOWED").await;
    });
    // "Unless the policy says so": its author lays it at the seller's door.
    let theirs = preset("seller-warehouse").replace(
        "actors: [CARRIER]\n    fault: CARRIER\n  # [implied] The same",
        "actors: [CARRIER]\n    fault: SELLER\n    counted: true\n  # [implied] The same",
    );
    assert_ne!(theirs, preset("seller-warehouse"));
    run_at(MONDAY, async |t| {
        let market = t.open_market(FirstPolicy::document(theirs.clone())).await;
        market
            .order_at("A-1", "partner", ShipmentStage::InTransit)
            .await;
        let partner = market.carrier_of("A-1:s1").await;
        let request = partner
            .request_cancellation("A-1", Units::shipment("A-1:s1"))
            .reason("DELIVERY_PROBLEM");
        let told = request.await.unwrap().cancellation;
        // What counts against the seller is no business of the partner's.
        assert_eq!(told.fault, Some(CancellationFault::Seller));
        assert!(market.cancellation("A-1:c1").await.counted);
    });
}
