//! "2.1 Paid - Unshipped", "2.2 Paid - Preparing for Shipment", and the refund of what has not
//! left.

use belay_client::calls::{NewShipment, StopAnswer, Stopped};
use belay_client::model::{
    Cancellation, CancellationEffect, CancellationOutcome, CancellationPath, CancellationState,
    EventDetail, EventType, GateKind, GateState, IncidentKind, NextAction, OnTimeout, OrderState,
    PartState, Party, RefundResult, RefundState, RespondWithin, ShipmentStage, Weekday,
};
use belay_client::{Kind, Role, Units};
use belay_tests::market::{Market, gates};
use belay_tests::shop::{TOTAL, eur, new_order};
use belay_tests::{refused, run_at, until};
use jiff::Timestamp;

use super::{MONDAY, SECOND, at, hours, open};

/// What support has to decide on, or has decided.
async fn apply(market: &Market<'_>, order_id: &str) -> Cancellation {
    market.place_paid(order_id, "standard").await;
    let requested = market
        .buyers_request(order_id, "NO_LONGER_WANTED")
        .await
        .unwrap();
    assert_eq!(requested.order_state, OrderState::ToShip);
    requested.cancellation
}

#[test]
fn s001_04_an_application_for_a_refund_waits_for_support_and_may_be_approved_or_not() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        market.place_paid("A-1", "standard").await;
        let order = market.order("A-1").await;
        // "You may apply for a refund": offered, and not at once.
        assert_eq!(
            (order.cancellable_now, order.cancellable_explanation),
            (false, None)
        );

        let waiting = market
            .buyers_request("A-1", "NO_LONGER_WANTED")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(
            (waiting.state, waiting.outcome, waiting.auto_approved),
            (CancellationState::Pending, None, false)
        );
        let part = &waiting.parts[0];
        assert_eq!(
            (part.state, part.rule.as_deref()),
            (PartState::Waiting, Some("refund-button"))
        );
        assert_eq!(gates(part), [(GateKind::SupportReview, GateState::Open)]);
        let gate = &part.gates[0];
        assert_eq!(
            (gate.party, gate.on_timeout),
            (Party::Support, Some(OnTimeout::Refuse))
        );
        // Two working days after Monday are over with Wednesday.
        assert_eq!(gate.respond_by, Some(at("2026-03-05T00:00:00Z")));
        assert_eq!(
            (
                waiting.expected_refund.total.clone(),
                waiting.refund_ids.len()
            ),
            (eur(TOTAL), 0)
        );
        // Meanwhile it stays where it is.
        let fence = market.shipment("A-1:s1").await.fence;
        let leaves = market
            .warehouse_of("A-1:s1")
            .await
            .dispatch_shipment("A-1:s1", fence)
            .await;
        assert_eq!(
            refused(leaves, Kind::Rejected, "SHIPMENT_BARRED").metadata()["cancellation_id"],
            "A-1:c1"
        );
        refused(
            market.seller().approve_cancellation("A-1:c1").await,
            Kind::Rejected,
            "GATE_NOT_OPEN",
        );

        let approved = market
            .support()
            .approve_cancellation("A-1:c1")
            .note("as a courtesy")
            .await
            .unwrap();
        assert_eq!(
            (approved.cancellation.state, approved.order_state),
            (CancellationState::Completed, OrderState::Cancelled)
        );
        let answer = approved.cancellation.parts[0].gates[0]
            .answer
            .clone()
            .unwrap();
        assert_eq!(
            (answer.by.role, answer.by.id.as_deref()),
            (Role::Support, Some("sam"))
        );
        assert_eq!(answer.note.as_deref(), Some("as a courtesy"));
        assert_eq!(
            (
                market.refund("A-1").await.amount.total,
                market.stage("A-1:s1").await
            ),
            (eur(TOTAL), ShipmentStage::Cancelled)
        );

        // "There is no guarantee that the refund application will be approved."
        apply(&market, "A-2").await;
        let rejected = market
            .support()
            .reject_cancellation("A-2:c1", "ALREADY_BOXED")
            .await
            .unwrap();
        assert_eq!(
            (rejected.cancellation.state, rejected.order_state),
            (CancellationState::Rejected, OrderState::ToShip)
        );
        assert_eq!(
            rejected.cancellation.close_reason.as_deref(),
            Some("CONSENT_REFUSED")
        );
        assert_eq!(
            rejected.cancellation.parts[0].gates[0]
                .answer
                .clone()
                .unwrap()
                .code
                .as_deref(),
            Some("ALREADY_BOXED")
        );
        assert!(market.order("A-2").await.refunds.is_empty());
        market.ship("A-2:s1").await;
        let told = market.events("A-2", EventType::CancellationRejected).await;
        assert_eq!(
            told.iter()
                .map(|event| event.notify_buyer)
                .collect::<Vec<_>>(),
            [true]
        );
    });
}

#[test]
fn an_application_that_support_leaves_unanswered_is_reminded_of_and_then_refused() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let gate = apply(&market, "A-1").await.parts[0].gates[0].clone();
        let respond_by = gate.respond_by.unwrap();
        assert_eq!(gate.remind_time, Some(respond_by - hours(8)));
        t.set_clock(respond_by).await;
        until("silence refuses", async || {
            Some(market.cancellation("A-1:c1").await)
                .filter(|found| found.state == CancellationState::Rejected)
        })
        .await;
        assert_eq!(
            market.cancellation("A-1:c1").await.close_reason.as_deref(),
            Some("GATE_TIMED_OUT")
        );
        let reminders = market.events("A-1", EventType::GateReminder).await;
        assert_eq!(
            reminders
                .iter()
                .map(|event| event.event_time)
                .collect::<Vec<_>>(),
            [respond_by - hours(8)]
        );
        let late = market.support().approve_cancellation("A-1:c1").await;
        assert_eq!(
            refused(late, Kind::Rejected, "GATE_TIMED_OUT").metadata()["respond_by"],
            respond_by.to_string()
        );
    });
}

#[test]
fn s001_05_without_a_refund_button_the_buyer_is_sent_to_support() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        let paid = market
            .place_paid("A-1", "standard")
            .await
            .paid_time
            .unwrap();
        let ask = || {
            market
                .storefront()
                .preview_cancellation("A-1", Units::all())
                .reason("NO_LONGER_WANTED")
        };
        assert_eq!(
            ask().await.unwrap().options[0].available_until,
            Some(paid + hours(12))
        );
        t.set_clock(paid + hours(12) - SECOND).await;
        assert!(ask().await.unwrap().allowed);

        t.set_clock(paid + hours(12)).await;
        // What else the hour brings is done first, so that nothing is written meanwhile.
        until("its time is up", async || {
            market
                .shipment("A-1:s1")
                .await
                .preparation_overdue
                .then_some(())
        })
        .await;
        let error = market
            .refuses(
                market.buyers_request("A-1", "NO_LONGER_WANTED"),
                "REFUND_NOT_OFFERED",
            )
            .await;
        let denial = error.denial().unwrap();
        assert_eq!(
            (denial.rule.as_deref(), &denial.next_actions[..]),
            (Some("no-refund-button"), &[NextAction::ContactSupport][..])
        );
        let order = market.order("A-1").await;
        let explanation = order
            .cancellable_explanation
            .map(|reason| reason.as_str().to_owned());
        assert_eq!(
            (order.cancellable_now, explanation.as_deref()),
            (false, Some("REFUND_NOT_OFFERED"))
        );
        assert!(!ask().await.unwrap().allowed);

        // Who "confirms the order status" there may cancel what has not left.
        let request = market
            .support()
            .request_cancellation("A-1", Units::all())
            .reason("WRONG_PURCHASE");
        assert_eq!(
            request.await.unwrap().cancellation.state,
            CancellationState::Completed
        );
    });
}

#[test]
fn s001_06_preparation_that_has_not_begun_within_12_hours_is_overdue_and_cancels_nothing() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for order_id in ["BEGUN", "IDLE"] {
            market.place(order_id, "standard").await;
            assert_eq!(
                market.shipment(&format!("{order_id}:s1")).await.prepare_by,
                None
            );
        }
        t.advance(hours(3)).await;
        let paid = t.now().await;
        for order_id in ["BEGUN", "IDLE"] {
            market.pay(order_id).await;
        }
        let prepare_by = paid + hours(12);
        assert_eq!(
            market.shipment("IDLE:s1").await.prepare_by,
            Some(prepare_by)
        );
        t.set_clock(prepare_by - SECOND).await;
        market.prepare("BEGUN:s1").await;
        assert!(!market.shipment("IDLE:s1").await.preparation_overdue);

        t.set_clock(prepare_by).await;
        until("it is overdue", async || {
            market
                .shipment("IDLE:s1")
                .await
                .preparation_overdue
                .then_some(())
        })
        .await;
        let idle = market.order("IDLE").await;
        assert_eq!(
            (idle.state, idle.shipments[0].stage),
            (OrderState::ToShip, ShipmentStage::Planned)
        );
        assert!(idle.cancellations.is_empty() && idle.refunds.is_empty());
        let raised = market.events("IDLE", EventType::PreparationOverdue).await;
        let [event] = &raised[..] else {
            panic!("raised once, not {raised:?}")
        };
        assert_eq!(
            (event.actor.role, event.event_time, event.notify_buyer),
            (Role::System, prepare_by, false)
        );
        let Some(EventDetail::PreparationOverdue {
            shipment_id,
            prepare_by: due,
            ..
        }) = &event.detail
        else {
            panic!("{event:?}")
        };
        assert_eq!((shipment_id.as_str(), *due), ("IDLE:s1", prepare_by));

        // Late is better than never, and is not raised again.
        market.prepare("IDLE:s1").await;
        t.advance(hours(24)).await;
        market.ship("IDLE:s1").await;
        assert_eq!(
            market
                .events("IDLE", EventType::PreparationOverdue)
                .await
                .len(),
            1
        );
        assert!(!market.order("BEGUN").await.shipments[0].preparation_overdue);
        assert!(
            market
                .events("BEGUN", EventType::PreparationOverdue)
                .await
                .is_empty()
        );
    });
}

#[test]
fn s001_07_what_is_being_prepared_is_stopped_by_its_warehouse_or_not() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for (order_id, stage) in [
            ("PREPARING", ShipmentStage::Preparing),
            ("READY", ShipmentStage::Ready),
        ] {
            market.order_at(order_id, "standard", stage).await;
            let shipment_id = format!("{order_id}:s1");
            let seen = market.shipment(&shipment_id).await.fence;
            let waiting = market
                .buyers_request(order_id, "NO_LONGER_WANTED")
                .await
                .unwrap()
                .cancellation;
            assert_eq!(
                (waiting.state, waiting.refund_ids.len()),
                (CancellationState::Pending, 0)
            );
            assert_eq!(waiting.parts[0].rule.as_deref(), Some("preparing"));
            assert_eq!(
                gates(&waiting.parts[0]),
                [(GateKind::WarehouseStop, GateState::Open)]
            );
            assert_eq!(waiting.parts[0].gates[0].party, Party::Warehouse);
            assert_eq!(market.stage(&shipment_id).await, stage);

            // The stop reaches whoever packs: what they saw before is out of date, and what they
            // see now bars the way.
            let warehouse = market.warehouse_of(&shipment_id).await;
            refused(
                warehouse.dispatch_shipment(&shipment_id, seen).await,
                Kind::Aborted,
                "FENCE_STALE",
            );
            let fence = market.shipment(&shipment_id).await.fence;
            refused(
                warehouse.dispatch_shipment(&shipment_id, fence).await,
                Kind::Rejected,
                "SHIPMENT_BARRED",
            );
        }

        // The outcome follows the answer, to the unit: two of three mugs.
        let warehouse = market.warehouse_of("READY:s1").await;
        warehouse
            .answer_stop("READY:s1", Stopped::of([("READY:l1", 2)]))
            .await
            .unwrap();
        let cancellation = market.cancellation("READY:c1").await;
        assert_eq!(
            (cancellation.state, cancellation.outcome),
            (
                CancellationState::Completed,
                Some(CancellationOutcome::Partial)
            )
        );
        let ended: Vec<_> = cancellation
            .parts
            .iter()
            .map(|part| (part.state, part.contents[0].quantity))
            .collect();
        assert_eq!(ended, [(PartState::Cancelled, 2), (PartState::Refused, 1)]);
        // The last two of three mugs at 10.00 with 1.90 tax; the way out is still to be gone.
        assert_eq!(
            market.refund("READY").await.amount.total,
            eur(333 + 333 + 63 + 63)
        );
        market.ship("READY:s1").await;
        assert_eq!(market.order("READY").await.lines[0].shipped_quantity, 1);
    });
}

#[test]
fn an_application_that_support_has_before_it_goes_to_the_warehouse_as_well_once_preparation_begins()
{
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        apply(&market, "A-1").await;
        market.prepare("A-1:s1").await;
        let part = market.part("A-1:c1").await;
        assert_eq!(
            gates(&part),
            [
                (GateKind::SupportReview, GateState::Open),
                (GateKind::WarehouseStop, GateState::Queued)
            ]
        );
        let approved = market
            .support()
            .approve_cancellation("A-1:c1")
            .await
            .unwrap();
        assert_eq!(
            (approved.cancellation.state, approved.order_state),
            (CancellationState::Pending, OrderState::Processing)
        );
        market
            .warehouse_of("A-1:s1")
            .await
            .answer_stop("A-1:s1", Stopped::all())
            .await
            .unwrap();
        assert_eq!(market.order("A-1").await.state, OrderState::Cancelled);
    });
}

#[test]
fn s001_08_a_stop_counts_its_time_by_the_calendar_and_the_clock_of_its_warehouse() {
    // Friday evening: already Saturday, 01:00, in Shanghai; 20:00 in Riyadh, whose weekend is half
    // over.
    run_at("2026-03-06T17:00:00Z", async |t| {
        let market = open(t).await;
        let operator = market.as_role(Role::Operator, "ops");
        let riyadh = operator
            .put_warehouse("riyadh", "Riyadh")
            .time_zone("Asia/Riyadh")
            .country_code("SA");
        let riyadh = riyadh
            .weekend([Weekday::Friday, Weekday::Saturday])
            .holidays(["2026-03-08".parse().unwrap()]);
        riyadh.await.unwrap();
        for order_id in ["A-1", "A-2"] {
            let shipments = [
                NewShipment::new([(1, 2)]),
                NewShipment::new([(1, 1), (2, 1)]).warehouse_id("riyadh"),
            ];
            new_order(&market.storefront(), order_id)
                .shipments(shipments)
                .await
                .unwrap();
            market.pay(order_id).await;
            market.prepare(&format!("{order_id}:s1")).await;
            market.prepare(&format!("{order_id}:s2")).await;
        }
        // Monday is over at midnight in Shanghai; in Riyadh, where Sunday is a holiday, so is
        // Monday, five hours later.
        let deadlines = [
            Some(at("2026-03-09T16:00:00Z")),
            Some(at("2026-03-09T21:00:00Z")),
        ];
        let preview = market
            .storefront()
            .preview_cancellation("A-1", Units::all())
            .reason("WRONG_PURCHASE")
            .await
            .unwrap();
        let direct = preview
            .options
            .iter()
            .filter(|option| option.path == CancellationPath::Cancel);
        let shown: Vec<_> = direct
            .map(|option| (option.gates[0].respond_within, option.gates[0].respond_by))
            .collect();
        assert_eq!(
            shown,
            deadlines.map(|deadline| (Some(RespondWithin::WorkingDays(1)), deadline))
        );
        for order_id in ["A-1", "A-2"] {
            let parts = market
                .buyers_request(order_id, "WRONG_PURCHASE")
                .await
                .unwrap()
                .cancellation
                .parts;
            let opened: Vec<_> = parts.iter().map(|part| part.gates[0].respond_by).collect();
            assert_eq!(opened, deadlines);
            let reminded: Vec<_> = parts.iter().map(|part| part.gates[0].remind_time).collect();
            assert_eq!(
                reminded,
                deadlines.map(|deadline| deadline.map(|deadline| deadline - hours(4)))
            );
        }

        // A second before its midnight Shanghai is in time; of Riyadh nobody hears.
        t.set_clock(deadlines[0].unwrap() - SECOND).await;
        market
            .warehouse_of("A-1:s1")
            .await
            .answer_stop("A-1:s1", Stopped::all())
            .await
            .unwrap();
        assert_eq!(
            market.cancellation("A-1:c1").await.parts[0].state,
            PartState::Cancelled
        );
        t.set_clock(deadlines[1].unwrap()).await;
        let over = until("silence refuses", async || {
            Some(market.cancellation("A-1:c1").await)
                .filter(|found| found.state != CancellationState::Pending)
        })
        .await;
        assert_eq!(
            (over.state, over.outcome),
            (
                CancellationState::Completed,
                Some(CancellationOutcome::Partial)
            )
        );
        assert_eq!(
            over.parts[1]
                .refused_reason
                .as_ref()
                .map(|reason| reason.as_str()),
            Some("GATE_TIMED_OUT")
        );
        assert_eq!(over.parts[1].gates[0].close_time, deadlines[1]);

        // In Shanghai the same answer a day late stops what was to go on: somebody has to look at
        // it.
        market
            .warehouse_of("A-2:s1")
            .await
            .answer_stop("A-2:s1", Stopped::all())
            .await
            .unwrap();
        let order = market.order("A-2").await;
        assert_eq!(
            (order.incidents[0].kind, order.shipments[0].stage),
            (IncidentKind::LateFact, ShipmentStage::Planned)
        );
        assert_eq!(
            order.incidents[0]
                .cancellation_id
                .as_ref()
                .map(|id| id.as_str()),
            Some("A-2:c1")
        );
        assert_eq!(
            (order.refunds.len(), order.cancellations[0].state),
            (0, CancellationState::Rejected)
        );
    });
}

#[test]
fn s001_09_a_confirmed_stop_cancels_and_refunds_and_otherwise_the_shipment_goes_on() {
    run_at(MONDAY, async |t| {
        let market = open(t).await;
        for order_id in ["STOPPED", "GONE-ON"] {
            market
                .order_at(order_id, "standard", ShipmentStage::Preparing)
                .await;
            market
                .buyers_request(order_id, "NO_LONGER_WANTED")
                .await
                .unwrap();
        }
        t.advance(hours(2)).await;
        let stopped = Stopped::all()
            .stage_seen(ShipmentStage::Ready)
            .put_back([("STOPPED:l1", 3), ("STOPPED:l2", 1)]);
        let shipment = market
            .warehouse_of("STOPPED:s1")
            .await
            .answer_stop("STOPPED:s1", stopped)
            .await
            .unwrap();
        assert_eq!(
            (shipment.stage, shipment.do_not_hand_over),
            (ShipmentStage::Cancelled, true)
        );
        let order = market.order("STOPPED").await;
        let cancellation = &order.cancellations[0];
        assert_eq!(
            (order.state, cancellation.outcome),
            (OrderState::Cancelled, Some(CancellationOutcome::Full))
        );
        let answer = cancellation.parts[0].gates[0].answer.clone().unwrap();
        assert_eq!(
            (answer.by.role, answer.stage_seen),
            (Role::Warehouse, Some(ShipmentStage::Ready))
        );
        let put_back: Vec<_> = answer
            .put_back
            .iter()
            .map(|back| (back.line_id.as_str(), back.quantity))
            .collect();
        assert_eq!(put_back, [("STOPPED:l1", 3), ("STOPPED:l2", 1)]);
        assert_eq!(cancellation.parts[0].effects, [CancellationEffect::Restock]);
        assert_eq!(
            (order.refunds[0].state, &order.refunds[0].amount.total),
            (RefundState::Due, &eur(TOTAL))
        );
        assert_eq!(
            cancellation.refund_ids,
            std::slice::from_ref(&order.refunds[0].refund_id)
        );

        let warehouse = market.warehouse_of("GONE-ON:s1").await;
        warehouse
            .answer_stop("GONE-ON:s1", StopAnswer::cannot_stop("ON_THE_TRUCK"))
            .await
            .unwrap();
        let order = market.order("GONE-ON").await;
        let cancellation = &order.cancellations[0];
        assert_eq!(
            cancellation.close_reason.as_deref(),
            Some("WAREHOUSE_CANNOT_STOP")
        );
        assert_eq!(
            (
                cancellation.state,
                cancellation.expected_refund.total.clone()
            ),
            (CancellationState::Rejected, eur(0))
        );
        assert_eq!(
            cancellation.parts[0].gates[0]
                .answer
                .clone()
                .unwrap()
                .code
                .as_deref(),
            Some("ON_THE_TRUCK")
        );
        assert_eq!(
            (order.shipments[0].stage, order.refunds.len()),
            (ShipmentStage::Preparing, 0)
        );
        market.ship("GONE-ON:s1").await;
        assert_eq!(market.order("GONE-ON").await.state, OrderState::Shipped);
        market
            .refuses(
                market.buyers_request("GONE-ON", "NO_LONGER_WANTED"),
                "SHIPPED",
            )
            .await;
    });
}

/// Lets support cancel a paid order to this country; until when its money has to be back.
async fn cancelled_for(market: &Market<'_>, order_id: &str, country: &str) -> Timestamp {
    market.place_paid_to(country, order_id, "standard").await;
    let request = market
        .support()
        .request_cancellation(order_id, Units::all())
        .reason("WRONG_PURCHASE");
    request.await.unwrap().cancellation.refund_due_by.unwrap()
}

#[test]
fn s001_15_the_refund_of_what_had_not_left_is_due_within_three_working_days_where_the_buyer_lives()
{
    // Friday evening, in Riyadh the first day of a weekend. Three working days on: Wednesday, or
    // Tuesday there.
    run_at("2026-03-06T17:30:00Z", async |t| {
        let market = open(t).await;
        cancelled_for(&market, "SENT", "SA").await;
        let payments = market.as_role(Role::Payments, "psp");
        let sent = payments
            .claim_refunds("worker-1")
            .await
            .unwrap()
            .remove(0)
            .refund_id;
        payments
            .record_refund_result(&sent, RefundResult::Settled)
            .await
            .unwrap();
        let default = cancelled_for(&market, "FR", "FR").await;
        let germany = cancelled_for(&market, "DE", "DE").await;
        let arabia = cancelled_for(&market, "SA", "SA").await;
        assert_eq!(default, at("2026-03-12T00:00:00Z"));
        assert_eq!(germany, at("2026-03-11T23:00:00Z"));
        assert_eq!(arabia, at("2026-03-10T21:00:00Z"));

        // Of two that are due then, one has been sent.
        t.set_clock(arabia - SECOND).await;
        assert!(!market.refund("SA").await.overdue);
        t.set_clock(arabia).await;
        until("it is overdue", async || {
            market.refund("SA").await.overdue.then_some(())
        })
        .await;
        let raised = market.events("SA", EventType::RefundOverdue).await;
        let [event] = &raised[..] else {
            panic!("raised once, not {raised:?}")
        };
        let Some(EventDetail::RefundOverdue {
            refund_id, due_by, ..
        }) = &event.detail
        else {
            panic!("{event:?}")
        };
        assert_eq!(
            (refund_id.as_str(), *due_by, event.event_time),
            ("SA:r1", arabia, arabia)
        );
        assert!(
            market
                .events("SENT", EventType::RefundOverdue)
                .await
                .is_empty()
        );
        assert!(
            market
                .events("FR", EventType::RefundOverdue)
                .await
                .is_empty()
        );
    });
    // Holidays count as little as weekends do: Thanksgiving and the weekend after it.
    run_at("2026-11-25T15:00:00Z", async |t| {
        let market = open(t).await;
        assert_eq!(
            cancelled_for(&market, "US", "US").await,
            at("2026-12-02T05:00:00Z")
        );
    });
}
