//! Files in PEM: certificates, keys and revocation lists. Errors name the file and never show what
//! is in it.

use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::trusted_file;

/// The bytes of a file that is read; more is none of these.
pub const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// All certificates of a file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    parse_certificates(&read(path)?.bytes).map_err(|error| told(path, &error))
}

/// The first private key of a file.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    parse_key(&read(path)?.bytes).map_err(|error| told(path, &error))
}

/// What is in a file of at most [`FILE_BYTES_MAX`] that only those write who may: who writes it
/// says whom to trust.
pub(crate) fn read(path: &Path) -> Result<trusted_file::Read, String> {
    trusted_file::read(path, FILE_BYTES_MAX).map_err(|error| told(path, &error))
}

/// All certificates of a text in PEM, at least one.
pub fn parse_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate in PEM".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// The first private key of a text in PEM.
pub fn parse_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) => {
            Err("it holds no private key in PEM; one with a passphrase is not read".to_owned())
        }
        // What it says may hold a part of the text.
        Err(_) => Err("it holds no private key that can be read".to_owned()),
    }
}

/// All revocation lists of a text in PEM, at least one.
pub fn parse_revocations(
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let found: Result<Vec<_>, Error> = CertificateRevocationListDer::pem_slice_iter(text).collect();
    match found {
        Ok(found) if found.is_empty() => Err("it holds no revocation list in PEM".to_owned()),
        Ok(found) => Ok(found),
        Err(error) => Err(error.to_string()),
    }
}

/// An error of a file, with the file's name before it.
pub fn told(path: &Path, error: &str) -> String {
    format!("{}: {error}", path.display())
}
