//! Every instrument of Belay, in one table: the README, the dashboard and the rules of alerts are
//! held to it by tests.

use opentelemetry_semantic_conventions::{attribute, metric};

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instrument {
    pub name: &'static str,
    /// By UCUM; what is counted is in braces.
    pub unit: &'static str,
    pub kind: Kind,
    /// All that a sample may have. Each is a closed set of values.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// The kind of an instrument: how it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Histogram,
    Counter,
    /// Read when somebody asks.
    Gauge,
}

impl Kind {
    /// As Prometheus calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Histogram => "histogram",
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

impl Instrument {
    /// The name of its family in Prometheus.
    pub fn family(&self) -> String {
        let unit = match self.unit {
            "s" => "_seconds",
            "By" => "_bytes",
            _ => "",
        };
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Histogram | Kind::Gauge => "",
        };
        format!("{}{unit}{suffix}", self.name.replace('.', "_"))
    }

    /// Its row in the README.
    pub fn row(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|of| format!("`{of}`")).collect();
        format!(
            "| `{}` | {} | {} | {} | {} |",
            self.name,
            self.unit.trim_matches(['{', '}']),
            self.kind.name(),
            labels.join(", "),
            self.help,
        )
    }
}

/// A name of OpenTelemetry's or of ours, its unit, kind and labels, and what it says.
macro_rules! instruments {
    ($(#[$doc:meta])* $ALL:ident: $($NAME:ident = $name:expr, $unit:literal, $kind:ident, [$($label:expr),*], $help:literal;)*) => {
        $(pub(crate) const $NAME: Instrument = Instrument {
            name: $name,
            unit: $unit,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*
        $(#[$doc])*
        pub const $ALL: &[Instrument] = &[$($NAME),*];
    };
}

pub(crate) const QUEUE: &str = "belay.queue";
pub(crate) const CLASS: &str = "belay.class";
pub(crate) const OUTCOME: &str = "belay.outcome";
pub(crate) const RETRY_KIND: &str = "belay.retry.kind";
pub(crate) const REASON: &str = "belay.reason";
pub(crate) const PROJECTION: &str = "belay.projection";
pub(crate) const ROWS: &str = "belay.rows";
pub(crate) const CAUSE: &str = "belay.cause";
pub(crate) const LIMIT: &str = "belay.limit";
pub(crate) const PATH: &str = "belay.path";
pub(crate) const CANCELLATION_REASON: &str = "belay.cancellation.reason";
pub(crate) const PARTY: &str = "belay.party";
pub(crate) const AGE: &str = "belay.age";
pub(crate) const REFUND_STATE: &str = "belay.refund.state";
pub(crate) const FILE: &str = "belay.file";
pub(crate) const PORT: &str = "belay.port";
pub(crate) const HELD: &str = "belay.held";
pub(crate) const PLACE: &str = "belay.place";
pub(crate) const HELD_STATE: &str = "belay.held.state";

const POOL: &str = attribute::DB_CLIENT_CONNECTION_POOL_NAME;

instruments! {
    /// Those of every server.
    OF_SERVER:
    CALL_DURATION = metric::RPC_SERVER_CALL_DURATION, "s", Histogram,
        [attribute::RPC_METHOD, attribute::RPC_RESPONSE_STATUS_CODE, REASON, attribute::ERROR_TYPE, attribute::RPC_SYSTEM_NAME],
        "How long calls took, by method, code and reason; its count is that of calls, and of refusals by reason";
    SERVING = "belay.serving", "{server}", Gauge, [],
        "1 while this server says SERVING, else 0";
    CALLERS_LIMITED = "belay.callers.limited", "{call}", Counter, [LIMIT],
        "Calls that were refused because their caller was beyond a limit, by limit";
    PARTS_ENDED = "belay.cancellation.parts.ended", "{part}", Counter, [PATH, OUTCOME, CANCELLATION_REASON],
        "Parts of cancellations that ended, by path, outcome and why it was asked: the 64 codes that a server met first, then _OTHER. One server counts each, once the quality of sellers follows";
    PARTS_REFUSED = "belay.cancellation.parts.refused", "{part}", Counter, [REASON],
        "Those of them that were refused, by the reason of the refusal";
    BATCH_SIZE = "belay.engine.batch.size", "{command}", Histogram, [],
        "Commands that a lane took from its queue at once";
    QUEUE_DURATION = "belay.engine.queue.duration", "s", Histogram, [CLASS],
        "How long commands waited in the queue of their lane";
    QUEUE_DEPTH = "belay.queue.depth", "{item}", Gauge, [QUEUE],
        "Commands, reads and pages that wait, by queue, over all lanes";
    QUEUE_SHED = "belay.queue.shed", "{item}", Counter, [QUEUE],
        "Commands, reads and pages that found no place or no turn in their queue, and waits for a connection that ended without one";
    TRANSACTION_DURATION = "belay.engine.transaction.duration", "s", Histogram, [OUTCOME],
        "How long transactions of the engine took, from the wait for a connection to the answer to COMMIT, by how they ended";
    RETRIES = "belay.engine.retries", "{retry}", Counter, [RETRY_KIND],
        "Transactions that were run again, whole or in parts, by why; lost_commit is one whose COMMIT had no answer";
    LOST_COMMITS = "belay.engine.lost_commits", "{commit}", Counter, [OUTCOME],
        "Transactions whose COMMIT had no answer, by what was found out: committed; absent, and then done after all; given_up where no caller waited any more";
    READ_BATCH_SIZE = "belay.reads.batch.size", "{read}", Histogram, [],
        "Reads of single orders that shared a snapshot";
    SECONDARY_READS = "belay.secondary.reads", "{read}", Counter, [OUTCOME],
        "Reads that a secondary might have answered, by whether one did; else the primary did: none answers, none is fresh enough, none shows the write that was named in time, one failed half-way";
    SECONDARIES_ANSWERING = "belay.secondaries.answering", "{secondary}", Gauge, [],
        "Secondaries that answer";
    SECONDARY_STALENESS = "belay.secondary.staleness", "s", Gauge, [],
        "How old what is read from the freshest secondary may be; 0 where none answers";
    CONNECTIONS = metric::DB_CLIENT_CONNECTION_COUNT, "{connection}", Gauge, [POOL, attribute::DB_CLIENT_CONNECTION_STATE],
        "Connections to the database, by share and state";
    CONNECTIONS_MAX = metric::DB_CLIENT_CONNECTION_MAX, "{connection}", Gauge, [POOL],
        "Connections to the database that each share may have";
    CONNECTIONS_WAITED_FOR = metric::DB_CLIENT_CONNECTION_PENDING_REQUESTS, "{request}", Gauge, [POOL],
        "Who waits for a connection to the database";
    SETTLED = "belay.settle.orders", "{order}", Counter, [OUTCOME],
        "Orders with a deadline that had passed, by what came of them";
    SETTLE_LAG = "belay.settle.lag", "s", Histogram, [],
        "How long after its deadline an order was settled by the worker";
    BULK_ORDERS = "belay.bulk.orders", "{order}", Counter, [OUTCOME],
        "Results of orders in bulk cancellations and their dry runs, by outcome";
    STREAMS = "belay.feed.streams", "{stream}", Gauge, [],
        "Streams of the feed that are open";
    FEED_LAG = "belay.feed.lag", "s", Gauge, [],
        "How long ago this server last knew all that is committed; 0 where nobody watches";
    PROJECTION_LAG = "belay.projection.lag", "{event}", Gauge, [PROJECTION],
        "Events of the feed whose effect a projection does not hold yet, by projection";
    ROWS_PRUNED = "belay.retention.pruned", "{row}", Counter, [ROWS],
        "Rows that this server pruned because of their age, by kind of rows";
    OLDEST_ROW = "belay.retention.oldest", "s", Gauge, [ROWS],
        "Age of the oldest row that is kept, by kind of rows; 0 where there are none, or they are kept for ever";
    ROWS_KEPT = "belay.retention.keep", "s", Gauge, [ROWS],
        "How long rows are to be kept, by kind of rows; 0 where that is for ever";
    FIGURES_AGE = "belay.figures.age", "s", Gauge, [],
        "Age of the figures that this server reads from the database every 15 s: those below, the same at every server";
    DUE_ORDERS = "belay.due.orders", "{order}", Gauge, [],
        "Orders with a deadline that has passed and is not applied yet; 100,000 are counted at most";
    DUE_LAG = "belay.due.lag", "s", Gauge, [],
        "How long ago the oldest of these deadlines passed";
    GATES_OPEN = "belay.gates.open", "{gate}", Gauge, [PARTY, AGE],
        "Gates that wait for a party, by how long ago their cancellation was requested; 100,000 are counted at most, the oldest of each store first";
    REFUNDS_OPEN = "belay.refunds.open", "{refund}", Gauge, [REFUND_STATE],
        "Refunds that are not at their end, by state; 100,000 are counted at most";
    REFUNDS_OVERDUE = "belay.refunds.overdue", "{refund}", Gauge, [],
        "Those of them that the policy calls overdue; of those that are due, 10,000 are looked at at most";
    CONSUMERS = "belay.consumers", "{consumer}", Gauge, [],
        "Named consumers of the feed; 1,000 are counted at most";
    CONSUMER_LAG = "belay.consumer.lag", "{event}", Gauge, [],
        "Events behind the position of the consumer that is furthest behind";
    FILES_RELOADED = "belay.files.reloads", "{reload}", Counter, [FILE, OUTCOME],
        "Changed files of callers, keys and certificates that were taken over, or refused for an error";
    JWT_KEYS_READ = "belay.jwt.keys.reads", "{read}", Counter, [OUTCOME],
        "Times that the keys of JWTs were asked for: changed, unchanged, or failed, when those from before stay";
    LOGINS_FAILED = "belay.logins.failed", "{login}", Counter, [CAUSE],
        "Calls whose caller is not known by what they bring, by cause";
    RUNTIME_THREADS = "belay.runtime.threads", "{thread}", Gauge, [],
        "Threads that run the tasks of this server";
    RUNTIME_TASKS = "belay.runtime.tasks", "{task}", Gauge, [],
        "Tasks of this server that have not ended, those that wait for something included";
    RUNTIME_QUEUE = "belay.runtime.queue.depth", "{task}", Gauge, [],
        "Tasks that could go on and wait for a thread, in the queue that all threads share";
    RUNTIME_BUSY = "belay.runtime.busy", "s", Counter, [],
        "How long the threads were busy, added up: where it grows by as many seconds a second as there are threads, there are too few";
    RUNTIME_PARKS = "belay.runtime.parks", "{park}", Counter, [],
        "Times that a thread had nothing to do and rested";
    LINES_DROPPED = "belay.log.dropped_lines", "{line}", Counter, [],
        "Lines of the log that were dropped because they are not read as fast as they come";
    RECORDS_DROPPED = "belay.audit.dropped_records", "{record}", Counter, [],
        "Records of the audit log that were dropped because it could not be written as fast as they come";
}

instruments! {
    /// Those of a server's ports.
    OF_PORT:
    PORT_CONNECTIONS = "belay.port.connections", "{connection}", Gauge, [PLACE, PORT],
        "Connections of callers that are open, by whether they are served or only asked for health";
    PORT_REFUSED = "belay.port.refused", "{connection}", Counter, [CAUSE, PORT],
        "Connections that the port did not serve, by why";
    PORT_BYTES = "belay.port.held", "By", Gauge, [HELD, PORT],
        "Bytes that are held for callers, by what of: requests that are not answered, answers that are not taken";
    STREAMS_RESET = "belay.port.streams_reset", "{stream}", Counter, [PORT],
        "Calls that were given up because their callers took nothing of the answer";
}

instruments! {
    /// Those of a server with TLS in front.
    OF_TLS:
    CERTIFICATE_EXPIRES = "belay.tls.certificate.expires", "s", Gauge, [],
        "When the certificate that callers are shown expires, in seconds since the beginning of 1970; only with TLS";
    HANDSHAKE_FAILURES = "belay.tls.handshake.failures", "{handshake}", Counter, [CAUSE],
        "TLS handshakes of callers that failed, by why; only with TLS";
}

instruments! {
    /// Those of a process that delivers events.
    OF_DELIVERIES:
    DELIVERY_ATTEMPTS = "belay.delivery.attempts", "{attempt}", Counter, [OUTCOME],
        "Events that were sent to the receiver, by what came of them";
    DELIVERY_LAG = "belay.delivery.lag", "{event}", Gauge, [],
        "Events of the feed behind the position of a deliverer, in the partitions that this instance delivers";
    DELIVERY_HELD = "belay.delivery.held", "{event}", Gauge, [HELD_STATE],
        "Events that the receiver has not taken, in the partitions that this instance delivers, by whether they are sent again";
    DELIVERY_PARTITIONS = "belay.delivery.partitions", "{partition}", Gauge, [],
        "Partitions of the feed that this instance delivers";
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Instrument> {
    [OF_SERVER, OF_PORT, OF_TLS, OF_DELIVERIES]
        .into_iter()
        .flatten()
}
