//! Cancellations that wait: for whom, until when, and what happens to their units and their
//! shipment meanwhile.

use belay_client::calls::{FirstPolicy, OnIneligibleUnits};
use belay_client::model::{
    Cancellation, CancellationPath, CancellationState, EventType, GateKind, GateState, OnTimeout,
    OrderState, PartState, Party, ShipmentStage, TrackingFact,
};
use belay_client::{Kind, RequestId, Role, Store, Units, reason};
use belay_tests::shop::{TOTAL, eur, new_order, pay};
use belay_tests::{TestServer, documents, refused, run, run_at, until};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// A paid order under way with the carrier that can bring it back, and the buyer's request that it
/// does.
async fn intercepted(t: &TestServer, order_id: &str) -> Cancellation {
    t.place_interceptable(order_id).await;
    t.pay(order_id).await;
    t.ship(&format!("{order_id}:s1")).await;
    intercept(t, order_id, Units::all())
        .await
        .await
        .unwrap()
        .cancellation
}

async fn intercept(
    t: &TestServer,
    order_id: &str,
    units: Units,
) -> belay_client::calls::RequestCancellation {
    let request = t
        .storefront()
        .request_cancellation(order_id, units)
        .reason(reason::NO_LONGER_WANTED);
    request.paths([CancellationPath::Cancel, CancellationPath::Intercept])
}

#[test]
fn an_intercept_waits_for_the_carrier_and_pays_nothing_back_yet() {
    run_at(MONDAY, async |t| {
        let cancellation = intercepted(t, "A-1").await;
        let now = t.now().await;
        assert_eq!(
            (
                cancellation.state,
                cancellation.outcome,
                cancellation.close_time
            ),
            (CancellationState::Pending, None, None)
        );
        let part = &cancellation.parts[0];
        assert_eq!(
            (part.path, part.state),
            (CancellationPath::Intercept, PartState::Waiting)
        );
        let gates: Vec<_> = part
            .gates
            .iter()
            .map(|gate| (gate.kind, gate.party, gate.state))
            .collect();
        assert_eq!(
            gates,
            [
                (GateKind::CarrierIntercept, Party::Carrier, GateState::Open),
                (GateKind::ParcelReceipt, Party::Warehouse, GateState::Queued),
            ]
        );
        assert_eq!(
            part.gates[0].respond_by,
            Some(now + SignedDuration::from_hours(48))
        );
        assert_eq!(part.gates[0].on_timeout, Some(OnTimeout::Refuse));
        assert_eq!(
            (part.gates[1].open_time, part.gates[1].respond_by),
            (None, None)
        );
        // No money before the parcel is back; what is expected is on the record. Shipping is not
        // given back for what has left.
        assert_eq!(cancellation.expected_refund.total, eur(TOTAL - 490 - 93));
        assert_eq!(
            (cancellation.refund_ids.len(), cancellation.refund_due_by),
            (0, None)
        );

        let order = t.order("A-1").await;
        assert_eq!((order.state, order.refunds.len()), (OrderState::Shipped, 0));
        assert_eq!(
            (
                order.lines[0].pending_quantity,
                order.lines[0].cancelled_quantity
            ),
            (3, 0)
        );
        assert_eq!(t.events("A-1", EventType::GateOpened).await.len(), 1);
        let pending = t
            .support()
            .list_cancellations()
            .state(CancellationState::Pending)
            .await
            .unwrap();
        assert_eq!(pending.items, [cancellation]);
    });
}

#[test]
fn silence_until_the_deadline_ends_the_part_without_any_caller() {
    run_at(MONDAY, async |t| {
        let deadline = intercepted(t, "A-1").await.parts[0].gates[0]
            .respond_by
            .unwrap();
        t.set_clock(deadline).await;
        let cancellation = until("the part ends", async || {
            let found = t
                .support()
                .get_cancellation("A-1:c1")
                .await
                .unwrap()
                .cancellation;
            Some(found).filter(|cancellation| cancellation.state != CancellationState::Pending)
        })
        .await;
        assert_eq!(cancellation.state, CancellationState::Rejected);
        assert_eq!(cancellation.close_reason.as_deref(), Some("GATE_TIMED_OUT"));
        let gates: Vec<_> = cancellation.parts[0]
            .gates
            .iter()
            .map(|gate| gate.state)
            .collect();
        assert_eq!(gates, [GateState::Refused, GateState::Closed]);
        assert_eq!(t.order("A-1").await.lines[0].pending_quantity, 0);
        let event = &t.events("A-1", EventType::CancellationRejected).await[0];
        assert_eq!(
            (event.actor.role, &*event.cause, event.event_time),
            (Role::System, "deadline", deadline)
        );
    });
}

#[test]
fn units_that_a_waiting_part_has_claimed_cannot_be_had_twice() {
    run(async |t| {
        t.place_interceptable("A-1").await;
        t.pay("A-1").await;
        t.ship("A-1:s1").await;
        let waiting = intercept(t, "A-1", Units::line("A-1:l1", 2))
            .await
            .await
            .unwrap()
            .cancellation;

        let same = intercept(t, "A-1", Units::line("A-1:l1", 2)).await.await;
        let error = refused(same, Kind::Rejected, "ALREADY_PENDING");
        assert_eq!(
            error.metadata()["cancellation_id"],
            waiting.cancellation_id.as_str()
        );
        let more = intercept(t, "A-1", Units::line("A-1:l1", 3)).await.await;
        let error = refused(more, Kind::Rejected, "UNITS_CLAIMED");
        assert_eq!(
            (
                &*error.metadata()["line_id"],
                &*error.metadata()["available"]
            ),
            ("A-1:l1", "1")
        );
        let error = refused(
            intercept(t, "A-1", Units::all()).await.await,
            Kind::Rejected,
            "UNITS_CLAIMED",
        );
        assert_eq!(error.metadata()["line_id"], "A-1:l1");
        // Of two rejections the first in the order of precedence is told.
        let too_many = intercept(t, "A-1", Units::line("A-1:l1", 4)).await.await;
        refused(too_many, Kind::Rejected, "UNITS_CLAIMED");

        // The rest may be asked for.
        let rest = intercept(t, "A-1", Units::all())
            .await
            .on_ineligible_units(OnIneligibleUnits::LeaveOut)
            .await
            .unwrap();
        let quantities: Vec<i32> = rest.cancellation.parts[0]
            .contents
            .iter()
            .map(|content| content.quantity)
            .collect();
        assert_eq!(quantities, [1, 1]);
    });
}

/// A store in which buyers' cancellations wait for the seller, with one paid order `A-1`.
async fn consent_store(t: &TestServer, on_timeout: &str, on_dispatch: &str) -> Store {
    let document = documents::consent(on_timeout, on_dispatch);
    t.create_shop("b2b", FirstPolicy::document(document)).await;
    let store = t.store_as("b2b", Role::Storefront, "web");
    new_order(&store, "A-1").await.unwrap();
    pay(&store, "A-1").await;
    store
}

async fn ask(store: &Store) -> Cancellation {
    let request = store
        .request_cancellation("A-1", Units::all())
        .reason(reason::NO_LONGER_WANTED);
    request.await.unwrap().cancellation
}

#[test]
fn a_waiting_consent_bars_the_dispatch_where_the_policy_says_so() {
    run(async |t| {
        let store = consent_store(t, "REFUSE", "BAR").await;
        let order = store.get_order("A-1").await.unwrap();
        // Somebody has to agree first: not directly, and yet no reason against it.
        assert_eq!(
            (order.cancellable_now, order.cancellable_explanation),
            (false, None)
        );
        ask(&store).await;
        let warehouse = t.store_as("b2b", Role::Warehouse, "main");
        let seen = warehouse.get_shipment("A-1:s1").await.unwrap();
        assert_eq!((seen.stage, seen.fence), (ShipmentStage::Planned, 2));

        let error = refused(
            warehouse.dispatch_shipment("A-1:s1", 2).await,
            Kind::Rejected,
            "SHIPMENT_BARRED",
        );
        assert_eq!(
            (
                &*error.metadata()["shipment_id"],
                &*error.metadata()["cancellation_id"]
            ),
            ("A-1:s1", "A-1:c1")
        );
        let error = refused(
            warehouse.dispatch_shipment("A-1:s1", 1).await,
            Kind::Aborted,
            "FENCE_STALE",
        );
        assert_eq!(
            (&*error.metadata()["fence"], &*error.metadata()["stage"]),
            ("2", "PLANNED")
        );
        assert_eq!(error.metadata()["cancellation_ids"], "A-1:c1");
    });
}

#[test]
fn a_dispatch_ends_a_waiting_part_where_the_policy_says_so() {
    run(async |t| {
        let store = consent_store(t, "REFUSE", "REFUSE_PART").await;
        ask(&store).await;
        let warehouse = t.store_as("b2b", Role::Warehouse, "main");
        let dispatched = warehouse.dispatch_shipment("A-1:s1", 2).await.unwrap();
        assert_eq!(
            (dispatched.stage, dispatched.fence),
            (ShipmentStage::InTransit, 3)
        );
        let cancellation = store.get_cancellation("A-1:c1").await.unwrap().cancellation;
        assert_eq!(cancellation.state, CancellationState::Rejected);
        assert_eq!(cancellation.close_reason.as_deref(), Some("NO_AGREEMENT"));
        assert!(store.get_order("A-1").await.unwrap().refunds.is_empty());
    });
}

#[test]
fn a_pickup_scan_ends_a_waiting_part_although_it_was_barred() {
    run(async |t| {
        let store = consent_store(t, "REFUSE", "BAR").await;
        ask(&store).await;
        let carrier = t.store_as("b2b", Role::Carrier, "standard");
        carrier
            .record_tracking("A-1:s1", "scan-1", TrackingFact::PickedUp)
            .await
            .unwrap();
        let order = store.get_order("A-1").await.unwrap();
        assert_eq!(order.state, OrderState::Shipped);
        assert_eq!(order.cancellations[0].state, CancellationState::Rejected);
        assert_eq!(
            order.cancellations[0].close_reason.as_deref(),
            Some("SHIPPED")
        );
    });
}

#[test]
fn silence_is_consent_where_the_policy_says_so() {
    run_at(MONDAY, async |t| {
        let store = consent_store(t, "PASS", "BAR").await;
        let deadline = ask(&store).await.parts[0].gates[0].respond_by.unwrap();
        t.set_clock(deadline).await;
        let order = until("the part is cancelled", async || {
            let order = store.get_order("A-1").await.unwrap();
            Some(order).filter(|order| order.state == OrderState::Cancelled)
        })
        .await;
        assert_eq!(
            order.cancellations[0].parts[0].gates[0].state,
            GateState::Passed
        );
        assert_eq!(order.refunds[0].amount.total, eur(TOTAL));
        assert_eq!(order.refunds[0].due_by, deadline);
    });
}

#[test]
fn silence_goes_to_support_where_the_policy_says_so_and_ends_there() {
    run_at(MONDAY, async |t| {
        let store = consent_store(t, "ESCALATE", "BAR").await;
        let deadline = ask(&store).await.parts[0].gates[0].respond_by.unwrap();
        t.set_clock(deadline).await;
        let review = until("support is asked", async || {
            let part = store
                .get_cancellation("A-1:c1")
                .await
                .unwrap()
                .cancellation
                .parts
                .remove(0);
            part.gates
                .into_iter()
                .find(|gate| gate.kind == GateKind::SupportReview && gate.state == GateState::Open)
        })
        .await;
        assert_eq!(review.party, Party::Support);
        assert_eq!(
            review.respond_by,
            Some(deadline + SignedDuration::from_hours(24))
        );
        t.set_clock(review.respond_by.unwrap()).await;
        let order = until("support's time is over", async || {
            let order = store.get_order("A-1").await.unwrap();
            Some(order).filter(|order| order.cancellations[0].state == CancellationState::Rejected)
        })
        .await;
        assert_eq!(
            order.cancellations[0].close_reason.as_deref(),
            Some("GATE_TIMED_OUT")
        );
        assert_eq!(order.state, OrderState::ToShip);
    });
}

#[test]
fn deadlines_that_passed_are_applied_before_a_command_is_decided() {
    run_at(MONDAY, async |t| {
        intercepted(t, "A-1").await;
        t.advance(SignedDuration::from_hours(48)).await;
        // Whether or not the worker came first: the claim of the first request is gone.
        let second = intercept(t, "A-1", Units::all())
            .await
            .await
            .unwrap()
            .cancellation;
        assert_eq!(
            (second.cancellation_id.as_str(), second.state),
            ("A-1:c2", CancellationState::Pending)
        );
        let first = t
            .support()
            .get_cancellation("A-1:c1")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(first.close_reason.as_deref(), Some("GATE_TIMED_OUT"));
    });
}

/// What settled the order is a decision on record, under the request that found it so and that is
/// itself not remembered.
#[test]
fn a_request_that_came_upon_a_deadline_may_come_again() {
    run_at(MONDAY, async |t| {
        let store = consent_store(t, "PASS", "BAR").await;
        let request = |line: &str| {
            let units = Units::line(line, 1);
            let request = store.request_cancellation("A-1", units);
            request.reason(reason::NO_LONGER_WANTED)
        };
        request("A-1:l1").await.unwrap();
        let seen = store.get_order("A-1").await.unwrap().etag;
        t.advance(SignedDuration::from_hours(48)).await;
        let second = request("A-1:l2").request_id(RequestId::mint());
        // Whether or not the worker came first.
        let aborted = second.clone().etag(&seen).await;
        refused(aborted, Kind::Aborted, "ETAG_MISMATCH");
        let present = store.get_order("A-1").await.unwrap().etag;
        let cancellation = second.etag(&present).await.unwrap().cancellation;
        assert_eq!(cancellation.cancellation_id.as_str(), "A-1:c2");
    });
}

#[test]
fn evidence_is_asked_where_the_reason_needs_it() {
    run(async |t| {
        consent_store(t, "REFUSE", "BAR").await;
        let support = t.store_as("b2b", Role::Support, "sam");
        let request = support
            .request_cancellation("A-1", Units::all())
            .reason("PROVEN")
            .request_id(RequestId::mint());
        let error = refused(request.await, Kind::InvalidArgument, "EVIDENCE_REQUIRED");
        assert_eq!(
            (
                &*error.metadata()["reason"],
                &*error.field_violations()[0].field
            ),
            ("PROVEN", "evidence")
        );
        let request = support
            .request_cancellation("A-1", Units::all())
            .reason("PROVEN")
            .evidence(["photo-1", "photo-2"]);
        let cancellation = request.await.unwrap().cancellation;
        assert_eq!(cancellation.evidence, ["photo-1", "photo-2"]);
        assert!(cancellation.counted);
    });
}
