//! The keys of an issuer, as its JWK set has them.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::algorithm::{Algorithms, KeyKind, SigningAlgorithm};

/// Largest set, in bytes.
pub(super) const SET_BYTES_MAX: usize = 256 * 1024;
/// Keys in one set.
pub(super) const KEYS_MAX: usize = 100;
/// Longest `kid`, in bytes.
pub(super) const KID_BYTES_MAX: usize = 256;
/// Of an RSA key, in bits; so that a token is not signed by what can be broken.
const RSA_BITS_MIN: usize = 2_048;

/// The reason why a set is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("it is no JWK set: an object with a list `keys`")]
    Malformed,
    #[error("it may have at most {KEYS_MAX} keys, and has {0}")]
    TooMany(usize),
    #[error("two of its keys have the kid {0:?}: which of them counts is not said")]
    KidTwice(String),
    #[error("none of its keys, of {keys}, has a kid and is for signatures by {algorithms}")]
    NoneUsable { keys: usize, algorithms: String },
}

/// A key that signatures are verified by.
#[derive(Debug)]
pub(super) struct VerifyingKey {
    pub(super) key: DecodingKey,
    jwk: Jwk,
    /// Cancelled when the issuer takes the key back.
    pub(super) withdrawn: CancellationToken,
}

impl VerifyingKey {
    pub(super) fn is_for(&self, known: SigningAlgorithm) -> bool {
        is_for(&self.jwk, known)
    }
}

/// The keys of an issuer by their `kid`.
#[derive(Debug)]
pub(super) struct KeySet(HashMap<String, VerifyingKey>);

/// The keys that one set has and the one before has not, and the other way round.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) added: Vec<String>,
    pub(super) dropped: Vec<String>,
}

impl Change {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. Keys for other purposes stand in it too and are left out.
    pub(super) fn parse(json: &[u8], algorithms: &Algorithms) -> Result<Self, KeySetError> {
        let set: Set = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        let count = set.keys.len();
        if count > KEYS_MAX {
            return Err(KeySetError::TooMany(count));
        }
        let mut keys = HashMap::new();
        for value in set.keys {
            let Some((kid, key)) = usable(value, algorithms) else {
                continue;
            };
            if keys.contains_key(&kid) {
                return Err(KeySetError::KidTwice(kid));
            }
            keys.insert(kid, key);
        }
        if keys.is_empty() {
            return Err(KeySetError::NoneUsable {
                keys: count,
                algorithms: algorithms.to_string(),
            });
        }
        Ok(Self(keys))
    }

    pub(super) fn get(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.get(kid)
    }

    /// Takes over from `before`: sessions by keys that are the same go on, all others end.
    pub(super) fn succeed(&mut self, before: &Self) -> Change {
        let mut change = Change::default();
        for (kid, old) in &before.0 {
            match self.0.get_mut(kid) {
                Some(new) if new.jwk == old.jwk => new.withdrawn = old.withdrawn.clone(),
                Some(_) | None => {
                    old.withdrawn.cancel();
                    change.dropped.push(kid.clone());
                }
            }
        }
        for (kid, new) in &self.0 {
            if before.get(kid).is_none_or(|old| old.jwk != new.jwk) {
                change.added.push(kid.clone());
            }
        }
        change.added.sort_unstable();
        change.dropped.sort_unstable();
        change
    }
}

/// A key with a name, for signatures by one of these algorithms.
fn usable(value: Value, algorithms: &Algorithms) -> Option<(String, VerifyingKey)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let kid = jwk.common.key_id.clone()?;
    let is_named = !kid.is_empty() && kid.len() <= KID_BYTES_MAX;
    let is_for_signatures = match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_)) => false,
    };
    let verifies = jwk
        .common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let is_taken = algorithms.iter().any(|known| is_for(&jwk, known));
    if !is_named || !is_for_signatures || !verifies || !is_taken {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let key = VerifyingKey {
        key,
        jwk,
        withdrawn: CancellationToken::new(),
    };
    Some((kid, key))
}

/// Whether the key is of the kind that the algorithm needs, and the issuer has not named another.
fn is_for(jwk: &Jwk, known: SigningAlgorithm) -> bool {
    let is_named = jwk
        .common
        .key_algorithm
        .is_none_or(|named| named == known.algorithm.into());
    is_named && kind(&jwk.algorithm) == Some(known.key)
}

/// The kind of a key that is strong enough.
fn kind(key: &AlgorithmParameters) -> Option<KeyKind> {
    if let AlgorithmParameters::RSA(key) = key {
        let modulus = URL_SAFE_NO_PAD.decode(&key.n).ok()?;
        return (modulus.len() * 8 >= RSA_BITS_MIN).then_some(KeyKind::Rsa);
    }
    if let AlgorithmParameters::EllipticCurve(key) = key {
        let curves = [
            (EllipticCurve::P256, KeyKind::P256),
            (EllipticCurve::P384, KeyKind::P384),
        ];
        let row = curves.into_iter().find(|(curve, _)| *curve == key.curve);
        return row.map(|(_, kind)| kind);
    }
    if let AlgorithmParameters::OctetKeyPair(key) = key {
        return (key.curve == EllipticCurve::Ed25519).then_some(KeyKind::Ed25519);
    }
    // A secret that both sides have, or something newer.
    None
}
