//! What people and warehouses answer: consents, stops, intercepts, parcels, holds, splits and
//! incidents, one after the other.

use belay_client::calls::{
    FirstPolicy, InterceptAnswer, NewBuyer, NewLine, NewShipment, Parcel, StopAnswer, Stopped,
};
use belay_client::model::{
    Cancellation, CancellationPath, CancellationState, Destination, EventDetail, EventType,
    GoodsCondition, IncidentKind, IncidentResolution, IncidentState, InterceptState, Order,
    PartState, RefundResult, RefundState, ReturnState, ShipmentStage, TrackingFact,
};
use belay_client::{Kind, Role, Store, Units, reason};
use belay_tests::shop::{eur, new_order, pay};
use belay_tests::{TestServer, documents, refused, run, run_at, until};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// A store in which a reason decides who is asked, seen by each of those who have to do with it.
struct Shop<'a> {
    t: &'a TestServer,
}

impl<'a> Shop<'a> {
    async fn open(t: &'a TestServer) -> Self {
        t.create_shop("gates", FirstPolicy::document(documents::every_gate()))
            .await;
        Self { t }
    }

    fn role(&self, role: Role, actor: &str) -> Store {
        self.t.store_as("gates", role, actor)
    }

    fn storefront(&self) -> Store {
        self.role(Role::Storefront, "web")
    }

    fn seller(&self) -> Store {
        self.role(Role::Seller, "acme")
    }

    fn warehouse(&self) -> Store {
        self.role(Role::Warehouse, "main")
    }

    async fn paid(&self, order_id: &str) -> Order {
        new_order(&self.storefront(), order_id).await.unwrap();
        pay(&self.storefront(), order_id).await
    }

    async fn asked(&self, order_id: &str, reason: &str) -> Cancellation {
        let request = self
            .storefront()
            .request_cancellation(order_id, Units::all())
            .reason(reason);
        request.await.unwrap().cancellation
    }

    /// A paid order under way, and the buyer's request to have it back.
    async fn called_back(&self, order_id: &str) -> Cancellation {
        self.paid(order_id).await;
        let shipment_id = format!("{order_id}:s1");
        let fence = self
            .warehouse()
            .get_shipment(&*shipment_id)
            .await
            .unwrap()
            .fence;
        self.warehouse()
            .dispatch_shipment(&*shipment_id, fence)
            .await
            .unwrap();
        let request = self
            .storefront()
            .request_cancellation(order_id, Units::all())
            .reason("DIRECT");
        request
            .paths([CancellationPath::Intercept])
            .await
            .unwrap()
            .cancellation
    }

    async fn cancellation(&self, cancellation_id: &str) -> Cancellation {
        self.storefront()
            .get_cancellation(cancellation_id)
            .await
            .unwrap()
            .cancellation
    }
}

#[test]
fn a_seller_agrees_or_does_not_and_says_so_again_without_harm() {
    run(async |t| {
        let shop = Shop::open(t).await;
        shop.paid("A-1").await;
        shop.asked("A-1", "CONSENT").await;
        let approve = || {
            shop.seller()
                .approve_cancellation("A-1:c1")
                .note("not packed yet")
        };
        let approved = approve().await.unwrap().cancellation;
        assert_eq!(
            (approved.state, approved.refund_ids.len()),
            (CancellationState::Completed, 1)
        );
        assert!(!approved.auto_approved, "somebody had to agree");
        let answer = approved.parts[0].gates[0].answer.as_ref().unwrap();
        assert_eq!(
            (answer.by.role, answer.note.as_deref()),
            (Role::Seller, Some("not packed yet"))
        );
        assert_eq!(approve().await.unwrap().cancellation, approved);
        let no = shop
            .seller()
            .reject_cancellation("A-1:c1", "TOO_LATE")
            .await;
        let error = refused(no, Kind::Rejected, "GATE_NOT_OPEN");
        assert_eq!(
            (
                &*error.metadata()["cancellation_id"],
                &*error.metadata()["gate"]
            ),
            ("A-1:c1", "SELLER_CONSENT")
        );

        shop.paid("A-2").await;
        shop.asked("A-2", "CONSENT").await;
        let rejected = shop
            .seller()
            .reject_cancellation("A-2:c1", "ALREADY_PACKED")
            .evidence(["PHOTO:77"])
            .await;
        let rejected = rejected.unwrap().cancellation;
        assert_eq!(
            (rejected.state, rejected.close_reason.as_deref()),
            (CancellationState::Rejected, Some("CONSENT_REFUSED"))
        );
        let answer = rejected.parts[0].gates[0].answer.as_ref().unwrap();
        assert_eq!(
            (answer.code.as_deref(), &answer.evidence[..]),
            (Some("ALREADY_PACKED"), &["PHOTO:77".to_owned()][..])
        );
        let nowhere = shop.seller().approve_cancellation("A-2:c9").await;
        refused(nowhere, Kind::NotFound, "CANCELLATION_NOT_FOUND");
    });
}

#[test]
fn an_answer_after_the_deadline_is_told_that_it_is_late() {
    run_at(MONDAY, async |t| {
        let shop = Shop::open(t).await;
        shop.paid("A-1").await;
        let respond_by = shop.asked("A-1", "CONSENT").await.parts[0].gates[0]
            .respond_by
            .unwrap();
        t.advance(SignedDuration::from_hours(24)).await;
        let late = shop.seller().approve_cancellation("A-1:c1").await;
        let error = refused(late, Kind::Rejected, "GATE_TIMED_OUT");
        assert_eq!(error.metadata()["respond_by"], respond_by.to_string());
    });
}

#[test]
fn who_asked_may_take_it_back_until_somebody_has_acted() {
    run(async |t| {
        let shop = Shop::open(t).await;
        shop.paid("A-1").await;
        shop.asked("A-1", "CONSENT").await;
        let seller = shop.seller().withdraw_cancellation("A-1:c1").await;
        let error = refused(seller, Kind::PermissionDenied, "NOT_THE_REQUESTER");
        assert_eq!(error.metadata()["cancellation_id"], "A-1:c1");
        let withdrawn = shop
            .storefront()
            .withdraw_cancellation("A-1:c1")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(
            (withdrawn.state, withdrawn.parts[0].state),
            (CancellationState::Withdrawn, PartState::Withdrawn)
        );
        let again = shop
            .storefront()
            .withdraw_cancellation("A-1:c1")
            .await
            .unwrap();
        assert_eq!(again.cancellation, withdrawn);

        shop.called_back("A-2").await;
        shop.warehouse()
            .answer_intercept("A-2:s1", InterceptAnswer::Confirmed)
            .await
            .unwrap();
        let late = shop.storefront().withdraw_cancellation("A-2:c1").await;
        let error = refused(late, Kind::Rejected, "TOO_LATE_TO_WITHDRAW");
        assert_eq!(error.metadata()["gate"], "CARRIER_INTERCEPT");
    });
}

#[test]
fn a_warehouse_stops_all_or_some_or_cannot() {
    run(async |t| {
        let shop = Shop::open(t).await;
        shop.paid("A-1").await;
        shop.asked("A-1", "STOP").await;
        let stop = Stopped::all()
            .stage_seen(ShipmentStage::Preparing)
            .put_back([("A-1:l1", 3)]);
        let stopped = shop
            .warehouse()
            .answer_stop("A-1:s1", stop.clone())
            .await
            .unwrap();
        assert_eq!(
            (stopped.stage, stopped.do_not_hand_over),
            (ShipmentStage::Cancelled, true)
        );
        let part = &shop.cancellation("A-1:c1").await.parts[0];
        let answer = part.gates[0].answer.as_ref().unwrap();
        assert_eq!(
            (answer.stage_seen, answer.put_back[0].quantity),
            (Some(ShipmentStage::Preparing), 3)
        );
        // A fact is a fact, however often it is told.
        assert_eq!(
            shop.warehouse()
                .answer_stop("A-1:s1", stop)
                .await
                .unwrap()
                .value,
            stopped.value
        );

        shop.paid("A-2").await;
        shop.asked("A-2", "STOP").await;
        let too_many = shop
            .warehouse()
            .answer_stop("A-2:s1", Stopped::of([("A-2:l1", 4)]))
            .await;
        refused(too_many, Kind::Rejected, "QUANTITY_UNAVAILABLE");
        let some = shop
            .warehouse()
            .answer_stop("A-2:s1", Stopped::of([("A-2:l1", 2)]))
            .cancellation_id("A-2:c1")
            .await;
        assert!(
            !some.unwrap().do_not_hand_over,
            "something is left to be sent"
        );
        let parts = shop.cancellation("A-2:c1").await.parts;
        let ended: Vec<_> = parts
            .iter()
            .map(|part| (part.state, part.refused_reason.as_ref().map(|r| r.as_str())))
            .collect();
        assert_eq!(
            ended,
            [
                (PartState::Cancelled, None),
                (PartState::Refused, Some("WAREHOUSE_CANNOT_STOP"))
            ]
        );

        shop.paid("A-3").await;
        let nobody = shop.warehouse().answer_stop("A-3:s1", Stopped::all()).await;
        let error = refused(nobody, Kind::Rejected, "GATE_NOT_OPEN");
        assert_eq!(
            (
                &*error.metadata()["shipment_id"],
                &*error.metadata()["gate"]
            ),
            ("A-3:s1", "WAREHOUSE_STOP")
        );
        shop.asked("A-3", "STOP").await;
        shop.warehouse()
            .answer_stop("A-3:s1", StopAnswer::cannot_stop("ALREADY_LOADED"))
            .await
            .unwrap();
        let cancellation = shop.cancellation("A-3:c1").await;
        assert_eq!(
            cancellation.close_reason.as_deref(),
            Some("WAREHOUSE_CANNOT_STOP")
        );
        assert_eq!(
            cancellation.parts[0].gates[0]
                .answer
                .as_ref()
                .unwrap()
                .code
                .as_deref(),
            Some("ALREADY_LOADED")
        );
    });
}

#[test]
fn a_parcel_is_turned_round_comes_home_and_is_paid_for() {
    run(async |t| {
        let shop = Shop::open(t).await;
        shop.called_back("A-1").await;
        let carrier = shop.role(Role::Carrier, "standard");
        let turned = carrier
            .answer_intercept("A-1:s1", InterceptAnswer::Confirmed)
            .await
            .unwrap();
        assert_eq!(turned.intercept.unwrap().state, InterceptState::Confirmed);
        let home = shop
            .warehouse()
            .receive_parcel("A-1:s1", GoodsCondition::Opened)
            .note("seal broken")
            .await
            .unwrap();
        assert_eq!(
            (home.stage, home.intercept.unwrap().state),
            (ShipmentStage::Returned, InterceptState::Received)
        );
        let cancellation = shop.cancellation("A-1:c1").await;
        let part = &cancellation.parts[0];
        assert_eq!(
            (cancellation.state, part.receipt.unwrap().condition),
            (CancellationState::Completed, GoodsCondition::Opened)
        );
        assert!(
            part.effects.is_empty(),
            "opened goods do not go back on sale"
        );
        let history = shop.storefront().list_order_history("A-1").await.unwrap();
        let received = history.items.iter().find_map(|event| match &event.detail {
            Some(EventDetail::ParcelReceived {
                condition,
                contents,
                ..
            }) => Some((*condition, contents.len())),
            _ => None,
        });
        assert_eq!(received, Some((GoodsCondition::Opened, 2)));

        shop.called_back("A-2").await;
        let cannot = InterceptAnswer::cannot_intercept("OUT_FOR_DELIVERY");
        let failed = carrier.answer_intercept("A-2:s1", cannot).await.unwrap();
        assert_eq!(failed.intercept.unwrap().state, InterceptState::Failed);
        assert_eq!(
            shop.cancellation("A-2:c1").await.close_reason.as_deref(),
            Some("NOT_INTERCEPTABLE")
        );

        shop.paid("A-3").await;
        let stays = shop
            .warehouse()
            .receive_parcel("A-3:s1", GoodsCondition::Unopened)
            .await;
        refused(stays, Kind::Rejected, "STAGE_MISMATCH");
        let nobody = carrier
            .answer_intercept("A-3:s1", InterceptAnswer::Confirmed)
            .await;
        refused(nobody, Kind::Rejected, "GATE_NOT_OPEN");
    });
}

#[test]
fn a_return_goes_from_authorised_over_returning_to_received() {
    run(async |t| {
        t.place_shipped("A-1").await;
        t.scan("A-1:s1", TrackingFact::Delivered).await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::line("A-1:l1", 1));
        let request = request
            .reason(reason::NO_LONGER_WANTED)
            .paths([CancellationPath::ReturnUnopened]);
        let part = request.await.unwrap().cancellation.parts.remove(0);
        assert_eq!(part.return_state, Some(ReturnState::Authorised));
        let receive = || {
            t.warehouse()
                .receive_parcel("A-1:s1", GoodsCondition::Unopened)
                .quantities([("A-1:l1", 1)])
        };
        receive().await.unwrap();
        let part = t
            .storefront()
            .get_cancellation("A-1:c1")
            .await
            .unwrap()
            .cancellation
            .parts
            .remove(0);
        assert_eq!(
            (part.return_state, part.state),
            (Some(ReturnState::Received), PartState::Cancelled)
        );
        let too_many = t
            .warehouse()
            .receive_parcel("A-1:s1", GoodsCondition::Unopened)
            .quantities([("A-1:l1", 4)])
            .await;
        refused(too_many, Kind::Rejected, "QUANTITY_UNAVAILABLE");
    });
}

#[test]
fn a_held_shipment_stays_until_it_is_released_or_its_time_is_over() {
    run_at(MONDAY, async |t| {
        t.place_paid("A-1").await;
        let (fence, now) = (t.shipment("A-1:s1").await.fence, t.now().await);
        let hold = |until| {
            t.seller()
                .hold_shipment("A-1:s1", until)
                .note("address in doubt")
        };
        let held = hold(now + SignedDuration::from_hours(1))
            .fence(fence)
            .await
            .unwrap();
        assert_eq!(
            (held.fence, held.hold.as_ref().unwrap().placed_by.role),
            (fence + 1, Role::Seller)
        );
        let dispatch = t.warehouse().dispatch_shipment("A-1:s1", held.fence).await;
        let error = refused(dispatch, Kind::Rejected, "SHIPMENT_HELD");
        assert_eq!(
            error.metadata()["hold_until"],
            (now + SignedDuration::from_hours(1)).to_string()
        );
        refused(
            hold(now + SignedDuration::from_hours(2)).fence(fence).await,
            Kind::Aborted,
            "FENCE_STALE",
        );
        for until in [
            now,
            now + SignedDuration::from_hours(30 * 24) + SignedDuration::from_micros(1),
        ] {
            let error = refused(hold(until).await, Kind::InvalidArgument, "INVALID_FIELD");
            assert_eq!(error.field_violations()[0].field, "hold_until");
        }
        assert_eq!(t.seller().release_hold("A-1:s1").await.unwrap().hold, None);
        assert_eq!(t.seller().release_hold("A-1:s1").await.unwrap().hold, None);

        hold(now + SignedDuration::from_hours(1)).await.unwrap();
        t.advance(SignedDuration::from_hours(1)).await;
        until("the hold ends", async || {
            t.shipment("A-1:s1").await.hold.is_none().then_some(())
        })
        .await;
        assert_eq!(t.events("A-1", EventType::ShipmentHeld).await.len(), 2);
        assert_eq!(t.events("A-1", EventType::HoldEnded).await.len(), 2);
        t.ship("A-1:s1").await;
        refused(
            hold(now + SignedDuration::from_hours(5)).await,
            Kind::Rejected,
            "STAGE_MISMATCH",
        );
    });
}

#[test]
fn a_shipment_is_split_and_every_unit_is_in_one_of_its_parcels() {
    run(async |t| {
        let paid = t.place_paid("A-1").await;
        let split = |parcels: [Parcel; 2]| t.warehouse().split_shipment("A-1:s1", parcels);
        let left_out = split([Parcel::of("A-1:l1", 1), Parcel::of("A-1:l1", 2)]).await;
        let error = refused(left_out, Kind::InvalidArgument, "INVALID_FIELD");
        assert_eq!(error.field_violations()[0].field, "parcels");
        let too_many = split([Parcel::of("A-1:l1", 3), Parcel::of("A-1:l1", 1)]).await;
        refused(too_many, Kind::Rejected, "QUANTITY_UNAVAILABLE");

        let parcels = || {
            [
                Parcel::of("A-1:l1", 2),
                Parcel::new([("A-1:l1", 1), ("A-1:l2", 1)]),
            ]
        };
        let done = split(parcels()).await.unwrap();
        assert_eq!(
            (done.shipment.stage, done.into_shipments.len()),
            (ShipmentStage::Split, 2)
        );
        for shipment in &done.into_shipments {
            assert_eq!(
                (shipment.split_from_id.as_ref(), shipment.stage),
                (Some(&done.shipment.shipment_id), ShipmentStage::Planned)
            );
        }
        assert_eq!(
            split(parcels()).request_id(done.request_id).await.unwrap(),
            done
        );
        // Its units are in other shipments now.
        refused(
            split(parcels()).await,
            Kind::Rejected,
            "QUANTITY_UNAVAILABLE",
        );
        let order = t.order("A-1").await;
        assert_eq!(
            (order.totals.total, order.shipments.len()),
            (paid.totals.total, 3)
        );
        let event = &t.events("A-1", EventType::ShipmentSplit).await[0];
        assert!(
            matches!(&event.detail, Some(EventDetail::ShipmentSplit { into_shipment_ids, .. }) if into_shipment_ids.len() == 2)
        );
    });
}

#[test]
fn what_customs_may_stop_is_split_only_where_the_policy_offers_it() {
    run(async |t| {
        t.create_shop("border", FirstPolicy::preset("seller-warehouse"))
            .await;
        let operator = t.store_as("border", Role::Operator, "ops");
        operator
            .put_warehouse("east", "East")
            .country_code("CN")
            .await
            .unwrap();
        operator
            .put_carrier("express", "Express")
            .partner_delivery()
            .await
            .unwrap();
        let storefront = t.store_as("border", Role::Storefront, "web");
        let mugs = [NewLine::new("MUG", 4, eur(4_000))];
        let order = storefront.create_order(
            "A-1",
            NewBuyer::new("ann"),
            "acme",
            Destination::new("DE"),
            mugs,
        );
        let order = order
            .shipments([NewShipment::new([(1, 4)])
                .warehouse_id("east")
                .carrier_id("express")])
            .await
            .unwrap();
        let flag = order.shipments[0]
            .customs_flag
            .as_ref()
            .expect("four are too many");
        assert_eq!((&*flag.sku, flag.quantity, flag.units_max), ("MUG", 4, 3));
        let seller = t.store_as("border", Role::Seller, "acme");
        let parcels = || [Parcel::of("A-1:l1", 2), Parcel::of("A-1:l1", 2)];
        let error = refused(
            seller.split_shipment("A-1:s1", parcels()).await,
            Kind::Rejected,
            "SPLIT_NOT_ALLOWED",
        );
        assert_eq!(error.metadata()["next_actions"], "CANCEL");

        operator.put_carrier("express", "Express").await.unwrap();
        let split = seller.split_shipment("A-1:s1", parcels()).await.unwrap();
        assert!(
            split
                .into_shipments
                .iter()
                .all(|shipment| shipment.customs_flag.is_none())
        );
    });
}

#[test]
fn an_incident_is_listed_with_what_may_be_done_and_settled_once() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let refund = t.claim("worker-1").await.unwrap();
        let failed = t
            .payments()
            .record_refund_result(&refund.refund_id, RefundResult::Failed)
            .failure_code("closed");
        failed.await.unwrap();
        let open = || {
            t.support()
                .list_incidents()
                .state(IncidentState::Open)
                .kind(IncidentKind::RefundFailed)
        };
        let listed = open().await.unwrap().items;
        assert_eq!(
            (listed.len(), listed[0].kind),
            (1, IncidentKind::RefundFailed)
        );
        assert_eq!(
            listed[0].allowed_resolutions,
            [IncidentResolution::RetryRefund, IncidentResolution::Accept]
        );
        assert!(
            t.support()
                .list_incidents()
                .kind(IncidentKind::LateFact)
                .await
                .unwrap()
                .items
                .is_empty()
        );
        assert_eq!(
            t.support()
                .list_incidents()
                .order_id("A-1")
                .await
                .unwrap()
                .items,
            listed
        );

        let resolve = |resolution| {
            t.support()
                .resolve_incident("A-1:i1", resolution)
                .note("new account")
        };
        let no = resolve(IncidentResolution::DropRefund).await;
        let error = refused(no, Kind::Rejected, "RESOLUTION_NOT_ALLOWED");
        assert_eq!(error.metadata()["resolutions"], "RETRY_REFUND,ACCEPT");
        let resolved = resolve(IncidentResolution::RetryRefund)
            .await
            .unwrap()
            .incident;
        assert_eq!(
            (resolved.state, resolved.resolution),
            (
                IncidentState::Resolved,
                Some(IncidentResolution::RetryRefund)
            )
        );
        assert_eq!(
            (resolved.resolved_by.unwrap().role, resolved.note.as_deref()),
            (Role::Support, Some("new account"))
        );
        let order = t.order("A-1").await;
        assert_eq!(
            (
                order.refunds[1].state,
                order.refunds[1].retry_of_id.as_ref()
            ),
            (RefundState::Due, Some(&refund.refund_id))
        );
        resolve(IncidentResolution::RetryRefund).await.unwrap();
        assert_eq!(t.order("A-1").await.refunds.len(), 2, "settled once");
        let error = refused(
            resolve(IncidentResolution::Accept).await,
            Kind::Rejected,
            "INCIDENT_RESOLVED",
        );
        assert_eq!(error.metadata()["resolution"], "RETRY_REFUND");
        let nowhere = t
            .support()
            .resolve_incident("A-1:i9", IncidentResolution::Accept)
            .await;
        refused(nowhere, Kind::NotFound, "INCIDENT_NOT_FOUND");
        assert!(open().await.unwrap().items.is_empty());
    });
}

#[test]
fn a_quote_holds_for_a_while_and_for_what_was_quoted() {
    run_at(MONDAY, async |t| {
        t.place_paid("A-1").await;
        let quoted = async |order_id: &str| {
            let preview = t
                .storefront()
                .preview_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED);
            preview.await.unwrap().quote.expect("it is allowed")
        };
        let request = |order_id: &str| {
            t.storefront()
                .request_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED)
        };
        let quote = quoted("A-1").await;
        t.cancel_units("A-1", Units::line("A-1:l2", 1)).await;
        let error = refused(
            request("A-1").quote(quote).await,
            Kind::Aborted,
            "QUOTE_MISMATCH",
        );
        assert_ne!(error.metadata()["quoted"], error.metadata()["present"]);
        let again = quoted("A-1").await;
        let cancelled = request("A-1").quote(again).await.unwrap().cancellation;
        assert_eq!(
            (cancelled.state, cancelled.auto_approved),
            (CancellationState::Completed, true)
        );

        t.place_paid("A-2").await;
        let quote = quoted("A-2").await;
        t.set_clock(quote.valid_until).await;
        let error = refused(
            request("A-2").quote(quote.clone()).await,
            Kind::Aborted,
            "QUOTE_EXPIRED",
        );
        assert_eq!(
            error.metadata()["quote_valid_until"],
            quote.valid_until.to_string()
        );
    });
}
