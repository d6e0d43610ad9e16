//! The instruments of the port, in one table as the others of a server are.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use super::metrics::{Instrument, Kind, Metrics};

/// The table.
pub const INSTRUMENTS: [Instrument; 2] = [CONNECTIONS, REFUSED];

const CONNECTIONS: Instrument = Instrument {
    name: "belay.port.connections",
    unit: "{connection}",
    kind: Kind::Gauge,
    help: "Connections of callers that are open, by whether they are served or only asked for health",
};
const REFUSED: Instrument = Instrument {
    name: "belay.port.refused",
    unit: "{connection}",
    kind: Kind::Counter,
    help: "Connections that the port did not serve, by why",
};

const PLACE: &str = "belay.place";
const CAUSE: &str = "belay.cause";

/// The cause for which a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many as there may be.
    All,
    /// There are as many from its address as there may be.
    Address,
    /// The process has as many descriptors as it may.
    Descriptors,
    /// It did not say in time that it speaks HTTP/2.
    Preface,
}

impl Refusal {
    const ALL: [Self; 4] = [Self::All, Self::Address, Self::Descriptors, Self::Preface];

    fn name(self) -> &'static str {
        match self {
            Refusal::All => "all",
            Refusal::Address => "address",
            Refusal::Descriptors => "descriptors",
            Refusal::Preface => "preface",
        }
    }
}

/// The connections that are open now.
#[derive(Debug, Default)]
struct Open {
    served: AtomicU64,
    reserve: AtomicU64,
}

/// The instruments of one port.
#[derive(Clone)]
pub(crate) struct PortMetrics {
    refused: Counter<u64>,
    open: Arc<Open>,
}

impl fmt::Debug for PortMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortMetrics")
    }
}

impl PortMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let meter = metrics.meter();
        let refused = meter.u64_counter(REFUSED.name).with_unit(REFUSED.unit);
        let refused = refused.with_description(REFUSED.help).build();
        // Whoever watches how fast a counter grows must see it before it does.
        for refusal in Refusal::ALL {
            refused.add(0, &[KeyValue::new(CAUSE, refusal.name())]);
        }
        let open = Arc::<Open>::default();
        let observed = open.clone();
        let gauge = meter.u64_observable_gauge(CONNECTIONS.name);
        let gauge = gauge.with_unit(CONNECTIONS.unit);
        gauge
            .with_description(CONNECTIONS.help)
            .with_callback(move |to| {
                let places = [("served", &observed.served), ("reserve", &observed.reserve)];
                for (place, open) in places {
                    to.observe(open.load(Ordering::Relaxed), &[KeyValue::new(PLACE, place)]);
                }
            })
            .build();
        Self { refused, open }
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused.add(1, &[KeyValue::new(CAUSE, refusal.name())]);
    }

    pub(crate) fn connections_are(&self, served: u64, reserve: u64) {
        self.open.served.store(served, Ordering::Relaxed);
        self.open.reserve.store(reserve, Ordering::Relaxed);
    }
}
