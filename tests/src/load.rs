//! Callers that place, pay and cancel orders without pause while things break, and remember every
//! answer they were given.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::database::Database;
use crate::instance::{payments, storefront};
use crate::shop::{TOTAL, eur, new_order};
use crate::{HANG, until};
use belay_client::calls::RecordPayment;
use belay_client::model::{Order, OrderState, PaymentFact, RequestedCancellation, Written};
use belay_client::{Belay, CallError, Kind, RequestId, Store, Units, reason};
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

/// Callers at the same time.
pub const CALLERS: usize = 32;
/// Of calls that fail, the first so many are told.
const FAILURES_TOLD: u64 = 5;
/// Between two tries of a caller.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The journey of one order, as its caller was told.
#[derive(Debug)]
pub struct Journey {
    order_id: String,
    placed: RequestId,
    paid: Written<Order>,
    cancelled: Option<RequestedCancellation>,
}

impl Journey {
    /// The order, where nothing of it was cancelled.
    pub fn uncancelled(&self) -> Option<&str> {
        self.cancelled.is_none().then_some(self.order_id.as_str())
    }
}

/// Callers on their way.
#[derive(Debug, Default)]
pub struct Load {
    /// Before the ids of its orders, so that two loads have none in common.
    name: &'static str,
    acknowledged: AtomicUsize,
    /// Answers that were none: UNAVAILABLE.
    unavailable: AtomicU64,
    /// What the first of them said.
    first: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

impl Load {
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Runs until [`Self::stop`]; every caller takes its last order to the end.
    pub async fn run(&self, belay: &Belay) -> Vec<Journey> {
        let caller = async |caller: usize| {
            let mut journeys = Vec::new();
            while !self.is_over() {
                let order_id = format!("{}C{caller}-{}", self.name, journeys.len());
                journeys.push(self.journey(belay, order_id, caller + journeys.len()).await);
            }
            journeys
        };
        join_all((0..CALLERS).map(caller))
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Waits until so many more calls were acknowledged.
    pub async fn progress(&self, calls: usize) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + calls;
        let progressed =
            async || (self.acknowledged.load(Ordering::Relaxed) >= enough).then_some(());
        until("calls are acknowledged", progressed).await;
    }

    /// How often a caller was told that a call had failed.
    pub fn failed(&self) -> u64 {
        self.unavailable.load(Ordering::Relaxed)
    }

    /// What callers were told by the first calls that failed.
    pub fn failures(&self) -> Vec<String> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.clone()
    }

    pub fn counts(&self) -> String {
        let (acknowledged, unavailable) = (&self.acknowledged, &self.unavailable);
        format!(
            "{acknowledged:?} calls were acknowledged, {unavailable:?} times a caller was told UNAVAILABLE"
        )
    }

    async fn journey(&self, belay: &Belay, order_id: String, number: usize) -> Journey {
        let (shop, money) = (storefront(belay), payments(belay));
        let placed = self.insist(&new_order(&shop, &order_id)).await.request_id;
        let paid = self.insist(&whole_payment(&money, &order_id)).await;
        // Some whole, some in part, some not at all.
        let units = match number % 3 {
            0 => Some(Units::all()),
            1 => Some(Units::line(format!("{order_id}:l1"), 1)),
            _ => None,
        };
        let cancelled = match units {
            Some(units) => {
                let request = shop
                    .request_cancellation(&*order_id, units)
                    .reason(reason::NO_LONGER_WANTED);
                Some(self.insist(&request).await)
            }
            None => None,
        };
        Journey {
            order_id,
            placed,
            paid,
            cancelled,
        }
    }

    /// Sends a call, under the one request id that it has, until it is answered.
    async fn insist<C, T>(&self, call: &C) -> T
    where
        C: IntoFuture<Output = Result<T, CallError<C>>> + Clone,
    {
        let give_up = Instant::now() + HANG;
        loop {
            match call.clone().await {
                Ok(answer) => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    return answer;
                }
                Err(error) => {
                    assert!(
                        matches!(error.kind(), Kind::Unavailable | Kind::OutcomeUnknown),
                        "at worst a caller is told UNAVAILABLE: {error}"
                    );
                    if self.unavailable.fetch_add(1, Ordering::Relaxed) < FAILURES_TOLD {
                        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                        first.push(format!("{error:?}"));
                    }
                }
            }
            assert!(
                Instant::now() < give_up,
                "the outcome of a call is not found out"
            );
            sleep(AGAIN_AFTER).await;
        }
    }
}

/// Everything that was acknowledged is there, once, and the same request ids are given the same
/// answers; a payment, the order as it stands.
pub async fn audit(journeys: &[Journey], belay: &Belay, database: &Database) {
    let checks = journeys.iter().map(|journey| audit_one(journey, belay));
    futures_util::stream::iter(checks)
        .buffer_unordered(CALLERS / 2)
        .collect::<()>()
        .await;

    let cancelled = journeys
        .iter()
        .filter(|journey| journey.cancelled.is_some())
        .count();
    let expected = [
        journeys.len(),
        journeys.len(),
        cancelled,
        journeys.len() + cancelled,
    ];
    for (table, expected) in ["orders", "payments", "cancellations", "requests"]
        .into_iter()
        .zip(expected)
    {
        let (rows,): (usize,) = database
            .row(&format!("SELECT COUNT(*) FROM {table}"), ())
            .await;
        assert_eq!(rows, expected, "rows of {table}");
    }
    // A command that had its effect twice would have raised the version twice.
    let versions: (usize,) = database
        .row("SELECT CAST(SUM(version) AS UNSIGNED) FROM orders", ())
        .await;
    assert_eq!(versions.0, 2 * journeys.len() + cancelled);
}

async fn audit_one(journey: &Journey, belay: &Belay) {
    let Journey {
        order_id,
        placed,
        paid,
        cancelled,
    } = journey;
    let (shop, money) = (storefront(belay), payments(belay));
    let order = shop
        .get_order(order_id)
        .await
        .unwrap_or_else(|error| panic!("{order_id} is lost: {error}"));
    assert_eq!(
        (order.totals.captured.clone(), order.payments.len()),
        (eur(TOTAL), 1),
        "{order_id}"
    );

    let again = new_order(&shop, order_id)
        .request_id(*placed)
        .await
        .expect("a repeated order is answered");
    assert_eq!(again.value, order, "{order_id}");
    let again = whole_payment(&money, order_id)
        .request_id(paid.request_id)
        .await;
    // A repeated payment is answered with the order as it stands.
    let again = again.expect("a repeated payment is answered");
    assert_eq!((again.request_id, &again.value), (paid.request_id, &order));
    let Some(first) = cancelled else {
        assert_eq!(
            (order.state, order.cancellations.len()),
            (OrderState::ToShip, 0),
            "{order_id}"
        );
        return;
    };
    let is_whole = first.order_state == OrderState::Cancelled;
    let units = if is_whole {
        Units::all()
    } else {
        Units::line(format!("{order_id}:l1"), 1)
    };
    let request = shop
        .request_cancellation(&**order_id, units)
        .reason(reason::NO_LONGER_WANTED);
    let again = request
        .request_id(first.request_id)
        .await
        .expect("a repeated cancellation is answered");
    assert_eq!(&again, first);
    assert_eq!(
        order.cancellations,
        std::slice::from_ref(&first.cancellation),
        "{order_id}"
    );
    let back: i64 = order
        .refunds
        .iter()
        .map(|refund| refund.amount.total.minor_units)
        .sum();
    assert_eq!(
        back, first.cancellation.expected_refund.total.minor_units,
        "{order_id}"
    );
}

/// The capture of what a standard order costs, ready to be sent and sent again.
pub fn whole_payment(store: &Store, order_id: &str) -> RecordPayment {
    let fact = store.record_payment(order_id, "pay", "evt", PaymentFact::Captured);
    fact.amount(eur(TOTAL)).method("CREDIT_CARD")
}
