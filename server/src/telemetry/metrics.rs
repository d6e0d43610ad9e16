//! The instruments of a server at work, and the text in which they are read.
//!
//! Labels are closed sets: methods, codes, reasons, kinds of failure. Stores, orders and callers
//! are in traces and in the log and never here.

mod observed;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use belay_domain::bulk::BulkOutcome;
use belay_domain::cancellation::PartState;
use belay_domain::error_reason::ErrorReason;
use belay_domain::terms::Path;
use belay_wire::events::EndedPart;
use belay_wire::status::{CallOutcome, CallerLimit};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_semantic_conventions::attribute;
use prometheus::{Registry, TextEncoder};

use super::bounded_names::BoundedNames;
use super::instruments::*;
use super::logins::Cause;
use super::secondary_reads::SecondaryRead;
use super::traces::SCOPE;
use crate::db::ErrorKind;
use crate::retention;

/// Of calls, transactions and waits, which take a millisecond on a good day and seconds on a bad
/// one.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Of what is up to an hour late.
const LATE_SECONDS: [f64; 11] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0,
];
/// Of batches, which have 128 items at most where nothing else is said, and never more than 512.
const ITEMS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Why cancellations were asked that are told apart: each server's policies may have so many codes
/// that a label for each of them would be too much for who keeps the figures.
pub const CANCELLATION_REASONS_MAX: usize = 64;
/// Where there is none. No code begins so.
const NO_NAME: &str = "_NONE";
const TAKEN: &str = "taken";
const REFUSED: &str = "refused";

/// A file that a server takes over when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReloadedFile {
    /// Who may call.
    Keys,
    /// How the proxy proves itself.
    ProxySecret,
    /// Of the port.
    Tls,
}

impl ReloadedFile {
    const ALL: [Self; 3] = [Self::Keys, Self::ProxySecret, Self::Tls];

    fn name(self) -> &'static str {
        match self {
            ReloadedFile::Keys => "key_file",
            ReloadedFile::ProxySecret => "proxy_secret",
            ReloadedFile::Tls => "tls",
        }
    }
}

/// A place where work waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Interactive,
    Background,
    Reads,
    Pages,
    Pool,
}

impl Queue {
    const ALL: [Self; 5] = [
        Self::Interactive,
        Self::Background,
        Self::Reads,
        Self::Pages,
        Self::Pool,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Queue::Interactive => "interactive",
            Queue::Background => "background",
            Queue::Reads => "reads",
            Queue::Pages => "pages",
            Queue::Pool => "pool",
        }
    }
}

/// The reason why a transaction is run again, whole or in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Somebody else has locked an order of it.
    Locked,
    /// Its reference data grew old while it waited.
    Stale,
    /// What became of its COMMIT is not known.
    LostCommit,
    /// The database refuses one of its statements.
    Refused,
    /// Nothing was committed, for this.
    Failed(ErrorKind),
}

impl Retry {
    const PLAIN: [Self; 4] = [Self::Locked, Self::Stale, Self::LostCommit, Self::Refused];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Retry::Locked => "locked",
            Retry::Stale => "stale",
            Retry::LostCommit => "lost_commit",
            Retry::Refused => "refused",
            Retry::Failed(kind) => kind.name(),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        // Those that the engine takes for transient.
        let failed = ErrorKind::ALL
            .iter()
            .filter(|kind| kind.is_transient() || **kind == ErrorKind::Duplicate);
        Self::PLAIN
            .into_iter()
            .chain(failed.map(|kind| Self::Failed(*kind)))
    }
}

/// The fate of a transaction whose COMMIT had no answer, as it was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LostCommit {
    Committed,
    /// It had not been; its commands were done now.
    Absent,
    /// Nobody waited for it any more.
    GivenUp,
}

impl LostCommit {
    const ALL: [Self; 3] = [Self::Committed, Self::Absent, Self::GivenUp];

    fn name(self) -> &'static str {
        match self {
            LostCommit::Committed => "committed",
            LostCommit::Absent => "absent",
            LostCommit::GivenUp => "given_up",
        }
    }
}

/// The result of asking for the keys of JWTs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeysRead {
    Changed,
    Unchanged,
    /// Those from before stay.
    Failed,
}

impl KeysRead {
    const ALL: [Self; 3] = [Self::Changed, Self::Unchanged, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            KeysRead::Changed => "changed",
            KeysRead::Unchanged => "unchanged",
            KeysRead::Failed => "failed",
        }
    }
}

/// The outcome for a due order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Done,
    /// It is due again.
    Failed,
}

impl Settled {
    const ALL: [Self; 2] = [Self::Done, Self::Failed];

    fn name(self) -> &'static str {
        match self {
            Settled::Done => "settled",
            Settled::Failed => "failed",
        }
    }
}

/// The instruments of one server. Cloning it shares them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    meter: Meter,
    /// Ends the instruments with itself.
    _provider: SdkMeterProvider,
    call_duration: Histogram<f64>,
    callers_limited: Counter<u64>,
    batch_size: Histogram<u64>,
    queue_duration: Histogram<f64>,
    queue_shed: Counter<u64>,
    transaction_duration: Histogram<f64>,
    retries: Counter<u64>,
    lost_commits: Counter<u64>,
    read_batch_size: Histogram<u64>,
    settled: Counter<u64>,
    settle_lag: Histogram<f64>,
    bulk_orders: Counter<u64>,
    secondary_reads: Counter<u64>,
    rows_pruned: Counter<u64>,
    logins_failed: Counter<u64>,
    parts_ended: Counter<u64>,
    parts_refused: Counter<u64>,
    files_reloaded: Counter<u64>,
    jwt_keys_read: Counter<u64>,
    /// Why cancellations were asked, as far as they are told apart.
    reasons: BoundedNames,
    is_serving: AtomicBool,
}

impl Inner {
    /// Whoever watches how fast a counter grows must see it before it does.
    fn begin(&self) {
        let at_zero =
            |counter: &Counter<u64>, label, names: &mut dyn Iterator<Item = &'static str>| {
                names.for_each(|name| counter.add(0, &[KeyValue::new(label, name)]));
            };
        let queues = &mut Queue::ALL.iter().map(|of| of.name());
        at_zero(&self.queue_shed, QUEUE, queues);
        let limits = &mut CallerLimit::ALL.iter().map(|of| of.name());
        at_zero(&self.callers_limited, LIMIT, limits);
        at_zero(
            &self.retries,
            RETRY_KIND,
            &mut Retry::all().map(Retry::name),
        );
        let settled = &mut Settled::ALL.iter().map(|of| of.name());
        at_zero(&self.settled, OUTCOME, settled);
        let outcomes = BulkOutcome::ALL
            .iter()
            .filter(|of| **of != BulkOutcome::Waiting);
        at_zero(
            &self.bulk_orders,
            OUTCOME,
            &mut outcomes.map(|of| of.name()),
        );
        let outcomes = &mut SecondaryRead::ALL.iter().map(|of| of.name());
        at_zero(&self.secondary_reads, OUTCOME, outcomes);
        let rows = &mut retention::Kind::ALL.iter().map(|of| of.name());
        at_zero(&self.rows_pruned, ROWS, rows);
        let found = &mut LostCommit::ALL.iter().map(|of| of.name());
        at_zero(&self.lost_commits, OUTCOME, found);
        let reads = &mut KeysRead::ALL.iter().map(|of| of.name());
        at_zero(&self.jwt_keys_read, OUTCOME, reads);
        let causes = &mut Cause::ALL.iter().map(|of| of.name());
        at_zero(&self.logins_failed, CAUSE, causes);
        // Which others there will be depends on policies.
        self.parts_refused.add(0, &[KeyValue::new(REASON, NO_NAME)]);
        for file in ReloadedFile::ALL {
            for outcome in [TAKEN, REFUSED] {
                let labels = [
                    KeyValue::new(FILE, file.name()),
                    KeyValue::new(OUTCOME, outcome),
                ];
                self.files_reloaded.add(0, &labels);
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    #[expect(
        clippy::new_without_default,
        reason = "they belong to one server, which makes them"
    )]
    pub fn new() -> Self {
        let registry = Registry::new();
        let mut provider = SdkMeterProvider::builder().with_resource(Resource::builder().build());
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .without_target_info()
            .build();
        match exporter {
            Ok(exporter) => provider = provider.with_reader(exporter),
            Err(error) => tracing::error!(%error, "metrics are not counted"),
        }
        let provider = provider.build();
        let meter = provider.meter(SCOPE);
        let seconds = |row: Instrument, bounds: &[f64]| {
            let histogram = meter.f64_histogram(row.name).with_unit(row.unit);
            let histogram = histogram.with_description(row.help);
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        let items = |row: Instrument| {
            let histogram = meter.u64_histogram(row.name).with_unit(row.unit);
            let histogram = histogram.with_description(row.help);
            histogram.with_boundaries(ITEMS.to_vec()).build()
        };
        let counter = |row: Instrument| {
            let counter = meter.u64_counter(row.name).with_unit(row.unit);
            counter.with_description(row.help).build()
        };
        let inner = Inner {
            call_duration: seconds(CALL_DURATION, &SECONDS),
            callers_limited: counter(CALLERS_LIMITED),
            batch_size: items(BATCH_SIZE),
            queue_duration: seconds(QUEUE_DURATION, &SECONDS),
            queue_shed: counter(QUEUE_SHED),
            transaction_duration: seconds(TRANSACTION_DURATION, &SECONDS),
            retries: counter(RETRIES),
            lost_commits: counter(LOST_COMMITS),
            read_batch_size: items(READ_BATCH_SIZE),
            settled: counter(SETTLED),
            rows_pruned: counter(ROWS_PRUNED),
            logins_failed: counter(LOGINS_FAILED),
            parts_ended: counter(PARTS_ENDED),
            parts_refused: counter(PARTS_REFUSED),
            files_reloaded: counter(FILES_RELOADED),
            jwt_keys_read: counter(JWT_KEYS_READ),
            reasons: BoundedNames::new(CANCELLATION_REASONS_MAX),
            is_serving: AtomicBool::new(false),
            settle_lag: seconds(SETTLE_LAG, &LATE_SECONDS),
            bulk_orders: counter(BULK_ORDERS),
            secondary_reads: counter(SECONDARY_READS),
            registry,
            meter,
            _provider: provider,
        };
        inner.begin();
        Self(Arc::new(inner))
    }

    pub(crate) fn call_ended(&self, method: &'static str, outcome: CallOutcome, lasted: Duration) {
        let mut labels = vec![
            KeyValue::new(attribute::RPC_SYSTEM_NAME, "grpc"),
            KeyValue::new(attribute::RPC_METHOD, method),
            KeyValue::new(attribute::RPC_RESPONSE_STATUS_CODE, outcome.code),
        ];
        if outcome.is_server_fault {
            labels.push(KeyValue::new(attribute::ERROR_TYPE, outcome.code));
        }
        if let Some(reason) = outcome.reason {
            labels.push(KeyValue::new(REASON, reason));
        }
        self.0.call_duration.record(lasted.as_secs_f64(), &labels);
    }

    pub(crate) fn caller_limited(&self, limit: CallerLimit) {
        let label = KeyValue::new(LIMIT, limit.name());
        self.0.callers_limited.add(1, &[label]);
    }

    pub(crate) fn batch_taken(&self, commands: usize) {
        self.0.batch_size.record(count(commands), &[]);
    }

    pub(crate) fn left_queue(&self, queue: Queue, waited: Duration) {
        let labels = [KeyValue::new(CLASS, queue.name())];
        self.0.queue_duration.record(waited.as_secs_f64(), &labels);
    }

    pub(crate) fn shed(&self, queue: Queue) {
        self.0
            .queue_shed
            .add(1, &[KeyValue::new(QUEUE, queue.name())]);
    }

    /// `outcome` is `committed`, or the name of a [`Retry`].
    pub(crate) fn transaction_ended(&self, outcome: &'static str, lasted: Duration) {
        let labels = [KeyValue::new(OUTCOME, outcome)];
        self.0
            .transaction_duration
            .record(lasted.as_secs_f64(), &labels);
    }

    pub(crate) fn retried(&self, retry: Retry) {
        self.0
            .retries
            .add(1, &[KeyValue::new(RETRY_KIND, retry.name())]);
    }

    pub(crate) fn reads_taken(&self, reads: usize) {
        self.0.read_batch_size.record(count(reads), &[]);
    }

    pub(crate) fn read_of_secondary(&self, outcome: SecondaryRead) {
        let label = KeyValue::new(OUTCOME, outcome.name());
        self.0.secondary_reads.add(1, &[label]);
    }

    pub(crate) fn settled(&self, settled: Settled) {
        self.0
            .settled
            .add(1, &[KeyValue::new(OUTCOME, settled.name())]);
    }

    pub(crate) fn settled_late(&self, late: Duration) {
        self.0.settle_lag.record(late.as_secs_f64(), &[]);
    }

    pub(crate) fn bulk_result(&self, outcome: BulkOutcome) {
        self.0
            .bulk_orders
            .add(1, &[KeyValue::new(OUTCOME, outcome.name())]);
    }

    pub(crate) fn pruned(&self, kind: retention::Kind, rows: usize) {
        let label = KeyValue::new(ROWS, kind.name());
        self.0.rows_pruned.add(count(rows), &[label]);
    }

    pub(crate) fn login_failed(&self, cause: Cause) {
        let label = KeyValue::new(CAUSE, cause.name());
        self.0.logins_failed.add(1, &[label]);
    }

    pub(crate) fn part_ended(&self, ended: EndedPart<'_>) {
        let reason = self.0.reasons.name(
            Some(ended.reason)
                .filter(|of| !of.is_empty())
                .unwrap_or(NO_NAME),
        );
        let labels = [
            KeyValue::new(PATH, ended.path.map_or(NO_NAME, Path::name)),
            KeyValue::new(OUTCOME, ended.state.name()),
            KeyValue::new(CANCELLATION_REASON, reason),
        ];
        self.0.parts_ended.add(1, &labels);
        if ended.state == PartState::Refused {
            let reason = ended.refused_reason.map_or(NO_NAME, ErrorReason::name);
            self.0
                .parts_refused
                .add(1, &[KeyValue::new(REASON, reason)]);
        }
    }

    /// A file has changed, and was taken over or refused.
    pub(crate) fn reloaded(&self, file: ReloadedFile, is_taken: bool) {
        let outcome = if is_taken { TAKEN } else { REFUSED };
        let labels = [
            KeyValue::new(FILE, file.name()),
            KeyValue::new(OUTCOME, outcome),
        ];
        self.0.files_reloaded.add(1, &labels);
    }

    /// A transaction whose COMMIT had no answer was looked into.
    pub(crate) fn lost_commit(&self, found: LostCommit) {
        let labels = [KeyValue::new(OUTCOME, found.name())];
        self.0.lost_commits.add(1, &labels);
    }

    /// The keys of JWTs were asked for.
    pub(crate) fn jwt_keys_read(&self, read: KeysRead) {
        let labels = [KeyValue::new(OUTCOME, read.name())];
        self.0.jwt_keys_read.add(1, &labels);
    }

    /// What the health service says.
    pub(crate) fn serving(&self, is_serving: bool) {
        self.0.is_serving.store(is_serving, Ordering::Relaxed);
    }

    /// What other instruments of the same process are made with.
    pub(super) fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// Of the log of this process.
    pub(crate) fn observe_dropped_lines(&self, dropped: Arc<AtomicU64>) {
        self.observe_dropped(LINES_DROPPED, dropped);
    }

    /// Of the audit log of this process.
    pub fn observe_dropped_records(&self, dropped: Arc<AtomicU64>) {
        self.observe_dropped(RECORDS_DROPPED, dropped);
    }

    fn observe_dropped(&self, row: Instrument, dropped: Arc<AtomicU64>) {
        let counter = self.0.meter.u64_observable_counter(row.name);
        let counter = counter.with_unit(row.unit).with_description(row.help);
        counter
            .with_callback(move |observer| observer.observe(dropped.load(Ordering::Relaxed), &[]))
            .build();
    }

    /// All of it, in the text format of Prometheus.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
