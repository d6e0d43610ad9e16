//! JSON web tokens of one issuer: a caller is who the claims say, once the signature holds.
//!
//! The library checks the signature, the issuer and the audience. What the times come to is decided
//! here, by a clock that is given; which key counts is decided by the set of keys alone, and
//! nothing that a token says of keys but the `kid` is looked at.

mod algorithm;
pub mod arguments;
mod claims;
mod keys;
mod source;
#[cfg(test)]
pub(super) mod testing;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use belay_domain::scope::Caller;
use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::algorithm::Algorithms;
use self::keys::{KeySet, VerifyingKey};
pub use self::source::{KeySource, KeySourceError};
use super::failed_logins::FailedLogin;
use super::key_file::Credential;
use crate::telemetry::logins::Cause;
use crate::telemetry::metrics::{KeysRead, Metrics};

/// Largest token, in bytes.
pub const JWT_BYTES_MAX: usize = 8 * 1024;
/// Tokens that are known to hold, so that each is verified once.
pub const VERIFIED_MAX: usize = 4_096;
/// Between two times that the keys are asked for because of a `kid` that no key has.
pub const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(30);
/// The longest that a call waits for them then.
pub const UNKNOWN_KEY_WAIT: Duration = Duration::from_secs(3);
/// The longest until keys that could not be read are asked for again.
const FAILED_INTERVAL_MAX: Duration = Duration::from_secs(60);
pub const LEEWAY_DEFAULT: Duration = Duration::from_secs(30);
pub const LEEWAY_MAX: Duration = Duration::from_secs(300);
pub const REFRESH_DEFAULT: Duration = Duration::from_secs(600);
pub const REFRESH_MIN: Duration = Duration::from_secs(60);
pub const REFRESH_MAX: Duration = Duration::from_secs(24 * 3_600);
pub const CLAIMS_PREFIX_DEFAULT: &str = "belay_";

/// The requirements that a token must meet.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    pub issuer: String,
    pub audience: String,
    pub algorithms: Algorithms,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Between two times that keys are asked for by URL; a file is looked at more often.
    pub refresh: Duration,
    /// Before the names of the claims that are Belay's own.
    pub claims_prefix: String,
}

/// The verifier of tokens.
#[derive(Debug)]
pub struct Jwt {
    settings: JwtSettings,
    source: KeySource,
    keys: RwLock<Arc<KeySet>>,
    verified: Mutex<HashMap<blake3::Hash, Verified>>,
    asked: Mutex<Asked>,
    /// The keys are wanted before their time.
    wanted: Notify,
    /// How often the keys have been asked for.
    rounds: watch::Sender<u64>,
}

/// The keys as they were asked for before their time.
#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    is_under_way: bool,
}

/// A token that holds.
#[derive(Debug, Clone)]
struct Verified {
    caller: Caller,
    /// The leeway is in it.
    expires: Timestamp,
    withdrawn: CancellationToken,
}

/// The two things in a header that are looked at before the signature is.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

/// Whether a token could be one: three parts, of which the first begins as `{"` does in base64.
/// The last is empty where it is unsigned, which is to be refused as what it is.
pub(super) fn looks_like_one(token: &str) -> bool {
    token.starts_with("ey") && token.split('.').count() == 3
}

impl Jwt {
    /// Reads the keys; without any there is nothing to begin with.
    pub async fn start(settings: JwtSettings, source: KeySource) -> Result<Self, KeySourceError> {
        let keys = source.read(&settings.algorithms).await?;
        Ok(Self::of(settings, source, keys))
    }

    fn of(settings: JwtSettings, source: KeySource, keys: KeySet) -> Self {
        Self {
            settings,
            source,
            keys: RwLock::new(Arc::new(keys)),
            verified: Mutex::default(),
            asked: Mutex::default(),
            wanted: Notify::new(),
            rounds: watch::Sender::new(0),
        }
    }

    /// A token that was found to hold, and still does.
    pub(super) fn verified_before(&self, token: &str, now: Timestamp) -> Option<Credential> {
        let hash = blake3::hash(token.as_bytes());
        let verified = self.verified().get(&hash).cloned()?;
        let holds = now < verified.expires && !verified.withdrawn.is_cancelled();
        holds.then(|| credential(verified))
    }

    /// Verifies a token; keys that are not known yet are waited for.
    pub(super) async fn verify(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Credential, FailedLogin> {
        let mut rounds = self.rounds.subscribe();
        let verified = match self.verify_by_present_keys(token, now) {
            Err(failure) if failure.cause == Cause::KeyUnknown && self.ask_for_keys() => {
                let asked = tokio::time::timeout(UNKNOWN_KEY_WAIT, rounds.changed()).await;
                if asked.is_err() {
                    return Err(failure);
                }
                self.verify_by_present_keys(token, now)?
            }
            verified => verified?,
        };
        self.remember(token, &verified, now);
        Ok(credential(verified))
    }

    fn verify_by_present_keys(&self, token: &str, now: Timestamp) -> Result<Verified, FailedLogin> {
        if token.len() > JWT_BYTES_MAX {
            return Err(Cause::TokenTooLarge.into());
        }
        let header = token.split('.').next().unwrap_or_default();
        let header = URL_SAFE_NO_PAD.decode(header).ok();
        let header: Option<Header> = header.and_then(|json| serde_json::from_slice(&json).ok());
        let header = header.ok_or(Cause::TokenMalformed)?;
        let known = self.settings.algorithms.named(&header.alg);
        let known = known.ok_or(Cause::AlgorithmRefused)?;
        let keys = self.keys();
        let kid = header.kid.ok_or(Cause::KeyUnknown)?;
        let key: &VerifyingKey = keys.get(&kid).ok_or(Cause::KeyUnknown)?;
        if !key.is_for(known) {
            return Err(Cause::AlgorithmRefused.into());
        }
        let mut validation = Validation::new(known.algorithm);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_exp = false;
        let claims = decode::<Map<String, Value>>(token, &key.key, &validation)
            .map_err(|error| cause_of(error.kind()))?
            .claims;
        // The library takes a list in which the issuer is named; an issuer is one.
        if claims.get("iss").and_then(Value::as_str) != Some(&self.settings.issuer) {
            return Err(Cause::IssuerWrong.into());
        }
        let expires = claims::check_times(&claims, now, self.settings.leeway)?;
        let caller = claims::caller(&claims, &self.settings.claims_prefix)?;
        Ok(Verified {
            caller,
            expires,
            withdrawn: key.withdrawn.clone(),
        })
    }

    fn remember(&self, token: &str, verified: &Verified, now: Timestamp) {
        let mut known = self.verified();
        if known.len() >= VERIFIED_MAX {
            known.retain(|_, old| now < old.expires && !old.withdrawn.is_cancelled());
        }
        if known.len() >= VERIFIED_MAX {
            known.clear();
        }
        known.insert(blake3::hash(token.as_bytes()), verified.clone());
    }

    /// Whether the keys are being asked for, also for those who ask now.
    fn ask_for_keys(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_under_way {
            return true;
        }
        let now = Instant::now();
        if asked
            .at
            .is_some_and(|at| now.duration_since(at) < UNKNOWN_KEY_INTERVAL)
        {
            return false;
        }
        *asked = Asked {
            at: Some(now),
            is_under_way: true,
        };
        self.wanted.notify_one();
        true
    }

    /// Keeps the keys as their source has them. Those that are known stay while it cannot be read.
    pub async fn keep_fresh(&self, metrics: &Metrics) {
        let mut interval = self.source.interval(self.settings.refresh);
        let mut is_failing = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.wanted.notified() => {}
            }
            interval = self.source.interval(self.settings.refresh);
            match self.source.read(&self.settings.algorithms).await {
                Ok(keys) => {
                    if is_failing {
                        tracing::info!("the keys of JWTs can be read again");
                    }
                    is_failing = false;
                    metrics.jwt_keys_read(if self.take(keys) {
                        KeysRead::Changed
                    } else {
                        KeysRead::Unchanged
                    });
                }
                Err(error) => {
                    if !is_failing {
                        tracing::error!(%error, "the keys of JWTs stay those from before");
                    }
                    is_failing = true;
                    metrics.jwt_keys_read(KeysRead::Failed);
                    interval = interval.min(FAILED_INTERVAL_MAX);
                }
            }
            self.asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_under_way = false;
            self.rounds.send_modify(|round| *round += 1);
        }
    }

    /// Whether they are others than before.
    fn take(&self, mut next: KeySet) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let change = next.succeed(&keys);
        *keys = Arc::new(next);
        drop(keys);
        let has_changed = !change.is_empty();
        if has_changed {
            tracing::info!(
                added = change.added.join(", "),
                dropped = change.dropped.join(", "),
                "the keys of JWTs have changed"
            );
        }
        has_changed
    }

    fn keys(&self) -> Arc<KeySet> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<blake3::Hash, Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn credential(verified: Verified) -> Credential {
    Credential {
        caller: verified.caller,
        expires: Some(verified.expires),
        requires_both: false,
        withdrawn: verified.withdrawn,
    }
}

/// Why the library does not take a token.
fn cause_of(error: &ErrorKind) -> Cause {
    if let ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) = error {
        return match claim.as_str() {
            "iss" => Cause::IssuerWrong,
            "aud" => Cause::AudienceWrong,
            _ => Cause::ClaimsWrong,
        };
    }
    if matches!(error, ErrorKind::InvalidSignature) {
        Cause::SignatureWrong
    } else if matches!(error, ErrorKind::InvalidIssuer) {
        Cause::IssuerWrong
    } else if matches!(error, ErrorKind::InvalidAudience) {
        Cause::AudienceWrong
    } else if matches!(
        error,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat
    ) {
        Cause::AlgorithmRefused
    } else {
        Cause::TokenMalformed
    }
}

#[cfg(test)]
mod tests;
