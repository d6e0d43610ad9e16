//! FulfillmentService: shipments on their way out, and the fence between a cancellation and a
//! dispatch.

use belay_client::model::{
    Event, EventDetail, EventType, IncidentKind, IncidentState, OrderState, RefundState,
    ShipmentStage, TrackingFact,
};
use belay_client::{Error, Kind, RequestId, Units};
use belay_tests::{pages, refused, run, run_at};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

#[test]
fn a_shipment_goes_from_planned_to_delivered_and_the_order_follows() {
    run_at(MONDAY, async |t| {
        let start = t.now().await;
        let at = |minutes| start + SignedDuration::from_mins(minutes);
        t.place_split_paid("A-1").await;
        assert_eq!(t.shipment("A-1:s1").await.stage, ShipmentStage::Planned);
        assert_eq!(t.prepare("A-1:s1").await.stage, ShipmentStage::Preparing);
        assert_eq!(t.order("A-1").await.state, OrderState::Processing);
        assert_eq!(t.mark_ready("A-1:s1").await.stage, ShipmentStage::Ready);
        assert_eq!(t.order("A-1").await.state, OrderState::Processing);

        t.set_clock(at(10)).await;
        let dispatch = t
            .warehouse()
            .dispatch_shipment("A-1:s1", 1)
            .tracking_number("TRK-77")
            .await
            .unwrap();
        assert_eq!(
            (dispatch.stage, dispatch.tracking_number.as_deref()),
            (ShipmentStage::InTransit, Some("TRK-77"))
        );
        assert_eq!(
            (dispatch.dispatch_time, dispatch.update_time),
            (Some(at(10)), at(10))
        );
        let order = t.order("A-1").await;
        assert_eq!(
            (order.state, order.lines[0].shipped_quantity),
            (OrderState::PartlyShipped, 2)
        );
        assert_eq!(dispatch.order_etag, order.etag);

        t.ship("A-1:s2").await;
        assert_eq!(t.order("A-1").await.state, OrderState::Shipped);
        t.set_clock(at(20)).await;
        assert_eq!(
            t.scan("A-1:s1", TrackingFact::Delivered).await.deliver_time,
            Some(at(20))
        );
        assert_eq!(t.order("A-1").await.state, OrderState::Shipped);
        t.scan("A-1:s2", TrackingFact::Delivered).await;
        assert_eq!(t.order("A-1").await.state, OrderState::Delivered);
    });
}

#[test]
fn each_step_may_be_repeated() {
    run(async |t| {
        t.place_paid("A-1").await;
        let start = t
            .warehouse()
            .start_preparation("A-1:s1")
            .request_id(RequestId::mint());
        let ready = t
            .warehouse()
            .mark_ready("A-1:s1")
            .request_id(RequestId::mint());
        let dispatch = t
            .warehouse()
            .dispatch_shipment("A-1:s1", 1)
            .request_id(RequestId::mint());
        let scan = t
            .carrier()
            .record_tracking("A-1:s1", "scan-1", TrackingFact::Delivered)
            .request_id(RequestId::mint());

        let started = start.clone().await.unwrap();
        // Begun is begun, whoever says so again.
        assert_eq!(t.prepare("A-1:s1").await.stage, ShipmentStage::Preparing);
        let packed = ready.clone().await.unwrap();
        assert_eq!(t.mark_ready("A-1:s1").await.stage, ShipmentStage::Ready);
        let dispatched = dispatch.clone().await.unwrap();
        let delivered = scan.clone().await.unwrap();
        let rows = t.database.snapshot().await;
        assert_eq!(start.await.unwrap(), started);
        assert_eq!(ready.await.unwrap(), packed);
        assert_eq!(dispatch.await.unwrap(), dispatched);
        assert_eq!(scan.await.unwrap(), delivered);
        assert_eq!(t.database.snapshot().await, rows);
        // Each step is one step of the order's version: placed, paid and these four.
        assert_eq!(t.history("A-1").await.last().unwrap().order_version, 6);
    });
}

#[test]
fn a_request_id_is_for_one_content() {
    run(async |t| {
        t.place_paid("A-1").await;
        let first = t.warehouse().start_preparation("A-1:s1").await.unwrap();
        let other = t
            .warehouse()
            .mark_ready("A-1:s1")
            .request_id(first.request_id)
            .await;
        let error = refused(other, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(error.metadata()["request_id"], first.request_id.to_string());
        assert_eq!(t.shipment("A-1:s1").await.stage, ShipmentStage::Preparing);
    });
}

#[test]
fn an_unpaid_shipment_is_not_released() {
    run(async |t| {
        t.place("A-1").await;
        for outcome in [
            t.warehouse()
                .start_preparation("A-1:s1")
                .await
                .map_err(Error::from),
            t.warehouse()
                .mark_ready("A-1:s1")
                .await
                .map_err(Error::from),
            t.warehouse()
                .dispatch_shipment("A-1:s1", 1)
                .await
                .map_err(Error::from),
        ] {
            let error = refused(outcome, Kind::Rejected, "NOT_RELEASED");
            assert_eq!(error.metadata()["shipment_id"], "A-1:s1");
        }
    });
}

#[test]
fn a_shipment_that_changed_since_the_warehouse_looked_does_not_leave() {
    run(async |t| {
        t.place_paid("A-1").await;
        let seen = t.shipment("A-1:s1").await.fence;
        t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        let stale = [
            t.warehouse()
                .start_preparation("A-1:s1")
                .fence(seen)
                .await
                .map_err(Error::from),
            t.warehouse()
                .mark_ready("A-1:s1")
                .fence(seen)
                .await
                .map_err(Error::from),
            t.warehouse()
                .dispatch_shipment("A-1:s1", seen)
                .await
                .map_err(Error::from),
        ];
        let present = t.shipment("A-1:s1").await;
        for outcome in stale {
            let error = refused(outcome, Kind::Aborted, "FENCE_STALE");
            assert_eq!(error.metadata()["shipment_id"], "A-1:s1");
            assert_eq!(error.metadata()["fence"], present.fence.to_string());
            assert_eq!(error.metadata()["stage"], "PLANNED");
            assert_eq!(error.metadata()["cancellation_ids"], "A-1:c1");
        }
        assert_eq!(
            (present.stage, present.contents[0].cancelled_quantity),
            (ShipmentStage::Planned, 1)
        );
        let dispatched = t
            .warehouse()
            .dispatch_shipment("A-1:s1", present.fence)
            .await
            .unwrap();
        assert_eq!(dispatched.stage, ShipmentStage::InTransit);
        assert_eq!(t.order("A-1").await.lines[0].shipped_quantity, 2);
    });
}

#[test]
fn a_dispatched_shipment_cannot_be_cancelled_and_a_cancelled_one_cannot_be_dispatched() {
    run(async |t| {
        t.place_shipped("A-1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason("NO_LONGER_WANTED");
        refused(request.await, Kind::Rejected, "SHIPPED");

        t.place_paid("A-2").await;
        let seen = t.shipment("A-2:s1").await.fence;
        t.cancel("A-2").await;
        refused(
            t.warehouse().dispatch_shipment("A-2:s1", seen).await,
            Kind::Aborted,
            "FENCE_STALE",
        );
        let present = t.shipment("A-2:s1").await.fence;
        let error = refused(
            t.warehouse().dispatch_shipment("A-2:s1", present).await,
            Kind::Rejected,
            "STAGE_MISMATCH",
        );
        assert_eq!(
            (
                &*error.metadata()["shipment_id"],
                &*error.metadata()["stage"]
            ),
            ("A-2:s1", "CANCELLED")
        );
        refused(
            t.warehouse().start_preparation("A-2:s1").await,
            Kind::Rejected,
            "STAGE_MISMATCH",
        );
        refused(
            t.warehouse().mark_ready("A-2:s1").await,
            Kind::Rejected,
            "STAGE_MISMATCH",
        );
    });
}

#[test]
fn a_step_back_is_refused_with_the_present_stage() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.mark_ready("A-1:s1").await;
        let error = refused(
            t.warehouse().start_preparation("A-1:s1").await,
            Kind::Rejected,
            "STAGE_MISMATCH",
        );
        assert_eq!(error.metadata()["stage"], "READY");
        t.ship("A-1:s1").await;
        let error = refused(
            t.warehouse().dispatch_shipment("A-1:s1", 1).await,
            Kind::Rejected,
            "STAGE_MISMATCH",
        );
        assert_eq!(error.metadata()["stage"], "IN_TRANSIT");
    });
}

#[test]
fn a_step_on_another_state_of_the_order_is_aborted() {
    run(async |t| {
        let seen = t.place_paid("A-1").await.etag;
        t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        let present = t.order("A-1").await.etag;
        for outcome in [
            t.warehouse()
                .start_preparation("A-1:s1")
                .etag(&seen)
                .await
                .map_err(Error::from),
            t.warehouse()
                .mark_ready("A-1:s1")
                .etag(&seen)
                .await
                .map_err(Error::from),
            t.warehouse()
                .dispatch_shipment("A-1:s1", 2)
                .etag(&seen)
                .await
                .map_err(Error::from),
        ] {
            assert_eq!(
                refused(outcome, Kind::Aborted, "ETAG_MISMATCH").metadata()["etag"],
                present.as_str()
            );
        }
        t.warehouse()
            .start_preparation("A-1:s1")
            .etag(&present)
            .await
            .unwrap();
    });
}

#[test]
fn a_cancelled_shipment_that_is_scanned_out_is_an_incident_and_holds_the_money_back() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let shipment = t.scan("A-1:s1", TrackingFact::PickedUp).await;
        assert_eq!(shipment.stage, ShipmentStage::InTransit);
        let order = t.order("A-1").await;
        let incident = &order.incidents[0];
        assert_eq!(
            (incident.kind, incident.state),
            (IncidentKind::CancelledYetShipped, IncidentState::Open)
        );
        assert_eq!(
            (incident.incident_id.as_str(), &*incident.subject_id),
            ("A-1:i1", "A-1:s1")
        );
        assert_eq!(order.refunds[0].state, RefundState::Blocked);
        assert_eq!(t.claim("worker-1").await, None);
        assert_eq!(t.events("A-1", EventType::IncidentOpened).await.len(), 1);
    });
}

#[test]
fn every_fact_is_recorded_and_an_older_one_moves_nothing_back() {
    run_at(MONDAY, async |t| {
        t.place_shipped("A-1").await;
        let start = t.now().await;
        t.advance(SignedDuration::from_hours(2)).await;
        let scan = async |event: &str, fact, minutes| {
            let call = t.carrier().record_tracking("A-1:s1", event, fact);
            call.occurred_time(start + SignedDuration::from_mins(minutes))
                .await
                .unwrap()
                .stage
        };
        assert_eq!(
            scan("e1", TrackingFact::InTransit, 10).await,
            ShipmentStage::InTransit
        );
        assert_eq!(
            scan("e2", TrackingFact::Delivered, 60).await,
            ShipmentStage::Delivered
        );
        assert_eq!(
            scan("e3", TrackingFact::Returning, 30).await,
            ShipmentStage::Delivered
        );
        assert_eq!(
            scan("e4", TrackingFact::Lost, 70).await,
            ShipmentStage::Delivered
        );
        // The same event again is no second fact, whatever it says.
        assert_eq!(
            scan("e2", TrackingFact::Returning, 80).await,
            ShipmentStage::Delivered
        );
        assert_eq!(
            scan("e5", TrackingFact::Returning, 80).await,
            ShipmentStage::Returning
        );
        // A carrier's clock that is ahead hides no scan that follows.
        assert_eq!(
            scan("e6", TrackingFact::InTransit, 999).await,
            ShipmentStage::Returning
        );
        t.advance(SignedDuration::from_mins(1)).await;
        assert_eq!(
            scan("e7", TrackingFact::Returned, 121).await,
            ShipmentStage::Returned
        );

        let recorded = t.events("A-1", EventType::TrackingRecorded).await;
        let fact = |event: &Event| match &event.detail {
            Some(EventDetail::TrackingRecorded {
                fact,
                occurred_time,
                ..
            }) => (*fact, occurred_time.duration_since(start).as_mins()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            recorded.iter().map(fact).collect::<Vec<_>>(),
            [
                (TrackingFact::InTransit, 10),
                (TrackingFact::Delivered, 60),
                (TrackingFact::Returning, 30),
                (TrackingFact::Lost, 70),
                (TrackingFact::Returning, 80),
                (TrackingFact::InTransit, 120),
                (TrackingFact::Returned, 121),
            ]
        );
    });
}

#[test]
fn a_parcel_may_be_lost_and_found() {
    run(async |t| {
        t.place_shipped("A-1").await;
        assert_eq!(
            t.scan("A-1:s1", TrackingFact::Lost).await.stage,
            ShipmentStage::Lost
        );
        assert_eq!(t.order("A-1").await.state, OrderState::Shipped);
        assert_eq!(
            t.scan("A-1:s1", TrackingFact::InTransit).await.stage,
            ShipmentStage::InTransit
        );
        assert_eq!(
            t.scan("A-1:s1", TrackingFact::Delivered).await.stage,
            ShipmentStage::Delivered
        );
    });
}

#[test]
fn a_scan_of_what_nobody_dispatched_counts_as_its_dispatch() {
    run(async |t| {
        t.place_paid("A-1").await;
        assert_eq!(
            t.scan("A-1:s1", TrackingFact::PickedUp).await.stage,
            ShipmentStage::InTransit
        );
        let order = t.order("A-1").await;
        assert_eq!(
            (order.state, order.cancellable_now),
            (OrderState::Shipped, false)
        );
        assert!(order.shipments[0].dispatch_time.is_some());
    });
}

#[test]
fn shipments_are_listed_from_new_to_old_page_by_page_and_by_filter() {
    run(async |t| {
        for order_id in ["A-1", "A-2", "A-3"] {
            t.place_split_paid(order_id).await;
        }
        t.prepare("A-2:s2").await;
        let paged = pages(async |token| {
            t.operator()
                .list_shipments()
                .page_size(4)
                .page_token(token)
                .await
        })
        .await;
        let listed: Vec<_> = paged
            .iter()
            .flatten()
            .map(|shipment| shipment.shipment_id.as_str())
            .collect();
        // Those of one order are of one instant, and go by their id.
        assert_eq!(
            listed,
            ["A-3:s2", "A-3:s1", "A-2:s2", "A-2:s1", "A-1:s2", "A-1:s1"]
        );

        let list = || t.operator().list_shipments();
        for (call, expected) in [
            (list().order_id("A-1"), vec!["A-1:s2", "A-1:s1"]),
            (
                list().warehouse_id("east"),
                vec!["A-3:s2", "A-2:s2", "A-1:s2"],
            ),
            (list().stage(ShipmentStage::Preparing), vec!["A-2:s2"]),
            (
                list().warehouse_id("main").stage(ShipmentStage::Preparing),
                vec![],
            ),
        ] {
            let asked = format!("{call:?}");
            let found = call.await.unwrap().items;
            let ids: Vec<&str> = found
                .iter()
                .map(|shipment| shipment.shipment_id.as_str())
                .collect();
            assert_eq!(ids, expected, "{asked}");
        }
    });
}

#[test]
fn a_shipment_that_is_not_there_is_not_found() {
    run(async |t| {
        t.place("A-1").await;
        let error = refused(
            t.warehouse().get_shipment("A-1:s2").await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        assert_eq!(error.metadata()["shipment_id"], "A-1:s2");
        refused(
            t.warehouse().get_shipment("A-2:s1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            t.warehouse().start_preparation("A-1:s2").await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        refused(
            t.warehouse().mark_ready("A-2:s1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            t.warehouse().dispatch_shipment("A-1:s2", 1).await,
            Kind::NotFound,
            "SHIPMENT_NOT_FOUND",
        );
        let scan = t
            .carrier()
            .record_tracking("A-1:s2", "scan", TrackingFact::PickedUp);
        refused(scan.await, Kind::NotFound, "SHIPMENT_NOT_FOUND");
    });
}
