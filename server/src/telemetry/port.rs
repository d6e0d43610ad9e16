//! The instruments of the port.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use super::instruments::{
    CAUSE, HELD, PLACE, PORT, PORT_BYTES, PORT_CONNECTIONS, PORT_REFUSED, STREAMS_RESET,
};
use super::metrics::Metrics;

/// The cause for which a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionRefusal {
    /// There are as many as there may be.
    All,
    /// There are as many from its address as there may be.
    Address,
    /// The process has as many descriptors as it may.
    Descriptors,
    /// It did not say in time what it speaks.
    Preface,
}

impl ConnectionRefusal {
    const ALL: [Self; 4] = [Self::All, Self::Address, Self::Descriptors, Self::Preface];

    fn name(self) -> &'static str {
        match self {
            ConnectionRefusal::All => "all",
            ConnectionRefusal::Address => "address",
            ConnectionRefusal::Descriptors => "descriptors",
            ConnectionRefusal::Preface => "preface",
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
    meter: Meter,
    of_port: KeyValue,
    refused: Counter<u64>,
    streams_reset: Counter<u64>,
    open: Arc<Open>,
}

impl fmt::Debug for PortMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortMetrics")
    }
}

impl PortMetrics {
    /// Of the port of this name.
    pub(crate) fn new(metrics: &Metrics, port: &'static str) -> Self {
        let meter = metrics.meter();
        let of_port = KeyValue::new(PORT, port);
        let refused = meter
            .u64_counter(PORT_REFUSED.name)
            .with_unit(PORT_REFUSED.unit);
        let refused = refused.with_description(PORT_REFUSED.help).build();
        // Whoever watches how fast a counter grows must see it before it does.
        for refusal in ConnectionRefusal::ALL {
            refused.add(0, &[of_port.clone(), KeyValue::new(CAUSE, refusal.name())]);
        }
        let reset = meter.u64_counter(STREAMS_RESET.name);
        let reset = reset.with_unit(STREAMS_RESET.unit);
        let streams_reset = reset.with_description(STREAMS_RESET.help).build();
        streams_reset.add(0, std::slice::from_ref(&of_port));
        let open = Arc::<Open>::default();
        let (observed, port) = (open.clone(), of_port.clone());
        let gauge = meter.u64_observable_gauge(PORT_CONNECTIONS.name);
        let gauge = gauge.with_unit(PORT_CONNECTIONS.unit);
        gauge
            .with_description(PORT_CONNECTIONS.help)
            .with_callback(move |to| {
                let places = [("served", &observed.served), ("reserve", &observed.reserve)];
                for (place, open) in places {
                    let place = KeyValue::new(PLACE, place);
                    to.observe(open.load(Ordering::Relaxed), &[port.clone(), place]);
                }
            })
            .build();
        Self {
            meter: meter.clone(),
            of_port,
            refused,
            streams_reset,
            open,
        }
    }

    /// Of requests and of answers, as `read` tells them.
    pub(crate) fn observe_bytes(&self, read: impl Fn() -> [usize; 2] + Send + Sync + 'static) {
        let gauge = self.meter.u64_observable_gauge(PORT_BYTES.name);
        let gauge = gauge
            .with_unit(PORT_BYTES.unit)
            .with_description(PORT_BYTES.help);
        let port = self.of_port.clone();
        gauge
            .with_callback(move |to| {
                for (held, bytes) in ["requests", "answers"].into_iter().zip(read()) {
                    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                    to.observe(bytes, &[port.clone(), KeyValue::new(HELD, held)]);
                }
            })
            .build();
    }

    pub(crate) fn stream_reset(&self) {
        self.streams_reset
            .add(1, std::slice::from_ref(&self.of_port));
    }

    pub(crate) fn refused(&self, refusal: ConnectionRefusal) {
        let cause = KeyValue::new(CAUSE, refusal.name());
        self.refused.add(1, &[self.of_port.clone(), cause]);
    }

    pub(crate) fn connections_are(&self, served: u64, reserve: u64) {
        self.open.served.store(served, Ordering::Relaxed);
        self.open.reserve.store(reserve, Ordering::Relaxed);
    }
}
