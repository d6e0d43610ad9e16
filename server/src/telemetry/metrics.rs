//! Every instrument of a server, in one table, and the text in which they are read.
//!
//! Labels are closed sets: methods, codes, reasons, kinds of failure. Stores, orders and callers
//! are in traces and in the log and never here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use belay_domain::bulk::Outcome;
use belay_domain::projection::Projection;
use belay_wire::status::{CallOutcome, CallerLimit};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, MeterProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_semantic_conventions::{attribute, metric};
use prometheus::{Registry, TextEncoder};

use super::logins::Cause;
use super::traces::SCOPE;
use crate::App;
use crate::db::ErrorKind;
use crate::db::shares::Share;
use crate::retention;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instrument {
    pub name: &'static str,
    /// By UCUM; what is counted is in braces.
    pub unit: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Histogram,
    Counter,
    /// Read when somebody asks.
    Gauge,
}

/// The table.
pub const INSTRUMENTS: [Instrument; 22] = [
    CALL_DURATION,
    CALLERS_LIMITED,
    BATCH_SIZE,
    QUEUE_DURATION,
    QUEUE_DEPTH,
    QUEUE_SHED,
    TRANSACTION_DURATION,
    RETRIES,
    READ_BATCH_SIZE,
    CONNECTIONS,
    CONNECTIONS_MAX,
    CONNECTIONS_WAITED_FOR,
    SETTLED,
    SETTLE_LAG,
    BULK_ORDERS,
    PROJECTION_LAG,
    STREAMS,
    ROWS_PRUNED,
    OLDEST_ROW,
    LOGINS_FAILED,
    LINES_DROPPED,
    RECORDS_DROPPED,
];

const CALL_DURATION: Instrument = Instrument {
    name: metric::RPC_SERVER_CALL_DURATION,
    unit: "s",
    kind: Kind::Histogram,
    help: "How long calls took, by method, code and reason",
};
const CALLERS_LIMITED: Instrument = Instrument {
    name: "belay.callers.limited",
    unit: "{call}",
    kind: Kind::Counter,
    help: "Calls that were refused because their caller was beyond a limit, by limit",
};
const BATCH_SIZE: Instrument = Instrument {
    name: "belay.engine.batch.size",
    unit: "{command}",
    kind: Kind::Histogram,
    help: "Commands that a lane took from its queue at once",
};
const QUEUE_DURATION: Instrument = Instrument {
    name: "belay.engine.queue.duration",
    unit: "s",
    kind: Kind::Histogram,
    help: "How long commands waited in the queue of their lane",
};
const QUEUE_DEPTH: Instrument = Instrument {
    name: "belay.queue.depth",
    unit: "{item}",
    kind: Kind::Gauge,
    help: "Commands, reads and pages that wait, by queue, over all lanes",
};
const QUEUE_SHED: Instrument = Instrument {
    name: "belay.queue.shed",
    unit: "{item}",
    kind: Kind::Counter,
    help: "Commands, reads and pages that found no place or no turn in their queue, and waits for a connection that ended without one",
};
const TRANSACTION_DURATION: Instrument = Instrument {
    name: "belay.engine.transaction.duration",
    unit: "s",
    kind: Kind::Histogram,
    help: "How long transactions of the engine took, from the wait for a connection to the answer to COMMIT, by how they ended",
};
const RETRIES: Instrument = Instrument {
    name: "belay.engine.retries",
    unit: "{retry}",
    kind: Kind::Counter,
    help: "Transactions that were run again, whole or in parts, by why",
};
const READ_BATCH_SIZE: Instrument = Instrument {
    name: "belay.reads.batch.size",
    unit: "{read}",
    kind: Kind::Histogram,
    help: "Reads of single orders that shared a snapshot",
};
const CONNECTIONS: Instrument = Instrument {
    name: metric::DB_CLIENT_CONNECTION_COUNT,
    unit: "{connection}",
    kind: Kind::Gauge,
    help: "Connections to the database, by share and state",
};
const CONNECTIONS_MAX: Instrument = Instrument {
    name: metric::DB_CLIENT_CONNECTION_MAX,
    unit: "{connection}",
    kind: Kind::Gauge,
    help: "Connections to the database that each share may have",
};
const CONNECTIONS_WAITED_FOR: Instrument = Instrument {
    name: metric::DB_CLIENT_CONNECTION_PENDING_REQUESTS,
    unit: "{request}",
    kind: Kind::Gauge,
    help: "Who waits for a connection to the database",
};
const SETTLED: Instrument = Instrument {
    name: "belay.settle.orders",
    unit: "{order}",
    kind: Kind::Counter,
    help: "Orders with a deadline that had passed, by what came of them",
};
const SETTLE_LAG: Instrument = Instrument {
    name: "belay.settle.lag",
    unit: "s",
    kind: Kind::Histogram,
    help: "How long after its deadline an order was settled by the worker",
};
const BULK_ORDERS: Instrument = Instrument {
    name: "belay.bulk.orders",
    unit: "{order}",
    kind: Kind::Counter,
    help: "Results of orders in bulk cancellations and their dry runs, by outcome",
};
const PROJECTION_LAG: Instrument = Instrument {
    name: "belay.projection.lag",
    unit: "{event}",
    kind: Kind::Gauge,
    help: "Events of the feed whose effect a projection does not hold yet, by projection",
};
const STREAMS: Instrument = Instrument {
    name: "belay.feed.streams",
    unit: "{stream}",
    kind: Kind::Gauge,
    help: "Streams of the feed that are open",
};
const ROWS_PRUNED: Instrument = Instrument {
    name: "belay.retention.pruned",
    unit: "{row}",
    kind: Kind::Counter,
    help: "Rows that this server pruned because of their age, by kind of rows",
};
const OLDEST_ROW: Instrument = Instrument {
    name: "belay.retention.oldest",
    unit: "s",
    kind: Kind::Gauge,
    help: "Age of the oldest row that is kept, by kind of rows; 0 where there are none, or they are kept for ever",
};
const LOGINS_FAILED: Instrument = Instrument {
    name: "belay.logins.failed",
    unit: "{login}",
    kind: Kind::Counter,
    help: "Calls whose caller is not known by what they bring, by cause",
};
const LINES_DROPPED: Instrument = Instrument {
    name: "belay.log.dropped_lines",
    unit: "{line}",
    kind: Kind::Counter,
    help: "Lines of the log that were dropped because they are not read as fast as they come",
};
const RECORDS_DROPPED: Instrument = Instrument {
    name: "belay.audit.dropped_records",
    unit: "{record}",
    kind: Kind::Counter,
    help: "Records of the audit log that were dropped because it could not be written as fast as they come",
};

/// Of calls, transactions and waits, which take a millisecond on a good day and seconds on a bad
/// one.
const SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Of what is up to an hour late.
const LATE_SECONDS: [f64; 11] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0,
];
/// Of batches, which have 128 items at most.
const ITEMS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

const QUEUE: &str = "belay.queue";
const CLASS: &str = "belay.kind";
pub(super) const OUTCOME: &str = "belay.outcome";
const RETRY_KIND: &str = "belay.retry.kind";
const REASON: &str = "belay.reason";
const PROJECTION: &str = "belay.projection";
const ROWS: &str = "belay.rows";
const CAUSE: &str = "belay.cause";
const LIMIT: &str = "belay.limit";

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

/// Values and their labels.
type Samples = Vec<(u64, Vec<KeyValue>)>;

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
    read_batch_size: Histogram<u64>,
    settled: Counter<u64>,
    settle_lag: Histogram<f64>,
    bulk_orders: Counter<u64>,
    rows_pruned: Counter<u64>,
    logins_failed: Counter<u64>,
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
            read_batch_size: items(READ_BATCH_SIZE),
            settled: counter(SETTLED),
            rows_pruned: counter(ROWS_PRUNED),
            logins_failed: counter(LOGINS_FAILED),
            settle_lag: seconds(SETTLE_LAG, &LATE_SECONDS),
            bulk_orders: counter(BULK_ORDERS),
            registry,
            meter,
            _provider: provider,
        };
        // Whoever watches how fast a counter grows must see it before it does.
        for queue in Queue::ALL {
            inner
                .queue_shed
                .add(0, &[KeyValue::new(QUEUE, queue.name())]);
        }
        for limit in CallerLimit::ALL {
            let label = KeyValue::new(LIMIT, limit.name());
            inner.callers_limited.add(0, &[label]);
        }
        for retry in Retry::all() {
            inner
                .retries
                .add(0, &[KeyValue::new(RETRY_KIND, retry.name())]);
        }
        for settled in Settled::ALL {
            inner
                .settled
                .add(0, &[KeyValue::new(OUTCOME, settled.name())]);
        }
        for outcome in Outcome::ALL
            .iter()
            .filter(|outcome| **outcome != Outcome::Waiting)
        {
            inner
                .bulk_orders
                .add(0, &[KeyValue::new(OUTCOME, outcome.name())]);
        }
        for kind in retention::Kind::ALL {
            let label = KeyValue::new(ROWS, kind.name());
            inner.rows_pruned.add(0, &[label]);
        }
        for cause in Cause::ALL {
            let label = KeyValue::new(CAUSE, cause.name());
            inner.logins_failed.add(0, &[label]);
        }
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

    pub(crate) fn settled(&self, settled: Settled) {
        self.0
            .settled
            .add(1, &[KeyValue::new(OUTCOME, settled.name())]);
    }

    pub(crate) fn settled_late(&self, late: Duration) {
        self.0.settle_lag.record(late.as_secs_f64(), &[]);
    }

    pub(crate) fn bulk_result(&self, outcome: Outcome) {
        self.0
            .bulk_orders
            .add(1, &[KeyValue::new(OUTCOME, outcome.name())]);
    }

    pub(crate) fn pruned(&self, kind: retention::Kind, rows: usize) {
        let label = KeyValue::new(ROWS, kind.name());
        self.0.rows_pruned.add(count(rows), &[label]);
    }

    /// What is read when somebody asks. The metrics do not keep the server alive.
    pub(crate) fn login_failed(&self, cause: Cause) {
        let label = KeyValue::new(CAUSE, cause.name());
        self.0.logins_failed.add(1, &[label]);
    }

    pub(crate) fn observe(&self, app: &Arc<App>) {
        let gauge = |row: Instrument, read: fn(&App) -> Samples| {
            let app: Weak<App> = Arc::downgrade(app);
            let gauge = self.0.meter.u64_observable_gauge(row.name);
            let gauge = gauge.with_unit(row.unit).with_description(row.help);
            gauge
                .with_callback(move |observer| {
                    let Some(app) = app.upgrade() else { return };
                    for (value, labels) in read(&app) {
                        observer.observe(value, &labels);
                    }
                })
                .build();
        };
        gauge(QUEUE_DEPTH, |app| {
            let (interactive, background) = app.engine.waiting();
            let depth = |queue: Queue, waiting: usize| {
                (count(waiting), vec![KeyValue::new(QUEUE, queue.name())])
            };
            vec![
                depth(Queue::Interactive, interactive),
                depth(Queue::Background, background),
                depth(Queue::Reads, app.reads.waiting()),
                depth(Queue::Pages, app.pages.waiting()),
            ]
        });
        gauge(PROJECTION_LAG, |app| {
            let lag = |projection: &Projection| {
                let label = KeyValue::new(PROJECTION, projection.name());
                (app.lags.events(*projection), vec![label])
            };
            Projection::ALL.iter().map(lag).collect()
        });
        gauge(OLDEST_ROW, |app| {
            let age = |kind: retention::Kind| {
                let label = KeyValue::new(ROWS, kind.name());
                (app.oldest_rows.age(kind), vec![label])
            };
            retention::Kind::ALL.into_iter().map(age).collect()
        });
        gauge(CONNECTIONS, |app| {
            let of_share = |share: Share| {
                let status = app.pools.of(share).status();
                [("used", status.used), ("idle", status.idle)].map(|(state, connections)| {
                    let state = KeyValue::new(attribute::DB_CLIENT_CONNECTION_STATE, state);
                    (count(connections), vec![of_pool(share), state])
                })
            };
            Share::ALL.into_iter().flat_map(of_share).collect()
        });
        gauge(CONNECTIONS_MAX, |app| {
            of_each_share(|share| app.pools.of(share).status().max)
        });
        gauge(STREAMS, |app| vec![(count(app.feed.streams()), Vec::new())]);
        gauge(CONNECTIONS_WAITED_FOR, |app| {
            of_each_share(|share| app.pools.of(share).status().waiting)
        });
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

fn of_each_share(connections: impl Fn(Share) -> usize) -> Samples {
    let sample = |share| (count(connections(share)), vec![of_pool(share)]);
    Share::ALL.into_iter().map(sample).collect()
}

fn of_pool(share: Share) -> KeyValue {
    KeyValue::new(attribute::DB_CLIENT_CONNECTION_POOL_NAME, share.name())
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
