//! Callers at two servers: what is written at one is read at the other as soon as it is
//! acknowledged.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_client::model::{OrderState, PaymentFact};
use belay_client::{CallError, Error, Kind, RequestId, Role, Store, Units};
use belay_tests::shop::{TOTAL, eur, new_order};
use tokio::time::{Instant, sleep};

/// What a caller waits before it sends again what the client has given up.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The stage that the acknowledged writes of an order have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Placed,
    Paid,
    Cancelled,
}

impl Stage {
    fn state(self) -> OrderState {
        match self {
            Stage::Placed => OrderState::AwaitingPayment,
            Stage::Paid => OrderState::ToShip,
            Stage::Cancelled => OrderState::Cancelled,
        }
    }
}

/// An error that a caller was told of, after the client had repeated the call.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) at: Instant,
    pub(crate) what: String,
}

/// The record of what all callers have seen.
#[derive(Debug)]
pub(crate) struct Seen {
    begun_at: Instant,
    acknowledged: Mutex<Vec<Instant>>,
    orders: Mutex<BTreeMap<String, Stage>>,
    errors: Mutex<Vec<Told>>,
    pub(crate) reads: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) doubled: AtomicU64,
    pub(crate) internal: AtomicU64,
    pub(crate) stop: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self {
            begun_at: Instant::now(),
            acknowledged: Mutex::default(),
            orders: Mutex::default(),
            errors: Mutex::default(),
            reads: AtomicU64::default(),
            stale: AtomicU64::default(),
            doubled: AtomicU64::default(),
            internal: AtomicU64::default(),
            stop: AtomicBool::default(),
        }
    }

    /// Since the load began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun_at.elapsed()
    }

    /// When each write was acknowledged, in order.
    pub(crate) fn acknowledged(&self) -> Vec<Instant> {
        let mut acknowledged = locked(&self.acknowledged).clone();
        acknowledged.sort_unstable();
        acknowledged
    }

    /// How many writes were acknowledged after this.
    pub(crate) fn acknowledged_after(&self, after: Instant) -> usize {
        let acknowledged = locked(&self.acknowledged);
        acknowledged.iter().rev().filter(|at| **at > after).count()
    }

    pub(crate) fn orders(&self) -> BTreeMap<String, Stage> {
        locked(&self.orders).clone()
    }

    pub(crate) fn errors(&self) -> Vec<Told> {
        locked(&self.errors).clone()
    }

    pub(crate) fn written(&self, order_id: &str, stage: Stage) {
        locked(&self.acknowledged).push(Instant::now());
        locked(&self.orders).insert(order_id.to_owned(), stage);
    }

    pub(crate) fn failed(&self, what: &str, error: &Error) {
        if error.kind() == Kind::Internal {
            self.internal.fetch_add(1, Ordering::Relaxed);
        }
        let reason = error.reason().map_or("no reason", |reason| reason.as_str());
        let what = format!("{what}: {:?} {reason}", error.kind());
        let at = Instant::now();
        let mut errors = locked(&self.errors);
        if errors.iter().all(|told| told.what != what) {
            eprintln!("{what}: {error}");
        }
        eprintln!("{:.1?}: {what}", at - self.begun_at);
        errors.push(Told { at, what });
    }

    /// What can come once has come twice.
    pub(crate) fn doubled(&self, order_id: &str) {
        self.doubled.fetch_add(1, Ordering::Relaxed);
        eprintln!("doubled: two callers were told of two cancellations of all of {order_id}");
    }

    /// Sends a call until it is acknowledged, under one request id.
    async fn insist<C, T>(&self, what: &str, mut call: C)
    where
        C: IntoFuture<Output = Result<T, CallError<C>>>,
    {
        loop {
            match call.await {
                Ok(_) => return,
                Err(error) => {
                    self.failed(what, &error);
                    call = error.resume();
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Orders that have come to their end since it was so.
    pub(crate) fn ended_since(&self, before: &BTreeMap<String, Stage>) -> Vec<String> {
        let ended = self.orders().into_iter().filter(|(id, stage)| {
            *stage == Stage::Cancelled && before.get(id) != Some(&Stage::Cancelled)
        });
        ended.map(|(id, _)| id).collect()
    }

    /// Reads an order that has come to its end, and says whether it was answered.
    pub(crate) async fn read_once(&self, store: &Store, order_id: &str) -> bool {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let (is_stale, is_answered) = match store.get_order(order_id).await {
            Ok(order) => (order.state != Stage::Cancelled.state(), true),
            Err(error) => (Error::from(error).kind() == Kind::NotFound, false),
        };
        if is_stale {
            self.stale.fetch_add(1, Ordering::Relaxed);
            eprintln!("stale: {order_id} was cancelled");
        }
        is_answered
    }

    /// Places one order, and says whether it was acknowledged.
    pub(crate) async fn place_once(&self, store: &Store) -> bool {
        let order_id = format!("O-{}", RequestId::mint());
        let is_acknowledged = new_order(store, &order_id).await.is_ok();
        if is_acknowledged {
            self.written(&order_id, Stage::Placed);
        }
        is_acknowledged
    }

    /// Reads an order whose write has been acknowledged. False where it is not there: what else is
    /// asked for it would be told the same without an end. Whether it is lost shows when all is
    /// over.
    async fn read(&self, store: &Store, order_id: &str, stage: Stage) -> bool {
        loop {
            self.reads.fetch_add(1, Ordering::Relaxed);
            match store.get_order(order_id).await {
                Ok(order) if order.state == stage.state() => return true,
                Ok(order) => {
                    self.stale.fetch_add(1, Ordering::Relaxed);
                    eprintln!("stale: {order_id} is {}, was told {stage:?}", order.state);
                    return true;
                }
                Err(error) => {
                    let error = Error::from(error);
                    self.failed("GetOrder", &error);
                    if error.kind() == Kind::NotFound {
                        self.stale.fetch_add(1, Ordering::Relaxed);
                        eprintln!("stale: {order_id} is not found, was told {stage:?}");
                        return false;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// One caller: places orders at one server, pays and cancels them, and reads each at the other.
    pub(crate) async fn call(&self, write: &Store, read: &Store) {
        let till = write.with_role(Role::Payments, "psp").expect("a role");
        while !self.stop.load(Ordering::Relaxed) {
            let order_id = format!("O-{}", RequestId::mint());
            let id = order_id.as_str();
            self.insist("CreateOrder", new_order(write, id)).await;
            self.written(id, Stage::Placed);
            if !self.read(read, id, Stage::Placed).await {
                continue;
            }
            let (payment, event) = (format!("pay-{id}"), format!("evt-{id}"));
            let paid = till.record_payment(id, payment, event, PaymentFact::Captured);
            let paid = paid.amount(eur(TOTAL)).method("CREDIT_CARD");
            self.insist("RecordPayment", paid).await;
            self.written(id, Stage::Paid);
            if !self.read(read, id, Stage::Paid).await {
                continue;
            }
            let cancelled = write.request_cancellation(id, Units::all());
            self.insist("RequestCancellation", cancelled.reason("NO_LONGER_WANTED"))
                .await;
            self.written(id, Stage::Cancelled);
            self.read(read, id, Stage::Cancelled).await;
        }
    }
}
