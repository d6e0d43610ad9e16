//! TLS with the database: what is checked, and by which files.

use std::path::PathBuf;

use mysql_async::{ClientIdentity, Opts, SslOpts};
use rustls::pki_types::CertificateDer;

use super::{AddressError, Parameters, TlsMode, is_loopback};
use crate::tls::pem;

/// A name that no certificate is for.
///
/// The driver leaves out the check of names only where the text of rustls's error has the word
/// `NotValidForName`, which it had in earlier versions; now the text has the name that was expected
/// instead. So the name that is expected is that word. Names are checked last, so of a certificate
/// that is wrong otherwise the text never has it.
const ANY_NAME: &str = "NotValidForName.invalid";

/// TLS with the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) mode: Checks,
    host: String,
    identity: Option<Identity>,
}

/// The checks of the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checks {
    Nothing,
    Ca(Roots),
    Identity(Roots),
}

/// The authorities that are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    Machine,
    File(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    /// None is a connection in clear.
    ///
    /// Where nothing is said, a CA is there to be checked by, and what leaves the machine is
    /// encrypted.
    pub(super) fn choose(
        opts: &Opts,
        parameters: Parameters,
    ) -> Result<Option<Self>, AddressError> {
        let host = opts.ip_or_hostname().trim_matches(['[', ']']).to_owned();
        let by_socket = opts.socket().is_some();
        let Parameters { mode, ca, .. } = parameters;
        let identity = match (parameters.certificate, parameters.key) {
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(AddressError::HalfIdentity),
        };
        let mode = mode.unwrap_or(match (&ca, &identity) {
            (Some(_), _) => TlsMode::VerifyIdentity,
            (None, Some(_)) => TlsMode::Required,
            (None, None) if by_socket || is_loopback(&host) => TlsMode::Disabled,
            (None, None) => TlsMode::Required,
        });
        let unused = |file: &'static str| AddressError::Unused { mode, file };
        let roots = |ca: Option<PathBuf>| ca.map_or(Roots::Machine, Roots::File);
        let checks = match mode {
            TlsMode::Disabled if ca.is_some() => return Err(unused("CA")),
            TlsMode::Disabled if identity.is_some() => return Err(unused("certificate")),
            TlsMode::Disabled => return Ok(None),
            // The driver would say that it goes on encrypted, and go on in clear.
            TlsMode::Required | TlsMode::VerifyCa | TlsMode::VerifyIdentity if by_socket => {
                return Err(AddressError::Socket);
            }
            TlsMode::Required if ca.is_some() => return Err(unused("CA")),
            TlsMode::Required => Checks::Nothing,
            TlsMode::VerifyCa => Checks::Ca(roots(ca)),
            TlsMode::VerifyIdentity => Checks::Identity(roots(ca)),
        };
        Ok(Some(Self {
            mode: checks,
            host,
            identity,
        }))
    }

    /// The driver's options, with what the files hold now. Reads files.
    pub(super) fn options(&self) -> Result<SslOpts, String> {
        let mut options = SslOpts::default();
        options = match &self.mode {
            // Its built-in roots stay, for it takes no empty list; they count for nothing.
            Checks::Nothing => options
                .with_danger_accept_invalid_certs(true)
                .with_danger_tls_hostname_override(Some(self.host.clone())),
            Checks::Ca(roots) => with_roots(options, roots)?
                .with_danger_skip_domain_validation(true)
                .with_danger_tls_hostname_override(Some(ANY_NAME)),
            Checks::Identity(roots) => with_roots(options, roots)?
                .with_danger_tls_hostname_override(Some(self.host.clone())),
        };
        if let Some(Identity { certificate, key }) = &self.identity {
            pem::certificates(certificate)?;
            let key = pem::key(key)?;
            // Not as PEM, of which the driver knows one kind of key; what it takes DER for is put
            // right by the provider of `crate::tls`.
            let key = key.secret_der().to_vec();
            let identity = ClientIdentity::new(certificate.clone().into(), key.into());
            options = options.with_client_identity(Some(identity));
        }
        Ok(options)
    }
}

fn with_roots(options: SslOpts, roots: &Roots) -> Result<SslOpts, String> {
    let roots: Vec<CertificateDer<'static>> = match roots {
        Roots::File(path) => pem::certificates(path)?,
        Roots::Machine => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                return Err("the machine has no root certificates; give a CA".to_owned());
            }
            found.certs
        }
    };
    let roots = roots.into_iter().map(|root| root.to_vec().into());
    Ok(options
        .with_disable_built_in_roots(true)
        .with_root_certs(roots.collect()))
}
