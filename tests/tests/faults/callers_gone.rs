//! Callers that hang up in the middle of a call.

use std::time::Duration;

use belay_client::model::OrderState;
use belay_client::{RequestId, Units, reason};
use belay_tests::instance::{insistent, payments, storefront};
use belay_tests::load::whole_payment;
use belay_tests::shop::{TOTAL, eur, new_order_of, pay};
use belay_tests::{TestServer, run};
use futures_util::StreamExt;
use tokio::join;
use tokio::time::{Instant, timeout};

/// Calls that are given up, of each kind.
const ABORTS: u32 = 320;
/// Calls that are measured, to know when to give up others.
const MEASURED: usize = 60;
/// No call is given up later than this, however slow the machine is.
const LONGEST: Duration = Duration::from_millis(150);
/// Reads afterwards.
const READS: usize = 1_000;
const AT_ONCE: usize = 8;

/// Runs some at the same time.
async fn all<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::stream::iter(calls)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await
}

#[test]
fn a_call_that_is_given_up_lands_whole_or_not_at_all() {
    run(async |t| {
        let belay = insistent(t.address());
        let shop = storefront(&belay);
        let place = async |order_id: &str| {
            // Each order has a buyer of its own, so that a reader sees whose rows it was given.
            new_order_of(&shop, order_id, &format!("b-{order_id}"))
                .await
                .expect("an order");
            pay(&t.payments(), order_id).await;
        };
        let cancel_request = |order_id: &str, request_id: RequestId| {
            let cancel_request = shop
                .request_cancellation(order_id, Units::all())
                .reason(reason::NO_LONGER_WANTED);
            cancel_request.request_id(request_id)
        };
        let names: Vec<String> = (0..ABORTS).map(|number| format!("A-{number}")).collect();
        let extra: Vec<String> = (0..MEASURED).map(|number| format!("M-{number}")).collect();
        let places = names.iter().chain(&extra).map(|order_id| place(order_id));
        all(places).await;

        let measure = async |order_id: &String| {
            let begun = Instant::now();
            cancel_request(order_id, RequestId::mint())
                .await
                .expect("nothing has left");
            begun.elapsed()
        };
        let mut took: Vec<Duration> = all(extra.iter().map(measure)).await;
        took.sort_unstable();
        let longest = took[MEASURED * 9 / 10].min(LONGEST);

        // From at once to as late as the answer itself, in equal steps.
        let give_up = async |(step, order_id): (u32, &String)| {
            let request_id = RequestId::mint();
            let patience = longest * step / ABORTS;
            // Reads are given up as well: it is they that would leave rows on a connection.
            let (write, ..) = join!(
                timeout(patience, cancel_request(order_id, request_id).send()),
                timeout(patience, shop.get_order(&**order_id).send()),
                timeout(patience, shop.list_order_history(&**order_id).send())
            );
            let has_landed = is_cancelled(t, order_id).await;

            let found_out = cancel_request(order_id, request_id)
                .await
                .expect("the same request id finds out");
            assert_eq!(found_out.cancellation.expected_refund.total, eur(TOTAL));
            let is_answered = write.is_ok();
            if let Ok(first) = write {
                assert_eq!(first.expect("an answer"), found_out);
            }
            assert!(is_cancelled(t, order_id).await);
            (is_answered, has_landed)
        };
        let outcomes = all((0_u32..).zip(&names).map(give_up)).await;
        let answered = outcomes
            .iter()
            .filter(|(is_answered, _)| *is_answered)
            .count();
        let landed = outcomes
            .iter()
            .filter(|(_, has_landed)| *has_landed)
            .count();
        // How many is chance: that a call lands although its caller goes, and that it does not,
        // each has a test in `engine`.
        eprintln!(
            "{ABORTS} calls up to {longest:?}: {answered} were answered, {landed} had landed when looked at"
        );

        // Nobody is given rows that somebody else had asked for.
        let reads = names
            .iter()
            .chain(&extra)
            .cycle()
            .take(READS)
            .map(async |order_id| {
                let order = shop.get_order(&**order_id).await.expect("the order");
                assert_eq!(
                    (order.order_id.as_str(), order.buyer_id.as_str()),
                    (&**order_id, &*format!("b-{order_id}"))
                );
                assert_eq!(
                    (order.totals.captured, order.cancellations.len()),
                    (eur(TOTAL), 1)
                );
                let history = shop
                    .list_order_history(&**order_id)
                    .await
                    .expect("a history");
                assert!(
                    history
                        .items
                        .iter()
                        .all(|event| event.order_id == **order_id),
                    "{order_id}: {history:?}"
                );
            });
        all(reads).await;
    });
}

/// Whether the order's cancellation has landed: then all of it has, and before nothing.
async fn is_cancelled(t: &TestServer, order_id: &str) -> bool {
    let order = t.order(order_id).await;
    let refunded: i64 = order
        .refunds
        .iter()
        .map(|refund| refund.amount.total.minor_units)
        .sum();
    match order.state {
        OrderState::ToShip => assert_eq!((order.cancellations.len(), refunded), (0, 0)),
        OrderState::Cancelled => assert_eq!((order.cancellations.len(), refunded), (1, TOTAL)),
        other => panic!("{other}: {order:?}"),
    }
    order.state == OrderState::Cancelled
}

#[test]
fn orders_and_payments_that_are_given_up_land_whole_or_not_at_all() {
    run(async |t| {
        let belay = insistent(t.address());
        let (shop, money) = (storefront(&belay), payments(&belay));
        let give_up = async |step: u32| {
            let order_id = format!("A-{step}");
            let patience = Duration::from_micros(200) * (step % 80);
            let placing = new_order_of(&shop, &order_id, "ann");
            let request_id = RequestId::mint();
            let _ = timeout(patience, placing.clone().request_id(request_id).send()).await;
            let is_there = shop.get_order(&*order_id).await.is_ok();
            let placed = placing
                .request_id(request_id)
                .await
                .expect("the same request id finds out")
                .value;
            assert_eq!(
                (placed.state, placed.lines.len()),
                (OrderState::AwaitingPayment, 2)
            );

            let paying = whole_payment(&money, &order_id).request_id(request_id);
            let _ = timeout(patience, paying.clone().send()).await;
            let is_paid = t.order(&order_id).await.totals.captured == eur(TOTAL);
            let paid = paying.await.expect("the same request id finds out").value;
            assert_eq!(
                (paid.state, paid.totals.captured),
                (OrderState::ToShip, eur(TOTAL))
            );
            (is_there, is_paid)
        };
        let outcomes = all((0..ABORTS / 2).map(give_up)).await;
        let placed = outcomes.iter().filter(|(is_there, _)| *is_there).count();
        let paid = outcomes.iter().filter(|(_, is_paid)| *is_paid).count();
        eprintln!(
            "of {} orders and as many payments {placed} and {paid} had landed when looked at",
            outcomes.len()
        );
    });
}
