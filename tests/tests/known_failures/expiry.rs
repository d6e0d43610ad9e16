//! Orders that close for want of money: which, and when.

use belay_client::Kind;
use belay_client::calls::FirstPolicy;
use belay_client::model::{OrderState, PaymentFact};
use belay_client::{Role, Store, Units};
use belay_tests::shop::{TOTAL, eur, new_order};
use belay_tests::{TestServer, documents, refused, run_at, until};
use jiff::SignedDuration;

const MONDAY: &str = "2026-03-02T10:00:00Z";

/// The shop with another time to pay.
async fn store_with(t: &TestServer, store_id: &str, unpaid: &str) -> Store {
    let document = documents::independent_site();
    let (head, rest) = document
        .split_once("  expire_after: 24h\n  in_flight_grace: 15m\n")
        .expect("the preset's times");
    t.create_shop(
        store_id,
        FirstPolicy::document(format!("{head}{unpaid}{rest}")),
    )
    .await;
    t.store_as(store_id, Role::Storefront, "web")
}

async fn fact(store: &Store, order_id: &str, event: &str, fact: PaymentFact, amount: i64) {
    let call = store
        .record_payment(order_id, format!("pay-{order_id}"), event, fact)
        .method("PAYPAL");
    let call = if amount == 0 {
        call
    } else {
        call.amount(eur(amount))
    };
    call.await
        .unwrap_or_else(|error| panic!("{fact} of {order_id}: {error}"));
}

/// What looks unpaid to a query on states is closed: the order whose status was lost to a race,
/// whose money is only reserved, or went back already. It is the money that tells.
#[test]
fn no_order_closes_as_unpaid_that_was_paid_whatever_became_of_its_money() {
    use PaymentFact::{Authorized, Captured, Chargeback, Declined, RefundedOutside};
    run_at(MONDAY, async |t| {
        let ways: &[(&str, &[(PaymentFact, i64)])] = &[
            ("CAPTURED", &[(Captured, TOTAL)]),
            ("AUTHORISED", &[(Authorized, TOTAL)]),
            ("IN-TWO", &[(Captured, 1_000), (Captured, TOTAL - 1_000)]),
            ("DECLINED-AFTER", &[(Captured, TOTAL), (Declined, 0)]),
            (
                "BACK-IN-PART",
                &[(Captured, TOTAL), (RefundedOutside, 1_000)],
            ),
            ("BACK-WHOLE", &[(Captured, TOTAL), (RefundedOutside, TOTAL)]),
            ("CHARGED-BACK", &[(Captured, TOTAL), (Chargeback, TOTAL)]),
            ("CANCELLED-IN-PART", &[(Captured, TOTAL)]),
        ];
        for (order_id, facts) in ways {
            t.place(order_id).await;
            for (number, (what, amount)) in facts.iter().enumerate() {
                fact(
                    &t.payments(),
                    order_id,
                    &format!("event-{number}"),
                    *what,
                    *amount,
                )
                .await;
            }
        }
        t.cancel_units("CANCELLED-IN-PART", Units::line("CANCELLED-IN-PART:l2", 1))
            .await;
        t.advance(SignedDuration::from_secs(1)).await;
        t.place("NEVER-PAID").await;
        t.advance(SignedDuration::from_hours(20 * 24)).await;
        until("what was never paid closes", async || {
            (t.order("NEVER-PAID").await.state == OrderState::ClosedUnpaid).then_some(())
        })
        .await;
        for (order_id, _) in ways {
            assert_eq!(
                t.order(order_id).await.state,
                OrderState::ToShip,
                "{order_id}"
            );
        }
    });
}

/// A time to pay is read in the wrong unit, or its parts are added up twice: an order of a day
/// closes after two, one of twenty days after years.
#[test]
fn a_time_to_pay_is_as_long_as_it_says() {
    run_at(MONDAY, async |t| {
        let times = [
            ("90s", 90),
            ("30m", 1_800),
            ("24h", 86_400),
            ("1d", 86_400),
            ("36h", 129_600),
            ("20d", 1_728_000),
        ];
        for (text, seconds) in times {
            let store_id = format!("after-{text}");
            let store = store_with(t, &store_id, &format!("  expire_after: {text}\n")).await;
            let in_time = new_order(&store, "IN-TIME").await.unwrap();
            let pay_by = in_time.pay_by.expect("it must be paid");
            assert_eq!(
                pay_by.duration_since(in_time.create_time),
                SignedDuration::from_secs(seconds),
                "{text}"
            );
            new_order(&store, "LATE").await.unwrap();
            t.set_clock(pay_by - SignedDuration::from_micros(1)).await;
            assert_eq!(
                store.get_order("LATE").await.unwrap().state,
                OrderState::AwaitingPayment,
                "{text}"
            );
            let money = t.store_as(&store_id, Role::Payments, "psp");
            fact(&money, "IN-TIME", "charged", PaymentFact::Captured, TOTAL).await;
            t.set_clock(pay_by).await;
            fact(&money, "LATE", "charged", PaymentFact::Captured, TOTAL).await;
            assert_eq!(
                store.get_order("IN-TIME").await.unwrap().state,
                OrderState::ToShip,
                "{text}"
            );
            assert_eq!(
                store.get_order("LATE").await.unwrap().state,
                OrderState::ClosedUnpaid,
                "{text}"
            );
        }
    });
}

/// Paying at a counter or by transfer takes days. One time to pay for all either closes those
/// orders while their buyers are on the way, or keeps goods for days that nobody means to buy. A
/// payment that was begun has a time of its own.
#[test]
fn a_slow_way_to_pay_has_its_time_and_who_does_nothing_does_not_get_it() {
    run_at(MONDAY, async |t| {
        let store = store_with(t, "counter", "  expire_after: 2h\n  in_flight_grace: 3d\n").await;
        for order_id in ["COUNTER", "COUNTER-LATE", "IDLE"] {
            new_order(&store, order_id).await.unwrap();
        }
        t.advance(SignedDuration::from_mins(90)).await;
        let money = t.store_as("counter", Role::Payments, "psp");
        for order_id in ["COUNTER", "COUNTER-LATE"] {
            fact(&money, order_id, "code-issued", PaymentFact::Attempted, 0).await;
        }
        t.advance(SignedDuration::from_hours(3 * 24)).await;
        fact(&money, "COUNTER", "paid", PaymentFact::Captured, TOTAL).await;
        t.advance(SignedDuration::from_mins(30)).await;
        for order_id in ["COUNTER-LATE", "IDLE"] {
            fact(&money, order_id, "paid", PaymentFact::Captured, TOTAL).await;
        }
        let states = [
            ("COUNTER", OrderState::ToShip),
            ("COUNTER-LATE", OrderState::ClosedUnpaid),
            ("IDLE", OrderState::ClosedUnpaid),
        ];
        for (order_id, state) in states {
            assert_eq!(
                store.get_order(order_id).await.unwrap().state,
                state,
                "{order_id}"
            );
        }
    });
}

/// A time to pay that was left empty is taken for none at all, or for "at once": every order closes
/// as it is placed.
#[test]
fn a_time_to_pay_that_is_empty_or_nothing_is_no_policy() {
    run_at(MONDAY, async |t| {
        for unpaid in [
            "",
            "  expire_after:\n",
            "  expire_after: ''\n",
            "  expire_after: 0h\n",
            "  expire_after: -1h\n",
        ] {
            let document = documents::independent_site();
            let document = document.replace("  expire_after: 24h\n", unpaid);
            let created = t
                .role(Role::Operator, "ops")
                .create_store("never", FirstPolicy::document(document))
                .await;
            refused(created, Kind::InvalidArgument, "POLICY_INVALID");
        }
    });
}
