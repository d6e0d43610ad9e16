//! A payment worker: it claims refunds, asks a payment provider, and records what the provider
//! says.
//!
//! Three things together keep it from paying twice, in whatever place it or its calls break off:
//!
//! - Every request to the provider has the refund's [`provider_key`](crate::model::Refund), which
//!   never changes: the provider takes a second request for the first.
//! - Where an earlier attempt may have reached the provider, of this process or of another, the
//!   provider is asked about the key first.
//! - Nothing is asked of the provider after the end of the lease, by a clock that never jumps.
//!   Until then no other worker is handed the refund.
//!
//! What the provider says is recorded under one request id however often it takes. A refund whose
//! outcome could not be recorded becomes `UNKNOWN` at the end of its lease, and whoever claims it
//! then asks the provider first.

mod provider;

use std::collections::HashSet;
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

pub use self::provider::{RefundAnswer, RefundProvider, Settlement};
use crate::calls::RecordRefundResult;
use crate::error::{BoxError, Error, Kind};
use crate::ids::{IdError, IntoId, RefundId, WorkerId};
use crate::model::{Refund, RefundKind, RefundResult, RefundState};
use crate::retry::{Backoff, after};
use crate::store::Store;

/// The lease, unless another is set.
const LEASE_DEFAULT: Duration = Duration::from_secs(60);
/// The part of a lease that is kept for the record of what the provider said, and its longest.
const RECORD_SHARE: u32 = 4;
const RECORD_TIME_MAX: Duration = Duration::from_secs(5);
/// How many refunds are under way at once, unless set otherwise.
const CONCURRENCY_DEFAULT: usize = 10;
/// The largest number of refunds that one call may claim.
const CLAIM_MAX: usize = 100;
/// The time between two looks while nothing is due.
const POLL_DEFAULT: Duration = Duration::from_secs(5);
/// How often the provider is asked for one refund within a lease.
const ATTEMPTS_MAX: usize = 5;
/// The delay after an attempt that failed, and the longest.
const DELAY_FIRST: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(15);

/// # Refunds
impl Store {
    /// A worker that claims this store's refunds under a name, such as that of the process, and
    /// takes them to a payment provider. The caller's role is [`Role::Payments`](crate::Role).
    ///
    /// ```no_run
    /// # use belay_client::{BoxError, Store, refund_worker::RefundProvider};
    /// # async fn example(store: Store, bank: impl RefundProvider) -> Result<(), BoxError> {
    /// let worker = store.refund_worker("worker-1", bank).on_trouble(|trouble| eprintln!("{trouble}"));
    /// let ctrl_c = async {
    ///     let _ = tokio::signal::ctrl_c().await;
    /// };
    /// worker.run_until(ctrl_c).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn refund_worker<P: RefundProvider>(
        &self,
        worker_id: impl IntoId<WorkerId>,
        provider: P,
    ) -> RefundWorker<P> {
        RefundWorker {
            store: self.clone(),
            worker_id: worker_id.into_id(),
            provider,
            lease: LEASE_DEFAULT,
            concurrency: CONCURRENCY_DEFAULT,
            poll_every: POLL_DEFAULT,
            delay_first: DELAY_FIRST,
            delay_max: DELAY_MAX,
            on_trouble: Box::new(|_| {}),
        }
    }
}

/// A payment worker. Made by [`Store::refund_worker`].
///
/// It starts no task: it works while [`run_until`](Self::run_until) is polled, all refunds within
/// that one future. A provider that blocks its thread blocks all of them.
///
/// ```no_run
/// # use belay_client::{BoxError, Store, refund_worker::RefundProvider};
/// # async fn example(store: Store, bank: impl RefundProvider) -> Result<(), BoxError> {
/// use std::time::Duration;
///
/// let worker = store
///     .refund_worker("worker-1", bank)
///     .lease(Duration::from_secs(120))
///     .concurrency(20)
///     .on_trouble(|trouble| eprintln!("{trouble}"));
/// worker.run().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker does nothing until it runs"]
pub struct RefundWorker<P> {
    store: Store,
    worker_id: Result<WorkerId, IdError>,
    provider: P,
    lease: Duration,
    concurrency: usize,
    poll_every: Duration,
    delay_first: Duration,
    delay_max: Duration,
    on_trouble: Box<dyn Fn(&RefundTrouble<'_>) + Send + Sync>,
}

/// Something that went wrong and that the worker makes up for by itself. For logs.
///
/// ```no_run
/// # use belay_client::{Store, refund_worker::{RefundProvider, RefundTrouble}};
/// # fn example(store: Store, bank: impl RefundProvider) {
/// let worker = store.refund_worker("worker-1", bank).on_trouble(|trouble| match trouble {
///     RefundTrouble::Late { refund, .. } => eprintln!("{} takes long", refund.refund_id),
///     other => eprintln!("{other}"),
/// });
/// # let _ = worker;
/// # }
/// ```
#[non_exhaustive]
#[derive(Debug)]
pub enum RefundTrouble<'a> {
    /// Refunds could not be claimed. If the answer was lost, they come again after their lease.
    Claim(&'a Error),
    /// The provider could not be asked, or its answer was lost. It is asked again.
    #[non_exhaustive]
    Provider {
        /// The refund.
        refund: &'a Refund,
        /// The provider's error.
        error: &'a BoxError,
    },
    /// The provider did not answer within the lease. Whoever claims the refund next asks again.
    #[non_exhaustive]
    Late {
        /// The refund.
        refund: &'a Refund,
    },
    /// What the provider said could not be recorded. Whoever claims the refund next asks the
    /// provider again.
    #[non_exhaustive]
    Record {
        /// The refund.
        refund: &'a Refund,
        /// The error of the last attempt.
        error: &'a Error,
    },
    /// The refund is of a kind that this version does not know. It is left to other workers.
    #[non_exhaustive]
    Unrecognized {
        /// The refund.
        refund: &'a Refund,
    },
}

impl fmt::Display for RefundTrouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(error) => write!(f, "no refunds claimed: {error}"),
            Self::Provider { refund, error } => {
                write!(f, "{}: the provider: {error}", refund.refund_id)
            }
            Self::Late { refund } => {
                write!(
                    f,
                    "{}: no answer of the provider within the lease",
                    refund.refund_id
                )
            }
            Self::Record { refund, error } => {
                write!(
                    f,
                    "{}: the answer is not recorded: {error}",
                    refund.refund_id
                )
            }
            Self::Unrecognized { refund } => {
                write!(f, "{} is a {}", refund.refund_id, refund.kind)
            }
        }
    }
}

/// A refund that this worker has for a time.
struct Leased {
    refund: Refund,
    /// By a clock that never jumps, and not after the end that the server knows.
    until: Instant,
}

/// The result of one refund.
struct Done {
    refund_id: RefundId,
    /// Whether the provider said something.
    is_answered: bool,
}

impl<P> RefundWorker<P> {
    /// How long the worker has for a refund, from the claim on: 10 seconds to 15 minutes; 60
    /// seconds unless set. A lease is not renewed: what the provider has not answered by then is
    /// dropped and claimed again, so set it well above the provider's time-outs. After a crash it
    /// is the time that the refunds under way wait for.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many refunds are under way at once: 10 unless set, at least 1. No more are claimed.
    pub fn concurrency(mut self, refunds_max: usize) -> Self {
        self.concurrency = refunds_max.max(1);
        self
    }

    /// The time between two looks while nothing is due: 5 seconds unless set.
    pub fn poll_every(mut self, every: Duration) -> Self {
        self.poll_every = every;
        self
    }

    /// The delay after a call to the provider or to Belay that failed, and the longest: 500
    /// milliseconds and 15 seconds unless set. The delay doubles with each attempt, and a random
    /// part of up to the same length is added.
    pub fn retry_delays(mut self, delay_first: Duration, delay_max: Duration) -> Self {
        self.delay_first = delay_first;
        self.delay_max = delay_max;
        self
    }

    /// Is told what goes wrong, for a log.
    pub fn on_trouble(mut self, tell: impl Fn(&RefundTrouble<'_>) + Send + Sync + 'static) -> Self {
        self.on_trouble = Box::new(tell);
        self
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.delay_first, self.delay_max)
    }
}

impl<P: RefundProvider> RefundWorker<P> {
    /// Works for ever: [`run_until`](Self::run_until) without an end.
    ///
    /// # Errors
    /// As `run_until`.
    pub async fn run(self) -> Result<(), Error> {
        self.run_until(std::future::pending()).await
    }

    /// Works until `stop` is ready; then it claims nothing more, ends what is under way, and
    /// returns. That takes as long as one lease and the client's time-out at most: what the
    /// provider has settled may be recorded after the lease too, by a call that began before its
    /// end.
    ///
    /// To drop the future stops it at once, as a crash would: nothing is paid twice, and the
    /// refunds under way are claimed again after their lease.
    ///
    /// # Errors
    /// That of a claim which does not pass by itself, such as `RoleNotAllowed`; what is under way
    /// is ended before. Everything else is repeated, and told to [`on_trouble`](Self::on_trouble).
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let mut stop = pin!(stop);
        let is_stopping = AtomicBool::new(false);
        let mut outcome = Ok(());
        let mut under_way = FuturesUnordered::new();
        let mut ids: HashSet<RefundId> = HashSet::new();
        let (mut claim, mut is_claiming) = (pin!(OptionFuture::from(None)), false);
        let (mut claims, mut provider) = (self.backoff(), self.backoff());
        let mut next_claim = pin!(sleep_until(Instant::now()));
        loop {
            let stopping = is_stopping.load(Ordering::Relaxed);
            if stopping && !is_claiming && under_way.is_empty() {
                return outcome;
            }
            let free = self.concurrency.saturating_sub(ids.len());
            let may_claim = !stopping && !is_claiming && free > 0;
            tokio::select! {
                () = &mut stop, if !stopping => is_stopping.store(true, Ordering::Relaxed),
                () = &mut next_claim, if may_claim => {
                    claim.set(OptionFuture::from(Some(self.claim(free))));
                    is_claiming = true;
                }
                Some(claimed) = &mut claim, if is_claiming => {
                    claim.set(OptionFuture::from(None));
                    is_claiming = false;
                    let wait = match claimed {
                        Ok(leased) => {
                            claims.reset();
                            let wait = if leased.is_empty() { self.poll_every } else { Duration::ZERO };
                            // One that is under way here came again: by the server's clock its
                            // lease is over. It is not begun a second time beside the first.
                            let new = leased.into_iter().filter(|leased| ids.insert(leased.refund.refund_id.clone()));
                            under_way.extend(new.map(|leased| self.work(leased, &is_stopping)));
                            wait
                        }
                        // A defect of the server may be one of the moment.
                        Err(error) if error.is_transient() || error.kind() == Kind::Internal => {
                            (self.on_trouble)(&RefundTrouble::Claim(&error));
                            claims.next_delay(error.retry_after())
                        }
                        Err(error) => {
                            outcome = Err(error);
                            is_stopping.store(true, Ordering::Relaxed);
                            Duration::ZERO
                        }
                    };
                    let at = next_claim.deadline().max(after(wait));
                    next_claim.as_mut().reset(at);
                }
                Some(done) = under_way.next(), if !under_way.is_empty() => {
                    let Done { refund_id, is_answered } = done;
                    ids.remove(&refund_id);
                    // A provider that is out of reach is not asked for one refund after the other.
                    if is_answered {
                        provider.reset();
                    } else {
                        let at = next_claim.deadline().max(after(provider.next_delay(None)));
                        next_claim.as_mut().reset(at);
                    }
                }
            }
        }
    }

    /// Claims refunds. Their lease counts from before the call: on the server it ends later.
    async fn claim(&self, free: usize) -> Result<Vec<Leased>, Error> {
        let until = after(self.lease);
        let worker_id = self.worker_id.clone();
        let max_refunds = i32::try_from(free.min(CLAIM_MAX)).unwrap_or(i32::MAX);
        let call = self.store.claim_refunds(Chosen(worker_id));
        let refunds = call.max_refunds(max_refunds).lease(self.lease).await?;
        let leased = refunds.into_iter().map(|refund| Leased { refund, until });
        Ok(leased.collect())
    }

    /// Takes one refund to the provider and records what it says.
    async fn work(&self, leased: Leased, is_stopping: &AtomicBool) -> Done {
        let answer = self.ask(&leased, is_stopping).await;
        let is_answered = answer.is_some();
        if let Some(answer) = answer {
            self.record(&leased, answer).await;
        }
        // What is not answered needs no record: at the end of its lease it is UNKNOWN. Until then
        // it bars no other refund, as it would if it could be claimed again at once.
        Done {
            refund_id: leased.refund.refund_id,
            is_answered,
        }
    }

    /// Asks the provider, again after errors, for as long as the lease allows.
    async fn ask(&self, leased: &Leased, is_stopping: &AtomicBool) -> Option<RefundAnswer> {
        let refund = &leased.refund;
        if let RefundKind::Unrecognized(_) = refund.kind {
            (self.on_trouble)(&RefundTrouble::Unrecognized { refund });
            return None;
        }
        let until = leased.until - (self.lease / RECORD_SHARE).min(RECORD_TIME_MAX);
        // Only what is known to be new is requested unasked.
        let mut is_new = !refund.ask_provider_first && refund.state == RefundState::Submitted;
        let mut delays = self.backoff();
        for _ in 0..ATTEMPTS_MAX {
            // A claim whose answer took as long as the lease: not even the first byte may go out.
            if Instant::now() >= until {
                (self.on_trouble)(&RefundTrouble::Late { refund });
                return None;
            }
            let Ok(answer) = timeout_at(until, self.ask_once(refund, is_new)).await else {
                (self.on_trouble)(&RefundTrouble::Late { refund });
                return None;
            };
            // From here on it may have reached the provider.
            is_new = false;
            match answer {
                Ok(answer) => return Some(answer),
                Err(error) => (self.on_trouble)(&RefundTrouble::Provider {
                    refund,
                    error: &error,
                }),
            }
            let again = after(delays.next_delay(None));
            if again >= until || is_stopping.load(Ordering::Relaxed) {
                return None;
            }
            sleep_until(again).await;
        }
        None
    }

    async fn ask_once(&self, refund: &Refund, is_new: bool) -> Result<RefundAnswer, BoxError> {
        if !is_new && let Some(answer) = self.provider.find_refund(refund).await? {
            return Ok(answer);
        }
        self.provider.request_refund(refund).await
    }

    /// Records an answer under one request id, for as long as the lease lasts.
    async fn record(&self, leased: &Leased, answer: RefundAnswer) {
        let refund = &leased.refund;
        let (call, may_be_late) = match answer {
            RefundAnswer::Settled(settlement) => (self.settled(refund, settlement), true),
            RefundAnswer::Failed { code } => (self.failed(refund, code), false),
            RefundAnswer::Pending => return,
        };
        let mut delays = self.backoff();
        loop {
            let mut call = call.clone();
            let left = leased.until.saturating_duration_since(Instant::now());
            // That money has gone is true at any time. That it has not is true while nobody else
            // can have paid it meanwhile: the server drops the call with its time.
            if !may_be_late {
                call = call.timeout(left.min(self.store.belay.link().timeout));
            }
            let error = match call.await {
                Ok(_) => return,
                Err(error) => error,
            };
            let delay = delays.next_delay(error.retry_after());
            if !error.is_transient() || after(delay) >= leased.until {
                (self.on_trouble)(&RefundTrouble::Record {
                    refund,
                    error: &error,
                });
                return;
            }
            sleep(delay).await;
        }
    }

    fn settled(&self, refund: &Refund, settlement: Settlement) -> RecordRefundResult {
        let (id, result) = (&refund.refund_id, RefundResult::Settled);
        let mut call = self.store.record_refund_result(id, result);
        if let Some(amount) = settlement.amount {
            call = call.amount(amount);
        }
        if let Some(id) = settlement.provider_refund_id {
            call = call.provider_refund_id(id);
        }
        if let Some(instant) = settlement.occurred_time {
            call = call.occurred_time(instant);
        }
        call
    }

    fn failed(&self, refund: &Refund, code: Option<String>) -> RecordRefundResult {
        let (id, result) = (&refund.refund_id, RefundResult::Failed);
        let call = self.store.record_refund_result(id, result);
        match code {
            Some(code) => call.failure_code(code),
            None => call,
        }
    }
}

/// The name of a worker, which was checked before.
struct Chosen(Result<WorkerId, IdError>);

impl TryFrom<Chosen> for WorkerId {
    type Error = IdError;

    fn try_from(chosen: Chosen) -> Result<Self, IdError> {
        chosen.0
    }
}

impl<P> fmt::Debug for RefundWorker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefundWorker")
            .field("worker_id", &self.worker_id)
            .field("lease", &self.lease)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
