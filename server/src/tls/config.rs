//! The settings of TLS in front, and what they come to with the files as they are: a pure function
//! of their bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::{certificate, pem};
use crate::trusted_file;

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// Between the connection and the end of its handshake.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Between two looks at the files.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(2);

static NEWEST: [&SupportedProtocolVersion; 1] = [&TLS13];
static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// The versions of HTTP that are spoken behind TLS, or in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersions {
    /// gRPC is HTTP/2 and nothing else.
    Two,
    /// Who names none of them speaks what its first bytes say.
    OneAndTwo,
}

impl HttpVersions {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            HttpVersions::Two => vec![HTTP2.to_vec()],
            HttpVersions::OneAndTwo => vec![HTTP2.to_vec(), HTTP1.to_vec()],
        }
    }

    /// Whether a connection may go on that has agreed on this.
    pub(super) fn are_met(self, alpn: Option<&[u8]>) -> bool {
        match self {
            HttpVersions::Two => alpn == Some(HTTP2),
            HttpVersions::OneAndTwo => true,
        }
    }
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsVersion {
    #[value(name = "1.2")]
    V1_2,
    #[value(name = "1.3")]
    V1_3,
}

impl TlsVersion {
    fn and_newer(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            TlsVersion::V1_2 => &BOTH,
            TlsVersion::V1_3 => &NEWEST,
        }
    }
}

/// The choice whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// They may leave it out; one that is shown must be good.
    Optional,
    /// Who shows none is not connected.
    Required,
}

/// The certificates that clients may show, or must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clients {
    pub ca: PathBuf,
    pub revocations: Option<PathBuf>,
    pub must_show: bool,
}

/// The settings of TLS in front.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// The server's certificate, with those between it and its authority.
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub clients: Option<Clients>,
    pub oldest: TlsVersion,
    /// See [`HANDSHAKE_MAX`]; more only for tests.
    pub handshake_max: Duration,
    /// See [`LOOK_INTERVAL`]; less only for tests.
    pub look_interval: Duration,
}

impl TlsSettings {
    pub fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self {
            certificate,
            key,
            clients: None,
            oldest: TlsVersion::V1_3,
            handshake_max: HANDSHAKE_MAX,
            look_interval: LOOK_INTERVAL,
        }
    }
}

/// The contents of the files.
pub(super) struct Contents {
    certificate: Vec<u8>,
    pub(super) key: trusted_file::Read,
    ca: Option<Vec<u8>>,
    revocations: Option<Vec<u8>>,
}

impl Contents {
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, String> {
        let clients = settings.clients.as_ref();
        let bytes = |path: &PathBuf| pem::read(path).map(|file| file.bytes);
        let optional = |path: Option<&PathBuf>| path.map(bytes).transpose();
        Ok(Self {
            certificate: bytes(&settings.certificate)?,
            key: pem::read(&settings.key)?,
            ca: optional(clients.map(|clients| &clients.ca))?,
            revocations: optional(clients.and_then(|clients| clients.revocations.as_ref()))?,
        })
    }

    /// Equal where nothing has changed.
    pub(super) fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let files = [
            Some(&self.certificate),
            Some(&self.key.bytes),
            self.ca.as_ref(),
        ];
        for file in files.into_iter().chain([self.revocations.as_ref()]) {
            // So that no byte can move from one file into the next unseen.
            let file = file.map_or(&[][..], Vec::as_slice);
            hasher.update(blake3::hash(file).as_bytes());
        }
        hasher.finalize()
    }
}

/// TLS as the files have it.
#[derive(Debug, Clone)]
pub(super) struct LoadedTls {
    /// Where HTTP/2 alone is spoken.
    two: Arc<ServerConfig>,
    one_and_two: Arc<ServerConfig>,
    /// When the server's certificate, or the first one between it and its authority, expires; since
    /// the beginning of 1970.
    pub(super) expires: Duration,
    /// When the first list of revoked certificates expires, likewise.
    pub(super) revocations_expire: Option<Duration>,
}

impl LoadedTls {
    pub(super) fn config(&self, versions: HttpVersions) -> Arc<ServerConfig> {
        match versions {
            HttpVersions::Two => self.two.clone(),
            HttpVersions::OneAndTwo => self.one_and_two.clone(),
        }
    }
}

/// Puts the settings and the files together.
///
/// # Errors
/// What is wrong with them, in one line that names the file.
pub(super) fn build(
    settings: &TlsSettings,
    contents: &Contents,
    provider: &Arc<CryptoProvider>,
) -> Result<LoadedTls, String> {
    let of = |path: &Path| {
        let path = path.to_owned();
        move |error: String| pem::told(&path, &error)
    };
    let chain =
        pem::parse_certificates(&contents.certificate).map_err(of(&settings.certificate))?;
    let expiries: Result<Vec<Duration>, String> = chain
        .iter()
        .map(|link| certificate::expires(link))
        .collect();
    let expiries = expiries.map_err(of(&settings.certificate))?;
    let key = pem::parse_key(&contents.key.bytes).map_err(of(&settings.key))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(settings.oldest.and_newer())
        .map_err(|error| error.to_string())?;
    let builder = match (&settings.clients, &contents.ca) {
        (Some(clients), Some(ca)) => {
            builder.with_client_cert_verifier(verifier(clients, ca, contents, provider)?)
        }
        (Some(_) | None, _) => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(chain, key);
    let fault = |error: rustls::Error| {
        let description = if matches!(error, rustls::Error::InconsistentKeys(_)) {
            let key = settings.key.display();
            format!("the key in {key} is of another certificate")
        } else {
            error.to_string()
        };
        of(&settings.certificate)(description)
    };
    let mut config = config.map_err(fault)?;
    // A session that is resumed is not verified again: whoever is revoked, or has expired, would
    // get in with one from before.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let speaking = |versions: HttpVersions| {
        let mut config = config.clone();
        config.alpn_protocols = versions.alpn();
        Arc::new(config)
    };
    Ok(LoadedTls {
        two: speaking(HttpVersions::Two),
        one_and_two: speaking(HttpVersions::OneAndTwo),
        expires: expiries.into_iter().min().unwrap_or_default(),
        revocations_expire: revocations_expire(settings, contents)?,
    })
}

fn revocations_expire(
    settings: &TlsSettings,
    contents: &Contents,
) -> Result<Option<Duration>, String> {
    let path = settings
        .clients
        .as_ref()
        .and_then(|clients| clients.revocations.as_ref());
    let (Some(path), Some(list)) = (path, &contents.revocations) else {
        return Ok(None);
    };
    let lists = pem::parse_revocations(list);
    let expiries: Result<Vec<_>, String> = lists.and_then(|lists| {
        lists
            .iter()
            .map(|list| certificate::list_expires(list))
            .collect()
    });
    let expiries = expiries.map_err(|error| pem::told(path, &error))?;
    Ok(expiries.into_iter().flatten().min())
}

fn verifier(
    clients: &Clients,
    ca: &[u8],
    contents: &Contents,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, String> {
    let of_ca = |error: String| pem::told(&clients.ca, &error);
    let mut roots = RootCertStore::empty();
    for root in pem::parse_certificates(ca).map_err(of_ca)? {
        roots.add(root).map_err(|error| of_ca(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = match (&clients.revocations, &contents.revocations) {
        (Some(path), Some(list)) => {
            let lists = pem::parse_revocations(list);
            let lists = lists.map_err(|error| pem::told(path, &error))?;
            // A list that is out of date no longer says who is good.
            verifier.with_crls(lists).enforce_revocation_expiration()
        }
        (Some(_) | None, _) => verifier,
    };
    let verifier = if clients.must_show {
        verifier
    } else {
        verifier.allow_unauthenticated()
    };
    verifier.build().map_err(|error| of_ca(error.to_string()))
}
