//! The kinds of failed handshakes, which are counted, and the lines that tell of them.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use rustls::{CertificateError, Error};
use tokio::time::Instant;

use crate::telemetry::tls::FailureKind;

/// Between two lines that tell of the same kind.
pub const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// A handshake that failed.
#[derive(Debug)]
pub(super) struct FailedHandshake {
    pub(super) kind: FailureKind,
    pub(super) told: String,
}

impl FailedHandshake {
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        Self {
            kind: inner.map_or(FailureKind::Closed, kind_of),
            told: error.to_string(),
        }
    }

    pub(super) fn timed_out() -> Self {
        Self {
            kind: FailureKind::TimedOut,
            told: "it was not over in time".to_owned(),
        }
    }

    pub(super) fn without_alpn() -> Self {
        Self {
            kind: FailureKind::Alpn,
            told: "the client did not say that it speaks h2".to_owned(),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "rustls may add errors")]
fn kind_of(error: &Error) -> FailureKind {
    match error {
        Error::InvalidMessage(_) => FailureKind::NotTls,
        Error::PeerIncompatible(_) => FailureKind::Incompatible,
        Error::NoApplicationProtocol => FailureKind::Alpn,
        Error::NoCertificatesPresented => FailureKind::CertificateMissing,
        Error::InvalidCertificate(CertificateError::Revoked) => FailureKind::CertificateRevoked,
        Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_) => {
            FailureKind::CertificateInvalid
        }
        Error::AlertReceived(_) => FailureKind::RefusedByClient,
        _ => FailureKind::Other,
    }
}

/// The lines that tell of failures: one a minute for each kind.
#[derive(Debug, Default)]
pub(super) struct FailureLines(BTreeMap<FailureKind, ReportedFailures>);

#[derive(Debug)]
struct ReportedFailures {
    last: Instant,
    left_out: u64,
}

impl FailureLines {
    /// Whether a line is due, and how many were left out since the last one.
    pub(super) fn is_due(&mut self, kind: FailureKind, now: Instant) -> Option<u64> {
        match self.0.get_mut(&kind) {
            Some(told) if now.saturating_duration_since(told.last) < LINE_INTERVAL => {
                told.left_out += 1;
                None
            }
            Some(_) | None => {
                let last = ReportedFailures {
                    last: now,
                    left_out: 0,
                };
                let before = self.0.insert(kind, last);
                Some(before.map_or(0, |told| told.left_out))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_failure_is_told_once_a_minute() {
        let begin = Instant::now();
        let mut lines = FailureLines::default();
        let second = Duration::from_secs(1);
        let (plain, late) = (FailureKind::NotTls, FailureKind::TimedOut);
        assert_eq!(lines.is_due(plain, begin), Some(0));
        assert_eq!(lines.is_due(plain, begin + LINE_INTERVAL - second), None);
        assert_eq!(lines.is_due(plain, begin), None);
        assert_eq!(lines.is_due(late, begin), Some(0));
        assert_eq!(lines.is_due(plain, begin + LINE_INTERVAL), Some(2));
        assert_eq!(lines.is_due(plain, begin + LINE_INTERVAL + second), None);
    }
}
