//! TLS: the provider of its cryptography, the files of its certificates, and the port's own. Knows
//! no gRPC and no SQL.

pub(crate) mod certificate;
pub mod config;
pub mod failures;
pub mod front;
pub mod pem;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;

/// Makes aws-lc-rs the provider of this process, once; called before anything speaks TLS.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        let provider = CryptoProvider {
            key_provider: &KeysOfAnyKind,
            ..aws_lc_rs::default_provider()
        };
        // Somebody may be faster, with the same provider.
        let _ = provider.install_default();
    }
}

/// A provider that loads a private key by what it is. The MySQL driver says of every key that it is
/// RSA in PKCS#1.
#[derive(Debug)]
struct KeysOfAnyKind;

impl KeyProvider for KeysOfAnyKind {
    fn load_private_key(
        &self,
        key: PrivateKeyDer<'static>,
    ) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        let provider = aws_lc_rs::default_provider().key_provider;
        let by_content = PrivateKeyDer::try_from(key.secret_der());
        provider.load_private_key(by_content.map_or(key.clone_key(), |key| key.clone_key()))
    }

    fn fips(&self) -> bool {
        aws_lc_rs::default_provider().key_provider.fips()
    }
}
