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
use super::config::{Contents, HttpVersions, LoadedTls, TlsSettings, build};
use super::failures::{FailedHandshake, FailureLines};
use crate::auth::peer::PeerName;
use crate::telemetry::tls::TlsMetrics;
use crate::trusted_file::{self, Looks};

/// A certificate, or a revocation list, that expires sooner is warned of.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 3_600);
/// Between two warnings.
const EXPIRY_WARNING_INTERVAL: Duration = Duration::from_secs(24 * 3_600);

/// TLS of one port.
pub struct Front {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    taken: RwLock<LoadedTls>,
    looks: Mutex<Looks>,
    /// When an expiry was warned of.
    warned: Mutex<Option<Duration>>,
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

impl Front {
    /// # Errors
    /// Where the files cannot be read or do not go together.
    pub fn open(settings: TlsSettings, metrics: TlsMetrics) -> Result<Self, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let contents = Contents::read(&settings)?;
        contents.key.warn_of_readers(&settings.key, "a private key");
        let taken = build(&settings, &contents, &provider)?;
        metrics.expires(taken.expires);
        let hash = contents.hash();
        let front = Self {
            settings,
            provider,
            taken: RwLock::new(taken),
            looks: Mutex::new(Looks::after(hash)),
            warned: Mutex::default(),
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
        versions: HttpVersions,
    ) -> Option<(TlsStream<TcpStream>, Arc<[PeerName]>)> {
        let peer = stream.peer_addr().ok();
        let shaken = self.shake_hands(stream, versions);
        let accepted = tokio::time::timeout(self.settings.handshake_max, shaken).await;
        let failure = match accepted {
            Ok(Ok(accepted)) => return Some(accepted),
            Ok(Err(failure)) => failure,
            Err(_) => FailedHandshake::timed_out(),
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
        versions: HttpVersions,
    ) -> Result<(TlsStream<TcpStream>, Arc<[PeerName]>), FailedHandshake> {
        let config = {
            let taken = self.taken.read().unwrap_or_else(PoisonError::into_inner);
            taken.config(versions)
        };
        let accepted = TlsAcceptor::from(config).accept(stream).await;
        let stream = accepted.map_err(|error: io::Error| FailedHandshake::of(&error))?;
        let (_, session) = stream.get_ref();
        if !versions.are_met(session.alpn_protocol()) {
            return Err(FailedHandshake::without_alpn());
        }
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let names = shown.map_or_else(Vec::new, |shown| certificate::names(shown));
        Ok((stream, names.into()))
    }

    /// Looks at the files, and takes over what has changed. Says whether a change was taken;
    /// nothing where there is none. Reads files.
    pub fn look(&self) -> Option<bool> {
        let contents = Contents::read(&self.settings);
        let found = trusted_file::found(contents.as_ref().map(Contents::hash));
        let is_to_be_checked = {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            looks.is_to_be_checked(found)
        };
        let now = now();
        let is_taken = is_to_be_checked.then(|| {
            match contents.and_then(|contents| self.check(&contents, now)) {
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
                    *self.warned.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    true
                }
                Err(error) => {
                    tracing::error!(%error, "TLS goes on with the files from before");
                    false
                }
            }
        });
        self.warn_of_expiry(now);
        is_taken
    }

    fn check(&self, contents: &Contents, now: Duration) -> Result<LoadedTls, String> {
        let taken = build(&self.settings, contents, &self.provider)?;
        if taken.expires <= now {
            let error = "the certificate has expired";
            return Err(super::pem::told(&self.settings.certificate, error));
        }
        Ok(taken)
    }

    fn warn_of_expiry(&self, now: Duration) {
        let (certificate, revocations) = {
            let taken = self.taken.read().unwrap_or_else(PoisonError::into_inner);
            (taken.expires, taken.revocations_expire)
        };
        let first = revocations.map_or(certificate, |list| list.min(certificate));
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let since_warned = warned.map(|warned| now.saturating_sub(warned));
        if !is_warned_of(first.saturating_sub(now), since_warned) {
            return;
        }
        *warned = Some(now);
        let clients = self.settings.clients.as_ref();
        let revocation_file = clients.and_then(|clients| clients.revocations.as_deref());
        let files = [
            (
                Some(self.settings.certificate.as_path()),
                Some(certificate),
                "callers are shown it",
            ),
            (
                revocation_file,
                revocations,
                "without it no certificate of a client is believed",
            ),
        ];
        for (file, expires, why) in files {
            let (Some(file), Some(expires)) = (file, expires) else {
                continue;
            };
            let (file, left) = (file.display(), expires.saturating_sub(now));
            if left.is_zero() {
                tracing::error!(%file, why, "a file of TLS has expired");
            } else if left < EXPIRY_WARNING {
                tracing::warn!(%file, why, hours_left = left.as_secs() / 3_600, "a file of TLS expires");
            }
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
