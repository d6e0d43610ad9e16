//! The names that a certificate is for, and when it expires. Whether it is to be believed is
//! checked before, by the handshake.

use std::time::Duration;

use x509_cert::Certificate;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::auth::peer::PeerName;

/// Names of one certificate that count; callers have one or two.
const NAMES_MAX: usize = 32;

const SPIFFE: &str = "spiffe://";

/// The names that a client certificate proves.
///
/// A SPIFFE id counts only where it is the certificate's one URI, as SPIFFE demands of who verifies
/// it. A wildcard names nobody.
pub(super) fn names(der: &[u8]) -> Vec<PeerName> {
    let Ok(certificate) = Certificate::from_der(der) else {
        return Vec::new();
    };
    let found = certificate.tbs_certificate().get_extension();
    let Ok(Some((_, SubjectAltName(subjects)))) = found else {
        return Vec::new();
    };
    let uris = subjects.iter().filter_map(uri);
    let only_uri: Vec<&str> = uris.collect();
    let spiffe = match only_uri.as_slice() {
        [id] if id.starts_with(SPIFFE) => Some(PeerName::Spiffe((*id).to_owned())),
        _ => None,
    };
    let dns = subjects.iter().filter_map(dns);
    spiffe.into_iter().chain(dns).take(NAMES_MAX).collect()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "one kind of name is asked for"
)]
fn uri(name: &GeneralName) -> Option<&str> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
        _ => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "one kind of name is asked for"
)]
fn dns(name: &GeneralName) -> Option<PeerName> {
    match name {
        GeneralName::DnsName(name) if !name.as_str().contains('*') => {
            Some(PeerName::Dns(name.as_str().to_ascii_lowercase()))
        }
        _ => None,
    }
}

/// When it expires, since the beginning of 1970.
pub(crate) fn expires(der: &[u8]) -> Result<Duration, String> {
    let certificate = Certificate::from_der(der);
    let certificate =
        certificate.map_err(|error| format!("the certificate cannot be read: {error}"))?;
    let validity = certificate.tbs_certificate().validity();
    Ok(validity.not_after.to_unix_duration())
}

/// When a list of revoked certificates is to be followed by the next one, since the beginning of
/// 1970; none where it does not say.
pub(crate) fn list_expires(der: &[u8]) -> Result<Option<Duration>, String> {
    let list = <CertificateList>::from_der(der);
    let list = list.map_err(|error| format!("the list cannot be read: {error}"))?;
    let next = list.tbs_cert_list.next_update;
    Ok(next.map(|next| next.to_unix_duration()))
}
