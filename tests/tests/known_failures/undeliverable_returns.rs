//! Goods that come home: for which units they are taken, and that none is forgotten.

use belay_client::calls::{NewBuyer, NewLine, NewShipment};
use belay_client::model::{
    CancellationPath, Destination, EventDetail, EventType, GateKind, GateState, GoodsCondition,
    IncidentKind, IncidentState, OrderState, PaymentFact, RefundState, ShipmentStage, TrackingFact,
};
use belay_client::{Kind, Units, reason};
use belay_tests::shop::eur;
use belay_tests::{TestServer, refused, run, run_at};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// So many units of 1.00, paid, with the carrier that can turn parcels round.
async fn paid(t: &TestServer, order_id: &str, units: i32) {
    let lines = [NewLine::new("MUG", units, eur(i64::from(units) * 100))];
    let order = t.storefront().create_order(
        order_id,
        NewBuyer::new("ann"),
        "acme",
        Destination::new("DE"),
        lines,
    );
    order
        .shipments([NewShipment::new([(1, units)]).carrier_id("express")])
        .await
        .unwrap();
    let paid = t.payments().record_payment(
        order_id,
        format!("pay-{order_id}"),
        "paid",
        PaymentFact::Captured,
    );
    paid.amount(eur(i64::from(units) * 100))
        .method("PAYPAL")
        .await
        .unwrap();
}

/// All that goes back.
async fn refunded(t: &TestServer, order_id: &str) -> i64 {
    let refunds = t.order(order_id).await.refunds;
    refunds
        .iter()
        .map(|refund| refund.amount.total.minor_units)
        .sum()
}

async fn open_incidents(t: &TestServer, order_id: &str) -> Vec<IncidentKind> {
    let open = t
        .support()
        .list_incidents()
        .order_id(order_id)
        .state(IncidentState::Open)
        .await
        .unwrap();
    open.items.iter().map(|incident| incident.kind).collect()
}

/// A quantity is counted from the units that the parcel ever held: what never left, or is home
/// already, swallows what comes.
#[test]
fn only_what_has_left_and_is_not_home_comes_home() {
    run(async |t| {
        let receive = |order_id: &str, units| {
            let quantities = [(format!("{order_id}:l1"), units)];
            t.warehouse()
                .receive_parcel(format!("{order_id}:s1"), GoodsCondition::Unopened)
                .quantities(quantities)
        };
        paid(t, "A-1", 3).await;
        t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        t.ship("A-1:s1").await;
        let home = receive("A-1", 1).receipt_id("box-1").await.unwrap();
        assert_eq!(
            (home.stage, refunded(t, "A-1").await),
            (ShipmentStage::InTransit, 200)
        );
        let content = &home.contents[0];
        assert_eq!(
            (content.dispatched_quantity, content.received_quantity),
            (2, 1)
        );
        // The same box, told twice.
        receive("A-1", 1).receipt_id("box-1").await.unwrap();
        assert_eq!(refunded(t, "A-1").await, 200);
        let error = refused(
            receive("A-1", 2).await,
            Kind::Rejected,
            "QUANTITY_UNAVAILABLE",
        );
        assert_eq!(error.metadata()["available"], "1");
        receive("A-1", 1).receipt_id("box-2").await.unwrap();
        let order = t.order("A-1").await;
        assert_eq!(
            (order.state, refunded(t, "A-1").await),
            (OrderState::Cancelled, 300)
        );
        // A whole parcel that is home already.
        t.warehouse()
            .receive_parcel("A-1:s1", GoodsCondition::Damaged)
            .await
            .unwrap();
        assert_eq!(t.order("A-1").await, order);

        // Two receipts of the same quantity are two, where nobody gives them ids.
        paid(t, "A-2", 4).await;
        t.ship("A-2:s1").await;
        for (units, back) in [(1, 100), (1, 200), (2, 400)] {
            receive("A-2", units).await.unwrap();
            assert_eq!(refunded(t, "A-2").await, back);
        }
        let boxes: Vec<_> = t
            .events("A-1", EventType::ParcelReceived)
            .await
            .into_iter()
            .filter_map(|event| event.detail)
            .collect();
        let id = |detail: &EventDetail| match detail {
            EventDetail::ParcelReceived { receipt_id, .. } => receipt_id.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            boxes.iter().map(id).collect::<Vec<_>>(),
            [Some("box-1".to_owned()), Some("box-2".to_owned())]
        );
    });
}

/// Cancelled and sent all the same, a parcel comes home in two boxes: the first one settles
/// nothing.
#[test]
fn money_that_waits_for_goods_goes_when_all_of_them_are_home() {
    run(async |t| {
        paid(t, "A-1", 2).await;
        t.cancel("A-1").await;
        t.scan("A-1:s1", TrackingFact::PickedUp).await;
        for (stage, state) in [
            (ShipmentStage::InTransit, RefundState::Blocked),
            (ShipmentStage::Returned, RefundState::Due),
        ] {
            let receipt = t
                .warehouse()
                .receive_parcel("A-1:s1", GoodsCondition::Unopened);
            assert_eq!(
                receipt.quantities([("A-1:l1", 1)]).await.unwrap().stage,
                stage
            );
            assert_eq!(t.order("A-1").await.refunds[0].state, state);
        }
        assert_eq!(
            open_incidents(t, "A-1").await,
            [""; 0].map(|_: &str| IncidentKind::LateFact)
        );
    });
}

/// A parcel is found, or comes late, while support is asked what to do: its receipt goes by,
/// support keeps silent, and the buyer has neither goods nor money.
#[test]
fn a_parcel_that_comes_home_while_support_is_asked_is_paid_for() {
    run_at(MONDAY, async |t| {
        let intercepted = async |order_id: &str| {
            paid(t, order_id, 1).await;
            t.ship(&format!("{order_id}:s1")).await;
            let request = t
                .storefront()
                .request_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED);
            request.paths([CancellationPath::Intercept]).await.unwrap();
        };
        for (order_id, scanned) in [("LOST", false), ("LOST-FOUND", true)] {
            let shipment_id = format!("{order_id}:s1");
            intercepted(order_id).await;
            t.scan(&shipment_id, TrackingFact::Lost).await;
            let part = t
                .storefront()
                .get_cancellation(format!("{order_id}:c1"))
                .await
                .unwrap()
                .cancellation
                .parts
                .remove(0);
            let asked = part
                .gates
                .iter()
                .find(|gate| gate.state == GateState::Open)
                .unwrap();
            assert_eq!(
                (asked.kind, asked.instead_of),
                (GateKind::SupportReview, Some(GateKind::ParcelReceipt))
            );
            if scanned {
                t.scan(&shipment_id, TrackingFact::Returned).await;
            }
            t.warehouse()
                .receive_parcel(&shipment_id, GoodsCondition::Unopened)
                .await
                .unwrap();
            assert_eq!(
                (t.order(order_id).await.state, refunded(t, order_id).await),
                (OrderState::Cancelled, 100)
            );
            assert_eq!(t.events(order_id, EventType::ParcelReceived).await.len(), 1);
        }

        // On its way home before the carrier has answered: nobody is told no meanwhile.
        intercepted("TURNED").await;
        t.scan("TURNED:s1", TrackingFact::Returning).await;
        t.advance(DAY * 4).await;
        let part = t
            .storefront()
            .get_cancellation("TURNED:c1")
            .await
            .unwrap()
            .cancellation
            .parts
            .remove(0);
        let gates: Vec<_> = part
            .gates
            .iter()
            .map(|gate| (gate.kind, gate.state))
            .collect();
        assert_eq!(
            gates,
            [
                (GateKind::CarrierIntercept, GateState::Passed),
                (GateKind::ParcelReceipt, GateState::Open)
            ]
        );
        t.warehouse()
            .receive_parcel("TURNED:s1", GoodsCondition::Unopened)
            .await
            .unwrap();
        assert_eq!(refunded(t, "TURNED").await, 100);
    });
}

/// A return of three comes in two boxes, the second after its time.
#[test]
fn what_comes_after_its_time_is_for_support_and_is_paid_whole() {
    run_at(MONDAY, async |t| {
        paid(t, "A-1", 4).await;
        t.ship("A-1:s1").await;
        t.scan("A-1:s1", TrackingFact::Delivered).await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        request
            .paths([CancellationPath::ReturnUnopened])
            .await
            .unwrap();
        let receive = |units| {
            t.warehouse()
                .receive_parcel("A-1:s1", GoodsCondition::Unopened)
                .quantities([("A-1:l1", units)])
        };
        receive(1).await.unwrap();
        t.advance(DAY * 31).await;
        t.advance(DAY * 31).await;
        receive(1).await.unwrap();
        receive(2).await.unwrap();
        assert_eq!(
            (open_incidents(t, "A-1").await, refunded(t, "A-1").await),
            (vec![IncidentKind::LateFact], 100)
        );
        let anyway = belay_client::model::IncidentResolution::RefundAnyway;
        t.support()
            .resolve_incident("A-1:i1", anyway)
            .await
            .unwrap();
        assert_eq!(
            (refunded(t, "A-1").await, t.order("A-1").await.state),
            (400, OrderState::Cancelled)
        );
    });
}

/// The carrier tells ten days late that it delivered: the buyer has ten days more, and the better
/// rate.
#[test]
fn a_delivery_counts_from_when_it_was_and_not_from_when_it_was_told() {
    run_at(MONDAY, async |t| {
        t.place_shipped("A-1").await;
        let left = t.now().await;
        t.advance(DAY * 11).await;
        let carrier = t.carrier_of("A-1:s1").await;
        let told = carrier
            .record_tracking("A-1:s1", "late", TrackingFact::Delivered)
            .occurred_time(left + DAY);
        let shipment = told.await.unwrap();
        assert_eq!(
            (shipment.deliver_time, shipment.dispatch_time),
            (Some(left + DAY), Some(left))
        );
        assert_eq!(shipment.update_time, left + DAY * 11);
    });
}
