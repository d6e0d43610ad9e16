//! The callers of a key file, as calls look them up.

use std::collections::{BTreeSet, HashMap};

use belay_domain::scope::Caller;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::auth::peer::PeerName;
use crate::telemetry::logins::Cause;

/// A caller of the file with its credentials.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) caller: Caller,
    pub(super) secrets: Vec<Secret>,
    pub(super) certificates: BTreeSet<PeerName>,
    /// Neither a secret nor a certificate is enough by itself.
    pub(super) requires_both: bool,
}

/// The hash of a secret, and the end of its time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret {
    pub(super) hash: blake3::Hash,
    pub(super) expires: Option<Timestamp>,
}

/// A credential, with the caller that brings it.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) caller: Caller,
    pub(crate) expires: Option<Timestamp>,
    /// It is not enough by itself.
    pub(crate) requires_both: bool,
    /// Cancelled when the credential is withdrawn, or lets its caller see less.
    pub(crate) withdrawn: CancellationToken,
}

impl Credential {
    fn of(entry: &Entry, expires: Option<Timestamp>) -> Self {
        Self {
            caller: entry.caller.clone(),
            expires,
            requires_both: entry.requires_both,
            withdrawn: CancellationToken::new(),
        }
    }

    /// Whether who was let in by this may go on by `next`.
    fn goes_on_as(&self, next: &Self) -> bool {
        let ends_earlier = match (self.expires, next.expires) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(after)) => after < before,
        };
        self.caller.actor == next.caller.actor
            && next.caller.scope.covers(&self.caller.scope)
            && self.requires_both == next.requires_both
            && !ends_earlier
    }
}

/// The callers of a file, by what they bring.
///
/// A secret is looked up by its hash in a table, and how long that takes tells nothing of use: what
/// differs with time is how much of the hash of a guess is the hash of a secret, and nobody who
/// does not have the secret can steer that.
#[derive(Default)]
pub(super) struct KnownCallers {
    pub(super) entries: Vec<Entry>,
    by_secret: HashMap<blake3::Hash, Credential>,
    by_certificate: HashMap<PeerName, Credential>,
}

impl KnownCallers {
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        let (mut by_secret, mut by_certificate) = (HashMap::new(), HashMap::new());
        for entry in &entries {
            for secret in &entry.secrets {
                by_secret.insert(secret.hash, Credential::of(entry, secret.expires));
            }
            for name in &entry.certificates {
                by_certificate.insert(name.clone(), Credential::of(entry, None));
            }
        }
        Self {
            entries,
            by_secret,
            by_certificate,
        }
    }

    pub(super) fn by_secret(&self, token: &str) -> Option<Credential> {
        let hash = blake3::hash(token.as_bytes());
        self.by_secret.get(&hash).cloned()
    }

    /// The caller that these names stand for; names that the file does not know stand for none.
    pub(super) fn by_names(&self, names: &[PeerName]) -> Result<Option<Credential>, Cause> {
        let mut found: Option<&Credential> = None;
        for credential in names
            .iter()
            .filter_map(|name| self.by_certificate.get(name))
        {
            if found.is_some_and(|first| first.caller != credential.caller) {
                return Err(Cause::CallersDiffer);
            }
            found = Some(credential);
        }
        Ok(found.cloned())
    }

    /// Takes over from `before`: sessions of credentials that still count go on, all others end.
    pub(super) fn succeed(&mut self, before: &Self) {
        for (hash, old) in &before.by_secret {
            old.pass_to(self.by_secret.get_mut(hash));
        }
        for (name, old) in &before.by_certificate {
            old.pass_to(self.by_certificate.get_mut(name));
        }
    }
}

impl Credential {
    fn pass_to(&self, next: Option<&mut Self>) {
        match next {
            Some(next) if self.goes_on_as(next) => next.withdrawn = self.withdrawn.clone(),
            Some(_) | None => self.withdrawn.cancel(),
        }
    }
}
