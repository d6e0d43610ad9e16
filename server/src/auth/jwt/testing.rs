//! An issuer of tokens for tests, which signs as well and as badly as it is told.

use std::path::PathBuf;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::keys::KeySet;
use super::{Jwt, JwtSettings, KeySource, LEEWAY_DEFAULT, REFRESH_DEFAULT};

pub(crate) const ISSUER: &str = "https://issuer.example.org/";
pub(crate) const AUDIENCE: &str = "belay";

/// Claims that hold for a minute from now, of a support agent who sees everything.
pub(crate) fn claims(now: Timestamp, subject: &str) -> Value {
    let now = now.as_second();
    json!({
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + 60,
        "belay_role": "SUPPORT",
        "belay_stores": "ALL",
        "belay_sellers": "ALL",
        "belay_warehouses": "ALL",
        "belay_carriers": "ALL",
    })
}

/// A key that signs.
pub(crate) struct SigningKey {
    key: EncodingKey,
    algorithm: Algorithm,
    kid: String,
}

impl SigningKey {
    pub(crate) fn es256(kid: &str) -> Self {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Self {
            key: EncodingKey::from_ec_der(pair.as_ref()),
            algorithm: Algorithm::ES256,
            kid: kid.to_owned(),
        }
    }

    pub(crate) fn rs256(kid: &str) -> Self {
        /// What PKCS#8 puts around a key of this size, where the signer wants PKCS#1.
        const WRAPPING_BYTES: usize = 26;
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let wrapped = pair.as_der().unwrap();
        Self {
            key: EncodingKey::from_rsa_der(&wrapped.as_ref()[WRAPPING_BYTES..]),
            algorithm: Algorithm::RS256,
            kid: kid.to_owned(),
        }
    }

    /// As it stands in the issuer's set.
    pub(crate) fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.kid, claims)
    }

    pub(crate) fn sign_as(&self, kid: &str, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(kid.to_owned());
        encode(&header, claims, &self.key).unwrap()
    }
}

/// A token with this header that ends as it is told.
pub(crate) fn token_of(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// An issuer with one key of each kind.
pub(crate) struct Issuer {
    pub(crate) ec: SigningKey,
    pub(crate) rsa: SigningKey,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        Self {
            ec: SigningKey::es256("ec-1"),
            rsa: SigningKey::rs256("rsa-1"),
        }
    }

    pub(crate) fn set(&self) -> Value {
        json!({"keys": [self.ec.public(), self.rsa.public()]})
    }

    /// A verifier that takes both kinds, of keys that nobody renews.
    pub(crate) fn jwt(&self) -> Jwt {
        let settings = settings("ES256,RS256");
        let keys = KeySet::parse(self.set().to_string().as_bytes(), &settings.algorithms).unwrap();
        Jwt::of(settings, KeySource::File(PathBuf::from("/dev/null")), keys)
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        self.ec.sign(claims)
    }
}

pub(crate) fn settings(algorithms: &str) -> JwtSettings {
    JwtSettings {
        issuer: ISSUER.to_owned(),
        audience: AUDIENCE.to_owned(),
        algorithms: algorithms.parse().unwrap(),
        leeway: LEEWAY_DEFAULT,
        refresh: REFRESH_DEFAULT,
        claims_prefix: super::CLAIMS_PREFIX_DEFAULT.to_owned(),
    }
}
