//! CancellationService: which units, by whom, with which outcome and which money.

use std::time::Duration;

use belay_client::calls::OnIneligibleUnits;
use belay_client::model::{
    CancellationOutcome, CancellationState, OrderState, PartState, PaymentFact, RefundKind,
    ShipmentStage,
};
use belay_client::{Kind, RequestId, Role, Units, reason};
use belay_tests::instance::session;
use belay_tests::shop::{TOTAL, eur, new_order};
use belay_tests::{pages, refused, run};
use mysql_async::prelude::Queryable;

#[test]
fn some_units_of_a_line_are_cancelled_and_the_others_stay() {
    run(async |t| {
        t.place_paid("A-1").await;
        let cancellation = t
            .cancel_units("A-1", Units::line("A-1:l1", 1))
            .await
            .cancellation;
        assert_eq!(cancellation.outcome, Some(CancellationOutcome::Full));
        let part = &cancellation.parts[0];
        assert_eq!(
            (part.contents[0].line_id.as_str(), part.contents[0].quantity),
            ("A-1:l1", 1)
        );
        // The highest unit goes first; it carries no part of the remainder.
        assert_eq!(
            (&part.expected_refund.goods, &part.expected_refund.tax),
            (&eur(333), &eur(63))
        );

        let order = t.order("A-1").await;
        assert_eq!(
            (order.state, order.lines[0].cancelled_quantity),
            (OrderState::ToShip, 1)
        );
        assert_eq!(order.shipments[0].contents[0].cancelled_quantity, 1);
        assert_eq!(order.totals.due, eur(TOTAL - 396));
        assert_eq!(order.refunds[0].amount.total, eur(396));
        assert!(order.cancellable_now);
    });
}

#[test]
fn partial_cancellations_in_any_order_add_up_to_what_was_paid() {
    run(async |t| {
        let orders = [
            vec![("l1", 1), ("l1", 1), ("l1", 1), ("l2", 1)],
            vec![("l2", 1), ("l1", 2), ("l1", 1)],
            vec![("l1", 2), ("l2", 1), ("l1", 1)],
        ];
        for (index, steps) in orders.iter().enumerate() {
            let order_id = format!("A-{index}");
            t.place_split_paid(&order_id).await;
            for (line, quantity) in steps {
                t.cancel_units(
                    &order_id,
                    Units::line(format!("{order_id}:{line}"), *quantity),
                )
                .await;
            }
            let order = t.order(&order_id).await;
            assert_eq!(order.state, OrderState::Cancelled);
            let refunded: i64 = order
                .refunds
                .iter()
                .map(|refund| refund.amount.total.minor_units)
                .sum();
            assert_eq!(refunded, TOTAL, "{steps:?}");
            let shipping: i64 = order
                .refunds
                .iter()
                .map(|refund| refund.amount.shipping.minor_units)
                .sum();
            assert_eq!(shipping, 490, "{steps:?}");
        }
    });
}

#[test]
fn one_shipment_of_several_is_cancelled_with_its_share_of_the_shipping() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        let cancellation = t
            .cancel_units("A-1", Units::shipment("A-1:s2"))
            .await
            .cancellation;
        assert_eq!(cancellation.outcome, Some(CancellationOutcome::Full));
        // 490 and 93 are shared out over 667 and 733 of goods by largest remainder.
        let refund = &cancellation.expected_refund;
        assert_eq!(
            [&refund.goods, &refund.tax, &refund.shipping],
            [&eur(733), &eur(63 + 76 + 49), &eur(257)]
        );

        let order = t.order("A-1").await;
        let stages = [order.shipments[0].stage, order.shipments[1].stage];
        assert_eq!(stages, [ShipmentStage::Planned, ShipmentStage::Cancelled]);
        assert_eq!(order.state, OrderState::ToShip);
        t.ship("A-1:s1").await;
        assert_eq!(t.order("A-1").await.state, OrderState::Shipped);
    });
}

#[test]
fn lines_that_span_shipments_make_a_part_in_each() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        let units = Units::lines([("A-1:l1", 3), ("A-1:l2", 1)]);
        let cancellation = t.cancel_units("A-1", units).await.cancellation;
        let parts: Vec<_> = cancellation
            .parts
            .iter()
            .map(|part| (part.shipment_id.as_str(), part.contents.len()))
            .collect();
        assert_eq!(parts, [("A-1:s1", 1), ("A-1:s2", 2)]);
        assert_eq!(cancellation.expected_refund.total, eur(TOTAL));
    });
}

#[test]
fn units_that_cannot_be_cancelled_refuse_the_whole_or_are_left_out_as_asked() {
    run(async |t| {
        t.place_split_paid("A-1").await;
        t.ship("A-1:s1").await;
        let before = t.order("A-1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);

        let error = refused(
            request.clone().request_id(RequestId::mint()).await,
            Kind::Rejected,
            "SHIPPED",
        );
        assert_eq!(error.metadata()["acceptable"], "A-1:l1=1,A-1:l2=1");
        assert_eq!(error.rejections().len(), 1);
        let explicit = request
            .clone()
            .request_id(RequestId::mint())
            .on_ineligible_units(OnIneligibleUnits::Refuse);
        refused(explicit.await, Kind::Rejected, "SHIPPED");
        assert_eq!(t.order("A-1").await, before);

        let requested = request
            .on_ineligible_units(OnIneligibleUnits::LeaveOut)
            .await
            .unwrap();
        let cancellation = requested.cancellation;
        assert_eq!(cancellation.state, CancellationState::Completed);
        assert_eq!(cancellation.outcome, Some(CancellationOutcome::Partial));
        assert_eq!(cancellation.close_reason.as_deref(), Some("SHIPPED"));
        let parts: Vec<_> = cancellation
            .parts
            .iter()
            .map(|part| (part.shipment_id.as_str(), part.state))
            .collect();
        assert_eq!(
            parts,
            [
                ("A-1:s1", PartState::Refused),
                ("A-1:s2", PartState::Cancelled)
            ]
        );
        assert_eq!(
            cancellation.parts[0]
                .refused_reason
                .as_ref()
                .unwrap()
                .as_str(),
            "SHIPPED"
        );
        assert_eq!(requested.order_state, OrderState::Shipped);
        assert_eq!(
            cancellation.expected_refund,
            cancellation.parts[1].expected_refund
        );
    });
}

#[test]
fn leaving_everything_out_is_a_rejection() {
    run(async |t| {
        t.place_shipped("A-1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::NO_LONGER_WANTED);
        let outcome = request
            .on_ineligible_units(OnIneligibleUnits::LeaveOut)
            .await;
        refused(outcome, Kind::Rejected, "SHIPPED");
        assert!(t.order("A-1").await.cancellations.is_empty());
    });
}

#[test]
fn more_than_is_left_is_refused_with_what_is_left() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel_units("A-1", Units::line("A-1:l1", 2)).await;
        let request = |quantity| {
            let request = t
                .storefront()
                .request_cancellation("A-1", Units::line("A-1:l1", quantity));
            request.reason(reason::NO_LONGER_WANTED)
        };
        let error = refused(request(2).await, Kind::Rejected, "QUANTITY_UNAVAILABLE");
        assert_eq!(
            (
                &*error.metadata()["line_id"],
                &*error.metadata()["available"]
            ),
            ("A-1:l1", "1")
        );
        // Left out, what is too much is what is not there.
        let cancellation = request(2)
            .on_ineligible_units(OnIneligibleUnits::LeaveOut)
            .await
            .unwrap()
            .cancellation;
        assert_eq!(cancellation.parts[0].contents[0].quantity, 1);
        // Of a line that is wholly cancelled there is nothing left, while the order goes on with
        // the other.
        let error = refused(request(1).await, Kind::Rejected, "NOTHING_TO_CANCEL");
        assert_eq!(error.metadata()["order_id"], "A-1");
    });
}

#[test]
fn a_repeated_request_gets_the_same_answer_and_has_one_effect() {
    run(async |t| {
        t.place_paid("A-1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::line("A-1:l1", 1))
            .reason(reason::WRONG_PURCHASE);
        let request = request.request_id(RequestId::mint());
        let first = request.clone().await.unwrap();
        t.cancel("A-1").await;
        let rows = t.database.snapshot().await;
        // The answer is the one of then, although the order has gone on.
        assert_eq!(request.clone().await.unwrap(), first);
        let error = refused(
            request.clone().note("why not").await,
            Kind::AlreadyExists,
            "REQUEST_ID_REUSED",
        );
        assert_eq!(error.metadata()["request_id"], first.request_id.to_string());
        assert_eq!(t.database.snapshot().await, rows);
    });
}

#[test]
fn a_repeated_rejection_is_the_same_rejection_although_it_would_be_allowed_by_now() {
    run(async |t| {
        t.place_paid("A-1").await;
        let store = t.storefront();
        let waiting = async |units: Units| {
            let request = store
                .request_cancellation("A-1", units)
                .reason(reason::NO_LONGER_WANTED);
            request.request_id(RequestId::mint())
        };
        let too_many = waiting(Units::line("A-1:l1", 4)).await;
        let first = refused(
            too_many.clone().await,
            Kind::Rejected,
            "QUANTITY_UNAVAILABLE",
        );
        t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        let again = refused(too_many.await, Kind::Rejected, "QUANTITY_UNAVAILABLE");
        assert_eq!(
            (again.metadata(), again.message()),
            (first.metadata(), first.message())
        );
        assert_eq!(again.metadata()["available"], "3");
        // A new request is decided anew.
        let anew = refused(
            waiting(Units::line("A-1:l1", 4)).await.await,
            Kind::Rejected,
            "QUANTITY_UNAVAILABLE",
        );
        assert_eq!(anew.metadata()["available"], "2");
    });
}

#[test]
fn what_is_wholly_cancelled_answers_with_the_cancellation_that_took_the_last_unit() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel_units("A-1", Units::line("A-1:l1", 3)).await;
        let last = t
            .cancel_units("A-1", Units::line("A-1:l2", 1))
            .await
            .cancellation;
        let rows = t.database.snapshot().await.without_answers();
        for units in [
            Units::all(),
            Units::line("A-1:l1", 1),
            Units::shipment("A-1:s1"),
        ] {
            assert_eq!(t.cancel_units("A-1", units).await.cancellation, last);
        }
        assert_eq!(t.database.snapshot().await.without_answers(), rows);
    });
}

#[test]
fn a_request_for_another_state_of_the_order_is_aborted() {
    run(async |t| {
        let seen = t.place_paid("A-1").await.etag;
        t.prepare("A-1:s1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::WRONG_PURCHASE);
        let error = refused(
            request.clone().etag(&seen).await,
            Kind::Aborted,
            "ETAG_MISMATCH",
        );
        let present = t.order("A-1").await.etag;
        assert_eq!(error.metadata()["etag"], present.as_str());
        // With the same request id, once the caller has looked again: a mismatch is not remembered.
        assert_eq!(
            request.etag(&present).await.unwrap().order_state,
            OrderState::Cancelled
        );
    });
}

#[test]
fn a_reason_must_be_one_that_the_policy_takes_from_this_requester() {
    run(async |t| {
        t.place_paid("A-1").await;
        let request = |store: belay_client::Store, reason: &str| {
            store
                .request_cancellation("A-1", Units::all())
                .reason(reason)
        };
        let buyers = "NO_LONGER_WANTED,WRONG_PURCHASE,FOUND_BETTER,OTHER";

        let error = refused(
            request(t.storefront(), "BORED").await,
            Kind::InvalidArgument,
            "REASON_UNKNOWN",
        );
        assert_eq!(
            (&*error.metadata()["reason"], &*error.metadata()["reasons"]),
            ("BORED", buyers)
        );
        let error = refused(
            request(t.storefront(), "OUT_OF_STOCK").await,
            Kind::InvalidArgument,
            "REASON_NOT_ALLOWED",
        );
        assert_eq!(
            (&*error.metadata()["reason"], &*error.metadata()["reasons"]),
            ("OUT_OF_STOCK", buyers)
        );
        refused(
            request(t.seller(), "NO_LONGER_WANTED").await,
            Kind::InvalidArgument,
            "REASON_NOT_ALLOWED",
        );
        refused(
            request(t.storefront(), "PAYMENT_EXPIRED").await,
            Kind::InvalidArgument,
            "REASON_NOT_ALLOWED",
        );

        let error = refused(
            request(t.storefront(), "OTHER").await,
            Kind::InvalidArgument,
            "NOTE_REQUIRED",
        );
        assert_eq!(
            (
                &*error.metadata()["reason"],
                &*error.field_violations()[0].field
            ),
            ("OTHER", "note")
        );
        refused(
            request(t.storefront(), "OTHER").note(" \n ").await,
            Kind::InvalidArgument,
            "NOTE_REQUIRED",
        );
        assert!(t.order("A-1").await.cancellations.is_empty());

        let cancellation = request(t.storefront(), "OTHER")
            .note("It is blue.\nI am not.")
            .await
            .unwrap()
            .cancellation;
        assert_eq!(cancellation.note.as_deref(), Some("It is blue.\nI am not."));
    });
}

#[test]
fn a_seller_cancels_for_itself_and_it_counts() {
    run(async |t| {
        t.place_paid("A-1").await;
        let request = t
            .seller()
            .request_cancellation("A-1", Units::line("A-1:l2", 1))
            .reason("OUT_OF_STOCK");
        let cancellation = request.await.unwrap().cancellation;
        assert_eq!(
            (
                cancellation.requester.role,
                cancellation.requester.id.as_deref()
            ),
            (Role::Seller, Some("acme"))
        );
        assert_eq!(cancellation.requester, cancellation.submitted_by);
        assert!(cancellation.counted);
        assert_eq!(
            cancellation
                .effects
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["ZERO_STOCK"]
        );
        // No reason is asked of a seller, and none is whose fault it is.
        let cancellation = t
            .seller()
            .request_cancellation("A-1", Units::all())
            .await
            .unwrap()
            .cancellation;
        assert_eq!(
            (
                cancellation.reason,
                cancellation.fault,
                cancellation.counted
            ),
            (None, None, false)
        );
    });
}

#[test]
fn an_unpaid_order_is_cancelled_without_a_refund_and_money_that_comes_later_goes_back() {
    run(async |t| {
        t.place("A-1").await;
        let requested = t.cancel("A-1").await;
        assert_eq!(requested.order_state, OrderState::Cancelled);
        assert_eq!(
            (
                requested.cancellation.refund_ids.len(),
                requested.cancellation.refund_due_by
            ),
            (0, None)
        );
        let order = t.pay("A-1").await;
        assert_eq!(
            (order.state, &order.refunds[0].amount.total),
            (OrderState::Cancelled, &eur(TOTAL))
        );
    });
}

#[test]
fn what_was_only_authorised_is_voided() {
    run(async |t| {
        t.place("A-1").await;
        let fact = t
            .payments()
            .record_payment("A-1", "pay-1", "evt-1", PaymentFact::Authorized)
            .amount(eur(TOTAL));
        fact.method("CREDIT_CARD").await.unwrap();
        let cancellation = t.cancel("A-1").await.cancellation;
        let refund = t
            .support()
            .get_refund(&cancellation.refund_ids[0])
            .await
            .unwrap();
        assert_eq!(
            (refund.kind, &refund.amount.total),
            (RefundKind::Void, &eur(TOTAL))
        );
    });
}

#[test]
fn the_101st_cancellation_of_an_order_is_refused() {
    run(async |t| {
        let lines = [belay_client::calls::NewLine::new("SEED", 102, eur(10_200))];
        let buyer = belay_client::calls::NewBuyer::new("ann");
        let store = t.storefront();
        store
            .create_order(
                "A-1",
                buyer,
                "acme",
                belay_client::model::Destination::new("DE"),
                lines,
            )
            .await
            .unwrap();
        for _ in 0..100 {
            t.cancel_units("A-1", Units::line("A-1:l1", 1)).await;
        }
        let request = store
            .request_cancellation("A-1", Units::line("A-1:l1", 1))
            .reason(reason::NO_LONGER_WANTED);
        let error = refused(request.await, Kind::Rejected, "LIMIT_REACHED");
        assert_eq!(
            (&*error.metadata()["limit"], &*error.metadata()["limit_max"]),
            ("cancellations", "100")
        );
        assert_eq!(t.order("A-1").await.cancellations.len(), 100);
    });
}

#[test]
fn cancellations_are_listed_from_new_to_old_page_by_page_and_by_filter() {
    run(async |t| {
        for order_id in ["A-1", "A-2", "A-3"] {
            t.place_paid(order_id).await;
            t.cancel_units(order_id, Units::line(format!("{order_id}:l1"), 1))
                .await;
            t.cancel_units(order_id, Units::line(format!("{order_id}:l2"), 1))
                .await;
        }
        let paged = pages(async |token| {
            t.support()
                .list_cancellations()
                .page_size(4)
                .page_token(token)
                .await
        })
        .await;
        let listed: Vec<_> = paged.into_iter().flatten().collect();
        let ids: Vec<&str> = listed
            .iter()
            .map(|cancellation| cancellation.cancellation_id.as_str())
            .collect();
        assert_eq!(
            ids,
            ["A-3:c2", "A-3:c1", "A-2:c2", "A-2:c1", "A-1:c2", "A-1:c1"]
        );

        let list = || t.support().list_cancellations();
        assert_eq!(list().order_id("A-2").await.unwrap().items, listed[2..4]);
        assert_eq!(list().seller_id("acme").await.unwrap().items.len(), 6);
        assert_eq!(list().seller_id("bolt").await.unwrap().items.len(), 0);
        assert_eq!(
            list()
                .state(CancellationState::Completed)
                .await
                .unwrap()
                .items
                .len(),
            6
        );
        assert_eq!(
            list()
                .state(CancellationState::Pending)
                .await
                .unwrap()
                .items
                .len(),
            0
        );
    });
}

#[test]
fn a_call_out_of_time_says_so_and_its_repeat_tells_what_came_of_it() {
    run(async |t| {
        t.place_paid("A-1").await;
        let request = t
            .storefront()
            .request_cancellation("A-1", Units::all())
            .reason(reason::FOUND_BETTER);
        // Somebody else holds the order for as long as the caller waits.
        let mut somebody = session(&t.database.url()).await;
        somebody
            .query_drop("LOCK TABLES orders WRITE")
            .await
            .unwrap();
        let late = request.clone().timeout(Duration::from_millis(300)).await;
        refused(late, Kind::OutcomeUnknown, "DEADLINE_EXCEEDED");
        somebody.query_drop("UNLOCK TABLES").await.unwrap();
        assert_eq!(request.await.unwrap().order_state, OrderState::Cancelled);
        assert_eq!(t.order("A-1").await.cancellations.len(), 1);
    });
}

#[test]
fn a_cancellation_that_is_not_there_is_not_found() {
    run(async |t| {
        t.place_paid("A-1").await;
        let error = refused(
            t.storefront().get_cancellation("A-1:c1").await,
            Kind::NotFound,
            "CANCELLATION_NOT_FOUND",
        );
        assert_eq!(error.metadata()["cancellation_id"], "A-1:c1");
        refused(
            t.storefront().get_cancellation("A-2:c1").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        refused(
            t.storefront()
                .request_cancellation("A-2", Units::all())
                .reason(reason::WRONG_PURCHASE)
                .await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
        // Belongs to another order, which exists.
        new_order(&t.storefront(), "A-3").await.unwrap();
        refused(
            t.storefront().get_cancellation("A-3:c1").await,
            Kind::NotFound,
            "CANCELLATION_NOT_FOUND",
        );
    });
}
