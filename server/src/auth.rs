//! The caller of a request, and how far it sees: by headers that are believed, or by what a call
//! brings: a secret of the key file, a JWT of an issuer, a certificate. Which roles may call what
//! is in `belay_wire::auth`.

mod described;
pub mod failed_logins;
pub mod jwt;
pub mod key_file;
pub mod peer;
pub mod proxy;
pub(crate) mod session;

use std::sync::Arc;

use belay_wire::auth::{SetBy, Token, named, token};
use belay_wire::status::CallError;
use http::HeaderMap;
use jiff::Timestamp;

use self::failed_logins::{FailedLogin, FailedLogins};
use self::jwt::Jwt;
use self::key_file::{Credential, KeyFile};
use self::peer::Peer;
use self::proxy::Proxy;
use self::session::{Login, Session};
use crate::telemetry::logins::Cause;
use crate::telemetry::metrics::Metrics;

/// The way in which callers are authenticated.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// Headers are believed; who names no role is the operator. For a machine of one's own.
    Dev,
    /// Headers are believed, because a proxy sets them, and a role must be there.
    TrustedHeaders,
    /// The same, of calls that the proxy proves to have sent.
    Proxy(Arc<Proxy>),
    /// By what a call brings; headers that name a role or a scope count for nothing.
    Credentials(Arc<Credentials>),
}

impl Authentication {
    /// By the secrets and certificates of a key file alone.
    pub fn key_file(key_file: Arc<KeyFile>) -> Self {
        Self::Credentials(Arc::new(Credentials {
            key_file: Some(key_file),
            jwt: None,
            failed_logins: FailedLogins::default(),
        }))
    }
}

/// The stores of callers' credentials; at least one of the key file and the issuer is there.
#[derive(Debug)]
pub struct Credentials {
    pub key_file: Option<Arc<KeyFile>>,
    pub jwt: Option<Arc<Jwt>>,
    pub failed_logins: FailedLogins,
}

/// Authenticates a caller: its actor, its scope, and until when it counts.
pub(crate) async fn authenticate(
    authentication: &Authentication,
    headers: &HeaderMap,
    peer: Option<&Peer>,
    metrics: &Metrics,
) -> Result<Login, CallError> {
    let credentials = match authentication {
        Authentication::Dev => return Ok(Login::believed(named(headers, SetBy::Anybody)?)),
        Authentication::TrustedHeaders => {
            return Ok(Login::believed(named(headers, SetBy::Proxy)?));
        }
        Authentication::Proxy(proxy) if proxy.sent(headers, peer) => {
            return Ok(Login::believed(named(headers, SetBy::Proxy)?));
        }
        Authentication::Proxy(_) => return Err(CallError::CallerUnknown),
        Authentication::Credentials(credentials) => credentials,
    };
    let now = wall_time();
    match credentials.login(headers, peer, now).await {
        Ok(login) => Ok(login),
        Err(failure) => {
            let is_throttled = failure.cause == Cause::Throttled;
            credentials.failed_logins.record(&failure, peer, metrics);
            // Which of the others it is, is for the log alone.
            Err(if is_throttled {
                CallError::Overloaded
            } else {
                CallError::CallerUnknown
            })
        }
    }
}

impl Credentials {
    async fn login(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
        now: Timestamp,
    ) -> Result<Login, FailedLogin> {
        let by_names = match (&self.key_file, peer) {
            (Some(file), Some(peer)) => file.by_names(&peer.names)?,
            (Some(_) | None, _) => None,
        };
        let by_token = match token(headers) {
            Token::None => None,
            Token::Malformed => return Err(Cause::TokenMalformed.into()),
            Token::Bearer(token) => Some(self.by_token(token, peer, now).await?),
        };
        together(by_token, by_names, now)
    }

    async fn by_token(
        &self,
        token: &str,
        peer: Option<&Peer>,
        now: Timestamp,
    ) -> Result<Credential, FailedLogin> {
        let secret = self
            .key_file
            .as_ref()
            .and_then(|file| file.by_secret(token));
        if let Some(credential) = secret {
            return Ok(credential);
        }
        let Some(jwt) = self.jwt.as_ref().filter(|_| jwt::looks_like_one(token)) else {
            return Err(Cause::TokenUnknown.into());
        };
        if let Some(credential) = jwt.verified_before(token, now) {
            return Ok(credential);
        }
        if self.failed_logins.is_over(peer) {
            return Err(Cause::Throttled.into());
        }
        jwt.verify(token, now).await
    }
}

/// The login of who brings these: one of them, or both where they stand for the same caller.
fn together(
    by_token: Option<Credential>,
    by_names: Option<Credential>,
    now: Timestamp,
) -> Result<Login, FailedLogin> {
    let brought: Vec<Credential> = match (by_token, by_names) {
        (None, None) => return Err(Cause::NoToken.into()),
        (Some(token), None) if token.requires_both => return Err(Cause::CertificateMissing.into()),
        (None, Some(names)) if names.requires_both => return Err(Cause::NoToken.into()),
        (Some(token), Some(names)) if token.caller != names.caller => {
            return Err(Cause::CallersDiffer.into());
        }
        (token, names) => token.into_iter().chain(names).collect(),
    };
    let expires = brought
        .iter()
        .filter_map(|credential| credential.expires)
        .min();
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Cause::TokenExpired.into());
    }
    let Some(first) = brought.first() else {
        return Err(Cause::NoToken.into());
    };
    let caller = first.caller.clone();
    let withdrawn = brought.into_iter().map(|credential| credential.withdrawn);
    let expires = expires.and_then(|expires| session::instant(expires, now));
    let session = Session::of(withdrawn.collect(), expires);
    Ok(Login { caller, session })
}

/// The wall clock, by which those who give out credentials say when these end. Nothing else is
/// decided by it.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever issues a token knows nothing of the database's clock"
)]
fn wall_time() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests;
