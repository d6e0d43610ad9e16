//! The instruments of TLS in front. A server without TLS has none of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use super::instruments::{CAUSE, CERTIFICATE_EXPIRES, HANDSHAKE_FAILURES};
use super::metrics::Metrics;

/// The kind of a failed handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// What came is no TLS.
    NotTls,
    /// No version, or no cryptography, in common.
    Incompatible,
    /// The client did not say that it speaks HTTP/2.
    Alpn,
    /// The client must show a certificate and showed none.
    CertificateMissing,
    /// The client's certificate is on a list of those revoked.
    CertificateRevoked,
    /// The client's certificate is not one to believe.
    CertificateInvalid,
    /// The client ended it: as a rule it does not trust the server's certificate.
    RefusedByClient,
    /// It was not over in time.
    TimedOut,
    /// The connection ended before it was over.
    Closed,
    /// The client did not keep to the protocol.
    Other,
}

impl FailureKind {
    pub const ALL: [FailureKind; 10] = [
        FailureKind::NotTls,
        FailureKind::Incompatible,
        FailureKind::Alpn,
        FailureKind::CertificateMissing,
        FailureKind::CertificateRevoked,
        FailureKind::CertificateInvalid,
        FailureKind::RefusedByClient,
        FailureKind::TimedOut,
        FailureKind::Closed,
        FailureKind::Other,
    ];

    /// For metrics and log fields.
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::NotTls => "not_tls",
            FailureKind::Incompatible => "incompatible",
            FailureKind::Alpn => "alpn",
            FailureKind::CertificateMissing => "certificate_missing",
            FailureKind::CertificateRevoked => "certificate_revoked",
            FailureKind::CertificateInvalid => "certificate_invalid",
            FailureKind::RefusedByClient => "refused_by_client",
            FailureKind::TimedOut => "timed_out",
            FailureKind::Closed => "closed",
            FailureKind::Other => "other",
        }
    }
}

/// The instruments of TLS of one port.
#[derive(Clone)]
pub struct TlsMetrics {
    failures: Counter<u64>,
    expires: Arc<AtomicU64>,
}

impl fmt::Debug for TlsMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsMetrics")
    }
}

impl TlsMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        let meter = metrics.meter();
        let failures = meter
            .u64_counter(HANDSHAKE_FAILURES.name)
            .with_unit(HANDSHAKE_FAILURES.unit);
        let failures = failures.with_description(HANDSHAKE_FAILURES.help).build();
        // Whoever watches how fast a counter grows must see it before it does.
        for kind in FailureKind::ALL {
            failures.add(0, &[KeyValue::new(CAUSE, kind.name())]);
        }
        let expires = Arc::<AtomicU64>::default();
        let observed = expires.clone();
        let gauge = meter
            .u64_observable_gauge(CERTIFICATE_EXPIRES.name)
            .with_unit(CERTIFICATE_EXPIRES.unit);
        gauge
            .with_description(CERTIFICATE_EXPIRES.help)
            .with_callback(move |to| to.observe(observed.load(Ordering::Relaxed), &[]))
            .build();
        Self { failures, expires }
    }

    pub(crate) fn failed(&self, kind: FailureKind) {
        self.failures.add(1, &[KeyValue::new(CAUSE, kind.name())]);
    }

    /// Since the beginning of 1970.
    pub(crate) fn expires(&self, expires: Duration) {
        self.expires.store(expires.as_secs(), Ordering::Relaxed);
    }
}
