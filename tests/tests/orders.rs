//! OrderService: orders, their payments and their history.

use belay_client::calls::{NewBuyer, NewLine, NewShipment};
use belay_client::model::{
    Destination, EventDetail, EventType, Order, OrderState, PaymentFact, PaymentState, RefundState,
    ShipmentStage,
};
use belay_client::{Kind, Money, RequestId, Role};
use belay_tests::shop::{TOTAL, eur, new_order, new_order_of};
use belay_tests::{SHOP, TestServer, pages, refused, run, run_at, until};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

#[test]
fn an_order_reads_as_it_was_placed() {
    run_at(MONDAY, async |t| {
        let order = t.place("A-1").await;
        assert_eq!(order, t.order("A-1").await);
        let now = t.now().await;
        assert_eq!(
            (order.order_id.as_str(), order.store_id.as_str()),
            ("A-1", "shop")
        );
        assert_eq!(
            (order.buyer_id.as_str(), order.seller_id.as_str()),
            ("ann", "acme")
        );
        assert_eq!(order.destination, Destination::new("DE").city("Berlin"));
        assert_eq!(
            (order.state, &*order.display_state),
            (OrderState::AwaitingPayment, "Awaiting payment")
        );
        assert_eq!(
            (order.create_time, order.update_time, order.paid_time),
            (now, now, None)
        );
        assert_eq!(order.pay_by, Some(now + SignedDuration::from_hours(24)));
        assert_eq!(order.policy_version, 1);

        let lines: Vec<_> = order
            .lines
            .iter()
            .map(|line| (line.line_id.as_str(), &*line.sku, line.quantity))
            .collect();
        assert_eq!(lines, [("A-1:l1", "MUG", 3), ("A-1:l2", "PEN", 1)]);
        let mug = &order.lines[0];
        assert_eq!(
            (&mug.goods, &mug.discount, &mug.tax),
            (&eur(1_000), &eur(0), &eur(190))
        );
        assert_eq!(mug.title.as_deref(), Some("Mug, blue"));
        assert_eq!(
            (&order.shipping.amount, &order.shipping.tax),
            (&eur(490), &eur(93))
        );
        let totals = &order.totals;
        assert_eq!(
            [&totals.goods, &totals.discount, &totals.tax],
            [&eur(1_500), &eur(100), &eur(359)]
        );
        assert_eq!(
            [&totals.shipping, &totals.total, &totals.due],
            [&eur(490), &eur(TOTAL), &eur(TOTAL)]
        );
        assert_eq!([&totals.captured, &totals.refunded], [&eur(0), &eur(0)]);

        // One shipment with every unit, by the store's default route.
        let [shipment] = order.shipments.as_slice() else {
            panic!("{:?}", order.shipments)
        };
        assert_eq!(
            (shipment.warehouse_id.as_str(), shipment.carrier_id.as_str()),
            ("main", "standard")
        );
        assert_eq!(
            (
                shipment.shipment_id.as_str(),
                shipment.stage,
                shipment.fence
            ),
            ("A-1:s1", ShipmentStage::Unreleased, 1)
        );
        let contents: Vec<_> = shipment
            .contents
            .iter()
            .map(|c| (c.line_id.as_str(), c.quantity))
            .collect();
        assert_eq!(contents, [("A-1:l1", 3), ("A-1:l2", 1)]);
    });
}

#[test]
fn an_order_of_several_shipments_has_each_unit_in_one() {
    run(async |t| {
        let order = t.place_split("A-1").await;
        let contents = |order: &Order, at: usize| -> Vec<(String, i32)> {
            order.shipments[at]
                .contents
                .iter()
                .map(|c| (c.sku.clone(), c.quantity))
                .collect()
        };
        assert_eq!(contents(&order, 0), [("MUG".to_owned(), 2)]);
        assert_eq!(
            contents(&order, 1),
            [("MUG".to_owned(), 1), ("PEN".to_owned(), 1)]
        );
        assert_eq!(order.shipments[1].warehouse_id.as_str(), "east");

        // Too few and too many of a line are both refused, and no order is made.
        for mugs in [2, 4] {
            let shipments = [NewShipment::new([(1, mugs)]), NewShipment::new([(2, 1)])];
            let placed = new_order(&t.storefront(), "A-2").shipments(shipments).await;
            refused(placed, Kind::InvalidArgument, "INVALID_FIELD");
        }
        refused(
            t.storefront().get_order("A-2").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
    });
}

#[test]
fn an_order_that_costs_nothing_is_paid_by_being_placed() {
    run(async |t| {
        let lines = [NewLine::new("SAMPLE", 1, eur(0))];
        let store = t.storefront();
        let order = store
            .create_order(
                "A-1",
                NewBuyer::new("ann"),
                "acme",
                Destination::new("DE"),
                lines,
            )
            .await
            .unwrap();
        assert_eq!(order.state, OrderState::ToShip);
        assert!(order.paid_time.is_some());
        assert_eq!(order.shipments[0].stage, ShipmentStage::Planned);
        assert!(t.cancel("A-1").await.cancellation.refund_ids.is_empty());
    });
}

#[test]
fn the_same_order_again_is_answered_as_it_stands_and_another_one_is_refused() {
    run(async |t| {
        let first = new_order(&t.storefront(), "A-1").await.unwrap().value;
        let rows = t.database.snapshot().await;
        // A reply that was lost: the same call again, with or without the same request id.
        assert_eq!(
            new_order(&t.storefront(), "A-1").await.unwrap().value,
            first
        );
        let call = new_order(&t.storefront(), "A-1").request_id(RequestId::mint());
        assert_eq!(call.clone().await.unwrap().value, first);
        assert_eq!(call.await.unwrap().value, first);
        let other = refused(
            new_order(&t.storefront(), "A-1").shipping(eur(491)).await,
            Kind::AlreadyExists,
            "ORDER_ALREADY_EXISTS",
        );
        assert_eq!(other.metadata()["order_id"], "A-1");
        assert_eq!(t.database.snapshot().await, rows);

        let paid = t.pay("A-1").await;
        assert_eq!(new_order(&t.storefront(), "A-1").await.unwrap().value, paid);
    });
}

#[test]
fn the_same_order_again_is_the_same_once_the_store_has_another_default() {
    run(async |t| {
        // The first names no carrier, the second no route at all.
        let shipments = || [NewShipment::new([(1, 3), (2, 1)]).warehouse_id("main")];
        let web = t.storefront();
        let half = new_order(&web, "A-1").shipments(shipments()).await;
        let half = half.unwrap().value;
        let whole = t.place("A-2").await;
        assert_eq!(half.shipments[0].carrier_id, whole.shipments[0].carrier_id);

        let operator = t.store_as(SHOP, Role::Operator, "ops");
        let other = operator.update_store().default_carrier_id("express");
        other.default_warehouse_id("east").await.unwrap();
        let again = new_order(&web, "A-1").shipments(shipments()).await;
        assert_eq!(again.unwrap().value, half);
        assert_eq!(new_order(&web, "A-2").await.unwrap().value, whole);
    });
}

#[test]
fn a_repeated_payment_counts_once_and_gets_the_order_as_it_stands() {
    run(async |t| {
        t.place("A-1").await;
        let call = t
            .payments()
            .record_payment("A-1", "pay-1", "evt-1", PaymentFact::Captured);
        let call = call
            .amount(eur(TOTAL))
            .method("CREDIT_CARD")
            .request_id(RequestId::mint());
        let first = call.clone().await.unwrap();
        assert_eq!(first.state, OrderState::ToShip);
        t.prepare("A-1:s1").await;
        let rows = t.database.snapshot().await;

        // The answer is the order as it stands: no copy of it is kept.
        let now = t.order("A-1").await;
        let again = call.clone().await.unwrap();
        assert_eq!((again.request_id, &again.value), (first.request_id, &now));
        assert_eq!(
            (now.state, &now.totals.captured),
            (OrderState::Processing, &eur(TOTAL))
        );
        // The provider's event under a new request id is no news either.
        let again = call.clone().request_id(RequestId::mint()).await.unwrap();
        assert_eq!(again.value, now);
        let other = call.clone().amount(eur(TOTAL - 1)).await;
        let error = refused(other, Kind::AlreadyExists, "REQUEST_ID_REUSED");
        assert_eq!(error.metadata()["request_id"], first.request_id.to_string());
        assert_eq!(
            t.database.snapshot().await.without_answers(),
            rows.without_answers()
        );

        // Somebody else's request id is nobody's business.
        let elsewhere = t.store_as("shop", Role::Payments, "other-psp");
        let second = elsewhere
            .record_payment("A-1", "pay-1", "evt-2", PaymentFact::Captured)
            .amount(eur(1));
        let second = second.request_id(first.request_id).await.unwrap();
        assert_eq!(second.totals.captured, eur(TOTAL + 1));
    });
}

#[test]
fn payments_add_up_and_what_is_authorised_counts_as_paid() {
    run(async |t| {
        t.place("A-1").await;
        let fact = async |payment: &str, event: &str, fact: PaymentFact, amount: i64| {
            let call = t
                .payments()
                .record_payment("A-1", payment, event, fact)
                .method("CREDIT_CARD");
            call.amount(eur(amount)).await.unwrap().value
        };
        let order = fact("card", "e1", PaymentFact::Authorized, 1_000).await;
        assert_eq!(
            (order.state, order.payments[0].state),
            (OrderState::AwaitingPayment, PaymentState::Authorized)
        );
        let order = fact("voucher", "e1", PaymentFact::Captured, TOTAL - 1_000).await;
        assert_eq!(order.state, OrderState::ToShip);
        assert_eq!(order.shipments[0].stage, ShipmentStage::Planned);
        let order = fact("card", "e2", PaymentFact::Captured, 1_000).await;
        let payments: Vec<_> = order
            .payments
            .iter()
            .map(|p| (p.payment_id.as_str(), p.state, &p.captured))
            .collect();
        assert_eq!(
            payments,
            [
                ("A-1:p1", PaymentState::Captured, &eur(1_000)),
                ("A-1:p2", PaymentState::Captured, &eur(TOTAL - 1_000)),
            ]
        );
        assert_eq!(t.events("A-1", EventType::OrderPaid).await.len(), 1);
        assert!(order.refunds.is_empty());
    });
}

#[test]
fn money_above_what_is_due_goes_back_at_once() {
    run(async |t| {
        t.place_paid("A-1").await;
        let twice = t
            .payments()
            .record_payment("A-1", "pay-2", "evt-2", PaymentFact::Captured)
            .amount(eur(700));
        let order = twice.method("PAYPAL").await.unwrap();
        let refund = &order.refunds[0];
        assert_eq!(
            (&refund.amount.excess, &refund.amount.total),
            (&eur(700), &eur(700))
        );
        assert_eq!(
            (refund.cancellation_id.as_ref(), refund.state),
            (None, RefundState::Due)
        );
        assert_eq!(order.state, OrderState::ToShip);
    });
}

#[test]
fn an_unpaid_order_closes_at_its_time_without_any_caller() {
    run_at(MONDAY, async |t| {
        let order = t.place("A-1").await;
        t.advance(SignedDuration::from_hours(24)).await;
        let closed = until("the order closes", async || {
            Some(t.order("A-1").await).filter(|order| order.state == OrderState::ClosedUnpaid)
        })
        .await;
        let cancellation = &closed.cancellations[0];
        assert_eq!(cancellation.reason.as_deref(), Some("PAYMENT_EXPIRED"));
        assert_eq!(
            cancellation.close_reason.as_deref(),
            Some("PAYMENT_EXPIRED")
        );
        assert_eq!(cancellation.requester.role, Role::System);
        assert_eq!(closed.shipments[0].stage, ShipmentStage::Cancelled);
        assert_eq!(closed.totals.due, eur(0));
        assert_eq!(cancellation.create_time, order.pay_by.unwrap());

        let event = &t.events("A-1", EventType::OrderClosedUnpaid).await[0];
        assert_eq!(
            (event.actor.role, &*event.cause),
            (Role::System, "deadline")
        );
        assert_eq!(event.event_time, order.pay_by.unwrap());

        // Cancelling what is closed is no mistake: the answer is the closure, and nothing happens
        // twice.
        let rows = t.database.snapshot().await.without_answers();
        let again = t.cancel("A-1").await;
        assert_eq!(
            (&again.cancellation, again.order_state),
            (cancellation, OrderState::ClosedUnpaid)
        );
        assert_eq!(t.database.snapshot().await.without_answers(), rows);
    });
}

#[test]
fn money_is_in_time_until_the_last_microsecond_and_too_late_at_the_deadline() {
    run_at(MONDAY, async |t| {
        t.place("IN-TIME").await;
        t.place("LATE").await;
        let deadline = t.order("LATE").await.pay_by.unwrap();
        t.set_clock(deadline - SignedDuration::from_micros(1)).await;
        assert_eq!(t.pay("IN-TIME").await.state, OrderState::ToShip);
        // By the provider's account it was in time. What counts is when Belay hears of it.
        t.set_clock(deadline).await;
        let late = t
            .payments()
            .record_payment("LATE", "pay", "evt", PaymentFact::Captured)
            .amount(eur(TOTAL));
        let late = late
            .method("CREDIT_CARD")
            .occurred_time(deadline - SignedDuration::from_mins(5))
            .await
            .unwrap();
        assert_eq!(late.state, OrderState::ClosedUnpaid);
        assert_eq!(late.paid_time, None);
        let [refund] = late.refunds.as_slice() else {
            panic!("{:?}", late.refunds)
        };
        assert_eq!(
            (&refund.amount.total, refund.state),
            (&eur(TOTAL), RefundState::Due)
        );
        assert_eq!(t.order("IN-TIME").await.state, OrderState::ToShip);
    });
}

#[test]
fn an_attempt_in_time_moves_the_deadline_once_and_a_late_decline_closes_at_once() {
    run_at(MONDAY, async |t| {
        let deadline = t.place("A-1").await.pay_by.unwrap();
        let grace = SignedDuration::from_mins(15);
        let fact = async |event: &str, fact: PaymentFact| {
            let call = t
                .payments()
                .record_payment("A-1", "pay-1", event, fact)
                .method("CREDIT_CARD");
            call.await.unwrap().value
        };
        t.set_clock(deadline - SignedDuration::from_mins(1)).await;
        assert_eq!(
            fact("begun", PaymentFact::Attempted).await.pay_by,
            Some(deadline + grace)
        );
        assert_eq!(
            fact("begun-again", PaymentFact::Attempted).await.pay_by,
            Some(deadline + grace)
        );
        t.set_clock(deadline + SignedDuration::from_mins(1)).await;
        let declined = fact("declined", PaymentFact::Declined).await;
        assert_eq!(
            (declined.state, declined.payments[0].state),
            (OrderState::ClosedUnpaid, PaymentState::Declined)
        );
    });
}

#[test]
fn a_decline_in_time_leaves_the_order_open() {
    run(async |t| {
        t.place("A-1").await;
        let declined = t
            .payments()
            .record_payment("A-1", "pay-1", "evt-1", PaymentFact::Declined)
            .method("CREDIT_CARD");
        assert_eq!(declined.await.unwrap().state, OrderState::AwaitingPayment);
        assert_eq!(t.pay("A-1").await.state, OrderState::ToShip);
    });
}

#[test]
fn the_21st_payment_of_an_order_is_refused() {
    run(async |t| {
        t.place("A-1").await;
        let attempt = async |number: u32| {
            let call = t.payments().record_payment(
                "A-1",
                format!("pay-{number}"),
                "evt",
                PaymentFact::Attempted,
            );
            call.method("CREDIT_CARD").await
        };
        for number in 1..=20 {
            attempt(number).await.unwrap();
        }
        let error = refused(attempt(21).await, Kind::Rejected, "LIMIT_REACHED");
        assert_eq!(
            (&*error.metadata()["limit"], &*error.metadata()["limit_max"]),
            ("payments", "20")
        );
    });
}

#[test]
fn a_payment_in_another_currency_is_refused() {
    run(async |t| {
        t.place("A-1").await;
        let rows = t.database.snapshot().await;
        let call = t
            .payments()
            .record_payment("A-1", "pay-1", "evt-1", PaymentFact::Captured)
            .method("CREDIT_CARD");
        let error = refused(
            call.amount(Money::new("USD", TOTAL)).await,
            Kind::InvalidArgument,
            "CURRENCY_MISMATCH",
        );
        assert_eq!(error.metadata()["currency_code"], "EUR");
        assert_eq!(t.database.snapshot().await, rows);
    });
}

#[test]
fn a_list_of_orders_goes_page_by_page_from_new_to_old() {
    run_at(MONDAY, async |t| {
        for (at, order_id) in [
            (0, "O-1"),
            (1, "O-2"),
            (2, "O-3"),
            (3, "O-4"),
            (4, "O-5"),
            (5, "O-6"),
            (6, "O-7"),
        ] {
            t.set_clock(MONDAY.parse::<jiff::Timestamp>().unwrap() + SignedDuration::from_mins(at))
                .await;
            t.place(order_id).await;
        }
        let paged = pages(async |token| {
            t.storefront()
                .list_orders()
                .page_size(2)
                .page_token(token)
                .await
        })
        .await;
        let listed: Vec<_> = paged
            .iter()
            .flatten()
            .map(|order| order.order_id.as_str())
            .collect();
        assert_eq!(listed, ["O-7", "O-6", "O-5", "O-4", "O-3", "O-2", "O-1"]);
        assert!(paged.len() >= 4 && paged.iter().all(|page| page.len() <= 2));
    });
}

#[test]
fn orders_of_one_instant_come_once_each_across_pages_and_in_the_same_order_each_time() {
    run_at(MONDAY, async |t| {
        let placed = ["O-3", "O-1", "O-5", "O-2", "O-6", "O-4"];
        for order_id in placed {
            t.place(order_id).await;
        }
        let ids = |pages: Vec<Vec<Order>>| -> Vec<String> {
            pages
                .iter()
                .flatten()
                .map(|order| order.order_id.to_string())
                .collect()
        };
        let first = ids(pages(async |token| {
            t.storefront()
                .list_orders()
                .page_size(4)
                .page_token(token)
                .await
        })
        .await);
        let again = ids(pages(async |token| {
            t.storefront()
                .list_orders()
                .page_size(3)
                .page_token(token)
                .await
        })
        .await);
        assert_eq!(first, again);
        assert_eq!(first.len(), placed.len());
        assert!(
            placed
                .iter()
                .all(|order_id| first.iter().any(|listed| listed == order_id))
        );
    });
}

#[test]
fn a_list_of_orders_holds_what_matches_all_filters() {
    run_at(MONDAY, async |t| {
        let start = t.now().await;
        t.place_paid("A-1").await;
        t.advance(SignedDuration::from_mins(1)).await;
        t.place("A-2").await;
        new_order_of(&t.storefront(), "B-1", "bob").await.unwrap();
        let lines = [NewLine::new("MUG", 1, eur(100))];
        let other_seller = t.storefront().create_order(
            "A-3",
            NewBuyer::new("ann"),
            "bolt",
            Destination::new("FR"),
            lines,
        );
        other_seller.await.unwrap();

        let minute = start + SignedDuration::from_mins(1);
        let list = || t.storefront().list_orders();
        for (call, expected) in [
            (list(), vec!["A-1", "A-2", "A-3", "B-1"]),
            (list().buyer_id("ann"), vec!["A-1", "A-2", "A-3"]),
            (list().seller_id("bolt"), vec!["A-3"]),
            (list().state(OrderState::ToShip), vec!["A-1"]),
            (
                list()
                    .buyer_id("ann")
                    .state(OrderState::AwaitingPayment)
                    .seller_id("acme"),
                vec!["A-2"],
            ),
            (list().create_time_from(minute), vec!["A-2", "A-3", "B-1"]),
            (list().create_time_before(minute), vec!["A-1"]),
            (
                list().create_time_from(start).create_time_before(start),
                vec![],
            ),
            (list().buyer_id("nobody"), vec![]),
        ] {
            let asked = format!("{call:?}");
            let mut found: Vec<String> = call
                .await
                .unwrap()
                .into_iter()
                .map(|order| order.order_id.into())
                .collect();
            found.sort();
            assert_eq!(found, expected, "{asked}");
        }
        // Filters hold for every page, also where few of many match.
        let page = list().state(OrderState::ToShip).page_size(1).await.unwrap();
        assert_eq!(page.items[0].order_id, "A-1");
    });
}

#[test]
fn the_history_tells_who_did_what_and_why_in_the_order_it_came_to_pass() {
    run(async |t| {
        t.place("A-1").await;
        let call = t
            .payments()
            .record_payment("A-1", "pay-1", "evt-1", PaymentFact::Captured)
            .amount(eur(TOTAL));
        let paid = call.method("CREDIT_CARD").await.unwrap();
        t.cancel("A-1").await;
        let history = t.history("A-1").await;

        let types: Vec<EventType> = history.iter().map(|event| event.event_type).collect();
        assert_eq!(
            types,
            [
                EventType::OrderCreated,
                EventType::PaymentRecorded,
                EventType::OrderPaid,
                EventType::ShipmentStageChanged,
                EventType::CancellationRequested,
                EventType::PartEnded,
                EventType::ShipmentStageChanged,
                EventType::CancellationCompleted,
                EventType::RefundCreated,
            ]
        );
        let versions: Vec<i64> = history.iter().map(|event| event.order_version).collect();
        assert_eq!(versions, [1, 2, 2, 2, 3, 3, 3, 3, 3]);
        assert!(
            history
                .windows(2)
                .all(|pair| pair[0].position < pair[1].position)
        );
        assert!(
            history
                .windows(2)
                .all(|pair| pair[0].partition == pair[1].partition)
        );
        assert!(
            history
                .windows(2)
                .all(|pair| pair[0].event_time <= pair[1].event_time)
        );

        let recorded = &history[1];
        assert_eq!(
            (recorded.actor.role, recorded.actor.id.as_deref()),
            (Role::Payments, Some("psp"))
        );
        assert_eq!(recorded.cause, paid.request_id.to_string());
        assert_eq!(recorded.store_id, "shop");
        let Some(EventDetail::PaymentRecorded {
            payment_id,
            fact,
            amount,
            state,
            ..
        }) = &recorded.detail
        else {
            panic!("{recorded:?}")
        };
        assert_eq!(
            (payment_id.as_str(), *fact, *state),
            ("A-1:p1", PaymentFact::Captured, PaymentState::Captured)
        );
        assert_eq!(amount, &Some(eur(TOTAL)));

        let completed = &history[7];
        assert_eq!(
            (completed.rule.as_deref(), completed.policy_version),
            (Some("before-dispatch"), Some(1))
        );
        assert_eq!(
            completed.on_behalf_of.as_ref().map(|buyer| buyer.role),
            Some(Role::Buyer)
        );
    });
}

#[test]
fn the_history_goes_page_by_page() {
    run(async |t| {
        t.place_paid("A-1").await;
        t.cancel("A-1").await;
        let whole = t.history("A-1").await;
        let paged = pages(async |token| {
            t.storefront()
                .list_order_history("A-1")
                .page_size(2)
                .page_token(token)
                .await
        })
        .await;
        let found: Vec<_> = paged.into_iter().flatten().collect();
        assert_eq!(found, whole);
        refused(
            t.storefront().list_order_history("A-2").await,
            Kind::NotFound,
            "ORDER_NOT_FOUND",
        );
    });
}

#[test]
fn what_the_provider_took_back_is_not_given_back_twice() {
    run(async |t| {
        t.place_paid("A-1").await;
        outside(t, "evt-hand", PaymentFact::RefundedOutside, 500).await;
        outside(t, "evt-bank", PaymentFact::Chargeback, 249).await;
        let cancellation = t.cancel("A-1").await.cancellation;
        let refund = t
            .support()
            .get_refund(&cancellation.refund_ids[0])
            .await
            .unwrap();
        assert_eq!(refund.amount.total, eur(TOTAL - 749));
        assert_eq!(t.order("A-1").await.totals.refunded, eur(749));
    });
}

async fn outside(t: &TestServer, event: &str, fact: PaymentFact, amount: i64) {
    let call = t
        .payments()
        .record_payment("A-1", "pay-A-1", event, fact)
        .amount(eur(amount));
    call.await.unwrap_or_else(|error| panic!("{fact}: {error}"));
}
