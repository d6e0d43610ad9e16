//! TLS in front: it shakes hands with those who connect, and takes over files that have changed.
//! Connections that are open keep what they began with.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate;
use super::config::{ALPN, Contents, Taken, TlsSettings, build};
use super::failures::{Failure, FailureLines};
use crate::auth::peer::PeerName;
use crate::telemetry::tls::TlsMetrics;

/// A certificate that expires sooner is warned of.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 3_600);
/// Between two warnings.
const EXPIRY_WARNING_INTERVAL: Duration = Duration::from_secs(24 * 3_600);

/// TLS of one port.
pub struct Front {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    taken: RwLock<Taken>,
    looks: Mutex<Looks>,
    failures: Mutex<FailureLines>,
    metrics: TlsMetrics,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// What the looks at the files have found.
#[derive(Debug)]
struct Looks {
    /// What was tried last: it is taken, or was told to be faulty.
    judged: blake3::Hash,
    last: blake3::Hash,
    /// When the expiry was warned of.
    warned: Option<Duration>,
}

impl Looks {
    /// Whether what a look finds is to be tried: it is new, and was the same at two looks, so that
    /// it is not half written.
    fn is_to_be_judged(&mut self, found: blake3::Hash) -> bool {
        let is_settled = self.last == found;
        self.last = found;
        if is_settled && self.judged != found {
            self.judged = found;
            return true;
        }
        false
    }
}

impl Front {
    /// # Errors
    /// Where the files cannot be read or do not go together.
    pub fn open(settings: TlsSettings, metrics: TlsMetrics) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let contents = Contents::read(&settings)?;
        let taken = build(&settings, &contents, &provider)?;
        metrics.expires(taken.expires);
        let hash = contents.hash();
        let front = Self {
            settings,
            provider,
            taken: RwLock::new(taken),
            looks: Mutex::new(Looks {
                judged: hash,
                last: hash,
                warned: None,
            }),
            failures: Mutex::default(),
            metrics,
        };
        front.warn_of_expiry(now());
        Ok(front)
    }

    pub fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Shakes hands, within the time for it; returns the stream and the names that the client has
    /// proved. A failure is counted and told here.
    pub async fn accept(
        &self,
        stream: TcpStream,
    ) -> Option<(TlsStream<TcpStream>, Arc<[PeerName]>)> {
        let peer = stream.peer_addr().ok();
        let accepted =
            tokio::time::timeout(self.settings.handshake_max, self.shake_hands(stream)).await;
        let failure = match accepted {
            Ok(Ok(accepted)) => return Some(accepted),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::timed_out(),
        };
        self.metrics.failed(failure.kind);
        let mut lines = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = lines.is_due(failure.kind, tokio::time::Instant::now()) {
            tracing::warn!(
                peer = peer.map(|peer| tracing::field::display(peer.ip())),
                cause = failure.kind.name(),
                error = %failure.told,
                left_out,
                "a TLS handshake failed"
            );
        }
        None
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Arc<[PeerName]>), Failure> {
        let config = {
            let taken = self.taken.read().unwrap_or_else(PoisonError::into_inner);
            taken.config.clone()
        };
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        let stream = accepted.map_err(|error: io::Error| Failure::of(&error))?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(ALPN) {
            return Err(Failure::without_alpn());
        }
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let names = shown.map_or_else(Vec::new, |shown| certificate::names(shown));
        Ok((stream, names.into()))
    }

    /// Looks at the files, and takes over what has changed. Reads files.
    pub fn look(&self) {
        let contents = Contents::read(&self.settings);
        let found = match &contents {
            Ok(contents) => contents.hash(),
            Err(error) => blake3::hash(error.as_bytes()),
        };
        let is_to_be_judged = {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            looks.is_to_be_judged(found)
        };
        let now = now();
        if is_to_be_judged {
            match contents.and_then(|contents| self.judge(&contents, now)) {
                Ok(taken) => {
                    let expires = jiff::Timestamp::UNIX_EPOCH
                        .checked_add(taken.expires)
                        .map(|expires| expires.to_string());
                    tracing::info!(
                        expires = expires.unwrap_or_default(),
                        "the files of TLS have changed and are taken"
                    );
                    self.metrics.expires(taken.expires);
                    *self.taken.write().unwrap_or_else(PoisonError::into_inner) = taken;
                    let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
                    looks.warned = None;
                }
                Err(error) => {
                    tracing::error!(%error, "TLS goes on with the files from before")
                }
            }
        }
        self.warn_of_expiry(now);
    }

    fn judge(&self, contents: &Contents, now: Duration) -> Result<Taken, String> {
        let taken = build(&self.settings, contents, &self.provider)?;
        if taken.expires <= now {
            let error = "the certificate has expired";
            return Err(super::pem::told(&self.settings.certificate, error));
        }
        Ok(taken)
    }

    fn warn_of_expiry(&self, now: Duration) {
        let expires = {
            let taken = self.taken.read().unwrap_or_else(PoisonError::into_inner);
            taken.expires
        };
        let left = expires.saturating_sub(now);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_warned_of(left, looks.warned.map(|warned| now.saturating_sub(warned))) {
            return;
        }
        looks.warned = Some(now);
        let file = self.settings.certificate.display();
        if left.is_zero() {
            tracing::error!(%file, "the certificate that callers are shown has expired");
        } else {
            let hours_left = left.as_secs() / 3_600;
            tracing::warn!(%file, hours_left, "the certificate that callers are shown expires");
        }
    }
}

/// Whether it is time to warn, with so much time left and the last warning so long ago.
fn is_warned_of(left: Duration, since_warned: Option<Duration>) -> bool {
    left < EXPIRY_WARNING && since_warned.is_none_or(|since| since >= EXPIRY_WARNING_INTERVAL)
}

/// The wall clock, by which certificates expire. Nothing else is decided by it.
#[expect(
    clippy::disallowed_methods,
    reason = "certificates know nothing of the database's clock"
)]
fn now() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_judged_once_and_only_after_two_looks_that_agree() {
        let [first, second, third] = [b"1", b"2", b"3"].map(|text| blake3::hash(text));
        let mut looks = Looks {
            judged: first,
            last: first,
            warned: None,
        };
        let found = [
            (first, false),
            (second, false),
            // Still being written.
            (third, false),
            (third, true),
            (third, false),
            (second, false),
            (second, true),
            // Back to what is in use, or was: the last that was judged is what counts.
            (third, false),
            (second, false),
            (second, false),
        ];
        for (step, (hash, expected)) in found.into_iter().enumerate() {
            assert_eq!(looks.is_to_be_judged(hash), expected, "step {step}");
        }
    }

    #[test]
    fn the_expiry_is_warned_of_once_a_day() {
        let second = Duration::from_secs(1);
        let day = EXPIRY_WARNING_INTERVAL;
        assert!(!is_warned_of(EXPIRY_WARNING, None));
        assert!(is_warned_of(EXPIRY_WARNING - second, None));
        assert!(is_warned_of(Duration::ZERO, None));
        assert!(!is_warned_of(Duration::ZERO, Some(day - second)));
        assert!(is_warned_of(Duration::ZERO, Some(day)));
    }
}
