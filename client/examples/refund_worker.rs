//! A payment worker against a provider that loses replies, and that would pay twice if it were
//! asked twice: orders are sold and cancelled, one worker crashes in the middle, and another goes
//! on. Against the server of `make run`, in a store of its own.
//!
//! ```sh
//! cargo run -p belay-client --example refund_worker
//! ```
//!
//! It fails where a refund was not paid exactly once. `BELAY_ADDRESS` names another server than
//! `http://127.0.0.1:50051`.

#![allow(clippy::print_stdout, reason = "an example tells what it does")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use belay_client::calls::{FirstPolicy, NewBuyer, NewLine};
use belay_client::model::{Destination, EventDetail, EventType, PaymentFact, Refund, RefundState};
use belay_client::refund_worker::{RefundAnswer, RefundProvider, RefundWorker, Settlement};
use belay_client::watch::Subscription;
use belay_client::{
    Belay, BoxError, Error, Money, RefundId, RequestId, Role, Store, Units, reason,
};
use tokio::time::sleep;

const STORE: &str = "demo-refunds";
const ORDERS: usize = 12;
/// The first worker crashes when so many were paid.
const CRASH_AFTER: usize = 5;
/// What a crash leaves behind waits for so long: the shortest that Belay takes.
const LEASE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("refund_worker: {wrong} refunds were not paid once");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("refund_worker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<usize, BoxError> {
    let address = env::var("BELAY_ADDRESS").unwrap_or_else(|_| "http://127.0.0.1:50051".to_owned());
    let belay = Belay::builder(&address)
        .role(Role::Operator, "ops")
        .build()?;
    let policy = FirstPolicy::preset("independent-site");
    belay.create_store(STORE, policy).await?;
    println!("Belay at {address}, store {STORE}\n");

    let storefront = belay.with_role(Role::Storefront, "web")?.store(STORE);
    let payments = belay.with_role(Role::Payments, "worker")?.store(STORE);
    let mut refunds = BTreeSet::new();
    for _ in 0..ORDERS {
        refunds.extend(sell_and_cancel(&storefront, &payments).await?);
    }
    println!(
        "{ORDERS} orders were paid and cancelled: {} refunds are due",
        refunds.len()
    );

    let bank = Bank::default();
    // Watched before anybody works: what is settled from here on is not missed.
    let watch = payments
        .watch()
        .event_types([EventType::RefundStateChanged]);
    let mut settled = watch.await?;

    tokio::select! {
        outcome = worker(&payments, "worker-1", &bank).run() => outcome?,
        () = bank.until_paid(CRASH_AFTER) => {}
    }
    println!(
        "\nworker-1 crashes; {} payments have gone by then\n",
        bank.paid()
    );

    let done = until_settled(&mut settled, refunds.clone());
    worker(&payments, "worker-2", &bank).run_until(done).await?;
    Ok(report(&bank, &payments, &refunds).await?)
}

fn worker(store: &Store, name: &str, bank: &Bank) -> RefundWorker<Bank> {
    let name_of = name.to_owned();
    store
        .refund_worker(name, bank.clone())
        .lease(LEASE)
        .concurrency(3)
        .poll_every(Duration::from_millis(500))
        .retry_delays(Duration::from_millis(50), Duration::from_secs(1))
        .on_trouble(move |trouble| println!("  {name_of}: {trouble}"))
}

/// Waits until all of these refunds are settled, by the feed.
async fn until_settled(events: &mut Subscription, mut refunds: BTreeSet<RefundId>) {
    while !refunds.is_empty() {
        let Ok(Some(delivered)) = events.try_next().await else {
            return;
        };
        for event in delivered.events() {
            if let Some(EventDetail::RefundChanged {
                refund_id,
                to_state: RefundState::Settled,
                ..
            }) = &event.detail
            {
                refunds.remove(refund_id);
            }
        }
        delivered.ack();
    }
}

/// One mug, paid and cancelled. Gives back the refunds that are due for it.
async fn sell_and_cancel(store: &Store, till: &Store) -> Result<Vec<RefundId>, Error> {
    // A shop would number its orders; an example that runs often takes something random.
    let order_id = format!("web-{:.8}", RequestId::mint().to_string());
    let mug = NewLine::new("MUG-BLUE", 1, Money::new("EUR", 1_200)).tax(Money::new("EUR", 228));
    let to = Destination::new("DE").city("Berlin");
    let order = store
        .create_order(order_id, NewBuyer::new("b-7"), "acme", to, [mug])
        .await?;
    let payment = format!("pay-{}", order.order_id);
    till.record_payment(
        &order.order_id,
        &payment,
        format!("{payment}-1"),
        PaymentFact::Captured,
    )
    .amount(order.totals.due.clone())
    .method("CREDIT_CARD")
    .await?;
    let request = store.request_cancellation(&order.order_id, Units::all());
    let requested = request.reason(reason::NO_LONGER_WANTED).await?;
    Ok(requested.cancellation.refund_ids)
}

/// Says what the provider and Belay have on record. Gives back how many refunds are wrong.
async fn report(bank: &Bank, store: &Store, refunds: &BTreeSet<RefundId>) -> Result<usize, Error> {
    let mut wrong = 0;
    for id in refunds {
        let refund = store.get_refund(id).await?;
        let times = bank.ledger().payments.get(&refund.provider_key).copied();
        if refund.state != RefundState::Settled || times != Some(1) {
            wrong += 1;
            println!(
                "  {id} is {}, and was paid {} times",
                refund.state,
                times.unwrap_or(0)
            );
        }
    }
    let ledger = bank.ledger();
    println!("\nOn record");
    println!(
        "  {:>3} refunds are settled and were paid once",
        refunds.len() - wrong
    );
    println!("  {wrong:>3} are anything else");
    println!(
        "  {:>3} requests never reached the provider",
        ledger.lost_requests
    );
    println!(
        "  {:>3} payments were made whose reply was lost",
        ledger.lost_replies
    );
    Ok(wrong)
}

/// A payment provider in this process. It pays whenever it is asked to: the key alone does not
/// protect it here.
#[derive(Clone, Default)]
struct Bank(Arc<Mutex<Ledger>>);

#[derive(Default)]
struct Ledger {
    /// How often each key was paid.
    payments: BTreeMap<String, u32>,
    lost_requests: usize,
    lost_replies: usize,
}

impl Bank {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paid(&self) -> usize {
        self.ledger().payments.len()
    }

    async fn until_paid(&self, payments: usize) {
        while self.paid() < payments {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The way to the provider or back takes its time, and one message in five does not arrive.
    async fn travel(&self) -> Result<(), &'static str> {
        sleep(Duration::from_millis(fastrand::u64(..=80))).await;
        if fastrand::u8(..5) == 0 {
            return Err("the connection broke");
        }
        Ok(())
    }
}

fn settled(key: &str) -> RefundAnswer {
    Settlement::default()
        .provider_refund_id(format!("re-{key}"))
        .into()
}

impl RefundProvider for Bank {
    async fn find_refund(&self, refund: &Refund) -> Result<Option<RefundAnswer>, BoxError> {
        self.travel().await?;
        let key = &refund.provider_key;
        let is_paid = self.ledger().payments.contains_key(key);
        self.travel().await?;
        Ok(is_paid.then(|| settled(key)))
    }

    async fn request_refund(&self, refund: &Refund) -> Result<RefundAnswer, BoxError> {
        let key = &refund.provider_key;
        if let Err(error) = self.travel().await {
            self.ledger().lost_requests += 1;
            return Err(error.into());
        }
        *self.ledger().payments.entry(key.clone()).or_default() += 1;
        println!(
            "  {:>10} goes back for {}",
            refund.amount.total.to_string(),
            refund.refund_id
        );
        if let Err(error) = self.travel().await {
            self.ledger().lost_replies += 1;
            return Err(error.into());
        }
        Ok(settled(key))
    }
}
