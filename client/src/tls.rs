//! TLS of a connection: whom the client trusts, and how it shows who it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fmt, fs};

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::error::Error;

/// The beginning of a certificate in PEM.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// The settings of TLS. Those that are not set are the machine's.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Instead of the roots of the machine.
    roots: Vec<String>,
    /// Certificate and key.
    identity: Option<(String, String)>,
    server_name: Option<String>,
    /// The same as files, which are read again when they change.
    roots_file: Option<PathBuf>,
    identity_files: Option<(PathBuf, PathBuf)>,
}

/// The times and lengths of the files when they were last read.
pub(crate) type FilesSeen = Vec<Option<(SystemTime, u64)>>;

/// No key, and no certificate, which nobody wants to read.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots.len())
            .field("has_identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .field("roots_file", &self.roots_file)
            .field("identity_files", &self.identity_files)
            .finish()
    }
}

impl Tls {
    pub(crate) fn add_roots(&mut self, pem: String) {
        self.roots.push(pem);
    }

    pub(crate) fn set_identity(&mut self, certificate: String, key: String) {
        self.identity = Some((certificate, key));
    }

    pub(crate) fn set_server_name(&mut self, name: String) {
        self.server_name = Some(name);
    }

    pub(crate) fn set_roots_file(&mut self, path: PathBuf) {
        self.roots_file = Some(path);
    }

    pub(crate) fn set_identity_files(&mut self, certificate: PathBuf, key: PathBuf) {
        self.identity_files = Some((certificate, key));
    }

    pub(crate) fn is_set(&self) -> bool {
        !self.roots.is_empty()
            || self.identity.is_some()
            || self.server_name.is_some()
            || self.has_files()
    }

    pub(crate) fn has_files(&self) -> bool {
        self.roots_file.is_some() || self.identity_files.is_some()
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity_files.iter();
        let identity = identity.flat_map(|(certificate, key)| [certificate, key]);
        self.roots_file.iter().chain(identity).map(PathBuf::as_path)
    }

    pub(crate) fn files_seen(&self) -> FilesSeen {
        let seen = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.files().map(seen).collect()
    }

    /// With what is in the files now.
    fn read(&self) -> Result<Self, Error> {
        let text = |path: &Path| {
            let text = fs::read_to_string(path);
            text.map_err(|error| Error::setup(format!("{}: {error}", path.display())))
        };
        let mut read = self.clone();
        if let Some(path) = &self.roots_file {
            read.roots.push(text(path)?);
        }
        if let Some((certificate, key)) = &self.identity_files {
            read.identity = Some((text(certificate)?, text(key)?));
        }
        Ok(read)
    }

    /// `host` is that of the address, which the certificate is for unless another name is set.
    pub(crate) fn apply(
        &self,
        endpoint: Endpoint,
        host: Option<&str>,
        handshake: Duration,
    ) -> Result<Endpoint, Error> {
        let tls = self.read()?;
        let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
        let name = tls.server_name.clone().or(host);
        tls.into_config(name, handshake, endpoint)
    }

    fn into_config(
        self,
        name: Option<String>,
        handshake: Duration,
        endpoint: Endpoint,
    ) -> Result<Endpoint, Error> {
        // What holds none would be taken for no root at all, and then nobody is trusted.
        if let Some(odd) = self.roots.iter().find(|pem| !pem.contains(CERTIFICATE)) {
            let length = odd.len();
            return Err(Error::setup(format!(
                "a root of {length} bytes holds no certificate in PEM"
            )));
        }
        let mut config = ClientTlsConfig::new().timeout(handshake);
        config = if self.roots.is_empty() {
            config.with_native_roots()
        } else {
            config.ca_certificates(self.roots.iter().map(Certificate::from_pem))
        };
        if let Some((certificate, key)) = self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = name {
            config = config.domain_name(name);
        }
        endpoint
            .tls_config(config)
            .map_err(|error| Error::setup(format!("the settings of TLS: {}", told(&error))))
    }
}

/// The error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}
