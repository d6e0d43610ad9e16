//! TLS of a connection: whom the client trusts, and how it shows who it is.

use std::fmt;

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
}

/// No key, and no certificate, which nobody wants to read.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots.len())
            .field("has_identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
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

    pub(crate) fn is_set(&self) -> bool {
        !self.roots.is_empty() || self.identity.is_some() || self.server_name.is_some()
    }

    pub(crate) fn apply(self, endpoint: Endpoint) -> Result<Endpoint, Error> {
        // What holds none would be taken for no root at all, and then nobody is trusted.
        if let Some(odd) = self.roots.iter().find(|pem| !pem.contains(CERTIFICATE)) {
            let length = odd.len();
            return Err(Error::setup(format!(
                "a root of {length} bytes holds no certificate in PEM"
            )));
        }
        let mut config = ClientTlsConfig::new();
        config = if self.roots.is_empty() {
            config.with_native_roots()
        } else {
            config.ca_certificates(self.roots.iter().map(Certificate::from_pem))
        };
        if let Some((certificate, key)) = self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        if let Some(name) = self.server_name {
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
