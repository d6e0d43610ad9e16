//! The instruments of a process that delivers events.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use super::instruments::{
    DELIVERY_ATTEMPTS, DELIVERY_HELD, DELIVERY_LAG, DELIVERY_PARTITIONS, HELD_STATE, Instrument,
    OUTCOME,
};
use super::metrics::Metrics;

/// The end of an event that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Taken,
    /// It is sent again.
    Failed,
    /// A dead letter, for the receiver refused it.
    Refused,
    /// A dead letter, for it was sent as often as may be.
    Exhausted,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::Taken, Self::Failed, Self::Refused, Self::Exhausted];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Verdict::Taken => "taken",
            Verdict::Failed => "failed",
            Verdict::Refused => "refused",
            Verdict::Exhausted => "exhausted",
        }
    }
}

/// The amount that is to be delivered, as it was seen last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) lag: u64,
    pub(crate) waiting: u64,
    pub(crate) dead: u64,
    pub(crate) partitions: u64,
}

#[derive(Debug, Default)]
struct Gauges {
    lag: AtomicU64,
    waiting: AtomicU64,
    dead: AtomicU64,
    partitions: AtomicU64,
}

/// The instruments of one process that delivers.
#[derive(Clone)]
pub(crate) struct DeliveryMetrics {
    attempts: Counter<u64>,
    gauges: Arc<Gauges>,
}

impl fmt::Debug for DeliveryMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryMetrics")
    }
}

impl DeliveryMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let meter = metrics.meter();
        let attempts = meter
            .u64_counter(DELIVERY_ATTEMPTS.name)
            .with_unit(DELIVERY_ATTEMPTS.unit);
        let attempts = attempts.with_description(DELIVERY_ATTEMPTS.help).build();
        // Whoever watches how fast a counter grows must see it before it does.
        for verdict in Verdict::ALL {
            attempts.add(0, &[KeyValue::new(OUTCOME, verdict.name())]);
        }
        let gauges = Arc::<Gauges>::default();
        type Read = fn(&Gauges) -> Vec<(&AtomicU64, Option<&'static str>)>;
        let gauge = |row: Instrument, read: Read| {
            let gauges = gauges.clone();
            let gauge = meter.u64_observable_gauge(row.name).with_unit(row.unit);
            let observed = gauge.with_description(row.help).with_callback(move |to| {
                for (value, state) in read(&gauges) {
                    let label = state.map(|state| KeyValue::new(HELD_STATE, state));
                    to.observe(value.load(Ordering::Relaxed), label.as_slice());
                }
            });
            observed.build();
        };
        gauge(DELIVERY_LAG, |gauges| vec![(&gauges.lag, None)]);
        gauge(DELIVERY_PARTITIONS, |gauges| {
            vec![(&gauges.partitions, None)]
        });
        gauge(DELIVERY_HELD, |gauges| {
            vec![
                (&gauges.waiting, Some("waiting")),
                (&gauges.dead, Some("dead")),
            ]
        });
        Self { attempts, gauges }
    }

    pub(crate) fn ended(&self, verdict: Verdict) {
        self.attempts
            .add(1, &[KeyValue::new(OUTCOME, verdict.name())]);
    }

    pub(crate) fn stands(&self, backlog: Backlog) {
        let Gauges {
            lag,
            waiting,
            dead,
            partitions,
        } = &*self.gauges;
        lag.store(backlog.lag, Ordering::Relaxed);
        waiting.store(backlog.waiting, Ordering::Relaxed);
        dead.store(backlog.dead, Ordering::Relaxed);
        partitions.store(backlog.partitions, Ordering::Relaxed);
    }
}
