//! The claims of a token: when it is valid, and which caller it stands for.

use std::time::Duration;

use belay_domain::document::{Errors, Node};
use belay_domain::scope::Caller;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::auth::described;
use crate::auth::failed_logins::FailedLogin;
use crate::telemetry::logins::Cause;

/// The claim that names the caller where none of Belay's own does.
const SUBJECT: &str = "sub";
/// The end of that claim's name.
const ACTOR: &str = "actor";
const ID: &str = "id";

/// When the token ends, the leeway included; or why it does not hold now. `exp` is required, `nbf`
/// and `iat` count where they are there.
pub(super) fn check_times(
    claims: &Map<String, Value>,
    now: Timestamp,
    leeway: Duration,
) -> Result<Timestamp, FailedLogin> {
    let at = |claim: &str| match claims.get(claim) {
        None => Ok(None),
        Some(value) => instant(value)
            .map(Some)
            .ok_or_else(|| FailedLogin::of(Cause::ClaimsWrong, format!("{claim} is no time"))),
    };
    let expires = at("exp")?.ok_or(Cause::ClaimsWrong)?;
    let expires = expires.checked_add(leeway).unwrap_or(Timestamp::MAX);
    if expires <= now {
        return Err(Cause::TokenExpired.into());
    }
    let latest = now.checked_add(leeway).unwrap_or(Timestamp::MAX);
    for claim in ["nbf", "iat"] {
        if at(claim)?.is_some_and(|begins| begins > latest) {
            return Err(FailedLogin::of(Cause::TokenTooEarly, claim.to_owned()));
        }
    }
    Ok(expires)
}

/// Seconds since 1970, of which there may be parts.
fn instant(value: &Value) -> Option<Timestamp> {
    let since = SignedDuration::try_from_secs_f64(value.as_f64()?).ok()?;
    let at = Timestamp::UNIX_EPOCH.checked_add(since).ok()?;
    (at >= Timestamp::UNIX_EPOCH).then_some(at)
}

/// The caller that the claims describe. Their names are those of a key file behind a prefix, but
/// for the id, which is `actor`; it is `sub` where that is not there.
pub(super) fn caller(claims: &Map<String, Value>, prefix: &str) -> Result<Caller, FailedLogin> {
    let mut description = Map::new();
    for key in described::KEYS {
        let claim = if key == ID {
            claims
                .get(&format!("{prefix}{ACTOR}"))
                .or_else(|| claims.get(SUBJECT))
        } else {
            claims.get(&format!("{prefix}{key}"))
        };
        if let Some(claim) = claim {
            description.insert(key.to_owned(), claim.clone());
        }
    }
    let description = Value::Object(description);
    let mut errors = Errors::default();
    let entry = Node::root(&description).object(&described::KEYS, &mut errors);
    let caller = entry.and_then(|entry| described::caller(&entry, &mut errors));
    let first = errors.into_list().into_iter().next();
    match (caller, first) {
        (Some(caller), None) => Ok(caller),
        (_, Some(error)) => Err(FailedLogin::of(Cause::ClaimsWrong, error.to_string())),
        (None, None) => Err(Cause::ClaimsWrong.into()),
    }
}
