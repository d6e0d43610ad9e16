//! The algorithms by which tokens may be signed. Those of a shared secret are not among them: who
//! can verify by one can sign as well.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::Algorithm;

/// Algorithms that one server takes.
pub(super) const ALGORITHMS_MAX: usize = 3;

/// The kind of key that an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// An algorithm that tokens may be signed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SigningAlgorithm {
    name: &'static str,
    pub(super) algorithm: Algorithm,
    pub(super) key: KeyKind,
}

const fn signing(name: &'static str, algorithm: Algorithm, key: KeyKind) -> SigningAlgorithm {
    SigningAlgorithm {
        name,
        algorithm,
        key,
    }
}

const SIGNING_ALGORITHMS: [SigningAlgorithm; 9] = [
    signing("RS256", Algorithm::RS256, KeyKind::Rsa),
    signing("RS384", Algorithm::RS384, KeyKind::Rsa),
    signing("RS512", Algorithm::RS512, KeyKind::Rsa),
    signing("PS256", Algorithm::PS256, KeyKind::Rsa),
    signing("PS384", Algorithm::PS384, KeyKind::Rsa),
    signing("PS512", Algorithm::PS512, KeyKind::Rsa),
    signing("ES256", Algorithm::ES256, KeyKind::P256),
    signing("ES384", Algorithm::ES384, KeyKind::P384),
    signing("EdDSA", Algorithm::EdDSA, KeyKind::Ed25519),
];

/// The algorithms that a server takes, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms(Vec<SigningAlgorithm>);

impl Algorithms {
    /// The algorithm of this name, where it is taken.
    pub(super) fn named(&self, name: &str) -> Option<SigningAlgorithm> {
        self.0.iter().find(|known| known.name == name).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = SigningAlgorithm> {
        self.0.iter().copied()
    }
}

impl FromStr for Algorithms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rows = Vec::new();
        for name in text.split(',').map(str::trim) {
            let Some(row) = SIGNING_ALGORITHMS.iter().find(|known| known.name == name) else {
                let names: Vec<_> = SIGNING_ALGORITHMS.iter().map(|known| known.name).collect();
                return Err(format!("must be of {}", names.join(", ")));
            };
            if rows.contains(row) {
                return Err(format!("names {name} twice"));
            }
            rows.push(*row);
        }
        if rows.len() > ALGORITHMS_MAX {
            return Err(format!("may name at most {ALGORITHMS_MAX}"));
        }
        Ok(Self(rows))
    }
}

impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|known| known.name).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_asymmetric_and_named() {
        for good in ["RS256", "ES256,EdDSA", "PS256, PS384, PS512"] {
            let algorithms: Algorithms = good.parse().unwrap();
            assert_eq!(algorithms.to_string(), good.replace(' ', ""));
        }
        for odd in [
            "",
            "none",
            "HS256",
            "HS512",
            "rs256",
            "RS256,",
            "RS256,RS256",
            "RS256,RS384,RS512,ES256",
        ] {
            assert!(odd.parse::<Algorithms>().is_err(), "{odd}");
        }
    }
}
