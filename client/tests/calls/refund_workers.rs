//! A refund worker against a provider that pays whenever it is asked to: nothing but the worker's
//! order of questions keeps it from paying twice.

use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use belay_client::model::Refund;
use belay_client::refund_worker::{
    RefundAnswer, RefundProvider, RefundTrouble, RefundWorker, Settlement,
};
use belay_client::{Belay, BoxError, Error, Kind};
use belay_proto::v1 as pb;
use belay_proto::v1::{RefundResult, RefundState};
use tokio::sync::Notify;
use tokio::time::Instant;
use tonic::body::Body;
use tower::{BoxError as ServiceError, Service as _, service_fn};

use crate::in_process::quick;
use crate::running::Running;
use crate::world::{World, a_refund};

/// Ends what would never end.
const HANG: Duration = Duration::from_secs(300);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The answer of the provider to one request for money.
#[derive(Debug, Clone, Copy)]
enum Does {
    Pays,
    /// Pays, and the reply is lost.
    PaysSilently,
    /// Never hears of it.
    Loses,
    /// Pays, and never replies.
    PaysAndHangs,
    Refuses,
    Waits,
}

#[derive(Clone, Default)]
struct Bank(Arc<Mutex<Ledger>>);

#[derive(Default)]
struct Ledger {
    script: VecDeque<Does>,
    /// How often each key was paid.
    paid: BTreeMap<String, u32>,
    refused: Vec<String>,
    waiting: Vec<String>,
    /// Every question, in order.
    asked: Vec<(&'static str, String)>,
    under_way: usize,
    most_under_way: usize,
}

impl Bank {
    fn of(script: impl IntoIterator<Item = Does>) -> Self {
        let bank = Self::default();
        bank.ledger().script.extend(script);
        bank
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap()
    }

    fn paid(&self) -> BTreeMap<String, u32> {
        self.ledger().paid.clone()
    }
}

fn settled(key: &str) -> RefundAnswer {
    Settlement::default()
        .provider_refund_id(format!("re-{key}"))
        .into()
}

impl RefundProvider for Bank {
    async fn find_refund(&self, refund: &Refund) -> Result<Option<RefundAnswer>, BoxError> {
        tokio::task::yield_now().await;
        let key = &refund.provider_key;
        let ledger = &mut *self.ledger();
        ledger.asked.push(("find", key.clone()));
        if ledger.paid.contains_key(key) {
            return Ok(Some(settled(key)));
        }
        if ledger.refused.contains(key) {
            return Ok(Some(RefundAnswer::Failed { code: None }));
        }
        let is_waiting = ledger.waiting.contains(key);
        Ok(is_waiting.then_some(RefundAnswer::Pending))
    }

    async fn request_refund(&self, refund: &Refund) -> Result<RefundAnswer, BoxError> {
        let key = refund.provider_key.clone();
        let does = {
            let ledger = &mut *self.ledger();
            ledger.asked.push(("request", key.clone()));
            ledger.under_way += 1;
            ledger.most_under_way = ledger.most_under_way.max(ledger.under_way);
            ledger.script.pop_front().unwrap_or(Does::Pays)
        };
        tokio::task::yield_now().await;
        {
            let ledger = &mut *self.ledger();
            ledger.under_way -= 1;
            match does {
                Does::Pays | Does::PaysSilently | Does::PaysAndHangs => {
                    *ledger.paid.entry(key.clone()).or_default() += 1;
                }
                Does::Refuses => ledger.refused.push(key.clone()),
                Does::Waits => ledger.waiting.push(key.clone()),
                Does::Loses => {}
            }
        }
        tokio::task::yield_now().await;
        match does {
            Does::Pays => Ok(settled(&key)),
            Does::PaysSilently | Does::Loses => Err("the connection broke".into()),
            Does::PaysAndHangs => pending().await,
            Does::Refuses => Ok(RefundAnswer::Failed {
                code: Some("closed".to_owned()),
            }),
            Does::Waits => Ok(RefundAnswer::Pending),
        }
    }
}

async fn with_refunds(refunds: usize) -> Running {
    let server = Running::start().await;
    let refunds = (1..=refunds).map(|number| a_refund(&format!("A-1:r{number}")));
    server.world.state().refunds.extend(refunds);
    server
}

/// A worker that loses no time.
fn worker(server: &Running, bank: &Bank) -> RefundWorker<Bank> {
    let worker = server.store().refund_worker("worker-1", bank.clone());
    worker
        .poll_every(MILLISECOND)
        .retry_delays(MILLISECOND, MILLISECOND)
}

fn all(state: RefundState) -> impl Fn(&crate::world::State) -> bool {
    move |world| world.refunds.iter().all(|refund| refund.state() == state)
}

async fn run_until(
    worker: RefundWorker<Bank>,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    tokio::time::timeout(HANG, worker.run_until(stop))
        .await
        .unwrap()
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

fn each_once(bank: &Bank, refunds: usize) {
    let paid = bank.paid();
    assert_eq!(paid.len(), refunds, "{paid:?}");
    assert!(paid.values().all(|times| *times == 1), "{paid:?}");
}

#[tokio::test]
async fn replies_that_are_lost_on_both_sides_pay_nothing_twice() {
    let server = with_refunds(30).await;
    let bank = Bank::of([
        Does::PaysSilently,
        Does::Loses,
        Does::PaysSilently,
        Does::Pays,
        Does::Loses,
    ]);
    server.world.state().lost_records = 15;
    server.world.state().lost_claims = 1;
    let worker = worker(&server, &bank);
    // Whoever had the lost claim is gone: its leases end.
    let stop = async {
        server.world.until(|state| state.claims.len() > 1).await;
        server.world.end_leases();
        server.world.until(all(RefundState::Settled)).await;
    };
    run_until(worker, stop).await.unwrap();
    each_once(&bank, 30);

    // Of each refund all results came under one request id.
    let state = server.world.state();
    let mut ids = BTreeMap::<_, Vec<_>>::new();
    for record in &state.records {
        let of = ids.entry(record.refund_id.clone()).or_default();
        of.push(record.request_id.clone());
        assert!(
            record.provider_refund_id.starts_with("re-key-"),
            "{record:?}"
        );
    }
    for (refund, mut of) in ids {
        of.dedup();
        assert_eq!(of.len(), 1, "{refund}: {of:?}");
    }
    assert!(state.records.len() > 30);
    assert!(
        state
            .claims
            .iter()
            .all(|claim| claim.worker_id == "worker-1")
    );
}

/// The worker is dropped after each number of polls: at every await there is. Another one goes on
/// once the leases have ended.
#[tokio::test]
async fn a_crash_anywhere_pays_nothing_twice() {
    for polls in 1..80 {
        let server = with_refunds(3).await;
        let bank = Bank::of([Does::Pays, Does::PaysSilently]);
        server.world.state().lost_records = 1;
        let mut run = Box::pin(worker(&server, &bank).run());
        for _ in 0..polls {
            let _ = poll_once(run.as_mut()).await;
            tokio::task::yield_now().await;
        }
        drop(run);
        server.world.end_leases();
        let stop = async {
            // A claim that the first one sent may still be on its way.
            while !all(RefundState::Settled)(&server.world.state()) {
                server.world.end_leases();
                tokio::time::sleep(MILLISECOND).await;
            }
        };
        run_until(worker(&server, &bank), stop).await.unwrap();
        each_once(&bank, 3);
    }
}

#[tokio::test]
async fn what_another_has_begun_is_asked_for_first() {
    let server = with_refunds(2).await;
    let bank = Bank::default();
    {
        let refunds = &mut server.world.state().refunds;
        refunds[0].set_state(RefundState::Unknown);
        refunds[1].set_state(RefundState::Unknown);
        // One was paid by whoever is gone.
        bank.ledger()
            .paid
            .insert(refunds[0].provider_key.clone(), 1);
    }
    let stop = server.world.until(all(RefundState::Settled));
    run_until(worker(&server, &bank), stop).await.unwrap();
    each_once(&bank, 2);
    let asked = bank.ledger().asked.clone();
    let of = |key: &str| -> Vec<_> {
        let of = asked.iter().filter(|(_, of)| of == key);
        of.map(|(question, _)| *question).collect()
    };
    assert_eq!(of("key-A-1:r1"), ["find"]);
    assert_eq!(of("key-A-1:r2"), ["find", "request"]);
}

#[tokio::test]
async fn a_provider_that_hangs_is_left_before_the_lease_ends_and_asked_later() {
    let server = with_refunds(1).await;
    let bank = Bank::of([Does::PaysAndHangs]);
    let late = Arc::new(Mutex::new(0));
    let told = Arc::clone(&late);
    let worker = worker(&server, &bank)
        .lease(Duration::from_millis(200))
        .on_trouble(move |trouble| {
            if matches!(trouble, RefundTrouble::Late { .. }) {
                *told.lock().unwrap() += 1;
            }
        });
    let stop = async {
        server.world.until(|_| *late.lock().unwrap() == 1).await;
        assert!(server.world.state().records.is_empty(), "nobody knows");
        server.world.end_leases();
        server.world.until(all(RefundState::Settled)).await;
    };
    run_until(worker, stop).await.unwrap();
    each_once(&bank, 1);
    assert_eq!(bank.ledger().asked.last().unwrap().0, "find");
}

#[tokio::test]
async fn a_refusal_is_recorded_with_its_code_and_what_is_undecided_is_not() {
    let server = with_refunds(2).await;
    let bank = Bank::of([Does::Refuses, Does::Waits]);
    let worker = worker(&server, &bank).concurrency(1);
    let stop = async {
        server
            .world
            .until(|state| !state.records.is_empty() && state.claims.len() > 3)
            .await;
    };
    run_until(worker, stop).await.unwrap();
    let state = server.world.state();
    assert_eq!(state.records.len(), 1);
    assert_eq!(state.records[0].result(), RefundResult::Failed);
    assert_eq!(state.records[0].failure_code, "closed");
    assert_eq!(
        state.refunds[1].state(),
        RefundState::Submitted,
        "until its lease ends"
    );
    assert!(bank.paid().is_empty());
}

/// Later somebody else might have paid it, and then "refused" would mean that the money came back.
#[tokio::test]
async fn a_refusal_has_the_rest_of_the_lease_to_be_recorded_in_and_a_payment_has_longer() {
    for (does, is_bounded) in [(Does::Refuses, true), (Does::Pays, false)] {
        let server = with_refunds(1).await;
        let lease = Duration::from_secs(3);
        let worker = worker(&server, &Bank::of([does])).lease(lease);
        let stop = server.world.until(|state| !state.records.is_empty());
        run_until(worker, stop).await.unwrap();
        let times = server.world.state().record_times.clone();
        assert_eq!(times[0] <= lease, is_bounded, "{times:?}");
    }
}

#[tokio::test]
async fn no_more_is_under_way_than_is_allowed_and_no_more_is_claimed() {
    let server = with_refunds(20).await;
    let bank = Bank::default();
    let worker = worker(&server, &bank).concurrency(3);
    let stop = server.world.until(all(RefundState::Settled));
    run_until(worker, stop).await.unwrap();
    each_once(&bank, 20);
    assert!(bank.ledger().most_under_way <= 3);
    let state = server.world.state();
    assert!(
        state
            .claims
            .iter()
            .all(|claim| (1..=3).contains(&claim.max_refunds))
    );
}

#[tokio::test]
async fn a_refund_that_comes_again_while_it_is_under_way_is_not_begun_twice() {
    let server = with_refunds(1).await;
    let bank = Bank::of([Does::PaysAndHangs]);
    let worker = worker(&server, &bank);
    let stop = async {
        server.world.until(|_| !bank.paid().is_empty()).await;
        // The server's clock jumps: by it the lease is over.
        server.world.end_leases();
        let claims = server.world.state().claims.len();
        server
            .world
            .until(|state| state.claims.len() > claims + 3)
            .await;
    };
    let mut run = pin!(worker.run());
    tokio::select! {
        outcome = &mut run => panic!("{outcome:?}"),
        () = stop => {}
    }
    each_once(&bank, 1);
    assert_eq!(bank.ledger().asked.len(), 1, "one question is under way");
}

#[tokio::test]
async fn a_stop_ends_what_is_under_way() {
    let server = with_refunds(5).await;
    let bank = Bank::of([Does::PaysSilently; 5]);
    // Nothing more is claimed, and nothing is left in the middle that can be ended.
    let stop = server.world.until(|state| !state.claims.is_empty());
    run_until(worker(&server, &bank).concurrency(5), stop)
        .await
        .unwrap();
    let claims = server.world.state().claims.len();
    assert_eq!(claims, 1);
    let under_way = bank.ledger().under_way;
    assert_eq!(under_way, 0);
    server.world.end_leases();
    let stop = server.world.until(all(RefundState::Settled));
    run_until(worker(&server, &bank), stop).await.unwrap();
    each_once(&bank, 5);
}

#[tokio::test]
async fn refunds_of_a_kind_that_is_not_known_are_left_to_others() {
    let server = with_refunds(2).await;
    server.world.state().refunds[0].kind = 99;
    let bank = Bank::default();
    let strange = Arc::new(Mutex::new(0));
    let told = Arc::clone(&strange);
    let worker = worker(&server, &bank).on_trouble(move |trouble| {
        if matches!(trouble, RefundTrouble::Unrecognized { .. }) {
            *told.lock().unwrap() += 1;
        }
    });
    let stop = server.world.until(|state| {
        state.refunds[1].state() == RefundState::Settled && *strange.lock().unwrap() > 0
    });
    run_until(worker, stop).await.unwrap();
    let asked = bank.ledger().asked.clone();
    assert!(
        asked.iter().all(|(_, key)| key == "key-A-1:r2"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_state_that_is_not_known_is_asked_for_first() {
    let server = with_refunds(1).await;
    let bank = Bank::default();
    let refund = pb::Refund {
        state: RefundState::Due.into(),
        ..a_refund("A-1:r1")
    };
    server.world.state().refunds[0] = refund;
    server.world.state().strange_states = true;
    let stop = server.world.until(all(RefundState::Settled));
    run_until(worker(&server, &bank), stop).await.unwrap();
    let asked: Vec<_> = bank
        .ledger()
        .asked
        .iter()
        .map(|(question, _)| *question)
        .collect();
    assert_eq!(asked, ["find", "request"]);
}

#[tokio::test]
async fn a_name_that_is_none_ends_the_worker_at_once() {
    let server = with_refunds(1).await;
    let worker = server.store().refund_worker("no name", Bank::default());
    let error = run_until(worker, pending()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument);
    assert!(server.world.state().claims.is_empty());
}

#[tokio::test]
async fn a_run_may_move_to_another_task() {
    let server = with_refunds(1).await;
    let bank = Bank::default();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(worker(&server, &bank).run());
    server.world.until(all(RefundState::Settled)).await;
    each_once(&bank, 1);
}

/// A client whose results of refunds are never answered, and what it tells once one is sent.
fn without_answers(world: &World) -> (Belay, Arc<Notify>) {
    let (routes, recording) = (world.routes(), Arc::<Notify>::default());
    let told = Arc::clone(&recording);
    let service = service_fn(move |request: http::Request<Body>| {
        let (mut routes, told) = (routes.clone(), Arc::clone(&told));
        async move {
            let is_result = request.uri().path().ends_with("/RecordRefundResult");
            let answer = routes.call(request).await?;
            if is_result {
                told.notify_one();
                pending::<()>().await;
            }
            Ok::<_, ServiceError>(answer)
        }
    });
    (quick().build_in_process(service).unwrap(), recording)
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_takes_a_lease_and_the_time_of_a_call() {
    let world = World::new();
    world.state().refunds.push(a_refund("A-1:r1"));
    let (belay, recording) = without_answers(&world);
    let (lease, call) = (Duration::from_secs(65), Duration::from_secs(10));
    let worker = belay
        .store("demo")
        .refund_worker("worker-1", Bank::default());
    let worker = worker.lease(lease).retry_delays(MILLISECOND, MILLISECOND);
    let stopped = Arc::new(Mutex::new(Instant::now()));
    let stop = async {
        recording.notified().await;
        *stopped.lock().unwrap() = Instant::now();
    };
    worker.run_until(stop).await.unwrap();
    let took = stopped.lock().unwrap().elapsed();
    // Its last call begins before the end of the lease, and has all of its time.
    assert!(took > lease && took <= lease + call, "{took:?}");
}
