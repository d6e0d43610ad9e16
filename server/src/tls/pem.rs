//! Files in PEM: certificates, keys and revocation lists. Errors name the file and never show what
//! is in it.

use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// The bytes of a file that is read; more is none of these.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// All certificates of a file, at least one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    parse_certificates(&read(path)?).map_err(|error| told(path, &error))
}

/// The first private key of a file.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    parse_key(&read(path)?).map_err(|error| told(path, &error))
}

/// The bytes of a file, within [`FILE_BYTES_MAX`].
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let io = |error: std::io::Error| told(path, &error.to_string());
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.len() > FILE_BYTES_MAX {
        let error = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(told(path, &error));
    }
    std::fs::read(path).map_err(io)
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
