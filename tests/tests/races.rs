//! Two callers want what only one of them can have. Every race is run on one server, where a lane
//! puts the two in order, and on two servers, where only the database can.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use belay_client::model::{Order, OrderState, PaymentFact, Refund, RefundKind};
use belay_client::{Belay, CallError, Error, Kind, RequestId, Role, Units, reason};
use belay_server::server::ServerSettings;
use belay_tests::instance::{Service, insistent, payments, storefront, warehouse};
use belay_tests::shop::{TOTAL, eur, new_order, new_order_of, pay};
use belay_tests::{HANG, SHOP, TestServer, run, run_at};
use futures_util::StreamExt;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tokio::join;
use tokio::time::{Instant, sleep};

/// Of a cancellation and a dispatch, on each number of servers.
const TRIALS: usize = 500;
/// Of each other pair.
const FEWER_TRIALS: usize = 80;
/// Of a write and the reads after it; each has five.
const READ_TRIALS: usize = 120;
/// Trials that run at the same time, each on an order of its own, so that batches hold several.
const AT_ONCE: usize = 16;

/// The two sides of a race, on one server or on two.
struct Sides {
    left: Belay,
    right: Belay,
    /// Of the order ids.
    name: &'static str,
}

/// Runs a race on one server and on two.
async fn on_one_and_on_two(t: &TestServer, manual_clock: bool, race: impl AsyncFn(&Sides)) {
    let start = async || {
        let change = |settings: &mut ServerSettings| {
            settings.manual_clock = manual_clock;
            // Many trials read at the same time.
            settings.connections = AT_ONCE;
        };
        Service::start(t.database.serve_url().await, change).await
    };
    let (one, other) = (start().await, start().await);
    race(&Sides {
        left: one.belay().clone(),
        right: insistent(one.address()),
        name: "ONE",
    })
    .await;
    race(&Sides {
        left: one.belay().clone(),
        right: other.belay().clone(),
        name: "TWO",
    })
    .await;
    one.stop().await;
    other.stop().await;
}

impl Sides {
    /// Runs a trial on each of so many orders, many at the same time. It is given the order's id,
    /// and by how much to hold back each side.
    async fn trials<T>(
        &self,
        trials: usize,
        trial: impl AsyncFn(String, [Duration; 2]) -> T,
    ) -> Vec<T> {
        let one = |number: usize| {
            let lead = u64::try_from(number % 9).expect("a small number");
            let held_back =
                [lead.saturating_sub(4), 4_u64.saturating_sub(lead)].map(Duration::from_millis);
            trial(format!("{}-{number}", self.name), held_back)
        };
        futures_util::stream::iter((0..trials).map(one))
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    async fn place(&self, order_id: &str) -> Order {
        new_order(&storefront(&self.left), order_id)
            .await
            .expect("an order")
            .value
    }

    async fn place_paid(&self, order_id: &str) -> Order {
        self.place(order_id).await;
        pay(&payments(&self.left), order_id).await
    }
}

/// Starts a call a little later.
async fn after<T>(held_back: Duration, call: impl IntoFuture<Output = T>) -> T {
    if !held_back.is_zero() {
        sleep(held_back).await;
    }
    call.await
}

fn reason_of(error: &Error) -> &str {
    error.reason().map_or("none", |reason| reason.as_str())
}

fn money_back(order: &Order) -> i64 {
    assert!(
        order
            .refunds
            .iter()
            .all(|refund| refund.kind == RefundKind::Refund),
        "{order:?}"
    );
    order
        .refunds
        .iter()
        .map(|refund| refund.amount.total.minor_units)
        .sum()
}

/// The one that won and the one that did not.
fn one_of<T: Debug, C>(order_id: &str, outcomes: [Result<T, CallError<C>>; 2]) -> (T, Error) {
    match outcomes.map(|outcome| outcome.map_err(Error::from)) {
        [Ok(winner), Err(loser)] | [Err(loser), Ok(winner)] => (winner, loser),
        both => panic!("{order_id}: exactly one may win: {both:?}"),
    }
}

#[test]
fn of_a_cancellation_and_a_dispatch_exactly_one_wins() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            let cancellations_won = AtomicUsize::new(0);
            let mut trials = 0;
            let trial = async |order_id: String, held_back: [Duration; 2]| {
                let order = sides.place_paid(&order_id).await;
                let shipment = &order.shipments[0];
                let (left, right) = (storefront(&sides.left), warehouse(&sides.right));
                let cancel = left
                    .request_cancellation(&*order_id, Units::all())
                    .reason(reason::NO_LONGER_WANTED);
                let dispatch = right.dispatch_shipment(&shipment.shipment_id, shipment.fence);
                let (cancelled, dispatched) =
                    join!(after(held_back[0], cancel), after(held_back[1], dispatch));
                let order = left.get_order(&*order_id).await.expect("the order");
                match (cancelled, dispatched) {
                    (Ok(_), Err(refused)) => {
                        assert_eq!(
                            (refused.kind(), reason_of(&refused)),
                            (Kind::Aborted, "FENCE_STALE"),
                            "{refused}"
                        );
                        assert_eq!(
                            (order.state, money_back(&order)),
                            (OrderState::Cancelled, TOTAL)
                        );
                        cancellations_won.fetch_add(1, Ordering::Relaxed);
                    }
                    (Err(refused), Ok(_)) => {
                        assert_eq!(
                            (refused.kind(), reason_of(&refused)),
                            (Kind::Rejected, "SHIPPED"),
                            "{refused}"
                        );
                        assert_eq!(
                            (order.state, order.cancellations.len()),
                            (OrderState::Shipped, 0)
                        );
                        assert_eq!(money_back(&order), 0);
                    }
                    both => panic!("{order_id}: exactly one may win: {both:?}"),
                }
            };
            // A race that one side always wins is none; on a machine that favours one it takes more
            // trials.
            loop {
                sides
                    .trials(TRIALS, async |order_id, held_back| {
                        trial(format!("{order_id}-{trials}"), held_back).await
                    })
                    .await;
                trials += TRIALS;
                let won = cancellations_won.load(Ordering::Relaxed);
                eprintln!(
                    "{}: of {trials} trials the cancellation won {won}",
                    sides.name
                );
                if won.min(trials - won) >= TRIALS / 20 {
                    break;
                }
            }
        })
        .await;
    });
}

#[test]
fn of_two_cancellations_of_the_same_units_one_has_an_effect() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            sides
                .trials(FEWER_TRIALS, async |order_id, held_back| {
                    sides.place_paid(&order_id).await;
                    let request = |side: &Belay| {
                        let request =
                            storefront(side).request_cancellation(&*order_id, Units::all());
                        request.reason(reason::NO_LONGER_WANTED)
                    };
                    let (left, right) = join!(
                        after(held_back[0], request(&sides.left)),
                        after(held_back[1], request(&sides.right))
                    );
                    // Whoever comes second is told which cancellation took the last unit.
                    let (left, right) = (left.expect("an answer"), right.expect("an answer"));
                    assert_eq!(left.cancellation, right.cancellation);
                    assert_ne!(left.request_id, right.request_id);
                    let order = storefront(&sides.right)
                        .get_order(&*order_id)
                        .await
                        .expect("the order");
                    assert_eq!((order.cancellations.len(), money_back(&order)), (1, TOTAL));
                })
                .await;
        })
        .await;
    });
}

#[test]
fn a_request_that_is_sent_twice_at_once_is_one() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            sides
                .trials(FEWER_TRIALS, async |order_id, held_back| {
                    sides.place_paid(&order_id).await;
                    let request_id = RequestId::mint();
                    let request = |side: &Belay| {
                        let request = storefront(side).request_cancellation(
                            &*order_id,
                            Units::line(format!("{order_id}:l1"), 1),
                        );
                        request
                            .reason(reason::NO_LONGER_WANTED)
                            .request_id(request_id)
                    };
                    let (left, right) = join!(
                        after(held_back[0], request(&sides.left)),
                        after(held_back[1], request(&sides.right))
                    );
                    assert_eq!(left.expect("an answer"), right.expect("an answer"));
                    let order = storefront(&sides.left)
                        .get_order(&*order_id)
                        .await
                        .expect("the order");
                    assert_eq!(
                        (order.cancellations.len(), order.lines[0].cancelled_quantity),
                        (1, 1)
                    );
                })
                .await;
        })
        .await;
    });
}

#[test]
fn money_that_arrives_while_its_order_is_cancelled_goes_back() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            let paid_first = AtomicUsize::new(0);
            sides
                .trials(FEWER_TRIALS, async |order_id, held_back| {
                    sides.place(&order_id).await;
                    let request =
                        storefront(&sides.left).request_cancellation(&*order_id, Units::all());
                    let request = request.reason(reason::NO_LONGER_WANTED);
                    let money = payments(&sides.right);
                    let (cancelled, paid) = join!(
                        after(held_back[0], request),
                        after(held_back[1], pay(&money, &order_id))
                    );
                    cancelled.expect("nothing has left");
                    paid_first.fetch_add(
                        usize::from(paid.cancellations.is_empty()),
                        Ordering::Relaxed,
                    );
                    let order = storefront(&sides.left)
                        .get_order(&*order_id)
                        .await
                        .expect("the order");
                    assert_eq!(order.totals.captured, eur(TOTAL));
                    assert_eq!(
                        (money_back(&order), order.cancellations.len()),
                        (TOTAL, 1),
                        "{order:?}"
                    );
                })
                .await;
            eprintln!(
                "{}: of {FEWER_TRIALS} trials the payment came first in {}",
                sides.name,
                paid_first.into_inner()
            );
        })
        .await;
    });
}

#[test]
fn two_cancellations_never_take_more_units_than_were_ordered() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            sides
                .trials(FEWER_TRIALS, async |order_id, held_back| {
                    sides.place_paid(&order_id).await;
                    // Two of three mugs, twice.
                    let request = |side: &Belay| {
                        let request = storefront(side).request_cancellation(
                            &*order_id,
                            Units::line(format!("{order_id}:l1"), 2),
                        );
                        request.reason(reason::NO_LONGER_WANTED)
                    };
                    let (left, right) = join!(
                        after(held_back[0], request(&sides.left)),
                        after(held_back[1], request(&sides.right))
                    );
                    let (_, refused) = one_of(&order_id, [left, right]);
                    assert_eq!(
                        (refused.kind(), reason_of(&refused)),
                        (Kind::Rejected, "QUANTITY_UNAVAILABLE"),
                        "{refused}"
                    );
                    assert_eq!(refused.metadata()["available"], "1");
                    let order = storefront(&sides.right)
                        .get_order(&*order_id)
                        .await
                        .expect("the order");
                    assert_eq!(
                        (order.lines[0].cancelled_quantity, order.cancellations.len()),
                        (2, 1)
                    );
                })
                .await;
        })
        .await;
    });
}

#[test]
fn an_order_that_is_placed_twice_at_once_is_one() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            sides
                .trials(FEWER_TRIALS, async |order_id, held_back| {
                    let (left, right) = (storefront(&sides.left), storefront(&sides.right));
                    let same = [new_order(&left, &order_id), new_order(&right, &order_id)];
                    let [one, other] = same;
                    let (one, other) = join!(after(held_back[0], one), after(held_back[1], other));
                    assert_eq!(
                        one.expect("an answer").value,
                        other.expect("an answer").value
                    );

                    let order_id = format!("{order_id}-X");
                    let (one, other) = (
                        new_order(&left, &order_id),
                        new_order_of(&right, &order_id, "bob"),
                    );
                    let (one, other) = join!(after(held_back[0], one), after(held_back[1], other));
                    let (placed, refused) = one_of(&order_id, [one, other]);
                    assert_eq!(
                        (refused.kind(), reason_of(&refused)),
                        (Kind::AlreadyExists, "ORDER_ALREADY_EXISTS")
                    );
                    let order = right.get_order(&*order_id).await.expect("the order");
                    assert_eq!(order, placed.value);
                })
                .await;
        })
        .await;
    });
}

#[test]
fn a_payment_at_the_last_moment_pays_or_goes_back() {
    run_at("2026-03-02T10:00:00Z", async |t| {
        on_one_and_on_two(t, true, async |sides| {
            let orders = sides
                .trials(FEWER_TRIALS, async |order_id, _| {
                    sides.place(&order_id).await
                })
                .await;
            let pay_by: Timestamp = orders
                .iter()
                .filter_map(|order| order.pay_by)
                .min()
                .expect("all must be paid");
            t.set_clock(pay_by - SignedDuration::from_secs(1)).await;

            // A third in good time, a third while the clock moves, and a third while the workers
            // close what they find.
            let money = payments(&sides.left);
            let pay_all = async |orders: &[Order]| {
                let paying = orders.iter().zip(0_u32..).map(|(order, number)| {
                    let paid = pay(&money, order.order_id.as_str());
                    after(Duration::from_millis(10) * number, paid)
                });
                join_all(paying).await;
            };
            let third = orders.len() / 3;
            pay_all(&orders[..third]).await;
            join!(pay_all(&orders[third..2 * third]), t.set_clock(pay_by));
            pay_all(&orders[2 * third..]).await;

            let mut closed = 0;
            for order in &orders {
                let order = storefront(&sides.right)
                    .get_order(&order.order_id)
                    .await
                    .expect("the order");
                assert_eq!(order.totals.captured, eur(TOTAL));
                match order.state {
                    OrderState::ToShip => {
                        assert!(order.refunds.is_empty() && order.cancellations.is_empty())
                    }
                    OrderState::ClosedUnpaid => {
                        assert_eq!((money_back(&order), order.cancellations.len()), (TOTAL, 1));
                        closed += 1;
                    }
                    other => panic!("{other}: {order:?}"),
                }
            }
            eprintln!("{}: {closed} of {} were closed", sides.name, orders.len());
            assert!(
                (orders.len() - 2 * third..=orders.len() - third).contains(&closed),
                "{closed} were closed"
            );
        })
        .await;
    });
}

#[test]
fn a_refund_is_leased_to_one_worker() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            let trial = async |order_id: String, _| {
                sides.place_paid(&order_id).await;
                let request =
                    storefront(&sides.left).request_cancellation(&*order_id, Units::all());
                request
                    .reason(reason::NO_LONGER_WANTED)
                    .await
                    .expect("nothing has left")
                    .cancellation
                    .refund_ids
            };
            let due: BTreeSet<String> = sides
                .trials(FEWER_TRIALS, trial)
                .await
                .into_iter()
                .flatten()
                .map(String::from)
                .collect();
            assert_eq!(due.len(), FEWER_TRIALS);

            // Each claims until nothing is left. Who lost all of a claim to the other comes away
            // with nothing, or is told to come again.
            let left_over = AtomicUsize::new(due.len());
            let claim_all = async |side: &Belay, worker: &str| {
                let (mut claimed, give_up) = (Vec::<Refund>::new(), Instant::now() + HANG);
                while left_over.load(Ordering::Relaxed) > 0 {
                    assert!(Instant::now() < give_up, "some refund cannot be claimed");
                    match payments(side).claim_refunds(worker).max_refunds(10).await {
                        Ok(refunds) => {
                            left_over.fetch_sub(refunds.len(), Ordering::Relaxed);
                            claimed.extend(refunds);
                        }
                        Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error}"),
                    }
                }
                claimed
            };
            let (left, right) = join!(
                claim_all(&sides.left, "w-1"),
                claim_all(&sides.right, "w-2")
            );
            let shares = (left.len(), right.len());
            assert!(left.iter().all(|refund| {
                refund
                    .worker_id
                    .as_ref()
                    .is_some_and(|worker| worker == "w-1")
            }));
            assert!(right.iter().all(|refund| {
                refund
                    .worker_id
                    .as_ref()
                    .is_some_and(|worker| worker == "w-2")
            }));
            let leased: Vec<String> = left
                .into_iter()
                .chain(right)
                .map(|refund| refund.refund_id.into())
                .collect();
            assert_eq!(
                leased.len(),
                due.len(),
                "a refund was leased twice or never"
            );
            assert_eq!(leased.into_iter().collect::<BTreeSet<_>>(), due);
            eprintln!("{}: leases {shares:?}", sides.name);
        })
        .await;
    });
}

#[test]
fn facts_of_one_payment_from_two_sides_count_once() {
    run(async |t| {
        on_one_and_on_two(t, false, async |sides| {
            sides
                .trials(FEWER_TRIALS, async |order_id, held_back| {
                    sides.place(&order_id).await;
                    // The same event of the provider, reported under two request ids: a webhook and
                    // a poll.
                    let report = |side: &Belay| {
                        let money = side
                            .with_role(Role::Payments, "psp")
                            .expect("a role to call in")
                            .store(SHOP);
                        let fact = money.record_payment(
                            &*order_id,
                            "pay-1",
                            "evt-1",
                            PaymentFact::Captured,
                        );
                        fact.amount(eur(TOTAL)).method("CREDIT_CARD")
                    };
                    let (left, right) = join!(
                        after(held_back[0], report(&sides.left)),
                        after(held_back[1], report(&sides.right))
                    );
                    assert_eq!(
                        left.expect("a fact").totals.captured,
                        right.expect("a fact").totals.captured
                    );
                    let order = storefront(&sides.left)
                        .get_order(&*order_id)
                        .await
                        .expect("the order");
                    assert_eq!(
                        (order.totals.captured, order.payments.len()),
                        (eur(TOTAL), 1)
                    );
                })
                .await;
        })
        .await;
    });
}

#[test]
fn whoever_was_told_of_a_write_reads_it() {
    run(async |t| {
        let service = Service::start(t.database.serve_url().await, |settings| {
            settings.connections = AT_ONCE
        })
        .await;
        let (store, till) = (storefront(service.belay()), payments(service.belay()));
        let order_ids: Vec<String> = (0..READ_TRIALS)
            .map(|number| format!("READ-{number}"))
            .collect();
        // Others read the same orders all the time, so that there is always a read under way to be
        // wrongly joined.
        let curious = async {
            loop {
                join_all(
                    order_ids
                        .iter()
                        .take(AT_ONCE)
                        .map(|order_id| store.get_order(&**order_id).into_future()),
                )
                .await;
            }
        };
        let trials =
            futures_util::stream::iter(&order_ids).for_each_concurrent(AT_ONCE, async |order_id| {
                let placed = new_order(&store, order_id).await.expect("an order").value;
                assert_eq!(
                    store.get_order(&**order_id).await.expect("the order"),
                    placed
                );
                let paid = pay(&till, order_id).await;
                let read = join!(
                    store.get_order(&**order_id).into_future(),
                    store
                        .get_shipment(&placed.shipments[0].shipment_id)
                        .into_future()
                );
                assert_eq!(read.0.expect("the order"), paid);
                assert_eq!(read.1.expect("the shipment"), paid.shipments[0]);
                let asked = store
                    .request_cancellation(&**order_id, Units::all())
                    .reason(reason::NO_LONGER_WANTED)
                    .await;
                let asked = asked.expect("a cancellation").cancellation;
                let refund_id = &asked.refund_ids[0];
                let read = join!(
                    store.get_cancellation(&asked.cancellation_id).into_future(),
                    store.get_refund(refund_id).into_future()
                );
                assert_eq!(read.0.expect("the cancellation").cancellation, asked);
                assert_eq!(read.1.expect("the refund").refund_id, *refund_id);
            });
        tokio::select! {
            () = trials => {}
            () = curious => {}
        }
        service.stop().await;
    });
}
